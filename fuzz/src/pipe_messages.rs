//! The target `pipe_messages`: what an application asks of named pipes. The input is a list of deeds (pipes with any parameters,
//! opens, reads, writes, any file system control with any buffers in the window, any information, cancels, closes); the machine is a real
//! one with its own file system of pipes. Whatever is asked, the machine runs on, a pair of another application's exchanges a message
//! as ever, and when the application has ended, pool is as before.

use std::sync::{Mutex, OnceLock, PoisonError};

use arbitrary::Arbitrary;
use gate::{CreateFile, Handle, Memory, NamedPipe, Notice, SharedMemory, SystemCall, Transport};
use host::{Machine, Process, TagUsage};

use crate::deeds;

/// Deeds of one input.
const MAX_DEEDS: usize = 64;
/// Bytes of the application's memory; status blocks are in its front.
const ROOM: u32 = 1 << 14;
const BLOCKS: u32 = 1024;
const NAMES: [&str; 6] = [
    r"\??\pipe\A",
    r"\??\pipe\a\b",
    r"\Device\NamedPipe\A",
    r"\??\pipe",
    r"\??\pipe\",
    r"\Device\NamedPipe\\",
];

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Bytes {
    at: u16,
    length: Length,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Length {
    Short(u8),
    Any(u32),
}

#[derive(Arbitrary, Debug)]
enum Deed<'a> {
    Create {
        name: u8,
        words: [u32; 9],
        sound: bool,
        timeout: i64,
    },
    Open {
        name: u8,
        access: u32,
        disposition: u8,
    },
    Read {
        handle: u8,
        bytes: Bytes,
    },
    Write {
        handle: u8,
        bytes: Bytes,
    },
    Control {
        handle: u8,
        code: Code,
        input: Bytes,
        output: Bytes,
    },
    Query {
        handle: u8,
        class: u8,
        room: u8,
    },
    Set {
        handle: u8,
        class: u8,
        data: &'a [u8],
    },
    Fill {
        at: u16,
        bytes: &'a [u8],
    },
    /// A FILE_PIPE_WAIT_FOR_BUFFER, which is rarely met by chance.
    FillWait {
        timeout: i64,
        length: u32,
        specified: u8,
        name: u8,
    },
    Cancel {
        handle: u8,
    },
    Close {
        handle: u8,
    },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Code {
    /// FSCTL_PIPE_*: function and method.
    Pipe(u8, u8),
    Peek,
    Listen,
    Disconnect,
    Transceive,
    Wait,
    Any(u32),
}

impl Code {
    fn value(self) -> u32 {
        match self {
            Self::Pipe(function, method) => {
                0x11 << 16 | 3 << 14 | u32::from(function % 20) << 2 | u32::from(method % 4)
            }
            Self::Peek => abi::FSCTL_PIPE_PEEK,
            Self::Listen => abi::FSCTL_PIPE_LISTEN,
            Self::Disconnect => abi::FSCTL_PIPE_DISCONNECT,
            Self::Transceive => abi::FSCTL_PIPE_TRANSCEIVE,
            Self::Wait => abi::FSCTL_PIPE_WAIT,
            Self::Any(code) => code,
        }
    }
}

type Usage = Vec<(String, u32, TagUsage)>;

struct Fixture {
    machine: Machine,
    /// Pool in use when no application is there but the honest one.
    idle: Usage,
    honest: Process,
    ends: [Handle; 2],
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

fn open(process: &Process, name: &[u16], access: u32, disposition: u32, options: u32) -> Option<Handle> {
    let request = CreateFile {
        path: name,
        desired_access: access,
        file_attributes: 0,
        share_access: 3,
        create_disposition: disposition,
        create_options: options,
        security_qos: None,
    };
    process.create_file(&request).ok().map(|(handle, _)| handle)
}

fn create(process: &Process, name: &[u16], pipe: NamedPipe) -> Option<Handle> {
    let reply =
        process.system_call(&SystemCall::CreateNamedPipeFile { name, pipe, descriptor: &[] }, &mut []);
    reply.status.is_success().then_some(reply.handle)
}

impl Fixture {
    fn new() -> Self {
        let machine = Machine::new().expect("a machine");
        let honest = machine.process("honest");
        let access = abi::GENERIC_READ | abi::GENERIC_WRITE | abi::SYNCHRONIZE;
        let options = abi::FILE_SYNCHRONOUS_IO_NONALERT;
        let name = wide(r"\??\pipe\Honest");
        let pipe = NamedPipe {
            desired_access: access,
            share_access: 3,
            create_disposition: abi::FILE_CREATE,
            create_options: options,
            maximum_instances: 1,
            inbound_quota: 64,
            outbound_quota: 64,
            default_timeout: -1,
            ..NamedPipe::default()
        };
        let server = create(&honest, &name, pipe).expect("is made");
        let client = open(&honest, &name, access, abi::FILE_OPEN, options).expect("listens");
        let mut fixture = Self { machine, idle: Vec::new(), honest, ends: [server, client] };
        fixture.session(&[]);
        fixture.is_answered();
        fixture.idle = fixture.usage();
        fixture
    }

    fn usage(&self) -> Usage {
        let mut usage = self.machine.pool_usage();
        usage.retain(|(owner, _, usage)| usage.blocks > 0 && owner == "Npfs");
        usage.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        usage
    }

    fn is_answered(&self) {
        for (from, to) in [(0, 1), (1, 0)] {
            assert_eq!(self.honest.write(self.ends[from], b"undaunted", None).information, 9);
            let mut buffer = [0; 16];
            assert_eq!(self.honest.read(self.ends[to], &mut buffer, None).information, 9);
            assert_eq!(&buffer[..9], b"undaunted");
        }
    }

    fn run(&self, deeds: &[Deed<'_>]) {
        self.session(deeds);
        if let Some(report) = self.machine.bugcheck() {
            panic!("an application stopped the machine: {report}");
        }
        self.is_answered();
        assert_eq!(self.usage(), self.idle, "something of an application stays");
    }

    fn session(&self, deeds: &[Deed<'_>]) {
        let process = self.machine.process("hostile");
        let mut memory = process.allocate_memory(ROOM).expect("memory");
        let mut handles = Vec::new();
        for (number, deed) in (0..).zip(deeds) {
            does(&process, &mut *memory, &mut handles, number, deed);
        }
        drop(process);
    }
}

fn memory_of(memory: &dyn SharedMemory, bytes: Bytes) -> Memory {
    let length = match bytes.length {
        Length::Short(length) => length.into(),
        Length::Any(length) => length,
    };
    Memory { address: memory.address() + u64::from(BLOCKS + u32::from(bytes.at) % (ROOM - BLOCKS)), length }
}

fn does(
    process: &Process,
    memory: &mut dyn SharedMemory,
    handles: &mut Vec<Handle>,
    number: u32,
    deed: &Deed<'_>,
) {
    let block = memory.address() + u64::from(number * 16 % BLOCKS);
    let notice = Notice { io_status_block: block, ..Notice::default() };
    let of = |which: u8| handles.get(usize::from(which) % handles.len().max(1)).copied().unwrap_or(Handle(0));
    let name = |which: u8| wide(NAMES[usize::from(which) % NAMES.len()]);
    let call = |call: SystemCall<'_>| {
        let _any_answer = process.system_call(&call, &mut [0; 64]);
    };
    match *deed {
        Deed::Create { name: which, words, sound, timeout } => {
            let [access, share, disposition, pipe_type, read_mode, completion, instances, inbound, outbound] =
                words;
            let mut pipe = NamedPipe {
                desired_access: access,
                share_access: share,
                create_disposition: disposition,
                create_options: 0,
                pipe_type,
                read_mode,
                completion_mode: completion,
                maximum_instances: instances,
                inbound_quota: inbound,
                outbound_quota: outbound,
                default_timeout: timeout,
            };
            if sound {
                pipe.desired_access = abi::GENERIC_READ | abi::GENERIC_WRITE;
                (pipe.share_access, pipe.create_disposition) = (3, abi::FILE_OPEN_IF);
                (pipe.pipe_type, pipe.read_mode, pipe.completion_mode) = (pipe_type & 1, 0, completion & 1);
                (pipe.inbound_quota, pipe.outbound_quota) = (inbound % 64, outbound % 64);
                (pipe.maximum_instances, pipe.default_timeout) = (4, -1);
            }
            handles.extend(create(process, &name(which), pipe));
        }
        Deed::Open { name: which, access, disposition } => {
            handles.extend(open(process, &name(which), access, u32::from(disposition % 7), 0));
        }
        Deed::Read { handle, bytes } => {
            let (handle, buffer) = (of(handle), memory_of(memory, bytes));
            call(SystemCall::Read { handle, buffer, offset: Some(0), notice });
        }
        Deed::Write { handle, bytes } => {
            let (handle, buffer) = (of(handle), memory_of(memory, bytes));
            call(SystemCall::Write { handle, buffer, offset: Some(0), notice });
        }
        Deed::Control { handle, code, input, output } => {
            let (input, output) = (memory_of(memory, input), memory_of(memory, output));
            call(SystemCall::FsControl { handle: of(handle), code: code.value(), input, output, notice });
        }
        Deed::Query { handle, class, room } => {
            let call = SystemCall::QueryInformationFile { handle: of(handle), class: class.into() };
            let _any = process.system_call(&call, &mut vec![0; room.into()]);
        }
        Deed::Set { handle, class, data } => {
            let data = &data[..data.len().min(SystemCall::MOST_INFORMATION)];
            call(SystemCall::SetInformationFile { handle: of(handle), class: class.into(), data });
        }
        Deed::Fill { at, bytes } => {
            let at = BLOCKS + u32::from(at) % (ROOM - BLOCKS);
            let room = (ROOM - at) as usize;
            memory.write(at, &bytes[..bytes.len().min(room)]);
        }
        Deed::FillWait { timeout, length, specified, name: which } => {
            let name: Vec<u8> = name(which).iter().skip(9).flat_map(|unit| unit.to_le_bytes()).collect();
            let fitting = u32::try_from(name.len()).unwrap_or(0);
            let length = if length % 4 == 0 { length } else { fitting };
            memory.write(BLOCKS, &timeout.to_le_bytes());
            memory.write(BLOCKS + 8, &length.to_le_bytes());
            memory.write(BLOCKS + 12, &[specified, 0]);
            memory.write(BLOCKS + 14, &name);
        }
        Deed::Cancel { handle } => {
            call(SystemCall::CancelIoFileEx { handle: of(handle), io_status_block: 0 })
        }
        Deed::Close { handle } => {
            if !handles.is_empty() {
                process.close(handles.swap_remove(usize::from(handle) % handles.len()));
            }
        }
    }
}

/// Does the deeds that `bytes` are. With RINGBRIDGE_FUZZ_SHOW set, prints them first.
///
/// # Panics
/// When another application, the machine or pool suffers from them.
pub fn run(bytes: &[u8]) {
    static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
    let deeds: Vec<Deed<'_>> = deeds::read(bytes, MAX_DEEDS);
    let fixture = FIXTURE.get_or_init(|| Mutex::new(Fixture::new()));
    fixture.lock().unwrap_or_else(PoisonError::into_inner).run(&deeds);
}
