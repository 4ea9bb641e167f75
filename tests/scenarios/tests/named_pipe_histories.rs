//! Named pipes against a model: what the pages of CreateNamedPipe and its kin say of one instance, in a page of plain code. Random
//! histories of a server and its clients, on the deterministic platform; after each step every status, every byte, and what still waits are
//! compared.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use abi::NTSTATUS;
use gate::{CreateFile, Handle, Memory, NamedPipe, Notice, SharedMemory, SystemCall, Transport};
use host::{Configuration, Machine, Process, UnloadOutcome};
use platform::Mock;

/// Histories of a run.
const HISTORIES: u64 = 12_000;
const STEPS: u32 = 24;
/// Bytes of an IO_STATUS_BLOCK, which stands before the data.
const BLOCK: u32 = 16;
const SERVER: usize = 0;
const CLIENT: usize = 1;

struct Random(u64);

impl Random {
    fn below(&mut self, count: u32) -> u32 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        u32::try_from((word ^ word >> 31) >> 33).unwrap_or(0) % count
    }
}

/// How a request has ended: its status, and the bytes that it has read, or how many it has written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    status: NTSTATUS,
    bytes: Vec<u8>,
    count: usize,
}

fn failed(status: NTSTATUS) -> End {
    End { status, bytes: Vec::new(), count: 0 }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Disconnected,
    Listening,
    Connected,
    Closed(usize),
}

/// What is under way in one direction.
#[derive(Default)]
struct Way {
    /// Messages, or stretches of bytes, that were taken.
    sent: VecDeque<Vec<u8>>,
    /// Reads that wait: request and room.
    reads: VecDeque<(u32, usize)>,
    /// Writes that wait: request, rest, and all of its length.
    writes: VecDeque<(u32, Vec<u8>, usize)>,
}

struct Model {
    messages: bool,
    quota: usize,
    phase: Phase,
    /// Whether an end reads messages.
    modes: [bool; 2],
    /// By the end that writes.
    ways: [Way; 2],
    listens: VecDeque<u32>,
    ends: BTreeMap<u32, End>,
}

impl Model {
    fn refusal(&self, end: usize) -> Option<NTSTATUS> {
        match self.phase {
            Phase::Disconnected => Some(abi::STATUS_PIPE_DISCONNECTED),
            Phase::Listening => Some(abi::STATUS_PIPE_LISTENING),
            Phase::Closed(gone) => (gone == end).then_some(abi::STATUS_PIPE_DISCONNECTED),
            Phase::Connected => None,
        }
    }

    /// What a read with so much room gets of `sent`.
    fn take(sent: &mut VecDeque<Vec<u8>>, room: usize, by_messages: bool) -> End {
        let (mut bytes, mut status) = (Vec::new(), abi::STATUS_SUCCESS);
        while let Some(first) = sent.front_mut() {
            if first.is_empty() && !bytes.is_empty() {
                break;
            }
            let ends = first.is_empty() || by_messages;
            let part: Vec<u8> = first.drain(..first.len().min(room - bytes.len())).collect();
            bytes.extend(part);
            if !first.is_empty() {
                status = if by_messages { abi::STATUS_BUFFER_OVERFLOW } else { status };
                break;
            }
            sent.pop_front();
            if ends {
                break;
            }
        }
        End { status, count: bytes.len(), bytes }
    }

    fn send(&mut self, writer: usize, data: Vec<u8>) {
        let sent = &mut self.ways[writer].sent;
        match sent.back_mut() {
            Some(last) if !self.messages && !last.is_empty() && !data.is_empty() => last.extend(data),
            _ => sent.push_back(data),
        }
    }

