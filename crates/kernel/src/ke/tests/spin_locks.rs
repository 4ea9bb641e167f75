//! Spin locks.

use abi::{DISPATCH_LEVEL, PASSIVE_LEVEL};

use super::{Machine, everywhere, is_halt, on_linux, on_mock};
use crate::ke::{LockQueueHandle, Thread};
use crate::{Kernel, raw};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Plain,
    Queued,
}

/// Reads, lets others run, writes: loses counts unless alone.
fn count(kernel: &Kernel, counter: u64) {
    let value = raw::read::<u64>(counter).expect("readable");
    kernel.platform.preemption_point();
    raw::write(counter, value + 1).expect("writable");
}

fn contend(machine: &Machine, kind: Kind) {
    let (lock, counter) = (machine.allocate(8), machine.allocate(8));
    for _ in 0..3 {
        let handle = LockQueueHandle::at(machine.allocate(LockQueueHandle::SIZE));
        machine.spawn("counter", move |kernel, thread| {
            let ke = &kernel.ke;
            for _ in 0..3 {
                match kind {
                    Kind::Plain => {
                        let old = ke.acquire_spin_lock_raise_to_dpc(kernel, thread, lock).expect("running");
                        count(kernel, counter);
                        ke.release_spin_lock(kernel, thread, lock, old).expect("running");
                    }
                    Kind::Queued => {
                        ke.acquire_in_stack_queued_spin_lock(kernel, thread, lock, handle).expect("running");
                        assert_eq!(ke.current_irql(), DISPATCH_LEVEL);
                        count(kernel, counter);
                        ke.release_in_stack_queued_spin_lock(kernel, thread, handle).expect("running");
                    }
                }
                assert_eq!(ke.current_irql(), PASSIVE_LEVEL);
            }
        });
    }
    machine.join();
    assert_eq!(raw::read::<u64>(counter).expect("readable"), 9);
    assert!(machine.ke.test_spin_lock(lock).expect("readable"));
}

#[test]
fn a_spin_lock_admits_one_thread_at_a_time() {
    for processors in [1, 2, 3] {
        everywhere(processors, |machine| contend(machine, Kind::Plain));
    }
}

#[test]
fn a_queued_spin_lock_admits_one_thread_at_a_time() {
    for processors in [1, 2, 3] {
        everywhere(processors, |machine| contend(machine, Kind::Queued));
    }
}

#[test]
fn a_spin_lock_at_dispatch_level_leaves_the_irql_alone_and_can_be_tried() {
    on_linux(1, |machine| {
        let lock = machine.allocate(8);
        machine.inside(move |kernel, thread| {
            let ke = &kernel.ke;
            let old = ke.kf_raise_irql(kernel, DISPATCH_LEVEL).expect("running");
            ke.acquire_spin_lock_at_dpc_level(kernel, thread, lock).expect("free");
            assert_eq!(thread.held_spin_locks().iter().collect::<Vec<_>>(), [lock]);
            assert!(!ke.try_to_acquire_spin_lock_at_dpc_level(kernel, thread, lock).expect("readable"));
            ke.release_spin_lock_from_dpc_level(kernel, thread, lock).expect("writable");
            assert!(ke.try_to_acquire_spin_lock_at_dpc_level(kernel, thread, lock).expect("readable"));
            ke.release_spin_lock_from_dpc_level(kernel, thread, lock).expect("writable");
            assert_eq!(thread.held_spin_locks().iter().count(), 0);
            assert_eq!(ke.current_irql(), DISPATCH_LEVEL);
            ke.ke_lower_irql(kernel, old).expect("running");
        });
    });
}

fn twice(kernel: &Kernel, thread: &Thread, lock: u64, handle: LockQueueHandle, kind: Kind) -> bool {
    let ke = &kernel.ke;
    match kind {
        Kind::Plain => {
            ke.acquire_spin_lock_raise_to_dpc(kernel, thread, lock).expect("free");
            is_halt(&ke.acquire_spin_lock_raise_to_dpc(kernel, thread, lock))
        }
        Kind::Queued => {
            ke.acquire_in_stack_queued_spin_lock(kernel, thread, lock, handle).expect("free");
            is_halt(&ke.acquire_in_stack_queued_spin_lock(kernel, thread, lock, handle))
        }
    }
}

#[test]
fn a_thread_that_acquires_its_own_spin_lock_again_is_a_bugcheck() {
    for kind in [Kind::Plain, Kind::Queued] {
        on_linux(1, |machine| {
            let lock = machine.allocate(8);
            let handle = LockQueueHandle::at(machine.allocate(LockQueueHandle::SIZE));
            let halted = machine.inside(move |kernel, thread| twice(kernel, thread, lock, handle, kind));
            assert!(halted);
            assert_eq!(machine.stop_code(), Some(abi::SPIN_LOCK_ALREADY_OWNED));
        });
    }
}

#[test]
fn a_thread_that_spins_goes_on_when_the_machine_stops() {
    on_mock(super::SEEDS, 2, |machine| {
        let lock = machine.allocate(8);
        machine.inside(move |kernel, thread| {
            kernel.ke.acquire_spin_lock_at_dpc_level(kernel, thread, lock).expect("free");
        });
        machine.spawn("spinner", move |kernel, thread| {
            assert!(is_halt(&kernel.ke.acquire_spin_lock_raise_to_dpc(kernel, thread, lock)));
            assert_eq!(kernel.ke.current_irql(), PASSIVE_LEVEL);
        });
        machine.spawn("stop", |kernel, _| kernel.bug_check(0xDEAD, [0; 4]));
    });
}
