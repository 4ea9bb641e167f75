//! What drivers import, and how they spell it: `hello.sys` with other names in its import table.

use app::Device;
use host::{LoadOptions, Machine};
use ringbridge_scenarios::sys_path;

/// Loads `hello.sys` with `from` replaced by `to` wherever it stands as text, padded with zeros; then reads from it.
fn reads_with(from: &str, to: &str) {
    let mut bytes = std::fs::read(sys_path("hello")).expect("is built");
    let old = [from.as_bytes(), &[0]].concat();
    let mut new = [to.as_bytes(), &[0]].concat();
    assert!(new.len() <= old.len(), "{to} has room");
    new.resize(old.len(), 0);
    let places: Vec<_> = (0..=bytes.len() - old.len()).filter(|at| bytes[*at..].starts_with(&old)).collect();
    assert!(!places.is_empty(), "hello.sys has no {from}");
    for at in places {
        bytes[at..at + old.len()].copy_from_slice(&new);
    }
    let machine = Machine::new().expect("a machine");
    machine.load_image("hello", "hello.sys", &bytes, LoadOptions::default()).expect("every import is found");
    let process = machine.process("reader");
    let mut buffer = [0; 4];
    let device = Device::open(&process, r"\\.\My_Device").expect("opens");
    assert_eq!(device.read(&mut buffer), Ok(4));
    assert_eq!(buffer, [0x68; 4]);
}

#[test]
fn a_name_is_found_whichever_module_it_is_imported_from() {
    for module in ["HAL.dll", "hal.dll", "NTOSKRNL.EXE"] {
        reads_with("ntoskrnl.exe", module);
    }
}

#[test]
fn a_function_is_found_under_both_its_spellings() {
    reads_with("IofCompleteRequest", "IofCompleteRequest");
    reads_with("IofCompleteRequest", "IoCompleteRequest");
}
