//! The C library's formatting into buffers.
//!
//! What the buffers get, and what is returned, differs by family as documented: `sprintf` trusts its buffer;
//! `_snprintf` fills it without a zero when the text does not fit; the `_s` functions leave it empty then, unless they
//! are told to truncate. A refused conversion, and a text beyond the engine's limit, is an error: -1.

use kernel::Outcome;

use crate::format::{Formatted, LIMIT, Text, format};
use crate::row::rows;
use crate::variadic::{Arguments, variadic_rows};

/// What C returns for an error.
const ERROR: i32 = -1;
/// `_TRUNCATE`.
const TRUNCATE: u64 = u64::MAX;

fn address_of(text: Text, buffer: u64, index: u64) -> u64 {
    buffer.wrapping_add(index.wrapping_mul(text.size()))
}

fn store(text: Text, buffer: u64, units: &[u16]) -> Outcome<()> {
    for (index, unit) in (0..).zip(units) {
        text.write(address_of(text, buffer, index), *unit)?;
    }
    Ok(())
}

fn result(formatted: &Formatted) -> i32 {
    if formatted.overflowed || formatted.refused {
        return ERROR;
    }
    i32::try_from(formatted.units.len()).unwrap_or(ERROR)
}

/// `sprintf`: the buffer is large enough, by the caller's word.
fn unbounded(text: Text, buffer: u64, template: u64, mut arguments: Arguments) -> Outcome<i32> {
    let formatted = format(text, template, &mut arguments, LIMIT)?;
    store(text, buffer, &formatted.units)?;
    text.write(address_of(text, buffer, formatted.units.len() as u64), 0)?;
    Ok(result(&formatted))
}

/// `_snprintf`: at most `count` units, with a zero only where there is room for it.
fn bounded(text: Text, buffer: u64, count: u64, template: u64, mut arguments: Arguments) -> Outcome<i32> {
    if template == 0 || buffer == 0 && count != 0 {
        return Ok(ERROR);
    }
    let limit = if buffer == 0 { LIMIT } else { usize::try_from(count).unwrap_or(LIMIT) };
    let formatted = format(text, template, &mut arguments, limit)?;
    if buffer != 0 {
        let length = formatted.units.len() as u64;
        store(text, buffer, &formatted.units)?;
        if length < count {
            text.write(address_of(text, buffer, length), 0)?;
        }
    }
    Ok(result(&formatted))
}

/// `sprintf_s` and `_snprintf_s`: at most `count` units in a buffer of `size`, always with a zero.
fn secure(
    text: Text,
    buffer: u64,
    size: u64,
    count: u64,
    template: u64,
    mut arguments: Arguments,
) -> Outcome<i32> {
    if buffer == 0 || size == 0 {
        return Ok(ERROR);
    }
    if template == 0 {
        text.write(buffer, 0)?;
        return Ok(ERROR);
    }
    let room = size - 1;
    let limit = usize::try_from(room.min(count)).unwrap_or(LIMIT);
    let formatted = format(text, template, &mut arguments, limit)?;
    // Cut on demand (to the buffer, or to a count below it), the text is what the caller wanted.
    let wanted = formatted.overflowed && (count == TRUNCATE || count <= room);
    if formatted.refused || formatted.overflowed && !wanted {
        text.write(buffer, 0)?;
        return Ok(ERROR);
    }
    store(text, buffer, &formatted.units)?;
    text.write(address_of(text, buffer, formatted.units.len() as u64), 0)?;
    Ok(result(&formatted))
}

/// The count of those that have none: whatever the buffer takes, and not cut.
const WHOLE: u64 = u64::MAX - 1;

