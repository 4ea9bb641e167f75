//! The sample `pipe` with applications: names, order, capacity, waiting, and that nothing is lost or comes twice.

use std::collections::BTreeSet;
use std::sync::Mutex;

use abi::{FILE_READ_DATA, FILE_WRITE_DATA, NTSTATUS};
use app::{ControlCode, Device, OpenOptions};
use gate::Transport;
use ringbridge_scenarios::{PIPE, application, failure, open, run_application, scenario, unload_cleanly};
use sample_pipe::{
    DEFAULT_CAPACITY, IOCTL_POSITION, IOCTL_QUERY, IOCTL_SET_CAPACITY, IOCTL_SET_MODE, MAX_CAPACITY, Mode,
};

const HELLO: &str = r"\\.\Example\HELLO";

/// One piece, whatever of others comes before and behind it.
const MESSAGE: usize = 64;

fn set_capacity(device: &Device<'_>, capacity: u32) -> Result<(), NTSTATUS> {
    let set = device.control(ControlCode(IOCTL_SET_CAPACITY), &capacity.to_le_bytes(), &mut []);
    set.map(drop).map_err(|error| error.status)
}

fn block(device: &Device<'_>) {
    let mode = (Mode::Blocking as u32).to_le_bytes();
    device.control(ControlCode(IOCTL_SET_MODE), &mode, &mut []).expect("the mode is set");
}

/// Capacity, bytes inside, opens.
fn query(device: &Device<'_>) -> [u32; 3] {
    let mut answer = [0; 12];
    assert_eq!(device.control(ControlCode(IOCTL_QUERY), &[], &mut answer).expect("answers"), 12);
    [0, 4, 8].map(|at| u32::from_le_bytes(answer[at..at + 4].try_into().expect("four bytes")))
}

fn reader<'a>(transport: &'a dyn Transport, path: &str) -> Device<'a> {
    let device = OpenOptions::new().access(FILE_READ_DATA).open(transport, path).expect("opens");
    block(&device);
    device
}

fn writer<'a>(transport: &'a dyn Transport, path: &str) -> Device<'a> {
    let device = OpenOptions::new().access(FILE_WRITE_DATA).open(transport, path).expect("opens");
    block(&device);
    device
}

fn read(device: &Device<'_>, most: usize) -> Vec<u8> {
    let mut buffer = vec![0; most];
    let length = device.read(&mut buffer).expect("reads") as usize;
    buffer.truncate(length);
    buffer
}

/// Bytes that look like chance, the same for the same seed.
struct Bytes(u64);

impl Bytes {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = self.0.to_le_bytes()[7];
        }
    }
}

