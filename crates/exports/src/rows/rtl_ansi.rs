//! Counted 8-bit strings, and conversions between them and UTF-16 through the ANSI code page.

use abi::NTSTATUS;
use kernel::Outcome;
use kernel::ob::upcase;
use kernel::raw::{self, UnicodeString};

use super::rtl_strings::{allocate_string, compare, length_of, short};
use crate::Call;
use crate::code_page::{from_unicode, to_unicode};
use crate::format::Text;
use crate::row::rows;

/// An ANSI_STRING, which is laid out like a UNICODE_STRING.
type AnsiString = UnicodeString;

/// Most bytes that a counted string can have with its zero.
const MAX: u64 = 0xFFFF;

fn bytes_of(string: u64) -> Outcome<Vec<u8>> {
    let string = AnsiString::at(string);
    let mut bytes = vec![0; usize::from(string.length()?)];
    raw::copy_from(&mut bytes, string.buffer()?)?;
    Ok(bytes)
}

fn wide_of(string: u64) -> Outcome<Vec<u16>> {
    Ok(bytes_of(string)?.into_iter().map(u16::from).collect())
}

/// Upper case by way of Unicode; a byte whose upper case the code page lacks stays as it is.
fn upper(byte: u8) -> u8 {
    match from_unicode(upcase(to_unicode(byte))) {
        b'?' => byte,
        upper => upper,
    }
}

fn folding(case_insensitive: u8) -> impl Fn(u16) -> u16 {
    move |unit| match u8::try_from(unit) {
        Ok(byte) if case_insensitive != 0 => u16::from(upper(byte)),
        _ => unit,
    }
}

type Allocate<'a> = Option<&'a dyn Fn(u64) -> Outcome<u64>>;

fn ansi_to_unicode(destination: u64, source: u64, allocate: Allocate<'_>) -> Outcome<NTSTATUS> {
    let units: Vec<u16> = bytes_of(source)?.into_iter().map(to_unicode).collect();
    let length = units.len() as u64 * 2;
    if length + 2 > MAX {
        return Ok(abi::STATUS_INVALID_PARAMETER_2);
    }
    let destination = UnicodeString::at(destination);
    if let Some(allocate) = allocate {
        let buffer = allocate(length + 2)?;
        if buffer == 0 {
            return Ok(abi::STATUS_NO_MEMORY);
        }
        destination.set(short(length), short(length + 2), buffer)?;
    } else if u64::from(destination.maximum_length()?) < length + 2 {
        return Ok(abi::STATUS_BUFFER_OVERFLOW);
    } else {
        destination.set_length(short(length))?;
    }
    let buffer = destination.buffer()?;
    raw::copy_wide(buffer, &units)?;
    raw::write(buffer.wrapping_add(length), 0_u16)?;
    Ok(abi::STATUS_SUCCESS)
}

/// Without room for all of it and a zero: STATUS_BUFFER_OVERFLOW, with as much as fits.
fn unicode_to_ansi(destination: u64, source: u64, allocate: Allocate<'_>) -> Outcome<NTSTATUS> {
    let mut bytes: Vec<u8> = UnicodeString::at(source).to_wide()?.into_iter().map(from_unicode).collect();
    let destination = AnsiString::at(destination);
    let mut status = abi::STATUS_SUCCESS;
    if let Some(allocate) = allocate {
        let buffer = allocate(bytes.len() as u64 + 1)?;
        if buffer == 0 {
            return Ok(abi::STATUS_NO_MEMORY);
        }
        destination.set_maximum_length(short(bytes.len() as u64 + 1))?;
        destination.set_buffer(buffer)?;
    } else {
        let maximum = usize::from(destination.maximum_length()?);
        if bytes.len() >= maximum {
            status = abi::STATUS_BUFFER_OVERFLOW;
            if maximum == 0 {
                return Ok(status);
            }
            bytes.truncate(maximum - 1);
        }
    }
    destination.set_length(short(bytes.len() as u64))?;
    bytes.push(0);
    raw::copy_to(destination.buffer()?, &bytes)?;
    Ok(status)
}

/// Converts at most as much as fits, without a zero, and says how many bytes that was.
fn unicode_to_bytes(
    destination: u64,
    room: u32,
    written: u64,
    source: u64,
    bytes: u32,
    fold: fn(u16) -> u16,
) -> Outcome<NTSTATUS> {
    let count = room.min(bytes / 2);
    for index in 0..u64::from(count) {
        let unit = raw::read::<u16>(source.wrapping_add(index * 2))?;
        raw::write(destination.wrapping_add(index), from_unicode(fold(unit)))?;
    }
    if written != 0 {
        raw::write(written, count)?;
    }
    Ok(if count < bytes / 2 { abi::STATUS_BUFFER_OVERFLOW } else { abi::STATUS_SUCCESS })
}

