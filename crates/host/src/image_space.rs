//! Where images lie: ranges of the machine's system space, or, for images that cannot move, their own base.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kernel::mm::{SystemRange, SystemSpace};
use loader::map::ImageSpace;
use platform::pages::{PagesError, Protection, Reservation};

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

    fn taken(&self) -> MutexGuard<'_, HashMap<usize, Place>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ImageSpace for MachineImages {
    fn allocate(&self, size: usize) -> Result<usize, PagesError> {
        let range = self.space.allocate(size)?;
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
