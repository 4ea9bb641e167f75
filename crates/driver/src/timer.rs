//! Timers: a `KTIMER` with the `KDPC` that it queues, and the routine that this calls.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use abi::{KDPC, KTIMER, NTSTATUS, NotificationTimer};

use crate::bugcheck::guard;
use crate::nt::{KeCancelTimer, KeFlushQueuedDpcs, KeInitializeDpc, KeInitializeTimerEx, KeSetTimerEx};
use crate::time::relative;
use crate::{PassiveLevel, PoolBox, Tag};

/// A timer that calls a routine at DISPATCH_LEVEL. Dropping it cancels it and waits until the routine does not run any
/// more.
pub struct Timer {
    head: NonNull<Head>,
}

// SAFETY: NT's functions on timers may be called in any thread, and the routine is `Send` and `Sync`.
unsafe impl Send for Timer {}
// SAFETY: as above.
unsafe impl Sync for Timer {}

/// What does not depend on the routine's type. Both objects are in non-paged pool and do not move.
struct Head {
    timer: UnsafeCell<KTIMER>,
    dpc: UnsafeCell<KDPC>,
    /// It is being dropped: the routine is not called any more.
    closing: AtomicBool,
    tag: Tag,
    free: unsafe fn(NonNull<Head>),
}

/// The head is first, so that one address is both.
#[repr(C)]
struct Inner<F> {
    head: Head,
    routine: F,
}

impl Timer {
    /// A timer that is not set. Its routine runs at DISPATCH_LEVEL, in whichever thread: it has no
    /// [`PassiveLevel`], and so nothing to wait with. It gets the timer, which it may set again: to what is past, and it runs
    /// again at once, before any thread that the processor has. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn new<F>(tag: Tag, routine: F) -> Result<Self, NTSTATUS>
    where
        F: Fn(&Self) + Send + Sync + 'static,
    {
        let head = Head {
            // SAFETY: numbers and pointers, all of which may be 0.
            timer: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            // SAFETY: as above.
            dpc: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            closing: AtomicBool::new(false),
            tag,
            free: free::<F>,
        };
        let head = PoolBox::new(tag, Inner { head, routine })?.leak().cast::<Head>();
        let this = Self { head };
        // SAFETY: memory for a timer in non-paged pool, at its final address.
        unsafe { KeInitializeTimerEx(this.head().timer.get(), NotificationTimer) };
        // SAFETY: as above, for a DPC whose routine takes what it is given.
        unsafe { KeInitializeDpc(this.head().dpc.get(), Some(deferred::<F>), head.as_ptr().cast()) };
        Ok(this)
    }

    fn head(&self) -> &Head {
        // SAFETY: in pool until `self` is dropped.
        unsafe { self.head.as_ref() }
    }

    /// Sets it to expire once, `after` that time. Whether it was set before; it is not, then, for that time any more.
    /// IRQL: up to DISPATCH_LEVEL.
    pub fn set(&self, after: Duration) -> bool {
        self.set_with(after, 0)
    }

    /// Sets it to expire `after` that time and then again and again, each `period` (in whole milliseconds, at least one).
    /// Otherwise as [`set`](Self::set).
    pub fn set_periodic(&self, after: Duration, period: Duration) -> bool {
        self.set_with(after, i32::try_from(period.as_millis()).unwrap_or(i32::MAX).max(1))
    }

    pub(crate) fn as_raw(&self) -> *mut KTIMER {
        self.head().timer.get()
    }

    fn set_with(&self, after: Duration, period: i32) -> bool {
        let head = self.head();
        if head.closing.load(Ordering::SeqCst) {
            return false;
        }
        // SAFETY: both were initialised in `new`.
        unsafe { KeSetTimerEx(head.timer.get(), relative(after), period, head.dpc.get()) != 0 }
    }

    /// Takes the setting back; whether there was one. The routine may be running, or about to. IRQL: up to DISPATCH_LEVEL.
    pub fn cancel(&self) -> bool {
        // SAFETY: initialised in `new`.
        unsafe { KeCancelTimer(self.head().timer.get()) != 0 }
    }
}

impl Drop for Timer {
    /// IRQL: PASSIVE_LEVEL.
    fn drop(&mut self) {
        let _level = PassiveLevel::expect("a timer is dropped");
        self.head().closing.store(true, Ordering::SeqCst);
        // The first pass ends what may still set the timer, the second what that set.
        for _pass in 0..2 {
            self.cancel();
            // SAFETY: at PASSIVE_LEVEL.
            unsafe { KeFlushQueuedDpcs() };
        }
        let free = self.head().free;
        // SAFETY: neither set nor queued, and the routine has returned.
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

/// The DPC's routine.
unsafe extern "win64" fn deferred<F: Fn(&Timer)>(
    _dpc: *mut KDPC,
    context: *mut c_void,
    _argument1: *mut c_void,
    _argument2: *mut c_void,
) {
    guard(|| {
        // SAFETY: the context that `new` gave, which dropping the timer keeps until this has returned.
        let inner = unsafe { &*context.cast::<Inner<F>>() };
        if inner.head.closing.load(Ordering::SeqCst) {
            return;
        }
        // Not dropped: the timer's owner has it.
        let timer = ManuallyDrop::new(Timer { head: NonNull::from(inner).cast() });
        (inner.routine)(&timer);
    });
}
