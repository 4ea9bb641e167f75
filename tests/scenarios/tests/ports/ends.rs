//! What those at the other end of a port see when a process closes its end or dies, at each step; and that nothing is left.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc;

use host::Process;
use ringbridge_scenarios::{Beside, say_ready, serve};

use super::*;

/// Two processes of a machine, of which everything is gone at the end.
pub(super) fn with_two(body: impl FnOnce(&Process, &Process)) {
    let machine = Machine::new().expect("a machine");
    let (server, client) = (machine.process("server"), machine.process("client"));
    body(&server, &client);
    server.end();
    client.end();
    nothing_is_left(&machine);
}

fn status_of(connected: Result<Connection<'_>, app::lpc::Refused>) -> Result<(), NTSTATUS> {
    connected.map(drop).map_err(|refused| refused.status)
}

/// Connects on a thread of its own; what became of it, with the port, so that it stays open.
fn connecting<'scope, 'a: 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    client: &'a Process,
) -> thread::ScopedJoinHandle<'scope, Result<Port<'a>, NTSTATUS>> {
    scope.spawn(move || {
        let connected = Port::connect(client, NAME, SecurityQos::default(), None, b"");
        connected.map(|connection| connection.port).map_err(|refused| refused.status)
    })
}

/// A connection, both ends of it and the connection port.
pub(super) fn connected<'a>(server: &'a Process, client: &'a Process) -> (Port<'a>, Port<'a>, Port<'a>) {
    let port = create(server);
    let (own, theirs) = thread::scope(|scope| {
        let connecting = connecting(scope, client);
        let request = port.listen().expect("a client comes");
        let own = Port::accept(server, &request, 9, None, b"").expect("it waits").port;
        own.complete().expect("it waits");
        (own, connecting.join().expect("no panic").expect("is accepted"))
    });
    (port, own, theirs)
}

const REFUSED: Result<(), NTSTATUS> = Err(abi::STATUS_PORT_CONNECTION_REFUSED);
const DISCONNECTED: Result<(), NTSTATUS> = Err(abi::STATUS_PORT_DISCONNECTED);

#[test]
fn a_client_is_refused_whose_listener_closes_its_port() {
    with_two(|server, client| {
        thread::scope(|scope| {
            let port = create(server);
            let connecting = connecting(scope, client);
            // Received, and never answered.
            let request = port.listen().expect("a client comes");
            drop(port);
            assert_eq!(connecting.join().expect("no panic").map(drop), REFUSED);
            let late = Port::accept(server, &request, 0, None, b"").map(drop);
            assert_eq!(late, Err(abi::STATUS_REPLY_MESSAGE_MISMATCH));
        });
    });
}

#[test]
fn a_client_is_refused_whose_listener_dies() {
    with_two(|server, client| {
        thread::scope(|scope| {
            let port = create(server);
            let connecting = connecting(scope, client);
            port.listen().expect("a client comes");
            server.end();
            assert_eq!(connecting.join().expect("no panic").map(drop), REFUSED);
        });
    });
}

#[test]
fn a_client_waits_for_completion_until_the_servers_port_closes() {
    with_two(|server, client| {
        thread::scope(|scope| {
            let port = create(server);
            let connecting = connecting(scope, client);
            let request = port.listen().expect("a client comes");
            let own = Port::accept(server, &request, 0, None, b"").expect("it waits").port;
            // Nothing can be sent before, and the listener's end is not the connection's.
            assert_eq!(own.send(b""), DISCONNECTED);
            drop(port);
            assert!(!connecting.is_finished());
            drop(own);
            assert_eq!(connecting.join().expect("no panic").map(drop), REFUSED);
        });
    });
}

#[test]
fn a_connection_outlasts_its_connection_port() {
    with_two(|server, client| {
        let (port, own, theirs) = connected(server, client);
        drop(port);
        let late = Port::connect(client, NAME, SecurityQos::default(), None, b"");
        assert_eq!(status_of(late), Err(abi::STATUS_OBJECT_NAME_NOT_FOUND));
        thread::scope(|scope| {
            scope.spawn(|| {
                let asked = own.receive(None).expect("open").expect("for ever");
                own.reply(&asked.message.reply(b"still here")).expect("it waits");
            });
            let reply = theirs.request_wait_reply(&Message::new(b"?")).expect("is replied to");
            assert_eq!(reply.data(), b"still here");
        });
    });
}

