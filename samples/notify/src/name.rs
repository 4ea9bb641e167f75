//! The names of the driver's events: `\BaseNamedObjects\Notify-` and the open's number.

use driver::UnicodeStr;

const DIRECTORY: &[u8] = br"\BaseNamedObjects\";
const PREFIX: &[u8] = b"Notify-";
/// Decimal digits of the longest number.
const DIGITS: usize = 10;
const LENGTH: usize = DIRECTORY.len() + PREFIX.len() + DIGITS;

pub(crate) struct EventName {
    units: [u16; LENGTH],
    length: usize,
}

impl EventName {
    pub(crate) fn new(number: u32) -> Self {
        let mut digits = [0; DIGITS];
        let mut first = DIGITS;
        let mut rest = number;
        loop {
            first -= 1;
            digits[first] = b"0123456789"[(rest % 10) as usize];
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let mut this = Self { units: [0; LENGTH], length: 0 };
        for character in [DIRECTORY, PREFIX, &digits[first..]].into_iter().flatten() {
            this.units[this.length] = u16::from(*character);
            this.length += 1;
        }
        this
    }

    /// For the driver.
    pub(crate) fn path(&self) -> UnicodeStr<'_> {
        UnicodeStr::new(&self.units[..self.length])
    }

    /// For applications, behind `Global\`.
    pub(crate) fn units(&self) -> &[u16] {
        &self.units[DIRECTORY.len()..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_open_has_its_own_name() {
        for (number, name) in [(0, "Notify-0"), (10, "Notify-10"), (u32::MAX, "Notify-4294967295")] {
            let made = EventName::new(number);
            assert_eq!(String::from_utf16_lossy(made.units()), name);
            assert_eq!(made.path().to_string(), format!(r"\BaseNamedObjects\{name}"));
        }
    }
}
