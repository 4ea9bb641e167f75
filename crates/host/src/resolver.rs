//! Imports of images, answered by exports: the machine's own, and those of images that it has loaded.

use exports::{DataExports, Resolved};
use loader::map::{Resolution, Resolver};
use loader::pe::{ExportTarget, ImportSymbol};

use crate::libraries::Provider;

/// Answers with the exports of one machine.
pub(crate) struct ExportResolver<'a> {
    pub(crate) data: &'a DataExports,
    /// What the image imports from beside the machine itself.
    pub(crate) providers: &'a [Provider],
}

impl ExportResolver<'_> {
    fn own(&self, name: &str) -> Resolution {
        match exports::resolve(name, self.data) {
            Some(Resolved::Function(address)) => Resolution::Function(address),
            Some(Resolved::Data(address)) => Resolution::Data(address),
            Some(Resolved::Missing(address, name)) => Resolution::Stub(address, name),
            None => Resolution::Missing,
        }
    }

    fn of(&self, provider: &Provider, symbol: ImportSymbol<'_>) -> Resolution {
        let image = &provider.image;
        let exports = image.facts().exports.iter();
        let export = match symbol {
            ImportSymbol::Name(name) => image.facts().export(name),
            ImportSymbol::Ordinal(ordinal) => {
                exports.into_iter().find(|export| export.ordinal == u32::from(ordinal))
            }
        };
        match export.map(|export| &export.target) {
            Some(ExportTarget::Address(rva)) => Resolution::Function(image.base() + *rva as usize),
            // Exports of the machine's own are forwarded to by name; what another image has, each imports itself.
            Some(ExportTarget::Forward(to)) => {
                to.split_once('.').map_or(Resolution::Missing, |(_, name)| self.own(name))
            }
            None => Resolution::Missing,
        }
    }
}

impl Resolver for ExportResolver<'_> {
    fn resolve(&self, dll: &str, symbol: ImportSymbol<'_>) -> Resolution {
        let provider = self.providers.iter().find(|provider| provider.dll.eq_ignore_ascii_case(dll));
        match (provider, symbol) {
            (Some(provider), symbol) => self.of(provider, symbol),
            (None, ImportSymbol::Name(name)) => self.own(name),
            (None, ImportSymbol::Ordinal(_)) => Resolution::Missing,
        }
    }
}
