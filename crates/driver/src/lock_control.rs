//! IRP_MJ_LOCK_CONTROL: ranges of bytes that files keep to themselves.

use abi::{
    IRP_MN_LOCK, IRP_MN_UNLOCK_ALL, IRP_MN_UNLOCK_ALL_BY_KEY, IRP_MN_UNLOCK_SINGLE, NTSTATUS,
    SL_EXCLUSIVE_LOCK, SL_FAIL_IMMEDIATELY, STATUS_SUCCESS,
};

use crate::irp::{self, Answered, Irp};
use crate::{Contexts, OtherRequest, PassiveLevel, Pendable, Pended};

/// IRP_MJ_LOCK_CONTROL.
#[must_use = "a request is answered"]
pub enum LockControl {
    /// IRP_MN_LOCK.
    Lock(Lock),
    /// IRP_MN_UNLOCK_SINGLE, IRP_MN_UNLOCK_ALL, IRP_MN_UNLOCK_ALL_BY_KEY.
    Unlock(Unlock),
    /// Another minor function.
    Other(OtherRequest),
}

impl LockControl {
    pub(crate) fn new(irp: Irp) -> Self {
        let which = match irp.minor() {
            IRP_MN_LOCK => return Self::Lock(Lock::resume(irp, 0)),
            IRP_MN_UNLOCK_SINGLE => {
                let (range, key) = range_of(&irp);
                Unlocked::Single { range, key }
            }
            IRP_MN_UNLOCK_ALL => Unlocked::All,
            IRP_MN_UNLOCK_ALL_BY_KEY => Unlocked::AllByKey(range_of(&irp).1),
            _ => return Self::Other(OtherRequest::new(irp)),
        };
        Self::Unlock(Unlock { irp, which })
    }

    /// Answers with a failure.
    pub fn fail(self, status: NTSTATUS) -> Answered {
        match self {
            Self::Lock(request) => request.fail(status),
            Self::Unlock(request) => request.fail(status),
            Self::Other(request) => request.fail(status),
        }
    }
}

/// Bytes of a file, as an application has named them: nobody has checked them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockRange {
    /// Where they begin.
    pub offset: i64,
    /// How many they are.
    pub length: i64,
}

/// The range and the key of a request.
fn range_of(irp: &Irp) -> (LockRange, u32) {
    let parameters = irp.parameters();
    // SAFETY: a dispatch entry of IRP_MJ_LOCK_CONTROL made `irp`.
    let lock = unsafe { parameters.LockControl };
    // SAFETY: null, or NT's copy of the length, which stays until the request is completed.
    let length = unsafe { lock.Length.as_ref() }.copied().unwrap_or(0);
    (LockRange { offset: lock.ByteOffset, length }, lock.Key)
}

/// IRP_MN_LOCK. A driver answers STATUS_LOCK_NOT_GRANTED when the range is another's and the caller does not wait.
#[must_use = "a request is answered"]
pub struct Lock {
    pub(crate) irp: Irp,
}

impl Lock {
    /// The request again. It has no output.
    pub(crate) fn resume(irp: Irp, _written: usize) -> Self {
        Self { irp }
    }

    #[expect(clippy::unused_self, reason = "as requests that have an output")]
    pub(crate) fn written(&self) -> usize {
        0
    }

    fn flag(&self, flag: u8) -> bool {
        // SAFETY: the location of an IRP that is owned.
        unsafe { self.irp.location().as_ref() }.Flags & flag != 0
    }

    /// Which bytes.
    #[must_use]
    pub fn range(&self) -> LockRange {
        range_of(&self.irp).0
    }

    /// What tells locks of one file apart.
    #[must_use]
    pub fn key(&self) -> u32 {
        range_of(&self.irp).1
    }

    /// SL_EXCLUSIVE_LOCK: nobody else may read there either.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.flag(SL_EXCLUSIVE_LOCK)
    }

    /// SL_FAIL_IMMEDIATELY: the caller does not wait until the range is free.
    #[must_use]
    pub fn fails_immediately(&self) -> bool {
        self.flag(SL_FAIL_IMMEDIATELY)
    }

    /// The contexts of the file.
    #[must_use]
    pub fn contexts(&self) -> Contexts<'_> {
        self.irp.contexts()
    }

    /// For what may wait while this request is carried out.
    ///
    /// # Panics
    ///
    /// When a driver above has sent the request at a higher IRQL, and in a DPC that has it [pended](Pended).
    #[must_use]
    pub fn level(&self) -> PassiveLevel {
        PassiveLevel::expect("a request that waits")
    }

    /// Answers with STATUS_SUCCESS: the range is the file's.
    pub fn complete(self) -> Answered {
        self.irp.answer(STATUS_SUCCESS, 0)
    }

    /// Answers with a failure.
    pub fn fail(self, status: NTSTATUS) -> Answered {
        self.irp.answer(status, 0)
    }

    /// Answers later, as [`Read::pend`](crate::Read::pend).
    pub fn pend(self, hand_over: impl FnOnce(Pended<Self>)) -> Answered {
        let answered = irp::pend(&self.irp);
        hand_over(Pended::new(self));
        answered
    }
}

impl Pendable for Lock {}

impl Pended<Lock> {
    /// Completes the request: the range is the file's.
    pub fn complete(self) {
        self.answer(Lock::complete);
    }
}

/// What an [`Unlock`] gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlocked {
    /// One range, exactly as it was locked.
    Single {
        /// Which bytes.
        range: LockRange,
        /// With which key.
        key: u32,
    },
    /// All of the file's.
    All,
    /// All of the file's with this key.
    AllByKey(u32),
}

/// IRP_MN_UNLOCK_SINGLE and its kin. A driver answers STATUS_RANGE_NOT_LOCKED when there is no such lock.
#[must_use = "a request is answered"]
pub struct Unlock {
    irp: Irp,
    which: Unlocked,
}

impl Unlock {
    /// What is given back.
    #[must_use]
    pub fn which(&self) -> Unlocked {
        self.which
    }

    /// The contexts of the file.
    #[must_use]
    pub fn contexts(&self) -> Contexts<'_> {
        self.irp.contexts()
    }

    /// For what may wait while this request is carried out.
    ///
    /// # Panics
    ///
    /// When a driver above has sent the request at a higher IRQL.
    #[must_use]
    pub fn level(&self) -> PassiveLevel {
        PassiveLevel::expect("a request that waits")
    }

    /// Answers with STATUS_SUCCESS.
    pub fn complete(self) -> Answered {
        self.irp.answer(STATUS_SUCCESS, 0)
    }

    /// Answers with a failure.
    pub fn fail(self, status: NTSTATUS) -> Answered {
        self.irp.answer(status, 0)
    }
}
