//! Queues: `KQUEUE`, list entries that wait for threads, and threads that wait for them, of which no more run at a time than
//! the queue says. I/O completion ports stand on these.
//!
//! A thread belongs to the queue that it took from last. While it waits for something else, another may run in its place.

use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::{NTSTATUS, QueueObject};

use super::dispatcher::State;
use super::object::{initialize_header, state_of};
use super::wait::{ProcessorMode, Timeout};
use super::wait_list::{Wakes, finish};
use super::waiter::Waiter;
use super::{Dispatcher, Thread};
use crate::raw::{self, DispatcherHeader, Outcome, raw_object};
use crate::{Kernel, Unwind};

raw_object! {
    /// A queue. Its signal state is how many entries it has.
    Kqueue: abi::KQUEUE {
        current_count, set_current_count: u32 = CurrentCount;
        maximum_count, set_maximum_count: u32 = MaximumCount;
    }
}

/// Where an entry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueEnd {
    /// In front of all others.
    Head,
    /// Behind all others.
    Tail,
}

/// What `KeRemoveQueue` brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// Address of the entry, which is in no list now.
    Entry(u64),
    /// `STATUS_TIMEOUT`, `STATUS_USER_APC`, `STATUS_ALERTED`, or `STATUS_ABANDONED` when the queue has been run down.
    Status(NTSTATUS),
}

impl Kqueue {
    /// Its dispatcher header.
    #[must_use]
    pub fn header(self) -> DispatcherHeader {
        DispatcherHeader::at(self.address())
    }

    fn entries(self) -> Entries {
        Entries(self.address().wrapping_add(offset_of!(abi::KQUEUE, EntryListHead) as u64))
    }

    fn count(self, change: impl FnOnce(u32) -> u32) -> Outcome<()> {
        self.set_current_count(change(self.current_count()?))
    }

    /// One of its threads runs no more.
    fn stops(self) -> Outcome<()> {
        self.count(|count| count.saturating_sub(1))
    }

    /// One of its threads runs again, whatever the maximum: it has what it waited for.
    fn runs(self) -> Outcome<()> {
        self.count(|count| count.saturating_add(1))
    }

    fn has_room(self) -> Outcome<bool> {
        Ok(self.current_count()? < self.maximum_count()?)
    }

    /// The first entry, if a thread may take one now.
    fn take(self) -> Outcome<Option<u64>> {
        let entries = state_of(self.header())?;
        if entries <= 0 || !self.has_room()? {
            return Ok(None);
        }
        let Some(entry) = self.entries().pop()? else { return Ok(None) };
        self.header().set_signal_state((entries - 1).cast_unsigned())?;
        Ok(Some(entry))
    }
}

/// A list head in driver memory.
#[derive(Clone, Copy)]
struct Entries(u64);

const FORWARD: u64 = offset_of!(abi::LIST_ENTRY, Flink) as u64;
const BACKWARD: u64 = offset_of!(abi::LIST_ENTRY, Blink) as u64;

impl Entries {
    fn clear(self) -> Outcome<()> {
        link(self.0, self.0)
    }

    fn insert(self, entry: u64, end: QueueEnd) -> Outcome<()> {
        let (before, after) = match end {
            QueueEnd::Head => (self.0, raw::read(self.0 + FORWARD)?),
            QueueEnd::Tail => (raw::read(self.0.wrapping_add(BACKWARD))?, self.0),
        };
        link(before, entry)?;
        link(entry, after)
    }

    fn pop(self) -> Outcome<Option<u64>> {
        let first: u64 = raw::read(self.0 + FORWARD)?;
        if first == self.0 {
            return Ok(None);
        }
        link(self.0, raw::read(first.wrapping_add(FORWARD))?)?;
        // So that a driver can tell a queued entry from one that is not.
        raw::write(first.wrapping_add(FORWARD), 0_u64)?;
        Ok(Some(first))
    }
}

fn link(before: u64, after: u64) -> Outcome<()> {
    raw::write(before.wrapping_add(FORWARD), after)?;
    raw::write(after.wrapping_add(BACKWARD), before)
}

