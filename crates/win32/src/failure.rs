//! How calls fail: a status or a Win32 code, and the calling thread's last error.

use std::cell::Cell;

use abi::NTSTATUS;

use crate::types::{BOOL, FALSE, TRUE};

thread_local! {
    static LAST_ERROR: Cell<u32> = const { Cell::new(abi::ERROR_SUCCESS) };
}

/// Why a call fails, as a Win32 code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) u32);

impl From<NTSTATUS> for Failure {
    fn from(status: NTSTATUS) -> Self {
        Self(abi::win32_from_status(status))
    }
}

/// A NULL where something must be.
pub(crate) const MISSING: Failure = Failure(abi::ERROR_INVALID_PARAMETER);

/// Success, or the last error and FALSE.
pub(crate) fn done(result: Result<(), Failure>) -> BOOL {
    match result {
        Ok(()) => TRUE,
        Err(failure) => fail(failure, FALSE),
    }
}

/// Sets the last error; `answer`.
pub(crate) fn fail<T>(failure: Failure, answer: T) -> T {
    set(failure.0);
    answer
}

pub(crate) fn set(code: u32) {
    LAST_ERROR.set(code);
}

/// `Ok` for success codes and informational ones.
pub(crate) fn checked(status: NTSTATUS) -> Result<(), Failure> {
    if status.is_success() { Ok(()) } else { Err(status.into()) }
}

/// The calling thread's last error.
#[unsafe(no_mangle)]
pub extern "C" fn GetLastError() -> u32 {
    LAST_ERROR.get()
}

/// Sets the calling thread's last error.
#[unsafe(no_mangle)]
pub extern "C" fn SetLastError(code: u32) {
    set(code);
}
