//! Drivers of the system's own that are started when one of their names is opened for the first time, so that machines whose
//! applications do not use them do not pay for them.

use std::fmt;
use std::sync::OnceLock;

use abi::NTSTATUS;
use platform::scheduler::Lock;

use crate::Kernel;
use crate::ob::{Found, eq_ignore_case};

/// How such a driver is started, and what it is asked for by.
pub struct Starter {
    /// NT paths; the names below them too. Compared without regard to case.
    pub names: &'static [&'static str],
    /// Loads the driver. False when it cannot be loaded; called again at the next open then.
    pub start: Box<dyn Fn(&Kernel) -> bool + Send + Sync>,
}

impl fmt::Debug for Starter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Starter").field("names", &self.names).finish_non_exhaustive()
    }
}

/// Those of a machine.
#[derive(Debug)]
pub(super) struct Starters {
    all: OnceLock<Vec<Starter>>,
    /// One start at a time: who comes second finds what the first has made.
    starting: Lock<()>,
}

impl Default for Starters {
    fn default() -> Self {
        Self { all: OnceLock::new(), starting: Lock::new(()) }
    }
}

impl super::IoManager {
    /// Sets the drivers that are started on demand, once.
    pub fn set_starters(&self, starters: Vec<Starter>) {
        let _only_the_first = self.starters.all.set(starters);
    }
}

fn is_below(path: &[u16], name: &str) -> bool {
    let name: Vec<u16> = name.encode_utf16().collect();
    let Some((front, rest)) = path.split_at_checked(name.len()) else { return false };
    eq_ignore_case(front, &name) && rest.first().is_none_or(|unit| *unit == u16::from(b'\\'))
}

/// Finds what a path leads to. Where nothing is, and a driver is to be started for that name, starts it and looks again.
///
/// # Errors
/// As looking up names does.
pub(super) fn find(kernel: &Kernel, path: &[u16]) -> Result<Found, NTSTATUS> {
    let missing = match kernel.ob.find(path, false) {
        Err(status @ (abi::STATUS_OBJECT_NAME_NOT_FOUND | abi::STATUS_OBJECT_PATH_NOT_FOUND)) => status,
        found => return found,
    };
    let starters = kernel.io.starters.all.get();
    let starter =
        starters.into_iter().flatten().find(|starter| starter.names.iter().any(|name| is_below(path, name)));
    let Some(starter) = starter else { return Err(missing) };
    let _one_at_a_time = kernel.io.starters.starting.lock(&*kernel.platform);
    let found = kernel.ob.find(path, false);
    if found.is_ok() || !(starter.start)(kernel) {
        return found;
    }
    kernel.ob.find(path, false)
}
