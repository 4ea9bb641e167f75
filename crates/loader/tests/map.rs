//! Real images in memory: placed, relocated, bound, protected, and gone again.

#![expect(unsafe_code, reason = "loaded code is called")]

extern crate ringbridge_loader as loader;

mod support;

use loader::map::{ImageSpace as _, MapError, Options, Resolution, Resolver, map};
use loader::pe::{ImageError, ImportSymbol};
use platform::images;
use platform::memory::Scalar as _;
use support::machine::{Machine, note, take_notes};
use support::{image, image_with};

static VARIABLE: u32 = 1000;

extern "win64" fn note_and_double(value: u32) -> u32 {
    note(u64::from(value));
    value * 2
}

extern "win64" fn add_one(value: u32) -> u32 {
    value + 1
}

struct Kernel;

impl Resolver for Kernel {
    fn resolve(&self, dll: &str, symbol: ImportSymbol<'_>) -> Resolution {
        assert_eq!(dll, "ntoskrnl.exe");
        match symbol {
            ImportSymbol::Name("Note") => Resolution::Function(note_and_double as *const () as usize),
            ImportSymbol::Ordinal(7) => Resolution::Function(add_one as *const () as usize),
            ImportSymbol::Name("SystemVariable") => Resolution::Data((&raw const VARIABLE).addr()),
            ImportSymbol::Name("Stubbed") => Resolution::Stub(add_one as *const () as usize, "Stubbed"),
            _ => Resolution::Missing,
        }
    }
}

#[test]
fn driver_entry_runs_and_its_result_comes_back() {
    let machine = Machine::new();
    let image = machine.load("simple", &image("simple"), &Kernel);
    let entry = image.entry().expect("an entry");
    let result = machine.enter(|region| {
        // SAFETY: DriverEntry of a mapped image, with two arguments that it does not use.
        unsafe { platform::landing::call(region, platform::landing::Code::Image, entry, &[0, 0]) }
    });
    assert_eq!(result.expect("it returns"), 42);
}

#[test]
fn imports_by_name_by_ordinal_and_of_data_are_bound() {
    let machine = Machine::new();
    let image = machine.load("simple", &image("simple"), &Kernel);
    assert_eq!(machine.value(&image, "CallImports", &[10]), 20 + 11 + 1000);
    assert_eq!(take_notes(), [10]);
}

#[test]
fn pointers_are_relocated_and_data_beyond_the_file_is_zero() {
    let machine = Machine::new();
    let image = machine.load("simple", &image("simple"), &Kernel);
    assert_ne!(image.base() as u64, image.facts().preferred_base);
    assert_eq!(machine.value(&image, "ReadThroughPointers", &[]), 42 + u64::from(b't'));
}

#[test]
fn all_missing_imports_are_named_at_once_and_nothing_is_mapped() {
    let machine = Machine::new();
    let error = map("missing", &image("missing"), machine.space(), &Kernel, Options::default())
        .expect_err("two imports are missing");
    let text = error.to_string();
    assert!(text.contains("2 imports are missing"), "{text}");
    assert!(text.contains("ntoskrnl.exe!Missing"), "{text}");
    assert!(text.contains("ntoskrnl.exe!Stubbed (not implemented)"), "{text}");
    let free = machine.space().allocate(0x1000).expect("room");
    assert!(images::find(free).is_none());
}

#[test]
fn stubs_are_bound_and_listed_when_the_caller_allows_them() {
    let machine = Machine::new();
    let options = Options { allow_stubs: true, ..Options::default() };
    let error = map("missing", &image("missing"), machine.space(), &Kernel, options);
    let Err(MapError::MissingImports(missing)) = error else { panic!("Missing is still missing: {error:?}") };
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].symbol, "Missing");

    struct Lenient;
    impl Resolver for Lenient {
        fn resolve(&self, _: &str, symbol: ImportSymbol<'_>) -> Resolution {
            match Kernel.resolve("ntoskrnl.exe", symbol) {
                Resolution::Missing => Resolution::Function(add_one as *const () as usize),
                found => found,
            }
        }
    }
    let image = map("missing", &image("missing"), machine.space(), &Lenient, options).expect("bound");
    assert_eq!(image.stubs().len(), 1);
    assert_eq!(image.stubs()[0].to_string(), "ntoskrnl.exe!Stubbed (not implemented)");
}

