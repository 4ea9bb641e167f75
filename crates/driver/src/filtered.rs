//! A request at a filter: before it goes down, when it comes back, and while the filter holds it.
//!
//! The IRP is in one hand at any time, and each hand is a type: [`Filtered`] in the dispatch call, [`Completed`] in a
//! completion routine, [`Returned`] after a wait, [`Held`] in whatever thread. Each is consumed by what gives the IRP away.

use core::cell::Cell;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr::{self, NonNull};

use abi::*;

use crate::PassiveLevel;
use crate::bugcheck::guard;
use crate::irp::{Answered, Irp, Way};
use crate::nt::{IofCallDriver, IofCompleteRequest};
use crate::stack::{FilterExtension, extension};

/// A request whose IRP stands at this filter's stack location: what can be seen of it in every hand.
pub struct InHand<F, M> {
    pub(crate) irp: Irp,
    extension: NonNull<FilterExtension<F>>,
    /// What the driver below is asked for, if not what this one was.
    pub(crate) changed: Cell<Option<IO_STACK_LOCATION_PARAMETERS>>,
    /// Whether it has been below and come back.
    pub(crate) completed: bool,
    kind: PhantomData<fn() -> M>,
}

impl<F, M> InHand<F, M> {
    fn new(irp: Irp, extension: NonNull<FilterExtension<F>>, completed: bool) -> Self {
        Self { irp, extension, changed: Cell::new(None), completed, kind: PhantomData }
    }

    /// # Safety
    ///
    /// `irp` stands at the location of a filter's device with a context of type `F`, and is this driver's.
    pub(crate) unsafe fn from_raw(irp: NonNull<IRP>, completed: bool) -> Self {
        // SAFETY: the caller's contract.
        let irp = unsafe { Irp::new(irp) };
        // SAFETY: as above.
        let device = unsafe { (*irp.location().as_ptr()).DeviceObject };
        // SAFETY: as above.
        let extension = unsafe { extension::<F>(device) };
        Self::new(irp, extension, completed)
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

    /// What the IRP's status block says: when it has come back, how the drivers below answered.
    #[must_use]
    pub fn status(&self) -> NTSTATUS {
        self.irp.io_status().Status
    }

    /// What the status block says besides the status; for most requests bytes.
    #[must_use]
    pub fn information(&self) -> usize {
        self.irp.io_status().Information
    }

    /// Whether somebody has asked for its cancellation.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.irp.is_cancelled()
    }

    /// A number that is the same for all requests of one file, and means nothing else; 0 for a request without a file.
    #[must_use]
    pub fn file_id(&self) -> usize {
        self.irp.file_object().map_or(0, |file| file.as_ptr().addr())
    }

    /// The flags of the filter's device, which are those of the device below.
    pub(crate) fn device_flags(&self) -> u32 {
        // SAFETY: valid while the IRP is owned.
        let device = unsafe { (*self.irp.location().as_ptr()).DeviceObject };
        // SAFETY: the filter's device.
        unsafe { (*device).Flags }
    }

    /// What the driver below will be asked for.
    pub(crate) fn parameters(&self) -> IO_STACK_LOCATION_PARAMETERS {
        self.changed.get().unwrap_or_else(|| self.irp.parameters())
    }

    fn extension(&self) -> &FilterExtension<F> {
        // SAFETY: the device's lock is held for as long as the IRP is in a hand of this filter.
        unsafe { self.extension.as_ref() }
    }

    fn lower(&self) -> NonNull<DEVICE_OBJECT> {
        self.extension().lower()
    }

    fn set_status_block(&self, status: NTSTATUS, information: usize) {
        assert!(status != STATUS_PENDING, "a request is not completed with STATUS_PENDING");
        let block = IO_STATUS_BLOCK { Status: status, Information: information };
        // SAFETY: the IRP is owned.
        unsafe { (*self.irp.as_raw().as_ptr()).IoStatus = block };
    }