#[test]
fn a_request_ends_when_its_server_dies_or_closes_the_port() {
    for dies in [true, false] {
        with_two(|server, client| {
            let (port, own, theirs) = connected(server, client);
            thread::scope(|scope| {
                let asking = scope.spawn(|| theirs.request_wait_reply(&Message::new(b"?")).map(drop));
                port.receive(None).expect("open").expect("for ever");
                if dies {
                    server.end();
                } else {
                    drop(own);
                }
                assert_eq!(asking.join().expect("no panic"), DISCONNECTED);
                assert_eq!(theirs.send(b""), DISCONNECTED);
                assert_eq!(theirs.receive(None).map(drop), DISCONNECTED);
            });
        });
    }
}

#[test]
fn a_request_that_nobody_has_received_ends_with_its_server() {
    with_two(|server, client| {
        let (_port, _own, theirs) = connected(server, client);
        thread::scope(|scope| {
            let (started, has_started) = mpsc::channel();
            let asking = scope.spawn(move || {
                started.send(()).expect("is awaited");
                theirs.request_wait_reply(&Message::new(b"?")).map(drop)
            });
            has_started.recv().expect("it starts");
            server.end();
            assert_eq!(asking.join().expect("no panic"), DISCONNECTED);
        });
    });
}

#[test]
fn a_client_that_dies_while_it_connects_is_not_accepted() {
    with_two(|server, client| {
        thread::scope(|scope| {
            let port = create(server);
            let connecting = connecting(scope, client);
            let request = port.listen().expect("a client comes");
            client.end();
            assert!(connecting.join().expect("no panic").is_err());
            let late = Port::accept(server, &request, 0, None, b"").map(drop);
            assert_eq!(late, Err(abi::STATUS_INVALID_CID), "its process is gone");
            let nothing = port.receive(Some(Duration::ZERO)).expect("open");
            assert!(nothing.is_none(), "there was no connection whose end could be told");
        });
    });
}

#[test]
fn a_server_hears_of_a_client_that_dies_before_its_connection_is_completed() {
    with_two(|server, client| {
        thread::scope(|scope| {
            let port = create(server);
            let connecting = connecting(scope, client);
            let request = port.listen().expect("a client comes");
            let own = Port::accept(server, &request, 6, None, b"").expect("it waits").port;
            client.end();
            assert!(connecting.join().expect("no panic").is_err());
            assert_eq!(own.complete(), DISCONNECTED);
            let Received { message, context } = port.receive(None).expect("open").expect("for ever");
            assert_eq!((message.kind(), context), (LPC_PORT_CLOSED, 6));
            assert_eq!(message.process_id(), request.process_id());
        });
    });
}

#[test]
fn a_server_hears_of_a_client_that_dies_while_it_waits_for_a_reply() {
    with_two(|server, client| {
        let (port, own, theirs) = connected(server, client);
        thread::scope(|scope| {
            let asking = scope.spawn(|| theirs.request_wait_reply(&Message::new(b"?")).map(drop));
            let asked = port.receive(None).expect("open").expect("for ever").message;
            client.end();
            assert!(asking.join().expect("no panic").is_err());
            assert_eq!(port.reply(&asked.reply(b"")), Err(abi::STATUS_INVALID_CID));
            let closed = port.receive(None).expect("open").expect("for ever");
            assert_eq!((closed.message.kind(), closed.context), (LPC_PORT_CLOSED, 9));
            assert_eq!(own.send(b""), DISCONNECTED);
        });
    });
}

fn died(received: &Received) -> (u16, u64, usize) {
    (received.message.kind(), received.context, received.message.data().len())
}

#[test]
fn a_server_hears_of_a_thread_that_ends_when_that_has_registered_its_port() {
    with_two(|server, client| {
        let (port, _own, theirs) = connected(server, client);
        let thread = thread::scope(|scope| {
            let ending = scope.spawn(|| {
                theirs.register_thread_terminate_port().expect("open");
                theirs.send(b"").expect("connected");
                client.end_thread();
            });
            ending.join().expect("no panic");
            port.receive(None).expect("open").expect("for ever").message.thread_id()
        });
        let told = port.receive(Some(Duration::ZERO)).expect("open").expect("it has ended");
        assert_eq!(died(&told), (LPC_CLIENT_DIED, 9, 8));
        assert_eq!(told.message.thread_id(), thread);
        assert!(port.receive(Some(Duration::ZERO)).expect("open").is_none(), "once");
        theirs.send(b"still there").expect("the connection is not the thread's");
    });
}

