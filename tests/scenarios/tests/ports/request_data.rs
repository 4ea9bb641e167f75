//! Memory that a request gives its server, which that reads and writes as long as the client waits.

use std::sync::mpsc;

use app::Buffer;

use super::ends::{connected, with_two};
use super::*;

const MISMATCH: NTSTATUS = abi::STATUS_REPLY_MESSAGE_MISMATCH;

fn buffer(transport: &dyn Transport, bytes: &[u8]) -> Buffer {
    Buffer::from_bytes(transport, bytes).expect("room")
}

/// A request that says it gives `entries`, wherever they lie.
fn giving(count: u32, entries: &[(u64, u32)]) -> Vec<u8> {
    let mut info = u64::from(count).to_le_bytes().to_vec();
    for (address, length) in entries {
        info.extend(address.to_le_bytes());
        info.extend(u64::from(*length).to_le_bytes());
    }
    let mut bytes = message(&info);
    bytes[6..8].copy_from_slice(&u16::try_from(HEADER).expect("short").to_le_bytes());
    bytes
}

/// `NtRequestWaitReplyPort` with a message of the test's own making.
fn request(transport: &dyn Transport, port: &Port<'_>, message: &[u8]) -> NTSTATUS {
    let call = gate::PortCall::RequestWaitReply { handle: port.handle(), message };
    transport.system_call(&gate::SystemCall::Port(call), &mut [0; PORT_MAXIMUM_MESSAGE_LENGTH]).status
}

// ---- an application serves ----------------------------------------------------------------------------------------------

fn an_application_reads_and_writes_what_requests_give(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    let port = create(transport);
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            // Of the application, and then of the driver.
            for length in [3 * 0x1_0000 + 5, 40] {
                let request = port.listen().expect("a client comes");
                let own = Port::accept(transport, &request, 1, None, b"").expect("it waits").port;
                own.complete().expect("it waits");
                let asked = port.receive(None).expect("open").expect("for ever").message;
                let mut room = buffer(transport, &vec![0xEE; length + 8]);
                assert_eq!(
                    port.read_request_data(&asked, 0, &mut room),
                    Ok(length as u64),
                    "as much as it has"
                );
                let bytes = room.to_vec(u32::MAX);
                assert!(bytes[..length].iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
                assert_eq!(bytes[length..], [0xEE; 8], "and no more");
                let few = buffer(transport, b"few");
                assert_eq!(own.write_request_data(&asked, 0, &few), Ok(3), "as much as is written");
                let second = port.read_request_data(&asked, 1, &mut room);
                let nothing_there = Err(abi::STATUS_ACCESS_VIOLATION);
                assert_eq!(second, if length == 40 { nothing_there } else { Ok(0) });
                let beyond = port.read_request_data(&asked, 2, &mut room);
                assert_eq!(beyond, Err(abi::STATUS_INVALID_PARAMETER), "it gives two");
                port.reply(&asked.reply(b"done")).expect("it waits");
                let late = port.write_request_data(&asked, 0, &few);
                assert_eq!(late, Err(MISMATCH), "it is replied to");
                assert_eq!(port.read_request_data(&asked, 0, &mut room), Err(MISMATCH));
                let closed = port.receive(None).expect("open").expect("for ever").message;
                assert_eq!(closed.kind(), LPC_PORT_CLOSED);
            }
        });
        let pattern: Vec<u8> =
            (0..3 * 0x1_0000 + 5).map(|at| u8::try_from(at % 251).expect("a byte")).collect();
        let own = connect(transport, b"").port;
        let mut given = [buffer(transport, &pattern), buffer(transport, b"")];
        let reply = own.request_with_buffers(b"take", &mut given).expect("is replied to");
        assert_eq!(reply.data(), b"done");
        assert_eq!(given[0].to_vec(6), *b"few\x03\x04\x05");
        drop(own);
        let [handle, ..] = call(&device, CONNECT, &[2], &wide(NAME)).done().values;
        let five: Vec<u64> = pattern[..40]
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().expect("eight")))
            .collect();
        let given =
            call(&device, REQUEST_GIVING, &[handle, five[0], five[1], five[2], five[3], five[4]], &[]).done();
        assert_eq!(given.values[0].to_le_bytes(), *b"few\x03\x04\x05\x06\x07", "the driver's memory");
        assert_eq!(given.values[1..5], five[1..]);
        call(&device, CLOSE, &[handle], &[]).done();
        server.join().expect("no panic");
    });
}

