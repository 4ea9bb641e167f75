//! Spin locks, plain and queued.

use kernel::ke::LockQueueHandle;
use kernel::raw;

use crate::row::rows;

/// `SYNCH_LEVEL` of x64, in abi's terms one below CLOCK_LEVEL.
const SYNCH_LEVEL: u8 = 12;

rows! {
    dll = "ntoskrnl.exe";

    /// Initialises a spin lock: free.
    irql(HIGH_LEVEL)
    fn KeInitializeSpinLock(call, spin_lock: u64) -> () {
        let _ = call;
        raw::write(spin_lock, 0_u64)
    }

    /// Raises the IRQL to DISPATCH_LEVEL and acquires a spin lock; returns the old IRQL.
    irql(DISPATCH_LEVEL)
    fn KeAcquireSpinLockRaiseToDpc(call, spin_lock: u64) -> u8 {
        call.kernel.ke.acquire_spin_lock_raise_to_dpc(call.kernel, call.thread, spin_lock)
    }

    /// Releases a spin lock and lowers the IRQL.
    irql(HIGH_LEVEL)
    fn KeReleaseSpinLock(call, spin_lock: u64, new_irql: u8) -> () {
        call.kernel.ke.release_spin_lock(call.kernel, call.thread, spin_lock, new_irql)
    }

    /// Acquires a spin lock at DISPATCH_LEVEL or above, without changing the IRQL.
    irql(HIGH_LEVEL)
    fn KeAcquireSpinLockAtDpcLevel(call, spin_lock: u64) -> () {
        call.kernel.ke.acquire_spin_lock_at_dpc_level(call.kernel, call.thread, spin_lock)
    }

    /// Releases a spin lock without changing the IRQL.
    irql(HIGH_LEVEL)
    fn KeReleaseSpinLockFromDpcLevel(call, spin_lock: u64) -> () {
        call.kernel.ke.release_spin_lock_from_dpc_level(call.kernel, call.thread, spin_lock)
    }

    /// Acquires a spin lock if it is free, at DISPATCH_LEVEL or above.
    irql(HIGH_LEVEL)
    fn KeTryToAcquireSpinLockAtDpcLevel(call, spin_lock: u64) -> bool {
        call.kernel.ke.try_to_acquire_spin_lock_at_dpc_level(call.kernel, call.thread, spin_lock)
    }

    /// Whether a spin lock is free.
    irql(HIGH_LEVEL)
    fn KeTestSpinLock(call, spin_lock: u64) -> bool {
        call.kernel.ke.test_spin_lock(spin_lock)
    }

    /// Acquires a spin lock in a DPC, raising to DISPATCH_LEVEL a threaded one; returns the old IRQL.
    irql(DISPATCH_LEVEL)
    fn KeAcquireSpinLockForDpc(call, spin_lock: u64) -> u8 {
        call.kernel.ke.acquire_spin_lock_raise_to_dpc(call.kernel, call.thread, spin_lock)
    }

    /// Releases a spin lock in a DPC and goes back to the old IRQL.
    irql(DISPATCH_LEVEL)
    fn KeReleaseSpinLockForDpc(call, spin_lock: u64, old_irql: u8) -> () {
        call.kernel.ke.release_spin_lock(call.kernel, call.thread, spin_lock, old_irql)
    }

    /// Raises the IRQL to SYNCH_LEVEL and acquires a spin lock; returns the old IRQL.
    irql(HIGH_LEVEL)
    fn KeAcquireSpinLockRaiseToSynch(call, spin_lock: u64) -> u8 {
        let ke = &call.kernel.ke;
        let old = ke.kf_raise_irql(call.kernel, SYNCH_LEVEL)?;
        match ke.acquire_spin_lock_at_dpc_level(call.kernel, call.thread, spin_lock) {
            Ok(()) => Ok(old),
            Err(unwind) => {
                ke.lower_irql(call.kernel, old);
                Err(unwind)
            }
        }
    }

    /// Raises the IRQL to DISPATCH_LEVEL and acquires a queued spin lock.
    irql(DISPATCH_LEVEL) alias("KeAcquireInStackQueuedSpinLockForDpc")
    fn KeAcquireInStackQueuedSpinLock(call, spin_lock: u64, lock_handle: u64) -> () {
        let handle = LockQueueHandle::at(lock_handle);
        call.kernel.ke.acquire_in_stack_queued_spin_lock(call.kernel, call.thread, spin_lock, handle)
    }

    /// Releases a queued spin lock and lowers the IRQL to what it was.
    irql(HIGH_LEVEL) alias("KeReleaseInStackQueuedSpinLockForDpc")
    fn KeReleaseInStackQueuedSpinLock(call, lock_handle: u64) -> () {
        let handle = LockQueueHandle::at(lock_handle);
        call.kernel.ke.release_in_stack_queued_spin_lock(call.kernel, call.thread, handle)
    }

    /// Acquires a queued spin lock at DISPATCH_LEVEL or above, without changing the IRQL.
    irql(HIGH_LEVEL)
    fn KeAcquireInStackQueuedSpinLockAtDpcLevel(call, spin_lock: u64, lock_handle: u64) -> () {
        let handle = LockQueueHandle::at(lock_handle);
        let ke = &call.kernel.ke;
        ke.acquire_in_stack_queued_spin_lock_at_dpc_level(call.kernel, call.thread, spin_lock, handle)
    }

    /// Releases a queued spin lock without changing the IRQL.
    irql(HIGH_LEVEL)
    fn KeReleaseInStackQueuedSpinLockFromDpcLevel(call, lock_handle: u64) -> () {
        let handle = LockQueueHandle::at(lock_handle);
        call.kernel.ke.release_in_stack_queued_spin_lock_from_dpc_level(call.kernel, call.thread, handle)
    }

    /// Raises the IRQL to SYNCH_LEVEL and acquires a queued spin lock.
    irql(HIGH_LEVEL)
    fn KeAcquireInStackQueuedSpinLockRaiseToSynch(call, spin_lock: u64, lock_handle: u64) -> () {
        let handle = LockQueueHandle::at(lock_handle);
        let ke = &call.kernel.ke;
        let old = ke.kf_raise_irql(call.kernel, SYNCH_LEVEL)?;
        let acquired = handle.set_old_irql(old).and_then(|()| {
            ke.acquire_in_stack_queued_spin_lock_at_dpc_level(call.kernel, call.thread, spin_lock, handle)
        });
        if acquired.is_err() {
            ke.lower_irql(call.kernel, old);
        }
        acquired
    }
}
