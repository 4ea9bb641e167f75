//! Device objects: creating, naming, deleting, and stacks of them.

use std::any::Any;
use std::collections::VecDeque;
use std::mem::offset_of;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use abi::NTSTATUS;

use super::device_queue::{DeviceQueue, NextPacket, initialize_device_queue};
use super::{Driver, attach};
use crate::mm::PoolOwner;
use crate::ob::{Object, ObjectBody, ObjectType};
use crate::raw::{self, DeviceObject, DispatcherHeader, Outcome};
use crate::se::SecurityDescriptor;
use crate::{Kernel, Unwind};

/// Tag of device objects.
pub(super) const DEVICE_TAG: u32 = u32::from_le_bytes(*b"Devi");
/// Longest chain of attached devices that is followed.
pub(super) const MAX_STACK: usize = 64;

/// What the I/O manager keeps of a device object.
#[derive(Debug)]
pub struct Device {
    /// The device object that drivers see.
    pub object: DeviceObject,
    /// Its driver.
    pub driver: Weak<Driver>,
    /// Whether one handle at a time may be open.
    pub exclusive: bool,
    /// Files open on it.
    opens: AtomicI32,
    deleted: AtomicBool,
    /// No more files are opened: it is about to be removed, or is gone from its bus.
    removing: AtomicBool,
    /// The system's and its own power state, as its driver has said (`PoSetPowerState`).
    pub(super) power_states: [AtomicI32; 2],
    /// The device that it is attached to; 0 at the bottom of a stack. Changed under the lock of the stacks.
    pub(super) lower: AtomicU64,
    pub(super) start_io: StartIo,
}

/// How requests come to a device's StartIo routine.
#[derive(Debug, Default)]
pub(super) struct StartIo {
    /// What `IoSetStartIoAttributes` has set.
    pub(super) attributes: AtomicU8,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    /// Calls of StartIo that have not returned.
    calls: u32,
    /// What was asked for meanwhile.
    deferred: VecDeque<NextPacket>,
}

impl StartIo {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// StartIo is about to be called.
    pub(super) fn enter(&self) {
        self.running().calls += 1;
    }

    /// StartIo has returned. What it was asked for meanwhile, if that was the only call.
    pub(super) fn leave(&self) -> Option<NextPacket> {
        let mut running = self.running();
        running.calls -= 1;
        if running.calls == 0 { running.deferred.pop_front() } else { None }
    }

    /// Keeps what is asked for until StartIo has returned; false when it is not being called.
    pub(super) fn defer(&self, next: NextPacket) -> bool {
        let mut running = self.running();
        let defers = running.calls > 0;
        if defers {
            running.deferred.push_back(next);
        }
        defers
    }
}

/// What `IoCreateDevice` is asked for.
#[derive(Clone, Debug, Default)]
pub struct DeviceParameters {
    /// Bytes of the device extension.
    pub extension_size: u32,
    /// NT path, or `None` for a device without a name.
    pub name: Option<Vec<u16>>,
    /// FILE_DEVICE_*.
    pub device_type: u32,
    /// FILE_DEVICE_SECURE_OPEN, …
    pub characteristics: u32,
    /// Whether one handle at a time may be open.
    pub exclusive: bool,
    /// Who may open it; `None` for the system's default where it has a name.
    pub security: Option<SecurityDescriptor>,
}

impl ObjectBody for Device {
    fn object_type(&self) -> ObjectType {
        ObjectType { name: "Device", parses: true, generic_mapping: super::file::GENERIC_MAPPING }
    }

