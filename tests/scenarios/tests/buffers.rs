//! What `mdl.sys` gets to see of an application's buffers: by every METHOD and every mode of read and write, from the
//! same process and from another. The driver says in `tests/drivers/mdl.c` what its requests do.

use std::path::Path;

use abi::NTSTATUS;
use app::{ControlCode, Device, Transport};
use host::Machine;
use ringbridge_scenarios::{
    application, checksum, failure, machine_with, open, pattern, run_application, unload_cleanly, words,
};

const DEVICES: [&str; 3] = [r"\\.\RbBuffered", r"\\.\RbDirect", r"\\.\RbNeither"];
const METHODS: [u32; 4] =
    [abi::METHOD_BUFFERED, abi::METHOD_IN_DIRECT, abi::METHOD_OUT_DIRECT, abi::METHOD_NEITHER];
const LENGTHS: [usize; 7] = [0, 1, 63, 4096, 4097, 65_536, 300_001];
const ACCESS_VIOLATION: u64 = 0xC000_0005;
const KERNEL_MODE: u64 = 0;
const USER_MODE: u64 = 1;
const READ: u64 = 0;
const WRITE: u64 = 1;

const SUCCEED: u32 = 0;
const OVERFLOW: u32 = 1;
const TOO_SMALL: u32 = 2;
const TOO_MUCH_INFORMATION: u32 = 3;
const LEAVE_SECOND: u32 = 4;
const FREE_OWN_MDL: u32 = 5;
const LAST: u32 = 16;
const PROBE: u32 = 17;
const LOCK: u32 = 18;
const LOCK_AND_KEEP: u32 = 19;
const WRITE_AND_UNLOCK: u32 = 20;
const CHECK_MDLS: u32 = 21;
const SECONDARY: u32 = 23;

fn code(number: u32, method: u32) -> ControlCode {
    ControlCode(abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x900 + number, method, abi::FILE_ANY_ACCESS))
}

/// Other bytes than any pattern of the driver's.
fn data(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|index| (index % 251).to_le_bytes()[0] ^ seed).collect()
}

/// The driver's `struct report`.
#[derive(Debug)]
struct Report {
    status: u64,
    first: u64,
    second: u64,
    first_address: u64,
    second_address: u64,
    mdl_flags: u64,
    mdl_size: u64,
    mdl_length: u64,
    has_mdl: u64,
    has_system_buffer: u64,
}

fn service(device: &Device<'_>, number: u32, inputs: &[u64]) -> Report {
    let mut answer = [0; 80];
    let bytes = device.control(code(number, 0), &words(inputs), &mut answer).expect("is answered");
    assert_eq!(bytes, 80);
    let word = |index: usize| u64::from_le_bytes(answer[index * 8..][..8].try_into().expect("eight bytes"));
    Report {
        status: word(0),
        first: word(1),
        second: word(2),
        first_address: word(3),
        second_address: word(4),
        mdl_flags: word(5),
        mdl_size: word(6),
        mdl_length: word(7),
        has_mdl: word(8),
        has_system_buffer: word(9),
    }
}

fn last(device: &Device<'_>) -> Report {
    service(device, LAST, &[])
}

/// Runs `body` with a machine that has `mdl.sys`, which must end as it began.
fn with_machine(body: impl FnOnce(&Machine)) {
    let machine = machine_with("mdl");
    body(&machine);
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    unload_cleanly(&machine, "mdl");
}

/// Runs `body` as an embedded application.
fn embedded(body: impl FnOnce(&dyn Transport)) {
    with_machine(|machine| body(&machine.process("application")));
}

/// Runs the test `name` of this file as an application in another process.
fn in_another_process(name: &str) {
    with_machine(|machine| {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("ringbridge.sock");
        let server = machine.serve(Path::new(&socket)).expect("serves");
        run_application(name, server.path());
        server.stop();
    });
}

// ---- every METHOD ---------------------------------------------------------------------------------------------------

