//! `ringbridge read`: `CreateFile`, `ReadFile`, `CloseHandle`.

use std::io::{self, BufRead};

use anyhow::{Context, Result};
use app::OpenOptions;
use serde_json::json;

use crate::number;
use crate::output::Output;
use crate::target::TargetArgs;
use crate::transfer::{Shape, front, outcome};

/// Read from a device (ReadFile)
///
/// Opens the device for reading, reads once, and shows what came as a hex dump.
#[derive(clap::Args)]
#[command(after_help = r"Examples:
  ringbridge read '\\.\My_Device' 16 --driver hello.sys      load hello.sys here, read, unload
  ringbridge read '\\.\My_Device' 16                         ask the host that is running
  ringbridge read '\\.\My_Device' 4096 --raw > bytes
  ringbridge read '\\.\Example\HELLO' 64 --on-enter     reads whenever you press Enter, until Ctrl+D")]
pub(crate) struct Args {
    /// The device, as a Win32 path: \\.\Name
    path: String,
    /// How many bytes to ask for
    #[arg(value_parser = number::length)]
    length: u32,
    /// Read once for each line that comes on stdin (press Enter); the device stays open until stdin ends
    #[arg(long)]
    on_enter: bool,
    #[command(flatten)]
    shape: Shape,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    if args.on_enter {
        return on_enter(args, output);
    }
    let mut buffer = vec![0; args.length as usize];
    let (bytes, error) = args.target.open()?.with(|transport| {
        let device = OpenOptions::new().access(abi::GENERIC_READ).open(transport, &args.path)?;
        Ok(outcome(device.read(&mut buffer)))
    })?;
    let about = json!({ "path": args.path, "length": args.length });
    args.shape.show(output, about, front(&buffer, bytes), error)
}

/// Reads again for each line on stdin, with one open.
fn on_enter(args: &Args, output: &mut Output) -> Result<()> {
    args.target.open()?.with(|transport| {
        let device = OpenOptions::new().access(abi::GENERIC_READ).open(transport, &args.path)?;
        let mut buffer = vec![0; args.length as usize];
        for line in io::stdin().lock().split(b'\n') {
            line.context("stdin cannot be read")?;
            let (bytes, error) = outcome(device.read(&mut buffer));
            let about = json!({ "path": args.path, "length": args.length });
            args.shape.show(output, about, front(&buffer, bytes), error)?;
            output.flush()?;
        }
        Ok(())
    })
}
