//! Counted strings of UTF-16. Lengths are in bytes; a terminating zero is written where there is room, as on NT, and
//! never counted.

use abi::NTSTATUS;
use kernel::ob::{eq_ignore_case, upcase};
use kernel::raw::{self, Outcome, UnicodeString};

use super::ex;
use crate::Call;
use crate::format::Text;
use crate::row::rows;

/// The tag of strings that these routines allocate.
pub(super) const TAG: u32 = u32::from_le_bytes(*b"Strg");
/// The most bytes that a UNICODE_STRING counts.
const MAX_LENGTH: u64 = 0xFFFE;
/// RTL_DUPLICATE_UNICODE_STRING_NULL_TERMINATE and …_ALLOCATE_NULL_STRING.
const NULL_TERMINATE: u32 = 1;
const ALLOCATE_NULL_STRING: u32 = 2;
/// HASH_STRING_ALGORITHM_DEFAULT and …_X65599, which are the same.
const HASH_ALGORITHMS: std::ops::RangeInclusive<u32> = 0..=1;

/// Allocates paged pool for a string; 0 when there is none.
pub(super) fn allocate_string(call: Call<'_>, bytes: u64) -> Outcome<u64> {
    ex::allocate(call, bytes, TAG, true, false)
}

/// The number of units before the zero of a string, at most `limit`.
pub(super) fn length_of(text: Text, address: u64, limit: u64) -> Outcome<u64> {
    let mut length = 0;
    while length < limit && text.read(address.wrapping_add(length * text.size()))? != 0 {
        length += 1;
    }
    Ok(length)
}

/// A length in bytes as strings store it, at most [`MAX_LENGTH`].
pub(super) fn short(bytes: u64) -> u16 {
    u16::try_from(bytes).unwrap_or(0xFFFE)
}

/// The lower-case form of one UTF-16 unit; units without a single-unit lower case stay as they are.
pub(super) fn downcase(unit: u16) -> u16 {
    let mut lower = char::from_u32(u32::from(unit)).into_iter().flat_map(char::to_lowercase);
    match (lower.next(), lower.next()) {
        (Some(single), None) => u16::try_from(u32::from(single)).unwrap_or(unit),
        _ => unit,
    }
}

