//! docs/channels.md.

use std::fmt::Write as _;

use super::{Held, Row, Test, title};

const HEAD: &str = "\
# The channels between drivers and applications

This page is made of [`channels.txt`](channels.txt) by `cargo xtask docs`. A row says what must be there; it *works* when each of its parts, and each
way (driver as `.sys` and in the safe SDK, application embedded and in another process), has tests. `cargo xtask docs --check` refuses tests that do
not exist, and `cargo xtask test` fails, naming row and test, when one of them did not run and pass. Where something is missing, the
row says what and why. Nothing has been run on Windows yet; under Wine 8, by `cargo xtask wine`, `hello` and `buffers` alone (the others use what it lacks).

`cargo xtask demo --channel SCREEN` shows a channel at work, with the ways of its IRPs.

";

/// The page, from the rows.
pub(crate) fn page(rows: &[Row]) -> String {
    let mut page = HEAD.to_owned();
    let works = rows.iter().filter(|row| row.missing().next().is_none()).count();
    let _infallible = writeln!(page, "{works} of {} rows work.\n", rows.len());
    page += "| row | mechanism | seeds | today | screen | sample |\n|---|---|---|---|---|---|\n";
    for row in rows {
        let today = match row.missing().count() {
            0 => "works".to_owned(),
            count => format!("works in part: {count} not yet"),
        };
        let samples = row.samples.iter().map(|sample| format!("[`{sample}`](../samples/{sample})"));
        let anchor = format!("{}-{}", row.id, row.mechanism).to_lowercase();
        let letter = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == ' ';
        let anchor: String = anchor.chars().filter(|found| letter(*found)).collect();
        let _infallible = writeln!(
            page,
            "| [{}](#{}) | {} | {} | {today} | {} | {} |",
            row.id,
            anchor.replace(' ', "-"),
            row.mechanism,
            row.seeds.join(", "),
            row.screens.iter().map(|screen| format!("`{screen}`")).collect::<Vec<_>>().join(", "),
            samples.collect::<Vec<_>>().join(", "),
        );
    }
    rows.iter().for_each(|row| section(row, &mut page));
    page
}

fn section(row: &Row, page: &mut String) {
    // Writing into a string does not fail.
    let _infallible = write!(
        page,
        "\n## {} {}\n\n- kernel: {}\n- application: {}\n",
        row.id, row.mechanism, row.kernel, row.application
    );
    match row.missing().next() {
        None => *page += "\n**Works.**\n",
        Some(_) => {
            *page += "\n**Works in part.** Not yet:\n\n";
            for (words, why) in row.missing() {
                let _infallible = writeln!(page, "- {words}: {why}");
            }
        }
    }
    *page += "\n| what | held by |\n|---|---|\n";
    for (way, held) in &row.ways {
        let _infallible = writeln!(page, "| {} | {} |", title(way), cell(held));
    }
    for (words, held) in &row.parts {
        let _infallible = writeln!(page, "| {words} | {} |", cell(held));
    }
}

fn cell(held: &Held) -> String {
    let tests = match held {
        Held::NotYet(why) => return format!("not yet: {why}"),
        Held::By(tests) => tests,
    };
    let mut text = String::new();
    let mut file = "";
    for Test { file: own, name, form } in tests {
        if own != file {
            text += if text.is_empty() { "" } else { "; " };
            let _infallible = write!(text, "`{own}`: ");
            file = own;
        } else {
            text += ", ";
        }
        let _infallible = write!(text, "`{name}`");
        if let Some(form) = form {
            let _infallible = write!(text, " ({form})");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn a_row_works_when_nothing_of_it_is_missing_and_says_what_is() {
        let text = "M1  000\nmechanism = reads, at once\nkernel = `Read`\napplication = –\nsample = hello\nscreen = read\n\
            sys = a.rs: one_of_these::sys, two_of_these; b.rs: three_of_these\nsdk = a.rs: one_of_these::native\n\
            part = `Read` = a.rs: two_of_these\n";
        let works = page(&parse(text).expect("a row"));
        assert!(works.contains("1 of 1 rows work."), "{works}");
        assert!(
            works.contains("| [M1](#m1-reads-at-once) | reads, at once | 000 | works | `read` |"),
            "{works}"
        );
        let sys = "| driver as `.sys` | `tests/scenarios/tests/a.rs`: `one_of_these` (sys), `two_of_these`; \
            `tests/scenarios/tests/b.rs`: `three_of_these` |";
        assert!(works.contains(sys), "{works}");
        let lacks = page(&parse(&format!("{text}part = more = not yet: time\n")).expect("a row"));
        assert!(lacks.contains("0 of 1 rows work.") && lacks.contains("works in part: 1 not yet"), "{lacks}");
        assert!(lacks.contains("- more: time\n") && lacks.contains("| more | not yet: time |"), "{lacks}");
    }
}
