//! Requests without data, and those of the major functions that have no form of their own here.

use abi::{NTSTATUS, STATUS_SUCCESS};

use crate::irp::{Answered, Irp, Way};
use crate::{Contexts, PassiveLevel, device};

macro_rules! plain {
    ($($(#[$doc:meta])* $request:ident;)*) => {$(
        $(#[$doc])*
        #[must_use = "a request is answered"]
        pub struct $request {
            pub(crate) irp: Irp,
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

impl FlushBuffers {
    /// The request again. It has no output.
    pub(crate) fn resume(irp: Irp, _written: usize) -> Self {
        Self { irp }
    }

    #[expect(clippy::unused_self, reason = "as requests that have an output")]
    pub(crate) fn written(&self) -> usize {
        0
    }
}

impl OtherRequest {
    pub(crate) fn irp(&self) -> &Irp {
        &self.irp
    }

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

    /// Hands the request down to the device below (`IoSkipCurrentIrpStackLocation`, then `IoCallDriver`) and is done with it: what a
    /// function driver does with Plug and Play, power and system control requests that it does not know. Where the device is
    /// attached to none, [`complete_unchanged`](Self::complete_unchanged).
    pub fn forward(self) -> Answered {
        // SAFETY: a device of this crate's, which the request keeps.
        let lower = unsafe { device::header(self.irp.device()) }.lower();
        let Some(lower) = lower else { return self.complete_unchanged() };
        self.irp.skip();
        // SAFETY: skipped; the entry point holds the device's lock.
        unsafe { Answered::forwarded(self.irp.as_raw(), lower, Way::Past) }
    }

    /// Hands the request down and waits until it comes back, with the answer of the drivers below in its
    /// [status](Self::status): for requests that these have to see first, such as IRP_MN_START_DEVICE. Where the device is
    /// attached to none the request stays as it is.
    pub fn forward_and_wait(self, _level: PassiveLevel) -> Self {
        // SAFETY: a device of this crate's, which the request keeps.
        if let Some(lower) = unsafe { device::header(self.irp.device()) }.lower() {
            // SAFETY: at PASSIVE_LEVEL; the entry point holds the device's lock.
            unsafe { self.irp.send_and_wait(lower, self.irp.parameters()) };
        }
        self
    }

    /// What the IRP's status block says: how the request came, or how the drivers below answered it.
    #[must_use]
    pub fn status(&self) -> NTSTATUS {
        self.irp.io_status().Status
    }

    /// Answers with the status that the request came with. What a driver does with Plug and Play requests that it does not know,
    /// at the bottom of a stack. Where another driver has left STATUS_PENDING there, which is no answer, it is
    /// STATUS_UNSUCCESSFUL.
    pub fn complete_unchanged(self) -> Answered {
        self.irp.answer_unchanged()
    }
}
