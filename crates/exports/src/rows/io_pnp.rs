//! `Io…`: Plug and Play. Device interfaces, notifications, properties and keys of devices.

use abi::NTSTATUS;
use kernel::Outcome;
use kernel::io::{self, InterfaceQuery, PropertyQuery};
use kernel::mm::PoolOwner;
use kernel::raw::{self, DeviceObject, UnicodeString};

use super::zw_key;
use crate::Call;
use crate::attributes::{self, Attributes};
use crate::call::status_of;
use crate::row::rows;

/// Tag of strings that drivers free.
const TAG: u32 = u32::from_le_bytes(*b"PnpS");

fn guid(address: u64) -> Outcome<[u8; 16]> {
    let mut bytes = [0; 16];
    raw::copy_from(&mut bytes, address)?;
    Ok(bytes)
}

/// Text with its terminator in paged pool of the calling driver, which frees it; `None` without memory.
fn give(call: Call<'_>, units: &[u16]) -> Outcome<Option<u64>> {
    let owner = PoolOwner(call.kernel.io.calling_driver().unwrap_or(0));
    let Some(block) = call.kernel.mm.pool.allocate(units.len() * 2, TAG, owner, true) else {
        return Ok(None);
    };
    raw::copy_wide(block.address, units)?;
    Ok(Some(block.address))
}

