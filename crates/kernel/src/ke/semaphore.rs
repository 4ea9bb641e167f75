//! Semaphores.

use abi::SemaphoreObject;

use super::Dispatcher;
use super::object::{initialize_header, release_waiters, state_of};
use super::wait_list::Wakes;
use crate::raw::{DispatcherHeader, Outcome, raw_object};
use crate::{Kernel, Unwind};

raw_object! {
    /// A semaphore. Its signal state is its count.
    Ksemaphore: abi::KSEMAPHORE {
        limit, set_limit: u32 = Limit;
    }
}

impl Ksemaphore {
    /// Its dispatcher header.
    #[must_use]
    pub fn header(self) -> DispatcherHeader {
        DispatcherHeader::at(self.address())
    }
}

impl Dispatcher {
    /// Makes a semaphore (`ddi: KeInitializeSemaphore`). Any IRQL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn initialize_semaphore(&self, semaphore: Ksemaphore, count: i32, limit: i32) -> Outcome<()> {
        initialize_header(semaphore.header(), SemaphoreObject, Ksemaphore::SIZE, count)?;
        semaphore.set_limit(limit.cast_unsigned())
    }

    /// Adds to the count, releasing one waiter for each (`ddi: KeReleaseSemaphore`); returns the old count. IRQL: up to
    /// DISPATCH_LEVEL. NT's `Wait` has no effect: the wait that follows it begins with its own call.
    ///
    /// # Errors
    /// `STATUS_SEMAPHORE_LIMIT_EXCEEDED` when the count would pass the limit, or the adjustment is negative: the count
    /// is then as it was. An access violation.
    pub fn release_semaphore(
        &self,
        kernel: &Kernel,
        semaphore: Ksemaphore,
        _increment: i32,
        adjustment: i32,
    ) -> Outcome<i32> {
        let mut wakes = Wakes::default();
        let mut state = self.lock(kernel);
        let result = add(semaphore, adjustment).and_then(|old| {
            release_waiters(&mut state, semaphore.address(), &mut wakes)?;
            Ok(old)
        });
        drop(state);
        wakes.wake(kernel);
        result
    }

    /// The count of a semaphore (`ddi: KeReadStateSemaphore`). Any IRQL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn read_state_semaphore(&self, semaphore: Ksemaphore) -> Outcome<i32> {
        state_of(semaphore.header())
    }
}

fn add(semaphore: Ksemaphore, adjustment: i32) -> Outcome<i32> {
    let old = state_of(semaphore.header())?;
    let limit = semaphore.limit()?.cast_signed();
    match old.checked_add(adjustment) {
        Some(new) if new >= old && new <= limit => {
            semaphore.header().set_signal_state(new.cast_unsigned())?;
            Ok(old)
        }
        _ => Err(Unwind::status(abi::STATUS_SEMAPHORE_LIMIT_EXCEEDED)),
    }
}
