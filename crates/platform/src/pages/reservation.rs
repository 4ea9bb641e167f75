//! Reserved address ranges whose pages are committed, protected, shared and given back.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, mprotect, munmap};

use super::{
    ADDRESS_LIMIT, PAGE_SIZE, PagesError, Protection, SYSTEM_SLAB, SYSTEM_SPACE, USER_WINDOWS, WINDOW_STRIDE,
    check_range, moving,
};
use crate::shared_memory::SharedMemory;

/// NT and Linux keep the 64 KiB below free, so that null pointers fault.
const LOWEST_ADDRESS: usize = 0x1_0000;

/// A range of addresses that belongs to its owner alone. Its pages fault until they are committed; dropping it
/// unmaps everything in it.
///
/// The methods take `&self` and may run on several threads at once, on different pages. Whoever turns addresses
/// into accesses answers for not using pages that are being given back.
#[derive(Debug)]
pub struct Reservation {
    base: usize,
    len: usize,
    /// Pages that other mappings may show too: start offset → end offset.
    shared: Mutex<BTreeMap<usize, usize>>,
}

impl Reservation {
    /// Reserves `len` bytes at `address`. Never replaces a mapping.
    ///
    /// # Errors
    ///
    /// `Occupied` if anything is mapped in the range, `OutOfRange`, `Misaligned`, `NoMemory`.
    pub fn at(address: usize, len: usize) -> Result<Self, PagesError> {
        reserve(address, len)?;
        Ok(Self { base: address, len, shared: Mutex::default() })
    }

    /// Reserves `len` bytes at the first free multiple of `stride` in `range`, beginning with slot number `first`
    /// (modulo their count) and wrapping around.
    ///
    /// # Errors
    ///
    /// `Occupied` if no slot is free; `OutOfRange` if `len` is greater than `stride` or no slot fits into `range`;
    /// `Misaligned`, `NoMemory`.
    pub fn first_free(
        range: Range<usize>,
        stride: usize,
        len: usize,
        first: usize,
    ) -> Result<Self, PagesError> {
        if !range.start.is_multiple_of(PAGE_SIZE) || !stride.is_multiple_of(PAGE_SIZE) {
            return Err(PagesError::Misaligned);
        }
        let slots = range.len().checked_div(stride).unwrap_or(0);
        if len > stride || slots == 0 {
            return Err(PagesError::OutOfRange);
        }
        for index in 0..slots {
            let slot = (first % slots + index) % slots;
            match Self::at(range.start + slot * stride, len) {
                Err(PagesError::Occupied) => {}
                other => return other,
            }
        }
        Err(PagesError::Occupied)
    }

    /// The first address.
    pub fn base(&self) -> usize {
        self.base
    }

    /// The length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// All addresses.
    pub fn range(&self) -> Range<usize> {
        self.base..self.base + self.len
    }

    /// Whether `len` bytes from `address` on lie inside.
    pub fn contains(&self, address: usize, len: usize) -> bool {
        address.checked_sub(self.base).is_some_and(|offset| offset <= self.len && len <= self.len - offset)
    }

    /// Makes pages usable. Pages that were not committed before are zero; the others keep their content.
    ///
    /// # Errors
    ///
    /// `OutOfRange`, `Misaligned`, `NoMemory`.
    pub fn commit(&self, offset: usize, len: usize, protection: Protection) -> Result<(), PagesError> {
        self.protect(offset, len, protection)
    }

    /// Changes what may be done with committed pages; they keep their content.
    ///
    /// # Errors
    ///
    /// `OutOfRange`, `Misaligned`, `NoMemory` (a mapping is split and the process has too many).
    pub fn protect(&self, offset: usize, len: usize, protection: Protection) -> Result<(), PagesError> {
        let address = self.address(offset, len)?;
        let place = ptr::with_exposed_provenance_mut(address);
        // SAFETY: the range lies inside this reservation, into which safe code has no references.
        unsafe { mprotect(place, len, protection.protect_flags())? };
        Ok(())
    }

