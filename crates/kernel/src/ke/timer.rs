//! Timers: one-shot and periodic, with the DPCs they queue.
//!
//! What is due is kept here; the idle thread expires it, at DISPATCH_LEVEL as NT's clock does.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use abi::{TimerNotificationObject, TimerSynchronizationObject};

use super::object::{initialize_header, release_waiters, state_of};
use super::wait::deadline;
use super::wait_list::Wakes;
use super::{Dispatcher, Kdpc};
use crate::Kernel;
use crate::raw::{self, DispatcherHeader, Outcome, raw_object};

raw_object! {
    /// A timer.
    Ktimer: abi::KTIMER {
        due_time, set_due_time: u64 = DueTime;
        dpc, set_dpc: u64 = Dpc;
        period, set_period: u32 = Period;
    }
}

/// 100 ns units in a millisecond.
const MILLISECOND: u64 = 10_000;

/// Offset of the header's `TimerMiscFlags`, and its bit that says that the timer is queued.
const FLAGS: u64 = std::mem::offset_of!(abi::DISPATCHER_HEADER, TimerMiscFlags) as u64;
const INSERTED: u8 = 0x80;

/// First parameter of TIMER_OR_DPC_INVALID: a timer object.
const TIMER_OBJECT: u64 = 0;

impl Ktimer {
    /// Its dispatcher header.
    #[must_use]
    pub fn header(self) -> DispatcherHeader {
        DispatcherHeader::at(self.address())
    }

    fn mark(self, inserted: bool) -> Outcome<()> {
        raw::write(self.address().wrapping_add(FLAGS), if inserted { INSERTED } else { 0 })
    }
}

/// The timers that are set, by when they are due.
#[derive(Debug, Default)]
pub(super) struct TimerQueue {
    /// By interrupt time, and by the order in which they were set.
    due: BTreeMap<(u64, u64), u64>,
    places: HashMap<u64, (u64, u64)>,
    sequence: u64,
}

impl TimerQueue {
    fn insert(&mut self, timer: u64, due: u64) {
        self.remove(timer);
        let place = (due, self.sequence);
        self.sequence += 1;
        self.due.insert(place, timer);
        self.places.insert(timer, place);
    }

    fn remove(&mut self, timer: u64) -> bool {
        self.places.remove(&timer).is_some_and(|place| self.due.remove(&place).is_some())
    }

    fn pop(&mut self, now: u64) -> Option<(u64, u64)> {
        let first = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((due, _), timer) = first.remove_entry();
        self.places.remove(&timer);
        Some((timer, due))
    }

    /// When the next is due, in interrupt time; `u64::MAX` for none.
    pub(super) fn next_due(&self) -> u64 {
        self.due.first_key_value().map_or(u64::MAX, |((due, _), _)| *due)
    }

    /// Expires one timer, which is out of the queue: signals it, queues it again if it is periodic, and says its DPC.
    fn expire(&mut self, timer: Ktimer, due: u64, now: u64) -> Outcome<u64> {
        timer.header().set_signal_state(1)?;
        let period = u64::from(timer.period()?) * MILLISECOND;
        if period != 0 {
            // Without drift, unless whole periods were missed.
            let next = if due + period > now { due + period } else { now + period };
            timer.set_due_time(next)?;
            self.insert(timer.address(), next);
        }
        timer.mark(period != 0)?;
        timer.dpc()
    }
}

