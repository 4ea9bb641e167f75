//! Files, folders and volumes.

use std::mem::offset_of;

use abi::NTSTATUS;
use gate::{CreateFile, FileCall, Handle, LockedRange, SecurityQos, SystemCall, Transport};

use super::{close, done};
use crate::buffer::Buffer;
use crate::directory::{FindData, text};
use crate::error::Win32Error;
use crate::file::{DiskSpace, Disposition, FileInformation, FileType, MoveMethod, VolumeInformation};
use crate::path::nt_path;
use crate::sys::Create;

/// Bytes that a name of a volume, or of a file in an answer, has at most.
const NAME_ROOM: usize = 512;
const ROOM: usize = 64 + NAME_ROOM;
/// Bytes of entries that are asked for at once.
const ENTRIES: u32 = 4096;

/// What CreateFile always adds.
const ALWAYS: u32 = abi::SYNCHRONIZE | abi::FILE_READ_ATTRIBUTES;
const SHARE_ALL: u32 = abi::FILE_SHARE_READ | abi::FILE_SHARE_WRITE | abi::FILE_SHARE_DELETE;

fn disposition(disposition: Disposition) -> u32 {
    match disposition {
        Disposition::CreateNew => abi::FILE_CREATE,
        Disposition::CreateAlways => abi::FILE_OVERWRITE_IF,
        Disposition::OpenExisting => abi::FILE_OPEN,
        Disposition::OpenAlways => abi::FILE_OPEN_IF,
        Disposition::TruncateExisting => abi::FILE_OVERWRITE,
    }
}

pub(crate) fn create_file(
    transport: &dyn Transport,
    path: &str,
    create: &Create,
) -> Result<Handle, Win32Error> {
    let mut access = create.access | ALWAYS;
    let mut options = if create.overlapped { 0 } else { abi::FILE_SYNCHRONOUS_IO_NONALERT };
    if create.delete_on_close {
        access |= abi::DELETE;
        options |= abi::FILE_DELETE_ON_CLOSE;
    }
    options |= if create.directory { abi::FILE_OPEN_FOR_BACKUP_INTENT } else { abi::FILE_NON_DIRECTORY_FILE };
    let qos = SecurityQos::from_flags(create.security);
    let security_qos = qos.map_err(|status| Win32Error::new("CreateFile", path, status))?;
    let request = CreateFile {
        path: &nt_path(path),
        desired_access: access,
        file_attributes: abi::FILE_ATTRIBUTE_NORMAL,
        share_access: create.share,
        create_disposition: disposition(create.disposition),
        create_options: options,
        security_qos,
    };
    transport.create_file(&request).map(|(handle, _)| handle).map_err(|status| {
        let mut error = Win32Error::new("CreateFile", path, status);
        if status == abi::STATUS_OBJECT_NAME_COLLISION {
            // CreateFile's own mapping of this status.
            error.code = abi::ERROR_FILE_EXISTS;
        }
        error
    })
}

/// Opens what a function needs for itself, for synchronous I/O.
fn open(
    transport: &dyn Transport,
    function: &'static str,
    path: &str,
    (access, disposition, options): (u32, u32, u32),
) -> Result<Handle, Win32Error> {
    let request = CreateFile {
        path: &nt_path(path),
        desired_access: access | abi::SYNCHRONIZE,
        file_attributes: abi::FILE_ATTRIBUTE_NORMAL,
        share_access: SHARE_ALL,
        create_disposition: disposition,
        create_options: options | abi::FILE_SYNCHRONOUS_IO_NONALERT,
        security_qos: None,
    };
    let opened = transport.create_file(&request);
    opened.map(|(handle, _)| handle).map_err(|status| Win32Error::new(function, path, status))
}

/// An answer's bytes, as many as there are; what does not fit is left out.
fn query(
    transport: &dyn Transport,
    function: &'static str,
    call: &SystemCall<'_>,
    room: &mut [u8],
) -> Result<usize, Win32Error> {
    let reply = transport.system_call(call, room);
    if reply.status.is_success() || reply.status == abi::STATUS_BUFFER_OVERFLOW {
        return Ok(usize::try_from(reply.information).unwrap_or(usize::MAX).min(room.len()));
    }
    Err(Win32Error::new(function, "", reply.status))
}

fn query_file(
    transport: &dyn Transport,
    function: &'static str,
    handle: Handle,
    class: i32,
    room: &mut [u8],
) -> Result<usize, Win32Error> {
    query(transport, function, &SystemCall::QueryInformationFile { handle, class }, room)
}

