//! Deferred procedure calls: routines that run at DISPATCH_LEVEL when a processor falls below it.
//!
//! `DpcData` in the object says whether a DPC is queued, as on NT; the queues themselves are kept here. A DPC queued
//! below DISPATCH_LEVEL runs at once, on the calling thread. One for a processor that nobody owns is run by the idle
//! thread.

use std::collections::VecDeque;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use abi::{DISPATCH_LEVEL, DpcObject};
use platform::entry::Region;

use super::dpc_watchdog::Record;
use super::{Dispatcher, Thread};
use crate::raw::{self, Outcome, raw_object};
use crate::{Kernel, Unwind};

raw_object! {
    /// A deferred procedure call.
    Kdpc: abi::KDPC {
        object_type, set_object_type: u8 = Type;
        importance, set_importance: u8 = Importance;
        number, set_number: u16 = Number;
        deferred_routine, set_deferred_routine: u64 = DeferredRoutine;
        deferred_context, set_deferred_context: u64 = DeferredContext;
        system_argument1, set_system_argument1: u64 = SystemArgument1;
        system_argument2, set_system_argument2: u64 = SystemArgument2;
        dpc_data, set_dpc_data: u64 = DpcData;
    }
}

impl Kdpc {
    /// Marks it as queued on a processor (a number plus one), or as not queued (0); returns the old mark.
    fn exchange_mark(self, mark: u64) -> Outcome<u64> {
        const OFFSET: u64 = std::mem::offset_of!(abi::KDPC, DpcData) as u64;
        raw::exchange(self.address().wrapping_add(OFFSET), mark)
    }
}

/// Added to a target processor's number in `Number`, where zero stands for the current processor.
const TARGETED: u16 = 0x800;

/// First parameter of TIMER_OR_DPC_INVALID: the processor number of a DPC is not correct.
const WRONG_PROCESSOR: u64 = 3;

/// The DPCs of a processor.
#[derive(Debug, Default)]
pub(super) struct DpcQueue {
    /// How many are queued.
    depth: AtomicUsize,
    /// Whether one is running.
    running: AtomicBool,
    entries: Mutex<VecDeque<u64>>,
    pub(super) record: Record,
}

impl DpcQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.depth.load(Ordering::SeqCst) == 0
    }

    fn is_quiet(&self) -> bool {
        self.is_empty() && !self.running.load(Ordering::SeqCst)
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, dpc: u64, first: bool) {
        let mut entries = self.entries();
        if first {
            entries.push_front(dpc);
        } else {
            entries.push_back(dpc);
        }
        self.depth.store(entries.len(), Ordering::SeqCst);
    }

    /// Takes the next, and says that it is running.
    fn pop(&self) -> Option<u64> {
        if self.is_empty() {
            return None;
        }
        let mut entries = self.entries();
        let dpc = entries.pop_front()?;
        self.running.store(true, Ordering::SeqCst);
        self.depth.store(entries.len(), Ordering::SeqCst);
        Some(dpc)
    }

    fn remove(&self, dpc: u64) {
        let mut entries = self.entries();
        if let Some(place) = entries.iter().position(|entry| *entry == dpc) {
            entries.remove(place);
        }
        self.depth.store(entries.len(), Ordering::SeqCst);
    }
}

