//! Communication ports of filters (row M5): what travels both ways, and what each side's end does to the other. The driver says in
//! `tests/drivers/filter_ports.c` what its requests do.

use std::thread;
use std::time::Duration;

use abi::{NTSTATUS, OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE};
use app::{
    Buffer, CompletionPort, ControlCode, Device, Event, EventKind, FILTER_HEADER_SIZE, FilterPort,
    MessageHeader, Overlapped, Transport, reply_to,
};
use ringbridge_scenarios::{
    application, as_application, checksum, embedded, in_another_process, open, pattern, words,
};

#[path = "filter_ports/ends.rs"]
mod ends;
#[path = "filter_ports/unloading.rs"]
mod unloading;

const DRIVER: &str = "filter_ports";
const DEVICE: &str = r"\\.\RbFilterPorts";
const PORT: &str = r"\RbFilterPort";

const CREATE_PORT: u32 = 0;
const CLOSE_PORT: u32 = 1;
const SEND: u32 = 2;
const CLOSE_CLIENT: u32 = 3;
const COUNTS: u32 = 4;
const CONTEXT: u32 = 5;
const SET: u32 = 6;
const REFERENCE: u32 = 7;
const DEREFERENCE: u32 = 8;
const START: u32 = 9;
const REGISTER: u32 = 10;
const UNREGISTER: u32 = 11;
const KNOWS: u32 = 12;
const UNLOADS: u32 = 13;

const KERNEL: u64 = (OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE) as u64;
const NO_REPLY: u64 = u64::MAX;
const OK: u32 = 0;
/// The HRESULTs that are met here.
const INVALID_FUNCTION: u32 = 0x8007_0001;
const NOT_FOUND: u32 = 0x8007_0002;
const DENIED: u32 = 0x8007_0005;
const INVALID_HANDLE: u32 = 0x8007_0006;
const INVALID_ARGUMENT: u32 = 0x8007_0057;
const INSUFFICIENT_BUFFER: u32 = 0x8007_007A;
const MORE_DATA: u32 = 0x8007_00EA;
const ABORTED: u32 = 0x8007_03E3;
const COUNT_LIMIT: u32 = 0x8007_04D6;
const NO_WAITER: u32 = 0x801F_0020;

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

/// Creates port 0, to which `connections` may connect, whoever they are of.
fn create_port(device: &Device<'_>, connections: u64) {
    let (status, _) = call(device, CREATE_PORT, &[0, connections, KERNEL, 1, 0, 1], PORT);
    assert_eq!(status, OK, "{status:#x}");
}

fn connect(transport: &dyn Transport) -> FilterPort<'_> {
    FilterPort::connect(transport, PORT, &[], false).unwrap_or_else(|error| panic!("{error}"))
}

fn bits(status: NTSTATUS) -> u32 {
    status.bits()
}

/// A time that the driver waits for, in milliseconds.
fn relative(milliseconds: i64) -> u64 {
    (-milliseconds * 10_000).cast_unsigned()
}

/// The driver sends `length` bytes to connection 0, and waits.
fn send(device: &Device<'_>, length: usize, seed: u8, room: u64, timeout: u64) -> Answer {
    call(device, SEND, &[0, length as u64, seed.into(), room, timeout], "")
}

/// Takes a message; its header and its data.
fn take(port: &FilterPort<'_>, room: usize) -> (MessageHeader, Vec<u8>) {
    let mut buffer = vec![0; FILTER_HEADER_SIZE + room];
    let header = port.get_message(&mut buffer).unwrap_or_else(|error| panic!("{error}"));
    (header, buffer.split_off(FILTER_HEADER_SIZE))
}

// ---- what all see ------------------------------------------------------------------------------------------------------

