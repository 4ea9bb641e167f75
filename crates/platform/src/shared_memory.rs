//! Memory that two processes may map: memory files whose size can never change again.
//!
//! The peer is hostile: it may write at any moment, so this room gives addresses and never references. What is read
//! from there is read once and then validated, by the room that knows its meaning.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use rustix::fs::{
    FileType, MemfdFlags, Mode, OFlags, SealFlags, fchmod, fcntl_add_seals, fcntl_get_seals, fstat, fstatfs,
    ftruncate, memfd_create,
};
use rustix::io::{Errno, pwrite};
use rustix::mm::{MapFlags, mmap, munmap};

use crate::pages::{ADDRESS_LIMIT, PagesError, Protection, check_range, reserve};

/// The seals that make a size final. `F_SEAL_SEAL` also keeps a peer from adding a write seal later.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// Pages of a memory file, sealed against shrinking, growing and further seals.
///
/// Dropping it closes the descriptor; mappings stay.
#[derive(Debug)]
pub struct SharedMemory {
    descriptor: OwnedFd,
    len: usize,
}

impl SharedMemory {
    /// New zeroed memory of `len` bytes, a multiple of the page size.
    ///
    /// # Errors
    ///
    /// `Misaligned`, `OutOfRange`, `NoMemory` (descriptors count as memory).
    pub fn new(len: usize) -> Result<Self, PagesError> {
        check_range(0, len, ADDRESS_LIMIT)?;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let descriptor = match memfd_create(c"ringbridge", flags | MemfdFlags::NOEXEC_SEAL) {
            // Before Linux 6.3 there is no such flag, and nothing is lost but a second line of defence.
            Err(Errno::INVAL) => memfd_create(c"ringbridge", flags)?,
            other => other?,
        };
        ftruncate(&descriptor, len as u64)?;
        // Whoever gets a descriptor for reading must not open it anew for writing.
        fchmod(&descriptor, Mode::RUSR | Mode::WUSR)?;
        fcntl_add_seals(&descriptor, SEALS)?;
        Ok(Self { descriptor, len })
    }