    /// Lets go on what can.
    fn settle(&mut self, writer: usize) {
        loop {
            let by_messages = self.modes[1 - writer];
            let way = &mut self.ways[writer];
            let used: usize = way.sent.iter().map(Vec::len).sum();
            if let Some(&(read, room)) = way.reads.front() {
                if !way.sent.is_empty() {
                    let end = Self::take(&mut way.sent, room, by_messages);
                    way.reads.pop_front();
                    self.ends.insert(read, end);
                    continue;
                }
                if let Some((write, rest, length)) = way.writes.front_mut() {
                    let mut only = VecDeque::from([std::mem::take(rest)]);
                    let end = Self::take(&mut only, room, by_messages);
                    way.reads.pop_front();
                    self.ends.insert(read, end);
                    match only.pop_front() {
                        Some(left) => *rest = left,
                        None => {
                            let end = End { count: *length, ..failed(abi::STATUS_SUCCESS) };
                            self.ends.insert(*write, end);
                            way.writes.pop_front();
                        }
                    }
                    continue;
                }
                if self.phase == Phase::Closed(writer) {
                    way.reads.pop_front();
                    self.ends.insert(read, failed(abi::STATUS_PIPE_BROKEN));
                    continue;
                }
            }
            if way.writes.front().is_some_and(|(_, rest, _)| used + rest.len() <= self.quota) {
                let (write, rest, length) = way.writes.pop_front().expect("looked at");
                self.ends.insert(write, End { count: length, ..failed(abi::STATUS_SUCCESS) });
                self.send(writer, rest);
                continue;
            }
            break;
        }
    }

    fn fail_all(&mut self, writer: usize, reads: Option<NTSTATUS>, writes: Option<NTSTATUS>) {
        let way = &mut self.ways[writer];
        if let Some(status) = reads {
            self.ends.extend(way.reads.drain(..).map(|(id, _)| (id, failed(status))));
        }
        if let Some(status) = writes {
            self.ends.extend(way.writes.drain(..).map(|(id, ..)| (id, failed(status))));
        }
    }

    fn write(&mut self, id: u32, end: usize, data: &[u8]) {
        let refusal = self.refusal(end);
        let closing = (self.phase != Phase::Connected).then_some(abi::STATUS_PIPE_CLOSING);
        if let Some(status) = refusal.or(closing) {
            self.ends.insert(id, failed(status));
            return;
        }
        self.ways[end].writes.push_back((id, data.to_vec(), data.len()));
        self.settle(end);
    }

    fn read(&mut self, id: u32, end: usize, room: usize) {
        if let Some(status) = self.refusal(end) {
            self.ends.insert(id, failed(status));
            return;
        }
        self.ways[1 - end].reads.push_back((id, room));
        self.settle(1 - end);
    }

    fn listen(&mut self, id: u32) {
        match self.phase {
            Phase::Connected => drop(self.ends.insert(id, failed(abi::STATUS_PIPE_CONNECTED))),
            Phase::Closed(_) => drop(self.ends.insert(id, failed(abi::STATUS_PIPE_CLOSING))),
            Phase::Disconnected | Phase::Listening => {
                self.phase = Phase::Listening;
                self.listens.push_back(id);
            }
        }
    }

    fn open(&mut self) -> Option<NTSTATUS> {
        if self.phase != Phase::Listening {
            return Some(abi::STATUS_PIPE_NOT_AVAILABLE);
        }
        self.phase = Phase::Connected;
        self.modes[CLIENT] = false;
        self.ends.extend(self.listens.drain(..).map(|id| (id, failed(abi::STATUS_SUCCESS))));
        None
    }

    fn disconnect(&mut self) -> NTSTATUS {
        if self.phase == Phase::Disconnected {
            return abi::STATUS_PIPE_DISCONNECTED;
        }
        self.phase = Phase::Disconnected;
        let gone = abi::STATUS_PIPE_DISCONNECTED;
        self.ends.extend(self.listens.drain(..).map(|id| (id, failed(gone))));
        for writer in [SERVER, CLIENT] {
            self.ways[writer].sent.clear();
            self.fail_all(writer, Some(gone), Some(gone));
        }
        abi::STATUS_SUCCESS
    }

    /// The client closes its end, of this connection.
    fn close_client(&mut self) {
        if self.phase != Phase::Connected {
            return;
        }
        self.phase = Phase::Closed(CLIENT);
        self.ways[SERVER].sent.clear();
        self.fail_all(SERVER, Some(abi::STATUS_CANCELLED), Some(abi::STATUS_PIPE_CLOSING));
        // A server that waits may get the front of what the client's writes bring that wait, before they are cancelled.
        self.settle(CLIENT);
        self.fail_all(CLIENT, None, Some(abi::STATUS_CANCELLED));
        self.settle(CLIENT);
    }

