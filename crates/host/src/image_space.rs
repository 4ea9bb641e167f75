//! Where images lie: ranges of the machine's system space, or, for images that cannot move, their own base.
//!
//! Images start in the middle of system space, so that two gigabytes on either side, as far as their jumps reach, are
//! the machine's own: the loader puts code there that stands in for single instructions (decision 16).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kernel::mm::{SystemRange, SystemSpace};
use loader::map::ImageSpace;
use platform::pages::{PAGE_SIZE, PagesError, Protection, Reservation};

/// As far as a jump reaches.
const REACH: usize = 2 << 30;
/// Places that are tried outside of system space.
const ATTEMPTS: usize = 64;

/// The images of a machine, by base.
pub(crate) struct MachineImages {
    space: SystemSpace,
    taken: Mutex<HashMap<usize, Place>>,
}

enum Place {
    System(SystemRange),
    Fixed(Reservation),
}

impl MachineImages {
    pub(crate) fn new(space: SystemSpace) -> Self {
        Self { space, taken: Mutex::default() }
    }

    /// Beside an image that lies at a base of its own.
    fn outside(&self, part: Range<usize>, size: usize) -> Result<usize, PagesError> {
        let stride =
            (part.len() / ATTEMPTS).next_multiple_of(PAGE_SIZE).max(size.next_multiple_of(PAGE_SIZE));
        let reservation = Reservation::first_free(part, stride, size, 0)?;
        reservation.commit(0, size, Protection::ReadWrite)?;
        let base = reservation.base();
        self.taken().insert(base, Place::Fixed(reservation));
        Ok(base)
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<usize, Place>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ImageSpace for MachineImages {
    fn allocate(&self, size: usize) -> Result<usize, PagesError> {
        let slab = self.space.range();
        self.allocate_within(slab.start + slab.len() / 2..slab.end - REACH, size)
    }

    fn allocate_within(&self, part: Range<usize>, size: usize) -> Result<usize, PagesError> {
        let slab = self.space.range();
        if part.start >= slab.end || part.end <= slab.start {
            return self.outside(part, size);
        }
        let range = self.space.allocate_within(part, size)?;
        range.commit(0, range.len(), Protection::ReadWrite)?;
        let base = range.base();
        self.taken().insert(base, Place::System(range));
        Ok(base)
    }

    fn allocate_at(&self, base: usize, size: usize) -> Result<(), PagesError> {
        let reservation = Reservation::at(base, size)?;
        reservation.commit(0, size, Protection::ReadWrite)?;
        self.taken().insert(base, Place::Fixed(reservation));
        Ok(())
    }

    fn protect(&self, base: usize, size: usize, protection: Protection) -> Result<(), PagesError> {
        for (start, place) in self.taken().iter() {
            let Some(offset) = base.checked_sub(*start) else { continue };
            match place {
                Place::System(range) if offset < range.len() => {
                    return range.protect(offset, size, protection);
                }
                Place::Fixed(reservation) if offset < reservation.len() => {
                    return reservation.protect(offset, size, protection);
                }
                _ => {}
            }
        }
        Err(PagesError::OutOfRange)
    }

    fn release(&self, base: usize, _size: usize) {
        // Dropped behind the lock: unmapping takes a while.
        let place = self.taken().remove(&base);
        drop(place);
    }
}
