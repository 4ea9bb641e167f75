//! `ringbridge serve`: a machine for the applications of other processes.

use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use anyhow::{Context, Result, bail};
use host::{BugcheckReport, Event, LoadOptions, Machine, Observer, Server, UnloadReport};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::output::{self, Output};
use crate::parameter::{self, NamedParameter};
use crate::target::{left_behind, load, unload_all};
use crate::watch::Console;

/// Load drivers and serve them to applications in other processes
///
/// Prints one line when applications can connect, and serves until SIGINT (Ctrl+C), SIGTERM or SIGHUP. Then the
/// applications' handles are closed, the drivers unloaded, last first, and what they leave behind is told. What drivers
/// print (DbgPrint) appears on stderr.
#[derive(clap::Args)]
#[command(after_help = r"Examples:
  ringbridge serve hello.sys                               in one terminal
  ringbridge read '\\.\My_Device' 16                       in another
  ringbridge serve lower.sys upper.sys --socket ./gate     several drivers, in this order
  ringbridge serve hello.sys tap.sys --parameter 'Target=\Device\My_Device'   with a parameter

A bugcheck prints its report on stderr. The host then stays, so that applications learn of it: all their requests fail
with ERROR_DEVICE_NOT_CONNECTED. When it is stopped, its exit status is 1.
A second signal ends the host at once, without unloading.")]
pub(crate) struct Args {
    /// The drivers' files, loaded in this order
    #[arg(value_name = "FILE.sys", required = true)]
    drivers: Vec<PathBuf>,
    /// Where to listen [default: RINGBRIDGE_SOCKET, else ringbridge.sock in XDG_RUNTIME_DIR]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Load drivers although exports that they import are missing; a call of one raises STATUS_NOT_IMPLEMENTED
    #[arg(long)]
    allow_missing: bool,
    /// A value under the Parameters key of each driver's service: a number is a REG_DWORD, other text a REG_SZ (repeatable)
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter::parse)]
    parameters: Vec<NamedParameter>,
}

/// What ends the waiting.
enum Notice {
    Signal,
    Bugcheck,
}

/// Tells the main thread of a bugcheck.
struct Alarm(Sender<Notice>);

impl Observer for Alarm {
    fn observe(&self, event: &Event) {
        if matches!(event, Event::Bugcheck { .. }) {
            // Nobody listens any more when the host ends.
            let _ending = self.0.send(Notice::Bugcheck);
        }
    }
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let (sender, notices) = mpsc::channel();
    stop_on_signals(sender.clone())?;
    let machine = Machine::new().context("no machine can be started")?;
    machine.watch(Arc::new(Console));
    machine.watch(Arc::new(Alarm(sender)));
    let options = LoadOptions { allow_missing: args.allow_missing };
    let mut drivers = Vec::new();
    let served = serve(args, options, &machine, &mut drivers, &notices, output);
    let unloaded = unload_all(&machine, &drivers, |report| describe(report, output));
    served.and(unloaded)?;
    match machine.bugcheck() {
        Some(report) => stopped(&report),
        None => Ok(()),
    }
}

/// Tells how the machine stopped.
fn stopped(report: &BugcheckReport) -> Result<()> {
    output::note(report);
    bail!("a driver stopped the machine; its report is above")
}

/// Loads, serves, waits. What is in `drivers` afterwards is loaded.
fn serve(
    args: &Args,
    options: LoadOptions,
    machine: &Machine,
    drivers: &mut Vec<String>,
    notices: &Receiver<Notice>,
    output: &mut Output,
) -> Result<()> {
    for path in &args.drivers {
        parameter::set(machine, path, &args.parameters)?;
        drivers.push(load(machine, path, options)?);
    }
    let socket = args.socket.clone().unwrap_or_else(gate::default_socket_path);
    let server = machine.serve(&socket)?;
    announce(&server, drivers, output)?;
    if matches!(notices.recv(), Ok(Notice::Bugcheck)) {
        let told = machine.bugcheck().map_or(Ok(()), |report| stopped(&report));
        output::note(
            "ringbridge: requests fail with ERROR_DEVICE_NOT_CONNECTED from now on, until this host is stopped",
        );
        while matches!(notices.recv(), Ok(Notice::Bugcheck)) {}
        server.stop();
        return told;
    }
    server.stop();
    Ok(())
}

fn announce(server: &Server, drivers: &[String], output: &mut Output) -> Result<()> {
    let (names, path) = (drivers.join(", "), server.path().display());
    output.line(format_args!("ringbridge: serving {names} on {path} (pid {})", process::id()))?;
    output.flush()
}

fn describe(report: &UnloadReport, output: &mut Output) {
    let end = if report.is_clean() { "nothing left behind" } else { "but left something behind" };
    // That nobody reads must not keep the other drivers from being unloaded.
    let _unread = output.line(format_args!("ringbridge: {} unloaded, {end}", report.driver));
    for line in left_behind(report) {
        output::note(line);
    }
}

/// From now on signals are notices; the second one ends the process.
fn stop_on_signals(notices: Sender<Notice>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("signals cannot be awaited")?;
    let wait = move || {
        for (count, _signal) in signals.forever().enumerate() {
            if count > 0 {
                output::note("ringbridge: ended at once; drivers were not unloaded");
                process::exit(1);
            }
            let _ending = notices.send(Notice::Signal);
        }
    };
    thread::Builder::new().name("signals".into()).spawn(wait).context("no thread for signals")?;
    Ok(())
}
