//! The part about a driver that has something to tell: by an event of its own, by one of the application's, and by requests that
//! wait for it.

use std::path::Path;
use std::time::Duration;

use abi::{GENERIC_READ, SYNCHRONIZE};
use anyhow::{Result, ensure};
use app::{Buffer, ControlCode, Device, Event, EventKind, OpenOptions, Overlapped, Transport};

use super::call;
use super::stage::Stage;
use crate::output::{Output, Tone};

/// See samples/notify: its codes, and the ways that it is asked for.
const NAME: ControlCode = ControlCode(0x0022_6000);
const START: ControlCode = ControlCode(0x0022_6004);
const NEXT: ControlCode = ControlCode(0x0022_6008);
const NAMED_EVENT: u32 = 0;
const OWN_EVENT: u32 = 1;
const REQUEST: u32 = 2;
const PATH: &str = r"\\.\Notify";
/// Notifications of each event.
const COUNT: u32 = 1000;
/// Long enough for a busy machine.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

/// See samples/notify.
pub(super) fn show(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["notify"])?;
    let process = stage.process();
    by_the_drivers_event(&process, output)?;
    by_an_event_of_its_own(&process, output)?;
    by_requests(&stage, &process, output)?;
    Ok(())
}

fn open(transport: &dyn Transport, overlapped: bool) -> Result<Device<'_>> {
    Ok(OpenOptions::new().access(GENERIC_READ).overlapped(overlapped).open(transport, PATH)?)
}

fn start(device: &Device<'_>, way: u32, count: u32, event: Option<&Event<'_>>) -> Result<()> {
    let mut input = [way, count].map(u32::to_le_bytes).concat();
    input.extend(event.into_iter().flat_map(|event| event.handle().value().to_le_bytes()));
    device.control(START, &input, &mut [])?;
    Ok(())
}

/// Waits for the event and reads until there is no more, until all are there.
fn listen(device: &Device<'_>, event: &Event<'_>, output: &mut Output) -> Result<()> {
    let (mut woken, mut next) = (0, 0);
    while next < u64::from(COUNT) {
        ensure!(event.wait(PATIENCE)?, "the event was not set");
        woken += 1;
        let mut buffer = [0; 512];
        loop {
            match device.read(&mut buffer) {
                Ok(bytes) => {
                    let (numbers, _) = crate::transfer::front(&buffer, bytes).as_chunks();
                    for number in numbers {
                        ensure!(u64::from_le_bytes(*number) == next, "a notification came out of turn");
                        next += 1;
                    }
                }
                Err(error) if error.code == abi::ERROR_NO_MORE_ITEMS => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    let result = format_args!("{next} notifications in order, and woke up {woken} times for them");
    call(output, "WaitForSingleObject, then ReadFile until ERROR_NO_MORE_ITEMS", result)
}

fn by_the_drivers_event(transport: &dyn Transport, output: &mut Output) -> Result<()> {
    output
        .line("   notify.sys makes an event when it is opened, and sets it for each of its notifications:")?;
    let device = open(transport, false)?;
    let mut name = [0; 64];
    let bytes = device.control(NAME, &[], &mut name)?;
    let (units, _) = crate::transfer::front(&name, bytes).as_chunks();
    let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    let name = format!(r"Global\{}", String::from_utf16_lossy(&units));
    let event = Event::open(transport, &name, SYNCHRONIZE)?;
    call(output, &format!("OpenEvent({name}, SYNCHRONIZE)"), format_args!("handle {:#x}", event.handle().0))?;
    match Event::open(transport, &name, abi::EVENT_MODIFY_STATE) {
        Ok(_) => call(output, "OpenEvent(EVENT_MODIFY_STATE)", "an application may set it")?,
        Err(error) => {
            let why = format!("error {}: it is the driver's, who made it", error.code);
            call(output, "OpenEvent(EVENT_MODIFY_STATE)", output.paint(Tone::Bad, why))?;
        }
    }
    start(&device, NAMED_EVENT, COUNT, None)?;
    listen(&device, &event, output)
}

fn by_an_event_of_its_own(transport: &dyn Transport, output: &mut Output) -> Result<()> {
    output.line("   It takes an application's event too, by its handle:")?;
    let device = open(transport, false)?;
    let event = Event::new(transport, EventKind::AutoReset, false)?;
    start(&device, OWN_EVENT, COUNT, Some(&event))?;
    let handle = event.handle().0;
    call(output, &format!("DeviceIoControl({START:?}, {COUNT}, handle {handle:#x})"), "taken")?;
    listen(&device, &event, output)
}

fn by_requests(stage: &Stage, transport: &dyn Transport, output: &mut Output) -> Result<()> {
    output.line("   Or requests wait in the driver until it has something to say, the inverted call:")?;
    let device = open(transport, true)?;
    let events = [(); 2].map(|()| Event::new(transport, EventKind::ManualReset, false));
    let [first, second] = events;
    let (first, second) = (first?, second?);
    stage.skip();
    let begin = |event| -> Result<_> {
        let (nothing, room) = (Buffer::new(transport, 0)?, Buffer::new(transport, 8)?);
        Ok(device.control_overlapped(NEXT, nothing, room, &Overlapped::new().event(event))?)
    };
    let operations = [begin(&first)?, begin(&second)?];
    let waiting = operations.iter().filter(|operation| !operation.has_completed()).count();
    call(output, &format!("DeviceIoControl({NEXT:?}, OVERLAPPED), twice"), format_args!("{waiting} wait"))?;
    start(&device, REQUEST, 2, None)?;
    for operation in operations {
        let finished = operation.finish();
        let bytes = finished.buffer.to_vec(finished.result?);
        let number = bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        call(output, "GetOverlappedResult", format_args!("notification {number}"))?;
    }
    stage.draw("", output)
}
