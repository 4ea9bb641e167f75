//! NT's cancel-safe queue, `IO_CSQ`: its list, its lock, its callbacks and its end, for whatever a driver lets wait.
//!
//! Cancelling a request, taking it out and giving the whole queue up can come together in any order; each request goes to
//! exactly one of them. The callbacks here keep the list; NT's routines keep the order of lock, cancel routine and removal
//! that makes it so. What a request is, and what becomes of one that is refused or left over, is the queues' own:
//! [`CancelSafeQueue`](crate::CancelSafeQueue) and [`HeldQueue`](crate::HeldQueue).

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};

use abi::{IO_CSQ, IRP, KIRQL, KSPIN_LOCK, LIST_ENTRY, NTSTATUS, STATUS_SUCCESS};

use crate::bugcheck::guard;
use crate::nt::{
    IoCsqInitializeEx, IoCsqInsertIrpEx, IoCsqRemoveNextIrp, KeAcquireSpinLockRaiseToDpc, KeReleaseSpinLock,
};
use crate::{Event, PassiveLevel, PoolBox, Tag};

/// A request that can wait in a [`Csq`], as its IRP.
///
/// # Safety
///
/// `into_irp` gives an IRP that is the driver's and is not used by anybody else until `from_irp`; all but the last word of
/// its `DriverContext` may carry what else there is to know.
pub(crate) unsafe trait Entry: Sized + 'static {
    fn into_irp(self) -> NonNull<IRP>;

    /// # Safety
    ///
    /// `irp` comes from [`into_irp`](Self::into_irp) of the same type, and is the caller's again.
    unsafe fn from_irp(irp: NonNull<IRP>) -> Self;

    /// Completes it with STATUS_CANCELLED. `left` says to the queue that it is out, before the request's end can be the
    /// queue's.
    fn cancel(self, left: impl FnOnce());
}

/// Requests of one kind, first come, first served.
pub(crate) struct Csq<E: Entry> {
    inner: PoolBox<Inner<E>>,
}

/// NT gets its address as an `IO_CSQ`, and gives that to the callbacks.
#[repr(C)]
struct Inner<E> {
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
    /// Sees each request that is cancelled, before it is completed.
    cancelling: Option<fn(&E)>,
}

// SAFETY: the lock hands the list from one thread to the next; the queues let only in what may change its thread.
unsafe impl<E> Sync for Inner<E> {}
// SAFETY: as above; NT knows the object by address, and the pool block does not move.
unsafe impl<E> Send for Inner<E> {}

/// What is done with a request that is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is taken.
    Take,
    /// The next is looked at.
    Next,
    /// No other is.
    Stop,
}

impl Look {
    /// Takes what is wanted, however far back it is.
    pub(crate) fn take_if(is_wanted: bool) -> Self {
        if is_wanted { Self::Take } else { Self::Next }
    }
}

/// What IoCsqRemoveNextIrp is asked for.
type Wanted<'a> = &'a mut dyn FnMut(NonNull<IRP>) -> Look;

impl<E: Entry> Csq<E> {
    /// An empty queue; `cancelling` sees each request that is cancelled while it waits, out of the queue and not completed yet, at the
    /// canceller's IRQL. Fails with STATUS_INSUFFICIENT_RESOURCES. IRQL: up to DISPATCH_LEVEL.
    pub(crate) fn new(tag: Tag, cancelling: Option<fn(&E)>) -> Result<Self, NTSTATUS> {
        let inner = Inner::<E> {
            // SAFETY: numbers and pointers, all of which may be 0.
            csq: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            lock: UnsafeCell::new(0),
            list: UnsafeCell::new(LIST_ENTRY { Flink: ptr::null_mut(), Blink: ptr::null_mut() }),
            closed: UnsafeCell::new(STATUS_SUCCESS),
            users: AtomicUsize::new(1),
            empty: Event::notification(tag, false)?,
            cancelling,
        };
        let inner = PoolBox::new(tag, inner)?;
        let head = inner.list.get();
        // SAFETY: nobody else has it yet; the head of an empty list points to itself.
        unsafe { head.write(LIST_ENTRY { Flink: head, Blink: head }) };
        // SAFETY: memory for a queue in non-paged pool, at its final address, with the callbacks that belong to it.
        let status = unsafe {
            IoCsqInitializeEx(
                inner.csq.get(),
                Some(insert::<E>),
                Some(remove),
                Some(peek_next::<E>),
                Some(acquire::<E>),
                Some(release::<E>),
                Some(complete_canceled::<E>),
            )
        };
        if status.is_success() { Ok(Self { inner }) } else { Err(status) }
    }

