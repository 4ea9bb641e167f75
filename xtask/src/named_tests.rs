//! Tests that pages name exist: in each item of a page, a name in backquotes that follows a file's is a function or a scenario
//! of that file; and that each of ARCHITECTURE.md's invariants names one. What a page claims of them, people judge.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// The page of the invariants.
const HOUSE: &str = "ARCHITECTURE.md";
/// Pages that name tests.
const PAGES: [&str; 3] = [HOUSE, "docs/rules.md", "docs/majors.md"];
/// The heading that the invariants stand under.
const INVARIANTS: &str = "## Invariants";

/// Looks all names up; fails with those that lead nowhere.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in PAGES {
        let text = fs::read_to_string(root.join(page)).with_context(|| format!("cannot read {page}"))?;
        let read = |file: &str| fs::read_to_string(root.join(file)).ok();
        let (named, missing) = look_up(&text, &read);
        count += named;
        wrong.extend(missing.into_iter().map(|what| format!("{page}: {what}")));
        if page == HOUSE {
            wrong.extend(untested(&text).into_iter().map(|what| format!("{page}: {what}")));
        }
    }
    if !wrong.is_empty() {
        bail!(
            "pages and tests do not agree (write the test, or name the right one):\n  {}",
            wrong.join("\n  ")
        );
    }
    eprintln!("docs: {count} tests that {} name exist", PAGES.join(" and "));
    Ok(())
}

/// How many tests a page names, and what is wrong with them.
fn look_up(page: &str, read: &dyn Fn(&str) -> Option<String>) -> (usize, Vec<String>) {
    let mut count = 0;
    let mut wrong = Vec::new();
    for item in items(page) {
        let mut file: Option<(&str, Option<String>)> = None;
        for span in spans(&item) {
            if is_file(span) {
                let content = read(span);
                if content.is_none() {
                    wrong.push(format!("there is no {span}"));
                }
                file = Some((span, content));
            } else if let (true, Some((path, Some(content)))) = (is_test(span), &file) {
                count += 1;
                if !defines(content, span) {
                    wrong.push(format!("{path} has no {span}"));
                }
            }
        }
    }
    (count, wrong)
}

/// Invariants that name no test. A page without any is told too, as its heading has changed then.
fn untested(page: &str) -> Vec<String> {
    let items = items(page).into_iter().skip_while(|item| item != INVARIANTS).skip(1);
    let invariants: Vec<_> =
        items.take_while(|item| !item.starts_with('#')).filter_map(|item| numbered(&item)).collect();
    if invariants.is_empty() {
        return vec![format!("there is nothing numbered under `{INVARIANTS}`")];
    }
    let bare = invariants.iter().filter(|(_, text)| look_up(text, &|_| Some(String::new())).0 == 0);
    bare.map(|(number, _)| format!("invariant {number} names no test")).collect()
}

/// Number and text of a numbered item.
fn numbered(item: &str) -> Option<(u32, String)> {
    let (number, text) = item.split_once(". ")?;
    Some((number.parse().ok()?, text.to_owned()))
}

/// The page's rows, list items and paragraphs, each with its continuation lines.
fn items(page: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for line in page.lines() {
        let begins = line.is_empty() || line.starts_with(['|', '-', '#']) || numbered(line).is_some();
        match items.last_mut() {
            Some(item) if !begins => {
                item.push(' ');
                item.push_str(line);
            }
            _ => items.push(line.to_owned()),
        }
    }
    items
}

/// What stands in backquotes.
pub(crate) fn spans(item: &str) -> impl Iterator<Item = &str> {
    item.split('`').skip(1).step_by(2)
}

fn is_file(span: &str) -> bool {
    span.ends_with(".rs") && span.contains('/')
}

/// Names of tests are sentences: at least three words.
fn is_test(span: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    };
    span.split('_').count() >= 3 && span.split('_').all(word)
}

fn defines(content: &str, name: &str) -> bool {
    content.match_indices(name).any(|(at, _)| {
        let ends = content[at + name.len()..].starts_with(['(', ' ', '<']);
        ends && (content[..at].ends_with("fn ") || content[..at].ends_with("mod "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "1. **Rule.** Held by `a/one.rs`: `a_test_that_is`,\n   `another_test_here`.\n\n| x | `a/two.rs`: `in_the_second` |\n";

    fn wrong(page: &str, one: &str, two: &str) -> (usize, Vec<String>) {
        look_up(page, &|file| match file {
            "a/one.rs" => Some(one.to_owned()),
            "a/two.rs" => Some(two.to_owned()),
            _ => None,
        })
    }

    #[test]
    fn tests_are_looked_up_in_the_file_before_them() {
        let one = "fn a_test_that_is() {}\nscenario! { fn another_test_here(form: Form) {} }";
        assert_eq!(wrong(PAGE, one, "fn in_the_second() {}"), (3, Vec::new()));
    }

    #[test]
    fn a_test_that_is_gone_or_elsewhere_and_a_file_that_is_gone_are_told() {
        let (_, missing) = wrong(PAGE, "fn a_test_that_is_longer() {}", "fn another_test_here() {}");
        let expected = [
            "a/one.rs has no a_test_that_is",
            "a/one.rs has no another_test_here",
            "a/two.rs has no in_the_second",
        ];
        assert_eq!(missing, expected);
        assert_eq!(wrong("see `b/three.rs`: `not_looked_up`", "", "").1, ["there is no b/three.rs"]);
    }

    #[test]
    fn an_invariant_without_a_test_is_told() {
        let page = "1. Not an invariant.\n\n## Invariants\n\n1. **One.** `a/one.rs`:\n   `a_test_that_is`.\n2. **Two.** \
                    `a/one.rs`, of\n   which people think.\n\n3. **Three.** Measured.\n## Ways\n4. Another list.\n";
        assert_eq!(untested(page), ["invariant 2 names no test", "invariant 3 names no test"]);
        assert_eq!(untested("## Other\n1. One.\n"), ["there is nothing numbered under `## Invariants`"]);
    }

    #[test]
    fn other_names_are_no_tests() {
        assert_eq!(wrong("`a/one.rs` uses `Mutex`, `std::fs`, `x_y` and `ke.call`", "", ""), (0, Vec::new()));
        assert_eq!(wrong("`a_test_that_is` of no file", "", ""), (0, Vec::new()));
    }
}
