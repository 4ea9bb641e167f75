//! The C library's memory routines, which are not rows with a thunk but leaf functions of the platform.

use platform::routines;

use crate::{Address, Row, Support};

const fn routine(
    name: &'static str,
    aliases: &'static [&'static str],
    signature: &'static str,
    doc: &'static str,
    address: fn() -> usize,
) -> Row {
    Row {
        name,
        aliases,
        dll: "ntoskrnl.exe",
        signature,
        irql: abi::HIGH_LEVEL,
        support: Support::Full,
        doc,
        address: Address::Routine(address),
    }
}

pub(crate) const ROWS: &[Row] = &[
    routine(
        "memcpy",
        &["RtlCopyMemory", "RtlCopyMemoryNonTemporal"],
        "(destination: u64, source: u64, length: u64) -> u64",
        "Copies memory.",
        routines::memmove,
    ),
    routine(
        "memmove",
        &["RtlMoveMemory"],
        "(destination: u64, source: u64, length: u64) -> u64",
        "Copies memory; the ranges may overlap.",
        routines::memmove,
    ),
    routine(
        "memset",
        &[],
        "(destination: u64, value: u32, length: u64) -> u64",
        "Fills memory with a byte.",
        routines::memset,
    ),
    routine(
        "memcmp",
        &[],
        "(left: u64, right: u64, length: u64) -> i32",
        "Compares memory.",
        routines::memcmp,
    ),
];
