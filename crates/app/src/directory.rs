//! Folders: what is in them (`FindFirstFile`, `FindNextFile`), and how that changes (`ReadDirectoryChangesW`).

use crate::buffer::Buffer;
use crate::device::Device;
use crate::error::Win32Error;
use crate::overlapped::{Operation, Overlapped, Refused};
use crate::sys::{self, FindHandle, Start, Transport};

/// `WIN32_FIND_DATA`. Times are in units of 100 ns since the beginning of 1601, UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindData {
    /// FILE_ATTRIBUTE_*.
    pub attributes: u32,
    /// When it was made.
    pub creation_time: i64,
    /// When it was read.
    pub last_access_time: i64,
    /// When it was written to.
    pub last_write_time: i64,
    /// Bytes.
    pub size: u64,
    /// Its name in the folder.
    pub name: String,
    /// Its short name; empty for none.
    pub short_name: String,
}

/// The files of a folder whose names fit a pattern: `FindFirstFile`, then `FindNextFile` until ERROR_NO_MORE_FILES (18), `FindClose`
/// when it is dropped.
#[derive(Debug)]
pub struct FindFiles<'a> {
    handle: FindHandle<'a>,
    first: Option<FindData>,
    ended: bool,
}

impl<'a> FindFiles<'a> {
    /// `FindFirstFile`: `path` is a folder's, then a backslash, then a name that may have `*` and `?` in it.
    ///
    /// # Errors
    /// ERROR_FILE_NOT_FOUND (2) when no name fits, ERROR_PATH_NOT_FOUND (3) when there is no such folder, or the driver's.
    pub fn new(transport: &'a dyn Transport, path: &str) -> Result<Self, Win32Error> {
        let (handle, first) = sys::find_first_file(transport, path)?;
        Ok(Self { handle, first: Some(first), ended: false })
    }
}

impl Iterator for FindFiles<'_> {
    type Item = Result<FindData, Win32Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        if self.ended {
            return None;
        }
        match sys::find_next_file(&mut self.handle) {
            Ok(Some(found)) => Some(Ok(found)),
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}

/// What has happened to a file of a folder: an entry of FILE_NOTIFY_INFORMATION.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryChange {
    /// FILE_ACTION_ADDED, FILE_ACTION_REMOVED, FILE_ACTION_MODIFIED, …
    pub action: u32,
    /// The file's name, relative to the folder.
    pub name: String,
}

/// The changes in the first `length` bytes of a buffer that [`Device::read_directory_changes`] has filled. None of no bytes: there were more
/// than fitted, and the folder is to be looked through.
#[must_use]
pub fn directory_changes(buffer: &Buffer, length: u32) -> Vec<DirectoryChange> {
    const NAME: usize = 12;
    let bytes = buffer.to_vec(length);
    let mut changes = Vec::new();
    let mut rest = &bytes[..];
    while let Some(header) = rest.first_chunk::<NAME>() {
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (next, action, length) = (word(0) as usize, word(4), word(8) as usize);
        let Some(name) = rest.get(NAME..).and_then(|behind| behind.get(..length)) else { break };
        changes.push(DirectoryChange { action, name: text(name) });
        match rest.get(next..) {
            Some(behind) if next >= NAME => rest = behind,
            _ => break,
        }
    }
    changes
}

/// UTF-16 as it lies in memory.
pub(crate) fn text(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    String::from_utf16_lossy(&units)
}

impl Device<'_> {
    /// `ReadDirectoryChangesW` with an OVERLAPPED, on a folder that was opened with
    /// [`directory`](crate::OpenOptions::directory): ends when something has changed, with [`directory_changes`] in the buffer.
    /// `filter`: FILE_NOTIFY_CHANGE_*.
    ///
    /// # Errors
    /// ERROR_ACCESS_DENIED (5) without FILE_LIST_DIRECTORY, ERROR_INVALID_PARAMETER (87) for a filter of nothing, or the driver's; nothing
    /// has begun then, and nothing is signaled.
    pub fn read_directory_changes<'d>(
        &'d self,
        buffer: Buffer,
        watch_subtree: bool,
        filter: u32,
        overlapped: &Overlapped<'d>,
    ) -> Result<Operation<'d>, Refused> {
        let start = Start::DirectoryChanges { buffer: buffer.bytes(), watch_subtree, filter };
        self.begin_with(start, buffer, overlapped)
    }
}
