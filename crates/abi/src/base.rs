//! Scalars, strings, lists and the small records that every other module builds on.

use core::ffi::c_void;

use crate::NTSTATUS;

/// A handle: an index into a handle table, kernel handles with the top bit set.
pub type HANDLE = *mut c_void;
/// One byte, 0 is false.
pub type BOOLEAN = u8;
/// Interrupt request level, 0 ([`PASSIVE_LEVEL`](crate::PASSIVE_LEVEL)) to 15.
pub type KIRQL = u8;
/// `KernelMode` or `UserMode`, as structures store it.
pub type KPROCESSOR_MODE = i8;
/// Scheduling priority, or a boost to it.
pub type KPRIORITY = i32;
/// Storage of a spin lock; 0 is free.
pub type KSPIN_LOCK = usize;
/// Set of processors of one group.
pub type KAFFINITY = usize;
/// Requested or granted access rights.
pub type ACCESS_MASK = u32;
/// Parts of a security descriptor, `*_SECURITY_INFORMATION`.
pub type SECURITY_INFORMATION = u32;
/// Signed 64-bit quantity; as a time, units of 100 ns, negative is relative to now.
pub type LARGE_INTEGER = i64;
/// Physical address in bytes.
pub type PHYSICAL_ADDRESS = i64;

/// Request or caller in kernel mode.
pub const KernelMode: KPROCESSOR_MODE = 0;
/// Request or caller in user mode.
pub const UserMode: KPROCESSOR_MODE = 1;
/// The false value of [`BOOLEAN`].
pub const FALSE: BOOLEAN = 0;
/// The true value of [`BOOLEAN`].
pub const TRUE: BOOLEAN = 1;

/// Counted UTF-16 string; lengths are in bytes, no terminator is implied.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct UNICODE_STRING {
    pub Length: u16,
    pub MaximumLength: u16,
    pub Buffer: *mut u16,
}

/// Counted 8-bit string; lengths are in bytes, no terminator is implied.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct STRING {
    pub Length: u16,
    pub MaximumLength: u16,
    pub Buffer: *mut i8,
}

/// Counted string in the ANSI code page.
pub type ANSI_STRING = STRING;
/// Counted string in the OEM code page.
pub type OEM_STRING = STRING;

/// Link or head of a circular doubly linked list.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LIST_ENTRY {
    pub Flink: *mut LIST_ENTRY,
    pub Blink: *mut LIST_ENTRY,
}

/// Link or head of a singly linked list.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SINGLE_LIST_ENTRY {
    pub Next: *mut SINGLE_LIST_ENTRY,
}

/// Link of an interlocked singly linked list.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug)]
pub struct SLIST_ENTRY {
    pub Next: *mut SLIST_ENTRY,
}

/// Head of an interlocked singly linked list: depth and sequence in the first word, the link in the second.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug)]
pub struct SLIST_HEADER {
    pub Alignment: u64,
    pub Region: u64,
}

/// Globally unique identifier.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GUID {
    pub Data1: u32,
    pub Data2: u16,
    pub Data3: u16,
    pub Data4: [u8; 8],
}

/// A process and one of its threads, by identifier.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CLIENT_ID {
    pub UniqueProcess: HANDLE,
    pub UniqueThread: HANDLE,
}

/// Name, root and attributes (`OBJ_*`) of an object to create or open.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OBJECT_ATTRIBUTES {
    pub Length: u32,
    pub RootDirectory: HANDLE,
    pub ObjectName: *mut UNICODE_STRING,
    pub Attributes: u32,
    pub SecurityDescriptor: *mut c_void,
    pub SecurityQualityOfService: *mut c_void,
}

/// How a request ended. The headers overlay `Status` with a reserved pointer, which nothing reads.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct IO_STATUS_BLOCK {
    pub Status: NTSTATUS,
    pub Information: usize,
}

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[repr(C)]
        pub struct $name {
            _opaque: [u8; 0],
        }
    )*};
}

opaque! {
    /// A process object, known by address only.
    EPROCESS,
    /// A thread object, known by address only.
    ETHREAD,
    /// The dispatcher's part of a thread object, known by address only.
    KTHREAD,
    /// The memory manager's and dispatcher's part of a process object, known by address only.
    KPROCESS,
    /// A device's one-second timer, known by address only.
    IO_TIMER,
    /// A work item bound to a device or driver, known by address only.
    IO_WORKITEM,
    /// An interrupt object, known by address only.
    KINTERRUPT,
    /// A type of object, such as `*IoFileObjectType`, known by address only.
    OBJECT_TYPE,
    /// A registered callback object, known by address only.
    CALLBACK_OBJECT,
    /// A SCSI request, which the storage stack's own headers lay out.
    SCSI_REQUEST_BLOCK,
    /// One tracked holder of a remove lock, known by address only.
    IO_REMOVE_LOCK_TRACKING_BLOCK,
    /// Resource requirements of a device, which this crate does not lay out.
    IO_RESOURCE_REQUIREMENTS_LIST,
    /// A timer with extended parameters, known by address only.
    EX_TIMER,
    /// Description of compressed data, which this crate does not lay out.
    COMPRESSED_DATA_INFO,
}