/// One transfer: what the driver saw of both buffers, and what it did to the second one, reached each other unharmed.
fn transfer(device: &Device<'_>, method: u32, first: &[u8], second: &mut [u8]) {
    let what = format!("method {method}, {} and {} bytes", first.len(), second.len());
    let before = checksum(second);
    let bytes = device.control(code(SUCCEED, method), first, second).expect("succeeds");
    assert_eq!(bytes as usize, second.len(), "{what}");
    assert!(second == pattern(second.len(), checksum(first)), "{what}: what the driver wrote arrived");
    let seen = last(device);
    assert_eq!(seen.first, checksum(first), "{what}: the first buffer arrived");
    let direct = method == abi::METHOD_IN_DIRECT || method == abi::METHOD_OUT_DIRECT;
    if method != abi::METHOD_BUFFERED {
        assert_eq!(seen.second, before, "{what}: the driver sees the second buffer as it was");
    }
    assert_eq!(seen.has_mdl == 1, direct && !second.is_empty(), "{what}: an MDL");
    let copied = match method {
        abi::METHOD_BUFFERED => !first.is_empty() || !second.is_empty(),
        abi::METHOD_NEITHER => false,
        _ => !first.is_empty(),
    };
    assert_eq!(seen.has_system_buffer == 1, copied, "{what}: a system buffer");
    if seen.has_mdl == 1 {
        let for_writing = if method == abi::METHOD_OUT_DIRECT { abi::MDL_WRITE_OPERATION } else { 0 };
        assert_eq!(
            seen.mdl_flags,
            (abi::MDL_PAGES_LOCKED | abi::MDL_MAPPED_TO_SYSTEM_VA | for_writing) as u64,
            "{what}"
        );
        assert_eq!(seen.mdl_length, second.len() as u64, "{what}");
        let pages = (seen.second_address % 4096 + second.len() as u64).div_ceil(4096);
        assert_eq!(seen.mdl_size, 0x30 + pages * 8, "{what}");
    }
}

fn every_method_carries_every_length(transport: &dyn Transport) {
    for path in DEVICES {
        let device = open(transport, path);
        for method in METHODS {
            for first in LENGTHS {
                for second in LENGTHS {
                    transfer(&device, method, &data(first, 3), &mut data(second, 9));
                }
            }
        }
        // Not at the start of a page, and over its end.
        let first = data(10_000, 1);
        let mut second = data(10_000, 2);
        for method in METHODS {
            for start in [1, 7, 63, 4093] {
                transfer(&device, method, &first[start..start + 5000], &mut second[start..start + 5000]);
            }
        }
    }
}

#[test]
fn every_method_carries_every_length_embedded() {
    embedded(every_method_carries_every_length);
}

#[test]
fn application_of_every_method() {
    let Some(client) = application() else { return };
    every_method_carries_every_length(&client);
}

#[test]
fn every_method_carries_every_length_from_another_process() {
    in_another_process("application_of_every_method");
}

// ---- every mode of read and write -----------------------------------------------------------------------------------

fn every_mode_reads_and_writes(transport: &dyn Transport) {
    for (path, direct) in DEVICES.into_iter().zip([false, true, false]) {
        let device = open(transport, path);
        for length in LENGTHS {
            let line = data(length, 5);
            assert_eq!(device.write(&line).expect("writes") as usize, length, "{path}");
            let seen = last(&device);
            assert_eq!(seen.first, checksum(&line), "{path}, {length} bytes");
            assert_eq!(seen.has_mdl == 1, direct && length != 0, "{path}, {length} bytes");
            if direct && length != 0 {
                assert_eq!(seen.mdl_flags & abi::MDL_WRITE_OPERATION as u64, 0, "read from, not written to");
            }
            let mut answer = data(length, 7);
            assert_eq!(device.read(&mut answer).expect("reads") as usize, length, "{path}");
            assert!(answer == pattern(length, checksum(&line)), "{path}, {length} bytes");
            let seen = last(&device);
            assert_eq!(seen.has_mdl == 1, direct && length != 0, "{path}, {length} bytes");
            assert_eq!(seen.has_system_buffer == 1, path == DEVICES[0] && length != 0, "{path}");
        }
    }
}

#[test]
fn every_mode_reads_and_writes_embedded() {
    embedded(every_mode_reads_and_writes);
}

#[test]
fn application_of_every_mode() {
    let Some(client) = application() else { return };
    every_mode_reads_and_writes(&client);
}

#[test]
fn every_mode_reads_and_writes_from_another_process() {
    in_another_process("application_of_every_mode");
}

// ---- statuses and Information -----------------------------------------------------------------------------------------

