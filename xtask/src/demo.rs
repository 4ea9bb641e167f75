//! `cargo xtask demo`: the shortest way to see the house at work. The conversation itself is the command line tool's.

use std::ffi::OsString;

use anyhow::{Context, Result};

use crate::workspace::{CLI, Workspace};
use crate::{sys, tools};

/// Build a driver, load it here, and talk to it.
///
/// Builds the samples to real Windows drivers (target/sys/hello.sys and others), loads these files into a Linux process
/// under NT's rules, and shows an application opening their devices, writing, reading and controlling them.
#[derive(clap::Args)]
#[command(
    after_help = "Everything behind `demo` goes to the demo itself; `cargo xtask demo -- --help` lists what it takes."
)]
pub(crate) struct Args {
    /// Passed on to `ringbridge demo`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    rest: Vec<OsString>,
}

/// The drivers that the demo shows.
const SAMPLES: [&str; 13] = [
    "hello",
    "pipe",
    "buffers",
    "delay",
    "notify",
    "mapping",
    "namedpipe",
    "shelf",
    "consult",
    "verdict",
    "stream",
    "tap",
    "lifecycle",
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::load()?;
    sys::build(&workspace, &SAMPLES.map(str::to_owned))?.complete()?;
    // A test driver that faults. Without a C compiler for Windows its part of the demo is skipped, which the demo says.
    sys::build(&workspace, &["stop".to_owned()])?;
    tools::succeed(workspace.cargo().args(["build", "--package", CLI]))
        .context("ringbridge does not build")?;
    let mut demo = workspace.cargo();
    demo.args(["run", "--quiet", "--package", CLI, "--", "demo", "--sys-dir"]).arg(workspace.sys_dir());
    tools::succeed(demo.args(&args.rest))
}
