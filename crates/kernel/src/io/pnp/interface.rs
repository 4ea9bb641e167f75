//! Device interfaces: names that a device has for what it can do, by a class that applications know.
//!
//! A name is a symbolic link to the physical device, `\??\ROOT#NAME#0000#{class}`, that is there while the interface is
//! enabled; what stands behind it (a reference string) goes to the driver as the rest of the path.
//!
//! Source: kernel, Introduction to Device Interfaces; ddi, IoRegisterDeviceInterface, IoSetDeviceInterfaceState,
//! IoGetDeviceInterfaces.

use std::fmt::Write;

use abi::NTSTATUS;

use super::{lock, notification};
use crate::Kernel;
use crate::ob::{Object, SymbolicLink, eq_ignore_case};
use crate::raw::DeviceObject;

/// A class of interfaces: a GUID as it lies in memory.
pub(super) type Class = [u8; 16];

/// The registered interfaces of a machine.
#[derive(Debug, Default)]
pub struct DeviceInterfaces {
    all: Vec<Interface>,
}

#[derive(Clone, Debug)]
struct Interface {
    physical: DeviceObject,
    class: Class,
    /// The symbolic link.
    link: Vec<u16>,
    /// What follows it in the name: a backslash and the reference string, or nothing.
    reference: Vec<u16>,
    enabled: bool,
}

impl Interface {
    fn name(&self) -> Vec<u16> {
        [self.link.as_slice(), &self.reference].concat()
    }
}

/// Which interfaces are asked for.
#[derive(Clone, Copy, Debug)]
pub struct InterfaceQuery {
    /// The class, a GUID as it lies in memory.
    pub class: [u8; 16],
    /// Of this physical device alone; null for all.
    pub physical: DeviceObject,
    /// Also those that are not enabled.
    pub include_inactive: bool,
}

/// A class as text, with its braces.
fn text_of(class: &Class) -> String {
    let [a, b, c, d, e, f, g, h, rest @ ..] = class;
    let (first, second, third) =
        (u32::from_le_bytes([*a, *b, *c, *d]), u16::from_le_bytes([*e, *f]), u16::from_le_bytes([*g, *h]));
    let mut text = format!("{{{first:08x}-{second:04x}-{third:04x}-");
    for (index, byte) in rest.iter().enumerate() {
        if index == 2 {
            text.push('-');
        }
        let _infallible = write!(text, "{byte:02x}");
    }
    text.push('}');
    text
}

/// `IoRegisterDeviceInterface`: the symbolic link's name, also of an interface that was registered before. It is not
/// enabled yet. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_DEVICE_REQUEST` for what is no physical device object, and for a reference string with a separator.
pub fn register_device_interface(
    kernel: &Kernel,
    physical: DeviceObject,
    class: [u8; 16],
    reference: &[u16],
) -> Result<Vec<u16>, NTSTATUS> {
    let node = kernel.io.pnp.node_of(physical).ok_or(abi::STATUS_INVALID_DEVICE_REQUEST)?;
    if reference.iter().any(|unit| [u16::from(b'\\'), u16::from(b'/')].contains(unit)) {
        return Err(abi::STATUS_INVALID_DEVICE_REQUEST);
    }
    let link = format!(r"\??\{}#{}", node.instance.replace('\\', "#"), text_of(&class));
    let link: Vec<u16> = link.encode_utf16().collect();
    let separator = (!reference.is_empty()).then_some(u16::from(b'\\'));
    let reference: Vec<u16> = separator.into_iter().chain(reference.iter().copied()).collect();
    let new = Interface { physical, class, link, reference, enabled: false };
    let name = new.name();
    let key = key_path(&new);
    {
        let mut interfaces = lock(&kernel.io.pnp.interfaces);
        if !interfaces.all.iter().any(|known| eq_ignore_case(&known.name(), &name)) {
            interfaces.all.push(new);
        }
    }
    kernel.cm.create_key(&key)?;
    kernel.cm.set_value(&key, "DeviceInstance", crate::cm::Value::string(&node.instance))?;
    Ok(name)
}

/// Where the registry describes an interface.
fn key_path(interface: &Interface) -> String {
    const CLASSES: &str = r"\Registry\Machine\System\CurrentControlSet\Control\DeviceClasses";
    let link = String::from_utf16_lossy(&interface.link).replace('\\', "#");
    let reference = String::from_utf16_lossy(&interface.reference).replace('\\', "");
    format!(r"{CLASSES}\{}\#{}\#{reference}", text_of(&interface.class), &link[1..])
}

