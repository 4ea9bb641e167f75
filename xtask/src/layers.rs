//! `cargo xtask layers`: the house stays as ARCHITECTURE.md draws it. Checked are: which crate uses which, which of the
//! kernel's modules names which, where `unsafe` may stand, and what can be read off the sources of two invariants, that
//! nothing blocks but through the platform (`blocking`) and that events are made for observers alone (`observation`).
//!
//! [`check`] is a pure function over a [`Graph`]; `read` makes the graph from the repository. The tables here are those
//! of ARCHITECTURE.md and change in the same commit.

mod blocking;
mod observation;
mod paths;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// Check who uses whom, against ARCHITECTURE.md.
///
/// Fails, naming the file and line, when a crate depends on a room that its row in ARCHITECTURE.md does not allow, when
/// a module of the kernel names one above it (flt, lpc, fs → io → ob → ke → mm → raw, with ps, ex, cm, se beside ob),
/// or when a room without the mark ◆ does not forbid unsafe code; when a room of a machine (kernel, exports, loader, host,
/// driver) names what blocks outside of platform (invariant 4), or makes an event that nobody may watch (invariant 15).
///
/// A dev-dependency and code under `#[cfg(test)]` may use anything. If an edge is right and the table wrong, change
/// ARCHITECTURE.md and xtask/src/layers.rs together.
#[derive(clap::Args, Default)]
pub(crate) struct Args {}

/// A room's row: what it may use, and whether it may hold `unsafe` (◆).
struct Room {
    name: &'static str,
    marked: bool,
    may_use: &'static [&'static str],
}

