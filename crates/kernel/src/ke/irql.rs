//! IRQL.

use platform::entry;

use crate::Kernel;

/// The dispatcher.
#[derive(Debug)]
pub struct Dispatcher {
    processors: u32,
}

impl Dispatcher {
    pub(crate) fn new(processors: u32) -> Self {
        Self { processors }
    }

    /// Virtual processors.
    #[must_use]
    pub fn processors(&self) -> u32 {
        self.processors
    }

    /// The calling thread's IRQL.
    #[inline]
    #[must_use]
    pub fn current_irql(&self) -> u8 {
        entry::region().map_or(0, entry::Region::irql)
    }

    /// Raises the IRQL and returns the old one.
    pub fn raise_irql(&self, _kernel: &Kernel, irql: u8) -> u8 {
        let old = self.current_irql();
        if let Some(region) = entry::region() {
            region.set_irql(irql);
        }
        old
    }

    /// Lowers the IRQL.
    pub fn lower_irql(&self, _kernel: &Kernel, irql: u8) {
        if let Some(region) = entry::region() {
            region.set_irql(irql);
        }
    }

    /// Wakes every waiting thread, for a machine that has stopped.
    pub fn wake_all(&self, _kernel: &Kernel) {}
}
