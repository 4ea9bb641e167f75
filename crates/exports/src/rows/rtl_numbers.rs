//! Numbers and GUIDs as text, pseudo-random numbers, bits of a word.

use abi::NTSTATUS;
use kernel::raw::{self, Outcome, UnicodeString};

use super::rtl_strings::{allocate_string, short, terminate};
use crate::format::Text;
use crate::row::rows;

/// What RtlStringFromGUID makes: 38 characters and a zero, in bytes.
const GUID_BYTES: u64 = 78;
/// RtlRandomEx's numbers are below this.
const MAXLONG: u32 = i32::MAX.cast_unsigned();

/// The number in a base of 2, 8, 10 (also 0) or 16, with capital digits; None for other bases.
fn digits(value: u64, base: u32) -> Option<String> {
    match base {
        0 | 10 => Some(value.to_string()),
        2 => Some(format!("{value:b}")),
        8 => Some(format!("{value:o}")),
        16 => Some(format!("{value:X}")),
        _ => None,
    }
}

fn integer_to_string(value: u64, base: u32, string: u64) -> Outcome<NTSTATUS> {
    let Some(text) = digits(value, base) else { return Ok(abi::STATUS_INVALID_PARAMETER) };
    let units: Vec<u16> = text.encode_utf16().collect();
    let string = UnicodeString::at(string);
    if units.len() * 2 > usize::from(string.maximum_length()?) {
        return Ok(abi::STATUS_BUFFER_OVERFLOW);
    }
    raw::copy_wide(string.buffer()?, &units)?;
    string.set_length(short(units.len() as u64 * 2))?;
    terminate(string)?;
    Ok(abi::STATUS_SUCCESS)
}

/// The number that `units` begin with: white space, a sign, for base 0 a prefix (0x, 0o, 0b), digits. What follows does
/// not matter, and what does not fit is cut off at the top. None for a base that is not 0, 2, 8, 10 or 16.
fn parse(units: impl IntoIterator<Item = Outcome<u16>>, base: u32) -> Outcome<Option<u32>> {
    if !matches!(base, 0 | 2 | 8 | 10 | 16) {
        return Ok(None);
    }
    let mut units = units.into_iter().map(|unit| unit.map(|unit| u8::try_from(unit).unwrap_or(0)));
    let mut next = move || units.next().unwrap_or(Ok(0));
    let mut unit = next()?;
    while (1..=b' ').contains(&unit) {
        unit = next()?;
    }
    let negative = unit == b'-';
    if negative || unit == b'+' {
        unit = next()?;
    }
    let mut base = base;
    if base == 0 {
        base = 10;
        if unit == b'0' {
            unit = next()?;
            let prefixed = match unit {
                b'x' => 16,
                b'o' => 8,
                b'b' => 2,
                _ => 10,
            };
            if prefixed != 10 {
                base = prefixed;
                unit = next()?;
            }
        }
    }
    let mut value = 0_u32;
    while let Some(digit) = char::from(unit).to_digit(base) {
        value = value.wrapping_mul(base).wrapping_add(digit);
        unit = next()?;
    }
    Ok(Some(if negative { value.wrapping_neg() } else { value }))
}

fn store(number: Option<u32>, value: u64) -> Outcome<NTSTATUS> {
    match number {
        Some(number) => raw::write(value, number).map(|()| abi::STATUS_SUCCESS),
        None => Ok(abi::STATUS_INVALID_PARAMETER),
    }
}

fn units_of(string: UnicodeString) -> Outcome<impl Iterator<Item = Outcome<u16>>> {
    let (buffer, length) = (string.buffer()?, string.length()?);
    Ok((0..u64::from(length / 2)).map(move |index| raw::read(buffer.wrapping_add(index * 2))))
}

/// `{00000000-0000-0000-0000-000000000000}`, with small digits as in the names of device interfaces.
fn guid_text(bytes: [u8; 16]) -> String {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let first = u32::from_le_bytes([a, b, c, d]);
    let (second, third) = (u16::from_le_bytes([e, f]), u16::from_le_bytes([g, h]));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{{{first:08x}-{second:04x}-{third:04x}-{}-{}}}", hex(&rest[..2]), hex(&rest[2..]))
}

