//! `cargo xtask scenarios`: runs the scenarios and shows, sample by sample, what passed compiled in, as `.sys` and between
//! two processes. Every number is counted from what the test runner reports of this run; a test belongs to the sample that
//! its file is named after, and to a form by the name that the macro `scenario!` gave it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::{SCENARIOS, Workspace};
use crate::{sys, tools};

/// Run the scenarios, and show which sample is green in which form.
///
/// Builds the drivers, runs every scenario test, and counts them in a table: sample by {native, .sys}, and those of them
/// that run between two processes. Below stand the other scenarios, most of them of C test drivers. The exit status
/// is 0 when every test passed.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask scenarios\n  cargo xtask scenarios pipe     those whose file or name says pipe"
)]
pub(crate) struct Args {
    /// Only tests whose file or name contains this
    #[arg(default_value = "", hide_default_value = true)]
    filter: String,
}

/// What the runner said of a test.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// The file's stem.
    file: String,
    name: String,
    passed: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::load()?;
    sys::build(&workspace, &[])?.complete()?;
    if !tools::cargo_has("nextest") {
        bail!("the table is made from what cargo-nextest reports: `cargo install --locked cargo-nextest`");
    }
    let mut command = workspace.cargo();
    command.args(["nextest", "run", "--package", SCENARIOS, "--no-fail-fast", "--status-level", "fail"]);
    command.args(["--message-format", "libtest-json"]).env("NEXTEST_EXPERIMENTAL_LIBTEST_JSON", "1");
    if !args.filter.is_empty() {
        command.arg("-E").arg(format!("test({0}) | binary({0})", args.filter));
    }
    let mut child = command.stdout(Stdio::piped()).spawn().context("the test runner cannot be started")?;
    let lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
    let outcomes: Vec<_> = lines.map_while(Result::ok).filter_map(|line| outcome(&line)).collect();
    let status = child.wait().context("the test runner has no end")?;
    let samples: Vec<_> =
        workspace.packages.iter().filter_map(|package| package.folder.strip_prefix("samples/")).collect();
    for line in table(&samples, &outcomes) {
        println!("{line}");
    }
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.passed).collect();
    for Outcome { file, name, .. } in &failed {
        println!("FAILED  {file} {name}");
    }
    match (status.success(), failed.len()) {
        (true, 0) if !outcomes.is_empty() => Ok(()),
        (true, 0) => bail!("no scenario ran"),
        (_, 0) => bail!("the test runner failed ({status})"),
        (_, count) => bail!("{count} of {} scenarios failed", outcomes.len()),
    }
}

/// A finished test, from a line of the runner's: `{"type":"test","event":"ok","name":"package::file$test"}`.
fn outcome(line: &str) -> Option<Outcome> {
    let event: Value = serde_json::from_str(line).ok()?;
    let passed = match (event["type"].as_str()?, event["event"].as_str()?) {
        ("test", "ok") => true,
        ("test", "failed" | "timeout") => false,
        _ => return None,
    };
    let (binary, name) = event["name"].as_str()?.split_once('$')?;
    let file = binary.rsplit("::").next()?;
    // The other process of a scenario between two is a test for the runner's sake alone.
    if name.starts_with("application_") {
        return None;
    }
    Some(Outcome { file: file.to_owned(), name: name.to_owned(), passed })
}

/// Tests that passed, of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: usize,
    all: usize,
}

impl Count {
    fn add(&mut self, passed: bool) {
        self.passed += usize::from(passed);
        self.all += 1;
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self { all: 0, .. } => formatter.pad("-"),
            Self { passed, all } if passed == all => formatter.pad(&format!("{all} ok")),
            Self { passed, all } => formatter.pad(&format!("{} of {all} RED", all - passed)),
        }
    }
}

/// A row: native, `.sys`, between two processes (counted among the others too).
type Row = [Count; 3];

fn table(samples: &[&str], outcomes: &[Outcome]) -> Vec<String> {
    let mut by_sample = BTreeMap::<&str, Row>::new();
    let mut others = BTreeMap::<&str, Row>::new();
    for Outcome { file, name, passed } in outcomes {
        let native = name.ends_with("::native");
        let row = if native || name.ends_with("::sys") {
            let sample = samples.iter().find(|sample| file.split('_').any(|word| word == **sample));
            by_sample.entry(sample.copied().unwrap_or(file)).or_default()
        } else {
            others.entry(file).or_default()
        };
        row[usize::from(!native)].add(*passed);
        if name.contains("another_process") || file == "two_processes" {
            row[2].add(*passed);
        }
    }
    let line = |name: &str, cells: [String; 3]| {
        let [native, sys, across] = cells;
        format!("{name:<24}{native:>14}{sys:>14}{across:>16}").trim_end().to_owned()
    };
    let titles = ["native", ".sys", "two processes"].map(str::to_owned);
    let mut lines = vec![line("sample", titles)];
    let rows = |rows: &BTreeMap<&str, Row>| -> Vec<String> {
        rows.iter().map(|(name, row)| line(name, row.map(|count| count.to_string()))).collect()
    };
    lines.extend(rows(&by_sample));
    if !others.is_empty() {
        lines.push(String::new());
        lines.push(line("other scenarios", ["", "all", "two processes"].map(str::to_owned)));
        lines.extend(rows(&others));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_test_is_counted_by_its_file_and_form() {
        let event = |event: &str, name: &str| {
            outcome(&format!(r#"{{"type":"test","event":"{event}","name":"ringbridge-scenarios::{name}"}}"#))
        };
        let outcomes: Vec<_> = [
            event("ok", "hello$reads::native"),
            event("ok", "hello$reads::sys"),
            event("failed", "pipe_schedules$nothing_is_lost::native"),
            event("ok", "pipe$bytes_reach_another_process::sys"),
            event("ok", "sample_buffers$every_way::sys"),
            event("ok", "buffers$every_method"),
            event("started", "hello$writes::sys"),
        ]
        .into_iter()
        .flatten()
        .collect();
        assert_eq!(outcomes.len(), 6);
        assert_eq!(
            table(&["hello", "pipe", "buffers"], &outcomes),
            [
                "sample                          native          .sys   two processes",
                "buffers                              -          1 ok               -",
                "hello                             1 ok          1 ok               -",
                "pipe                        1 of 1 RED          1 ok            1 ok",
                "",
                "other scenarios                                  all   two processes",
                "buffers                              -          1 ok               -",
            ]
        );
    }
}
