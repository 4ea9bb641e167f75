//! Mutants, semaphores and timers that handles and names can stand for: Win32's mutexes, semaphores and waitable timers. How they work is
//! `ke`'s.

use std::any::Any;
use std::sync::Arc;

use abi::NTSTATUS;

use crate::ke::{Kmutant, Ksemaphore, Ktimer, Thread};
use crate::mm::PoolOwner;
use crate::ob::{self, Name, Object, ObjectBody, ObjectType};
use crate::ps::{self, Process};
use crate::raw::Outcome;
use crate::{Kernel, Unwind};

/// Tag of these objects.
const TAG: u32 = u32::from_le_bytes(*b"Sync");

/// What is to be made, and how it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronization {
    /// `NtCreateMutant`.
    Mutant {
        /// Whether the calling thread owns it from the start.
        initial_owner: bool,
    },
    /// `NtCreateSemaphore`.
    Semaphore {
        /// Its count.
        initial: i32,
        /// The count that it never passes.
        maximum: i32,
    },
    /// `NtCreateTimer`.
    Timer {
        /// NotificationTimer or SynchronizationTimer.
        timer_type: i32,
    },
}

/// The types of these objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SynchronizationKind {
    /// A mutant.
    Mutant,
    /// A semaphore.
    Semaphore,
    /// A timer.
    Timer,
}

impl Synchronization {
    /// Its type.
    #[must_use]
    pub fn kind(self) -> SynchronizationKind {
        match self {
            Self::Mutant { .. } => SynchronizationKind::Mutant,
            Self::Semaphore { .. } => SynchronizationKind::Semaphore,
            Self::Timer { .. } => SynchronizationKind::Timer,
        }
    }
}

impl SynchronizationKind {
    fn object_type(self) -> ObjectType {
        let (name, all) = match self {
            Self::Mutant => ("Mutant", abi::MUTANT_ALL_ACCESS),
            Self::Semaphore => ("Semaphore", abi::SEMAPHORE_ALL_ACCESS),
            Self::Timer => ("Timer", abi::TIMER_ALL_ACCESS),
        };
        // Query state to read; modify state, where there is such a right, to write; SYNCHRONIZE to execute.
        ObjectType { name, parses: false, generic_mapping: [0x2_0001, 0x2_0000 | all & 2, 0x12_0000, all] }
    }
}

/// What such an object's room keeps: its type; the rest its dispatcher object says.
struct Body(SynchronizationKind);

impl ObjectBody for Body {
    fn object_type(&self) -> ObjectType {
        self.0.object_type()
    }

    fn delete(&self, kernel: &Kernel, object: &Object) {
        match self.0 {
            SynchronizationKind::Mutant => disown(kernel, Kmutant::at(object.address)),
            SynchronizationKind::Semaphore => {}
            SynchronizationKind::Timer => {
                let _whether_it_was_set = kernel.ke.cancel_timer(kernel, Ktimer::at(object.address));
            }
        }
        // What a driver did to it is reported with its own blocks.
        let _freed_by_driver = kernel.mm.pool.free(object.address);
    }

