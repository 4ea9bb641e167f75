//! What the test runner says of each test: cargo-nextest's libtest-json, a line for each.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) package: String,
    /// The test binary: a file's stem, or the library's name.
    pub(crate) binary: String,
    /// The test's path: `module::name`, or `name::sys` where it is a scenario.
    pub(crate) name: String,
    pub(crate) passed: bool,
}

/// Runs cargo-nextest: what became of each test, and whether it says that all passed. Its words for people go to stderr as ever.
pub(crate) fn run(nextest: &mut Command) -> Result<(Vec<Outcome>, bool)> {
    nextest.args(["--message-format", "libtest-json"]).env("NEXTEST_EXPERIMENTAL_LIBTEST_JSON", "1");
    let mut child = nextest.stdout(Stdio::piped()).spawn().context("the test runner cannot be started")?;
    let lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
    let outcomes = lines.map_while(Result::ok).filter_map(|line| outcome(&line)).collect();
    let status = child.wait().context("the test runner has no end")?;
    Ok((outcomes, status.success()))
}

/// A finished test, from a line of the runner's: `{"type":"test","event":"ok","name":"package::file$test"}`.
pub(crate) fn outcome(line: &str) -> Option<Outcome> {
    let event: Value = serde_json::from_str(line).ok()?;
    let passed = match (event["type"].as_str()?, event["event"].as_str()?) {
        ("test", "ok") => true,
        ("test", "failed" | "timeout") => false,
        _ => return None,
    };
    let (binary, name) = event["name"].as_str()?.split_once('$')?;
    let (package, binary) = binary.split_once("::").unwrap_or((binary, binary));
    let binary = binary.rsplit("::").next()?;
    Some(Outcome { package: package.to_owned(), binary: binary.to_owned(), name: name.to_owned(), passed })
}
