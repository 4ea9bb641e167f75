//! Contexts and records from what exports save.

use abi::{CONTEXT, CONTEXT_FULL, CONTEXT_SEGMENTS, EXCEPTION_RECORD, M128A, NTSTATUS};
use platform::entry::KernelStack;
use platform::landing::ExportFrame;

/// What Windows starts threads with: all floating-point exceptions masked.
const MXCSR: u32 = 0x1F80;
const FLOAT_CONTROL: u16 = 0x27F;
/// Selectors of kernel code and data on x64 NT.
const KERNEL_CODE: u16 = 0x10;
const KERNEL_DATA: u16 = 0x18;
/// The reserved bit and the interrupt flag.
const FLAGS: u32 = 0x202;
/// What [`platform::fault::restore`] writes below RSP, in bytes.
const RESTORE_ROOM: u64 = 64;

/// An exception record with nothing but a status.
#[must_use]
pub fn empty_record(status: NTSTATUS) -> EXCEPTION_RECORD {
    EXCEPTION_RECORD {
        ExceptionCode: status,
        ExceptionFlags: 0,
        ExceptionRecord: std::ptr::null_mut(),
        ExceptionAddress: std::ptr::null_mut(),
        NumberParameters: 0,
        ExceptionInformation: [0; 15],
    }
}

/// A context of zeroes, with the control registers that driver code expects.
pub(super) fn empty_context() -> CONTEXT {
    // SAFETY: CONTEXT is plain data for which all zeroes is a value.
    let mut context: CONTEXT = unsafe { std::mem::zeroed() };
    context.ContextFlags = CONTEXT_FULL | CONTEXT_SEGMENTS;
    context.SegCs = KERNEL_CODE;
    context.SegSs = KERNEL_DATA;
    context.EFlags = FLAGS;
    context.MxCsr = MXCSR;
    context.FltSave.MxCsr = MXCSR;
    context.FltSave.MxCsr_Mask = 0xFFFF;
    context.FltSave.ControlWord = FLOAT_CONTROL;
    context
}

/// The registers of an export's caller, as they are when the export returns; volatile ones are zero.
#[must_use]
pub fn context_of(frame: &ExportFrame) -> CONTEXT {
    let mut context = empty_context();
    context.Rbx = frame.rbx;
    context.Rbp = frame.rbp;
    context.Rsi = frame.rsi;
    context.Rdi = frame.rdi;
    context.R12 = frame.r12;
    context.R13 = frame.r13;
    context.R14 = frame.r14;
    context.R15 = frame.r15;
    context.Rsp = frame.rsp;
    context.Rip = frame.return_address;
    for (register, saved) in context.FltSave.XmmRegisters[6..].iter_mut().zip(frame.xmm) {
        *register = split(saved);
    }
    context
}

/// The reverse: the frame that an export called from `context` would have saved.
pub(super) fn save(context: &CONTEXT, frame: &mut ExportFrame) {
    frame.rbx = context.Rbx;
    frame.rbp = context.Rbp;
    frame.rsi = context.Rsi;
    frame.rdi = context.Rdi;
    frame.r12 = context.R12;
    frame.r13 = context.R13;
    frame.r14 = context.R14;
    frame.r15 = context.R15;
    frame.rsp = context.Rsp;
    frame.return_address = context.Rip;
    for (saved, register) in frame.xmm.iter_mut().zip(&context.FltSave.XmmRegisters[6..]) {
        *saved = u128::from(register.Low) | u128::from(register.High.cast_unsigned()) << 64;
    }
}

/// Whether driver code can go on with the registers that its filters have left: on its kernel stack, at an address that is one.
pub(super) fn is_continuable(stack: KernelStack, context: &CONTEXT) -> bool {
    const CANONICAL: u64 = 1 << 47;
    let lowest = stack.limit as u64 + RESTORE_ROOM;
    (lowest..=stack.top as u64).contains(&context.Rsp) && context.Rip < CANONICAL
}

/// Takes out of a context what the processor refuses, and the flags that no driver code goes on with: as on NT, a trap flag
/// has done its work when the exception is there.
pub(super) fn sanitize(context: &mut CONTEXT) {
    /// Carry, parity, adjust, zero, sign, direction, overflow and identification.
    const KEPT: u32 = 0x0020_0CD5;
    const MXCSR_BITS: u32 = 0xFFFF;
    context.EFlags = context.EFlags & KEPT | FLAGS;
    context.FltSave.MxCsr &= MXCSR_BITS;
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves are what is wanted")]
fn split(value: u128) -> M128A {
    M128A { Low: value as u64, High: ((value >> 64) as u64).cast_signed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn driver_code_goes_on_only_on_its_kernel_stack_and_at_a_canonical_address() {
        let stack = KernelStack { top: 0x9000, limit: 0x3000, guard: 0x1000 };
        let continuable = |rsp, rip| {
            let mut context = empty_context();
            (context.Rsp, context.Rip) = (rsp, rip);
            is_continuable(stack, &context)
        };
        assert!(continuable(0x8FF8, 0x6000_0000_1000) && continuable(0x9000, 0x1000));
        assert!(!continuable(0x9008, 0x1000) && !continuable(0x3008, 0x1000) && !continuable(0, 0x1000));
        assert!(!continuable(0x8FF8, 1 << 63) && !continuable(0x8FF8, 0x8000_0000_0000));
    }

    #[test]
    fn a_context_to_continue_with_has_no_trap_flag_and_no_reserved_bits() {
        let mut context = empty_context();
        context.EFlags = u32::MAX;
        context.FltSave.MxCsr = u32::MAX;
        sanitize(&mut context);
        assert_eq!((context.EFlags, context.FltSave.MxCsr), (0x20_0ED7, 0xFFFF));
    }
}
