//! The base relocation directory.

use object::pe;

use super::{File, ImageError, word};

const WHAT: &str = "the relocation table";
const BLOCK_HEADER: usize = 8;

/// Whether an image can lie elsewhere than at its preferred base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relocations {
    /// They were stripped: the image runs at its preferred base only.
    Stripped,
    /// Anywhere; this many pointers are adjusted.
    Count(u32),
}

pub(super) fn read(file: &File<'_>) -> Result<Relocations, ImageError> {
    let characteristics = file.header.characteristics.get(object::LittleEndian);
    let mut count = 0_u32;
    walk(file, |_| count += 1)?;
    // Position-independent images have no table either, and say so by not having this bit.
    let stripped = characteristics & pe::IMAGE_FILE_RELOCS_STRIPPED != 0;
    Ok(if stripped { Relocations::Stripped } else { Relocations::Count(count) })
}

/// Calls `visit` with the relative address of every pointer to adjust; each lies inside the image.
pub(crate) fn walk(file: &File<'_>, mut visit: impl FnMut(u32)) -> Result<(), ImageError> {
    let Some((rva, size)) = file.directory(pe::IMAGE_DIRECTORY_ENTRY_BASERELOC, WHAT)? else {
        return Ok(());
    };
    let mut table = file.at(rva, size, WHAT)?;
    while table.len() >= BLOCK_HEADER {
        let page = word(table, 0);
        let length = word(table, 4) as usize;
        if page == 0 && length == 0 {
            // Padding at the end.
            break;
        }
        if length < BLOCK_HEADER || length > table.len() || !length.is_multiple_of(2) {
            return Err(ImageError::malformed(WHAT, page, "a block's size is wrong"));
        }
        for entry in table[BLOCK_HEADER..length].chunks_exact(2) {
            let entry = u16::from_le_bytes([entry[0], entry[1]]);
            visit_entry(file, page, entry, &mut visit)?;
        }
        table = &table[length..];
    }
    Ok(())
}

fn visit_entry(
    file: &File<'_>,
    page: u32,
    entry: u16,
    visit: &mut impl FnMut(u32),
) -> Result<(), ImageError> {
    match entry >> 12 {
        pe::IMAGE_REL_BASED_ABSOLUTE => Ok(()),
        pe::IMAGE_REL_BASED_DIR64 => {
            let target = page.checked_add(u32::from(entry & 0xFFF));
            let target = target.filter(|target| file.holds(*target, 8));
            visit(target.ok_or_else(|| ImageError::malformed(WHAT, page, "it points outside of the image"))?);
            Ok(())
        }
        pe::IMAGE_REL_BASED_HIGHLOW => {
            Err(ImageError::malformed(WHAT, page, "HIGHLOW relocations belong to 32-bit images"))
        }
        _ => Err(ImageError::malformed(WHAT, page, "a relocation is of a type that x64 does not have")),
    }
}
