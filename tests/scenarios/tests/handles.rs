//! Handles, references and names, as handles.sys uses them, and duplication by applications.

use app::Device;
use host::{Handle, LoadOptions, Transport};
use ringbridge_scenarios::{
    application, case_code, failure, machine_with, open, run_application, run_case, sys_path,
};

const REFERENCE: u32 = 0;
const DUPLICATE: u32 = 1;
const CLOSE_KERNEL: u32 = 2;
const NAMES: u32 = 3;
const FILES: u32 = 4;

const CASES: &str = r"\\.\RbHandles";

fn bits(status: abi::NTSTATUS) -> u64 {
    u64::from(status.bits())
}

fn values(case: u32) -> Vec<u64> {
    let machine = machine_with("handles");
    let process = machine.process("caller");
    let device = open(&process, CASES);
    let handle = u64::from(device.handle().0);
    let values = run_case(&device, case, &[handle]).expect("answers").values;
    device.close().expect("closes");
    assert_eq!(process.open_handles(), 0);
    values
}

#[test]
fn a_reference_by_handle_checks_type_and_for_applications_access_and_kernel_handles() {
    let values = values(REFERENCE);
    assert_eq!(values[..2], [0, 1]);
    assert_eq!(values[2], bits(abi::STATUS_OBJECT_TYPE_MISMATCH));
    assert_eq!(values[3], bits(abi::STATUS_ACCESS_DENIED));
    assert_eq!(values[4], 0, "kernel mode may all");
    assert_eq!(values[5..7], [bits(abi::STATUS_INVALID_HANDLE), 1], "and the object is NULL");
    assert_eq!(values[7], bits(abi::STATUS_INVALID_HANDLE), "NULL");
    assert_eq!(values[8..10], [0, 1], "kernel handles have their upper bits set");
    assert_eq!(values[10..13], [bits(abi::STATUS_INVALID_HANDLE), 0, 1]);
    assert_eq!(values[13..], [0, bits(abi::STATUS_HANDLE_NOT_CLOSABLE)]);
}

#[test]
fn a_duplicate_has_the_same_access_or_less_and_can_take_the_place_of_its_source() {
    assert_eq!(values(DUPLICATE), [0, 1, 0, bits(abi::STATUS_ACCESS_DENIED), 0, 1, 0]);
}

#[test]
fn closing_a_kernel_handle_that_is_none_stops_the_machine() {
    let machine = machine_with("handles");
    let process = machine.process("victim");
    let device = open(&process, CASES);
    assert_eq!(failure(run_case(&device, CLOSE_KERNEL, &[])), abi::STATUS_DEVICE_NOT_CONNECTED);
    let stop = machine.bugcheck().expect("the machine stopped").bugcheck.stop;
    assert_eq!(stop.code, abi::INVALID_KERNEL_HANDLE);
    assert_eq!(stop.parameters[..2], [0xFFFF_FFFF_8000_7770, 1]);
}

#[test]
fn temporary_names_go_with_the_last_handle_and_events_are_found_by_name() {
    let gone = bits(abi::STATUS_OBJECT_NAME_NOT_FOUND);
    let taken = bits(abi::STATUS_OBJECT_NAME_COLLISION);
    let small = bits(abi::STATUS_BUFFER_TOO_SMALL);
    assert_eq!(values(NAMES), [0, 0, small, 0, 1, 0, 0, 0, taken, gone, gone, 1]);
}

#[test]
fn a_driver_opens_reads_and_controls_the_device_of_another() {
    let machine = machine_with("handles");
    machine.load(&sys_path("hello"), LoadOptions::default()).expect("the driver loads");
    let process = machine.process("caller");
    let values = run_case(&open(&process, CASES), FILES, &[]).expect("answers").values;
    assert_eq!(values[..5], [0, 0, 10, 0x68, 0]);
    assert_eq!(values[5..], [0, 5, u64::from(b'o'), 0, bits(abi::STATUS_OBJECT_NAME_NOT_FOUND)]);
}

const LIFE: &str = r"\\.\RbLife";
const EVENT_SIZE: usize = 304;

/// Major function and process of each request that life.sys has got.
fn life_events(device: &Device<'_>) -> Vec<(u8, u32)> {
    let mut events = vec![0; EVENT_SIZE * 64];
    let length = device.control(case_code(0), &[], &mut events).expect("answers") as usize;
    let event = |bytes: &[u8]| (bytes[0], u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes")));
    events[..length].chunks_exact(EVENT_SIZE).map(event).collect()
}

#[test]
fn cleanup_comes_when_the_last_handle_of_any_process_is_closed_in_the_process_that_closes_it() {
    let machine = machine_with("life");
    let (first, second) = (machine.process("first"), machine.process("second"));
    let device = open(&first, LIFE);
    let watcher = open(&first, LIFE);
    watcher.control(case_code(2), &[], &mut []).expect("forgets");
    let copy = device.try_clone().expect("is duplicated");
    let there =
        first.duplicate_into(copy.handle(), &second, 0, abi::DUPLICATE_SAME_ACCESS).expect("is duplicated");
    copy.close().expect("closes");
    device.close().expect("closes");
    let ended = |events: Vec<(u8, u32)>| {
        let of_end = |event: &(u8, u32)| matches!(event.0, abi::IRP_MJ_CLEANUP | abi::IRP_MJ_CLOSE);
        events.into_iter().filter(of_end).collect::<Vec<_>>()
    };
    assert_eq!(ended(life_events(&watcher)), [], "a handle is open");
    assert_eq!(Transport::close(&second, there), abi::STATUS_SUCCESS);
    let process = second.id();
    assert_eq!(ended(life_events(&watcher)), [(abi::IRP_MJ_CLEANUP, process), (abi::IRP_MJ_CLOSE, process)]);
}

#[test]
fn a_duplicate_in_two_processes() {
    if let Some(client) = application() {
        let device = open(&client, CASES);
        let copy = device.try_clone().expect("is duplicated");
        device.close().expect("closes");
        run_case(&copy, NAMES, &[]).expect("the duplicate is open");
        let more = client.duplicate_handle(copy.handle(), abi::WRITE_DAC, 0);
        assert_eq!(more, Err(abi::STATUS_ACCESS_DENIED));
        let none = client.duplicate_handle(Handle(0x7770), 0, abi::DUPLICATE_SAME_ACCESS);
        assert_eq!(none, Err(abi::STATUS_INVALID_HANDLE));
        return;
    }
    let machine = machine_with("handles");
    let folder = std::env::temp_dir().join(format!("ringbridge-handles-{}", std::process::id()));
    let server = machine.serve(&folder).expect("serves");
    run_application("a_duplicate_in_two_processes", &folder);
    server.stop();
}
