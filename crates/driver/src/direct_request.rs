//! Requests of several kinds in one queue: what all have in common that move bytes between the driver and locked memory.

use abi::{IRP_MJ_READ, IRP_MJ_WRITE, NTSTATUS};

use crate::irp::{Answered, Irp};
use crate::{Contexts, Direct, LockedControl, Read, Write};

/// A read, a write or a locked control, for a [`CancelSafeQueue`](crate::CancelSafeQueue) in which they wait together and keep
/// their order.
#[must_use = "a request is answered"]
pub enum DirectRequest {
    /// IRP_MJ_READ.
    Read(Read<Direct>),
    /// IRP_MJ_WRITE.
    Write(Write<Direct>),
    /// A METHOD_NEITHER control whose buffers are locked.
    Control(LockedControl),
}

impl DirectRequest {
    /// The request again, of which so many bytes of output are written.
    pub(crate) fn resume(irp: Irp, written: usize) -> Self {
        match irp.major() {
            IRP_MJ_READ => Self::Read(Read::resume(irp, written)),
            IRP_MJ_WRITE => Self::Write(Write::resume(irp, written)),
            _ => Self::Control(LockedControl::resume(irp, written)),
        }
    }

    pub(crate) fn irp(&self) -> &Irp {
        match self {
            Self::Read(request) => &request.irp,
            Self::Write(request) => &request.irp,
            Self::Control(request) => &request.irp,
        }
    }

    pub(crate) fn written(&self) -> usize {
        match self {
            Self::Read(request) => request.written(),
            Self::Write(request) => request.written(),
            Self::Control(request) => request.written(),
        }
    }

    /// The contexts of the file.
    #[must_use]
    pub fn contexts(&self) -> Contexts<'_> {
        self.irp().contexts()
    }

    /// Answers with a failure and no bytes.
    pub fn fail(self, status: NTSTATUS) -> Answered {
        match self {
            Self::Read(request) => request.fail(status),
            Self::Write(request) => request.fail(status),
            Self::Control(request) => request.fail(status),
        }
    }
}
