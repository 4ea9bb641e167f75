//! A machine of a screen: its drivers, and all that is seen of its requests and of what its drivers call.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use host::{Event, LoadOptions, Machine, Observer, Process, Server};

use super::across::Room;
use super::route::{From, Route, routes};
use crate::output::{Output, Tone};
use crate::target;
use crate::watch::Recorder;

/// A machine with drivers, watched.
pub(super) struct Stage {
    pub(super) machine: Machine,
    pub(super) events: Arc<Recorder>,
    calls: Arc<Calls>,
}

/// Counts the exports that drivers call.
#[derive(Default)]
struct Calls(Mutex<BTreeMap<&'static str, u64>>);

impl Observer for Calls {
    fn observe(&self, event: &Event) {
        if let Event::Export { name, .. } = event {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        }
    }
}

impl Stage {
    /// A machine without a driver.
    pub(super) fn empty() -> Result<Self> {
        let machine = Machine::new().context("no machine can be started")?;
        let (events, calls) = (Arc::new(Recorder::default()), Arc::new(Calls::default()));
        machine.watch(events.clone());
        machine.watch(calls.clone());
        Ok(Self { machine, events, calls })
    }

    /// A machine with these drivers, loaded in this order.
    pub(super) fn new(folder: &Path, drivers: &[&str]) -> Result<Self> {
        let stage = Self::empty()?;
        for driver in drivers {
            stage.load(folder, driver)?;
        }
        stage.skip();
        Ok(stage)
    }

    /// Loads one more.
    pub(super) fn load(&self, folder: &Path, driver: &str) -> Result<String> {
        target::load(&self.machine, &folder.join(format!("{driver}.sys")), LoadOptions::default())
    }

    pub(super) fn process(&self) -> Process {
        self.machine.process("demo")
    }

    /// Draws the ways of the IRPs since the last time; `end` is what became of their results.
    pub(super) fn draw(&self, end: &str, output: &mut Output) -> Result<()> {
        self.draw_those(From::Here, end, |_| true, output)
    }

    /// Draws those that are wanted, and forgets the others.
    pub(super) fn draw_those(
        &self,
        from: From,
        end: &str,
        wanted: impl Fn(&Route) -> bool,
        output: &mut Output,
    ) -> Result<()> {
        draw(&self.events.take(), from, end, wanted, output)
    }

    /// Says that no IRP was made since the last time, if that is so.
    pub(super) fn draw_nothing(&self, why: &str, output: &mut Output) -> Result<()> {
        let made = routes(&self.events.take()).len();
        if made != 0 {
            bail!("{made} IRPs were made where none should be");
        }
        output.line(format_args!("      no IRP is made: {why}"))
    }

    /// Forgets what was seen.
    pub(super) fn skip(&self) {
        self.events.take();
        self.calls.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Tells which of these exports the drivers have called since the last time, and how often.
    pub(super) fn tell_calls(&self, of: &[&str], output: &mut Output) -> Result<()> {
        let calls = std::mem::take(&mut *self.calls.0.lock().unwrap_or_else(PoisonError::into_inner));
        let told: Vec<_> =
            of.iter().filter_map(|name| calls.get(name).map(|count| format!("{name} {count}"))).collect();
        if !told.is_empty() {
            output.line(format_args!("      the driver called: {}", told.join(", ")))?;
        }
        Ok(())
    }

    /// Tells how much pool a driver holds under each tag.
    pub(super) fn tell_pool(&self, driver: &str, output: &mut Output) -> Result<()> {
        for (_, tag, usage) in self.machine.pool_usage().iter().filter(|(owner, ..)| owner == driver) {
            if usage.blocks > 0 {
                let blocks = if usage.blocks == 1 { "block" } else { "blocks" };
                output.line(format_args!(
                    "      {driver} holds {} bytes of pool in {} {blocks} with tag '{}', {} bytes of them paged",
                    usage.bytes,
                    usage.blocks,
                    host::tag_name(*tag),
                    usage.paged_bytes
                ))?;
            }
        }
        Ok(())
    }

    /// Serves this machine to other processes.
    pub(super) fn serve(&self) -> Result<Served> {
        let room = Room::new()?;
        let server = self.machine.serve(&room.path().join("gate"))?;
        Ok(Served { server, _room: room })
    }
}

/// Draws the wanted ones of the IRPs among these events, behind what the drivers printed meanwhile.
pub(super) fn draw(
    events: &[Event],
    from: From,
    end: &str,
    wanted: impl Fn(&Route) -> bool,
    output: &mut Output,
) -> Result<()> {
    printed(events, output)?;
    for route in routes(events).iter().filter(|route| wanted(route)) {
        let end = if route.has_no_routine() { "it has no routine for that, which is allowed" } else { end };
        for line in route.draw(from, output.unicode(), end) {
            output.line(format_args!("      {}", output.paint(Tone::Quiet, line)))?;
        }
    }
    Ok(())
}

/// What the drivers printed.
pub(super) fn printed(events: &[Event], output: &mut Output) -> Result<()> {
    for event in events {
        if let Event::DebugPrint { text } = event {
            output.line(format_args!("      DbgPrint: {text}"))?;
        }
    }
    Ok(())
}

/// A machine of this process that others can reach.
pub(super) struct Served {
    server: Server,
    _room: Room,
}

impl Served {
    /// Runs `ringbridge` as an application in a process of its own; shows its command line and what it prints.
    /// Returns its process's number.
    pub(super) fn run(&self, arguments: &[&str], output: &mut Output) -> Result<u32> {
        run_at(self.server.path(), arguments, output)
    }
}

/// Runs `ringbridge` in a process of its own, with the host at `socket`; shows its command line and what it prints. Returns
/// its process's number.
pub(super) fn run_at(socket: &Path, arguments: &[&str], output: &mut Output) -> Result<u32> {
    show_command(arguments, output)?;
    // Whatever is buffered must not appear behind what the other process makes us wait for.
    output.flush()?;
    let program = std::env::current_exe().context("this program's file cannot be found")?;
    let mut command = Command::new(program);
    command.args(arguments).arg("--socket").arg(socket);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().context("another process cannot be started")?;
    let pid = child.id();
    let ended = child.wait_with_output().context("the other process has no end")?;
    if !ended.status.success() {
        bail!("the other process failed: {}", String::from_utf8_lossy(&ended.stderr).trim());
    }
    for line in String::from_utf8_lossy(&ended.stdout).lines() {
        output.line(format_args!("      {line}"))?;
    }
    Ok(pid)
}

/// Whether a driver has pended a request.
pub(super) fn is_pended(event: &Event) -> bool {
    matches!(event, Event::IrpReturned { status: abi::STATUS_PENDING, .. })
}

/// A command of `ringbridge`, as somebody would type it.
pub(super) fn show_command(arguments: &[&str], output: &mut Output) -> Result<()> {
    let quoted = arguments.iter().map(|argument| {
        if argument.contains(['\\', ' ']) { format!("'{argument}'") } else { (*argument).to_owned() }
    });
    let text = format!("$ ringbridge {}", quoted.collect::<Vec<_>>().join(" "));
    output.line(format_args!("   {}", output.paint(Tone::Good, text)))
}
