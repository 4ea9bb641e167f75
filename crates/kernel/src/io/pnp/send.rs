//! Requests of the Plug and Play and power managers: made, sent to the top of a stack, and waited for.

use std::sync::Arc;

use abi::NTSTATUS;

use super::{DevNode, TAG, stack};
use crate::Kernel;
use crate::io::irp::{self, Kind};
use crate::io::{attach, dispatch, driver, request};
use crate::ke::{ProcessorMode, Thread, Timeout};
use crate::mm::PoolOwner;
use crate::raw::{DeviceObject, DispatcherHeader, DriverObject, IoStackLocation, Irp, Outcome};
use crate::trace::Event;

/// A request of a manager's.
#[derive(Clone, Copy, Debug)]
pub(in crate::io) struct Request {
    /// IRP_MJ_*.
    pub(in crate::io) major: u8,
    /// IRP_MN_*.
    pub(in crate::io) minor: u8,
    /// The words of `Parameters`.
    pub(in crate::io) parameters: [u64; 4],
}

/// How a stack has answered.
#[derive(Clone, Copy, Debug)]
pub(in crate::io) struct Answered {
    /// The answer.
    pub(in crate::io) status: NTSTATUS,
    /// `IoStatus.Information`; 0 for an error.
    pub(in crate::io) information: u64,
}

/// Sends a request to the top of the stack of `node` and waits for its end. It begins with STATUS_NOT_SUPPORTED, as all
/// requests of these managers do. On the calling thread, in the system process. PASSIVE_LEVEL.
///
/// A driver that completes one without passing it down is reported, unless it refuses what it may refuse.
///
/// # Errors
/// `Unwind::Halt` when the machine stops.
///
/// Source: kernel, Rules for Handling Plug and Play IRPs, Rules for Handling Power IRPs.
pub(in crate::io) fn send(
    kernel: &Kernel,
    thread: &Thread,
    node: &DevNode,
    sent: Request,
) -> Outcome<Answered> {
    // Before: IRP_MN_REMOVE_DEVICE leaves nothing to ask afterwards.
    let devices = stack(node.physical)?;
    let names: Vec<_> = devices.iter().map(|device| (*device, driver_of(kernel, *device))).collect();
    let before = node.times_reached();
    let ended = exchange(kernel, thread, node.physical, sent)?;
    let Some((answered, last)) = ended else {
        return Ok(Answered { status: abi::STATUS_INSUFFICIENT_RESOURCES, information: 0 });
    };
    if node.times_reached() == before && !may_end_above(sent, answered.status) {
        let named = names.iter().find(|(device, _)| *device == last).or(names.last());
        let driver = named.map(|(_, name)| name.clone()).unwrap_or_default();
        let instance = || node.instance.clone();
        let Request { major, minor, .. } = sent;
        kernel.trace.emit(|| Event::NotPassedDown { instance: instance(), major, minor, driver });
    }
    Ok(answered)
}

fn driver_of(kernel: &Kernel, device: DeviceObject) -> String {
    let driver = device.driver_object().map(DriverObject::at);
    driver.map(|driver| kernel.io.service_name(driver::id_of(driver))).unwrap_or_default()
}

/// Whether a driver above the bus's may answer this itself: only to refuse it.
fn may_end_above(sent: Request, status: NTSTATUS) -> bool {
    let may_refuse = match sent.major {
        abi::IRP_MJ_PNP => !matches!(
            sent.minor,
            abi::IRP_MN_STOP_DEVICE
                | abi::IRP_MN_CANCEL_STOP_DEVICE
                | abi::IRP_MN_CANCEL_REMOVE_DEVICE
                | abi::IRP_MN_REMOVE_DEVICE
                | abi::IRP_MN_SURPRISE_REMOVAL
        ),
        abi::IRP_MJ_POWER => sent.minor != abi::IRP_MN_SET_POWER,
        _ => return true,
    };
    may_refuse && !status.is_success()
}

