//! IRPs that a driver makes, as irps.sys does.

use abi::NTSTATUS;
use host::{Event, Machine, UnloadOutcome};
use ringbridge_scenarios::{Watch, failure, machine_with, open, run_case, unload_cleanly};

const OWN: u32 = 0;
const ASSOCIATED: u32 = 1;
const CONTROL: u32 = 2;
const SYNCHRONOUS: u32 = 3;
const ASYNCHRONOUS: u32 = 4;
const UNBUILDABLE: u32 = 5;
const NOT_KEPT: u32 = 6;
const FREE_THREADED: u32 = 7;
const LEAK: u32 = 8;
const COMPLETE_LATER: u32 = 9;
const FREE_TWICE: u32 = 10;
const DIRECT: u32 = 11;
const HELD_UP: u32 = 12;
const MARK_OWN: u32 = 13;

const CASES: &str = r"\\.\RbIrps";
const IO_SOUND_INCREMENT: u8 = 8;

fn values(case: u32, inputs: &[u64]) -> (u32, Vec<u64>) {
    let machine = machine_with("irps");
    let process = machine.process("caller");
    let device = open(&process, CASES);
    let answer = run_case(&device, case, inputs).expect("answers");
    device.close().expect("closes");
    unload_cleanly(&machine, "irps");
    (answer.status, answer.values)
}

fn stop_of(case: u32) -> (u32, [u64; 4]) {
    let machine = machine_with("irps");
    let process = machine.process("victim");
    let device = open(&process, CASES);
    assert_eq!(failure(run_case(&device, case, &[])), abi::STATUS_DEVICE_NOT_CONNECTED);
    stop(&machine)
}

fn stop(machine: &Machine) -> (u32, [u64; 4]) {
    let report = machine.bugcheck().expect("the machine stopped");
    (report.bugcheck.stop.code, report.bugcheck.stop.parameters)
}

fn bits(status: NTSTATUS) -> u64 {
    u64::from(status.bits())
}

#[test]
fn a_drivers_own_irp_is_kept_by_its_completion_routine_reused_and_freed() {
    let (_, values) = values(OWN, &[]);
    assert_eq!(values[..3], [1, 1, 2], "type and size, StackCount, CurrentLocation");
    assert_eq!(values[3..7], [0, 1, 7, 1]);
    assert_eq!(values[7..11], [0, 2, 7, 1]);
    assert_eq!(values[11..], [4, 1], "IoInitializeIrp");
}

#[test]
fn a_master_irp_is_completed_with_the_last_of_its_associated_irps() {
    for count in [1, 2, 8] {
        let (status, values) = values(ASSOCIATED, &[count]);
        assert_eq!(NTSTATUS::from_bits(status), abi::STATUS_PENDING);
        let mut expected: Vec<u64> = (1..=count).map(|part| u64::from(part == count)).collect();
        expected.push(42);
        assert_eq!(values, expected);
    }
}

#[test]
fn a_control_request_answered_at_once_sets_event_and_status_block_and_copies_what_information_says() {
    assert_eq!(values(CONTROL, &[0]).1, [0, 1, 0, 4, 0x5A, 0]);
}

#[test]
fn a_pended_control_request_ends_through_event_and_status_block() {
    assert_eq!(values(CONTROL, &[1]).1, [bits(abi::STATUS_PENDING), 1, 0, 4, 0x5A, 0]);
}

#[test]
fn a_control_request_refused_at_once_leaves_event_status_block_and_buffer_alone() {
    let refused = bits(abi::STATUS_UNSUCCESSFUL);
    assert_eq!(values(CONTROL, &[2]).1, [refused, 0, 0x1234, 99, 0, 0]);
}

#[test]
fn a_pended_control_request_that_fails_tells_its_status_but_copies_nothing() {
    let refused = bits(abi::STATUS_UNSUCCESSFUL);
    assert_eq!(values(CONTROL, &[3]).1, [bits(abi::STATUS_PENDING), 1, refused, 4, 0, 0]);
}

#[test]
fn a_request_does_not_end_for_its_thread_while_apc_level_or_a_guarded_region_holds_special_apcs_up() {
    let timed_out = bits(abi::STATUS_TIMEOUT);
    for way in [0, 1] {
        assert_eq!(values(HELD_UP, &[way]).1, [timed_out, 0, 0x1234, 1, 0], "{way}");
    }
    assert_eq!(values(HELD_UP, &[2]).1, [0, 1, 0, 1, 0], "a critical region holds up normal APCs only");
}

