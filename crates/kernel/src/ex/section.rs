//! Section objects: pages that handles and names stand for, and their views. What the pages are is `mm`'s; those of a file come
//! from `io`.

use std::any::Any;
use std::sync::Arc;

use abi::NTSTATUS;

use crate::Kernel;
use crate::mm::{GRANULARITY, PoolOwner, SegmentUse};
use crate::ob::{self, Name, Object, ObjectBody, ObjectType};
use crate::ps::Process;

/// Tag of section objects.
const TAG: u32 = u32::from_le_bytes(*b"Sect");
/// Bytes of a section object; its layout is not public.
const SIZE: usize = 0x40;
const PAGE: u64 = platform::pages::PAGE_SIZE as u64;
const ROUNDED: u64 = !(GRANULARITY as u64 - 1);

/// What a section object stands for.
#[derive(Debug)]
pub struct Section {
    segment: SegmentUse,
    /// Bytes: whole pages, but of a file as many as were asked for, which may be less than its segment has.
    size: u64,
    /// PAGE_READONLY or PAGE_READWRITE.
    protection: u32,
    /// SEC_COMMIT or SEC_RESERVE.
    attributes: u32,
}

impl ObjectBody for Section {
    fn object_type(&self) -> ObjectType {
        let read = abi::STANDARD_RIGHTS_READ | abi::SECTION_QUERY | abi::SECTION_MAP_READ;
        let write = abi::STANDARD_RIGHTS_READ | abi::SECTION_MAP_WRITE;
        let execute = abi::STANDARD_RIGHTS_READ | abi::SECTION_MAP_EXECUTE;
        let all = abi::SECTION_ALL_ACCESS;
        ObjectType { name: "Section", parses: false, generic_mapping: [read, write, execute, all] }
    }

    fn delete(&self, kernel: &Kernel, object: &Object) {
        // What a driver did to it is reported with its own blocks.
        let _freed_by_driver = kernel.mm.pool.free(object.address);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Section {
    /// Its pages.
    #[must_use]
    pub fn segment(&self) -> &SegmentUse {
        &self.segment
    }

    /// Its bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// SEC_COMMIT or SEC_RESERVE, as it was made.
    #[must_use]
    pub fn attributes(&self) -> u32 {
        self.attributes
    }

    /// Whether its views may be written to.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.protection == abi::PAGE_READWRITE
    }
}

/// What `ZwCreateSection` is asked for, apart from the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionRequest {
    /// Bytes; 0 for as many as the file has.
    pub size: u64,
    /// PAGE_*.
    pub protection: u32,
    /// SEC_*.
    pub attributes: u32,
}

impl SectionRequest {
    /// Whether such a section can be made.
    ///
    /// # Errors
    /// `STATUS_INVALID_PAGE_PROTECTION` for what is no protection of a section; `STATUS_INVALID_PARAMETER_6` without SEC_COMMIT and
    /// SEC_RESERVE; `STATUS_NOT_IMPLEMENTED` for executable and copy-on-write pages, images, large pages and pages that are not
    /// cached.
    pub(crate) fn check(&self) -> Result<(), NTSTATUS> {
        check_protection(self.protection)?;
        match self.attributes {
            abi::SEC_COMMIT | abi::SEC_RESERVE => Ok(()),
            attributes if attributes & (abi::SEC_COMMIT | abi::SEC_RESERVE) == 0 => {
                Err(abi::STATUS_INVALID_PARAMETER_6)
            }
            _ => Err(abi::STATUS_NOT_IMPLEMENTED),
        }
    }
}

fn check_protection(protection: u32) -> Result<(), NTSTATUS> {
    match protection {
        abi::PAGE_READONLY | abi::PAGE_READWRITE => Ok(()),
        abi::PAGE_WRITECOPY
        | abi::PAGE_EXECUTE
        | abi::PAGE_EXECUTE_READ
        | abi::PAGE_EXECUTE_READWRITE
        | abi::PAGE_EXECUTE_WRITECOPY => Err(abi::STATUS_NOT_IMPLEMENTED),
        _ => Err(abi::STATUS_INVALID_PAGE_PROTECTION),
    }
}

/// A section over the first `size` bytes of `segment`, with its maker's reference.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`.
pub fn section_object(
    kernel: &Kernel,
    segment: SegmentUse,
    size: u64,
    request: SectionRequest,
) -> Result<Arc<Object>, NTSTATUS> {
    let block = kernel.mm.pool.allocate_zeroed(SIZE, TAG, PoolOwner::default());
    let address = block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?.address;
    let SectionRequest { protection, attributes, .. } = request;
    let object = Object::new(address, Section { segment, size, protection, attributes });
    kernel.ob.remember(&object);
    Ok(object)
}

