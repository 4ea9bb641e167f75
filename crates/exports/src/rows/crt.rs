//! The rest of the C library: characters, numbers, memory, searching and sorting. Case and classes are those of the C
//! locale, except for `towlower` and `towupper`, which know all of NT's characters.

use kernel::ob::upcase;
use kernel::raw::{self, Outcome};

use super::rtl_strings::{downcase, length_of};
use crate::Call;
use crate::code_page::{from_unicode, to_unicode};
use crate::format::Text;
use crate::row::rows;

const EINVAL: i32 = 22;
const ERANGE: i32 = 34;
/// What `mbstowcs` and `wcstombs` return for an error.
const FAILED: u64 = u64::MAX;

/// A number as `atoi` reads it: white space, a sign, digits; what does not fit is the nearest that does.
fn parse(text: Text, string: u64) -> Outcome<i64> {
    let mut at = string;
    let mut next = || {
        let unit = text.read(at);
        at = at.wrapping_add(text.size());
        unit.map(|unit| u8::try_from(unit).unwrap_or(0))
    };
    let mut unit = next()?;
    while is_space(unit.into()) {
        unit = next()?;
    }
    let negative = unit == b'-';
    if negative || unit == b'+' {
        unit = next()?;
    }
    let mut value = 0_i64;
    while unit.is_ascii_digit() {
        let digit = i64::from(unit - b'0');
        value = value.saturating_mul(10).saturating_add(if negative { -digit } else { digit });
        unit = next()?;
    }
    Ok(value)
}

fn clamp(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
}

fn is_space(character: u32) -> bool {
    matches!(character, 0x09..=0x0D | 0x20)
}

fn ascii(character: i32, class: fn(&u8) -> bool) -> i32 {
    i32::from(u8::try_from(character).is_ok_and(|byte| class(&byte)))
}

/// `value` in a base from 2 to 36, as `_itoa` writes it: a sign in base 10 only.
fn digits(value: i32, base: u32) -> Vec<u16> {
    let negative = base == 10 && value < 0;
    let mut rest = if negative { value.unsigned_abs() } else { value.cast_unsigned() };
    let mut text = Vec::new();
    loop {
        text.extend(
            char::from_digit(rest % base, base).and_then(|digit| u16::try_from(u32::from(digit)).ok()),
        );
        rest /= base;
        if rest == 0 {
            break;
        }
    }
    if negative {
        text.push(b'-'.into());
    }
    text.reverse();
    text
}

fn write_number(text: Text, value: i32, buffer: u64, base: u32) -> Outcome<u64> {
    let units = if (2..=36).contains(&base) { digits(value, base) } else { Vec::new() };
    let mut at = buffer;
    for unit in units.into_iter().chain([0]) {
        text.write(at, unit)?;
        at = at.wrapping_add(text.size());
    }
    Ok(buffer)
}

/// `memcpy_s`: copies, or zeroes the destination.
fn copy_secure(destination: u64, size: u64, source: u64, count: u64) -> Outcome<i32> {
    if count == 0 {
        return Ok(0);
    }
    if destination == 0 {
        return Ok(EINVAL);
    }
    let bytes = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    if source == 0 || size < count {
        raw::fill(destination, 0, bytes(size))?;
        return Ok(if source == 0 { EINVAL } else { ERANGE });
    }
    // Through a copy, for ranges that overlap.
    let (mut at, mut rest) = (0, count);
    if destination > source && destination < source.wrapping_add(count) {
        let mut whole = Vec::new();
        while rest > 0 {
            whole.push(raw::read::<u8>(source.wrapping_add(at))?);
            (at, rest) = (at + 1, rest - 1);
        }
        raw::copy_to(destination, &whole)?;
    } else {
        raw::copy_within(destination, source, bytes(count))?;
    }
    Ok(0)
}

/// Converts at most `count` characters with a zero where there is room; returns how many without it.
fn convert(from: Text, destination: u64, source: u64, count: u64) -> Outcome<u64> {
    let to = if from == Text::Wide { Text::Narrow } else { Text::Wide };
    let length = length_of(from, source, if destination == 0 { u64::MAX } else { count })?;
    for index in 0..length {
        let unit = from.read(source.wrapping_add(index * from.size()))?;
        let unit = match from {
            Text::Narrow => to_unicode(unit.to_le_bytes()[0]),
            Text::Wide => match from_unicode(unit) {
                b'?' if unit != b'?'.into() => return Ok(FAILED),
                byte => byte.into(),
            },
        };
        if destination != 0 {
            to.write(destination.wrapping_add(index * to.size()), unit)?;
        }
    }
    if destination != 0 && length < count {
        to.write(destination.wrapping_add(length * to.size()), 0)?;
    }
    Ok(length)
}

