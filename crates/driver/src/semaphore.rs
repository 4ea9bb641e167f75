//! `KSEMAPHORE`.

use core::cell::UnsafeCell;
use core::time::Duration;

use abi::{FALSE, IO_NO_INCREMENT, KSEMAPHORE, NTSTATUS};

use crate::nt::{KeInitializeSemaphore, KeReadStateSemaphore, KeReleaseSemaphore};
use crate::wait::{Outcome, Timeout, Waiter, wait};
use crate::{PassiveLevel, PoolBox, Tag};

/// A count that waits bring down and releases bring up. The `KSEMAPHORE` lies in non-paged pool; the `Semaphore` itself may
/// be moved.
pub struct Semaphore {
    semaphore: PoolBox<Object>,
}

struct Object(UnsafeCell<KSEMAPHORE>);

// SAFETY: NT's functions on semaphores may be called from any thread.
unsafe impl Sync for Object {}
// SAFETY: as above; its links are known by address, and the pool block does not move.
unsafe impl Send for Object {}

impl Semaphore {
    /// A semaphore with this count, which never goes above `limit`. Fails with STATUS_INSUFFICIENT_RESOURCES.
    ///
    /// # Panics
    ///
    /// Unless `0 <= count <= limit` and `limit` is at least 1.
    pub fn new(tag: Tag, count: i32, limit: i32) -> Result<Self, NTSTATUS> {
        assert!(limit >= 1 && (0..=limit).contains(&count), "a semaphore of {count} with the limit {limit}");
        // SAFETY: numbers and pointers, all of which may be 0.
        let semaphore = PoolBox::new(tag, Object(UnsafeCell::new(unsafe { core::mem::zeroed() })))?;
        // SAFETY: memory for a semaphore in non-paged pool, at its final address.
        unsafe { KeInitializeSemaphore(semaphore.0.get(), count, limit) };
        Ok(Self { semaphore })
    }

    /// Adds to the count; the count before. Beyond its limit NT raises STATUS_SEMAPHORE_LIMIT_EXCEEDED, which nobody takes
    /// here: a bug check. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Panics
    ///
    /// Unless `count` is at least 1.
    pub fn release(&self, count: i32) -> i32 {
        assert!(count >= 1, "a semaphore is released at least once, not {count} times");
        // SAFETY: initialised in `new`.
        unsafe { KeReleaseSemaphore(self.semaphore.0.get(), IO_NO_INCREMENT.into(), count, FALSE) }
    }

    /// The count, now. IRQL: any.
    #[must_use]
    pub fn count(&self) -> i32 {
        // SAFETY: initialised in `new`.
        unsafe { KeReadStateSemaphore(self.semaphore.0.get()) }
    }

    /// Waits until the count is above zero, and takes one from it.
    pub fn wait(&self, _level: PassiveLevel) {
        self.take(None).unwrap_or_else(|_| unreachable!("a wait without a timeout"));
    }

    /// As [`wait`](Self::wait), or gives up after `timeout`; zero only looks.
    pub fn wait_timeout(&self, _level: PassiveLevel, timeout: Duration) -> Result<(), Timeout> {
        self.take(Some(timeout))
    }

    pub(crate) fn as_raw(&self) -> *mut KSEMAPHORE {
        self.semaphore.0.get()
    }

    fn take(&self, timeout: Option<Duration>) -> Result<(), Timeout> {
        // SAFETY: initialised in `new`, and in pool until `self` goes.
        match unsafe { wait(self.semaphore.0.get().cast(), Waiter::Driver, timeout) } {
            Outcome::Satisfied => Ok(()),
            Outcome::TimedOut => Err(Timeout),
            Outcome::Interrupted => unreachable!("nothing interrupts a driver's own wait"),
        }
    }
}
