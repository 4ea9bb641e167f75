//! The target `lpc_messages`: what a process can say to ports. The input is a list of calls with any message, handle and order, and of
//! messages that were received and are sent again, changed; a server of another process serves who connects. Whatever is said,
//! another client is answered as ever, all calls end when their process does, and ports and views are then as before.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use gate::{
    Handle, Memory, PORT_OUTPUT, PortCall, PortConnected, PortView, PortViews, SecurityQos, SystemCall,
    Transport,
};
use host::{Machine, PortUsage, Process, SectionUsage};

use crate::deeds;

/// Calls of one input.
const MAX_DEEDS: usize = 32;
const HEADER: usize = size_of::<abi::PORT_MESSAGE>();
const SERVED: &str = r"\BaseNamedObjects\Served";
const OWN: &str = r"\BaseNamedObjects\Own";
/// How long what must happen at once may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long an input may wait for what may never come.
const GLANCE: Duration = Duration::from_millis(3);

/// A message: the last one that came, or one of these fields.
#[derive(Arbitrary, Debug)]
struct Words<'a> {
    again: bool,
    lengths: Option<(u16, u16)>,
    kind: Option<u16>,
    data_info: u16,
    client: Option<(u8, u8)>,
    id: Option<u16>,
    callback: Option<u8>,
    data: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Deed<'a> {
    Create { info: u16, message: u16 },
    Connect { served: bool, level: i8, view: Option<(u8, u32, u64)>, info: &'a [u8] },
    Listen { port: u8 },
    Accept { message: Words<'a>, accepts: bool, context: u64, view: Option<(u8, u32, u64)> },
    Complete { port: u8 },
    Send { port: u8, message: Words<'a> },
    Ask { port: u8, message: Words<'a> },
    Reply { port: u8, message: Words<'a> },
    ReplyWait { port: u8, message: Words<'a> },
    Receive { port: u8, reply: Option<Words<'a>>, waits: bool },
    Impersonate { port: u8, message: Words<'a> },
    Revert,
    Section { size: u32 },
    Close { handle: u8 },
    RequestData { port: u8, message: Words<'a>, index: u8, buffer: (u64, u32), writes: bool },
    RegisterThread { port: u8 },
}

struct Fixture {
    machine: Arc<Machine>,
    honest: Process,
    port: Handle,
    idle: (PortUsage, SectionUsage),
}

fn wide(name: &str) -> Vec<u16> {
    name.encode_utf16().collect()
}

fn qos(level: i32) -> SecurityQos {
    SecurityQos { level: level.cast_unsigned(), dynamic_tracking: true, effective_only: false }
}

/// Serves all who come, for ever: replies with what was asked.
fn serve(process: &Process, port: Handle) {
    let mut output = [0; PORT_OUTPUT];
    let mut reply = Vec::new();
    let mut ports: Vec<Option<Handle>> = vec![None];
    loop {
        let receive = PortCall::ReplyWaitReceive { handle: port, reply: &reply, timeout: None };
        let came = process.system_call(&SystemCall::Port(receive), &mut output);
        reply.clear();
        if came.status.is_error() {
            continue;
        }
        let (context, message) = output.split_at(8);
        let context = u64::from_le_bytes(context.try_into().unwrap_or_default());
        let length = usize::from(u16::from_le_bytes([message[2], message[3]])).clamp(HEADER, 0x200);
        let message = &message[..length];
        match u16::from_le_bytes([message[4], message[5]]) {
            abi::LPC_CONNECTION_REQUEST => {
                let call =
                    PortCall::Accept { message, accept: true, context: ports.len() as u64, view: None };
                let accepted = process.system_call(&SystemCall::Port(call), &mut [0; PortViews::SIZE]);
                if accepted.status == abi::STATUS_SUCCESS {
                    ports.push(Some(accepted.handle));
                    let complete = PortCall::Complete { handle: accepted.handle };
                    process.system_call(&SystemCall::Port(complete), &mut []);
                }
            }
            abi::LPC_REQUEST => reply = message.to_vec(),
            abi::LPC_PORT_CLOSED => {
                let own = usize::try_from(context).ok().and_then(|place| ports.get_mut(place));
                if let Some(own) = own.and_then(Option::take) {
                    process.close(own);
                }
            }
            _ => {}
        }
    }
}

fn message(data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    let data = &data[..data.len().min(0x200 - HEADER)];
    let length = |length: usize| u16::try_from(length).unwrap_or(0).to_le_bytes();
    bytes[..2].copy_from_slice(&length(data.len()));
    bytes[2..4].copy_from_slice(&length(data.len() + HEADER));
    bytes.extend(data);
    bytes
}

impl Fixture {
    fn new() -> Self {
        let machine = Arc::new(Machine::new().expect("a machine"));
        let server = machine.process("server");
        let create = PortCall::Create {
            name: &wide(SERVED),
            max_connection_info: 64,
            max_message: 0x200,
            waitable: true,
        };
        let port = server.system_call(&SystemCall::Port(create), &mut []).handle;
        thread::spawn(move || serve(&server, port));
        let honest = machine.process("honest");
        let mut output = [0; PORT_OUTPUT];
        let connect =
            PortCall::Connect { name: &wide(SERVED), qos: qos(2), view: None, server: 0, info: &[] };
        let port = honest.system_call(&SystemCall::Port(connect), &mut output).handle;
        let idle = (machine.port_usage(), machine.section_usage());
        Self { machine, honest, port, idle }
    }

    fn run(&self, deeds: &[Deed<'_>]) {
        let hostile = self.machine.process("hostile");
        thread::scope(|scope| {
            let (done, ended) = channel();
            let hostile = &hostile;
            scope.spawn(move || {
                let mut last = message(b"");
                deeds.iter().for_each(|deed| act(hostile, deed, &mut last));
                // Nobody listens when this took too long.
                let _late = done.send(());
            });
            let waited = ended.recv_timeout(GLANCE);
            assert_ne!(waited, Err(RecvTimeoutError::Disconnected), "a call has panicked");
            hostile.end();
        });
        drop(hostile);
        assert!(self.machine.bugcheck().is_none(), "{:?}", self.machine.bugcheck());
        let mut output = [0; PORT_OUTPUT];
        let ask = PortCall::RequestWaitReply { handle: self.port, message: &message(b"ping") };
        let reply = self.honest.system_call(&SystemCall::Port(ask), &mut output);
        assert_eq!(reply.status, abi::STATUS_SUCCESS, "another client is answered");
        assert_eq!(&output[HEADER..HEADER + 4], b"ping");
        let deadline = Instant::now() + PATIENCE;
        while (self.machine.port_usage(), self.machine.section_usage()) != self.idle {
            let left = (self.machine.port_usage(), self.machine.section_usage());
            assert!(Instant::now() < deadline, "left: {left:?}, idle: {:?}", self.idle);
            thread::yield_now();
        }
    }
}

fn handle(index: u8) -> Handle {
    Handle((u32::from(index) % 24 + 1) * 4)
}

fn view(view: Option<(u8, u32, u64)>) -> Option<PortView> {
    view.map(|(section, offset, size)| PortView { section: handle(section), offset, size })
}

fn words(words: &Words<'_>, last: &[u8]) -> Vec<u8> {
    let mut bytes = if words.again { last.to_vec() } else { message(words.data) };
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    if let Some((data, total)) = words.lengths {
        put(0, &data.to_le_bytes());
        put(2, &total.to_le_bytes());
    }
    if let Some(kind) = words.kind {
        put(4, &kind.to_le_bytes());
    }
    put(6, &(words.data_info * u16::from(words.data_info % 7 == 1)).to_le_bytes());
    if let Some((process, thread)) = words.client {
        put(8, &(u64::from(process) * 4).to_le_bytes());
        put(16, &(u64::from(thread) * 4).to_le_bytes());
    }
    if let Some(id) = words.id {
        put(24, &u32::from(id).to_le_bytes());
    }
    if let Some(callback) = words.callback {
        put(32, &u64::from(callback).to_le_bytes());
    }
    bytes
}

fn act(process: &Process, deed: &Deed<'_>, last: &mut Vec<u8>) {
    let mut output = [0; PORT_OUTPUT];
    let (names, bytes);
    let mut front = 0;
    let call = match deed {
        Deed::Create { info, message } => {
            names = wide(OWN);
            let (info, message) = (u32::from(*info), u32::from(*message));
            PortCall::Create {
                name: &names,
                max_connection_info: info,
                max_message: message,
                waitable: false,
            }
        }
        Deed::Connect { served, level, view: shown, info } => {
            names = wide(if *served { SERVED } else { OWN });
            front = PortConnected::SIZE;
            let info = &info[..info.len().min(0x200)];
            PortCall::Connect {
                name: &names,
                qos: qos(i32::from(*level)),
                view: view(*shown),
                server: level.cast_unsigned(),
                info,
            }
        }
        Deed::Listen { port } => PortCall::Listen { handle: handle(*port) },
        Deed::Accept { message, accepts, context, view: shown } => {
            bytes = words(message, last);
            front = PortViews::SIZE;
            let (accept, context) = (*accepts, *context);
            PortCall::Accept { message: &bytes, accept, context, view: view(*shown) }
        }
        Deed::Complete { port } => PortCall::Complete { handle: handle(*port) },
        Deed::Send { port, message } => {
            bytes = words(message, last);
            PortCall::Request { handle: handle(*port), message: &bytes }
        }
        Deed::Ask { port, message } => {
            bytes = words(message, last);
            PortCall::RequestWaitReply { handle: handle(*port), message: &bytes }
        }
        Deed::Reply { port, message } => {
            bytes = words(message, last);
            PortCall::Reply { handle: handle(*port), message: &bytes }
        }
        Deed::ReplyWait { port, message } => {
            bytes = words(message, last);
            PortCall::ReplyWaitReply { handle: handle(*port), message: &bytes }
        }
        Deed::Receive { port, reply, waits } => {
            bytes = reply.as_ref().map(|reply| words(reply, last)).unwrap_or_default();
            front = 8;
            let timeout = if *waits { None } else { Some(0) };
            PortCall::ReplyWaitReceive { handle: handle(*port), reply: &bytes, timeout }
        }
        Deed::Impersonate { port, message } => {
            bytes = words(message, last);
            PortCall::ImpersonateClient { handle: handle(*port), message: &bytes }
        }
        Deed::RequestData { port, message, index, buffer: (address, length), writes } => {
            bytes = words(message, last);
            let (handle, message, index) = (handle(*port), &bytes[..], u32::from(*index));
            let buffer = Memory { address: *address, length: *length };
            if *writes {
                PortCall::WriteRequestData { handle, message, index, buffer }
            } else {
                PortCall::ReadRequestData { handle, message, index, buffer }
            }
        }
        Deed::RegisterThread { port } => PortCall::RegisterThreadTerminatePort { handle: handle(*port) },
        Deed::Revert => {
            process.system_call(&SystemCall::SetThreadToken { token: None }, &mut []);
            return;
        }
        Deed::Section { size } => {
            let call = SystemCall::CreateSection {
                name: &[],
                desired_access: abi::SECTION_ALL_ACCESS,
                size: u64::from(size % 0x10_0000),
                protection: abi::PAGE_READWRITE,
                attributes: abi::SEC_COMMIT,
                file: None,
            };
            process.system_call(&call, &mut []);
            return;
        }
        Deed::Close { handle: closed } => {
            process.close(handle(*closed));
            return;
        }
    };
    let reply = process.system_call(&SystemCall::Port(call), &mut output);
    let length = usize::try_from(reply.information).unwrap_or(usize::MAX).min(output.len());
    let came = output[..length].get(front..).filter(|came| came.len() >= HEADER);
    if let (abi::STATUS_SUCCESS, Some(came)) = (reply.status, came) {
        *last = came.to_vec();
    }
}

/// Makes the calls that `bytes` are. With RINGBRIDGE_FUZZ_SHOW set, prints them first.
///
/// # Panics
/// When another client or the machine suffers from them, or something is left.
pub fn run(bytes: &[u8]) {
    static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
    let deeds: Vec<Deed<'_>> = deeds::read(bytes, MAX_DEEDS);
    let fixture = FIXTURE.get_or_init(|| Mutex::new(Fixture::new()));
    fixture.lock().unwrap_or_else(PoisonError::into_inner).run(&deeds);
}
