//! Timing: the median of many batches.

use std::hint::black_box;
use std::time::Instant;

/// Batches whose median counts.
const BATCHES: usize = 41;
/// Nanoseconds that a batch should take at least.
const BATCH_TIME: u128 = 2_000_000;

/// Median nanoseconds of one run of `work`.
pub(crate) fn nanoseconds<R>(mut work: impl FnMut() -> R) -> f64 {
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
    let mut batches: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..rounds {
                black_box(work());
            }
            start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    batches[BATCHES / 2]
}
