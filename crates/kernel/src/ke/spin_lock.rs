//! Spin locks, plain and queued. Their holder owns a processor, so it runs; a waiter spins briefly and then lets other
//! threads run.
//!
//! Plain: the word is zero or one. Queued (Mellor-Crummey and Scott's list, with its release that needs no
//! compare-and-swap): the word is the address of the last handle in the queue.

use std::sync::atomic::{AtomicU64, Ordering};

use abi::DISPATCH_LEVEL;

use super::{Dispatcher, Thread};
use crate::raw::{self, Outcome, raw_object};
use crate::{Kernel, Unwind};

raw_object! {
    /// A caller's place in the queue of a queued spin lock.
    LockQueueHandle: abi::KLOCK_QUEUE_HANDLE {
        next, set_next: u64 = LockQueue.Next;
        lock, set_lock: u64 = LockQueue.Lock;
        old_irql, set_old_irql: u8 = OldIrql;
    }
}

const HELD: u64 = 1;

/// In a handle's `Lock`: its owner still waits.
const WAITING: u64 = 1;

/// The spin locks that a thread holds, by address: for reports, and to find a thread that waits for itself.
#[derive(Debug, Default)]
pub struct HeldSpinLocks {
    /// Zero is free. A thread that holds more than fit has the others unrecorded.
    slots: [AtomicU64; 8],
}

impl HeldSpinLocks {
    /// Their addresses, in no order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.slots.iter().map(|slot| slot.load(Ordering::Relaxed)).filter(|lock| *lock != 0)
    }

    pub(super) fn add(&self, lock: u64) {
        self.replace(0, lock);
    }

    pub(super) fn remove(&self, lock: u64) {
        self.replace(lock, 0);
    }

    fn replace(&self, old: u64, new: u64) {
        if let Some(slot) = self.slots.iter().find(|slot| slot.load(Ordering::Relaxed) == old) {
            slot.store(new, Ordering::Relaxed);
        }
    }
}

impl Dispatcher {
    /// Raises to DISPATCH_LEVEL, acquires a spin lock, and returns the old IRQL (`ddi: KeAcquireSpinLock`, exported as
    /// KeAcquireSpinLockRaiseToDpc). IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    /// As for [`Self::acquire_spin_lock_at_dpc_level`]; the IRQL is then as it was.
    pub fn acquire_spin_lock_raise_to_dpc(&self, kernel: &Kernel, thread: &Thread, lock: u64) -> Outcome<u8> {
        let old = self.kf_raise_irql(kernel, DISPATCH_LEVEL)?;
        if let Err(unwind) = self.acquire_spin_lock_at_dpc_level(kernel, thread, lock) {
            self.lower_irql(kernel, old);
            return Err(unwind);
        }
        Ok(old)
    }

    /// Acquires a spin lock without touching the IRQL (`ddi: KeAcquireSpinLockAtDpcLevel`). IRQL: DISPATCH_LEVEL and
    /// above, unchecked as on NT.
    ///
    /// A lock that the thread holds already: bugcheck SPIN_LOCK_ALREADY_OWNED, where NT would spin for ever.
    ///
    /// # Errors
    /// An access violation; `Unwind::Halt` when the machine stops.
    pub fn acquire_spin_lock_at_dpc_level(&self, kernel: &Kernel, thread: &Thread, lock: u64) -> Outcome<()> {
        kernel.platform.preemption_point();
        if raw::exchange(lock, HELD)? != 0 {
            own_lock_check(kernel, thread, lock)?;
            spin(kernel, || Ok(raw::read::<u64>(lock)? == 0 && raw::exchange(lock, HELD)? == 0))?;
        }
        thread.held_spin_locks().add(lock);
        Ok(())
    }

    /// Acquires a spin lock if it is free (`ddi: KeTryToAcquireSpinLockAtDpcLevel`). IRQL: DISPATCH_LEVEL and above.
    ///
    /// # Errors
    /// An access violation.
    pub fn try_to_acquire_spin_lock_at_dpc_level(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        lock: u64,
    ) -> Outcome<bool> {
        kernel.platform.preemption_point();
        let taken = raw::read::<u64>(lock)? == 0 && raw::exchange(lock, HELD)? == 0;
        if taken {
            thread.held_spin_locks().add(lock);
        }
        Ok(taken)
    }

    /// Releases a spin lock and lowers the IRQL (`ddi: KeReleaseSpinLock`).
    ///
    /// # Errors
    /// As for [`Self::release_spin_lock_from_dpc_level`] and [`Self::ke_lower_irql`].
    pub fn release_spin_lock(&self, kernel: &Kernel, thread: &Thread, lock: u64, irql: u8) -> Outcome<()> {
        self.release_spin_lock_from_dpc_level(kernel, thread, lock)?;
        self.ke_lower_irql(kernel, irql)
    }

    /// Releases a spin lock without touching the IRQL (`ddi: KeReleaseSpinLockFromDpcLevel`).
    ///
    /// # Errors
    /// An access violation.
    pub fn release_spin_lock_from_dpc_level(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        lock: u64,
    ) -> Outcome<()> {
        kernel.platform.preemption_point();
        thread.held_spin_locks().remove(lock);
        raw::write::<u64>(lock, 0)
    }

