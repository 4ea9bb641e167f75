//! Export drivers: importer.sys imports from library.sys and outer.sys, which imports from library.sys; borrower.sys from
//! library.sys alone; wanting.sys what nobody exports.

use host::{Event, LoadError, LoadOptions, Machine, Parameter, UnloadOutcome};
use ringbridge_scenarios::{Watch, machine_with, open, run_case, sys_path, unload_cleanly};

const IMPORT: u32 = 0;
const CASES: &str = r"\\.\RbImporter";

fn load(machine: &Machine, name: &str) -> Result<String, LoadError> {
    machine.load(&sys_path(name), LoadOptions::default())
}

fn values(machine: &Machine) -> Vec<u64> {
    let process = machine.process("caller");
    let device = open(&process, CASES);
    let values = run_case(&device, IMPORT, &[]).expect("answers").values;
    device.close().expect("closes");
    values
}

#[test]
fn export_drivers_are_initialised_before_what_imports_from_them_and_their_exports_are_called() {
    let machine = machine_with("importer");
    assert_eq!(machine.libraries(), ["library.sys", "outer.sys"]);
    let names: Vec<_> = machine.drivers().into_iter().map(|driver| driver.name).collect();
    assert_eq!(names, ["importer"], "they have no driver object");
    assert_eq!(values(&machine), [1, 1, 5, 8, 3, 1, 0]);
}

#[test]
fn an_export_driver_is_loaded_once_and_unloaded_with_the_last_that_imports_from_it() {
    let machine = machine_with("importer");
    load(&machine, "borrower").expect("loads");
    assert_eq!(values(&machine), [1, 1, 5, 8, 4, 1, 0], "one library, which borrower has called");
    unload_cleanly(&machine, "importer");
    assert_eq!(machine.libraries(), ["library.sys"], "borrower still needs it");
    load(&machine, "importer").expect("loads again");
    // 4 before, 1 of outer's DllUnload, then 3: its memory is the same.
    assert_eq!(values(&machine), [1, 1, 5, 8, 8, 1, 0]);
    unload_cleanly(&machine, "borrower");
    unload_cleanly(&machine, "importer");
    assert!(machine.libraries().is_empty());
    load(&machine, "importer").expect("loads once more");
    assert_eq!(values(&machine), [1, 1, 5, 8, 3, 2, 1], "a fresh image, initialised the second time");
}

#[test]
fn a_driver_whose_file_is_open_keeps_what_it_imports_from() {
    let machine = machine_with("importer");
    let process = machine.process("holder");
    let device = open(&process, CASES);
    assert!(matches!(machine.unload("importer"), Ok(UnloadOutcome::Pending { files: 1 })));
    assert_eq!(machine.libraries(), ["library.sys", "outer.sys"]);
    assert_eq!(run_case(&device, IMPORT, &[]).expect("answers").values[2], 5);
    device.close().expect("closes");
    assert!(machine.libraries().is_empty() && machine.drivers().is_empty());
}

#[test]
fn what_an_export_driver_leaves_behind_is_told_when_it_is_unloaded() {
    let machine = machine_with("borrower");
    let watch = Watch::on(&machine);
    unload_cleanly(&machine, "borrower");
    let mut reports = watch.events().into_iter().filter_map(|event| match event {
        Event::DriverUnloaded { report } => Some((report.driver.clone(), report.is_clean())),
        _ => None,
    });
    assert_eq!(reports.next(), Some(("library".to_owned(), true)), "before its driver is told to be gone");
    assert_eq!(reports.next(), Some(("borrower".to_owned(), true)));
}

#[test]
fn when_dll_initialize_fails_the_driver_is_not_loaded_and_nothing_stays() {
    let machine = Machine::new().expect("a machine");
    machine.set_parameter("library", "Refuse", &Parameter::Dword(1)).expect("a sound name");
    let error = load(&machine, "importer").expect_err("its library refuses");
    assert_eq!(error.status(), abi::STATUS_DEVICE_CONFIGURATION_ERROR);
    let text = error.to_string();
    assert!(text.contains("library.sys") && text.contains("DllInitialize"), "{text}");
    assert!(machine.drivers().is_empty() && machine.libraries().is_empty());
    machine.set_parameter("library", "Refuse", &Parameter::Dword(0)).expect("a sound name");
    load(&machine, "importer").expect("loads now");
}

#[test]
fn what_an_image_does_not_export_is_named_with_it_and_what_was_loaded_for_it_goes_again() {
    let machine = Machine::new().expect("a machine");
    let error = load(&machine, "wanting").expect_err("an export is missing");
    let LoadError::MissingImports(missing) = &error else { panic!("{error}") };
    let named: Vec<_> = missing.iter().map(ToString::to_string).collect();
    assert_eq!(named, ["library.sys!LibraryAbsent"]);
    assert!(machine.libraries().is_empty());
    assert_eq!(error.status(), abi::STATUS_DRIVER_ENTRYPOINT_NOT_FOUND);
}

#[test]
fn all_imports_from_a_file_that_is_not_there_are_named() {
    let machine = Machine::new().expect("a machine");
    let bytes = std::fs::read(sys_path("importer")).expect("is built");
    let error = machine.load_image("importer", "importer.sys", &bytes, LoadOptions::default());
    let LoadError::MissingImports(missing) = error.expect_err("no folder to look in") else {
        panic!("another error")
    };
    let mut named: Vec<_> = missing.iter().map(|import| (import.dll.as_str(), import.stub)).collect();
    named.dedup();
    named.sort_unstable();
    named.dedup();
    assert_eq!(named, [("library.sys", false), ("outer.sys", false)]);
}

#[test]
fn a_file_is_loaded_as_an_export_driver_or_as_a_driver() {
    let machine = machine_with("borrower");
    let error = load(&machine, "library").expect_err("borrower imports from it");
    assert_eq!(error.status(), abi::STATUS_IMAGE_ALREADY_LOADED);
    unload_cleanly(&machine, "borrower");
    let error = load(&machine, "library").expect_err("its DriverEntry says so");
    assert_eq!(error.status(), abi::STATUS_NOT_SUPPORTED);
}

#[test]
fn drivers_loaded_from_bytes_import_from_images_that_are_loaded() {
    let machine = machine_with("importer");
    let bytes = std::fs::read(sys_path("borrower")).expect("is built");
    machine
        .load_image("second", "second.sys", &bytes, LoadOptions::default())
        .expect("library.sys is loaded");
    unload_cleanly(&machine, "importer");
    assert_eq!(machine.libraries(), ["library.sys"]);
    unload_cleanly(&machine, "second");
    assert!(machine.libraries().is_empty());
}

#[test]
fn a_machine_that_is_switched_off_unloads_nothing() {
    let machine = machine_with("importer");
    let watch = Watch::on(&machine);
    drop(machine);
    let unloaded = |event: &Event| matches!(event, Event::DriverUnloaded { .. });
    assert!(!watch.events().iter().any(unloaded));
}
