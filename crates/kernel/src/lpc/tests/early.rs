//! What an application is told by who ends its wait must be what its own thread finds when it goes on.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use abi::NTSTATUS;

use super::world::{listening_port, message, with_port};
use crate::ke::Timeout;
use crate::ke::tests::on_mock;
use crate::lpc::{self, Accept, Caller, Connect, Header, Message, Received};
use crate::ps::EarlyAnswer;
use crate::se::QualityOfService;

/// Early answers so far.
pub(super) static ANSWERED: AtomicU64 = AtomicU64::new(0);

/// Where an application's answer goes.
#[derive(Debug, Default)]
pub(super) struct Slot {
    answers: Mutex<Vec<(NTSTATUS, u64, Vec<u8>)>>,
    /// The call has returned.
    over: AtomicBool,
}

impl EarlyAnswer for Slot {
    fn answer(&self, status: NTSTATUS, information: u64, output: &[&[u8]]) {
        assert!(!self.over.load(Ordering::SeqCst), "the thread may not go on before");
        self.answers.lock().expect("not poisoned").push((status, information, output.concat()));
    }
}

impl Slot {
    pub(super) fn new() -> (Arc<Self>, Arc<dyn EarlyAnswer>) {
        let slot = Arc::new(Self::default());
        (slot.clone(), slot)
    }

    /// The call has returned with these bytes, or without a message. True when they were told early.
    pub(super) fn compare(&self, came: Option<Vec<u8>>) -> bool {
        self.over.store(true, Ordering::SeqCst);
        let answers = self.answers.lock().expect("not poisoned");
        match (&answers[..], came) {
            ([], _) => false,
            ([(abi::STATUS_SUCCESS, length, bytes)], Some(came)) => {
                assert_eq!((*length, bytes), (came.len() as u64, &came));
                ANSWERED.fetch_add(1, Ordering::Relaxed);
                true
            }
            (answers, came) => panic!("the application was told {answers:x?}, its thread {came:x?}"),
        }
    }
}

fn bytes_of(message: &Message) -> Vec<u8> {
    let header: [u8; lpc::HEADER] = message.header.to_bytes();
    [&header, message.tail()].concat()
}

pub(super) fn only_message(came: &Result<Box<Message>, NTSTATUS>) -> Option<Vec<u8>> {
    came.as_ref().ok().map(|message| bytes_of(message))
}

pub(super) fn context_and_message(came: &Result<Received, NTSTATUS>) -> Option<Vec<u8>> {
    let came = came.as_ref().ok()?;
    Some([&came.context.to_le_bytes()[..], &bytes_of(&came.message)].concat())
}

#[test]
fn a_client_that_ends_while_it_is_replied_to_is_told_what_its_thread_finds() {
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    static FOUND: AtomicUsize = AtomicUsize::new(0);
    static ENDED: AtomicUsize = AtomicUsize::new(0);
    on_mock(0..400, 2, |machine| {
        let port = machine.inside(|kernel, _| listening_port(kernel));
        let connected = Arc::new(AtomicBool::new(false));
        let asks = connected.clone();
        machine.spawn("server", move |kernel, thread| {
            let process = kernel.ps.system();
            let asked = with_port(kernel, thread, port, |caller, port| lpc::listen(kernel, caller, port));
            let caller = Caller { thread, process, mode: crate::ke::ProcessorMode::User };
            let accept = Accept { context: 7, view: None };
            let accepted = lpc::accept(kernel, &caller, asked.expect("a client").message, Some(&accept));
            let server = accepted.expect("it waits").expect("is accepted").port;
            let server = process.handles.insert(server, 0).expect("room");
            with_port(kernel, thread, server, |_, port| lpc::complete(kernel, port)).expect("it waits");
            let asked = with_port(kernel, thread, port, |caller, port| {
                lpc::receive(kernel, caller, port, Timeout::At(-10_000_000))
            });
            // One that has gone before has asked nothing, or waits no more.
            if let Ok(Received { message: asked, .. }) = asked {
                let reply = message(asked.header, 9);
                let _gone =
                    with_port(kernel, thread, port, |caller, port| lpc::reply(kernel, caller, port, reply));
            }
            for handle in [server, port] {
                process.handles.close(kernel, process, handle).expect("is open");
            }
        });
        let client = machine.spawn("client", move |kernel, thread| {
            let process = kernel.ps.system();
            let request =
                Connect { qos: QualityOfService::default(), view: None, info: &[], required_server: None };
            let connected =
                with_port(kernel, thread, port, |caller, port| lpc::connect(kernel, caller, port, &request));
            let client = process.handles.insert(connected.expect("accepted").port, 0).expect("room");
            asks.store(true, Ordering::SeqCst);
            let (slot, early) = Slot::new();
            let reply = with_port(kernel, thread, client, |caller, port| {
                let asked = message(Header::default(), 3);
                lpc::request_wait_reply_early(kernel, caller, port, asked, Some(early))
            });
            let counter = match (slot.compare(only_message(&reply)), &reply) {
                (true, _) => &TOLD,
                (false, Ok(_)) => &FOUND,
                (false, Err(status)) => {
                    assert_eq!(*status, abi::STATUS_USER_APC);
                    &ENDED
                }
            };
            counter.fetch_add(1, Ordering::Relaxed);
            process.handles.close(kernel, process, client).expect("is open");
        });
        machine.spawn("end", move |kernel, _| {
            while !connected.load(Ordering::SeqCst) {
                kernel.platform.relax(0);
            }
            kernel.ke.request_termination(kernel, &client);
        });
        machine.join();
        machine.inside(|kernel, _| assert_eq!(kernel.lpc.usage(), lpc::PortUsage::default()));
    });
    for (what, count) in [("told", &TOLD), ("found", &FOUND), ("ended", &ENDED)] {
        assert!(count.load(Ordering::Relaxed) > 0, "no interleaving in which it {what} it");
    }
}
