//! User space: where drivers meet a process's memory, and which of it must stay because an MDL locks it.
//!
//! A process in another Linux process has its session's window. An embedded one has its memory where the host has its
//! own, which drivers must not reach (decision 2): it gets a window when it first needs one, and buffers in it are
//! allocated here, for the application itself or for the I/O manager to stage a request's data in.

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use abi::NTSTATUS;
use platform::pages::{PAGE_SIZE, Protection, Reservation, WINDOW_STRIDE, reserve_window};

use super::extents::Extents;

const PAGE: u64 = PAGE_SIZE as u64;

/// Distinguishes user spaces, for caches of Linux threads.
static SERIAL: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// Where the calling thread has last found pages.
    static LAST_FOUND: Cell<Found> = const { Cell::new(Found { serial: 0, generation: 0, start: 0, end: 0 }) };
}

/// An allocation of the user space with this serial number, at this generation of it.
#[derive(Clone, Copy)]
struct Found {
    serial: u64,
    generation: u64,
    start: u64,
    end: u64,
}

/// A process's user space.
#[derive(Debug)]
pub struct UserSpace {
    serial: u64,
    window: OnceLock<Window>,
    allocations: Mutex<Allocations>,
    /// Changes whenever an allocation is given back.
    generation: AtomicU64,
    locked_pages: AtomicU64,
}

impl Default for UserSpace {
    fn default() -> Self {
        Self {
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            window: OnceLock::new(),
            allocations: Mutex::default(),
            generation: AtomicU64::new(0),
            locked_pages: AtomicU64::new(0),
        }
    }
}

#[derive(Debug)]
struct Window {
    range: Range<u64>,
    /// The pages of a window of our own.
    own: Option<Reservation>,
    /// What keeps another room's window mapped: as long as the process lives, or a driver has locked pages of it.
    _keep: Option<Box<dyn Any + Send + Sync>>,
}

#[derive(Debug, Default)]
struct Allocations {
    /// Of a window of our own, as offsets; `None` before it exists and for the windows of others.
    free: Option<Extents>,
    /// By first address. A session's window is one.
    live: BTreeMap<u64, Allocation>,
}

#[derive(Clone, Copy, Debug)]
struct Allocation {
    length: u64,
    /// MDLs that lock pages of it.
    locks: u32,
    /// Its owner is done with it; it goes when nothing locks it any more.
    given_back: bool,
}

/// Pages that are locked: where their allocation begins, and how many they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Locked {
    allocation: u64,
    pages: u64,
}

impl UserSpace {
    /// The user space of a process with another room's window, which is at `range` as long as `keep` is kept.
    #[must_use]
    pub fn in_window(range: Range<u64>, keep: Box<dyn Any + Send + Sync>) -> Self {
        let this = Self::default();
        let whole = Allocation { length: range.end.saturating_sub(range.start), locks: 0, given_back: false };
        this.allocations().live.insert(range.start, whole);
        let _first = this.window.set(Window { range, own: None, _keep: Some(keep) });
        this
    }

    /// Whether all of a range lies in the process's window, mapped or not. No bytes lie everywhere.
    #[inline]
    #[must_use]
    pub fn contains(&self, address: u64, length: u64) -> bool {
        let Some(window) = self.window.get() else { return length == 0 };
        let end = address.checked_add(length);
        length == 0 || address >= window.range.start && end.is_some_and(|end| end <= window.range.end)
    }

    /// Whether all pages of a range that lies in the process's window are there, and have not been given back: those that an MDL
    /// still locks go when it does not.
    #[inline]
    #[must_use]
    pub fn has_pages(&self, address: u64, length: u64) -> bool {
        let found = LAST_FOUND.get();
        let end = address.saturating_add(length);
        let again = found.serial == self.serial
            && found.generation == self.generation.load(Ordering::Acquire)
            && (found.start..=found.end).contains(&address)
            && end <= found.end;
        again || length == 0 || self.find_pages(address, end)
    }

    #[cold]
    fn find_pages(&self, address: u64, end: u64) -> bool {
        let allocations = self.allocations();
        let found = allocations.live.range(..=address).next_back();
        let is_whole =
            |(start, found): &(&u64, &Allocation)| end <= *start + found.length && !found.given_back;
        let Some((&start, allocation)) = found.filter(is_whole) else { return false };
        let generation = self.generation.load(Ordering::Acquire);
        LAST_FOUND.set(Found { serial: self.serial, generation, start, end: start + allocation.length });
        true
    }