fn what_comes_back_follows_status_and_method(transport: &dyn Transport) {
    let device = open(transport, DEVICES[1]);
    for method in METHODS {
        for length in [5_usize, 100, 9000] {
            let (first, before) = (data(20, 1), data(length, 2));
            let written = pattern(length, checksum(&first));
            let control = |number: u32| {
                let mut memory = [before.clone(), vec![0xEE; 200]].concat();
                let result = device.control(code(number, method), &first, &mut memory[..length]);
                assert!(memory[length..].iter().all(|byte| *byte == 0xEE), "written behind the buffer");
                memory.truncate(length);
                (result, memory)
            };
            let (result, memory) = control(OVERFLOW);
            let error = result.expect_err("a warning is no success");
            assert_eq!(
                (error.status, error.code, error.bytes as usize),
                (abi::STATUS_BUFFER_OVERFLOW, 234, length)
            );
            assert!(memory == written, "method {method}: a warning copies");
            let (result, memory) = control(TOO_SMALL);
            assert_eq!(failure(result), abi::STATUS_BUFFER_TOO_SMALL);
            let kept = method == abi::METHOD_BUFFERED;
            assert!(
                memory == if kept { before.clone() } else { written.clone() },
                "method {method}: an error"
            );
            let (result, memory) = control(TOO_MUCH_INFORMATION);
            assert_eq!(result.expect("succeeds") as usize, length + 100, "NT does not correct the driver");
            assert!(memory == written, "method {method}: as much as the buffer has");
            let (result, memory) = control(LEAVE_SECOND);
            assert_eq!(result.expect("succeeds") as usize, length);
            assert!(method == abi::METHOD_BUFFERED || memory == before, "method {method}: left alone");
        }
    }
}

#[test]
fn what_comes_back_follows_status_and_method_embedded() {
    embedded(what_comes_back_follows_status_and_method);
}

#[test]
fn application_of_statuses() {
    let Some(client) = application() else { return };
    what_comes_back_follows_status_and_method(&client);
}

#[test]
fn what_comes_back_follows_status_and_method_from_another_process() {
    in_another_process("application_of_statuses");
}

// ---- addresses inside data ---------------------------------------------------------------------------------------------

/// Requests that follow an address: whether they end with an access violation.
fn refused(device: &Device<'_>, address: u64, length: u64) -> [bool; 6] {
    let seed = 0x33;
    let probe = |operation| service(device, PROBE, &[address, length, operation, seed]);
    let lock = |operation, mode| service(device, LOCK, &[address, length, operation, seed, mode]);
    let reports = [
        probe(READ),
        probe(WRITE),
        lock(READ, USER_MODE),
        lock(WRITE, USER_MODE),
        lock(READ, KERNEL_MODE),
        lock(WRITE, KERNEL_MODE),
    ];
    reports.map(|report| {
        assert!(report.status == 0 || report.status == ACCESS_VIOLATION, "{report:?}");
        report.status != 0
    })
}

fn addresses_that_are_nobodys_are_refused(device: &Device<'_>) {
    for (address, length) in [
        (0, 1),
        (8, 4),
        (0xFFFF, 1),
        (0x4FFF_FFFF_FFFF, 1),
        (0x4FFF_FFFF_FFFF, 2),
        (0x5000_0000_0000, 8),
        (0x6800_0000_0000, 8),
        (u64::MAX, 8),
        (u64::MAX - 7, 8),
        (0x7FFF_FFFF_FFFF, 1),
    ] {
        assert_eq!(refused(device, address, length), [true; 6], "{address:#x}");
    }
    let local = 5_u64;
    let heap = std::ptr::from_ref(&local).addr() as u64;
    assert_eq!(refused(device, heap, 8), [true; 6], "the process's own memory is above user space");
}

#[test]
fn an_embedded_application_lends_addresses_in_its_window_only() {
    with_machine(|machine| {
        let (process, other) = (machine.process("application"), machine.process("other"));
        let device = open(&process, DEVICES[0]);
        addresses_that_are_nobodys_are_refused(&device);
        let mut mine = process.allocate(9000).expect("room");
        mine.write(10, &data(5000, 4));
        let address = mine.address() + 10;
        assert_eq!(service(&device, PROBE, &[address, 5000, READ]).first, checksum(&data(5000, 4)));
        let locked = service(&device, LOCK, &[address, 5000, READ, 0, USER_MODE]);
        assert_eq!((locked.status, locked.first), (0, checksum(&data(5000, 4))));
        assert_eq!(locked.mdl_flags, abi::MDL_PAGES_LOCKED as u64);
        let locked = service(&device, LOCK, &[address, 5000, WRITE, 77, USER_MODE]);
        assert_eq!(locked.mdl_flags, (abi::MDL_PAGES_LOCKED | abi::MDL_WRITE_OPERATION) as u64);
        assert!(mine.read(10..5010) == pattern(5000, 77));
        assert_eq!(service(&device, PROBE, &[address, 5000, WRITE, 78]).status, 0);
        assert!(mine.read(10..5010) == pattern(5000, 78));
        assert!(mine.read(5010..9000).iter().all(|byte| *byte == 0), "nothing behind it");
        // Beyond the allocation's pages.
        assert_eq!(refused(&device, mine.address() + 12_280, 100)[2..], [true; 4]);

        let theirs = other.allocate(9000).expect("room");
        assert_eq!(refused(&device, theirs.address(), 100), [true; 6], "another process's");
        assert!(theirs.read(0..9000).iter().all(|byte| *byte == 0));
        let elsewhere = open(&other, DEVICES[0]);
        assert_eq!(refused(&elsewhere, theirs.address(), 100), [false; 6], "its own");
    });
}