fn bytes_to_unicode(destination: u64, room: u32, written: u64, source: u64, bytes: u32) -> Outcome<NTSTATUS> {
    let count = (room / 2).min(bytes);
    for index in 0..u64::from(count) {
        let byte = raw::read::<u8>(source.wrapping_add(index))?;
        raw::write(destination.wrapping_add(index * 2), to_unicode(byte))?;
    }
    if written != 0 {
        raw::write(written, count * 2)?;
    }
    Ok(if count < bytes { abi::STATUS_BUFFER_OVERFLOW } else { abi::STATUS_SUCCESS })
}

fn initialize(destination: u64, source: u64, limit: u64) -> Outcome<()> {
    let destination = AnsiString::at(destination);
    if source == 0 {
        return destination.set(0, 0, 0);
    }
    let length = short(length_of(Text::Narrow, source, limit)?);
    destination.set(length, length + 1, source)
}

fn append(destination: u64, source: u64, length: u64) -> Outcome<NTSTATUS> {
    let destination = AnsiString::at(destination);
    let old = u64::from(destination.length()?);
    if old + length > u64::from(destination.maximum_length()?) {
        return Ok(abi::STATUS_BUFFER_TOO_SMALL);
    }
    let end = destination.buffer()?.wrapping_add(old);
    raw::copy_within(end, source, usize::try_from(length).unwrap_or(0))?;
    destination.set_length(short(old + length))?;
    Ok(abi::STATUS_SUCCESS)
}

fn copy(destination: u64, source: u64, fold: fn(u8) -> u8) -> Outcome<()> {
    let destination = AnsiString::at(destination);
    let mut bytes = if source == 0 { Vec::new() } else { bytes_of(source)? };
    bytes.truncate(usize::from(destination.maximum_length()?));
    bytes.iter_mut().for_each(|byte| *byte = fold(*byte));
    destination.set_length(short(bytes.len() as u64))?;
    raw::copy_to(destination.buffer()?, &bytes)
}

