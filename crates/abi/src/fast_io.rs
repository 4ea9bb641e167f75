//! The fast I/O table of a driver object.

use core::ffi::c_void;

use crate::*;

/// Routines that serve requests without an IRP; a null entry, or FALSE, makes the I/O manager build one.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FAST_IO_DISPATCH {
    pub SizeOfFastIoDispatch: u32,
    pub FastIoCheckIfPossible: FAST_IO_CHECK_IF_POSSIBLE,
    pub FastIoRead: FAST_IO_READ,
    pub FastIoWrite: FAST_IO_WRITE,
    pub FastIoQueryBasicInfo: FAST_IO_QUERY_BASIC_INFO,
    pub FastIoQueryStandardInfo: FAST_IO_QUERY_STANDARD_INFO,
    pub FastIoLock: FAST_IO_LOCK,
    pub FastIoUnlockSingle: FAST_IO_UNLOCK_SINGLE,
    pub FastIoUnlockAll: FAST_IO_UNLOCK_ALL,
    pub FastIoUnlockAllByKey: FAST_IO_UNLOCK_ALL_BY_KEY,
    pub FastIoDeviceControl: FAST_IO_DEVICE_CONTROL,
    pub AcquireFileForNtCreateSection: FAST_IO_ACQUIRE_FILE,
    pub ReleaseFileForNtCreateSection: FAST_IO_RELEASE_FILE,
    pub FastIoDetachDevice: FAST_IO_DETACH_DEVICE,
    pub FastIoQueryNetworkOpenInfo: FAST_IO_QUERY_NETWORK_OPEN_INFO,
    pub AcquireForModWrite: FAST_IO_ACQUIRE_FOR_MOD_WRITE,
    pub MdlRead: FAST_IO_MDL_READ,
    pub MdlReadComplete: FAST_IO_MDL_READ_COMPLETE,
    pub PrepareMdlWrite: FAST_IO_PREPARE_MDL_WRITE,
    pub MdlWriteComplete: FAST_IO_MDL_WRITE_COMPLETE,
    pub FastIoReadCompressed: FAST_IO_READ_COMPRESSED,
    pub FastIoWriteCompressed: FAST_IO_WRITE_COMPRESSED,
    pub MdlReadCompleteCompressed: FAST_IO_MDL_READ_COMPLETE_COMPRESSED,
    pub MdlWriteCompleteCompressed: FAST_IO_MDL_WRITE_COMPLETE_COMPRESSED,
    pub FastIoQueryOpen: FAST_IO_QUERY_OPEN,
    pub ReleaseForModWrite: FAST_IO_RELEASE_FOR_MOD_WRITE,
    pub AcquireForCcFlush: FAST_IO_ACQUIRE_FOR_CCFLUSH,
    pub ReleaseForCcFlush: FAST_IO_RELEASE_FOR_CCFLUSH,
}

/// The `CHECK_IF_POSSIBLE` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_CHECK_IF_POSSIBLE = Option<
    unsafe extern "win64" fn(
        *mut FILE_OBJECT,
        *mut LARGE_INTEGER,
        u32,
        BOOLEAN,
        u32,
        BOOLEAN,
        *mut IO_STATUS_BLOCK,
        *mut DEVICE_OBJECT,
    ) -> BOOLEAN,
>;

/// The `READ` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_READ = Option<
    unsafe extern "win64" fn(
        *mut FILE_OBJECT,
        *mut LARGE_INTEGER,
        u32,
        BOOLEAN,
        u32,
        *mut c_void,
        *mut IO_STATUS_BLOCK,
        *mut DEVICE_OBJECT,
    ) -> BOOLEAN,
>;

/// The `WRITE` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_WRITE = Option<
    unsafe extern "win64" fn(
        *mut FILE_OBJECT,
        *mut LARGE_INTEGER,
        u32,
        BOOLEAN,
        u32,
        *mut c_void,
        *mut IO_STATUS_BLOCK,
        *mut DEVICE_OBJECT,
    ) -> BOOLEAN,
