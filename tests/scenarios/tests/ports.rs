//! LPC ports (row M6): applications and drivers that serve and ask each other, in the same process and in others. The driver says in
//! `tests/drivers/lpc.c` what its requests do. What happens when one of them dies is in `ports/ends.rs`.

use std::thread;
use std::time::Duration;

use abi::{
    LPC_CLIENT_DIED, LPC_CONNECTION_REQUEST, LPC_DATAGRAM, LPC_PORT_CLOSED, LPC_REPLY, LPC_REQUEST, NTSTATUS,
    PORT_MAXIMUM_MESSAGE_LENGTH,
};
use app::lpc::{Connection, MAX_DATA, Message, Port, Received, Shown};
use app::{ControlCode, Device, FileMapping, MappingAccess, SecurityQos, Transport};
use host::{Machine, PortUsage};
use ringbridge_scenarios::{as_application, embedded, in_another_process, open, with_driver, words};

#[path = "ports/ends.rs"]
mod ends;
#[path = "ports/request_data.rs"]
mod request_data;
#[path = "ports/sdk.rs"]
mod sdk;
#[path = "ports/users.rs"]
mod users;
#[path = "ports/waitable.rs"]
mod waitable;

const DRIVER: &str = "lpc";
const DEVICE: &str = r"\\.\RbLpc";
const NAME: &str = r"\BaseNamedObjects\RbPort";

const CREATE: u32 = 0;
const CONNECT: u32 = 1;
const LISTEN: u32 = 2;
const ACCEPT: u32 = 3;
const COMPLETE: u32 = 4;
const REQUEST: u32 = 5;
const REQUEST_WAIT_REPLY: u32 = 6;
const REPLY: u32 = 7;
const REPLY_WAIT_REPLY: u32 = 8;
const RECEIVE: u32 = 9;
const QUERY: u32 = 10;
const CLOSE: u32 = 11;
const REQUEST_BY_OBJECT: u32 = 12;
const REQUEST_WAIT_REPLY_BY_OBJECT: u32 = 13;
const SECURE_CONNECT: u32 = 14;
const READ: u32 = 15;
const WRITE: u32 = 16;
const READ_REQUEST_DATA: u32 = 17;
const WRITE_REQUEST_DATA: u32 = 18;
const REQUEST_GIVING: u32 = 19;
const CREATE_WAITABLE: u32 = 20;
const LOOK: u32 = 21;

const HEADER: usize = size_of::<abi::PORT_MESSAGE>();

/// What the driver answers.
#[derive(Clone, Debug)]
struct Answer {
    status: NTSTATUS,
    values: [u64; 7],
    message: Vec<u8>,
}

impl Answer {
    fn done(self) -> Self {
        assert_eq!(self.status, abi::STATUS_SUCCESS, "{self:x?}");
        self
    }

    fn kind(&self) -> u16 {
        u16::from_le_bytes([self.message[4], self.message[5]])
    }

    fn data(&self) -> &[u8] {
        let length = u16::from_le_bytes([self.message[0], self.message[1]]);
        &self.message[HEADER..][..length.into()]
    }

    fn process_id(&self) -> u64 {
        u64::from_le_bytes(self.message[8..16].try_into().expect("eight bytes"))
    }

    /// Connection information of an answered CONNECT.
    fn info(&self) -> &[u8] {
        let length = u32::from_le_bytes(self.message[..4].try_into().expect("four bytes"));
        &self.message[4..][..length as usize]
    }
}

fn call(device: &Device<'_>, number: u32, inputs: &[u64], tail: &[u8]) -> Answer {
    let mut all = [0; 6];
    all[..inputs.len()].copy_from_slice(inputs);
    let mut input = words(&all);
    input.extend(tail);
    let code = abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x900 + number, abi::METHOD_BUFFERED, 0);
    let mut answer = vec![0; 64 + PORT_MAXIMUM_MESSAGE_LENGTH];
    device.control(ControlCode(code), &input, &mut answer).expect("is answered");
    let word = |index: usize| u64::from_le_bytes(answer[index * 8..][..8].try_into().expect("eight bytes"));
    let status = NTSTATUS::from_bits(u32::try_from(word(0)).expect("a status"));
    Answer { status, values: std::array::from_fn(|index| word(index + 1)), message: answer[64..].to_vec() }
}

