//! System threads of drivers, waiting for them and with them, and requests that they complete later: `threads.sys`.

use app::{ControlCode, Device};
use gate::Transport;
use host::{Configuration, Event, LoadOptions, Machine, UnloadOutcome};
use platform::linux::Linux;
use ringbridge_scenarios::{
    Watch, application, case_code, failure, machine_with, open, run_application, run_case, sys_path,
    unload_cleanly,
};

const THREADS: &str = r"\\.\RbThreads";
const EVENT: u32 = 0;
const TERMINATE: u32 = 1;
const TERMINATE_OTHER: u32 = 2;
const EXCEPTIONS: u32 = 3;
const FAULT: u32 = 4;
const LOCKS: u32 = 5;
const TIME_OUT: u32 = 6;
const ORPHAN: u32 = 7;
const HANDLE: u32 = 8;

fn pend() -> ControlCode {
    case_code(64)
}

fn pend_and_wait() -> ControlCode {
    case_code(65)
}

/// Runs a case, and unloads the driver, which ends its worker thread.
fn values(number: u32, inputs: &[u64]) -> Vec<u64> {
    let machine = machine_with("threads");
    let process = machine.process("caller");
    let device = open(&process, THREADS);
    let result = run_case(&device, number, inputs).expect("is answered");
    assert_eq!(result.status, 0, "case {number}");
    device.close().expect("closes");
    unload_cleanly(&machine, "threads");
    assert!(machine.bugcheck().is_none());
    result.values
}

#[test]
fn a_system_thread_runs_in_the_system_process_and_is_signaled_when_it_ends() {
    const PASSIVE_LEVEL: u64 = 0;
    const SYSTEM: u64 = 4;
    assert_eq!(values(EVENT, &[]), [PASSIVE_LEVEL, SYSTEM, 1, 0, 0, 0, 1, 0]);
}

#[test]
fn a_kernel_handle_stands_for_its_object_in_kernel_mode_only_and_until_it_is_closed() {
    let invalid = u64::from(abi::STATUS_INVALID_HANDLE.bits());
    assert_eq!(values(HANDLE, &[]), [1, invalid, 0, 1, 0, invalid]);
}

#[test]
fn ps_terminate_system_thread_ends_the_thread_at_once_without_its_finally_blocks() {
    assert_eq!(values(TERMINATE, &[0]), [0]);
    assert_eq!(values(TERMINATE, &[0xC000_0001]), [0]);
}

#[test]
fn only_system_threads_can_terminate_themselves() {
    let machine = machine_with("threads");
    let process = machine.process("caller");
    let result = run_case(&open(&process, THREADS), TERMINATE_OTHER, &[]).expect("is answered");
    assert_eq!(result.status, abi::STATUS_INVALID_PARAMETER.bits());
}

#[test]
fn system_threads_take_their_own_exceptions() {
    assert_eq!(values(EXCEPTIONS, &[1000]), [1000]);
}

#[test]
fn spin_locks_and_mutexes_keep_threads_apart_on_any_number_of_processors() {
    assert_eq!(values(LOCKS, &[8, 500]), [8, 4000, 4000]);
    for processors in [2, 4] {
        let configuration = Configuration { processors, ..Configuration::default() };
        let machine = Machine::with(std::sync::Arc::new(Linux::new()), configuration).expect("a machine");
        machine.load(&sys_path("threads"), LoadOptions::default()).expect("loads");
        let process = machine.process("caller");
        let result = run_case(&open(&process, THREADS), LOCKS, &[8, 500]).expect("is answered");
        assert_eq!(result.values, [8, 4000, 4000], "{processors} processors");
    }
}

#[test]
fn a_wait_ends_with_status_timeout_and_not_too_early() {
    for units in [0, 1, 20_000, 200_000] {
        let machine = machine_with("threads");
        let process = machine.process("caller");
        let result = run_case(&open(&process, THREADS), TIME_OUT, &[units]).expect("is answered");
        assert_eq!(result.status, abi::STATUS_TIMEOUT.bits());
        assert!(result.values[0] >= units, "{} of {units}", result.values[0]);
    }
}

/// Sends bytes to the worker thread and gets their complement.
fn ask(device: &Device<'_>, code: ControlCode, length: usize, seed: u8) {
    let sent: Vec<u8> = (0..length).map(|index| index.to_le_bytes()[0] ^ seed).collect();
    let mut answer = vec![0; length];
    let bytes = device.control(code, &sent, &mut answer).expect("is completed");
    assert_eq!(bytes as usize, length);
    assert!(sent.iter().zip(&answer).all(|(sent, got)| *got == !*sent), "length {length}");
}