fn checksum(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

fn message(writer: u32, number: u32) -> [u8; MESSAGE] {
    let mut message = [0; MESSAGE];
    message[..4].copy_from_slice(&writer.to_le_bytes());
    message[4..8].copy_from_slice(&number.to_le_bytes());
    Bytes(u64::from(writer) << 32 | u64::from(number)).fill(&mut message[8..56]);
    let sum = checksum(1, &message[..56]);
    message[56..].copy_from_slice(&sum.to_le_bytes());
    message
}

/// Who sent it, and which one it is.
fn sender(bytes: &[u8; MESSAGE]) -> (u32, u32) {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let (writer, number) = (number(0), number(4));
    assert_eq!(*bytes, message(writer, number), "message {number} of writer {writer} is damaged");
    (writer, number)
}

/// What came out of a pipe, in whatever order: every message of every writer once.
#[derive(Default)]
struct Arrived(Mutex<BTreeSet<(u32, u32)>>);

impl Arrived {
    fn add(&self, sender: (u32, u32)) {
        let is_new = self.0.lock().expect("no test thread failed").insert(sender);
        assert!(is_new, "message {} of writer {} came twice", sender.1, sender.0);
    }

    fn assert_complete(&self, writers: u32, messages: u32) {
        let all: BTreeSet<_> = (0..writers).flat_map(|w| (0..messages).map(move |n| (w, n))).collect();
        let arrived = self.0.lock().expect("no test thread failed");
        assert!(*arrived == all, "lost: {:?}", all.difference(&arrived).collect::<Vec<_>>());
    }
}

scenario! {
    fn opens_of_one_name_in_any_case_share_a_pipe(form: Form) {
        let machine = PIPE.machine(form);
        let (first, second) = (machine.process("first"), machine.process("second"));
        let one = open(&first, HELLO);
        let other = open(&second, r"\\.\example\Hello");
        assert_eq!(one.write(b"from one").expect("writes"), 8);
        assert_eq!(read(&other, 100), b"from one");
        other.write("größer".as_bytes()).expect("writes");
        assert_eq!(read(&one, 100), "größer".as_bytes());
        let big = open(&first, r"\\.\Example\ÄÖÜ");
        open(&second, r"\\.\Example\äöü").write(b"umlauts").expect("writes");
        assert_eq!(read(&big, 100), b"umlauts");
    }
}

scenario! {
    fn different_names_do_not_mix(form: Form) {
        let machine = PIPE.machine(form);
        let process = machine.process("two pipes");
        let names = ["a", "b", "aa", r"a\b"].map(|name| format!(r"\\.\Example\{name}"));
        let pipes: Vec<_> = names.iter().map(|name| open(&process, name)).collect();
        for (pipe, name) in pipes.iter().zip(&names) {
            pipe.write(name.as_bytes()).expect("writes");
        }
        for (pipe, name) in pipes.iter().zip(&names).rev() {
            assert_eq!(read(pipe, 100), name.as_bytes());
            assert_eq!(query(pipe), [DEFAULT_CAPACITY, 0, 1]);
        }
    }
}

scenario! {
    fn an_open_without_a_name_fails_and_leaves_nothing(form: Form) {
        let machine = PIPE.machine(form);
        let process = machine.process("nameless");
        for path in [r"\\.\Example", r"\\.\Example\"] {
            assert_eq!(failure(Device::open(&process, path)), abi::STATUS_OBJECT_NAME_INVALID, "{path}");
        }
        assert_eq!(process.open_handles(), 0);
        unload_cleanly(&machine, "pipe");
    }
}

scenario! {
    fn an_empty_pipe_gives_nothing_and_a_full_one_takes_what_fits(form: Form) {
        let machine = PIPE.machine(form);
        let process = machine.process("non-blocking");
        let pipe = open(&process, HELLO);
        assert_eq!(read(&pipe, 100), b"");
        assert_eq!(read(&pipe, 0), b"");
        assert_eq!(pipe.write(b"").expect("writes"), 0);
        let data = vec![7; DEFAULT_CAPACITY as usize - 10];
        assert_eq!(pipe.write(&data).expect("writes") as usize, data.len());
        assert_eq!(pipe.write(b"0123456789abc").expect("writes"), 10);
        assert_eq!(pipe.write(b"more").expect("writes"), 0);
        assert_eq!(query(&pipe), [DEFAULT_CAPACITY, DEFAULT_CAPACITY, 1]);
        assert_eq!(read(&pipe, data.len()), data);
        assert_eq!(read(&pipe, 100), b"0123456789");
        assert_eq!(read(&pipe, 100), b"");
    }
}

scenario! {
    fn bytes_come_in_order_wherever_the_ring_wraps_around(form: Form) {
        let machine = PIPE.machine(form);
        let process = machine.process("wrap");
        for capacity in [1, 2, 7, 64, 1000] {
            let pipe = open(&process, &format!(r"\\.\Example\{capacity}"));
            set_capacity(&pipe, capacity).expect("empty");
            let (mut sent, mut received) = (Bytes(1), Bytes(1));
            let mut inside = 0;
            for step in 0..300_usize {
                let mut ahead = Bytes(sent.0);
                let mut data = vec![0; step * 5 % (capacity as usize + 3)];
                ahead.fill(&mut data);
                let taken = pipe.write(&data).expect("writes") as usize;
                assert_eq!(taken, data.len().min(capacity as usize - inside));
                sent.fill(&mut data[..taken]);
                let came = read(&pipe, step * 3 % (capacity as usize + 2));
                let mut expected = vec![0; came.len()];
                received.fill(&mut expected);
                assert_eq!(came, expected, "capacity {capacity}, step {step}");
                inside = inside + taken - came.len();
                assert_eq!(query(&pipe)[1] as usize, inside);
            }
        }
    }
}

scenario! {
    fn the_capacity_changes_around_what_is_inside(form: Form) {
        let machine = PIPE.machine(form);
        let process = machine.process("capacity");
        let pipe = open(&process, HELLO);
        for refused in [0, MAX_CAPACITY + 1, u32::MAX] {
            assert_eq!(set_capacity(&pipe, refused), Err(abi::STATUS_INVALID_PARAMETER), "{refused}");
        }
        let code = ControlCode(IOCTL_SET_CAPACITY);
        for input in [&[][..], &[1; 3], &[1; 5]] {
            assert_eq!(failure(pipe.control(code, input, &mut [])), abi::STATUS_INVALID_PARAMETER);
        }
        let observer = OpenOptions::new().access(FILE_READ_DATA).open(&process, HELLO).expect("opens");
        assert_eq!(set_capacity(&observer, 10), Err(abi::STATUS_ACCESS_DENIED));
        set_capacity(&pipe, 8).expect("empty");
        pipe.write(b"xxxxx").expect("writes");
        assert_eq!(read(&pipe, 5), b"xxxxx");
        // Across the end of the ring.
        assert_eq!(pipe.write(b"12345678").expect("writes"), 8);
        assert_eq!(set_capacity(&pipe, 7), Err(abi::STATUS_DEVICE_BUSY));
        set_capacity(&pipe, MAX_CAPACITY).expect("larger");
        assert_eq!(query(&observer), [MAX_CAPACITY, 8, 2]);
        pipe.write(b"9").expect("writes");
        set_capacity(&pipe, 9).expect("just enough");
        assert_eq!(pipe.write(b"0").expect("writes"), 0);
        assert_eq!(read(&observer, 100), b"123456789");
        set_capacity(&pipe, 1).expect("empty");
        assert_eq!(pipe.write(b"0123").expect("writes"), 1);
    }
}

scenario! {
    fn other_control_codes_modes_and_short_answers_are_refused(form: Form) {
        let machine = PIPE.machine(form);
        let process = machine.process("controls");
        let pipe = open(&process, HELLO);
        let mode = ControlCode(IOCTL_SET_MODE);
        assert_eq!(failure(pipe.control(mode, &[2, 0, 0, 0], &mut [])), abi::STATUS_INVALID_PARAMETER);
        assert_eq!(failure(pipe.control(mode, &[], &mut [])), abi::STATUS_INVALID_PARAMETER);
        let query = ControlCode(IOCTL_QUERY);
        assert_eq!(failure(pipe.control(query, &[], &mut [0; 11])), abi::STATUS_BUFFER_TOO_SMALL);
        let unknown = ControlCode(0x0022_2FFC);
        assert_eq!(failure(pipe.control(unknown, &[], &mut [])), abi::STATUS_INVALID_DEVICE_REQUEST);
    }
}

scenario! {
    fn a_pipe_goes_with_its_last_open_and_with_it_what_was_inside(form: Form) {
        let machine = PIPE.machine(form);
        let process = machine.process("opens");
        let first = open(&process, HELLO);
        first.write(b"kept").expect("writes");
        let second = open(&process, HELLO);
        assert_eq!(query(&second), [DEFAULT_CAPACITY, 4, 2]);
        first.close().expect("closes");
        assert_eq!(query(&second), [DEFAULT_CAPACITY, 4, 1]);
        second.close().expect("closes");
        let third = open(&process, HELLO);
        assert_eq!(query(&third), [DEFAULT_CAPACITY, 0, 1]);
        third.close().expect("closes");
        unload_cleanly(&machine, "pipe");
    }
}

scenario! {
    fn unloading_leaves_no_context_behind(form: Form) {
        let machine = PIPE.machine(form);
        let process = machine.process("ends with open files");
        for number in 0..50 {
            let device = open(&process, &format!(r"\\.\Example\{}", number % 7));
            device.write(b"never read").expect("writes");
            std::mem::forget(device);
        }
        drop(process);
        unload_cleanly(&machine, "pipe");
    }
}

scenario! {
    fn a_blocked_read_is_woken_by_a_write(form: Form) {
        // In each round both sides wait for the other.
        const ROUNDS: u32 = 500;
        let machine = PIPE.machine(form);
        let process = machine.process("ping-pong");
        let (there, back) = (r"\\.\Example\there", r"\\.\Example\back");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (from, to) = (reader(&process, there), writer(&process, back));
                for round in 0..ROUNDS {
                    assert_eq!(read(&from, 100), round.to_le_bytes());
                    to.write(&(!round).to_le_bytes()).expect("writes");
                }
            });
            let (to, from) = (writer(&process, there), reader(&process, back));
            for round in 0..ROUNDS {
                to.write(&round.to_le_bytes()).expect("writes");
                assert_eq!(read(&from, 100), (!round).to_le_bytes());
            }
        });
        unload_cleanly(&machine, "pipe");
    }
}

