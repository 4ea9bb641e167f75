//! A device comes: a physical device object of the root bus, and the calls of its drivers' AddDevice routines with it.

use std::sync::Arc;

use abi::NTSTATUS;

use super::{DevNode, DevNodeState, life, lock, root, stack};
use crate::cm::Value;
use crate::io::device::{self, DeviceParameters};
use crate::io::{self, BuiltIn, Driver, dispatch};
use crate::raw::{DeviceObject, DriverExtension};
use crate::{Kernel, Unwind, ps};

/// NT's name for the driver of devices that no bus has.
const PNP_MANAGER: &str = "PnpManager";

/// Why a device was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddDeviceError {
    /// No such driver is loaded (`STATUS_OBJECT_NAME_NOT_FOUND`), it has no AddDevice (`STATUS_INVALID_DEVICE_REQUEST`), it
    /// is unloading (`STATUS_DELETE_PENDING`), or the machine has no memory for the device or has stopped.
    Status(NTSTATUS),
    /// AddDevice returned an error. The device is gone again.
    AddDevice(NTSTATUS),
    /// AddDevice stopped the machine.
    Halted,
}

/// A device to be made, by the service names of its drivers, which are loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct AddDevice<'a> {
    /// The function driver.
    pub service: &'a str,
    /// Filter drivers above it, the lowest first: the value `UpperFilters` of the device's key.
    pub upper_filters: &'a [&'a str],
    /// Filter drivers below it, the lowest first: `LowerFilters`.
    pub lower_filters: &'a [&'a str],
}

/// Makes a root-enumerated device and has its drivers attach to it: the lower filters, the function driver, the upper
/// filters, each by its AddDevice, in the system process at PASSIVE_LEVEL. It is not started. The filters are those that the
/// device's key in the registry names; `wanted` is written there first.
///
/// # Errors
/// See [`AddDeviceError`]. What was attached before gets IRP_MN_REMOVE_DEVICE.
///
/// Source: kernel, Adding a PnP Device to a Running System, Writing an AddDevice Routine; ddi, DRIVER_ADD_DEVICE.
pub fn add_device(kernel: &Kernel, wanted: &AddDevice<'_>) -> Result<Arc<DevNode>, AddDeviceError> {
    if kernel.is_halted() {
        return Err(AddDeviceError::Status(abi::STATUS_DEVICE_NOT_CONNECTED));
    }
    // Before anything is made for them.
    let names = wanted.lower_filters.iter().chain([&wanted.service]).chain(wanted.upper_filters);
    for name in names {
        routine_of(kernel, name).map_err(AddDeviceError::Status)?;
    }
    let manager = root_bus(kernel).map_err(AddDeviceError::Status)?;
    let physical = make_physical_device(kernel, &manager).map_err(AddDeviceError::Status)?;
    let node = match make_node(kernel, wanted, physical) {
        Ok(node) => node,
        Err(status) => {
            device::delete_device(kernel, physical).map_err(|_| AddDeviceError::Halted)?;
            return Err(AddDeviceError::Status(status));
        }
    };
    let lower = filters(kernel, &node, "LowerFilters");
    let upper = filters(kernel, &node, "UpperFilters");
    for name in lower.iter().chain([&node.service]).chain(&upper) {
        if let Err(error) = call(kernel, name, physical) {
            undo(kernel, &node)?;
            return Err(error);
        }
    }
    Ok(node)
}

/// A driver and its AddDevice.
fn routine_of(kernel: &Kernel, service: &str) -> Result<(Arc<Driver>, u64), NTSTATUS> {
    let driver = kernel.io.driver(service).ok_or(abi::STATUS_OBJECT_NAME_NOT_FOUND)?;
    if driver.is_unloading() {
        return Err(abi::STATUS_DELETE_PENDING);
    }
    let extension = driver.object.driver_extension().map(DriverExtension::at);
    let routine = extension.and_then(DriverExtension::add_device).unwrap_or(0);
    if routine == 0 { Err(abi::STATUS_INVALID_DEVICE_REQUEST) } else { Ok((driver, routine)) }
}

fn call(kernel: &Kernel, service: &str, physical: DeviceObject) -> Result<(), AddDeviceError> {
    let (driver, routine) = routine_of(kernel, service).map_err(AddDeviceError::Status)?;
    let arguments = [driver.object.address(), physical.address()];
    let system = kernel.ps.system().clone();
    let returned = ps::inside(kernel, &system, |thread| {
        let value = dispatch::as_owner(driver.id, || kernel.ke.call(kernel, routine, &arguments))?;
        kernel.ke.leave_system_service(kernel, thread, routine).map(|()| value)
    });
    let status = match returned {
        Ok(Ok(value)) => NTSTATUS::from_bits(dispatch::low_half(value)),
        Ok(Err(Unwind::Exit(status))) => status,
        Ok(Err(_)) => return Err(AddDeviceError::Halted),
        Err(status) => return Err(AddDeviceError::Status(status)),
    };
    if status.is_success() { Ok(()) } else { Err(AddDeviceError::AddDevice(status)) }
}

