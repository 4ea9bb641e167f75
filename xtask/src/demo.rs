//! `cargo xtask demo`: the shortest way to see the house at work. The conversation itself is the command line tool's, which also
//! knows which drivers each of its screens needs.

use std::ffi::OsString;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::workspace::{CLI, Workspace};
use crate::{sys, tools};

/// Drivers in C: without a C compiler for Windows what they show is skipped, which the demo says.
const IN_C: [&str; 2] = ["fail", "stop"];

/// Build drivers, load them here, and talk to them.
///
/// Builds the samples to real Windows drivers (target/sys/hello.sys and others), loads these files into a Linux process
/// under NT's rules, and shows a screen for each channel between drivers and applications: what is called, what comes of it,
/// and the way of each IRP.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo --list\n  cargo xtask demo --channel pipe\n\n\
        Everything behind `demo` goes to the demo itself; `cargo xtask demo -- --help` lists what it takes."
)]
pub(crate) struct Args {
    /// Passed on to `ringbridge demo`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    rest: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::load()?;
    tools::succeed(workspace.cargo().args(["build", "--quiet", "--package", CLI]))
        .context("ringbridge does not build")?;
    let mut demo = workspace.cargo();
    demo.args(["run", "--quiet", "--package", CLI, "--", "demo", "--sys-dir"]).arg(workspace.sys_dir());
    demo.args(&args.rest);
    if args.rest.iter().any(|argument| ["--list", "--help", "-h"].iter().any(|ask| argument == ask)) {
        return tools::succeed(&mut demo);
    }
    let names = drivers(&channels(&workspace, &args.rest)?);
    let (in_c, names): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| IN_C.contains(&name.as_str()));
    if !names.is_empty() {
        sys::build(&workspace, &names)?.complete()?;
    }
    if !in_c.is_empty() {
        sys::build(&workspace, &in_c)?;
    }
    tools::succeed(&mut demo)
}

/// What `ringbridge demo --list --json` says of the channels that the arguments ask for. It complains about names that do not
/// exist.
pub(crate) fn channels(workspace: &Workspace, arguments: &[OsString]) -> Result<Vec<Value>> {
    let mut list = workspace.cargo();
    list.args(["run", "--quiet", "--package", CLI, "--", "demo"]).args(arguments).args(["--list", "--json"]);
    let text = tools::capture(&mut list).context("`ringbridge demo --list` says nothing")?;
    let mut list: Value =
        serde_json::from_str(&text).context("`ringbridge demo --list --json` is no JSON")?;
    match list["channels"].take() {
        Value::Array(channels) => Ok(channels),
        _ => anyhow::bail!("`ringbridge demo --list --json` has no channels"),
    }
}

/// The drivers of these channels, each once.
fn drivers(channels: &[Value]) -> Vec<String> {
    let named = channels.iter().flat_map(|channel| channel["drivers"].as_array().into_iter().flatten());
    let mut names: Vec<_> = named.filter_map(|name| name.as_str().map(str::to_owned)).collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_drivers_of_the_channels_that_were_asked_for_are_built_and_each_once() {
        let channels = [json!({"drivers": ["pipe", "hello"]}), json!({"drivers": ["hello"]}), json!({})];
        assert_eq!(drivers(&channels), ["hello", "pipe"]);
    }
}
