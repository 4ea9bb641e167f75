//! `CreateFile`: opens a device.

use std::ffi::c_void;

use abi::NTSTATUS;
use gate::{CreateFile, SecurityQos};

use crate::failure::{Failure, MISSING, fail, set};
use crate::pointer::Pointer;
use crate::session::session;
use crate::text::Text;
use crate::types::HANDLE;

const CREATE_NEW: u32 = 1;
const CREATE_ALWAYS: u32 = 2;
const OPEN_EXISTING: u32 = 3;
const OPEN_ALWAYS: u32 = 4;
const TRUNCATE_EXISTING: u32 = 5;

const FILE_FLAG_WRITE_THROUGH: u32 = 0x8000_0000;
const FILE_FLAG_OVERLAPPED: u32 = 0x4000_0000;
const FILE_FLAG_NO_BUFFERING: u32 = 0x2000_0000;
const FILE_FLAG_RANDOM_ACCESS: u32 = 0x1000_0000;
const FILE_FLAG_SEQUENTIAL_SCAN: u32 = 0x0800_0000;
const FILE_FLAG_DELETE_ON_CLOSE: u32 = 0x0400_0000;
const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;

/// Opens the device that the path names, `\\.\Name` and what may follow it, or an NT path that begins with one backslash.
/// INVALID_HANDLE_VALUE when it fails. Security attributes and the template are not looked at.
#[unsafe(no_mangle)]
pub extern "C" fn CreateFileW(
    path: Pointer<u16>,
    access: u32,
    share: u32,
    _attributes: Pointer<c_void>,
    disposition: u32,
    flags: u32,
    _template: HANDLE,
) -> HANDLE {
    create(path, access, share, disposition, flags).unwrap_or_else(|failure| fail(failure, HANDLE::INVALID))
}

/// The same, the path in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn CreateFileA(
    path: Pointer<u8>,
    access: u32,
    share: u32,
    _attributes: Pointer<c_void>,
    disposition: u32,
    flags: u32,
    _template: HANDLE,
) -> HANDLE {
    create(path, access, share, disposition, flags).unwrap_or_else(|failure| fail(failure, HANDLE::INVALID))
}

/// Where CreateFile's flags say how a server may act for its client.
const SECURITY_VALID_SQOS_FLAGS: u32 = 0x001F_0000;

fn create(path: impl Text, access: u32, share: u32, disposition: u32, flags: u32) -> Result<HANDLE, Failure> {
    let path = path.text_if_there()?.filter(|path| !path.is_empty());
    let path = path.ok_or(Failure(abi::ERROR_PATH_NOT_FOUND))?;
    let create_disposition = match disposition {
        CREATE_NEW => abi::FILE_CREATE,
        CREATE_ALWAYS => abi::FILE_OVERWRITE_IF,
        OPEN_EXISTING => abi::FILE_OPEN,
        OPEN_ALWAYS => abi::FILE_OPEN_IF,
        TRUNCATE_EXISTING => abi::FILE_OVERWRITE,
        _ => return Err(MISSING),
    };
    let deletes = flags & FILE_FLAG_DELETE_ON_CLOSE != 0;
    let request = CreateFile {
        path: &app::nt_path(&path),
        // CreateFile always adds the first two.
        desired_access: access
            | abi::SYNCHRONIZE
            | abi::FILE_READ_ATTRIBUTES
            | if deletes { abi::DELETE } else { 0 },
        file_attributes: flags & 0x7FB7,
        share_access: share,
        create_disposition,
        create_options: options(flags),
        security_qos: SecurityQos::from_flags(flags & SECURITY_VALID_SQOS_FLAGS).map_err(refused)?,
    };
    let transport = session()?;
    let (handle, information) = transport.create_file(&request).map_err(refused)?;
    // FILE_OPENED and FILE_OVERWRITTEN: it was there.
    let existed = matches!((disposition, information), (OPEN_ALWAYS, 1) | (CREATE_ALWAYS, 3));
    set(if existed { abi::ERROR_ALREADY_EXISTS } else { abi::ERROR_SUCCESS });
    Ok(handle.into())
}

fn options(flags: u32) -> u32 {
    let pairs = [
        (FILE_FLAG_WRITE_THROUGH, abi::FILE_WRITE_THROUGH),
        (FILE_FLAG_NO_BUFFERING, abi::FILE_NO_INTERMEDIATE_BUFFERING),
        (FILE_FLAG_RANDOM_ACCESS, abi::FILE_RANDOM_ACCESS),
        (FILE_FLAG_SEQUENTIAL_SCAN, abi::FILE_SEQUENTIAL_ONLY),
        (FILE_FLAG_DELETE_ON_CLOSE, abi::FILE_DELETE_ON_CLOSE),
    ];
    let given = pairs.into_iter().filter(|(flag, _)| flags & flag != 0);
    let mut options = given.fold(0, |options, (_, option)| options | option);
    if flags & FILE_FLAG_OVERLAPPED == 0 {
        options |= abi::FILE_SYNCHRONOUS_IO_NONALERT;
    }
    if flags & FILE_FLAG_BACKUP_SEMANTICS == 0 {
        options |= abi::FILE_NON_DIRECTORY_FILE;
    }
    options
}

fn refused(status: NTSTATUS) -> Failure {
    match status {
        // CreateFile's own mapping of this status.
        abi::STATUS_OBJECT_NAME_COLLISION => Failure(abi::ERROR_FILE_EXISTS),
        status => status.into(),
    }
}
