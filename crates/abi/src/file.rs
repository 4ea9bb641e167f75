//! File objects, create options and file access.

use core::ffi::c_void;

use crate::*;

/// One open of a device or file. `FsContext` and `FsContext2` are the driver's.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_OBJECT {
    pub Type: i16,
    pub Size: i16,
    pub DeviceObject: *mut DEVICE_OBJECT,
    pub Vpb: *mut VPB,
    pub FsContext: *mut c_void,
    pub FsContext2: *mut c_void,
    pub SectionObjectPointer: *mut SECTION_OBJECT_POINTERS,
    pub PrivateCacheMap: *mut c_void,
    pub FinalStatus: NTSTATUS,
    pub RelatedFileObject: *mut FILE_OBJECT,
    pub LockOperation: BOOLEAN,
    pub DeletePending: BOOLEAN,
    pub ReadAccess: BOOLEAN,
    pub WriteAccess: BOOLEAN,
    pub DeleteAccess: BOOLEAN,
    pub SharedRead: BOOLEAN,
    pub SharedWrite: BOOLEAN,
    pub SharedDelete: BOOLEAN,
    pub Flags: u32,
    pub FileName: UNICODE_STRING,
    pub CurrentByteOffset: LARGE_INTEGER,
    pub Waiters: u32,
    pub Busy: u32,
    pub LastLock: *mut c_void,
    pub Lock: KEVENT,
    pub Event: KEVENT,
    pub CompletionContext: *mut IO_COMPLETION_CONTEXT,
    pub IrpListLock: KSPIN_LOCK,
    pub IrpList: LIST_ENTRY,
    pub FileObjectExtension: *mut c_void,
}

/// What the memory manager and cache know about an open file.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SECTION_OBJECT_POINTERS {
    pub DataSectionObject: *mut c_void,
    pub SharedCacheMap: *mut c_void,
    pub ImageSectionObject: *mut c_void,
}

/// The completion port of a file object and the key of its packets.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_COMPLETION_CONTEXT {
    pub Port: *mut c_void,
    pub Key: *mut c_void,
}

/// What a named pipe's creation adds to a create.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NAMED_PIPE_CREATE_PARAMETERS {
    pub NamedPipeType: u32,
    pub ReadMode: u32,
    pub CompletionMode: u32,
    pub MaximumInstances: u32,
    pub InboundQuota: u32,
    pub OutboundQuota: u32,
    pub DefaultTimeout: LARGE_INTEGER,
    pub TimeoutSpecified: BOOLEAN,
}

/// What a mailslot's creation adds to a create.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MAILSLOT_CREATE_PARAMETERS {
    pub MailslotQuota: u32,
    pub MaximumMessageSize: u32,
    pub ReadTimeout: LARGE_INTEGER,
    pub TimeoutSpecified: BOOLEAN,
}

pub const FO_FILE_OPEN: u32 = 0x1;
pub const FO_SYNCHRONOUS_IO: u32 = 0x2;
pub const FO_ALERTABLE_IO: u32 = 0x4;
pub const FO_NO_INTERMEDIATE_BUFFERING: u32 = 0x8;
pub const FO_WRITE_THROUGH: u32 = 0x10;
pub const FO_SEQUENTIAL_ONLY: u32 = 0x20;
pub const FO_CACHE_SUPPORTED: u32 = 0x40;
pub const FO_NAMED_PIPE: u32 = 0x80;
pub const FO_STREAM_FILE: u32 = 0x100;
pub const FO_MAILSLOT: u32 = 0x200;
pub const FO_GENERATE_AUDIT_ON_CLOSE: u32 = 0x400;
pub const FO_QUEUE_IRP_TO_THREAD: u32 = 0x400;
pub const FO_DIRECT_DEVICE_OPEN: u32 = 0x800;
pub const FO_FILE_MODIFIED: u32 = 0x1000;
pub const FO_FILE_SIZE_CHANGED: u32 = 0x2000;
pub const FO_CLEANUP_COMPLETE: u32 = 0x4000;
pub const FO_TEMPORARY_FILE: u32 = 0x8000;
pub const FO_DELETE_ON_CLOSE: u32 = 0x10000;
pub const FO_OPENED_CASE_SENSITIVE: u32 = 0x20000;
pub const FO_HANDLE_CREATED: u32 = 0x40000;
pub const FO_FILE_FAST_IO_READ: u32 = 0x80000;
pub const FO_RANDOM_ACCESS: u32 = 0x100000;
pub const FO_FILE_OPEN_CANCELLED: u32 = 0x200000;
pub const FO_VOLUME_OPEN: u32 = 0x400000;
pub const FO_REMOTE_ORIGIN: u32 = 0x1000000;
pub const FO_DISALLOW_EXCLUSIVE: u32 = 0x2000000;
pub const FO_FLAGS_VALID_ONLY_DURING_CREATE: u32 = 0x2000000;
pub const FO_SKIP_COMPLETION_PORT: u32 = 0x2000000;
pub const FO_SKIP_SET_EVENT: u32 = 0x4000000;
pub const FO_SKIP_SET_FAST_IO: u32 = 0x8000000;

