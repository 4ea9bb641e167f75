//! `Rtl…`: access control lists in a driver's memory.

use abi::NTSTATUS;
use kernel::Outcome;
use kernel::raw;
use kernel::se::{self, Ace};

use crate::row::rows;

const HEADER: usize = size_of::<abi::ACL>();

/// A list, copied: its bytes, and where each entry starts; the last is where the entries end.
struct List {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl List {
    /// `None` when the entries do not lie within the list.
    fn read(acl: u64) -> Outcome<Option<Self>> {
        let Some(bytes) = se::read_acl(acl)? else { return Ok(None) };
        let revisions = abi::MIN_ACL_REVISION..=abi::MAX_ACL_REVISION;
        let count = u16::from_le_bytes([bytes[4], bytes[5]]);
        let starts = starts(&bytes, HEADER, usize::from(count));
        Ok(starts.filter(|_| revisions.contains(&bytes[0])).map(|starts| Self { bytes, starts }))
    }

    fn count(&self) -> usize {
        self.starts.len() - 1
    }

    fn end(&self) -> usize {
        self.starts[self.count()]
    }

    /// Puts `count` entries in before the one at `index`; false when there is no room, or no such place.
    fn insert(&mut self, index: usize, entries: &[u8], count: usize) -> bool {
        let Ok(total) = u16::try_from(self.count() + count) else { return false };
        let (Some(&at), end) = (self.starts.get(index), self.end()) else { return false };
        if entries.len() > self.bytes.len() - end {
            return false;
        }
        self.bytes.copy_within(at..end, at + entries.len());
        self.bytes[at..at + entries.len()].copy_from_slice(entries);
        self.bytes[4..6].copy_from_slice(&total.to_le_bytes());
        true
    }

    fn write(&self, acl: u64) -> Outcome<()> {
        raw::copy_to(acl, &self.bytes)
    }
}

/// Where `count` entries from `at` on start, and where they end.
fn starts(bytes: &[u8], mut at: usize, count: usize) -> Option<Vec<usize>> {
    let mut starts = vec![at];
    for _ in 0..count {
        at = behind(bytes, at)?;
        starts.push(at);
    }
    Some(starts)
}

/// Where the entry at `at` ends.
fn behind(bytes: &[u8], at: usize) -> Option<usize> {
    let size = bytes.get(at + 2..at + 4)?;
    let size = usize::from(u16::from_le_bytes([size[0], size[1]]));
    let whole = size >= size_of::<abi::ACE_HEADER>() && at + size <= bytes.len();
    whole.then_some(at + size)
}

/// How many entries `bytes` are; None when they are not entries to the end.
fn count_entries(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut count) = (0, 0);
    while at < bytes.len() {
        (at, count) = (behind(bytes, at)?, count + 1);
    }
    Some(count)
}

