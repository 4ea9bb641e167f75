//! Device queues (`KDEVICE_QUEUE`), and the StartIo routine that takes requests one at a time from the one in each
//! device object.

use std::mem::offset_of;
use std::sync::atomic::Ordering;

use super::Device;
use super::cancel::{acquire_cancel_spin_lock, release_cancel_spin_lock, set_cancel_routine};
use crate::Kernel;
use crate::ke::Thread;
use crate::raw::{self, DeviceObject, DriverObject, Irp, Outcome, raw_object};

raw_object! {
    /// A device queue.
    DeviceQueue: abi::KDEVICE_QUEUE {
        queue_type, set_queue_type: u16 = Type;
        size, set_size: u16 = Size;
        first, set_first: u64 = DeviceListHead.Flink;
        last, set_last: u64 = DeviceListHead.Blink;
        lock, set_lock: u64 = Lock;
        busy, set_busy: u8 = Busy;
    }
}

raw_object! {
    /// An entry of a device queue: its list entry stands first.
    DeviceQueueEntry: abi::KDEVICE_QUEUE_ENTRY {
        next, set_next: u64 = DeviceListEntry.Flink;
        previous, set_previous: u64 = DeviceListEntry.Blink;
        sort_key, set_sort_key: u32 = SortKey;
        inserted, set_inserted: u8 = Inserted;
    }
}

/// `DeviceQueueObject` of the KOBJECTS enumeration.
const DEVICE_QUEUE_OBJECT: u16 = 0x14;
const LIST_HEAD: u64 = offset_of!(abi::KDEVICE_QUEUE, DeviceListHead) as u64;
const LOCK: u64 = offset_of!(abi::KDEVICE_QUEUE, Lock) as u64;
/// Where an IRP's own entry is.
const IRP_ENTRY: u64 = offset_of!(abi::IRP, Tail.Overlay.u) as u64;
const DEVICE_QUEUE: u64 = offset_of!(abi::DEVICE_OBJECT, DeviceQueue) as u64;

/// In a device's StartIo attributes: IoStartNextPacket does not call StartIo from within StartIo.
pub(super) const DEFERRED: u8 = 1;
/// In a device's StartIo attributes: a request's cancel routine is taken away before StartIo gets it.
pub(super) const NOT_CANCELABLE: u8 = 2;

/// `KeInitializeDeviceQueue`. Any IRQL.
///
/// # Errors
/// An access violation.
pub fn initialize_device_queue(queue: DeviceQueue) -> Outcome<()> {
    queue.set_queue_type(DEVICE_QUEUE_OBJECT)?;
    queue.set_size(u16::try_from(DeviceQueue::SIZE).unwrap_or(0))?;
    queue.set_lock(0)?;
    queue.set_busy(0)?;
    let head = queue.address().wrapping_add(LIST_HEAD);
    queue.set_first(head)?;
    queue.set_last(head)
}

/// Runs `body` with the queue's lock.
fn locked<R>(
    kernel: &Kernel,
    thread: &Thread,
    queue: DeviceQueue,
    body: impl FnOnce() -> Outcome<R>,
) -> Outcome<R> {
    let lock = queue.address().wrapping_add(LOCK);
    let irql = kernel.ke.acquire_spin_lock_raise_to_dpc(kernel, thread, lock)?;
    let result = body();
    kernel.ke.release_spin_lock(kernel, thread, lock, irql)?;
    result
}

/// Puts an entry before `next`, which may be the list's head.
fn link_before(entry: DeviceQueueEntry, next: u64) -> Outcome<()> {
    let previous: u64 = raw::read(next.wrapping_add(8))?;
    entry.set_next(next)?;
    entry.set_previous(previous)?;
    raw::write(previous, entry.address())?;
    raw::write(next.wrapping_add(8), entry.address())?;
    entry.set_inserted(1)
}

fn unlink(entry: DeviceQueueEntry) -> Outcome<()> {
    let (next, previous) = (entry.next()?, entry.previous()?);
    raw::write(previous, next)?;
    raw::write(next.wrapping_add(8), previous)?;
    entry.set_inserted(0)
}

/// The first entry that `wanted` is true of.
fn find(
    queue: DeviceQueue,
    wanted: impl Fn(DeviceQueueEntry) -> Outcome<bool>,
) -> Outcome<Option<DeviceQueueEntry>> {
    let head = queue.address().wrapping_add(LIST_HEAD);
    let mut entry = DeviceQueueEntry::at(queue.first()?);
    // A list that a driver has made a ring of does not hold the machine for ever.
    for _ in 0..1 << 24 {
        if entry.address() == head {
            break;
        }
        if wanted(entry)? {
            return Ok(Some(entry));
        }
        entry = DeviceQueueEntry::at(entry.next()?);
    }
    Ok(None)
}