#[test]
fn a_server_hears_of_threads_that_end_with_their_process_before_its_ports_are_closed() {
    with_two(|server, client| {
        let (port, _own, theirs) = connected(server, client);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| theirs.register_thread_terminate_port().expect("open"));
            }
        });
        client.end();
        let mut threads = [0, 0];
        for thread in &mut threads {
            let told = port.receive(None).expect("open").expect("for ever");
            assert_eq!(died(&told), (LPC_CLIENT_DIED, 9, 8));
            *thread = told.message.thread_id();
        }
        assert_ne!(threads[0], threads[1]);
        let closed = port.receive(None).expect("open").expect("for ever");
        assert_eq!((closed.message.kind(), closed.context), (LPC_PORT_CLOSED, 9));
    });
}

#[test]
fn a_port_that_is_closed_is_told_of_nobodys_end() {
    with_two(|server, client| {
        let (port, _own, theirs) = connected(server, client);
        theirs.register_thread_terminate_port().expect("open");
        drop(theirs);
        client.end_thread();
        let closed = port.receive(None).expect("open").expect("for ever").message;
        assert_eq!(closed.kind(), LPC_PORT_CLOSED);
        assert!(port.receive(Some(Duration::ZERO)).expect("open").is_none());
        assert_eq!(port.register_thread_terminate_port(), Ok(()));
        for _ in 1..64 {
            port.register_thread_terminate_port().expect("room");
        }
        let one_more = port.register_thread_terminate_port();
        assert_eq!(one_more, Err(abi::STATUS_INSUFFICIENT_RESOURCES));
    });
}

/// In a process of its own, whose threads need not say that they end.
fn a_thread_registers_and_ends(transport: &dyn Transport) {
    let port = create(transport);
    let own = thread::scope(|scope| {
        let client = scope.spawn(|| {
            let own = connect(transport, b"").port;
            own.register_thread_terminate_port().expect("open");
            own
        });
        let request = port.listen().expect("a client comes");
        let accepted = Port::accept(transport, &request, 9, None, b"").expect("it waits").port;
        accepted.complete().expect("it waits");
        let told = port.receive(None).expect("open").expect("for ever");
        assert_eq!(died(&told), (LPC_CLIENT_DIED, 9, 8));
        assert_eq!(told.message.thread_id(), request.thread_id());
        client.join().expect("no panic")
    });
    assert_eq!(own.send(b""), DISCONNECTED);
}

#[test]
fn application_whose_thread_ends() {
    as_application(a_thread_registers_and_ends);
}

#[test]
fn a_server_hears_of_a_thread_that_ends_in_another_process() {
    in_another_process(DRIVER, "ends::application_whose_thread_ends");
}

#[test]
fn a_callback_ends_when_its_client_dies_and_when_its_server_does() {
    for client_dies in [true, false] {
        with_two(|server, client| {
            let (port, own, theirs) = connected(server, client);
            thread::scope(|scope| {
                let (came, called) = mpsc::channel();
                let theirs = &theirs;
                scope.spawn(move || {
                    let callback = theirs.request_wait_reply(&Message::new(b"?")).expect("a callback");
                    came.send(callback).expect("is awaited");
                });
                let asked = port.receive(None).expect("open").expect("for ever").message;
                let (own, question) = (&own, asked.callback(b"!"));
                let calling = scope.spawn(move || own.request_wait_reply(&question).map(drop));
                let callback = called.recv().expect("it comes");
                assert_eq!(callback.kind(), LPC_REQUEST);
                if client_dies {
                    client.end();
                    assert_eq!(calling.join().expect("no panic"), DISCONNECTED);
                } else {
                    server.end();
                    assert!(calling.join().expect("no panic").is_err());
                    let late = theirs.reply_wait_reply(&callback.reply(b"")).map(drop);
                    assert_eq!(late, Err(abi::STATUS_INVALID_CID));
                }
            });
        });
    }
}

#[test]
fn a_receiver_goes_on_when_its_process_ends_or_its_port_is_closed() {
    with_two(|server, client| {
        let (port, _own, theirs) = connected(server, client);
        thread::scope(|scope| {
            let waiting = [&port, &theirs].map(|port| scope.spawn(|| port.receive(None).map(drop)));
            server.end();
            for waiting in waiting {
                assert!(waiting.join().expect("no panic").is_err());
            }
        });
    });
}

