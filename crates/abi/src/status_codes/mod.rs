//! The status codes and the tables that find their names.

#[rustfmt::skip]
mod error;
#[rustfmt::skip]
mod error_later;
#[rustfmt::skip]
mod facility;
#[rustfmt::skip]
mod success;

pub use error::*;
pub use error_later::*;
pub use facility::*;
pub use success::*;

use crate::NTSTATUS;
use crate::names::name_in;

/// The documented name of a status, such as `STATUS_PENDING`. Where codes have several names, the usual one.
#[must_use]
pub fn status_name(status: NTSTATUS) -> Option<&'static str> {
    let bits = status.bits();
    [success::NAMES, error::NAMES, error_later::NAMES, facility::NAMES]
        .into_iter()
        .find_map(|names| name_in(names, bits))
}

/// The bits of all statuses with their names, and then their other names.
pub fn status_names() -> impl Iterator<Item = (u32, &'static str)> {
    let tables = [success::NAMES, error::NAMES, error_later::NAMES, facility::NAMES, success::ALIASES];
    tables.into_iter().flatten().copied()
}
