//! Bytes as hexadecimal digits, both ways, and the dump that `hexdump -C` prints.

use std::fmt::Write;

/// Bytes in a line of a dump.
const WIDTH: usize = 16;

/// Two lower-case digits a byte.
pub(crate) fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes written as hexadecimal digits: `68656c6c6f`, `68 65 6c`, `0x68,0x65` …
///
/// # Errors
/// What is wrong, for the user.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for word in text.split(|character: char| character.is_ascii_whitespace() || ",:_".contains(character)) {
        let word = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")).unwrap_or(word);
        let mut values = Vec::with_capacity(word.len());
        for character in word.chars() {
            let digit = character.to_digit(16);
            let digit = digit.ok_or_else(|| format!("{character:?} is no hexadecimal digit"))?;
            values.push(u8::try_from(digit).unwrap_or_default());
        }
        if values.len() % 2 != 0 {
            return Err(format!("{word:?} has an odd number of digits; a byte has two"));
        }
        bytes.extend(values.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]));
    }
    Ok(bytes)
}

/// Lines of offset, bytes and characters; lines that repeat the one before are one `*`; the length stands last.
pub(crate) fn dump(bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut before: Option<&[u8]> = None;
    let mut repeats = false;
    for (index, row) in bytes.chunks(WIDTH).enumerate() {
        if before == Some(row) {
            if !repeats {
                lines.push("*".to_owned());
            }
            repeats = true;
            continue;
        }
        repeats = false;
        before = Some(row);
        lines.push(row_text(index * WIDTH, row));
    }
    lines.push(format!("{:08x}", bytes.len()));
    lines
}

fn row_text(offset: usize, row: &[u8]) -> String {
    let mut line = format!("{offset:08x} ");
    for index in 0..WIDTH {
        if index % 8 == 0 {
            line.push(' ');
        }
        match row.get(index) {
            Some(byte) => {
                let _infallible = write!(line, "{byte:02x} ");
            }
            None => line.push_str("   "),
        }
    }
    line.push_str(" |");
    line.extend(row.iter().map(|byte| if (0x20..0x7F).contains(byte) { char::from(*byte) } else { '.' }));
    line.push('|');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_their_digits() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(parse(&digits(&bytes)), Ok(bytes));
        assert_eq!(parse("68 65,6C:0x6c_6f"), Ok(b"hello".to_vec()));
        assert_eq!(parse(""), Ok(Vec::new()));
        assert!(parse("6").unwrap_err().contains("odd"));
        assert!(parse("6g").unwrap_err().contains("'g'"));
    }

    #[test]
    fn a_dump_looks_as_hexdump_c_prints_it() {
        assert_eq!(
            dump(b"0123456789abcdef\n\x7f"),
            [
                "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
                "00000010  0a 7f                                             |..|",
                "00000012",
            ]
        );
        assert_eq!(dump(&[0x68; 64]).len(), 3);
        assert_eq!(dump(&[0x68; 64])[1], "*");
        assert_eq!(dump(&[]), ["00000000"]);
    }
}
