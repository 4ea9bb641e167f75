//! Win32's types, as far as functions of this room take them.
#![allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "these are Win32's names")]

use std::ffi::c_void;

/// A truth value: 0 or not.
pub type BOOL = i32;
/// True.
pub const TRUE: BOOL = 1;
/// False.
pub const FALSE: BOOL = 0;
/// Waits for ever, in milliseconds.
pub const INFINITE: u32 = u32::MAX;

/// A handle: a machine's, or one of the values below.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HANDLE(pub usize);

impl HANDLE {
    /// None.
    pub const NULL: Self = Self(0);
    /// What `CreateFile` answers when it fails; the current process, too.
    pub const INVALID: Self = Self(usize::MAX);
    /// The current thread.
    pub const CURRENT_THREAD: Self = Self(usize::MAX - 1);
}

/// The state of a request, and where in the file it is. 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OVERLAPPED {
    /// The status: STATUS_PENDING while it goes on.
    pub internal: u64,
    /// Bytes transferred.
    pub internal_high: u64,
    /// Low half of the offset in the file, in bytes.
    pub offset: u32,
    /// Its high half.
    pub offset_high: u32,
    /// Signaled at the end. With its lowest bit set no completion port is told.
    pub event: HANDLE,
}

const _: () = assert!(size_of::<OVERLAPPED>() == 32);

/// NT's state of a request; the front of an [`OVERLAPPED`]. 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct IO_STATUS_BLOCK {
    /// The status, in the low half.
    pub status: u64,
    /// Bytes, mostly.
    pub information: u64,
}

const _: () = assert!(size_of::<IO_STATUS_BLOCK>() == 16);

/// What a completion port tells of one request. 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OVERLAPPED_ENTRY {
    /// The file's key.
    pub key: usize,
    /// The request's OVERLAPPED.
    pub overlapped: usize,
    /// Its status.
    pub internal: u64,
    /// Bytes transferred.
    pub bytes: u32,
}

const _: () = assert!(size_of::<OVERLAPPED_ENTRY>() == 32);

/// A counted UTF-16 string. 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct UNICODE_STRING {
    /// Bytes.
    pub length: u16,
    /// Bytes that there is room for.
    pub maximum_length: u16,
    /// The units.
    pub buffer: crate::Pointer<u16>,
}

const _: () = assert!(size_of::<UNICODE_STRING>() == 16);

/// What an NT call that opens is asked for. 48 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OBJECT_ATTRIBUTES {
    /// 48.
    pub length: u32,
    /// Where the name begins; NULL for the root.
    pub root_directory: HANDLE,
    /// The name.
    pub object_name: crate::Pointer<UNICODE_STRING>,
    /// OBJ_*.
    pub attributes: u32,
    /// Not looked at.
    pub security_descriptor: crate::Pointer<c_void>,
    /// How a server may act for who opens, a SECURITY_QUALITY_OF_SERVICE; NULL for what is usual.
    pub security_quality_of_service: crate::Pointer<c_void>,
}

const _: () = assert!(size_of::<OBJECT_ATTRIBUTES>() == 48);

/// A section that one end of a port shows the other. 48 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PORT_VIEW {
    /// 48.
    pub length: u32,
    /// The section.
    pub section: HANDLE,
    /// Offset in it, in bytes.
    pub offset: u32,
    /// Bytes; 0 for all up to its end.
    pub size: usize,
    /// Where it is in the own process.
    pub base: usize,
    /// Where it is in the other end's process.
    pub remote_base: usize,
}

const _: () = assert!(size_of::<PORT_VIEW>() == 48);

/// The other end's view, in the own process. 24 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct REMOTE_PORT_VIEW {
    /// 24.
    pub length: u32,
    /// Bytes.
    pub size: usize,
    /// Where it is.
    pub base: usize,
}

const _: () = assert!(size_of::<REMOTE_PORT_VIEW>() == 24);

/// What a thread runs.
pub type ThreadRoutine = extern "C-unwind" fn(*mut c_void) -> u32;
/// What `ReadFileEx` has run: error code, bytes, the OVERLAPPED.
pub type CompletionRoutine = extern "C" fn(u32, u32, *mut OVERLAPPED);
/// What `NtReadFile` has run: context, status block, 0.
pub type ApcRoutine = extern "C" fn(*mut c_void, *mut IO_STATUS_BLOCK, u32);
