//! Device objects, volume parameter blocks and their flags.

use core::ffi::c_void;

use crate::*;

/// `Queue` of [`DEVICE_OBJECT`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union DEVICE_OBJECT_QUEUE {
    pub ListEntry: LIST_ENTRY,
    pub Wcb: WAIT_CONTEXT_BLOCK,
}

/// A logical, virtual or physical device of a driver; `StackSize` counts the locations that its IRPs need.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct DEVICE_OBJECT {
    pub Type: i16,
    pub Size: u16,
    pub ReferenceCount: i32,
    pub DriverObject: *mut DRIVER_OBJECT,
    pub NextDevice: *mut DEVICE_OBJECT,
    pub AttachedDevice: *mut DEVICE_OBJECT,
    pub CurrentIrp: *mut IRP,
    pub Timer: *mut IO_TIMER,
    pub Flags: u32,
    pub Characteristics: u32,
    pub Vpb: *mut VPB,
    pub DeviceExtension: *mut c_void,
    pub DeviceType: u32,
    pub StackSize: i8,
    pub Queue: DEVICE_OBJECT_QUEUE,
    pub AlignmentRequirement: u32,
    pub DeviceQueue: KDEVICE_QUEUE,
    pub Dpc: KDPC,
    pub ActiveThreadCount: u32,
    pub SecurityDescriptor: *mut c_void,
    pub DeviceLock: KEVENT,
    pub SectorSize: u16,
    pub Spare1: u16,
    pub DeviceObjectExtension: *mut DEVOBJ_EXTENSION,
    pub Reserved: *mut c_void,
}

/// The I/O manager's part of a device object, which drivers do not read.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DEVOBJ_EXTENSION {
    pub Type: i16,
    pub Size: u16,
    pub DeviceObject: *mut DEVICE_OBJECT,
}

/// A queued wait for an adapter or controller.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct WAIT_CONTEXT_BLOCK {
    pub WaitQueueEntry: KDEVICE_QUEUE_ENTRY,
    pub DeviceRoutine: DRIVER_CONTROL,
    pub DeviceContext: *mut c_void,
    pub NumberOfMapRegisters: u32,
    pub DeviceObject: *mut c_void,
    pub CurrentIrp: *mut c_void,
    pub BufferChainingDpc: *mut KDPC,
}

/// Ties a mounted volume's device object to the disk's.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VPB {
    pub Type: i16,
    pub Size: i16,
    pub Flags: u16,
    pub VolumeLabelLength: u16,
    pub DeviceObject: *mut DEVICE_OBJECT,
    pub RealDevice: *mut DEVICE_OBJECT,
    pub SerialNumber: u32,
    pub ReferenceCount: u32,
    pub VolumeLabel: [u16; 32],
}

/// Kind of device, one of `FILE_DEVICE_*`.
pub type DEVICE_TYPE = u32;

pub const DO_NOT_RETRY_PURGE: u32 = 0x2;
pub const DO_VERIFY_VOLUME: u32 = 0x2;
pub const DO_BUFFERED_IO: u32 = 0x4;
pub const DO_NOT_PURGE_DIRTY_PAGES: u32 = 0x4;
pub const DO_EXCLUSIVE: u32 = 0x8;
pub const DO_DIRECT_IO: u32 = 0x10;
pub const DO_MAP_IO_BUFFER: u32 = 0x20;
pub const DO_DEVICE_HAS_NAME: u32 = 0x40;
pub const DO_DEVICE_INITIALIZING: u32 = 0x80;
pub const DO_SYSTEM_BOOT_PARTITION: u32 = 0x100;
pub const DO_LONG_TERM_REQUESTS: u32 = 0x200;
pub const DO_NEVER_LAST_DEVICE: u32 = 0x400;
pub const DO_SHUTDOWN_REGISTERED: u32 = 0x800;
pub const DO_BUS_ENUMERATED_DEVICE: u32 = 0x1000;
pub const DO_POWER_PAGABLE: u32 = 0x2000;
pub const DO_POWER_INRUSH: u32 = 0x4000;
pub const DO_LOW_PRIORITY_FILESYSTEM: u32 = 0x10000;
pub const DO_SUPPORTS_TRANSACTIONS: u32 = 0x40000;
pub const DO_FORCE_NEITHER_IO: u32 = 0x80000;
pub const DO_VOLUME_DEVICE_OBJECT: u32 = 0x100000;
pub const DO_SYSTEM_SYSTEM_PARTITION: u32 = 0x200000;
pub const DO_SYSTEM_CRITICAL_PARTITION: u32 = 0x400000;
pub const DO_DISALLOW_EXECUTE: u32 = 0x800000;

