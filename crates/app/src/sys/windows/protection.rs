//! Security descriptors of objects, and the creation of mailslots.

use std::ptr::null;

use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, GetLastError, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Security::{GetKernelObjectSecurity, SetKernelObjectSecurity};
use windows_sys::Win32::System::Mailslots::CreateMailslotW;

use super::{Handle, Transport, done, last_error, wide};
use crate::error::Win32Error;

pub(crate) fn kernel_object_security(
    _transport: &dyn Transport,
    handle: Handle,
    information: u32,
) -> Result<Vec<u8>, Win32Error> {
    // Words, since a descriptor begins with some.
    let mut room = vec![0_u64; 16];
    loop {
        let length = u32::try_from(size_of_val(&*room)).unwrap_or(u32::MAX);
        let mut needed = 0;
        let target = room.as_mut_ptr().cast();
        // SAFETY: as many bytes as are said, and a place for the length, which live through the call.
        let got =
            unsafe { GetKernelObjectSecurity(handle.raw(), information, target, length, &raw mut needed) };
        // SAFETY: takes nothing.
        if got == 0 && needed > length && unsafe { GetLastError() } == ERROR_INSUFFICIENT_BUFFER {
            room.resize(needed.div_ceil(8) as usize, 0);
            continue;
        }
        done("GetKernelObjectSecurity", got)?;
        let mut bytes: Vec<u8> = room.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(needed.min(length) as usize);
        return Ok(bytes);
    }
}

/// A descriptor as words, since it begins with some, and zeroes behind it.
pub(super) fn aligned(descriptor: &[u8]) -> Vec<u64> {
    descriptor
        .chunks(8)
        .map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        })
        .chain([0; 3])
        .collect()
}

pub(crate) fn set_kernel_object_security(
    _transport: &dyn Transport,
    handle: Handle,
    information: u32,
    descriptor: &[u8],
) -> Result<(), Win32Error> {
    let aligned = aligned(descriptor);
    let source = aligned.as_ptr().cast_mut().cast();
    // SAFETY: a self-relative descriptor by the caller's word, which the system captures and validates; behind what there is of
    // it are zeroes, and it lives through the call.
    done("SetKernelObjectSecurity", unsafe { SetKernelObjectSecurity(handle.raw(), information, source) })
}

/// `read_timeout` in milliseconds; MAILSLOT_WAIT_FOREVER is -1.
pub(crate) fn create_mailslot(
    _transport: &dyn Transport,
    name: &str,
    maximum_message_size: u32,
    read_timeout: u32,
) -> Result<Handle, Win32Error> {
    let path = wide(name);
    // SAFETY: a path with its terminating zero; the others are values.
    let handle = unsafe { CreateMailslotW(path.as_ptr(), maximum_message_size, read_timeout, null()) };
    if handle == INVALID_HANDLE_VALUE {
        Err(last_error("CreateMailslot", name))
    } else {
        Ok(Handle::of(handle))
    }
}
