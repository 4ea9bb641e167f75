//! The first part: everything in one process.

use std::path::Path;
use std::sync::Arc;

use abi::{GENERIC_READ, IRP_MJ_DEVICE_CONTROL};
use anyhow::{Context, Result};
use app::{Device, OpenOptions, Transport};
use host::{Event, ImageFacts, LoadOptions, Machine, UnloadOutcome, find_export, inspect, tag_name};

use super::route::routes;
use super::{DEVICE, ECHO, ECHO_CHECKED, LAST_WRITE, Part, call, driver, dump};
use crate::output::{Output, Tone};
use crate::target;
use crate::watch::Recorder;

pub(super) fn show(folder: &Path, output: &mut Output) -> Result<Part> {
    let path = match driver(folder, "hello.sys") {
        Ok(path) => path,
        Err(skipped) => return Ok(skipped),
    };
    let machine = Machine::new().context("no machine can be started")?;
    let events = Arc::new(Recorder::default());
    machine.watch(events.clone());
    load(&machine, &path, &events, output)?;
    let process = machine.process("demo");
    names(&process, output)?;
    output.line("")?;
    talk(&process, &events, output)?;
    refuse(&process, &events, output)?;
    drop(process);
    output.line("")?;
    unload(&machine, &events, output)?;
    Ok(Part::Shown)
}

fn load(machine: &Machine, path: &Path, events: &Recorder, output: &mut Output) -> Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let facts = inspect(&bytes).with_context(|| format!("{} cannot be loaded", path.display()))?;
    let (size, sections) = (bytes.len(), facts.sections.len());
    output.line(format_args!("   {} is a PE file as Windows loads it: x64, native,", path.display()))?;
    output.line(format_args!("   {size} bytes, {sections} sections, {}.", imports(&facts)))?;
    let name = target::load(machine, path, LoadOptions::default())?;
    let loaded = machine.drivers().into_iter().find(|driver| driver.name == name);
    let loaded = loaded.context("the driver is not in the machine's list")?;
    output.line(format_args!(
        "   Mapped at {:#x}, relocated, bound, and entered at DriverEntry:",
        loaded.base
    ))?;
    printed(&events.take(), output)
}

fn imports(facts: &ImageFacts) -> String {
    let symbols = facts.imports.iter().flat_map(|dll| &dll.symbols);
    let known = symbols.filter(|import| find_export(&import.symbol().to_string()).is_some()).count();
    match facts.import_count() {
        count if count == known => format!("{count} imports, all known here"),
        count => format!("{count} imports, {known} of them known here"),
    }
}

/// What the driver printed.
fn printed(events: &[Event], output: &mut Output) -> Result<()> {
    for event in events {
        if let Event::DebugPrint { text } = event {
            output.line(format_args!("      DbgPrint: {text}"))?;
        }
    }
    Ok(())
}

/// What the namespace holds of the driver's.
fn names(transport: &dyn Transport, output: &mut Output) -> Result<()> {
    output.line("   The object namespace has now:")?;
    for (directory, name) in [(r"\Driver", "hello"), (r"\Device", "My_Device"), (r"\??", "My_Device")] {
        let wide: Vec<u16> = directory.encode_utf16().collect();
        let entries = transport.query_directory(&wide);
        let entries =
            entries.map_err(|status| anyhow::anyhow!("{directory} cannot be listed: {status:?}"))?;
        for entry in entries.iter().filter(|entry| entry.name == name) {
            let target = match entry.target.as_str() {
                "" => String::new(),
                target => format!(" {} {target}", output.arrow()),
            };
            let path = format!("{directory}\\{name}");
            output.line(format_args!("      {path:<20} {}{target}", entry.type_name))?;
        }
    }
    Ok(())
}

/// Draws what happened since the last time, each IRP a line; `end` is what became of the result.
pub(super) fn draw(events: &Recorder, end: &str, output: &mut Output) -> Result<()> {
    let events = events.take();
    printed(&events, output)?;
    for route in routes(&events) {
        let end = if route.has_no_routine() { "no routine for it, which is allowed" } else { end };
        let line = route.draw(output.arrow(), end);
        output.line(format_args!("      {}", output.paint(Tone::Quiet, line)))?;
    }
    Ok(())
}

