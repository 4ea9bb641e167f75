//! A machine served to another process: this test's binary, started again as the application.

use app::{ControlCode, Device, OpenOptions};
use host::UnloadOutcome;
use ringbridge_scenarios::{HELLO, application, run_application, scenario, unload_cleanly};
use sample_hello::{IOCTL_ECHO, IOCTL_ECHO_CHECKED, IOCTL_LAST_WRITE};

const PATH: &str = r"\\.\My_Device";
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn application_talks_to_hello() {
    let Some(client) = application() else { return };
    let device = Device::open(&client, PATH).expect("opens");
    for length in [10, 4096, 1 << 20] {
        let mut buffer = vec![0; length];
        assert_eq!(device.read(&mut buffer).expect("reads") as usize, length);
        assert!(buffer.iter().all(|byte| *byte == 0x68), "length {length}");
    }
    let line: Vec<u8> = (0..100_000_u32).map(|index| index.to_le_bytes()[0]).collect();
    assert_eq!(device.write(&line).expect("writes") as usize, line.len());
    let mut answer = vec![0; line.len()];
    let bytes = device.control(ControlCode(IOCTL_LAST_WRITE), &[], &mut answer).expect("controls");
    assert_eq!(bytes as usize, line.len());
    assert_eq!(answer, line);
    let mut short = [0xEE; 6];
    let echo = ControlCode(IOCTL_ECHO);
    assert_eq!(device.control(echo, b"0123456789", &mut short[..4]).expect("controls"), 4);
    assert_eq!(&short, b"0123\xEE\xEE");
    let reader = OpenOptions::new().access(abi::FILE_READ_DATA).open(&client, PATH).expect("opens");
    let refused =
        reader.control(ControlCode(IOCTL_ECHO_CHECKED), b"x", &mut [0]).expect_err("no write access");
    assert_eq!(refused.code, 5);
    assert_eq!(Device::open(&client, r"\\.\No_Device").expect_err("there is none").code, 2);
}

scenario! {
    fn an_application_in_another_process_gets_the_same_answers(form: Form) {
        let folder = folder();
        let machine = HELLO.machine(form);
        let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
        run_application("application_talks_to_hello", server.path());
        server.stop();
        unload_cleanly(&machine, "hello");
    }
}

#[test]
fn application_with_many_threads() {
    let Some(client) = application() else { return };
    std::thread::scope(|scope| {
        for number in 0..8_u8 {
            let client = &client;
            scope.spawn(move || {
                let device = Device::open(client, PATH).expect("opens");
                for round in 0..200_u8 {
                    let sent = [number, round, 0xA5];
                    let mut answer = [0; 3];
                    let echo = ControlCode(IOCTL_ECHO);
                    let bytes = device.control(echo, &sent, &mut answer).expect("controls");
                    assert_eq!((bytes, answer), (3, sent));
                }
            });
        }
    });
}

scenario! {
    fn threads_of_an_application_are_answered_side_by_side(form: Form) {
        let folder = folder();
        let machine = HELLO.machine(form);
        let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
        run_application("application_with_many_threads", server.path());
    }
}

#[test]
fn application_that_dies_with_open_handles() {
    let Some(client) = application() else { return };
    for _ in 0..10 {
        std::mem::forget(Device::open(&client, PATH).expect("opens"));
    }
    // The process ends without closing them.
    std::mem::forget(client);
}

scenario! {
    fn a_process_that_died_leaves_no_open_file(form: Form) {
        let folder = folder();
        let machine = HELLO.machine(form);
        let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
        run_application("application_that_dies_with_open_handles", server.path());
        server.stop();
        assert!(matches!(machine.unload("hello"), Ok(UnloadOutcome::Unloaded(_))));
    }
}