impl Dispatcher {
    /// Makes a DPC (`ddi: KeInitializeDpc`): medium importance, for the processor that queues it. Any IRQL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn initialize_dpc(&self, dpc: Kdpc, routine: u64, context: u64) -> Outcome<()> {
        dpc.set_object_type(DpcObject)?;
        dpc.set_importance(MEDIUM)?;
        dpc.set_number(0)?;
        dpc.set_deferred_routine(routine)?;
        dpc.set_deferred_context(context)?;
        dpc.set_dpc_data(0)
    }

    /// Sets how a DPC is queued (`ddi: KeSetImportanceDpc`): `HighImportance` goes to the queue's front. Low importance
    /// counts as medium. Any IRQL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn set_importance_dpc(&self, dpc: Kdpc, importance: i32) -> Outcome<()> {
        dpc.set_importance(u8::try_from(importance).unwrap_or(MEDIUM))
    }

    /// Sets the processor that a DPC is queued to (`ddi: KeSetTargetProcessorDpc`). A number that the machine does not
    /// have: bugcheck TIMER_OR_DPC_INVALID. Any IRQL.
    ///
    /// # Errors
    /// An access violation to raise in the driver; `Unwind::Halt` after the bugcheck.
    pub fn set_target_processor_dpc(&self, kernel: &Kernel, dpc: Kdpc, number: u32) -> Outcome<()> {
        match u16::try_from(number) {
            Ok(target) if number < self.processors() => dpc.set_number(TARGETED + target),
            _ => wrong_processor(kernel, dpc),
        }
    }

    /// Queues a DPC with two arguments (`ddi: KeInsertQueueDpc`). False when it is queued already. Below DISPATCH_LEVEL
    /// it has run when this returns, unless it is for another processor. Any IRQL.
    ///
    /// # Errors
    /// An access violation to raise in the driver; `Unwind::Halt` when the machine has stopped, in the DPC for one.
    pub fn insert_queue_dpc(
        &self,
        kernel: &Kernel,
        dpc: Kdpc,
        argument1: u64,
        argument2: u64,
    ) -> Outcome<bool> {
        let old = self.raise_irql(kernel, self.current_irql().max(DISPATCH_LEVEL));
        let own = Kernel::with_current(|_, thread| thread.processor()).flatten();
        let inserted = self.enqueue(kernel, dpc, own, [argument1, argument2]);
        if old < DISPATCH_LEVEL {
            self.lower_irql(kernel, old);
        }
        if kernel.is_halted() { Err(Unwind::Halt) } else { inserted }
    }

    fn enqueue(&self, kernel: &Kernel, dpc: Kdpc, own: Option<u32>, arguments: [u64; 2]) -> Outcome<bool> {
        let target = match dpc.number()? {
            0 => own.unwrap_or(0),
            number => u32::from(number.wrapping_sub(TARGETED)),
        };
        let Some(queue) = self.dpcs.get(target as usize) else { return wrong_processor(kernel, dpc) };
        kernel.platform.preemption_point();
        if dpc.exchange_mark(u64::from(target) + 1)? != 0 {
            return Ok(false);
        }
        dpc.set_system_argument1(arguments[0])?;
        dpc.set_system_argument2(arguments[1])?;
        queue.push(dpc.address(), dpc.importance()? == HIGH);
        if own != Some(target) {
            self.kick(kernel, target);
        }
        Ok(true)
    }

    /// Takes a DPC out of its queue (`ddi: KeRemoveQueueDpc`). False when it is not queued; it may be running. Any IRQL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn remove_queue_dpc(&self, kernel: &Kernel, dpc: Kdpc) -> Outcome<bool> {
        kernel.platform.preemption_point();
        let mark = dpc.exchange_mark(0)?;
        if let Some(queue) = usize::try_from(mark).ok().and_then(|mark| self.dpcs.get(mark.wrapping_sub(1))) {
            queue.remove(dpc.address());
        }
        Ok(mark != 0)
    }

    /// Returns once all DPCs that are queued now have run, on every processor, and those of timers that have expired
    /// (`ddi: KeFlushQueuedDpcs`).
    ///
    /// IRQL: PASSIVE_LEVEL; at DISPATCH_LEVEL and above, where it could not end, bugcheck IRQL_NOT_LESS_OR_EQUAL.
    ///
    /// # Errors
    /// `Unwind::Halt` when the machine stops.
    pub fn flush_queued_dpcs(&self, kernel: &Kernel) -> Outcome<()> {
        let irql = self.current_irql();
        if irql >= DISPATCH_LEVEL {
            let parameters = [0, u64::from(irql), 0, raw::return_address()];
            kernel.bug_check(abi::IRQL_NOT_LESS_OR_EQUAL, parameters);
        }
        for (number, queue) in (0..).zip(&self.dpcs) {
            let mut round = 0;
            // A timer that is no longer set, so that KeCancelTimer says no, and whose DPC is not queued yet.
            while self.expiring.load(Ordering::SeqCst) || !queue.is_quiet() {
                if kernel.is_halted() {
                    return Err(Unwind::Halt);
                }
                self.kick(kernel, number);
                kernel.platform.relax(round);
                round = round.saturating_add(1);
            }
        }
        if kernel.is_halted() { Err(Unwind::Halt) } else { Ok(()) }
    }

    /// Runs the DPCs of processor `number`, which the calling thread owns, until there are none.
    pub(super) fn drain(&self, kernel: &Kernel, thread: &Thread, region: Region, number: u32) {
        let queue = &self.dpcs[number as usize];
        if queue.is_empty() {
            return;
        }
        let mut watch = self.watch_dpcs(kernel, &queue.record);
        while !kernel.is_halted()
            && let Some(dpc) = queue.pop()
        {
            // It may be gone when it has run.
            let routine = Kdpc::at(dpc).deferred_routine().unwrap_or(0);
            if let Err(unwind) = run(kernel, thread, region, Kdpc::at(dpc)) {
                stop(kernel, &unwind);
            }
            queue.running.store(false, Ordering::SeqCst);
            if let Some(watch) = &mut watch {
                self.dpc_ended(kernel, watch, routine);
            }
        }
    }

    /// Lets the idle thread run the DPCs of a processor, if nobody owns it. When there is no room for that thread they
    /// wait for the processor's next owner.
    pub(super) fn kick(&self, kernel: &Kernel, number: u32) {
        if !self.dpcs[number as usize].is_empty() && self.processors.is_free(number) {
            self.idle.kick(kernel);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "1 and 2")]
