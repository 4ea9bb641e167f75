//! The sample `hello` and an application in one process.

use abi::{FILE_READ_DATA, FILE_WRITE_DATA, GENERIC_READ};
use app::{ControlCode, Device, OpenOptions, Transport};
use host::UnloadOutcome;
use ringbridge_scenarios::{HELLO, scenario, unload_cleanly};
use sample_hello::{IOCTL_ECHO, IOCTL_ECHO_CHECKED, IOCTL_LAST_WRITE};

const PATH: &str = r"\\.\My_Device";
const ECHO: ControlCode = ControlCode(IOCTL_ECHO);
const ECHO_CHECKED: ControlCode = ControlCode(IOCTL_ECHO_CHECKED);
const LAST_WRITE: ControlCode = ControlCode(IOCTL_LAST_WRITE);

const ERROR_INVALID_FUNCTION: u32 = 1;
const ERROR_FILE_NOT_FOUND: u32 = 2;
const ERROR_ACCESS_DENIED: u32 = 5;
const ERROR_INVALID_HANDLE: u32 = 6;

scenario! {
    fn a_read_is_filled_with_0x68(form: Form) {
        let machine = HELLO.machine(form);
        let process = machine.process("reader");
        let device = Device::open(&process, PATH).expect("opens");
        for length in [10, 1, 4096, 4097, 1 << 20] {
            let mut buffer = vec![0; length];
            assert_eq!(device.read(&mut buffer).expect("reads") as usize, length);
            assert!(buffer.iter().all(|byte| *byte == 0x68), "length {length}");
        }
    }
}

scenario! {
    fn writes_and_control_codes_are_echoed(form: Form) {
        let machine = HELLO.machine(form);
        let process = machine.process("writer");
        let device = Device::open(&process, PATH).expect("opens");
        assert_eq!(device.write(b"a line for the driver").expect("writes"), 21);
        let mut answer = [0; 64];
        assert_eq!(device.control(LAST_WRITE, &[], &mut answer).expect("controls"), 21);
        assert_eq!(&answer[..21], b"a line for the driver");
        assert_eq!(device.control(ECHO, b"echo", &mut answer).expect("controls"), 4);
        assert_eq!(&answer[..4], b"echo");
    }
}

scenario! {
    fn a_short_output_buffer_gets_what_fits_and_nothing_behind_it_is_touched(form: Form) {
        let machine = HELLO.machine(form);
        let process = machine.process("short");
        let device = Device::open(&process, PATH).expect("opens");
        let mut answer = [0xEE; 16];
        let bytes = device.control(ECHO, b"0123456789", &mut answer[..4]).expect("controls");
        assert_eq!(bytes, 4);
        assert_eq!(&answer[..6], b"0123\xEE\xEE");
    }
}

scenario! {
    fn requests_of_no_bytes_reach_the_driver(form: Form) {
        let machine = HELLO.machine(form);
        let process = machine.process("empty");
        let device = Device::open(&process, PATH).expect("opens");
        assert_eq!(device.read(&mut []).expect("reads"), 0);
        assert_eq!(device.write(&[]).expect("writes"), 0);
        assert_eq!(device.control(ECHO, &[], &mut []).expect("controls"), 0);
        assert_eq!(device.control(ECHO, b"in only", &mut []).expect("controls"), 0);
    }
}

scenario! {
    fn a_control_code_that_the_driver_does_not_know_is_error_invalid_function(form: Form) {
        let machine = HELLO.machine(form);
        let process = machine.process("unknown code");
        let device = Device::open(&process, PATH).expect("opens");
        let error = device.control(ControlCode(0x0022_2FFC), b"x", &mut [0; 4]).expect_err("is refused");
        assert_eq!((error.code, error.status), (ERROR_INVALID_FUNCTION, abi::STATUS_INVALID_DEVICE_REQUEST));
    }
}

