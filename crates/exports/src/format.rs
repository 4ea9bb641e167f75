//! The printf engine: Microsoft's format specification, as `DbgPrint`, `_vsnprintf`, `_vsnwprintf` and their kin take
//! it. Where the text goes, and what its length means, is the rows' matter.
//!
//! All memory is read with guarded accesses: a bad pointer in the format or behind an argument becomes an exception in
//! the driver. `%n` is refused, as Microsoft's library does by default, and so is `%a`. Wide characters in 8-bit text
//! (and the other way round) go through the ANSI code page.

mod number;

use kernel::raw::{self, Outcome, UnicodeString};

use crate::code_page;
use crate::variadic::Arguments;

/// The most units that one call makes.
pub(crate) const LIMIT: usize = 64 * 1024;

/// What a format and its output consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// Bytes in the ANSI code page.
    Narrow,
    /// UTF-16 units.
    Wide,
}

impl Text {
    /// Bytes in a unit.
    pub(crate) fn size(self) -> u64 {
        match self {
            Self::Narrow => 1,
            Self::Wide => 2,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Narrow => Self::Wide,
            Self::Wide => Self::Narrow,
        }
    }

    /// Reads a unit.
    ///
    /// # Errors
    /// An access violation.
    pub(crate) fn read(self, address: u64) -> Outcome<u16> {
        match self {
            Self::Narrow => raw::read::<u8>(address).map(u16::from),
            Self::Wide => raw::read(address),
        }
    }

    /// Writes a unit.
    ///
    /// # Errors
    /// An access violation.
    pub(crate) fn write(self, address: u64, unit: u16) -> Outcome<()> {
        match self {
            Self::Narrow => raw::write(address, low_byte(unit)),
            Self::Wide => raw::write(address, unit),
        }
    }

    fn convert(self, to: Self, unit: u16) -> u16 {
        match (self, to) {
            (Self::Narrow, Self::Wide) => code_page::to_unicode(low_byte(unit)),
            (Self::Wide, Self::Narrow) => u16::from(code_page::from_unicode(unit)),
            _ => unit,
        }
    }
}

fn low_byte(unit: u16) -> u8 {
    unit.to_le_bytes()[0]
}

/// What came out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Formatted {
    /// The text; of 8-bit text, a byte in each.
    pub units: Vec<u16>,
    /// Whether there was more than the limit.
    pub overflowed: bool,
    /// Whether it ended at a conversion that is refused.
    pub refused: bool,
}

impl Formatted {
    /// The bytes of 8-bit text.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = u8> {
        self.units.iter().copied().map(low_byte)
    }
}

/// Formats what `arguments` hold by the format at `address`, at most `limit` units (and [`LIMIT`]).
///
/// # Errors
/// An access violation in the format, the arguments or what they point to.
pub(crate) fn format(
    text: Text,
    address: u64,
    arguments: &mut Arguments,
    limit: usize,
) -> Outcome<Formatted> {
    let limit = limit.min(LIMIT);
    let mut source = Source { text, next: address };
    let mut output = Output { text, limit, units: Vec::new(), overflowed: false };
    let mut refused = false;
    while !output.overflowed {
        match source.next()? {
            0 => break,
            PERCENT => {
                let Some(specification) = Specification::parse(&mut source, arguments)? else { break };
                if !specification.write(&mut output, arguments)? {
                    refused = true;
                    break;
                }
            }
            unit => output.push(unit),
        }
    }
    Ok(Formatted { units: output.units, overflowed: output.overflowed, refused })
}

const PERCENT: u16 = b'%' as u16;

struct Source {
    text: Text,
    next: u64,
}

impl Source {
    fn next(&mut self) -> Outcome<u16> {
        let unit = self.text.read(self.next)?;
        self.next = self.next.wrapping_add(self.text.size());
        Ok(unit)
    }

    fn peek(&self, ahead: u64) -> Outcome<u8> {
        let unit = self.text.read(self.next.wrapping_add(ahead * self.text.size()))?;
        Ok(u8::try_from(unit).unwrap_or(u8::MAX))
    }

    fn skip(&mut self, units: u64) {
        self.next = self.next.wrapping_add(units * self.text.size());
    }
}

