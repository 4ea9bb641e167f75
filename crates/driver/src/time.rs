//! NT's clocks, and how durations are told to it.

use core::time::Duration;

use abi::{FALSE, KernelMode, LARGE_INTEGER};

use crate::PassiveLevel;
use crate::nt::{KeDelayExecutionThread, KeQueryInterruptTimePrecise, KeQuerySystemTimePrecise};

/// Nanoseconds in NT's unit of time.
const UNIT: u64 = 100;

/// A relative time as NT counts it: below zero, in units of 100 ns, rounded up.
pub(crate) fn relative(time: Duration) -> LARGE_INTEGER {
    -i64::try_from(time.as_nanos().div_ceil(u128::from(UNIT))).unwrap_or(i64::MAX)
}

/// The time since the system started, which no change of the clock moves. IRQL: any. On Windows 8.1 and later.
#[must_use]
pub fn interrupt_time() -> Duration {
    let mut counter = 0;
    // SAFETY: the counter is this function's.
    let units = unsafe { KeQueryInterruptTimePrecise(&raw mut counter) };
    Duration::from_secs(units / 10_000_000) + Duration::from_nanos(units % 10_000_000 * UNIT)
}

/// The system time, in units of 100 ns since the beginning of 1601, UTC. IRQL: any. On Windows 8 and later.
#[must_use]
pub fn system_time() -> LARGE_INTEGER {
    let mut time = 0;
    // SAFETY: the variable is this function's.
    unsafe { KeQuerySystemTimePrecise(&raw mut time) };
    time
}

/// Does nothing for that long, or a little longer.
pub fn delay(_level: PassiveLevel, time: Duration) {
    let interval = relative(time);
    // SAFETY: at PASSIVE_LEVEL, and the interval is this function's. Neither alertable nor on behalf of a user, so that
    // nothing but the time ends it.
    let _always_success = unsafe { KeDelayExecutionThread(KernelMode, FALSE, &raw const interval) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_relative_rounded_up_and_never_overflow() {
        assert_eq!(relative(Duration::ZERO), 0);
        assert_eq!(relative(Duration::from_nanos(1)), -1);
        assert_eq!(relative(Duration::from_secs(1)), -10_000_000);
        assert_eq!(relative(Duration::MAX), -i64::MAX);
    }
}