// Create dispositions.
pub const FILE_SUPERSEDE: u32 = 0x0;
pub const FILE_OPEN: u32 = 0x1;
pub const FILE_CREATE: u32 = 0x2;
pub const FILE_OPEN_IF: u32 = 0x3;
pub const FILE_OVERWRITE: u32 = 0x4;
pub const FILE_MAXIMUM_DISPOSITION: u32 = 0x5;
pub const FILE_OVERWRITE_IF: u32 = 0x5;

// `Information` of a successful or failed create.
pub const FILE_SUPERSEDED: usize = 0x0;
pub const FILE_OPENED: usize = 0x1;
pub const FILE_CREATED: usize = 0x2;
pub const FILE_OVERWRITTEN: usize = 0x3;
pub const FILE_EXISTS: usize = 0x4;
pub const FILE_DOES_NOT_EXIST: usize = 0x5;

// Create options.
pub const FILE_DIRECTORY_FILE: u32 = 0x1;
pub const FILE_WRITE_THROUGH: u32 = 0x2;
pub const FILE_SEQUENTIAL_ONLY: u32 = 0x4;
pub const FILE_NO_INTERMEDIATE_BUFFERING: u32 = 0x8;
pub const FILE_SYNCHRONOUS_IO_ALERT: u32 = 0x10;
pub const FILE_SYNCHRONOUS_IO_NONALERT: u32 = 0x20;
pub const FILE_VALID_MAILSLOT_OPTION_FLAGS: u32 = 0x32;
pub const FILE_VALID_PIPE_OPTION_FLAGS: u32 = 0x32;
pub const FILE_VALID_SET_FLAGS: u32 = 0x36;
pub const FILE_NON_DIRECTORY_FILE: u32 = 0x40;
pub const FILE_CREATE_TREE_CONNECTION: u32 = 0x80;
pub const FILE_COMPLETE_IF_OPLOCKED: u32 = 0x100;
pub const FILE_NO_EA_KNOWLEDGE: u32 = 0x200;
pub const FILE_OPEN_REMOTE_INSTANCE: u32 = 0x400;
pub const FILE_RANDOM_ACCESS: u32 = 0x800;
pub const FILE_DELETE_ON_CLOSE: u32 = 0x1000;
pub const FILE_OPEN_BY_FILE_ID: u32 = 0x2000;
pub const FILE_OPEN_FOR_BACKUP_INTENT: u32 = 0x4000;
pub const FILE_NO_COMPRESSION: u32 = 0x8000;
pub const FILE_OPEN_REQUIRING_OPLOCK: u32 = 0x10000;
pub const FILE_DISALLOW_EXCLUSIVE: u32 = 0x20000;
pub const FILE_RESERVE_OPFILTER: u32 = 0x100000;
pub const FILE_OPEN_REPARSE_POINT: u32 = 0x200000;
pub const FILE_OPEN_NO_RECALL: u32 = 0x400000;
pub const FILE_OPEN_FOR_FREE_SPACE_QUERY: u32 = 0x800000;
pub const FILE_VALID_OPTION_FLAGS: u32 = 0xffffff;

// Share access.
pub const FILE_SHARE_READ: u32 = 0x1;
pub const FILE_SHARE_WRITE: u32 = 0x2;
pub const FILE_SHARE_DELETE: u32 = 0x4;
pub const FILE_SHARE_VALID_FLAGS: u32 = 0x7;

// Attributes.
pub const FILE_ATTRIBUTE_READONLY: u32 = 0x1;
pub const FILE_ATTRIBUTE_HIDDEN: u32 = 0x2;
pub const FILE_ATTRIBUTE_SYSTEM: u32 = 0x4;
pub const FILE_ATTRIBUTE_DIRECTORY: u32 = 0x10;
pub const FILE_ATTRIBUTE_ARCHIVE: u32 = 0x20;
pub const FILE_ATTRIBUTE_DEVICE: u32 = 0x40;
pub const FILE_ATTRIBUTE_NORMAL: u32 = 0x80;
pub const FILE_ATTRIBUTE_DEDICATED: u32 = 0x100;
pub const FILE_ATTRIBUTE_TEMPORARY: u32 = 0x100;
pub const FILE_ATTRIBUTE_SPARSE_FILE: u32 = 0x200;
pub const FILE_ATTRIBUTE_REPARSE_POINT: u32 = 0x400;
pub const FILE_ATTRIBUTE_COMPRESSED: u32 = 0x800;
pub const FILE_ATTRIBUTE_OFFLINE: u32 = 0x1000;
pub const FILE_ATTRIBUTE_NOT_CONTENT_INDEXED: u32 = 0x2000;
pub const FILE_ATTRIBUTE_VALID_SET_FLAGS: u32 = 0x31a7;
pub const FILE_ATTRIBUTE_ENCRYPTED: u32 = 0x4000;
pub const FILE_ATTRIBUTE_VALID_FLAGS: u32 = 0x7fb7;
pub const FILE_ATTRIBUTE_VIRTUAL: u32 = 0x10000;

