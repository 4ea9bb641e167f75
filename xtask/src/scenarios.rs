//! `cargo xtask scenarios`: runs the scenarios and shows, sample by sample, what passed compiled in, as `.sys` and between
//! two processes. Every number is counted from what the test runner reports of this run; a test belongs to the sample that
//! its file is named after, and to a form by the name that the macro `scenario!` gave it.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use crate::outcomes::{self, Outcome};
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

pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::load()?;
    sys::build(&workspace, &[])?.complete()?;
    if !tools::cargo_has("nextest") {
        bail!("the table is made from what cargo-nextest reports: `cargo install --locked cargo-nextest`");
    }
    let mut command = workspace.cargo();
    command.args(["nextest", "run", "--package", SCENARIOS, "--no-fail-fast", "--status-level", "fail"]);
    if !args.filter.is_empty() {
        command.arg("-E").arg(format!("test({0}) | binary({0})", args.filter));
    }
    let (outcomes, passed) = outcomes::run(&mut command)?;
    let outcomes: Vec<_> = outcomes.into_iter().filter(is_scenario).collect();
    let samples: Vec<_> =
        workspace.packages.iter().filter_map(|package| package.folder.strip_prefix("samples/")).collect();
    for line in table(&samples, &outcomes) {
        println!("{line}");
    }
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.passed).collect();
    for Outcome { binary: file, name, .. } in &failed {
        println!("FAILED  {file} {name}");
    }
    match (passed, failed.len()) {
        (true, 0) if !outcomes.is_empty() => Ok(()),
        (true, 0) => bail!("no scenario ran"),
        (_, 0) => bail!("the test runner failed"),
        (_, count) => bail!("{count} of {} scenarios failed", outcomes.len()),
    }
}

/// The other process of a scenario between two is a test for the runner's sake alone.
fn is_scenario(outcome: &Outcome) -> bool {
    !outcome.name.starts_with("application_")
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
    for Outcome { binary: file, name, passed, .. } in outcomes {
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
    use crate::outcomes::outcome;

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
