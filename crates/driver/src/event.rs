//! `KEVENT`: a driver's own, one that has a name, or one of an application's.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::time::Duration;

use abi::{
    EVENT_MODIFY_STATE, EVENT_TYPE, FALSE, HANDLE, IO_NO_INCREMENT, KEVENT, NTSTATUS, NotificationEvent,
    STATUS_INVALID_HANDLE, STATUS_UNSUCCESSFUL, SynchronizationEvent, UNICODE_STRING, UserMode,
};

use crate::nt::{
    IoCreateNotificationEvent, IoCreateSynchronizationEvent, KeClearEvent, KeInitializeEvent,
    KeReadStateEvent, KeSetEvent, ObReferenceObjectByHandle, ObfDereferenceObject, ZwClose,
    event_object_type,
};
use crate::wait::{Interrupted, Outcome, Timeout, Waiter, wait};
use crate::{PassiveLevel, PoolBox, Tag, UnicodeStr};

/// Something that happened, or not yet. The `KEVENT` lies in non-paged pool; the `Event` may be moved.
///
/// Most are the driver's own. Two kinds are shared with applications: one that both sides know [by name](Self::named_notification),
/// and one that an application has made and passed [as a handle](Self::from_user_handle). Those can be set by others too, if
/// their lists say so: what a driver believes because of such an event, it should look up.
pub struct Event {
    /// Valid as long as what `keeper` keeps.
    event: NonNull<KEVENT>,
    keeper: Keeper,
}

/// What an event is kept by.
enum Keeper {
    /// Nobody else knows it.
    Pool { _event: PoolBox<Object> },
    /// A kernel handle.
    Handle(HANDLE),
    /// A reference to the event object.
    Reference,
}

struct Object(UnsafeCell<KEVENT>);

// SAFETY: NT's functions on events may be called from any thread.
unsafe impl Sync for Event {}
// SAFETY: as above; its links are known by address, and neither pool block nor object moves. The handle is a kernel handle,
// which is good in every process.
unsafe impl Send for Event {}

/// IoCreateNotificationEvent or IoCreateSynchronizationEvent.
type CreateNamed = unsafe extern "win64" fn(*const UNICODE_STRING, *mut HANDLE) -> *mut KEVENT;

