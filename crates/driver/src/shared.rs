//! Pages that a driver shares with applications: allocated by `MmAllocatePagesForMdlEx`, mapped for a process by
//! `MmMapLockedPagesSpecifyCache`.
//!
//! Whoever has them mapped writes there at any time, so this gives copies and numbers, never a slice. What the bytes mean, and that
//! the other side may lie, is the driver's to keep in mind; [`ring`](crate::ring) does.

use core::mem::ManuallyDrop;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use abi::{EPROCESS, MdlMappingNoWrite, NTSTATUS, NormalPagePriority, STATUS_CANCELLED};

use crate::mdl::PagesMdl;
use crate::nt::{IoGetCurrentProcess, MmUnmapLockedPages};
use crate::paged::expect_pageable;
use crate::{Event, PassiveLevel, PoolArc, Stop, Tag, Woken};

/// Pages for a driver and its applications. IRQL of reading and writing: up to DISPATCH_LEVEL.
pub struct SharedPages {
    pages: PagesMdl,
}

impl SharedPages {
    /// `length` bytes of 0, in pages that hold nothing else.
    ///
    /// # Errors
    ///
    /// As for [`PagesMdl::zeroed`].
    pub fn zeroed(level: PassiveLevel, tag: Tag, length: usize) -> Result<PoolArc<Self>, NTSTATUS> {
        let pages = PagesMdl::zeroed(level, length)?;
        PoolArc::new(tag, Self { pages })
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether there are none: never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `target` from the bytes at `start`.
    ///
    /// # Panics
    ///
    /// If they are not all inside.
    pub fn read(&self, start: usize, target: &mut [u8]) {
        let source = self.place::<u8>(start, target.len());
        // SAFETY: inside the pages; bytes are valid whatever is written meanwhile; `target` is the driver's own.
        unsafe { ptr::copy_nonoverlapping(source, target.as_mut_ptr(), target.len()) };
    }

    /// Overwrites the bytes at `start`.
    ///
    /// # Panics
    ///
    /// If they are not all inside.
    pub fn write(&self, start: usize, source: &[u8]) {
        let target = self.place::<u8>(start, source.len());
        // SAFETY: inside the pages, to which no reference is ever made; `source` is the driver's own.
        unsafe { ptr::copy_nonoverlapping(source.as_ptr(), target, source.len()) };
    }

    /// The number at `start`, a multiple of four, to be read and written at once.
    ///
    /// # Panics
    ///
    /// If it is not all inside, or not at a multiple of four.
    #[must_use]
    pub fn u32(&self, start: usize) -> &AtomicU32 {
        // SAFETY: inside the pages, which are there as long as `self`, and aligned.
        unsafe { AtomicU32::from_ptr(self.place(start, size_of::<u32>())) }
    }

    /// The number at `start`, a multiple of eight, to be read and written at once.
    ///
    /// # Panics
    ///
    /// If it is not all inside, or not at a multiple of eight.
    #[must_use]
    pub fn u64(&self, start: usize) -> &AtomicU64 {
        // SAFETY: inside the pages, which are there as long as `self`, and aligned.
        unsafe { AtomicU64::from_ptr(self.place(start, size_of::<u64>())) }
    }

    fn place<T>(&self, start: usize, length: usize) -> *mut T {
        let fits = start.checked_add(length).is_some_and(|end| end <= self.len());
        assert!(fits, "{length} bytes at {start} are outside of {} shared ones", self.len());
        let place = self.pages.as_ptr().wrapping_add(start).cast::<T>();
        assert!(place.is_aligned(), "a number lies at a multiple of its size");
        place
    }
}

impl PoolArc<SharedPages> {
    /// Maps the pages for the process in whose context the caller runs, which may write to them if `writable`: in a request, for the
    /// application that made it. Any number of mappings may be there at once.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES, or what else mapping raises. Compiled into a Linux process there is no handler: where mapping
    /// raises, the machine stops.
    pub fn map(&self, _level: PassiveLevel, writable: bool) -> Result<UserMapping, NTSTATUS> {
        let priority = NormalPagePriority.cast_unsigned() | if writable { 0 } else { MdlMappingNoWrite };
        // SAFETY: the MDL of locked pages, at PASSIVE_LEVEL.
        let address = unsafe { raise::map_for_user(self.pages.as_mdl(), priority) }?;
        // SAFETY: callable at this IRQL.
        let process = unsafe { IoGetCurrentProcess() };
        Ok(UserMapping { pages: ManuallyDrop::new(self.clone()), address, process })
    }
}

impl ring::Memory for PoolArc<SharedPages> {
    type Error = core::convert::Infallible;

