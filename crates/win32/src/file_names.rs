//! Files by their names: `DeleteFile`, `MoveFileEx`, `CreateDirectory`, `FindFirstFile`, `GetFileAttributesEx` and their kin.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

use app::{FindData, FindFiles};
use gate::{CreateFile, Handle, SystemCall, Transport};

use crate::failure::{Failure, MISSING, checked, done, fail};
use crate::pointer::Pointer;
use crate::session::session;
use crate::text::{Text, Unit};
use crate::types::{BOOL, HANDLE};

const SHARE_ALL: u32 = abi::FILE_SHARE_READ | abi::FILE_SHARE_WRITE | abi::FILE_SHARE_DELETE;
const INVALID_FILE_ATTRIBUTES: u32 = u32::MAX;
const MOVEFILE_REPLACE_EXISTING: u32 = 1;
/// Does nothing where nothing is copied: MOVEFILE_COPY_ALLOWED, MOVEFILE_WRITE_THROUGH.
const MOVEFILE_NO_MATTER: u32 = 2 | 8;

impl From<app::Win32Error> for Failure {
    fn from(error: app::Win32Error) -> Self {
        Self(error.code)
    }
}

fn path(text: impl Text) -> Result<String, Failure> {
    let path = text.text_if_there()?.filter(|path| !path.is_empty());
    path.ok_or(Failure(abi::ERROR_PATH_NOT_FOUND))
}

/// Opens a file for a question or a change, and closes it behind that.
pub(crate) fn with_file<R>(
    path: &str,
    access: u32,
    options: u32,
    body: impl FnOnce(&'static dyn Transport, Handle) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let request = CreateFile {
        path: &app::nt_path(path),
        desired_access: access | abi::SYNCHRONIZE,
        file_attributes: abi::FILE_ATTRIBUTE_NORMAL,
        share_access: SHARE_ALL,
        create_disposition: abi::FILE_OPEN,
        create_options: options | abi::FILE_OPEN_FOR_BACKUP_INTENT | abi::FILE_SYNCHRONOUS_IO_NONALERT,
        security_qos: None,
    };
    let transport = session()?;
    let (handle, _) = transport.create_file(&request)?;
    let answer = body(transport, handle);
    let _is_ours = transport.close(handle);
    answer
}

/// Deletes a file, which goes with its last handle. ERROR_ACCESS_DENIED (5) for a folder.
#[unsafe(no_mangle)]
pub extern "C" fn DeleteFileW(name: Pointer<u16>) -> BOOL {
    done(delete(name))
}

/// The same, the name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn DeleteFileA(name: Pointer<u8>) -> BOOL {
    done(delete(name))
}

fn delete(name: impl Text) -> Result<(), Failure> {
    Ok(app::delete_file(session()?, &path(name)?)?)
}

/// Makes a folder. Security attributes are not looked at.
#[unsafe(no_mangle)]
pub extern "C" fn CreateDirectoryW(name: Pointer<u16>, _attributes: Pointer<c_void>) -> BOOL {
    done(create_directory(name))
}

/// The same, the name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn CreateDirectoryA(name: Pointer<u8>, _attributes: Pointer<c_void>) -> BOOL {
    done(create_directory(name))
}

fn create_directory(name: impl Text) -> Result<(), Failure> {
    Ok(app::create_directory(session()?, &path(name)?)?)
}

/// Deletes a folder that is empty.
#[unsafe(no_mangle)]
pub extern "C" fn RemoveDirectoryW(name: Pointer<u16>) -> BOOL {
    done(remove_directory(name))
}

/// The same, the name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn RemoveDirectoryA(name: Pointer<u8>) -> BOOL {
    done(remove_directory(name))
}

fn remove_directory(name: impl Text) -> Result<(), Failure> {
    Ok(app::remove_directory(session()?, &path(name)?)?)
}

/// Renames or moves a file within its volume. Flags: MOVEFILE_REPLACE_EXISTING; MOVEFILE_COPY_ALLOWED and MOVEFILE_WRITE_THROUGH change
/// nothing, since nothing is copied (ERROR_NOT_SAME_DEVICE, 17); others are ERROR_INVALID_PARAMETER.
#[unsafe(no_mangle)]
pub extern "C" fn MoveFileExW(from: Pointer<u16>, to: Pointer<u16>, flags: u32) -> BOOL {
    done(move_file(from, to, flags))
}

