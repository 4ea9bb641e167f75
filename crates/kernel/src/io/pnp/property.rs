//! What the Plug and Play manager knows of a device, for drivers that ask: properties, and the device's key.
//!
//! Source: ddi, IoGetDeviceProperty, IoOpenDeviceRegistryKey.

use abi::{DEVICE_REGISTRY_PROPERTY, NTSTATUS};

use super::DevNode;
use crate::Kernel;
use crate::raw::DeviceObject;

/// A property that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct PropertyQuery {
    /// The physical device.
    pub physical: DeviceObject,
    /// Which.
    pub property: DEVICE_REGISTRY_PROPERTY,
}

/// `IoGetDeviceProperty`: the property's bytes; strings are UTF-16 with their terminator. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_DEVICE_REQUEST` for what is no physical device object, `STATUS_OBJECT_NAME_NOT_FOUND` for a property
/// that the device does not have, `STATUS_INVALID_PARAMETER_2` for what is none.
pub fn device_property(kernel: &Kernel, query: &PropertyQuery) -> Result<Vec<u8>, NTSTATUS> {
    let node = kernel.io.pnp.node_of(query.physical).ok_or(abi::STATUS_INVALID_DEVICE_REQUEST)?;
    match query.property {
        abi::DevicePropertyDeviceDescription => stored(kernel, &node, "DeviceDesc"),
        abi::DevicePropertyHardwareID => stored(kernel, &node, "HardwareID"),
        abi::DevicePropertyCompatibleIDs => stored(kernel, &node, "CompatibleIDs"),
        abi::DevicePropertyClassName => stored(kernel, &node, "Class"),
        abi::DevicePropertyClassGuid => stored(kernel, &node, "ClassGUID"),
        abi::DevicePropertyDriverKeyName => stored(kernel, &node, "Driver"),
        abi::DevicePropertyManufacturer => stored(kernel, &node, "Mfg"),
        abi::DevicePropertyFriendlyName => stored(kernel, &node, "FriendlyName"),
        abi::DevicePropertyLocationInformation => stored(kernel, &node, "LocationInformation"),
        abi::DevicePropertyEnumeratorName => Ok(terminated("ROOT")),
        abi::DevicePropertyPhysicalDeviceObjectName => {
            let path = kernel.ob.by_address(query.physical.address()).and_then(|object| object.path());
            Ok(terminated(&path.unwrap_or_default()))
        }
        // Resources, and what a bus would say.
        abi::DevicePropertyBootConfiguration
        | abi::DevicePropertyBootConfigurationTranslated
        | abi::DevicePropertyBusTypeGuid
        | abi::DevicePropertyLegacyBusType
        | abi::DevicePropertyBusNumber
        | abi::DevicePropertyAddress
        | abi::DevicePropertyUINumber => Err(abi::STATUS_OBJECT_NAME_NOT_FOUND),
        _ => Err(abi::STATUS_INVALID_PARAMETER_2),
    }
}

fn stored(kernel: &Kernel, node: &DevNode, value: &str) -> Result<Vec<u8>, NTSTATUS> {
    Ok(kernel.cm.value(&node.key_path(), value)?.data)
}

fn terminated(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// Path of the key that `IoOpenDeviceRegistryKey` opens for `PLUGPLAY_REGKEY_DEVICE`; it exists.
///
/// # Errors
/// `STATUS_INVALID_DEVICE_REQUEST` for what is no physical device object.
pub fn device_registry_path(kernel: &Kernel, physical: DeviceObject) -> Result<String, NTSTATUS> {
    let node = kernel.io.pnp.node_of(physical).ok_or(abi::STATUS_INVALID_DEVICE_REQUEST)?;
    let path = format!(r"{}\Device Parameters", node.key_path());
    kernel.cm.create_key(&path)?;
    Ok(path)
}
