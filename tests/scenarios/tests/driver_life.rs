//! A driver's life as it sees it: what DriverEntry is given, which requests an open, its use and its end bring in which
//! order, and how devices and drivers go. `life.sys` writes down what it gets.

use app::{Device, OpenOptions};
use gate::{CreateFile, Transport};
use host::{Event, LoadOptions, Machine, UnloadOutcome};
use ringbridge_scenarios::{
    Watch, application, case_code, failure, machine_with, open, run_application, sys_path, unload_cleanly,
};

const LIFE: &str = r"\\.\RbLife";
const ONLY: &str = r"\\.\RbLifeOnly";
const CREATE: u8 = 0x00;
const CLOSE: u8 = 0x02;
const WRITE: u8 = 0x04;
const CLEANUP: u8 = 0x12;

/// A `life_event`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Request {
    major: u8,
    requestor_mode: u8,
    irql: u8,
    is_only: bool,
    flags: u32,
    process: u32,
    file_flags: u32,
    file: u64,
    is_file_of_device: bool,
    options: u32,
    share: u32,
    access: u32,
    name: String,
}

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// A `life_string`: its maximum length and its text.
fn string(bytes: &[u8]) -> (u32, String) {
    let length = half(bytes, 0) & 0xFFFF;
    let units: Vec<u16> = bytes[4..].chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    (half(bytes, 0) >> 16, String::from_utf16_lossy(&units[..(length as usize / 2).min(units.len())]))
}

impl Request {
    const LENGTH: usize = 304;

    fn read(bytes: &[u8]) -> Self {
        Self {
            major: bytes[0],
            requestor_mode: bytes[1],
            irql: bytes[2],
            is_only: bytes[3] != 0,
            flags: half(bytes, 4),
            process: half(bytes, 8),
            file_flags: half(bytes, 12),
            file: u64::from(half(bytes, 16)) | u64::from(half(bytes, 20)) << 32,
            is_file_of_device: half(bytes, 24) != 0,
            options: half(bytes, 28),
            share: half(bytes, 32),
            access: half(bytes, 36),
            name: string(&bytes[40..296]).1,
        }
    }
}

/// The driver's requests, without those of `device`, which asks.
fn requests(device: &Device<'_>) -> Vec<Request> {
    let mut answer = vec![0; Request::LENGTH * 128];
    let bytes = device.control(case_code(0), &[], &mut answer).expect("is answered") as usize;
    answer[..bytes].chunks(Request::LENGTH).map(Request::read).collect()
}

/// Runs `body` on a machine with `life.sys`, and gives what the driver wrote down meanwhile.
fn written_down(body: impl FnOnce(&Machine)) -> Vec<Request> {
    let machine = machine_with("life");
    let process = machine.process("observer");
    let observer = open(&process, LIFE);
    observer.control(case_code(2), &[], &mut []).expect("forgets the open of the observer");
    body(&machine);
    requests(&observer)
}

fn majors(requests: &[Request]) -> Vec<u8> {
    requests.iter().map(|request| request.major).collect()
}

#[test]
fn driver_entry_gets_its_key_and_a_driver_object_that_is_ready() {
    let machine = machine_with("life");
    let process = machine.process("reader");
    let mut entry = [0; 32 + 4 * 256];
    let device = open(&process, LIFE);
    let bytes = device.control(case_code(1), &[], &mut entry).expect("is answered");
    assert_eq!((bytes, half(&entry, 0)), (1056, 1056));
    assert_eq!((half(&entry, 4), half(&entry, 8)), (0, 4), "at PASSIVE_LEVEL, in the system process");
    assert_eq!((half(&entry, 12), half(&entry, 16)), (4, 0x150), "IO_TYPE_DRIVER and its size");
    let driver = &machine.drivers()[0];
    assert_eq!(u64::from(half(&entry, 20)), driver.size);
    assert_eq!(entry[24..29], [1; 5], "DriverStart, DriverInit, DriverExtension, NULL fields, equal majors");
    let strings: Vec<_> =
        (0..4).map(|index| string(&entry[32 + index * 256..32 + (index + 1) * 256])).collect();
    assert_eq!(strings[0].1, r"\Registry\Machine\System\CurrentControlSet\Services\life");
    assert_eq!(strings[1].1, r"\Driver\life");
    assert_eq!(strings[2].1, "life");
    assert_eq!(strings[3].1, r"\REGISTRY\MACHINE\HARDWARE\DESCRIPTION\SYSTEM");
    for (maximum, text) in strings {
        assert!(maximum as usize >= text.len() * 2, "{text}");
    }
}

