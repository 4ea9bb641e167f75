//! Reader/writer spin locks (`EX_SPIN_LOCK`): one holder has exclusive access, or many share. Their holders own processors.
//!
//! The word, of 32 bits, counts in its low half who shares, or looks whether it can, and in its high half the same for
//! exclusive access. Who finds another before it takes its count back and tries again; one that is first for exclusive access
//! keeps it, so that no more share, and waits for those who do.
//!
//! Source: ddi, ExAcquireSpinLockExclusive, ExAcquireSpinLockShared, ExTryConvertSharedSpinLockExclusive.

use abi::DISPATCH_LEVEL;

use super::spin_lock::{own_lock_check, spin};
use super::{Dispatcher, Thread};
use crate::Kernel;
use crate::raw::{self, Outcome};

const SHARED: u32 = 1;
const EXCLUSIVE: u32 = 1 << 16;
const SHARERS: u32 = EXCLUSIVE - 1;

/// How a reader/writer spin lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpinAccess {
    /// With others that share.
    Shared,
    /// Alone.
    Exclusive,
}

fn add(lock: u64, count: u32) -> Outcome<u32> {
    raw::fetch_add(lock, count)
}

fn subtract(lock: u64, count: u32) -> Outcome<()> {
    raw::fetch_add(lock, count.wrapping_neg()).map(drop)
}

/// Counts itself in, unless another is before it.
fn try_enter(lock: u64, access: SpinAccess) -> Outcome<bool> {
    let count = match access {
        SpinAccess::Shared => SHARED,
        SpinAccess::Exclusive => EXCLUSIVE,
    };
    if add(lock, count)? < EXCLUSIVE {
        return Ok(true);
    }
    subtract(lock, count).map(|()| false)
}

impl Dispatcher {
    /// Acquires a reader/writer spin lock without touching the IRQL (`ddi: ExAcquireSpinLockSharedAtDpcLevel`,
    /// `ExAcquireSpinLockExclusiveAtDpcLevel`). IRQL: DISPATCH_LEVEL and above, unchecked as on NT.
    ///
    /// A thread that would wait for itself: bugcheck SPIN_LOCK_ALREADY_OWNED, where NT would spin for ever.
    ///
    /// # Errors
    /// An access violation; `Unwind::Halt` when the machine stops.
    pub fn acquire_shared_spin_lock_at_dpc_level(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        lock: u64,
        access: SpinAccess,
    ) -> Outcome<()> {
        kernel.platform.preemption_point();
        if !try_enter(lock, access)? {
            own_lock_check(kernel, thread, lock)?;
            spin(kernel, || Ok(raw::read::<u32>(lock)? < EXCLUSIVE && try_enter(lock, access)?))?;
        }
        if access == SpinAccess::Exclusive && raw::read::<u32>(lock)? & SHARERS != 0 {
            own_lock_check(kernel, thread, lock)?;
            spin(kernel, || Ok(raw::read::<u32>(lock)? & SHARERS == 0))?;
        }
        thread.held_spin_locks().add(lock);
        Ok(())
    }

    /// Raises to DISPATCH_LEVEL, acquires the lock, and returns the old IRQL (`ddi: ExAcquireSpinLockShared`,
    /// `ExAcquireSpinLockExclusive`). IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    /// As for [`Self::acquire_shared_spin_lock_at_dpc_level`]; the IRQL is then as it was.
    pub fn acquire_shared_spin_lock(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        lock: u64,
        access: SpinAccess,
    ) -> Outcome<u8> {
        let old = self.kf_raise_irql(kernel, DISPATCH_LEVEL)?;
        if let Err(unwind) = self.acquire_shared_spin_lock_at_dpc_level(kernel, thread, lock, access) {
            self.lower_irql(kernel, old);
            return Err(unwind);
        }
        Ok(old)
    }

    /// Releases it without touching the IRQL.
    ///
    /// # Errors
    /// An access violation.
    pub fn release_shared_spin_lock_from_dpc_level(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        lock: u64,
        access: SpinAccess,
    ) -> Outcome<()> {
        kernel.platform.preemption_point();
        thread.held_spin_locks().remove(lock);
        subtract(lock, if access == SpinAccess::Shared { SHARED } else { EXCLUSIVE })
    }

    /// Makes shared access exclusive, if nobody else shares it or waits for it (`ddi: ExTryConvertSharedSpinLockExclusive`).
    /// IRQL: DISPATCH_LEVEL and above. False also when another looks at the lock just then.
    ///
    /// # Errors
    /// An access violation.
    pub fn try_convert_shared_spin_lock(&self, lock: u64) -> Outcome<bool> {
        if add(lock, EXCLUSIVE)? == SHARED {
            return subtract(lock, SHARED).map(|()| true);
        }
        subtract(lock, EXCLUSIVE).map(|()| false)
    }
}
