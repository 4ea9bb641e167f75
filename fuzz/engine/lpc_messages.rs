//! libFuzzer around the target `lpc_messages`. Run it with `cargo xtask fuzz lpc_messages`.
#![no_main]
#![allow(unsafe_code, reason = "the engine's macros export symbols and take its pointers")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringbridge_fuzz::lpc_messages::run(bytes));
