//! Requests that somebody else answers while the thread that serves them still waits.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use abi::*;

use super::fake::socket_path;
use super::{connect, small};
use crate::bell;
use crate::socket::tell;
use crate::wire::{Message, Request, SLOT_SIZE, SLOTS_OFFSET, operation};
use crate::{
    CreateFile, DirectoryEntry, EarlyCall, Handle, IoStatus, Listener, Peer, Server, Service, SystemCall,
    SystemReply, Transport, WindowBuffer,
};

const NEITHER: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_NEITHER, 0);

/// A request that a thread of the host waits in.
struct Held {
    early: Option<EarlyCall>,
    output: WindowBuffer,
    /// Lets the thread go on, with this status.
    go_on: Sender<NTSTATUS>,
}

impl Held {
    fn answer(&self, status: NTSTATUS, information: u64, output: &[&[u8]]) {
        self.early.as_ref().expect("may be answered").answer(status, information, output);
    }
}

/// Hands each request to the test, and waits until that lets it go on.
struct Waits(Mutex<Sender<Held>>);

impl Waits {
    fn wait(&self, early: Option<&EarlyCall>, output: WindowBuffer) -> NTSTATUS {
        let (go_on, status) = channel();
        self.0.lock().unwrap().send(Held { early: early.cloned(), output, go_on }).unwrap();
        // The test is over without it.
        let status = status.recv().unwrap_or(STATUS_CANCELLED);
        assert_ne!(status, STATUS_ASSERTION_FAILURE, "the service panics");
        status
    }
}

const NOWHERE: WindowBuffer = WindowBuffer { address: 0, length: 0 };

impl Service for Waits {
    fn create_file(&self, _: &CreateFile<'_>) -> Result<(Handle, u64), NTSTATUS> {
        Err(STATUS_NOT_IMPLEMENTED)
    }

    fn close(&self, _: Handle) -> NTSTATUS {
        self.wait(None, NOWHERE)
    }

    fn duplicate_handle(&self, _: Handle, _: u32, _: u32) -> Result<Handle, NTSTATUS> {
        Err(STATUS_NOT_IMPLEMENTED)
    }

    fn read(&self, _: Handle, _: WindowBuffer, _: Option<u64>) -> IoStatus {
        IoStatus { status: STATUS_NOT_IMPLEMENTED, information: 0 }
    }

    fn write(&self, _: Handle, _: WindowBuffer, _: Option<u64>) -> IoStatus {
        IoStatus { status: STATUS_NOT_IMPLEMENTED, information: 0 }
    }

    fn device_control(&self, _: Handle, _: u32, _: WindowBuffer, output: WindowBuffer) -> IoStatus {
        IoStatus { status: self.wait(None, output), information: 0 }
    }

    fn device_control_early(
        &self,
        _: Handle,
        _: u32,
        _: WindowBuffer,
        output: WindowBuffer,
        early: &EarlyCall,
    ) -> IoStatus {
        IoStatus { status: self.wait(Some(early), output), information: 0 }
    }

    fn query_directory(&self, _: &[u16]) -> Result<Vec<DirectoryEntry>, NTSTATUS> {
        Err(STATUS_NOT_IMPLEMENTED)
    }

    fn system_call(&self, _: &SystemCall<'_>, _: &mut [u8]) -> SystemReply {
        SystemReply::status(self.wait(None, NOWHERE))
    }

    fn system_call_early(&self, _: &SystemCall<'_>, output: &mut [u8], early: &EarlyCall) -> SystemReply {
        output.fill(0xEE);
        let status = self.wait(Some(early), NOWHERE);
        SystemReply { information: output.len() as u64, ..SystemReply::status(status) }
    }

    fn session_ended(&self) {}
}

/// How long a close that does not wait has to show itself.
const LONG: Duration = Duration::from_millis(100);

fn serve(path: &str, slots: u32) -> (Server, Receiver<Held>) {
    let (sender, held) = channel();
    let open = move |_: &Peer| Ok(Arc::new(Waits(Mutex::new(sender.clone()))) as Arc<dyn Service>);
    (Listener::bind(path).unwrap().serve(small(slots), open).unwrap(), held)
}

const CALL: SystemCall<'static> = SystemCall::SetEvent { handle: Handle(4) };

