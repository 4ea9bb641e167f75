//! StartIo in the SDK, as the test driver `spindle` has it: one request at a time, in order or by key, and what becomes of
//! those that are cancelled.

use std::thread::{Scope, ScopedJoinHandle, yield_now};

use abi::{NTSTATUS, STATUS_CANCELLED, STATUS_DELETE_PENDING, STATUS_DEVICE_NOT_READY, STATUS_SUCCESS};
use app::{ControlCode, Device};
use gate::{Handle, Transport};
use host::Process;
use ringbridge_scenarios::{
    SPINDLE, TOWER, Watch, failure, is_pended, open, open_asynchronous, scenario, unload_cleanly,
};
use test_spindle::{IOCTL_ECHO, IOCTL_FILL, IOCTL_FINISH, IOCTL_HOLD, IOCTL_IS_CANCELLED, IOCTL_LOG};
use test_tower::{IOCTL_WRITE_LATER, IOCTL_WRITTEN};

const PATH: &str = r"\\.\RbSpindle";

fn open_file(process: &Process) -> Handle {
    open_asynchronous(process, "RbSpindle", abi::FILE_READ_DATA | abi::FILE_WRITE_DATA)
}

fn hold(device: &Device<'_>, holds: bool) {
    device.control(ControlCode(IOCTL_HOLD), &[holds.into()], &mut []).expect("answers");
}

fn finish(device: &Device<'_>) {
    device.control(ControlCode(IOCTL_FINISH), &[], &mut []).expect("there is a current request");
}

fn log(device: &Device<'_>) -> String {
    let mut bytes = [0; 64];
    let length = device.control(ControlCode(IOCTL_LOG), &[], &mut bytes).expect("answers");
    String::from_utf8(bytes[..length as usize].to_vec()).expect("letters")
}

/// Writers that wait, each in a thread of its own, in the order in which they came.
struct Writers<'s, 'e> {
    scope: &'s Scope<'s, 'e>,
    watch: &'e Watch,
    pended: usize,
    waiting: Vec<ScopedJoinHandle<'s, NTSTATUS>>,
}

impl<'s, 'e> Writers<'s, 'e> {
    fn new(scope: &'s Scope<'s, 'e>, watch: &'e Watch) -> Self {
        Self { scope, watch, pended: 0, waiting: Vec::new() }
    }

    /// Writes a letter to a place, which is the request's key unless it is 0, and waits until that is pended.
    fn write(&mut self, process: &'e Process, handle: Handle, letter: u8, place: u64) {
        let write = move || process.write(handle, &[letter], Some(place)).status;
        self.waiting.push(self.scope.spawn(write));
        self.pended += 1;
        self.watch.wait_for(self.pended, is_pended);
    }

    fn join(self) -> Vec<NTSTATUS> {
        self.waiting.into_iter().map(|writer| writer.join().expect("no panic")).collect()
    }
}

scenario! {
    fn start_io_gets_the_next_request_when_the_current_one_is_completed(form: Form) {
        let machine = SPINDLE.machine(form);
        let watch = Watch::on(&machine);
        let process = machine.process("application");
        let device = open(&process, PATH);
        let handle = open_file(&process);
        hold(&device, true);
        std::thread::scope(|scope| {
            let mut writers = Writers::new(scope, &watch);
            for letter in *b"abc" {
                writers.write(&process, handle, letter, 0);
            }
            for log_before in ["a", "ab", "abc"] {
                assert_eq!(log(&device), log_before);
                finish(&device);
            }
            assert_eq!(writers.join(), [STATUS_SUCCESS; 3]);
        });
        let finished = device.control(ControlCode(IOCTL_FINISH), &[], &mut []);
        assert_eq!(failure(finished), STATUS_DEVICE_NOT_READY);
        // Idle again.
        hold(&device, false);
        assert_eq!(device.write(b"d"), Ok(1));
        assert_eq!(log(&device), "abcd");
        drop(device);
        process.end();
        unload_cleanly(&machine, "spindle");
    }
}

