//! `cargo xtask sys`: from source to `.sys`, with no Windows kit. Driver crates name their file in their manifest
//! (`[package.metadata.ringbridge] driver = "hello"`); C test drivers are the `.c` files under `tests/drivers`, linked
//! against import libraries made from the `.def` files beside them.
//!
//! Files appear under the target folder's `sys` in one step (written elsewhere, then renamed), so that a test that runs
//! meanwhile never loads half a driver.

mod c;
mod rust;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Arguments that make an image a driver: no C runtime, no default library, entered at DriverEntry, with the checksum
/// that Windows verifies before it loads a driver.
const LINK: [&str; 5] = ["/SUBSYSTEM:NATIVE", "/DRIVER", "/NODEFAULTLIB", "/ENTRY:DriverEntry", "/RELEASE"];

/// Build drivers to .sys files.
///
/// Builds the driver crates (samples, and any crate whose manifest says `[package.metadata.ringbridge] driver = "name"`)
/// and the C test drivers (tests/drivers/*.c) for Windows, without the WDK, and puts them as NAME.sys into target/sys.
/// The same files load into Ringbridge on Linux and into Windows.
///
/// What is missing for that (the Windows target, clang, the driver headers) is installed where that is possible, and
/// named where it is not.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask sys                 every driver\n  \
    cargo xtask sys sample-hello    one package\n  cargo xtask sys hello           the same, by the name of its .sys")]
pub(crate) struct Args {
    /// Packages, or names of .sys files without their ending; all drivers when none is given
    #[arg(value_name = "PACKAGE")]
    names: Vec<String>,
}

/// What was built, and what could not be for want of a tool.
#[derive(Default)]
pub(crate) struct Report {
    /// One line a part: what, and why not.
    pub(crate) skipped: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    // Whoever asked for drivers and got fewer must notice.
    build(&Workspace::load()?, &args.names)?.complete()
}

impl Report {
    /// Fails when something was skipped, for callers that cannot go on without it.
    pub(crate) fn complete(&self) -> Result<()> {
        if self.skipped.is_empty() { Ok(()) } else { bail!("not built: {}", self.skipped.join("; ")) }
    }
}

/// Builds the named drivers, or all. Fails when one does not build or has no such name; a missing tool is in the report.
pub(crate) fn build(workspace: &Workspace, names: &[String]) -> Result<Report> {
    let crates = rust::drivers(workspace);
    let sources = c::sources(workspace)?;
    let wanted = |known: &[&str]| names.is_empty() || names.iter().any(|name| known.contains(&name.as_str()));
    for name in names {
        let known = crates.iter().any(|driver| [driver.package, driver.name].contains(&name.as_str()))
            || sources.iter().any(|source| c::name(source) == *name);
        if !known {
            bail!("no driver is called {name}; there are: {}", listed(&crates, &sources));
        }
    }
    let crates: Vec<_> = crates.into_iter().filter(|driver| wanted(&[driver.package, driver.name])).collect();
    let sources: Vec<_> = sources.into_iter().filter(|source| wanted(&[&c::name(source)])).collect();
    refuse_shared_names(&crates, &sources)?;

    let folder = workspace.sys_dir();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut report = Report::default();
    let built_crates = if crates.is_empty() { Ok(()) } else { rust::build(workspace, &crates, &mut report) };
    let built_sources = if sources.is_empty() { Ok(()) } else { c::build(workspace, &sources, &mut report) };
    match (built_crates, built_sources) {
        (Err(error), Err(other)) => Err(error.context(format!("{other:#}"))),
        (built_crates, built_sources) => built_crates.and(built_sources).map(|()| report),
    }
}

fn listed(crates: &[rust::Driver<'_>], sources: &[std::path::PathBuf]) -> String {
    let crates = crates.iter().map(|driver| format!("{} ({}.sys)", driver.package, driver.name));
    let sources = sources.iter().map(|source| c::name(source));
    crates.chain(sources).collect::<Vec<_>>().join(", ")
}

fn refuse_shared_names(crates: &[rust::Driver<'_>], sources: &[std::path::PathBuf]) -> Result<()> {
    let mut names: Vec<_> = crates.iter().map(|driver| driver.name.to_owned()).collect();
    names.extend(sources.iter().map(|source| c::name(source)));
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => bail!("two drivers want to be {}.sys", pair[0]),
        None => Ok(()),
    }
}

/// Puts a finished image in its place and prints where and how large.
fn publish(image: &Path, folder: &Path, name: &str) -> Result<()> {
    let place = folder.join(format!("{name}.sys"));
    let size = replace(image, &place)?;
    eprintln!("sys: {} ({size} bytes)", place.display());
    Ok(())
}

/// Puts symbols beside the image, under the name that its debug directory gives.
fn publish_symbols(built: &Path, folder: &Path, stem: &str) -> Result<()> {
    let file = format!("{stem}.pdb");
    replace(&built.join(&file), &folder.join(&file)).map(drop)
}

/// Copies in one step for whoever reads the target, and leaves one alone that is the same. Returns the size in bytes.
fn replace(source: &Path, target: &Path) -> Result<usize> {
    let new = fs::read(source).with_context(|| format!("the build left no {}", source.display()))?;
    if fs::read(target).ok().as_deref() != Some(&new) {
        let half = target.with_added_extension("new");
        let written = fs::write(&half, &new).and_then(|()| fs::rename(&half, target));
        written.with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(new.len())
}
