//! `docs/exports.md`, from the rows.

use std::fmt::Write;

use crate::{Address, Support, all};

/// The names of IRQLs that rows use.
fn irql_name(irql: u8) -> &'static str {
    match irql {
        abi::PASSIVE_LEVEL => "PASSIVE_LEVEL",
        abi::APC_LEVEL => "APC_LEVEL",
        abi::DISPATCH_LEVEL => "DISPATCH_LEVEL",
        _ => "any",
    }
}

/// A page that lists every export by support level.
#[must_use]
pub fn markdown() -> String {
    let mut rows = all();
    rows.sort_by_key(|row| (row.support, row.name));
    let count = |support| rows.iter().filter(|row| row.support == support).count();
    let mut page = format!(
        "# Exports\n\nWhat driver code can import. Generated from the rows in `crates/exports` by `cargo xtask docs`.\n\n\
         {} full, {} partial, {} named only.\n",
        count(Support::Full),
        count(Support::Partial),
        count(Support::Missing),
    );
    for (support, title) in
        [(Support::Full, "Full"), (Support::Partial, "Partial"), (Support::Missing, "Named only")]
    {
        let of_level: Vec<_> = rows.iter().filter(|row| row.support == support).collect();
        if of_level.is_empty() {
            continue;
        }
        // Writing to a String cannot fail.
        let _infallible = write!(page, "\n## {title}\n\n");
        if support == Support::Missing {
            page.push_str(
                "A driver that imports one of these is refused, unless told otherwise; a call raises \
                 STATUS_NOT_IMPLEMENTED.\n\n",
            );
            for row in of_level {
                let _infallible = writeln!(page, "- `{}` ({})", row.name, row.dll);
            }
            continue;
        }
        page.push_str("| export | declared | IRQL ≤ | what it does |\n|---|---|---|---|\n");
        for row in of_level {
            let names = row.aliases.iter().chain([&row.name]).map(|name| format!("`{name}`"));
            let mut names: Vec<_> = names.collect();
            names.reverse();
            let kind = if matches!(row.address, Address::Data(_)) { "variable " } else { "" };
            let _infallible = writeln!(
                page,
                "| {} | {kind}`{}` | {} | {} |",
                names.join(", "),
                row.signature.replace('\n', " "),
                irql_name(row.irql),
                row.doc.trim()
            );
        }
    }
    page
}
