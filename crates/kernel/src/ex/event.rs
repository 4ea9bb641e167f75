//! Event objects: a KEVENT that handles and names can stand for.

use std::any::Any;
use std::sync::Arc;

use abi::NTSTATUS;

use crate::Kernel;
use crate::mm::PoolOwner;
use crate::ob::{self, Name, Object, ObjectBody, ObjectType};
use crate::ps::Process;
use crate::raw::DispatcherHeader;

/// Tag of event objects.
const TAG: u32 = u32::from_le_bytes(*b"Even");

/// What an event object's room keeps: nothing, its KEVENT says all.
#[derive(Debug)]
pub struct EventBody;

impl ObjectBody for EventBody {
    fn object_type(&self) -> ObjectType {
        ObjectType {
            name: "Event",
            parses: false,
            generic_mapping: [0x2_0001, 0x2_0002, 0x12_0000, abi::EVENT_ALL_ACCESS],
        }
    }

    fn delete(&self, kernel: &Kernel, object: &Object) {
        // What a driver did to it is reported with its own blocks.
        let _freed_by_driver = kernel.mm.pool.free(object.address);
    }

    fn waits_on(&self, object: &Object) -> Option<u64> {
        Some(object.address)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// An event of `event_type` (`NotificationEvent`, `SynchronizationEvent`), with its maker's reference.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`.
pub fn event_object(kernel: &Kernel, event_type: i32, state: bool) -> Result<Arc<Object>, NTSTATUS> {
    let block = kernel.mm.pool.allocate_zeroed(size_of::<abi::KEVENT>(), TAG, PoolOwner::default());
    let address = block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?.address;
    kernel
        .ke
        .initialize_event(DispatcherHeader::at(address), event_type, state)
        .map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    let object = Object::new(address, EventBody);
    kernel.ob.remember(&object);
    Ok(object)
}

/// What an application does to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventChange {
    /// `NtSetEvent`.
    Set,
    /// `NtResetEvent`.
    Reset,
    /// `NtPulseEvent`.
    Pulse,
}

/// `NtCreateEvent`: a handle of `process` to a new event, or with [`Name::open_if`] to the one that has the name (then true).
/// PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` for another `event_type` than the two; as for [`ob::create_named`].
pub fn create_event(
    kernel: &Kernel,
    process: &Process,
    name: Name<'_>,
    event_type: i32,
    state: bool,
) -> Result<(u32, bool), NTSTATUS> {
    if !matches!(event_type, abi::NotificationEvent | abi::SynchronizationEvent) {
        return Err(abi::STATUS_INVALID_PARAMETER);
    }
    let object = event_object(kernel, event_type, state)?;
    ob::create_named(kernel, process, &object, name)
}

/// `NtOpenEvent`: a handle of `process` to the event of a name. PASSIVE_LEVEL.
///
/// # Errors
/// As for [`ob::open_named`].
pub fn open_event(kernel: &Kernel, process: &Process, name: Name<'_>) -> Result<u32, NTSTATUS> {
    ob::open_named(kernel, process, EventBody.object_type().name, name)
}

/// `NtSetEvent` and its kin; returns the event's state before, nonzero if it was signaled. PASSIVE_LEVEL.
///
/// # Errors
/// As for [`ob::reference_own`], which asks for EVENT_MODIFY_STATE; `STATUS_ACCESS_VIOLATION` when a driver has freed the event.
pub fn change_event(
    kernel: &Kernel,
    process: &Process,
    handle: u32,
    change: EventChange,
) -> Result<i32, NTSTATUS> {
    let type_name = Some(EventBody.object_type().name);
    let object = ob::reference_own(process, handle, type_name, abi::EVENT_MODIFY_STATE)?;
    let event = DispatcherHeader::at(object.address);
    let increment = i32::from(abi::EVENT_INCREMENT);
    let changed = match change {
        EventChange::Set => kernel.ke.set_event(kernel, event, increment),
        EventChange::Reset => kernel.ke.reset_event(kernel, event),
        EventChange::Pulse => kernel.ke.pulse_event(kernel, event, increment),
    };
    object.dereference(kernel);
    changed.map_err(|_| abi::STATUS_ACCESS_VIOLATION)
}
