//! MDLs of a driver's own: over non-paged pool, over a part of that, and over pages without an address.

use core::cmp::min;
use core::marker::PhantomData;
use core::ops::Range;
use core::ptr::{self, NonNull};
use core::slice;

use abi::{
    FALSE, MDL, MDL_MAPPED_TO_SYSTEM_VA, MDL_PARTIAL_HAS_BEEN_MAPPED, MmCached, NTSTATUS,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER,
};

use crate::locked::system_address;
use crate::nt::{
    ExFreePoolWithTag, IoAllocateMdl, IoBuildPartialMdl, IoFreeMdl, MmAllocatePagesForMdlEx,
    MmBuildMdlForNonPagedPool, MmFreePagesFromMdl, MmUnmapLockedPages,
};
use crate::paged::expect_pageable;
use crate::{PassiveLevel, PoolBox};

/// An MDL that `IoAllocateMdl` made, for as long as this lives.
struct Allocated(NonNull<MDL>);

impl Allocated {
    /// # Safety
    ///
    /// The MDL is not used after the memory at `address` has gone.
    unsafe fn new(address: *mut u8, length: usize) -> Result<Self, NTSTATUS> {
        let length = u32::try_from(length).map_err(|_| STATUS_INVALID_PARAMETER)?;
        // SAFETY: no IRP; the caller's contract.
        let mdl = unsafe { IoAllocateMdl(address.cast(), length, FALSE, FALSE, ptr::null_mut()) };
        NonNull::new(mdl).map(Self).ok_or(STATUS_INSUFFICIENT_RESOURCES)
    }

    fn read(&self) -> MDL {
        // SAFETY: a live MDL, which only its owner changes.
        unsafe { *self.0.as_ptr() }
    }
}

impl Drop for Allocated {
    fn drop(&mut self) {
        // SAFETY: of `new`, and used no more.
        unsafe { IoFreeMdl(self.0.as_ptr()) };
    }
}

/// A buffer in non-paged pool with the MDL that describes it. IRQL of all uses: up to DISPATCH_LEVEL.
pub struct Mdl {
    // First: it goes before what it describes.
    mdl: Allocated,
    buffer: PoolBox<[u8]>,
}

// SAFETY: the MDL is this one's alone, and known by its address.
unsafe impl Send for Mdl {}
// SAFETY: as above; nothing changes it through a shared reference.
unsafe impl Sync for Mdl {}

impl Mdl {
    /// Describes `buffer`, by `IoAllocateMdl` and `MmBuildMdlForNonPagedPool`.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES; STATUS_INVALID_PARAMETER for an empty buffer, and for one of 4 GiB and more. The buffer
    /// is dropped.
    pub fn new(buffer: PoolBox<[u8]>) -> Result<Self, NTSTATUS> {
        if buffer.is_empty() {
            return Err(STATUS_INVALID_PARAMETER);
        }
        // SAFETY: the MDL goes before the buffer.
        let mdl = unsafe { Allocated::new(buffer.as_raw().cast(), buffer.len()) }?;
        // SAFETY: a fresh MDL for non-paged pool.
        unsafe { MmBuildMdlForNonPagedPool(mdl.0.as_ptr()) };
        Ok(Self { mdl, buffer })
    }

    /// `MmGetMdlByteCount`.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.mdl.read().ByteCount as usize
    }

    /// `MmGetMdlByteOffset`: where in its first page the buffer begins.
    #[must_use]
    pub fn byte_offset(&self) -> usize {
        self.mdl.read().ByteOffset as usize
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// The bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// An MDL for the bytes of `range`, by `IoBuildPartialMdl`.
    ///
    /// # Errors
    ///
    /// STATUS_INVALID_PARAMETER when the range is empty, or no part of the buffer; STATUS_INSUFFICIENT_RESOURCES.
    pub fn partial(&self, range: Range<usize>) -> Result<PartialMdl<'_>, NTSTATUS> {
        let part = self.buffer.get(range).filter(|part| !part.is_empty()).ok_or(STATUS_INVALID_PARAMETER)?;
        let (address, length) = (part.as_ptr().cast_mut(), part.len());
        // SAFETY: the part's borrow outlives it.
        let mdl = unsafe { Allocated::new(address, length) }?;
        // Fits: a part of what an MDL describes.
        let length = u32::try_from(length).map_err(|_| STATUS_INVALID_PARAMETER)?;
        // SAFETY: a part of what the source describes, and a target that was allocated for it.
        unsafe { IoBuildPartialMdl(self.mdl.0.as_ptr(), mdl.0.as_ptr(), address.cast(), length) };
        Ok(PartialMdl { mdl, whole: PhantomData })
    }

    /// The buffer, without its MDL.
    #[must_use]
    pub fn into_buffer(self) -> PoolBox<[u8]> {
        self.buffer
    }
}

