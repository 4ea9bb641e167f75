//! An IRP while the driver answers it: what NT's macros read from it, and the answer that ends its stay.

use core::ptr::NonNull;

use abi::{
    FILE_OBJECT, IO_NO_INCREMENT, IO_STACK_LOCATION, IO_STACK_LOCATION_PARAMETERS, IO_STATUS_BLOCK, IRP, MDL,
    NTSTATUS, STATUS_PENDING,
};

use crate::Contexts;
use crate::nt::IofCompleteRequest;

/// An IRP that this dispatch call owns. Not `Send`, as the pointers are not: it stays in the call.
pub(crate) struct Irp {
    irp: NonNull<IRP>,
    stack: NonNull<IO_STACK_LOCATION>,
}

impl Irp {
    /// # Safety
    ///
    /// The I/O manager passed `irp` to a dispatch entry that has not completed it yet.
    pub(crate) unsafe fn new(irp: NonNull<IRP>) -> Self {
        // SAFETY: the caller's contract.
        let tail = unsafe { (*irp.as_ptr()).Tail };
        // SAFETY: a request in a dispatch routine uses the tail's overlay.
        let overlay = unsafe { tail.Overlay };
        // SAFETY: a dispatched IRP has a current stack location.
        let stack = unsafe { NonNull::new_unchecked(overlay.CurrentStackLocation) };
        Self { irp, stack }
    }

    pub(crate) fn parameters(&self) -> IO_STACK_LOCATION_PARAMETERS {
        // SAFETY: valid while the IRP is owned.
        unsafe { (*self.stack.as_ptr()).Parameters }
    }

    pub(crate) fn file_object(&self) -> Option<NonNull<FILE_OBJECT>> {
        // SAFETY: valid while the IRP is owned.
        NonNull::new(unsafe { (*self.stack.as_ptr()).FileObject })
    }

    /// The contexts of the file, for requests between its create and its close.
    pub(crate) fn contexts(&self) -> Contexts<'_> {
        // SAFETY: the file object's reference outlives the request, and only a close takes contexts back, of which there
        // is none while the request is under way. A close borrows itself exclusively for that.
        unsafe { Contexts::new(self.file_object()) }
    }

    /// Null for requests of length 0, and for those that are not buffered.
    pub(crate) fn system_buffer(&self) -> *mut u8 {
        // SAFETY: valid while the IRP is owned.
        let associated = unsafe { (*self.irp.as_ptr()).AssociatedIrp };
        // SAFETY: not an associated IRP, since those do not reach the majors that ask.
        unsafe { associated.SystemBuffer }.cast()
    }

    /// `UserBuffer`, of a request that is neither buffered nor direct.
    pub(crate) fn user_buffer(&self) -> *mut u8 {
        // SAFETY: valid while the IRP is owned.
        unsafe { (*self.irp.as_ptr()).UserBuffer }.cast()
    }

    /// Whether its addresses are an application's, and have to be probed.
    pub(crate) fn is_from_user_mode(&self) -> bool {
        // SAFETY: valid while the IRP is owned.
        unsafe { (*self.irp.as_ptr()).RequestorMode != abi::KernelMode }
    }

    /// Of a direct request; null for length 0.
    pub(crate) fn mdl(&self) -> *mut MDL {
        // SAFETY: valid while the IRP is owned.
        unsafe { (*self.irp.as_ptr()).MdlAddress }
    }

    /// # Panics
    ///
    /// With STATUS_PENDING, which is not an answer.
    pub(crate) fn answer(self, status: NTSTATUS, information: usize) -> Completion {
        assert!(status != STATUS_PENDING, "a request is not completed with STATUS_PENDING");
        Completion { irp: self.irp, status, information, boost: IO_NO_INCREMENT }
    }
}

/// How a request ended. Only a request gives one, and a dispatch method returns it.
#[must_use = "the dispatch method returns it"]
pub struct Completion {
    irp: NonNull<IRP>,
    status: NTSTATUS,
    information: usize,
    boost: i8,
}

impl Completion {
    /// Raises the priority of the waiting thread for a moment: one of `IO_*_INCREMENT`, instead of `IO_NO_INCREMENT`.
    pub fn with_priority_boost(mut self, boost: i8) -> Self {
        self.boost = boost;
        self
    }

    pub(crate) fn is_for(&self, irp: NonNull<IRP>) -> bool {
        self.irp == irp
    }

    /// Gives the IRP back to the I/O manager.
    ///
    /// # Safety
    ///
    /// The IRP is still the driver's, and nothing uses it or its buffers any more.
    pub(crate) unsafe fn complete(self) -> NTSTATUS {
        let Self { irp, status, information, boost } = self;
        let irp = irp.as_ptr();
        // SAFETY: the IRP is the driver's until the next line.
        unsafe { (*irp).IoStatus = IO_STATUS_BLOCK { Status: status, Information: information } };
        // SAFETY: completed once, since `self` is consumed.
        unsafe { IofCompleteRequest(irp, boost) };
        status
    }
}
