//! A platform whose application never waits for good: it is the only one there is, so nobody will bring what it waits for.
//! It is ended instead, as a user ends a program that hangs.

use std::cell::Cell;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};

use platform::linux::Linux;
use platform::{Parked, Parker, Platform};

thread_local! {
    static IS_THE_APPLICATION: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body` as the application: when it would wait, whoever receives from [`Impatient::new`]'s channel hears of it.
pub(crate) fn as_the_application<R>(body: impl FnOnce() -> R) -> R {
    IS_THE_APPLICATION.set(true);
    let result = body();
    IS_THE_APPLICATION.set(false);
    result
}

/// Linux, but for the waiting of the application.
pub(crate) struct Impatient {
    linux: Linux,
    waits: Sender<()>,
}

impl Impatient {
    pub(crate) fn new() -> (Self, Receiver<()>) {
        let (waits, waiting) = mpsc::channel();
        (Self { linux: Linux::new(), waits }, waiting)
    }
}

impl Platform for Impatient {
    fn park(&self, parker: &Parker, deadline: Option<u64>) -> Parked {
        if IS_THE_APPLICATION.get() {
            // What has come already is no waiting.
            let now = self.linux.interrupt_time();
            if self.linux.park(parker, Some(now)) == Parked::Unparked {
                return Parked::Unparked;
            }
            // Whoever listens lives as long as the process.
            let _heard = self.waits.send(());
        }
        self.linux.park(parker, deadline)
    }

    fn interrupt_time(&self) -> u64 {
        self.linux.interrupt_time()
    }

    fn system_time(&self) -> u64 {
        self.linux.system_time()
    }

    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        self.linux.spawn(name, body)
    }

    fn unpark(&self, parker: &Parker) {
        self.linux.unpark(parker);
    }

    fn preemption_point(&self) {
        self.linux.preemption_point();
    }

    fn relax(&self, round: u32) {
        self.linux.relax(round);
    }
}
