//! `cargo xtask test`: the gate for changes, and the only definition of it. Every part runs even when an earlier one
//! failed; the test runner comes last, so that its own summary ends the output.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{channels, docs, layers, outcomes, sys, tools, wine};

/// Run everything that a change must pass.
///
/// In order: formatting, clippy, layers, drivers to .sys, applications for Windows, a sample under Wine, the models of the
/// hand-over between processes, dependencies, documentation builds, generated pages are current, doc tests, and
/// then unit and scenario tests (with cargo-nextest where it is installed, else `cargo test`), of which those that docs/channels.txt
/// names must have run and passed. A part that fails does not
/// stop those after it; a part whose tool is missing is skipped, and listed with the reason before the tests start. The exit
/// status is 0 only when nothing failed. .ci/run calls exactly this.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out the documentation build, the slowest part that seldom fails
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let workspace = match Workspace::load() {
        Ok(workspace) => workspace,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let mut gate = Gate::default();
    gate.part("format", || cargo_part(&workspace, "fmt", &["--all", "--check"]));
    gate.part("clippy", || {
        cargo_part(&workspace, "clippy", &["--workspace", "--all-targets", "--", "-D", "warnings"])
    });
    gate.part("layers", || layers::run(&layers::Args::default()).map(done));
    gate.part("sys", || sys::build(&workspace, &[]).map(|report| report.skipped));
    gate.part("windows", || windows(&workspace));
    gate.part("wine", || wine::check(&workspace));
    gate.part("loom", || loom(&workspace).map(done));
    gate.part("deny", || deny(&workspace));
    gate.part("doc", || if args.quick { Ok(vec!["--quick".to_owned()]) } else { doc(&workspace).map(done) });
    gate.part("docs --check", || docs::run(&docs::Args { check: true }).map(done));
    gate.part("doc tests", || {
        tools::succeed(workspace.cargo().args(["test", "--doc", "--workspace", "--no-fail-fast"])).map(done)
    });
    gate.skipped.extend(cannot_be_other_users());
    if !tools::cargo_has("nextest") {
        let why = "which tests have passed is not compared with docs/channels.txt without cargo-nextest";
        gate.skipped.push(format!("channels: {why}"));
    }
    gate.summarise();
    let tests_passed = tests(&workspace);
    // The runner has said which tests failed, and its summary stays last: unless something failed that it does not know of.
    if !gate.failed.is_empty() {
        eprintln!("\nFAILED before the tests: {}", gate.failed.join(", "));
    }
    if gate.failed.is_empty() && tests_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Why the tests that run applications of other users do nothing here. (Their own words, which a runner shows with
/// `--no-capture`, say it too.)
fn cannot_be_other_users() -> Option<String> {
    let own = fs::metadata("/proc/self").map(|own| own.uid());
    (!matches!(own, Ok(0))).then(|| {
        "applications of other users: only root can start them; tests that need them pass and say SKIPPED"
            .to_owned()
    })
}

/// What became of the parts so far.
#[derive(Default)]
struct Gate {
    passed: Vec<&'static str>,
    skipped: Vec<String>,
    failed: Vec<&'static str>,
}

impl Gate {
    /// Runs a part, which fails, or returns the reasons why something of it was skipped.
    fn part(&mut self, name: &'static str, run: impl FnOnce() -> Result<Vec<String>>) {
        eprintln!("\n==> {name}");
        match run() {
            Ok(reasons) if reasons.is_empty() => self.passed.push(name),
            Ok(reasons) => self.skipped.extend(reasons.iter().map(|reason| format!("{name}: {reason}"))),
            Err(error) => {
                eprintln!("error: {error:#}");
                self.failed.push(name);
            }
        }
    }

    fn summarise(&self) {
        eprintln!("\n==> before the tests");
        eprintln!("passed:  {}", self.passed.join(", "));
        for skipped in &self.skipped {
            eprintln!("skipped: {skipped}");
        }
        for failed in &self.failed {
            eprintln!("FAILED:  {failed}");
        }
    }
}

fn done((): ()) -> Vec<String> {
    Vec::new()
}

/// A cargo subcommand that not every machine has.
fn cargo_part(workspace: &Workspace, subcommand: &str, arguments: &[&str]) -> Result<Vec<String>> {
    if !tools::cargo_has(subcommand) {
        return Ok(vec![format!(
            "`cargo {subcommand}` is not installed (rustup component add rustfmt clippy)"
        )]);
    }
    tools::succeed(workspace.cargo().arg(subcommand).args(arguments)).map(done)
}

/// The application's side, as it is on Windows: checked, not linked, since linking needs Windows' libraries.
fn windows(workspace: &Workspace) -> Result<Vec<String>> {
    const PACKAGES: [&str; 4] = ["-p", "ringbridge-app", "-p", "sample-applications"];
    // Installs the target where that is possible; a compiler that can only build `core` is no help here.
    if let Err(reason) = tools::WindowsRust::find() {
        return Ok(vec![format!("applications: {reason:#}")]);
    }
    if !tools::windows_std_installed() {
        return Ok(vec![format!("applications: no std for {} (rustup target add {0})", tools::WINDOWS)]);
    }
    let mut command = workspace.cargo();
    command.arg("clippy").args(PACKAGES).args(["--target", tools::WINDOWS, "--", "-D", "warnings"]);
    tools::succeed(&mut command).map(done)
}

/// Every interleaving of the hand-over's words (decision 12). Compiled for that alone, so it has a folder of its own.
fn loom(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo();
    command.args(["test", "--quiet", "--release", "--package", "ringbridge-gate", "--lib", "--target-dir"]);
    command.arg(workspace.target.join("loom")).arg("loom").env("RUSTFLAGS", "--cfg loom");
    tools::succeed(&mut command)
}

/// What `deny.toml` says of licences, sources and versions. Advisories are left to who has their database.
fn deny(workspace: &Workspace) -> Result<Vec<String>> {
    if !tools::cargo_has("deny") {
        return Ok(vec!["`cargo deny` is not installed (cargo install cargo-deny)".to_owned()]);
    }
    let mut command = workspace.cargo();
    tools::succeed(command.args(["deny", "--offline", "check", "bans", "licenses", "sources"])).map(done)
}

fn doc(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo();
    command.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    tools::succeed(&mut command)
}

/// Whether all tests passed, and those that docs/channels.txt names ran. Its own words stand behind the runner's summary only when
/// a row is not proved.
fn tests(workspace: &Workspace) -> bool {
    eprintln!("\n==> tests");
    let mut command = workspace.cargo();
    if !tools::cargo_has("nextest") {
        // Doc tests ran before. What cargo prints cannot tell which test of which file has passed.
        command.args(["test", "--lib", "--bins", "--tests", "--examples", "--workspace", "--no-fail-fast"]);
        return command.status().map(|status| status.success()).unwrap_or_else(|error| {
            eprintln!("error: the tests cannot be started: {error}");
            false
        });
    }
    command.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    match outcomes::run(&mut command).and_then(|run| Ok((channels::rows(&workspace.root)?, run))) {
        Ok((rows, (outcomes, passed))) => {
            let unproved = channels::unproved(workspace, &rows, &outcomes);
            if !unproved.is_empty() {
                eprintln!("\nFAILED: rows of docs/channels.md are not proved:\n  {}", unproved.join("\n  "));
            }
            passed && unproved.is_empty()
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            false
        }
    }
}