// ---- a driver serves ----------------------------------------------------------------------------------------------------

fn a_driver_reads_and_writes_what_requests_give(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    let [port, ..] = call(&device, CREATE, &[16, 168, 0], &wide(NAME)).done().values;
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            let request = call(&device, LISTEN, &[port], &[]).done();
            let [own, ..] = call(&device, ACCEPT, &[0, 1], &reply_to(&request, b"")).done().values;
            call(&device, COMPLETE, &[own], &[]).done();
            let asked = call(&device, RECEIVE, &[port], &[]).done();
            let named = reply_to(&asked, b"");
            let read = call(&device, READ_REQUEST_DATA, &[own, 0, 0x200], &named).done();
            assert_eq!((read.values[0], &read.message[..5]), (5, &b"first"[..]));
            let read = call(&device, READ_REQUEST_DATA, &[port, 1, 3], &named).done();
            assert_eq!((read.values[0], &read.message[..4]), (3, &b"sec\0"[..]));
            let word = u64::from_le_bytes(*b"replaced");
            let written = call(&device, WRITE_REQUEST_DATA, &[own, 0, 8, word], &named).done();
            assert_eq!(written.values[0], 5, "as much as there is room");
            // What the server says of where it is counts for nothing.
            let mut moved = giving(1, &[(0, u32::MAX)]);
            moved[8..0x20].copy_from_slice(&named[8..0x20]);
            let read = call(&device, READ_REQUEST_DATA, &[own, 0, 0x200], &moved).done();
            assert_eq!((read.values[0], &read.message[..5]), (5, &b"repla"[..]));
            let none = call(&device, READ_REQUEST_DATA, &[own, 2, 8], &named).status;
            assert_eq!(none, abi::STATUS_INVALID_PARAMETER);
            call(&device, REPLY, &[own], &reply_to(&asked, b"done")).done();
            let late = call(&device, WRITE_REQUEST_DATA, &[own, 0, 8, word], &named).status;
            assert_eq!(late, MISMATCH);
            call(&device, CLOSE, &[own], &[]).done();
        });
        let client = connect(transport, b"").port;
        let mut given = [buffer(transport, b"first"), buffer(transport, b"second")];
        client.request_with_buffers(b"", &mut given).expect("is replied to");
        assert_eq!((given[0].to_vec(9), given[1].to_vec(9)), (b"repla".to_vec(), b"second".to_vec()));
        server.join().expect("no panic");
    });
    call(&device, CLOSE, &[port], &[]).done();
}

// ---- who lies about it --------------------------------------------------------------------------------------------------