    fn cancel(&mut self, id: u32) -> bool {
        let mut found = false;
        let mut keep = |other: u32| {
            found |= other == id;
            other != id
        };
        self.listens.retain(|other| keep(*other));
        for way in &mut self.ways {
            way.reads.retain(|(other, _)| keep(*other));
            way.writes.retain(|(other, ..)| keep(*other));
        }
        if found {
            self.ends.insert(id, failed(abi::STATUS_CANCELLED));
            // What waited behind it.
            self.settle(SERVER);
            self.settle(CLIENT);
        }
        found
    }

    /// Status, bytes available, those of the first message, and what is shown of it.
    fn peek(&self, end: usize, room: usize) -> (NTSTATUS, u32, u32, Vec<u8>) {
        let nothing = |status| (status, 0, 0, Vec::new());
        let refusal = match self.refusal(end) {
            Some(abi::STATUS_PIPE_LISTENING) => Some(abi::STATUS_INVALID_PIPE_STATE),
            refusal => refusal,
        };
        if let Some(status) = refusal {
            return nothing(status);
        }
        let way = &self.ways[1 - end];
        let waiting = way.writes.iter().map(|(_, rest, _)| rest);
        let all: Vec<&Vec<u8>> = way.sent.iter().chain(waiting).collect();
        if all.is_empty() && self.phase == Phase::Closed(1 - end) {
            return nothing(abi::STATUS_PIPE_BROKEN);
        }
        let total: usize = all.iter().map(|part| part.len()).sum();
        let first = if self.messages { all.first().map_or(0, |first| first.len()) } else { total };
        let shown: Vec<u8> = all.iter().flat_map(|part| part.iter().copied()).take(first.min(room)).collect();
        let status = if first > room { abi::STATUS_BUFFER_OVERFLOW } else { abi::STATUS_SUCCESS };
        let number = |value: usize| u32::try_from(value).expect("small");
        (status, number(total), if self.messages { number(first) } else { 0 }, shown)
    }
}

/// A request of the real pipe: where its status block and its data are.
struct Request {
    memory: Box<dyn SharedMemory>,
    reads: bool,
    handle: Handle,
    refused: Option<NTSTATUS>,
}

struct Real<'a> {
    process: &'a Process,
    path: Vec<u16>,
    requests: BTreeMap<u32, Request>,
}

