//! A driver that talks with an application through a named pipe which the application serves. The device is `\\.\Talker`.
//!
//! [`IOCTL_TALK`] gives the pipe's NT name (`\??\pipe\name` is what the application calls `\\.\pipe\name`). The driver opens it as any
//! client does (`ZwCreateFile`), with the rights of who asks, and a system thread of its own goes on from there (`ZwReadFile`,
//! `ZwWriteFile`): it greets, and then answers
//!
//! - in [`MESSAGES`]: each message with the same, turned round;
//! - in [`BYTES`]: each byte as it comes, small letters as capitals;
//!
//! until the application closes its end, or is gone: then reading ends with STATUS_PIPE_BROKEN, and the thread with it. How much
//! was answered [`IOCTL_QUERY`] tells.
//!
//! A thread that reads is in its request until that ends. So a conversation lasts as long as its pipe, and the driver's unloading waits for
//! the last of them.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, FILE_PIPE_MESSAGE_MODE, FilePipeInformation,
    GENERIC_READ, GENERIC_WRITE, METHOD_BUFFERED, NTSTATUS, STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER,
};
use driver::{
    Answer, Buffered, BufferedControl, Cleanup, Close, Create, DeviceControl, Dispatch, Driver, DriverObject,
    File, Mutex, PassiveLevel, PoolArc, Tag, Thread, UnicodeStr, utf16,
};

const fn code(function: u32) -> u32 {
    CTL_CODE(FILE_DEVICE_UNKNOWN, function, METHOD_BUFFERED, FILE_ANY_ACCESS)
}

/// Begins a conversation: two bytes, [`BYTES`] or [`MESSAGES`], then the pipe's NT name in UTF-16.
pub const IOCTL_TALK: u32 = code(0x800);
/// Gives two numbers of four bytes each, little-endian: answers so far, conversations that go on.
pub const IOCTL_QUERY: u32 = code(0x801);

/// The conversation is of bytes.
pub const BYTES: u16 = 0;
/// The conversation is of messages.
pub const MESSAGES: u16 = 1;
/// What the driver begins with.
pub const GREETING: &[u8] = b"the driver is here";
/// The longest message that is answered whole, in bytes: of longer ones the rest is a message of its own.
pub const LONGEST_MESSAGE: usize = 4096;

/// What names of pipes begin with.
const PIPES: &str = r"\??\pipe\";
/// The longest name, in UTF-16 units.
const LONGEST_NAME: usize = 128;
/// Conversations at a time.
const MOST: usize = 16;

const TAG: Tag = Tag::new(*b"Talk");

driver::driver_entry!(TalkerDriver);

struct TalkerDriver;

impl Driver for TalkerDriver {
    type Device = Talker;

    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        let counts = PoolArc::new(TAG, Counts::default())?;
        driver
            .device(Talker { talks: Mutex::new(TAG, Vec::new())?, counts })
            .name(utf16!(r"\Device\Talker"))
            .symbolic_link(utf16!(r"\??\Talker"))
            .create()?;
        Ok(())
    }
}

/// The device.
struct Talker {
    talks: Mutex<Vec<Talk>>,
    counts: PoolArc<Counts>,
}

#[derive(Default)]
struct Counts {
    answers: AtomicU32,
    talks: AtomicU32,
}

/// A conversation. Dropping it waits for its thread.
struct Talk {
    _thread: Thread,
    is_over: PoolArc<AtomicBool>,
}

impl Dispatch for Talker {
    type Io = Buffered;

    fn create(&self, request: Create) -> impl Answer {
        request.complete()
    }

    fn cleanup(&self, request: Cleanup) -> impl Answer {
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let DeviceControl::Buffered(mut request) = request else {
            return request.fail(STATUS_INVALID_DEVICE_REQUEST);
        };
        match self.control(&mut request) {
            Ok(()) => request.complete(),
            Err(status) => request.fail(status),
        }
    }
}