/// An MDL for a part of a [`Mdl`]'s buffer.
pub struct PartialMdl<'a> {
    mdl: Allocated,
    whole: PhantomData<&'a Mdl>,
}

impl PartialMdl<'_> {
    /// `MmGetMdlByteCount`.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.mdl.read().ByteCount as usize
    }

    /// `MmGetMdlByteOffset`.
    #[must_use]
    pub fn byte_offset(&self) -> usize {
        self.mdl.read().ByteOffset as usize
    }

    /// The bytes, at the part's own system address (`MmGetSystemAddressForMdlSafe`).
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES when they cannot be mapped.
    pub fn bytes(&self) -> Result<&[u8], NTSTATUS> {
        // SAFETY: a part of an MDL for non-paged pool, which is always locked.
        let address = unsafe { system_address(self.mdl.0.as_ptr()) }?;
        // SAFETY: as many bytes are mapped there, and initialised; the whole is borrowed, so nobody changes them.
        Ok(unsafe { slice::from_raw_parts(address, self.byte_count()) })
    }
}

impl Drop for PartialMdl<'_> {
    fn drop(&mut self) {
        // What MmPrepareMdlForReuse, which the headers inline, does before an MDL goes: a mapping of the part's own ends.
        let MDL { MdlFlags: flags, MappedSystemVa: mapped, .. } = self.mdl.read();
        if flags & MDL_PARTIAL_HAS_BEEN_MAPPED != 0 && flags & MDL_MAPPED_TO_SYSTEM_VA != 0 {
            // SAFETY: mapped by `bytes`, and borrowed no more.
            unsafe { MmUnmapLockedPages(mapped, self.mdl.0.as_ptr()) };
        }
    }
}

/// Pages of the driver's own with an MDL, by `MmAllocatePagesForMdlEx`, mapped: for large buffers, which need no contiguous
/// pool. The bytes may be used up to DISPATCH_LEVEL; allocating and freeing is for APC_LEVEL at most.
pub struct PagesMdl {
    mdl: NonNull<MDL>,
    address: NonNull<u8>,
    length: usize,
}

// SAFETY: the pages and their MDL are this one's alone, and mapped for every thread.
unsafe impl Send for PagesMdl {}
// SAFETY: as above; nothing changes them through a shared reference.
unsafe impl Sync for PagesMdl {}

impl PagesMdl {
    /// `length` bytes of 0, in pages.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES, also when there are fewer pages; STATUS_INVALID_PARAMETER for no bytes.
    pub fn zeroed(_level: PassiveLevel, length: usize) -> Result<Self, NTSTATUS> {
        expect_pageable("pages are allocated");
        if length == 0 {
            return Err(STATUS_INVALID_PARAMETER);
        }
        // SAFETY: any page will do; at this IRQL.
        let mdl = unsafe { MmAllocatePagesForMdlEx(0, i64::MAX, 0, length, MmCached, 0) };
        let mdl = NonNull::new(mdl).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        let mut pages = Self { mdl, address: NonNull::dangling(), length: 0 };
        // SAFETY: a live MDL.
        let described = unsafe { (*mdl.as_ptr()).ByteCount } as usize;
        if described < length {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        // SAFETY: its pages are locked.
        let address = unsafe { system_address(mdl.as_ptr()) }?;
        pages.address = NonNull::new(address).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        pages.length = min(described, length);
        Ok(pages)
    }

    /// `MmGetMdlByteCount`: the bytes of the pages, which may be more than were asked for.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        // SAFETY: a live MDL.
        unsafe { (*self.mdl.as_ptr()).ByteCount as usize }
    }

    /// The bytes that were asked for.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Their first one.
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.address.as_ptr()
    }

    pub(crate) fn as_mdl(&self) -> *mut MDL {
        self.mdl.as_ptr()
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: as many bytes are mapped there, zeroed when they were allocated.
        unsafe { slice::from_raw_parts(self.address.as_ptr(), self.length) }
    }

    /// The bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; they are this one's alone.
        unsafe { slice::from_raw_parts_mut(self.address.as_ptr(), self.length) }
    }
}

impl Drop for PagesMdl {
    fn drop(&mut self) {
        expect_pageable("pages are freed");
        let mdl = self.mdl.as_ptr();
        // SAFETY: a live MDL.
        let MDL { MdlFlags: flags, MappedSystemVa: mapped, .. } = unsafe { *mdl };
        if flags & MDL_MAPPED_TO_SYSTEM_VA != 0 {
            // SAFETY: mapped in `zeroed`, and borrowed no more.
            unsafe { MmUnmapLockedPages(mapped, mdl) };
        }
        // SAFETY: pages of `MmAllocatePagesForMdlEx`.
        unsafe { MmFreePagesFromMdl(mdl) };
        // SAFETY: its MDL is pool, and the driver's to free.
        unsafe { ExFreePoolWithTag(mdl.cast(), 0) };
    }
}
