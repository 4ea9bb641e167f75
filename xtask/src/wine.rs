//! `cargo xtask wine`: the same `.sys` and the same application's source under Wine, as a black box beside Ringbridge. What
//! the application says must be the same in both.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::tools::{WindowsGnu, Wine};
use crate::workspace::{CLI, Workspace};
use crate::{sys, tools};

/// Run samples and their applications under Wine too, and compare.
///
/// Builds the samples hello and buffers to .sys files and their applications to .exe, starts each driver through Wine's
/// service manager, runs its application there and, beside a Ringbridge host, here, and fails when the two say different
/// things. The other samples need what Wine 8 lacks: reading CR8, or exports.
///
/// What is missing (Wine, mingw's linker, the Rust target) is installed where that is possible, and named where it is
/// not. The Wine prefix is kept in target/wine.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// The samples that Wine 8 supports all of.
const SAMPLES: [&str; 2] = ["hello", "buffers"];
const APPLICATIONS: &str = "sample-applications";
/// Seconds that anything may last here.
const PATIENCE: &str = "180";

pub(crate) fn run(_args: &Args) -> Result<()> {
    let skipped = check(&Workspace::load()?)?;
    if skipped.is_empty() { Ok(()) } else { bail!("not run: {}", skipped.join("; ")) }
}

/// Compares, or says why it cannot.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let (wine, target) = match Wine::find().and_then(|wine| Ok((wine, WindowsGnu::find()?))) {
        Ok(found) => found,
        Err(reason) => return Ok(vec![format!("{reason:#}")]),
    };
    let report = sys::build(workspace, &SAMPLES.map(str::to_owned))?;
    if !report.skipped.is_empty() {
        return Ok(report.skipped);
    }
    let mut build = workspace.cargo();
    build.args(["build", "--quiet", "--package", APPLICATIONS, "--target", target.triple]);
    tools::succeed(&mut build).context("the applications do not build for Windows")?;
    let mut build = workspace.cargo();
    build.args(["build", "--quiet", "--package", APPLICATIONS, "--package", CLI]);
    tools::succeed(&mut build)?;
    let prefix = Prefix::new(workspace, &wine, &target)?;
    for sample in SAMPLES {
        let here = here(workspace, sample)?;
        let there = prefix.run(workspace, &target, sample)?;
        if here != there {
            bail!("{sample} says here:\n{here}\nand under Wine:\n{there}");
        }
        eprintln!(
            "wine: {sample}.sys and {sample}.exe say the same as here ({} lines)",
            here.lines().count()
        );
    }
    Ok(Vec::new())
}

/// What the application says beside a host of ours.
fn here(workspace: &Workspace, sample: &str) -> Result<String> {
    let socket = workspace.target.join(format!("wine/{}.sock", std::process::id()));
    let built = workspace.target.join("debug");
    let mut serve = Command::new(built.join("ringbridge"));
    serve.arg("serve").arg(workspace.sys_dir().join(format!("{sample}.sys"))).arg("--socket").arg(&socket);
    let host = Host::start(&mut serve)?;
    let mut application = timed(&built.join(sample));
    let said = tools::capture(application.env("RINGBRIDGE_SOCKET", &socket));
    drop(host);
    said
}

/// A host that ends when this is dropped.
struct Host(Child);

impl Host {
    /// Returns when it serves: its first line says so.
    fn start(serve: &mut Command) -> Result<Self> {
        let mut child = serve.stdout(Stdio::piped()).spawn().context("`ringbridge serve` does not start")?;
        let output = child.stdout.take().context("it has no output")?;
        let host = Self(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if line.is_empty() { bail!("`ringbridge serve` ended at once") } else { Ok(host) }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _has_ended = self.0.kill();
        let _has_ended = self.0.wait();
    }
}

/// A program that is ended after [`PATIENCE`].
fn timed(program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE).arg(program).stdin(Stdio::null());
    command
}

/// A Wine prefix: a Windows of its own.
struct Prefix<'a> {
    wine: &'a Wine,
    folder: PathBuf,
}

impl<'a> Prefix<'a> {
    fn new(workspace: &Workspace, wine: &'a Wine, target: &WindowsGnu) -> Result<Self> {
        let folder = workspace.target.join("wine/prefix");
        let this = Self { wine, folder };
        let system = this.folder.join("drive_c/windows/system32");
        if !system.join("sc.exe").exists() {
            eprintln!("wine: making a prefix in {}", this.folder.display());
            fs::create_dir_all(&this.folder)?;
            tools::capture(this.command().args(["wineboot", "-i"])).context("Wine makes no prefix")?;
        }
        let library = system.join("bcryptprimitives.dll");
        if !library.exists() {
            let mut rustc = Command::new("rustc");
            rustc.args(["--edition", "2024", "--crate-type", "cdylib", "-O", "-Cpanic=abort"]);
            rustc.args(["--target", target.triple, "-Clink-arg=-nostartfiles"]).arg("-o").arg(&library);
            tools::capture(rustc.arg(workspace.root.join("tests/wine/bcryptprimitives.rs")))?;
        }
        Ok(this)
    }

    fn command(&self) -> Command {
        let mut command = timed(&self.wine.program);
        command.env("WINEPREFIX", &self.folder).env("WINEDEBUG", "-all").env_remove("DISPLAY");
        command
    }

    /// Starts the driver, and runs its application in the same session, since services end with it.
    fn run(&self, workspace: &Workspace, target: &WindowsGnu, sample: &str) -> Result<String> {
        let drive = self.folder.join("drive_c");
        let (driver, application) = (format!("{sample}.sys"), format!("{sample}.exe"));
        let built = workspace.target.join(target.triple).join("debug").join(&application);
        for (from, name) in [(workspace.sys_dir().join(&driver), &driver), (built, &application)] {
            fs::copy(&from, drive.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        let path = format!(r"binPath= C:\{driver}");
        let (option, value) = path.split_once(' ').context("has a space")?;
        // It may be there from the last time.
        let _exists =
            tools::capture(self.command().args(["sc", "create", sample, "type=", "kernel", option, value]));
        let line = format!(r"sc start {sample} >nul & C:\{application} & sc stop {sample} >nul");
        let said = tools::capture(self.command().args(["cmd", "/c", &line]));
        let _ends_by_itself =
            tools::capture(Command::new(&self.wine.server).arg("-k").env("WINEPREFIX", &self.folder));
        Ok(said?.replace("\r\n", "\n"))
    }
}
