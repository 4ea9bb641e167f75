//! What applications and files must not be: images that are none, drivers that fail, paths, handles, lengths and limits
//! beyond what there is. Each ends in an error that says why, leaves nothing behind, and the machine goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use abi::NTSTATUS;
use app::{Device, OpenOptions};
use host::{
    Configuration, CreateFile, Event, Handle, LoadError, LoadOptions, Machine, TagUsage, Transport,
    UnloadOutcome,
};
use platform::linux::Linux;
use ringbridge_scenarios::{
    Form, HELLO, Watch, case_code, failure, machine_with, open, run_case, sys_path, words,
};

const ALLOW_MISSING: LoadOptions = LoadOptions { allow_missing: true };
const LIFE: &str = r"\\.\RbLife";

fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(sys_path(name)).expect("is built")
}

/// Everything of a machine that a failed attempt could leave something in.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    names: Vec<(String, String, String)>,
    pool: Vec<(String, u32, TagUsage)>,
    drivers: usize,
}

fn traces(machine: &Machine) -> Traces {
    let process = machine.process("inspector");
    let mut names = Vec::new();
    for directory in ["\\", r"\Device", r"\Driver", r"\GLOBAL??"] {
        let path: Vec<u16> = directory.encode_utf16().collect();
        for entry in process.query_directory(&path).expect("a directory") {
            names.push((format!("{directory} {}", entry.name), entry.type_name, entry.target));
        }
    }
    Traces { names, pool: machine.pool_usage(), drivers: machine.drivers().len() }
}

/// Loads an image that is refused; gives the reason.
fn refused(machine: &Machine, bytes: &[u8]) -> String {
    let before = traces(machine);
    let error = machine.load_image("bad", "bad.sys", bytes, ALLOW_MISSING).expect_err("is refused");
    assert_eq!(error.status(), abi::STATUS_INVALID_IMAGE_FORMAT, "{error}");
    assert_eq!(traces(machine), before, "{error}");
    error.to_string()
}

/// A sound image, to be spoilt.
struct Image {
    bytes: Vec<u8>,
    nt: usize,
}

const OPTIONAL: usize = 24;
const DIRECTORIES: usize = OPTIONAL + 112;
const SECTIONS: usize = OPTIONAL + 240;

impl Image {
    fn new() -> Self {
        let bytes = bytes_of("seh");
        let nt = u32::from_le_bytes(bytes[0x3C..0x40].try_into().expect("four bytes")) as usize;
        Self { bytes, nt }
    }

    fn half(mut self, at: usize, value: u32) -> Self {
        let at = self.nt + at;
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        self
    }

    fn short(mut self, at: usize, value: u16) -> Self {
        let at = self.nt + at;
        self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        self
    }

    fn read(&self, at: usize) -> u32 {
        let at = self.nt + at;
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("four bytes"))
    }

    /// Field `field` of the header of section `number`, from 0.
    fn section(self, number: usize, field: usize, value: u32) -> Self {
        self.half(SECTIONS + number * 40 + field, value)
    }

    /// Address and size of a data directory.
    fn directory(self, number: usize, address: u32, size: u32) -> Self {
        self.half(DIRECTORIES + number * 8, address).half(DIRECTORIES + number * 8 + 4, size)
    }

    /// File offset of a relative address.
    fn offset(&self, rva: u32) -> usize {
        let sections = (0..).map(|number| SECTIONS + number * 40);
        let at = sections.take(5).find(|at| {
            let start = self.read(at + 12);
            (start..start + self.read(at + 16)).contains(&rva)
        });
        let at = at.expect("lies in a section");
        (rva - self.read(at + 12) + self.read(at + 20)) as usize
    }

    fn content(mut self, rva: u32, bytes: &[u8]) -> Self {
        let at = self.offset(rva);
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }
}

