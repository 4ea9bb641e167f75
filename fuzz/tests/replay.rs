//! What once broke a rule breaks it no more: every input under `regressions/`, and the mutations of real drivers.

use std::fs;
use std::path::{Path, PathBuf};

use ringbridge_fuzz::{filter_messages, ioctl, lpc_messages, pe, pipe_messages, slots, unwind};

/// The inputs that are kept for a target, with their names.
fn kept(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions").join(target);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.map(|path| (path.clone(), fs::read(&path).expect("readable"))).collect()
}

/// Gives a target its input.
type Run = fn(&[u8]);

#[test]
fn inputs_that_once_broke_a_rule_break_it_no_more() {
    let targets: [(&str, Run); 7] = [
        ("pe", pe::run),
        ("unwind", unwind::run),
        ("ioctl", ioctl::run),
        ("slots", slots::run),
        ("lpc_messages", lpc_messages::run),
        ("pipe_messages", pipe_messages::run),
        ("filter_messages", filter_messages::run),
    ];
    let mut count = 0;
    for (target, run) in targets {
        for (path, bytes) in kept(target) {
            eprintln!("{}", path.display());
            run(&bytes);
            count += 1;
        }
    }
    assert!(count >= 2, "some are kept, but only {count} were found");
}

/// Gives `run` so many inputs that mean nothing.
fn with_noise(count: u32, length: usize, run: Run) {
    let mut state = 0x5EED_u64;
    for _ in 0..count {
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56).to_le_bytes()[0]
            })
            .collect();
        run(&bytes);
    }
}

#[test]
fn whatever_is_asked_of_pipes_harms_nobody() {
    with_noise(2_000, 700, pipe_messages::run);
}

#[test]
fn a_hostile_process_harms_nobody_whatever_it_says_to_ports() {
    with_noise(300, 600, lpc_messages::run);
}

#[test]
fn a_hostile_application_harms_nobody_whatever_it_writes_first() {
    with_noise(100, 600, slots::run);
}

#[test]
fn a_filters_application_harms_nobody_whatever_it_asks_first() {
    with_noise(500, 400, filter_messages::run);
}

fn sys_files() -> Vec<Vec<u8>> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/sys");
    let folder = std::env::var_os("RINGBRIDGE_SYS_DIR").map_or_else(default, PathBuf::from);
    let entries = fs::read_dir(&folder).expect("build the drivers with `cargo xtask sys`");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let drivers = paths.filter(|path| path.extension().is_some_and(|end| end == "sys"));
    drivers.map(|path| fs::read(path).expect("readable")).collect()
}

#[test]
fn real_drivers_and_their_first_mutations_leave_nothing_in_memory() {
    let files = sys_files();
    assert!(!files.is_empty(), "there are drivers");
    for file in files {
        pe::run(&file);
        for seed in 0..200 {
            let mut mutated = file.clone();
            let length = mutated.len();
            let size = pe::mutate(&mut mutated, length, length, seed, |_, size, _| size);
            pe::run(&mutated[..size]);
        }
    }
}