const MEDIUM: u8 = abi::MediumImportance as u8;
#[expect(clippy::cast_possible_truncation, reason = "1 and 2")]
const HIGH: u8 = abi::HighImportance as u8;

/// Runs one DPC, behind a frame that exceptions do not pass: the interrupted code is not its caller.
fn run(kernel: &Kernel, thread: &Thread, region: Region, dpc: Kdpc) -> Outcome<()> {
    if dpc.exchange_mark(0)? == 0 {
        // Removed meanwhile.
        return Ok(());
    }
    let routine = dpc.deferred_routine()?;
    let arguments =
        [dpc.address(), dpc.deferred_context()?, dpc.system_argument1()?, dpc.system_argument2()?];
    let frame = region.frame();
    region.set_frame(ptr::null_mut());
    region.set_irql(DISPATCH_LEVEL);
    let before = thread.set_in_dpc(true);
    let result = raw::call(routine, &arguments);
    thread.set_in_dpc(before);
    region.set_frame(frame);
    let irql = region.irql();
    region.set_irql(DISPATCH_LEVEL);
    result?;
    if irql != DISPATCH_LEVEL {
        let parameter = u64::from(irql) << 16 | u64::from(DISPATCH_LEVEL) << 8;
        kernel.bug_check(abi::IRQL_UNEXPECTED_VALUE, [parameter, routine, 0, 0]);
    }
    Ok(())
}

/// Stops the machine for a DPC object that can no longer be read, or a routine that did not return.
#[cold]
fn stop(kernel: &Kernel, unwind: &Unwind) {
    let record = match unwind {
        Unwind::Raise(raise) => &raise.record,
        // A DPC runs in a thread that is not its own to end.
        Unwind::Exit(_) => return kernel.bug_check(abi::ATTEMPTED_SWITCH_FROM_DPC, [0; 4]),
        Unwind::Halt => return,
    };
    let [first, second, ..] = record.ExceptionInformation.map(|word| word as u64);
    if record.ExceptionCode == abi::STATUS_ACCESS_VIOLATION {
        kernel.bug_check(abi::IRQL_NOT_LESS_OR_EQUAL, [second, u64::from(DISPATCH_LEVEL), first, 0]);
    } else {
        let code = u64::from(record.ExceptionCode.bits());
        kernel.bug_check(abi::KMODE_EXCEPTION_NOT_HANDLED, [code, 0, first, second]);
    }
}

#[cold]
fn wrong_processor<T>(kernel: &Kernel, dpc: Kdpc) -> Outcome<T> {
    kernel.bug_check(abi::TIMER_OR_DPC_INVALID, [WRONG_PROCESSOR, dpc.address(), 0, 0]);
    Err(Unwind::Halt)
}
