//! The part about a driver that asks: a filter port, and an application that answers through it, late, or not at all.

use std::path::Path;
use std::thread;

use anyhow::{Result, anyhow, ensure};
use app::{Device, FILTER_HEADER_SIZE, FilterPort, MessageHeader, Transport, reply_to};

use super::call;
use super::route::From;
use super::stage::Stage;
use crate::output::{Output, Tone};

/// See samples/verdict: its port and its answers.
const PORT: &str = r"\Verdict";
const ALLOW: u32 = 1;
const DENY: u32 = 2;
/// Bytes of a question that is shown here.
const ROOM: usize = FILTER_HEADER_SIZE + 64;

/// See samples/verdict.
pub(super) fn show(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["verdict"])?;
    let (guard, opener) = (stage.process(), stage.process());
    output.line("   verdict.sys asks who is connected to its port whether a name may be opened:")?;
    let port = FilterPort::connect(&guard, PORT, &30_000_u32.to_le_bytes(), true)?;
    call(output, r"FilterConnectCommunicationPort(\Verdict)", "the driver agrees")?;
    for (name, verdict) in [(r"\letter.txt", ALLOW), (r"\virus.exe", DENY)] {
        stage.skip();
        asked(&port, &opener, name, verdict, output)?;
        stage.draw_those(From::Here, "", |route| route.major == abi::IRP_MJ_CREATE, output)?;
    }
    drop(port);
    output.line("   A guard that does not answer in its time opens no doors:")?;
    let slow = FilterPort::connect(&guard, PORT, &20_u32.to_le_bytes(), true)?;
    opened(&opener, r"\letter.txt", output)?;
    drop(slow);
    output.line("   And without one nobody is asked:")?;
    opened(&opener, r"\virus.exe", output)?;
    Ok(())
}

/// One process opens, another one answers.
fn asked(
    port: &FilterPort<'_>,
    opener: &dyn Transport,
    name: &str,
    verdict: u32,
    output: &mut Output,
) -> Result<()> {
    let (result, question) = thread::scope(|scope| {
        let opened = scope.spawn(|| Device::open(opener, &format!(r"\\.\Verdict{name}")).map(drop));
        let mut question = [0; ROOM];
        let answered = port.get_message(&mut question).and_then(|header| {
            let reply = reply_to(header.message_id, &verdict.to_le_bytes());
            port.reply_message(&reply).map(|()| header)
        });
        let result = opened.join().map_err(|_| anyhow!("the thread that opens has failed"));
        result.and_then(|result| Ok((result, answered.map(|header| (header, question))?)))
    })?;
    let (MessageHeader { reply_length, .. }, bytes) = question;
    let units =
        bytes[FILTER_HEADER_SIZE..].chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let text: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    let text = String::from_utf16_lossy(&text);
    ensure!(text == name, "the driver asked about {text:?}");
    let room = reply_length as usize - FILTER_HEADER_SIZE;
    call(output, "FilterGetMessage", format_args!("\"{text}\", with room for {room} bytes of reply"))?;
    let word = if verdict == ALLOW { "allow" } else { "deny" };
    call(output, &format!("FilterReplyMessage({word})"), told(&result, output))
}

fn opened(opener: &dyn Transport, name: &str, output: &mut Output) -> Result<()> {
    let result = Device::open(opener, &format!(r"\\.\Verdict{name}")).map(drop);
    call(output, &format!(r"CreateFile(\\.\Verdict{name})"), told(&result, output))
}

fn told(result: &Result<(), app::Win32Error>, output: &Output) -> String {
    match result {
        Ok(()) => "the other process has its handle".to_owned(),
        Err(error) => {
            output.paint(Tone::Bad, format_args!("the open failed with {}", error.code)).to_string()
        }
    }
}
