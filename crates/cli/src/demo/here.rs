//! The screen about reads and writes that are answered at once: in this process, and from another one.

use std::path::Path;

use anyhow::{Context, Result};
use app::Device;
use host::{ImageFacts, find_export, inspect};

use super::route::From;
use super::stage::{Stage, printed};
use super::{DEVICE, call, dump};
use crate::output::Output;

/// See samples/hello.
pub(super) fn show(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::empty()?;
    load(&stage, folder, output)?;
    let process = stage.process();
    let device = Device::open(&process, DEVICE)?;
    call(output, &format!("CreateFile({DEVICE})"), format_args!("handle {:#x}", device.handle().0))?;
    stage.draw("", output)?;
    let mut buffer = [0; 10];
    let bytes = device.read(&mut buffer)?;
    call(output, "ReadFile(10 bytes)", format_args!("{bytes} bytes"))?;
    stage.draw(&format!("{bytes} bytes copied out"), output)?;
    dump(output, &buffer)?;
    let bytes = device.write(b"a line for the driver")?;
    call(output, "WriteFile(\"a line for the driver\")", format_args!("{bytes} bytes taken"))?;
    stage.draw("", output)?;
    device.close()?;
    call(output, "CloseHandle", "closed")?;
    stage.draw("", output)?;
    output.line("   From another process, its requests cross shared memory:")?;
    let served = stage.serve()?;
    let pid = served.run(&["read", DEVICE, "10"], output)?;
    stage.draw_those(From::Process(pid), "", |route| route.major == abi::IRP_MJ_READ, output)
}

/// Loads hello.sys, and tells what that is.
pub(super) fn load(stage: &Stage, folder: &Path, output: &mut Output) -> Result<()> {
    let path = folder.join("hello.sys");
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let facts = inspect(&bytes).with_context(|| format!("{} cannot be loaded", path.display()))?;
    let (size, sections) = (bytes.len(), facts.sections.len());
    output.line(format_args!("   {} is a PE file as Windows loads it: x64, native,", path.display()))?;
    output.line(format_args!("   {size} bytes, {sections} sections, {}.", imports(&facts)))?;
    let name = stage.load(folder, "hello")?;
    let loaded = stage.machine.drivers().into_iter().find(|driver| driver.name == name);
    let loaded = loaded.context("the driver is not in the machine's list")?;
    output.line(format_args!(
        "   Mapped at {:#x}, relocated, bound, and entered at DriverEntry:",
        loaded.base
    ))?;
    printed(&stage.events.take(), output)
}

fn imports(facts: &ImageFacts) -> String {
    let symbols = facts.imports.iter().flat_map(|dll| &dll.symbols);
    let known = symbols.filter(|import| find_export(&import.symbol().to_string()).is_some()).count();
    match facts.import_count() {
        count if count == known => format!("{count} imports, all known here"),
        count => format!("{count} imports, {known} of them known here"),
    }
}
