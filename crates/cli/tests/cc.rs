//! `ringbridge cc`: what a user types makes a program that runs.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn ringbridge(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringbridge")).args(arguments).output().expect("starts")
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("is ours");
    folder
}

fn has_no_compiler() -> bool {
    let none =
        !["gcc", "clang", "cc"].iter().any(|name| Command::new(name).arg("--version").output().is_ok());
    if none {
        eprintln!("SKIPPED: no compiler is there");
    }
    none
}

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../win32/samples/hello.c");

#[test]
fn a_windows_application_becomes_a_program_in_one_step_and_in_two() {
    if has_no_compiler() {
        return;
    }
    let folder = folder("cc");
    let (program, part) = (folder.join("hello"), folder.join("hello.o"));
    let (program_name, part_name) = (program.to_str().expect("UTF-8"), part.to_str().expect("UTF-8"));
    for steps in [
        vec![vec!["cc", SOURCE, "-o", program_name]],
        vec![vec!["cc", "-c", SOURCE, "-o", part_name], vec!["cc", part_name, "-o", program_name]],
    ] {
        for step in &steps {
            let output = ringbridge(step);
            assert!(output.status.success(), "{step:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let run = Command::new(&program).env("RINGBRIDGE_SOCKET", folder.join("nobody")).output();
        let run = run.expect("the library is found");
        assert_eq!(String::from_utf8_lossy(&run.stdout), "the device does not open: 1167\n");
        std::fs::remove_file(&program).expect("was made");
    }
}

#[test]
fn sources_that_do_not_compile_are_a_failure_that_names_the_compiler() {
    if has_no_compiler() {
        return;
    }
    let source = folder("cc_wrong").join("wrong.c");
    std::fs::write(&source, "#include <windows.h>\nint main(void) { return RegisterClassExW; }\n")
        .expect("is ours");
    let output = ringbridge(&["cc", "-fsyntax-only", source.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("RegisterClassExW") && said.contains("do not compile"), "{said}");
}

#[test]
fn the_flags_are_for_makefiles_and_a_missing_compiler_is_named() {
    let output = ringbridge(&["cc", "--flags"]);
    let flags = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && flags.contains("-fshort-wchar") && flags.contains("-lringbridge_win32"),
        "{flags}"
    );
    let output = ringbridge(&["cc", "--compiler", "no-such-compiler", "a.c"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-compiler"));
}
