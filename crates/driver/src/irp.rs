//! An IRP while the driver answers it: what NT's macros read from it, and the answer that ends its stay.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use abi::{
    DEVICE_OBJECT, FALSE, FILE_OBJECT, IO_COMPLETION_ROUTINE, IO_NO_INCREMENT, IO_STACK_LOCATION,
    IO_STACK_LOCATION_PARAMETERS, IO_STATUS_BLOCK, IRP, KEVENT, MDL, NTSTATUS, NotificationEvent,
    SL_INVOKE_ON_CANCEL, SL_INVOKE_ON_ERROR, SL_INVOKE_ON_SUCCESS, SL_PENDING_RETURNED,
    STATUS_MORE_PROCESSING_REQUIRED, STATUS_PENDING, STATUS_UNSUCCESSFUL,
};

use crate::nt::{
    IofCallDriver, IofCompleteRequest, KeInitializeEvent, KeSetEvent, ObfDereferenceObject,
    ObfReferenceObject,
};
use crate::wait::{Waiter, wait};
use crate::{Contexts, device};

/// An IRP that the driver owns. Not `Send`, as the pointers are not: it stays in its dispatch call, unless it is
/// [`Pended`](crate::Pended).
pub struct Irp {
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

    pub(crate) fn as_raw(&self) -> NonNull<IRP> {
        self.irp
    }

    /// The major function.
    pub(crate) fn major(&self) -> u8 {
        // SAFETY: valid while the IRP is owned.
        unsafe { (*self.stack.as_ptr()).MajorFunction }
    }

    /// The minor function.
    pub(crate) fn minor(&self) -> u8 {
        // SAFETY: valid while the IRP is owned.
        unsafe { (*self.stack.as_ptr()).MinorFunction }
    }

    /// One of the four words of `Parameters`; 0 beyond.
    pub(crate) fn argument(&self, number: usize) -> usize {
        let parameters = self.parameters();
        // SAFETY: four words, whatever they mean for the major function.
        let words = unsafe { parameters.Others };
        let words = [words.Argument1, words.Argument2, words.Argument3, words.Argument4];
        words.get(number).map_or(0, |word| word.addr())
    }

    /// What the IRP's status block says.
    pub(crate) fn io_status(&self) -> IO_STATUS_BLOCK {
        // SAFETY: valid while the IRP is owned.
        unsafe { (*self.irp.as_ptr()).IoStatus }
    }

    /// What drivers below find there.
    pub(crate) fn set_status(&self, status: NTSTATUS, information: usize) {
        // SAFETY: valid while the IRP is owned.
        unsafe {
            (*self.irp.as_ptr()).IoStatus = IO_STATUS_BLOCK { Status: status, Information: information }
        };
    }

    /// This driver's stack location.
    pub(crate) fn location(&self) -> NonNull<IO_STACK_LOCATION> {
        self.stack
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
        unsafe { Contexts::new(self.own_file()) }
    }

