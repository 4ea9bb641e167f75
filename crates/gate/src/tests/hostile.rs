//! Peers that write what they like.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use abi::*;

use super::fake::*;
use super::{connect, small};
use crate::bell;
use crate::socket::{hear_soon, tell};
use crate::wire::{Message, Reply, Request, SLOT_SIZE, SLOTS_OFFSET, operation};
use crate::{Client, Handle, Transport};

/// A sequence that looks random and is the same every time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Sends a raw request on a slot of its own and waits for its answer.
struct Raw<'a> {
    client: &'a Client,
    slot: u32,
    last: u32,
}

impl<'a> Raw<'a> {
    fn new(client: &'a Client, slot: u32) -> Self {
        tell(&client.link.socket, &Message::Activate { slot }).unwrap();
        Self { client, slot, last: 0 }
    }

    fn ask(&mut self, request: Request) -> Reply {
        let lines = self.client.link.window.slot(self.slot);
        let number = bell::next(self.last);
        lines.request.write(&request, 0);
        bell::ring(&lines.request.bell, number, &lines.reply.parked);
        let answered = bell::look(&lines.reply.bell, self.last).or_else(|| {
            bell::wait(&lines.reply.bell, self.last, &lines.request.parked, || !self.client.is_connected())
        });
        assert_eq!(answered, Some(number));
        self.last = number;
        lines.reply.read()
    }
}

#[test]
fn ranges_outside_the_callers_own_are_access_violations() {
    let path = socket_path("ranges");
    let (server, log) = serve(&path, small(8));
    let client = connect(&path);
    let mut raw = Raw::new(&client, 5);
    let layout = *client.link.window.layout();
    let own = SLOTS_OFFSET + 5 * SLOT_SIZE;
    let bad =
        [0, own, own + 0x80, own - 8, SLOTS_OFFSET + 0xC0, layout.len - 1, layout.len, layout.span, u64::MAX];
    for offset in bad {
        for operation in [operation::WRITE, operation::CREATE, operation::DEVICE_CONTROL] {
            let request = Request { operation, input_offset: offset, input_length: 2, ..Request::default() };
            assert_eq!(raw.ask(request).status, STATUS_ACCESS_VIOLATION.bits(), "{offset:#x}");
        }
        for operation in [operation::READ, operation::QUERY_DIRECTORY] {
            let request =
                Request { operation, output_offset: offset, output_length: 2, ..Request::default() };
            assert_eq!(raw.ask(request).status, STATUS_ACCESS_VIOLATION.bits(), "{offset:#x}");
        }
    }
    let request = Request {
        operation: operation::READ,
        output_offset: layout.data_offset,
        output_length: u32::MAX,
        ..Request::default()
    };
    assert_eq!(raw.ask(request).status, STATUS_ACCESS_VIOLATION.bits());
    let request =
        Request { operation: operation::READ, output_offset: own + 0x40, output_length: 64, ..request };
    assert_eq!(raw.ask(request).status, STATUS_SUCCESS.bits());
    assert!(log.events().written.is_empty() && log.events().created.is_empty());
    server.stop();
}

#[test]
fn unknown_operations_are_not_implemented_and_torn_inputs_invalid() {
    let path = socket_path("unknown");
    let (server, _log) = serve(&path, small(8));
    let client = connect(&path);
    let mut raw = Raw::new(&client, 5);
    for operation in [0, 8, 77, u32::MAX] {
        let request = Request { operation, ..Request::default() };
        assert_eq!(raw.ask(request).status, STATUS_NOT_IMPLEMENTED.bits());
    }
    let data = client.link.window.layout().data_offset;
    for length in [0, 23, 25, 24 + 65536, 1 << 20] {
        let request = Request {
            operation: operation::CREATE,
            input_offset: data,
            input_length: length,
            ..Request::default()
        };
        assert_eq!(raw.ask(request).status, STATUS_INVALID_PARAMETER.bits(), "{length}");
    }
    let request = Request {
        operation: operation::QUERY_DIRECTORY,
        input_offset: data,
        input_length: 3,
        ..Request::default()
    };
    assert_eq!(raw.ask(request).status, STATUS_INVALID_PARAMETER.bits());
    server.stop();
}

