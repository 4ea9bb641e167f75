//! What drivers import from the hardware abstraction layer: clocks.

use kernel::ke::PERFORMANCE_FREQUENCY;
use kernel::raw;

use crate::row::rows;

rows! {
    dll = "hal.dll";

    /// Returns the performance counter, and stores its counts a second.
    irql(HIGH_LEVEL)
    fn KeQueryPerformanceCounter(call, performance_frequency: u64) -> u64 {
        if performance_frequency != 0 {
            raw::write(performance_frequency, PERFORMANCE_FREQUENCY)?;
        }
        Ok(call.kernel.ke.query_performance_counter(call.kernel))
    }

    /// Returns after so many microseconds, without giving the processor away.
    irql(HIGH_LEVEL)
    fn KeStallExecutionProcessor(call, microseconds: u32) -> () {
        call.kernel.ke.stall_execution_processor(call.kernel, microseconds)
    }
}
