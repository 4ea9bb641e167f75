//! Landings: how control passes from Rust into driver code and back, and the frames exports leave on the way.
//!
//! Decision 1 explains the scheme. Searching and unwinding the driver's frames in between is `loader`'s.

use std::mem::offset_of;
use std::ptr;

use abi::EXCEPTION_RECORD;

use crate::entry::{self, Region, Stop};

/// An exception on its way outwards.
#[derive(Clone)]
pub struct Raise {
    /// What was raised.
    pub record: EXCEPTION_RECORD,
    /// Where it is taken, when the search phase has run already.
    pub target: Option<Target>,
}

/// The frame that takes an exception, and how it continues: what `RtlUnwindEx` is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Establisher frame (its stack address).
    pub frame: u64,
    /// Where the function continues when everything inside of it has been unwound.
    pub instruction: u64,
    /// RAX there.
    pub value: u64,
}

impl std::fmt::Debug for Raise {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Raise")
            .field("code", &self.record.ExceptionCode)
            .field("address", &self.record.ExceptionAddress)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// Why driver code did not return.
#[derive(Clone, Debug)]
pub enum Unwind {
    /// An exception that a frame further out takes, or that an export raises in its caller.
    Raise(Box<Raise>),
    /// The thread ends with this exit status (`PsTerminateSystemThread`); its `__finally` blocks do not run.
    Exit(abi::NTSTATUS),
    /// The machine has stopped; nothing of its driver code runs again.
    Halt,
}

impl Unwind {
    /// An exception with this status and no parameters, to be raised in the driver that called the export.
    #[must_use]
    pub fn status(status: abi::NTSTATUS) -> Self {
        Self::exception(status, &[])
    }

    /// An access violation at `address`: parameters {0 read, 1 write, 8 execute} and the address.
    #[must_use]
    pub fn access_violation(operation: u64, address: u64) -> Self {
        Self::exception(abi::STATUS_ACCESS_VIOLATION, &[operation, address])
    }

    /// An exception with up to 15 parameters; more are dropped.
    #[must_use]
    pub fn exception(status: abi::NTSTATUS, parameters: &[u64]) -> Self {
        // SAFETY: EXCEPTION_RECORD is plain data for which all zeroes is a value.
        let mut record: EXCEPTION_RECORD = unsafe { std::mem::zeroed() };
        record.ExceptionCode = status;
        record.ExceptionFlags = abi::EXCEPTION_NONCONTINUABLE;
        let mut count = 0;
        for (slot, parameter) in record.ExceptionInformation.iter_mut().zip(parameters) {
            *slot = usize::try_from(*parameter).unwrap_or(usize::MAX);
            count += 1;
        }
        record.NumberParameters = count;
        Self::Raise(Box::new(Raise { record, target: None }))
    }
}

/// What an export's entry thunk saves: the driver's Win64 non-volatile registers and where it continues.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct ExportFrame {
    /// XMM6 to XMM15.
    pub xmm: [u128; 10],
    /// RBX at the call.
    pub rbx: u64,
    /// RBP at the call.
    pub rbp: u64,
    /// RSI at the call.
    pub rsi: u64,
    /// RDI at the call.
    pub rdi: u64,
    /// R12 at the call.
    pub r12: u64,
    /// R13 at the call.
    pub r13: u64,
    /// R14 at the call.
    pub r14: u64,
    /// R15 at the call.
    pub r15: u64,
    /// The next frame outwards in the same machine.
    pub previous: *mut ExportFrame,
    /// The innermost landing at the call: the stretch of driver frames that this frame belongs to.
    pub landing: *mut Landing,
    /// Where the driver continues after the call.
    pub return_address: u64,
    /// RSP after the return.
    pub rsp: u64,
}

const _: () = assert!(size_of::<ExportFrame>() == 256);
const _: () = assert!(offset_of!(ExportFrame, rbx) == 160);
const _: () = assert!(offset_of!(ExportFrame, previous) == 224);
const _: () = assert!(offset_of!(ExportFrame, rsp) == 248);

/// Which code a landing stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Code {
    /// A loaded image: faults in it are found by address, and its frames can be unwound.
    Image,
    /// Code compiled into this process: its faults are recognised by this landing, and cannot be unwound.
    Native,
}

