//! Pool memory of a machine, for tests of rows: what driver code would pass.

use std::sync::Arc;

use kernel::mm::PoolOwner;
use kernel::raw::{self, UnicodeString};
use kernel::{Configuration, Kernel};

/// A machine whose pool tests take memory from.
pub(super) struct Scratch {
    pub(super) kernel: Arc<Kernel>,
}

impl Scratch {
    pub(super) fn new() -> Self {
        platform::fault::install().expect("handlers");
        let platform = Arc::new(platform::Linux::new());
        Self { kernel: Kernel::new(platform, Configuration::default()).expect("a machine") }
    }

    /// Zeroed memory.
    pub(super) fn bytes(&self, size: usize) -> u64 {
        let tag = u32::from_le_bytes(*b"Test");
        self.kernel.mm.pool.allocate_zeroed(size, tag, PoolOwner::default()).expect("memory").address
    }

    /// A copy of `text` that a zero ends.
    pub(super) fn narrow(&self, text: &[u8]) -> u64 {
        let address = self.bytes(text.len() + 1);
        raw::copy_to(address, text).expect("pool");
        address
    }

    /// A copy of `text` in UTF-16 that a zero ends.
    pub(super) fn wide(&self, text: &str) -> u64 {
        let units: Vec<u16> = text.encode_utf16().collect();
        let address = self.bytes(units.len() * 2 + 2);
        raw::copy_wide(address, &units).expect("pool");
        address
    }

    /// A UNICODE_STRING with this text and maximum length in bytes.
    pub(super) fn string(&self, text: &str, maximum: u16) -> u64 {
        let units: Vec<u16> = text.encode_utf16().collect();
        let buffer = self.bytes(usize::from(maximum).max(1));
        raw::copy_wide(buffer, &units).expect("pool");
        let address = self.bytes(16);
        let length = u16::try_from(units.len() * 2).expect("short");
        UnicodeString::at(address).set(length, maximum, buffer).expect("pool");
        address
    }

    /// An ANSI_STRING with these characters and maximum length in bytes.
    pub(super) fn ansi(&self, text: &[u8], maximum: u16) -> u64 {
        let buffer = self.bytes(usize::from(maximum).max(1));
        raw::copy_to(buffer, text).expect("pool");
        let address = self.bytes(16);
        let length = u16::try_from(text.len()).expect("short");
        UnicodeString::at(address).set(length, maximum, buffer).expect("pool");
        address
    }

    /// The text of a UNICODE_STRING.
    pub(super) fn text(&self, string: u64) -> String {
        String::from_utf16(&UnicodeString::at(string).to_wide().expect("readable")).expect("UTF-16")
    }

    /// `count` bytes.
    pub(super) fn read(&self, address: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        raw::copy_from(&mut bytes, address).expect("readable");
        bytes
    }
}
