//! Exceptions in real images: who takes them, what runs on the way, and what survives.

#![expect(unsafe_code, reason = "loaded code is called")]

extern crate ringbridge_loader as loader;

mod support;

use loader::map::Image;
use platform::entry::Stop;
use platform::landing::Unwind;
use support::image;
use support::kernel::Kernel;
use support::machine::{Machine, take_notes};

const ACCESS_VIOLATION: u64 = 0xC000_0005;

fn load() -> (Machine, Image) {
    let machine = Machine::new();
    let image = machine.load("seh", &image("seh"), &Kernel);
    (machine, image)
}

/// What the function returned, and what it noted on the way.
fn run(function: &str, arguments: &[u64]) -> (u64, Vec<u64>) {
    let (machine, image) = load();
    let value = machine.value(&image, function, arguments);
    let notes = take_notes();
    assert!(machine.reports.lock().expect("not poisoned").is_empty());
    // The machine is as it was: the same again, and nothing is left on the thread.
    assert_eq!(machine.value(&image, function, arguments), value);
    assert_eq!(take_notes(), notes);
    machine.enter(|region| assert!(region.landing().is_null() && region.frame().is_null()));
    (value, notes)
}

#[test]
fn a_fault_in_guarded_code_is_taken_by_its_except_block() {
    assert_eq!(run("CatchFault", &[0x30]), (ACCESS_VIOLATION, vec![]));
    assert_eq!(run("CatchWrite", &[0x30]), (ACCESS_VIOLATION, vec![]));
}

#[test]
fn an_address_that_is_not_canonical_raises_an_access_violation() {
    assert_eq!(run("CatchFault", &[0x8000_0000_0000_0000]), (ACCESS_VIOLATION, vec![]));
}

#[test]
fn a_filter_sees_code_operation_address_and_instruction() {
    let (value, notes) = run("FilterSeesRecord", &[0x1234_5678]);
    assert_eq!((value, notes), (1, vec![ACCESS_VIOLATION, 2, 1, 0x1234_5678, 1]));
}

#[test]
fn division_by_zero_and_an_overflowing_quotient_are_different_exceptions() {
    assert_eq!(run("CatchDivision", &[10, 5]).0, 2);
    assert_eq!(run("CatchDivision", &[10, 0]).0, 0xC000_0094);
    assert_eq!(run("CatchDivision", &[0x8000_0000, 0xFFFF_FFFF]).0, 0xC000_0095);
}

#[test]
fn filters_are_asked_innermost_first_and_only_until_one_takes_it() {
    assert_eq!(run("OuterFilterDecides", &[]), (6, vec![1, 2, 3, 4, 5]));
}

#[test]
fn finally_blocks_run_after_the_filter_innermost_first() {
    assert_eq!(run("FinallyBlocksRunInOrder", &[]), (15, vec![10, 11, 12, 13, 14]));
}

#[test]
fn a_finally_block_around_the_except_block_runs_when_it_is_left_normally() {
    assert_eq!(run("FinallyOutsideOfTheTargetWaits", &[]), (4, vec![1, 2, 3]));
}

#[test]
fn a_raise_by_an_export_unwinds_nested_calls() {
    assert_eq!(run("RaiseThroughNestedCalls", &[4]), (0xC000_0123, vec![0, 1, 2, 3, 4]));
}

#[test]
fn an_exception_crosses_exports_into_the_frames_of_the_outer_driver() {
    assert_eq!(run("ExceptionCrossesExports", &[0x30]), (ACCESS_VIOLATION, vec![22, 20, 21, 23, 24]));
}

#[test]
fn a_filter_can_repair_the_cause_and_continue() {
    let mut value = 0x1122_3344_5566_7788_u64;
    let (loaded, _) = run("ContinueExecution", &[(&raw mut value).expose_provenance() as u64]);
    assert_eq!(loaded, value);
}

#[test]
fn a_filter_can_continue_behind_a_raise() {
    assert_eq!(run("ContinueBehindARaise", &[]).0, 1);
}

#[test]
fn continuing_what_cannot_be_continued_is_an_exception_of_its_own() {
    assert_eq!(run("ContinueWhatCannot", &[]).0, 0xC000_0025);
}

#[test]
fn a_fault_in_a_filter_is_searched_for_in_the_frames_that_the_filter_belongs_to() {
    assert_eq!(run("FaultInFilter", &[]), (ACCESS_VIOLATION, vec![30]));
}

#[test]
fn a_filter_can_catch_its_own_faults() {
    assert_eq!(run("FilterCatchesItsOwn", &[]), (0xC000_0201, vec![40]));
}

#[test]
fn an_exception_in_a_finally_block_takes_the_place_of_the_one_before() {
    assert_eq!(run("RaiseInFinally", &[]), (0xC000_0301, vec![50, 51]));
}

#[test]
fn a_finally_block_can_catch_its_own_exceptions_and_the_unwind_goes_on() {
    assert_eq!(run("FinallyCatchesItsOwn", &[]), (ACCESS_VIOLATION, vec![60, 61]));
}

#[test]
fn an_except_block_can_raise_again() {
    assert_eq!(run("RaiseFromExceptBlock", &[0xC000_0500]), (0xC000_0501, vec![70]));
}