    /// Gives pages back: their content is gone and every access faults until they are committed again. Pages that
    /// are shared stay alive in their other mappings.
    ///
    /// # Errors
    ///
    /// `OutOfRange`, `Misaligned`, `NoMemory` (a mapping is split and the process has too many).
    pub fn decommit(&self, offset: usize, len: usize) -> Result<(), PagesError> {
        let address = self.address(offset, len)?;
        // A fresh mapping instead of MADV_DONTNEED, which would leave shared pages and their content in place.
        // SAFETY: the range lies inside this reservation, into which safe code has no references.
        unsafe { map_nothing(address, len, MapFlags::FIXED)? };
        self.forget_shared(offset..offset + len);
        Ok(())
    }

    /// Shows the pages `part` (byte offsets) of `memory` at `offset`, in place of what was there. Undone by
    /// [`Self::decommit`].
    ///
    /// # Errors
    ///
    /// `OutOfRange`, `Misaligned`, `NoMemory`, `AccessDenied`.
    pub fn map(
        &self,
        offset: usize,
        memory: &SharedMemory,
        part: Range<usize>,
        protection: Protection,
    ) -> Result<(), PagesError> {
        let len = part.end.checked_sub(part.start).ok_or(PagesError::OutOfRange)?;
        let address = self.address(offset, len)?;
        // SAFETY: the range lies inside this reservation, into which safe code has no references.
        unsafe { memory.map_over(address, part, protection)? };
        let mut shared = self.shared();
        remove(&mut shared, offset..offset + len);
        shared.insert(offset, offset + len);
        Ok(())
    }

    /// Keeps what is mapped there now out of children that this process forks: every access faults in them, as after
    /// unmapping. What is mapped there later is theirs too.
    ///
    /// # Errors
    ///
    /// `OutOfRange`, `Misaligned`, `NoMemory` (a mapping is split and the process has too many).
    pub fn keep_from_children(&self, offset: usize, len: usize) -> Result<(), PagesError> {
        let address = self.address(offset, len)?;
        let place = ptr::with_exposed_provenance_mut(address);
        // SAFETY: the range lies inside this reservation; nothing changes in this process.
        unsafe { madvise(place, len, Advice::LinuxDontFork)? };
        Ok(())
    }

    /// Moves committed pages into a memory file of their own, at the same address and with the same content
    /// (decision 3, `docs/decisions/0003-pages.md`). From then on whoever maps the returned memory shares them.
    ///
    /// Other threads may read and write the pages meanwhile: a write that faults waits and is executed again, if
    /// the process's fault handler asks [`is_moving`](super::is_moving). Linux itself does not wait: a system call
    /// that writes there meanwhile fails with `EFAULT`. `protection` is what the pages have now and get again.
    ///
    /// # Errors
    ///
    /// `Shared` if one of the pages was moved or mapped before; `OwnStack`; `OutOfRange`, `Misaligned`, `NoMemory`.
    pub fn move_to_descriptor(
        &self,
        offset: usize,
        len: usize,
        protection: Protection,
    ) -> Result<SharedMemory, PagesError> {
        let address = self.address(offset, len)?;
        let memory = SharedMemory::new(len)?;
        {
            let mut shared = self.shared();
            if overlaps(&shared, &(offset..offset + len)) {
                return Err(PagesError::Shared);
            }
            shared.insert(offset, offset + len);
        }
        // SAFETY: the range lies inside this reservation, into which safe code has no references; the entry made
        // above keeps a second move away.
        let moved = unsafe { moving::replace(address, &memory, protection) };
        if let Err(error) = moved {
            self.forget_shared(offset..offset + len);
            return Err(error);
        }
        Ok(memory)
    }

    /// Undoes [`Self::move_to_descriptor`] for pages that were moved by it: they keep their address and the content that
    /// they have now, but are private again. Who still has the memory mapped sees nothing of them any more.
    ///
    /// Other threads may use the pages meanwhile, as for `move_to_descriptor`. `protection` is as there.
    ///
    /// # Errors
    ///
    /// `OwnStack`, `OutOfRange`, `Misaligned`, `NoMemory`; the pages are shared as before then.
    pub fn make_private(&self, offset: usize, len: usize, protection: Protection) -> Result<(), PagesError> {
        let address = self.address(offset, len)?;
        // SAFETY: the range lies inside this reservation, into which safe code has no references.
        unsafe { moving::make_private(address, len, protection)? };
        self.forget_shared(offset..offset + len);
        Ok(())
    }

