//! `ringbridge exports`: what driver code can import.

use anyhow::Result;
use host::{ExportSupport, all_exports, exports_page};
use serde_json::{Value, json};

use crate::output::{Output, Tone};

/// List the kernel exports that drivers can import
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ringbridge exports                    names by level of support\n  \
    ringbridge exports Mm                 those whose names begin with Mm\n  \
    ringbridge exports --json | jq -r '.exports[] | select(.support == \"missing\").name'\n  \
    ringbridge exports --markdown         the page docs/exports.md\n\n\
    `ringbridge info FILE.sys` tells which of them a driver needs.")]
pub(crate) struct Args {
    /// Only names that begin so
    #[arg(default_value = "", hide_default_value = true, conflicts_with = "markdown")]
    prefix: String,
    /// Print the documentation page, in Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    if args.markdown {
        return output.raw(exports_page().as_bytes());
    }
    let mut rows = all_exports();
    rows.retain(|row| row.aliases.iter().chain([&row.name]).any(|name| name.starts_with(&args.prefix)));
    rows.sort_by_key(|row| (row.support, row.name));
    if args.json {
        let rows = rows.iter().map(|row| {
            json!({
                "name": row.name,
                "aliases": row.aliases,
                "dll": row.dll,
                "signature": row.signature,
                "irql": row.irql,
                "support": row.support.name(),
                "doc": row.doc.trim(),
            })
        });
        return output.json(json!({ "exports": rows.collect::<Value>() }));
    }
    for support in [ExportSupport::Full, ExportSupport::Partial, ExportSupport::Missing] {
        let of_level: Vec<_> = rows.iter().filter(|row| row.support == support).collect();
        if of_level.is_empty() {
            continue;
        }
        let title = format!("{} ({})", heading(support), of_level.len());
        output.line(output.paint(Tone::Heading, title))?;
        for row in of_level {
            let names: Vec<_> = [row.name].into_iter().chain(row.aliases.iter().copied()).collect();
            let doc = output.paint(Tone::Quiet, row.doc.trim());
            output.line(format!("  {:<40} {doc}", names.join(", ")).trim_end())?;
        }
    }
    Ok(())
}

const fn heading(support: ExportSupport) -> &'static str {
    match support {
        ExportSupport::Full => "Full",
        ExportSupport::Partial => "Partial",
        ExportSupport::Missing => "Missing: named only; a driver that imports one is refused",
    }
}
