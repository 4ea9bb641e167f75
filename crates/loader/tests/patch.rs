//! Instructions that have faulted once are patched: what they do then is what they did the first time.

#![expect(unsafe_code, reason = "loaded code is called, and its bytes are looked at")]

extern crate ringbridge_loader as loader;

mod support;

use std::sync::Barrier;

use loader::map::Image;
use support::image;
use support::kernel::Kernel;
use support::machine::{Machine, take_notes};

const SHARED: u64 = 0xFFFF_F780_0000_0000;
const ACCESS_VIOLATION: u64 = 0xC000_0005;

fn load() -> (Machine, Image) {
    let machine = Machine::new();
    let image = machine.load("emulate", &image("emulate"), &Kernel);
    (machine, image)
}

fn word(offset: u64) -> u64 {
    0x8080_8080_8000_0000 + offset
}

/// All bytes of the image's code.
fn code(image: &Image) -> Vec<u8> {
    let section = image.facts().sections.iter().find(|section| section.flags.execute).expect("code");
    let start = image.base() + section.rva as usize;
    let pointer = std::ptr::with_exposed_provenance::<u8>(start);
    // SAFETY: the image is mapped, and nobody patches it now.
    unsafe { std::slice::from_raw_parts(pointer, section.size as usize) }.to_vec()
}

type Case = (&'static str, &'static [u64]);

const CASES: &[Case] = &[
    ("ReadCr8", &[]),
    ("ReadCr8IntoR15", &[]),
    ("WriteAndRead", &[0]),
    ("WriteAndRead", &[5]),
    ("WriteAndRead", &[2]),
    ("Load8", &[0x14]),
    ("Load16", &[0x320]),
    ("Load32", &[0x320]),
    ("Load64", &[0x320]),
    ("LoadSigned16", &[0x322]),
    ("LoadSigned32", &[8]),
    ("Load64", &[0xFF8]),
    ("LoadLowByte", &[0x1122_3344_5566_7788, 0x18]),
    ("LoadIntoItsBase", &[0x20]),
    ("LoadWordIntoItsBase", &[0x28]),
    ("LoadConstantAddress", &[]),
    ("LoadIndexed", &[3]),
    ("AddAndFlags", &[0x40, 1]),
    ("CompareEqual", &[0x48, 0x8080_8080_8000_0048]),
    ("CompareEqual", &[0x48, 1]),
    ("Multiply", &[0x50, 0x1_0000_0001]),
    ("LoadVector", &[0x60]),
    ("LoadSideBySide", &[0x10]),
    ("RegistersSurvive", &[1000]),
];

#[test]
fn the_second_execution_does_what_the_first_did() {
    let (machine, image) = load();
    for (function, arguments) in CASES {
        let first = machine.value(&image, function, arguments);
        let notes = take_notes();
        for round in 0..3 {
            assert_eq!(
                machine.value(&image, function, arguments),
                first,
                "{function}{arguments:x?}, {round}"
            );
            assert_eq!(take_notes(), notes, "{function}{arguments:x?}, {round}");
        }
    }
}

#[test]
fn an_instruction_is_patched_when_it_has_faulted_and_nothing_else_changes() {
    let (machine, image) = load();
    for (function, arguments) in CASES {
        let before = code(&image);
        machine.value(&image, function, arguments);
        let after = code(&image);
        // Sites side by side change each other once more.
        if !["LoadSideBySide", "WriteAndRead"].contains(function) {
            machine.value(&image, function, arguments);
            assert_eq!(code(&image), after, "{function}: the second execution patches nothing");
        }
        let patched_before = CASES.iter().take_while(|case| **case != (*function, *arguments));
        let first = !patched_before.into_iter().any(|(name, _)| name == function);
        if first {
            assert_ne!(before, after, "{function}{arguments:x?}");
        }
    }
    take_notes();
}