fn a_filter_decides_who_connects(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    let connect = |context: &[u8]| FilterPort::connect(transport, PORT, context, false);
    assert_eq!(connect(&[]).expect_err("no port").hresult, NOT_FOUND);
    create_port(&device, 2);
    let context = pattern(1001, 7);
    let first = connect(&context).expect("connects");
    assert_eq!(done(&device, CONTEXT, &[]), [1001, checksum(&context), 0x70]);
    let _second = connect(&[]).expect("connects");
    assert_eq!(done(&device, CONTEXT, &[]), [0, 0, 0x70], "no context is a NULL pointer");
    assert_eq!(connect(&[]).expect_err("two at a time").hresult, COUNT_LIMIT);
    assert_eq!(done(&device, COUNTS, &[])[0], 2, "the filter is not asked then");
    drop(first);
    assert_eq!(done(&device, COUNTS, &[]), [2, 1, 0]);
    let longest = pattern(65_535, 3);
    let again = connect(&longest).expect("there is room again");
    assert_eq!(done(&device, CONTEXT, &[])[..2], [65_535, checksum(&longest)]);
    let too_long = connect(&[0; 65_536]).expect_err("no WORD says so");
    assert_eq!(too_long.hresult, INVALID_ARGUMENT);
    drop(again);

    done(&device, SET, &[bits(abi::STATUS_ACCESS_DENIED).into(), 0, 0]);
    assert_eq!(connect(&[]).expect_err("refused").hresult, DENIED);
    done(&device, SET, &[0, 0, 0]);
    assert_eq!(done(&device, COUNTS, &[]), [3, 2, 0], "who was refused does not disconnect");
    let other = |name: &str| FilterPort::connect(transport, name, &[], true).expect_err("no port").hresult;
    assert_eq!(other(r"\Device\RbFilterPorts"), INVALID_HANDLE, "is a device's");
    assert_eq!(other(r"\RbFilterPort\below"), INVALID_HANDLE);
    // Names are compared as the namespace does.
    assert!(FilterPort::connect(transport, r"\rbfilterPORT", &[], true).is_ok());

    // Connections outlive the port.
    let last = connect(&[]).expect("connects");
    done(&device, CLOSE_PORT, &[0]);
    assert_eq!(connect(&[]).expect_err("it is closed").hresult, NOT_FOUND);
    assert_eq!(last.send_message(&[0, 4], &mut [0; 2]).expect("it goes on"), 2);
}

fn a_message_is_answered(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    create_port(&device, 1);
    let port = connect(transport);
    for (length, room) in [(1, 1), (0, 8), (100, 64), (70_000, 70_000), (5, 0)] {
        thread::scope(|scope| {
            // The filter waits in a thread of the application's.
            let sender = scope.spawn(|| send(&open(transport, DEVICE), length, 5, room, 0));
            let (header, data) = take(&port, length);
            assert_eq!(header.reply_length, u32::try_from(room).expect("short") + 16, "with its header");
            assert!(data == pattern(length, 5), "{length} bytes");
            let reply = pattern(usize::try_from(room).expect("short"), 9);
            port.reply_message(&reply_to(header.message_id, &reply)).expect("is awaited");
            let (status, [replied, sum, beyond]) = sender.join().expect("no panic");
            assert_eq!((status, replied, sum, beyond), (OK, room, checksum(&reply), 0));
        });
    }
    // Shorter than it has room for.
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&open(transport, DEVICE), 3, 1, 100, 0));
        let (header, _) = take(&port, 3);
        port.reply_message(&reply_to(header.message_id, &[1, 2, 3])).expect("is awaited");
        let (status, [replied, sum, _]) = sender.join().expect("no panic");
        assert_eq!((status, replied, sum), (OK, 3, checksum(&[1, 2, 3])));
    });
    // Without a reply, it is enough that somebody takes it.
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&open(transport, DEVICE), 32, 2, NO_REPLY, 0));
        let (header, data) = take(&port, 32);
        assert_eq!((header.reply_length, data), (0, pattern(32, 2)));
        assert_eq!(sender.join().expect("no panic").0, OK);
        let unasked = port.reply_message(&reply_to(header.message_id, &[])).expect_err("nobody waits");
        assert_eq!(unasked.hresult, NO_WAITER);
    });
}

fn a_message_that_nobody_takes_or_answers_times_out(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    create_port(&device, 1);
    let port = connect(transport);
    let timed_out = bits(abi::STATUS_TIMEOUT);
    assert_eq!(send(&device, 8, 1, 8, relative(1)).0, timed_out, "relative");
    assert_eq!(send(&device, 8, 1, NO_REPLY, 1).0, timed_out, "a time long ago");
    // Taken, and not answered in time.
    let late = thread::scope(|scope| {
        let sender = scope.spawn(|| send(&open(transport, DEVICE), 8, 2, 8, relative(200)));
        let (header, data) = take(&port, 8);
        assert_eq!(data, pattern(8, 2), "those that timed out are not delivered any more");
        let (status, [length, _, beyond]) = sender.join().expect("no panic");
        assert_eq!((status, length, beyond), (timed_out, 8, 0), "the length stays");
        header.message_id
    });
    let refused = port.reply_message(&reply_to(late, &[0; 8])).expect_err("its sender has gone");
    assert_eq!(refused.hresult, NO_WAITER);
    // And all goes on.
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&open(transport, DEVICE), 4, 3, 4, relative(60_000)));
        let (header, _) = take(&port, 4);
        assert_ne!(header.message_id, late);
        let refused = port.reply_message(&reply_to(late, &[0; 4])).expect_err("of another message");
        assert_eq!(refused.hresult, NO_WAITER);
        port.reply_message(&reply_to(header.message_id, &[0; 4])).expect("is awaited");
        assert_eq!(sender.join().expect("no panic").0, OK);
    });
}

