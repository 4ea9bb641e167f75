//! Which Windows the machine says it is, and statuses as Win32 errors.

use std::cmp::Ordering;
use std::mem::offset_of;

use abi::{NTSTATUS, OSVERSIONINFOEXW, OSVERSIONINFOW};
use kernel::raw::{self, Outcome};

use crate::row::rows;

/// Windows 10, 22H2, as KUSER_SHARED_DATA says too.
const VERSION: [u32; 3] = [10, 0, 19045];
/// NTDDI_WIN10_VB of that version, the last that the headers name for it.
const NTDDI_VERSION: u32 = 0x0A00_0008;
/// VER_PLATFORM_WIN32_NT, VER_SUITE_SINGLEUSERTS, VER_NT_WORKSTATION.
const PLATFORM: u32 = 2;
const SUITE: u32 = 0x100;
const PRODUCT: u32 = 1;

/// Conditions of RtlVerifyVersionInfo.
const EQUAL: u64 = 1;
const GREATER: u64 = 2;
const GREATER_EQUAL: u64 = 3;
const LESS: u64 = 4;
const LESS_EQUAL: u64 = 5;
/// For the suite mask.
const AND: u64 = 6;
const OR: u64 = 7;

/// A field that RtlVerifyVersionInfo compares: bit of its type, offset, size in bytes, the machine's value.
type Field = (u32, usize, usize, u32);

/// Those of the version number, the most significant first: each counts only where those before it are equal.
const NUMBER: [Field; 5] = [
    (1, offset_of!(OSVERSIONINFOEXW, dwMajorVersion), 4, VERSION[0]),
    (0, offset_of!(OSVERSIONINFOEXW, dwMinorVersion), 4, VERSION[1]),
    (2, offset_of!(OSVERSIONINFOEXW, dwBuildNumber), 4, VERSION[2]),
    (5, offset_of!(OSVERSIONINFOEXW, wServicePackMajor), 2, 0),
    (4, offset_of!(OSVERSIONINFOEXW, wServicePackMinor), 2, 0),
];
const OTHERS: [Field; 2] = [
    (3, offset_of!(OSVERSIONINFOEXW, dwPlatformId), 4, PLATFORM),
    (7, offset_of!(OSVERSIONINFOEXW, wProductType), 1, PRODUCT),
];
const SUITE_MASK: Field = (6, offset_of!(OSVERSIONINFOEXW, wSuiteMask), 2, SUITE);

fn get_version(information: u64) -> Outcome<NTSTATUS> {
    let extended = raw::read::<u32>(information)? as usize == size_of::<OSVERSIONINFOEXW>();
    let [major, minor, build] = VERSION;
    let at = |offset: usize| information.wrapping_add(offset as u64);
    raw::write(at(offset_of!(OSVERSIONINFOW, dwMajorVersion)), major)?;
    raw::write(at(offset_of!(OSVERSIONINFOW, dwMinorVersion)), minor)?;
    raw::write(at(offset_of!(OSVERSIONINFOW, dwBuildNumber)), build)?;
    raw::write(at(offset_of!(OSVERSIONINFOW, dwPlatformId)), PLATFORM)?;
    raw::fill(at(offset_of!(OSVERSIONINFOW, szCSDVersion)), 0, 256)?;
    if extended {
        raw::write(at(offset_of!(OSVERSIONINFOEXW, wServicePackMajor)), 0_u32)?;
        raw::write(at(offset_of!(OSVERSIONINFOEXW, wSuiteMask)), u16::try_from(SUITE).unwrap_or(0))?;
        raw::write(at(offset_of!(OSVERSIONINFOEXW, wProductType)), u8::try_from(PRODUCT).unwrap_or(0))?;
    }
    Ok(abi::STATUS_SUCCESS)
}

/// The condition mask with one more condition, for the fields of a type mask.
fn with_condition(mask: u64, types: u32, condition: u8) -> u64 {
    (0..8)
        .filter(|bit| types >> bit & 1 == 1)
        .fold(mask, |mask, bit| mask | (u64::from(condition) & 7) << (bit * 3))
}

/// Whether the machine's value, in this order to the one asked for, meets a condition; None for no condition.
fn meets(condition: u64, order: Ordering) -> Option<bool> {
    Some(match condition {
        EQUAL => order.is_eq(),
        GREATER => order.is_gt(),
        GREATER_EQUAL => order.is_ge(),
        LESS => order.is_lt(),
        LESS_EQUAL => order.is_le(),
        _ => return None,
    })
}

/// What RtlVerifyVersionInfo answers; `asked` reads a field of the caller's.
fn verify(types: u32, conditions: u64, asked: impl Fn(usize, usize) -> Outcome<u32>) -> Outcome<NTSTATUS> {
    let wanted = |field: &&Field| types >> field.0 & 1 == 1;
    let condition = |bit: u32| conditions >> (bit * 3) & 7;
    let mut results = Vec::new();
    let mut number = None;
    for (bit, offset, size, own) in NUMBER.iter().filter(wanted) {
        let (first, order) = number.unwrap_or((condition(*bit), Ordering::Equal));
        number = Some((first, order.then(own.cmp(&asked(*offset, *size)?))));
    }
    if let Some((condition, order)) = number {
        results.push(meets(condition, order));
    }
    for (bit, offset, size, own) in OTHERS.iter().filter(wanted) {
        results.push(meets(condition(*bit), own.cmp(&asked(*offset, *size)?)));
    }
    let (bit, offset, size, own) = SUITE_MASK;
    if wanted(&&SUITE_MASK) {
        let mask = asked(offset, size)?;
        results.push(match condition(bit) {
            AND => Some(own & mask == mask),
            OR => Some(own & mask != 0),
            _ => None,
        });
    }
    Ok(if results.is_empty() || results.contains(&None) {
        abi::STATUS_INVALID_PARAMETER
    } else if results.contains(&Some(false)) {
        abi::STATUS_REVISION_MISMATCH
    } else {
        abi::STATUS_SUCCESS
    })
}