/// An array in driver memory that a comparison of the driver's orders.
struct Array<C> {
    base: u64,
    width: u64,
    compare: C,
}

impl<C: Fn(u64, u64) -> Outcome<i32>> Array<C> {
    fn at(&self, index: u64) -> u64 {
        self.base.wrapping_add(index.wrapping_mul(self.width))
    }

    /// Swaps two elements, a piece at a time: the width is whatever the driver says.
    fn swap(&self, a: u64, b: u64) -> Outcome<()> {
        const PIECE: usize = 64;
        let (a, b) = (self.at(a), self.at(b));
        let (mut first, mut second) = ([0; PIECE], [0; PIECE]);
        let mut done = 0;
        while done < self.width {
            let length = usize::try_from(self.width - done).map_or(PIECE, |rest| rest.min(PIECE));
            let (a, b) = (a.wrapping_add(done), b.wrapping_add(done));
            raw::copy_from(&mut first[..length], a)?;
            raw::copy_from(&mut second[..length], b)?;
            raw::copy_to(a, &second[..length])?;
            raw::copy_to(b, &first[..length])?;
            done += length as u64;
        }
        Ok(())
    }

    /// Lets the element at `root` sink to its place in the heap of the first `count`.
    fn sink(&self, mut root: u64, count: u64) -> Outcome<()> {
        while root * 2 + 1 < count {
            let mut child = root * 2 + 1;
            let sibling = child + 1;
            if sibling < count && (self.compare)(self.at(child), self.at(sibling))? < 0 {
                child = sibling;
            }
            if (self.compare)(self.at(root), self.at(child))? >= 0 {
                return Ok(());
            }
            self.swap(root, child)?;
            root = child;
        }
        Ok(())
    }

    /// Heap sort: in place, and it ends whatever the comparison answers.
    fn sort(&self, count: u64) -> Outcome<()> {
        for root in (0..count / 2).rev() {
            self.sink(root, count)?;
        }
        for end in (1..count).rev() {
            self.swap(0, end)?;
            self.sink(0, end)?;
        }
        Ok(())
    }

    /// Address of an element that `key` compares equal to; 0 for none.
    fn search(&self, key: u64, count: u64) -> Outcome<u64> {
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            match (self.compare)(key, self.at(middle))? {
                0 => return Ok(self.at(middle)),
                order if order < 0 => high = middle,
                _ => low = middle + 1,
            }
        }
        Ok(0)
    }
}

/// A comparison of the driver's.
fn comparison(call: Call<'_>, routine: u64) -> impl Fn(u64, u64) -> Outcome<i32> {
    move |a, b| {
        let [low, mid, high, top, ..] = call.kernel.ke.call(call.kernel, routine, &[a, b])?.to_le_bytes();
        Ok(i32::from_le_bytes([low, mid, high, top]))
    }
}

