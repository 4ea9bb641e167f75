//! Plug and Play notifications, properties and registry keys of devices.

use crate::*;

/// What `IoRegisterPlugPlayNotification` is asked to tell of.
pub type IO_NOTIFICATION_EVENT_CATEGORY = i32;
pub const EventCategoryReserved: IO_NOTIFICATION_EVENT_CATEGORY = 0;
pub const EventCategoryHardwareProfileChange: IO_NOTIFICATION_EVENT_CATEGORY = 1;
pub const EventCategoryDeviceInterfaceChange: IO_NOTIFICATION_EVENT_CATEGORY = 2;
pub const EventCategoryTargetDeviceChange: IO_NOTIFICATION_EVENT_CATEGORY = 3;

/// Flag of `IoRegisterPlugPlayNotification`: interfaces that are enabled already are told of too.
pub const PNPNOTIFY_DEVICE_INTERFACE_INCLUDE_EXISTING_INTERFACES: u32 = 1;

/// What a callback for `EventCategoryDeviceInterfaceChange` gets.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DEVICE_INTERFACE_CHANGE_NOTIFICATION {
    pub Version: u16,
    pub Size: u16,
    pub Event: GUID,
    pub InterfaceClassGuid: GUID,
    pub SymbolicLinkName: *mut UNICODE_STRING,
}

/// An interface of the class has been enabled.
pub const GUID_DEVICE_INTERFACE_ARRIVAL: GUID = GUID {
    Data1: 0xCB3A_4004,
    Data2: 0x46F0,
    Data3: 0x11D0,
    Data4: [0xB0, 0x8F, 0, 0x60, 0x97, 0x13, 5, 0x3F],
};
/// An interface of the class has been disabled.
pub const GUID_DEVICE_INTERFACE_REMOVAL: GUID = GUID {
    Data1: 0xCB3A_4005,
    Data2: 0x46F0,
    Data3: 0x11D0,
    Data4: [0xB0, 0x8F, 0, 0x60, 0x97, 0x13, 5, 0x3F],
};

/// Flag of `IoGetDeviceInterfaces`: interfaces that are not enabled are listed too.
pub const DEVICE_INTERFACE_INCLUDE_NONACTIVE: u32 = 1;

/// Which property `IoGetDeviceProperty` is asked for.
pub type DEVICE_REGISTRY_PROPERTY = i32;
pub const DevicePropertyDeviceDescription: DEVICE_REGISTRY_PROPERTY = 0;
pub const DevicePropertyHardwareID: DEVICE_REGISTRY_PROPERTY = 1;
pub const DevicePropertyCompatibleIDs: DEVICE_REGISTRY_PROPERTY = 2;
pub const DevicePropertyBootConfiguration: DEVICE_REGISTRY_PROPERTY = 3;
pub const DevicePropertyBootConfigurationTranslated: DEVICE_REGISTRY_PROPERTY = 4;
pub const DevicePropertyClassName: DEVICE_REGISTRY_PROPERTY = 5;
pub const DevicePropertyClassGuid: DEVICE_REGISTRY_PROPERTY = 6;
pub const DevicePropertyDriverKeyName: DEVICE_REGISTRY_PROPERTY = 7;
pub const DevicePropertyManufacturer: DEVICE_REGISTRY_PROPERTY = 8;
pub const DevicePropertyFriendlyName: DEVICE_REGISTRY_PROPERTY = 9;
pub const DevicePropertyLocationInformation: DEVICE_REGISTRY_PROPERTY = 10;
pub const DevicePropertyPhysicalDeviceObjectName: DEVICE_REGISTRY_PROPERTY = 11;
pub const DevicePropertyBusTypeGuid: DEVICE_REGISTRY_PROPERTY = 12;
pub const DevicePropertyLegacyBusType: DEVICE_REGISTRY_PROPERTY = 13;
pub const DevicePropertyBusNumber: DEVICE_REGISTRY_PROPERTY = 14;
pub const DevicePropertyEnumeratorName: DEVICE_REGISTRY_PROPERTY = 15;
pub const DevicePropertyAddress: DEVICE_REGISTRY_PROPERTY = 16;
pub const DevicePropertyUINumber: DEVICE_REGISTRY_PROPERTY = 17;

/// `PNP_DEVICE_STATE`: what `IRP_MN_QUERY_PNP_DEVICE_STATE` answers.
pub const PNP_DEVICE_DISABLED: u32 = 0x1;
pub const PNP_DEVICE_DONT_DISPLAY_IN_UI: u32 = 0x2;
pub const PNP_DEVICE_FAILED: u32 = 0x4;
pub const PNP_DEVICE_REMOVED: u32 = 0x8;
pub const PNP_DEVICE_RESOURCE_REQUIREMENTS_CHANGED: u32 = 0x10;
pub const PNP_DEVICE_NOT_DISABLEABLE: u32 = 0x20;

/// `IoOpenDeviceRegistryKey`: the key of the device itself.
pub const PLUGPLAY_REGKEY_DEVICE: u32 = 1;
/// `IoOpenDeviceRegistryKey`: the key of the device's driver.
pub const PLUGPLAY_REGKEY_DRIVER: u32 = 2;