    /// Whether a spin lock is free (`ddi: KeTestSpinLock`).
    ///
    /// # Errors
    /// An access violation.
    pub fn test_spin_lock(&self, lock: u64) -> Outcome<bool> {
        Ok(raw::read::<u64>(lock)? == 0)
    }

    /// Raises to DISPATCH_LEVEL and acquires a queued spin lock (`ddi: KeAcquireInStackQueuedSpinLock`); the handle keeps
    /// the old IRQL. Waiters get the lock in the order of their arrival. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    /// As for [`Self::acquire_in_stack_queued_spin_lock_at_dpc_level`].
    pub fn acquire_in_stack_queued_spin_lock(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        lock: u64,
        handle: LockQueueHandle,
    ) -> Outcome<()> {
        let old = self.kf_raise_irql(kernel, DISPATCH_LEVEL)?;
        let acquired = handle
            .set_old_irql(old)
            .and_then(|()| self.acquire_in_stack_queued_spin_lock_at_dpc_level(kernel, thread, lock, handle));
        if acquired.is_err() {
            self.lower_irql(kernel, old);
        }
        acquired
    }

    /// Acquires a queued spin lock without touching the IRQL (`ddi: KeAcquireInStackQueuedSpinLockAtDpcLevel`).
    ///
    /// A lock that the thread holds already, or that was acquired as a plain one: bugcheck SPIN_LOCK_ALREADY_OWNED.
    ///
    /// # Errors
    /// An access violation; `Unwind::Halt` when the machine stops.
    pub fn acquire_in_stack_queued_spin_lock_at_dpc_level(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        lock: u64,
        handle: LockQueueHandle,
    ) -> Outcome<()> {
        own_lock_check(kernel, thread, lock)?;
        handle.set_next(0)?;
        handle.set_lock(lock | WAITING)?;
        kernel.platform.preemption_point();
        let previous = raw::exchange(lock, handle.address())?;
        if previous == HELD {
            return already_owned(kernel, lock);
        }
        if previous != 0 {
            kernel.platform.preemption_point();
            LockQueueHandle::at(previous).set_next(handle.address())?;
            spin(kernel, || Ok(handle.lock()? & WAITING == 0))?;
        }
        thread.held_spin_locks().add(lock);
        handle.set_lock(lock)
    }

    /// Releases a queued spin lock and lowers the IRQL to what it was (`ddi: KeReleaseInStackQueuedSpinLock`).
    ///
    /// # Errors
    /// As for [`Self::release_in_stack_queued_spin_lock_from_dpc_level`] and [`Self::ke_lower_irql`].
    pub fn release_in_stack_queued_spin_lock(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        handle: LockQueueHandle,
    ) -> Outcome<()> {
        let irql = handle.old_irql()?;
        self.release_in_stack_queued_spin_lock_from_dpc_level(kernel, thread, handle)?;
        self.ke_lower_irql(kernel, irql)
    }

    /// Releases a queued spin lock without touching the IRQL (`ddi: KeReleaseInStackQueuedSpinLockFromDpcLevel`).
    ///
    /// # Errors
    /// An access violation; `Unwind::Halt` when the machine stops.
    pub fn release_in_stack_queued_spin_lock_from_dpc_level(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        handle: LockQueueHandle,
    ) -> Outcome<()> {
        kernel.platform.preemption_point();
        let lock = handle.lock()? & !WAITING;
        thread.held_spin_locks().remove(lock);
        if handle.next()? == 0 {
            let last = raw::exchange(lock, 0)?;
            if last == handle.address() {
                return Ok(());
            }
            // Others have queued meanwhile, and the exchange took their queue off: put it back, behind whoever
            // acquired the lock in between.
            kernel.platform.preemption_point();
            let usurper = raw::exchange(lock, last)?;
            spin(kernel, || Ok(handle.next()? != 0))?;
            if usurper != 0 {
                return LockQueueHandle::at(usurper).set_next(handle.next()?);
            }
        }
        LockQueueHandle::at(handle.next()?).set_lock(lock)
    }
}

/// Spins until `done`, letting other threads run after the first rounds.
#[cold]
pub(super) fn spin(kernel: &Kernel, mut done: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    let mut round = 0_u32;
    while !done()? {
        if kernel.is_halted() {
            return Err(Unwind::Halt);
        }
        kernel.platform.relax(round);
        round = round.saturating_add(1);
    }
    Ok(())
}

pub(super) fn own_lock_check(kernel: &Kernel, thread: &Thread, lock: u64) -> Outcome<()> {
    if thread.held_spin_locks().iter().any(|held| held == lock) {
        return already_owned(kernel, lock);
    }
    Ok(())
}

#[cold]
fn already_owned(kernel: &Kernel, lock: u64) -> Outcome<()> {
    kernel.bug_check(abi::SPIN_LOCK_ALREADY_OWNED, [lock, 0, 0, raw::return_address()]);
    Err(Unwind::Halt)
}
