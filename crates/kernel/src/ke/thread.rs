//! `Thread`: a thread as the dispatcher knows it, whether a system thread, an application's thread inside the
//! kernel, or the server thread paired with one in another process.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use abi::{NTSTATUS, ThreadObject};
use platform::entry::KernelStack;

use super::object::{initialize_header, release_waiters};
use super::processors::NO_PROCESSOR;
use super::queue;
use super::wait_list::Wakes;
use super::waiter::Waiter;
use super::{Dispatcher, HeldSpinLocks, Kmutant};
use crate::Kernel;
use crate::mm::{Pool, PoolOwner};
use crate::raw::DispatcherHeader;

/// A thread's identifier: a non-zero multiple of four, as NT's are; zero is the machine's idle thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadId(pub u32);

/// Bytes of a thread object. What follows the dispatcher header is zero: no public header describes it.
const OBJECT_SIZE: usize = 0x400;
/// Tag of thread objects.
pub(crate) const THREAD_TAG: u32 = u32::from_le_bytes(*b"Thre");
/// Offset of [`Thread::executive_event`], before [`Thread::scratch`].
const EXECUTIVE_EVENT: u64 = (OBJECT_SIZE - 8 - size_of::<abi::KEVENT>()) as u64;

/// Offset of [`Thread::reply_event`].
const REPLY_EVENT: u64 = EXECUTIVE_EVENT - size_of::<abi::KEVENT>() as u64;

/// Priority of a new thread, as NT gives system threads.
const PRIORITY: i32 = 8;
/// The lowest and highest priorities that `KeSetPriorityThread` takes.
const PRIORITIES: std::ops::RangeInclusive<i32> = 1..=31;

/// What a room above keeps in a thread.
type Kept = Arc<dyn Any + Send + Sync>;

/// A thread of a machine.
#[derive(Debug)]
pub struct Thread {
    /// Its identifier.
    pub id: ThreadId,
    /// Identifier of the process that it belongs to.
    pub process_id: u32,
    /// Where its driver code runs.
    pub stack: KernelStack,
    /// Whether it is a system thread (`PsIsSystemThread`).
    pub is_system: bool,
    /// Whether the present system service was called by kernel code, as a driver's Zw routine is.
    called_by_kernel: AtomicBool,
    pub(super) object: u64,
    /// Where the object's memory goes back to.
    pool: Arc<Pool>,
    waiter: Arc<Waiter>,
    /// The processor that it owns. Changed by the thread itself only.
    processor: AtomicU32,
    in_dpc: AtomicBool,
    priority: AtomicI32,
    exit_status: AtomicU32,
    created: u64,
    process_ends: AtomicBool,
    held: HeldSpinLocks,
    /// Whom it impersonates: `ps`'s matter.
    client: Mutex<Option<Kept>>,
}

