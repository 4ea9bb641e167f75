//! Buffers that application and host share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use abi::{NTSTATUS, STATUS_ACCESS_VIOLATION, STATUS_INVALID_BUFFER_SIZE};
use platform::pages::PAGE_SIZE;
use rustix::mm::{Advice, madvise};

use super::threads::Link;
use super::{Client, at};
use crate::transport::{Handle, IoStatus, SharedMemory};
use crate::wire::{Reply, Request, operation};

/// Bytes in the session's data area, at the same address in the host.
///
/// A driver may keep writing here, so this hands out copies and addresses; [`Self::bytes`] and [`Self::bytes_mut`] are
/// for callers who know that no driver does, and for passing to a call, which then copies nothing.
/// [`Client::read_in_place`] and its like do the same without `unsafe`. A forked child has no such bytes.
pub struct Buffer {
    link: Arc<Link>,
    offset: u64,
    length: usize,
}

impl Buffer {
    pub(super) fn new(link: &Arc<Link>, length: usize) -> Option<Self> {
        let offset = link.extents().take(rounded(length)?)?;
        Some(Self { link: Arc::clone(link), offset, length })
    }

    /// Where it starts, in both processes.
    pub fn address(&self) -> u64 {
        self.link.window.base() + self.offset
    }

    /// Its first byte.
    pub fn as_ptr(&self) -> *mut u8 {
        self.link.window.pointer(self.offset)
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Fills `target` from the bytes at `start`.
    ///
    /// # Panics
    /// If they are not all inside the buffer, and in a forked child.
    pub fn read(&self, start: usize, target: &mut [u8]) {
        let source = self.part(start, target.len());
        // SAFETY: inside the buffer, which is mapped; bytes are valid whatever a driver writes meanwhile.
        unsafe { std::ptr::copy_nonoverlapping(source, target.as_mut_ptr(), target.len()) };
    }

    /// Overwrites the bytes at `start`.
    ///
    /// # Panics
    /// If they are not all inside the buffer, and in a forked child.
    pub fn write(&mut self, start: usize, source: &[u8]) {
        let target = self.part(start, source.len());
        // SAFETY: inside the buffer, which is mapped and belongs to `self`.
        unsafe { std::ptr::copy_nonoverlapping(source.as_ptr(), target, source.len()) };
    }

    /// The bytes in place.
    ///
    /// # Safety
    /// While the slice lives, no driver writes to them. This is the process that connected.
    pub unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: mapped as long as `self`; unchanged, as promised by the caller.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.length) }
    }

    /// The bytes in place.
    ///
    /// # Safety
    /// While the slice lives, no driver reads or writes them, except during a call that the slice is passed to. This is the
    /// process that connected.
    pub unsafe fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: mapped as long as `self`, which is borrowed; left alone, as promised by the caller.
        unsafe { std::slice::from_raw_parts_mut(self.as_ptr(), self.length) }
    }

    fn part(&self, start: usize, length: usize) -> *mut u8 {
        assert!(start.checked_add(length).is_some_and(|end| end <= self.length), "outside the buffer");
        assert!(self.link.life.is_of_this_process(), "a forked child has no session");
        self.as_ptr().wrapping_add(start)
    }
}

impl SharedMemory for Buffer {
    fn address(&self) -> u64 {
        Self::address(self)
    }

    fn len(&self) -> u32 {
        u32::try_from(self.length).unwrap_or(u32::MAX)
    }

    fn read(&self, start: u32, target: &mut [u8]) {
        Self::read(self, start as usize, target);
    }

    fn write(&mut self, start: u32, source: &[u8]) {
        Self::write(self, start as usize, source);
    }

    fn load(&self, start: u32) -> u32 {
        assert!(start.is_multiple_of(4), "a word lies on a multiple of four");
        let word = self.part(start as usize, 4).cast::<u32>();
        // SAFETY: inside the buffer, which is mapped and begins on a page, so that the word is aligned.
        let word = unsafe { AtomicU32::from_ptr(word) };
        word.load(Ordering::Acquire)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(length) = rounded(self.length) {
            self.link.give(self.offset, length);
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("address", &self.address()).field("length", &self.length).finish()
    }
}

fn rounded(length: usize) -> Option<u64> {
    u64::try_from(length.max(1).checked_next_multiple_of(PAGE_SIZE)?).ok()
}

/// Requests on buffers of the session's own: nothing is copied on their way, whatever the driver's method. The driver may use
/// them until the request ends, so nobody else can meanwhile. Buffers of another session are `STATUS_ACCESS_VIOLATION`.
impl Client {
    /// As [`Transport::read`](crate::Transport::read).
    pub fn read_in_place(&self, handle: Handle, buffer: &mut Buffer, offset: Option<u64>) -> IoStatus {
        let request = Request { operation: operation::READ, handle: handle.0, ..Request::default() };
        self.in_place(at(offset, request), None, Some(buffer))
    }

    /// As [`Transport::write`](crate::Transport::write).
    pub fn write_in_place(&self, handle: Handle, data: &Buffer, offset: Option<u64>) -> IoStatus {
        let request = Request { operation: operation::WRITE, handle: handle.0, ..Request::default() };
        self.in_place(at(offset, request), Some(data), None)
    }

    /// As [`Transport::device_control`](crate::Transport::device_control).
    pub fn device_control_in_place(
        &self,
        handle: Handle,
        code: u32,
        input: &Buffer,
        output: &mut Buffer,
    ) -> IoStatus {
        let request =
            Request { operation: operation::DEVICE_CONTROL, handle: handle.0, code, ..Request::default() };
        self.in_place(request, Some(input), Some(output))
    }

    fn in_place(&self, header: Request, input: Option<&Buffer>, output: Option<&Buffer>) -> IoStatus {
        let done = || {
            let (input_offset, input_length) = self.place_of(input)?;
            let (output_offset, output_length) = self.place_of(output)?;
            let request = Request { input_offset, input_length, output_offset, output_length, ..header };
            self.link.call_in_place(&request)
        };
        match done() {
            Ok(Reply { status, information, .. }) => {
                IoStatus { status: NTSTATUS::from_bits(status), information }
            }
            Err(status) => IoStatus { status, information: 0 },
        }
    }

    /// Where a buffer lies, and its length.
    fn place_of(&self, buffer: Option<&Buffer>) -> Result<(u64, u32), NTSTATUS> {
        let Some(buffer) = buffer else { return Ok((0, 0)) };
        if !Arc::ptr_eq(&buffer.link, &self.link) {
            return Err(STATUS_ACCESS_VIOLATION);
        }
        // Requests have 32 bits for a length.
        let length = u32::try_from(buffer.length).map_err(|_| STATUS_INVALID_BUFFER_SIZE)?;
        Ok((buffer.offset, length))
    }
}

impl Link {
    /// Gives a part of the data area back; its pages are freed, so that whoever gets it next finds zeroes.
    pub(super) fn give(&self, offset: u64, length: u64) {
        let Ok(bytes) = usize::try_from(length) else { return };
        if self.life.is_of_this_process() {
            // SAFETY: the range was taken from the data area by the caller, who uses it no more.
            let removed = unsafe { madvise(self.window.pointer(offset).cast(), bytes, Advice::LinuxRemove) };
            debug_assert!(removed.is_ok(), "{removed:?}");
            self.extents().give(offset, length);
        }
    }
}
