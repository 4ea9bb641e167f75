//! Special kernel APCs: what holds them up, and that none is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Machine, everywhere, on_linux};
use crate::Kernel;
use crate::ke::{ApcTarget, Thread};

fn queue(kernel: &Kernel, target: &ApcTarget, runs: &Arc<AtomicUsize>) {
    let runs = runs.clone();
    let routine = move |_: &Kernel| {
        runs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    };
    kernel.ke.queue_special_apc(kernel, target, routine).expect("the routine raises nothing");
}

/// `body` gets a function that queues one, and says how many have run so far.
fn on_one_thread(body: fn(&Kernel, &Thread, &dyn Fn() -> usize)) {
    on_linux(1, |machine| {
        machine.inside(move |kernel, thread| {
            let runs = Arc::new(AtomicUsize::new(0));
            let queue_one = || {
                queue(kernel, &thread.apc_target(), &runs);
                runs.load(Ordering::SeqCst)
            };
            body(kernel, thread, &queue_one);
        });
        assert_eq!(machine.stop_code(), None);
    });
}

#[test]
fn critical_regions_and_dispatch_level_do_not_hold_special_apcs_up() {
    on_one_thread(|kernel, thread, queue_one| {
        assert_eq!(queue_one(), 1);
        thread.enter_critical_region();
        assert_eq!(queue_one(), 2);
        thread.leave_critical_region();
        kernel.ke.raise_irql(kernel, abi::DISPATCH_LEVEL);
        assert_eq!(queue_one(), 3);
        kernel.ke.lower_irql(kernel, abi::PASSIVE_LEVEL);
    });
}

#[test]
fn apc_level_holds_special_apcs_up_until_the_irql_is_lowered_below_it() {
    on_one_thread(|kernel, _, queue_one| {
        kernel.ke.raise_irql(kernel, abi::APC_LEVEL);
        assert_eq!(queue_one(), 0);
        kernel.ke.raise_irql(kernel, abi::DISPATCH_LEVEL);
        assert_eq!(queue_one(), 0);
        kernel.ke.lower_irql(kernel, abi::APC_LEVEL);
        assert_eq!(queue_one(), 0);
        kernel.ke.lower_irql(kernel, abi::PASSIVE_LEVEL);
        assert_eq!(queue_one(), 4);
    });
}

#[test]
fn a_guarded_region_holds_special_apcs_up_until_the_outermost_is_left() {
    on_one_thread(|kernel, thread, queue_one| {
        thread.enter_guarded_region();
        thread.enter_guarded_region();
        assert_eq!(queue_one(), 0);
        thread.leave_guarded_region(kernel);
        assert_eq!(queue_one(), 0);
        kernel.ke.raise_irql(kernel, abi::APC_LEVEL);
        thread.leave_guarded_region(kernel);
        assert_eq!(queue_one(), 0, "still at APC_LEVEL");
        kernel.ke.lower_irql(kernel, abi::PASSIVE_LEVEL);
        assert_eq!(queue_one(), 4);
    });
}

/// One thread lets special APCs in and out again while another queues them.
fn queue_beside(machine: &Machine) {
    const APCS: usize = 6;
    let runs = Arc::new(AtomicUsize::new(0));
    let thread = machine.spawn("lets in", |kernel, thread| {
        for round in 0..APCS {
            if round % 2 == 0 {
                thread.enter_guarded_region();
                kernel.platform.preemption_point();
                thread.leave_guarded_region(kernel);
            } else {
                kernel.ke.raise_irql(kernel, abi::APC_LEVEL);
                kernel.platform.preemption_point();
                kernel.ke.lower_irql(kernel, abi::PASSIVE_LEVEL);
            }
        }
    });
    let (target, own_runs) = (thread.apc_target(), runs.clone());
    machine.spawn("queues", move |kernel, _| {
        for _ in 0..APCS {
            queue(kernel, &target, &own_runs);
        }
    });
    machine.join();
    assert_eq!(runs.load(Ordering::SeqCst), APCS);
}

#[test]
fn no_special_apc_is_lost_or_run_twice() {
    everywhere(1, queue_beside);
    on_linux(2, queue_beside);
}