const fn room(name: &'static str, marked: bool, may_use: &'static [&'static str]) -> Room {
    Room { name, marked, may_use }
}

/// The crates under `crates/`. `kernel` is marked in its module `raw` only, see [`check_unsafe`].
const ROOMS: &[Room] = &[
    room("abi", false, &[]),
    room("ring", false, &[]),
    room("platform", true, &["abi"]),
    room("gate", true, &["abi", "platform"]),
    room("kernel", true, &["abi", "platform"]),
    room("loader", true, &["abi", "platform"]),
    room("exports", true, &["abi", "platform", "kernel", "loader"]),
    room("verifier", false, &["abi", "exports", "kernel"]),
    room("host", false, &["abi", "platform", "gate", "kernel", "loader", "exports", "verifier", "npfs"]),
    room("app", true, &["abi", "gate", "ring"]),
    room("win32", true, &["abi", "app", "gate"]),
    room("driver", true, &["abi", "ring"]),
    room("npfs", false, &["abi", "driver"]),
    room("interface", false, &[]),
    room("cli", false, &["host", "app", "gate", "abi", "win32"]),
    room("samples", true, &["driver", "app", "abi"]),
];

/// Folders outside `crates/` that may use anything.
const FREE: [&str; 4] = ["tests", "benches", "fuzz", "xtask"];

const KERNEL: &[(&str, &[&str])] = &[
    ("raw", &[]),
    ("mm", &["raw"]),
    ("ke", &["mm", "raw"]),
    ("ex", &["ob", "ps", "cm", "se", "mm", "ke", "raw"]),
    ("ps", &["ob", "ex", "cm", "se", "mm", "ke", "raw"]),
    ("cm", &["ob", "ex", "ps", "se", "mm", "ke", "raw"]),
    ("se", &["ob", "ex", "ps", "cm", "mm", "ke", "raw"]),
    ("ob", &["ex", "ps", "cm", "se", "mm", "ke", "raw"]),
    ("io", &["ob", "ex", "ps", "cm", "se", "mm", "ke", "raw"]),
    ("flt", &["io", "ob", "ex", "ps", "cm", "se", "mm", "ke", "raw"]),
    ("lpc", &["io", "ob", "ex", "ps", "cm", "se", "mm", "ke", "raw"]),
    ("fs", &["io", "ob", "ex", "ps", "cm", "se", "mm", "ke", "raw"]),
];

/// The kernel's module that holds all the others together. Everybody may name it; what is then reached through its
/// fields counts as named (see `read`), so that it opens no way round the order.
const WIRING: &str = "kernel";

/// Everything that the check looks at.
#[derive(Default)]
struct Graph {
    crates: Vec<Crate>,
    modules: Vec<ModuleEdge>,
    /// What breaks invariants 4 and 15, by place.
    conduct: Vec<String>,
}

/// A package of the workspace, by its room: `kernel`, `samples`, `benches`.
struct Crate {
    room: String,
    uses: Vec<String>,
    lints: Lints,
}

/// What a package says about `unsafe_code`.
#[derive(Default)]
struct Lints {
    /// The levels its root file sets: `forbid`, `deny`, `expect`, `allow`.
    root: BTreeSet<String>,
    /// Other files of it that lower the level, relative to its `src`.
    lowered: Vec<String>,
}

/// One module of the kernel naming another, by the first segment of their paths.
struct ModuleEdge {
    from: String,
    to: String,
    place: String,
}

pub(crate) fn run(_: &Args) -> Result<()> {
    let graph = read::graph(&Workspace::load()?)?;
    let violations = check(&graph);
    for violation in &violations {
        eprintln!("layers: {violation}");
    }
    if !violations.is_empty() {
        bail!("{} violation(s) of the order in ARCHITECTURE.md", violations.len());
    }
    eprintln!(
        "layers: {} crates and {} module edges keep the order",
        graph.crates.len(),
        graph.modules.len()
    );
    Ok(())
}

/// One sentence for each edge or attribute that ARCHITECTURE.md does not allow.
fn check(graph: &Graph) -> Vec<String> {
    let mut violations = Vec::new();
    check_crates(&graph.crates, &mut violations);
    check_modules(&graph.modules, &mut violations);
    check_unsafe(&graph.crates, &mut violations);
    violations.extend_from_slice(&graph.conduct);
    violations
}

fn check_crates(crates: &[Crate], violations: &mut Vec<String>) {
    for Crate { room, uses, .. } in crates {
        if FREE.contains(&room.as_str()) {
            continue;
        }
        let Some(row) = ROOMS.iter().find(|row| row.name == room) else {
            violations.push(format!("crate {room} has no row in ARCHITECTURE.md's table"));
            continue;
        };
        for used in uses.iter().filter(|used| !row.may_use.contains(&used.as_str())) {
            violations.push(format!("crate {room} uses {used}; it may use: {}", listed(row.may_use)));
        }
    }
}

/// Modules outside the table (the kernel's own error type, say) belong to no layer: whoever uses one uses what it uses.
fn check_modules(edges: &[ModuleEdge], violations: &mut Vec<String>) {
    let row = |name: &str| KERNEL.iter().find(|(module, _)| *module == name).map(|(_, may_use)| *may_use);
    let mut found = BTreeSet::new();
    for first in edges {
        let Some(may_use) = row(&first.from) else { continue };
        if first.to == "*" {
            found.insert(format!(
                "{}: {} names all of the crate's root; name the module",
                first.place, first.from
            ));
        }
        let mut seen = BTreeSet::new();
        let mut open = vec![(first, vec![first.to.as_str()])];
        while let Some((edge, chain)) = open.pop() {
            let allowed = edge.to == first.from || may_use.contains(&edge.to.as_str());
            if edge.to == WIRING {
                continue;
            }
            if row(&edge.to).is_some() && !allowed {
                let chain = chain.join(" → ");
                let rule = listed(may_use);
                found.insert(format!("{}: {} names {chain}; it may name: {rule}", first.place, first.from));
            } else if row(&edge.to).is_none() && seen.insert(edge.to.as_str()) {
                let next = edges.iter().filter(|next| next.from == edge.to && next.to != edge.to);
                open.extend(next.map(|next| (next, [&chain[..], &[next.to.as_str()]].concat())));
            }
        }
    }
    violations.extend(found);
}

fn check_unsafe(crates: &[Crate], violations: &mut Vec<String>) {
    for Crate { room, lints, .. } in crates {
        let has = |level: &str| lints.root.contains(level);
        let marked = ROOMS.iter().find(|row| row.name == room).map(|row| row.marked);
        match (room.as_str(), marked) {
            ("samples", _) | (_, None) => {}
            ("kernel", _) => {
                if !has("deny") {
                    violations.push("crate kernel: lib.rs needs #![deny(unsafe_code)]".to_owned());
                }
                if has("expect") || has("allow") {
                    violations.push("crate kernel: lib.rs lowers unsafe_code; only raw may".to_owned());
                }
                let outside =
                    lints.lowered.iter().filter(|file| *file != "raw.rs" && !file.starts_with("raw/"));
                violations.extend(
                    outside.map(|file| format!("crate kernel: {file} lowers unsafe_code; only raw may")),
                );
            }
            (_, Some(true)) if !has("expect") && !has("forbid") => {
                let text = "needs #![expect(unsafe_code, reason = …)], or #![forbid(unsafe_code)]";
                violations.push(format!("crate {room}: its root file {text}"));
            }
            (_, Some(false)) if !has("forbid") => {
                violations.push(format!("crate {room}: its root file needs #![forbid(unsafe_code)]"));
            }
            _ => {}
        }
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