    /// Puts a request at the end. One that is cancelled already is completed as such; a closed queue gives it back, with the
    /// status that it was closed with. IRQL: up to DISPATCH_LEVEL.
    pub(crate) fn insert(&self, entry: E) -> Result<(), (E, NTSTATUS)> {
        self.insert_at(entry, ptr::null_mut())
    }

    /// Puts a request at the front. Otherwise as [`insert`](Self::insert).
    pub(crate) fn insert_first(&self, entry: E) -> Result<(), (E, NTSTATUS)> {
        self.insert_at(entry, self.inner.csq.get().cast())
    }

    /// `place`: null for the end.
    fn insert_at(&self, entry: E, place: *mut c_void) -> Result<(), (E, NTSTATUS)> {
        let irp = entry.into_irp();
        self.inner.users.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the IRP is the driver's, and from here on the queue's.
        let status = unsafe { IoCsqInsertIrpEx(self.inner.csq.get(), irp.as_ptr(), ptr::null_mut(), place) };
        if status.is_success() {
            return Ok(());
        }
        // SAFETY: refused, and so still this function's, as `into_irp` made it.
        let entry = unsafe { E::from_irp(irp) };
        self.inner.leave();
        Err((entry, status))
    }

    /// Takes the request that has waited longest of those that are `wanted`, which runs with the queue's spin lock held.
    /// IRQL: up to DISPATCH_LEVEL.
    pub(crate) fn remove(&self, mut wanted: Wanted<'_>) -> Option<E> {
        // SAFETY: initialised in `new`; the context is what `peek_next` expects.
        let irp = unsafe { IoCsqRemoveNextIrp(self.inner.csq.get(), (&raw mut wanted).cast()) };
        // SAFETY: out of the queue, and so this function's, as `into_irp` made it.
        let removed = unsafe { E::from_irp(NonNull::new(irp)?) };
        self.inner.leave();
        Some(removed)
    }

    /// Takes the request that has waited longest. IRQL: up to DISPATCH_LEVEL.
    pub(crate) fn remove_next(&self) -> Option<E> {
        self.remove(&mut |_irp| Look::Take)
    }

    /// Lets no more requests in; `status`, a failure, is what they are refused with. Those that wait stay. IRQL: up to
    /// DISPATCH_LEVEL.
    pub(crate) fn refuse(&self, status: NTSTATUS) {
        let lock = self.inner.lock.get();
        // SAFETY: initialised in `new`.
        let irql = unsafe { KeAcquireSpinLockRaiseToDpc(lock) };
        // SAFETY: the lock is held.
        unsafe { *self.inner.closed.get() = status };
        // SAFETY: acquired above.
        unsafe { KeReleaseSpinLock(lock, irql) };
    }
}

impl<E: Entry> Drop for Csq<E> {
    /// After its owner has emptied and closed it. IRQL: PASSIVE_LEVEL, unless no request is on its way out.
    fn drop(&mut self) {
        if self.inner.users.fetch_sub(1, Ordering::AcqRel) != 1 {
            // Requests that are being cancelled just now.
            self.inner.empty.wait(PassiveLevel::expect("a queue is dropped"));
        }
    }
}

