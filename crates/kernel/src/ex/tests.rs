//! The rules of resources, under many interleavings and on Linux.

mod callback;
mod rundown;
mod synchronization;

use super::{Resource, SharedPolicy};
use crate::ke::Thread;
use crate::ke::tests::{Machine, SEEDS, everywhere, is_halt, on_linux, on_mock};
use crate::{Kernel, raw};

fn resource(machine: &Machine) -> Resource {
    Resource::at(machine.allocate(Resource::SIZE))
}

fn exclusive(kernel: &Kernel, thread: &Thread, resource: Resource, wait: bool) -> bool {
    kernel.ex.acquire_exclusive(kernel, thread, resource, wait).expect("running")
}

fn shared(kernel: &Kernel, thread: &Thread, resource: Resource, wait: bool, policy: SharedPolicy) -> bool {
    kernel.ex.acquire_shared(kernel, thread, resource, wait, policy).expect("running")
}

fn release(kernel: &Kernel, thread: &Thread, resource: Resource) {
    kernel.ex.release(kernel, resource, thread.object()).expect("owned");
}

/// Lets other threads run until so many wait for exclusive access.
fn until_waiting(kernel: &Kernel, resource: Resource, count: usize) {
    let mut round = 0;
    while kernel.ex.exclusive_waiters(kernel, resource) < count {
        kernel.platform.relax(round);
        round += 1;
    }
}

#[test]
fn an_exclusive_owner_is_alone() {
    for processors in [1, 2] {
        everywhere(processors, |machine| {
            let (lock, counter) = (resource(machine), machine.allocate(8));
            for _ in 0..3 {
                machine.spawn("counter", move |kernel, thread| {
                    for _ in 0..3 {
                        assert!(exclusive(kernel, thread, lock, true));
                        let value = raw::read::<u64>(counter).expect("readable");
                        kernel.platform.preemption_point();
                        raw::write(counter, value + 1).expect("writable");
                        release(kernel, thread, lock);
                        assert!(shared(kernel, thread, lock, true, SharedPolicy::Normal));
                        assert!(raw::read::<u64>(counter).expect("readable") > value);
                        release(kernel, thread, lock);
                    }
                });
            }
            machine.join();
            assert_eq!(raw::read::<u64>(counter).expect("readable"), 9);
            assert_eq!((lock.active_count().expect("pool"), lock.flag().expect("pool")), (0, 0));
        });
    }
}

#[test]
fn acquiring_is_recursive_and_each_acquisition_is_released() {
    on_linux(1, |machine| {
        let lock = resource(machine);
        machine.inside(move |kernel, thread| {
            assert!(exclusive(kernel, thread, lock, false));
            assert!(exclusive(kernel, thread, lock, false));
            assert!(shared(kernel, thread, lock, false, SharedPolicy::Normal));
            assert!(kernel.ex.is_acquired_exclusive(kernel, thread, lock));
            assert_eq!(kernel.ex.acquired(kernel, thread, lock), 3);
            assert_eq!((lock.active_count().expect("pool"), lock.flag().expect("pool")), (1, 0x80));
            for left in [2, 1, 0] {
                release(kernel, thread, lock);
                assert_eq!(kernel.ex.acquired(kernel, thread, lock), left);
            }
        });
        assert_eq!((lock.active_count().expect("pool"), lock.flag().expect("pool")), (0, 0));
    });
}

#[test]
fn who_waits_for_exclusive_access_keeps_new_shared_owners_out_unless_they_starve_it() {
    on_mock(SEEDS, 1, |machine| {
        let (lock, taken) = (resource(machine), machine.allocate(8));
        machine.spawn("owner", move |kernel, thread| {
            assert!(shared(kernel, thread, lock, true, SharedPolicy::Normal));
            raw::write(taken, 1_u64).expect("writable");
            until_waiting(kernel, lock, 1);
            assert!(shared(kernel, thread, lock, false, SharedPolicy::Normal), "recursive");
            assert!(!shared(kernel, thread, lock, false, SharedPolicy::WaitForExclusive));
            release(kernel, thread, lock);
            while raw::read::<u64>(taken).expect("readable") != 2 {
                kernel.platform.relax(u32::MAX);
            }
            release(kernel, thread, lock);
        });
        machine.spawn("waiter", move |kernel, thread| {
            while raw::read::<u64>(taken).expect("readable") == 0 {
                kernel.platform.relax(u32::MAX);
            }
            assert!(!exclusive(kernel, thread, lock, false));
            assert!(exclusive(kernel, thread, lock, true));
            assert_eq!(raw::read::<u64>(taken).expect("readable"), 2);
            release(kernel, thread, lock);
        });
        machine.spawn("newcomer", move |kernel, thread| {
            until_waiting(kernel, lock, 1);
            assert!(!shared(kernel, thread, lock, false, SharedPolicy::Normal));
            assert!(shared(kernel, thread, lock, false, SharedPolicy::StarveExclusive));
            assert_eq!(lock.active_count().expect("pool"), 2);
            release(kernel, thread, lock);
            raw::write(taken, 2_u64).expect("writable");
        });
    });
}

