//! `winerror.h` and `ntstatus.h`, written from `abi`'s tables.

use std::fmt::Write;

/// The header of the Win32 errors.
#[must_use]
pub fn winerror() -> String {
    let mut text = opening("Win32 errors", "WINERROR");
    for (code, name) in abi::win32_names() {
        define(&mut text, name, &code.to_string());
    }
    // Its other name has no prefix that the tables are made by.
    define(&mut text, "NO_ERROR", "0");
    text + "\n#endif\n"
}

/// The header of the statuses.
#[must_use]
pub fn ntstatus() -> String {
    let mut text = opening("Statuses of NT", "NTSTATUS");
    for (bits, name) in abi::status_names() {
        // What windows.h has, too, has no type there, for the preprocessor.
        let value = if name == "STATUS_PENDING" || name == "STATUS_WAIT_0" {
            continue;
        } else {
            format!("((NTSTATUS)0x{bits:08X})")
        };
        define(&mut text, name, &value);
    }
    text + "\n#endif\n"
}

fn opening(what: &str, guard: &str) -> String {
    format!(
        "/* {what}, written by the tests of this crate (tests/headers.rs) from the tables of `abi`; do not edit. */\n\
         #ifndef RINGBRIDGE_{guard}_H\n#define RINGBRIDGE_{guard}_H\n\n"
    )
}

fn define(text: &mut String, name: &str, value: &str) {
    writeln!(text, "#define {name} {value}").expect("a string grows");
}
