//! The notifications that nobody has fetched yet: a bounded ring, which loses nothing, since whoever fills it waits for room.

/// Notifications that fit.
pub const CAPACITY: usize = 256;

/// Numbers, first come, first served.
pub(crate) struct Ring {
    numbers: [u64; CAPACITY],
    first: usize,
    length: usize,
}

impl Ring {
    pub(crate) const fn new() -> Self {
        Self { numbers: [0; CAPACITY], first: 0, length: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds a notification; whether there was room.
    pub(crate) fn put(&mut self, number: u64) -> bool {
        let has_room = self.length < CAPACITY;
        if has_room {
            self.numbers[(self.first + self.length) % CAPACITY] = number;
            self.length += 1;
        }
        has_room
    }

    /// Takes the oldest.
    pub(crate) fn take(&mut self) -> Option<u64> {
        if self.is_empty() {
            return None;
        }
        let number = self.numbers[self.first];
        self.first = (self.first + 1) % CAPACITY;
        self.length -= 1;
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_takes_no_more_and_gives_in_the_order_of_coming() {
        let mut ring = Ring::new();
        let (mut next_in, mut next_out) = (0, 0);
        for round in 1..=CAPACITY as u64 {
            while ring.put(next_in) {
                next_in += 1;
            }
            assert_eq!(next_in - next_out, CAPACITY as u64);
            for _ in 0..round {
                assert_eq!(ring.take(), Some(next_out));
                next_out += 1;
            }
        }
        assert!(ring.is_empty() && ring.take().is_none());
    }
}