rows! {
    dll = "ntoskrnl.exe";

    /// Stores the version of the system: Windows 10, build 19045.
    irql(PASSIVE_LEVEL)
    fn RtlGetVersion(call, version_information: u64) -> NTSTATUS {
        let _ = call;
        get_version(version_information)
    }

    /// Compares the version of the system with one that is asked for.
    irql(PASSIVE_LEVEL)
    fn RtlVerifyVersionInfo(call, version_information: u64, type_mask: u32, condition_mask: u64) -> NTSTATUS {
        let _ = call;
        verify(type_mask, condition_mask, |offset, size| {
            let at = version_information.wrapping_add(offset as u64);
            match size {
                1 => raw::read::<u8>(at).map(u32::from),
                2 => raw::read::<u16>(at).map(u32::from),
                _ => raw::read(at),
            }
        })
    }

    /// Adds a condition to a mask for RtlVerifyVersionInfo.
    irql(HIGH_LEVEL)
    fn VerSetConditionMask(call, condition_mask: u64, type_mask: u32, condition: u8) -> u64 {
        let _ = call;
        Ok(with_condition(condition_mask, type_mask, condition))
    }

    /// Whether the system has the interfaces of a version of the headers (NTDDI_*).
    irql(PASSIVE_LEVEL)
    fn RtlIsNtDdiVersionAvailable(call, version: u32) -> bool {
        let _ = call;
        Ok(version <= NTDDI_VERSION)
    }

    /// Returns the Win32 error of a status.
    irql(HIGH_LEVEL) alias("RtlNtStatusToDosErrorNoTeb")
    fn RtlNtStatusToDosError(call, status: u32) -> u32 {
        let _ = call;
        Ok(abi::win32_from_status(NTSTATUS::from_bits(status)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::scratch::Scratch;

    const BUILD: u32 = 4;
    const MAJOR_MINOR: u32 = 3;

    fn compare(types: u32, condition: u64, major: u32, minor: u32, build: u32) -> NTSTATUS {
        let mask = with_condition(0, types, u8::try_from(condition).expect("small"));
        let asked = |offset, _size| {
            Ok(match offset {
                4 => major,
                8 => minor,
                12 => build,
                _ => 0,
            })
        };
        verify(types, mask, asked).expect("nothing is read")
    }

    #[test]
    fn the_version_is_written_as_far_as_its_size_says() {
        let scratch = Scratch::new();
        let information = scratch.bytes(284);
        raw::fill(information, 0xFF, 284).expect("pool");
        raw::write(information, 276_u32).expect("pool");
        assert_eq!(get_version(information).expect("w"), abi::STATUS_SUCCESS);
        assert_eq!(scratch.read(information + 4, 12), [10, 0, 0, 0, 0, 0, 0, 0, 0x65, 0x4A, 0, 0]);
        assert_eq!(scratch.read(information + 276, 8), [0xFF; 8]);
        raw::write(information, 284_u32).expect("pool");
        get_version(information).expect("w");
        assert_eq!(scratch.read(information + 276, 7), [0, 0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn major_and_minor_are_one_number() {
        assert_eq!(compare(MAJOR_MINOR, GREATER_EQUAL, 6, 3, 0), abi::STATUS_SUCCESS);
        assert_eq!(compare(MAJOR_MINOR, GREATER_EQUAL, 10, 1, 0), abi::STATUS_REVISION_MISMATCH);
        assert_eq!(compare(MAJOR_MINOR, LESS, 10, 1, 0), abi::STATUS_SUCCESS);
        assert_eq!(compare(BUILD, EQUAL, 0, 0, 19045), abi::STATUS_SUCCESS);
        assert_eq!(compare(BUILD, GREATER, 0, 0, 19045), abi::STATUS_REVISION_MISMATCH);
    }

    #[test]
    fn nothing_to_compare_or_no_condition_is_an_invalid_parameter() {
        assert_eq!(compare(0, EQUAL, 0, 0, 0), abi::STATUS_INVALID_PARAMETER);
        assert_eq!(compare(BUILD, 0, 0, 0, 0), abi::STATUS_INVALID_PARAMETER);
        assert_eq!(compare(BUILD, AND, 0, 0, 0), abi::STATUS_INVALID_PARAMETER);
    }

    #[test]
    fn a_condition_goes_to_the_three_bits_of_its_type() {
        assert_eq!(with_condition(0, BUILD, 3), 3 << 6);
        assert_eq!(with_condition(1, 0x80, 7), 1 | 7 << 21);
    }
}
