//! Access control lists and their entries, as values and as NT's bytes.

use super::Sid;

/// Bytes of an `ACL` without entries.
pub(super) const ACL_HEADER: usize = size_of::<abi::ACL>();
const ACE_HEADER: usize = size_of::<abi::ACE_HEADER>();

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ace {
    /// `ACCESS_ALLOWED_ACE_TYPE`, …
    pub kind: u8,
    /// `CONTAINER_INHERIT_ACE`, …
    pub flags: u8,
    /// Whom it concerns.
    pub body: AceBody,
}

/// What follows an entry's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AceBody {
    /// Rights and whose they are.
    Rights {
        /// Access mask.
        mask: u32,
        /// Whose.
        sid: Sid,
    },
    /// Of a kind that is kept but not judged: its bytes, a multiple of four.
    Opaque(Vec<u8>),
}

/// An access control list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// `ACL_REVISION` to `MAX_ACL_REVISION`.
    pub revision: u8,
    /// Its entries; the order counts.
    pub aces: Vec<Ace>,
}

impl Default for Acl {
    fn default() -> Self {
        Self { revision: abi::ACL_REVISION, aces: Vec::new() }
    }
}

/// Whether entries of this kind are an access mask and a SID.
fn has_rights(kind: u8) -> bool {
    kind <= abi::SYSTEM_ALARM_ACE_TYPE || kind == abi::SYSTEM_MANDATORY_LABEL_ACE_TYPE
}

impl Ace {
    /// An entry that allows.
    #[must_use]
    pub fn allow(mask: u32, sid: Sid) -> Self {
        Self { kind: abi::ACCESS_ALLOWED_ACE_TYPE, flags: 0, body: AceBody::Rights { mask, sid } }
    }

    /// An entry that denies.
    #[must_use]
    pub fn deny(mask: u32, sid: Sid) -> Self {
        Self { kind: abi::ACCESS_DENIED_ACE_TYPE, flags: 0, body: AceBody::Rights { mask, sid } }
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn byte_length(&self) -> usize {
        ACE_HEADER
            + match &self.body {
                AceBody::Rights { sid, .. } => 4 + sid.byte_length(),
                AceBody::Opaque(bytes) => bytes.len(),
            }
    }

    fn write(&self, bytes: &mut Vec<u8>) -> Option<()> {
        bytes.extend_from_slice(&[self.kind, self.flags]);
        bytes.extend_from_slice(&u16::try_from(self.byte_length()).ok()?.to_le_bytes());
        match &self.body {
            AceBody::Rights { mask, sid } => {
                bytes.extend_from_slice(&mask.to_le_bytes());
                bytes.extend(sid.to_bytes());
            }
            AceBody::Opaque(body) => bytes.extend_from_slice(body),
        }
        Some(())
    }

    /// The entry at the front of `bytes`, and what it leaves of them. `None` when its size does not hold it.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let header = bytes.get(..ACE_HEADER)?;
        let (kind, flags) = (header[0], header[1]);
        let size = usize::from(u16::from_le_bytes([header[2], header[3]]));
        let body = bytes.get(ACE_HEADER..size)?;
        if size % 4 != 0 {
            return None;
        }
        let body = if has_rights(kind) {
            let mask = u32::from_le_bytes(body.get(..4)?.try_into().ok()?);
            AceBody::Rights { mask, sid: Sid::from_bytes(&body[4..])? }
        } else {
            AceBody::Opaque(body.to_vec())
        };
        Some((Self { kind, flags, body }, &bytes[size..]))
    }
}

impl Acl {
    /// A list of the lowest revision.
    #[must_use]
    pub fn new(aces: Vec<Ace>) -> Self {
        Self { aces, ..Self::default() }
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn byte_length(&self) -> usize {
        ACL_HEADER + self.aces.iter().map(Ace::byte_length).sum::<usize>()
    }

    /// Its bytes, without room for more entries; `None` when it is longer than a list can be (65,535 bytes).
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![self.revision, 0];
        bytes.extend_from_slice(&u16::try_from(self.byte_length()).ok()?.to_le_bytes());
        bytes.extend_from_slice(&u16::try_from(self.aces.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(&[0, 0]);
        self.aces.iter().try_for_each(|ace| ace.write(&mut bytes))?;
        Some(bytes)
    }

    /// The list at the front of `bytes`, whose size must lie within them. `None` when it is not valid.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..ACL_HEADER)?;
        let revision = header[0];
        if !(abi::MIN_ACL_REVISION..=abi::MAX_ACL_REVISION).contains(&revision) {
            return None;
        }
        let size = usize::from(u16::from_le_bytes([header[2], header[3]]));
        let mut rest = bytes.get(ACL_HEADER..size)?;
        let mut aces = Vec::new();
        for _ in 0..u16::from_le_bytes([header[4], header[5]]) {
            let (ace, after) = Ace::from_bytes(rest)?;
            aces.push(ace);
            rest = after;
        }
        Some(Self { revision, aces })
    }
}
