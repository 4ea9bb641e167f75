//! Instructions that only work in a kernel, in real driver code.

#![expect(unsafe_code, reason = "loaded code is called")]

extern crate ringbridge_loader as loader;

mod support;

use loader::map::Image;
use platform::entry::Stop;
use platform::landing::Unwind;
use support::image;
use support::kernel::Kernel;
use support::machine::{Machine, take_notes};

const PRIVILEGED_INSTRUCTION: u64 = 0xC000_0096;

fn load() -> (Machine, Image) {
    let machine = Machine::new();
    let image = machine.load("emulate", &image("emulate"), &Kernel);
    (machine, image)
}

/// The shared data as the machine made it: eight bytes that say where they are.
fn word(offset: u64) -> u64 {
    0x8080_8080_8000_0000 + offset
}

#[test]
fn cr8_is_the_irql() {
    let (machine, image) = load();
    *machine.irql.lock().expect("not poisoned") = 2;
    assert_eq!(machine.value(&image, "ReadCr8", &[]), 2);
    assert_eq!(machine.value(&image, "ReadCr8IntoR15", &[]), 2);
    machine.value(&image, "WriteCr8", &[5]);
    assert_eq!(*machine.irql.lock().expect("not poisoned"), 5);
}

#[test]
fn a_value_that_is_no_irql_is_a_protection_fault() {
    let (machine, image) = load();
    for value in [16, 0x100, u64::MAX] {
        assert_eq!(machine.value(&image, "WriteBadCr8", &[value]), 0xC000_0005, "{value:#x}");
    }
}

#[test]
fn shared_data_is_loaded_in_every_size_with_the_right_extension() {
    let (machine, image) = load();
    let load = |function, offset| machine.value(&image, function, &[offset]);
    assert_eq!(load("Load8", 0x14) & 0xFF, 0x80);
    assert_eq!(load("Load8", 0x10) & 0xFF, 0x10);
    assert_eq!(load("Load16", 0x320) & 0xFFFF, 0x320);
    assert_eq!(load("Load32", 0x320) & 0xFFFF_FFFF, 0x8000_0320);
    assert_eq!(load("Load64", 0x320), word(0x320));
    assert_eq!(load("LoadSigned16", 0x322), 0xFFFF_FFFF_FFFF_8000);
    assert_eq!(load("LoadSigned32", 0x8), 0xFFFF_FFFF_8000_0008);
    assert_eq!(load("Load64", 0xFF8), word(0xFF8));
}

#[test]
fn a_load_changes_only_what_the_instruction_writes() {
    let (machine, image) = load();
    assert_eq!(machine.value(&image, "LoadLowByte", &[0x1122_3344_5566_7788, 0x18]), 0x1122_3344_5566_7718);
    assert_eq!(machine.value(&image, "LoadIntoItsBase", &[0x20]), word(0x20));
    assert_eq!(machine.value(&image, "LoadWordIntoItsBase", &[0x28]), 0xFFFF_F780_0000_0028);
    assert_eq!(machine.value(&image, "RegistersSurvive", &[1000]), 12 * 1000 + 55);
}

#[test]
fn addresses_may_be_constant_or_indexed() {
    let (machine, image) = load();
    assert_eq!(machine.value(&image, "LoadConstantAddress", &[]), word(0x320));
    assert_eq!(machine.value(&image, "LoadIndexed", &[3]), word(0x20));
}

#[test]
fn instructions_that_compute_with_shared_data_set_flags_and_implicit_registers() {
    let (machine, image) = load();
    let (carry, zero, parity) = (1, 0x40, 4);
    let value = word(0x40).wrapping_neg();
    assert_eq!(
        machine.value(&image, "AddAndFlags", &[0x40, value]) & (carry | zero | parity),
        carry | zero | parity
    );
    assert_eq!(take_notes(), [0]);
    assert_eq!(machine.value(&image, "CompareEqual", &[0x48, word(0x48)]), 1);
    assert_eq!(machine.value(&image, "CompareEqual", &[0x48, 1]), 0);
    let product = u128::from(word(0x50)) * 0x1_0000_0001;
    let (low, high) = (product & u128::from(u64::MAX), product >> 64);
    assert_eq!(u128::from(machine.value(&image, "Multiply", &[0x50, 0x1_0000_0001])), low);
    assert_eq!(take_notes().into_iter().map(u128::from).collect::<Vec<_>>(), [high]);
    assert_eq!(machine.value(&image, "LoadVector", &[0x60]), word(0x68));
    assert_eq!(take_notes(), [word(0x60)]);
}

#[test]
fn writing_shared_data_stops_the_machine() {
    let (machine, image) = load();
    let outcome = machine.call(&image, "WriteShared", &[]);
    assert!(matches!(outcome, Err(Unwind::Halt)), "{outcome:?}");
    assert_eq!(take_notes(), []);
    assert_eq!(machine.reports.lock().expect("not poisoned")[0].stop.code, 0x50);
}

#[test]
fn breakpoints_and_assertions_are_exceptions_at_their_instruction() {
    let (machine, image) = load();
    for (function, code) in
        [("Int3", 0x8000_0003), ("LongInt3", 0x8000_0003), ("Int2c", 0xC000_0420), ("Int2d", 0x8000_0003)]
    {
        assert_eq!(machine.value(&image, function, &[]), code, "{function}");
        assert_eq!(take_notes(), [code, 0], "{function}");
    }
}

#[test]
fn privileged_instructions_are_exceptions_in_the_driver() {
    let (machine, image) = load();
    for function in ["Rdmsr", "Wrmsr", "In", "Out", "Hlt", "Cli", "Sti", "ReadCr3"] {
        assert_eq!(machine.value(&image, function, &[]), PRIVILEGED_INSTRUCTION, "{function}");
        assert_eq!(take_notes(), [PRIVILEGED_INSTRUCTION, 0], "{function}");
    }
    assert_eq!(machine.value(&image, "Ud2", &[]), 0xC000_001D);
}

#[test]
fn a_fast_fail_stops_the_machine_without_asking_handlers() {
    let (machine, image) = load();
    let outcome = machine.call(&image, "FastFail", &[2]);
    assert!(matches!(outcome, Err(Unwind::Halt)), "{outcome:?}");
    assert_eq!(take_notes(), []);
    let reports = machine.reports.lock().expect("not poisoned");
    assert_eq!(reports[0].stop, Stop { code: 0x139, parameters: [2, 0, 0, 0] });
    assert_eq!(reports[0].exception, 0xC000_0409);
}

#[test]
fn the_current_thread_is_read_from_gs() {
    let (machine, image) = load();
    assert_eq!(machine.value(&image, "CurrentThread", &[]), 0x1234_5678);
}
