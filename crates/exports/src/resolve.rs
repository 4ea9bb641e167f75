//! From an import's name to a row.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::{Address, DataExports, Row, Support, rows, stub};

/// What a name stands for in a machine.
#[derive(Clone, Copy, Debug)]
pub enum Resolved {
    /// A function, at this address.
    Function(usize),
    /// A variable, at this address.
    Data(usize),
    /// Named only: an address that raises STATUS_NOT_IMPLEMENTED when called, and the name.
    Missing(usize, &'static str),
}

/// Rows by name and alias.
fn table() -> &'static HashMap<&'static str, Row> {
    static TABLE: OnceLock<HashMap<&'static str, Row>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = HashMap::new();
        for row in rows::all() {
            for name in row.aliases.iter().chain([&row.name]) {
                let before = table.insert(*name, row);
                debug_assert!(before.is_none(), "{name} stands in two rows");
            }
        }
        table
    })
}

/// Looks an export up by name. Which module a driver imports it from does not matter: names are unique over all of
/// them, and drivers import some from `HAL.dll` or `ntoskrnl.exe` alike.
#[must_use]
pub fn resolve(name: &str, data: &DataExports) -> Option<Resolved> {
    match table().get(name)?.address {
        Address::Data(index) => Some(Resolved::Data(usize::try_from(data.address(index)).ok()?)),
        Address::Function(_) | Address::Routine(_) => resolve_function(name),
    }
}

/// Looks a function up by name.
#[must_use]
pub(crate) fn resolve_function(name: &str) -> Option<Resolved> {
    let row = table().get(name)?;
    match (row.support, row.address) {
        (Support::Missing, Address::Function(thunk)) => Some(Resolved::Missing(thunk as usize, row.name)),
        (_, Address::Function(thunk)) => Some(Resolved::Function(thunk as usize)),
        (_, Address::Routine(address)) => Some(Resolved::Function(address())),
        (_, Address::Data(_)) => None,
    }
}

/// Whether a module of this name is the machine's own: some row says so. Without regard to case.
#[must_use]
pub fn is_module(dll: &str) -> bool {
    table().values().any(|row| row.dll.eq_ignore_ascii_case(dll))
}

/// The row with this name or alias.
#[must_use]
pub fn find(name: &str) -> Option<&'static Row> {
    table().get(name)
}

/// Address of the dispatch routine that unset major functions have.
#[must_use]
pub fn invalid_device_request() -> usize {
    stub::invalid_device_request as *const () as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_an_import_lead_to_one_routine() {
        for (one, other) in [
            ("IofCallDriver", "IoCallDriver"),
            ("IofCompleteRequest", "IoCompleteRequest"),
            ("ObfDereferenceObject", "ObDereferenceObject"),
            ("ZwClose", "NtClose"),
            ("KeWaitForSingleObject", "KeWaitForMutexObject"),
        ] {
            let address = |name| match resolve_function(name) {
                Some(Resolved::Function(address)) => address,
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(address(one), address(other), "{one}");
        }
    }

    #[test]
    fn what_is_named_only_is_told_from_what_is_unknown() {
        assert!(matches!(
            resolve_function("PsSuspendProcess"),
            Some(Resolved::Missing(_, "PsSuspendProcess"))
        ));
        assert!(resolve_function("RbNoSuchExport").is_none());
        assert!(resolve_function("iofcalldriver").is_none(), "names are compared with regard to case");
    }
}
