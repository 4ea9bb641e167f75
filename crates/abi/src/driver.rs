//! Driver objects and the routines they carry.

use core::ffi::c_void;

use crate::*;

/// A loaded driver: its image, its devices and its dispatch table.
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

/// The part of a driver object that holds `AddDevice` and the service key's name.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DRIVER_EXTENSION {
    pub DriverObject: *mut DRIVER_OBJECT,
    pub AddDevice: DRIVER_ADD_DEVICE,
    pub Count: u32,
    pub ServiceKeyName: UNICODE_STRING,
}

/// `DriverEntry`: driver object and registry path. PASSIVE_LEVEL.
pub type DRIVER_INITIALIZE =
    Option<unsafe extern "win64" fn(*mut DRIVER_OBJECT, *mut UNICODE_STRING) -> NTSTATUS>;

/// Attaches a device object to a new physical device object. PASSIVE_LEVEL.
pub type DRIVER_ADD_DEVICE =
    Option<unsafe extern "win64" fn(*mut DRIVER_OBJECT, *mut DEVICE_OBJECT) -> NTSTATUS>;

/// Handles one major function. PASSIVE_LEVEL, up to DISPATCH_LEVEL for some.
pub type DRIVER_DISPATCH = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP) -> NTSTATUS>;

/// Starts the next request of a device queue. DISPATCH_LEVEL.
pub type DRIVER_STARTIO = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP)>;

/// Undoes what `DriverEntry` did. PASSIVE_LEVEL.
pub type DRIVER_UNLOAD = Option<unsafe extern "win64" fn(*mut DRIVER_OBJECT)>;

/// Cancels an IRP; entered at DISPATCH_LEVEL with the cancel spin lock held, which it releases to `CancelIrql`.
pub type DRIVER_CANCEL = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP)>;

/// Runs when an adapter or controller has been granted. DISPATCH_LEVEL.
pub type DRIVER_CONTROL = Option<
    unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP, *mut c_void, *mut c_void) -> IO_ALLOCATION_ACTION,
>;

/// Receives a scatter/gather list. DISPATCH_LEVEL.
pub type DRIVER_LIST_CONTROL =
    Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP, *mut SCATTER_GATHER_LIST, *mut c_void)>;

/// Physical pieces of a transfer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SCATTER_GATHER_LIST {
    pub NumberOfElements: u32,
    pub Reserved: usize,
    pub Elements: [SCATTER_GATHER_ELEMENT; 1],
}

/// One physical piece of a transfer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SCATTER_GATHER_ELEMENT {
    pub Address: PHYSICAL_ADDRESS,
    pub Length: u32,
    pub Reserved: usize,
}

/// Sees an IRP on its way up; `STATUS_MORE_PROCESSING_REQUIRED` keeps it. Up to DISPATCH_LEVEL.
pub type IO_COMPLETION_ROUTINE =
    Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP, *mut c_void) -> NTSTATUS>;

/// A caller's routine that runs as an APC when its request completes.
pub type PIO_APC_ROUTINE = Option<unsafe extern "win64" fn(*mut c_void, *mut IO_STATUS_BLOCK, u32)>;

/// A device's work item. PASSIVE_LEVEL.
pub type IO_WORKITEM_ROUTINE = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut c_void)>;

/// A work item that receives its own address. PASSIVE_LEVEL.
pub type IO_WORKITEM_ROUTINE_EX =
    Option<unsafe extern "win64" fn(*mut c_void, *mut c_void, *mut IO_WORKITEM)>;

/// A device's once-a-second timer. DISPATCH_LEVEL.
pub type IO_TIMER_ROUTINE = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut c_void)>;

/// A device's deferred procedure call. DISPATCH_LEVEL.
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
