//! The import directory.

use std::fmt;

use object::LittleEndian as LE;
use object::pe::{self, ImageImportDescriptor};

use super::{File, ImageError, MAX_SYMBOLS};

const WHAT: &str = "the import table";
const MAX_DLLS: usize = 1024;
/// All names together: tables that name the same bytes again and again must not make us keep them all.
const MAX_NAMES: usize = 4 << 20;
const SLOT: u32 = 8;

/// How an import names its symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImportSymbol<'a> {
    /// By name.
    Name(&'a str),
    /// By ordinal.
    Ordinal(u16),
}

impl fmt::Display for ImportSymbol<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Ordinal(ordinal) => write!(formatter, "ordinal {ordinal}"),
        }
    }
}

/// An imported symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    name: Option<String>,
    ordinal: u16,
    /// Relative address of the pointer that is to receive its address.
    pub slot: u32,
}

impl Import {
    /// What is imported.
    #[must_use]
    pub fn symbol(&self) -> ImportSymbol<'_> {
        self.name.as_deref().map_or(ImportSymbol::Ordinal(self.ordinal), ImportSymbol::Name)
    }
}

/// What is imported from one DLL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedDll {
    /// Its name as the image spells it.
    pub name: String,
    /// The symbols.
    pub symbols: Vec<Import>,
}

/// Counts what has been read, against the limits.
#[derive(Default)]
struct Budget {
    symbols: usize,
    names: usize,
}

impl Budget {
    fn symbol(&mut self, name: Option<&str>) -> Result<(), ImageError> {
        self.symbols += 1;
        self.names += name.map_or(0, str::len);
        let (value, limit) = (self.symbols as u64, MAX_SYMBOLS as u64);
        if value > limit {
            return Err(ImageError::TooLarge { what: "the number of imports", value, limit });
        }
        let (value, limit) = (self.names as u64, MAX_NAMES as u64);
        if value > limit {
            return Err(ImageError::TooLarge { what: "the length of all imported names", value, limit });
        }
        Ok(())
    }
}

pub(super) fn read(file: &File<'_>) -> Result<Vec<ImportedDll>, ImageError> {
    let mut dlls = Vec::new();
    let Some((start, _)) = file.directory(pe::IMAGE_DIRECTORY_ENTRY_IMPORT, WHAT)? else {
        return Ok(dlls);
    };
    let mut budget = Budget::default();
    let mut at = start;
    loop {
        let descriptor: &ImageImportDescriptor = file.read(at, WHAT)?;
        // The table ends with a zeroed descriptor; its size in the directory is not relied upon by any loader.
        if descriptor.name.get(LE) == 0 || descriptor.first_thunk.get(LE) == 0 {
            return Ok(dlls);
        }
        if dlls.len() == MAX_DLLS {
            let (value, limit) = (dlls.len() as u64 + 1, MAX_DLLS as u64);
            return Err(ImageError::TooLarge { what: "the number of imported DLLs", value, limit });
        }
        dlls.push(dll(file, descriptor, &mut budget)?);
        at = advance(at, ImageImportDescriptor::SIZE)?;
    }
}

trait Sized32 {
    const SIZE: u32;
}

impl Sized32 for ImageImportDescriptor {
    const SIZE: u32 = 20;
}

fn advance(at: u32, by: u32) -> Result<u32, ImageError> {
    at.checked_add(by).ok_or_else(|| ImageError::malformed(WHAT, at, "it is not terminated"))
}

fn dll(
    file: &File<'_>,
    descriptor: &ImageImportDescriptor,
    budget: &mut Budget,
) -> Result<ImportedDll, ImageError> {
    let name = file.name(descriptor.name.get(LE), "an imported DLL's name")?;
    let slots = descriptor.first_thunk.get(LE);
    // Bound images keep the names in the first table alone; some linkers write only the second.
    let names = match descriptor.original_first_thunk.get(LE) {
        0 => slots,
        names => names,
    };
    let mut symbols = Vec::new();
    let mut offset = 0_u32;
    loop {
        let thunk: &pe::ImageThunkData64 = file.read(advance(names, offset)?, "an import lookup table")?;
        let thunk = thunk.0.get(LE);
        if thunk == 0 {
            return Ok(ImportedDll { name: name.to_owned(), symbols });
        }
        let slot = advance(slots, offset)?;
        if !file.holds(slot, u64::from(SLOT)) || slot < file.header_size {
            return Err(ImageError::malformed(
                "an import address table",
                slot,
                "it lies outside of the sections",
            ));
        }
        let import = import(file, thunk, slot)?;
        budget.symbol(import.name.as_deref())?;
        symbols.push(import);
        offset = advance(offset, SLOT)?;
    }
}

fn import(file: &File<'_>, thunk: u64, slot: u32) -> Result<Import, ImageError> {
    if thunk & pe::IMAGE_ORDINAL_FLAG64 != 0 {
        let ordinal = u16::try_from(thunk & !pe::IMAGE_ORDINAL_FLAG64).map_err(|_| {
            ImageError::malformed("an import lookup table", slot, "an ordinal is above 65535")
        })?;
        return Ok(Import { name: None, ordinal, slot });
    }
    const HINT: u32 = 2;
    let name = u32::try_from(thunk).ok().and_then(|rva| rva.checked_add(HINT)).ok_or_else(|| {
        ImageError::malformed("an import lookup table", slot, "an entry is no relative address")
    })?;
    Ok(Import { name: Some(file.name(name, "an imported symbol's name")?.to_owned()), ordinal: 0, slot })
}
