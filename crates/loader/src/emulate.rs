//! Instructions that work in a kernel and fault in a process: done on the driver's behalf, or given NT's meaning.
//!
//! `mov` to and from CR8 and loads from KUSER_SHARED_DATA are executed; fast fails, assertions and breakpoints become
//! what they are on NT; privileged instructions become STATUS_PRIVILEGED_INSTRUCTION in the driver. All other faults
//! are left to the dispatcher.

pub(crate) mod shared_data;

use abi::{
    CONTEXT, EXCEPTION_NONCONTINUABLE, EXCEPTION_RECORD, STATUS_ACCESS_VIOLATION, STATUS_ASSERTION_FAILURE,
    STATUS_BREAKPOINT, STATUS_INTEGER_DIVIDE_BY_ZERO, STATUS_INTEGER_OVERFLOW, STATUS_PRIVILEGED_INSTRUCTION,
    STATUS_STACK_BUFFER_OVERRUN,
};
use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use platform::entry::{Region, Stop};
use platform::memory::Scalar as _;

use crate::patch::{self, Work};
use crate::tables::Tables;
use crate::unwind::{register, register_mut};

/// Of an instruction, in bytes.
pub(crate) const MAX_LENGTH: usize = 15;
const KERNEL_SECURITY_CHECK_FAILURE: u32 = 0x139;

/// What became of a faulting instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emulated {
    /// It has been executed; the context is behind it.
    Done,
    /// It stops the machine, with no handler asked.
    Stop(Stop),
    /// It raises what the record says.
    Exception,
}

/// Looks at the instruction that faulted with `record` in `context`.
pub(crate) fn instruction(region: Region, context: &mut CONTEXT, record: &mut EXCEPTION_RECORD) -> Emulated {
    match record.ExceptionCode {
        STATUS_ACCESS_VIOLATION if shared_data::holds(record) => shared_data::load(region, context, record),
        // What the processor calls a general-protection fault comes without an address.
        STATUS_ACCESS_VIOLATION if record.ExceptionInformation[1] == usize::MAX => {
            protection_fault(region, context, record)
        }
        STATUS_BREAKPOINT => breakpoint(context, record),
        STATUS_INTEGER_DIVIDE_BY_ZERO => division(context, record),
        _ => Emulated::Exception,
    }
}

/// The bytes at RIP, as many as can be read.
fn fetch(rip: u64) -> ([u8; MAX_LENGTH], usize) {
    let mut bytes = [0; MAX_LENGTH];
    let mut length = 0;
    for (address, byte) in (rip..).zip(&mut bytes) {
        match u8::read(address) {
            Ok(value) => *byte = value,
            Err(_) => break,
        }
        length += 1;
    }
    if let Some(tables) = Tables::find(rip) {
        tables.patches().show_original(rip, &mut bytes[..length]);
    }
    (bytes, length)
}

/// The instruction at RIP and its bytes; None when there is none.
fn decode(context: &CONTEXT) -> Option<(Instruction, [u8; MAX_LENGTH])> {
    let (bytes, length) = fetch(context.Rip);
    let mut decoder = Decoder::with_ip(64, &bytes[..length], context.Rip, DecoderOptions::NONE);
    let instruction = decoder.decode();
    (!instruction.is_invalid()).then_some((instruction, bytes))
}

fn protection_fault(region: Region, context: &mut CONTEXT, record: &mut EXCEPTION_RECORD) -> Emulated {
    let Some((instruction, bytes)) = decode(context) else { return Emulated::Exception };
    match instruction.code() {
        Code::Mov_r64_cr if instruction.op1_register() == Register::CR8 => {
            patch::install(&instruction, &bytes, Work::ReadIrql);
            read_cr8(region, context, &instruction)
        }
        Code::Mov_cr_r64 if instruction.op0_register() == Register::CR8 => {
            patch::install(&instruction, &bytes, Work::WriteIrql);
            write_cr8(region, context, record, &instruction)
        }
        Code::Int_imm8 => interrupt(context, record, instruction.immediate8()),
        _ if instruction.is_privileged() => {
            set(record, STATUS_PRIVILEGED_INSTRUCTION, &[]);
            Emulated::Exception
        }
        _ => Emulated::Exception,
    }
}

fn set(record: &mut EXCEPTION_RECORD, status: abi::NTSTATUS, parameters: &[u64]) {
    record.ExceptionCode = status;
    record.ExceptionInformation = [0; 15];
    record.NumberParameters = 0;
    for (slot, parameter) in record.ExceptionInformation.iter_mut().zip(parameters) {
        *slot = usize::try_from(*parameter).unwrap_or(usize::MAX);
        record.NumberParameters += 1;
    }
}

