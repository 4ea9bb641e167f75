//! The C library's strings, of bytes and of UTF-16. Case is that of the C locale: ASCII.

use kernel::Outcome;

use super::rtl_strings::length_of;
use crate::format::Text::{self, Narrow, Wide};
use crate::row::rows;

/// errno's EINVAL and ERANGE, and STRUNCATE.
const EINVAL: i32 = 22;
const ERANGE: i32 = 34;
const STRUNCATE: i32 = 80;
/// `_TRUNCATE`.
const TRUNCATE: u64 = u64::MAX;
const NO_LIMIT: u64 = u64::MAX;

fn at(text: Text, string: u64, index: u64) -> u64 {
    string.wrapping_add(index.wrapping_mul(text.size()))
}

fn exact(unit: u16) -> u16 {
    unit
}

/// ASCII only.
fn lower(unit: u16) -> u16 {
    if (0x41..=0x5A).contains(&unit) { unit + 0x20 } else { unit }
}

/// ASCII only.
fn upper(unit: u16) -> u16 {
    if (0x61..=0x7A).contains(&unit) { unit - 0x20 } else { unit }
}

/// -1, 0 or 1: by the first difference in at most `limit` units.
fn compare(text: Text, left: u64, right: u64, limit: u64, fold: fn(u16) -> u16) -> Outcome<i32> {
    for index in 0..limit {
        let a = fold(text.read(at(text, left, index))?);
        let b = fold(text.read(at(text, right, index))?);
        if a != b {
            return Ok(if a < b { -1 } else { 1 });
        }
        if a == 0 {
            break;
        }
    }
    Ok(0)
}

/// Copies units and the zero behind them.
fn copy(text: Text, destination: u64, source: u64) -> Outcome<()> {
    let mut index = 0;
    loop {
        let unit = text.read(at(text, source, index))?;
        text.write(at(text, destination, index), unit)?;
        if unit == 0 {
            return Ok(());
        }
        index += 1;
    }
}

/// Copies at most `count` units, and fills the rest of them with zeros.
fn copy_counted(text: Text, destination: u64, source: u64, count: u64) -> Outcome<()> {
    let mut ended = false;
    for index in 0..count {
        let unit = if ended { 0 } else { text.read(at(text, source, index))? };
        ended |= unit == 0;
        text.write(at(text, destination, index), unit)?;
    }
    Ok(())
}

/// Appends at most `count` units and a zero.
fn append_counted(text: Text, destination: u64, source: u64, count: u64) -> Outcome<()> {
    let end = at(text, destination, length_of(text, destination, NO_LIMIT)?);
    let length = length_of(text, source, count)?;
    for index in 0..length {
        text.write(at(text, end, index), text.read(at(text, source, index))?)?;
    }
    text.write(at(text, end, length), 0)
}

/// `strcpy_s`, `strncpy_s` (with a count), and with `start` at its end `strcat_s` and `strncat_s`: what is in the
/// destination's `size` units behind `start`, or an error and an empty destination.
fn copy_secure(text: Text, destination: u64, size: u64, start: u64, source: u64, count: u64) -> Outcome<i32> {
    if destination == 0 || size == 0 {
        return Ok(EINVAL);
    }
    if source == 0 || start >= size {
        text.write(destination, 0)?;
        return Ok(EINVAL);
    }
    let room = size - start - 1;
    let limit = if count == TRUNCATE { room + 1 } else { count.min(room + 1) };
    let mut length = length_of(text, source, limit)?;
    let mut result = 0;
    if length > room {
        if count != TRUNCATE {
            text.write(destination, 0)?;
            return Ok(ERANGE);
        }
        length = room;
        result = STRUNCATE;
    }
    for index in 0..length {
        text.write(at(text, destination, start + index), text.read(at(text, source, index))?)?;
    }
    text.write(at(text, destination, start + length), 0)?;
    Ok(result)
}