/// Sends a request to the top of the stack that `physical` is in, and waits for its end: the answer, and the device whose driver the
/// request came to last. `None` without memory. As [`send`].
///
/// # Errors
/// As for [`send`].
pub(in crate::io) fn exchange(
    kernel: &Kernel,
    thread: &Thread,
    physical: DeviceObject,
    sent: Request,
) -> Outcome<Option<(Answered, DeviceObject)>> {
    let Some(block) = kernel.mm.pool.allocate_zeroed(64, TAG, PoolOwner::default()) else { return Ok(None) };
    let event = DispatcherHeader::at(block.address);
    kernel.ke.initialize_event(event, abi::NotificationEvent, false)?;
    let top = attach::attached_device_reference(kernel, physical)?;
    let kind = Kind::Awaited { event: event.address() };
    let made = if top.is_null() {
        None
    } else {
        irp::allocate_for(kernel, 0, top.stack_size()?.max(1), kind, 0, None)?
    };
    let ended = match made {
        Some(irp) => {
            let ended = carry_out(kernel, thread, top, irp, event, sent);
            Some(ended.inspect_err(|unwind| {
                request::abandoned(kernel, irp, unwind);
            })?)
        }
        None => None,
    };
    if !top.is_null()
        && let Some(object) = kernel.ob.by_address(top.address())
    {
        object.dereference(kernel);
    }
    let Some(Ended { answered, last, released }) = ended else {
        kernel.mm.pool.free(block.address).ok();
        return Ok(None);
    };
    if released {
        kernel.mm.pool.free(block.address).ok();
    }
    Ok(Some((answered, last)))
}

struct Ended {
    answered: Answered,
    last: DeviceObject,
    /// Whether drivers are done with the request; one that forgot it may still come back to it.
    released: bool,
}

fn carry_out(
    kernel: &Kernel,
    thread: &Thread,
    top: DeviceObject,
    irp: Irp,
    event: DispatcherHeader,
    sent: Request,
) -> Outcome<Ended> {
    irp.set_thread(thread.object())?;
    irp.set_status(abi::STATUS_NOT_SUPPORTED.bits())?;
    let next = irp.current_stack_location()?.wrapping_sub(IoStackLocation::SIZE as u64);
    let location = IoStackLocation::at(next);
    location.set_major_function(sent.major)?;
    location.set_minor_function(sent.minor)?;
    for (index, parameter) in (0..).zip(sent.parameters) {
        location.set_parameter(index, parameter)?;
    }
    kernel.trace.emit(|| request::created(kernel, irp, top));
    let returned = dispatch::call_driver(kernel, top, irp)?;
    kernel.ke.leave_system_service(kernel, thread, irp.address())?;
    if returned == abi::STATUS_PENDING {
        let (address, never) = (event.address(), Timeout::Never);
        kernel.ke.wait_for_single_object(kernel, thread, address, ProcessorMode::Kernel, false, never)?;
    } else if kernel.ke.read_state_event(event)? == 0 {
        kernel.trace.emit(|| request::forgotten(irp, top));
        let answered = Answered { status: returned, information: 0 };
        return Ok(Ended { answered, last: top, released: false });
    }
    let status = if returned == abi::STATUS_PENDING { NTSTATUS::from_bits(irp.status()?) } else { returned };
    let information = if status.is_error() { 0 } else { irp.information()? };
    let last = last_device(irp)?;
    irp::free_awaited(kernel, irp)?;
    Ok(Ended { answered: Answered { status, information }, last, released: true })
}

/// The device that a request came to last: that of its lowest location in use.
fn last_device(irp: Irp) -> Outcome<DeviceObject> {
    for index in 0..u64::from(irp.stack_count()?) {
        let at = irp.address() + Irp::SIZE as u64 + index * IoStackLocation::SIZE as u64;
        let device = IoStackLocation::at(at).device_object()?;
        if device != 0 {
            return Ok(DeviceObject::at(device));
        }
    }
    Ok(DeviceObject::at(0))
}

/// Keeps the driver's name at hand for reports after its device is gone.
pub(super) fn drivers(kernel: &Kernel, devices: &[DeviceObject]) -> Vec<Arc<crate::io::Driver>> {
    let drivers = devices.iter().filter_map(|device| kernel.io.driver_at(device.driver_object().ok()?));
    drivers.collect()
}