fn wide(name: &str) -> Vec<u8> {
    name.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A PORT_MESSAGE of the test's own making.
fn message(data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    let half = |length: usize| u16::try_from(length).expect("short").to_le_bytes();
    bytes[..2].copy_from_slice(&half(data.len()));
    bytes[2..4].copy_from_slice(&half(data.len() + HEADER));
    bytes.extend(data);
    bytes
}

/// The reply to what the driver has received, with other data.
fn reply_to(received: &Answer, data: &[u8]) -> Vec<u8> {
    let mut bytes = message(data);
    bytes[4..HEADER].copy_from_slice(&received.message[4..HEADER]);
    bytes
}

fn reversed(data: &[u8]) -> Vec<u8> {
    data.iter().rev().copied().collect()
}

fn create(transport: &dyn Transport) -> Port<'_> {
    Port::create(transport, NAME, 16, 128).expect("a free name")
}

fn connect<'a>(transport: &'a dyn Transport, info: &[u8]) -> Connection<'a> {
    Port::connect(transport, NAME, SecurityQos::default(), None, info).expect("is accepted")
}

/// Accepts one client and replies to its requests with what they say, reversed, until it closes its port. What else it has sent.
fn serve_one<'a>(port: &Port<'a>, transport: &'a dyn Transport) -> Vec<Vec<u8>> {
    let request = port.listen().expect("a client comes");
    assert_eq!(request.kind(), LPC_CONNECTION_REQUEST);
    assert_eq!(request.data(), b"please");
    let accepted = Port::accept(transport, &request, 77, None, b"welcome").expect("it waits");
    accepted.port.complete().expect("it waits");
    let mut sent = Vec::new();
    let mut received = port.receive(None).expect("it sends").expect("for ever");
    loop {
        assert_eq!(received.context, 77);
        assert_eq!(received.message.process_id(), request.process_id());
        received = match received.message.kind() {
            LPC_REQUEST => {
                let reply = received.message.reply(&reversed(received.message.data()));
                port.reply_wait_receive(&reply, None)
            }
            LPC_DATAGRAM => {
                sent.push(received.message.data().to_vec());
                port.receive(None)
            }
            LPC_PORT_CLOSED => return sent,
            other => panic!("{other}"),
        }
        .expect("it goes on")
        .expect("for ever");
    }
}

fn nothing_is_left(machine: &Machine) {
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    assert_eq!(machine.port_usage(), PortUsage::default());
    assert_eq!(machine.section_usage(), host::SectionUsage::default());
}

// ---- what applications and drivers see ---------------------------------------------------------------------------------

fn an_application_serves_an_application(transport: &dyn Transport) {
    let port = create(transport);
    thread::scope(|scope| {
        let server = scope.spawn(|| serve_one(&port, transport));
        let client = connect(transport, b"please");
        assert_eq!((&client.info[..], client.max_data), (&b"welcome"[..], 128));
        for length in [0, 1, 100, 128] {
            let data: Vec<u8> = (0..length).collect();
            let reply = client.port.request_wait_reply(&Message::new(&data)).expect("is replied to");
            assert_eq!((reply.kind(), reply.data()), (LPC_REPLY, &reversed(&data)[..]));
        }
        client.port.send(b"one").expect("is sent");
        client.port.send(b"two").expect("is sent");
        let long = client.port.send(&[0; 129]);
        assert_eq!(long, Err(abi::STATUS_PORT_MESSAGE_TOO_LONG));
        drop(client);
        assert_eq!(server.join().expect("no panic"), [b"one", b"two"]);
    });
}

