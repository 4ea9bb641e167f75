//! `ringbridge pool`: what drivers and the kernel hold in pool, by owner and tag.

use anyhow::{Result, bail};
use app::OpenOptions;
use host::{TagUsage, tag_name};
use serde_json::{Value, json};

use crate::output::{Output, Tone};
use crate::target::{Target, TargetArgs};

/// Show what is in pool, by owner and tag
///
/// Loads the drivers, opens the devices that are named and keeps them open, and shows the blocks and bytes that each driver
/// and the kernel hold at that moment under each tag. What a driver still holds when it is unloaded is told on stderr.
#[derive(clap::Args)]
#[command(after_help = r#"Examples:
  ringbridge pool --driver pipe.sys                                     right after DriverEntry
  ringbridge pool --driver pipe.sys --open '\\.\Example\HELLO'          with a file open
  ringbridge pool --driver hello.sys --open '\\.\My_Device' --write hi  and something written to it
  ringbridge pool --driver hello.sys --json | jq '.tags[] | select(.owner == "hello")'

A running host cannot be asked for its pool."#)]
pub(crate) struct Args {
    /// Open this device first, for reading and writing, and keep it open (repeatable)
    #[arg(long, value_name = "PATH")]
    open: Vec<String>,
    /// Write this text to each device that was opened
    #[arg(long, value_name = "TEXT", requires = "open")]
    write: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetArgs,
}

type Usage = Vec<(String, u32, TagUsage)>;

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    if !args.target.names_drivers() {
        bail!("name a driver to load (--driver FILE.sys); a running host cannot be asked for its pool");
    }
    let target = args.target.open()?;
    let usage = use_devices(args, &target);
    match (usage, target.finish()) {
        (Ok(usage), Ok(())) => show(usage, args.json, output),
        (Ok(_), Err(error)) | (Err(error), Ok(())) => Err(error),
        (Err(error), Err(also)) => Err(error.context(also)),
    }
}

/// What is in pool while the devices are open.
fn use_devices(args: &Args, target: &Target) -> Result<Usage> {
    let mut open = Vec::new();
    for path in &args.open {
        let access = abi::GENERIC_READ | abi::GENERIC_WRITE;
        let device = OpenOptions::new().access(access).open(target.transport(), path)?;
        if let Some(text) = &args.write {
            device.write(text.as_bytes())?;
        }
        open.push(device);
    }
    let Target::Here { machine, .. } = target else { bail!("a running host cannot be asked for its pool") };
    Ok(machine.pool_usage())
}

fn show(mut usage: Usage, json: bool, output: &mut Output) -> Result<()> {
    usage.retain(|(.., usage)| usage.blocks > 0);
    // Drivers first: the kernel's own part interests fewer.
    usage.sort_by(|one, other| {
        let key = |row: &(String, u32, TagUsage)| (row.0 == "kernel", row.0.clone(), tag_name(row.1));
        key(one).cmp(&key(other))
    });
    if json {
        let tags = usage.iter().map(|(owner, tag, usage)| {
            json!({
                "owner": owner, "tag": tag_name(*tag), "value": tag,
                "blocks": usage.blocks, "bytes": usage.bytes,
                "paged_blocks": usage.paged_blocks, "paged_bytes": usage.paged_bytes,
            })
        });
        return output.json(json!({ "tags": tags.collect::<Value>() }));
    }
    let width = usage.iter().map(|(owner, ..)| owner.chars().count()).chain([5]).max().unwrap_or(5);
    let title = format!("{:<width$}  tag     blocks       bytes   of them paged", "owner");
    output.line(output.paint(Tone::Heading, title))?;
    for (owner, tag, usage) in &usage {
        let TagUsage { blocks, bytes, paged_bytes, .. } = usage;
        let owner = output
            .paint(if owner == "kernel" { Tone::Quiet } else { Tone::Good }, format!("{owner:<width$}"));
        output.line(format_args!(
            "{owner}  {:<4}  {blocks:>8}  {bytes:>10}  {paged_bytes:>14}",
            tag_name(*tag)
        ))?;
    }
    let all = usage.iter().fold((0, 0, 0), |(blocks, bytes, paged), (.., usage)| {
        (blocks + usage.blocks, bytes + usage.bytes, paged + usage.paged_bytes)
    });
    output.line(format_args!("{:<width$}        {:>8}  {:>10}  {:>14}", "all", all.0, all.1, all.2))
}
