//! File mappings: `CreateFileMapping`, `OpenFileMapping`, `MapViewOfFile` and what ends and flushes views.

use std::ffi::c_void;

use gate::{MappedView, SystemCall};

use crate::event::named_failure;
use crate::failure::{Failure, checked, done, fail, set};
use crate::pointer::Pointer;
use crate::session::{ask, call};
use crate::text::Text;
use crate::types::{BOOL, HANDLE};

const FILE_MAP_COPY: u32 = 1;
const FILE_MAP_WRITE: u32 = 2;
const FILE_MAP_READ: u32 = 4;
/// The protection among the flags of `CreateFileMapping`; the others are SEC_*.
const PROTECTION: u32 = 0xFF;

fn long(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn create(name: impl Text, file: HANDLE, flags: u32, size: u64) -> Result<HANDLE, Failure> {
    let path = name.text_if_there()?.map(|name| app::object_path(&name)).unwrap_or_default();
    let protection = flags & PROTECTION;
    let writable = protection & (abi::PAGE_READWRITE | abi::PAGE_EXECUTE_READWRITE) != 0;
    let attributes = flags & !PROTECTION;
    let reply = ask(
        &SystemCall::CreateSection {
            name: &path,
            // What CreateFileMapping asks for.
            desired_access: abi::STANDARD_RIGHTS_REQUIRED
                | abi::SECTION_QUERY
                | abi::SECTION_MAP_READ
                | if writable { abi::SECTION_MAP_WRITE } else { 0 },
            size,
            protection,
            attributes: if attributes == 0 { abi::SEC_COMMIT } else { attributes },
            file: if file == HANDLE::INVALID { None } else { Some(file.of_machine()?) },
        },
        &mut [],
    )?;
    if reply.status.is_error() {
        return Err(named_failure(reply.status));
    }
    let existed = reply.status == abi::STATUS_OBJECT_NAME_EXISTS;
    set(if existed { abi::ERROR_ALREADY_EXISTS } else { abi::ERROR_SUCCESS });
    Ok(reply.handle.into())
}

fn open(name: impl Text, access: u32) -> Result<HANDLE, Failure> {
    // FILE_MAP_* are the section's own bits.
    let path = app::object_path(&name.text()?);
    let reply = ask(&SystemCall::OpenSection { name: &path, desired_access: access }, &mut [])?;
    if reply.status.is_success() { Ok(reply.handle.into()) } else { Err(named_failure(reply.status)) }
}

/// Creates a file mapping, of a file or (INVALID_HANDLE_VALUE) of pages of its own, or opens the one that has the name
/// (ERROR_ALREADY_EXISTS besides the handle). Security attributes are not looked at.
#[unsafe(no_mangle)]
pub extern "C" fn CreateFileMappingW(
    file: HANDLE,
    _attributes: Pointer<c_void>,
    flags: u32,
    size_high: u32,
    size_low: u32,
    name: Pointer<u16>,
) -> HANDLE {
    create(name, file, flags, long(size_high, size_low)).unwrap_or_else(|failure| fail(failure, HANDLE::NULL))
}

/// The same, its name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn CreateFileMappingA(
    file: HANDLE,
    _attributes: Pointer<c_void>,
    flags: u32,
    size_high: u32,
    size_low: u32,
    name: Pointer<u8>,
) -> HANDLE {
    create(name, file, flags, long(size_high, size_low)).unwrap_or_else(|failure| fail(failure, HANDLE::NULL))
}

/// Opens the file mapping that has the name. Handles are not inherited.
#[unsafe(no_mangle)]
pub extern "C" fn OpenFileMappingW(access: u32, _inherit: BOOL, name: Pointer<u16>) -> HANDLE {
    open(name, access).unwrap_or_else(|failure| fail(failure, HANDLE::NULL))
}

/// The same, its name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn OpenFileMappingA(access: u32, _inherit: BOOL, name: Pointer<u8>) -> HANDLE {
    open(name, access).unwrap_or_else(|failure| fail(failure, HANDLE::NULL))
}

/// Shows `size` bytes of a file mapping (0 for all behind the offset), for reading, writing, or (FILE_MAP_COPY) copy on write.
#[unsafe(no_mangle)]
pub extern "C" fn MapViewOfFile(
    mapping: HANDLE,
    access: u32,
    offset_high: u32,
    offset_low: u32,
    size: usize,
) -> Pointer<c_void> {
    map(mapping, access, long(offset_high, offset_low), size)
        .unwrap_or_else(|failure| fail(failure, Pointer::NULL))
}

fn map(mapping: HANDLE, access: u32, offset: u64, size: usize) -> Result<Pointer<c_void>, Failure> {
    let protection = if access & FILE_MAP_WRITE != 0 {
        abi::PAGE_READWRITE
    } else if access & FILE_MAP_READ != 0 {
        abi::PAGE_READONLY
    } else if access & FILE_MAP_COPY != 0 {
        abi::PAGE_WRITECOPY
    } else {
        return Err(crate::failure::MISSING);
    };
    let view = MappedView { base: 0, offset, size: size as u64 };
    let handle = mapping.of_machine()?;
    let mut room = [0; MappedView::SIZE];
    let reply = ask(&SystemCall::MapViewOfSection { handle, view, protection }, &mut room)?;
    checked(reply.status)?;
    let MappedView { base, size, .. } = MappedView::from_bytes(&room);
    // The host says where; this process knows whether it is shown there.
    crate::session::session()?.view(base, size)?;
    let address = usize::try_from(base).map_err(|_| abi::STATUS_ACCESS_VIOLATION)?;
    Ok(Pointer::made(std::ptr::with_exposed_provenance_mut(address)))
}

/// Ends the view that this address is in. ERROR_INVALID_ADDRESS when it is in none.
#[unsafe(no_mangle)]
pub extern "C" fn UnmapViewOfFile(address: Pointer<c_void>) -> BOOL {
    done(call(&SystemCall::UnmapViewOfSection { address: address.address() as u64 }))
}

/// Has `size` bytes of a view written to their file, 0 for all up to the view's end.
#[unsafe(no_mangle)]
pub extern "C" fn FlushViewOfFile(address: Pointer<c_void>, size: usize) -> BOOL {
    let address = address.address() as u64;
    done(call(&SystemCall::FlushVirtualMemory { address, length: size as u64 }))
}