variadic_rows! {
    dll = "ntoskrnl.exe";

    /// Formats into a buffer.
    irql(DISPATCH_LEVEL)
    fn sprintf(call, buffer: u64, template: u64; ...) -> i32 {
        unbounded(Text::Narrow, buffer, template, Arguments::of(&call, 2))
    }

    /// Formats UTF-16 into a buffer.
    irql(DISPATCH_LEVEL) alias("_swprintf")
    fn swprintf(call, buffer: u64, template: u64; ...) -> i32 {
        unbounded(Text::Wide, buffer, template, Arguments::of(&call, 2))
    }

    /// Formats into a buffer of so many characters, without a zero when it is full.
    irql(DISPATCH_LEVEL)
    fn _snprintf(call, buffer: u64, count: u64, template: u64; ...) -> i32 {
        bounded(Text::Narrow, buffer, count, template, Arguments::of(&call, 3))
    }

    /// Formats UTF-16 into a buffer of so many characters, without a zero when it is full.
    irql(DISPATCH_LEVEL)
    fn _snwprintf(call, buffer: u64, count: u64, template: u64; ...) -> i32 {
        bounded(Text::Wide, buffer, count, template, Arguments::of(&call, 3))
    }

    /// Formats into a buffer of a size; leaves it empty when the text does not fit.
    irql(DISPATCH_LEVEL)
    fn sprintf_s(call, buffer: u64, size: u64, template: u64; ...) -> i32 {
        secure(Text::Narrow, buffer, size, WHOLE, template, Arguments::of(&call, 3))
    }

    /// Formats UTF-16 into a buffer of a size; leaves it empty when the text does not fit.
    irql(DISPATCH_LEVEL)
    fn swprintf_s(call, buffer: u64, size: u64, template: u64; ...) -> i32 {
        secure(Text::Wide, buffer, size, WHOLE, template, Arguments::of(&call, 3))
    }

    /// Formats at most so many characters into a buffer of a size.
    irql(DISPATCH_LEVEL)
    fn _snprintf_s(call, buffer: u64, size: u64, count: u64, template: u64; ...) -> i32 {
        secure(Text::Narrow, buffer, size, count, template, Arguments::of(&call, 4))
    }

    /// Formats at most so many characters of UTF-16 into a buffer of a size.
    irql(DISPATCH_LEVEL)
    fn _snwprintf_s(call, buffer: u64, size: u64, count: u64, template: u64; ...) -> i32 {
        secure(Text::Wide, buffer, size, count, template, Arguments::of(&call, 4))
    }
}

