//! Events: `CreateEvent`, `OpenEvent`, `SetEvent`, `ResetEvent`, `PulseEvent`.

use std::ffi::c_void;

use abi::NTSTATUS;
use gate::SystemCall;

use crate::failure::{Failure, done, fail, set};
use crate::pointer::Pointer;
use crate::session::{ask, call};
use crate::text::Text;
use crate::types::{BOOL, FALSE, HANDLE};

/// For a name of an object of another type, which Win32 documents otherwise than the status says.
pub(crate) fn named_failure(status: NTSTATUS) -> Failure {
    match status {
        abi::STATUS_OBJECT_TYPE_MISMATCH => Failure(abi::ERROR_INVALID_HANDLE),
        status => status.into(),
    }
}

fn create(name: impl Text, manual: BOOL, initial: BOOL) -> Result<HANDLE, Failure> {
    let path = name.text_if_there()?.map(|name| app::object_path(&name)).unwrap_or_default();
    let reply = ask(
        &SystemCall::CreateEvent {
            name: &path,
            desired_access: abi::EVENT_ALL_ACCESS,
            event_type: if manual == FALSE { abi::SynchronizationEvent } else { abi::NotificationEvent },
            initial_state: initial != FALSE,
        },
        &mut [],
    )?;
    if !reply.status.is_success() {
        return Err(named_failure(reply.status));
    }
    let existed = reply.information != 0;
    set(if existed { abi::ERROR_ALREADY_EXISTS } else { abi::ERROR_SUCCESS });
    Ok(reply.handle.into())
}

fn open(name: impl Text, access: u32) -> Result<HANDLE, Failure> {
    let path = app::object_path(&name.text()?);
    let reply = ask(&SystemCall::OpenEvent { name: &path, desired_access: access }, &mut [])?;
    if reply.status.is_success() { Ok(reply.handle.into()) } else { Err(named_failure(reply.status)) }
}

/// Creates an event, or opens the one that has the name (ERROR_ALREADY_EXISTS besides the handle). Security attributes are not
/// looked at.
#[unsafe(no_mangle)]
pub extern "C" fn CreateEventW(
    _attributes: Pointer<c_void>,
    manual: BOOL,
    initial: BOOL,
    name: Pointer<u16>,
) -> HANDLE {
    create(name, manual, initial).unwrap_or_else(|failure| fail(failure, HANDLE::NULL))
}

/// The same, its name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn CreateEventA(
    _attributes: Pointer<c_void>,
    manual: BOOL,
    initial: BOOL,
    name: Pointer<u8>,
) -> HANDLE {
    create(name, manual, initial).unwrap_or_else(|failure| fail(failure, HANDLE::NULL))
}

/// Opens the event that has the name. Handles are not inherited.
#[unsafe(no_mangle)]
pub extern "C" fn OpenEventW(access: u32, _inherit: BOOL, name: Pointer<u16>) -> HANDLE {
    open(name, access).unwrap_or_else(|failure| fail(failure, HANDLE::NULL))
}

/// The same, its name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn OpenEventA(access: u32, _inherit: BOOL, name: Pointer<u8>) -> HANDLE {
    open(name, access).unwrap_or_else(|failure| fail(failure, HANDLE::NULL))
}

/// Sets an event.
#[unsafe(no_mangle)]
pub extern "C" fn SetEvent(event: HANDLE) -> BOOL {
    done(event.of_machine().and_then(|handle| call(&SystemCall::SetEvent { handle })))
}

/// Resets an event.
#[unsafe(no_mangle)]
pub extern "C" fn ResetEvent(event: HANDLE) -> BOOL {
    done(event.of_machine().and_then(|handle| call(&SystemCall::ResetEvent { handle })))
}

/// Sets an event for those who wait now, and resets it.
#[unsafe(no_mangle)]
pub extern "C" fn PulseEvent(event: HANDLE) -> BOOL {
    done(event.of_machine().and_then(|handle| call(&SystemCall::PulseEvent { handle })))
}
