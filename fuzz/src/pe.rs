//! The target `pe`: any bytes as a driver's file. Whatever they are, the loader says what is wrong with them, or maps
//! them; what is mapped can be unwound from anywhere and goes away again. No instruction of it runs.

mod mutate;

use loader::map::{MapError, Options, Resolution, Resolver, map};
use loader::pe::ImportSymbol;
use platform::images;

use crate::images::space;
use crate::unwind;

pub use mutate::mutate;

/// Provides everything: a third of it as stubs, so that these are walked too.
struct Everything;

impl Resolver for Everything {
    fn resolve(&self, dll: &str, symbol: ImportSymbol<'_>) -> Resolution {
        let address = 0x1000 + dll.len();
        match symbol {
            ImportSymbol::Name(name) if name.len() % 3 == 0 => Resolution::Stub(address, "stub"),
            ImportSymbol::Name(_) => Resolution::Function(address),
            ImportSymbol::Ordinal(_) => Resolution::Data(address),
        }
    }
}

/// Loads `bytes` as far as they go.
///
/// # Panics
/// When the loader does, or when something of the image stays in memory.
pub fn run(bytes: &[u8]) {
    let space = space();
    let options = Options { allow_stubs: true, security_cookie: Some(0x1234_5678_9ABC) };
    match map("fuzzed.sys", bytes, space.clone(), &Everything, options) {
        Ok(image) => {
            let range = image.range();
            assert!(images::find(range.start).is_some(), "a mapped image is found by its addresses");
            unwind::walk(&image);
            // Linux may have no room for another mapping, which is no rule's matter.
            let _split = image.discard_initialisation();
            drop(image);
            assert!(images::find(range.start).is_none(), "an image that is gone is found no more");
        }
        Err(error @ MapError::MissingImports(_)) => panic!("nothing is missing here: {error}"),
        Err(error) => assert!(!error.to_string().is_empty(), "an error says what is wrong"),
    }
    assert_eq!(space.taken(), 0, "nothing of an image stays in memory");
}
