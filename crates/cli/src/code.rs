//! `ringbridge code`: what a control code says.

use anyhow::Result;
use app::{Access, ControlCode, Method};
use serde_json::json;

use crate::control_code::{access_name, method_name, parse};
use crate::device_names;
use crate::output::{Output, Tone};

/// Device types and functions below these are Microsoft's (kernel, Defining I/O Control Codes).
const VENDOR_DEVICE_TYPES: u16 = 0x8000;
const VENDOR_FUNCTIONS: u16 = 0x800;

/// Take an I/O control code apart, or put one together
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ringbridge code 0x9C40240F\n  \
    ringbridge code 'CTL_CODE(0x22, 0x800, BUFFERED, ANY)'\n  ringbridge code --json 0x222000")]
pub(crate) struct Args {
    /// The code: decimal, 0x and hexadecimal digits, or CTL_CODE(type, function, method, access)
    #[arg(value_parser = parse)]
    code: ControlCode,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let code = args.code;
    let (device_type, function) = (code.device_type(), code.function());
    let type_name = device_names::name_of(device_type);
    let vendor = |is: bool| if is { "vendor's own" } else { "Microsoft's" };
    if args.json {
        return output.json(json!({
            "code": format!("{code:?}"),
            "value": code.0,
            "device_type": device_type,
            "device_type_name": type_name,
            "device_type_is_vendors": device_type >= VENDOR_DEVICE_TYPES,
            "function": function,
            "function_is_vendors": function >= VENDOR_FUNCTIONS,
            "method": method_name(code.method()),
            "access": access_name(code.access()),
        }));
    }
    let name = type_name.unwrap_or(vendor(device_type >= VENDOR_DEVICE_TYPES));
    output.line(format_args!("{}", output.paint(Tone::Heading, format_args!("{code:?}"))))?;
    output.line(format_args!("  device type  {device_type:#06x}  {name}"))?;
    output.line(format_args!("  function     {function:#05x}   {}", vendor(function >= VENDOR_FUNCTIONS)))?;
    output.line(format_args!("  method       {}       {}", code.0 & 3, method_name(code.method())))?;
    output.line(format_args!("               {}", method_means(code.method())))?;
    output.line(format_args!("  access       {}       {}", code.0 >> 14 & 3, access_name(code.access())))?;
    output.line(format_args!("               {}", access_means(code.access())))?;
    let device_type = type_name.map_or_else(|| format!("{device_type:#x}"), str::to_owned);
    let (method, access) = (method_name(code.method()), access_name(code.access()));
    output.line(format_args!("  CTL_CODE({device_type}, {function:#x}, {method}, {access})"))
}

const fn method_means(method: Method) -> &'static str {
    match method {
        Method::Buffered => "both buffers travel through one system buffer (SystemBuffer)",
        Method::InDirect => "input in SystemBuffer; the second buffer by MDL, which the driver reads",
        Method::OutDirect => "input in SystemBuffer; the second buffer by MDL, which the driver writes",
        Method::Neither => "the driver gets the application's own addresses and must probe them",
    }
}

const fn access_means(access: Access) -> &'static str {
    match access {
        Access::Any => "any handle may send it",
        Access::Read => "the handle must have been opened for reading",
        Access::Write => "the handle must have been opened for writing",
        Access::ReadWrite => "the handle must have been opened for reading and writing",
    }
}
