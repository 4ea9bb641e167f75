//! Sections: memory with a handle, and perhaps a name, that applications and drivers map.

use core::ffi::c_void;
use core::mem::offset_of;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use abi::{
    HANDLE, KernelMode, LARGE_INTEGER, NTSTATUS, OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE, OBJ_OPENIF,
    OBJECT_ATTRIBUTES, OBJECT_TYPE, PAGE_READONLY, PAGE_READWRITE, SEC_COMMIT, SECTION_MAP_READ,
    SECTION_MAP_WRITE, SECTION_QUERY, STATUS_INVALID_PARAMETER, STATUS_NOT_IMPLEMENTED,
    STATUS_OBJECT_NAME_EXISTS, UserMode, ViewUnmap,
};

use crate::bytes::Bytes;
use crate::nt::{
    MmGetSystemRoutineAddress, MmMapViewInSystemSpace, MmUnmapViewInSystemSpace, ObOpenObjectByPointer,
    ObReferenceObjectByHandle, ObfDereferenceObject, ZwClose, ZwCreateSection, ZwMapViewOfSection,
    ZwOpenSection, ZwQuerySection, ZwUnmapViewOfSection,
};
use crate::{PassiveLevel, UnicodeStr, utf16};

/// What a driver does with a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionAccess {
    /// It reads.
    Read,
    /// It reads and writes.
    ReadWrite,
}

impl SectionAccess {
    fn mask(self) -> u32 {
        let write = if self == Self::ReadWrite { SECTION_MAP_WRITE } else { 0 };
        SECTION_QUERY | SECTION_MAP_READ | write
    }

    fn protection(self) -> u32 {
        if self == Self::ReadWrite { PAGE_READWRITE } else { PAGE_READONLY }
    }
}

/// A section of pages of its own. Its name, if it has one, lasts as long as somebody has it open; its views last longer.
///
/// Sections of files are refused: reading them may raise, when the file cannot be read. So are reserved ones, whose pages may be
/// missing.
pub struct Section {
    /// A kernel handle.
    handle: HANDLE,
    /// The object, referenced.
    object: NonNull<c_void>,
    access: SectionAccess,
}

// SAFETY: a kernel handle and an object may be used in any thread.
unsafe impl Send for Section {}
// SAFETY: as above.
unsafe impl Sync for Section {}

/// As NTIFS.H has it.
#[repr(C)]
struct BasicInformation {
    base_address: *mut c_void,
    allocation_attributes: u32,
    maximum_size: i64,
}

const SECTION_BASIC_INFORMATION: i32 = 0;
const _: () = assert!(offset_of!(BasicInformation, maximum_size) == 16);

#[expect(clippy::cast_possible_truncation, reason = "48")]
pub(crate) const ATTRIBUTES_LENGTH: u32 = size_of::<OBJECT_ATTRIBUTES>() as u32;

/// `ZwCurrentProcess()`.
fn current_process() -> HANDLE {
    ptr::without_provenance_mut(usize::MAX)
}

/// `*MmSectionObjectType`. By name, since a driver that is compiled into a test has no variables of a machine to import.
fn section_type() -> Result<*mut OBJECT_TYPE, NTSTATUS> {
    // SAFETY: a valid name; at PASSIVE_LEVEL, as all callers are.
    let variable = unsafe { MmGetSystemRoutineAddress(utf16!("MmSectionObjectType").as_raw()) };
    if variable.is_null() {
        return Err(STATUS_NOT_IMPLEMENTED);
    }
    // SAFETY: the kernel's variable, which never changes.
    Ok(unsafe { variable.cast::<*mut OBJECT_TYPE>().read() })
}

