//! The second part: the host in a process of its own, started, used and stopped.

use std::fs::{self, DirBuilder};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use app::Device;
use gate::Client;
use rustix::process::{Pid, Signal, kill_process};

use super::stage::{run_at, show_command};
use super::{DEVICE, ECHO, call, dump};
use crate::output::{Output, Tone};
use crate::transfer::front;

/// The host in a process of its own: what is loaded, one more and one less while it runs, and an application of it here.
pub(super) fn show(folder: &Path, output: &mut Output) -> Result<()> {
    let room = Room::new()?;
    let socket = room.path().join("gate");
    let path = folder.join("hello.sys");
    show_command(&["serve", &path.display().to_string()], output)?;
    // Whatever is buffered must not appear behind what the other process makes us wait for.
    output.flush()?;
    let (host, ready) = Host::start(&[&path], &socket)?;
    output.line(format_args!("      {ready}"))?;
    let pipe = folder.join("pipe.sys").display().to_string();
    for arguments in [&["list"][..], &["load", &pipe], &["list"], &["unload", "pipe"]] {
        run_at(&socket, arguments, output)?;
    }
    talk(&socket, output)?;
    stop(host, output)
}

fn talk(socket: &Path, output: &mut Output) -> Result<()> {
    let client = Client::connect(socket)?;
    let device = Device::open(&client, DEVICE)?;
    let handle = device.handle().0;
    output
        .line(format_args!("   This process is pid {}. Its requests cross shared memory:", process::id()))?;
    call(output, &format!("CreateFile({DEVICE})"), format_args!("handle {handle:#x}"))?;
    let mut buffer = [0; 10];
    let bytes = device.read(&mut buffer)?;
    call(output, "ReadFile(10 bytes)", format_args!("{bytes} bytes"))?;
    dump(output, front(&buffer, bytes))?;
    let mut answer = [0; 64];
    let bytes = device.control(ECHO, b"from another process", &mut answer)?;
    call(
        output,
        &format!("DeviceIoControl({ECHO:?}, \"from another process\")"),
        format_args!("{bytes} bytes"),
    )?;
    dump(output, front(&answer, bytes))?;
    device.close()?;
    call(output, "CloseHandle", "closed")
}

pub(super) fn stop(host: Host, output: &mut Output) -> Result<()> {
    output.line(format_args!(
        "   {}",
        output.paint(Tone::Good, format_args!("$ kill -TERM {}", host.child.id()))
    ))?;
    let (status, said) = host.stop()?;
    said.lines().try_for_each(|line| output.line(format_args!("      {line}")))?;
    if !status.success() {
        bail!("the host ended with {status}");
    }
    output.line("   The host ended with exit status 0.")
}

/// A running host. Dropping it ends it.
pub(super) struct Host {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Host {
    /// Starts a host and waits for the line that says it is ready.
    pub(super) fn start(drivers: &[&Path], socket: &Path) -> Result<(Self, String)> {
        let program = std::env::current_exe().context("this program's file cannot be found")?;
        let mut command = Command::new(program);
        command.arg("serve").args(drivers).arg("--socket").arg(socket);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("a second process cannot be started")?;
        let stdout = child.stdout.take().context("the second process has no output")?;
        let mut host = Self { child, stdout: BufReader::new(stdout) };
        let mut ready = String::new();
        host.stdout.read_line(&mut ready).context("the host's output cannot be read")?;
        if !ready.contains("serving") {
            bail!("the host did not start: {}", host.complaints().trim());
        }
        Ok((host, ready.trim_end().to_owned()))
    }

    /// What it said on stderr, once it has ended.
    fn complaints(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            // What can be read is told; the failure itself is reported elsewhere.
            let _partial = stderr.read_to_string(&mut text);
        }
        text
    }

    /// Stops it by SIGTERM; its exit status, and what it said then.
    fn stop(mut self) -> Result<(process::ExitStatus, String)> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("the host has no pid")?, Signal::TERM)
            .context("the host cannot be stopped")?;
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).context("the host's output cannot be read")?;
        let status = self.child.wait().context("the host's end cannot be awaited")?;
        Ok((status, said))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Both fail only when it has ended, which is what is wanted.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// A folder that only this user can look into, for the socket. Dropping it removes it.
pub(super) struct Room(PathBuf);

impl Room {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("ringbridge-demo-{}", process::id()));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // A folder left in /tmp is no reason to fail.
        let _left = fs::remove_dir_all(&self.0);
    }
}