fn a_reply_and_the_next_message_are_one_call(transport: &dyn Transport) {
    const MESSAGES: u8 = 20;
    let device = open(transport, DEVICE);
    create_port(&device, 1);
    let port = connect(transport);
    let mut buffer = [0; FILTER_HEADER_SIZE + 8];
    let replied = |header: MessageHeader, data: &[u8]| reply_to(header.message_id, data);
    let last = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let device = open(transport, DEVICE);
            let replies = (0..MESSAGES).map(|number| send(&device, 8, number, 1, 0).1[1]);
            replies.collect::<Vec<_>>()
        });
        let mut header = take(&port, 8).0;
        for number in 1..MESSAGES {
            let reply = replied(header, &[number - 1]);
            header = port.reply_and_get_message(&reply, &mut buffer).expect("the next one");
            assert_eq!(buffer[FILTER_HEADER_SIZE..], pattern(8, number.into()), "message {number}");
        }
        port.reply_message(&replied(header, &[MESSAGES - 1])).expect("is awaited");
        let expected: Vec<_> = (0..MESSAGES).map(|number| checksum(&[number])).collect();
        assert_eq!(sender.join().expect("no panic"), expected);
        header
    });
    // What the reply fails with is told at once, and as the reply's.
    let failed = |reply: &[u8], buffer: &mut [u8]| {
        let error = port.reply_and_get_message(reply, buffer).expect_err("fails");
        (error.function, error.hresult)
    };
    let (reply, get) = ("FilterReplyMessage", "FilterGetMessage");
    assert_eq!(failed(&replied(last, &[0]), &mut buffer), (reply, NO_WAITER));
    assert_eq!(failed(&[0; FILTER_HEADER_SIZE - 1], &mut buffer), (reply, INVALID_ARGUMENT));
    thread::scope(|scope| {
        let sends = |seed: u8| scope.spawn(move || send(&open(transport, DEVICE), 8, seed, 1, 0).0);
        let (sender, header) = (sends(1), take(&port, 8).0);
        assert_eq!(failed(&replied(header, &[0, 1]), &mut buffer), (reply, MORE_DATA), "nothing is got");
        assert_eq!(sender.join().expect("no panic"), bits(abi::STATUS_BUFFER_OVERFLOW));
        // And what getting fails with, as its own: the reply has been given.
        for room in [0, FILTER_HEADER_SIZE - 1, FILTER_HEADER_SIZE, FILTER_HEADER_SIZE + 7] {
            let (first, header) = (sends(2), take(&port, 8).0);
            let second = sends(3);
            let fits = if room < FILTER_HEADER_SIZE { INVALID_ARGUMENT } else { INSUFFICIENT_BUFFER };
            assert_eq!(failed(&replied(header, &[0]), &mut vec![0; room]), (get, fits), "{room}");
            assert_eq!(first.join().expect("no panic"), OK);
            let (header, data) = take(&port, 8);
            assert_eq!(data, pattern(8, 3), "it has stayed");
            port.reply_message(&replied(header, &[0])).expect("is awaited");
            assert_eq!(second.join().expect("no panic"), OK);
        }
    });
    // Whoever waits so is ended as who only waits.
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&open(transport, DEVICE), 8, 4, 1, 0).0);
        let header = take(&port, 8).0;
        let (port, reply) = (&port, replied(header, &[0]));
        let waits = scope.spawn(move || {
            let error = port.reply_and_get_message(&reply, &mut [0; 64]).expect_err("nobody sends");
            (error.function, error.hresult)
        });
        assert_eq!(sender.join().expect("no panic"), OK, "the reply has come");
        done(&device, CLOSE_CLIENT, &[0]);
        assert_eq!(waits.join().expect("no panic"), (get, INVALID_HANDLE));
    });
}

