//! `Buffer`: memory that a request may use while it goes on.

use crate::error::Win32Error;
use crate::sys::{Bytes, Memory, OVERLAPPED_SIZE, Transport};

/// Where `Internal` and `InternalHigh` are in an OVERLAPPED, and `Status` and `Information` in an IO_STATUS_BLOCK.
const STATUS: u32 = 0;
const INFORMATION: u32 = 8;

/// Bytes that drivers reach at the application's own address: overlapped requests take one and give it back when they have
/// ended. Direct and neither I/O with it copies nothing.
///
/// What a driver writes may come at any time while a request goes on, so what is read here is a copy.
#[derive(Debug)]
pub struct Buffer {
    memory: Memory,
    length: u32,
}

impl Buffer {
    /// Zeroed memory of `length` bytes, beginning on a page.
    ///
    /// # Errors
    /// ERROR_NO_SYSTEM_RESOURCES (1450).
    pub fn new(transport: &dyn Transport, length: u32) -> Result<Self, Win32Error> {
        let place = length.checked_next_multiple_of(OVERLAPPED_SIZE);
        let total = place.and_then(|place| place.checked_add(OVERLAPPED_SIZE));
        let refused = || Win32Error::new("VirtualAlloc", "", abi::STATUS_INSUFFICIENT_RESOURCES);
        Ok(Self { memory: Memory::new(transport, total.ok_or_else(refused)?)?, length })
    }

    /// As [`Self::new`], with a copy of `bytes` in it.
    ///
    /// # Errors
    /// As for [`Self::new`]; for 4 GiB and more too.
    pub fn from_bytes(transport: &dyn Transport, bytes: &[u8]) -> Result<Self, Win32Error> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut buffer = Self::new(transport, length)?;
        buffer.write(0, bytes);
        Ok(buffer)
    }

    /// Where it starts, for the application and for drivers.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.memory.address()
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.length
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Fills `target` from the bytes at `start`.
    ///
    /// # Panics
    /// If they are not all inside the buffer.
    pub fn read(&self, start: u32, target: &mut [u8]) {
        self.check(start, target.len());
        self.memory.read(start, target);
    }

    /// Overwrites the bytes at `start`.
    ///
    /// # Panics
    /// If they are not all inside the buffer.
    pub fn write(&mut self, start: u32, source: &[u8]) {
        self.check(start, source.len());
        self.memory.write(start, source);
    }

    /// A copy of the first `length` bytes, of all if there are fewer.
    #[must_use]
    pub fn to_vec(&self, length: u32) -> Vec<u8> {
        let mut bytes = vec![0; length.min(self.length) as usize];
        self.memory.read(0, &mut bytes);
        bytes
    }

    fn check(&self, start: u32, length: usize) {
        let fits = (start as usize).checked_add(length).is_some_and(|end| end <= self.length as usize);
        assert!(fits, "{length} bytes at {start} are outside of a buffer of {}", self.length);
    }

    pub(crate) fn bytes(&self) -> Bytes {
        Bytes { address: self.memory.address(), length: self.length }
    }

    fn overlapped_start(&self) -> u32 {
        self.memory.len() - OVERLAPPED_SIZE
    }

    /// Address of the OVERLAPPED behind the bytes.
    pub(crate) fn overlapped(&self) -> u64 {
        self.memory.address() + u64::from(self.overlapped_start())
    }

    pub(crate) fn set_pending(&mut self) {
        let mut overlapped = [0; OVERLAPPED_SIZE as usize];
        overlapped[..4].copy_from_slice(&abi::STATUS_PENDING.bits().to_le_bytes());
        self.memory.write(self.overlapped_start(), &overlapped);
    }

    pub(crate) fn status(&self) -> abi::NTSTATUS {
        abi::NTSTATUS::from_bits(self.memory.load(self.overlapped_start() + STATUS))
    }

    /// To be read when [`Self::status`] is not STATUS_PENDING.
    pub(crate) fn information(&self) -> u64 {
        let mut word = [0; 8];
        self.memory.read(self.overlapped_start() + INFORMATION, &mut word);
        u64::from_le_bytes(word)
    }
}
