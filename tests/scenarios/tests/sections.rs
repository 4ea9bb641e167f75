//! Named and unnamed sections (row M7): drivers and applications that see the same pages, in the same process and in others. The
//! drivers say in `tests/drivers/sections.c` what their requests do. Sections of files are in `file_sections.rs`.

use abi::{
    OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE, OBJ_OPENIF, PAGE_READONLY, PAGE_READWRITE, SEC_COMMIT,
    SEC_RESERVE, SECTION_ALL_ACCESS, SECTION_MAP_READ, SECTION_MAP_WRITE,
};
use app::{ControlCode, Device, FileMapping, MappingAccess, Transport, View};
use gate::{Handle, MappedView, SystemCall};
use host::{SectionUsage, UnloadOutcome};
use ringbridge_scenarios::{
    Beside, PATIENCE, application, as_application, checksum, embedded, in_another_process, machine_with,
    open, pattern, say_ready_with, serve, unload_when_closed, wait_to_go_on, with_driver, words,
};

#[path = "sections/ends.rs"]
mod ends;

const DRIVER: &str = "sections";
const DEVICE: &str = r"\\.\RbSections";
const NAME: &str = "RbShown";
const PATH: &str = r"\BaseNamedObjects\RbShown";

const CREATE: u32 = 0;
const OPEN: u32 = 1;
const MAP: u32 = 2;
const UNMAP: u32 = 3;
const CLOSE: u32 = 4;
const REFERENCE: u32 = 5;
const MAP_IN_SYSTEM: u32 = 6;
const UNMAP_IN_SYSTEM: u32 = 7;
const DEREFERENCE: u32 = 8;
const CHECKSUM: u32 = 9;
const FILL: u32 = 10;
const QUERY: u32 = 11;
const MAP_WITH: u32 = 12;

const ALL: u64 = SECTION_ALL_ACCESS as u64;
const RW: u64 = PAGE_READWRITE as u64;
const RO: u64 = PAGE_READONLY as u64;
const COMMIT: u64 = SEC_COMMIT as u64;
const KERNEL: u64 = OBJ_KERNEL_HANDLE as u64;
const NAMED: u64 = (OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE) as u64;
const OPEN_IF: u64 = OBJ_OPENIF as u64;
const USER_MODE: u64 = 1;

const OK: u32 = 0;

/// A status and three values.
type Answer = (u32, [u64; 3]);

fn call(device: &Device<'_>, number: u32, inputs: &[u64], name: &str) -> Answer {
    let mut all = [0; 7];
    all[..inputs.len()].copy_from_slice(inputs);
    let mut input = words(&all);
    input.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
    let code = abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x900 + number, abi::METHOD_BUFFERED, 0);
    let mut answer = [0; 32];
    assert_eq!(device.control(ControlCode(code), &input, &mut answer).expect("is answered"), 32);
    let word = |index: usize| u64::from_le_bytes(answer[index * 8..][..8].try_into().expect("eight bytes"));
    (u32::try_from(word(0)).expect("a status"), [word(1), word(2), word(3)])
}

fn done(device: &Device<'_>, number: u32, inputs: &[u64]) -> [u64; 3] {
    let (status, values) = call(device, number, inputs, "");
    assert_eq!(status, OK, "request {number} of {inputs:x?}: {status:#x}");
    values
}

fn refused(device: &Device<'_>, number: u32, inputs: &[u64]) -> u32 {
    call(device, number, inputs, "").0
}

/// A section of the driver's, by a kernel handle.
fn create(device: &Device<'_>, size: u64) -> u64 {
    done(device, CREATE, &[ALL, size, RW, COMMIT, KERNEL])[0]
}

/// Other bytes than any pattern of the driver's.
fn data(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251).to_le_bytes()[0] ^ 9).collect()
}

fn bytes_of(view: &View) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(view.len()).expect("64 bits")];
    view.read(0, &mut bytes).expect("shown");
    bytes
}

// ---- what all see ------------------------------------------------------------------------------------------------------

