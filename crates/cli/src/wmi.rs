//! `ringbridge wmi`: what WMI's service asks drivers on Windows, and what they answer.

use anyhow::{Result, anyhow, bail};
use host::{Machine, WmiGuid, WmiProvider, WmiQuery};
use serde_json::{Value, json};

use crate::output::{Output, Tone};
use crate::target::{Target, TargetArgs};
use crate::transfer::{HexBytes, hex_bytes};
use crate::{hex, output};

/// Ask the drivers that offer data to WMI (IRP_MJ_SYSTEM_CONTROL)
///
/// Loads the drivers, and lists the devices that they have registered with their data blocks. With a block's GUID, shows the data of
/// its instances, changes one, runs a method, or enables its events and shows those that come at once.
#[derive(clap::Args)]
#[command(after_help = r"Examples:
  ringbridge wmi --driver wmi.sys                                                          which blocks there are
  ringbridge wmi 52424d49-0001-0002-0304-05060708090a --driver wmi.sys                     all instances
  ringbridge wmi 52424d49-0001-0002-0304-05060708090a --instance 1 --driver wmi.sys        one of them
  ringbridge wmi 52424d49-0001-0002-0304-05060708090a --method 7 --in-hex 0102 --driver wmi.sys

A running host cannot be asked.")]
pub(crate) struct Args {
    /// The block's GUID
    #[arg(value_parser = guid)]
    block: Option<WmiGuid>,
    /// One instance, by its number [default: all, and 0 for changes and methods]
    #[arg(long, value_name = "NUMBER", requires = "block")]
    instance: Option<u32>,
    /// Change the instance to these bytes (hexadecimal)
    #[arg(long, value_name = "HEX", requires = "block", value_parser = hex_bytes, group = "action")]
    set_hex: Option<HexBytes>,
    /// Run this method of the instance
    #[arg(long, value_name = "NUMBER", requires = "block", group = "action")]
    method: Option<u32>,
    /// The method's input (hexadecimal)
    #[arg(long, value_name = "HEX", requires = "method", value_parser = hex_bytes)]
    in_hex: Option<HexBytes>,
    /// Enable the block's events
    #[arg(long, requires = "block", group = "action")]
    events: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetArgs,
}

/// A GUID as it is written, with or without braces: its bytes as they lie in memory.
fn guid(text: &str) -> Result<WmiGuid, String> {
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let digits: String = inner.split('-').collect();
    let parts = inner.split('-').map(str::len).collect::<Vec<_>>();
    let bytes = hex::parse(&digits)?;
    let bytes: WmiGuid = bytes
        .try_into()
        .ok()
        .filter(|_| parts == [8, 4, 4, 4, 12])
        .ok_or_else(|| "a GUID is written 00000000-0000-0000-0000-000000000000".to_owned())?;
    Ok(swapped(bytes))
}

/// The first three parts of a GUID lie in memory with their lowest byte first.
fn swapped(mut bytes: WmiGuid) -> WmiGuid {
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

fn written(guid: WmiGuid) -> String {
    let digits = hex::digits(&swapped(guid));
    let (first, rest) = digits.split_at(8);
    format!("{first}-{}-{}-{}-{}", &rest[..4], &rest[4..8], &rest[8..12], &rest[12..])
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    if !args.target.names_drivers() {
        bail!("name a driver to load (--driver FILE.sys); a running host cannot be asked for WMI's data");
    }
    let target = args.target.open()?;
    let asked = match &target {
        Target::Here { machine, .. } => ask(args, machine, output),
        Target::Host(_) => Err(anyhow!("a running host cannot be asked for WMI's data")),
    };
    match (asked, target.finish()) {
        (asked, Ok(())) => asked,
        (Ok(()), Err(error)) => Err(error),
        (Err(error), Err(also)) => Err(error.context(also)),
    }
}

fn refused(what: &str, status: abi::NTSTATUS) -> anyhow::Error {
    let known = abi::status_name(status).unwrap_or("a status without a name");
    anyhow!("{what}: {known}, {status:?}")
}

fn ask(args: &Args, machine: &Machine, output: &mut Output) -> Result<()> {
    let providers =
        machine.wmi_providers().map_err(|status| refused("the drivers cannot be asked", status))?;
    let Some(block) = args.block else { return list(&providers, args.json, output) };
    let has = |provider: &&WmiProvider| {
        provider.blocks.as_ref().is_ok_and(|blocks| blocks.iter().any(|other| other.guid == block))
    };
    let Some(provider) = providers.iter().find(has) else {
        bail!("no driver has the block {}", written(block));
    };
    let instance = args.instance.unwrap_or(0);
    let query = match (&args.set_hex, args.method) {
        (Some(bytes), _) => WmiQuery::SetInstance(instance, &bytes.0),
        (None, Some(method)) => {
            let input = args.in_hex.as_ref().map_or(&[][..], |bytes| &bytes.0);
            WmiQuery::Method(instance, method, input)
        }
        (None, None) if args.events => WmiQuery::Events(true),
        (None, None) => args.instance.map_or(WmiQuery::AllData, WmiQuery::Instance),
    };
    if args.events {
        machine.watch(std::sync::Arc::new(crate::watch::Console));
    }
    let data = machine.wmi_query(provider.id, block, query);
    let data = data.map_err(|status| refused(&format!("{} does not answer", provider.device), status))?;
    if args.json {
        let data = data.iter().map(|bytes| hex::digits(bytes)).collect::<Value>();
        return output.json(json!({ "block": written(block), "device": provider.device, "data": data }));
    }
    for (index, bytes) in data.iter().enumerate() {
        output.line(output.paint(Tone::Heading, format!("{index}: {} bytes", bytes.len())))?;
        for line in hex::dump(bytes) {
            output.line(line)?;
        }
    }
    if data.is_empty() {
        output::note("ringbridge: done");
    }
    Ok(())
}

fn list(providers: &[WmiProvider], json: bool, output: &mut Output) -> Result<()> {
    if json {
        let providers = providers.iter().map(|provider| {
            let blocks = provider.blocks.as_ref().ok().into_iter().flatten();
            let blocks = blocks.map(|block| {
                json!({ "guid": written(block.guid), "flags": block.flags, "instances": block.instances })
            });
            json!({ "device": provider.device, "blocks": blocks.collect::<Value>() })
        });
        return output.json(json!({ "providers": providers.collect::<Value>() }));
    }
    if providers.is_empty() {
        return output.line("no driver offers data to WMI (IoWMIRegistrationControl)");
    }
    for provider in providers {
        output.line(output.paint(Tone::Good, &provider.device))?;
        match &provider.blocks {
            Ok(blocks) => {
                for block in blocks {
                    let (guid, instances) = (written(block.guid), block.instances);
                    output
                        .line(format_args!("    {guid}  {instances} instances, flags {:#x}", block.flags))?;
                }
            }
            Err(status) => {
                output.line(format_args!("    {}", refused("does not tell its blocks", *status)))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_read_as_it_is_written_and_lies_in_memory_as_nt_has_it() {
        let text = "52424d49-0001-0002-0304-05060708090a";
        let bytes = guid(text).expect("a GUID");
        assert_eq!(bytes, [0x49, 0x4D, 0x42, 0x52, 1, 0, 2, 0, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(written(bytes), text);
        assert_eq!(guid(&format!("{{{text}}}")), Ok(bytes));
        for wrong in
            ["", "52424d49", "52424d49-0001-0002-0304-05060708090", "52424d490001-0002-0304-05060708090a-"]
        {
            assert!(guid(wrong).is_err(), "{wrong}");
        }
    }
}