#[test]
fn a_file_that_is_no_image_is_refused_with_the_reason() {
    let machine = Machine::new().expect("a machine");
    for (bytes, reason) in [
        (&b""[..], "does not begin with MZ"),
        (b"M", "does not begin with MZ"),
        (b"MZ", "DOS header"),
        (b"#!/bin/sh\necho no driver\n", "does not begin with MZ"),
        (b"\x7fELF\x02\x01\x01", "does not begin with MZ"),
        (&[0; 4096], "does not begin with MZ"),
    ] {
        let error = refused(&machine, bytes);
        assert!(error.contains(reason), "{error}");
    }
    let mut far = bytes_of("seh");
    far[0x3C..0x40].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(refused(&machine, &far).contains("PE signature"), "{}", refused(&machine, &far));
    far[0x3C..0x40].copy_from_slice(&0_u32.to_le_bytes());
    assert!(refused(&machine, &far).contains("no PE signature"), "{}", refused(&machine, &far));
}

#[test]
fn an_image_for_another_processor_is_refused_by_name() {
    let machine = Machine::new().expect("a machine");
    for (number, name) in [(0x14C, "32-bit x86"), (0xAA64, "ARM64"), (0x1C4, "32-bit ARM"), (0, "")] {
        let error = refused(&machine, &Image::new().short(4, number).bytes);
        assert!(error.contains("only x64 images can run here") && error.contains(name), "{error}");
    }
}

#[test]
fn programs_and_object_files_are_no_drivers() {
    let machine = Machine::new().expect("a machine");
    for subsystem in [2, 3, 10] {
        let error = refused(&machine, &Image::new().short(OPTIONAL + 68, subsystem).bytes);
        assert!(error.contains("not a driver"), "{error}");
    }
    let error = refused(&machine, &Image::new().short(22, 0).bytes);
    assert!(error.contains("object file"), "{error}");
    let error = refused(&machine, &Image::new().short(OPTIONAL, 0x10B).bytes);
    assert!(error.contains("64-bit"), "{error}");
}

#[test]
fn an_image_without_entry_has_no_driver_entry() {
    let machine = Machine::new().expect("a machine");
    let before = traces(&machine);
    let image = Image::new().half(OPTIONAL + 16, 0);
    let error = machine.load_image("bad", "bad.sys", &image.bytes, LoadOptions::default());
    let error = error.expect_err("is refused");
    assert!(error.to_string().contains("no entry point"), "{error}");
    assert_eq!(traces(&machine), before);
    refused(&machine, &Image::new().half(OPTIONAL + 16, 0x7FFF_FFFF).bytes);
}

#[test]
fn every_truncated_image_is_refused() {
    let machine = Machine::new().expect("a machine");
    let image = Image::new();
    let last = image.offset(image.read(DIRECTORIES + 5 * 8)) + image.read(DIRECTORIES + 5 * 8 + 4) as usize;
    let headers = 0..image.nt + SECTIONS + 5 * 40;
    for length in headers.chain((0x400..last).step_by(89)) {
        refused(&machine, &image.bytes[..length]);
    }
}