fn a_section_that_the_driver_creates_is_opened_by_the_application(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    let (status, [handle, ..]) = call(&device, CREATE, &[ALL, 10_000, RW, COMMIT, NAMED], PATH);
    assert_eq!(status, OK);
    let [base, offset, size] = done(&device, MAP, &[handle, 0, 0, 0, RW]);
    assert_eq!((base % 0x1_0000, offset, size), (0, 0, 12_288));
    done(&device, FILL, &[base, 12_288, 3]);

    let mapping = FileMapping::open(transport, NAME, MappingAccess::ReadWrite).expect("it is there");
    let view = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("is shown");
    assert_eq!(view.len(), 12_288, "whole pages");
    assert!(bytes_of(&view) == pattern(12_288, 3), "what the driver wrote is seen");
    view.write(0, &data(12_288)).expect("writable");
    assert_eq!(done(&device, CHECKSUM, &[base, 12_288])[0], checksum(&data(12_288)), "and the other way");
    // The driver's view is in this process, too: it has mapped it for the current one.
    let same = View::of_driver(transport, base, size).expect("is shown");
    same.store_u64(8, 0x1234_5678).expect("writable");
    assert_eq!(view.load_u64(8).expect("shown"), 0x1234_5678);
    done(&device, UNMAP, &[base + 5]);
    assert!(same.load_u64(8).is_err(), "nothing is there any more");
    assert!(View::of_driver(transport, base, 1).is_err(), "nor is it told to be");
    assert_eq!(view.load_u64(8).expect("another view"), 0x1234_5678);
    done(&device, CLOSE, &[handle]);
}

#[test]
fn a_section_that_the_driver_creates_is_opened_by_the_application_embedded() {
    embedded(DRIVER, a_section_that_the_driver_creates_is_opened_by_the_application);
}

#[test]
fn application_that_opens() {
    as_application(a_section_that_the_driver_creates_is_opened_by_the_application);
}

#[test]
fn a_section_that_the_driver_creates_is_opened_by_the_application_in_another_process() {
    in_another_process(DRIVER, "application_that_opens");
}

fn a_section_that_the_application_creates_is_opened_by_the_driver(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    let (mapping, existed) =
        FileMapping::named(transport, NAME, 8192, MappingAccess::ReadWrite).expect("is made");
    assert!(!existed);
    let view = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("is shown");
    view.write(0, &data(8192)).expect("writable");

    let (status, [handle, ..]) = call(&device, OPEN, &[ALL, NAMED], PATH);
    assert_eq!(status, OK);
    let [base, ..] = done(&device, MAP, &[handle, 0, 0, 0, RW]);
    assert_ne!(base, view.address(), "a view of its own");
    assert_eq!(done(&device, CHECKSUM, &[base, 8192])[0], checksum(&data(8192)));
    done(&device, FILL, &[base, 8192, 4]);
    assert!(bytes_of(&view) == pattern(8192, 4));
    done(&device, UNMAP, &[base]);
    done(&device, CLOSE, &[handle]);

    // By the application's handle, in system space: as drivers do that serve requests of many processes.
    let handle = u64::from(mapping.handle().0);
    let [object, ..] =
        done(&device, REFERENCE, &[handle, u64::from(SECTION_MAP_READ | SECTION_MAP_WRITE), USER_MODE]);
    let [address, size, _] = done(&device, MAP_IN_SYSTEM, &[object, 0]);
    assert_eq!(size, 8192);
    let [front, size, _] = done(&device, MAP_IN_SYSTEM, &[object, 1]);
    assert_eq!(size, 4096, "whole pages");
    assert_eq!(done(&device, CHECKSUM, &[address, 8192])[0], checksum(&pattern(8192, 4)));
    done(&device, FILL, &[front, 4096, 5]);
    assert!(bytes_of(&view)[..4096] == pattern(4096, 5));
    done(&device, UNMAP_IN_SYSTEM, &[front]);
    done(&device, UNMAP_IN_SYSTEM, &[address]);
    done(&device, DEREFERENCE, &[object]);
}

#[test]
fn a_section_that_the_application_creates_is_opened_by_the_driver_embedded() {
    embedded(DRIVER, a_section_that_the_application_creates_is_opened_by_the_driver);
}

#[test]
fn application_that_creates() {
    as_application(a_section_that_the_application_creates_is_opened_by_the_driver);
}

#[test]
fn a_section_that_the_application_creates_is_opened_by_the_driver_from_another_process() {
    in_another_process(DRIVER, "application_that_creates");
}

#[test]
fn application_that_shows_and_waits() {
    as_application(|transport| {
        let (mapping, existed) =
            FileMapping::named(transport, NAME, 0x3_0000, MappingAccess::ReadWrite).expect("is made");
        let view = mapping.map(MappingAccess::ReadWrite, 0x1_0000, 0).expect("is shown");
        assert_eq!(view.len(), 0x2_0000, "all that is left behind the offset");
        if !existed {
            view.write(16, b"from the first").expect("writable");
        }
        say_ready_with(if existed { "second" } else { "first" });
        wait_to_go_on();
        assert_eq!(view.load_u64(0).expect("shown"), 0xFEED, "what the test has written meanwhile");
    });
}

