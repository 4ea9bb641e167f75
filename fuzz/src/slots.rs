//! The target `slots`: what another process can write into the memory that it shares with the host. The input is a list of
//! deeds (requests with any field, words anywhere in the slots, bells at any moment, threads asked for); the host is a real
//! one, with the samples' `.sys` files. Whatever is written, another session is answered as ever, the same session is too on
//! a slot that was left alone (unless the host has ended it), the session ends when its application does, and pool is then as
//! before.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use gate::hostile::{Hostile, RawRequest};
use gate::{Client, Handle, Transport};
use host::{Configuration, CreateFile, LoadOptions, Machine, Server, TagUsage};
use platform::linux::Linux;

use crate::deeds;

/// Deeds of one input.
const MAX_DEEDS: usize = 48;
/// Slots 1 to this are written to; the next one is left alone.
const SLOTS: u32 = 6;
const PING: u32 = SLOTS + 1;
const POOL: usize = 32 << 20;
const DRIVERS: [&str; 3] = ["hello", "pipe", "buffers"];
/// hello.sys's echo.
const ECHO: u32 = 0x22_2000;
/// How long what must happen at once may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long an input waits for an answer that may never come, since drivers may let requests wait.
const GLANCE: Duration = Duration::from_millis(2);

/// Where a request says that its data lies.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Place {
    Nowhere,
    Front,
    Rest(u16),
    Data(u32),
    OtherSlot(u8, u16),
    Anywhere(u64),
}

#[derive(Arbitrary, Debug)]
enum Deed<'a> {
    Activate {
        slot: u8,
        strange: bool,
    },
    Open {
        slot: u8,
        name: u8,
    },
    Request {
        slot: u8,
        operation: u8,
        handle: u8,
        code: Code,
        input: (Place, u32),
        output: (Place, u32),
        rest: (u64, u32),
    },
    Scribble {
        slot: u8,
        word: u16,
        value: u32,
    },
    Ring {
        slot: u8,
        number: u32,
    },
    Fill {
        at: u32,
        bytes: &'a [u8],
    },
    FillSlot {
        slot: u8,
        at: u16,
        bytes: &'a [u8],
    },
    Await {
        slot: u8,
    },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Code {
    /// One that a driver knows: function 0x800 and some, with a method.
    Known(u8, u8),
    Any(u32),
}

/// Pool in use: owner, tag, how much.
type Usage = Vec<(String, u32, TagUsage)>;

struct Fixture {
    machine: Machine,
    server: Server,
    honest: Client,
    device: Handle,
    /// Pool in use when nobody but the honest one is there.
    idle: Usage,
    _folder: Folder,
}

/// A folder for the socket, removed in the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // In /tmp, where it harms nobody.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

fn open(client: &Client, path: &str) -> Handle {
    let path: Vec<u16> = path.encode_utf16().collect();
    let request = CreateFile {
        path: &path,
        desired_access: abi::GENERIC_READ | abi::GENERIC_WRITE,
        file_attributes: 0,
        share_access: 0,
        create_disposition: abi::FILE_OPEN,
        create_options: abi::FILE_SYNCHRONOUS_IO_NONALERT,
        security_qos: None,
    };
    client.create_file(&request).expect("the device opens").0
}

