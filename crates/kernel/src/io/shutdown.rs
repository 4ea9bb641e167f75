//! Shutdown notifications: IRP_MJ_SHUTDOWN for the devices that asked for it.

use std::sync::{MutexGuard, PoisonError};

use abi::NTSTATUS;

use super::build::{FsdRequest, Notify, build_fsd_request};
use super::device::top_of_stack;
use super::{Device, dispatch};
use crate::ke::{ProcessorMode, Thread, Timeout};
use crate::mm::PoolOwner;
use crate::raw::{DeviceObject, DispatcherHeader, Outcome};
use crate::{Kernel, ps};

const EVENT_TAG: u32 = u32::from_le_bytes(*b"IoSh");
/// Where the status block stands behind the event.
const IOSB_OFFSET: u64 = 32;

/// When a device is told that the machine is shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chance {
    /// While other drivers still work (`IoRegisterShutdownNotification`).
    First,
    /// After all those (`IoRegisterLastChanceShutdownNotification`).
    Last,
}

fn registered(kernel: &Kernel, chance: Chance) -> MutexGuard<'_, Vec<DeviceObject>> {
    let all = match chance {
        Chance::First => &kernel.io.shutdown,
        Chance::Last => &kernel.io.last_chance,
    };
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `IoRegisterShutdownNotification` and `IoRegisterLastChanceShutdownNotification`: the device will get IRP_MJ_SHUTDOWN
/// when the machine is shut down. PASSIVE_LEVEL.
///
/// # Errors
/// An access violation. `Ok(Err(STATUS_NO_SUCH_DEVICE))` for what is no device.
///
/// Source: ddi, IoRegisterShutdownNotification, IoRegisterLastChanceShutdownNotification.
pub fn register_shutdown_notification(
    kernel: &Kernel,
    device: DeviceObject,
    chance: Chance,
) -> Outcome<Result<(), NTSTATUS>> {
    let object = kernel.ob.by_address(device.address());
    let referenced = object.is_some_and(|object| object.body::<Device>().is_some() && object.try_reference());
    if !referenced {
        return Ok(Err(abi::STATUS_NO_SUCH_DEVICE));
    }
    registered(kernel, chance).push(device);
    device.set_flags(device.flags()? | abi::DO_SHUTDOWN_REGISTERED)?;
    Ok(Ok(()))
}

/// `IoUnregisterShutdownNotification`: of both kinds. PASSIVE_LEVEL.
///
/// # Errors
/// An access violation.
///
/// Source: ddi, IoUnregisterShutdownNotification.
pub fn unregister_shutdown_notification(kernel: &Kernel, device: DeviceObject) -> Outcome<()> {
    let mut registrations = 0;
    for chance in [Chance::First, Chance::Last] {
        let mut all = registered(kernel, chance);
        let before = all.len();
        all.retain(|other| *other != device);
        registrations += before - all.len();
    }
    device.set_flags(device.flags()? & !abi::DO_SHUTDOWN_REGISTERED)?;
    drop_references(kernel, device, registrations);
    Ok(())
}

fn drop_references(kernel: &Kernel, device: DeviceObject, count: usize) {
    for _ in 0..count {
        if let Some(object) = kernel.ob.by_address(device.address()) {
            object.dereference(kernel);
        }
    }
}

/// Tells every device that asked for it that the machine is shut down, the last to ask first, each when the one before
/// it has answered; then those that want to be told last, in the same order. On the calling thread, in the system process. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_DEVICE_NOT_CONNECTED` when the machine stops; `STATUS_INSUFFICIENT_RESOURCES`.
pub fn shut_down(kernel: &Kernel) -> Result<(), NTSTATUS> {
    let system = kernel.ps.system().clone();
    loop {
        let next = registered(kernel, Chance::First).pop();
        let next = next.or_else(|| registered(kernel, Chance::Last).pop());
        let Some(device) = next else { return Ok(()) };
        let sent = ps::inside(kernel, &system, |thread| {
            let sent = send(kernel, thread, device);
            kernel.ke.leave_system_service(kernel, thread, device.address())?;
            sent
        });
        drop_references(kernel, device, 1);
        sent?.map_err(|_| abi::STATUS_DEVICE_NOT_CONNECTED)?;
    }
}

fn send(kernel: &Kernel, thread: &Thread, device: DeviceObject) -> Outcome<()> {
    // The event and the status block, where drivers could see them.
    let Some(block) = kernel.mm.pool.allocate_zeroed(64, EVENT_TAG, PoolOwner::default()) else {
        return Err(crate::Unwind::status(abi::STATUS_INSUFFICIENT_RESOURCES));
    };
    let event = DispatcherHeader::at(block.address);
    kernel.ke.initialize_event(event, abi::NotificationEvent, false)?;
    let top = top_of_stack(device)?;
    let notify = Notify { event: event.address(), iosb: block.address + IOSB_OFFSET };
    let request = FsdRequest {
        major: abi::IRP_MJ_SHUTDOWN,
        device: top,
        buffer: 0,
        length: 0,
        starting_offset: 0,
        synchronous: true,
        notify,
    };
    let irp = build_fsd_request(kernel, thread, &request)?;
    if !irp.is_null() && dispatch::call_driver(kernel, top, irp)? == abi::STATUS_PENDING {
        let (address, never) = (event.address(), Timeout::Never);
        kernel.ke.wait_for_single_object(kernel, thread, address, ProcessorMode::Kernel, false, never)?;
    }
    let _certainly_live = kernel.mm.pool.free(block.address);
    Ok(())
}
