//! The screens about what drivers keep: contexts of files, pool, and the life of handles.

use std::path::Path;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use app::{ControlCode, Device, OpenOptions, Transport};
use host::{LoadError, LoadOptions, UnloadOutcome};

use super::route::{From, Route, name};
use super::stage::Stage;
use super::{DEVICE, call, refused};
use crate::output::{Output, Tone};
use crate::target;

/// A test driver in C: what it shows is left out where it was not built.
pub(super) const OPTIONAL: &str = "fail";

/// See samples/pipe: sets the mode of one open (1: it waits), and tells capacity, bytes inside and opens.
const SET_MODE: ControlCode = ControlCode(0x0022_2004);
const QUERY: ControlCode = ControlCode(0x0022_2008);
/// And this one the bytes that one open has read and written.
const POSITION: ControlCode = ControlCode(0x0022_200C);

fn query(device: &Device<'_>) -> Result<[u32; 3]> {
    let mut answer = [0; 12];
    device.control(QUERY, &[], &mut answer)?;
    Ok([0, 4, 8].map(|at| u32::from_le_bytes(std::array::from_fn(|index| answer[at + index]))))
}

fn position(device: &Device<'_>) -> Result<[u64; 2]> {
    let mut answer = [0; 16];
    device.control(POSITION, &[], &mut answer)?;
    Ok([0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|index| answer[at + index]))))
}

/// See samples/pipe.
pub(super) fn contexts(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["pipe"])?;
    let process = stage.process();
    output.line(
        "   FsContext is the resource, one for each name; FsContext2 is the open, one for each handle:",
    )?;
    let open = |path: &str, output: &mut Output| -> Result<Device<'_>> {
        let device = Device::open(&process, path)?;
        call(output, &format!("CreateFile({path})"), format_args!("handle {:#x}", device.handle().0))?;
        Ok(device)
    };
    let first = open(r"\\.\Example\HELLO", output)?;
    stage.draw("", output)?;
    stage.tell_pool("pipe", output)?;
    let second = open(r"\\.\Example\hello", output)?;
    stage.draw("the name is there already: the same resource", output)?;
    stage.tell_pool("pipe", output)?;
    first.write(b"shared")?;
    let [_, inside, opens] = query(&second)?;
    call(output, "the second handle sees", format_args!("{inside} bytes inside, {opens} opens"))?;
    second.control(SET_MODE, &1_u32.to_le_bytes(), &mut [])?;
    let mut buffer = [0; 8];
    let bytes = first.read(&mut buffer)? + first.read(&mut buffer)?;
    call(
        output,
        "the second is set to wait; the first, read twice, does not",
        format_args!("{bytes} bytes: each has its own mode"),
    )?;
    for (which, handle) in [("first", &first), ("second", &second)] {
        let [read, written] = position(handle)?;
        let result = format_args!("{read} bytes read, {written} written");
        call(output, &format!("the {which} handle's own position"), result)?;
    }
    stage.skip();
    first.close()?;
    second.close()?;
    call(output, "CloseHandle, of both", "the contexts go with their last file")?;
    stage.draw_those(From::Here, "", |route| route.major == abi::IRP_MJ_CLOSE, output)?;
    stage.tell_pool("pipe", output)
}

