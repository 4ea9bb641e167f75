//! `cargo xtask docs`: the pages that are generated. `docs/exports.md` is printed by the command line tool from the export rows
//! themselves, `docs/channels.md` made of `docs/channels.txt`. Pages that name tests, and the two READMEs, are checked with it.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::workspace::{CLI, Workspace};
use crate::{channels, named_tests, readme, tools};

const EXPORTS: &str = "docs/exports.md";
const CHANNELS: &str = "docs/channels.md";

/// Write the generated documentation (docs/exports.md, docs/channels.md).
///
/// The first lists every kernel export with its support level, and comes from the rows in crates/exports; the second says which
/// tests show each channel, and comes from docs/channels.txt. Run this after you changed one of them; `cargo xtask test` fails
/// while a page is out of date, while docs/channels.txt, ARCHITECTURE.md, docs/rules.md or docs/majors.md name a test that does not
/// exist, while an invariant in ARCHITECTURE.md names none, or while the READMEs in two languages differ in headings, code or pictures.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Write nothing; fail when a page is out of date
    #[arg(long)]
    pub(crate) check: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::load()?;
    let mut print = workspace.cargo();
    print.args(["run", "--quiet", "--package", CLI, "--", "exports", "--markdown"]);
    let exports = tools::capture(&mut print).context("`ringbridge exports --markdown` printed no page")?;
    if exports.trim().is_empty() {
        bail!("`ringbridge exports --markdown` printed nothing, so {EXPORTS} cannot be made from it");
    }
    let rows = channels::rows(&workspace.root)?;
    let written = write(&workspace, EXPORTS, exports, args.check);
    let written = written.and(write(&workspace, CHANNELS, channels::page(&rows), args.check));
    // Whoever has a stale page wants to know what else is wrong.
    let checks = [
        written,
        channels::check(&workspace, &rows),
        named_tests::check(&workspace.root),
        readme::check(&workspace.root),
    ];
    let wrong: Vec<_> =
        checks.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    if wrong.is_empty() { Ok(()) } else { bail!("{}", wrong.join("\n")) }
}

fn write(workspace: &Workspace, page: &str, new: String, check: bool) -> Result<()> {
    let path = workspace.root.join(page);
    if fs::read_to_string(&path).ok().as_deref() == Some(&new) {
        eprintln!("docs: {page} is current");
    } else if check {
        bail!("{page} is out of date: run `cargo xtask docs` and commit the page");
    } else {
        fs::write(&path, new).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("docs: wrote {page}");
    }
    Ok(())
}
