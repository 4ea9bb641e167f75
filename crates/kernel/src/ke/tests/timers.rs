//! Timers.

use std::sync::{Arc, Mutex};

use abi::{
    DISPATCH_LEVEL, NotificationTimer, PASSIVE_LEVEL, STATUS_SUCCESS, STATUS_TIMEOUT, SynchronizationTimer,
};

use super::dpcs::{dpc, recorder};
use super::{Log, MILLISECOND, Machine, Tally, delay, on_hurried_mock, on_linux, on_mock, relative, wait};
use crate::ke::{Ktimer, Timeout};
use crate::{Kernel, raw};

fn timer(machine: &Machine, timer_type: i32) -> Ktimer {
    let timer = Ktimer::at(machine.allocate(Ktimer::SIZE));
    machine.ke.initialize_timer(machine, timer, timer_type).expect("pool is writable");
    timer
}

/// In this many milliseconds from now.
fn after(milliseconds: u64) -> i64 {
    -(milliseconds * MILLISECOND).cast_signed()
}

fn now(kernel: &Kernel) -> u64 {
    kernel.platform.interrupt_time() / MILLISECOND
}

#[test]
fn a_timer_is_signaled_when_it_is_due_and_stays_so() {
    on_mock(0..50, 1, |machine| {
        let timer = timer(machine, NotificationTimer);
        machine.inside(move |kernel, thread| {
            assert!(!kernel.ke.set_timer_ex(kernel, timer, after(50), 0, 0).expect("running"));
            assert!(!kernel.ke.read_state_timer(timer).expect("readable"));
            assert_eq!(wait(kernel, thread, timer.address(), Timeout::Never).expect("no"), STATUS_SUCCESS);
            assert_eq!(now(kernel), 50);
            assert!(kernel.ke.read_state_timer(timer).expect("readable"));
            assert!(!kernel.ke.cancel_timer(kernel, timer).expect("writable"), "it has expired");
        });
    });
}

#[test]
fn a_synchronization_timer_releases_one_waiter() {
    on_mock(0..50, 1, |machine| {
        let timer = timer(machine, SynchronizationTimer);
        let tally = Tally::default();
        for _ in 0..2 {
            let tally = tally.clone();
            machine.spawn("waiter", move |kernel, thread| {
                tally.add(wait(kernel, thread, timer.address(), relative(100)).expect("no exception"));
            });
        }
        machine.spawn("setter", move |kernel, _| {
            kernel.ke.set_timer_ex(kernel, timer, after(10), 0, 0).expect("running");
        });
        machine.join();
        assert_eq!((tally.of(STATUS_SUCCESS), tally.of(STATUS_TIMEOUT)), (1, 1));
    });
}

#[test]
fn a_periodic_timer_expires_again_and_again_until_it_is_cancelled() {
    on_mock(0..50, 1, |machine| {
        let timer = timer(machine, SynchronizationTimer);
        machine.inside(move |kernel, thread| {
            kernel.ke.set_timer_ex(kernel, timer, after(20), 7, 0).expect("running");
            let times = [0; 4].map(|_| {
                wait(kernel, thread, timer.address(), Timeout::Never).expect("no exception");
                now(kernel)
            });
            assert_eq!(times, [20, 27, 34, 41]);
            assert!(kernel.ke.cancel_timer(kernel, timer).expect("writable"));
            assert_eq!(wait(kernel, thread, timer.address(), relative(100)).expect("no"), STATUS_TIMEOUT);
        });
    });
}

#[test]
fn the_dpc_of_a_timer_runs_at_dispatch_level_each_time() {
    on_mock(0..50, 1, |machine| {
        let timer = timer(machine, NotificationTimer);
        let log = Log::new(machine);
        let dpc = dpc(machine, recorder(), log.address());
        machine.inside(move |kernel, thread| {
            kernel.ke.set_timer_ex(kernel, timer, after(5), 10, dpc.address()).expect("running");
            delay(kernel, thread, 30).expect("no exception");
            assert!(kernel.ke.cancel_timer(kernel, timer).expect("writable"));
            delay(kernel, thread, 30).expect("no exception");
        });
        assert_eq!(log.read(), [u64::from(DISPATCH_LEVEL); 3]);
    });
}

