//! The idle thread: runs what no other thread is there to run, timers that come due and DPCs of processors that nobody
//! owns. One a machine, started when first needed; it ends when the machine stops or is dropped.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use abi::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use platform::{Parker, Platform};

use super::Thread;
use crate::kernel::Nt;
use crate::mm::Stack;
use crate::raw::{self, Outcome};
use crate::{Kernel, Unwind};

/// As NT's idle threads are named: thread 0 of process 0.
const IDENTIFIER: u32 = 0;

#[derive(Default)]
pub(super) struct Idle {
    home: OnceLock<Home>,
}

/// Set when the thread is first needed.
struct Home {
    kernel: Weak<Kernel>,
    platform: Arc<dyn Platform>,
    service: Arc<Service>,
}

/// What the thread shares with the dispatcher. It outlives the machine.
struct Service {
    parker: Parker,
    started: AtomicBool,
    stopped: AtomicBool,
    /// When the next timer is due, in interrupt time; changed under the dispatcher's lock.
    deadline: AtomicU64,
}

/// The thread's part in the machine.
struct IdleThread {
    thread: Thread,
    stack: Stack,
}

impl fmt::Debug for Idle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Idle").finish_non_exhaustive()
    }
}

impl Idle {
    /// Starts the thread unless it runs.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`; `Unwind::Halt` for a machine on its way out.
    pub(super) fn ensure_started(&self, kernel: &Kernel) -> Outcome<()> {
        let home = match self.home.get() {
            Some(home) => home,
            None => {
                let own = Home::new(&kernel.arc().ok_or(Unwind::Halt)?);
                self.home.get_or_init(|| own)
            }
        };
        if home.service.started.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let started = IdleThread::new(kernel).and_then(|idle| {
            let (weak, platform, service) =
                (home.kernel.clone(), home.platform.clone(), home.service.clone());
            home.platform.spawn("nt-idle", Box::new(move || run(&weak, &*platform, &service, &idle))).ok()
        });
        if started.is_none() {
            home.service.started.store(false, Ordering::Release);
        }
        started.ok_or_else(|| Unwind::status(abi::STATUS_INSUFFICIENT_RESOURCES))
    }

    /// Sets when the thread wakes by itself; true when that is earlier than before. Under the dispatcher's lock.
    pub(super) fn set_deadline(&self, deadline: u64) -> bool {
        self.home.get().is_some_and(|home| deadline < home.service.deadline.swap(deadline, Ordering::AcqRel))
    }

    /// Has the thread look for work, starting it if need be. Not under the dispatcher's lock.
    pub(super) fn kick(&self, kernel: &Kernel) {
        if self.ensure_started(kernel).is_ok() {
            self.wake();
        }
    }

    /// Has the thread, if it runs, look at the machine.
    pub(super) fn wake(&self) {
        if let Some(home) = self.home.get() {
            home.platform.unpark(&home.service.parker);
        }
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        if let Some(home) = self.home.get() {
            home.service.stopped.store(true, Ordering::Release);
            self.wake();
        }
    }
}

impl Home {
    fn new(kernel: &Arc<Kernel>) -> Self {
        let service = Arc::new(Service {
            parker: Parker::new(),
            started: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            deadline: AtomicU64::new(u64::MAX),
        });
        Self { kernel: Arc::downgrade(kernel), platform: kernel.platform.clone(), service }
    }
}

impl IdleThread {
    fn new(kernel: &Kernel) -> Option<Self> {
        let stack = Stack::new(&kernel.mm.space).ok()?;
        let thread = Thread::new(kernel, IDENTIFIER, IDENTIFIER, stack.bounds(), true).ok()?;
        Some(Self { thread, stack })
    }
}

fn run(weak: &Weak<Kernel>, platform: &dyn Platform, service: &Service, idle: &IdleThread) {
    while !service.stopped.load(Ordering::Acquire) {
        platform.park(&service.parker, Some(service.deadline.load(Ordering::Acquire)));
        let Some(kernel) = weak.upgrade() else { return };
        if kernel.is_halted() || serve(&kernel, service, idle).is_err() {
            return;
        }
    }
}

fn serve(kernel: &Kernel, service: &Service, idle: &IdleThread) -> std::io::Result<()> {
    let thread = &idle.thread;
    let _inside = raw::enter::<Nt>(kernel, thread, thread.object, idle.stack.bounds())?;
    let ke = &kernel.ke;
    if service.deadline.load(Ordering::Acquire) <= kernel.platform.interrupt_time() {
        ke.raise_irql(kernel, DISPATCH_LEVEL);
        ke.expire_timers(kernel);
        ke.lower_irql(kernel, PASSIVE_LEVEL);
    }
    for number in 0..ke.processors() {
        if !ke.dpcs[number as usize].is_empty() {
            ke.serve_processor(kernel, thread, number);
        }
    }
    Ok(())
}
