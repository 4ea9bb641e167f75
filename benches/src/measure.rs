//! Timing: medians of many batches. What is compared is timed in turns, so that a machine that slows down for a while slows
//! all of it.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Batches whose median counts.
const BATCHES: usize = 41;
/// Nanoseconds that a batch should take at least.
const BATCH_TIME: u128 = 2_000_000;

/// How long work runs before its batches are measured out: what two processes have to find out about each other takes some.
const WARM: Duration = Duration::from_millis(50);

/// Times one batch: nanoseconds of one run.
pub(crate) type Batch<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// Batches of as many runs of `work` as take some milliseconds.
pub(crate) fn batch<'a, R>(mut work: impl FnMut() -> R + 'a) -> Batch<'a> {
    let start = Instant::now();
    while start.elapsed() < WARM {
        black_box(work());
    }
    let mut rounds = 64_u32;
    loop {
        let start = Instant::now();
        for _ in 0..rounds {
            black_box(work());
        }
        if start.elapsed().as_nanos() >= BATCH_TIME || rounds > 1 << 28 {
            break;
        }
        rounds *= 2;
    }
    Box::new(move || {
        // Not timed: what was timed before this has left the processors' caches, and other processes, to something else.
        for _ in 0..rounds {
            black_box(work());
        }
        let start = Instant::now();
        for _ in 0..rounds {
            black_box(work());
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
    })
}

/// Median nanoseconds of each, timed in turns.
pub(crate) fn beside<const N: usize>(mut batches: [Batch<'_>; N]) -> [f64; N] {
    let mut times: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(BATCHES));
    for _ in 0..BATCHES {
        for (batch, times) in batches.iter_mut().zip(&mut times) {
            times.push(batch());
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[BATCHES / 2]
    })
}
