//! One application part in both places: embedded, and in a process of its own.

use std::path::Path;

use app::Transport;
use host::{Machine, Server};

use crate::{application, machine_with, run_application, unload_when_closed};

/// Runs `body` with a machine that has the driver `name`, which must end as it began: nothing stopped, left or mapped.
///
/// # Panics
/// When it does not.
pub fn with_driver(name: &str, body: impl FnOnce(&Machine)) {
    let machine = machine_with(name);
    body(&machine);
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    unload_when_closed(&machine, name);
    assert!(machine.user_mappings().is_empty());
    assert_eq!(machine.section_usage(), host::SectionUsage::default());
    assert_eq!(machine.port_usage(), host::PortUsage::default());
}

/// Serves a machine, at a socket that goes with the folder.
///
/// # Panics
/// When it cannot be served.
#[must_use]
pub fn serve(machine: &Machine) -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = machine.serve(Path::new(&folder.path().join("ringbridge.sock"))).expect("serves");
    (folder, server)
}

/// Runs `body` as an embedded application of the driver `name`.
///
/// # Panics
/// As for [`with_driver`].
pub fn embedded(name: &str, body: impl FnOnce(&dyn Transport)) {
    with_driver(name, |machine| body(&machine.process("application")));
}

/// Runs the test `test` of the calling file, which uses [`as_application`], as an application of the driver `name` in another process.
///
/// # Panics
/// As for [`with_driver`].
pub fn in_another_process(name: &str, test: &str) {
    with_driver(name, |machine| {
        let (_folder, server) = serve(machine);
        run_application(test, server.path());
        server.stop();
    });
}

/// Runs `body` in the process that plays the application, and nothing in the test run itself.
///
/// # Panics
/// When the host cannot be reached.
pub fn as_application(body: impl FnOnce(&dyn Transport)) {
    if let Some(client) = application() {
        body(&client);
    }
}
