//! Device stacks, as the driver stacks.sys makes them.

use app::ControlCode;
use host::{Event, LoadOptions, UnloadOutcome};
use ringbridge_scenarios::{
    CaseResult, Form, HELLO, Watch, failure, machine_with, open, run_case, sys_path, unload_cleanly,
};

const ATTACH: u32 = 0;
const TRAVEL: u32 = 1;
const MAKE_BASE: u32 = 2;
const REMOVE_BASE: u32 = 3;
const FILTER: u32 = 4;
const REMOVE_FILTER: u32 = 5;
const DELETE_BELOW: u32 = 6;
const POINTER: u32 = 7;
const DEREFERENCE_RAISED: u32 = 8;
const PENDING: u32 = 9;
const AFTER_CLEANUP: u32 = 10;

const NAMED_BASE: u64 = 0;
const NAMED_HELLO: u64 = 1;
const NAMED_NOTHING: u64 = 2;

const CASES: &str = r"\\.\RbStacks";
const BASE: &str = r"\\.\RbBase";
/// Any control code: the bottom of the stack answers all of them.
const COUNT: ControlCode = ControlCode(0x0022_2FFC);

fn status(bits: u64) -> abi::NTSTATUS {
    abi::NTSTATUS::from_bits(u32::try_from(bits).expect("a status"))
}

#[test]
fn attaching_goes_to_the_top_and_gives_one_stack_location_more_and_the_alignment_below() {
    let machine = machine_with("stacks");
    let process = machine.process("attacher");
    let device = open(&process, CASES);
    let CaseResult { values, .. } = run_case(&device, ATTACH, &[]).expect("answers");
    let alignment = u64::from(abi::FILE_QUAD_ALIGNMENT);
    assert_eq!(values, [1, 0, 1, 1, 2, 3, alignment, 1, 1, 1, 1, 1, 1, 1]);
    device.close().expect("closes");
    unload_cleanly(&machine, "stacks");
}

#[test]
fn a_request_goes_down_the_stack_and_its_completion_routines_run_from_the_bottom_up_with_their_own_device() {
    let machine = machine_with("stacks");
    let watch = Watch::on(&machine);
    let process = machine.process("sender");
    let device = open(&process, CASES);
    let answer = run_case(&device, TRAVEL, &[]).expect("answers");
    assert_eq!((answer.status, answer.values), (0, vec![3, 2, 1, 102, 103]));
    let boosts: Vec<u8> = watch
        .events()
        .iter()
        .filter_map(|event| if let Event::IrpCompleted { boost, .. } = event { Some(*boost) } else { None })
        .collect();
    assert!(!boosts.is_empty() && boosts.iter().all(|boost| *boost == 0), "IO_NO_INCREMENT: {boosts:?}");
}

#[test]
fn a_filter_attached_above_an_open_file_gets_the_files_next_request() {
    let machine = machine_with("stacks");
    let process = machine.process("filtered");
    let cases = open(&process, CASES);
    run_case(&cases, MAKE_BASE, &[]).expect("answers");
    let base = open(&process, BASE);
    let mut count = [0; 8];
    base.control(COUNT, &[], &mut count).expect("controls");
    assert_eq!(u64::from_le_bytes(count), 1);
    assert_eq!(run_case(&cases, FILTER, &[NAMED_BASE]).expect("answers").status, 0);
    base.control(COUNT, &[], &mut count).expect("controls");
    base.control(COUNT, &[], &mut count).expect("controls");
    assert_eq!(u64::from_le_bytes(count), 3, "the filter passes requests on");
    let filtered = run_case(&cases, REMOVE_FILTER, &[]).expect("answers").values;
    assert_eq!(filtered, [2, 0], "two requests; IoAttachDevice opens nothing");
    base.control(COUNT, &[], &mut count).expect("controls");
    assert_eq!(u64::from_le_bytes(count), 4);
    base.close().expect("closes");
    assert_eq!(run_case(&cases, REMOVE_BASE, &[]).expect("answers").values, [1, 1, 1]);
    cases.close().expect("closes");
    unload_cleanly(&machine, "stacks");
}

#[test]
fn attaching_to_a_name_that_is_not_there_fails() {
    let machine = machine_with("stacks");
    let process = machine.process("attacher");
    let cases = open(&process, CASES);
    let answer = run_case(&cases, FILTER, &[NAMED_NOTHING]).expect("answers");
    assert_eq!(answer.status, abi::STATUS_OBJECT_NAME_NOT_FOUND.bits());
}