/// Opens a key that exists, or is made, for kernel code.
fn open_key(call: Call<'_>, path: &str, access: u32) -> Result<u64, NTSTATUS> {
    call.kernel.cm.create_key(path)?;
    let name = Some(path.encode_utf16().collect());
    let attributes = Attributes { name, attributes: abi::OBJ_KERNEL_HANDLE, ..Attributes::default() };
    Ok(zw_key::open_key(call, &attributes, access, None)?.0)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Registers a device interface; its name is given in paged pool, to be freed with RtlFreeUnicodeString.
    irql(PASSIVE_LEVEL)
    fn IoRegisterDeviceInterface(
        call,
        physical_device_object: u64,
        interface_class_guid: u64,
        reference_string: u64,
        symbolic_link_name: u64
    ) -> NTSTATUS {
        let reference = if reference_string == 0 { Vec::new() } else { call.string(reference_string)? };
        let class = guid(interface_class_guid)?;
        let physical = DeviceObject::at(physical_device_object);
        let mut name = match io::register_device_interface(call.kernel, physical, class, &reference) {
            Ok(name) => name,
            Err(status) => return Ok(status),
        };
        let Ok(length) = u16::try_from(name.len() * 2) else { return Ok(abi::STATUS_INVALID_DEVICE_REQUEST) };
        name.push(0);
        let Some(buffer) = give(call, &name)? else { return Ok(abi::STATUS_INSUFFICIENT_RESOURCES) };
        UnicodeString::at(symbolic_link_name).set(length, length.saturating_add(2), buffer)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Enables a device interface, or disables it.
    irql(PASSIVE_LEVEL)
    fn IoSetDeviceInterfaceState(call, symbolic_link_name: u64, enable: u8) -> NTSTATUS {
        let name = call.string(symbolic_link_name)?;
        Ok(status_of(io::set_device_interface_state(call.kernel, &name, enable != 0)))
    }

    /// Lists device interfaces of a class: a list of strings in paged pool, to be freed with ExFreePool.
    irql(PASSIVE_LEVEL)
    fn IoGetDeviceInterfaces(
        call,
        interface_class_guid: u64,
        physical_device_object: u64,
        flags: u32,
        symbolic_link_list: u64
    ) -> NTSTATUS {
        let query = InterfaceQuery {
            class: guid(interface_class_guid)?,
            physical: DeviceObject::at(physical_device_object),
            include_inactive: flags & abi::DEVICE_INTERFACE_INCLUDE_NONACTIVE != 0,
        };
        let names = io::get_device_interfaces(call.kernel, &query);
        let terminated = names.into_iter().flat_map(|name| name.into_iter().chain([0]));
        let list: Vec<u16> = terminated.chain([0]).collect();
        let Some(buffer) = give(call, &list)? else { return Ok(abi::STATUS_INSUFFICIENT_RESOURCES) };
        raw::write(symbolic_link_list, buffer)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Opens the key for what is to be kept of a device interface; a kernel handle.
    irql(PASSIVE_LEVEL)
    fn IoOpenDeviceInterfaceRegistryKey(
        call,
        symbolic_link_name: u64,
        desired_access: u32,
        device_interface_reg_key: u64
    ) -> NTSTATUS {
        let name = call.string(symbolic_link_name)?;
        let opened = io::interface_registry_path(call.kernel, &name)
            .and_then(|path| open_key(call, &path, desired_access));
        attributes::answer(device_interface_reg_key, opened)
    }

    /// Opens the key for what is to be kept of a device; a kernel handle. The key of its driver (PLUGPLAY_REGKEY_DRIVER) is
    /// not implemented.
    irql(PASSIVE_LEVEL) support(Partial)
    fn IoOpenDeviceRegistryKey(
        call,
        device_object: u64,
        dev_inst_key_type: u32,
        desired_access: u32,
        device_reg_key: u64
    ) -> NTSTATUS {
        match dev_inst_key_type {
            abi::PLUGPLAY_REGKEY_DEVICE => {}
            abi::PLUGPLAY_REGKEY_DRIVER => return Ok(abi::STATUS_NOT_IMPLEMENTED),
            _ => return Ok(abi::STATUS_INVALID_PARAMETER),
        }
        let opened = io::device_registry_path(call.kernel, DeviceObject::at(device_object))
            .and_then(|path| open_key(call, &path, desired_access));
        attributes::answer(device_reg_key, opened)
    }

    /// Gives a property of a device. Those of resources and of a bus no root-enumerated device has.
    irql(PASSIVE_LEVEL)
    fn IoGetDeviceProperty(
        call,
        device_object: u64,
        device_property: i32,
        buffer_length: u32,
        property_buffer: u64,
        result_length: u64
    ) -> NTSTATUS {
        let query =
            PropertyQuery { physical: DeviceObject::at(device_object), property: device_property };
        let bytes = match io::device_property(call.kernel, &query) {
            Ok(bytes) => bytes,
            Err(status) => return Ok(status),
        };
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        raw::write(result_length, length)?;
        if length > buffer_length {
            return Ok(abi::STATUS_BUFFER_TOO_SMALL);
        }
        raw::copy_to(property_buffer, &bytes)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Has a callback called when device interfaces of a class come and go. The other categories are not implemented.
    irql(PASSIVE_LEVEL) support(Partial)
    fn IoRegisterPlugPlayNotification(
        call,
        event_category: i32,
        event_category_flags: u32,
        event_category_data: u64,
        driver_object: u64,
        callback_routine: u64,
        context: u64,
        notification_entry: u64
    ) -> NTSTATUS {
        match event_category {
            abi::EventCategoryDeviceInterfaceChange => {}
            abi::EventCategoryHardwareProfileChange | abi::EventCategoryTargetDeviceChange => {
                return Ok(abi::STATUS_NOT_IMPLEMENTED);
            }
            _ => return Ok(abi::STATUS_INVALID_PARAMETER),
        }
        let class = guid(event_category_data)?;
        let existing = event_category_flags & abi::PNPNOTIFY_DEVICE_INTERFACE_INCLUDE_EXISTING_INTERFACES != 0;
        let routine = (callback_routine, context);
        match io::register_notification(call.kernel, driver_object, class, routine, existing) {
            Ok(entry) => {
                raw::write(notification_entry, entry)?;
                Ok(abi::STATUS_SUCCESS)
            }
            Err(status) => Ok(status),
        }
    }

    /// Ends a notification; its callback is not called any more.
    irql(PASSIVE_LEVEL)
    fn IoUnregisterPlugPlayNotification(call, notification_entry: u64) -> NTSTATUS {
        Ok(status_of(io::unregister_notification(call.kernel, notification_entry)))
    }

    /// Has the drivers of a device asked how it is.
    irql(DISPATCH_LEVEL)
    fn IoInvalidateDeviceState(call, physical_device_object: u64) -> () {
        io::invalidate_device_state(call.kernel, DeviceObject::at(physical_device_object));
        Ok(())
    }

    /// Has the drivers of a device asked for its children. They get no nodes; other relations are asked for when they are
    /// needed, which is never.
    irql(DISPATCH_LEVEL) support(Partial)
    fn IoInvalidateDeviceRelations(call, device_object: u64, relation_type: i32) -> () {
        if matches!(relation_type, abi::BusRelations | abi::SingleBusRelations) {
            io::invalidate_bus_relations(call.kernel, DeviceObject::at(device_object));
        }
        Ok(())
    }

    /// Has a device removed, if nobody is against it, and ejected.
    irql(DISPATCH_LEVEL)
    fn IoRequestDeviceEject(call, physical_device_object: u64) -> () {
        io::request_device_eject(call.kernel, DeviceObject::at(physical_device_object));
        Ok(())
    }
}
