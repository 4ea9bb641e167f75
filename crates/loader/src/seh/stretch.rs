//! Stretches: the driver frames between a landing and the innermost one, or an export's frame, one after the other.

use abi::CONTEXT;
use platform::entry::Region;
use platform::landing::{Code, Landing, Target};

use super::{activation, context};
use crate::unwind::{Step, UnwindError, leave_leaf, step};

/// A position among the driver frames of one landing.
pub(super) struct Stretch {
    pub(super) landing: *mut Landing,
    /// The registers of the frame that comes next.
    pub(super) context: CONTEXT,
    /// Where the next frame's handler begins in its scope table.
    pub(super) scope: u32,
    /// While frames up to this one are visited, the exception interrupts their handler.
    pub(super) nested: Option<u64>,
    lowest: u64,
    first: bool,
}

impl Stretch {
    /// The innermost stretch, from `context` on.
    pub(super) fn innermost(region: Region, context: &CONTEXT) -> Self {
        Self {
            landing: region.landing(),
            context: *context,
            scope: 0,
            nested: None,
            lowest: region.stack().limit as u64,
            first: true,
        }
    }

    /// The next stretch outwards; None behind the outermost landing.
    pub(super) fn outer(&self) -> Option<Self> {
        // SAFETY: the thread's landings are live while it dispatches inside of them.
        let frame = unsafe { self.landing.as_ref()? }.frame;
        // SAFETY: a landing's export frame lives as long as the call that it stands for.
        let exported = unsafe { frame.as_ref()? };
        let (context, scope, nested) = match activation::interrupted(frame) {
            Some(dispatcher) => (dispatcher.context, dispatcher.scope, Some(dispatcher.establisher)),
            None => (context::context_of(exported), 0, None),
        };
        Some(Self { landing: exported.landing, context, scope, nested, lowest: self.lowest, first: true })
    }

    /// Where an exception goes that nothing in this stretch takes, if its landing does: behind all of its frames, so that
    /// unwinding ends there.
    pub(super) fn taker(&self) -> Option<Target> {
        // SAFETY: as in `outer`.
        let landing = unsafe { self.landing.as_ref() }.filter(|landing| landing.takes)?;
        Some(Target { frame: landing.stack_base, instruction: 0, value: 0 })
    }

    /// Moves to the next frame's caller. `Outside` means that the stretch is over.
    pub(super) fn step(&mut self, kind: u8) -> Result<Step, UnwindError> {
        let before = self.context.Rsp;
        let taken = match step(&mut self.context, kind)? {
            Step::Outside if self.first && self.called_nothing() => {
                leave_leaf(&mut self.context)?;
                Step::Leaf
            }
            taken => taken,
        };
        self.first = false;
        if matches!(taken, Step::Outside) {
            return Ok(taken);
        }
        // Callers' frames lie above, inside this stretch's part of the stack.
        // SAFETY: as in `outer`.
        let base = unsafe { self.landing.as_ref() }.map_or(0, |landing| landing.stack_base);
        let after = self.context.Rsp;
        if after <= before || after > base || before < self.lowest || !after.is_multiple_of(8) {
            return Err(UnwindError::StackPointer(after));
        }
        Ok(taken)
    }

    /// The frame is that of a call or jump to somewhere without code: its caller's address is on the stack.
    fn called_nothing(&self) -> bool {
        // SAFETY: as in `outer`.
        unsafe { self.landing.as_ref() }.is_some_and(|landing| {
            landing.code == Code::Image
                && (self.lowest..landing.stack_base).contains(&self.context.Rsp)
                && crate::unwind::read_stack(self.context.Rsp)
                    .is_ok_and(|address| crate::tables::Tables::find(address).is_some())
        })
    }
}
