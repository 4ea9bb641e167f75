//! The application of `boost`: has a request completed as every kind of device does.

use std::error::Error;
use std::sync::Arc;

use abi::{CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED};
use app::{ControlCode, Device, Transport};

use crate::Say;

/// `boost`'s control code: the input is a place in [`KINDS`], the answer the boost of that.
pub const IOCTL_COMPLETE: ControlCode =
    ControlCode(CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS));

/// The kinds of devices that NT has boosts for, in the driver's order: the middle of `IO_*_INCREMENT`.
pub const KINDS: [&str; 12] = [
    "NO",
    "CD_ROM",
    "DISK",
    "PARALLEL",
    "VIDEO",
    "MAILSLOT",
    "NAMED_PIPE",
    "NETWORK",
    "SERIAL",
    "KEYBOARD",
    "MOUSE",
    "SOUND",
];

/// Does everything once.
///
/// # Errors
/// What a call fails with.
pub fn run(transport: Arc<dyn Transport>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let device = Device::open(&*transport, r"\\.\Boost")?;
    for (place, kind) in (0_u8..).zip(KINDS) {
        let mut boost = [0];
        device.control(IOCTL_COMPLETE, &[place], &mut boost)?;
        say(&format!("IO_{kind}_INCREMENT: {}", boost[0]));
    }
    device.close()?;
    Ok(())
}