/// See samples/hello, and the test driver fail.
pub(super) fn pool(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["hello"])?;
    let process = stage.process();
    let device = Device::open(&process, DEVICE)?;
    stage.skip();
    device.write(b"a line that the driver keeps")?;
    call(output, "WriteFile(\"a line that the driver keeps\")", "the driver has a copy, in pool")?;
    stage.draw("", output)?;
    stage.tell_calls(
        &["ExAllocatePool2", "ExAllocatePoolWithTag", "ExFreePoolWithTag", "ExFreePool"],
        output,
    )?;
    stage.tell_pool("hello", output)?;
    device.close()?;
    drop(process);
    match stage.machine.unload("hello") {
        Ok(UnloadOutcome::Unloaded(report)) if report.is_clean() => {
            call(output, "DriverUnload of hello.sys", "nothing left behind")?;
        }
        other => return Err(anyhow!("hello does not unload cleanly: {other:?}")),
    }
    let fail = folder.join(format!("{OPTIONAL}.sys"));
    if !fail.exists() {
        return output.line("   (fail.sys, a test driver in C that leaves pool behind, was not built)");
    }
    match stage.machine.load(&fail, LoadOptions::default()) {
        Err(error @ LoadError::DriverEntry { .. }) => {
            output.line("   fail.sys has a DriverEntry that fails and forgets its pool:")?;
            let text = error.to_string();
            let mut lines = text.lines();
            call(output, "Machine::load", output.paint(Tone::Bad, lines.next().unwrap_or_default()))?;
            lines.try_for_each(|line| output.line(format_args!("      {}", line.trim())))
        }
        other => Err(anyhow!("fail.sys was to fail: {other:?}")),
    }
}

/// See samples/delay and samples/pipe.
pub(super) fn handles(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["delay", "pipe"])?;
    let process = stage.process();
    output.line("   A CREATE that fails makes no handle, and nothing else follows it:")?;
    refused(output, r"CreateFile(\\.\Example), which wants a name below it", {
        Device::open(&process, r"\\.\Example").map(drop)
    })?;
    stage.draw("", output)?;
    output.line("   CLEANUP comes with the last handle, CLOSE with the last reference:")?;
    let device = Device::open(&process, r"\\.\Delay")?;
    let copy = device.try_clone()?;
    stage.skip();
    call(
        output,
        "CreateFile, DuplicateHandle",
        format_args!("{:#x}, {:#x}", device.handle().0, copy.handle().0),
    )?;
    device.close()?;
    call(output, "CloseHandle of the first", "closed")?;
    stage.draw_nothing("the file has another handle", output)?;
    copy.close()?;
    call(output, "CloseHandle of the last", "closed")?;
    stage.draw("", output)?;
    killed(&stage, output)
}

/// A process that ends while it has a handle open, and a read that waits.
fn killed(stage: &Stage, output: &mut Output) -> Result<()> {
    /// See samples/delay.
    const SET: ControlCode = ControlCode(0x0022_2000);
    output.line("   An application that is killed gets both, and its request is cancelled before:")?;
    let process = stage.machine.process("short-lived");
    let device = OpenOptions::new().access(abi::GENERIC_READ).open(&process, r"\\.\Delay")?;
    device.control(SET, &[0, 3_600_000_u32].map(u32::to_le_bytes).concat(), &mut [])?;
    stage.skip();
    let handle = device.handle();
    let (ended, seen) = thread::scope(|scope| {
        let reader = scope.spawn(|| process.read(handle, &mut [0; 4], None));
        let mut seen = Vec::new();
        while !seen.iter().any(super::stage::is_pended) && !reader.is_finished() {
            seen.append(&mut stage.events.take());
            thread::yield_now();
        }
        process.end();
        let ended = reader.join().map_err(|_| anyhow!("the reading thread failed"));
        seen.append(&mut stage.events.take());
        ended.map(|ended| (ended, seen))
    })?;
    call(output, "ReadFile, when the process was killed", output.paint(Tone::Bad, name(ended.status)))?;
    let end = |route: &Route| route.major != abi::IRP_MJ_CREATE;
    super::stage::draw(&seen, From::Here, "", end, output)?;
    let majors: Vec<_> = super::route::routes(&seen).iter().map(|route| route.major).collect();
    ensure!(
        majors.ends_with(&[abi::IRP_MJ_CLEANUP, abi::IRP_MJ_CLOSE]),
        "the driver was not told of the end: {majors:x?}"
    );
    Ok(())
}

