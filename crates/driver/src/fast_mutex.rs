//! Data under a `FAST_MUTEX`.

use core::cell::UnsafeCell;

use abi::{FALSE, FAST_MUTEX, NTSTATUS, SynchronizationEvent};

use crate::nt::{ExAcquireFastMutex, ExReleaseFastMutex, KeInitializeEvent};
use crate::{PassiveLevel, PoolBox, Tag};

/// A value that one thread at a time uses, at APC_LEVEL: no APC comes to it meanwhile, so the end of a request of its own does
/// not either. Cheaper than a [`Mutex`](crate::Mutex).
///
/// The `FAST_MUTEX` and the value lie in non-paged pool; the `FastMutex` itself may be moved.
pub struct FastMutex<T> {
    inner: PoolBox<Inner<T>>,
}

struct Inner<T> {
    mutex: UnsafeCell<FAST_MUTEX>,
    value: UnsafeCell<T>,
}

// SAFETY: the mutex hands the value from one thread to the next, never to two: it lets its own owner in as little as others.
unsafe impl<T: Send> Sync for Inner<T> {}
// SAFETY: the object's links are NT's, which knows them by address, and the pool block does not move.
unsafe impl<T: Send> Send for Inner<T> {}

impl<T> FastMutex<T> {
    /// A free mutex. Fails with STATUS_INSUFFICIENT_RESOURCES. IRQL: up to DISPATCH_LEVEL.
    pub fn new(tag: Tag, value: T) -> Result<Self, NTSTATUS> {
        const FREE: i32 = 1;
        // SAFETY: numbers and pointers, all of which may be 0.
        let mut mutex: FAST_MUTEX = unsafe { core::mem::zeroed() };
        mutex.Count = FREE;
        let inner =
            PoolBox::new(tag, Inner { mutex: UnsafeCell::new(mutex), value: UnsafeCell::new(value) })?;
        // The rest of ExInitializeFastMutex, which the headers inline.
        // SAFETY: inside the mutex, which nobody else has yet.
        let event = unsafe { &raw mut (*inner.mutex.get()).Event };
        // SAFETY: memory for an event in non-paged pool, at its final address.
        unsafe { KeInitializeEvent(event, SynchronizationEvent, FALSE) };
        Ok(Self { inner })
    }

    /// Waits until the mutex is free, and runs `code` with the value, at APC_LEVEL. A closure and no guard, so that nested
    /// mutexes are released in reverse order, which their IRQLs need.
    ///
    /// Taking a mutex that this thread holds already never ends, as on NT.
    pub fn with<R>(&self, _level: PassiveLevel, code: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: initialised in `new`, and in pool until `self` goes.
        unsafe { ExAcquireFastMutex(self.inner.mutex.get()) };
        let _held = Held { mutex: self.inner.mutex.get() };
        // SAFETY: the mutex is held, so nobody else has a reference to the value.
        code(unsafe { &mut *self.inner.value.get() })
    }
}

/// Released on the way out, a panic's way included.
struct Held {
    mutex: *mut FAST_MUTEX,
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: `with` acquired it in this thread.
        unsafe { ExReleaseFastMutex(self.mutex) };
    }
}
