//! Plug and Play and power structures that IRP parameters point to.

use core::ffi::c_void;

use crate::*;

/// What a device can do, as `IRP_MN_QUERY_CAPABILITIES` answers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DEVICE_CAPABILITIES {
    pub Size: u16,
    pub Version: u16,
    pub BitFields: u32,
    pub Address: u32,
    pub UINumber: u32,
    pub DeviceState: [DEVICE_POWER_STATE; 7],
    pub SystemWake: SYSTEM_POWER_STATE,
    pub DeviceWake: DEVICE_POWER_STATE,
    pub D1Latency: u32,
    pub D2Latency: u32,
    pub D3Latency: u32,
}

/// Head of every interface that `IRP_MN_QUERY_INTERFACE` fills in.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct INTERFACE {
    pub Size: u16,
    pub Version: u16,
    pub Context: *mut c_void,
    pub InterfaceReference: PINTERFACE_REFERENCE,
    pub InterfaceDereference: PINTERFACE_DEREFERENCE,
}

/// Resources of a device, one full descriptor a bus.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CM_RESOURCE_LIST {
    pub Count: u32,
    pub List: [CM_FULL_RESOURCE_DESCRIPTOR; 1],
}

/// Resources of a device on one bus.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CM_FULL_RESOURCE_DESCRIPTOR {
    pub InterfaceType: INTERFACE_TYPE,
    pub BusNumber: u32,
    pub PartialResourceList: CM_PARTIAL_RESOURCE_LIST,
}

/// A system or a device power state.
#[repr(C)]
#[derive(Clone, Copy)]
pub union POWER_STATE {
    pub SystemState: SYSTEM_POWER_STATE,
    pub DeviceState: DEVICE_POWER_STATE,
}

/// How often a device has entered each power state.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct POWER_SEQUENCE {
    pub SequenceD1: u32,
    pub SequenceD2: u32,
    pub SequenceD3: u32,
}

/// Where a system power request comes from; reserved for the system.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SYSTEM_POWER_STATE_CONTEXT {
    pub ContextAsUlong: u32,
}

/// The answer to `IRP_MN_QUERY_DEVICE_RELATIONS`; `Count` referenced objects.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DEVICE_RELATIONS {
    pub Count: u32,
    pub Objects: [*mut DEVICE_OBJECT; 1],
}

/// Which bus a child device is on.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PNP_BUS_INFORMATION {
    pub BusTypeGuid: GUID,
    pub LegacyBusType: INTERFACE_TYPE,
    pub BusNumber: u32,
}

/// Takes a reference on an interface.
pub type PINTERFACE_REFERENCE = Option<unsafe extern "win64" fn(*mut c_void)>;

/// Releases a reference on an interface.
pub type PINTERFACE_DEREFERENCE = Option<unsafe extern "win64" fn(*mut c_void)>;

/// Kind of bus.
pub type INTERFACE_TYPE = i32;
pub const InterfaceTypeUndefined: INTERFACE_TYPE = -1;
pub const Internal: INTERFACE_TYPE = 0;
pub const Isa: INTERFACE_TYPE = 1;
pub const Eisa: INTERFACE_TYPE = 2;
pub const MicroChannel: INTERFACE_TYPE = 3;
pub const TurboChannel: INTERFACE_TYPE = 4;
pub const PCIBus: INTERFACE_TYPE = 5;
pub const VMEBus: INTERFACE_TYPE = 6;
pub const NuBus: INTERFACE_TYPE = 7;
pub const PCMCIABus: INTERFACE_TYPE = 8;
pub const CBus: INTERFACE_TYPE = 9;
pub const MPIBus: INTERFACE_TYPE = 10;
pub const MPSABus: INTERFACE_TYPE = 11;
pub const ProcessorInternal: INTERFACE_TYPE = 12;
pub const InternalPowerBus: INTERFACE_TYPE = 13;
pub const PNPISABus: INTERFACE_TYPE = 14;
pub const PNPBus: INTERFACE_TYPE = 15;
pub const Vmcs: INTERFACE_TYPE = 16;
pub const ACPIBus: INTERFACE_TYPE = 17;
pub const MaximumInterfaceType: INTERFACE_TYPE = 18;

/// Power state of the system.
pub type SYSTEM_POWER_STATE = i32;
pub const PowerSystemUnspecified: SYSTEM_POWER_STATE = 0;
pub const PowerSystemWorking: SYSTEM_POWER_STATE = 1;
pub const PowerSystemSleeping1: SYSTEM_POWER_STATE = 2;
pub const PowerSystemSleeping2: SYSTEM_POWER_STATE = 3;
pub const PowerSystemSleeping3: SYSTEM_POWER_STATE = 4;
pub const PowerSystemHibernate: SYSTEM_POWER_STATE = 5;
pub const PowerSystemShutdown: SYSTEM_POWER_STATE = 6;
pub const PowerSystemMaximum: SYSTEM_POWER_STATE = 7;

