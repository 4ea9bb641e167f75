//! Timers and deferred procedure calls.

use abi::{NTSTATUS, NotificationTimer};
use kernel::ke::{Kdpc, Ktimer};
use kernel::raw;

use super::ke_processor::index_of;
use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Initialises a notification timer.
    irql(DISPATCH_LEVEL)
    fn KeInitializeTimer(call, timer: u64) -> () {
        call.kernel.ke.initialize_timer(call.kernel, Ktimer::at(timer), NotificationTimer)
    }

    /// Initialises a timer: type 0 notification, 1 synchronization.
    irql(DISPATCH_LEVEL)
    fn KeInitializeTimerEx(call, timer: u64, timer_type: i32) -> () {
        call.kernel.ke.initialize_timer(call.kernel, Ktimer::at(timer), timer_type)
    }

    /// Sets a timer that expires once; returns whether it was set already.
    irql(DISPATCH_LEVEL)
    fn KeSetTimer(call, timer: u64, due_time: i64, dpc: u64) -> bool {
        call.kernel.ke.set_timer_ex(call.kernel, Ktimer::at(timer), due_time, 0, dpc)
    }

    /// Sets a timer, with a period in milliseconds; returns whether it was set already.
    irql(DISPATCH_LEVEL)
    fn KeSetTimerEx(call, timer: u64, due_time: i64, period: i32, dpc: u64) -> bool {
        call.kernel.ke.set_timer_ex(call.kernel, Ktimer::at(timer), due_time, period, dpc)
    }

    /// Sets a timer that may come later than asked; here it does not.
    irql(DISPATCH_LEVEL)
    fn KeSetCoalescableTimer(
        call,
        timer: u64,
        due_time: i64,
        period: u32,
        _tolerable_delay: u32,
        dpc: u64
    ) -> bool {
        let period = i32::try_from(period).unwrap_or(i32::MAX);
        call.kernel.ke.set_timer_ex(call.kernel, Ktimer::at(timer), due_time, period, dpc)
    }

    /// Stops a timer; returns whether it was set.
    irql(DISPATCH_LEVEL)
    fn KeCancelTimer(call, timer: u64) -> bool {
        call.kernel.ke.cancel_timer(call.kernel, Ktimer::at(timer))
    }

    /// Returns whether a timer is signaled.
    irql(DISPATCH_LEVEL)
    fn KeReadStateTimer(call, timer: u64) -> bool {
        call.kernel.ke.read_state_timer(Ktimer::at(timer))
    }

    /// Initialises a DPC.
    irql(HIGH_LEVEL)
    fn KeInitializeDpc(call, dpc: u64, deferred_routine: u64, deferred_context: u64) -> () {
        call.kernel.ke.initialize_dpc(Kdpc::at(dpc), deferred_routine, deferred_context)
    }

    /// Initialises a threaded DPC; it runs at DISPATCH_LEVEL, as on a system where threaded DPCs are disabled.
    irql(HIGH_LEVEL)
    fn KeInitializeThreadedDpc(call, dpc: u64, deferred_routine: u64, deferred_context: u64) -> () {
        call.kernel.ke.initialize_dpc(Kdpc::at(dpc), deferred_routine, deferred_context)
    }

    /// Queues a DPC; returns false when it is queued already.
    irql(HIGH_LEVEL)
    fn KeInsertQueueDpc(call, dpc: u64, system_argument1: u64, system_argument2: u64) -> bool {
        call.kernel.ke.insert_queue_dpc(call.kernel, Kdpc::at(dpc), system_argument1, system_argument2)
    }

    /// Takes a DPC out of its queue; returns whether it was in one.
    irql(HIGH_LEVEL)
    fn KeRemoveQueueDpc(call, dpc: u64) -> bool {
        call.kernel.ke.remove_queue_dpc(call.kernel, Kdpc::at(dpc))
    }

    /// As KeRemoveQueueDpc; on demand it returns only when the DPC does not run any more.
    irql(HIGH_LEVEL)
    fn KeRemoveQueueDpcEx(call, dpc: u64, wait_if_active: u8) -> bool {
        let was_queued = call.kernel.ke.remove_queue_dpc(call.kernel, Kdpc::at(dpc))?;
        if wait_if_active != 0 {
            call.kernel.ke.flush_queued_dpcs(call.kernel)?;
        }
        Ok(was_queued)
    }

    /// Sets where in its queue a DPC goes.
    irql(HIGH_LEVEL)
    fn KeSetImportanceDpc(call, dpc: u64, importance: i32) -> () {
        call.kernel.ke.set_importance_dpc(Kdpc::at(dpc), importance)
    }

    /// Sets the processor that a DPC runs on.
    irql(HIGH_LEVEL)
    fn KeSetTargetProcessorDpc(call, dpc: u64, number: u8) -> () {
        call.kernel.ke.set_target_processor_dpc(call.kernel, Kdpc::at(dpc), u32::from(number))
    }

    /// Sets the processor that a DPC runs on, by its group and number.
    irql(HIGH_LEVEL)
    fn KeSetTargetProcessorDpcEx(call, dpc: u64, processor_number: u64) -> NTSTATUS {
        let Some(index) = index_of(raw::read(processor_number)?, call.kernel.ke.processors()) else {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        };
        call.kernel.ke.set_target_processor_dpc(call.kernel, Kdpc::at(dpc), index)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Returns when all DPCs that are queued now have run.
    irql(PASSIVE_LEVEL)
    fn KeFlushQueuedDpcs(call) -> () {
        call.kernel.ke.flush_queued_dpcs(call.kernel)
    }
}