    /// Takes over a descriptor that another process sent, after checking what that process could use against us:
    /// the size must be final, whole pages and not zero, the pages ordinary memory (not a huge-page pool that can
    /// run dry and fault), and no seal may forbid writing.
    ///
    /// The caller compares [`Self::len`] with what the peer claimed.
    ///
    /// # Errors
    ///
    /// `NotSealed` for anything that is not such a memory file, `Misaligned` or `OutOfRange` for its size.
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<Self, PagesError> {
        // Seals first: the size means nothing before it is final.
        let seals = fcntl_get_seals(&descriptor).map_err(|_| PagesError::NotSealed)?;
        if !seals.contains(SEALS) || seals.intersects(SealFlags::WRITE | SealFlags::FUTURE_WRITE) {
            return Err(PagesError::NotSealed);
        }
        let status = fstat(&descriptor)?;
        let ordinary = fstatfs(&descriptor)?.f_type == libc::TMPFS_MAGIC;
        if !ordinary || FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(PagesError::NotSealed);
        }
        let len = usize::try_from(status.st_size).map_err(|_| PagesError::OutOfRange)?;
        check_range(0, len, ADDRESS_LIMIT)?;
        Ok(Self { descriptor, len })
    }

    /// The size in bytes; never zero, never changes.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Another handle on the same pages.
    ///
    /// # Errors
    ///
    /// What Linux says when no descriptor is left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { descriptor: self.descriptor.try_clone()?, len: self.len })
    }

    /// A descriptor of the same pages for another process, which can write to them or not.
    ///
    /// Without `writable` this holds against processes of other users: the file belongs to the user of this process, with
    /// mode 0600, and the user himself can open it anew by its descriptor.
    ///
    /// # Errors
    ///
    /// What Linux says: no descriptor is left, or `/proc` is not there.
    pub fn descriptor_for_peer(&self, writable: bool) -> io::Result<OwnedFd> {
        if writable {
            return self.descriptor.try_clone();
        }
        let name = format!("/proc/self/fd/{}", self.descriptor.as_raw_fd());
        Ok(rustix::fs::open(name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Maps the pages `part` (byte offsets) at `address`, where nothing may be mapped yet. To map over a part of
    /// one's own [`Reservation`](crate::pages::Reservation), use its `map`.
    ///
    /// # Errors
    ///
    /// `Misaligned`, `OutOfRange`, `Occupied`, `NoMemory`, `AccessDenied`.
    pub fn map_at(
        &self,
        address: usize,
        part: Range<usize>,
        protection: Protection,
    ) -> Result<Mapping, PagesError> {
        let len = self.check_part(&part)?;
        check_range(address, len, ADDRESS_LIMIT)?;
        // The first step finds out that nothing is there; the second replaces only what the first reserved.
        reserve(address, len)?;
        let mapping = Mapping { address, len };
        // SAFETY: the whole range was reserved by the line before and belongs to nobody else.
        unsafe { self.map_over(address, part, protection)? };
        Ok(mapping)
    }

    /// Maps the pages `part` (byte offsets) wherever Linux finds room.
    ///
    /// # Errors
    ///
    /// `Misaligned`, `OutOfRange`, `NoMemory`, `AccessDenied`.
    pub fn map_anywhere(&self, part: Range<usize>, protection: Protection) -> Result<Mapping, PagesError> {
        let len = self.check_part(&part)?;
        let flags = MapFlags::SHARED;
        // SAFETY: no address is asked for, so no existing mapping changes.
        let address = unsafe {
            mmap(ptr::null_mut(), len, protection.map_flags(), flags, &self.descriptor, part.start as u64)?
        };
        Ok(Mapping { address: address.addr(), len })
    }

    /// Replaces whatever is mapped at `address` by the pages `part`, in one step.
    ///
    /// # Safety
    ///
    /// The whole range must belong to the caller, with no reference into it.
    pub(crate) unsafe fn map_over(
        &self,
        address: usize,
        part: Range<usize>,
        protection: Protection,
    ) -> Result<(), PagesError> {
        let len = self.check_part(&part)?;
        let place = ptr::with_exposed_provenance_mut(address);
        let flags = MapFlags::SHARED | MapFlags::FIXED;
        // SAFETY: the caller owns the range.
        unsafe { mmap(place, len, protection.map_flags(), flags, &self.descriptor, part.start as u64)? };
        Ok(())
    }

    /// Fills the memory from its start with the `len` bytes at `source`.
    ///
    /// # Safety
    ///
    /// The bytes must be readable and nobody may write them meanwhile.
    pub(crate) unsafe fn fill_from(&self, source: usize, len: usize) -> Result<(), PagesError> {
        // SAFETY: promised by the caller.
        let bytes = unsafe { std::slice::from_raw_parts(ptr::with_exposed_provenance::<u8>(source), len) };
        let mut done = 0;
        while done < len {
            match pwrite(&self.descriptor, &bytes[done..], done as u64) {
                Ok(0) => return Err(PagesError::NoMemory),
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn check_part(&self, part: &Range<usize>) -> Result<usize, PagesError> {
        let len = part.end.checked_sub(part.start).ok_or(PagesError::OutOfRange)?;
        check_range(part.start, len, self.len)?;
        Ok(len)
    }
}

impl AsFd for SharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl From<SharedMemory> for OwnedFd {
    fn from(memory: SharedMemory) -> Self {
        memory.descriptor
    }
}

/// A view of [`SharedMemory`]; dropping it unmaps the pages.
#[derive(Debug)]
pub struct Mapping {
    address: usize,
    len: usize,
}

impl Mapping {
    /// Where the view starts.
    pub fn address(&self) -> usize {
        self.address
    }

    /// Its length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The view's start as a pointer, for the checked accessors of the rooms that read shared memory.
    pub fn as_ptr(&self) -> *mut u8 {
        ptr::with_exposed_provenance_mut(self.address)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by this value and belongs to it alone.
        let result = unsafe { munmap(ptr::with_exposed_provenance_mut(self.address), self.len) };
        debug_assert!(result.is_ok(), "{result:?}");
    }
}