#[test]
fn a_timer_set_again_forgets_when_it_was_due() {
    on_mock(0..50, 1, |machine| {
        let timer = timer(machine, NotificationTimer);
        machine.inside(move |kernel, thread| {
            let set = |due| kernel.ke.set_timer_ex(kernel, timer, due, 0, 0).expect("running");
            assert!(!set(after(10)));
            assert!(set(after(30)));
            wait(kernel, thread, timer.address(), Timeout::Never).expect("no exception");
            assert_eq!(now(kernel), 30);
            assert!(!set(after(5)));
            assert!(!kernel.ke.read_state_timer(timer).expect("readable"), "setting clears");
        });
    });
}

#[test]
fn a_timer_that_is_due_when_it_is_set_expires_at_once() {
    on_linux(1, |machine| {
        let timer = timer(machine, NotificationTimer);
        let log = Log::new(machine);
        let dpc = dpc(machine, recorder(), log.address());
        machine.inside(move |kernel, _| {
            for due in [0, 1] {
                kernel.ke.set_timer_ex(kernel, timer, due, 0, dpc.address()).expect("running");
                assert!(kernel.ke.read_state_timer(timer).expect("readable"));
            }
        });
        assert_eq!(log.read().len(), 2);
    });
}

#[test]
fn an_absolute_due_time_is_a_system_time() {
    on_mock(0..20, 1, |machine| {
        let timer = timer(machine, NotificationTimer);
        machine.inside(move |kernel, thread| {
            let due = kernel.platform.system_time() + 40 * MILLISECOND;
            kernel.ke.set_timer_ex(kernel, timer, due.cast_signed(), 0, 0).expect("running");
            wait(kernel, thread, timer.address(), Timeout::Never).expect("no exception");
            assert_eq!(kernel.platform.system_time(), due);
        });
    });
}

#[test]
fn timers_expire_in_real_time_in_the_order_of_their_due_times() {
    on_linux(1, |machine| {
        let log = Log::new(machine);
        let timers = [3, 1, 2].map(|number| (number, timer(machine, NotificationTimer)));
        for (number, timer) in timers {
            machine.spawn("waiter", move |kernel, thread| {
                kernel.ke.set_timer_ex(kernel, timer, after(number * 20), 0, 0).expect("running");
                wait(kernel, thread, timer.address(), Timeout::Never).expect("no exception");
                assert!(now(kernel) >= number * 20);
                log.push(number);
            });
        }
        machine.join();
        assert_eq!(log.read(), [1, 2, 3]);
    });
}

#[test]
fn timers_do_not_expire_while_the_only_processor_is_at_dispatch_level() {
    on_mock(0..50, 1, |machine| {
        let timer = timer(machine, NotificationTimer);
        machine.inside(move |kernel, _| {
            kernel.ke.set_timer_ex(kernel, timer, after(1), 0, 0).expect("running");
            let old = kernel.ke.kf_raise_irql(kernel, DISPATCH_LEVEL).expect("running");
            kernel.ke.stall_execution_processor(kernel, 5000).expect("running");
            assert!(!kernel.ke.read_state_timer(timer).expect("readable"));
            kernel.ke.ke_lower_irql(kernel, old).expect("running");
        });
    });
}