/// Path of the key that `IoOpenDeviceInterfaceRegistryKey` opens: for what is to be kept of an interface.
///
/// # Errors
/// `STATUS_OBJECT_NAME_NOT_FOUND` for a name that is no interface's.
pub fn interface_registry_path(kernel: &Kernel, name: &[u16]) -> Result<String, NTSTATUS> {
    let interfaces = lock(&kernel.io.pnp.interfaces);
    let found = interfaces.all.iter().find(|known| eq_ignore_case(&known.name(), name));
    let interface = found.ok_or(abi::STATUS_OBJECT_NAME_NOT_FOUND)?;
    Ok(format!(r"{}\Device Parameters", key_path(interface)))
}

/// `IoSetDeviceInterfaceState`: the symbolic link comes or goes, and who asked to be told is told later.
/// PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_OBJECT_NAME_NOT_FOUND` for a name that is no interface's, and to disable one that is not enabled.
/// `STATUS_OBJECT_NAME_EXISTS`, which is a success, to enable one that is.
pub fn set_device_interface_state(kernel: &Kernel, name: &[u16], enable: bool) -> Result<(), NTSTATUS> {
    let changed = {
        let mut interfaces = lock(&kernel.io.pnp.interfaces);
        let all = &mut interfaces.all;
        let index = all.iter().position(|known| eq_ignore_case(&known.name(), name));
        let index = index.ok_or(abi::STATUS_OBJECT_NAME_NOT_FOUND)?;
        match (all[index].enabled, enable) {
            (true, true) => return Err(abi::STATUS_OBJECT_NAME_EXISTS),
            (false, false) => return Err(abi::STATUS_OBJECT_NAME_NOT_FOUND),
            _ => {}
        }
        // Names that differ in their reference string share a link.
        let shared = |other: &Interface| other.enabled && eq_ignore_case(&other.link, &all[index].link);
        let others = all.iter().enumerate().any(|(number, other)| number != index && shared(other));
        if !others {
            change_link(kernel, &all[index], enable)?;
        }
        all[index].enabled = enable;
        all[index].clone()
    };
    notification::interface_changed(kernel, changed.class, &changed.name(), enable);
    Ok(())
}

fn change_link(kernel: &Kernel, interface: &Interface, enable: bool) -> Result<(), NTSTATUS> {
    if enable {
        let target = kernel.ob.by_address(interface.physical.address()).and_then(|object| object.path());
        let target = target.ok_or(abi::STATUS_INVALID_DEVICE_REQUEST)?.encode_utf16().collect();
        let link = Object::new(0, SymbolicLink { target });
        kernel.ob.insert(&interface.link, &link, true)?;
        // The namespace's reference is what keeps it now.
        link.dereference(kernel);
        return Ok(());
    }
    // A driver may have deleted it by its name.
    if let Ok(found) = kernel.ob.find(&interface.link, true)
        && found.object.body::<SymbolicLink>().is_some()
        && kernel.ob.remove_name(&found.object)
    {
        found.object.dereference(kernel);
    }
    Ok(())
}

/// Disables what is left enabled of a device that is removed.
pub(super) fn disable_all(kernel: &Kernel, physical: DeviceObject) {
    let enabled: Vec<_> = {
        let interfaces = lock(&kernel.io.pnp.interfaces);
        let own = interfaces.all.iter().filter(|known| known.physical == physical && known.enabled);
        own.map(Interface::name).collect()
    };
    for name in enabled {
        // The driver may be faster.
        let _disabled_meanwhile = set_device_interface_state(kernel, &name, false);
    }
}

/// Forgets the interfaces of a device that is gone; their keys stay.
pub(super) fn forget_all(kernel: &Kernel, physical: DeviceObject) {
    lock(&kernel.io.pnp.interfaces).all.retain(|known| known.physical != physical);
}

/// `IoGetDeviceInterfaces`: the names, in the order of registering.
#[must_use]
pub fn get_device_interfaces(kernel: &Kernel, query: &InterfaceQuery) -> Vec<Vec<u16>> {
    let interfaces = lock(&kernel.io.pnp.interfaces);
    let wanted = interfaces.all.iter().filter(|known| {
        known.class == query.class
            && (query.physical.is_null() || known.physical == query.physical)
            && (known.enabled || query.include_inactive)
    });
    wanted.map(Interface::name).collect()
}

/// All interfaces of a physical device: name, and whether it is enabled.
#[must_use]
pub fn device_interfaces(kernel: &Kernel, physical: DeviceObject) -> Vec<(String, bool)> {
    let interfaces = lock(&kernel.io.pnp.interfaces);
    let own = interfaces.all.iter().filter(|known| known.physical == physical);
    own.map(|known| (String::from_utf16_lossy(&known.name()), known.enabled)).collect()
}

/// All interfaces of a class that are enabled now, for those who have just asked to be told of new ones.
pub(super) fn enabled_of(kernel: &Kernel, class: Class) -> Vec<Vec<u16>> {
    get_device_interfaces(
        kernel,
        &InterfaceQuery { class, physical: DeviceObject::at(0), include_inactive: false },
    )
}
