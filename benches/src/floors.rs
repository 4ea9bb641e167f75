//! Bare mechanisms: what nothing built on them can beat.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use rustix::thread::futex;

use crate::measure::{Batch, batch};

/// A system call that does nothing: `getppid`.
pub(crate) fn system_call() -> Batch<'static> {
    batch(rustix::process::getppid)
}

/// A cache-line ping-pong: two threads, pinned to two processors if there are two, hand a line to and fro; a round trip.
pub(crate) fn cache_line_ping_pong() -> Batch<'static> {
    const ROUNDS: u64 = 20_000;
    let line = CacheLine(AtomicU64::new(0));
    Box::new(move || ping_pong_once(&line, ROUNDS))
}

#[repr(align(64))]
struct CacheLine(AtomicU64);

fn ping_pong_once(line: &CacheLine, rounds: u64) -> f64 {
    line.0.store(0, Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(1);
            for round in 0..rounds {
                while line.0.load(Ordering::Acquire) != 2 * round + 1 {
                    std::hint::spin_loop();
                }
                line.0.store(2 * round + 2, Ordering::Release);
            }
        });
        let ping = scope.spawn(|| {
            pin(0);
            // The first rounds wait for the partner to start.
            let warm = rounds / 10;
            let mut start = Instant::now();
            for round in 0..rounds {
                if round == warm {
                    start = Instant::now();
                }
                line.0.store(2 * round + 1, Ordering::Release);
                while line.0.load(Ordering::Acquire) != 2 * round + 2 {
                    std::hint::spin_loop();
                }
            }
            let measured = u32::try_from(rounds - warm).unwrap_or(u32::MAX);
            start.elapsed().as_secs_f64() * 1e9 / f64::from(measured)
        });
        ping.join().unwrap_or(f64::NAN)
    })
}

/// A futex ping-pong: two threads, pinned to two processors or to one, wake each other; a round trip.
pub(crate) fn futex_ping_pong(processors: [usize; 2]) -> Batch<'static> {
    const ROUNDS: u32 = 2_000;
    Box::new(move || {
        let (ping, pong) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            let partner = scope.spawn(|| {
                pin(processors[1]);
                for round in 1..=ROUNDS {
                    sleep_until(&ping, round);
                    wake(&pong, round);
                }
            });
            let own = scope.spawn(|| {
                pin(processors[0]);
                let mut start = Instant::now();
                for round in 1..=ROUNDS {
                    // The first rounds wait for the partner to start.
                    if round == ROUNDS / 10 {
                        start = Instant::now();
                    }
                    wake(&ping, round);
                    sleep_until(&pong, round);
                }
                start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS - ROUNDS / 10)
            });
            let time = own.join().unwrap_or(f64::NAN);
            let _ended = partner.join();
            time
        })
    })
}

fn sleep_until(word: &AtomicU32, value: u32) {
    while word.load(Ordering::Acquire) != value {
        // A value that has changed meanwhile, or a signal: looked at again.
        let _woken = futex::wait(word, futex::Flags::PRIVATE, value - 1, None);
    }
}

fn wake(word: &AtomicU32, value: u32) {
    word.store(value, Ordering::Release);
    let _nobody_sleeps = futex::wake(word, futex::Flags::PRIVATE, 1);
}

/// Pins the calling thread to a processor; when there is no such one, it stays free.
pub(crate) fn pin(processor: usize) {
    pin_thread(None, processor);
}

/// Pins a thread, of any process of the user's, to a processor.
pub(crate) fn pin_thread(thread: Option<rustix::thread::Pid>, processor: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(processor);
    let _stays_free = rustix::thread::sched_setaffinity(thread, &set);
}
