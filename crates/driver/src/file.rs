//! Files that a driver opens for itself, such as named pipes.

use core::ptr;

use abi::{
    FILE_OPEN, FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_SYNCHRONOUS_IO_NONALERT, HANDLE, IO_STATUS_BLOCK,
    NTSTATUS, OBJ_CASE_INSENSITIVE, OBJ_FORCE_ACCESS_CHECK, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES,
    STATUS_INVALID_PARAMETER, STATUS_SUCCESS, SYNCHRONIZE,
};

use crate::nt::{ZwClose, ZwCreateFile, ZwReadFile, ZwSetInformationFile, ZwWriteFile};
use crate::{PassiveLevel, UnicodeStr};

/// An open file, by a kernel handle, for synchronous I/O: it can be used in any process, and calls return when they have ended.
/// Dropping it closes the handle.
pub struct File {
    handle: HANDLE,
}

// SAFETY: a kernel handle is good in every thread.
unsafe impl Send for File {}
// SAFETY: as above.
unsafe impl Sync for File {}

#[expect(clippy::cast_possible_truncation, reason = "48")]
const ATTRIBUTES_LENGTH: u32 = size_of::<OBJECT_ATTRIBUTES>() as u32;

fn length(bytes: usize) -> Result<u32, NTSTATUS> {
    u32::try_from(bytes).map_err(|_| STATUS_INVALID_PARAMETER)
}

const NO_STATUS: IO_STATUS_BLOCK = IO_STATUS_BLOCK { Status: STATUS_SUCCESS, Information: 0 };

impl File {
    /// Opens what exists at an NT path (`\??\pipe\name`), with `access` (GENERIC_READ, FILE_WRITE_DATA, …) and shared
    /// (`ZwCreateFile`). The rights of kernel mode are not checked.
    ///
    /// # Errors
    ///
    /// What the path's look-up and the file's driver say.
    pub fn open(level: PassiveLevel, path: UnicodeStr<'_>, access: u32) -> Result<Self, NTSTATUS> {
        Self::open_with(level, path, access, 0)
    }

    /// As [`open`](Self::open), with the rights of who this runs for: for a name that an application gives, in its request
    /// (OBJ_FORCE_ACCESS_CHECK).
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open); STATUS_ACCESS_DENIED.
    pub fn open_checked(level: PassiveLevel, path: UnicodeStr<'_>, access: u32) -> Result<Self, NTSTATUS> {
        Self::open_with(level, path, access, OBJ_FORCE_ACCESS_CHECK)
    }

    fn open_with(
        _level: PassiveLevel,
        path: UnicodeStr<'_>,
        access: u32,
        more: u32,
    ) -> Result<Self, NTSTATUS> {
        let mut attributes = OBJECT_ATTRIBUTES {
            Length: ATTRIBUTES_LENGTH,
            RootDirectory: ptr::null_mut(),
            ObjectName: path.as_raw().cast_mut(),
            Attributes: OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE | more,
            SecurityDescriptor: ptr::null_mut(),
            SecurityQualityOfService: ptr::null_mut(),
        };
        let (mut handle, mut block) = (ptr::null_mut(), NO_STATUS);
        // SAFETY: valid for the call, which does not change the name.
        let status = unsafe {
            ZwCreateFile(
                &raw mut handle,
                access | SYNCHRONIZE,
                &raw mut attributes,
                &raw mut block,
                ptr::null_mut(),
                0,
                FILE_SHARE_READ | FILE_SHARE_WRITE,
                FILE_OPEN,
                FILE_SYNCHRONOUS_IO_NONALERT,
                ptr::null_mut(),
                0,
            )
        };
        if status.is_success() { Ok(Self { handle }) } else { Err(status) }
    }

    /// Reads at the current position into the front of `buffer`, which is pool or on the stack (`ZwReadFile`). The status besides the
    /// number of bytes is a success or a warning, such as STATUS_BUFFER_OVERFLOW for the beginning of a message.
    ///
    /// # Errors
    ///
    /// What the file's driver says.
    pub fn read(&self, _level: PassiveLevel, buffer: &mut [u8]) -> Result<(usize, NTSTATUS), NTSTATUS> {
        let mut block = NO_STATUS;
        let room = length(buffer.len())?;
        // SAFETY: the buffer has so many bytes; on a synchronous file the request has ended when the call returns.
        let status = unsafe {
            ZwReadFile(
                self.handle,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
                &raw mut block,
                buffer.as_mut_ptr().cast(),
                room,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        if status.is_error() { Err(status) } else { Ok((block.Information.min(buffer.len()), status)) }
    }

    /// Writes at the current position (`ZwWriteFile`); how many bytes were taken.
    ///
    /// # Errors
    ///
    /// What the file's driver says.
    pub fn write(&self, _level: PassiveLevel, data: &[u8]) -> Result<usize, NTSTATUS> {
        let mut block = NO_STATUS;
        let count = length(data.len())?;
        // SAFETY: so many bytes, which the file's driver only reads; as in `read`.
        let status = unsafe {
            ZwWriteFile(
                self.handle,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
                &raw mut block,
                data.as_ptr().cast_mut().cast(),
                count,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        if status.is_error() { Err(status) } else { Ok(block.Information) }
    }

    /// Changes what the file is (`ZwSetInformationFile`).
    ///
    /// # Errors
    ///
    /// What the file's driver says.
    pub fn set_information(&self, _level: PassiveLevel, class: i32, data: &[u8]) -> Result<(), NTSTATUS> {
        let mut block = NO_STATUS;
        let count = length(data.len())?;
        let data = data.as_ptr().cast_mut().cast();
        // SAFETY: so many bytes, which are only read.
        let status = unsafe { ZwSetInformationFile(self.handle, &raw mut block, data, count, class) };
        if status.is_error() { Err(status) } else { Ok(()) }
    }
}

impl Drop for File {
    /// IRQL: PASSIVE_LEVEL.
    fn drop(&mut self) {
        // SAFETY: this value's own, closed once.
        let _closed = unsafe { ZwClose(self.handle) };
    }
}
