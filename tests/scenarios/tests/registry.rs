//! The registry, as registry.sys uses it.

use host::{LoadOptions, Machine, Parameter};
use ringbridge_scenarios::{machine_with, open, run_case, sys_path};

const KEYS: u32 = 0;
const TABLES: u32 = 1;
const PARAMETER: u32 = 2;

const CASES: &str = r"\\.\RbRegistry";

fn bits(status: abi::NTSTATUS) -> u64 {
    u64::from(status.bits())
}

fn values(machine: &Machine, case: u32) -> Vec<u64> {
    let process = machine.process("caller");
    run_case(&open(&process, CASES), case, &[]).expect("answers").values
}

#[test]
fn keys_are_made_once_and_values_come_as_far_as_the_buffer_reaches() {
    let machine = machine_with("registry");
    let values = values(&machine, KEYS);
    let made = u64::from(abi::REG_CREATED_NEW_KEY);
    let opened = u64::from(abi::REG_OPENED_EXISTING_KEY);
    assert_eq!(values[..6], [0, bits(abi::STATUS_OBJECT_NAME_NOT_FOUND), 0, made, 0, opened]);
    assert_eq!(values[6..8], [bits(abi::STATUS_ACCESS_DENIED), 0], "KEY_READ sets no values");
    assert_eq!(values[8..10], [bits(abi::STATUS_BUFFER_TOO_SMALL), 16], "12 bytes are fixed");
    assert_eq!(values[10..13], [bits(abi::STATUS_BUFFER_OVERFLOW), 0, 77]);
    assert_eq!(values[13], bits(abi::STATUS_NO_MORE_ENTRIES));
    assert_eq!(values[14..], [bits(abi::STATUS_CANNOT_DELETE), 0, bits(abi::STATUS_KEY_DELETED)]);
}

#[test]
fn a_table_of_values_gets_defaults_strings_one_by_one_and_statuses() {
    let machine = machine_with("registry");
    let path = r"\SystemRoot\System32\drivers\registry.sys".len() as u64 * 2;
    assert_eq!(
        values(&machine, TABLES),
        [
            10_104, // REG_SZ "a"
            10_106, // REG_SZ "bc"
            20_712, // REG_MULTI_SZ as it stands
            30_404, // REG_DWORD of the top key
            0,
            3, // SERVICE_DEMAND_START
            5,
            path,
            bits(abi::STATUS_OBJECT_NAME_NOT_FOUND),
            bits(abi::STATUS_OBJECT_TYPE_MISMATCH),
            bits(abi::STATUS_OBJECT_NAME_NOT_FOUND),
        ]
    );
}

#[test]
fn a_driver_reads_the_parameters_that_its_service_was_given() {
    let machine = Machine::new().expect("a machine");
    machine.set_parameter("registry", "Depth", &Parameter::Dword(12)).expect("a sound name");
    machine.load(&sys_path("registry"), LoadOptions::default()).expect("the driver loads");
    assert_eq!(values(&machine, PARAMETER), [0, 12]);
}

#[test]
fn a_parameter_that_was_not_given_is_not_found() {
    let machine = machine_with("registry");
    assert_eq!(values(&machine, PARAMETER), [bits(abi::STATUS_OBJECT_NAME_NOT_FOUND), 0]);
}
