//! What queries are answered with, in NT's layouts, byte by byte.

use core::mem::offset_of;

use driver::Output;
use driver::abi::{self, *};

use crate::volume::{Node, Times, Volume};
use crate::{CAPACITY, FILE_SYSTEM, LONGEST_NAME, LONGEST_PATH, SECTOR, SERIAL};

/// Bytes of the longest answer: a structure, and a path behind it.
const ROOM: usize = 128 + 2 * LONGEST_PATH;

/// An answer while it is made.
pub(crate) struct Answer {
    bytes: [u8; ROOM],
    length: usize,
}

impl Answer {
    /// Zeroes.
    fn new(length: usize) -> Self {
        Self { bytes: [0; ROOM], length }
    }

    fn put(&mut self, at: usize, value: &[u8]) {
        self.bytes[at..at + value.len()].copy_from_slice(value);
    }

    fn word(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    fn long(&mut self, at: usize, value: u64) {
        self.put(at, &value.to_le_bytes());
    }

    /// A name, and its length in bytes before it; the answer ends with it.
    fn name(&mut self, length_at: usize, at: usize, name: &[u16]) {
        self.word(length_at, u32::try_from(name.len() * 2).unwrap_or(0));
        for (place, unit) in self.bytes[at..].chunks_exact_mut(2).zip(name) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
        self.length = at + name.len() * 2;
    }

    fn times(&mut self, at: usize, times: Times) {
        for (index, time) in [times.creation, times.access, times.write, times.change].into_iter().enumerate()
        {
            self.long(at + index * 8, time.cast_unsigned());
        }
    }

    /// Gives all of it, for which there is room.
    pub(crate) fn append(&self, output: &mut Output<'_>) {
        output.write(&self.bytes[..self.length]);
    }

    /// Gives as much as fits.
    pub(crate) fn give(&self, mut output: Output<'_>) -> NTSTATUS {
        let whole = output.write(&self.bytes[..self.length]) == self.length;
        if whole { STATUS_SUCCESS } else { STATUS_BUFFER_OVERFLOW }
    }
}

fn size(node: &Node) -> u64 {
    node.data.len() as u64
}

fn allocated(bytes: u64) -> u64 {
    bytes.next_multiple_of(u64::from(SECTOR))
}

fn attributes(node: &Node) -> u32 {
    if node.attributes == 0 { FILE_ATTRIBUTE_NORMAL } else { node.attributes }
}

fn ea_size(node: &Node) -> u32 {
    u32::try_from(node.attributes_list.len()).unwrap_or(0)
}

/// FILE_STANDARD_INFORMATION at `at`.
fn standard(answer: &mut Answer, at: usize, node: &Node) {
    type Layout = FILE_STANDARD_INFORMATION;
    answer.long(at + offset_of!(Layout, AllocationSize), allocated(size(node)));
    answer.long(at + offset_of!(Layout, EndOfFile), size(node));
    answer.word(at + offset_of!(Layout, NumberOfLinks), 1);
    answer.put(at + offset_of!(Layout, DeletePending), &[u8::from(node.delete_pending)]);
    answer.put(at + offset_of!(Layout, Directory), &[u8::from(node.is_folder)]);
}

/// FILE_BASIC_INFORMATION at `at`.
fn basic(answer: &mut Answer, at: usize, node: &Node) {
    answer.times(at, node.times);
    answer.word(at + offset_of!(FILE_BASIC_INFORMATION, FileAttributes), attributes(node));
}

/// What a file is.
pub(crate) fn file(volume: &Volume, id: u64, class: FILE_INFORMATION_CLASS) -> Result<Answer, NTSTATUS> {
    let node = volume.node(id)?;
    let mut room = [0; LONGEST_PATH];
    let answer = match class {
        abi::FileBasicInformation => {
            let mut answer = Answer::new(size_of::<FILE_BASIC_INFORMATION>());
            basic(&mut answer, 0, node);
            answer
        }
        abi::FileStandardInformation => {
            let mut answer = Answer::new(size_of::<FILE_STANDARD_INFORMATION>());
            standard(&mut answer, 0, node);
            answer
        }
        abi::FileInternalInformation => {
            let mut answer = Answer::new(size_of::<FILE_INTERNAL_INFORMATION>());
            answer.long(0, id);
            answer
        }
        abi::FileEaInformation => {
            let mut answer = Answer::new(size_of::<FILE_EA_INFORMATION>());
            answer.word(0, ea_size(node));
            answer
        }
        abi::FileNameInformation => {
            let mut answer = Answer::new(0);
            let path = volume.path(id, &mut room);
            answer.name(0, offset_of!(FILE_NAME_INFORMATION, FileName), path);
            answer
        }
        abi::FileAttributeTagInformation => {
            let mut answer = Answer::new(size_of::<FILE_ATTRIBUTE_TAG_INFORMATION>());
            answer.word(0, attributes(node));
            answer
        }
        abi::FileNetworkOpenInformation => {
            type Layout = FILE_NETWORK_OPEN_INFORMATION;
            let mut answer = Answer::new(size_of::<Layout>());
            answer.times(0, node.times);
            answer.long(offset_of!(Layout, AllocationSize), allocated(size(node)));
            answer.long(offset_of!(Layout, EndOfFile), size(node));
            answer.word(offset_of!(Layout, FileAttributes), attributes(node));
            answer
        }
        _ => return Err(STATUS_INVALID_PARAMETER),
    };
    Ok(answer)
}

/// What the volume is.
pub(crate) fn volume(volume: &Volume, class: FS_INFORMATION_CLASS) -> Result<Answer, NTSTATUS> {
    let units = |bytes: u64| bytes / u64::from(SECTOR);
    let free = units(CAPACITY - volume.used());
    let answer = match class {
        abi::FileFsVolumeInformation => {
            type Layout = FILE_FS_VOLUME_INFORMATION;
            let mut answer = Answer::new(0);
            answer.long(offset_of!(Layout, VolumeCreationTime), volume.made.cast_unsigned());
            answer.word(offset_of!(Layout, VolumeSerialNumber), SERIAL);
            answer.name(
                offset_of!(Layout, VolumeLabelLength),
                offset_of!(Layout, VolumeLabel),
                &volume.label,
            );
            answer
        }
        abi::FileFsSizeInformation => {
            type Layout = FILE_FS_SIZE_INFORMATION;
            let mut answer = Answer::new(size_of::<Layout>());
            answer.long(offset_of!(Layout, TotalAllocationUnits), units(CAPACITY));
            answer.long(offset_of!(Layout, AvailableAllocationUnits), free);
            answer.word(offset_of!(Layout, SectorsPerAllocationUnit), 1);
            answer.word(offset_of!(Layout, BytesPerSector), SECTOR);
            answer
        }
        abi::FileFsFullSizeInformation => {
            type Layout = FILE_FS_FULL_SIZE_INFORMATION;
            let mut answer = Answer::new(size_of::<Layout>());
            answer.long(offset_of!(Layout, TotalAllocationUnits), units(CAPACITY));
            answer.long(offset_of!(Layout, CallerAvailableAllocationUnits), free);
            answer.long(offset_of!(Layout, ActualAvailableAllocationUnits), free);
            answer.word(offset_of!(Layout, SectorsPerAllocationUnit), 1);
            answer.word(offset_of!(Layout, BytesPerSector), SECTOR);
            answer
        }
        abi::FileFsAttributeInformation => {
            type Layout = FILE_FS_ATTRIBUTE_INFORMATION;
            let mut answer = Answer::new(0);
            answer.word(
                offset_of!(Layout, FileSystemAttributes),
                FILE_CASE_PRESERVED_NAMES | FILE_UNICODE_ON_DISK,
            );
            let longest = u32::try_from(LONGEST_NAME).unwrap_or(0);
            answer.word(offset_of!(Layout, MaximumComponentNameLength), longest);
            answer.name(
                offset_of!(Layout, FileSystemNameLength),
                offset_of!(Layout, FileSystemName),
                FILE_SYSTEM.units(),
            );
            answer
        }
        _ => return Err(STATUS_INVALID_PARAMETER),
    };
    Ok(answer)
}

/// Where the name of an entry of a folder begins; `None` for classes that the volume does not know.
pub(crate) fn name_at(class: FILE_INFORMATION_CLASS) -> Option<usize> {
    Some(match class {
        abi::FileDirectoryInformation => offset_of!(FILE_DIRECTORY_INFORMATION, FileName),
        abi::FileFullDirectoryInformation => offset_of!(FILE_FULL_DIR_INFORMATION, FileName),
        abi::FileBothDirectoryInformation => offset_of!(FILE_BOTH_DIR_INFORMATION, FileName),
        abi::FileNamesInformation => offset_of!(FILE_NAMES_INFORMATION, FileName),
        abi::FileIdBothDirectoryInformation => offset_of!(FILE_ID_BOTH_DIR_INFORMATION, FileName),
        abi::FileIdFullDirectoryInformation => offset_of!(FILE_ID_FULL_DIR_INFORMATION, FileName),
        _ => return None,
    })
}

/// An entry of a folder, `next` bytes before the one behind it; 0 for the last.
pub(crate) fn entry(node: &Node, class: FILE_INFORMATION_CLASS, name_at: usize, next: usize) -> Answer {
    type Layout = FILE_BOTH_DIR_INFORMATION;
    let mut answer = Answer::new(0);
    answer.word(offset_of!(Layout, NextEntryOffset), u32::try_from(next).unwrap_or(0));
    if class == abi::FileNamesInformation {
        answer.name(offset_of!(FILE_NAMES_INFORMATION, FileNameLength), name_at, &node.name);
        return answer;
    }
    answer.times(offset_of!(Layout, CreationTime), node.times);
    answer.long(offset_of!(Layout, EndOfFile), size(node));
    answer.long(offset_of!(Layout, AllocationSize), allocated(size(node)));
    answer.word(offset_of!(Layout, FileAttributes), attributes(node));
    if class != abi::FileDirectoryInformation {
        answer.word(offset_of!(Layout, EaSize), ea_size(node));
    }
    match class {
        abi::FileIdBothDirectoryInformation => {
            answer.long(offset_of!(FILE_ID_BOTH_DIR_INFORMATION, FileId), node.id)
        }
        abi::FileIdFullDirectoryInformation => {
            answer.long(offset_of!(FILE_ID_FULL_DIR_INFORMATION, FileId), node.id)
        }
        _ => {}
    }
    answer.name(offset_of!(Layout, FileNameLength), name_at, &node.name);
    answer
}
