//! `DbgPrint` and what formats like it.
pub(crate) const VARIADIC_ROWS: &[crate::Row] = &[];
