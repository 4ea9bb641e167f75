//! The part about LPC ports: see samples/consult.

use std::path::Path;
use std::thread;

use anyhow::{Result, anyhow, bail};
use app::lpc::{Message, Port, Shown};
use app::{ControlCode, Device, FileMapping, MappingAccess, SecurityQos, Transport};

use super::call;
use super::route::From;
use super::stage::Stage;
use crate::output::Output;

const CONSULT: ControlCode = ControlCode(0x0022_2000);
const DEVICE: &str = r"\\.\Consult";
const OWN: &str = r"\BaseNamedObjects\Demo";
const DRIVERS: &str = r"\BaseNamedObjects\Consult";

pub(super) fn show(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["consult"])?;
    let process = stage.process();
    output.line("   The driver asks the application, through a port of the application's:")?;
    stage.skip();
    asked(&process, output)?;
    stage.draw_those(From::Here, "", |route| route.major == abi::IRP_MJ_DEVICE_CONTROL, output)?;
    output.line("   The application asks the driver, through a port of the driver's:")?;
    ask(&process, output)?;
    stage.draw_nothing("messages and views of LPC go past the I/O manager", output)
}

/// Answers the driver's questions, each with a number; what they were.
fn answer(transport: &dyn Transport, port: &Port<'_>) -> Result<Vec<String>, abi::NTSTATUS> {
    let request = port.listen()?;
    let accepted = Port::accept(transport, &request, 1, None, b"")?;
    let length = accepted.views.other.as_ref().map_or(0, app::View::len);
    accepted.port.complete()?;
    let mut questions = Vec::new();
    while let Some(received) = port.receive(None)? {
        if received.message.kind() != abi::LPC_REQUEST {
            break;
        }
        let question = String::from_utf8_lossy(received.message.data()).into_owned();
        let number = u32::try_from(questions.len() + 1).unwrap_or(0);
        questions.push(format!("{question} of the {length} that it shows"));
        port.reply(&received.message.reply(&number.to_le_bytes()))?;
    }
    Ok(questions)
}

fn asked(transport: &dyn Transport, output: &mut Output) -> Result<()> {
    let device = Device::open(transport, DEVICE)?;
    let failed = |status| anyhow!("the port: {status:?}");
    let port = Port::create(transport, OWN, 16, 16).map_err(failed)?;
    call(output, "NtCreatePort", OWN)?;
    let name: Vec<u8> = OWN.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut told = [0; 12];
    let questions = thread::scope(|scope| {
        let server = scope.spawn(|| answer(transport, &port));
        let done = device.control(CONSULT, &name, &mut told);
        let questions = server.join().map_err(|_| anyhow!("the server has panicked"))?.map_err(failed)?;
        done?;
        Ok::<_, anyhow::Error>(questions)
    })?;
    for (question, answer) in questions.iter().zip(told.chunks(4)) {
        call(output, "ZwRequestWaitReplyPort", format_args!("{question:?}, answered {}", answer[0]))?;
    }
    Ok(())
}

fn ask(transport: &dyn Transport, output: &mut Output) -> Result<()> {
    const TEXT: &[u8] = b"too long for a message: ";
    const TIMES: usize = 2000;
    let mapping = FileMapping::new(transport, 0x1_0000, MappingAccess::ReadWrite)?;
    let shown = Shown { mapping: &mapping, offset: 0, size: 0 };
    let connection = Port::connect(transport, DRIVERS, SecurityQos::default(), Some(shown), b"")
        .map_err(|refused| anyhow!("the driver's port: {:?}", refused.status))?;
    let Some(view) = &connection.views.own else { bail!("nothing is shown") };
    let described = format!("{} bytes in a message at most, {} in the view", connection.max_data, view.len());
    call(output, "NtConnectPort", described)?;
    view.write(0, &TEXT.repeat(TIMES))?;
    let length = u32::try_from(TEXT.len() * TIMES)?.to_le_bytes();
    let reply = connection.port.request_wait_reply(&Message::new(&length));
    let reply = reply.map_err(|status| anyhow!("the driver's answer: {status:?}"))?;
    let changed = u32::from_le_bytes(reply.data().try_into()?);
    let mut front = [0; TEXT.len()];
    view.read(0, &mut front)?;
    let front = String::from_utf8_lossy(&front).into_owned();
    call(output, "NtRequestWaitReplyPort", format_args!("{changed} letters changed: {front:?}"))
}
