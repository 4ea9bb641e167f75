//! libFuzzer around the target `ioctl`. Run it with `cargo xtask fuzz ioctl`.
#![no_main]
#![allow(unsafe_code, reason = "the engine's macros export symbols and take its pointers")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringbridge_fuzz::ioctl::run(bytes));