#[test]
fn tables_that_lie_outside_overlap_or_never_end_are_refused() {
    const EXPORTS: usize = 0;
    const IMPORTS: usize = 1;
    const FUNCTIONS: usize = 3;
    const RELOCATIONS: usize = 5;
    const LOAD_CONFIG: usize = 10;
    let machine = Machine::new().expect("a machine");
    let image = Image::new;
    let imports = image().read(DIRECTORIES + IMPORTS * 8);
    let relocations = image().read(DIRECTORIES + RELOCATIONS * 8);
    let functions = image().read(DIRECTORIES + FUNCTIONS * 8);
    let second = image().read(SECTIONS + 40 + 12);
    let spoilt: Vec<(&str, Image)> = vec![
        ("no sections", image().short(6, 0)),
        ("a thousand sections", image().short(6, 1000)),
        ("more sections than headers", image().short(6, 96)),
        ("a huge optional header", image().short(20, 0xFFFF)),
        ("no optional header", image().short(20, 0)),
        ("a huge image", image().half(OPTIONAL + 56, u32::MAX)),
        ("an image of no bytes", image().half(OPTIONAL + 56, 0)),
        ("an image smaller than its sections", image().half(OPTIONAL + 56, 0x1000)),
        ("huge headers", image().half(OPTIONAL + 60, u32::MAX)),
        ("a section alignment of 3", image().half(OPTIONAL + 32, 3)),
        ("a section alignment of 0", image().half(OPTIONAL + 32, 0)),
        ("a file alignment of 0", image().half(OPTIONAL + 36, 0)),
        ("a section over the headers", image().section(0, 12, 0)),
        ("a section over another", image().section(0, 12, second)),
        ("a section beyond the image", image().section(0, 12, 0x7FFF_F000)),
        ("a section of 4 GiB", image().section(0, 8, u32::MAX)),
        ("content beyond the file", image().section(0, 20, 0x7FFF_FE00)),
        ("content of 4 GiB", image().section(0, 16, u32::MAX).section(0, 8, 0x7000_0000)),
        ("imports outside", image().directory(IMPORTS, 0x7FFF_0000, 0x100)),
        ("imports at the end", image().directory(IMPORTS, u32::MAX - 3, 0x100)),
        ("imports whose names are outside", image().content(imports + 12, &[0xFF; 4])),
        ("imports whose tables are outside", image().content(imports + 16, &[0xFF; 4])),
        ("exports outside", image().directory(EXPORTS, 0x7FFF_0000, 0x100)),
        ("functions outside", image().directory(FUNCTIONS, 0x7FFF_0000, 0x0C)),
        ("a function table of 4 GiB", image().directory(FUNCTIONS, functions, u32::MAX)),
        ("a function whose end is before its start", image().content(functions, &[0xFF, 0xFF, 0, 0, 1])),
        ("relocations outside", image().directory(RELOCATIONS, 0x7FFF_0000, 0x100)),
        ("relocations of 4 GiB", image().directory(RELOCATIONS, relocations, u32::MAX)),
        ("a relocation block of no bytes", image().content(relocations + 4, &[0; 4])),
        ("a relocation block of 4 GiB", image().content(relocations + 4, &[0xFF; 4])),
        ("relocations of a page outside", image().content(relocations, &[0, 0xF0, 0xFF, 0x7F])),
        ("load configuration outside", image().directory(LOAD_CONFIG, 0x7FFF_0000, 0x100)),
    ];
    for (what, image) in spoilt {
        let before = traces(&machine);
        let result = machine.load_image("bad", "bad.sys", &image.bytes, LoadOptions::default());
        let error = result.expect_err(what);
        assert_eq!(error.status(), abi::STATUS_INVALID_IMAGE_FORMAT, "{what}: {error}");
        assert!(error.to_string().len() > 40, "{what}: {error}");
        assert_eq!(traces(&machine), before, "{what}");
    }
    HELLO.load(&machine, Form::Sys);
}

#[test]
fn unwind_data_that_leads_nowhere_or_in_a_circle_ends_in_a_bugcheck() {
    let image = Image::new();
    // Every function's unwind data says: chained, to the function itself.
    let functions = image.read(DIRECTORIES + 3 * 8);
    let count = image.read(DIRECTORIES + 3 * 8 + 4) / 12;
    let at = image.offset(functions);
    let entry: [u8; 12] = image.bytes[at..at + 12].try_into().expect("twelve bytes");
    let unwind = u32::from_le_bytes(entry[8..].try_into().expect("four bytes"));
    let mut chained = vec![0x21, 0, 0, 0];
    chained.extend(entry);
    let all = |image: Image, what: &[u8]| {
        (0..count).fold(image, |image, number| image.content(functions + 12 * number + 8, what))
    };
    for image in [
        all(image.content(unwind, &chained), &unwind.to_le_bytes()),
        all(Image::new(), &[0xFC; 4]),
        all(Image::new(), &[0xFF; 4]),
        all(Image::new(), &[0; 4]),
    ] {
        let machine = Machine::new().expect("a machine");
        machine
            .load_image("lost", "lost.sys", &image.bytes, LoadOptions::default())
            .expect("is not looked at");
        let process = machine.process("lost");
        let device = open(&process, r"\\.\RbSeh");
        assert_eq!(failure(run_case(&device, 2, &[0x30])), abi::STATUS_DEVICE_NOT_CONNECTED);
        let report = machine.bugcheck().expect("the machine has stopped");
        assert_eq!(report.bugcheck.stop.code, 0x1E, "{report}");
        assert_eq!(report.bugcheck.stack[0].image, "lost.sys", "{report}");
    }
}

