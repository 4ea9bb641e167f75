//! IRP_MJ_QUERY_VOLUME_INFORMATION and IRP_MJ_SET_VOLUME_INFORMATION: what a volume is.

use core::slice;

use abi::{FS_INFORMATION_CLASS, NTSTATUS, STATUS_SUCCESS};

use crate::irp::{Answered, Irp};
use crate::{Contexts, Output};

/// IRP_MJ_QUERY_VOLUME_INFORMATION. Both have their bytes in a system buffer, whatever the device's own way is. What kind of device it
/// is (FileFsDeviceInformation) the I/O manager answers.
#[must_use = "a request is answered"]
pub struct QueryVolumeInformation {
    pub(crate) irp: Irp,
    length: usize,
    class: FS_INFORMATION_CLASS,
    written: usize,
}

impl QueryVolumeInformation {
    pub(crate) fn new(irp: Irp) -> Self {
        let parameters = irp.parameters();
        // SAFETY: the dispatch entry of IRP_MJ_QUERY_VOLUME_INFORMATION made `irp`.
        let query = unsafe { parameters.QueryVolume };
        Self { irp, length: query.Length as usize, class: query.FsInformationClass, written: 0 }
    }

    /// What is asked: FileFsVolumeInformation and its kin.
    #[must_use]
    pub fn class(&self) -> FS_INFORMATION_CLASS {
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

/// IRP_MJ_SET_VOLUME_INFORMATION.
#[must_use = "a request is answered"]
pub struct SetVolumeInformation {
    pub(crate) irp: Irp,
    length: usize,
    class: FS_INFORMATION_CLASS,
}

impl SetVolumeInformation {
    pub(crate) fn new(irp: Irp) -> Self {
        let parameters = irp.parameters();
        // SAFETY: the dispatch entry of IRP_MJ_SET_VOLUME_INFORMATION made `irp`.
        let set = unsafe { parameters.SetVolume };
        Self { irp, length: set.Length as usize, class: set.FsInformationClass }
    }

    /// What is to change: FileFsLabelInformation and its kin.
    #[must_use]
    pub fn class(&self) -> FS_INFORMATION_CLASS {
        self.class
    }

    /// The contexts of the file.
    #[must_use]
    pub fn contexts(&self) -> Contexts<'_> {
        self.irp.contexts()
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