impl Section {
    /// A section of `size` bytes of zeroes. One with a `name` (`\BaseNamedObjects\…`, which applications call `Global\…`) is opened
    /// if it exists, which the second value tells; then its size is its maker's. Who else may open a new one is what the default of the
    /// process says, in whose context this runs: made in a request of an application, it is that user's.
    ///
    /// # Errors
    ///
    /// STATUS_INVALID_PARAMETER for no bytes, and for a section of that name that has other pages than its own;
    /// STATUS_SECTION_TOO_BIG; STATUS_OBJECT_TYPE_MISMATCH when the name is something else's; what NT says of the name.
    pub fn create(
        _level: PassiveLevel,
        name: Option<UnicodeStr<'_>>,
        size: u64,
        access: SectionAccess,
    ) -> Result<(Self, bool), NTSTATUS> {
        let size = i64::try_from(size).map_err(|_| STATUS_INVALID_PARAMETER)?;
        if size == 0 {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let mut attributes = attributes(name.as_ref());
        let mut size: LARGE_INTEGER = size;
        let mut handle = ptr::null_mut();
        // SAFETY: valid for the call, which does not change the name.
        let status = unsafe {
            ZwCreateSection(
                &raw mut handle,
                access.mask(),
                &raw mut attributes,
                &raw mut size,
                PAGE_READWRITE,
                SEC_COMMIT,
                ptr::null_mut(),
            )
        };
        if !status.is_success() {
            return Err(status);
        }
        Ok((Self::of_kernel_handle(handle, access)?, status == STATUS_OBJECT_NAME_EXISTS))
    }

    /// Opens the section of this name. The rights of kernel mode are not checked.
    ///
    /// # Errors
    ///
    /// STATUS_OBJECT_NAME_NOT_FOUND; STATUS_OBJECT_TYPE_MISMATCH; STATUS_INVALID_PARAMETER for a section that has other pages than its
    /// own.
    pub fn open(_level: PassiveLevel, name: UnicodeStr<'_>, access: SectionAccess) -> Result<Self, NTSTATUS> {
        let mut attributes = attributes(Some(&name));
        attributes.Attributes &= !OBJ_OPENIF;
        let mut handle = ptr::null_mut();
        // SAFETY: as in `create`.
        let status = unsafe { ZwOpenSection(&raw mut handle, access.mask(), &raw mut attributes) };
        if status.is_success() { Self::of_kernel_handle(handle, access) } else { Err(status) }
    }

    /// The section of a handle that the application has sent, in whose request this must run. What the application may do by it, the
    /// driver may.
    ///
    /// # Errors
    ///
    /// STATUS_INVALID_HANDLE; STATUS_OBJECT_TYPE_MISMATCH; STATUS_ACCESS_DENIED; STATUS_INVALID_PARAMETER for a section that has other pages than its
    /// own.
    pub fn of_application(
        _level: PassiveLevel,
        handle: u64,
        access: SectionAccess,
    ) -> Result<Self, NTSTATUS> {
        let handle = usize::try_from(handle).map_err(|_| STATUS_INVALID_PARAMETER)?;
        let object_type = section_type()?;
        // SAFETY: an object of the type is asked for; the handle is checked as an application's.
        let object =
            unsafe { reference(ptr::without_provenance_mut(handle), access, object_type, UserMode)? };
        let mut own = ptr::null_mut();
        // SAFETY: referenced above.
        let status = unsafe {
            ObOpenObjectByPointer(
                object.as_ptr(),
                OBJ_KERNEL_HANDLE,
                ptr::null_mut(),
                access.mask(),
                object_type,
                KernelMode,
                &raw mut own,
            )
        };
        if !status.is_success() {
            // SAFETY: referenced above, and not used again.
            unsafe { ObfDereferenceObject(object.as_ptr()) };
            return Err(status);
        }
        Self { handle: own, object, access }.checked()
    }

    fn of_kernel_handle(handle: HANDLE, access: SectionAccess) -> Result<Self, NTSTATUS> {
        // SAFETY: a handle that the kernel has just given.
        let referenced = section_type()
            .and_then(|object_type| unsafe { reference(handle, access, object_type, KernelMode) });
        match referenced {
            Ok(object) => Self { handle, object, access }.checked(),
            Err(status) => {
                // SAFETY: given by the kernel, and closed once.
                let _closed = unsafe { ZwClose(handle) };
                Err(status)
            }
        }
    }

    /// Whether views of it cannot raise.
    fn checked(self) -> Result<Self, NTSTATUS> {
        let plain = self.query()?.allocation_attributes == SEC_COMMIT;
        if plain { Ok(self) } else { Err(STATUS_INVALID_PARAMETER) }
    }

    pub(crate) fn as_raw_handle(&self) -> HANDLE {
        self.handle
    }

    fn query(&self) -> Result<BasicInformation, NTSTATUS> {
        let mut information =
            BasicInformation { base_address: ptr::null_mut(), allocation_attributes: 0, maximum_size: 0 };
        let place = (&raw mut information).cast();
        let length = size_of::<BasicInformation>();
        // SAFETY: room for what is asked for.
        let status =
            unsafe { ZwQuerySection(self.handle, SECTION_BASIC_INFORMATION, place, length, ptr::null_mut()) };
        if status.is_success() { Ok(information) } else { Err(status) }
    }

    /// Its bytes, whole pages.
    ///
    /// # Errors
    ///
    /// What ZwQuerySection says.
    pub fn size(&self, _level: PassiveLevel) -> Result<u64, NTSTATUS> {
        Ok(self.query()?.maximum_size.unsigned_abs())
    }

    /// Shows its first `length` bytes to the driver, in whatever context (`MmMapViewInSystemSpace`); all for 0.
    ///
    /// # Errors
    ///
    /// STATUS_INVALID_VIEW_SIZE for more than it has; STATUS_SECTION_PROTECTION for writing to one that is only read;
    /// STATUS_NO_MEMORY.
    pub fn map(&self, _level: PassiveLevel, length: usize) -> Result<SystemView, NTSTATUS> {
        if self.access == SectionAccess::ReadWrite {
            self.check_writable()?;
        }
        let (mut base, mut size) = (ptr::null_mut(), length);
        // SAFETY: a referenced section.
        let status = unsafe { MmMapViewInSystemSpace(self.object.as_ptr(), &raw mut base, &raw mut size) };
        match NonNull::new(base) {
            Some(base) if status.is_success() => Ok(SystemView { base, size, access: self.access }),
            _ => Err(if status.is_success() { STATUS_INVALID_PARAMETER } else { status }),
        }
    }

    /// In system space a section that is only read would be mapped for reading without a word, and writing stop the machine. A view in
    /// a process is refused.
    fn check_writable(&self) -> Result<(), NTSTATUS> {
        let (mut base, mut size) = (ptr::null_mut(), 1);
        // SAFETY: a view in the current process, which nobody uses.
        let status = unsafe {
            ZwMapViewOfSection(
                self.handle,
                current_process(),
                &raw mut base,
                0,
                0,
                ptr::null_mut(),
                &raw mut size,
                ViewUnmap,
                0,
                self.access.protection(),
            )
        };
        if !status.is_success() {
            return Err(status);
        }
        // SAFETY: mapped above, in the same process.
        let _unmapped = unsafe { ZwUnmapViewOfSection(current_process(), base) };
        Ok(())
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        // SAFETY: the section's own handle, closed once.
        let _closed = unsafe { ZwClose(self.handle) };
        // SAFETY: the section's own reference.
        unsafe { ObfDereferenceObject(self.object.as_ptr()) };
    }
}

fn attributes(name: Option<&UnicodeStr<'_>>) -> OBJECT_ATTRIBUTES {
    OBJECT_ATTRIBUTES {
        Length: ATTRIBUTES_LENGTH,
        RootDirectory: ptr::null_mut(),
        ObjectName: name.map_or(ptr::null_mut(), |name| name.as_raw().cast_mut()),
        Attributes: OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE | OBJ_OPENIF,
        SecurityDescriptor: ptr::null_mut(),
        SecurityQualityOfService: ptr::null_mut(),
    }
}

/// # Safety
///
/// In kernel mode a handle of the kernel's; `object_type` is an object type.
unsafe fn reference(
    handle: HANDLE,
    access: SectionAccess,
    object_type: *mut OBJECT_TYPE,
    mode: abi::KPROCESSOR_MODE,
) -> Result<NonNull<c_void>, NTSTATUS> {
    let mut object = ptr::null_mut();
    // A handle of an application's need not let it be queried.
    let wanted = access.mask() & !SECTION_QUERY;
    // SAFETY: the caller's contract.
    let status = unsafe {
        ObReferenceObjectByHandle(handle, wanted, object_type, mode, &raw mut object, ptr::null_mut())
    };
    match NonNull::new(object) {
        Some(object) if status.is_success() => Ok(object),
        _ => Err(if status.is_success() { STATUS_INVALID_PARAMETER } else { status }),
    }
}

/// A view of a [`Section`] in system space; dropping it ends the view. It is the driver's in every context, and is to be gone when the
/// driver is unloaded.
///
/// Whoever else has a view may change the bytes at any time, so this gives copies and never a reference: look at a byte twice only in
/// your copy. IRQL of reads and writes: up to APC_LEVEL, since the pages may be paged out; of dropping: PASSIVE_LEVEL.
pub struct SystemView {
    base: NonNull<c_void>,
    size: usize,
    access: SectionAccess,
}

// SAFETY: system space is the same in all threads, and what lies there is only copied.
unsafe impl Send for SystemView {}
// SAFETY: as above.
unsafe impl Sync for SystemView {}

impl SystemView {
    /// Bytes, whole pages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.size
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    fn bytes(&self) -> Bytes<'_> {
        // SAFETY: mapped as long as `self`; written to only where `writable` says so, and there is no reference to them.
        unsafe { Bytes::new(self.base.as_ptr().cast(), self.size) }
    }

