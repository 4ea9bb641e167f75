//! Numbers and texts in a row of bytes, as requests and answers with more than a buffer carry them: numbers are
//! little-endian, a text is UTF-8 behind its length in 32 bits.

/// Appends a text.
pub(crate) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    // NT's names have at most 32767 UTF-16 units, and no sentence is as long as this.
    let length = u32::try_from(text.len()).expect("a text shorter than 4 GiB");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// Takes fields off the front of bytes that somebody else wrote. `None` where there is no whole field of the kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.u32()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}