fn memory_that_is_not_the_clients_is_not_copied(transport: &dyn Transport) {
    let port = create(transport);
    let theirs = buffer(transport, b"theirs");
    let shared = mapping(transport);
    let (readable, writable) =
        (shared.map(MappingAccess::Read, 0, 8), shared.map(MappingAccess::ReadWrite, 0, 8));
    let (readable, writable) = (readable.expect("room"), writable.expect("room"));
    writable.write(0, b"readable").expect("writable");
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            let request = port.listen().expect("a client comes");
            let own = Port::accept(transport, &request, 1, None, b"").expect("it waits").port;
            own.complete().expect("it waits");
            let asked = port.receive(None).expect("open").expect("for ever").message;
            let mut room = buffer(transport, &[0xEE; 16]);
            for index in 0..4 {
                let read = own.read_request_data(&asked, index, &mut room);
                assert_eq!(read, Err(abi::STATUS_ACCESS_VIOLATION), "{index}");
                let written = own.write_request_data(&asked, index, &room);
                assert_eq!(written, Err(abi::STATUS_ACCESS_VIOLATION), "{index}");
            }
            assert_eq!(own.read_request_data(&asked, 4, &mut room), Ok(6), "it is its own");
            assert_eq!(room.to_vec(7), b"theirs\xEE");
            assert_eq!(own.read_request_data(&asked, 5, &mut room), Ok(8), "the client may read it");
            assert_eq!(room.to_vec(8), b"readable");
            let written = own.write_request_data(&asked, 5, &buffer(transport, b"changed"));
            assert_eq!(written, Err(abi::STATUS_ACCESS_VIOLATION), "it may not write there");
            own.reply(&asked.reply(b"")).expect("it waits");
        });
        let client = connect(transport, b"").port;
        let local = 0_u64;
        let entries = [
            (8, 8),
            (0xFFFF_8000_0000_0000, 8),
            (&raw const local as u64, 8),
            (u64::MAX - 3, 8),
            (theirs.address(), 6),
            (readable.address(), 8),
        ];
        for wrong in [giving(7, &entries), giving(u32::MAX, &[])] {
            let sent = request(transport, &client, &wrong);
            assert_eq!(sent, abi::STATUS_INVALID_PARAMETER, "more entries than are there");
        }
        assert_eq!(request(transport, &client, &giving(6, &entries)), abi::STATUS_SUCCESS);
        server.join().expect("no panic");
    });
}

#[test]
fn a_server_cannot_have_its_clients_data_put_where_its_own_memory_is_not() {
    with_two(|server, client| {
        let (port, _own, theirs) = connected(server, client);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut given = [buffer(client, b"given")];
                theirs.request_with_buffers(b"", &mut given).expect("is replied to");
                assert_eq!(given[0].to_vec(5), b"given");
            });
            let asked = port.receive(None).expect("open").expect("for ever").message;
            let mut named = message(b"");
            named[8..0x10].copy_from_slice(&asked.process_id().to_le_bytes());
            named[0x10..0x18].copy_from_slice(&asked.thread_id().to_le_bytes());
            named[0x18..0x1C].copy_from_slice(&asked.id().to_le_bytes());
            let (handle, message, index) = (port.handle(), &named[..], 0);
            let (foreign, local) = (buffer(client, b"other"), *b"local");
            for address in
                [8, u64::MAX - 3, 0xFFFF_8000_0000_0000, foreign.address(), &raw const local as u64]
            {
                let buffer = gate::Memory { address, length: 5 };
                for call in [
                    gate::PortCall::ReadRequestData { handle, message, index, buffer },
                    gate::PortCall::WriteRequestData { handle, message, index, buffer },
                ] {
                    let status = server.system_call(&gate::SystemCall::Port(call), &mut []).status;
                    assert_eq!(status, abi::STATUS_ACCESS_VIOLATION, "{call:x?}");
                }
            }
            assert_eq!((foreign.to_vec(5), local), (b"other".to_vec(), *b"local"));
            port.reply(&asked.reply(b"")).expect("it waits");
        });
    });
}