fn append_secure(text: Text, destination: u64, size: u64, source: u64, count: u64) -> Outcome<i32> {
    let start = if destination == 0 { 0 } else { length_of(text, destination, size)? };
    copy_secure(text, destination, size, start, source, count)
}

/// Address of the first unit that is `wanted`, the zero included; 0 for none.
fn find(text: Text, string: u64, wanted: u16) -> Outcome<u64> {
    let mut address = string;
    loop {
        let unit = text.read(address)?;
        if unit == wanted {
            return Ok(address);
        }
        if unit == 0 {
            return Ok(0);
        }
        address = address.wrapping_add(text.size());
    }
}

/// Address of the last unit that is `wanted`, the zero included; 0 for none.
fn find_last(text: Text, string: u64, wanted: u16) -> Outcome<u64> {
    let mut address = string;
    let mut last = 0;
    loop {
        let unit = text.read(address)?;
        if unit == wanted {
            last = address;
        }
        if unit == 0 {
            return Ok(last);
        }
        address = address.wrapping_add(text.size());
    }
}

/// Address of the first place where `part` stands in a string; 0 for none.
fn find_string(text: Text, string: u64, part: u64) -> Outcome<u64> {
    let mut units = Vec::new();
    for index in 0..length_of(text, part, NO_LIMIT)? {
        units.push(text.read(at(text, part, index))?);
    }
    let Some((first, rest)) = units.split_first() else { return Ok(string) };
    let mut address = string;
    loop {
        address = find(text, address, *first)?;
        if address == 0 {
            return Ok(0);
        }
        let mut same = true;
        for (index, unit) in (1..).zip(rest) {
            // The zero that ends the string differs from every unit of the part.
            if text.read(at(text, address, index))? != *unit {
                same = false;
                break;
            }
        }
        if same {
            return Ok(address);
        }
        address = address.wrapping_add(text.size());
    }
}

