//! Events: `CreateEvent`, `OpenEvent`, `SetEvent` and their kin.

use std::time::Duration;

use crate::error::Win32Error;
use crate::sys::{self, EventChange, Handle, Transport};
use crate::wait::{Waitable, wait_for};

/// How an event lets waiting threads go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// All of them, until it is reset: a notification event.
    ManualReset,
    /// One of them, and is reset by that: a synchronization event.
    AutoReset,
}

/// An event. Dropping it closes its handle.
pub struct Event<'a> {
    transport: &'a dyn Transport,
    handle: Handle,
}

impl std::fmt::Debug for Event<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Event").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl<'a> Event<'a> {
    /// `CreateEvent` without a name.
    ///
    /// # Errors
    /// ERROR_NO_SYSTEM_RESOURCES (1450).
    pub fn new(transport: &'a dyn Transport, kind: EventKind, signaled: bool) -> Result<Self, Win32Error> {
        Self::create(transport, None, kind, signaled).map(|(event, _)| event)
    }

    /// `CreateEvent`: creates the event of this name, or opens it if it exists (true then: ERROR_ALREADY_EXISTS; `kind` and
    /// `signaled` are not looked at). `Global\Name` and `Name` are both `\BaseNamedObjects\Name`: a machine has one session.
    ///
    /// # Errors
    /// ERROR_ACCESS_DENIED (5) when the event exists and may not be used in every way ([`Event::open`] asks for less);
    /// ERROR_INVALID_HANDLE (6) when the name is something else's.
    pub fn named(
        transport: &'a dyn Transport,
        name: &str,
        kind: EventKind,
        signaled: bool,
    ) -> Result<(Self, bool), Win32Error> {
        Self::create(transport, Some(name), kind, signaled)
    }

    fn create(
        transport: &'a dyn Transport,
        name: Option<&str>,
        kind: EventKind,
        signaled: bool,
    ) -> Result<(Self, bool), Win32Error> {
        let manual_reset = kind == EventKind::ManualReset;
        let (handle, existed) = sys::create_event(transport, name, manual_reset, signaled)?;
        Ok((Self { transport, handle }, existed))
    }

    /// `OpenEvent`: opens the event of this name for waiting (SYNCHRONIZE), setting (EVENT_MODIFY_STATE) or both.
    ///
    /// # Errors
    /// ERROR_FILE_NOT_FOUND (2); ERROR_ACCESS_DENIED (5); ERROR_INVALID_HANDLE (6) when the name is something else's.
    pub fn open(transport: &'a dyn Transport, name: &str, access: u32) -> Result<Self, Win32Error> {
        sys::open_event(transport, name, access).map(|handle| Self { transport, handle })
    }

    /// The handle's value: what a driver gets that is to signal the event.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// `SetEvent`.
    ///
    /// # Errors
    /// ERROR_ACCESS_DENIED (5) without EVENT_MODIFY_STATE; that the machine has stopped or the host is gone.
    pub fn set(&self) -> Result<(), Win32Error> {
        sys::change_event(self.transport, self.handle, EventChange::Set)
    }

    /// `ResetEvent`.
    ///
    /// # Errors
    /// As for [`Self::set`].
    pub fn reset(&self) -> Result<(), Win32Error> {
        sys::change_event(self.transport, self.handle, EventChange::Reset)
    }

    /// `PulseEvent`: lets those go that wait now, and leaves it not signaled.
    ///
    /// # Errors
    /// As for [`Self::set`].
    pub fn pulse(&self) -> Result<(), Win32Error> {
        sys::change_event(self.transport, self.handle, EventChange::Pulse)
    }

    /// `WaitForSingleObject`: true when it is signaled in time; `None` waits for ever.
    ///
    /// # Errors
    /// ERROR_ACCESS_DENIED (5) without SYNCHRONIZE; that the machine has stopped or the host is gone.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, Win32Error> {
        wait_for(self.transport, self.handle, timeout)
    }
}

impl Waitable for Event<'_> {
    fn wait_handle(&self) -> Handle {
        self.handle
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        let _nobody_to_tell = sys::close(self.transport, self.handle);
    }
}
