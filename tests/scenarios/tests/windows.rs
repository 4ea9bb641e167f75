//! A session's window: what lies there reaches drivers without a copy, pointers into it mean the same to them, and nobody
//! else's window can be reached through it. The applications are processes of their own.

use abi::{NTSTATUS, STATUS_ACCESS_VIOLATION, STATUS_SUCCESS};
use app::{ControlCode, Device};
use gate::{Buffer, Client};
use ringbridge_scenarios::{
    APPS, Beside, application, apps_follow, apps_pointer, machine_with, open, run_application,
    run_application_with, say_ready_with, unload_cleanly, wait_to_go_on, words,
};

const BUFFERED: &str = r"\\.\RbBuffered";
const DIRECT: &str = r"\\.\RbDirect";
const NEITHER: &str = r"\\.\RbNeither";
/// What the driver reports of the last request: see mdl.c.
const LAST: u32 = 16;
const PROBE: u32 = 17;
const LOCK: u32 = 18;
/// Win32's code for STATUS_ACCESS_VIOLATION.
const ERROR_NOACCESS: u32 = 998;

fn code(number: u32, method: u32) -> ControlCode {
    ControlCode(abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x900 + number, method, abi::FILE_ANY_ACCESS))
}

/// Word `index` of mdl.sys's answer to a request of its own.
fn report(device: &Device<'_>, number: u32, inputs: &[u64]) -> [u64; 10] {
    let mut answer = [0; 80];
    assert_eq!(device.control(code(number, 0), &words(inputs), &mut answer).expect("answers"), 80);
    std::array::from_fn(|index| u64::from_le_bytes(answer[index * 8..][..8].try_into().expect("eight bytes")))
}

/// Where the driver met the first and the second buffer of the last request.
fn met_at(device: &Device<'_>) -> [u64; 2] {
    let words = report(device, LAST, &[]);
    [words[3], words[4]]
}

#[test]
fn application_with_buffers_in_its_window() {
    let Some(client) = application() else { return };
    let device = open(&client, BUFFERED);
    for length in [1, 4096, 70_001, 3 << 20] {
        let (mut first, mut second) =
            (client.allocate(length).expect("room"), client.allocate(length).expect("room"));
        first.write(0, &vec![0x5A; length]);
        for method in [abi::METHOD_NEITHER, abi::METHOD_IN_DIRECT, abi::METHOD_OUT_DIRECT] {
            let control = code(0, method).0;
            let done = client.device_control_in_place(device.handle(), control, &first, &mut second);
            assert_eq!((done.status, done.information), (STATUS_SUCCESS, length as u64));
            let [first_at, second_at] = met_at(&device);
            assert_eq!(second_at, second.address(), "method {method}, {length} bytes: in place");
            // The first buffer of the direct methods is a system buffer by NT's rules.
            assert_eq!(first_at == first.address(), method == abi::METHOD_NEITHER, "method {method}");
        }
        for path in [DIRECT, NEITHER] {
            let device = open(&client, path);
            let done = client.write_in_place(device.handle(), &first, None);
            assert_eq!((done.status, done.information), (STATUS_SUCCESS, length as u64), "{path}");
            assert_eq!(met_at(&device)[0], first.address(), "{path}: a write in place");
            let done = client.read_in_place(device.handle(), &mut second, None);
            assert_eq!((done.status, done.information), (STATUS_SUCCESS, length as u64), "{path}");
            assert_eq!(met_at(&device)[1], second.address(), "{path}: a read in place");
        }
    }
    let other = application().expect("another session");
    let theirs = other.allocate(100).expect("room");
    let done = client.write_in_place(device.handle(), &theirs, None);
    assert_eq!(done.status, STATUS_ACCESS_VIOLATION, "a buffer of another session");
}

#[test]
fn buffers_in_the_window_pass_without_a_copy() {
    serve("mdl", |socket| run_application("application_with_buffers_in_its_window", socket));
}

/// Runs `body` with a host of the driver `name`, which must end as it began.
fn serve(name: &str, body: impl FnOnce(&std::path::Path)) {
    let folder = tempfile::tempdir().expect("a folder");
    let machine = machine_with(name);
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    body(server.path());
    server.stop();
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    unload_cleanly(&machine, name);
}

