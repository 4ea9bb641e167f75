//! Calls into driver code.

use platform::entry;
use platform::landing::{self, Code};
use platform::pages::{SYSTEM_SPACE, USER_PROBE_ADDRESS};

use super::Outcome;

/// Whether code at `function` belongs to a loaded image (rather than being compiled into this process).
#[inline]
#[must_use]
pub fn is_image(function: u64) -> bool {
    function < USER_PROBE_ADDRESS as u64
        || (SYSTEM_SPACE.start as u64..SYSTEM_SPACE.end as u64).contains(&function)
}

/// Calls driver code at `function` with the Win64 convention and returns RAX.
///
/// # Errors
/// How the driver's frames were left otherwise than by returning.
///
/// # Panics
/// When the thread is not inside a machine.
#[inline]
pub fn call(function: u64, arguments: &[u64]) -> Outcome<u64> {
    let region = entry::region().expect("driver code is called inside a machine");
    let code = if is_image(function) { Code::Image } else { Code::Native };
    let function = usize::try_from(function).unwrap_or(0);
    // SAFETY: the thread is inside a machine. The address came from the driver itself as the routine for these
    // arguments; when it is wrong, the driver's own fault follows, and is caught as such.
    unsafe { landing::call(region, code, function, arguments) }
}

/// As [`call`], under a handler of the kernel's own: an exception that no driver's frame takes is returned, where after
/// [`call`] it would have stopped the machine.
///
/// # Errors
/// As for [`call`].
///
/// # Panics
/// As for [`call`].
pub fn call_taking(function: u64, arguments: &[u64]) -> Outcome<u64> {
    let region = entry::region().expect("driver code is called inside a machine");
    let code = if is_image(function) { Code::Image } else { Code::Native };
    let function = usize::try_from(function).unwrap_or(0);
    // SAFETY: as in `call`.
    unsafe { landing::call_taking(region, code, function, arguments) }
}

/// Whether the innermost driver code on this thread is compiled into the process.
#[must_use]
pub(super) fn is_inside_native() -> bool {
    let landing = entry::region().map_or(std::ptr::null_mut(), entry::Region::landing);
    // SAFETY: a non-null landing of the calling thread is live.
    !landing.is_null() && unsafe { (*landing).code } == Code::Native
}

/// Where the driver code continues that called the export that this thread is in; 0 outside of exports.
#[must_use]
pub fn return_address() -> u64 {
    let frame = landing::current_frame();
    if frame.is_null() {
        return 0;
    }
    // SAFETY: a linked frame is live: its export has not returned.
    unsafe { (*frame).return_address }
}
