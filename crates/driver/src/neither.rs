//! From neither I/O to requests that can be answered anywhere: the application's memory, locked while its thread is here.

use core::ptr::{self, NonNull};

use abi::{
    FALSE, IoReadAccess, IoWriteAccess, KernelMode, LOCK_OPERATION, MDL, NTSTATUS,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
    UserMode,
};

use crate::control::{control, resumable};
use crate::irp::{Answered, Irp};
use crate::locked::{self, LockedData};
use crate::nt::{IoAllocateMdl, IoFreeMdl, MmUnlockPages};
use crate::{Contexts, Direct, Neither, NeitherControl, Output, Read, Write};

/// An MDL whose pages are locked.
struct Pages(NonNull<MDL>);

impl Pages {
    /// Locks a buffer of a request's, in the context of the thread that asked for it; none for no bytes.
    fn lock(
        irp: &Irp,
        address: *mut u8,
        length: usize,
        operation: LOCK_OPERATION,
    ) -> Result<Option<Self>, NTSTATUS> {
        if length == 0 {
            return Ok(None);
        }
        let length = u32::try_from(length).map_err(|_| STATUS_INVALID_PARAMETER)?;
        // SAFETY: any address will do: it is looked at when the pages are locked.
        let mdl = unsafe { IoAllocateMdl(address.cast(), length, FALSE, FALSE, ptr::null_mut()) };
        let mdl = NonNull::new(mdl).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        let mode = if irp.is_from_user_mode() { UserMode } else { KernelMode };
        // SAFETY: a fresh MDL for a buffer of the request.
        if let Err(status) = unsafe { raise::lock(mdl.as_ptr(), mode, operation) } {
            // SAFETY: of `IoAllocateMdl`; it locks nothing.
            unsafe { IoFreeMdl(mdl.as_ptr()) };
            return Err(status);
        }
        Ok(Some(Self(mdl)))
    }

    fn into_raw(self) -> *mut MDL {
        let mdl = self.0.as_ptr();
        core::mem::forget(self);
        mdl
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: `lock` locked them.
        unsafe { MmUnlockPages(self.0.as_ptr()) };
        // SAFETY: of `IoAllocateMdl`, and used no more.
        unsafe { IoFreeMdl(self.0.as_ptr()) };
    }
}

/// Gives the locked pages to the IRP: the I/O manager unlocks and frees them when the request has been completed.
fn attach(irp: &Irp, first: Option<Pages>, second: Option<Pages>) {
    let second = second.map_or(ptr::null_mut(), Pages::into_raw);
    let chain = first.map_or(second, |first| {
        let first = first.into_raw();
        // SAFETY: a live MDL, which is in no chain.
        unsafe { (*first).Next = second };
        first
    });
    // SAFETY: the IRP is the driver's, and has no MDL, as was checked.
    unsafe { (*irp.as_raw().as_ptr()).MdlAddress = chain };
}

/// One who sends requests with an MDL and neither flag has locked the memory already, in a way of its own.
fn expect_no_mdl(irp: &Irp) -> Result<(), NTSTATUS> {
    if irp.mdl().is_null() { Ok(()) } else { Err(STATUS_INVALID_DEVICE_REQUEST) }
}

fn lock_one(irp: &Irp, length: usize, operation: LOCK_OPERATION) -> Result<(), NTSTATUS> {
    expect_no_mdl(irp)?;
    let pages = Pages::lock(irp, irp.user_buffer(), length, operation)?;
    attach(irp, pages, None);
    Ok(())
}

impl Read<Neither> {
    /// Locks the application's memory (`MmProbeAndLockPages`): from here on the request is as one of direct I/O, and can be
    /// [pended](Read::pend). The bytes written so far stay counted. IRQL: up to APC_LEVEL.
    ///
    /// # Errors
    ///
    /// The request, with STATUS_ACCESS_VIOLATION or what else locking raises, STATUS_INSUFFICIENT_RESOURCES, or
    /// STATUS_INVALID_DEVICE_REQUEST for a request that a driver above sent with an MDL.
    pub fn lock(self) -> Result<Read<Direct>, (Self, NTSTATUS)> {
        match lock_one(&self.irp, self.length(), IoWriteAccess) {
            Ok(()) => {
                let written = self.written();
                Ok(Read::resume(self.irp, written))
            }
            Err(status) => Err((self, status)),
        }
    }
}

impl Write<Neither> {
    /// As [`Read::lock`].
    ///
    /// # Errors
    ///
    /// As for [`Read::lock`].
    pub fn lock(self) -> Result<Write<Direct>, (Self, NTSTATUS)> {
        match lock_one(&self.irp, self.length(), IoReadAccess) {
            Ok(()) => Ok(Write::resume(self.irp, 0)),
            Err(status) => Err((self, status)),
        }
    }
}

impl NeitherControl {
    /// Locks both buffers of the application's; otherwise as [`Read::lock`].
    ///
    /// # Errors
    ///
    /// As for [`Read::lock`]; then neither is locked.
    pub fn lock(self) -> Result<LockedControl, (Self, NTSTATUS)> {
        match self.lock_buffers() {
            Ok(()) => {
                let written = self.written();
                Ok(LockedControl::resume(self.irp, written))
            }
            Err(status) => Err((self, status)),
        }
    }

