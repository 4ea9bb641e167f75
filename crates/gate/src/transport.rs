//! `Transport`: how an application reaches a kernel, whether in the same process or another.
//!
//! What the requests mean is the kernel's matter; how they travel is the implementation's. Names are NT
//! paths (`\??\Name`); turning Win32 names and errors into NT's and back is left to `app`.

use std::fmt::Debug;

use abi::NTSTATUS;

use crate::security_qos::SecurityQos;
use crate::system_call::{SystemCall, SystemReply};
use crate::view::View;

/// A handle of the application's process in a kernel: a non-zero multiple of four, as on NT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub u32);

impl Handle {
    /// What a driver gets that is passed this handle: 64 bits.
    #[must_use]
    pub fn value(self) -> u64 {
        u64::from(self.0)
    }
}

/// The two words of an IO_STATUS_BLOCK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoStatus {
    /// The request's final status.
    pub status: NTSTATUS,
    /// Request-dependent; for transfers the number of bytes.
    pub information: u64,
}

/// What `NtCreateFile` is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct CreateFile<'a> {
    /// NT path, in UTF-16 without a terminating zero, for example `\??\My_Device`.
    pub path: &'a [u16],
    /// Access mask; generic bits allowed.
    pub desired_access: u32,
    /// FILE_ATTRIBUTE_*.
    pub file_attributes: u32,
    /// FILE_SHARE_*.
    pub share_access: u32,
    /// FILE_OPEN, FILE_CREATE, …
    pub create_disposition: u32,
    /// FILE_SYNCHRONOUS_IO_NONALERT, …
    pub create_options: u32,
    /// What whoever is opened may do with the application's token; `None` for what is usual.
    pub security_qos: Option<SecurityQos>,
}

/// One entry of an object directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The object's name, without its directory.
    pub name: String,
    /// The object type's name: `Device`, `SymbolicLink`, `Directory`, `Event`, …
    pub type_name: String,
    /// A symbolic link's target; empty for other types.
    pub target: String,
}

/// One process's way into a kernel. Calls block the calling thread until they are answered.
///
/// Errors are NT's status codes. An implementation that has lost its kernel (the host died, the machine
/// halted) answers `STATUS_DEVICE_NOT_CONNECTED` at once.
pub trait Transport: Send + Sync {
    /// `NtCreateFile`. Returns the handle and FILE_OPENED, FILE_CREATED, … as information.
    ///
    /// # Errors
    /// The status of the create request; no handle exists then.
    fn create_file(&self, request: &CreateFile<'_>) -> Result<(Handle, u64), NTSTATUS>;

    /// `NtClose`. `STATUS_INVALID_HANDLE` when there is no such handle.
    fn close(&self, handle: Handle) -> NTSTATUS;

    /// `NtDuplicateObject` within the process: another handle to the same object. `access` as for the object's type; ignored
    /// with DUPLICATE_SAME_ACCESS among the `options`.
    ///
    /// # Errors
    /// `STATUS_INVALID_HANDLE`; `STATUS_ACCESS_DENIED` for more rights than the handle has.
    fn duplicate_handle(&self, handle: Handle, access: u32, options: u32) -> Result<Handle, NTSTATUS>;

    /// `NtReadFile` at `offset` bytes (`None`: the file's current position). Fills the front of `buffer`.
    fn read(&self, handle: Handle, buffer: &mut [u8], offset: Option<u64>) -> IoStatus;

    /// `NtWriteFile` at `offset` bytes (`None`: the file's current position).
    fn write(&self, handle: Handle, data: &[u8], offset: Option<u64>) -> IoStatus;

    /// `NtDeviceIoControlFile`.
    fn device_control(&self, handle: Handle, code: u32, input: &[u8], output: &mut [u8]) -> IoStatus;

    /// The content of an object directory (`NtOpenDirectoryObject`, `NtQueryDirectoryObject`), by NT path.
    ///
    /// # Errors
    /// `STATUS_OBJECT_NAME_NOT_FOUND`, `STATUS_OBJECT_TYPE_MISMATCH`, `STATUS_ACCESS_DENIED`.
    fn query_directory(&self, path: &[u16]) -> Result<Vec<DirectoryEntry>, NTSTATUS>;

    /// Any other system call. `output` is for those that say so; it is not read.
    fn system_call(&self, call: &SystemCall<'_>, output: &mut [u8]) -> SystemReply;

    /// Zeroed memory of `length` bytes that drivers see at the address at which the application sees it, beginning on a page.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    fn allocate_memory(&self, length: u32) -> Result<Box<dyn SharedMemory>, NTSTATUS>;

    /// Access to `length` bytes at `address` that the kernel shows this process now: a view of a section, or memory that a driver has
    /// mapped.
    ///
    /// # Errors
    /// `STATUS_ACCESS_VIOLATION` when not all of it is shown.
    fn view(&self, address: u64, length: u64) -> Result<View, NTSTATUS>;

    /// Whether calls can still succeed: the kernel is there, and its machine runs.
    fn is_connected(&self) -> bool;
}

/// Memory of an application that requests can use while they go on. A driver may change it at any time, so what is read is
/// a copy. Dropping it gives it back.
pub trait SharedMemory: Debug + Send + Sync {
    /// Where it starts, for the application and for drivers.
    fn address(&self) -> u64;

    /// Bytes.
    fn len(&self) -> u32;

    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `target` from the bytes at `start`.
    ///
    /// # Panics
    /// If they are not all inside, and in a forked child of the process that connected.
    fn read(&self, start: u32, target: &mut [u8]);

    /// Overwrites the bytes at `start`.
    ///
    /// # Panics
    /// If they are not all inside, and in a forked child of the process that connected.
    fn write(&mut self, start: u32, source: &[u8]);

    /// The 32-bit word at `start`, a multiple of four, read once; what was written before it is seen after it.
    ///
    /// # Panics
    /// As for [`Self::read`].
    fn load(&self, start: u32) -> u32;
}
