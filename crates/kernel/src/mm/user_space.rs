//! User space: where drivers meet a process's memory, and which of it must stay because an MDL locks it.
//!
//! A process in another Linux process has its session's window. An embedded one has its memory where the host has its
//! own, which drivers must not reach (decision 2): it gets a window when it first needs one, and buffers in it are
//! allocated here, for the application itself or for the I/O manager to stage a request's data in.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use abi::NTSTATUS;
use platform::pages::{PAGE_SIZE, PagesError, Protection, Reservation, WINDOW_STRIDE, reserve_window};
use platform::shared_memory::SharedMemory;

use super::extents::Extents;
use super::segment::Views;
use super::sharing::Part;

const PAGE: u64 = PAGE_SIZE as u64;
/// Views begin at multiples of this, as on NT (SYSTEM_INFO's dwAllocationGranularity). Windows do too.
pub const GRANULARITY: usize = 0x1_0000;

/// Distinguishes user spaces, for caches of Linux threads.
static SERIAL: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// Where the calling thread has last found pages.
    static LAST_FOUND: Cell<Found> =
        const { Cell::new(Found { serial: 0, generation: 0, start: 0, end: 0, writable: false }) };
}

/// An allocation of the user space with this serial number, at this generation of it.
#[derive(Clone, Copy)]
struct Found {
    serial: u64,
    generation: u64,
    start: u64,
    end: u64,
    writable: bool,
}

/// A window that another room shares with the application, in another Linux process.
pub trait SessionWindow: Debug + Send + Sync {
    /// The addresses of the application's own data.
    fn data(&self) -> Range<u64>;

    /// Addresses behind the data, at which other memory can be shown.
    fn views(&self) -> Range<u64>;

    /// Shows the pages `part` (byte offsets) of `memory` at `address`, here and in the application. May block until that has
    /// answered, but not for ever.
    ///
    /// # Errors
    /// `NoMemory`, also when the application does not answer; nothing is shown then.
    fn map(
        &self,
        address: u64,
        memory: &SharedMemory,
        part: Range<usize>,
        writable: bool,
    ) -> Result<(), PagesError>;

    /// Shows `length` bytes at `address` no longer.
    ///
    /// # Errors
    /// `NoMemory`; it is still there then.
    fn unmap(&self, address: u64, length: u64) -> Result<(), PagesError>;
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
    /// Of sections.
    pub(super) views: Views,
}

impl Default for UserSpace {
    fn default() -> Self {
        Self {
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            window: OnceLock::new(),
            allocations: Mutex::default(),
            generation: AtomicU64::new(0),
            locked_pages: AtomicU64::new(0),
            views: Views::default(),
        }
    }
}

#[derive(Debug)]
struct Window {
    range: Range<u64>,
    pages: WindowPages,
}

#[derive(Debug)]
enum WindowPages {
    Own(Reservation),
    /// Another room's, mapped as long as this is kept: as long as the process lives, or a driver has locked pages of it.
    Session(Box<dyn SessionWindow>),
}

#[derive(Debug, Default)]
struct Allocations {
    /// Where allocations and views can be in a window of our own, and views in the windows of others: offsets into it. `None`
    /// before it exists.
    free: Option<Extents>,
    /// By first address. The data of a session's window is one.
    live: BTreeMap<u64, Allocation>,
}

