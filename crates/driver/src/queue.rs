//! Cancel-safe queues: where requests wait for their answer, by NT's `IoCsq…` routines.
//!
//! Cancelling a request, taking it out, cleaning up its file and giving the whole queue up can come together in any
//! order; each request goes to exactly one of them. The callbacks here keep the list; NT's routines keep the order of
//! lock, cancel routine and removal that makes it so.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};

use abi::{
    FILE_OBJECT, IO_CSQ, IRP, KIRQL, KSPIN_LOCK, LIST_ENTRY, NTSTATUS, STATUS_CANCELLED,
    STATUS_DELETE_PENDING, STATUS_SUCCESS,
};

use crate::bugcheck::guard;
use crate::irp::{self, Answered, Irp};
use crate::nt::{
    IoCsqInitializeEx, IoCsqInsertIrpEx, IoCsqRemoveNextIrp, KeAcquireSpinLockRaiseToDpc, KeReleaseSpinLock,
};
use crate::pended::{Pendable, Pended};
use crate::{Cleanup, Event, PassiveLevel, PoolBox, Tag};

/// Requests of type `R` that wait, first come, first served, each with a context `T` of at most 16 bytes, which lies in
/// the IRP itself: queueing allocates nothing.
///
/// A request leaves the queue in one of four ways: [`remove_next`](Self::remove_next) and its kin give it to the driver
/// to be answered; it is cancelled, and so completed with STATUS_CANCELLED; [`cancel_file`](Self::cancel_file) does that for
/// all of a file; or the queue is [closed](Self::close), at the latest when it is dropped, which completes what is left with
/// STATUS_DELETE_PENDING.
pub struct CancelSafeQueue<R: Pendable, T: Send + 'static = ()> {
    inner: PoolBox<Inner<R, T>>,
}

/// NT gets its address as an `IO_CSQ`, and gives that to the callbacks.
#[repr(C)]
struct Inner<R, T> {
    csq: UnsafeCell<IO_CSQ>,
    lock: UnsafeCell<KSPIN_LOCK>,
    /// Of `Tail.Overlay.ListEntry`. Under the lock.
    list: UnsafeCell<LIST_ENTRY>,
    /// What requests are refused with, once the queue is closed. Under the lock.
    closed: UnsafeCell<NTSTATUS>,
    /// The owner, and each request that is in the queue or on its way out.
    users: AtomicUsize,
    /// Set by the last of them, if that is not the owner.
    empty: Event,
    requests: PhantomData<(fn() -> R, T)>,
}

// SAFETY: the lock hands the list and its contexts from one thread to the next; requests in it are pended ones, which are
// `Send`.
unsafe impl<R: Pendable, T: Send> Sync for Inner<R, T> {}
// SAFETY: as above; NT knows the object by address, and the pool block does not move.
unsafe impl<R: Pendable, T: Send> Send for Inner<R, T> {}

/// What IoCsqRemoveNextIrp is asked for.
type Wanted<'a> = &'a mut dyn FnMut(NonNull<IRP>) -> bool;

