//! Direct I/O's bytes: the application's own memory, locked, behind an MDL.

use core::ptr;

use abi::{
    FALSE, KernelMode, MDL, MDL_MAPPED_TO_SYSTEM_VA, MDL_SOURCE_IS_NONPAGED_POOL, MdlMappingNoExecute,
    MmCached, NTSTATUS, NormalPagePriority, STATUS_INSUFFICIENT_RESOURCES,
};

use crate::Output;
use crate::bytes::Bytes;
use crate::irp::Irp;
use crate::nt::MmMapLockedPagesSpecifyCache;

/// `MmGetSystemAddressForMdlSafe`, which the headers inline.
///
/// # Safety
///
/// `mdl` describes locked pages.
pub(crate) unsafe fn system_address(mdl: *mut MDL) -> Result<*mut u8, NTSTATUS> {
    // SAFETY: a valid MDL.
    let MDL { MdlFlags: flags, MappedSystemVa: mapped, .. } = unsafe { *mdl };
    if flags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL) != 0 {
        return Ok(mapped.cast());
    }
    let priority = NormalPagePriority.cast_unsigned() | MdlMappingNoExecute;
    // SAFETY: the pages are locked; KernelMode does not raise.
    let mapped = unsafe {
        MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, ptr::null_mut(), u32::from(FALSE), priority)
    };
    if mapped.is_null() { Err(STATUS_INSUFFICIENT_RESOURCES) } else { Ok(mapped.cast()) }
}

/// The bytes of a request's MDL, `length` of them.
pub(crate) fn bytes(irp: &Irp, length: usize) -> Result<*mut u8, NTSTATUS> {
    // SAFETY: the MDL of a direct request; its pages are locked until the request is completed.
    unsafe { bytes_of(irp.mdl(), length) }
}

/// # Safety
///
/// `mdl` is null, or its pages are locked.
unsafe fn bytes_of(mdl: *mut MDL, length: usize) -> Result<*mut u8, NTSTATUS> {
    // NT makes no MDL for a buffer of no bytes.
    if length == 0 || mdl.is_null() {
        return Ok(ptr::null_mut());
    }
    // SAFETY: the caller's contract.
    unsafe { system_address(mdl) }
}

/// A writer over the locked memory of a request.
pub(crate) fn output<'a>(irp: &Irp, length: usize, written: &'a mut usize) -> Result<Output<'a>, NTSTATUS> {
    let address = bytes(irp, length)?;
    // SAFETY: null, or `length` locked bytes. What the application writes there meanwhile, the writer never reads.
    Ok(unsafe { Output::new(address, length, written) })
}

/// The locked memory of a request, to read from.
pub(crate) fn data(irp: &Irp, length: usize) -> Result<LockedData<'_>, NTSTATUS> {
    // SAFETY: as in `bytes`.
    unsafe { data_of(irp.mdl(), length) }
}

/// The locked memory of an MDL, to read from.
///
/// # Safety
///
/// `mdl` is null, or its pages, `length` bytes of them, are locked for `'a`.
pub(crate) unsafe fn data_of<'a>(mdl: *mut MDL, length: usize) -> Result<LockedData<'a>, NTSTATUS> {
    // SAFETY: the caller's contract.
    let address = unsafe { bytes_of(mdl, length) }?;
    // SAFETY: as the caller says; it is not written to.
    Ok(LockedData { bytes: unsafe { Bytes::new(address, length) } })
}

/// The application's memory, locked for the request, without a copy of it. The application can change it at any time, so
/// this gives copies of bytes and never a slice: look at a byte twice only in your copy.
pub struct LockedData<'a> {
    bytes: Bytes<'a>,
}

impl LockedData<'_> {
    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// # Safety
    ///
    /// `count` bytes at `target` can be written, and nobody has a reference to them.
    pub(crate) unsafe fn copy_to(&self, offset: usize, target: *mut u8, count: usize) -> usize {
        // SAFETY: the caller's contract.
        unsafe { self.bytes.copy_to(offset, target, count) }
    }

    /// Fills the front of `target` with the bytes from `offset` on, as many as there are; returns how many these were.
    pub fn read(&self, offset: usize, target: &mut [u8]) -> usize {
        self.bytes.read(offset, target)
    }
}
