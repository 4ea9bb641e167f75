//! `ringbridge unload`: drivers out of a running host.

use anyhow::Result;
use gate::{DriverUnload, Management};
use serde_json::json;

use crate::output::{self, Output};
use crate::target::{HostArgs, refused};

/// Unload drivers from the running host
///
/// A driver whose files are open goes when the last of them is closed; until then no more can be opened. What drivers leave
/// behind is told on stderr. For administrators of the host.
#[derive(clap::Args)]
#[command(after_help = r"Examples:
  ringbridge list                 which drivers are loaded?
  ringbridge unload hello
  ringbridge unload tap hello     in this order: what is attached goes first
  ringbridge unload hello --json | jq '.drivers[].left[]'")]
pub(crate) struct Args {
    /// The drivers' service names, unloaded in this order
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let client = args.host.connect()?;
    let mut unloaded = Vec::new();
    let done = args.names.iter().try_for_each(|name| {
        let outcome = client.unload_driver(name);
        let outcome = outcome.map_err(|refusal| refused(&format!("{name} is not unloaded"), &refusal))?;
        if !args.json {
            tell(name, &outcome, output)?;
        }
        unloaded.push(match outcome {
            DriverUnload::Unloaded { left } => json!({ "name": name, "unloaded": true, "left": left }),
            DriverUnload::Pending { files } => json!({ "name": name, "unloaded": false, "files": files }),
        });
        Ok(())
    });
    output.drivers(args.json, unloaded, done)
}

fn tell(name: &str, outcome: &DriverUnload, output: &mut Output) -> Result<()> {
    match outcome {
        DriverUnload::Unloaded { left } => {
            let end = if left.is_empty() { "nothing left behind" } else { "but left something behind" };
            output.line(format_args!("{name} unloaded, {end}"))?;
            for clause in left {
                output::note(format_args!("ringbridge: {name} {clause}"));
            }
            Ok(())
        }
        DriverUnload::Pending { files } => output.line(format_args!(
            "{name} will be unloaded when its open files and attached devices ({files}) are gone"
        )),
    }
}
