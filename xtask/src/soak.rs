//! `cargo xtask soak`: the tests whose size can be chosen, at their full size.

use anyhow::{Context, Result};

use crate::workspace::{SCENARIOS, Workspace};
use crate::{sys, tools};

/// Run the tests of many and of much at full size.
///
/// 64 applications of four threads each on all channels at once for a minute, while some are killed; the same number on one driver;
/// a thousand applications killed under load and a hundred hosts; a gibibyte through the pipe driver between two processes. `cargo xtask test` runs the same tests at a size that a change can wait for.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask soak --seconds 600     ten minutes of many applications")]
pub(crate) struct Args {
    /// Applications that are killed
    #[arg(long, default_value_t = 1000)]
    kills: u32,
    /// Hosts that are killed
    #[arg(long, default_value_t = 100)]
    host_kills: u32,
    /// Applications at once
    #[arg(long, default_value_t = 64)]
    applications: u32,
    /// How long they go on
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// MiB through the pipe driver
    #[arg(long, default_value_t = 1024)]
    pipe_mib: u32,
}

/// The test binaries that look at these numbers.
const BINARIES: [&str; 4] = ["all_channels", "deaths", "many", "pipe_stream"];

pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::load()?;
    sys::build(&workspace, &[])?.complete()?;
    for binary in BINARIES {
        eprintln!("\n==> {binary}");
        let mut command = workspace.cargo();
        command.args(["test", "--package", SCENARIOS, "--test", binary, "--", "--nocapture"]);
        for (name, value) in [
            ("RINGBRIDGE_KILLS", args.kills),
            ("RINGBRIDGE_HOST_KILLS", args.host_kills),
            ("RINGBRIDGE_APPLICATIONS", args.applications),
            ("RINGBRIDGE_SECONDS", args.seconds),
            ("RINGBRIDGE_PIPE_MIB", args.pipe_mib),
        ] {
            command.env(name, value.to_string());
        }
        tools::succeed(&mut command).with_context(|| format!("{binary} failed"))?;
    }
    Ok(())
}
