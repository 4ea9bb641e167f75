//! Loads from KUSER_SHARED_DATA, whose address no Linux process can map.
//!
//! The faulting instruction itself is executed again, on the driver's registers, with its address register pointing to
//! a copy of the data: whatever it does with what it loads, it does right.

use std::cell::OnceCell;

use abi::{CONTEXT, EXCEPTION_RECORD};
use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};
use platform::entry::Region;
use platform::memory::copy_from;
use platform::pages::{PAGE_SIZE, Protection, Reservation, SYSTEM_SPACE};

use super::{Emulated, MAX_LENGTH, decode, number};
use crate::patch::{self, Work};
use crate::unwind::{register, register_mut};

/// KUSER_SHARED_DATA as x64 kernels map it.
pub(crate) const ADDRESS: u64 = 0xFFFF_F780_0000_0000;
/// Its bytes.
pub(crate) const SIZE: u64 = PAGE_SIZE as u64;
const READ: usize = 0;
/// Largest operand, and the alignment that any instruction asks for.
const LINE: usize = 64;

/// The part of the data that an operand can touch.
#[repr(C, align(64))]
struct Window([u8; 2 * LINE]);

/// Whether the fault is a load from the shared data.
pub(super) fn holds(record: &EXCEPTION_RECORD) -> bool {
    let [operation, address, ..] = record.ExceptionInformation;
    operation == READ && (ADDRESS..ADDRESS + SIZE).contains(&(address as u64))
}

/// Executes the load. `Exception` for instructions that use their address register as data too, or write memory.
pub(super) fn load(region: Region, context: &mut CONTEXT, record: &EXCEPTION_RECORD) -> Emulated {
    let address = record.ExceptionInformation[1] as u64;
    let Some((instruction, bytes)) = decode(context) else { return Emulated::Exception };
    let Some(owner) = region.owner() else { return Emulated::Exception };
    let Some(operand) = Operand::of(&instruction) else { return Emulated::Exception };
    if owner.keep_shared_user_data_current() {
        patch::install(&instruction, &bytes, Work::Load { copy: owner.shared_user_data() as u64 });
    }
    let offset = address - ADDRESS;
    let line = offset & !(LINE as u64 - 1);
    let length = (SIZE - line).min(2 * LINE as u64);
    let mut window = Window([0; 2 * LINE]);
    let Some(part) = usize::try_from(length).ok().and_then(|length| window.0.get_mut(..length)) else {
        return Emulated::Exception;
    };
    if copy_from(part, owner.shared_user_data() as u64 + line).is_err() {
        return Emulated::Exception;
    }
    let copy = (&raw const window).expose_provenance() as u64 + (offset - line);
    let executed = execute(context, &instruction, bytes, operand, copy.wrapping_sub(address));
    if executed { Emulated::Done } else { Emulated::Exception }
}

/// How the instruction names the address.
#[derive(Clone, Copy)]
enum Operand {
    /// In a register, which it may overwrite with this many of its low bytes.
    Base { number: u8, overwritten: Option<usize> },
    /// As a 64-bit constant at its end.
    Constant,
}

impl Operand {
    fn of(instruction: &Instruction) -> Option<Self> {
        let mut factory = InstructionInfoFactory::new();
        let info = factory.info(instruction);
        let [memory] = info.used_memory() else { return None };
        // FS and GS have bases of their own; a push or a call would use the emulator's stack.
        let plain =
            !matches!(memory.segment(), Register::FS | Register::GS) && !instruction.is_stack_instruction();
        if memory.access() != OpAccess::Read || !plain {
            return None;
        }
        if memory.base() == Register::None {
            let constant = memory.index() == Register::None && instruction.memory_displ_size() == 8;
            return constant.then_some(Self::Constant);
        }
        let base = memory.base();
        let number = number(base).filter(|_| base.is_gpr64() && base != Register::RSP)?;
        if memory.index() == base || reads_implicitly(instruction, base) {
            return None;
        }
        let mut overwritten = None;
        for index in 0..instruction.op_count() {
            if instruction.op_kind(index) != OpKind::Register {
                continue;
            }
            let target = instruction.op_register(index);
            if target.full_register() == base {
                let high = matches!(target, Register::AH | Register::BH | Register::CH | Register::DH);
                if info.op_access(index) != OpAccess::Write || high {
                    return None;
                }
                overwritten = Some(target.size());
            }
        }
        Some(Self::Base { number, overwritten })
    }
}

/// Multiplications and divisions by memory use RAX and RDX without naming them.
fn reads_implicitly(instruction: &Instruction, base: Register) -> bool {
    matches!(base, Register::RAX | Register::RDX)
        && instruction.op_count() == 1
        && matches!(instruction.mnemonic(), Mnemonic::Mul | Mnemonic::Imul | Mnemonic::Div | Mnemonic::Idiv)
}

thread_local! {
    static PAGE: OnceCell<Option<Reservation>> = const { OnceCell::new() };
}