struct Output {
    text: Text,
    limit: usize,
    units: Vec<u16>,
    overflowed: bool,
}

impl Output {
    fn push(&mut self, unit: u16) {
        if self.units.len() < self.limit {
            self.units.push(unit);
        } else {
            self.overflowed = true;
        }
    }

    fn fill(&mut self, unit: u8, count: usize) {
        for _ in 0..count {
            if self.overflowed {
                return;
            }
            self.push(u16::from(unit));
        }
    }

    fn extend(&mut self, units: impl IntoIterator<Item = u16>) {
        for unit in units {
            self.push(unit);
        }
    }
}

/// How many bits an integer argument has, or which kind of characters a text argument has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Unsaid,
    /// hh
    Byte,
    /// h
    Short,
    /// l
    Long,
    /// w
    Wide,
    /// I32
    Bits32,
    /// ll, I64, j, I, z, t: all 64 bits on x64.
    Bits64,
}

/// One conversion, from `%` to its letter.
struct Specification {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    size: Size,
    letter: u16,
}

impl Specification {
    /// Parses what follows a `%`; None at the end of the format.
    fn parse(source: &mut Source, arguments: &mut Arguments) -> Outcome<Option<Self>> {
        let mut this = Self {
            left: false,
            plus: false,
            space: false,
            alternate: false,
            zero: false,
            width: 0,
            precision: None,
            size: Size::Unsaid,
            letter: 0,
        };
        while this.flag(source.peek(0)?) {
            source.skip(1);
        }
        if source.peek(0)? == b'*' {
            source.skip(1);
            let width = int(arguments.next()?);
            this.left |= width < 0;
            this.width = usize::try_from(width.unsigned_abs()).unwrap_or(LIMIT);
        } else {
            this.width = digits(source)?;
        }
        if source.peek(0)? == b'.' {
            source.skip(1);
            this.precision = if source.peek(0)? == b'*' {
                source.skip(1);
                usize::try_from(int(arguments.next()?)).ok()
            } else {
                Some(digits(source)?)
            };
        }
        this.size = size(source)?;
        this.letter = source.next()?;
        Ok((this.letter != 0).then_some(this))
    }

    fn flag(&mut self, unit: u8) -> bool {
        match unit {
            b'-' => self.left = true,
            b'+' => self.plus = true,
            b' ' => self.space = true,
            b'#' => self.alternate = true,
            b'0' => self.zero = true,
            _ => return false,
        }
        true
    }

    /// Writes the conversion; false for one that is refused.
    fn write(&self, output: &mut Output, arguments: &mut Arguments) -> Outcome<bool> {
        match u8::try_from(self.letter).unwrap_or(0) {
            b'd' | b'i' => {
                let value = self.signed(arguments.next()?);
                self.integer(output, value.unsigned_abs(), 10, self.sign(value < 0));
            }
            b'u' => self.integer(output, self.unsigned(arguments.next()?), 10, ""),
            b'o' => self.integer(output, self.unsigned(arguments.next()?), 8, ""),
            b'x' => self.integer(output, self.unsigned(arguments.next()?), 16, ""),
            b'X' => self.integer(output, self.unsigned(arguments.next()?), 0x10 | number::UPPER, ""),
            b'p' => {
                let whole = Self { precision: Some(16), ..*self };
                whole.integer(output, arguments.next()?, 0x10 | number::UPPER, "");
            }
            letter @ (b'e' | b'E' | b'f' | b'F' | b'g' | b'G') => {
                let value = f64::from_bits(arguments.next()?);
                self.float(output, value, letter);
            }
            b'c' | b'C' => {
                let unit = arguments.next()?.to_le_bytes();
                let unit = u16::from_le_bytes([unit[0], unit[1]]);
                let unit = self.text(output.text).convert(output.text, unit);
                self.pad(output, "", &[unit], false);
            }
            b's' | b'S' => {
                let units = self.string(output, arguments.next()?)?;
                self.pad(output, "", &units, self.zero);
            }
            b'Z' => {
                let units = self.counted(output, arguments.next()?)?;
                self.pad(output, "", &units, self.zero);
            }
            b'n' | b'a' | b'A' => return Ok(false),
            _ => output.push(self.letter),
        }
        Ok(true)
    }

