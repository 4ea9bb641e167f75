//! One exchange through each channel, checked.

use std::error::Error;
use std::time::Duration;

use abi::{ERROR_NO_SYSTEM_RESOURCES, ERROR_OPERATION_ABORTED, GENERIC_READ, STATUS_PORT_CONNECTION_REFUSED};
use app::lpc::{Message, Port, Shown};
use app::{
    Buffer, ControlCode, Device, Event, EventKind, FileMapping, MappingAccess, NamedPipe, NamedPipeOptions,
    OpenOptions, Operation, Overlapped, PipeWait, SecurityQos, Transport, Waitable, wait_all,
};
use ringbridge_scenarios::{APPS, apps_pend};
use sample_applications::stream::{Flow, Stream};
use sample_applications::{consult, delay, mapping, namedpipe, notify, verdict};
use sample_buffers::{IOCTL_INVERT_BUFFERED, IOCTL_INVERT_NEITHER, IOCTL_LOAD, IOCTL_STORE};

use crate::random::Random;
use crate::servers::{LONGEST, PIPE, PORT, answer};

/// A thread of an application.
pub(crate) struct Caller<'a> {
    pub(crate) transport: &'a dyn Transport,
    pub(crate) ordinal: u64,
    pub(crate) thread: u64,
    pub(crate) random: Random,
}

/// What a check, or a call, fails with.
type Done = Result<(), Box<dyn Error + Send + Sync>>;
/// An exchange.
type Exchange = fn(&mut Caller<'_>) -> Done;

/// All of them.
pub(crate) const CHANNELS: [(&str, Exchange); 12] = [
    ("read and write", read_and_write),
    ("control codes", control_codes),
    ("reads that wait", delayed_reads),
    ("requests that are cancelled", cancelled_requests),
    ("events", notifications),
    ("rings", rings),
    ("sections", sections),
    ("a pipe that the driver comes to", talk),
    ("a pipe between applications", pipe_between_applications),
    ("the driver's port", driver_port),
    ("a port between applications", port_between_applications),
    ("filter port", filter_port),
];

fn check(holds: bool, what: impl FnOnce() -> String) -> Done {
    if holds { Ok(()) } else { Err(what().into()) }
}

/// What failed in a box that does not change its thread.
fn told(error: Box<dyn Error>) -> Box<dyn Error + Send + Sync> {
    error.to_string().into()
}

impl<'a> Caller<'a> {
    /// A name that nobody else has.
    fn own_name(&mut self, what: &str) -> String {
        format!("All{what}-{}-{}-{:x}", self.ordinal, self.thread, self.random.next())
    }

    fn open(&self, path: &str) -> Result<Device<'a>, app::Win32Error> {
        Device::open(self.transport, path)
    }
}

// ---- read, write, control ------------------------------------------------------------------------------------------------

/// Bytes of a message's head: what the rest is made of, and how long it is.
const HEAD: usize = 16;

/// A message of which every part says whether it belongs to the rest.
fn message(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = [seed, length as u64].map(u64::to_le_bytes).concat();
    bytes.extend(Random::new(seed, 0, 0).bytes(length));
    bytes
}

/// What `buffers` keeps is somebody's whole message, or nothing yet.
fn is_whole(kept: &[u8]) -> bool {
    if kept.is_empty() {
        return true;
    }
    let Some((head, rest)) = kept.split_at_checked(HEAD) else { return false };
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| head[at + index]));
    word(8) == rest.len() as u64 && message(word(0), rest.len()) == kept
}

const BUFFERS: &str = r"\\.\Buffers";

fn any_message(caller: &mut Caller<'_>) -> Vec<u8> {
    let seed = caller.random.next();
    // From some bytes to several pages.
    let length = 1 << caller.random.below(14);
    message(seed, length + caller.random.index(length))
}

fn read_and_write(caller: &mut Caller<'_>) -> Done {
    let sent = any_message(caller);
    let device = caller.open(BUFFERS)?;
    let mut room = vec![0; 1 << 16];
    let written = device.write(&sent)? as usize;
    check(written == sent.len(), || format!("{written} of {} bytes were written", sent.len()))?;
    let length = device.read(&mut room)? as usize;
    check(is_whole(&room[..length]), || format!("{length} bytes that nobody wrote so were read"))
}

