//! Requests that a filter holds, in the order in which they came, until it lets them go on or they are cancelled.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::mem::offset_of;
use core::ptr::{self, NonNull, null_mut};
use core::sync::atomic::{AtomicBool, Ordering};

use abi::{IO_CSQ, IRP, KIRQL, KSPIN_LOCK, LIST_ENTRY, NTSTATUS, STATUS_CANCELLED};

use crate::bugcheck::guard;
use crate::nt::{
    IoCsqInitialize, IoCsqInsertIrp, IoCsqRemoveNextIrp, KeAcquireSpinLockRaiseToDpc, KeReleaseSpinLock,
};
use crate::{Held, PoolBox, Tag};

/// A cancel-safe queue (`IO_CSQ`) of [`Held`] requests. One that is cancelled while it is here is completed with
/// STATUS_CANCELLED. Changes of what the driver below is asked for do not stay with a request that is put here.
pub struct HeldQueue<F: 'static, M: 'static> {
    queue: PoolBox<Queue>,
    held: PhantomData<fn() -> (F, M)>,
}

/// The IRPs hang on their `Tail.Overlay.ListEntry`. Of the words that their owner may use, the first says whether the
/// request is on its way up; the last is the I/O manager's.
#[repr(C)]
struct Queue {
    csq: UnsafeCell<IO_CSQ>,
    lock: UnsafeCell<KSPIN_LOCK>,
    head: UnsafeCell<LIST_ENTRY>,
    closed: AtomicBool,
}

impl Queue {
    fn is_empty(&self) -> bool {
        // SAFETY: an initialised lock.
        let irql = unsafe { KeAcquireSpinLockRaiseToDpc(self.lock.get()) };
        let head = self.head.get();
        // SAFETY: the list's head, under the lock.
        let first = unsafe { (*head).Flink };
        // SAFETY: acquired above.
        unsafe { KeReleaseSpinLock(self.lock.get(), irql) };
        first == head
    }
}

// SAFETY: the list is touched under the spin lock only, by the routines below.
unsafe impl Sync for Queue {}
// SAFETY: as above. It lies in pool, and does not move once it is initialised.
unsafe impl Send for Queue {}

impl<F: Send + Sync + 'static, M: 'static> HeldQueue<F, M> {
    /// An empty queue. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn new(tag: Tag) -> Result<Self, NTSTATUS> {
        // SAFETY: all fields may be zero.
        let csq = unsafe { core::mem::zeroed() };
        let head = LIST_ENTRY { Flink: null_mut(), Blink: null_mut() };
        let queue = Queue {
            csq: UnsafeCell::new(csq),
            lock: UnsafeCell::new(0),
            head: UnsafeCell::new(head),
            closed: AtomicBool::new(false),
        };
        let queue = PoolBox::new(tag, queue)?;
        let head = queue.head.get();
        // SAFETY: nobody else has the queue yet.
        unsafe { *head = LIST_ENTRY { Flink: head, Blink: head } };
        // SAFETY: in pool, where it stays; the routines are for this queue.
        let status = unsafe {
            IoCsqInitialize(
                queue.csq.get(),
                Some(insert),
                Some(remove),
                Some(peek_next),
                Some(acquire),
                Some(release),
                Some(complete_cancelled::<F, M>),
            )
        };
        if status.is_success() { Ok(Self { queue, held: PhantomData }) } else { Err(status) }
    }

    /// Puts a request at the end. One that is cancelled already is completed at once. IRQL: up to DISPATCH_LEVEL.
    pub fn push(&self, held: Held<F, M>) {
        let request = held.into_in_hand();
        let irp = request.irp.as_raw().as_ptr();
        let on_its_way_up = usize::from(request.completed);
        // SAFETY: the IRP is this driver's.
        let words = unsafe { &raw mut (*irp).Tail.Overlay.u.DriverContext };
        // SAFETY: its owner may use these words.
        unsafe { (*words)[0] = ptr::without_provenance_mut(on_its_way_up) };
        // SAFETY: given up here; the routines take it back by its address.
        unsafe { IoCsqInsertIrp(self.queue.csq.get(), irp, null_mut()) };
        // After the insertion, as `close` releases after it has said so.
        if self.queue.closed.load(Ordering::SeqCst) {
            self.release_all();
        }
    }

    /// Lets all requests go on, those too that are put here from now on: for [`Filter::detaching`](crate::Filter::detaching).
    pub fn close(&self) {
        self.queue.closed.store(true, Ordering::SeqCst);
        self.release_all();
    }

    /// Takes the request that has waited longest. IRQL: up to DISPATCH_LEVEL.
    #[must_use]
    pub fn pop(&self) -> Option<Held<F, M>> {
        // SAFETY: an initialised queue.
        let irp = unsafe { IoCsqRemoveNextIrp(self.queue.csq.get(), null_mut()) };
        // SAFETY: `push` put it there, and taking it out made it this caller's alone.
        NonNull::new(irp).map(|irp| unsafe { taken_back(irp) })
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
    fn drop(&mut self) {
        loop {
            // SAFETY: an initialised queue.
            let irp = unsafe { IoCsqRemoveNextIrp(self.queue.csq.get(), null_mut()) };
            let Some(irp) = NonNull::new(irp) else {
                // One that is being cancelled is still in the list for a moment.
                if self.queue.is_empty() {
                    break;
                }
                continue;
            };
            // SAFETY: as in `pop`. Dropping it completes it.
            drop(unsafe { taken_back::<F, M>(irp) });
        }
    }
}

