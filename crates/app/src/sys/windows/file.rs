//! Files, folders and volumes.

use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{
    ERROR_NO_MORE_FILES, FILETIME, GetLastError, HANDLE, INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, CREATE_ALWAYS, CREATE_NEW, CreateDirectoryW, CreateFileW, DeleteFileW,
    FILE_ATTRIBUTE_NORMAL, FILE_BEGIN, FILE_CURRENT, FILE_DISPOSITION_INFO, FILE_END,
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_DELETE_ON_CLOSE, FILE_FLAG_OVERLAPPED, FILE_TYPE_CHAR,
    FILE_TYPE_DISK, FILE_TYPE_PIPE, FileDispositionInfo, FindClose, FindFirstFileW, FindNextFileW,
    GetDiskFreeSpaceExW, GetFileInformationByHandle, GetFileSizeEx, GetFileType,
    GetVolumeInformationByHandleW, LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx,
    MOVEFILE_REPLACE_EXISTING, MoveFileExW, OPEN_ALWAYS, OPEN_EXISTING, ReadDirectoryChangesW,
    RemoveDirectoryW, SetEndOfFile, SetFileInformationByHandle, SetFilePointerEx, SetVolumeLabelW,
    TRUNCATE_EXISTING, UnlockFileEx, WIN32_FIND_DATAW,
};
use windows_sys::Win32::System::IO::OVERLAPPED;

use super::{Handle, Transport, done, last_error, pointer, wide};
use crate::directory::FindData;
use crate::error::Win32Error;
use crate::file::{DiskSpace, Disposition, FileInformation, FileType, MoveMethod, VolumeInformation};
use crate::sys::{Create, Start};

/// UTF-16 units that a name of a volume has at most, with its terminating zero.
const NAME_UNITS: usize = 261;

/// As Win32 has it: a bare name is a device's, and a kernel path has a way in.
fn win32_path(path: &str) -> Vec<u16> {
    if path.starts_with(r"\\") || path.starts_with("//") {
        wide(path)
    } else if path.starts_with('\\') {
        wide(&format!(r"\\?\GLOBALROOT{path}"))
    } else {
        wide(&format!(r"\\.\{path}"))
    }
}