#[test]
fn two_applications_and_a_driver_see_each_others_bytes() {
    with_driver(DRIVER, |machine| {
        let (_folder, server) = serve(machine);
        let first = Beside::start("application_that_shows_and_waits", server.path());
        assert_eq!(first.said(), Some("first"));
        let second = Beside::start("application_that_shows_and_waits", server.path());
        assert_eq!(second.said(), Some("second"), "the name is of the same section");
        let process = machine.process("embedded");
        let device = open(&process, DEVICE);
        let mapping = FileMapping::open(&process, NAME, MappingAccess::ReadWrite).expect("it is there");
        let (status, [handle, ..]) = call(&device, OPEN, &[ALL, NAMED], PATH);
        assert_eq!(status, OK);
        let [base, offset, size] = done(&device, MAP, &[handle, 0, 0x1_FFFF, 0x1000, RW]);
        assert_eq!((offset, size), (0x1_0000, 0x1000), "the offset is rounded down to 64 KiB");
        assert_eq!(done(&device, CHECKSUM, &[base + 16, 14])[0], checksum(b"from the first"));
        assert_eq!(machine.section_usage(), SectionUsage { segments: 1, views: 3, system_views: 0 });
        let view = mapping.map(MappingAccess::ReadWrite, 0x1_0000, 0x1000).expect("is shown");
        view.store_u64(0, 0xFEED).expect("writable");
        first.finish();
        second.finish();
        done(&device, UNMAP, &[base]);
        done(&device, CLOSE, &[handle]);
        server.stop();
    });
}

// ---- protection ----------------------------------------------------------------------------------------------------------

fn views_and_handles_that_only_read_give_no_writing(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    let (mapping, _) = FileMapping::named(transport, NAME, 4096, MappingAccess::ReadWrite).expect("is made");
    let writable = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("is shown");
    let read_only = mapping.map(MappingAccess::Read, 0, 0).expect("is shown");
    writable.store_u32(4, 7).expect("writable");
    assert_eq!(read_only.load_u32(4).expect("readable"), 7);
    assert_eq!(read_only.store_u32(4, 8).expect_err("only to be read").code, abi::ERROR_NOACCESS);
    assert_eq!(
        refused(&device, FILL, &[read_only.address(), 1, 0]),
        abi::STATUS_ACCESS_VIOLATION.bits(),
        "nor may drivers write there"
    );

    let reader = FileMapping::open(transport, NAME, MappingAccess::Read).expect("may be read");
    assert_eq!(reader.map(MappingAccess::Read, 0, 0).expect("is shown").load_u32(4).expect("readable"), 7);
    let denied = reader.map(MappingAccess::ReadWrite, 0, 0).expect_err("the handle is for reading");
    assert_eq!(denied.code, abi::ERROR_ACCESS_DENIED);
    let handle = u64::from(reader.handle().0);
    let denied = refused(&device, REFERENCE, &[handle, u64::from(SECTION_MAP_WRITE), USER_MODE]);
    assert_eq!(denied, abi::STATUS_ACCESS_DENIED.bits());
    let never = FileMapping::new(transport, 4096, MappingAccess::Read).expect("is made");
    let denied = never.map(MappingAccess::ReadWrite, 0, 0).expect_err("the section is for reading");
    assert_eq!(denied.code, abi::ERROR_ACCESS_DENIED);

    // What the section itself allows binds kernel mode, too.
    let read_section = done(&device, CREATE, &[ALL, 4096, RO, COMMIT, KERNEL])[0];
    let refusal = refused(&device, MAP, &[read_section, 0, 0, 0, RW]);
    assert_eq!(refusal, abi::STATUS_SECTION_PROTECTION.bits());
    let [base, ..] = done(&device, MAP, &[read_section, 0, 0, 0, RO]);
    assert_eq!(refused(&device, FILL, &[base, 1, 0]), abi::STATUS_ACCESS_VIOLATION.bits());
    done(&device, UNMAP, &[base]);
    done(&device, CLOSE, &[read_section]);
    // A handle of another type is no section.
    let device_handle = u64::from(device.handle().0);
    assert_eq!(refused(&device, MAP, &[device_handle, 0, 0, 0, RW]), abi::STATUS_OBJECT_TYPE_MISMATCH.bits());
    assert_eq!(
        refused(&device, REFERENCE, &[device_handle, 0, USER_MODE]),
        abi::STATUS_OBJECT_TYPE_MISMATCH.bits()
    );
}

