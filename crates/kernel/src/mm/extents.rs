//! Which parts of a range of addresses are free.

use std::collections::BTreeMap;
use std::ops::Range;

/// Free ranges by their start, values are ends; neighbours are always joined.
#[derive(Debug)]
pub(super) struct Extents {
    free: BTreeMap<usize, usize>,
}

impl Extents {
    pub(super) fn new(all: Range<usize>) -> Self {
        Self { free: BTreeMap::from([(all.start, all.end)]) }
    }

    /// Takes the first free range of `length` bytes.
    pub(super) fn take(&mut self, length: usize) -> Option<usize> {
        let (&start, &end) = self.free.iter().find(|&(start, end)| end - start >= length)?;
        self.free.remove(&start);
        if start + length < end {
            self.free.insert(start + length, end);
        }
        Some(start)
    }

    /// Gives back what [`Self::take`] returned.
    pub(super) fn give(&mut self, start: usize, length: usize) {
        let (mut start, mut end) = (start, start + length);
        if let Some(after) = self.free.remove(&end) {
            end = after;
        }
        if let Some((&before, &stop)) = self.free.range(..start).next_back()
            && stop == start
        {
            start = before;
        }
        self.free.insert(start, end);
    }

    /// Free ranges.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.free.len()
    }
}
