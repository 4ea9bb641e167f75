//! Who the application is and whom it acts for: `Token`, `impersonate_self`, `revert_to_self`, and `SecurityQos`, what it
//! allows those whom it opens.

use std::fmt;

use crate::error::Win32Error;
use crate::sys::{self, Handle, Transport};

/// How far a server may go with a client's token (SECURITY_IMPERSONATION_LEVEL).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImpersonationLevel {
    /// It does not learn who the client is.
    Anonymous,
    /// It may look at the token, and open nothing with it.
    Identification,
    /// It may open on this system what the client may open.
    #[default]
    Impersonation,
    /// On others too.
    Delegation,
}

impl ImpersonationLevel {
    /// In the order of their values.
    const ALL: [Self; 4] = [Self::Anonymous, Self::Identification, Self::Impersonation, Self::Delegation];

    fn new(value: u32) -> Option<Self> {
        Self::ALL.get(value as usize).copied()
    }

    pub(crate) fn value(self) -> u32 {
        self as u32
    }
}

/// What the application allows those whom it opens (SECURITY_QUALITY_OF_SERVICE): an argument of
/// [`OpenOptions::security_qos`](crate::OpenOptions::security_qos).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecurityQos {
    /// SECURITY_ANONYMOUS, SECURITY_IDENTIFICATION, SECURITY_IMPERSONATION, SECURITY_DELEGATION.
    pub level: ImpersonationLevel,
    /// SECURITY_CONTEXT_TRACKING: they see what the application is when they ask, not what it was when it opened them.
    pub context_tracking: bool,
    /// SECURITY_EFFECTIVE_ONLY: only what is enabled in the token is passed on.
    pub effective_only: bool,
}

impl SecurityQos {
    /// As `CreateFile` takes it, with SECURITY_SQOS_PRESENT.
    pub(crate) fn flags(self) -> u32 {
        let level = match self.level {
            ImpersonationLevel::Anonymous => abi::SECURITY_ANONYMOUS,
            ImpersonationLevel::Identification => abi::SECURITY_IDENTIFICATION,
            ImpersonationLevel::Impersonation => abi::SECURITY_IMPERSONATION,
            ImpersonationLevel::Delegation => abi::SECURITY_DELEGATION,
        };
        let tracking = if self.context_tracking { abi::SECURITY_CONTEXT_TRACKING } else { 0 };
        let effective_only = if self.effective_only { abi::SECURITY_EFFECTIVE_ONLY } else { 0 };
        abi::SECURITY_SQOS_PRESENT | level | tracking | effective_only
    }
}

/// A security identifier. It is shown as `ConvertSidToStringSid` does: `S-1-5-18`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sid(Vec<u8>);

impl Sid {
    /// From its bytes (`SID`); `None` when they are not one, and no more.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        const HEAD: usize = 8;
        let count = usize::from(*bytes.get(1)?);
        let sound = bytes[0] == abi::SID_REVISION
            && count <= usize::from(abi::SID_MAX_SUB_AUTHORITIES)
            && bytes.len() == HEAD + count * 4;
        sound.then(|| Self(bytes.to_vec()))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, parts) = self.0.split_at(8);
        let authority = head[2..].iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        write!(formatter, "S-{}-", head[0])?;
        // What does not fit 32 bits is shown in hexadecimal.
        if authority > u64::from(u32::MAX) {
            write!(formatter, "{authority:#014X}")?;
        } else {
            write!(formatter, "{authority}")?;
        }
        let (parts, _) = parts.as_chunks::<4>();
        parts.iter().try_for_each(|part| write!(formatter, "-{}", u32::from_le_bytes(*part)))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sid({self})")
    }
}

