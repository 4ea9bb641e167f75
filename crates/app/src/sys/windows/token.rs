//! Tokens.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Security::{
    DuplicateToken, GetLengthSid, GetTokenInformation, RevertToSelf, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, OpenProcessToken, OpenThreadToken, SetThreadToken,
};

use super::{Handle, Transport, done};
use crate::error::Win32Error;

fn opened(function: &'static str, open: impl FnOnce(*mut HANDLE) -> i32) -> Result<Handle, Win32Error> {
    let mut handle: HANDLE = null_mut();
    done(function, open(&raw mut handle))?;
    Ok(Handle::of(handle))
}

pub(crate) fn open_process_token(_transport: &dyn Transport, access: u32) -> Result<Handle, Win32Error> {
    // SAFETY: a pseudo handle.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: the place for the handle lives through the call.
    opened("OpenProcessToken", |place| unsafe { OpenProcessToken(process, access, place) })
}

pub(crate) fn open_thread_token(
    _transport: &dyn Transport,
    access: u32,
    open_as_self: bool,
) -> Result<Handle, Win32Error> {
    // SAFETY: a pseudo handle.
    let thread = unsafe { GetCurrentThread() };
    let open_as_self = i32::from(open_as_self);
    // SAFETY: the place for the handle lives through the call.
    opened("OpenThreadToken", |place| unsafe { OpenThreadToken(thread, access, open_as_self, place) })
}

pub(crate) fn duplicate_token(
    _transport: &dyn Transport,
    handle: Handle,
    level: u32,
) -> Result<Handle, Win32Error> {
    let level = level.cast_signed();
    // SAFETY: the place for the handle lives through the call.
    opened("DuplicateToken", |place| unsafe { DuplicateToken(handle.raw(), level, place) })
}

pub(crate) fn set_thread_token(_transport: &dyn Transport, token: Option<Handle>) -> Result<(), Win32Error> {
    match token {
        // SAFETY: without a thread it is the calling one's; the token is a value.
        Some(token) => done("SetThreadToken", unsafe { SetThreadToken(null(), token.raw()) }),
        // SAFETY: takes nothing.
        None => done("RevertToSelf", unsafe { RevertToSelf() }),
    }
}

/// Fills `room`; how many bytes.
fn information(handle: Handle, class: i32, room: &mut [u64]) -> Result<usize, Win32Error> {
    let length = u32::try_from(size_of_val(room)).unwrap_or(u32::MAX);
    let mut returned = 0;
    let target = room.as_mut_ptr().cast::<c_void>();
    // SAFETY: as many bytes as are said, and a place for the length, which live through the call.
    let got = unsafe { GetTokenInformation(handle.raw(), class, target, length, &raw mut returned) };
    done("GetTokenInformation", got)?;
    Ok(returned as usize)
}

/// The bytes of the user's SID.
pub(crate) fn token_user(_transport: &dyn Transport, handle: Handle) -> Result<Vec<u8>, Win32Error> {
    /// Words of a SID_AND_ATTRIBUTES and of the longest SID.
    const ROOM: usize = (16 + 8 + 15 * 4usize).div_ceil(8);
    let mut room = [0_u64; ROOM];
    information(handle, TokenUser, &mut room)?;
    // SAFETY: the call has filled the structure, for which the room is large enough and aligned.
    let user = unsafe { room.as_ptr().cast::<TOKEN_USER>().read() };
    // SAFETY: a SID that Windows has put behind the structure.
    let length = unsafe { GetLengthSid(user.User.Sid) } as usize;
    // SAFETY: it has this length, and lies in `room`.
    Ok(unsafe { std::slice::from_raw_parts(user.User.Sid.cast::<u8>(), length) }.to_vec())
}

/// A class that has one word.
pub(crate) fn token_word(_transport: &dyn Transport, handle: Handle, class: i32) -> Result<u32, Win32Error> {
    let mut room = [0_u64];
    information(handle, class, &mut room)?;
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what was written")]
    Ok(room[0] as u32)
}