#[test]
fn what_cannot_be_read_names_the_file() {
    let machine = Machine::new().expect("a machine");
    let folder = tempfile::tempdir().expect("a folder");
    let before = traces(&machine);
    let fifo = folder.path().join("fifo.sys");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().expect("runs").success());
    for path in [folder.path().to_owned(), folder.path().join("no.sys"), fifo, "/dev/zero".into(), "".into()]
    {
        let error = machine.load(&path, LoadOptions::default()).expect_err("is refused");
        assert!(matches!(error, LoadError::Read { .. }), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
    assert_eq!(traces(&machine), before);
    let empty = folder.path().join("empty.sys");
    std::fs::write(&empty, b"").expect("written");
    let error = machine.load(&empty, LoadOptions::default()).expect_err("is refused");
    assert!(error.to_string().contains("not a Windows image"), "{error}");
}

#[test]
fn a_service_name_is_one_part_of_a_path() {
    let machine = Machine::new().expect("a machine");
    let before = traces(&machine);
    let bytes = bytes_of("hello");
    for name in ["", r"a\b", r"\", &"n".repeat(256), &"n".repeat(40_000)] {
        let error = machine.load_image(name, "hello.sys", &bytes, LoadOptions::default());
        assert_eq!(error.expect_err("is refused").status(), abi::STATUS_OBJECT_NAME_INVALID, "{name}");
        assert_eq!(traces(&machine), before, "{name}");
    }
    let longest = "n".repeat(255);
    machine.load_image(&longest, "hello.sys", &bytes, LoadOptions::default()).expect("loads");
    assert!(matches!(machine.unload(&longest), Ok(UnloadOutcome::Unloaded(_))));
}

#[test]
fn missing_imports_are_all_named_and_nothing_is_loaded() {
    let machine = Machine::new().expect("a machine");
    let before = traces(&machine);
    let error = machine.load(&sys_path("lacking"), LoadOptions::default()).expect_err("is refused");
    assert_eq!(error.status(), abi::STATUS_DRIVER_ENTRYPOINT_NOT_FOUND);
    let text = error.to_string();
    for part in ["(2)", "ntoskrnl.exe!PsSuspendProcess", "ntoskrnl.exe!PsResumeProcess", "allowed"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let error = machine.load(&sys_path("unknown"), LoadOptions::default()).expect_err("is refused");
    let text = error.to_string();
    assert!(text.contains("!RbNoSuchExport") && text.contains("!PsSuspendProcess"), "{text}");
    assert_eq!(traces(&machine), before);
}

#[test]
fn what_is_known_but_missing_raises_not_implemented_when_it_is_called() {
    let machine = Machine::new().expect("a machine");
    let watch = Watch::on(&machine);
    machine.load(&sys_path("lacking"), ALLOW_MISSING).expect("loads");
    let process = machine.process("caller");
    let device = open(&process, r"\Device\RbLacking");
    let named = |name: &str| {
        watch.events().iter().any(|event| matches!(event, Event::NotImplemented { what } if *what == name))
    };
    assert!(!named("PsSuspendProcess"));
    assert_eq!(failure(device.read(&mut [0])), abi::STATUS_NOT_IMPLEMENTED, "taken by the driver");
    assert!(named("PsSuspendProcess") && !named("PsResumeProcess"));
    assert_eq!(failure(device.write(&[0])), abi::STATUS_DEVICE_NOT_CONNECTED, "taken by nobody");
    assert!(named("PsResumeProcess"));
    let stop = machine.bugcheck().expect("the machine has stopped").bugcheck.stop;
    assert_eq!((stop.code, stop.parameters[0]), (0x1E, 0xC000_0002));
}

#[test]
fn what_nobody_knows_is_missing_also_when_missing_imports_are_allowed() {
    let machine = Machine::new().expect("a machine");
    let before = traces(&machine);
    let error = machine.load(&sys_path("unknown"), ALLOW_MISSING).expect_err("is refused");
    let text = error.to_string();
    assert!(text.contains("!RbNoSuchExport") && !text.contains("PsSuspendProcess"), "{text}");
    assert!(!text.contains("with missing imports allowed"), "advice that does not help: {text}");
    assert_eq!(traces(&machine), before);
}

#[test]
fn a_driver_entry_that_fails_is_told_with_what_it_left_behind() {
    let machine = Machine::new().expect("a machine");
    let error = machine.load(&sys_path("fail"), LoadOptions::default()).expect_err("fails");
    assert_eq!(error.status(), abi::STATUS_UNSUCCESSFUL);
    let text = error.to_string();
    for part in [
        "STATUS_UNSUCCESSFUL (0xC0000001)",
        r"device \Device\RbFail",
        r"symbolic link \GLOBAL??\RbFail",
        "5100 bytes of pool in 2 blocks with tag 'Fail'",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(machine.drivers().is_empty());
    let process = machine.process("hopeful");
    for path in [r"\\.\RbFail", r"\Device\RbFail"] {
        let error = Device::open(&process, path).expect_err("nobody serves it");
        assert_eq!(error.status, abi::STATUS_NO_SUCH_DEVICE, "{path}");
    }
    // It stays unusable, and the machine goes on.
    let again = machine.load(&sys_path("fail"), LoadOptions::default()).expect_err("fails again");
    assert_eq!(again.status(), abi::STATUS_UNSUCCESSFUL);
    HELLO.load(&machine, Form::Sys);
    open(&process, r"\\.\My_Device").read(&mut [0; 4]).expect("reads");
    assert!(machine.bugcheck().is_none());
}

#[test]
fn a_driver_entry_that_fails_cleanly_leaves_nothing() {
    let machine = Machine::new().expect("a machine");
    let bytes = bytes_of("fail");
    let load = || machine.load_image("fail_cleanly", "fail.sys", &bytes, LoadOptions::default());
    // The first load also makes the system process's thread for this Linux thread, which stays.
    load().expect_err("fails");
    let before = traces(&machine);
    for _ in 0..50 {
        let error = load().expect_err("fails");
        let LoadError::DriverEntry { status, left } = error else { panic!("{error}") };
        assert!(status == abi::STATUS_UNSUCCESSFUL && left.is_clean(), "{left:?}");
    }
    assert_eq!(traces(&machine), before);
}

#[test]
fn a_driver_entry_that_faults_stops_its_machine() {
    let bytes = bytes_of("fail");
    for (name, code) in [("fail_by_fault", 0x1E), ("fail_by_bug_check", 0xDEAD)] {
        let machine = Machine::new().expect("a machine");
        let error = machine.load_image(name, "fail.sys", &bytes, LoadOptions::default());
        assert!(matches!(error, Err(LoadError::Halted)), "{error:?}");
        let report = machine.bugcheck().expect("the machine has stopped");
        assert_eq!(report.bugcheck.stop.code, code, "{report}");
        assert_eq!(report.bugcheck.stack[0].image, "fail.sys", "{report}");
        assert_eq!(report.bugcheck.irp, 0, "no request is at work: {report}");
    }
}

#[test]
fn unloading_what_cannot_be_unloaded_says_why() {
    let machine = Machine::new().expect("a machine");
    assert_eq!(machine.unload("nobody"), Err(abi::STATUS_OBJECT_NAME_NOT_FOUND));
    assert_eq!(machine.unload(""), Err(abi::STATUS_OBJECT_NAME_NOT_FOUND));
    machine
        .load_image("fail_to_unload", "fail.sys", &bytes_of("fail"), LoadOptions::default())
        .expect("loads");
    assert_eq!(machine.unload("fail_to_unload"), Err(abi::STATUS_INVALID_DEVICE_REQUEST), "no DriverUnload");
    assert_eq!(machine.drivers().len(), 1);
}

#[test]
fn a_driver_is_loaded_once() {
    let machine = machine_with("hello");
    let before = traces(&machine);
    for name in ["hello", "HELLO", "Hello"] {
        let error = machine.load_image(name, "hello.sys", &bytes_of("hello"), LoadOptions::default());
        let error = error.expect_err("is loaded");
        assert_eq!(error.status(), abi::STATUS_IMAGE_ALREADY_LOADED, "{error}");
        assert!(error.to_string().contains("unload it first"), "{error}");
    }
    // Under another name it is another driver, whose device's name is taken.
    let error = machine.load_image("other", "hello.sys", &bytes_of("hello"), LoadOptions::default());
    let LoadError::DriverEntry { status, left } = error.expect_err("the name is taken") else { panic!() };
    assert!(status == abi::STATUS_OBJECT_NAME_COLLISION && left.is_clean(), "{status:?} {left:?}");
    assert_eq!(traces(&machine), before);
}

#[test]
fn of_many_threads_that_load_a_driver_one_does() {
    let bytes = bytes_of("hello");
    for _ in 0..10 {
        let machine = Machine::new().expect("a machine");
        let loaded = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    match machine.load_image("hello", "hello.sys", &bytes, LoadOptions::default()) {
                        Ok(()) => _ = loaded.fetch_add(1, Ordering::Relaxed),
                        Err(error) => assert!(matches!(error, LoadError::AlreadyLoaded(_)), "{error}"),
                    }
                });
            }
        });
        assert_eq!((loaded.into_inner(), machine.drivers().len()), (1, 1));
        assert!(matches!(machine.unload("hello"), Ok(UnloadOutcome::Unloaded(report)) if report.is_clean()));
    }
}