fn allocating<R>(
    call: Call<'_>,
    allocate: u8,
    convert: impl FnOnce(Allocate<'_>) -> Outcome<R>,
) -> Outcome<R> {
    let allocator = |bytes| allocate_string(call, bytes);
    convert(if allocate != 0 { Some(&allocator) } else { None })
}

rows! {
    dll = "ntoskrnl.exe";

    /// Initialises a counted 8-bit string from one that a zero ends; NULL makes it empty.
    irql(DISPATCH_LEVEL) alias("RtlInitString")
    fn RtlInitAnsiString(call, destination: u64, source: u64) -> () {
        let _ = call;
        initialize(destination, source, MAX - 1)
    }

    /// As RtlInitAnsiString; refuses what is longer than a counted string can be.
    irql(DISPATCH_LEVEL)
    fn RtlInitAnsiStringEx(call, destination: u64, source: u64) -> NTSTATUS {
        let _ = call;
        if source != 0 && length_of(Text::Narrow, source, MAX)? > MAX - 1 {
            return Ok(abi::STATUS_NAME_TOO_LONG);
        }
        initialize(destination, source, MAX - 1)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Converts a counted 8-bit string to UTF-16; the result's buffer is allocated on demand.
    irql(PASSIVE_LEVEL)
    fn RtlAnsiStringToUnicodeString(call, destination: u64, source: u64, allocate: u8) -> NTSTATUS {
        allocating(call, allocate, |allocate| ansi_to_unicode(destination, source, allocate))
    }

    /// Converts a counted string of UTF-16 to 8-bit characters; the result's buffer is allocated on demand.
    irql(PASSIVE_LEVEL)
    fn RtlUnicodeStringToAnsiString(call, destination: u64, source: u64, allocate: u8) -> NTSTATUS {
        allocating(call, allocate, |allocate| unicode_to_ansi(destination, source, allocate))
    }

    /// Returns the bytes that an 8-bit string needs in UTF-16, with a zero.
    irql(PASSIVE_LEVEL) alias("RtlAnsiStringToUnicodeSize")
    fn RtlxAnsiStringToUnicodeSize(call, string: u64) -> u32 {
        let _ = call;
        Ok(u32::from(AnsiString::at(string).length()?) * 2 + 2)
    }

    /// Returns the bytes that a string of UTF-16 needs in 8-bit characters, with a zero.
    irql(PASSIVE_LEVEL) alias("RtlUnicodeStringToAnsiSize")
    fn RtlxUnicodeStringToAnsiSize(call, string: u64) -> u32 {
        let _ = call;
        Ok(u32::from(UnicodeString::at(string).length()?) / 2 + 1)
    }

    /// Converts UTF-16 to 8-bit characters, as many as fit.
    irql(PASSIVE_LEVEL)
    fn RtlUnicodeToMultiByteN(
        call,
        destination: u64,
        room: u32,
        written: u64,
        source: u64,
        bytes: u32
    ) -> NTSTATUS {
        let _ = call;
        unicode_to_bytes(destination, room, written, source, bytes, |unit| unit)
    }

    /// Converts UTF-16 to 8-bit characters in upper case, as many as fit.
    irql(PASSIVE_LEVEL)
    fn RtlUpcaseUnicodeToMultiByteN(
        call,
        destination: u64,
        room: u32,
        written: u64,
        source: u64,
        bytes: u32
    ) -> NTSTATUS {
        let _ = call;
        unicode_to_bytes(destination, room, written, source, bytes, upcase)
    }

    /// Converts 8-bit characters to UTF-16, as many as fit.
    irql(PASSIVE_LEVEL)
    fn RtlMultiByteToUnicodeN(
        call,
        destination: u64,
        room: u32,
        written: u64,
        source: u64,
        bytes: u32
    ) -> NTSTATUS {
        let _ = call;
        bytes_to_unicode(destination, room, written, source, bytes)
    }

    /// Stores the bytes that UTF-16 needs in 8-bit characters.
    irql(PASSIVE_LEVEL)
    fn RtlUnicodeToMultiByteSize(call, size: u64, _source: u64, bytes: u32) -> NTSTATUS {
        let _ = call;
        raw::write(size, bytes / 2)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Stores the bytes that 8-bit characters need in UTF-16.
    irql(PASSIVE_LEVEL)
    fn RtlMultiByteToUnicodeSize(call, size: u64, _source: u64, bytes: u32) -> NTSTATUS {
        let _ = call;
        raw::write(size, bytes.saturating_mul(2))?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Converts the 8-bit character that a pointer points to, and moves the pointer behind it.
    irql(PASSIVE_LEVEL)
    fn RtlAnsiCharToUnicodeChar(call, source_character: u64) -> u16 {
        let _ = call;
        let at = raw::read::<u64>(source_character)?;
        let unit = to_unicode(raw::read(at)?);
        raw::write(source_character, at.wrapping_add(1))?;
        Ok(unit)
    }

    /// Compares two counted 8-bit strings: negative, zero or positive.
    irql(PASSIVE_LEVEL)
    fn RtlCompareString(call, left: u64, right: u64, case_insensitive: u8) -> i32 {
        let _ = call;
        Ok(compare(&wide_of(left)?, &wide_of(right)?, folding(case_insensitive)))
    }

    /// Whether two counted 8-bit strings are equal.
    irql(PASSIVE_LEVEL)
    fn RtlEqualString(call, left: u64, right: u64, case_insensitive: u8) -> bool {
        let _ = call;
        Ok(compare(&wide_of(left)?, &wide_of(right)?, folding(case_insensitive)) == 0)
    }

    /// Whether a counted 8-bit string begins with another.
    irql(PASSIVE_LEVEL)
    fn RtlPrefixString(call, prefix: u64, string: u64, case_insensitive: u8) -> bool {
        let _ = call;
        let (prefix, string) = (wide_of(prefix)?, wide_of(string)?);
        let fold = folding(case_insensitive);
        Ok(string.len() >= prefix.len() && compare(&prefix, &string[..prefix.len()], fold) == 0)
    }

    /// Copies a counted 8-bit string, as much of it as the destination holds.
    irql(DISPATCH_LEVEL)
    fn RtlCopyString(call, destination: u64, source: u64) -> () {
        let _ = call;
        copy(destination, source, |byte| byte)
    }

    /// Copies a counted 8-bit string in upper case, as much of it as the destination holds.
    irql(PASSIVE_LEVEL)
    fn RtlUpperString(call, destination: u64, source: u64) -> () {
        let _ = call;
        copy(destination, source, upper)
    }

    /// Returns the upper-case form of an 8-bit character.
    irql(PASSIVE_LEVEL)
    fn RtlUpperChar(call, character: u8) -> u8 {
        let _ = call;
        Ok(upper(character))
    }

    /// Appends a counted 8-bit string to another, if there is room for all of it.
    irql(DISPATCH_LEVEL)
    fn RtlAppendStringToString(call, destination: u64, source: u64) -> NTSTATUS {
        let _ = call;
        let source = AnsiString::at(source);
        append(destination, source.buffer()?, u64::from(source.length()?))
    }

    /// Appends an 8-bit string that a zero ends to a counted one, if there is room for all of it.
    irql(DISPATCH_LEVEL)
    fn RtlAppendAsciizToString(call, destination: u64, source: u64) -> NTSTATUS {
        let _ = call;
        if source == 0 {
            return Ok(abi::STATUS_SUCCESS);
        }
        append(destination, source, length_of(Text::Narrow, source, MAX + 1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::scratch::Scratch;

    #[test]
    fn ansi_to_unicode_needs_room_for_the_zero() {
        let scratch = Scratch::new();
        let source = scratch.ansi(b"gr\xFCn", 4);
        let short = scratch.string("", 8);
        assert_eq!(ansi_to_unicode(short, source, None).expect("w"), abi::STATUS_BUFFER_OVERFLOW);
        let exact = scratch.string("", 10);
        assert_eq!(ansi_to_unicode(exact, source, None).expect("w"), abi::STATUS_SUCCESS);
        assert_eq!(scratch.text(exact), "grün");
        let target = scratch.bytes(16);
        let allocate = |bytes: u64| Ok(scratch.bytes(usize::try_from(bytes).expect("small")));
        assert_eq!(ansi_to_unicode(target, source, Some(&allocate)).expect("w"), abi::STATUS_SUCCESS);
        assert_eq!(scratch.text(target), "grün");
        assert_eq!(UnicodeString::at(target).maximum_length().expect("r"), 10);
    }

    #[test]
    fn ansi_text_too_long_for_utf_16_is_an_invalid_parameter() {
        let scratch = Scratch::new();
        let source = scratch.ansi(&vec![b'x'; 0x7FFF], 0x7FFF);
        let target = scratch.string("", 2);
        assert_eq!(ansi_to_unicode(target, source, None).expect("r"), abi::STATUS_INVALID_PARAMETER_2);
    }

    #[test]
    fn unicode_to_ansi_is_cut_with_a_zero_at_the_end() {
        let scratch = Scratch::new();
        let source = scratch.string("gr\u{FC}n\u{4E2D}", 10);
        let target = scratch.ansi(b"", 4);
        assert_eq!(unicode_to_ansi(target, source, None).expect("w"), abi::STATUS_BUFFER_OVERFLOW);
        assert_eq!(bytes_of(target).expect("r"), b"gr\xFC");
        assert_eq!(scratch.read(AnsiString::at(target).buffer().expect("r"), 4), b"gr\xFC\0");
        let target = scratch.ansi(b"", 6);
        assert_eq!(unicode_to_ansi(target, source, None).expect("w"), abi::STATUS_SUCCESS);
        assert_eq!(bytes_of(target).expect("r"), b"gr\xFCn?");
    }

    #[test]
    fn counted_conversions_write_no_zero_and_say_how_much_they_wrote() {
        let scratch = Scratch::new();
        let (source, target, written) = (scratch.wide("abc"), scratch.narrow(b"zzzz"), scratch.bytes(4));
        let status = unicode_to_bytes(target, 2, written, source, 6, upcase).expect("w");
        assert_eq!(status, abi::STATUS_BUFFER_OVERFLOW);
        assert_eq!(scratch.read(target, 4), b"ABzz");
        assert_eq!(raw::read::<u32>(written).expect("r"), 2);
        let (source, target) = (scratch.narrow(b"ab"), scratch.wide("zzz"));
        let status = bytes_to_unicode(target, 6, written, source, 2).expect("w");
        assert_eq!(status, abi::STATUS_SUCCESS);
        assert_eq!(scratch.read(target, 6), b"a\0b\0z\0");
        assert_eq!(raw::read::<u32>(written).expect("r"), 4);
    }

    #[test]
    fn upper_case_keeps_what_the_code_page_cannot_raise() {
        assert_eq!(upper(b'a'), b'A');
        assert_eq!(upper(0xFC), 0xDC);
        // ß has no single upper case, and the upper case of µ is not in the code page.
        assert_eq!((upper(0xDF), upper(0xB5)), (0xDF, 0xB5));
    }

    #[test]
    fn copies_are_cut_and_appending_is_all_or_nothing() {
        let scratch = Scratch::new();
        let target = scratch.ansi(b"", 3);
        copy(target, scratch.ansi(b"abcd", 4), upper).expect("w");
        assert_eq!(bytes_of(target).expect("r"), b"ABC");
        assert_eq!(append(target, scratch.narrow(b"x"), 1).expect("w"), abi::STATUS_BUFFER_TOO_SMALL);
        assert_eq!(bytes_of(target).expect("r"), b"ABC");
    }
}