#[test]
fn a_driver_is_not_unloaded_while_anothers_device_is_attached_to_its_device() {
    let machine = HELLO.machine(Form::Sys);
    machine.load(&sys_path("stacks"), LoadOptions::default()).expect("loads");
    let process = machine.process("attacher");
    let cases = open(&process, CASES);
    assert_eq!(run_case(&cases, FILTER, &[NAMED_HELLO]).expect("answers").status, 0);
    assert_eq!(machine.unload("hello").expect("is asked"), UnloadOutcome::Pending { files: 1 });
    assert_eq!(machine.drivers().len(), 2);
    run_case(&cases, REMOVE_FILTER, &[]).expect("answers");
    assert_eq!(machine.drivers().len(), 1, "it went with the attachment");
}

#[test]
fn a_device_deleted_below_another_stays_until_that_is_detached_and_nothing_can_be_attached_to_it() {
    let machine = machine_with("stacks");
    let process = machine.process("deleter");
    let cases = open(&process, CASES);
    let CaseResult { values, .. } = run_case(&cases, DELETE_BELOW, &[]).expect("answers");
    assert_eq!(values[..5], [1, 1, 1, 1, 1]);
    assert_eq!(values[5..8], [0, 0, 0], "nobody opened it");
    assert_eq!((values[8], status(values[9]), values[10]), (1, abi::STATUS_NO_SUCH_DEVICE, 1));
    cases.close().expect("closes");
    unload_cleanly(&machine, "stacks");
}

#[test]
fn a_device_object_pointer_costs_create_and_cleanup_at_once_and_close_with_the_reference() {
    let machine = machine_with("stacks");
    let process = machine.process("opener");
    let cases = open(&process, CASES);
    let CaseResult { status: result, values, .. } = run_case(&cases, POINTER, &[]).expect("answers");
    assert_eq!(result, 0);
    assert_eq!(values[..3], [1, 1, 1], "top of the stack; the file's own device");
    assert_eq!(values[3..6], [1, 1, 0], "CREATE and CLEANUP, no CLOSE yet");
    assert_eq!(values[6], 1);
    assert_eq!(status(values[7]), abi::STATUS_OBJECT_NAME_NOT_FOUND);
    cases.close().expect("closes");
    unload_cleanly(&machine, "stacks");
}

#[test]
fn close_is_sent_at_passive_level_also_when_the_last_reference_goes_at_dispatch_level() {
    let machine = machine_with("stacks");
    let process = machine.process("raised");
    let cases = open(&process, CASES);
    let CaseResult { status: result, values, .. } =
        run_case(&cases, DEREFERENCE_RAISED, &[]).expect("answers");
    assert_eq!(result, 0);
    assert_eq!(values[..3], [0, 0, 1], "later, on another thread");
    assert_eq!(values[3], 2);
    cases.close().expect("closes");
    unload_cleanly(&machine, "stacks");
}

#[test]
fn pending_returned_goes_up_by_itself_unless_a_completion_routine_must_pass_it_on() {
    let machine = machine_with("stacks");
    let process = machine.process("sender");
    let cases = open(&process, CASES);
    for (way, what, returned, seen) in [
        (0, "the location is the lower driver's", abi::STATUS_PENDING, 1),
        (1, "no routine", abi::STATUS_PENDING, 1),
        (2, "a routine that marks it", abi::STATUS_PENDING, 1),
        (3, "a routine that does not", abi::STATUS_PENDING, 0),
        (4, "answered at once", abi::STATUS_SUCCESS, 0),
    ] {
        let answer = run_case(&cases, PENDING, &[way]).expect("answers");
        assert_eq!(
            (abi::NTSTATUS::from_bits(answer.status), answer.values),
            (returned, vec![seen]),
            "{what}"
        );
    }
    cases.close().expect("closes");
    unload_cleanly(&machine, "stacks");
}

#[test]
fn requests_of_a_file_may_come_between_its_cleanup_and_its_close() {
    let machine = machine_with("stacks");
    let process = machine.process("late");
    let cases = open(&process, CASES);
    let CaseResult { status, values, .. } = run_case(&cases, AFTER_CLEANUP, &[]).expect("answers");
    assert_eq!(status, 0);
    assert_eq!(values[..2], [1, 0], "CLEANUP, no CLOSE");
    assert_eq!(values[2..6], [0, 1, 1, 0], "the request is served");
    assert_eq!(values[6], 1, "CLOSE with the last reference");
}

#[test]
fn a_device_that_was_not_made_cannot_be_opened() {
    let machine = machine_with("stacks");
    let process = machine.process("lost");
    let opened = app::Device::open(&process, BASE);
    assert_eq!(failure(opened.map(drop)), abi::STATUS_OBJECT_NAME_NOT_FOUND);
}
