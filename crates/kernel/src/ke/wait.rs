//! Waits: `KeWaitForSingleObject`, `KeWaitForMultipleObjects`, `KeDelayExecutionThread`.
//!
//! A thread registers with each object of its wait under the dispatcher's lock, then parks. Whoever signals takes from
//! the objects what the wait takes, on the waiter's behalf, and so decides which wait ends.

use abi::{DISPATCH_LEVEL, NTSTATUS};
use platform::{Parked, Platform};

use super::object::try_acquire;
use super::queue::{begin_wait, end_wait};
use super::wait_list::{NO_OBJECT, Wakes};
use super::{Dispatcher, Thread};
use crate::raw::{self, Outcome};
use crate::{Kernel, Unwind};

/// Whose wait it is: only user-mode waits are ended by user APCs and by the thread's termination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessorMode {
    /// `KernelMode`, 0.
    Kernel,
    /// `UserMode`, 1.
    User,
}

impl ProcessorMode {
    /// From `KPROCESSOR_MODE`; NT takes every other value than `KernelMode` for `UserMode`.
    #[must_use]
    pub fn from_raw(mode: i8) -> Self {
        if mode == abi::KernelMode { Self::Kernel } else { Self::User }
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::Kernel => 0,
            Self::User => 1,
        }
    }
}

/// How many objects a wait needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitType {
    /// `WaitAll`, 0: all at the same moment.
    All,
    /// `WaitAny`, 1: one of them.
    Any,
}

impl WaitType {
    /// From `WAIT_TYPE`; None for other values.
    #[must_use]
    pub fn from_raw(value: i32) -> Option<Self> {
        match value {
            abi::WaitAll => Some(Self::All),
            abi::WaitAny => Some(Self::Any),
            _ => None,
        }
    }
}

/// How long a wait may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Until something else ends it.
    Never,
    /// As in `LARGE_INTEGER`, in units of 100 ns: below zero relative to now; above zero a system time; zero only
    /// looks. A system time is turned into interrupt time when the wait begins: later changes of the clock do not
    /// move it.
    At(i64),
}

impl Timeout {
    /// Reads a `PLARGE_INTEGER`; NULL never comes.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn read(pointer: u64) -> Outcome<Self> {
        if pointer == 0 {
            return Ok(Self::Never);
        }
        raw::read::<u64>(pointer).map(|value| Self::At(value.cast_signed()))
    }

    /// When it comes, in interrupt time.
    pub(super) fn deadline(self, platform: &dyn Platform) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::At(time) => Some(deadline(platform, time)),
        }
    }
}

/// The interrupt time at which a `LARGE_INTEGER` time (see [`Timeout::At`]) comes.
pub(super) fn deadline(platform: &dyn Platform, time: i64) -> u64 {
    let now = platform.interrupt_time();
    if time <= 0 {
        return now.saturating_add(time.unsigned_abs());
    }
    now.saturating_add(time.cast_unsigned().saturating_sub(platform.system_time()))
}

struct Wait<'a> {
    objects: &'a [u64],
    kind: WaitType,
    mode: ProcessorMode,
    alertable: bool,
    timeout: Timeout,
}

impl Dispatcher {
    /// Waits for the dispatcher object at `object` (`ddi: KeWaitForSingleObject`).
    ///
    /// IRQL: below DISPATCH_LEVEL; at DISPATCH_LEVEL only with a timeout of zero, else bugcheck
    /// ATTEMPTED_SWITCH_FROM_DPC in a DPC and IRQL_NOT_LESS_OR_EQUAL elsewhere, whether or not the object is
    /// signaled, so that the bug shows each time.
    ///
    /// Returns `STATUS_SUCCESS`, `STATUS_ABANDONED_WAIT_0`, `STATUS_TIMEOUT`, `STATUS_ALERTED` (an alertable wait) or
    /// `STATUS_USER_APC` (a user-mode wait).
    ///
    /// # Errors
    /// An access violation; `STATUS_MUTANT_LIMIT_EXCEEDED`; `Unwind::Halt` when the machine stops.
    pub fn wait_for_single_object(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        object: u64,
        mode: ProcessorMode,
        alertable: bool,
        timeout: Timeout,
    ) -> Outcome<NTSTATUS> {
        let wait = Wait { objects: &[object], kind: WaitType::Any, mode, alertable, timeout };
        self.wait(kernel, thread, &wait)
    }

    /// Waits for one or all of the dispatcher objects at `objects` (`ddi: KeWaitForMultipleObjects`).
    ///
    /// `wait_blocks` is the address of the caller's array of `KWAIT_BLOCK`, which is not written; without one (0) at
    /// most `THREAD_WAIT_OBJECTS` objects can be named, with one `MAXIMUM_WAIT_OBJECTS`, else bugcheck
    /// MAXIMUM_WAIT_OBJECTS_EXCEEDED.
    ///
    /// IRQL and errors as for [`Self::wait_for_single_object`]; `STATUS_WAIT_0` and `STATUS_ABANDONED_WAIT_0` carry the
    /// object's index for [`WaitType::Any`]. `STATUS_INVALID_PARAMETER` for no objects at all.
    ///
    /// # Errors
    /// As for [`Self::wait_for_single_object`].
    #[expect(clippy::too_many_arguments, reason = "the service's own arguments")]
    pub fn wait_for_multiple_objects(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        objects: &[u64],
        kind: WaitType,
        mode: ProcessorMode,
        alertable: bool,
        timeout: Timeout,
        wait_blocks: u64,
    ) -> Outcome<NTSTATUS> {
        let most = if wait_blocks == 0 { abi::THREAD_WAIT_OBJECTS } else { abi::MAXIMUM_WAIT_OBJECTS };
        if objects.len() > most as usize {
            kernel.bug_check(abi::MAXIMUM_WAIT_OBJECTS_EXCEEDED, [objects.len() as u64, 0, 0, 0]);
            return Err(Unwind::Halt);
        }
        if objects.is_empty() {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        }
        self.wait(kernel, thread, &Wait { objects, kind, mode, alertable, timeout })
    }

