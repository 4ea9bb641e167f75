//! The same acts by real threads on real ports.

use std::sync::{Arc, Mutex};

use abi::NTSTATUS;
use platform::Parker;

use super::early::{Slot, context_and_message, only_message};
use super::model::{Act, Ended, PARTICIPANTS, Through};
use crate::Kernel;
use crate::ke::tests::{Machine, delay};
use crate::ke::{ProcessorMode, Thread, Timeout, WaitType};
use crate::lpc::{
    self, Accept, Caller, Connect, ConnectOutcome, Copied, Header, Limits, Message, Port, Received,
    ServerBuffer,
};
use crate::ob;
use crate::ps::Process;
use crate::se::QualityOfService;

/// A message as it came, without its data's rest.
type Came = (Header, Vec<u8>, u64);

/// What a participant has done.
enum Outcome {
    Status(NTSTATUS),
    Came(Came),
    Handle(u32),
}

type Command = Box<dyn FnOnce(&Kernel, &Thread) -> Outcome + Send>;

struct Participant {
    parker: Parker,
    command: Mutex<Option<Command>>,
    outcome: Mutex<Option<Outcome>>,
}

pub(super) struct World {
    participants: Vec<(Arc<Participant>, Arc<Thread>)>,
}

/// One history's ports.
pub(super) struct Run<'a> {
    world: &'a World,
    process: Arc<Process>,
    port: u32,
    /// Handles of connections' ends, in the order in which they were asked for.
    clients: Vec<Option<u32>>,
    servers: Vec<Option<u32>>,
    /// As each connection request was received.
    requests: Vec<Option<Header>>,
    /// Who has a call under way that opens such a port.
    opens: [Option<Through>; PARTICIPANTS],
    /// By their numbers: requests as they were received.
    held: Vec<(usize, Header)>,
    /// MessageId and CallbackId of each number of the model.
    numbers: Vec<((u32, u64), usize)>,
    /// MessageIds of requests, by their numbers, before anybody has received them.
    pub(super) given: Vec<(usize, u32)>,
    /// The connection that each participant has asked for last.
    asked: [usize; PARTICIPANTS],
}

fn participate(participant: &Participant, kernel: &Kernel, thread: &Thread) {
    loop {
        kernel.platform.park(&participant.parker, None);
        let command = participant.command.lock().expect("not poisoned").take();
        let Some(command) = command else { return };
        let outcome = command(kernel, thread);
        *participant.outcome.lock().expect("not poisoned") = Some(outcome);
    }
}

impl World {
    pub(super) fn start(machine: &Machine) -> Self {
        let participants = (0..PARTICIPANTS).map(|_| {
            let (parker, command, outcome) = (Parker::new(), Mutex::default(), Mutex::default());
            let participant = Arc::new(Participant { parker, command, outcome });
            let own = participant.clone();
            let thread =
                machine.spawn("participant", move |kernel, thread| participate(&own, kernel, thread));
            (participant, thread)
        });
        Self { participants: participants.collect() }
    }

    pub(super) fn stop(&self, kernel: &Kernel) {
        for (participant, _) in &self.participants {
            kernel.platform.unpark(&participant.parker);
        }
    }

    pub(super) fn begin(&self, kernel: &Kernel, waitable: bool) -> Run<'_> {
        let process = kernel.ps.system().clone();
        let port = if waitable { waitable_port(kernel) } else { listening_port(kernel) };
        Run {
            world: self,
            process,
            port,
            clients: Vec::new(),
            servers: Vec::new(),
            requests: Vec::new(),
            opens: [None; PARTICIPANTS],
            held: Vec::new(),
            numbers: Vec::new(),
            given: Vec::new(),
            asked: [0; PARTICIPANTS],
        }
    }
}

/// A connection port of the system process.
pub(super) fn listening_port(kernel: &Kernel) -> u32 {
    let process = kernel.ps.system();
    let limits = Limits { connection_info: 8, message: 64 };
    let object = lpc::create_port(kernel, process, limits).expect("pool");
    process.handles.insert(object, abi::PORT_ALL_ACCESS).expect("room")
}

