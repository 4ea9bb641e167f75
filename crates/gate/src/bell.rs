//! A bell: one word in shared memory by which one side tells the other that a sequence number has come.
//!
//! The ringer stores the next number with one exchange; only if that finds the listener parked does it make a system
//! call. The listener looks for a while, then marks the word and sleeps on it. A lost wake-up is impossible because
//! mark and number are one word: an exchange either sees the mark, or comes first and the mark is refused.
//!
//! Whoever rings may be hostile. The worst it can do to the listener is to ring for nothing, or never; the listener
//! therefore also looks at a word that no peer can write (`gone`) before each sleep.

/// The listener sleeps, or is about to. Sequence numbers never have this bit.
const PARKED: u32 = 1;

/// What a session's watcher rings so that nobody sleeps through its end; not a sequence number.
pub(crate) const POISON: u32 = !PARKED;

/// The sequence number after `number`.
pub(crate) fn next(number: u32) -> u32 {
    match number.wrapping_add(2) {
        POISON => 0,
        next => next,
    }
}

/// The word under a bell: an atomic on which a thread can sleep.
pub(crate) trait Word {
    /// Acquires.
    fn load(&self) -> u32;
    /// Acquires and releases.
    fn swap(&self, value: u32) -> u32;
    /// Acquires and releases; returns what was found when that is not `current`.
    fn compare_exchange(&self, current: u32, new: u32) -> Result<u32, u32>;
    /// Sleeps while the word is `expected`; may return for no reason.
    fn sleep(&self, expected: u32);
    /// Ends all sleeps.
    fn wake(&self);
}

/// Publishes `number` and everything written before. Returns whether the listener had to be woken.
#[inline]
pub(crate) fn ring(word: &impl Word, number: u32) -> bool {
    let parked = word.swap(number) & PARKED != 0;
    if parked {
        word.wake();
    }
    parked
}

/// The number that has come since `last`, if one has.
#[inline]
pub(crate) fn look(word: &impl Word, last: u32) -> Option<u32> {
    let number = word.load() & !PARKED;
    (number != last).then_some(number)
}

/// Sleeps until a number other than `last` has come. `None` when `gone` says that none will; it is asked before each
/// sleep, so whoever makes it true wakes the word afterwards.
#[cold]
pub(crate) fn wait(word: &impl Word, last: u32, gone: impl Fn() -> bool) -> Option<u32> {
    loop {
        match word.compare_exchange(last, last | PARKED) {
            Err(found) if found & !PARKED != last => return Some(found & !PARKED),
            _ => {}
        }
        if gone() {
            return None;
        }
        word.sleep(last | PARKED);
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