    fn len(&self) -> usize {
        SharedPages::len(self)
    }

    fn read(&self, start: usize, target: &mut [u8]) -> Result<(), Self::Error> {
        SharedPages::read(self, start, target);
        Ok(())
    }

    fn write(&self, start: usize, source: &[u8]) -> Result<(), Self::Error> {
        SharedPages::write(self, start, source);
        Ok(())
    }

    fn load(&self, start: usize) -> Result<u64, Self::Error> {
        Ok(self.u64(start).load(Ordering::Acquire))
    }

    fn store(&self, start: usize, value: u64) -> Result<(), Self::Error> {
        self.u64(start).store(value, Ordering::Release);
        Ok(())
    }
}

/// The signals of one end of a ring, in a thread of the driver's: an event that the other side waits for, one that it sets, and whether
/// the thread is to end.
pub struct RingSignals<'a> {
    /// Set to wake the other side.
    pub tells: &'a Event,
    /// Waited for: the other side sets it.
    pub waits: &'a Event,
    /// Of the thread.
    pub stop: &'a Stop<'a>,
}

impl ring::Signals for RingSignals<'_> {
    /// STATUS_CANCELLED: the thread is to end.
    type Error = NTSTATUS;

    fn tell(&self) -> Result<(), NTSTATUS> {
        self.tells.set();
        Ok(())
    }

    fn wait(&self) -> Result<(), NTSTATUS> {
        match self.stop.wait(self.waits, None) {
            Woken::Stopped => Err(STATUS_CANCELLED),
            Woken::Set | Woken::TimedOut => Ok(()),
        }
    }
}

/// Shared pages, mapped for one process. Dropping it unmaps them.
///
/// It is to be dropped in the context of that process: in IRP_MJ_CLEANUP, which comes also when the application is killed. Dropped
/// in another process, it leaves the mapping, and so that its pages do not become something else's while an application sees
/// them, it leaves them too, for as long as the driver is loaded; the debugger is told.
pub struct UserMapping {
    pages: ManuallyDrop<PoolArc<SharedPages>>,
    address: *mut u8,
    process: *mut EPROCESS,
}

// SAFETY: the address is a number to everybody but the process, and unmapping looks at who runs.
unsafe impl Send for UserMapping {}
// SAFETY: as above.
unsafe impl Sync for UserMapping {}

impl UserMapping {
    /// Where the pages are in the process.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address.addr() as u64
    }

    /// The pages.
    #[must_use]
    pub fn pages(&self) -> &PoolArc<SharedPages> {
        &self.pages
    }
}

impl Drop for UserMapping {
    fn drop(&mut self) {
        expect_pageable("a mapping for an application is ended");
        // SAFETY: callable at this IRQL.
        let current = unsafe { IoGetCurrentProcess() };
        if current != self.process {
            crate::println!("a mapping at {:#x} was dropped in another process, and stays", self.address());
            return;
        }
        // SAFETY: mapped by `map` in this process, of this MDL.
        unsafe { MmUnmapLockedPages(self.address.cast(), self.pages.pages.as_mdl()) };
        // SAFETY: dropped here once, and used no more.
        unsafe { ManuallyDrop::drop(&mut self.pages) };
    }
}