impl<R: Pendable, T: Send + 'static> CancelSafeQueue<R, T> {
    /// An empty queue. Fails with STATUS_INSUFFICIENT_RESOURCES. IRQL: up to DISPATCH_LEVEL.
    pub fn new(tag: Tag) -> Result<Self, NTSTATUS> {
        const { assert!(size_of::<T>() <= CONTEXT_SIZE, "a request's context has at most 16 bytes") };
        const { assert!(align_of::<T>() <= align_of::<usize>(), "a request's context is aligned to 8 bytes") };
        let inner = Inner::<R, T> {
            // SAFETY: numbers and pointers, all of which may be 0.
            csq: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            lock: UnsafeCell::new(0),
            list: UnsafeCell::new(LIST_ENTRY { Flink: ptr::null_mut(), Blink: ptr::null_mut() }),
            closed: UnsafeCell::new(STATUS_SUCCESS),
            users: AtomicUsize::new(1),
            empty: Event::notification(tag, false)?,
            requests: PhantomData,
        };
        let inner = PoolBox::new(tag, inner)?;
        let head = inner.list.get();
        // SAFETY: nobody else has it yet; the head of an empty list points to itself.
        unsafe { head.write(LIST_ENTRY { Flink: head, Blink: head }) };
        // SAFETY: memory for a queue in non-paged pool, at its final address, with the callbacks that belong to it.
        let status = unsafe {
            IoCsqInitializeEx(
                inner.csq.get(),
                Some(insert::<R, T>),
                Some(remove),
                Some(peek_next::<R, T>),
                Some(acquire::<R, T>),
                Some(release::<R, T>),
                Some(complete_canceled::<R, T>),
            )
        };
        if status.is_success() { Ok(Self { inner }) } else { Err(status) }
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

    /// Puts a request back, at the end. Otherwise as [`pend`](Self::pend).
    pub fn insert(&self, request: Pended<R>, context: T) {
        let irp = request.into_raw(context);
        self.inner.users.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the IRP is the driver's, and from here on the queue's.
        let status =
            unsafe { IoCsqInsertIrpEx(self.inner.csq.get(), irp.as_ptr(), ptr::null_mut(), ptr::null_mut()) };
        if !status.is_success() {
            // SAFETY: refused, and so still this function's, as `into_raw` made it.
            let (request, _context) = unsafe { Pended::<R>::from_raw::<T>(irp) };
            self.inner.leave();
            request.fail(status);
        }
    }

    /// Takes the request that has waited longest. IRQL: up to DISPATCH_LEVEL.
    pub fn remove_next(&self) -> Option<(Pended<R>, T)> {
        self.remove_matching(&mut |_irp| true)
    }

    /// Takes the request that has waited longest of those that are `wanted`, which runs with the queue's spin lock held.
    /// IRQL: up to DISPATCH_LEVEL.
    pub fn remove_next_if(&self, mut wanted: impl FnMut(&T) -> bool) -> Option<(Pended<R>, T)> {
        // SAFETY: an IRP in this queue, while its lock is held.
        self.remove_matching(&mut |irp| wanted(unsafe { &*driver_context(irp).cast() }))
    }

    /// Shows the contexts of all requests, in their order, with the queue's spin lock held. IRQL: up to DISPATCH_LEVEL.
    pub fn for_each(&self, mut visit: impl FnMut(&T)) {
        let none = self.remove_next_if(|context| {
            visit(context);
            false
        });
        debug_assert!(none.is_none(), "nothing was wanted");
    }

    /// Completes the waiting requests of the file whose last handle is closed with STATUS_CANCELLED: what a cleanup does.
    pub fn cancel_file(&self, cleanup: &Cleanup) {
        let file: *mut FILE_OBJECT = cleanup.irp.file_object().map_or(ptr::null_mut(), NonNull::as_ptr);
        // SAFETY: an IRP in this queue, while its lock is held.
        let mut is_of_file = |irp| unsafe { irp::file_of(irp) } == file;
        while let Some((request, _context)) = self.remove_matching(&mut is_of_file) {
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
        let lock = self.inner.lock.get();
        // SAFETY: initialised in `new`.
        let irql = unsafe { KeAcquireSpinLockRaiseToDpc(lock) };
        // SAFETY: the lock is held.
        unsafe { *self.inner.closed.get() = status };
        // SAFETY: acquired above.
        unsafe { KeReleaseSpinLock(lock, irql) };
        while let Some((request, _context)) = self.remove_next() {
            request.fail(status);
        }
    }

    fn remove_matching(&self, mut wanted: Wanted<'_>) -> Option<(Pended<R>, T)> {
        // SAFETY: initialised in `new`; the context is what `peek_next` expects.
        let irp = unsafe { IoCsqRemoveNextIrp(self.inner.csq.get(), (&raw mut wanted).cast()) };
        // SAFETY: out of the queue, and so this function's, as `into_raw` made it.
        let removed = unsafe { Pended::from_raw(NonNull::new(irp)?) };
        self.inner.leave();
        Some(removed)
    }
}

impl<R: Pendable, T: Send + 'static> Drop for CancelSafeQueue<R, T> {
    /// IRQL: PASSIVE_LEVEL, unless no request is in it.
    fn drop(&mut self) {
        self.close(STATUS_DELETE_PENDING);
        if self.inner.users.fetch_sub(1, Ordering::AcqRel) != 1 {
            // Requests that are being cancelled just now.
            self.inner.empty.wait(PassiveLevel::expect("a queue is dropped"));
        }
    }
}

