//! How much of the kernel stack is left, and calls that need more.

use core::ffi::c_void;
use core::ptr;

use abi::{NTSTATUS, STATUS_UNSUCCESSFUL};

use crate::PassiveLevel;
use crate::bugcheck::guard;
use crate::nt::{IoGetRemainingStackSize, KeExpandKernelStackAndCallout};

/// Bytes that are left of the kernel stack (`IoGetRemainingStackSize`): to look at before recursion. IRQL: up to
/// DISPATCH_LEVEL.
#[must_use]
pub fn remaining_stack_size() -> usize {
    // SAFETY: no arguments; the answer is about this thread alone.
    unsafe { IoGetRemainingStackSize() }
}

/// A routine on its way through [`expand_stack`], and its result on the way back.
struct Callout<T, F> {
    routine: Option<F>,
    result: Option<T>,
}

/// Calls `routine`, in this thread, with at least `size` bytes of kernel stack (`KeExpandKernelStackAndCallout`): for recursion
/// that needs more than [`remaining_stack_size`]. Fails, and calls nothing, with STATUS_INVALID_PARAMETER_3 when `size` is over
/// 0x11800 (MAXIMUM_EXPANSION_SIZE) and with STATUS_NO_MEMORY. IRQL: PASSIVE_LEVEL.
pub fn expand_stack<T, F: FnOnce() -> T>(
    _level: PassiveLevel,
    size: usize,
    routine: F,
) -> Result<T, NTSTATUS> {
    let mut callout = Callout { routine: Some(routine), result: None };
    let parameter = ptr::from_mut(&mut callout).cast();
    // SAFETY: at PASSIVE_LEVEL; the callout lives until the call returns.
    let status = unsafe { KeExpandKernelStackAndCallout(Some(call::<T, F>), parameter, size) };
    if status.is_success() { callout.result.ok_or(STATUS_UNSUCCESSFUL) } else { Err(status) }
}

/// The routine on the expanded stack.
unsafe extern "win64" fn call<T, F: FnOnce() -> T>(parameter: *mut c_void) {
    guard(|| {
        // SAFETY: the callout of `expand_stack`, which waits for this.
        let callout = unsafe { &mut *parameter.cast::<Callout<T, F>>() };
        callout.result = callout.routine.take().map(|routine| routine());
    });
}
