//! Stand-in code: does one instruction's work with every register and flag as the instruction leaves them, then jumps
//! behind it.
//!
//! It uses no stack, calls nothing, and keeps registers for a moment in the scratch words of the thread's own block. One
//! of its instructions may fault on the driver's behalf; everything is then as it was at the site, but for one register
//! that the scratch words hold.

use iced_x86::{
    Code, Encoder, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
};
use platform::entry::{IRQL_OFFSET, SCRATCH_OFFSET};

use super::{JUMP, irql};
use crate::emulate::{MAX_LENGTH, number, shared_data};

/// Bytes of the largest.
pub(super) const SIZE: usize = 128;
/// Scratch words: RAX, then another register or value.
pub(super) const SCRATCH_REGISTER: usize = 1;
const RAX: u8 = 0;
const RSP: u8 = 4;

/// What an instruction does that cannot be done where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// `mov register, cr8`
    ReadIrql,
    /// `mov cr8, register`
    WriteIrql,
    /// A load from KUSER_SHARED_DATA, of which the machine's copy is at this address.
    Load { copy: u64 },
}

/// Finished code.
pub(super) struct Cave {
    pub(super) bytes: Vec<u8>,
    /// Offset of the instruction that may fault.
    pub(super) fault: usize,
    /// The register that is put aside there.
    pub(super) scratch: Option<u8>,
}

/// The code for an instruction, to lie at `place`. None when there is none.
pub(super) fn make(
    instruction: &Instruction,
    bytes: &[u8; MAX_LENGTH],
    work: Work,
    place: u64,
) -> Option<Cave> {
    let mut code = Assembly { bytes: Vec::with_capacity(SIZE), place };
    let (fault, scratch) = match work {
        Work::ReadIrql => (read_irql(&mut code, instruction)?, None),
        Work::WriteIrql => (write_irql(&mut code, instruction, bytes)?, None),
        Work::Load { copy } if instruction.memory_base() == Register::None => {
            (load_constant(&mut code, instruction, bytes, copy)?, None)
        }
        Work::Load { copy } => {
            let (fault, scratch) = load(&mut code, instruction, copy)?;
            (fault, Some(scratch))
        }
    };
    (code.bytes.len() <= SIZE).then_some(Cave { bytes: code.bytes, fault, scratch })
}

struct Assembly {
    bytes: Vec<u8>,
    place: u64,
}

/// The bits of `register` in a REX prefix and a ModRM byte's middle field.
fn middle(register: u8) -> (u8, u8) {
    (register >> 3 << 2, (register & 7) << 3)
}

impl Assembly {
    fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn here(&self) -> u64 {
        self.place + self.bytes.len() as u64
    }

    /// `opcode register, gs:[offset]` on 64 bits, in either direction.
    fn thread_word(&mut self, opcode: u8, register: u8, word: usize) {
        const GS: u8 = 0x65;
        const REX_W: u8 = 0x48;
        let (rex, modrm) = middle(register);
        self.raw(&[GS, REX_W | rex, opcode, modrm | 4, 0x25]);
        let offset = SCRATCH_OFFSET + i32::try_from(word * 8).unwrap_or_default();
        self.raw(&offset.to_le_bytes());
    }

    fn save(&mut self, register: u8, word: usize) {
        self.thread_word(0x89, register, word);
    }

    fn restore(&mut self, register: u8, word: usize) {
        self.thread_word(0x8B, register, word);
    }

    fn encode(&mut self, instruction: &Instruction) -> Option<()> {
        let mut encoder = Encoder::new(64);
        encoder.encode(instruction, self.here()).ok()?;
        let bytes = encoder.take_buffer();
        self.raw(&bytes);
        Some(())
    }

    fn jump(&mut self, target: u64) -> Option<()> {
        let distance = target.wrapping_sub(self.here() + 5).cast_signed();
        let distance = i32::try_from(distance).ok()?;
        self.raw(&[JUMP]);
        self.raw(&distance.to_le_bytes());
        Some(())
    }
}

/// `movzx register, byte ptr gs:[irql]`. Cannot fault.
fn read_irql(code: &mut Assembly, instruction: &Instruction) -> Option<usize> {
    let target = number(instruction.op0_register()).filter(|target| *target != RSP)?;
    let (rex, modrm) = middle(target);
    code.raw(&[0x65, 0x40 | rex, 0x0F, 0xB6, modrm | 4, 0x25]);
    code.raw(&IRQL_OFFSET.to_le_bytes());
    code.jump(instruction.next_ip())?;
    Some(code.bytes.len())
}

/// Hands the value to [`irql::write`], with the place of a record: the site, what follows it, and the instruction itself,
/// which faults here in place of the site when the value is none that can be written.
fn write_irql(code: &mut Assembly, instruction: &Instruction, bytes: &[u8; MAX_LENGTH]) -> Option<usize> {
    const WORD: usize = 8;
    let source = number(instruction.op1_register()).filter(|source| *source != RSP)?;
    code.save(RAX, 0);
    code.save(source, 1);
    let length = instruction.len();
    // lea rax, [rip + to the record]; jmp [rip + to the routine's address]; the instruction.
    let lea_end = code.bytes.len() + 7;
    let jump_end = lea_end + 6;
    let fault = jump_end;
    let record = (fault + length).next_multiple_of(WORD);
    code.raw(&[0x48, 0x8D, 0x05]);
    code.raw(&i32::try_from(record - lea_end).ok()?.to_le_bytes());
    code.raw(&[0xFF, 0x25]);
    code.raw(&i32::try_from(record + 3 * WORD - jump_end).ok()?.to_le_bytes());
    code.raw(&bytes[..length]);
    code.bytes.resize(record, 0xCC);
    let routine = irql::write as *const () as u64;
    for word in [instruction.ip(), instruction.next_ip(), code.place + fault as u64, routine] {
        code.raw(&word.to_le_bytes());
    }
    Some(fault)
}

