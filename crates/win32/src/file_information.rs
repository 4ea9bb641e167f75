//! What a file and its volume are, by handle: `GetFileInformationByHandle(Ex)`, `SetFileInformationByHandle`, `GetVolumeInformation`,
//! `GetDiskFreeSpaceEx`.

use std::mem::offset_of;

use gate::{FileCall, Handle, SystemCall, Transport};

use crate::failure::{Failure, MISSING, checked, done};
use crate::file_names::with_file;
use crate::pointer::Pointer;
use crate::session::session;
use crate::text::{Text, Unit};
use crate::types::{BOOL, HANDLE};

/// FILE_INFO_BY_HANDLE_CLASS.
const FILE_BASIC_INFO: u32 = 0;
const FILE_STANDARD_INFO: u32 = 1;
const FILE_NAME_INFO: u32 = 2;
const FILE_RENAME_INFO: u32 = 3;
const FILE_DISPOSITION_INFO: u32 = 4;
const FILE_ALLOCATION_INFO: u32 = 5;
const FILE_END_OF_FILE_INFO: u32 = 6;
const FILE_STREAM_INFO: u32 = 7;
const FILE_ATTRIBUTE_TAG_INFO: u32 = 9;
/// Beyond the last.
const MAXIMUM_FILE_INFO_BY_HANDLE_CLASS: u32 = 25;

/// Bytes for an answer with a name behind it.
const ROOM: usize = 1024;

/// The Win32 structures of these classes have NT's layouts.
fn class_of_query(class: u32) -> Result<i32, Failure> {
    Ok(match class {
        FILE_BASIC_INFO => abi::FileBasicInformation,
        FILE_STANDARD_INFO => abi::FileStandardInformation,
        FILE_NAME_INFO => abi::FileNameInformation,
        FILE_STREAM_INFO => abi::FileStreamInformation,
        FILE_ATTRIBUTE_TAG_INFO => abi::FileAttributeTagInformation,
        class => return Err(unknown(class)),
    })
}

/// What Windows knows and this library does not; and what is no class.
fn unknown(class: u32) -> Failure {
    let known = class < MAXIMUM_FILE_INFO_BY_HANDLE_CLASS;
    Failure(if known { abi::ERROR_NOT_SUPPORTED } else { abi::ERROR_INVALID_PARAMETER })
}

fn query(transport: &dyn Transport, handle: Handle, class: i32, room: &mut [u8]) -> Result<usize, Failure> {
    answered(transport, &SystemCall::QueryInformationFile { handle, class }, room)
}

fn query_volume(
    transport: &dyn Transport,
    handle: Handle,
    class: i32,
    room: &mut [u8],
) -> Result<usize, Failure> {
    answered(transport, &SystemCall::File(FileCall::QueryVolumeInformation { handle, class }), room)
}

