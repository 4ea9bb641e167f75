//! The target `filter_messages`: what an application can ask of a filter's port. The input is a list of deeds: connecting with any
//! context, asking for messages into memory of any kind, replies of any bytes, messages, cancelling, closing, and opens that have the
//! driver `verdict` ask. Whatever comes, the machine stays up, every call is answered, and nothing of a filter, a port, a connection or
//! a file is left that was not there before.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use arbitrary::Arbitrary;
use gate::{CreateFile, Handle, Memory, Notice, SharedMemory, SystemCall, Transport};
use host::{LoadOptions, Machine, Process, TagUsage};

use crate::deeds;

/// Deeds of one input.
const MAX_DEEDS: usize = 32;
/// Bytes of the application's memory.
const ROOM: u32 = 8192;
/// Where status blocks are in it; buffers are before that.
const BLOCKS: u32 = ROOM - 1024;
/// Opens of one input: each may wait for the guard's time.
const MAX_OPENS: usize = 3;
/// What of pool must be as before; the rest are packets that the machine keeps for the next request.
const TAGS: [&[u8; 4]; 5] = [b"FMfl", b"FMev", b"FMsd", b"Verd", b"File"];

/// Where a buffer lies.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Place {
    Own(u16),
    Beyond(u16),
    Nowhere,
    Kernel,
    Anywhere(u64),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Length {
    Short(u8),
    Any(u32),
}

