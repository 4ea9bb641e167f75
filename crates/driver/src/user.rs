//! Neither I/O's bytes: the application's memory at the application's own addresses.
//!
//! Each copy is fallible. In a `.sys`, ProbeForRead or ProbeForWrite and the copy run under an exception handler of this
//! module's, written in assembly, since Rust has no `__try`. Compiled into a Linux process there are no handlers, and
//! none is needed: the memory is secured (`MmSecureVirtualMemory`) while it is copied.

use core::marker::PhantomData;

use abi::NTSTATUS;

use crate::irp::Irp;

/// The application's memory, to read from. Any byte may change at any time, or be gone: each read copies, and may fail.
/// Look at a byte twice only in your copy.
pub struct UserData<'a> {
    address: *const u8,
    length: usize,
    probe: bool,
    borrowed: PhantomData<&'a [u8]>,
}

/// The application's memory, to write to, from its start on. It counts what it wrote, and completing the request reports
/// that count as `IoStatus.Information`.
pub struct UserOutput<'a> {
    address: *mut u8,
    capacity: usize,
    probe: bool,
    written: &'a mut usize,
    borrowed: PhantomData<&'a mut [u8]>,
}

impl UserData<'_> {
    pub(crate) fn new(irp: &Irp, address: *const u8, length: usize) -> UserData<'_> {
        UserData { address, length, probe: irp.is_from_user_mode(), borrowed: PhantomData }
    }

    /// Memory of a caller's that comes without an IRP; `probe` says that it is an application. Each read finds out what is there.
    pub(crate) fn of_caller<'a>(address: *const u8, length: usize, probe: bool) -> UserData<'a> {
        UserData { address, length, probe, borrowed: PhantomData }
    }

    /// Memory of the calling application that comes without an IRP.
    ///
    /// # Safety
    ///
    /// It is the application's, during `'a`.
    pub(crate) unsafe fn of_application<'a>(address: *const u8, length: usize) -> UserData<'a> {
        UserData { address, length, probe: true, borrowed: PhantomData }
    }

    /// Bytes that the application says there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Fills the front of `target` with the bytes from `offset` on, as many as there are; returns how many these were.
    ///
    /// # Errors
    ///
    /// STATUS_ACCESS_VIOLATION, or what else reading the memory raises; the front of `target` may have been written.
    pub fn read(&self, offset: usize, target: &mut [u8]) -> Result<usize, NTSTATUS> {
        let count = target.len().min(self.length.saturating_sub(offset));
        if count != 0 {
            let source = self.address.wrapping_add(offset);
            // SAFETY: `target` has `count` bytes. The source is the request's buffer, for reading.
            unsafe { copy::from_user(target.as_mut_ptr(), source, count, self.probe) }?;
        }
        Ok(count)
    }
}

impl<'a> UserOutput<'a> {
    pub(crate) fn new(irp: &'a Irp, address: *mut u8, capacity: usize, written: &'a mut usize) -> Self {
        Self { address, capacity, probe: irp.is_from_user_mode(), written, borrowed: PhantomData }
    }

    /// As for [`UserData::of_caller`].
    pub(crate) fn of_caller(address: *mut u8, capacity: usize, written: &'a mut usize, probe: bool) -> Self {
        Self { address, capacity, probe, written, borrowed: PhantomData }
    }

    /// Memory of the calling application that comes without an IRP.
    ///
    /// # Safety
    ///
    /// As for [`UserData::of_application`].
    pub(crate) unsafe fn of_application(address: *mut u8, capacity: usize, written: &'a mut usize) -> Self {
        Self { address, capacity, probe: true, written, borrowed: PhantomData }
    }

    /// Bytes that the application says it has room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes that still fit.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.capacity - *self.written
    }

    /// Appends as many of `bytes` as fit, and returns how many these were.
    ///
    /// # Errors
    ///
    /// STATUS_ACCESS_VIOLATION, or what else writing the memory raises; some bytes may have been written, none is counted.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, NTSTATUS> {
        let count = bytes.len().min(self.remaining());
        if count != 0 {
            let target = self.address.wrapping_add(*self.written);
            // SAFETY: `bytes` has `count` bytes. The target is the request's buffer, for writing.
            unsafe { copy::to_user(target, bytes.as_ptr(), count, self.probe) }?;
        }
        *self.written += count;
        Ok(count)
    }
}

#[cfg(windows)]
pub(crate) mod copy {
    use abi::NTSTATUS;

    use crate::nt::{ProbeForRead, ProbeForWrite};

    type Probe = unsafe extern "win64" fn(*const core::ffi::c_void, usize, u32);