fn the_driver_connects_to_the_applications_port(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    let port = create(transport);
    thread::scope(|scope| {
        let server = scope.spawn(|| serve_one(&port, transport));
        let tail = [&b"please"[..], &wide(NAME)].concat();
        let connected = call(&device, CONNECT, &[2, 0, 0, 0, 6], &tail).done();
        let [handle, longest, ..] = connected.values;
        assert_eq!(
            (longest, connected.info()),
            (128 + HEADER as u64, &b"welco"[..5].iter().chain(b"m").copied().collect::<Vec<_>>()[..]),
            "as much as fits"
        );
        let asked = |data: &[u8]| call(&device, REQUEST_WAIT_REPLY, &[handle], &message(data)).done();
        let reply = asked(b"abc");
        assert_eq!((reply.kind(), reply.data()), (LPC_REPLY, &b"cba"[..]));
        assert_eq!(call(&device, QUERY, &[handle, 0], &[]).done().values[0], 0);
        assert_eq!(call(&device, QUERY, &[handle, 1], &[]).status, abi::STATUS_INVALID_INFO_CLASS);
        call(&device, REQUEST, &[handle], &message(b"one")).done();
        call(&device, REQUEST_BY_OBJECT, &[handle], &message(b"two")).done();
        let reply = call(&device, REQUEST_WAIT_REPLY_BY_OBJECT, &[handle], &message(b"xyz")).done();
        assert_eq!(reply.data(), b"zyx");
        call(&device, CLOSE, &[handle], &[]).done();
        assert_eq!(server.join().expect("no panic"), [b"one", b"two"]);
    });
}

fn the_application_connects_to_the_drivers_port(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    let [port, ..] = call(&device, CREATE, &[16, 168, 0], &wide(NAME)).done().values;
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            let request = call(&device, LISTEN, &[port], &[]).done();
            assert_eq!((request.kind(), request.data()), (LPC_CONNECTION_REQUEST, &b"please"[..]));
            let accepted = call(&device, ACCEPT, &[0, 1], &reply_to(&request, b"welcome")).done();
            let [own, ..] = accepted.values;
            call(&device, COMPLETE, &[own], &[]).done();
            let mut received = call(&device, RECEIVE, &[port], &[]).done();
            while received.kind() == LPC_REQUEST {
                // The handle stands for no PortContext.
                assert_eq!((received.values[0], received.process_id()), (own, request.process_id()));
                let reply = reply_to(&received, &reversed(received.data()));
                received = call(&device, RECEIVE, &[own, 1], &reply).done();
            }
            assert_eq!(received.kind(), LPC_PORT_CLOSED);
            let soon = call(&device, RECEIVE, &[port, 0, 1, 0], &[]);
            assert_eq!(soon.status, abi::STATUS_TIMEOUT);
            call(&device, CLOSE, &[own], &[]).done();
        });
        let client = connect(transport, b"please");
        assert_eq!((&client.info[..], client.max_data), (&b"welcome"[..], 128));
        for data in [&b"abc"[..], b"", &[7; 128]] {
            let reply = client.port.request_wait_reply(&Message::new(data)).expect("is replied to");
            assert_eq!((reply.kind(), reply.data()), (LPC_REPLY, &reversed(data)[..]));
        }
        drop(client);
        server.join().expect("no panic");
    });
    call(&device, CLOSE, &[port], &[]).done();
    let gone = Port::connect(transport, NAME, SecurityQos::default(), None, b"").expect_err("nobody listens");
    assert_eq!(gone.status, abi::STATUS_OBJECT_NAME_NOT_FOUND, "its name went with it");
}

fn mapping(transport: &dyn Transport) -> FileMapping<'_> {
    FileMapping::new(transport, 0x2_0000, MappingAccess::ReadWrite).expect("pages")
}

