//! StartIo: requests that wait in their device's queue, of which the driver works on one at a time.
//!
//! NT keeps the queue (`DEVICE_OBJECT.DeviceQueue`) and the order of lock, cancel routine and removal; here are the
//! routines that it calls, and the device's turn, which passes to the next request when the current one is completed. A
//! queue of a driver's own, whose requests can be several at once in its hands, is
//! [`CancelSafeQueue`](crate::CancelSafeQueue).

use core::mem::offset_of;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use abi::*;

use crate::bugcheck::guard;
use crate::csq::driver_context;
use crate::irp::{self, Answered, Irp};
use crate::nt::{
    IoAcquireCancelSpinLock, IoReleaseCancelSpinLock, IoStartNextPacket, IoStartNextPacketByKey,
    IoStartPacket, IofCompleteRequest, KeInsertDeviceQueue, KeLowerIrql, KeRaiseIrqlToDpcLevel,
    KeRemoveDeviceQueue, KeRemoveEntryDeviceQueue,
};
use crate::pended::sealed::Request;
use crate::{
    BufferedControl, Cleanup, Dispatch, Driver, InDirectControl, Mode, OutDirectControl, Pendable, Pended,
    Read, Write, device,
};

/// `DRIVER_STARTIO`: works on the request that has become the device's current one, or begins to. Called at DISPATCH_LEVEL, in the
/// thread that has started the request or completed the one before, never for two requests of a device at once, and never from
/// within itself (`DeferredStartIo`).
///
/// The routine completes the packet, or keeps it for a DPC, a thread or a completion routine to complete; either starts the
/// next one. No lock may be held where that is done that the routine takes.
///
/// A driver that has one names it in [`Driver::START_IO`], and lets requests wait for it with `start_packet`
/// ([`Read::start_packet`] and its kin):
///
/// ```
/// # extern crate ringbridge_driver as driver;
/// # use driver::abi::NTSTATUS;
/// # use driver::*;
/// struct Printers;
///
/// impl Driver for Printers {
///     type Device = Printer;
///     const START_IO: Option<StartIo<Printer>> = Some(Printer::start_io);
///     # fn entry(_driver: &DriverObject<Self>, _path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
///     #     Ok(())
///     # }
/// }
///
/// struct Printer {
///     current: SpinLock<Option<Packet<Buffered>>>,
/// }
///
/// impl Dispatch for Printer {
///     type Io = Buffered;
///
///     fn write(&self, request: Write) -> impl Answer {
///         request.start_packet(None)
///     }
/// }
///
/// impl Printer {
///     fn start_io(&self, packet: Packet<Buffered>) {
///         // A timer's DPC, say, will find it there.
///         drop(self.current.with(|current| current.replace(packet)));
///     }
/// }
/// ```
///
/// A request that is cancelled while it waits is completed with STATUS_CANCELLED and does not come here. The current one is
/// the driver's ([`Packet::is_cancelled`]): its cancel routine was taken away before this call (`NonCancelable`).
///
/// Source: ddi, DRIVER_STARTIO, IoStartPacket, IoStartNextPacket and IoSetStartIoAttributes.
pub type StartIo<C> = fn(&C, Packet<<C as Dispatch>::Io>);

/// A device's current request. Dropping it completes it with STATUS_CANCELLED, and so starts the next.
#[must_use = "dropping it completes the request as cancelled"]
pub enum Packet<M: Mode> {
    /// IRP_MJ_READ.
    Read(Current<Read<M>>),
    /// IRP_MJ_WRITE.
    Write(Current<Write<M>>),
    /// A control request of METHOD_BUFFERED.
    Control(Current<BufferedControl>),
    /// A control request of METHOD_IN_DIRECT.
    InDirectControl(Current<InDirectControl>),
    /// A control request of METHOD_OUT_DIRECT.
    OutDirectControl(Current<OutDirectControl>),
}

macro_rules! each {
    ($packet:expr, $current:ident => $body:expr) => {
        match $packet {
            Packet::Read($current) => $body,
            Packet::Write($current) => $body,
            Packet::Control($current) => $body,
            Packet::InDirectControl($current) => $body,
            Packet::OutDirectControl($current) => $body,
        }
    };
}

