//! Integers and floating-point numbers.

use super::{Output, Size, Specification, int};

/// Beside a base: digits above nine are capital letters.
pub(super) const UPPER: u32 = 0x100;

/// The most digits behind the point that a double can differ in; what follows is zeros.
const DIGITS: usize = 1100;

impl Specification {
    pub(super) fn signed(&self, word: u64) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "only the low part of the slot is passed")]
        match self.size {
            Size::Byte => i64::from(word as i8),
            Size::Short => i64::from(word as i16),
            Size::Bits64 => word.cast_signed(),
            _ => i64::from(int(word)),
        }
    }

    pub(super) fn unsigned(&self, word: u64) -> u64 {
        match self.size {
            Size::Byte => word & 0xFF,
            Size::Short => word & 0xFFFF,
            Size::Bits64 => word,
            _ => word & 0xFFFF_FFFF,
        }
    }

    pub(super) fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) => "",
        }
    }

    /// Writes an integer; `base` may carry [`UPPER`].
    pub(super) fn integer(&self, output: &mut Output, value: u64, base: u32, sign: &'static str) {
        let upper = base & UPPER != 0;
        let digits = match base & !UPPER {
            8 => format!("{value:o}"),
            16 if upper => format!("{value:X}"),
            16 => format!("{value:x}"),
            _ => value.to_string(),
        };
        let digits = if value == 0 && self.precision == Some(0) { "" } else { digits.as_str() };
        let mut least = self.precision.unwrap_or(0).min(super::LIMIT);
        let prefix = match base & !UPPER {
            16 if self.alternate && value != 0 => {
                if upper {
                    "0X"
                } else {
                    "0x"
                }
            }
            8 if self.alternate && !digits.starts_with('0') => {
                least = least.max(digits.len() + 1);
                sign
            }
            _ => sign,
        };
        let mut body = vec![u16::from(b'0'); least.saturating_sub(digits.len())];
        body.extend(digits.bytes().map(u16::from));
        self.pad(output, prefix, &body, self.zero && self.precision.is_none());
    }

    /// Writes a double as `%e`, `%f`, `%g` or their capital forms.
    pub(super) fn float(&self, output: &mut Output, value: f64, letter: u8) {
        let sign = self.sign(value.is_sign_negative());
        let value = value.abs();
        let precision = self.precision.unwrap_or(6);
        let mut text = if value.is_nan() {
            "nan".to_owned()
        } else if value.is_infinite() {
            "inf".to_owned()
        } else {
            match letter.to_ascii_lowercase() {
                b'e' => exponential(value, precision, self.alternate),
                b'f' => fixed(value, precision, self.alternate),
                _ => general(value, precision.max(1), self.alternate),
            }
        };
        if letter.is_ascii_uppercase() {
            text.make_ascii_uppercase();
        }
        let body: Vec<u16> = text.bytes().map(u16::from).collect();
        self.pad(output, sign, &body, self.zero && value.is_finite());
    }
}

fn fixed(value: f64, precision: usize, point: bool) -> String {
    let mut text = format!("{value:.*}", precision.min(DIGITS));
    finish_fraction(&mut text, precision, point);
    text
}

/// The zeros that [`DIGITS`] left out, and the point that `#` asks for.
fn finish_fraction(text: &mut String, precision: usize, point: bool) {
    let more = precision.min(super::LIMIT).saturating_sub(DIGITS);
    text.extend(std::iter::repeat_n('0', more));
    if point && !text.contains('.') {
        text.push('.');
    }
}

fn exponential(value: f64, precision: usize, point: bool) -> String {
    let text = format!("{value:.*e}", precision.min(DIGITS));
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mut mantissa = mantissa.to_owned();
    finish_fraction(&mut mantissa, precision, point);
    format!("{mantissa}{}", exponent_text(exponent.parse().unwrap_or(0)))
}

/// At least two digits, as Microsoft's library writes them since 2015.
fn exponent_text(exponent: i32) -> String {
    format!("e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
}

fn general(value: f64, precision: usize, alternate: bool) -> String {
    let text = format!("{value:.*e}", (precision - 1).min(DIGITS));
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let places = i32::try_from(precision).unwrap_or(i32::MAX);
    let scientific = exponent < -4 || exponent >= places;
    let mut number = if scientific {
        mantissa.to_owned()
    } else {
        fixed(value, usize::try_from(places - 1 - exponent).unwrap_or(0), alternate)
    };
    if !alternate && number.contains('.') {
        number.truncate(number.trim_end_matches('0').trim_end_matches('.').len());
    }
    if scientific {
        number.push_str(&exponent_text(exponent));
    }
    number
}
