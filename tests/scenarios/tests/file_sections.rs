//! Sections of files (row M7): what `filesystem.sys` keeps, shown to applications and drivers. `tests/drivers/filesystem.c` says what
//! its requests do.

use abi::{NTSTATUS, PAGE_READONLY, PAGE_READWRITE, SEC_COMMIT, SECTION_ALL_ACCESS};
use app::{ControlCode, Device, FileMapping, MappingAccess, OpenOptions, Transport};
use gate::SystemCall;
use host::{LoadOptions, SectionUsage};
use ringbridge_scenarios::{
    Beside, PATIENCE, as_application, checksum, embedded, in_another_process, machine_with, open, pattern,
    say_ready, serve, sys_path, unload_when_closed, wait_to_go_on, with_driver, words,
};

const DRIVER: &str = "filesystem";
const ONE: &str = r"\\.\RbFs\one";
const TWO: &str = r"\\.\RbFs\TWO";
const PLAIN: &str = r"\\.\RbFs\plain";

const STATE: u32 = 0;
const FILL: u32 = 1;
const CHECKSUM: u32 = 2;
const REFUSE_WRITES: u32 = 3;
const REFUSE_READS: u32 = 4;

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    size: u64,
    reads: u64,
    writes: u64,
    last_read: u64,
    last_write: u64,
    open: u64,
    cleanups: u64,
}

fn call(file: &Device<'_>, number: u32, inputs: &[u64]) -> [u64; 8] {
    let code = abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x900 + number, abi::METHOD_BUFFERED, 0);
    let mut answer = [0; 64];
    assert_eq!(file.control(ControlCode(code), &words(inputs), &mut answer).expect("is answered"), 64);
    std::array::from_fn(|index| u64::from_le_bytes(answer[index * 8..][..8].try_into().expect("eight bytes")))
}

fn state(file: &Device<'_>) -> State {
    let [size, reads, writes, last_read, last_write, open, wrong, cleanups] = call(file, STATE, &[]);
    assert_eq!(wrong, 0, "paging I/O is of whole pages, with an MDL, kernel mode's, below DISPATCH_LEVEL");
    State { size, reads, writes, last_read, last_write, open, cleanups }
}

fn status(
    transport: &dyn Transport,
    file: &Device<'_>,
    size: u64,
    protection: u32,
    attributes: u32,
) -> NTSTATUS {
    let call = SystemCall::CreateSection {
        name: &[],
        desired_access: SECTION_ALL_ACCESS,
        size,
        protection,
        attributes,
        file: Some(file.handle()),
    };
    let reply = transport.system_call(&call, &mut []);
    if reply.status.is_success() {
        transport.close(reply.handle);
    }
    reply.status
}

fn a_file_is_seen_and_changed_by_its_views(transport: &dyn Transport) {
    let file = open(transport, ONE);
    call(&file, FILL, &[10_000, 3]);
    let mapping = FileMapping::of_file(transport, &file, 0, MappingAccess::ReadWrite).expect("is made");
    let view = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("is shown");
    let mut bytes = vec![0; 10_000];
    view.read(0, &mut bytes).expect("shown");
    assert!(bytes == pattern(10_000, 3));
    let mut behind = [1; 2288];
    view.read(10_000, &mut behind).expect("the last page is shown whole");
    assert_eq!(behind, [0; 2288], "and is zero behind the file's end");
    assert_eq!(state(&file).last_read, 12_288, "whole pages are read");

    // Another section of the same file, by another open of it, shows the same pages.
    let again = open(transport, &ONE.to_uppercase());
    let other = FileMapping::of_file(transport, &again, 5000, MappingAccess::Read).expect("is made");
    let seen = other.map(MappingAccess::Read, 0, 0).expect("is shown");
    assert_eq!(seen.len(), 8192);
    view.write(4000, b"changed").expect("writable");
    let mut text = [0; 7];
    seen.read(4000, &mut text).expect("shown");
    assert_eq!((&text, state(&file).writes), (b"changed", 0), "at once, and not yet in the file");
    let part = other.map(MappingAccess::Read, 0, 8193).expect_err("the section has 5000 bytes");
    assert_eq!(part.code, abi::ERROR_ACCESS_DENIED);

    // A flush writes what has changed of what it is asked for.
    view.write(9999, b"end and beyond").expect("writable");
    view.flush(0, 4096).expect("is written");
    assert_eq!((state(&file).writes, state(&file).last_write), (1, 4096));
    view.flush(0, 0).expect("is written");
    bytes[4000..4007].copy_from_slice(b"changed");
    bytes[9999] = b'e';
    assert_eq!(call(&file, CHECKSUM, &[])[0], checksum(&bytes));
    assert_eq!((state(&file).writes, state(&file).size), (2, 10_000), "a file gets no longer by its pages");
    view.flush(0, 0).expect("nothing to do");
    assert_eq!(state(&file).writes, 2);

    // And with the last use of the pages: views keep them though all handles are closed.
    view.write(0, b"last").expect("writable");
    drop((mapping, other, again));
    drop(view);
    assert_eq!(state(&file).writes, 2, "a view is left");
    drop(seen);
    bytes[..4].copy_from_slice(b"last");
    assert_eq!((call(&file, CHECKSUM, &[])[0], state(&file).writes), (checksum(&bytes), 3));
    assert_eq!(state(&file).open, 1, "the pages held a reference to a file that was closed");
    // What is shown next is read anew.
    call(&file, FILL, &[100, 9]);
    let mapping = FileMapping::of_file(transport, &file, 0, MappingAccess::Read).expect("is made");
    let view = mapping.map(MappingAccess::Read, 0, 0).expect("is shown");
    let mut bytes = vec![0; 100];
    view.read(0, &mut bytes).expect("shown");
    assert!(bytes == pattern(100, 9));
    assert!(view.store_u32(0, 1).is_err(), "only to be read");
}