fn query_volume(
    transport: &dyn Transport,
    function: &'static str,
    handle: Handle,
    class: i32,
    room: &mut [u8],
) -> Result<usize, Win32Error> {
    query(transport, function, &SystemCall::File(FileCall::QueryVolumeInformation { handle, class }), room)
}

fn set_file(
    transport: &dyn Transport,
    function: &'static str,
    handle: Handle,
    class: i32,
    data: &[u8],
) -> Result<(), Win32Error> {
    done(
        function,
        transport.system_call(&SystemCall::SetInformationFile { handle, class, data }, &mut []).status,
    )
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word))
}

fn name(bytes: &[u8], at: usize, length: u32) -> String {
    let rest = bytes.get(at..).unwrap_or_default();
    text(&rest[..rest.len().min(length as usize)])
}

fn end_of_file(transport: &dyn Transport, function: &'static str, handle: Handle) -> Result<u64, Win32Error> {
    let mut room = [0; size_of::<abi::FILE_STANDARD_INFORMATION>()];
    query_file(transport, function, handle, abi::FileStandardInformation, &mut room)?;
    Ok(long(&room, offset_of!(abi::FILE_STANDARD_INFORMATION, EndOfFile)))
}

fn position(transport: &dyn Transport, function: &'static str, handle: Handle) -> Result<u64, Win32Error> {
    let mut room = [0; size_of::<abi::FILE_POSITION_INFORMATION>()];
    query_file(transport, function, handle, abi::FilePositionInformation, &mut room)?;
    Ok(long(&room, 0))
}

pub(crate) fn set_file_pointer(
    transport: &dyn Transport,
    handle: Handle,
    distance: i64,
    method: MoveMethod,
) -> Result<u64, Win32Error> {
    const FUNCTION: &str = "SetFilePointerEx";
    let from = match method {
        MoveMethod::Begin => 0,
        MoveMethod::Current => position(transport, FUNCTION, handle)?,
        MoveMethod::End => end_of_file(transport, FUNCTION, handle)?,
    };
    let Some(to) = from.cast_signed().checked_add(distance).filter(|to| *to >= 0) else {
        let mut error = Win32Error::new(FUNCTION, "", abi::STATUS_INVALID_PARAMETER);
        error.code = abi::ERROR_NEGATIVE_SEEK;
        return Err(error);
    };
    set_file(transport, FUNCTION, handle, abi::FilePositionInformation, &to.to_le_bytes())?;
    Ok(to.cast_unsigned())
}

pub(crate) fn set_end_of_file(transport: &dyn Transport, handle: Handle) -> Result<(), Win32Error> {
    const FUNCTION: &str = "SetEndOfFile";
    let end = position(transport, FUNCTION, handle)?;
    set_file(transport, FUNCTION, handle, abi::FileEndOfFileInformation, &end.to_le_bytes())
}

pub(crate) fn file_size(transport: &dyn Transport, handle: Handle) -> Result<u64, Win32Error> {
    end_of_file(transport, "GetFileSizeEx", handle)
}

pub(crate) fn file_information(
    transport: &dyn Transport,
    handle: Handle,
) -> Result<FileInformation, Win32Error> {
    type Basic = abi::FILE_BASIC_INFORMATION;
    type Standard = abi::FILE_STANDARD_INFORMATION;
    const FUNCTION: &str = "GetFileInformationByHandle";
    let (mut basic, mut standard) = ([0; size_of::<Basic>()], [0; size_of::<Standard>()]);
    let (mut index, mut volume) = ([0; size_of::<abi::FILE_INTERNAL_INFORMATION>()], [0; ROOM]);
    query_file(transport, FUNCTION, handle, abi::FileBasicInformation, &mut basic)?;
    query_file(transport, FUNCTION, handle, abi::FileStandardInformation, &mut standard)?;
    query_file(transport, FUNCTION, handle, abi::FileInternalInformation, &mut index)?;
    query_volume(transport, FUNCTION, handle, abi::FileFsVolumeInformation, &mut volume)?;
    let time = |at: usize| long(&basic, at).cast_signed();
    Ok(FileInformation {
        attributes: word(&basic, offset_of!(Basic, FileAttributes)),
        creation_time: time(offset_of!(Basic, CreationTime)),
        last_access_time: time(offset_of!(Basic, LastAccessTime)),
        last_write_time: time(offset_of!(Basic, LastWriteTime)),
        volume_serial_number: word(&volume, offset_of!(abi::FILE_FS_VOLUME_INFORMATION, VolumeSerialNumber)),
        size: long(&standard, offset_of!(Standard, EndOfFile)),
        links: word(&standard, offset_of!(Standard, NumberOfLinks)),
        index: long(&index, 0),
    })
}

