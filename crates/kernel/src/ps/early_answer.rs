//! Early answers: a thread of an application that waits in a system call is answered by who ends its wait.
//!
//! The kernel's thread, which waits on its behalf, goes on a moment later, and what it still has to do then (references, the file's
//! lock) is done before the application's thread can make another call. What the application gets is what the wait has ended with, so
//! only waits whose end is the end of the call are answered so. All other ends (a timeout, an alert, the end of the process or of the
//! machine) are the thread's own to tell.

use std::fmt;

use abi::NTSTATUS;

/// The way to the application for one call of it.
pub trait EarlyAnswer: Send + Sync + fmt::Debug {
    /// Answers the call with `status` and `information`; `output`, part after part, is its output. Once: does nothing when the call has
    /// been answered or has returned. IRQL <= DISPATCH_LEVEL; takes no lock of the kernel's, and does not wait.
    fn answer(&self, status: NTSTATUS, information: u64, output: &[&[u8]]);
}
