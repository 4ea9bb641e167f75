//! The program `delay`; see `sample_applications::delay`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sample_applications::main(sample_applications::delay::run)
}