scenario! {
    fn access_bits_of_a_control_code_are_checked_before_the_driver_sees_it(form: Form) {
        let machine = HELLO.machine(form);
        let process = machine.process("access");
        for (access, allowed) in
            [(FILE_READ_DATA, false), (FILE_WRITE_DATA, false), (0, false), (FILE_READ_DATA | FILE_WRITE_DATA, true)]
        {
            let device = OpenOptions::new().access(access).open(&process, PATH).expect("opens");
            device.control(ECHO, b"any", &mut [0; 3]).expect("FILE_ANY_ACCESS");
            let checked = device.control(ECHO_CHECKED, b"both", &mut [0; 4]);
            match checked {
                Ok(bytes) => assert!(allowed && bytes == 4, "access {access:#x}"),
                Err(error) => assert!(!allowed && error.code == ERROR_ACCESS_DENIED, "access {access:#x}: {error}"),
            }
        }
        let reader = OpenOptions::new().access(GENERIC_READ).open(&process, PATH).expect("opens");
        assert_eq!(reader.write(b"x").expect_err("no write access").code, ERROR_ACCESS_DENIED);
        let writer = OpenOptions::new().access(FILE_WRITE_DATA).open(&process, PATH).expect("opens");
        assert_eq!(writer.read(&mut [0]).expect_err("no read access").code, ERROR_ACCESS_DENIED);
    }
}

scenario! {
    fn an_unknown_device_is_error_file_not_found(form: Form) {
        let machine = HELLO.machine(form);
        let process = machine.process("lost");
        let error = Device::open(&process, r"\\.\No_Device").expect_err("there is none");
        assert_eq!((error.code, error.status), (ERROR_FILE_NOT_FOUND, abi::STATUS_OBJECT_NAME_NOT_FOUND));
        assert!(error.to_string().contains("check that the driver is loaded"), "{error}");
    }
}

scenario! {
    fn a_closed_handle_is_error_invalid_handle(form: Form) {
        let machine = HELLO.machine(form);
        let process = machine.process("closer");
        let device = Device::open(&process, PATH).expect("opens");
        let handle = device.handle();
        device.close().expect("closes");
        assert_eq!(process.read(handle, &mut [0; 4], None).status, abi::STATUS_INVALID_HANDLE);
        assert_eq!(process.close(handle), abi::STATUS_INVALID_HANDLE);
        assert_eq!(abi::win32_from_status(abi::STATUS_INVALID_HANDLE), ERROR_INVALID_HANDLE);
    }
}

scenario! {
    fn unloading_leaves_nothing_behind(form: Form) {
        let machine = HELLO.machine(form);
        let process = machine.process("last");
        let device = Device::open(&process, PATH).expect("opens");
        device.write(b"kept by the driver until it goes").expect("writes");
        device.close().expect("closes");
        unload_cleanly(&machine, "hello");
        assert!(Device::open(&process, PATH).is_err());
        assert!(machine.drivers().is_empty());
        HELLO.load(&machine, form);
        Device::open(&process, PATH).expect("opens again");
    }
}

scenario! {
    fn unloading_with_open_handles_waits_for_the_last_and_refuses_new_ones(form: Form) {
        let machine = HELLO.machine(form);
        let process = machine.process("holder");
        let first = Device::open(&process, PATH).expect("opens");
        let second = Device::open(&process, PATH).expect("opens");
        assert_eq!(machine.unload("hello").expect("is asked"), UnloadOutcome::Pending { files: 2 });
        let error = Device::open(&process, PATH).expect_err("the driver is going");
        assert_eq!(error.status, abi::STATUS_NO_SUCH_DEVICE);
        assert_eq!(machine.unload("hello"), Err(abi::STATUS_INVALID_DEVICE_REQUEST));
        first.read(&mut [0; 4]).expect("open files go on working");
        first.close().expect("closes");
        assert_eq!(machine.drivers().len(), 1);
        second.close().expect("closes");
        assert!(machine.drivers().is_empty());
    }
}

scenario! {
    fn machines_do_not_see_each_other(form: Form) {
        let threads: Vec<_> = (0..8_u8)
            .map(|number| {
                std::thread::spawn(move || {
                    let machine = HELLO.machine(form);
                    let process = machine.process("one of eight");
                    let device = Device::open(&process, PATH).expect("opens");
                    for round in 0..200_u8 {
                        device.write(&[number, round]).expect("writes");
                        let mut answer = [0; 2];
                        assert_eq!(device.control(LAST_WRITE, &[], &mut answer).expect("controls"), 2);
                        assert_eq!(answer, [number, round]);
                    }
                    device.close().expect("closes");
                    unload_cleanly(&machine, "hello");
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("a machine failed");
        }
    }
}

scenario! {
    fn a_process_that_ends_gives_its_handles_back(form: Form) {
        let machine = HELLO.machine(form);
        let process = machine.process("short-lived");
        let device = Device::open(&process, PATH).expect("opens");
        std::mem::forget(device);
        drop(process);
        unload_cleanly(&machine, "hello");
    }
}
