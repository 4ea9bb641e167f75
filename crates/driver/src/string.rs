//! Counted UTF-16 strings: `UNICODE_STRING` with a lifetime, and literals of it that need no allocation.

use core::cmp::Ordering;
use core::fmt::{self, Write as _};
use core::marker::PhantomData;
use core::{ptr, slice};

use abi::{FALSE, TRUE, UNICODE_STRING};

use crate::nt::{RtlCompareUnicodeString, RtlEqualUnicodeString};

/// A `UNICODE_STRING` that borrows its text. [`utf16!`](crate::utf16) makes one from a literal.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct UnicodeStr<'a> {
    raw: UNICODE_STRING,
    text: PhantomData<&'a [u16]>,
}

// SAFETY: the text behind the pointer is borrowed and never written through it, as in `&[u16]`.
unsafe impl Send for UnicodeStr<'_> {}
// SAFETY: as above.
unsafe impl Sync for UnicodeStr<'_> {}

impl<'a> UnicodeStr<'a> {
    /// The string of these UTF-16 units.
    ///
    /// # Panics
    ///
    /// With more than 32,767 units, whose bytes `Length` cannot count; in a constant that is a compile error.
    #[must_use]
    pub const fn new(units: &'a [u16]) -> Self {
        let bytes = size_of_val(units);
        assert!(bytes <= u16::MAX as usize, "a UNICODE_STRING has at most 32,767 units");
        #[expect(clippy::cast_possible_truncation, reason = "checked above")]
        let length = bytes as u16;
        let raw = UNICODE_STRING { Length: length, MaximumLength: length, Buffer: units.as_ptr().cast_mut() };
        Self { raw, text: PhantomData }
    }

    /// Borrows the string that NT passed; null counts as empty.
    ///
    /// # Safety
    ///
    /// `raw` is null, or points to a valid `UNICODE_STRING` whose text stays as it is for `'a`.
    #[must_use]
    pub unsafe fn from_raw(raw: *const UNICODE_STRING) -> Self {
        // SAFETY: the caller's contract.
        match unsafe { raw.as_ref() } {
            Some(&raw) => Self { raw, text: PhantomData },
            None => Self::new(&[]),
        }
    }

    /// The UTF-16 units.
    #[must_use]
    pub fn units(&self) -> &'a [u16] {
        let length = usize::from(self.raw.Length) / size_of::<u16>();
        if length == 0 || self.raw.Buffer.is_null() {
            return &[];
        }
        // SAFETY: a valid string has `Length` bytes of text, which live for 'a.
        unsafe { slice::from_raw_parts(self.raw.Buffer, length) }
    }

    /// Whether both are the same but for case, as NT compares names. IRQL: PASSIVE_LEVEL.
    #[must_use]
    pub fn eq_ignore_case(&self, other: &UnicodeStr<'_>) -> bool {
        // SAFETY: two valid strings.
        unsafe { RtlEqualUnicodeString(self.as_raw(), other.as_raw(), TRUE) != FALSE }
    }

    /// The order of both but for case, for sorted collections. IRQL: PASSIVE_LEVEL.
    #[must_use]
    pub fn cmp_ignore_case(&self, other: &UnicodeStr<'_>) -> Ordering {
        // SAFETY: two valid strings.
        unsafe { RtlCompareUnicodeString(self.as_raw(), other.as_raw(), TRUE) }.cmp(&0)
    }

    /// For NT's functions, which read their string arguments only.
    #[must_use]
    pub const fn as_raw(&self) -> *const UNICODE_STRING {
        ptr::from_ref(&self.raw)
    }
}

impl fmt::Display for UnicodeStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        char::decode_utf16(self.units().iter().copied())
            .try_for_each(|unit| f.write_char(unit.unwrap_or(char::REPLACEMENT_CHARACTER)))
    }
}

impl fmt::Debug for UnicodeStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl PartialEq for UnicodeStr<'_> {
    /// Unit by unit, case included.
    fn eq(&self, other: &Self) -> bool {
        self.units() == other.units()
    }
}

impl Eq for UnicodeStr<'_> {}

