//! The bytes that are sent, and what both sides find out about them.

/// An endless row of numbers of eight bytes, the same for the same seed.
pub struct Pattern(u64);

impl Pattern {
    /// From its start.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Fills `bytes`, a multiple of eight, with the next numbers, little-endian.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        let (words, _) = bytes.as_chunks_mut::<8>();
        for word in words {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            *word = self.0.to_le_bytes();
        }
    }
}

/// Adds the numbers of `bytes`, a multiple of eight, to a checksum that begins with 0. Their order counts.
#[must_use]
pub fn checksum(sum: u64, bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().fold(sum, |sum, word| (sum.rotate_left(7) ^ u64::from_le_bytes(*word)).wrapping_add(1))
}
