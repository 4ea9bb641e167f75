//! Requests that are answered later: marked pending first, then given away, by type in this order.

use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use abi::{IRP, NTSTATUS, STATUS_CANCELLED};

use crate::irp::{self, Answered, Irp};
use crate::{
    Buffered, BufferedControl, Direct, DirectRequest, FlushBuffers, InDirectControl, Lock, LockedControl,
    Mode, NotifyChangeDirectory, OutDirectControl, Read, Write, packet,
};

/// A request that can be answered outside its dispatch call. Those that are neither buffered nor direct cannot, before
/// they are [locked](crate::Read::lock): their addresses mean something only in the requesting thread.
pub trait Pendable: sealed::Request {}

pub(crate) mod sealed {
    use abi::NTSTATUS;

    use crate::irp::{Answered, Irp};

    pub trait Request: Sized + 'static {
        fn irp(&self) -> &Irp;

        /// Bytes of output written so far.
        fn written(&self) -> usize;

        /// The request that this IRP is, with so many bytes of output written.
        fn from_irp(irp: Irp, written: usize) -> Self;

        fn fail(self, status: NTSTATUS) -> Answered;
    }
}

/// A request whose dispatch call has returned STATUS_PENDING, or will. It goes to any thread or DPC, with all that the
/// request gives but the way to answer, which here completes the IRP at once.
///
/// Dropping one completes it with STATUS_CANCELLED: a request that is lost in the driver would never let its
/// application go. IRQL of all uses: up to DISPATCH_LEVEL.
pub struct Pended<R: sealed::Request> {
    request: ManuallyDrop<R>,
    /// The one that was pended. `DerefMut` lets a driver exchange the request for one that was not.
    irp: NonNull<IRP>,
}

// SAFETY: the IRP and its buffers are known by system addresses, which mean the same in every thread, and the I/O
// manager leaves them alone until the driver completes the IRP.
unsafe impl<R: sealed::Request> Send for Pended<R> {}

impl<R: sealed::Request> Pended<R> {
    pub(crate) fn new(request: R) -> Self {
        let irp = request.irp().as_raw();
        Self { request: ManuallyDrop::new(request), irp }
    }

    pub(crate) fn into_request(self) -> R {
        let mut this = ManuallyDrop::new(self);
        this.expect_own_request();
        // SAFETY: `this` is neither used nor dropped after this.
        unsafe { ManuallyDrop::take(&mut this.request) }
    }

    /// Another's request is its dispatch call's, and must not end here, in whatever thread this is.
    fn expect_own_request(&self) {
        assert!(self.request.irp().as_raw() == self.irp, "a pended request was exchanged for another one");
    }

    /// Answers in the request's own words, such as `|read| read.complete().with_priority_boost(IO_SERIAL_INCREMENT)`.
    ///
    /// # Panics
    ///
    /// When `answer` returns what another request gave.
    pub fn answer(self, answer: impl FnOnce(R) -> Answered) {
        let request = self.into_request();
        let irp = request.irp().as_raw();
        let answered = answer(request);
        assert!(answered.is_for(irp), "a pended request was answered with the answer of another one");
        // SAFETY: `answer` consumed the request, and whatever borrowed from it is gone.
        unsafe { answered.carry_out() };
    }

    /// Completes the request with a failure and no bytes.
    pub fn fail(self, status: NTSTATUS) {
        self.answer(|request| request.fail(status));
    }
}

impl<R: sealed::Request> Drop for Pended<R> {
    fn drop(&mut self) {
        self.expect_own_request();
        // SAFETY: `self.request` is not used after this.
        let request = unsafe { ManuallyDrop::take(&mut self.request) };
        let answered = request.fail(STATUS_CANCELLED);
        // SAFETY: the request is consumed, and nothing borrows from it.
        unsafe { answered.carry_out() };
    }
}

impl<R: sealed::Request> Deref for Pended<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.request
    }
}

impl<R: sealed::Request> DerefMut for Pended<R> {
    fn deref_mut(&mut self) -> &mut R {
        &mut self.request
    }
}

macro_rules! requests {
    ($([$($generics:tt)*] $request:ty;)*) => {$(
        impl<$($generics)*> sealed::Request for $request {
            fn irp(&self) -> &Irp {
                &self.irp
            }

            fn written(&self) -> usize {
                self.written()
            }

            fn from_irp(irp: Irp, written: usize) -> Self {
                Self::resume(irp, written)
            }

            fn fail(self, status: NTSTATUS) -> Answered {
                self.fail(status)
            }
        }
    )*};
}

requests! {
    [M: Mode] Read<M>;
    [M: Mode] Write<M>;
    [] BufferedControl;
    [] InDirectControl;
    [] OutDirectControl;
    [] LockedControl;
    [] FlushBuffers;
    [M: Mode] NotifyChangeDirectory<M>;
    [] Lock;
}

impl sealed::Request for DirectRequest {
    fn irp(&self) -> &Irp {
        self.irp()
    }

    fn written(&self) -> usize {
        self.written()
    }

    fn from_irp(irp: Irp, written: usize) -> Self {
        Self::resume(irp, written)
    }

    fn fail(self, status: NTSTATUS) -> Answered {
        self.fail(status)
    }
}

macro_rules! pendable {
    ($($request:ty: $($method:ident($($argument:ident: $type:ty)?)),*;)*) => {$(
        impl Pendable for $request {}

        impl $request {
            /// Answers later. The IRP is marked pending, and then `hand_over` gets the request, to put it where another
            /// thread or a DPC finds it; the dispatch routine will return STATUS_PENDING, whenever the answer comes.
            pub fn pend(self, hand_over: impl FnOnce(Pended<Self>)) -> Answered {
                let answered = irp::pend(&self.irp);
                hand_over(Pended::new(self));
                answered
            }

            /// Answers when the driver's [`StartIo`](crate::StartIo) routine has had it: marks the request pending, and has the
            /// routine begin with it, or puts it into the device's queue, by its `key` (smaller ones first) or at the end.
            ///
            /// # Panics
            ///
            /// In a driver without [`Driver::START_IO`](crate::Driver::START_IO).
            pub fn start_packet(self, key: Option<u32>) -> Answered {
                self.pend(|request| packet::start(request, key))
            }
        }

        impl Pended<$request> {
            $(
                /// Completes the request, as the request's own method of this name says.
                pub fn $method(self, $($argument: $type)?) {
                    self.answer(|request| request.$method($($argument)?));
                }
            )*
        }
    )*};
}

pendable! {
    Read<Buffered>: complete(), complete_with(status: NTSTATUS);
    Read<Direct>: complete(), complete_with(status: NTSTATUS);
    Write<Buffered>: complete(), complete_partly(taken: usize);
    Write<Direct>: complete(), complete_partly(taken: usize);
    BufferedControl: complete(), complete_with(status: NTSTATUS), complete_in_place();
    InDirectControl: complete();
    OutDirectControl: complete(), complete_with(status: NTSTATUS);
    LockedControl: complete(), complete_with(status: NTSTATUS);
    FlushBuffers: complete();
}

impl Pendable for DirectRequest {}
