//! A bell: one word in shared memory by which one side tells the other that a sequence number has come.
//!
//! The ringer stores the next number, then looks whether the listener says that it sleeps, and only then makes a system
//! call. The listener looks for a while, then says that it sleeps, looks once more and sleeps. With a full fence between
//! the two steps on each side, one of them sees the other: no wake-up is lost.
//!
//! The number is a plain store, the last of a few to one cache line. An exchange (which could carry the sleeper's mark
//! in the same word) has to wait until all stores before it are done; the listener, who asks for the line all the
//! time, then often takes it away in between, and the hand-over costs twice as much.
//!
//! The other side may be hostile. The worst it can do to a listener is to ring for nothing, or never; the listener
//! therefore also looks at a word that no peer can write (`gone`) before each sleep.

/// What a session's watcher rings so that nobody sleeps through its end; not a sequence number.
pub(crate) const POISON: u32 = u32::MAX;

/// The sequence number after `number`.
pub(crate) fn next(number: u32) -> u32 {
    match number.wrapping_add(1) {
        POISON => 0,
        next => next,
    }
}

/// The word under a bell: an atomic on which a thread can sleep.
pub(crate) trait Word {
    /// Acquires.
    fn load(&self) -> u32;
    /// Releases.
    fn store(&self, value: u32);
    /// A sequentially consistent fence.
    fn fence();
    /// Sleeps while the word is `expected`; may return for no reason.
    fn sleep(&self, expected: u32);
    /// Ends all sleeps.
    fn wake(&self);
}

/// Publishes `number` and everything written before. `parked` is the listener's.
#[inline]
pub(crate) fn ring<W: Word>(word: &W, number: u32, parked: &W) {
    if set(word, number, parked) {
        word.wake();
    }
}

/// The first half of [`ring`]; true when the listener sleeps, and `word` is still to be woken.
#[inline]
#[must_use]
pub(crate) fn set<W: Word>(word: &W, number: u32, parked: &W) -> bool {
    word.store(number);
    W::fence();
    parked.load() != 0
}

/// Rings, and ends all sleeps even if somebody hides that there are any. Should the ringer ring over it, the listener still
/// finds before its next sleep what made `gone` true before this call.
pub(crate) fn poison<W: Word>(word: &W) {
    W::fence();
    word.store(POISON);
    word.wake();
}

/// The number that has come since `last`, if one has.
#[inline]
pub(crate) fn look(word: &impl Word, last: u32) -> Option<u32> {
    let number = word.load();
    (number != last).then_some(number)
}

/// Sleeps until a number other than `last` has come. `None` when `gone` says that none will; it is asked before each
/// sleep, so whoever makes it true wakes the word afterwards. `parked` is this listener's own.
#[cold]
pub(crate) fn wait<W: Word>(word: &W, last: u32, parked: &W, gone: impl Fn() -> bool) -> Option<u32> {
    let number = loop {
        parked.store(1);
        W::fence();
        if let Some(number) = look(word, last) {
            break Some(number);
        }
        if gone() {
            break None;
        }
        word.sleep(last);
    };
    parked.store(0);
    number
}

#[cfg(all(test, loom))]
mod loom_tests;
