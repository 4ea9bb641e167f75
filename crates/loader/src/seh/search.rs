//! The first phase: asking every frame's handler, innermost first, whether it takes the exception.

use abi::{
    CONTEXT, DISPATCHER_CONTEXT, EXCEPTION_DISPOSITION, EXCEPTION_NESTED_CALL, EXCEPTION_NONCONTINUABLE,
    EXCEPTION_RECORD, ExceptionContinueExecution, ExceptionContinueSearch, NTSTATUS,
    STATUS_INVALID_DISPOSITION, STATUS_NONCONTINUABLE_EXCEPTION, UNW_FLAG_EHANDLER,
};
use platform::entry::Region;
use platform::landing::{Target, Unwind};

use super::activation::{Caller, Phase, call_handler};
use super::handler::{dispatcher_context, disposition};
use super::stretch::Stretch;
use crate::unwind::Step;

/// How a search ended.
pub(super) enum Outcome {
    /// A handler has repaired the cause: the registers in the context are to be loaded.
    Continue,
    /// A frame takes this exception, which may be another one than was searched for.
    Unwind(EXCEPTION_RECORD, Target),
    /// A handler broke a rule; this exception takes the old one's place.
    Again(NTSTATUS),
    /// No frame takes it, or the frames cannot be followed.
    Unhandled,
    /// The machine has stopped meanwhile, or the thread ended: all driver frames are left.
    Leave(Unwind),
}

pub(super) fn search(region: Region, record: &mut EXCEPTION_RECORD, context: &mut CONTEXT) -> Outcome {
    let mut stretch = Stretch::innermost(region, context);
    loop {
        if let Some(outcome) = search_stretch(region, record, context, &mut stretch) {
            return outcome;
        }
        if let Some(target) = stretch.taker() {
            return Outcome::Unwind(*record, target);
        }
        match stretch.outer() {
            Some(outer) => stretch = outer,
            None => return Outcome::Unhandled,
        }
    }
}

fn search_stretch(
    region: Region,
    record: &mut EXCEPTION_RECORD,
    context: &mut CONTEXT,
    stretch: &mut Stretch,
) -> Option<Outcome> {
    loop {
        let pc = stretch.context.Rip;
        let (tables, entry, frame) = match stretch.step(UNW_FLAG_EHANDLER) {
            Ok(Step::Function { tables, entry, frame }) => (tables, entry, frame),
            Ok(Step::Leaf) => continue,
            Ok(Step::Outside) => return None,
            Err(_) => return Some(Outcome::Unhandled),
        };
        let scope = std::mem::take(&mut stretch.scope);
        if stretch.nested.is_some_and(|interrupted| frame.establisher > interrupted) {
            stretch.nested = None;
        }
        let Some(handler) = frame.handler else { continue };
        record.ExceptionFlags &= !EXCEPTION_NESTED_CALL;
        if stretch.nested.is_some() {
            record.ExceptionFlags |= EXCEPTION_NESTED_CALL;
        }
        let mut dispatcher = dispatcher_context(tables, pc, entry, frame.establisher, handler);
        dispatcher.ScopeIndex = scope;
        dispatcher.ContextRecord = &raw mut stretch.context;
        if let Some(outcome) = ask(region, record, context, handler.routine, &mut dispatcher) {
            return Some(outcome);
        }
    }
}

/// Calls one handler. None when it does not take the exception.
fn ask(
    region: Region,
    record: &mut EXCEPTION_RECORD,
    context: &mut CONTEXT,
    routine: u64,
    dispatcher: &mut DISPATCHER_CONTEXT,
) -> Option<Outcome> {
    // The handler may write through both pointers; a nested search starts from the context as it is now.
    let interrupted = *context;
    let caller = Caller { context: &interrupted, phase: Phase::Search };
    let [record_at, context_at] =
        [(&raw mut *record).expose_provenance() as u64, (&raw mut *context).expose_provenance() as u64];
    let arguments = [record_at, dispatcher.EstablisherFrame, context_at];
    match call_handler(region, &caller, routine, arguments, dispatcher) {
        Ok(value) => answered(record, disposition(value)),
        Err(Unwind::Raise(raise)) => Some(match raise.target {
            Some(target) => Outcome::Unwind(raise.record, target),
            None => Outcome::Unhandled,
        }),
        Err(out @ (Unwind::Halt | Unwind::Exit(_))) => Some(Outcome::Leave(out)),
    }
}

fn answered(record: &EXCEPTION_RECORD, disposition: EXCEPTION_DISPOSITION) -> Option<Outcome> {
    if disposition == ExceptionContinueSearch {
        None
    } else if disposition != ExceptionContinueExecution {
        Some(again(record, STATUS_INVALID_DISPOSITION))
    } else if record.ExceptionFlags & EXCEPTION_NONCONTINUABLE != 0 {
        Some(again(record, STATUS_NONCONTINUABLE_EXCEPTION))
    } else {
        Some(Outcome::Continue)
    }
}

/// A handler that answers its own misdeed's exception with the same misdeed would be asked for ever.
fn again(record: &EXCEPTION_RECORD, status: NTSTATUS) -> Outcome {
    if record.ExceptionCode == status { Outcome::Unhandled } else { Outcome::Again(status) }
}
