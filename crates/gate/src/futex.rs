//! The words of bells as Linux has them: futexes that two processes share.

use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::futex::{self, Flags};

use crate::bell::Word;

impl Word for AtomicU32 {
    #[inline]
    fn load(&self) -> u32 {
        self.load(Ordering::Acquire)
    }

    #[inline]
    fn swap(&self, value: u32) -> u32 {
        self.swap(value, Ordering::AcqRel)
    }

    #[inline]
    fn compare_exchange(&self, current: u32, new: u32) -> Result<u32, u32> {
        self.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
    }

    fn sleep(&self, expected: u32) {
        // Every outcome means the same to the caller: look again.
        let _looked_at_again = futex::wait(self, Flags::empty(), expected, None);
    }

    fn wake(&self) {
        const EVERYBODY: u32 = i32::MAX.cast_unsigned();
        // Fails only where nothing is mapped, and the word is borrowed.
        let woken = futex::wake(self, Flags::empty(), EVERYBODY);
        debug_assert!(woken.is_ok(), "{woken:?}");
    }
}
