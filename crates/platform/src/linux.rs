//! The real platform: Linux threads, one futex word a parker, Linux's clocks.

use std::hint;
use std::io;
use std::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::thread;

use rustix::io::Errno;
use rustix::thread::{futex, sched_yield};

use crate::clock::{self, Clock};
use crate::scheduler::{Parked, Parker, Platform, word};

/// Rounds that a thread looks at its parker before it sleeps in the kernel. Zero: on two processors a spin that
/// misses costs more than the sleep; callers that know their partner to be running say so with
/// [`Linux::with_park_spins`].
const PARK_SPINS: u32 = 0;

/// Rounds of [`Platform::relax`] that only pause; the next ones give the processor away.
const PAUSE_ROUNDS: u32 = 6;

const ANY_BIT: NonZeroU32 = NonZeroU32::MAX;

/// Linux as it is: threads run when the system lets them.
#[derive(Debug)]
pub struct Linux {
    clock: Clock,
    park_spins: u32,
}

impl Linux {
    /// A platform whose interrupt time starts now.
    pub fn new() -> Self {
        Self::with_park_spins(PARK_SPINS)
    }

    /// As [`Self::new`], but `park` first looks for an unpark `spins` times.
    pub fn with_park_spins(spins: u32) -> Self {
        Self { clock: Clock::start(), park_spins: spins }
    }
}

impl Default for Linux {
    fn default() -> Self {
        Self::new()
    }
}

impl Platform for Linux {
    fn interrupt_time(&self) -> u64 {
        self.clock.interrupt_time()
    }

    fn coarse_time(&self) -> u64 {
        self.clock.coarse_time()
    }

    fn system_time(&self) -> u64 {
        clock::system_time()
    }

    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        check_name(name)?;
        thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
    }

    fn park(&self, parker: &Parker, deadline: Option<u64>) -> Parked {
        for round in 0..=self.park_spins {
            if take_unpark(parker) {
                return Parked::Unparked;
            }
            if round < self.park_spins {
                hint::spin_loop();
            }
        }
        if deadline.is_some_and(|deadline| self.interrupt_time() >= deadline) {
            return Parked::TimedOut;
        }
        block(parker, deadline.map(|deadline| self.clock.monotonic(deadline)))
    }

    fn unpark(&self, parker: &Parker) {
        unblock(parker);
    }

    fn preemption_point(&self) {}

    fn relax(&self, round: u32) {
        if round < PAUSE_ROUNDS {
            for _ in 0..1_u32 << round {
                hint::spin_loop();
            }
        } else {
            sched_yield();
        }
    }
}

/// Refuses what the system cannot take as a thread's name.
pub(crate) fn check_name(name: &str) -> io::Result<()> {
    if name.contains('\0') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a thread's name may not hold a NUL"));
    }
    Ok(())
}

fn take_unpark(parker: &Parker) -> bool {
    parker.word.compare_exchange(word::UNPARKED, word::EMPTY, Ordering::Acquire, Ordering::Relaxed).is_ok()
}

/// Blocks until the parker is unparked or `CLOCK_MONOTONIC` has come to `until`.
pub(crate) fn block(parker: &Parker, until: Option<futex::Timespec>) -> Parked {
    let announced =
        parker.word.compare_exchange(word::EMPTY, word::PARKED, Ordering::Acquire, Ordering::Acquire);
    if let Err(found) = announced {
        assert_eq!(found, word::UNPARKED, "two threads park on one parker");
        parker.word.store(word::EMPTY, Ordering::Relaxed);
        return Parked::Unparked;
    }
    sleep(parker, until)
}

/// Ends a [`block`], now or in advance.
pub(crate) fn unblock(parker: &Parker) {
    if parker.word.swap(word::UNPARKED, Ordering::Release) == word::PARKED {
        // Fails only for an address that is not mapped, and `parker` is borrowed.
        let woken = futex::wake(&parker.word, futex::Flags::PRIVATE, 1);
        debug_assert!(woken.is_ok(), "{woken:?}");
    }
}

/// Sleeps until the word leaves `PARKED`, whatever wakes the thread meanwhile.
fn sleep(parker: &Parker, until: Option<futex::Timespec>) -> Parked {
    loop {
        let result =
            futex::wait_bitset(&parker.word, futex::Flags::PRIVATE, word::PARKED, until.as_ref(), ANY_BIT);
        match result {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {
                if take_unpark(parker) {
                    return Parked::Unparked;
                }
            }
            Err(Errno::TIMEDOUT) => {
                // An unpark that came after the time-out but before this line still counts.
                return match parker.word.swap(word::EMPTY, Ordering::Acquire) {
                    word::UNPARKED => Parked::Unparked,
                    _ => Parked::TimedOut,
                };
            }
            Err(error) => panic!("futex wait: {error}"),
        }
    }
}
