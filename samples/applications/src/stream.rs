//! The application of `stream`: gigabytes through rings in memory that driver and application share, with events for the edges only.

use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use abi::{CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED};
use app::ring::{self, Consumer, Producer};
use app::{ControlCode, Device, Event, EventKind, RingSignals, SignalError, Transport, View, Win32Error};

use crate::Say;

const fn code(number: u32) -> ControlCode {
    ControlCode(CTL_CODE(FILE_DEVICE_UNKNOWN, number, METHOD_BUFFERED, FILE_ANY_ACCESS))
}

/// `stream`'s control codes.
pub const IOCTL_OPEN: ControlCode = code(0x800);
/// Starts the driver's producer.
pub const IOCTL_PRODUCE: ControlCode = code(0x801);
/// Starts the driver's consumer.
pub const IOCTL_CONSUME: ControlCode = code(0x802);
/// Waits for both, and tells what they have seen.
pub const IOCTL_FINISH: ControlCode = code(0x803);

const PATH: &str = r"\\.\Stream";
/// How long the driver may take before it is taken for gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// What went wrong, in whichever thread.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What a side has sent or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// Bytes.
    pub bytes: u64,
    /// The driver's `checksum` of them.
    pub checksum: u64,
}

/// What is to go through a ring, and how.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Bytes in all, a multiple of eight.
    pub bytes: u64,
    /// Of a message.
    pub message: u64,
    /// Messages that are published, or whose room is given back, together.
    pub batch: u64,
    /// Whether the bytes are a pattern, and both sides make a checksum of them.
    pub checked: bool,
}

impl Flow {
    /// One message at a time, with a checksum.
    #[must_use]
    pub const fn new(bytes: u64, message: u64) -> Self {
        Self { bytes, message, batch: 1, checked: true }
    }

    fn numbers(&self) -> [u64; 4] {
        [self.bytes, self.message, self.batch, self.checked.into()]
    }
}

/// An open stream: its rings and their events.
pub struct Stream<'a> {
    device: Device<'a>,
    down: Direction<'a>,
    up: Direction<'a>,
}

struct Direction<'a> {
    address: u64,
    length: u64,
    /// Set when messages come.
    filled: Event<'a>,
    /// Set when room comes.
    drained: Event<'a>,
}

impl<'a> Direction<'a> {
    fn events(transport: &'a dyn Transport) -> Result<[Event<'a>; 2], Win32Error> {
        let event = || Event::new(transport, EventKind::AutoReset, false);
        Ok([event()?, event()?])
    }

    fn view(&self, transport: &dyn Transport) -> Result<View, Win32Error> {
        View::of_driver(transport, self.address, self.length)
    }
}

fn bytes(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

impl<'a> Stream<'a> {
    /// Opens the device with rings of so many bytes, a power of two.
    ///
    /// # Errors
    /// What a call fails with.
    pub fn open(transport: &'a dyn Transport, capacity: u64) -> Result<Self, Win32Error> {
        let device = Device::open(transport, PATH)?;
        let [down_filled, down_drained] = Direction::events(transport)?;
        let [up_filled, up_drained] = Direction::events(transport)?;
        let handles =
            [&down_filled, &down_drained, &up_filled, &up_drained].map(|event| event.handle().value());
        let [down, up, length] =
            ask(&device, IOCTL_OPEN, &[capacity, handles[0], handles[1], handles[2], handles[3]])?;
        let down = Direction { address: down, length, filled: down_filled, drained: down_drained };
        let up = Direction { address: up, length, filled: up_filled, drained: up_drained };
        Ok(Self { device, down, up })
    }

    /// The device's handle.
    #[must_use]
    pub fn device(&self) -> &Device<'a> {
        &self.device
    }

    /// Where both rings are: the one from the driver, and the one to it.
    #[must_use]
    pub fn addresses(&self) -> [u64; 2] {
        [self.down.address, self.up.address]
    }

    /// Has the driver send, and receives.
    ///
    /// # Errors
    /// What a call fails with, and what is wrong with the ring.
    pub fn receive(&self, transport: &dyn Transport, flow: Flow) -> Result<Total, Failure> {
        self.device.control(IOCTL_PRODUCE, &bytes(&flow.numbers()), &mut [])?;
        let mut consumer = Consumer::new(self.down.view(transport)?).map_err(broken)?;
        let mut room = vec![0; usize::try_from(flow.message)?];
        let mut seen = Total { bytes: 0, checksum: 0 };
        let signals = signals(&self.down.drained, &self.down.filled);
        let mut unreleased = 0;
        while seen.bytes < flow.bytes {
            let length = consumer.receive(&mut room, &signals).map_err(failed)?;
            seen.add(&room[..length], flow.checked);
            unreleased += 1;
            if unreleased == flow.batch || seen.bytes == flow.bytes {
                unreleased = 0;
                consumer.give_back(&signals).map_err(failed)?;
            }
        }
        Ok(seen)
    }

    /// Sends, and has the driver receive.
    ///
    /// # Errors
    /// What a call fails with, and what is wrong with the ring.
    pub fn send(&self, transport: &dyn Transport, flow: Flow) -> Result<Total, Failure> {
        self.device.control(IOCTL_CONSUME, &bytes(&flow.numbers()), &mut [])?;
        let mut producer = Producer::new(self.up.view(transport)?).map_err(broken)?;
        let mut room = vec![0; usize::try_from(flow.message)?];
        let mut sent = Total { bytes: 0, checksum: 0 };
        let signals = signals(&self.up.filled, &self.up.drained);
        let (mut word, mut unpublished) = (flow.bytes, 0);
        while sent.bytes < flow.bytes {
            let length = usize::try_from((flow.bytes - sent.bytes).min(flow.message))?;
            if flow.checked {
                for place in room[..length].chunks_exact_mut(8) {
                    word = word.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                    place.copy_from_slice(&word.to_le_bytes());
                }
            }
            producer.send(&room[..length], &signals).map_err(failed)?;
            sent.add(&room[..length], flow.checked);
            unpublished += 1;
            if unpublished == flow.batch || sent.bytes == flow.bytes {
                unpublished = 0;
                producer.flush(&signals).map_err(failed)?;
            }
        }
        Ok(sent)
    }

    /// What the driver's producer and consumer have seen, when both have ended.
    ///
    /// # Errors
    /// What the call fails with; how the driver's side has ended, if not well.
    pub fn finish(&self) -> Result<[Total; 2], Failure> {
        let told: [u64; 6] = ask(&self.device, IOCTL_FINISH, &[])?;
        let [first, second] = [&told[..3], &told[3..]];
        for side in [first, second] {
            if side[2] != 0 {
                return Err(format!("the driver's side has ended with status {:#x}", side[2]).into());
            }
        }
        Ok([first, second].map(|side| Total { bytes: side[0], checksum: side[1] }))
    }
}