fn control_codes(caller: &mut Caller<'_>) -> Done {
    let sent = any_message(caller);
    let device = caller.open(BUFFERS)?;
    let mut back = vec![0; sent.len()];
    for code in [IOCTL_INVERT_BUFFERED, IOCTL_INVERT_NEITHER] {
        let length = device.control(ControlCode(code), &sent, &mut back)? as usize;
        check(length == sent.len() && back == answer(&sent), || {
            format!("{code:#x} has not inverted {length}")
        })?;
    }
    let mut second = sent.clone();
    device.control(ControlCode(IOCTL_STORE), &[0], &mut second)?;
    check(second == sent, || "what was stored has changed".to_owned())?;
    let mut room = vec![0; 1 << 16];
    let length = device.control(ControlCode(IOCTL_LOAD), &[0; 4], &mut room)? as usize;
    check(is_whole(&room[..length]), || format!("{length} bytes that nobody stored so were loaded"))
}

// ---- requests that wait ----------------------------------------------------------------------------------------------------

fn asynchronous<'a>(caller: &Caller<'a>, path: &str) -> Result<Device<'a>, app::Win32Error> {
    OpenOptions::new().access(GENERIC_READ).overlapped(true).open(caller.transport, path)
}

/// Reads that `delay` answers in its thread, in a timer's DPC, or in a work item.
fn delayed_reads(caller: &mut Caller<'_>) -> Done {
    const LETTERS: [u8; 3] = *b"tdw";
    let transport = caller.transport;
    let device = asynchronous(caller, r"\\.\Delay")?;
    let way = caller.random.small(3);
    let setting = [way, caller.random.small(4)].map(u32::to_le_bytes).concat();
    device.control(delay::IOCTL_SET, &setting, &mut [])?;
    let count = 1 + caller.random.below(4);
    let events = (0..count).map(|_| Event::new(transport, EventKind::ManualReset, false));
    let events = events.collect::<Result<Vec<_>, _>>()?;
    let mut operations = Vec::new();
    for event in &events {
        let length = 1 + caller.random.small(6000);
        let begun = device.read_overlapped(Buffer::new(transport, length)?, &Overlapped::new().event(event));
        operations.push((length, begun?));
    }
    let waited: Vec<&dyn Waitable> = events.iter().map(|event| event as _).collect();
    wait_all(transport, &waited, None)?;
    for (length, operation) in operations {
        check(operation.has_completed(), || "its event is set, and it has not ended".to_owned())?;
        let finished = operation.finish();
        let read = finished.result?;
        let right = finished.buffer.to_vec(length).iter().all(|byte| *byte == LETTERS[way as usize]);
        check(read == length && right, || format!("a read of {length} by way {way} brought {read}"))?;
    }
    Ok(())
}

/// Requests that only cancelling ends: one by one, all at once, or by the end of whoever holds them.
fn cancelled_requests(caller: &mut Caller<'_>) -> Done {
    let transport = caller.transport;
    let device = asynchronous(caller, APPS)?;
    let count = 1 + caller.random.below(12);
    let mut waiting: Vec<Operation<'_>> = Vec::new();
    for _ in 0..count {
        let nothing = || Buffer::new(transport, 0);
        waiting.push(device.control_overlapped(apps_pend(), nothing()?, nothing()?, &Overlapped::new())?);
    }
    let completed = waiting.iter().filter(|operation| operation.has_completed()).count();
    check(completed == 0, || format!("{completed} of {count} did not wait"))?;
    match caller.random.below(4) {
        0 => device.cancel_all()?,
        1 => device.cancel_own()?,
        2 => {
            while waiting.len() > 1 {
                let index = caller.random.index(waiting.len());
                let one = waiting.swap_remove(index);
                one.cancel()?;
                is_cancelled(one)?;
                let ended = waiting.iter().filter(|operation| operation.has_completed()).count();
                check(ended == 0, || format!("{ended} others were cancelled"))?;
            }
            waiting.iter().try_for_each(Operation::cancel)?;
        }
        _ => return Ok(()),
    }
    waiting.into_iter().try_for_each(is_cancelled)
}