pub const FILE_DEVICE_BEEP: u32 = 0x1;
pub const FILE_DEVICE_CD_ROM: u32 = 0x2;
pub const FILE_DEVICE_CD_ROM_FILE_SYSTEM: u32 = 0x3;
pub const FILE_DEVICE_CONTROLLER: u32 = 0x4;
pub const FILE_DEVICE_DATALINK: u32 = 0x5;
pub const FILE_DEVICE_DFS: u32 = 0x6;
pub const FILE_DEVICE_DISK: u32 = 0x7;
pub const FILE_DEVICE_DISK_FILE_SYSTEM: u32 = 0x8;
pub const FILE_DEVICE_FILE_SYSTEM: u32 = 0x9;
pub const FILE_DEVICE_INPORT_PORT: u32 = 0xa;
pub const FILE_DEVICE_KEYBOARD: u32 = 0xb;
pub const FILE_DEVICE_MAILSLOT: u32 = 0xc;
pub const FILE_DEVICE_MIDI_IN: u32 = 0xd;
pub const FILE_DEVICE_MIDI_OUT: u32 = 0xe;
pub const FILE_DEVICE_MOUSE: u32 = 0xf;
pub const FILE_DEVICE_MULTI_UNC_PROVIDER: u32 = 0x10;
pub const FILE_DEVICE_NAMED_PIPE: u32 = 0x11;
pub const FILE_DEVICE_NETWORK: u32 = 0x12;
pub const FILE_DEVICE_NETWORK_BROWSER: u32 = 0x13;
pub const FILE_DEVICE_NETWORK_FILE_SYSTEM: u32 = 0x14;
pub const FILE_DEVICE_NULL: u32 = 0x15;
pub const FILE_DEVICE_PARALLEL_PORT: u32 = 0x16;
pub const FILE_DEVICE_PHYSICAL_NETCARD: u32 = 0x17;
pub const FILE_DEVICE_PRINTER: u32 = 0x18;
pub const FILE_DEVICE_SCANNER: u32 = 0x19;
pub const FILE_DEVICE_SERIAL_MOUSE_PORT: u32 = 0x1a;
pub const FILE_DEVICE_SERIAL_PORT: u32 = 0x1b;
pub const FILE_DEVICE_SCREEN: u32 = 0x1c;
pub const FILE_DEVICE_SOUND: u32 = 0x1d;
pub const FILE_DEVICE_STREAMS: u32 = 0x1e;
pub const FILE_DEVICE_TAPE: u32 = 0x1f;
pub const FILE_DEVICE_TAPE_FILE_SYSTEM: u32 = 0x20;
pub const FILE_DEVICE_TRANSPORT: u32 = 0x21;
pub const FILE_DEVICE_UNKNOWN: u32 = 0x22;
pub const FILE_DEVICE_VIDEO: u32 = 0x23;
pub const FILE_DEVICE_VIRTUAL_DISK: u32 = 0x24;
pub const FILE_DEVICE_WAVE_IN: u32 = 0x25;
pub const FILE_DEVICE_WAVE_OUT: u32 = 0x26;
pub const FILE_DEVICE_8042_PORT: u32 = 0x27;
pub const FILE_DEVICE_NETWORK_REDIRECTOR: u32 = 0x28;
pub const FILE_DEVICE_BATTERY: u32 = 0x29;
pub const FILE_DEVICE_BUS_EXTENDER: u32 = 0x2a;
pub const FILE_DEVICE_MODEM: u32 = 0x2b;
pub const FILE_DEVICE_VDM: u32 = 0x2c;
pub const FILE_DEVICE_MASS_STORAGE: u32 = 0x2d;
pub const FILE_DEVICE_SMB: u32 = 0x2e;
pub const FILE_DEVICE_KS: u32 = 0x2f;
pub const FILE_DEVICE_CHANGER: u32 = 0x30;
pub const FILE_DEVICE_SMARTCARD: u32 = 0x31;
pub const FILE_DEVICE_ACPI: u32 = 0x32;
pub const FILE_DEVICE_DVD: u32 = 0x33;
pub const FILE_DEVICE_FULLSCREEN_VIDEO: u32 = 0x34;
pub const FILE_DEVICE_DFS_FILE_SYSTEM: u32 = 0x35;
pub const FILE_DEVICE_DFS_VOLUME: u32 = 0x36;
pub const FILE_DEVICE_SERENUM: u32 = 0x37;
pub const FILE_DEVICE_TERMSRV: u32 = 0x38;
pub const FILE_DEVICE_KSEC: u32 = 0x39;
pub const FILE_DEVICE_FIPS: u32 = 0x3a;
pub const FILE_DEVICE_INFINIBAND: u32 = 0x3b;
pub const FILE_DEVICE_VMBUS: u32 = 0x3e;
pub const FILE_DEVICE_CRYPT_PROVIDER: u32 = 0x3f;
pub const FILE_DEVICE_WPD: u32 = 0x40;
pub const FILE_DEVICE_BLUETOOTH: u32 = 0x41;
pub const FILE_DEVICE_MT_COMPOSITE: u32 = 0x42;
pub const FILE_DEVICE_MT_TRANSPORT: u32 = 0x43;
pub const FILE_DEVICE_BIOMETRIC: u32 = 0x44;
pub const FILE_DEVICE_PMI: u32 = 0x45;

