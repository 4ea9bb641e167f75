//! NT's own calls, which answer statuses: `NtCreateFile`, `NtReadFile`, `NtWriteFile`, `NtDeviceIoControlFile`, `NtClose`,
//! `RtlNtStatusToDosError`.

use std::ffi::c_void;

use abi::NTSTATUS;
use gate::{CreateFile, Handle, SecurityQos, Transport};

use crate::apc::Routine;
use crate::handle;
use crate::pending::{self, Action, Span, Told};
use crate::pointer::Pointer;
use crate::session::session;
use crate::types::{ApcRoutine, HANDLE, IO_STATUS_BLOCK, OBJECT_ATTRIBUTES, UNICODE_STRING};

pub(crate) const NO_ACCESS: NTSTATUS = abi::STATUS_ACCESS_VIOLATION;

pub(crate) fn bits(result: Result<NTSTATUS, NTSTATUS>) -> i32 {
    result.unwrap_or_else(|status| status).bits().cast_signed()
}

/// Opens what the attributes name. STATUS_NOT_IMPLEMENTED for a root directory and for extended attributes.
#[unsafe(no_mangle)]
pub extern "C" fn NtCreateFile(
    file: Pointer<HANDLE>,
    access: u32,
    attributes: Pointer<OBJECT_ATTRIBUTES>,
    block: Pointer<IO_STATUS_BLOCK>,
    _allocation: Pointer<i64>,
    file_attributes: u32,
    share: u32,
    disposition: u32,
    options: u32,
    extended: Pointer<c_void>,
    extended_length: u32,
) -> i32 {
    if !extended.is_null() || extended_length != 0 {
        return bits(Err(abi::STATUS_NOT_IMPLEMENTED));
    }
    bits(path(attributes).and_then(|path| {
        let request = CreateFile {
            path: &path,
            desired_access: access,
            file_attributes,
            share_access: share,
            create_disposition: disposition,
            create_options: options,
            security_qos: quality(attributes)?,
        };
        open(file, block, &request)
    }))
}

/// Opens a file that is there; as [`NtCreateFile`].
#[unsafe(no_mangle)]
pub extern "C" fn NtOpenFile(
    file: Pointer<HANDLE>,
    access: u32,
    attributes: Pointer<OBJECT_ATTRIBUTES>,
    block: Pointer<IO_STATUS_BLOCK>,
    share: u32,
    options: u32,
) -> i32 {
    let (open, none) = (abi::FILE_OPEN, Pointer::NULL);
    NtCreateFile(file, access, attributes, block, none.cast(), 0, share, open, options, none, 0)
}

/// The name of OBJECT_ATTRIBUTES; empty for none.
pub(crate) fn path(attributes: Pointer<OBJECT_ATTRIBUTES>) -> Result<Vec<u16>, NTSTATUS> {
    let OBJECT_ATTRIBUTES { length, root_directory, object_name, .. } =
        attributes.read().map_err(|_| NO_ACCESS)?;
    if length as usize != size_of::<OBJECT_ATTRIBUTES>() {
        return Err(abi::STATUS_INVALID_PARAMETER);
    }
    if root_directory != HANDLE::NULL {
        return Err(abi::STATUS_NOT_IMPLEMENTED);
    }
    if object_name.is_null() { Ok(Vec::new()) } else { self::object_name(object_name) }
}

/// A name. STATUS_OBJECT_NAME_INVALID for half a unit.
pub(crate) fn object_name(name: Pointer<UNICODE_STRING>) -> Result<Vec<u16>, NTSTATUS> {
    let UNICODE_STRING { length, buffer, .. } = name.read().map_err(|_| NO_ACCESS)?;
    if length % 2 != 0 {
        return Err(abi::STATUS_OBJECT_NAME_INVALID);
    }
    (0..usize::from(length / 2)).map(|index| buffer.at(index).read().map_err(|_| NO_ACCESS)).collect()
}

/// What OBJECT_ATTRIBUTES says of how a server may act for its client.
fn quality(attributes: Pointer<OBJECT_ATTRIBUTES>) -> Result<Option<SecurityQos>, NTSTATUS> {
    quality_of(attributes.read().map_err(|_| NO_ACCESS)?.security_quality_of_service)
}

/// A SECURITY_QUALITY_OF_SERVICE; nothing for NULL.
pub(crate) fn quality_of(pointer: Pointer<c_void>) -> Result<Option<SecurityQos>, NTSTATUS> {
    if pointer.is_null() {
        return Ok(None);
    }
    // Its length, its level, and two bytes.
    let [length, level, rest] = pointer.cast::<[u32; 3]>().read().map_err(|_| NO_ACCESS)?;
    if length as usize != size_of::<[u32; 3]>() {
        return Err(abi::STATUS_INVALID_PARAMETER);
    }
    let [tracking, effective_only, ..] = rest.to_le_bytes();
    Ok(Some(SecurityQos { level, dynamic_tracking: tracking != 0, effective_only: effective_only != 0 }))
}

