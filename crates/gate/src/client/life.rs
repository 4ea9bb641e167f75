//! One word that says whether the session lives, and that reads zero in a forked child.

use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use platform::pages::PAGE_SIZE;
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// A page that Linux wipes in children, so that one load answers both questions before each call.
#[derive(Debug)]
pub(crate) struct Life {
    page: *mut AtomicU32,
}

// SAFETY: the pointer is to atomics that belong to this value alone.
unsafe impl Send for Life {}
// SAFETY: as above.
unsafe impl Sync for Life {}

impl Life {
    /// Alive, in this process.
    pub(super) fn new() -> Result<Self, Errno> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: no address is asked for, so no existing mapping changes.
        let page = unsafe { mmap_anonymous(ptr::null_mut(), PAGE_SIZE, protection, MapFlags::PRIVATE)? };
        let life = Self { page: page.cast() };
        // SAFETY: the page was mapped above; in a child its words become zero, which is valid for atomics.
        unsafe { madvise(page, PAGE_SIZE, Advice::LinuxWipeOnFork)? };
        life.word(0).store(1, Ordering::Relaxed);
        life.word(1).store(1, Ordering::Relaxed);
        Ok(life)
    }

    /// Whether the session lives and belongs to this process.
    #[inline]
    pub(super) fn is_alive(&self) -> bool {
        self.word(0).load(Ordering::SeqCst) != 0
    }

    /// Whether this is the process that connected, however the session is.
    pub(super) fn is_of_this_process(&self) -> bool {
        self.word(1).load(Ordering::Relaxed) != 0
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        self.word(0).store(0, Ordering::SeqCst);
    }

    #[inline]
    fn word(&self, index: usize) -> &AtomicU32 {
        assert!(index < 2);
        let place = self.page.wrapping_add(index);
        // SAFETY: inside the page, aligned, mapped as long as `self`.
        unsafe { &*place }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nobody borrows from `self` any more.
        let result = unsafe { munmap(self.page.cast(), PAGE_SIZE) };
        debug_assert!(result.is_ok(), "{result:?}");
    }
}