// Device characteristics.
pub const FILE_REMOVABLE_MEDIA: u32 = 0x1;
pub const FILE_READ_ONLY_DEVICE: u32 = 0x2;
pub const FILE_FLOPPY_DISKETTE: u32 = 0x4;
pub const FILE_WRITE_ONCE_MEDIA: u32 = 0x8;
pub const FILE_REMOTE_DEVICE: u32 = 0x10;
pub const FILE_DEVICE_IS_MOUNTED: u32 = 0x20;
pub const FILE_VIRTUAL_VOLUME: u32 = 0x40;
pub const FILE_AUTOGENERATED_DEVICE_NAME: u32 = 0x80;
pub const FILE_DEVICE_SECURE_OPEN: u32 = 0x100;
pub const FILE_CHARACTERISTICS_PROPAGATED: u32 = 0x10f;
pub const FILE_CHARACTERISTICS_EXPECT_ORDERLY_REMOVAL_DEPRECATED: u32 = 0x200;
pub const FILE_CHARACTERISTICS_EXPECT_SURPRISE_REMOVAL_DEPRECATED: u32 = 0x300;
pub const FILE_CHARACTERISTICS_REMOVAL_POLICY_MASK_DEPRECATED: u32 = 0x300;
pub const FILE_CHARACTERISTIC_PNP_DEVICE: u32 = 0x800;
pub const FILE_CHARACTERISTIC_TS_DEVICE: u32 = 0x1000;
pub const FILE_CHARACTERISTIC_WEBDAV_DEVICE: u32 = 0x2000;
pub const FILE_CHARACTERISTICS_EXPECT_ORDERLY_REMOVAL_EX: u32 = 0x4000;
pub const FILE_CHARACTERISTICS_EXPECT_SURPRISE_REMOVAL_EX: u32 = 0x8000;
pub const FILE_CHARACTERISTICS_REMOVAL_POLICY_MASK_EX: u32 = 0xc000;

// Alignment requirements (`DEVICE_OBJECT::AlignmentRequirement`).
pub const FILE_BYTE_ALIGNMENT: u32 = 0x0;
pub const FILE_WORD_ALIGNMENT: u32 = 0x1;
pub const FILE_LONG_ALIGNMENT: u32 = 0x3;
pub const FILE_QUAD_ALIGNMENT: u32 = 0x7;
pub const FILE_OCTA_ALIGNMENT: u32 = 0xf;
pub const FILE_32_BYTE_ALIGNMENT: u32 = 0x1f;
pub const FILE_64_BYTE_ALIGNMENT: u32 = 0x3f;
pub const FILE_128_BYTE_ALIGNMENT: u32 = 0x7f;
pub const FILE_256_BYTE_ALIGNMENT: u32 = 0xff;
pub const FILE_512_BYTE_ALIGNMENT: u32 = 0x1ff;

pub const VPB_MOUNTED: u32 = 0x1;
pub const VPB_LOCKED: u32 = 0x2;
pub const VPB_PERSISTENT: u32 = 0x4;
pub const VPB_REMOVE_PENDING: u32 = 0x8;
pub const VPB_RAW_MOUNT: u32 = 0x10;
pub const VPB_DIRECT_WRITES_ALLOWED: u32 = 0x20;
