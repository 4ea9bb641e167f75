//! Where a file that is renamed, or gets another name, will be: its folder is opened for the driver that is asked, and stays open
//! while it is.
//!
//! Source: kernel, IRP_MJ_SET_INFORMATION (Parameters.SetFile.FileObject); ntifs, FILE_RENAME_INFORMATION, FILE_LINK_INFORMATION.

use std::mem::offset_of;
use std::sync::Arc;

use abi::{FILE_INFORMATION_CLASS, FILE_RENAME_INFORMATION, NTSTATUS};

use super::asynchronous::Caller;
use super::file::File;
use super::open::{OpenRequest, open_file};
use crate::ob::{self, Object, Wanted};
use crate::raw::{self, Outcome};

/// Bytes before the name.
const NAME: usize = offset_of!(FILE_RENAME_INFORMATION, FileName);
/// FILE_RENAME_REPLACE_IF_EXISTS, and FILE_LINK_REPLACE_IF_EXISTS.
const REPLACE_IF_EXISTS: u32 = 1;

/// Whether a change of this class names where the file will be. All four have one layout.
pub(super) fn is_named_by(class: FILE_INFORMATION_CLASS) -> bool {
    is_rename(class) || matches!(class, abi::FileLinkInformation | abi::FileLinkInformationEx)
}

/// Whether it takes the old name away.
pub(super) fn is_rename(class: FILE_INFORMATION_CLASS) -> bool {
    matches!(class, abi::FileRenameInformation | abi::FileRenameInformationEx)
}

/// What Parameters.SetFile says besides length and class.
#[derive(Debug, Default)]
pub(super) struct TargetDirectory {
    /// Referenced; `None` for the folder that the file is in, and for all other changes.
    object: Option<Arc<Object>>,
    replace_if_exists: bool,
}

impl TargetDirectory {
    /// Of the FILE_RENAME_INFORMATION in `data`, for `file`. A name that is relative to nothing and has no backslash in front stays in the
    /// file's own folder, and is the driver's to judge.
    ///
    /// # Errors
    /// `STATUS_INVALID_PARAMETER` for a length that cannot be; `STATUS_NOT_SAME_DEVICE`; `STATUS_INVALID_HANDLE` and
    /// `STATUS_OBJECT_TYPE_MISMATCH` for RootDirectory; or what opening the folder fails with.
    pub(super) fn open(
        caller: Caller<'_>,
        file: &File,
        class: FILE_INFORMATION_CLASS,
        data: &[u8],
    ) -> Result<Self, NTSTATUS> {
        if !is_named_by(class) {
            return Ok(Self::default());
        }
        let flags = word(data, 0);
        let replace_if_exists = match class {
            abi::FileRenameInformationEx | abi::FileLinkInformationEx => flags & REPLACE_IF_EXISTS != 0,
            _ => flags & 0xFF != 0,
        };
        let length = word(data, offset_of!(FILE_RENAME_INFORMATION, FileNameLength)) as usize;
        let name = data.get(NAME..).and_then(|rest| rest.get(..length));
        let (units, odd) = name.ok_or(abi::STATUS_INVALID_PARAMETER)?.as_chunks::<2>();
        if units.is_empty() || !odd.is_empty() {
            return Err(abi::STATUS_INVALID_PARAMETER);
        }
        let at = offset_of!(FILE_RENAME_INFORMATION, RootDirectory);
        let root = u64::from(word(data, at)) | u64::from(word(data, at + 4)) << 32;
        if root == 0 && units[0] != [b'\\', 0] {
            return Ok(Self { object: None, replace_if_exists });
        }
        let path: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
        let object = open_folder(caller, root, &path)?;
        if object.body::<File>().is_none_or(|folder| folder.device != file.device) {
            object.dereference(caller.kernel);
            return Err(abi::STATUS_NOT_SAME_DEVICE);
        }
        Ok(Self { object: Some(object), replace_if_exists })
    }

    /// As [`open`](Self::open), of what a driver has at `address`.
    ///
    /// # Errors
    /// An access violation there.
    pub(super) fn open_at(
        caller: Caller<'_>,
        file: &File,
        class: FILE_INFORMATION_CLASS,
        (address, length): (u64, u32),
    ) -> Outcome<Result<Self, NTSTATUS>> {
        if !is_named_by(class) {
            return Ok(Ok(Self::default()));
        }
        // No name is longer than a UNICODE_STRING, whatever the length says.
        let mut data = vec![0; (length as usize).min(NAME + usize::from(u16::MAX))];
        raw::copy_from(&mut data, address)?;
        Ok(Self::open(caller, file, class, &data))
    }

    /// Parameters.SetFile's FileObject, and the word with ReplaceIfExists.
    pub(super) fn parameters(&self) -> (u64, u64) {
        (self.object.as_ref().map_or(0, |object| object.address), self.replace_if_exists.into())
    }

    /// The request has ended: the driver sees the folder closed.
    pub(super) fn release(self, caller: Caller<'_>) {
        if let Some(object) = self.object {
            object.dereference(caller.kernel);
        }
    }
}

/// (Confirm: NT asks for FILE_ADD_SUBDIRECTORY instead when it is a folder that moves, and what others may share.)
fn open_folder(caller: Caller<'_>, root: u64, path: &[u16]) -> Result<Arc<Object>, NTSTATUS> {
    let Caller { kernel, process, thread, user_mode } = caller;
    let wanted = Wanted { user_mode, ..Wanted::default() };
    let root = match root {
        0 => None,
        handle => Some(ob::reference_by_handle(kernel, thread, handle, wanted)?.object),
    };
    let request = OpenRequest {
        path,
        related: root.as_ref(),
        desired_access: abi::FILE_WRITE_DATA | abi::SYNCHRONIZE,
        share_access: abi::FILE_SHARE_READ | abi::FILE_SHARE_WRITE,
        create_disposition: abi::FILE_OPEN,
        create_options: abi::FILE_OPEN_FOR_BACKUP_INTENT,
        user_mode,
        open_target_directory: true,
        ..OpenRequest::default()
    };
    let opened = open_file(kernel, process, &request);
    if let Some(root) = root {
        root.dereference(kernel);
    }
    opened.map(|(object, _, _)| object)
}

/// Zero where there is none.
fn word(data: &[u8], at: usize) -> u32 {
    let bytes = data.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
