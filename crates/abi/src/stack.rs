//! The I/O stack location: one driver's share of an IRP, with the parameters of every major function.

use core::ffi::c_void;

use crate::*;

/// `Create` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_CREATE {
    pub SecurityContext: *mut IO_SECURITY_CONTEXT,
    pub Options: u32,
    pub _pad0: [u8; 4],
    pub FileAttributes: u16,
    pub ShareAccess: u16,
    pub _pad1: [u8; 4],
    pub EaLength: u32,
}

/// `CreatePipe` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_CREATE_PIPE {
    pub SecurityContext: *mut IO_SECURITY_CONTEXT,
    pub Options: u32,
    pub _pad0: [u8; 4],
    pub Reserved: u16,
    pub ShareAccess: u16,
    pub Parameters: *mut NAMED_PIPE_CREATE_PARAMETERS,
}

/// `CreateMailslot` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_CREATE_MAILSLOT {
    pub SecurityContext: *mut IO_SECURITY_CONTEXT,
    pub Options: u32,
    pub _pad0: [u8; 4],
    pub Reserved: u16,
    pub ShareAccess: u16,
    pub Parameters: *mut MAILSLOT_CREATE_PARAMETERS,
}

/// `Read` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_READ {
    pub Length: u32,
    pub _pad0: [u8; 4],
    pub Key: u32,
    pub Flags: u32,
    pub ByteOffset: LARGE_INTEGER,
}

/// `Write` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_WRITE {
    pub Length: u32,
    pub _pad0: [u8; 4],
    pub Key: u32,
    pub Flags: u32,
    pub ByteOffset: LARGE_INTEGER,
}

/// `QueryDirectory` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_QUERY_DIRECTORY {
    pub Length: u32,
    pub FileName: *mut UNICODE_STRING,
    pub FileInformationClass: FILE_INFORMATION_CLASS,
    pub _pad0: [u8; 4],
    pub FileIndex: u32,
}

/// `NotifyDirectory` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_NOTIFY_DIRECTORY {
    pub Length: u32,
    pub _pad0: [u8; 4],
    pub CompletionFilter: u32,
}

/// `NotifyDirectoryEx` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_NOTIFY_DIRECTORY_EX {
    pub Length: u32,
    pub _pad0: [u8; 4],
    pub CompletionFilter: u32,
    pub _pad1: [u8; 4],
    pub DirectoryNotifyInformationClass: DIRECTORY_NOTIFY_INFORMATION_CLASS,
}

/// `QueryFile` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_QUERY_FILE {
    pub Length: u32,
    pub _pad0: [u8; 4],
    pub FileInformationClass: FILE_INFORMATION_CLASS,
}

/// `s` of [`IO_STACK_LOCATION_PARAMETERS_SET_FILE_U`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_SET_FILE_U_S {
    pub ReplaceIfExists: BOOLEAN,
    pub AdvanceOnly: BOOLEAN,
}

/// `u` of [`IO_STACK_LOCATION_PARAMETERS_SET_FILE`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union IO_STACK_LOCATION_PARAMETERS_SET_FILE_U {
    pub s: IO_STACK_LOCATION_PARAMETERS_SET_FILE_U_S,
    pub ClusterCount: u32,
    pub DeleteHandle: HANDLE,
}

/// `SetFile` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_SET_FILE {
    pub Length: u32,
    pub _pad0: [u8; 4],
    pub FileInformationClass: FILE_INFORMATION_CLASS,
    pub FileObject: *mut FILE_OBJECT,
    pub u: IO_STACK_LOCATION_PARAMETERS_SET_FILE_U,
}

/// `QueryEa` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_QUERY_EA {
    pub Length: u32,
    pub EaList: *mut c_void,
    pub EaListLength: u32,
    pub _pad0: [u8; 4],
    pub EaIndex: u32,
}

/// `SetEa` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_SET_EA {
    pub Length: u32,
}

/// `QueryVolume` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_QUERY_VOLUME {
    pub Length: u32,
    pub _pad0: [u8; 4],
    pub FsInformationClass: FS_INFORMATION_CLASS,
}