/// An executable page of the thread's own.
fn page() -> Option<usize> {
    PAGE.with(|page| {
        let reservation = page.get_or_init(|| {
            let first = (&raw const *page).addr() / PAGE_SIZE;
            // Behind the machines' slabs: the upper half of system space is free.
            let middle = SYSTEM_SPACE.start + SYSTEM_SPACE.len() / 2;
            let pages = middle..middle + (1 << 30);
            let page = Reservation::first_free(pages, PAGE_SIZE, PAGE_SIZE, first).ok()?;
            page.commit(0, PAGE_SIZE, Protection::ReadWriteExecute).ok()?;
            Some(page)
        });
        reservation.as_ref().map(Reservation::base)
    })
}

/// Runs a copy of the instruction with its address moved by `distance`. False when that is not possible.
fn execute(
    context: &mut CONTEXT,
    instruction: &Instruction,
    bytes: [u8; MAX_LENGTH],
    operand: Operand,
    distance: u64,
) -> bool {
    const CONSTANT: usize = 8;
    let Some(code) = page() else { return false };
    let length = instruction.len();
    let mut copy = bytes;
    let saved = match operand {
        Operand::Constant => {
            let Some(constant) = copy[..length].last_chunk_mut::<CONSTANT>() else { return false };
            *constant = u64::from_le_bytes(*constant).wrapping_add(distance).to_le_bytes();
            None
        }
        Operand::Base { number, overwritten } => {
            let base = register_mut(context, number);
            let before = *base;
            *base = before.wrapping_add(distance);
            Some((number, overwritten, before))
        }
    };
    write_code(code, &copy[..length]);
    // SAFETY: the page holds the instruction, which reads only the window and writes no memory, and the way back.
    unsafe { run(context, code) };
    if let Some((number, overwritten, before)) = saved {
        let after = register(context, number);
        *register_mut(context, number) = match overwritten {
            None => before,
            Some(1) => before & !0xFF | after & 0xFF,
            Some(2) => before & !0xFFFF | after & 0xFFFF,
            // Writing 32 bits clears the upper half.
            Some(_) => after,
        };
    }
    context.Rip = instruction.next_ip();
    true
}

/// The instruction, then `jmp [rip]` through the address of [`back`].
fn write_code(code: usize, instruction: &[u8]) {
    const JUMP: [u8; 6] = [0xFF, 0x25, 0, 0, 0, 0];
    let mut bytes = [0_u8; MAX_LENGTH + JUMP.len() + 8];
    let (front, rest) = bytes.split_at_mut(instruction.len());
    front.copy_from_slice(instruction);
    rest[..JUMP.len()].copy_from_slice(&JUMP);
    rest[JUMP.len()..JUMP.len() + 8].copy_from_slice(&(back as *const () as u64).to_le_bytes());
    let page = std::ptr::with_exposed_provenance_mut::<u8>(code);
    // SAFETY: the page is the calling thread's own, committed and writable.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), page, bytes.len()) };
}

/// rdi context, rsi code: jumps to the code with all the context's registers but RSP; [`back`] stores them again.
///
/// # Safety
/// The code is one instruction that touches neither RSP nor memory that may not be there, then a jump to [`back`].
#[unsafe(naked)]
unsafe extern "sysv64" fn run(context: *mut CONTEXT, code: usize) {
    std::arch::naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        "push rdi",
        "push rsi",
        "fxrstor64 [rdi + 0x100]",
        "mov eax, [rdi + 0x44]",
        "and eax, 0xCD5",
        "push rax",
        "popfq",
        "mov rax, [rdi + 0x78]",
        "mov rcx, [rdi + 0x80]",
        "mov rdx, [rdi + 0x88]",
        "mov rbx, [rdi + 0x90]",
        "mov rbp, [rdi + 0xA0]",
        "mov rsi, [rdi + 0xA8]",
        "mov r8, [rdi + 0xB8]",
        "mov r9, [rdi + 0xC0]",
        "mov r10, [rdi + 0xC8]",
        "mov r11, [rdi + 0xD0]",
        "mov r12, [rdi + 0xD8]",
        "mov r13, [rdi + 0xE0]",
        "mov r14, [rdi + 0xE8]",
        "mov r15, [rdi + 0xF0]",
        "mov rdi, [rdi + 0xB0]",
        "jmp qword ptr [rsp]",
    )
}

/// The end of [`run`].
#[unsafe(naked)]
unsafe extern "sysv64" fn back() {
    std::arch::naked_asm!(
        "xchg rdi, [rsp + 8]",
        "mov [rdi + 0x78], rax",
        "mov [rdi + 0x80], rcx",
        "mov [rdi + 0x88], rdx",
        "mov [rdi + 0x90], rbx",
        "mov [rdi + 0xA0], rbp",
        "mov [rdi + 0xA8], rsi",
        "mov [rdi + 0xB8], r8",
        "mov [rdi + 0xC0], r9",
        "mov [rdi + 0xC8], r10",
        "mov [rdi + 0xD0], r11",
        "mov [rdi + 0xD8], r12",
        "mov [rdi + 0xE0], r13",
        "mov [rdi + 0xE8], r14",
        "mov [rdi + 0xF0], r15",
        "pushfq",
        "pop rax",
        "mov [rdi + 0x44], eax",
        "mov rax, [rsp + 8]",
        "mov [rdi + 0xB0], rax",
        "fxsave64 [rdi + 0x100]",
        "cld",
        "add rsp, 16",
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
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
