//! Names: UTF-16, compared without regard to case as NT's upcase table does for single characters.

/// The upper-case form of one UTF-16 unit; units without a single-unit upper case stay as they are.
#[must_use]
pub fn upcase(unit: u16) -> u16 {
    if unit < 0x80 {
        return match u8::try_from(unit) {
            Ok(byte) => u16::from(byte.to_ascii_uppercase()),
            Err(_) => unit,
        };
    }
    let Some(character) = char::from_u32(u32::from(unit)) else { return unit };
    let mut upper = character.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(single), None) => u16::try_from(u32::from(single)).unwrap_or(unit),
        _ => unit,
    }
}

/// Whether two names are equal without regard to case.
#[must_use]
pub fn eq_ignore_case(left: &[u16], right: &[u16]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(a, b)| upcase(*a) == upcase(*b))
}

/// A name as directories, and the registry, look it up.
pub(crate) fn folded(name: &[u16]) -> Vec<u16> {
    name.iter().copied().map(upcase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn names_compare_without_regard_to_case() {
        assert!(eq_ignore_case(&wide("My_Device"), &wide("MY_dEVICE")));
        assert!(eq_ignore_case(&wide("grün"), &wide("GRÜN")));
        assert!(!eq_ignore_case(&wide("straße"), &wide("STRASSE")));
        assert!(!eq_ignore_case(&wide("a"), &wide("ab")));
    }
}
