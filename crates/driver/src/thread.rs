//! System threads that end before their driver does.

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::time::Duration;

use abi::{
    HANDLE, KEVENT, KernelMode, NTSTATUS, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, STATUS_INVALID_HANDLE,
    THREAD_ALL_ACCESS,
};

use crate::bugcheck::guard;
use crate::nt::{
    KeGetCurrentThread, ObReferenceObjectByHandle, ObfDereferenceObject, PsCreateSystemThread,
    PsGetCurrentProcessId, ZwClose,
};
use crate::wait::{Waiter, wait};
use crate::{Event, PassiveLevel, PoolArc, PoolBox, Tag, Timeout, WaitObject, wait_any, wait_any_timeout};

/// A system thread. Dropping it asks the thread to stop and waits for its end, so that none is left in the driver's code
/// when that is unloaded.
///
/// What it runs looks at its [`Stop`]; a thread that does not would never let its driver go.
pub struct Thread {
    /// The thread object, referenced.
    object: NonNull<c_void>,
    stop: PoolArc<Event>,
}

// SAFETY: the thread object may be waited for in any thread.
unsafe impl Send for Thread {}
// SAFETY: as above.
unsafe impl Sync for Thread {}

/// The identifier of the process in whose context this runs: in a dispatch method of a create, a cleanup, a read or a write, as a
/// rule that of whoever asks. IRQL: up to DISPATCH_LEVEL.
#[must_use]
pub fn current_process_id() -> usize {
    // SAFETY: callable anywhere.
    unsafe { PsGetCurrentProcessId() }.addr()
}

/// What a thread is asked by: whether it is to end.
pub struct Stop<'a> {
    event: &'a Event,
    level: PassiveLevel,
}

/// Why a thread's wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// The event was set.
    Set,
    /// The time is over.
    TimedOut,
    /// The thread is to end.
    Stopped,
}

impl Stop<'_> {
    /// Whether the thread is to end.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.event.is_set()
    }

    /// For what may wait.
    #[must_use]
    pub fn level(&self) -> PassiveLevel {
        self.level
    }

    pub(crate) fn as_raw(&self) -> *mut KEVENT {
        self.event.as_raw()
    }

    /// Waits until `event` is set, the time is over (`None`: never), or the thread is to end.
    pub fn wait(&self, event: &Event, timeout: Option<Duration>) -> Woken {
        let objects: [&dyn WaitObject; 2] = [self, event];
        let waited = match timeout {
            Some(timeout) => wait_any_timeout(self.level, objects, timeout),
            None => Ok(wait_any(self.level, objects)),
        };
        match waited.map(|waited| waited.index()) {
            Err(Timeout) => Woken::TimedOut,
            Ok(0) => Woken::Stopped,
            Ok(_) => Woken::Set,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "48")]
const ATTRIBUTES_LENGTH: u32 = size_of::<OBJECT_ATTRIBUTES>() as u32;

/// What a new thread is given.
struct Start<F> {
    stop: PoolArc<Event>,
    tag: Tag,
    body: F,
}

impl Thread {
    /// Starts a thread in the system process. Fails as PsCreateSystemThread does, and drops `body`.
    pub fn spawn<F>(_level: PassiveLevel, tag: Tag, body: F) -> Result<Self, NTSTATUS>
    where
        F: FnOnce(&Stop<'_>) + Send + 'static,
    {
        let stop = PoolArc::new(tag, Event::notification(tag, false)?)?;
        let start = PoolBox::new(tag, Start { stop: stop.clone(), tag, body })?.leak();
        let mut attributes = OBJECT_ATTRIBUTES {
            Length: ATTRIBUTES_LENGTH,
            RootDirectory: ptr::null_mut(),
            ObjectName: ptr::null_mut(),
            // Not one of the application in whose request this may be.
            Attributes: OBJ_KERNEL_HANDLE,
            SecurityDescriptor: ptr::null_mut(),
            SecurityQualityOfService: ptr::null_mut(),
        };
        let mut handle = ptr::null_mut();
        // SAFETY: at PASSIVE_LEVEL; `run` takes what `start` is.
        let status = unsafe {
            PsCreateSystemThread(
                &raw mut handle,
                THREAD_ALL_ACCESS,
                &raw mut attributes,
                ptr::null_mut(),
                ptr::null_mut(),
                Some(run::<F>),
                start.as_ptr().cast(),
            )
        };
        if !status.is_success() {
            // SAFETY: leaked above, and there is no thread that would take it.
            drop(unsafe { PoolBox::from_leaked(start, tag) });
            return Err(status);
        }
        let object = object_of(handle);
        // SAFETY: a kernel handle of this function's.
        let _closed = unsafe { ZwClose(handle) };
        // A handle that was just made stands for its object.
        Ok(Self { object: object.expect("the new thread's object"), stop })
    }

    /// Waits until the thread ends by itself.
    pub fn join(self, level: PassiveLevel) {
        self.wait(level);
    }

    /// Asks the thread to stop, without waiting for it. IRQL: up to DISPATCH_LEVEL.
    pub fn stop(&self) {
        self.stop.set();
    }

    /// The thread object.
    pub(crate) fn as_raw(&self) -> *mut c_void {
        self.object.as_ptr()
    }

    fn wait(&self, _level: PassiveLevel) {
        // SAFETY: callable at any IRQL up to DISPATCH_LEVEL.
        let current = unsafe { KeGetCurrentThread() };
        assert!(current.cast() != self.object.as_ptr(), "a thread waits for its own end");
        // SAFETY: a thread object, which is referenced.
        unsafe { wait(self.object.as_ptr(), Waiter::Driver, None) };
    }
}

impl Drop for Thread {
    /// IRQL: PASSIVE_LEVEL.
    fn drop(&mut self) {
        self.stop();
        self.wait(PassiveLevel::expect("a thread is waited for"));
        // SAFETY: the reference of `spawn`.
        unsafe { ObfDereferenceObject(self.object.as_ptr()) };
    }
}

fn object_of(thread: HANDLE) -> Result<NonNull<c_void>, NTSTATUS> {
    let mut object = ptr::null_mut();
    // SAFETY: at PASSIVE_LEVEL, with a handle of the caller's; KernelMode asks for no type.
    let status = unsafe {
        ObReferenceObjectByHandle(
            thread,
            THREAD_ALL_ACCESS,
            ptr::null_mut(),
            KernelMode,
            &raw mut object,
            ptr::null_mut(),
        )
    };
    if status.is_success() { NonNull::new(object).ok_or(STATUS_INVALID_HANDLE) } else { Err(status) }
}

/// The thread's routine. Returning from it ends the thread.
unsafe extern "win64" fn run<F: FnOnce(&Stop<'_>)>(start: *mut c_void) {
    guard(|| {
        // SAFETY: what `spawn` leaked.
        let start = unsafe { NonNull::new_unchecked(start.cast::<Start<F>>()) };
        // SAFETY: as above.
        let tag = unsafe { (*start.as_ptr()).tag };
        // SAFETY: leaked under this tag; `spawn` does not use it when there is a thread.
        let Start { stop, body, .. } = unsafe { PoolBox::from_leaked(start, tag) }.into_inner();
        // SAFETY: system threads start at PASSIVE_LEVEL.
        body(&Stop { event: &stop, level: unsafe { PassiveLevel::assume() } });
    });
}
