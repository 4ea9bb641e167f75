//! The program `notify`; see `sample_applications::notify`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sample_applications::main(sample_applications::notify::run)
}
