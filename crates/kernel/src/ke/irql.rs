//! IRQL: who may run now, and what falling below DISPATCH_LEVEL sets going.
//!
//! At DISPATCH_LEVEL and above a thread owns a virtual processor. The thread's record says which one; the IRQL that
//! driver code sees stands in its processor region, where a landing that is left abnormally restores it.

use abi::{DISPATCH_LEVEL, HIGH_LEVEL};
use platform::entry::{self, Region};

use super::waiter::Waiter;
use super::{Dispatcher, Thread};
use crate::raw::{self, Outcome};
use crate::{Kernel, Unwind};

impl Dispatcher {
    /// The calling thread's IRQL; PASSIVE_LEVEL outside of every machine.
    #[inline]
    #[must_use]
    pub fn current_irql(&self) -> u8 {
        entry::region().map_or(0, Region::irql)
    }

    /// Raises the IRQL and returns the old one, acquiring a processor when that crosses DISPATCH_LEVEL. On a machine
    /// that has stopped the IRQL is raised without a processor. What `mov cr8, reg` does; checks nothing.
    #[inline]
    pub fn raise_irql(&self, kernel: &Kernel, irql: u8) -> u8 {
        let Some(region) = entry::region() else { return 0 };
        let old = region.irql();
        if old < DISPATCH_LEVEL && irql >= DISPATCH_LEVEL {
            Kernel::with_current(|_, thread| self.take_processor(kernel, thread, region));
        }
        region.set_irql(irql);
        if irql == abi::APC_LEVEL {
            note_irql(irql);
        }
        old
    }

    /// Lowers the IRQL; below DISPATCH_LEVEL the processor's DPCs run first, then the processor is released. What
    /// `mov cr8, reg` does; checks nothing.
    #[inline]
    pub fn lower_irql(&self, kernel: &Kernel, irql: u8) {
        let Some(region) = entry::region() else { return };
        if irql < DISPATCH_LEVEL && region.irql() >= DISPATCH_LEVEL {
            Kernel::with_current(|_, thread| self.leave_processor(kernel, thread, region));
        }
        region.set_irql(irql);
        if irql < DISPATCH_LEVEL && note_irql(irql) {
            self.let_apcs_in(kernel);
        }
    }

    /// Runs the APCs that waited for the thread to come below APC_LEVEL.
    #[cold]
    fn let_apcs_in(&self, kernel: &Kernel) {
        Kernel::with_current(|_, thread| {
            self.deliver_special_apcs(kernel, thread);
            if let Err(Unwind::Exit(status)) = self.deliver_kernel_apcs(kernel, thread) {
                // The instruction that lowered the IRQL cannot be left for the thread's end.
                let status = u64::from(status.bits());
                kernel.bug_check(abi::KERNEL_APC_PENDING_DURING_EXIT, [0, 0, 0, status]);
            }
        });
    }

    /// Raises the IRQL and returns the old one (`ddi: KeRaiseIrql`, exported as KfRaiseIrql).
    ///
    /// To a lower level than the present one, or above HIGH_LEVEL: bugcheck IRQL_NOT_GREATER_OR_EQUAL.
    ///
    /// # Errors
    /// `Unwind::Halt` when the machine has stopped; the IRQL is then as it was.
    #[inline]
    pub fn kf_raise_irql(&self, kernel: &Kernel, irql: u8) -> Outcome<u8> {
        let old = self.current_irql();
        if irql < old || irql > HIGH_LEVEL {
            return irql_bugcheck(kernel, abi::IRQL_NOT_GREATER_OR_EQUAL, old, irql);
        }
        self.raise_irql(kernel, irql);
        if kernel.is_halted() {
            self.lower_irql(kernel, old);
            return Err(Unwind::Halt);
        }
        Ok(old)
    }

    /// Lowers the IRQL (`ddi: KeLowerIrql`).
    ///
    /// To a higher level than the present one: bugcheck IRQL_NOT_LESS_OR_EQUAL.
    ///
    /// # Errors
    /// `Unwind::Halt` when the machine has stopped, in a DPC that ran now for one.
    #[inline]
    pub fn ke_lower_irql(&self, kernel: &Kernel, irql: u8) -> Outcome<()> {
        let old = self.current_irql();
        if irql > old {
            return irql_bugcheck(kernel, abi::IRQL_NOT_LESS_OR_EQUAL, old, irql);
        }
        self.lower_irql(kernel, irql);
        if kernel.is_halted() { Err(Unwind::Halt) } else { Ok(()) }
    }

    /// Brings the calling thread's processor in line with its IRQL, after a call into driver code was left otherwise
    /// than by returning: that restores the IRQL of the call, but not the processor.
    pub fn reconcile(&self, kernel: &Kernel) {
        let Some(region) = entry::region() else { return };
        Kernel::with_current(|_, thread| {
            let owns = thread.processor().is_some();
            let irql = region.irql();
            if irql < DISPATCH_LEVEL {
                if owns {
                    self.leave_processor(kernel, thread, region);
                    region.set_irql(irql);
                }
                if note_irql(irql) {
                    self.let_apcs_in(kernel);
                }
            } else if !owns && irql >= DISPATCH_LEVEL {
                self.take_processor(kernel, thread, region);
            }
        });
    }