fn create(process: &dyn Transport, path: &[u16]) -> Result<(Handle, u64), NTSTATUS> {
    process.create_file(&CreateFile {
        path,
        desired_access: abi::GENERIC_READ | abi::SYNCHRONIZE,
        file_attributes: 0,
        share_access: 0,
        create_disposition: abi::FILE_OPEN,
        create_options: abi::FILE_SYNCHRONOUS_IO_NONALERT,
        security_qos: None,
    })
}

#[test]
fn paths_are_as_long_as_a_unicode_string_can_be() {
    let machine = machine_with("life");
    let process = machine.process("long paths");
    let path = |length: usize| {
        let mut path: Vec<u16> = r"\Device\RbLife\".encode_utf16().collect();
        path.resize(length, u16::from(b'x'));
        path
    };
    for length in [100, 32_766, 32_767] {
        let (handle, _) = create(&process, &path(length)).expect("opens");
        assert!(process.close(handle).is_success());
    }
    for length in [32_768, 65_536, 1 << 20] {
        assert_eq!(create(&process, &path(length)), Err(abi::STATUS_OBJECT_NAME_INVALID), "{length}");
    }
    let mut unknown: Vec<u16> = r"\Device\".encode_utf16().collect();
    unknown.resize(32_767, u16::from(b'x'));
    assert_eq!(create(&process, &unknown), Err(abi::STATUS_OBJECT_NAME_NOT_FOUND));
    assert!(process.query_directory(&path(1 << 20)).is_err());
    assert_eq!(process.open_handles(), 0);
}

