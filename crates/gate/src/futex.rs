//! The words of bells as Linux has them: futexes that two processes share.

use std::sync::atomic::{AtomicU32, Ordering, fence};

use rustix::thread::futex::{self, Flags};

use crate::bell::Word;

impl Word for AtomicU32 {
    #[inline]
    fn load(&self) -> u32 {
        self.load(Ordering::Acquire)
    }

    #[inline]
    fn store(&self, value: u32) {
        self.store(value, Ordering::Release);
    }

    #[inline]
    fn fence() {
        fence(Ordering::SeqCst);
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