scenario! {
    fn a_blocking_write_larger_than_the_capacity_goes_in_parts(form: Form) {
        let machine = PIPE.machine(form);
        let process = machine.process("large");
        let from = reader(&process, HELLO);
        let to = writer(&process, HELLO);
        set_capacity(&to, 100).expect("empty");
        let mut data = vec![0; 100_000];
        Bytes(5).fill(&mut data);
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(to.write(&data).expect("writes") as usize, data.len()));
            let mut came = Vec::new();
            while came.len() < data.len() {
                let part = read(&from, 333);
                assert!((1..=100).contains(&part.len()), "{}", part.len());
                came.extend(part);
            }
            assert!(came == data);
        });
    }
}

scenario! {
    fn waiting_ends_when_the_other_side_has_gone(form: Form) {
        let machine = PIPE.machine(form);
        let process = machine.process("broken");
        let from = reader(&process, HELLO);
        let to = writer(&process, HELLO);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let first = read(&from, 100);
                (first, failure(from.read(&mut [0; 100])))
            });
            to.write(b"the last words").expect("writes");
            drop(to);
            let (first, then) = waiting.join().expect("ends");
            assert_eq!((first.as_slice(), then), (&b"the last words"[..], abi::STATUS_PIPE_BROKEN));
        });
        let to = writer(&process, HELLO);
        set_capacity(&to, 10).expect("empty");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| (to.write(&[1; 25]).expect("in parts"), failure(to.write(&[2]))));
            assert_eq!(read(&from, 4), [1; 4]);
            drop(from);
            let (taken, then) = waiting.join().expect("ends");
            assert!((4..=14).contains(&taken), "{taken}");
            assert_eq!(then, abi::STATUS_PIPE_BROKEN);
        });
        // Who comes again makes it whole, and finds what was left.
        let from = reader(&process, HELLO);
        while query(&from)[1] > 0 {
            assert_eq!(read(&from, 3).first(), Some(&1));
        }
        to.write(&[3]).expect("there is a reader again");
        assert_eq!(read(&from, 3), [3]);
    }
}