impl<R, T> Inner<R, T> {
    /// A request is out of the queue. `self` may be gone after this.
    fn leave(&self) {
        if self.users.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.empty.set();
        }
    }
}

/// Bytes of `DriverContext` that are the context's.
const CONTEXT_SIZE: usize = 16;
/// The part of `DriverContext` that says how many bytes of output have been written. The last one is NT's.
const WRITTEN: usize = 2;
/// Of the list entry in an IRP.
const ENTRY: usize = core::mem::offset_of!(IRP, Tail.Overlay.ListEntry);

/// Where an IRP has its `DriverContext`.
fn driver_context(irp: NonNull<IRP>) -> *mut *mut c_void {
    irp.as_ptr().wrapping_byte_add(core::mem::offset_of!(IRP, Tail.Overlay.u)).cast()
}

impl<R: Pendable> Pended<R> {
    /// Turns the request into its IRP, with what else is known about it inside.
    fn into_raw<T>(self, context: T) -> NonNull<IRP> {
        let request = self.into_request();
        let irp = request.irp().as_raw();
        let place = driver_context(irp);
        // SAFETY: the IRP is the driver's, and the context fits, as `new` has checked.
        unsafe { place.cast::<T>().write(context) };
        // SAFETY: as above; behind the context.
        unsafe { place.wrapping_add(WRITTEN).cast::<usize>().write(request.written()) };
        irp
    }

    /// # Safety
    ///
    /// `irp` comes from [`into_raw`](Self::into_raw) of the same types, and is the driver's.
    unsafe fn from_raw<T>(irp: NonNull<IRP>) -> (Self, T) {
        let place = driver_context(irp);
        // SAFETY: the caller's contract.
        let context = unsafe { place.cast::<T>().read() };
        // SAFETY: the caller's contract.
        let written = unsafe { place.wrapping_add(WRITTEN).cast::<usize>().read() };
        // SAFETY: the caller's contract; its stack location has not changed.
        (Self::new(R::from_irp(unsafe { Irp::new(irp) }, written)), context)
    }
}

/// # Safety
///
/// `csq` is the address of an `Inner<R, T>`, which stays during `'a`.
unsafe fn inner<'a, R, T>(csq: *mut IO_CSQ) -> &'a Inner<R, T> {
    // SAFETY: the caller's contract.
    unsafe { &*csq.cast::<Inner<R, T>>() }
}

/// The IRP that an entry of a queue's list is in.
fn irp_at(entry: *mut LIST_ENTRY) -> *mut IRP {
    entry.wrapping_byte_sub(ENTRY).cast()
}

/// The entry of an IRP.
fn entry_of(irp: *mut IRP) -> *mut LIST_ENTRY {
    irp.wrapping_byte_add(ENTRY).cast()
}