#[test]
fn random_words_over_the_slots_harm_neither_host_nor_other_sessions() {
    const SLOTS: u32 = 8;
    const ROUNDS: u32 = 20_000;
    let path = socket_path("noise");
    let (server, log) = serve(&path, small(SLOTS));
    let (hostile, honest) = (connect(&path), connect(&path));
    for slot in 1..SLOTS {
        tell(&hostile.link.socket, &Message::Activate { slot }).unwrap();
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..2_000_u32 {
                let mut output = [0; 4];
                let result = honest.device_control(Handle(4), ECHO, &round.to_le_bytes(), &mut output);
                assert_eq!((result.status, output), (STATUS_SUCCESS, round.to_le_bytes()));
            }
        });
        let mut noise = Noise(0x5EED);
        for round in 0..ROUNDS {
            let slot = 1 + round % (SLOTS - 1);
            let lines = hostile.link.window.slot(slot);
            let place = std::ptr::from_ref(lines).cast::<AtomicU32>();
            for word in 0..SLOT_SIZE / 4 {
                // Most of the lines' words, few of the data's.
                if word < 48 || noise.next().is_multiple_of(64) {
                    let value = noise.next().to_le_bytes();
                    let value = u32::from_le_bytes([value[0], value[1], value[2], value[3]]);
                    // Small operations, or nothing would ever pass the first check; never END or PANIC.
                    let value = if word == 1 { value % 6 } else { value };
                    let word = place.wrapping_add(usize::try_from(word).unwrap());
                    // SAFETY: inside the slot, whose memory only holds atomics and bytes.
                    unsafe { (*word).store(value, Ordering::Relaxed) };
                }
            }
            bell::Word::wake(&lines.request.bell);
        }
    });
    assert_eq!(hostile.link.window.layout().slot_count, SLOTS);
    drop(hostile);
    log.wait_for("the hostile session's end", |events| events.sessions_ended == 1);
    assert_eq!(honest.device_control(Handle(4), ECHO, &[], &mut []).status, STATUS_SUCCESS);
    server.stop();
}

#[test]
fn a_slot_that_is_activated_twice_or_does_not_exist_ends_the_session() {
    let path = socket_path("activate");
    let (server, log) = serve(&path, small(8));
    for (ended, slots) in [(1, &[3, 3][..]), (2, &[8]), (3, &[u32::MAX])] {
        let client = connect(&path);
        for &slot in slots {
            tell(&client.link.socket, &Message::Activate { slot }).unwrap();
        }
        log.wait_for("the session's end", |events| events.sessions_ended == ended);
    }
    server.stop();
}

#[test]
fn a_host_that_answers_what_was_not_asked_is_left() {
    let path = socket_path("badhost");
    let (server, log) = serve(&path, small(8));
    let client = connect(&path);
    thread::scope(|scope| {
        let call = scope.spawn(|| client.device_control(Handle(4), BLOCK, &[], &mut []).status);
        log.wait_for("the blocked call", |events| events.blocked == 1);
        // The calling thread got the first slot that is not shared.
        let lines = client.link.window.slot(1);
        bell::ring(&lines.reply.bell, 0x1000, &lines.request.parked);
        assert_eq!(call.join().unwrap(), STATUS_DEVICE_NOT_CONNECTED);
    });
    assert!(!client.is_connected());
    server.stop();
}

#[test]
fn a_host_that_hides_a_sleeper_from_the_watcher_cannot_keep_it() {
    let path = socket_path("hidden");
    let (server, log) = serve(&path, small(8));
    let client = connect(&path);
    thread::scope(|scope| {
        let call = scope.spawn(|| client.device_control(Handle(4), BLOCK, &[], &mut []).status);
        log.wait_for("the blocked call", |events| events.blocked == 1);
        let word = &client.link.window.slot(1).reply.bell;
        client.link.leave();
        // The first call waits for a number other than 0: this hides whatever the watcher rings.
        while !call.is_finished() {
            word.store(0, Ordering::Relaxed);
        }
        // The host may have answered before it was undone.
        let status = call.join().unwrap();
        assert!([STATUS_DEVICE_NOT_CONNECTED, STATUS_CANCELLED].contains(&status), "{status:?}");
    });
    server.stop();
}

#[test]
fn what_an_open_session_says_out_of_turn_ends_it() {
    let path = socket_path("outofturn");
    let (server, log) = serve(&path, small(8));
    let client = connect(&path);
    tell(&client.link.socket, &Message::Hello).unwrap();
    log.wait_for("the session's end", |events| events.sessions_ended == 1);
    // The watcher has the socket; a second reader sees its end too.
    assert!(hear_soon(&client.link.socket).is_err());
    server.stop();
}
