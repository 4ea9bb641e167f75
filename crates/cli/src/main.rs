//! The `ringbridge` command: one file a subcommand. Each turns its arguments into calls of `host` and `app` and prints
//! what came of them; what the calls mean is theirs.
//!
//! Exit status: 0 done, 1 the request failed (the reason is on stderr), 2 the command was not understood.
#![forbid(unsafe_code)]

mod cc;
mod code;
mod control_code;
mod demo;
mod device_names;
mod devices;
mod exports;
mod hex;
mod info;
mod info_view;
mod ioctl;
mod list;
mod load;
mod ls;
mod number;
mod output;
mod parameter;
mod pool;
mod read;
mod serve;
mod service;
mod status;
mod target;
mod transfer;
mod unload;
mod watch;
mod wmi;
mod write;

use std::io;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::output::Output;

/// Runs real x64 Windows drivers (.sys) on Linux and talks to their devices.
///
/// With --driver, a driver is loaded into this very process, used, and unloaded. Without it, requests go to a host that
/// `ringbridge serve` runs in another process.
#[derive(Parser)]
#[command(name = "ringbridge", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = r"Examples:
  ringbridge demo                                            a tour, in a minute
  ringbridge info hello.sys                                  will it load, and what does it need?
  ringbridge read '\\.\My_Device' 16 --driver hello.sys      load, open, read, unload
  ringbridge ioctl '\\.\My_Device' 0x222000 --in hi --out 16 --driver hello.sys
  ringbridge serve hello.sys                                 for applications in other processes
  ringbridge load pipe.sys                                   one more driver for the running host; list and unload too
  ringbridge pnp add lifecycle                               a device of Plug and Play; power and shutdown too
  ringbridge pool --driver hello.sys                         who holds how much pool, by tag
  ringbridge cc app.c -o app                                 a Windows application in C for that host
  ringbridge code 0x222000                                   what does this control code say?
  ringbridge status 0xC0000010                               and this status?

Quote device paths in a shell: '\\.\Name'. Every subcommand has its own --help with examples.
Exit status: 0 done, 1 the request failed, 2 the command was not understood.";

#[derive(Subcommand)]
enum Command {
    Info(info::Args),
    Exports(exports::Args),
    Read(read::Args),
    Write(write::Args),
    Ioctl(ioctl::Args),
    Ls(ls::Args),
    Pool(pool::Args),
    Serve(serve::Args),
    Load(load::Args),
    Unload(unload::Args),
    List(list::Args),
    Service(service::Args),
    Pnp(devices::PnpArgs),
    Power(devices::PowerArgs),
    Shutdown(devices::ShutdownArgs),
    Wmi(wmi::Args),
    Cc(cc::Args),
    Code(code::Args),
    Status(status::Args),
    Demo(demo::Args),
}

fn run(command: &Command, output: &mut Output) -> Result<()> {
    match command {
        Command::Info(args) => info::run(args, output),
        Command::Exports(args) => exports::run(args, output),
        Command::Read(args) => read::run(args, output),
        Command::Write(args) => write::run(args, output),
        Command::Ioctl(args) => ioctl::run(args, output),
        Command::Ls(args) => ls::run(args, output),
        Command::Pool(args) => pool::run(args, output),
        Command::Serve(args) => serve::run(args, output),
        Command::Load(args) => load::run(args, output),
        Command::Unload(args) => unload::run(args, output),
        Command::List(args) => list::run(args, output),
        Command::Service(args) => service::run(args, output),
        Command::Pnp(args) => devices::pnp(args, output),
        Command::Power(args) => devices::power(args, output),
        Command::Shutdown(args) => devices::shutdown(args, output),
        Command::Wmi(args) => wmi::run(args, output),
        Command::Cc(args) => cc::run(args, output),
        Command::Code(args) => code::run(args, output),
        Command::Status(args) => status::run(args, output),
        Command::Demo(args) => demo::run(args, output),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut output = Output::stdout();
    let done = run(&cli.command, &mut output);
    // What was printed before a failure belongs before its reason.
    let flushed = output.flush();
    match done.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if reader_is_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::failed(&error);
            ExitCode::FAILURE
        }
    }
}

/// Whether the output went to a pipe whose reader had seen enough, which is nobody's failure.
fn reader_is_gone(error: &anyhow::Error) -> bool {
    let is_broken_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.downcast_ref::<output::Unwritten>().is_some_and(|unwritten| is_broken_pipe(&unwritten.0))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_teaches_with_examples() {
        for command in Cli::command().get_subcommands() {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("ringbridge "), "{} has no examples", command.get_name());
        }
    }
}