#[test]
fn a_call_is_answered_by_whoever_ends_it_while_its_thread_still_waits() {
    let path = socket_path("early");
    let (server, held) = serve(&path, 8);
    let client = connect(&path);
    thread::scope(|scope| {
        let caller = scope.spawn(|| {
            let mut output = [1; 8];
            let reply = client.system_call(&CALL, &mut output);
            let mut second = [2; 8];
            (reply, output, client.system_call(&CALL, &mut second), second)
        });
        let first = held.recv().unwrap();
        first.answer(STATUS_SUCCESS, 5, &[b"ab", b"", b"cde"]);
        first.answer(STATUS_UNSUCCESSFUL, 1, &[b"x"]);
        // It goes on only now, with another answer and other bytes, when the caller may be in its next call already.
        first.go_on.send(STATUS_UNSUCCESSFUL).unwrap();
        let second = held.recv().unwrap();
        // Late: its call is over, and another has its place.
        first.answer(STATUS_SUCCESS, 1, &[b"x"]);
        second.go_on.send(STATUS_CANCELLED).unwrap();
        let (reply, output, second, untouched) = caller.join().unwrap();
        assert_eq!((reply.status, reply.information), (STATUS_SUCCESS, 5));
        assert_eq!(output, [b'a', b'b', b'c', b'd', b'e', 1, 1, 1]);
        assert_eq!((second.status, untouched), (STATUS_CANCELLED, [2; 8]));
    });
    drop(client);
    server.stop();
}

#[test]
fn an_answer_that_is_longer_than_the_output_is_the_calls_own_to_give() {
    let path = socket_path("early-long");
    let (server, held) = serve(&path, 8);
    let client = connect(&path);
    thread::scope(|scope| {
        let caller = scope.spawn(|| {
            let mut output = [1; 4];
            (client.system_call(&CALL, &mut output), output)
        });
        let call = held.recv().unwrap();
        call.answer(STATUS_SUCCESS, 5, &[b"ab", b"cde"]);
        call.go_on.send(STATUS_BUFFER_TOO_SMALL).unwrap();
        let (reply, output) = caller.join().unwrap();
        assert_eq!((reply.status, output), (STATUS_BUFFER_TOO_SMALL, [1; 4]));
    });
    drop(client);
    server.stop();
}

#[test]
fn a_request_of_method_neither_is_answered_early_with_what_was_written() {
    let path = socket_path("early-neither");
    let (server, held) = serve(&path, 8);
    let client = connect(&path);
    thread::scope(|scope| {
        let caller = scope.spawn(|| {
            let mut output = [1; 4];
            (client.device_control(Handle(4), NEITHER, &[], &mut output), output)
        });
        let request = held.recv().unwrap();
        // SAFETY: the gate promises that the buffer lies in the window's data, where no Rust value lives.
        unsafe { platform::memory::copy_to(request.output.address, &[7; 3]).unwrap() };
        request.answer(STATUS_SUCCESS, 3, &[]);
        let (status, output) = caller.join().unwrap();
        assert_eq!((status.status, status.information, output), (STATUS_SUCCESS, 3, [7, 7, 7, 1]));
        request.go_on.send(STATUS_UNSUCCESSFUL).unwrap();
    });
    drop(client);
    server.stop();
}

#[test]
fn a_handle_is_closed_when_the_threads_of_calls_answered_early_have_come_back() {
    let path = socket_path("early-close");
    let (server, held) = serve(&path, 8);
    let client = connect(&path);
    thread::scope(|scope| {
        let (answered, over) = (channel(), channel::<()>());
        let client = &client;
        scope.spawn(move || {
            answered.0.send(client.system_call(&CALL, &mut []).status).unwrap();
            // Its slot stays its own.
            let _closed = over.1.recv();
        });
        let call = held.recv().unwrap();
        call.answer(STATUS_SUCCESS, 0, &[]);
        assert_eq!(answered.1.recv().unwrap(), STATUS_SUCCESS);
        let closer = scope.spawn(|| client.close(Handle(4)));
        assert!(held.recv_timeout(LONG).is_err(), "its thread has a reference");
        let other = scope.spawn(|| client.close(Handle(8)));
        held.recv().unwrap().go_on.send(STATUS_SUCCESS).unwrap();
        assert_eq!(other.join().unwrap(), STATUS_SUCCESS, "of another handle it has none");
        call.go_on.send(STATUS_UNSUCCESSFUL).unwrap();
        held.recv().unwrap().go_on.send(STATUS_SUCCESS).unwrap();
        assert_eq!(closer.join().unwrap(), STATUS_SUCCESS);
        drop(over.0);
    });
    drop(client);
    server.stop();
}

#[test]
fn a_thread_that_panics_behind_its_early_answer_keeps_nobody_from_closing() {
    let path = socket_path("early-panic");
    let (server, held) = serve(&path, 8);
    let client = connect(&path);
    thread::scope(|scope| {
        let (answered, over) = (channel(), channel::<()>());
        let client = &client;
        scope.spawn(move || {
            answered.0.send(client.system_call(&CALL, &mut []).status).unwrap();
            let _closed = over.1.recv();
        });
        let call = held.recv().unwrap();
        call.answer(STATUS_SUCCESS, 0, &[]);
        assert_eq!(answered.1.recv().unwrap(), STATUS_SUCCESS);
        let closer = scope.spawn(|| client.close(Handle(4)));
        assert!(held.recv_timeout(LONG).is_err(), "it waits");
        // Lets go whatever still comes.
        scope.spawn(move || held.iter().for_each(drop));
        call.go_on.send(STATUS_ASSERTION_FAILURE).unwrap();
        let closed = closer.join().unwrap();
        assert!([STATUS_DEVICE_NOT_CONNECTED, STATUS_CANCELLED].contains(&closed), "{closed:?}");
        server.stop();
        drop(over.0);
    });
}

