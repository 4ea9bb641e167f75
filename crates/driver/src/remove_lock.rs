//! Remove locks: who works with a thing that is to go, and waiting until nobody does.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};

use abi::{IO_REMOVE_LOCK, NTSTATUS};

use crate::nt::{
    IoAcquireRemoveLockEx, IoInitializeRemoveLockEx, IoReleaseRemoveLockAndWaitEx, IoReleaseRemoveLockEx,
};
use crate::{PoolBox, Tag};

#[expect(clippy::cast_possible_truncation, reason = "32 bytes")]
const SIZE: u32 = size_of::<IO_REMOVE_LOCK>() as u32;

/// An `IO_REMOVE_LOCK` where it lies, which it may not leave once it is initialised.
pub(crate) struct RawRemoveLock(UnsafeCell<IO_REMOVE_LOCK>);

// SAFETY: NT's functions on remove locks may be called from any thread.
unsafe impl Sync for RawRemoveLock {}
// SAFETY: as above. It is moved before it is initialised only.
unsafe impl Send for RawRemoveLock {}

impl RawRemoveLock {
    pub(crate) const fn uninitialised() -> Self {
        // SAFETY: all fields may be zero.
        Self(UnsafeCell::new(unsafe { core::mem::zeroed() }))
    }

    /// # Safety
    ///
    /// Called once, in non-paged memory that the lock does not leave any more. IRQL: PASSIVE_LEVEL.
    pub(crate) unsafe fn initialise(&self, tag: Tag) {
        // SAFETY: the caller's contract. No limits: these are for checked builds.
        unsafe { IoInitializeRemoveLockEx(self.0.get(), tag.value(), 0, 0, SIZE) };
    }

    /// # Safety
    ///
    /// Initialised.
    pub(crate) unsafe fn acquire(&self, tag: *mut c_void) -> Result<(), NTSTATUS> {
        // SAFETY: the caller's contract. The file's name is for checked builds.
        let status = unsafe { IoAcquireRemoveLockEx(self.0.get(), tag, c"".as_ptr(), 1, SIZE) };
        if status.is_success() { Ok(()) } else { Err(status) }
    }

    /// # Safety
    ///
    /// Acquired with the same tag, and not released for that yet.
    pub(crate) unsafe fn release(&self, tag: *mut c_void) {
        // SAFETY: the caller's contract.
        unsafe { IoReleaseRemoveLockEx(self.0.get(), tag, SIZE) };
    }

    /// # Safety
    ///
    /// As [`release`](Self::release), called once for a lock. IRQL: PASSIVE_LEVEL.
    pub(crate) unsafe fn release_and_wait(&self, tag: *mut c_void) {
        // SAFETY: the caller's contract.
        unsafe { IoReleaseRemoveLockAndWaitEx(self.0.get(), tag, SIZE) };
    }
}

/// Counts who uses what it guards. Dropping it lets nobody in any more, and waits until all are out.
///
/// IRQL: up to DISPATCH_LEVEL; making and dropping it PASSIVE_LEVEL.
pub struct RemoveLock {
    lock: PoolBox<RawRemoveLock>,
}

impl RemoveLock {
    /// A lock that anybody can acquire. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn new(tag: Tag) -> Result<Self, NTSTATUS> {
        let lock = PoolBox::new(tag, RawRemoveLock::uninitialised())?;
        // SAFETY: in non-paged pool, where it stays.
        unsafe { lock.initialise(tag) };
        // SAFETY: initialised. This is the acquisition that dropping the lock gives back.
        unsafe { lock.acquire(ptr::null_mut()) }?;
        Ok(Self { lock })
    }

    /// Says that somebody uses it from here on.
    ///
    /// # Errors
    ///
    /// STATUS_DELETE_PENDING once it is being dropped.
    pub fn acquire(&self) -> Result<RemoveGuard<'_>, NTSTATUS> {
        // SAFETY: initialised.
        unsafe { self.lock.acquire(ptr::from_ref(&*self.lock).cast_mut().cast()) }?;
        Ok(RemoveGuard { lock: &self.lock })
    }
}

impl Drop for RemoveLock {
    fn drop(&mut self) {
        // SAFETY: acquired in `new`, and dropped once.
        unsafe { self.lock.release_and_wait(ptr::null_mut()) };
    }
}

/// Somebody uses what a [`RemoveLock`] guards. IRQL: up to DISPATCH_LEVEL.
#[must_use = "dropping it releases the lock"]
pub struct RemoveGuard<'a> {
    lock: &'a RawRemoveLock,
}

impl RemoveGuard<'_> {
    /// Goes on using it when the guard is gone.
    pub(crate) fn keep(self) -> KeptGuard {
        KeptGuard { lock: NonNull::from(ManuallyDrop::new(self).lock) }
    }
}

impl Drop for RemoveGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: acquired when the guard was made.
        unsafe { self.lock.release(ptr::from_ref(self.lock).cast_mut().cast()) };
    }
}

/// A guard without a lifetime: the lock is not freed before it is released, since dropping the lock waits for that.
pub(crate) struct KeptGuard {
    lock: NonNull<RawRemoveLock>,
}

impl Drop for KeptGuard {
    fn drop(&mut self) {
        // SAFETY: the lock waits for this before it is gone.
        let lock = unsafe { self.lock.as_ref() };
        // SAFETY: acquired when the guard was made.
        unsafe { lock.release(self.lock.as_ptr().cast()) };
    }
}