/// Power state of a device.
pub type DEVICE_POWER_STATE = i32;
pub const PowerDeviceUnspecified: DEVICE_POWER_STATE = 0;
pub const PowerDeviceD0: DEVICE_POWER_STATE = 1;
pub const PowerDeviceD1: DEVICE_POWER_STATE = 2;
pub const PowerDeviceD2: DEVICE_POWER_STATE = 3;
pub const PowerDeviceD3: DEVICE_POWER_STATE = 4;
pub const PowerDeviceMaximum: DEVICE_POWER_STATE = 5;

/// Whether a power state is the system's or a device's.
pub type POWER_STATE_TYPE = i32;
pub const SystemPowerState: POWER_STATE_TYPE = 0;
pub const DevicePowerState: POWER_STATE_TYPE = 1;

/// Which relations of a device are asked for.
pub type DEVICE_RELATION_TYPE = i32;
pub const BusRelations: DEVICE_RELATION_TYPE = 0;
pub const EjectionRelations: DEVICE_RELATION_TYPE = 1;
pub const PowerRelations: DEVICE_RELATION_TYPE = 2;
pub const RemovalRelations: DEVICE_RELATION_TYPE = 3;
pub const TargetDeviceRelation: DEVICE_RELATION_TYPE = 4;
pub const SingleBusRelations: DEVICE_RELATION_TYPE = 5;
pub const TransportRelations: DEVICE_RELATION_TYPE = 6;

/// Which identifier of a device is asked for.
pub type BUS_QUERY_ID_TYPE = i32;
pub const BusQueryDeviceID: BUS_QUERY_ID_TYPE = 0;
pub const BusQueryHardwareIDs: BUS_QUERY_ID_TYPE = 1;
pub const BusQueryCompatibleIDs: BUS_QUERY_ID_TYPE = 2;
pub const BusQueryInstanceID: BUS_QUERY_ID_TYPE = 3;
pub const BusQueryDeviceSerialNumber: BUS_QUERY_ID_TYPE = 4;
pub const BusQueryContainerID: BUS_QUERY_ID_TYPE = 5;

/// Which description of a device is asked for.
pub type DEVICE_TEXT_TYPE = i32;
pub const DeviceTextDescription: DEVICE_TEXT_TYPE = 0;
pub const DeviceTextLocationInformation: DEVICE_TEXT_TYPE = 1;

/// Which special file a device will carry.
pub type DEVICE_USAGE_NOTIFICATION_TYPE = i32;
pub const DeviceUsageTypeUndefined: DEVICE_USAGE_NOTIFICATION_TYPE = 0;
pub const DeviceUsageTypePaging: DEVICE_USAGE_NOTIFICATION_TYPE = 1;
pub const DeviceUsageTypeHibernation: DEVICE_USAGE_NOTIFICATION_TYPE = 2;
pub const DeviceUsageTypeDumpFile: DEVICE_USAGE_NOTIFICATION_TYPE = 3;
pub const DeviceUsageTypeBoot: DEVICE_USAGE_NOTIFICATION_TYPE = 4;
pub const DeviceUsageTypePostDisplay: DEVICE_USAGE_NOTIFICATION_TYPE = 5;
pub const DeviceUsageTypeGuestAssigned: DEVICE_USAGE_NOTIFICATION_TYPE = 6;

/// The descriptors of one bus; `Count` of them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_LIST {
    pub Version: u16,
    pub Revision: u16,
    pub Count: u32,
    pub PartialDescriptors: [CM_PARTIAL_RESOURCE_DESCRIPTOR; 1],
}

/// `Generic` of [`CM_PARTIAL_RESOURCE_DESCRIPTOR_U`].
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_U_GENERIC {
    pub Start: PHYSICAL_ADDRESS,
    pub Length: u32,
}

/// `Port` of [`CM_PARTIAL_RESOURCE_DESCRIPTOR_U`].
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_U_PORT {
    pub Start: PHYSICAL_ADDRESS,
    pub Length: u32,
}

/// `Interrupt` of [`CM_PARTIAL_RESOURCE_DESCRIPTOR_U`].
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_U_INTERRUPT {
    pub Level: u32,
    pub Vector: u32,
    pub Affinity: usize,
}

/// `Raw` of [`CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MESSAGE_INTERRUPT_U`].
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MESSAGE_INTERRUPT_U_RAW {
    pub Reserved: u16,
    pub MessageCount: u16,
    pub Vector: u32,
    pub Affinity: usize,
}

