//! IRP_MJ_CREATE_NAMED_PIPE: for a file system of named pipes.

use core::ops::{Deref, DerefMut};

use abi::NAMED_PIPE_CREATE_PARAMETERS;

use crate::Create;
use crate::irp::{Answered, Irp};

/// IRP_MJ_CREATE_NAMED_PIPE: an instance of a pipe is to be made. It is a [`Create`] with the pipe's parameters, which NT has checked.
#[must_use = "a request is answered"]
pub struct CreateNamedPipe {
    create: Create,
    parameters: NAMED_PIPE_CREATE_PARAMETERS,
}

impl CreateNamedPipe {
    pub(crate) fn new(irp: Irp) -> Self {
        let parameters = irp.parameters();
        // SAFETY: the dispatch entry of IRP_MJ_CREATE_NAMED_PIPE made `irp`.
        let place = unsafe { parameters.CreatePipe }.Parameters;
        // SAFETY: the I/O manager's copy, which is there until the request is completed.
        let parameters = unsafe { *place };
        // What both majors have is in the same places.
        Self { create: Create::new(irp), parameters }
    }

    /// What the pipe is to be.
    #[must_use]
    pub fn parameters(&self) -> &NAMED_PIPE_CREATE_PARAMETERS {
        &self.parameters
    }

    /// As [`Create::complete_as`].
    pub fn complete_as(self, what: usize) -> Answered {
        self.create.complete_as(what)
    }

    /// As [`Create::fail`].
    ///
    /// # Panics
    ///
    /// With a status that is no failure.
    pub fn fail(self, status: abi::NTSTATUS) -> Answered {
        self.create.fail(status)
    }
}

impl Deref for CreateNamedPipe {
    type Target = Create;

    fn deref(&self) -> &Create {
        &self.create
    }
}

impl DerefMut for CreateNamedPipe {
    fn deref_mut(&mut self) -> &mut Create {
        &mut self.create
    }
}
