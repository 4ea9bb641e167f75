//! Data under a `KSPIN_LOCK`.

use core::cell::UnsafeCell;

use abi::{KIRQL, KSPIN_LOCK};

use crate::nt::{KeAcquireSpinLockRaiseToDpc, KeReleaseSpinLock};

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
