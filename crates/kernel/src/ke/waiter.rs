//! `Waiter`: the part of a thread that other threads reach while it waits.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;
use platform::Parker;

use super::apc::UserApc;
use super::kernel_apc::KernelApcs;
use super::processors::NO_PROCESSOR;
use super::special_apc::SpecialApcs;
use super::wait::{ProcessorMode, WaitType};

/// No outcome yet: not a status that a wait can have.
const WAITING: u32 = u32::MAX;

/// What a thread parks on, and what ended its wait.
#[derive(Debug)]
pub(super) struct Waiter {
    /// Unparked for waits and for processors; whoever parks looks again at what it waits for.
    pub(super) parker: Parker,
    /// Address of the thread object.
    pub(super) thread: u64,
    outcome: AtomicU32,
    /// The processor handed over to the thread while it was queued for one.
    pub(super) granted: AtomicU32,
    /// Zero or below: how often normal kernel APCs are disabled.
    pub(super) kernel_apc_disable: AtomicI32,
    pub(super) special_apcs: SpecialApcs,
    /// Address of the `KQUEUE` that the thread belongs to, or 0. Changed under the dispatcher's lock only.
    pub(super) queue: AtomicU64,
    pub(super) kernel_apcs: KernelApcs,
    /// Changed under the dispatcher's lock only, which is always taken first.
    state: Mutex<WaiterState>,
}

#[derive(Debug)]
pub(super) struct WaiterState {
    /// The present wait's blocks, in the order of its objects; empty when the thread does not wait.
    pub(super) blocks: Vec<u32>,
    /// The present wait's objects.
    pub(super) objects: Vec<u64>,
    pub(super) kind: WaitType,
    pub(super) mode: ProcessorMode,
    pub(super) alertable: bool,
    /// Alerts not yet delivered, by mode.
    pub(super) alerted: [bool; 2],
    /// The thread is to end: waits in user mode no longer last.
    pub(super) terminating: bool,
    pub(super) apcs: VecDeque<UserApc>,
    /// The queue's entry that ended the wait for one; 0 for none.
    pub(super) entry: u64,
    /// Addresses of the mutants that the thread owns, the latest last.
    pub(super) mutants: Vec<u64>,
}

impl Waiter {
    pub(super) fn new(thread: u64) -> Self {
        Self {
            parker: Parker::new(),
            thread,
            outcome: AtomicU32::new(WAITING),
            granted: AtomicU32::new(NO_PROCESSOR),
            kernel_apc_disable: AtomicI32::new(0),
            special_apcs: SpecialApcs::default(),
            queue: AtomicU64::new(0),
            kernel_apcs: KernelApcs::default(),
            state: Mutex::new(WaiterState {
                blocks: Vec::new(),
                objects: Vec::new(),
                kind: WaitType::Any,
                mode: ProcessorMode::Kernel,
                alertable: false,
                alerted: [false; 2],
                terminating: false,
                apcs: VecDeque::new(),
                entry: 0,
                mutants: Vec::new(),
            }),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, WaiterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self) {
        self.outcome.store(WAITING, Ordering::Relaxed);
    }

    /// What ended the wait.
    pub(super) fn outcome(&self) -> Option<NTSTATUS> {
        match self.outcome.load(Ordering::Acquire) {
            WAITING => None,
            bits => Some(NTSTATUS::from_bits(bits)),
        }
    }

    /// Ends the wait. Under the dispatcher's lock, once the thread's blocks are unlinked.
    pub(super) fn finish(&self, status: NTSTATUS) {
        self.outcome.store(status.bits(), Ordering::Release);
    }
}

impl WaiterState {
    /// What ends a wait early, if anything does: an alert, a user APC, the thread's end.
    ///
    /// Source: "ddi: KeWaitForSingleObject" (STATUS_ALERTED, STATUS_USER_APC), "kernel: Waits and APCs".
    pub(super) fn take_interruption(&mut self, mode: ProcessorMode, alertable: bool) -> Option<NTSTATUS> {
        if mode == ProcessorMode::User && self.terminating {
            return Some(abi::STATUS_USER_APC);
        }
        if !alertable {
            return None;
        }
        if std::mem::take(&mut self.alerted[mode.index()]) {
            return Some(abi::STATUS_ALERTED);
        }
        if mode == ProcessorMode::User && !self.apcs.is_empty() {
            return Some(abi::STATUS_USER_APC);
        }
        std::mem::take(&mut self.alerted[ProcessorMode::Kernel.index()]).then_some(abi::STATUS_ALERTED)
    }
}
