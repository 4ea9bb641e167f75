//! Ports that are waited for as other objects are.

use std::thread;
use std::time::Duration;

use abi::{LPC_CONNECTION_REQUEST, LPC_DATAGRAM, LPC_PORT_CLOSED, LPC_REQUEST};
use app::lpc::{Message, Port};
use app::{Event, EventKind, Transport, Waited, wait_any};
use ringbridge_scenarios::{as_application, embedded, in_another_process, open};

use super::{ACCEPT, CLOSE, COMPLETE, CREATE, CREATE_WAITABLE, DEVICE, DRIVER, LISTEN, LOOK, NAME, RECEIVE};
use super::{call, connect, reply_to, wide};

const NOW: Option<Duration> = Some(Duration::ZERO);

fn an_application_waits_for_its_port(transport: &dyn Transport) {
    let port = Port::create_waitable(transport, NAME, 16, 128).expect("a free name");
    let event = Event::new(transport, EventKind::AutoReset, false).expect("an event");
    let wait = |timeout| wait_any(transport, &[&event, &port], timeout).expect("both can be waited for");
    assert_eq!(wait(NOW), Waited::TimedOut);
    assert!(port.receive(NOW).expect("open").is_none());
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let client = connect(transport, b"please");
            let reply = client.port.request_wait_reply(&Message::new(b"abc")).expect("is replied to");
            assert_eq!(reply.data(), b"xyz");
            for data in [b"one", b"two"] {
                client.port.send(data).expect("is sent");
            }
        });
        assert_eq!(wait(None), Waited::Signaled(1));
        assert_eq!(wait(None), Waited::Signaled(1), "nothing is received");
        let request = port.listen().expect("it is there");
        assert_eq!(request.kind(), LPC_CONNECTION_REQUEST);
        assert_eq!(wait(NOW), Waited::TimedOut, "it is received");
        let accepted = Port::accept(transport, &request, 0, None, b"").expect("it waits");
        accepted.port.complete().expect("it waits");
        let mut kinds = Vec::new();
        while kinds.last() != Some(&LPC_PORT_CLOSED) {
            assert_eq!(wait(None), Waited::Signaled(1));
            let received = port.receive(NOW).expect("open").expect("nobody else receives");
            if received.message.kind() == LPC_REQUEST {
                let reply = received.message.reply(b"xyz");
                port.reply(&reply).expect("it waits");
            }
            kinds.push(received.message.kind());
        }
        assert_eq!(kinds, [LPC_REQUEST, LPC_DATAGRAM, LPC_DATAGRAM, LPC_PORT_CLOSED]);
        client.join().expect("no panic");
    });
    assert_eq!(wait(NOW), Waited::TimedOut);
    drop(port);
    let plain = Port::create(transport, NAME, 16, 128).expect("a free name");
    let refused = wait_any(transport, &[&plain], NOW).expect_err("it is no dispatcher object");
    assert_eq!(refused.code, abi::ERROR_INVALID_HANDLE);
}

fn a_driver_waits_for_its_port_by_handle_and_object(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    let [port, ..] = call(&device, CREATE_WAITABLE, &[16, 168, 0], &wide(NAME)).done().values;
    let look = || {
        let answer = call(&device, LOOK, &[port], &[]);
        assert_eq!(u64::from(answer.status.bits()), answer.values[0], "handle and object say the same");
        answer.status
    };
    let receive = || call(&device, RECEIVE, &[port, 0], &[]).done();
    assert_eq!(look(), abi::STATUS_TIMEOUT);
    thread::scope(|scope| {
        let client = scope.spawn(|| connect(transport, b"please"));
        let request = call(&device, LISTEN, &[port], &[]).done();
        assert_eq!(look(), abi::STATUS_TIMEOUT);
        let accepted = call(&device, ACCEPT, &[0, 1], &reply_to(&request, b"")).done();
        let [own, ..] = accepted.values;
        call(&device, COMPLETE, &[own], &[]).done();
        let client = client.join().expect("no panic");
        client.port.send(b"one").expect("is sent");
        client.port.send(b"two").expect("is sent");
        assert_eq!(look(), abi::STATUS_SUCCESS);
        assert_eq!(receive().data(), b"one");
        assert_eq!(look(), abi::STATUS_SUCCESS, "there is another");
        assert_eq!(receive().data(), b"two");
        assert_eq!(look(), abi::STATUS_TIMEOUT);
        drop(client);
        assert_eq!(look(), abi::STATUS_SUCCESS, "it hears of the end");
        assert_eq!(receive().kind(), LPC_PORT_CLOSED);
        call(&device, CLOSE, &[own], &[]).done();
    });
    call(&device, CLOSE, &[port], &[]).done();
    let [plain, ..] = call(&device, CREATE, &[16, 168, 0], &wide(NAME)).done().values;
    call(&device, CLOSE, &[plain], &[]).done();
}

#[test]
fn an_application_waits_for_its_port_embedded() {
    embedded(DRIVER, an_application_waits_for_its_port);
}

#[test]
fn application_that_waits_for_its_port() {
    as_application(an_application_waits_for_its_port);
}

#[test]
fn an_application_waits_for_its_port_in_another_process() {
    in_another_process(DRIVER, "waitable::application_that_waits_for_its_port");
}

#[test]
fn a_driver_waits_for_its_port_embedded() {
    embedded(DRIVER, a_driver_waits_for_its_port_by_handle_and_object);
}

#[test]
fn application_whose_driver_waits() {
    as_application(a_driver_waits_for_its_port_by_handle_and_object);
}

#[test]
fn a_driver_waits_for_its_port_for_another_process() {
    in_another_process(DRIVER, "waitable::application_whose_driver_waits");
}