#[test]
fn a_file_is_seen_and_changed_by_its_views_embedded() {
    embedded(DRIVER, a_file_is_seen_and_changed_by_its_views);
}

#[test]
fn application_of_a_file() {
    as_application(a_file_is_seen_and_changed_by_its_views);
}

#[test]
fn a_file_is_seen_and_changed_by_its_views_from_another_process() {
    in_another_process(DRIVER, "application_of_a_file");
}

#[test]
fn what_is_no_section_of_a_file_is_not_made() {
    embedded(DRIVER, |transport| {
        let file = open(transport, ONE);
        let status = |size: u64, protection: u32| status(transport, &file, size, protection, SEC_COMMIT);
        assert_eq!(status(0, PAGE_READWRITE), abi::STATUS_MAPPED_FILE_SIZE_ZERO);
        assert_eq!(status(1, PAGE_READONLY), abi::STATUS_SECTION_TOO_BIG);
        call(&file, FILL, &[5000, 1]);
        assert_eq!(status(5000, PAGE_READONLY), abi::STATUS_SUCCESS);
        assert_eq!(status(5001, PAGE_READONLY), abi::STATUS_SECTION_TOO_BIG);
        assert_eq!(status(u64::MAX, PAGE_READONLY), abi::STATUS_SECTION_TOO_BIG);
        assert_eq!(status(u64::MAX, PAGE_READWRITE), abi::STATUS_SECTION_TOO_BIG);
        assert_eq!(status(0x4_0001, PAGE_READWRITE), abi::STATUS_DISK_FULL, "the file system's answer");
        assert_eq!(status(0, abi::PAGE_NOACCESS), abi::STATUS_INVALID_PAGE_PROTECTION);
        assert_eq!(state(&file).size, 5000);

        let code = |made: Result<FileMapping<'_>, app::Win32Error>| made.expect_err("is refused").code;
        let two = open(transport, TWO);
        let empty = FileMapping::of_file(transport, &two, 0, MappingAccess::ReadWrite);
        assert_eq!(code(empty), abi::ERROR_FILE_INVALID);
        let reader = OpenOptions::new().access(abi::GENERIC_READ).open(transport, ONE).expect("opens");
        let writing = FileMapping::of_file(transport, &reader, 0, MappingAccess::ReadWrite);
        assert_eq!(code(writing), abi::ERROR_ACCESS_DENIED);
        FileMapping::of_file(transport, &reader, 0, MappingAccess::Read).expect("may be read");
        let writer = OpenOptions::new().access(abi::GENERIC_WRITE).open(transport, ONE).expect("opens");
        let reading = FileMapping::of_file(transport, &writer, 0, MappingAccess::Read);
        assert_eq!(code(reading), abi::ERROR_ACCESS_DENIED);
        let plain = open(transport, PLAIN);
        let none = FileMapping::of_file(transport, &plain, 100, MappingAccess::ReadWrite);
        assert_eq!(code(none), abi::ERROR_BAD_EXE_FORMAT, "STATUS_INVALID_FILE_FOR_SECTION");
        let event = app::Event::new(transport, app::EventKind::ManualReset, false).expect("is made");
        let call = SystemCall::CreateSection {
            name: &[],
            desired_access: SECTION_ALL_ACCESS,
            size: 0,
            protection: PAGE_READWRITE,
            attributes: SEC_COMMIT,
            file: Some(app::Waitable::wait_handle(&event)),
        };
        assert_eq!(transport.system_call(&call, &mut []).status, abi::STATUS_OBJECT_TYPE_MISMATCH);
        assert_eq!([state(&plain).open, state(&two).open], [1, 1]);
    });
}

