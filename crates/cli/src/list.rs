//! `ringbridge list`: the drivers of a running host.

use anyhow::Result;
use gate::{DriverInformation, Management};
use serde_json::{Value, json};

use crate::output::{Output, Tone};
use crate::target::{HostArgs, refused};

/// List the drivers that are loaded in the running host
///
/// Shows each driver's service name, its image and its devices, in the order of loading. For administrators of the host;
/// `ringbridge ls '\Driver'` shows the names to everybody.
#[derive(clap::Args)]
#[command(after_help = r"Examples:
  ringbridge list
  ringbridge list --json | jq -r '.drivers[] | .name as $driver | .devices[] | $driver + .'")]
pub(crate) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let drivers = args.host.connect()?.drivers();
    let drivers = drivers.map_err(|refusal| refused("the drivers cannot be listed", &refusal))?;
    if args.json {
        let drivers = drivers.iter().map(|driver| {
            json!({
                "name": driver.name, "file": driver.file_name, "base": format!("{:#x}", driver.base),
                "size": driver.size, "devices": driver.devices,
            })
        });
        return output.json(json!({ "drivers": drivers.collect::<Value>() }));
    }
    if drivers.is_empty() {
        return output.line("no driver is loaded; load one with `ringbridge load FILE.sys`");
    }
    let width = drivers.iter().map(|driver| driver.name.chars().count()).max().unwrap_or(0);
    for driver in &drivers {
        let DriverInformation { name, base, size, .. } = driver;
        let name = output.paint(Tone::Good, format!("{name:<width$}"));
        let devices =
            if driver.devices.is_empty() { "no device".to_owned() } else { driver.devices.join(" ") };
        output.line(format_args!("{name}  {base:#x}  {size:>8} bytes  {devices}"))?;
    }
    Ok(())
}
