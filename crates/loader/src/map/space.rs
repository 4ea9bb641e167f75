//! Where images lie: a part of the machine's slab, or, for images that cannot move, their own base.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use platform::pages::{PAGE_SIZE, PagesError, Protection, Reservation};

/// Places images. All addresses and sizes are whole pages.
pub trait ImageSpace: Send + Sync {
    /// Takes `size` bytes anywhere: zeroed pages, readable and writable. Returns their address.
    ///
    /// # Errors
    /// When there is no room or no memory.
    fn allocate(&self, size: usize) -> Result<usize, PagesError>;

    /// Takes `size` bytes at `base`.
    ///
    /// # Errors
    /// `Occupied` when something lies there; when there is no memory.
    fn allocate_at(&self, base: usize, size: usize) -> Result<(), PagesError>;

    /// Takes `size` bytes inside a range of addresses, which need not be this space's own.
    ///
    /// # Errors
    /// When there is no room or no memory.
    fn allocate_within(&self, part: Range<usize>, size: usize) -> Result<usize, PagesError>;

    /// Changes the protection of pages that were taken from this space.
    ///
    /// # Errors
    /// When Linux cannot split the mapping further.
    fn protect(&self, base: usize, size: usize, protection: Protection) -> Result<(), PagesError>;

    /// Gives back all that was taken at `base`.
    fn release(&self, base: usize, size: usize);
}

/// Images in a part of a reservation, first fit; images with a fixed base in reservations of their own.
#[derive(Debug)]
pub struct ReservedSpace {
    reservation: Arc<Reservation>,
    /// Offsets in the reservation.
    part: Range<usize>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Start offset → end offset.
    moving: BTreeMap<usize, usize>,
    /// Base → its reservation.
    fixed: BTreeMap<usize, Reservation>,
}

impl ReservedSpace {
    /// Places images in the part of `reservation` with these offsets, which are multiples of the page size.
    #[must_use]
    pub fn new(reservation: Arc<Reservation>, part: Range<usize>) -> Self {
        Self { reservation, part, taken: Mutex::default() }
    }

    /// How many ranges it holds elsewhere than in its part.
    #[must_use]
    pub fn fixed_ranges(&self) -> usize {
        self.taken().fixed.len()
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offset(&self, base: usize) -> Option<usize> {
        base.checked_sub(self.reservation.base()).filter(|offset| self.part.contains(offset))
    }
}

/// NT aligns images to this; a page between two images stays unmapped, so that running off one faults.
const ALIGNMENT: usize = 0x1_0000;

impl ImageSpace for ReservedSpace {
    fn allocate(&self, size: usize) -> Result<usize, PagesError> {
        let mut taken = self.taken();
        let mut start = self.part.start.next_multiple_of(ALIGNMENT);
        for (&before, &end) in &taken.moving {
            if start.checked_add(size + PAGE_SIZE).is_some_and(|fits| fits <= before) {
                break;
            }
            start = (end + PAGE_SIZE).next_multiple_of(ALIGNMENT);
        }
        let end = start.checked_add(size).filter(|end| *end <= self.part.end).ok_or(PagesError::NoMemory)?;
        self.reservation.commit(start, size, Protection::ReadWrite)?;
        taken.moving.insert(start, end);
        Ok(self.reservation.base() + start)
    }

    fn allocate_at(&self, base: usize, size: usize) -> Result<(), PagesError> {
        let reservation = Reservation::at(base, size)?;
        reservation.commit(0, size, Protection::ReadWrite)?;
        self.taken().fixed.insert(base, reservation);
        Ok(())
    }

    fn allocate_within(&self, part: Range<usize>, size: usize) -> Result<usize, PagesError> {
        const ATTEMPTS: usize = 64;
        let stride = (part.len() / ATTEMPTS).next_multiple_of(PAGE_SIZE).max(size);
        let reservation = Reservation::first_free(part, stride, size, 0)?;
        reservation.commit(0, size, Protection::ReadWrite)?;
        let base = reservation.base();
        self.taken().fixed.insert(base, reservation);
        Ok(base)
    }

    fn protect(&self, base: usize, size: usize, protection: Protection) -> Result<(), PagesError> {
        if let Some(offset) = self.offset(base) {
            return self.reservation.protect(offset, size, protection);
        }
        let taken = self.taken();
        let (start, fixed) = taken.fixed.range(..=base).next_back().ok_or(PagesError::OutOfRange)?;
        fixed.protect(base - start, size, protection)
    }

    fn release(&self, base: usize, size: usize) {
        let mut taken = self.taken();
        if let Some(offset) = self.offset(base) {
            // A range that could not be given back is never handed out again.
            if self.reservation.decommit(offset, size).is_ok() {
                taken.moving.remove(&offset);
            }
        } else {
            taken.fixed.remove(&base);
        }
    }
}
