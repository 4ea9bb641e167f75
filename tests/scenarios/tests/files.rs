//! Requests of drivers on files by handle, as files.sys makes them.

use host::{Event, Machine, Parameter};
use ringbridge_scenarios::{Watch, machine_with, open, run_case};

const PENDED: u32 = 0;
const NO_OFFSET: u32 = 1;
const FLUSH: u32 = 2;
const DIRECT: u32 = 3;
const METHODS: u32 = 4;
const ARM: u32 = 5;
const ARMED: u32 = 6;
const LEAVE: u32 = 7;
const LEFT: u32 = 8;
const APC: u32 = 9;
const INFORMATION: u32 = 10;
const ALL: u32 = 11;
const RELATIVE: u32 = 12;
const CREATE: u32 = 13;
const PARAMETERS: u32 = 14;
const RAISE: u32 = 15;
const AS_PENDING: u32 = 16;

const CASES: &str = r"\\.\RbFiles";
const UNTOUCHED: u64 = 0x1234;
const PENDING: u64 = bits(abi::STATUS_PENDING);
const TIMEOUT: u64 = bits(abi::STATUS_TIMEOUT);
const REFUSED: u64 = bits(abi::STATUS_UNSUCCESSFUL);
const FLUSH_BUFFERS: u64 = 9;

const fn bits(status: abi::NTSTATUS) -> u64 {
    status.bits() as u64
}

fn values_in(machine: &Machine, case: u32, inputs: &[u64]) -> Vec<u64> {
    let process = machine.process("caller");
    let device = open(&process, CASES);
    let answer = run_case(&device, case, inputs).expect("answers");
    device.close().expect("closes");
    assert_eq!(answer.status, 0);
    answer.values
}

fn values(case: u32, inputs: &[u64]) -> Vec<u64> {
    values_in(&machine_with("files"), case, inputs)
}

#[test]
fn a_pended_request_on_an_asynchronous_file_signals_the_file_in_the_end() {
    for (way, first_byte) in [(0, 0x5A), (1, 0), (2, 0x5A)] {
        let expected = [PENDING, UNTOUCHED, TIMEOUT, 0, 0, 4, first_byte, 0];
        assert_eq!(values(PENDED, &[way, 0]), expected, "{way}");
    }
}

#[test]
fn a_pended_request_with_an_event_signals_that_and_not_the_file() {
    for (way, first_byte) in [(0, 0x5A), (1, 0), (2, 0x5A)] {
        let expected = [PENDING, UNTOUCHED, TIMEOUT, 0, 0, 4, first_byte, TIMEOUT];
        assert_eq!(values(PENDED, &[way, 1]), expected, "{way}");
    }
}

#[test]
fn a_file_that_keeps_no_position_needs_an_offset_and_can_be_waited_for_after_a_refusal() {
    let invalid = bits(abi::STATUS_INVALID_PARAMETER);
    assert_eq!(values(NO_OFFSET, &[]), [invalid, invalid, invalid, 0, 0]);
}

#[test]
fn flushing_waits_for_the_end_on_every_file_and_tells_its_status() {
    assert_eq!(values(FLUSH, &[0]), [0, FLUSH_BUFFERS, 0, 4], "asynchronous");
    assert_eq!(values(FLUSH, &[1]), [0, FLUSH_BUFFERS, 0, 4], "synchronous");
    assert_eq!(values(FLUSH, &[2]), [REFUSED, FLUSH_BUFFERS, UNTOUCHED, 99], "refused at once");
    assert_eq!(values(FLUSH, &[3]), [REFUSED, FLUSH_BUFFERS, REFUSED, 4], "pended and refused");
}

#[test]
fn direct_devices_get_an_mdl_of_the_drivers_own_pages_locked_for_what_they_do() {
    assert_eq!(values(DIRECT, &[]), [0, 10, 30, 1, 1, 1, 0, 10, 0, 1, 11, 1, 9]);
}

#[test]
fn every_method_carries_a_drivers_buffers_as_it_says() {
    let values = values(METHODS, &[]);
    assert_eq!(values[..6], [0, 10, 0, 0, 10, 10], "METHOD_BUFFERED: a system buffer for both");
    assert_eq!(values[6..12], [0, 10, 0, 1, 1010, 100], "METHOD_IN_DIRECT: the second buffer is read");
    assert_eq!(values[12..18], [0, 10, 0, 1, 10, 10], "METHOD_OUT_DIRECT: the second buffer is written");
    assert_eq!(values[18..], [0, 10, 1, 1, 10, 10], "METHOD_NEITHER: both are the caller's");
}

#[test]
fn an_apc_routine_runs_in_the_thread_that_waits_alertably_or_not_and_does_not_end_its_wait() {
    for system_thread in [0, 1] {
        for alertable in [0, 1] {
            let values = values(APC, &[alertable, system_thread]);
            assert_eq!(values, [PENDING, 0, 1, 1, 1, 0, 0], "{alertable} {system_thread}");
        }
    }
}

#[test]
fn critical_regions_and_apc_level_hold_an_apc_routine_up_until_they_are_left() {
    assert_eq!(values(APC, &[2, 0]), [PENDING, 0, 0, 1, 1, 0, 0], "a critical region");
    assert_eq!(values(APC, &[3, 1]), [PENDING, 0, 0, 1, 1, 0, 0], "APC_LEVEL");
}

