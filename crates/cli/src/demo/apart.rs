//! The part about applications in processes of their own: bytes from one to another through a driver, and requests that go
//! on when their call has returned.

use std::path::Path;
use std::process::{self, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use app::{Buffer, ControlCode, Device, Event, EventKind, OpenOptions, Overlapped};
use gate::Client;

use super::across::{Host, Room, stop};
use super::{Part, call, driver};
use crate::output::{Output, Tone};

const PIPE: &str = r"\\.\Example\DEMO";
const DELAY: &str = r"\\.\Delay";
/// `delay`'s code that says how reads are answered: way (1: a timer's DPC) and milliseconds.
const SET: ControlCode = ControlCode(0x0022_2000);
const BY_TIMER: u32 = 1;

pub(super) fn show(folder: &Path, output: &mut Output) -> Result<Part> {
    let (pipe, delay) = match (driver(folder, "pipe.sys"), driver(folder, "delay.sys")) {
        (Ok(pipe), Ok(delay)) => (pipe, delay),
        (Err(skipped), _) | (_, Err(skipped)) => return Ok(skipped),
    };
    let room = Room::new()?;
    let socket = room.path().join("gate");
    let (host, ready) = Host::start(&[&pipe, &delay], &socket)?;
    output.line(format_args!("      {ready}"))?;
    let client = Client::connect(&socket)?;
    from_one_to_another(&client, &socket, output)?;
    going_on(&client, output)?;
    drop(client);
    stop(host, output)?;
    Ok(Part::Shown)
}

fn from_one_to_another(client: &Client, socket: &Path, output: &mut Output) -> Result<()> {
    // Open before the other one writes: a pipe goes with its last open.
    let reader = Device::open(client, PIPE)?;
    let program = std::env::current_exe().context("this program's file cannot be found")?;
    let mut writer = Command::new(program);
    writer.args(["write", PIPE, "from a process of its own", "--socket"]).arg(socket);
    output.line(format_args!(
        "   {}",
        output.paint(Tone::Good, format_args!("$ ringbridge write '{PIPE}' 'from a process of its own'"))
    ))?;
    output.flush()?;
    let written = writer.stdin(Stdio::null()).output().context("a third process cannot be started")?;
    if !written.status.success() {
        bail!("the writer failed: {}", String::from_utf8_lossy(&written.stderr).trim());
    }
    for line in String::from_utf8_lossy(&written.stdout).lines() {
        output.line(format_args!("      {line}"))?;
    }
    let mut buffer = [0; 64];
    let bytes = reader.read(&mut buffer)?;
    let text = String::from_utf8_lossy(&buffer[..(bytes as usize).min(64)]).into_owned();
    output.line(format_args!("   The same pipe, read here (pid {}):", process::id()))?;
    call(output, "ReadFile", format_args!("{bytes} bytes, {text:?}"))
}

fn going_on(client: &Client, output: &mut Output) -> Result<()> {
    output.line("   Requests that go on when their call has returned:")?;
    let device = OpenOptions::new().access(abi::GENERIC_READ).overlapped(true).open(client, DELAY)?;
    let set = |milliseconds: u32| {
        device.control(SET, &[BY_TIMER, milliseconds].map(u32::to_le_bytes).concat(), &mut [])
    };
    set(30)?;
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
    set(3_600_000)?;
    let slow = begin()?;
    slow.cancel()?;
    match slow.finish().result {
        Err(error) => call(output, "a read of an hour, CancelIoEx", error),
        Ok(bytes) => call(output, "a read of an hour", format_args!("{bytes} bytes")),
    }
}
