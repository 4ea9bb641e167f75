//! A driver and an application that consult each other through LPC ports. The device is `\\.\Consult`.
//!
//! - [`IOCTL_CONSULT`]: the application has a port, whose name is the input. The driver connects to it (`ZwConnectPort`), shows it a
//!   text that is too long for a message, and asks how many bytes, words and lines that has. The output is what it was told.
//! - The driver has a port, [`PORT`]. An application connects to it, shows it a section of its own, and asks it to turn so many letters
//!   of it into capitals; the reply is how many it has changed. Asked without a number it calls back ([`QUESTION`]). Asked with one byte it
//!   tries as its client to open its own device, and replies with the status.
//!
//! # When the other is gone
//!
//! The driver asks in a system thread of its own, and the request that it asks for waits in user mode (`wait_for_user`): so an
//! application that dies while it is asked can be ended, its port closes with it, and the driver's question ends with
//! STATUS_PORT_DISCONNECTED. Were the request itself to ask, the application's thread could not end before the answer, nor its port
//! close before its thread.
//!
//! An application that neither answers nor ends holds the thread, and others are told STATUS_DEVICE_BUSY.
//!
//! A client that is gone is told by LPC_PORT_CLOSED, with the context that its connection was accepted with.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

mod server;

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED, NTSTATUS, STATUS_BUFFER_TOO_SMALL,
    STATUS_CANCELLED, STATUS_DEVICE_BUSY, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER,
};
use driver::lpc::{CommunicationPort, Message, ServerPort};
use driver::{
    Answer, Buffered, BufferedControl, Close, Create, DeviceControl, Dispatch, Driver, DriverObject, Event,
    Mutex, PassiveLevel, PoolArc, Section, SectionAccess, Stop, Tag, Thread, UnicodeStr, Woken, utf16,
};

/// Consults the port whose NT name is the input, in UTF-16: three numbers of four bytes.
pub const IOCTL_CONSULT: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS);

/// What the driver asks about the text that it shows, one a message: a number of four bytes is the answer.
pub const QUESTIONS: [&[u8]; 3] = [b"bytes", b"words", b"lines"];
/// What the driver asks whom it is to change letters for, when it was not told how many.
pub const QUESTION: &[u8] = b"many";
/// Bytes of the section that the driver shows. The text ends with a zero.
pub const SHOWN: u64 = 4096;
/// A line of the text, which has [`LINES`] of them.
pub const LINE: &[u8] = b"what a driver wants to know\n";
/// Lines of the text.
pub const LINES: usize = 100;
/// The driver's own port.
pub const PORT: &str = r"\BaseNamedObjects\Consult";

const TAG: Tag = Tag::new(*b"Cnsl");
/// The longest name, in UTF-16 units.
const LONGEST: usize = 128;

driver::driver_entry!(ConsultDriver);

struct ConsultDriver;

impl Driver for ConsultDriver {
    type Device = Consult;

    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        driver
            .device(Consult::new(driver.level())?)
            .name(utf16!(r"\Device\Consult"))
            .symbolic_link(utf16!(r"\??\Consult"))
            .create()?;
        Ok(())
    }
}

/// The device. Its threads end before what they use.
struct Consult {
    server: Thread,
    _asker: Thread,
    port: PoolArc<ServerPort>,
    shared: PoolArc<Shared>,
}

/// What requests and the asking thread have in common.
struct Shared {
    job: Mutex<Option<Job>>,
    /// Tells the thread that there is a job.
    wake: Event,
}

/// Whom to ask.
struct Job {
    name: [u16; LONGEST],
    length: usize,
    outcome: PoolArc<Outcome>,
}

/// What came of it.
struct Outcome {
    done: Event,
    answers: Mutex<Result<[u32; 3], NTSTATUS>>,
}

