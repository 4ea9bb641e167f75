//! Routines that a driver finds by name at run time. `routines.sys`.

use ringbridge_scenarios::{machine_with, open, run_case};

#[test]
fn a_routine_found_by_name_is_the_one_that_is_imported_and_what_is_not_implemented_is_not_found() {
    const BY_NAME: u32 = 0;
    let machine = machine_with("routines");
    let process = machine.process("asker");
    let device = open(&process, r"\\.\RbRoutines");
    let answer = run_case(&device, BY_NAME, &[]).expect("answers");
    assert_eq!(answer.values[..4], [1, 1, 1, u64::from(abi::PASSIVE_LEVEL)]);
    assert_eq!(answer.values[4..7], [1, 1, 1], "NULL");
    assert_eq!(answer.values[7..], [1, 1], "variables are found as well");
}