#[test]
fn views_and_handles_that_only_read_give_no_writing_embedded() {
    embedded(DRIVER, views_and_handles_that_only_read_give_no_writing);
}

#[test]
fn application_that_only_reads() {
    as_application(views_and_handles_that_only_read_give_no_writing);
}

#[test]
fn views_and_handles_that_only_read_give_no_writing_in_another_process() {
    in_another_process(DRIVER, "application_that_only_reads");
}

#[test]
fn another_user_is_refused_a_section_unless_its_descriptor_lets_him() {
    with_driver(DRIVER, |machine| {
        let administrator = machine.process("administrator");
        let user = machine.process_as("user", host::Token::user());
        let device = open(&administrator, DEVICE);
        let code =
            |opened: Result<FileMapping<'_>, app::Win32Error>| opened.map(drop).map_err(|error| error.code);
        let denied = Err(abi::ERROR_ACCESS_DENIED);
        let open_as_user = |access| code(FileMapping::open(&user, NAME, access));

        let mapping =
            FileMapping::named(&administrator, NAME, 4096, MappingAccess::ReadWrite).expect("is made");
        assert_eq!(open_as_user(MappingAccess::Read), denied, "an application's, by its token's default");
        let named = FileMapping::named(&user, NAME, 4096, MappingAccess::ReadWrite);
        assert_eq!(code(named.map(|(mapping, _)| mapping)), denied, "creating opens what exists");
        drop(mapping);

        for (everybody, expected) in [(0, denied), (1, Ok(()))] {
            let inputs = [ALL, 4096, RW, COMMIT, NAMED, 0, everybody];
            let (status, [handle, ..]) = call(&device, CREATE, &inputs, PATH);
            assert_eq!(status, OK);
            assert_eq!(open_as_user(MappingAccess::ReadWrite), expected, "a driver's, {everybody}");
            done(&device, CLOSE, &[handle]);
        }
        // What a driver makes for a user is his.
        let of_user = open(&user, DEVICE);
        let (status, [handle, ..]) = call(&of_user, CREATE, &[ALL, 4096, RW, COMMIT, NAMED], PATH);
        assert_eq!(status, OK);
        assert_eq!(open_as_user(MappingAccess::ReadWrite), Ok(()));
        done(&of_user, CLOSE, &[handle]);
    });
}

// ---- statuses --------------------------------------------------------------------------------------------------------------

#[test]
fn what_is_no_section_is_not_made() {
    embedded(DRIVER, |transport| {
        let device = open(transport, DEVICE);
        let status = |size: u64, protection: u64, attributes: u64| {
            refused(&device, CREATE, &[ALL, size, protection, attributes, KERNEL])
        };
        assert_eq!(status(0, RW, COMMIT), abi::STATUS_INVALID_PARAMETER_4.bits());
        assert_eq!(status(u64::MAX >> 1, RW, COMMIT), abi::STATUS_SECTION_TOO_BIG.bits());
        assert_eq!(status(u64::MAX, RW, COMMIT), abi::STATUS_SECTION_TOO_BIG.bits());
        for protection in [0, 3, 0x1000, RW | RO, u64::from(abi::PAGE_NOACCESS)] {
            let refusal = status(4096, protection, COMMIT);
            assert_eq!(refusal, abi::STATUS_INVALID_PAGE_PROTECTION.bits(), "{protection:#x}");
        }
        for protection in [abi::PAGE_EXECUTE_READ, abi::PAGE_EXECUTE_READWRITE, abi::PAGE_WRITECOPY] {
            let refusal = status(4096, u64::from(protection), COMMIT);
            assert_eq!(refusal, abi::STATUS_NOT_IMPLEMENTED.bits(), "{protection:#x}");
        }
        assert_eq!(status(4096, RW, 0), abi::STATUS_INVALID_PARAMETER_6.bits());
        let large = COMMIT | u64::from(abi::SEC_LARGE_PAGES);
        assert_eq!(status(4096, RW, large), abi::STATUS_NOT_IMPLEMENTED.bits());
        let inputs = [ALL, 4096, RW, COMMIT, KERNEL, 0x7FF0];
        assert_eq!(refused(&device, CREATE, &inputs), abi::STATUS_INVALID_HANDLE.bits(), "no file");
        let name = r"\BaseNamedObjects\NoSuchFolder\Section";
        let (missing, _) = call(&device, CREATE, &[ALL, 4096, RW, COMMIT, NAMED], name);
        assert_eq!(missing, abi::STATUS_OBJECT_PATH_NOT_FOUND.bits());
    });
}

