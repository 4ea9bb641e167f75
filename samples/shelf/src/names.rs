//! Which names a pattern fits: `*` for any units, `?` for one; and what Win32 makes of them (`<`, `>`, `"`).
//!
//! Source: ddi, FsRtlIsNameInExpression.

use driver::UnicodeStr;

fn same(unit: u16, other: u16) -> bool {
    unit == other || UnicodeStr::new(&[unit]).eq_ignore_case(&UnicodeStr::new(&[other]))
}

/// Whether `name` is one that `pattern` means. An empty pattern means all.
pub(crate) fn fits(pattern: &[u16], name: &[u16]) -> bool {
    let is = |unit: u16, signs: [u8; 2]| signs.iter().any(|sign| u16::from(*sign) == unit);
    if pattern.is_empty() {
        return true;
    }
    // Where to go on when the units behind the last star do not fit: one unit later in the name.
    let mut again: Option<(usize, usize)> = None;
    let (mut at, mut of) = (0, 0);
    loop {
        match pattern.get(at) {
            Some(&star) if is(star, *b"*<") => {
                again = Some((at + 1, of));
                at += 1;
            }
            Some(&sign) if of < name.len() => {
                let sign = if is(sign, *b"\"\"") { u16::from(b'.') } else { sign };
                if is(sign, *b"?>") || same(sign, name[of]) {
                    at += 1;
                    of += 1;
                    continue;
                }
                let Some((behind, from)) = again else { return false };
                again = Some((behind, from + 1));
                (at, of) = (behind, from + 1);
            }
            None if of == name.len() => return true,
            _ => {
                let Some((behind, from)) = again.filter(|(_, from)| *from < name.len()) else { return false };
                again = Some((behind, from + 1));
                (at, of) = (behind, from + 1);
            }
        }
    }
}
