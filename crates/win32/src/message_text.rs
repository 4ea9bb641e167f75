//! What a message definition becomes: `%1`, `%1!format!`, `%n` and the other sequences, and lines of a width. Source: Win32, FormatMessage.

use crate::failure::{Failure, MISSING};
use crate::pointer::Pointer;

/// Units that a message has at most, and an insert's width.
const MOST: usize = 0x1_0000;
const TOO_LONG: Failure = Failure(abi::ERROR_INSUFFICIENT_BUFFER);

/// What becomes of the lines of a definition. Those of `%n` stay.
#[derive(Clone, Copy)]
pub(crate) enum Breaks {
    /// They stay.
    Kept,
    /// They are spaces.
    Spaces,
    /// They are spaces, and lines end before so many characters.
    At(usize),
}

/// Where inserts come from.
pub(crate) enum Source {
    /// They stay as they are written.
    Ignored,
    /// There are none.
    Missing,
    /// An array of words.
    Array(Pointer<usize>),
    /// A `va_list`.
    List(Pointer<List>),
}

/// A `va_list` of x86-64's calling convention (System V ABI, 3.5.7).
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct List {
    /// Where in the saved registers the next argument is.
    general: u32,
    _float: u32,
    /// Where the arguments go on that were in no register.
    overflow: Pointer<usize>,
    saved: Pointer<u8>,
}

/// Bytes of the saved general registers.
const REGISTERS: u32 = 48;

impl List {
    fn next(&mut self) -> Result<usize, Failure> {
        if self.general < REGISTERS {
            let at: Pointer<usize> = self.saved.at(self.general as usize).cast();
            self.general += 8;
            return at.read();
        }
        let at = self.overflow;
        self.overflow = at.at(1);
        at.read()
    }
}

/// The inserts, each read when it is first needed.
pub(crate) struct Arguments {
    source: Source,
    list: Option<List>,
    taken: Vec<usize>,
    wide: bool,
}

impl Arguments {
    pub(crate) fn new(source: Source, wide: bool) -> Self {
        Self { source, list: None, taken: Vec::new(), wide }
    }

    /// The insert with this number, from 1.
    fn get(&mut self, number: usize) -> Result<usize, Failure> {
        match self.source {
            Source::Ignored | Source::Missing => Err(MISSING),
            Source::Array(array) => array.at(number - 1).read(),
            Source::List(at) => {
                let mut list = match self.list {
                    Some(list) => list,
                    None => at.read()?,
                };
                while self.taken.len() < number {
                    self.taken.push(list.next()?);
                }
                self.list = Some(list);
                Ok(self.taken[number - 1])
            }
        }
    }
}

/// The text that is made.
struct Output {
    text: String,
    breaks: Breaks,
    /// Of the line: characters, and where its last space is.
    column: usize,
    space: Option<usize>,
}

impl Output {
    fn push(&mut self, character: char) -> Result<(), Failure> {
        if self.text.len() >= MOST {
            return Err(TOO_LONG);
        }
        if character == ' ' {
            self.space = Some(self.text.len());
        }
        self.text.push(character);
        self.column += 1;
        if let Breaks::At(width) = self.breaks
            && self.column > width
            && let Some(space) = self.space.take()
        {
            self.text.replace_range(space..=space, "\r\n");
            self.column = self.text[space + 2..].chars().count();
        }
        Ok(())
    }

    /// `%n`.
    fn hard_break(&mut self) {
        self.text.push_str("\r\n");
        (self.column, self.space) = (0, None);
    }

    /// A line's end in the definition.
    fn soft_break(&mut self) -> Result<(), Failure> {
        match self.breaks {
            Breaks::Kept => {
                self.hard_break();
                Ok(())
            }
            Breaks::Spaces | Breaks::At(_) => self.push(' '),
        }
    }
}

/// What a definition becomes. ERROR_INVALID_PARAMETER for inserts that are not given and formats that there are not.
pub(crate) fn expand(definition: &str, breaks: Breaks, arguments: &mut Arguments) -> Result<String, Failure> {
    let mut output = Output { text: String::new(), breaks, column: 0, space: None };
    let mut rest = definition;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '\r' => {
                rest = rest.strip_prefix('\n').unwrap_or(rest);
                output.soft_break()?;
            }
            '\n' => output.soft_break()?,
            '%' => match rest.chars().next() {
                Some('0') => return Ok(output.text),
                Some('1'..='9') => rest = insert(rest, &mut output, arguments)?,
                Some(escaped) => {
                    rest = &rest[escaped.len_utf8()..];
                    match escaped {
                        'n' => output.hard_break(),
                        'r' => output.text.push('\r'),
                        't' => output.push('\t')?,
                        'b' => output.push(' ')?,
                        other => output.push(other)?,
                    }
                }
                None => return Err(MISSING),
            },
            other => output.push(other)?,
        }
    }
    Ok(output.text)
}

