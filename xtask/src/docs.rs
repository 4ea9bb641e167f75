//! `cargo xtask docs`: the pages that are generated. There is one, `docs/exports.md`, printed by the command line tool
//! from the export rows themselves. Pages that name tests are checked with it.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::workspace::{CLI, Workspace};
use crate::{named_tests, tools};

const PAGE: &str = "docs/exports.md";

/// Write the generated documentation (docs/exports.md).
///
/// The page lists every kernel export with its support level, and comes from the rows in crates/exports. Run this after
/// you changed a row; `cargo xtask test` fails while the page is out of date, while ARCHITECTURE.md, docs/rules.md or docs/majors.md name
/// a test that does not exist, or while an invariant in ARCHITECTURE.md names none.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Write nothing; fail when the page is out of date
    #[arg(long)]
    pub(crate) check: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::load()?;
    let mut print = workspace.cargo();
    print.args(["run", "--quiet", "--package", CLI, "--", "exports", "--markdown"]);
    let new = tools::capture(&mut print).context("`ringbridge exports --markdown` printed no page")?;
    if new.trim().is_empty() {
        bail!("`ringbridge exports --markdown` printed nothing, so {PAGE} cannot be made from it");
    }
    let path = workspace.root.join(PAGE);
    let current = fs::read_to_string(&path).ok().as_deref() == Some(&new);
    if current {
        eprintln!("docs: {PAGE} is current");
    } else if args.check {
        bail!("{PAGE} is out of date: run `cargo xtask docs` and commit the page");
    } else {
        fs::write(&path, new).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("docs: wrote {PAGE}");
    }
    named_tests::check(&workspace.root)
}