scenario! {
    fn requests_with_keys_wait_in_their_order_and_the_next_can_be_chosen_by_one(form: Form) {
        let machine = SPINDLE.machine(form);
        let watch = Watch::on(&machine);
        let process = machine.process("application");
        let device = open(&process, PATH);
        let handle = open_file(&process);
        hold(&device, true);
        std::thread::scope(|scope| {
            let mut writers = Writers::new(scope, &watch);
            for (letter, place) in [(b'a', 0), (b'd', 40), (b'b', 20), (b'c', 30), (b'e', 50)] {
                writers.write(&process, handle, letter, place);
            }
            finish(&device);
            assert_eq!(log(&device), "ab", "the smallest key");
            let by_key = |key: u8| device.control(ControlCode(IOCTL_FINISH), &[key], &mut []).expect("answers");
            by_key(31);
            assert_eq!(log(&device), "abd", "the first key of at least 31");
            by_key(99);
            assert_eq!(log(&device), "abdc", "there is none of at least 99");
            finish(&device);
            finish(&device);
            assert_eq!(log(&device), "abdce");
            assert_eq!(writers.join(), [STATUS_SUCCESS; 5]);
        });
        drop(device);
        process.end();
        unload_cleanly(&machine, "spindle");
    }
}

scenario! {
    fn requests_that_start_io_completes_at_once_come_one_after_the_other(form: Form) {
        let machine = SPINDLE.machine(form);
        let watch = Watch::on(&machine);
        let process = machine.process("application");
        let device = open(&process, PATH);
        let handle = open_file(&process);
        hold(&device, true);
        std::thread::scope(|scope| {
            let mut writers = Writers::new(scope, &watch);
            for letter in *b"abcdef" {
                writers.write(&process, handle, letter, 0);
            }
            hold(&device, false);
            // Each completes within the StartIo call that the one before it has asked for.
            finish(&device);
            assert_eq!(log(&device), "abcdef");
            assert_eq!(writers.join(), [STATUS_SUCCESS; 6]);
        });
        drop(device);
        process.end();
        unload_cleanly(&machine, "spindle");
    }
}

scenario! {
    fn requests_of_every_kind_keep_their_buffers_and_their_output_while_they_wait(form: Form) {
        let machine = SPINDLE.machine(form);
        let process = machine.process("application");
        let device = open(&process, PATH);
        let mut buffer = [b'.'; 16];
        assert_eq!(device.read(&mut buffer), Ok(12));
        assert_eq!(&buffer, b"first second....");
        let mut answer = [b'.'; 6];
        assert_eq!(device.control(ControlCode(IOCTL_ECHO), b"echo", &mut answer), Ok(4));
        assert_eq!(&answer, b"echo..");
        assert_eq!(device.control(ControlCode(IOCTL_FILL), &[], &mut answer), Ok(6));
        assert_eq!(&answer, b"oooooo");
        assert_eq!(log(&device), "rco");
        device.close().expect("closes");
        unload_cleanly(&machine, "spindle");
    }
}

scenario! {
    fn a_request_that_is_cancelled_while_it_waits_is_not_started(form: Form) {
        let machine = SPINDLE.machine(form);
        let watch = Watch::on(&machine);
        let (process, other) = (machine.process("application"), machine.process("ends"));
        let device = open(&process, PATH);
        let (handle, ends) = (open_file(&process), open_file(&other));
        hold(&device, true);
        std::thread::scope(|scope| {
            let mut writers = Writers::new(scope, &watch);
            writers.write(&process, handle, b'a', 0);
            writers.write(&other, ends, b'x', 0);
            writers.write(&process, handle, b'b', 0);
            // Its thread cancels its request, and no handle is closed yet.
            other.begin_end();
            assert_eq!(writers.waiting.remove(1).join().expect("no panic"), STATUS_CANCELLED);
            finish(&device);
            assert_eq!(log(&device), "ab");
            finish(&device);
            assert_eq!(writers.join(), [STATUS_SUCCESS; 2]);
        });
        other.end();
        drop(device);
        process.end();
        unload_cleanly(&machine, "spindle");
    }
}