/// `N` UTF-16 units computed at compile time: what [`utf16!`](crate::utf16) stores its literal in.
pub struct Utf16<const N: usize>([u16; N]);

impl<const N: usize> Utf16<N> {
    /// The encoding of `text`, which is `N` units long.
    #[must_use]
    pub const fn new(text: &str) -> Self {
        let mut units = [0; N];
        let mut rest = text.as_bytes();
        let mut at = 0;
        while !rest.is_empty() {
            let (character, width) = decode(rest);
            if character >= 0x1_0000 {
                units[at] = unit(0xD800 + ((character - 0x1_0000) >> 10));
                at += 1;
                units[at] = unit(0xDC00 + ((character - 0x1_0000) & 0x3FF));
            } else {
                units[at] = unit(character);
            }
            at += 1;
            rest = rest.split_at(width).1;
        }
        assert!(at == N, "N is Utf16::<0>::length_of(text)");
        Self(units)
    }

    /// The stored units.
    #[must_use]
    pub const fn units(&self) -> &[u16] {
        &self.0
    }
}

impl Utf16<0> {
    /// How many units `text` encodes to.
    #[must_use]
    pub const fn length_of(text: &str) -> usize {
        let mut rest = text.as_bytes();
        let mut length = 0;
        while !rest.is_empty() {
            let (character, width) = decode(rest);
            length += if character >= 0x1_0000 { 2 } else { 1 };
            rest = rest.split_at(width).1;
        }
        length
    }
}

#[expect(clippy::cast_possible_truncation, reason = "callers pass one UTF-16 unit")]
const fn unit(value: u32) -> u16 {
    value as u16
}

/// The first character of valid UTF-8, and its width in bytes; `char`'s own decoding is not `const`.
const fn decode(bytes: &[u8]) -> (u32, usize) {
    let (lead, width) = match bytes[0] {
        first @ ..0x80 => (first as u32, 1),
        first @ 0x80..0xE0 => (first as u32 & 0x1F, 2),
        first @ 0xE0..0xF0 => (first as u32 & 0x0F, 3),
        first => (first as u32 & 0x07, 4),
    };
    let mut character = lead;
    let mut at = 1;
    while at < width {
        character = character << 6 | (bytes[at] as u32 & 0x3F);
        at += 1;
    }
    (character, width)
}

/// A [`UnicodeStr`] literal, encoded at compile time: `utf16!(r"\Device\My_Device")`.
#[macro_export]
macro_rules! utf16 {
    ($text:expr) => {
        const {
            const TEXT: &str = $text;
            static UNITS: $crate::Utf16<{ $crate::Utf16::<0>::length_of(TEXT) }> = $crate::Utf16::new(TEXT);
            $crate::UnicodeStr::new(UNITS.units())
        }
    };
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_literal_is_the_utf16_that_the_standard_library_encodes() {
        const LITERAL: UnicodeStr<'static> = utf16!("\\Device\\Grüße €\u{10FFFF}𝄞");
        let expected: Vec<u16> = "\\Device\\Grüße €\u{10FFFF}𝄞".encode_utf16().collect();
        assert_eq!(LITERAL.units(), expected);
        assert_eq!(usize::from(LITERAL.raw.Length), expected.len() * 2);
        assert_eq!(format!("{LITERAL}"), "\\Device\\Grüße €\u{10FFFF}𝄞");
    }

    #[test]
    fn null_and_empty_strings_have_no_units() {
        let null_text = UNICODE_STRING { Length: 0, MaximumLength: 0, Buffer: ptr::null_mut() };
        // SAFETY: null is allowed.
        assert_eq!(unsafe { UnicodeStr::from_raw(ptr::null()) }.units(), []);
        // SAFETY: a valid empty string.
        assert_eq!(unsafe { UnicodeStr::from_raw(&raw const null_text) }.units(), []);
        assert_eq!(utf16!("").units(), []);
    }

    #[test]
    fn an_unpaired_surrogate_prints_as_the_replacement_character() {
        assert_eq!(format!("{}", UnicodeStr::new(&[0x41, 0xD800, 0x42])), "A\u{FFFD}B");
    }
}
