//! Mutexes, semaphores and waitable timers: the machine's objects, so that waits take them beside anything else and processes share them.

use std::ffi::c_void;

use gate::{Synchronization, SynchronizationCall, SynchronizationKind, SystemCall};

use crate::event::named_failure;
use crate::failure::{Failure, MISSING, checked, done, fail, set};
use crate::pointer::Pointer;
use crate::session::ask;
use crate::text::Text;
use crate::types::{BOOL, FALSE, HANDLE};

fn create(name: impl Text, desired_access: u32, object: Synchronization) -> Result<HANDLE, Failure> {
    let path = name.text_if_there()?.map(|name| app::object_path(&name)).unwrap_or_default();
    let call = SynchronizationCall::Create { name: &path, desired_access, object };
    let reply = ask(&SystemCall::Synchronization(call), &mut [])?;
    if !reply.status.is_success() {
        return Err(named_failure(reply.status));
    }
    set(if reply.information != 0 { abi::ERROR_ALREADY_EXISTS } else { abi::ERROR_SUCCESS });
    Ok(reply.handle.into())
}

fn open(name: impl Text, desired_access: u32, kind: SynchronizationKind) -> Result<HANDLE, Failure> {
    let path = app::object_path(&name.text()?);
    let call = SynchronizationCall::Open { name: &path, desired_access, kind };
    let reply = ask(&SystemCall::Synchronization(call), &mut [])?;
    if reply.status.is_success() { Ok(reply.handle.into()) } else { Err(named_failure(reply.status)) }
}

fn handle_or_null(result: Result<HANDLE, Failure>) -> HANDLE {
    result.unwrap_or_else(|failure| fail(failure, HANDLE::NULL))
}

/// What came before a call.
fn before(call: SynchronizationCall<'_>) -> Result<u64, Failure> {
    let reply = ask(&SystemCall::Synchronization(call), &mut [])?;
    checked(reply.status).map(|()| reply.information)
}

/// Creates a mutex, or opens the one that has the name (ERROR_ALREADY_EXISTS besides the handle; nobody comes to own it then). It is
/// acquired by waiting; WAIT_ABANDONED says that its last owner has ended. Security attributes are not looked at.
#[unsafe(no_mangle)]
pub extern "C" fn CreateMutexW(_attributes: Pointer<c_void>, owned: BOOL, name: Pointer<u16>) -> HANDLE {
    let mutant = Synchronization::Mutant { initial_owner: owned != FALSE };
    handle_or_null(create(name, abi::MUTANT_ALL_ACCESS, mutant))
}

/// The same, its name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn CreateMutexA(_attributes: Pointer<c_void>, owned: BOOL, name: Pointer<u8>) -> HANDLE {
    let mutant = Synchronization::Mutant { initial_owner: owned != FALSE };
    handle_or_null(create(name, abi::MUTANT_ALL_ACCESS, mutant))
}

/// Opens the mutex that has the name. Handles are not inherited.
#[unsafe(no_mangle)]
pub extern "C" fn OpenMutexW(access: u32, _inherit: BOOL, name: Pointer<u16>) -> HANDLE {
    handle_or_null(open(name, access, SynchronizationKind::Mutant))
}

/// The same, its name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn OpenMutexA(access: u32, _inherit: BOOL, name: Pointer<u8>) -> HANDLE {
    handle_or_null(open(name, access, SynchronizationKind::Mutant))
}

/// Releases a mutex once. ERROR_NOT_OWNER (288) for who does not own it.
#[unsafe(no_mangle)]
pub extern "C" fn ReleaseMutex(mutex: HANDLE) -> BOOL {
    let release = |handle| before(SynchronizationCall::ReleaseMutant { handle });
    done(mutex.of_machine().and_then(release).map(drop))
}

/// Creates a semaphore, or opens the one that has the name (ERROR_ALREADY_EXISTS besides the handle). ERROR_INVALID_PARAMETER for a count
/// below 0 or above the maximum. Security attributes are not looked at.
#[unsafe(no_mangle)]
pub extern "C" fn CreateSemaphoreW(
    _attributes: Pointer<c_void>,
    initial: i32,
    maximum: i32,
    name: Pointer<u16>,
) -> HANDLE {
    handle_or_null(create(name, abi::SEMAPHORE_ALL_ACCESS, Synchronization::Semaphore { initial, maximum }))
}

