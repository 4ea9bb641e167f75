//! Run-down protection (`EX_RUNDOWN_REF`): an object may be used until whoever takes it away has waited for its users.
//!
//! The word in driver memory counts them; its highest bit of 32 says that no more are let in. Who waits for the last is kept
//! here, by address.
//!
//! Source: kernel, "Run-Down Protection"; ddi, ExAcquireRundownProtection, ExWaitForRundownProtectionRelease.

use std::sync::{Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;

use super::event_object;
use crate::ke::{ProcessorMode, Thread, Timeout};
use crate::raw::{self, DispatcherHeader, Outcome};
use crate::{Kernel, Unwind};

/// No more users are let in.
const CLOSED: u32 = 1 << 31;

/// The threads that wait for the last user of something: what, and the event that wakes them.
#[derive(Debug, Default)]
pub struct Rundowns {
    waiting: Mutex<Vec<(u64, DispatcherHeader)>>,
}

impl Rundowns {
    fn waiting(&self) -> MutexGuard<'_, Vec<(u64, DispatcherHeader)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets users, and lets them in (`ddi: ExInitializeRundownProtection`, `ExReInitializeRundownProtection`).
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn initialize(&self, reference: u64) -> Outcome<()> {
        raw::write(reference, 0_u64)
    }

    /// Lets `count` users in; false when the object is being taken away. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn acquire(&self, kernel: &Kernel, reference: u64, count: u32) -> Outcome<bool> {
        kernel.platform.preemption_point();
        if raw::fetch_add(reference, count)? & CLOSED == 0 {
            return Ok(true);
        }
        self.release(kernel, reference, count).map(|()| false)
    }

    /// `count` users are done. The last wakes who waits for it. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn release(&self, kernel: &Kernel, reference: u64, count: u32) -> Outcome<()> {
        kernel.platform.preemption_point();
        let left = raw::fetch_add(reference, count.wrapping_neg())?.wrapping_sub(count);
        if left == CLOSED { self.wake(kernel, reference) } else { Ok(()) }
    }

    #[cold]
    fn wake(&self, kernel: &Kernel, reference: u64) -> Outcome<()> {
        let mut woken = Vec::new();
        // Under the lock under which who waits has looked at the word, and noted that it waits.
        self.waiting().retain(|(of, event)| {
            let stays = *of != reference;
            if !stays {
                woken.push(*event);
            }
            stays
        });
        for event in woken {
            kernel.ke.set_event(kernel, event, 0)?;
        }
        Ok(())
    }

    /// Lets nobody in from now on (`ddi: ExRundownCompleted`): also what a wait begins with.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn close(&self, reference: u64) -> Outcome<()> {
        let _one_closes = self.waiting();
        Self::close_once(reference).map(drop)
    }

    /// Under the lock, which keeps two from adding the bit; returns how the word stands.
    fn close_once(reference: u64) -> Outcome<u32> {
        let before: u32 = raw::read(reference)?;
        if before & CLOSED != 0 {
            return Ok(before);
        }
        Ok(raw::fetch_add(reference, CLOSED)?.wrapping_add(CLOSED))
    }

    /// Lets nobody in any more, and waits for the last user (`ddi: ExWaitForRundownProtectionRelease`). IRQL <= APC_LEVEL.
    ///
    /// # Errors
    /// An access violation; STATUS_INSUFFICIENT_RESOURCES without pool for an event; `Unwind::Halt` when the machine stops.
    pub fn wait(&self, kernel: &Kernel, thread: &Thread, reference: u64) -> Outcome<()> {
        let raise = |status: NTSTATUS| Unwind::status(status);
        let event = event_object(kernel, abi::NotificationEvent, false).map_err(raise)?;
        let header = DispatcherHeader::at(event.address);
        let closed = {
            let mut waiting = self.waiting();
            let closed = Self::close_once(reference);
            if closed.as_ref().is_ok_and(|word| *word != CLOSED) {
                waiting.push((reference, header));
            }
            closed
        };
        let ended = closed.and_then(|word| {
            if word == CLOSED {
                return Ok(());
            }
            let (mode, never) = (ProcessorMode::Kernel, Timeout::Never);
            kernel.ke.wait_for_single_object(kernel, thread, event.address, mode, false, never).map(drop)
        });
        self.waiting().retain(|(_, other)| *other != header);
        if !matches!(ended, Err(Unwind::Halt)) {
            event.dereference(kernel);
        }
        ended
    }
}
