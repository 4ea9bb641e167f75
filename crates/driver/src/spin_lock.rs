//! Data under a `KSPIN_LOCK`.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

use abi::{KIRQL, KLOCK_QUEUE_HANDLE, KSPIN_LOCK};

use crate::nt::{
    KeAcquireInStackQueuedSpinLock, KeAcquireSpinLockRaiseToDpc, KeReleaseInStackQueuedSpinLock,
    KeReleaseSpinLock,
};

/// A value that one processor at a time uses, at DISPATCH_LEVEL.
///
/// Hold it for the time of a few instructions or a short copy; what needs PASSIVE_LEVEL does not belong inside.
#[derive(Default)]
pub struct SpinLock<T> {
    lock: UnsafeCell<KSPIN_LOCK>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value from one thread to the next, never to two.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// A free lock. (`KeInitializeSpinLock` stores the same 0.)
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self { lock: UnsafeCell::new(0), value: UnsafeCell::new(value) }
    }

    /// Runs `code` with the value, holding the lock. A closure and no guard, so that nested locks are released in
    /// reverse order, which their IRQLs need. IRQL: up to DISPATCH_LEVEL.
    ///
    /// Taking a lock that this thread holds already never ends, as on NT.
    pub fn with<R>(&self, code: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the lock word is initialised, and only these two functions touch it.
        let irql = unsafe { KeAcquireSpinLockRaiseToDpc(self.lock.get()) };
        let _held = Held { lock: self.lock.get(), irql };
        // SAFETY: the lock is held, so nobody else has a reference to the value.
        code(unsafe { &mut *self.value.get() })
    }
}

/// Released on the way out, a panic's way included.
struct Held {
    lock: *mut KSPIN_LOCK,
    irql: KIRQL,
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: `with` acquired it at this IRQL.
        unsafe { KeReleaseSpinLock(self.lock, self.irql) };
    }
}

/// As [`SpinLock`], for a lock that many processors want at once: they get it in the order in which they came, and each
/// waits at a place of its own.
#[derive(Default)]
pub struct QueuedSpinLock<T> {
    lock: UnsafeCell<KSPIN_LOCK>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value from one thread to the next, never to two.
unsafe impl<T: Send> Sync for QueuedSpinLock<T> {}

impl<T> QueuedSpinLock<T> {
    /// A free lock.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self { lock: UnsafeCell::new(0), value: UnsafeCell::new(value) }
    }

    /// As [`SpinLock::with`].
    pub fn with<R>(&self, code: impl FnOnce(&mut T) -> R) -> R {
        let mut place = MaybeUninit::<KLOCK_QUEUE_HANDLE>::uninit();
        // SAFETY: the lock word is initialised, only used as a queued lock, and the place stays until the release.
        unsafe { KeAcquireInStackQueuedSpinLock(self.lock.get(), place.as_mut_ptr()) };
        let _held = Queued { place: place.as_mut_ptr() };
        // SAFETY: the lock is held, so nobody else has a reference to the value.
        code(unsafe { &mut *self.value.get() })
    }
}

/// Released on the way out, a panic's way included.
struct Queued {
    place: *mut KLOCK_QUEUE_HANDLE,
}

impl Drop for Queued {
    fn drop(&mut self) {
        // SAFETY: `with` acquired the lock with this place, which is in its frame.
        unsafe { KeReleaseInStackQueuedSpinLock(self.place) };
    }
}
