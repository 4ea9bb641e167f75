//! SIDs: who somebody is.

use std::fmt;

/// Bytes before the sub-authorities.
pub(super) const HEADER: usize = 8;
/// As many sub-authorities a SID can have.
const MOST: usize = abi::SID_MAX_SUB_AUTHORITIES as usize;

/// A security identifier.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sid {
    /// The issuing authority, 48 bits.
    authority: u64,
    count: usize,
    sub: [u32; MOST],
}

impl Sid {
    /// The SID with this authority (48 bits) and these sub-authorities (at most 15).
    #[must_use]
    pub const fn new<const N: usize>(authority: u64, parts: [u32; N]) -> Self {
        assert!(N <= MOST && authority >> 48 == 0);
        let mut sub = [0; MOST];
        let mut index = 0;
        while index < N {
            sub[index] = parts[index];
            index += 1;
        }
        Self { authority, count: N, sub }
    }

    /// As [`Sid::new`]; `None` when there are too many parts or the authority is too large.
    #[must_use]
    pub fn from_parts(authority: u64, parts: &[u32]) -> Option<Self> {
        let mut sub = [0; MOST];
        sub.get_mut(..parts.len())?.copy_from_slice(parts);
        (authority >> 48 == 0).then_some(Self { authority, count: parts.len(), sub })
    }

    /// Its sub-authorities.
    #[must_use]
    pub fn sub_authorities(&self) -> &[u32] {
        &self.sub[..self.count]
    }

    /// Bytes of its `SID` structure.
    #[must_use]
    pub fn byte_length(&self) -> usize {
        HEADER + self.count * 4
    }

    /// Its `SID` structure.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = u8::try_from(self.count).unwrap_or(abi::SID_MAX_SUB_AUTHORITIES);
        let mut bytes = vec![abi::SID_REVISION, count];
        bytes.extend_from_slice(&self.authority.to_be_bytes()[2..]);
        bytes.extend(self.sub_authorities().iter().flat_map(|part| part.to_le_bytes()));
        bytes
    }

    /// The SID at the front of `bytes`; `None` when there is no valid one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..HEADER)?;
        if header[0] != abi::SID_REVISION {
            return None;
        }
        let authority = header[2..].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let parts = bytes.get(HEADER..HEADER + usize::from(header[1]) * 4)?;
        let parts: Vec<u32> = parts
            .chunks_exact(4)
            .map(|part| u32::from_le_bytes([part[0], part[1], part[2], part[3]]))
            .collect();
        Self::from_parts(authority, &parts)
    }
}

impl fmt::Display for Sid {
    /// `S-1-5-18`; the authority is decimal up to 32 bits, else hexadecimal, as `RtlConvertSidToUnicodeString` documents.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.authority >> 32 == 0 {
            write!(formatter, "S-1-{}", self.authority)?;
        } else {
            write!(formatter, "S-1-0x{:012x}", self.authority)?;
        }
        self.sub_authorities().iter().try_for_each(|part| write!(formatter, "-{part}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// SIDs that every system has. Source: "Well-known SID Structures" and "SID Strings".
pub mod well_known {
    use super::Sid;

    const NT: u64 = 5;
    const BUILTIN: u32 = 32;

    const fn builtin(alias: u32) -> Sid {
        Sid::new(NT, [BUILTIN, alias])
    }

    /// Nobody.
    pub const NULL: Sid = Sid::new(0, [0]);
    /// Everyone.
    pub const WORLD: Sid = Sid::new(1, [0]);
    /// Who logs on locally.
    pub const LOCAL: Sid = Sid::new(2, [0]);
    /// Stands for the owner of what inherits an entry.
    pub const CREATOR_OWNER: Sid = Sid::new(3, [0]);
    /// Stands for the primary group of what inherits an entry.
    pub const CREATOR_GROUP: Sid = Sid::new(3, [1]);
    /// The current owner; an entry for it replaces what owners may always do.
    pub const OWNER_RIGHTS: Sid = Sid::new(3, [4]);
    /// The authority NT itself.
    pub const NT_AUTHORITY: Sid = Sid::new(NT, []);
    /// Who dialled in.
    pub const DIALUP: Sid = Sid::new(NT, [1]);
    /// Who comes over a network.
    pub const NETWORK: Sid = Sid::new(NT, [2]);
    /// Batch jobs.
    pub const BATCH: Sid = Sid::new(NT, [3]);
    /// Who sits at the machine.
    pub const INTERACTIVE: Sid = Sid::new(NT, [4]);
    /// Services.
    pub const SERVICE: Sid = Sid::new(NT, [6]);
    /// Who gave no name.
    pub const ANONYMOUS: Sid = Sid::new(NT, [7]);
    /// Domain controllers.
    pub const ENTERPRISE_CONTROLLERS: Sid = Sid::new(NT, [9]);
    /// The object itself.
    pub const SELF: Sid = Sid::new(NT, [10]);
    /// Who gave a name and proved it.
    pub const AUTHENTICATED_USERS: Sid = Sid::new(NT, [11]);
    /// Restricted code.
    pub const RESTRICTED: Sid = Sid::new(NT, [12]);
    /// The web server's anonymous user.
    pub const IUSER: Sid = Sid::new(NT, [17]);
    /// The system.
    pub const LOCAL_SYSTEM: Sid = Sid::new(NT, [18]);
    /// Local service.
    pub const LOCAL_SERVICE: Sid = Sid::new(NT, [19]);
    /// Network service.
    pub const NETWORK_SERVICE: Sid = Sid::new(NT, [20]);
    /// Code that is restricted in writing only.
    pub const WRITE_RESTRICTED: Sid = Sid::new(NT, [33]);
    /// User-mode drivers.
    pub const USER_MODE_DRIVERS: Sid = Sid::new(NT, [84, 0, 0, 0, 0, 0]);
    /// All application packages.
    pub const ALL_APP_PACKAGES: Sid = Sid::new(15, [2, 1]);
    /// The group Administrators.
    pub const ADMINISTRATORS: Sid = builtin(544);
    /// The group Users.
    pub const USERS: Sid = builtin(545);
    /// The group Guests.
    pub const GUESTS: Sid = builtin(546);
    /// The group Power Users.
    pub const POWER_USERS: Sid = builtin(547);
    /// The group Account Operators.
    pub const ACCOUNT_OPERATORS: Sid = builtin(548);
    /// The group Server Operators.
    pub const SYSTEM_OPERATORS: Sid = builtin(549);
    /// The group Print Operators.
    pub const PRINT_OPERATORS: Sid = builtin(550);
    /// The group Backup Operators.
    pub const BACKUP_OPERATORS: Sid = builtin(551);
    /// The group Replicators.
    pub const REPLICATORS: Sid = builtin(552);
    /// The group Remote Desktop Users.
    pub const REMOTE_DESKTOP: Sid = builtin(555);
    /// The group Network Configuration Operators.
    pub const NETWORK_CONFIGURATION: Sid = builtin(556);
    /// The group Performance Monitor Users.
    pub const MONITORING: Sid = builtin(558);
    /// The group Performance Log Users.
    pub const LOGGING: Sid = builtin(559);

    /// The mandatory level with this number.
    #[must_use]
    pub const fn mandatory(level: u32) -> Sid {
        Sid::new(16, [level])
    }

    /// An account of the machine itself. The three numbers that Windows draws when it is installed are those of the
    /// documentation's examples.
    #[must_use]
    pub const fn account(relative: u32) -> Sid {
        Sid::new(NT, [21, 1_004_336_348, 1_177_238_915, 682_003_330, relative])
    }
}
