//! Reader/writer spin locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use abi::{DISPATCH_LEVEL, PASSIVE_LEVEL};

use super::{everywhere, is_halt, on_mock};
use crate::ke::SpinAccess::{self, Exclusive, Shared};
use crate::ke::Thread;
use crate::{Kernel, raw};

fn release(kernel: &Kernel, thread: &Thread, lock: u64, access: SpinAccess, irql: u8) {
    let ke = &kernel.ke;
    ke.release_shared_spin_lock_from_dpc_level(kernel, thread, lock, access).expect("running");
    ke.ke_lower_irql(kernel, irql).expect("running");
}

#[test]
fn one_thread_has_exclusive_access_and_nobody_shares_meanwhile() {
    static MOST_SHARING: AtomicUsize = AtomicUsize::new(0);
    for processors in [1, 3] {
        everywhere(processors, |machine| {
            let (lock, counter) = (machine.allocate(8), machine.allocate(8));
            let sharing = Arc::new(AtomicUsize::new(0));
            for _ in 0..2 {
                let inside = sharing.clone();
                machine.spawn("writer", move |kernel, thread| {
                    for _ in 0..3 {
                        let old = kernel.ke.acquire_shared_spin_lock(kernel, thread, lock, Exclusive);
                        assert_eq!(kernel.ke.current_irql(), DISPATCH_LEVEL);
                        assert_eq!(inside.load(Ordering::SeqCst), 0);
                        let value = raw::read::<u64>(counter).expect("readable");
                        kernel.platform.preemption_point();
                        raw::write(counter, value + 1).expect("writable");
                        assert_eq!(inside.load(Ordering::SeqCst), 0);
                        release(kernel, thread, lock, Exclusive, old.expect("running"));
                        assert_eq!(kernel.ke.current_irql(), PASSIVE_LEVEL);
                    }
                });
                let inside = sharing.clone();
                machine.spawn("reader", move |kernel, thread| {
                    for _ in 0..3 {
                        let old = kernel.ke.acquire_shared_spin_lock(kernel, thread, lock, Shared);
                        let count = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        MOST_SHARING.fetch_max(count, Ordering::SeqCst);
                        kernel.platform.preemption_point();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        release(kernel, thread, lock, Shared, old.expect("running"));
                    }
                });
            }
            machine.join();
            assert_eq!(raw::read::<u64>(counter).expect("readable"), 6);
            assert_eq!(raw::read::<u32>(lock).expect("readable"), 0, "free");
        });
    }
    assert_eq!(MOST_SHARING.load(Ordering::SeqCst), 2, "some interleaving let both in");
}

#[test]
fn shared_access_becomes_exclusive_when_nobody_else_shares_it() {
    on_mock(0..1, 2, |machine| {
        let lock = machine.allocate(8);
        machine.inside(move |kernel, thread| {
            let ke = &kernel.ke;
            let old = ke.acquire_shared_spin_lock(kernel, thread, lock, Shared).expect("running");
            ke.acquire_shared_spin_lock_at_dpc_level(kernel, thread, lock, Shared).expect("shared twice");
            assert!(!ke.try_convert_shared_spin_lock(lock).expect("writable"));
            ke.release_shared_spin_lock_from_dpc_level(kernel, thread, lock, Shared).expect("held");
            assert!(ke.try_convert_shared_spin_lock(lock).expect("writable"));
            release(kernel, thread, lock, Exclusive, old);
            assert_eq!(raw::read::<u32>(lock).expect("readable"), 0);
        });
    });
}

#[test]
fn a_thread_that_would_wait_for_its_own_share_stops_the_machine() {
    on_mock(0..1, 1, |machine| {
        let lock = machine.allocate(8);
        machine.inside(move |kernel, thread| {
            let ke = &kernel.ke;
            ke.acquire_shared_spin_lock(kernel, thread, lock, Shared).expect("running");
            let again = ke.acquire_shared_spin_lock_at_dpc_level(kernel, thread, lock, Exclusive);
            assert!(is_halt(&again));
        });
        assert_eq!(machine.stop_code(), Some(abi::SPIN_LOCK_ALREADY_OWNED));
    });
}
