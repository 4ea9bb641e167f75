//! Remove locks: counts of who works with a device that may be removed, and waiting until nobody does.

use std::mem::offset_of;

use abi::NTSTATUS;

use crate::Kernel;
use crate::ke::{ProcessorMode, Thread, Timeout};
use crate::raw::{self, DispatcherHeader, Outcome, raw_object};

raw_object! {
    /// A remove lock. What checked builds of drivers keep behind it is theirs.
    IoRemoveLock: abi::IO_REMOVE_LOCK_COMMON_BLOCK {
        removed, set_removed: u8 = Removed;
        io_count, set_io_count: u32 = IoCount;
    }
}

impl IoRemoveLock {
    fn event(self) -> DispatcherHeader {
        const OFFSET: u64 = offset_of!(abi::IO_REMOVE_LOCK_COMMON_BLOCK, RemoveEvent) as u64;
        DispatcherHeader::at(self.address().wrapping_add(OFFSET))
    }

    /// Adds to the count, minus one as all ones; returns the new one.
    fn add(self, number: u32) -> Outcome<i32> {
        const OFFSET: u64 = offset_of!(abi::IO_REMOVE_LOCK_COMMON_BLOCK, IoCount) as u64;
        let before = raw::fetch_add(self.address().wrapping_add(OFFSET), number)?;
        Ok(before.wrapping_add(number).cast_signed())
    }
}

/// `IoInitializeRemoveLock`. PASSIVE_LEVEL.
///
/// # Errors
/// An access violation.
pub fn initialize_remove_lock(kernel: &Kernel, lock: IoRemoveLock) -> Outcome<()> {
    lock.set_removed(0)?;
    lock.set_io_count(1)?;
    kernel.ke.initialize_event(lock.event(), abi::SynchronizationEvent, false)
}

/// `IoAcquireRemoveLock`: `STATUS_SUCCESS`, or `STATUS_DELETE_PENDING` once removal has begun. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// An access violation.
///
/// Source: ddi, IoAcquireRemoveLock.
pub fn acquire_remove_lock(kernel: &Kernel, lock: IoRemoveLock) -> Outcome<NTSTATUS> {
    lock.add(1)?;
    kernel.platform.preemption_point();
    if lock.removed()? == 0 {
        return Ok(abi::STATUS_SUCCESS);
    }
    release_remove_lock(kernel, lock)?;
    Ok(abi::STATUS_DELETE_PENDING)
}

/// `IoReleaseRemoveLock`. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// An access violation.
///
/// Source: ddi, IoReleaseRemoveLock.
pub fn release_remove_lock(kernel: &Kernel, lock: IoRemoveLock) -> Outcome<()> {
    if lock.add(u32::MAX)? == 0 {
        kernel.ke.set_event(kernel, lock.event(), 0)?;
    }
    Ok(())
}

/// `IoReleaseRemoveLockAndWait`: releases the caller's own acquisition, lets nobody acquire the lock any more, and waits
/// until all others have released it. PASSIVE_LEVEL.
///
/// # Errors
/// An access violation; `Unwind::Halt` when the machine stops.
///
/// Source: ddi, IoReleaseRemoveLockAndWait.
pub fn release_remove_lock_and_wait(kernel: &Kernel, thread: &Thread, lock: IoRemoveLock) -> Outcome<()> {
    lock.set_removed(1)?;
    kernel.platform.preemption_point();
    lock.add(u32::MAX)?;
    // The one that the lock began with.
    if lock.add(u32::MAX)? > 0 {
        let event = lock.event().address();
        let never = Timeout::Never;
        kernel.ke.wait_for_single_object(kernel, thread, event, ProcessorMode::Kernel, false, never)?;
    }
    Ok(())
}
