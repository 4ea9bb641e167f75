//! A host in a process of its own, started as people start it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::run::{Ran, command, sys};

/// A running host. Dropping it ends it.
pub(crate) struct Host {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// The line that it said when it was ready.
    pub(crate) ready: String,
}

impl Host {
    /// Starts `ringbridge serve` and waits until it says that it serves.
    pub(crate) fn start(driver: &str, socket: &str) -> Self {
        Self::start_with(driver, socket, &[])
    }

    /// As [`Self::start`], with more options.
    pub(crate) fn start_with(driver: &str, socket: &str, options: &[&str]) -> Self {
        let mut serve = command(["serve", &sys(driver), "--socket", socket]);
        serve.args(options);
        let mut child =
            serve.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ringbridge starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut ready = String::new();
        stdout.read_line(&mut ready).expect("it speaks");
        Self { child, stdout, ready }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn stop(mut self, signal: Signal) -> Ran {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill_process(Pid::from_raw(pid).expect("a pid"), signal).expect("it runs");
        let mut stdout = Vec::new();
        self.stdout.read_to_end(&mut stdout).expect("it speaks");
        let mut stderr = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut stderr).expect("it speaks");
        let code = self.child.wait().expect("it ends").code();
        Ran { code, stdout, stderr }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
