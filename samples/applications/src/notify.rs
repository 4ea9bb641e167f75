//! The application of `notify`: learns what a driver has to tell, at once, by an event of the driver's, by one of its own, by
//! requests that wait in the driver; and by all three in one wait.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;

use abi::{CTL_CODE, FILE_DEVICE_UNKNOWN, FILE_READ_ACCESS, METHOD_BUFFERED};
use app::{
    Buffer, ControlCode, Device, Event, EventKind, OpenOptions, Operation, Overlapped, Transport, Waitable,
    Waited, Win32Error, wait_any,
};

use crate::Say;

const fn code(function: u32) -> ControlCode {
    ControlCode(CTL_CODE(FILE_DEVICE_UNKNOWN, function, METHOD_BUFFERED, FILE_READ_ACCESS))
}

/// `notify`'s code that tells the name of the handle's event.
pub const IOCTL_NAME: ControlCode = code(0x800);
/// `notify`'s code that has notifications made.
pub const IOCTL_START: ControlCode = code(0x801);
/// `notify`'s code that waits for notifications.
pub const IOCTL_NEXT: ControlCode = code(0x802);

const PATH: &str = r"\\.\Notify";
const NAMED_EVENT: u32 = 0;
const OWN_EVENT: u32 = 1;
const REQUEST: u32 = 2;
/// Bytes of a notification.
const NOTIFICATION: usize = size_of::<u64>();
/// Notifications that one read or request has room for.
const ROOM: usize = 64;
/// Requests that wait in the driver at the same time.
const REQUESTS: usize = 4;

/// Who gets each notification's number.
pub type Heard<'a> = &'a mut dyn FnMut(u64);

fn open(transport: &dyn Transport) -> Result<Device<'_>, Win32Error> {
    OpenOptions::new().access(abi::GENERIC_READ).open(transport, PATH)
}

fn start(device: &Device<'_>, way: u32, count: u32, event: Option<&Event<'_>>) -> Result<(), Win32Error> {
    let mut input = [way, count].map(u32::to_le_bytes).concat();
    if let Some(event) = event {
        input.extend(event.handle().value().to_le_bytes());
    }
    device.control(IOCTL_START, &input, &mut []).map(drop)
}

fn hear(bytes: &[u8], heard: Heard<'_>) -> u32 {
    let (numbers, _) = bytes.as_chunks::<NOTIFICATION>();
    numbers.iter().for_each(|number| heard(u64::from_le_bytes(*number)));
    // At most ROOM.
    u32::try_from(numbers.len()).unwrap_or(u32::MAX)
}

/// Reads until there is no more; how many there were. An event that is set twice is seen once: who reads once for each time
/// that it wakes up leaves notifications behind.
fn read_all(device: &Device<'_>, heard: Heard<'_>) -> Result<u32, Win32Error> {
    let mut buffer = [0; ROOM * NOTIFICATION];
    let mut count = 0;
    loop {
        match device.read(&mut buffer) {
            Ok(bytes) => count += hear(buffer.get(..bytes as usize).unwrap_or(&[]), heard),
            Err(error) if error.code == abi::ERROR_NO_MORE_ITEMS => return Ok(count),
            Err(error) => return Err(error),
        }
    }
}

/// Opens the event that the driver has made for this handle. A standard user may not.
///
/// # Errors
/// ERROR_ACCESS_DENIED (5); what the driver says.
pub fn open_named<'t>(
    transport: &'t dyn Transport,
    device: &Device<'_>,
    access: u32,
) -> Result<Event<'t>, Win32Error> {
    let mut name = [0; 64];
    let bytes = device.control(IOCTL_NAME, &[], &mut name)?;
    let (units, _) = name[..(bytes as usize).min(name.len())].as_chunks();
    let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    Event::open(transport, &format!(r"Global\{}", String::from_utf16_lossy(&units)), access)
}

/// `count` notifications by the driver's own event.
///
/// # Errors
/// What a call fails with.
pub fn by_named_event(transport: &dyn Transport, count: u32, heard: Heard<'_>) -> Result<(), Win32Error> {
    let device = open(transport)?;
    let event = open_named(transport, &device, abi::SYNCHRONIZE)?;
    start(&device, NAMED_EVENT, count, None)?;
    by_event(&device, &event, count, heard)
}

/// `count` notifications by an event of this application's.
///
/// # Errors
/// What a call fails with.
pub fn by_own_event(transport: &dyn Transport, count: u32, heard: Heard<'_>) -> Result<(), Win32Error> {
    let device = open(transport)?;
    let event = Event::new(transport, EventKind::AutoReset, false)?;
    start(&device, OWN_EVENT, count, Some(&event))?;
    by_event(&device, &event, count, heard)
}

fn by_event(device: &Device<'_>, event: &Event<'_>, count: u32, heard: Heard<'_>) -> Result<(), Win32Error> {
    let mut total = 0;
    while total < count {
        event.wait(None)?;
        total += read_all(device, heard)?;
    }
    Ok(())
}

/// Requests that wait in the driver, in the order in which it will answer them.
struct Requests<'d> {
    device: &'d Device<'d>,
    /// Each with its event's place in `events`.
    waiting: VecDeque<(Operation<'d>, usize)>,
    events: &'d [Event<'d>],
}

