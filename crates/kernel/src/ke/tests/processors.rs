//! IRQL and virtual processors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use abi::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use platform::entry;

use super::{Log, delay, everywhere, is_halt, on_linux, on_mock};
use crate::Kernel;

/// At DISPATCH_LEVEL, the most threads that were so at the same time.
fn overlap(kernel: &Kernel, inside: &AtomicU32, most: &AtomicU32) {
    let old = kernel.ke.kf_raise_irql(kernel, DISPATCH_LEVEL).expect("running");
    let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
    most.fetch_max(now, Ordering::SeqCst);
    kernel.platform.preemption_point();
    inside.fetch_sub(1, Ordering::SeqCst);
    kernel.ke.ke_lower_irql(kernel, old).expect("running");
}

fn most_at_once(machine: &super::Machine) -> u32 {
    let (inside, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    for _ in 0..4 {
        let (inside, most) = (inside.clone(), most.clone());
        machine.spawn("runner", move |kernel, _| {
            for _ in 0..3 {
                overlap(kernel, &inside, &most);
            }
        });
    }
    machine.join();
    most.load(Ordering::SeqCst)
}

#[test]
fn one_processor_serialises_all_code_at_dispatch_level() {
    everywhere(1, |machine| assert_eq!(most_at_once(machine), 1));
}

#[test]
fn two_processors_run_two_threads_at_dispatch_level_and_no_third() {
    let seen = Arc::new(AtomicU32::new(0));
    let most = seen.clone();
    on_mock(super::SEEDS, 2, move |machine| {
        most.fetch_max(most_at_once(machine), Ordering::SeqCst);
    });
    assert_eq!(seen.load(Ordering::SeqCst), 2);
    on_linux(2, |machine| assert!(most_at_once(machine) <= 2));
}

#[test]
fn threads_get_a_busy_processor_in_the_order_of_their_arrival() {
    on_mock(0..100, 1, |machine| {
        let log = Log::new(machine);
        machine.spawn("holder", |kernel, _| {
            let old = kernel.ke.raise_irql(kernel, DISPATCH_LEVEL);
            kernel.ke.stall_execution_processor(kernel, 10_000).expect("running");
            kernel.ke.lower_irql(kernel, old);
        });
        for number in 1..=4 {
            machine.spawn("runner", move |kernel, thread| {
                delay(kernel, thread, number).expect("running");
                for round in 0..3 {
                    let old = kernel.ke.raise_irql(kernel, DISPATCH_LEVEL);
                    log.push(round * 10 + number);
                    kernel.ke.lower_irql(kernel, old);
                }
            });
        }
        machine.join();
        assert_eq!(log.read()[..4], [1, 2, 3, 4]);
    });
}

#[test]
fn driver_code_sees_its_irql_and_its_processor() {
    on_linux(4, |machine| {
        machine.inside(|kernel, _| {
            let region = entry::region().expect("inside");
            assert_eq!(kernel.ke.kf_raise_irql(kernel, abi::APC_LEVEL).expect("running"), PASSIVE_LEVEL);
            assert_eq!(kernel.ke.kf_raise_irql(kernel, abi::HIGH_LEVEL).expect("running"), abi::APC_LEVEL);
            assert_eq!((region.irql(), kernel.ke.current_irql()), (abi::HIGH_LEVEL, abi::HIGH_LEVEL));
            assert!(region.processor_number() < 4);
            kernel.ke.ke_lower_irql(kernel, DISPATCH_LEVEL).expect("running");
            assert_eq!(region.irql(), DISPATCH_LEVEL);
            kernel.ke.ke_lower_irql(kernel, PASSIVE_LEVEL).expect("running");
            assert_eq!(region.irql(), PASSIVE_LEVEL);
        });
        assert_eq!(machine.stop_code(), None);
    });
}

#[test]
fn raising_to_a_lower_level_is_a_bugcheck() {
    on_linux(1, |machine| {
        let halted = machine.inside(|kernel, _| {
            kernel.ke.kf_raise_irql(kernel, abi::APC_LEVEL).expect("running");
            is_halt(&kernel.ke.kf_raise_irql(kernel, PASSIVE_LEVEL))
        });
        assert!(halted);
        assert_eq!(machine.stop_code(), Some(abi::IRQL_NOT_GREATER_OR_EQUAL));
    });
}

#[test]
fn lowering_to_a_higher_level_is_a_bugcheck() {
    on_linux(1, |machine| {
        assert!(machine.inside(|kernel, _| is_halt(&kernel.ke.ke_lower_irql(kernel, abi::APC_LEVEL))));
        assert_eq!(machine.stop_code(), Some(abi::IRQL_NOT_LESS_OR_EQUAL));
    });
}

#[test]
fn a_call_left_by_an_exception_leaves_no_processor_behind() {
    everywhere(1, |machine| {
        machine.spawn("raiser", |kernel, _| {
            let region = entry::region().expect("inside");
            kernel.ke.raise_irql(kernel, DISPATCH_LEVEL);
            // What a landing that is left abnormally does.
            region.set_irql(PASSIVE_LEVEL);
            kernel.ke.reconcile(kernel);
        });
        machine.spawn("other", |kernel, _| {
            let old = kernel.ke.kf_raise_irql(kernel, DISPATCH_LEVEL).expect("running");
            kernel.ke.ke_lower_irql(kernel, old).expect("running");
        });
    });
}

#[test]
fn a_call_at_dispatch_level_left_by_an_exception_below_it_takes_a_processor_again() {
    everywhere(1, |machine| {
        let busy = Arc::new(AtomicBool::new(false));
        for _ in 0..2 {
            let busy = busy.clone();
            machine.spawn("raiser", move |kernel, _| {
                let region = entry::region().expect("inside");
                kernel.ke.raise_irql(kernel, DISPATCH_LEVEL);
                kernel.ke.lower_irql(kernel, PASSIVE_LEVEL);
                region.set_irql(DISPATCH_LEVEL);
                kernel.ke.reconcile(kernel);
                assert!(!busy.swap(true, Ordering::SeqCst), "alone at DISPATCH_LEVEL");
                kernel.platform.preemption_point();
                busy.store(false, Ordering::SeqCst);
                kernel.ke.lower_irql(kernel, PASSIVE_LEVEL);
            });
        }
    });
}

#[test]
fn a_thread_that_ends_at_dispatch_level_is_a_bugcheck_and_keeps_no_processor() {
    everywhere(1, |machine| {
        machine.inside(|kernel, _| {
            kernel.ke.raise_irql(kernel, DISPATCH_LEVEL);
        });
        assert_eq!(machine.stop_code(), Some(abi::KERNEL_APC_PENDING_DURING_EXIT));
        assert!(machine.ke.processors.try_acquire(0));
    });
}

#[test]
fn threads_that_wait_for_a_processor_go_on_when_the_machine_stops() {
    everywhere(1, |machine| {
        let left = Arc::new(AtomicU32::new(2));
        for _ in 0..2 {
            let left = left.clone();
            machine.spawn("waiter", move |kernel, _| {
                let raised = kernel.ke.kf_raise_irql(kernel, DISPATCH_LEVEL);
                assert!(raised.is_ok() || kernel.is_halted());
                kernel.ke.lower_irql(kernel, PASSIVE_LEVEL);
                left.fetch_sub(1, Ordering::SeqCst);
            });
        }
        machine.spawn("stop", move |kernel, _| {
            kernel.ke.raise_irql(kernel, DISPATCH_LEVEL);
            kernel.bug_check(0xDEAD, [0; 4]);
            // Keeps its processor meanwhile.
            while left.load(Ordering::SeqCst) > 0 {
                kernel.platform.relax(u32::MAX);
            }
        });
    });
}
