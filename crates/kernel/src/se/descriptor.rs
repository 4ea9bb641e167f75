//! Security descriptors, as values and as NT's self-relative bytes.

use std::mem::offset_of;

use super::acl::ACL_HEADER;
use super::{Acl, Sid};

/// Bytes of the header of a self-relative descriptor: control, and four offsets.
pub(super) const RELATIVE_HEADER: usize = 20;
const CONTROL_AT: usize = offset_of!(abi::SECURITY_DESCRIPTOR, Control);

/// Who owns an object, and who may do what with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecurityDescriptor {
    /// `SE_DACL_PRESENT`, `SE_DACL_PROTECTED`, …; never `SE_SELF_RELATIVE`.
    pub control: u16,
    /// Its owner.
    pub owner: Option<Sid>,
    /// Its primary group.
    pub group: Option<Sid>,
    /// What is audited.
    pub sacl: Option<Acl>,
    /// What is allowed. `None` is a NULL DACL, which allows everything, as does an absent one.
    pub dacl: Option<Acl>,
}

impl SecurityDescriptor {
    /// One with an owner, a group and a list.
    #[must_use]
    pub fn new(owner: Sid, group: Sid, dacl: Acl) -> Self {
        Self {
            control: abi::SE_DACL_PRESENT,
            owner: Some(owner),
            group: Some(group),
            sacl: None,
            dacl: Some(dacl),
        }
    }

    /// Whether it has a DACL, be it NULL.
    #[must_use]
    pub fn has_dacl(&self) -> bool {
        self.control & abi::SE_DACL_PRESENT != 0
    }

    /// Its self-relative form; `None` when a list is longer than lists can be.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; RELATIVE_HEADER];
        bytes[0] = abi::SECURITY_DESCRIPTOR_REVISION;
        let control = self.control | abi::SE_SELF_RELATIVE;
        bytes[CONTROL_AT..CONTROL_AT + 2].copy_from_slice(&control.to_le_bytes());
        let mut put = |slot: usize, part: Option<Vec<u8>>| -> Option<()> {
            let Some(part) = part else { return Some(()) };
            let offset = u32::try_from(bytes.len()).ok()?;
            bytes[slot..slot + 4].copy_from_slice(&offset.to_le_bytes());
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            Some(())
        };
        for (slot, list, present) in
            [(12, &self.sacl, abi::SE_SACL_PRESENT), (16, &self.dacl, abi::SE_DACL_PRESENT)]
        {
            if let Some(list) = list.as_ref().filter(|_| self.control & present != 0) {
                put(slot, Some(list.to_bytes()?))?;
            }
        }
        put(4, self.owner.map(|sid| sid.to_bytes()))?;
        put(8, self.group.map(|sid| sid.to_bytes()))?;
        Some(bytes)
    }

    /// The descriptor in a self-relative form that lies wholly in `bytes`; `None` when it is not valid.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..RELATIVE_HEADER)?;
        let control = u16::from_le_bytes([header[CONTROL_AT], header[CONTROL_AT + 1]]);
        if header[0] != abi::SECURITY_DESCRIPTOR_REVISION || control & abi::SE_SELF_RELATIVE == 0 {
            return None;
        }
        let part = |slot: usize| -> Option<Option<&[u8]>> {
            let offset = u32::from_le_bytes(header[slot..slot + 4].try_into().ok()?) as usize;
            if offset == 0 { Some(None) } else { bytes.get(offset..).map(Some) }
        };
        let sid = |slot| match part(slot)? {
            None => Some(None),
            Some(bytes) => Sid::from_bytes(bytes).map(Some),
        };
        let list = |slot, present| match part(slot)? {
            Some(bytes) if control & present != 0 => {
                (bytes.len() >= ACL_HEADER).then(|| Acl::from_bytes(bytes)).flatten().map(Some)
            }
            _ => Some(None),
        };
        Some(Self {
            control: control & !abi::SE_SELF_RELATIVE,
            owner: sid(4)?,
            group: sid(8)?,
            sacl: list(12, abi::SE_SACL_PRESENT)?,
            dacl: list(16, abi::SE_DACL_PRESENT)?,
        })
    }
}
