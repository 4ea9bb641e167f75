//! The graph of the repository as it lies on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::paths::{self, Named};
use super::{Crate, Graph, KERNEL, Lints, ModuleEdge, WIRING, blocking, observation};
use crate::workspace::{Package, Workspace};

pub(super) fn graph(workspace: &Workspace) -> Result<Graph> {
    let crates =
        workspace.packages.iter().map(|package| read_crate(workspace, package)).collect::<Result<_>>()?;
    let kernel = workspace.root.join("crates/kernel/src");
    let modules = if kernel.exists() { module_edges(&read_sources(&kernel)?)? } else { Vec::new() };
    let mut conduct = Vec::new();
    for package in &workspace.packages {
        let folder = workspace.root.join(&package.folder).join("src");
        conduct.extend(breaches(&room(&package.folder), &package.folder, &read_sources(&folder)?)?);
    }
    Ok(Graph { crates, modules, conduct })
}

/// What a room's product does against invariants 4 and 15.
pub(super) fn breaches(room: &str, folder: &str, sources: &[Source]) -> Result<Vec<String>> {
    let product = without_test_modules(folder, sources)?;
    let mut found = Vec::new();
    if blocking::ROOMS.contains(&room) {
        for (file, text) in &product {
            for (path, line) in blocking::named(text).with_context(|| format!("{folder}/src/{file}"))? {
                found.push(format!(
                    "{folder}/src/{file}:{line}: {room} names {path}; what waits, waits through platform::Platform"
                ));
            }
        }
    }
    if observation::ROOMS.contains(&room) {
        for (file, line, what) in observation::beside(&product)? {
            found.push(format!("{folder}/src/{file}:{line}: {what}; make it in the closure of Trace::emit"));
        }
    }
    Ok(found)
}

/// The files, by path and text, that are not under `#[cfg(test)]`.
fn without_test_modules<'a>(folder: &str, sources: &'a [Source]) -> Result<Vec<(&'a str, &'a str)>> {
    let mut tests = Vec::new();
    for Source { file, text } in sources {
        let named = paths::named(text, &module_path(file)).with_context(|| format!("{folder}/src/{file}"))?;
        tests.extend(named.test_modules);
    }
    let is_test = |file: &str| tests.iter().any(|test| module_path(file).starts_with(test));
    let files = sources.iter().map(|source| (source.file.as_str(), source.text.as_str()));
    Ok(files.filter(|(file, _)| !is_test(file)).collect())
}

/// `crates/kernel` is the room `kernel`; `samples/hello` belongs to `samples`.
fn room(folder: &str) -> String {
    let inside = folder.strip_prefix("crates/").unwrap_or(folder);
    inside.split('/').next().unwrap_or(inside).to_owned()
}

fn read_crate(workspace: &Workspace, package: &Package) -> Result<Crate> {
    let sources = read_sources(&workspace.root.join(&package.folder).join("src"))?;
    let mut lints = Lints::default();
    for Source { file, text } in &sources {
        let levels = paths::unsafe_levels(text).with_context(|| format!("{}/src/{file}", package.folder))?;
        if file == "lib.rs" || file == "main.rs" {
            lints.root.extend(levels);
        } else if levels.iter().any(|level| level == "expect" || level == "allow") {
            lints.lowered.push(file.clone());
        }
    }
    let uses = package.uses.iter().map(|folder| room(folder)).collect();
    Ok(Crate { room: room(&package.folder), uses, lints })
}

/// A source file, by its path below `src` and its text.
pub(super) struct Source {
    pub(super) file: String,
    pub(super) text: String,
}

fn read_sources(folder: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))?;
            open.extend(entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let file = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            sources.push(Source { file, text });
        }
    }
    sources.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(sources)
}

/// `io/irp.rs` and `io/irp/mod.rs` are `[io, irp]`; `lib.rs` is the root, `[]`.
fn module_path(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs");
    let mut path: Vec<_> = path.split('/').map(str::to_owned).collect();
    if path.last().is_some_and(|last| last == "mod") || path == ["lib"] {
        path.pop();
    }
    path
}

/// Which module names which, by the sources' paths below `src`. Test code is left out; a name that the root file
/// imports from a module counts as that module. In a room that names [`WIRING`], so does a field called like a room.
pub(super) fn module_edges(sources: &[Source]) -> Result<Vec<ModuleEdge>> {
    let mut files: Vec<(&str, Vec<String>, Named)> = Vec::new();
    for Source { file, text } in sources {
        let path = module_path(file);
        let named = paths::named(text, &path).with_context(|| format!("crates/kernel/src/{file}"))?;
        files.push((file, path, named));
    }
    let tests: Vec<_> = files.iter().flat_map(|(.., named)| named.test_modules.clone()).collect();
    let roots = files.iter().filter(|(_, path, _)| path.is_empty());
    let imported: BTreeMap<_, _> = roots.flat_map(|(.., named)| named.imported.clone()).collect();

    if let Some(module) = imported.get("*") {
        bail!("crates/kernel/src/lib.rs imports {module}::*, which hides what others name; list the items");
    }

    files.retain(|(_, path, _)| !path.is_empty() && !tests.iter().any(|test| path.starts_with(test)));
    let mut edges = Vec::new();
    for (file, path, named) in &files {
        for (to, line) in &named.modules {
            let to = if to == "*" { to } else { imported.get(to).unwrap_or(to) };
            edges.extend(edge(file, path, to, *line));
        }
    }
    let wired: BTreeSet<_> =
        edges.iter().filter(|edge| edge.to == WIRING).map(|edge| edge.from.clone()).collect();
    for (file, path, named) in files.iter().filter(|(_, path, _)| wired.contains(&path[0])) {
        let reached = named.fields.iter().filter(|(name, _)| KERNEL.iter().any(|(module, _)| module == name));
        edges.extend(reached.filter_map(|(to, line)| edge(file, path, to, *line)));
    }
    Ok(edges)
}

fn edge(file: &str, path: &[String], to: &str, line: usize) -> Option<ModuleEdge> {
    let place = format!("crates/kernel/src/{file}:{line}");
    (path[0] != to).then(|| ModuleEdge { from: path[0].clone(), to: to.to_owned(), place })
}