#[test]
fn a_file_becomes_as_long_as_a_section_that_is_written_to() {
    embedded(DRIVER, |transport| {
        let file = open(transport, TWO);
        let mapping =
            FileMapping::of_file(transport, &file, 6000, MappingAccess::ReadWrite).expect("is made");
        assert_eq!(state(&file).size, 6000);
        let view = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("is shown");
        assert_eq!((view.len(), view.load_u64(5992).expect("shown")), (8192, 0));
        view.write(5990, b"0123456789").expect("writable");
        // Pages that are in use do not grow with their file.
        assert_eq!(status(transport, &file, 6001, PAGE_READWRITE, SEC_COMMIT), abi::STATUS_NOT_IMPLEMENTED);
        assert_eq!((state(&file).size, state(&file).writes), (6000, 0));
        drop((mapping, view));
        let mut bytes = vec![0; 5990];
        bytes.extend(b"0123456789");
        assert_eq!((call(&file, CHECKSUM, &[])[0], state(&file).size), (checksum(&bytes), 6000));
    });
}

#[test]
fn a_flush_says_what_the_file_system_answers_and_is_done_again() {
    embedded(DRIVER, |transport| {
        let file = open(transport, ONE);
        call(&file, FILL, &[4096, 1]);
        call(&file, REFUSE_READS, &[u64::from(abi::STATUS_DEVICE_NOT_READY.bits())]);
        let unread = status(transport, &file, 0, PAGE_READONLY, SEC_COMMIT);
        assert_eq!(unread, abi::STATUS_DEVICE_NOT_READY);
        call(&file, REFUSE_READS, &[0]);
        let mapping = FileMapping::of_file(transport, &file, 0, MappingAccess::ReadWrite).expect("is made");
        let view = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("is shown");
        view.write(0, b"kept").expect("writable");
        call(&file, REFUSE_WRITES, &[u64::from(abi::STATUS_DISK_FULL.bits())]);
        assert_eq!(view.flush(0, 0).expect_err("the disk is full").status, abi::STATUS_DISK_FULL);
        call(&file, REFUSE_WRITES, &[0]);
        view.flush(0, 0).expect("there is room again");
        let mut bytes = pattern(4096, 1);
        bytes[..4].copy_from_slice(b"kept");
        assert_eq!(call(&file, CHECKSUM, &[])[0], checksum(&bytes));
        // What cannot be written in the end is lost, and nobody hangs.
        view.write(0, b"lost").expect("writable");
        call(&file, REFUSE_WRITES, &[u64::from(abi::STATUS_DISK_FULL.bits())]);
        drop((mapping, view));
        assert_eq!(call(&file, CHECKSUM, &[])[0], checksum(&bytes));
        assert_eq!(state(&file).open, 1);
    });
}

#[test]
fn pages_that_change_while_they_are_written_reach_the_file_in_the_end() {
    with_driver(DRIVER, |machine| {
        let process = machine.process("test");
        let file = open(&process, ONE);
        call(&file, FILL, &[8192, 1]);
        let mapping = FileMapping::of_file(&process, &file, 0, MappingAccess::ReadWrite).expect("is made");
        let view = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("is shown");
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for round in 0..20_000_u64 {
                    view.store_u64(round % 1024 * 8, round).expect("writable");
                }
            });
            while !writer.is_finished() {
                view.flush(0, 0).expect("is written");
            }
        });
        let mut bytes = vec![0; 8192];
        view.read(0, &mut bytes).expect("shown");
        view.flush(0, 0).expect("is written");
        assert_eq!(call(&file, CHECKSUM, &[])[0], checksum(&bytes));
    });
}

