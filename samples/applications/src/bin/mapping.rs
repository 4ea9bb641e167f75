//! The program `mapping`; see `sample_applications::mapping`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sample_applications::main(sample_applications::mapping::run)
}
