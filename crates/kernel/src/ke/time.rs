//! Clocks, and waiting without giving the processor away.

use super::Dispatcher;
use crate::raw::Outcome;
use crate::{Kernel, Unwind};

/// 100 ns units in a clock tick (`ddi: KeQueryTimeIncrement`): 15.625 ms, NT's usual clock interrupt.
pub const TIME_INCREMENT: u32 = 156_250;

/// Counts a second of [`Dispatcher::query_performance_counter`].
pub const PERFORMANCE_FREQUENCY: u64 = 10_000_000;

impl Dispatcher {
    /// Time since 1601 in units of 100 ns, UTC (`ddi: KeQuerySystemTime`). Any IRQL.
    #[must_use]
    pub fn query_system_time(&self, kernel: &Kernel) -> u64 {
        let time = kernel.platform.system_time();
        self.tick(kernel);
        time
    }

    /// Time since the machine's platform started in units of 100 ns (`ddi: KeQueryInterruptTime`). Any IRQL.
    #[must_use]
    pub fn query_interrupt_time(&self, kernel: &Kernel) -> u64 {
        let time = kernel.platform.interrupt_time();
        self.tick(kernel);
        time
    }

    /// Clock ticks since then, of [`TIME_INCREMENT`] each (`ddi: KeQueryTickCount`). Any IRQL.
    #[must_use]
    pub fn query_tick_count(&self, kernel: &Kernel) -> u64 {
        self.query_interrupt_time(kernel) / u64::from(TIME_INCREMENT)
    }

    /// A counter of [`PERFORMANCE_FREQUENCY`] (`ddi: KeQueryPerformanceCounter`). Any IRQL.
    #[must_use]
    pub fn query_performance_counter(&self, kernel: &Kernel) -> u64 {
        kernel.platform.interrupt_time()
    }

    /// Returns after `microseconds`, at any IRQL and without changing it (`ddi: KeStallExecutionProcessor`).
    ///
    /// # Errors
    /// `Unwind::Halt` when the machine stops.
    pub fn stall_execution_processor(&self, kernel: &Kernel, microseconds: u32) -> Outcome<()> {
        let end = kernel.platform.interrupt_time().saturating_add(u64::from(microseconds) * 10);
        let mut round = 0_u32;
        while kernel.platform.interrupt_time() < end {
            if kernel.is_halted() {
                return Err(Unwind::Halt);
            }
            kernel.platform.relax(round);
            round = round.saturating_add(1);
        }
        Ok(())
    }
}