impl<'d> Requests<'d> {
    /// One for each event.
    fn new(
        transport: &'d dyn Transport,
        device: &'d Device<'d>,
        events: &'d [Event<'d>],
    ) -> Result<Self, Win32Error> {
        let mut this = Self { device, waiting: VecDeque::new(), events };
        for place in 0..events.len() {
            let length = u32::try_from(ROOM * NOTIFICATION).unwrap_or(u32::MAX);
            this.send(Buffer::new(transport, 0)?, Buffer::new(transport, length)?, place)?;
        }
        Ok(this)
    }

    fn send(&mut self, input: Buffer, output: Buffer, place: usize) -> Result<(), Win32Error> {
        let overlapped = Overlapped::new().event(&self.events[place]);
        let begun = self.device.control_overlapped(IOCTL_NEXT, input, output, &overlapped);
        self.waiting.push_back((begun.map_err(|refused| refused.error)?, place));
        Ok(())
    }

    /// The event of the request that is answered next.
    fn next(&self) -> Option<&'d Event<'d>> {
        self.waiting.front().map(|(_, place)| &self.events[*place])
    }

    /// Waits for the oldest request, and sends another one in its place; how many notifications it brought.
    fn take(&mut self, heard: Heard<'_>) -> Result<u32, Win32Error> {
        let Some((operation, place)) = self.waiting.pop_front() else { return Ok(0) };
        let finished = operation.finish();
        let bytes = finished.buffer.to_vec(finished.result?);
        if let Some(input) = finished.input {
            self.send(input, finished.buffer, place)?;
        }
        Ok(hear(&bytes, heard))
    }
}

fn request_events(transport: &dyn Transport) -> Result<Vec<Event<'_>>, Win32Error> {
    (0..REQUESTS).map(|_| Event::new(transport, EventKind::ManualReset, false)).collect()
}

fn open_for_requests(transport: &dyn Transport) -> Result<Device<'_>, Win32Error> {
    OpenOptions::new().access(abi::GENERIC_READ).overlapped(true).open(transport, PATH)
}

/// `count` notifications by requests that wait in the driver.
///
/// # Errors
/// What a call fails with.
pub fn by_requests(transport: &dyn Transport, count: u32, heard: Heard<'_>) -> Result<(), Win32Error> {
    let device = open_for_requests(transport)?;
    let events = request_events(transport)?;
    let mut requests = Requests::new(transport, &device, &events)?;
    start(&device, REQUEST, count, None)?;
    let mut total = 0;
    while total < count {
        total += requests.take(heard)?;
    }
    Ok(())
}

/// `count` notifications in each way, by three handles, with one wait for all; `heard` also gets the way, from 0.
///
/// # Errors
/// What a call fails with.
pub fn by_one_wait(
    transport: &dyn Transport,
    count: u32,
    heard: &mut dyn FnMut(usize, u64),
) -> Result<(), Win32Error> {
    let (named, own, asked) = (open(transport)?, open(transport)?, open_for_requests(transport)?);
    let named_event = open_named(transport, &named, abi::SYNCHRONIZE)?;
    let own_event = Event::new(transport, EventKind::AutoReset, false)?;
    let events = request_events(transport)?;
    let mut requests = Requests::new(transport, &asked, &events)?;
    start(&named, NAMED_EVENT, count, None)?;
    start(&own, OWN_EVENT, count, Some(&own_event))?;
    start(&asked, REQUEST, count, None)?;
    let mut totals = [0; 3];
    while totals.iter().any(|total| *total < count) {
        let mut objects: Vec<&dyn Waitable> = vec![&named_event, &own_event];
        objects.extend(requests.next().map(|event| event as &dyn Waitable));
        let Waited::Signaled(way) = wait_any(transport, &objects, None)? else { continue };
        let heard: Heard<'_> = &mut |number| heard(way, number);
        totals[way] += match way {
            0 => read_all(&named, heard)?,
            1 => read_all(&own, heard)?,
            _ => requests.take(heard)?,
        };
    }
    Ok(())
}

/// Does everything once.
///
/// # Errors
/// What a call fails with; a notification that came out of turn.
pub fn run(transport: Arc<dyn Transport>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    const COUNT: u32 = 10_000;
    let transport = &*transport;
    type Listen = fn(&dyn Transport, u32, Heard<'_>) -> Result<(), Win32Error>;
    let ways: [(&str, Listen); 3] = [
        ("an event that the driver named", by_named_event),
        ("an event whose handle the driver got", by_own_event),
        ("requests that waited in the driver", by_requests),
    ];
    for (name, listen) in ways {
        let mut turns = Turns::default();
        listen(transport, COUNT, &mut |number| turns.hear(number))?;
        say(&format!("{} notifications by {name}", turns.all()?));
    }
    let mut turns: [Turns; 3] = Default::default();
    by_one_wait(transport, COUNT, &mut |way, number| turns[way].hear(number))?;
    let [named, own, asked] = turns.map(|turns| turns.all());
    say(&format!("one wait for all three: {}, {} and {} notifications", named?, own?, asked?));
    Ok(())
}

/// Sees to it that every number comes once, in its turn.
#[derive(Default)]
struct Turns {
    next: u64,
    /// Number, and the one whose turn it was.
    wrong: Option<(u64, u64)>,
}

impl Turns {
    fn hear(&mut self, number: u64) {
        if number != self.next && self.wrong.is_none() {
            self.wrong = Some((number, self.next));
        }
        self.next += 1;
    }

    fn all(self) -> Result<u64, String> {
        match self.wrong {
            None => Ok(self.next),
            Some((number, turn)) => Err(format!("notification {number} came when it was {turn}'s turn")),
        }
    }
}
