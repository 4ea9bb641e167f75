//! Which parts of the data area are free. Kept by the application alone; the host never looks at it.

use std::collections::BTreeMap;
use std::ops::Range;

/// Free ranges by their start; neighbours are always joined.
#[derive(Debug)]
pub(super) struct Extents {
    free: BTreeMap<u64, u64>,
}

impl Extents {
    pub(super) fn new(all: Range<u64>) -> Self {
        Self { free: BTreeMap::from([(all.start, all.end)]) }
    }

    /// Takes the first free range of `length` bytes.
    pub(super) fn take(&mut self, length: u64) -> Option<u64> {
        let (&start, &end) = self.free.iter().find(|&(start, end)| end - start >= length)?;
        self.free.remove(&start);
        if end - start > length {
            self.free.insert(start + length, end);
        }
        Some(start)
    }

    /// Gives back what [`Self::take`] returned.
    pub(super) fn give(&mut self, start: u64, length: u64) {
        let (mut start, mut end) = (start, start + length);
        if let Some((&before, &stop)) = self.free.range(..start).next_back()
            && stop == start
        {
            start = before;
        }
        if let Some(stop) = self.free.remove(&end) {
            end = stop;
        }
        self.free.insert(start, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_in_any_order_becomes_one_range_again() {
        let mut extents = Extents::new(100..400);
        let parts = [extents.take(100), extents.take(50), extents.take(150)].map(Option::unwrap);
        assert_eq!(parts, [100, 200, 250]);
        assert_eq!(extents.take(1), None);
        extents.give(200, 50);
        assert_eq!(extents.take(51), None);
        extents.give(250, 150);
        extents.give(100, 100);
        assert_eq!(extents.free, BTreeMap::from([(100, 400)]));
    }
}