#[derive(Clone, Copy, Debug)]
struct Allocation {
    length: u64,
    /// Whether the process may write to it.
    writable: bool,
    /// MDLs that lock pages of it, and drivers that have secured it.
    locks: u32,
    /// Of these, drivers that have secured it: what they lock is there until they let go.
    secured: u32,
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
    /// The user space of a process with another room's window.
    #[must_use]
    pub fn in_window(session: Box<dyn SessionWindow>) -> Self {
        let this = Self::default();
        let (data, views) = (session.data(), session.views());
        {
            let mut allocations = this.allocations();
            let length = data.end.saturating_sub(data.start);
            allocations.live.insert(
                data.start,
                Allocation { length, writable: true, locks: 0, secured: 0, given_back: false },
            );
            allocations.free =
                Some(Extents::new(bytes(views.start - data.start)..bytes(views.end - data.start)));
        }
        let window = Window { range: data.start..views.end, pages: WindowPages::Session(session) };
        let _first = this.window.set(window);
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

    /// Whether all pages of a range that lies in the process's window are there, and the process may write to them if that is
    /// asked for. Those that were given back and only stay because an MDL locks them are not: they go when it does not.
    #[inline]
    #[must_use]
    pub fn has_pages(&self, address: u64, length: u64, for_writing: bool) -> bool {
        let found = LAST_FOUND.get();
        let end = address.saturating_add(length);
        let again = found.serial == self.serial
            && found.generation == self.generation.load(Ordering::Acquire)
            && (found.start..=found.end).contains(&address)
            && end <= found.end
            && (found.writable || !for_writing);
        again || length == 0 || self.find_pages(address, end, for_writing)
    }

    #[cold]
    fn find_pages(&self, address: u64, end: u64, for_writing: bool) -> bool {
        let allocations = self.allocations();
        let found = allocations.live.range(..=address).next_back();
        let is_whole =
            |(start, found): &(&u64, &Allocation)| end <= *start + found.length && !found.given_back;
        let Some((&start, allocation)) = found.filter(is_whole) else { return false };
        let generation = self.generation.load(Ordering::Acquire);
        let Allocation { length, writable, .. } = *allocation;
        LAST_FOUND.set(Found { serial: self.serial, generation, start, end: start + length, writable });
        writable || !for_writing
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
        let Some(Window { pages: WindowPages::Own(own), .. }) = self.window(&mut allocations) else {
            return Err(REFUSED);
        };
        let free = allocations.free.as_mut().ok_or(REFUSED)?;
        let offset = free.take(bytes).ok_or(REFUSED)?;
        if own.commit(offset, bytes, Protection::ReadWrite).is_err() {
            free.give(offset, bytes);
            return Err(REFUSED);
        }
        let address = (own.base() + offset) as u64;
        allocations
            .live
            .insert(address, Allocation { length, writable: true, locks: 0, secured: 0, given_back: false });
        Ok(address)
    }

    /// The window; one of our own is made when there is none yet.
    fn window(&self, allocations: &mut Allocations) -> Option<&Window> {
        if self.window.get().is_none() {
            let own = reserve_window(WINDOW_STRIDE).ok()?;
            let range = own.range();
            allocations.free = Some(Extents::new(0..range.len()));
            let range = range.start as u64..range.end as u64;
            // Under the allocations' lock, so nobody else sets it.
            let _first = self.window.set(Window { range, pages: WindowPages::Own(own) });
        }
        self.window.get()
    }

    /// Gives an allocation or a view back; while MDLs lock pages of it, it stays.
    pub(crate) fn give_back(&self, address: u64) {
        let mut allocations = self.allocations();
        let Some(allocation) = allocations.live.get_mut(&address) else { return };
        allocation.given_back = true;
        self.generation.fetch_add(1, Ordering::Release);
        if allocation.locks == 0 {
            self.release(allocations, address);
        }
    }

    fn release(&self, mut allocations: MutexGuard<'_, Allocations>, address: u64) {
        let Some(allocation) = allocations.live.remove(&address) else { return };
        drop(allocations);
        self.remove_pages(address, allocation.length);
    }

    /// Takes pages out of the window that no allocation has any more. When Linux cannot take them back, the addresses are not
    /// handed out again. Not under the allocations' lock: the application may take its time.
    fn remove_pages(&self, address: u64, length: u64) {
        let Some(window) = self.window.get() else { return };
        let offset = bytes(address - window.range.start);
        let removed = match &window.pages {
            WindowPages::Own(own) => own.decommit(offset, bytes(length)),
            WindowPages::Session(session) => session.unmap(address, length),
        };
        if let Some(free) = self.allocations().free.as_mut().filter(|_| removed.is_ok()) {
            free.give(offset, bytes(length));
        }
    }

    /// Shows pages, at `wanted`, a multiple of the page size, unless that is 0; returns where. [`Self::give_back`] undoes it.
    ///
    /// # Errors
    /// `STATUS_CONFLICTING_ADDRESSES` when they cannot be at `wanted`; `STATUS_INSUFFICIENT_RESOURCES`.
    pub(super) fn map_view(&self, parts: &[Part], writable: bool, wanted: u64) -> Result<u64, NTSTATUS> {
        const REFUSED: NTSTATUS = abi::STATUS_INSUFFICIENT_RESOURCES;
        let length: usize = parts.iter().map(|part| part.range.len()).sum();
        let (window, offset) = {
            let mut allocations = self.allocations();
            let window = self.window(&mut allocations).ok_or(REFUSED)?;
            let free = allocations.free.as_mut().ok_or(REFUSED)?;
            let offset = if wanted == 0 {
                free.take_aligned(length, GRANULARITY).ok_or(REFUSED)?
            } else {
                let place = wanted.checked_sub(window.range.start).map(bytes);
                let exactly = place.and_then(|place| Some(place..place.checked_add(length)?));
                exactly
                    .and_then(|place| free.take_within(&place, length))
                    .ok_or(abi::STATUS_CONFLICTING_ADDRESSES)?
            };
            (window, offset)
        };
        // Not under the lock, as above. Nobody else has the addresses.
        let address = window.range.start + offset as u64;
        let mut done = 0;
        for part in parts {
            let place = address + done;
            let mapped = match &window.pages {
                WindowPages::Own(own) => {
                    let protection = if writable { Protection::ReadWrite } else { Protection::Read };
                    own.map(bytes(place - window.range.start), &part.memory, part.range.clone(), protection)
                }
                WindowPages::Session(session) => {
                    session.map(place, &part.memory, part.range.clone(), writable)
                }
            };
            if mapped.is_err() {
                self.remove_pages(address, length as u64);
                return Err(REFUSED);
            }
            done += part.range.len() as u64;
        }
        let view = Allocation { length: length as u64, writable, locks: 0, secured: 0, given_back: false };
        self.allocations().live.insert(address, view);
        Ok(address)
    }

    /// Locks the pages of a range that lies inside one allocation, which the process may write to if that is asked for; `None` for
    /// others.
    pub(super) fn lock(&self, address: u64, length: u64, for_writing: bool) -> Option<Locked> {
        let end = address.checked_add(length)?;
        let mut allocations = self.allocations();
        let (&start, allocation) = allocations.live.range_mut(..=address).next_back()?;
        let is_going = allocation.given_back && allocation.secured == 0;
        let is_refused = is_going || for_writing && !allocation.writable;
        if end > start + allocation.length || is_refused {
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
            self.release(allocations, locked.allocation);
        }
    }

    /// `MmSecureVirtualMemory`, in the context of the process: returns what [`Self::unsecure`] takes, unless the range lies inside no
    /// allocation, has no bytes, or the process may not write to it and that is asked for. Until then its pages stay, and can be locked,
    /// though they be given back meanwhile (Confirm: on NT giving them back fails).
    ///
    /// Source: ddi, MmSecureVirtualMemory.
    #[must_use]
    pub fn secure(&self, address: u64, length: u64, for_writing: bool) -> Option<u64> {
        let end = address.checked_add(length).filter(|end| *end > address)?;
        let mut allocations = self.allocations();
        let (&start, allocation) = allocations.live.range_mut(..=address).next_back()?;
        let is_refused = allocation.given_back || for_writing && !allocation.writable;
        if end > start + allocation.length || is_refused {
            return None;
        }
        allocation.locks += 1;
        allocation.secured += 1;
        Some(start)
    }

    /// `MmUnsecureVirtualMemory`. What was not secured is left alone (Confirm).
    pub fn unsecure(&self, handle: u64) {
        let mut allocations = self.allocations();
        let Some(allocation) = allocations.live.get_mut(&handle).filter(|found| found.secured > 0) else {
            return;
        };
        allocation.secured -= 1;
        allocation.locks -= 1;
        if allocation.locks == 0 && allocation.given_back {
            self.release(allocations, handle);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "x86-64 has 64-bit addresses")]
const fn bytes(value: u64) -> usize {
    value as usize
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
    use super::super::session_window::Fake;
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
        let locked = space.lock(address + 4095, 2, true).expect("inside");
        assert_eq!(space.locked_pages(), 2);
        assert!(space.has_pages(address, 8192, true));
        drop(buffer);
        assert!(!space.has_pages(address, 8192, true), "a request that met them now would lose them");
        raw::write(address, 7_u8).expect("still there");
        assert!(space.lock(address, 1, false).is_none(), "given back");
        assert_ne!(space.allocate(1).expect("room"), address);
        space.unlock(locked);
        assert_eq!(space.locked_pages(), 0);
        assert!(raw::read::<u8>(address).is_err());
    }

    #[test]
    fn what_is_secured_can_be_locked_though_it_is_given_back_and_goes_when_nobody_needs_it() {
        platform::fault::install().expect("handlers");
        let space = Arc::new(UserSpace::default());
        let buffer = UserBuffer::new(&space, 4096).expect("room");
        let address = buffer.address();
        assert!(space.secure(address, 0, false).is_none() && space.secure(address, 4097, false).is_none());
        assert!(space.secure(0x1000, 1, false).is_none() && space.secure(u64::MAX, 2, false).is_none());
        let handle = space.secure(address + 10, 20, true).expect("inside");
        drop(buffer);
        assert!(space.secure(address, 1, false).is_none(), "given back");
        let locked = space.lock(address, 4096, true).expect("secured");
        space.unsecure(handle);
        space.unsecure(handle);
        raw::write(address, 7_u8).expect("locked");
        assert!(space.lock(address, 1, false).is_none(), "not secured any more");
        space.unlock(locked);
        assert!(raw::read::<u8>(address).is_err());
    }

    #[test]
    fn pages_are_there_from_their_allocation_until_they_are_given_back() {
        let space = Arc::new(UserSpace::default());
        let first = UserBuffer::new(&space, 4096).expect("room");
        let (address, other) = (first.address(), UserBuffer::new(&space, 4096).expect("room"));
        assert!(
            space.has_pages(address, 4096, true) && space.has_pages(address, 4096, true),
            "found, and found again"
        );
        assert!(space.has_pages(address + 4095, 1, true) && space.has_pages(address + 4096, 0, true));
        assert!(!space.has_pages(address, 4097, true), "two allocations");
        assert!(!UserSpace::default().has_pages(address, 1, true), "another process's");
        drop(first);
        assert!(!space.has_pages(address, 1, true) && space.has_pages(other.address(), 4096, true));
    }

    #[test]
    fn only_ranges_inside_one_allocation_are_locked() {
        let space = Arc::new(UserSpace::default());
        let first = UserBuffer::new(&space, 4096).expect("room");
        let second = UserBuffer::new(&space, 4096).expect("room");
        assert_eq!(second.address(), first.address() + 4096);
        assert!(space.lock(first.address() + 4090, 7, true).is_none());
        assert!(space.lock(second.address(), 4097, true).is_none());
        assert!(space.lock(u64::MAX, 2, true).is_none() && space.lock(0, 1, true).is_none());
        assert!(space.lock(second.address(), 4096, true).is_some());
        let session = UserSpace::in_window(Box::new(Fake::default()));
        assert!(session.lock(0x1000, 0x8000, true).is_some() && session.lock(0x8FFF, 2, true).is_none());
        assert!(session.allocate(1).is_err(), "another room's pages are not handed out");
    }

    fn part(pages: usize) -> Part {
        let memory = Arc::new(SharedMemory::new(pages * PAGE_SIZE).expect("memory"));
        Part::of(memory, 0..pages * PAGE_SIZE)
    }

    #[test]
    fn views_lie_behind_a_sessions_data_and_are_gone_as_a_whole_when_one_part_cannot_be_shown() {
        let fake = Fake::default();
        let space = UserSpace::in_window(Box::new(fake.clone()));
        assert!(space.contains(0x3_F000, 0x1000) && !space.contains(0x3_F000, 0x1001));
        assert!(!space.has_pages(0xA000, 1, false));
        let address = space.map_view(&[part(1)], false, 0).expect("room");
        assert_eq!(address, 0x1_1000, "the granularity, from the window's start on");
        assert!(space.has_pages(address, 4096, false) && !space.has_pages(address, 4096, true));
        assert!(space.lock(address, 1, true).is_none(), "it is not the process's to write");
        let locked = space.lock(address, 1, false).expect("but to read");
        assert_eq!(space.map_view(&[part(2), part(1)], true, 0), Err(abi::STATUS_INSUFFICIENT_RESOURCES));
        space.give_back(address);
        space.unlock(locked);
        let told = fake.told();
        let expected = [
            (0x1_1000, 0x1000, Some(false)),
            (0x2_1000, 0x2000, Some(true)),
            (0x2_1000, 0x3000, None),
            (0x1_1000, 0x1000, None),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_view_at_a_wanted_address_is_there_or_nowhere() {
        platform::fault::install().expect("handlers");
        let space = UserSpace::default();
        let first = space.map_view(&[part(2)], true, 0).expect("room");
        raw::write(first + 4096, 5_u64).expect("shown");
        let taken = Err(abi::STATUS_CONFLICTING_ADDRESSES);
        assert_eq!(space.map_view(&[part(1)], true, first + 4096), taken);
        assert_eq!(space.map_view(&[part(1)], true, 0x1000), taken);
        let wanted = first + 0x10_0000;
        assert_eq!(space.map_view(&[part(2), part(1)], false, wanted), Ok(wanted));
        assert_eq!(raw::read::<u64>(wanted + 8192).expect("shown"), 0);
        assert!(raw::write(wanted, 1_u8).is_err(), "only to be read");
        space.give_back(wanted);
        assert!(raw::read::<u8>(wanted).is_err());
        assert_eq!(space.map_view(&[part(1)], true, wanted), Ok(wanted));
    }
}