/// An access token: who somebody is. Dropping it closes its handle.
pub struct Token<'a> {
    transport: &'a dyn Transport,
    handle: Handle,
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Token").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl<'a> Token<'a> {
    /// `OpenProcessToken` of the calling process, to look at it and to duplicate it.
    ///
    /// # Errors
    /// ERROR_BAD_IMPERSONATION_LEVEL (1346) while the thread acts for a client that it may look at only; ERROR_ACCESS_DENIED
    /// (5) while it acts for one that may not open it.
    pub fn of_process(transport: &'a dyn Transport) -> Result<Self, Win32Error> {
        let handle = sys::open_process_token(transport, abi::TOKEN_QUERY | abi::TOKEN_DUPLICATE)?;
        Ok(Self { transport, handle })
    }

    /// `OpenThreadToken` of the calling thread: the token of the client that it acts for, to look at it, to duplicate it and to
    /// impersonate with it. `open_as_self`: whether the process, not the client, is to have the rights for that.
    ///
    /// # Errors
    /// ERROR_NO_TOKEN (1008) when it acts for nobody; ERROR_CANT_OPEN_ANONYMOUS (1347) for an anonymous client;
    /// ERROR_BAD_IMPERSONATION_LEVEL (1346) without `open_as_self` for a client that it may look at only; ERROR_ACCESS_DENIED (5).
    pub fn of_thread(transport: &'a dyn Transport, open_as_self: bool) -> Result<Self, Win32Error> {
        let access = abi::TOKEN_QUERY | abi::TOKEN_DUPLICATE | abi::TOKEN_IMPERSONATE;
        let handle = sys::open_thread_token(transport, access, open_as_self)?;
        Ok(Self { transport, handle })
    }

    /// The handle's value.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// `GetTokenInformation(TokenUser)`.
    ///
    /// # Errors
    /// That the machine has stopped or the host is gone.
    pub fn user(&self) -> Result<Sid, Win32Error> {
        let sid = sys::token_user(self.transport, self.handle)?;
        Sid::from_bytes(&sid)
            .ok_or_else(|| Win32Error::new("GetTokenInformation", "", abi::STATUS_INVALID_SID))
    }

    /// `GetTokenInformation(TokenType)`, `(TokenImpersonationLevel)`: how far an impersonation token goes; `None` for a primary
    /// token.
    ///
    /// # Errors
    /// That the machine has stopped or the host is gone.
    pub fn impersonation_level(&self) -> Result<Option<ImpersonationLevel>, Win32Error> {
        let kind = sys::token_word(self.transport, self.handle, abi::TokenType)?;
        if kind == abi::TokenPrimary.cast_unsigned() {
            return Ok(None);
        }
        let level = sys::token_word(self.transport, self.handle, abi::TokenImpersonationLevel)?;
        Ok(ImpersonationLevel::new(level))
    }

    /// `GetTokenInformation(TokenElevation)`: whether it has an administrator's rights.
    ///
    /// # Errors
    /// That the machine has stopped or the host is gone.
    pub fn is_elevated(&self) -> Result<bool, Win32Error> {
        sys::token_word(self.transport, self.handle, abi::TokenElevation).map(|word| word != 0)
    }

    /// `DuplicateToken`: an impersonation token of the same user.
    ///
    /// # Errors
    /// ERROR_BAD_IMPERSONATION_LEVEL (1346) for one that goes further than this.
    pub fn duplicate(&self, level: ImpersonationLevel) -> Result<Self, Win32Error> {
        let handle = sys::duplicate_token(self.transport, self.handle, level.value())?;
        Ok(Self { transport: self.transport, handle })
    }

    /// `SetThreadToken` of the calling thread, which acts with this token until [`revert_to_self`].
    ///
    /// # Errors
    /// ERROR_BAD_TOKEN_TYPE (1349) for a primary token; ERROR_NO_SYSTEM_RESOURCES (1450) in a process with more threads than
    /// its session has slots.
    pub fn impersonate(&self) -> Result<(), Win32Error> {
        sys::set_thread_token(self.transport, Some(self.handle))
    }
}

impl Drop for Token<'_> {
    fn drop(&mut self) {
        // Fails only when there is no kernel any more.
        let _closed = sys::close(self.transport, self.handle);
    }
}

/// `ImpersonateSelf`: the calling thread acts with a copy of its process's token, so that this token can be lowered for it
/// alone.
///
/// # Errors
/// As for [`Token::of_process`] and [`Token::impersonate`].
pub fn impersonate_self(transport: &dyn Transport, level: ImpersonationLevel) -> Result<(), Win32Error> {
    Token::of_process(transport)?.duplicate(level)?.impersonate()
}

/// `RevertToSelf`: the calling thread acts for its process again. Without a client it does nothing.
///
/// # Errors
/// That the machine has stopped or the host is gone.
pub fn revert_to_self(transport: &dyn Transport) -> Result<(), Win32Error> {
    sys::set_thread_token(transport, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_is_shown_as_windows_shows_it() {
        let shown = |bytes: &[u8]| Sid::from_bytes(bytes).map(|sid| sid.to_string());
        assert_eq!(shown(&[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]).as_deref(), Some("S-1-5-18"));
        let administrators = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
        assert_eq!(shown(&administrators).as_deref(), Some("S-1-5-32-544"));
        assert_eq!(shown(&[1, 0, 1, 2, 3, 4, 5, 6]).as_deref(), Some("S-1-0x010203040506"));
        for torn in [&administrators[..15], &[1], &[2, 0, 0, 0, 0, 0, 0, 5], &[1, 16, 0, 0, 0, 0, 0, 5]] {
            assert_eq!(shown(torn), None);
        }
    }

    #[test]
    fn a_quality_of_service_is_create_files_flags() {
        let qos = SecurityQos::default();
        assert_eq!(qos.flags(), 0x12_0000);
        let all = SecurityQos {
            level: ImpersonationLevel::Delegation,
            context_tracking: true,
            effective_only: true,
        };
        assert_eq!(all.flags(), 0x1F_0000);
        let none = SecurityQos { level: ImpersonationLevel::Anonymous, ..qos };
        assert_eq!(none.flags(), 0x10_0000);
    }
}
