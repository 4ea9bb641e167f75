//! Structured exception handling: finding who takes an exception, and running what lies between.
//!
//! Decision 1 gives the scheme. `search` asks the filters of all stretches of driver frames, innermost
//! first; `unwind` runs the `__finally` blocks of one stretch, and hands the rest to the next one out by
//! landing. An exception in a handler is dispatched by a second dispatcher on top of the first; the records in
//! `activation` lead its search through the frames that the first one stands for.
//!
//! What to do about an exception that nobody takes is the owner's matter; instructions that only look like faults are
//! `emulate`'s.

mod activation;
mod context;
mod fault;
mod handler;
mod rtl;
mod search;
mod stretch;
mod unwind;
mod walk;

use abi::{CONTEXT, EXCEPTION_NONCONTINUABLE, EXCEPTION_RECORD, NTSTATUS};
use platform::entry::{self, Region, Stop};
use platform::landing::{self, ExportFrame, Raise, Unwind};

pub use context::{context_of, empty_record};
pub use fault::install;
pub use handler::c_specific_handler;
pub use rtl::{
    VirtualUnwind, capture_context, capture_stack_back_trace, lookup_function_entry, pc_to_file_header,
    raise_exception, raise_status, unwind as rtl_unwind, unwind_ex as rtl_unwind_ex, virtual_unwind,
};
pub use walk::{StackFrame, call_stack, stack_walk};

use search::Outcome;

/// The stop code for an exception that no frame takes.
const KMODE_EXCEPTION_NOT_HANDLED: u32 = 0x1E;

/// The stop code, and its first parameter, for driver code that goes on where it cannot.
const UNEXPECTED_KERNEL_MODE_TRAP: u32 = 0x7F;
const DOUBLE_FAULT: u64 = 8;

/// Leaves an export abnormally: raises the exception in the export's caller, or lands the thread when it ends or the
/// machine has stopped. For entry thunks, after the row's body has returned `unwind` and dropped everything else.
///
/// # Safety
/// The thread runs the thunk of its innermost export frame, and no Rust frame has anything left to drop.
pub unsafe fn leave(unwind: Unwind) -> ! {
    let region = current();
    match unwind {
        Unwind::Raise(raise) => {
            let raise = *raise;
            // SAFETY: by this function's contract; the box is gone.
            unsafe { self::raise(region.frame(), raise) }
        }
        // SAFETY: by this function's contract.
        out @ (Unwind::Halt | Unwind::Exit(_)) => unsafe { landing::land(region.landing(), out) },
    }
}

/// Raises an exception in the driver code that called the export of `frame`; with a target, goes on unwinding to it.
///
/// # Safety
/// `frame` is the calling thread's innermost export frame, its export's body has returned, and no Rust frame has
/// anything left to drop.
pub unsafe fn raise(frame: *const ExportFrame, raise: Raise) -> ! {
    let region = current();
    // SAFETY: the frame is live, by this function's contract.
    let frame = unsafe { &*frame };
    let mut context = context_of(frame);
    let mut record = raise.record;
    match raise.target {
        // SAFETY: by this function's contract.
        Some(target) => unsafe { unwind::unwind(region, record, context, target, 0) },
        None => {
            if record.ExceptionAddress.is_null() {
                record.ExceptionAddress =
                    std::ptr::with_exposed_provenance_mut(address(frame.return_address));
            }
            // SAFETY: by this function's contract.
            unsafe { dispatch(region, &mut record, &mut context) }
        }
    }
}

/// Finds who takes an exception and continues there; or continues where it happened; or reports it and lands.
///
/// # Safety
/// `context` is of driver code of the thread's innermost landing, and no Rust frame has anything left to drop.
unsafe fn dispatch(region: Region, record: &mut EXCEPTION_RECORD, context: &mut CONTEXT) -> ! {
    loop {
        match search::search(region, record, context) {
            Outcome::Continue if context::is_continuable(region.stack(), context) => {
                context::sanitize(context);
                // SAFETY: by this function's contract; what filters have changed has been checked.
                unsafe { resume(region, context) }
            }
            Outcome::Continue => {
                let stop =
                    Stop { code: UNEXPECTED_KERNEL_MODE_TRAP, parameters: [DOUBLE_FAULT, context.Rsp, 0, 0] };
                // SAFETY: by this function's contract.
                unsafe { landing::stop(region, stop, record, context) }
            }
            // SAFETY: by this function's contract.
            Outcome::Unwind(raised, target) => unsafe { unwind::unwind(region, raised, *context, target, 0) },
            Outcome::Again(status) => replace(record, status),
            Outcome::Unhandled => {
                let stop = unhandled_stop(record);
                // SAFETY: by this function's contract.
                unsafe { landing::stop(region, stop, record, context) }
            }
            // SAFETY: by this function's contract.
            Outcome::Leave(unwind) => unsafe { landing::land(region.landing(), unwind) },
        }
    }
}

/// The dispatcher's own exceptions, raised where the first one was: a handler did what it must not.
fn replace(record: &mut EXCEPTION_RECORD, status: NTSTATUS) {
    let place = record.ExceptionAddress;
    *record = empty_record(status);
    record.ExceptionFlags = EXCEPTION_NONCONTINUABLE;
    record.ExceptionAddress = place;
}

fn unhandled_stop(record: &EXCEPTION_RECORD) -> Stop {
    let code = u64::from(record.ExceptionCode.bits());
    let [first, second, ..] = record.ExceptionInformation.map(|word| word as u64);
    let place = record.ExceptionAddress.addr() as u64;
    Stop { code: KMODE_EXCEPTION_NOT_HANDLED, parameters: [code, place, first, second] }
}

/// Continues driver code of the innermost landing.
///
/// # Safety
/// As for [`platform::fault::restore`].
unsafe fn resume(region: Region, context: &CONTEXT) -> ! {
    let landing = region.landing();
    // SAFETY: driver code runs under a live landing only.
    let frame = unsafe { (*landing).frame };
    region.set_frame(frame);
    // SAFETY: by this function's contract.
    unsafe { platform::fault::restore(context) }
}

/// The calling thread's region: driver code and what it calls always have one.
fn current() -> Region {
    entry::region().expect("driver code runs on threads that entered a machine")
}

fn address(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
