//! Requests that a filter holds, in the order in which they came, until it lets them go on or they are cancelled.

use core::ptr::{self, NonNull};

use abi::{IRP, NTSTATUS, STATUS_CANCELLED, STATUS_DELETE_PENDING};

use crate::csq::{Csq, Entry, driver_context};
use crate::{Held, Tag};

/// A cancel-safe queue (`IO_CSQ`) of [`Held`] requests. One that is cancelled while it is here is completed with
/// STATUS_CANCELLED. Changes of what the driver below is asked for do not stay with a request that is put here.
pub struct HeldQueue<F: 'static, M: 'static> {
    csq: Csq<Held<F, M>>,
}

impl<F: Send + Sync + 'static, M: 'static> HeldQueue<F, M> {
    /// An empty queue. Fails with STATUS_INSUFFICIENT_RESOURCES. IRQL: up to DISPATCH_LEVEL.
    pub fn new(tag: Tag) -> Result<Self, NTSTATUS> {
        Ok(Self { csq: Csq::new(tag, None)? })
    }

    /// Puts a request at the end. One that is cancelled already is completed at once; one that comes to a
    /// [closed](Self::close) queue goes on. IRQL: up to DISPATCH_LEVEL.
    pub fn push(&self, held: Held<F, M>) {
        if let Err((held, _closed)) = self.csq.insert(held) {
            held.go_on();
        }
    }

    /// Lets all requests go on, those too that are put here from now on: for [`Filter::detaching`](crate::Filter::detaching).
    pub fn close(&self) {
        // No request is completed with it: `push` lets them go on.
        self.csq.refuse(STATUS_DELETE_PENDING);
        self.release_all();
    }

    /// Takes the request that has waited longest.
    #[must_use]
    pub fn pop(&self) -> Option<Held<F, M>> {
        self.csq.remove_next()
    }

    /// Lets all of them go on, up or down; returns how many these were.
    pub fn release_all(&self) -> usize {
        let mut count = 0;
        while let Some(held) = self.pop() {
            held.go_on();
            count += 1;
        }
        count
    }
}

impl<F: 'static, M: 'static> Drop for HeldQueue<F, M> {
    /// IRQL: PASSIVE_LEVEL, unless no request is in it.
    fn drop(&mut self) {
        // Dropping a request completes it.
        while let Some(held) = self.csq.remove_next() {
            drop(held);
        }
    }
}

// SAFETY: a held request's IRP is the driver's. The first word says whether it is on its way up.
unsafe impl<F: 'static, M: 'static> Entry for Held<F, M> {
    fn into_irp(self) -> NonNull<IRP> {
        let request = self.into_in_hand();
        let irp = request.irp.as_raw();
        let on_its_way_up = ptr::without_provenance_mut(usize::from(request.completed));
        // SAFETY: the IRP is the driver's, and its owner may use these words.
        unsafe { driver_context(irp).write(on_its_way_up) };
        irp
    }

    unsafe fn from_irp(irp: NonNull<IRP>) -> Self {
        // SAFETY: written by `into_irp`.
        let on_its_way_up = unsafe { driver_context(irp).read() };
        // SAFETY: the caller's contract.
        unsafe { Self::from_raw(irp, on_its_way_up.addr() != 0) }
    }

    fn cancel(self, left: impl FnOnce()) {
        left();
        self.fail(STATUS_CANCELLED);
    }
}
