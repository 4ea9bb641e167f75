//! The headers: those of codes are `abi`'s tables, and all of them are what C and C++ take, with the layouts that drivers expect.
#![cfg(not(windows))]

use std::path::{Path, PathBuf};
use std::process::Command;

use ringbridge_win32::code_headers;

fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include")
}

/// RINGBRIDGE_WRITE_HEADERS in the environment has it written.
fn is_current(name: &str, text: &str) {
    let path = include().join(name);
    if std::env::var_os("RINGBRIDGE_WRITE_HEADERS").is_some() {
        std::fs::write(&path, text).expect("is ours");
    }
    let is = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        is == text,
        "{name} is not what the tables say: run `RINGBRIDGE_WRITE_HEADERS=1 cargo test -p ringbridge-win32`"
    );
}

#[test]
fn the_headers_of_codes_are_what_the_tables_say() {
    is_current("winerror.h", &code_headers::winerror());
    is_current("ntstatus.h", &code_headers::ntstatus());
}

fn compiles(compilers: &[&str], language: &str, source: &str) {
    let mut any = false;
    for compiler in compilers {
        let mut command = Command::new(compiler);
        command.args(["-fsyntax-only", "-fshort-wchar", "-Wall", "-Wextra", "-Werror", "-x", language, "-I"]);
        command.arg(include()).arg("-I").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
        command.arg("-");
        command.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            eprintln!("SKIPPED: {compiler} is not there");
            continue;
        };
        std::io::Write::write_all(&mut child.stdin.take().expect("is piped"), source.as_bytes())
            .expect("is read");
        let output = child.wait_with_output().expect("ends");
        assert!(output.status.success(), "{compiler}:\n{}", String::from_utf8_lossy(&output.stderr));
        any = true;
    }
    if !any {
        eprintln!("SKIPPED: none of {compilers:?} is there");
    }
}

const ALL: &str = "#include <Windows.h>\n#include <winioctl.h>\n#include <winternl.h>\n#include <ntstatus.h>\n\
    #include <tchar.h>\n#include <process.h>\n#include <conio.h>\n#include <stdio.h>\n#include <wchar.h>\n#include \"layouts.h\"\n";

#[test]
fn layouts_are_those_of_windows_in_c() {
    compiles(&["gcc", "clang", "clang-19"], "c", &format!("{ALL}int unused;\n"));
    compiles(
        &["gcc", "clang", "clang-19"],
        "c",
        &format!("#define UNICODE\n#define _UNICODE\n{ALL}int unused;\n"),
    );
}

#[test]
fn layouts_are_those_of_windows_in_cpp() {
    compiles(&["g++", "clang++", "clang++-19"], "c++", &format!("{ALL}int unused;\n"));
}