    /// Another status than the drivers below gave. An error that becomes none has no bytes to show.
    fn replace_status(&self, status: NTSTATUS) {
        let information = if self.status().is_error() || status.is_error() { 0 } else { self.information() };
        self.set_status_block(status, information);
    }

    /// `IoCopyCurrentIrpStackLocationToNext`, then `IoSetCompletionRoutine`.
    fn copy_down(&self, routine: IO_COMPLETION_ROUTINE, context: *mut c_void) {
        self.irp.copy_down(self.parameters(), routine, context);
    }

    /// Gives the request to `keep`. Its end may come at once, in another thread: the context is kept until the method or
    /// routine that calls this has returned, which its caller says.
    fn give_away(self, keep: impl FnOnce(Held<F, M>)) -> NonNull<IRP> {
        let irp = self.irp.as_raw();
        // SAFETY: the device's lock is held for a request in hand.
        unsafe { self.extension().keep_for_method(irp.as_ptr()) };
        keep(Held(ManuallyDrop::new(self)));
        irp
    }

    /// Gives the IRP up to the drivers above, as its status block stands. The device's lock is free then.
    fn complete_now(self) {
        let irp = self.irp.as_raw().as_ptr();
        let Self { extension, .. } = self;
        // SAFETY: the IRP is owned and completed once, since `self` is consumed.
        unsafe { IofCompleteRequest(irp, IO_NO_INCREMENT) };
        // SAFETY: acquired in the dispatch call for this IRP.
        unsafe { release(extension, irp) };
    }

    /// Sends the IRP to the device below.
    fn call_lower(&self) -> NTSTATUS {
        // SAFETY: the next location is filled, and the device below stays as long as this one's lock is held.
        unsafe { IofCallDriver(self.lower().as_ptr(), self.irp.as_raw().as_ptr()) }
    }
}

/// A completion routine without captures: what it is for is its type, so a pointer's room is enough for its word.
const fn has_no_captures<R>() {
    assert!(
        size_of::<R>() == 0,
        "a completion routine captures nothing: what it needs is in the filter's context"
    );
}

/// # Safety
///
/// The caller was given an `R` before, which has no size.
unsafe fn conjured<R: Copy>() -> R {
    // SAFETY: a copy of a value of no bytes.
    unsafe { NonNull::<R>::dangling().as_ptr().read() }
}

/// A request in its dispatch call, on its way down. `M` is what the request is at a device that is no filter.
#[must_use = "a request is answered or goes on"]
pub struct Filtered<F, M>(InHand<F, M>);

/// A request in a completion routine, on its way up.
#[must_use = "a request goes on"]
pub struct Completed<F, M>(InHand<F, M>);

/// A request that came back to the dispatch call that waited for it.
#[must_use = "a request is answered or goes on"]
pub struct Returned<F, M>(InHand<F, M>);

/// A request that the filter holds, on its way down or up, marked pending: it can be put aside and go on from any thread.
///
/// Dropping one completes it, on its way up as it stands, on its way down with STATUS_CANCELLED. The filter's device is not
/// deleted before: [`Filter::detaching`](crate::Filter::detaching) lets go of those that the context keeps. IRQL of all
/// uses: up to DISPATCH_LEVEL.
pub struct Held<F, M>(ManuallyDrop<InHand<F, M>>);

// SAFETY: the IRP and its buffers are known by system addresses; the filter's context, which the routines share, is Sync.
unsafe impl<F: Sync, M> Send for Held<F, M> {}

macro_rules! in_hand {
    ($($hand:ident)*) => {$(
        impl<F, M> Deref for $hand<F, M> {
            type Target = InHand<F, M>;

            fn deref(&self) -> &InHand<F, M> {
                &self.0
            }
        }
    )*};
}

in_hand! { Filtered Completed Returned Held }

impl<F: 'static, M: 'static> Filtered<F, M> {
    pub(crate) fn new(irp: Irp, extension: NonNull<FilterExtension<F>>) -> Self {
        Self(InHand::new(irp, extension, false))
    }