/// Gives the queue's entries to threads that wait for them, as many as may run. The thread that has waited least is first.
fn hand_out(state: &mut State, queue: Kqueue, wakes: &mut Wakes) -> Outcome<()> {
    while let Some(block) = state.waits.last(queue.address()) {
        let Some(entry) = queue.take()? else { return Ok(()) };
        let Some((waiter, _)) = state.waits.waiter(block) else { return Ok(()) };
        let waiter = Arc::clone(waiter);
        waiter.state().entry = entry;
        finish(&mut state.waits, &waiter, abi::STATUS_SUCCESS, wakes);
    }
    Ok(())
}

/// The thread is about to wait: another may take its place in the queue that it belongs to.
pub(super) fn begin_wait(state: &mut State, waiter: &Waiter, wakes: &mut Wakes) {
    let queue = waiter.queue.load(Ordering::Relaxed);
    if queue != 0 {
        // A driver that has let go of the queue's memory has nobody to tell.
        let _gone = Kqueue::at(queue).stops().and_then(|()| hand_out(state, Kqueue::at(queue), wakes));
    }
}

/// The thread's wait has ended.
pub(super) fn end_wait(waiter: &Waiter) {
    let queue = waiter.queue.load(Ordering::Relaxed);
    if queue != 0 {
        let _gone = Kqueue::at(queue).runs();
    }
}

/// The thread ends.
pub(super) fn leave(state: &mut State, waiter: &Waiter, wakes: &mut Wakes) {
    begin_wait(state, waiter, wakes);
    let queue = waiter.queue.swap(0, Ordering::Relaxed);
    forget(state, queue, waiter);
}

fn forget(state: &mut State, queue: u64, waiter: &Waiter) {
    if let Some(threads) = state.queues.get_mut(&queue) {
        threads.retain(|other| !std::ptr::eq(&raw const **other, waiter));
        if threads.is_empty() {
            state.queues.remove(&queue);
        }
    }
}

const ABANDONED: Option<Removed> = Some(Removed::Status(abi::STATUS_ABANDONED));

/// Makes the thread one of the queue's that does not run, and no longer one of another's. False when it is no queue.
fn join(state: &mut State, queue: Kqueue, waiter: &Arc<Waiter>, wakes: &mut Wakes) -> Outcome<bool> {
    if queue.header().object_type()? != QueueObject {
        return Ok(false);
    }
    let before = waiter.queue.swap(queue.address(), Ordering::Relaxed);
    if before == queue.address() {
        queue.stops()?;
        return Ok(true);
    }
    if before != 0 {
        let before = Kqueue::at(before);
        let _gone = before.stops().and_then(|()| hand_out(state, before, wakes));
        forget(state, before.address(), waiter);
    }
    state.queues.entry(queue.address()).or_default().push(waiter.clone());
    Ok(true)
}

/// What the thread, which does not run, gets without waiting: then it runs.
fn take(
    queue: Kqueue,
    waiter: &Waiter,
    mode: ProcessorMode,
    alertable: bool,
    looks_only: bool,
) -> Outcome<Option<Removed>> {
    let taken = match queue.take()? {
        Some(entry) => Some(Removed::Entry(entry)),
        None => {
            let interruption = waiter.state().take_interruption(mode, alertable);
            interruption.or(looks_only.then_some(abi::STATUS_TIMEOUT)).map(Removed::Status)
        }
    };
    if taken.is_some() {
        queue.runs()?;
    }
    Ok(taken)
}

