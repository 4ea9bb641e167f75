//! Win32 errors: names, and what a status becomes for an application.

use crate::NTSTATUS;
use crate::win32_codes::ERROR_MR_MID_NOT_FOUND;
use crate::win32_map::MAP;

/// The Win32 error of a status, as `RtlNtStatusToDosError` answers after knowledge base article 113996. Exceptions pass
/// through unchanged; statuses of facility `FACILITY_NTWIN32` carry the error in their low word; a status without a
/// known mapping becomes `ERROR_MR_MID_NOT_FOUND` (317).
///
/// Confirm: for statuses that the article does not map and winerror.h's block 532 to 799 repeats by name, the pair is
/// inferred from the name; a status with the customer bit (0x20000000) becomes 317 like any other unknown one.
///
/// `CreateFile` answers `ERROR_FILE_EXISTS` for a name collision, which is its own choice and not this table's.
#[must_use]
pub fn win32_from_status(status: NTSTATUS) -> u32 {
    const FACILITY_NTWIN32: u32 = 7;
    let bits = status.bits();
    if let Ok(index) = MAP.binary_search_by_key(&bits, |&(key, _)| key) {
        return MAP[index].1;
    }
    if bits >> 16 & 0xFFF == FACILITY_NTWIN32 { bits & 0xFFFF } else { ERROR_MR_MID_NOT_FOUND }
}
