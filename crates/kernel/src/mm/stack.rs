//! Kernel stacks: what driver code runs on, with guard pages below.

use platform::entry::KernelStack;
use platform::pages::{PAGE_SIZE, PagesError, Protection};

use super::space::{SystemRange, SystemSpace};

/// Usable bytes of a kernel stack. NT gives x64 drivers 24 KiB; here kernel services share the stack with them.
pub const KERNEL_STACK_SIZE: usize = 256 * 1024;

/// Inaccessible bytes below it.
const GUARD: usize = 16 * PAGE_SIZE;

/// A kernel stack. Its pages are touched, and so taken from Linux, only as it grows.
#[derive(Debug)]
pub struct Stack {
    range: SystemRange,
}

impl Stack {
    /// Takes a stack from system space.
    ///
    /// # Errors
    /// When there is no room or memory.
    pub fn new(space: &SystemSpace) -> Result<Self, PagesError> {
        let range = space.allocate(GUARD + KERNEL_STACK_SIZE)?;
        range.commit(GUARD, KERNEL_STACK_SIZE, Protection::ReadWrite)?;
        Ok(Self { range })
    }

    /// Its addresses.
    #[must_use]
    pub fn bounds(&self) -> KernelStack {
        let range = self.range.range();
        KernelStack { top: range.end, limit: range.start + GUARD, guard: range.start }
    }
}
