//! The program `stream`; see `sample_applications::stream`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sample_applications::main(sample_applications::stream::run)
}