impl Fixture {
    fn new() -> Self {
        let configuration = Configuration { pool_limit: POOL, ..Configuration::default() };
        let machine = Machine::with(std::sync::Arc::new(Linux::new()), configuration).expect("a machine");
        let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/sys"));
        let drivers = std::env::var_os("RINGBRIDGE_SYS_DIR").map_or_else(default, PathBuf::from);
        for name in DRIVERS {
            let loaded = machine.load(&drivers.join(format!("{name}.sys")), LoadOptions::default());
            loaded.unwrap_or_else(|error| panic!("{name}.sys (`cargo xtask sys` builds it): {error}"));
        }
        let folder = std::env::temp_dir().join(format!("ringbridge-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let server = machine.serve(&folder.join("gate")).expect("serves");
        let honest = Hostile::honest(server.path()).expect("connects");
        let device = open(&honest, r"\??\My_Device");
        let mut fixture = Self { machine, server, honest, device, idle: Vec::new(), _folder: Folder(folder) };
        // From now on threads and processes keep what they keep.
        fixture.session(&[]);
        fixture.idle = fixture.settled();
        fixture
    }

    fn usage(&self) -> Usage {
        let mut usage = self.machine.pool_usage();
        usage.retain(|(.., usage)| usage.blocks > 0);
        usage.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        usage
    }

    /// Has the drivers that keep what was written last keep nothing.
    fn forget_writes(&self) {
        let buffers = open(&self.honest, r"\??\Buffers");
        for handle in [self.device, buffers] {
            assert_eq!(self.honest.write(handle, b"", None).status, abi::STATUS_SUCCESS, "an empty write");
        }
        assert_eq!(self.honest.close(buffers), abi::STATUS_SUCCESS);
    }

    /// Pool in use when no thread is on its way out any more.
    fn settled(&self) -> Usage {
        loop {
            let usage = self.usage();
            std::thread::sleep(Duration::from_millis(100));
            if usage == self.usage() {
                return usage;
            }
        }
    }

    fn run(&self, deeds: &[Deed<'_>]) {
        self.session(deeds);
        // A thread of the host gives its own things back on its way out, after its session has ended.
        let start = Instant::now();
        while self.usage() != self.idle {
            let (idle, usage) = (&self.idle, self.usage());
            assert!(start.elapsed() < PATIENCE, "something of an application stays: {idle:?}, now {usage:?}");
            std::thread::yield_now();
        }
    }

    /// A session that does these deeds, from its beginning to its end.
    fn session(&self, deeds: &[Deed<'_>]) {
        let mut hostile = Hostile::connect(self.server.path()).expect("connects");
        hostile.activate(PING);
        for deed in deeds {
            does(&mut hostile, deed);
        }
        self.is_answered();
        if hostile.is_connected() {
            hostile.request(PING, &RawRequest { operation: u32::MAX, ..RawRequest::default() });
            match hostile.answer(PING, PATIENCE) {
                Some((status, ..)) => assert_eq!(status, abi::STATUS_NOT_IMPLEMENTED),
                None => assert!(!hostile.is_connected(), "a slot that was left alone is not served any more"),
            }
        }
        drop(hostile);
        let start = Instant::now();
        while self.server.sessions() != 1 {
            assert!(start.elapsed() < PATIENCE, "the session does not end");
            std::thread::yield_now();
        }
        self.is_answered();
        if let Some(report) = self.machine.bugcheck() {
            panic!("an application stopped the machine: {report}");
        }
        self.forget_writes();
    }

    fn is_answered(&self) {
        let mut output = [0; 9];
        let result = self.honest.device_control(self.device, ECHO, b"undaunted", &mut output);
        assert_eq!((result.status, &output), (abi::STATUS_SUCCESS, b"undaunted"));
    }
}

fn offset(hostile: &Hostile, slot: u32, place: Place) -> u64 {
    let data = hostile.data();
    match place {
        Place::Nowhere => 0,
        Place::Front => Hostile::front(slot),
        Place::Rest(at) => Hostile::rest(slot) + u64::from(at % 0x2000),
        Place::Data(at) => data.start + u64::from(at % 0x10_0000),
        Place::OtherSlot(other, at) => Hostile::front(u32::from(other)) + u64::from(at % 0x2000),
        Place::Anywhere(offset) => offset,
    }
}

/// Operations that there are and some that are not. To end a slot's thread is allowed; to unload a driver is an
/// administrator's right, which would end the fixture.
const OPERATIONS: [u32; 14] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 32, 34, 35, 36];
const NAMES: [&str; 5] =
    [r"\??\My_Device", r"\??\Example\A", r"\??\Example\b", r"\??\Buffers", r"\Device\None"];

fn does(hostile: &mut Hostile, deed: &Deed<'_>) {
    let own = |slot: u8| 1 + u32::from(slot) % SLOTS;
    match *deed {
        Deed::Activate { slot, strange: true } => hostile.activate(u32::from(slot) << 8 | u32::from(slot)),
        Deed::Activate { slot, strange: false } => hostile.activate(own(slot)),
        Deed::Open { slot, name } => {
            let slot = own(slot);
            let words = [abi::GENERIC_READ | abi::GENERIC_WRITE, 0, 0, abi::FILE_OPEN, 0x20, 0];
            let mut input: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let name = NAMES[usize::from(name) % NAMES.len()];
            input.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
            hostile.fill(Hostile::rest(slot), &input);
            let input_length = u32::try_from(input.len()).unwrap_or_default();
            let input_offset = Hostile::rest(slot);
            hostile.request(
                slot,
                &RawRequest { operation: 1, input_offset, input_length, ..RawRequest::default() },
            );
            hostile.answer(slot, GLANCE);
        }
        Deed::Request { slot, operation, handle, code, input, output, rest } => {
            let slot = own(slot);
            let request = RawRequest {
                operation: OPERATIONS[usize::from(operation) % OPERATIONS.len()],
                handle: u32::from(handle) & !0x83,
                code: match code {
                    Code::Known(function, method) => {
                        0x22 << 16 | (0x800 + u32::from(function % 8)) << 2 | u32::from(method % 4)
                    }
                    Code::Any(code) => code,
                },
                input_offset: offset(hostile, slot, input.0),
                input_length: input.1,
                output_offset: offset(hostile, slot, output.0),
                output_length: output.1,
                file_offset: rest.0,
                flags: rest.1,
            };
            hostile.request(slot, &request);
        }
        Deed::Scribble { slot, word, value } => hostile.scribble(own(slot), u32::from(word) % 2048, value),
        Deed::Ring { slot, number } => hostile.ring(own(slot), number),
        Deed::Fill { at, bytes } => hostile.fill(hostile.data().start + u64::from(at % 0x10_0000), bytes),
        Deed::FillSlot { slot, at, bytes } => {
            let at = Hostile::front(own(slot)) + u64::from(at % 0x1000);
            hostile.fill(at, &bytes[..bytes.len().min(0x1000)]);
        }
        Deed::Await { slot } => {
            hostile.answer(own(slot), GLANCE);
        }
    }
}

/// Does the deeds that `bytes` are. With RINGBRIDGE_FUZZ_SHOW set, prints them first.
///
/// # Panics
/// When another session, the machine or pool suffers from them.
pub fn run(bytes: &[u8]) {
    static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
    let deeds: Vec<Deed<'_>> = deeds::read(bytes, MAX_DEEDS);
    let fixture = FIXTURE.get_or_init(|| Mutex::new(Fixture::new()));
    fixture.lock().unwrap_or_else(PoisonError::into_inner).run(&deeds);
}
