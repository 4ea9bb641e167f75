//! System calls on mutants, semaphores and timers, and how they travel.

use super::low;
use super::wire::{MOST_WORDS, Tail};
use crate::transport::Handle;

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
        /// NotificationTimer (0), SynchronizationTimer (1).
        timer_type: i32,
    },
}

/// The type of what is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SynchronizationKind {
    /// `NtOpenMutant`.
    Mutant,
    /// `NtOpenSemaphore`.
    Semaphore,
    /// `NtOpenTimer`.
    Timer,
}

/// A system call on one of these objects. A thread that shares its slot owns no mutant for longer than a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SynchronizationCall<'a> {
    /// Information 1: the name existed, and its object was opened.
    Create {
        /// NT path in UTF-16; empty for none.
        name: &'a [u16],
        /// Access mask.
        desired_access: u32,
        /// What.
        object: Synchronization,
    },
    /// Opens by name.
    Open {
        /// NT path in UTF-16.
        name: &'a [u16],
        /// Access mask.
        desired_access: u32,
        /// What.
        kind: SynchronizationKind,
    },
    /// `NtReleaseMutant`. Information: the state before, 32 bits.
    ReleaseMutant {
        /// The mutant.
        handle: Handle,
    },
    /// `NtReleaseSemaphore`. Information: the count before.
    ReleaseSemaphore {
        /// The semaphore.
        handle: Handle,
        /// What is added to its count.
        count: i32,
    },
    /// `NtSetTimer`, `NtCancelTimer`. Information: whether it was set.
    SetTimer {
        /// The timer.
        handle: Handle,
        /// As for waits, in units of 100 ns: negative relative to now. `None` cancels.
        due_time: Option<i64>,
        /// Milliseconds; 0 for once.
        period: i32,
    },
}

const CREATE: u32 = 91;
const OPEN: u32 = 92;
const RELEASE_MUTANT: u32 = 93;
const RELEASE_SEMAPHORE: u32 = 94;
const SET_TIMER: u32 = 95;

/// The numbers of these calls.
pub(super) const NUMBERS: std::ops::RangeInclusive<u32> = CREATE..=SET_TIMER;

const MUTANT: u64 = 0;
const SEMAPHORE: u64 = 1;
const TIMER: u64 = 2;

fn number(value: i32) -> u64 {
    value.cast_unsigned().into()
}

/// Call number, handle, words (as many as are used), tail.
pub(super) fn encode<'a>(
    call: &SynchronizationCall<'a>,
    words: &mut [u64; MOST_WORDS],
) -> (u32, Handle, usize, Tail<'a>) {
    let none = Handle(0);
    let mut fill = |values: &[u64]| {
        words[..values.len()].copy_from_slice(values);
        values.len()
    };
    match *call {
        SynchronizationCall::Create { name, desired_access, object } => {
            let [kind, first, second] = match object {
                Synchronization::Mutant { initial_owner } => [MUTANT, initial_owner.into(), 0],
                Synchronization::Semaphore { initial, maximum } => {
                    [SEMAPHORE, number(initial), number(maximum)]
                }
                Synchronization::Timer { timer_type } => [TIMER, number(timer_type), 0],
            };
            (CREATE, none, fill(&[desired_access.into(), kind, first, second]), Tail::Name(name))
        }
        SynchronizationCall::Open { name, desired_access, kind } => {
            let kind = match kind {
                SynchronizationKind::Mutant => MUTANT,
                SynchronizationKind::Semaphore => SEMAPHORE,
                SynchronizationKind::Timer => TIMER,
            };
            (OPEN, none, fill(&[desired_access.into(), kind]), Tail::Name(name))
        }
        SynchronizationCall::ReleaseMutant { handle } => (RELEASE_MUTANT, handle, 0, Tail::Nothing),
        SynchronizationCall::ReleaseSemaphore { handle, count } => {
            (RELEASE_SEMAPHORE, handle, fill(&[number(count)]), Tail::Nothing)
        }
        SynchronizationCall::SetTimer { handle, due_time, period } => {
            let has = u64::from(due_time.is_some());
            let values = [has, due_time.unwrap_or(0).cast_unsigned(), number(period)];
            (SET_TIMER, handle, fill(&values), Tail::Nothing)
        }
    }
}

/// Words that a call has.
pub(super) fn word_count(number: u32) -> usize {
    match number {
        CREATE => 4,
        SET_TIMER => 3,
        OPEN => 2,
        RELEASE_SEMAPHORE => 1,
        _ => 0,
    }
}

/// Whether a name follows.
pub(super) fn has_name(number: u32) -> bool {
    matches!(number, CREATE | OPEN)
}

/// `None` for a type that there is not.
pub(super) fn read<'a>(
    call: u32,
    handle: Handle,
    word: &dyn Fn(usize) -> u64,
    name: &'a [u16],
) -> Option<SynchronizationCall<'a>> {
    let signed = |index: usize| low(word(index)).cast_signed();
    let desired_access = low(word(0));
    Some(match call {
        CREATE => {
            let object = match word(1) {
                MUTANT => Synchronization::Mutant { initial_owner: word(2) != 0 },
                SEMAPHORE => Synchronization::Semaphore { initial: signed(2), maximum: signed(3) },
                TIMER => Synchronization::Timer { timer_type: signed(2) },
                _ => return None,
            };
            SynchronizationCall::Create { name, desired_access, object }
        }
        OPEN => {
            let kind = match word(1) {
                MUTANT => SynchronizationKind::Mutant,
                SEMAPHORE => SynchronizationKind::Semaphore,
                TIMER => SynchronizationKind::Timer,
                _ => return None,
            };
            SynchronizationCall::Open { name, desired_access, kind }
        }
        RELEASE_MUTANT => SynchronizationCall::ReleaseMutant { handle },
        RELEASE_SEMAPHORE => SynchronizationCall::ReleaseSemaphore { handle, count: signed(0) },
        SET_TIMER => {
            let due_time = (word(0) != 0).then(|| word(1).cast_signed());
            SynchronizationCall::SetTimer { handle, due_time, period: signed(2) }
        }
        _ => return None,
    })
}
