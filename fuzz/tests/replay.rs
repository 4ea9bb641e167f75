//! What once broke a rule breaks it no more: every input under `regressions/`, and the mutations of real drivers.

use std::fs;
use std::path::{Path, PathBuf};

use ringbridge_fuzz::{ioctl, pe, unwind};

/// The inputs that are kept for a target, with their names.
fn kept(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions").join(target);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.map(|path| (path.clone(), fs::read(&path).expect("readable"))).collect()
}

fn replay(target: &str, run: fn(&[u8])) {
    for (path, bytes) in kept(target) {
        eprintln!("{}", path.display());
        run(&bytes);
    }
}

#[test]
fn images_that_once_broke_the_loader_are_refused_or_mapped() {
    replay("pe", pe::run);
}

#[test]
fn tables_that_once_broke_unwinding_are_malformed_or_unwound() {
    replay("unwind", unwind::run);
}

#[test]
fn calls_that_once_broke_a_machine_are_answered() {
    assert!(!kept("ioctl").is_empty(), "there are some");
    replay("ioctl", ioctl::run);
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