    /// Hands the request down and is done with it: `IoSkipCurrentIrpStackLocation`, unless what is asked for has been
    /// changed, then `IoCallDriver`. The entry point returns what the driver below returns.
    pub fn forward(self) -> Answered {
        if self.changed.get().is_some() {
            self.copy_down(None, ptr::null_mut());
        } else {
            self.irp.skip();
        }
        // SAFETY: filled or skipped; the entry point holds the device's lock.
        unsafe { Answered::forwarded(self.irp.as_raw(), self.lower(), Way::Past) }
    }

    /// Hands the request down, and has `routine` look at the result on its way up, with the number `word`: the result cannot
    /// be changed, its bytes can. `routine` captures nothing, and is called at up to DISPATCH_LEVEL, in any thread.
    pub fn forward_and_see<R>(self, word: usize, routine: R) -> Answered
    where
        R: Fn(&F, &Completed<F, M>, usize) + Copy + 'static,
    {
        const { has_no_captures::<R>() };
        let _its_type_is_enough = routine;
        self.copy_down(Some(seen::<F, M, R>), ptr::without_provenance_mut(word));
        // SAFETY: filled; the routine gives the device's lock back.
        unsafe { Answered::forwarded(self.irp.as_raw(), self.lower(), Way::Seen) }
    }

    /// Hands the request down, and has `routine` decide what becomes of it on its way up, with the number `word`: see
    /// [`Completed`]. Since the status may be another then, the IRP is marked pending and the entry point returns
    /// STATUS_PENDING. `routine` captures nothing, and is called at up to DISPATCH_LEVEL, in any thread.
    pub fn forward_and_take<R>(self, word: usize, routine: R) -> Answered
    where
        R: Fn(&F, Completed<F, M>, usize) -> Upward + Copy + 'static,
    {
        const { has_no_captures::<R>() };
        let _its_type_is_enough = routine;
        self.irp.mark_pending();
        self.copy_down(Some(taken::<F, M, R>), ptr::without_provenance_mut(word));
        // SAFETY: filled; the routine gives the device's lock back.
        unsafe { Answered::forwarded(self.irp.as_raw(), self.lower(), Way::Pended) }
    }

    /// The witness for what waits.
    ///
    /// # Panics
    ///
    /// Above PASSIVE_LEVEL, where a driver above may have sent the request.
    #[must_use]
    pub fn level(&self) -> PassiveLevel {
        PassiveLevel::expect("a request that waits")
    }

    /// Hands the request down and waits until it comes back.
    pub fn forward_and_wait(self, _level: PassiveLevel) -> Returned<F, M> {
        wait_below(self.0)
    }

    /// Holds the request: marks it pending and gives it to `keep`, to put it where another thread finds it. Changes of what is
    /// asked for are to be made on the [`Held`].
    pub fn hold(self, keep: impl FnOnce(Held<F, M>)) -> Answered {
        self.irp.mark_pending();
        self.changed.set(None);
        let irp = self.0.give_away(keep);
        // The entry point lets go of the context.
        Answered::pended(irp)
    }

    pub(crate) fn answer(self, status: NTSTATUS, information: usize) -> Answered {
        self.0.irp.answer(status, information)
    }

    /// Answers with STATUS_SUCCESS and no bytes: the driver below does not learn of the request.
    pub fn complete(self) -> Answered {
        self.0.irp.answer(STATUS_SUCCESS, 0)
    }

    /// Answers with a failure: the driver below does not learn of the request.
    pub fn fail(self, status: NTSTATUS) -> Answered {
        self.0.irp.answer(status, 0)
    }
}

fn wait_below<F, M>(mut request: InHand<F, M>) -> Returned<F, M> {
    // SAFETY: the caller has a `PassiveLevel`; the device below stays as long as this one's lock is held.
    unsafe { request.irp.send_and_wait(request.lower(), request.parameters()) };
    request.completed = true;
    Returned(request)
}

