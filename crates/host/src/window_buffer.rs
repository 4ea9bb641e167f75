//! Memory of an embedded application that drivers can reach without a copy.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use abi::NTSTATUS;
use gate::SharedMemory;
use kernel::mm::{UserBuffer, UserSpace};
use kernel::raw::{self, InputBuffer, OutputBuffer};

/// Bytes in the window of an embedded process, at an address that drivers can use. A driver may change them at any time,
/// so what is read is a copy.
///
/// When it is dropped while an MDL locks its pages, they stay until they are unlocked.
#[derive(Debug)]
pub struct WindowBuffer {
    buffer: UserBuffer,
}

impl WindowBuffer {
    pub(crate) fn new(space: &Arc<UserSpace>, length: u32) -> Result<Self, NTSTATUS> {
        Ok(Self { buffer: UserBuffer::new(space, length)? })
    }

    /// Where it starts, for the application and for drivers.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.buffer.address()
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.buffer.len()
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// A copy of the bytes `part`.
    ///
    /// # Panics
    /// If they are not all inside the buffer.
    #[must_use]
    pub fn read(&self, part: Range<u32>) -> Vec<u8> {
        let (address, length) = self.place(&part);
        let mut bytes = vec![0; length as usize];
        raw::copy_from(&mut bytes, address).expect("the buffer's pages are there as long as it is");
        bytes
    }

    /// Overwrites the bytes from `start` on.
    ///
    /// # Panics
    /// If they are not all inside the buffer.
    pub fn write(&mut self, start: u32, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).expect("inside the buffer");
        let (address, _) = self.place(&(start..start.saturating_add(length)));
        raw::copy_to(address, bytes).expect("the buffer's pages are there as long as it is");
    }

    /// The bytes `part`, for a request that takes data from them.
    ///
    /// # Panics
    /// If they are not all inside the buffer.
    #[must_use]
    pub fn input(&self, part: Range<u32>) -> InputBuffer<'_> {
        let (address, length) = self.place(&part);
        InputBuffer::in_window(address, length).expect("the buffer lies in a window")
    }

    /// The bytes `part`, for a request that puts data into them.
    ///
    /// # Panics
    /// If they are not all inside the buffer.
    #[must_use]
    pub fn output(&mut self, part: Range<u32>) -> OutputBuffer<'_> {
        let (address, length) = self.place(&part);
        OutputBuffer::in_window(address, length).expect("the buffer lies in a window")
    }

    fn place(&self, part: &Range<u32>) -> (u64, u32) {
        assert!(part.start <= part.end && part.end <= self.len(), "{part:?} is outside the buffer");
        (self.address() + u64::from(part.start), part.end - part.start)
    }
}

impl SharedMemory for WindowBuffer {
    fn address(&self) -> u64 {
        Self::address(self)
    }

    fn len(&self) -> u32 {
        Self::len(self)
    }

    fn read(&self, start: u32, target: &mut [u8]) {
        let length = u32::try_from(target.len()).expect("inside the buffer");
        let (address, _) = self.place(&(start..start.saturating_add(length)));
        raw::copy_from(target, address).expect("the buffer's pages are there as long as it is");
    }

    fn write(&mut self, start: u32, source: &[u8]) {
        Self::write(self, start, source);
    }

    fn load(&self, start: u32) -> u32 {
        assert!(start.is_multiple_of(4), "a word lies on a multiple of four");
        let (address, _) = self.place(&(start..start.saturating_add(4)));
        let word = raw::read(address).expect("the buffer's pages are there as long as it is");
        fence(Ordering::Acquire);
        word
    }
}
