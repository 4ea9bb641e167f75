//! `ringbridge load`: drivers into a running host.

use std::path::PathBuf;

use anyhow::Result;
use gate::{LoadDriver, Management};
use serde_json::json;

use crate::output::Output;
use crate::parameter::{self, NamedParameter};
use crate::target::{HostArgs, refused};
use crate::transfer;

/// Load drivers into the running host
///
/// The files are read here and their content is sent: the host may run as another user, or see other files. Each driver
/// is loaded as the service of its file's name without the ending. For administrators of the host.
#[derive(clap::Args)]
#[command(after_help = r"Examples:
  ringbridge serve hello.sys                       in one terminal
  ringbridge load pipe.sys                         in another: one more driver
  ringbridge load tap.sys --parameter 'Target=\Device\My_Device'
  ringbridge list                                  what is loaded now
  ringbridge unload tap                            and away with it")]
pub(crate) struct Args {
    /// The drivers' files, loaded in this order
    #[arg(value_name = "FILE.sys", required = true)]
    drivers: Vec<PathBuf>,
    /// Load drivers although exports that they import are missing; a call of one raises STATUS_NOT_IMPLEMENTED
    #[arg(long)]
    allow_missing: bool,
    /// A value under the Parameters key of each driver's service: a number is a REG_DWORD, other text a REG_SZ (repeatable)
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter::parse)]
    parameters: Vec<NamedParameter>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArgs,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let client = args.host.connect()?;
    let mut loaded = Vec::new();
    let done = args.drivers.iter().try_for_each(|path| {
        let image = transfer::file(path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let request = LoadDriver {
            name: &name,
            file_name: &path.file_name().unwrap_or_default().to_string_lossy(),
            image: &image,
            allow_missing: args.allow_missing,
            parameters: parameter::named(&args.parameters),
        };
        let done = client.load_driver(&request);
        done.map_err(|refusal| refused(&format!("{} is not loaded", path.display()), &refusal))?;
        if !args.json {
            output.line(format_args!("{name} loaded"))?;
        }
        loaded.push(json!({ "name": name, "file": path.display().to_string() }));
        Ok(())
    });
    output.drivers(args.json, loaded, done)
}