/// `SetVolume` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_SET_VOLUME {
    pub Length: u32,
    pub _pad0: [u8; 4],
    pub FsInformationClass: FS_INFORMATION_CLASS,
}

/// `FileSystemControl` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_FILE_SYSTEM_CONTROL {
    pub OutputBufferLength: u32,
    pub _pad0: [u8; 4],
    pub InputBufferLength: u32,
    pub _pad1: [u8; 4],
    pub FsControlCode: u32,
    pub Type3InputBuffer: *mut c_void,
}

/// `LockControl` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_LOCK_CONTROL {
    pub Length: *mut LARGE_INTEGER,
    pub Key: u32,
    pub ByteOffset: LARGE_INTEGER,
}

/// `DeviceIoControl` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_DEVICE_IO_CONTROL {
    pub OutputBufferLength: u32,
    pub _pad0: [u8; 4],
    pub InputBufferLength: u32,
    pub _pad1: [u8; 4],
    pub IoControlCode: u32,
    pub Type3InputBuffer: *mut c_void,
}

/// `QuerySecurity` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_QUERY_SECURITY {
    pub SecurityInformation: SECURITY_INFORMATION,
    pub _pad0: [u8; 4],
    pub Length: u32,
}

/// `SetSecurity` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_SET_SECURITY {
    pub SecurityInformation: SECURITY_INFORMATION,
    pub SecurityDescriptor: *mut c_void,
}

/// `MountVolume` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_MOUNT_VOLUME {
    pub Vpb: *mut VPB,
    pub DeviceObject: *mut DEVICE_OBJECT,
}

/// `VerifyVolume` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_VERIFY_VOLUME {
    pub Vpb: *mut VPB,
    pub DeviceObject: *mut DEVICE_OBJECT,
}

/// `Scsi` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_SCSI {
    pub Srb: *mut SCSI_REQUEST_BLOCK,
}

/// `QueryQuota` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_QUERY_QUOTA {
    pub Length: u32,
    pub StartSid: *mut c_void,
    pub SidList: *mut FILE_GET_QUOTA_INFORMATION,
    pub SidListLength: u32,
}

/// `SetQuota` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_SET_QUOTA {
    pub Length: u32,
}

/// `QueryDeviceRelations` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_QUERY_DEVICE_RELATIONS {
    pub Type: DEVICE_RELATION_TYPE,
}

/// `QueryInterface` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_QUERY_INTERFACE {
    pub InterfaceType: *mut GUID,
    pub Size: u16,
    pub Version: u16,
    pub Interface: *mut INTERFACE,
    pub InterfaceSpecificData: *mut c_void,
}

/// `DeviceCapabilities` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_DEVICE_CAPABILITIES {
    pub Capabilities: *mut DEVICE_CAPABILITIES,
}

/// `FilterResourceRequirements` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_FILTER_RESOURCE_REQUIREMENTS {
    pub IoResourceRequirementList: *mut IO_RESOURCE_REQUIREMENTS_LIST,
}

/// `ReadWriteConfig` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_READ_WRITE_CONFIG {
    pub WhichSpace: u32,
    pub Buffer: *mut c_void,
    pub Offset: u32,
    pub _pad0: [u8; 4],
    pub Length: u32,
}

/// `SetLock` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_SET_LOCK {
    pub Lock: BOOLEAN,
}

/// `QueryId` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_QUERY_ID {
    pub IdType: BUS_QUERY_ID_TYPE,
}

/// `QueryDeviceText` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_QUERY_DEVICE_TEXT {
    pub DeviceTextType: DEVICE_TEXT_TYPE,
    pub _pad0: [u8; 4],
    pub LocaleId: u32,
}

/// `UsageNotification` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_USAGE_NOTIFICATION {
    pub InPath: BOOLEAN,
    pub Reserved: [BOOLEAN; 3],
    pub _pad0: [u8; 4],
    pub Type: DEVICE_USAGE_NOTIFICATION_TYPE,
}

/// `WaitWake` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_WAIT_WAKE {
    pub PowerState: SYSTEM_POWER_STATE,
}

