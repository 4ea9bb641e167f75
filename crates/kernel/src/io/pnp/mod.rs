//! The Plug and Play manager: which devices there are, the requests that start, stop and remove them, and the interfaces
//! that applications find them by.
//!
//! A device is root-enumerated: no bus has it, it is there because the machine's owner says so. Its physical device object
//! is `root`'s, the manager's own bus driver. What happens to a device is `life`'s, one request after another: an
//! operation has the device's turn while drivers are called (the device tree's lock on NT), and nothing else waits for it.
//!
//! Left out: devices that function drivers report as children (`IRP_MN_QUERY_DEVICE_RELATIONS` is sent and its answer
//! released), resources, and the profiles of hardware.

mod add;
mod interface;
mod life;
mod node;
mod notification;
mod property;
mod root;
mod send;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;
use platform::scheduler::Lock;

use crate::Kernel;
use crate::raw::{DeviceObject, Outcome};

pub use add::{AddDevice, AddDeviceError, add_device};
pub use interface::{
    DeviceInterfaces, InterfaceQuery, device_interfaces, get_device_interfaces, interface_registry_path,
    register_device_interface, set_device_interface_state,
};
pub(super) use life::file_closed;
pub use life::{
    PnpAction, PnpAnswer, PnpReport, Veto, invalidate_bus_relations, invalidate_device_state, operate,
    pnp_minor_name, request_device_eject,
};
pub use node::{DevNode, DevNodeState};
pub(super) use notification::forget_driver;
pub use notification::{register_notification, unregister_notification};
pub use property::{PropertyQuery, device_property, device_registry_path};
pub(super) use send::{Request, exchange, send};

use super::{Device, Driver, device};

/// Tag of what the manager allocates.
const TAG: u32 = u32::from_le_bytes(*b"PnpM");

/// State of the Plug and Play manager.
#[derive(Debug)]
pub(crate) struct PnpManager {
    nodes: Mutex<Vec<Arc<DevNode>>>,
    interfaces: Mutex<DeviceInterfaces>,
    notifications: Mutex<notification::Notifications>,
    /// The driver of the root bus, made with the first device.
    root_bus: Lock<Option<Arc<Driver>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for PnpManager {
    fn default() -> Self {
        Self {
            nodes: Mutex::default(),
            interfaces: Mutex::default(),
            notifications: Mutex::default(),
            root_bus: Lock::new(None),
        }
    }
}

impl PnpManager {
    /// All devices, in the order in which they came.
    pub(super) fn nodes(&self) -> Vec<Arc<DevNode>> {
        lock(&self.nodes).clone()
    }

    fn node(&self, instance: &str) -> Option<Arc<DevNode>> {
        lock(&self.nodes).iter().find(|node| node.instance.eq_ignore_ascii_case(instance)).cloned()
    }

    /// The device whose physical device object this is.
    fn node_of(&self, physical: DeviceObject) -> Option<Arc<DevNode>> {
        lock(&self.nodes).iter().find(|node| node.physical == physical).cloned()
    }
}

impl super::IoManager {
    /// The devices of the machine, in the order in which they came.
    #[must_use]
    pub fn device_nodes(&self) -> Vec<Arc<DevNode>> {
        self.pnp.nodes()
    }
}

/// A device stack as it stands now, the physical device object first.
fn stack(physical: DeviceObject) -> Outcome<Vec<DeviceObject>> {
    let mut devices = vec![physical];
    let mut next = physical;
    while devices.len() < device::MAX_STACK {
        next = DeviceObject::at(next.attached_device()?);
        if next.is_null() {
            break;
        }
        devices.push(next);
    }
    Ok(devices)
}

/// Calls `each` with the I/O manager's records of the devices in a stack.
fn for_each_device(kernel: &Kernel, physical: DeviceObject, mut each: impl FnMut(&Device)) {
    for device in stack(physical).unwrap_or_default() {
        let object = kernel.ob.by_address(device.address());
        if let Some(device) = object.as_ref().and_then(|object| object.body::<Device>()) {
            each(device);
        }
    }
}

/// The status that a machine that has stopped has for everything.
const HALTED: NTSTATUS = abi::STATUS_DEVICE_NOT_CONNECTED;