/// A general register's number in instructions.
pub(crate) fn number(register: Register) -> Option<u8> {
    let register = register.full_register();
    register.is_gpr64().then(|| u8::try_from(register.number()).ok()).flatten()
}

fn read_cr8(region: Region, context: &mut CONTEXT, instruction: &Instruction) -> Emulated {
    let Some(target) = number(instruction.op0_register()) else { return Emulated::Exception };
    *register_mut(context, target) = u64::from(region.irql());
    context.Rip = instruction.next_ip();
    Emulated::Done
}

fn write_cr8(
    region: Region,
    context: &mut CONTEXT,
    record: &mut EXCEPTION_RECORD,
    instruction: &Instruction,
) -> Emulated {
    let (Some(owner), Some(source)) = (region.owner(), number(instruction.op1_register())) else {
        return Emulated::Exception;
    };
    let irql = u8::try_from(register(context, source)).ok();
    if irql.is_some_and(|irql| owner.write_cr8(irql)) {
        context.Rip = instruction.next_ip();
        return Emulated::Done;
    }
    // Reserved bits: the processor's own protection fault.
    set(record, STATUS_ACCESS_VIOLATION, &[0, u64::MAX]);
    Emulated::Exception
}

fn interrupt(context: &CONTEXT, record: &mut EXCEPTION_RECORD, vector: u8) -> Emulated {
    match vector {
        0x29 => {
            let reason = context.Rcx & 0xFFFF_FFFF;
            set(record, STATUS_STACK_BUFFER_OVERRUN, &[reason]);
            record.ExceptionFlags = EXCEPTION_NONCONTINUABLE;
            Emulated::Stop(Stop { code: KERNEL_SECURITY_CHECK_FAILURE, parameters: [reason, 0, 0, 0] })
        }
        0x2C => {
            set(record, STATUS_ASSERTION_FAILURE, &[]);
            Emulated::Exception
        }
        // A debugger's service; there is no debugger.
        0x2D => {
            set(record, STATUS_BREAKPOINT, &[context.Rax]);
            Emulated::Exception
        }
        _ => Emulated::Exception,
    }
}

/// Linux reports RIP behind the instruction, NT on it.
fn breakpoint(context: &mut CONTEXT, record: &mut EXCEPTION_RECORD) -> Emulated {
    const INT3: u8 = 0xCC;
    let length = if u8::read(context.Rip.wrapping_sub(1)) == Ok(INT3) { 1 } else { 2 };
    context.Rip = context.Rip.wrapping_sub(length);
    set(record, STATUS_BREAKPOINT, &[0]);
    record.ExceptionAddress =
        std::ptr::with_exposed_provenance_mut(usize::try_from(context.Rip).unwrap_or_default());
    Emulated::Exception
}

/// The processor has one fault for a divisor of zero and for a quotient that does not fit; NT tells them apart.
fn division(context: &CONTEXT, record: &mut EXCEPTION_RECORD) -> Emulated {
    let divisor = decode(context).and_then(|(instruction, _)| divisor(&instruction, context));
    if divisor.is_some_and(|divisor| divisor != 0) {
        set(record, STATUS_INTEGER_OVERFLOW, &[]);
    }
    Emulated::Exception
}

fn divisor(instruction: &Instruction, context: &CONTEXT) -> Option<u64> {
    if !matches!(instruction.mnemonic(), Mnemonic::Div | Mnemonic::Idiv) {
        return None;
    }
    let (value, size) = match instruction.op0_kind() {
        OpKind::Register => {
            let operand = instruction.op0_register();
            let value = register(context, number(operand)?);
            let high = matches!(operand, Register::AH | Register::BH | Register::CH | Register::DH);
            (if high { value >> 8 } else { value }, operand.size())
        }
        OpKind::Memory => {
            let address = effective_address(instruction, context)?;
            let size = instruction.memory_size().size();
            let value = match size {
                1 => u8::read(address).map(u64::from),
                2 => u16::read(address).map(u64::from),
                4 => u32::read(address).map(u64::from),
                _ => u64::read(address),
            };
            (value.ok()?, size)
        }
        _ => return None,
    };
    let unused = 64_u32.saturating_sub(u32::try_from(size).ok()? * 8);
    Some(value << unused)
}

fn effective_address(instruction: &Instruction, context: &CONTEXT) -> Option<u64> {
    let operand = (0..instruction.op_count()).find(|index| instruction.op_kind(*index) == OpKind::Memory)?;
    instruction.virtual_address(operand, 0, |name, _, _| {
        if name.is_segment_register() {
            // The bases of FS and GS are Linux's and ours; no divisor is there.
            return (!matches!(name, Register::FS | Register::GS)).then_some(0);
        }
        number(name).map(|number| register(context, number))
    })
}
