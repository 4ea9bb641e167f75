//! Data under an `ERESOURCE`.

use core::cell::UnsafeCell;

use abi::{ERESOURCE, FALSE, NTSTATUS};

use crate::nt::{
    ExDeleteResourceLite, ExEnterCriticalRegionAndAcquireResourceExclusive,
    ExEnterCriticalRegionAndAcquireResourceShared, ExInitializeResourceLite,
    ExIsResourceAcquiredExclusiveLite, ExIsResourceAcquiredSharedLite,
    ExReleaseResourceAndLeaveCriticalRegion,
};
use crate::{PassiveLevel, PoolBox, Tag};

/// A value that many threads read at once, or one changes. Threads that want to change it go before new readers.
///
/// The `ERESOURCE` and the value lie in non-paged pool; the `Resource` itself may be moved. While a thread has access, it is in
/// a critical region: normal kernel APCs do not come to it.
pub struct Resource<T> {
    inner: PoolBox<Inner<T>>,
}

struct Inner<T> {
    resource: UnsafeCell<ERESOURCE>,
    value: UnsafeCell<T>,
}

// SAFETY: the resource gives the value to many threads by shared reference, or to one by exclusive reference.
unsafe impl<T: Send + Sync> Sync for Inner<T> {}
// SAFETY: NT knows the resource by address, and the pool block does not move.
unsafe impl<T: Send> Send for Inner<T> {}

impl<T> Resource<T> {
    /// A free resource. Fails with STATUS_INSUFFICIENT_RESOURCES. IRQL: up to DISPATCH_LEVEL.
    pub fn new(tag: Tag, value: T) -> Result<Self, NTSTATUS> {
        // SAFETY: numbers and pointers, all of which may be 0.
        let resource = unsafe { core::mem::zeroed() };
        let inner = Inner { resource: UnsafeCell::new(resource), value: UnsafeCell::new(value) };
        let inner = PoolBox::new(tag, inner)?;
        // SAFETY: memory for a resource in non-paged pool, at its final address. It always succeeds.
        let _success = unsafe { ExInitializeResourceLite(inner.resource.get()) };
        Ok(Self { inner })
    }

    /// Waits for shared access, and runs `code` with the value. A thread that has shared access gets it again.
    ///
    /// # Panics
    ///
    /// When this thread is changing the value.
    pub fn read<R>(&self, _level: PassiveLevel, code: impl FnOnce(&T) -> R) -> R {
        let resource = self.inner.resource.get();
        // SAFETY: initialised in `new`, and in pool until `self` goes.
        let changing = unsafe { ExIsResourceAcquiredExclusiveLite(resource) };
        assert!(changing == FALSE, "a thread reads what it is changing");
        // SAFETY: as above.
        unsafe { ExEnterCriticalRegionAndAcquireResourceShared(resource) };
        let _held = Held { resource };
        // SAFETY: acquired for shared access, so there are only shared references.
        code(unsafe { &*self.inner.value.get() })
    }

    /// Waits for exclusive access, and runs `code` with the value.
    ///
    /// # Panics
    ///
    /// When this thread has access already: NT would let it in again, or let it wait for itself.
    pub fn write<R>(&self, _level: PassiveLevel, code: impl FnOnce(&mut T) -> R) -> R {
        let resource = self.inner.resource.get();
        // Counts access of either kind.
        // SAFETY: initialised in `new`, and in pool until `self` goes.
        let has_access = unsafe { ExIsResourceAcquiredSharedLite(resource) };
        assert!(has_access == 0, "a thread changes what it is reading or changing already");
        // SAFETY: as above.
        unsafe { ExEnterCriticalRegionAndAcquireResourceExclusive(resource) };
        let _held = Held { resource };
        // SAFETY: acquired for exclusive access by a thread that had none, so there is no other reference.
        code(unsafe { &mut *self.inner.value.get() })
    }
}

impl<T> Drop for Resource<T> {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`; nobody has access any more, since that borrows `self`.
        let _success = unsafe { ExDeleteResourceLite(self.inner.resource.get()) };
    }
}

/// Released on the way out, a panic's way included.
struct Held {
    resource: *mut ERESOURCE,
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: acquired in this thread, entering a critical region.
        unsafe { ExReleaseResourceAndLeaveCriticalRegion(self.resource) };
    }
}
