//! The parts about the other samples: how data, buffers and answers travel, each with the ways of its IRPs.

use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::{Result, bail};
use app::{ControlCode, Device, FileMapping, FileView, MappingAccess, Transport};
use gate::Handle;

use super::route::{From, name};
use super::stage::Stage;
use super::{apart, call};
use crate::output::{Output, Tone};

/// See samples/pipe.
pub(super) fn pipe(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["pipe"])?;
    let process = stage.process();
    output.line("   pipe.sys makes a pipe of every name below its device, whatever the name's case:")?;
    let [writer, reader] =
        [r"\\.\Example\HELLO", r"\\.\Example\hello"].map(|path| (path, Device::open(&process, path)));
    for (path, device) in [&writer, &reader] {
        let handle = device.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?.handle().0;
        call(output, &format!("CreateFile({path})"), format_args!("handle {handle:#x}"))?;
    }
    let (writer, reader) = (writer.1?, reader.1?);
    stage.skip();
    let bytes = writer.write(b"through the pipe")?;
    call(output, "WriteFile(\"through the pipe\") on the first", format_args!("{bytes} bytes taken"))?;
    stage.draw("", output)?;
    let mut buffer = [0; 64];
    let bytes = reader.read(&mut buffer)?;
    let text = String::from_utf8_lossy(crate::transfer::front(&buffer, bytes)).into_owned();
    call(output, "ReadFile(64 bytes) on the second", format_args!("{bytes} bytes: {text:?}"))?;
    stage.draw(&format!("{bytes} bytes copied out"), output)?;
    apart::from_one_to_another(folder, output)
}

/// See samples/delay: its codes, and who answers.
const SET: ControlCode = ControlCode(0x0022_2000);
const QUERY: ControlCode = ControlCode(0x0022_2004);
const WAYS: [(u32, &str); 3] = [(0, "a system thread"), (1, "a timer's DPC"), (2, "a work item")];
const DELAY: &str = r"\\.\Delay";
/// Milliseconds until an answer.
const SHORT: u32 = 20;
const HOUR: u32 = 3_600_000;

fn set(device: &Device<'_>, way: u32, milliseconds: u32) -> Result<()> {
    device.control(SET, &[way, milliseconds].map(u32::to_le_bytes).concat(), &mut [])?;
    Ok(())
}

/// See samples/delay.
pub(super) fn delay(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["delay"])?;
    let process = stage.process();
    let device = Device::open(&process, DELAY)?;
    output.line("   delay.sys returns STATUS_PENDING, and somebody else completes the IRP:")?;
    for (way, who) in WAYS {
        set(&device, way, SHORT)?;
        stage.skip();
        let start = Instant::now();
        let mut buffer = [0; 4];
        let bytes = device.read(&mut buffer)?;
        let text = String::from_utf8_lossy(crate::transfer::front(&buffer, bytes)).into_owned();
        let result =
            format_args!("{bytes} bytes {text:?} after {} ms, by {who}", start.elapsed().as_millis());
        call(output, "ReadFile(4 bytes)", result)?;
        stage.draw("", output)?;
    }
    apart::going_on(&stage, &process, output)?;
    cancelled(&stage, &device, output)
}

/// See samples/mapping: its codes, and where what is.
const INVERT: ControlCode = ControlCode(0x0022_2000);
const PUBLISH: ControlCode = ControlCode(0x0022_2008);
const PIXELS_AT: u64 = 16;
const GREETING_AT: u64 = 16;
const WIDTH: u32 = 32;
const HEIGHT: u32 = 4;

/// See samples/mapping.
pub(super) fn mapping(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["mapping"])?;
    let process = stage.process();
    let device = Device::open(&process, r"\\.\Mapping")?;
    output.line("   Sections: the same pages on both sides. What is shared travels in no request:")?;
    let (picture, _) = FileMapping::named(&process, r"Global\Picture", 4096, MappingAccess::ReadWrite)?;
    call(output, r"CreateFileMapping(Global\Picture)", format_args!("handle {:#x}", picture.handle().0))?;
    let view = picture.map(MappingAccess::ReadWrite, 0, 0)?;
    call(output, "MapViewOfFile", format_args!("{} bytes at {:#x}", view.len(), view.address()))?;
    view.store_u32(0, WIDTH)?;
    view.store_u32(4, HEIGHT)?;
    for at in 0..u64::from(WIDTH * HEIGHT) {
        let (column, row) = (at % u64::from(WIDTH), at / u64::from(WIDTH));
        view.write(PIXELS_AT + at, &[u8::try_from(column * 7 + row * 10).unwrap_or(u8::MAX)])?;
    }
    picture_of(&view, output)?;
    stage.skip();
    device.control(INVERT, &wide(r"\BaseNamedObjects\Picture"), &mut [])?;
    call(output, "DeviceIoControl: the driver opens it and inverts the picture", "done, 0 bytes returned")?;
    stage.draw("", output)?;
    picture_of(&view, output)?;

    output
        .line("   The other way: the driver makes the section, another process of the machine opens it:")?;
    device.control(PUBLISH, &wide(r"\BaseNamedObjects\Greeting"), &mut [])?;
    let other = stage.machine.process("another");
    let greeting = FileMapping::open(&other, r"Global\Greeting", MappingAccess::Read)?;
    let seen = greeting.map(MappingAccess::Read, 0, 0)?;
    let mut text = [0; 18];
    seen.read(GREETING_AT, &mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    call(output, r"OpenFileMapping(Global\Greeting), MapViewOfFile", format_args!("{text:?}"))?;
    match seen.store_u32(0, 0) {
        Err(error) => call(output, "writing to a view that is only read", output.paint(Tone::Bad, error))?,
        Ok(()) => bail!("a view that is only read was written to"),
    }
    Ok(())
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// The picture, a character for each pixel.
fn picture_of(view: &FileView<'_>, output: &mut Output) -> Result<()> {
    const SHADES: &[u8] = b" .:-=+*#%@";
    for row in 0..u64::from(HEIGHT) {
        let mut pixels = [0; WIDTH as usize];
        view.read(PIXELS_AT + row * u64::from(WIDTH), &mut pixels)?;
        let line: String =
            pixels.iter().map(|pixel| char::from(SHADES[usize::from(*pixel) * SHADES.len() / 256])).collect();
        output.line(format_args!("      [{line}]"))?;
    }
    Ok(())
}

/// A read that waits while its process ends.
fn cancelled(stage: &Stage, witness: &Device<'_>, output: &mut Output) -> Result<()> {
    let process = stage.machine.process("short-lived");
    let device = Device::open(&process, DELAY)?;
    set(&device, 0, HOUR)?;
    let handle: Handle = device.handle();
    stage.skip();
    let ended = thread::scope(|scope| {
        let reader = scope.spawn(|| process.read(handle, &mut [0; 4], None));
        let mut counts = [0; 16];
        loop {
            witness.control(QUERY, &[], &mut counts)?;
            if counts[12] != 0 || reader.is_finished() {
                break;
            }
            thread::yield_now();
        }
        process.end();
        match reader.join() {
            Ok(ended) => Ok(ended),
            Err(_) => bail!("the reading thread failed"),
        }
    })?;
    call(output, "ReadFile in a process that is killed", output.paint(Tone::Bad, name(ended.status)))?;
    stage.draw_those(From::Here, "", |route| route.major == abi::IRP_MJ_READ, output)
}
