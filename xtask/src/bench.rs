//! `cargo xtask bench`: builds the drivers, then runs the measurements, which live in `benches`. Whatever this tool says
//! goes to the error output, so that the other carries the table alone.

use anyhow::Result;

use crate::workspace::{BENCHES, Workspace};
use crate::{sys, tools};

/// Measure every row of the performance table beside its floor.
///
/// Each row is timed together with the bare mechanism that it is compared to (a system call, a futex ping-pong, pipe(2),
/// memcpy), in one run on this machine; only the ratio is worth quoting. The driver code in every row is a real .sys file.
/// The exit status does not depend on whether goals are met: a benchmark judges nobody.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask bench            all rows\n  cargo xtask bench P1 P4      two of them\n  \
    cargo xtask bench --json     one JSON object a row"
)]
pub(crate) struct Args {
    /// Rows to measure (P1, P2, ...); all when none is given
    #[arg(value_name = "ROW")]
    rows: Vec<String>,
    /// Print one JSON object a row instead of a table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::load()?;
    for line in sys::build(&workspace, &[])?.skipped {
        eprintln!("bench: rows that need it will be missing: {line}");
    }
    let mut bench = workspace.cargo();
    bench.args(["run", "--release", "--package", BENCHES, "--"]).args(&args.rows);
    if args.json {
        bench.arg("--json");
    }
    tools::succeed(&mut bench)
}