fn is_cancelled(operation: Operation<'_>) -> Done {
    match operation.finish().result {
        Err(error) if error.code == ERROR_OPERATION_ABORTED => Ok(()),
        result => Err(format!("it was cancelled, and ended with {result:?}").into()),
    }
}

fn notifications(caller: &mut Caller<'_>) -> Done {
    let count = 1 + caller.random.small(300);
    let (mut next, mut wrong) = (0, None);
    let mut hear = |number: u64| {
        if number != next && wrong.is_none() {
            wrong = Some((number, next));
        }
        next += 1;
    };
    match caller.random.below(3) {
        0 => notify::by_named_event(caller.transport, count, &mut hear)?,
        1 => notify::by_own_event(caller.transport, count, &mut hear)?,
        _ => notify::by_requests(caller.transport, count, &mut hear)?,
    }
    check(wrong.is_none() && next == count.into(), || format!("{next} of {count} came, {wrong:?}"))
}

// ---- shared memory -----------------------------------------------------------------------------------------------------------

fn rings(caller: &mut Caller<'_>) -> Done {
    let stream = Stream::open(caller.transport, 1 << (12 + caller.random.below(5)))?;
    for _ in 0..2 {
        let message = 8 << caller.random.below(8);
        let flow = Flow::new(message * (1 + caller.random.below(64)), message);
        let received = stream.receive(caller.transport, flow)?;
        let sent = stream.send(caller.transport, flow)?;
        let seen = stream.finish()?;
        check(seen == [received, sent] && received.bytes == flow.bytes, || {
            format!("{received:?} and {sent:?} here, {seen:?} in the driver")
        })?;
    }
    Ok(())
}

fn small_letter(caller: &mut Caller<'_>) -> u8 {
    b'a' + caller.random.below(26).to_le_bytes()[0]
}

fn sections(caller: &mut Caller<'_>) -> Done {
    const PIXELS_AT: u64 = 16;
    let transport = caller.transport;
    let device = Device::open(transport, r"\\.\Mapping")?;
    let length = 1 + caller.random.below(5000);
    let small: Vec<u8> = (0..length).map(|_| small_letter(caller)).collect();
    let section = FileMapping::new(transport, length, MappingAccess::ReadWrite)?;
    let view = section.map(MappingAccess::ReadWrite, 0, 0)?;
    view.write(0, &small)?;
    device.control(mapping::IOCTL_UPPER, &section.handle_bytes(), &mut [])?;
    let mut seen = vec![0; small.len()];
    view.read(0, &mut seen)?;
    check(seen == small.to_ascii_uppercase(), || "the driver did not see these letters".to_owned())?;

    let name = caller.own_name("Picture");
    let (width, height) = (1 + caller.random.small(60), 1 + caller.random.small(60));
    let pixels = caller.random.bytes((width * height) as usize);
    let size = PIXELS_AT + pixels.len() as u64;
    let (section, is_old) =
        FileMapping::named(transport, &format!(r"Global\{name}"), size, MappingAccess::ReadWrite)?;
    check(!is_old, || "somebody has that name".to_owned())?;
    let view = section.map(MappingAccess::ReadWrite, 0, 0)?;
    view.store_u32(0, width)?;
    view.store_u32(4, height)?;
    view.write(PIXELS_AT, &pixels)?;
    let nt_name = format!(r"\BaseNamedObjects\{name}");
    let nt_name: Vec<u8> = nt_name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    device.control(mapping::IOCTL_INVERT, &nt_name, &mut [])?;
    let mut seen = vec![0; pixels.len()];
    view.read(PIXELS_AT, &mut seen)?;
    check(seen == answer(&pixels), || "the picture is not inverted".to_owned())
}

// ---- pipes --------------------------------------------------------------------------------------------------------------------

