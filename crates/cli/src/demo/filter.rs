//! The part about device stacks: a filter above another driver's device, and the ways of IRPs through both.

use std::path::Path;
use std::thread;

use anyhow::{Result, bail};
use app::{ControlCode, Device, Transport};
use host::Process;

use super::route::From;
use super::stage::{Stage, draw, is_pended};
use super::{DEVICE, call, objects, refused};
use crate::output::Output;

/// The sample's codes and modes: see samples/tap.
const REPORT: ControlCode = ControlCode(0x0022_2040);
const SET_MODE: ControlCode = ControlCode(0x0022_2044);
const RELEASE: ControlCode = ControlCode(0x0022_2048);
const HOLD_WRITES: u32 = 1;
const CONTROL: &str = r"\\.\Tap";
/// What the report's numbers count.
const COUNTED: [&str; 9] =
    ["creates", "closes", "reads", "bytes read", "writes", "controls", "refused", "held", "sent again"];

pub(super) fn show(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["hello"])?;
    let process = stage.process();
    let device = Device::open(&process, DEVICE)?;
    stage.skip();
    read(&device, "with hello.sys alone", output)?;
    stage.draw("", output)?;
    stage.load(folder, "tap")?;
    stage.skip();
    output.line(
        r"   tap.sys attaches a device of its own above \Device\My_Device. The file is open already:",
    )?;
    read(&device, "through both", output)?;
    stage.draw("capital letters", output)?;
    refuse(&device, output)?;
    stage.draw("", output)?;
    hold(&stage, &process, &device, output)?;
    report(&process, output)?;
    objects::unload(&stage, "tap", output)?;
    stage.skip();
    read(&device, "with hello.sys alone again", output)?;
    stage.draw("", output)?;
    Ok(device.close()?)
}

fn read(device: &Device<'_>, how: &str, output: &mut Output) -> Result<()> {
    let mut buffer = [0; 5];
    let bytes = device.read(&mut buffer)?;
    let text = String::from_utf8_lossy(crate::transfer::front(&buffer, bytes)).into_owned();
    call(output, "ReadFile(5 bytes)", format_args!("{text:?}, {how}"))
}

fn refuse(device: &Device<'_>, output: &mut Output) -> Result<()> {
    refused(output, "WriteFile(\"!forbidden\")", device.write(b"!forbidden"))
}

/// A write that the filter holds until it is told to let it go.
fn hold(stage: &Stage, process: &Process, device: &Device<'_>, output: &mut Output) -> Result<()> {
    let (machine, events) = (&stage.machine, &stage.events);
    let control = Device::open(process, CONTROL)?;
    control.control(SET_MODE, &HOLD_WRITES.to_le_bytes(), &mut [])?;
    events.take();
    let (written, seen) = thread::scope(|scope| {
        let writer = scope.spawn(|| device.write(b"held"));
        let mut seen = Vec::new();
        while !seen.iter().any(is_pended) && !writer.is_finished() && machine.bugcheck().is_none() {
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
    draw(&seen, From::Here, "", |route| route.major == abi::IRP_MJ_WRITE, output)?;
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
