//! The application of `hello`: opens the device, reads, writes, and controls it.

use std::error::Error;
use std::sync::Arc;

use abi::{CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED};
use app::{ControlCode, Device, Transport};

use crate::Say;

/// `hello`'s control code that answers with its input.
pub const IOCTL_ECHO: ControlCode =
    ControlCode(CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS));

/// Does everything once.
///
/// # Errors
/// What a call fails with.
pub fn run(transport: Arc<dyn Transport>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let device = Device::open(&*transport, r"\\.\My_Device")?;
    let mut buffer = [0; 10];
    let length = device.read(&mut buffer)?;
    say(&format!("read {length} bytes: {:02x?}", &buffer[..length as usize]));
    say(&format!("wrote {} bytes", device.write(b"hello, driver")?));
    let mut answer = [0; 32];
    let length = device.control(IOCTL_ECHO, b"echo", &mut answer)?;
    say(&format!("controlled: {}", String::from_utf8_lossy(&answer[..length as usize])));
    device.close()?;
    say("closed");
    Ok(())
}
