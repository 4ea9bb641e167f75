//! What applications ask of files and volumes beside their data: what a volume is, what a directory holds and how that changes,
//! extended attributes, quotas, locked ranges. Here are the calls, and how they travel; what they mean is the kernel's matter.

use super::wire::{MOST_WORDS, Tail};
use super::{Memory, Notice, SystemCall, low};
use crate::transport::Handle;

/// Bytes of a range that is locked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockedRange {
    /// Where it begins, in bytes.
    pub offset: i64,
    /// How many they are.
    pub length: i64,
    /// What tells its locks from those of others who have the same file object.
    pub key: u32,
}

/// A system call about a file or a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileCall<'a> {
    /// `NtQueryVolumeInformationFile`: writes the answer to the output. Information: how many bytes.
    QueryVolumeInformation {
        /// The file.
        handle: Handle,
        /// FS_INFORMATION_CLASS.
        class: i32,
    },
    /// `NtSetVolumeInformationFile`.
    SetVolumeInformation {
        /// The file.
        handle: Handle,
        /// FS_INFORMATION_CLASS.
        class: i32,
        /// The information; at most [`SystemCall::MOST_INFORMATION`] bytes.
        data: &'a [u8],
    },
    /// `NtQueryDirectoryFile`.
    QueryDirectory {
        /// The directory.
        handle: Handle,
        /// Where the entries go.
        buffer: Memory,
        /// FILE_INFORMATION_CLASS.
        class: i32,
        /// SL_RESTART_SCAN, SL_RETURN_SINGLE_ENTRY.
        flags: u8,
        /// Which names, with wildcards, in UTF-16; empty for none.
        pattern: &'a [u16],
        /// How its end is told.
        notice: Notice,
    },
    /// `NtNotifyChangeDirectoryFile`.
    NotifyChangeDirectory {
        /// The directory.
        handle: Handle,
        /// Where the changes go.
        buffer: Memory,
        /// FILE_NOTIFY_CHANGE_*.
        filter: u32,
        /// Whether changes below count too.
        watch_tree: bool,
        /// How its end is told.
        notice: Notice,
    },
    /// `NtQueryEaFile`; waits for its end on every file.
    QueryEa {
        /// The file.
        handle: Handle,
        /// Where the attributes go.
        buffer: Memory,
        /// SL_RESTART_SCAN, SL_RETURN_SINGLE_ENTRY, SL_INDEX_SPECIFIED.
        flags: u8,
        /// Which is the first, from 1; with SL_INDEX_SPECIFIED.
        index: u32,
        /// FILE_GET_EA_INFORMATION: which are asked for; at most 65,535 bytes, none for all.
        list: &'a [u8],
        /// Address of the IO_STATUS_BLOCK.
        io_status_block: u64,
    },
    /// `NtSetEaFile`; waits for its end on every file.
    SetEa {
        /// The file.
        handle: Handle,
        /// FILE_FULL_EA_INFORMATION.
        buffer: Memory,
        /// Address of the IO_STATUS_BLOCK.
        io_status_block: u64,
    },
    /// `NtLockFile`.
    Lock {
        /// The file.
        handle: Handle,
        /// Which bytes.
        range: LockedRange,
        /// SL_FAIL_IMMEDIATELY, SL_EXCLUSIVE_LOCK.
        flags: u8,
        /// How its end is told.
        notice: Notice,
    },
    /// `NtUnlockFile`; waits for its end on every file.
    Unlock {
        /// The file.
        handle: Handle,
        /// Which bytes.
        range: LockedRange,
        /// Address of the IO_STATUS_BLOCK.
        io_status_block: u64,
    },
    /// `NtQueryQuotaInformationFile`; waits for its end on every file.
    QueryQuota {
        /// The file.
        handle: Handle,
        /// Where the entries go.
        buffer: Memory,
        /// SL_RESTART_SCAN, SL_RETURN_SINGLE_ENTRY.
        flags: u8,
        /// FILE_GET_QUOTA_INFORMATION: who is asked about, none for all; then the SID that the scan begins at, if there is one. At most
        /// 65,535 bytes together.
        sids: &'a [u8],
        /// Bytes of that SID, at the end of `sids`.
        start_sid: u32,
        /// Address of the IO_STATUS_BLOCK.
        io_status_block: u64,
    },
    /// `NtSetQuotaInformationFile`; waits for its end on every file.
    SetQuota {
        /// The file.
        handle: Handle,
        /// FILE_QUOTA_INFORMATION.
        buffer: Memory,
        /// Address of the IO_STATUS_BLOCK.
        io_status_block: u64,
    },
}

