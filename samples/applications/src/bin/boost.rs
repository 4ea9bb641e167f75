//! The program `boost`; see `sample_applications::boost`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sample_applications::main(sample_applications::boost::run)
}
