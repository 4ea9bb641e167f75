//! The second phase: running the `__finally` blocks between an exception and the frame that takes it.

use abi::{
    CONTEXT, EXCEPTION_EXIT_UNWIND, EXCEPTION_NONCONTINUABLE, EXCEPTION_RECORD, EXCEPTION_TARGET_UNWIND,
    EXCEPTION_UNWINDING, ExceptionContinueSearch, STATUS_BAD_STACK, STATUS_INVALID_DISPOSITION,
    STATUS_INVALID_UNWIND_TARGET, UNW_FLAG_UHANDLER,
};
use platform::entry::Region;
use platform::landing::{self, Raise, Target, Unwind};

use super::activation::{Caller, Phase, call_handler};
use super::handler::{dispatcher_context, disposition};
use super::stretch::Stretch;
use super::{context, unhandled_stop};
use crate::tables::Tables;
use crate::unwind::{Frame, Step};

/// An unwind on its way; another exception's may take its place.
struct Course {
    region: Region,
    record: EXCEPTION_RECORD,
    target: Target,
}

/// Unwinds the innermost stretch from `context`: to the target if it lies in it, else to the landing, which then
/// returns the exception with its target to Rust.
///
/// # Safety
/// `context` is of driver code of the thread's innermost landing, and no Rust frame has anything left to drop.
pub(super) unsafe fn unwind(
    region: Region,
    record: EXCEPTION_RECORD,
    context: CONTEXT,
    target: Target,
    scope: u32,
) -> ! {
    let mut course = Course { region, record, target };
    let end = course.run(&context, scope);
    let raise = match end {
        End::Target(mut context) => {
            context.Rip = course.target.instruction;
            context.Rax = course.target.value;
            // SAFETY: the target's frame is driver code of this landing; by this function's contract.
            unsafe { super::resume(region, &context) }
        }
        End::Stretch => Raise { record: course.record, target: Some(course.target) },
        End::Stop(status, context) => {
            let mut record = context::empty_record(status);
            record.ExceptionFlags = EXCEPTION_NONCONTINUABLE;
            record.ExceptionAddress = course.record.ExceptionAddress;
            let stop = unhandled_stop(&record);
            // SAFETY: by this function's contract.
            unsafe { landing::stop(region, stop, &record, &context) }
        }
        // SAFETY: by this function's contract.
        End::Leave(out) => unsafe { landing::land(region.landing(), out) },
    };
    // SAFETY: by this function's contract.
    unsafe { landing::land(region.landing(), Unwind::Raise(Box::new(raise))) }
}

/// How the unwinding of one stretch ends.
enum End {
    /// At the target's frame, with these registers.
    Target(CONTEXT),
    /// At the landing.
    Stretch,
    /// The frames cannot be followed, or hold no such target.
    Stop(abi::NTSTATUS, CONTEXT),
    /// The machine has stopped meanwhile, or the thread ended: all driver frames are left.
    Leave(Unwind),
}

impl Course {
    fn run(&mut self, start: &CONTEXT, scope: u32) -> End {
        let mut stretch = Stretch::innermost(self.region, start);
        stretch.scope = scope;
        loop {
            let before = stretch.context;
            let (tables, entry, frame) = match stretch.step(UNW_FLAG_UHANDLER) {
                Ok(Step::Function { tables, entry, frame }) => (tables, entry, frame),
                Ok(Step::Leaf) => continue,
                Ok(Step::Outside) => return self.at_landing(before),
                Err(_) => return End::Stop(STATUS_BAD_STACK, before),
            };
            let scope = std::mem::take(&mut stretch.scope);
            if let Some(end) = self.run_handler(tables, entry, &frame, &before, scope) {
                return end;
            }
            if frame.establisher == self.target.frame {
                return End::Target(before);
            }
        }
    }

    /// A target in this stretch would have been met.
    fn at_landing(&self, last: CONTEXT) -> End {
        // SAFETY: the thread's innermost landing is live.
        let base = unsafe { self.region.landing().as_ref() }.map_or(0, |landing| landing.stack_base);
        let stack = self.region.stack();
        let here = (stack.limit as u64..base).contains(&self.target.frame);
        if here { End::Stop(STATUS_INVALID_UNWIND_TARGET, last) } else { End::Stretch }
    }

    fn run_handler(
        &mut self,
        tables: &Tables,
        entry: u64,
        frame: &Frame,
        before: &CONTEXT,
        scope: u32,
    ) -> Option<End> {
        let handler = frame.handler?;
        let mut context = *before;
        let mut dispatcher = dispatcher_context(tables, before.Rip, entry, frame.establisher, handler);
        dispatcher.ScopeIndex = scope;
        dispatcher.ContextRecord = &raw mut context;
        let caller = Caller { context: before, phase: Phase::Unwind };
        loop {
            self.record.ExceptionFlags |= EXCEPTION_UNWINDING;
            self.record.ExceptionFlags &= !(EXCEPTION_TARGET_UNWIND | EXCEPTION_EXIT_UNWIND);
            if self.target.frame == frame.establisher {
                self.record.ExceptionFlags |= EXCEPTION_TARGET_UNWIND;
            } else if self.target.frame == 0 {
                self.record.ExceptionFlags |= EXCEPTION_EXIT_UNWIND;
            }
            dispatcher.TargetIp = self.target.instruction;
            let record = (&raw mut self.record).expose_provenance() as u64;
            let arguments = [record, frame.establisher, (&raw mut context).expose_provenance() as u64];
            match call_handler(self.region, &caller, handler.routine, arguments, &raw mut dispatcher) {
                Ok(value) if disposition(value) == ExceptionContinueSearch => return None,
                Ok(_) => return Some(End::Stop(STATUS_INVALID_DISPOSITION, *before)),
                // An exception in a `__finally` block was taken further out: that unwind goes on from here, with
                // the blocks of this frame that have not begun.
                Err(Unwind::Raise(raise)) => {
                    let Some(target) = raise.target else {
                        return Some(End::Stop(raise.record.ExceptionCode, *before));
                    };
                    self.record = raise.record;
                    self.target = target;
                }
                Err(out @ (Unwind::Halt | Unwind::Exit(_))) => return Some(End::Leave(out)),
            }
        }
    }
}
