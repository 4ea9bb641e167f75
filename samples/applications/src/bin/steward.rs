//! The program `steward`; see `sample_applications::steward`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sample_applications::main(sample_applications::steward::run)
}
