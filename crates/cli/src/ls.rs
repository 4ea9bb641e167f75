//! `ringbridge ls`: the object namespace.

use anyhow::Result;
use app::{DirectoryEntry, Transport};
use serde_json::{Value, json};

use crate::output::{Output, Tone};
use crate::target::TargetArgs;

/// Deepest directory that is looked into.
const MAX_DEPTH: usize = 64;

/// List the object namespace
///
/// Shows each object's name and type, and where symbolic links point to.
#[derive(clap::Args)]
#[command(after_help = r"Examples:
  ringbridge ls '\Device' --driver hello.sys     the devices that a driver makes
  ringbridge ls '\??'                            the names that applications open, in the running host
  ringbridge ls -r                               everything")]
pub(crate) struct Args {
    /// An object directory, as an NT path
    #[arg(value_name = "NT-PATH", default_value = r"\")]
    path: String,
    /// Directories in it as well
    #[arg(short, long)]
    recursive: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetArgs,
}

/// An object and its full path.
struct Found {
    path: String,
    entry: DirectoryEntry,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let found = args.target.open()?.with(|transport| list(transport, &args.path, args.recursive))?;
    if args.json {
        let objects = found.iter().map(|Found { path, entry }| {
            let target = Some(&entry.target).filter(|target| !target.is_empty());
            json!({ "path": path, "name": entry.name, "type": entry.type_name, "target": target })
        });
        return output.json(json!({ "path": args.path, "objects": objects.collect::<Value>() }));
    }
    let name = |found: &Found| if args.recursive { found.path.clone() } else { found.entry.name.clone() };
    let width = found.iter().map(|found| name(found).chars().count()).max().unwrap_or(0);
    for found in &found {
        let DirectoryEntry { type_name, target, .. } = &found.entry;
        let target = match target.as_str() {
            "" => String::new(),
            target => format!("  {} {target}", output.arrow()),
        };
        let name = format!("{:<width$}", name(found));
        let name = output.paint(if type_name == "Directory" { Tone::Heading } else { Tone::Good }, name);
        output.line(format_args!("{name}  {type_name}{target}"))?;
    }
    Ok(())
}

fn list(transport: &dyn Transport, path: &str, recursive: bool) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut open = vec![(path.to_owned(), 0)];
    while let Some((path, depth)) = open.pop() {
        let wide: Vec<u16> = path.encode_utf16().collect();
        let entries = transport.query_directory(&wide).map_err(|status| refused(&path, status));
        let mut entries = match entries {
            // It may have gone since it was listed.
            Err(_) if depth > 0 => continue,
            entries => entries?,
        };
        entries.sort_by_key(|entry| entry.name.to_lowercase());
        let mut inner = Vec::new();
        for entry in entries {
            let path = format!("{}\\{}", path.trim_end_matches('\\'), entry.name);
            if recursive && entry.type_name == "Directory" && depth < MAX_DEPTH {
                inner.push((path.clone(), depth + 1));
            }
            found.push(Found { path, entry });
        }
        open.extend(inner.into_iter().rev());
    }
    if recursive {
        found.sort_by_key(|found| found.path.to_lowercase());
    }
    Ok(found)
}

fn refused(path: &str, status: abi::NTSTATUS) -> anyhow::Error {
    let name = abi::status_name(status).unwrap_or("a status without a name");
    let why = match status {
        abi::STATUS_OBJECT_TYPE_MISMATCH => "it is not a directory; list the directory that it is in",
        abi::STATUS_OBJECT_NAME_NOT_FOUND | abi::STATUS_OBJECT_PATH_NOT_FOUND => {
            r"there is no such directory; `ringbridge ls -r \` shows all"
        }
        abi::STATUS_OBJECT_PATH_SYNTAX_BAD | abi::STATUS_OBJECT_NAME_INVALID => {
            r"write an NT path, which begins with a backslash: '\Device'"
        }
        _ => "see the host's messages",
    };
    anyhow::anyhow!("{name} ({status:?}): {why}").context(format!("cannot list {path}"))
}