fn a_message_stays_until_it_fits(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    create_port(&device, 1);
    let port = connect(transport);
    for length in [0, 15] {
        let refused = port.get_message(&mut vec![0; length]).expect_err("no room for a header");
        assert_eq!(refused.hresult, INVALID_ARGUMENT);
    }
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&open(transport, DEVICE), 24, 6, NO_REPLY, 0));
        for room in [0, 23] {
            let refused = port.get_message(&mut vec![0; 16 + room]).expect_err("it does not fit");
            assert_eq!(refused.hresult, INSUFFICIENT_BUFFER, "{room}");
        }
        assert_eq!(take(&port, 24).1, pattern(24, 6));
        assert_eq!(sender.join().expect("no panic").0, OK);
    });
}

fn replies_are_checked(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    create_port(&device, 2);
    let port = connect(transport);
    let other = connect(transport);
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&open(transport, DEVICE), 8, 1, 8, 0));
        let (header, _) = take(&port, 8);
        let reply = reply_to(header.message_id, &[7; 8]);
        let refused =
            |port: &FilterPort<'_>, reply: &[u8]| port.reply_message(reply).expect_err("refused").hresult;
        for length in [0, 8, 15] {
            assert_eq!(refused(&port, &reply[..length]), INVALID_ARGUMENT, "{length}");
        }
        assert_eq!(refused(&port, &reply_to(header.message_id + 1, &[7; 8])), NO_WAITER);
        assert_eq!(refused(&port, &reply_to(0, &[7; 8])), NO_WAITER);
        assert_eq!(refused(&other, &reply), NO_WAITER, "of another connection");
        port.reply_message(&reply).expect("is awaited");
        assert_eq!(refused(&port, &reply), NO_WAITER, "a second time");
        assert_eq!(sender.join().expect("no panic"), (OK, [8, checksum(&[7; 8]), 0]));
    });
    // Longer than the sender has room for, which gets what fits.
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&open(transport, DEVICE), 8, 1, 8, 0));
        let (header, _) = take(&port, 8);
        let reply = reply_to(header.message_id, &pattern(9, 4));
        assert_eq!(port.reply_message(&reply).expect_err("is cut").hresult, MORE_DATA);
        let overflow = bits(abi::STATUS_BUFFER_OVERFLOW);
        assert_eq!(sender.join().expect("no panic"), (overflow, [8, checksum(&pattern(8, 4)), 0]));
    });
    // The header's status reaches nobody.
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&open(transport, DEVICE), 8, 1, 8, 0));
        let (header, _) = take(&port, 8);
        let mut reply = reply_to(header.message_id, &[1]);
        reply[..4].copy_from_slice(&bits(abi::STATUS_UNSUCCESSFUL).to_le_bytes());
        port.reply_message(&reply).expect("is awaited");
        assert_eq!(sender.join().expect("no panic").0, OK);
    });
}

/// What the application answers to a message.
fn turned(data: &[u8]) -> Vec<u8> {
    data.iter().rev().map(|byte| byte ^ 0x5A).collect()
}

