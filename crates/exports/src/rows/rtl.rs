//! `Rtl…`: strings and memory.

use kernel::ob::{eq_ignore_case, upcase};
use kernel::raw::{self, UnicodeString};
use kernel::{Outcome, Unwind};

use crate::row::rows;

/// Longest string that the initialising routines look for, in bytes: what a counted string can hold.
const MAX_WIDE: u64 = 0xFFFC;

/// Length in bytes of a string that a zero of `unit` bytes ends, at most `limit`.
fn length_of(address: u64, unit: u64, limit: u64) -> Outcome<u64> {
    let mut length = 0;
    while length < limit {
        let at = address.wrapping_add(length);
        let ends = if unit == 1 { raw::read::<u8>(at)? == 0 } else { raw::read::<u16>(at)? == 0 };
        if ends {
            break;
        }
        length += unit;
    }
    Ok(length)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Initialises a counted string from one that a zero ends; NULL makes it empty.
    irql(DISPATCH_LEVEL)
    fn RtlInitUnicodeString(call, destination: u64, source: u64) -> () {
        let _ = call;
        let length = if source == 0 { 0 } else { length_of(source, 2, MAX_WIDE)? };
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        let maximum = if source == 0 { 0 } else { length + 2 };
        UnicodeString::at(destination).set(length, maximum, source)
    }

    /// Initialises a counted 8-bit string from one that a zero ends; NULL makes it empty.
    irql(DISPATCH_LEVEL) alias("RtlInitString")
    fn RtlInitAnsiString(call, destination: u64, source: u64) -> () {
        let _ = call;
        let length = if source == 0 { 0 } else { length_of(source, 1, MAX_WIDE + 2)? };
        let length = u16::try_from(length).unwrap_or(u16::MAX - 1);
        let maximum = if source == 0 { 0 } else { length + 1 };
        UnicodeString::at(destination).set(length, maximum, source)
    }

    /// Copies a counted string, as much of it as the destination holds.
    irql(DISPATCH_LEVEL)
    fn RtlCopyUnicodeString(call, destination: u64, source: u64) -> () {
        let _ = call;
        let destination = UnicodeString::at(destination);
        if source == 0 {
            return destination.set_length(0);
        }
        let source = UnicodeString::at(source);
        let (maximum, length) = (destination.maximum_length()?, source.length()?.min(destination.maximum_length()?));
        let buffer = destination.buffer()?;
        raw::copy_within(buffer, source.buffer()?, usize::from(length))?;
        destination.set_length(length)?;
        if length + 1 < maximum {
            raw::write(buffer.wrapping_add(u64::from(length)), 0_u16)?;
        }
        Ok(())
    }

    /// Whether two counted strings are equal.
    irql(PASSIVE_LEVEL)
    fn RtlEqualUnicodeString(call, left: u64, right: u64, case_insensitive: u8) -> u8 {
        let (left, right) = (call.string(left)?, call.string(right)?);
        Ok(u8::from(if case_insensitive != 0 { eq_ignore_case(&left, &right) } else { left == right }))
    }

    /// Compares two counted strings: negative, zero or positive.
    irql(PASSIVE_LEVEL)
    fn RtlCompareUnicodeString(call, left: u64, right: u64, case_insensitive: u8) -> i32 {
        let (left, right) = (call.string(left)?, call.string(right)?);
        let fold = |unit: &u16| if case_insensitive != 0 { upcase(*unit) } else { *unit };
        for (a, b) in left.iter().map(fold).zip(right.iter().map(fold)) {
            if a != b {
                return Ok(i32::from(a) - i32::from(b));
            }
        }
        let difference = left.len().cast_signed() - right.len().cast_signed();
        Ok(i32::try_from(difference).unwrap_or(0))
    }

    /// Returns how many bytes two blocks of memory have in common from their fronts.
    irql(HIGH_LEVEL)
    fn RtlCompareMemory(call, left: u64, right: u64, length: u64) -> u64 {
        let _ = call;
        let mut same = 0;
        while same < length && raw::read::<u8>(left.wrapping_add(same))? == raw::read::<u8>(right.wrapping_add(same))? {
            same += 1;
        }
        Ok(same)
    }

    /// Fills memory with zeroes.
    irql(HIGH_LEVEL)
    fn RtlZeroMemory(call, destination: u64, length: u64) -> () {
        let _ = call;
        raw::fill(destination, 0, bytes(length)?)
    }

    /// Fills memory with a byte.
    irql(HIGH_LEVEL)
    fn RtlFillMemory(call, destination: u64, length: u64, value: u8) -> () {
        let _ = call;
        raw::fill(destination, value, bytes(length)?)
    }
}

fn bytes(length: u64) -> Outcome<usize> {
    usize::try_from(length).map_err(|_| Unwind::access_violation(1, u64::MAX))
}