#[test]
fn buffers_in_the_window_are_met_in_place_and_those_of_others_refused() {
    with_machine(|machine| {
        let (process, other) = (machine.process("application"), machine.process("other"));
        let device = open(&process, DEVICES[0]);
        let handle = device.handle();
        let (mut first, mut second) =
            (process.allocate(70_000).expect("room"), process.allocate(70_000).expect("room"));
        first.write(0, &data(70_000, 8));
        for method in METHODS {
            for (start, length) in [(0, 65_536), (5, 65_531), (4095, 2), (0, 0)] {
                let part = start..start + length;
                let code = code(SUCCEED, method).0;
                let result = process.control_buffers(
                    handle,
                    code,
                    first.input(part.clone()),
                    second.output(part.clone()),
                );
                assert_eq!((result.status, result.information), (abi::STATUS_SUCCESS, u64::from(length)));
                let sum = checksum(&first.read(part.clone()));
                assert!(second.read(part.clone()) == pattern(length as usize, sum), "method {method}");
                let seen = last(&device);
                assert_eq!(seen.first, sum);
                if length != 0 && method != abi::METHOD_BUFFERED {
                    assert_eq!(seen.second_address, second.address() + u64::from(start), "in place");
                }
                if length != 0 && method == abi::METHOD_NEITHER {
                    assert_eq!(seen.first_address, first.address() + u64::from(start), "in place");
                }
            }
        }
        let violation = NTSTATUS::from_bits(0xC000_0005);
        let mut theirs = other.allocate(100).expect("room");
        for method in METHODS.into_iter().skip(1) {
            let code = code(SUCCEED, method).0;
            let result = process.control_buffers(handle, code, first.input(0..10), theirs.output(0..100));
            assert_eq!(result.status, violation, "method {method}");
        }
        let code = code(SUCCEED, abi::METHOD_NEITHER).0;
        let result = process.control_buffers(handle, code, theirs.input(0..100), second.output(0..10));
        assert_eq!(result.status, violation);
        for path in &DEVICES[1..] {
            let device = open(&process, path);
            assert_eq!(process.read_buffer(device.handle(), theirs.output(0..9), None).status, violation);
            assert_eq!(process.write_buffer(device.handle(), theirs.input(0..9), None).status, violation);
            assert_eq!(process.write_buffer(device.handle(), first.input(3..9), None).information, 6);
            assert_eq!(process.read_buffer(device.handle(), second.output(3..9), None).information, 6);
            assert!(second.read(3..9) == pattern(6, checksum(&first.read(3..9))));
        }
        assert!(theirs.read(0..100).iter().all(|byte| *byte == 0));
    });
}

#[test]
fn application_of_addresses() {
    let Some(client) = application() else { return };
    let device = open(&client, DEVICES[0]);
    addresses_that_are_nobodys_are_refused(&device);
    let mut mine = client.allocate(9000).expect("room");
    mine.write(10, &data(5000, 4));
    let address = mine.address() + 10;
    assert_eq!(service(&device, PROBE, &[address, 5000, READ]).first, checksum(&data(5000, 4)));
    assert_eq!(service(&device, LOCK, &[address, 5000, WRITE, 77, USER_MODE]).status, 0);
    let mut bytes = vec![0; 5000];
    mine.read(10, &mut bytes);
    assert!(bytes == pattern(5000, 77), "the driver wrote into this process's memory");
    assert_eq!(refused(&device, client.data().end - 8, 9), [true; 6], "over the window's end");
    assert_eq!(refused(&device, client.data().end - 8, 8), [false; 6]);
    // The other session's window, by any address that its window may have there.
    let other = gate_client_of_this_host();
    let theirs = other.allocate(100).expect("room");
    assert_eq!(refused(&device, theirs.address(), 100), [true; 6], "another session's");
    let elsewhere = open(&other, DEVICES[0]);
    assert_eq!(refused(&elsewhere, theirs.address(), 100), [false; 6], "its own");
}

