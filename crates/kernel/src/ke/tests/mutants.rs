//! Mutexes and mutants.

use abi::{STATUS_ABANDONED, STATUS_MUTANT_NOT_OWNED, STATUS_SUCCESS, STATUS_TIMEOUT};

use super::{Machine, Tally, everywhere, is_halt, on_linux, on_mock, raised, relative, wait};
use crate::ke::{Kmutant, Timeout};
use crate::raw;

fn mutex(machine: &Machine) -> Kmutant {
    let mutant = Kmutant::at(machine.allocate(Kmutant::SIZE));
    machine.ke.initialize_mutex(mutant).expect("pool is writable");
    mutant
}

fn mutant(machine: &Machine) -> Kmutant {
    let mutant = Kmutant::at(machine.allocate(Kmutant::SIZE));
    machine.ke.initialize_mutant(machine, mutant, None).expect("pool is writable");
    mutant
}

#[test]
fn one_thread_at_a_time_owns_a_mutex() {
    everywhere(1, |machine| {
        let mutex = mutex(machine);
        let counter = machine.allocate(8);
        for _ in 0..3 {
            machine.spawn("counter", move |kernel, thread| {
                for _ in 0..3 {
                    wait(kernel, thread, mutex.address(), Timeout::Never).expect("no exception");
                    let value = raw::read::<u64>(counter).expect("readable");
                    kernel.platform.preemption_point();
                    raw::write(counter, value + 1).expect("writable");
                    assert_eq!(kernel.ke.release_mutex(kernel, thread, mutex).expect("owned"), 0);
                }
            });
        }
        machine.join();
        assert_eq!(raw::read::<u64>(counter).expect("readable"), 9);
        assert_eq!(machine.ke.read_state_mutex(mutex).expect("readable"), 1);
    });
}

#[test]
fn its_owner_acquires_a_mutex_again_and_releases_it_as_often() {
    on_mock(0..50, 1, |machine| {
        let mutex = mutex(machine);
        machine.spawn("owner", move |kernel, thread| {
            for _ in 0..3 {
                wait(kernel, thread, mutex.address(), Timeout::Never).expect("no exception");
            }
            super::delay(kernel, thread, 10).expect("no exception");
            let release = || kernel.ke.release_mutex(kernel, thread, mutex).expect("owned");
            assert_eq!([release(), release()], [-2, -1]);
            super::delay(kernel, thread, 10).expect("no exception");
            assert_eq!(release(), 0);
        });
        machine.spawn("other", move |kernel, thread| {
            super::delay(kernel, thread, 5).expect("no exception");
            let try_it = |timeout| wait(kernel, thread, mutex.address(), timeout).expect("no exception");
            assert_eq!(try_it(relative(10)), STATUS_TIMEOUT);
            assert_eq!(try_it(Timeout::Never), STATUS_SUCCESS);
            assert_eq!(kernel.platform.interrupt_time(), 20 * super::MILLISECOND);
            kernel.ke.release_mutex(kernel, thread, mutex).expect("owned");
        });
    });
}

#[test]
fn a_mutex_is_released_by_its_owner_only() {
    on_linux(1, |machine| {
        let mutex = mutex(machine);
        let status =
            machine.inside(move |kernel, thread| raised(kernel.ke.release_mutex(kernel, thread, mutex)));
        assert_eq!(status, STATUS_MUTANT_NOT_OWNED);
        assert_eq!(machine.ke.read_state_mutex(mutex).expect("readable"), 1);
    });
}

#[test]
fn a_mutant_whose_owner_ends_is_abandoned_and_the_next_owner_is_told_once() {
    everywhere(1, |machine| {
        let mutant = mutant(machine);
        machine.inside(move |kernel, thread| {
            wait(kernel, thread, mutant.address(), Timeout::Never).expect("no exception");
        });
        let tally = Tally::default();
        for _ in 0..3 {
            let tally = tally.clone();
            machine.spawn("heir", move |kernel, thread| {
                tally.add(wait(kernel, thread, mutant.address(), Timeout::Never).expect("no exception"));
                kernel.ke.release_mutex(kernel, thread, mutant).expect("owned");
            });
        }
        machine.join();
        assert_eq!((tally.of(STATUS_ABANDONED), tally.of(STATUS_SUCCESS)), (1, 2));
        assert_eq!(machine.stop_code(), None);
    });
}