    unsafe extern "win64" {
        /// Calls `probe(probed, count, 1)`, if there is a `probe`, and copies; returns what was raised, or 0.
        fn ringbridge_try_copy(
            target: *mut u8,
            source: *const u8,
            count: usize,
            probed: *const u8,
            probe: Option<Probe>,
        ) -> u32;
    }

    // The scope table has one row: in [begin, end), the filter is EXCEPTION_EXECUTE_HANDLER (1), and the block behind
    // begins at out, with the exception's code in eax.
    core::arch::global_asm!(
        ".text",
        ".p2align 4",
        ".globl ringbridge_try_copy",
        ".def ringbridge_try_copy",
        ".scl 2",
        ".type 32",
        ".endef",
        ".seh_proc ringbridge_try_copy",
        "ringbridge_try_copy:",
        "push rsi",
        ".seh_pushreg rsi",
        "push rdi",
        ".seh_pushreg rdi",
        "push rbx",
        ".seh_pushreg rbx",
        "sub rsp, 0x30",
        ".seh_stackalloc 0x30",
        ".seh_endprologue",
        "mov rdi, rcx",
        "mov rsi, rdx",
        "mov rbx, r8",
        "nop",
        "ringbridge_try_copy_begin:",
        "mov rax, [rsp + 0x70]",
        "test rax, rax",
        "jz 2f",
        "mov rcx, r9",
        "mov rdx, rbx",
        "mov r8d, 1",
        "call rax",
        "2: mov rcx, rbx",
        "rep movsb",
        "nop",
        "ringbridge_try_copy_end:",
        "xor eax, eax",
        "ringbridge_try_copy_out:",
        "add rsp, 0x30",
        "pop rbx",
        "pop rdi",
        "pop rsi",
        "ret",
        ".seh_handler __C_specific_handler, @except",
        ".seh_handlerdata",
        ".long 1",
        ".rva ringbridge_try_copy_begin",
        ".rva ringbridge_try_copy_end",
        ".long 1",
        ".rva ringbridge_try_copy_out",
        ".text",
        ".seh_endproc",
    );

    fn status(raised: u32) -> Result<(), NTSTATUS> {
        if raised == 0 { Ok(()) } else { Err(NTSTATUS::from_bits(raised)) }
    }

    /// # Safety
    ///
    /// `target` has `count` bytes; `source` is the application's, or, without `probe`, NT's own.
    pub(crate) unsafe fn from_user(
        target: *mut u8,
        source: *const u8,
        count: usize,
        probe: bool,
    ) -> Result<(), NTSTATUS> {
        let probe = probe.then_some(ProbeForRead as Probe);
        // SAFETY: by this function's contract; faults of the source are taken.
        status(unsafe { ringbridge_try_copy(target, source, count, source, probe) })
    }

    /// # Safety
    ///
    /// `source` has `count` bytes; `target` is the application's, or, without `probe`, NT's own.
    pub(crate) unsafe fn to_user(
        target: *mut u8,
        source: *const u8,
        count: usize,
        probe: bool,
    ) -> Result<(), NTSTATUS> {
        let probe = probe.then_some(ProbeForWrite as Probe);
        // SAFETY: by this function's contract; faults of the target are taken, and the probe lets nothing but the
        // application's memory be one.
        status(unsafe { ringbridge_try_copy(target, source, count, target, probe) })
    }
}

#[cfg(not(windows))]
pub(crate) mod copy {
    use abi::NTSTATUS;

    use crate::secured::Secured;

    /// # Safety
    ///
    /// `target` has `count` bytes; `source` is the application's, or, without `probe`, NT's own.
    pub(crate) unsafe fn from_user(
        target: *mut u8,
        source: *const u8,
        count: usize,
        probe: bool,
    ) -> Result<(), NTSTATUS> {
        let _secured = Secured::new(source.cast_mut(), count, probe, false)?;
        // SAFETY: what is the application's is there as long as it is secured; the rest is the caller's contract.
        unsafe { core::ptr::copy_nonoverlapping(source, target, count) };
        Ok(())
    }

    /// # Safety
    ///
    /// `source` has `count` bytes; `target` is the application's, or, without `probe`, NT's own.
    pub(crate) unsafe fn to_user(
        target: *mut u8,
        source: *const u8,
        count: usize,
        probe: bool,
    ) -> Result<(), NTSTATUS> {
        let _secured = Secured::new(target, count, probe, true)?;
        // SAFETY: as above.
        unsafe { core::ptr::copy_nonoverlapping(source, target, count) };
        Ok(())
    }
}
