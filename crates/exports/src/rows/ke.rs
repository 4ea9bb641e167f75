//! `Ke…`, `Kf…`: events, IRQL, time, stopping. Other topics are in files of their own.

use kernel::Unwind;
use kernel::raw::{self, DispatcherHeader};

use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Initialises an event: type 0 notification, 1 synchronization.
    irql(HIGH_LEVEL)
    fn KeInitializeEvent(call, event: u64, event_type: i32, state: u8) -> () {
        call.kernel.ke.initialize_event(DispatcherHeader::at(event), event_type, state != 0)
    }

    /// Sets an event to signaled; returns its previous state.
    irql(DISPATCH_LEVEL)
    fn KeSetEvent(call, event: u64, increment: i32, _wait: u8) -> i32 {
        call.kernel.ke.set_event(call.kernel, DispatcherHeader::at(event), increment)
    }

    /// Resets an event; returns its previous state.
    irql(DISPATCH_LEVEL)
    fn KeResetEvent(call, event: u64) -> i32 {
        call.kernel.ke.reset_event(call.kernel, DispatcherHeader::at(event))
    }

    /// Resets an event.
    irql(DISPATCH_LEVEL)
    fn KeClearEvent(call, event: u64) -> () {
        call.kernel.ke.clear_event(call.kernel, DispatcherHeader::at(event))
    }

    /// Sets an event, releases who waits, and resets it; returns its previous state.
    irql(DISPATCH_LEVEL)
    fn KePulseEvent(call, event: u64, increment: i32, _wait: u8) -> i32 {
        call.kernel.ke.pulse_event(call.kernel, DispatcherHeader::at(event), increment)
    }

    /// Returns an event's state.
    irql(DISPATCH_LEVEL)
    fn KeReadStateEvent(call, event: u64) -> i32 {
        call.kernel.ke.read_state_event(DispatcherHeader::at(event))
    }

    /// Returns the current IRQL.
    irql(HIGH_LEVEL)
    fn KeGetCurrentIrql(call) -> u8 {
        Ok(call.kernel.ke.current_irql())
    }

    /// Raises the IRQL; returns the old one.
    irql(HIGH_LEVEL)
    fn KfRaiseIrql(call, new_irql: u8) -> u8 {
        call.kernel.ke.kf_raise_irql(call.kernel, new_irql)
    }

    /// Raises the IRQL to DISPATCH_LEVEL; returns the old one.
    irql(DISPATCH_LEVEL)
    fn KeRaiseIrqlToDpcLevel(call) -> u8 {
        call.kernel.ke.kf_raise_irql(call.kernel, abi::DISPATCH_LEVEL)
    }

    /// Lowers the IRQL.
    irql(HIGH_LEVEL) alias("KfLowerIrql")
    fn KeLowerIrql(call, new_irql: u8) -> () {
        call.kernel.ke.ke_lower_irql(call.kernel, new_irql)
    }

    /// Stops the machine with a stop code and four parameters.
    irql(HIGH_LEVEL)
    fn KeBugCheckEx(
        call,
        code: u32,
        parameter1: u64,
        parameter2: u64,
        parameter3: u64,
        parameter4: u64
    ) -> () {
        call.kernel.bug_check(code, [parameter1, parameter2, parameter3, parameter4]);
        Err(Unwind::Halt)
    }

    /// Stops the machine with a stop code.
    irql(HIGH_LEVEL)
    fn KeBugCheck(call, code: u32) -> () {
        call.kernel.bug_check(code, [0; 4]);
        Err(Unwind::Halt)
    }

    /// Returns the time since the machine started, in 100 ns.
    irql(HIGH_LEVEL)
    fn KeQueryInterruptTime(call) -> u64 {
        Ok(call.kernel.ke.query_interrupt_time(call.kernel))
    }

    /// Stores the system time, in 100 ns since 1601.
    irql(HIGH_LEVEL) alias("KeQuerySystemTime")
    fn KeQuerySystemTimePrecise(call, current_time: u64) -> () {
        raw::write(current_time, call.kernel.ke.query_system_time(call.kernel))
    }
}