>;

/// The `QUERY_BASIC_INFO` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_QUERY_BASIC_INFO = Option<
    unsafe extern "win64" fn(
        *mut FILE_OBJECT,
        BOOLEAN,
        *mut FILE_BASIC_INFORMATION,
        *mut IO_STATUS_BLOCK,
        *mut DEVICE_OBJECT,
    ) -> BOOLEAN,
>;

/// The `QUERY_STANDARD_INFO` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_QUERY_STANDARD_INFO = Option<
    unsafe extern "win64" fn(
        *mut FILE_OBJECT,
        BOOLEAN,
        *mut FILE_STANDARD_INFORMATION,
        *mut IO_STATUS_BLOCK,
        *mut DEVICE_OBJECT,
    ) -> BOOLEAN,
>;

/// The `LOCK` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_LOCK = Option<
    unsafe extern "win64" fn(
        *mut FILE_OBJECT,
        *mut LARGE_INTEGER,
        *mut LARGE_INTEGER,
        *mut EPROCESS,
        u32,
        BOOLEAN,
        BOOLEAN,
        *mut IO_STATUS_BLOCK,
        *mut DEVICE_OBJECT,
    ) -> BOOLEAN,
>;

/// The `UNLOCK_SINGLE` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_UNLOCK_SINGLE = Option<
    unsafe extern "win64" fn(
        *mut FILE_OBJECT,
        *mut LARGE_INTEGER,
        *mut LARGE_INTEGER,
        *mut EPROCESS,
        u32,
        *mut IO_STATUS_BLOCK,
        *mut DEVICE_OBJECT,
    ) -> BOOLEAN,
>;

/// The `UNLOCK_ALL` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_UNLOCK_ALL = Option<
    unsafe extern "win64" fn(
        *mut FILE_OBJECT,
        *mut EPROCESS,
        *mut IO_STATUS_BLOCK,
        *mut DEVICE_OBJECT,
    ) -> BOOLEAN,
>;

/// The `UNLOCK_ALL_BY_KEY` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_UNLOCK_ALL_BY_KEY = Option<
    unsafe extern "win64" fn(
        *mut FILE_OBJECT,
        *mut c_void,
        u32,
        *mut IO_STATUS_BLOCK,
        *mut DEVICE_OBJECT,
    ) -> BOOLEAN,
>;

/// The `DEVICE_CONTROL` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_DEVICE_CONTROL = Option<
    unsafe extern "win64" fn(
        *mut FILE_OBJECT,
        BOOLEAN,
        *mut c_void,
        u32,
        *mut c_void,
        u32,
        u32,
        *mut IO_STATUS_BLOCK,
        *mut DEVICE_OBJECT,
    ) -> BOOLEAN,
>;

/// The `ACQUIRE_FILE` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_ACQUIRE_FILE = Option<unsafe extern "win64" fn(*mut FILE_OBJECT)>;

/// The `RELEASE_FILE` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_RELEASE_FILE = Option<unsafe extern "win64" fn(*mut FILE_OBJECT)>;

/// The `DETACH_DEVICE` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_DETACH_DEVICE = Option<unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut DEVICE_OBJECT)>;

/// The `QUERY_NETWORK_OPEN_INFO` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_QUERY_NETWORK_OPEN_INFO = Option<
    unsafe extern "win64" fn(
        *mut FILE_OBJECT,
        BOOLEAN,
        *mut FILE_NETWORK_OPEN_INFORMATION,
        *mut IO_STATUS_BLOCK,
        *mut DEVICE_OBJECT,
    ) -> BOOLEAN,
>;

/// The `ACQUIRE_FOR_MOD_WRITE` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_ACQUIRE_FOR_MOD_WRITE = Option<
    unsafe extern "win64" fn(
        *mut FILE_OBJECT,
        *mut LARGE_INTEGER,
        *mut *mut ERESOURCE,
        *mut DEVICE_OBJECT,
    ) -> NTSTATUS,
>;