#[test]
fn paths_with_empty_parts_lead_nowhere_before_the_device() {
    let machine = machine_with("life");
    let process = machine.process("odd paths");
    for path in ["", "RbLife", r"Device\RbLife", r"\\Device\RbLife", r"\Device\\RbLife", r"\??\\RbLife"] {
        let path: Vec<u16> = path.encode_utf16().collect();
        assert_eq!(create(&process, &path), Err(abi::STATUS_OBJECT_PATH_SYNTAX_BAD));
    }
    for path in ["\\", r"\Device", r"\??", r"\Device\", r"\??\"] {
        let path: Vec<u16> = path.encode_utf16().collect();
        assert_eq!(create(&process, &path), Err(abi::STATUS_OBJECT_TYPE_MISMATCH), "no file");
    }
    for path in [r"\Nowhere\RbLife", r"\Device\Nowhere\RbLife"] {
        let path: Vec<u16> = path.encode_utf16().collect();
        assert_eq!(create(&process, &path), Err(abi::STATUS_OBJECT_PATH_NOT_FOUND));
    }
    // Behind the device, all is the driver's matter.
    for rest in ["\\", r"\\", r"\a\\b\", r"\..\..", "\\\u{0}\\\u{FFFF}"] {
        open(&process, &format!("{LIFE}{rest}")).close().expect("closes");
    }
    let lone_surrogate = [r"\Device\RbLife\".encode_utf16().collect(), vec![0xD800, 0]].concat();
    assert!(create(&process, &lone_surrogate).is_ok());
}

#[test]
fn handles_that_never_existed_are_invalid() {
    let machine = machine_with("life");
    let process = machine.process("guesser");
    let other = machine.process("other");
    let device = open(&process, LIFE);
    let mine = device.handle().0;
    for value in [0, 1, 3, mine + 4, mine + 400, 0x7FFF_FFFC, u32::MAX, u32::MAX - 3] {
        let handle = Handle(value);
        assert_eq!(process.read(handle, &mut [0; 4], None).status, abi::STATUS_INVALID_HANDLE, "{value:#x}");
        assert_eq!(process.write(handle, &[0; 4], None).status, abi::STATUS_INVALID_HANDLE, "{value:#x}");
        let control = process.device_control(handle, case_code(0).0, &[], &mut []);
        assert_eq!(control.status, abi::STATUS_INVALID_HANDLE, "{value:#x}");
        assert_eq!(process.close(handle), abi::STATUS_INVALID_HANDLE, "{value:#x}");
    }
    assert_eq!(other.close(device.handle()), abi::STATUS_INVALID_HANDLE, "another process's");
    assert_eq!(other.write(device.handle(), &[0], None).status, abi::STATUS_INVALID_HANDLE);
    // The low two bits are the application's to use.
    assert!(process.write(Handle(mine | 3), &[0], None).status.is_success());
    device.close().expect("closes");
    assert_eq!(process.write(Handle(mine), &[0], None).status, abi::STATUS_INVALID_HANDLE);
    assert_eq!(process.close(Handle(mine)), abi::STATUS_INVALID_HANDLE);
}

#[test]
fn the_same_handle_is_closed_once_also_by_many_threads() {
    let machine = machine_with("life");
    let process = machine.process("closers");
    for _ in 0..50 {
        let device = open(&process, LIFE);
        let handle = device.handle();
        std::mem::forget(device);
        let closed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| match process.close(handle) {
                    abi::STATUS_SUCCESS => _ = closed.fetch_add(1, Ordering::Relaxed),
                    status => assert_eq!(status, abi::STATUS_INVALID_HANDLE),
                });
            }
        });
        assert_eq!(closed.into_inner(), 1);
    }
    assert_eq!(process.open_handles(), 0);
}