rows! {
    dll = "ntoskrnl.exe";

    /// As sprintf, with the arguments in a list.
    irql(DISPATCH_LEVEL)
    fn vsprintf(call, buffer: u64, template: u64, arguments: u64) -> i32 {
        let _ = call;
        unbounded(Text::Narrow, buffer, template, Arguments::list(arguments))
    }

    /// As swprintf, with the arguments in a list.
    irql(DISPATCH_LEVEL)
    fn _vswprintf(call, buffer: u64, template: u64, arguments: u64) -> i32 {
        let _ = call;
        unbounded(Text::Wide, buffer, template, Arguments::list(arguments))
    }

    /// As _snprintf, with the arguments in a list.
    irql(DISPATCH_LEVEL)
    fn _vsnprintf(call, buffer: u64, count: u64, template: u64, arguments: u64) -> i32 {
        let _ = call;
        bounded(Text::Narrow, buffer, count, template, Arguments::list(arguments))
    }

    /// As _snwprintf, with the arguments in a list.
    irql(DISPATCH_LEVEL)
    fn _vsnwprintf(call, buffer: u64, count: u64, template: u64, arguments: u64) -> i32 {
        let _ = call;
        bounded(Text::Wide, buffer, count, template, Arguments::list(arguments))
    }

    /// As sprintf_s, with the arguments in a list.
    irql(DISPATCH_LEVEL)
    fn vsprintf_s(call, buffer: u64, size: u64, template: u64, arguments: u64) -> i32 {
        let _ = call;
        secure(Text::Narrow, buffer, size, WHOLE, template, Arguments::list(arguments))
    }

    /// As swprintf_s, with the arguments in a list.
    irql(DISPATCH_LEVEL)
    fn vswprintf_s(call, buffer: u64, size: u64, template: u64, arguments: u64) -> i32 {
        let _ = call;
        secure(Text::Wide, buffer, size, WHOLE, template, Arguments::list(arguments))
    }

    /// As _snprintf_s, with the arguments in a list.
    irql(DISPATCH_LEVEL)
    fn _vsnprintf_s(call, buffer: u64, size: u64, count: u64, template: u64, arguments: u64) -> i32 {
        let _ = call;
        secure(Text::Narrow, buffer, size, count, template, Arguments::list(arguments))
    }

    /// As _snwprintf_s, with the arguments in a list.
    irql(DISPATCH_LEVEL)
    fn _vsnwprintf_s(call, buffer: u64, size: u64, count: u64, template: u64, arguments: u64) -> i32 {
        let _ = call;
        secure(Text::Wide, buffer, size, count, template, Arguments::list(arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::scratch::Scratch;

    /// The result, and the first eight bytes of a buffer of `z`, for "%s" of "abcd".
    fn with(run: impl FnOnce(u64, u64, Arguments) -> Outcome<i32>) -> (i32, String) {
        let scratch = Scratch::new();
        let buffer = scratch.narrow(b"zzzzzzzz");
        let words = [c"abcd".as_ptr() as u64];
        let arguments = Arguments::list(words.as_ptr() as u64);
        let result = run(buffer, c"%s".as_ptr() as u64, arguments).expect("accessible");
        (result, String::from_utf8(scratch.read(buffer, 8)).expect("ASCII").replace('\0', "0"))
    }

    #[test]
    fn sprintf_writes_all_and_a_zero() {
        assert_eq!(with(|b, t, a| unbounded(Text::Narrow, b, t, a)), (4, "abcd0zzz".into()));
    }

    #[test]
    fn snprintf_ends_with_a_zero_only_below_the_count_and_is_negative_above_it() {
        assert_eq!(with(|b, t, a| bounded(Text::Narrow, b, 5, t, a)), (4, "abcd0zzz".into()));
        assert_eq!(with(|b, t, a| bounded(Text::Narrow, b, 4, t, a)), (4, "abcdzzzz".into()));
        assert_eq!(with(|b, t, a| bounded(Text::Narrow, b, 3, t, a)), (-1, "abczzzzz".into()));
        assert_eq!(with(|_, t, a| bounded(Text::Narrow, 0, 0, t, a)), (4, "zzzzzzzz".into()));
        assert_eq!(with(|_, t, a| bounded(Text::Narrow, 0, 1, t, a)), (-1, "zzzzzzzz".into()));
    }

    #[test]
    fn sprintf_s_leaves_an_empty_buffer_when_the_text_does_not_fit() {
        assert_eq!(with(|b, t, a| secure(Text::Narrow, b, 5, WHOLE, t, a)), (4, "abcd0zzz".into()));
        assert_eq!(with(|b, t, a| secure(Text::Narrow, b, 4, WHOLE, t, a)), (-1, "0zzzzzzz".into()));
        assert_eq!(with(|b, t, a| secure(Text::Narrow, b, 0, WHOLE, t, a)), (-1, "zzzzzzzz".into()));
    }

    #[test]
    fn snprintf_s_cuts_on_demand_and_always_ends_with_a_zero() {
        assert_eq!(with(|b, t, a| secure(Text::Narrow, b, 4, TRUNCATE, t, a)), (-1, "abc0zzzz".into()));
        assert_eq!(with(|b, t, a| secure(Text::Narrow, b, 8, 2, t, a)), (-1, "ab0zzzzz".into()));
        assert_eq!(with(|b, t, a| secure(Text::Narrow, b, 3, 3, t, a)), (-1, "0zzzzzzz".into()));
        assert_eq!(with(|b, t, a| secure(Text::Narrow, b, 8, 4, t, a)), (4, "abcd0zzz".into()));
    }

    #[test]
    fn wide_text_is_counted_in_characters() {
        let scratch = Scratch::new();
        let (buffer, template) = (scratch.wide("zzzz"), scratch.wide("%d"));
        let words = [123_u64];
        let arguments = Arguments::list(words.as_ptr() as u64);
        assert_eq!(bounded(Text::Wide, buffer, 3, template, arguments).expect("w"), 3);
        assert_eq!(scratch.read(buffer, 8), b"1\x002\x003\0z\0");
    }
}
