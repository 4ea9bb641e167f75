//! Rows between two processes: this program, started again as the host.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use app::Device;
use gate::{ConnectOptions, Spin};
use host::{LoadOptions, Machine, ServeOptions};

use crate::driver;
use crate::floors;
use crate::in_process::ECHO;
use crate::measure::{batch, beside};
use crate::ports;
use crate::table::Row;

/// Serves the drivers `names` at `socket` until standard input ends: what the other process does.
pub(crate) fn serve(socket: &Path, names: &[String], spin: Spin) -> Result<()> {
    let machine = Machine::new()?;
    for name in names {
        machine.load(&driver(name)?, LoadOptions::default())?;
    }
    let server = machine.serve_to(socket, ServeOptions { spin, ..ServeOptions::default() })?;
    println!("ready");
    // Each line is how often to ask.
    for line in std::io::stdin().lines() {
        let (time, asked) = ports::ask(&machine, line?.trim().parse()?);
        println!("{time} {asked}");
    }
    server.stop();
    Ok(())
}

/// A host in another process; it ends with this.
pub(crate) struct Host {
    process: Child,
    output: RefCell<BufReader<ChildStdout>>,
}

impl Host {
    /// Starts one that serves these drivers.
    pub(crate) fn start(socket: &Path, drivers: &[&str], spin: Spin) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--serve").arg(socket).args(drivers);
        if spin == Spin::Never {
            command.arg("--park");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("the host's output is a pipe")?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line)?;
        anyhow::ensure!(line.trim() == "ready", "the host did not start");
        Ok(Self { process: child, output: RefCell::new(output) })
    }

    /// Has `verdict` ask so often; see [`ports::ask`].
    pub(crate) fn ask(&self, times: u32) -> Result<(f64, bool)> {
        writeln!(self.process.stdin.as_ref().context("its input is a pipe")?, "{times}")?;
        let mut line = String::new();
        self.output.borrow_mut().read_line(&mut line)?;
        let (time, asked) = line.trim().split_once(' ').context("two words")?;
        Ok((time.parse()?, asked.parse()?))
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Host {
    /// Pins the threads that it has now.
    pub(crate) fn pin(&self, processor: usize) -> Result<()> {
        for task in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let thread = task?.file_name().to_string_lossy().parse()?;
            floors::pin_thread(rustix::thread::Pid::from_raw(thread), processor);
        }
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // A host that fails to end is of no consequence for what was measured.
        let _ended = self.process.wait();
    }
}

/// P2: the control call of P1, with the application in another process, both sides running.
pub(crate) fn p2() -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("bench.sock");
    let host = Host::start(&socket, &["hello"], Spin::Adaptive)?;
    let client = gate::Client::connect(&socket)?;
    let device = Device::open(&client, r"\\.\My_Device")?;
    let input = [0x55_u8; 64];
    let mut output = [0_u8; 64];
    device.control(ECHO, &input, &mut output)?;
    // Both sides can run only on processors of their own, as in the floor. The host has the call's thread by now.
    floors::pin(0);
    host.pin(1)?;
    let [floor, value, small] = beside([
        floors::cache_line_ping_pong(),
        batch(|| device.control(ECHO, &input, &mut output)),
        batch(|| device.control(ECHO, &[], &mut [])),
    ]);
    let beside = "cache-line ping-pong";
    Ok(vec![
        Row::new("P2", "P1's call, application in another process", value, "ns", beside, floor).at_most(2.3),
        Row::new("P2", "the same without data", small, "ns", beside, floor),
    ])
}

/// P3: the same call while both sides sleep between requests, on one processor and on two.
pub(crate) fn p3() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (work, floor_name, processors) in [
        ("P2's call, both sides parked, one processor", "futex ping-pong, one", [0, 0]),
        ("the same across two processors", "futex ping-pong, two", [0, 1]),
    ] {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("bench.sock");
        let host = Host::start(&socket, &["hello"], Spin::Never)?;
        let client = gate::Client::connect_with(
            &socket,
            ConnectOptions { spin: Spin::Never, ..ConnectOptions::default() },
        )?;
        let device = Device::open(&client, r"\\.\My_Device")?;
        let input = [0x55_u8; 64];
        let mut output = [0_u8; 64];
        device.control(ECHO, &input, &mut output)?;
        floors::pin(processors[0]);
        host.pin(processors[1])?;
        let [floor, value] = beside([
            floors::futex_ping_pong(processors),
            batch(|| device.control(ECHO, &input, &mut output)),
        ]);
        rows.push(Row::new("P3", work, value, "ns", floor_name, floor).at_most(1.15));
    }
    Ok(rows)
}

/// P13: the resident memory of a host with one driver, and what each further application adds to it.
pub(crate) fn p13() -> Result<Vec<Row>> {
    const APPLICATIONS: usize = 16;
    const MIB: f64 = 1024.0;
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("bench.sock");
    let host = Host::start(&socket, &["hello"], Spin::Adaptive)?;
    let idle = resident(host.id())?;
    let mut output = [0_u8; 64];
    let mut clients = Vec::new();
    let mut first = idle;
    for number in 0..=APPLICATIONS {
        let client = gate::Client::connect(&socket)?;
        Device::open(&client, r"\\.\My_Device")?.control(ECHO, &[1; 64], &mut output)?;
        clients.push(client);
        if number == 0 {
            first = resident(host.id())?;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let each = (resident(host.id())? - first) / APPLICATIONS as f64;
    // What a process of this language has that does nothing: this one, before it measured anything, is no measure.
    let floor = resident_of_nothing()?;
    let beside = "an idle process";
    Ok(vec![
        Row::new("P13", "resident memory, idle host, one driver", idle / MIB, "MiB", beside, floor / MIB)
            .at_most_value(8.0),
        Row::new("P13", "each further application, in the host", each, "KiB", beside, floor)
            .at_most_value(128.0),
    ])
}

/// Resident memory of a process, in KiB.
pub(crate) fn resident(process: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("it has a size")?;
    line.trim().trim_end_matches("kB").trim().parse().context("a number")
}

/// That of `sleep`, a program that does nothing.
fn resident_of_nothing() -> Result<f64> {
    let mut sleep = Command::new("sleep").arg("60").spawn()?;
    std::thread::sleep(std::time::Duration::from_millis(100));
    let size = resident(sleep.id());
    let _ended = sleep.kill();
    let _ended = sleep.wait();
    size
}
