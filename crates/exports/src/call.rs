//! A call of an export: from the words that the thunk passes to the row's body, and back.

use std::sync::Arc;

use abi::NTSTATUS;
use kernel::ke::Thread;
use kernel::mm::UserSpace;
use kernel::raw::UnicodeString;
use kernel::trace::Event;
use kernel::{Kernel, Outcome, Unwind};
use platform::landing::{self, ExportFrame};

use crate::Row;

/// What a row's body works with: the machine and thread that driver code runs in.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The machine.
    pub kernel: &'a Kernel,
    /// The calling thread.
    pub thread: &'a Thread,
}

impl Call<'_> {
    /// The calling driver's registers and stack at the call.
    pub(crate) fn frame(&self) -> &ExportFrame {
        // SAFETY: an export's thunk has linked its frame, which lives until the export returns; `self` does not
        // outlive the row's body.
        unsafe { &*landing::current_frame() }
    }

    /// The machine, to be kept beyond the call.
    ///
    /// # Errors
    /// `Unwind::Halt` when the machine is being torn down.
    pub(crate) fn machine(&self) -> Outcome<Arc<Kernel>> {
        self.kernel.arc().ok_or(Unwind::Halt)
    }

    /// The user space of the process that the calling thread belongs to; `None` when that has ended.
    pub(crate) fn user_space(&self) -> Option<Arc<UserSpace>> {
        Some(self.kernel.ps.get(self.thread.process_id)?.user_space.clone())
    }

    /// The characters of a UNICODE_STRING.
    ///
    /// # Errors
    /// An access violation.
    pub(crate) fn string(&self, address: u64) -> Outcome<Vec<u16>> {
        UnicodeString::at(address).to_wide()
    }
}

/// Runs a row's body; when control does not return to the driver, leaves through its frames.
#[inline]
pub(crate) fn enter(row: &'static Row, words: &[u64], body: impl FnOnce(Call<'_>) -> Outcome<u64>) -> u64 {
    let outcome = Kernel::with_current(|kernel, thread| {
        if kernel.trace.is_watched() {
            emit(kernel, row, words);
        }
        if kernel.is_halted() {
            return Err(Unwind::Halt);
        }
        body(Call { kernel, thread })
    });
    match outcome {
        Some(Ok(word)) => word,
        Some(Err(unwind)) => leave(unwind),
        // Driver code runs only inside a machine; a stray call has nowhere to go and nothing to work on.
        None => u64::from(abi::STATUS_INVALID_DEVICE_STATE.bits()),
    }
}

#[cold]
fn emit(kernel: &Kernel, row: &'static Row, words: &[u64]) {
    let mut arguments = [0; 4];
    for (slot, word) in arguments.iter_mut().zip(words) {
        *slot = *word;
    }
    kernel.trace.emit(|| Event::Export { name: row.name, arguments });
    let irql = kernel.ke.current_irql();
    if irql > row.irql {
        kernel.trace.emit(|| Event::IrqlViolation { export: row.name, irql, highest: row.irql });
    }
}

#[cold]
fn leave(unwind: Unwind) -> ! {
    // SAFETY: called at the end of a row's body, which has returned and dropped everything else; the thread runs the
    // thunk of its innermost export frame.
    unsafe { loader::seh::leave(unwind) }
}

/// A status that the body answers with, from either side of a fallible service.
pub(crate) fn status_of(result: Result<(), NTSTATUS>) -> NTSTATUS {
    result.err().unwrap_or(abi::STATUS_SUCCESS)
}
