//! Where requests wait for their answer: a cancel-safe queue of pended requests.

use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};

use abi::{FILE_OBJECT, IRP, NTSTATUS, STATUS_CANCELLED, STATUS_DELETE_PENDING};

use crate::csq::{Csq, Entry, Look, driver_context};
use crate::irp::{self, Answered, Irp};
use crate::pended::{Pendable, Pended};
use crate::{Cleanup, Tag};

/// What sees a request that is being cancelled, and its context.
pub type Cancelling<R, T> = fn(&(Pended<R>, T));

/// Requests of type `R` that wait, first come, first served, each with a context `T` of at most 16 bytes, which lies in
/// the IRP itself: queueing allocates nothing.
///
/// A request leaves the queue in one of four ways: [`remove_next`](Self::remove_next) and its kin give it to the driver
/// to be answered; it is cancelled, and so completed with STATUS_CANCELLED; [`cancel_file`](Self::cancel_file) does that for
/// all of a file; or the queue is [closed](Self::close), at the latest when it is dropped, which completes what is left with
/// STATUS_DELETE_PENDING.
pub struct CancelSafeQueue<R: Pendable, T: Send + 'static = ()> {
    csq: Csq<(Pended<R>, T)>,
}

impl<R: Pendable, T: Send + 'static> CancelSafeQueue<R, T> {
    /// An empty queue. Fails with STATUS_INSUFFICIENT_RESOURCES. IRQL: up to DISPATCH_LEVEL.
    pub fn new(tag: Tag) -> Result<Self, NTSTATUS> {
        Self::make(tag, None)
    }

    /// As [`new`](Self::new); `cancelling` sees each request that is cancelled while it waits, out of the queue and not completed yet: those
    /// that have waited for it may go on. It runs at the canceller's IRQL, up to DISPATCH_LEVEL, with no lock held.
    pub fn with_cancelling(tag: Tag, cancelling: Cancelling<R, T>) -> Result<Self, NTSTATUS> {
        Self::make(tag, Some(cancelling))
    }

    fn make(tag: Tag, cancelling: Option<Cancelling<R, T>>) -> Result<Self, NTSTATUS> {
        const { assert!(size_of::<T>() <= CONTEXT_SIZE, "a request's context has at most 16 bytes") };
        const { assert!(align_of::<T>() <= align_of::<usize>(), "a request's context is aligned to 8 bytes") };
        Ok(Self { csq: Csq::new(tag, cancelling)? })
    }

    /// Answers later: marks the request pending and puts it at the end of the queue. One that is cancelled already is
    /// completed as such; a closed queue completes it with the status that it was closed with. IRQL: up to DISPATCH_LEVEL.
    ///
    /// Whoever takes requests out is told after this: before, there may be nothing to take.
    pub fn pend(&self, request: R, context: T) -> Answered {
        let answered = irp::pend(request.irp());
        self.insert(Pended::new(request), context);
        answered
    }

    /// As [`pend`](Self::pend), at the front of the queue.
    pub fn pend_first(&self, request: R, context: T) -> Answered {
        let answered = irp::pend(request.irp());
        self.insert_first(Pended::new(request), context);
        answered
    }

    /// Puts a request back, at the end. Otherwise as [`pend`](Self::pend).
    pub fn insert(&self, request: Pended<R>, context: T) {
        if let Err(((request, _context), status)) = self.csq.insert((request, context)) {
            request.fail(status);
        }
    }

    /// Puts a request back where it was taken from: at the front. Otherwise as [`insert`](Self::insert).
    pub fn insert_first(&self, request: Pended<R>, context: T) {
        if let Err(((request, _context), status)) = self.csq.insert_first((request, context)) {
            request.fail(status);
        }
    }

    /// Takes the request that has waited longest. IRQL: up to DISPATCH_LEVEL.
    pub fn remove_next(&self) -> Option<(Pended<R>, T)> {
        self.csq.remove_next()
    }

    /// Takes the request that has waited longest of those that are `wanted`, which runs with the queue's spin lock held.
    /// IRQL: up to DISPATCH_LEVEL.
    pub fn remove_next_if(&self, mut wanted: impl FnMut(&T) -> bool) -> Option<(Pended<R>, T)> {
        // SAFETY: an IRP in this queue, while its lock is held.
        self.csq.remove(&mut |irp| Look::take_if(wanted(unsafe { &*driver_context(irp).cast() })))
    }

    /// Takes the request that has waited longest, if it is `wanted`, which runs with the queue's spin lock held. IRQL: up to
    /// DISPATCH_LEVEL.
    pub fn remove_first_if(&self, wanted: impl FnOnce(&T) -> bool) -> Option<(Pended<R>, T)> {
        let mut wanted = Some(wanted);
        self.csq.remove(&mut |irp| {
            // SAFETY: an IRP in this queue, while its lock is held.
            let context = unsafe { &*driver_context(irp).cast() };
            if wanted.take().is_some_and(|wanted| wanted(context)) { Look::Take } else { Look::Stop }
        })
    }

    /// Whether nothing waits. Another thread may change that at any time. IRQL: up to DISPATCH_LEVEL.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let mut is_empty = true;
        let none = self.csq.remove(&mut |_irp| {
            is_empty = false;
            Look::Stop
        });
        debug_assert!(none.is_none(), "nothing was wanted");
        is_empty
    }

    /// Shows the contexts of all requests, in their order, with the queue's spin lock held. IRQL: up to DISPATCH_LEVEL.
    pub fn for_each(&self, mut visit: impl FnMut(&T)) {
        let none = self.remove_next_if(|context| {
            visit(context);
            false
        });
        debug_assert!(none.is_none(), "nothing was wanted");
    }

    /// Shows the requests that wait, with their contexts, in their order, until `visit` says false, with the queue's spin lock held. IRQL:
    /// up to DISPATCH_LEVEL.
    pub fn visit(&self, mut visit: impl FnMut(&R, &T) -> bool) {
        let none = self.csq.remove(&mut |irp| {
            let place = driver_context(irp);
            // SAFETY: an IRP in this queue, while its lock is held.
            let written = unsafe { place.wrapping_add(WRITTEN).cast::<usize>().read() };
            // SAFETY: as above; it stays in the queue, and what is made of it here is not answered.
            let request = ManuallyDrop::new(R::from_irp(unsafe { Irp::new(irp) }, written));
            // SAFETY: as above.
            if visit(&request, unsafe { &*place.cast() }) { Look::Next } else { Look::Stop }
        });
        debug_assert!(none.is_none(), "nothing was wanted");
    }

    /// Completes the waiting requests of the file whose last handle is closed with STATUS_CANCELLED: what a cleanup does.
    pub fn cancel_file(&self, cleanup: &Cleanup) {
        let file: *mut FILE_OBJECT = cleanup.irp.file_object().map_or(ptr::null_mut(), NonNull::as_ptr);
        // SAFETY: an IRP in this queue, while its lock is held.
        let mut is_of_file = |irp| Look::take_if(unsafe { irp::file_of(irp) } == file);
        while let Some((request, _context)) = self.csq.remove(&mut is_of_file) {
            request.fail(STATUS_CANCELLED);
        }
    }

    /// Completes all waiting requests with `status`, and lets no more in. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Panics
    ///
    /// With a status that is no failure.
    pub fn close(&self, status: NTSTATUS) {
        assert!(!status.is_success(), "{status:?} is no failure");
        self.csq.refuse(status);
        while let Some((request, _context)) = self.remove_next() {
            request.fail(status);
        }
    }
}

