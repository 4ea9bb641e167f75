//! The DPC watchdog: a DPC that does not end, and DPCs that leave a processor no time for anything else, stop the machine
//! (DPC_WATCHDOG_VIOLATION) instead of hanging it.
//!
//! Looked at where a DPC ends, and by threads that wait for a processor. Where time does not pass by itself, DPCs of one moment are
//! charged for, or else no number of them would ever take long.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Dispatcher, TIME_INCREMENT};
use crate::Kernel;

/// What DPCs may take, in clock ticks of [`TIME_INCREMENT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DpcLimits {
    /// One DPC.
    pub single: u32,
    /// DPCs of a processor that follow each other without its falling below DISPATCH_LEVEL.
    pub cumulative: u32,
}

impl Default for DpcLimits {
    /// 20 seconds, and two minutes. (Confirm: no page gives numbers; KeQueryDpcWatchdogInformation tells those of a system.)
    fn default() -> Self {
        Self { single: 1_280, cumulative: 7_680 }
    }
}

/// What a DPC is charged where time does not pass by itself, in units of 100 ns.
const CHARGE: u64 = 10_000;

/// First parameter: one DPC has exceeded its allotment.
const SINGLE: u64 = 0;
/// First parameter: the processor has been at DISPATCH_LEVEL for too long.
const CUMULATIVE: u64 = 1;

/// The limits of a machine, 0 when the watchdog is off.
#[derive(Debug)]
pub(super) struct Limits {
    single: AtomicU64,
    cumulative: AtomicU64,
}

impl Default for Limits {
    fn default() -> Self {
        let this = Self { single: AtomicU64::new(0), cumulative: AtomicU64::new(0) };
        this.set(Some(DpcLimits::default()));
        this
    }
}

impl Limits {
    fn set(&self, limits: Option<DpcLimits>) {
        let (single, cumulative) = limits.map_or((0, 0), |limits| (limits.single, limits.cumulative));
        self.single.store(single.into(), Ordering::Relaxed);
        self.cumulative.store(cumulative.into(), Ordering::Relaxed);
    }

    /// In ticks; `None` when it is off.
    fn single(&self) -> Option<u64> {
        Some(self.single.load(Ordering::Relaxed)).filter(|ticks| *ticks != 0)
    }
}

/// What is known of a processor's DPCs.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// When the DPC that runs has begun, in interrupt time plus one; 0 when none runs.
    began: AtomicU64,
    /// The moment at which DPCs ran last, where time does not pass by itself, and how many did.
    moment: AtomicU64,
    count: AtomicU64,
}

/// DPCs that follow each other on a processor.
pub(super) struct Watch<'a> {
    record: &'a Record,
    first: u64,
    last: u64,
}

impl Dispatcher {
    /// Sets what DPCs may take, or that nobody looks: where a debugger holds the process, time goes on. Any IRQL.
    pub fn set_dpc_limits(&self, limits: Option<DpcLimits>) {
        self.dpc_limits.set(limits);
    }

    /// The calling thread is about to run DPCs.
    pub(super) fn watch_dpcs<'a>(&self, kernel: &Kernel, record: &'a Record) -> Option<Watch<'a>> {
        self.dpc_limits.single()?;
        let now = kernel.platform.coarse_time();
        record.began.store(now + 1, Ordering::Relaxed);
        Some(Watch { record, first: now, last: now })
    }

    /// A DPC has ended.
    pub(super) fn dpc_ended(&self, kernel: &Kernel, watch: &mut Watch<'_>, routine: u64) {
        let now = kernel.platform.coarse_time();
        let took = now.saturating_sub(watch.last);
        watch.last = now;
        watch.record.began.store(now + 1, Ordering::Relaxed);
        let charged = if kernel.platform.time_passes_by_itself() { 0 } else { watch.record.charge(now) };
        let together = now.saturating_sub(watch.first).saturating_add(charged);
        self.judge(kernel, took, together, routine);
    }

    /// Stops the machine for what took longer than it may, in units of 100 ns.
    ///
    /// Source: bug check 0x133, whose last parameter's structure is not public: it is the DPC's routine here, 0 when it is not known.
    fn judge(&self, kernel: &Kernel, took: u64, together: u64, routine: u64) {
        let ticks = |time: u64| time / u64::from(TIME_INCREMENT);
        let Some(single) = self.dpc_limits.single() else { return };
        let cumulative = self.dpc_limits.cumulative.load(Ordering::Relaxed);
        if ticks(took) > single {
            kernel.bug_check(abi::DPC_WATCHDOG_VIOLATION, [SINGLE, ticks(took), single, routine]);
        } else if ticks(together) > cumulative {
            kernel.bug_check(abi::DPC_WATCHDOG_VIOLATION, [CUMULATIVE, cumulative, 0, routine]);
        }
    }

    /// How long a thread that waits for a processor may sleep before it looks whether a DPC keeps that, as a deadline; `None` for
    /// ever. Where time does not pass by itself it never looks: whoever runs is the only one who runs.
    pub(super) fn next_dpc_look(&self, kernel: &Kernel) -> Option<u64> {
        let single = self.dpc_limits.single().filter(|_| kernel.platform.time_passes_by_itself())?;
        let patience = single.saturating_add(1).saturating_mul(u64::from(TIME_INCREMENT));
        Some(kernel.platform.interrupt_time().saturating_add(patience))
    }

    /// Looks whether a DPC runs that should have ended.
    #[cold]
    pub(super) fn look_for_stuck_dpcs(&self, kernel: &Kernel) {
        let now = kernel.platform.coarse_time();
        for queue in &self.dpcs {
            let began = queue.record.began.load(Ordering::Relaxed);
            if let Some(began) = began.checked_sub(1) {
                self.judge(kernel, now.saturating_sub(began), 0, 0);
            }
        }
    }
}

impl Record {
    /// What the DPCs of this moment cost.
    fn charge(&self, now: u64) -> u64 {
        if self.moment.swap(now, Ordering::Relaxed) != now {
            self.count.store(0, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed).saturating_mul(CHARGE)
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.record.began.store(0, Ordering::Relaxed);
    }
}