#[test]
fn an_open_a_request_and_a_close_are_create_write_cleanup_close() {
    let requests = written_down(|machine| {
        let process = machine.process("writer");
        let device = open(&process, LIFE);
        assert_eq!(device.write(b"12345"), Ok(5));
        device.close().expect("closes");
    });
    assert_eq!(majors(&requests), [CREATE, WRITE, CLEANUP, CLOSE]);
    let files: Vec<_> = requests.iter().map(|request| request.file).collect();
    assert!(files[0] != 0 && files.iter().all(|file| *file == files[0]), "the same file object: {files:x?}");
    assert!(requests.iter().all(|request| request.irql == 0 && request.is_file_of_device), "{requests:?}");
    let modes: Vec<_> = requests.iter().map(|request| request.requestor_mode).collect();
    assert_eq!(modes, [1, 1, 0, 0], "CLEANUP and CLOSE come from the kernel");
    assert_eq!(requests[0].process, requests[1].process);
    assert_eq!(requests[1].process, requests[2].process, "CLEANUP runs in the closing process");
    assert_ne!(requests[0].flags & abi::IRP_CREATE_OPERATION, 0);
    assert_ne!(requests[1].flags & abi::IRP_WRITE_OPERATION, 0);
    assert!(requests[2..].iter().all(|request| request.flags & abi::IRP_CLOSE_OPERATION != 0));
}

#[test]
fn every_request_of_a_synchronous_file_says_so() {
    const FO_SYNCHRONOUS_IO: u32 = 2;
    let requests = written_down(|machine| {
        open(&machine.process("opener"), LIFE).close().expect("closes");
    });
    assert!(requests.iter().all(|request| request.file_flags & FO_SYNCHRONOUS_IO != 0), "{requests:?}");
}

#[test]
fn create_says_what_was_asked_for() {
    let requests = written_down(|machine| {
        let process = machine.process("opener");
        let share = abi::FILE_SHARE_READ | abi::FILE_SHARE_DELETE;
        let options = OpenOptions::new().access(abi::GENERIC_READ).share(share);
        options.open(&process, LIFE).expect("opens");
    });
    let create = &requests[0];
    assert_eq!(create.options >> 24, abi::FILE_OPEN);
    let options = abi::FILE_SYNCHRONOUS_IO_NONALERT | abi::FILE_NON_DIRECTORY_FILE;
    assert_eq!(create.options & 0xFF_FFFF, options);
    assert_eq!(create.share, abi::FILE_SHARE_READ | abi::FILE_SHARE_DELETE);
    assert_eq!(create.access, abi::FILE_GENERIC_READ, "generic rights are mapped");
}

#[test]
fn a_create_that_fails_has_neither_cleanup_nor_close() {
    let requests = written_down(|machine| {
        let process = machine.process("refused");
        let error = Device::open(&process, r"\\.\RbLife\refuse").expect_err("is refused");
        assert_eq!(error.status, abi::STATUS_SHARING_VIOLATION);
        assert_eq!(error.code, 32, "ERROR_SHARING_VIOLATION");
        assert_eq!(process.open_handles(), 0);
    });
    assert_eq!(majors(&requests), [CREATE]);
}

#[test]
fn create_with_a_warning_gives_no_file_to_createfile() {
    // NT_SUCCESS decides: a warning is none.
    let requests = written_down(|machine| {
        let process = machine.process("warned");
        let error = Device::open(&process, r"\\.\RbLife\warn").expect_err("no success");
        assert_eq!(error.status, abi::STATUS_BUFFER_OVERFLOW);
    });
    assert_eq!(requests[0].major, CREATE);
}

#[test]
fn a_name_collision_is_error_file_exists_from_createfile() {
    const ERROR_FILE_EXISTS: u32 = 80;
    let machine = machine_with("life");
    let process = machine.process("late");
    let error = Device::open(&process, r"\\.\RbLife\collide").expect_err("no success");
    assert_eq!((error.status, error.code), (abi::STATUS_OBJECT_NAME_COLLISION, ERROR_FILE_EXISTS));
}