fn each_end_sees_what_the_other_shows(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    let port = create(transport);
    let (theirs, ours) = (mapping(transport), mapping(transport));
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            let request = port.listen().expect("a client comes");
            let shown = Shown { mapping: &ours, offset: 0x1_0000, size: 0 };
            let accepted = Port::accept(transport, &request, 0, Some(shown), b"").expect("it waits");
            let (own, other) = (accepted.views.own.as_ref(), accepted.views.other.as_ref());
            let (own, other) = (own.expect("is shown"), other.expect("is shown"));
            assert_eq!((own.len(), other.len()), (0x1_0000, 0x1000));
            own.store_u64(8, 0x1111).expect("writable");
            accepted.port.complete().expect("it waits");
            let asked = port.receive(None).expect("it sends").expect("for ever").message;
            assert_eq!(
                other.load_u64(16).expect("shown"),
                0x2222,
                "the driver has written it before it asked"
            );
            own.store_u64(8, 0x3333).expect("writable");
            port.reply(&asked.reply(b"")).expect("it waits");
            let closed = port.receive(None).expect("it closes").expect("for ever").message;
            assert_eq!(closed.kind(), LPC_PORT_CLOSED);
            assert!(other.load_u64(16).is_ok(), "views of a server's port stay as long as that");
            let shown = (other.address(), accepted.views.remote_address);
            drop(accepted.port);
            assert!(other.load_u64(16).is_err(), "and go with it");
            shown
        });
        let section = app_handle(&theirs);
        let connected = call(&device, CONNECT, &[2, section, 0x1_0000, 0x10, 0], &wide(NAME)).done();
        let [handle, _, size, base, remote_base, other_size, other_base] = connected.values;
        assert_eq!((size, other_size), (0x1000, 0x1_0000), "whole pages");
        assert_eq!(call(&device, READ, &[other_base + 8], &[]).done().values[0], 0x1111);
        call(&device, WRITE, &[base + 16, 0x2222], &[]).done();
        call(&device, REQUEST_WAIT_REPLY, &[handle], &message(b"look")).done();
        assert_eq!(call(&device, READ, &[other_base + 8], &[]).done().values[0], 0x3333);
        call(&device, CLOSE, &[handle], &[]).done();
        let gone = call(&device, READ, &[base], &[]).status;
        assert_eq!(gone, abi::STATUS_ACCESS_VIOLATION, "views of a client's port go with it");
        assert_eq!(server.join().expect("no panic"), (remote_base, other_base));
    });
}

fn app_handle(mapping: &FileMapping<'_>) -> u64 {
    u64::from_le_bytes(mapping.handle_bytes())
}

fn a_server_calls_its_waiting_client_back(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    let port = create(transport);
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            let request = port.listen().expect("a client comes");
            let accepted = Port::accept(transport, &request, 0, None, b"").expect("it waits");
            accepted.port.complete().expect("it waits");
            let asked = port.receive(None).expect("it sends").expect("for ever").message;
            for question in [&b"which?"[..], b"how many?"] {
                let answer = accepted.port.request_wait_reply(&asked.callback(question)).expect("it waits");
                assert_eq!((answer.kind(), answer.data()), (LPC_REPLY, &reversed(question)[..]));
            }
            port.reply(&asked.reply(b"done")).expect("it waits");
            let again = port.reply(&asked.reply(b"done"));
            assert_eq!(again, Err(abi::STATUS_REPLY_MESSAGE_MISMATCH), "it waits no longer");
            let closed = port.receive(None).expect("it closes").expect("for ever").message;
            assert_eq!(closed.kind(), LPC_PORT_CLOSED);
        });
        let [handle, ..] = call(&device, CONNECT, &[2], &wide(NAME)).done().values;
        let mut came = call(&device, REQUEST_WAIT_REPLY, &[handle], &message(b"do")).done();
        let mut callbacks = 0;
        while came.kind() == LPC_REQUEST {
            callbacks += 1;
            let answer = reply_to(&came, &reversed(came.data()));
            came = call(&device, REPLY_WAIT_REPLY, &[handle], &answer).done();
        }
        assert_eq!((callbacks, came.kind(), came.data()), (2, LPC_REPLY, &b"done"[..]));
        let stale = call(&device, REPLY, &[handle], &reply_to(&came, b"late"));
        assert_eq!(stale.status, abi::STATUS_REPLY_MESSAGE_MISMATCH, "a reply is nothing to reply to");
        call(&device, CLOSE, &[handle], &[]).done();
        server.join().expect("no panic");
    });
}

fn a_server_asks_its_client(transport: &dyn Transport) {
    let port = create(transport);
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            let request = port.listen().expect("a client comes");
            let accepted = Port::accept(transport, &request, 5, None, b"").expect("it waits");
            accepted.port.complete().expect("it waits");
            accepted.port.send(b"news").expect("is connected");
            let reply = accepted.port.request_wait_reply(&Message::new(b"abc")).expect("it serves");
            assert_eq!(reply.data(), b"cba");
        });
        let client = connect(transport, b"").port;
        let Received { message, context } = client.receive(None).expect("news").expect("for ever");
        assert_eq!((message.kind(), message.data(), context), (LPC_DATAGRAM, &b"news"[..], 0));
        let asked = client.receive(None).expect("a question").expect("for ever").message;
        client.reply(&asked.reply(&reversed(asked.data()))).expect("it waits");
        server.join().expect("no panic");
        let over = client.receive(Some(Duration::ZERO)).map(drop);
        assert_eq!(over, Err(abi::STATUS_PORT_DISCONNECTED), "the server's end is closed");
    });
}