    /// The file object, if its contexts are this driver's: the file was opened by the device's name, or by that of one which the
    /// device is attached above. A driver may send what it was asked for on to another stack, with the file that it came
    /// for: there the contexts are that driver's.
    pub(crate) fn own_file(&self) -> Option<NonNull<FILE_OBJECT>> {
        // SAFETY: the request keeps both.
        self.file_object().filter(|file| unsafe { is_own(self.device(), *file) })
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

    /// `IoMarkIrpPending`, which the headers inline.
    pub(crate) fn mark_pending(&self) {
        let stack = self.stack.as_ptr();
        // SAFETY: the current stack location of an IRP that is still this driver's.
        unsafe { (*stack).Control |= SL_PENDING_RETURNED };
    }

    fn is_marked_pending(&self) -> bool {
        // SAFETY: valid while the IRP is owned.
        unsafe { (*self.stack.as_ptr()).Control & SL_PENDING_RETURNED != 0 }
    }

    /// The device that the request is at.
    pub(crate) fn device(&self) -> *mut DEVICE_OBJECT {
        // SAFETY: valid while the IRP is owned.
        unsafe { (*self.stack.as_ptr()).DeviceObject }
    }

    /// Whether somebody has asked for its cancellation.
    pub(crate) fn is_cancelled(&self) -> bool {
        // SAFETY: a place in an IRP that is owned.
        let cancel = unsafe { &raw const (*self.irp.as_ptr()).Cancel };
        // SAFETY: as above. Other threads set it.
        let cancel = unsafe { cancel.read_volatile() };
        cancel != FALSE
    }

    /// `IoSkipCurrentIrpStackLocation`, which the headers inline.
    pub(crate) fn skip(&self) {
        let irp = self.irp.as_ptr();
        // SAFETY: the IRP is owned, and stands at a location of this driver's, above which there is another or the end.
        unsafe { (*irp).CurrentLocation += 1 };
        let above = self.stack.as_ptr().wrapping_add(1);
        // SAFETY: the IRP is owned.
        let overlay = unsafe { &raw mut (*irp).Tail.Overlay };
        // SAFETY: an IRP on its way uses the overlay.
        unsafe { (*overlay).CurrentStackLocation = above };
    }

    /// `IoCopyCurrentIrpStackLocationToNext` with other parameters, then `IoSetCompletionRoutine`.
    pub(crate) fn copy_down(
        &self,
        parameters: IO_STACK_LOCATION_PARAMETERS,
        routine: IO_COMPLETION_ROUTINE,
        context: *mut c_void,
    ) {
        let next = self.stack.as_ptr().wrapping_sub(1);
        // SAFETY: the IRP is owned.
        let mut below = unsafe { *self.stack.as_ptr() };
        below.Parameters = parameters;
        below.CompletionRoutine = routine;
        below.Context = context;
        let invoke = SL_INVOKE_ON_SUCCESS | SL_INVOKE_ON_ERROR | SL_INVOKE_ON_CANCEL;
        below.Control = if routine.is_some() { invoke } else { 0 };
        // SAFETY: attaching gave the stack one location more than the device below needs.
        unsafe { *next = below };
    }

    /// Sends the request, changed to `parameters`, to the device below, and waits until it comes back.
    ///
    /// # Safety
    ///
    /// At PASSIVE_LEVEL; `lower` is the device below, and stays until the request has come back.
    pub(crate) unsafe fn send_and_wait(
        &self,
        lower: NonNull<DEVICE_OBJECT>,
        parameters: IO_STACK_LOCATION_PARAMETERS,
    ) {
        // SAFETY: all fields may be zero.
        let mut event: KEVENT = unsafe { core::mem::zeroed() };
        let event = &raw mut event;
        // SAFETY: on the kernel stack, which stays during a KernelMode wait.
        unsafe { KeInitializeEvent(event, NotificationEvent, FALSE) };
        self.copy_down(parameters, Some(came_back), event.cast());
        // SAFETY: the next location is filled; the rest is the caller's contract.
        let status = unsafe { IofCallDriver(lower.as_ptr(), self.irp.as_ptr()) };
        if status == STATUS_PENDING {
            // SAFETY: initialised above.
            let _satisfied = unsafe { wait(event.cast(), Waiter::Driver, None) };
        }
    }

    /// # Panics
    ///
    /// With STATUS_PENDING, which is not an answer.
    pub(crate) fn answer(self, status: NTSTATUS, information: usize) -> Answered {
        assert!(status != STATUS_PENDING, "a request is not completed with STATUS_PENDING");
        let how = How::Completed { status, information, boost: IO_NO_INCREMENT };
        Answered { irp: self.irp, how }
    }

    /// Answers as the status block stands. What another driver has left there may be wrong: STATUS_PENDING becomes
    /// STATUS_UNSUCCESSFUL, and no bytes.
    pub(crate) fn answer_unchanged(self) -> Answered {
        match self.io_status() {
            IO_STATUS_BLOCK { Status: STATUS_PENDING, .. } => self.answer(STATUS_UNSUCCESSFUL, 0),
            IO_STATUS_BLOCK { Status: status, Information: information } => self.answer(status, information),
        }
    }
}

/// The completion routine of [`Irp::send_and_wait`].
unsafe extern "win64" fn came_back(
    _device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    event: *mut c_void,
) -> NTSTATUS {
    // SAFETY: a completion routine's IRP.
    if unsafe { (*irp).PendingReturned } != FALSE {
        // SAFETY: the dispatch call waits for it.
        unsafe { KeSetEvent(event.cast(), i32::from(IO_NO_INCREMENT), FALSE) };
    }
    STATUS_MORE_PROCESSING_REQUIRED
}

/// The file object of a request.
///
/// # Safety
///
/// `irp` is the driver's.
pub(crate) unsafe fn file_of(irp: NonNull<IRP>) -> *mut FILE_OBJECT {
    // SAFETY: the caller's contract.
    unsafe { Irp::new(irp) }.file_object().map_or(ptr::null_mut(), NonNull::as_ptr)
}

/// Marks a request's IRP pending, before the request is given away. After that another thread may be through with it at
/// any moment.
pub(crate) fn pend(irp: &Irp) -> Answered {
    irp.mark_pending();
    let file = irp.file_object().map(FileReference::new);
    Answered { irp: irp.irp, how: How::Pended { file } }
}

/// How a dispatch method has dealt with its request: completed it, pended it, or handed it down. Only a request gives one,
/// and the method returns it.
#[must_use = "the dispatch method returns it"]
pub struct Answered {
    irp: NonNull<IRP>,
    how: How,
}

enum How {
    /// The entry point completes the IRP, and returns its status.
    Completed { status: NTSTATUS, information: usize, boost: i8 },
    /// The IRP was marked pending and given away. The entry point touches it no more, and returns STATUS_PENDING.
    Pended { file: Option<FileReference> },
    /// The entry point hands the IRP to the device below by `IofCallDriver`, and returns what that returns, or STATUS_PENDING
    /// for an IRP that was marked so.
    Forwarded { lower: NonNull<DEVICE_OBJECT>, way: Way },
}

/// How a request goes down.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Without coming back to this driver.
    Past,
    /// With a completion routine of this driver's, which leaves the status as it is.
    Seen,
    /// Marked pending, with a completion routine of this driver's.
    Pended,
}

