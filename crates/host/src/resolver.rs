//! Imports of images, answered by exports.

use exports::{DataExports, Resolved};
use loader::map::{Resolution, Resolver};
use loader::pe::ImportSymbol;

/// Answers with the exports of one machine.
pub(crate) struct ExportResolver<'a> {
    pub(crate) data: &'a DataExports,
}

impl Resolver for ExportResolver<'_> {
    fn resolve(&self, _dll: &str, symbol: ImportSymbol<'_>) -> Resolution {
        let ImportSymbol::Name(name) = symbol else { return Resolution::Missing };
        match exports::resolve(name, self.data) {
            Some(Resolved::Function(address)) => Resolution::Function(address),
            Some(Resolved::Data(address)) => Resolution::Data(address),
            Some(Resolved::Missing(address, name)) => Resolution::Stub(address, name),
            None => Resolution::Missing,
        }
    }
}
