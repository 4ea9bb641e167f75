//! libFuzzer around the target `pipe_messages`. Run it with `cargo xtask fuzz pipe_messages`.
#![no_main]
#![allow(unsafe_code, reason = "the engine's macros export symbols and take its pointers")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringbridge_fuzz::pipe_messages::run(bytes));
