//! The debug directory, for the name of the symbol file. It decides nothing, so that a broken one is simply not there.

use object::LittleEndian as LE;
use object::pe::{self, ImageDebugDirectory};
use object::pod::slice_from_bytes;

use super::{File, MAX_NAME};

/// Signature `RSDS`, GUID, age.
const CODEVIEW_HEADER: usize = 24;
const MAX_ENTRIES: usize = 64;

pub(super) fn pdb_path(file: &File<'_>) -> Option<String> {
    const WHAT: &str = "the debug directory";
    let (rva, size) = file.directory(pe::IMAGE_DIRECTORY_ENTRY_DEBUG, WHAT).ok()??;
    let count = (size as usize / size_of::<ImageDebugDirectory>()).min(MAX_ENTRIES);
    let (entries, _) = slice_from_bytes::<ImageDebugDirectory>(file.tail(rva)?, count).ok()?;
    let codeview = entries.iter().find(|entry| entry.typ.get(LE) == pe::IMAGE_DEBUG_TYPE_CODEVIEW)?;
    let start = codeview.pointer_to_raw_data.get(LE) as usize;
    let end = start.checked_add(codeview.size_of_data.get(LE) as usize)?;
    let data = file.bytes.get(start..end)?;
    if !data.starts_with(b"RSDS") {
        return None;
    }
    let path = data.get(CODEVIEW_HEADER..)?;
    let length = path.iter().take(MAX_NAME).position(|byte| *byte == 0)?;
    std::str::from_utf8(&path[..length]).ok().map(str::to_owned)
}