const QUERY_VOLUME_INFORMATION: u32 = 41;
const SET_VOLUME_INFORMATION: u32 = 42;
const QUERY_DIRECTORY: u32 = 43;
const NOTIFY_CHANGE_DIRECTORY: u32 = 44;
const QUERY_EA: u32 = 45;
const SET_EA: u32 = 46;
const LOCK: u32 = 47;
const UNLOCK: u32 = 48;
/// Both ways.
const QUOTA: u32 = 49;
pub(super) const NUMBERS: std::ops::RangeInclusive<u32> = QUERY_VOLUME_INFORMATION..=QUOTA;

/// In [`QUOTA`]'s flags.
const CHANGES: u64 = 1 << 8;

/// Call number, handle, words (as many as are used), tail.
pub(super) fn encode<'a>(
    call: &FileCall<'a>,
    words: &mut [u64; MOST_WORDS],
) -> (u32, Handle, usize, Tail<'a>) {
    let mut fill = |values: &[u64]| {
        words[..values.len()].copy_from_slice(values);
        values.len()
    };
    let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let event = |notice: &Notice| notice.event.map_or(0, |event| event.0);
    match *call {
        FileCall::QueryVolumeInformation { handle, class } => {
            (QUERY_VOLUME_INFORMATION, handle, fill(&[class.cast_unsigned().into()]), Tail::Nothing)
        }
        FileCall::SetVolumeInformation { handle, class, data } => {
            (SET_VOLUME_INFORMATION, handle, fill(&[class.cast_unsigned().into()]), Tail::Bytes(data))
        }
        FileCall::QueryDirectory { handle, buffer, class, flags, pattern, notice } => {
            let values = [
                buffer.address,
                pair(buffer.length, class.cast_unsigned()),
                pair(event(&notice), flags.into()),
                notice.io_status_block,
                notice.apc_routine,
                notice.apc_context,
            ];
            (QUERY_DIRECTORY, handle, fill(&values), Tail::Name(pattern))
        }
        FileCall::NotifyChangeDirectory { handle, buffer, filter, watch_tree, notice } => {
            let values = [
                buffer.address,
                pair(buffer.length, filter),
                pair(event(&notice), watch_tree.into()),
                notice.io_status_block,
                notice.apc_routine,
                notice.apc_context,
            ];
            (NOTIFY_CHANGE_DIRECTORY, handle, fill(&values), Tail::Nothing)
        }
        FileCall::QueryEa { handle, buffer, flags, index, list, io_status_block } => {
            let values = [buffer.address, pair(buffer.length, index), flags.into(), io_status_block];
            (QUERY_EA, handle, fill(&values), Tail::Bytes(list))
        }
        FileCall::SetEa { handle, buffer, io_status_block } => {
            let values = [buffer.address, buffer.length.into(), io_status_block];
            (SET_EA, handle, fill(&values), Tail::Nothing)
        }
        FileCall::Lock { handle, range, flags, notice } => {
            let values = [
                range.offset.cast_unsigned(),
                range.length.cast_unsigned(),
                pair(range.key, flags.into()),
                event(&notice).into(),
                notice.io_status_block,
                notice.apc_routine,
                notice.apc_context,
            ];
            (LOCK, handle, fill(&values), Tail::Nothing)
        }
        FileCall::Unlock { handle, range, io_status_block } => {
            let (offset, length) = (range.offset.cast_unsigned(), range.length.cast_unsigned());
            (UNLOCK, handle, fill(&[offset, length, range.key.into(), io_status_block]), Tail::Nothing)
        }
        FileCall::QueryQuota { handle, buffer, flags, sids, start_sid, io_status_block } => {
            let values = [buffer.address, pair(buffer.length, start_sid), flags.into(), io_status_block];
            (QUOTA, handle, fill(&values), Tail::Bytes(sids))
        }
        FileCall::SetQuota { handle, buffer, io_status_block } => {
            let values = [buffer.address, buffer.length.into(), CHANGES, io_status_block];
            (QUOTA, handle, fill(&values), Tail::Nothing)
        }
    }
}

