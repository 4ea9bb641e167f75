//! MDLs: descriptions of buffers by their pages (decision 14, `docs/decisions/0014-mdl-mappings.md`).
//!
//! Nothing is paged and user windows are mapped at one address everywhere, so the system address of locked pages is the
//! address that they have. What is kept outside of the MDL, which drivers write to, is who locked which user pages. Whose
//! user space an address must lie in, callers say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use platform::pages::{PAGE_SIZE, USER_PROBE_ADDRESS, USER_WINDOWS};

use super::user_space::{Locked, UserSpace};
use super::{MemoryManager, PoolOwner};
use crate::Unwind;
use crate::raw::{self, Mdl, Outcome};

const PAGE: u64 = PAGE_SIZE as u64;
/// Tag of MDLs that `IoAllocateMdl` made.
pub const MDL_TAG: u32 = u32::from_le_bytes(*b"Mdl ");
/// Tag of pages that `MmAllocatePagesForMdl` made.
const PAGES_TAG: u32 = u32::from_le_bytes(*b"MmPg");
/// Page frame numbers that are written at once.
const BATCH: usize = 64;
const HEADER_WORDS: usize = Mdl::SIZE / 8;

const MAPPED_TO_SYSTEM_VA: u16 = abi::MDL_MAPPED_TO_SYSTEM_VA.cast_unsigned();
const PAGES_LOCKED: u16 = abi::MDL_PAGES_LOCKED.cast_unsigned();
const SOURCE_IS_NONPAGED_POOL: u16 = abi::MDL_SOURCE_IS_NONPAGED_POOL.cast_unsigned();
const PARTIAL: u16 = abi::MDL_PARTIAL.cast_unsigned();
const PARTIAL_HAS_BEEN_MAPPED: u16 = abi::MDL_PARTIAL_HAS_BEEN_MAPPED.cast_unsigned();
const PARENT_MAPPED_SYSTEM_VA: u16 = abi::MDL_PARENT_MAPPED_SYSTEM_VA.cast_unsigned();
const WRITE_OPERATION: u16 = abi::MDL_WRITE_OPERATION.cast_unsigned();

/// Why a service of MDLs did not do its work.
#[derive(Debug)]
pub enum MdlFault {
    /// The driver gets an exception.
    Raise(Unwind),
    /// The machine stops: code and parameters.
    Stop(u32, [u64; 4]),
}

impl From<Unwind> for MdlFault {
    fn from(unwind: Unwind) -> Self {
        Self::Raise(unwind)
    }
}

/// User pages that MDLs lock, by the MDL's address.
#[derive(Debug, Default)]
pub(super) struct UserLocks {
    all: Mutex<HashMap<u64, (Arc<UserSpace>, Locked)>>,
}

/// `ADDRESS_AND_SIZE_TO_SPAN_PAGES`.
#[inline]
#[must_use]
pub fn pages_spanned(address: u64, length: u64) -> u64 {
    (address % PAGE).saturating_add(length).div_ceil(PAGE)
}

/// `MmSizeOfMdl`: bytes of an MDL for a buffer.
#[inline]
#[must_use]
pub fn size_of_mdl(address: u64, length: u64) -> u64 {
    Mdl::SIZE as u64 + 8 * pages_spanned(address, length)
}

/// What stands for a page's frame number: opaque, the same for each description of a page.
#[inline]
fn frame(page: u64) -> u64 {
    page / PAGE
}

/// `MmInitializeMdl`, and zeroes in what that leaves alone.
///
/// # Errors
/// An access violation.
fn initialize(mdl: Mdl, address: u64, length: u32) -> Outcome<()> {
    write_header(mdl, address, length, 0, 0)
}

/// Only the low 16 bits of the size are kept, as the headers' own macro does.
#[expect(clippy::cast_possible_truncation, reason = "MDL.Size has 16 bits")]
fn header(address: u64, length: u32, flags: u16, mapped: u64) -> [u64; HEADER_WORDS] {
    let size = size_of_mdl(address, u64::from(length)) as u16;
    let start = address / PAGE * PAGE;
    let second = u64::from(size) | u64::from(flags) << 16;
    [0, second, 0, mapped, start, u64::from(length) | (address % PAGE) << 32]
}