    /// Pages that MDLs lock now; one that two lock counts twice.
    #[inline]
    #[must_use]
    pub fn locked_pages(&self) -> u64 {
        self.locked_pages.load(Ordering::Acquire)
    }

    fn allocations(&self) -> MutexGuard<'_, Allocations> {
        self.allocations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Allocates `length` bytes of zeroes, rounded up to pages; returns where they begin.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`; always for a process whose window another room keeps.
    pub(crate) fn allocate(&self, length: u64) -> Result<u64, NTSTATUS> {
        const REFUSED: NTSTATUS = abi::STATUS_INSUFFICIENT_RESOURCES;
        let length = length.max(1).checked_next_multiple_of(PAGE).ok_or(REFUSED)?;
        let bytes = usize::try_from(length).map_err(|_| REFUSED)?;
        let mut allocations = self.allocations();
        let own = self.own_window(&mut allocations).ok_or(REFUSED)?;
        let free = allocations.free.as_mut().ok_or(REFUSED)?;
        let offset = free.take(bytes).ok_or(REFUSED)?;
        if own.commit(offset, bytes, Protection::ReadWrite).is_err() {
            free.give(offset, bytes);
            return Err(REFUSED);
        }
        let address = (own.base() + offset) as u64;
        allocations.live.insert(address, Allocation { length, locks: 0, given_back: false });
        Ok(address)
    }

    /// The window that allocations come from, made when there is none yet.
    fn own_window(&self, allocations: &mut Allocations) -> Option<&Reservation> {
        if self.window.get().is_none() {
            let own = reserve_window(WINDOW_STRIDE).ok()?;
            let range = own.range();
            let window = Window { range: range.start as u64..range.end as u64, own: Some(own), _keep: None };
            // Under the allocations' lock, so nobody else sets it.
            let _first = self.window.set(window);
            allocations.free = Some(Extents::new(0..range.len()));
        }
        self.window.get()?.own.as_ref()
    }

    /// Gives an allocation back; while MDLs lock pages of it, it stays.
    pub(crate) fn give_back(&self, address: u64) {
        let mut allocations = self.allocations();
        let Some(allocation) = allocations.live.get_mut(&address) else { return };
        allocation.given_back = true;
        self.generation.fetch_add(1, Ordering::Release);
        if allocation.locks == 0 {
            self.release(&mut allocations, address);
        }
    }

    fn release(&self, allocations: &mut Allocations, address: u64) {
        let Some(own) = self.window.get().and_then(|window| window.own.as_ref()) else { return };
        let Some(allocation) = allocations.live.remove(&address) else { return };
        let (Ok(start), Ok(length)) = (usize::try_from(address), usize::try_from(allocation.length)) else {
            return;
        };
        let offset = start - own.base();
        // When Linux cannot take the pages back, the addresses are not handed out again.
        if own.decommit(offset, length).is_ok()
            && let Some(free) = allocations.free.as_mut()
        {
            free.give(offset, length);
        }
    }

    /// Locks the pages of a range that lies inside one allocation; `None` for others.
    pub(super) fn lock(&self, address: u64, length: u64) -> Option<Locked> {
        let end = address.checked_add(length)?;
        let mut allocations = self.allocations();
        let (&start, allocation) = allocations.live.range_mut(..=address).next_back()?;
        if end > start + allocation.length || allocation.given_back {
            return None;
        }
        allocation.locks += 1;
        drop(allocations);
        let pages = super::mdl::pages_spanned(address, length);
        self.locked_pages.fetch_add(pages, Ordering::AcqRel);
        Some(Locked { allocation: start, pages })
    }

    /// Undoes [`Self::lock`].
    pub(super) fn unlock(&self, locked: Locked) {
        self.locked_pages.fetch_sub(locked.pages, Ordering::AcqRel);
        let mut allocations = self.allocations();
        let Some(allocation) = allocations.live.get_mut(&locked.allocation) else { return };
        allocation.locks = allocation.locks.saturating_sub(1);
        if allocation.locks == 0 && allocation.given_back {
            self.release(&mut allocations, locked.allocation);
        }
    }
}

/// Bytes in the window of an embedded process: what is read or written there is not copied on its way, and drivers may
/// follow pointers into it. A driver may change them at any time, so this hands out copies only.
#[derive(Debug)]
pub struct UserBuffer {
    space: Arc<UserSpace>,
    address: u64,
    length: u32,
}

impl UserBuffer {
    /// `length` bytes of zeroes, on pages of their own.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn new(space: &Arc<UserSpace>, length: u32) -> Result<Self, NTSTATUS> {
        Ok(Self { space: space.clone(), address: space.allocate(u64::from(length))?, length })
    }

    /// Where it starts.
    #[inline]
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Bytes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> u32 {
        self.length
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl Drop for UserBuffer {
    fn drop(&mut self) {
        self.space.give_back(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw;

    #[test]
    fn a_buffer_is_zeroed_lies_in_the_window_and_is_used_again_after_it_was_given_back() {
        platform::fault::install().expect("handlers");
        let space = Arc::new(UserSpace::default());
        assert!(!space.contains(0x2000_0000_0000, 1));
        let buffer = UserBuffer::new(&space, 5000).expect("room");
        let address = buffer.address();
        assert!(space.contains(address, 5000));
        assert_eq!(raw::read::<u64>(address + 4992).expect("mapped"), 0);
        raw::write(address, 7_u64).expect("writable");
        drop(buffer);
        assert!(raw::read::<u8>(address).is_err(), "nothing is there any more");
        let again = UserBuffer::new(&space, 1).expect("room");
        assert_eq!((again.address(), raw::read::<u64>(address).expect("mapped")), (address, 0));
    }

    #[test]
    fn pages_that_are_locked_stay_until_they_are_unlocked() {
        platform::fault::install().expect("handlers");
        let space = Arc::new(UserSpace::default());
        let buffer = UserBuffer::new(&space, 8192).expect("room");
        let address = buffer.address();
        let locked = space.lock(address + 4095, 2).expect("inside");
        assert_eq!(space.locked_pages(), 2);
        assert!(space.has_pages(address, 8192));
        drop(buffer);
        assert!(!space.has_pages(address, 8192), "a request that met them now would lose them");
        raw::write(address, 7_u8).expect("still there");
        assert!(space.lock(address, 1).is_none(), "given back");
        assert_ne!(space.allocate(1).expect("room"), address);
        space.unlock(locked);
        assert_eq!(space.locked_pages(), 0);
        assert!(raw::read::<u8>(address).is_err());
    }

    #[test]
    fn pages_are_there_from_their_allocation_until_they_are_given_back() {
        let space = Arc::new(UserSpace::default());
        let first = UserBuffer::new(&space, 4096).expect("room");
        let (address, other) = (first.address(), UserBuffer::new(&space, 4096).expect("room"));
        assert!(space.has_pages(address, 4096) && space.has_pages(address, 4096), "found, and found again");
        assert!(space.has_pages(address + 4095, 1) && space.has_pages(address + 4096, 0));
        assert!(!space.has_pages(address, 4097), "two allocations");
        assert!(!UserSpace::default().has_pages(address, 1), "another process's");
        drop(first);
        assert!(!space.has_pages(address, 1) && space.has_pages(other.address(), 4096));
    }

    #[test]
    fn only_ranges_inside_one_allocation_are_locked() {
        let space = Arc::new(UserSpace::default());
        let first = UserBuffer::new(&space, 4096).expect("room");
        let second = UserBuffer::new(&space, 4096).expect("room");
        assert_eq!(second.address(), first.address() + 4096);
        assert!(space.lock(first.address() + 4090, 7).is_none());
        assert!(space.lock(second.address(), 4097).is_none());
        assert!(space.lock(u64::MAX, 2).is_none() && space.lock(0, 1).is_none());
        assert!(space.lock(second.address(), 4096).is_some());
        let session = UserSpace::in_window(0x1000..0x9000, Box::new(()));
        assert!(session.lock(0x1000, 0x8000).is_some() && session.lock(0x8FFF, 2).is_none());
        assert!(session.allocate(1).is_err(), "another room's pages are not handed out");
    }
}