#[test]
fn an_apc_routine_runs_for_a_request_answered_at_once_and_not_for_one_refused_at_once() {
    assert_eq!(values(APC, &[4, 1]), [0, 0, 1, 1, 1, 0, 0]);
    assert_eq!(values(APC, &[5, 1]), [REFUSED, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_cleanup_routine_may_send_requests_in_the_context_of_a_process_that_ends() {
    let machine = machine_with("files");
    let process = machine.process("short-lived");
    let device = std::mem::ManuallyDrop::new(open(&process, CASES));
    run_case(&device, ARM, &[]).expect("answers");
    process.end();
    assert_eq!(values_in(&machine, ARMED, &[]), [1, PENDING, 0, 0]);
}

#[test]
fn a_drivers_requests_are_cancelled_when_the_process_that_they_were_made_in_ends() {
    let machine = machine_with("files");
    let process = machine.process("short-lived");
    let device = std::mem::ManuallyDrop::new(open(&process, CASES));
    assert_eq!(run_case(&device, LEAVE, &[]).expect("answers").values, [PENDING]);
    process.end();
    assert_eq!(values_in(&machine, LEFT, &[]), [bits(abi::STATUS_CANCELLED), 0]);
}

/// What a handle opened for GENERIC_READ, GENERIC_WRITE and SYNCHRONIZE is granted.
const GRANTED: u64 = (abi::FILE_GENERIC_READ | abi::FILE_GENERIC_WRITE) as u64;
const QUAD_ALIGNMENT: u64 = 7;

/// What the case notes behind the position.
fn behind_the_position() -> [u64; 7] {
    let invalid = bits(abi::STATUS_INVALID_INFO_CLASS);
    let refused = bits(abi::STATUS_INVALID_PARAMETER);
    [0, 24, 77, refused, bits(abi::STATUS_INFO_LENGTH_MISMATCH), invalid, invalid]
}

#[test]
fn mode_access_alignment_and_a_synchronous_files_position_are_told_without_its_driver() {
    let options = abi::FILE_SYNCHRONOUS_IO_NONALERT;
    let values = values(INFORMATION, &[u64::from(options)]);
    let mode = u64::from(options | abi::FILE_WRITE_THROUGH);
    assert_eq!(values[..7], [mode, QUAD_ALIGNMENT, GRANTED, 0, 0, 40, 0]);
    assert_eq!(values[7..], behind_the_position());
}

#[test]
fn an_asynchronous_files_driver_is_asked_for_its_position_and_every_query_waits_for_the_answer() {
    let values = values(INFORMATION, &[0]);
    let mode = u64::from(abi::FILE_WRITE_THROUGH);
    assert_eq!(values[..7], [mode, QUAD_ALIGNMENT, GRANTED, 0, 0, 123, 2]);
    assert_eq!(values[7..], behind_the_position());
}

#[test]
fn a_query_of_everything_has_the_io_managers_part_and_the_drivers() {
    let sequential = u64::from(abi::FILE_SEQUENTIAL_ONLY);
    let long_alignment = 3;
    assert_eq!(values(ALL, &[]), [0, 1, GRANTED, sequential, long_alignment, 77, 0, 24, 77]);
}

#[test]
fn an_open_relative_to_a_file_goes_to_its_driver_with_that_file_and_the_name_as_it_is() {
    let bytes = |name: &str| 2 * name.len() as u64;
    let whole = bytes(r"\Device\RbFilesInner\part\deep");
    let bad = bits(abi::STATUS_OBJECT_PATH_SYNTAX_BAD);
    let expected = [0, 1, bytes(r"part\deep"), u64::from(b'p'), 1, whole, 0, 0, bad];
    assert_eq!(values(RELATIVE, &[]), expected);
}

#[test]
fn io_create_file_opens_as_zw_create_file_does_and_checks_access_when_it_is_told_to() {
    // The second is a mailslot without its parameters.
    let invalid = bits(abi::STATUS_INVALID_PARAMETER);
    let force_access_check = u64::from(abi::SL_FORCE_ACCESS_CHECK);
    assert_eq!(values(CREATE, &[]), [0, invalid, 0, force_access_check]);
}

#[test]
fn a_driver_finds_its_parameters_by_its_driver_object() {
    let machine = machine_with("files");
    machine.set_parameter("files", "Depth", &Parameter::Dword(7)).expect("a sound name");
    let invalid = [bits(abi::STATUS_INVALID_PARAMETER_4), bits(abi::STATUS_INVALID_PARAMETER_2)];
    let values = values_in(&machine, PARAMETERS, &[]);
    assert_eq!(values[..4], [0, 1, 0, 7]);
    assert_eq!(values[4..], invalid);
}

#[test]
fn a_request_whose_routine_raises_keeps_neither_its_file_nor_its_pages() {
    const RAISED: u64 = 0xC000_0123;
    let synchronous = u64::from(abi::FILE_SYNCHRONOUS_IO_NONALERT);
    for options in [0, synchronous] {
        // Not completed: nobody is told, but everything is let go of.
        assert_eq!(values(RAISE, &[0, options]), [RAISED, UNTOUCHED, TIMEOUT, 0, 1, 1], "{options:#x}");
        // Completed before: it has ended as it would have without the exception.
        assert_eq!(values(RAISE, &[1, options]), [RAISED, 0, 0, 0, 1, 1], "{options:#x}");
        assert_eq!(values(RAISE, &[2, options]), [RAISED, UNTOUCHED, TIMEOUT, 0, 1, 1], "{options:#x}");
    }
}

#[test]
fn an_irp_that_is_completed_with_status_pending_is_reported() {
    let machine = machine_with("files");
    let watch = Watch::on(&machine);
    values_in(&machine, RAISE, &[1, 0]);
    let reported = |watch: &Watch| {
        let of_files = |event: &Event| matches!(event, Event::IrpCompletedAsPending { driver, .. } if driver == r"\Driver\files");
        watch.events().iter().filter(|event| of_files(event)).count()
    };
    assert_eq!(reported(&watch), 0);
    assert_eq!(values_in(&machine, AS_PENDING, &[]), [PENDING, 0]);
    assert_eq!(reported(&watch), 1);
}