#[test]
fn a_pended_request_ends_with_what_a_system_thread_completed_it_with() {
    let machine = machine_with("threads");
    let watch = Watch::on(&machine);
    let process = machine.process("caller");
    let device = open(&process, THREADS);
    for length in [0, 1, 100, 4096, 4097, 100_000] {
        ask(&device, pend(), length, 0x5A);
    }
    let pended =
        |event: &&Event| matches!(event, Event::IrpReturned { status, .. } if *status == abi::STATUS_PENDING);
    assert_eq!(watch.events().iter().filter(pended).count(), 6);
}

#[test]
fn a_request_that_was_completed_before_status_pending_came_back_ends_once() {
    let machine = machine_with("threads");
    let process = machine.process("caller");
    let device = open(&process, THREADS);
    for round in 0..500_u16 {
        ask(&device, pend_and_wait(), 64, round.to_le_bytes()[0]);
    }
    assert!(machine.bugcheck().is_none());
}

#[test]
fn many_threads_with_pended_requests_each_get_their_own_answer() {
    let machine = machine_with("threads");
    let process = machine.process("callers");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let process = &process;
            scope.spawn(move || {
                let device = open(process, THREADS);
                for round in 0..300_u16 {
                    ask(&device, pend(), usize::from(round % 50), number ^ round.to_le_bytes()[0]);
                }
            });
        }
    });
    assert!(matches!(machine.unload("threads"), Ok(UnloadOutcome::Unloaded(report)) if report.is_clean()));
}

#[test]
fn a_fault_in_a_system_thread_stops_the_machine_and_wakes_who_waits() {
    let machine = machine_with("threads");
    let process = machine.process("caller");
    let device = open(&process, THREADS);
    assert_eq!(failure(run_case(&device, FAULT, &[0x10])), abi::STATUS_DEVICE_NOT_CONNECTED);
    let report = machine.bugcheck().expect("the machine has stopped");
    assert_eq!(report.bugcheck.stop.code, 0x1E, "{report}");
    assert_eq!(report.bugcheck.stop.parameters[3], 0x10, "{report}");
    assert_eq!(report.bugcheck.stack[0].image, "threads.sys", "{report}");
    assert_eq!(report.bugcheck.irp, 0, "a system thread has no request: {report}");
}

#[test]
fn a_thread_that_outlives_its_driver_stops_the_machine_and_not_the_process() {
    let machine = machine_with("threads");
    let watch = Watch::on(&machine);
    let process = machine.process("caller");
    let device = open(&process, THREADS);
    assert_eq!(run_case(&device, ORPHAN, &[]).expect("is answered").status, 0);
    device.close().expect("closes");
    machine.unload("threads").expect("unloads");
    watch.wait_for(1, |event| matches!(event, Event::Bugcheck { .. }));
    let report = machine.bugcheck().expect("the machine has stopped");
    assert_eq!(report.bugcheck.stop.code, 0xCE, "{report}");
}

#[test]
fn a_machine_can_be_dropped_while_its_drivers_threads_run() {
    for _ in 0..5 {
        let machine = machine_with("threads");
        let process = machine.process("caller");
        assert_eq!(run_case(&open(&process, THREADS), ORPHAN, &[]).expect("is answered").status, 0);
        drop(machine);
        ask(&open(&process, THREADS), pend(), 10, 1);
    }
}

fn ask_both_ways(transport: &dyn Transport) {
    std::thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                let device = open(transport, THREADS);
                for round in 0..100_u16 {
                    ask(&device, pend(), usize::from(round), number);
                    ask(&device, pend_and_wait(), usize::from(round), number);
                }
            });
        }
    });
    let device = open(transport, THREADS);
    assert_eq!(run_case(&device, EVENT, &[]).expect("is answered").values.len(), 8);
    ask(&device, pend(), 100_000, 7);
}

#[test]
fn application_of_pended_requests() {
    let Some(client) = application() else { return };
    ask_both_ways(&client);
}

#[test]
fn requests_from_another_process_are_completed_by_system_threads_alike() {
    let folder = tempfile::tempdir().expect("a folder");
    let machine = machine_with("threads");
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    std::thread::scope(|scope| {
        scope.spawn(|| run_application("application_of_pended_requests", server.path()));
        scope.spawn(|| ask_both_ways(&machine.process("the same process")));
    });
    server.stop();
    assert!(matches!(machine.unload("threads"), Ok(UnloadOutcome::Unloaded(report)) if report.is_clean()));
}
