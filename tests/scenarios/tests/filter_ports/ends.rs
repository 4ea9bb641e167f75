//! What the end of one side is to the other, at every step.

use std::time::Instant;

use app::{FilterPort, Transport, reply_to};
use host::Machine;
use ringbridge_scenarios::{Beside, PATIENCE, open, say_ready, serve, wait_to_go_on, with_driver};

use super::*;

fn a_filter_that_closes_ends_what_waits(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    create_port(&device, 1);
    let port = connect(transport);
    let disconnected = bits(abi::STATUS_PORT_DISCONNECTED);
    thread::scope(|scope| {
        // A request for a message, a message that nobody has taken, and one that nobody has answered.
        let unanswered = scope.spawn(|| send(&open(transport, DEVICE), 8, 1, 8, 0));
        let (header, _) = take(&port, 8);
        let receiver = scope.spawn(|| port.get_message(&mut [0; 32]));
        while port.device().cancel_all().is_err() {
            thread::yield_now();
        }
        assert_eq!(receiver.join().expect("no panic").expect_err("is cancelled").hresult, ABORTED);
        let untaken = scope.spawn(|| send(&open(transport, DEVICE), 4, 2, NO_REPLY, 0));
        // It is there when it does not fit.
        assert_eq!(port.get_message(&mut [0; 16]).expect_err("no room").hresult, INSUFFICIENT_BUFFER);
        assert_eq!(done(&device, CLOSE_CLIENT, &[0])[0], 1, "the pointer is NULL");
        assert_eq!(unanswered.join().expect("no panic").0, disconnected);
        assert_eq!(untaken.join().expect("no panic").0, disconnected);
        let late = port.reply_message(&reply_to(header.message_id, &[0; 8])).expect_err("it is over");
        assert_eq!(late.hresult, INVALID_HANDLE);
    });
    assert_eq!(port.get_message(&mut [0; 32]).expect_err("it is over").hresult, INVALID_HANDLE);
    assert_eq!(send(&device, 4, 1, 4, 0).0, disconnected, "by a NULL pointer");
    done(&device, CLOSE_CLIENT, &[0]);
    assert_eq!(done(&device, COUNTS, &[])[..2], [1, 0], "the application has its handle");
    drop(port);
    assert_eq!(done(&device, COUNTS, &[])[..2], [1, 1], "once");
    // While somebody waits.
    let port = connect(transport);
    thread::scope(|scope| {
        let operation = port
            .get_message_overlapped(Buffer::new(transport, 64).expect("memory"), &Overlapped::new())
            .expect("begins");
        scope.spawn(|| done(&open(transport, DEVICE), CLOSE_CLIENT, &[0]));
        assert_eq!(operation.finish().result.expect_err("is over").code, abi::ERROR_INVALID_HANDLE);
    });
}

fn a_handle_that_is_closed_ends_what_waits(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    create_port(&device, 1);
    let port = connect(transport);
    let twin = port.device().try_clone().expect("is duplicated");
    thread::scope(|scope| {
        let unanswered = scope.spawn(|| send(&open(transport, DEVICE), 8, 1, 8, 0));
        take(&port, 8);
        drop(port);
        assert_eq!(done(&device, COUNTS, &[])[1], 0, "there is another handle");
        drop(twin);
        assert_eq!(unanswered.join().expect("no panic").0, bits(abi::STATUS_PORT_DISCONNECTED));
    });
    assert_eq!(done(&device, COUNTS, &[])[..2], [1, 1]);
    let again = connect(transport);
    assert_eq!(again.send_message(&[0], &mut [0]).expect("goes on"), 1);
}

/// Waits until the driver's counters are as they must become.
fn wait_for_counts(device: &Device<'_>, connects: u64) {
    let start = Instant::now();
    while done(device, COUNTS, &[])[..2] != [connects, connects] {
        assert!(start.elapsed() < PATIENCE, "{:?}", done(device, COUNTS, &[]));
        thread::yield_now();
    }
}

/// Starts an application that is killed when it is ready, for whatever waits then; `body` runs beside it.
fn killed(machine: &Machine, name: &str, body: impl FnOnce(&dyn Transport) + Send) {
    let (_folder, server) = serve(machine);
    let process = machine.process("test");
    let device = open(&process, DEVICE);
    create_port(&device, 1);
    for round in 1..=3 {
        let application = Beside::start(name, server.path());
        application.kill();
        wait_for_counts(&device, round);
    }
    let application = Beside::start(name, server.path());
    thread::scope(|scope| {
        scope.spawn(|| body(&process));
        // The sender gets its answer whenever the application dies.
        application.kill();
    });
    wait_for_counts(&device, 4);
    done(&device, CLOSE_PORT, &[0]);
    drop(device);
    server.stop();
}

#[test]
fn application_that_waits_for_a_message() {
    let Some(client) = client() else { return };
    let port = connect(&client);
    let _operations: Vec<_> = (0..3)
        .map(|_| {
            let buffer = Buffer::new(&client, 64).expect("memory");
            port.get_message_overlapped(buffer, &Overlapped::new()).expect("begins")
        })
        .collect();
    say_ready();
    wait_to_go_on();
}

#[test]
fn nothing_is_left_of_an_application_that_dies_while_it_waits() {
    with_driver(DRIVER, |machine| {
        killed(machine, "ends::application_that_waits_for_a_message", |process| {
            let (status, _) = send(&open(process, DEVICE), 8, 1, 8, 0);
            assert_eq!(status, bits(abi::STATUS_PORT_DISCONNECTED));
        });
    });
}

#[test]
fn application_that_is_sent_to_and_does_not_answer() {
    let Some(client) = client() else { return };
    let port = FilterPort::connect(&client, PORT, &[], true).expect("connects");
    thread::scope(|scope| {
        scope.spawn(|| send(&open(&client, DEVICE), 8, 1, 8, 0));
        take(&port, 8);
        // One that waits for its own process's answer, and one message that nobody takes.
        scope.spawn(|| send(&open(&client, DEVICE), 4, 1, NO_REPLY, 0));
        say_ready();
        wait_to_go_on();
    });
}

#[test]
fn nothing_is_left_of_an_application_that_dies_before_it_answers() {
    with_driver(DRIVER, |machine| {
        killed(machine, "ends::application_that_is_sent_to_and_does_not_answer", |process| {
            let (status, _) = send(&open(process, DEVICE), 8, 1, 8, 0);
            assert_eq!(status, bits(abi::STATUS_PORT_DISCONNECTED));
        });
    });
}

// ---- in both places ----------------------------------------------------------------------------------------------------

#[test]
fn a_filter_that_closes_ends_what_waits_embedded() {
    embedded(DRIVER, a_filter_that_closes_ends_what_waits);
}

#[test]
fn application_that_is_closed() {
    as_application(a_filter_that_closes_ends_what_waits);
}

#[test]
fn a_filter_that_closes_ends_what_waits_in_another_process() {
    in_another_process(DRIVER, "ends::application_that_is_closed");
}

#[test]
fn a_handle_that_is_closed_ends_what_waits_embedded() {
    embedded(DRIVER, a_handle_that_is_closed_ends_what_waits);
}

#[test]
fn application_that_closes() {
    as_application(a_handle_that_is_closed_ends_what_waits);
}

#[test]
fn a_handle_that_is_closed_ends_what_waits_in_another_process() {
    in_another_process(DRIVER, "ends::application_that_closes");
}
