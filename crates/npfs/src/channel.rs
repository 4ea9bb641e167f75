//! What is under way in one direction of a pipe: bytes that were written and not read, and where messages end.

use alloc::collections::VecDeque;

use driver::abi::{NTSTATUS, STATUS_BUFFER_OVERFLOW, STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS};
use driver::{LockedData, Output};

/// Messages that wait at most, whatever their lengths: those of no bytes take no quota. (Confirm: no public text has such a limit.)
const MOST_MESSAGES: usize = 1 << 16;

/// One direction. Its owner's lock is held.
pub(crate) struct Channel {
    bytes: VecDeque<u8>,
    /// How many of the bytes are each message's; of a pipe of bytes, each stretch's between writes of no bytes.
    lengths: VecDeque<u32>,
    quota: usize,
    has_messages: bool,
    /// Reads may be waiting for this.
    pub(crate) waiting: bool,
    /// Writes may be waiting for room.
    pub(crate) stalled: bool,
    /// Flushes may be waiting for the end.
    pub(crate) flushing: bool,
    /// A write of which a part is taken is on its way back to the front of its queue: no other goes before it.
    pub(crate) in_transit: bool,
}

impl Channel {
    pub(crate) fn new(quota: u32, has_messages: bool) -> Self {
        Self {
            bytes: VecDeque::new(),
            lengths: VecDeque::new(),
            quota: quota as usize,
            has_messages,
            waiting: false,
            stalled: false,
            flushing: false,
            in_transit: false,
        }
    }

    /// Whether there is nothing to read, not even a message of no bytes.
    pub(crate) fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Bytes to read.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Messages to read; of a pipe of bytes, stretches.
    pub(crate) fn messages(&self) -> usize {
        self.lengths.len()
    }

    /// What is left of the first message.
    pub(crate) fn first(&self) -> usize {
        self.lengths.front().map_or(0, |length| *length as usize)
    }

    /// Bytes that may be written ahead when nothing is under way.
    pub(crate) fn quota(&self) -> usize {
        self.quota
    }

    /// Bytes that may be written ahead now.
    pub(crate) fn room(&self) -> usize {
        self.quota.saturating_sub(self.bytes.len())
    }

    pub(crate) fn fits(&self, length: usize) -> bool {
        length <= self.room() && self.lengths.len() < MOST_MESSAGES
    }

    pub(crate) fn clear(&mut self) {
        self.bytes = VecDeque::new();
        self.lengths = VecDeque::new();
    }

    /// Appends `length` bytes of `data` from `offset` on, as a message, or the rest of one. Nothing is appended where that fails.
    pub(crate) fn push(
        &mut self,
        data: &LockedData<'_>,
        offset: usize,
        length: usize,
    ) -> Result<(), NTSTATUS> {
        let no_memory = |_| STATUS_INSUFFICIENT_RESOURCES;
        self.lengths.try_reserve(1).map_err(no_memory)?;
        self.bytes.try_reserve(length).map_err(no_memory)?;
        let old = self.bytes.len();
        self.bytes.resize(old + length, 0);
        let (front, back) = self.bytes.as_mut_slices();
        let at = front.len();
        if old < at {
            let count = data.read(offset, &mut front[old..]);
            data.read(offset + count, back);
        } else {
            data.read(offset, &mut back[old - at..]);
        }
        // Lengths are requests' and so fit.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        match self.lengths.back_mut() {
            Some(last) if !self.has_messages && *last > 0 && length > 0 => match last.checked_add(length) {
                Some(sum) => *last = sum,
                None => self.lengths.push_back(length),
            },
            _ => self.lengths.push_back(length),
        }
        Ok(())
    }

    /// Moves what a read gets to its output: the first message, or as much of it as there is room for, which the status tells;
    /// without `as_messages` as many bytes as there are. A write of no bytes ends a read of its own.
    pub(crate) fn pop(&mut self, output: &mut Output<'_>, as_messages: bool) -> NTSTATUS {
        let room = output.remaining();
        let (mut taken, mut is_cut) = (0, false);
        while let Some(first) = self.lengths.front_mut() {
            let length = *first as usize;
            if length == 0 && taken > 0 {
                break;
            }
            let count = length.min(room - taken);
            taken += count;
            if count < length {
                *first -= u32::try_from(count).unwrap_or(0);
                is_cut = as_messages;
                break;
            }
            self.lengths.pop_front();
            if as_messages || length == 0 {
                break;
            }
        }
        self.show(output, taken);
        self.bytes.drain(..taken);
        if is_cut { STATUS_BUFFER_OVERFLOW } else { STATUS_SUCCESS }
    }

    /// Copies the first `count` bytes, as many as there are and fit.
    pub(crate) fn show(&self, output: &mut Output<'_>, count: usize) {
        let (front, back) = self.bytes.as_slices();
        let first = count.min(front.len());
        output.write(&front[..first]);
        output.write(&back[..(count - first).min(back.len())]);
    }
}
