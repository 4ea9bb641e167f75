//! libFuzzer around the target `pe`. Run it with `cargo xtask fuzz pe`.
#![no_main]
#![allow(unsafe_code, reason = "the engine's macros export symbols and take its pointers")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringbridge_fuzz::pe::run(bytes));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    ringbridge_fuzz::pe::mutate(data, size, max_size, seed, libfuzzer_sys::fuzzer_mutate)
});