#[test]
fn application_that_changes_a_file_and_waits() {
    as_application(|transport| {
        let file = open(transport, ONE);
        let mapping = FileMapping::of_file(transport, &file, 0, MappingAccess::ReadWrite).expect("is made");
        let view = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("is shown");
        drop((mapping, file));
        view.write(0, b"by one that was killed").expect("writable");
        say_ready();
        wait_to_go_on();
    });
}

#[test]
fn what_a_killed_application_has_changed_reaches_the_file_and_its_file_is_closed() {
    with_driver(DRIVER, |machine| {
        let (_folder, server) = serve(machine);
        let process = machine.process("test");
        let file = open(&process, ONE);
        for round in 0..10 {
            call(&file, FILL, &[8192, round]);
            let application = Beside::start("application_that_changes_a_file_and_waits", server.path());
            assert_eq!(state(&file).open, 2, "the pages keep the file open");
            application.kill();
            let deadline = std::time::Instant::now() + PATIENCE;
            while state(&file).open != 1 {
                assert!(std::time::Instant::now() < deadline, "{:?}", state(&file));
                std::thread::yield_now();
            }
            let mut bytes = pattern(8192, round);
            bytes[..22].copy_from_slice(b"by one that was killed");
            assert_eq!(call(&file, CHECKSUM, &[])[0], checksum(&bytes));
        }
        server.stop();
    });
}

#[test]
fn a_file_system_with_mapped_files_unloads_when_the_last_view_has_gone() {
    let machine = machine_with("filesystem");
    let process = machine.process("test");
    let file = open(&process, ONE);
    call(&file, FILL, &[4096, 1]);
    let mapping = FileMapping::of_file(&process, &file, 0, MappingAccess::ReadWrite).expect("is made");
    let view = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("is shown");
    drop((file, mapping));
    assert!(matches!(machine.unload("filesystem"), Ok(host::UnloadOutcome::Pending { files: 1 })));
    view.write(0, b"written when it ends").expect("still shown");
    let watch = ringbridge_scenarios::Watch::on(&machine);
    drop(view);
    let unloaded =
        |event: &host::Event| matches!(event, host::Event::DriverUnloaded { report } if report.is_clean());
    watch.wait_for(1, unloaded);
    assert_eq!(machine.section_usage(), SectionUsage::default());
}

#[test]
fn a_driver_maps_the_file_of_an_application_in_system_space() {
    with_driver(DRIVER, |machine| {
        machine.load(&sys_path("sections"), LoadOptions::default()).expect("loads");
        let process = machine.process("test");
        let file = open(&process, ONE);
        call(&file, FILL, &[4096, 1]);
        let sections = open(&process, r"\\.\RbSections");
        let ask = |number: u32, inputs: &[u64]| {
            let code = abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x900 + number, abi::METHOD_BUFFERED, 0);
            let mut all = [0; 7];
            all[..inputs.len()].copy_from_slice(inputs);
            let mut answer = [0; 32];
            sections.control(ControlCode(code), &words(&all), &mut answer).expect("is answered");
            let words: [u64; 4] = std::array::from_fn(|index| {
                u64::from_le_bytes(answer[index * 8..][..8].try_into().expect("eight bytes"))
            });
            assert_eq!(words[0], 0, "request {number}: {:#x}", words[0]);
            words[1]
        };
        let (all, file_handle) = (u64::from(SECTION_ALL_ACCESS), u64::from(file.handle().0));
        let kernel = u64::from(abi::OBJ_KERNEL_HANDLE);
        let (protection, commit) = (u64::from(PAGE_READWRITE), u64::from(SEC_COMMIT));
        let section = ask(0, &[all, 0, protection, commit, kernel, file_handle]);
        let object = ask(5, &[section, all, 0]);
        let address = ask(6, &[object, 0]);
        assert_eq!(ask(9, &[address, 4096]), checksum(&pattern(4096, 1)));
        ask(10, &[address, 4096, 8]);
        ask(8, &[object]);
        ask(4, &[section]);
        assert_eq!(state(&file).writes, 0);
        ask(7, &[address]);
        assert_eq!((state(&file).writes, state(&file).open), (1, 1));
        assert_eq!(call(&file, CHECKSUM, &[])[0], checksum(&pattern(4096, 8)));
        drop(sections);
        unload_when_closed(machine, "sections");
    });
}
