//! Clocks, and who is calling: `GetTickCount`, `QueryPerformanceCounter`, `GetCurrentThreadId`, `GetCurrentProcessId`.

use std::time::Duration;

use crate::failure::done;
use crate::pointer::Pointer;
use crate::types::BOOL;

/// Ticks of the performance counter in a second.
const FREQUENCY: i64 = 10_000_000;

fn since_start() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Milliseconds since the system started; begins again after 49.7 days.
#[unsafe(no_mangle)]
#[expect(clippy::cast_possible_truncation, reason = "it begins again, as documented")]
pub extern "C" fn GetTickCount() -> u32 {
    GetTickCount64() as u32
}

/// Milliseconds since the system started.
#[unsafe(no_mangle)]
pub extern "C" fn GetTickCount64() -> u64 {
    u64::try_from(since_start().as_millis()).unwrap_or(u64::MAX)
}

/// A counter that never goes back, in units of 100 ns.
#[unsafe(no_mangle)]
pub extern "C" fn QueryPerformanceCounter(count: Pointer<i64>) -> BOOL {
    done(count.write(i64::try_from(since_start().as_nanos() / 100).unwrap_or(i64::MAX)))
}

/// How many of its units a second has.
#[unsafe(no_mangle)]
pub extern "C" fn QueryPerformanceFrequency(frequency: Pointer<i64>) -> BOOL {
    done(frequency.write(FREQUENCY))
}

/// Linux's number of the process. (The machine knows it by another one.)
#[unsafe(no_mangle)]
pub extern "C" fn GetCurrentProcessId() -> u32 {
    std::process::id()
}
