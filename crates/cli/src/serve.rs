//! `ringbridge serve`: a machine for the applications of other processes.

use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use anyhow::{Context, Result, bail};
use host::{
    Admission, BugcheckReport, Event, LoadOptions, Machine, NewService, Observer, ServeOptions, Server,
    ServiceImage, UnloadReport,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::output::{self, Output};
use crate::parameter::{self, NamedParameter};
use crate::service;
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
  ringbridge serve --service verdict.sys                   known, for an application that loads it itself
  ringbridge serve hello.sys --group plugdev --administrators wheel            for more users than yourself

While it runs, `ringbridge load`, `unload` and `list` change and show which drivers there are. They are for
administrators of the host: root, the user who started it, and the members of the group that --administrators names.
To drivers, these are administrators too (BUILTIN\Administrators), all others standard users.

Applications of other users trust root's hosts; they trust another user's when RINGBRIDGE_HOST_UID is his number.

A bugcheck prints its report on stderr. The host then stays, so that applications learn of it: all their requests fail
with ERROR_DEVICE_NOT_CONNECTED. When it is stopped, its exit status is 1.
A second signal ends the host at once, without unloading.")]
pub(crate) struct Args {
    /// The drivers' files, loaded in this order
    #[arg(value_name = "FILE.sys", required_unless_present = "services")]
    drivers: Vec<PathBuf>,
    /// A driver that is known by its file's name without the ending, and not started: applications start it (FilterLoad,
    /// StartService), or `ringbridge service start`. The file is read at each start (repeatable)
    #[arg(long = "service", value_name = "FILE.sys")]
    services: Vec<PathBuf>,
    /// Where to listen [default: RINGBRIDGE_SOCKET, else ringbridge.sock in XDG_RUNTIME_DIR]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Load drivers although exports that they import are missing; a call of one raises STATUS_NOT_IMPLEMENTED
    #[arg(long)]
    allow_missing: bool,
    /// A Linux group whose members may connect, besides you and root (its name or number)
    #[arg(long, value_name = "GROUP", value_parser = group)]
    group: Option<u32>,
    /// Every user of this Linux may connect
    #[arg(long, conflicts_with = "group")]
    everyone: bool,
    /// A Linux group whose members are administrators of the host. Without --group and --everyone they may connect, too;
    /// with --group, those who are members of both
    #[arg(long, value_name = "GROUP", value_parser = group)]
    administrators: Option<u32>,
    /// A value under the Parameters key of each driver's service: a number is a REG_DWORD, other text a REG_SZ (repeatable)
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter::parse)]
    parameters: Vec<NamedParameter>,
}

impl Args {
    /// Who may connect, and as whom.
    fn options(&self) -> ServeOptions {
        let group = self.group.or(self.administrators);
        let admission = if self.everyone {
            Admission::Everyone
        } else {
            group.map_or(Admission::Owner, Admission::Group)
        };
        ServeOptions { admission, administrators: self.administrators, ..ServeOptions::default() }
    }
}

/// The number of a Linux group, from its name or number.
fn group(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    match gate::group_id(text) {
        Ok(Some(number)) => Ok(number),
        Ok(None) => Err("there is no such group; `getent group` lists them".to_owned()),
        Err(error) => Err(format!("the system's groups cannot be read: {error}")),
    }
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
    let served = serve(args, options, &machine, &notices, output);
    // Whoever loaded them.
    let drivers: Vec<_> = machine.drivers().into_iter().map(|driver| driver.name).collect();
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

/// Loads, serves, waits.
fn serve(
    args: &Args,
    options: LoadOptions,
    machine: &Machine,
    notices: &Receiver<Notice>,
    output: &mut Output,
) -> Result<()> {
    let mut drivers = Vec::new();
    for path in &args.drivers {
        parameter::set(machine, path, &args.parameters)?;
        drivers.push(load(machine, path, options)?);
    }
    for path in &args.services {
        let name = service::name_of(path);
        let options = LoadOptions { allow_missing: args.allow_missing };
        let known = NewService { options, ..NewService::new(&name, ServiceImage::File(path.clone())) };
        machine.add_service(&known).with_context(|| format!("{name} cannot be a service"))?;
        parameter::set(machine, path, &args.parameters)?;
        drivers.push(format!("{name} (not started)"));
    }
    let socket = args.socket.clone().unwrap_or_else(gate::default_socket_path);
    let server = machine.serve_to(&socket, args.options())?;
    announce(&server, &drivers, output)?;
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