impl Event {
    /// A notification event: while it is set, no wait for it blocks. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn notification(tag: Tag, set: bool) -> Result<Self, NTSTATUS> {
        Self::new(tag, NotificationEvent, set)
    }

    /// A synchronization event: setting it lets one wait through, which clears it. Fails with
    /// STATUS_INSUFFICIENT_RESOURCES.
    pub fn synchronization(tag: Tag, set: bool) -> Result<Self, NTSTATUS> {
        Self::new(tag, SynchronizationEvent, set)
    }

    fn new(tag: Tag, event_type: EVENT_TYPE, set: bool) -> Result<Self, NTSTATUS> {
        // SAFETY: numbers and pointers, all of which may be 0.
        let event = PoolBox::new(tag, Object(UnsafeCell::new(unsafe { core::mem::zeroed() })))?;
        let address = NonNull::from(&event.0).cast::<KEVENT>();
        // SAFETY: memory for an event in non-paged pool, at its final address.
        unsafe { KeInitializeEvent(address.as_ptr(), event_type, set.into()) };
        Ok(Self { event: address, keeper: Keeper::Pool { _event: event } })
    }

    /// The notification event of this name, made if nobody has: for one that applications see too,
    /// `\BaseNamedObjects\Name`, which is `Global\Name` to them.
    ///
    /// One that is made here starts *set*, and is for the system to set; administrators may wait for it, and standard users
    /// may not even open it. An application that is to have other rights makes it first: then this opens it, of whichever kind
    /// it is, without any check. So a driver should not let applications choose the name, with which they would have it set
    /// the events of others. Not in the driver's entry: when a system starts, the directory may not be there yet.
    ///
    /// It goes, and its name with it, when this and all applications' handles are gone. IRQL of dropping it: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_UNSUCCESSFUL for whatever reason: NT tells none.
    ///
    /// Source: ddi, IoCreateNotificationEvent.
    pub fn named_notification(level: PassiveLevel, name: UnicodeStr<'_>) -> Result<Self, NTSTATUS> {
        Self::named(level, name, IoCreateNotificationEvent)
    }

    /// The synchronization event of this name, made if nobody has. Otherwise as
    /// [`named_notification`](Self::named_notification).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn named_synchronization(level: PassiveLevel, name: UnicodeStr<'_>) -> Result<Self, NTSTATUS> {
        Self::named(level, name, IoCreateSynchronizationEvent)
    }

    fn named(_level: PassiveLevel, name: UnicodeStr<'_>, create: CreateNamed) -> Result<Self, NTSTATUS> {
        let mut handle = ptr::null_mut();
        // SAFETY: at PASSIVE_LEVEL, with a valid string and a place for the handle.
        let event = unsafe { create(name.as_raw(), &raw mut handle) };
        let event = NonNull::new(event).ok_or(STATUS_UNSUCCESSFUL)?;
        Ok(Self { event, keeper: Keeper::Handle(handle) })
    }

    /// The event that `handle` stands for in the current process: how an application gives a driver an event to set, as a
    /// number in a control request. NT checks what an application may pass: that it is a handle of the application's own, to an
    /// event, and that the application itself may set it (EVENT_MODIFY_STATE). It is kept when the application has closed it.
    ///
    /// In the dispatch method of the request that brought the number: elsewhere, and below drivers that send requests on in
    /// other threads, the current process is another one.
    ///
    /// # Errors
    ///
    /// STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH, STATUS_ACCESS_DENIED.
    ///
    /// Source: ddi, ObReferenceObjectByHandle.
    pub fn from_user_handle(_level: PassiveLevel, handle: u64) -> Result<Self, NTSTATUS> {
        let handle = usize::try_from(handle).map_err(|_| STATUS_INVALID_HANDLE)?;
        let mut object: *mut c_void = ptr::null_mut();
        // SAFETY: at PASSIVE_LEVEL; UserMode has NT check the handle, whatever it is, against type and access.
        let status = unsafe {
            ObReferenceObjectByHandle(
                ptr::without_provenance_mut(handle),
                EVENT_MODIFY_STATE,
                event_object_type(),
                UserMode,
                &raw mut object,
                ptr::null_mut(),
            )
        };
        if !status.is_success() {
            return Err(status);
        }
        let event = NonNull::new(object.cast()).ok_or(STATUS_INVALID_HANDLE)?;
        Ok(Self { event, keeper: Keeper::Reference })
    }

    /// Sets it; whether it was set before. IRQL: up to DISPATCH_LEVEL.
    pub fn set(&self) -> bool {
        // SAFETY: initialised, and kept.
        unsafe { KeSetEvent(self.as_raw(), IO_NO_INCREMENT.into(), FALSE) != 0 }
    }

    /// Clears it. IRQL: up to DISPATCH_LEVEL.
    pub fn clear(&self) {
        // SAFETY: initialised, and kept.
        unsafe { KeClearEvent(self.as_raw()) };
    }

    /// Whether it is set, now. IRQL: up to DISPATCH_LEVEL.
    #[must_use]
    pub fn is_set(&self) -> bool {
        // SAFETY: initialised, and kept.
        unsafe { KeReadStateEvent(self.as_raw()) != 0 }
    }

    /// Waits until it is set, for something that the driver itself will do: nothing else ends this wait, not even the end
    /// of the process.
    pub fn wait(&self, _level: PassiveLevel) {
        self.wait_as(Waiter::Driver, None);
    }

    /// Waits until it is set, or gives up after `timeout`; zero only looks.
    pub fn wait_timeout(&self, _level: PassiveLevel, timeout: Duration) -> Result<(), Timeout> {
        match self.wait_as(Waiter::Driver, Some(timeout)) {
            Outcome::TimedOut => Err(Timeout),
            _ => Ok(()),
        }
    }

    /// Waits until it is set, on behalf of the application whose request this thread carries out: the end of the thread
    /// ends the wait too. For whatever depends on applications, since these may never do their part.
    pub fn wait_for_user(&self, _level: PassiveLevel) -> Result<(), Interrupted> {
        match self.wait_as(Waiter::User, None) {
            Outcome::Interrupted => Err(Interrupted),
            _ => Ok(()),
        }
    }

    pub(crate) fn as_raw(&self) -> *mut KEVENT {
        self.event.as_ptr()
    }

    fn wait_as(&self, waiter: Waiter, timeout: Option<Duration>) -> Outcome {
        // SAFETY: initialised, and kept as long as `self`.
        unsafe { wait(self.as_raw().cast(), waiter, timeout) }
    }
}

impl Drop for Event {
    /// IRQL: up to DISPATCH_LEVEL; PASSIVE_LEVEL for one with a name.
    fn drop(&mut self) {
        match &self.keeper {
            Keeper::Pool { .. } => {}
            Keeper::Handle(handle) => {
                let _level = PassiveLevel::expect("a named event is closed");
                // SAFETY: the kernel handle that `named` was given.
                let _closed = unsafe { ZwClose(*handle) };
            }
            // SAFETY: the reference of `from_user_handle`.
            Keeper::Reference => _ = unsafe { ObfDereferenceObject(self.as_raw().cast()) },
        }
    }
}
