//! The application of `delay`: reads that are answered later, awaited in every way that Win32 has: by the file, by events, by a
//! completion port, by completion routines; cancelled; and as futures.

use std::cell::Cell;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use abi::{CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED};
use app::{
    Buffer, CompletionPort, CompletionRoutines, ControlCode, Device, Event, EventKind, OpenOptions,
    Overlapped, Reactor, Transport, Waitable, wait_all,
};

use crate::Say;

/// `delay`'s control code that says how the handle's reads are answered.
pub const IOCTL_SET: ControlCode =
    ControlCode(CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS));
const THREAD: u32 = 0;
const TIMER: u32 = 1;
const PATH: &str = r"\\.\Delay";
/// As good as for ever, in milliseconds.
const HOUR: u32 = 3_600_000;

fn options() -> OpenOptions {
    OpenOptions::new().access(abi::GENERIC_READ).overlapped(true)
}

fn set(device: &Device<'_>, way: u32, milliseconds: u32) -> Result<(), Box<dyn Error>> {
    device.control(IOCTL_SET, &[way, milliseconds].map(u32::to_le_bytes).concat(), &mut [])?;
    Ok(())
}

/// Does everything once.
///
/// # Errors
/// What a call fails with.
pub fn run(transport: Arc<dyn Transport>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    by_events(&*transport, say)?;
    cancelled(&*transport, say)?;
    by_a_port(&*transport, say)?;
    by_routines(&*transport, say)?;
    by_futures(transport, say)
}

fn by_events(transport: &dyn Transport, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let device = options().open(transport, PATH)?;
    set(&device, TIMER, 30)?;
    let events = [(); 3].map(|()| Event::new(transport, EventKind::ManualReset, false));
    let events = events.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut operations = Vec::new();
    for event in &events {
        let buffer = Buffer::new(transport, 100)?;
        operations.push(device.read_overlapped(buffer, &Overlapped::new().event(event))?);
    }
    let waited: Vec<&dyn Waitable> = events.iter().map(|event| event as _).collect();
    wait_all(transport, &waited, None)?;
    let mut total = 0;
    for operation in operations {
        total += operation.finish().result?;
    }
    say(&format!("three reads side by side, awaited by events: {total} bytes"));
    Ok(())
}

fn cancelled(transport: &dyn Transport, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let device = options().open(transport, PATH)?;
    set(&device, THREAD, HOUR)?;
    let operation = device.read_overlapped(Buffer::new(transport, 10)?, &Overlapped::new())?;
    let in_time = operation.wait(Some(Duration::from_millis(10)))?;
    operation.cancel()?;
    match operation.finish().result {
        Err(error) => say(&format!("a read of an hour, ended in time: {in_time}, cancelled: {}", error.code)),
        Ok(bytes) => say(&format!("a read of an hour brought {bytes} bytes")),
    }
    Ok(())
}

fn by_a_port(transport: &dyn Transport, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let device = options().open(transport, PATH)?;
    let port = CompletionPort::new(transport, 1)?;
    port.associate(&device, 7)?;
    let mut operations = Vec::new();
    for (length, delay) in [(1, 30), (2, 10), (3, 20)] {
        set(&device, TIMER, delay)?;
        operations.push(device.read_overlapped(Buffer::new(transport, length)?, &Overlapped::new())?);
    }
    // Setting succeeds in its call and is no overlapped request: the port tells of the reads alone.
    let mut order = Vec::new();
    while order.len() < operations.len() {
        if let Some(packet) = port.get(None)? {
            order.push(packet.result?);
        }
    }
    say(&format!("the port told of reads of {order:?} bytes"));
    Ok(())
}

fn by_routines(transport: &dyn Transport, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let device = options().open(transport, PATH)?;
    set(&device, TIMER, 5)?;
    let total = Cell::new(0);
    let routines = CompletionRoutines::new(transport);
    for length in [10, 20] {
        let add = |finished: app::Finished| total.set(total.get() + finished.result.unwrap_or(0));
        routines.read(&device, Buffer::new(transport, length)?, 0, add)?;
    }
    while routines.waiting() > 0 {
        routines.sleep(None)?;
    }
    say(&format!("completion routines got {} bytes", total.get()));
    Ok(())
}

fn by_futures(transport: Arc<dyn Transport>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let reactor = Reactor::new(transport)?;
    let device = reactor.open(&options(), PATH)?;
    set(device.device(), TIMER, 5)?;
    let first = device.read(Buffer::new(reactor.transport(), 4)?, 0);
    let second = device.read(Buffer::new(reactor.transport(), 5)?, 0);
    let (first, second) = futures_lite::future::block_on(futures_lite::future::zip(first, second));
    say(&format!("two futures brought {} bytes", first.result? + second.result?));
    Ok(())
}
