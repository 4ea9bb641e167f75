//! Memory that a driver and its applications share by an MDL (rows M9 and M8 of seed 002), as `share.sys` makes it, in the
//! same process and in others. The driver says in `tests/drivers/share.c` what its requests do.
#![expect(unsafe_code, reason = "an application reads and writes what a driver maps for it by address")]

use app::{ControlCode, Device, Transport};
use host::{Event, UnloadOutcome};
use platform::memory;
use ringbridge_scenarios::{
    Beside, Watch, as_application, checksum, embedded, in_another_process, machine_with, open, pattern,
    say_ready_with, serve, wait_to_go_on, with_driver, words,
};

const DRIVER: &str = "share";
const DEVICE: &str = r"\\.\RbShare";

const MAKE: u32 = 0;
const MAP: u32 = 1;
const UNMAP: u32 = 2;
const PATTERN: u32 = 3;
const CHECKSUM: u32 = 4;
const FREE: u32 = 5;
const FORGET: u32 = 6;
const KNOWN: u32 = 7;
const UNMAP_BY_MDL: u32 = 8;

const POOL: u64 = 0;
const PAGES: u64 = 1;
const PAGED_POOL: u64 = 2;
const VARIABLE: u64 = 3;

const NO_WRITE: u64 = abi::MdlMappingNoWrite as u64;

/// What was raised, or 0, and the value.
fn call(device: &Device<'_>, number: u32, inputs: &[u64]) -> (u64, u64) {
    let mut answer = [0; 16];
    let code = ControlCode(abi::CTL_CODE(
        abi::FILE_DEVICE_UNKNOWN,
        0x900 + number,
        abi::METHOD_BUFFERED,
        abi::FILE_ANY_ACCESS,
    ));
    assert_eq!(device.control(code, &words(inputs), &mut answer).expect("is answered"), 16);
    let word = |index: usize| u64::from_le_bytes(answer[index * 8..][..8].try_into().expect("eight bytes"));
    (word(0), word(1))
}

fn done(device: &Device<'_>, number: u32, inputs: &[u64]) -> u64 {
    let (raised, value) = call(device, number, inputs);
    assert_eq!(raised, 0, "request {number} raised {raised:#x}");
    value
}

/// Maps all of the buffer.
fn map(device: &Device<'_>) -> u64 {
    done(device, MAP, &[0; 4])
}

fn load(address: u64, length: usize) -> Result<Vec<u8>, memory::AccessViolation> {
    // So that nothing at an address is an error, and not the application's end.
    platform::fault::install().expect("handlers");
    let mut bytes = vec![0; length];
    memory::copy_from(&mut bytes, address).map(|()| bytes)
}

fn store(address: u64, bytes: &[u8]) -> Result<(), memory::AccessViolation> {
    // SAFETY: nothing but what drivers map lies at the addresses that the tests use.
    unsafe { memory::copy_to(address, bytes) }
}

/// Other bytes than any pattern of the driver's.
fn data(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251).to_le_bytes()[0] ^ 9).collect()
}

// ---- what both sides see ----------------------------------------------------------------------------------------------

fn both_sides_see_the_same_bytes(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    for (kind, length) in
        [(POOL, 1), (POOL, 100), (POOL, 4096), (POOL, 10_001), (PAGES, 8192), (PAGES, 1 << 20)]
    {
        done(&device, MAKE, &[length, kind]);
        let bytes = usize::try_from(length).expect("64 bits");
        let address = map(&device);
        assert_eq!(load(address, bytes).expect("mapped"), vec![0; bytes], "{length} bytes of kind {kind}");
        done(&device, PATTERN, &[5]);
        assert!(load(address, bytes).expect("mapped") == pattern(bytes, 5), "what the driver writes is seen");
        store(address, &data(bytes)).expect("writable");
        assert_eq!(
            done(&device, CHECKSUM, &[]),
            checksum(&data(bytes)),
            "what the application writes is seen"
        );
        done(&device, UNMAP, &[address]);
        assert!(load(address, 1).is_err(), "nothing is there any more");
        assert_eq!(done(&device, CHECKSUM, &[]), checksum(&data(bytes)), "the driver keeps what was written");
        done(&device, FREE, &[]);
    }
}

#[test]
fn both_sides_see_the_same_bytes_embedded() {
    embedded(DRIVER, both_sides_see_the_same_bytes);
}

#[test]
fn application_of_both_sides() {
    as_application(both_sides_see_the_same_bytes);
}

#[test]
fn both_sides_see_the_same_bytes_from_another_process() {
    in_another_process(DRIVER, "application_of_both_sides");
}

