//! Associated requests: a pended request that its driver has others carry out in parts.
//!
//! `AssociatedIrp` is one field for three things: in the master the number of parts, in a part the master, and in a buffered
//! request its system buffer. So neither may be buffered; that is why only direct reads and writes are split, and only for
//! devices with DO_DIRECT_IO, which get partial MDLs of the master's.

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use abi::*;

use crate::bugcheck::guard;
use crate::nt::{
    IoAllocateMdl, IoBuildPartialMdl, IoFreeIrp, IoFreeMdl, IoMakeAssociatedIrp, IofCallDriver,
    MmUnmapLockedPages,
};
use crate::pended::sealed::Request;
use crate::remove_lock::KeptGuard;
use crate::{Direct, Pended, PoolArc, PoolBox, Read, Tag, Target, Write};

/// A part of a request: who carries it out, where, and how many bytes of it.
#[derive(Clone, Copy)]
pub struct Part<'t> {
    /// The device, which has DO_DIRECT_IO.
    pub target: &'t Target,
    /// Where to read or write there, in bytes from the start.
    pub byte_offset: i64,
    /// Bytes, at least one.
    pub length: u32,
}

/// How the parts have ended, so far.
struct Whole {
    master: NonNull<IRP>,
    /// Parts that have not ended.
    remaining: AtomicUsize,
    /// Bytes from the start that have been transferred without a gap: the least end of a part that came short.
    front: AtomicUsize,
    /// Number and status of the first part that failed, the number in the upper half.
    failure: AtomicU64,
}

// SAFETY: the master is known by address, and is written by the last part only.
unsafe impl Sync for Whole {}
// SAFETY: as above.
unsafe impl Send for Whole {}

const NO_FAILURE: u64 = u64::MAX;

/// What the completion routine of a part needs.
struct PartState {
    whole: PoolArc<Whole>,
    tag: Tag,
    number: u32,
    /// Of its first byte in the master's buffer.
    start: usize,
    length: usize,
    under_way: KeptGuard,
    device: NonNull<DEVICE_OBJECT>,
}

/// Parts that are made and not sent yet: their IRPs, linked by `Tail.Overlay.ListEntry`, with their states as contexts.
struct Made {
    last: *mut IRP,
}