impl Consult {
    fn new(level: PassiveLevel) -> Result<Self, NTSTATUS> {
        let name: UnicodeStr<'_> = utf16!(r"\BaseNamedObjects\Consult");
        let port = PoolArc::new(TAG, ServerPort::create(level, name, 0, server::MAX_DATA)?)?;
        let shared = Shared { job: Mutex::new(TAG, None)?, wake: Event::synchronization(TAG, false)? };
        let shared = PoolArc::new(TAG, shared)?;
        let own = shared.clone();
        let asker = Thread::spawn(level, TAG, move |stop| ask_until(stop, &own))?;
        let own = port.clone();
        let server = Thread::spawn(level, TAG, move |stop| server::serve(stop, &own))?;
        Ok(Self { server, _asker: asker, port, shared })
    }

    fn consult(&self, request: &mut BufferedControl) -> Result<(), NTSTATUS> {
        let level = request.level();
        let answer = size_of::<[u32; 3]>();
        if request.output_length() < answer {
            return Err(STATUS_BUFFER_TOO_SMALL);
        }
        let outcome = Outcome {
            done: Event::notification(TAG, false)?,
            answers: Mutex::new(TAG, Err(STATUS_CANCELLED))?,
        };
        let outcome = PoolArc::new(TAG, outcome)?;
        let job = job(request.input(), outcome.clone())?;
        {
            let mut waiting = self.shared.job.lock(level);
            if waiting.is_some() {
                return Err(STATUS_DEVICE_BUSY);
            }
            *waiting = Some(job);
        }
        self.shared.wake.set();
        outcome.done.wait_for_user(level).map_err(|_| STATUS_CANCELLED)?;
        let answers = *outcome.answers.lock(level);
        request.output().write(answers?.map(u32::to_le_bytes).as_flattened());
        Ok(())
    }
}

impl Drop for Consult {
    fn drop(&mut self) {
        self.server.stop();
        if let Some(level) = PassiveLevel::now() {
            // A queue that is full wakes the thread as well.
            let _full = self.port.send(level, &[]);
        }
    }
}

fn job(input: &[u8], outcome: PoolArc<Outcome>) -> Result<Job, NTSTATUS> {
    let (pairs, rest) = input.as_chunks();
    if !rest.is_empty() || pairs.is_empty() || pairs.len() > LONGEST {
        return Err(STATUS_INVALID_PARAMETER);
    }
    let mut name = [0; LONGEST];
    for (unit, pair) in name.iter_mut().zip(pairs) {
        *unit = u16::from_le_bytes(*pair);
    }
    Ok(Job { name, length: pairs.len(), outcome })
}

/// The asking thread's life.
fn ask_until(stop: &Stop<'_>, shared: &Shared) {
    while stop.wait(&shared.wake, None) == Woken::Set {
        let job = shared.job.lock(stop.level()).take();
        if let Some(job) = job {
            let answers = ask(stop, UnicodeStr::new(&job.name[..job.length]));
            *job.outcome.answers.lock(stop.level()) = answers;
            job.outcome.done.set();
        }
    }
}

/// One consultation. The port closes at its end, however it ends.
fn ask(stop: &Stop<'_>, name: UnicodeStr<'_>) -> Result<[u32; 3], NTSTATUS> {
    let (section, _) = Section::create(stop.level(), None, SHOWN, SectionAccess::ReadWrite)?;
    let port = CommunicationPort::connect(stop, name, Some(&section), b"consult")?;
    let view = port.own_view().ok_or(STATUS_INVALID_DEVICE_REQUEST)?;
    for line in 0..LINES {
        view.write(line * LINE.len(), LINE)?;
    }
    let mut answers = [0; 3];
    for (answer, question) in answers.iter_mut().zip(QUESTIONS) {
        let reply = port.request_wait_reply(&Message::new(question))?;
        let number = reply.data().try_into().map_err(|_| STATUS_INVALID_PARAMETER)?;
        *answer = u32::from_le_bytes(number);
    }
    Ok(answers)
}

impl Dispatch for Consult {
    type Io = Buffered;

    fn create(&self, request: Create) -> impl Answer {
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let DeviceControl::Buffered(mut request) = request else {
            return request.fail(STATUS_INVALID_DEVICE_REQUEST);
        };
        let done = match request.code() {
            IOCTL_CONSULT => self.consult(&mut request),
            _ => Err(STATUS_INVALID_DEVICE_REQUEST),
        };
        match done {
            Ok(()) => request.complete(),
            Err(status) => request.fail(status),
        }
    }
}