/// The completion routine of [`Filtered::forward_and_see`].
unsafe extern "win64" fn seen<F, M, R>(
    _device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    word: *mut c_void,
) -> NTSTATUS
where
    R: Fn(&F, &Completed<F, M>, usize) + Copy + 'static,
{
    let extension = guard(|| {
        // SAFETY: a completion routine's IRP stands at the location of the device whose driver set the routine.
        let request = unsafe { came_back::<F, M>(irp) };
        // SAFETY: `forward_and_see` was given one.
        let routine = unsafe { conjured::<R>() };
        routine(&request.extension().context, &request, word.addr());
        // SAFETY: a completion routine's IRP.
        if unsafe { (*irp).PendingReturned } != FALSE {
            request.irp.mark_pending();
        }
        request.extension
    });
    // SAFETY: acquired in the dispatch call for this IRP.
    unsafe { release(extension, irp) };
    STATUS_SUCCESS
}

/// The completion routine of [`Filtered::forward_and_take`].
unsafe extern "win64" fn taken<F, M, R>(
    _device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    word: *mut c_void,
) -> NTSTATUS
where
    R: Fn(&F, Completed<F, M>, usize) -> Upward + Copy + 'static,
{
    // SAFETY: a completion routine's IRP stands at the location of the device whose driver set the routine.
    let request = unsafe { came_back::<F, M>(irp) };
    let extension = request.0.extension;
    let upward = guard(|| {
        // SAFETY: `forward_and_take` was given one.
        let routine = unsafe { conjured::<R>() };
        // SAFETY: the device's lock is held for this IRP.
        let context = unsafe { &extension.as_ref().context };
        let upward = routine(context, request, word.addr());
        assert!(upward.irp.as_ptr() == irp, "a completion routine returned the answer of another request");
        upward
    });
    match upward.how {
        Course::Up => {
            // SAFETY: acquired in the dispatch call for this IRP.
            unsafe { release(extension, irp) };
            STATUS_SUCCESS
        }
        Course::Held => {
            // SAFETY: kept by `give_away`.
            let filter = unsafe { extension.as_ref() };
            // SAFETY: the routine has returned.
            unsafe { filter.method_has_returned(irp) };
            STATUS_MORE_PROCESSING_REQUIRED
        }
        Course::Again(word, changed) => {
            // SAFETY: still this driver's, which has not passed it up.
            let request = unsafe { InHand::<F, M>::from_raw(upward.irp, true) };
            request.changed.set(changed);
            request.copy_down(Some(taken::<F, M, R>), ptr::without_provenance_mut(word));
            let _told_by_the_routine = request.call_lower();
            STATUS_MORE_PROCESSING_REQUIRED
        }
    }
}

/// Says that a request will not come back to the device any more.
///
/// # Safety
///
/// The device's lock was acquired for this IRP, and not released yet.
unsafe fn release<F>(extension: NonNull<FilterExtension<F>>, irp: *mut IRP) {
    // SAFETY: the device is not deleted before this.
    let extension = unsafe { extension.as_ref() };
    // SAFETY: the caller's contract.
    unsafe { extension.lock().release(irp.cast()) };
}

/// The IRP that a completion routine got.
///
/// # Safety
///
/// As [`InHand::from_raw`].
unsafe fn came_back<F, M>(irp: *mut IRP) -> Completed<F, M> {
    // SAFETY: no completion routine gets a null IRP.
    let irp = unsafe { NonNull::new_unchecked(irp) };
    // SAFETY: the caller's contract.
    Completed(unsafe { InHand::from_raw(irp, true) })
}

/// What a completion routine has decided. Only the request gives one.
#[must_use = "the completion routine returns it"]
pub struct Upward {
    irp: NonNull<IRP>,
    how: Course,
}

enum Course {
    Up,
    Held,
    Again(usize, Option<IO_STACK_LOCATION_PARAMETERS>),
}

impl<F: 'static, M: 'static> Completed<F, M> {
    /// Lets it go on up as it is.
    pub fn pass_up(self) -> Upward {
        Upward { irp: self.irp.as_raw(), how: Course::Up }
    }

    /// Lets it go on up with another status. When either of the two is an error, no bytes go with it.
    ///
    /// # Panics
    ///
    /// With STATUS_PENDING.
    pub fn pass_up_with(self, status: NTSTATUS) -> Upward {
        self.replace_status(status);
        self.pass_up()
    }

