//! Numbers as people write them on a command line: decimal, or hexadecimal behind `0x`.

/// Most bytes that one request transfers from or to the command line.
pub(crate) const MAX_LENGTH: u32 = 256 << 20;

/// A 32-bit number.
///
/// # Errors
/// What is wrong, for the user.
pub(crate) fn parse(text: &str) -> Result<u32, String> {
    let text = text.trim();
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let digits = digits.replace('_', "");
    if digits.starts_with(['+', '-']) {
        return Err(format!("{text:?} is no number: write it in decimal, or in hexadecimal behind 0x"));
    }
    u32::from_str_radix(&digits, radix).map_err(|_| {
        let is_hexadecimal = !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_hexdigit());
        if is_hexadecimal && digits.chars().any(|digit| digit.is_ascii_alphabetic()) && radix == 10 {
            format!("{text:?} is no decimal number; write 0x{text} if it is hexadecimal")
        } else if is_hexadecimal {
            format!("{text} does not fit into 32 bits")
        } else {
            format!("{text:?} is no number: write it in decimal, or in hexadecimal behind 0x")
        }
    })
}

/// A number of bytes.
///
/// # Errors
/// What is wrong, for the user.
pub(crate) fn length(text: &str) -> Result<u32, String> {
    let length = parse(text)?;
    if length > MAX_LENGTH {
        return Err(format!("{length} bytes are too many; {MAX_LENGTH} can be asked for at once"));
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_or_hexadecimal_and_anything_else_is_explained() {
        assert_eq!(parse("0x9C40_240F"), Ok(0x9C40_240F));
        assert_eq!(parse("4294967295"), Ok(u32::MAX));
        assert!(parse("9C40240F").unwrap_err().contains("0x9C40240F"));
        assert!(parse("0x100000000").unwrap_err().contains("32 bits"));
        for text in ["", "0x", "-1", "+1", "0x+1", "ten"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(length("0xFFFFFFFF").is_err());
    }
}