#[test]
fn a_name_is_opened_or_taken_as_the_attributes_say() {
    embedded(DRIVER, |transport| {
        let device = open(transport, DEVICE);
        let (missing, _) = call(&device, OPEN, &[ALL, NAMED], PATH);
        assert_eq!(missing, abi::STATUS_OBJECT_NAME_NOT_FOUND.bits());
        let (made, [first, ..]) = call(&device, CREATE, &[ALL, 4096, RW, COMMIT, NAMED], PATH);
        assert_eq!(made, OK);
        let (taken, _) = call(&device, CREATE, &[ALL, 8192, RW, COMMIT, NAMED], PATH);
        assert_eq!(taken, abi::STATUS_OBJECT_NAME_COLLISION.bits());
        let (exists, [second, ..]) = call(&device, CREATE, &[ALL, 8192, RW, COMMIT, NAMED | OPEN_IF], PATH);
        assert_eq!(exists, abi::STATUS_OBJECT_NAME_EXISTS.bits());
        assert_eq!(done(&device, QUERY, &[second, 0, 24])[1], 4096, "the size is the first one's");
        let (opened, [third, ..]) = call(
            &device,
            OPEN,
            &[ALL, NAMED],
            &PATH.to_uppercase().replace("BASENAMEDOBJECTS", "BaseNamedObjects"),
        );
        assert_eq!(opened, OK, "names have no case");
        let event = r"\BaseNamedObjects\RbEvent";
        let _event =
            app::Event::named(transport, "RbEvent", app::EventKind::ManualReset, false).expect("is made");
        assert_eq!(call(&device, OPEN, &[ALL, NAMED], event).0, abi::STATUS_OBJECT_TYPE_MISMATCH.bits());
        let error = FileMapping::open(transport, "RbEvent", MappingAccess::Read).expect_err("an event");
        assert_eq!(error.code, abi::ERROR_INVALID_HANDLE);
        for handle in [first, second] {
            done(&device, CLOSE, &[handle]);
            assert_eq!(call(&device, CREATE, &[ALL, 1, RW, COMMIT, NAMED], PATH).0, taken);
        }
        done(&device, CLOSE, &[third]);
        let (missing, _) = call(&device, OPEN, &[ALL, NAMED], PATH);
        assert_eq!(missing, abi::STATUS_OBJECT_NAME_NOT_FOUND.bits(), "the name goes with the last handle");
    });
}

fn views_are_where_and_as_long_as_they_are_asked_for(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    let section = create(&device, 0x2_0001);
    let status =
        |base: u64, offset: u64, size: u64| refused(&device, MAP, &[section, base, offset, size, RW]);
    let too_much = abi::STATUS_INVALID_VIEW_SIZE.bits();
    assert_eq!(done(&device, QUERY, &[section, 0, 24]), [COMMIT, 0x2_1000, 24], "whole pages");
    assert_eq!(refused(&device, QUERY, &[section, 0, 16]), abi::STATUS_INFO_LENGTH_MISMATCH.bits());
    let [base, offset, size] = done(&device, MAP, &[section, 0, 0x2_0000, 0, RW]);
    assert_eq!((offset, size), (0x2_0000, 4096), "the last byte's page");
    assert_eq!(status(0, 0x2_0000, 4097), too_much);
    assert_eq!(status(0, 0x3_0000, 0), too_much);
    assert_eq!(status(0, u64::MAX, 0), too_much);
    assert_eq!(status(0, 0, u64::MAX), too_much);
    assert_eq!(status(0, u64::MAX - 0xFFFF, 0x2_0000), too_much);
    let [whole, _, size] = done(&device, MAP, &[section, 0, 0, 0x2_0001, RW]);
    assert_eq!(size, 0x2_1000);

    // At an address: rounded down to 64 KiB, free, and the process's.
    let wanted = whole + 0x100_0000;
    let [there, ..] = done(&device, MAP, &[section, wanted + 0xFFFF, 0, 1, RW]);
    assert_eq!(there, wanted);
    let taken = abi::STATUS_CONFLICTING_ADDRESSES.bits();
    for address in [wanted, wanted - 0x1_0000, 1, 0x1_0000, 0x6000_0000_0000, u64::MAX, 0xFFFF_8000_0000_0000]
    {
        assert_eq!(status(address, 0, 0x2_0000), taken, "{address:#x}");
    }
    done(&device, FILL, &[there, 4096, 1]);
    assert_eq!(done(&device, CHECKSUM, &[whole, 4096])[0], checksum(&pattern(4096, 1)));

    assert_eq!(refused(&device, MAP, &[section, 0, 0, 0, 0]), abi::STATUS_INVALID_PAGE_PROTECTION.bits());
    assert_eq!(refused(&device, MAP, &[0x7FF0, 0, 0, 0, RW]), abi::STATUS_INVALID_HANDLE.bits());
    let no_view = abi::STATUS_NOT_MAPPED_VIEW.bits();
    for address in [there + 4096, there - 1, 0, 1, u64::MAX] {
        assert_eq!(refused(&device, UNMAP, &[address]), no_view, "{address:#x}");
    }
    for address in [base, whole + 0x2_0FFF, there] {
        done(&device, UNMAP, &[address]);
        assert_eq!(refused(&device, UNMAP, &[address]), no_view);
    }
    done(&device, CLOSE, &[section]);
}

