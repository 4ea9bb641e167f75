//! Files of a volume: positions, ends, what a file and its volume are, deletion, folders, locked ranges.
//!
//! A file is a [`Device`]: what is below a device's name is opened like the device itself.

use crate::buffer::Buffer;
use crate::device::Device;
use crate::error::Win32Error;
use crate::overlapped::{Operation, Overlapped, Refused};
use crate::sys::{self, Start, Transport};

/// `dwMoveMethod`: what a distance counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveMethod {
    /// FILE_BEGIN.
    Begin,
    /// FILE_CURRENT.
    Current,
    /// FILE_END.
    End,
}

/// `dwCreationDisposition`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disposition {
    /// CREATE_NEW: ERROR_FILE_EXISTS (80) where there is one.
    CreateNew,
    /// CREATE_ALWAYS: an existing one becomes empty.
    CreateAlways,
    /// OPEN_EXISTING: ERROR_FILE_NOT_FOUND (2) where there is none.
    #[default]
    OpenExisting,
    /// OPEN_ALWAYS: makes one where there is none.
    OpenAlways,
    /// TRUNCATE_EXISTING: an existing one becomes empty; wants GENERIC_WRITE.
    TruncateExisting,
}

/// `BY_HANDLE_FILE_INFORMATION`. Times are in units of 100 ns since the beginning of 1601, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileInformation {
    /// FILE_ATTRIBUTE_*.
    pub attributes: u32,
    /// When it was made.
    pub creation_time: i64,
    /// When it was read.
    pub last_access_time: i64,
    /// When it was written to.
    pub last_write_time: i64,
    /// The volume's serial number.
    pub volume_serial_number: u32,
    /// Bytes.
    pub size: u64,
    /// Names that it has.
    pub links: u32,
    /// What tells it from the volume's other files.
    pub index: u64,
}

/// What `GetFileType` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// FILE_TYPE_UNKNOWN.
    Unknown,
    /// FILE_TYPE_DISK: a file of a volume.
    Disk,
    /// FILE_TYPE_CHAR: a device of characters.
    Char,
    /// FILE_TYPE_PIPE.
    Pipe,
}

/// What `GetVolumeInformation` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeInformation {
    /// The volume's label.
    pub label: String,
    /// Its serial number.
    pub serial_number: u32,
    /// UTF-16 units that the part of a path between two backslashes may have.
    pub maximum_component_length: u32,
    /// FILE_CASE_PRESERVED_NAMES and its kin.
    pub flags: u32,
    /// The file system's name.
    pub file_system: String,
}

/// What `GetDiskFreeSpaceEx` says, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskSpace {
    /// Free, for the caller.
    pub available: u64,
    /// All.
    pub total: u64,
    /// Free.
    pub free: u64,
}

/// What `LockFileEx` is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockOptions {
    /// LOCKFILE_EXCLUSIVE_LOCK: nobody else may read there either.
    pub exclusive: bool,
    /// LOCKFILE_FAIL_IMMEDIATELY: ERROR_LOCK_VIOLATION (33) instead of a wait.
    pub fail_immediately: bool,
}

/// `DeleteFile`.
///
/// # Errors
/// ERROR_FILE_NOT_FOUND (2), ERROR_ACCESS_DENIED (5), ERROR_SHARING_VIOLATION (32), or the driver's.
pub fn delete_file(transport: &dyn Transport, path: &str) -> Result<(), Win32Error> {
    sys::delete_file(transport, path)
}

/// `CreateDirectory`.
///
/// # Errors
/// ERROR_ALREADY_EXISTS (183), ERROR_PATH_NOT_FOUND (3), or the driver's.
pub fn create_directory(transport: &dyn Transport, path: &str) -> Result<(), Win32Error> {
    sys::create_directory(transport, path)
}

/// `RemoveDirectory`.
///
/// # Errors
/// ERROR_FILE_NOT_FOUND (2), ERROR_DIR_NOT_EMPTY (145), ERROR_DIRECTORY (267) for a file, or the driver's.
pub fn remove_directory(transport: &dyn Transport, path: &str) -> Result<(), Win32Error> {
    sys::remove_directory(transport, path)
}

/// `MoveFileEx`, with MOVEFILE_REPLACE_EXISTING if `replace`: within a volume.
///
/// # Errors
/// ERROR_FILE_NOT_FOUND (2), ERROR_ALREADY_EXISTS (183), ERROR_ACCESS_DENIED (5), ERROR_NOT_SAME_DEVICE (17), or the driver's.
pub fn move_file(transport: &dyn Transport, from: &str, to: &str, replace: bool) -> Result<(), Win32Error> {
    sys::move_file(transport, from, to, replace)
}

