//! Work items: a routine that a system worker thread calls, at PASSIVE_LEVEL.

use core::ffi::c_void;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use abi::{DEVICE_OBJECT, DelayedWorkQueue, IO_WORKITEM, NTSTATUS};

use crate::bugcheck::guard;
use crate::nt::{IoInitializeWorkItem, IoQueueWorkItem, IoSizeofWorkItem, IoUninitializeWorkItem};
use crate::{Driver, DriverObject, Event, PassiveLevel, PoolBox, Tag};

/// A routine that can be called later, in a system worker thread: the way from DISPATCH_LEVEL to what may wait. Dropping
/// it waits until the routine does not run any more.
///
/// The routine should not wait for long, since system worker threads are few and everybody's.
pub struct WorkItem {
    head: NonNull<Head>,
}

// SAFETY: work items may be queued in any thread, and the routine is `Send` and `Sync`.
unsafe impl Send for WorkItem {}
// SAFETY: as above.
unsafe impl Sync for WorkItem {}

/// What does not depend on the routine's type.
struct Head {
    /// The `IO_WORKITEM`, whose size NT tells.
    item: PoolBox<[u8]>,
    /// It is in NT's queue, where it can be but once.
    queued: AtomicBool,
    /// It is being dropped: it is not queued any more.
    closing: AtomicBool,
    /// The owner, and each call that has been asked for and has not returned.
    users: AtomicUsize,
    /// Set by the last of them, if that is not the owner.
    idle: Event,
    tag: Tag,
    routine: unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut c_void),
    free: unsafe fn(NonNull<Head>),
}

/// The head is first, so that one address is both.
#[repr(C)]
struct Inner<F> {
    head: Head,
    routine: F,
}

impl WorkItem {
    /// A work item of this driver, which stays loaded until the routine has returned. Fails with
    /// STATUS_INSUFFICIENT_RESOURCES. IRQL: up to DISPATCH_LEVEL.
    pub fn new<D, F>(driver: &DriverObject<D>, tag: Tag, routine: F) -> Result<Self, NTSTATUS>
    where
        D: Driver,
        F: Fn(PassiveLevel, &Self) + Send + Sync + 'static,
    {
        // SAFETY: callable up to DISPATCH_LEVEL.
        let size = unsafe { IoSizeofWorkItem() };
        let head = Head {
            item: PoolBox::zeroed(tag, size as usize)?,
            queued: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            users: AtomicUsize::new(1),
            idle: Event::notification(tag, false)?,
            tag,
            routine: work::<F>,
            free: free::<F>,
        };
        let head = PoolBox::new(tag, Inner { head, routine })?.leak().cast::<Head>();
        let this = Self { head };
        // SAFETY: memory of the size that NT told, and a driver object.
        unsafe { IoInitializeWorkItem(driver.as_raw().cast(), this.item()) };
        Ok(this)
    }

    fn head(&self) -> &Head {
        // SAFETY: in pool until `self` is dropped.
        unsafe { self.head.as_ref() }
    }

    fn item(&self) -> *mut IO_WORKITEM {
        self.head().item.as_raw().cast()
    }

    /// Has the routine called. False when that is coming already: the call that has not begun yet is enough for both, for
    /// it sees what was there before this. IRQL: up to DISPATCH_LEVEL.
    pub fn queue(&self) -> bool {
        let head = self.head();
        if head.closing.load(Ordering::SeqCst) || head.queued.swap(true, Ordering::SeqCst) {
            return false;
        }
        head.users.fetch_add(1, Ordering::Relaxed);
        // SAFETY: initialised in `new`, and in no queue.
        unsafe {
            IoQueueWorkItem(self.item(), Some(head.routine), DelayedWorkQueue, self.head.as_ptr().cast());
        };
        true
    }
}

impl Drop for WorkItem {
    /// IRQL: PASSIVE_LEVEL.
    fn drop(&mut self) {
        let level = PassiveLevel::expect("a work item is dropped");
        let head = self.head();
        head.closing.store(true, Ordering::SeqCst);
        if head.users.fetch_sub(1, Ordering::AcqRel) != 1 {
            head.idle.wait(level);
        }
        // SAFETY: initialised in `new`, and in no queue.
        unsafe { IoUninitializeWorkItem(self.item()) };
        let free = head.free;
        // SAFETY: the routine has returned.
        unsafe { free(self.head) };
    }
}

/// # Safety
///
/// `head` begins an `Inner<F>` that `new` leaked, and nobody uses it.
unsafe fn free<F>(head: NonNull<Head>) {
    // SAFETY: the caller's contract.
    let tag = unsafe { head.as_ref() }.tag;
    // SAFETY: as above.
    drop(unsafe { PoolBox::from_leaked(head.cast::<Inner<F>>(), tag) });
}

/// The item's routine.
unsafe extern "win64" fn work<F: Fn(PassiveLevel, &WorkItem)>(
    _object: *mut DEVICE_OBJECT,
    context: *mut c_void,
) {
    guard(|| {
        // SAFETY: the context that `queue` gave, which dropping the item keeps until this says that it is done.
        let inner = unsafe { &*context.cast::<Inner<F>>() };
        inner.head.queued.store(false, Ordering::SeqCst);
        // Not dropped: the item's owner has it.
        let item = ManuallyDrop::new(WorkItem { head: NonNull::from(inner).cast() });
        // SAFETY: system worker threads call at PASSIVE_LEVEL.
        (inner.routine)(unsafe { PassiveLevel::assume() }, &item);
        if inner.head.users.fetch_sub(1, Ordering::AcqRel) == 1 {
            // The owner waits for this.
            inner.head.idle.set();
        }
    });
}
