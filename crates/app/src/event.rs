//! Events: `CreateEvent`, `OpenEvent`, `SetEvent` and their kin.

use std::time::Duration;

use gate::{Handle, SystemCall, Transport};

use crate::error::Win32Error;
use crate::path::object_path;
use crate::wait::{Waitable, wait_for};

/// How an event lets waiting threads go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// All of them, until it is reset: a notification event.
    ManualReset,
    /// One of them, and is reset by that: a synchronization event.
    AutoReset,
}

impl EventKind {
    fn event_type(self) -> i32 {
        match self {
            Self::ManualReset => abi::NotificationEvent,
            Self::AutoReset => abi::SynchronizationEvent,
        }
    }
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
        Self::create(transport, &[], "", kind, signaled).map(|(event, _)| event)
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
        Self::create(transport, &object_path(name), name, kind, signaled)
    }

    fn create(
        transport: &'a dyn Transport,
        path: &[u16],
        name: &str,
        kind: EventKind,
        initial_state: bool,
    ) -> Result<(Self, bool), Win32Error> {
        let desired_access = abi::EVENT_ALL_ACCESS;
        let event_type = kind.event_type();
        let call = SystemCall::CreateEvent { name: path, desired_access, event_type, initial_state };
        let reply = transport.system_call(&call, &mut []);
        if reply.status.is_success() {
            Ok((Self { transport, handle: reply.handle }, reply.information != 0))
        } else {
            Err(Self::refused("CreateEvent", name, reply.status))
        }
    }

    /// `OpenEvent`: opens the event of this name for waiting (SYNCHRONIZE), setting (EVENT_MODIFY_STATE) or both.
    ///
    /// # Errors
    /// ERROR_FILE_NOT_FOUND (2); ERROR_ACCESS_DENIED (5); ERROR_INVALID_HANDLE (6) when the name is something else's.
    pub fn open(transport: &'a dyn Transport, name: &str, access: u32) -> Result<Self, Win32Error> {
        let call = SystemCall::OpenEvent { name: &object_path(name), desired_access: access };
        let reply = transport.system_call(&call, &mut []);
        if reply.status.is_success() {
            Ok(Self { transport, handle: reply.handle })
        } else {
            Err(Self::refused("OpenEvent", name, reply.status))
        }
    }

    fn refused(function: &'static str, name: &str, status: abi::NTSTATUS) -> Win32Error {
        let mut error = Win32Error::new(function, name, status);
        if status == abi::STATUS_OBJECT_TYPE_MISMATCH {
            // What Win32 documents for a name of another type.
            error.code = abi::ERROR_INVALID_HANDLE;
        }
        error
    }

    /// The handle's value: what a driver gets that is to signal the event.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// `SetEvent`; whether it was signaled before.
    ///
    /// # Errors
    /// ERROR_ACCESS_DENIED (5) without EVENT_MODIFY_STATE; that the machine has stopped or the host is gone.
    pub fn set(&self) -> Result<bool, Win32Error> {
        self.change("SetEvent", &SystemCall::SetEvent { handle: self.handle })
    }

    /// `ResetEvent`; whether it was signaled before.
    ///
    /// # Errors
    /// As for [`Self::set`].
    pub fn reset(&self) -> Result<bool, Win32Error> {
        self.change("ResetEvent", &SystemCall::ResetEvent { handle: self.handle })
    }

    /// `PulseEvent`: lets those go that wait now, and leaves it not signaled; whether it was signaled before.
    ///
    /// # Errors
    /// As for [`Self::set`].
    pub fn pulse(&self) -> Result<bool, Win32Error> {
        self.change("PulseEvent", &SystemCall::PulseEvent { handle: self.handle })
    }

    fn change(&self, function: &'static str, call: &SystemCall<'_>) -> Result<bool, Win32Error> {
        let reply = self.transport.system_call(call, &mut []);
        if reply.status.is_success() {
            Ok(reply.information != 0)
        } else {
            Err(Win32Error::new(function, "", reply.status))
        }
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
        let _nobody_to_tell = self.transport.close(self.handle);
    }
}
