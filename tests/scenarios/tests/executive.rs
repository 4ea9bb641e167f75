//! Run-down protection and callback objects, as executive.sys uses them.

use ringbridge_scenarios::{machine_with, open, run_case, unload_cleanly};

const RUNDOWN: u32 = 0;
const CALLBACK: u32 = 1;
const MODE: u32 = 3;
const SPIN_LOCK: u32 = 4;
const CASES: &str = r"\\.\RbExecutive";
const DISPATCH_LEVEL: u64 = 2;

fn values(case: u32) -> Vec<u64> {
    let machine = machine_with("executive");
    let process = machine.process("caller");
    let device = open(&process, CASES);
    let values = run_case(&device, case, &[]).expect("answers").values;
    device.close().expect("closes");
    unload_cleanly(&machine, "executive");
    values
}

#[test]
fn a_thread_waits_for_the_users_of_an_object_and_no_more_are_let_in() {
    assert_eq!(values(RUNDOWN), [1, 1, 1, 0, 1, 0, 1]);
}

#[test]
fn a_callback_object_is_found_by_name_and_calls_its_routine_at_the_notifiers_irql() {
    let missing = u64::from(abi::STATUS_OBJECT_NAME_NOT_FOUND.bits());
    let values = values(CALLBACK);
    assert_eq!(values[..5], [missing, 0, 0, 1, 1]);
    assert_eq!(values[5..9], [1, 1112, DISPATCH_LEVEL, 1]);
    assert_eq!(values[9..], [0, missing]);
}

#[test]
fn the_previous_mode_is_the_applications_unless_kernel_code_made_the_call() {
    let (user, kernel) = (1, 0);
    assert_eq!(values(MODE), [user, kernel, user, kernel]);
}

#[test]
fn a_reader_writer_spin_lock_is_held_at_dispatch_level_and_may_become_exclusive() {
    assert_eq!(values(SPIN_LOCK), [0, DISPATCH_LEVEL, 1, 0]);
}