fn add(acl: u64, revision: u32, flags: u32, mask: u32, sid: u64, allow: bool) -> Outcome<NTSTATUS> {
    const FLAGS: u8 = 0x1F;
    let Some(sid) = se::read_sid(sid)? else { return Ok(abi::STATUS_INVALID_SID) };
    let Some(mut list) = List::read(acl)? else { return Ok(abi::STATUS_INVALID_ACL) };
    let revision = u8::try_from(revision).unwrap_or(u8::MAX);
    if list.bytes[0] > abi::MAX_ACL_REVISION || revision > abi::MAX_ACL_REVISION {
        return Ok(abi::STATUS_REVISION_MISMATCH);
    }
    let Some(flags) = u8::try_from(flags).ok().filter(|flags| flags & !FLAGS == 0) else {
        return Ok(abi::STATUS_INVALID_PARAMETER);
    };
    let ace = Ace { flags, ..if allow { Ace::allow(mask, sid) } else { Ace::deny(mask, sid) } };
    let size = u16::try_from(ace.byte_length()).unwrap_or(u16::MAX);
    let mut bytes = vec![ace.kind, ace.flags];
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&mask.to_le_bytes());
    bytes.extend(sid.to_bytes());
    if !list.insert(list.count(), &bytes, 1) {
        return Ok(abi::STATUS_ALLOTTED_SPACE_EXCEEDED);
    }
    list.bytes[0] = list.bytes[0].max(revision);
    list.write(acl)?;
    Ok(abi::STATUS_SUCCESS)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Initialises an access control list without entries.
    irql(APC_LEVEL)
    fn RtlCreateAcl(call, acl: u64, acl_length: u32, acl_revision: u32) -> NTSTATUS {
        let _ = call;
        if (acl_length as usize) < HEADER {
            return Ok(abi::STATUS_BUFFER_TOO_SMALL);
        }
        let revisions = u32::from(abi::MIN_ACL_REVISION)..=u32::from(abi::MAX_ACL_REVISION);
        let (Ok(length), Ok(revision)) = (u16::try_from(acl_length), u8::try_from(acl_revision)) else {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        };
        if !revisions.contains(&acl_revision) {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        }
        let [low, high] = (length & !3).to_le_bytes();
        raw::copy_to(acl, &[revision, 0, low, high, 0, 0, 0, 0])?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Adds an entry that allows to the end of a list.
    irql(APC_LEVEL)
    fn RtlAddAccessAllowedAce(call, acl: u64, ace_revision: u32, access_mask: u32, sid: u64) -> NTSTATUS {
        let _ = call;
        add(acl, ace_revision, 0, access_mask, sid, true)
    }

    /// Adds an entry that allows, with inheritance flags, to the end of a list.
    irql(APC_LEVEL)
    fn RtlAddAccessAllowedAceEx(
        call,
        acl: u64,
        ace_revision: u32,
        ace_flags: u32,
        access_mask: u32,
        sid: u64
    ) -> NTSTATUS {
        let _ = call;
        add(acl, ace_revision, ace_flags, access_mask, sid, true)
    }

    /// Adds an entry that denies to the end of a list.
    irql(APC_LEVEL)
    fn RtlAddAccessDeniedAce(call, acl: u64, ace_revision: u32, access_mask: u32, sid: u64) -> NTSTATUS {
        let _ = call;
        add(acl, ace_revision, 0, access_mask, sid, false)
    }

    /// Adds an entry that denies, with inheritance flags, to the end of a list.
    irql(APC_LEVEL)
    fn RtlAddAccessDeniedAceEx(
        call,
        acl: u64,
        ace_revision: u32,
        ace_flags: u32,
        access_mask: u32,
        sid: u64
    ) -> NTSTATUS {
        let _ = call;
        add(acl, ace_revision, ace_flags, access_mask, sid, false)
    }

    /// Puts entries into a list, before the one with an index, or, for MAXULONG, at its end.
    irql(APC_LEVEL)
    fn RtlAddAce(
        call,
        acl: u64,
        ace_revision: u32,
        starting_ace_index: u32,
        ace_list: u64,
        ace_list_length: u32
    ) -> NTSTATUS {
        let _ = call;
        let Some(mut list) = List::read(acl)? else { return Ok(abi::STATUS_INVALID_PARAMETER) };
        let revision = u8::try_from(ace_revision).unwrap_or(u8::MAX);
        let length = usize::try_from(ace_list_length).unwrap_or(usize::MAX);
        if revision > abi::MAX_ACL_REVISION || length > usize::from(u16::MAX) {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        }
        let mut entries = vec![0; length];
        raw::copy_from(&mut entries, ace_list)?;
        let Some(count) = count_entries(&entries) else { return Ok(abi::STATUS_INVALID_PARAMETER) };
        let index = usize::try_from(starting_ace_index).unwrap_or(usize::MAX).min(list.count());
        if !list.insert(index, &entries, count) {
            return Ok(abi::STATUS_BUFFER_TOO_SMALL);
        }
        list.bytes[0] = list.bytes[0].max(revision);
        list.write(acl)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Returns the address of an entry of a list.
    irql(APC_LEVEL)
    fn RtlGetAce(call, acl: u64, ace_index: u32, ace: u64) -> NTSTATUS {
        let _ = call;
        let Some(list) = List::read(acl)? else { return Ok(abi::STATUS_INVALID_PARAMETER) };
        let index = ace_index as usize;
        if index >= list.count() {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        }
        raw::write(ace, acl.wrapping_add(list.starts[index] as u64))?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Takes an entry out of a list.
    irql(APC_LEVEL)
    fn RtlDeleteAce(call, acl: u64, ace_index: u32) -> NTSTATUS {
        let _ = call;
        let Some(mut list) = List::read(acl)? else { return Ok(abi::STATUS_INVALID_PARAMETER) };
        let index = ace_index as usize;
        if index >= list.count() {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        }
        let (start, after, end) = (list.starts[index], list.starts[index + 1], list.end());
        list.bytes.copy_within(after..end, start);
        list.bytes[start + end - after..end].fill(0);
        let left = u16::try_from(list.count() - 1).unwrap_or(0);
        list.bytes[4..6].copy_from_slice(&left.to_le_bytes());
        list.write(acl)?;
        Ok(abi::STATUS_SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_entries_is_counted_when_they_fill_it_to_the_end() {
        let entry = |size: u16| {
            let mut bytes = vec![0; usize::from(size.max(4))];
            bytes[2..4].copy_from_slice(&size.to_le_bytes());
            bytes
        };
        assert_eq!(count_entries(&[]), Some(0));
        assert_eq!(count_entries(&[entry(4), entry(8), entry(4)].concat()), Some(3));
        let torn = [[entry(8), entry(8)].concat(), entry(4)].concat();
        assert_eq!(count_entries(&torn[..14]), None, "the second ends behind the list");
        assert_eq!(count_entries(&torn[..18]), None, "a header is cut off");
        assert_eq!(count_entries(&[entry(8), entry(0)].concat()), None, "less than its header");
    }
}
