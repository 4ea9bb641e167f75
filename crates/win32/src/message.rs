//! `FormatMessage`: the system's texts (`system_messages.txt`, the published "System Error Codes") and the application's own, with inserts.

use std::ffi::c_void;

use crate::failure::{Failure, MISSING, fail};
use crate::heap;
use crate::message_text::{Arguments, Breaks, Source, expand};
use crate::pointer::Pointer;
use crate::text::{Text, Unit};

const MAX_WIDTH_MASK: u32 = 0xFF;
const ALLOCATE_BUFFER: u32 = 0x100;
const IGNORE_INSERTS: u32 = 0x200;
const FROM_STRING: u32 = 0x400;
const FROM_HMODULE: u32 = 0x800;
const FROM_SYSTEM: u32 = 0x1000;
const ARGUMENT_ARRAY: u32 = 0x2000;

/// The one language that there is.
const LANG_ENGLISH: u32 = 9;
const PRIMARY_LANGUAGE: u32 = 0x3FF;

/// Lines of a code and its text, in the order of codes.
const TEXTS: &str = include_str!("system_messages.txt");

/// Writes a message to a buffer of `size` units, or with FORMAT_MESSAGE_ALLOCATE_BUFFER to one that is made for it and freed with
/// `LocalFree`, and whose address goes to where `buffer` points. How many units without the zero; 0 when it fails.
///
/// The message is the system's for a code (FROM_SYSTEM, in English; an HRESULT of a Win32 code has that code's), or the text that `source`
/// points to (FROM_STRING). Codes that have a name and no text here have their name. ERROR_MR_MID_NOT_FOUND (317) for other codes,
/// ERROR_RESOURCE_LANG_NOT_FOUND (1815) for other languages, ERROR_RESOURCE_DATA_NOT_FOUND (1812) for a module's messages (programs have none
/// here), ERROR_INSUFFICIENT_BUFFER, ERROR_INVALID_PARAMETER for inserts without arguments. Source: Win32, FormatMessage.
#[unsafe(no_mangle)]
pub extern "C" fn FormatMessageW(
    flags: u32,
    source: Pointer<u16>,
    code: u32,
    language: u32,
    buffer: Pointer<u16>,
    size: u32,
    arguments: Pointer<c_void>,
) -> u32 {
    let wanted = Wanted { flags, code, language, arguments };
    format(&wanted, source, buffer, size).unwrap_or_else(|failure| fail(failure, 0))
}

/// The same, in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn FormatMessageA(
    flags: u32,
    source: Pointer<u8>,
    code: u32,
    language: u32,
    buffer: Pointer<u8>,
    size: u32,
    arguments: Pointer<c_void>,
) -> u32 {
    let wanted = Wanted { flags, code, language, arguments };
    format(&wanted, source, buffer, size).unwrap_or_else(|failure| fail(failure, 0))
}

struct Wanted {
    flags: u32,
    code: u32,
    language: u32,
    arguments: Pointer<c_void>,
}

impl Wanted {
    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    fn definition(&self, source: impl Text) -> Result<String, Failure> {
        if self.has(FROM_STRING) {
            return if self.has(FROM_SYSTEM | FROM_HMODULE) { Err(MISSING) } else { source.text() };
        }
        if !self.has(FROM_SYSTEM | FROM_HMODULE) {
            return Err(MISSING);
        }
        if !self.has(FROM_SYSTEM) {
            return Err(Failure(abi::ERROR_RESOURCE_DATA_NOT_FOUND));
        }
        if !matches!(self.language & PRIMARY_LANGUAGE, 0 | LANG_ENGLISH) {
            return Err(Failure(abi::ERROR_RESOURCE_LANG_NOT_FOUND));
        }
        let text = system_text(self.code).ok_or(Failure(abi::ERROR_MR_MID_NOT_FOUND))?;
        Ok(text + "\r\n")
    }

    fn text(&self, source: impl Text, wide: bool) -> Result<String, Failure> {
        let definition = self.definition(source)?;
        let breaks = match self.flags & MAX_WIDTH_MASK {
            0 => Breaks::Kept,
            MAX_WIDTH_MASK => Breaks::Spaces,
            width => Breaks::At(width as usize),
        };
        let source = if self.has(IGNORE_INSERTS) {
            Source::Ignored
        } else if self.arguments.is_null() {
            Source::Missing
        } else if self.has(ARGUMENT_ARRAY) {
            Source::Array(self.arguments.cast())
        } else {
            Source::List(self.arguments.cast())
        };
        expand(&definition, breaks, &mut Arguments::new(source, wide))
    }
}

/// The system's text of a code.
fn system_text(code: u32) -> Option<String> {
    let code = if code >> 16 == 0x8007 { code & 0xFFFF } else { code };
    let mut lines = TEXTS.lines().filter_map(|line| line.split_once(' '));
    let listed = lines.find(|(number, _)| number.parse() == Ok(code)).map(|(_, text)| text.to_owned());
    listed.or_else(|| abi::win32_name(code).map(|name| format!("{name} ({code}).")))
}

fn format<T: Unit>(wanted: &Wanted, source: Pointer<T>, buffer: Pointer<T>, size: u32) -> Result<u32, Failure>
where
    Pointer<T>: Text,
{
    if buffer.is_null() {
        return Err(MISSING);
    }
    let mut text = T::of(&wanted.text(source, size_of::<T>() == 2)?);
    if text.is_empty() {
        return Err(Failure(abi::ERROR_NO_WORK_DONE));
    }
    text.push(T::ZERO);
    let target = if wanted.has(ALLOCATE_BUFFER) {
        buffer.cast::<usize>().write(0)?;
        let units = text.len().max(size as usize);
        let made = heap::allocate(units * size_of::<T>(), false);
        if made.is_null() {
            return Err(Failure(abi::ERROR_NOT_ENOUGH_MEMORY));
        }
        buffer.cast::<usize>().write(made.address())?;
        made.cast()
    } else if text.len() > size as usize {
        return Err(Failure(abi::ERROR_INSUFFICIENT_BUFFER));
    } else {
        buffer
    };
    for (index, unit) in text.iter().enumerate() {
        target.at(index).write(*unit)?;
    }
    u32::try_from(text.len() - 1).map_err(|_| MISSING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stand_in_the_order_of_their_codes_which_have_names_or_are_known() {
        let codes: Vec<u32> = TEXTS
            .lines()
            .map(|line| {
                let (code, text) = line.split_once(' ').expect("a code and a text");
                assert!(!text.is_empty() && text.trim() == text, "{line}");
                code.parse().expect("a number")
            })
            .collect();
        assert!(codes.is_sorted_by(|one, other| one < other));
    }

    #[test]
    fn an_hresult_of_a_win32_code_has_that_codes_text_and_others_have_none() {
        assert_eq!(system_text(5).as_deref(), Some("Access is denied."));
        assert_eq!(system_text(0x8007_0005), system_text(5));
        assert_eq!(system_text(0x8004_0005), None);
        assert_eq!(system_text(0xABCDEF), None);
    }
}