/// # Safety
///
/// `irp` was pushed as a `Held<F, M>` and taken out by the caller.
unsafe fn taken_back<F: 'static, M: 'static>(irp: NonNull<IRP>) -> Held<F, M> {
    // SAFETY: the caller's contract.
    let tail = unsafe { (*irp.as_ptr()).Tail };
    // SAFETY: an IRP on its way uses the overlay.
    let overlay = unsafe { tail.Overlay };
    // SAFETY: written by `push`.
    let words = unsafe { overlay.u.DriverContext };
    // SAFETY: the caller's contract.
    unsafe { Held::from_raw(irp, words[0].addr() != 0) }
}

const LINK: usize = offset_of!(IRP, Tail.Overlay.ListEntry);

fn link(irp: *mut IRP) -> *mut LIST_ENTRY {
    irp.cast::<u8>().wrapping_add(LINK).cast()
}

/// The queue begins with its `IO_CSQ`.
fn head(csq: *mut IO_CSQ) -> *mut LIST_ENTRY {
    csq.cast::<u8>().wrapping_add(offset_of!(Queue, head)).cast()
}

fn lock(csq: *mut IO_CSQ) -> *mut KSPIN_LOCK {
    csq.cast::<u8>().wrapping_add(offset_of!(Queue, lock)).cast()
}

unsafe extern "win64" fn insert(csq: *mut IO_CSQ, irp: *mut IRP) {
    let (head, entry) = (head(csq), link(irp));
    // SAFETY: the list's head, under the lock.
    let last = unsafe { (*head).Blink };
    // SAFETY: the IRP is the queue's now.
    unsafe { *entry = LIST_ENTRY { Flink: head, Blink: last } };
    // SAFETY: the last entry, or the head.
    unsafe { (*last).Flink = entry };
    // SAFETY: as above.
    unsafe { (*head).Blink = entry };
}

unsafe extern "win64" fn remove(_csq: *mut IO_CSQ, irp: *mut IRP) {
    // SAFETY: an entry of the list, under the lock.
    let LIST_ENTRY { Flink: next, Blink: before } = unsafe { *link(irp) };
    // SAFETY: its neighbours.
    unsafe { (*before).Flink = next };
    // SAFETY: as above.
    unsafe { (*next).Blink = before };
}

unsafe extern "win64" fn peek_next(csq: *mut IO_CSQ, irp: *mut IRP, _context: *mut c_void) -> *mut IRP {
    let from = if irp.is_null() { head(csq) } else { link(irp) };
    // SAFETY: the head or an entry, under the lock.
    let next = unsafe { (*from).Flink };
    if next == head(csq) { null_mut() } else { next.cast::<u8>().wrapping_sub(LINK).cast() }
}

unsafe extern "win64" fn acquire(csq: *mut IO_CSQ, irql: *mut u8) {
    // SAFETY: the queue's lock.
    let before = unsafe { KeAcquireSpinLockRaiseToDpc(lock(csq)) };
    // SAFETY: the I/O manager's place for it.
    unsafe { *irql = before };
}

unsafe extern "win64" fn release(csq: *mut IO_CSQ, irql: KIRQL) {
    // SAFETY: acquired by `acquire`.
    unsafe { KeReleaseSpinLock(lock(csq), irql) };
}

unsafe extern "win64" fn complete_cancelled<F: 'static, M: 'static>(_csq: *mut IO_CSQ, irp: *mut IRP) {
    guard(|| {
        // SAFETY: the queue has no null IRP.
        let irp = unsafe { NonNull::new_unchecked(irp) };
        // SAFETY: the I/O manager took it out of the queue for this.
        let held = unsafe { taken_back::<F, M>(irp) };
        held.fail(STATUS_CANCELLED);
    });
}