impl Thread {
    /// A thread with an object of its own, which begins with a dispatcher header that is not signaled until
    /// [`Self::terminate`].
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES` when there is no pool for the object.
    pub fn new(
        kernel: &Kernel,
        id: u32,
        process_id: u32,
        stack: KernelStack,
        is_system: bool,
    ) -> Result<Self, NTSTATUS> {
        let pool = kernel.mm.pool.clone();
        let block = pool
            .allocate_zeroed(OBJECT_SIZE, THREAD_TAG, PoolOwner::default())
            .ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?;
        let object = block.address;
        initialize_header(DispatcherHeader::at(object), ThreadObject, OBJECT_SIZE, 0)
            .map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
        for event in [EXECUTIVE_EVENT, REPLY_EVENT] {
            let event = DispatcherHeader::at(object + event);
            initialize_header(event, abi::EventSynchronizationObject, size_of::<abi::KEVENT>(), 0)
                .map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
        }
        Ok(Self {
            id: ThreadId(id),
            process_id,
            stack,
            is_system,
            called_by_kernel: AtomicBool::new(is_system),
            object,
            pool,
            waiter: Arc::new(Waiter::new(object)),
            processor: AtomicU32::new(NO_PROCESSOR),
            in_dpc: AtomicBool::new(false),
            priority: AtomicI32::new(PRIORITY),
            exit_status: AtomicU32::new(abi::STATUS_PENDING.bits()),
            created: kernel.platform.system_time(),
            process_ends: AtomicBool::new(false),
            held: HeldSpinLocks::default(),
            client: Mutex::default(),
        })
    }

    /// Address of its thread object (`PKTHREAD`), which can be waited for.
    #[inline]
    #[must_use]
    pub fn object(&self) -> u64 {
        self.object
    }

    /// When it began, in units of 100 ns since 1601.
    #[must_use]
    pub fn created(&self) -> u64 {
        self.created
    }

    /// Eight bytes of the thread object that the kernel's services use within one call, where driver code can write.
    #[must_use]
    pub fn scratch(&self) -> u64 {
        self.object + OBJECT_SIZE as u64 - 8
    }

    /// A synchronization event in the thread object, on which the executive lets this thread wait.
    #[must_use]
    pub(crate) fn executive_event(&self) -> DispatcherHeader {
        DispatcherHeader::at(self.object + EXECUTIVE_EVENT)
    }

    /// A synchronization event in the thread object, on which this thread waits for messages of ports.
    #[must_use]
    pub(crate) fn reply_event(&self) -> DispatcherHeader {
        DispatcherHeader::at(self.object + REPLY_EVENT)
    }

    /// Whether who called the present system service is kernel code (`ddi: ExGetPreviousMode`): always for system threads,
    /// in an application's thread while a driver's Zw routine runs.
    #[must_use]
    pub fn is_called_by_kernel(&self) -> bool {
        self.called_by_kernel.load(Ordering::Relaxed)
    }

    /// Runs `body`, a system service that kernel code has called.
    pub fn called_by_kernel<R>(&self, body: impl FnOnce() -> R) -> R {
        let before = self.called_by_kernel.swap(true, Ordering::Relaxed);
        let result = body();
        self.called_by_kernel.store(before, Ordering::Relaxed);
        result
    }

    /// Whom it impersonates, in the type of the room that has said so.
    pub(crate) fn client(&self) -> Option<Kept> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says whom it impersonates, and returns whom it did before.
    pub(crate) fn set_client(&self, client: Option<Kept>) -> Option<Kept> {
        let mut slot = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *slot, client)
    }

    pub(super) fn waiter(&self) -> &Arc<Waiter> {
        &self.waiter
    }

    pub(super) fn processor(&self) -> Option<u32> {
        match self.processor.load(Ordering::Relaxed) {
            NO_PROCESSOR => None,
            number => Some(number),
        }
    }

    pub(super) fn set_processor(&self, number: Option<u32>) {
        self.processor.store(number.unwrap_or(NO_PROCESSOR), Ordering::Relaxed);
    }

    /// Whether it is running a DPC now.
    #[must_use]
    pub fn is_in_dpc(&self) -> bool {
        self.in_dpc.load(Ordering::Relaxed)
    }

    pub(super) fn set_in_dpc(&self, in_dpc: bool) -> bool {
        let before = self.is_in_dpc();
        self.in_dpc.store(in_dpc, Ordering::Relaxed);
        before
    }

    /// The spin locks that it holds.
    #[must_use]
    pub fn held_spin_locks(&self) -> &HeldSpinLocks {
        &self.held
    }

    /// What [`Self::terminate`] was told; `STATUS_PENDING` before.
    #[must_use]
    pub fn exit_status(&self) -> NTSTATUS {
        NTSTATUS::from_bits(self.exit_status.load(Ordering::Acquire))
    }

    /// Whether its process ends, or has ended and is forgotten.
    pub(crate) fn process_ends(&self) -> bool {
        self.process_ends.load(Ordering::SeqCst)
    }

    pub(crate) fn set_process_ends(&self) {
        self.process_ends.store(true, Ordering::SeqCst);
    }

    /// Its priority (`ddi: KeQueryPriorityThread`), 1 to 31. It has no effect: Linux decides which thread runs.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.priority.load(Ordering::Relaxed)
    }

    /// Sets the priority and returns the old one (`ddi: KeSetPriorityThread`). Values outside 1 to 31 are brought to
    /// the nearest.
    pub fn set_priority(&self, priority: i32) -> i32 {
        self.priority.swap(priority.clamp(*PRIORITIES.start(), *PRIORITIES.end()), Ordering::Relaxed)
    }

    /// Disables normal kernel APCs (`ddi: KeEnterCriticalRegion`). Nests. IRQL: up to APC_LEVEL.
    pub fn enter_critical_region(&self) {
        self.waiter.kernel_apc_disable.fetch_sub(1, Ordering::Relaxed);
    }

    /// Undoes [`Self::enter_critical_region`] (`ddi: KeLeaveCriticalRegion`).
    pub fn leave_critical_region(&self) {
        self.waiter.kernel_apc_disable.fetch_add(1, Ordering::Relaxed);
    }

    /// Disables all APCs (`ddi: KeEnterGuardedRegion`). Nests. IRQL: up to APC_LEVEL.
    pub fn enter_guarded_region(&self) {
        self.waiter.special_apcs.disable.fetch_sub(1, Ordering::Relaxed);
    }

    /// `CombinedApcDisable`: how often kernel APCs are disabled in the low half, all APCs in the high half, both as
    /// negative numbers.
    pub(super) fn apc_disable(&self) -> u32 {
        let kernel = self.waiter.kernel_apc_disable.load(Ordering::Relaxed).cast_unsigned();
        let special = self.waiter.special_apcs.disable.load(Ordering::Relaxed).cast_unsigned();
        special << 16 | kernel & 0xFFFF
    }

    /// Whether normal kernel APCs are disabled (`ddi: KeAreApcsDisabled`): by a critical or guarded region, by a mutex
    /// that the thread owns, or by its IRQL.
    #[must_use]
    pub fn are_apcs_disabled(&self, irql: u8) -> bool {
        self.waiter.kernel_apc_disable.load(Ordering::Relaxed) != 0 || self.are_all_apcs_disabled(irql)
    }

    /// Whether all APCs are disabled (`ddi: KeAreAllApcsDisabled`): by a guarded region or by its IRQL.
    #[must_use]
    pub fn are_all_apcs_disabled(&self, irql: u8) -> bool {
        self.waiter.special_apcs.disable.load(Ordering::Relaxed) != 0 || irql >= abi::APC_LEVEL
    }

    /// Ends the thread, once its code has returned for good: its object becomes signaled, for good.
    ///
    /// Mutants that it owns are abandoned. A mutex of a driver (`KeInitializeMutex`) among them: bugcheck
    /// THREAD_TERMINATE_HELD_MUTEX. Ended in a critical or guarded region, or at DISPATCH_LEVEL: bugcheck
    /// KERNEL_APC_PENDING_DURING_EXIT.
    pub fn terminate(&self, kernel: &Kernel, status: NTSTATUS) {
        self.exit_status.store(status.bits(), Ordering::Release);
        let at_dispatch = kernel.ke.abandon_processor(kernel, self);
        let disabled = self.leak_of_apc_counts(kernel);
        if at_dispatch || disabled != 0 {
            let irql = if at_dispatch { abi::DISPATCH_LEVEL } else { abi::PASSIVE_LEVEL };
            let count = u64::from(disabled.cast_unsigned());
            kernel.bug_check(abi::KERNEL_APC_PENDING_DURING_EXIT, [0, count, u64::from(irql), 0]);
        }
        if let Err(mutex) = kernel.ke.rundown(kernel, self) {
            kernel.bug_check(abi::THREAD_TERMINATE_HELD_MUTEX, [self.object, mutex, 0, 0]);
        }
    }

    /// How often APCs are still disabled, mutexes that the thread owns not counted: they have a bugcheck of their own.
    fn leak_of_apc_counts(&self, kernel: &Kernel) -> i32 {
        let _lock = kernel.ke.lock(kernel);
        let by_mutexes: i32 = self
            .waiter
            .state()
            .mutants
            .iter()
            .map(|mutant| i32::from(Kmutant::at(*mutant).apc_disable().unwrap_or(0)))
            .sum();
        let critical = self.waiter.kernel_apc_disable.load(Ordering::Relaxed) + by_mutexes;
        if critical != 0 { critical } else { self.waiter.special_apcs.disable.load(Ordering::Relaxed) }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // A driver that overran its own block beside it has made the object unfreeable; it stays for the report.
        let _overrun = self.pool.free(self.object);
    }
}

impl Dispatcher {
    /// Abandons the thread's mutants and signals its object. Fails with the address of a driver's mutex among them.
    fn rundown(&self, kernel: &Kernel, thread: &Thread) -> Result<(), u64> {
        let mut held = None;
        let mut wakes = Wakes::default();
        let mut state = self.lock(kernel);
        let mutants = std::mem::take(&mut thread.waiter.state().mutants);
        for address in mutants {
            // Others are no longer this thread's, or no longer there: a driver uses the memory for something else.
            if let Ok(Some(apc_disable)) = Kmutant::at(address).abandon(thread.object) {
                if apc_disable != 0 {
                    held = held.or(Some(address));
                }
                let _unreadable = release_waiters(&mut state, address, &mut wakes);
            }
        }
        queue::leave(&mut state, thread.waiter(), &mut wakes);
        let header = DispatcherHeader::at(thread.object);
        let _own_memory = header.set_signal_state(1);
        let _own_memory = release_waiters(&mut state, thread.object, &mut wakes);
        drop(state);
        wakes.wake(kernel);
        held.map_or(Ok(()), Err)
    }
}
