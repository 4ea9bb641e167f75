//! The registry of images: which address ranges hold driver code, and whose.
//!
//! Readable from a signal handler: fixed slots, atomics, no locks. What is inside an image is the loader's matter.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// Images that all machines of the process can hold at once.
pub const CAPACITY: usize = 4096;

struct Slot {
    /// First byte; 0 while the slot is free, 1 while it is being filled.
    start: AtomicUsize,
    end: AtomicUsize,
    cookie: AtomicUsize,
}

const FREE: usize = 0;
const FILLING: usize = 1;

static SLOTS: [Slot; CAPACITY] =
    [const { Slot { start: AtomicUsize::new(FREE), end: AtomicUsize::new(0), cookie: AtomicUsize::new(0) } };
        CAPACITY];

/// Slots ever used: the scan stops there.
static HIGH_WATER: AtomicUsize = AtomicUsize::new(0);

/// A registered image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageRange {
    /// Address of its first byte.
    pub start: usize,
    /// Address after its last byte.
    pub end: usize,
    /// What the registrant gave: the loader's own record of the image.
    pub cookie: usize,
}

/// Keeps an image registered until dropped.
#[derive(Debug)]
pub struct Registration {
    slot: usize,
}

/// Registers `range` as driver code.
///
/// # Errors
/// When [`CAPACITY`] images are registered already, or the range is empty.
pub fn register(range: Range<usize>, cookie: usize) -> io::Result<Registration> {
    if range.start <= FILLING || range.end <= range.start {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an image must have a size"));
    }
    for (index, slot) in SLOTS.iter().enumerate() {
        if slot.start.compare_exchange(FREE, FILLING, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            // Whoever reads a word from below has to find, when it looks again, that the slot was being filled.
            fence(Ordering::Release);
            slot.end.store(range.end, Ordering::Relaxed);
            slot.cookie.store(cookie, Ordering::Relaxed);
            slot.start.store(range.start, Ordering::Release);
            HIGH_WATER.fetch_max(index + 1, Ordering::Release);
            return Ok(Registration { slot: index });
        }
    }
    Err(io::Error::new(io::ErrorKind::OutOfMemory, "too many images are loaded in this process"))
}

impl Drop for Registration {
    fn drop(&mut self) {
        SLOTS[self.slot].start.store(FREE, Ordering::Release);
    }
}

/// The image that holds `address`. Async-signal-safe.
#[must_use]
pub fn find(address: usize) -> Option<ImageRange> {
    let used = HIGH_WATER.load(Ordering::Acquire);
    SLOTS[..used].iter().find_map(|slot| {
        let start = slot.start.load(Ordering::Acquire);
        let end = slot.end.load(Ordering::Relaxed);
        let cookie = slot.cookie.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        let stable = start == slot.start.load(Ordering::Relaxed);
        (start > FILLING && stable && (start..end).contains(&address)).then_some(ImageRange {
            start,
            end,
            cookie,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_found_while_it_is_registered_and_not_after() {
        let range = 0x6fff_0000_0000..0x6fff_0000_3000;
        let registration = register(range.clone(), 77).expect("a free slot");
        let found = find(range.start + 0x2fff).expect("inside");
        assert_eq!((found.start, found.end, found.cookie), (range.start, range.end, 77));
        assert_eq!(find(range.end), None);
        drop(registration);
        assert_eq!(find(range.start), None);
    }

    #[test]
    fn an_empty_image_is_refused() {
        assert!(register(0x7000..0x7000, 0).is_err());
    }
}