fn only_what_is_mapped_is_shown(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    done(&device, MAKE, &[5 * 4096, POOL]);
    done(&device, PATTERN, &[1]);
    let all = pattern(5 * 4096, 1);
    let whole = map(&device);
    assert!(load(whole, 5 * 4096).expect("mapped") == all);
    // Bytes 100 to 8300 lie on three pages, which are shown whole; and nothing of this process is beside them.
    let first = whole + 0x100_0000;
    let part = done(&device, MAP, &[0, first, 4096 + 100, 8200]);
    assert_eq!(part, first + 100, "the address keeps its place in the page");
    assert!(load(first, 3 * 4096).expect("mapped") == all[4096..4 * 4096]);
    assert!(load(first - 1, 1).is_err() && load(first + 3 * 4096, 1).is_err());
    // Mappings of the same pages, and one over their border: all show the same.
    store(part, b"both").expect("writable");
    assert_eq!(load(whole + 4096 + 100, 4).expect("mapped"), b"both");
    let tail = done(&device, MAP, &[0, 0, 3 * 4096, 2 * 4096]);
    store(tail, b"tail").expect("writable");
    assert_eq!(load(whole + 3 * 4096, 4).expect("mapped"), b"tail");
    assert_eq!(load(first + 2 * 4096, 4).expect("mapped"), b"tail");
    done(&device, UNMAP, &[whole]);
    assert_eq!(load(tail, 4).expect("still mapped"), b"tail");
    store(tail + 4, b"!").expect("still mapped");
    assert_eq!(load(first + 2 * 4096, 5).expect("still mapped"), b"tail!");
    done(&device, UNMAP, &[part]);
    done(&device, UNMAP, &[tail]);
    done(&device, FREE, &[]);
}

#[test]
fn only_what_is_mapped_is_shown_embedded() {
    embedded(DRIVER, only_what_is_mapped_is_shown);
}

#[test]
fn application_of_parts() {
    as_application(only_what_is_mapped_is_shown);
}

#[test]
fn only_what_is_mapped_is_shown_to_another_process() {
    in_another_process(DRIVER, "application_of_parts");
}

fn mappings_have_their_own_protection_and_place(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    done(&device, MAKE, &[8192, PAGES]);
    let writable = map(&device);
    let read_only = done(&device, MAP, &[NO_WRITE]);
    store(writable, b"seen").expect("writable");
    assert_eq!(load(read_only, 4).expect("readable"), b"seen");
    assert!(store(read_only, b"no").is_err(), "MdlMappingNoWrite");
    // A read whose buffer is a mapping that the application may not write to.
    assert_eq!(load(read_only, 4).expect("readable"), b"seen");
    let wanted = writable + 0x100_0000;
    assert_eq!(done(&device, MAP, &[0, wanted]), wanted);
    assert_eq!(load(wanted, 4).expect("mapped"), b"seen");
    let conflict = u64::from(abi::STATUS_CONFLICTING_ADDRESSES.bits());
    assert_eq!(call(&device, MAP, &[0, wanted]).0, conflict, "taken");
    assert_eq!(call(&device, MAP, &[0, wanted + 1]).0, conflict, "not on a page");
    assert_eq!(call(&device, MAP, &[0, 0x6000_0000_0000]).0, conflict, "not the process's");
    for address in [writable, read_only, wanted] {
        done(&device, UNMAP, &[address]);
    }
    done(&device, FREE, &[]);
}

#[test]
fn mappings_have_their_own_protection_and_place_embedded() {
    embedded(DRIVER, mappings_have_their_own_protection_and_place);
}

#[test]
fn application_of_protections() {
    as_application(mappings_have_their_own_protection_and_place);
}

#[test]
fn mappings_have_their_own_protection_and_place_in_another_process() {
    in_another_process(DRIVER, "application_of_protections");
}

#[test]
fn what_cannot_be_mapped_raises() {
    embedded(DRIVER, |transport| {
        let device = open(transport, DEVICE);
        for kind in [PAGED_POOL, VARIABLE] {
            done(&device, MAKE, &[4096, kind]);
            let missing = u64::from(abi::STATUS_NOT_IMPLEMENTED.bits());
            assert_eq!(call(&device, MAP, &[0; 4]).0, missing, "kind {kind}");
            done(&device, FREE, &[]);
        }
    });
}

#[test]
fn a_mapping_is_ended_in_the_process_that_it_was_made_for() {
    let machine = machine_with("share");
    let (mine, other) = (machine.process("mine"), machine.process("other"));
    let (device, elsewhere) = (open(&mine, DEVICE), open(&other, DEVICE));
    done(&device, MAKE, &[4096, POOL]);
    let address = map(&device);
    let code = ControlCode(abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x900 + UNMAP_BY_MDL, 0, 0));
    elsewhere.control(code, &words(&[address]), &mut [0; 16]).expect_err("the machine has stopped");
    let stop = machine.bugcheck().expect("a stop").bugcheck.stop;
    assert_eq!((stop.code, stop.parameters[1]), (abi::SYSTEM_PTE_MISUSE, address));
}

