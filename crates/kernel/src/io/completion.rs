//! `IofCompleteRequest`: an IRP goes back up its stack.

use abi::NTSTATUS;

use super::{irp, packet};
use crate::raw::{DeviceObject, IoStackLocation, Irp, Outcome};
use crate::trace::Event;
use crate::{Kernel, Unwind};

/// `IofCompleteRequest`: calls the completion routines above the current location, from the lowest up, and ends the
/// request when none of them keeps the IRP (STATUS_MORE_PROCESSING_REQUIRED). `boost` is an IO_*_INCREMENT.
/// IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// What a completion routine raised; [`Unwind::Halt`] after bugcheck 0x44 (MULTIPLE_IRP_COMPLETE_REQUESTS).
///
/// Source: ddi, IofCompleteRequest and IoSetCompletionRoutine; kernel, Constraints on Dispatch Routines.
#[inline]
pub fn complete_request(kernel: &Kernel, irp: Irp, boost: u8) -> Outcome<()> {
    let count = irp.stack_count()?;
    let mut current = irp.current_location()?;
    if current > count.wrapping_add(1) {
        return Err(completed_twice(kernel, irp));
    }
    kernel.trace.emit(|| Event::IrpCompleted {
        irp: irp.address(),
        status: NTSTATUS::from_bits(irp.status().unwrap_or_default()),
        information: irp.information().unwrap_or_default(),
        boost,
    });
    let mut location = IoStackLocation::at(irp.current_stack_location()?);
    if kernel.trace.is_watched() && irp.status()? == abi::STATUS_PENDING.bits() {
        completed_as_pending(kernel, irp, location);
    }
    let mut pending = false;
    while current <= count {
        let control = location.control()?;
        pending = control & abi::SL_PENDING_RETURNED != 0;
        current += 1;
        let above = IoStackLocation::at(location.address().wrapping_add(IoStackLocation::SIZE as u64));
        if is_invoked(control, irp)? {
            // Nobody but a routine sees the IRP on its way up.
            irp.set_pending_returned(u8::from(pending))?;
            irp.set_current_location(current)?;
            irp.set_current_stack_location(above.address())?;
            // The routine's device is the one whose driver set it: the location above; the topmost has none.
            let device =
                if current <= count { DeviceObject::at(above.device_object()?) } else { DeviceObject::at(0) };
            let routine = location.completion_routine()?;
            let context = location.context()?;
            let status = kernel.ke.call(kernel, routine, &[device.address(), irp.address(), context])?;
            if super::dispatch::low_half(status) == abi::STATUS_MORE_PROCESSING_REQUIRED.bits() {
                return Ok(());
            }
        } else if pending && current <= count {
            above.set_control(above.control()? | abi::SL_PENDING_RETURNED)?;
        }
        location = above;
    }
    // A filter may have kept it since a driver below pended it, and answer at once now.
    if pending || count > 1 {
        irp.set_pending_returned(u8::from(pending))?;
    }
    // One past the top now: a second completion finds it beyond.
    irp.set_current_location(count.wrapping_add(2))?;
    finish(kernel, irp, boost)
}

fn is_invoked(control: u8, irp: Irp) -> Outcome<bool> {
    const INVOKE: u8 = abi::SL_INVOKE_ON_SUCCESS | abi::SL_INVOKE_ON_ERROR | abi::SL_INVOKE_ON_CANCEL;
    if control & INVOKE == 0 {
        return Ok(false);
    }
    let success = NTSTATUS::from_bits(irp.status()?).is_success();
    let by_status = if success { abi::SL_INVOKE_ON_SUCCESS } else { abi::SL_INVOKE_ON_ERROR };
    let cancelled = irp.cancel()? != 0;
    Ok(control & by_status != 0 || (cancelled && control & abi::SL_INVOKE_ON_CANCEL != 0))
}

fn finish(kernel: &Kernel, irp: Irp, boost: u8) -> Outcome<()> {
    let completed = match packet::complete_innermost(kernel, irp) {
        Some(completed) => Some(completed),
        None => match kernel.io.packets.get(irp.address()) {
            Some(packet) => Some(packet.complete(kernel)?),
            None => None,
        },
    };
    match completed {
        Some(false) => Err(completed_twice(kernel, irp)),
        Some(true) => Ok(()),
        None => irp::complete(kernel, irp, boost),
    }
}

/// STATUS_PENDING is no final status. (Confirm: what NT's verifier says then; without it nobody does.)
#[cold]
fn completed_as_pending(kernel: &Kernel, irp: Irp, location: IoStackLocation) {
    let driver = location.device_object().map(|device| super::request::driver_name(DeviceObject::at(device)));
    let driver = driver.unwrap_or_default();
    kernel.trace.emit(|| Event::IrpCompletedAsPending { irp: irp.address(), driver });
}

#[cold]
fn completed_twice(kernel: &Kernel, irp: Irp) -> Unwind {
    kernel.bug_check(abi::MULTIPLE_IRP_COMPLETE_REQUESTS, [irp.address(), 0, 0, 0]);
    Unwind::Halt
}