impl Dispatcher {
    /// Makes a queue for `count` threads at a time, for 0 as many as the machine has processors (`ddi: KeInitializeQueue`).
    /// IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn initialize_queue(&self, queue: Kqueue, count: u32) -> Outcome<()> {
        initialize_header(queue.header(), QueueObject, Kqueue::SIZE, 0)?;
        queue.entries().clear()?;
        Entries(queue.address().wrapping_add(offset_of!(abi::KQUEUE, ThreadListHead) as u64)).clear()?;
        queue.set_current_count(0)?;
        queue.set_maximum_count(if count == 0 { self.processors() } else { count })
    }

    /// Puts the LIST_ENTRY at `entry` into the queue, or hands it to a thread that waits, if one more may run
    /// (`ddi: KeInsertQueue`, `KeInsertHeadQueue`). Returns the number of entries before. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn insert_queue(&self, kernel: &Kernel, queue: Kqueue, entry: u64, end: QueueEnd) -> Outcome<i32> {
        let mut wakes = Wakes::default();
        let mut state = self.lock(kernel);
        let inserted = state_of(queue.header()).and_then(|before| {
            queue.entries().insert(entry, end)?;
            queue.header().set_signal_state(before.wrapping_add(1).cast_unsigned())?;
            hand_out(&mut state, queue, &mut wakes)?;
            Ok(before)
        });
        drop(state);
        wakes.wake(kernel);
        inserted
    }

    /// Takes the first entry, waiting for one and for its turn (`ddi: KeRemoveQueue`). The thread belongs to the queue from
    /// now on. `alertable` as for other waits. IRQL: as for [`Self::wait_for_single_object`].
    ///
    /// # Errors
    /// As for [`Self::wait_for_single_object`].
    pub fn remove_queue(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        queue: Kqueue,
        mode: ProcessorMode,
        alertable: bool,
        timeout: Timeout,
    ) -> Outcome<Removed> {
        if timeout != Timeout::At(0) || self.current_irql() > abi::DISPATCH_LEVEL {
            self.may_block(kernel, thread, queue.address())?;
        }
        let deadline = timeout.deadline(&*kernel.platform);
        let mut wakes = Wakes::default();
        let mut state = self.lock(kernel);
        if kernel.is_halted() {
            return Err(Unwind::Halt);
        }
        let waiter = thread.waiter();
        let looks_only = timeout == Timeout::At(0);
        let joined = join(&mut state, queue, waiter, &mut wakes).and_then(|joined| {
            if joined { take(queue, waiter, mode, alertable, looks_only) } else { Ok(ABANDONED) }
        });
        if let Ok(None) = joined {
            state.waits.begin(waiter, &[queue.address()], mode, alertable);
        }
        drop(state);
        // Whatever has become of this queue: threads of the one before may run.
        wakes.wake(kernel);
        if let Some(removed) = joined? {
            return Ok(removed);
        }
        let status = self.park(kernel, thread, deadline)?;
        let entry = std::mem::take(&mut thread.waiter().state().entry);
        Ok(if entry == 0 { Removed::Status(status) } else { Removed::Entry(entry) })
    }

    /// How many entries a queue has (`ddi: KeReadStateQueue`). Any IRQL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn read_state_queue(&self, queue: Kqueue) -> Outcome<i32> {
        state_of(queue.header())
    }

    /// Ends a queue: no thread belongs to it any more, and those that wait for its entries go on with `STATUS_ABANDONED`.
    /// Returns the first of the entries that are left, linked in a ring, or 0 (`ddi: KeRundownQueue`). IRQL: up to
    /// DISPATCH_LEVEL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn rundown_queue(&self, kernel: &Kernel, queue: Kqueue) -> Outcome<u64> {
        let mut wakes = Wakes::default();
        let mut state = self.lock(kernel);
        for waiter in state.queues.remove(&queue.address()).unwrap_or_default() {
            waiter.queue.store(0, Ordering::Relaxed);
        }
        while let Some(block) = state.waits.last(queue.address()) {
            let Some(waiter) = state.waits.waiter(block).map(|(waiter, _)| Arc::clone(waiter)) else { break };
            finish(&mut state.waits, &waiter, abi::STATUS_ABANDONED, &mut wakes);
        }
        let left = run_down(queue);
        drop(state);
        wakes.wake(kernel);
        left
    }
}

fn run_down(queue: Kqueue) -> Outcome<u64> {
    let head = queue.entries().0;
    let first: u64 = raw::read(head + FORWARD)?;
    let last: u64 = raw::read(head.wrapping_add(BACKWARD))?;
    if first != head {
        link(last, first)?;
    }
    queue.header().set_signal_state(0)?;
    queue.entries().clear()?;
    Ok(if first == head { 0 } else { first })
}