#[test]
fn what_follows_the_device_in_a_path_reaches_the_driver_with_its_backslash() {
    let paths = ["", "\\", r"\a", r"\a\b", r"\a\\b\", r"\C:\dir\file.txt", "\\\u{00E4}\u{4E2D}", r"\MiXeD"];
    let requests = written_down(|machine| {
        let process = machine.process("opener");
        for rest in paths {
            drop(open(&process, &format!("{LIFE}{rest}")));
        }
    });
    let names: Vec<_> =
        requests.iter().filter(|request| request.major == CREATE).map(|request| &request.name[..]).collect();
    assert_eq!(names, paths);
    assert!(requests.chunks(3).all(|file| majors(file) == [CREATE, CLEANUP, CLOSE]), "{requests:?}");
    assert!(requests.chunks(3).all(|file| file[0].name == file[2].name), "the name lasts until CLOSE");
}

#[test]
fn every_open_is_a_file_object_of_its_own() {
    let requests = written_down(|machine| {
        let process = machine.process("opener");
        let devices: Vec<_> = (0..10).map(|_| open(&process, LIFE)).collect();
        for device in devices.into_iter().rev() {
            device.close().expect("closes");
        }
    });
    let files =
        |major| requests.iter().filter(move |request| request.major == major).map(|request| request.file);
    let opened: Vec<_> = files(CREATE).collect();
    let distinct: std::collections::HashSet<_> = opened.iter().collect();
    assert_eq!((opened.len(), distinct.len()), (10, 10));
    assert!(files(CLEANUP).eq(opened.iter().rev().copied()));
    assert!(files(CLOSE).eq(opened.iter().rev().copied()));
}

#[test]
fn a_process_that_ends_cleans_up_and_closes_every_file_once() {
    let requests = written_down(|machine| {
        let process = machine.process("forgetful");
        for _ in 0..5 {
            std::mem::forget(open(&process, LIFE));
        }
        assert_eq!(process.open_handles(), 5);
        drop(process);
    });
    let count = |major| requests.iter().filter(|request| request.major == major).count();
    assert_eq!((count(CREATE), count(CLEANUP), count(CLOSE), requests.len()), (5, 5, 5, 15));
}

#[test]
fn a_major_function_that_is_not_set_is_an_invalid_device_request() {
    let machine = machine_with("life");
    let process = machine.process("reader");
    let device = open(&process, LIFE);
    let error = device.read(&mut [0; 4]).expect_err("IRP_MJ_READ is not set");
    assert_eq!((error.status, error.code), (abi::STATUS_INVALID_DEVICE_REQUEST, 1));
    assert_eq!(device.write(b"x"), Ok(1), "others are served");
}

#[test]
fn an_exclusive_device_is_open_once() {
    let machine = machine_with("life");
    let (first, second) = (machine.process("first"), machine.process("second"));
    let device = open(&first, ONLY);
    for process in [&first, &second] {
        let error = Device::open(process, ONLY).expect_err("is open");
        assert_eq!((error.status, error.code), (abi::STATUS_ACCESS_DENIED, 5));
        assert_eq!(failure(Device::open(process, r"\\.\RbLifeOnly\sub")), abi::STATUS_ACCESS_DENIED);
    }
    device.close().expect("closes");
    let device = open(&second, ONLY);
    assert_eq!(failure(Device::open(&first, ONLY)), abi::STATUS_ACCESS_DENIED);
    drop(device);
    // A create that the driver refuses does not count as open.
    assert_eq!(failure(Device::open(&first, r"\\.\RbLifeOnly\refuse")), abi::STATUS_SHARING_VIOLATION);
    drop(open(&first, ONLY));
}

#[test]
fn of_many_threads_one_has_an_exclusive_device_open_at_a_time() {
    let machine = machine_with("life");
    let process = machine.process("rivals");
    let holders = std::sync::atomic::AtomicU32::new(0);
    let opened = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..300 {
                    let Ok(device) = Device::open(&process, ONLY) else { continue };
                    assert_eq!(holders.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    opened.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    holders.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    device.close().expect("closes");
                }
            });
        }
    });
    assert!(opened.into_inner() > 0);
    drop(open(&process, ONLY));
}

#[test]
fn a_deleted_device_serves_its_open_files_until_the_last_is_closed() {
    let machine = machine_with("life");
    let process = machine.process("late");
    let observer = open(&process, LIFE);
    let device = open(&process, ONLY);
    let before = machine.drivers()[0].devices.len();
    device.control(case_code(3), &[], &mut []).expect("deletes its own device");
    assert_eq!(machine.drivers()[0].devices.len(), before - 1);
    // The name is gone; its symbolic link leads nowhere.
    assert_eq!(failure(Device::open(&process, ONLY)), abi::STATUS_OBJECT_NAME_NOT_FOUND);
    assert_eq!(failure(Device::open(&process, r"\Device\RbLifeOnly")), abi::STATUS_OBJECT_NAME_NOT_FOUND);
    observer.control(case_code(2), &[], &mut []).expect("forgets");
    device.control(case_code(1), &[], &mut [0; 1056]).expect("still serves");
    device.close().expect("closes");
    let requests = requests(&observer);
    assert_eq!(majors(&requests), [CLEANUP, CLOSE]);
    assert!(requests.iter().all(|request| request.is_only), "{requests:?}");
    observer.close().expect("closes");
    unload_cleanly(&machine, "life");
}

