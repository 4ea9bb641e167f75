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

/// Functions that a header declares, each on a line of its own.
fn declared(text: &str) -> Vec<&str> {
    let is_one = |line: &&str| {
        line.ends_with(");") && !line.starts_with([' ', '#', '}', '/']) && !line.starts_with("typedef")
    };
    text.lines().filter(is_one).filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next()).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("is read")
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("is there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("is read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

/// By header, in the order of names.
fn by_header() -> Vec<(String, Vec<String>)> {
    let headers = files(&include(), "h").into_iter().map(|file| {
        let text = read(&file);
        let mut names: Vec<String> = declared(&text).into_iter().map(str::to_owned).collect();
        names.sort();
        (file.file_name().unwrap_or_default().to_string_lossy().into_owned(), names)
    });
    headers.filter(|(_, names)| !names.is_empty()).collect()
}

#[test]
fn what_is_declared_is_there_and_what_is_there_is_declared() {
    let sources = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "rs");
    let mut there: Vec<String> = Vec::new();
    for source in sources {
        let text = read(&source);
        let exported = text.split("#[unsafe(no_mangle)]").skip(1);
        there.extend(exported.filter_map(|item| {
            let name = item.split_once("fn ")?.1.split_once('(')?.0;
            Some(name.to_owned())
        }));
    }
    let mut declared: Vec<String> = by_header().into_iter().flat_map(|(_, names)| names).collect();
    there.sort();
    declared.sort();
    assert!(there.len() > 150, "few are found: {}", there.len());
    assert_eq!(declared, there);
}

#[test]
fn the_page_lists_every_function() {
    const BEGIN: &str = "<!-- functions: written by crates/win32/tests/headers.rs -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/c-applications.md");
    let page = read(&path);
    let (front, _) = page.split_once(BEGIN).expect("the list's place");
    let lists: Vec<String> = by_header()
        .into_iter()
        .map(|(header, names)| format!("- `{header}`: {}\n", names.join(", ")))
        .collect();
    let expected = format!("{front}{BEGIN}{}", lists.concat());
    if std::env::var_os("RINGBRIDGE_WRITE_HEADERS").is_some() {
        std::fs::write(&path, &expected).expect("is ours");
    }
    assert!(read(&path) == expected, "run `RINGBRIDGE_WRITE_HEADERS=1 cargo test -p ringbridge-win32`");
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
    #include <fltuser.h>\n#include <ntlpc.h>\n\
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
