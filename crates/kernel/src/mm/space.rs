//! System space: one slab of addresses a machine, handed out in ranges of whole pages.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use platform::pages::{self, PAGE_SIZE, PagesError, Protection, Reservation};
use platform::shared_memory::SharedMemory;

use super::extents::Extents;

/// A machine's slab of system space. Cheap to clone; the last clone returns the slab to Linux.
#[derive(Clone, Debug)]
pub struct SystemSpace {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    slab: Reservation,
    /// Offsets into the slab.
    free: Mutex<Extents>,
}

/// A range of system space: not accessible until committed, returned when dropped.
#[derive(Debug)]
pub struct SystemRange {
    space: SystemSpace,
    offset: usize,
    length: usize,
}

impl SystemSpace {
    pub(crate) fn new() -> Result<Self, PagesError> {
        let slab = pages::reserve_system_slab()?;
        // The first page stays unused, so that small offsets from it fault.
        let free = Extents::new(PAGE_SIZE..slab.len());
        Ok(Self { inner: Arc::new(Inner { slab, free: Mutex::new(free) }) })
    }

    /// All addresses of the slab.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.inner.slab.range()
    }

    /// Takes `length` bytes, rounded up to pages, first fit.
    ///
    /// # Errors
    /// `NoMemory` when no free range is long enough.
    pub fn allocate(&self, length: usize) -> Result<SystemRange, PagesError> {
        let length = length.max(1).checked_next_multiple_of(PAGE_SIZE).ok_or(PagesError::NoMemory)?;
        let start = self.free().take(length).ok_or(PagesError::NoMemory)?;
        Ok(SystemRange { space: self.clone(), offset: start, length })
    }

    /// As [`SystemSpace::allocate`], inside a part of the addresses.
    ///
    /// # Errors
    /// `NoMemory` when no free range in it is long enough.
    pub fn allocate_within(&self, part: Range<usize>, length: usize) -> Result<SystemRange, PagesError> {
        let length = length.max(1).checked_next_multiple_of(PAGE_SIZE).ok_or(PagesError::NoMemory)?;
        let base = self.inner.slab.base();
        let offset = |address: usize| address.saturating_sub(base).next_multiple_of(PAGE_SIZE);
        let part = offset(part.start)..offset(part.end);
        let start = self.free().take_within(&part, length).ok_or(PagesError::NoMemory)?;
        Ok(SystemRange { space: self.clone(), offset: start, length })
    }

    /// Moves committed pages, which may be read and written, to memory that can be shown elsewhere.
    ///
    /// # Errors
    /// As [`Reservation::move_to_descriptor`].
    pub(super) fn move_to_descriptor(&self, start: usize, length: usize) -> Result<SharedMemory, PagesError> {
        let slab = &self.inner.slab;
        let offset = start.checked_sub(slab.base()).ok_or(PagesError::OutOfRange)?;
        slab.move_to_descriptor(offset, length, Protection::ReadWrite)
    }

    /// Undoes [`Self::move_to_descriptor`]; the pages keep their content.
    ///
    /// # Errors
    /// As [`Reservation::make_private`].
    pub(super) fn make_private(&self, start: usize, length: usize) -> Result<(), PagesError> {
        let slab = &self.inner.slab;
        let offset = start.checked_sub(slab.base()).ok_or(PagesError::OutOfRange)?;
        slab.make_private(offset, length, Protection::ReadWrite)
    }

    fn free(&self) -> MutexGuard<'_, Extents> {
        self.inner.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, offset: usize, length: usize) {
        self.free().give(offset, length);
    }
}

impl SystemRange {
    /// First address.
    #[must_use]
    pub fn base(&self) -> usize {
        self.space.inner.slab.base() + self.offset
    }

    /// Length in bytes, a multiple of the page size.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// All addresses.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.base()..self.base() + self.length
    }

    /// Backs `length` bytes at `offset` with zeroed memory. Both are multiples of the page size.
    ///
    /// # Errors
    /// `OutOfRange`, `Misaligned`, `NoMemory`.
    pub fn commit(&self, offset: usize, length: usize, protection: Protection) -> Result<(), PagesError> {
        self.check(offset, length)?;
        self.space.inner.slab.commit(self.offset + offset, length, protection)
    }

    /// Shows pages of other memory from the range's start on.
    ///
    /// # Errors
    /// As for [`SystemRange::commit`].
    pub(super) fn map(
        &self,
        memory: &SharedMemory,
        part: Range<usize>,
        protection: Protection,
    ) -> Result<(), PagesError> {
        self.check(0, part.len())?;
        self.space.inner.slab.map(self.offset, memory, part, protection)
    }

    /// Changes the protection of committed pages.
    ///
    /// # Errors
    /// As for [`SystemRange::commit`].
    pub fn protect(&self, offset: usize, length: usize, protection: Protection) -> Result<(), PagesError> {
        self.check(offset, length)?;
        self.space.inner.slab.protect(self.offset + offset, length, protection)
    }

    fn check(&self, offset: usize, length: usize) -> Result<(), PagesError> {
        match offset.checked_add(length) {
            Some(end) if end <= self.length => Ok(()),
            _ => Err(PagesError::OutOfRange),
        }
    }
}

impl Drop for SystemRange {
    fn drop(&mut self) {
        // When Linux cannot take the pages back, the addresses are not handed out again.
        if self.space.inner.slab.decommit(self.offset, self.length).is_ok() {
            self.space.release(self.offset, self.length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_do_not_overlap_and_come_back_merged() {
        let space = SystemSpace::new().expect("a slab");
        let ranges: Vec<_> = (1..20).map(|pages| space.allocate(pages * PAGE_SIZE).expect("room")).collect();
        for pair in ranges.windows(2) {
            assert!(pair[0].range().end <= pair[1].range().start);
        }
        drop(ranges);
        assert_eq!(space.free().count(), 1);
    }

    #[test]
    fn a_length_that_cannot_be_had_is_an_error() {
        let space = SystemSpace::new().expect("a slab");
        assert!(space.allocate(usize::MAX).is_err());
        assert!(space.allocate(space.range().len()).is_err());
        assert_eq!(space.allocate(0).expect("a page").len(), PAGE_SIZE);
    }

    #[test]
    fn committed_pages_are_zero_also_when_used_again() {
        platform::fault::install().expect("handlers");
        let space = SystemSpace::new().expect("a slab");
        let range = space.allocate(PAGE_SIZE).expect("room");
        range.commit(0, PAGE_SIZE, Protection::ReadWrite).expect("memory");
        let address = range.base() as u64;
        crate::raw::write(address, 7_u64).expect("writable");
        drop(range);
        assert!(crate::raw::read::<u64>(address).is_err());
        let range = space.allocate(PAGE_SIZE).expect("room");
        range.commit(0, PAGE_SIZE, Protection::ReadWrite).expect("memory");
        assert_eq!(crate::raw::read::<u64>(range.base() as u64).expect("readable"), 0);
    }
}
