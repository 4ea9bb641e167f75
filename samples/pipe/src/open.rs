//! What belongs to one open: the instance context.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use driver::abi::{FILE_APPEND_DATA, FILE_READ_DATA, FILE_WRITE_DATA, NTSTATUS, STATUS_INVALID_PARAMETER};

/// What an open's requests do when they can do nothing at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Mode {
    /// They end with fewer bytes, or none.
    NonBlocking = 0,
    /// They wait.
    Blocking = 1,
}

/// An open of a pipe.
pub(crate) struct Open {
    may_read: bool,
    may_write: bool,
    mode: AtomicU32,
    /// Whether it counts as the pipe's reader and writer no more. Changes under the pipe's mutex.
    left: AtomicBool,
    /// Bytes that its requests have read and written so far.
    read: AtomicU64,
    written: AtomicU64,
}

impl Open {
    /// Of a handle with this access.
    pub(crate) fn new(access: u32) -> Self {
        Self {
            may_read: access & FILE_READ_DATA != 0,
            may_write: access & (FILE_WRITE_DATA | FILE_APPEND_DATA) != 0,
            mode: AtomicU32::new(Mode::NonBlocking as u32),
            left: AtomicBool::new(false),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
        }
    }

    pub(crate) fn may_read(&self) -> bool {
        self.may_read
    }

    pub(crate) fn may_write(&self) -> bool {
        self.may_write
    }

    pub(crate) fn mode(&self) -> Mode {
        if self.mode.load(Ordering::Relaxed) == Mode::Blocking as u32 {
            Mode::Blocking
        } else {
            Mode::NonBlocking
        }
    }

    /// For requests that begin from now on.
    pub(crate) fn set_mode(&self, mode: u32) -> Result<(), NTSTATUS> {
        if mode > Mode::Blocking as u32 {
            return Err(STATUS_INVALID_PARAMETER);
        }
        self.mode.store(mode, Ordering::Relaxed);
        Ok(())
    }

    /// It has read so many bytes more.
    pub(crate) fn has_read(&self, count: usize) {
        self.read.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// It has written so many bytes more.
    pub(crate) fn has_written(&self, count: usize) {
        self.written.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Bytes that it has read and written.
    pub(crate) fn position(&self) -> [u64; 2] {
        [&self.read, &self.written].map(|count| count.load(Ordering::Relaxed))
    }

    /// Whether this is the first time.
    pub(crate) fn leave(&self) -> bool {
        !self.left.swap(true, Ordering::Relaxed)
    }
}