#[test]
fn views_are_where_and_as_long_as_they_are_asked_for_embedded() {
    embedded(DRIVER, views_are_where_and_as_long_as_they_are_asked_for);
}

#[test]
fn application_of_places() {
    as_application(views_are_where_and_as_long_as_they_are_asked_for);
}

#[test]
fn views_are_where_and_as_long_as_they_are_asked_for_in_another_process() {
    in_another_process(DRIVER, "application_of_places");
}

#[test]
fn other_arguments_of_a_view_are_what_their_page_allows() {
    embedded(DRIVER, |transport| {
        let device = open(transport, DEVICE);
        let section = create(&device, 4096);
        let status = |rest: [u64; 4]| {
            let [zero_bits, commit, inherit, allocation] = rest;
            refused(&device, MAP_WITH, &[section, zero_bits, commit, inherit, allocation])
        };
        assert_eq!(status([21, 0, 2, 0]), abi::STATUS_INVALID_PARAMETER_4.bits());
        assert_eq!(status([0, 4097, 2, 0]), abi::STATUS_INVALID_PARAMETER_5.bits());
        assert_eq!(status([0, 0, 0, 0]), abi::STATUS_INVALID_PARAMETER_8.bits());
        assert_eq!(status([0, 0, 3, 0]), abi::STATUS_INVALID_PARAMETER_8.bits());
        assert_eq!(status([1, 0, 2, 0]), abi::STATUS_NOT_IMPLEMENTED.bits());
        assert_eq!(status([0, 0, 2, u64::from(abi::MEM_RESERVE)]), abi::STATUS_NOT_IMPLEMENTED.bits());
        for inherit in [u64::from(abi::ViewShare.unsigned_abs()), u64::from(abi::ViewUnmap.unsigned_abs())] {
            let commit = [section, 0, 4096, inherit, u64::from(abi::MEM_TOP_DOWN)];
            let [base, ..] = done(&device, MAP_WITH, &commit);
            done(&device, UNMAP, &[base]);
        }
        done(&device, CLOSE, &[section]);
    });
}

#[test]
fn system_space_shows_no_more_than_the_section_has() {
    embedded(DRIVER, |transport| {
        let device = open(transport, DEVICE);
        let section = create(&device, 4097);
        let [object, ..] = done(&device, REFERENCE, &[section, ALL, 0]);
        let too_much = abi::STATUS_INVALID_VIEW_SIZE.bits();
        for size in [8193, u64::MAX] {
            assert_eq!(refused(&device, MAP_IN_SYSTEM, &[object, size]), too_much);
        }
        let [address, size, _] = done(&device, MAP_IN_SYSTEM, &[object, 4097]);
        assert_eq!(size, 8192);
        // The object and the handle go; the view stays.
        done(&device, DEREFERENCE, &[object]);
        done(&device, CLOSE, &[section]);
        done(&device, FILL, &[address, 8192, 1]);
        assert_eq!(done(&device, CHECKSUM, &[address, 8192])[0], checksum(&pattern(8192, 1)));
        done(&device, UNMAP_IN_SYSTEM, &[address]);
    });
}

#[test]
fn unmapping_from_system_space_what_is_not_there_stops_the_machine() {
    let machine = machine_with("sections");
    let process = machine.process("test");
    let device = open(&process, DEVICE);
    let code = abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x900 + UNMAP_IN_SYSTEM, 0, 0);
    device
        .control(ControlCode(code), &words(&[0x1000, 0, 0, 0, 0, 0, 0]), &mut [0; 32])
        .expect_err("stopped");
    let stop = machine.bugcheck().expect("a stop").bugcheck.stop;
    assert_eq!((stop.code, stop.parameters[0]), (abi::DRIVER_UNMAPPING_INVALID_VIEW, 0x1000));
}

