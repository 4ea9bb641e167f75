//! MDLs of a driver's own: descriptions of its non-paged pool, whole or in part, as direct I/O has them of the application's
//! memory.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use abi::{FALSE, MDL, NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER};

use crate::PoolBox;
use crate::locked::system_address;
use crate::nt::{IoAllocateMdl, IoBuildPartialMdl, IoFreeMdl, MmBuildMdlForNonPagedPool};

/// A buffer in non-paged pool and the MDL that describes it. IRQL of all uses: up to DISPATCH_LEVEL.
pub struct Mdl {
    mdl: NonNull<MDL>,
    buffer: PoolBox<[u8]>,
}

// SAFETY: an MDL of non-paged pool may be used from any thread; it never changes.
unsafe impl Send for Mdl {}
// SAFETY: as above.
unsafe impl Sync for Mdl {}

fn allocate(address: *const u8, length: usize) -> Result<NonNull<MDL>, NTSTATUS> {
    let length = u32::try_from(length).map_err(|_| STATUS_INVALID_PARAMETER)?;
    // SAFETY: the address is not looked at.
    let mdl = unsafe { IoAllocateMdl(address.cast_mut().cast(), length, FALSE, FALSE, ptr::null_mut()) };
    NonNull::new(mdl).ok_or(STATUS_INSUFFICIENT_RESOURCES)
}

impl Mdl {
    /// Describes `buffer` (`IoAllocateMdl`, `MmBuildMdlForNonPagedPool`).
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES; STATUS_INVALID_PARAMETER for no bytes, and for 4 GiB and more.
    pub fn of(buffer: PoolBox<[u8]>) -> Result<Self, NTSTATUS> {
        if buffer.is_empty() {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let mdl = allocate(buffer.as_ptr(), buffer.len())?;
        // SAFETY: a new MDL of non-paged pool.
        unsafe { MmBuildMdlForNonPagedPool(mdl.as_ptr()) };
        Ok(Self { mdl, buffer })
    }

    /// The bytes that it describes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// The same, to change them.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// `MmGetMdlByteCount`.
    #[must_use]
    pub fn byte_count(&self) -> u32 {
        // SAFETY: a valid MDL.
        unsafe { (*self.mdl.as_ptr()).ByteCount }
    }

    /// `MmGetMdlByteOffset`: where in its first page it begins.
    #[must_use]
    pub fn byte_offset(&self) -> u32 {
        // SAFETY: a valid MDL.
        unsafe { (*self.mdl.as_ptr()).ByteOffset }
    }

    /// Describes `length` bytes of it from `start` on (`IoBuildPartialMdl`).
    ///
    /// # Errors
    ///
    /// STATUS_INVALID_PARAMETER for no bytes, and for such that are not all inside; STATUS_INSUFFICIENT_RESOURCES.
    pub fn part(&self, start: usize, length: usize) -> Result<PartialMdl<'_>, NTSTATUS> {
        let inside = start.checked_add(length).is_some_and(|end| end <= self.buffer.len());
        if length == 0 || !inside {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let address = self.buffer.as_ptr().wrapping_add(start);
        let mdl = allocate(address, length)?;
        let bytes = u32::try_from(length).map_err(|_| STATUS_INVALID_PARAMETER)?;
        // SAFETY: an MDL of a part of what the other describes, with room for its pages.
        unsafe {
            IoBuildPartialMdl(self.mdl.as_ptr(), mdl.as_ptr(), address.cast_mut().cast(), bytes);
        }
        Ok(PartialMdl { mdl, length, whole: PhantomData })
    }

    /// Frees the MDL (`IoFreeMdl`) and gives the buffer back.
    #[must_use]
    pub fn into_buffer(mut self) -> PoolBox<[u8]> {
        core::mem::take(&mut self.buffer)
    }

    /// For NT's functions.
    #[must_use]
    pub fn as_raw(&self) -> *mut MDL {
        self.mdl.as_ptr()
    }
}

impl Drop for Mdl {
    fn drop(&mut self) {
        // SAFETY: allocated here, and used no more.
        unsafe { IoFreeMdl(self.mdl.as_ptr()) };
    }
}

/// The description of a part of what an [`Mdl`] describes.
pub struct PartialMdl<'a> {
    mdl: NonNull<MDL>,
    length: usize,
    whole: PhantomData<&'a Mdl>,
}

impl PartialMdl<'_> {
    /// `MmGetMdlByteCount`.
    #[must_use]
    pub fn byte_count(&self) -> u32 {
        // SAFETY: a valid MDL.
        unsafe { (*self.mdl.as_ptr()).ByteCount }
    }

    /// The bytes, at the address that `MmGetSystemAddressForMdlSafe` gives.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES when they cannot be mapped.
    pub fn bytes(&self) -> Result<&[u8], NTSTATUS> {
        // SAFETY: a partial MDL of non-paged pool.
        let address = unsafe { system_address(self.mdl.as_ptr()) }?;
        // SAFETY: a part of a buffer that is borrowed as long as this is, so that nobody changes it.
        Ok(unsafe { core::slice::from_raw_parts(address, self.length) })
    }

    /// For NT's functions.
    #[must_use]
    pub fn as_raw(&self) -> *mut MDL {
        self.mdl.as_ptr()
    }
}

impl Drop for PartialMdl<'_> {
    fn drop(&mut self) {
        // SAFETY: allocated by `Mdl::part`, and used no more; freeing it unmaps it where it was mapped.
        unsafe { IoFreeMdl(self.mdl.as_ptr()) };
    }
}