    /// Lets time pass (`ddi: KeDelayExecutionThread`); `interval` as in [`Timeout::At`], zero gives other threads a turn.
    ///
    /// IRQL: below DISPATCH_LEVEL, else the bugchecks of [`Self::wait_for_single_object`]. Returns `STATUS_SUCCESS`,
    /// `STATUS_ALERTED` or `STATUS_USER_APC`.
    ///
    /// # Errors
    /// `Unwind::Halt` when the machine stops.
    pub fn delay_execution_thread(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        mode: ProcessorMode,
        alertable: bool,
        interval: i64,
    ) -> Outcome<NTSTATUS> {
        self.may_block(kernel, thread, NO_OBJECT)?;
        let timeout = Timeout::At(interval);
        let wait = Wait { objects: &[], kind: WaitType::Any, mode, alertable, timeout };
        let status = self.wait(kernel, thread, &wait)?;
        if interval == 0 {
            kernel.platform.relax(u32::MAX);
        }
        Ok(if status == abi::STATUS_TIMEOUT { abi::STATUS_SUCCESS } else { status })
    }

    fn wait(&self, kernel: &Kernel, thread: &Thread, wait: &Wait<'_>) -> Outcome<NTSTATUS> {
        let deadline = wait.timeout.deadline(&*kernel.platform);
        loop {
            let status = self.wait_once(kernel, thread, wait, deadline)?;
            if status != abi::STATUS_KERNEL_APC {
                return Ok(status);
            }
            self.deliver_kernel_apcs(kernel, thread)?;
        }
    }

    /// As [`Self::wait`], up to the next normal kernel APC that can be run: STATUS_KERNEL_APC.
    fn wait_once(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        wait: &Wait<'_>,
        deadline: Option<u64>,
    ) -> Outcome<NTSTATUS> {
        let looks_only = wait.timeout == Timeout::At(0);
        let highest = if looks_only { DISPATCH_LEVEL } else { abi::APC_LEVEL };
        if self.current_irql() > highest {
            return self
                .may_block(kernel, thread, wait.objects.first().copied().unwrap_or(NO_OBJECT))
                .map(|()| abi::STATUS_TIMEOUT);
        }
        let waiter = thread.waiter();
        {
            let mut state = self.lock(kernel);
            if kernel.is_halted() {
                return Err(Unwind::Halt);
            }
            if waiter.has_kernel_apc() && self.current_irql() == abi::PASSIVE_LEVEL {
                return Ok(abi::STATUS_KERNEL_APC);
            }
            if let Some(status) = try_acquire(wait.objects, wait.kind, waiter)? {
                return Ok(status);
            }
            let mut own = waiter.state();
            if let Some(status) = own.take_interruption(wait.mode, wait.alertable) {
                return Ok(status);
            }
            if looks_only {
                return Ok(abi::STATUS_TIMEOUT);
            }
            drop(own);
            let mut wakes = Wakes::default();
            begin_wait(&mut state, waiter, &mut wakes);
            state.waits.begin(waiter, wait.objects, wait.mode, wait.alertable);
            if wait.kind == WaitType::All {
                let mut own = waiter.state();
                own.kind = WaitType::All;
                own.objects.extend_from_slice(wait.objects);
            }
            drop(state);
            wakes.wake(kernel);
        }
        self.park(kernel, thread, deadline)
    }

    /// Parks until the wait that the thread has begun ends, or its time is over; says with which status.
    pub(super) fn park(&self, kernel: &Kernel, thread: &Thread, deadline: Option<u64>) -> Outcome<NTSTATUS> {
        let waiter = thread.waiter();
        loop {
            let parked = kernel.platform.park(&waiter.parker, deadline);
            if let Some(status) = waiter.outcome() {
                return if kernel.is_halted() { Err(Unwind::Halt) } else { Ok(status) };
            }
            if parked == Parked::TimedOut || kernel.is_halted() {
                let mut state = self.lock(kernel);
                if kernel.is_halted() {
                    state.waits.unlink(waiter);
                    return Err(Unwind::Halt);
                }
                // It may have ended while this thread took the lock.
                if let Some(status) = waiter.outcome() {
                    return Ok(status);
                }
                state.waits.unlink(waiter);
                end_wait(waiter);
                return Ok(abi::STATUS_TIMEOUT);
            }
        }
    }

    /// Bugchecks when the calling thread may not block.
    pub(super) fn may_block(&self, kernel: &Kernel, thread: &Thread, object: u64) -> Outcome<()> {
        let irql = self.current_irql();
        if irql < DISPATCH_LEVEL {
            return Ok(());
        }
        if thread.is_in_dpc() {
            kernel.bug_check(abi::ATTEMPTED_SWITCH_FROM_DPC, [thread.object, 0, 0, 0]);
        } else {
            let parameters = [object, u64::from(irql), 0, raw::return_address()];
            kernel.bug_check(abi::IRQL_NOT_LESS_OR_EQUAL, parameters);
        }
        Err(Unwind::Halt)
    }
}
