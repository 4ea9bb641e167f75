//! `ringbridge ioctl`: `CreateFile`, `DeviceIoControl`, `CloseHandle`.

use std::path::PathBuf;

use anyhow::Result;
use app::{ControlCode, OpenOptions};
use clap::ValueEnum;
use serde_json::json;

use crate::output::Output;
use crate::target::TargetArgs;
use crate::transfer::{HexBytes, Shape, data, front, hex_bytes, outcome};
use crate::{control_code, number};

/// Send a control code to a device (DeviceIoControl)
///
/// Opens the device, sends the code with its input, and shows the output as a hex dump.
#[derive(clap::Args)]
#[command(after_help = r"Examples:
  ringbridge ioctl '\\.\My_Device' 0x222000 --in hello --out 16 --driver hello.sys
  ringbridge ioctl '\\.\My_Device' 'CTL_CODE(0x22, 0x800, BUFFERED, ANY)' --in-hex 01020304 --out 4
  ringbridge ioctl '\\.\My_Device' 0x22E004 --access read --out 16     a code that needs more access

`ringbridge code CODE` explains a code.")]
pub(crate) struct Args {
    /// The device, as a Win32 path: \\.\Name
    path: String,
    /// The code: decimal, 0x and hexadecimal digits, or CTL_CODE(type, function, method, access)
    #[arg(value_parser = control_code::parse)]
    code: ControlCode,
    /// Input, as text
    #[arg(long = "in", value_name = "TEXT", group = "input")]
    text: Option<String>,
    /// Input, as hexadecimal digits
    #[arg(long, value_name = "HEX", group = "input", value_parser = hex_bytes)]
    in_hex: Option<HexBytes>,
    /// A file with the input
    #[arg(long, value_name = "FILE", group = "input")]
    in_file: Option<PathBuf>,
    /// Length of the output buffer in bytes
    #[arg(long, value_name = "LENGTH", default_value = "0", value_parser = number::length)]
    out: u32,
    /// What the handle is opened for
    #[arg(long, value_enum, default_value_t = Access::ReadWrite)]
    access: Access,
    #[command(flatten)]
    shape: Shape,
    #[command(flatten)]
    target: TargetArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum Access {
    /// Reading and writing
    ReadWrite,
    /// Reading only
    Read,
    /// Writing only
    Write,
    /// Neither: codes with FILE_ANY_ACCESS only
    None,
}

impl Access {
    const fn mask(self) -> u32 {
        match self {
            Self::ReadWrite => abi::GENERIC_READ | abi::GENERIC_WRITE,
            Self::Read => abi::GENERIC_READ,
            Self::Write => abi::GENERIC_WRITE,
            Self::None => 0,
        }
    }
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let input = data(args.text.as_deref(), args.in_hex.as_ref(), args.in_file.as_ref())?;
    let mut buffer = vec![0; args.out as usize];
    let (bytes, error) = args.target.open()?.with(|transport| {
        let device = OpenOptions::new().access(args.access.mask()).open(transport, &args.path)?;
        Ok(outcome(device.control(args.code, &input, &mut buffer)))
    })?;
    let about = json!({ "path": args.path, "code": format!("{:?}", args.code), "length": args.out });
    args.shape.show(output, about, front(&buffer, bytes), error)
}
