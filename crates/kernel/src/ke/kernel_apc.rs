//! Normal kernel APCs: routines of drivers that interrupt a thread at PASSIVE_LEVEL.
//!
//! They run on their thread alone, when nothing holds them up: a critical or guarded region, APC_LEVEL or above, another of
//! them. A wait is interrupted for them, alertable or not, and goes on behind them. A thread that neither waits nor leaves
//! such a region runs them the next time that it does; NT would interrupt it at once. Special kernel APCs, which run on
//! whichever thread queues them, are `special_apc`'s.
//!
//! Source: kernel, Types of APCs; Waits and APCs; Disabling APCs.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::wait_list::{Wakes, finish};
use super::waiter::Waiter;
use super::{ApcTarget, Dispatcher, Thread};
use crate::raw::Outcome;
use crate::{Kernel, Unwind};

/// A routine of a driver, to be called in a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelApc {
    /// The routine's address.
    pub routine: u64,
    /// Its three arguments.
    pub arguments: [u64; 3],
}

/// A thread's normal kernel APCs.
#[derive(Debug, Default)]
pub(super) struct KernelApcs {
    /// Whether anything may be queued: what the thread looks at.
    pending: AtomicBool,
    /// Whether the thread is in one of them: they do not interrupt each other.
    running: AtomicBool,
    queue: Mutex<VecDeque<KernelApc>>,
}

impl KernelApcs {
    /// Whether some may be queued.
    #[inline]
    pub(super) fn are_pending(&self) -> bool {
        self.pending.load(Ordering::SeqCst)
    }

    fn next(&self) -> Option<KernelApc> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl Waiter {
    /// Whether a normal kernel APC is queued that nothing but the IRQL can hold up.
    pub(super) fn has_kernel_apc(&self) -> bool {
        self.kernel_apcs.are_pending()
            && !self.kernel_apcs.running.load(Ordering::SeqCst)
            && !self.holds_kernel_apcs_up()
    }

    fn holds_kernel_apcs_up(&self) -> bool {
        self.kernel_apc_disable.load(Ordering::SeqCst) != 0 || self.special_apcs.are_held_up()
    }
}

impl Dispatcher {
    /// Queues a normal kernel APC, and interrupts the thread's wait for it unless something holds it up. IRQL <=
    /// DISPATCH_LEVEL. A thread that has ended runs it never.
    pub fn queue_kernel_apc(&self, kernel: &Kernel, target: &ApcTarget, apc: KernelApc) {
        let waiter = target.waiter();
        waiter.kernel_apcs.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(apc);
        // Before the look at the wait, as the thread looks at this under the lock before it begins one.
        waiter.kernel_apcs.pending.store(true, Ordering::SeqCst);
        let mut wakes = Wakes::default();
        let mut state = self.lock(kernel);
        if !waiter.state().blocks.is_empty() && waiter.has_kernel_apc() {
            finish(&mut state.waits, waiter, abi::STATUS_KERNEL_APC, &mut wakes);
        }
        drop(state);
        wakes.wake(kernel);
    }

    /// Runs the normal kernel APCs of the calling thread, unless something holds them up.
    ///
    /// # Errors
    /// `Unwind::Halt`, also for what one of them raises and nobody can take (bugcheck KMODE_EXCEPTION_NOT_HANDLED); the
    /// thread's end, if one of them asks for it.
    #[inline]
    pub fn deliver_kernel_apcs(&self, kernel: &Kernel, thread: &Thread) -> Outcome<()> {
        if thread.waiter().kernel_apcs.are_pending() {
            self.run_kernel_apcs(kernel, thread.waiter())
        } else {
            Ok(())
        }
    }

    #[cold]
    fn run_kernel_apcs(&self, kernel: &Kernel, waiter: &Waiter) -> Outcome<()> {
        let apcs = &waiter.kernel_apcs;
        let mut outcome = Ok(());
        while outcome.is_ok() && self.current_irql() == abi::PASSIVE_LEVEL && waiter.has_kernel_apc() {
            apcs.running.store(true, Ordering::SeqCst);
            // Before the look at the queue: one that comes behind it sets this again.
            apcs.pending.store(false, Ordering::SeqCst);
            while let Some(apc) = apcs.next() {
                outcome = self.call(kernel, apc.routine, &apc.arguments).map(drop);
                if outcome.is_err()
                    || self.current_irql() != abi::PASSIVE_LEVEL
                    || waiter.holds_kernel_apcs_up()
                {
                    apcs.pending.store(true, Ordering::SeqCst);
                    break;
                }
            }
            apcs.running.store(false, Ordering::SeqCst);
        }
        match outcome {
            Err(Unwind::Raise(raise)) => {
                super::special_apc::nobody_takes(kernel, &raise.record);
                Err(Unwind::Halt)
            }
            other => other,
        }
    }
}