impl Real<'_> {
    fn create(&self, messages: bool, quota: u32) -> Handle {
        let pipe = NamedPipe {
            desired_access: abi::GENERIC_READ | abi::GENERIC_WRITE | abi::SYNCHRONIZE,
            share_access: abi::FILE_SHARE_READ | abi::FILE_SHARE_WRITE,
            create_disposition: abi::FILE_CREATE,
            pipe_type: u32::from(messages),
            maximum_instances: 1,
            inbound_quota: quota,
            outbound_quota: quota,
            default_timeout: -1,
            ..NamedPipe::default()
        };
        let call = SystemCall::CreateNamedPipeFile { name: &self.path, pipe, descriptor: &[] };
        let reply = self.process.system_call(&call, &mut []);
        assert_eq!(reply.status, abi::STATUS_SUCCESS);
        reply.handle
    }

    fn open(&self) -> Result<Handle, NTSTATUS> {
        let request = CreateFile {
            path: &self.path,
            desired_access: abi::GENERIC_READ | abi::GENERIC_WRITE | abi::SYNCHRONIZE,
            file_attributes: 0,
            share_access: 0,
            create_disposition: abi::FILE_OPEN,
            create_options: 0,
            security_qos: None,
        };
        self.process.create_file(&request).map(|(handle, _)| handle)
    }

    fn begin(
        &mut self,
        id: u32,
        handle: Handle,
        length: u32,
        data: &[u8],
        call: impl FnOnce(Memory, Notice) -> SystemCall<'static>,
    ) {
        let mut memory = self.process.allocate_memory(BLOCK + length.max(1)).expect("memory");
        memory.write(0, &abi::STATUS_PENDING.bits().to_le_bytes());
        memory.write(BLOCK, data);
        let notice = Notice { io_status_block: memory.address(), ..Notice::default() };
        let place = Memory { address: memory.address() + u64::from(BLOCK), length };
        let call = call(place, notice);
        let reads = matches!(call, SystemCall::Read { .. });
        let status = self.process.system_call(&call, &mut []).status;
        let refused = status.is_error().then_some(status);
        self.requests.insert(id, Request { memory, reads, handle, refused });
    }

    fn end(&self, id: u32) -> Option<End> {
        let Request { memory, reads, refused, .. } = &self.requests[&id];
        if let Some(status) = refused {
            return Some(failed(*status));
        }
        let status = NTSTATUS::from_bits(memory.load(0));
        if status == abi::STATUS_PENDING {
            return None;
        }
        let mut word = [0; 8];
        memory.read(8, &mut word);
        let count = usize::try_from(u64::from_le_bytes(word)).expect("small");
        let mut bytes = vec![0; if *reads { count } else { 0 }];
        memory.read(BLOCK, &mut bytes);
        Some(End { status, bytes, count })
    }

    fn fs_control(&self, handle: Handle, code: u32, output: &mut [u8]) -> (NTSTATUS, usize) {
        let length = u32::try_from(output.len()).expect("small");
        let memory = self.process.allocate_memory(BLOCK + length.max(1)).expect("memory");
        let notice = Notice { io_status_block: memory.address(), ..Notice::default() };
        let place = Memory { address: memory.address() + u64::from(BLOCK), length };
        let input = Memory { length: 0, ..place };
        let call = SystemCall::FsControl { handle, code, input, output: place, notice };
        let status = self.process.system_call(&call, &mut []).status;
        let mut word = [0; 8];
        memory.read(8, &mut word);
        let count =
            if status.is_error() { 0 } else { usize::try_from(u64::from_le_bytes(word)).expect("small") };
        memory.read(BLOCK, &mut output[..count]);
        (status, count)
    }
}