// ---- applications ---------------------------------------------------------------------------------------------------------

fn file_mappings_are_as_win32_has_them(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    let code = |result: Result<app::FileView<'_>, app::Win32Error>| result.expect_err("is refused").code;
    let empty = FileMapping::new(transport, 0, MappingAccess::ReadWrite).expect_err("no bytes");
    assert_eq!(empty.code, abi::ERROR_INVALID_PARAMETER);
    let mapping = FileMapping::new(transport, 0x1_0001, MappingAccess::ReadWrite).expect("is made");
    assert_eq!(code(mapping.map(MappingAccess::Read, 1, 0)), abi::ERROR_MAPPED_ALIGNMENT);
    assert_eq!(code(mapping.map_at(MappingAccess::Read, 0, 0, 4096)), abi::ERROR_MAPPED_ALIGNMENT);
    assert_eq!(code(mapping.map(MappingAccess::Read, 0, 0x2_0000)), abi::ERROR_ACCESS_DENIED);
    assert_eq!(code(mapping.map(MappingAccess::Read, 0x2_0000, 0)), abi::ERROR_ACCESS_DENIED);
    let view = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("is shown");
    assert_eq!(view.len(), 0x1_1000);
    let place = view.address();
    assert_eq!(code(mapping.map_at(MappingAccess::Read, 0, 0, place)), abi::ERROR_INVALID_ADDRESS);
    assert_eq!(code(mapping.map_at(MappingAccess::Read, 0, 0, 0x1_0000)), abi::ERROR_INVALID_ADDRESS);
    view.store_u32(0x1_0000, 77).expect("its last page");
    drop(view);
    let again = mapping.map_at(MappingAccess::ReadWrite, 0, 0, place).expect("free again");
    assert_eq!((again.address(), again.load_u32(0x1_0000).expect("shown")), (place, 77));
    let part = mapping.map(MappingAccess::Read, 0x1_0000, 1).expect("is shown");
    assert_eq!((part.len(), part.load_u32(0).expect("shown")), (4096, 77));

    // Closing the handle leaves the views.
    drop(mapping);
    again.store_u32(0x1_0000, 78).expect("writable");
    assert_eq!(part.load_u32(0).expect("shown"), 78);
    assert_eq!(done(&device, CHECKSUM, &[part.address(), 4])[0], checksum(&78_u32.to_le_bytes()));
    drop(again);
    assert_eq!(part.load_u32(0).expect("shown"), 78);
    part.flush(0, 0).expect("nothing to do without a file");

    // The name goes with the last handle.
    let (mapping, _) = FileMapping::named(transport, NAME, 4096, MappingAccess::ReadWrite).expect("is made");
    let view = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("is shown");
    let (second, existed) =
        FileMapping::named(transport, &format!(r"Global\{NAME}"), 100_000, MappingAccess::ReadWrite)
            .expect("is opened");
    assert!(existed);
    assert_eq!(second.map(MappingAccess::Read, 0, 0).expect("is shown").len(), 4096);
    drop((mapping, second));
    let gone = FileMapping::open(transport, NAME, MappingAccess::Read).expect_err("no handle is left");
    assert_eq!(gone.code, abi::ERROR_FILE_NOT_FOUND);
    let (other, existed) =
        FileMapping::named(transport, NAME, 4096, MappingAccess::ReadWrite).expect("is made");
    assert!(!existed);
    view.store_u32(0, 1).expect("writable");
    assert_eq!(other.map(MappingAccess::Read, 0, 0).expect("is shown").load_u32(0).expect("shown"), 0);
}

#[test]
fn file_mappings_are_as_win32_has_them_embedded() {
    embedded(DRIVER, file_mappings_are_as_win32_has_them);
}

#[test]
fn application_of_file_mappings() {
    as_application(file_mappings_are_as_win32_has_them);
}

#[test]
fn file_mappings_are_as_win32_has_them_in_another_process() {
    in_another_process(DRIVER, "application_of_file_mappings");
}

