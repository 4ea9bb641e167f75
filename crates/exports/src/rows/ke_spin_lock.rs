//! Spin locks, plain and queued.

use kernel::raw;

use crate::row::rows;

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
}
