//! Where fuzzed images lie, and that nothing of them stays.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use loader::map::{ImageSpace, ReservedSpace};
use platform::pages::{PagesError, Protection, Reservation, SYSTEM_SLAB, SYSTEM_SPACE};

/// Room for the largest image that the loader accepts.
const ROOM: usize = 1 << 30;

/// The loader's own space, which also counts what is taken of it.
pub(crate) struct CountedSpace {
    space: ReservedSpace,
    taken: AtomicUsize,
}

/// The process's one space. From the first call on, accesses to memory that is not there are recovered from.
pub(crate) fn space() -> Arc<CountedSpace> {
    static SPACE: OnceLock<Arc<CountedSpace>> = OnceLock::new();
    let make = || {
        platform::fault::install().expect("Linux takes fault handlers");
        let seed = usize::try_from(std::process::id()).unwrap_or_default();
        let reservation =
            Reservation::first_free(SYSTEM_SPACE, SYSTEM_SLAB, ROOM, seed).expect("room in system space");
        let space = ReservedSpace::new(Arc::new(reservation), 0..ROOM);
        Arc::new(CountedSpace { space, taken: AtomicUsize::new(0) })
    };
    Arc::clone(SPACE.get_or_init(make))
}

impl CountedSpace {
    /// Ranges that are taken now.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn count<T>(&self, outcome: Result<T, PagesError>) -> Result<T, PagesError> {
        self.taken.fetch_add(usize::from(outcome.is_ok()), Ordering::Relaxed);
        outcome
    }
}

impl ImageSpace for CountedSpace {
    fn allocate(&self, size: usize) -> Result<usize, PagesError> {
        self.count(self.space.allocate(size))
    }

    fn allocate_at(&self, base: usize, size: usize) -> Result<(), PagesError> {
        self.count(self.space.allocate_at(base, size))
    }

    fn allocate_within(&self, part: Range<usize>, size: usize) -> Result<usize, PagesError> {
        self.count(self.space.allocate_within(part, size))
    }

    fn protect(&self, base: usize, size: usize, protection: Protection) -> Result<(), PagesError> {
        self.space.protect(base, size, protection)
    }

    fn release(&self, base: usize, size: usize) {
        self.space.release(base, size);
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