/// The record of one call from Rust into driver code. Lives on the caller's stack.
#[repr(C)]
#[derive(Debug)]
pub struct Landing {
    /// Stack pointer at which [`land`] continues.
    resume_rsp: u64,
    /// The landing outside of this one.
    pub previous: *mut Landing,
    /// The export frame from which Rust made this call; null for the outermost.
    pub frame: *mut ExportFrame,
    /// The call's stack pointer on the driver's side: driver frames of this stretch lie below it.
    pub stack_base: u64,
    /// What the function belongs to.
    pub code: Code,
    /// Whether an exception that no driver's frame inside takes is taken here: [`call`] returns it, and nothing stops.
    pub takes: bool,
    irql: u8,
    unwind: Option<Unwind>,
}

const _: () = assert!(offset_of!(Landing, resume_rsp) == 0);
const _: () = assert!(offset_of!(Landing, stack_base) == 24);

/// Most arguments that [`call`] passes.
pub const MAX_ARGUMENTS: usize = 16;

/// Calls driver code at `function` with the Win64 convention, on the thread's kernel stack, and returns RAX.
///
/// # Errors
/// [`Unwind`] when the driver's frames were left otherwise than by returning. The IRQL is then what it was here.
///
/// # Safety
/// The thread is inside a machine ([`Region::enter`]); `function` is the entry of driver code that takes
/// these arguments, at most [`MAX_ARGUMENTS`].
#[inline]
pub unsafe fn call(region: Region, code: Code, function: usize, arguments: &[u64]) -> Result<u64, Unwind> {
    // SAFETY: by this function's contract.
    unsafe { call_as(region, code, function, arguments, false) }
}

/// As [`call`], for code that runs under a handler of the kernel's own: an exception that no driver's frame takes unwinds
/// them all and is returned. What no handler ever sees stops the machine nevertheless.
///
/// # Errors
/// As for [`call`].
///
/// # Safety
/// As for [`call`].
#[inline]
pub unsafe fn call_taking(
    region: Region,
    code: Code,
    function: usize,
    arguments: &[u64],
) -> Result<u64, Unwind> {
    // SAFETY: by this function's contract.
    unsafe { call_as(region, code, function, arguments, true) }
}

/// # Safety
/// As for [`call`].
#[inline(always)]
unsafe fn call_as(
    region: Region,
    code: Code,
    function: usize,
    arguments: &[u64],
    takes: bool,
) -> Result<u64, Unwind> {
    assert!(arguments.len() <= MAX_ARGUMENTS, "driver callbacks take at most {MAX_ARGUMENTS} arguments");
    let mut padded = [0_u64; 4];
    let source = if arguments.len() < 4 {
        padded[..arguments.len()].copy_from_slice(arguments);
        padded.as_ptr()
    } else {
        arguments.as_ptr()
    };
    let mut landing = Landing {
        resume_rsp: 0,
        previous: region.landing(),
        frame: region.frame(),
        stack_base: 0,
        code,
        takes,
        irql: region.irql(),
        unwind: None,
    };
    let this = &raw mut landing;
    region.set_landing(this);
    let stack = region.stack();
    let here = this.addr();
    let switch_to = if (stack.guard..stack.top).contains(&here) { 0 } else { stack.top };
    // SAFETY: by this function's contract; the landing outlives the call, and its fields are touched through
    // the raw pointer only until it returns.
    let value = unsafe { landing_call(this, function, source, arguments.len(), switch_to) };
    // SAFETY: the call is over; nothing else refers to the landing now.
    let landing = unsafe { &mut *this };
    region.set_landing(landing.previous);
    region.set_frame(landing.frame);
    match landing.unwind.take() {
        None => Ok(value),
        Some(unwind) => {
            region.set_irql(landing.irql);
            Err(unwind)
        }
    }
}

