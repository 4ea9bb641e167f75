//! The root bus: the Plug and Play manager's own driver, whose physical device objects are the root-enumerated devices.
//!
//! A bus driver answers for what it knows of its devices and leaves the status of all other requests as it is.
//!
//! Source: kernel, PnP Minor IRPs ("Bus drivers must handle"), Rules for Handling Power IRPs.

use std::mem::offset_of;

use abi::NTSTATUS;

use super::{DevNode, TAG};
use crate::Kernel;
use crate::io::{complete_request, device, dispatch};
use crate::mm::PoolOwner;
use crate::raw::{self, DeviceObject, IoStackLocation, Irp, Outcome};

/// How a request ends: a status with `Information`, or as it came.
enum Answer {
    Is(NTSTATUS, u64),
    /// With success; `Information` stays what drivers above have put there.
    Kept,
    Unchanged,
}

/// The dispatch routine of the root bus, for all major functions. IRQL <= DISPATCH_LEVEL for power, else PASSIVE_LEVEL.
///
/// # Errors
/// An access violation in the request.
pub(in crate::io) fn dispatch(kernel: &Kernel, device: DeviceObject, irp: Irp) -> Outcome<NTSTATUS> {
    let location = IoStackLocation::at(irp.current_stack_location()?);
    let (major, minor) = (location.major_function()?, location.minor_function()?);
    let Some(node) = kernel.io.pnp.node_of(device) else {
        return unknown(kernel, irp, major);
    };
    let answer = match major {
        abi::IRP_MJ_PNP => {
            node.note_reached();
            plug_and_play(kernel, &node, location, minor)?
        }
        abi::IRP_MJ_POWER => {
            node.note_reached();
            match minor {
                abi::IRP_MN_SET_POWER | abi::IRP_MN_QUERY_POWER => Answer::Is(abi::STATUS_SUCCESS, 0),
                _ => Answer::Unchanged,
            }
        }
        abi::IRP_MJ_SYSTEM_CONTROL => Answer::Unchanged,
        _ => return dispatch::invalid_device_request(kernel, irp),
    };
    end(kernel, irp, &answer)
}

/// A physical device that is no node's yet, or any more: it is being made, or is gone.
fn unknown(kernel: &Kernel, irp: Irp, major: u8) -> Outcome<NTSTATUS> {
    match major {
        abi::IRP_MJ_PNP | abi::IRP_MJ_POWER => end(kernel, irp, &Answer::Is(abi::STATUS_NO_SUCH_DEVICE, 0)),
        abi::IRP_MJ_SYSTEM_CONTROL => end(kernel, irp, &Answer::Unchanged),
        _ => dispatch::invalid_device_request(kernel, irp),
    }
}

fn end(kernel: &Kernel, irp: Irp, answer: &Answer) -> Outcome<NTSTATUS> {
    let status = match *answer {
        Answer::Is(status, information) => {
            irp.set_status(status.bits())?;
            irp.set_information(information)?;
            status
        }
        Answer::Kept => {
            irp.set_status(abi::STATUS_SUCCESS.bits())?;
            abi::STATUS_SUCCESS
        }
        Answer::Unchanged => match NTSTATUS::from_bits(irp.status()?) {
            // No answer.
            abi::STATUS_PENDING => {
                irp.set_status(abi::STATUS_UNSUCCESSFUL.bits())?;
                abi::STATUS_UNSUCCESSFUL
            }
            status => status,
        },
    };
    complete_request(kernel, irp, 0)?;
    Ok(status)
}

