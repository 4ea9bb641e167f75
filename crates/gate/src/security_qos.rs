//! `SecurityQos`: what an application allows those whom it opens, as it travels.

use abi::NTSTATUS;

/// A SECURITY_QUALITY_OF_SERVICE: how far a driver or server may go with the token of who opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecurityQos {
    /// SECURITY_IMPERSONATION_LEVEL: 0 anonymous, 1 identification, 2 impersonation, 3 delegation.
    pub level: u32,
    /// SECURITY_DYNAMIC_TRACKING.
    pub dynamic_tracking: bool,
    /// Only what is enabled in the token is passed on.
    pub effective_only: bool,
}

/// Where the level stands among `CreateFile`'s flags.
const LEVEL_SHIFT: u32 = 16;

impl SecurityQos {
    /// As among `CreateFile`'s flags: SECURITY_SQOS_PRESENT with the others. Of a level that is none, the two bits that there are.
    #[must_use]
    pub fn to_flags(self) -> u32 {
        let tracking = if self.dynamic_tracking { abi::SECURITY_CONTEXT_TRACKING } else { 0 };
        let effective_only = if self.effective_only { abi::SECURITY_EFFECTIVE_ONLY } else { 0 };
        let level = self.level << LEVEL_SHIFT & abi::SECURITY_DELEGATION;
        abi::SECURITY_SQOS_PRESENT | level | tracking | effective_only
    }

    /// From such flags; `None` without SECURITY_SQOS_PRESENT, where the others mean nothing.
    ///
    /// # Errors
    /// `STATUS_INVALID_PARAMETER` for bits that are none of these.
    pub fn from_flags(flags: u32) -> Result<Option<Self>, NTSTATUS> {
        const VALID: u32 = abi::SECURITY_SQOS_PRESENT
            | abi::SECURITY_DELEGATION
            | abi::SECURITY_CONTEXT_TRACKING
            | abi::SECURITY_EFFECTIVE_ONLY;
        if flags & !VALID != 0 {
            return Err(abi::STATUS_INVALID_PARAMETER);
        }
        Ok((flags & abi::SECURITY_SQOS_PRESENT != 0).then_some(Self {
            level: (flags & abi::SECURITY_DELEGATION) >> LEVEL_SHIFT,
            dynamic_tracking: flags & abi::SECURITY_CONTEXT_TRACKING != 0,
            effective_only: flags & abi::SECURITY_EFFECTIVE_ONLY != 0,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quality_of_service_survives_its_flags_and_other_flags_are_refused() {
        for bits in 0..16 {
            let qos = SecurityQos {
                level: bits & 3,
                dynamic_tracking: bits & 4 != 0,
                effective_only: bits & 8 != 0,
            };
            assert_eq!(SecurityQos::from_flags(qos.to_flags()), Ok(Some(qos)));
        }
        assert_eq!(SecurityQos::from_flags(0), Ok(None));
        assert_eq!(
            SecurityQos::from_flags(abi::SECURITY_DELEGATION),
            Ok(None),
            "SECURITY_SQOS_PRESENT says that they count"
        );
        for bit in (0..16).chain(21..32) {
            let flags = abi::SECURITY_SQOS_PRESENT | 1 << bit;
            assert_eq!(SecurityQos::from_flags(flags), Err(abi::STATUS_INVALID_PARAMETER));
        }
    }
}
