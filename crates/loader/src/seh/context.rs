//! Contexts and records from what exports save.

use abi::{CONTEXT, CONTEXT_FULL, CONTEXT_SEGMENTS, EXCEPTION_RECORD, M128A, NTSTATUS};
use platform::landing::ExportFrame;

/// What Windows starts threads with: all floating-point exceptions masked.
const MXCSR: u32 = 0x1F80;
const FLOAT_CONTROL: u16 = 0x27F;
/// Selectors of kernel code and data on x64 NT.
const KERNEL_CODE: u16 = 0x10;
const KERNEL_DATA: u16 = 0x18;
/// The reserved bit and the interrupt flag.
const FLAGS: u32 = 0x202;

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

#[expect(clippy::cast_possible_truncation, reason = "the two halves are what is wanted")]
fn split(value: u128) -> M128A {
    M128A { Low: value as u64, High: ((value >> 64) as u64).cast_signed() }
}
