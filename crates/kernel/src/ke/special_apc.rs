//! Special kernel APCs: what the I/O manager finishes in the context of the thread that a request belongs to.
//!
//! They interrupt a thread wherever it is, also while it waits, unless its IRQL is APC_LEVEL or it is in a guarded
//! region. Here the thread that queues one runs it on the other's behalf when nothing holds it up: what these APCs do
//! (copying results to the process, signalling events) needs the thread's process, not its stack. Else it stays queued
//! until its thread lets it in. A thread at DISPATCH_LEVEL that was below APC_LEVEL before does not hold them up: it
//! cannot wait there for what they would bring.
//!
//! Source: kernel, Types of APCs; kernel, Disabling APCs; ddi, KeEnterGuardedRegion.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::waiter::Waiter;
use super::{Dispatcher, Thread};
use crate::raw::Outcome;
use crate::{Kernel, Unwind};

type Routine = Box<dyn FnOnce(&Kernel) -> Outcome<()> + Send>;

/// A thread's special kernel APCs, and what holds them up.
#[derive(Default)]
pub(super) struct SpecialApcs {
    /// Zero or below: how often all APCs are disabled.
    pub(super) disable: AtomicI32,
    /// Whether the thread's IRQL is APC_LEVEL, or was when it was raised further.
    at_apc_level: AtomicBool,
    /// Whether anything may be queued: what the thread looks at when it lets them in.
    pending: AtomicBool,
    queue: Mutex<VecDeque<Routine>>,
}

impl std::fmt::Debug for SpecialApcs {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SpecialApcs")
            .field("disable", &self.disable)
            .field("at_apc_level", &self.at_apc_level)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

/// The thread that APCs are for.
#[derive(Clone, Debug)]
pub struct ApcTarget(Arc<Waiter>);

impl ApcTarget {
    pub(super) fn waiter(&self) -> &Arc<Waiter> {
        &self.0
    }
}

impl SpecialApcs {
    pub(super) fn are_held_up(&self) -> bool {
        self.disable.load(Ordering::SeqCst) != 0 || self.at_apc_level.load(Ordering::SeqCst)
    }

    fn next(&self) -> Option<Routine> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Notes the thread's IRQL, below DISPATCH_LEVEL. True when APCs may have waited for this.
    #[inline]
    pub(super) fn note_irql(&self, irql: u8) -> bool {
        if irql == abi::APC_LEVEL {
            self.at_apc_level.store(true, Ordering::Relaxed);
            return false;
        }
        self.at_apc_level.load(Ordering::Relaxed) && self.leave_apc_level()
    }

    #[cold]
    fn leave_apc_level(&self) -> bool {
        // Before the look at what is pending, as whoever queues looks at this after saying so.
        self.at_apc_level.swap(false, Ordering::SeqCst);
        self.pending.load(Ordering::SeqCst)
    }
}

impl Thread {
    /// What APCs for this thread are addressed to.
    #[must_use]
    pub fn apc_target(&self) -> ApcTarget {
        ApcTarget(self.waiter().clone())
    }

    /// Undoes [`Self::enter_guarded_region`] (`ddi: KeLeaveGuardedRegion`), and runs the APCs that waited for that.
    pub fn leave_guarded_region(&self, kernel: &Kernel) {
        let apcs = &self.waiter().special_apcs;
        let before = apcs.disable.fetch_add(1, Ordering::SeqCst);
        if before == -1 && apcs.pending.load(Ordering::SeqCst) {
            kernel.ke.deliver_special_apcs(kernel, self);
        }
    }
}

/// Stops the machine for what an APC has raised.
pub(super) fn nobody_takes(kernel: &Kernel, record: &abi::EXCEPTION_RECORD) {
    let status = u64::from(record.ExceptionCode.bits());
    let address = record.ExceptionAddress.addr() as u64;
    let information = record.ExceptionInformation;
    let parameters = [status, address, information[0] as u64, information[1] as u64];
    kernel.bug_check(abi::KMODE_EXCEPTION_NOT_HANDLED, parameters);
}

impl Dispatcher {
    /// Has `routine` run in the context of the target's process: now, on the calling thread, or, when the target holds
    /// special APCs up, as soon as it lets them in. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    /// What the routine raises, when it runs now.
    pub fn queue_special_apc(
        &self,
        kernel: &Kernel,
        target: &ApcTarget,
        routine: impl FnOnce(&Kernel) -> Outcome<()> + Send + 'static,
    ) -> Outcome<()> {
        kernel.platform.preemption_point();
        let apcs = &target.0.special_apcs;
        if !apcs.are_held_up() {
            return routine(kernel);
        }
        apcs.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(Box::new(routine));
        apcs.pending.store(true, Ordering::SeqCst);
        // The thread may have let them in before it could see this one.
        if apcs.are_held_up() { Ok(()) } else { self.run_queued(kernel, apcs) }
    }

    /// Runs the APCs that waited for the calling thread, unless something else holds them up. What one of them raises
    /// nobody can take: bugcheck KMODE_EXCEPTION_NOT_HANDLED.
    #[cold]
    pub(super) fn deliver_special_apcs(&self, kernel: &Kernel, thread: &Thread) {
        let apcs = &thread.waiter().special_apcs;
        if apcs.are_held_up() {
            return;
        }
        if let Err(Unwind::Raise(raise)) = self.run_queued(kernel, apcs) {
            nobody_takes(kernel, &raise.record);
        }
    }

    fn run_queued(&self, kernel: &Kernel, apcs: &SpecialApcs) -> Outcome<()> {
        apcs.pending.store(false, Ordering::SeqCst);
        let mut outcome = Ok(());
        while let Some(routine) = apcs.next() {
            // The first that raises is told; none is left out for it.
            outcome = outcome.and(routine(kernel));
        }
        outcome
    }
}
