//! The functions of named pipes.

use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;
use windows_sys::Win32::Storage::FileSystem::FlushFileBuffers;
use windows_sys::Win32::System::Pipes::{
    CreateNamedPipeW, DisconnectNamedPipe, GetNamedPipeClientProcessId, GetNamedPipeHandleStateW,
    GetNamedPipeInfo, GetNamedPipeServerProcessId, ImpersonateNamedPipeClient, PIPE_NOWAIT,
    PIPE_READMODE_MESSAGE, PIPE_SERVER_END, PIPE_TYPE_MESSAGE, PeekNamedPipe, SetNamedPipeHandleState,
    WaitNamedPipeW,
};

use super::protection::aligned;
use super::{Handle, Transport, done, last_error, length, wide};
use crate::error::Win32Error;
use crate::named_pipe::{HandleState, NamedPipeInfo, Peek};
use crate::sys::PipeRequest;

pub(crate) fn create_named_pipe(
    _transport: &dyn Transport,
    name: &str,
    request: &PipeRequest,
    descriptor: &[u8],
) -> Result<Handle, Win32Error> {
    let PipeRequest { open_mode, pipe_mode, max_instances, out_buffer, in_buffer, default_timeout } =
        *request;
    let path = wide(name);
    let mut aligned = aligned(descriptor);
    let attributes = SECURITY_ATTRIBUTES {
        nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or(0),
        lpSecurityDescriptor: aligned.as_mut_ptr().cast(),
        bInheritHandle: 0,
    };
    let attributes = if descriptor.is_empty() { null() } else { &raw const attributes };
    // SAFETY: a path with its terminating zero; NULL or attributes whose descriptor is self-relative by the caller's word, which the
    // system captures and validates, and which has zeroes behind it; the others are values.
    let handle = unsafe {
        CreateNamedPipeW(
            path.as_ptr(),
            open_mode,
            pipe_mode,
            max_instances,
            out_buffer,
            in_buffer,
            default_timeout,
            attributes,
        )
    };
    if handle == INVALID_HANDLE_VALUE {
        Err(last_error("CreateNamedPipe", name))
    } else {
        Ok(Handle::of(handle))
    }
}

pub(crate) fn wait_named_pipe(
    _transport: &dyn Transport,
    name: &str,
    timeout: u32,
) -> Result<(), Win32Error> {
    let path = wide(name);
    // SAFETY: a path with its terminating zero.
    let waited = unsafe { WaitNamedPipeW(path.as_ptr(), timeout) };
    if waited == 0 { Err(last_error("WaitNamedPipe", name)) } else { Ok(()) }
}

pub(crate) fn disconnect_named_pipe(_transport: &dyn Transport, handle: Handle) -> Result<(), Win32Error> {
    // SAFETY: takes a value.
    done("DisconnectNamedPipe", unsafe { DisconnectNamedPipe(handle.raw()) })
}

pub(crate) fn peek_named_pipe(
    _transport: &dyn Transport,
    handle: Handle,
    buffer: &mut [u8],
) -> Result<Peek, Win32Error> {
    let room = length(buffer, "PeekNamedPipe")?;
    let (mut read, mut available, mut left_this_message) = (0, 0, 0);
    // SAFETY: the buffer has so many bytes; the others can be written.
    let peeked = unsafe {
        PeekNamedPipe(
            handle.raw(),
            buffer.as_mut_ptr().cast(),
            room,
            &raw mut read,
            &raw mut available,
            &raw mut left_this_message,
        )
    };
    done("PeekNamedPipe", peeked)?;
    Ok(Peek { read, available, left_this_message })
}

pub(crate) fn named_pipe_info(
    _transport: &dyn Transport,
    handle: Handle,
) -> Result<NamedPipeInfo, Win32Error> {
    let (mut flags, mut out_buffer, mut in_buffer, mut max_instances) = (0, 0, 0, 0);
    // SAFETY: all can be written.
    let told = unsafe {
        GetNamedPipeInfo(
            handle.raw(),
            &raw mut flags,
            &raw mut out_buffer,
            &raw mut in_buffer,
            &raw mut max_instances,
        )
    };
    done("GetNamedPipeInfo", told)?;
    let (is_server, is_message_type) = (flags & PIPE_SERVER_END != 0, flags & PIPE_TYPE_MESSAGE != 0);
    Ok(NamedPipeInfo { is_server, is_message_type, out_buffer, in_buffer, max_instances })
}

pub(crate) fn named_pipe_state(
    _transport: &dyn Transport,
    handle: Handle,
) -> Result<HandleState, Win32Error> {
    let (mut state, mut instances) = (0, 0);
    // SAFETY: both can be written; the rest is not asked for.
    let told = unsafe {
        GetNamedPipeHandleStateW(
            handle.raw(),
            &raw mut state,
            &raw mut instances,
            null_mut(),
            null_mut(),
            null_mut(),
            0,
        )
    };
    done("GetNamedPipeHandleState", told)?;
    let (reads_messages, never_waits) = (state & PIPE_READMODE_MESSAGE != 0, state & PIPE_NOWAIT != 0);
    Ok(HandleState { reads_messages, never_waits, instances })
}

pub(crate) fn set_named_pipe_state(
    _transport: &dyn Transport,
    handle: Handle,
    reads_messages: bool,
    never_waits: bool,
) -> Result<(), Win32Error> {
    let mode =
        if reads_messages { PIPE_READMODE_MESSAGE } else { 0 } | if never_waits { PIPE_NOWAIT } else { 0 };
    // SAFETY: the mode can be read; the rest is not changed.
    let set = unsafe { SetNamedPipeHandleState(handle.raw(), &raw const mode, null(), null()) };
    done("SetNamedPipeHandleState", set)
}

pub(crate) fn named_pipe_process(
    _transport: &dyn Transport,
    handle: Handle,
    of_server: bool,
) -> Result<u32, Win32Error> {
    let mut process = 0;
    if of_server {
        // SAFETY: can be written.
        let told = unsafe { GetNamedPipeServerProcessId(handle.raw(), &raw mut process) };
        done("GetNamedPipeServerProcessId", told)?;
    } else {
        // SAFETY: can be written.
        let told = unsafe { GetNamedPipeClientProcessId(handle.raw(), &raw mut process) };
        done("GetNamedPipeClientProcessId", told)?;
    }
    Ok(process)
}

pub(crate) fn impersonate_named_pipe_client(
    _transport: &dyn Transport,
    handle: Handle,
) -> Result<(), Win32Error> {
    // SAFETY: takes a value.
    done("ImpersonateNamedPipeClient", unsafe { ImpersonateNamedPipeClient(handle.raw()) })
}

pub(crate) fn flush(_transport: &dyn Transport, handle: Handle) -> Result<(), Win32Error> {
    // SAFETY: takes a value.
    done("FlushFileBuffers", unsafe { FlushFileBuffers(handle.raw()) })
}
