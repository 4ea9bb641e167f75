//! The checker fails on made-up graphs that break ARCHITECTURE.md, and passes on one that keeps it.

use super::read::{Source, breaches, module_edges};
use super::*;

fn krate(room: &str, uses: &[&str], levels: &[&str]) -> Crate {
    let root = levels.iter().map(|level| (*level).to_owned()).collect();
    let uses = uses.iter().map(|used| (*used).to_owned()).collect();
    Crate { room: room.to_owned(), uses, lints: Lints { root, lowered: Vec::new() } }
}

fn edge(from: &str, to: &str) -> ModuleEdge {
    ModuleEdge { from: from.to_owned(), to: to.to_owned(), place: format!("{from}.rs:1") }
}

/// A house in order.
fn legal() -> Graph {
    let mut kernel = krate("kernel", &["abi", "platform"], &["deny"]);
    kernel.lints.lowered = vec!["raw.rs".to_owned(), "raw/object.rs".to_owned()];
    let crates = vec![
        krate("abi", &[], &["forbid"]),
        krate("platform", &["abi"], &["expect"]),
        kernel,
        krate("host", &["abi", "platform", "gate", "kernel", "loader", "exports", "verifier"], &["forbid"]),
        krate("cli", &["abi", "app", "gate", "host"], &["forbid"]),
        krate("samples", &["abi", "driver"], &[]),
        krate("benches", &["host", "kernel", "samples"], &[]),
    ];
    let modules = vec![
        edge("io", "ob"),
        edge("ob", "ps"),
        edge("ps", "ke"),
        edge("ke", "mm"),
        edge("mm", "raw"),
        edge("flt", "io"),
        edge("io", "event"),
        edge("event", "raw"),
    ];
    Graph { crates, modules, conduct: Vec::new() }
}

/// The one violation of the legal graph after a change.
fn violation(change: impl FnOnce(&mut Graph)) -> String {
    let mut graph = legal();
    change(&mut graph);
    let mut violations = check(&graph);
    assert_eq!(violations.len(), 1, "{violations:?}");
    violations.remove(0)
}

fn sources(files: &[(&str, &str)]) -> Vec<Source> {
    files.iter().map(|(file, text)| Source { file: (*file).to_owned(), text: (*text).to_owned() }).collect()
}

/// `from → to` of each edge in the sources, in order.
fn edges(files: &[(&str, &str)]) -> Vec<String> {
    let edges = module_edges(&sources(files)).unwrap();
    edges.iter().map(|edge| format!("{} → {}", edge.from, edge.to)).collect()
}

#[test]
fn a_house_in_order_passes() {
    assert_eq!(check(&legal()), Vec::<String>::new());
}

#[test]
fn a_crate_that_uses_a_room_above_it_fails() {
    let text = violation(|graph| graph.crates[2].uses.push("host".to_owned()));
    assert_eq!(text, "crate kernel uses host; it may use: abi, platform");
}

#[test]
fn nobody_uses_samples_tests_and_benches() {
    let text = violation(|graph| graph.crates[3].uses.push("samples".to_owned()));
    assert!(text.starts_with("crate host uses samples"), "{text}");
}

#[test]
fn a_crate_without_a_row_fails() {
    let text = violation(|graph| graph.crates.push(krate("util", &[], &["forbid"])));
    assert!(text.contains("util has no row"), "{text}");
}

#[test]
fn ob_never_names_io() {
    let text = violation(|graph| graph.modules.push(edge("ob", "io")));
    assert!(text.starts_with("ob.rs:1: ob names io; it may name:"), "{text}");
}

#[test]
fn ob_does_not_reach_io_through_a_module_outside_the_table() {
    let text = violation(|graph| {
        graph.modules.extend([edge("ob", "glue"), edge("glue", "more"), edge("more", "io")])
    });
    assert!(text.starts_with("ob.rs:1: ob names glue → more → io;"), "{text}");
}

#[test]
fn modules_outside_the_table_may_form_a_circle() {
    let mut graph = legal();
    graph.modules.extend([edge("event", "status"), edge("status", "event")]);
    assert_eq!(check(&graph), Vec::<String>::new());
}

#[test]
fn every_module_of_the_order_refuses_those_above_it() {
    let order = ["raw", "mm", "ke", "ob", "io"];
    for (level, from) in order.iter().enumerate() {
        for to in order[level + 1..].iter().chain(["flt", "lpc", "fs"].iter()) {
            let text = violation(|graph| graph.modules.push(edge(from, to)));
            assert!(text.contains(&format!("{from} names {to};")), "{text}");
        }
    }
}

#[test]
fn naming_all_of_the_root_hides_an_edge_and_fails() {
    let text = violation(|graph| graph.modules.push(edge("ob", "*")));
    assert!(text.contains("name the module"), "{text}");
}

