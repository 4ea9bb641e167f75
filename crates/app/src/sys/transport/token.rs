//! Tokens.

use gate::SystemCall;

use super::{Handle, Transport, call, done};
use crate::error::Win32Error;

fn opened(
    transport: &dyn Transport,
    function: &'static str,
    request: &SystemCall<'_>,
) -> Result<Handle, Win32Error> {
    let reply = transport.system_call(request, &mut []);
    done(function, reply.status).map(|()| reply.handle)
}

pub(crate) fn open_process_token(
    transport: &dyn Transport,
    desired_access: u32,
) -> Result<Handle, Win32Error> {
    opened(transport, "OpenProcessToken", &SystemCall::OpenProcessToken { desired_access })
}

pub(crate) fn open_thread_token(
    transport: &dyn Transport,
    desired_access: u32,
    open_as_self: bool,
) -> Result<Handle, Win32Error> {
    opened(transport, "OpenThreadToken", &SystemCall::OpenThreadToken { desired_access, open_as_self })
}

pub(crate) fn duplicate_token(
    transport: &dyn Transport,
    handle: Handle,
    level: u32,
) -> Result<Handle, Win32Error> {
    let request = SystemCall::DuplicateToken {
        handle,
        desired_access: abi::TOKEN_IMPERSONATE | abi::TOKEN_QUERY,
        level,
        kind: abi::TokenImpersonation,
        effective_only: false,
    };
    opened(transport, "DuplicateToken", &request)
}

pub(crate) fn set_thread_token(transport: &dyn Transport, token: Option<Handle>) -> Result<(), Win32Error> {
    let function = if token.is_some() { "SetThreadToken" } else { "RevertToSelf" };
    call(transport, function, &SystemCall::SetThreadToken { token })
}

/// What a class has, at most `ROOM` bytes.
fn information<const ROOM: usize>(
    transport: &dyn Transport,
    handle: Handle,
    class: i32,
) -> Result<([u8; ROOM], usize), Win32Error> {
    let mut room = [0; ROOM];
    let reply = transport.system_call(&SystemCall::QueryInformationToken { handle, class }, &mut room);
    done("GetTokenInformation", reply.status)?;
    let length = usize::try_from(reply.information).unwrap_or(ROOM);
    Ok((room, length.min(ROOM)))
}

/// The bytes of the user's SID.
pub(crate) fn token_user(transport: &dyn Transport, handle: Handle) -> Result<Vec<u8>, Win32Error> {
    /// A SID_AND_ATTRIBUTES and the longest SID.
    const ROOM: usize = 16 + 8 + 15 * 4;
    let (room, length) = information::<ROOM>(transport, handle, abi::TokenUser)?;
    let at = room.first_chunk().map_or(0, |place| u64::from_le_bytes(*place));
    let sid = usize::try_from(at).ok().and_then(|at| room[..length].get(at..));
    Ok(sid.unwrap_or_default().to_vec())
}

/// A class that has one word.
pub(crate) fn token_word(transport: &dyn Transport, handle: Handle, class: i32) -> Result<u32, Win32Error> {
    information::<4>(transport, handle, class).map(|(word, _)| u32::from_le_bytes(word))
}