#[test]
fn threads_that_share_a_slot_are_not_answered_early() {
    let path = socket_path("early-shared");
    // One to be shared, one of its own.
    let (server, held) = serve(&path, 2);
    let client = connect(&path);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..3).map(|_| scope.spawn(|| client.system_call(&CALL, &mut []))).collect();
        let shared = (0..3).filter(|_| {
            let call = held.recv().unwrap();
            call.go_on.send(STATUS_SUCCESS).unwrap();
            call.early.is_none()
        });
        assert!(shared.count() >= 1, "who shares it owes the turn's end before the answer");
        assert!(callers.into_iter().all(|caller| caller.join().unwrap().status == STATUS_SUCCESS));
    });
    drop(client);
    server.stop();
}

#[test]
fn an_answer_after_the_end_of_its_session_harms_nobody() {
    let path = socket_path("early-end");
    let (server, held) = serve(&path, 8);
    let client = connect(&path);
    let call = thread::scope(|scope| {
        let caller = scope.spawn(|| client.system_call(&CALL, &mut [0; 4]).status);
        let call = held.recv().unwrap();
        // Ends the session, whose threads wait for nobody here.
        let stop = scope.spawn(|| server.stop());
        assert_eq!(caller.join().unwrap(), STATUS_DEVICE_NOT_CONNECTED);
        call.go_on.send(STATUS_SUCCESS).unwrap();
        stop.join().unwrap();
        call
    });
    drop(client);
    call.answer(STATUS_SUCCESS, 4, &[b"late"]);
}

#[test]
fn an_application_that_rewrites_its_slots_while_they_are_answered_early_harms_itself_alone() {
    const SLOTS: u32 = 8;
    const ROUNDS: u32 = 20_000;
    let path = socket_path("early-noise");
    let (server, held) = serve(&path, SLOTS);
    let (hostile, honest) = (connect(&path), connect(&path));
    for slot in 1..SLOTS {
        tell(&hostile.link.socket, &Message::Activate { slot }).unwrap();
    }
    thread::scope(|scope| {
        let responder = scope.spawn(move || {
            let mut early = 0_u32;
            for (round, call) in held.iter().enumerate() {
                let answer = || {
                    if let Some(early) = &call.early {
                        early.answer(STATUS_SUCCESS, 8, &[&[7; 3], &[7; 5]]);
                    }
                };
                // Before the call's thread goes on, or against it.
                if round.is_multiple_of(2) {
                    answer();
                    early += u32::from(call.early.is_some());
                }
                call.go_on.send(STATUS_SUCCESS).unwrap();
                answer();
            }
            early
        });
        scope.spawn(|| {
            let mut number = 1;
            for round in 0..ROUNDS {
                let lines = hostile.link.window.slot(1 + round % (SLOTS - 1));
                let own = SLOTS_OFFSET + u64::from(1 + round % (SLOTS - 1)) * SLOT_SIZE;
                // Numbers come again, and go back; outputs lie anywhere, and end anywhere.
                number = (number * 5 + round) % 7;
                let request = Request {
                    operation: if round % 3 == 0 {
                        operation::DEVICE_CONTROL
                    } else {
                        operation::SYSTEM_CALL
                    },
                    code: if round % 3 == 0 { NEITHER } else { round % 100 },
                    output_offset: own + u64::from(round % 5) * 0x40,
                    output_length: round % 11 * 4,
                    handle: round % 3,
                    ..Request::default()
                };
                lines.request.write(&request, 0);
                lines.request.parked.store(round & 1, Ordering::Relaxed);
                bell::ring(&lines.request.bell, number, &lines.reply.parked);
                lines.reply.bell.store(number, Ordering::Relaxed);
            }
        });
        for _ in 0..500 {
            let mut output = [0; 8];
            let reply = honest.system_call(&CALL, &mut output);
            assert_eq!((reply.status, reply.information), (STATUS_SUCCESS, 8));
            assert!(output == [7; 8] || output == [0xEE; 8], "one answer or the other: {output:?}");
        }
        assert_eq!(honest.close(Handle(4)), STATUS_SUCCESS, "nobody is late for ever");
        server.stop();
        assert!(responder.join().unwrap() > 0);
    });
}
