//! `Thread`: a thread of the application, for others that cancel what it waits for.

use crate::error::Win32Error;
use crate::sys::{ThreadHandle, Transport};

/// A thread of the application.
#[derive(Debug)]
pub struct Thread {
    handle: ThreadHandle,
}

impl Thread {
    /// The calling thread.
    ///
    /// # Errors
    /// That the machine has stopped or the host is gone.
    pub fn current(transport: &dyn Transport) -> Result<Self, Win32Error> {
        ThreadHandle::current(transport).map(|handle| Self { handle })
    }

    /// `CancelSynchronousIo`: cancels the request that the thread waits for, which then ends as its driver ends cancelled requests,
    /// most with ERROR_OPERATION_ABORTED (995). `transport` is the one that the thread uses.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND (1168) when it waits for none, or has ended.
    pub fn cancel_synchronous_io(&self, transport: &dyn Transport) -> Result<(), Win32Error> {
        self.handle.cancel_synchronous_io(transport)
    }
}
