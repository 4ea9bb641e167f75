//! Lists of entries that callers pass to file systems: extended attributes, and who is asked about. Whether they are sound, looked at
//! in a copy of the kernel's own.
//!
//! Source: ddi, IoCheckEaBufferValidity; FILE_FULL_EA_INFORMATION; FILE_GET_EA_INFORMATION; FILE_QUOTA_INFORMATION;
//! FILE_GET_QUOTA_INFORMATION; SID.

use std::mem::offset_of;

use abi::NTSTATUS;

/// What a list has as its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entries {
    /// FILE_FULL_EA_INFORMATION.
    FullEa,
    /// FILE_GET_EA_INFORMATION.
    GetEa,
    /// FILE_QUOTA_INFORMATION.
    Quota,
    /// FILE_GET_QUOTA_INFORMATION.
    GetQuota,
}

impl Entries {
    /// Whether `list`, which is not empty, is sound: each entry inside, and the next at a multiple of four behind it. (Confirm: that
    /// quota entries need no more than that.)
    ///
    /// # Errors
    /// STATUS_EA_LIST_INCONSISTENT, STATUS_QUOTA_LIST_INCONSISTENT, with the offset in bytes of the entry that is not.
    pub(super) fn check(self, list: &[u8]) -> Result<(), (NTSTATUS, usize)> {
        let status = match self {
            Self::FullEa | Self::GetEa => abi::STATUS_EA_LIST_INCONSISTENT,
            Self::Quota | Self::GetQuota => abi::STATUS_QUOTA_LIST_INCONSISTENT,
        };
        let mut at = 0;
        loop {
            let entry = &list[at..];
            let length = self.entry_length(entry).ok_or((status, at))?;
            let next = entry.first_chunk().map_or(0, |word| u32::from_le_bytes(*word)) as usize;
            if next == 0 {
                return Ok(());
            }
            if next < length || !next.is_multiple_of(4) || next >= entry.len() {
                return Err((status, at));
            }
            at += next;
        }
    }

    /// Bytes of the first entry; `None` when it is not all there, or not as it must be.
    fn entry_length(self, entry: &[u8]) -> Option<usize> {
        let byte = |at: usize| entry.get(at).copied().map(usize::from);
        let length = match self {
            Self::FullEa => {
                type Layout = abi::FILE_FULL_EA_INFORMATION;
                let name = byte(offset_of!(Layout, EaNameLength))?;
                let low = byte(offset_of!(Layout, EaValueLength))?;
                let value = low | byte(offset_of!(Layout, EaValueLength) + 1)? << 8;
                let end = offset_of!(Layout, EaName) + name;
                (name > 0 && byte(end)? == 0).then_some(end + 1 + value)?
            }
            Self::GetEa => {
                type Layout = abi::FILE_GET_EA_INFORMATION;
                let name = byte(offset_of!(Layout, EaNameLength))?;
                let end = offset_of!(Layout, EaName) + name;
                (name > 0 && byte(end)? == 0).then_some(end + 1)?
            }
            Self::Quota => {
                type Layout = abi::FILE_QUOTA_INFORMATION;
                sid_end(entry, offset_of!(Layout, SidLength), offset_of!(Layout, Sid))?
            }
            Self::GetQuota => {
                type Layout = abi::FILE_GET_QUOTA_INFORMATION;
                sid_end(entry, offset_of!(Layout, SidLength), offset_of!(Layout, Sid))?
            }
        };
        (length <= entry.len()).then_some(length)
    }
}

/// Where an entry ends whose last field is a SID.
fn sid_end(entry: &[u8], length_at: usize, sid_at: usize) -> Option<usize> {
    let length = u32::from_le_bytes(*entry.get(length_at..)?.first_chunk()?) as usize;
    let sid = entry.get(sid_at..)?.get(..length)?;
    is_sid(sid).then_some(sid_at + length)
}

/// Whether these bytes are a SID, and nothing else.
pub(super) fn is_sid(bytes: &[u8]) -> bool {
    match *bytes {
        [1, sub_authorities @ 0..=15, ..] => bytes.len() == 8 + 4 * usize::from(sub_authorities),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ea(next: u32, name: &[u8], value: &[u8]) -> Vec<u8> {
        let mut entry = next.to_le_bytes().to_vec();
        entry.extend([0, u8::try_from(name.len()).unwrap()]);
        entry.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
        entry.extend(name);
        entry.push(0);
        entry.extend(value);
        entry
    }

    #[test]
    fn a_list_of_extended_attributes_is_sound_when_each_entry_lies_inside_and_the_next_behind_it() {
        let last = ea(0, b"B", b"");
        assert_eq!(Entries::FullEa.check(&last), Ok(()));
        let mut two = ea(16, b"AB", b"val");
        two.resize(16, 0);
        two.extend(&last);
        assert_eq!(Entries::FullEa.check(&two), Ok(()));
        let wrong = |at| Err((abi::STATUS_EA_LIST_INCONSISTENT, at));
        assert_eq!(Entries::FullEa.check(&two[..two.len() - 1]), wrong(16), "its end is missing");
        assert_eq!(Entries::FullEa.check(&two[..16]), wrong(0), "the next is outside");
        for next in [4_u32, 12, 14, 18, u32::MAX] {
            let bad = [&next.to_le_bytes()[..], &two[4..]].concat();
            assert_eq!(Entries::FullEa.check(&bad), wrong(0), "{next}");
        }
        assert_eq!(Entries::FullEa.check(&ea(0, b"", b"v")), wrong(0), "no name");
        let mut unterminated = last;
        unterminated[9] = b'x';
        assert_eq!(Entries::FullEa.check(&unterminated), wrong(0), "no zero behind the name");
        for length in 0..9 {
            assert_eq!(Entries::FullEa.check(&vec![0; length]), wrong(0), "{length}");
        }
    }

    #[test]
    fn a_list_of_names_of_extended_attributes_is_checked_alike() {
        assert_eq!(Entries::GetEa.check(b"\0\0\0\0\x01A\0"), Ok(()));
        assert_eq!(Entries::GetEa.check(b"\x08\0\0\0\x01A\0\0\0\0\0\0\x01B\0"), Ok(()));
        let wrong = |at| Err((abi::STATUS_EA_LIST_INCONSISTENT, at));
        assert_eq!(Entries::GetEa.check(b"\x08\0\0\0\x01A\0\0\0\0\0\0\x02B\0"), wrong(8));
        assert_eq!(Entries::GetEa.check(b"\0\0\0\0\x01A"), wrong(0));
    }

    #[test]
    fn a_quota_entrys_sid_is_as_long_as_its_sub_authorities_say() {
        let entry = |length: u32, sid: &[u8]| [&[0; 4], &length.to_le_bytes()[..], sid].concat();
        let sid = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
        assert_eq!(Entries::GetQuota.check(&entry(12, &sid)), Ok(()));
        let wrong = Err((abi::STATUS_QUOTA_LIST_INCONSISTENT, 0));
        for length in [0, 8, 11, 13, u32::MAX] {
            assert_eq!(Entries::GetQuota.check(&entry(length, &sid)), wrong, "{length}");
        }
        assert_eq!(
            Entries::GetQuota.check(&entry(12, &[2, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0])),
            wrong,
            "revision"
        );
        let quota = [&[0; 4][..], &12_u32.to_le_bytes(), &[0; 32], &sid].concat();
        assert_eq!(Entries::Quota.check(&quota), Ok(()));
        assert_eq!(Entries::Quota.check(&quota[..quota.len() - 1]), wrong);
    }
}