/// Has the driver invert what lies at an address. The error's status and code, if there is one.
fn follow(device: &Device<'_>, address: u64, length: u64, by_lock: bool) -> Option<(NTSTATUS, u32)> {
    let done = device.control(apps_follow(), &apps_pointer(address, length, by_lock), &mut []);
    done.err().map(|error| (error.status, error.code))
}

const REFUSED: Option<(NTSTATUS, u32)> = Some((STATUS_ACCESS_VIOLATION, ERROR_NOACCESS));

fn bytes(buffer: &Buffer) -> Vec<u8> {
    let mut bytes = vec![0; buffer.len()];
    buffer.read(0, &mut bytes);
    bytes
}

#[test]
fn application_with_embedded_pointers() {
    let Some(client) = application() else { return };
    let device = open(&client, APPS);
    let mut mine = client.allocate(10_000).expect("room");
    mine.write(0, &[0x0F; 10_000]);
    for by_lock in [false, true] {
        assert_eq!(follow(&device, mine.address() + 4000, 200, by_lock), None);
        let seen = bytes(&mine);
        assert!(seen[4000..4200].iter().all(|byte| *byte == 0xF0), "the driver followed the pointer");
        assert!(seen[..4000].iter().chain(&seen[4200..]).all(|byte| *byte == 0x0F), "and went no further");
        assert_eq!(follow(&device, mine.address() + 4000, 200, by_lock), None);
        assert!(bytes(&mine).iter().all(|byte| *byte == 0x0F));

        // Memory of this process that is not in the window is nothing to the host.
        let outside = [0x0F_u8; 200];
        assert_eq!(follow(&device, outside.as_ptr() as u64, 200, by_lock), REFUSED);
        assert!(outside.iter().all(|byte| *byte == 0x0F));
        let window = client.data();
        // Before the data lie the session's call slots, where short buffers travel.
        let first = window.start & !(platform::pages::WINDOW_STRIDE as u64 - 1);
        for (address, length) in [
            (0, 1),
            (8, 200),
            (first - 1, 2),
            (window.end - 1, 2),
            (window.end, 1),
            (window.start, 1 << 40),
            (window.start, u64::MAX),
            (0x7FFF_FFFE_FFFF, 2),
            (0xFFFF_8000_0000_0000, 8),
            (u64::MAX, 1),
        ] {
            // An MDL takes 32 bits of a length.
            if !by_lock || u32::try_from(length).is_ok() {
                assert_eq!(follow(&device, address, length, by_lock), REFUSED, "{address:#x}, {length:#x}");
            }
        }
    }
}

#[test]
fn pointers_inside_the_window_work_and_those_outside_are_access_violations() {
    serve("apps", |socket| run_application("application_with_embedded_pointers", socket));
}

/// Where the victim's buffer lies, for the thief.
const VICTIM: &str = "RINGBRIDGE_SCENARIO_VICTIM";

#[test]
fn application_whose_window_another_wants() {
    let Some(client) = application() else { return };
    let mut mine = client.allocate(5000).expect("room");
    mine.write(0, &[0x77; 5000]);
    say_ready_with(&mine.address().to_string());
    wait_to_go_on();
    assert!(bytes(&mine).iter().all(|byte| *byte == 0x77), "nobody has been here");
}

#[test]
fn application_that_wants_the_window_of_another() {
    let Some(client) = application() else { return };
    let victim: u64 = std::env::var(VICTIM).expect("is told").parse().expect("a number");
    wants_what_is_at(&client, victim);
}

fn wants_what_is_at(client: &Client, address: u64) {
    let device = open(client, BUFFERED);
    for (number, write) in [(PROBE, 0), (PROBE, 1), (LOCK, 0), (LOCK, 1)] {
        // By probing and by locking, for reading and for writing.
        let [status, ..] = report(&device, number, &[address, 5000, write, 1, 1]);
        assert_eq!(status, u64::from(STATUS_ACCESS_VIOLATION.bits()), "request {number}, {write}");
    }
    assert!(!client.data().contains(&address), "the sessions' windows are apart");
}

#[test]
fn no_session_reaches_the_window_of_another() {
    serve("mdl", |socket| {
        let victim = Beside::start("application_whose_window_another_wants", socket);
        let address = victim.said().expect("it says where").to_owned();
        let thief = "application_that_wants_the_window_of_another";
        run_application_with(thief, socket, &[(VICTIM, &address)]);
        victim.finish();
    });
}
