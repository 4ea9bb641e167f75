//! The one blocking point: every wait, sleep, lock hand-over and clock read of the kernel goes through [`Platform`].
//!
//! What is left to others: real threads and futexes (`linux`), one thread at a time in a chosen order (`mock`),
//! and everything NT builds on top of parking (dispatcher objects, timers, processors: the kernel's `ke`).

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the kernel needs from the system below it: threads, parking and two clocks.
///
/// A `Platform` is shared by all threads of a machine. [`Linux`](crate::Linux) is the real one;
/// [`Mock`](crate::Mock) runs the same kernel under a chosen, replayable interleaving and virtual time.
pub trait Platform: Send + Sync + 'static {
    /// Time since the platform started, in units of 100 ns; never goes back (NT's interrupt time).
    fn interrupt_time(&self) -> u64;

    /// Time since 1601-01-01 UTC in units of 100 ns (NT's system time).
    fn system_time(&self) -> u64;

    /// Interrupt time, but up to some milliseconds late, where that is cheaper to read.
    fn coarse_time(&self) -> u64 {
        self.interrupt_time()
    }

    /// Whether time passes while no thread of the platform waits for it, so that a thread may wake at intervals for ever.
    fn time_passes_by_itself(&self) -> bool {
        true
    }

    /// Starts a thread that runs `body` and ends with it. The name is for people; Linux shows its first 15 bytes.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the name holds a NUL; what the system says if it has no room for another thread.
    /// `body` is then dropped without having run.
    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<()>;

    /// Blocks the calling thread until `parker` is unparked or `deadline` (in interrupt time) has come.
    ///
    /// A pending unpark is consumed and makes this return at once, even if the deadline has passed. There are no
    /// spurious returns. `u64::MAX` never comes. One thread at a time may park on a parker.
    fn park(&self, parker: &Parker, deadline: Option<u64>) -> Parked;

    /// Lets the thread parked on `parker` go on, or, if none is, the next one that parks there. Two unparks before
    /// a park count as one. What happened before this call is visible after the `park` that it ends.
    fn unpark(&self, parker: &Parker);

    /// A place where another thread could run before this one goes on. Free on Linux, where that is true everywhere.
    fn preemption_point(&self);

    /// One round of a spin loop: pauses the processor in the first rounds, then gives it to other threads.
    fn relax(&self, round: u32);
}

/// Why [`Platform::park`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parked {
    /// The parker was unparked.
    Unparked,
    /// The deadline came first.
    TimedOut,
}

/// What one thread parks on. Holds at most one pending unpark.
///
/// Anybody may unpark; only one thread at a time may park. Belongs to one platform for all its life.
pub struct Parker {
    pub(crate) word: AtomicU32,
}

/// The states of a parker's word.
pub(crate) mod word {
    /// No unpark is pending and nobody is parked.
    pub(crate) const EMPTY: u32 = 0;
    /// An unpark is pending.
    pub(crate) const UNPARKED: u32 = 1;
    /// A thread is parked, or about to be.
    pub(crate) const PARKED: u32 = 2;
}

impl Parker {
    /// A parker with no unpark pending.
    pub const fn new() -> Self {
        Self { word: AtomicU32::new(word::EMPTY) }
    }
}

impl Default for Parker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Parker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.word.load(Ordering::Relaxed) {
            word::EMPTY => "empty",
            word::UNPARKED => "unparked",
            _ => "parked",
        };
        f.debug_tuple("Parker").field(&state).finish()
    }
}

const FREE: u32 = 0;
const HELD: u32 = 1;
const CONTENDED: u32 = 2;

/// A mutual exclusion lock whose waiters park through the platform, in arrival order.
///
/// A running thread may take the lock before a waiter that is still waking up (so short sections do not cost a
/// thread switch each), but only once: a waiter that lost a race is handed the lock by the next release.
/// Not recursive, not poisoned by panics, not for use below `Platform` itself.
pub struct Lock<T: ?Sized> {
    state: AtomicU32,
    waiters: Mutex<VecDeque<Arc<Waiter>>>,
    value: UnsafeCell<T>,
}

