//! How far a server may go for a client: SECURITY_IMPERSONATION_LEVEL and SECURITY_QUALITY_OF_SERVICE, as values.

use std::mem::offset_of;

use abi::{NTSTATUS, SECURITY_QUALITY_OF_SERVICE};

use crate::raw::{self, Outcome};

const LENGTH: u64 = offset_of!(SECURITY_QUALITY_OF_SERVICE, Length) as u64;
const LEVEL: u64 = offset_of!(SECURITY_QUALITY_OF_SERVICE, ImpersonationLevel) as u64;
const TRACKING: u64 = offset_of!(SECURITY_QUALITY_OF_SERVICE, ContextTrackingMode) as u64;
const EFFECTIVE_ONLY: u64 = offset_of!(SECURITY_QUALITY_OF_SERVICE, EffectiveOnly) as u64;

/// How far a server may go with a client's token (SECURITY_IMPERSONATION_LEVEL).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Level {
    /// It does not learn who the client is.
    Anonymous = abi::SecurityAnonymous.cast_unsigned(),
    /// It may look at the token, and open nothing with it.
    Identification = abi::SecurityIdentification.cast_unsigned(),
    /// It may open on this system what the client may open.
    #[default]
    Impersonation = abi::SecurityImpersonation.cast_unsigned(),
    /// On others too; here no more than [`Self::Impersonation`].
    Delegation = abi::SecurityDelegation.cast_unsigned(),
}

impl Level {
    /// In the order of their values.
    const ALL: [Self; 4] = [Self::Anonymous, Self::Identification, Self::Impersonation, Self::Delegation];

    /// From a SECURITY_IMPERSONATION_LEVEL; `None` for values that are none.
    #[must_use]
    pub fn new(value: u32) -> Option<Self> {
        Self::ALL.get(value as usize).copied()
    }

    /// As a SECURITY_IMPERSONATION_LEVEL.
    #[must_use]
    pub fn value(self) -> u32 {
        self as u32
    }

    /// Whether objects may be opened with a token at this level.
    #[must_use]
    pub fn may_open(self) -> bool {
        self >= Self::Impersonation
    }
}

/// What a client allows its server (SECURITY_QUALITY_OF_SERVICE). A client that says nothing allows impersonation, with its
/// token as it is at the time. (Confirm: "Impersonation Levels" gives the level; that tracking is dynamic then is what is
/// reported.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QualityOfService {
    /// How far.
    pub level: Level,
    /// SECURITY_DYNAMIC_TRACKING: the server sees what the client is when it asks, not what it was when it connected.
    pub dynamic_tracking: bool,
    /// Only what is enabled in the token is passed on.
    pub effective_only: bool,
}

impl Default for QualityOfService {
    fn default() -> Self {
        Self { level: Level::default(), dynamic_tracking: true, effective_only: false }
    }
}

impl QualityOfService {
    /// Reads a SECURITY_QUALITY_OF_SERVICE; `Ok(Err)` is STATUS_INVALID_PARAMETER for one of another length, and
    /// STATUS_BAD_IMPERSONATION_LEVEL for a level that is none. (Confirm: which statuses.)
    ///
    /// # Errors
    /// An access violation.
    pub fn read(address: u64) -> Outcome<Result<Self, NTSTATUS>> {
        let length: u32 = raw::read(address.wrapping_add(LENGTH))?;
        if length as usize != size_of::<SECURITY_QUALITY_OF_SERVICE>() {
            return Ok(Err(abi::STATUS_INVALID_PARAMETER));
        }
        let Some(level) = Level::new(raw::read(address.wrapping_add(LEVEL))?) else {
            return Ok(Err(abi::STATUS_BAD_IMPERSONATION_LEVEL));
        };
        Ok(Ok(Self {
            level,
            dynamic_tracking: raw::read::<u8>(address.wrapping_add(TRACKING))? != 0,
            effective_only: raw::read::<u8>(address.wrapping_add(EFFECTIVE_ONLY))? != 0,
        }))
    }

    /// Writes a SECURITY_QUALITY_OF_SERVICE.
    ///
    /// # Errors
    /// An access violation.
    pub fn write(&self, address: u64) -> Outcome<()> {
        let length = size_of::<SECURITY_QUALITY_OF_SERVICE>();
        raw::write(address.wrapping_add(LENGTH), u32::try_from(length).unwrap_or(0))?;
        raw::write(address.wrapping_add(LEVEL), self.level.value())?;
        raw::write(address.wrapping_add(TRACKING), u8::from(self.dynamic_tracking))?;
        raw::write(address.wrapping_add(EFFECTIVE_ONLY), u8::from(self.effective_only))
    }
}
