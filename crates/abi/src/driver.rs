//! Driver objects and the routines they carry.

use core::ffi::c_void;

use crate::*;

/// `DRIVER_OBJECT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DRIVER_OBJECT {
    pub Type: i16,
    pub Size: i16,
    pub DeviceObject: *mut DEVICE_OBJECT,
    pub Flags: u32,
    pub DriverStart: *mut c_void,
    pub DriverSize: u32,
    pub DriverSection: *mut c_void,
    pub DriverExtension: *mut DRIVER_EXTENSION,
    pub DriverName: UNICODE_STRING,
    pub HardwareDatabase: *mut UNICODE_STRING,
    pub FastIoDispatch: *mut FAST_IO_DISPATCH,
    pub DriverInit: DRIVER_INITIALIZE,
    pub DriverStartIo: DRIVER_STARTIO,
    pub DriverUnload: DRIVER_UNLOAD,
    pub MajorFunction: [DRIVER_DISPATCH; 28],
}

/// `DRIVER_EXTENSION`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DRIVER_EXTENSION {
    pub DriverObject: *mut DRIVER_OBJECT,
    pub AddDevice: DRIVER_ADD_DEVICE,
    pub Count: u32,
    pub ServiceKeyName: UNICODE_STRING,
}

/// `DRIVER_INITIALIZE`.
pub type DRIVER_INITIALIZE =
    Option<unsafe extern "win64" fn(*mut DRIVER_OBJECT, *mut UNICODE_STRING) -> NTSTATUS>;

/// `DRIVER_ADD_DEVICE`.
pub type DRIVER_ADD_DEVICE =
    Option<unsafe extern "win64" fn(*mut DRIVER_OBJECT, *mut DEVICE_OBJECT) -> NTSTATUS>;

/// `DRIVER_DISPATCH`.
pub type DRIVER_DISPATCH = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP) -> NTSTATUS>;

/// `DRIVER_STARTIO`.
pub type DRIVER_STARTIO = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP)>;

/// `DRIVER_UNLOAD`.
pub type DRIVER_UNLOAD = Option<unsafe extern "win64" fn(*mut DRIVER_OBJECT)>;

/// `DRIVER_CANCEL`.
pub type DRIVER_CANCEL = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP)>;

/// `DRIVER_CONTROL`.
pub type DRIVER_CONTROL = Option<
    unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP, *mut c_void, *mut c_void) -> IO_ALLOCATION_ACTION,
>;

/// `DRIVER_LIST_CONTROL`.
pub type DRIVER_LIST_CONTROL =
    Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP, *mut SCATTER_GATHER_LIST, *mut c_void)>;

/// `SCATTER_GATHER_LIST`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SCATTER_GATHER_LIST {
    pub NumberOfElements: u32,
    pub Reserved: usize,
    pub Elements: [SCATTER_GATHER_ELEMENT; 1],
}

/// `SCATTER_GATHER_ELEMENT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SCATTER_GATHER_ELEMENT {
    pub Address: PHYSICAL_ADDRESS,
    pub Length: u32,
    pub Reserved: usize,
}

/// `IO_COMPLETION_ROUTINE`.
pub type IO_COMPLETION_ROUTINE =
    Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP, *mut c_void) -> NTSTATUS>;

/// `PIO_APC_ROUTINE`.
pub type PIO_APC_ROUTINE = Option<unsafe extern "win64" fn(*mut c_void, *mut IO_STATUS_BLOCK, u32)>;

/// `IO_WORKITEM_ROUTINE`.
pub type IO_WORKITEM_ROUTINE = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut c_void)>;

/// `IO_WORKITEM_ROUTINE_EX`.
pub type IO_WORKITEM_ROUTINE_EX =
    Option<unsafe extern "win64" fn(*mut c_void, *mut c_void, *mut IO_WORKITEM)>;

/// `IO_TIMER_ROUTINE`.
pub type IO_TIMER_ROUTINE = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut c_void)>;

/// `IO_DPC_ROUTINE`.
pub type IO_DPC_ROUTINE =
    Option<unsafe extern "win64" fn(*mut KDPC, *mut DEVICE_OBJECT, *mut IRP, *mut c_void)>;

pub const DRVO_UNLOAD_INVOKED: u32 = 0x1;
pub const DRVO_LEGACY_DRIVER: u32 = 0x2;
pub const DRVO_BUILTIN_DRIVER: u32 = 0x4;
pub const DRVO_REINIT_REGISTERED: u32 = 0x8;
pub const DRVO_INITIALIZED: u32 = 0x10;
pub const DRVO_BOOTREINIT_REGISTERED: u32 = 0x20;
pub const DRVO_LEGACY_RESOURCES: u32 = 0x40;

/// Called again after all boot drivers have loaded; the last argument counts the calls from 1.
pub type DRIVER_REINITIALIZE = Option<unsafe extern "win64" fn(*mut DRIVER_OBJECT, *mut c_void, u32)>;
/// A file system driver has registered (nonzero) or gone (zero).
pub type DRIVER_FS_NOTIFICATION = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, BOOLEAN)>;