scenario! {
    fn several_writers_and_readers_lose_and_double_nothing(form: Form) {
        const WRITERS: u32 = 4;
        const READERS: u32 = 3;
        const MESSAGES: u32 = 1000;
        let machine = PIPE.machine(form);
        let process = machine.process("crowd");
        let arrived = Arrived::default();
        let writers: Vec<_> = (0..WRITERS).map(|_| writer(&process, HELLO)).collect();
        let readers: Vec<_> = (0..READERS).map(|_| reader(&process, HELLO)).collect();
        // Three messages and a bit.
        set_capacity(&writers[0], 200).expect("empty");
        std::thread::scope(|scope| {
            for (number, device) in (0..).zip(writers) {
                scope.spawn(move || {
                    for index in 0..MESSAGES {
                        let taken = device.write(&message(number, index)).expect("writes");
                        assert_eq!(taken as usize, MESSAGE);
                    }
                });
            }
            for device in &readers {
                scope.spawn(|| {
                    let mut last = [None; WRITERS as usize];
                    let mut bytes = [0; MESSAGE];
                    let end = loop {
                        match device.read(&mut bytes) {
                            Ok(length) => assert_eq!(length as usize, MESSAGE),
                            Err(error) => break error.status,
                        }
                        let (writer, number) = sender(&bytes);
                        assert!(last[writer as usize] < Some(number), "writer {writer} was overtaken by itself");
                        last[writer as usize] = Some(number);
                        arrived.add((writer, number));
                    };
                    assert_eq!(end, abi::STATUS_PIPE_BROKEN);
                });
            }
        });
        arrived.assert_complete(WRITERS, MESSAGES);
        drop(readers);
        unload_cleanly(&machine, "pipe");
    }
}

