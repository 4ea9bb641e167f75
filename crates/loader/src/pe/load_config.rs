//! The load configuration: where the loader seeds the security cookie and installs control-flow checks.

use std::mem::offset_of;

use object::pe::{self, ImageLoadConfigDirectory64 as Directory};

use super::{File, ImageError, word};

const WHAT: &str = "the load configuration";

/// What an image's load configuration asks for; addresses are relative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadConfig {
    /// The variable that holds the security cookie.
    pub security_cookie: Option<u32>,
    /// The pointer to the control-flow check.
    pub guard_check: Option<u32>,
    /// The pointer to the control-flow dispatch.
    pub guard_dispatch: Option<u32>,
    /// `IMAGE_GUARD_*` bits.
    pub guard_flags: u32,
}

pub(super) fn read(file: &File<'_>) -> Result<Option<LoadConfig>, ImageError> {
    let Some((rva, _)) = file.directory(pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG, WHAT)? else {
        return Ok(None);
    };
    // The structure grows with every Windows: its own size says which fields it has.
    let size = word(file.at(rva, 4, WHAT)?, 0).min(u32::try_from(size_of::<Directory>()).unwrap_or(u32::MAX));
    let fields = file.at(rva, size, WHAT)?;
    let pointer = |offset| pointer(file, fields, offset, rva);
    let flags = offset_of!(Directory, guard_flags);
    Ok(Some(LoadConfig {
        security_cookie: pointer(offset_of!(Directory, security_cookie))?,
        guard_check: pointer(offset_of!(Directory, guard_cf_check_function_pointer))?,
        guard_dispatch: pointer(offset_of!(Directory, guard_cf_dispatch_function_pointer))?,
        guard_flags: if flags + 4 <= fields.len() { word(fields, flags) } else { 0 },
    }))
}

/// The relative address of the eight bytes that a field points to; the field holds an address at the preferred base.
fn pointer(file: &File<'_>, fields: &[u8], offset: usize, rva: u32) -> Result<Option<u32>, ImageError> {
    let Some(bytes) = fields.get(offset..offset + 8) else { return Ok(None) };
    let address = u64::from(word(bytes, 0)) | u64::from(word(bytes, 4)) << 32;
    if address == 0 {
        return Ok(None);
    }
    let target = address.checked_sub(file.preferred_base()).and_then(|target| u32::try_from(target).ok());
    match target.filter(|target| file.holds(*target, 8) && *target >= file.header_size) {
        Some(target) => Ok(Some(target)),
        None => Err(ImageError::malformed(WHAT, rva, "it points outside of the image")),
    }
}
