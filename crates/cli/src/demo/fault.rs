//! The last part: a driver that would have stopped Windows.

use std::path::Path;

use anyhow::{Context, Result, bail};
use app::{ControlCode, Device};

use super::route::From;
use super::stage::Stage;
use super::{DEVICE, call};
use crate::hex;
use crate::output::{Output, Tone};

/// STOP_UNHANDLED of tests/drivers/cases.h: a read outside of any `__try`.
const READ_ADDRESS: ControlCode = ControlCode(0x0022_2004);
/// A null pointer and the offset of a field.
const ADDRESS: u64 = 0x10;
/// Length of a case's answer.
const ANSWER: usize = 216;

pub(super) fn show(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["stop"])?;
    let machine = &stage.machine;
    output.line(format_args!("   stop.sys reads address {ADDRESS:#x}, with no __except around it."))?;
    let process = machine.process("demo");
    let device = Device::open(&process, r"\\.\RbStop")?;
    let refused = device.control(READ_ADDRESS, &ADDRESS.to_le_bytes(), &mut [0; ANSWER]);
    let Err(error) = refused else { bail!("the driver answered although it read address {ADDRESS:#x}") };
    let name = abi::win32_name(error.code).unwrap_or_default();
    let error = format!("error {} {name}", error.code);
    call(output, &format!("DeviceIoControl({READ_ADDRESS:?})"), output.paint(Tone::Bad, error))?;
    let report = machine.bugcheck().context("the machine did not stop")?;
    output.line("   Windows would show a blue screen. Here it is a report:")?;
    report.to_string().lines().try_for_each(|line| output.line(format_args!("      {line}")))?;
    stage.draw_those(From::Here, "", |route| route.major == abi::IRP_MJ_DEVICE_CONTROL, output)?;
    live_on(folder, output)
}

/// A machine beside the one that stopped, in the same process.
fn live_on(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["hello"])?;
    let process = stage.process();
    let device = Device::open(&process, DEVICE)?;
    let mut buffer = [0; 4];
    let bytes = device.read(&mut buffer)?;
    device.close()?;
    output.line("   Only that machine has stopped. In the next one, in this same process:")?;
    let read = format_args!("{bytes} bytes: {}", hex::digits(&buffer));
    call(output, &format!("ReadFile({DEVICE}, 4 bytes)"), read)
}