/// The text up to its terminating zero.
fn text(units: &[u16]) -> String {
    let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
    String::from_utf16_lossy(&units[..end])
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

fn halves(value: u64) -> (u32, u32) {
    let [low, high] = [value & 0xFFFF_FFFF, value >> 32].map(|half| u32::try_from(half).unwrap_or(0));
    (low, high)
}

fn time(time: FILETIME) -> i64 {
    pair(time.dwLowDateTime, time.dwHighDateTime).cast_signed()
}

fn named(function: &'static str, path: &str, result: i32) -> Result<(), Win32Error> {
    if result == 0 { Err(last_error(function, path)) } else { Ok(()) }
}

pub(crate) fn create_file(
    _transport: &dyn Transport,
    path: &str,
    create: &Create,
) -> Result<Handle, Win32Error> {
    let name = win32_path(path);
    let mut flags = FILE_ATTRIBUTE_NORMAL | create.security;
    let mut access = create.access;
    if create.overlapped {
        flags |= FILE_FLAG_OVERLAPPED;
    }
    if create.directory {
        flags |= FILE_FLAG_BACKUP_SEMANTICS;
    }
    if create.delete_on_close {
        flags |= FILE_FLAG_DELETE_ON_CLOSE;
        access |= abi::DELETE;
    }
    let disposition = match create.disposition {
        Disposition::CreateNew => CREATE_NEW,
        Disposition::CreateAlways => CREATE_ALWAYS,
        Disposition::OpenExisting => OPEN_EXISTING,
        Disposition::OpenAlways => OPEN_ALWAYS,
        Disposition::TruncateExisting => TRUNCATE_EXISTING,
    };
    // SAFETY: a path with its terminating zero; the others are values.
    let handle =
        unsafe { CreateFileW(name.as_ptr(), access, create.share, null(), disposition, flags, null_mut()) };
    if handle == INVALID_HANDLE_VALUE { Err(last_error("CreateFile", path)) } else { Ok(Handle::of(handle)) }
}

/// `begin` of what is particular to files.
///
/// # Safety
///
/// Buffer and OVERLAPPED stay until the request has ended.
pub(super) unsafe fn begin(file: HANDLE, start: &Start, overlapped: *mut OVERLAPPED) -> i32 {
    match *start {
        Start::DirectoryChanges { buffer, watch_subtree, filter } => {
            let (data, length) = (pointer(buffer.address), buffer.length);
            // SAFETY: the caller's contract.
            unsafe {
                ReadDirectoryChangesW(
                    file,
                    data,
                    length,
                    watch_subtree.into(),
                    filter,
                    null_mut(),
                    overlapped,
                    None,
                )
            }
        }
        Start::Lock { length, exclusive, fail_immediately, .. } => {
            let flags = if exclusive { LOCKFILE_EXCLUSIVE_LOCK } else { 0 }
                | if fail_immediately { LOCKFILE_FAIL_IMMEDIATELY } else { 0 };
            let (low, high) = halves(length);
            // SAFETY: the caller's contract.
            unsafe { LockFileEx(file, flags, 0, low, high, overlapped) }
        }
        _ => 0,
    }
}

pub(crate) fn set_file_pointer(
    _transport: &dyn Transport,
    handle: Handle,
    distance: i64,
    method: MoveMethod,
) -> Result<u64, Win32Error> {
    let method = match method {
        MoveMethod::Begin => FILE_BEGIN,
        MoveMethod::Current => FILE_CURRENT,
        MoveMethod::End => FILE_END,
    };
    let mut to = 0;
    // SAFETY: `to` can be written.
    done("SetFilePointerEx", unsafe { SetFilePointerEx(handle.raw(), distance, &raw mut to, method) })?;
    Ok(to.cast_unsigned())
}

pub(crate) fn set_end_of_file(_transport: &dyn Transport, handle: Handle) -> Result<(), Win32Error> {
    // SAFETY: takes a value.
    done("SetEndOfFile", unsafe { SetEndOfFile(handle.raw()) })
}

pub(crate) fn file_size(_transport: &dyn Transport, handle: Handle) -> Result<u64, Win32Error> {
    let mut size = 0;
    // SAFETY: `size` can be written.
    done("GetFileSizeEx", unsafe { GetFileSizeEx(handle.raw(), &raw mut size) })?;
    Ok(size.cast_unsigned())
}

pub(crate) fn file_information(
    _transport: &dyn Transport,
    handle: Handle,
) -> Result<FileInformation, Win32Error> {
    let mut told = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: `told` can be written.
    let result = unsafe { GetFileInformationByHandle(handle.raw(), &raw mut told) };
    done("GetFileInformationByHandle", result)?;
    Ok(FileInformation {
        attributes: told.dwFileAttributes,
        creation_time: time(told.ftCreationTime),
        last_access_time: time(told.ftLastAccessTime),
        last_write_time: time(told.ftLastWriteTime),
        volume_serial_number: told.dwVolumeSerialNumber,
        size: pair(told.nFileSizeLow, told.nFileSizeHigh),
        links: told.nNumberOfLinks,
        index: pair(told.nFileIndexLow, told.nFileIndexHigh),
    })
}

pub(crate) fn file_type(_transport: &dyn Transport, handle: Handle) -> Result<FileType, Win32Error> {
    // SAFETY: sets a value of the thread.
    unsafe { windows_sys::Win32::Foundation::SetLastError(0) };
    // SAFETY: takes a value.
    let told = unsafe { GetFileType(handle.raw()) };
    // SAFETY: reads the thread's last error.
    let code = unsafe { GetLastError() };
    match told {
        FILE_TYPE_DISK => Ok(FileType::Disk),
        FILE_TYPE_CHAR => Ok(FileType::Char),
        FILE_TYPE_PIPE => Ok(FileType::Pipe),
        _ if code != 0 => Err(last_error("GetFileType", "")),
        _ => Ok(FileType::Unknown),
    }
}

pub(crate) fn volume_information(
    _transport: &dyn Transport,
    handle: Handle,
) -> Result<VolumeInformation, Win32Error> {
    let (mut label, mut system) = ([0_u16; NAME_UNITS], [0_u16; NAME_UNITS]);
    let (mut serial, mut longest, mut flags) = (0, 0, 0);
    let units = u32::try_from(NAME_UNITS).unwrap_or(0);
    // SAFETY: all can be written, and the names have so many units.
    let result = unsafe {
        GetVolumeInformationByHandleW(
            handle.raw(),
            label.as_mut_ptr(),
            units,
            &raw mut serial,
            &raw mut longest,
            &raw mut flags,
            system.as_mut_ptr(),
            units,
        )
    };
    done("GetVolumeInformationByHandleW", result)?;
    Ok(VolumeInformation {
        label: text(&label),
        serial_number: serial,
        maximum_component_length: longest,
        flags,
        file_system: text(&system),
    })
}

pub(crate) fn disk_free_space(_transport: &dyn Transport, directory: &str) -> Result<DiskSpace, Win32Error> {
    let name = win32_path(directory);
    let (mut available, mut total, mut free) = (0, 0, 0);
    // SAFETY: a path with its terminating zero; the others can be written.
    let result =
        unsafe { GetDiskFreeSpaceExW(name.as_ptr(), &raw mut available, &raw mut total, &raw mut free) };
    named("GetDiskFreeSpaceEx", directory, result)?;
    Ok(DiskSpace { available, total, free })
}

pub(crate) fn set_volume_label(
    _transport: &dyn Transport,
    root: &str,
    label: &str,
) -> Result<(), Win32Error> {
    let (name, text) = (win32_path(root), wide(label));
    // SAFETY: two texts with their terminating zeroes.
    named("SetVolumeLabel", root, unsafe { SetVolumeLabelW(name.as_ptr(), text.as_ptr()) })
}

pub(crate) fn set_delete(_transport: &dyn Transport, handle: Handle, delete: bool) -> Result<(), Win32Error> {
    let information = FILE_DISPOSITION_INFO { DeleteFile: delete };
    let size = u32::try_from(size_of_val(&information)).unwrap_or(0);
    // SAFETY: the information has so many bytes.
    let result = unsafe {
        SetFileInformationByHandle(handle.raw(), FileDispositionInfo, (&raw const information).cast(), size)
    };
    done("SetFileInformationByHandle", result)
}

pub(crate) fn delete_file(_transport: &dyn Transport, path: &str) -> Result<(), Win32Error> {
    let name = win32_path(path);
    // SAFETY: a path with its terminating zero.
    named("DeleteFile", path, unsafe { DeleteFileW(name.as_ptr()) })
}

pub(crate) fn move_file(
    _transport: &dyn Transport,
    from: &str,
    to: &str,
    replace: bool,
) -> Result<(), Win32Error> {
    let (old, new) = (win32_path(from), win32_path(to));
    let flags = if replace { MOVEFILE_REPLACE_EXISTING } else { 0 };
    // SAFETY: two paths with their terminating zeroes.
    named("MoveFileEx", from, unsafe { MoveFileExW(old.as_ptr(), new.as_ptr(), flags) })
}

pub(crate) fn remove_directory(_transport: &dyn Transport, path: &str) -> Result<(), Win32Error> {
    let name = win32_path(path);
    // SAFETY: a path with its terminating zero.
    named("RemoveDirectory", path, unsafe { RemoveDirectoryW(name.as_ptr()) })
}

pub(crate) fn create_directory(_transport: &dyn Transport, path: &str) -> Result<(), Win32Error> {
    let name = win32_path(path);
    // SAFETY: a path with its terminating zero.
    named("CreateDirectory", path, unsafe { CreateDirectoryW(name.as_ptr(), null()) })
}

/// A search.
#[derive(Debug)]
pub(crate) struct FindHandle<'a> {
    handle: Handle,
    transport: std::marker::PhantomData<&'a ()>,
}

