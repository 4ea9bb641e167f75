//! The unwinding services as driver code uses them, and language handlers inside the image.

#![expect(unsafe_code, reason = "the shared test machine enters driver code")]

extern crate ringbridge_loader as loader;

mod support;

use loader::map::Image;
use platform::landing::Unwind;
use support::image;
use support::kernel::Kernel;
use support::machine::{Machine, take_notes};

fn load() -> (Machine, Image) {
    let machine = Machine::new();
    let image = machine.load("rtl", &image("rtl"), &Kernel);
    (machine, image)
}

fn run(function: &str, arguments: &[u64]) -> (u64, Vec<u64>) {
    let (machine, image) = load();
    (machine.value(&image, function, arguments), take_notes())
}

#[test]
fn rtl_unwind_continues_in_the_target_frame_with_its_registers_and_the_value() {
    assert_eq!(run("NothingUnwound", &[5]), (0x1235, vec![]));
    assert_eq!(run("UnwindToCatch", &[0x1000]), (0x2234, vec![1]));
    assert_eq!(run("UnwindToCatch", &[0x1001]), (0x2235, vec![1]));
}

#[test]
fn rtl_unwind_crosses_exports() {
    assert_eq!(run("UnwindThroughExport", &[0x1000]), (0x2234, vec![1, 2]));
}

#[test]
fn a_target_that_no_frame_is_stops_the_machine() {
    let (machine, image) = load();
    // Inside the stack, but no frame.
    let below = machine.enter(|region| region.stack().top as u64 - 9);
    let outcome = machine.call(&image, "UnwindToNowhere", &[below]);
    assert!(matches!(outcome, Err(Unwind::Halt)), "{outcome:?}");
    let reports = machine.reports.lock().expect("not poisoned");
    assert_eq!(reports[0].stop.parameters[0], 0xC000_0029, "STATUS_INVALID_UNWIND_TARGET");
}

#[test]
fn a_handler_in_the_image_may_leave_it_to_the_c_handler() {
    assert_eq!(run("HandlerInTheImage", &[0xC000_0777]), (0xC000_0777, vec![10, 10]));
}

#[test]
fn a_handler_in_the_image_may_unwind_to_its_own_frame() {
    // Asked while searching (0), then told that its frame is the unwind's target (22h).
    assert_eq!(run("HandlerThatUnwinds", &[0xC000_0778]), (0xC000_0778, vec![0, 0x22]));
}

#[test]
fn a_disposition_that_does_not_exist_is_an_exception_and_then_a_stop() {
    let (machine, image) = load();
    let outcome = machine.call(&image, "HandlerThatIsWrong", &[0xC000_0779]);
    assert!(matches!(outcome, Err(Unwind::Halt)), "{outcome:?}");
    let reports = machine.reports.lock().expect("not poisoned");
    assert_eq!(reports[0].stop.parameters[0], 0xC000_0026, "STATUS_INVALID_DISPOSITION");
}

#[test]
fn driver_code_walks_its_own_stack() {
    // walk, walk_deeper five times, WalkOwnStack.
    assert_eq!(run("WalkOwnStack", &[4]).0, 7);
}

#[test]
fn a_back_trace_holds_return_addresses_of_driver_code() {
    // trace, BackTrace; the call into the driver is the third.
    let (inside, notes) = run("BackTrace", &[0]);
    assert_eq!((inside, notes[0]), (2, 1));
    let (skipped, _) = run("BackTrace", &[1]);
    assert_eq!(skipped, 1);
    assert_eq!(run("BackTrace", &[100]), (0, vec![1, 0]));
}

#[test]
fn a_back_trace_goes_on_behind_an_export() {
    // trace, BackTrace, trace_from_callback, BackTraceThroughExport.
    assert_eq!(run("BackTraceThroughExport", &[0]).0, 4);
}

#[test]
fn pointers_that_cannot_be_used_are_access_violations_in_the_driver() {
    assert_eq!(run("BadPointers", &[0x30]).0, 6);
}