/// Words that a call has.
pub(super) fn word_count(number: u32) -> usize {
    match number {
        QUERY_VOLUME_INFORMATION | SET_VOLUME_INFORMATION => 1,
        SET_EA => 3,
        QUERY_EA | UNLOCK | QUOTA => 4,
        QUERY_DIRECTORY | NOTIFY_CHANGE_DIRECTORY => 6,
        _ => 7,
    }
}

/// Whether what follows the words is a name.
pub(super) fn has_name(number: u32) -> bool {
    number == QUERY_DIRECTORY
}

/// The most bytes that may follow the words, in a call whose tail is no name.
pub(super) fn most_bytes(number: u32) -> usize {
    match number {
        SET_VOLUME_INFORMATION => SystemCall::MOST_INFORMATION,
        QUERY_EA | QUOTA => super::MOST_BYTES,
        _ => 0,
    }
}

/// `None` for words that no call has.
pub(super) fn read<'a>(
    number: u32,
    handle: Handle,
    word: &dyn Fn(usize) -> u64,
    (name, bytes): (&'a [u16], &'a [u8]),
) -> Option<FileCall<'a>> {
    let high = |index: usize| low(word(index) >> 32);
    let class = || low(word(0)).cast_signed();
    let buffer = || Memory { address: word(0), length: low(word(1)) };
    let flags = |word: u64| u8::try_from(word).ok();
    let notice = |event: u32, first: usize| Notice {
        io_status_block: word(first),
        event: Some(Handle(event)).filter(|event| event.0 != 0),
        apc_routine: word(first + 1),
        apc_context: word(first + 2),
    };
    let range =
        || LockedRange { offset: word(0).cast_signed(), length: word(1).cast_signed(), key: low(word(2)) };
    Some(match number {
        QUERY_VOLUME_INFORMATION => FileCall::QueryVolumeInformation { handle, class: class() },
        SET_VOLUME_INFORMATION => FileCall::SetVolumeInformation { handle, class: class(), data: bytes },
        QUERY_DIRECTORY => FileCall::QueryDirectory {
            handle,
            buffer: buffer(),
            class: high(1).cast_signed(),
            flags: flags(high(2).into())?,
            pattern: name,
            notice: notice(low(word(2)), 3),
        },
        NOTIFY_CHANGE_DIRECTORY => FileCall::NotifyChangeDirectory {
            handle,
            buffer: buffer(),
            filter: high(1),
            watch_tree: high(2) != 0,
            notice: notice(low(word(2)), 3),
        },
        QUERY_EA => FileCall::QueryEa {
            handle,
            buffer: buffer(),
            flags: flags(word(2))?,
            index: high(1),
            list: bytes,
            io_status_block: word(3),
        },
        SET_EA => FileCall::SetEa { handle, buffer: buffer(), io_status_block: word(2) },
        LOCK => FileCall::Lock {
            handle,
            range: range(),
            flags: flags(high(2).into())?,
            notice: notice(low(word(3)), 4),
        },
        UNLOCK => FileCall::Unlock { handle, range: range(), io_status_block: word(3) },
        QUOTA if word(2) == CHANGES && bytes.is_empty() => {
            FileCall::SetQuota { handle, buffer: buffer(), io_status_block: word(3) }
        }
        QUOTA => FileCall::QueryQuota {
            handle,
            buffer: buffer(),
            flags: flags(word(2))?,
            sids: bytes,
            start_sid: Some(high(1)).filter(|length| *length as usize <= bytes.len())?,
            io_status_block: word(3),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::wire::decode;
    use super::*;

    fn travels(call: FileCall<'_>) {
        let mut words = [0; MOST_WORDS];
        let (number, handle, count, tail) = encode(&call, &mut words);
        let mut bytes: Vec<u8> = words[..count].iter().flat_map(|word| word.to_le_bytes()).collect();
        match tail {
            Tail::Name(name) => bytes.extend(name.iter().flat_map(|unit| unit.to_le_bytes())),
            Tail::Bytes(tail) => bytes.extend(tail),
            _ => {}
        }
        let same = decode(number, handle, &bytes, |arrived| *arrived == SystemCall::File(call));
        assert_eq!(same, Ok(true), "{call:?}");
    }

    #[test]
    fn every_call_about_a_file_survives_the_wire() {
        let handle = Handle(0x44);
        let buffer = Memory { address: 1 << 45, length: u32::MAX };
        let notice = Notice {
            io_status_block: 0x2000_0000_1000,
            event: Some(Handle(0x48)),
            apc_routine: 5,
            apc_context: u64::MAX,
        };
        let io_status_block = 0x2000_0000_2000;
        let range = LockedRange { offset: i64::MIN, length: i64::MAX, key: u32::MAX };
        let pattern: Vec<u16> = "*.txt".encode_utf16().collect();
        travels(FileCall::QueryVolumeInformation { handle, class: -1 });
        travels(FileCall::SetVolumeInformation { handle, class: 2, data: b"odd" });
        travels(FileCall::QueryDirectory { handle, buffer, class: -3, flags: 3, pattern: &pattern, notice });
        travels(FileCall::QueryDirectory {
            handle,
            buffer,
            class: 3,
            flags: 0,
            pattern: &[],
            notice: Notice { event: None, ..notice },
        });
        for watch_tree in [false, true] {
            travels(FileCall::NotifyChangeDirectory { handle, buffer, filter: u32::MAX, watch_tree, notice });
        }
        travels(FileCall::QueryEa { handle, buffer, flags: 7, index: 9, list: b"list", io_status_block });
        travels(FileCall::SetEa { handle, buffer, io_status_block });
        travels(FileCall::Lock { handle, range, flags: 3, notice });
        travels(FileCall::Unlock { handle, range, io_status_block });
        for start_sid in [0, 2, 3] {
            let sids = b"sid";
            travels(FileCall::QueryQuota { handle, buffer, flags: 3, sids, start_sid, io_status_block });
        }
        travels(FileCall::SetQuota { handle, buffer, io_status_block });
    }

    #[test]
    fn what_is_torn_of_a_call_about_a_file_is_refused() {
        let refused = |number, input: &[u8]| decode(number, Handle(4), input, |_| ()).err();
        for number in NUMBERS {
            let words = vec![0; word_count(number) * 8];
            assert_eq!(
                refused(number, &words[1..]),
                Some(abi::STATUS_INVALID_PARAMETER),
                "{number}: half a word"
            );
            let room = if has_name(number) { 2 * 32_767 } else { most_bytes(number) };
            let long = [words, vec![0; room + 2]].concat();
            assert_eq!(refused(number, &long), Some(abi::STATUS_INVALID_PARAMETER), "{number}: too much");
        }
        let odd = vec![0; word_count(QUERY_DIRECTORY) * 8 + 1];
        assert_eq!(refused(QUERY_DIRECTORY, &odd), Some(abi::STATUS_INVALID_PARAMETER), "half a unit");
        let flags = [0, 0, 0x100_u64 << 32, 0, 0, 0].map(u64::to_le_bytes).concat();
        assert_eq!(refused(QUERY_DIRECTORY, &flags), Some(abi::STATUS_NOT_IMPLEMENTED), "no such flag");
        let start = [0, 1_u64 << 32, 0, 0].map(u64::to_le_bytes).concat();
        assert_eq!(refused(QUOTA, &start), Some(abi::STATUS_NOT_IMPLEMENTED), "a SID beyond the end");
    }
}
