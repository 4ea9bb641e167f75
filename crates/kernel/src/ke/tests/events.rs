//! Events.

use abi::{NotificationEvent, STATUS_SUCCESS, STATUS_TIMEOUT, SynchronizationEvent};

use super::{Tally, delay, everywhere, on_hurried_mock, on_linux, on_mock, relative, wait};
use crate::ke::Timeout;
use crate::raw::{self, DispatcherHeader};

#[test]
fn a_synchronization_event_releases_exactly_one_waiter_and_is_then_not_signaled() {
    everywhere(1, |machine| {
        let event = machine.event(SynchronizationEvent, false);
        let tally = Tally::default();
        for _ in 0..3 {
            let tally = tally.clone();
            machine.spawn("waiter", move |kernel, thread| {
                tally.add(wait(kernel, thread, event.address(), relative(20)).expect("no exception"));
            });
        }
        machine.spawn("setter", move |kernel, _| {
            kernel.ke.set_event(kernel, event, 0).expect("no exception");
        });
        machine.join();
        assert_eq!((tally.of(STATUS_SUCCESS), tally.of(STATUS_TIMEOUT)), (1, 2));
        assert_eq!(machine.ke.read_state_event(event).expect("readable"), 0);
    });
}

#[test]
fn a_notification_event_releases_all_waiters_and_stays_signaled() {
    everywhere(1, |machine| {
        let event = machine.event(NotificationEvent, false);
        let tally = Tally::default();
        for _ in 0..3 {
            let tally = tally.clone();
            machine.spawn("waiter", move |kernel, thread| {
                tally.add(wait(kernel, thread, event.address(), Timeout::Never).expect("no exception"));
            });
        }
        machine.spawn("setter", move |kernel, _| {
            kernel.ke.set_event(kernel, event, 0).expect("no exception");
        });
        machine.join();
        assert_eq!(tally.of(STATUS_SUCCESS), 3);
        assert_eq!(machine.ke.read_state_event(event).expect("readable"), 1);
    });
}

#[test]
fn a_pulse_releases_those_who_wait_now_and_nobody_later() {
    for (event_type, released) in [(NotificationEvent, 2), (SynchronizationEvent, 1)] {
        on_mock(0..50, 1, move |machine| {
            let event = machine.event(event_type, false);
            let tally = Tally::default();
            for _ in 0..2 {
                let tally = tally.clone();
                machine.spawn("waiter", move |kernel, thread| {
                    tally.add(wait(kernel, thread, event.address(), relative(50)).expect("no exception"));
                });
            }
            machine.spawn("pulser", move |kernel, thread| {
                // Virtual time passes once all others wait.
                delay(kernel, thread, 10).expect("no exception");
                assert_eq!(kernel.ke.pulse_event(kernel, event, 0).expect("no exception"), 0);
                assert_eq!(wait(kernel, thread, event.address(), relative(5)).expect("no"), STATUS_TIMEOUT);
            });
            machine.join();
            assert_eq!(tally.of(STATUS_SUCCESS), released);
            assert_eq!(tally.of(STATUS_TIMEOUT), 2 - released);
        });
    }
}

#[test]
fn waiters_are_released_in_the_order_of_their_arrival() {
    on_mock(0..50, 1, |machine| {
        let event = machine.event(SynchronizationEvent, false);
        let log = super::Log::new(machine);
        for number in 1..=4 {
            machine.spawn("waiter", move |kernel, thread| {
                delay(kernel, thread, number).expect("no exception");
                wait(kernel, thread, event.address(), Timeout::Never).expect("no exception");
                log.push(number);
            });
        }
        machine.spawn("setter", move |kernel, thread| {
            for _ in 0..4 {
                delay(kernel, thread, 10).expect("no exception");
                kernel.ke.set_event(kernel, event, 0).expect("no exception");
            }
        });
        machine.join();
        assert_eq!(log.read(), [1, 2, 3, 4]);
    });
}

#[test]
fn set_and_reset_return_the_old_state() {
    on_linux(1, |machine| {
        let event = machine.event(NotificationEvent, true);
        let ke = &machine.ke;
        assert_eq!(ke.reset_event(machine, event).expect("no exception"), 1);
        assert_eq!(ke.reset_event(machine, event).expect("no exception"), 0);
        assert_eq!(ke.set_event(machine, event, 1).expect("no exception"), 0);
        assert_eq!(ke.set_event(machine, event, 1).expect("no exception"), 1);
        ke.clear_event(machine, event).expect("no exception");
        assert_eq!(ke.read_state_event(event).expect("no exception"), 0);
    });
}

#[test]
fn an_event_looks_to_its_driver_as_in_the_headers() {
    on_linux(1, |machine| {
        let event = machine.event(SynchronizationEvent, true);
        assert_eq!(event.object_type().expect("readable"), abi::EventSynchronizationObject);
        assert_eq!(usize::from(event.size().expect("readable")), size_of::<abi::KEVENT>() / 4);
        assert_eq!(raw::read::<u32>(event.address() + 4).expect("readable"), 1);
        assert_eq!(event.wait_list_forward().expect("readable"), event.address() + 8);
        assert_eq!(event.wait_list_backward().expect("readable"), event.address() + 8);
    });
}

#[test]
fn a_wait_that_times_out_while_the_event_is_set_has_either_taken_it_or_left_it() {
    on_hurried_mock(0..500, 1, |machine| {
        let event = machine.event(SynchronizationEvent, false);
        let tally = Tally::default();
        let own = tally.clone();
        machine.spawn("waiter", move |kernel, thread| {
            own.add(wait(kernel, thread, event.address(), relative(1)).expect("no exception"));
        });
        machine.spawn("setter", move |kernel, _| {
            kernel.ke.set_event(kernel, event, 0).expect("no exception");
        });
        machine.join();
        let left = machine.ke.read_state_event(event).expect("readable");
        assert_eq!(usize::try_from(left).expect("0 or 1") + tally.of(STATUS_SUCCESS), 1);
    });
}

#[test]
fn an_event_at_an_address_that_is_not_mapped_raises_an_access_violation() {
    on_linux(1, |machine| {
        let statuses = machine.inside(|kernel, thread| {
            let nowhere = DispatcherHeader::at(0x10);
            [
                super::raised(kernel.ke.set_event(kernel, nowhere, 0)),
                super::raised(kernel.ke.initialize_event(nowhere, 0, false)),
                super::raised(wait(kernel, thread, 0x10, Timeout::Never)),
            ]
        });
        assert_eq!(statuses, [abi::STATUS_ACCESS_VIOLATION; 3]);
    });
}
