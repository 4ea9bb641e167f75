//! The part about device stacks: a filter above another driver's device, and the ways of IRPs through both.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, bail};
use app::{ControlCode, Device, Transport};
use host::{Event, LoadOptions, Machine, Process, UnloadOutcome};

use super::here::draw;
use super::{DEVICE, Part, call, driver};
use crate::output::{Output, Tone};
use crate::target;
use crate::watch::Recorder;

/// The sample's codes and modes: see samples/tap.
const REPORT: ControlCode = ControlCode(0x0022_2040);
const SET_MODE: ControlCode = ControlCode(0x0022_2044);
const RELEASE: ControlCode = ControlCode(0x0022_2048);
const HOLD_WRITES: u32 = 1;
const CONTROL: &str = r"\\.\Tap";
/// What the report's numbers count.
const COUNTED: [&str; 9] =
    ["creates", "closes", "reads", "bytes read", "writes", "controls", "refused", "held", "sent again"];

pub(super) fn show(folder: &Path, output: &mut Output) -> Result<Part> {
    let (hello, tap) = match (driver(folder, "hello.sys"), driver(folder, "tap.sys")) {
        (Ok(hello), Ok(tap)) => (hello, tap),
        (Err(skipped), _) | (_, Err(skipped)) => return Ok(skipped),
    };
    let machine = Machine::new().context("no machine can be started")?;
    target::load(&machine, &hello, LoadOptions::default())?;
    let process = machine.process("demo");
    let device = Device::open(&process, DEVICE)?;
    read(&device, "with hello.sys alone", output)?;
    target::load(&machine, &tap, LoadOptions::default())?;
    output.line(
        r"   tap.sys attaches a device of its own above \Device\My_Device. The file is open already:",
    )?;
    let events = Arc::new(Recorder::default());
    machine.watch(events.clone());
    read(&device, "through both", output)?;
    draw(&events, "capital letters copied out", output)?;
    refuse(&device, output)?;
    draw(&events, "the driver below does not learn of it", output)?;
    hold(&machine, &process, &device, &events, output)?;
    report(&process, output)?;
    match machine.unload("tap").map_err(|status| anyhow::anyhow!("tap cannot be unloaded: {status:?}"))? {
        UnloadOutcome::Unloaded(report) if report.is_clean() => {}
        other => bail!("tap left something behind: {other:?}"),
    }
    call(output, "DriverUnload of tap.sys", "detached, nothing left behind")?;
    read(&device, "with hello.sys alone again", output)?;
    device.close()?;
    Ok(Part::Shown)
}

fn read(device: &Device<'_>, how: &str, output: &mut Output) -> Result<()> {
    let mut buffer = [0; 5];
    let bytes = device.read(&mut buffer)?;
    let text = String::from_utf8_lossy(crate::transfer::front(&buffer, bytes)).into_owned();
    call(output, "ReadFile(5 bytes)", format_args!("{text:?}, {how}"))
}

fn refuse(device: &Device<'_>, output: &mut Output) -> Result<()> {
    let Err(error) = device.write(b"!forbidden") else {
        bail!("the filter let a write pass that it refuses")
    };
    let name = abi::win32_name(error.code).unwrap_or_default();
    let error = format!("error {} {name}", error.code);
    call(output, "WriteFile(\"!forbidden\")", output.paint(Tone::Bad, error))
}

/// A write that the filter holds until it is told to let it go.
fn hold(
    machine: &Machine,
    process: &Process,
    device: &Device<'_>,
    events: &Recorder,
    output: &mut Output,
) -> Result<()> {
    let control = Device::open(process, CONTROL)?;
    control.control(SET_MODE, &HOLD_WRITES.to_le_bytes(), &mut [])?;
    events.take();
    let (written, seen) = thread::scope(|scope| {
        let writer = scope.spawn(|| device.write(b"held"));
        let mut seen = Vec::new();
        let is_pending =
            |event: &Event| matches!(event, Event::IrpReturned { status: abi::STATUS_PENDING, .. });
        while !seen.iter().any(is_pending) && !writer.is_finished() && machine.bugcheck().is_none() {
            seen.append(&mut events.take());
            thread::yield_now();
        }
        let released = control.control(RELEASE, &[], &mut [0; 4]);
        let written = writer.join().map_err(|_| anyhow::anyhow!("the writing thread failed"));
        seen.append(&mut events.take());
        released.map(|_| (written, seen))
    })?;
    let bytes = written??;
    call(
        output,
        "WriteFile(\"held\")",
        format_args!("{bytes} bytes taken, once IOCTL_RELEASE let it go down"),
    )?;
    for route in super::route::routes(&seen).iter().filter(|route| route.major == abi::IRP_MJ_WRITE) {
        let line = route.draw(output.arrow(), "");
        output.line(format_args!("      {}", output.paint(Tone::Quiet, line)))?;
    }
    Ok(control.close()?)
}

fn report(transport: &dyn Transport, output: &mut Output) -> Result<()> {
    let mut bytes = [0; 4 * COUNTED.len()];
    let control = Device::open(transport, CONTROL)?;
    let length = control.control(REPORT, &[], &mut bytes)?;
    if length as usize != bytes.len() {
        bail!("the filter's report has {length} bytes, not {}", bytes.len());
    }
    let numbers = bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
    let parts: Vec<String> =
        COUNTED.iter().zip(numbers).map(|(name, number)| format!("{name} {number}")).collect();
    call(output, "DeviceIoControl(IOCTL_REPORT)", parts.join(", "))?;
    Ok(control.close()?)
}
