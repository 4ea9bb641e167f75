//! The one tool of the repository, run as `cargo xtask`. Each file is one subcommand, beside `tools` (what the
//! machine offers, installed where missing) and `workspace` (what cargo knows about the crates).
//!
//! It depends on no room of the house, so that it builds in seconds on a bare machine, and so that a broken room
//! never takes the tool down that would say so. What it runs is written elsewhere: the demo conversation and the
//! export table in the command line tool, the measurements in `benches`.

#![forbid(unsafe_code)]

mod bench;
mod channels;
mod demo;
mod docs;
mod fuzz;
mod layers;
mod named_tests;
mod outcomes;
mod readme;
mod scenarios;
mod soak;
mod sys;
mod test;
mod tools;
mod wine;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, checks, measures and shows Ringbridge.
///
/// New here? `cargo xtask demo` builds a driver to a real .sys file, loads it on this machine and talks to it.
/// Before you send a change: `cargo xtask test` runs exactly what the gate runs.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    Demo(demo::Args),
    Test(test::Args),
    Layers(layers::Args),
    Sys(sys::Args),
    Bench(bench::Args),
    Fuzz(fuzz::Args),
    Scenarios(scenarios::Args),
    Docs(docs::Args),
    Wine(wine::Args),
    Soak(soak::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Task::Demo(args) => demo::run(&args),
        Task::Test(args) => return test::run(&args),
        Task::Layers(args) => layers::run(&args),
        Task::Sys(args) => sys::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Scenarios(args) => scenarios::run(&args),
        Task::Docs(args) => docs::run(&args),
        Task::Wine(args) => wine::run(&args),
        Task::Soak(args) => soak::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
