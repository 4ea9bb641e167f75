//! Virtual unwinding: from a frame's registers to its caller's, by the image's function and unwind tables.
//!
//! The format is the one of "x64 exception handling" in Microsoft's C++ documentation, with version 2's epilogue
//! codes. Tables and stack are read through accesses that may fail: a malformed table is an error, never a fault.
//! Which handlers run, and when, is [`seh`](crate::seh)'s matter.

mod codes;
mod epilogue;

use abi::{CONTEXT, RUNTIME_FUNCTION, UNW_FLAG_CHAININFO};
use platform::memory::Scalar as _;
use thiserror::Error;

use crate::tables::Tables;
use codes::Info;
pub(crate) use codes::{register, register_mut};

/// Fragments of one function; real chains have two or three.
const MAX_CHAIN: usize = 32;

/// Why a frame could not be unwound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum UnwindError {
    /// Unwind information lies outside of its image, or contradicts itself.
    #[error("the unwind information at {0:#x} is malformed")]
    Table(u64),
    /// A saved register cannot be read.
    #[error("the stack at {0:#x} cannot be read")]
    Stack(u64),
    /// The caller's frame does not lie where callers lie.
    #[error("the stack pointer {0:#x} is wrong")]
    StackPointer(u64),
}

/// A language handler and its data, as absolute addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handler {
    pub(crate) routine: u64,
    pub(crate) data: u64,
}

/// What unwinding one frame yields besides the caller's registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// The function's fixed stack address, by which its handlers know it.
    pub(crate) establisher: u64,
    /// The handler of the asked-for kind; none in prologue and epilogue.
    pub(crate) handler: Option<Handler>,
}

/// One step outwards.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    /// RIP lies in no image: nothing is known about it, nothing was changed.
    Outside,
    /// A function without a table entry, which has moved no register.
    Leaf,
    /// A function with unwind information.
    Function { tables: &'static Tables, entry: u64, frame: Frame },
}

/// Replaces the registers of the frame in `context` by its caller's. `kind` says which handler is wanted:
/// `UNW_FLAG_EHANDLER` or `UNW_FLAG_UHANDLER`.
pub(crate) fn step(context: &mut CONTEXT, kind: u8) -> Result<Step, UnwindError> {
    let Some(tables) = Tables::find(context.Rip) else { return Ok(Step::Outside) };
    let Some((entry, function)) = tables.function(context.Rip) else {
        leave_leaf(context)?;
        return Ok(Step::Leaf);
    };
    let frame = unwind_function(tables, function, context, kind)?;
    Ok(Step::Function { tables, entry, frame })
}

/// As a function does that has moved no register: the return address is on top of the stack.
pub(crate) fn leave_leaf(context: &mut CONTEXT) -> Result<(), UnwindError> {
    context.Rip = read_stack(context.Rsp)?;
    context.Rsp = context.Rsp.wrapping_add(8);
    Ok(())
}

/// Unwinds a frame whose function is known.
pub(crate) fn unwind_function(
    tables: &Tables,
    function: RUNTIME_FUNCTION,
    context: &mut CONTEXT,
    kind: u8,
) -> Result<Frame, UnwindError> {
    let malformed = UnwindError::Table(tables.base + u64::from(function.UnwindData));
    let rva = context.Rip.wrapping_sub(tables.base);
    let offset = rva.checked_sub(u64::from(function.BeginAddress)).ok_or(malformed)?;
    let mut info = Info::read(tables, function.UnwindData)?;
    let in_prologue = offset < u64::from(info.prologue_size());
    let establisher = establisher(&info, offset, context)?;
    if !in_prologue && epilogue::finish(tables, &function, &info, context)? {
        return Ok(Frame { establisher, handler: None });
    }
    let mut returned = info.undo(context, Some(offset))?;
    let mut depth = 0;
    while info.flags() & UNW_FLAG_CHAININFO != 0 {
        depth += 1;
        if returned || depth > MAX_CHAIN {
            return Err(malformed);
        }
        let parent = info.chained(tables).ok_or(malformed)?;
        info = Info::read(tables, parent.UnwindData)?;
        returned = info.undo(context, None)?;
    }
    if !returned {
        leave_leaf(context)?;
    }
    let wanted = info.flags() & kind != 0 && (depth > 0 || !in_prologue);
    let handler = if wanted { Some(info.handler(tables).ok_or(malformed)?) } else { None };
    Ok(Frame { establisher, handler })
}

/// The stack address that stays the same in the function's body: RSP, or what the frame register was set from.
fn establisher(info: &Info, offset: u64, context: &CONTEXT) -> Result<u64, UnwindError> {
    let set = offset >= u64::from(info.prologue_size())
        || info.flags() & UNW_FLAG_CHAININFO != 0
        || info.frame_register_set_at(offset)?;
    Ok(match info.frame_register() {
        Some(register) if set => self::register(context, register).wrapping_sub(info.frame_offset()),
        _ => context.Rsp,
    })
}

pub(crate) fn read_stack(address: u64) -> Result<u64, UnwindError> {
    u64::read(address).map_err(|_| UnwindError::Stack(address))
}

#[cfg(test)]
mod tests;
