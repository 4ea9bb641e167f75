//! The rules of callback objects.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::ex::callback_object;
use crate::ke::tests::{SEEDS, on_mock};
use crate::{Kernel, raw};

/// Adds its second argument to the digits at its context.
extern "win64" fn append(context: u64, first: u64, _second: u64) {
    let digits: u64 = raw::read(context).expect("readable");
    raw::write(context, digits * 10 + first).expect("writable");
}

#[test]
fn routines_are_called_in_the_order_of_their_registration_until_they_are_taken_away() {
    on_mock(0..1, 1, |machine| {
        let digits = machine.allocate(16);
        machine.inside(move |kernel, thread| {
            let (one, many) = (callback_object(kernel, false), callback_object(kernel, true));
            let (one, many) = (one.expect("memory"), many.expect("memory"));
            let routine = append as *const () as u64;
            let register = |object: u64, at| kernel.callbacks.register(kernel, object, routine, at);
            let only = register(one.address, digits);
            assert!(only != 0 && register(one.address, digits) == 0, "it allows one");
            let (first, second) = (register(many.address, digits), register(many.address, digits + 8));
            assert!(first != 0 && second != 0 && first != second);
            assert_eq!(register(digits, digits), 0, "no callback object");
            let notify =
                |value| kernel.callbacks.notify(kernel, many.address, [value, 0]).expect("nothing raised");
            notify(1);
            kernel.callbacks.unregister(kernel, thread, first).expect("running");
            kernel.callbacks.unregister(kernel, thread, first).expect("is gone already");
            notify(2);
            assert_eq!(raw::read::<u64>(digits).expect("readable"), 1);
            assert_eq!(raw::read::<u64>(digits + 8).expect("readable"), 12);
            for handle in [only, second] {
                kernel.callbacks.unregister(kernel, thread, handle).expect("running");
            }
            assert_eq!((one.dereference(kernel), many.dereference(kernel)), (0, 0));
        });
    });
}

static INSIDE: AtomicU64 = AtomicU64::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

extern "win64" fn linger(_context: u64, _first: u64, _second: u64) {
    INSIDE.fetch_add(1, Ordering::SeqCst);
    Kernel::with_current(|kernel, _| kernel.platform.preemption_point());
    CALLS.fetch_add(1, Ordering::SeqCst);
    INSIDE.fetch_sub(1, Ordering::SeqCst);
}

#[test]
fn taking_a_routine_away_waits_until_no_thread_is_in_it() {
    on_mock(SEEDS, 2, |machine| {
        let (object, handle) = machine.inside(|kernel, _| {
            let object = callback_object(kernel, true).expect("memory");
            let routine = linger as *const () as u64;
            (object.clone(), kernel.callbacks.register(kernel, object.address, routine, 0))
        });
        for _ in 0..2 {
            let address = object.address;
            machine.spawn("notifier", move |kernel, _| {
                kernel.callbacks.notify(kernel, address, [0, 0]).expect("nothing raised");
            });
        }
        machine.spawn("owner", move |kernel, thread| {
            kernel.callbacks.unregister(kernel, thread, handle).expect("running");
            assert_eq!(INSIDE.load(Ordering::SeqCst), 0);
            let calls = CALLS.load(Ordering::SeqCst);
            kernel.platform.preemption_point();
            assert_eq!(CALLS.load(Ordering::SeqCst), calls, "and none comes in");
        });
        machine.join();
        assert!(machine.stop_code().is_none());
    });
    assert!(CALLS.load(Ordering::SeqCst) > 0);
}