#[test]
fn sites_side_by_side_give_way_to_each_other_and_come_to_rest() {
    let (machine, image) = load();
    let expected = word(0x10) ^ word(0x18) << 1 ^ word(0x10) << 2;
    let mut before = code(&image);
    let mut quiet = 0;
    for _ in 0..20 {
        assert_eq!(machine.value(&image, "LoadSideBySide", &[0x10]), expected);
        let after = code(&image);
        quiet = if before == after { quiet + 1 } else { 0 };
        before = after;
    }
    assert!(quiet > 8, "no execution faults any more");
    let address = image.export("LoadSideBySide").expect("exported") - image.base();
    let section = image.facts().sections.iter().find(|section| section.flags.execute).expect("code");
    let start = address - section.rva as usize;
    let jumps = before[start..start + 48].iter().filter(|byte| **byte == 0xE9).count();
    // The others have no free place to jump to in this small space.
    assert!(jumps >= 2, "{:x?}", &before[start..start + 48]);
}

#[test]
fn threads_that_execute_a_site_while_it_is_patched_all_get_it_right() {
    const THREADS: u64 = 4;
    let bytes = image("emulate");
    for _ in 0..20 {
        let machine = Machine::new();
        let image = machine.load("emulate", &bytes, &Kernel);
        let start = Barrier::new(4);
        // A kernel stack and an IRQL for each; a site reads the data of whoever patched it, so all stay to the end.
        let own: Vec<_> = (0..THREADS).map(|_| Machine::new()).collect();
        std::thread::scope(|scope| {
            for (number, own) in (0..).zip(&own) {
                let (start, image) = (&start, &image);
                scope.spawn(move || {
                    start.wait();
                    for round in 0..200 {
                        *own.irql.lock().expect("not poisoned") = 2;
                        let offset = 8 * (round % 512);
                        assert_eq!(own.value(image, "Load64", &[offset]), word(offset), "{number} {round}");
                        assert_eq!(own.value(image, "ReadCr8", &[]), 2);
                        assert_eq!(own.value(image, "WriteAndRead", &[2 + number]), 3 + number);
                        own.value(image, "WriteCr8", &[2]);
                    }
                });
            }
        });
    }
}

#[test]
fn a_patched_load_reads_other_addresses_too_and_faults_as_it_did_unpatched() {
    let (machine, image) = load();
    for round in 0..3 {
        assert_eq!(machine.value(&image, "LoadAnywhere", &[SHARED + 0x20]), word(0x20) + 155, "{round}");
        assert_eq!(machine.value(&image, "LoadAnywhere", &[0]), 1234 + 155, "{round}");
        assert_eq!(machine.value(&image, "LoadAnywhere", &[0x30]), ACCESS_VIOLATION, "{round}");
        assert_eq!(take_notes(), [ACCESS_VIOLATION, 0, 0x30], "{round}");
        // Not canonical: reported without its address.
        assert_eq!(machine.value(&image, "LoadAnywhere", &[1 << 62]), ACCESS_VIOLATION, "{round}");
        assert_eq!(take_notes(), [ACCESS_VIOLATION, 0, u64::MAX], "{round}");
    }
}

#[test]
fn a_value_that_is_no_irql_faults_at_a_patched_site_too() {
    let (machine, image) = load();
    machine.value(&image, "WriteCr8", &[3]);
    machine.value(&image, "WriteCr8", &[2]);
    for value in [16, 0x100, u64::MAX, 16] {
        assert_eq!(machine.value(&image, "WriteBadCr8", &[value]), ACCESS_VIOLATION, "{value:#x}");
    }
    assert_eq!(machine.value(&image, "WriteAndRead", &[7]), 8);
}

#[test]
fn a_frame_whose_return_address_is_a_patched_site_is_unwound() {
    const STATUS: u64 = 0xC000_0123;
    let (machine, image) = load();
    for _ in 0..3 {
        assert_eq!(machine.value(&image, "RaiseBeforeCr8", &[0]), 0);
        assert_eq!(take_notes(), [0, 1]);
        assert_eq!(machine.value(&image, "RaiseBeforeCr8", &[STATUS]), STATUS);
        assert_eq!(take_notes(), [0, 1]);
    }
}

#[test]
fn pages_of_stand_in_code_go_with_their_image() {
    let machine = Machine::new();
    let bytes = image("emulate");
    let mut places = Vec::new();
    for _ in 0..3 {
        let image = machine.load("emulate", &bytes, &Kernel);
        machine.value(&image, "ReadCr8", &[]);
        machine.value(&image, "Load64", &[8]);
        machine.value(&image, "Load64", &[8]);
        places.push(image.base());
        drop(image);
        assert_eq!(machine.outside_pages(), 0);
    }
    assert_eq!(places[0], places[2]);
}
