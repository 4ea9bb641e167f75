//! The application that serves the others: named pipes and an LPC port that answer, the guard whom `verdict` asks, and somebody
//! whom `consult` consults.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use abi::{LPC_CONNECTION_REQUEST, LPC_PORT_CLOSED, LPC_REQUEST};
use app::lpc::{Message, Port};
use app::{Event, EventKind, NamedPipe, NamedPipeOptions, PipeWait, SecurityQos, Transport};
use gate::Client;
use sample_applications::{consult, verdict};

/// The pipe of the application that serves.
pub(crate) const PIPE: &str = r"\\.\pipe\AllChannels";
/// Its LPC port.
pub(crate) const PORT: &str = r"\BaseNamedObjects\AllChannels";
/// Instances of the pipe.
const INSTANCES: u32 = 6;
/// What ends an instance, or the port's thread.
const STOP: &[u8] = b"stop";
/// Longest message through the pipe, in bytes.
pub(crate) const LONGEST: usize = 8192;
/// Milliseconds that the guard may take, on a busy machine.
const GUARDS_PATIENCE: u32 = 60_000;

/// What the servers answer: every byte inverted.
pub(crate) fn answer(question: &[u8]) -> Vec<u8> {
    question.iter().map(|byte| !byte).collect()
}

/// Serves from `ready` until `wait` returns.
pub(crate) fn serve(client: &Client, ready: impl FnOnce(), wait: impl FnOnce()) {
    let stop = Event::new(client, EventKind::ManualReset, false).expect("is made");
    let stopping = &AtomicBool::new(false);
    let guard = verdict::guard(client, GUARDS_PATIENCE).expect("is the only one");
    let port = Port::create(client, PORT, 0, 256).expect("is the only one");
    let pipes: Vec<_> = (0..INSTANCES)
        .map(|_| {
            let options = NamedPipeOptions::new().messages(true).read_messages(true);
            options.max_instances(INSTANCES).create(client, PIPE).expect("room")
        })
        .collect();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| verdict::answer_until(client, &guard, &stop, verdict::decide));
        }
        scope.spawn(|| serve_port(client, &port));
        for pipe in &pipes {
            scope.spawn(move || serve_pipe(pipe));
        }
        scope.spawn(move || be_consulted(stopping));
        ready();
        wait();
        stopping.store(true, Ordering::Relaxed);
        stop.set().expect("is set");
        for _ in 0..INSTANCES {
            let mut nothing = [0; STOP.len()];
            NamedPipe::call(client, PIPE, STOP, &mut nothing, PipeWait::Forever).expect("ends one");
        }
        let own = Port::connect(client, PORT, SecurityQos::default(), None, b"").expect("connects");
        own.port.request_wait_reply(&Message::new(STOP)).expect("ends it");
    });
}

/// One client after another: each message is answered, until the client has gone.
fn serve_pipe(pipe: &NamedPipe<'_>) {
    let mut room = vec![0; LONGEST];
    loop {
        match pipe.connect() {
            Ok(()) => {}
            Err(error) if error.code == abi::ERROR_PIPE_CONNECTED => {}
            // It has come and gone.
            Err(error) if error.code == abi::ERROR_NO_DATA => {}
            Err(error) => panic!("ConnectNamedPipe: {error}"),
        }
        let mut stopped = false;
        while let Ok(length) = pipe.read(&mut room) {
            let question = &room[..length as usize];
            stopped |= question == STOP;
            if pipe.write(&answer(question)).is_err() {
                break;
            }
        }
        if stopped {
            return;
        }
        pipe.disconnect().expect("it was connected");
    }
}

/// Answers every request of every client.
fn serve_port<'a>(transport: &'a dyn Transport, port: &Port<'a>) {
    let mut clients = HashMap::new();
    let mut next = 1_u64;
    loop {
        let Some(received) = port.receive(None).expect("the port is open") else { continue };
        let message = &received.message;
        match message.kind() {
            LPC_CONNECTION_REQUEST => {
                // Whoever was killed meanwhile is not accepted.
                if let Ok(accepted) = Port::accept(transport, message, next, None, b"") {
                    let _killed = accepted.port.complete();
                    clients.insert(next, accepted);
                }
                next += 1;
            }
            LPC_REQUEST => {
                // Killed while it waits for the answer.
                let _killed = port.reply(&message.reply(&answer(message.data())));
                if message.data() == STOP {
                    return;
                }
            }
            LPC_PORT_CLOSED => drop(clients.remove(&received.context)),
            other => panic!("a message of kind {other}"),
        }
    }
}

/// The whole sample again and again, with a session of its own: the driver consults one application at a time.
fn be_consulted(stopping: &AtomicBool) {
    let transport: Arc<dyn Transport> =
        Arc::new(ringbridge_scenarios::application().expect("plays the application"));
    let mut first: Option<Vec<String>> = None;
    while !stopping.load(Ordering::Relaxed) {
        let mut said = Vec::new();
        match consult::run(transport.clone(), &mut |line| said.push(line.to_owned())) {
            Ok(()) => {}
            // The driver has as many clients as it takes.
            Err(error) if error.to_string().contains("NtConnectPort") => continue,
            Err(error) => panic!("consult: {error}, after {said:?}"),
        }
        let expected = first.get_or_insert_with(|| said.clone());
        assert_eq!(*expected, said);
    }
}