/// `NtOpenSection`: a handle of `process` to the section of a name. PASSIVE_LEVEL.
///
/// # Errors
/// As for [`ob::open_named`].
pub fn open_section(kernel: &Kernel, process: &Process, name: Name<'_>) -> Result<u32, NTSTATUS> {
    ob::open_named(kernel, process, "Section", name)
}

/// What `ZwMapViewOfSection` is asked for, and what it gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Where it begins; asked for: 0 for anywhere, else rounded down to 64 KiB.
    pub base: u64,
    /// Offset in the section in bytes, rounded down to 64 KiB.
    pub offset: u64,
    /// Bytes; asked for: 0 for all up to the section's end. Rounded up to pages.
    pub size: u64,
}

/// `ZwMapViewOfSection`: shows a part of a section to a process. `granted` is what the section's handle may; `protection` PAGE_READONLY
/// or PAGE_READWRITE. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_ACCESS_DENIED` for a handle without SECTION_MAP_READ, or SECTION_MAP_WRITE for PAGE_READWRITE; `STATUS_SECTION_PROTECTION`
/// for more than the section's own protection; `STATUS_INVALID_VIEW_SIZE` for what is not all in the section;
/// `STATUS_CONFLICTING_ADDRESSES`; `STATUS_INVALID_PAGE_PROTECTION`, `STATUS_NOT_IMPLEMENTED` as for sections;
/// `STATUS_PROCESS_IS_TERMINATING` for a process that has ended;
/// `STATUS_INSUFFICIENT_RESOURCES`.
///
/// Source: ddi, ZwMapViewOfSection.
pub fn map_view(
    section: &Section,
    granted: u32,
    process: &Process,
    asked: View,
    protection: u32,
) -> Result<View, NTSTATUS> {
    check_protection(protection)?;
    let writable = protection == abi::PAGE_READWRITE;
    let needed = if writable { abi::SECTION_MAP_WRITE } else { abi::SECTION_MAP_READ };
    if granted & needed == 0 {
        return Err(abi::STATUS_ACCESS_DENIED);
    }
    if writable && !section.is_writable() {
        return Err(abi::STATUS_SECTION_PROTECTION);
    }
    let (offset, base) = (asked.offset & ROUNDED, asked.base & ROUNDED);
    if base == 0 && asked.base != 0 {
        return Err(abi::STATUS_CONFLICTING_ADDRESSES);
    }
    let end = section.size;
    let size = match asked.size {
        0 => end.checked_sub(offset).filter(|left| *left != 0),
        // What lies before the offset, before it was rounded, is asked for besides.
        size => offset.checked_add(size).filter(|stop| *stop <= end.next_multiple_of(PAGE)).map(|_| size),
    };
    let size = size.ok_or(abi::STATUS_INVALID_VIEW_SIZE)?.next_multiple_of(PAGE);
    let base = process.user_space.map_segment(&section.segment, offset, size, writable, base)?;
    Ok(View { base, offset, size })
}

/// `NtMapViewOfSection` of an application, for itself, by a handle of its own. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_HANDLE`, `STATUS_OBJECT_TYPE_MISMATCH`; as for [`map_view`].
pub fn map_view_of_section(
    kernel: &Kernel,
    process: &Process,
    handle: u32,
    asked: View,
    protection: u32,
) -> Result<View, NTSTATUS> {
    let granted = process.handles.get(handle).ok_or(abi::STATUS_INVALID_HANDLE)?.granted;
    let object = ob::reference_own(process, handle, Some("Section"), 0)?;
    let mapped = match object.body::<Section>() {
        Some(section) => map_view(section, granted, process, asked, protection),
        None => Err(abi::STATUS_OBJECT_TYPE_MISMATCH),
    };
    object.dereference(kernel);
    mapped
}

/// `MmMapViewInSystemSpace`: shows the first `size` bytes of a section to the kernel, all of it for 0; returns where, and how many
/// bytes. It is `owner`'s to unmap. IRQL <= APC_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_VIEW_SIZE`, `STATUS_NO_MEMORY`.
///
/// Source: ddi, MmMapViewInSystemSpace.
pub fn map_view_in_system_space(
    kernel: &Kernel,
    section: &Section,
    size: u64,
    owner: PoolOwner,
) -> Result<(u64, u64), NTSTATUS> {
    let end = section.size.next_multiple_of(PAGE);
    let size = match size {
        0 => end,
        size => size
            .checked_next_multiple_of(PAGE)
            .filter(|size| *size <= end)
            .ok_or(abi::STATUS_INVALID_VIEW_SIZE)?,
    };
    let address = kernel.mm.map_in_system_space(&section.segment, size, section.is_writable(), owner)?;
    Ok((address, size))
}
