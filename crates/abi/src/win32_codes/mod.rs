//! The Win32 error codes and the tables that find their names.

#[rustfmt::skip]
mod high;
#[rustfmt::skip]
mod low;

pub use high::*;
pub use low::*;

/// The documented name of a Win32 error, such as `ERROR_IO_PENDING`. Where codes have several names, the usual one.
#[must_use]
pub fn win32_name(error: u32) -> Option<&'static str> {
    [low::NAMES, high::NAMES].into_iter().find_map(|names| crate::names::name_in(names, error))
}

/// All Win32 errors with their names, and then their other names.
pub fn win32_names() -> impl Iterator<Item = (u32, &'static str)> {
    [low::NAMES, high::NAMES, low::ALIASES, high::ALIASES].into_iter().flatten().copied()
}