#[test]
fn a_driver_is_not_unloaded_while_a_file_is_open_on_a_device_that_it_deleted() {
    let machine = machine_with("life");
    let process = machine.process("late");
    let device = open(&process, ONLY);
    device.control(case_code(3), &[], &mut []).expect("deletes its own device");
    assert_eq!(machine.unload("life"), Ok(UnloadOutcome::Pending { files: 1 }));
    device.control(case_code(1), &[], &mut [0; 1056]).expect("still serves");
    device.close().expect("closes");
    assert!(machine.drivers().is_empty());
}

#[test]
fn unloading_gives_the_names_back_and_a_driver_can_come_again() {
    let machine = Machine::new().expect("a machine");
    let mut pool = Vec::new();
    for round in 0..20 {
        machine.load(&sys_path("life"), LoadOptions::default()).expect("loads");
        let process = machine.process("opener");
        drop(open(&process, LIFE));
        unload_cleanly(&machine, "life");
        assert_eq!(failure(Device::open(&process, LIFE)), abi::STATUS_OBJECT_NAME_NOT_FOUND);
        drop(process);
        // Threads and their packets come once; after that nothing may grow.
        match round {
            1 => pool = machine.pool_usage(),
            19 => assert_eq!(machine.pool_usage(), pool),
            _ => {}
        }
    }
}

#[test]
fn observers_see_a_request_made_dispatched_completed_and_returned() {
    let machine = machine_with("life");
    let process = machine.process("watched");
    let device = open(&process, LIFE);
    let watch = Watch::on(&machine);
    device.write(b"abc").expect("writes");
    let mut steps = Vec::new();
    for event in watch.events() {
        match event {
            Event::IrpCreated { irp, major, device } => {
                assert_eq!((major, &device[..]), (WRITE, r"\Device\RbLife"));
                steps.push(("created", irp));
            }
            Event::IrpDispatched { irp, major, driver } => {
                assert_eq!((major, &driver[..]), (WRITE, r"\Driver\life"));
                steps.push(("dispatched", irp));
            }
            Event::IrpCompleted { irp, status, information, .. } => {
                assert_eq!((status, information), (abi::STATUS_SUCCESS, 3));
                steps.push(("completed", irp));
            }
            Event::IrpReturned { irp, status } => {
                assert_eq!(status, abi::STATUS_SUCCESS);
                steps.push(("returned", irp));
            }
            _ => {}
        }
    }
    let (names, irps): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
    assert_eq!(names, ["created", "dispatched", "completed", "returned"]);
    assert!(irps.iter().all(|irp| *irp == irps[0]));
}

#[test]
fn application_that_opens_and_dies() {
    let Some(client) = application() else { return };
    let path: Vec<u16> = r"\??\RbLife\from\afar".encode_utf16().collect();
    let request = CreateFile {
        path: &path,
        desired_access: abi::GENERIC_WRITE | abi::SYNCHRONIZE,
        file_attributes: 0,
        share_access: abi::FILE_SHARE_WRITE,
        create_disposition: abi::FILE_OPEN_IF,
        create_options: abi::FILE_SYNCHRONOUS_IO_NONALERT,
        security_qos: None,
    };
    let (handle, information) = client.create_file(&request).expect("opens");
    assert_eq!(information, 1, "FILE_OPENED");
    assert!(client.write(handle, b"123", None).status.is_success());
    assert_eq!(failure(Device::open(&client, r"\\.\RbLife\refuse")), abi::STATUS_SHARING_VIOLATION);
    // Dies without closing.
    std::mem::forget(client);
}

#[test]
fn another_process_is_seen_by_the_driver_as_one_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let requests = written_down(|machine| {
        let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
        run_application("application_that_opens_and_dies", server.path());
        server.stop();
    });
    assert_eq!(majors(&requests), [CREATE, WRITE, CREATE, CLEANUP, CLOSE]);
    let create = &requests[0];
    assert_eq!((&create.name[..], create.share), (r"\from\afar", abi::FILE_SHARE_WRITE));
    assert_eq!(create.options >> 24, abi::FILE_OPEN_IF);
    assert_eq!(create.access, abi::FILE_GENERIC_WRITE);
    assert!(create.process > 4 && create.process % 4 == 0, "{create:?}");
    assert!(requests.iter().all(|request| request.process == create.process), "{requests:?}");
}