/// An insert, whose number is next; what is behind it.
fn insert<'a>(rest: &'a str, output: &mut Output, arguments: &mut Arguments) -> Result<&'a str, Failure> {
    let digits = rest.chars().take(2).take_while(char::is_ascii_digit).count();
    let (number, behind) = rest.split_at(digits);
    let (format, behind) = match behind.strip_prefix('!') {
        Some(formatted) => formatted.split_once('!').ok_or(MISSING)?,
        None => ("s", behind),
    };
    if matches!(arguments.source, Source::Ignored) {
        output.push('%')?;
        rest[..rest.len() - behind.len()].chars().try_for_each(|character| output.push(character))?;
        return Ok(behind);
    }
    let number = number.parse().map_err(|_| MISSING)?;
    for character in formatted(format, number, arguments)?.chars() {
        match character {
            // Breaks that an insert brings stay.
            '\n' => output.text.push('\n'),
            other => output.push(other)?,
        }
    }
    Ok(behind)
}

/// As `printf` has it, without what is for floating point.
struct Format {
    left: bool,
    zero: bool,
    alternate: bool,
    sign: &'static str,
    width: usize,
    precision: Option<usize>,
}

/// A number, or `*`: an insert of its own.
fn number(rest: &mut &str, index: &mut usize, arguments: &mut Arguments) -> Result<usize, Failure> {
    if let Some(behind) = rest.strip_prefix('*') {
        *rest = behind;
        *index += 1;
        // Below zero is none.
        let given = arguments.get(*index - 1)? & 0xFFFF_FFFF;
        return Ok(if given > i32::MAX as usize { 0 } else { given.min(MOST + 1) });
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, behind) = rest.split_at(digits);
    *rest = behind;
    Ok(number.bytes().fold(0, |sum, digit| (sum * 10 + usize::from(digit - b'0')).min(MOST + 1)))
}

fn formatted(format: &str, mut index: usize, arguments: &mut Arguments) -> Result<String, Failure> {
    let mut rest = format;
    let mut wanted =
        Format { left: false, zero: false, alternate: false, sign: "", width: 0, precision: None };
    while let Some(flag) = rest.chars().next().filter(|flag| "-+ 0#".contains(*flag)) {
        rest = &rest[1..];
        match flag {
            '-' => wanted.left = true,
            '0' => wanted.zero = true,
            '#' => wanted.alternate = true,
            '+' => wanted.sign = "+",
            _ if wanted.sign.is_empty() => wanted.sign = " ",
            _ => {}
        }
    }
    wanted.width = number(&mut rest, &mut index, arguments)?;
    if let Some(behind) = rest.strip_prefix('.') {
        rest = behind;
        wanted.precision = Some(number(&mut rest, &mut index, arguments)?);
    }
    let sizes = ["I64", "I32", "ll", "I", "h", "l", "w", "z", ""];
    let size = sizes.into_iter().find(|size| rest.starts_with(size)).unwrap_or("");
    let mut kind = rest[size.len()..].chars();
    let (Some(kind), None) = (kind.next(), kind.next()) else { return Err(MISSING) };
    let value = arguments.get(index)?;
    match kind {
        's' | 'S' => {
            let wide = match size {
                "h" => false,
                "l" | "w" => true,
                _ => arguments.wide == (kind == 's'),
            };
            let text = string(value, wide, wanted.precision.unwrap_or(MOST))?;
            Ok(wanted.pad("", &text, false))
        }
        'c' | 'C' => {
            let unit = u32::try_from(value & 0xFFFF).unwrap_or(0);
            let character = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
            Ok(wanted.pad("", &character.to_string(), false))
        }
        'p' => Ok(wanted.pad("", &format!("{value:016X}"), false)),
        _ => wanted.integer(kind, size, value as u64),
    }
}

impl Format {
    fn integer(&self, kind: char, size: &str, value: u64) -> Result<String, Failure> {
        let bits = match size {
            "I64" | "ll" | "I" | "z" => 64,
            "h" => 16,
            _ => 32,
        };
        let value = value << (64 - bits);
        let signed = value.cast_signed() >> (64 - bits);
        let value = value >> (64 - bits);
        let (sign, digits) = match kind {
            'd' | 'i' if signed < 0 => ("-", signed.unsigned_abs().to_string()),
            'd' | 'i' => (self.sign, signed.to_string()),
            'u' => ("", value.to_string()),
            'x' => (if self.alternate && value != 0 { "0x" } else { "" }, format!("{value:x}")),
            'X' => (if self.alternate && value != 0 { "0X" } else { "" }, format!("{value:X}")),
            'o' => (if self.alternate { "0" } else { "" }, format!("{value:o}")),
            _ => return Err(MISSING),
        };
        let digits = match self.precision {
            Some(precision) => format!("{digits:0>precision$}"),
            None => digits,
        };
        Ok(self.pad(sign, &digits, self.precision.is_none()))
    }

