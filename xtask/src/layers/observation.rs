//! Invariant 15: observation costs one predictable branch when nobody watches. `Trace::emit` has that branch. So events are
//! made in the closure that it is given, or in functions marked `#[cold]` that are called there, and nobody else tells
//! observers.

use std::collections::BTreeSet;

use anyhow::Result;
use proc_macro2::{Delimiter, TokenTree};

use super::paths;

/// The rooms that make events.
pub(super) const ROOMS: [&str; 2] = ["kernel", "exports"];
/// The file that has the branch.
pub(super) const TRACE: &str = "trace.rs";

/// What a room's files do beside that branch: file, line, and what.
pub(super) fn beside<'a>(sources: &[(&'a str, &str)]) -> Result<Vec<(&'a str, usize, String)>> {
    let mut files = Vec::new();
    let mut makers = BTreeSet::new();
    for (file, text) in sources.iter().filter(|(file, _)| *file != TRACE) {
        let tokens = paths::product(text)?;
        collect_makers(&tokens, &mut makers);
        files.push((*file, tokens));
    }
    let mut found = Vec::new();
    for (file, tokens) in &files {
        let mut walk = Walk { makers: &makers, found: Vec::new() };
        walk.tokens(tokens);
        found.extend(walk.found.into_iter().map(|(line, what)| (*file, line, what)));
    }
    Ok(found)
}

/// A function's head from `fn`: its name, and the index of its body.
fn function(tokens: &[TokenTree], index: usize) -> Option<(String, usize)> {
    if !paths::is_word(tokens.get(index)?, "fn") {
        return None;
    }
    let body =
        tokens[index..].iter().position(|token| paths::is_body(token) || paths::is_punct(token, ';'))?;
    Some((paths::word(tokens.get(index + 1)?)?, index + body))
}

/// Whether the function that begins at `index` makes an event: its result is one.
fn is_maker(tokens: &[TokenTree], index: usize) -> Option<(String, usize)> {
    let (name, body) = function(tokens, index)?;
    (body > 0 && paths::is_word(&tokens[body - 1], "Event")).then_some((name, body))
}

fn collect_makers(tokens: &[TokenTree], makers: &mut BTreeSet<String>) {
    for (index, token) in tokens.iter().enumerate() {
        makers.extend(is_maker(tokens, index).map(|(name, _)| name));
        if let TokenTree::Group(group) = token {
            collect_makers(&paths::inner(group), makers);
        }
    }
}

struct Walk<'a> {
    makers: &'a BTreeSet<String>,
    found: Vec<(usize, String)>,
}

impl Walk<'_> {
    fn tokens(&mut self, tokens: &[TokenTree]) {
        let mut index = 0;
        while let Some(token) = tokens.get(index) {
            let line = token.span().start().line;
            if let Some((name, body)) = is_maker(tokens, index) {
                if !is_cold(tokens, index) {
                    self.found.push((line, format!("{name} makes an event and is not marked #[cold]")));
                }
                index = body + 1;
                continue;
            }
            if let Some(behind) = emitted(tokens, index) {
                index = behind;
                continue;
            }
            if function(tokens, index).is_some() {
                index += 2;
                continue;
            }
            self.found.extend(self.mistake(tokens, index).map(|what| (line, what)));
            if let TokenTree::Group(group) = token {
                self.tokens(&paths::inner(group));
            }
            index += 1;
        }
    }

    fn mistake(&self, tokens: &[TokenTree], index: usize) -> Option<String> {
        let name = paths::word(&tokens[index])?;
        let is_call = tokens.get(index + 1).is_some_and(is_arguments);
        let is_method = index > 0 && paths::is_punct(&tokens[index - 1], '.');
        if name == "Event" && paths::is_separator(tokens, index + 1) {
            let kind = tokens.get(index + 3).and_then(paths::word).unwrap_or_default();
            return Some(format!("Event::{kind} is made whether anybody watches or not"));
        }
        if is_call && is_method && (name == "tell" || name == "observe") {
            return Some(format!("{name} tells observers past the branch of emit"));
        }
        (is_call && !is_method && self.makers.contains(&name))
            .then(|| format!("{name} makes an event whether anybody watches or not"))
    }
}

fn is_arguments(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis)
}

/// The index behind `.emit(|| …)`; the closure takes nothing from outside that would have to be made first but by name.
fn emitted(tokens: &[TokenTree], index: usize) -> Option<usize> {
    let TokenTree::Group(arguments) = tokens.get(index + 2)? else { return None };
    let arguments = paths::inner(arguments);
    let closure = arguments.len() > 2 && arguments[..2].iter().all(|token| paths::is_punct(token, '|'));
    let call = paths::is_punct(&tokens[index], '.') && paths::is_word(&tokens[index + 1], "emit");
    (call && closure).then_some(index + 3)
}

/// Whether `#[cold]` stands before the function at `index`, before its visibility and other attributes.
fn is_cold(tokens: &[TokenTree], index: usize) -> bool {
    let before = tokens[..index].iter().rev();
    let own = before.take_while(|token| !paths::is_body(token) && !paths::is_punct(token, ';'));
    own.filter_map(|token| if let TokenTree::Group(group) = token { Some(paths::inner(group)) } else { None })
        .any(|attribute| attribute.len() == 1 && paths::is_word(&attribute[0], "cold"))
}
