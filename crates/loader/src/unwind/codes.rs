//! Unwind information of one function fragment, and undoing what its prologue did.

use abi::{CONTEXT, M128A, RUNTIME_FUNCTION, UNW_FLAG_CHAININFO};
use platform::memory::copy_from;

use super::{Handler, UnwindError, read_stack};
use crate::tables::Tables;

const HEADER: usize = 4;
const MAX_CODES: usize = 255;
const RSP: u8 = 4;

/// Operations; version 2 reuses 6 and 7, which no version 1 image has.
mod operation {
    pub(super) const PUSH_NONVOL: u8 = 0;
    pub(super) const ALLOC_LARGE: u8 = 1;
    pub(super) const ALLOC_SMALL: u8 = 2;
    pub(super) const SET_FPREG: u8 = 3;
    pub(super) const SAVE_NONVOL: u8 = 4;
    pub(super) const SAVE_NONVOL_FAR: u8 = 5;
    pub(super) const EPILOG: u8 = 6;
    pub(super) const SPARE: u8 = 7;
    pub(super) const SAVE_XMM128: u8 = 8;
    pub(super) const SAVE_XMM128_FAR: u8 = 9;
    pub(super) const PUSH_MACHFRAME: u8 = 10;
}

/// A copy of the fragment's unwind information, so that it cannot change while it is read.
pub(super) struct Info {
    address: u64,
    bytes: [u8; HEADER + 2 * MAX_CODES],
}

/// One operation with its operand slots.
#[derive(Clone, Copy)]
pub(super) struct Code {
    /// Offset in the prologue after the instruction; in epilogue codes the low byte of the operand.
    pub(super) offset: u8,
    pub(super) operation: u8,
    pub(super) info: u8,
    operand: u32,
}

impl Info {
    pub(super) fn read(tables: &Tables, rva: u32) -> Result<Self, UnwindError> {
        let address = tables.base + u64::from(rva);
        let malformed = UnwindError::Table(address);
        let mut info = Self { address, bytes: [0; HEADER + 2 * MAX_CODES] };
        info.fill(tables, rva, 0..HEADER).ok_or(malformed)?;
        if !(1..=2).contains(&info.version()) {
            return Err(malformed);
        }
        let length = 2 * usize::from(info.bytes[2]);
        info.fill(tables, rva, HEADER..HEADER + length).ok_or(malformed)?;
        Ok(info)
    }

    fn fill(&mut self, tables: &Tables, rva: u32, part: std::ops::Range<usize>) -> Option<()> {
        if !tables.holds(rva, part.end as u64) {
            return None;
        }
        let source = self.address + part.start as u64;
        copy_from(&mut self.bytes[part], source).ok()
    }

    fn version(&self) -> u8 {
        self.bytes[0] & 7
    }

    pub(super) fn flags(&self) -> u8 {
        self.bytes[0] >> 3
    }

    pub(super) fn prologue_size(&self) -> u8 {
        self.bytes[1]
    }

    /// The frame register; number 0 (RAX) means none.
    pub(super) fn frame_register(&self) -> Option<u8> {
        Some(self.bytes[3] & 15).filter(|register| *register != 0)
    }

    pub(super) fn frame_offset(&self) -> u64 {
        u64::from(self.bytes[3] >> 4) * 16
    }

    /// The codes, latest prologue instruction first.
    pub(super) fn codes(&self) -> impl Iterator<Item = Result<Code, UnwindError>> {
        let slots = &self.bytes[HEADER..HEADER + 2 * usize::from(self.bytes[2])];
        let malformed = UnwindError::Table(self.address);
        let version = self.version();
        let mut at = 0;
        std::iter::from_fn(move || {
            let head = slots.get(at..at + 2)?;
            let code = decode(head, &slots[at + 2..], version);
            at = code.map_or(slots.len(), |(_, used)| at + 2 + 2 * used);
            Some(code.map(|(code, _)| code).ok_or(malformed))
        })
    }