macro_rules! splittable {
    ($($(#[$doc:meta])* $request:ty => $major:ident;)*) => {$(
        impl Pended<$request> {
            $(#[$doc])*
            ///
            /// The parts follow each other in the request's buffer, from its start, and need not fill it. When all have ended the I/O
            /// manager completes the request: with the status of the first part that failed and no bytes, or with
            /// STATUS_SUCCESS and the bytes up to the end of the first part that came short. The request cannot be cancelled
            /// meanwhile, and its parts are not.
            ///
            /// The driver is at the top of the request's stack, as NT demands of drivers that make associated requests. `tag` is that
            /// of the memory that the parts need. IRQL: up to DISPATCH_LEVEL, and as the drivers of the parts need.
            ///
            /// # Errors
            ///
            /// The request comes back, and no part was sent: STATUS_INVALID_PARAMETER without parts, for a part of no bytes, for
            /// more bytes than the request has, and for a request without memory; STATUS_NOT_SUPPORTED for a device without DO_DIRECT_IO;
            /// STATUS_INSUFFICIENT_RESOURCES.
            ///
            /// Source: ddi, IoMakeAssociatedIrp, IoBuildPartialMdl.
            pub fn split(self, tag: Tag, parts: &[Part<'_>]) -> Result<(), (Self, NTSTATUS)> {
                let length = self.length();
                split(self, $major, length, tag, parts)
            }
        }
    )*};
}

splittable! {
    /// Has the request carried out by reads of parts of it (`IoMakeAssociatedIrp`).
    Read<Direct> => IRP_MJ_READ;
    /// Has the request carried out by writes of parts of it (`IoMakeAssociatedIrp`).
    Write<Direct> => IRP_MJ_WRITE;
}

fn split<R: Request>(
    request: Pended<R>,
    major: u8,
    length: usize,
    tag: Tag,
    parts: &[Part<'_>],
) -> Result<(), (Pended<R>, NTSTATUS)> {
    let master = request.irp().as_raw();
    match make(master, request.irp().mdl(), major, length, tag, parts) {
        Ok(made) => {
            // The master is the parts' from here on.
            core::mem::forget(request);
            made.send();
            Ok(())
        }
        Err(status) => Err((request, status)),
    }
}

/// Makes all parts and counts them in the master.
fn make(
    master: NonNull<IRP>,
    mdl: *mut MDL,
    major: u8,
    length: usize,
    tag: Tag,
    parts: &[Part<'_>],
) -> Result<Made, NTSTATUS> {
    let total = parts.iter().try_fold(0_usize, |sum, part| sum.checked_add(part.length as usize));
    let total = total.filter(|total| *total <= length).ok_or(STATUS_INVALID_PARAMETER)?;
    let count = i32::try_from(parts.len()).map_err(|_| STATUS_INVALID_PARAMETER)?;
    // A driver above may have sent it without memory.
    if count == 0 || mdl.is_null() || parts.iter().any(|part| part.length == 0) {
        return Err(STATUS_INVALID_PARAMETER);
    }
    let whole = Whole {
        master,
        remaining: AtomicUsize::new(parts.len()),
        front: AtomicUsize::new(total),
        failure: AtomicU64::new(NO_FAILURE),
    };
    let whole = PoolArc::new(tag, whole)?;
    let mut made = Made { last: ptr::null_mut() };
    let mut start = 0;
    for (part, number) in parts.iter().zip(0..) {
        let device = part.target.top();
        // SAFETY: a device that the target's file keeps.
        if unsafe { (*device.as_ptr()).Flags } & DO_DIRECT_IO == 0 {
            return Err(STATUS_NOT_SUPPORTED);
        }
        let state = PartState {
            whole: whole.clone(),
            tag,
            number,
            start,
            length: part.length as usize,
            under_way: part.target.keep()?,
            device,
        };
        made.add(part, major, master, mdl, state)?;
        start += part.length as usize;
    }
    // SAFETY: a direct request's master has no system buffer there, and is still this function's.
    unsafe { (*master.as_ptr()).AssociatedIrp = IRP_ASSOCIATED_IRP { IrpCount: count } };
    Ok(made)
}

impl Made {
    /// Makes one more. `mdl` describes the master's whole buffer.
    fn add(
        &mut self,
        part: &Part<'_>,
        major: u8,
        master: NonNull<IRP>,
        mdl: *mut MDL,
        state: PartState,
    ) -> Result<(), NTSTATUS> {
        let device = state.device.as_ptr();
        let (start, tag) = (state.start, state.tag);
        let state = PoolBox::new(tag, state)?;
        // SAFETY: the MDL of a request of at least one byte.
        let MDL { StartVa: page, ByteOffset: offset, .. } = unsafe { *mdl };
        let address = page.wrapping_byte_add(offset as usize + start);
        // SAFETY: a device that the target's file keeps.
        let locations = unsafe { (*device).StackSize };
        // SAFETY: a master that is pended and this driver's.
        let irp = unsafe { IoMakeAssociatedIrp(master.as_ptr(), locations) };
        let irp = NonNull::new(irp).ok_or(STATUS_INSUFFICIENT_RESOURCES)?.as_ptr();
        // SAFETY: plain arguments; the IRP gets it below.
        let own = unsafe { IoAllocateMdl(address, part.length, FALSE, FALSE, ptr::null_mut()) };
        if own.is_null() {
            // SAFETY: made above, and not sent.
            unsafe { IoFreeIrp(irp) };
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        // SAFETY: a part of what the master's MDL describes, and an MDL for so much.
        unsafe { IoBuildPartialMdl(mdl, own, address, part.length) };
        // SAFETY: made above, and not sent.
        let first = unsafe { first_location(irp) };
        // SAFETY: numbers and pointers, all of which may be 0.
        let mut location: IO_STACK_LOCATION = unsafe { core::mem::zeroed() };
        location.MajorFunction = major;
        location.Control = SL_INVOKE_ON_SUCCESS | SL_INVOKE_ON_ERROR | SL_INVOKE_ON_CANCEL;
        location.Parameters = transfer(major, part);
        location.FileObject = part.target.file_object();
        location.CompletionRoutine = Some(part_ended);
        location.Context = state.leak().as_ptr().cast();
        // SAFETY: as above.
        unsafe { first.write(location) };
        // SAFETY: as above.
        let irp_fields = unsafe { &mut *irp };
        irp_fields.MdlAddress = own;
        irp_fields.UserBuffer = address;
        let link = LIST_ENTRY { Flink: ptr::null_mut(), Blink: self.last.cast() };
        // SAFETY: a driver's own IRP uses the overlay.
        let overlay = unsafe { &mut irp_fields.Tail.Overlay };
        overlay.ListEntry = link;
        self.last = irp;
        Ok(())
    }

    /// The IRP that was made last, out of the chain.
    fn take(&mut self) -> Option<(*mut IRP, NonNull<PartState>)> {
        let irp = NonNull::new(self.last)?.as_ptr();
        // SAFETY: made by `add`, and not sent.
        let tail = unsafe { (*irp).Tail };
        // SAFETY: as above.
        let overlay = unsafe { tail.Overlay };
        self.last = overlay.ListEntry.Blink.cast();
        // SAFETY: as above.
        let first = unsafe { first_location(irp) };
        // SAFETY: as above.
        let state = unsafe { (*first).Context };
        // SAFETY: what `add` leaked.
        Some((irp, unsafe { NonNull::new_unchecked(state.cast()) }))
    }

    /// Turns the chain round: what was made first is taken first.
    fn reversed(mut self) -> Self {
        let mut reversed = Self { last: ptr::null_mut() };
        while let Some((irp, _state)) = self.take() {
            // SAFETY: made by `add`, and not sent.
            let overlay = unsafe { &raw mut (*irp).Tail.Overlay };
            // SAFETY: as above.
            unsafe { (*overlay).ListEntry.Blink = reversed.last.cast() };
            reversed.last = irp;
        }
        reversed
    }

    /// Sends all, the first first.
    fn send(self) {
        let mut made = self.reversed();
        while let Some((irp, state)) = made.take() {
            // SAFETY: not sent yet, and so its state is there.
            let device = unsafe { state.as_ref() }.device;
            // SAFETY: a request for this device, sent once; the I/O manager frees it.
            let _told_by_the_routine = unsafe { IofCallDriver(device.as_ptr(), irp) };
        }
    }
}

impl Drop for Made {
    /// Parts that are not sent, because there are not all.
    fn drop(&mut self) {
        while let Some((irp, state)) = self.take() {
            // SAFETY: leaked by `add`, and used by nobody.
            let tag = unsafe { state.as_ref() }.tag;
            // SAFETY: as above.
            drop(unsafe { PoolBox::from_leaked(state, tag) });
            // SAFETY: its own partial MDL.
            unsafe { free_mdl(irp) };
            // SAFETY: made by `add`, and not sent.
            unsafe { IoFreeIrp(irp) };
        }
    }
}

fn transfer(major: u8, part: &Part<'_>) -> IO_STACK_LOCATION_PARAMETERS {
    // SAFETY: numbers and pointers, all of which may be 0.
    let mut parameters: IO_STACK_LOCATION_PARAMETERS = unsafe { core::mem::zeroed() };
    if major == IRP_MJ_READ {
        // SAFETY: all fields may be 0.
        let read = unsafe { &mut parameters.Read };
        (read.Length, read.ByteOffset) = (part.length, part.byte_offset);
    } else {
        // SAFETY: as above.
        let write = unsafe { &mut parameters.Write };
        (write.Length, write.ByteOffset) = (part.length, part.byte_offset);
    }
    parameters
}

/// The location of the first driver.
///
/// # Safety
///
/// An IRP of the driver's own that has not been sent.
unsafe fn first_location(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    // SAFETY: the caller's contract.
    let tail = unsafe { (*irp).Tail };
    // SAFETY: such an IRP uses the overlay.
    unsafe { tail.Overlay }.CurrentStackLocation.wrapping_sub(1)
}

/// Frees a part's MDL. `MmPrepareMdlForReuse`, which the headers inline, then `IoFreeMdl`.
///
/// # Safety
///
/// A part's IRP that is this driver's.
unsafe fn free_mdl(irp: *mut IRP) {
    // SAFETY: the caller's contract.
    let mdl = unsafe { (*irp).MdlAddress };
    // SAFETY: as above.
    unsafe { (*irp).MdlAddress = ptr::null_mut() };
    // SAFETY: the MDL of `Made::add`.
    let MDL { MdlFlags: flags, MappedSystemVa: mapped, .. } = unsafe { *mdl };
    if flags & MDL_PARTIAL_HAS_BEEN_MAPPED != 0 {
        // SAFETY: mapped by the driver below, which has completed the request.
        unsafe { MmUnmapLockedPages(mapped, mdl) };
    }
    // SAFETY: as above, freed once.
    unsafe { IoFreeMdl(mdl) };
}

/// The completion routine of a part. The I/O manager goes on with it: it frees the IRP, counts it, and completes the master
/// after the last.
unsafe extern "win64" fn part_ended(
    _device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    context: *mut c_void,
) -> NTSTATUS {
    guard(|| {
        // SAFETY: what `Made::add` leaked.
        let state = unsafe { NonNull::new_unchecked(context.cast::<PartState>()) };
        // SAFETY: as above.
        let tag = unsafe { state.as_ref() }.tag;
        // SAFETY: as above, and used no more after this.
        let PartState { whole, number, start, length, under_way, .. } =
            unsafe { PoolBox::from_leaked(state, tag) }.into_inner();
        // SAFETY: a completion routine's IRP.
        let block = unsafe { (*irp).IoStatus };
        if block.Status.is_error() {
            let failure = u64::from(number) << 32 | u64::from(block.Status.bits());
            whole.failure.fetch_min(failure, Ordering::Relaxed);
        } else if block.Information < length {
            whole.front.fetch_min(start + block.Information, Ordering::Relaxed);
        }
        // SAFETY: its own partial MDL.
        unsafe { free_mdl(irp) };
        whole.part_ended();
        drop(under_way);
    });
    STATUS_SUCCESS
}

impl Whole {
    /// One less. The last writes the master's status: the I/O manager completes it after that routine at the earliest.
    fn part_ended(&self) {
        if self.remaining.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let failure = self.failure.load(Ordering::Relaxed);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
        let block = if failure == NO_FAILURE {
            IO_STATUS_BLOCK { Status: STATUS_SUCCESS, Information: self.front.load(Ordering::Relaxed) }
        } else {
            IO_STATUS_BLOCK { Status: NTSTATUS::from_bits(failure as u32), Information: 0 }
        };
        // SAFETY: the master is pended, and completed after this.
        unsafe { (*self.master.as_ptr()).IoStatus = block };
    }
}