rows! {
    dll = "ntoskrnl.exe";

    /// Reads a decimal number.
    irql(HIGH_LEVEL) alias("atol")
    fn atoi(call, string: u64) -> i32 {
        let _ = call;
        parse(Text::Narrow, string).map(clamp)
    }

    /// Reads a decimal number from UTF-16.
    irql(HIGH_LEVEL) alias("_wtol")
    fn _wtoi(call, string: u64) -> i32 {
        let _ = call;
        parse(Text::Wide, string).map(clamp)
    }

    /// Writes a number in a base from 2 to 36; returns the buffer.
    irql(HIGH_LEVEL)
    fn _itoa(call, value: i32, buffer: u64, radix: u32) -> u64 {
        let _ = call;
        write_number(Text::Narrow, value, buffer, radix)
    }

    /// Writes a number in a base from 2 to 36 in UTF-16; returns the buffer.
    irql(HIGH_LEVEL)
    fn _itow(call, value: i32, buffer: u64, radix: u32) -> u64 {
        let _ = call;
        write_number(Text::Wide, value, buffer, radix)
    }

    /// Whether a character is a decimal digit.
    irql(HIGH_LEVEL)
    fn isdigit(call, character: i32) -> i32 {
        let _ = call;
        Ok(ascii(character, u8::is_ascii_digit))
    }

    /// Whether a character is a hexadecimal digit.
    irql(HIGH_LEVEL)
    fn isxdigit(call, character: i32) -> i32 {
        let _ = call;
        Ok(ascii(character, u8::is_ascii_hexdigit))
    }

    /// Whether a character is white space.
    irql(HIGH_LEVEL)
    fn isspace(call, character: i32) -> i32 {
        let _ = call;
        Ok(i32::from(u32::try_from(character).is_ok_and(is_space)))
    }

    /// Whether a character can be printed.
    irql(HIGH_LEVEL)
    fn isprint(call, character: i32) -> i32 {
        let _ = call;
        Ok(i32::from((0x20..0x7F).contains(&character)))
    }

    /// Whether a character is a small letter.
    irql(HIGH_LEVEL)
    fn islower(call, character: i32) -> i32 {
        let _ = call;
        Ok(ascii(character, u8::is_ascii_lowercase))
    }

    /// Whether a character is a capital letter.
    irql(HIGH_LEVEL)
    fn isupper(call, character: i32) -> i32 {
        let _ = call;
        Ok(ascii(character, u8::is_ascii_uppercase))
    }

    /// Returns the small letter of a character.
    irql(HIGH_LEVEL)
    fn tolower(call, character: i32) -> i32 {
        let _ = call;
        Ok(if (0x41..=0x5A).contains(&character) { character + 0x20 } else { character })
    }

    /// Returns the capital letter of a character.
    irql(HIGH_LEVEL)
    fn toupper(call, character: i32) -> i32 {
        let _ = call;
        Ok(if (0x61..=0x7A).contains(&character) { character - 0x20 } else { character })
    }

    /// Returns the small letter of a character of UTF-16.
    irql(PASSIVE_LEVEL)
    fn towlower(call, character: u16) -> u16 {
        let _ = call;
        Ok(downcase(character))
    }

    /// Returns the capital letter of a character of UTF-16.
    irql(PASSIVE_LEVEL)
    fn towupper(call, character: u16) -> u16 {
        let _ = call;
        Ok(upcase(character))
    }

    /// Finds a byte in memory; NULL for none.
    irql(HIGH_LEVEL)
    fn memchr(call, memory: u64, byte: u8, count: u64) -> u64 {
        let _ = call;
        for index in 0..count {
            let address = memory.wrapping_add(index);
            if raw::read::<u8>(address)? == byte {
                return Ok(address);
            }
        }
        Ok(0)
    }

    /// Copies memory into a buffer of a size; an error zeroes the buffer.
    irql(HIGH_LEVEL) alias("memmove_s")
    fn memcpy_s(call, destination: u64, size: u64, source: u64, count: u64) -> i32 {
        let _ = call;
        copy_secure(destination, size, source, count)
    }

    /// Converts at most so many 8-bit characters to UTF-16; returns how many.
    irql(PASSIVE_LEVEL)
    fn mbstowcs(call, destination: u64, source: u64, count: u64) -> u64 {
        let _ = call;
        convert(Text::Narrow, destination, source, count)
    }

    /// Converts at most so many characters of UTF-16 to 8-bit ones; returns how many, or -1.
    irql(PASSIVE_LEVEL)
    fn wcstombs(call, destination: u64, source: u64, count: u64) -> u64 {
        let _ = call;
        convert(Text::Wide, destination, source, count)
    }

    /// Sorts an array by a comparison of the caller's.
    irql(HIGH_LEVEL)
    fn qsort(call, base: u64, count: u64, width: u64, compare: u64) -> () {
        Array { base, width, compare: comparison(call, compare) }.sort(if width == 0 { 0 } else { count })
    }

    /// Finds an element in a sorted array by a comparison of the caller's; NULL for none.
    irql(HIGH_LEVEL)
    fn bsearch(call, key: u64, base: u64, count: u64, width: u64, compare: u64) -> u64 {
        Array { base, width, compare: comparison(call, compare) }.search(key, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::scratch::Scratch;

    #[test]
    fn atoi_takes_what_it_can_and_stays_inside_an_int() {
        let scratch = Scratch::new();
        for (text, value) in [
            (" \t42x", 42),
            ("-17", -17),
            ("+5", 5),
            ("x", 0),
            ("99999999999999999999", i32::MAX),
            ("-99999999999999999999", i32::MIN),
        ] {
            assert_eq!(clamp(parse(Text::Wide, scratch.wide(text)).expect("r")), value, "{text}");
        }
    }

    #[test]
    fn itoa_has_a_sign_in_base_ten_only() {
        let text = |value, base| String::from_utf16(&digits(value, base)).expect("ASCII");
        assert_eq!(text(-255, 10), "-255");
        assert_eq!(text(-1, 16), "ffffffff");
        assert_eq!(text(0, 2), "0");
        assert_eq!(text(i32::MIN, 10), "-2147483648");
        assert_eq!(text(35, 36), "z");
    }

    #[test]
    fn memcpy_s_zeroes_the_destination_when_it_is_too_small() {
        let scratch = Scratch::new();
        let (target, source) = (scratch.narrow(b"zzzz"), scratch.narrow(b"abcd"));
        assert_eq!(copy_secure(target, 3, source, 4).expect("w"), ERANGE);
        assert_eq!(scratch.read(target, 4), b"\0\0\0z");
        assert_eq!(copy_secure(target, 4, source, 4).expect("w"), 0);
        assert_eq!(copy_secure(target + 1, 3, target, 3).expect("w"), 0);
        assert_eq!(scratch.read(target, 4), b"aabc", "ranges may overlap");
        assert_eq!(copy_secure(target, 4, 0, 1).expect("w"), EINVAL);
    }

    #[test]
    fn conversions_count_characters_and_fail_at_what_the_code_page_lacks() {
        let scratch = Scratch::new();
        let target = scratch.narrow(b"zzzzzz");
        assert_eq!(convert(Text::Wide, target, scratch.wide("aü"), 4).expect("w"), 2);
        assert_eq!(scratch.read(target, 4), b"a\xFC\0z");
        assert_eq!(convert(Text::Wide, target, scratch.wide("xyz"), 3).expect("w"), 3);
        assert_eq!(scratch.read(target, 4), b"xyzz", "no zero without room");
        assert_eq!(convert(Text::Wide, 0, scratch.wide("xyz"), 0).expect("r"), 3);
        assert_eq!(convert(Text::Wide, target, scratch.wide("中"), 3).expect("w"), FAILED);
    }

    fn array(scratch: &Scratch, values: &[u32]) -> u64 {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        scratch.narrow(&bytes)
    }

    fn by_value(a: u64, b: u64) -> Outcome<i32> {
        Ok(raw::read::<u32>(a)?.cmp(&raw::read::<u32>(b)?) as i32)
    }

    #[test]
    fn sorting_orders_every_length_and_searching_finds_every_element() {
        let scratch = Scratch::new();
        for count in 0..40_u32 {
            let values: Vec<u32> = (0..count).map(|index| index * 7919 % 31).collect();
            let base = array(&scratch, &values);
            let array = Array { base, width: 4, compare: by_value };
            array.sort(count.into()).expect("accessible");
            let sorted: Vec<u32> =
                (0..u64::from(count)).map(|i| raw::read(base + i * 4).expect("r")).collect();
            let mut expected = values.clone();
            expected.sort_unstable();
            assert_eq!(sorted, expected);
            for index in 0..u64::from(count) {
                let found = array.search(base + index * 4, count.into()).expect("r");
                assert_eq!(
                    raw::read::<u32>(found).expect("r"),
                    sorted[usize::try_from(index).expect("small")]
                );
            }
        }
        let base = array(&scratch, &[1, 3]);
        let key = array(&scratch, &[2]);
        assert_eq!(Array { base, width: 4, compare: by_value }.search(key, 2).expect("r"), 0);
    }

    #[test]
    fn wide_elements_move_whole() {
        let scratch = Scratch::new();
        let element = |first: u8| std::iter::once(first).chain(1..100).collect::<Vec<u8>>();
        let base = scratch.narrow(&[element(3), element(1), element(2)].concat());
        let compare = |a, b| Ok(raw::read::<u8>(a)?.cmp(&raw::read::<u8>(b)?) as i32);
        Array { base, width: 100, compare }.sort(3).expect("accessible");
        assert_eq!(scratch.read(base, 300), [element(1), element(2), element(3)].concat());
    }

    #[test]
    fn sorting_ends_with_a_comparison_that_contradicts_itself() {
        let scratch = Scratch::new();
        let base = array(&scratch, &(0..100).collect::<Vec<_>>());
        Array { base, width: 4, compare: |_, _| Ok(-1) }.sort(100).expect("it ends");
        Array { base, width: 4, compare: |_, _| Ok(1) }.sort(100).expect("it ends");
    }
}