    pub(super) fn frame_register_set_at(&self, offset: u64) -> Result<bool, UnwindError> {
        for code in self.codes() {
            let code = code?;
            if code.operation == operation::SET_FPREG && u64::from(code.offset) <= offset {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Undoes the prologue's effects up to `offset` (all of them when none is given). True when that included a
    /// machine frame, which holds RIP and RSP.
    pub(super) fn undo(&self, context: &mut CONTEXT, offset: Option<u64>) -> Result<bool, UnwindError> {
        let done = |code: &Code| offset.is_none_or(|offset| u64::from(code.offset) <= offset);
        let mut returned = false;
        for code in self.codes() {
            let code = code?;
            if returned {
                return Err(UnwindError::Table(self.address));
            }
            if code.operation != operation::EPILOG && code.operation != operation::SPARE && done(&code) {
                returned = self.undo_one(code, context)?;
            }
        }
        Ok(returned)
    }

    fn undo_one(&self, code: Code, context: &mut CONTEXT) -> Result<bool, UnwindError> {
        match code.operation {
            operation::PUSH_NONVOL => {
                let value = read_stack(context.Rsp)?;
                context.Rsp = context.Rsp.wrapping_add(8);
                *register_mut(context, code.info) = value;
            }
            operation::ALLOC_LARGE | operation::ALLOC_SMALL => {
                context.Rsp = context.Rsp.wrapping_add(u64::from(code.operand));
            }
            operation::SET_FPREG => {
                let register = self.frame_register().ok_or(UnwindError::Table(self.address))?;
                context.Rsp = self::register(context, register).wrapping_sub(self.frame_offset());
            }
            operation::SAVE_NONVOL | operation::SAVE_NONVOL_FAR => {
                let value = read_stack(self.saved(code, context))?;
                *register_mut(context, code.info) = value;
            }
            operation::SAVE_XMM128 | operation::SAVE_XMM128_FAR => {
                let place = self.saved(code, context);
                let low = read_stack(place)?;
                let high = read_stack(place.wrapping_add(8))?.cast_signed();
                context.FltSave.XmmRegisters[usize::from(code.info)] = M128A { Low: low, High: high };
            }
            _ => {
                // A machine frame: an error code if `info` says so, then RIP, CS, RFLAGS, RSP, SS.
                let frame = context.Rsp.wrapping_add(8 * u64::from(code.info & 1));
                context.Rip = read_stack(frame)?;
                context.Rsp = read_stack(frame.wrapping_add(24))?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where a `SAVE_*` operation stored: relative to the fixed part of the frame.
    fn saved(&self, code: Code, context: &CONTEXT) -> u64 {
        let base = match self.frame_register() {
            Some(register) => self::register(context, register).wrapping_sub(self.frame_offset()),
            None => context.Rsp,
        };
        base.wrapping_add(u64::from(code.operand))
    }

    /// Address of what follows the codes, which are padded to an even number.
    fn trailer(&self) -> u64 {
        self.address + (HEADER + 2 * usize::from(self.bytes[2]).next_multiple_of(2)) as u64
    }

    pub(super) fn chained(&self, tables: &Tables) -> Option<RUNTIME_FUNCTION> {
        tables.function_at(self.trailer()).filter(|_| self.flags() & UNW_FLAG_CHAININFO != 0)
    }

    /// The handler that the flags announce; it lies in the image.
    pub(super) fn handler(&self, tables: &Tables) -> Option<Handler> {
        let rva = tables.read_u32(self.trailer())?;
        let routine = tables.base + u64::from(rva);
        tables.contains(routine).then_some(Handler { routine, data: self.trailer() + 4 })
    }
}

/// One code from its slot and the slots behind it, and how many of those it uses.
fn decode(head: &[u8], rest: &[u8], version: u8) -> Option<(Code, usize)> {
    let (operation, info) = (head[1] & 15, head[1] >> 4);
    let word = |at: usize| rest.get(at..at + 2).map(|word| u32::from(u16::from_le_bytes([word[0], word[1]])));
    let long = || Some(word(0)? | word(2)? << 16);
    let (operand, used) = match operation {
        operation::PUSH_NONVOL | operation::SET_FPREG => (0, 0),
        operation::ALLOC_LARGE if info == 0 => (word(0)? * 8, 1),
        operation::ALLOC_LARGE if info == 1 => (long()?, 2),
        operation::ALLOC_SMALL => (u32::from(info) * 8 + 8, 0),
        operation::SAVE_NONVOL => (word(0)? * 8, 1),
        operation::SAVE_NONVOL_FAR | operation::SAVE_XMM128_FAR => (long()?, 2),
        operation::EPILOG if version == 2 => (0, 0),
        operation::SPARE if version == 2 => (long()?, 2),
        operation::SAVE_XMM128 => (word(0)? * 16, 1),
        operation::PUSH_MACHFRAME if info <= 1 => (0, 0),
        _ => return None,
    };
    if operation == operation::PUSH_NONVOL && info == RSP {
        return None;
    }
    Some((Code { offset: head[0], operation, info, operand }, used))
}

/// Whether an address `distance` bytes before the function's end lies in one of its epilogues. None when the
/// information does not say: version 1, or no epilogue codes.
pub(super) fn in_listed_epilogue(info: &Info, distance: u64) -> Result<Option<bool>, UnwindError> {
    let mut size = None;
    let mut found = false;
    for code in info.codes() {
        let code = code?;
        if code.operation != operation::EPILOG {
            break;
        }
        let start = match size {
            // The first code gives the size, and in bit 0 whether one epilogue ends the function.
            None => {
                size = Some(u64::from(code.offset));
                if code.info & 1 == 0 { 0 } else { u64::from(code.offset) }
            }
            Some(_) => u64::from(code.offset) | u64::from(code.info) << 8,
        };
        let length = size.unwrap_or_default();
        // Offset 0 is padding.
        found |= start != 0 && distance <= start && distance > start.saturating_sub(length);
    }
    Ok(size.map(|_| found))
}

/// The general register with this number in instruction encodings.
pub(crate) fn register(context: &CONTEXT, number: u8) -> u64 {
    match number & 15 {
        0 => context.Rax,
        1 => context.Rcx,
        2 => context.Rdx,
        3 => context.Rbx,
        4 => context.Rsp,
        5 => context.Rbp,
        6 => context.Rsi,
        7 => context.Rdi,
        8 => context.R8,
        9 => context.R9,
        10 => context.R10,
        11 => context.R11,
        12 => context.R12,
        13 => context.R13,
        14 => context.R14,
        _ => context.R15,
    }
}

/// As [`register`], to be changed.
pub(crate) fn register_mut(context: &mut CONTEXT, number: u8) -> &mut u64 {
    match number & 15 {
        0 => &mut context.Rax,
        1 => &mut context.Rcx,
        2 => &mut context.Rdx,
        3 => &mut context.Rbx,
        4 => &mut context.Rsp,
        5 => &mut context.Rbp,
        6 => &mut context.Rsi,
        7 => &mut context.Rdi,
        8 => &mut context.R8,
        9 => &mut context.R9,
        10 => &mut context.R10,
        11 => &mut context.R11,
        12 => &mut context.R12,
        13 => &mut context.R13,
        14 => &mut context.R14,
        _ => &mut context.R15,
    }
}