/// `PowerSequence` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_POWER_SEQUENCE {
    pub PowerSequence: *mut POWER_SEQUENCE,
}

/// `u` of [`IO_STACK_LOCATION_PARAMETERS_POWER`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union IO_STACK_LOCATION_PARAMETERS_POWER_U {
    pub SystemContext: u32,
    pub SystemPowerStateContext: SYSTEM_POWER_STATE_CONTEXT,
}

/// `Power` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_POWER {
    pub u: IO_STACK_LOCATION_PARAMETERS_POWER_U,
    pub _pad0: [u8; 4],
    pub Type: POWER_STATE_TYPE,
    pub _pad1: [u8; 4],
    pub State: POWER_STATE,
    pub _pad2: [u8; 4],
    pub ShutdownType: POWER_ACTION,
}

/// `StartDevice` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_START_DEVICE {
    pub AllocatedResources: *mut CM_RESOURCE_LIST,
    pub AllocatedResourcesTranslated: *mut CM_RESOURCE_LIST,
}

/// `WMI` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_WMI {
    pub ProviderId: usize,
    pub DataPath: *mut c_void,
    pub BufferSize: u32,
    pub Buffer: *mut c_void,
}

/// `Others` of [`IO_STACK_LOCATION_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION_PARAMETERS_OTHERS {
    pub Argument1: *mut c_void,
    pub Argument2: *mut c_void,
    pub Argument3: *mut c_void,
    pub Argument4: *mut c_void,
}

/// `Parameters` of [`IO_STACK_LOCATION`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union IO_STACK_LOCATION_PARAMETERS {
    pub Create: IO_STACK_LOCATION_PARAMETERS_CREATE,
    pub CreatePipe: IO_STACK_LOCATION_PARAMETERS_CREATE_PIPE,
    pub CreateMailslot: IO_STACK_LOCATION_PARAMETERS_CREATE_MAILSLOT,
    pub Read: IO_STACK_LOCATION_PARAMETERS_READ,
    pub Write: IO_STACK_LOCATION_PARAMETERS_WRITE,
    pub QueryDirectory: IO_STACK_LOCATION_PARAMETERS_QUERY_DIRECTORY,
    pub NotifyDirectory: IO_STACK_LOCATION_PARAMETERS_NOTIFY_DIRECTORY,
    pub NotifyDirectoryEx: IO_STACK_LOCATION_PARAMETERS_NOTIFY_DIRECTORY_EX,
    pub QueryFile: IO_STACK_LOCATION_PARAMETERS_QUERY_FILE,
    pub SetFile: IO_STACK_LOCATION_PARAMETERS_SET_FILE,
    pub QueryEa: IO_STACK_LOCATION_PARAMETERS_QUERY_EA,
    pub SetEa: IO_STACK_LOCATION_PARAMETERS_SET_EA,
    pub QueryVolume: IO_STACK_LOCATION_PARAMETERS_QUERY_VOLUME,
    pub SetVolume: IO_STACK_LOCATION_PARAMETERS_SET_VOLUME,
    pub FileSystemControl: IO_STACK_LOCATION_PARAMETERS_FILE_SYSTEM_CONTROL,
    pub LockControl: IO_STACK_LOCATION_PARAMETERS_LOCK_CONTROL,
    pub DeviceIoControl: IO_STACK_LOCATION_PARAMETERS_DEVICE_IO_CONTROL,
    pub QuerySecurity: IO_STACK_LOCATION_PARAMETERS_QUERY_SECURITY,
    pub SetSecurity: IO_STACK_LOCATION_PARAMETERS_SET_SECURITY,
    pub MountVolume: IO_STACK_LOCATION_PARAMETERS_MOUNT_VOLUME,
    pub VerifyVolume: IO_STACK_LOCATION_PARAMETERS_VERIFY_VOLUME,
    pub Scsi: IO_STACK_LOCATION_PARAMETERS_SCSI,
    pub QueryQuota: IO_STACK_LOCATION_PARAMETERS_QUERY_QUOTA,
    pub SetQuota: IO_STACK_LOCATION_PARAMETERS_SET_QUOTA,
    pub QueryDeviceRelations: IO_STACK_LOCATION_PARAMETERS_QUERY_DEVICE_RELATIONS,
    pub QueryInterface: IO_STACK_LOCATION_PARAMETERS_QUERY_INTERFACE,
    pub DeviceCapabilities: IO_STACK_LOCATION_PARAMETERS_DEVICE_CAPABILITIES,
    pub FilterResourceRequirements: IO_STACK_LOCATION_PARAMETERS_FILTER_RESOURCE_REQUIREMENTS,
    pub ReadWriteConfig: IO_STACK_LOCATION_PARAMETERS_READ_WRITE_CONFIG,
    pub SetLock: IO_STACK_LOCATION_PARAMETERS_SET_LOCK,
    pub QueryId: IO_STACK_LOCATION_PARAMETERS_QUERY_ID,
    pub QueryDeviceText: IO_STACK_LOCATION_PARAMETERS_QUERY_DEVICE_TEXT,
    pub UsageNotification: IO_STACK_LOCATION_PARAMETERS_USAGE_NOTIFICATION,
    pub WaitWake: IO_STACK_LOCATION_PARAMETERS_WAIT_WAKE,
    pub PowerSequence: IO_STACK_LOCATION_PARAMETERS_POWER_SEQUENCE,
    pub Power: IO_STACK_LOCATION_PARAMETERS_POWER,
    pub StartDevice: IO_STACK_LOCATION_PARAMETERS_START_DEVICE,
    pub WMI: IO_STACK_LOCATION_PARAMETERS_WMI,
    pub Others: IO_STACK_LOCATION_PARAMETERS_OTHERS,
}