#[test]
fn an_unmarked_room_must_forbid_unsafe_and_a_marked_one_must_own_up() {
    let text = violation(|graph| graph.crates[3].lints.root.clear());
    assert!(text.contains("crate host: its root file needs #![forbid(unsafe_code)]"), "{text}");
    let text = violation(|graph| graph.crates[1].lints.root.clear());
    assert!(text.contains("crate platform: its root file needs #![expect(unsafe_code"), "{text}");
}

#[test]
fn only_raw_lowers_the_kernels_lint() {
    let text = violation(|graph| graph.crates[2].lints.lowered.push("io/irp.rs".to_owned()));
    assert!(text.contains("io/irp.rs lowers unsafe_code"), "{text}");
    let text = violation(|graph| graph.crates[2].lints.root.clear());
    assert!(text.contains("needs #![deny(unsafe_code)]"), "{text}");
}

#[test]
fn every_spelling_of_a_path_is_an_edge() {
    assert_eq!(edges(&[("ob.rs", "use crate::io::Irp;")]), ["ob → io"]);
    assert_eq!(edges(&[("ob/dir.rs", "use super::super::io::Irp as I;")]), ["ob → io"]);
    assert_eq!(edges(&[("ob.rs", "use crate::{ke::{self}, io as devices, ob::X};")]), ["ob → ke", "ob → io"]);
    assert_eq!(edges(&[("ob/dir.rs", "use super::{X, super::{mm, io}};")]), ["ob → mm", "ob → io"]);
    assert_eq!(edges(&[("ob.rs", "fn f() { g(crate::io::irp::<u8>()) }")]), ["ob → io"]);
    assert_eq!(edges(&[("ob.rs", "fn f() { assert!(crate::io::on()) }")]), ["ob → io"]);
    assert_eq!(edges(&[("ob.rs", "mod deep { use super::super::io; use super::X; }")]), ["ob → io"]);
    assert_eq!(edges(&[("ob.rs", "macro_rules! m { () => { $crate::io::X } }")]), ["ob → io"]);
    assert_eq!(edges(&[("ob.rs", "impl crate::r#io::Trait for X {}")]), ["ob → io"]);
}

#[test]
fn comments_strings_children_and_visibility_are_no_edges() {
    let text = "//! See crate::io.\n/// Not crate::io::Irp.\nfn f() -> &'static str { \"crate::io\" }";
    assert_eq!(edges(&[("ob.rs", text)]), Vec::<String>::new());
    assert_eq!(edges(&[("ob.rs", "pub(crate) use self::io::X; mod io;")]), Vec::<String>::new());
    assert_eq!(
        edges(&[("ob/io.rs", "pub(in crate::ob) use super::X; use std::io::Read;")]),
        Vec::<String>::new()
    );
}

#[test]
fn a_name_that_the_root_re_exports_counts_as_its_module() {
    let root = ("lib.rs", "mod io; pub use io::{Irp, stack::{Location as Place}}; pub use crate::ke::Event;");
    assert_eq!(edges(&[root, ("ob.rs", "use crate::Irp;")]), ["ob → io"]);
    assert_eq!(edges(&[root, ("ob.rs", "use crate::{Place, Event};")]), ["ob → io", "ob → ke"]);
    let glob = module_edges(&sources(&[("lib.rs", "pub use io::*;")]));
    assert!(glob.is_err_and(|error| error.to_string().contains("io::*")));
}

#[test]
fn a_room_reached_through_the_kernels_fields_counts_as_named() {
    let root = ("lib.rs", "mod kernel; pub use kernel::Kernel;");
    let wiring = ("kernel.rs", "use crate::{io, ke}; struct Kernel { io: io::Io }");
    let wait = ("ke/wait.rs", "fn f(kernel: &crate::Kernel) { for _ in 0..io { kernel.io.start() } }");
    let modules = module_edges(&sources(&[root, wiring, wait])).unwrap();
    let graph = Graph { modules, ..Graph::default() };
    let violations = check(&graph);
    assert_eq!(violations, ["crates/kernel/src/ke/wait.rs:1: ke names io; it may name: mm, raw"]);
    let stranger = ("ke/wait.rs", "fn f(file: &File) { file.io.start() }");
    assert_eq!(edges(&[stranger]), Vec::<String>::new());
}

#[test]
fn test_code_may_name_anything() {
    let inline = "#[cfg(test)]\n#[allow(x)]\nmod tests { use crate::io::Irp; }\nuse crate::mm::Mdl;";
    assert_eq!(edges(&[("ob.rs", inline)]), ["ob → mm"]);
    let declared = ("ob/mod.rs", "#[cfg(all(test, not(loom)))]\nmod tests;\nmod dir;");
    let files = [declared, ("ob/tests.rs", "use crate::io::Irp;"), ("ob/dir.rs", "use crate::ke::Event;")];
    assert_eq!(edges(&files), ["ob → ke"]);
}

#[test]
fn a_place_says_file_and_line() {
    let found = module_edges(&sources(&[("ob/dir.rs", "\n\nuse crate::io;")])).unwrap();
    assert_eq!(found[0].place, "crates/kernel/src/ob/dir.rs:3");
}

