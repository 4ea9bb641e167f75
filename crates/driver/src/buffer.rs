//! The answer's bytes: a writer over a buffer that goes back to the application.

use core::marker::PhantomData;
use core::ptr;

use crate::LockedData;

/// Writes the bytes that a request gives back, from its start on.
///
/// It counts what it wrote, and completing the request reports that count as `IoStatus.Information`. So a driver
/// cannot hand out bytes that it never wrote (the buffer's own are whatever was in pool before), nor claim more than fits.
pub struct Output<'a> {
    buffer: *mut u8,
    capacity: usize,
    written: &'a mut usize,
    borrowed: PhantomData<&'a mut [u8]>,
}

impl<'a> Output<'a> {
    /// # Safety
    ///
    /// `buffer` is null, or has `capacity` writable bytes for `'a`, of which `written`, not more than `capacity`, are written.
    pub(crate) unsafe fn new(buffer: *mut u8, capacity: usize, written: &'a mut usize) -> Self {
        // A driver above may have sent the request without memory.
        let capacity = if buffer.is_null() { 0 } else { capacity };
        Self { buffer, capacity, written, borrowed: PhantomData }
    }

    /// Bytes that the application has room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes written so far.
    #[must_use]
    pub fn written(&self) -> usize {
        *self.written
    }

    /// Bytes that still fit.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.capacity - *self.written
    }

    /// Appends as many of `bytes` as fit, and returns how many these were.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.remaining());
        let place = self.buffer.wrapping_add(*self.written);
        // SAFETY: `count` bytes fit behind what is written. `bytes` cannot lie in this buffer, which is borrowed
        // exclusively for as long as the writer lives.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place, count) };
        *self.written += count;
        count
    }

    /// Appends `count` bytes of an application's memory from `offset` on, or as many as there are and fit, without a copy in between;
    /// returns how many these were. Both may be the same memory: an application that writes to where it reads gets what it asked
    /// for.
    pub fn copy_from(&mut self, data: &LockedData<'_>, offset: usize, count: usize) -> usize {
        let count = count.min(self.remaining());
        let place = self.buffer.wrapping_add(*self.written);
        // SAFETY: `count` bytes fit behind what is written.
        let count = unsafe { data.copy_to(offset, place, count) };
        *self.written += count;
        count
    }

    /// Appends `byte`, `count` times or as often as it fits, and returns how often that was.
    pub fn fill(&mut self, byte: u8, count: usize) -> usize {
        let count = count.min(self.remaining());
        let place = self.buffer.wrapping_add(*self.written);
        // SAFETY: `count` bytes fit behind what is written.
        unsafe { ptr::write_bytes(place, byte, count) };
        *self.written += count;
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_neither_written_nor_counted() {
        let mut memory = *b"........";
        let mut written = 0;
        // SAFETY: five of the array's eight bytes.
        let mut output = unsafe { Output::new(memory.as_mut_ptr(), 5, &mut written) };
        assert_eq!(output.write(b"abc"), 3);
        assert_eq!(output.remaining(), 2);
        assert_eq!(output.write(b"defg"), 2);
        assert_eq!(output.fill(b'x', usize::MAX), 0);
        assert_eq!(output.write(b"y"), 0);
        assert_eq!(written, 5);
        assert_eq!(&memory, b"abcde...");
    }

    #[test]
    fn a_missing_buffer_takes_nothing_whatever_its_length() {
        let mut written = 0;
        // SAFETY: null.
        let mut output = unsafe { Output::new(ptr::null_mut(), 5, &mut written) };
        assert_eq!(output.capacity(), 0);
        assert_eq!(output.write(b"abc"), 0);
        assert_eq!(output.fill(0, 1), 0);
    }
}
