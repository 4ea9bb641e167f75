//! The drivers under `tests/drivers`, whose cases `tests/drivers/cases.h` describes, on the loader alone.

#![expect(unsafe_code, reason = "loaded code is called")]

extern crate ringbridge_loader as loader;

mod support;

use platform::landing::Unwind;
use support::io::{COMPLETED, Driver};
use support::machine::take_notes;

/// Runs a case that answers.
fn answer(driver: &Driver, number: u32, inputs: &[u64]) -> (u32, Vec<u64>) {
    let (outcome, result) = driver.case(number, inputs);
    assert_eq!(outcome.expect("it returns") & 0xFFFF_FFFF, 0, "case {number}");
    assert_eq!(take_notes(), [COMPLETED], "case {number} completes its request once");
    (result.status, result.values)
}

const ACCESS_VIOLATION: u32 = 0xC000_0005;
const MISALIGNED: u32 = 0x8000_0002;
const SYSTEM_ADDRESS: u64 = 0x6FFF_0000_1000;

#[test]
fn seh_sys_takes_every_exception_as_its_cases_say() {
    let driver = Driver::load("seh");
    let case = |number, inputs: &[u64]| answer(&driver, number, inputs);
    // Probing checks the range; what is merely not mapped faults in the driver.
    assert_eq!(case(0, &[0x30, 4, 1]).0, ACCESS_VIOLATION);
    assert_eq!(case(0, &[SYSTEM_ADDRESS, 4, 1]).0, ACCESS_VIOLATION);
    assert_eq!(case(0, &[0x31, 4, 4]).0, MISALIGNED);
    assert_eq!(case(1, &[0x30, 4, 1]).0, ACCESS_VIOLATION);
    assert_eq!(case(1, &[SYSTEM_ADDRESS, 4, 1]).0, ACCESS_VIOLATION);
    assert_eq!(case(2, &[0x5678]), (ACCESS_VIOLATION, vec![0xC000_0005, 0, 2, 1, 0x5678, 1]));
    assert_eq!(case(3, &[]), (ACCESS_VIOLATION, vec![1, 2, 3, 4, 5, 6]));
    assert_eq!(case(4, &[0, 5]), (0xC000_0123, vec![0, 1, 2, 3, 4, 5]));
    assert_eq!(case(4, &[0xC000_0022, 0]), (0xC000_0022, vec![0]));
    assert_eq!(case(5, &[0x30]), (ACCESS_VIOLATION, vec![1, 2, 3]));
    assert_eq!(case(6, &[77]), (0, vec![77]));
    assert_eq!(case(7, &[]), (ACCESS_VIOLATION, vec![1]));
    assert_eq!(case(8, &[]), (0xC000_0301, vec![1, 2]));
    assert_eq!(case(9, &[11, 12]), (0xE000_1234, vec![11, 12, 3]));
    assert_eq!(case(10, &[]).0, 0xC000_0094);
    assert_eq!(case(11, &[]), (ACCESS_VIOLATION, vec![8, 0x40]));
    assert_eq!(case(12, &[]).1, [u64::from(ACCESS_VIOLATION), u64::from(MISALIGNED)]);
    assert_eq!(case(14, &[1000]).1, [1000]);
    assert_eq!(case(15, &[]).1, [1, 1, 1]);
    assert_eq!(case(16, &[0x30]).0, ACCESS_VIOLATION);
    driver.unload();
}

#[test]
fn leaving_a_try_block_runs_its_finally_block_with_what_the_language_says() {
    let driver = Driver::load("seh");
    let (status, values) = answer(&driver, 13, &[]);
    assert_eq!((status, &values[..2]), (0, &[1, 0][..]));
    assert_eq!(values.len(), 3);
}

#[test]
fn cpu_sys_executes_what_only_kernel_code_can() {
    let driver = Driver::load("cpu");
    let case = |number, inputs: &[u64]| answer(&driver, number, inputs);
    assert_eq!(case(0, &[]), (0, vec![0, 2, 2, 0]));
    let gs = case(1, &[]).1;
    assert_eq!((gs[0], gs[3], gs[4]), (0x1234_5678, 0, 0));
    assert_eq!(gs[0], gs[1]);
    let data = case(2, &[]).1;
    let word = |offset: u64| 0x8080_8080_8000_0000 + offset;
    assert_eq!((data[0], data[2], data[4]), (word(8), 0x8080_8080, word(0x320)));
    assert_eq!(case(3, &[]), (0x8000_0003, vec![1]));
    assert_eq!(case(4, &[]), (0xC000_0420, vec![1]));
    for instruction in 0..8 {
        assert_eq!(case(5, &[instruction]), (0xC000_0096, vec![1]), "instruction {instruction}");
    }
    assert_eq!(case(6, &[100]).1, [0]);
    assert_eq!(case(7, &[100]).1, [0]);
    driver.unload();
}

#[test]
fn stop_sys_stops_the_machine_and_no_handler_runs() {
    let cases: [(u32, u64, u32, u64); 7] = [
        (0, 5, 0x139, 5),
        (1, 0x30, 0x1E, 0xC000_0005),
        (2, 0, 0x1E, 0xC000_0010),
        (3, SYSTEM_ADDRESS, 0x50, SYSTEM_ADDRESS),
        (4, 0x30, 0xD1, 0x30),
        (5, 0, 0xBE, 0),
        (6, 0, 0x7F, 8),
    ];
    for (number, input, code, parameter) in cases {
        let driver = Driver::load("stop");
        let (outcome, result) = driver.case(number, &[input]);
        assert!(matches!(outcome, Err(Unwind::Halt)), "case {number}: {outcome:?}");
        assert_eq!(take_notes(), []);
        let reports = driver.machine.reports.lock().expect("not poisoned");
        let [report] = &reports[..] else { panic!("{reports:?}") };
        assert_eq!(report.stop.code, code, "case {number}");
        if parameter != 0 {
            assert_eq!(report.stop.parameters[0], parameter, "case {number}");
        }
        assert_eq!(result.first_value, 0, "case {number}: no handler ran");
    }
}