/// `Translated` of [`CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MESSAGE_INTERRUPT_U`].
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MESSAGE_INTERRUPT_U_TRANSLATED {
    pub Level: u32,
    pub Vector: u32,
    pub Affinity: usize,
}

/// `u` of [`CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MESSAGE_INTERRUPT`].
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub union CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MESSAGE_INTERRUPT_U {
    pub Raw: CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MESSAGE_INTERRUPT_U_RAW,
    pub Translated: CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MESSAGE_INTERRUPT_U_TRANSLATED,
}

/// `MessageInterrupt` of [`CM_PARTIAL_RESOURCE_DESCRIPTOR_U`].
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MESSAGE_INTERRUPT {
    pub u: CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MESSAGE_INTERRUPT_U,
}

/// `Memory` of [`CM_PARTIAL_RESOURCE_DESCRIPTOR_U`].
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MEMORY {
    pub Start: PHYSICAL_ADDRESS,
    pub Length: u32,
}

/// `Dma` of [`CM_PARTIAL_RESOURCE_DESCRIPTOR_U`].
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_U_DMA {
    pub Channel: u32,
    pub Port: u32,
    pub Reserved1: u32,
}

/// `DevicePrivate` of [`CM_PARTIAL_RESOURCE_DESCRIPTOR_U`].
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_U_DEVICE_PRIVATE {
    pub Data: [u32; 3],
}

/// `BusNumber` of [`CM_PARTIAL_RESOURCE_DESCRIPTOR_U`].
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_U_BUS_NUMBER {
    pub Start: u32,
    pub Length: u32,
    pub Reserved: u32,
}

/// `DeviceSpecificData` of [`CM_PARTIAL_RESOURCE_DESCRIPTOR_U`].
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_U_DEVICE_SPECIFIC_DATA {
    pub DataSize: u32,
    pub Reserved1: u32,
    pub Reserved2: u32,
}

/// `Memory40` of [`CM_PARTIAL_RESOURCE_DESCRIPTOR_U`].
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MEMORY40 {
    pub Start: PHYSICAL_ADDRESS,
    pub Length40: u32,
}

/// `Memory48` of [`CM_PARTIAL_RESOURCE_DESCRIPTOR_U`].
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MEMORY48 {
    pub Start: PHYSICAL_ADDRESS,
    pub Length48: u32,
}

/// `Memory64` of [`CM_PARTIAL_RESOURCE_DESCRIPTOR_U`].
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MEMORY64 {
    pub Start: PHYSICAL_ADDRESS,
    pub Length64: u32,
}

/// `u` of [`CM_PARTIAL_RESOURCE_DESCRIPTOR`].
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub union CM_PARTIAL_RESOURCE_DESCRIPTOR_U {
    pub Generic: CM_PARTIAL_RESOURCE_DESCRIPTOR_U_GENERIC,
    pub Port: CM_PARTIAL_RESOURCE_DESCRIPTOR_U_PORT,
    pub Interrupt: CM_PARTIAL_RESOURCE_DESCRIPTOR_U_INTERRUPT,
    pub MessageInterrupt: CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MESSAGE_INTERRUPT,
    pub Memory: CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MEMORY,
    pub Dma: CM_PARTIAL_RESOURCE_DESCRIPTOR_U_DMA,
    pub DevicePrivate: CM_PARTIAL_RESOURCE_DESCRIPTOR_U_DEVICE_PRIVATE,
    pub BusNumber: CM_PARTIAL_RESOURCE_DESCRIPTOR_U_BUS_NUMBER,
    pub DeviceSpecificData: CM_PARTIAL_RESOURCE_DESCRIPTOR_U_DEVICE_SPECIFIC_DATA,
    pub Memory40: CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MEMORY40,
    pub Memory48: CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MEMORY48,
    pub Memory64: CM_PARTIAL_RESOURCE_DESCRIPTOR_U_MEMORY64,
}

/// One resource: a port range, memory range, interrupt or channel. Packed to four bytes.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR {
    pub Type: u8,
    pub ShareDisposition: u8,
    pub Flags: u16,
    pub u: CM_PARTIAL_RESOURCE_DESCRIPTOR_U,
}

/// Power action of a system power request.
pub type POWER_ACTION = i32;
pub const PowerActionNone: POWER_ACTION = 0;
pub const PowerActionReserved: POWER_ACTION = 1;
pub const PowerActionSleep: POWER_ACTION = 2;
pub const PowerActionHibernate: POWER_ACTION = 3;
pub const PowerActionShutdown: POWER_ACTION = 4;
pub const PowerActionShutdownReset: POWER_ACTION = 5;
pub const PowerActionShutdownOff: POWER_ACTION = 6;
pub const PowerActionWarmEject: POWER_ACTION = 7;