#[test]
fn clients_do_not_get_each_others_replies() {
    const CLIENTS: u8 = 4;
    const ROUNDS: u8 = 50;
    let machine = Machine::new().expect("a machine");
    let server = machine.process("server");
    let port = create(&server);
    let closed = AtomicU8::new(0);
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let machine = &machine;
            scope.spawn(move || {
                let process = machine.process("client");
                let own = connect(&process, &[number]).port;
                for round in 0..ROUNDS {
                    let reply = own.request_wait_reply(&Message::new(&[number, round])).expect("replied to");
                    assert_eq!(reply.data(), [number, round, number]);
                }
            });
        }
        // Two threads serve all.
        for _ in 0..2 {
            let (server, port, closed) = (&server, &port, &closed);
            scope.spawn(move || {
                let mut own = Vec::new();
                loop {
                    let Received { message, context } = port.receive(None).expect("open").expect("for ever");
                    match message.kind() {
                        LPC_CONNECTION_REQUEST => {
                            let number = u64::from(message.data()[0]) + 1;
                            let accepted =
                                Port::accept(server, &message, number, None, b"").expect("it waits");
                            accepted.port.complete().expect("it waits");
                            own.push(accepted.port);
                        }
                        LPC_REQUEST => {
                            let number = message.data()[0];
                            assert_eq!(context, u64::from(number) + 1, "its own connection's");
                            let data = [message.data(), &[number]].concat();
                            port.reply(&message.reply(&data)).expect("it waits");
                        }
                        LPC_PORT_CLOSED => {
                            assert!((1..=u64::from(CLIENTS)).contains(&context));
                            if closed.fetch_add(1, Ordering::Relaxed) + 1 == CLIENTS {
                                // The other thread, and this one.
                                port.send(b"enough").expect("open");
                                port.send(b"enough").expect("open");
                            }
                        }
                        _ => return,
                    }
                }
            });
        }
    });
    drop(port);
    server.end();
    nothing_is_left(&machine);
}

#[test]
fn application_that_serves_until_it_is_killed() {
    as_application(|transport| {
        let port = create(transport);
        say_ready();
        let request = port.listen().expect("a client comes");
        let accepted = Port::accept(transport, &request, 0, None, b"").expect("it waits");
        accepted.port.complete().expect("it waits");
        port.receive(None).expect("open").expect("for ever");
        println!("\nasked");
        port.receive(None).expect("open");
    });
}

#[test]
fn a_driver_goes_on_when_the_application_that_it_asks_is_killed() {
    with_driver(DRIVER, |machine| {
        let (_folder, server) = serve(machine);
        let mut application =
            Beside::start("ends::application_that_serves_until_it_is_killed", server.path());
        let process = machine.process("caller");
        thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let device = open(&process, DEVICE);
                let [handle, ..] = call(&device, CONNECT, &[2], &wide(NAME)).done().values;
                let status = call(&device, REQUEST_WAIT_REPLY, &[handle], &message(b"?")).status;
                call(&device, CLOSE, &[handle], &[]).done();
                status
            });
            application.wait_for("asked");
            application.kill();
            assert_eq!(asking.join().expect("no panic"), abi::STATUS_PORT_DISCONNECTED);
        });
        server.stop();
    });
}

#[test]
fn application_that_asks_until_it_is_killed() {
    as_application(|transport| {
        say_ready();
        let own = connect(transport, b"").port;
        own.request_wait_reply(&Message::new(b"?")).expect("never");
    });
}

#[test]
fn a_driver_goes_on_when_the_application_that_asks_it_is_killed() {
    with_driver(DRIVER, |machine| {
        let (_folder, server) = serve(machine);
        let process = machine.process("driver's");
        let device = open(&process, DEVICE);
        let [port, ..] = call(&device, CREATE, &[16, 168, 0], &wide(NAME)).done().values;
        let application = Beside::start("ends::application_that_asks_until_it_is_killed", server.path());
        let request = call(&device, LISTEN, &[port], &[]).done();
        let [own, ..] = call(&device, ACCEPT, &[5, 1], &reply_to(&request, b"")).done().values;
        call(&device, COMPLETE, &[own], &[]).done();
        let asked = call(&device, RECEIVE, &[port], &[]).done();
        assert_eq!(asked.kind(), LPC_REQUEST);
        application.kill();
        let closed = call(&device, RECEIVE, &[port], &[]).done();
        assert_eq!((closed.kind(), closed.values[0]), (LPC_PORT_CLOSED, 5));
        let late = call(&device, REPLY, &[port], &reply_to(&asked, b"")).status;
        assert!([abi::STATUS_INVALID_CID, abi::STATUS_REPLY_MESSAGE_MISMATCH].contains(&late), "{late:?}");
        call(&device, CLOSE, &[own], &[]).done();
        call(&device, CLOSE, &[port], &[]).done();
        server.stop();
    });
}