impl<R: Pendable, T: Send + 'static> Drop for CancelSafeQueue<R, T> {
    /// IRQL: PASSIVE_LEVEL, unless no request is in it.
    fn drop(&mut self) {
        self.close(STATUS_DELETE_PENDING);
    }
}

/// Bytes of `DriverContext` that are the context's.
const CONTEXT_SIZE: usize = 16;
/// The part of `DriverContext` that says how many bytes of output have been written. The last one is NT's.
const WRITTEN: usize = 2;

// SAFETY: a pended request's IRP is the driver's; the context fits, as `CancelSafeQueue::new` has checked.
unsafe impl<R: Pendable, T: Send + 'static> Entry for (Pended<R>, T) {
    fn into_irp(self) -> NonNull<IRP> {
        let (request, context) = self;
        let request = request.into_request();
        let irp = request.irp().as_raw();
        let place = driver_context(irp);
        // SAFETY: the IRP is the driver's, and the context fits, as `new` has checked.
        unsafe { place.cast::<T>().write(context) };
        // SAFETY: as above; behind the context.
        unsafe { place.wrapping_add(WRITTEN).cast::<usize>().write(request.written()) };
        irp
    }

    unsafe fn from_irp(irp: NonNull<IRP>) -> Self {
        let place = driver_context(irp);
        // SAFETY: the caller's contract.
        let context = unsafe { place.cast::<T>().read() };
        // SAFETY: the caller's contract.
        let written = unsafe { place.wrapping_add(WRITTEN).cast::<usize>().read() };
        // SAFETY: the caller's contract; its stack location has not changed.
        (Pended::new(R::from_irp(unsafe { Irp::new(irp) }, written)), context)
    }

    fn cancel(self, left: impl FnOnce()) {
        let (request, context) = self;
        drop(context);
        left();
        request.fail(STATUS_CANCELLED);
    }
}