/// Keeps the file of a request that was given away, and with it the device, until the method that gave it away has
/// returned: otherwise they might be gone with the request, under the method's feet.
struct FileReference(NonNull<FILE_OBJECT>);

impl FileReference {
    fn new(file: NonNull<FILE_OBJECT>) -> Self {
        // SAFETY: the request still holds a reference to its file object.
        unsafe { ObfReferenceObject(file.as_ptr().cast()) };
        Self(file)
    }
}

impl Drop for FileReference {
    fn drop(&mut self) {
        // SAFETY: the reference of `new`.
        unsafe { ObfDereferenceObject(self.0.as_ptr().cast()) };
    }
}

impl Answered {
    /// The request goes to the device below.
    ///
    /// # Safety
    ///
    /// `irp` is this dispatch call's, its next stack location is filled (or its own skipped), and `lower` stays until the
    /// entry point has called it.
    pub(crate) unsafe fn forwarded(irp: NonNull<IRP>, lower: NonNull<DEVICE_OBJECT>, way: Way) -> Self {
        Self { irp, how: How::Forwarded { lower, way } }
    }

    /// The request was marked pending and given away; what keeps its device is the caller's.
    pub(crate) fn pended(irp: NonNull<IRP>) -> Self {
        Self { irp, how: How::Pended { file: None } }
    }

    /// Whether the request was marked pending and given away.
    pub(crate) fn is_pended(&self) -> bool {
        matches!(self.how, How::Pended { .. })
    }

    /// Whether a completion routine or whoever holds the request deals with it after its dispatch call.
    pub(crate) fn comes_back(&self) -> bool {
        match self.how {
            How::Completed { .. } => false,
            How::Pended { .. } => true,
            How::Forwarded { way, .. } => way != Way::Past,
        }
    }

    /// Raises the priority of the waiting thread for a moment: one of `IO_*_INCREMENT`, instead of `IO_NO_INCREMENT`.
    ///
    /// # Panics
    ///
    /// When the request is not completed by this: whoever completes it chooses.
    pub fn with_priority_boost(mut self, priority_boost: i8) -> Self {
        let How::Completed { boost, .. } = &mut self.how else {
            panic!("a priority boost for a request that is not completed")
        };
        *boost = priority_boost;
        self
    }

    pub(crate) fn is_for(&self, irp: NonNull<IRP>) -> bool {
        self.irp == irp
    }

    /// Gives the IRP back to the I/O manager, unless it is given away already. Returns what a dispatch routine returns.
    ///
    /// # Safety
    ///
    /// Nothing uses the IRP, its buffers or the device's context any more. One that is to be completed is still the
    /// driver's.
    pub(crate) unsafe fn carry_out(self) -> NTSTATUS {
        let irp = self.irp.as_ptr();
        match self.how {
            How::Completed { status, information, boost } => {
                // SAFETY: the IRP is the driver's.
                let was_pended = unsafe { Irp::new(self.irp) }.is_marked_pending();
                // SAFETY: the IRP is the driver's until the next line.
                unsafe { (*irp).IoStatus = IO_STATUS_BLOCK { Status: status, Information: information } };
                // SAFETY: completed once, since `self` is consumed.
                unsafe { IofCompleteRequest(irp, boost) };
                // One that was marked and completed in its call after all: NT is told of its end by its completion alone.
                if was_pended { STATUS_PENDING } else { status }
            }
            How::Pended { file } => {
                drop(file);
                STATUS_PENDING
            }
            How::Forwarded { lower, way } => {
                // SAFETY: `forwarded`'s contract; the IRP is not touched after this.
                let status = unsafe { IofCallDriver(lower.as_ptr(), irp) };
                if way == Way::Pended { STATUS_PENDING } else { status }
            }
        }
    }
}

/// Whether a file was opened by the name of this device, or by that of one which the device is attached above.
///
/// # Safety
///
/// A device of this crate's, which stays meanwhile, as the file object does.
pub(crate) unsafe fn is_own(own: *mut DEVICE_OBJECT, file: NonNull<FILE_OBJECT>) -> bool {
    // SAFETY: the caller's contract.
    let mut opened = unsafe { (*file.as_ptr()).DeviceObject };
    // SAFETY: the caller's contract.
    let is_attached = || unsafe { device::header(own) }.lower().is_some();
    if opened != own && is_attached() {
        while !opened.is_null() && opened != own {
            // SAFETY: the file keeps the device that it was opened by, and each device the one that it stands above.
            opened = unsafe { (*opened).AttachedDevice };
        }
    }
    opened == own
}
