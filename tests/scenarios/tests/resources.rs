//! Resources (`ERESOURCE`) as a driver uses them, and exports called above their IRQL. `resources.sys`.

use host::Event;
use ringbridge_scenarios::{Watch, failure, machine_with, open, run_case, unload_cleanly};

const CASES: &str = r"\\.\RbResources";
const ALONE: u32 = 0;
const WAITER: u32 = 1;
const REGIONS: u32 = 2;
const OWNER_POINTER: u32 = 3;
const NOT_OWNED: u32 = 4;
const ABOVE_ITS_IRQL: u32 = 5;

fn values(case: u32) -> Vec<u64> {
    let machine = machine_with("resources");
    let process = machine.process("caller");
    let device = open(&process, CASES);
    let answer = run_case(&device, case, &[]).expect("answers");
    device.close().expect("closes");
    unload_cleanly(&machine, "resources");
    answer.values
}

#[test]
fn exclusive_access_is_recursive_keeps_others_out_and_can_be_converted_to_shared() {
    let values = values(ALONE);
    assert_eq!(values[..2], [0, 0], "nobody owns it");
    assert_eq!(values[2..5], [1, 1, 1], "its owner gets it again, also shared");
    assert_eq!(values[5..7], [1, 3]);
    assert_eq!(values[7..10], [0, 0, 0], "another thread gets it in no way");
    assert_eq!(values[10..12], [0, 1], "shared now");
    assert_eq!(values[12..14], [1, 0], "shared with others");
    assert_eq!(values[14..16], [0, 0]);
    assert_eq!(values[16..], [1, 0], "free; deleted");
}

#[test]
fn a_thread_that_waits_for_exclusive_access_goes_before_new_sharers_but_not_before_those_who_share() {
    let values = values(WAITER);
    assert_eq!(values[0], 1, "one waits");
    assert_eq!(values[1..4], [0, 1, 0], "only a request that may starve it goes before it");
    assert_eq!(values[4..6], [1, 0], "an owner shares again, unless it asks to let waiters go first");
    assert_eq!(values[6..], [0, 1, 0], "it gets the resource with the last release");
}

#[test]
fn the_critical_region_forms_disable_normal_apcs_as_long_as_the_resource_is_owned() {
    assert_eq!(values(REGIONS), [0, 1, 1, 0, 0, 0, 1]);
}

#[test]
fn a_resource_that_an_owner_pointer_owns_is_released_by_any_thread() {
    assert_eq!(values(OWNER_POINTER), [0, 0, 0, 1]);
}

#[test]
fn releasing_a_resource_that_is_not_owned_stops_the_machine() {
    let machine = machine_with("resources");
    let process = machine.process("victim");
    let device = open(&process, CASES);
    assert_eq!(failure(run_case(&device, NOT_OWNED, &[])), abi::STATUS_DEVICE_NOT_CONNECTED);
    let stop = machine.bugcheck().expect("the machine stopped").bugcheck.stop;
    assert_eq!(stop.code, abi::RESOURCE_NOT_OWNED);
}

#[test]
fn a_call_above_the_exports_irql_is_told_to_whoever_watches_and_goes_on() {
    let machine = machine_with("resources");
    let watch = Watch::on(&machine);
    let process = machine.process("caller");
    let device = open(&process, CASES);
    let answer = run_case(&device, ABOVE_ITS_IRQL, &[]).expect("answers");
    assert_eq!(answer.values, [1, 1]);
    let violations: Vec<_> = watch
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::IrqlViolation { export, irql, highest } => Some((export, irql, highest)),
            _ => None,
        })
        .collect();
    assert_eq!(violations, [("RtlEqualUnicodeString", abi::DISPATCH_LEVEL, abi::PASSIVE_LEVEL)]);
}
