//! Epilogues: a frame that has begun to disappear is finished by doing what its remaining instructions would do.

use abi::{CONTEXT, RUNTIME_FUNCTION};
use platform::memory::copy_from;

use super::codes::{Info, in_listed_epilogue, register, register_mut};
use super::{UnwindError, leave_leaf, read_stack};
use crate::tables::Tables;

/// Longest epilogue that is looked at: an addition, eight pops, a jump.
const WINDOW: usize = 64;

#[derive(Clone, Copy)]
enum Instruction {
    /// `add rsp, constant` or `lea rsp, [rsp + constant]`
    Add(u64),
    /// `lea rsp, [frame register + constant]`
    FromFrameRegister(u8, u64),
    Pop(u8),
    /// `ret`, or a jump out of the function.
    Leave,
}

/// If RIP lies in an epilogue, brings `context` to the caller and returns true; else changes nothing.
pub(super) fn finish(
    tables: &Tables,
    function: &RUNTIME_FUNCTION,
    info: &Info,
    context: &mut CONTEXT,
) -> Result<bool, UnwindError> {
    let end = tables.base + u64::from(function.EndAddress);
    let distance = end.wrapping_sub(context.Rip);
    if in_listed_epilogue(info, distance)? == Some(false) {
        return Ok(false);
    }
    let mut window = [0; WINDOW];
    let length = usize::try_from(distance).unwrap_or(WINDOW).min(WINDOW);
    let last = context.Rip.saturating_add(length as u64);
    if !tables.contains(last.saturating_sub(1)) || copy_from(&mut window[..length], context.Rip).is_err() {
        return Ok(false);
    }
    // The jump of a patched instruction is none out of the function.
    tables.patches().show_original(context.Rip, &mut window[..length]);
    let mut rest = &window[..length];
    let mut instructions = [Instruction::Leave; WINDOW / 2];
    let mut count = 0;
    loop {
        let at = context.Rip + (length - rest.len()) as u64;
        let Some((instruction, used)) = parse(rest, at, tables, function, info) else { return Ok(false) };
        let is_first = count == 0;
        match instruction {
            Instruction::Leave => break,
            Instruction::Add(_) | Instruction::FromFrameRegister(..) if !is_first => return Ok(false),
            _ => {}
        }
        let Some(slot) = instructions.get_mut(count) else { return Ok(false) };
        *slot = instruction;
        count += 1;
        rest = &rest[used..];
    }
    for instruction in &instructions[..count] {
        apply(*instruction, context)?;
    }
    leave_leaf(context)?;
    Ok(true)
}

fn apply(instruction: Instruction, context: &mut CONTEXT) -> Result<(), UnwindError> {
    match instruction {
        Instruction::Add(constant) => context.Rsp = context.Rsp.wrapping_add(constant),
        Instruction::FromFrameRegister(number, constant) => {
            context.Rsp = register(context, number).wrapping_add(constant);
        }
        Instruction::Pop(number) => {
            let value = read_stack(context.Rsp)?;
            context.Rsp = context.Rsp.wrapping_add(8);
            *register_mut(context, number) = value;
        }
        Instruction::Leave => {}
    }
    Ok(())
}

/// The instruction at the front of `code` if epilogues may contain it, and its length.
fn parse(
    code: &[u8],
    address: u64,
    tables: &Tables,
    function: &RUNTIME_FUNCTION,
    info: &Info,
) -> Option<(Instruction, usize)> {
    let first = *code.first()?;
    let (rex, prefix) = if first & 0xF0 == 0x40 { (first & 15, 1) } else { (0, 0) };
    let code = &code[prefix..];
    let (wide, extended) = (rex & 8 != 0, (rex & 1) << 3);
    let sized = |instruction, length| Some((instruction, prefix + length));
    match *code {
        [0x83, 0xC4, constant, ..] if wide => sized(Instruction::Add(sign_extend_byte(constant)), 3),
        [0x81, 0xC4, a, b, c, d, ..] if wide => sized(Instruction::Add(sign_extend([a, b, c, d])), 6),
        [0x8D, modrm, ref rest @ ..] if wide => {
            let (instruction, length) = lea(modrm, extended, rest, info)?;
            sized(instruction, 2 + length)
        }
        [pop @ 0x58..=0x5F, ..] => sized(Instruction::Pop((pop & 7) | extended), 1),
        [0xC3, ..] => sized(Instruction::Leave, 1),
        [0xC2, _, _, ..] => sized(Instruction::Leave, 3),
        // `rep ret`, which some processors' tuning guides asked for.
        [0xF3, 0xC3, ..] if prefix == 0 => sized(Instruction::Leave, 2),
        [0xEB, distance, ..] => {
            let target = address.wrapping_add(2 + prefix as u64).wrapping_add(sign_extend_byte(distance));
            leaves(target, tables, function).then_some((Instruction::Leave, prefix + 2))
        }
        [0xE9, a, b, c, d, ..] => {
            let target = address.wrapping_add(5 + prefix as u64).wrapping_add(sign_extend([a, b, c, d]));
            leaves(target, tables, function).then_some((Instruction::Leave, prefix + 5))
        }
        // Indirect tail calls: through the import table, or marked by a REX.W prefix.
        [0xFF, modrm, ..] if modrm & 0x38 == 0x20 && (modrm == 0x25 || wide) => sized(Instruction::Leave, 2),
        _ => None,
    }
}

/// `lea rsp, [register + constant]` with the frame register.
fn lea(modrm: u8, extended: u8, rest: &[u8], info: &Info) -> Option<(Instruction, usize)> {
    const TO_RSP: u8 = 0x20;
    let base = (modrm & 7) | extended;
    if modrm & 0x38 != TO_RSP || Some(base) != info.frame_register() {
        return None;
    }
    // R12 needs a SIB byte.
    let sib = usize::from(modrm & 7 == 4);
    let rest = rest.get(sib..)?;
    let (constant, length) = match (modrm >> 6, rest) {
        (0, _) => (0, 0),
        (1, [constant, ..]) => (sign_extend_byte(*constant), 1),
        (2, [a, b, c, d, ..]) => (sign_extend([*a, *b, *c, *d]), 4),
        _ => return None,
    };
    Some((Instruction::FromFrameRegister(base, constant), sib + length))
}

/// A jump to the function's start is a tail call too.
fn leaves(target: u64, tables: &Tables, function: &RUNTIME_FUNCTION) -> bool {
    let inside =
        tables.base + u64::from(function.BeginAddress) + 1..tables.base + u64::from(function.EndAddress);
    !inside.contains(&target)
}

fn sign_extend_byte(byte: u8) -> u64 {
    i64::from(byte.cast_signed()).cast_unsigned()
}

fn sign_extend(bytes: [u8; 4]) -> u64 {
    i64::from(i32::from_le_bytes(bytes)).cast_unsigned()
}
