//! Reader/writer spin locks.

use kernel::Outcome;
use kernel::ke::SpinAccess;
use kernel::ke::SpinAccess::{Exclusive, Shared};

use crate::Call;
use crate::row::rows;

fn acquire(call: Call<'_>, lock: u64, access: SpinAccess) -> Outcome<u8> {
    call.kernel.ke.acquire_shared_spin_lock(call.kernel, call.thread, lock, access)
}

fn acquire_here(call: Call<'_>, lock: u64, access: SpinAccess) -> Outcome<()> {
    call.kernel.ke.acquire_shared_spin_lock_at_dpc_level(call.kernel, call.thread, lock, access)
}

fn release_here(call: Call<'_>, lock: u64, access: SpinAccess) -> Outcome<()> {
    call.kernel.ke.release_shared_spin_lock_from_dpc_level(call.kernel, call.thread, lock, access)
}

fn release(call: Call<'_>, lock: u64, access: SpinAccess, irql: u8) -> Outcome<()> {
    release_here(call, lock, access)?;
    call.kernel.ke.ke_lower_irql(call.kernel, irql)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Raises to DISPATCH_LEVEL and acquires a spin lock together with others that share it; returns the old IRQL.
    irql(DISPATCH_LEVEL)
    fn ExAcquireSpinLockShared(call, spin_lock: u64) -> u8 {
        acquire(call, spin_lock, Shared)
    }

    /// Raises to DISPATCH_LEVEL and acquires a spin lock alone; returns the old IRQL.
    irql(DISPATCH_LEVEL)
    fn ExAcquireSpinLockExclusive(call, spin_lock: u64) -> u8 {
        acquire(call, spin_lock, Exclusive)
    }

    /// As ExAcquireSpinLockShared, at DISPATCH_LEVEL already.
    irql(HIGH_LEVEL)
    fn ExAcquireSpinLockSharedAtDpcLevel(call, spin_lock: u64) -> () {
        acquire_here(call, spin_lock, Shared)
    }

    /// As ExAcquireSpinLockExclusive, at DISPATCH_LEVEL already.
    irql(HIGH_LEVEL)
    fn ExAcquireSpinLockExclusiveAtDpcLevel(call, spin_lock: u64) -> () {
        acquire_here(call, spin_lock, Exclusive)
    }

    /// Releases a spin lock that was shared, and lowers the IRQL.
    irql(DISPATCH_LEVEL)
    fn ExReleaseSpinLockShared(call, spin_lock: u64, old_irql: u8) -> () {
        release(call, spin_lock, Shared, old_irql)
    }

    /// Releases a spin lock that was held alone, and lowers the IRQL.
    irql(DISPATCH_LEVEL)
    fn ExReleaseSpinLockExclusive(call, spin_lock: u64, old_irql: u8) -> () {
        release(call, spin_lock, Exclusive, old_irql)
    }

    /// Releases a spin lock that was shared.
    irql(HIGH_LEVEL)
    fn ExReleaseSpinLockSharedFromDpcLevel(call, spin_lock: u64) -> () {
        release_here(call, spin_lock, Shared)
    }

    /// Releases a spin lock that was held alone.
    irql(HIGH_LEVEL)
    fn ExReleaseSpinLockExclusiveFromDpcLevel(call, spin_lock: u64) -> () {
        release_here(call, spin_lock, Exclusive)
    }

    /// Makes a shared spin lock the caller's alone, if nobody else shares it or waits for it.
    irql(HIGH_LEVEL)
    fn ExTryConvertSharedSpinLockExclusive(call, spin_lock: u64) -> bool {
        call.kernel.ke.try_convert_shared_spin_lock(spin_lock)
    }
}