#[test]
fn rights_that_were_not_asked_for_are_not_there() {
    let machine = machine_with("life");
    let process = machine.process("careful");
    let reader = OpenOptions::new().access(abi::FILE_READ_DATA).open(&process, LIFE).expect("opens");
    assert_eq!(failure(reader.write(&[1])), abi::STATUS_ACCESS_DENIED);
    assert_eq!(failure(reader.read(&mut [0])), abi::STATUS_INVALID_DEVICE_REQUEST, "reaches the driver");
    let writer = OpenOptions::new().access(abi::FILE_APPEND_DATA).open(&process, LIFE).expect("opens");
    assert_eq!(writer.write(&[1]), Ok(1));
    assert_eq!(failure(writer.read(&mut [0])), abi::STATUS_ACCESS_DENIED);
}

#[test]
fn create_parameters_that_contradict_each_other_are_invalid() {
    let machine = machine_with("life");
    let process = machine.process("contradictory");
    let path: Vec<u16> = r"\??\RbLife".encode_utf16().collect();
    let sound = CreateFile {
        path: &path,
        desired_access: abi::FILE_READ_DATA | abi::SYNCHRONIZE,
        file_attributes: 0,
        share_access: 0,
        create_disposition: abi::FILE_OPEN,
        create_options: abi::FILE_SYNCHRONOUS_IO_NONALERT,
        security_qos: None,
    };
    let both = abi::FILE_SYNCHRONOUS_IO_ALERT | abi::FILE_SYNCHRONOUS_IO_NONALERT;
    for request in [
        CreateFile { create_options: both, ..sound },
        CreateFile { desired_access: abi::FILE_READ_DATA, ..sound },
        CreateFile { create_disposition: abi::FILE_MAXIMUM_DISPOSITION + 1, ..sound },
        CreateFile { create_disposition: u32::MAX, ..sound },
    ] {
        assert_eq!(process.create_file(&request), Err(abi::STATUS_INVALID_PARAMETER), "{request:?}");
    }
    let (handle, _) = process.create_file(&sound).expect("opens");
    assert!(process.close(handle).is_success());
}