    /// Which characters a text argument has.
    fn text(&self, output: Text) -> Text {
        match self.size {
            Size::Byte | Size::Short => Text::Narrow,
            Size::Long | Size::Wide => Text::Wide,
            _ if self.letter == u16::from(b'S') || self.letter == u16::from(b'C') => output.other(),
            _ => output,
        }
    }

    fn string(&self, output: &Output, address: u64) -> Outcome<Vec<u16>> {
        let most = self.precision.unwrap_or(usize::MAX).min(LIMIT + 1);
        if address == 0 {
            return Ok(null(most));
        }
        let text = self.text(output.text);
        let mut units = Vec::new();
        let mut source = Source { text, next: address };
        while units.len() < most {
            match source.next()? {
                0 => break,
                unit => units.push(text.convert(output.text, unit)),
            }
        }
        Ok(units)
    }

    /// The characters of a UNICODE_STRING (`%wZ`, `%lZ`) or ANSI_STRING (`%Z`, `%hZ`), zeros and all.
    fn counted(&self, output: &Output, address: u64) -> Outcome<Vec<u16>> {
        let most = self.precision.unwrap_or(usize::MAX);
        let text = match self.size {
            Size::Long | Size::Wide => Text::Wide,
            _ => Text::Narrow,
        };
        if address == 0 || UnicodeString::at(address).buffer()? == 0 {
            return Ok(null(most));
        }
        // An ANSI_STRING is laid out alike.
        let string = UnicodeString::at(address);
        let count = usize::from(string.length()?) / if text == Text::Wide { 2 } else { 1 };
        let mut source = Source { text, next: string.buffer()? };
        (0..count.min(most)).map(|_| source.next().map(|unit| text.convert(output.text, unit))).collect()
    }

    /// Writes `prefix` and `body`, brought to the width with spaces, or with zeros between them.
    fn pad(&self, output: &mut Output, prefix: &str, body: &[u16], zeros: bool) {
        let missing = self.width.saturating_sub(prefix.len() + body.len());
        let zeros = zeros && !self.left;
        if !self.left && !zeros {
            output.fill(b' ', missing);
        }
        output.extend(prefix.bytes().map(u16::from));
        if zeros {
            output.fill(b'0', missing);
        }
        output.extend(body.iter().copied());
        if self.left {
            output.fill(b' ', missing);
        }
    }
}

fn null(most: usize) -> Vec<u16> {
    b"(null)".iter().take(most).map(|byte| u16::from(*byte)).collect()
}

/// An `int` argument.
#[expect(clippy::cast_possible_truncation, reason = "an int is the slot's low half")]
fn int(word: u64) -> i32 {
    word as i32
}

/// A decimal number, as far as it matters.
fn digits(source: &mut Source) -> Outcome<usize> {
    let mut value = 0_usize;
    loop {
        let digit = source.peek(0)?;
        if !digit.is_ascii_digit() {
            return Ok(value);
        }
        source.skip(1);
        value = (value * 10 + usize::from(digit - b'0')).min(1 << 20);
    }
}

fn size(source: &mut Source) -> Outcome<Size> {
    let mut size = Size::Unsaid;
    loop {
        let (length, found) = match source.peek(0)? {
            b'h' if source.peek(1)? == b'h' => (2, Size::Byte),
            b'h' => (1, Size::Short),
            b'l' if source.peek(1)? == b'l' => (2, Size::Bits64),
            b'l' => (1, Size::Long),
            b'w' => (1, Size::Wide),
            b'I' if (source.peek(1)?, source.peek(2).unwrap_or(0)) == (b'3', b'2') => (3, Size::Bits32),
            b'I' if (source.peek(1)?, source.peek(2).unwrap_or(0)) == (b'6', b'4') => (3, Size::Bits64),
            b'I' | b'z' | b'j' | b't' => (1, Size::Bits64),
            b'L' => (1, size),
            _ => return Ok(size),
        };
        source.skip(length);
        size = found;
    }
}

#[cfg(test)]
mod tests;