scenario! {
    fn writers_and_readers_that_never_wait_lose_and_double_nothing(form: Form) {
        const WRITERS: u32 = 3;
        const MESSAGES: u32 = 500;
        let machine = PIPE.machine(form);
        let process = machine.process("impatient crowd");
        let arrived = Arrived::default();
        let keeper = open(&process, HELLO);
        set_capacity(&keeper, 5 * 64).expect("empty");
        std::thread::scope(|scope| {
            for number in 0..WRITERS {
                let process = &process;
                scope.spawn(move || {
                    let device = open(process, HELLO);
                    for index in 0..MESSAGES {
                        while device.write(&message(number, index)).expect("writes") == 0 {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    let device = open(&process, HELLO);
                    let mut bytes = [0; MESSAGE];
                    while arrived.0.lock().expect("no test thread failed").len() < (WRITERS * MESSAGES) as usize {
                        match device.read(&mut bytes).expect("reads") as usize {
                            0 => std::thread::yield_now(),
                            length => {
                                assert_eq!(length, MESSAGE);
                                arrived.add(sender(&bytes));
                            }
                        }
                    }
                });
            }
        });
        arrived.assert_complete(WRITERS, MESSAGES);
    }
}

const STREAM: usize = 4 << 20;

#[test]
fn application_that_writes() {
    let Some(client) = application() else { return };
    let device = writer(&client, HELLO);
    let (mut bytes, mut sum) = (Bytes(STREAM as u64), 7);
    let mut piece = vec![0; 10_000];
    let mut left = STREAM;
    while left > 0 {
        let length = left.min(piece.len());
        let piece = &mut piece[..length];
        bytes.fill(piece);
        sum = checksum(sum, piece);
        assert_eq!(device.write(piece).expect("writes") as usize, length);
        left -= length;
    }
    device.write(&sum.to_le_bytes()).expect("writes");
}

#[test]
fn application_that_reads() {
    let Some(client) = application() else { return };
    let device = reader(&client, HELLO);
    let mut all = Vec::with_capacity(STREAM + 8);
    let mut buffer = vec![0; 7000];
    let end = loop {
        match device.read(&mut buffer) {
            Ok(length) => all.extend_from_slice(&buffer[..length as usize]),
            Err(error) => break error.status,
        }
    };
    assert_eq!((end, all.len()), (abi::STATUS_PIPE_BROKEN, STREAM + 8));
    let (data, sum) = all.split_at(STREAM);
    assert_eq!(checksum(7, data).to_le_bytes(), sum);
}

scenario! {
    fn two_processes_move_some_mebibytes(form: Form) {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = PIPE.machine(form);
        let process = machine.process("keeps the pipe");
        // Neither reads nor writes: what is in the pipe outlives a writer that is done before the reader comes.
        let keeper = OpenOptions::new().access(0).open(&process, HELLO).expect("opens");
        let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
        std::thread::scope(|scope| {
            scope.spawn(|| run_application("application_that_writes", server.path()));
            run_application("application_that_reads", server.path());
        });
        server.stop();
        drop(keeper);
        unload_cleanly(&machine, "pipe");
    }
}

/// Bytes that this handle has read and written.
fn position(device: &Device<'_>) -> [u64; 2] {
    let mut answer = [0; 16];
    assert_eq!(device.control(ControlCode(IOCTL_POSITION), &[], &mut answer).expect("answers"), 16);
    [0, 8].map(|at| u64::from_le_bytes(answer[at..at + 8].try_into().expect("eight bytes")))
}

scenario! {
    fn each_handle_of_a_pipe_keeps_a_position_of_its_own(form: Form) {
        let machine = PIPE.machine(form);
        let process = machine.process("two handles");
        let [one, other] = [HELLO, r"\\.\Example\hello"].map(|path| open(&process, path));
        assert_eq!(one.write(b"123").expect("is taken"), 3);
        assert_eq!(other.write(b"45678").expect("is taken"), 5);
        assert_eq!(read(&other, 4), b"1234", "the pipe is one");
        assert_eq!((position(&one), position(&other)), ([0, 3], [4, 5]));
        assert_eq!(read(&one, 9), b"5678");
        assert_eq!((position(&one), position(&other)), ([4, 3], [4, 5]));
        let copy = one.try_clone().expect("is duplicated");
        assert_eq!(position(&copy), [4, 3], "a duplicate is of the same file");
        let short = one.control(ControlCode(IOCTL_POSITION), &[], &mut [0; 15]);
        assert_eq!(failure(short), abi::STATUS_BUFFER_TOO_SMALL);
    }
}

#[test]
fn application_that_keeps_its_position() {
    let Some(client) = application() else { return };
    let device = open(&client, HELLO);
    assert_eq!(position(&device), [0, 0], "not that of the other process's handle");
    assert_eq!(device.write(b"1234567").expect("is taken"), 7);
    assert_eq!(position(&device), [0, 7]);
}

scenario! {
    fn a_position_is_kept_for_a_handle_of_another_process(form: Form) {
        let machine = PIPE.machine(form);
        let process = machine.process("keeps the pipe");
        let device = open(&process, HELLO);
        assert_eq!(device.write(b"12").expect("is taken"), 2);
        let folder = tempfile::tempdir().expect("a folder");
        let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
        run_application("application_that_keeps_its_position", server.path());
        server.stop();
        assert_eq!(read(&device, 16), b"121234567");
        assert_eq!(position(&device), [9, 2]);
    }
}