/// Takes a device away again that a driver has refused.
fn undo(kernel: &Kernel, node: &Arc<DevNode>) -> Result<(), AddDeviceError> {
    let attached = stack(node.physical).map_err(|_| AddDeviceError::Halted)?.len() > 1;
    if attached {
        let removed = life::operate(kernel, &node.instance, life::PnpAction::Remove);
        return removed.map(drop).map_err(|_| AddDeviceError::Halted);
    }
    node.set_state(DevNodeState::Removed);
    forget(kernel, node);
    device::delete_device(kernel, node.physical).map_err(|_| AddDeviceError::Halted)?;
    node.release(kernel);
    Ok(())
}

/// Takes a node out of the machine's devices.
pub(super) fn forget(kernel: &Kernel, node: &DevNode) {
    lock(&kernel.io.pnp.nodes).retain(|other| other.physical != node.physical);
}

/// The driver of the root bus, made with the first device.
fn root_bus(kernel: &Kernel) -> Result<Arc<Driver>, NTSTATUS> {
    let mut made = kernel.io.pnp.root_bus.lock(&*kernel.platform);
    if let Some(manager) = &*made {
        return Ok(manager.clone());
    }
    // None of its requests waits, and it stands in no other driver's DriverUnload.
    let routines = BuiltIn { dispatch: root::dispatch, cancel: |_, _, _| Ok(()), unload: |_, _| Ok(()) };
    let (manager, _) = io::make_built_in(kernel, PNP_MANAGER, routines)?;
    *made = Some(manager.clone());
    Ok(manager)
}

fn make_physical_device(kernel: &Kernel, manager: &Arc<Driver>) -> Result<DeviceObject, NTSTATUS> {
    let parameters = DeviceParameters {
        device_type: abi::FILE_DEVICE_CONTROLLER,
        characteristics: abi::FILE_AUTOGENERATED_DEVICE_NAME,
        ..DeviceParameters::default()
    };
    let made = device::create_device(kernel, manager, &parameters);
    let device = made.map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)??;
    let flags = device.flags().map(|flags| flags & !abi::DO_DEVICE_INITIALIZING);
    let marked = flags.and_then(|flags| device.set_flags(flags | abi::DO_BUS_ENUMERATED_DEVICE));
    marked.map(|()| device).map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)
}

/// The device's node and its key, under the first instance number that is free.
fn make_node(
    kernel: &Kernel,
    wanted: &AddDevice<'_>,
    physical: DeviceObject,
) -> Result<Arc<DevNode>, NTSTATUS> {
    let device_id = format!(r"ROOT\{}", wanted.service.to_uppercase());
    let mut nodes = lock(&kernel.io.pnp.nodes);
    let taken = |instance: &str| nodes.iter().any(|node| node.instance.eq_ignore_ascii_case(instance));
    let mut instances = (0..10_000).map(|number| format!(r"{device_id}\{number:04}"));
    let instance = instances.find(|instance| !taken(instance)).ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?;
    let node = DevNode::new(kernel, instance, wanted.service.to_owned(), physical)?;
    let described = describe(kernel, &node, wanted);
    if let Err(status) = described {
        node.release(kernel);
        return Err(status);
    }
    nodes.push(node.clone());
    Ok(node)
}

fn describe(kernel: &Kernel, node: &DevNode, wanted: &AddDevice<'_>) -> Result<(), NTSTATUS> {
    let (cm, key) = (&kernel.cm, node.key_path());
    cm.create_key(&key)?;
    cm.set_value(&key, "Service", Value::string(&node.service))?;
    cm.set_value(&key, "DeviceDesc", Value::string(&node.service))?;
    cm.set_value(&key, "HardwareID", Value::multi_string(&[node.device_id()]))?;
    for (name, filters) in [("UpperFilters", wanted.upper_filters), ("LowerFilters", wanted.lower_filters)] {
        // What somebody else has written there stays.
        if !filters.is_empty() {
            cm.set_value(&key, name, Value::multi_string(filters))?;
        }
    }
    Ok(())
}

/// Service names in a value of the device's key.
fn filters(kernel: &Kernel, node: &DevNode, value: &str) -> Vec<String> {
    let value = kernel.cm.value(&node.key_path(), value);
    value.map(|value| value.strings()).unwrap_or_default()
}