fn open(
    file: Pointer<HANDLE>,
    block: Pointer<IO_STATUS_BLOCK>,
    request: &CreateFile<'_>,
) -> Result<NTSTATUS, NTSTATUS> {
    // Nothing is opened whose handle nobody could learn.
    if file.read().is_err() || block.read().is_err() {
        return Err(NO_ACCESS);
    }
    let (handle, information) = session()?.create_file(request)?;
    let status = abi::STATUS_SUCCESS;
    let told = block.write(IO_STATUS_BLOCK { status: status.bits().into(), information });
    told.and_then(|()| file.write(handle.into())).map_err(|_| NO_ACCESS)?;
    Ok(status)
}

fn start(
    file: HANDLE,
    event: HANDLE,
    routine: Option<ApcRoutine>,
    context: Pointer<c_void>,
    block: Pointer<IO_STATUS_BLOCK>,
    action: &Action,
) -> i32 {
    let known = |handle: HANDLE| handle.of_machine().map_err(|_| abi::STATUS_INVALID_HANDLE);
    let begin = || {
        let file: Handle = known(file)?;
        let event = if event == HANDLE::NULL { None } else { Some(known(event)?) };
        let told = match routine {
            Some(routine) => Told { event, routine: Some(Routine::Apc(routine, context)), context: 0 },
            None => Told { event, routine: None, context: context.address() as u64 },
        };
        Ok(pending::start(file, action, block, told))
    };
    bits(begin())
}

fn offset(place: Pointer<i64>) -> Result<Option<u64>, NTSTATUS> {
    if place.is_null() {
        Ok(None)
    } else {
        place.read().map(|at| Some(at.cast_unsigned())).map_err(|_| NO_ACCESS)
    }
}

/// Reads. STATUS_PENDING when it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn NtReadFile(
    file: HANDLE,
    event: HANDLE,
    routine: Option<ApcRoutine>,
    context: Pointer<c_void>,
    block: Pointer<IO_STATUS_BLOCK>,
    buffer: Pointer<u8>,
    length: u32,
    place: Pointer<i64>,
    _key: Pointer<u32>,
) -> i32 {
    match offset(place) {
        Ok(offset) => {
            let action = Action::Read { buffer: Span { at: buffer, length }, offset };
            start(file, event, routine, context, block, &action)
        }
        Err(status) => bits(Err(status)),
    }
}

/// Writes. STATUS_PENDING when it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn NtWriteFile(
    file: HANDLE,
    event: HANDLE,
    routine: Option<ApcRoutine>,
    context: Pointer<c_void>,
    block: Pointer<IO_STATUS_BLOCK>,
    buffer: Pointer<u8>,
    length: u32,
    place: Pointer<i64>,
    _key: Pointer<u32>,
) -> i32 {
    match offset(place) {
        Ok(offset) => {
            let action = Action::Write { buffer: Span { at: buffer, length }, offset };
            start(file, event, routine, context, block, &action)
        }
        Err(status) => bits(Err(status)),
    }
}

/// Sends a control code. STATUS_PENDING when it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn NtDeviceIoControlFile(
    file: HANDLE,
    event: HANDLE,
    routine: Option<ApcRoutine>,
    context: Pointer<c_void>,
    block: Pointer<IO_STATUS_BLOCK>,
    code: u32,
    input: Pointer<u8>,
    input_length: u32,
    output: Pointer<u8>,
    output_length: u32,
) -> i32 {
    let input = Span { at: input, length: input_length };
    let output = Span { at: output, length: output_length };
    start(file, event, routine, context, block, &Action::Control { code, input, output })
}

/// Closes a handle.
#[unsafe(no_mangle)]
pub extern "C" fn NtClose(handle: HANDLE) -> i32 {
    let closed = handle::close(handle).map(|()| abi::STATUS_SUCCESS);
    // The only way that it can fail while the machine runs.
    let connected = session().is_ok_and(Transport::is_connected);
    let failed = if connected { abi::STATUS_INVALID_HANDLE } else { abi::STATUS_DEVICE_NOT_CONNECTED };
    bits(closed.map_err(|_| failed))
}

/// The Win32 code of a status.
#[unsafe(no_mangle)]
pub extern "C" fn RtlNtStatusToDosError(status: i32) -> u32 {
    abi::win32_from_status(NTSTATUS::from_bits(status.cast_unsigned()))
}
