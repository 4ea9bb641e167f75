//! What the I/O manager shares with drivers besides its objects: control codes, object type codes, boosts,
//! cancel-safe queues, remove locks.

use core::ffi::c_void;

use crate::*;

/// A cancel-safe IRP queue: the driver's six routines.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_CSQ {
    pub Type: u32,
    pub CsqInsertIrp: PIO_CSQ_INSERT_IRP,
    pub CsqRemoveIrp: PIO_CSQ_REMOVE_IRP,
    pub CsqPeekNextIrp: PIO_CSQ_PEEK_NEXT_IRP,
    pub CsqAcquireLock: PIO_CSQ_ACQUIRE_LOCK,
    pub CsqReleaseLock: PIO_CSQ_RELEASE_LOCK,
    pub CsqCompleteCanceledIrp: PIO_CSQ_COMPLETE_CANCELED_IRP,
    pub ReservePointer: *mut c_void,
}

/// Ties a queued IRP to its cancel-safe queue.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_CSQ_IRP_CONTEXT {
    pub Type: u32,
    pub Irp: *mut IRP,
    pub Csq: *mut IO_CSQ,
}

/// Inserts an IRP into the driver's queue.
pub type PIO_CSQ_INSERT_IRP = Option<unsafe extern "win64" fn(*mut IO_CSQ, *mut IRP)>;

/// Inserts an IRP, or refuses with a status.
pub type PIO_CSQ_INSERT_IRP_EX =
    Option<unsafe extern "win64" fn(*mut IO_CSQ, *mut IRP, *mut c_void) -> NTSTATUS>;

/// Removes an IRP from the driver's queue.
pub type PIO_CSQ_REMOVE_IRP = Option<unsafe extern "win64" fn(*mut IO_CSQ, *mut IRP)>;

/// The next matching IRP after one, or null.
pub type PIO_CSQ_PEEK_NEXT_IRP =
    Option<unsafe extern "win64" fn(*mut IO_CSQ, *mut IRP, *mut c_void) -> *mut IRP>;

/// Takes the lock of the driver's queue.
pub type PIO_CSQ_ACQUIRE_LOCK = Option<unsafe extern "win64" fn(*mut IO_CSQ, *mut u8)>;

/// Releases the lock of the driver's queue.
pub type PIO_CSQ_RELEASE_LOCK = Option<unsafe extern "win64" fn(*mut IO_CSQ, KIRQL)>;

/// Completes an IRP that was cancelled while queued.
pub type PIO_CSQ_COMPLETE_CANCELED_IRP = Option<unsafe extern "win64" fn(*mut IO_CSQ, *mut IRP)>;

/// Counts the users of a device that can be removed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_REMOVE_LOCK {
    pub Common: IO_REMOVE_LOCK_COMMON_BLOCK,
}

/// The count and the event of a remove lock.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_REMOVE_LOCK_COMMON_BLOCK {
    pub Removed: BOOLEAN,
    pub Reserved: [BOOLEAN; 3],
    pub IoCount: i32,
    pub RemoveEvent: KEVENT,
}

/// What a remove lock of a checked build tracks.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_REMOVE_LOCK_DBG_BLOCK {
    pub Signature: i32,
    pub HighWatermark: i32,
    pub MaxLockedTicks: i64,
    pub AllocateTag: i32,
    pub LockList: LIST_ENTRY,
    pub Spin: KSPIN_LOCK,
    pub LowMemoryCount: i32,
    pub Reserved1: [u32; 4],
    pub Reserved2: *mut c_void,
    pub Blocks: *mut IO_REMOVE_LOCK_TRACKING_BLOCK,
}

/// What becomes of an adapter or controller after its control routine.
pub type IO_ALLOCATION_ACTION = i32;
pub const KeepObject: IO_ALLOCATION_ACTION = 1;
pub const DeallocateObject: IO_ALLOCATION_ACTION = 2;
pub const DeallocateObjectKeepRegisters: IO_ALLOCATION_ACTION = 3;

/// Which key `IoOpenDriverRegistryKey` opens.
pub type DRIVER_REGKEY_TYPE = i32;
pub const DriverRegKeyParameters: DRIVER_REGKEY_TYPE = 0;
pub const DriverRegKeyPersistentState: DRIVER_REGKEY_TYPE = 1;
pub const DriverRegKeySharedPersistentState: DRIVER_REGKEY_TYPE = 2;
pub const MaxDriverRegKeyType: DRIVER_REGKEY_TYPE = 3;

/// What kind of object a create makes.
pub type CREATE_FILE_TYPE = i32;
pub const CreateFileTypeNone: CREATE_FILE_TYPE = 0;
pub const CreateFileTypeNamedPipe: CREATE_FILE_TYPE = 1;
pub const CreateFileTypeMailslot: CREATE_FILE_TYPE = 2;

// Object type codes.
pub const IO_TYPE_ADAPTER: i16 = 0x1;
pub const IO_TYPE_CSQ_IRP_CONTEXT: i16 = 0x1;
pub const IO_TYPE_CONTROLLER: i16 = 0x2;
pub const IO_TYPE_CSQ: i16 = 0x2;
pub const IO_TYPE_CSQ_EX: i16 = 0x3;
pub const IO_TYPE_DEVICE: i16 = 0x3;
pub const IO_TYPE_DRIVER: i16 = 0x4;
pub const IO_TYPE_FILE: i16 = 0x5;
pub const IO_TYPE_IRP: i16 = 0x6;
pub const IO_TYPE_MASTER_ADAPTER: i16 = 0x7;
pub const IO_TYPE_OPEN_PACKET: i16 = 0x8;
pub const IO_TYPE_TIMER: i16 = 0x9;
pub const IO_TYPE_VPB: i16 = 0xa;
pub const IO_TYPE_ERROR_LOG: i16 = 0xb;
pub const IO_TYPE_ERROR_MESSAGE: i16 = 0xc;
pub const IO_TYPE_DEVICE_OBJECT_EXTENSION: i16 = 0xd;

