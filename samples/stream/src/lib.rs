//! Bytes at memory speed: two rings of messages in memory that this driver maps for its application, one for each direction.
//! The device is `\\.\Stream`.
//!
//! [`IOCTL_OPEN`] gives the application's handle its rings: the driver allocates pages, maps them for the process that asks, and
//! says where they are; the application brings two events a ring, for the edges at which one side has to wait. From then on no
//! request is made for a message: the application reads and writes the rings itself.
//!
//! [`IOCTL_PRODUCE`] starts a system thread that fills the ring to the application with so many bytes; [`IOCTL_CONSUME`] one that
//! empties the ring from the application. [`IOCTL_FINISH`] waits for both, and tells what they have seen. All bytes are words of a
//! [`Pattern`], and both sides make a [`checksum`] of them.
//!
//! An application that ends, or is killed, has its threads stopped and its memory unmapped in IRP_MJ_CLEANUP, which comes in its own
//! process: mappings can be ended nowhere else.
//!
//! The application can write to the rings what it likes. `driver::ring` checks all of it, so that a thread ends with an error at
//! worst; [`IOCTL_FINISH`] says so.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

mod pattern;
mod worker;

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED, NTSTATUS, STATUS_BUFFER_TOO_SMALL,
    STATUS_DEVICE_BUSY, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER,
};
use driver::{
    Answer, Buffered, BufferedControl, Cleanup, Close, Create, DeviceControl, Dispatch, Driver, DriverObject,
    Event, Mutex, PassiveLevel, PoolArc, SharedPages, Tag, UnicodeStr, UserMapping, ring, utf16,
};

pub use pattern::{Pattern, checksum};
use worker::{Flow, Worker};

/// Gives the handle its rings. Five numbers of eight bytes, little-endian: the rings' capacity, a power of two of 64 bytes to
/// 256 MiB; handles of four events: of the ring to the application, what the driver sets when messages come, and what the
/// application sets when room comes; the same of the ring from the application, the other way round. The answer is three numbers:
/// the addresses of both rings in the application, and how many bytes each has.
pub const IOCTL_OPEN: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS);
/// Starts to produce: four numbers of eight bytes: how many bytes; how many are in each message but the last, a multiple of eight;
/// how many messages are published together; 0 to send zeroes and make no checksum, for whoever measures the way alone, else 1.
pub const IOCTL_PRODUCE: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS);
/// Starts to consume: the same four numbers; the second is the most that a message may have, the third after how many messages
/// their room is given back.
pub const IOCTL_CONSUME: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_BUFFERED, FILE_ANY_ACCESS);
/// Waits for the end of both; six numbers of eight bytes: bytes, checksum and status of the producer, then of the consumer. A
/// side that was not started has zeroes.
pub const IOCTL_FINISH: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x803, METHOD_BUFFERED, FILE_ANY_ACCESS);

const TAG: Tag = Tag::new(*b"Strm");
/// The largest ring.
const MOST: u64 = 256 << 20;

driver::driver_entry!(StreamDriver);

struct StreamDriver;

impl Driver for StreamDriver {
    type Device = Stream;

    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        let device = driver.device(Stream);
        device.name(utf16!(r"\Device\Stream")).symbolic_link(utf16!(r"\??\Stream")).create()?;
        Ok(())
    }
}

/// The device: all that there is belongs to opens.
struct Stream;

/// What an open has.
struct Open {
    rings: Mutex<Option<Rings>>,
}

/// Both rings. The workers go first: they use what is mapped.
struct Rings {
    producer: Option<Worker>,
    consumer: Option<Worker>,
    to_application: Direction,
    from_application: Direction,
}

/// One ring, with its events.
struct Direction {
    mapping: UserMapping,
    events: PoolArc<Edges>,
}

/// The edges at which one side waits.
struct Edges {
    /// Set when messages come.
    filled: Event,
    /// Set when room comes.
    drained: Event,
}

impl Direction {
    fn new(level: PassiveLevel, length: usize, filled: u64, drained: u64) -> Result<Self, NTSTATUS> {
        let filled = Event::from_user_handle(level, filled)?;
        let events = Edges { filled, drained: Event::from_user_handle(level, drained)? };
        let pages = SharedPages::zeroed(level, TAG, length)?;
        ring::lay_out(&pages).map_err(|_| STATUS_INVALID_PARAMETER)?;
        Ok(Self { mapping: pages.map(level, true)?, events: PoolArc::new(TAG, events)? })
    }

    fn pages(&self) -> PoolArc<SharedPages> {
        self.mapping.pages().clone()
    }
}

impl Dispatch for Stream {
    type Io = Buffered;

