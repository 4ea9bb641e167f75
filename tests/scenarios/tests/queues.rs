//! Device queues and StartIo, remove locks, work items, shutdown, as queues.sys uses them.

use ringbridge_scenarios::{failure, machine_with, open, run_case, unload_cleanly};

const DEVICE_QUEUE: u32 = 0;
const START_IO: u32 = 1;
const REMOVE_LOCK: u32 = 2;
const WORK: u32 = 3;
const RAISED_WORK: u32 = 4;
const SHUTDOWN: u32 = 5;
const KQUEUE: u32 = 6;

const CASES: &str = r"\\.\RbQueues";
const SYSTEM_PROCESS: u64 = 4;

fn values(case: u32, inputs: &[u64]) -> Vec<u64> {
    let machine = machine_with("queues");
    let process = machine.process("caller");
    let device = open(&process, CASES);
    let answer = run_case(&device, case, inputs).expect("answers");
    device.close().expect("closes");
    unload_cleanly(&machine, "queues");
    assert_eq!(answer.status, 0);
    answer.values
}

#[test]
fn a_device_queue_becomes_busy_before_it_takes_entries_and_sorts_them_by_key() {
    let values = values(DEVICE_QUEUE, &[]);
    assert_eq!(values[..6], [0, 1, 1, 1, 1, 1]);
    assert_eq!(values[6..8], [3, 2], "the first key of at least 15; none is 99, so the first of all");
    assert_eq!(values[8..10], [1, 0]);
    assert_eq!(values[10..], [4, 1, 1, 0], "empty: idle again");
}

#[test]
fn start_io_gets_one_request_at_a_time_at_dispatch_level_and_cancelled_ones_not_at_all() {
    assert_eq!(values(START_IO, &[0]), [112, 1, 0, 1, 1000, 212, 1, 422, 1, 1]);
}

#[test]
fn deferred_start_io_is_not_called_from_within_itself() {
    assert_eq!(values(START_IO, &[1]), [112, 1, 0, 1, 1000, 212, 1, 412, 1, 1]);
}

#[test]
fn removal_waits_for_the_holders_of_the_lock_and_lets_nobody_in() {
    let pending = u64::from(abi::STATUS_DELETE_PENDING.bits());
    assert_eq!(values(REMOVE_LOCK, &[]), [0, 0, 1, pending]);
}

#[test]
fn work_items_run_at_passive_level_in_the_system_process_and_can_be_freed_or_queued_again() {
    assert_eq!(values(WORK, &[]), [1, 0, SYSTEM_PROCESS, 1, 1, 0, 1]);
}

#[test]
fn a_work_item_that_returns_at_dispatch_level_stops_the_machine() {
    let machine = machine_with("queues");
    let process = machine.process("victim");
    let device = open(&process, CASES);
    assert_eq!(failure(run_case(&device, RAISED_WORK, &[])), abi::STATUS_DEVICE_NOT_CONNECTED);
    let report = machine.bugcheck().expect("the machine stopped");
    assert_eq!(report.bugcheck.stop.code, abi::WORKER_THREAD_RETURNED_AT_BAD_IRQL);
}

#[test]
fn devices_that_asked_are_told_of_the_shutdown_the_last_first() {
    let machine = machine_with("queues");
    let process = machine.process("asker");
    let device = open(&process, CASES);
    assert_eq!(run_case(&device, SHUTDOWN, &[]).expect("answers").values, [0, 0]);
    machine.shut_down().expect("the machine runs");
    assert_eq!(run_case(&device, SHUTDOWN, &[]).expect("answers").values, [2, 1]);
}

#[test]
fn a_queue_gives_its_entries_in_their_order_and_the_rest_when_it_is_run_down() {
    let timeout = u64::from(abi::STATUS_TIMEOUT.bits());
    assert_eq!(values(KQUEUE, &[]), [0, 1, 2, 2, 1, timeout, 1, 1]);
}