impl<M: Mode> Packet<M> {
    /// # Safety
    ///
    /// The IRP is what `turn` is for, started by `start`.
    unsafe fn new(irp: NonNull<IRP>, turn: Turn) -> Self {
        // SAFETY: written by `start`.
        let written = unsafe { written_of(irp).read() };
        // SAFETY: the caller's contract.
        let irp = unsafe { Irp::new(irp) };
        match irp.major() {
            IRP_MJ_READ => Self::Read(Current::new(irp, written, turn)),
            IRP_MJ_WRITE => Self::Write(Current::new(irp, written, turn)),
            major => {
                // SAFETY: `start` takes no others.
                let code = unsafe { irp.parameters().DeviceIoControl }.IoControlCode;
                match METHOD_FROM_CTL_CODE(code) {
                    METHOD_BUFFERED => Self::Control(Current::new(irp, written, turn)),
                    METHOD_IN_DIRECT => Self::InDirectControl(Current::new(irp, written, turn)),
                    METHOD_OUT_DIRECT => Self::OutDirectControl(Current::new(irp, written, turn)),
                    _ => unreachable!("major function {major} with the code {code:#x} is not started"),
                }
            }
        }
    }

    /// Completes the request with a failure and no bytes.
    pub fn fail(self, status: NTSTATUS) {
        each!(self, current => current.fail(status));
    }

    /// As [`Current::is_cancelled`].
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        each!(self, current => current.is_cancelled())
    }

    /// As [`Current::next_by_key`].
    pub fn next_by_key(&mut self, key: u32) {
        each!(self, current => current.next_by_key(key));
    }
}

/// A device's current request, of type `R`. Otherwise as [`Pended`], until it is completed.
pub struct Current<R: Request> {
    // In this order: the request is completed first.
    request: Pended<R>,
    turn: Turn,
}

impl<R: Request> Current<R> {
    fn new(irp: Irp, written: usize, turn: Turn) -> Self {
        Self { request: Pended::new(R::from_irp(irp, written)), turn }
    }

    /// Completes the request in its own words, such as `|read| read.complete()`, and then starts the next one. IRQL: up to
    /// DISPATCH_LEVEL.
    ///
    /// # Panics
    ///
    /// When `answer` returns what another request gave.
    pub fn answer(self, answer: impl FnOnce(R) -> Answered) {
        let Self { request, turn } = self;
        request.answer(answer);
        drop(turn);
    }

    /// Completes the request with a failure and no bytes.
    pub fn fail(self, status: NTSTATUS) {
        self.answer(|request| request.fail(status));
    }

    /// Whether somebody has asked for its cancellation since it has become the current one.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.request.irp().is_cancelled()
    }

    /// Has the next request be the first whose key is at least `key`, or else the first of all
    /// (`IoStartNextPacketByKey`), instead of the first of all.
    pub fn next_by_key(&mut self, key: u32) {
        self.turn.key = Some(key);
    }
}

impl<R: Request> Deref for Current<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.request
    }
}

impl<R: Request> DerefMut for Current<R> {
    fn deref_mut(&mut self) -> &mut R {
        &mut self.request
    }
}

/// The right of the current request to its device. Giving it up starts the next request.
struct Turn {
    device: NonNull<DEVICE_OBJECT>,
    key: Option<u32>,
    /// Whether the device waits for this before it is deleted. If not, it waits for the turn that called StartIo.
    keeps: bool,
}

// SAFETY: NT's functions on device queues may be called in any thread.
unsafe impl Send for Turn {}
// SAFETY: as above.
unsafe impl Sync for Turn {}

impl Turn {
    /// # Safety
    ///
    /// `device` has just started a request, and was created with a StartIo routine.
    unsafe fn new(device: NonNull<DEVICE_OBJECT>) -> Self {
        // SAFETY: the caller's contract.
        let header = unsafe { device::header(device.as_ptr()) };
        // SAFETY: initialised when the device was created.
        let keeps = unsafe { header.turns.acquire(device.as_ptr().cast()) }.is_ok();
        Self { device, key: None, keeps }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let device = self.device.as_ptr();
        // SAFETY: up to DISPATCH_LEVEL.
        let irql = unsafe { KeRaiseIrqlToDpcLevel() };
        match self.key {
            // SAFETY: at DISPATCH_LEVEL; requests of this device have cancel routines, and the current one is completed.
            Some(key) => unsafe { IoStartNextPacketByKey(device, TRUE, key) },
            // SAFETY: as above.
            None => unsafe { IoStartNextPacket(device, TRUE) },
        }
        // SAFETY: raised above.
        unsafe { KeLowerIrql(irql) };
        if self.keeps {
            // SAFETY: the device waits for this.
            let header = unsafe { device::header(device) };
            // SAFETY: acquired in `new`.
            unsafe { header.turns.release(device.cast()) };
        }
    }
}