    fn create(&self, mut request: Create) -> impl Answer {
        let open = Mutex::new(TAG, None).and_then(|rings| PoolArc::new(TAG, Open { rings }));
        match open {
            Ok(open) => {
                request.set_fs_context2(open);
                request.complete()
            }
            Err(status) => request.fail(status),
        }
    }

    fn cleanup(&self, request: Cleanup) -> impl Answer {
        if let Some(open) = request.contexts().fs_context2::<Open>() {
            let rings = open.rings.lock(request.level()).take();
            // Not under the mutex: stopping the workers waits for them.
            drop(rings);
        }
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let DeviceControl::Buffered(mut request) = request else {
            return request.fail(STATUS_INVALID_DEVICE_REQUEST);
        };
        match control(&mut request) {
            Ok(()) => request.complete(),
            Err(status) => request.fail(status),
        }
    }
}

fn control(request: &mut BufferedControl) -> Result<(), NTSTATUS> {
    let level = request.level();
    match request.code() {
        IOCTL_OPEN => {
            let [capacity, filled_down, drained_down, filled_up, drained_up] = numbers(request)?;
            let length = usize::try_from(capacity).ok().filter(|_| capacity <= MOST);
            let length = length.and_then(ring::bytes_for).ok_or(STATUS_INVALID_PARAMETER)?;
            let rings = Rings {
                producer: None,
                consumer: None,
                to_application: Direction::new(level, length, filled_down, drained_down)?,
                from_application: Direction::new(level, length, filled_up, drained_up)?,
            };
            let [down, up] =
                [&rings.to_application, &rings.from_application].map(|one| one.mapping.address());
            let mut place = open_of(request)?.rings.lock(level);
            if place.is_some() {
                return Err(STATUS_DEVICE_BUSY);
            }
            *place = Some(rings);
            drop(place);
            answer(request, &[down, up, length as u64])
        }
        IOCTL_PRODUCE | IOCTL_CONSUME => {
            let flow = Flow::from_numbers(numbers(request)?).ok_or(STATUS_INVALID_PARAMETER)?;
            let produces = request.code() == IOCTL_PRODUCE;
            let mut place = open_of(request)?.rings.lock(level);
            let rings = place.as_mut().ok_or(STATUS_INVALID_DEVICE_STATE)?;
            rings.start(level, produces, flow)
        }
        IOCTL_FINISH => {
            let workers = {
                let mut place = open_of(request)?.rings.lock(level);
                let rings = place.as_mut().ok_or(STATUS_INVALID_DEVICE_STATE)?;
                [rings.producer.take(), rings.consumer.take()]
            };
            let mut told = [0; 6];
            for (place, worker) in told.chunks_exact_mut(3).zip(workers) {
                if let Some(worker) = worker {
                    place.copy_from_slice(&worker.finish(level)?);
                }
            }
            answer(request, &told)
        }
        _ => Err(STATUS_INVALID_DEVICE_REQUEST),
    }
}

impl Rings {
    fn start(&mut self, level: PassiveLevel, produces: bool, flow: Flow) -> Result<(), NTSTATUS> {
        let (place, direction) = if produces {
            (&mut self.producer, &self.to_application)
        } else {
            (&mut self.consumer, &self.from_application)
        };
        if place.is_some() {
            return Err(STATUS_DEVICE_BUSY);
        }
        let (pages, events) = (direction.pages(), direction.events.clone());
        *place = Some(if produces {
            Worker::producer(level, pages, events, flow)?
        } else {
            Worker::consumer(level, pages, events, flow)?
        });
        Ok(())
    }
}

fn open_of(request: &BufferedControl) -> Result<&Open, NTSTATUS> {
    request.contexts().fs_context2().ok_or(STATUS_INVALID_DEVICE_REQUEST)
}

/// The numbers that the input consists of.
fn numbers<const N: usize>(request: &mut BufferedControl) -> Result<[u64; N], NTSTATUS> {
    let (words, []) = request.input().as_chunks::<8>() else { return Err(STATUS_INVALID_PARAMETER) };
    let words: &[[u8; 8]; N] = words.try_into().map_err(|_| STATUS_INVALID_PARAMETER)?;
    Ok(words.map(u64::from_le_bytes))
}

fn answer(request: &mut BufferedControl, numbers: &[u64]) -> Result<(), NTSTATUS> {
    if request.output_length() < size_of_val(numbers) {
        return Err(STATUS_BUFFER_TOO_SMALL);
    }
    let mut output = request.output();
    for number in numbers {
        output.write(&number.to_le_bytes());
    }
    Ok(())
}