/// One history. Its clients may be stale: of a connection that the server has ended.
fn history(process: &Process, seed: u64) {
    let mut random = Random(seed);
    let (messages, quota) = (random.below(2) == 1, random.below(12));
    let path = format!(r"\??\pipe\H{seed}").encode_utf16().collect();
    let mut real = Real { process, path, requests: BTreeMap::new() };
    let server = real.create(messages, quota);
    let mut model = Model {
        messages,
        quota: quota as usize,
        phase: Phase::Listening,
        modes: [false; 2],
        ways: [Way::default(), Way::default()],
        listens: VecDeque::new(),
        ends: BTreeMap::new(),
    };
    let (mut client, mut stale) = (None, Vec::new());
    for step in 0..STEPS {
        let told = format!("seed {seed}, step {step}");
        let end = random.below(2) as usize;
        let handle = if end == SERVER { Some(server) } else { client };
        match (random.below(16), handle) {
            (0, _) => {
                model.listen(step);
                real.begin(step, server, 0, &[], |place, notice| SystemCall::FsControl {
                    handle: server,
                    code: abi::FSCTL_PIPE_LISTEN,
                    input: place,
                    output: place,
                    notice,
                });
            }
            (1 | 2, _) => match (real.open(), model.open()) {
                (Ok(handle), None) => stale.extend(client.replace(handle)),
                (opened, expected) => assert_eq!(opened.err(), expected, "{told}: open"),
            },
            (3, _) if random.below(2) == 0 => {
                let (status, _) = real.fs_control(server, abi::FSCTL_PIPE_DISCONNECT, &mut []);
                assert_eq!(status, model.disconnect(), "{told}: disconnect");
                stale.extend(client.take());
            }
            (4, _) if client.is_some() && random.below(2) == 0 => {
                model.close_client();
                process.close(client.take().expect("looked at"));
            }
            (5, _) if !stale.is_empty() => {
                // Whatever one of an ended connection does, or its end, is nothing to the next.
                let old: Handle = stale[0];
                let written = process.write(old, b"x", Some(0)).status;
                assert_eq!(written, abi::STATUS_PIPE_DISCONNECTED, "{told}: stale");
                process.close(stale.remove(0));
            }
            (6, Some(handle)) if messages => {
                let wanted = random.below(2) == 1;
                let data = [u32::from(wanted), 0].map(u32::to_le_bytes).concat();
                let class = abi::FilePipeInformation;
                let call = SystemCall::SetInformationFile { handle, class, data: &data };
                assert_eq!(process.system_call(&call, &mut []).status, abi::STATUS_SUCCESS, "{told}: mode");
                model.modes[end] = wanted;
            }
            (7, Some(handle)) => {
                let room = random.below(10) as usize;
                let mut output = vec![0; 16 + room];
                let (status, count) = real.fs_control(handle, abi::FSCTL_PIPE_PEEK, &mut output);
                let word =
                    |index: usize| u32::from_le_bytes(*output[index * 4..].first_chunk().expect("a header"));
                let peeked = (status, word(1), word(3), output[16..count.max(16)].to_vec());
                assert_eq!(peeked, model.peek(end, room), "{told}: peek");
            }
            (8, _) => {
                let waiting: Vec<u32> =
                    real.requests.keys().copied().filter(|id| !model.ends.contains_key(id)).collect();
                if !waiting.is_empty() {
                    let id = waiting[random.below(u32::try_from(waiting.len()).expect("few")) as usize];
                    assert!(model.cancel(id), "{told}: it waits");
                    let Request { memory, handle, .. } = &real.requests[&id];
                    let (handle, io_status_block) = (*handle, memory.address());
                    let call = SystemCall::CancelIoFileEx { handle, io_status_block };
                    let status = process.system_call(&call, &mut []).status;
                    assert_eq!(status, abi::STATUS_SUCCESS, "{told}: cancel");
                }
            }
            (9..=12, Some(handle)) => {
                let length = random.below(9);
                let data: Vec<u8> =
                    (0..length).map(|at| u8::try_from((step * 9 + at) % 256).expect("a byte")).collect();
                model.write(step, end, &data);
                real.begin(step, handle, length, &data, |buffer, notice| SystemCall::Write {
                    handle,
                    buffer,
                    offset: Some(0),
                    notice,
                });
            }
            (_, Some(handle)) => {
                let room = random.below(9);
                model.read(step, end, room as usize);
                real.begin(step, handle, room, &[], |buffer, notice| SystemCall::Read {
                    handle,
                    buffer,
                    offset: Some(0),
                    notice,
                });
            }
            _ => {}
        }
        for id in real.requests.keys() {
            let waits = "waits";
            let (is, should) = (real.end(*id), model.ends.get(id).cloned());
            assert_eq!(is, should, "{told}: request {id} (none {waits})");
        }
    }
    for handle in stale.into_iter().chain(client).chain([server]) {
        assert_eq!(process.close(handle), abi::STATUS_SUCCESS);
    }
    for id in real.requests.keys() {
        assert!(real.end(*id).is_some(), "seed {seed}: request {id} outlives its pipe");
    }
}

fn first_seed() -> u64 {
    std::env::var("RINGBRIDGE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0)
}

#[test]
fn every_history_of_a_pipe_goes_as_the_model_says() {
    let started = Instant::now();
    let mock = Mock::new(1).with_step_limit(u64::MAX);
    let inner = mock.clone();
    let root = move || {
        let machine = Machine::with(Arc::new(inner), Configuration::default()).expect("a machine");
        let process = machine.process("application");
        let first = first_seed();
        history(&process, first);
        let before = machine.pool_usage();
        for seed in first..first + HISTORIES {
            history(&process, seed);
        }
        assert_eq!(process.open_handles(), 0);
        let of_driver = |usage: Vec<(String, u32, host::TagUsage)>| -> Vec<_> {
            usage.into_iter().filter(|(owner, ..)| owner == "Npfs").collect()
        };
        assert_eq!(of_driver(machine.pool_usage()), of_driver(before), "what the driver has in pool");
        let Ok(UnloadOutcome::Unloaded(report)) = machine.unload("Npfs") else { panic!("a file is open") };
        assert!(report.is_clean(), "{report:?}");
    };
    mock.run(root).unwrap_or_else(|error| panic!("{error}"));
    println!("{HISTORIES} histories in {:?}", started.elapsed());
}