fn write_header(mdl: Mdl, address: u64, length: u32, flags: u16, mapped: u64) -> Outcome<()> {
    let words = header(address, length, flags, mapped).map(u64::to_le_bytes);
    raw::copy_to(mdl.address(), words.as_flattened())
}

fn write_frames(mdl: Mdl, address: u64, length: u64) -> Outcome<()> {
    let count = pages_spanned(address, length);
    let mut done = 0;
    while done < count {
        let batch = usize::try_from(count - done).unwrap_or(BATCH).min(BATCH);
        let mut frames = [[0; 8]; BATCH];
        for (number, bytes) in (frame(address) + done..).zip(&mut frames[..batch]) {
            *bytes = number.to_le_bytes();
        }
        let place = mdl.address().wrapping_add(Mdl::SIZE as u64 + done * 8);
        raw::copy_to(place, frames[..batch].as_flattened())?;
        done += batch as u64;
    }
    Ok(())
}

/// Makes the MDL of a request: of locked pages, mapped at the address that they have, so that the driver's
/// MmGetSystemAddressForMdlSafe finds it without a call.
///
/// # Errors
/// An access violation.
#[inline]
pub fn describe_locked(mdl: Mdl, address: u64, length: u32, for_writing: bool) -> Outcome<()> {
    let operation = if for_writing { WRITE_OPERATION } else { 0 };
    write_header(mdl, address, length, PAGES_LOCKED | MAPPED_TO_SYSTEM_VA | operation, address)?;
    write_frames(mdl, address, u64::from(length))
}

/// `MmBuildMdlForNonPagedPool`.
///
/// # Errors
/// An access violation, also when the MDL describes user addresses.
pub fn build_for_nonpaged_pool(mdl: Mdl) -> Outcome<()> {
    let address = mdl.virtual_address()?;
    let length = u64::from(mdl.byte_count()?);
    if address < USER_PROBE_ADDRESS as u64 && address >= USER_WINDOWS.start as u64 {
        return Err(Unwind::access_violation(0, address));
    }
    write_frames(mdl, address, length)?;
    mdl.set_process(0)?;
    mdl.set_mapped_system_va(address)?;
    mdl.set_flags(mdl.flags()? | SOURCE_IS_NONPAGED_POOL)
}

/// Whether an MDL describes pages that stay where they are, so that they can be mapped.
pub(super) fn describes_pages(mdl: Mdl) -> Outcome<bool> {
    Ok(mdl.flags()? & (PAGES_LOCKED | PARTIAL | SOURCE_IS_NONPAGED_POOL) != 0)
}

/// `MmMapLockedPagesSpecifyCache` for KernelMode: the system address of the pages; 0 when the MDL has none to map.
///
/// # Errors
/// An access violation.
pub fn map_to_system(mdl: Mdl) -> Outcome<u64> {
    if !describes_pages(mdl)? {
        return Ok(0);
    }
    let flags = mdl.flags()?;
    let address = mdl.virtual_address()?;
    let partial = if flags & PARTIAL != 0 { PARTIAL_HAS_BEEN_MAPPED } else { 0 };
    mdl.set_mapped_system_va(address)?;
    mdl.set_flags(flags | MAPPED_TO_SYSTEM_VA | partial)?;
    Ok(address)
}

/// `MmUnmapLockedPages` of a system address.
///
/// # Errors
/// An access violation.
pub fn unmap_from_system(mdl: Mdl) -> Outcome<()> {
    mdl.set_flags(mdl.flags()? & !(MAPPED_TO_SYSTEM_VA | PARTIAL_HAS_BEEN_MAPPED))
}

