//! Bytes that C drivers and tests both know how to make and sum up.

/// The drivers' checksum.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u64 {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3);
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, step)
}

/// The drivers' pattern.
#[must_use]
pub fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let byte = |index: u64| seed.wrapping_add(index * 31).wrapping_add(index >> 8).to_le_bytes()[0];
    (0..length as u64).map(byte).collect()
}
