//! A request's bytes where they lie, in the system buffer or in the application's locked memory: as a filter sees them, and
//! for `locked`.

use core::marker::PhantomData;
use core::ptr;

/// Bytes that a filter reads and changes where they lie. An application can change locked memory at any time, so this gives
/// copies of bytes and never a slice.
pub struct Bytes<'a> {
    address: *mut u8,
    length: usize,
    borrowed: PhantomData<&'a [u8]>,
}

impl Bytes<'_> {
    /// # Safety
    ///
    /// `address` is null, or `length` bytes there can be read for `'a`, and written if anybody does that with this, and nobody
    /// has a reference to them.
    pub(crate) unsafe fn new(address: *mut u8, length: usize) -> Self {
        let length = if address.is_null() { 0 } else { length };
        Self { address, length, borrowed: PhantomData }
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Fills the front of `target` with the bytes from `offset` on, as many as there are; returns how many these were.
    pub fn read(&self, offset: usize, target: &mut [u8]) -> usize {
        let count = target.len().min(self.length.saturating_sub(offset));
        if count != 0 {
            // SAFETY: `count` bytes from `offset` on are readable; `target` is the driver's, and so no part of them.
            unsafe {
                ptr::copy_nonoverlapping(self.address.wrapping_add(offset), target.as_mut_ptr(), count)
            };
        }
        count
    }

    /// # Safety
    ///
    /// `count` bytes at `target` can be written, and nobody has a reference to them.
    pub(crate) unsafe fn copy_to(&self, offset: usize, target: *mut u8, count: usize) -> usize {
        let count = count.min(self.length.saturating_sub(offset));
        if count != 0 {
            // SAFETY: `count` bytes from `offset` on are readable, and the target's writable. They may overlap.
            unsafe { ptr::copy(self.address.wrapping_add(offset), target, count) };
        }
        count
    }

    /// The first of the bytes, if there is one.
    #[must_use]
    pub fn first(&self) -> Option<u8> {
        let mut byte = [0];
        (self.read(0, &mut byte) == 1).then_some(byte[0])
    }

    /// Replaces the bytes from `offset` on with those of `source`, as many as there are; returns how many these were.
    pub(crate) fn write(&self, offset: usize, source: &[u8]) -> usize {
        let count = source.len().min(self.length.saturating_sub(offset));
        if count != 0 {
            // SAFETY: `count` bytes from `offset` on are writable; `source` is the driver's, and so no part of them.
            unsafe { ptr::copy_nonoverlapping(source.as_ptr(), self.address.wrapping_add(offset), count) };
        }
        count
    }

    /// Replaces each byte by what `change` makes of it.
    pub fn change(&self, mut change: impl FnMut(u8) -> u8) {
        for at in 0..self.length {
            let place = self.address.wrapping_add(at);
            // SAFETY: within the length; volatile, since an application may write there.
            let byte = unsafe { place.read_volatile() };
            // SAFETY: as above.
            unsafe { place.write_volatile(change(byte)) };
        }
    }
}
