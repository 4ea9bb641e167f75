//! Which modules a source file names: every path that starts with `crate::`, `super::` or `self::`, wherever it stands
//! (imports, expressions, macro calls), resolved to the first segment below the crate's root.
//!
//! It works on tokens, not on syntax, so that code inside macro calls counts too. Items under `#[cfg(test)]` do not.

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};

/// What one file names.
#[derive(Default, Debug)]
pub(super) struct Named {
    /// First segment and line; `*` for a glob of the crate's root.
    pub(super) modules: Vec<(String, usize)>,
    /// Fields and methods that it reaches into, and line.
    pub(super) fields: Vec<(String, usize)>,
    /// Out-of-line modules that exist in tests only, by their full path.
    pub(super) test_modules: Vec<Vec<String>>,
    /// Names that the crate's root imports from a module: (`Irp`, `io`). Only for the root file.
    pub(super) imported: Vec<(String, String)>,
}

/// Reads a file that is the module `path` (empty for the crate's root).
pub(super) fn named(source: &str, path: &[String]) -> Result<Named> {
    let mut walk = Walk { path: path.to_vec(), named: Named::default() };
    walk.tokens(&lex(source)?);
    Ok(walk.named)
}

/// The levels that a file sets for the lint `unsafe_code`, inside `cfg_attr` too.
pub(super) fn unsafe_levels(source: &str) -> Result<Vec<String>> {
    let mut levels = Vec::new();
    collect_levels(&lex(source)?, &mut levels);
    Ok(levels)
}

fn lex(source: &str) -> Result<Vec<TokenTree>> {
    let stream: TokenStream = source.parse().map_err(|error| anyhow!("does not lex: {error}"))?;
    Ok(stream.into_iter().collect())
}

fn collect_levels(tokens: &[TokenTree], levels: &mut Vec<String>) {
    for (index, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else { continue };
        let inner: Vec<_> = group.stream().into_iter().collect();
        let before = index.checked_sub(1).and_then(|before| word(&tokens[before]));
        if let Some(level @ ("forbid" | "deny" | "expect" | "allow" | "warn")) = before.as_deref()
            && inner.iter().any(|token| is_word(token, "unsafe_code"))
        {
            levels.push(level.to_owned());
        }
        collect_levels(&inner, levels);
    }
}

struct Walk {
    path: Vec<String>,
    named: Named,
}

impl Walk {
    fn tokens(&mut self, tokens: &[TokenTree]) {
        let mut index = 0;
        while index < tokens.len() {
            if is_test_attribute(tokens, index) {
                index = self.skip_item(tokens, index + 2);
            } else if let Some((name, body)) = inline_module(tokens, index) {
                self.path.push(name);
                self.tokens(&body);
                self.path.pop();
                index += 3;
            } else if starts_path(tokens, index) {
                index = self.resolve(tokens, index, self.path.clone());
            } else if self.path.is_empty() && is_word(&tokens[index], "use") {
                // In the root file an import may start with a module's bare name.
                index = self.resolve(tokens, index + 1, Vec::new());
            } else {
                self.named.fields.extend(field(tokens, index));
                if let TokenTree::Group(group) = &tokens[index] {
                    self.tokens(&group.stream().into_iter().collect::<Vec<_>>());
                }
                index += 1;
            }
        }
    }

    /// Follows one path from `index`, standing in module `base`; returns the index behind it.
    fn resolve(&mut self, tokens: &[TokenTree], mut index: usize, mut base: Vec<String>) -> usize {
        let mut line = 0;
        while let Some(token) = tokens.get(index) {
            line = token.span().start().line;
            index += 1;
            match token {
                TokenTree::Ident(ident) if ident == "crate" => base.clear(),
                TokenTree::Ident(ident) if ident == "super" => drop(base.pop()),
                TokenTree::Ident(ident) if ident == "self" => {}
                TokenTree::Ident(ident) => base.push(unraw(ident)),
                TokenTree::Punct(punct) if punct.as_char() == '*' => base.push("*".to_owned()),
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<_> = group.stream().into_iter().collect();
                    for branch in inner.split(|token| is_punct(token, ',')) {
                        self.resolve(branch, 0, base.clone());
                    }
                    return index;
                }
                // Generic arguments end it, and a leading `::` begins a path to another crate.
                _ => break,
            }
            if !is_separator(tokens, index) {
                break;
            }
            index += 2;
        }
        let Some(first) = base.first() else { return index };
        self.named.modules.push((first.clone(), line));
        if self.path.is_empty() && base.len() > 1 {
            let renamed = tokens.get(index).is_some_and(|token| is_word(token, "as"));
            let name = if renamed { tokens.get(index + 1).and_then(word) } else { base.last().cloned() };
            self.named.imported.extend(name.map(|name| (name, first.clone())));
        }
        index
    }

    /// Skips what an attribute stands before, and notes a module that is thereby a test's.
    fn skip_item(&mut self, tokens: &[TokenTree], start: usize) -> usize {
        let end = behind_item(tokens, start);
        let module = (start..end).find(|index| is_word(&tokens[*index], "mod"));
        if let Some(index) = module
            && tokens.get(index + 2).is_some_and(|token| is_punct(token, ';'))
        {
            let name = word(&tokens[index + 1]).unwrap_or_default();
            self.named.test_modules.push([&self.path[..], &[name]].concat());
        }
        end
    }
}

