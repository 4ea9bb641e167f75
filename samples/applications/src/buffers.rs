//! The application of `buffers`: the same bytes by direct reads and writes, and by each transfer method.

use std::error::Error;
use std::sync::Arc;

use abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED, METHOD_IN_DIRECT, METHOD_NEITHER,
    METHOD_OUT_DIRECT,
};
use app::{ControlCode, Device, Transport};

use crate::Say;

const fn code(function: u32, method: u32) -> ControlCode {
    ControlCode(CTL_CODE(FILE_DEVICE_UNKNOWN, function, method, FILE_ANY_ACCESS))
}

/// `buffers`' code that gives its input inverted.
pub const IOCTL_INVERT_BUFFERED: ControlCode = code(0x800, METHOD_BUFFERED);
/// `buffers`' code that keeps the second buffer, combined with the one byte of the first.
pub const IOCTL_STORE: ControlCode = code(0x801, METHOD_IN_DIRECT);
/// `buffers`' code that gives what is kept, from an offset of four bytes on.
pub const IOCTL_LOAD: ControlCode = code(0x802, METHOD_OUT_DIRECT);
/// `buffers`' code that gives its input inverted.
pub const IOCTL_INVERT_NEITHER: ControlCode = code(0x803, METHOD_NEITHER);

/// Sends the same text every way.
///
/// # Errors
/// What a call fails with.
pub fn run(transport: Arc<dyn Transport>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let device = Device::open(&*transport, r"\\.\Buffers")?;
    let text = *b"every way carries bytes";
    let wrote = device.write(&text)?;
    let mut answer = [0; 64];
    let read = device.read(&mut answer)?;
    let front = String::from_utf8_lossy(&answer[..read as usize]);
    say(&format!("direct: wrote {wrote} bytes, read {front:?}"));
    let inverted = text.map(|byte| !byte);
    for (method, code) in [("buffered", IOCTL_INVERT_BUFFERED), ("neither", IOCTL_INVERT_NEITHER)] {
        let mut answer = [0; 64];
        let length = device.control(code, &inverted, &mut answer)?;
        say(&format!("{method}: {:?}", String::from_utf8_lossy(&answer[..length as usize])));
        let length = device.control(code, &inverted, &mut answer[..5])?;
        say(&format!("{method}, with room for five: {length} bytes"));
    }
    let mut second = text;
    let stored = device.control(IOCTL_STORE, &[0x20], &mut second)?;
    let mut answer = [0; 64];
    let loaded = device.control(IOCTL_LOAD, &6_u32.to_le_bytes(), &mut answer)?;
    let back = String::from_utf8_lossy(&answer[..loaded as usize]);
    say(&format!("in direct: {stored} bytes, out direct: {back:?}"));
    let refused = device.control(IOCTL_STORE, b"", &mut second).err().map(|error| error.code);
    say(&format!("without a key: {refused:?}"));
    device.close()?;
    Ok(())
}
