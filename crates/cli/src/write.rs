//! `ringbridge write`: `CreateFile`, `WriteFile`, `CloseHandle`.

use std::path::PathBuf;

use anyhow::Result;
use app::OpenOptions;
use serde_json::json;

use crate::output::Output;
use crate::target::TargetArgs;
use crate::transfer::{HexBytes, data, hex_bytes};

/// Write to a device (WriteFile)
#[derive(clap::Args)]
#[command(
    override_usage = "ringbridge write [OPTIONS] <PATH> <TEXT|--hex <HEX>|--file <FILE>>",
    after_help = r"Examples:
  ringbridge write '\\.\My_Device' 'a line of text' --driver hello.sys
  ringbridge write '\\.\My_Device' --hex '68 65 6c 6c 6f'
  ringbridge write '\\.\My_Device' --file /dev/stdin < bytes",
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
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let bytes = data(args.text.as_deref(), args.hex.as_ref(), args.file.as_ref())?;
    let written = args.target.open()?.with(|transport| {
        let device = OpenOptions::new().access(abi::GENERIC_WRITE).open(transport, &args.path)?;
        Ok(device.write(&bytes)?)
    })?;
    if args.json {
        return output.json(json!({ "path": args.path, "length": bytes.len(), "bytes": written }));
    }
    output.line(format_args!("{written} bytes written"))
}