fn talk(transport: &dyn Transport, events: &Recorder, output: &mut Output) -> Result<()> {
    let device = Device::open(transport, DEVICE)?;
    call(output, &format!("CreateFile({DEVICE})"), format_args!("handle {:#x}", device.handle().0))?;
    draw(events, "", output)?;

    let mut buffer = [0; 10];
    let bytes = device.read(&mut buffer)?;
    call(output, "ReadFile(10 bytes)", format_args!("{bytes} bytes"))?;
    draw(events, &format!("{bytes} bytes copied out"), output)?;
    dump(output, &buffer)?;

    let line = b"a line for the driver";
    let bytes = device.write(line)?;
    call(output, "WriteFile(\"a line for the driver\")", format_args!("{bytes} bytes taken"))?;
    draw(events, "", output)?;

    let mut answer = [0; 32];
    let bytes = device.control(LAST_WRITE, &[], &mut answer)?;
    call(
        output,
        &format!("DeviceIoControl({LAST_WRITE:?})"),
        format_args!("{bytes} bytes, what was written last"),
    )?;
    draw(events, &format!("{bytes} bytes copied out"), output)?;
    dump(output, crate::transfer::front(&answer, bytes))?;

    let bytes = device.control(ECHO, b"echo", &mut answer)?;
    call(output, &format!("DeviceIoControl({ECHO:?}, \"echo\")"), format_args!("{bytes} bytes"))?;
    draw(events, &format!("{bytes} bytes copied out"), output)?;

    device.close()?;
    call(output, "CloseHandle", "closed")?;
    draw(events, "", output)
}

/// A request that the I/O manager refuses.
fn refuse(transport: &dyn Transport, events: &Recorder, output: &mut Output) -> Result<()> {
    let device = OpenOptions::new().access(GENERIC_READ).open(transport, DEVICE)?;
    let refused = device.control(ECHO_CHECKED, b"echo", &mut [0; 4]);
    let name = format!("DeviceIoControl({ECHO_CHECKED:?}) on a handle for reading only");
    match refused {
        Ok(bytes) => anyhow::bail!("{name} was not refused: {bytes} bytes"),
        Err(error) => {
            let error_name = abi::win32_name(error.code).unwrap_or_default();
            let error = format!("error {} {error_name}", error.code);
            call(output, &name, output.paint(Tone::Bad, error))?;
        }
    }
    let reached = routes(&events.take()).iter().any(|route| route.major == IRP_MJ_DEVICE_CONTROL);
    anyhow::ensure!(
        !reached,
        "a control request without the access that its code asks for reached the driver"
    );
    output.line(
        "      No IRP was made: its code asks for reading and writing, which is checked before the driver.",
    )
}

fn unload(machine: &Machine, events: &Recorder, output: &mut Output) -> Result<()> {
    let usage = machine.pool_usage();
    for (_, tag, usage) in usage.iter().filter(|(owner, ..)| owner == "hello") {
        let (tag, bytes) = (tag_name(*tag), usage.bytes);
        let blocks = if usage.blocks == 1 { "1 block" } else { &format!("{} blocks", usage.blocks) };
        output.line(format_args!("   hello holds {bytes} bytes of pool in {blocks} with tag '{tag}'."))?;
    }
    events.take();
    let outcome = machine.unload("hello");
    match outcome.map_err(|status| anyhow::anyhow!("hello cannot be unloaded: {status:?}"))? {
        UnloadOutcome::Pending { files } => anyhow::bail!("hello stays loaded: {files} files are open"),
        UnloadOutcome::Unloaded(report) if report.is_clean() => {
            call(output, "DriverUnload", "no device, no link and no pool left behind")?;
        }
        UnloadOutcome::Unloaded(report) => {
            call(output, "DriverUnload", output.paint(Tone::Bad, "something was left behind"))?;
            for line in target::left_behind(&report) {
                output.line(format_args!("      {line}"))?;
            }
        }
    }
    printed(&events.take(), output)
}