fn nonsense_is_refused(transport: &dyn Transport) {
    let section = |size: u64, protection: u32, attributes: u32| {
        let call = SystemCall::CreateSection {
            name: &[],
            desired_access: SECTION_ALL_ACCESS,
            size,
            protection,
            attributes,
            file: None,
        };
        transport.system_call(&call, &mut [])
    };
    let reserved = section(0x10_0000, PAGE_READWRITE, SEC_RESERVE);
    assert_eq!(reserved.status, abi::STATUS_SUCCESS, "its pages are there when they are touched");
    assert_eq!(section(u64::MAX, PAGE_READWRITE, SEC_COMMIT).status, abi::STATUS_SECTION_TOO_BIG);
    assert_eq!(section(1, u32::MAX, SEC_COMMIT).status, abi::STATUS_INVALID_PAGE_PROTECTION);
    assert!(section(1, PAGE_READWRITE, u32::MAX).status.is_error());
    let map = |handle: Handle, base: u64, offset: u64, size: u64| {
        let view = MappedView { base, offset, size };
        let call = SystemCall::MapViewOfSection { handle, view, protection: PAGE_READWRITE };
        let mut room = [0; MappedView::SIZE];
        (transport.system_call(&call, &mut room).status, MappedView::from_bytes(&room))
    };
    let odd = [0, 1, 4095, 0x1_0000, 0x10_0000, 0x10_0001, u64::MAX - 0xFFFF, u64::MAX];
    for (base, offset, size) in
        odd.iter().flat_map(|a| odd.iter().flat_map(move |b| odd.map(|c| (*a, *b, c))))
    {
        let (status, view) = map(reserved.handle, base, offset, size);
        if base == 0 && offset < 0x10_0000 && size <= 0x10_0000 {
            // Where it lies in the section says whether it fits.
            if status.is_error() {
                assert_eq!(status, abi::STATUS_INVALID_VIEW_SIZE, "{offset:#x} {size:#x}");
                continue;
            }
            let unmap = SystemCall::UnmapViewOfSection { address: view.base };
            assert_eq!(transport.system_call(&unmap, &mut []).status, abi::STATUS_SUCCESS);
        } else {
            assert!(status.is_error(), "{base:#x} {offset:#x} {size:#x}");
        }
    }
    for address in odd {
        let unmap = SystemCall::UnmapViewOfSection { address };
        assert_eq!(transport.system_call(&unmap, &mut []).status, abi::STATUS_NOT_MAPPED_VIEW);
        let flush = SystemCall::FlushVirtualMemory { address, length: u64::MAX };
        assert_eq!(transport.system_call(&flush, &mut []).status, abi::STATUS_NOT_MAPPED_VIEW);
    }
    for handle in [0, 3, 0x7FF0, u32::MAX] {
        assert_eq!(map(Handle(handle), 0, 0, 0).0, abi::STATUS_INVALID_HANDLE);
    }
    let (status, view) = map(reserved.handle, 0, 0, 0);
    assert_eq!((status, view.size), (abi::STATUS_SUCCESS, 0x10_0000), "and all is as before");
}

#[test]
fn nonsense_is_refused_embedded() {
    embedded(DRIVER, nonsense_is_refused);
}

#[test]
fn application_of_nonsense() {
    as_application(nonsense_is_refused);
}

#[test]
fn nonsense_is_refused_from_another_process() {
    in_another_process(DRIVER, "application_of_nonsense");
}

#[test]
fn child_without_views() {
    let Some(client) = application() else { return };
    let place = std::env::var("RINGBRIDGE_TEST_PLACE").expect("is set").parse().expect("a number");
    assert!(View::of_driver(&client, place, 4096).is_err(), "its parent's");
    let unmap = SystemCall::UnmapViewOfSection { address: place };
    assert_eq!(client.system_call(&unmap, &mut []).status, abi::STATUS_NOT_MAPPED_VIEW);
    let mapping = FileMapping::open(&client, NAME, MappingAccess::Read).expect("but the name is there");
    assert_eq!(mapping.map(MappingAccess::Read, 0, 0).expect("is shown").load_u32(0).expect("shown"), 9);
}

#[test]
fn application_with_a_child() {
    let Some(client) = application() else { return };
    let (mapping, _) = FileMapping::named(&client, NAME, 4096, MappingAccess::ReadWrite).expect("is made");
    let view = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("is shown");
    view.store_u32(0, 9).expect("writable");
    let mut child = std::process::Command::new(std::env::current_exe().expect("this binary"));
    child.args(["--exact", "child_without_views", "--nocapture"]).stdout(std::process::Stdio::null());
    child.env("RINGBRIDGE_TEST_PLACE", view.address().to_string());
    let mut child = client.spawn(&mut child, &[]).expect("starts");
    assert!(child.wait().expect("ends").success(), "the child failed");
    assert_eq!(view.load_u32(0).expect("still shown"), 9);
}

#[test]
fn a_child_has_no_views_of_its_parents() {
    in_another_process(DRIVER, "application_with_a_child");
}