    fn pad(&self, sign: &str, text: &str, zeros: bool) -> String {
        let padding = self.width.saturating_sub(sign.len() + text.chars().count());
        if self.left {
            format!("{sign}{text}{}", " ".repeat(padding))
        } else if self.zero && zeros {
            format!("{sign}{}{text}", "0".repeat(padding))
        } else {
            format!("{}{sign}{text}", " ".repeat(padding))
        }
    }
}

/// The string at an address, of at most so many units, which needs no zero then.
fn string(address: usize, wide: bool, most: usize) -> Result<String, Failure> {
    if address == 0 {
        return Ok("(null)".chars().take(most).collect());
    }
    if wide {
        let units = units(Pointer::<u16>::at_address(address), most)?;
        Ok(String::from_utf16_lossy(&units))
    } else {
        let bytes = units(Pointer::<u8>::at_address(address), most)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn units<T: Copy + Default + PartialEq>(at: Pointer<T>, most: usize) -> Result<Vec<T>, Failure> {
    let mut units = Vec::new();
    while units.len() < most {
        let unit = at.at(units.len()).read()?;
        if unit == T::default() {
            break;
        }
        units.push(unit);
    }
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(definition: &str, breaks: Breaks, inserts: &[usize]) -> Result<String, u32> {
        let array = Pointer::made(inserts.as_ptr().cast_mut());
        let source = if inserts.is_empty() { Source::Missing } else { Source::Array(array) };
        expand(definition, breaks, &mut Arguments::new(source, false)).map_err(|Failure(code)| code)
    }

    fn one(definition: &str, insert: usize) -> String {
        expanded(definition, Breaks::Kept, &[insert]).expect("is well formed")
    }

    #[test]
    fn sequences_are_what_their_page_says() {
        let plain = |definition| expanded(definition, Breaks::Kept, &[]);
        assert_eq!(plain("a%nb%%c%!d%.e% f%0g").as_deref(), Ok("a\r\nb%c!d.e f"));
        assert_eq!(plain("a\nb\r\nc").as_deref(), Ok("a\r\nb\r\nc"));
        assert_eq!(plain("%1"), Err(abi::ERROR_INVALID_PARAMETER), "no arguments");
        assert_eq!(plain("%"), Err(abi::ERROR_INVALID_PARAMETER));
        let ignored = expand("%1!5d! %2 %%", Breaks::Kept, &mut Arguments::new(Source::Ignored, false));
        assert_eq!(ignored.ok().as_deref(), Some("%1!5d! %2 %"));
    }

    #[test]
    fn numbers_are_printed_as_printf_does() {
        assert_eq!(one("%1!d!", usize::MAX), "-1");
        assert_eq!(one("%1!u!", usize::MAX), "4294967295");
        assert_eq!(one("%1!I64u!", usize::MAX), "18446744073709551615");
        assert_eq!(one("%1!#06x!", 0xAB), "0x00ab");
        assert_eq!(one("%1!-6d!|", 42), "42    |");
        assert_eq!(one("%1!+.4d!", 42), "+0042");
        assert_eq!(one("%1!hd!", 0x1_8000), "-32768");
        assert_eq!(one("%1!c!", 65), "A");
        assert_eq!(expanded("%1!f!", Breaks::Kept, &[1]), Err(abi::ERROR_INVALID_PARAMETER));
        assert_eq!(expanded("%1!d", Breaks::Kept, &[1]), Err(abi::ERROR_INVALID_PARAMETER));
    }

    #[test]
    fn widths_and_precisions_may_be_inserts_and_strings_need_no_zero() {
        let text = b"text";
        let address = text.as_ptr().expose_provenance();
        assert_eq!(expanded("%1!*.*s!|%4!d!", Breaks::Kept, &[6, 3, address, 7]).as_deref(), Ok("   tex|7"));
        assert_eq!(one("%1", 0), "(null)");
        assert_eq!(
            expanded("%1!70000d!", Breaks::Kept, &[1]).map(|text| text.len()),
            Err(abi::ERROR_INSUFFICIENT_BUFFER)
        );
    }

    #[test]
    fn lines_end_at_a_width_and_only_hard_ones_stay() {
        let at = |width| expanded("one two\r\nthree%nfour", Breaks::At(width), &[]).expect("is well formed");
        assert_eq!(at(8), "one two\r\nthree\r\nfour");
        assert_eq!(at(40), "one two three\r\nfour");
        assert_eq!(at(2), "one\r\ntwo\r\nthree\r\nfour", "words stay whole");
        assert_eq!(expanded("a\r\nb%nc\r\n", Breaks::Spaces, &[]).as_deref(), Ok("a b\r\nc "));
    }
}