#[test]
fn non_volatile_registers_have_their_values_in_the_except_block() {
    let (a, b, c, d) = (3, 5, 7, 11);
    let (value, notes) = run("NonVolatilesAreRestored", &[a, b, c, d]);
    assert_eq!((value, notes), (a * b + b * c + c * d + d * a + a + b, vec![80]));
}

#[test]
fn frames_that_are_large_or_grow_at_run_time_are_unwound() {
    assert_eq!(run("BigFrame", &[69_999]).0, 5);
    assert_eq!(run("Alloca", &[20_000]).0, 9);
}

#[test]
fn a_call_to_nowhere_is_the_callers_exception() {
    assert_eq!(run("CallNowhere", &[]).0, ACCESS_VIOLATION);
}

#[test]
fn each_of_many_stretches_is_asked_once_and_unwound() {
    assert_eq!(run("Nest", &[10]).0, 1003);
}

#[test]
fn what_nobody_takes_is_reported_and_nothing_is_unwound() {
    for (function, stretches) in [("Unhandled", 1), ("UnhandledInCallback", 2)] {
        let (machine, image) = load();
        let outcome = machine.call(&image, function, &[]);
        assert!(matches!(outcome, Err(Unwind::Halt)), "{outcome:?}");
        assert_eq!(take_notes(), [], "no block ran");
        let reports = machine.reports.lock().expect("not poisoned");
        let [report] = &reports[..] else { panic!("{reports:?}") };
        let Stop { code, parameters } = report.stop;
        assert_eq!((code, parameters[0], parameters[3]), (0x1E, ACCESS_VIOLATION, 0x30));
        assert_eq!(parameters[1], report.rip);
        assert!(image.range().contains(&usize::try_from(report.rip).expect("an address")));
        assert_eq!(report.frames.iter().filter(|frame| frame.image.is_some()).count(), stretches);
        assert_eq!(report.frames[0].image.as_ref().map(|image| image.0.as_str()), Some("seh"));
    }
}

#[test]
fn a_system_address_stops_the_machine_without_asking_handlers() {
    let (machine, image) = load();
    let outcome = machine.call(&image, "CatchFault", &[0x6FFF_0000_1000]);
    assert!(matches!(outcome, Err(Unwind::Halt)), "{outcome:?}");
    let reports = machine.reports.lock().expect("not poisoned");
    assert_eq!(reports[0].stop.code, 0x50);
    assert_eq!(reports[0].stop.parameters[..3], [0x6FFF_0000_1000, 0, reports[0].rip]);
}

#[test]
fn a_filter_that_continues_with_impossible_registers_stops_the_machine() {
    const RSP: u64 = 0x98;
    const RIP: u64 = 0xF8;
    let value = 7_u64;
    let good = (&raw const value).expose_provenance() as u64;
    for (register, number) in [(RSP, 0x1000), (RIP, 0x8000_0000_0000_0000)] {
        let (machine, image) = load();
        let outcome = machine.call(&image, "ContinueWith", &[good, register, number]);
        assert!(matches!(outcome, Err(Unwind::Halt)), "{outcome:?}");
        let stop = machine.reports.lock().expect("not poisoned")[0].stop;
        assert_eq!((stop.code, stop.parameters[0]), (0x7F, 8));
    }
}

#[test]
fn a_filter_that_continues_with_reserved_control_bits_continues_without_them() {
    // EFLAGS, all of it: the trap flag among them, and behind it the first debug register, which nobody loads.
    const EFLAGS: u64 = 0x44;
    /// Of the FXSAVE area, with its mask behind it.
    const MXCSR: u64 = 0x118;
    let value = 7_u64;
    let good = (&raw const value).expose_provenance() as u64;
    for (register, bits) in [(EFLAGS, 0x0004_4302), (MXCSR, 0xFFFF_0000_FFFF_1F80)] {
        assert_eq!(run("ContinueWith", &[good, register, bits]).0, 7);
    }
}

#[test]
fn writing_to_code_stops_the_machine() {
    let (machine, image) = load();
    let code = image.export("CatchFault").expect("exported") as u64;
    let outcome = machine.call(&image, "CatchWrite", &[code]);
    assert!(matches!(outcome, Err(Unwind::Halt)), "{outcome:?}");
    assert_eq!(machine.reports.lock().expect("not poisoned")[0].stop.code, 0xBE);
}

#[test]
fn at_raised_irql_no_page_fault_is_an_exception() {
    let (machine, image) = load();
    let function = image.export("CatchFault").expect("exported");
    let outcome = machine.enter(|region| {
        region.set_irql(2);
        // SAFETY: inside the machine; the function takes one argument.
        unsafe { platform::landing::call(region, platform::landing::Code::Image, function, &[0x30]) }
    });
    assert!(matches!(outcome, Err(Unwind::Halt)), "{outcome:?}");
    let reports = machine.reports.lock().expect("not poisoned");
    assert_eq!(reports[0].stop, Stop { code: 0xD1, parameters: [0x30, 2, 0, reports[0].rip] });
}

#[test]
fn a_machine_runs_on_other_threads_after_one_has_stopped() {
    let (machine, image) = load();
    assert!(machine.call(&image, "Unhandled", &[]).is_err());
    assert_eq!(machine.value(&image, "CatchFault", &[0x30]), ACCESS_VIOLATION);
}

#[test]
fn a_hundred_thousand_raises_leave_nothing_behind() {
    assert_eq!(run("Loop", &[100_000]).0, 100_000);
}