impl<E> Inner<E> {
    /// A request is out of the queue. `self` may be gone after this.
    fn leave(&self) {
        if self.users.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.empty.set();
        }
    }
}

/// Of the list entry in an IRP.
const ENTRY: usize = core::mem::offset_of!(IRP, Tail.Overlay.ListEntry);

/// Where an IRP has its `DriverContext`.
pub(crate) fn driver_context(irp: NonNull<IRP>) -> *mut *mut c_void {
    irp.as_ptr().wrapping_byte_add(core::mem::offset_of!(IRP, Tail.Overlay.u)).cast()
}

/// # Safety
///
/// `csq` is the address of an `Inner<E>`, which stays during `'a`.
unsafe fn inner<'a, E>(csq: *mut IO_CSQ) -> &'a Inner<E> {
    // SAFETY: the caller's contract.
    unsafe { &*csq.cast::<Inner<E>>() }
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
unsafe extern "win64" fn insert<E>(csq: *mut IO_CSQ, irp: *mut IRP, place: *mut c_void) -> NTSTATUS {
    // SAFETY: NT's call for a queue of these entries.
    let inner = unsafe { inner::<E>(csq) };
    // SAFETY: the lock is held.
    let closed = unsafe { *inner.closed.get() };
    if !closed.is_success() {
        return closed;
    }
    // What it goes behind and before: in a ring the front is behind the head.
    let mut head = inner.list.get();
    if !place.is_null() {
        // SAFETY: the lock is held.
        head = unsafe { (*head).Flink };
    }
    let entry = entry_of(irp);
    // SAFETY: the lock is held; the head, or the first entry.
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
unsafe extern "win64" fn peek_next<E>(csq: *mut IO_CSQ, irp: *mut IRP, context: *mut c_void) -> *mut IRP {
    // SAFETY: NT's call for a queue of these entries.
    let head = unsafe { inner::<E>(csq) }.list.get();
    // SAFETY: `remove` passes a closure, and waits for this.
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
            match NonNull::new(irp).map_or(Look::Stop, &mut *wanted) {
                Look::Take => return irp,
                Look::Next => {}
                Look::Stop => return ptr::null_mut(),
            }
        }
    })
}

/// CsqAcquireLock.
unsafe extern "win64" fn acquire<E>(csq: *mut IO_CSQ, irql: *mut KIRQL) {
    // SAFETY: NT's call for a queue of these entries.
    let lock = unsafe { inner::<E>(csq) }.lock.get();
    // SAFETY: initialised in `new`.
    let old = unsafe { KeAcquireSpinLockRaiseToDpc(lock) };
    // SAFETY: NT's variable.
    unsafe { *irql = old };
}

/// CsqReleaseLock.
unsafe extern "win64" fn release<E>(csq: *mut IO_CSQ, irql: KIRQL) {
    // SAFETY: NT's call for a queue of these entries.
    let lock = unsafe { inner::<E>(csq) }.lock.get();
    // SAFETY: acquired by `acquire` at this IRQL.
    unsafe { KeReleaseSpinLock(lock, irql) };
}

/// CsqCompleteCanceledIrp: the request is out of the queue, and the lock released.
unsafe extern "win64" fn complete_canceled<E: Entry>(csq: *mut IO_CSQ, irp: *mut IRP) {
    guard(|| {
        // SAFETY: NT gives the IRP back.
        let irp = unsafe { NonNull::new_unchecked(irp) };
        // SAFETY: inserted into a queue of these entries.
        let entry = unsafe { E::from_irp(irp) };
        // SAFETY: NT's call for a queue of these entries, which stays until the request has left.
        if let Some(cancelling) = unsafe { inner::<E>(csq) }.cancelling {
            cancelling(&entry);
        }
        // SAFETY: NT's call for a queue of these entries, which stays until this says that the request has left.
        entry.cancel(|| unsafe { inner::<E>(csq) }.leave());
    });
}