fn each_of_several_senders_gets_its_own_reply(transport: &dyn Transport) {
    const SENDERS: u8 = 4;
    const RECEIVERS: usize = 3;
    const MESSAGES: u8 = 40;
    let device = open(transport, DEVICE);
    create_port(&device, 1);
    let port = connect(transport);
    thread::scope(|scope| {
        for _ in 0..RECEIVERS {
            scope.spawn(|| {
                let mut buffer = [0; 16 + 64];
                loop {
                    let header = match port.get_message(&mut buffer) {
                        Ok(header) => header,
                        Err(error) => return assert_eq!(error.hresult, INVALID_HANDLE),
                    };
                    let length = header.reply_length as usize - 16;
                    let reply = turned(&buffer[16..16 + length]);
                    port.reply_message(&reply_to(header.message_id, &reply)).expect("is awaited");
                }
            });
        }
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                scope.spawn(move || {
                    let device = open(transport, DEVICE);
                    for number in 0..MESSAGES {
                        let (length, seed) = (usize::from(number % 60) + 1, sender * MESSAGES + number);
                        let (status, [replied, sum, _]) = send(&device, length, seed, length as u64, 0);
                        assert_eq!((status, replied), (OK, length as u64));
                        assert_eq!(sum, checksum(&turned(&pattern(length, seed.into()))), "another's reply");
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.join().expect("no panic");
        }
        assert_eq!(done(&device, CLOSE_CLIENT, &[0])[0], 1, "the receivers end");
    });
}

fn a_message_can_be_awaited_in_every_way(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    create_port(&device, 1);
    let port = connect(transport);
    let buffer = |length: u32| Buffer::new(transport, length).expect("memory");
    let event = Event::new(transport, EventKind::ManualReset, false).expect("is made");
    // It comes later.
    let with_event = Overlapped::new().event(&event);
    let operation = port.get_message_overlapped(buffer(48), &with_event).expect("begins");
    assert!(!operation.wait(Some(Duration::from_millis(5))).expect("waits"), "nobody has sent");
    assert_eq!(send(&device, 32, 3, NO_REPLY, 0).0, OK, "who waits gets it at once");
    let finished = operation.finish();
    assert_eq!(finished.result.expect("came"), 48, "the header counts");
    assert_eq!(finished.buffer.to_vec(48)[16..], pattern(32, 3));
    // Two wait, and the message goes to the first that it fits.
    let small = port.get_message_overlapped(buffer(20), &Overlapped::new()).expect("begins");
    let large = port.get_message_overlapped(buffer(48), &Overlapped::new()).expect("begins");
    assert_eq!(send(&device, 32, 4, NO_REPLY, 0).0, OK);
    let refused = small.finish().result.expect_err("does not fit");
    assert_eq!(refused.code, abi::ERROR_INSUFFICIENT_BUFFER);
    assert_eq!(large.finish().result.expect("came"), 48);
    // Cancelled.
    let first = port.get_message_overlapped(buffer(48), &Overlapped::new()).expect("begins");
    let second = port.get_message_overlapped(buffer(48), &Overlapped::new()).expect("begins");
    first.cancel().expect("goes on");
    assert_eq!(first.finish().result.expect_err("is cancelled").code, abi::ERROR_OPERATION_ABORTED);
    assert_eq!(send(&device, 1, 5, NO_REPLY, 0).0, OK, "the other waits on");
    assert_eq!(second.finish().result.expect("came"), 17);
    // A thread that waits is told, too.
    thread::scope(|scope| {
        let waits = scope.spawn(|| port.get_message(&mut [0; 48]).expect_err("is cancelled").hresult);
        while port.device().cancel_all().is_err() {
            thread::yield_now();
        }
        assert_eq!(waits.join().expect("no panic"), ABORTED);
    });
    // By a completion port.
    let completion = CompletionPort::new(transport, 0).expect("is made");
    completion.associate(port.device(), 77).expect("is given");
    let operation = port.get_message_overlapped(buffer(48), &Overlapped::new()).expect("begins");
    assert_eq!(send(&device, 32, 6, NO_REPLY, 0).0, OK);
    let packet = completion.get(Some(Duration::from_secs(30))).expect("is told").expect("in time");
    assert_eq!((packet.key, packet.overlapped), (77, operation.id()));
    assert_eq!(operation.finish().buffer.to_vec(48)[16..], pattern(32, 6));
}

fn the_filter_gets_the_applications_buffers(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    create_port(&device, 1);
    let port = connect(transport);
    for (input, output) in [(1, 1), (3, 100), (100, 3), (0, 0), (4097, 4097), (100_000, 100_000)] {
        // Odd addresses.
        let mut from = vec![0; input + 1];
        for (index, byte) in from.iter_mut().enumerate().skip(2) {
            *byte = (index % 251).to_le_bytes()[0];
        }
        let mut to = vec![0xEE; output + 1];
        let count = port.send_message(&from[1..], &mut to[1..]).expect("is echoed") as usize;
        assert_eq!(count, input.min(output));
        let echoed = from[1..].iter().map(|byte| byte.wrapping_add(1));
        assert!(
            to[1..].iter().zip(echoed).take(count).all(|(got, wanted)| *got == wanted),
            "{input} {output}"
        );
    }
    let answer = |status: NTSTATUS, length: u32| {
        let mut message = vec![1];
        message.extend_from_slice(&bits(status).to_le_bytes());
        message.extend_from_slice(&length.to_le_bytes());
        port.send_message(&message, &mut [0; 8])
    };
    assert_eq!(answer(abi::STATUS_SUCCESS, 5).expect("succeeds"), 5);
    assert_eq!(
        answer(abi::STATUS_SUCCESS, u32::MAX).expect("succeeds"),
        8,
        "never more than there is room for"
    );
    assert_eq!(answer(abi::STATUS_ACCESS_DENIED, 5).expect_err("fails").hresult, DENIED);
    assert!(answer(abi::STATUS_PENDING, 5).is_err(), "nothing goes on there");
    // The filter may send while it is sent to.
    thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            let (header, _) = take(&port, 16);
            port.reply_message(&reply_to(header.message_id, &[0; 24])).expect("is awaited");
        });
        assert_eq!(port.send_message(&[2], &mut [0; 100]).expect("in the end"), 24);
        receiver.join().expect("no panic");
    });
    done(&device, CLOSE_CLIENT, &[0]);
    assert_eq!(port.send_message(&[0], &mut [0]).expect_err("it is over").hresult, INVALID_HANDLE);
    drop(port);
    done(&device, CLOSE_PORT, &[0]);
    let (status, _) = call(&device, CREATE_PORT, &[0, 1, KERNEL, 0, 0, 1], PORT);
    assert_eq!(status, OK);
    assert_eq!(
        connect(transport).send_message(&[0], &mut [0]).expect_err("no callback").hresult,
        INVALID_FUNCTION
    );
}

