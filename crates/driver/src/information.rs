//! IRP_MJ_QUERY_INFORMATION and IRP_MJ_SET_INFORMATION: what a file is.

use core::mem::offset_of;
use core::slice;

use abi::{
    FILE_INFORMATION_CLASS, FILE_RENAME_INFORMATION, NTSTATUS, STATUS_INVALID_PARAMETER,
    STATUS_NOT_SAME_DEVICE, STATUS_SUCCESS,
};

use crate::irp::{Answered, Irp};
use crate::{Contexts, Output, contexts};

/// IRP_MJ_QUERY_INFORMATION. Both have their bytes in a system buffer, whatever the device's own way is.
#[must_use = "a request is answered"]
pub struct QueryInformation {
    pub(crate) irp: Irp,
    length: usize,
    class: FILE_INFORMATION_CLASS,
    written: usize,
}

impl QueryInformation {
    pub(crate) fn new(irp: Irp) -> Self {
        let parameters = irp.parameters();
        // SAFETY: the dispatch entry of IRP_MJ_QUERY_INFORMATION made `irp`.
        let query = unsafe { parameters.QueryFile };
        Self { irp, length: query.Length as usize, class: query.FileInformationClass, written: 0 }
    }

    /// What is asked: FileStandardInformation and its kin.
    #[must_use]
    pub fn class(&self) -> FILE_INFORMATION_CLASS {
        self.class
    }

    /// The contexts of the file.
    #[must_use]
    pub fn contexts(&self) -> Contexts<'_> {
        self.irp.contexts()
    }

    /// The bytes to give. Asked for again, it goes on where it stopped.
    pub fn output(&mut self) -> Output<'_> {
        // SAFETY: a query has a system buffer of `length` bytes.
        unsafe { Output::new(self.irp.system_buffer(), self.length, &mut self.written) }
    }

    /// Answers with STATUS_SUCCESS and the bytes written to the output.
    pub fn complete(self) -> Answered {
        self.irp.answer(STATUS_SUCCESS, self.written)
    }

    /// Answers with `status` and the bytes written to the output; STATUS_BUFFER_OVERFLOW where not all of them fitted.
    pub fn complete_with(self, status: NTSTATUS) -> Answered {
        self.irp.answer(status, self.written)
    }

    /// Answers with a failure and no bytes.
    pub fn fail(self, status: NTSTATUS) -> Answered {
        self.irp.answer(status, 0)
    }
}

/// IRP_MJ_SET_INFORMATION.
#[must_use = "a request is answered"]
pub struct SetInformation {
    pub(crate) irp: Irp,
    length: usize,
    class: FILE_INFORMATION_CLASS,
}

impl SetInformation {
    pub(crate) fn new(irp: Irp) -> Self {
        let parameters = irp.parameters();
        // SAFETY: the dispatch entry of IRP_MJ_SET_INFORMATION made `irp`.
        let set = unsafe { parameters.SetFile };
        Self { irp, length: set.Length as usize, class: set.FileInformationClass }
    }

    /// What is to change: FileEndOfFileInformation and its kin.
    #[must_use]
    pub fn class(&self) -> FILE_INFORMATION_CLASS {
        self.class
    }

    /// The contexts of the file.
    #[must_use]
    pub fn contexts(&self) -> Contexts<'_> {
        self.irp.contexts()
    }

    /// Of FileRenameInformation, FileLinkInformation and their Ex forms: the contexts of the folder that the file is to be in, opened for
    /// that ([`Create::opens_target_directory`](crate::Create::opens_target_directory)). `None` for its own folder.
    ///
    /// # Errors
    /// `STATUS_NOT_SAME_DEVICE` for a file of another device.
    pub fn target_directory(&self) -> Result<Option<Contexts<'_>>, NTSTATUS> {
        if !self.names_a_target() {
            return Ok(None);
        }
        let parameters = self.irp.parameters();
        // SAFETY: a request to change a file.
        let target = unsafe { parameters.SetFile }.FileObject;
        // SAFETY: null, or a file object that stays until the request is completed.
        unsafe { contexts::of_other_file(target, self.irp.device()) }.map_err(|_| STATUS_NOT_SAME_DEVICE)
    }

    /// Of those: whether a file that has the name goes.
    #[must_use]
    pub fn replace_if_exists(&self) -> bool {
        const REPLACE_IF_EXISTS: u8 = 1;
        let first = self.data().first().copied().unwrap_or(0);
        match self.class {
            abi::FileRenameInformationEx | abi::FileLinkInformationEx => first & REPLACE_IF_EXISTS != 0,
            _ => self.names_a_target() && first != 0,
        }
    }

    /// Of those: the name, or the path that ends with it. In UTF-16 units of two bytes, which need not be aligned.
    ///
    /// # Errors
    /// `STATUS_INVALID_PARAMETER` for a length that is odd, or longer than the data.
    pub fn new_name(&self) -> Result<&[[u8; 2]], NTSTATUS> {
        let at = offset_of!(FILE_RENAME_INFORMATION, FileNameLength);
        let length = self.data().get(at..).and_then(|rest| rest.first_chunk());
        let length = length.map_or(0, |word| u32::from_le_bytes(*word)) as usize;
        let name = self.data().get(offset_of!(FILE_RENAME_INFORMATION, FileName)..);
        let name = name.and_then(|rest| rest.get(..length)).filter(|_| self.names_a_target());
        let (units, odd) = name.ok_or(STATUS_INVALID_PARAMETER)?.as_chunks();
        if odd.is_empty() { Ok(units) } else { Err(STATUS_INVALID_PARAMETER) }
    }

    fn names_a_target(&self) -> bool {
        matches!(
            self.class,
            abi::FileRenameInformation
                | abi::FileRenameInformationEx
                | abi::FileLinkInformation
                | abi::FileLinkInformationEx
        )
    }

    /// What it is to be.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        let buffer = self.irp.system_buffer();
        if self.length == 0 || buffer.is_null() {
            return &[];
        }
        // SAFETY: a system buffer of `length` bytes, which NT filled and nobody else changes.
        unsafe { slice::from_raw_parts(buffer, self.length) }
    }

    /// Answers with STATUS_SUCCESS.
    pub fn complete(self) -> Answered {
        self.irp.answer(STATUS_SUCCESS, 0)
    }

    /// Answers with a failure.
    pub fn fail(self, status: NTSTATUS) -> Answered {
        self.irp.answer(status, 0)
    }
}