impl Total {
    fn add(&mut self, message: &[u8], checked: bool) {
        if checked {
            let (words, _) = message.as_chunks::<8>();
            self.checksum = words.iter().fold(self.checksum, |sum, word| {
                (sum.rotate_left(7) ^ u64::from_le_bytes(*word)).wrapping_add(1)
            });
        }
        self.bytes += message.len() as u64;
    }
}

fn ask<const N: usize>(
    device: &Device<'_>,
    code: ControlCode,
    input: &[u64],
) -> Result<[u64; N], Win32Error> {
    let mut answer = vec![0; N * 8];
    device.control(code, &bytes(input), &mut answer)?;
    let (words, _) = answer.as_chunks::<8>();
    Ok(std::array::from_fn(|index| u64::from_le_bytes(words[index])))
}

fn signals<'a>(tells: &'a Event<'a>, waits: &'a Event<'a>) -> RingSignals<'a> {
    RingSignals { tells, waits, timeout: Some(PATIENCE) }
}

fn failed(failed: ring::Failed<Win32Error, SignalError>) -> Failure {
    match failed {
        ring::Failed::Ring(error) => broken(error),
        ring::Failed::Signals(error) => error.into(),
    }
}

fn broken(error: ring::Error<Win32Error>) -> Failure {
    match error {
        ring::Error::Memory(error) => error.into(),
        error => format!("the ring cannot be used: {error:?}").into(),
    }
}

/// Streams 64 MiB in each direction, one after the other and at once.
///
/// # Errors
/// What a call fails with.
pub fn run(transport: Arc<dyn Transport>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    stream_in_both_directions(&*transport, say).map_err(|error| error as Box<dyn Error>)
}

fn stream_in_both_directions(transport: &dyn Transport, say: Say<'_>) -> Result<(), Failure> {
    const TOTAL: u64 = 64 << 20;
    let stream = Stream::open(transport, 1 << 20)?;
    for (message, name) in [(64 << 10, "64 KiB"), (64, "64 bytes")] {
        let total = if message == 64 { TOTAL / 16 } else { TOTAL };
        let received = stream.receive(transport, Flow::new(total, message))?;
        let sent = stream.send(transport, Flow::new(total, message))?;
        let equal = stream.finish()? == [received, sent];
        say(&format!("{} MiB down, then up, in messages of {name}: checksums equal: {equal}", total >> 20));
    }
    let (received, sent) = thread::scope(|scope| {
        let sender = scope.spawn(|| stream.send(transport, Flow::new(TOTAL, 4096)));
        let received = stream.receive(transport, Flow::new(TOTAL, 4096));
        (received, sender.join().unwrap_or_else(|_| Err("the sender has panicked".into())))
    });
    let equal = stream.finish()? == [received?, sent?];
    say(&format!("{} MiB down and up at once: checksums equal: {equal}", TOTAL >> 20));
    Ok(())
}
