//! Cancelling, as cancel.sys sees it.

use host::{Event, Transport};
use ringbridge_scenarios::{Watch, case_code, failure, machine_with, open, run_case};

const OWN: u32 = 0;
const PEND: u32 = 1;
const QUEUE: u32 = 2;
const QUEUE_EX: u32 = 3;
const COUNTS: u32 = 4;
const COMPLETED: u32 = 5;
const SPIN_LOCK: u32 = 6;

const CASES: &str = r"\\.\RbCancel";

const PASSIVE: u64 = 0;
const DISPATCH: u64 = 2;

fn values(case: u32) -> Vec<u64> {
    let machine = machine_with("cancel");
    let process = machine.process("caller");
    let device = open(&process, CASES);
    let answer = run_case(&device, case, &[]).expect("answers");
    assert_eq!(answer.status, 0);
    answer.values
}

#[test]
fn a_cancel_routine_runs_at_dispatch_level_with_the_lock_that_it_releases_to_cancel_irql() {
    let cancelled = u64::from(abi::STATUS_CANCELLED.bits());
    let values = values(OWN);
    assert_eq!(values[..4], [0, 1, 0, 0], "no routine: only marked, which IoReuseIrp undoes");
    assert_eq!(values[4..9], [1, 1, DISPATCH, PASSIVE, 1]);
    assert_eq!(values[9..12], [cancelled, 1, 0], "the routine is gone, a second IoCancelIrp finds none");
    assert_eq!(values[12..], [0, 1, cancelled], "cancelled before: invoke-on-cancel");
}

#[test]
fn a_cancel_safe_queue_gives_each_irp_to_one_taker_only() {
    let cancelled = u64::from(abi::STATUS_CANCELLED.bits());
    let values = values(QUEUE);
    assert_eq!(values[..6], [4, 1, 1, 1, 1, 0], "removed IRPs are pending and can no longer be cancelled");
    assert_eq!(values[6..12], [1, 1, 1, cancelled, 1, 1]);
    assert_eq!(values[12..16], [1, 1, 1, 1], "by context, once; not after it was cancelled");
    assert_eq!(values[16..], [1, 1], "cancelled before it was queued");
}

#[test]
fn an_insert_routine_that_refuses_leaves_the_irp_neither_pending_nor_queued() {
    let busy = u64::from(abi::STATUS_DEVICE_BUSY.bits());
    assert_eq!(values(QUEUE_EX), [0, 1, busy, 0, 1, 1, 2]);
}

#[test]
fn the_cancel_spin_lock_raises_to_dispatch_level() {
    assert_eq!(values(SPIN_LOCK), [PASSIVE, DISPATCH, PASSIVE]);
}

#[test]
fn cancelling_an_irp_that_was_completed_with_its_cancel_routine_set_stops_the_machine() {
    let machine = machine_with("cancel");
    let process = machine.process("victim");
    let device = open(&process, CASES);
    assert_eq!(failure(run_case(&device, COMPLETED, &[])), abi::STATUS_DEVICE_NOT_CONNECTED);
    let report = machine.bugcheck().expect("the machine stopped");
    assert_eq!(report.bugcheck.stop.code, abi::CANCEL_STATE_IN_COMPLETED_IRP);
}

#[test]
fn a_process_that_ends_has_its_pended_requests_cancelled_before_its_handles_are_closed() {
    let machine = machine_with("cancel");
    let watch = Watch::on(&machine);
    let witness = machine.process("witness");
    let cases = open(&witness, CASES);
    run_case(&cases, COUNTS, &[]).expect("answers");
    let process = machine.process("short-lived");
    // Its handle is closed by the process's end.
    let device = std::mem::ManuallyDrop::new(open(&process, CASES));
    let handle = device.handle();
    std::thread::scope(|scope| {
        let pended = scope.spawn(|| process.device_control(handle, case_code(PEND).0, &[], &mut []));
        let pending = |event: &Event| matches!(event, Event::IrpReturned { status, .. } if *status == abi::STATUS_PENDING);
        watch.wait_for(1, pending);
        process.end();
        assert_eq!(pended.join().expect("no panic").status, abi::STATUS_CANCELLED);
    });
    let counts = run_case(&cases, COUNTS, &[]).expect("answers").values;
    assert_eq!(counts, [1, DISPATCH, PASSIVE, 1, 1], "cancelled once, then CLEANUP and CLOSE");
}
