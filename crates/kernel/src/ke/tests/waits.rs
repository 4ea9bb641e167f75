//! Waits: how many objects, how long, and what ends them.

use abi::{
    NotificationEvent, STATUS_ALERTED, STATUS_SUCCESS, STATUS_TIMEOUT, STATUS_USER_APC, STATUS_WAIT_1,
    SynchronizationEvent,
};

use super::{
    MILLISECOND, Tally, delay, everywhere, is_halt, on_hurried_mock, on_linux, on_mock, relative, wait,
    wait_multiple,
};
use crate::ke::{ProcessorMode, Timeout, UserApc, WaitType};

#[test]
fn a_negative_timeout_counts_from_now() {
    on_mock(0..20, 1, |machine| {
        let event = machine.event(NotificationEvent, false);
        let took = machine.inside(move |kernel, thread| {
            let before = kernel.platform.interrupt_time();
            let status = wait(kernel, thread, event.address(), relative(100)).expect("no exception");
            assert_eq!(status, STATUS_TIMEOUT);
            kernel.platform.interrupt_time() - before
        });
        assert_eq!(took, 100 * MILLISECOND);
    });
}

#[test]
fn a_positive_timeout_is_a_system_time() {
    on_mock(0..20, 1, |machine| {
        let event = machine.event(NotificationEvent, false);
        let (late, past) = machine.inside(move |kernel, thread| {
            let end = kernel.platform.system_time() + 70 * MILLISECOND;
            let timeout = Timeout::At(end.cast_signed());
            assert_eq!(wait(kernel, thread, event.address(), timeout).expect("no exception"), STATUS_TIMEOUT);
            let late = kernel.platform.system_time() - end;
            assert_eq!(wait(kernel, thread, event.address(), timeout).expect("no exception"), STATUS_TIMEOUT);
            (late, kernel.platform.system_time() - end)
        });
        assert_eq!((late, past), (0, 0));
    });
}

#[test]
fn a_zero_timeout_only_looks_and_may_do_so_at_dispatch_level() {
    on_linux(1, |machine| {
        let event = machine.event(SynchronizationEvent, true);
        let statuses = machine.inside(move |kernel, thread| {
            let old = kernel.ke.kf_raise_irql(kernel, abi::DISPATCH_LEVEL).expect("running");
            let look = || wait(kernel, thread, event.address(), Timeout::At(0)).expect("no exception");
            let statuses = [look(), look()];
            kernel.ke.ke_lower_irql(kernel, old).expect("running");
            statuses
        });
        assert_eq!(statuses, [STATUS_SUCCESS, STATUS_TIMEOUT]);
        assert_eq!(machine.stop_code(), None);
    });
}

#[test]
fn a_wait_that_may_block_at_dispatch_level_is_a_bugcheck() {
    on_linux(1, |machine| {
        let event = machine.event(SynchronizationEvent, true);
        let halted = machine.inside(move |kernel, thread| {
            kernel.ke.kf_raise_irql(kernel, abi::DISPATCH_LEVEL).expect("running");
            let halted = is_halt(&wait(kernel, thread, event.address(), Timeout::Never));
            kernel.ke.lower_irql(kernel, 0);
            halted
        });
        assert!(halted);
        assert_eq!(machine.stop_code(), Some(abi::IRQL_NOT_LESS_OR_EQUAL));
    });
}

#[test]
fn a_delay_lasts_as_long_as_it_says_and_succeeds() {
    on_mock(0..20, 1, |machine| {
        let took = machine.inside(|kernel, thread| {
            let before = kernel.platform.interrupt_time();
            assert_eq!(delay(kernel, thread, 30).expect("no exception"), STATUS_SUCCESS);
            assert_eq!(delay(kernel, thread, 0).expect("no exception"), STATUS_SUCCESS);
            kernel.platform.interrupt_time() - before
        });
        assert_eq!(took / MILLISECOND, 30);
    });
}

#[test]
fn wait_any_takes_the_first_signaled_object_only() {
    on_linux(1, |machine| {
        let events = [false, true, true].map(|state| machine.event(SynchronizationEvent, state));
        let status = machine.inside(move |kernel, thread| {
            let objects = events.map(|event| event.address());
            wait_multiple(kernel, thread, &objects, WaitType::Any, Timeout::Never).expect("no exception")
        });
        assert_eq!(status, STATUS_WAIT_1);
        assert_eq!(events.map(|event| event.signal_state().expect("readable")), [0, 0, 1]);
    });
}

