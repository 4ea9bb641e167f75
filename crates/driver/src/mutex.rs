//! Data under a `KMUTEX`.

use core::cell::{Cell, UnsafeCell};
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::time::Duration;

use abi::{FALSE, KMUTANT, NTSTATUS};

use crate::nt::{KeInitializeMutex, KeReleaseMutex};
use crate::wait::{Outcome, Timeout, Waiter, wait};
use crate::{PassiveLevel, PoolBox, Tag};

/// A value that one thread at a time uses, at the IRQL at which it comes.
///
/// The `KMUTEX` and the value lie in non-paged pool, where NT wants the former at a fixed address; the `Mutex` itself
/// may be moved. For a few instructions a [`SpinLock`](crate::SpinLock) is cheaper; under a mutex a thread may wait.
/// While it holds one, normal kernel APCs are not delivered to it.
pub struct Mutex<T> {
    inner: PoolBox<Inner<T>>,
}

struct Inner<T> {
    mutex: UnsafeCell<KMUTANT>,
    /// Whether there is a guard. A `KMUTEX` lets its owner in again, which a value borrowed exclusively does not.
    held: Cell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: the mutex hands the value, and the flag with it, from one thread to the next, never to two.
unsafe impl<T: Send> Sync for Inner<T> {}
// SAFETY: the object's links are NT's, which knows them by address, and the pool block does not move.
unsafe impl<T: Send> Send for Inner<T> {}

impl<T> Mutex<T> {
    /// A free mutex. Fails with STATUS_INSUFFICIENT_RESOURCES. IRQL: up to DISPATCH_LEVEL.
    pub fn new(tag: Tag, value: T) -> Result<Self, NTSTATUS> {
        // SAFETY: numbers, booleans and pointers, all of which may be 0.
        let mutex = unsafe { core::mem::zeroed() };
        let inner =
            Inner { mutex: UnsafeCell::new(mutex), held: Cell::new(false), value: UnsafeCell::new(value) };
        let inner = PoolBox::new(tag, inner)?;
        // SAFETY: memory for a mutex in non-paged pool, at its final address.
        unsafe { KeInitializeMutex(inner.mutex.get(), 0) };
        Ok(Self { inner })
    }

    /// Waits until the mutex is free, and takes it.
    ///
    /// # Panics
    ///
    /// When this thread holds it already.
    pub fn lock(&self, _level: PassiveLevel) -> MutexGuard<'_, T> {
        self.take(None).unwrap_or_else(|_| unreachable!("a wait without a timeout"))
    }

    /// Waits until the mutex is free, and takes it, or gives up after `timeout`; zero only looks.
    ///
    /// # Panics
    ///
    /// When this thread holds it already.
    pub fn lock_timeout(
        &self,
        _level: PassiveLevel,
        timeout: Duration,
    ) -> Result<MutexGuard<'_, T>, Timeout> {
        self.take(Some(timeout))
    }

    fn take(&self, timeout: Option<Duration>) -> Result<MutexGuard<'_, T>, Timeout> {
        // SAFETY: initialised in `new`, and in pool until `self` goes.
        match unsafe { wait(self.inner.mutex.get().cast(), Waiter::Driver, timeout) } {
            Outcome::Satisfied => {}
            Outcome::TimedOut => return Err(Timeout),
            Outcome::Interrupted => unreachable!("nothing interrupts a driver's own wait"),
        }
        // SAFETY: acquired above.
        unsafe { self.mark_held() };
        // SAFETY: as above.
        Ok(unsafe { self.guard() })
    }

    /// Says that there will be a guard.
    ///
    /// # Panics
    ///
    /// When this thread has one.
    ///
    /// # Safety
    ///
    /// This thread has just acquired the mutex.
    pub(crate) unsafe fn mark_held(&self) {
        if self.inner.held.replace(true) {
            // The guard that this thread has keeps what it has.
            // SAFETY: acquired once more, in this thread.
            unsafe { KeReleaseMutex(self.inner.mutex.get(), FALSE) };
            panic!("a thread locks a mutex that it holds");
        }
    }

    /// # Safety
    ///
    /// [`mark_held`](Self::mark_held) has been called in this thread, and there has been no guard since.
    pub(crate) unsafe fn guard(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, owner: PhantomData }
    }

    pub(crate) fn as_raw(&self) -> *mut KMUTANT {
        self.inner.mutex.get()
    }
}

/// The right to use a [`Mutex`]'s value. Dropped in the thread that got it, since NT knows a mutex's owner.
#[must_use = "dropping it releases the mutex"]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// Neither `Send` nor, by way of a pointer, `Sync`.
    owner: PhantomData<*mut T>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the mutex is held, and this guard is the only one.
        unsafe { &*self.mutex.inner.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.mutex.inner.value.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.mutex.inner.held.set(false);
        // SAFETY: acquired by this thread, which the guard did not leave.
        unsafe { KeReleaseMutex(self.mutex.inner.mutex.get(), FALSE) };
    }
}
