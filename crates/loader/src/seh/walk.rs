//! Walking the driver frames of a thread, for reports.

use abi::{CONTEXT, UNW_FLAG_NHANDLER};
use platform::entry::Region;

use super::context::context_of;
use super::stretch::Stretch;
use crate::tables::Tables;
use crate::unwind::Step;

/// Frames of a report; a runaway recursion has more than anyone reads.
const MAX_FRAMES: usize = 128;

/// An instruction on a thread's stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackFrame {
    /// Its address: of the instruction itself in the innermost frame, behind a call in the others.
    pub address: u64,
    /// Name and base of the image that holds it, and its offset there.
    pub image: Option<(String, u64, u64)>,
}

/// The driver frames from `context` outwards, through all landings of the thread's machine.
#[must_use]
pub fn stack_walk(region: Region, context: &CONTEXT) -> Vec<StackFrame> {
    let mut frames = Vec::new();
    walk(region, context, |address| {
        let image = Tables::find(address)
            .map(|tables| (tables.describe(address), tables.base, address - tables.base));
        frames.push(StackFrame { address, image });
        frames.len() < MAX_FRAMES
    });
    frames
}

/// The driver frames from the innermost export call outwards; none when driver code has called no export.
#[must_use]
pub fn call_stack(region: Region) -> Vec<StackFrame> {
    let frame = region.frame();
    if frame.is_null() {
        return Vec::new();
    }
    // SAFETY: a linked frame of the calling thread is live.
    let context = context_of(unsafe { &*frame });
    stack_walk(region, &context)
}

/// Visits the instruction of every frame until `visit` says false.
pub(super) fn walk(region: Region, context: &CONTEXT, mut visit: impl FnMut(u64) -> bool) {
    let mut stretch = Stretch::innermost(region, context);
    loop {
        let mut count = 0;
        loop {
            let address = stretch.context.Rip;
            match stretch.step(UNW_FLAG_NHANDLER) {
                // The first of a stretch is shown even where nothing is known about it.
                Ok(Step::Outside) if count > 0 => break,
                Ok(Step::Outside) | Err(_) => {
                    if !visit(address) {
                        return;
                    }
                    break;
                }
                Ok(_) => {
                    if !visit(address) {
                        return;
                    }
                }
            }
            count += 1;
        }
        match stretch.outer() {
            Some(outer) => stretch = outer,
            None => return,
        }
    }
}