    fn lock_buffers(&self) -> Result<(), NTSTATUS> {
        let irp = &self.irp;
        expect_no_mdl(irp)?;
        let output = Pages::lock(irp, irp.user_buffer(), self.output_length(), IoWriteAccess)?;
        let input = Pages::lock(irp, self.input_address().cast_mut(), self.input_length(), IoReadAccess)?;
        attach(irp, output, input);
        Ok(())
    }
}

/// A METHOD_NEITHER control with both buffers locked, by [`NeitherControl::lock`]: the output's MDL, and behind it the
/// input's.
#[must_use = "a request is answered"]
pub struct LockedControl {
    pub(crate) irp: Irp,
    code: u32,
    input_length: usize,
    output_length: usize,
    written: usize,
}

control! { LockedControl }
resumable! { LockedControl }

impl LockedControl {
    /// The input, in the application's memory.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES when the memory cannot be mapped.
    pub fn input(&self) -> Result<LockedData<'_>, NTSTATUS> {
        let mut mdl = self.irp.mdl();
        if self.output_length > 0 && !mdl.is_null() {
            // SAFETY: the first MDL, which `lock` attached.
            mdl = unsafe { (*mdl).Next };
        }
        // SAFETY: the input's MDL, locked until the request is completed; null for no bytes.
        unsafe { locked::data_of(mdl, self.input_length) }
    }

    /// The bytes to give, written into the application's memory at once. Asked for again, it goes on where it stopped.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES when the memory cannot be mapped.
    pub fn output(&mut self) -> Result<Output<'_>, NTSTATUS> {
        locked::output(&self.irp, self.output_length, &mut self.written)
    }

    /// Answers with STATUS_SUCCESS and the bytes written to the output.
    pub fn complete(self) -> Answered {
        self.complete_with(STATUS_SUCCESS)
    }

    /// Answers with `status` and the bytes written to the output, which are in the application's memory already, whatever
    /// the status.
    pub fn complete_with(self, status: NTSTATUS) -> Answered {
        self.irp.answer(status, self.written)
    }
}

#[cfg(windows)]
mod raise {
    use abi::{KPROCESSOR_MODE, LOCK_OPERATION, MDL, NTSTATUS};

    use crate::nt::MmProbeAndLockPages;

    type Lock = unsafe extern "win64" fn(*mut MDL, KPROCESSOR_MODE, LOCK_OPERATION);

    unsafe extern "win64" {
        /// Calls `lock(mdl, mode, operation)`; returns what was raised, or 0.
        fn ringbridge_try_lock(
            mdl: *mut MDL,
            mode: KPROCESSOR_MODE,
            operation: LOCK_OPERATION,
            lock: Lock,
        ) -> u32;
    }

    // The scope table as that of `ringbridge_try_copy`.
    core::arch::global_asm!(
        ".text",
        ".p2align 4",
        ".globl ringbridge_try_lock",
        ".def ringbridge_try_lock",
        ".scl 2",
        ".type 32",
        ".endef",
        ".seh_proc ringbridge_try_lock",
        "ringbridge_try_lock:",
        "sub rsp, 0x28",
        ".seh_stackalloc 0x28",
        ".seh_endprologue",
        "nop",
        "ringbridge_try_lock_begin:",
        "call r9",
        "nop",
        "ringbridge_try_lock_end:",
        "xor eax, eax",
        "ringbridge_try_lock_out:",
        "add rsp, 0x28",
        "ret",
        ".seh_handler __C_specific_handler, @except",
        ".seh_handlerdata",
        ".long 1",
        ".rva ringbridge_try_lock_begin",
        ".rva ringbridge_try_lock_end",
        ".long 1",
        ".rva ringbridge_try_lock_out",
        ".text",
        ".seh_endproc",
    );

    /// # Safety
    ///
    /// `mdl` is fresh, for a buffer of a request, in the context of the thread that asked for it.
    pub(super) unsafe fn lock(
        mdl: *mut MDL,
        mode: KPROCESSOR_MODE,
        operation: LOCK_OPERATION,
    ) -> Result<(), NTSTATUS> {
        // SAFETY: the caller's contract; what is raised is taken.
        let raised = unsafe { ringbridge_try_lock(mdl, mode, operation, MmProbeAndLockPages) };
        if raised == 0 { Ok(()) } else { Err(NTSTATUS::from_bits(raised)) }
    }
}

#[cfg(not(windows))]
mod raise {
    use abi::{IoReadAccess, KPROCESSOR_MODE, LOCK_OPERATION, MDL, NTSTATUS, UserMode};

    use crate::nt::MmProbeAndLockPages;
    use crate::secured::Secured;

    /// # Safety
    ///
    /// `mdl` is fresh, for a buffer of a request, in the context of the thread that asked for it.
    pub(super) unsafe fn lock(
        mdl: *mut MDL,
        mode: KPROCESSOR_MODE,
        operation: LOCK_OPERATION,
    ) -> Result<(), NTSTATUS> {
        // SAFETY: a live MDL.
        let MDL { StartVa: page, ByteOffset: offset, ByteCount: length, .. } = unsafe { *mdl };
        let address = page.cast::<u8>().wrapping_add(offset as usize);
        let _secured = Secured::new(address, length as usize, mode == UserMode, operation != IoReadAccess)?;
        // SAFETY: the caller's contract; what is secured raises nothing.
        unsafe { MmProbeAndLockPages(mdl, mode, operation) };
        Ok(())
    }
}
