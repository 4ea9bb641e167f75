//! The application of `consult`: it is consulted by the driver, and consults it.

use std::error::Error;
use std::sync::Arc;
use std::thread;

use abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, LPC_CONNECTION_REQUEST, LPC_REQUEST, METHOD_BUFFERED,
    NTSTATUS,
};
use app::lpc::{Message, Port, Shown};
use app::{ControlCode, Device, FileMapping, MappingAccess, SecurityQos, Transport, View, Win32Error};

use crate::Say;

/// `consult`'s control code that has it consult a port.
pub const IOCTL_CONSULT: ControlCode =
    ControlCode(CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS));
/// The driver's port.
pub const PORT: &str = r"\BaseNamedObjects\Consult";

const PATH: &str = r"\\.\Consult";

/// Does everything once.
///
/// # Errors
/// What a call fails with.
pub fn run(transport: Arc<dyn Transport>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let transport = &*transport;
    let device = Device::open(transport, PATH)?;
    let name = format!(r"\BaseNamedObjects\Consulted{}", std::process::id());
    let told = consulted(transport, &device, &name, 3)?;
    say(&format!("the driver asked about bytes, words and lines, and was told {told:?}"));
    let left = consulted(transport, &device, &name, 1).expect_err("the port is closed in between");
    let left = left.downcast::<Win32Error>()?;
    say(&format!("left without an answer, it goes on: {}", left.code));
    let told = consulted(transport, &device, &name, 3)?;
    say(&format!("asked again: {told:?}"));
    consult(transport, say)
}

fn failed(call: &'static str) -> impl Fn(NTSTATUS) -> Box<dyn Error> {
    move |status| format!("{call}: {status:?}").into()
}

/// Has the driver consult a port, which closes after so many answers; what the driver says that it was told.
fn consulted(
    transport: &dyn Transport,
    device: &Device<'_>,
    name: &str,
    answers: usize,
) -> Result<[u32; 3], Box<dyn Error>> {
    let port = Port::create(transport, name, 16, 16).map_err(failed("NtCreatePort"))?;
    let input: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut output = [[0; 4]; 3];
    let asked = thread::scope(|scope| {
        let server = scope.spawn(move || answer(transport, &port, answers));
        let asked = device.control(IOCTL_CONSULT, &input, output.as_flattened_mut());
        server.join().map_err(|_| "the server has panicked")?.map_err(failed("NtReplyWaitReceivePort"))?;
        Ok::<_, Box<dyn Error>>(asked)
    })?;
    asked?;
    Ok(output.map(u32::from_le_bytes))
}

/// Serves one client: so many questions.
fn answer(transport: &dyn Transport, port: &Port<'_>, answers: usize) -> Result<(), NTSTATUS> {
    let request = port.listen()?;
    debug_assert_eq!(request.kind(), LPC_CONNECTION_REQUEST);
    let accepted = Port::accept(transport, &request, 1, None, b"")?;
    accepted.port.complete()?;
    let Some(text) = accepted.views.other else { return Err(abi::STATUS_INVALID_PARAMETER) };
    let mut left = answers;
    while left > 0 {
        let Some(received) = port.receive(None)? else { continue };
        if received.message.kind() != LPC_REQUEST {
            break;
        }
        let number = count(&text, received.message.data()).map_err(|error| error.status)?;
        port.reply(&received.message.reply(&number.to_le_bytes()))?;
        left -= 1;
    }
    Ok(())
}

/// What the driver wants to know about its text.
fn count(view: &View, question: &[u8]) -> Result<u32, Win32Error> {
    let mut text = vec![0; usize::try_from(view.len()).unwrap_or(0)];
    view.read(0, &mut text)?;
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let count = match question {
        b"bytes" => text.len(),
        b"words" => text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count(),
        b"lines" => text.iter().filter(|byte| **byte == b'\n').count(),
        _ => 0,
    };
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Consults the driver about a text of this application's.
fn consult(transport: &dyn Transport, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    const TEXT: &[u8] = b"larger than a message may be: ";
    const TIMES: usize = 1000;
    let mapping = FileMapping::new(transport, 0x1_0000, MappingAccess::ReadWrite)?;
    let shown = Shown { mapping: &mapping, offset: 0, size: 0 };
    let connection = Port::connect(transport, PORT, SecurityQos::default(), Some(shown), b"")
        .map_err(|refused| failed("NtConnectPort")(refused.status))?;
    let view = connection.views.own.ok_or("no view")?;
    view.write(0, &TEXT.repeat(TIMES))?;
    let length = u32::try_from(TEXT.len() * TIMES)?;
    let reply = connection
        .port
        .request_wait_reply(&Message::new(&length.to_le_bytes()))
        .map_err(failed("NtRequestWaitReplyPort"))?;
    let changed = u32::from_le_bytes(reply.data().try_into()?);
    let mut front = [0; TEXT.len()];
    view.read(0, &mut front)?;
    say(&format!("the driver changed {changed} letters: {}", String::from_utf8_lossy(&front).trim_end()));
    Ok(())
}
