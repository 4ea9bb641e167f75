//! A request that a thread completes before its IRP is marked pending, and the same in the right order (race.sys).

use app::ControlCode;
use host::{Event, Machine, UnloadOutcome};
use ringbridge_scenarios::{Watch, case_code, machine_with, open, run_case, words};

const DEVICE: &str = r"\\.\RbRace";
const ENDED: u32 = 0;
const MARKED_LAST: u32 = 64;
const MARKED_FIRST: u32 = 65;
/// The thread has completed the request before the dispatch routine goes on.
const CERTAIN: [u64; 1] = [1];
/// Whoever is faster.
const CHANCE: [u64; 1] = [0];

fn is_reported(event: &Event) -> bool {
    matches!(event, Event::IrpNotMarkedPending { driver, .. } if driver == r"\Driver\race")
}

/// Sends a request that many times, and returns how often the machine says that the mark was missing.
fn reported(machine: &Machine, code: ControlCode, input: &[u64], times: usize) -> usize {
    let watch = Watch::on(machine);
    let process = machine.process("caller");
    let device = open(&process, DEVICE);
    for _ in 0..times {
        let mut answer = [0; 24];
        assert_eq!(device.control(code, &words(input), &mut answer), Ok(24), "{:?}", machine.bugcheck());
        assert_eq!(answer, [0xA5; 24]);
    }
    assert_eq!(run_case(&device, ENDED, &[]).expect("answers").values, [times as u64]);
    device.close().expect("closes");
    assert!(matches!(machine.unload("race"), Ok(UnloadOutcome::Unloaded(report)) if report.is_clean()));
    watch.events().iter().filter(|event| is_reported(event)).count()
}

#[test]
fn an_irp_that_is_marked_pending_after_its_completion_is_reported_and_its_caller_waits_no_longer() {
    let machine = machine_with("race");
    assert_eq!(reported(&machine, case_code(MARKED_LAST), &CERTAIN, 20), 20);
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
}

#[test]
fn a_late_mark_harms_no_request_of_others_whoever_is_faster() {
    let machine = machine_with("race");
    let _chance = reported(&machine, case_code(MARKED_LAST), &CHANCE, 200);
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
}

#[test]
fn an_irp_that_is_marked_before_it_is_given_away_is_right_however_early_it_is_completed() {
    for input in [CERTAIN, CHANCE] {
        let machine = machine_with("race");
        assert_eq!(reported(&machine, case_code(MARKED_FIRST), &input, 50), 0);
        assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    }
}
