//! How long a thread looks at a bell before it sleeps.
//!
//! Looking wins only while the partner is running, so: never when the partner last ran on this very processor or this
//! thread may use just one; not again and again when it did not help; and once in a while longer than a wake-up takes,
//! because two sides that both sleep would otherwise never find out that both could run.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::hint;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::bell::{self, Word};

/// Whether threads may look before they sleep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spin {
    /// While it helps.
    #[default]
    Adaptive,
    /// Sleep at once.
    Never,
}

/// About what going to sleep and being woken costs on the same processor.
const SHORT: Duration = Duration::from_micros(3);

/// About what going to sleep and being woken costs on another processor, in the time of both.
const MEDIUM: Duration = Duration::from_micros(30);

/// Longer than waking a thread on an idle processor takes.
const LONG: Duration = Duration::from_micros(300);

/// So many misses in a row, and a thread sleeps at once …
const MISSES: u32 = 4;

/// … except each time that this many more waits have missed.
const PROBE: u32 = 64;

/// So many waits look long in a row once a long look has helped: the partner runs, but sleeps between. Its own long look comes
/// within that time, and then both know; if only one of them looked long now and then, they would miss each other for ever.
const HOPE: u32 = 2 * PROBE;

/// The first looks come without a pause between them.
const EAGER: u32 = 64;

/// One waiter's memory of how looking went. Belongs to one thread at a time; shared only to be stored in tables.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    misses: AtomicU32,
    /// Waits that will look long.
    hope: AtomicU32,
}

impl Patience {
    /// Looks at `word` for as long as it makes sense. `partner` is the processor (plus one) where the ringer last ran.
    /// `beside` is a cache line that the ringer writes before it rings: asking for it meanwhile saves a wait later.
    #[inline]
    pub(crate) fn look(
        &self,
        word: &impl Word,
        beside: *const u8,
        last: u32,
        spin: Spin,
        partner: u32,
    ) -> Option<u32> {
        if let Some(number) = bell::look(word, last) {
            return Some(number);
        }
        if spin == Spin::Never {
            return None;
        }
        let misses = self.misses.load(Ordering::Relaxed);
        let hope = self.hope.load(Ordering::Relaxed);
        let (short, medium) = (rounds().short, rounds().medium);
        let rounds = match misses {
            _ if hope > 0 || (misses >= MISSES && misses.is_multiple_of(PROBE)) => rounds().long,
            0..MISSES => short,
            _ => 0,
        };
        if rounds != 0 && may_run_beside(partner) {
            for round in 0..rounds {
                if let Some(number) = bell::look(word, last) {
                    self.misses.store(0, Ordering::Relaxed);
                    let hope = match hope {
                        // It did not sleep this time.
                        hope if round < short => hope.saturating_sub(1),
                        // Again and again this costs less than to sleep.
                        _ if round < medium => HOPE,
                        0 => HOPE,
                        hope => hope - 1,
                    };
                    self.hope.store(hope, Ordering::Relaxed);
                    return Some(number);
                }
                // SAFETY: a prefetch accesses nothing, wherever it points.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(beside.cast()) };
                if round >= EAGER {
                    hint::spin_loop();
                }
            }
        }
        self.misses.store(misses.wrapping_add(1), Ordering::Relaxed);
        self.hope.store(0, Ordering::Relaxed);
        None
    }
}

/// The processor that the calling thread runs on, plus one; 0 if unknown.
#[inline]
pub(crate) fn processor() -> u32 {
    // SAFETY: no arguments; reads what Linux keeps for this thread.
    let number = unsafe { libc::sched_getcpu() };
    u32::try_from(number).map_or(0, |number| number.wrapping_add(1))
}

/// Whether a thread that last ran on `partner` could be running now.
fn may_run_beside(partner: u32) -> bool {
    if partner == 0 { rounds().processors > 1 } else { partner != processor() }
}

struct Rounds {
    short: u32,
    medium: u32,
    long: u32,
    processors: usize,
}

fn rounds() -> &'static Rounds {
    static ROUNDS: OnceLock<Rounds> = OnceLock::new();
    ROUNDS.get_or_init(|| {
        const SAMPLE: u32 = 512;
        let word = AtomicU32::new(0);
        // The shortest of a few: a sample that was preempted says nothing.
        let sample = || {
            let start = Instant::now();
            for _ in 0..SAMPLE {
                hint::black_box(word.load(Ordering::Acquire));
                hint::spin_loop();
            }
            start.elapsed().as_nanos().max(1)
        };
        let nanoseconds = (0..4).map(|_| sample()).min().unwrap_or(1);
        let within = |time: Duration| {
            let rounds = time.as_nanos() * u128::from(SAMPLE) / nanoseconds;
            EAGER + u32::try_from(rounds).unwrap_or(u32::MAX).min(1 << 20)
        };
        Rounds {
            short: within(SHORT),
            medium: within(MEDIUM),
            long: within(LONG),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
        }
    })
}