#[test]
fn an_image_without_relocations_lies_at_its_own_base_or_is_refused_with_the_reason() {
    let machine = Machine::new();
    let bytes = image_with("simple", &["/FIXED", "/BASE:0x17000000"]);
    let first = machine.load("fixed", &bytes, &Kernel);
    assert_eq!(first.base(), 0x1700_0000);
    assert_eq!(machine.value(&first, "ReadThroughPointers", &[]), 42 + u64::from(b't'));
    let second = map("again", &bytes, machine.space(), &Kernel, Options::default()).expect_err("taken");
    let text = second.to_string();
    assert!(text.contains("no relocations") && text.contains("0x17000000"), "{text}");
    drop(first);
    machine.load("later", &bytes, &Kernel);
}

#[test]
fn sections_get_the_protection_they_ask_for() {
    let machine = Machine::new();
    let image = machine.load("simple", &image("simple"), &Kernel);
    machine.enter(|_| {
        for section in &image.facts().sections {
            let address = (image.base() + section.rva as usize) as u64;
            assert!(u8::read(address).is_ok(), "{section:?}");
            // SAFETY: the byte is written back as it was.
            let written = unsafe { u8::write(address, u8::read(address).expect("readable")) };
            assert_eq!(written.is_ok(), section.flags.write, "{section:?}");
        }
        // SAFETY: nothing else uses the header.
        assert!(unsafe { u8::write(image.base() as u64, 0) }.is_err());
    });
}

#[test]
fn dropping_an_image_unmaps_and_unregisters_it() {
    let machine = Machine::new();
    let image = machine.load("simple", &image("simple"), &Kernel);
    let range = image.range();
    let found = images::find(range.end - 1).expect("registered");
    assert_eq!((found.start, found.end), (range.start, range.end));
    drop(image);
    assert!(images::find(range.start).is_none());
    machine.enter(|_| assert!(u8::read(range.start as u64).is_err()));
}

#[test]
fn two_images_do_not_overlap_and_a_hole_is_used_again() {
    let machine = Machine::new();
    let bytes = image("simple");
    let first = machine.load("first", &bytes, &Kernel);
    let second = machine.load("second", &bytes, &Kernel);
    assert!(first.range().end < second.range().start);
    let base = first.base();
    drop(first);
    assert_eq!(machine.load("third", &bytes, &Kernel).base(), base);
}

#[test]
fn discardable_sections_are_gone_after_initialisation() {
    let machine = Machine::new();
    let image = machine.load("simple", &image_with("simple", &["/SECTION:INIT,ERD"]), &Kernel);
    assert_eq!(machine.value(&image, "OnlyAtStart", &[]), 5);
    image.discard_initialisation().expect("protection changes");
    let start = image.export("OnlyAtStart").expect("exported") as u64;
    machine.enter(|_| assert!(u8::read(start).is_err()));
    assert_eq!(machine.value(&image, "Add", &[2, 3]), 5);
}

#[test]
fn the_security_cookie_is_seeded_before_any_code_runs() {
    let machine = Machine::new();
    let bytes = image("guarded");
    let cookie = machine.value(&machine.load("guarded", &bytes, &Kernel), "Cookie", &[]);
    assert_ne!(cookie, 0);
    assert_ne!(cookie, 0x2B99_2DDF_A232);
    let options = Options { security_cookie: Some(0x1122_3344), ..Options::default() };
    let chosen = map("guarded", &bytes, machine.space(), &Kernel, options).expect("mapped");
    assert_eq!(machine.value(&chosen, "Cookie", &[]), 0x1122_3344);
}

#[test]
fn control_flow_guard_pointers_lead_to_checks_that_check_nothing() {
    let machine = Machine::new();
    let image = machine.load("guarded", &image("guarded"), &Kernel);
    assert_eq!(machine.value(&image, "CheckIsOwn", &[]), 1);
    assert_eq!(machine.value(&image, "CallThroughDispatch", &[]), 77);
}

#[test]
fn a_program_is_not_a_driver() {
    let machine = Machine::new();
    let bytes = image_with("simple", &["/SUBSYSTEM:CONSOLE"]);
    let error = map("program", &bytes, machine.space(), &Kernel, Options::default());
    assert!(matches!(error, Err(MapError::Image(ImageError::NotADriver(3)))), "{error:?}");
}