    /// Sends it down again, with the same routine and the number `word`. A driver below that answers at once is called
    /// from within its own completion: bound how often this happens in a row. What the driver below was asked for instead
    /// of what came does not stay with a request that has come back: change it again.
    pub fn send_again(self, word: usize) -> Upward {
        Upward { irp: self.irp.as_raw(), how: Course::Again(word, self.changed.get()) }
    }

    /// Holds it (STATUS_MORE_PROCESSING_REQUIRED), and gives it to `keep`, to put it where another thread finds it.
    pub fn hold(self, keep: impl FnOnce(Held<F, M>)) -> Upward {
        Upward { irp: self.0.give_away(keep), how: Course::Held }
    }
}

impl<F: 'static, M: 'static> Returned<F, M> {
    /// Answers as the drivers below did; with STATUS_UNSUCCESSFUL when one of them has left STATUS_PENDING, which is no
    /// answer.
    pub fn complete(self) -> Answered {
        self.0.irp.answer_unchanged()
    }

    /// Answers with another status. When either of the two is an error, no bytes go with it.
    ///
    /// # Panics
    ///
    /// With STATUS_PENDING.
    pub fn complete_with(self, status: NTSTATUS) -> Answered {
        self.replace_status(status);
        self.complete()
    }

    /// Sends it down again and waits until it comes back.
    pub fn send_again(self, _level: PassiveLevel) -> Self {
        wait_below(self.0)
    }
}

impl<F: 'static, M: 'static> Held<F, M> {
    /// # Safety
    ///
    /// As [`InHand::from_raw`]; the IRP was held, and nobody else has it.
    pub(crate) unsafe fn from_raw(irp: NonNull<IRP>, completed: bool) -> Self {
        // SAFETY: the caller's contract.
        Self(ManuallyDrop::new(unsafe { InHand::from_raw(irp, completed) }))
    }

    pub(crate) fn into_in_hand(self) -> InHand<F, M> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is neither used nor dropped after this.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }

    /// Whether it is on its way up.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.completed
    }

    /// Lets it go on: up as it stands, or down without coming back.
    pub fn go_on(self) {
        let request = self.into_in_hand();
        if request.completed { request.complete_now() } else { go_down(request) }
    }

    /// Sends it down (again), without coming back. IRQL: as the driver below needs.
    pub fn forward(self) {
        go_down(self.into_in_hand());
    }

    /// Sends it down (again) as [`Filtered::forward_and_take`] does.
    pub fn forward_and_take<R>(self, word: usize, routine: R)
    where
        R: Fn(&F, Completed<F, M>, usize) -> Upward + Copy + 'static,
    {
        const { has_no_captures::<R>() };
        let _its_type_is_enough = routine;
        let request = self.into_in_hand();
        request.copy_down(Some(taken::<F, M, R>), ptr::without_provenance_mut(word));
        let _told_by_the_routine = request.call_lower();
    }

    /// Completes it with a failure and no bytes.
    ///
    /// # Panics
    ///
    /// With STATUS_PENDING.
    pub fn fail(self, status: NTSTATUS) {
        self.set_status_block(status, 0);
        self.into_in_hand().complete_now();
    }
}

/// A location that is marked pending is not skipped: it is copied, without a completion routine.
fn go_down<F, M>(request: InHand<F, M>) {
    request.copy_down(None, ptr::null_mut());
    let irp = request.irp.as_raw().as_ptr();
    let extension = request.extension;
    let _told_by_its_completion = request.call_lower();
    // SAFETY: acquired in the dispatch call for this IRP, which does not come back.
    unsafe { release(extension, irp) };
}

impl<F, M> Drop for Held<F, M> {
    fn drop(&mut self) {
        // SAFETY: `self.0` is not used after this.
        let request = unsafe { ManuallyDrop::take(&mut self.0) };
        if !request.completed {
            request.set_status_block(STATUS_CANCELLED, 0);
        }
        request.complete_now();
    }
}
