//! The application of `steward`: it has the driver open devices for it, and says what the driver may do in its name.

use std::error::Error;
use std::sync::Arc;

use abi::{CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED, NTSTATUS};
use app::{
    ControlCode, Device, ImpersonationLevel, OpenOptions, SecurityQos, Token, Transport, Win32Error,
    impersonate_self, revert_to_self,
};

use crate::Say;

const fn code(function: u32) -> ControlCode {
    ControlCode(CTL_CODE(FILE_DEVICE_UNKNOWN, function, METHOD_BUFFERED, FILE_ANY_ACCESS))
}

/// `steward`'s control code that opens a device as its client.
pub const IOCTL_OPEN: ControlCode = code(0x800);
/// The one that opens it with the driver's own rights.
pub const IOCTL_OPEN_AS_DRIVER: ControlCode = code(0x801);

const PATH: &str = r"\\.\Steward";
/// What it asks for: a device that there is everywhere.
const WANTED: &str = r"\Device\Steward";

/// How the driver's opening of `path` ends.
///
/// # Errors
/// What the request itself fails with.
pub fn ask(device: &Device<'_>, code: ControlCode, path: &str) -> Result<NTSTATUS, Win32Error> {
    let name: Vec<u8> = path.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut answer = [0; 4];
    device.control(code, &name, &mut answer)?;
    Ok(NTSTATUS::from_bits(u32::from_le_bytes(answer)))
}

fn name_of(status: NTSTATUS) -> String {
    abi::status_name(status).map_or_else(|| format!("{status:?}"), str::to_owned)
}

/// Does everything once.
///
/// # Errors
/// What a call fails with.
pub fn run(transport: Arc<dyn Transport>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let transport = &*transport;
    let own = Token::of_process(transport)?;
    say(&format!("a user of its own: {}", own.user()?.to_string().starts_with("S-1-5-21-")));
    for level in
        [ImpersonationLevel::Anonymous, ImpersonationLevel::Identification, ImpersonationLevel::Impersonation]
    {
        let qos = SecurityQos { level, ..SecurityQos::default() };
        let device = OpenOptions::new().security_qos(qos).open(transport, PATH)?;
        say(&format!("opened for {level:?}: {}", name_of(ask(&device, IOCTL_OPEN, WANTED)?)));
    }
    impersonate_self(transport, ImpersonationLevel::Identification)?;
    let level = Token::of_thread(transport, true)?.impersonation_level()?;
    let refused = Device::open(transport, PATH).map(drop);
    revert_to_self(transport)?;
    say(&format!("lowered to {level:?}: {}", refused.err().map_or(0, |error| error.code)));
    let device = Device::open(transport, PATH)?;
    say(&format!("reverted: {}", name_of(ask(&device, IOCTL_OPEN, WANTED)?)));
    Ok(())
}