/// `IoBuildPartialMdl`: `target` describes the part of `source` from `address` on; `length` 0 is all that follows.
///
/// # Errors
/// Stop 40h (TARGET_MDL_TOO_SMALL) when the target has no room; STATUS_INVALID_PARAMETER for a part that is not one.
pub fn build_partial(source: Mdl, target: Mdl, address: u64, length: u32) -> Result<(), MdlFault> {
    let start = source.virtual_address()?;
    let count = u64::from(source.byte_count()?);
    let left = address.checked_sub(start).and_then(|offset| count.checked_sub(offset));
    let length = if length == 0 {
        left
    } else {
        left.filter(|left| *left >= u64::from(length)).map(|_| u64::from(length))
    };
    let Some(length) = length.and_then(|length| u32::try_from(length).ok()) else {
        return Err(Unwind::status(abi::STATUS_INVALID_PARAMETER).into());
    };
    // What the size says is what the target was allocated for, unless that did not fit into it.
    let room = u64::from(target.size()?);
    let needed = size_of_mdl(address, u64::from(length));
    if needed <= u64::from(u16::MAX) && room < needed {
        let parameters = [source.address(), target.address(), address, u64::from(length)];
        return Err(MdlFault::Stop(abi::TARGET_MDL_TOO_SMALL, parameters));
    }
    let flags = source.flags()?;
    let mut kept = PARTIAL | flags & (SOURCE_IS_NONPAGED_POOL | WRITE_OPERATION);
    let mut mapped = 0;
    if flags & (MAPPED_TO_SYSTEM_VA | SOURCE_IS_NONPAGED_POOL | PARENT_MAPPED_SYSTEM_VA) != 0 {
        kept |= PARENT_MAPPED_SYSTEM_VA;
        mapped = source.mapped_system_va()?.wrapping_add(address - start);
    }
    target.set_start_va(address / PAGE * PAGE)?;
    target.set_byte_count(length)?;
    target.set_byte_offset(u32::try_from(address % PAGE).unwrap_or(0))?;
    target.set_process(source.process()?)?;
    target.set_mapped_system_va(mapped)?;
    target.set_flags(kept)?;
    Ok(write_frames(target, address, u64::from(length))?)
}

impl MemoryManager {
    /// `IoAllocateMdl` without its IRP: an MDL for a buffer; `None` when there is no memory.
    ///
    /// # Errors
    /// An access violation.
    pub fn allocate_mdl(&self, address: u64, length: u32, owner: PoolOwner) -> Outcome<Option<Mdl>> {
        let size = usize::try_from(size_of_mdl(address, u64::from(length))).unwrap_or(usize::MAX);
        let Some(block) = self.pool.allocate_zeroed(size, MDL_TAG, owner) else { return Ok(None) };
        let mdl = Mdl::at(block.address);
        initialize(mdl, address, length)?;
        Ok(Some(mdl))
    }

    /// `IoFreeMdl`: false when it is no MDL that [`Self::allocate_mdl`] made. Pages that it locks stay locked.
    #[must_use]
    pub fn free_mdl(&self, mdl: Mdl) -> bool {
        let is_mdl = |block: &super::PoolBlock| block.address == mdl.address() && block.tag == MDL_TAG;
        self.pool.find(mdl.address()).is_some_and(|block| is_mdl(&block))
            && self.pool.free(mdl.address()).is_ok()
    }

    /// `MmProbeAndLockPages`, for a driver that runs in the context of the process with the user space `user`.
    ///
    /// # Errors
    /// An access violation: for UserMode, and for any address in user windows, when the range does not lie inside one
    /// allocation of `user`; else when a page is not there, or not writable.
    pub fn probe_and_lock(
        &self,
        mdl: Mdl,
        user: Option<&Arc<UserSpace>>,
        user_mode: bool,
        for_writing: bool,
    ) -> Outcome<()> {
        let (address, length) = (mdl.virtual_address()?, u64::from(mdl.byte_count()?));
        let operation = u64::from(for_writing);
        let violation = || Unwind::access_violation(operation, address);
        let end = address.checked_add(length).ok_or_else(violation)?;
        let is_window = address < USER_WINDOWS.end as u64 && end > USER_WINDOWS.start as u64;
        if is_window {
            let user = user.ok_or_else(violation)?;
            // First, as an MDL that has no room for them must not leave anything locked.
            write_frames(mdl, address, length)?;
            let locked = user.lock(address, length, for_writing).ok_or_else(violation)?;
            // An MDL that was locked already leaves its first lock for ever, as on NT.
            let mut all = self.user_locks.all.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(mdl.address(), (user.clone(), locked));
        } else if user_mode {
            return Err(violation());
        } else {
            raw::touch(address, length, for_writing)?;
            write_frames(mdl, address, length)?;
        }
        let operation = if for_writing { WRITE_OPERATION } else { 0 };
        mdl.set_flags(mdl.flags()? & !WRITE_OPERATION | PAGES_LOCKED | operation)
    }