    fn address(&self, offset: usize, len: usize) -> Result<usize, PagesError> {
        check_range(offset, len, self.len)?;
        Ok(self.base + offset)
    }

    fn forget_shared(&self, range: Range<usize>) {
        remove(&mut self.shared(), range);
    }

    fn shared(&self) -> MutexGuard<'_, BTreeMap<usize, usize>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the range belongs to this value alone.
        let result = unsafe { munmap(ptr::with_exposed_provenance_mut(self.base), self.len) };
        debug_assert!(result.is_ok(), "{result:?}");
    }
}

/// Takes the first free slab of system space, for one machine.
///
/// # Errors
///
/// `Occupied` if all are taken, `NoMemory` if the process's address space is limited.
pub fn reserve_system_slab() -> Result<Reservation, PagesError> {
    Reservation::first_free(SYSTEM_SPACE, SYSTEM_SLAB, SYSTEM_SLAB, 0)
}

/// Takes a free user window of `len` bytes, at most [`WINDOW_STRIDE`]. The search starts anywhere, so that windows
/// of different processes, which the other side must map at the same address, seldom collide.
///
/// # Errors
///
/// `OutOfRange`, `Misaligned`, `Occupied` if all are taken, `NoMemory`.
pub fn reserve_window(len: usize) -> Result<Reservation, PagesError> {
    let anywhere = RandomState::new().hash_one(std::process::id());
    let first = usize::try_from(anywhere >> 32).unwrap_or(0);
    Reservation::first_free(USER_WINDOWS, WINDOW_STRIDE, len, first)
}

/// Reserves a range in which nothing is mapped.
pub(crate) fn reserve(address: usize, len: usize) -> Result<(), PagesError> {
    check_range(address, len, ADDRESS_LIMIT)?;
    if address < LOWEST_ADDRESS {
        return Err(PagesError::OutOfRange);
    }
    // SAFETY: FIXED_NOREPLACE leaves existing mappings alone.
    let got = match unsafe { map_nothing(address, len, MapFlags::FIXED_NOREPLACE) } {
        Ok(got) => got,
        // Below what this system's `vm.mmap_min_addr` allows.
        Err(Errno::PERM) => return Err(PagesError::OutOfRange),
        Err(error) => return Err(error.into()),
    };
    if got != address {
        // Linux before 4.17 takes the address for a hint.
        // SAFETY: the range was mapped by the call above.
        unsafe { munmap(ptr::with_exposed_provenance_mut(got), len)? };
        return Err(PagesError::Occupied);
    }
    Ok(())
}

/// Maps pages that fault and cost no memory; returns where.
///
/// # Safety
///
/// With `MapFlags::FIXED`, the range must belong to the caller, with no reference into it.
unsafe fn map_nothing(address: usize, len: usize, place: MapFlags) -> Result<usize, Errno> {
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | place;
    let wanted = ptr::with_exposed_provenance_mut(address);
    // SAFETY: promised by the caller.
    let got = unsafe { mmap_anonymous(wanted, len, ProtFlags::empty(), flags)? };
    Ok(got.expose_provenance())
}

/// Whether one of the disjoint ranges in `map` meets `range`.
fn overlaps(map: &BTreeMap<usize, usize>, range: &Range<usize>) -> bool {
    map.range(..range.end).next_back().is_some_and(|(_, &end)| end > range.start)
}

/// Cuts `range` out of the disjoint ranges in `map`.
fn remove(map: &mut BTreeMap<usize, usize>, range: Range<usize>) {
    while let Some((&start, &end)) = map.range(..range.end).next_back().filter(|&(_, &end)| end > range.start)
    {
        map.remove(&start);
        if end > range.end {
            map.insert(range.end, end);
        }
        if start < range.start {
            map.insert(start, range.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_a_range_out_keeps_both_of_its_sides() {
        let mut map = BTreeMap::from([(0, 10), (20, 30), (40, 50)]);
        remove(&mut map, 5..45);
        assert_eq!(map, BTreeMap::from([(0, 5), (45, 50)]));
        assert!(overlaps(&map, &(4..6)));
        assert!(!overlaps(&map, &(5..45)));
        remove(&mut map, 1..2);
        assert_eq!(map, BTreeMap::from([(0, 1), (2, 5), (45, 50)]));
    }
}
