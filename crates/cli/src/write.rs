//! `ringbridge write`: `CreateFile`, `WriteFile`, `CloseHandle`.

use std::io::{self, BufRead, Read};
use std::path::PathBuf;

use anyhow::{Context, Result};
use app::OpenOptions;
use serde_json::json;

use crate::number::MAX_LENGTH;
use crate::output::Output;
use crate::target::TargetArgs;
use crate::transfer::{HexBytes, data, hex_bytes};

/// Write to a device (WriteFile)
#[derive(clap::Args)]
#[command(
    override_usage = "ringbridge write [OPTIONS] <PATH> <TEXT|--hex <HEX>|--file <FILE>|--lines>",
    after_help = r"Examples:
  ringbridge write '\\.\My_Device' 'a line of text' --driver hello.sys
  ringbridge write '\\.\My_Device' --hex '68 65 6c 6c 6f'
  ringbridge write '\\.\My_Device' --file /dev/stdin < bytes
  ringbridge write '\\.\Example\HELLO' --lines     what you type goes to the pipe HELLO, a line at a time, until Ctrl+D",
    group = clap::ArgGroup::new("data").required(true)
)]
pub(crate) struct Args {
    /// The device, as a Win32 path: \\.\Name
    path: String,
    /// The bytes, as text
    #[arg(group = "data")]
    text: Option<String>,
    /// The bytes, as hexadecimal digits
    #[arg(long, group = "data", value_parser = hex_bytes)]
    hex: Option<HexBytes>,
    /// A file with the bytes
    #[arg(long, group = "data")]
    file: Option<PathBuf>,
    /// Write each line of stdin (without its end), one request a line; the device stays open until stdin ends
    #[arg(long, group = "data")]
    lines: bool,
    /// Print one JSON object (with --lines: one for each)
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    if args.lines {
        return lines(args, output);
    }
    let bytes = data(args.text.as_deref(), args.hex.as_ref(), args.file.as_ref())?;
    let written = args.target.open()?.with(|transport| {
        let device = OpenOptions::new().access(abi::GENERIC_WRITE).open(transport, &args.path)?;
        Ok(device.write(&bytes)?)
    })?;
    tell(args, bytes.len(), written, output)
}

fn tell(args: &Args, length: usize, written: u32, output: &mut Output) -> Result<()> {
    if args.json {
        return output.json(json!({ "path": args.path, "length": length, "bytes": written }));
    }
    output.line(format_args!("{written} bytes written"))
}

/// Writes what comes on stdin, line by line, with one open.
fn lines(args: &Args, output: &mut Output) -> Result<()> {
    args.target.open()?.with(|transport| {
        let device = OpenOptions::new().access(abi::GENERIC_WRITE).open(transport, &args.path)?;
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            // As much as one request takes; what is longer becomes several.
            let taken = (&mut input).take(MAX_LENGTH.into()).read_until(b'\n', &mut line);
            if taken.context("stdin cannot be read")? == 0 {
                return Ok(());
            }
            if line.ends_with(b"\n") {
                line.pop();
            }
            let written = device.write(&line)?;
            tell(args, line.len(), written, output)?;
            output.flush()?;
        }
    })
}