/// `KeInsertDeviceQueue`, and with a key `KeInsertByKeyDeviceQueue`, which sorts by it, equal keys in the order of
/// arrival. False when the queue was idle: it is busy now, and the entry is not in it. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// An access violation; `Unwind::Halt` when the machine stops.
///
/// Source: ddi, KeInsertDeviceQueue and KeInsertByKeyDeviceQueue.
pub fn insert_device_queue(
    kernel: &Kernel,
    thread: &Thread,
    queue: DeviceQueue,
    entry: DeviceQueueEntry,
    key: Option<u32>,
) -> Outcome<bool> {
    locked(kernel, thread, queue, || {
        if queue.busy()? == 0 {
            queue.set_busy(1)?;
            entry.set_inserted(0)?;
            return Ok(false);
        }
        let behind = match key {
            Some(key) => {
                entry.set_sort_key(key)?;
                find(queue, |other| Ok(other.sort_key()? > key))?
            }
            None => None,
        };
        let head = queue.address().wrapping_add(LIST_HEAD);
        link_before(entry, behind.map_or(head, DeviceQueueEntry::address))?;
        Ok(true)
    })
}

/// `KeRemoveDeviceQueue`, and with a key `KeRemoveByKeyDeviceQueue`, which takes the first entry with that key or a
/// greater one, else the first of all. Null when the queue is empty, which makes it idle. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// As for [`insert_device_queue`].
///
/// Source: ddi, KeRemoveDeviceQueue and KeRemoveByKeyDeviceQueue.
pub fn remove_device_queue(
    kernel: &Kernel,
    thread: &Thread,
    queue: DeviceQueue,
    key: Option<u32>,
) -> Outcome<DeviceQueueEntry> {
    locked(kernel, thread, queue, || {
        let by_key = match key {
            Some(key) => find(queue, |entry| Ok(entry.sort_key()? >= key))?,
            None => None,
        };
        let entry = match by_key {
            Some(entry) => Some(entry),
            None => find(queue, |_| Ok(true))?,
        };
        match entry {
            Some(entry) => unlink(entry).map(|()| entry),
            None => queue.set_busy(0).map(|()| DeviceQueueEntry::at(0)),
        }
    })
}

/// `KeRemoveEntryDeviceQueue`: takes an entry out of the queue; false when it is not in it. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// As for [`insert_device_queue`].
///
/// Source: ddi, KeRemoveEntryDeviceQueue.
pub fn remove_entry_device_queue(
    kernel: &Kernel,
    thread: &Thread,
    queue: DeviceQueue,
    entry: DeviceQueueEntry,
) -> Outcome<bool> {
    locked(kernel, thread, queue, || {
        if entry.inserted()? == 0 {
            return Ok(false);
        }
        unlink(entry).map(|()| true)
    })
}

fn with_device<R>(kernel: &Kernel, device: DeviceObject, body: impl FnOnce(&Device) -> R) -> Option<R> {
    let object = kernel.ob.by_address(device.address())?;
    object.body::<Device>().map(body)
}

/// `IoSetStartIoAttributes`. IRQL <= DISPATCH_LEVEL.
pub fn set_start_io_attributes(kernel: &Kernel, device: DeviceObject, deferred: bool, not_cancelable: bool) {
    let attributes = if deferred { DEFERRED } else { 0 } | if not_cancelable { NOT_CANCELABLE } else { 0 };
    with_device(kernel, device, |device| device.start_io.attributes.store(attributes, Ordering::Release));
}

/// `IoStartPacket`: gives the request to the driver's StartIo routine, at DISPATCH_LEVEL, or, when that is at work on
/// another, puts it into the device's queue. `cancel_routine` 0 is none. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// What a routine raised; an access violation; `Unwind::Halt` when the machine stops.
///
/// Source: ddi, IoStartPacket.
pub fn start_packet(
    kernel: &Kernel,
    thread: &Thread,
    device: DeviceObject,
    irp: Irp,
    key: Option<u32>,
    cancel_routine: u64,
) -> Outcome<()> {
    let irql = kernel.ke.kf_raise_irql(kernel, abi::DISPATCH_LEVEL)?;
    let started = start_or_queue(kernel, thread, device, irp, key, cancel_routine);
    let lowered = kernel.ke.ke_lower_irql(kernel, irql);
    started.and(lowered)
}

