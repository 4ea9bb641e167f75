//! Scenarios: drivers and applications together. Each sample's scenario runs with the driver compiled into the process
//! and as a `.sys` file, with the same assertions.
#![forbid(unsafe_code)]

mod application;
mod apps;
mod cases;
mod pattern;
mod places;
mod watch;

use std::path::PathBuf;

use host::{LoadOptions, Machine};

pub use application::{
    Beside, PublicFolder, application, application_socket, run_application, run_application_with, say_ready,
    say_ready_with, wait_to_go_on,
};
pub use apps::{
    APPS, AppsCounts, AppsWitness, apps_follow, apps_nothing, apps_pend, apps_pointer, apps_sleep, apps_stop,
};
pub use cases::{CaseResult, case_code, failure, machine_with, open, open_asynchronous, run_case, words};
pub use pattern::{checksum, pattern};
pub use places::{as_application, embedded, in_another_process, serve, with_driver};
pub use watch::{PATIENCE, Watch, is_pended, unload_cleanly, unload_when_closed};

/// How a driver is brought into the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Compiled into the process.
    Native,
    /// A `.sys` file.
    Sys,
}

/// A driver that exists in both forms.
#[derive(Clone, Copy)]
pub struct SampleDriver {
    /// Service name and base name of its file.
    pub name: &'static str,
    /// Its compiled-in entry.
    pub entry: abi::DRIVER_INITIALIZE,
}

/// The sample `boost`.
pub const BOOST: SampleDriver = SampleDriver { name: "boost", entry: sample_boost::DRIVER_ENTRY };

/// The sample `hello`.
pub const HELLO: SampleDriver = SampleDriver { name: "hello", entry: sample_hello::DRIVER_ENTRY };

/// The sample `pipe`.
pub const PIPE: SampleDriver = SampleDriver { name: "pipe", entry: sample_pipe::DRIVER_ENTRY };

/// The sample `buffers`.
pub const BUFFERS: SampleDriver = SampleDriver { name: "buffers", entry: sample_buffers::DRIVER_ENTRY };

/// The sample `consult`.
pub const CONSULT: SampleDriver = SampleDriver { name: "consult", entry: sample_consult::DRIVER_ENTRY };

/// The sample `tap`, which attaches to the device of `hello`.
pub const TAP: SampleDriver = SampleDriver { name: "tap", entry: sample_tap::DRIVER_ENTRY };

/// The sample `delay`.
pub const DELAY: SampleDriver = SampleDriver { name: "delay", entry: sample_delay::DRIVER_ENTRY };

/// The sample `lifecycle`, of Plug and Play devices.
pub const LIFECYCLE: SampleDriver = SampleDriver { name: "lifecycle", entry: sample_lifecycle::DRIVER_ENTRY };

/// The sample `mapping`.
pub const MAPPING: SampleDriver = SampleDriver { name: "mapping", entry: sample_mapping::DRIVER_ENTRY };

/// The sample `namedpipe`.
pub const NAMEDPIPE: SampleDriver = SampleDriver { name: "namedpipe", entry: sample_namedpipe::DRIVER_ENTRY };

/// The sample `notify`.
pub const NOTIFY: SampleDriver = SampleDriver { name: "notify", entry: sample_notify::DRIVER_ENTRY };

/// The sample `shelf`.
pub const SHELF: SampleDriver = SampleDriver { name: "shelf", entry: sample_shelf::DRIVER_ENTRY };

/// The sample `stream`.
pub const STREAM: SampleDriver = SampleDriver { name: "stream", entry: sample_stream::DRIVER_ENTRY };

/// The sample `steward`.
pub const STEWARD: SampleDriver = SampleDriver { name: "steward", entry: sample_steward::DRIVER_ENTRY };

/// The sample `vault`.
pub const VAULT: SampleDriver = SampleDriver { name: "vault", entry: sample_vault::DRIVER_ENTRY };

/// The sample `verdict`.
pub const VERDICT: SampleDriver = SampleDriver { name: "verdict", entry: sample_verdict::DRIVER_ENTRY };

/// The test driver `dash`, which answers without IRPs.
pub const DASH: SampleDriver = SampleDriver { name: "dash", entry: test_dash::DRIVER_ENTRY };

/// The test driver `memory`, for memory of every kind.
pub const MEMORY: SampleDriver = SampleDriver { name: "memory", entry: test_memory::DRIVER_ENTRY };

/// The test driver `tower`, of Plug and Play devices.
pub const TOWER: SampleDriver = SampleDriver { name: "tower", entry: test_tower::DRIVER_ENTRY };

/// The test driver `waits`, for several objects at once.
pub const WAITS: SampleDriver = SampleDriver { name: "waits", entry: test_waits::DRIVER_ENTRY };

/// The test driver `spindle`, with a StartIo routine.
pub const SPINDLE: SampleDriver = SampleDriver { name: "spindle", entry: test_spindle::DRIVER_ENTRY };

/// The test driver `stripes`, with requests in parts.
pub const STRIPES: SampleDriver = SampleDriver { name: "stripes", entry: test_stripes::DRIVER_ENTRY };

/// Where the built file of a driver is.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn sys_path(name: &str) -> PathBuf {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/sys"));
    let folder = std::env::var_os("RINGBRIDGE_SYS_DIR").map_or_else(default, PathBuf::from);
    let path = folder.join(format!("{name}.sys"));
    assert!(path.exists(), "{} is missing: build it with `cargo xtask sys`", path.display());
    path
}

impl SampleDriver {
    /// Loads it into `machine`.
    ///
    /// # Panics
    /// When it cannot be loaded.
    pub fn load(&self, machine: &Machine, form: Form) {
        match form {
            Form::Native => machine.load_native(self.name, self.entry).expect("the driver loads natively"),
            Form::Sys => {
                machine.load(&sys_path(self.name), LoadOptions::default()).expect("the .sys file loads");
            }
        }
    }

    /// A machine with this driver.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn machine(&self, form: Form) -> Machine {
        let machine = Machine::new().expect("a machine");
        self.load(&machine, form);
        machine
    }
}

/// Makes two tests of one body: `native` and `sys`.
#[macro_export]
macro_rules! scenario {
    ($(#[$attribute:meta])* fn $name:ident($form:ident: Form) $body:block) => {
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports, reason = "what scenarios of a file have in common")]
            use super::*;

            fn run($form: $crate::Form) $body

            #[test]
            fn native() {
                run($crate::Form::Native);
            }

            #[test]
            fn sys() {
                run($crate::Form::Sys);
            }
        }
    };
}
