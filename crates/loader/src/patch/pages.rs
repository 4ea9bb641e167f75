//! Where stand-in code lies: pages of the machine that are executable and never writable, registered as the image's.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use platform::images::{self, Registration};
use platform::pages::{PAGE_SIZE, Protection};

use super::cave;
use crate::map::ImageSpace;
use crate::tables::Tables;

const PAGE: u64 = PAGE_SIZE as u64;
const SIZE: u64 = cave::SIZE as u64;

/// What a fault at an instruction of stand-in code means.
#[derive(Clone, Copy)]
pub(super) struct Fault {
    /// The instruction that it stands for.
    pub(super) site: u64,
    /// The register whose value is put aside there.
    pub(super) scratch: Option<u8>,
}

/// The pages of one image's stand-ins.
pub(super) struct Pages {
    space: Arc<dyn ImageSpace>,
    pages: Vec<Page>,
    faults: BTreeMap<u64, Fault>,
}

struct Page {
    base: u64,
    /// First address that was not given away.
    free: u64,
    _registration: Registration,
}

impl Pages {
    pub(super) fn new(space: Arc<dyn ImageSpace>) -> Self {
        Self { space, pages: Vec::new(), faults: BTreeMap::new() }
    }

    /// A place of [`cave::SIZE`] bytes that begins inside `window`.
    pub(super) fn take(&mut self, window: &Range<u64>, tables: &'static Tables) -> Option<u64> {
        let fits = |page: &Page| {
            let place = page.free.max(window.start);
            place < window.end && place >= page.base && place + SIZE <= page.base + PAGE
        };
        let index = match self.pages.iter().position(fits) {
            Some(index) => index,
            None => self.add(window, tables)?,
        };
        let page = &mut self.pages[index];
        let place = page.free.max(window.start);
        page.free = place + SIZE;
        Some(place)
    }

    fn add(&mut self, window: &Range<u64>, tables: &'static Tables) -> Option<usize> {
        // Near the image when it may lie anywhere.
        let near = tables.base.clamp(window.start, window.end)..window.end;
        let base = [near, window.clone()].iter().find_map(|part| self.allocate(part))?;
        let executable = self.space.protect(base, PAGE_SIZE, Protection::ReadExecute);
        let cookie = std::ptr::from_ref(tables).expose_provenance();
        match executable.ok().and_then(|()| images::register(base..base + PAGE_SIZE, cookie).ok()) {
            Some(registration) => {
                let base = base as u64;
                self.pages.push(Page { base, free: base, _registration: registration });
                Some(self.pages.len() - 1)
            }
            None => {
                self.space.release(base, PAGE_SIZE);
                None
            }
        }
    }

    /// A page on which a stand-in can begin inside `window`.
    fn allocate(&self, window: &Range<u64>) -> Option<usize> {
        let first = match window.start % PAGE {
            offset if offset + SIZE <= PAGE => window.start - offset,
            offset => window.start - offset + PAGE,
        };
        let last = window.end.checked_sub(1)?;
        let end = last - last % PAGE + PAGE;
        let part = usize::try_from(first).ok()?..usize::try_from(end).ok()?;
        (first <= last).then(|| self.space.allocate_within(part, PAGE_SIZE).ok()).flatten()
    }

    pub(super) fn add_fault(&mut self, address: u64, fault: Fault) {
        self.faults.insert(address, fault);
    }

    pub(super) fn fault_at(&self, address: u64) -> Option<Fault> {
        self.faults.get(&address).copied()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        for page in self.pages.drain(..) {
            let base = page.base;
            drop(page);
            self.space.release(usize::try_from(base).unwrap_or_default(), PAGE_SIZE);
        }
    }
}