/// One that can be waited for.
pub(super) fn waitable_port(kernel: &Kernel) -> u32 {
    let process = kernel.ps.system();
    let limits = Limits { connection_info: 8, message: 64 };
    let object = lpc::create_waitable_port(kernel, process, limits).expect("pool");
    process.handles.insert(object, abi::PORT_ALL_ACCESS).expect("room")
}

/// Runs `body` with a port of the system process, as an application's thread.
pub(super) fn with_port<R>(
    kernel: &Kernel,
    thread: &Thread,
    handle: u32,
    body: impl FnOnce(&Caller<'_>, &Port) -> R,
) -> R {
    let process = kernel.ps.system();
    let object = ob::reference_own(process, handle, Some("Port"), 0).expect("is open");
    let caller = Caller { thread, process, mode: ProcessorMode::User };
    let result = body(&caller, object.body::<Port>().expect("a port"));
    object.dereference(kernel);
    result
}

fn came(message: Result<Box<Message>, NTSTATUS>) -> Outcome {
    received(message.map(|message| Received { message, context: 0 }))
}

fn received(received: Result<Received, NTSTATUS>) -> Outcome {
    match received {
        Ok(Received { message, context }) => {
            let came = (message.header, message.data().to_vec(), context);
            message.recycle();
            Outcome::Came(came)
        }
        Err(status) => Outcome::Status(status),
    }
}

fn status(result: Result<(), NTSTATUS>) -> Outcome {
    Outcome::Status(result.err().unwrap_or(abi::STATUS_SUCCESS))
}

fn connected(kernel: &Kernel, outcome: ConnectOutcome) -> Outcome {
    match outcome {
        Ok(connected) => {
            let inserted = kernel.ps.system().handles.insert(connected.port, 0);
            Outcome::Handle(inserted.expect("room"))
        }
        Err((status, _)) => Outcome::Status(status),
    }
}

pub(super) fn message(header: Header, data: u8) -> Box<Message> {
    let length = u16::try_from(lpc::HEADER + 1).expect("short");
    let header = Header { data_length: 1, total_length: length, ..header };
    Message::with(header, |tail| {
        tail[0] = data;
        Ok::<_, NTSTATUS>(())
    })
    .expect("is filled")
    .expect("fits")
}

impl Run<'_> {
    fn handle(&self, through: Through) -> u32 {
        match through {
            Through::Connection => self.port,
            Through::Server(index) => self.servers[index].expect("is open"),
            Through::Client(index) => self.clients[index].expect("is open"),
        }
    }

    /// Whether a wait for the port ends at once; `None` when it cannot be waited for.
    pub(super) fn is_signaled(&self, kernel: &Kernel, thread: &Thread) -> Option<bool> {
        let (kind, now) = (WaitType::Any, Timeout::At(0));
        let waited = ob::wait_for_handles(kernel, &self.process, thread, &[self.port], kind, false, now);
        match waited {
            abi::STATUS_SUCCESS => Some(true),
            abi::STATUS_TIMEOUT => Some(false),
            abi::STATUS_OBJECT_TYPE_MISMATCH => None,
            other => panic!("{other:?}"),
        }
    }

    fn header_of(&self, to: usize) -> Header {
        self.held.iter().find(|held| held.0 == to).expect("was received").1
    }

    /// Has a participant do something.
    fn command(
        &self,
        kernel: &Kernel,
        who: usize,
        command: impl FnOnce(&Kernel, &Thread) -> Outcome + Send + 'static,
    ) {
        let participant = &self.world.participants[who].0;
        *participant.command.lock().expect("not poisoned") = Some(Box::new(command));
        kernel.platform.unpark(&participant.parker);
    }

    /// Does it, lets all come to rest, and says whose calls have ended, and how.
    pub(super) fn act(
        &mut self,
        kernel: &Kernel,
        thread: &Thread,
        act: Act,
        expected: &[Ended],
    ) -> Vec<Ended> {
        self.begin(kernel, act);
        delay(kernel, thread, 1).expect("running");
        if let Act::Interrupt { who } = act {
            kernel.ke.withdraw_termination(kernel, &self.world.participants[who].1);
        }
        let mut ended = Vec::new();
        for who in 0..PARTICIPANTS {
            let outcome = self.world.participants[who].0.outcome.lock().expect("not poisoned").take();
            if let Some(outcome) = outcome {
                let says = expected.iter().find(|expected| expected.who == who);
                let says = says.and_then(|says| says.message).map_or(usize::MAX, |message| message.4);
                ended.push(self.ended(who, outcome, says));
            }
        }
        ended
    }

    fn begin(&mut self, kernel: &Kernel, act: Act) {
        match act {
            Act::Connect { who, info } => {
                self.clients.push(None);
                self.servers.push(None);
                self.requests.push(None);
                self.asked[who] = self.clients.len() - 1;
                self.opens[who] = Some(Through::Client(self.asked[who]));
                let port = self.port;
                self.command(kernel, who, move |kernel, thread| {
                    let info = [info];
                    let (qos, view) = (QualityOfService::default(), None);
                    let request = Connect { qos, view, info: &info, required_server: None };
                    let outcome = with_port(kernel, thread, port, |caller, port| {
                        lpc::connect(kernel, caller, port, &request)
                    });
                    connected(kernel, outcome)
                });
            }
            Act::Accept { who, connection } => self.accept(kernel, who, connection, true),
            Act::Refuse { who, connection } => self.accept(kernel, who, connection, false),
            Act::Complete { who, connection } => {
                let handle = self.handle(Through::Server(connection));
                self.command(kernel, who, move |kernel, thread| {
                    status(with_port(kernel, thread, handle, |_, port| lpc::complete(kernel, port)))
                });
            }
            Act::Receive { who, through, waits } => {
                let handle = self.handle(through);
                let timeout = if waits { Timeout::Never } else { Timeout::At(0) };
                self.command(kernel, who, move |kernel, thread| {
                    let (slot, early) = Slot::new();
                    let came = with_port(kernel, thread, handle, |caller, port| {
                        lpc::receive_early(kernel, caller, port, timeout, Some(early))
                    });
                    slot.compare(context_and_message(&came));
                    received(came)
                });
            }
            Act::Look { who, through, to } => {
                let (handle, header) = (self.handle(through), self.header_of(to));
                self.command(kernel, who, move |kernel, thread| {
                    let nowhere = ServerBuffer { address: 0, length: 0 };
                    let copied = with_port(kernel, thread, handle, |caller, port| {
                        lpc::copy_request_data(kernel, caller, port, &header, 0, nowhere, Copied::FromClient)
                    });
                    status(copied.map(drop))
                });
            }
            Act::Interrupt { who } => {
                kernel.ke.request_termination(kernel, &self.world.participants[who].1);
            }
            Act::Close { through } => {
                let handle = self.handle(through);
                self.process.handles.close(kernel, &self.process, handle).expect("is open");
            }
            _ => self.begin_transfer(kernel, act),
        }
    }

    /// What a reply to a request would say that is not received yet.
    fn guess(&self, to: usize, asker: usize) -> Header {
        let id = self.given.iter().find(|given| given.0 == to).expect("was made").1;
        Header { client: lpc::ClientId::of(&self.world.participants[asker].1), id, ..Header::default() }
    }

    fn begin_transfer(&self, kernel: &Kernel, act: Act) {
        let (who, through, header, data) = match act {
            Act::Guess { who, through, to, asker, data } => (who, through, self.guess(to, asker), data),
            Act::Send { who, through, data } | Act::Ask { who, through, data } => {
                (who, through, Header::default(), data)
            }
            Act::Reply { who, through, to, data, .. } | Act::ReplyWait { who, through, to, data } => {
                (who, through, self.header_of(to), data)
            }
            Act::CallBack { who, through, to, data } => {
                (who, through, Header { kind: abi::LPC_REQUEST, ..self.header_of(to) }, data)
            }
            _ => return,
        };
        let handle = self.handle(through);
        let message = message(header, data);
        self.command(kernel, who, move |kernel, thread| {
            with_port(kernel, thread, handle, |caller, port| match act {
                Act::Send { .. } => status(lpc::request(kernel, caller, port, message)),
                Act::Ask { .. } | Act::CallBack { .. } => {
                    let (slot, early) = Slot::new();
                    let reply = lpc::request_wait_reply_early(kernel, caller, port, message, Some(early));
                    slot.compare(only_message(&reply));
                    came(reply)
                }
                Act::Reply { receives: true, .. } => {
                    let (slot, early) = Slot::new();
                    let never = Timeout::Never;
                    let came =
                        lpc::reply_wait_receive_early(kernel, caller, port, message, never, Some(early));
                    slot.compare(context_and_message(&came));
                    received(came)
                }
                Act::Reply { .. } | Act::Guess { .. } => status(lpc::reply(kernel, caller, port, message)),
                _ => came(lpc::reply_wait_reply(kernel, caller, port, message)),
            })
        });
    }

    fn accept(&mut self, kernel: &Kernel, who: usize, connection: usize, accepts: bool) {
        if accepts {
            self.opens[who] = Some(Through::Server(connection));
        }
        // Whoever has not received it guesses, and is told that there is none such.
        let header = self.requests[connection].unwrap_or_default();
        let client = if header.id == 0 { 4 } else { header.client.process };
        let header = Header { client: lpc::ClientId { process: client, ..header.client }, ..header };
        let answer = message(header, 0);
        self.command(kernel, who, move |kernel, thread| {
            let process = kernel.ps.system();
            let caller = Caller { thread, process, mode: ProcessorMode::User };
            let accept = Accept { context: connection as u64 + 1, view: None };
            match lpc::accept(kernel, &caller, answer, accepts.then_some(&accept)) {
                Ok(Some(accepted)) => {
                    Outcome::Handle(process.handles.insert(accepted.port, 0).expect("room"))
                }
                Ok(None) => Outcome::Status(abi::STATUS_SUCCESS),
                Err(status) => Outcome::Status(status),
            }
        });
    }

    fn ended(&mut self, who: usize, outcome: Outcome, says: usize) -> Ended {
        let opened = self.opens[who].take();
        match outcome {
            Outcome::Status(status) => Ended { who, status: status.bits(), message: None },
            Outcome::Handle(handle) => {
                match opened {
                    Some(Through::Client(index)) => self.clients[index] = Some(handle),
                    Some(Through::Server(index)) => self.servers[index] = Some(handle),
                    _ => panic!("nobody has asked for a port"),
                }
                Ended { who, status: 0, message: None }
            }
            Outcome::Came((header, data, context)) => self.came(who, header, &data, context, says),
        }
    }

    /// A message, in the model's terms.
    fn came(&mut self, who: usize, header: Header, data: &[u8], context: u64, says: usize) -> Ended {
        let threads = self.world.participants.iter().map(|(_, thread)| u64::from(thread.id.0));
        let from = threads.take_while(|id| *id != header.client.thread).count();
        let kind = header.kind;
        let number = self.number_of(&header, says);
        if kind == abi::LPC_CONNECTION_REQUEST {
            self.requests[self.asked[from]] = Some(header);
        }
        if kind == abi::LPC_REQUEST {
            self.held.push((number, header));
        }
        let data = data.first().copied().unwrap_or(0);
        Ended { who, status: 0, message: Some((kind, from, data, context, number)) }
    }

    /// The model's number of a message. The first time it is what the model says, unless another message has that.
    fn number_of(&mut self, header: &Header, says: usize) -> usize {
        let key = (header.id, header.view_or_callback);
        if header.kind == abi::LPC_PORT_CLOSED {
            return 0;
        }
        if let Some(bound) = self.numbers.iter().find(|bound| bound.0 == key) {
            return bound.1;
        }
        if self.numbers.iter().any(|bound| bound.1 == says) {
            return usize::MAX;
        }
        self.numbers.push((key, says));
        says
    }
}
