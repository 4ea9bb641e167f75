//! The program `hello`; see `sample_applications::hello`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sample_applications::main(sample_applications::hello::run)
}
