//! The program `shelf`; see `sample_applications::shelf`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sample_applications::main(sample_applications::shelf::run)
}
