//! The ANSI code page: Windows-1252, what an English or Western European Windows has. One byte a character.
//!
//! Conversions of whole strings, and who owns the results, are `rows`' matter.

/// What the bytes 0x80 to 0x9F stand for; the five that 1252 leaves open stand for themselves.
const HIGH_CONTROLS: [u16; 32] = [
    0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152,
    0x008D, 0x017D, 0x008F, 0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122,
    0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178,
];

/// Stands for what the code page does not have.
const DEFAULT: u8 = b'?';

/// The UTF-16 unit of a byte.
pub(crate) fn to_unicode(byte: u8) -> u16 {
    match byte {
        0x80..=0x9F => HIGH_CONTROLS[usize::from(byte - 0x80)],
        _ => u16::from(byte),
    }
}

/// The byte of a UTF-16 unit; `?` for what the code page does not have.
pub(crate) fn from_unicode(unit: u16) -> u8 {
    match u8::try_from(unit) {
        Ok(byte) if !(0x80..=0x9F).contains(&byte) => byte,
        _ => {
            (0x80..=0x9F).zip(HIGH_CONTROLS).find(|(_, high)| *high == unit).map_or(DEFAULT, |(byte, _)| byte)
        }
    }
}

/// Text for people. Bytes that are UTF-8 are taken as such: a Rust driver's texts are.
pub(crate) fn to_text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => char::decode_utf16(bytes.iter().map(|byte| to_unicode(*byte)))
            .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_goes_to_unicode_and_back() {
        for byte in 0..=u8::MAX {
            assert_eq!(from_unicode(to_unicode(byte)), byte, "{byte:#x}");
        }
    }

    #[test]
    fn what_the_code_page_lacks_becomes_a_question_mark() {
        assert_eq!(from_unicode(0x4E2D), b'?');
        assert_eq!(from_unicode(u16::from(b'z')), b'z');
        assert_eq!(from_unicode(0x20AC), 0x80);
    }

    #[test]
    fn text_is_utf_8_where_it_can_be() {
        assert_eq!(to_text("grün".as_bytes()), "grün");
        assert_eq!(to_text(b"gr\xFCn"), "grün");
    }
}
