//! Histories of connections, chosen by a seed, against a model that says in a page what must come of them: statuses, bytes and calls of
//! the filter after each step, and what is left in the end.

mod model;
mod races;

use std::sync::{Arc, Mutex, PoisonError};

use model::{Model, Sent, Step, Told};

use super::{Message, close_client_port, connect, create_communication_port, register_filter, send_message};
use crate::flt::PortRoutines;
use crate::io::{self, Cancelled, Control, DriverImage, Notice};
use crate::ke::tests::{Machine, delay, on_mock};
use crate::ke::{Thread, Timeout};
use crate::mm::UserBuffer;
use crate::ps::Process;
use crate::raw::DispatcherHeader;
use crate::{Kernel, ps, raw};

/// Histories of one machine, and machines.
const HISTORIES: u64 = 100;
const MACHINES: u64 = 100;
/// Steps of a history at most.
const STEPS: usize = 24;
const PORT: &str = r"\Model";
/// Connections of a history, senders, and requests for messages of each connection.
const CONNECTIONS: usize = 4;
const SENDERS: usize = 3;
const RECEIVERS: usize = 3;
/// Bytes of a message, and of a reply.
const LONGEST: u32 = 48;
/// Of a receiver: its status block, then its buffer.
const BLOCK: u64 = 16;
const ROOM: u64 = 96;
const UNTOUCHED: u32 = 0x1234_5678;

/// What the filter's callbacks use: the index of the next connection, then pointers to connections, then how often each has ended.
#[derive(Clone, Copy)]
struct Board(u64);

impl Board {
    fn next(self) -> u64 {
        self.0
    }

    fn pointer(self, connection: usize) -> u64 {
        self.0 + 8 + connection as u64 * 8
    }

    fn ends(self, connection: usize) -> u64 {
        self.pointer(CONNECTIONS) + connection as u64 * 8
    }
}

extern "win64" fn driver_entry(object: u64, _path: u64) -> u32 {
    // FLT_REGISTRATION of version 0x203 without anything.
    Kernel::with_current(|kernel, _| {
        let block = kernel.mm.pool.allocate_zeroed(112, 1, crate::mm::PoolOwner(1)).expect("pool").address;
        raw::write(block, 0x0203_0070_u32).expect("writable");
        register_filter(kernel, object, block).expect("no exception").expect("is the first");
    });
    0
}

extern "win64" fn connected(client: u64, board: u64, _context: u64, _length: u32, cookie: u64) -> u32 {
    let board = Board(board);
    let index: u64 = raw::read(board.next()).expect("readable");
    let index = usize::try_from(index).expect("small");
    raw::write(board.pointer(index), client).expect("writable");
    raw::write(cookie, board.ends(index)).expect("writable");
    0
}

extern "win64" fn disconnected(cookie: u64) {
    raw::fetch_add(cookie, 1).expect("writable");
}

extern "win64" fn message(_: u64, input: u64, length: u32, output: u64, room: u32, returned: u64) -> u32 {
    let count = length.min(room);
    raw::copy_within(output, input, count as usize).expect("in the window");
    raw::write(returned, count).expect("writable");
    0
}

/// A job of a sender's thread.
struct Job {
    pointer: u64,
    length: u32,
    fill: u8,
    room: Option<u32>,
    timeout: Timeout,
}

#[derive(Default)]
struct Desk {
    job: Option<Job>,
    sent: Option<Sent>,
    over: bool,
}

/// A thread that sends what it is told to.
struct Sender {
    desk: Arc<Mutex<Desk>>,
    /// It has something to do.
    event: DispatcherHeader,
}

impl Sender {
    fn start(machine: &Machine) -> Self {
        let event = machine.event(abi::SynchronizationEvent, false);
        let (data, reply) = (machine.allocate(LONGEST as usize), machine.allocate(LONGEST as usize));
        let desk = Arc::<Mutex<Desk>>::default();
        let own = desk.clone();
        machine.spawn("sender", move |kernel, thread| {
            loop {
                crate::ke::tests::wait(kernel, thread, event.address(), Timeout::Never).expect("running");
                let job = {
                    let mut desk = own.lock().unwrap_or_else(PoisonError::into_inner);
                    if desk.over {
                        return;
                    }
                    desk.job.take().expect("there is a job")
                };
                raw::fill(data, job.fill, LONGEST as usize).expect("writable");
                raw::fill(reply, 0xA5, LONGEST as usize).expect("writable");
                let message = Message {
                    data: (data, job.length),
                    reply: job.room.map(|room| (reply, room)),
                    timeout: job.timeout,
                };
                let (status, replied) =
                    send_message(kernel, thread, job.pointer, message).expect("no exception");
                let mut bytes = vec![0; LONGEST as usize];
                raw::copy_from(&mut bytes, reply).expect("readable");
                own.lock().unwrap_or_else(PoisonError::into_inner).sent =
                    Some(Sent { status, replied, bytes });
            }
        });
        Self { desk, event }
    }

