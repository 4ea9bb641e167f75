//! `Dispatcher`: the machine's lists of waiters and timers, its processors, and what stops them.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clock::Clock;
use super::dpc::DpcQueue;
use super::dpc_watchdog::Limits;
use super::idle::Idle;
use super::processors::{MAXIMUM_PROCESSORS, Processors};
use super::timer::TimerQueue;
use super::wait_list::{WaitLists, Wakes};
use super::waiter::Waiter;
use crate::Kernel;

/// The dispatcher of a machine.
#[derive(Debug)]
pub struct Dispatcher {
    pub(super) processors: Processors,
    /// By processor number.
    pub(super) dpcs: Box<[DpcQueue]>,
    pub(super) dpc_limits: Limits,
    pub(super) idle: Idle,
    pub(super) clock: Clock,
    /// Timers are out of the queue whose DPCs are yet to be queued. Set under the dispatcher's lock.
    pub(super) expiring: AtomicBool,
    state: Mutex<State>,
}

/// What the dispatcher's lock guards.
#[derive(Debug)]
pub(super) struct State {
    pub(super) waits: WaitLists,
    pub(super) timers: TimerQueue,
    /// Which threads belong to the `KQUEUE` at an address.
    pub(super) queues: HashMap<u64, Vec<Arc<Waiter>>>,
}

impl Dispatcher {
    /// A dispatcher with `processors` virtual processors, at least one and at most [`MAXIMUM_PROCESSORS`].
    pub(crate) fn new(processors: u32) -> Self {
        let processors = processors.clamp(1, MAXIMUM_PROCESSORS);
        Self {
            processors: Processors::new(processors),
            dpcs: (0..processors).map(|_| DpcQueue::default()).collect(),
            dpc_limits: Limits::default(),
            idle: Idle::default(),
            clock: Clock::default(),
            expiring: AtomicBool::new(false),
            state: Mutex::new(State {
                waits: WaitLists::new(),
                timers: TimerQueue::default(),
                queues: HashMap::new(),
            }),
        }
    }

    /// Virtual processors of the machine.
    #[must_use]
    pub fn processors(&self) -> u32 {
        self.processors.count()
    }

    /// The dispatcher's lock. Held for short sections that do not block, call the platform or call driver code.
    pub(super) fn lock(&self, kernel: &Kernel) -> MutexGuard<'_, State> {
        kernel.platform.preemption_point();
        self.lock_quietly()
    }

    pub(super) fn lock_quietly(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes every waiting thread, for a machine that has stopped: their waits end with `Unwind::Halt`.
    pub fn wake_all(&self, kernel: &Kernel) {
        let mut wakes = Wakes::default();
        for waiter in self.lock_quietly().waits.all() {
            wakes.push(waiter.clone());
        }
        wakes.wake(kernel);
        self.processors.wake_all(kernel);
        self.idle.wake();
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.idle.stop();
    }
}
