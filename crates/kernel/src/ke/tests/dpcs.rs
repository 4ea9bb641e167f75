//! Deferred procedure calls.

use abi::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use platform::entry;

use super::{Log, Machine, everywhere, is_halt, on_linux, on_mock, relative, wait};
use crate::ke::{Kdpc, Timeout};
use crate::{Kernel, raw};

/// Writes to the log in its context: its arguments, and the IRQL that it runs at.
extern "win64" fn record(_dpc: u64, log: u64, argument1: u64, argument2: u64) {
    let irql = entry::region().map_or(99, entry::Region::irql);
    Log::at(log).push(argument1 * 100 + argument2 * 10 + u64::from(irql));
}

/// Sets the event in its context.
extern "win64" fn signal(_dpc: u64, event: u64, _argument1: u64, _argument2: u64) {
    Kernel::with_current(|kernel, _| {
        let _outcome = kernel.ke.set_event(kernel, raw::DispatcherHeader::at(event), 0);
    });
}

/// Returns at another IRQL than it was called at.
extern "win64" fn raise(_dpc: u64, _context: u64, _argument1: u64, _argument2: u64) {
    Kernel::with_current(|kernel, _| kernel.ke.raise_irql(kernel, abi::HIGH_LEVEL));
}

/// Waits for the event in its context.
extern "win64" fn block(_dpc: u64, event: u64, _argument1: u64, _argument2: u64) {
    Kernel::with_current(|kernel, thread| {
        let _halted = wait(kernel, thread, event, Timeout::Never);
    });
}

pub(super) fn recorder() -> u64 {
    record as *const () as u64
}

pub(super) fn dpc(machine: &Machine, routine: u64, context: u64) -> Kdpc {
    let dpc = Kdpc::at(machine.allocate(Kdpc::SIZE));
    machine.ke.initialize_dpc(dpc, routine, context).expect("pool is writable");
    dpc
}

#[test]
fn dpcs_run_at_dispatch_level_in_order_when_the_processor_falls_below_it() {
    everywhere(1, |machine| {
        let log = Log::new(machine);
        let dpcs: Vec<Kdpc> = (0..4).map(|_| dpc(machine, recorder(), log.address())).collect();
        machine.ke.set_importance_dpc(dpcs[3], abi::HighImportance).expect("pool is writable");
        machine.inside(move |kernel, _| {
            let old = kernel.ke.kf_raise_irql(kernel, DISPATCH_LEVEL).expect("running");
            for (number, dpc) in (1..).zip(&dpcs) {
                assert!(kernel.ke.insert_queue_dpc(kernel, *dpc, number, 0).expect("running"));
            }
            assert!(!kernel.ke.insert_queue_dpc(kernel, dpcs[0], 9, 9).expect("running"), "queued already");
            assert_eq!(log.read(), []);
            kernel.ke.ke_lower_irql(kernel, old).expect("running");
            assert_eq!(log.read(), [402, 102, 202, 302]);
            assert_eq!(kernel.ke.current_irql(), PASSIVE_LEVEL);
            assert!(kernel.ke.insert_queue_dpc(kernel, dpcs[0], 5, 6).expect("running"));
            assert_eq!(log.read()[4..], [562], "at once below DISPATCH_LEVEL");
        });
    });
}

#[test]
fn a_dpc_that_is_removed_does_not_run() {
    on_linux(1, |machine| {
        let log = Log::new(machine);
        let dpc = dpc(machine, recorder(), log.address());
        machine.inside(move |kernel, _| {
            let old = kernel.ke.kf_raise_irql(kernel, DISPATCH_LEVEL).expect("running");
            kernel.ke.insert_queue_dpc(kernel, dpc, 1, 0).expect("running");
            assert!(kernel.ke.remove_queue_dpc(kernel, dpc).expect("writable"));
            assert!(!kernel.ke.remove_queue_dpc(kernel, dpc).expect("writable"));
            kernel.ke.ke_lower_irql(kernel, old).expect("running");
        });
        assert_eq!(log.read(), []);
    });
}