#[test]
fn a_transfer_larger_than_the_pool_is_refused_and_harms_nothing() {
    let machine = machine_with("wrong");
    let process = machine.process("greedy");
    let device = open(&process, r"\\.\RbWrong");
    let before = traces(&machine);
    let mut huge = vec![0; 2 << 30];
    let information = case_code(21);
    assert_eq!(
        failure(device.control(information, &words(&[4]), &mut huge)),
        abi::STATUS_INSUFFICIENT_RESOURCES
    );
    assert_eq!(failure(device.control(information, &huge, &mut [])), abi::STATUS_INSUFFICIENT_RESOURCES);
    assert_eq!(failure(device.read(&mut huge)), abi::STATUS_INSUFFICIENT_RESOURCES);
    assert_eq!(failure(device.write(&huge)), abi::STATUS_INSUFFICIENT_RESOURCES);
    assert!(huge.iter().step_by(4096).all(|byte| *byte == 0));
    assert_eq!(traces(&machine), before);
    assert_eq!(device.control(information, &words(&[4]), &mut huge[..8]), Ok(4));
    // The driver answers as many bytes as the application asks for, 64 MiB of them.
    let length = 64 << 20;
    assert_eq!(device.control(information, &words(&[length as u64]), &mut huge[..length]), Ok(64 << 20));
    assert!(huge[8..length].iter().all(|byte| *byte == 0xAB) && huge[length] == 0);
    assert_eq!(traces(&machine), before);
}

/// What a machine with this much pool is good for: how far it got.
fn live_on(pool_limit: usize) -> usize {
    let Ok(machine) = Machine::with(Arc::new(Linux::new()), Configuration { processors: 1, pool_limit })
    else {
        return 0;
    };
    let options = LoadOptions::default();
    if let Err(error) = machine.load(&sys_path("hello"), options) {
        assert_eq!(error.status(), abi::STATUS_INSUFFICIENT_RESOURCES, "{pool_limit}: {error}");
        assert!(machine.drivers().is_empty(), "{pool_limit}");
        return 1;
    }
    let process = machine.process("poor");
    let device = match Device::open(&process, r"\\.\My_Device") {
        Ok(device) => device,
        Err(error) => {
            assert_eq!(error.status, abi::STATUS_INSUFFICIENT_RESOURCES, "{pool_limit}");
            assert_eq!(process.open_handles(), 0, "{pool_limit}");
            return 2;
        }
    };
    let refused = [
        device.read(&mut [0; 8]).err(),
        device.write(&[0; 20_000]).err(),
        device.read(&mut vec![0; 20_000]).err(),
    ];
    for error in refused.iter().flatten() {
        assert_eq!(error.status, abi::STATUS_INSUFFICIENT_RESOURCES, "{pool_limit}");
    }
    device.close().expect("closing needs no memory");
    let Ok(UnloadOutcome::Unloaded(report)) = machine.unload("hello") else { panic!("{pool_limit}") };
    assert!(report.is_clean(), "{pool_limit}: {report:?}");
    assert!(machine.bugcheck().is_none(), "{pool_limit}");
    3 + usize::from(refused.iter().all(Option::is_none))
}

#[test]
fn a_machine_with_too_little_pool_says_so_wherever_it_runs_out() {
    let reached: Vec<_> = (0..64 << 10).step_by(251).map(live_on).collect();
    assert!(reached.is_sorted(), "more pool is never worse: {reached:?}");
    for stage in [0, 1, 2, 3, 4] {
        assert!(reached.contains(&stage), "stage {stage} was never reached: {reached:?}");
    }
}
