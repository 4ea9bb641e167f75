//! `View`: memory that the kernel shows the application: a view of a file mapping, or what a driver has mapped for it.

use std::fmt;

use crate::error::Win32Error;
use crate::sys::{Shown, Transport};

/// Memory that others write to at the same time: drivers, and applications with views of the same mapping. What is read is a copy.
///
/// Numbers are little-endian and are read and written at once: whoever sees a number that was stored sees what was written before
/// it.
pub struct View {
    shown: Shown,
}

impl fmt::Debug for View {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, length) = (self.address(), self.len());
        formatter.debug_struct("View").field("address", &address).field("length", &length).finish()
    }
}

impl View {
    /// What a driver has mapped for this process and told it the address of (`MmMapLockedPagesSpecifyCache`, UserMode).
    ///
    /// # Errors
    /// ERROR_NOACCESS (998) when the kernel does not show the process all of it.
    pub fn of_driver(transport: &dyn Transport, address: u64, length: u64) -> Result<Self, Win32Error> {
        Shown::at(transport, address, length).map(|shown| Self { shown })
    }

    pub(crate) fn new(transport: &dyn Transport, address: u64, length: u64) -> Result<Self, Win32Error> {
        Self::of_driver(transport, address, length)
    }

    /// Where it starts: the same address for drivers that run in this process's context.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.shown.address()
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.shown.len()
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `target` from the bytes at `start`.
    ///
    /// # Errors
    /// ERROR_NOACCESS (998) when its driver has taken it away; on Windows that is an access violation of the process.
    ///
    /// # Panics
    /// If they are not all inside.
    #[inline]
    pub fn read(&self, start: u64, target: &mut [u8]) -> Result<(), Win32Error> {
        self.shown.read(start, target)
    }

    /// Overwrites the bytes at `start`.
    ///
    /// # Errors
    /// As for [`Self::read`]; also for memory that may only be read.
    ///
    /// # Panics
    /// As for [`Self::read`].
    #[inline]
    pub fn write(&self, start: u64, source: &[u8]) -> Result<(), Win32Error> {
        self.shown.write(start, source)
    }

    /// The 32-bit number at `start`, a multiple of four.
    ///
    /// # Errors
    /// As for [`Self::read`].
    ///
    /// # Panics
    /// As for [`Self::read`]; for another `start`.
    #[inline]
    pub fn load_u32(&self, start: u64) -> Result<u32, Win32Error> {
        self.shown.load_u32(start)
    }

    /// Overwrites the 32-bit number at `start`, a multiple of four.
    ///
    /// # Errors
    /// As for [`Self::write`].
    ///
    /// # Panics
    /// As for [`Self::load_u32`].
    #[inline]
    pub fn store_u32(&self, start: u64, value: u32) -> Result<(), Win32Error> {
        self.shown.store_u32(start, value)
    }

    /// The 64-bit number at `start`, a multiple of eight.
    ///
    /// # Errors
    /// As for [`Self::read`].
    ///
    /// # Panics
    /// As for [`Self::load_u32`].
    #[inline]
    pub fn load_u64(&self, start: u64) -> Result<u64, Win32Error> {
        self.shown.load_u64(start)
    }

    /// Overwrites the 64-bit number at `start`, a multiple of eight.
    ///
    /// # Errors
    /// As for [`Self::write`].
    ///
    /// # Panics
    /// As for [`Self::load_u32`].
    #[inline]
    pub fn store_u64(&self, start: u64, value: u64) -> Result<(), Win32Error> {
        self.shown.store_u64(start, value)
    }
}

impl ring::Memory for View {
    type Error = Win32Error;

    fn len(&self) -> usize {
        usize::try_from(View::len(self)).unwrap_or(usize::MAX)
    }

    #[inline]
    fn read(&self, start: usize, target: &mut [u8]) -> Result<(), Win32Error> {
        View::read(self, start as u64, target)
    }

    #[inline]
    fn write(&self, start: usize, source: &[u8]) -> Result<(), Win32Error> {
        View::write(self, start as u64, source)
    }

    #[inline]
    fn load(&self, start: usize) -> Result<u64, Win32Error> {
        self.load_u64(start as u64)
    }

    #[inline]
    fn store(&self, start: usize, value: u64) -> Result<(), Win32Error> {
        self.store_u64(start as u64, value)
    }
}