// Flags of FileIoCompletionNotificationInformation.
pub const FILE_SKIP_COMPLETION_PORT_ON_SUCCESS: u32 = 0x1;
pub const FILE_SKIP_SET_EVENT_ON_HANDLE: u32 = 0x2;
pub const FILE_SKIP_SET_USER_EVENT_ON_FAST_IO: u32 = 0x4;

// Named pipes.
pub const FILE_PIPE_ACCEPT_REMOTE_CLIENTS: u32 = 0x0;
pub const FILE_PIPE_BYTE_STREAM_MODE: u32 = 0x0;
pub const FILE_PIPE_BYTE_STREAM_TYPE: u32 = 0x0;
pub const FILE_PIPE_CLIENT_END: u32 = 0x0;
pub const FILE_PIPE_INBOUND: u32 = 0x0;
pub const FILE_PIPE_QUEUE_OPERATION: u32 = 0x0;
pub const FILE_PIPE_READ_DATA: u32 = 0x0;
pub const FILE_PIPE_COMPLETE_OPERATION: u32 = 0x1;
pub const FILE_PIPE_DISCONNECTED_STATE: u32 = 0x1;
pub const FILE_PIPE_MESSAGE_MODE: u32 = 0x1;
pub const FILE_PIPE_MESSAGE_TYPE: u32 = 0x1;
pub const FILE_PIPE_OUTBOUND: u32 = 0x1;
pub const FILE_PIPE_SERVER_END: u32 = 0x1;
pub const FILE_PIPE_WRITE_SPACE: u32 = 0x1;
pub const FILE_PIPE_FULL_DUPLEX: u32 = 0x2;
pub const FILE_PIPE_LISTENING_STATE: u32 = 0x2;
pub const FILE_PIPE_REJECT_REMOTE_CLIENTS: u32 = 0x2;
pub const FILE_PIPE_CONNECTED_STATE: u32 = 0x3;
pub const FILE_PIPE_TYPE_VALID_MASK: u32 = 0x3;
pub const FILE_PIPE_CLOSING_STATE: u32 = 0x4;
pub const FILE_PIPE_COMPUTER_NAME_LENGTH: u32 = 0xf;

// Alignment, control and notification.
pub const FILE_ACTION_ADDED: u32 = 0x1;
pub const FILE_NOTIFY_CHANGE_FILE_NAME: u32 = 0x1;
pub const FILE_ACTION_REMOVED: u32 = 0x2;
pub const FILE_NOTIFY_CHANGE_DIR_NAME: u32 = 0x2;
pub const FILE_ACTION_MODIFIED: u32 = 0x3;
pub const FILE_NOTIFY_CHANGE_NAME: u32 = 0x3;
pub const FILE_ACTION_RENAMED_OLD_NAME: u32 = 0x4;
pub const FILE_NOTIFY_CHANGE_ATTRIBUTES: u32 = 0x4;
pub const FILE_ACTION_RENAMED_NEW_NAME: u32 = 0x5;
pub const FILE_ACTION_ADDED_STREAM: u32 = 0x6;
pub const FILE_ACTION_REMOVED_STREAM: u32 = 0x7;
pub const FILE_ACTION_MODIFIED_STREAM: u32 = 0x8;
pub const FILE_NOTIFY_CHANGE_SIZE: u32 = 0x8;
pub const FILE_ACTION_REMOVED_BY_DELETE: u32 = 0x9;
pub const FILE_ACTION_ID_NOT_TUNNELLED: u32 = 0xa;
pub const FILE_ACTION_TUNNELLED_ID_COLLISION: u32 = 0xb;
pub const FILE_NOTIFY_CHANGE_LAST_WRITE: u32 = 0x10;
pub const FILE_NOTIFY_CHANGE_LAST_ACCESS: u32 = 0x20;
pub const FILE_NOTIFY_CHANGE_CREATION: u32 = 0x40;
pub const FILE_NOTIFY_CHANGE_EA: u32 = 0x80;
pub const FILE_NOTIFY_CHANGE_SECURITY: u32 = 0x100;
pub const FILE_NOTIFY_CHANGE_STREAM_NAME: u32 = 0x200;
pub const FILE_NOTIFY_CHANGE_STREAM_SIZE: u32 = 0x400;
pub const FILE_NOTIFY_CHANGE_STREAM_WRITE: u32 = 0x800;
pub const FILE_NOTIFY_VALID_MASK: u32 = 0xfff;
pub const FILE_USE_FILE_POINTER_POSITION: u32 = 0xfffffffe;
pub const FILE_WRITE_TO_END_OF_FILE: u32 = 0xffffffff;
