//! Handles: `CloseHandle`, `DuplicateHandle`, and what stands for the current process and thread.

use gate::Handle;

use crate::failure::{Failure, MISSING, checked, done, fail};
use crate::pointer::Pointer;
use crate::session::session;
use crate::thread;
use crate::types::{BOOL, FALSE, HANDLE, TRUE};

const INVALID: Failure = Failure(abi::ERROR_INVALID_HANDLE);

impl HANDLE {
    /// As the machine knows it. ERROR_INVALID_HANDLE for what is none of its.
    pub(crate) fn of_machine(self) -> Result<Handle, Failure> {
        u32::try_from(self.0).map(Handle).map_err(|_| INVALID)
    }

    /// As [`Self::of_machine`], without the bit that keeps a completion port from being told.
    pub(crate) fn event(self) -> Result<Option<Handle>, Failure> {
        let handle = Self(self.0 & !1);
        if handle == Self::NULL { Ok(None) } else { handle.of_machine().map(Some) }
    }
}

impl From<Handle> for HANDLE {
    fn from(handle: Handle) -> Self {
        Self(handle.0 as usize)
    }
}

/// Closes a handle. ERROR_INVALID_HANDLE when there is no such handle; pseudo handles are left alone.
#[unsafe(no_mangle)]
pub extern "C" fn CloseHandle(handle: HANDLE) -> BOOL {
    if handle == HANDLE::INVALID || handle == HANDLE::CURRENT_THREAD {
        return TRUE;
    }
    done(close(handle))
}

pub(crate) fn close(handle: HANDLE) -> Result<(), Failure> {
    let machine = handle.of_machine()?;
    // First: once it is closed, another thread may be given the same number.
    let thread = thread::forget(machine);
    let closed = checked(session()?.close(machine));
    if let (Err(_), Some(thread)) = (closed, thread) {
        thread::remember(machine, thread);
    }
    closed
}

/// Makes another handle to the same object. Both processes must be the current one: else ERROR_NOT_SUPPORTED, as other processes
/// have sessions of their own. Handles are not inherited: `inherit` is not looked at.
#[unsafe(no_mangle)]
pub extern "C" fn DuplicateHandle(
    source_process: HANDLE,
    source: HANDLE,
    target_process: HANDLE,
    target: Pointer<HANDLE>,
    access: u32,
    _inherit: BOOL,
    options: u32,
) -> BOOL {
    if source_process != HANDLE::INVALID || target_process != HANDLE::INVALID {
        return fail(Failure(abi::ERROR_NOT_SUPPORTED), FALSE);
    }
    done(duplicate(source, target, access, options))
}

fn duplicate(source: HANDLE, target: Pointer<HANDLE>, access: u32, options: u32) -> Result<(), Failure> {
    if target.is_null() {
        return Err(MISSING);
    }
    let source = if source == HANDLE::CURRENT_THREAD { thread::own()? } else { source.of_machine()? };
    let made = session()?.duplicate_handle(source, access, options)?;
    thread::duplicated(source, made, options & abi::DUPLICATE_CLOSE_SOURCE != 0);
    target.write(made.into())
}

/// Stands for the current process.
#[unsafe(no_mangle)]
pub extern "C" fn GetCurrentProcess() -> HANDLE {
    HANDLE::INVALID
}

/// Stands for the calling thread.
#[unsafe(no_mangle)]
pub extern "C" fn GetCurrentThread() -> HANDLE {
    HANDLE::CURRENT_THREAD
}
