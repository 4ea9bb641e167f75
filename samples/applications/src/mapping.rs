//! The application of `mapping`: memory that it shares with the driver, by a name, by a handle, and made by the driver.

use std::error::Error;
use std::sync::Arc;

use abi::{CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED};
use app::{ControlCode, Device, FileMapping, FileView, MappingAccess, Transport};

use crate::Say;

const fn code(function: u32) -> ControlCode {
    ControlCode(CTL_CODE(FILE_DEVICE_UNKNOWN, function, METHOD_BUFFERED, FILE_ANY_ACCESS))
}

/// `mapping`'s control code that inverts a picture in a section, by its name.
pub const IOCTL_INVERT: ControlCode = code(0x800);
/// The one that turns small letters into capitals in a section, by its handle.
pub const IOCTL_UPPER: ControlCode = code(0x801);
/// The one that makes a section.
pub const IOCTL_PUBLISH: ControlCode = code(0x802);
/// The one that tells what was answered there.
pub const IOCTL_TAKE: ControlCode = code(0x803);

const PATH: &str = r"\\.\Mapping";
const TIMES_AT: u64 = 8;
const PIXELS_AT: u64 = 16;
const GREETING_AT: u64 = 16;
const ANSWER_AT: u64 = 2048;
const WIDTH: usize = 24;
const HEIGHT: usize = 5;

/// Does everything once.
///
/// # Errors
/// What a call fails with.
pub fn run(transport: Arc<dyn Transport>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let device = Device::open(&*transport, PATH)?;
    by_name(&*transport, &device, say)?;
    by_handle(&*transport, &device, say)?;
    made_by_the_driver(&*transport, &device, say)
}

/// As the driver names what is `Global\name` here.
fn nt_name(name: &str) -> Vec<u8> {
    format!(r"\BaseNamedObjects\{name}").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A name that no other process has.
fn own_name(what: &str) -> String {
    format!("Mapping{what}{}", std::process::id())
}

/// A slope of light.
fn draw(view: &FileView<'_>) -> Result<(), Box<dyn Error>> {
    view.store_u32(0, u32::try_from(WIDTH)?)?;
    view.store_u32(4, u32::try_from(HEIGHT)?)?;
    for row in 0..HEIGHT {
        let pixels: Vec<u8> = (0..WIDTH).map(|column| shade(row, column)).collect();
        view.write(PIXELS_AT + (row * WIDTH) as u64, &pixels)?;
    }
    Ok(())
}

fn shade(row: usize, column: usize) -> u8 {
    u8::try_from((column * 9 + row * 12).min(255)).unwrap_or(u8::MAX)
}

fn show(view: &FileView<'_>, row: usize) -> Result<String, Box<dyn Error>> {
    const SHADES: &[u8] = b" .:-=+*#%@";
    let mut pixels = [0; WIDTH];
    view.read(PIXELS_AT + (row * WIDTH) as u64, &mut pixels)?;
    Ok(pixels.iter().map(|pixel| char::from(SHADES[usize::from(*pixel) * SHADES.len() / 256])).collect())
}

fn by_name(transport: &dyn Transport, device: &Device<'_>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let name = own_name("Picture");
    let (mapping, _) =
        FileMapping::named(transport, &format!(r"Global\{name}"), 4096, MappingAccess::ReadWrite)?;
    let view = mapping.map(MappingAccess::ReadWrite, 0, 0)?;
    draw(&view)?;
    say(&format!("drawn     [{}]", show(&view, 2)?));
    device.control(IOCTL_INVERT, &nt_name(&name), &mut [])?;
    say(&format!("inverted  [{}], {} time", show(&view, 2)?, view.load_u32(TIMES_AT)?));
    Ok(())
}

fn by_handle(transport: &dyn Transport, device: &Device<'_>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let mapping = FileMapping::new(transport, 100, MappingAccess::ReadWrite)?;
    let view = mapping.map(MappingAccess::ReadWrite, 0, 0)?;
    view.write(0, b"seen by both")?;
    device.control(IOCTL_UPPER, &mapping.handle_bytes(), &mut [])?;
    let mut text = [0; 12];
    view.read(0, &mut text)?;
    say(&format!("by handle: {}", String::from_utf8_lossy(&text)));

    let reader = FileMapping::new(transport, 100, MappingAccess::Read)?;
    match device.control(IOCTL_UPPER, &reader.handle_bytes(), &mut []) {
        Err(error) => say(&format!("a handle that only reads: {}", error.code)),
        Ok(_) => say("a handle that only reads lets the driver write"),
    }
    Ok(())
}

fn made_by_the_driver(
    transport: &dyn Transport,
    device: &Device<'_>,
    say: Say<'_>,
) -> Result<(), Box<dyn Error>> {
    let name = own_name("Greeting");
    device.control(IOCTL_PUBLISH, &nt_name(&name), &mut [])?;
    let global = format!(r"Global\{name}");
    let mapping = FileMapping::open(transport, &global, MappingAccess::ReadWrite)?;
    let view = mapping.map(MappingAccess::ReadWrite, 0, 0)?;
    let mut greeting = [0; 18];
    view.read(GREETING_AT, &mut greeting)?;
    device.control(IOCTL_PUBLISH, &nt_name(&name), &mut [])?;
    say(&format!("{}, counted to {}", String::from_utf8_lossy(&greeting), view.load_u32(0)?));
    view.write(ANSWER_AT, b"and answered")?;
    let mut answer = [0; 32];
    device.control(IOCTL_TAKE, &[], &mut answer)?;
    say(&format!("the driver reads: {}", String::from_utf8_lossy(&answer[..12])));
    Ok(())
}