// ---- ends --------------------------------------------------------------------------------------------------------------

#[test]
fn application_that_maps_and_waits() {
    as_application(|transport| {
        let device = open(transport, DEVICE);
        let first = map(&device);
        let second = done(&device, MAP, &[NO_WRITE]);
        store(first, b"application").expect("writable");
        assert_eq!(load(second, 11).expect("mapped"), b"application");
        say_ready_with("mapped");
        wait_to_go_on();
    });
}

#[test]
fn cleanup_of_a_killed_application_unmaps_in_its_process_and_nothing_is_left() {
    with_driver(DRIVER, |machine| {
        let watch = Watch::on(machine);
        let (_folder, server) = serve(machine);
        let process = machine.process("test");
        let device = open(&process, DEVICE);
        done(&device, MAKE, &[3 * 4096, POOL]);
        let mine = map(&device);
        for _ in 0..20 {
            let application = Beside::start("application_that_maps_and_waits", server.path());
            assert_eq!(done(&device, KNOWN, &[]), 3);
            application.kill();
            while done(&device, KNOWN, &[]) != 1 {
                std::thread::yield_now();
            }
        }
        assert_eq!(load(mine, 11).expect("mapped"), b"application", "and nobody else is disturbed");
        done(&device, UNMAP, &[mine]);
        done(&device, FREE, &[]);
        server.stop();
        assert!(machine.user_mappings().is_empty());
        assert!(!watch.events().iter().any(|event| matches!(event, Event::UserMappingLeft { .. })));
    });
}

#[test]
fn what_a_driver_forgets_to_unmap_is_unmapped_and_told_when_the_process_has_ended() {
    with_driver(DRIVER, |machine| {
        let watch = Watch::on(machine);
        let (_folder, server) = serve(machine);
        let process = machine.process("test");
        let device = open(&process, DEVICE);
        done(&device, MAKE, &[3 * 4096, PAGES]);
        done(&device, FORGET, &[1]);
        Beside::start("application_that_maps_and_waits", server.path()).kill();
        watch.wait_for(2, |event| matches!(event, Event::UserMappingLeft { .. }));
        for event in watch.events() {
            if let Event::UserMappingLeft { mapping } = event {
                assert_eq!((mapping.driver.as_str(), mapping.length), ("share", 3 * 4096));
            }
        }
        assert!(machine.user_mappings().is_empty());
        done(&device, FREE, &[]);
        server.stop();
    });
}

#[test]
fn a_buffer_that_is_freed_while_it_is_mapped_is_told_and_the_process_sees_what_it_held() {
    for kind in [POOL, PAGES] {
        with_driver(DRIVER, |machine| {
            let watch = Watch::on(machine);
            let process = machine.process("test");
            let device = open(&process, DEVICE);
            done(&device, MAKE, &[2 * 4096, kind]);
            done(&device, FORGET, &[1]);
            let address = map(&device);
            done(&device, PATTERN, &[3]);
            done(&device, FREE, &[]);
            let told = |event: &Event| {
                matches!(event, Event::MappedMemoryFreed { mapping }
                    if mapping.address == address && mapping.driver == "share")
            };
            assert_eq!(watch.events().iter().filter(|event| told(event)).count(), 1);
            // Whoever gets the memory next is not seen.
            done(&device, MAKE, &[2 * 4096, kind]);
            done(&device, PATTERN, &[4]);
            assert!(load(address, 8192).expect("still mapped") == pattern(8192, 3));
            done(&device, FREE, &[]);
            drop(device);
            process.end();
            assert!(machine.user_mappings().is_empty());
        });
    }
}

#[test]
fn what_a_driver_has_mapped_when_it_is_unloaded_is_told() {
    let machine = machine_with("share");
    let process = machine.process("test");
    let device = open(&process, DEVICE);
    done(&device, MAKE, &[4096, POOL]);
    done(&device, FORGET, &[1]);
    let address = map(&device);
    drop(device);
    let Ok(UnloadOutcome::Unloaded(report)) = machine.unload("share") else { panic!("unloads") };
    assert!(!report.is_clean());
    assert_eq!(report.user_mappings.len(), 1);
    assert_eq!(report.user_mappings[0].address, address);
    assert_eq!(host::left_behind(&report).len(), 1, "{report:?}");
    process.end();
    assert!(machine.user_mappings().is_empty());
}
