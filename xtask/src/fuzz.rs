//! `cargo xtask fuzz`: builds a target of `fuzz/` around libFuzzer, with the compiler's coverage counters, and runs it. What
//! is searched is the target's matter; this file knows where inputs come from and go to, and says how a run ended.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::workspace::{FUZZ, Workspace};
use crate::{sys, tools};

/// Look for inputs that break a rule.
///
/// Builds a target with coverage counters and libFuzzer around it (which needs a C++ compiler), gives it inputs that reach
/// new code, and stops at the first one that makes it panic, hang or fault. What was reached is kept in target/fuzz/corpus
/// and is where the next run begins. The exit status is 0 when nothing was found; else the input is kept and its path
/// printed, with the command that replays it. Move such an input to fuzz/regressions/TARGET: `cargo xtask test` replays what
/// lies there. docs/fuzzing.md says what was run so far.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask fuzz                         every target, a minute each\n  \
    cargo xtask fuzz pe --runs 10000000      so many inputs\n  cargo xtask fuzz ioctl --seconds 600\n  \
    cargo xtask fuzz ioctl --replay FILE     one input again; prints what it asks for"
)]
pub(crate) struct Args {
    /// The target; every one when none is given
    #[arg(value_enum)]
    target: Option<Target>,
    /// Stop after so many inputs
    #[arg(long)]
    runs: Option<u64>,
    /// Stop after so many seconds [default: 60, without --runs]
    #[arg(long)]
    seconds: Option<u64>,
    /// Run this input only, without searching
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with_all = ["runs", "seconds"])]
    replay: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Target {
    /// A driver's file: parsed, mapped, relocated, bound, unwound, unmapped
    Pe,
    /// Function and unwind tables, and the code and stack that they speak of
    Unwind,
    /// What applications ask of a machine with the sample drivers
    Ioctl,
    /// What applications ask of named pipes
    #[value(name = "pipe_messages")]
    PipeMessages,
    /// What another process writes into its call slots
    Slots,
    /// What a process says to LPC ports
    #[value(name = "lpc_messages")]
    LpcMessages,
    /// What an application asks of a filter's port
    #[value(name = "filter_messages")]
    FilterMessages,
}

const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// Seconds after which an input counts as a hang.
const PATIENCE: u64 = 10;

/// Counters at every edge and comparison, as libFuzzer wants them.
const COVERAGE: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];

impl Target {
    const fn name(self) -> &'static str {
        match self {
            Self::Pe => "pe",
            Self::Unwind => "unwind",
            Self::Ioctl => "ioctl",
            Self::PipeMessages => "pipe_messages",
            Self::Slots => "slots",
            Self::LpcMessages => "lpc_messages",
            Self::FilterMessages => "filter_messages",
        }
    }

    /// Bytes of the longest input.
    const fn longest(self) -> u32 {
        match self {
            Self::Pe => 0x8000,
            Self::Unwind => 0x1000,
            Self::Ioctl | Self::PipeMessages | Self::Slots | Self::LpcMessages | Self::FilterMessages => {
                0x800
            }
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::load()?;
    sys::build(&workspace, &[])?.complete()?;
    let targets = args.target.map_or_else(|| Target::value_variants().to_vec(), |target| vec![target]);
    for target in &targets {
        build(&workspace, *target)?;
    }
    if let (Some(file), [target]) = (&args.replay, &targets[..]) {
        return replay(&workspace, *target, file);
    }
    for target in targets {
        search(&workspace, target, args)?;
    }
    Ok(())
}

/// Where everything about fuzzing is built and kept.
fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("fuzz")
}

fn build(workspace: &Workspace, target: Target) -> Result<()> {
    let mut command = workspace.cargo();
    command.env("RUSTFLAGS", COVERAGE.join(" ")).env_remove("CARGO_ENCODED_RUSTFLAGS");
    command.args(["build", "--package", FUZZ, "--features", "engine", "--profile", "fuzz"]);
    command.args(["--target", TRIPLE, "--bin", &format!("fuzz-{}", target.name())]);
    command.arg("--target-dir").arg(folder(workspace));
    tools::succeed(&mut command).context("the engine is C++: is there a compiler (Debian: g++)?")
}

fn program(workspace: &Workspace, target: Target) -> Command {
    let mut command =
        Command::new(folder(workspace).join(TRIPLE).join("fuzz").join(format!("fuzz-{}", target.name())));
    command.env("RINGBRIDGE_SYS_DIR", workspace.sys_dir());
    command
}

fn replay(workspace: &Workspace, target: Target, file: &Path) -> Result<()> {
    let mut command = program(workspace, target);
    command.env("RINGBRIDGE_FUZZ_SHOW", "1").env("RUST_BACKTRACE", "1");
    command.arg(format!("-timeout={PATIENCE}")).arg(file);
    let status = command.status().context("the target cannot be started")?;
    if !status.success() {
        bail!("{} still fails ({status})", file.display());
    }
    eprintln!("fuzz: {} breaks nothing", file.display());
    Ok(())
}