/// The same, its name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn CreateSemaphoreA(
    _attributes: Pointer<c_void>,
    initial: i32,
    maximum: i32,
    name: Pointer<u8>,
) -> HANDLE {
    handle_or_null(create(name, abi::SEMAPHORE_ALL_ACCESS, Synchronization::Semaphore { initial, maximum }))
}

/// Opens the semaphore that has the name. Handles are not inherited.
#[unsafe(no_mangle)]
pub extern "C" fn OpenSemaphoreW(access: u32, _inherit: BOOL, name: Pointer<u16>) -> HANDLE {
    handle_or_null(open(name, access, SynchronizationKind::Semaphore))
}

/// The same, its name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn OpenSemaphoreA(access: u32, _inherit: BOOL, name: Pointer<u8>) -> HANDLE {
    handle_or_null(open(name, access, SynchronizationKind::Semaphore))
}

/// Adds to a semaphore's count; `previous`, which may be NULL, is told what it was. ERROR_TOO_MANY_POSTS (298) beyond its maximum,
/// ERROR_INVALID_PARAMETER for less than 1.
#[unsafe(no_mangle)]
pub extern "C" fn ReleaseSemaphore(semaphore: HANDLE, count: i32, previous: Pointer<i32>) -> BOOL {
    let release = |handle| {
        let was = before(SynchronizationCall::ReleaseSemaphore { handle, count })?;
        previous.write_if_there(i32::try_from(was).unwrap_or(i32::MAX))
    };
    done(semaphore.of_machine().and_then(release))
}

fn timer(manual: BOOL) -> Synchronization {
    let timer_type = if manual == FALSE { abi::SynchronizationTimer } else { abi::NotificationTimer };
    Synchronization::Timer { timer_type }
}

/// Creates a waitable timer, or opens the one that has the name (ERROR_ALREADY_EXISTS besides the handle). Security attributes are not
/// looked at.
#[unsafe(no_mangle)]
pub extern "C" fn CreateWaitableTimerW(
    _attributes: Pointer<c_void>,
    manual: BOOL,
    name: Pointer<u16>,
) -> HANDLE {
    handle_or_null(create(name, abi::TIMER_ALL_ACCESS, timer(manual)))
}

/// The same, its name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn CreateWaitableTimerA(
    _attributes: Pointer<c_void>,
    manual: BOOL,
    name: Pointer<u8>,
) -> HANDLE {
    handle_or_null(create(name, abi::TIMER_ALL_ACCESS, timer(manual)))
}

/// Opens the timer that has the name. Handles are not inherited.
#[unsafe(no_mangle)]
pub extern "C" fn OpenWaitableTimerW(access: u32, _inherit: BOOL, name: Pointer<u16>) -> HANDLE {
    handle_or_null(open(name, access, SynchronizationKind::Timer))
}

/// The same, its name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn OpenWaitableTimerA(access: u32, _inherit: BOOL, name: Pointer<u8>) -> HANDLE {
    handle_or_null(open(name, access, SynchronizationKind::Timer))
}

/// Sets a timer: `due` in units of 100 ns, below 0 relative to now, else since 1601; then every `period` milliseconds, if that is not 0.
/// It is no longer signaled. A routine to be called is ERROR_NOT_SUPPORTED.
#[unsafe(no_mangle)]
pub extern "C" fn SetWaitableTimer(
    timer: HANDLE,
    due: Pointer<i64>,
    period: i32,
    routine: Pointer<c_void>,
    _argument: Pointer<c_void>,
    _resume: BOOL,
) -> BOOL {
    let start = |handle| {
        if !routine.is_null() {
            return Err(Failure(abi::ERROR_NOT_SUPPORTED));
        }
        if due.is_null() {
            return Err(MISSING);
        }
        before(SynchronizationCall::SetTimer { handle, due_time: Some(due.read()?), period })
    };
    done(timer.of_machine().and_then(start).map(drop))
}

/// Stops a timer; whether it is signaled stays.
#[unsafe(no_mangle)]
pub extern "C" fn CancelWaitableTimer(timer: HANDLE) -> BOOL {
    let cancel = |handle| before(SynchronizationCall::SetTimer { handle, due_time: None, period: 0 });
    done(timer.of_machine().and_then(cancel).map(drop))
}
