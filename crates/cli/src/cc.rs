//! `ringbridge cc`: compiles a Windows application in C for Linux.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use win32::compiling::Installation;

use crate::output::Output;

/// Compile a Windows console application in C, for a host of drivers on Linux
///
/// Everything behind `cc` goes to the compiler, with what it needs: headers with Windows' names, 16-bit characters
/// (-fshort-wchar), and the library that the Win32 functions are in. The program finds the host of `ringbridge serve` as the other
/// commands do (RINGBRIDGE_SOCKET, or the user's default).
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The compiler; otherwise CC or CXX, else the first of gcc, clang and cc that is there
    #[arg(long, value_name = "PROGRAM")]
    compiler: Option<OsString>,
    /// Print the flags, for a makefile, and compile nothing
    #[arg(long, conflicts_with = "arguments")]
    flags: bool,
    /// What the compiler is given: sources, -o, -O2, -g, -Wall, -DUNICODE, …
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required_unless_present = "flags")]
    arguments: Vec<OsString>,
}

const EXAMPLES: &str = "Examples:
  ringbridge serve hello.sys &                     a host with a driver
  ringbridge cc app.c -o app && ./app              its application
  ringbridge cc -DUNICODE -D_UNICODE -g app.c -o app
  ringbridge cc -c part.c && ringbridge cc part.o main.c -o app
  gcc app.c $(ringbridge cc --flags) -o app        the same, by hand (the flags stand behind the sources)
  ringbridge cc --compiler clang-19 app.cpp -o app

What is there, and what differs from Windows: docs/c-applications.md.";

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let program = std::env::current_exe().context("this program's own file is not found")?;
    let installation = Installation::find(&program).map_err(|reason| anyhow!(reason))?;
    if args.flags {
        let flags = installation.compile_flags().into_iter().chain(installation.link_flags());
        let flags: Vec<_> = flags.map(|flag| flag.to_string_lossy().into_owned()).collect();
        return output.line(flags.join(" "));
    }
    let is_cpp = args.arguments.iter().any(|argument| is_cpp(argument));
    let mut command = Command::new(compiler(args, is_cpp)?);
    command.args(installation.compile_flags()).args(&args.arguments);
    let stops_before =
        |argument: &OsString| ["-c", "-S", "-E", "-fsyntax-only"].iter().any(|flag| argument == flag);
    if !args.arguments.iter().any(stops_before) {
        command.args(installation.link_flags());
    }
    let name = command.get_program().to_owned();
    let status = command.status().with_context(|| format!("{} does not start", name.display()))?;
    if !status.success() {
        bail!("{} says that the sources do not compile ({status})", name.display());
    }
    Ok(())
}

fn is_cpp(argument: &OsStr) -> bool {
    let extension = Path::new(argument).extension();
    extension.is_some_and(|extension| ["cpp", "cc", "cxx", "C"].iter().any(|cpp| extension == *cpp))
}

fn compiler(args: &Args, is_cpp: bool) -> Result<OsString> {
    let (variable, names) =
        if is_cpp { ("CXX", ["g++", "clang++", "c++"]) } else { ("CC", ["gcc", "clang", "cc"]) };
    let set = args.compiler.clone().or_else(|| std::env::var_os(variable).filter(|set| !set.is_empty()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &&&str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    set.or_else(|| names.iter().find(is_there).map(OsString::from)).with_context(|| {
        format!("no compiler is found (tried {}): install one, or name it with --compiler", names.join(", "))
    })
}
