//! A session's window for tests: it notes what it is told, and shows nothing.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use platform::pages::{PAGE_SIZE, PagesError};
use platform::shared_memory::SharedMemory;

use super::SessionWindow;

/// Address, length, and whether it is writable; nothing for the end.
pub(super) type Order = (u64, u64, Option<bool>);

/// Data from `start` on, eight pages, a page behind them and 54 pages for views, of which two can be made.
#[derive(Clone, Debug)]
pub(super) struct Fake {
    start: u64,
    told: Arc<Mutex<Vec<Order>>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self::at(0x1000)
    }
}

impl Fake {
    pub(super) fn at(start: u64) -> Self {
        Self { start, told: Arc::default() }
    }

    /// Everything that it was told.
    pub(super) fn told(&self) -> Vec<Order> {
        self.told.lock().expect("no test panics with it").clone()
    }

    /// How many there are of it.
    pub(super) fn clones(&self) -> usize {
        Arc::strong_count(&self.told)
    }
}

impl SessionWindow for Fake {
    fn data(&self) -> Range<u64> {
        self.start..self.start + 8 * PAGE_SIZE as u64
    }

    fn views(&self) -> Range<u64> {
        self.start + 9 * PAGE_SIZE as u64..self.start + 63 * PAGE_SIZE as u64
    }

    fn map(
        &self,
        address: u64,
        _memory: &SharedMemory,
        part: Range<usize>,
        writable: bool,
    ) -> Result<(), PagesError> {
        let mut told = self.told.lock().expect("no test panics with it");
        if told.iter().filter(|(.., mapped)| mapped.is_some()).count() == 2 {
            return Err(PagesError::NoMemory);
        }
        told.push((address, part.len() as u64, Some(writable)));
        Ok(())
    }

    fn unmap(&self, address: u64, length: u64) -> Result<(), PagesError> {
        self.told.lock().expect("no test panics with it").push((address, length, None));
        Ok(())
    }
}
