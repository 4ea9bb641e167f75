//! The program `verdict`; see `sample_applications::verdict`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sample_applications::main(sample_applications::verdict::run)
}