#[derive(Arbitrary, Debug)]
enum Deed<'a> {
    Connect { name: u8, options: u8, patience: u8, context: &'a [u8], sound: bool },
    Get { port: u8, place: Place, length: Length, block: u8 },
    Reply { port: u8, id: Id, data: &'a [u8] },
    ReplyFrom { port: u8, place: Place, length: Length },
    Send { port: u8, input: &'a [u8], output: u8 },
    SendFrom { port: u8, input: (Place, Length), output: (Place, Length), block: u8 },
    Control { port: u8, code: u16, input: &'a [u8] },
    Cancel { port: u8 },
    Close { port: u8 },
    Open { name: u8 },
    Unload { name: u8 },
}

/// Which message is replied to.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Id {
    /// What stands where a message may have been brought to.
    Brought(u16),
    Any(u64),
}

type Usage = Vec<(u32, TagUsage)>;

struct Fixture {
    machine: Machine,
    idle: Usage,
}

/// What an input has.
struct Application<'a> {
    process: &'a Process,
    memory: Box<dyn SharedMemory>,
    ports: Vec<Handle>,
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

const PORTS: [&str; 5] = [r"\Verdict", r"\verdict", r"\Device\Verdict", r"\None", ""];
const NAMES: [&str; 4] = [r"\a", r"\b.exe", "", r"\deep\down"];
const FILTERS: [&str; 3] = ["none", "", r"a\b"];

impl Application<'_> {
    fn port(&self, port: u8) -> Handle {
        self.ports.get(usize::from(port) % self.ports.len().max(1)).copied().unwrap_or(Handle(port.into()))
    }

    fn bytes(&self, place: Place, length: Length) -> Memory {
        let own = self.memory.address();
        let address = match place {
            Place::Own(at) => own + u64::from(at) % u64::from(BLOCKS),
            Place::Beyond(at) => own + u64::from(ROOM) + (u64::from(at) << 12),
            Place::Nowhere => 0,
            Place::Kernel => 0x5100_0000_0000,
            Place::Anywhere(address) => address,
        };
        let length = match length {
            Length::Short(length) => length.into(),
            Length::Any(length) => length,
        };
        Memory { address, length }
    }

    fn control(&self, port: u8, code: u32, input: Memory, output: Memory, block: u8) {
        let at = BLOCKS + u32::from(block % 64) * 16;
        let notice = Notice { io_status_block: self.memory.address() + u64::from(at), ..Notice::default() };
        let call = SystemCall::DeviceControl { handle: self.port(port), code, input, output, notice };
        self.process.system_call(&call, &mut []);
    }

    fn does(&mut self, deed: &Deed<'_>) {
        match *deed {
            Deed::Connect { name, options, patience, context, sound } => {
                let patience = (1 + u32::from(patience % 3)).to_le_bytes();
                // An unsound one may be a guard that takes its time, too, if it is four bytes.
                let context = if sound || context.len() == 4 { &patience[..] } else { context };
                let name = wide(PORTS[if sound { 0 } else { usize::from(name) % PORTS.len() }]);
                let options = if sound { 0 } else { options.into() };
                let call = SystemCall::FilterConnectCommunicationPort { name: &name, options, context };
                let reply = self.process.system_call(&call, &mut []);
                if reply.status.is_success() {
                    self.ports.push(reply.handle);
                }
            }
            Deed::Get { port, place, length, block } => {
                let output = self.bytes(place, length);
                // A synchronous handle would wait for ever.
                if !self.ports.is_empty() {
                    self.control(port, abi::FILTER_PORT_GET_MESSAGE, Memory::default(), output, block);
                }
            }
            Deed::Reply { port, id, data } => {
                let mut reply = vec![0; 16];
                match id {
                    Id::Brought(at) => self.memory.read(8 + u32::from(at) % (BLOCKS - 16), &mut reply[8..]),
                    Id::Any(id) => reply[8..].copy_from_slice(&id.to_le_bytes()),
                }
                reply.extend_from_slice(data);
                self.process.device_control(self.port(port), abi::FILTER_PORT_REPLY_MESSAGE, &reply, &mut []);
            }
            Deed::ReplyFrom { port, place, length } => {
                let input = self.bytes(place, length);
                self.control(port, abi::FILTER_PORT_REPLY_MESSAGE, input, Memory::default(), 0);
            }
            Deed::Send { port, input, output } => {
                let mut room = vec![0; output.into()];
                self.process.device_control(self.port(port), abi::FILTER_PORT_SEND_MESSAGE, input, &mut room);
            }
            Deed::SendFrom { port, input, output, block } => {
                let (input, output) = (self.bytes(input.0, input.1), self.bytes(output.0, output.1));
                self.control(port, abi::FILTER_PORT_SEND_MESSAGE, input, output, block);
            }
            Deed::Control { port, code, input } => {
                let code = abi::FILTER_PORT_GET_MESSAGE & 0xFFFF_0000 | u32::from(code);
                if code != abi::FILTER_PORT_GET_MESSAGE {
                    self.process.device_control(self.port(port), code, input, &mut [0; 32]);
                }
            }
            Deed::Cancel { port } => {
                let call = SystemCall::CancelIoFileEx { handle: self.port(port), io_status_block: 0 };
                self.process.system_call(&call, &mut []);
            }
            Deed::Close { port } => {
                if !self.ports.is_empty() {
                    let port = self.ports.swap_remove(usize::from(port) % self.ports.len());
                    self.process.close(port);
                }
            }
            Deed::Open { .. } => {}
            Deed::Unload { name } => {
                let name = wide(FILTERS[usize::from(name) % FILTERS.len()]);
                self.process.system_call(&SystemCall::FilterUnload { name: &name }, &mut []);
            }
        }
    }
}

/// Has the driver ask.
fn open(process: &Process, name: u8) {
    let path = wide(&format!(r"\??\Verdict{}", NAMES[usize::from(name) % NAMES.len()]));
    let request = CreateFile {
        path: &path,
        desired_access: abi::GENERIC_READ,
        file_attributes: 0,
        share_access: 0,
        create_disposition: abi::FILE_OPEN,
        create_options: 0,
        security_qos: None,
    };
    if let Ok((handle, _)) = process.create_file(&request) {
        process.close(handle);
    }
}

impl Fixture {
    fn new() -> Self {
        let machine = Machine::new().expect("a machine");
        let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/sys"));
        let drivers = std::env::var_os("RINGBRIDGE_SYS_DIR").map_or_else(default, PathBuf::from);
        let loaded = machine.load(&drivers.join("verdict.sys"), LoadOptions::default());
        loaded.unwrap_or_else(|error| panic!("verdict.sys (`cargo xtask sys` builds it): {error}"));
        let mut fixture = Self { machine, idle: Vec::new() };
        fixture.session(&[]);
        fixture.idle = fixture.usage();
        fixture
    }

    fn usage(&self) -> Usage {
        let is_kept = |tag: u32| TAGS.iter().any(|kept| u32::from_le_bytes(**kept) == tag);
        let usage = self.machine.pool_usage().into_iter();
        let mut usage: Usage = usage
            .filter(|(_, tag, usage)| is_kept(*tag) && usage.blocks > 0)
            .map(|(_, tag, usage)| (tag, usage))
            .collect();
        usage.sort_by_key(|(tag, _)| *tag);
        usage
    }

    fn session(&self, deeds: &[Deed<'_>]) {
        let process = self.machine.process("application");
        let other = self.machine.process("opener");
        let memory = process.allocate_memory(ROOM).expect("memory");
        let mut application = Application { process: &process, memory, ports: Vec::new() };
        thread::scope(|scope| {
            let mut opens = 0;
            for deed in deeds {
                if let Deed::Open { name } = *deed
                    && opens < MAX_OPENS
                {
                    opens += 1;
                    let other = &other;
                    scope.spawn(move || open(other, name));
                }
                application.does(deed);
            }
        });
        let Application { memory, .. } = application;
        process.end();
        other.end();
        drop(memory);
        assert_eq!(
            (process.open_handles(), other.open_handles()),
            (0, 0),
            "handles of an application that has ended"
        );
        if let Some(report) = self.machine.bugcheck() {
            panic!("an application stopped the machine: {report}");
        }
    }

    fn run(&self, deeds: &[Deed<'_>]) {
        self.session(deeds);
        let usage = self.usage();
        assert_eq!(usage, self.idle, "something of an application stays");
    }
}

/// Does the deeds that `bytes` are. With RINGBRIDGE_FUZZ_SHOW set, prints them first.
///
/// # Panics
/// When the machine or pool suffers from them.
pub fn run(bytes: &[u8]) {
    static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
    let deeds: Vec<Deed<'_>> = deeds::read(bytes, MAX_DEEDS);
    let fixture = FIXTURE.get_or_init(|| Mutex::new(Fixture::new()));
    fixture.lock().unwrap_or_else(PoisonError::into_inner).run(&deeds);
}
