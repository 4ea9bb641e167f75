//! Event objects: a KEVENT that handles and names can stand for.

use std::any::Any;
use std::sync::Arc;

use abi::NTSTATUS;

use crate::Kernel;
use crate::mm::PoolOwner;
use crate::ob::{Object, ObjectBody, ObjectType};
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
