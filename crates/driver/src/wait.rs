//! Waits for NT's dispatcher objects, and how they end.

use core::ffi::c_void;
use core::ptr;
use core::time::Duration;

use abi::{
    Executive, FALSE, KernelMode, STATUS_ALERTED, STATUS_TIMEOUT, STATUS_USER_APC, UserMode, UserRequest,
};

use crate::nt::KeWaitForSingleObject;
use crate::time::relative;

/// What was waited for did not come in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeout;

/// The wait ended because the thread that waits is to end, or has something to do in its process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interrupted;

/// For whom a thread waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// The driver: nothing but the object and the time ends the wait.
    Driver,
    /// The application: its end does, too.
    User,
}

/// How a wait ended.
pub(crate) enum Outcome {
    Satisfied,
    TimedOut,
    Interrupted,
}

/// Waits for a dispatcher object; not alertable.
///
/// # Safety
///
/// `object` is an initialised dispatcher object, and stays one during the wait.
pub(crate) unsafe fn wait(object: *mut c_void, waiter: Waiter, timeout: Option<Duration>) -> Outcome {
    let (reason, mode) = match waiter {
        Waiter::Driver => (Executive, KernelMode),
        Waiter::User => (UserRequest, UserMode),
    };
    let timeout = timeout.map(relative);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the caller's contract.
    let status = unsafe { KeWaitForSingleObject(object, reason, mode, FALSE, timeout) };
    match status {
        STATUS_TIMEOUT => Outcome::TimedOut,
        STATUS_USER_APC | STATUS_ALERTED => Outcome::Interrupted,
        _ => Outcome::Satisfied,
    }
}