    fn waits_on(&self, object: &Object) -> Option<u64> {
        Some(object.address)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A mutant that nobody has a handle of any more may still have an owner.
fn disown(kernel: &Kernel, mutant: Kmutant) {
    let owner = mutant.owner().unwrap_or(0);
    if owner != 0
        && let Some(thread) = ps::thread_at(kernel, owner)
    {
        kernel.ke.disown_mutant(kernel, &thread, mutant);
    }
}

fn size(kind: SynchronizationKind) -> usize {
    match kind {
        SynchronizationKind::Mutant => size_of::<abi::KMUTANT>(),
        SynchronizationKind::Semaphore => size_of::<abi::KSEMAPHORE>(),
        SynchronizationKind::Timer => size_of::<abi::KTIMER>(),
    }
}

/// `NtCreateMutant`, `NtCreateSemaphore`, `NtCreateTimer`: a handle of `process` to a new object, or with [`Name::open_if`] to the one that
/// has the name (then true, and nobody comes to own it). PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` for a semaphore's count below zero or above its maximum, a maximum below one; for another timer type
/// than the two; as for [`ob::create_named`].
pub fn create_synchronization(
    kernel: &Kernel,
    process: &Process,
    thread: &Thread,
    name: Name<'_>,
    wanted: Synchronization,
) -> Result<(u32, bool), NTSTATUS> {
    match wanted {
        Synchronization::Semaphore { initial, maximum }
            if maximum < 1 || !(0..=maximum).contains(&initial) =>
        {
            return Err(abi::STATUS_INVALID_PARAMETER);
        }
        Synchronization::Timer { timer_type }
            if !matches!(timer_type, abi::NotificationTimer | abi::SynchronizationTimer) =>
        {
            return Err(abi::STATUS_INVALID_PARAMETER);
        }
        _ => {}
    }
    let kind = wanted.kind();
    let block = kernel.mm.pool.allocate_zeroed(size(kind), TAG, PoolOwner::default());
    let address = block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?.address;
    let ke = &kernel.ke;
    let made = match wanted {
        Synchronization::Mutant { initial_owner } => {
            ke.initialize_mutant(kernel, Kmutant::at(address), initial_owner.then_some(thread))
        }
        Synchronization::Semaphore { initial, maximum } => {
            ke.initialize_semaphore(Ksemaphore::at(address), initial, maximum)
        }
        Synchronization::Timer { timer_type } => ke.initialize_timer(kernel, Ktimer::at(address), timer_type),
    };
    made.map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    let object: Arc<Object> = Object::new(address, Body(kind));
    kernel.ob.remember(&object);
    ob::create_named(kernel, process, &object, name)
}

/// `NtOpenMutant`, `NtOpenSemaphore`, `NtOpenTimer`. PASSIVE_LEVEL.
///
/// # Errors
/// As for [`ob::open_named`].
pub fn open_synchronization(
    kernel: &Kernel,
    process: &Process,
    name: Name<'_>,
    kind: SynchronizationKind,
) -> Result<u32, NTSTATUS> {
    ob::open_named(kernel, process, kind.object_type().name, name)
}

fn with_object<R>(
    kernel: &Kernel,
    process: &Process,
    handle: u32,
    (kind, access): (SynchronizationKind, u32),
    body: impl FnOnce(u64) -> Outcome<R>,
) -> Result<R, NTSTATUS> {
    let object = ob::reference_own(process, handle, Some(kind.object_type().name), access)?;
    let done = body(object.address);
    object.dereference(kernel);
    done.map_err(|unwind| match unwind {
        Unwind::Raise(raise) => raise.record.ExceptionCode,
        Unwind::Exit(_) | Unwind::Halt => abi::STATUS_DEVICE_NOT_CONNECTED,
    })
}

/// `NtReleaseMutant`, by `thread`; the state before. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_MUTANT_NOT_OWNED`; as for [`ob::reference_own`], which asks for no right.
pub fn release_mutant(
    kernel: &Kernel,
    process: &Process,
    thread: &Thread,
    handle: u32,
) -> Result<i32, NTSTATUS> {
    let released = with_object(kernel, process, handle, (SynchronizationKind::Mutant, 0), |address| {
        kernel.ke.release_mutex(kernel, thread, Kmutant::at(address))
    });
    // That somebody has abandoned it is no news to who does not own it.
    released.map_err(
        |status| {
            if status == abi::STATUS_ABANDONED { abi::STATUS_MUTANT_NOT_OWNED } else { status }
        },
    )
}

/// `NtReleaseSemaphore`; the count before. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` for less than one; `STATUS_SEMAPHORE_LIMIT_EXCEEDED`, and the count stays; as for [`ob::reference_own`], which asks
/// for SEMAPHORE_MODIFY_STATE.
pub fn release_semaphore(
    kernel: &Kernel,
    process: &Process,
    handle: u32,
    count: i32,
) -> Result<i32, NTSTATUS> {
    if count < 1 {
        return Err(abi::STATUS_INVALID_PARAMETER);
    }
    let wanted = (SynchronizationKind::Semaphore, abi::SEMAPHORE_MODIFY_STATE);
    with_object(kernel, process, handle, wanted, |address| {
        let increment = i32::from(abi::SEMAPHORE_INCREMENT);
        kernel.ke.release_semaphore(kernel, Ksemaphore::at(address), increment, count)
    })
}

/// `NtSetTimer`, or without a due time `NtCancelTimer`: as [`crate::ke::Dispatcher::set_timer_ex`]; a timer that is set is no longer signaled.
/// Whether it was set. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` for a period below zero; as for [`ob::reference_own`], which asks for TIMER_MODIFY_STATE.
pub fn set_timer(
    kernel: &Kernel,
    process: &Process,
    handle: u32,
    due_time: Option<i64>,
    period: i32,
) -> Result<bool, NTSTATUS> {
    if period < 0 {
        return Err(abi::STATUS_INVALID_PARAMETER);
    }
    let wanted = (SynchronizationKind::Timer, abi::TIMER_MODIFY_STATE);
    with_object(kernel, process, handle, wanted, |address| {
        let timer = Ktimer::at(address);
        match due_time {
            Some(due_time) => kernel.ke.set_timer_ex(kernel, timer, due_time, period, 0),
            None => kernel.ke.cancel_timer(kernel, timer),
        }
    })
}
