//! Strings of the application: UTF-16 for the functions that end in W; for those that end in A UTF-8, which is this code page.

use crate::failure::{Failure, MISSING};
use crate::pointer::Pointer;

/// The longest string that is read, in units; what Windows takes.
const LONGEST: usize = 32_767;

const TOO_LONG: Failure = Failure(abi::ERROR_INVALID_NAME);

/// A string that ends with a zero.
pub(crate) trait Text: Copy {
    /// As Rust has it; what is not well formed is replaced.
    fn text(self) -> Result<String, Failure>;

    /// `None` for NULL.
    fn text_if_there(self) -> Result<Option<String>, Failure>;
}

fn units<T: Copy + PartialEq + Default>(pointer: Pointer<T>) -> Result<Vec<T>, Failure> {
    if pointer.is_null() {
        return Err(MISSING);
    }
    let mut units = Vec::new();
    loop {
        let unit = pointer.at(units.len()).read()?;
        if unit == T::default() {
            return Ok(units);
        }
        if units.len() == LONGEST {
            return Err(TOO_LONG);
        }
        units.push(unit);
    }
}

impl Text for Pointer<u16> {
    fn text(self) -> Result<String, Failure> {
        units(self).map(|units| String::from_utf16_lossy(&units))
    }

    fn text_if_there(self) -> Result<Option<String>, Failure> {
        if self.is_null() { Ok(None) } else { self.text().map(Some) }
    }
}

impl Text for Pointer<u8> {
    fn text(self) -> Result<String, Failure> {
        units(self).map(|units| String::from_utf8_lossy(&units).into_owned())
    }

    fn text_if_there(self) -> Result<Option<String>, Failure> {
        if self.is_null() { Ok(None) } else { self.text().map(Some) }
    }
}

/// A unit that answers are made of.
pub(crate) trait Unit: Copy {
    /// `text` in these units, without a zero.
    fn of(text: &str) -> Vec<Self>;
    /// What ends strings.
    const ZERO: Self;
}

impl Unit for u16 {
    fn of(text: &str) -> Vec<Self> {
        text.encode_utf16().collect()
    }

    const ZERO: Self = 0;
}

impl Unit for u8 {
    fn of(text: &str) -> Vec<Self> {
        text.as_bytes().to_vec()
    }

    const ZERO: Self = 0;
}
