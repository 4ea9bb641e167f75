//! NT's own functions, as drivers import them. Each is declared once; where its symbol comes from depends on the
//! system: `ntoskrnl.exe` on Windows (an import by name, no import library), Ringbridge's exports on Linux.
//!
//! The safe layer above calls these; so may a driver, in `unsafe`, for what the layer does not cover yet. Contracts are
//! those of the Windows driver documentation, under the function's name.

use core::ffi::{c_char, c_void};

use abi::{
    BOOLEAN, DEVICE_OBJECT, DEVICE_TYPE, DRIVER_OBJECT, EVENT_TYPE, IRP, KEVENT, KIRQL, KMUTANT, KPRIORITY,
    KPROCESSOR_MODE, KSPIN_LOCK, KWAIT_REASON, LARGE_INTEGER, MDL, MEMORY_CACHING_TYPE, NTSTATUS, POOL_TYPE,
    UNICODE_STRING,
};

macro_rules! ntoskrnl {
    ($($(#[$doc:meta])* fn $name:ident $arguments:tt $(-> $result:ty)?;)*) => {
        #[cfg(windows)]
        #[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
        unsafe extern "win64" {
            $($(#[$doc])* pub fn $name $arguments $(-> $result)?;)*
        }

        #[cfg(not(windows))]
        unsafe extern "win64" {
            $(
                $(#[$doc])*
                #[link_name = concat!("ringbridge_nt_", stringify!($name))]
                pub fn $name $arguments $(-> $result)?;
            )*
        }
    };
}

ntoskrnl! {
    /// Creates a device object with a zeroed extension of `DeviceExtensionSize` bytes. IRQL: PASSIVE_LEVEL.
    fn IoCreateDevice(
        DriverObject: *mut DRIVER_OBJECT,
        DeviceExtensionSize: u32,
        DeviceName: *const UNICODE_STRING,
        DeviceType: DEVICE_TYPE,
        DeviceCharacteristics: u32,
        Exclusive: BOOLEAN,
        DeviceObject: *mut *mut DEVICE_OBJECT,
    ) -> NTSTATUS;
    /// The address of an export of the kernel; null when there is none of that name. IRQL: PASSIVE_LEVEL.
    fn MmGetSystemRoutineAddress(SystemRoutineName: *const UNICODE_STRING) -> *mut c_void;
    /// Deletes a device object, when its last reference is gone. IRQL: PASSIVE_LEVEL (APC_LEVEL on newer systems).
    fn IoDeleteDevice(DeviceObject: *mut DEVICE_OBJECT);
    /// Makes one name lead to another. IRQL: PASSIVE_LEVEL.
    fn IoCreateSymbolicLink(SymbolicLinkName: *const UNICODE_STRING, DeviceName: *const UNICODE_STRING) -> NTSTATUS;
    /// Removes a symbolic link. IRQL: PASSIVE_LEVEL.
    fn IoDeleteSymbolicLink(SymbolicLinkName: *const UNICODE_STRING) -> NTSTATUS;
    /// Ends the driver's work on an IRP. IRQL: up to DISPATCH_LEVEL.
    fn IofCompleteRequest(Irp: *mut IRP, PriorityBoost: i8);
    /// Allocates pool; null when there is none. 16-byte aligned, from a page on page aligned. IRQL: up to
    /// DISPATCH_LEVEL (paged pool: APC_LEVEL).
    fn ExAllocatePoolWithTag(PoolType: POOL_TYPE, NumberOfBytes: usize, Tag: u32) -> *mut c_void;
    /// Frees pool. IRQL: up to DISPATCH_LEVEL (paged pool: APC_LEVEL).
    fn ExFreePoolWithTag(P: *mut c_void, Tag: u32);
    /// Raises IRQL to DISPATCH_LEVEL and takes the lock; returns the IRQL before. IRQL: up to DISPATCH_LEVEL.
    fn KeAcquireSpinLockRaiseToDpc(SpinLock: *mut KSPIN_LOCK) -> KIRQL;
    /// Releases the lock and goes back to the IRQL before. IRQL: DISPATCH_LEVEL.
    fn KeReleaseSpinLock(SpinLock: *mut KSPIN_LOCK, NewIrql: KIRQL);
    /// Initialises a mutex that nobody owns. IRQL: any.
    fn KeInitializeMutex(Mutex: *mut KMUTANT, Level: u32);
    /// Releases a mutex once; 0 when it is free then. IRQL: up to DISPATCH_LEVEL, in the thread that owns it.
    fn KeReleaseMutex(Mutex: *mut KMUTANT, Wait: BOOLEAN) -> i32;
    /// Initialises an event. IRQL: any.
    fn KeInitializeEvent(Event: *mut KEVENT, Type: EVENT_TYPE, State: BOOLEAN);
    /// Sets an event; its state before. IRQL: up to DISPATCH_LEVEL, with `Wait` up to APC_LEVEL.
    fn KeSetEvent(Event: *mut KEVENT, Increment: KPRIORITY, Wait: BOOLEAN) -> i32;
    /// Clears an event. IRQL: up to DISPATCH_LEVEL.
    fn KeClearEvent(Event: *mut KEVENT);
    /// The state of an event. IRQL: up to DISPATCH_LEVEL.
    fn KeReadStateEvent(Event: *mut KEVENT) -> i32;
    /// Waits for a dispatcher object. IRQL: up to APC_LEVEL, with a timeout of zero up to DISPATCH_LEVEL.
    fn KeWaitForSingleObject(
        Object: *mut c_void,
        WaitReason: KWAIT_REASON,
        WaitMode: KPROCESSOR_MODE,
        Alertable: BOOLEAN,
        Timeout: *const LARGE_INTEGER,
    ) -> NTSTATUS;
    /// Whether two strings are equal. IRQL: PASSIVE_LEVEL.
    fn RtlEqualUnicodeString(
        String1: *const UNICODE_STRING,
        String2: *const UNICODE_STRING,
        CaseInSensitive: BOOLEAN,
    ) -> BOOLEAN;
    /// Compares two strings: negative, zero or positive. IRQL: PASSIVE_LEVEL.
    fn RtlCompareUnicodeString(
        String1: *const UNICODE_STRING,
        String2: *const UNICODE_STRING,
        CaseInSensitive: BOOLEAN,
    ) -> i32;
    /// Sends at most 512 bytes of formatted text to the debugger. IRQL: any, as long as the text is not wide.
    fn DbgPrint(Format: *const c_char, ...) -> u32;
    /// Maps the pages of an MDL; null when that fails (UserMode raises then). IRQL: up to DISPATCH_LEVEL (UserMode:
    /// APC_LEVEL).
    fn MmMapLockedPagesSpecifyCache(
        MemoryDescriptorList: *mut MDL,
        AccessMode: KPROCESSOR_MODE,
        CacheType: MEMORY_CACHING_TYPE,
        RequestedAddress: *mut c_void,
        BugCheckOnFailure: u32,
        Priority: u32,
    ) -> *mut c_void;
    /// Raises unless a range lies in user space and is aligned. IRQL: up to APC_LEVEL.
    fn ProbeForRead(Address: *const c_void, Length: usize, Alignment: u32);
    /// As ProbeForRead, and unless every page of it can be written. IRQL: up to APC_LEVEL.
    fn ProbeForWrite(Address: *const c_void, Length: usize, Alignment: u32);
    /// Stops the machine. IRQL: any.
    fn KeBugCheckEx(
        BugCheckCode: u32,
        BugCheckParameter1: usize,
        BugCheckParameter2: usize,
        BugCheckParameter3: usize,
        BugCheckParameter4: usize,
    ) -> !;
}
