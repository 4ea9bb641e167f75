//! A test's binary, started again as an application in a process of its own.

use std::path::Path;
use std::process::Command;

/// Set in the environment of the process that plays the application.
const SOCKET: &str = "RINGBRIDGE_SCENARIO_SOCKET";

/// Runs the test `name` of this binary as an application of the host at `socket`.
///
/// # Panics
/// When it fails.
pub fn run_application(name: &str, socket: &Path) {
    let output = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", name, "--nocapture"])
        .env(SOCKET, socket)
        .output()
        .expect("starts");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the application failed:\n{text}");
    assert!(text.contains("1 passed"), "the application did not run:\n{text}");
}

/// The client of the process that plays the application; `None` in the test run itself.
///
/// # Panics
/// When the host cannot be reached.
#[must_use]
pub fn application() -> Option<gate::Client> {
    let socket = std::env::var_os(SOCKET)?;
    Some(gate::Client::connect(socket).expect("connects"))
}
