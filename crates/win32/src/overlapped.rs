//! The ends of requests that go on: `GetOverlappedResult`, `CancelIoEx` and their kin.

use gate::{SystemCall, Transport};

use crate::device::{count, status_of};
use crate::failure::{Failure, MISSING, done};
use crate::pending;
use crate::pointer::Pointer;
use crate::session::{self, call, session};
use crate::settler;
use crate::thread;
use crate::types::{BOOL, FALSE, HANDLE, INFINITE, OVERLAPPED};
use crate::wait::{WAIT_FAILED, WAIT_IO_COMPLETION, WAIT_TIMEOUT, wait_for_handles};

/// How the request with this OVERLAPPED has ended. Without `wait`, ERROR_IO_INCOMPLETE while it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn GetOverlappedResult(
    file: HANDLE,
    overlapped: Pointer<OVERLAPPED>,
    transferred: Pointer<u32>,
    wait: BOOL,
) -> BOOL {
    let milliseconds = if wait == FALSE { 0 } else { INFINITE };
    done(result(file, overlapped, transferred, milliseconds, false))
}

/// The same, waiting for at most so long: WAIT_TIMEOUT when it goes on then (ERROR_IO_INCOMPLETE for 0 milliseconds),
/// WAIT_IO_COMPLETION when completion routines have run instead.
#[unsafe(no_mangle)]
pub extern "C" fn GetOverlappedResultEx(
    file: HANDLE,
    overlapped: Pointer<OVERLAPPED>,
    transferred: Pointer<u32>,
    milliseconds: u32,
    alertable: BOOL,
) -> BOOL {
    done(result(file, overlapped, transferred, milliseconds, alertable != FALSE))
}

pub(crate) fn result(
    file: HANDLE,
    overlapped: Pointer<OVERLAPPED>,
    transferred: Pointer<u32>,
    milliseconds: u32,
    alertable: bool,
) -> Result<(), Failure> {
    if overlapped.is_null() || transferred.is_null() {
        return Err(MISSING);
    }
    let home: Pointer<u64> = overlapped.cast();
    pending::settle(home.address());
    if status_of(home.load()?) == abi::STATUS_PENDING {
        if milliseconds == 0 {
            return Err(Failure(abi::ERROR_IO_INCOMPLETE));
        }
        wait(file, overlapped, milliseconds, alertable)?;
    }
    let status = status_of(home.load()?);
    transferred.write(count(home.at(1).load()?))?;
    if status == abi::STATUS_PENDING {
        return Err(Failure(abi::ERROR_IO_INCOMPLETE));
    }
    if status.is_success() { Ok(()) } else { Err(status.into()) }
}

fn wait(
    file: HANDLE,
    overlapped: Pointer<OVERLAPPED>,
    milliseconds: u32,
    alertable: bool,
) -> Result<(), Failure> {
    let event = overlapped.read()?.event.event()?;
    let home: Pointer<u64> = overlapped.cast();
    if !session::is_connected() {
        end_if_disconnected();
        return Err(abi::STATUS_DEVICE_NOT_CONNECTED.into());
    }
    let for_ever = milliseconds == INFINITE && !alertable;
    if event.is_none() && for_ever && settler::runs() && pending::has_stand_in(home.address()) {
        // Its own end: the file is signaled for others, too.
        pending::wait_for_home(home);
        return Ok(());
    }
    let handle = match event {
        Some(event) => event,
        None => file.of_machine()?,
    };
    let waited = wait_for_handles(&[handle], false, milliseconds, alertable);
    // The host may be gone, which ends everything.
    pending::settle(home.address());
    match waited? {
        WAIT_TIMEOUT => Err(Failure(WAIT_TIMEOUT)),
        WAIT_IO_COMPLETION => Err(Failure(WAIT_IO_COMPLETION)),
        WAIT_FAILED => Err(abi::STATUS_UNSUCCESSFUL.into()),
        _ => Ok(()),
    }
}

/// Whether the request has ended, which `HasOverlappedIoCompleted` asks: brings it home if so.
#[unsafe(no_mangle)]
pub extern "C" fn RingbridgeHasOverlappedIoCompleted(overlapped: Pointer<OVERLAPPED>) -> BOOL {
    let home: Pointer<u64> = overlapped.cast();
    pending::settle(home.address());
    home.load().is_ok_and(|status| status_of(status) != abi::STATUS_PENDING).into()
}

/// Cancels the requests that the calling thread has made on this file and that go on.
#[unsafe(no_mangle)]
pub extern "C" fn CancelIo(file: HANDLE) -> BOOL {
    done(file.of_machine().and_then(|handle| call(&SystemCall::CancelIoFile { handle })))
}

/// Cancels the request with this OVERLAPPED, or without one all of this process on this file. ERROR_NOT_FOUND when there is none.
#[unsafe(no_mangle)]
pub extern "C" fn CancelIoEx(file: HANDLE, overlapped: Pointer<OVERLAPPED>) -> BOOL {
    done(file.of_machine().and_then(|handle| {
        if !session()?.is_connected() {
            return Err(abi::STATUS_DEVICE_NOT_CONNECTED.into());
        }
        let cancel = |io_status_block| call(&SystemCall::CancelIoFileEx { handle, io_status_block });
        if overlapped.is_null() { cancel(0) } else { pending::with_block(overlapped.address(), cancel) }
    }))
}

/// Cancels the request that another thread waits for. ERROR_NOT_FOUND when it waits for none.
#[unsafe(no_mangle)]
pub extern "C" fn CancelSynchronousIo(thread: HANDLE) -> BOOL {
    done(thread::identifier(thread).and_then(|thread| {
        let _connected: &dyn Transport = session()?;
        call(&SystemCall::CancelSynchronousIoFile { thread })
    }))
}

/// The host is gone, if it is: then whatever went on has ended.
pub(crate) fn end_if_disconnected() {
    let is_lost = session::current().is_some_and(|transport| !transport.is_connected());
    if is_lost && !session::is_forked() {
        pending::lose_all();
    }
}