fn a_server_refuses_and_says_why(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    let port = create(transport);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2 {
                let request = port.listen().expect("a client comes");
                Port::refuse(transport, &request, b"no room").expect("it waits");
                let late = Port::accept(transport, &request, 0, None, b"").map(drop);
                assert_eq!(late, Err(abi::STATUS_REPLY_MESSAGE_MISMATCH), "it is answered");
            }
        });
        let info = [b'x'; 16];
        let refused =
            Port::connect(transport, NAME, SecurityQos::default(), None, &info).expect_err("is refused");
        assert_eq!(
            (refused.status, &refused.info[..]),
            (abi::STATUS_PORT_CONNECTION_REFUSED, &b"no room"[..])
        );
        let tail = [&info[..], &wide(NAME)].concat();
        let refused = call(&device, CONNECT, &[2, 0, 0, 0, 16], &tail);
        assert_eq!((refused.status, refused.info()), (abi::STATUS_PORT_CONNECTION_REFUSED, &b"no room"[..]));
    });
}

fn what_is_wrong_is_refused(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    let none =
        Port::connect(transport, NAME, SecurityQos::default(), None, b"").expect_err("nobody is there");
    assert_eq!(none.status, abi::STATUS_OBJECT_NAME_NOT_FOUND);
    assert_eq!(call(&device, CONNECT, &[2], &wide(NAME)).status, abi::STATUS_OBJECT_NAME_NOT_FOUND);
    let other = Port::connect(transport, r"\BaseNamedObjects", SecurityQos::default(), None, b"");
    assert_eq!(other.expect_err("a directory").status, abi::STATUS_OBJECT_TYPE_MISMATCH);
    for (info, data, status) in [
        (MAX_DATA + 1, 0, abi::STATUS_INVALID_PARAMETER_3),
        (0, MAX_DATA + 1, abi::STATUS_INVALID_PARAMETER_4),
    ] {
        assert_eq!(Port::create(transport, NAME, info, data).map(drop), Err(status));
    }
    let port = create(transport);
    assert_eq!(Port::create(transport, NAME, 0, 0).map(drop), Err(abi::STATUS_OBJECT_NAME_COLLISION));
    assert_eq!(port.complete(), Err(abi::STATUS_INVALID_PORT_HANDLE));
    assert_eq!(call(&device, CONNECT, &[4], &wide(NAME)).status, abi::STATUS_BAD_IMPERSONATION_LEVEL);
    assert_eq!(call(&device, SECURE_CONNECT, &[2], &wide(NAME)).status, abi::STATUS_SERVER_SID_MISMATCH);

    let handle = port.handle().value();
    let sent = |bytes: &[u8]| call(&device, REQUEST, &[handle], bytes).status;
    let mut wrong = message(b"abcd");
    wrong[0] = 5;
    assert_eq!(sent(&wrong), abi::STATUS_INVALID_PARAMETER, "more data than there is");
    wrong[0] = 4;
    wrong[2] = 39;
    assert_eq!(sent(&wrong), abi::STATUS_INVALID_PARAMETER, "less than a header");
    wrong[2..4].copy_from_slice(&0x201_u16.to_le_bytes());
    assert_eq!(sent(&wrong), abi::STATUS_PORT_MESSAGE_TOO_LONG, "more than any port takes");
    wrong[2..4].copy_from_slice(&44_u16.to_le_bytes());
    wrong[6] = 44;
    assert_eq!(sent(&wrong), abi::STATUS_INVALID_PARAMETER, "data information behind its end");
    wrong[6] = 0;
    wrong[4] = 10;
    assert_eq!(
        sent(&wrong),
        abi::STATUS_INVALID_PARAMETER,
        "no one but the kernel sends connection requests"
    );
    assert_eq!(sent(&message(&[0; 129])), abi::STATUS_PORT_MESSAGE_TOO_LONG, "more than this port takes");
    assert_eq!(call(&device, REQUEST, &[0x7FF0], &message(b"")).status, abi::STATUS_INVALID_HANDLE);
    let device_handle = device.handle().value();
    assert_eq!(call(&device, LISTEN, &[device_handle], &[]).status, abi::STATUS_OBJECT_TYPE_MISMATCH);

    // Through the connection port itself, to its own receivers.
    assert_eq!(sent(&message(b"to myself")), abi::STATUS_SUCCESS);
    let own = port.receive(Some(Duration::ZERO)).expect("open").expect("is there");
    assert_eq!((own.message.kind(), own.message.data(), own.context), (LPC_DATAGRAM, &b"to myself"[..], 0));
    // A reply that nobody waits for, from a process that is there, and one that is not.
    assert_eq!(port.reply(&own.message.reply(b"")), Err(abi::STATUS_REPLY_MESSAGE_MISMATCH));
    let mut stranger = message(b"");
    stranger[8..16].copy_from_slice(&0x7FFF_0000_u64.to_le_bytes());
    assert_eq!(call(&device, REPLY, &[handle], &stranger).status, abi::STATUS_INVALID_CID);
    let soon = Duration::from_millis(1);
    assert!(port.receive(Some(soon)).expect("open").is_none(), "nothing comes");
}