struct Waiter {
    parker: Parker,
    /// Set by the waiter when it lost a race: the next release gives it the lock instead of opening it.
    insists: AtomicBool,
    owns: AtomicBool,
}

// SAFETY: the lock hands the value to one thread at a time, which is what sending it between threads needs.
unsafe impl<T: ?Sized + Send> Sync for Lock<T> {}
// SAFETY: as for any container that owns its value.
unsafe impl<T: ?Sized + Send> Send for Lock<T> {}

impl<T> Lock<T> {
    /// An open lock around `value`.
    pub const fn new(value: T) -> Self {
        Self {
            state: AtomicU32::new(FREE),
            waiters: Mutex::new(VecDeque::new()),
            value: UnsafeCell::new(value),
        }
    }

    /// Takes the value out; nobody else can hold the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Lock<T> {
    /// Takes the lock, parking the calling thread on `platform` until it is free.
    pub fn lock<'a>(&'a self, platform: &'a dyn Platform) -> LockGuard<'a, T> {
        platform.preemption_point();
        if !self.try_take() {
            self.wait(platform);
        }
        LockGuard { lock: self, platform }
    }

    /// Takes the lock if it is free.
    pub fn try_lock<'a>(&'a self, platform: &'a dyn Platform) -> Option<LockGuard<'a, T>> {
        // A guard that is made must be owned: its drop opens the lock.
        self.try_take().then(|| LockGuard { lock: self, platform })
    }

    /// The value, without locking: `&mut self` proves that nobody holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    fn try_take(&self) -> bool {
        self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[cold]
    fn wait(&self, platform: &dyn Platform) {
        let waiter = Arc::new(Waiter {
            parker: Parker::new(),
            insists: AtomicBool::new(false),
            owns: AtomicBool::new(false),
        });
        let mut first_time = true;
        loop {
            {
                let mut waiters = self.waiters();
                // Whoever releases a contended lock looks into the queue, under the same mutex.
                if self.state.swap(CONTENDED, Ordering::Acquire) == FREE {
                    let state = if waiters.is_empty() { HELD } else { CONTENDED };
                    self.state.store(state, Ordering::Relaxed);
                    return;
                }
                if first_time {
                    waiters.push_back(Arc::clone(&waiter));
                } else {
                    waiter.insists.store(true, Ordering::Relaxed);
                    waiters.push_front(Arc::clone(&waiter));
                }
            }
            platform.park(&waiter.parker, None);
            if waiter.owns.load(Ordering::Acquire) {
                return;
            }
            first_time = false;
        }
    }

    fn release(&self, platform: &dyn Platform) {
        if self.state.compare_exchange(HELD, FREE, Ordering::Release, Ordering::Relaxed).is_err() {
            self.release_to_waiter(platform);
        }
    }

    #[cold]
    fn release_to_waiter(&self, platform: &dyn Platform) {
        let next = {
            let mut waiters = self.waiters();
            let next = waiters.pop_front();
            match &next {
                Some(waiter) if waiter.insists.load(Ordering::Relaxed) => {
                    let state = if waiters.is_empty() { HELD } else { CONTENDED };
                    self.state.store(state, Ordering::Relaxed);
                    waiter.owns.store(true, Ordering::Release);
                }
                // Waiters that stay in the queue are found again by the one that was woken: it either takes the
                // lock and sets CONTENDED for them, or finds it taken and does the same before parking.
                _ => self.state.store(FREE, Ordering::Release),
            }
            next
        };
        if let Some(waiter) = next {
            platform.unpark(&waiter.parker);
        }
    }

    fn waiters(&self) -> MutexGuard<'_, VecDeque<Arc<Waiter>>> {
        // Held for a few instructions and never across a call into the platform, so it decides no order.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.state.load(Ordering::Relaxed) != FREE;
        f.debug_struct("Lock").field("held", &held).finish_non_exhaustive()
    }
}

/// Holds a [`Lock`] until dropped.
pub struct LockGuard<'a, T: ?Sized> {
    lock: &'a Lock<T>,
    platform: &'a dyn Platform,
}

impl<T: ?Sized> Deref for LockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard proves that this thread holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for LockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard proves that this thread holds the lock, and `&mut self` that no other borrow lives.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for LockGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.release(self.platform);
    }
}