/// The same, the names in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn MoveFileExA(from: Pointer<u8>, to: Pointer<u8>, flags: u32) -> BOOL {
    done(move_file(from, to, flags))
}

/// [`MoveFileExW`] that replaces nothing.
#[unsafe(no_mangle)]
pub extern "C" fn MoveFileW(from: Pointer<u16>, to: Pointer<u16>) -> BOOL {
    done(move_file(from, to, 0))
}

/// The same, the names in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn MoveFileA(from: Pointer<u8>, to: Pointer<u8>) -> BOOL {
    done(move_file(from, to, 0))
}

fn move_file<T: Text>(from: T, to: T, flags: u32) -> Result<(), Failure> {
    if flags & !(MOVEFILE_REPLACE_EXISTING | MOVEFILE_NO_MATTER) != 0 {
        return Err(MISSING);
    }
    let replace = flags & MOVEFILE_REPLACE_EXISTING != 0;
    Ok(app::move_file(session()?, &path(from)?, &path(to)?, replace)?)
}

/// Halves, low first, as FILETIME has them.
fn halves(value: u64) -> [u32; 2] {
    let bytes = value.to_le_bytes();
    let half = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
    [half(0), half(4)]
}

/// WIN32_FILE_ATTRIBUTE_DATA: attributes; times of making, reading, writing; the high and the low half of the size.
pub type FileAttributeData = [u32; 9];

fn attribute_data(attributes: u32, times: [u64; 3], size: u64) -> FileAttributeData {
    let [made, read, written] = times.map(halves);
    let [low, high] = halves(size);
    [attributes, made[0], made[1], read[0], read[1], written[0], written[1], high, low]
}

fn attributes_of(name: impl Text) -> Result<FileAttributeData, Failure> {
    with_file(&path(name)?, abi::FILE_READ_ATTRIBUTES, 0, |transport, handle| {
        let mut room = [0; size_of::<abi::FILE_NETWORK_OPEN_INFORMATION>()];
        let call = SystemCall::QueryInformationFile { handle, class: abi::FileNetworkOpenInformation };
        checked(transport.system_call(&call, &mut room).status)?;
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| room[at + index]));
        let attributes = halves(word(48))[0];
        Ok(attribute_data(attributes, [word(0), word(8), word(16)], word(40)))
    })
}

/// FILE_ATTRIBUTE_*; INVALID_FILE_ATTRIBUTES (0xFFFFFFFF) when it fails.
#[unsafe(no_mangle)]
pub extern "C" fn GetFileAttributesW(name: Pointer<u16>) -> u32 {
    attributes_of(name).map_or_else(|failure| fail(failure, INVALID_FILE_ATTRIBUTES), |data| data[0])
}

/// The same, the name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn GetFileAttributesA(name: Pointer<u8>) -> u32 {
    attributes_of(name).map_or_else(|failure| fail(failure, INVALID_FILE_ATTRIBUTES), |data| data[0])
}

/// What a file is, at the level GetFileExInfoStandard (0), which is the only one.
#[unsafe(no_mangle)]
pub extern "C" fn GetFileAttributesExW(
    name: Pointer<u16>,
    level: u32,
    data: Pointer<FileAttributeData>,
) -> BOOL {
    done(attributes_to(name, level, data))
}

/// The same, the name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn GetFileAttributesExA(
    name: Pointer<u8>,
    level: u32,
    data: Pointer<FileAttributeData>,
) -> BOOL {
    done(attributes_to(name, level, data))
}

fn attributes_to(name: impl Text, level: u32, data: Pointer<FileAttributeData>) -> Result<(), Failure> {
    if level != 0 || data.is_null() {
        return Err(MISSING);
    }
    data.write(attributes_of(name)?)
}

/// Searches, by handle. Their handles are none of the machine's, which have 32 bits.
static SEARCHES: Mutex<Option<Searches>> = Mutex::new(None);
const FIRST_SEARCH: usize = 1 << 40;

