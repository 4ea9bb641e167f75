//! The part about a device's life: it comes, is started, is in use when somebody wants it gone, sleeps and wakes, and is pulled
//! out under its application.

use std::path::Path;

use anyhow::{Context, Result};
use app::{ControlCode, Device};
use host::{DeviceAction, DeviceReport, DeviceRequest};

use super::call;
use super::route::From;
use super::stage::Stage;
use crate::output::Output;

/// See samples/lifecycle: what has happened so far.
const HISTORY: ControlCode = ControlCode(0x0022_6000);
pub(super) const INSTANCE: &str = r"ROOT\LIFECYCLE\0000";

/// See samples/lifecycle.
pub(super) fn show(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["lifecycle"])?;
    let machine = &stage.machine;
    output.line("   lifecycle.sys makes no device: the Plug and Play manager says that there is one.")?;
    let request = DeviceRequest::Add {
        service: "lifecycle".to_owned(),
        upper_filters: Vec::new(),
        lower_filters: Vec::new(),
    };
    machine.manage_devices(&request)?;
    stage.skip();
    let started = act(&stage, DeviceAction::Start, output)?;
    let link = started.devices.first().and_then(|device| device.interfaces.first());
    let path = link.context("the device has no interface")?.replacen(r"\??\", r"\\?\", 1);
    let process = machine.process("demo");
    let device = Device::open(&process, &path)?;
    call(output, &format!("CreateFile({path})"), format_args!("handle {:#x}", device.handle().0))?;
    output.line("   Somebody wants it gone while it is in use:")?;
    act(&stage, DeviceAction::Remove, output)?;
    output.line("   The system sleeps and wakes; the driver brings its device to D3 and back to D0:")?;
    for state in [abi::PowerSystemSleeping3, abi::PowerSystemWorking] {
        tell(&machine.manage_devices(&DeviceRequest::Power { state: state.cast_unsigned() })?, output)?;
        stage.draw_those(From::System, "", |_| true, output)?;
    }
    output.line("   It is pulled out; its drivers hear the rest when the last file is closed:")?;
    act(&stage, DeviceAction::SurpriseRemove, output)?;
    let mut events = [0; 64];
    let count = device.control(HISTORY, &[], &mut events)?;
    let history: Vec<_> = crate::transfer::front(&events, count).iter().map(|event| name(*event)).collect();
    call(output, "what the driver has seen", history.join(", "))?;
    Ok(device.close()?)
}

fn act(stage: &Stage, action: DeviceAction, output: &mut Output) -> Result<DeviceReport> {
    let request = DeviceRequest::Act { instance: INSTANCE.to_owned(), action };
    let report = stage.machine.manage_devices(&request)?;
    tell(&report, output)?;
    stage.draw_those(From::System, "", |_| true, output)?;
    Ok(report)
}

fn tell(report: &DeviceReport, output: &mut Output) -> Result<()> {
    for answer in &report.answers {
        call(output, &answer.request, abi::status_name(answer.status).unwrap_or("a status without a name"))?;
    }
    if !report.reason.is_empty() {
        output.line(format_args!("      it stays: {}", report.reason))?;
    }
    Ok(())
}

/// See samples/lifecycle.
fn name(event: u8) -> &'static str {
    const NAMES: [&str; 10] = [
        "started",
        "asked to stop",
        "stopped",
        "stop cancelled",
        "asked to be removed",
        "removal cancelled",
        "gone",
        "asked to sleep",
        "powered down",
        "powered up",
    ];
    NAMES.get(usize::from(event).wrapping_sub(1)).unwrap_or(&"something else")
}
