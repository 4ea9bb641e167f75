//! `FormatMessage`, of system messages: what a code is called. (Windows has a sentence in the user's language.)

use std::ffi::c_void;

use crate::failure::{Failure, MISSING, fail};
use crate::heap;
use crate::pointer::Pointer;
use crate::text::Unit;

const ALLOCATE_BUFFER: u32 = 0x100;
const FROM_SYSTEM: u32 = 0x1000;
/// Sources that are not served.
const OTHERS: u32 = 0x400 | 0x800;

/// Writes what `code` is called, and a line's end, to a buffer of `size` units, or with FORMAT_MESSAGE_ALLOCATE_BUFFER to one that is
/// made for it and freed with `LocalFree`, and whose address goes to where `buffer` points. How many units without the zero; 0
/// when it fails: ERROR_MR_MID_NOT_FOUND (317) for a code without a name, ERROR_INSUFFICIENT_BUFFER,
/// ERROR_CALL_NOT_IMPLEMENTED for other sources than the system.
#[unsafe(no_mangle)]
pub extern "C" fn FormatMessageW(
    flags: u32,
    _source: Pointer<c_void>,
    code: u32,
    _language: u32,
    buffer: Pointer<u16>,
    size: u32,
    _arguments: Pointer<c_void>,
) -> u32 {
    format(flags, code, buffer, size).unwrap_or_else(|failure| fail(failure, 0))
}

/// The same, in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn FormatMessageA(
    flags: u32,
    _source: Pointer<c_void>,
    code: u32,
    _language: u32,
    buffer: Pointer<u8>,
    size: u32,
    _arguments: Pointer<c_void>,
) -> u32 {
    format(flags, code, buffer, size).unwrap_or_else(|failure| fail(failure, 0))
}

fn format<T: Unit>(flags: u32, code: u32, buffer: Pointer<T>, size: u32) -> Result<u32, Failure> {
    if buffer.is_null() {
        return Err(MISSING);
    }
    if flags & FROM_SYSTEM == 0 || flags & OTHERS != 0 {
        return Err(Failure(abi::ERROR_CALL_NOT_IMPLEMENTED));
    }
    let name = abi::win32_name(code).ok_or(Failure(abi::ERROR_MR_MID_NOT_FOUND))?;
    let mut text = T::of(&format!("{name} ({code}).\r\n"));
    text.push(T::ZERO);
    let target = if flags & ALLOCATE_BUFFER != 0 {
        let units = text.len().max(size as usize);
        let made = heap::allocate(units * size_of::<T>(), false);
        if made.is_null() {
            return Err(Failure(abi::ERROR_NOT_ENOUGH_MEMORY));
        }
        buffer.cast::<usize>().write(made.address())?;
        made.cast()
    } else if text.len() > size as usize {
        return Err(Failure(abi::ERROR_INSUFFICIENT_BUFFER));
    } else {
        buffer
    };
    for (index, unit) in text.iter().enumerate() {
        target.at(index).write(*unit)?;
    }
    u32::try_from(text.len() - 1).map_err(|_| MISSING)
}