/// The index behind what an attribute stands before: further attributes, then up to a body or a `;`.
fn behind_item(tokens: &[TokenTree], start: usize) -> usize {
    // A field or an argument ends at its comma; stopping there too early only makes the check stricter.
    let ends = |token: &TokenTree| is_body(token) || is_punct(token, ';') || is_punct(token, ',');
    let end = tokens.get(start..).and_then(|tokens| tokens.iter().position(ends));
    end.map_or(tokens.len(), |end| start + end + 1)
}

pub(super) fn is_body(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

/// A file's tokens without those under `#[cfg(test)]`.
pub(super) fn product(source: &str) -> Result<Vec<TokenTree>> {
    Ok(without_tests(&lex(source)?))
}

fn without_tests(tokens: &[TokenTree]) -> Vec<TokenTree> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut index = 0;
    while index < tokens.len() {
        if is_test_attribute(tokens, index) {
            index = behind_item(tokens, index + 2);
            continue;
        }
        kept.push(match &tokens[index] {
            TokenTree::Group(group) => {
                let inner = without_tests(&inner(group)).into_iter().collect();
                TokenTree::Group(Group::new(group.delimiter(), inner))
            }
            other => other.clone(),
        });
        index += 1;
    }
    kept
}

/// What stands between a group's delimiters.
pub(super) fn inner(group: &Group) -> Vec<TokenTree> {
    group.stream().into_iter().collect()
}

/// `#[cfg(test)]`, or `#[cfg(all(test, …))]`.
fn is_test_attribute(tokens: &[TokenTree], index: usize) -> bool {
    let (Some(hash), Some(TokenTree::Group(attribute))) = (tokens.get(index), tokens.get(index + 1)) else {
        return false;
    };
    let inner: Vec<_> = attribute.stream().into_iter().collect();
    let [name, TokenTree::Group(condition)] = &inner[..] else { return false };
    let condition: Vec<_> = condition.stream().into_iter().collect();
    let test = |tokens: &[TokenTree]| tokens.iter().any(|token| is_word(token, "test"));
    let all = match &condition[..] {
        [all, TokenTree::Group(group)] if is_word(all, "all") => {
            test(&group.stream().into_iter().collect::<Vec<_>>())
        }
        [only] => is_word(only, "test"),
        _ => false,
    };
    is_punct(hash, '#') && is_word(name, "cfg") && all
}

fn inline_module(tokens: &[TokenTree], index: usize) -> Option<(String, Vec<TokenTree>)> {
    let (keyword, name, TokenTree::Group(body)) =
        (&tokens[index], tokens.get(index + 1)?, tokens.get(index + 2)?)
    else {
        return None;
    };
    let is_module = is_word(keyword, "mod") && body.delimiter() == Delimiter::Brace;
    is_module.then(|| Some((word(name)?, body.stream().into_iter().collect())))?
}

/// The name behind a `.` that is no part of a range.
fn field(tokens: &[TokenTree], index: usize) -> Option<(String, usize)> {
    let range = index.checked_sub(1).is_some_and(|before| is_punct(&tokens[before], '.'));
    let name = tokens.get(index + 1)?;
    (is_punct(&tokens[index], '.') && !range).then(|| Some((word(name)?, name.span().start().line)))?
}

fn starts_path(tokens: &[TokenTree], index: usize) -> bool {
    let start = ["crate", "super", "self"].iter().any(|start| is_word(&tokens[index], start));
    start && is_separator(tokens, index + 1)
}

pub(super) fn is_separator(tokens: &[TokenTree], index: usize) -> bool {
    let colon = |index| tokens.get(index).is_some_and(|token| is_punct(token, ':'));
    colon(index) && colon(index + 1)
}

pub(super) fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

pub(super) fn is_word(token: &TokenTree, text: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == text)
}

pub(super) fn word(token: &TokenTree) -> Option<String> {
    if let TokenTree::Ident(ident) = token { Some(unraw(ident)) } else { None }
}

fn unraw(ident: &Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map_or_else(|| text.clone(), str::to_owned)
}
