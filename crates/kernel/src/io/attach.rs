//! Device stacks: attaching one device above another, and finding the devices of a stack.
//!
//! `AttachedDevice` in the device object is what drivers see and what requests follow; which device lies below is the
//! I/O manager's own record. What a filter copies from the device below (flags, characteristics) is its own business.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use abi::NTSTATUS;

use super::device::{Device, top_of_stack};
use super::file::File;
use super::{OpenRequest, create_file, driver};
use crate::ob::Object;
use crate::ps::Process;
use crate::raw::{self, DeviceObject, FileObject, Outcome};
use crate::trace::Event;
use crate::{Kernel, Unwind};

/// Stack locations of the longest stack: `StackSize` is a signed byte, and `CurrentLocation` goes one beyond.
const MAX_STACK_SIZE: u8 = 126;

fn device_at(kernel: &Kernel, device: DeviceObject) -> Option<Arc<Object>> {
    kernel.ob.by_address(device.address()).filter(|object| object.body::<Device>().is_some())
}

/// `IoAttachDeviceToDeviceStack`: puts `source` on top of the stack that `target` is in, and returns the device that
/// was at its top. `source`'s StackSize becomes one more than that device's, its AlignmentRequirement the same.
/// IRQL <= DISPATCH_LEVEL.
///
/// `attached_to`, unless 0, is where the lower device is written before `source` can get its first request
/// (`IoAttachDeviceToDeviceStackSafe`).
///
/// # Errors
/// `Ok(Err(STATUS_NO_SUCH_DEVICE))` when the device below has been deleted, its driver is being unloaded, or one more
/// location would be too many; `Err` for an access violation.
///
/// Source: ddi, IoAttachDeviceToDeviceStack and IoAttachDeviceToDeviceStackSafe.
pub fn attach_to_stack(
    kernel: &Kernel,
    source: DeviceObject,
    target: DeviceObject,
    attached_to: u64,
) -> Outcome<Result<DeviceObject, NTSTATUS>> {
    let _one_at_a_time = kernel.io.stacks.lock().unwrap_or_else(PoisonError::into_inner);
    let lower = top_of_stack(target)?;
    let size = lower.stack_size()?;
    let (Some(source_object), Some(lower_object)) = (device_at(kernel, source), device_at(kernel, lower))
    else {
        return Ok(Err(abi::STATUS_NO_SUCH_DEVICE));
    };
    let (Some(above), Some(below)) = (source_object.body::<Device>(), lower_object.body::<Device>()) else {
        return Ok(Err(abi::STATUS_NO_SUCH_DEVICE));
    };
    // A device cannot stand in its own stack, or in two.
    let unfit = lower == source || above.lower.load(Ordering::Acquire) != 0 || source.attached_device()? != 0;
    if unfit || below.is_going() || size >= MAX_STACK_SIZE || !lower_object.try_reference() {
        return Ok(Err(abi::STATUS_NO_SUCH_DEVICE));
    }
    // The one above stays too as long as requests are led to it.
    if !source_object.try_reference() {
        lower_object.dereference(kernel);
        return Ok(Err(abi::STATUS_NO_SUCH_DEVICE));
    }
    source.set_stack_size(size + 1)?;
    source.set_alignment_requirement(lower.alignment_requirement()?)?;
    above.lower.store(lower.address(), Ordering::Release);
    if attached_to != 0 {
        raw::write(attached_to, lower.address())?;
    }
    lower.set_attached_device(source.address())?;
    Ok(Ok(lower))
}

/// `IoAttachDevice`: attaches `source` to the stack of the device named `target`, which gets no request for that.
/// PASSIVE_LEVEL.
///
/// # Errors
/// As for [`attach_to_stack`]; a status of the name's look-up.
pub fn attach_to_named(
    kernel: &Kernel,
    source: DeviceObject,
    target: &[u16],
    attached_to: u64,
) -> Outcome<Result<DeviceObject, NTSTATUS>> {
    let found = match kernel.ob.find(target, false) {
        Ok(found) => found,
        Err(status) => return Ok(Err(status)),
    };
    match found.object.body::<Device>() {
        Some(device) => attach_to_stack(kernel, source, device.object, attached_to),
        None => Ok(Err(abi::STATUS_OBJECT_TYPE_MISMATCH)),
    }
}

/// `IoDetachDevice`: takes the device above `target` off it. A `target` that was deleted before ends now, and a driver
/// that waits for that is unloaded. PASSIVE_LEVEL.
///
/// # Errors
/// An access violation, also when nothing is attached: as on NT, that is a driver's bug.
///
/// Source: ddi, IoDetachDevice.
pub fn detach(kernel: &Kernel, target: DeviceObject) -> Outcome<()> {
    let upper = {
        let _one_at_a_time = kernel.io.stacks.lock().unwrap_or_else(PoisonError::into_inner);
        let upper = DeviceObject::at(target.attached_device()?);
        if upper.is_null() {
            return Err(Unwind::access_violation(1, 0));
        }
        target.set_attached_device(0)?;
        if let Some(object) = device_at(kernel, upper)
            && let Some(device) = object.body::<Device>()
        {
            device.lower.store(0, Ordering::Release);
        }
        upper
    };
    for device in [upper, target] {
        let Some(object) = device_at(kernel, device) else { continue };
        let driver = object.body::<Device>().and_then(|device| device.driver.upgrade());
        object.dereference(kernel);
        if let Some(driver) = driver {
            driver::unload_if_last(kernel, &driver);
        }
    }
    Ok(())
}

