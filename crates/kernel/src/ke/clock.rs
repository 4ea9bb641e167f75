//! The clock: lets the times in the copy of KUSER_SHARED_DATA go on, once driver code reads them without asking.
//!
//! NT's clock interrupt does that. Here nobody needs it until a load from that page is patched (decision 16), so it is
//! started then, one thread a machine; it ends when the machine stops or is dropped.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};

use platform::{Parker, Platform};

use super::Dispatcher;
use crate::Kernel;

/// 100 ns units between two updates: the shortest interval that NT's clock can be set to (`ddi: ExSetTimerResolution`).
const PERIOD: u64 = 10_000;

#[derive(Debug, Default)]
pub(super) struct Clock {
    running: AtomicBool,
}

impl Dispatcher {
    /// Starts the clock unless it runs. False when it cannot run: where time is virtual, or Linux has no thread for it.
    pub fn start_clock(&self, kernel: &Kernel) -> bool {
        if !kernel.platform.time_passes_by_itself() {
            return false;
        }
        let Some(machine) = kernel.arc() else { return false };
        if self.clock.running.swap(true, Ordering::AcqRel) {
            return true;
        }
        let (weak, platform) = (std::sync::Arc::downgrade(&machine), kernel.platform.clone());
        let started = kernel.platform.spawn("nt-clock", Box::new(move || run(&weak, &*platform))).is_ok();
        if !started {
            self.clock.running.store(false, Ordering::Release);
        }
        started
    }

    /// After a time has been read for a driver: what it reads from the page later must not be earlier.
    pub(super) fn tick(&self, kernel: &Kernel) {
        if self.clock.running.load(Ordering::Relaxed) {
            let _address = kernel.mm.shared_user_data(&*kernel.platform);
        }
    }
}

fn run(weak: &Weak<Kernel>, platform: &dyn Platform) {
    let parker = Parker::new();
    loop {
        platform.park(&parker, Some(platform.interrupt_time() + PERIOD));
        let Some(kernel) = weak.upgrade() else { return };
        if kernel.is_halted() {
            return;
        }
        let _address = kernel.mm.shared_user_data(platform);
    }
}