/// The driver turns each message round.
fn talk(caller: &mut Caller<'_>) -> Done {
    let name = caller.own_name("Talk");
    let device = caller.open(namedpipe::PATH)?;
    let options = NamedPipeOptions::new().messages(true).read_messages(true).max_instances(1);
    let pipe = options.create(caller.transport, &format!(r"\\.\pipe\{name}"))?;
    if let Err(error) = namedpipe::invite(&device, &pipe, &name, true) {
        // It talks with as many as it can.
        let is_full = |error: &app::Win32Error| error.code == ERROR_NO_SYSTEM_RESOURCES;
        return if error.downcast_ref().is_some_and(is_full) { Ok(()) } else { Err(told(error)) };
    }
    let mut room = vec![0; 4096];
    let length = pipe.read(&mut room)? as usize;
    check(&room[..length] == sample_namedpipe::GREETING, || "it does not greet".to_owned())?;
    for _ in 0..1 + caller.random.below(5) {
        let length = 1 + caller.random.index(3000);
        let mut sent = caller.random.bytes(length);
        pipe.write(&sent)?;
        let length = pipe.read(&mut room)? as usize;
        sent.reverse();
        check(room[..length] == sent, || format!("{} bytes came back as other {length}", sent.len()))?;
    }
    Ok(())
}

fn pipe_between_applications(caller: &mut Caller<'_>) -> Done {
    let mut room = vec![0; LONGEST];
    for _ in 0..1 + caller.random.below(4) {
        let length = 1 + caller.random.index(LONGEST - 1);
        let sent = caller.random.bytes(length);
        let length = NamedPipe::call(caller.transport, PIPE, &sent, &mut room, PipeWait::Forever)? as usize;
        check(room[..length] == answer(&sent), || format!("{} bytes, answered by {length}", sent.len()))?;
    }
    Ok(())
}

// ---- ports --------------------------------------------------------------------------------------------------------------------

fn failed(call: &'static str) -> impl Fn(abi::NTSTATUS) -> Box<dyn Error + Send + Sync> {
    move |status| format!("{call}: {status:?}").into()
}

/// The driver turns letters of this application's section into capitals.
fn driver_port(caller: &mut Caller<'_>) -> Done {
    let transport = caller.transport;
    let length = 1 + caller.random.index(9000);
    let section = FileMapping::new(transport, 0x1_0000, MappingAccess::ReadWrite)?;
    let shown = Shown { mapping: &section, offset: 0, size: 0 };
    let connection = match Port::connect(transport, consult::PORT, SecurityQos::default(), Some(shown), b"") {
        Ok(connection) => connection,
        // The driver has as many clients as it takes.
        Err(refused) if refused.status == STATUS_PORT_CONNECTION_REFUSED => return Ok(()),
        Err(refused) => return Err(failed("NtConnectPort")(refused.status)),
    };
    let view = connection.views.own.ok_or("no view")?;
    let small: Vec<u8> = (0..length).map(|_| small_letter(caller)).collect();
    view.write(0, &small)?;
    let question = Message::new(&u32::try_from(length)?.to_le_bytes());
    let reply = connection.port.request_wait_reply(&question).map_err(failed("NtRequestWaitReplyPort"))?;
    let mut seen = vec![0; length];
    view.read(0, &mut seen)?;
    let all = u32::try_from(length)?.to_le_bytes();
    check(reply.data() == all && seen == small.to_ascii_uppercase(), || {
        format!("{length} letters, the driver says {:?}", reply.data())
    })
}

fn port_between_applications(caller: &mut Caller<'_>) -> Done {
    let connected = Port::connect(caller.transport, PORT, SecurityQos::default(), None, b"");
    let port = connected.map_err(|refused| failed("NtConnectPort")(refused.status))?.port;
    for _ in 0..1 + caller.random.below(8) {
        let length = 5 + caller.random.index(200);
        let sent = caller.random.bytes(length);
        let reply =
            port.request_wait_reply(&Message::new(&sent)).map_err(failed("NtRequestWaitReplyPort"))?;
        check(reply.data() == answer(&sent), || format!("{length} bytes were answered wrongly"))?;
    }
    Ok(())
}

/// The driver asks the guard about each name.
fn filter_port(caller: &mut Caller<'_>) -> Done {
    for _ in 0..1 + caller.random.below(4) {
        let is_program = caller.random.below(2) == 0;
        let name = format!(r"\{}.{}", caller.own_name("Name"), if is_program { "exe" } else { "txt" });
        let opened = verdict::opens(caller.transport, &name);
        let expected = if is_program { "5" } else { "opened" };
        check(opened == expected, || format!("{name}: {opened}"))?;
    }
    // Between two exchanges a thread may also have nothing to do.
    std::thread::sleep(Duration::from_micros(caller.random.below(500)));
    Ok(())
}