impl Talker {
    fn control(&self, request: &mut BufferedControl) -> Result<(), NTSTATUS> {
        match request.code() {
            IOCTL_TALK => self.talk(request.level(), request.input()),
            IOCTL_QUERY => {
                if request.output_length() < 8 {
                    return Err(STATUS_BUFFER_TOO_SMALL);
                }
                let Counts { answers, talks } = &*self.counts;
                for count in [answers, talks] {
                    request.output().write(&count.load(Ordering::SeqCst).to_le_bytes());
                }
                Ok(())
            }
            _ => Err(STATUS_INVALID_DEVICE_REQUEST),
        }
    }

    fn talk(&self, level: PassiveLevel, input: &[u8]) -> Result<(), NTSTATUS> {
        let (pairs, odd) = input.as_chunks::<2>();
        let (kind, name) = pairs.split_first().ok_or(STATUS_INVALID_PARAMETER)?;
        if !odd.is_empty() || name.len() > LONGEST_NAME {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let mut units = [0; LONGEST_NAME];
        for (unit, pair) in units.iter_mut().zip(name) {
            *unit = u16::from_le_bytes(*pair);
        }
        let name = &units[..name.len()];
        let by_messages = match u16::from_le_bytes(*kind) {
            BYTES => false,
            MESSAGES => true,
            _ => return Err(STATUS_INVALID_PARAMETER),
        };
        // Whatever else the name leads to is none of a talker's business.
        if !PIPES.encode_utf16().eq(name.iter().copied().take(PIPES.len())) {
            return Err(STATUS_INVALID_PARAMETER);
        }
        // The name is the application's, and so are the rights.
        let pipe = File::open_checked(level, UnicodeStr::new(name), GENERIC_READ | GENERIC_WRITE)?;
        if by_messages {
            let mode = [FILE_PIPE_MESSAGE_MODE, 0].map(u32::to_le_bytes);
            pipe.set_information(level, FilePipeInformation, mode.as_flattened())?;
        }
        self.begin(level, pipe, by_messages)
    }

    fn begin(&self, level: PassiveLevel, pipe: File, by_messages: bool) -> Result<(), NTSTATUS> {
        let mut talks = self.talks.lock(level);
        talks.retain(|talk| !talk.is_over.load(Ordering::SeqCst));
        if talks.len() >= MOST {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        talks.try_reserve(1).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
        let is_over = PoolArc::new(TAG, AtomicBool::new(false))?;
        let (counts, over) = (self.counts.clone(), is_over.clone());
        counts.talks.fetch_add(1, Ordering::SeqCst);
        let body = move |stop: &driver::Stop<'_>| {
            let level = stop.level();
            // How it ends is told by the end of the pipe.
            let _ended = if by_messages {
                answer_messages(level, &pipe, &counts)
            } else {
                answer_bytes(level, &pipe, &counts)
            };
            drop(pipe);
            counts.talks.fetch_sub(1, Ordering::SeqCst);
            over.store(true, Ordering::SeqCst);
        };
        let thread = Thread::spawn(level, TAG, body).inspect_err(|_| {
            self.counts.talks.fetch_sub(1, Ordering::SeqCst);
        })?;
        talks.push(Talk { _thread: thread, is_over });
        Ok(())
    }
}

fn answer_messages(level: PassiveLevel, pipe: &File, counts: &Counts) -> Result<(), NTSTATUS> {
    let mut message = Vec::new();
    message.try_reserve_exact(LONGEST_MESSAGE).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
    message.resize(LONGEST_MESSAGE, 0);
    pipe.write(level, GREETING)?;
    loop {
        // A message comes in parts where the buffer is shorter.
        let mut length = 0;
        while length < message.len() {
            let end = message.len().min(length + 64);
            let (bytes, status) = pipe.read(level, &mut message[length..end])?;
            length += bytes;
            if status != STATUS_BUFFER_OVERFLOW {
                break;
            }
        }
        message[..length].reverse();
        pipe.write(level, &message[..length])?;
        counts.answers.fetch_add(1, Ordering::SeqCst);
    }
}

fn answer_bytes(level: PassiveLevel, pipe: &File, counts: &Counts) -> Result<(), NTSTATUS> {
    pipe.write(level, GREETING)?;
    let mut bytes = [0; 64];
    loop {
        let (count, _) = pipe.read(level, &mut bytes)?;
        bytes[..count].make_ascii_uppercase();
        pipe.write(level, &bytes[..count])?;
        counts.answers.fetch_add(1, Ordering::SeqCst);
    }
}
