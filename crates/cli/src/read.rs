//! `ringbridge read`: `CreateFile`, `ReadFile`, `CloseHandle`.

use anyhow::Result;
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
  ringbridge read '\\.\My_Device' 4096 --raw > bytes")]
pub(crate) struct Args {
    /// The device, as a Win32 path: \\.\Name
    path: String,
    /// How many bytes to ask for
    #[arg(value_parser = number::length)]
    length: u32,
    #[command(flatten)]
    shape: Shape,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let mut buffer = vec![0; args.length as usize];
    let (bytes, error) = args.target.open()?.with(|transport| {
        let device = OpenOptions::new().access(abi::GENERIC_READ).open(transport, &args.path)?;
        Ok(outcome(device.read(&mut buffer)))
    })?;
    let about = json!({ "path": args.path, "length": args.length });
    args.shape.show(output, about, front(&buffer, bytes), error)
}