#[test]
fn what_a_request_gives_is_out_of_reach_while_a_callback_suspends_it() {
    with_two(|server, client| {
        let (port, own, theirs) = connected(server, client);
        thread::scope(|scope| {
            let (came, called) = mpsc::channel();
            let (go_on, may_go_on) = mpsc::channel();
            let theirs = &theirs;
            scope.spawn(move || {
                let given = buffer(client, b"given");
                let mut output = [0; PORT_MAXIMUM_MESSAGE_LENGTH];
                let handle = theirs.handle();
                let first = giving(1, &[(given.address(), given.len())]);
                let ask = gate::PortCall::RequestWaitReply { handle, message: &first };
                let reply = client.system_call(&gate::SystemCall::Port(ask), &mut output);
                assert_eq!(reply.status, abi::STATUS_SUCCESS, "a callback");
                came.send(()).expect("is awaited");
                may_go_on.recv().expect("is sent");
                let callback = output;
                let message = &callback[..usize::from(u16::from_le_bytes([callback[2], callback[3]]))];
                let answer = gate::PortCall::ReplyWaitReply { handle, message };
                let reply = client.system_call(&gate::SystemCall::Port(answer), &mut output);
                assert_eq!(reply.status, abi::STATUS_SUCCESS, "the reply");
            });
            let asked = port.receive(None).expect("open").expect("for ever").message;
            let (own, question) = (&own, asked.callback(b"?"));
            let calling = scope.spawn(move || own.request_wait_reply(&question).map(drop));
            called.recv().expect("it comes");
            let mut room = buffer(server, &[0; 5]);
            assert_eq!(port.read_request_data(&asked, 0, &mut room), Err(MISMATCH), "its thread runs");
            go_on.send(()).expect("is awaited");
            assert_eq!(calling.join().expect("no panic"), Ok(()));
            assert_eq!(port.read_request_data(&asked, 0, &mut room), Ok(5), "it waits again");
            port.reply(&asked.reply(b"")).expect("it waits");
        });
    });
}

#[test]
fn what_a_client_gives_is_out_of_reach_when_it_dies() {
    const LENGTH: usize = 1 << 20;
    with_two(|server, client| {
        let (port, _own, theirs) = connected(server, client);
        thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let mut given = [buffer(client, &[7; LENGTH])];
                theirs.request_with_buffers(b"", &mut given).map(drop)
            });
            let asked = port.receive(None).expect("open").expect("for ever").message;
            let (read, has_read) = mpsc::channel();
            let (port, mut room) = (&port, buffer(server, &[0; LENGTH]));
            let reading = scope.spawn(move || {
                loop {
                    match port.read_request_data(&asked, 0, &mut room) {
                        Ok(bytes) => assert_eq!(bytes, LENGTH as u64),
                        Err(status) => return status,
                    }
                    // Nobody listens after the first.
                    let _told = read.send(());
                }
            });
            has_read.recv().expect("it reads");
            client.end();
            let status = reading.join().expect("no panic");
            let over = [MISMATCH, abi::STATUS_INVALID_CID, abi::STATUS_ACCESS_VIOLATION];
            assert!(over.contains(&status), "{status:?}");
            assert!(asking.join().expect("no panic").is_err());
        });
    });
}

#[test]
fn an_application_reads_and_writes_what_requests_give_embedded() {
    embedded(DRIVER, an_application_reads_and_writes_what_requests_give);
}

#[test]
fn application_that_takes_what_is_given() {
    as_application(an_application_reads_and_writes_what_requests_give);
}

#[test]
fn an_application_reads_and_writes_what_requests_give_in_another_process() {
    in_another_process(DRIVER, "request_data::application_that_takes_what_is_given");
}

#[test]
fn a_driver_reads_and_writes_what_requests_give_embedded() {
    embedded(DRIVER, a_driver_reads_and_writes_what_requests_give);
}

#[test]
fn application_that_gives() {
    as_application(a_driver_reads_and_writes_what_requests_give);
}

#[test]
fn a_driver_reads_and_writes_what_requests_give_in_another_process() {
    in_another_process(DRIVER, "request_data::application_that_gives");
}

#[test]
fn memory_that_is_not_the_clients_is_not_copied_embedded() {
    embedded(DRIVER, memory_that_is_not_the_clients_is_not_copied);
}

#[test]
fn application_that_gives_what_is_not_its_own() {
    as_application(memory_that_is_not_the_clients_is_not_copied);
}

#[test]
fn memory_that_is_not_the_clients_is_not_copied_in_another_process() {
    in_another_process(DRIVER, "request_data::application_that_gives_what_is_not_its_own");
}
