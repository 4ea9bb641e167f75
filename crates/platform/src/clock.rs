//! NT's two clocks over Linux's: interrupt time from `CLOCK_MONOTONIC`, system time from `CLOCK_REALTIME`.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// NT's time unit is 100 ns.
pub const UNITS_PER_SECOND: u64 = 10_000_000;

/// 1970-01-01 UTC in NT system time: 100 ns units since 1601-01-01 UTC.
pub const UNIX_EPOCH: u64 = 116_444_736_000_000_000;

const NANOSECONDS_PER_UNIT: u64 = 100;

/// A clock that starts at zero when it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// `CLOCK_MONOTONIC` at the start, in nanoseconds.
    start: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: nanoseconds(ClockId::Monotonic) }
    }

    /// 100 ns units since the start.
    pub(crate) fn interrupt_time(self) -> u64 {
        nanoseconds(ClockId::Monotonic).saturating_sub(self.start) / NANOSECONDS_PER_UNIT
    }

    /// The same, as of the last tick of Linux's clock: reads no hardware.
    pub(crate) fn coarse_time(self) -> u64 {
        nanoseconds(ClockId::MonotonicCoarse).saturating_sub(self.start) / NANOSECONDS_PER_UNIT
    }

    /// The `CLOCK_MONOTONIC` value at which [`Self::interrupt_time`] reaches `time`.
    pub(crate) fn monotonic(self, time: u64) -> Timespec {
        let whole = time / UNITS_PER_SECOND;
        let part = (time % UNITS_PER_SECOND) * NANOSECONDS_PER_UNIT;
        let part = part + self.start % 1_000_000_000;
        let seconds = whole + self.start / 1_000_000_000 + part / 1_000_000_000;
        Timespec { tv_sec: seconds.cast_signed(), tv_nsec: (part % 1_000_000_000).cast_signed() }
    }
}

/// The present NT system time.
pub(crate) fn system_time() -> u64 {
    UNIX_EPOCH + nanoseconds(ClockId::Realtime) / NANOSECONDS_PER_UNIT
}

fn nanoseconds(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    // Neither clock is negative, and both fit until the year 2554.
    now.tv_sec.cast_unsigned().wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_the_first_moment_at_which_interrupt_time_has_reached_it() {
        let clock = Clock { start: 3_999_999_950 };
        let at = clock.monotonic(UNITS_PER_SECOND + 1);
        assert_eq!((at.tv_sec, at.tv_nsec), (5, 50));
    }

    #[test]
    fn the_farthest_deadline_stays_a_valid_timespec() {
        let at = Clock { start: u64::MAX }.monotonic(u64::MAX);
        assert!(at.tv_sec > 0);
        assert!((0..1_000_000_000).contains(&at.tv_nsec));
    }

    #[test]
    fn system_time_counts_from_1601() {
        let now = system_time();
        // 2024-01-01 and 2124-01-01.
        assert!((133_485_408_000_000_000..165_041_280_000_000_000).contains(&now), "{now}");
    }
}