/// Says so when a device that is deleted is still attached to another: requests for that one go on to it.
pub(super) fn report_attached(kernel: &Kernel, device: &Device) {
    if device.lower.load(Ordering::Acquire) != 0 {
        let driver = || device.driver.upgrade().map(|driver| driver.name.clone()).unwrap_or_default();
        let address = device.object.address();
        kernel.trace.emit(|| Event::DeviceDeletedAttached { device: address, driver: driver() });
    }
}

/// `IoGetAttachedDevice`: the device at the top of the stack that `device` is in. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// An access violation.
pub fn attached_device(device: DeviceObject) -> Outcome<DeviceObject> {
    top_of_stack(device)
}

/// `IoGetAttachedDeviceReference`: as [`attached_device`], with a reference that the caller drops.
/// IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// An access violation.
pub fn attached_device_reference(kernel: &Kernel, device: DeviceObject) -> Outcome<DeviceObject> {
    let _one_at_a_time = kernel.io.stacks.lock().unwrap_or_else(PoisonError::into_inner);
    let top = top_of_stack(device)?;
    Ok(referenced(kernel, top))
}

/// `IoGetLowerDeviceObject`: the device below `device`, with a reference that the caller drops; null at the bottom, or
/// when that one has been deleted or its driver is being unloaded. IRQL <= DISPATCH_LEVEL.
#[must_use]
pub fn lower_device_reference(kernel: &Kernel, device: DeviceObject) -> DeviceObject {
    let _one_at_a_time = kernel.io.stacks.lock().unwrap_or_else(PoisonError::into_inner);
    let lower = lower_of(kernel, device);
    let going = device_at(kernel, lower).and_then(|object| Some(object.body::<Device>()?.is_going()));
    if going == Some(false) { referenced(kernel, lower) } else { DeviceObject::at(0) }
}

/// `IoGetDeviceAttachmentBaseRef`: the device at the bottom of the stack, with a reference that the caller drops.
/// IRQL <= DISPATCH_LEVEL.
#[must_use]
pub fn base_device_reference(kernel: &Kernel, device: DeviceObject) -> DeviceObject {
    let _one_at_a_time = kernel.io.stacks.lock().unwrap_or_else(PoisonError::into_inner);
    let mut base = device;
    for _ in 0..MAX_STACK_SIZE {
        let lower = lower_of(kernel, base);
        if lower.is_null() {
            break;
        }
        base = lower;
    }
    referenced(kernel, base)
}

fn lower_of(kernel: &Kernel, device: DeviceObject) -> DeviceObject {
    let lower = device_at(kernel, device)
        .and_then(|object| object.body::<Device>().map(|device| device.lower.load(Ordering::Acquire)));
    DeviceObject::at(lower.unwrap_or(0))
}

/// References a device; null when it is none any more.
fn referenced(kernel: &Kernel, device: DeviceObject) -> DeviceObject {
    let alive = device_at(kernel, device).is_some_and(|object| object.try_reference());
    if alive { device } else { DeviceObject::at(0) }
}

/// `IoGetRelatedDeviceObject`: the top of the stack that requests on `file` go to. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// An access violation.
pub fn related_device(file: FileObject) -> Outcome<DeviceObject> {
    top_of_stack(DeviceObject::at(file.device_object()?))
}

/// `IoGetDeviceObjectPointer`: opens `name`, which its driver sees as CREATE and at once CLEANUP, and returns the file
/// object, referenced, and the top of the device's stack. CLOSE follows when the reference is dropped. PASSIVE_LEVEL.
///
/// # Errors
/// `Ok(Err(status))` as for [`create_file`]; `Err` for an access violation.
///
/// Source: ddi, IoGetDeviceObjectPointer.
pub fn device_object_pointer(
    kernel: &Kernel,
    process: &Process,
    name: &[u16],
    desired_access: u32,
) -> Outcome<Result<(FileObject, DeviceObject), NTSTATUS>> {
    let request = OpenRequest {
        path: name,
        desired_access,
        share_access: abi::FILE_SHARE_READ | abi::FILE_SHARE_WRITE,
        create_disposition: abi::FILE_OPEN,
        create_options: abi::FILE_NON_DIRECTORY_FILE,
        ..OpenRequest::default()
    };
    let handle = match create_file(kernel, process, &request) {
        Ok((handle, _)) => handle,
        Err(status) => return Ok(Err(status)),
    };
    let file = process.handles.get(handle).map(|entry| entry.object).filter(|object| object.try_reference());
    // Somebody else closed it already: then there is no file to return.
    let _closed = process.handles.close(kernel, process, handle);
    let Some(object) = file else { return Ok(Err(abi::STATUS_INVALID_HANDLE)) };
    let Some(file) = object.body::<File>() else { return Ok(Err(abi::STATUS_OBJECT_TYPE_MISMATCH)) };
    match related_device(file.object) {
        Ok(device) => Ok(Ok((file.object, device))),
        Err(unwind) => {
            object.dereference(kernel);
            Err(unwind)
        }
    }
}