    /// `MmUnlockPages`, which unmaps a system address too.
    ///
    /// # Errors
    /// Stop 4Eh (PFN_LIST_CORRUPT) when the MDL does not lock pages.
    pub fn unlock_pages(&self, mdl: Mdl) -> Result<(), MdlFault> {
        /// First parameter of the stop: a page is unlocked more often than it was locked.
        const UNLOCKED_TOO_OFTEN: u64 = 7;
        let flags = mdl.flags()?;
        if flags & PAGES_LOCKED == 0 {
            let parameters = [UNLOCKED_TOO_OFTEN, frame(mdl.start_va()?), 0, 0];
            return Err(MdlFault::Stop(abi::PFN_LIST_CORRUPT, parameters));
        }
        let lock = self.user_locks.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&mdl.address());
        if let Some((space, locked)) = lock {
            space.unlock(locked);
        }
        Ok(mdl.set_flags(flags & !(PAGES_LOCKED | MAPPED_TO_SYSTEM_VA | PARTIAL_HAS_BEEN_MAPPED))?)
    }

    /// `MmAllocatePagesForMdl`: zeroed pages, at most `length` bytes of them, with an MDL that the driver frees as pool.
    /// `None` when there is no memory.
    ///
    /// # Errors
    /// An access violation.
    pub fn allocate_pages_for_mdl(&self, length: u64, owner: PoolOwner) -> Outcome<Option<Mdl>> {
        let Some(length) = length.max(1).checked_next_multiple_of(PAGE) else { return Ok(None) };
        let (Ok(bytes), Ok(count)) = (usize::try_from(length), u32::try_from(length)) else {
            return Ok(None);
        };
        // Blocks of whole pages are on pages of their own, but these may be ones that were kept.
        let Some(pages) = self.pool.allocate_zeroed(bytes, PAGES_TAG, owner) else { return Ok(None) };
        let Some(mdl) = self.allocate_mdl(pages.address, count, owner)? else {
            let _certainly_live = self.pool.free(pages.address);
            return Ok(None);
        };
        write_frames(mdl, pages.address, length)?;
        mdl.set_flags(PAGES_LOCKED)?;
        Ok(Some(mdl))
    }

    /// `MmFreePagesFromMdl`: the pages go, the MDL stays.
    ///
    /// # Errors
    /// Stop 4Eh (PFN_LIST_CORRUPT) when the pages are not of [`Self::allocate_pages_for_mdl`].
    pub fn free_pages_from_mdl(&self, mdl: Mdl) -> Result<(), MdlFault> {
        /// First parameter of the stop: a page that is free already is freed.
        const FREED_ALREADY: u64 = 0x8F;
        let start = mdl.start_va()?;
        let is_ours = |block: &super::PoolBlock| block.address == start && block.tag == PAGES_TAG;
        let freed =
            self.pool.find(start).is_some_and(|block| is_ours(&block)) && self.pool.free(start).is_ok();
        if !freed {
            return Err(MdlFault::Stop(abi::PFN_LIST_CORRUPT, [FREED_ALREADY, frame(start), 0, 0]));
        }
        mdl.set_byte_count(0)?;
        Ok(mdl.set_flags(mdl.flags()? & !(PAGES_LOCKED | MAPPED_TO_SYSTEM_VA))?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::session_window::Fake;
    use super::*;
    use crate::ke::tests::on_mock;
    use crate::mm::UserBuffer;

    #[test]
    fn pages_for_an_mdl_are_zero_also_when_they_were_used_before() {
        on_mock(0..1, 1, |machine| {
            machine.inside(|kernel, _| {
                const LENGTH: usize = 2 * PAGE_SIZE;
                let before = kernel.mm.pool.allocate(LENGTH, MDL_TAG, PoolOwner::default(), false);
                let before = before.expect("memory").address;
                raw::fill(before, 0x55, LENGTH).expect("writable");
                kernel.mm.pool.free(before).expect("live");
                let pages = kernel.mm.allocate_pages_for_mdl(LENGTH as u64, PoolOwner(1));
                let mdl = pages.expect("writable").expect("memory");
                let mut bytes = vec![1; LENGTH];
                raw::copy_from(&mut bytes, mdl.start_va().expect("readable")).expect("readable");
                assert!(bytes.iter().all(|byte| *byte == 0));
            });
        });
    }

    #[test]
    fn an_mdl_without_room_for_its_pages_locks_none() {
        on_mock(0..1, 1, |machine| {
            machine.inside(|kernel, _| {
                let block = kernel.mm.pool.allocate(PAGE_SIZE, MDL_TAG, PoolOwner(1), false);
                // What follows it is not mapped.
                let mdl = Mdl::at(block.expect("memory").address + (PAGE_SIZE - Mdl::SIZE) as u64);
                let user = Arc::new(UserSpace::default());
                let buffer = UserBuffer::new(&user, 100).expect("room");
                initialize(mdl, buffer.address(), 100).expect("writable");
                assert!(kernel.mm.probe_and_lock(mdl, Some(&user), true, true).is_err());
                assert_eq!(user.locked_pages(), 0);
            });
        });
    }

    #[test]
    fn a_sessions_window_is_kept_as_long_as_an_mdl_locks_pages_of_it() {
        on_mock(0..1, 1, |machine| {
            machine.inside(|kernel, _| {
                let start = USER_WINDOWS.start as u64;
                let mapping = Fake::at(start);
                let session = Arc::new(UserSpace::in_window(Box::new(mapping.clone())));
                let mdl = kernel.mm.allocate_mdl(start + 8 * PAGE - 10, 10, PoolOwner(1));
                let mdl = mdl.expect("writable").expect("memory");
                kernel.mm.probe_and_lock(mdl, Some(&session), true, true).expect("its own");
                drop(session);
                assert_eq!(mapping.clones(), 2);
                assert!(kernel.mm.unlock_pages(mdl).is_ok());
                assert_eq!(mapping.clones(), 1);
            });
        });
    }

    #[test]
    fn pages_of_another_process_are_not_locked_in_either_mode() {
        on_mock(0..1, 1, |machine| {
            machine.inside(|kernel, _| {
                let (own, other) = (Arc::new(UserSpace::default()), Arc::new(UserSpace::default()));
                let buffer = UserBuffer::new(&other, 100).expect("room");
                let _window = UserBuffer::new(&own, 100).expect("room");
                let mdl = kernel.mm.allocate_mdl(buffer.address(), 100, PoolOwner(1));
                let mdl = mdl.expect("writable").expect("memory");
                for user_mode in [false, true] {
                    assert!(kernel.mm.probe_and_lock(mdl, Some(&own), user_mode, false).is_err());
                    assert!(kernel.mm.probe_and_lock(mdl, None, user_mode, false).is_err());
                }
                assert_eq!(mdl.flags().expect("readable") & PAGES_LOCKED, 0);
                kernel.mm.probe_and_lock(mdl, Some(&other), true, false).expect("its own");
                assert_eq!(other.locked_pages(), 1);
                assert!(kernel.mm.unlock_pages(mdl).is_ok() && other.locked_pages() == 0);
                let again = kernel.mm.unlock_pages(mdl);
                assert!(matches!(again, Err(MdlFault::Stop(abi::PFN_LIST_CORRUPT, _))));
            });
        });
    }
}
