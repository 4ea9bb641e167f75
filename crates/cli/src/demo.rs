//! `ringbridge demo`: a tour of the channels, a screen for each. What it says is what happened, told from the calls' results and
//! the machine's events.

mod across;
mod apart;
mod channels;
mod consult;
mod control;
mod fault;
mod filter;
mod here;
mod life;
mod lifecycle;
mod named_pipe;
mod notify;
mod objects;
mod requests;
mod route;
mod samples;
mod shared;
mod shelf;
mod stage;
mod verdict;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use app::{ControlCode, Win32Error};
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use crate::hex;
use crate::output::{Output, Tone};
use channels::{CHANNELS, Channel};

/// The sample's device.
const DEVICE: &str = r"\\.\My_Device";
/// The sample's codes: see samples/hello.
const ECHO: ControlCode = ControlCode(0x0022_2000);
const ECHO_CHECKED: ControlCode = ControlCode(0x0022_E004);

/// Show the channels between drivers and applications at work
///
/// One screen for each channel, in the order of docs/channels.md: what the application calls, what comes of it, and the
/// way of each IRP, drawn from the machine's events.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask demo                          builds the drivers first\n  \
    cargo xtask demo --channel shared-memory  builds only what this one needs\n  \
    ringbridge demo --list                    which are there?\n  \
    ringbridge demo --channel pipe --sys-dir target/sys\n\n\
    The drivers are those that `cargo xtask sys` builds; a screen whose driver is missing is skipped, and an error when it \
    was asked for by name.")]
pub(crate) struct Args {
    /// Folder with the .sys files [default: RINGBRIDGE_SYS_DIR, else target/sys]
    #[arg(long, value_name = "DIR")]
    sys_dir: Option<PathBuf>,
    /// Show this one only (repeatable)
    #[arg(long = "channel", value_name = "NAME", value_parser = names())]
    channels: Vec<String>,
    /// List the channels with the rows of docs/channels.md that they answer, and the seed texts that those come from
    #[arg(long)]
    list: bool,
    /// With --list: print one JSON object
    #[arg(long, requires = "list")]
    json: bool,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(CHANNELS.iter().map(|channel| channel.name))
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let wanted = |channel: &&Channel| {
        args.channels.is_empty() || args.channels.iter().any(|name| name == channel.name)
    };
    if args.list {
        return list(args.json, &CHANNELS.iter().filter(wanted).collect::<Vec<_>>(), output);
    }
    let folder = args.sys_dir.clone().or_else(|| std::env::var_os("RINGBRIDGE_SYS_DIR").map(PathBuf::from));
    let folder = folder.unwrap_or_else(|| PathBuf::from("target/sys"));
    let mut shown = 0;
    for (index, channel) in CHANNELS.iter().enumerate().filter(|(_, channel)| wanted(channel)) {
        if shown > 0 || (args.channels.is_empty() && index > 0) {
            output.line("")?;
        }
        heading(index + 1, channel, output)?;
        match missing(&folder, channel) {
            None => {
                (channel.show)(&folder, output)?;
                shown += 1;
            }
            Some(why) if args.channels.is_empty() => {
                output.line(format_args!("   {} {why}", output.paint(Tone::Doubtful, "skipped:")))?;
            }
            Some(why) => bail!("{} cannot be shown: {why}", channel.name),
        }
        output.flush()?;
    }
    if shown == 0 {
        bail!("nothing could be shown; `cargo xtask demo` builds the drivers and starts over");
    }
    Ok(())
}

/// Number, title, rows and seeds.
fn heading(number: usize, channel: &Channel, output: &mut Output) -> Result<()> {
    output.line(output.paint(Tone::Heading, format_args!("{number}  {}", channel.title)))?;
    let seeds = channel.seeds();
    let seeds = if seeds.is_empty() { String::new() } else { format!(", seed {}", seeds.join(", ")) };
    let line = format!("   {}{seeds}: --channel {}", channel.rows.join(", "), channel.name);
    output.line(output.paint(Tone::Quiet, line))
}

fn list(json: bool, channels: &[&Channel], output: &mut Output) -> Result<()> {
    if json {
        let channels = channels.iter().map(|channel| {
            json!({
                "name": channel.name, "title": channel.title, "rows": channel.rows,
                "seeds": channel.seeds(), "drivers": channel.drivers,
            })
        });
        return output.json(json!({ "channels": channels.collect::<Value>() }));
    }
    let width = channels.iter().map(|channel| channel.name.len()).max().unwrap_or(0);
    for channel in channels {
        let (rows, seeds) = (channel.rows.join(" "), channel.seeds().join(" "));
        let name = output.paint(Tone::Good, format!("{:<width$}", channel.name));
        output.line(format_args!("{name}  {rows:<8}  {seeds:<11}  {}", channel.title))?;
    }
    Ok(())
}

/// Why a channel cannot be shown.
fn missing(folder: &Path, channel: &Channel) -> Option<String> {
    let needed = channel.drivers.iter().filter(|name| **name != objects::OPTIONAL);
    let mut paths = needed.map(|name| folder.join(format!("{name}.sys")));
    let path = paths.find(|path| !path.exists())?;
    Some(format!("{} does not exist; `cargo xtask sys` builds it", path.display()))
}

/// A call and what came of it.
fn call(output: &mut Output, call: &str, result: impl std::fmt::Display) -> Result<()> {
    output.line(format_args!("   {} {} {result}", output.paint(Tone::Good, call), output.arrow()))
}

/// A call that must fail.
fn refused<T>(output: &mut Output, what: &str, result: Result<T, Win32Error>) -> Result<()> {
    let Err(error) = result else { bail!("{what} was not refused") };
    let name = abi::win32_name(error.code).unwrap_or_default();
    call(output, what, output.paint(Tone::Bad, format_args!("error {} {name}", error.code)))
}

/// The lines of a hex dump, without the length at its end.
fn dump(output: &mut Output, bytes: &[u8]) -> Result<()> {
    let mut lines = hex::dump(bytes);
    lines.pop();
    lines.into_iter().try_for_each(|line| output.line(format_args!("      {line}")))
}