    fn writable(&self) -> bool {
        self.access == SectionAccess::ReadWrite
    }

    /// Fills the front of `target` with the bytes from `offset` on, as many as there are; returns how many these were.
    pub fn read(&self, offset: usize, target: &mut [u8]) -> usize {
        self.bytes().read(offset, target)
    }

    /// Replaces the bytes from `offset` on with those of `source`, as many as there are; returns how many these were: none of a view
    /// that is only read.
    pub fn write(&self, offset: usize, source: &[u8]) -> usize {
        if self.writable() { self.bytes().write(offset, source) } else { 0 }
    }

    /// Replaces each of `length` bytes from `offset` on, as many as there are, by what `change` makes of it; none of a view that is only
    /// read.
    pub fn change(&self, offset: usize, length: usize, change: impl FnMut(u8) -> u8) {
        let count = length.min(self.size.saturating_sub(offset));
        if count == 0 || !self.writable() {
            return;
        }
        // SAFETY: `count` bytes from `offset` on are in the view.
        unsafe { Bytes::new(self.base.as_ptr().cast::<u8>().wrapping_add(offset), count) }.change(change);
    }

    fn place<T>(&self, offset: usize) -> Option<NonNull<T>> {
        let end = offset.checked_add(size_of::<T>())?;
        if end > self.size || !offset.is_multiple_of(size_of::<T>()) {
            return None;
        }
        NonNull::new(self.base.as_ptr().wrapping_byte_add(offset).cast())
    }

