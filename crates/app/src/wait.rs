//! Waits for one or several objects: `WaitForSingleObject`, `WaitForMultipleObjects`, `SleepEx`.

use std::time::Duration;

use crate::error::Win32Error;
use crate::sys::{self, Handle, Transport};

/// What can be waited for.
pub trait Waitable {
    /// The handle to wait for.
    fn wait_handle(&self) -> Handle;
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// WAIT_OBJECT_0 and on: the object of this index is signaled; index 0 when all were waited for.
    Signaled(usize),
    /// WAIT_ABANDONED_0 and on: as `Signaled`, and the thread that owned the mutex has ended without releasing it.
    Abandoned(usize),
    /// WAIT_TIMEOUT.
    TimedOut,
    /// WAIT_IO_COMPLETION: the wait was alertable, and completion routines have run.
    CompletionRoutine,
}

/// The most objects of one wait (MAXIMUM_WAIT_OBJECTS).
pub const MAXIMUM_WAIT_OBJECTS: usize = abi::MAXIMUM_WAIT_OBJECTS as usize;

/// `WaitForMultipleObjects(…, FALSE, …)`: waits until one of the objects is signaled, the first of them that is.
/// `None` waits for ever.
///
/// # Errors
/// ERROR_INVALID_PARAMETER (87) for no objects or more than [`MAXIMUM_WAIT_OBJECTS`]; ERROR_ACCESS_DENIED (5) for a handle without
/// SYNCHRONIZE; ERROR_DEVICE_NOT_CONNECTED (1167) when the machine has stopped or the host is gone.
pub fn wait_any(
    transport: &dyn Transport,
    objects: &[&dyn Waitable],
    timeout: Option<Duration>,
) -> Result<Waited, Win32Error> {
    wait(transport, objects, false, false, timeout)
}

/// `WaitForMultipleObjects(…, TRUE, …)`: waits until all objects are signaled at the same time.
///
/// # Errors
/// As for [`wait_any`]; ERROR_INVALID_PARAMETER (87) also for an object that is named twice.
pub fn wait_all(
    transport: &dyn Transport,
    objects: &[&dyn Waitable],
    timeout: Option<Duration>,
) -> Result<Waited, Win32Error> {
    wait(transport, objects, true, false, timeout)
}

pub(crate) fn wait(
    transport: &dyn Transport,
    objects: &[&dyn Waitable],
    all: bool,
    alertable: bool,
    timeout: Option<Duration>,
) -> Result<Waited, Win32Error> {
    let mut handles = [Handle(0); MAXIMUM_WAIT_OBJECTS];
    let Some(handles) = handles.get_mut(..objects.len()) else {
        return Err(Win32Error::new("WaitForMultipleObjects", "", abi::STATUS_INVALID_PARAMETER_1));
    };
    for (handle, object) in handles.iter_mut().zip(objects) {
        *handle = object.wait_handle();
    }
    sys::wait(transport, handles, all, alertable, timeout)
}

/// Waits for one handle; true when it is signaled in time.
pub(crate) fn wait_for(
    transport: &dyn Transport,
    handle: Handle,
    timeout: Option<Duration>,
) -> Result<bool, Win32Error> {
    let waited = sys::wait(transport, &[handle], false, false, timeout)?;
    Ok(matches!(waited, Waited::Signaled(_) | Waited::Abandoned(_)))
}