/// `GetDiskFreeSpaceEx` of the volume that a folder is on.
///
/// # Errors
/// What opening it fails with, or the driver's.
pub fn disk_free_space(transport: &dyn Transport, directory: &str) -> Result<DiskSpace, Win32Error> {
    sys::disk_free_space(transport, directory)
}

/// `SetVolumeLabel` of the volume whose root folder this is.
///
/// # Errors
/// What opening it fails with, ERROR_ACCESS_DENIED (5), or the driver's.
pub fn set_volume_label(transport: &dyn Transport, root: &str, label: &str) -> Result<(), Win32Error> {
    sys::set_volume_label(transport, root, label)
}

impl Device<'_> {
    /// `SetFilePointerEx`: where the next read or write without an offset begins; returns that, in bytes from the beginning. Of a file that is
    /// not [`overlapped`](crate::OpenOptions::overlapped).
    ///
    /// # Errors
    /// ERROR_NEGATIVE_SEEK (131) for a place before the beginning; from the end also the driver's.
    pub fn set_file_pointer(&self, distance: i64, method: MoveMethod) -> Result<u64, Win32Error> {
        sys::set_file_pointer(self.transport(), self.handle(), distance, method)
    }

    /// `SetEndOfFile`: the file ends where its pointer is.
    ///
    /// # Errors
    /// ERROR_ACCESS_DENIED (5) without write access, or the driver's.
    pub fn set_end_of_file(&self) -> Result<(), Win32Error> {
        sys::set_end_of_file(self.transport(), self.handle())
    }

    /// `GetFileSizeEx`, in bytes.
    ///
    /// # Errors
    /// The driver's.
    pub fn file_size(&self) -> Result<u64, Win32Error> {
        sys::file_size(self.transport(), self.handle())
    }

    /// `GetFileInformationByHandle`.
    ///
    /// # Errors
    /// The driver's.
    pub fn file_information(&self) -> Result<FileInformation, Win32Error> {
        sys::file_information(self.transport(), self.handle())
    }

    /// `GetFileType`.
    ///
    /// # Errors
    /// ERROR_INVALID_HANDLE (6), or that the host is gone.
    pub fn file_type(&self) -> Result<FileType, Win32Error> {
        sys::file_type(self.transport(), self.handle())
    }

    /// `GetVolumeInformationByHandleW`: the volume that the file is on.
    ///
    /// # Errors
    /// The driver's.
    pub fn volume_information(&self) -> Result<VolumeInformation, Win32Error> {
        sys::volume_information(self.transport(), self.handle())
    }

    /// `SetFileInformationByHandle(…, FileDispositionInfo)`: whether the file goes when its last handle is closed.
    ///
    /// # Errors
    /// ERROR_ACCESS_DENIED (5) without DELETE access, or the driver's.
    pub fn set_delete(&self, delete: bool) -> Result<(), Win32Error> {
        sys::set_delete(self.transport(), self.handle(), delete)
    }

    /// `FlushFileBuffers`.
    ///
    /// # Errors
    /// ERROR_ACCESS_DENIED (5) without write access, or the driver's.
    pub fn flush_file_buffers(&self) -> Result<(), Win32Error> {
        sys::flush(self.transport(), self.handle())
    }

    /// `LockFileEx`: keeps `length` bytes from `offset` on for this file, and waits for that while others have them.
    ///
    /// # Errors
    /// ERROR_ACCESS_DENIED (5) without read or write access, ERROR_LOCK_VIOLATION (33), or the driver's.
    pub fn lock(&self, offset: u64, length: u64, options: LockOptions) -> Result<(), Win32Error> {
        let buffer = Buffer::new(self.transport(), 0)?;
        let operation = self.lock_overlapped(length, options, buffer, &Overlapped::new().offset(offset));
        operation.map_err(|refused| refused.error)?.finish().result.map(|_| ())
    }

    /// `LockFileEx` with an OVERLAPPED, whose offset is the range's. `buffer` needs no bytes.
    ///
    /// # Errors
    /// As for [`Device::lock`]; nothing has begun then, and nothing is signaled.
    pub fn lock_overlapped<'d>(
        &'d self,
        length: u64,
        options: LockOptions,
        buffer: Buffer,
        overlapped: &Overlapped<'d>,
    ) -> Result<Operation<'d>, Refused> {
        let LockOptions { exclusive, fail_immediately } = options;
        let start = Start::Lock { offset: overlapped.at(), length, exclusive, fail_immediately };
        self.begin_with(start, buffer, overlapped)
    }

    /// `UnlockFileEx`: gives a range back, exactly as it was locked.
    ///
    /// # Errors
    /// ERROR_NOT_LOCKED (158), or the driver's.
    pub fn unlock(&self, offset: u64, length: u64) -> Result<(), Win32Error> {
        sys::unlock(self.transport(), self.handle(), offset, length)
    }
}
