//! `ringbridge status`: what an NTSTATUS or a Win32 error says.

use abi::NTSTATUS;
use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::number;
use crate::output::{Output, Tone};

/// Explain an NTSTATUS or a Win32 error
///
/// A status is decoded into name, severity and facility, with the Win32 error that an application gets for it. A Win32
/// error is named, with the statuses that become it.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ringbridge status 0xC0000010             a status\n  \
    ringbridge status STATUS_ACCESS_DENIED   the same, by name\n  \
    ringbridge status 5                      a Win32 error: small and decimal, as GetLastError gives it\n  \
    ringbridge status ERROR_IO_PENDING\n\n\
    A number behind 0x, a negative one, or one above 65535 is a status; other numbers are Win32 errors.")]
pub(crate) struct Args {
    /// The status or error: a number or a name
    #[arg(value_name = "STATUS", allow_negative_numbers = true, value_parser = parse)]
    code: Code,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Code {
    Status(NTSTATUS),
    Win32(u32),
    /// To be looked up.
    Name(String),
}

fn parse(text: &str) -> Result<Code, String> {
    if text.starts_with(|first: char| first.is_ascii_alphabetic())
        && !text.chars().all(|c| c.is_ascii_hexdigit())
    {
        return Ok(Code::Name(text.to_ascii_uppercase()));
    }
    if text.starts_with('-') {
        let value = text.parse().map_err(|_| format!("{text} does not fit into 32 bits"))?;
        return Ok(Code::Status(NTSTATUS(value)));
    }
    let value = number::parse(text)?;
    let is_error = value <= 0xFFFF && !text.to_ascii_lowercase().starts_with("0x");
    Ok(if is_error { Code::Win32(value) } else { Code::Status(NTSTATUS::from_bits(value)) })
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    match &args.code {
        Code::Status(status) => explain_status(*status, args.json, output),
        Code::Win32(error) => explain_error(*error, args.json, output),
        Code::Name(name) => {
            if let Some(status) = named_statuses().find(|status| abi::status_name(*status) == Some(name)) {
                return explain_status(status, args.json, output);
            }
            if let Some(error) = (0..=0xFFFF).find(|error| abi::win32_name(*error) == Some(name)) {
                return explain_error(error, args.json, output);
            }
            bail!("no status or Win32 error is called {name}; names begin with STATUS_ or ERROR_");
        }
    }
}

/// All statuses that have names. Codes above 0xFFF exist in facility 0 only, and facilities end below 0x40.
fn named_statuses() -> impl Iterator<Item = NTSTATUS> {
    let of = |facility: u32| {
        let codes = if facility == 0 { 0x1_0000 } else { 0x1000 };
        (0..4_u32).flat_map(move |severity| {
            (0..codes).map(move |code| NTSTATUS::from_bits(severity << 30 | facility << 16 | code))
        })
    };
    (0..0x40).flat_map(of).filter(|status| abi::status_name(*status).is_some())
}

const fn severity(status: NTSTATUS) -> &'static str {
    match status.bits() >> 30 {
        0 => "success",
        1 => "information",
        2 => "warning",
        _ => "error",
    }
}

/// Names of facilities, from the public list of NTSTATUS values.
const fn facility_name(facility: u32) -> &'static str {
    match facility {
        0x0 => "none",
        0x1 => "FACILITY_DEBUGGER",
        0x2 => "FACILITY_RPC_RUNTIME",
        0x3 => "FACILITY_RPC_STUBS",
        0x4 => "FACILITY_IO_ERROR_CODE",
        0x7 => "FACILITY_NTWIN32",
        0xA => "FACILITY_TERMINAL_SERVER",
        0xB => "FACILITY_MUI_ERROR_CODE",
        0x10 => "FACILITY_USB_ERROR_CODE",
        0x11 => "FACILITY_HID_ERROR_CODE",
        0x12 => "FACILITY_FIREWIRE_ERROR_CODE",
        0x13 => "FACILITY_CLUSTER_ERROR_CODE",
        0x14 => "FACILITY_ACPI_ERROR_CODE",
        0x15 => "FACILITY_SXS_ERROR_CODE",
        0x19 => "FACILITY_TRANSACTION",
        0x1A => "FACILITY_COMMONLOG",
        0x1B => "FACILITY_VIDEO",
        0x1C => "FACILITY_FILTER_MANAGER",
        0x1D => "FACILITY_MONITOR",
        0x1E => "FACILITY_GRAPHICS_KERNEL",
        0x20 => "FACILITY_DRIVER_FRAMEWORK",
        0x21 => "FACILITY_FVE_ERROR_CODE",
        0x22 => "FACILITY_FWP_ERROR_CODE",
        0x23 => "FACILITY_NDIS_ERROR_CODE",
        _ => "",
    }
}