/// CsqInsertIrpEx, with the lock held.
unsafe extern "win64" fn insert<R, T>(csq: *mut IO_CSQ, irp: *mut IRP, _context: *mut c_void) -> NTSTATUS {
    // SAFETY: NT's call for a queue of these types.
    let inner = unsafe { inner::<R, T>(csq) };
    // SAFETY: the lock is held.
    let closed = unsafe { *inner.closed.get() };
    if !closed.is_success() {
        return closed;
    }
    let head = inner.list.get();
    let entry = entry_of(irp);
    // SAFETY: the lock is held.
    let last = unsafe { (*head).Blink };
    // SAFETY: the IRP's own entry.
    unsafe { entry.write(LIST_ENTRY { Flink: head, Blink: last }) };
    // SAFETY: the lock is held; the last entry, or the head.
    unsafe { (*last).Flink = entry };
    // SAFETY: the lock is held.
    unsafe { (*head).Blink = entry };
    STATUS_SUCCESS
}

/// CsqRemoveIrp, with the lock held.
unsafe extern "win64" fn remove(_csq: *mut IO_CSQ, irp: *mut IRP) {
    let entry = entry_of(irp);
    // SAFETY: an IRP in the queue, with the lock held.
    let LIST_ENTRY { Flink: next, Blink: previous } = unsafe { entry.read() };
    // SAFETY: its neighbours, or the head.
    unsafe { (*previous).Flink = next };
    // SAFETY: as above.
    unsafe { (*next).Blink = previous };
}

/// CsqPeekNextIrp, with the lock held: the first IRP behind `irp`, or from the start, that is wanted.
unsafe extern "win64" fn peek_next<R, T>(csq: *mut IO_CSQ, irp: *mut IRP, context: *mut c_void) -> *mut IRP {
    // SAFETY: NT's call for a queue of these types.
    let head = unsafe { inner::<R, T>(csq) }.list.get();
    // SAFETY: `remove_matching` passes a closure, and waits for this.
    let wanted = unsafe { &mut *context.cast::<Wanted<'_>>() };
    let mut entry = if irp.is_null() { head } else { entry_of(irp) };
    guard(|| {
        loop {
            // SAFETY: the head, or the entry of an IRP in the queue, with the lock held.
            entry = unsafe { (*entry).Flink };
            if entry == head {
                return ptr::null_mut();
            }
            let irp = irp_at(entry);
            if NonNull::new(irp).is_some_and(&mut *wanted) {
                return irp;
            }
        }
    })
}

/// CsqAcquireLock.
unsafe extern "win64" fn acquire<R, T>(csq: *mut IO_CSQ, irql: *mut KIRQL) {
    // SAFETY: NT's call for a queue of these types.
    let lock = unsafe { inner::<R, T>(csq) }.lock.get();
    // SAFETY: initialised in `new`.
    let old = unsafe { KeAcquireSpinLockRaiseToDpc(lock) };
    // SAFETY: NT's variable.
    unsafe { *irql = old };
}

/// CsqReleaseLock.
unsafe extern "win64" fn release<R, T>(csq: *mut IO_CSQ, irql: KIRQL) {
    // SAFETY: NT's call for a queue of these types.
    let lock = unsafe { inner::<R, T>(csq) }.lock.get();
    // SAFETY: acquired by `acquire` at this IRQL.
    unsafe { KeReleaseSpinLock(lock, irql) };
}

/// CsqCompleteCanceledIrp: the request is out of the queue, and the lock released.
unsafe extern "win64" fn complete_canceled<R: Pendable, T>(csq: *mut IO_CSQ, irp: *mut IRP) {
    guard(|| {
        // SAFETY: NT gives the IRP back.
        let irp = unsafe { NonNull::new_unchecked(irp) };
        // SAFETY: inserted into a queue of these types.
        let (request, context) = unsafe { Pended::<R>::from_raw::<T>(irp) };
        drop(context);
        // Before the file can be closed by the completion, and the queue with it.
        // SAFETY: NT's call for a queue of these types, which stays until this says that the request has left.
        unsafe { inner::<R, T>(csq) }.leave();
        request.fail(STATUS_CANCELLED);
    });
}