    fn u32_at(&self, offset: usize) -> Option<&AtomicU32> {
        // SAFETY: in the view, aligned; all others access it by machine instructions, as atomics do.
        self.place(offset).map(|place| unsafe { AtomicU32::from_ptr(place.as_ptr()) })
    }

    fn u64_at(&self, offset: usize) -> Option<&AtomicU64> {
        // SAFETY: as in `u32_at`.
        self.place(offset).map(|place| unsafe { AtomicU64::from_ptr(place.as_ptr()) })
    }

    /// The number at `offset`, read at once: what was written before it is seen after it. `None` when it is not all inside, or not at a
    /// multiple of its size.
    #[must_use]
    pub fn load_u32(&self, offset: usize) -> Option<u32> {
        self.u32_at(offset).map(|number| number.load(Ordering::Acquire))
    }

    /// Replaces the number at `offset` at once: whoever sees it sees what was written before it. `None` as for
    /// [`load_u32`](Self::load_u32), and for a view that is only read.
    pub fn store_u32(&self, offset: usize, value: u32) -> Option<()> {
        let number = self.u32_at(offset).filter(|_| self.writable())?;
        number.store(value, Ordering::Release);
        Some(())
    }

    /// As [`load_u32`](Self::load_u32).
    #[must_use]
    pub fn load_u64(&self, offset: usize) -> Option<u64> {
        self.u64_at(offset).map(|number| number.load(Ordering::Acquire))
    }

    /// As [`store_u32`](Self::store_u32).
    pub fn store_u64(&self, offset: usize, value: u64) -> Option<()> {
        let number = self.u64_at(offset).filter(|_| self.writable())?;
        number.store(value, Ordering::Release);
        Some(())
    }
}

impl Drop for SystemView {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, and unmapped once.
        let _unmapped = unsafe { MmUnmapViewInSystemSpace(self.base.as_ptr()) };
    }
}
