//! The program `consult`; see `sample_applications::consult`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sample_applications::main(sample_applications::consult::run)
}
