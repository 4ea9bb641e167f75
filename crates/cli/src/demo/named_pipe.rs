//! The part about named pipes: between two applications, and a driver that comes to one.

use std::path::Path;

use anyhow::{Result, ensure};
use app::{ControlCode, Device, NamedPipe, NamedPipeOptions};

use super::call;
use super::route::{From, Route};
use super::stage::Stage;
use crate::output::{Output, Tone};

/// See samples/namedpipe.
const TALK: ControlCode = ControlCode(0x0022_2000);
const NAME: &str = r"\\.\pipe\Demo";
const NT_NAME: &str = r"\??\pipe\Demo";

fn text(buffer: &[u8], count: u32) -> String {
    String::from_utf8_lossy(crate::transfer::front(buffer, count)).into_owned()
}

/// See samples/namedpipe.
pub(super) fn show(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["namedpipe"])?;
    let (process, other) = (stage.process(), stage.process());
    output.line(
        "   Named pipes need no driver of yours. Messages stay whole, whatever the reader has room for:",
    )?;
    let options = NamedPipeOptions::new().messages(true).read_messages(true);
    let server = options.create(&process, NAME)?;
    call(output, &format!("CreateNamedPipe({NAME})"), format_args!("handle {:#x}", server.handle().0))?;
    let client = NamedPipe::open(&other, NAME)?;
    call(output, &format!("CreateFile({NAME}) by another process"), "connected")?;
    client.write(b"one message")?;
    client.write(b"and another")?;
    let mut buffer = [0; 64];
    match server.read(&mut buffer[..3]) {
        Err(error) => {
            let what = format!("{:?}, error {}: there is more", text(&buffer, error.bytes), error.code);
            call(output, "ReadFile(3 bytes)", output.paint(Tone::Doubtful, what))?;
        }
        Ok(_) => ensure!(false, "a part of a message was taken for the whole"),
    }
    for _ in 0..2 {
        let count = server.read(&mut buffer)?;
        call(output, "ReadFile(64 bytes)", format_args!("{:?}", text(&buffer, count)))?;
    }
    drop(client);
    server.disconnect()?;
    drop(server);

    output.line("   namedpipe.sys is a client as any other, by ZwCreateFile, ZwReadFile and ZwWriteFile:")?;
    let server = options.create(&process, NAME)?;
    let device = Device::open(&process, r"\\.\Talker")?;
    let mut input = 1_u16.to_le_bytes().to_vec();
    input.extend(NT_NAME.encode_utf16().flat_map(u16::to_le_bytes));
    stage.skip();
    device.control(TALK, &input, &mut [])?;
    call(output, &format!("DeviceIoControl({TALK:?}, {NT_NAME})"), "the driver opens the pipe")?;
    let control = |route: &Route| route.begins_at(r"\Driver\namedpipe");
    stage.draw_those(From::Here, "", control, output)?;
    let count = server.read(&mut buffer)?;
    call(output, "ReadFile", format_args!("{:?}", text(&buffer, count)))?;
    server.write(b"desserts")?;
    let count = server.read(&mut buffer)?;
    call(output, "WriteFile(\"desserts\"), ReadFile", format_args!("{:?}", text(&buffer, count)))?;
    Ok(())
}
