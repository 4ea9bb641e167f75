//! Requests without data, and those of the major functions that have no form of their own here.

use abi::{NTSTATUS, STATUS_SUCCESS};

use crate::Contexts;
use crate::irp::{Answered, Irp};

macro_rules! plain {
    ($($(#[$doc:meta])* $request:ident;)*) => {$(
        $(#[$doc])*
        #[must_use = "a request is answered"]
        pub struct $request {
            irp: Irp,
        }

        impl $request {
            pub(crate) fn new(irp: Irp) -> Self {
                Self { irp }
            }

            /// The contexts of the file.
            #[must_use]
            pub fn contexts(&self) -> Contexts<'_> {
                self.irp.contexts()
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
    )*};
}

plain! {
    /// IRP_MJ_FLUSH_BUFFERS: what was written so far is to be where it belongs.
    FlushBuffers;

    /// IRP_MJ_SHUTDOWN: the system goes down. Only for devices that asked for it.
    Shutdown;

    /// A request of a major function that has no form of its own: its four arguments are what NT's documentation says under the
    /// name of the major function.
    OtherRequest;
}

impl OtherRequest {
    /// IRP_MJ_*.
    #[must_use]
    pub fn major(&self) -> u8 {
        self.irp.major()
    }

    /// IRP_MN_*.
    #[must_use]
    pub fn minor(&self) -> u8 {
        self.irp.minor()
    }

    /// One of the four words of `Parameters`, by its number from 0; 0 beyond.
    #[must_use]
    pub fn argument(&self, number: usize) -> usize {
        self.irp.argument(number)
    }

    /// Answers with the status that the request came with. What a driver does with Plug and Play requests that it does not know,
    /// at the bottom of a stack.
    pub fn complete_unchanged(self) -> Answered {
        let status = self.irp.io_status();
        self.irp.answer(status.Status, status.Information)
    }
}