/// How many bytes there are; a name that does not fit is cut.
fn answered(transport: &dyn Transport, call: &SystemCall<'_>, room: &mut [u8]) -> Result<usize, Failure> {
    let reply = transport.system_call(call, room);
    if reply.status != abi::STATUS_BUFFER_OVERFLOW {
        checked(reply.status)?;
    }
    Ok(usize::try_from(reply.information).unwrap_or(usize::MAX).min(room.len()))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

/// BY_HANDLE_FILE_INFORMATION: attributes; times of making, reading, writing; the volume's serial number; size, high half first; names;
/// the file's number, high half first.
pub type HandleInformation = [u32; 13];

/// What a file is. A driver that knows nothing of numbers or volumes has ERROR_INVALID_FUNCTION, or its own status's code.
#[unsafe(no_mangle)]
pub extern "C" fn GetFileInformationByHandle(file: HANDLE, information: Pointer<HandleInformation>) -> BOOL {
    done(by_handle(file, information))
}

fn by_handle(file: HANDLE, information: Pointer<HandleInformation>) -> Result<(), Failure> {
    type Basic = abi::FILE_BASIC_INFORMATION;
    type Standard = abi::FILE_STANDARD_INFORMATION;
    if information.is_null() {
        return Err(MISSING);
    }
    let (transport, handle) = (session()?, file.of_machine()?);
    let (mut basic, mut standard) = ([0; size_of::<Basic>()], [0; size_of::<Standard>()]);
    let (mut index, mut volume) = ([0; size_of::<abi::FILE_INTERNAL_INFORMATION>()], [0; ROOM]);
    query(transport, handle, abi::FileBasicInformation, &mut basic)?;
    query(transport, handle, abi::FileStandardInformation, &mut standard)?;
    query(transport, handle, abi::FileInternalInformation, &mut index)?;
    query_volume(transport, handle, abi::FileFsVolumeInformation, &mut volume)?;
    let size = offset_of!(Standard, EndOfFile);
    information.write([
        word(&basic, offset_of!(Basic, FileAttributes)),
        word(&basic, offset_of!(Basic, CreationTime)),
        word(&basic, offset_of!(Basic, CreationTime) + 4),
        word(&basic, offset_of!(Basic, LastAccessTime)),
        word(&basic, offset_of!(Basic, LastAccessTime) + 4),
        word(&basic, offset_of!(Basic, LastWriteTime)),
        word(&basic, offset_of!(Basic, LastWriteTime) + 4),
        word(&volume, offset_of!(abi::FILE_FS_VOLUME_INFORMATION, VolumeSerialNumber)),
        word(&standard, size + 4),
        word(&standard, size),
        word(&standard, offset_of!(Standard, NumberOfLinks)),
        word(&index, 4),
        word(&index, 0),
    ])
}

/// What a file is, in the way of a class: FileBasicInfo, FileStandardInfo, FileNameInfo, FileStreamInfo, FileAttributeTagInfo; other
/// classes are ERROR_NOT_SUPPORTED (50). ERROR_BAD_LENGTH (24) for a buffer that is too short, ERROR_MORE_DATA (234) for a name.
#[unsafe(no_mangle)]
pub extern "C" fn GetFileInformationByHandleEx(
    file: HANDLE,
    class: u32,
    information: Pointer<u8>,
    length: u32,
) -> BOOL {
    let told = || {
        let handle = file.of_machine()?;
        let class = class_of_query(class)?;
        let room = information.room(length as usize)?;
        let call = SystemCall::QueryInformationFile { handle, class };
        let status = session()?.system_call(&call, room).status;
        // A warning, too: the name is cut.
        if status == abi::STATUS_SUCCESS { Ok(()) } else { Err(status.into()) }
    };
    done(told())
}

/// Changes a file: FileBasicInfo, FileRenameInfo, FileDispositionInfo, FileAllocationInfo, FileEndOfFileInfo; as
/// [`GetFileInformationByHandleEx`]. The name of FileRenameInfo may be a path as `CreateFile` takes it.
#[unsafe(no_mangle)]
pub extern "C" fn SetFileInformationByHandle(
    file: HANDLE,
    class: u32,
    information: Pointer<u8>,
    length: u32,
) -> BOOL {
    let change = || {
        let handle = file.of_machine()?;
        let given = information.bytes(length as usize)?;
        let (class, data) = match class {
            FILE_BASIC_INFO => (abi::FileBasicInformation, given.to_vec()),
            FILE_RENAME_INFO => (abi::FileRenameInformation, renamed(given)?),
            FILE_DISPOSITION_INFO => (abi::FileDispositionInformation, given.to_vec()),
            FILE_ALLOCATION_INFO => (abi::FileAllocationInformation, given.to_vec()),
            FILE_END_OF_FILE_INFO => (abi::FileEndOfFileInformation, given.to_vec()),
            class => return Err(unknown(class)),
        };
        crate::session::call(&SystemCall::SetInformationFile { handle, class, data: &data })
    };
    done(change())
}

/// FILE_RENAME_INFO with a path of Win32's, as NT has it.
fn renamed(given: &[u8]) -> Result<Vec<u8>, Failure> {
    type Layout = abi::FILE_RENAME_INFORMATION;
    const NAME: usize = offset_of!(Layout, FileName);
    if given.len() < size_of::<Layout>() {
        return Err(Failure(abi::ERROR_BAD_LENGTH));
    }
    let length = word(given, offset_of!(Layout, FileNameLength)) as usize;
    let name = given.get(NAME..).and_then(|rest| rest.get(..length)).ok_or(MISSING)?;
    let units: Vec<u16> = name.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    let is_path = units.starts_with(&[u16::from(b'\\'); 2]) && length.is_multiple_of(2);
    if !is_path || long(given, offset_of!(Layout, RootDirectory)) != 0 {
        return Ok(given.to_vec());
    }
    let path = app::nt_path(&String::from_utf16_lossy(&units));
    let mut data = given[..NAME].to_vec();
    data.extend(path.iter().flat_map(|unit| unit.to_le_bytes()));
    let bytes = u32::try_from(path.len() * 2).map_err(|_| MISSING)?;
    data[offset_of!(Layout, FileNameLength)..NAME].copy_from_slice(&bytes.to_le_bytes());
    data.resize(data.len().max(size_of::<Layout>()), 0);
    Ok(data)
}

/// Bytes on the volume that a folder is on: for the caller, of all, free. NULL for what is not asked for; a NULL folder has no current one
/// to stand for here: ERROR_PATH_NOT_FOUND.
#[unsafe(no_mangle)]
pub extern "C" fn GetDiskFreeSpaceExW(
    folder: Pointer<u16>,
    available: Pointer<u64>,
    total: Pointer<u64>,
    free: Pointer<u64>,
) -> BOOL {
    done(disk_space(folder, [available, total, free]))
}

/// The same, the name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn GetDiskFreeSpaceExA(
    folder: Pointer<u8>,
    available: Pointer<u64>,
    total: Pointer<u64>,
    free: Pointer<u64>,
) -> BOOL {
    done(disk_space(folder, [available, total, free]))
}

fn disk_space(folder: impl Text, [available, total, free]: [Pointer<u64>; 3]) -> Result<(), Failure> {
    let folder = folder.text_if_there()?.ok_or(Failure(abi::ERROR_PATH_NOT_FOUND))?;
    let space = app::disk_free_space(session()?, &folder)?;
    available.write_if_there(space.available)?;
    total.write_if_there(space.total)?;
    free.write_if_there(space.free)
}

