//! The rules of run-down protection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::ke::tests::{SEEDS, everywhere, on_mock};
use crate::{Kernel, raw};

fn acquire(kernel: &Kernel, reference: u64) -> bool {
    kernel.rundowns.acquire(kernel, reference, 1).expect("writable")
}

fn release(kernel: &Kernel, reference: u64) {
    kernel.rundowns.release(kernel, reference, 1).expect("writable");
}

#[test]
fn the_object_goes_when_its_last_user_has_and_nobody_is_let_in_after_that() {
    static LET_IN: AtomicUsize = AtomicUsize::new(0);
    static REFUSED: AtomicUsize = AtomicUsize::new(0);
    everywhere(2, |machine| {
        let reference = machine.allocate(8);
        machine.rundowns.initialize(reference).expect("writable");
        // The object: 1 while it is there.
        let object = machine.allocate(8);
        raw::write(object, 1_u64).expect("writable");
        for _ in 0..3 {
            machine.spawn("user", move |kernel, _| {
                for _ in 0..3 {
                    if !acquire(kernel, reference) {
                        REFUSED.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    LET_IN.fetch_add(1, Ordering::Relaxed);
                    kernel.platform.preemption_point();
                    assert_eq!(raw::read::<u64>(object).expect("readable"), 1, "in use");
                    release(kernel, reference);
                }
            });
        }
        for _ in 0..2 {
            machine.spawn("owner", move |kernel, thread| {
                kernel.rundowns.wait(kernel, thread, reference).expect("running");
                raw::write(object, 0_u64).expect("writable");
                assert!(!acquire(kernel, reference), "it is gone");
            });
        }
        machine.join();
        assert!(machine.stop_code().is_none());
    });
    assert!(LET_IN.load(Ordering::Relaxed) > 0 && REFUSED.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_wait_returns_at_once_when_nobody_is_in_or_it_was_completed_and_reinitialising_lets_users_in() {
    on_mock(0..1, 1, |machine| {
        let reference = machine.allocate(8);
        machine.inside(move |kernel, thread| {
            kernel.rundowns.initialize(reference).expect("writable");
            assert!(kernel.rundowns.acquire(kernel, reference, 3).expect("writable"));
            kernel.rundowns.release(kernel, reference, 3).expect("writable");
            kernel.rundowns.wait(kernel, thread, reference).expect("running");
            kernel.rundowns.close(reference).expect("writable");
            kernel.rundowns.wait(kernel, thread, reference).expect("running");
            assert!(!acquire(kernel, reference));
            kernel.rundowns.initialize(reference).expect("writable");
            assert!(acquire(kernel, reference));
        });
    });
}

#[test]
fn several_users_of_one_thread_are_all_waited_for() {
    on_mock(SEEDS, 2, |machine| {
        let reference = machine.allocate(8);
        let released = Arc::new(AtomicUsize::new(0));
        machine.inside(move |kernel, _| {
            assert!(kernel.rundowns.acquire(kernel, reference, 2).expect("writable"));
        });
        let count = released.clone();
        machine.spawn("user", move |kernel, _| {
            for _ in 0..2 {
                kernel.platform.preemption_point();
                count.fetch_add(1, Ordering::SeqCst);
                release(kernel, reference);
            }
        });
        machine.spawn("owner", move |kernel, thread| {
            kernel.rundowns.wait(kernel, thread, reference).expect("running");
            assert_eq!(released.load(Ordering::SeqCst), 2);
        });
    });
}