    fn desk(&self) -> std::sync::MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The room under test.
struct Real {
    process: Arc<Process>,
    board: Board,
    senders: Vec<Sender>,
    handles: Vec<u32>,
    /// By connection.
    receivers: Vec<Vec<UserBuffer>>,
    other: UserBuffer,
}

impl Real {
    fn control(&self, kernel: &Kernel, handle: u32, code: u32, buffers: [(u64, u32); 2], block: u64) -> u32 {
        let [input, output] = buffers;
        let control = Control { handle: handle.into(), code, input, output };
        let notice = Notice { io_status_block: block, ..Notice::default() };
        let start =
            |thread: &Thread| io::start_device_control(kernel, &self.process, thread, &control, notice);
        ps::inside(kernel, &self.process, start).expect("running").bits()
    }

    /// Does a step; what is told at once.
    fn step(&mut self, kernel: &Kernel, step: &Step) -> Told {
        match *step {
            Step::Connect => {
                let index = self.handles.len();
                raw::write(self.board.next(), index as u64).expect("writable");
                raw::write(self.board.ends(index), 0_u64).expect("writable");
                let name: Vec<u16> = PORT.encode_utf16().collect();
                let connect = |_: &Thread| connect(kernel, &self.process, &name, 0, &[]);
                match ps::inside(kernel, &self.process, connect).expect("running") {
                    Ok(handle) => {
                        self.handles.push(handle);
                        Told::Status(abi::STATUS_SUCCESS.bits())
                    }
                    Err(status) => Told::Status(status.bits()),
                }
            }
            Step::CloseHandle { connection } => {
                let close =
                    |_: &Thread| self.process.handles.close(kernel, &self.process, self.handles[connection]);
                ps::inside(kernel, &self.process, close).expect("running").expect("is open");
                Told::Nothing
            }
            Step::CloseClient { connection } => {
                close_client_port(kernel, self.board.pointer(connection)).expect("no exception");
                Told::Nothing
            }
            Step::Send { sender, connection, length, fill, room, timeout } => {
                // Between two steps, so that it is clear which comes first.
                let timeout =
                    timeout.map_or(Timeout::Never, |time| Timeout::At(-(i64::from(time) * 10_000 + 5_000)));
                let pointer = self.board.pointer(connection);
                let sender = &self.senders[sender];
                sender.desk().job = Some(Job { pointer, length, fill, room, timeout });
                kernel.ke.set_event(kernel, sender.event, 0).expect("writable");
                Told::Nothing
            }
            Step::Get { connection, receiver, room } => {
                let at = self.receivers[connection][receiver].address();
                raw::write(at, UNTOUCHED).expect("its own memory");
                raw::fill(at + BLOCK, 0, usize::try_from(ROOM - BLOCK).expect("small"))
                    .expect("its own memory");
                let buffers = [(0, 0), (at + BLOCK, room)];
                Told::Status(self.control(
                    kernel,
                    self.handles[connection],
                    abi::FILTER_PORT_GET_MESSAGE,
                    buffers,
                    at,
                ))
            }
            Step::Cancel { connection, receiver } => {
                let which = Cancelled::Request(self.receivers[connection][receiver].address());
                let cancel = |thread: &Thread| {
                    io::cancel_io_file(kernel, &self.process, thread, self.handles[connection], which)
                };
                Told::Status(ps::inside(kernel, &self.process, cancel).expect("running").bits())
            }
            Step::Reply { connection, id, length, fill } => {
                let (at, from) = (self.other.address(), self.other.address() + BLOCK);
                raw::fill(from, fill, usize::try_from(ROOM - BLOCK).expect("small")).expect("its own memory");
                raw::write(from + 8, id).expect("its own memory");
                let buffers = [(from, length), (0, 0)];
                Told::Status(self.control(
                    kernel,
                    self.handles[connection],
                    abi::FILTER_PORT_REPLY_MESSAGE,
                    buffers,
                    at,
                ))
            }
            Step::Message { connection, length, room } => {
                let (at, from) = (self.other.address(), self.other.address() + BLOCK);
                let buffers = [(from, length), (from + 40, room)];
                let code = abi::FILTER_PORT_SEND_MESSAGE;
                let status = self.control(kernel, self.handles[connection], code, buffers, at);
                let count = if status == 0 { raw::read(at + 8).expect("its own memory") } else { 0_u64 };
                Told::Count(status, count)
            }
            Step::Wait => Told::Nothing,
        }
    }

