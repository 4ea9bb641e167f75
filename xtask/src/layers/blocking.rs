//! Invariant 4: nothing in the rooms of a machine blocks but through `platform::Platform`. So these rooms name nothing of
//! the standard library that makes a thread wait, nor a crate that could; tests may.
//!
//! `std`'s locks and cells, which ARCHITECTURE.md allows for short sections, are not told from long ones here.

use anyhow::Result;
use proc_macro2::{Delimiter, TokenTree};

use super::paths;

/// The rooms whose code runs inside a machine.
pub(super) const ROOMS: [&str; 5] = ["kernel", "exports", "loader", "host", "driver"];

/// What they do not name, with all that is below it.
const BLOCKING: [&str; 12] = [
    "std::thread",
    "std::sync::Condvar",
    "std::sync::Barrier",
    "std::sync::mpsc",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::net",
    "std::os::unix::net",
    "core::hint::spin_loop",
    "std::hint::spin_loop",
    "rustix",
    "libc",
];

/// What a file names that blocks, and line.
pub(super) fn named(source: &str) -> Result<Vec<(String, usize)>> {
    let mut found = Vec::new();
    walk(&paths::product(source)?, &mut found);
    found.retain(|(path, _)| BLOCKING.iter().any(|blocking| leads_to(path, blocking)));
    Ok(found)
}

/// Whether a path names `blocking`, something below it, or a module on the way there as a whole.
fn leads_to(path: &str, blocking: &str) -> bool {
    let below = |path: &str, above: &str| path.strip_prefix(above).is_some_and(|rest| rest.starts_with("::"));
    match path.strip_suffix("::*") {
        Some(module) => module == blocking || below(module, blocking) || below(blocking, module),
        None => path == blocking || below(path, blocking) || (path.contains("::") && below(blocking, path)),
    }
}

/// All paths that begin with the name of one of [`BLOCKING`]'s crates.
fn walk(tokens: &[TokenTree], found: &mut Vec<(String, usize)>) {
    let mut index = 0;
    while index < tokens.len() {
        let begins = |name: &str| {
            let path = BLOCKING.iter().any(|path| path.split("::").next() == Some(name));
            let continued = index > 0 && paths::is_punct(&tokens[index - 1], '.');
            path && paths::is_separator(tokens, index + 1) && !continued
        };
        if paths::word(&tokens[index]).is_some_and(|name| begins(&name)) {
            index = follow(tokens, index, "", found);
            continue;
        }
        if let TokenTree::Group(group) = &tokens[index] {
            walk(&paths::inner(group), found);
        }
        index += 1;
    }
}

/// Follows one path, or tree of an import, below `base`; returns the index behind it.
fn follow(tokens: &[TokenTree], mut index: usize, base: &str, found: &mut Vec<(String, usize)>) -> usize {
    let mut path = base.to_owned();
    let mut line = 0;
    while let Some(token) = tokens.get(index) {
        let segment = match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                for branch in paths::inner(group).split(|token| paths::is_punct(token, ',')) {
                    follow(branch, 0, &path, found);
                }
                return index + 1;
            }
            TokenTree::Punct(punct) if punct.as_char() == '*' => "*".to_owned(),
            other => match paths::word(other) {
                Some(word) => word,
                None => break,
            },
        };
        line = token.span().start().line;
        if segment != "self" {
            path = if path.is_empty() { segment } else { format!("{path}::{segment}") };
        }
        index += 1;
        if !paths::is_separator(tokens, index) {
            break;
        }
        index += 2;
    }
    if line != 0 {
        found.push((path, line));
    }
    index.max(1)
}
