//! The screen about a driver's life: loaded, started, asked for, unloaded, here and in a host.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use app::Device;
use host::{Event, UnloadOutcome};

use super::route::From;
use super::stage::{Stage, draw};
use super::{DEVICE, across, call, here, refused};
use crate::output::Output;

/// See samples/hello and pipe.
pub(super) fn show(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::empty()?;
    here::load(&stage, folder, output)?;
    stage.tell_calls(&["IoCreateDevice", "IoCreateSymbolicLink"], output)?;
    unload(&stage, output)?;
    output.line("   The same with a host that goes on, as `sc` does with Windows:")?;
    across::show(folder, output)
}

/// Asks for the unloading of a driver that has an open file.
fn unload(stage: &Stage, output: &mut Output) -> Result<()> {
    let process = stage.process();
    let device = Device::open(&process, DEVICE)?;
    stage.skip();
    match stage.machine.unload("hello") {
        Ok(UnloadOutcome::Pending { files }) => {
            call(output, "unload hello", format_args!("it stays: open files, {files}"))?;
        }
        other => bail!("hello was to stay: {other:?}"),
    }
    refused(output, &format!("CreateFile({DEVICE})"), Device::open(&process, DEVICE).map(drop))?;
    stage.draw_nothing("a driver that is to go is not opened any more", output)?;
    device.close()?;
    call(output, "CloseHandle of the last", "closed")?;
    let events = stage.events.take();
    draw(&events, From::Here, "", |_| true, output)?;
    let report = events.iter().find_map(|event| match event {
        Event::DriverUnloaded { report } => Some(report),
        _ => None,
    });
    ensure!(report.is_some_and(host::UnloadReport::is_clean), "hello was not unloaded cleanly: {report:?}");
    call(output, "DriverUnload", "no device, no link and no pool left behind")?;
    stage.tell_calls(&["IoDeleteSymbolicLink", "IoDeleteDevice"], output)
}
