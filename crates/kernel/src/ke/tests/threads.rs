//! Threads: their objects, their end, and what they must not leave behind.

use abi::STATUS_SUCCESS;

use super::{everywhere, is_halt, on_linux, wait};
use crate::ke::Timeout;
use crate::raw::DispatcherHeader;

#[test]
fn a_thread_object_is_signaled_when_the_thread_has_ended_and_for_good() {
    everywhere(1, |machine| {
        let event = machine.event(abi::NotificationEvent, false);
        let target = machine.spawn("target", move |kernel, thread| {
            wait(kernel, thread, event.address(), Timeout::Never).expect("no exception");
        });
        let header = DispatcherHeader::at(target.object());
        assert_eq!(header.object_type().expect("readable"), abi::ThreadObject);
        assert_eq!(header.signal_state().expect("readable"), 0);
        for _ in 0..2 {
            let target = target.clone();
            machine.spawn("waiter", move |kernel, thread| {
                let status = wait(kernel, thread, target.object(), Timeout::Never).expect("no exception");
                assert_eq!(status, STATUS_SUCCESS);
                assert_eq!(target.exit_status(), STATUS_SUCCESS);
            });
        }
        machine.spawn("setter", move |kernel, _| {
            kernel.ke.set_event(kernel, event, 0).expect("no exception");
        });
        machine.join();
        assert_eq!(header.signal_state().expect("readable"), 1);
    });
}

#[test]
fn a_thread_that_ends_in_a_critical_region_is_a_bugcheck() {
    on_linux(1, |machine| {
        machine.inside(|_, thread| {
            thread.enter_critical_region();
            thread.enter_critical_region();
            thread.leave_critical_region();
            assert!(thread.are_apcs_disabled(0));
            assert!(!thread.are_all_apcs_disabled(0));
        });
        assert_eq!(machine.stop_code(), Some(abi::KERNEL_APC_PENDING_DURING_EXIT));
    });
}

#[test]
fn a_guarded_region_disables_all_apcs_and_so_does_apc_level() {
    on_linux(1, |machine| {
        machine.inside(|kernel, thread| {
            assert!(!thread.are_all_apcs_disabled(abi::PASSIVE_LEVEL));
            assert!(thread.are_all_apcs_disabled(abi::APC_LEVEL));
            thread.enter_guarded_region();
            assert!(thread.are_apcs_disabled(0) && thread.are_all_apcs_disabled(0));
            thread.leave_guarded_region(kernel);
        });
        assert_eq!(machine.stop_code(), None);
    });
}

#[test]
fn a_priority_is_remembered_and_kept_in_its_range() {
    on_linux(1, |machine| {
        machine.inside(|_, thread| {
            assert_eq!([thread.set_priority(16), thread.set_priority(99)], [8, 16]);
            assert_eq!(thread.priority(), 31);
        });
    });
}

#[test]
fn a_thread_gives_its_object_back() {
    on_linux(1, |machine| {
        let before = machine.mm.pool.usage();
        for _ in 0..3 {
            drop(machine.spawn("short", |_, _| {}));
        }
        machine.join();
        assert_eq!(machine.mm.pool.usage(), before);
    });
}

#[test]
fn a_request_that_leaves_its_irql_raised_is_a_bugcheck_and_keeps_no_processor() {
    on_linux(1, |machine| {
        let halted = machine.inside(|kernel, thread| {
            kernel.ke.leave_system_service(kernel, thread, 0x1000).expect("nothing left behind");
            kernel.ke.raise_irql(kernel, abi::DISPATCH_LEVEL);
            is_halt(&kernel.ke.leave_system_service(kernel, thread, 0x1000))
        });
        assert!(halted);
        assert_eq!(machine.stop_code(), Some(abi::IRQL_GT_ZERO_AT_SYSTEM_SERVICE));
        assert!(machine.ke.processors.try_acquire(0));
    });
}

#[test]
fn a_request_that_leaves_apcs_disabled_is_a_bugcheck() {
    on_linux(1, |machine| {
        let halted = machine.inside(|kernel, thread| {
            thread.enter_critical_region();
            let halted = is_halt(&kernel.ke.leave_system_service(kernel, thread, 0x1000));
            thread.leave_critical_region();
            halted
        });
        assert!(halted);
        assert_eq!(machine.stop_code(), Some(abi::APC_INDEX_MISMATCH));
        assert_eq!(machine.bugcheck().expect("stopped").stop.parameters, [0x1000, 0, 0xFFFF, 0]);
    });
}