impl Drop for FindHandle<'_> {
    fn drop(&mut self) {
        // SAFETY: this one's own, and used no more.
        let _closed = unsafe { FindClose(self.handle.raw()) };
    }
}

fn found(data: &WIN32_FIND_DATAW) -> FindData {
    FindData {
        attributes: data.dwFileAttributes,
        creation_time: time(data.ftCreationTime),
        last_access_time: time(data.ftLastAccessTime),
        last_write_time: time(data.ftLastWriteTime),
        size: pair(data.nFileSizeLow, data.nFileSizeHigh),
        name: text(&data.cFileName),
        short_name: text(&data.cAlternateFileName),
    }
}

pub(crate) fn find_first_file<'a>(
    _transport: &'a dyn Transport,
    path: &str,
) -> Result<(FindHandle<'a>, FindData), Win32Error> {
    let name = win32_path(path);
    let mut data = WIN32_FIND_DATAW::default();
    // SAFETY: a path with its terminating zero; `data` can be written.
    let handle = unsafe { FindFirstFileW(name.as_ptr(), &raw mut data) };
    if handle == INVALID_HANDLE_VALUE {
        return Err(last_error("FindFirstFile", path));
    }
    let handle = FindHandle { handle: Handle::of(handle), transport: std::marker::PhantomData };
    Ok((handle, found(&data)))
}

/// `None`: there are no more.
pub(crate) fn find_next_file(handle: &mut FindHandle<'_>) -> Result<Option<FindData>, Win32Error> {
    let mut data = WIN32_FIND_DATAW::default();
    // SAFETY: `data` can be written.
    if unsafe { FindNextFileW(handle.handle.raw(), &raw mut data) } != 0 {
        return Ok(Some(found(&data)));
    }
    let error = last_error("FindNextFile", "");
    if error.code == ERROR_NO_MORE_FILES { Ok(None) } else { Err(error) }
}

pub(crate) fn unlock(
    _transport: &dyn Transport,
    handle: Handle,
    offset: u64,
    length: u64,
) -> Result<(), Win32Error> {
    let mut overlapped = OVERLAPPED::default();
    overlapped.Anonymous.Pointer = pointer(offset);
    let (low, high) = halves(length);
    // SAFETY: the call has ended when it returns, on every file.
    done("UnlockFileEx", unsafe { UnlockFileEx(handle.raw(), 0, low, high, &raw mut overlapped) })
}