#[test]
fn a_dpc_for_a_processor_that_nobody_owns_runs_all_the_same() {
    everywhere(2, |machine| {
        let event = machine.event(abi::NotificationEvent, false);
        let dpcs = [0, 1].map(|number| {
            let dpc = dpc(machine, signal as *const () as u64, event.address());
            machine.ke.set_target_processor_dpc(machine, dpc, number).expect("a processor");
            dpc
        });
        for dpc in dpcs {
            machine.inside(move |kernel, thread| {
                assert!(kernel.ke.insert_queue_dpc(kernel, dpc, 0, 0).expect("running"));
                wait(kernel, thread, event.address(), Timeout::Never).expect("running");
                kernel.ke.clear_event(kernel, event).expect("writable");
            });
        }
    });
}

#[test]
fn a_dpc_queued_to_a_processor_as_it_is_released_is_not_forgotten() {
    on_mock(0..400, 2, |machine| {
        let event = machine.event(abi::NotificationEvent, false);
        let dpc = dpc(machine, signal as *const () as u64, event.address());
        machine.ke.set_target_processor_dpc(machine, dpc, 0).expect("a processor");
        for _ in 0..2 {
            machine.spawn("owner", |kernel, _| {
                for _ in 0..2 {
                    let old = kernel.ke.raise_irql(kernel, DISPATCH_LEVEL);
                    kernel.platform.preemption_point();
                    kernel.ke.lower_irql(kernel, old);
                }
            });
        }
        machine.spawn("queuer", move |kernel, thread| {
            kernel.ke.insert_queue_dpc(kernel, dpc, 1, 0).expect("running");
            wait(kernel, thread, event.address(), Timeout::Never).expect("running");
        });
    });
}

#[test]
fn flushing_waits_for_dpcs_that_run_or_are_queued_anywhere() {
    everywhere(2, |machine| {
        let log = Log::new(machine);
        for number in 0..2 {
            let dpc = dpc(machine, recorder(), log.address());
            machine.ke.set_target_processor_dpc(machine, dpc, number).expect("a processor");
            machine.spawn("queuer", move |kernel, _| {
                kernel.ke.insert_queue_dpc(kernel, dpc, 1, 0).expect("running");
                kernel.ke.flush_queued_dpcs(kernel).expect("running");
                assert!(!log.read().is_empty());
            });
        }
        machine.join();
        assert_eq!(log.read(), [102, 102]);
    });
}

#[test]
fn a_dpc_that_returns_at_another_irql_is_a_bugcheck() {
    on_linux(1, |machine| {
        let dpc = dpc(machine, raise as *const () as u64, 0);
        assert!(machine.inside(move |kernel, _| is_halt(&kernel.ke.insert_queue_dpc(kernel, dpc, 0, 0))));
        assert_eq!(machine.stop_code(), Some(abi::IRQL_UNEXPECTED_VALUE));
    });
}

#[test]
fn a_dpc_that_blocks_is_a_bugcheck() {
    on_linux(1, |machine| {
        let event = machine.event(abi::NotificationEvent, false);
        let dpc = dpc(machine, block as *const () as u64, event.address());
        assert!(machine.inside(move |kernel, _| is_halt(&kernel.ke.insert_queue_dpc(kernel, dpc, 0, 0))));
        assert_eq!(machine.stop_code(), Some(abi::ATTEMPTED_SWITCH_FROM_DPC));
    });
}

#[test]
fn a_processor_that_the_machine_does_not_have_cannot_be_a_target() {
    on_linux(2, |machine| {
        let dpc = dpc(machine, recorder(), 0);
        assert!(is_halt(&machine.ke.set_target_processor_dpc(machine, dpc, 2)));
        assert_eq!(machine.stop_code(), Some(abi::TIMER_OR_DPC_INVALID));
    });
}

#[test]
fn a_dpc_can_end_a_wait() {
    everywhere(1, |machine| {
        let event = machine.event(abi::SynchronizationEvent, false);
        let dpc = dpc(machine, signal as *const () as u64, event.address());
        machine.spawn("waiter", move |kernel, thread| {
            let status = wait(kernel, thread, event.address(), relative(1000)).expect("running");
            assert_eq!(status, abi::STATUS_SUCCESS);
        });
        machine.spawn("queuer", move |kernel, _| {
            kernel.ke.insert_queue_dpc(kernel, dpc, 0, 0).expect("running");
        });
    });
}