// Priority boosts of a completed request.
pub const IO_NO_INCREMENT: i8 = 0;
pub const EVENT_INCREMENT: i8 = 1;
pub const IO_CD_ROM_INCREMENT: i8 = 1;
pub const IO_DISK_INCREMENT: i8 = 1;
pub const IO_PARALLEL_INCREMENT: i8 = 1;
pub const IO_VIDEO_INCREMENT: i8 = 1;
pub const SEMAPHORE_INCREMENT: i8 = 1;
pub const IO_MAILSLOT_INCREMENT: i8 = 2;
pub const IO_NAMED_PIPE_INCREMENT: i8 = 2;
pub const IO_NETWORK_INCREMENT: i8 = 2;
pub const IO_SERIAL_INCREMENT: i8 = 2;
pub const IO_KEYBOARD_INCREMENT: i8 = 6;
pub const IO_MOUSE_INCREMENT: i8 = 6;
pub const IO_SOUND_INCREMENT: i8 = 8;

// Transfer methods and required access of a control code.
pub const METHOD_BUFFERED: u32 = 0x0;
pub const METHOD_DIRECT_TO_HARDWARE: u32 = 0x1;
pub const METHOD_IN_DIRECT: u32 = 0x1;
pub const METHOD_DIRECT_FROM_HARDWARE: u32 = 0x2;
pub const METHOD_OUT_DIRECT: u32 = 0x2;
pub const METHOD_NEITHER: u32 = 0x3;

pub const FILE_ANY_ACCESS: u32 = 0x0;
pub const FILE_SPECIAL_ACCESS: u32 = 0x0;
pub const FILE_READ_ACCESS: u32 = 0x1;
pub const FILE_WRITE_ACCESS: u32 = 0x2;

pub const IO_REPARSE: u32 = 0x0;
pub const IO_REPARSE_TAG_RESERVED_ZERO: u32 = 0x0;
pub const IO_FORCE_ACCESS_CHECK: u32 = 0x1;
pub const IO_REPARSE_TAG_RESERVED_ONE: u32 = 0x1;
pub const IO_REPARSE_TAG_RESERVED_RANGE: u32 = 0x1;
pub const IO_OPEN_PAGING_FILE: u32 = 0x2;
pub const IO_OPEN_TARGET_DIRECTORY: u32 = 0x4;
pub const IO_STOP_ON_SYMLINK: u32 = 0x8;
pub const IO_NO_PARAMETER_CHECKING: u32 = 0x100;
pub const IO_CHECK_CREATE_PARAMETERS: u32 = 0x200;
pub const IO_IGNORE_SHARE_ACCESS_CHECK: u32 = 0x800;
pub const IO_REPARSE_TAG_DRIVE_EXTENDER: u32 = 0x80000005;
pub const IO_REPARSE_TAG_HSM2: u32 = 0x80000006;
pub const IO_REPARSE_TAG_SIS: u32 = 0x80000007;
pub const IO_REPARSE_TAG_WIM: u32 = 0x80000008;
pub const IO_REPARSE_TAG_CSV: u32 = 0x80000009;
pub const IO_REPARSE_TAG_DFS: u32 = 0x8000000a;
pub const IO_REPARSE_TAG_FILTER_MANAGER: u32 = 0x8000000b;
pub const IO_REPARSE_TAG_DFSR: u32 = 0x80000012;
pub const IO_REPARSE_TAG_MOUNT_POINT: u32 = 0xa0000003;
pub const IO_REPARSE_TAG_SYMLINK: u32 = 0xa000000c;
pub const IO_REPARSE_TAG_IIS_CACHE: u32 = 0xa0000010;
pub const IO_REPARSE_TAG_HSM: u32 = 0xc0000004;
pub const IO_REPARSE_TAG_VALID_VALUES: u32 = 0xf000ffff;

pub const CONNECT_FULLY_SPECIFIED: u32 = 0x1;
pub const CONNECT_LINE_BASED: u32 = 0x2;
pub const CONNECT_MESSAGE_BASED: u32 = 0x3;
pub const CONNECT_CURRENT_VERSION: u32 = 0x4;
pub const CONNECT_FULLY_SPECIFIED_GROUP: u32 = 0x4;

/// Builds an I/O control code.
#[must_use]
pub const fn CTL_CODE(device_type: DEVICE_TYPE, function: u32, method: u32, access: u32) -> u32 {
    device_type << 16 | access << 14 | function << 2 | method
}

/// The transfer method of an I/O control code, one of `METHOD_*`.
#[must_use]
pub const fn METHOD_FROM_CTL_CODE(code: u32) -> u32 {
    code & 3
}

/// The device type of an I/O control code.
#[must_use]
pub const fn DEVICE_TYPE_FROM_CTL_CODE(code: u32) -> u32 {
    code >> 16
}

/// The access that a handle needs for an I/O control code: `FILE_ANY_ACCESS`, or `FILE_READ_ACCESS` and
/// `FILE_WRITE_ACCESS`.
#[must_use]
pub const fn ACCESS_FROM_CTL_CODE(code: u32) -> u32 {
    code >> 14 & 3
}
