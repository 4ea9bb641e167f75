//! The program `namedpipe`; see `sample_applications::namedpipe`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sample_applications::main(sample_applications::namedpipe::run)
}
