//! The screen about a driver's life: loaded, started, asked for, unloaded, here and in a host.

use std::path::Path;

use anyhow::Result;

use super::stage::Stage;
use super::{across, here, objects};
use crate::output::Output;

/// See samples/hello and pipe.
pub(super) fn show(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::empty()?;
    here::load(&stage, folder, output)?;
    stage.tell_calls(&["IoCreateDevice", "IoCreateSymbolicLink"], output)?;
    objects::unload(&stage, "hello", output)?;
    stage.tell_calls(&["IoDeleteSymbolicLink", "IoDeleteDevice"], output)?;
    super::stage::printed(&stage.events.take(), output)?;
    output.line("   The same with a host that goes on, as `sc` does with Windows:")?;
    across::show(folder, output)
}
