//! Bytes in a circle: in at the back, out at the front.

use driver::abi::NTSTATUS;
use driver::{Output, PoolBox};

use crate::TAG;

/// A ring buffer in pool.
pub(crate) struct Ring {
    buffer: PoolBox<[u8]>,
    /// Where the first byte is.
    start: usize,
    length: usize,
}

impl Ring {
    pub(crate) fn new(capacity: usize) -> Result<Self, NTSTATUS> {
        Ok(Self { buffer: PoolBox::zeroed(TAG, capacity)?, start: 0, length: 0 })
    }

    pub(crate) fn capacity(&self) -> usize {
        self.buffer.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn room(&self) -> usize {
        self.capacity() - self.length
    }

    /// Appends what fits of `data`, and returns how much that was.
    pub(crate) fn push(&mut self, data: &[u8]) -> usize {
        let data = &data[..data.len().min(self.room())];
        let end = (self.start + self.length) % self.capacity();
        let (first, second) = data.split_at(data.len().min(self.capacity() - end));
        self.buffer[end..end + first.len()].copy_from_slice(first);
        self.buffer[..second.len()].copy_from_slice(second);
        self.length += data.len();
        data.len()
    }

    /// Moves what the output has room for there.
    pub(crate) fn pop(&mut self, output: &mut Output<'_>) {
        let (first, second) = self.content();
        let mut count = output.write(first);
        count += output.write(second);
        self.start = (self.start + count) % self.capacity();
        self.length -= count;
    }

    /// The same bytes in a ring of this capacity, which is not below their length.
    pub(crate) fn moved_to(&self, capacity: usize) -> Result<Self, NTSTATUS> {
        let mut ring = Self::new(capacity)?;
        let (first, second) = self.content();
        ring.push(first);
        ring.push(second);
        Ok(ring)
    }

    fn content(&self) -> (&[u8], &[u8]) {
        let first = self.length.min(self.capacity() - self.start);
        (&self.buffer[self.start..self.start + first], &self.buffer[..self.length - first])
    }
}