/// Source: Win32, GetFileType; kernel, Specifying Device Types. (Confirm: which other types are of characters.)
pub(crate) fn file_type(transport: &dyn Transport, handle: Handle) -> Result<FileType, Win32Error> {
    let mut room = [0; size_of::<abi::FILE_FS_DEVICE_INFORMATION>()];
    query_volume(transport, "GetFileType", handle, abi::FileFsDeviceInformation, &mut room)?;
    Ok(match word(&room, 0) {
        abi::FILE_DEVICE_CD_ROM
        | abi::FILE_DEVICE_CD_ROM_FILE_SYSTEM
        | abi::FILE_DEVICE_CONTROLLER
        | abi::FILE_DEVICE_DATALINK
        | abi::FILE_DEVICE_DFS
        | abi::FILE_DEVICE_DISK
        | abi::FILE_DEVICE_DISK_FILE_SYSTEM
        | abi::FILE_DEVICE_VIRTUAL_DISK => FileType::Disk,
        abi::FILE_DEVICE_KEYBOARD
        | abi::FILE_DEVICE_MOUSE
        | abi::FILE_DEVICE_NULL
        | abi::FILE_DEVICE_PARALLEL_PORT
        | abi::FILE_DEVICE_PRINTER
        | abi::FILE_DEVICE_SERIAL_PORT
        | abi::FILE_DEVICE_SCREEN
        | abi::FILE_DEVICE_SOUND
        | abi::FILE_DEVICE_MODEM => FileType::Char,
        abi::FILE_DEVICE_NAMED_PIPE => FileType::Pipe,
        _ => FileType::Unknown,
    })
}

pub(crate) fn volume_information(
    transport: &dyn Transport,
    handle: Handle,
) -> Result<VolumeInformation, Win32Error> {
    type Volume = abi::FILE_FS_VOLUME_INFORMATION;
    type Attributes = abi::FILE_FS_ATTRIBUTE_INFORMATION;
    const FUNCTION: &str = "GetVolumeInformationByHandleW";
    let (mut volume, mut attributes) = ([0; ROOM], [0; ROOM]);
    let length = query_volume(transport, FUNCTION, handle, abi::FileFsVolumeInformation, &mut volume)?;
    let volume = &volume[..length];
    let length = query_volume(transport, FUNCTION, handle, abi::FileFsAttributeInformation, &mut attributes)?;
    let attributes = &attributes[..length];
    Ok(VolumeInformation {
        label: name(
            volume,
            offset_of!(Volume, VolumeLabel),
            word(volume, offset_of!(Volume, VolumeLabelLength)),
        ),
        serial_number: word(volume, offset_of!(Volume, VolumeSerialNumber)),
        maximum_component_length: word(attributes, offset_of!(Attributes, MaximumComponentNameLength)),
        flags: word(attributes, offset_of!(Attributes, FileSystemAttributes)),
        file_system: name(
            attributes,
            offset_of!(Attributes, FileSystemName),
            word(attributes, offset_of!(Attributes, FileSystemNameLength)),
        ),
    })
}

pub(crate) fn disk_free_space(transport: &dyn Transport, directory: &str) -> Result<DiskSpace, Win32Error> {
    type Size = abi::FILE_FS_FULL_SIZE_INFORMATION;
    const FUNCTION: &str = "GetDiskFreeSpaceEx";
    let how = (abi::FILE_LIST_DIRECTORY, abi::FILE_OPEN, abi::FILE_DIRECTORY_FILE);
    let handle = open(transport, FUNCTION, directory, how)?;
    let mut room = [0; size_of::<Size>()];
    let asked = query_volume(transport, FUNCTION, handle, abi::FileFsFullSizeInformation, &mut room);
    let _is_ours = close(transport, handle);
    asked?;
    let unit = u64::from(word(&room, offset_of!(Size, SectorsPerAllocationUnit)))
        .saturating_mul(word(&room, offset_of!(Size, BytesPerSector)).into());
    let bytes = |at: usize| long(&room, at).saturating_mul(unit);
    Ok(DiskSpace {
        available: bytes(offset_of!(Size, CallerAvailableAllocationUnits)),
        total: bytes(offset_of!(Size, TotalAllocationUnits)),
        free: bytes(offset_of!(Size, ActualAvailableAllocationUnits)),
    })
}

