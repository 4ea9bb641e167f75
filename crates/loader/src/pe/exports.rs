//! The export directory.

use object::LittleEndian as LE;
use object::pe::{self, ImageExportDirectory};

use super::{File, ImageError, MAX_SYMBOLS, word};

const WHAT: &str = "the export table";

/// Where an export leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportTarget {
    /// To a relative address in the image.
    Address(u32),
    /// To a symbol of another image, as `DLL.Symbol`.
    Forward(String),
}

/// An exported symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its name; some are exported by ordinal alone.
    pub name: Option<String>,
    /// Its ordinal, the table's base included.
    pub ordinal: u32,
    /// Where it leads.
    pub target: ExportTarget,
}

fn counted(what: &'static str, value: u32) -> Result<u32, ImageError> {
    if value as usize > MAX_SYMBOLS {
        return Err(ImageError::TooLarge { what, value: u64::from(value), limit: MAX_SYMBOLS as u64 });
    }
    Ok(value)
}

pub(super) fn read(file: &File<'_>) -> Result<Vec<Export>, ImageError> {
    let Some((rva, size)) = file.directory(pe::IMAGE_DIRECTORY_ENTRY_EXPORT, WHAT)? else {
        return Ok(Vec::new());
    };
    let directory: &ImageExportDirectory = file.read(rva, WHAT)?;
    let functions = counted("the number of exports", directory.number_of_functions.get(LE))?;
    let names = counted("the number of exported names", directory.number_of_names.get(LE))?;
    let base = directory.base.get(LE);
    let addresses = table(file, directory.address_of_functions.get(LE), functions, 4)?;
    let name_table = table(file, directory.address_of_names.get(LE), names, 4)?;
    let ordinals = table(file, directory.address_of_name_ordinals.get(LE), names, 2)?;

    let mut exports = Vec::new();
    let mut named = vec![false; functions as usize];
    let mut kept = 0;
    for (entry, ordinal) in name_table.chunks_exact(4).zip(ordinals.chunks_exact(2)) {
        let index = usize::from(u16::from_le_bytes([ordinal[0], ordinal[1]]));
        let Some(seen) = named.get_mut(index) else {
            return Err(ImageError::malformed(WHAT, rva, "a name has an ordinal beyond the table"));
        };
        *seen = true;
        let name = file.name(word(entry, 0), "an exported symbol's name")?;
        kept += name.len();
        let limit = MAX_SYMBOLS * 64;
        if kept > limit {
            let (value, limit) = (kept as u64, limit as u64);
            return Err(ImageError::TooLarge { what: "the length of all exported names", value, limit });
        }
        if let Some(target) = target(file, addresses, index, rva, size)? {
            exports.push(Export { name: Some(name.to_owned()), ordinal: ordinal_of(base, index), target });
        }
    }
    for (index, _) in named.iter().enumerate().filter(|(_, named)| !**named) {
        if let Some(target) = target(file, addresses, index, rva, size)? {
            exports.push(Export { name: None, ordinal: ordinal_of(base, index), target });
        }
    }
    Ok(exports)
}

fn ordinal_of(base: u32, index: usize) -> u32 {
    base.wrapping_add(u32::try_from(index).unwrap_or(u32::MAX))
}

fn table<'a>(file: &File<'a>, rva: u32, count: u32, width: u32) -> Result<&'a [u8], ImageError> {
    if count == 0 { Ok(&[]) } else { file.at(rva, count * width, WHAT) }
}

fn target(
    file: &File<'_>,
    addresses: &[u8],
    index: usize,
    directory: u32,
    size: u32,
) -> Result<Option<ExportTarget>, ImageError> {
    let rva = word(addresses, index * 4);
    if rva == 0 {
        return Ok(None);
    }
    // An address inside the directory is no code but the name of another image's symbol.
    if (directory..directory.saturating_add(size)).contains(&rva) {
        return Ok(Some(ExportTarget::Forward(file.name(rva, "a forwarded export")?.to_owned())));
    }
    if !file.holds(rva, 1) {
        return Err(ImageError::malformed(WHAT, rva, "an export lies outside of the image"));
    }
    Ok(Some(ExportTarget::Address(rva)))
}
