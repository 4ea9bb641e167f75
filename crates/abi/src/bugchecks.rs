//! Names of stop codes.

/// The documented name of a stop code, such as `IRQL_NOT_LESS_OR_EQUAL`.
#[must_use]
pub fn bugcheck_name(code: u32) -> Option<&'static str> {
    crate::names::name_in(crate::bugcodes::NAMES, code)
}