    fn delete(&self, kernel: &Kernel, _object: &Object) {
        if let Some(driver) = self.driver.upgrade() {
            driver.forget_device(self.object);
        }
        super::free_own(kernel, self.object.address());
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `IoCreateDevice`: a device object of `driver`, zeroed extension, DO_DEVICE_INITIALIZING set. IRQL <= APC_LEVEL.
///
/// # Errors
/// `Ok(Err(status))`: `STATUS_OBJECT_NAME_COLLISION`, `STATUS_INSUFFICIENT_RESOURCES`, a status of the name's directory.
/// `Err`: an access violation in the driver object.
pub fn create_device(
    kernel: &Kernel,
    driver: &Arc<Driver>,
    parameters: &DeviceParameters,
) -> Outcome<Result<DeviceObject, NTSTATUS>> {
    let extension = parameters.extension_size as usize;
    let device_end = DeviceObject::SIZE + extension.next_multiple_of(16);
    let size = device_end + size_of::<abi::DEVOBJ_EXTENSION>();
    let Some(block) = kernel.mm.pool.allocate_zeroed(size, DEVICE_TAG, PoolOwner::default()) else {
        return Ok(Err(abi::STATUS_INSUFFICIENT_RESOURCES));
    };
    let device = DeviceObject::at(block.address);
    initialize(device, driver, parameters, device_end)?;
    let object = Object::new(
        device.address(),
        Device {
            object: device,
            driver: Arc::downgrade(driver),
            exclusive: parameters.exclusive,
            opens: AtomicI32::new(0),
            deleted: AtomicBool::new(false),
            removing: AtomicBool::new(false),
            power_states: Default::default(),
            lower: AtomicU64::new(0),
            start_io: StartIo::default(),
        },
    );
    object.creator.store(u64::from(driver.id), Ordering::Relaxed);
    if let Some(security) = &parameters.security {
        object.set_security(security.clone());
    }
    if let Some(name) = device_name(kernel, parameters)
        && let Err(status) = kernel.ob.insert(&name, &object, true)
    {
        object.dereference(kernel);
        return Ok(Err(status));
    }
    kernel.ob.remember(&object);
    device.set_next_device(driver.object.device_object()?)?;
    driver.object.set_device_object(device.address())?;
    Ok(Ok(device))
}

fn device_name(kernel: &Kernel, parameters: &DeviceParameters) -> Option<Vec<u16>> {
    if parameters.name.is_some() {
        return parameters.name.clone();
    }
    let generated = parameters.characteristics & abi::FILE_AUTOGENERATED_DEVICE_NAME != 0;
    let number = || kernel.io.next_generated_name.fetch_add(1, Ordering::Relaxed);
    generated.then(|| format!(r"\Device\{:08x}", number()).encode_utf16().collect())
}

fn initialize(
    device: DeviceObject,
    driver: &Driver,
    parameters: &DeviceParameters,
    device_end: usize,
) -> Outcome<()> {
    let total = DeviceObject::SIZE + parameters.extension_size as usize;
    device.set_object_type(abi::IO_TYPE_DEVICE.cast_unsigned())?;
    device.set_size(u16::try_from(total).unwrap_or(u16::MAX))?;
    device.set_driver_object(driver.object.address())?;
    device.set_device_type(parameters.device_type)?;
    device.set_characteristics(parameters.characteristics)?;
    device.set_stack_size(1)?;
    let mut flags = abi::DO_DEVICE_INITIALIZING;
    if parameters.exclusive {
        flags |= abi::DO_EXCLUSIVE;
    }
    if parameters.name.is_some() {
        flags |= abi::DO_DEVICE_HAS_NAME;
    }
    device.set_flags(flags)?;
    if parameters.extension_size > 0 {
        device.set_device_extension(device.address() + DeviceObject::SIZE as u64)?;
    }
    let extension = device.address() + device_end as u64;
    device.set_device_object_extension(extension)?;
    raw::write(extension, abi::IO_TYPE_DEVICE_OBJECT_EXTENSION.cast_unsigned())?;
    raw::write(extension + offset_of!(abi::DEVOBJ_EXTENSION, DeviceObject) as u64, device.address())?;
    let lock = device.address() + offset_of!(abi::DEVICE_OBJECT, DeviceLock) as u64;
    synchronization_event(DispatcherHeader::at(lock), true)?;
    let queue = device.address() + offset_of!(abi::DEVICE_OBJECT, DeviceQueue) as u64;
    initialize_device_queue(DeviceQueue::at(queue))
}

/// Writes an initialised event of the synchronization type.
pub(super) fn synchronization_event(event: DispatcherHeader, signaled: bool) -> Outcome<()> {
    event.set_object_type(1)?;
    event.set_size(6)?;
    event.set_signal_state(u32::from(signaled))?;
    let list = event.address() + offset_of!(abi::DISPATCHER_HEADER, WaitListHead) as u64;
    event.set_wait_list_forward(list)?;
    event.set_wait_list_backward(list)
}

/// `IoDeleteDevice`: the name goes at once, the object when its last file is closed and nothing is attached to it any
/// more. IRQL <= APC_LEVEL.
///
/// # Errors
/// An access violation; [`Unwind::Halt`] after a bugcheck for what is no device object, or is deleted already.
pub fn delete_device(kernel: &Kernel, device: DeviceObject) -> Outcome<()> {
    let object = kernel.ob.by_address(device.address());
    let record = object.as_ref().and_then(|object| object.body::<Device>());
    let (Some(object), Some(record)) = (&object, record) else {
        kernel.bug_check(abi::BAD_POOL_CALLER, [0x7, 0, 0, device.address()]);
        return Err(Unwind::Halt);
    };
    if record.deleted.swap(true, Ordering::AcqRel) {
        kernel.bug_check(abi::BAD_POOL_CALLER, [0x7, 0, 0, device.address()]);
        return Err(Unwind::Halt);
    }
    unlink(device)?;
    attach::report_attached(kernel, record);
    if kernel.ob.remove_name(object) {
        object.dereference(kernel);
    }
    object.dereference(kernel);
    // Its memory was perhaps found overrun.
    if kernel.is_halted() { Err(Unwind::Halt) } else { Ok(()) }
}

/// Takes the device out of its driver's list.
fn unlink(device: DeviceObject) -> Outcome<()> {
    let driver = raw::DriverObject::at(device.driver_object()?);
    let next = device.next_device()?;
    let mut here = DeviceObject::at(driver.device_object()?);
    if here == device {
        return driver.set_device_object(next);
    }
    for _ in 0..1 << 16 {
        if here.is_null() {
            break;
        }
        let after = DeviceObject::at(here.next_device()?);
        if after == device {
            return here.set_next_device(next);
        }
        here = after;
    }
    Ok(())
}

/// The device at the top of the stack that `device` is in.
///
/// # Errors
/// An access violation in a device object.
#[inline]
pub(super) fn top_of_stack(device: DeviceObject) -> Outcome<DeviceObject> {
    let mut top = device;
    for _ in 0..MAX_STACK {
        let above = top.attached_device()?;
        if above == 0 {
            break;
        }
        top = DeviceObject::at(above);
    }
    Ok(top)
}

impl Device {
    /// Counts a file that is being opened.
    ///
    /// # Errors
    /// `STATUS_ACCESS_DENIED` for a second open of an exclusive device, `STATUS_NO_SUCH_DEVICE` when it has been
    /// deleted, is not initialised yet, is being removed, or its driver is being unloaded.
    pub(super) fn begin_open(&self) -> Result<(), NTSTATUS> {
        let driver = self.driver.upgrade().ok_or(abi::STATUS_NO_SUCH_DEVICE)?;
        let flags = self.object.flags().map_err(|_| abi::STATUS_NO_SUCH_DEVICE)?;
        if self.deleted.load(Ordering::Acquire) || flags & abi::DO_DEVICE_INITIALIZING != 0 {
            return Err(abi::STATUS_NO_SUCH_DEVICE);
        }
        let before = self.opens.fetch_add(1, Ordering::AcqRel);
        driver.begin_file();
        // After the count: unloading either sees this file, or is seen here.
        let refused = if driver.is_unloading() || self.is_refusing_opens() {
            Some(abi::STATUS_NO_SUCH_DEVICE)
        } else {
            (self.exclusive && before > 0).then_some(abi::STATUS_ACCESS_DENIED)
        };
        match refused {
            Some(status) => {
                self.end_open();
                Err(status)
            }
            None => {
                self.mirror_opens();
                Ok(())
            }
        }
    }

    /// Whether it has been deleted or its driver is being unloaded: nothing new may come to it.
    pub(super) fn is_going(&self) -> bool {
        let unloading = self.driver.upgrade().is_none_or(|driver| driver.is_unloading());
        unloading || self.deleted.load(Ordering::Acquire)
    }

    /// Whether files are opened on it, of a device that is removed.
    pub(super) fn refuse_opens(&self, refuse: bool) {
        self.removing.store(refuse, Ordering::SeqCst);
    }

    pub(super) fn is_refusing_opens(&self) -> bool {
        self.removing.load(Ordering::SeqCst)
    }

    /// Counts a file that is gone.
    pub(super) fn end_open(&self) {
        self.opens.fetch_sub(1, Ordering::AcqRel);
        self.mirror_opens();
        if let Some(driver) = self.driver.upgrade() {
            driver.end_file();
        }
    }

    /// Files open on it.
    #[must_use]
    pub fn opens(&self) -> i32 {
        self.opens.load(Ordering::Acquire)
    }

    /// Drivers read the count in the device object.
    fn mirror_opens(&self) {
        let _freed_by_driver = self.object.set_reference_count(self.opens().cast_unsigned());
    }
}
