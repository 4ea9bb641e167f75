//! libFuzzer around the target `slots`. Run it with `cargo xtask fuzz slots`.
#![no_main]
#![allow(unsafe_code, reason = "the engine's macros export symbols and take its pointers")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringbridge_fuzz::slots::run(bytes));