/// Puts a request that is marked pending into its device's queue, or has StartIo begin with it.
///
/// # Panics
///
/// In a driver without a StartIo routine.
pub(crate) fn start<R: Pendable>(request: Pended<R>, key: Option<u32>) {
    let request = request.into_request();
    let irp = request.irp().as_raw();
    let device = request.irp().device();
    // SAFETY: the request's device, which is this driver's.
    let driver = unsafe { (*device).DriverObject };
    // SAFETY: its driver object.
    let routine = unsafe { (*driver).DriverStartIo };
    assert!(routine.is_some(), "start_packet in a driver without START_IO");
    // SAFETY: the IRP is the driver's, and its owner may use this word.
    unsafe { written_of(irp).write(request.written()) };
    let mut key = key;
    let key = key.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: marked pending; the device has a StartIo routine, and the cancel routine is for this queue.
    unsafe { IoStartPacket(device, irp.as_ptr(), key, Some(cancel_queued)) };
}

/// `DRIVER_OBJECT.DriverStartIo` of a driver that has one.
pub(crate) unsafe extern "win64" fn start_io<D: Driver>(device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    let (Some(device), Some(irp), Some(routine)) = (NonNull::new(device), NonNull::new(irp), D::START_IO)
    else {
        return;
    };
    guard(|| {
        // SAFETY: NT's call for a device of this driver, which it has created with this routine.
        let turn = unsafe { Turn::new(device) };
        // SAFETY: as above; the request is the device's current one.
        let packet = unsafe { Packet::new(irp, turn) };
        // SAFETY: the request keeps its device.
        let header = unsafe { device::header(device.as_ptr()) };
        if packet.is_cancelled() {
            return packet.fail(STATUS_CANCELLED);
        }
        let tag = irp.as_ptr().cast();
        // SAFETY: called while the request keeps the device.
        match unsafe { header.enter(tag) } {
            // Detached meanwhile: its context is about to go.
            Err(status) => packet.fail(status),
            Ok(entered) => {
                // SAFETY: the device has a context of this type, which stays while this is entered.
                routine(unsafe { device::context::<D::Device>(device.as_ptr()) }, packet);
                drop(entered);
            }
        }
    });
}

/// The cancel routine of a request in its device's queue, with the cancel spin lock held.
unsafe extern "win64" fn cancel_queued(device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    // SAFETY: NT's call for a device that is valid.
    let queue = unsafe { &raw mut (*device).DeviceQueue };
    // SAFETY: the device's queue, and an entry that is in it, or was.
    let was_queued = unsafe { KeRemoveEntryDeviceQueue(queue, entry_of(irp)) } != FALSE;
    // SAFETY: written by whoever cancels.
    let irql = unsafe { (*irp).CancelIrql };
    // SAFETY: held at this IRQL.
    unsafe { IoReleaseCancelSpinLock(irql) };
    // One that is not there has become the current one, and StartIo looks.
    if was_queued {
        // SAFETY: out of the queue, and so this routine's.
        unsafe { complete_cancelled(irp) };
    }
}

/// # Safety
///
/// The IRP is the driver's, which does not use it again.
unsafe fn complete_cancelled(irp: *mut IRP) {
    // SAFETY: the caller's contract.
    unsafe { (*irp).IoStatus = IO_STATUS_BLOCK { Status: STATUS_CANCELLED, Information: 0 } };
    // SAFETY: as above.
    unsafe { IofCompleteRequest(irp, IO_NO_INCREMENT) };
}

