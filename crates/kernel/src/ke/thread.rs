//! `Thread`: a thread as the dispatcher knows it, whether a system thread, an application's thread inside the
//! kernel, or the server thread paired with one in another process.

use platform::Parker;
use platform::entry::KernelStack;

/// A thread's identifier: a non-zero multiple of four, as NT's are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadId(pub u32);

/// A thread of a machine.
#[derive(Debug)]
pub struct Thread {
    /// Its identifier.
    pub id: ThreadId,
    /// Identifier of the process that it belongs to.
    pub process_id: u32,
    /// Address of its thread object (`PKTHREAD`), which begins with a dispatcher header.
    pub object: u64,
    /// What it parks on.
    pub parker: Parker,
    /// Where its driver code runs.
    pub stack: KernelStack,
    /// Whether it is a system thread (`PsIsSystemThread`).
    pub is_system: bool,
}
