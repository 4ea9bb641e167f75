//! The application of `namedpipe`: it serves pipes, and the driver comes to talk.

use std::error::Error;
use std::sync::Arc;

use abi::{CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED};
use app::{ControlCode, Device, NamedPipe, NamedPipeOptions, Transport};

use crate::Say;

const fn code(function: u32) -> ControlCode {
    ControlCode(CTL_CODE(FILE_DEVICE_UNKNOWN, function, METHOD_BUFFERED, FILE_ANY_ACCESS))
}

/// `namedpipe`'s control code that begins a conversation.
pub const IOCTL_TALK: ControlCode = code(0x800);
/// The one that tells how much was answered.
pub const IOCTL_QUERY: ControlCode = code(0x801);
/// The device.
pub const PATH: &str = r"\\.\Talker";

/// Does everything once.
///
/// # Errors
/// What a call fails with.
pub fn run(transport: Arc<dyn Transport>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let device = Device::open(&*transport, PATH)?;
    in_messages(&*transport, &device, say)?;
    in_bytes(&*transport, &device, say)
}

/// A name that no other process has.
fn own_name(what: &str) -> String {
    format!("Talk{what}{}", std::process::id())
}

/// Has the driver connect to the pipe of this name, which a server's end of `pipe` has.
///
/// # Errors
/// What a call fails with.
pub fn invite(
    device: &Device<'_>,
    pipe: &NamedPipe<'_>,
    name: &str,
    messages: bool,
) -> Result<(), Box<dyn Error>> {
    let mut input = u16::from(messages).to_le_bytes().to_vec();
    input.extend(format!(r"\??\pipe\{name}").encode_utf16().flat_map(u16::to_le_bytes));
    device.control(IOCTL_TALK, &input, &mut [])?;
    match pipe.connect() {
        // The driver has come before this looked.
        Err(error) if error.code == abi::ERROR_PIPE_CONNECTED => Ok(()),
        connected => Ok(connected?),
    }
}

fn read(pipe: &NamedPipe<'_>) -> Result<String, Box<dyn Error>> {
    let mut buffer = [0; 64];
    let count = pipe.read(&mut buffer)? as usize;
    Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
}

fn in_messages(transport: &dyn Transport, device: &Device<'_>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let name = own_name("Messages");
    let options = NamedPipeOptions::new().messages(true).read_messages(true).max_instances(1);
    let pipe = options.create(transport, &format!(r"\\.\pipe\{name}"))?;
    invite(device, &pipe, &name, true)?;
    say(&format!("the driver connects: {:?}", read(&pipe)?));
    let (first, second) = ("was it a car", "or a cat i saw");
    // Two at once: each is a message of its own, and so are the answers.
    pipe.write(first.as_bytes())?;
    pipe.write(second.as_bytes())?;
    say(&format!("{first:?} comes back as {:?}", read(&pipe)?));
    say(&format!("{second:?} comes back as {:?}", read(&pipe)?));
    Ok(())
}

fn in_bytes(transport: &dyn Transport, device: &Device<'_>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let name = own_name("Bytes");
    let pipe = NamedPipeOptions::new().create(transport, &format!(r"\\.\pipe\{name}"))?;
    invite(device, &pipe, &name, false)?;
    let greeting = read(&pipe)?;
    let mut answer = String::new();
    pipe.write(b"no bound")?;
    pipe.write(b"aries")?;
    while answer.len() < 13 {
        answer += &read(&pipe)?;
    }
    say(&format!("and in bytes: {greeting:?}, {answer:?}"));
    Ok(())
}
