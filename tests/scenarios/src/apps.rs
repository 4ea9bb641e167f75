//! `apps.sys`, which counts what several applications do at once: its codes and its counters, as `tests/drivers/cases.h`
//! describes them.

use std::time::Instant;

use app::{ControlCode, Device};
use gate::Transport;

use crate::{PATIENCE, case_code, open, words};

/// The device's path.
pub const APPS: &str = r"\\.\RbApps";

/// Answers how many dispatch routines sleep.
pub fn apps_nothing() -> ControlCode {
    case_code(0)
}

/// Pends until it is cancelled.
pub fn apps_pend() -> ControlCode {
    case_code(2)
}

/// Sleeps in the dispatch routine, as many milliseconds as its input says.
pub fn apps_sleep() -> ControlCode {
    case_code(3)
}

/// KeBugCheckEx.
pub fn apps_stop() -> ControlCode {
    case_code(4)
}

/// Follows the pointer that is embedded in its input; METHOD_NEITHER.
pub fn apps_follow() -> ControlCode {
    ControlCode(case_code(5).0 | abi::METHOD_NEITHER)
}

/// The input of [`apps_follow`]: where, how much, and whether by a lock instead of a probe.
#[must_use]
pub fn apps_pointer(address: u64, length: u64, by_lock: bool) -> Vec<u8> {
    words(&[address, length, by_lock.into()])
}

/// The driver's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppsCounts {
    /// CREATEs that succeeded.
    pub creates: u64,
    /// CLEANUPs.
    pub cleanups: u64,
    /// CLOSEs.
    pub closes: u64,
    /// Requests that wait now.
    pub pending: u64,
    /// Requests that were cancelled so far.
    pub cancelled: u64,
    /// CLEANUP or CLOSE twice, in the wrong order, or CLOSE with requests left.
    pub wrong: u64,
    /// Dispatch routines that sleep now.
    pub sleeping: u64,
}

/// Somebody who watches the driver's counters, with one handle open.
#[derive(Debug)]
pub struct AppsWitness<'a>(Device<'a>);

impl<'a> AppsWitness<'a> {
    /// Opens the device.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub fn new(transport: &'a dyn Transport) -> Self {
        Self(open(transport, APPS))
    }

    /// The counters now.
    ///
    /// # Panics
    /// When the driver does not answer.
    #[must_use]
    pub fn counts(&self) -> AppsCounts {
        let mut bytes = [0; 64];
        assert_eq!(self.0.control(case_code(1), &[], &mut bytes).expect("answers"), 64);
        let word =
            |index: usize| u64::from_le_bytes(bytes[index * 8..][..8].try_into().expect("eight bytes"));
        let [creates, cleanups, closes, pending, cancelled, wrong, sleeping] = std::array::from_fn(word);
        AppsCounts { creates, cleanups, closes, pending, cancelled, wrong, sleeping }
    }

    /// Waits until the counters are as they must become.
    ///
    /// # Panics
    /// When they do not.
    pub fn wait_until(&self, what: &str, wanted: impl Fn(&AppsCounts) -> bool) -> AppsCounts {
        let start = Instant::now();
        loop {
            let counts = self.counts();
            if wanted(&counts) {
                return counts;
            }
            assert!(start.elapsed() < PATIENCE, "{what}: it did not happen: {counts:?}");
            std::thread::yield_now();
        }
    }

    /// Waits until nothing of any application is left but this witness's own handle. Each file that was opened has had
    /// CLEANUP and CLOSE once.
    ///
    /// # Panics
    /// When something stays.
    pub fn wait_until_alone(&self) -> AppsCounts {
        let counts = self.wait_until("all files closed", |counts| {
            counts.closes + 1 == counts.creates && counts.pending == 0 && counts.sleeping == 0
        });
        assert_eq!((counts.cleanups, counts.wrong), (counts.closes, 0), "{counts:?}");
        counts
    }
}
