//! Records of dispatchers at work, for exceptions inside the handlers that they call.
//!
//! While a handler runs, the innermost export frame is the one in here, which stands for the driver frames that the
//! dispatcher was called for. A search that comes out of the handler's stretch finds this record by it, and goes on
//! in those frames.

use std::cell::Cell;
use std::ptr;

use abi::{CONTEXT, DISPATCHER_CONTEXT};
use platform::entry::Region;
use platform::landing::{self, Code, ExportFrame, Unwind};

use super::context;

/// Why the handler was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// To ask its filters.
    Search,
    /// To run its `__finally` blocks.
    Unwind,
}

/// A dispatcher that is calling a handler.
pub(super) struct Activation {
    frame: ExportFrame,
    context: *const CONTEXT,
    dispatcher: *const DISPATCHER_CONTEXT,
    phase: Phase,
    previous: *const Self,
}

thread_local! {
    static INNERMOST: Cell<*const Activation> = const { Cell::new(ptr::null()) };
}

/// Where a search goes on that comes out of a handler.
pub(super) struct Interrupted {
    pub(super) context: CONTEXT,
    /// The scope that the interrupted unwind had reached in its frame.
    pub(super) scope: u32,
    /// Establisher of the frame whose handler was interrupted.
    pub(super) establisher: u64,
}

/// What the dispatcher stands for when it calls a handler.
pub(super) struct Caller<'a> {
    /// The driver frame from which a nested search goes on.
    pub(super) context: &'a CONTEXT,
    pub(super) phase: Phase,
}

/// Calls a language handler with its four arguments, on behalf of `caller`.
pub(super) fn call_handler(
    region: Region,
    caller: &Caller<'_>,
    routine: u64,
    arguments: [u64; 3],
    dispatcher: *mut DISPATCHER_CONTEXT,
) -> Result<u64, Unwind> {
    let outer = region.frame();
    let mut frame = ExportFrame {
        xmm: [0; 10],
        rbx: 0,
        rbp: 0,
        rsi: 0,
        rdi: 0,
        r12: 0,
        r13: 0,
        r14: 0,
        r15: 0,
        previous: outer,
        landing: region.landing(),
        return_address: 0,
        rsp: 0,
    };
    context::save(caller.context, &mut frame);
    let mut activation = Activation {
        frame,
        context: caller.context,
        dispatcher,
        phase: caller.phase,
        previous: INNERMOST.get(),
    };
    INNERMOST.set(&raw const activation);
    region.set_frame(&raw mut activation.frame);
    let [record, establisher, context] = arguments;
    let arguments = [record, establisher, context, dispatcher.expose_provenance() as u64];
    // SAFETY: the thread is inside a machine (it has driver frames), and the routine is the handler that the
    // function's unwind information names.
    let result = unsafe { landing::call(region, Code::Image, super::address(routine), &arguments) };
    INNERMOST.set(activation.previous);
    region.set_frame(outer);
    result
}

/// The dispatcher whose record holds `frame`, if it is no export's.
pub(super) fn interrupted(frame: *const ExportFrame) -> Option<Interrupted> {
    let mut at = INNERMOST.get();
    while !at.is_null() {
        // SAFETY: records in the list are live: each is removed before its stack frame goes.
        let activation = unsafe { &*at };
        if ptr::eq(&raw const activation.frame, frame) {
            // SAFETY: the dispatcher's contexts outlive its record.
            let context = unsafe { *activation.context };
            // SAFETY: as above.
            let dispatcher = unsafe { &*activation.dispatcher };
            let scope = if activation.phase == Phase::Unwind { dispatcher.ScopeIndex } else { 0 };
            return Some(Interrupted { context, scope, establisher: dispatcher.EstablisherFrame });
        }
        at = activation.previous;
    }
    None
}