/// Leaves all driver frames inside `landing`, whose [`call`] then returns `Err(unwind)`.
///
/// # Safety
/// `landing` is the thread's innermost landing, and no Rust frame inside it has anything left to drop.
pub unsafe fn land(landing: *mut Landing, unwind: Unwind) -> ! {
    // SAFETY: the landing is live: its `call` has not returned.
    let place = unsafe { &raw mut (*landing).unwind };
    // SAFETY: as above; the old value is None and needs no drop.
    unsafe { place.write(Some(unwind)) };
    // SAFETY: by this function's contract.
    unsafe { landing_resume(landing) }
}

/// Lands the calling thread with [`Unwind::Halt`] if it is inside driver code.
///
/// # Safety
/// As for [`land`].
pub unsafe fn halt(region: Region) -> ! {
    let landing = region.landing();
    assert!(!landing.is_null(), "only a thread that came through a landing can be halted");
    // SAFETY: by this function's contract.
    unsafe { land(landing, Unwind::Halt) }
}

/// rdi landing, rsi function, rdx arguments (at least four), rcx their number, r8 new stack top or 0.
#[unsafe(naked)]
unsafe extern "sysv64" fn landing_call(
    landing: *mut Landing,
    function: usize,
    arguments: *const u64,
    count: usize,
    stack_top: usize,
) -> u64 {
    std::arch::naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "mov [rdi], rsp",
        "test r8, r8",
        "cmovnz rsp, r8",
        "mov [rdi + 24], rsp",
        "mov r10, rsi",
        "mov r11, rdx",
        // Stack arguments beyond four, an even number of words so that RSP stays a multiple of 16.
        "cmp rcx, 4",
        "jbe 3f",
        "lea rax, [rcx - 3]",
        "and rax, -2",
        "shl rax, 3",
        "sub rsp, rax",
        "lea rcx, [rcx - 4]",
        "2:",
        "mov rax, [r11 + 24 + rcx * 8]",
        "mov [rsp - 8 + rcx * 8], rax",
        "dec rcx",
        "jnz 2b",
        "3:",
        "sub rsp, 32",
        "mov rcx, [r11]",
        "mov rdx, [r11 + 8]",
        "mov r8, [r11 + 16]",
        "mov r9, [r11 + 24]",
        "call r10",
        "lea rsp, [rbp - 48]",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// rdi landing: continues behind the `call` of [`landing_call`], with control registers as Rust expects them.
#[unsafe(naked)]
unsafe extern "sysv64" fn landing_resume(landing: *mut Landing) -> ! {
    std::arch::naked_asm!(
        "mov rsp, [rdi]",
        "cld",
        "mov dword ptr [rsp], 0x1f80",
        "ldmxcsr [rsp]",
        "mov dword ptr [rsp], 0x37f",
        "fldcw [rsp]",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "xor eax, eax",
        "ret",
    )
}

/// Reports a stop for which there is no driver context, and lands the thread.
///
/// # Safety
/// As for [`land`].
pub unsafe fn stop(region: Region, stop: Stop, record: &EXCEPTION_RECORD, context: &abi::CONTEXT) -> ! {
    if let Some(owner) = region.owner() {
        owner.unhandled(stop, record, context);
    }
    // SAFETY: by this function's contract.
    unsafe { halt(region) }
}

/// The calling thread's innermost export frame, for a row's body that has just returned an [`Unwind`].
#[must_use]
pub fn current_frame() -> *mut ExportFrame {
    entry::region().map_or(ptr::null_mut(), Region::frame)
}

/// Defines an export's entry thunk: a naked Win64 function `$name` with `$count` integer arguments, which saves
/// an [`ExportFrame`] and calls `$inner`, an `extern "sysv64"` function of as many `u64`, returning `u64`.
#[macro_export]
macro_rules! export_thunk {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident, $count:expr, $inner:path) => {
        $(#[$attribute])*
        #[unsafe(naked)]
        $visibility unsafe extern "win64" fn $name() {
            ::core::arch::naked_asm!(
                ".set .Lrb_pad, ((({count} > 6) & 1) * ((({count} - 6) * 8 + 15) & -16))",
                "sub rsp, 264 + .Lrb_pad",
                "movaps [rsp + .Lrb_pad], xmm6",
                "movaps [rsp + .Lrb_pad + 16], xmm7",
                "movaps [rsp + .Lrb_pad + 32], xmm8",
                "movaps [rsp + .Lrb_pad + 48], xmm9",
                "movaps [rsp + .Lrb_pad + 64], xmm10",
                "movaps [rsp + .Lrb_pad + 80], xmm11",
                "movaps [rsp + .Lrb_pad + 96], xmm12",
                "movaps [rsp + .Lrb_pad + 112], xmm13",
                "movaps [rsp + .Lrb_pad + 128], xmm14",
                "movaps [rsp + .Lrb_pad + 144], xmm15",
                "mov [rsp + .Lrb_pad + 160], rbx",
                "mov [rsp + .Lrb_pad + 168], rbp",
                "mov [rsp + .Lrb_pad + 176], rsi",
                "mov [rsp + .Lrb_pad + 184], rdi",
                "mov [rsp + .Lrb_pad + 192], r12",
                "mov [rsp + .Lrb_pad + 200], r13",
                "mov [rsp + .Lrb_pad + 208], r14",
                "mov [rsp + .Lrb_pad + 216], r15",
                "mov rax, gs:[-0x10]",
                "mov [rsp + .Lrb_pad + 224], rax",
                "mov rax, gs:[-0x18]",
                "mov [rsp + .Lrb_pad + 232], rax",
                "mov rax, [rsp + .Lrb_pad + 264]",
                "mov [rsp + .Lrb_pad + 240], rax",
                "lea rax, [rsp + .Lrb_pad + 272]",
                "mov [rsp + .Lrb_pad + 248], rax",
                "lea rax, [rsp + .Lrb_pad]",
                "mov gs:[-0x10], rax",
                "mov rdi, rcx",
                "mov rsi, rdx",
                "mov rdx, r8",
                "mov rcx, r9",
                ".if {count} > 4",
                "mov r8, [rsp + .Lrb_pad + 264 + 0x28]",
                ".endif",
                ".if {count} > 5",
                "mov r9, [rsp + .Lrb_pad + 264 + 0x30]",
                ".endif",
                ".if {count} > 6",
                ".set .Lrb_index, 0",
                ".rept {count} - 6",
                "mov rax, [rsp + .Lrb_pad + 264 + 0x38 + .Lrb_index]",
                "mov [rsp + .Lrb_index], rax",
                ".set .Lrb_index, .Lrb_index + 8",
                ".endr",
                ".endif",
                "call {inner}",
                "mov rcx, [rsp + .Lrb_pad + 224]",
                "mov gs:[-0x10], rcx",
                "mov rsi, [rsp + .Lrb_pad + 176]",
                "mov rdi, [rsp + .Lrb_pad + 184]",
                "movaps xmm6, [rsp + .Lrb_pad]",
                "movaps xmm7, [rsp + .Lrb_pad + 16]",
                "movaps xmm8, [rsp + .Lrb_pad + 32]",
                "movaps xmm9, [rsp + .Lrb_pad + 48]",
                "movaps xmm10, [rsp + .Lrb_pad + 64]",
                "movaps xmm11, [rsp + .Lrb_pad + 80]",
                "movaps xmm12, [rsp + .Lrb_pad + 96]",
                "movaps xmm13, [rsp + .Lrb_pad + 112]",
                "movaps xmm14, [rsp + .Lrb_pad + 128]",
                "movaps xmm15, [rsp + .Lrb_pad + 144]",
                "add rsp, 264 + .Lrb_pad",
                "ret",
                count = const $count,
                inner = sym $inner,
            )
        }
    };
}

/// Defines the entry thunk of a variadic export: it stores the register arguments in their home slots and goes on
/// in `$thunk`, an [`export_thunk!`] of the fixed arguments. The variable arguments then stand in consecutive
/// 8-byte slots (what `va_list` is on Win64) from `frame.rsp + 8 * fixed`.
#[macro_export]
macro_rules! variadic_thunk {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident, $thunk:path) => {
        $(#[$attribute])*
        #[unsafe(naked)]
        $visibility unsafe extern "win64" fn $name() {
            ::core::arch::naked_asm!(
                "mov [rsp + 8], rcx",
                "mov [rsp + 16], rdx",
                "mov [rsp + 24], r8",
                "mov [rsp + 32], r9",
                "jmp {thunk}",
                thunk = sym $thunk,
            )
        }
    };
}