#[test]
fn wait_any_ends_with_the_index_of_the_object_that_is_signaled_later() {
    everywhere(1, |machine| {
        let events = [false; 3].map(|state| machine.event(SynchronizationEvent, state));
        let tally = Tally::default();
        let own = tally.clone();
        machine.spawn("waiter", move |kernel, thread| {
            let objects = events.map(|event| event.address());
            own.add(wait_multiple(kernel, thread, &objects, WaitType::Any, Timeout::Never).expect("no"));
        });
        machine.spawn("setter", move |kernel, _| {
            kernel.ke.set_event(kernel, events[1], 0).expect("no exception");
        });
        machine.join();
        assert_eq!(tally.of(STATUS_WAIT_1), 1);
        assert_eq!(events.map(|event| event.signal_state().expect("readable")), [0; 3]);
    });
}

#[test]
fn a_thread_that_waits_for_an_object_twice_does_not_hold_up_the_next() {
    on_mock(0..20, 1, |machine| {
        let event = machine.event(NotificationEvent, false);
        let twice = [event.address(); 2];
        for (after, count) in [(0, 2), (5, 1)] {
            machine.spawn("waiter", move |kernel, thread| {
                delay(kernel, thread, after).expect("no exception");
                let objects = &twice[..count];
                let status = wait_multiple(kernel, thread, objects, WaitType::Any, Timeout::Never);
                assert_eq!(status.expect("no exception"), STATUS_SUCCESS);
            });
        }
        machine.spawn("setter", move |kernel, thread| {
            delay(kernel, thread, 10).expect("no exception");
            kernel.ke.set_event(kernel, event, 0).expect("no exception");
        });
    });
}

#[test]
fn wait_all_takes_nothing_until_it_can_take_everything() {
    everywhere(1, |machine| {
        let [first, second] = [false; 2].map(|state| machine.event(SynchronizationEvent, state));
        let tally = Tally::default();
        let all = tally.clone();
        machine.spawn("all", move |kernel, thread| {
            let objects = [first.address(), second.address()];
            all.add(wait_multiple(kernel, thread, &objects, WaitType::All, relative(20)).expect("no"));
        });
        machine.spawn("one", move |kernel, thread| {
            wait(kernel, thread, first.address(), Timeout::Never).expect("no exception");
        });
        machine.spawn("setter", move |kernel, _| {
            kernel.ke.set_event(kernel, first, 0).expect("no exception");
        });
        machine.join();
        assert_eq!(tally.of(STATUS_TIMEOUT), 1);
    });
}

#[test]
fn of_two_waits_for_all_of_the_same_objects_each_gets_a_full_set() {
    everywhere(1, |machine| {
        let [first, second] = [false; 2].map(|state| machine.event(SynchronizationEvent, state));
        let tally = Tally::default();
        for objects in [[first, second], [second, first]] {
            let tally = tally.clone();
            machine.spawn("waiter", move |kernel, thread| {
                let objects = objects.map(|event| event.address());
                tally
                    .add(wait_multiple(kernel, thread, &objects, WaitType::All, Timeout::Never).expect("no"));
                kernel.ke.set_event(kernel, first, 0).expect("no exception");
                kernel.ke.set_event(kernel, second, 0).expect("no exception");
            });
        }
        for event in [first, second] {
            machine.spawn("setter", move |kernel, _| {
                kernel.ke.set_event(kernel, event, 0).expect("no exception");
            });
        }
        machine.join();
        assert_eq!(tally.of(STATUS_SUCCESS), 2);
    });
}

#[test]
fn without_wait_blocks_more_than_three_objects_are_a_bugcheck() {
    on_linux(1, |machine| {
        let events = [true; 4].map(|state| machine.event(NotificationEvent, state));
        let halted = machine.inside(move |kernel, thread| {
            let objects = events.map(|event| event.address());
            let wait = |objects: &[u64], blocks| {
                let (kind, mode) = (WaitType::All, ProcessorMode::Kernel);
                let timeout = Timeout::Never;
                kernel
                    .ke
                    .wait_for_multiple_objects(kernel, thread, objects, kind, mode, false, timeout, blocks)
            };
            assert_eq!(wait(&objects[..3], 0).expect("no exception"), STATUS_SUCCESS);
            assert_eq!(wait(&objects, 0x1000).expect("no exception"), STATUS_SUCCESS);
            assert_eq!(wait(&[objects[0]; 64], 0x1000).expect("no exception"), STATUS_SUCCESS);
            is_halt(&wait(&objects, 0))
        });
        assert!(halted);
        assert_eq!(machine.stop_code(), Some(abi::MAXIMUM_WAIT_OBJECTS_EXCEEDED));
    });
}

