//! `IofCallDriver`: an IRP goes to a device's driver.

use std::cell::Cell;

use abi::NTSTATUS;

use crate::raw::{DeviceObject, DriverObject, IoStackLocation, Irp, Outcome};
use crate::trace::Event;
use crate::{Kernel, Unwind};

thread_local! {
    /// The driver whose routine the kernel called last on this thread and that has not returned; 0 if none.
    static RUNNING: Cell<u32> = const { Cell::new(0) };
}

/// The driver whose routine the kernel called last on this thread.
pub(super) fn running_driver() -> Option<u32> {
    let id = RUNNING.get();
    (id != 0).then_some(id)
}

/// Runs `body` with the driver or export driver of this identifier as the one whose code is called.
pub(crate) fn as_owner<R>(id: u32, body: impl FnOnce() -> R) -> R {
    let before = RUNNING.replace(id);
    let result = body();
    RUNNING.set(before);
    result
}

/// `IofCallDriver`: makes the next lower stack location current and calls the dispatch routine of `device`'s driver
/// for it. Returns what the routine returned. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// What the routine raised; [`Unwind::Halt`] after bugcheck 0x35 (NO_MORE_IRP_STACK_LOCATIONS).
///
/// Source: ddi, IofCallDriver.
#[inline]
pub fn call_driver(kernel: &Kernel, device: DeviceObject, irp: Irp) -> Outcome<NTSTATUS> {
    let current = irp.current_location()?;
    if current <= 1 || current > irp.stack_count()?.wrapping_add(1) {
        kernel.bug_check(abi::NO_MORE_IRP_STACK_LOCATIONS, [irp.address(), 0, 0, 0]);
        return Err(Unwind::Halt);
    }
    let location =
        IoStackLocation::at(irp.current_stack_location()?.wrapping_sub(IoStackLocation::SIZE as u64));
    irp.set_current_location(current - 1)?;
    irp.set_current_stack_location(location.address())?;
    location.set_device_object(device.address())?;
    let driver = DriverObject::at(device.driver_object()?);
    let major = location.major_function()?;
    let routine = if major <= abi::IRP_MJ_MAXIMUM_FUNCTION { driver.major_function(major)? } else { 0 };
    if kernel.trace.is_watched() {
        return observed(kernel, driver, device, irp, routine, major);
    }
    enter(kernel, driver, device, irp, routine)
}

#[inline]
fn enter(
    kernel: &Kernel,
    driver: DriverObject,
    device: DeviceObject,
    irp: Irp,
    routine: u64,
) -> Outcome<NTSTATUS> {
    if routine == 0 || routine == kernel.io.invalid_device_request() {
        return invalid_device_request(kernel, irp);
    }
    if let Some(built_in) = kernel.io.built_in(routine) {
        return (built_in.dispatch)(kernel, device, irp);
    }
    let before = RUNNING.replace(super::driver::id_of(driver));
    let returned = kernel.ke.call(kernel, routine, &[device.address(), irp.address()]);
    RUNNING.set(before);
    Ok(NTSTATUS::from_bits(low_half(returned?)))
}

/// What an unset major function does: completes the IRP with STATUS_INVALID_DEVICE_REQUEST.
///
/// # Errors
/// As for [`complete_request`](super::complete_request).
pub(super) fn invalid_device_request(kernel: &Kernel, irp: Irp) -> Outcome<NTSTATUS> {
    irp.set_status(abi::STATUS_INVALID_DEVICE_REQUEST.bits())?;
    irp.set_information(0)?;
    super::complete_request(kernel, irp, 0)?;
    Ok(abi::STATUS_INVALID_DEVICE_REQUEST)
}

#[cold]
fn observed(
    kernel: &Kernel,
    driver: DriverObject,
    device: DeviceObject,
    irp: Irp,
    routine: u64,
    major: u8,
) -> Outcome<NTSTATUS> {
    let name = driver.driver_name().to_wide().map(|name| String::from_utf16_lossy(&name)).unwrap_or_default();
    kernel.trace.emit(|| Event::IrpDispatched { irp: irp.address(), major, driver: name });
    let status = enter(kernel, driver, device, irp, routine)?;
    kernel.trace.emit(|| Event::IrpReturned { irp: irp.address(), status });
    Ok(status)
}

/// NTSTATUS values come back in EAX; the upper half of RAX is whatever the driver left there.
#[expect(clippy::cast_possible_truncation, reason = "EAX is meant")]
pub(crate) fn low_half(value: u64) -> u32 {
    value as u32
}