    /// Calls driver code (see [`raw::call`]), and keeps processors right when it does not return.
    ///
    /// # Errors
    /// How the driver's frames were left otherwise than by returning.
    #[inline]
    pub fn call(&self, kernel: &Kernel, function: u64, arguments: &[u64]) -> Outcome<u64> {
        let result = raw::call(function, arguments);
        if result.is_err() {
            self.reconcile(kernel);
        }
        result
    }

    /// As [`Self::call`], with [`raw::call_taking`].
    ///
    /// # Errors
    /// As for [`Self::call`]; also an exception that no driver's frame takes.
    pub fn call_taking(&self, kernel: &Kernel, function: u64, arguments: &[u64]) -> Outcome<u64> {
        let result = raw::call_taking(function, arguments);
        if result.is_err() {
            self.reconcile(kernel);
        }
        result
    }

    /// Checks that a request on behalf of an application left nothing behind, before `thread` goes back to it: an IRQL
    /// above PASSIVE_LEVEL is bugcheck IRQL_GT_ZERO_AT_SYSTEM_SERVICE, APCs still disabled (a critical or guarded
    /// region, a driver's mutex) APC_INDEX_MISMATCH. `routine` is what the report names. The IRQL is PASSIVE_LEVEL
    /// afterwards, and the thread owns no processor.
    ///
    /// # Errors
    /// `Unwind::Halt` when the machine has stopped.
    #[inline]
    pub fn leave_system_service(&self, kernel: &Kernel, thread: &Thread, routine: u64) -> Outcome<()> {
        let irql = self.current_irql();
        let disabled = thread.apc_disable();
        if irql == abi::PASSIVE_LEVEL && disabled == 0 && !kernel.is_halted() {
            return Ok(());
        }
        self.leave_uncleanly(kernel, thread, routine, irql, disabled)
    }

    #[cold]
    fn leave_uncleanly(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        routine: u64,
        irql: u8,
        disabled: u32,
    ) -> Outcome<()> {
        if irql > abi::PASSIVE_LEVEL {
            kernel.bug_check(abi::IRQL_GT_ZERO_AT_SYSTEM_SERVICE, [routine, u64::from(irql), 0, 0]);
        } else if disabled != 0 {
            kernel.bug_check(abi::APC_INDEX_MISMATCH, [routine, 0, u64::from(disabled), 0]);
        }
        self.lower_irql(kernel, abi::PASSIVE_LEVEL);
        self.abandon_processor(kernel, thread);
        Err(Unwind::Halt)
    }

    /// Gives back a processor that a thread still owns when it leaves the machine for good. True if it did: it ended
    /// at DISPATCH_LEVEL or above.
    pub(super) fn abandon_processor(&self, kernel: &Kernel, thread: &Thread) -> bool {
        let Some(number) = thread.processor() else { return false };
        thread.set_processor(None);
        self.processors.release(kernel, number);
        self.kick(kernel, number);
        true
    }

    fn take_processor(&self, kernel: &Kernel, thread: &Thread, region: Region) {
        if thread.processor().is_some() {
            return;
        }
        if let Some(number) = self.processors.acquire(kernel, thread.waiter(), region.processor_number()) {
            thread.set_processor(Some(number));
            region.set_processor_number(number);
        }
    }

    fn leave_processor(&self, kernel: &Kernel, thread: &Thread, region: Region) {
        let Some(number) = thread.processor() else { return };
        loop {
            self.drain(kernel, thread, region, number);
            if thread.processor() != Some(number) {
                return;
            }
            thread.set_processor(None);
            kernel.platform.preemption_point();
            self.processors.release(kernel, number);
            // One queued from another processor after the last look, before the release: nobody else will look.
            // In a machine that has stopped they stay.
            let looks = !self.dpcs[number as usize].is_empty() && !kernel.is_halted();
            if !looks || !self.processors.try_acquire(number) {
                return;
            }
            thread.set_processor(Some(number));
        }
    }

    /// Runs the DPCs of a processor that nobody owns, on the calling thread.
    pub(super) fn serve_processor(&self, kernel: &Kernel, thread: &Thread, number: u32) {
        let Some(region) = entry::region() else { return };
        if thread.processor().is_none() && self.processors.try_acquire(number) {
            thread.set_processor(Some(number));
            region.set_processor_number(number);
            region.set_irql(DISPATCH_LEVEL);
            self.lower_irql(kernel, abi::PASSIVE_LEVEL);
        }
    }
}

/// Tells the calling thread's APCs its IRQL, below DISPATCH_LEVEL. True when some may have waited for it.
#[inline]
fn note_irql(irql: u8) -> bool {
    let note = |waiter: &Waiter| {
        waiter.special_apcs.note_irql(irql) || irql == abi::PASSIVE_LEVEL && waiter.kernel_apcs.are_pending()
    };
    Kernel::with_current(|_, thread| note(thread.waiter())).unwrap_or(false)
}

#[cold]
fn irql_bugcheck<T>(kernel: &Kernel, code: u32, old: u8, new: u8) -> Outcome<T> {
    kernel.bug_check(code, [u64::from(new), u64::from(old), 0, raw::return_address()]);
    Err(Unwind::Halt)
}