#[test]
fn a_machine_that_stops_wakes_every_thread_that_waits() {
    everywhere(1, |machine| {
        let event = machine.event(SynchronizationEvent, false);
        for number in 0..4 {
            machine.spawn("waiter", move |kernel, thread| {
                let outcome = match number {
                    0 => wait(kernel, thread, event.address(), Timeout::Never),
                    1 => wait(kernel, thread, event.address(), relative(1_000_000)),
                    2 => delay(kernel, thread, 1_000_000),
                    _ => {
                        let objects = [event.address(), event.address()];
                        wait_multiple(kernel, thread, &objects, WaitType::All, Timeout::Never)
                    }
                };
                assert!(is_halt(&outcome), "{number}: {outcome:?}");
            });
        }
        machine.spawn("stop", |kernel, _| kernel.bug_check(0xDEAD, [0; 4]));
    });
}

#[test]
fn only_an_alertable_wait_ends_by_an_alert_and_the_alert_is_kept_for_it() {
    everywhere(1, |machine| {
        let event = machine.event(SynchronizationEvent, false);
        let target = machine.spawn("waiter", move |kernel, thread| {
            let wait = |alertable, timeout| {
                let mode = ProcessorMode::Kernel;
                let object = event.address();
                kernel.ke.wait_for_single_object(kernel, thread, object, mode, alertable, timeout)
            };
            assert_eq!(wait(false, relative(20)).expect("no exception"), STATUS_TIMEOUT);
            assert_eq!(wait(true, Timeout::Never).expect("no exception"), STATUS_ALERTED);
            assert_eq!(wait(true, Timeout::At(0)).expect("no exception"), STATUS_TIMEOUT);
        });
        machine.spawn("alerter", move |kernel, _| {
            kernel.ke.alert_thread(kernel, &target, ProcessorMode::Kernel);
        });
    });
}

#[test]
fn a_user_apc_ends_alertable_waits_in_user_mode_only() {
    everywhere(1, |machine| {
        let event = machine.event(SynchronizationEvent, false);
        let apc = UserApc { routine: 0x1234, arguments: [1, 2, 3] };
        let target = machine.spawn("waiter", move |kernel, thread| {
            let wait = |mode, alertable, timeout| {
                let object = event.address();
                kernel.ke.wait_for_single_object(kernel, thread, object, mode, alertable, timeout)
            };
            let in_kernel = wait(ProcessorMode::Kernel, true, relative(10));
            assert_eq!(in_kernel.expect("no exception"), STATUS_TIMEOUT);
            let not_alertable = wait(ProcessorMode::User, false, relative(10));
            assert_eq!(not_alertable.expect("no exception"), STATUS_TIMEOUT);
            let alertable = wait(ProcessorMode::User, true, Timeout::Never);
            assert_eq!(alertable.expect("no exception"), STATUS_USER_APC);
            assert_eq!(kernel.ke.take_user_apc(kernel, thread), Some(apc));
            assert_eq!(kernel.ke.take_user_apc(kernel, thread), None);
        });
        machine.spawn("queuer", move |kernel, _| {
            kernel.ke.queue_user_apc(kernel, &target.apc_target(), apc);
        });
    });
}

#[test]
fn a_thread_that_is_to_end_no_longer_waits_in_user_mode() {
    everywhere(1, |machine| {
        let event = machine.event(SynchronizationEvent, false);
        let target = machine.spawn("waiter", move |kernel, thread| {
            let wait = |mode, timeout| {
                let object = event.address();
                kernel.ke.wait_for_single_object(kernel, thread, object, mode, false, timeout)
            };
            assert_eq!(wait(ProcessorMode::User, Timeout::Never).expect("no exception"), STATUS_USER_APC);
            assert_eq!(wait(ProcessorMode::Kernel, relative(10)).expect("no exception"), STATUS_TIMEOUT);
        });
        machine.spawn("killer", move |kernel, _| kernel.ke.request_termination(kernel, &target));
    });
}

#[test]
fn of_an_alert_and_a_signal_that_race_neither_is_lost() {
    on_hurried_mock(0..300, 1, |machine| {
        let event = machine.event(SynchronizationEvent, false);
        let tally = Tally::default();
        let own = tally.clone();
        let target = machine.spawn("waiter", move |kernel, thread| {
            for _ in 0..2 {
                let mode = ProcessorMode::Kernel;
                let object = event.address();
                let never = Timeout::Never;
                own.add(
                    kernel.ke.wait_for_single_object(kernel, thread, object, mode, true, never).expect("no"),
                );
            }
        });
        machine.spawn("alerter", move |kernel, _| {
            kernel.ke.alert_thread(kernel, &target, ProcessorMode::Kernel);
        });
        machine.spawn("setter", move |kernel, _| {
            kernel.ke.set_event(kernel, event, 0).expect("no exception");
        });
        machine.join();
        assert_eq!((tally.of(STATUS_SUCCESS), tally.of(STATUS_ALERTED)), (1, 1));
    });
}