/// A place for a string: its units, and how many have room there.
struct Place<U> {
    at: Pointer<U>,
    units: u32,
}

impl<U: Unit> Place<U> {
    /// ERROR_BAD_LENGTH when it has no room.
    fn write(&self, text: &str) -> Result<(), Failure> {
        if self.at.is_null() {
            return Ok(());
        }
        let units = U::of(text);
        if units.len() >= self.units as usize {
            return Err(Failure(abi::ERROR_BAD_LENGTH));
        }
        for (index, unit) in units.into_iter().chain([U::ZERO]).enumerate() {
            self.at.at(index).write(unit)?;
        }
        Ok(())
    }
}

/// What a volume is, by its root's name, which ends with a backslash: ERROR_INVALID_NAME (123) if it does not.
#[unsafe(no_mangle)]
pub extern "C" fn GetVolumeInformationW(
    root: Pointer<u16>,
    label: Pointer<u16>,
    label_units: u32,
    serial_number: Pointer<u32>,
    longest_name: Pointer<u32>,
    flags: Pointer<u32>,
    file_system: Pointer<u16>,
    file_system_units: u32,
) -> BOOL {
    let strings =
        [Place { at: label, units: label_units }, Place { at: file_system, units: file_system_units }];
    done(volume_by_name(root, &strings, [serial_number, longest_name, flags]))
}

/// The same, the strings in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn GetVolumeInformationA(
    root: Pointer<u8>,
    label: Pointer<u8>,
    label_units: u32,
    serial_number: Pointer<u32>,
    longest_name: Pointer<u32>,
    flags: Pointer<u32>,
    file_system: Pointer<u8>,
    file_system_units: u32,
) -> BOOL {
    let strings =
        [Place { at: label, units: label_units }, Place { at: file_system, units: file_system_units }];
    done(volume_by_name(root, &strings, [serial_number, longest_name, flags]))
}

/// The same, of the volume that a file is on.
#[unsafe(no_mangle)]
pub extern "C" fn GetVolumeInformationByHandleW(
    file: HANDLE,
    label: Pointer<u16>,
    label_units: u32,
    serial_number: Pointer<u32>,
    longest_name: Pointer<u32>,
    flags: Pointer<u32>,
    file_system: Pointer<u16>,
    file_system_units: u32,
) -> BOOL {
    let strings =
        [Place { at: label, units: label_units }, Place { at: file_system, units: file_system_units }];
    let tell = || volume(session()?, file.of_machine()?, &strings, [serial_number, longest_name, flags]);
    done(tell())
}

fn volume_by_name<U: Unit>(
    root: impl Text,
    strings: &[Place<U>; 2],
    words: [Pointer<u32>; 3],
) -> Result<(), Failure> {
    let root = root.text_if_there()?.ok_or(Failure(abi::ERROR_PATH_NOT_FOUND))?;
    if !root.ends_with('\\') {
        return Err(Failure(abi::ERROR_INVALID_NAME));
    }
    let access = abi::FILE_READ_ATTRIBUTES;
    with_file(&root, access, abi::FILE_DIRECTORY_FILE, |transport, handle| {
        volume(transport, handle, strings, words)
    })
}

fn volume<U: Unit>(
    transport: &dyn Transport,
    handle: Handle,
    [label, file_system]: &[Place<U>; 2],
    [serial_number, longest_name, flags]: [Pointer<u32>; 3],
) -> Result<(), Failure> {
    type Volume = abi::FILE_FS_VOLUME_INFORMATION;
    type Attributes = abi::FILE_FS_ATTRIBUTE_INFORMATION;
    let (mut of_volume, mut of_files) = ([0; ROOM], [0; ROOM]);
    let length = query_volume(transport, handle, abi::FileFsVolumeInformation, &mut of_volume)?;
    let of_volume = &of_volume[..length];
    let length = query_volume(transport, handle, abi::FileFsAttributeInformation, &mut of_files)?;
    let of_files = &of_files[..length];
    label.write(&name(of_volume, offset_of!(Volume, VolumeLabelLength), offset_of!(Volume, VolumeLabel)))?;
    let at = (offset_of!(Attributes, FileSystemNameLength), offset_of!(Attributes, FileSystemName));
    file_system.write(&name(of_files, at.0, at.1))?;
    serial_number.write_if_there(word(of_volume, offset_of!(Volume, VolumeSerialNumber)))?;
    longest_name.write_if_there(word(of_files, offset_of!(Attributes, MaximumComponentNameLength)))?;
    flags.write_if_there(word(of_files, offset_of!(Attributes, FileSystemAttributes)))
}

/// A name, and its length in bytes before it.
fn name(bytes: &[u8], length_at: usize, at: usize) -> String {
    let rest = bytes.get(at..).unwrap_or_default();
    let name = &rest[..rest.len().min(word(bytes, length_at) as usize)];
    let units: Vec<u16> = name.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    String::from_utf16_lossy(&units)
}