#[test]
fn lint_levels_are_found_inside_cfg_attr() {
    let text = "#![cfg_attr(windows, expect(unsafe_code, reason = \"Win32\"))]\n#![cfg_attr(unix, forbid(unsafe_code))]";
    assert_eq!(paths::unsafe_levels(text).unwrap(), ["expect", "forbid"]);
    assert_eq!(paths::unsafe_levels("//! forbid(unsafe_code)\nfn f() {}").unwrap(), Vec::<String>::new());
}

/// What breaks invariants 4 and 15 in a room of these files, without the advice.
fn conduct(room: &str, files: &[(&str, &str)]) -> Vec<String> {
    let found = breaches(room, "r", &sources(files)).unwrap();
    found.iter().map(|text| text.split(';').next().unwrap().to_owned()).collect()
}

#[test]
fn nothing_in_a_machine_blocks_but_through_the_platform() {
    let one = |text: &str| conduct("kernel", &[("ke/wait.rs", text)]);
    for (text, path) in [
        ("fn f() { std::thread::sleep(d) }", "std::thread::sleep"),
        ("use std::thread;", "std::thread"),
        ("use std::{fmt, thread::{self, park}};", "std::thread"),
        ("use std::sync::{Arc, Condvar as C};", "std::sync::Condvar"),
        ("use ::std::sync::Barrier;", "std::sync::Barrier"),
        ("use std::sync::*;", "std::sync::*"),
        ("use std::{sync, fmt};", "std::sync"),
        ("fn f() -> std::time::Instant { loop {} }", "std::time::Instant"),
        ("fn f() { m!(std::time::SystemTime::now()) }", "std::time::SystemTime::now"),
        ("fn f() { core::hint::spin_loop() }", "core::hint::spin_loop"),
        ("use std::sync::mpsc::{Sender};", "std::sync::mpsc::Sender"),
        ("use rustix::thread::futex;", "rustix::thread::futex"),
    ] {
        let found = one(text);
        assert_eq!(
            found.first(),
            Some(&format!("r/src/ke/wait.rs:1: kernel names {path}")),
            "{text}: {found:?}"
        );
    }
    for room in ["exports", "loader", "host", "driver"] {
        assert_eq!(conduct(room, &[("a.rs", "use std::thread;")]).len(), 1, "{room}");
    }
    assert_eq!(conduct("gate", &[("a.rs", "use std::thread;")]), Vec::<String>::new(), "waits by itself");
}

#[test]
fn short_sections_time_spans_and_tests_do_not_block() {
    let fine = "use std::sync::{Arc, Mutex, OnceLock};\nuse std::time::Duration;\nuse crate::ke::{Thread, thread};\n\
        fn f() { x.std; thread.sleep() }\n#[cfg(test)]\nmod tests { use std::thread; }\n#[cfg(test)] mod more;";
    let more = ("ke/more.rs", "use std::thread;");
    assert_eq!(conduct("kernel", &[("ke/mod.rs", fine), more]), Vec::<String>::new());
}

#[test]
fn an_event_is_made_behind_the_branch_of_emit_alone() {
    let one =
        |text: &str| conduct("kernel", &[("trace.rs", "fn emit() { self.tell(&event()) }"), ("io.rs", text)]);
    let cold = "#[cold]\n#[expect(dead_code)]\npub(super) fn made(irp: Irp) -> Event { Event::X { irp } }\n";
    for text in [
        "fn f() { kernel.trace.emit(|| Event::X { irp: 1 }); }",
        &format!("{cold}fn f() {{ kernel.trace.emit(|| made(irp)); file.made.store(1) }}"),
        "use crate::trace::Event;\n#[cfg(test)]\nmod tests { fn f(e: &Event) { if let Event::X { .. } = e {} } }",
        "fn observe(&self, event: &Event) {}",
    ] {
        assert_eq!(one(text), Vec::<String>::new(), "{text}");
    }
    for (text, what) in [
        ("fn f() { let e = Event::X; t.emit(|| e) }", "Event::X is made whether anybody watches or not"),
        ("fn f() { t.emit(move || { Event::X }) }", "Event::X is made whether anybody watches or not"),
        ("fn f() { g(trace::Event::X { irp }) }", "Event::X is made whether anybody watches or not"),
        ("fn f() { t.tell(&e) }", "tell tells observers past the branch of emit"),
        ("fn f() { for o in all { o.observe(e) } }", "observe tells observers past the branch of emit"),
        ("fn made() -> Event { Event::X }", "made makes an event and is not marked #[cold]"),
    ] {
        assert_eq!(one(text), [format!("r/src/io.rs:1: {what}")], "{text}");
    }
    let outside = format!("{cold}fn f() {{ let e = made(irp); }}");
    assert_eq!(one(&outside), ["r/src/io.rs:4: made makes an event whether anybody watches or not"]);
}