#[test]
fn converting_to_shared_lets_in_who_waits_for_that() {
    on_mock(SEEDS, 1, |machine| {
        let (lock, seen) = (resource(machine), machine.allocate(8));
        machine.spawn("owner", move |kernel, thread| {
            assert!(exclusive(kernel, thread, lock, true));
            kernel.platform.preemption_point();
            kernel.ex.convert_to_shared(kernel, thread, lock).expect("owned");
            assert!(!kernel.ex.is_acquired_exclusive(kernel, thread, lock));
            while raw::read::<u64>(seen).expect("readable") == 0 {
                kernel.platform.relax(u32::MAX);
            }
            release(kernel, thread, lock);
        });
        machine.spawn("reader", move |kernel, thread| {
            assert!(shared(kernel, thread, lock, true, SharedPolicy::Normal));
            raw::write(seen, 1_u64).expect("writable");
            release(kernel, thread, lock);
        });
    });
}

#[test]
fn an_owner_pointer_lets_another_thread_release() {
    on_linux(1, |machine| {
        let lock = resource(machine);
        let pointer = machine.allocate(8) | 3;
        machine.inside(move |kernel, thread| {
            assert!(exclusive(kernel, thread, lock, true));
            kernel.ex.set_owner(kernel, thread, lock, pointer).expect("owned");
            assert_eq!(kernel.ex.acquired(kernel, thread, lock), 0);
        });
        machine.inside(move |kernel, thread| {
            assert!(!exclusive(kernel, thread, lock, false));
            kernel.ex.release(kernel, lock, pointer).expect("owned by the pointer");
            assert!(exclusive(kernel, thread, lock, false));
            release(kernel, thread, lock);
        });
    });
}

#[test]
fn releasing_what_the_thread_does_not_own_is_resource_not_owned() {
    on_linux(1, |machine| {
        let lock = resource(machine);
        let owner = machine.inside(move |kernel, thread| {
            assert!(is_halt(&kernel.ex.release(kernel, lock, thread.object())));
            thread.object()
        });
        let stop = machine.bugcheck().expect("stopped").stop;
        assert_eq!((stop.code, stop.parameters), (abi::RESOURCE_NOT_OWNED, [lock.address(), owner, 0, 0]));
    });
}

#[test]
fn deleting_a_resource_says_who_owned_it_and_who_waited_for_it() {
    on_mock(0..20, 1, |machine| {
        let resource = resource(machine);
        machine.ex.initialize(machine, resource).expect("writable");
        assert_eq!(machine.ex.delete(machine, resource).expect("writable"), (0, 0));
        let owned = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let own = owned.clone();
        machine.spawn("waiter", move |kernel, thread| {
            while !own.load(std::sync::atomic::Ordering::SeqCst) {
                kernel.platform.relax(u32::MAX);
            }
            assert!(is_halt(&kernel.ex.acquire_exclusive(kernel, thread, resource, true)));
        });
        machine.inside(move |kernel, thread| {
            assert!(exclusive(kernel, thread, resource, false));
            owned.store(true, std::sync::atomic::Ordering::SeqCst);
            while kernel.ex.exclusive_waiters(kernel, resource) == 0 {
                kernel.platform.relax(u32::MAX);
            }
            assert_eq!(kernel.ex.delete(kernel, resource).expect("writable"), (1, 1));
            // Else the waiter sleeps for ever.
            kernel.bug_check(abi::MANUALLY_INITIATED_CRASH, [0; 4]);
        });
    });
}
