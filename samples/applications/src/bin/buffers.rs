//! The program `buffers`; see `sample_applications::buffers`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sample_applications::main(sample_applications::buffers::run)
}