fn explain_status(status: NTSTATUS, json: bool, output: &mut Output) -> Result<()> {
    let bits = status.bits();
    let (facility, code) = (bits >> 16 & 0xFFF, bits & 0xFFFF);
    let name = abi::status_name(status);
    let customer = bits & 0x2000_0000 != 0;
    let win32 = abi::win32_from_status(status);
    if json {
        return output.json(json!({
            "kind": "ntstatus",
            "status": format!("{status:?}"),
            "value": bits,
            "name": name,
            "severity": severity(status),
            "nt_success": status.is_success(),
            "customer": customer,
            "facility": facility,
            "facility_name": Some(facility_name(facility)).filter(|name| !name.is_empty()),
            "code": code,
            "win32": { "error": win32, "name": abi::win32_name(win32) },
        }));
    }
    let title = format!("{status:?} {}", name.unwrap_or("has no published name"));
    output.line(output.paint(Tone::Heading, title))?;
    let judged = if status.is_success() { "NT_SUCCESS is true" } else { "NT_SUCCESS is false" };
    output.line(format_args!("  severity     {} ({judged})", severity(status)))?;
    output.line(format_args!("  facility     {facility:#x}  {}", facility_name(facility)))?;
    output.line(format_args!("  code         {code:#x}"))?;
    if customer {
        output.line("  customer     yes: a vendor's own status, not Microsoft's")?;
    }
    output.line(format_args!("  Win32 error  {}", error_text(win32)))
}

fn error_text(error: u32) -> String {
    format!("{error} {}", abi::win32_name(error).unwrap_or("(no published name)"))
}

fn explain_error(error: u32, json: bool, output: &mut Output) -> Result<()> {
    let from: Vec<_> = named_statuses().filter(|status| abi::win32_from_status(*status) == error).collect();
    let name = |status: &NTSTATUS| abi::status_name(*status).unwrap_or_default();
    if json {
        let from = from.iter().map(|status| json!({ "status": format!("{status:?}"), "name": name(status) }));
        return output.json(json!({
            "kind": "win32",
            "value": error,
            "name": abi::win32_name(error),
            "statuses": from.collect::<Value>(),
        }));
    }
    output.line(output.paint(Tone::Heading, format_args!("Win32 error {}", error_text(error))))?;
    if from.is_empty() {
        return output.line("  no published status becomes it");
    }
    output.line("  an application gets it for:")?;
    from.iter().try_for_each(|status| output.line(format_args!("    {status:?} {}", name(status))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_statuses_or_errors_by_how_they_are_written() {
        assert_eq!(parse("0x103"), Ok(Code::Status(abi::STATUS_PENDING)));
        assert_eq!(parse("-1073741808"), Ok(Code::Status(abi::STATUS_INVALID_DEVICE_REQUEST)));
        assert_eq!(parse("3221225488"), Ok(Code::Status(abi::STATUS_INVALID_DEVICE_REQUEST)));
        assert_eq!(parse("259"), Ok(Code::Win32(259)));
        assert_eq!(parse("status_pending"), Ok(Code::Name("STATUS_PENDING".to_owned())));
        assert!(parse("-4294967296").is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn names_are_found_in_every_facility_that_has_some() {
        let names: Vec<_> = named_statuses().filter_map(abi::status_name).collect();
        // One from each of the tables' ends.
        for name in [
            "STATUS_SUCCESS",
            "STATUS_PENDING",
            "STATUS_BUFFER_OVERFLOW",
            "STATUS_INVALID_DEVICE_REQUEST",
            "STATUS_INVALID_BUFFER_SIZE",
            "STATUS_ACPI_INVALID_OPCODE",
        ] {
            assert!(names.contains(&name), "{name}");
        }
        assert!(names.len() > 1500, "{}", names.len());
    }
}
