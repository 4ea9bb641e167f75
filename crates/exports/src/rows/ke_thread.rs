//! The calling thread: APCs, priority, its stack; clocks.

use abi::NTSTATUS;
use kernel::ke::TIME_INCREMENT;
use kernel::ps::ThreadBody;
use kernel::{Unwind, raw};

use crate::Call;
use crate::row::rows;

/// MAXIMUM_EXPANSION_SIZE in bytes: KERNEL_LARGE_STACK_SIZE less half a page, as in wdm.h.
const MAXIMUM_EXPANSION_SIZE: u64 = 0x12000 - 0x800;

/// Runs `with` on the thread whose object is at `address`.
///
/// # Errors
/// An access violation for what is no thread object.
fn with_thread<R>(
    call: Call<'_>,
    address: u64,
    with: impl FnOnce(&kernel::ke::Thread) -> R,
) -> kernel::Outcome<R> {
    if address == call.thread.object() {
        return Ok(with(call.thread));
    }
    let object = call.kernel.ob.by_address(address);
    match object.as_ref().and_then(|object| object.body::<ThreadBody>()) {
        Some(body) => Ok(with(&body.thread)),
        None => Err(Unwind::access_violation(0, address)),
    }
}

/// Calls a routine that wants `size` bytes of kernel stack.
fn expand(call: Call<'_>, callout: u64, parameter: u64, size: u64) -> kernel::Outcome<NTSTATUS> {
    if size > MAXIMUM_EXPANSION_SIZE {
        return Ok(abi::STATUS_INVALID_PARAMETER_3);
    }
    // Stacks are large here from the start; what is left of this one is enough, or there is no more.
    if call.frame().rsp.saturating_sub(call.thread.stack.limit as u64) < size {
        return Ok(abi::STATUS_NO_MEMORY);
    }
    call.kernel.ke.call(call.kernel, callout, &[parameter])?;
    Ok(abi::STATUS_SUCCESS)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Disables normal kernel APCs.
    irql(APC_LEVEL)
    fn KeEnterCriticalRegion(call) -> () {
        call.thread.enter_critical_region();
        Ok(())
    }

    /// Enables normal kernel APCs again.
    irql(DISPATCH_LEVEL)
    fn KeLeaveCriticalRegion(call) -> () {
        call.thread.leave_critical_region();
        call.kernel.ke.deliver_kernel_apcs(call.kernel, call.thread)
    }

    /// Disables all APCs.
    irql(APC_LEVEL)
    fn KeEnterGuardedRegion(call) -> () {
        call.thread.enter_guarded_region();
        Ok(())
    }

    /// Enables all APCs again.
    irql(APC_LEVEL)
    fn KeLeaveGuardedRegion(call) -> () {
        call.thread.leave_guarded_region(call.kernel);
        call.kernel.ke.deliver_kernel_apcs(call.kernel, call.thread)
    }

    /// Returns whether normal kernel APCs are disabled.
    irql(DISPATCH_LEVEL)
    fn KeAreApcsDisabled(call) -> bool {
        Ok(call.thread.are_apcs_disabled(call.kernel.ke.current_irql()))
    }

    /// Returns whether all APCs are disabled.
    irql(DISPATCH_LEVEL)
    fn KeAreAllApcsDisabled(call) -> bool {
        Ok(call.thread.are_all_apcs_disabled(call.kernel.ke.current_irql()))
    }

    /// Returns whether a DPC is running on this processor.
    irql(HIGH_LEVEL)
    fn KeIsExecutingDpc(call) -> bool {
        Ok(call.thread.is_in_dpc())
    }

    /// Sets a thread's priority; returns the old one. Priorities do not decide which thread runs.
    irql(PASSIVE_LEVEL)
    fn KeSetPriorityThread(call, thread: u64, priority: i32) -> i32 {
        with_thread(call, thread, |thread| thread.set_priority(priority))
    }

    /// Returns a thread's priority.
    irql(DISPATCH_LEVEL)
    fn KeQueryPriorityThread(call, thread: u64) -> i32 {
        with_thread(call, thread, kernel::ke::Thread::priority)
    }

    /// Calls a routine with at least so many bytes of kernel stack.
    irql(APC_LEVEL)
    fn KeExpandKernelStackAndCallout(call, callout: u64, parameter: u64, size: u64) -> NTSTATUS {
        expand(call, callout, parameter, size)
    }

    /// As KeExpandKernelStackAndCallout; may be told to wait for memory.
    irql(DISPATCH_LEVEL)
    fn KeExpandKernelStackAndCalloutEx(
        call,
        callout: u64,
        parameter: u64,
        size: u64,
        _wait: u8,
        _context: u64
    ) -> NTSTATUS {
        expand(call, callout, parameter, size)
    }

    /// Saves the floating-point state; a thread's own is all that it uses here, and is kept.
    irql(DISPATCH_LEVEL)
    fn KeSaveFloatingPointState(call, _float_save: u64) -> NTSTATUS {
        let _ = call;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Restores the floating-point state.
    irql(DISPATCH_LEVEL)
    fn KeRestoreFloatingPointState(call, _float_save: u64) -> NTSTATUS {
        let _ = call;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Returns the time between clock ticks, in 100 ns.
    irql(HIGH_LEVEL)
    fn KeQueryTimeIncrement(call) -> u32 {
        let _ = call;
        Ok(TIME_INCREMENT)
    }

    /// Returns the time since the machine started, in 100 ns, and stores the performance counter.
    irql(HIGH_LEVEL) alias("KeQueryUnbiasedInterruptTimePrecise")
    fn KeQueryInterruptTimePrecise(call, counter: u64) -> u64 {
        raw::write(counter, call.kernel.ke.query_performance_counter(call.kernel))?;
        Ok(call.kernel.ke.query_interrupt_time(call.kernel))
    }

    /// Returns the time since the machine started, in 100 ns, less the time that it slept: it never does.
    irql(HIGH_LEVEL)
    fn KeQueryUnbiasedInterruptTime(call) -> u64 {
        Ok(call.kernel.ke.query_interrupt_time(call.kernel))
    }
}
