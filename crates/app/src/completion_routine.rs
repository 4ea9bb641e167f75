//! Completion routines: `ReadFileEx`, `WriteFileEx`, `SleepEx`, `WaitForMultipleObjectsEx`. A request's end is told by a routine
//! that its own thread runs, when that waits alertably.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::buffer::Buffer;
use crate::device::Device;
use crate::error::Win32Error;
use crate::overlapped::{Finished, Operation, Overlapped, Refused};
use crate::sys::{self, Apc, Transport};
use crate::wait::{Waitable, Waited, wait};

static NEXT: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// User APCs of this thread that were taken by another [`CompletionRoutines`] than theirs.
    static OTHERS: RefCell<Vec<Apc>> = const { RefCell::new(Vec::new()) };
}

type Routine<'a> = Box<dyn FnOnce(Finished) + 'a>;

/// The requests of one thread whose ends are told by routines. Dropping it cancels those that go on; their routines do not run.
pub struct CompletionRoutines<'a> {
    transport: &'a dyn Transport,
    /// What its APCs have as their routine.
    number: u64,
    waiting: RefCell<HashMap<u64, (Operation<'a>, Routine<'a>)>>,
    /// Routines that have run.
    count: Cell<usize>,
    /// A user APC belongs to one thread.
    not_send: PhantomData<*const ()>,
}

impl std::fmt::Debug for CompletionRoutines<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let waiting = self.waiting.borrow().len();
        formatter.debug_struct("CompletionRoutines").field("waiting", &waiting).finish_non_exhaustive()
    }
}

impl<'a> CompletionRoutines<'a> {
    /// For the calling thread.
    #[must_use]
    pub fn new(transport: &'a dyn Transport) -> Self {
        Self {
            transport,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            waiting: RefCell::default(),
            count: Cell::new(0),
            not_send: PhantomData,
        }
    }

    /// Requests whose routines have not run.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// `ReadFileEx`: begins to read at `offset` bytes. The routine runs in one of this thread's alertable waits, also when the
    /// request has ended within this call.
    ///
    /// # Errors
    /// As for [`Device::read_overlapped`]; the routine does not run then. ERROR_INVALID_PARAMETER (87) for a device that has a
    /// completion port.
    pub fn read(
        &self,
        device: &'a Device<'_>,
        buffer: Buffer,
        offset: u64,
        routine: impl FnOnce(Finished) + 'a,
    ) -> Result<(), Refused> {
        let overlapped = Overlapped::new().offset(offset).apc_routine(self.number);
        self.keep(device.read_overlapped(buffer, &overlapped)?, routine);
        Ok(())
    }

    /// `WriteFileEx`; as [`Self::read`].
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn write(
        &self,
        device: &'a Device<'_>,
        buffer: Buffer,
        offset: u64,
        routine: impl FnOnce(Finished) + 'a,
    ) -> Result<(), Refused> {
        let overlapped = Overlapped::new().offset(offset).apc_routine(self.number);
        self.keep(device.write_overlapped(buffer, &overlapped)?, routine);
        Ok(())
    }

    fn keep(&self, operation: Operation<'a>, routine: impl FnOnce(Finished) + 'a) {
        self.waiting.borrow_mut().insert(operation.id(), (operation, Box::new(routine)));
    }

    /// `SleepEx(…, TRUE)`: runs the routines that are due; without any, lets time pass until one is. `None` waits for ever.
    /// [`Waited::CompletionRoutine`] or [`Waited::TimedOut`].
    ///
    /// # Errors
    /// ERROR_DEVICE_NOT_CONNECTED (1167) when the machine has stopped or the host is gone.
    pub fn sleep(&self, timeout: Option<Duration>) -> Result<Waited, Win32Error> {
        if self.run() {
            return Ok(Waited::CompletionRoutine);
        }
        let waited = sys::sleep(self.transport, true, timeout)?;
        if waited == Waited::CompletionRoutine {
            self.run();
        }
        Ok(waited)
    }

    /// `WaitForMultipleObjectsEx(…, FALSE, …, TRUE)`: as [`wait_any`](crate::wait_any), and ends when routines have run.
    ///
    /// # Errors
    /// As for [`wait_any`](crate::wait_any).
    pub fn wait_any(
        &self,
        objects: &[&dyn Waitable],
        timeout: Option<Duration>,
    ) -> Result<Waited, Win32Error> {
        if self.run() {
            return Ok(Waited::CompletionRoutine);
        }
        let waited = wait(self.transport, objects, false, true, timeout)?;
        if waited == Waited::CompletionRoutine {
            self.run();
        }
        Ok(waited)
    }

    /// Runs what is due; whether there was anything.
    fn run(&self) -> bool {
        let before = self.count.get();
        while let Some(apc) = self.next() {
            if let Some((operation, routine)) = self.take(apc) {
                self.count.set(self.count.get() + 1);
                // The routine may begin requests, and wait.
                routine(operation.finish());
            }
        }
        self.count.get() != before
    }

    /// Takes the request that an APC tells of.
    fn take(&self, apc: Apc) -> Option<(Operation<'a>, Routine<'a>)> {
        self.waiting.borrow_mut().remove(&apc.overlapped)
    }

    fn next(&self) -> Option<Apc> {
        let own = |apc: &Apc| apc.routine == self.number;
        let kept =
            OTHERS.with_borrow_mut(|others| others.iter().position(own).map(|index| others.remove(index)));
        if kept.is_some() {
            return kept;
        }
        loop {
            let apc = sys::take_apc(self.transport)?;
            if own(&apc) {
                return Some(apc);
            }
            OTHERS.with_borrow_mut(|others| others.push(apc));
        }
    }
}

impl Drop for CompletionRoutines<'_> {
    fn drop(&mut self) {
        for (operation, _) in
            self.waiting.get_mut().values().filter(|(operation, _)| !operation.has_completed())
        {
            let _has_ended_meanwhile = operation.cancel();
        }
        // The APCs that are due, so that they are not kept for ever.
        let _whether_there_are = sys::sleep(self.transport, true, Some(Duration::ZERO));
        while let Some(apc) = self.next() {
            drop(self.take(apc));
        }
        // On Windows an APC that comes later looks at its OVERLAPPED.
        for (operation, _) in self.waiting.take().into_values() {
            operation.abandon();
        }
    }
}
