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

    /// Takes the first free range of `length` bytes that begins at a multiple of `alignment`.
    pub(super) fn take_aligned(&mut self, length: usize, alignment: usize) -> Option<usize> {
        let place = |start: usize, end: usize| {
            let first = start.checked_next_multiple_of(alignment)?;
            (first.checked_add(length)? <= end).then_some(first)
        };
        let (start, end, first) =
            self.free.iter().find_map(|(&start, &end)| Some((start, end, place(start, end)?)))?;
        self.cut(start, end, first, length);
        Some(first)
    }

    /// Takes `length` bytes at `first` out of the free range from `start` to `end`.
    fn cut(&mut self, start: usize, end: usize, first: usize, length: usize) {
        self.free.remove(&start);
        if start < first {
            self.free.insert(start, first);
        }
        if first + length < end {
            self.free.insert(first + length, end);
        }
    }

    /// Takes the first free range of `length` bytes that lies inside `part`.
    pub(super) fn take_within(&mut self, part: &Range<usize>, length: usize) -> Option<usize> {
        let fits = |start: usize, end: usize| {
            let first = start.max(part.start);
            first.checked_add(length).is_some_and(|last| last <= end.min(part.end)).then_some(first)
        };
        let holds_start = self.free.range(..=part.start).next_back();
        let inside =
            self.free.range(part.start.saturating_add(1)..part.end.max(part.start.saturating_add(1)));
        let (start, end, first) = holds_start
            .into_iter()
            .chain(inside)
            .find_map(|(&start, &end)| Some((start, end, fits(start, end)?)))?;
        self.cut(start, end, first, length);
        Some(first)
    }

    /// Gives back what [`Self::take`] or [`Self::take_within`] returned.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_taken_where_it_is_free_and_joins_again() {
        let mut extents = Extents::new(0..100);
        assert_eq!(extents.take_within(&(40..60), 10), Some(40));
        assert_eq!(extents.take_within(&(40..60), 10), Some(50));
        assert_eq!(extents.take_within(&(40..60), 1), None);
        assert_eq!(extents.take_within(&(95..200), 6), None);
        assert_eq!(extents.take_within(&(95..200), 5), Some(95));
        assert_eq!(extents.take_within(&(20..20), 1), None);
        assert_eq!(extents.take(41), None);
        for (start, length) in [(40, 10), (95, 5), (50, 10)] {
            extents.give(start, length);
        }
        assert_eq!(extents.count(), 1);
    }
}
