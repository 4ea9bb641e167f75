//! `KEVENT`.

use core::cell::UnsafeCell;
use core::time::Duration;

use abi::{EVENT_TYPE, FALSE, IO_NO_INCREMENT, KEVENT, NTSTATUS, NotificationEvent, SynchronizationEvent};

use crate::nt::{KeClearEvent, KeInitializeEvent, KeReadStateEvent, KeSetEvent};
use crate::wait::{Interrupted, Outcome, Timeout, Waiter, wait};
use crate::{PassiveLevel, PoolBox, Tag};

/// Something that happened, or not yet. The `KEVENT` lies in non-paged pool; the `Event` may be moved.
pub struct Event {
    event: PoolBox<Object>,
}

struct Object(UnsafeCell<KEVENT>);

// SAFETY: NT's functions on events may be called from any thread.
unsafe impl Sync for Object {}
// SAFETY: as above; its links are known by address, and the pool block does not move.
unsafe impl Send for Object {}

impl Event {
    /// A notification event: while it is set, no wait for it blocks. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn notification(tag: Tag, set: bool) -> Result<Self, NTSTATUS> {
        Self::new(tag, NotificationEvent, set)
    }

    /// A synchronization event: setting it lets one wait through, which clears it. Fails with
    /// STATUS_INSUFFICIENT_RESOURCES.
    pub fn synchronization(tag: Tag, set: bool) -> Result<Self, NTSTATUS> {
        Self::new(tag, SynchronizationEvent, set)
    }

    fn new(tag: Tag, event_type: EVENT_TYPE, set: bool) -> Result<Self, NTSTATUS> {
        // SAFETY: numbers and pointers, all of which may be 0.
        let event = PoolBox::new(tag, Object(UnsafeCell::new(unsafe { core::mem::zeroed() })))?;
        // SAFETY: memory for an event in non-paged pool, at its final address.
        unsafe { KeInitializeEvent(event.0.get(), event_type, set.into()) };
        Ok(Self { event })
    }

    /// Sets it; whether it was set before. IRQL: up to DISPATCH_LEVEL.
    pub fn set(&self) -> bool {
        // SAFETY: initialised in `new`.
        unsafe { KeSetEvent(self.event.0.get(), IO_NO_INCREMENT.into(), FALSE) != 0 }
    }

    /// Clears it. IRQL: up to DISPATCH_LEVEL.
    pub fn clear(&self) {
        // SAFETY: initialised in `new`.
        unsafe { KeClearEvent(self.event.0.get()) };
    }

    /// Whether it is set, now. IRQL: up to DISPATCH_LEVEL.
    #[must_use]
    pub fn is_set(&self) -> bool {
        // SAFETY: initialised in `new`.
        unsafe { KeReadStateEvent(self.event.0.get()) != 0 }
    }

    /// Waits until it is set, for something that the driver itself will do: nothing else ends this wait, not even the end
    /// of the process.
    pub fn wait(&self, _level: PassiveLevel) {
        self.wait_as(Waiter::Driver, None);
    }

    /// Waits until it is set, or gives up after `timeout`; zero only looks.
    pub fn wait_timeout(&self, _level: PassiveLevel, timeout: Duration) -> Result<(), Timeout> {
        match self.wait_as(Waiter::Driver, Some(timeout)) {
            Outcome::TimedOut => Err(Timeout),
            _ => Ok(()),
        }
    }

    /// Waits until it is set, on behalf of the application whose request this thread carries out: the end of the thread
    /// ends the wait too. For whatever depends on applications, since these may never do their part.
    pub fn wait_for_user(&self, _level: PassiveLevel) -> Result<(), Interrupted> {
        match self.wait_as(Waiter::User, None) {
            Outcome::Interrupted => Err(Interrupted),
            _ => Ok(()),
        }
    }

    pub(crate) fn as_raw(&self) -> *mut KEVENT {
        self.event.0.get()
    }

    fn wait_as(&self, waiter: Waiter, timeout: Option<Duration>) -> Outcome {
        // SAFETY: initialised in `new`, and in pool until `self` goes.
        unsafe { wait(self.event.0.get().cast(), waiter, timeout) }
    }
}