#[test]
fn the_priority_boost_of_a_completion_is_in_the_trace() {
    let machine = machine_with("irps");
    let watch = Watch::on(&machine);
    let process = machine.process("listener");
    let device = open(&process, CASES);
    run_case(&device, CONTROL, &[0]).expect("answers");
    let boosted = |event: &Event| matches!(event, Event::IrpCompleted { boost: IO_SOUND_INCREMENT, .. });
    assert_eq!(watch.events().iter().filter(|event| boosted(event)).count(), 1);
}

#[test]
fn synchronous_transfers_use_a_system_buffer_an_mdl_or_the_callers_buffer_as_the_device_says() {
    let buffered = u64::from(abi::DO_BUFFERED_IO);
    let direct = u64::from(abi::DO_DIRECT_IO);
    for (flags, own_buffer, locked) in [(buffered, 0, 0), (direct, 1, 1), (0, 1, 0)] {
        let (_, values) = values(SYNCHRONOUS, &[flags]);
        assert_eq!(values[..6], [0, 10, 30, own_buffer, locked, 1], "a write");
        assert_eq!(values[6..12], [0, 10, 0, own_buffer, locked, 1], "a read");
        assert_eq!(values[12], 9, "the last byte that was read");
        assert_eq!(values[13], u64::from(abi::IRP_MJ_FLUSH_BUFFERS));
    }
}

#[test]
fn an_asynchronous_request_its_system_buffer_and_its_mdl_are_the_drivers_to_free() {
    assert_eq!(values(ASYNCHRONOUS, &[u64::from(abi::DO_BUFFERED_IO)]), (0, vec![1, 0, 10]));
    assert_eq!(values(ASYNCHRONOUS, &[u64::from(abi::DO_DIRECT_IO)]), (0, vec![0, 0, 10]));
}

#[test]
fn a_direct_control_request_describes_its_second_buffer_by_an_mdl_for_reading_or_writing() {
    let (_, values) = values(DIRECT, &[]);
    assert_eq!(values[..5], [0, 10, 30, 1, 1], "METHOD_IN_DIRECT");
    assert_eq!(values[5..10], [0, 10, 0, 1, 11], "METHOD_OUT_DIRECT");
    assert_eq!(values[10], 16, "the last byte that was written");
}

#[test]
fn requests_whose_buffer_cannot_be_locked_or_with_too_many_locations_are_null() {
    assert_eq!(values(UNBUILDABLE, &[]).1, [1, 1, 1]);
}

#[test]
fn a_request_that_a_completion_routine_keeps_ends_when_it_is_completed_again() {
    assert_eq!(values(COMPLETE_LATER, &[]).1, [1, 0, 1, 1, 7]);
}

#[test]
fn an_own_irp_that_no_completion_routine_keeps_stops_the_machine() {
    let machine = machine_with("irps");
    let watch = Watch::on(&machine);
    let process = machine.process("victim");
    let device = open(&process, CASES);
    assert_eq!(failure(run_case(&device, NOT_KEPT, &[])), abi::STATUS_DEVICE_NOT_CONNECTED);
    assert_eq!(stop(&machine).0, abi::IRQL_NOT_LESS_OR_EQUAL);
    let told = |event: &Event| matches!(event, Event::IrpNotKept { driver, .. } if driver == "irps");
    assert_eq!(watch.events().iter().filter(|event| told(event)).count(), 1);
}

#[test]
fn freeing_a_request_that_is_its_threads_stops_the_machine() {
    let (code, parameters) = stop_of(FREE_THREADED);
    assert_eq!((code, parameters[0]), (abi::DRIVER_VERIFIER_IOMANAGER_VIOLATION, 2));
}

#[test]
fn freeing_an_irp_twice_stops_the_machine() {
    assert_eq!(stop_of(FREE_TWICE).0, abi::BAD_POOL_CALLER);
}

#[test]
fn an_own_irp_that_is_marked_pending_in_its_completion_routine_was_written_behind_its_last_location() {
    let (code, [what, irp, ..]) = stop_of(MARK_OWN);
    assert_eq!((code, what), (abi::BAD_POOL_HEADER, 0x20));
    assert_ne!(irp, 0, "its address");
}

#[test]
fn an_irp_that_was_not_freed_is_in_the_unload_report() {
    let machine = machine_with("irps");
    let process = machine.process("leaker");
    let device = open(&process, CASES);
    run_case(&device, LEAK, &[]).expect("answers");
    device.close().expect("closes");
    let UnloadOutcome::Unloaded(report) = machine.unload("irps").expect("unloads") else {
        panic!("no file is open");
    };
    let tags: Vec<_> = report.pool.iter().map(|(tag, usage)| (tag.to_le_bytes(), usage.blocks)).collect();
    assert_eq!(tags, [(*b"Irp ", 1)]);
}