/// Changes a string in place.
fn change(text: Text, string: u64, fold: fn(u16) -> u16) -> Outcome<u64> {
    for index in 0..length_of(text, string, NO_LIMIT)? {
        let address = at(text, string, index);
        text.write(address, fold(text.read(address)?))?;
    }
    Ok(string)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Returns a string's length in bytes.
    irql(HIGH_LEVEL)
    fn strlen(call, string: u64) -> u64 {
        let _ = call;
        length_of(Narrow, string, NO_LIMIT)
    }

    /// Returns a string's length in characters.
    irql(HIGH_LEVEL)
    fn wcslen(call, string: u64) -> u64 {
        let _ = call;
        length_of(Wide, string, NO_LIMIT)
    }

    /// Returns a string's length in bytes, at most a limit.
    irql(HIGH_LEVEL)
    fn strnlen(call, string: u64, limit: u64) -> u64 {
        let _ = call;
        length_of(Narrow, string, limit)
    }

    /// Returns a string's length in characters, at most a limit.
    irql(HIGH_LEVEL)
    fn wcsnlen(call, string: u64, limit: u64) -> u64 {
        let _ = call;
        length_of(Wide, string, limit)
    }

    /// Compares two strings: negative, zero or positive.
    irql(HIGH_LEVEL)
    fn strcmp(call, left: u64, right: u64) -> i32 {
        let _ = call;
        compare(Narrow, left, right, NO_LIMIT, exact)
    }

    /// Compares two strings of UTF-16: negative, zero or positive.
    irql(HIGH_LEVEL)
    fn wcscmp(call, left: u64, right: u64) -> i32 {
        let _ = call;
        compare(Wide, left, right, NO_LIMIT, exact)
    }

    /// Compares at most so many characters of two strings.
    irql(HIGH_LEVEL)
    fn strncmp(call, left: u64, right: u64, count: u64) -> i32 {
        let _ = call;
        compare(Narrow, left, right, count, exact)
    }

    /// Compares at most so many characters of two strings of UTF-16.
    irql(HIGH_LEVEL)
    fn wcsncmp(call, left: u64, right: u64, count: u64) -> i32 {
        let _ = call;
        compare(Wide, left, right, count, exact)
    }

    /// Compares two strings without regard to ASCII case.
    irql(HIGH_LEVEL) alias("stricmp", "_strcmpi")
    fn _stricmp(call, left: u64, right: u64) -> i32 {
        let _ = call;
        compare(Narrow, left, right, NO_LIMIT, lower)
    }

    /// Compares two strings of UTF-16 without regard to ASCII case.
    irql(HIGH_LEVEL)
    fn _wcsicmp(call, left: u64, right: u64) -> i32 {
        let _ = call;
        compare(Wide, left, right, NO_LIMIT, lower)
    }

    /// Compares at most so many characters of two strings without regard to ASCII case.
    irql(HIGH_LEVEL)
    fn _strnicmp(call, left: u64, right: u64, count: u64) -> i32 {
        let _ = call;
        compare(Narrow, left, right, count, lower)
    }

    /// Compares at most so many characters of two strings of UTF-16 without regard to ASCII case.
    irql(HIGH_LEVEL)
    fn _wcsnicmp(call, left: u64, right: u64, count: u64) -> i32 {
        let _ = call;
        compare(Wide, left, right, count, lower)
    }

    /// Copies a string.
    irql(HIGH_LEVEL)
    fn strcpy(call, destination: u64, source: u64) -> u64 {
        let _ = call;
        copy(Narrow, destination, source).map(|()| destination)
    }

    /// Copies a string of UTF-16.
    irql(HIGH_LEVEL)
    fn wcscpy(call, destination: u64, source: u64) -> u64 {
        let _ = call;
        copy(Wide, destination, source).map(|()| destination)
    }

    /// Copies so many characters of a string, with zeros behind its end.
    irql(HIGH_LEVEL)
    fn strncpy(call, destination: u64, source: u64, count: u64) -> u64 {
        let _ = call;
        copy_counted(Narrow, destination, source, count).map(|()| destination)
    }

    /// Copies so many characters of a string of UTF-16, with zeros behind its end.
    irql(HIGH_LEVEL)
    fn wcsncpy(call, destination: u64, source: u64, count: u64) -> u64 {
        let _ = call;
        copy_counted(Wide, destination, source, count).map(|()| destination)
    }

    /// Appends a string.
    irql(HIGH_LEVEL)
    fn strcat(call, destination: u64, source: u64) -> u64 {
        let _ = call;
        append_counted(Narrow, destination, source, NO_LIMIT).map(|()| destination)
    }

    /// Appends a string of UTF-16.
    irql(HIGH_LEVEL)
    fn wcscat(call, destination: u64, source: u64) -> u64 {
        let _ = call;
        append_counted(Wide, destination, source, NO_LIMIT).map(|()| destination)
    }

    /// Appends at most so many characters of a string.
    irql(HIGH_LEVEL)
    fn strncat(call, destination: u64, source: u64, count: u64) -> u64 {
        let _ = call;
        append_counted(Narrow, destination, source, count).map(|()| destination)
    }

    /// Appends at most so many characters of a string of UTF-16.
    irql(HIGH_LEVEL)
    fn wcsncat(call, destination: u64, source: u64, count: u64) -> u64 {
        let _ = call;
        append_counted(Wide, destination, source, count).map(|()| destination)
    }

    /// Copies a string into a buffer of a size; an error leaves the buffer empty.
    irql(HIGH_LEVEL)
    fn strcpy_s(call, destination: u64, size: u64, source: u64) -> i32 {
        let _ = call;
        copy_secure(Narrow, destination, size, 0, source, NO_LIMIT - 1)
    }

    /// Copies a string of UTF-16 into a buffer of a size; an error leaves the buffer empty.
    irql(HIGH_LEVEL)
    fn wcscpy_s(call, destination: u64, size: u64, source: u64) -> i32 {
        let _ = call;
        copy_secure(Wide, destination, size, 0, source, NO_LIMIT - 1)
    }

    /// Copies at most so many characters into a buffer of a size.
    irql(HIGH_LEVEL)
    fn strncpy_s(call, destination: u64, size: u64, source: u64, count: u64) -> i32 {
        let _ = call;
        copy_secure(Narrow, destination, size, 0, source, count)
    }

    /// Copies at most so many characters of UTF-16 into a buffer of a size.
    irql(HIGH_LEVEL)
    fn wcsncpy_s(call, destination: u64, size: u64, source: u64, count: u64) -> i32 {
        let _ = call;
        copy_secure(Wide, destination, size, 0, source, count)
    }

    /// Appends a string in a buffer of a size; an error leaves the buffer empty.
    irql(HIGH_LEVEL)
    fn strcat_s(call, destination: u64, size: u64, source: u64) -> i32 {
        let _ = call;
        append_secure(Narrow, destination, size, source, NO_LIMIT - 1)
    }

    /// Appends a string of UTF-16 in a buffer of a size; an error leaves the buffer empty.
    irql(HIGH_LEVEL)
    fn wcscat_s(call, destination: u64, size: u64, source: u64) -> i32 {
        let _ = call;
        append_secure(Wide, destination, size, source, NO_LIMIT - 1)
    }

    /// Appends at most so many characters in a buffer of a size.
    irql(HIGH_LEVEL)
    fn strncat_s(call, destination: u64, size: u64, source: u64, count: u64) -> i32 {
        let _ = call;
        append_secure(Narrow, destination, size, source, count)
    }

    /// Appends at most so many characters of UTF-16 in a buffer of a size.
    irql(HIGH_LEVEL)
    fn wcsncat_s(call, destination: u64, size: u64, source: u64, count: u64) -> i32 {
        let _ = call;
        append_secure(Wide, destination, size, source, count)
    }

    /// Finds the first place of a character; NULL for none.
    irql(HIGH_LEVEL)
    fn strchr(call, string: u64, character: u8) -> u64 {
        let _ = call;
        find(Narrow, string, u16::from(character))
    }

    /// Finds the first place of a character in UTF-16; NULL for none.
    irql(HIGH_LEVEL)
    fn wcschr(call, string: u64, character: u16) -> u64 {
        let _ = call;
        find(Wide, string, character)
    }

    /// Finds the last place of a character; NULL for none.
    irql(HIGH_LEVEL)
    fn strrchr(call, string: u64, character: u8) -> u64 {
        let _ = call;
        find_last(Narrow, string, u16::from(character))
    }

    /// Finds the last place of a character in UTF-16; NULL for none.
    irql(HIGH_LEVEL)
    fn wcsrchr(call, string: u64, character: u16) -> u64 {
        let _ = call;
        find_last(Wide, string, character)
    }

    /// Finds the first place of a string in another; NULL for none.
    irql(HIGH_LEVEL)
    fn strstr(call, string: u64, part: u64) -> u64 {
        let _ = call;
        find_string(Narrow, string, part)
    }

    /// Finds the first place of a string of UTF-16 in another; NULL for none.
    irql(HIGH_LEVEL)
    fn wcsstr(call, string: u64, part: u64) -> u64 {
        let _ = call;
        find_string(Wide, string, part)
    }

    /// Makes a string's ASCII letters small, in place.
    irql(HIGH_LEVEL)
    fn _strlwr(call, string: u64) -> u64 {
        let _ = call;
        change(Narrow, string, lower)
    }

    /// Makes a string's ASCII letters capital, in place.
    irql(HIGH_LEVEL)
    fn _strupr(call, string: u64) -> u64 {
        let _ = call;
        change(Narrow, string, upper)
    }

    /// Makes the ASCII letters of a string of UTF-16 small, in place.
    irql(HIGH_LEVEL)
    fn _wcslwr(call, string: u64) -> u64 {
        let _ = call;
        change(Wide, string, lower)
    }

    /// Makes the ASCII letters of a string of UTF-16 capital, in place.
    irql(HIGH_LEVEL)
    fn _wcsupr(call, string: u64) -> u64 {
        let _ = call;
        change(Wide, string, upper)
    }
}

#[cfg(test)]
mod tests;