fn start_or_queue(
    kernel: &Kernel,
    thread: &Thread,
    device: DeviceObject,
    irp: Irp,
    key: Option<u32>,
    cancel_routine: u64,
) -> Outcome<()> {
    let cancelable = cancel_routine != 0;
    if cancelable {
        acquire_cancel_spin_lock(kernel, thread)?;
        set_cancel_routine(irp, cancel_routine)?;
    }
    let queue = DeviceQueue::at(device.address().wrapping_add(DEVICE_QUEUE));
    let entry = DeviceQueueEntry::at(irp.address().wrapping_add(IRP_ENTRY));
    if insert_device_queue(kernel, thread, queue, entry, key)? {
        if !cancelable {
            return Ok(());
        }
        // Cancelled before it was here: its routine, which releases the lock, takes it out again.
        if irp.cancel()? != 0 {
            let routine = set_cancel_routine(irp, 0)?;
            if routine != 0 {
                irp.set_cancel_irql(abi::DISPATCH_LEVEL)?;
                return kernel.ke.call(kernel, routine, &[device.address(), irp.address()]).map(drop);
            }
        }
        return release_cancel_spin_lock(kernel, thread, abi::DISPATCH_LEVEL);
    }
    device.set_current_irp(irp.address())?;
    run_start_io(kernel, thread, device, irp, cancelable)
}

/// Calls StartIo with the request that has become the current one, and with those that it asks for while it defers.
fn run_start_io(
    kernel: &Kernel,
    thread: &Thread,
    device: DeviceObject,
    irp: Irp,
    cancelable: bool,
) -> Outcome<()> {
    let (mut irp, mut cancelable) = (irp, cancelable);
    loop {
        let next = call_start_io(kernel, thread, device, irp, cancelable)?;
        // When the queue is empty, further calls for the next one have nothing to take either.
        let Some(asked) = next else { return Ok(()) };
        let Some(taken) = take_next(kernel, thread, device, asked)? else { return Ok(()) };
        (irp, cancelable) = (taken, asked.cancelable);
    }
}

/// Calls StartIo; what it has asked for meanwhile. The cancel spin lock is held when the request is cancelable.
fn call_start_io(
    kernel: &Kernel,
    thread: &Thread,
    device: DeviceObject,
    irp: Irp,
    cancelable: bool,
) -> Outcome<Option<NextPacket>> {
    if cancelable {
        let attributes =
            with_device(kernel, device, |device| device.start_io.attributes.load(Ordering::Acquire));
        if attributes.unwrap_or(0) & NOT_CANCELABLE != 0 {
            set_cancel_routine(irp, 0)?;
        }
        release_cancel_spin_lock(kernel, thread, abi::DISPATCH_LEVEL)?;
    }
    let routine = DriverObject::at(device.driver_object()?).driver_start_io()?;
    with_device(kernel, device, |device| device.start_io.enter());
    let called = kernel.ke.call(kernel, routine, &[device.address(), irp.address()]);
    let next = with_device(kernel, device, |device| device.start_io.leave()).flatten();
    called.map(|_| next)
}

/// How [`start_next_packet`] chooses.
#[derive(Clone, Copy, Debug)]
pub struct NextPacket {
    /// Whether requests in the queue have cancel routines.
    pub cancelable: bool,
    /// The key of the next request.
    pub key: Option<u32>,
}

/// `IoStartNextPacket` and `IoStartNextPacketByKey`: gives the next queued request to StartIo. With deferred StartIo,
/// a call from within StartIo takes effect when that has returned. DISPATCH_LEVEL.
///
/// # Errors
/// As for [`start_packet`].
///
/// Source: ddi, IoStartNextPacket, IoStartNextPacketByKey and IoSetStartIoAttributes.
pub fn start_next_packet(
    kernel: &Kernel,
    thread: &Thread,
    device: DeviceObject,
    next: NextPacket,
) -> Outcome<()> {
    let deferred = with_device(kernel, device, |device| {
        device.start_io.attributes.load(Ordering::Acquire) & DEFERRED != 0 && device.start_io.defer(next)
    });
    if deferred == Some(true) {
        return Ok(());
    }
    match take_next(kernel, thread, device, next)? {
        Some(irp) => run_start_io(kernel, thread, device, irp, next.cancelable),
        None => Ok(()),
    }
}

/// Makes the next queued request the current one; the cancel spin lock is then held when it is cancelable. `None` when
/// there is none: the device is idle.
fn take_next(
    kernel: &Kernel,
    thread: &Thread,
    device: DeviceObject,
    next: NextPacket,
) -> Outcome<Option<Irp>> {
    if next.cancelable {
        acquire_cancel_spin_lock(kernel, thread)?;
    }
    device.set_current_irp(0)?;
    let queue = DeviceQueue::at(device.address().wrapping_add(DEVICE_QUEUE));
    let entry = remove_device_queue(kernel, thread, queue, next.key)?;
    if entry.is_null() {
        if next.cancelable {
            release_cancel_spin_lock(kernel, thread, abi::DISPATCH_LEVEL)?;
        }
        return Ok(None);
    }
    let irp = Irp::at(entry.address().wrapping_sub(IRP_ENTRY));
    device.set_current_irp(irp.address())?;
    Ok(Some(irp))
}