    /// The status of a request for a message; `None` while it goes on.
    fn received(&self, connection: usize, receiver: usize) -> (Option<u32>, u64, u64, Vec<u8>) {
        let at = self.receivers[connection][receiver].address();
        let status: u32 = raw::read(at).expect("its own memory");
        let information = raw::read(at + 8).expect("its own memory");
        let mut message = vec![0; usize::try_from(ROOM - BLOCK).expect("small")];
        raw::copy_from(&mut message, at + BLOCK).expect("its own memory");
        let id = u64::from_le_bytes(message[8..16].try_into().expect("eight bytes"));
        ((status != UNTOUCHED).then_some(status), information, id, message)
    }

    fn compare(&self, model: &mut Model, said: &str) {
        for (index, sender) in self.senders.iter().enumerate() {
            let sent = sender.desk().sent.take();
            model.check_sender(index, sent, said);
        }
        for (connection, receivers) in self.receivers.iter().enumerate().take(self.handles.len()) {
            for receiver in 0..receivers.len() {
                if model.awaits(connection, receiver) {
                    let (status, length, id, message) = self.received(connection, receiver);
                    model.check_receiver((connection, receiver), (status, length, id, &message), said);
                }
            }
            let ends = raw::read::<u64>(self.board.ends(connection)).expect("readable");
            assert_eq!(ends, model.ends(connection), "{said}: ends of connection {connection}");
        }
    }

    /// One history from its seed, and its end.
    fn history(&mut self, kernel: &Kernel, thread: &Thread, seed: u64) {
        let mut model = Model::new(seed);
        self.handles.clear();
        let mut steps = Vec::new();
        let end = STEPS + 64;
        for number in 0..end {
            let Some(step) = (if number < STEPS { model.choose() } else { model.wind_up() }) else { break };
            steps.push(step.clone());
            let told = self.step(kernel, &step);
            delay(kernel, thread, 1).expect("running");
            let said = format!("seed {seed}, after {steps:?}");
            model.apply(&step, &told, &said);
            self.compare(&mut model, &said);
        }
        assert!(model.is_over(), "seed {seed}: it does not end: {steps:?}");
        let filters = kernel.flt.filters().clone();
        let made: Vec<_> = kernel.ob.made_by(filters[0].body::<super::filter::Filter>().expect("one").driver);
        assert_eq!(made.len(), 2, "seed {seed}: more than the filter and its port: {made:?}");
        let blocks = |tag: u32| {
            let usage = kernel.mm.pool.usage().into_iter().filter(|(_, of, _)| *of == tag);
            usage.map(|(.., usage)| usage.blocks).sum::<usize>()
        };
        assert_eq!(blocks(super::TAG), 2, "seed {seed}: blocks");
        assert_eq!(blocks(u32::from_le_bytes(*b"FMev")), 0, "seed {seed}: events");
        assert!(!self.process.has_requests(), "seed {seed}: requests");
        assert_eq!(self.process.handles.values().len(), 0, "seed {seed}: handles");
    }
}

fn load(machine: &Machine, board: Board) {
    machine.inside(move |kernel, _| {
        let image = DriverImage {
            entry: driver_entry as *const () as u64,
            range: 0..0,
            file_name: "model.sys".to_owned(),
            keep: Box::new(()),
        };
        io::load_driver(kernel, "model", image).expect("loads");
        let filter = kernel.flt.filters()[0].address;
        let name: Vec<u16> = PORT.encode_utf16().collect();
        let routines = PortRoutines {
            cookie: board.0,
            connect: connected as *const () as u64,
            disconnect: disconnected as *const () as u64,
            message: message as *const () as u64,
            maximum: model::MAXIMUM,
        };
        let made = create_communication_port(kernel, filter, &name, None, routines);
        made.expect("no exception").expect("is new");
    });
}

fn histories(machine: &Machine, first: u64) {
    let board = Board(machine.allocate(8 + CONNECTIONS * 16));
    load(machine, board);
    let process = machine.ps.create("application");
    let buffer = || UserBuffer::new(&process.user_space, 96).expect("room");
    let receivers = (0..CONNECTIONS).map(|_| (0..RECEIVERS).map(|_| buffer()).collect()).collect();
    let (other, senders) = (buffer(), (0..SENDERS).map(|_| Sender::start(machine)).collect());
    let mut real = Real { process: process.clone(), board, senders, handles: Vec::new(), receivers, other };
    machine.spawn("histories", move |kernel, thread| {
        for seed in first..first + HISTORIES {
            real.history(kernel, thread, seed);
        }
        for sender in &real.senders {
            sender.desk().over = true;
            kernel.ke.set_event(kernel, sender.event, 0).expect("writable");
        }
    });
    machine.join();
}

#[test]
fn ten_thousand_histories_go_as_the_model_says() {
    for run in 0..MACHINES {
        on_mock(run..run + 1, 1, move |machine| histories(machine, run * HISTORIES));
    }
}