/// The GUID that the whole text stands for.
fn parse_guid(text: &[u16]) -> Option<[u8; 16]> {
    const FORM: &[u8] = b"{xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}";
    /// Where the bytes go in the order of the digits: the first three numbers are little-endian.
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    if text.len() != FORM.len() {
        return None;
    }
    let mut digits = Vec::with_capacity(32);
    for (unit, form) in text.iter().zip(FORM) {
        let unit = u8::try_from(*unit).ok()?;
        if *form == b'x' {
            digits.push(u8::try_from(char::from(unit).to_digit(16)?).ok()?);
        } else if unit != *form {
            return None;
        }
    }
    let mut guid = [0; 16];
    for (pair, place) in digits.chunks_exact(2).zip(ORDER) {
        guid[place] = pair[0] << 4 | pair[1];
    }
    Some(guid)
}

/// Lehmer's generator of 1948, which the documentation of RtlUniform names.
fn uniform(seed: u32) -> u32 {
    let next = (u64::from(seed) * 0x7FFF_FFED + 0x7FFF_FFC3) % u64::from(MAXLONG);
    u32::try_from(next).unwrap_or(0)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Writes a number in base 2, 8, 10 or 16 to a counted string that is large enough.
    irql(PASSIVE_LEVEL)
    fn RtlIntegerToUnicodeString(call, value: u32, base: u32, string: u64) -> NTSTATUS {
        let _ = call;
        integer_to_string(u64::from(value), base, string)
    }

    /// Writes a 64-bit number in base 2, 8, 10 or 16 to a counted string that is large enough.
    irql(PASSIVE_LEVEL)
    fn RtlInt64ToUnicodeString(call, value: u64, base: u32, string: u64) -> NTSTATUS {
        let _ = call;
        integer_to_string(value, base, string)
    }

    /// Reads a number in base 2, 8, 10 or 16 from a counted string; base 0 goes by the number's prefix.
    irql(PASSIVE_LEVEL)
    fn RtlUnicodeStringToInteger(call, string: u64, base: u32, value: u64) -> NTSTATUS {
        let _ = call;
        store(parse(units_of(UnicodeString::at(string))?, base)?, value)
    }

    /// Reads a number in base 2, 8, 10 or 16 from an 8-bit string; base 0 goes by the number's prefix.
    irql(PASSIVE_LEVEL)
    fn RtlCharToInteger(call, string: u64, base: u32, value: u64) -> NTSTATUS {
        let _ = call;
        let units = (0_u64..).map(|index| Text::Narrow.read(string.wrapping_add(index)));
        store(parse(units, base)?, value)
    }

    /// Makes a counted string of a GUID, in braces.
    irql(PASSIVE_LEVEL)
    fn RtlStringFromGUID(call, guid: u64, string: u64) -> NTSTATUS {
        let mut bytes = [0; 16];
        raw::copy_from(&mut bytes, guid)?;
        let buffer = allocate_string(call, GUID_BYTES)?;
        if buffer == 0 {
            return Ok(abi::STATUS_NO_MEMORY);
        }
        let units: Vec<u16> = guid_text(bytes).encode_utf16().collect();
        raw::copy_wide(buffer, &units)?;
        let string = UnicodeString::at(string);
        string.set(short(GUID_BYTES - 2), short(GUID_BYTES), buffer)?;
        terminate(string)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Reads a GUID in braces from a counted string.
    irql(PASSIVE_LEVEL)
    fn RtlGUIDFromString(call, string: u64, guid: u64) -> NTSTATUS {
        match parse_guid(&call.string(string)?) {
            Some(bytes) => raw::copy_to(guid, &bytes).map(|()| abi::STATUS_SUCCESS),
            None => Ok(abi::STATUS_INVALID_PARAMETER),
        }
    }

    /// Returns a pseudo-random number below MAXLONG, and stores the next seed.
    irql(APC_LEVEL) alias("RtlRandom", "RtlUniform")
    fn RtlRandomEx(call, seed: u64) -> u32 {
        let _ = call;
        let next = uniform(raw::read(seed)?);
        raw::write(seed, next)?;
        Ok(next)
    }

    /// Returns the number of the lowest bit that is set; -1 for none.
    irql(HIGH_LEVEL)
    fn RtlFindLeastSignificantBit(call, set: u64) -> i32 {
        let _ = call;
        Ok(if set == 0 { -1 } else { set.trailing_zeros().cast_signed() })
    }

    /// Returns the number of the highest bit that is set; -1 for none.
    irql(HIGH_LEVEL)
    fn RtlFindMostSignificantBit(call, set: u64) -> i32 {
        let _ = call;
        Ok(63 - set.leading_zeros().cast_signed())
    }

    /// Returns how many bits are set.
    irql(HIGH_LEVEL)
    fn RtlNumberOfSetBitsUlongPtr(call, target: u64) -> u32 {
        let _ = call;
        Ok(target.count_ones())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::scratch::Scratch;

    fn number(text: &str, base: u32) -> Option<u32> {
        parse(text.encode_utf16().map(Ok), base).expect("nothing is read")
    }

    #[test]
    fn numbers_take_bases_2_8_10_and_16_and_need_room_for_all_digits() {
        let scratch = Scratch::new();
        let string = scratch.string("", 6);
        for (value, base, text) in
            [(0, 10, "0"), (255, 16, "FF"), (5, 2, "101"), (8, 8, "10"), (999, 0, "999")]
        {
            assert_eq!(integer_to_string(value, base, string).expect("w"), abi::STATUS_SUCCESS);
            assert_eq!(scratch.text(string), text);
        }
        assert_eq!(integer_to_string(1000, 10, string).expect("w"), abi::STATUS_BUFFER_OVERFLOW);
        assert_eq!(integer_to_string(1, 7, string).expect("w"), abi::STATUS_INVALID_PARAMETER);
        assert_eq!(scratch.text(string), "999");
    }

    #[test]
    fn parsing_skips_white_space_takes_a_sign_and_stops_at_what_is_no_digit() {
        assert_eq!(number(" \t12ab", 10), Some(12));
        assert_eq!(number("-1", 10), Some(u32::MAX));
        assert_eq!(number("+7", 10), Some(7));
        assert_eq!(number("", 10), Some(0));
        assert_eq!(number("fFg", 16), Some(255));
        assert_eq!(number("1", 7), None);
    }

    #[test]
    fn base_zero_goes_by_the_prefix() {
        assert_eq!(number("0x1F", 0), Some(31));
        assert_eq!(number("0o17", 0), Some(15));
        assert_eq!(number("0b101", 0), Some(5));
        assert_eq!(number("017", 0), Some(17));
        assert_eq!(number("0", 0), Some(0));
        assert_eq!(number("0x1F", 16), Some(0), "a stated base takes no prefix");
    }

    #[test]
    fn a_guid_goes_to_text_and_back() {
        let text = "{a5dcbf10-6530-11d2-901f-00c04fb951ed}";
        let units: Vec<u16> = text.encode_utf16().collect();
        let guid = parse_guid(&units).expect("a GUID");
        assert_eq!(guid[..8], [0x10, 0xBF, 0xDC, 0xA5, 0x30, 0x65, 0xD2, 0x11]);
        assert_eq!(guid_text(guid), text);
        assert_eq!(units.len() as u64 * 2 + 2, GUID_BYTES);
        assert_eq!(parse_guid(&units[..37]), None);
        assert_eq!(parse_guid(&units[1..]), None);
        let wrong: Vec<u16> = text.replace('f', "g").encode_utf16().collect();
        assert_eq!(parse_guid(&wrong), None);
    }

    #[test]
    fn random_numbers_are_below_maxlong_and_follow_from_the_seed() {
        let mut seed = 1;
        for _ in 0..1000 {
            seed = uniform(seed);
            assert!(seed < MAXLONG);
        }
        assert_eq!(uniform(7), uniform(7));
        assert_ne!(uniform(7), uniform(8));
    }
}
