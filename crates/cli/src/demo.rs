//! `ringbridge demo`: a tour. What it says is what happened, told from the calls' results and the machine's events.

mod across;
mod apart;
mod consult;
mod fault;
mod filter;
mod here;
mod lifecycle;
mod named_pipe;
mod notify;
mod route;
mod samples;
mod shared;
mod shelf;
mod verdict;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use app::ControlCode;

use crate::hex;
use crate::output::{Output, Tone};

/// The sample's device.
const DEVICE: &str = r"\\.\My_Device";
/// The sample's codes: see samples/hello.
const ECHO: ControlCode = ControlCode(0x0022_2000);
const ECHO_CHECKED: ControlCode = ControlCode(0x0022_E004);
const LAST_WRITE: ControlCode = ControlCode(0x0022_2008);

/// Show a driver and its applications at work
///
/// Loads the sample driver hello.sys into this process and talks to its device; then does so from another process; shows
/// the samples pipe, buffers, delay, notify, mapping, namedpipe, consult and verdict, then with applications in processes of their own, shared
/// memory, a filter, and the life of a device; then lets a driver fault, and lives on.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask demo                      builds the drivers first\n  \
    ringbridge demo --sys-dir target/sys\n\n\
    The drivers are those that `cargo xtask sys` builds; a part whose driver is missing is skipped.")]
pub(crate) struct Args {
    /// Folder with the .sys files [default: RINGBRIDGE_SYS_DIR, else target/sys]
    #[arg(long, value_name = "DIR")]
    sys_dir: Option<PathBuf>,
}

/// How a part of the tour ended.
enum Part {
    Shown,
    /// It cannot run here, for this reason.
    Skipped(String),
}

type Show = fn(&Path, &mut Output) -> Result<Part>;

const PARTS: [(&str, Show); 16] = [
    ("A Windows driver in a Linux process", here::show),
    ("The driver in one process, its application in another", across::show),
    ("Pipes by name: two handles, one resource", samples::pipe),
    ("Four ways for bytes to travel", samples::buffers),
    ("Requests that are answered later", samples::delay),
    ("A driver that speaks first", notify::show),
    ("A section under a name", samples::mapping),
    ("A driver comes to an application's pipe", named_pipe::show),
    ("A volume of files", shelf::show),
    ("A driver and an application that ask each other", consult::show),
    ("A driver that asks its application", verdict::show),
    ("Applications in processes of their own", apart::show),
    ("Memory that driver and application share", shared::show),
    ("A filter above another driver's device", filter::show),
    ("A device comes, sleeps, and is pulled out", lifecycle::show),
    ("A driver that faults", fault::show),
];

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let folder = args.sys_dir.clone().or_else(|| std::env::var_os("RINGBRIDGE_SYS_DIR").map(PathBuf::from));
    let folder = folder.unwrap_or_else(|| PathBuf::from("target/sys"));
    let mut shown = 0;
    for (index, (title, show)) in PARTS.iter().enumerate() {
        if index > 0 {
            output.line("")?;
        }
        output.line(output.paint(Tone::Heading, format_args!("{}  {title}", index + 1)))?;
        match show(&folder, output)? {
            Part::Shown => shown += 1,
            Part::Skipped(why) => {
                output.line(format_args!("   {} {why}", output.paint(Tone::Doubtful, "skipped:")))?;
            }
        }
        output.flush()?;
    }
    if shown == 0 {
        bail!("nothing could be shown; `cargo xtask demo` builds the drivers and starts over");
    }
    Ok(())
}

/// A driver's file, or why the part that needs it is skipped.
fn driver(folder: &Path, name: &str) -> Result<PathBuf, Part> {
    let path = folder.join(name);
    if path.exists() {
        return Ok(path);
    }
    Err(Part::Skipped(format!("{} does not exist; `cargo xtask sys` builds it", path.display())))
}

/// A call and what came of it.
fn call(output: &mut Output, call: &str, result: impl std::fmt::Display) -> Result<()> {
    output.line(format_args!("   {} {} {result}", output.paint(Tone::Good, call), output.arrow()))
}

/// The lines of a hex dump, without the length at its end.
fn dump(output: &mut Output, bytes: &[u8]) -> Result<()> {
    let mut lines = hex::dump(bytes);
    lines.pop();
    lines.into_iter().try_for_each(|line| output.line(format_args!("      {line}")))
}