/// A second session of this application.
fn gate_client_of_this_host() -> gate::Client {
    application().expect("this is the application")
}

#[test]
fn addresses_of_another_session_are_refused() {
    in_another_process("application_of_addresses");
}

// ---- locks -------------------------------------------------------------------------------------------------------------

#[test]
fn pages_that_a_driver_has_locked_stay_after_the_application_gave_them_back() {
    with_machine(|machine| {
        let process = machine.process("application");
        let device = open(&process, DEVICES[0]);
        let mine = process.allocate(100).expect("room");
        let address = mine.address();
        assert_eq!(service(&device, LOCK_AND_KEEP, &[address, 100, WRITE, 1, USER_MODE]).status, 0);
        drop(mine);
        let next = process.allocate(100).expect("room");
        assert_ne!(next.address(), address, "not used again while they are locked");
        assert_eq!(service(&device, WRITE_AND_UNLOCK, &[9]).status, 0, "the driver can still write");
        assert!(next.read(0..100).iter().all(|byte| *byte == 0));
        assert_eq!(process.allocate(100).expect("room").address(), address, "now they are");
    });
}

#[test]
fn a_staged_buffer_that_a_driver_keeps_locked_is_not_staged_again() {
    with_machine(|machine| {
        let process = machine.process("application");
        let device = open(&process, DEVICES[0]);
        let neither = code(SUCCEED, abi::METHOD_NEITHER);
        let mut memory = data(100, 1);
        device.control(neither, b"first", &mut memory).expect("succeeds");
        let address = last(&device).second_address;
        // The place is still the thread's own: it can be locked like any other memory of the process.
        assert_eq!(service(&device, LOCK_AND_KEEP, &[address, 100, WRITE, 1, USER_MODE]).status, 0);
        for _ in 0..3 {
            device.control(neither, b"again", &mut memory).expect("succeeds");
        }
        let used = last(&device).second_address;
        device.control(neither, b"again", &mut memory).expect("succeeds");
        assert_ne!(last(&device).second_address, address, "{used:#x}");
        assert_eq!(service(&device, WRITE_AND_UNLOCK, &[9]).status, 0);
    });
}

#[test]
fn a_process_that_ends_with_locked_pages_stops_the_machine() {
    let machine = machine_with("mdl");
    let process = machine.process("application");
    let device = open(&process, DEVICES[0]);
    let mine = process.allocate(5000).expect("room");
    assert_eq!(service(&device, LOCK_AND_KEEP, &[mine.address(), 5000, WRITE, 1, USER_MODE]).status, 0);
    let id = process.id();
    drop(device);
    process.end();
    let report = machine.bugcheck().expect("stop 76h");
    assert_eq!(report.bugcheck.stop.code, abi::PROCESS_HAS_LOCKED_PAGES);
    assert_eq!(report.bugcheck.stop.parameters, [0, u64::from(id), 2, 0]);
}

// ---- services of MDLs ---------------------------------------------------------------------------------------------------

#[test]
fn mdls_of_pool_parts_of_them_and_allocated_pages_are_as_documented() {
    with_machine(|machine| {
        let process = machine.process("application");
        let device = open(&process, DEVICES[0]);
        assert_eq!(
            service(&device, CHECK_MDLS, &[]).first,
            0,
            "the number of the check in mdl.c that failed"
        );
        assert_eq!(
            service(&device, SECONDARY, &[]).first,
            2,
            "the I/O manager frees what is left at the IRP"
        );
        let usage = machine.pool_usage();
        assert!(!usage.iter().any(|(owner, ..)| owner == "mdl"), "{usage:?}");
    });
}

/// The stop code of a request that stops its machine.
fn stop_of(number: u32, method: u32) -> u32 {
    let machine = machine_with("mdl");
    let process = machine.process("application");
    let device = open(&process, DEVICES[0]);
    device.control(code(number, method), b"data", &mut [0; 100]).expect_err("the machine has stopped");
    machine.bugcheck().expect("a stop").bugcheck.stop.code
}

#[test]
fn what_drivers_do_wrong_with_mdls_stops_the_machine() {
    assert_eq!(stop_of(24, 0), abi::PFN_LIST_CORRUPT, "unlocked, but never locked");
    assert_eq!(stop_of(25, 0), abi::BAD_POOL_CALLER, "freed twice");
    assert_eq!(stop_of(26, 0), abi::TARGET_MDL_TOO_SMALL);
    assert_eq!(stop_of(FREE_OWN_MDL, abi::METHOD_OUT_DIRECT), abi::BAD_POOL_CALLER, "the request's own");
}