impl Dispatcher {
    /// Makes a timer (`ddi: KeInitializeTimerEx`): `timer_type` is `NotificationTimer`, which stays signaled, or another
    /// value for `SynchronizationTimer`, which releases one waiter. IRQL: up to DISPATCH_LEVEL.
    ///
    /// A timer that is set there stops being so: on NT the queue would be damaged.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn initialize_timer(&self, kernel: &Kernel, timer: Ktimer, timer_type: i32) -> Outcome<()> {
        let notification = timer_type == abi::NotificationTimer;
        let object_type = if notification { TimerNotificationObject } else { TimerSynchronizationObject };
        self.lock(kernel).timers.remove(timer.address());
        initialize_header(timer.header(), object_type, Ktimer::SIZE, 0)?;
        timer.set_due_time(0)?;
        timer.set_dpc(0)?;
        timer.set_period(0)
    }

    /// Sets a timer (`ddi: KeSetTimerEx`; `KeSetTimer` with a period of zero). Returns whether it was set already.
    ///
    /// `due_time` is in units of 100 ns, below zero relative to now, else a system time (turned into interrupt time now:
    /// later changes of the clock do not move it); what is past expires at once. `period` is in milliseconds, `dpc`
    /// the address of a DPC to queue, or 0. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    /// An access violation; `STATUS_INSUFFICIENT_RESOURCES` when there is no room for the machine's idle thread, which
    /// the first timer starts; `Unwind::Halt` when the machine has stopped.
    pub fn set_timer_ex(
        &self,
        kernel: &Kernel,
        timer: Ktimer,
        due_time: i64,
        period: i32,
        dpc: u64,
    ) -> Outcome<bool> {
        self.idle.ensure_started(kernel)?;
        let due = deadline(&*kernel.platform, due_time);
        let now = kernel.platform.interrupt_time();
        let mut wakes = Wakes::default();
        let mut state = self.lock(kernel);
        let was_set = state.timers.remove(timer.address());
        let result = timer.arm(due, period, dpc).and_then(|()| {
            if due > now {
                state.timers.insert(timer.address(), due);
                timer.mark(true)?;
                return Ok(0);
            }
            let dpc = state.timers.expire(timer, due, now)?;
            release_waiters(&mut state, timer.address(), &mut wakes)?;
            Ok(dpc)
        });
        let next = state.timers.next_due();
        let earlier = self.idle.set_deadline(next);
        drop(state);
        if earlier {
            self.idle.kick(kernel);
        }
        wakes.wake(kernel);
        match result? {
            0 => {}
            dpc => {
                self.insert_queue_dpc(kernel, Kdpc::at(dpc), 0, 0)?;
            }
        }
        Ok(was_set)
    }

    /// Takes a timer out of the queue (`ddi: KeCancelTimer`); returns whether it was set. Its signal state and a DPC that
    /// it has queued already stay. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn cancel_timer(&self, kernel: &Kernel, timer: Ktimer) -> Outcome<bool> {
        let mut state = self.lock(kernel);
        let was_set = state.timers.remove(timer.address());
        self.idle.set_deadline(state.timers.next_due());
        if was_set {
            timer.mark(false)?;
        }
        Ok(was_set)
    }

    /// Whether a timer is signaled (`ddi: KeReadStateTimer`). IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn read_state_timer(&self, timer: Ktimer) -> Outcome<bool> {
        Ok(state_of(timer.header())? != 0)
    }

    /// Expires all timers that are due. At DISPATCH_LEVEL, on the idle thread.
    pub(super) fn expire_timers(&self, kernel: &Kernel) {
        let mut wakes = Wakes::default();
        let mut dpcs = Vec::new();
        let mut lost = None;
        let now = kernel.platform.interrupt_time();
        {
            let mut state = self.lock(kernel);
            self.expiring.store(true, Ordering::SeqCst);
            while let Some((address, due)) = state.timers.pop(now) {
                let timer = Ktimer::at(address);
                let expired = match timer.header().object_type() {
                    Ok(abi::TimerNotificationObject | abi::TimerSynchronizationObject) => {
                        state.timers.expire(timer, due, now)
                    }
                    Ok(_) => {
                        lost = Some(address);
                        continue;
                    }
                    Err(unwind) => Err(unwind),
                };
                let released = release_waiters(&mut state, address, &mut wakes);
                match (expired, released) {
                    (Ok(0), Ok(())) => {}
                    (Ok(dpc), Ok(())) => dpcs.push(dpc),
                    _ => lost = Some(address),
                }
            }
            self.idle.set_deadline(state.timers.next_due());
        }
        wakes.wake(kernel);
        if let Some(timer) = lost {
            // Memory that a driver has freed or used for something else, with the timer in it still set.
            let end = timer.wrapping_add(Ktimer::SIZE as u64);
            kernel.bug_check(abi::TIMER_OR_DPC_INVALID, [TIMER_OBJECT, timer, timer, end]);
            self.expiring.store(false, Ordering::SeqCst);
            return;
        }
        for dpc in dpcs {
            if self.insert_queue_dpc(kernel, Kdpc::at(dpc), 0, 0).is_err() {
                let end = dpc.wrapping_add(Kdpc::SIZE as u64);
                kernel.bug_check(abi::TIMER_OR_DPC_INVALID, [DPC_OBJECT, dpc, dpc, end]);
            }
        }
        self.expiring.store(false, Ordering::SeqCst);
    }
}

/// First parameter of TIMER_OR_DPC_INVALID: a DPC object.
const DPC_OBJECT: u64 = 1;

impl Ktimer {
    fn arm(self, due: u64, period: i32, dpc: u64) -> Outcome<()> {
        self.header().set_signal_state(0)?;
        self.set_due_time(due)?;
        self.set_period(u32::try_from(period).unwrap_or(0))?;
        self.set_dpc(dpc)?;
        self.mark(false)
    }
}