scenario! {
    fn the_current_request_is_the_drivers_to_complete_when_it_is_cancelled(form: Form) {
        let machine = SPINDLE.machine(form);
        let watch = Watch::on(&machine);
        let (process, other) = (machine.process("application"), machine.process("ends"));
        let device = open(&process, PATH);
        let (handle, ends) = (open_file(&process), open_file(&other));
        hold(&device, true);
        let is_cancelled = || {
            let mut answer = [7];
            device.control(ControlCode(IOCTL_IS_CANCELLED), &[], &mut answer).expect("answers");
            answer[0]
        };
        std::thread::scope(|scope| {
            let mut writers = Writers::new(scope, &watch);
            writers.write(&other, ends, b'a', 0);
            writers.write(&process, handle, b'b', 0);
            assert_eq!(is_cancelled(), 0);
            other.begin_end();
            while is_cancelled() == 0 {
                yield_now();
            }
            finish(&device);
            assert_eq!(log(&device), "ab");
            finish(&device);
            assert_eq!(writers.join(), [STATUS_SUCCESS; 2]);
        });
        other.end();
        drop(device);
        process.end();
        unload_cleanly(&machine, "spindle");
    }
}

scenario! {
    fn cleanup_cancels_the_files_requests_that_wait_and_keeps_the_others_order(form: Form) {
        let machine = SPINDLE.machine(form);
        let watch = Watch::on(&machine);
        let process = machine.process("application");
        let device = open(&process, PATH);
        let (closed, kept) = (open_file(&process), open_file(&process));
        hold(&device, true);
        std::thread::scope(|scope| {
            let mut writers = Writers::new(scope, &watch);
            writers.write(&process, closed, b'a', 0);
            for (letter, place) in [(b'd', 40), (b'b', 20), (b'c', 30)] {
                writers.write(&process, kept, letter, place);
                writers.write(&process, closed, b'x', place);
            }
            assert_eq!(process.close(closed), STATUS_SUCCESS);
            // The current request goes on, and so does the queue.
            writers.write(&process, kept, b'e', 35);
            assert_eq!(log(&device), "a");
            for _ in 0..5 {
                finish(&device);
            }
            assert_eq!(log(&device), "abced", "by the keys that they came with");
            let (good, bad) = (STATUS_SUCCESS, STATUS_CANCELLED);
            assert_eq!(writers.join(), [good, good, bad, good, bad, good, bad, good]);
        });
        drop(device);
        process.end();
        unload_cleanly(&machine, "spindle");
    }
}

scenario! {
    fn a_device_that_is_detached_completes_its_current_request_and_starts_no_other(form: Form) {
        let machine = SPINDLE.machine(form);
        TOWER.load(&machine, form);
        // The second one has the driver that writes to devices by name.
        for _ in 0..2 {
            machine.add_device("tower").expect("the driver takes it");
        }
        let stack = machine.add_device("spindle").expect("the driver takes it");
        assert_eq!(stack.len(), 2, "{stack:?}");
        let process = machine.process("application");
        let writer = open(&process, r"\\.\RbSeen");
        let name: Vec<u8> = stack[0].encode_utf16().flat_map(u16::to_le_bytes).collect();
        let watch = Watch::on(&machine);
        writer.control(ControlCode(IOCTL_WRITE_LATER), &name, &mut []).expect("sends both");
        watch.wait_for(2, is_pended);
        // No file of the driver's own is open: its device is only part of the stack that the file is for.
        unload_cleanly(&machine, "spindle");
        let mut statuses = [0; 8];
        writer.control(ControlCode(IOCTL_WRITTEN), &[], &mut statuses).expect("answers");
        let expected = [STATUS_CANCELLED, STATUS_DELETE_PENDING].map(|status| status.bits().to_le_bytes());
        assert_eq!(statuses.as_chunks().0, expected, "the one with its packet, the other in the queue");
        writer.close().expect("closes");
        assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    }
}
