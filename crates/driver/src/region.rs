//! Regions in which APCs are held up.

use core::marker::PhantomData;

use crate::PassiveLevel;
use crate::nt::{
    KeAreAllApcsDisabled, KeAreApcsDisabled, KeEnterCriticalRegion, KeEnterGuardedRegion,
    KeLeaveCriticalRegion, KeLeaveGuardedRegion,
};

/// While it lives, no normal kernel APC runs in this thread, and it cannot be suspended (`KeEnterCriticalRegion`). Regions nest.
/// It stays in its thread. IRQL: PASSIVE_LEVEL.
#[must_use = "the region ends when this is dropped"]
pub struct CriticalRegion {
    /// Neither `Send` nor `Sync`.
    thread: PhantomData<*const ()>,
}

impl CriticalRegion {
    /// Enters it.
    pub fn enter(_level: PassiveLevel) -> Self {
        // SAFETY: at PASSIVE_LEVEL; dropping the value leaves it, in this thread.
        unsafe { KeEnterCriticalRegion() };
        Self { thread: PhantomData }
    }
}

impl Drop for CriticalRegion {
    fn drop(&mut self) {
        // SAFETY: entered in this thread.
        unsafe { KeLeaveCriticalRegion() };
    }
}

/// While it lives, no APC at all runs in this thread (`KeEnterGuardedRegion`): a request that it sends and waits for does
/// not end, so [`Target`](crate::Target) refuses to wait. Regions nest. It stays in its thread. IRQL: PASSIVE_LEVEL.
#[must_use = "the region ends when this is dropped"]
pub struct GuardedRegion {
    /// Neither `Send` nor `Sync`.
    thread: PhantomData<*const ()>,
}

impl GuardedRegion {
    /// Enters it.
    pub fn enter(_level: PassiveLevel) -> Self {
        // SAFETY: at PASSIVE_LEVEL; dropping the value leaves it, in this thread.
        unsafe { KeEnterGuardedRegion() };
        Self { thread: PhantomData }
    }
}

impl Drop for GuardedRegion {
    fn drop(&mut self) {
        // SAFETY: entered in this thread.
        unsafe { KeLeaveGuardedRegion() };
    }
}

/// Whether normal kernel APCs are held up in this thread (`KeAreApcsDisabled`): by a region of either kind, or by its IRQL. IRQL: up to
/// DISPATCH_LEVEL.
#[must_use]
pub fn apcs_disabled() -> bool {
    // SAFETY: no arguments; the answer is about this thread alone.
    unsafe { KeAreApcsDisabled() != 0 }
}

/// Whether all APCs are held up in this thread (`KeAreAllApcsDisabled`): by a guarded region, or by its IRQL. IRQL: up to
/// DISPATCH_LEVEL.
#[must_use]
pub fn all_apcs_disabled() -> bool {
    // SAFETY: no arguments; the answer is about this thread alone.
    unsafe { KeAreAllApcsDisabled() != 0 }
}