#[cfg(windows)]
mod raise {
    use abi::{KernelMode, MDL, NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, UserMode};

    use crate::nt::MmMapLockedPagesSpecifyCache;

    const _: () = assert!(UserMode == 1 && KernelMode == 0 && abi::MmCached == 1);

    type Map = unsafe extern "win64" fn(
        *mut MDL,
        abi::KPROCESSOR_MODE,
        abi::MEMORY_CACHING_TYPE,
        *mut core::ffi::c_void,
        u32,
        u32,
    ) -> *mut core::ffi::c_void;

    unsafe extern "win64" {
        /// Calls `map(mdl, UserMode, MmCached, NULL, FALSE, priority)` and stores what it returns; returns what was raised, or 0.
        fn ringbridge_try_map(mdl: *mut MDL, priority: u32, address: *mut *mut u8, map: Map) -> u32;
    }

    // The scope table as that of `ringbridge_try_copy`.
    core::arch::global_asm!(
        ".text",
        ".p2align 4",
        ".globl ringbridge_try_map",
        ".def ringbridge_try_map",
        ".scl 2",
        ".type 32",
        ".endef",
        ".seh_proc ringbridge_try_map",
        "ringbridge_try_map:",
        "push rbx",
        ".seh_pushreg rbx",
        "sub rsp, 0x30",
        ".seh_stackalloc 0x30",
        ".seh_endprologue",
        "mov rbx, r8",
        "mov rax, r9",
        "mov [rsp + 0x28], rdx",
        "mov qword ptr [rsp + 0x20], 0",
        "mov edx, 1",
        "mov r8d, 1",
        "xor r9d, r9d",
        "nop",
        "ringbridge_try_map_begin:",
        "call rax",
        "nop",
        "ringbridge_try_map_end:",
        "mov [rbx], rax",
        "xor eax, eax",
        "ringbridge_try_map_out:",
        "add rsp, 0x30",
        "pop rbx",
        "ret",
        ".seh_handler __C_specific_handler, @except",
        ".seh_handlerdata",
        ".long 1",
        ".rva ringbridge_try_map_begin",
        ".rva ringbridge_try_map_end",
        ".long 1",
        ".rva ringbridge_try_map_out",
        ".text",
        ".seh_endproc",
    );

    /// # Safety
    ///
    /// `mdl` describes locked pages; IRQL <= APC_LEVEL.
    pub(super) unsafe fn map_for_user(mdl: *mut MDL, priority: u32) -> Result<*mut u8, NTSTATUS> {
        let mut address = core::ptr::null_mut();
        // SAFETY: the caller's contract; what is raised is taken.
        let raised =
            unsafe { ringbridge_try_map(mdl, priority, &raw mut address, MmMapLockedPagesSpecifyCache) };
        match raised {
            0 if address.is_null() => Err(STATUS_INSUFFICIENT_RESOURCES),
            0 => Ok(address),
            raised => Err(NTSTATUS::from_bits(raised)),
        }
    }
}

#[cfg(not(windows))]
mod raise {
    use abi::{FALSE, MDL, MmCached, NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, UserMode};

    use crate::nt::MmMapLockedPagesSpecifyCache;

    /// # Safety
    ///
    /// `mdl` describes locked pages; IRQL <= APC_LEVEL.
    pub(super) unsafe fn map_for_user(mdl: *mut MDL, priority: u32) -> Result<*mut u8, NTSTATUS> {
        let anywhere = core::ptr::null_mut();
        // SAFETY: the caller's contract; what is raised does not come back here: it stops the machine.
        let address = unsafe {
            MmMapLockedPagesSpecifyCache(mdl, UserMode, MmCached, anywhere, u32::from(FALSE), priority)
        };
        if address.is_null() { Err(STATUS_INSUFFICIENT_RESOURCES) } else { Ok(address.cast()) }
    }
}
