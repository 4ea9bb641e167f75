//! The I/O request packet and its flags.
//!
//! What a driver reads and writes in place; building, queueing and completing IRPs is the kernel's.

use core::ffi::c_void;

use crate::*;

/// `AssociatedIrp` of [`IRP`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union IRP_ASSOCIATED_IRP {
    pub MasterIrp: *mut IRP,
    pub IrpCount: i32,
    pub SystemBuffer: *mut c_void,
}

/// `u` of [`IRP_OVERLAY_ASYNCHRONOUS_PARAMETERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union IRP_OVERLAY_ASYNCHRONOUS_PARAMETERS_U {
    pub UserApcRoutine: PIO_APC_ROUTINE,
    pub IssuingProcess: *mut c_void,
}

/// `AsynchronousParameters` of [`IRP_OVERLAY`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IRP_OVERLAY_ASYNCHRONOUS_PARAMETERS {
    pub u: IRP_OVERLAY_ASYNCHRONOUS_PARAMETERS_U,
    pub UserApcContext: *mut c_void,
}

/// `Overlay` of [`IRP`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union IRP_OVERLAY {
    pub AsynchronousParameters: IRP_OVERLAY_ASYNCHRONOUS_PARAMETERS,
    pub AllocationSize: LARGE_INTEGER,
}

/// `u` of [`IRP_TAIL_OVERLAY`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union IRP_TAIL_OVERLAY_U {
    pub DeviceQueueEntry: KDEVICE_QUEUE_ENTRY,
    pub DriverContext: [*mut c_void; 4],
}

/// `Overlay` of [`IRP_TAIL`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IRP_TAIL_OVERLAY {
    pub u: IRP_TAIL_OVERLAY_U,
    pub Thread: *mut ETHREAD,
    pub AuxiliaryBuffer: *mut i8,
    pub ListEntry: LIST_ENTRY,
    pub CurrentStackLocation: *mut IO_STACK_LOCATION,
    pub OriginalFileObject: *mut FILE_OBJECT,
}

/// `Tail` of [`IRP`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union IRP_TAIL {
    pub Overlay: IRP_TAIL_OVERLAY,
    pub Apc: KAPC,
    pub CompletionKey: *mut c_void,
}

/// An I/O request packet; its stack locations follow it in memory.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct IRP {
    pub Type: i16,
    pub Size: u16,
    pub MdlAddress: *mut MDL,
    pub Flags: u32,
    pub AssociatedIrp: IRP_ASSOCIATED_IRP,
    pub ThreadListEntry: LIST_ENTRY,
    pub IoStatus: IO_STATUS_BLOCK,
    pub RequestorMode: KPROCESSOR_MODE,
    pub PendingReturned: BOOLEAN,
    pub StackCount: i8,
    pub CurrentLocation: i8,
    pub Cancel: BOOLEAN,
    pub CancelIrql: KIRQL,
    pub ApcEnvironment: i8,
    pub AllocationFlags: u8,
    pub UserIosb: *mut IO_STATUS_BLOCK,
    pub UserEvent: *mut KEVENT,
    pub Overlay: IRP_OVERLAY,
    pub CancelRoutine: DRIVER_CANCEL,
    pub UserBuffer: *mut c_void,
    pub Tail: IRP_TAIL,
}

pub const IRP_NOCACHE: u32 = 0x1;
pub const IRP_QUOTA_CHARGED: u32 = 0x1;
pub const IRP_ALLOCATED_MUST_SUCCEED: u32 = 0x2;
pub const IRP_MOUNT_COMPLETION: u32 = 0x2;
pub const IRP_PAGING_IO: u32 = 0x2;
pub const IRP_ALLOCATED_FIXED_SIZE: u32 = 0x4;
pub const IRP_SYNCHRONOUS_API: u32 = 0x4;
pub const IRP_ASSOCIATED_IRP: u32 = 0x8;
pub const IRP_LOOKASIDE_ALLOCATION: u32 = 0x8;
pub const IRP_BEING_VERIFIED: u32 = 0x10;
pub const IRP_BUFFERED_IO: u32 = 0x10;
pub const IRP_DEALLOCATE_BUFFER: u32 = 0x20;
pub const IRP_INPUT_OPERATION: u32 = 0x40;
pub const IRP_SYNCHRONOUS_PAGING_IO: u32 = 0x40;
pub const IRP_CREATE_OPERATION: u32 = 0x80;
pub const IRP_READ_OPERATION: u32 = 0x100;
pub const IRP_WRITE_OPERATION: u32 = 0x200;
pub const IRP_CLOSE_OPERATION: u32 = 0x400;
pub const IRP_DEFER_IO_COMPLETION: u32 = 0x800;
pub const IRP_OB_QUERY_NAME: u32 = 0x1000;
pub const IRP_HOLD_DEVICE_QUEUE: u32 = 0x2000;
pub const IRP_RETRY_IO_COMPLETION: u32 = 0x4000;
pub const IRP_CLASS_CACHE_OPERATION: u32 = 0x8000;
