//! What a PE file says about itself, with every claim checked against the file's real bytes.
//!
//! [`inspect`] is total: any input yields facts or an error that names the part and the place. Mapping, and
//! whether a machine can satisfy the imports, is [`map`](crate::map)'s matter.

mod debug;
mod error;
mod exports;
mod file;
mod imports;
mod load_config;
mod relocations;

pub use error::{ImageError, Machine};
pub use exports::{Export, ExportTarget};
pub use file::{Section, SectionFlags};
pub use imports::{Import, ImportSymbol, ImportedDll};
pub use load_config::LoadConfig;
pub use relocations::Relocations;

pub(crate) use file::{File, PAGE};
pub(crate) use relocations::walk as walk_relocations;

use object::pe;

/// Largest image that is accepted, in bytes of memory.
pub const MAX_IMAGE_SIZE: u32 = 512 << 20;
/// Most imports, and most exports, of one image.
pub const MAX_SYMBOLS: usize = 65_535;
/// Longest name of a symbol or DLL, in bytes.
pub const MAX_NAME: usize = 1024;

/// What an image contains. Relative addresses count from the image's first byte.
#[derive(Clone, Debug)]
pub struct ImageFacts {
    /// `IMAGE_FILE_*` bits.
    pub characteristics: u16,
    /// `IMAGE_DLLCHARACTERISTICS_*` bits.
    pub dll_characteristics: u16,
    /// `IMAGE_SUBSYSTEM_*`; always NATIVE (1).
    pub subsystem: u16,
    /// Where the image wants to lie.
    pub preferred_base: u64,
    /// Bytes of memory, a multiple of the page size.
    pub size: u32,
    /// Bytes of headers at the image's start.
    pub header_size: u32,
    /// Relative address of DriverEntry; export drivers may have none.
    pub entry: Option<u32>,
    /// Link time in seconds since 1970, or a hash in reproducible builds.
    pub time_date_stamp: u32,
    /// The header's checksum, as it stands there.
    pub checksum: u32,
    /// Linker version, major and minor.
    pub linker: (u8, u8),
    /// Sections in address order.
    pub sections: Vec<Section>,
    /// Imported DLLs in table order.
    pub imports: Vec<ImportedDll>,
    /// Exported symbols.
    pub exports: Vec<Export>,
    /// Whether, and how, the image can lie elsewhere than at its preferred base.
    pub relocations: Relocations,
    /// What the load configuration asks for.
    pub load_config: Option<LoadConfig>,
    /// The function table: relative address and number of entries.
    pub functions: Option<(u32, u32)>,
    /// The path that the linker recorded for the debug symbols.
    pub pdb: Option<String>,
}

impl ImageFacts {
    /// Whether the image asks for its signature to be checked at load.
    #[must_use]
    pub fn force_integrity(&self) -> bool {
        self.dll_characteristics & pe::IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY != 0
    }

    /// The export of this name.
    #[must_use]
    pub fn export(&self, name: &str) -> Option<&Export> {
        self.exports.iter().find(|export| export.name.as_deref() == Some(name))
    }

    /// Number of imported symbols.
    #[must_use]
    pub fn import_count(&self) -> usize {
        self.imports.iter().map(|dll| dll.symbols.len()).sum()
    }

    /// The section that holds a relative address.
    #[must_use]
    pub fn section_at(&self, rva: u32) -> Option<&Section> {
        self.sections.iter().find(|section| section.contains(rva))
    }
}

/// Reads and checks a driver image.
///
/// # Errors
/// What is wrong with the file, and where. Images for other machines and other subsystems are refused.
pub fn inspect(bytes: &[u8]) -> Result<ImageFacts, ImageError> {
    facts(&File::parse(bytes)?)
}

pub(crate) fn facts(file: &File<'_>) -> Result<ImageFacts, ImageError> {
    let optional = file.optional;
    Ok(ImageFacts {
        characteristics: file.header.characteristics.get(object::LittleEndian),
        dll_characteristics: optional.dll_characteristics.get(object::LittleEndian),
        subsystem: optional.subsystem.get(object::LittleEndian),
        preferred_base: file.preferred_base(),
        size: file.size,
        header_size: file.header_size,
        entry: entry(file)?,
        time_date_stamp: file.header.time_date_stamp.get(object::LittleEndian),
        checksum: optional.check_sum.get(object::LittleEndian),
        linker: (optional.major_linker_version, optional.minor_linker_version),
        sections: file.sections.clone(),
        imports: imports::read(file)?,
        exports: exports::read(file)?,
        relocations: relocations::read(file)?,
        load_config: load_config::read(file)?,
        functions: functions(file)?,
        pdb: debug::pdb_path(file),
    })
}

fn entry(file: &File<'_>) -> Result<Option<u32>, ImageError> {
    let entry = file.optional.address_of_entry_point.get(object::LittleEndian);
    if entry == 0 {
        return Ok(None);
    }
    let executable = file.sections.iter().any(|section| section.contains(entry) && section.flags.execute);
    if executable {
        Ok(Some(entry))
    } else {
        Err(ImageError::malformed("entry point", entry, "no executable section holds it"))
    }
}

fn functions(file: &File<'_>) -> Result<Option<(u32, u32)>, ImageError> {
    const ENTRY: u32 = 12;
    const WHAT: &str = "function table";
    let Some((rva, size)) = file.directory(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION, WHAT)? else {
        return Ok(None);
    };
    if size % ENTRY != 0 {
        return Err(ImageError::malformed(WHAT, rva, "its size is not a multiple of 12"));
    }
    let table = file.at(rva, size, WHAT)?;
    let mut before = 0;
    for entry in table.chunks_exact(ENTRY as usize) {
        let [begin, end] = [word(entry, 0), word(entry, 4)];
        // Zeroed entries at the end are padding.
        if begin == 0 && end == 0 {
            continue;
        }
        if begin < before || end <= begin || end > file.size {
            return Err(ImageError::malformed(
                WHAT,
                rva,
                "its entries are not in order, or lie outside the image",
            ));
        }
        before = begin;
    }
    Ok(Some((rva, size / ENTRY)))
}

/// The little-endian longword at `offset`, which the caller has bounded.
pub(crate) fn word(bytes: &[u8], offset: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(word)
}