pub(crate) fn set_volume_label(transport: &dyn Transport, root: &str, label: &str) -> Result<(), Win32Error> {
    const FUNCTION: &str = "SetVolumeLabel";
    let text: Vec<u8> = label.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut data = u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    data.extend(text);
    // The structure has room for one unit at least.
    data.resize(data.len().max(size_of::<abi::FILE_FS_LABEL_INFORMATION>()), 0);
    let how = (abi::FILE_WRITE_DATA, abi::FILE_OPEN, 0);
    let handle = open(transport, FUNCTION, root, how)?;
    let call = FileCall::SetVolumeInformation { handle, class: abi::FileFsLabelInformation, data: &data };
    let status = transport.system_call(&SystemCall::File(call), &mut []).status;
    let _is_ours = close(transport, handle);
    done(FUNCTION, status)
}

pub(crate) fn set_delete(transport: &dyn Transport, handle: Handle, delete: bool) -> Result<(), Win32Error> {
    let function = "SetFileInformationByHandle";
    set_file(transport, function, handle, abi::FileDispositionInformation, &[u8::from(delete)])
}

fn delete(
    transport: &dyn Transport,
    function: &'static str,
    path: &str,
    options: u32,
) -> Result<(), Win32Error> {
    let handle = open(transport, function, path, (abi::DELETE, abi::FILE_OPEN, options))?;
    let deleted = set_file(transport, function, handle, abi::FileDispositionInformation, &[1]);
    let _is_ours = close(transport, handle);
    deleted
}

pub(crate) fn delete_file(transport: &dyn Transport, path: &str) -> Result<(), Win32Error> {
    delete(transport, "DeleteFile", path, abi::FILE_NON_DIRECTORY_FILE | abi::FILE_OPEN_FOR_BACKUP_INTENT)
}

pub(crate) fn move_file(
    transport: &dyn Transport,
    from: &str,
    to: &str,
    replace: bool,
) -> Result<(), Win32Error> {
    type Layout = abi::FILE_RENAME_INFORMATION;
    const FUNCTION: &str = "MoveFileEx";
    let path = nt_path(to);
    let mut data = vec![0; offset_of!(Layout, FileName) + path.len() * 2];
    data.resize(data.len().max(size_of::<Layout>()), 0);
    data[0] = u8::from(replace);
    let length = u32::try_from(path.len() * 2).unwrap_or(u32::MAX);
    data[offset_of!(Layout, FileNameLength)..][..4].copy_from_slice(&length.to_le_bytes());
    for (place, unit) in data[offset_of!(Layout, FileName)..].chunks_exact_mut(2).zip(&path) {
        place.copy_from_slice(&unit.to_le_bytes());
    }
    let how = (abi::DELETE, abi::FILE_OPEN, abi::FILE_OPEN_FOR_BACKUP_INTENT);
    let handle = open(transport, FUNCTION, from, how)?;
    let moved = set_file(transport, FUNCTION, handle, abi::FileRenameInformation, &data);
    let _is_ours = close(transport, handle);
    moved
}

pub(crate) fn remove_directory(transport: &dyn Transport, path: &str) -> Result<(), Win32Error> {
    delete(transport, "RemoveDirectory", path, abi::FILE_DIRECTORY_FILE | abi::FILE_OPEN_FOR_BACKUP_INTENT)
}

pub(crate) fn create_directory(transport: &dyn Transport, path: &str) -> Result<(), Win32Error> {
    let options = abi::FILE_DIRECTORY_FILE | abi::FILE_OPEN_FOR_BACKUP_INTENT;
    let how = (abi::FILE_LIST_DIRECTORY, abi::FILE_CREATE, options);
    close(transport, open(transport, "CreateDirectory", path, how)?)
}

/// A search.
pub(crate) struct FindHandle<'a> {
    transport: &'a dyn Transport,
    directory: Handle,
    buffer: Buffer,
    /// What has been read and not been given yet.
    entries: Vec<u8>,
}

impl std::fmt::Debug for FindHandle<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("FindHandle").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Drop for FindHandle<'_> {
    fn drop(&mut self) {
        let _is_ours = close(self.transport, self.directory);
    }
}

