//! The part about applications in processes of their own: bytes from one to another through a driver, and requests that go
//! on when their call has returned.

use std::path::Path;
use std::process;
use std::time::{Duration, Instant};

use anyhow::Result;
use app::{Buffer, ControlCode, Device, Event, EventKind, OpenOptions, Overlapped, Transport};

use super::call;
use super::route::From;
use super::stage::Stage;
use crate::output::Output;

const PIPE: &str = r"\\.\Example\DEMO";
const DELAY: &str = r"\\.\Delay";
/// `delay`'s code that says how reads are answered: way (1: a timer's DPC) and milliseconds.
const SET: ControlCode = ControlCode(0x0022_2000);
const BY_TIMER: u32 = 1;

/// See samples/pipe: bytes of another process, read here.
pub(super) fn from_one_to_another(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["pipe"])?;
    let process = stage.process();
    output.line("   One application writes in a process of its own, another one reads in this:")?;
    // Open before the other one writes: a pipe goes with its last open.
    let reader = Device::open(&process, PIPE)?;
    let served = stage.serve()?;
    stage.skip();
    let pid = served.run(&["write", PIPE, "from a process of its own"], output)?;
    stage.draw_those(From::Process(pid), "", |route| route.major == abi::IRP_MJ_WRITE, output)?;
    let mut buffer = [0; 64];
    let bytes = reader.read(&mut buffer)?;
    let text = String::from_utf8_lossy(crate::transfer::front(&buffer, bytes)).into_owned();
    call(output, &format!("ReadFile (pid {})", process::id()), format_args!("{bytes} bytes, {text:?}"))?;
    stage.draw_those(From::Here, "", |route| route.major == abi::IRP_MJ_READ, output)
}

/// See samples/delay: overlapped reads.
pub(super) fn going_on(stage: &Stage, client: &dyn Transport, output: &mut Output) -> Result<()> {
    output.line("   Requests that go on when their call has returned:")?;
    let device = OpenOptions::new().access(abi::GENERIC_READ).overlapped(true).open(client, DELAY)?;
    let set = |milliseconds: u32| {
        device.control(SET, &[BY_TIMER, milliseconds].map(u32::to_le_bytes).concat(), &mut [])
    };
    set(30)?;
    stage.skip();
    let event = Event::new(client, EventKind::ManualReset, false)?;
    let begin = || -> Result<_> {
        let buffer = Buffer::new(client, 10)?;
        Ok(device.read_overlapped(buffer, &Overlapped::new().event(&event))?)
    };
    let start = Instant::now();
    let first = begin()?;
    let second = begin()?;
    let pending = [&first, &second].iter().filter(|operation| !operation.has_completed()).count();
    call(output, "ReadFile(OVERLAPPED), twice", format_args!("{pending} go on"))?;
    event.wait(Some(Duration::from_secs(10)))?;
    let waited = start.elapsed().as_millis();
    call(output, "WaitForSingleObject(event)", format_args!("signaled after {waited} ms"))?;
    let bytes = first.finish().result? + second.finish().result?;
    call(output, "GetOverlappedResult, of both", format_args!("{bytes} bytes"))?;
    stage.draw("", output)?;
    set(3_600_000)?;
    let slow = begin()?;
    slow.cancel()?;
    match slow.finish().result {
        Err(error) => call(output, "a read of an hour, CancelIoEx", error),
        Ok(bytes) => call(output, "a read of an hour", format_args!("{bytes} bytes")),
    }
}
