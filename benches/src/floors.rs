//! Bare mechanisms: what nothing built on them can beat.

use crate::measure::nanoseconds;

/// A system call that does nothing: `getppid`.
pub(crate) fn system_call() -> f64 {
    nanoseconds(rustix::process::getppid)
}
