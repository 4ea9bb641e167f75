//! Rows between two processes: this program, started again as the host.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use app::Device;
use host::{LoadOptions, Machine};

use crate::driver;
use crate::floors;
use crate::in_process::ECHO;
use crate::measure::{batch, beside};
use crate::table::Row;

/// Serves `hello` at `socket` until standard input ends: what the other process does.
pub(crate) fn serve(socket: &Path) -> Result<()> {
    let machine = Machine::new()?;
    machine.load(&driver("hello")?, LoadOptions::default())?;
    let server = machine.serve(socket)?;
    println!("ready");
    std::io::stdin().lines().for_each(drop);
    server.stop();
    Ok(())
}

/// A host in another process; it ends with this.
struct Host(Child);

impl Host {
    fn start(socket: &Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--serve")
            .arg(socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("the host's output is a pipe")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        anyhow::ensure!(line.trim() == "ready", "the host did not start");
        Ok(Self(child))
    }
}

impl Host {
    /// Pins the threads that it has now.
    fn pin(&self, processor: usize) -> Result<()> {
        for task in std::fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            let thread = task?.file_name().to_string_lossy().parse()?;
            floors::pin_thread(rustix::thread::Pid::from_raw(thread), processor);
        }
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // A host that fails to end is of no consequence for what was measured.
        let _ended = self.0.wait();
    }
}

/// P2: the control call of P1, with the application in another process, both sides running.
pub(crate) fn p2() -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("bench.sock");
    let host = Host::start(&socket)?;
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
