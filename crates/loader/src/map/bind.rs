//! Imports: every one resolved before anything is mapped, and all missing ones named at once.

use std::fmt;

use crate::pe::{ImageFacts, ImportSymbol};

/// What an import turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// A function, at this address.
    Function(usize),
    /// A variable, at this address.
    Data(usize),
    /// A function that is known but not implemented: the address of code that says so when called, and its name.
    Stub(usize, &'static str),
    /// Nobody provides it.
    Missing,
}

/// Says what imports mean.
pub trait Resolver {
    /// Looks a symbol up; `dll` is spelled as in the image, so compare it without regard to case. Aliases (one
    /// function imported under several names, or from several DLLs) are the resolver's matter.
    fn resolve(&self, dll: &str, symbol: ImportSymbol<'_>) -> Resolution;
}

/// An import that cannot be bound, or only to a stub.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingImport {
    /// The DLL, as the image spells it.
    pub dll: String,
    /// The symbol, or `ordinal N`.
    pub symbol: String,
    /// It is known, but not implemented.
    pub stub: bool,
}

impl fmt::Display for MissingImport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = if self.stub { " (not implemented)" } else { "" };
        write!(formatter, "{}!{}{note}", self.dll, self.symbol)
    }
}

pub(super) fn list_missing(missing: &[MissingImport]) -> String {
    let names: Vec<_> = missing.iter().map(ToString::to_string).collect();
    let verb = if missing.len() == 1 { "import is" } else { "imports are" };
    format!("{} {verb} missing: {}", missing.len(), names.join(", "))
}

#[derive(Default)]
pub(super) struct Resolved {
    /// Relative address of the pointer → what it is to hold.
    pub(super) slots: Vec<(u32, usize)>,
    pub(super) stubs: Vec<MissingImport>,
}

pub(super) fn resolve(
    facts: &ImageFacts,
    resolver: &dyn Resolver,
    allow_stubs: bool,
) -> Result<Resolved, Vec<MissingImport>> {
    let mut resolved = Resolved::default();
    let mut missing = Vec::new();
    for dll in &facts.imports {
        for import in &dll.symbols {
            let named =
                |stub| MissingImport { dll: dll.name.clone(), symbol: import.symbol().to_string(), stub };
            match resolver.resolve(&dll.name, import.symbol()) {
                Resolution::Function(address) | Resolution::Data(address) => {
                    resolved.slots.push((import.slot, address));
                }
                Resolution::Stub(address, _) if allow_stubs => {
                    resolved.slots.push((import.slot, address));
                    resolved.stubs.push(named(true));
                }
                Resolution::Stub(..) => missing.push(named(true)),
                Resolution::Missing => missing.push(named(false)),
            }
        }
    }
    if missing.is_empty() { Ok(resolved) } else { Err(missing) }
}