/// The folders that a search reads: what earlier ones found, then seeds, then what once failed.
fn inputs(workspace: &Workspace, target: Target) -> Result<Vec<PathBuf>> {
    let make = |path: PathBuf| {
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        anyhow::Ok(path)
    };
    let mut inputs = vec![make(folder(workspace).join("corpus").join(target.name()))?];
    if matches!(target, Target::Pe) {
        let seeds = make(folder(workspace).join("seeds").join(target.name()))?;
        for entry in fs::read_dir(workspace.sys_dir()).context("no drivers to begin with")? {
            let path = entry?.path();
            if let (Some("sys"), Some(name)) =
                (path.extension().and_then(|end| end.to_str()), path.file_name())
            {
                fs::copy(&path, seeds.join(name))
                    .with_context(|| format!("cannot copy {}", path.display()))?;
            }
        }
        inputs.push(seeds);
    }
    let regressions = workspace.root.join("fuzz/regressions").join(target.name());
    inputs.extend(Some(regressions).filter(|path| path.is_dir()));
    Ok(inputs)
}

fn search(workspace: &Workspace, target: Target, args: &Args) -> Result<()> {
    let name = target.name();
    let found = folder(workspace).join("found").join(name);
    fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
    let mut command = program(workspace, target);
    command.args(inputs(workspace, target)?);
    let seconds = args.seconds.or(if args.runs.is_none() { Some(60) } else { None });
    let limits = [("runs", args.runs), ("max_total_time", seconds), ("timeout", Some(PATIENCE))];
    command.args(limits.iter().filter_map(|(name, value)| Some(format!("-{name}={}", (*value)?))));
    command.args([format!("-max_len={}", target.longest()), "-print_final_stats=1".to_owned()]);
    command.arg(format!("-artifact_prefix={}/", found.display()));
    eprintln!("fuzz: {name} ...");
    let mut child = command.stderr(Stdio::piped()).spawn().context("the target cannot be started")?;
    let mut run = Run::default();
    for line in BufReader::new(child.stderr.take().context("a pipe")?).lines() {
        // What a target prints need not be UTF-8, and is then not the engine's.
        let Ok(line) = line else { continue };
        if run.read(&line) {
            eprintln!("{line}");
        }
    }
    let status = child.wait().context("the target has no end")?;
    eprintln!("fuzz: {name}: {run}");
    if status.success() {
        return Ok(());
    }
    let Some(kept) = run.kept else {
        // Killed, out of memory, or never begun: there is nothing to replay.
        bail!("{name} ended ({status}) without naming an input; what it printed stands above");
    };
    bail!(
        "{name} found an input that breaks a rule: {kept}\n  cargo xtask fuzz {name} --replay {kept}\n\
         When it is mended, move the input to fuzz/regressions/{name}"
    );
}

/// What the engine said of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Run {
    inputs: u64,
    counters: u64,
    covered: u64,
    corpus: u64,
    a_second: u64,
    /// The input that failed.
    kept: Option<String>,
}

impl Run {
    /// Takes a line of the engine's in; true when it is for people too.
    fn read(&mut self, line: &str) -> bool {
        let after = |mark: &str| {
            let rest = line.split_once(mark)?.1.trim_start();
            let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse::<u64>().ok()
        };
        let is_progress = line.starts_with('#') && !line.starts_with("##");
        if is_progress {
            self.inputs = after("#").unwrap_or(self.inputs);
            self.covered = after(" cov:").unwrap_or(self.covered);
            self.corpus = after(" corp:").unwrap_or(self.corpus);
            self.a_second = after(" exec/s:").unwrap_or(self.a_second);
            return line.contains("pulse") || line.contains("INITED");
        }
        if let Some(count) = after("stat::number_of_executed_units:") {
            self.inputs = count;
        } else if line.starts_with("INFO: Loaded") {
            self.counters = after("(").unwrap_or(self.counters);
        } else if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.kept = Some(path.trim().to_owned());
        }
        // The rest of the engine's own, and its dictionary, say nothing about the target.
        let own = [
            "INFO:",
            "WARNING: Failed to find",
            "stat::",
            "###",
            "\"",
            "NOTE:",
            "Base64:",
            "MS:",
            "artifact_prefix",
        ];
        !own.iter().any(|start| line.starts_with(start))
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { inputs, counters, covered, corpus, a_second, kept } = self;
        let end = if kept.is_some() { "one that failed" } else { "none failed" };
        write!(
            formatter,
            "{inputs} inputs, {end}; {a_second} a second; corpus {corpus}; coverage {covered} of {counters} edges"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_in_the_engines_numbers() {
        let mut run = Run::default();
        let lines = [
            ("INFO: Loaded 1 modules   (12972 inline 8-bit counters): 12972 [0x55, 0x56), ", false),
            ("#58\tINITED cov: 765 ft: 1625 corp: 51/545Kb exec/s: 0 rss: 29Mb", true),
            (
                "#67\tNEW    cov: 766 ft: 1626 corp: 52/549Kb lim: 32768 exec/s: 0 rss: 29Mb L: 3588/29184",
                false,
            ),
            ("thread '<unnamed>' panicked at crates/loader/src/pe.rs:1:1:", true),
            ("#99\tDONE   cov: 770 ft: 1626 corp: 53/549Kb lim: 32768 exec/s: 15822 rss: 37Mb", false),
            ("artifact_prefix='/t/'; Test unit written to /t/crash-da39", false),
            ("stat::number_of_executed_units: 10000000", false),
        ];
        for (line, shown) in lines {
            assert_eq!(run.read(line), shown, "{line}");
        }
        let kept = Some("/t/crash-da39".to_owned());
        let told =
            Run { inputs: 10_000_000, counters: 12972, covered: 770, corpus: 53, a_second: 15822, kept };
        assert_eq!(run, told);
    }
}