/// One driver's share of an IRP.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION {
    pub MajorFunction: u8,
    pub MinorFunction: u8,
    pub Flags: u8,
    pub Control: u8,
    pub Parameters: IO_STACK_LOCATION_PARAMETERS,
    pub DeviceObject: *mut DEVICE_OBJECT,
    pub FileObject: *mut FILE_OBJECT,
    pub CompletionRoutine: IO_COMPLETION_ROUTINE,
    pub Context: *mut c_void,
}

pub const SL_ALLOW_RAW_MOUNT: u8 = 0x1;
pub const SL_FAIL_IMMEDIATELY: u8 = 0x1;
pub const SL_FORCE_ACCESS_CHECK: u8 = 0x1;
pub const SL_KEY_SPECIFIED: u8 = 0x1;
pub const SL_PENDING_RETURNED: u8 = 0x1;
pub const SL_READ_ACCESS_GRANTED: u8 = 0x1;
pub const SL_RESTART_SCAN: u8 = 0x1;
pub const SL_WATCH_TREE: u8 = 0x1;
pub const SL_ERROR_RETURNED: u8 = 0x2;
pub const SL_EXCLUSIVE_LOCK: u8 = 0x2;
pub const SL_OPEN_PAGING_FILE: u8 = 0x2;
pub const SL_OVERRIDE_VERIFY_VOLUME: u8 = 0x2;
pub const SL_RETURN_SINGLE_ENTRY: u8 = 0x2;
pub const SL_INDEX_SPECIFIED: u8 = 0x4;
pub const SL_OPEN_TARGET_DIRECTORY: u8 = 0x4;
pub const SL_WRITE_ACCESS_GRANTED: u8 = 0x4;
pub const SL_WRITE_THROUGH: u8 = 0x4;
pub const SL_FT_SEQUENTIAL_WRITE: u8 = 0x8;
pub const SL_STOP_ON_SYMLINK: u8 = 0x8;
pub const SL_FORCE_DIRECT_WRITE: u8 = 0x10;
pub const SL_INVOKE_ON_CANCEL: u8 = 0x20;
pub const SL_REALTIME_STREAM: u8 = 0x20;
pub const SL_INVOKE_ON_SUCCESS: u8 = 0x40;
pub const SL_CASE_SENSITIVE: u8 = 0x80;
pub const SL_INVOKE_ON_ERROR: u8 = 0x80;