/// How a driver gives a timer up: behind the two calls the DPC's memory may be freed.
#[test]
fn after_a_timer_is_cancelled_and_dpcs_are_flushed_its_dpc_does_not_run() {
    for processors in [1, 2] {
        on_hurried_mock(0..600, processors, |machine| {
            let timer = timer(machine, NotificationTimer);
            let log = Log::new(machine);
            let dpc = dpc(machine, recorder(), log.address());
            machine.inside(move |kernel, thread| {
                kernel.ke.set_timer_ex(kernel, timer, after(1), 0, dpc.address()).expect("running");
                let cancelled = kernel.ke.cancel_timer(kernel, timer).expect("writable");
                kernel.ke.flush_queued_dpcs(kernel).expect("running");
                assert_eq!(log.read().len(), usize::from(!cancelled), "it has run, or never will");
                delay(kernel, thread, 30).expect("no exception");
                assert_eq!(log.read().len(), usize::from(!cancelled));
            });
        });
    }
}

#[test]
fn a_timer_that_is_cancelled_as_it_expires_has_done_one_or_the_other() {
    on_hurried_mock(0..400, 1, |machine| {
        let timer = timer(machine, NotificationTimer);
        let log = Log::new(machine);
        let dpc = dpc(machine, recorder(), log.address());
        machine.inside(move |kernel, _| {
            kernel.ke.set_timer_ex(kernel, timer, after(1), 0, dpc.address()).expect("running");
            let cancelled = kernel.ke.cancel_timer(kernel, timer).expect("writable");
            let signaled = kernel.ke.read_state_timer(timer).expect("readable");
            assert_ne!(cancelled, signaled);
            if !cancelled {
                // Its DPC is queued under the same rise to DISPATCH_LEVEL.
                let old = kernel.ke.raise_irql(kernel, DISPATCH_LEVEL);
                kernel.ke.lower_irql(kernel, old);
                assert_eq!(kernel.ke.current_irql(), PASSIVE_LEVEL);
            }
            assert_eq!(log.read().len(), usize::from(!cancelled));
        });
    });
}

#[test]
fn a_timer_whose_memory_was_used_for_something_else_is_a_bugcheck() {
    on_mock(0..20, 1, |machine| {
        let timer = timer(machine, NotificationTimer);
        machine.inside(move |kernel, thread| {
            kernel.ke.set_timer_ex(kernel, timer, after(1), 0, 0).expect("running");
            raw::fill(timer.address(), 0xAA, Ktimer::SIZE).expect("writable");
            assert!(super::is_halt(&delay(kernel, thread, 10)));
        });
        assert_eq!(machine.stop_code(), Some(abi::TIMER_OR_DPC_INVALID));
        assert_eq!(machine.bugcheck().expect("stopped").stop.parameters[1], timer.address());
    });
}

#[test]
fn a_periodic_timer_that_expires_late_does_not_drift() {
    on_mock(0..50, 1, |machine| {
        let timer = timer(machine, SynchronizationTimer);
        machine.inside(move |kernel, thread| {
            kernel.ke.set_timer_ex(kernel, timer, after(10), 10, 0).expect("running");
            let old = kernel.ke.kf_raise_irql(kernel, DISPATCH_LEVEL).expect("running");
            kernel.ke.stall_execution_processor(kernel, 14_000).expect("running");
            kernel.ke.ke_lower_irql(kernel, old).expect("running");
            let times = [0; 3].map(|_| {
                wait(kernel, thread, timer.address(), Timeout::Never).expect("no exception");
                now(kernel)
            });
            assert_eq!(times, [14, 20, 30]);
            assert!(kernel.ke.cancel_timer(kernel, timer).expect("writable"));
        });
    });
}

#[test]
fn a_machine_that_stops_lets_its_idle_thread_go_though_it_is_kept() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let own = kept.clone();
    on_mock(0..50, 1, move |machine| {
        let timer = timer(machine, NotificationTimer);
        machine.inside(move |kernel, _| {
            kernel.ke.set_timer_ex(kernel, timer, after(1_000_000), 1, 0).expect("running");
            assert!(kernel.ke.cancel_timer(kernel, timer).expect("writable"));
        });
        machine.spawn("stop", |kernel, _| kernel.bug_check(0xDEAD, [0; 4]));
        own.lock().expect("not poisoned").push(machine.arc());
    });
    assert_eq!(kept.lock().expect("not poisoned").len(), 50);
}
