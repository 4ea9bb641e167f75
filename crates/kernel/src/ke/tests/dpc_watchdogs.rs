//! The DPC watchdog.

use abi::DISPATCH_LEVEL;
use platform::entry::Stop;

use super::dpcs::dpc;
use super::{Machine, everywhere, is_halt, on_linux, on_mock, wait};
use crate::ke::{DpcLimits, Kdpc, Ktimer, Timeout};
use crate::{Kernel, raw};

/// Whole ticks, so that less than 32 and 63 milliseconds are in time.
const LIMITS: DpcLimits = DpcLimits { single: 1, cumulative: 3 };

/// Takes as many microseconds as its context says.
extern "win64" fn takes(_dpc: u64, microseconds: u64, _argument1: u64, _argument2: u64) {
    Kernel::with_current(|kernel, _| {
        let time = u32::try_from(microseconds).expect("short");
        let _halted = kernel.ke.stall_execution_processor(kernel, time);
    });
}

/// Queues itself.
extern "win64" fn again(dpc: u64, _context: u64, _argument1: u64, _argument2: u64) {
    Kernel::with_current(|kernel, _| {
        let _halted = kernel.ke.insert_queue_dpc(kernel, Kdpc::at(dpc), 0, 0);
    });
}

/// Sets the timer in its context to expire at once, with itself.
extern "win64" fn at_once(dpc: u64, timer: u64, _argument1: u64, _argument2: u64) {
    Kernel::with_current(|kernel, _| {
        let _halted = kernel.ke.set_timer_ex(kernel, Ktimer::at(timer), 0, 0, dpc);
    });
}

/// Sets the event in its context, and ends when the machine has stopped.
extern "win64" fn keeps(_dpc: u64, event: u64, _argument1: u64, _argument2: u64) {
    Kernel::with_current(|kernel, _| {
        let _halted = kernel.ke.set_event(kernel, raw::DispatcherHeader::at(event), 0);
        while !kernel.is_halted() {
            std::hint::spin_loop();
        }
    });
}

fn stop(machine: &Machine) -> Stop {
    machine.bugcheck().expect("stops the machine").stop
}

#[test]
fn a_dpc_that_exceeds_its_allotment_stops_the_machine() {
    on_mock(0..4, 1, |machine| {
        machine.ke.set_dpc_limits(Some(LIMITS));
        let routine = takes as *const () as u64;
        let (short, long) = (dpc(machine, routine, 30_000), dpc(machine, routine, 40_000));
        machine.inside(move |kernel, _| {
            assert_eq!(kernel.ke.insert_queue_dpc(kernel, short, 0, 0).ok(), Some(true), "in time");
            assert!(is_halt(&kernel.ke.insert_queue_dpc(kernel, long, 0, 0)));
        });
        let Stop { code, parameters: [kind, ticks, allotment, of] } = stop(machine);
        assert_eq!((code, kind, allotment, of), (abi::DPC_WATCHDOG_VIOLATION, 0, 1, routine));
        assert_eq!(ticks, 2);
    });
}

#[test]
fn dpcs_in_time_that_follow_each_other_for_too_long_stop_the_machine() {
    on_mock(0..4, 1, |machine| {
        machine.ke.set_dpc_limits(Some(LIMITS));
        let routine = takes as *const () as u64;
        let dpcs: Vec<_> = (0..4).map(|_| dpc(machine, routine, 20_000)).collect();
        machine.inside(move |kernel, _| {
            let old = kernel.ke.kf_raise_irql(kernel, DISPATCH_LEVEL).expect("running");
            for dpc in dpcs {
                kernel.ke.insert_queue_dpc(kernel, dpc, 0, 0).expect("running");
            }
            assert!(is_halt(&kernel.ke.ke_lower_irql(kernel, old)));
        });
        assert_eq!(stop(machine), Stop { code: abi::DPC_WATCHDOG_VIOLATION, parameters: [1, 3, 0, routine] });
    });
}

#[test]
fn a_dpc_that_queues_itself_for_ever_stops_the_machine() {
    everywhere(1, |machine| {
        machine.ke.set_dpc_limits(Some(LIMITS));
        let routine = again as *const () as u64;
        let dpc = dpc(machine, routine, 0);
        machine.inside(move |kernel, _| {
            assert!(is_halt(&kernel.ke.insert_queue_dpc(kernel, dpc, 0, 0)));
        });
        assert_eq!(stop(machine), Stop { code: abi::DPC_WATCHDOG_VIOLATION, parameters: [1, 3, 0, routine] });
    });
}

#[test]
fn a_timer_that_is_due_at_once_for_ever_stops_the_machine() {
    on_mock(0..4, 1, |machine| {
        machine.ke.set_dpc_limits(Some(LIMITS));
        let routine = at_once as *const () as u64;
        let timer = Ktimer::at(machine.allocate(Ktimer::SIZE));
        let dpc = dpc(machine, routine, timer.address());
        machine.inside(move |kernel, thread| {
            kernel.ke.initialize_timer(kernel, timer, abi::NotificationTimer).expect("writable");
            let _halted = kernel.ke.set_timer_ex(kernel, timer, 0, 0, dpc.address());
            // Time passes when nothing else is to be done, which does not happen.
            let _halted = super::delay(kernel, thread, 1);
        });
        let Stop { code, parameters } = stop(machine);
        assert_eq!((code, parameters), (abi::DPC_WATCHDOG_VIOLATION, [1, 3, 0, routine]));
    });
}

#[test]
fn who_waits_for_a_processor_names_the_dpc_that_keeps_it() {
    on_linux(1, |machine| {
        machine.ke.set_dpc_limits(Some(DpcLimits { single: 2, cumulative: 4 }));
        let begun = machine.event(abi::NotificationEvent, false).address();
        let dpc = dpc(machine, keeps as *const () as u64, begun);
        machine.spawn("keeps", move |kernel, _| {
            assert!(is_halt(&kernel.ke.insert_queue_dpc(kernel, dpc, 0, 0)));
        });
        machine.inside(move |kernel, thread| {
            let _halted = wait(kernel, thread, begun, Timeout::Never);
            let _halted = kernel.ke.kf_raise_irql(kernel, DISPATCH_LEVEL);
        });
        let Stop { code, parameters: [kind, ticks, allotment, _] } = stop(machine);
        assert_eq!((code, kind, allotment), (abi::DPC_WATCHDOG_VIOLATION, 0, 2));
        assert!(ticks > 2, "{ticks}");
    });
}

#[test]
fn a_watchdog_that_is_off_says_nothing() {
    on_mock(0..4, 1, |machine| {
        machine.ke.set_dpc_limits(Some(LIMITS));
        machine.ke.set_dpc_limits(None);
        let dpc = dpc(machine, takes as *const () as u64, 100_000);
        machine.inside(move |kernel, _| {
            assert_eq!(kernel.ke.insert_queue_dpc(kernel, dpc, 0, 0).ok(), Some(true));
        });
        assert!(machine.bugcheck().is_none());
    });
}