fn plug_and_play(kernel: &Kernel, node: &DevNode, location: IoStackLocation, minor: u8) -> Outcome<Answer> {
    let done = Answer::Is(abi::STATUS_SUCCESS, 0);
    Ok(match minor {
        abi::IRP_MN_START_DEVICE
        | abi::IRP_MN_QUERY_STOP_DEVICE
        | abi::IRP_MN_STOP_DEVICE
        | abi::IRP_MN_CANCEL_STOP_DEVICE
        | abi::IRP_MN_QUERY_REMOVE_DEVICE
        | abi::IRP_MN_CANCEL_REMOVE_DEVICE
        | abi::IRP_MN_SURPRISE_REMOVAL
        | abi::IRP_MN_EJECT => done,
        abi::IRP_MN_REMOVE_DEVICE => {
            // A device that the bus still has keeps its physical device object.
            if !node.is_present() {
                device::delete_device(kernel, node.physical)?;
            }
            done
        }
        abi::IRP_MN_QUERY_PNP_DEVICE_STATE => Answer::Kept,
        abi::IRP_MN_QUERY_CAPABILITIES => capabilities(location.parameter(0)?)?,
        abi::IRP_MN_QUERY_ID => identifier(kernel, node, location.parameter(0)?)?,
        abi::IRP_MN_QUERY_DEVICE_TEXT if low(location.parameter(0)?) == abi::DeviceTextDescription => {
            text(kernel, &[&node.service])?
        }
        abi::IRP_MN_QUERY_DEVICE_RELATIONS if low(location.parameter(0)?) == abi::TargetDeviceRelation => {
            target_relation(kernel, node)?
        }
        _ => Answer::Unchanged,
    })
}

/// An enumeration stands in the lower half of its word.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn low(word: u64) -> i32 {
    (word as u32).cast_signed()
}

/// Fills a DEVICE_CAPABILITIES: working in D0 when the system works, in D3 else; it can be removed and surprise-removed
/// by nobody but the machine's owner.
fn capabilities(address: u64) -> Outcome<Answer> {
    let states = address + offset_of!(abi::DEVICE_CAPABILITIES, DeviceState) as u64;
    let by_system_state = [
        abi::PowerDeviceUnspecified,
        abi::PowerDeviceD0,
        abi::PowerDeviceD3,
        abi::PowerDeviceD3,
        abi::PowerDeviceD3,
        abi::PowerDeviceD3,
        abi::PowerDeviceD3,
    ];
    for (index, state) in (0..).zip(by_system_state) {
        raw::write(states + index * 4, state.cast_unsigned())?;
    }
    Ok(Answer::Is(abi::STATUS_SUCCESS, 0))
}

fn identifier(kernel: &Kernel, node: &DevNode, which: u64) -> Outcome<Answer> {
    match low(which) {
        abi::BusQueryDeviceID => text(kernel, &[node.device_id()]),
        abi::BusQueryInstanceID => text(kernel, &[node.instance_id()]),
        // A list: it ends with an empty string.
        abi::BusQueryHardwareIDs => text(kernel, &[node.device_id(), ""]),
        _ => Ok(Answer::Unchanged),
    }
}

/// Strings in paged pool, one behind the other, that whoever asked frees.
fn text(kernel: &Kernel, strings: &[&str]) -> Outcome<Answer> {
    let units: Vec<u16> = strings.iter().flat_map(|text| text.encode_utf16().chain([0])).collect();
    let Some(block) = kernel.mm.pool.allocate(units.len() * 2, TAG, PoolOwner::default(), true) else {
        return Ok(Answer::Is(abi::STATUS_INSUFFICIENT_RESOURCES, 0));
    };
    raw::copy_wide(block.address, &units)?;
    Ok(Answer::Is(abi::STATUS_SUCCESS, block.address))
}

/// A DEVICE_RELATIONS of the physical device itself, referenced, that whoever asked frees.
fn target_relation(kernel: &Kernel, node: &DevNode) -> Outcome<Answer> {
    let object = kernel.ob.by_address(node.physical.address()).filter(|object| object.try_reference());
    let Some(object) = object else { return Ok(Answer::Is(abi::STATUS_NO_SUCH_DEVICE, 0)) };
    let size = size_of::<abi::DEVICE_RELATIONS>();
    let Some(block) = kernel.mm.pool.allocate(size, TAG, PoolOwner::default(), true) else {
        object.dereference(kernel);
        return Ok(Answer::Is(abi::STATUS_INSUFFICIENT_RESOURCES, 0));
    };
    raw::write(block.address, 1_u64)?;
    let objects = block.address + offset_of!(abi::DEVICE_RELATIONS, Objects) as u64;
    raw::write(objects, node.physical.address())?;
    Ok(Answer::Is(abi::STATUS_SUCCESS, block.address))
}