#[test]
fn an_application_serves_an_application_embedded() {
    embedded(DRIVER, an_application_serves_an_application);
}

#[test]
fn application_that_serves_itself() {
    as_application(an_application_serves_an_application);
}

#[test]
fn an_application_serves_an_application_in_another_process() {
    in_another_process(DRIVER, "application_that_serves_itself");
}

#[test]
fn the_driver_connects_to_the_applications_port_embedded() {
    embedded(DRIVER, the_driver_connects_to_the_applications_port);
}

#[test]
fn application_that_is_asked() {
    as_application(the_driver_connects_to_the_applications_port);
}

#[test]
fn the_driver_connects_to_the_applications_port_in_another_process() {
    in_another_process(DRIVER, "application_that_is_asked");
}

#[test]
fn the_application_connects_to_the_drivers_port_embedded() {
    embedded(DRIVER, the_application_connects_to_the_drivers_port);
}

#[test]
fn application_that_asks() {
    as_application(the_application_connects_to_the_drivers_port);
}

#[test]
fn the_application_connects_to_the_drivers_port_from_another_process() {
    in_another_process(DRIVER, "application_that_asks");
}

#[test]
fn each_end_sees_what_the_other_shows_embedded() {
    embedded(DRIVER, each_end_sees_what_the_other_shows);
}

#[test]
fn application_that_shows() {
    as_application(each_end_sees_what_the_other_shows);
}

#[test]
fn each_end_sees_what_the_other_shows_from_another_process() {
    in_another_process(DRIVER, "application_that_shows");
}

#[test]
fn a_server_calls_its_waiting_client_back_embedded() {
    embedded(DRIVER, a_server_calls_its_waiting_client_back);
}

#[test]
fn application_that_calls_back() {
    as_application(a_server_calls_its_waiting_client_back);
}

#[test]
fn a_server_calls_its_waiting_client_back_from_another_process() {
    in_another_process(DRIVER, "application_that_calls_back");
}

#[test]
fn a_server_asks_its_client_embedded() {
    embedded(DRIVER, a_server_asks_its_client);
}

#[test]
fn application_that_asks_its_client() {
    as_application(a_server_asks_its_client);
}

#[test]
fn a_server_asks_its_client_in_another_process() {
    in_another_process(DRIVER, "application_that_asks_its_client");
}

#[test]
fn a_server_refuses_and_says_why_embedded() {
    embedded(DRIVER, a_server_refuses_and_says_why);
}

#[test]
fn application_that_refuses() {
    as_application(a_server_refuses_and_says_why);
}

#[test]
fn a_server_refuses_and_says_why_from_another_process() {
    in_another_process(DRIVER, "application_that_refuses");
}

#[test]
fn what_is_wrong_is_refused_embedded() {
    embedded(DRIVER, what_is_wrong_is_refused);
}

#[test]
fn application_that_errs() {
    as_application(what_is_wrong_is_refused);
}

#[test]
fn what_is_wrong_is_refused_from_another_process() {
    in_another_process(DRIVER, "application_that_errs");
}