impl FindHandle<'_> {
    /// Asks for more entries.
    fn fill(&mut self, pattern: &[u16]) -> NTSTATUS {
        self.buffer.set_pending();
        let bytes = self.buffer.bytes();
        let call = FileCall::QueryDirectory {
            handle: self.directory,
            buffer: gate::Memory { address: bytes.address, length: bytes.length },
            class: abi::FileBothDirectoryInformation,
            flags: 0,
            pattern,
            notice: gate::Notice { io_status_block: self.buffer.overlapped(), ..gate::Notice::default() },
        };
        let status = self.transport.system_call(&SystemCall::File(call), &mut []).status;
        if status.is_success() {
            let count = u32::try_from(self.buffer.information()).unwrap_or(u32::MAX);
            self.entries = self.buffer.to_vec(count);
        }
        status
    }

    /// The next entry of those that have been read. `None` where there is none, or none that is whole: a driver may write anything.
    fn take(&mut self) -> Option<FindData> {
        type Entry = abi::FILE_BOTH_DIR_INFORMATION;
        let entry = std::mem::take(&mut self.entries);
        let length = word(&entry, offset_of!(Entry, FileNameLength));
        let name_at = offset_of!(Entry, FileName);
        entry.get(name_at..)?.get(..length as usize)?;
        let next = word(&entry, offset_of!(Entry, NextEntryOffset)) as usize;
        if next >= name_at {
            self.entries = entry.get(next..).unwrap_or_default().to_vec();
        }
        let short = offset_of!(Entry, ShortName);
        let short_length = entry.get(offset_of!(Entry, ShortNameLength)).copied().unwrap_or(0);
        let time = |at: usize| long(&entry, at).cast_signed();
        Some(FindData {
            attributes: word(&entry, offset_of!(Entry, FileAttributes)),
            creation_time: time(offset_of!(Entry, CreationTime)),
            last_access_time: time(offset_of!(Entry, LastAccessTime)),
            last_write_time: time(offset_of!(Entry, LastWriteTime)),
            size: long(&entry, offset_of!(Entry, EndOfFile)),
            name: name(&entry, name_at, length),
            short_name: name(&entry, short, u32::from(short_length.min(24))),
        })
    }
}

pub(crate) fn find_first_file<'a>(
    transport: &'a dyn Transport,
    path: &str,
) -> Result<(FindHandle<'a>, FindData), Win32Error> {
    const FUNCTION: &str = "FindFirstFile";
    let refused = |status| Win32Error::new(FUNCTION, path, status);
    // The backslash stays: it is the name of a volume's root.
    let at = path.rfind(['\\', '/']).ok_or_else(|| refused(abi::STATUS_OBJECT_PATH_SYNTAX_BAD))?;
    let (folder, pattern) = path.split_at(at + 1);
    let options = abi::FILE_DIRECTORY_FILE | abi::FILE_OPEN_FOR_BACKUP_INTENT;
    let how = (abi::FILE_LIST_DIRECTORY, abi::FILE_OPEN, options);
    let directory = open(transport, FUNCTION, folder, how).map_err(|mut error| {
        // The folder is a path to what is looked for.
        if error.code == abi::ERROR_FILE_NOT_FOUND {
            error.code = abi::ERROR_PATH_NOT_FOUND;
        }
        error
    })?;
    let made = Buffer::new(transport, ENTRIES);
    let buffer = match made {
        Ok(buffer) => buffer,
        Err(error) => {
            let _is_ours = close(transport, directory);
            return Err(error);
        }
    };
    let mut handle = FindHandle { transport, directory, buffer, entries: Vec::new() };
    // What all names fit is asked for as such: "*.*" too.
    let pattern = if pattern == "*.*" { "*" } else { pattern };
    let pattern: Vec<u16> = pattern.encode_utf16().collect();
    let status = handle.fill(&pattern);
    if !status.is_success() {
        return Err(refused(status));
    }
    let first = handle.take().ok_or_else(|| refused(abi::STATUS_NO_SUCH_FILE))?;
    Ok((handle, first))
}

/// `None`: there are no more.
pub(crate) fn find_next_file(handle: &mut FindHandle<'_>) -> Result<Option<FindData>, Win32Error> {
    if let Some(found) = handle.take() {
        return Ok(Some(found));
    }
    match handle.fill(&[]) {
        abi::STATUS_NO_MORE_FILES => Ok(None),
        status if status.is_success() => Ok(handle.take()),
        status => Err(Win32Error::new("FindNextFile", "", status)),
    }
}

pub(crate) fn range(offset: u64, length: u64) -> LockedRange {
    LockedRange { offset: offset.cast_signed(), length: length.cast_signed(), key: 0 }
}

pub(crate) fn unlock(
    transport: &dyn Transport,
    handle: Handle,
    offset: u64,
    length: u64,
) -> Result<(), Win32Error> {
    let block = Buffer::new(transport, 0)?;
    let range = range(offset, length);
    let call = FileCall::Unlock { handle, range, io_status_block: block.overlapped() };
    done("UnlockFileEx", transport.system_call(&SystemCall::File(call), &mut []).status)
}