#[derive(Default)]
struct Searches {
    made: usize,
    open: HashMap<usize, Arc<Mutex<FindFiles<'static>>>>,
}

fn with_searches<R>(body: impl FnOnce(&mut Searches) -> R) -> R {
    body(SEARCHES.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// Units of WIN32_FIND_DATA's names.
const LONG_NAME: usize = 260;
const SHORT_NAME: usize = 14;
/// Bytes before them.
const NAMES: usize = 44;

/// Writes a WIN32_FIND_DATA. ERROR_MORE_DATA for a name that has no room there.
fn write_found<U: Unit>(found: &FindData, to: Pointer<U>) -> Result<(), Failure> {
    let times = [found.creation_time, found.last_access_time, found.last_write_time];
    let times = times.map(i64::cast_unsigned);
    let mut words = [0; 11];
    words[..9].copy_from_slice(&attribute_data(found.attributes, times, found.size));
    let (name, short) = (U::of(&found.name), U::of(&found.short_name));
    if name.len() >= LONG_NAME || short.len() >= SHORT_NAME {
        return Err(Failure(abi::ERROR_MORE_DATA));
    }
    to.cast::<[u32; 11]>().write(words)?;
    let names = to.at(NAMES / size_of::<U>());
    for (index, unit) in name.into_iter().chain([U::ZERO]).enumerate() {
        names.at(index).write(unit)?;
    }
    for (index, unit) in short.into_iter().chain([U::ZERO]).enumerate() {
        names.at(LONG_NAME + index).write(unit)?;
    }
    Ok(())
}

fn find_first<U: Unit>(name: impl Text, data: Pointer<U>) -> Result<HANDLE, Failure> {
    if data.is_null() {
        return Err(MISSING);
    }
    let mut search = FindFiles::new(session()?, &path(name)?)?;
    let first = search.next().ok_or(Failure(abi::ERROR_FILE_NOT_FOUND))??;
    write_found(&first, data)?;
    Ok(with_searches(|searches| {
        let handle = FIRST_SEARCH + searches.made * 4;
        searches.made += 1;
        searches.open.insert(handle, Arc::new(Mutex::new(search)));
        HANDLE(handle)
    }))
}

fn find_next<U: Unit>(search: HANDLE, data: Pointer<U>) -> Result<(), Failure> {
    let search = with_searches(|searches| searches.open.get(&search.0).cloned());
    let search = search.ok_or(Failure(abi::ERROR_INVALID_HANDLE))?;
    if data.is_null() {
        return Err(MISSING);
    }
    let next = search.lock().unwrap_or_else(PoisonError::into_inner).next();
    write_found(&next.ok_or(Failure(abi::ERROR_NO_MORE_FILES))??, data)
}

/// Begins to search a folder for names that fit the last part of `name`, which may have `*` and `?` in it: the first of them is in the
/// WIN32_FIND_DATA. INVALID_HANDLE_VALUE when it fails: ERROR_FILE_NOT_FOUND (2) when there is none.
#[unsafe(no_mangle)]
pub extern "C" fn FindFirstFileW(name: Pointer<u16>, data: Pointer<u16>) -> HANDLE {
    find_first(name, data).unwrap_or_else(|failure| fail(failure, HANDLE::INVALID))
}

/// The same, the names in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn FindFirstFileA(name: Pointer<u8>, data: Pointer<u8>) -> HANDLE {
    find_first(name, data).unwrap_or_else(|failure| fail(failure, HANDLE::INVALID))
}

/// The next one; ERROR_NO_MORE_FILES (18) behind the last.
#[unsafe(no_mangle)]
pub extern "C" fn FindNextFileW(search: HANDLE, data: Pointer<u16>) -> BOOL {
    done(find_next(search, data))
}

/// The same, the name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn FindNextFileA(search: HANDLE, data: Pointer<u8>) -> BOOL {
    done(find_next(search, data))
}

/// Ends a search.
#[unsafe(no_mangle)]
pub extern "C" fn FindClose(search: HANDLE) -> BOOL {
    let closed = with_searches(|searches| searches.open.remove(&search.0));
    done(closed.map(drop).ok_or(Failure(abi::ERROR_INVALID_HANDLE)))
}
