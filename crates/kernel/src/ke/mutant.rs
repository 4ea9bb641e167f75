//! Mutants: `KMUTEX`, and the mutants behind Win32's mutexes.

use std::sync::atomic::Ordering;

use abi::MutantObject;

use super::object::{initialize_header, release_waiters, state_of};
use super::wait_list::Wakes;
use super::{Dispatcher, Thread};
use crate::raw::{DispatcherHeader, Outcome, raw_object};
use crate::{Kernel, Unwind};

raw_object! {
    /// A mutant. Its signal state is one minus the times that its owner has acquired it.
    Kmutant: abi::KMUTANT {
        owner_thread, set_owner_thread: u64 = OwnerThread;
        abandoned, set_abandoned: u8 = Abandoned;
        apc_disable, set_apc_disable: u8 = ApcDisable;
    }
}

/// Offset of `MutantListEntry`, which nothing is linked through: who owns what is kept by thread.
const LIST_ENTRY: u64 = std::mem::offset_of!(abi::KMUTANT, MutantListEntry) as u64;

impl Kmutant {
    /// Its dispatcher header.
    #[must_use]
    pub fn header(self) -> DispatcherHeader {
        DispatcherHeader::at(self.address())
    }

    /// Address of the thread object of its owner; 0 when it is free.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn owner(self) -> Outcome<u64> {
        self.owner_thread()
    }

    /// Takes the mutant from `thread`, which has ended, if it still owns it: then says its `ApcDisable`.
    pub(super) fn abandon(self, thread: u64) -> Outcome<Option<u8>> {
        if self.header().object_type()? != MutantObject || self.owner_thread()? != thread {
            return Ok(None);
        }
        let apc_disable = self.apc_disable()?;
        self.set_owner_thread(0)?;
        self.set_abandoned(1)?;
        self.header().set_signal_state(1)?;
        Ok(Some(apc_disable))
    }
}

impl Dispatcher {
    /// Makes a mutex that nobody owns (`ddi: KeInitializeMutex`; the level is ignored there too). Its owner has normal
    /// kernel APCs disabled, and may not end before releasing it. Any IRQL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn initialize_mutex(&self, mutant: Kmutant) -> Outcome<()> {
        initialize(mutant, 1)
    }

    /// Makes a mutant, owned by `owner` from the start if given: what a Win32 mutex is. Its owner may end: the mutant is
    /// then abandoned. IRQL: below DISPATCH_LEVEL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn initialize_mutant(&self, kernel: &Kernel, mutant: Kmutant, owner: Option<&Thread>) -> Outcome<()> {
        let _state = self.lock(kernel);
        initialize(mutant, 0)?;
        match owner {
            Some(thread) => super::object::acquire(mutant.address(), thread.waiter()).map(drop),
            None => Ok(()),
        }
    }

    /// Releases a mutex once (`ddi: KeReleaseMutex`); returns its old state: zero when it is now free, below zero when
    /// `thread` has acquired it more often than released. IRQL: up to DISPATCH_LEVEL. NT's `Wait` has no effect: the
    /// wait that follows it begins with its own call.
    ///
    /// # Errors
    /// `STATUS_MUTANT_NOT_OWNED`, or `STATUS_ABANDONED` for a mutant that its owner abandoned, when `thread` is not its
    /// owner; an access violation.
    pub fn release_mutex(&self, kernel: &Kernel, thread: &Thread, mutant: Kmutant) -> Outcome<i32> {
        let mut wakes = Wakes::default();
        let mut state = self.lock(kernel);
        let result = release(thread, mutant).and_then(|old| {
            if old == 0 {
                release_waiters(&mut state, mutant.address(), &mut wakes)?;
            }
            Ok(old)
        });
        drop(state);
        wakes.wake(kernel);
        result
    }

    /// Takes a mutant from `thread`, if it owns it, before its memory goes. Any IRQL.
    pub fn disown_mutant(&self, kernel: &Kernel, thread: &Thread, mutant: Kmutant) {
        let _state = self.lock(kernel);
        let _its_memory_is_there = mutant.abandon(thread.object);
        thread.waiter().state().mutants.retain(|address| *address != mutant.address());
    }

    /// Abandons the mutants that `thread` owns; mutexes of drivers it keeps. IRQL: below DISPATCH_LEVEL.
    pub fn abandon_mutants(&self, kernel: &Kernel, thread: &Thread) {
        let mut wakes = Wakes::default();
        let mut state = self.lock(kernel);
        let mutants = std::mem::take(&mut thread.waiter().state().mutants);
        for address in mutants {
            let mutant = Kmutant::at(address);
            if mutant.apc_disable().is_ok_and(|disabled| disabled != 0) {
                thread.waiter().state().mutants.push(address);
            } else if let Ok(Some(_)) = mutant.abandon(thread.object) {
                let _unreadable = release_waiters(&mut state, address, &mut wakes);
            }
        }
        drop(state);
        wakes.wake(kernel);
    }

    /// The state of a mutex (`ddi: KeReadStateMutex`): 1 when it is free. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn read_state_mutex(&self, mutant: Kmutant) -> Outcome<i32> {
        state_of(mutant.header())
    }
}

fn initialize(mutant: Kmutant, apc_disable: u8) -> Outcome<()> {
    initialize_header(mutant.header(), MutantObject, Kmutant::SIZE, 1)?;
    let list = mutant.address().wrapping_add(LIST_ENTRY);
    crate::raw::write(list, list)?;
    crate::raw::write(list.wrapping_add(8), list)?;
    mutant.set_owner_thread(0)?;
    mutant.set_abandoned(0)?;
    mutant.set_apc_disable(apc_disable)
}

fn release(thread: &Thread, mutant: Kmutant) -> Outcome<i32> {
    if mutant.owner_thread()? != thread.object {
        let abandoned = mutant.abandoned()? != 0;
        let status = if abandoned { abi::STATUS_ABANDONED } else { abi::STATUS_MUTANT_NOT_OWNED };
        return Err(Unwind::status(status));
    }
    let old = state_of(mutant.header())?;
    let new = old.saturating_add(1);
    mutant.header().set_signal_state(new.cast_unsigned())?;
    if new >= 1 {
        mutant.set_owner_thread(0)?;
        let apc_disable = i32::from(mutant.apc_disable()?);
        let waiter = thread.waiter();
        waiter.kernel_apc_disable.fetch_add(apc_disable, Ordering::Relaxed);
        waiter.state().mutants.retain(|address| *address != mutant.address());
    }
    Ok(old)
}
