//! Waits: `WaitForSingleObject`, `WaitForMultipleObjects`, `SleepEx`. Before one returns, the requests that have ended are
//! brought home.

use gate::{Handle, SystemCall};

use crate::apc;
use crate::failure::{Failure, MISSING, fail};
use crate::overlapped::end_if_disconnected;
use crate::pending;
use crate::pointer::Pointer;
use crate::session::session;
use crate::thread;
use crate::types::{BOOL, FALSE, HANDLE, INFINITE};

/// A wait ended without its objects.
pub const WAIT_TIMEOUT: u32 = 0x102;
/// An alertable wait ended because routines have run.
pub const WAIT_IO_COMPLETION: u32 = 0xC0;
/// A wait failed; the last error says why.
pub const WAIT_FAILED: u32 = u32::MAX;

const MOST: usize = abi::MAXIMUM_WAIT_OBJECTS as usize;

/// Milliseconds as NT wants them: in units of 100 ns, negative for relative times. `None` waits for ever.
pub(crate) fn relative(milliseconds: u32) -> Option<i64> {
    (milliseconds != INFINITE).then(|| -i64::from(milliseconds) * 10_000)
}

/// Waits; WAIT_OBJECT_0 and the index of the object that ended it, WAIT_TIMEOUT, WAIT_IO_COMPLETION.
pub(crate) fn wait_for_handles(
    handles: &[Handle],
    all: bool,
    milliseconds: u32,
    alertable: bool,
) -> Result<u32, Failure> {
    let call = SystemCall::Wait { handles, all, alertable, timeout: relative(milliseconds) };
    let status = session()?.system_call(&call, &mut []).status;
    pending::settle_all();
    if status == abi::STATUS_USER_APC {
        apc::run_due();
    }
    if status.is_error() {
        end_if_disconnected();
        return Err(status.into());
    }
    Ok(status.bits())
}

fn wait(handles: &[HANDLE], all: bool, milliseconds: u32, alertable: bool) -> u32 {
    let mut known = [Handle(0); MOST];
    let waited = handles.iter().zip(&mut known).try_for_each(|(handle, place)| {
        *place = match *handle {
            HANDLE::CURRENT_THREAD => thread::own()?,
            handle => handle.of_machine()?,
        };
        Ok(())
    });
    let waited =
        waited.and_then(|()| wait_for_handles(&known[..handles.len()], all, milliseconds, alertable));
    waited.unwrap_or_else(|failure| fail(failure, WAIT_FAILED))
}

/// Waits for an object, for at most so many milliseconds.
#[unsafe(no_mangle)]
pub extern "C" fn WaitForSingleObject(object: HANDLE, milliseconds: u32) -> u32 {
    wait(&[object], false, milliseconds, false)
}

/// The same, alertable if asked for.
#[unsafe(no_mangle)]
pub extern "C" fn WaitForSingleObjectEx(object: HANDLE, milliseconds: u32, alertable: BOOL) -> u32 {
    wait(&[object], false, milliseconds, alertable != FALSE)
}

/// Waits for one of up to 64 objects, or for all of them at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn WaitForMultipleObjects(
    count: u32,
    objects: Pointer<HANDLE>,
    all: BOOL,
    milliseconds: u32,
) -> u32 {
    WaitForMultipleObjectsEx(count, objects, all, milliseconds, FALSE)
}

/// The same, alertable if asked for.
#[unsafe(no_mangle)]
pub extern "C" fn WaitForMultipleObjectsEx(
    count: u32,
    objects: Pointer<HANDLE>,
    all: BOOL,
    milliseconds: u32,
    alertable: BOOL,
) -> u32 {
    let mut handles = [HANDLE::NULL; MOST];
    let Some(handles) = handles.get_mut(..count as usize).filter(|_| count > 0) else {
        return fail(MISSING, WAIT_FAILED);
    };
    for (index, handle) in handles.iter_mut().enumerate() {
        match objects.at(index).read() {
            Ok(given) => *handle = given,
            Err(failure) => return fail(failure, WAIT_FAILED),
        }
    }
    wait(handles, all != FALSE, milliseconds, alertable != FALSE)
}

/// Lets time pass.
#[unsafe(no_mangle)]
pub extern "C" fn Sleep(milliseconds: u32) {
    SleepEx(milliseconds, FALSE);
}

/// Lets time pass; 0, or WAIT_IO_COMPLETION when routines have run, which ends an alertable one.
#[unsafe(no_mangle)]
pub extern "C" fn SleepEx(milliseconds: u32, alertable: BOOL) -> u32 {
    if alertable == FALSE {
        // No matter of the machine's.
        match milliseconds {
            0 => std::thread::yield_now(),
            INFINITE => loop {
                std::thread::park();
            },
            _ => std::thread::sleep(std::time::Duration::from_millis(milliseconds.into())),
        }
        pending::settle_all();
        return 0;
    }
    let Ok(transport) = session() else { return 0 };
    // Longer than any machine runs.
    let interval = relative(milliseconds).unwrap_or(-i64::MAX);
    let status = transport.system_call(&SystemCall::Delay { alertable: true, interval }, &mut []).status;
    pending::settle_all();
    if status == abi::STATUS_USER_APC {
        apc::run_due();
        return WAIT_IO_COMPLETION;
    }
    0
}