/// The connection in the process that plays the application.
fn client() -> Option<gate::Client> {
    application()
}

// ---- in both places ----------------------------------------------------------------------------------------------------

#[test]
fn a_filter_decides_who_connects_embedded() {
    embedded(DRIVER, a_filter_decides_who_connects);
}

#[test]
fn application_that_connects() {
    as_application(a_filter_decides_who_connects);
}

#[test]
fn a_filter_decides_who_connects_from_another_process() {
    in_another_process(DRIVER, "application_that_connects");
}

#[test]
fn a_message_is_answered_embedded() {
    embedded(DRIVER, a_message_is_answered);
}

#[test]
fn application_that_answers() {
    as_application(a_message_is_answered);
}

#[test]
fn a_message_is_answered_in_another_process() {
    in_another_process(DRIVER, "application_that_answers");
}

#[test]
fn a_message_that_nobody_takes_or_answers_times_out_embedded() {
    embedded(DRIVER, a_message_that_nobody_takes_or_answers_times_out);
}

#[test]
fn application_that_is_late() {
    as_application(a_message_that_nobody_takes_or_answers_times_out);
}

#[test]
fn a_message_that_nobody_takes_or_answers_times_out_in_another_process() {
    in_another_process(DRIVER, "application_that_is_late");
}

#[test]
fn a_message_stays_until_it_fits_embedded() {
    embedded(DRIVER, a_message_stays_until_it_fits);
}

#[test]
fn application_with_little_room() {
    as_application(a_message_stays_until_it_fits);
}

#[test]
fn a_message_stays_until_it_fits_in_another_process() {
    in_another_process(DRIVER, "application_with_little_room");
}

#[test]
fn replies_are_checked_embedded() {
    embedded(DRIVER, replies_are_checked);
}

#[test]
fn application_with_wrong_replies() {
    as_application(replies_are_checked);
}

#[test]
fn replies_are_checked_in_another_process() {
    in_another_process(DRIVER, "application_with_wrong_replies");
}

#[test]
fn each_of_several_senders_gets_its_own_reply_embedded() {
    embedded(DRIVER, each_of_several_senders_gets_its_own_reply);
}

#[test]
fn application_with_several_receivers() {
    as_application(each_of_several_senders_gets_its_own_reply);
}

#[test]
fn each_of_several_senders_gets_its_own_reply_in_another_process() {
    in_another_process(DRIVER, "application_with_several_receivers");
}

#[test]
fn a_message_can_be_awaited_in_every_way_embedded() {
    embedded(DRIVER, a_message_can_be_awaited_in_every_way);
}

#[test]
fn application_that_awaits() {
    as_application(a_message_can_be_awaited_in_every_way);
}

#[test]
fn a_message_can_be_awaited_in_every_way_in_another_process() {
    in_another_process(DRIVER, "application_that_awaits");
}

#[test]
fn the_filter_gets_the_applications_buffers_embedded() {
    embedded(DRIVER, the_filter_gets_the_applications_buffers);
}

#[test]
fn application_that_sends() {
    as_application(the_filter_gets_the_applications_buffers);
}

#[test]
fn the_filter_gets_the_applications_buffers_of_another_process() {
    in_another_process(DRIVER, "application_that_sends");
}

#[test]
fn a_reply_and_the_next_message_are_one_call_embedded() {
    embedded(DRIVER, a_reply_and_the_next_message_are_one_call);
}

#[test]
fn application_that_replies_and_gets() {
    as_application(a_reply_and_the_next_message_are_one_call);
}

#[test]
fn a_reply_and_the_next_message_are_one_call_in_another_process() {
    in_another_process(DRIVER, "application_that_replies_and_gets");
}