/// The instruction with another constant. Cannot fault: nobody takes the copy away.
fn load_constant(
    code: &mut Assembly,
    instruction: &Instruction,
    bytes: &[u8; MAX_LENGTH],
    copy: u64,
) -> Option<usize> {
    if instruction.memory_index() != Register::None || instruction.memory_displ_size() != 8 {
        return None;
    }
    let length = instruction.len();
    let constant = copy.wrapping_add(instruction.memory_displacement64().wrapping_sub(shared_data::ADDRESS));
    code.raw(&bytes[..length - 8]);
    code.raw(&constant.to_le_bytes());
    code.jump(instruction.next_ip())?;
    Some(code.bytes.len())
}

/// Computes the address; one inside of the shared data is moved to the copy, all others stay. Then the instruction, on
/// that address.
fn load(code: &mut Assembly, instruction: &Instruction, copy: u64) -> Option<(usize, u8)> {
    let scratch = scratch_register(instruction)?;
    let register = number(scratch)?;
    let (rex, modrm) = middle(register);
    let size = instruction.memory_size().size() as u64;
    let last = u32::try_from(shared_data::SIZE.checked_sub(size)?).ok()?;
    code.save(RAX, 0);
    code.save(register, SCRATCH_REGISTER);
    let mut address = *instruction;
    address.set_code(Code::Lea_r64_m);
    address.set_op0_kind(OpKind::Register);
    address.set_op0_register(scratch);
    address.set_op1_kind(OpKind::Memory);
    address.set_segment_prefix(Register::None);
    code.encode(&address)?;
    // lahf; seto al: the flags that the comparison changes.
    code.raw(&[0x9F, 0x0F, 0x90, 0xC0]);
    // sub scratch, [where the data is]; cmp scratch, where the last operand of this size may begin; ja
    code.raw(&[0x48 | rex, 0x2B, modrm | 5]);
    let first_constant = code.bytes.len();
    code.raw(&[0; 4]);
    code.raw(&[0x48 | (rex >> 2), 0x81, 0xF8 | (register & 7)]);
    code.raw(&last.to_le_bytes());
    code.raw(&[0x77, 9]);
    // add scratch, [where the copy is]; jmp over the next
    code.raw(&[0x48 | rex, 0x03, modrm | 5]);
    let second_constant = code.bytes.len();
    code.raw(&[0; 4]);
    code.raw(&[0xEB, 7]);
    // add scratch, [where the data is]
    code.raw(&[0x48 | rex, 0x03, modrm | 5]);
    let third_constant = code.bytes.len();
    code.raw(&[0; 4]);
    // add al, 7fh; sahf: the flags again.
    code.raw(&[0x04, 0x7F, 0x9E]);
    code.restore(RAX, 0);
    let fault = code.bytes.len();
    let mut access = *instruction;
    access.set_memory_base(scratch);
    access.set_memory_index(Register::None);
    access.set_memory_index_scale(1);
    access.set_memory_displacement64(0);
    access.set_memory_displ_size(0);
    access.set_segment_prefix(Register::None);
    code.encode(&access)?;
    code.restore(register, SCRATCH_REGISTER);
    code.jump(instruction.next_ip())?;
    let constants = code.bytes.len();
    for (field, constant) in [(first_constant, 0), (second_constant, 8), (third_constant, 0)] {
        let distance = u32::try_from(constants + constant - (field + 4)).ok()?;
        code.bytes[field..field + 4].copy_from_slice(&distance.to_le_bytes());
    }
    code.raw(&shared_data::ADDRESS.to_le_bytes());
    code.raw(&copy.to_le_bytes());
    Some((fault, register))
}

/// A register that the instruction does not use, if it reads one place in memory that any register can point to.
fn scratch_register(instruction: &Instruction) -> Option<Register> {
    const CANDIDATES: [Register; 9] = [
        Register::RCX,
        Register::RDX,
        Register::RBX,
        Register::RSI,
        Register::RDI,
        Register::R8,
        Register::R9,
        Register::R10,
        Register::R11,
    ];
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(instruction);
    let [memory] = info.used_memory() else { return None };
    let index = instruction.memory_index();
    let plain = memory.access() == OpAccess::Read
        && !matches!(memory.segment(), Register::FS | Register::GS)
        && instruction.memory_base().is_gpr64()
        && (index == Register::None || index.is_gpr64())
        && (0..instruction.op_count()).any(|operand| instruction.op_kind(operand) == OpKind::Memory)
        && (1..=64).contains(&instruction.memory_size().size())
        && instruction.flow_control() == FlowControl::Next
        && !instruction.is_stack_instruction()
        // The bit's number is a part of the address.
        && !matches!(instruction.mnemonic(), Mnemonic::Bt);
    if !plain {
        return None;
    }
    // RAX's value is put back before the access, and a stack pointer is none to load into.
    let used = info.used_registers();
    let uses = |register: Register| used.iter().any(|used| used.register().full_register() == register);
    let writes_stack_pointer = used
        .iter()
        .any(|used| used.register().full_register() == Register::RSP && used.access() != OpAccess::Read);
    let high = used
        .iter()
        .any(|used| matches!(used.register(), Register::AH | Register::BH | Register::CH | Register::DH));
    let encodable = |register: &&Register| !high || register.number() < 8;
    CANDIDATES
        .iter()
        .filter(encodable)
        .find(|register| !uses(**register))
        .copied()
        .filter(|_| !writes_stack_pointer)
}
