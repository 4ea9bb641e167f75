//! Semaphores.

use abi::{STATUS_SEMAPHORE_LIMIT_EXCEEDED, STATUS_SUCCESS, STATUS_TIMEOUT};

use super::{Machine, Tally, everywhere, on_linux, raised, relative, wait};
use crate::ke::Ksemaphore;

fn semaphore(machine: &Machine, count: i32, limit: i32) -> Ksemaphore {
    let semaphore = Ksemaphore::at(machine.allocate(Ksemaphore::SIZE));
    machine.ke.initialize_semaphore(semaphore, count, limit).expect("pool is writable");
    semaphore
}

#[test]
fn a_semaphore_lets_as_many_threads_go_on_as_its_count_says() {
    everywhere(1, |machine| {
        let semaphore = semaphore(machine, 1, 10);
        let tally = Tally::default();
        for _ in 0..4 {
            let tally = tally.clone();
            machine.spawn("waiter", move |kernel, thread| {
                tally.add(wait(kernel, thread, semaphore.address(), relative(20)).expect("no exception"));
            });
        }
        machine.spawn("releaser", move |kernel, _| {
            kernel.ke.release_semaphore(kernel, semaphore, 0, 2).expect("below the limit");
        });
        machine.join();
        assert_eq!((tally.of(STATUS_SUCCESS), tally.of(STATUS_TIMEOUT)), (3, 1));
        assert_eq!(machine.ke.read_state_semaphore(semaphore).expect("readable"), 0);
    });
}

#[test]
fn a_release_beyond_the_limit_raises_and_changes_nothing() {
    on_linux(1, |machine| {
        let semaphore = semaphore(machine, 1, 3);
        let release = |adjustment| machine.ke.release_semaphore(machine, semaphore, 0, adjustment);
        for adjustment in [3, -1, i32::MAX, i32::MIN] {
            assert_eq!(raised(release(adjustment)), STATUS_SEMAPHORE_LIMIT_EXCEEDED, "{adjustment}");
        }
        assert_eq!(release(2).expect("at the limit"), 1);
        assert_eq!(machine.ke.read_state_semaphore(semaphore).expect("readable"), 3);
    });
}