impl Cleanup {
    /// Completes the file's requests that wait in the device's queue ([`StartIo`]) with STATUS_CANCELLED. The others keep
    /// their order, and the current one goes on.
    ///
    /// Confirm: that KeInsertDeviceQueue leaves an entry's key alone.
    pub fn cancel_packets(&self) {
        let (file, device) = (self.irp.file_object(), self.irp.device());
        // SAFETY: the request's device.
        let queue = unsafe { &raw mut (*device).DeviceQueue };
        // Whoever changes this queue holds this lock.
        let mut irql = PASSIVE_LEVEL;
        // SAFETY: a place for the IRQL.
        unsafe { IoAcquireCancelSpinLock(&raw mut irql) };
        // SAFETY: the request's device.
        let is_busy = unsafe { !(*device).CurrentIrp.is_null() };
        let (mut kept, mut cancelled) = (Chain::new(), Chain::new());
        // SAFETY: a busy device's queue; when it is empty it becomes idle.
        while is_busy && let Some(entry) = NonNull::new(unsafe { KeRemoveDeviceQueue(queue) }) {
            // SAFETY: out of the queue, with the lock held.
            let is_of_file =
                unsafe { irp::file_of(irp_at(entry)) } == file.map_or(ptr::null_mut(), NonNull::as_ptr);
            if is_of_file {
                // SAFETY: as above. Its cancel routine has not been taken, since that is done with the lock.
                unsafe { clear_cancel_routine(irp_at(entry)) };
                cancelled.push(entry);
            } else {
                kept.push(entry);
            }
        }
        if is_busy {
            // SAFETY: all fields may be zero.
            let mut nothing: KDEVICE_QUEUE_ENTRY = unsafe { core::mem::zeroed() };
            // SAFETY: an idle queue, which becomes busy by this and takes no entry: there still is a current request.
            unsafe { KeInsertDeviceQueue(queue, &raw mut nothing) };
        }
        while let Some(entry) = kept.pop() {
            // SAFETY: a busy queue, and an entry that is in none.
            unsafe { KeInsertDeviceQueue(queue, entry.as_ptr()) };
        }
        // SAFETY: acquired above.
        unsafe { IoReleaseCancelSpinLock(irql) };
        while let Some(entry) = cancelled.pop() {
            // SAFETY: out of the queue, and without a cancel routine.
            unsafe { complete_cancelled(irp_at(entry).as_ptr()) };
        }
    }
}

/// Entries that are in no queue, the first first.
struct Chain {
    first: *mut LIST_ENTRY,
    last: *mut LIST_ENTRY,
}

impl Chain {
    fn new() -> Self {
        Self { first: ptr::null_mut(), last: ptr::null_mut() }
    }

    /// `entry` is this function's.
    fn push(&mut self, entry: NonNull<KDEVICE_QUEUE_ENTRY>) {
        let entry = entry.as_ptr().cast::<LIST_ENTRY>();
        // SAFETY: out of its queue, whose link this was.
        unsafe { entry.write(LIST_ENTRY { Flink: ptr::null_mut(), Blink: ptr::null_mut() }) };
        if self.first.is_null() {
            self.first = entry;
        } else {
            // SAFETY: pushed before.
            unsafe { (*self.last).Flink = entry };
        }
        self.last = entry;
    }

    fn pop(&mut self) -> Option<NonNull<KDEVICE_QUEUE_ENTRY>> {
        let entry = NonNull::new(self.first)?;
        // SAFETY: pushed before.
        self.first = unsafe { (*entry.as_ptr()).Flink };
        Some(entry.cast())
    }
}

/// `IoSetCancelRoutine` of null, which the headers inline.
///
/// # Safety
///
/// The IRP is the driver's.
unsafe fn clear_cancel_routine(irp: NonNull<IRP>) {
    // SAFETY: a place in an IRP.
    let routine = unsafe { &raw mut (*irp.as_ptr()).CancelRoutine };
    // SAFETY: a word that is exchanged by everybody.
    unsafe { AtomicPtr::from_ptr(routine.cast::<*mut ()>()) }.store(ptr::null_mut(), Ordering::SeqCst);
}

/// Of the device queue entry in an IRP.
const ENTRY: usize = offset_of!(IRP, Tail.Overlay.u);
/// The word of `DriverContext` behind the device queue entry.
const WRITTEN: usize = 3;
const _: () = assert!(size_of::<KDEVICE_QUEUE_ENTRY>() <= WRITTEN * size_of::<usize>());

/// Where a request that waits keeps how many bytes of output it has written.
fn written_of(irp: NonNull<IRP>) -> *mut usize {
    driver_context(irp).wrapping_add(WRITTEN).cast()
}

fn entry_of(irp: *mut IRP) -> *mut KDEVICE_QUEUE_ENTRY {
    irp.wrapping_byte_add(ENTRY).cast()
}

/// The IRP that an entry of a device's queue is in.
fn irp_at(entry: NonNull<KDEVICE_QUEUE_ENTRY>) -> NonNull<IRP> {
    let irp = entry.as_ptr().wrapping_byte_sub(ENTRY).cast();
    // SAFETY: an entry lies in its IRP.
    unsafe { NonNull::new_unchecked(irp) }
}