#[test]
fn a_mutant_abandoned_while_others_wait_goes_to_the_first_of_them() {
    everywhere(1, |machine| {
        let mutant = mutant(machine);
        let tally = Tally::default();
        for _ in 0..2 {
            let tally = tally.clone();
            machine.spawn("owner", move |kernel, thread| {
                tally.add(wait(kernel, thread, mutant.address(), Timeout::Never).expect("no exception"));
            });
        }
        machine.join();
        assert_eq!((tally.of(STATUS_SUCCESS), tally.of(STATUS_ABANDONED)), (1, 1));
    });
}

#[test]
fn a_thread_that_ends_with_a_drivers_mutex_is_a_bugcheck() {
    on_linux(1, |machine| {
        let mutex = mutex(machine);
        machine.inside(move |kernel, thread| {
            wait(kernel, thread, mutex.address(), Timeout::Never).expect("no exception");
        });
        assert_eq!(machine.stop_code(), Some(abi::THREAD_TERMINATE_HELD_MUTEX));
        let parameters = machine.bugcheck().expect("stopped").stop.parameters;
        assert_eq!(parameters[1], mutex.address());
    });
}

#[test]
fn a_mutex_disables_kernel_apcs_of_its_owner_and_a_mutant_does_not() {
    on_linux(1, |machine| {
        let (mutex, mutant) = (mutex(machine), mutant(machine));
        let disabled = machine.inside(move |kernel, thread| {
            let acquire = |object| wait(kernel, thread, object, Timeout::Never).expect("no exception");
            acquire(mutant.address());
            let first = thread.are_apcs_disabled(0);
            acquire(mutex.address());
            acquire(mutex.address());
            let second = thread.are_apcs_disabled(0);
            for mutant in [mutex, mutex, mutant] {
                kernel.ke.release_mutex(kernel, thread, mutant).expect("owned");
            }
            [first, second, thread.are_apcs_disabled(0)]
        });
        assert_eq!(disabled, [false, true, false]);
    });
}

#[test]
fn a_mutex_cannot_be_acquired_without_end() {
    on_linux(1, |machine| {
        let mutex = mutex(machine);
        let status = machine.inside(move |kernel, thread| {
            let acquire = || wait(kernel, thread, mutex.address(), Timeout::Never);
            acquire().expect("free");
            mutex.header().set_signal_state(i32::MIN.cast_unsigned()).expect("writable");
            let status = raised(acquire());
            mutex.header().set_signal_state(0).expect("writable");
            kernel.ke.release_mutex(kernel, thread, mutex).expect("owned");
            status
        });
        assert_eq!(status, abi::STATUS_MUTANT_LIMIT_EXCEEDED);
    });
}

#[test]
fn an_owned_mutant_counts_as_signaled_in_its_owners_wait_for_all() {
    everywhere(1, |machine| {
        let mutant = mutant(machine);
        let event = machine.event(abi::SynchronizationEvent, false);
        machine.spawn("other", move |kernel, thread| {
            let status = wait(kernel, thread, mutant.address(), Timeout::Never).expect("no exception");
            assert!(!is_halt(&Ok(status)));
            kernel.ke.release_mutex(kernel, thread, mutant).expect("owned");
        });
        machine.spawn("owner", move |kernel, thread| {
            wait(kernel, thread, mutant.address(), Timeout::Never).expect("no exception");
            let objects = [mutant.address(), event.address()];
            let kind = crate::ke::WaitType::All;
            super::wait_multiple(kernel, thread, &objects, kind, Timeout::Never).expect("no exception");
            assert_eq!(kernel.ke.release_mutex(kernel, thread, mutant).expect("owned"), -1);
            assert_eq!(kernel.ke.release_mutex(kernel, thread, mutant).expect("owned"), 0);
        });
        machine.spawn("setter", move |kernel, _| {
            kernel.ke.set_event(kernel, event, 0).expect("no exception");
        });
    });
}