/// See samples/hello and samples/vault.
pub(super) fn names(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["hello", "vault"])?;
    let process = stage.process();
    output.line("   The object namespace has:")?;
    for (directory, name) in [
        (r"\Driver", "hello"),
        (r"\Device", "My_Device"),
        (r"\GLOBAL??", "My_Device"),
        (r"\", "DosDevices"),
        (r"\", "BaseNamedObjects"),
    ] {
        list(&process, directory, name, output)?;
    }
    output.line("   One device, by many names:")?;
    for path in
        [r"\\.\My_Device", r"\\?\my_device", r"\\.\GLOBALROOT\Device\My_Device", r"\\.\My_Device\below\it"]
    {
        let opened = Device::open(&process, path);
        match opened {
            Ok(device) => {
                call(output, &format!("CreateFile({path})"), format_args!("{:#x}", device.handle().0))?
            }
            Err(error) => refused(output, &format!("CreateFile({path})"), Err::<(), _>(error))?,
        }
    }
    stage.skip();
    drop(Device::open(&process, r"\\.\RbVault\below")?);
    call(output, r"CreateFile(\\.\RbVault\below) of an administrator", "opened")?;
    stage.draw_those(From::Here, "", |route| route.major == abi::IRP_MJ_CREATE, output)?;
    output
        .line(r"   vault.sys has a descriptor: D:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GR;;;BU). A standard user:")?;
    let user = stage.machine.process_as("user", host::Token::user());
    let write = |path: &str, output: &mut Output| -> Result<()> {
        let what = format!("CreateFile({path}, GENERIC_WRITE)");
        match OpenOptions::new().access(abi::GENERIC_WRITE).open(&user, path) {
            Ok(_) => {
                call(output, &what, output.paint(Tone::Doubtful, "opened: it has no FILE_DEVICE_SECURE_OPEN"))
            }
            Err(error) => refused(output, &what, Err::<(), _>(error)),
        }
    };
    stage.skip();
    write(r"\\.\RbVault\below", output)?;
    stage.draw_nothing("the access check comes first", output)?;
    write(r"\\.\RbPorch\below", output)?;
    let cell = Device::open(&process, r"\\.\RbCell")?;
    stage.skip();
    refused(output, r"CreateFile(\\.\RbCell), an exclusive device, once more", {
        Device::open(&process, r"\\.\RbCell").map(drop)
    })?;
    cell.close()?;
    Ok(())
}

fn list(transport: &dyn Transport, directory: &str, name: &str, output: &mut Output) -> Result<()> {
    let wide: Vec<u16> = directory.encode_utf16().collect();
    let entries = transport.query_directory(&wide);
    let entries = entries.map_err(|status| anyhow!("{directory} cannot be listed: {status:?}"))?;
    let entry = entries.iter().find(|entry| entry.name == name);
    let entry = entry.with_context(|| format!("{directory} has no {name}"))?;
    let target = match entry.target.as_str() {
        "" => String::new(),
        target => format!(" {} {target}", output.arrow()),
    };
    let path = format!("{}\\{name}", directory.trim_end_matches('\\'));
    output.line(format_args!("      {path:<20} {}{target}", entry.type_name))
}

/// Unloads a driver, and tells what it left.
pub(super) fn unload(stage: &Stage, driver: &str, output: &mut Output) -> Result<()> {
    let outcome = stage.machine.unload(driver);
    match outcome.map_err(|status| anyhow!("{driver} cannot be unloaded: {status:?}"))? {
        UnloadOutcome::Pending { files } => anyhow::bail!("{driver} stays loaded: {files} files are open"),
        UnloadOutcome::Unloaded(report) if report.is_clean() => {
            call(output, "DriverUnload", "no device, no link and no pool left behind")
        }
        UnloadOutcome::Unloaded(report) => {
            call(output, "DriverUnload", output.paint(Tone::Bad, "something was left behind"))?;
            target::left_behind(&report)
                .into_iter()
                .try_for_each(|line| output.line(format_args!("      {line}")))
        }
    }
}