/// Negative, zero or positive: by the first difference, else by length.
pub(super) fn compare(left: &[u16], right: &[u16], fold: impl Fn(u16) -> u16) -> i32 {
    for (a, b) in left.iter().zip(right) {
        let (a, b) = (fold(*a), fold(*b));
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    let difference = left.len().cast_signed() - right.len().cast_signed();
    i32::try_from(difference).unwrap_or(if difference < 0 { i32::MIN } else { i32::MAX })
}

fn folding(case_insensitive: u8) -> impl Fn(u16) -> u16 {
    move |unit| if case_insensitive != 0 { upcase(unit) } else { unit }
}

/// `wide` units at an address.
fn units_at(address: u64, count: u64) -> Outcome<Vec<u16>> {
    (0..count).map(|index| raw::read(address.wrapping_add(index * 2))).collect()
}

/// Points a string at one that a zero ends, at most `limit` bytes long.
fn initialize(destination: u64, source: u64, limit: u64) -> Outcome<()> {
    let destination = UnicodeString::at(destination);
    if source == 0 {
        return destination.set(0, 0, 0);
    }
    let length = short(length_of(Text::Wide, source, limit / 2)? * 2);
    destination.set(length, length + 2, source)
}

fn initialize_checked(destination: u64, source: u64) -> Outcome<NTSTATUS> {
    if source != 0 && length_of(Text::Wide, source, MAX_LENGTH / 2)? * 2 > MAX_LENGTH - 2 {
        return Ok(abi::STATUS_NAME_TOO_LONG);
    }
    initialize(destination, source, MAX_LENGTH - 2)?;
    Ok(abi::STATUS_SUCCESS)
}

fn copy(destination: u64, source: u64) -> Outcome<()> {
    let destination = UnicodeString::at(destination);
    if source == 0 {
        return destination.set_length(0);
    }
    let source = UnicodeString::at(source);
    let length = source.length()?.min(destination.maximum_length()?);
    raw::copy_within(destination.buffer()?, source.buffer()?, usize::from(length))?;
    destination.set_length(length)?;
    terminate(destination)
}

/// Writes a zero behind the string, if there is room.
pub(super) fn terminate(string: UnicodeString) -> Outcome<()> {
    let length = string.length()?;
    if u32::from(length) + 2 <= u32::from(string.maximum_length()?) {
        raw::write(string.buffer()?.wrapping_add(u64::from(length)), 0_u16)?;
    }
    Ok(())
}

fn append(destination: u64, source: u64, length: u64) -> Outcome<NTSTATUS> {
    let destination = UnicodeString::at(destination);
    let old = destination.length()?;
    let Some(new) = u16::try_from(length).ok().and_then(|length| old.checked_add(length)) else {
        return Ok(abi::STATUS_BUFFER_TOO_SMALL);
    };
    if new > destination.maximum_length()? {
        return Ok(abi::STATUS_BUFFER_TOO_SMALL);
    }
    let end = destination.buffer()?.wrapping_add(u64::from(old));
    raw::copy_within(end, source, usize::from(new - old))?;
    destination.set_length(new)?;
    terminate(destination)?;
    Ok(abi::STATUS_SUCCESS)
}

/// The units of a string, folded, into another that is large enough or allocated.
fn change_case(
    destination: u64,
    source: u64,
    allocate: Option<&dyn Fn(u64) -> Outcome<u64>>,
    fold: fn(u16) -> u16,
) -> Outcome<NTSTATUS> {
    let units: Vec<u16> = UnicodeString::at(source).to_wide()?.into_iter().map(fold).collect();
    let length = short(units.len() as u64 * 2);
    let destination = UnicodeString::at(destination);
    if let Some(allocate) = allocate {
        let buffer = allocate(u64::from(length))?;
        if buffer == 0 {
            return Ok(abi::STATUS_NO_MEMORY);
        }
        destination.set(length, length, buffer)?;
    } else if destination.maximum_length()? < length {
        return Ok(abi::STATUS_BUFFER_OVERFLOW);
    } else {
        destination.set_length(length)?;
    }
    raw::copy_wide(destination.buffer()?, &units)?;
    Ok(abi::STATUS_SUCCESS)
}

fn duplicate(
    flags: u32,
    source: u64,
    destination: u64,
    allocate: &dyn Fn(u64) -> Outcome<u64>,
) -> Outcome<NTSTATUS> {
    let terminated = flags & NULL_TERMINATE != 0;
    let allocates_null = flags & ALLOCATE_NULL_STRING != 0;
    if flags > NULL_TERMINATE | ALLOCATE_NULL_STRING || allocates_null && !terminated || destination == 0 {
        return Ok(abi::STATUS_INVALID_PARAMETER);
    }
    let units = if source == 0 { Vec::new() } else { UnicodeString::at(source).to_wide()? };
    let length = units.len() as u64 * 2;
    let maximum = length + if terminated { 2 } else { 0 };
    if maximum > MAX_LENGTH {
        return Ok(abi::STATUS_NAME_TOO_LONG);
    }
    let destination = UnicodeString::at(destination);
    if units.is_empty() && !allocates_null {
        destination.set(0, 0, 0)?;
        return Ok(abi::STATUS_SUCCESS);
    }
    let buffer = allocate(maximum)?;
    if buffer == 0 {
        return Ok(abi::STATUS_NO_MEMORY);
    }
    raw::copy_wide(buffer, &units)?;
    destination.set(short(length), short(maximum), buffer)?;
    terminate(destination)?;
    Ok(abi::STATUS_SUCCESS)
}

/// `hash * 65599 + unit` over all units.
fn hash(units: &[u16], fold: impl Fn(u16) -> u16) -> u32 {
    units.iter().fold(0_u32, |hash, unit| hash.wrapping_mul(65599).wrapping_add(u32::from(fold(*unit))))
}

/// Frees what an allocating routine put into a string, and empties it.
pub(super) fn free(call: Call<'_>, string: u64) -> Outcome<()> {
    let string = UnicodeString::at(string);
    let buffer = string.buffer()?;
    if buffer == 0 {
        return Ok(());
    }
    ex::free(call.kernel, buffer, 0)?;
    string.set(0, 0, 0)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Initialises a counted string from one that a zero ends; NULL makes it empty.
    irql(DISPATCH_LEVEL)
    fn RtlInitUnicodeString(call, destination: u64, source: u64) -> () {
        let _ = call;
        initialize(destination, source, MAX_LENGTH - 2)
    }

    /// As RtlInitUnicodeString; refuses what is longer than a counted string can be.
    irql(DISPATCH_LEVEL)
    fn RtlInitUnicodeStringEx(call, destination: u64, source: u64) -> NTSTATUS {
        let _ = call;
        initialize_checked(destination, source)
    }

    /// Makes a counted string with a copy of one that a zero ends.
    irql(PASSIVE_LEVEL)
    fn RtlCreateUnicodeString(call, destination: u64, source: u64) -> bool {
        let length = length_of(Text::Wide, source, MAX_LENGTH / 2)? * 2;
        if length > MAX_LENGTH - 2 {
            return Ok(false);
        }
        let buffer = allocate_string(call, length + 2)?;
        if buffer == 0 {
            return Ok(false);
        }
        raw::copy_wide(buffer, &units_at(source, length / 2)?)?;
        let destination = UnicodeString::at(destination);
        destination.set(short(length), short(length + 2), buffer)?;
        terminate(destination)?;
        Ok(true)
    }

    /// Copies a counted string, as much of it as the destination holds.
    irql(DISPATCH_LEVEL)
    fn RtlCopyUnicodeString(call, destination: u64, source: u64) -> () {
        let _ = call;
        copy(destination, source)
    }

    /// Allocates a copy of a counted string.
    irql(PASSIVE_LEVEL)
    fn RtlDuplicateUnicodeString(call, flags: u32, source: u64, destination: u64) -> NTSTATUS {
        duplicate(flags, source, destination, &|bytes| allocate_string(call, bytes))
    }

    /// Appends a counted string to another, if there is room for all of it.
    irql(DISPATCH_LEVEL)
    fn RtlAppendUnicodeStringToString(call, destination: u64, source: u64) -> NTSTATUS {
        let _ = call;
        let source = UnicodeString::at(source);
        match source.length()? {
            0 => Ok(abi::STATUS_SUCCESS),
            length => append(destination, source.buffer()?, u64::from(length)),
        }
    }

    /// Appends a string that a zero ends to a counted one, if there is room for all of it.
    irql(DISPATCH_LEVEL)
    fn RtlAppendUnicodeToString(call, destination: u64, source: u64) -> NTSTATUS {
        let _ = call;
        if source == 0 {
            return Ok(abi::STATUS_SUCCESS);
        }
        append(destination, source, length_of(Text::Wide, source, MAX_LENGTH)? * 2)
    }

    /// Whether two counted strings are equal.
    irql(PASSIVE_LEVEL)
    fn RtlEqualUnicodeString(call, left: u64, right: u64, case_insensitive: u8) -> bool {
        let (left, right) = (call.string(left)?, call.string(right)?);
        Ok(if case_insensitive != 0 { eq_ignore_case(&left, &right) } else { left == right })
    }

    /// Compares two counted strings: negative, zero or positive.
    irql(PASSIVE_LEVEL)
    fn RtlCompareUnicodeString(call, left: u64, right: u64, case_insensitive: u8) -> i32 {
        Ok(compare(&call.string(left)?, &call.string(right)?, folding(case_insensitive)))
    }

    /// Compares two strings of so many characters: negative, zero or positive.
    irql(PASSIVE_LEVEL)
    fn RtlCompareUnicodeStrings(
        call,
        left: u64,
        left_length: u64,
        right: u64,
        right_length: u64,
        case_insensitive: u8
    ) -> i32 {
        let _ = call;
        let fold = folding(case_insensitive);
        for index in 0..left_length.min(right_length) {
            let (a, b): (u16, u16) =
                (raw::read(left.wrapping_add(index * 2))?, raw::read(right.wrapping_add(index * 2))?);
            if fold(a) != fold(b) {
                return Ok(i32::from(fold(a)) - i32::from(fold(b)));
            }
        }
        let order = left_length.cmp(&right_length) as i8;
        Ok(i32::from(order))
    }

    /// Whether a counted string begins with another.
    irql(PASSIVE_LEVEL)
    fn RtlPrefixUnicodeString(call, prefix: u64, string: u64, case_insensitive: u8) -> bool {
        let (prefix, string) = (call.string(prefix)?, call.string(string)?);
        let fold = folding(case_insensitive);
        Ok(string.len() >= prefix.len() && compare(&prefix, &string[..prefix.len()], fold) == 0)
    }

    /// Hashes a counted string with the algorithm X65599.
    irql(DISPATCH_LEVEL)
    fn RtlHashUnicodeString(
        call,
        string: u64,
        case_insensitive: u8,
        algorithm: u32,
        hash_value: u64
    ) -> NTSTATUS {
        if string == 0 || hash_value == 0 || !HASH_ALGORITHMS.contains(&algorithm) {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        }
        raw::write(hash_value, hash(&call.string(string)?, folding(case_insensitive)))?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Returns the upper-case form of a character.
    irql(PASSIVE_LEVEL)
    fn RtlUpcaseUnicodeChar(call, character: u16) -> u16 {
        let _ = call;
        Ok(upcase(character))
    }

    /// Returns the lower-case form of a character.
    irql(PASSIVE_LEVEL)
    fn RtlDowncaseUnicodeChar(call, character: u16) -> u16 {
        let _ = call;
        Ok(downcase(character))
    }

    /// Copies a counted string in upper case; the copy's buffer is allocated on demand.
    irql(PASSIVE_LEVEL)
    fn RtlUpcaseUnicodeString(call, destination: u64, source: u64, allocate_destination: u8) -> NTSTATUS {
        let allocate = |bytes| allocate_string(call, bytes);
        let allocate: Option<&dyn Fn(u64) -> Outcome<u64>> =
            if allocate_destination != 0 { Some(&allocate) } else { None };
        change_case(destination, source, allocate, upcase)
    }

    /// Copies a counted string in lower case; the copy's buffer is allocated on demand.
    irql(PASSIVE_LEVEL)
    fn RtlDowncaseUnicodeString(call, destination: u64, source: u64, allocate_destination: u8) -> NTSTATUS {
        let allocate = |bytes| allocate_string(call, bytes);
        let allocate: Option<&dyn Fn(u64) -> Outcome<u64>> =
            if allocate_destination != 0 { Some(&allocate) } else { None };
        change_case(destination, source, allocate, downcase)
    }

    /// Frees a string that a routine allocated.
    irql(PASSIVE_LEVEL) alias("RtlFreeAnsiString", "RtlFreeOemString", "RtlFreeUTF8String")
    fn RtlFreeUnicodeString(call, string: u64) -> () {
        free(call, string)
    }
}

#[cfg(test)]
mod tests;