/// The `MDL_READ` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_MDL_READ = Option<
    unsafe extern "win64" fn(
        *mut FILE_OBJECT,
        *mut LARGE_INTEGER,
        u32,
        u32,
        *mut *mut MDL,
        *mut IO_STATUS_BLOCK,
        *mut DEVICE_OBJECT,
    ) -> BOOLEAN,
>;

/// The `MDL_READ_COMPLETE` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_MDL_READ_COMPLETE =
    Option<unsafe extern "win64" fn(*mut FILE_OBJECT, *mut MDL, *mut DEVICE_OBJECT) -> BOOLEAN>;

/// The `PREPARE_MDL_WRITE` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_PREPARE_MDL_WRITE = Option<
    unsafe extern "win64" fn(
        *mut FILE_OBJECT,
        *mut LARGE_INTEGER,
        u32,
        u32,
        *mut *mut MDL,
        *mut IO_STATUS_BLOCK,
        *mut DEVICE_OBJECT,
    ) -> BOOLEAN,
>;

/// The `MDL_WRITE_COMPLETE` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_MDL_WRITE_COMPLETE = Option<
    unsafe extern "win64" fn(*mut FILE_OBJECT, *mut LARGE_INTEGER, *mut MDL, *mut DEVICE_OBJECT) -> BOOLEAN,
>;

/// The `READ_COMPRESSED` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_READ_COMPRESSED = Option<
    unsafe extern "win64" fn(
        *mut FILE_OBJECT,
        *mut LARGE_INTEGER,
        u32,
        u32,
        *mut c_void,
        *mut *mut MDL,
        *mut IO_STATUS_BLOCK,
        *mut COMPRESSED_DATA_INFO,
        u32,
        *mut DEVICE_OBJECT,
    ) -> BOOLEAN,
>;

/// The `WRITE_COMPRESSED` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_WRITE_COMPRESSED = Option<
    unsafe extern "win64" fn(
        *mut FILE_OBJECT,
        *mut LARGE_INTEGER,
        u32,
        u32,
        *mut c_void,
        *mut *mut MDL,
        *mut IO_STATUS_BLOCK,
        *mut COMPRESSED_DATA_INFO,
        u32,
        *mut DEVICE_OBJECT,
    ) -> BOOLEAN,
>;

/// The `MDL_READ_COMPLETE_COMPRESSED` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_MDL_READ_COMPLETE_COMPRESSED =
    Option<unsafe extern "win64" fn(*mut FILE_OBJECT, *mut MDL, *mut DEVICE_OBJECT) -> BOOLEAN>;

/// The `MDL_WRITE_COMPLETE_COMPRESSED` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_MDL_WRITE_COMPLETE_COMPRESSED = Option<
    unsafe extern "win64" fn(*mut FILE_OBJECT, *mut LARGE_INTEGER, *mut MDL, *mut DEVICE_OBJECT) -> BOOLEAN,
>;

/// The `QUERY_OPEN` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_QUERY_OPEN = Option<
    unsafe extern "win64" fn(*mut IRP, *mut FILE_NETWORK_OPEN_INFORMATION, *mut DEVICE_OBJECT) -> BOOLEAN,
>;

/// The `RELEASE_FOR_MOD_WRITE` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_RELEASE_FOR_MOD_WRITE =
    Option<unsafe extern "win64" fn(*mut FILE_OBJECT, *mut ERESOURCE, *mut DEVICE_OBJECT) -> NTSTATUS>;

/// The `ACQUIRE_FOR_CCFLUSH` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_ACQUIRE_FOR_CCFLUSH =
    Option<unsafe extern "win64" fn(*mut FILE_OBJECT, *mut DEVICE_OBJECT) -> NTSTATUS>;

/// The `RELEASE_FOR_CCFLUSH` entry of [`FAST_IO_DISPATCH`].
pub type FAST_IO_RELEASE_FOR_CCFLUSH =
    Option<unsafe extern "win64" fn(*mut FILE_OBJECT, *mut DEVICE_OBJECT) -> NTSTATUS>;
