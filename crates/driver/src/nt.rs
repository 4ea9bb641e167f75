//! NT's own functions, as drivers import them. Each is declared once; where its symbol comes from depends on the
//! system: `ntoskrnl.exe` on Windows (an import by name, no import library), Ringbridge's exports on Linux.
//!
//! The safe layer above calls these; so may a driver, in `unsafe`, for what the layer does not cover yet. Contracts are
//! those of the Windows driver documentation, under the function's name.

use core::ffi::{c_char, c_void};

use abi::{
    ACCESS_MASK, BOOLEAN, CLIENT_ID, DEVICE_OBJECT, DEVICE_TYPE, DRIVER_CANCEL, DRIVER_OBJECT, EPROCESS,
    ERESOURCE, EVENT_TYPE, EXPAND_STACK_CALLOUT, FAST_MUTEX, FILE_OBJECT, GENERIC_MAPPING, GUID, HANDLE,
    IO_CSQ, IO_CSQ_IRP_CONTEXT, IO_REMOVE_LOCK, IO_STATUS_BLOCK, IO_WORKITEM, IO_WORKITEM_ROUTINE, IRP,
    KDEFERRED_ROUTINE, KDEVICE_QUEUE, KDEVICE_QUEUE_ENTRY, KDPC, KEVENT, KEY_VALUE_INFORMATION_CLASS, KIRQL,
    KLOCK_QUEUE_HANDLE, KMUTANT, KPRIORITY, KPROCESSOR_MODE, KSEMAPHORE, KSPIN_LOCK, KSTART_ROUTINE, KTHREAD,
    KTIMER, KWAIT_BLOCK, KWAIT_REASON, LARGE_INTEGER, LIST_ENTRY, LOCK_OPERATION, LOOKASIDE_LIST_EX, MDL,
    MEMORY_CACHING_TYPE, NTSTATUS, OBJECT_ATTRIBUTES, OBJECT_HANDLE_INFORMATION, OBJECT_TYPE,
    PALLOCATE_FUNCTION_EX, PFREE_FUNCTION_EX, PIO_CSQ_ACQUIRE_LOCK, PIO_CSQ_COMPLETE_CANCELED_IRP,
    PIO_CSQ_INSERT_IRP, PIO_CSQ_INSERT_IRP_EX, PIO_CSQ_PEEK_NEXT_IRP, PIO_CSQ_RELEASE_LOCK,
    PIO_CSQ_REMOVE_IRP, POOL_TYPE, PORT_MESSAGE, PORT_VIEW, POWER_STATE, POWER_STATE_TYPE, REMOTE_PORT_VIEW,
    SE_IMPERSONATION_STATE, SECTION_INHERIT, SECURITY_CLIENT_CONTEXT, SECURITY_QUALITY_OF_SERVICE,
    SECURITY_SUBJECT_CONTEXT, SLIST_ENTRY, SLIST_HEADER, TIMER_TYPE, UNICODE_STRING, WAIT_TYPE,
    WORK_QUEUE_TYPE,
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
    /// Who called last from outside the kernel's own routines: UserMode for an application. IRQL: any.
    fn ExGetPreviousMode() -> KPROCESSOR_MODE;
    /// Registers a device interface; its name is to be freed with RtlFreeUnicodeString. IRQL: PASSIVE_LEVEL.
    fn IoRegisterDeviceInterface(
        PhysicalDeviceObject: *mut DEVICE_OBJECT,
        InterfaceClassGuid: *const GUID,
        ReferenceString: *const UNICODE_STRING,
        SymbolicLinkName: *mut UNICODE_STRING,
    ) -> NTSTATUS;
    /// Enables a device interface, or disables it. IRQL: PASSIVE_LEVEL.
    fn IoSetDeviceInterfaceState(SymbolicLinkName: *const UNICODE_STRING, Enable: BOOLEAN) -> NTSTATUS;
    /// Has the drivers of a device asked how it is. IRQL: up to DISPATCH_LEVEL.
    fn IoInvalidateDeviceState(PhysicalDeviceObject: *mut DEVICE_OBJECT);
    /// Sends a power request to the top of a device's stack, and calls a function at its end. IRQL: up to DISPATCH_LEVEL.
    fn PoRequestPowerIrp(
        DeviceObject: *mut DEVICE_OBJECT,
        MinorFunction: u8,
        PowerState: POWER_STATE,
        CompletionFunction: Option<
            unsafe extern "win64" fn(*mut DEVICE_OBJECT, u8, POWER_STATE, *mut c_void, *mut IO_STATUS_BLOCK),
        >,
        Context: *mut c_void,
        Irp: *mut *mut IRP,
    ) -> NTSTATUS;
    /// Notes the power state of a device; returns the one before. IRQL: up to DISPATCH_LEVEL.
    fn PoSetPowerState(DeviceObject: *mut DEVICE_OBJECT, Type: POWER_STATE_TYPE, State: POWER_STATE) -> POWER_STATE;
    /// Frees a string that a routine allocated. IRQL: PASSIVE_LEVEL.
    fn RtlFreeUnicodeString(UnicodeString: *mut UNICODE_STRING);
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
    /// Sends an IRP to a device's driver. IRQL: up to DISPATCH_LEVEL.
    fn IofCallDriver(DeviceObject: *mut DEVICE_OBJECT, Irp: *mut IRP) -> NTSTATUS;
    /// Attaches a device to the top of the stack that another is in, and writes the device below before the first request
    /// can come. IRQL: up to DISPATCH_LEVEL.
    fn IoAttachDeviceToDeviceStackSafe(
        SourceDevice: *mut DEVICE_OBJECT,
        TargetDevice: *mut DEVICE_OBJECT,
        AttachedToDeviceObject: *mut *mut DEVICE_OBJECT,
    ) -> NTSTATUS;
    /// Takes the device above `TargetDevice` off it. IRQL: PASSIVE_LEVEL.
    fn IoDetachDevice(TargetDevice: *mut DEVICE_OBJECT);
    /// Opens a named device: its file object, referenced, and the top of its stack. IRQL: PASSIVE_LEVEL.
    fn IoGetDeviceObjectPointer(
        ObjectName: *const UNICODE_STRING,
        DesiredAccess: u32,
        FileObject: *mut *mut FILE_OBJECT,
        DeviceObject: *mut *mut DEVICE_OBJECT,
    ) -> NTSTATUS;
    /// The top of the stack that requests on a file go to. IRQL: up to DISPATCH_LEVEL.
    fn IoGetRelatedDeviceObject(FileObject: *mut FILE_OBJECT) -> *mut DEVICE_OBJECT;
    /// Builds a control request that the I/O manager frees; null without memory. IRQL: PASSIVE_LEVEL.
    fn IoBuildDeviceIoControlRequest(
        IoControlCode: u32,
        DeviceObject: *mut DEVICE_OBJECT,
        InputBuffer: *mut c_void,
        InputBufferLength: u32,
        OutputBuffer: *mut c_void,
        OutputBufferLength: u32,
        InternalDeviceIoControl: BOOLEAN,
        Event: *mut KEVENT,
        IoStatusBlock: *mut IO_STATUS_BLOCK,
    ) -> *mut IRP;
    /// Builds a request that the I/O manager frees; null without memory. IRQL: PASSIVE_LEVEL.
    fn IoBuildSynchronousFsdRequest(
        MajorFunction: u32,
        DeviceObject: *mut DEVICE_OBJECT,
        Buffer: *mut c_void,
        Length: u32,
        StartingOffset: *const LARGE_INTEGER,
        Event: *mut KEVENT,
        IoStatusBlock: *mut IO_STATUS_BLOCK,
    ) -> *mut IRP;
    /// Builds a request that its completion routine frees; null without memory. IRQL: up to APC_LEVEL.
    fn IoBuildAsynchronousFsdRequest(
        MajorFunction: u32,
        DeviceObject: *mut DEVICE_OBJECT,
        Buffer: *mut c_void,
        Length: u32,
        StartingOffset: *const LARGE_INTEGER,
        IoStatusBlock: *mut IO_STATUS_BLOCK,
    ) -> *mut IRP;
    /// Frees an IRP of the driver's own. IRQL: up to DISPATCH_LEVEL.
    fn IoFreeIrp(Irp: *mut IRP);
    /// Allocates an IRP that is part of another, which is completed with the last of as many as its `IrpCount` says; null
    /// without memory. IRQL: up to DISPATCH_LEVEL.
    fn IoMakeAssociatedIrp(Irp: *mut IRP, StackSize: i8) -> *mut IRP;
    /// Allocates an MDL for a range of memory; null without memory. IRQL: up to DISPATCH_LEVEL.
    fn IoAllocateMdl(
        VirtualAddress: *mut c_void,
        Length: u32,
        SecondaryBuffer: BOOLEAN,
        ChargeQuota: BOOLEAN,
        Irp: *mut IRP,
    ) -> *mut MDL;
    /// Makes an MDL describe a part of what another describes. IRQL: up to DISPATCH_LEVEL.
    fn IoBuildPartialMdl(SourceMdl: *mut MDL, TargetMdl: *mut MDL, VirtualAddress: *mut c_void, Length: u32);
    /// Frees an MDL. IRQL: up to DISPATCH_LEVEL.
    fn IoFreeMdl(Mdl: *mut MDL);
    /// Takes back what MmMapLockedPagesSpecifyCache has mapped. IRQL: up to DISPATCH_LEVEL.
    fn MmUnmapLockedPages(BaseAddress: *mut c_void, MemoryDescriptorList: *mut MDL);
    /// Initialises a remove lock. IRQL: PASSIVE_LEVEL.
    fn IoInitializeRemoveLockEx(
        Lock: *mut IO_REMOVE_LOCK,
        AllocateTag: u32,
        MaxLockedMinutes: u32,
        HighWatermark: u32,
        RemlockSize: u32,
    );
    /// Acquires a remove lock, or STATUS_DELETE_PENDING. IRQL: up to DISPATCH_LEVEL.
    fn IoAcquireRemoveLockEx(
        RemoveLock: *mut IO_REMOVE_LOCK,
        Tag: *mut c_void,
        File: *const c_char,
        Line: u32,
        RemlockSize: u32,
    ) -> NTSTATUS;
    /// Releases a remove lock. IRQL: up to DISPATCH_LEVEL.
    fn IoReleaseRemoveLockEx(RemoveLock: *mut IO_REMOVE_LOCK, Tag: *mut c_void, RemlockSize: u32);
    /// Releases a remove lock for good, and waits until all others have. IRQL: PASSIVE_LEVEL.
    fn IoReleaseRemoveLockAndWaitEx(RemoveLock: *mut IO_REMOVE_LOCK, Tag: *mut c_void, RemlockSize: u32);
    /// Initialises a cancel-safe queue. IRQL: any.
    fn IoCsqInitialize(
        Csq: *mut IO_CSQ,
        CsqInsertIrp: PIO_CSQ_INSERT_IRP,
        CsqRemoveIrp: PIO_CSQ_REMOVE_IRP,
        CsqPeekNextIrp: PIO_CSQ_PEEK_NEXT_IRP,
        CsqAcquireLock: PIO_CSQ_ACQUIRE_LOCK,
        CsqReleaseLock: PIO_CSQ_RELEASE_LOCK,
        CsqCompleteCanceledIrp: PIO_CSQ_COMPLETE_CANCELED_IRP,
    ) -> NTSTATUS;
    /// Puts an IRP into a cancel-safe queue and marks it pending. IRQL: up to DISPATCH_LEVEL.
    fn IoCsqInsertIrp(Csq: *mut IO_CSQ, Irp: *mut IRP, Context: *mut IO_CSQ_IRP_CONTEXT);
    /// Gives a request to the driver's StartIo routine, or puts it into the device's queue when that is busy. IRQL: up to
    /// DISPATCH_LEVEL.
    fn IoStartPacket(DeviceObject: *mut DEVICE_OBJECT, Irp: *mut IRP, Key: *mut u32, CancelFunction: DRIVER_CANCEL);
    /// Gives the next request of the device's queue to StartIo. IRQL: DISPATCH_LEVEL.
    fn IoStartNextPacket(DeviceObject: *mut DEVICE_OBJECT, Cancelable: BOOLEAN);
    /// As IoStartNextPacket, the first whose key is at least `Key`. IRQL: DISPATCH_LEVEL.
    fn IoStartNextPacketByKey(DeviceObject: *mut DEVICE_OBJECT, Cancelable: BOOLEAN, Key: u32);
    /// Says whether StartIo is called from within itself, and with requests that can be cancelled. IRQL: up to
    /// DISPATCH_LEVEL.
    fn IoSetStartIoAttributes(DeviceObject: *mut DEVICE_OBJECT, DeferredStartIo: BOOLEAN, NonCancelable: BOOLEAN);
    /// Puts an entry into a busy device queue; FALSE for an idle one, which becomes busy. IRQL: DISPATCH_LEVEL.
    fn KeInsertDeviceQueue(DeviceQueue: *mut KDEVICE_QUEUE, DeviceQueueEntry: *mut KDEVICE_QUEUE_ENTRY) -> BOOLEAN;
    /// Takes the first entry out of a device queue; null when it is empty, and idle then. IRQL: DISPATCH_LEVEL.
    fn KeRemoveDeviceQueue(DeviceQueue: *mut KDEVICE_QUEUE) -> *mut KDEVICE_QUEUE_ENTRY;
    /// Takes an entry out of a device queue; whether it was in it. IRQL: up to DISPATCH_LEVEL.
    fn KeRemoveEntryDeviceQueue(
        DeviceQueue: *mut KDEVICE_QUEUE,
        DeviceQueueEntry: *mut KDEVICE_QUEUE_ENTRY,
    ) -> BOOLEAN;
    /// Acquires the cancel spin lock. IRQL: up to DISPATCH_LEVEL.
    fn IoAcquireCancelSpinLock(Irql: *mut KIRQL);
    /// Releases the cancel spin lock. IRQL: DISPATCH_LEVEL.
    fn IoReleaseCancelSpinLock(Irql: KIRQL);
    /// Raises the IRQL to DISPATCH_LEVEL; the IRQL before. IRQL: up to DISPATCH_LEVEL.
    fn KeRaiseIrqlToDpcLevel() -> KIRQL;
    /// Lowers the IRQL to what it was. IRQL: any.
    fn KeLowerIrql(NewIrql: KIRQL);
    /// Takes a reference to an object. IRQL: up to DISPATCH_LEVEL.
    fn ObfReferenceObject(Object: *mut c_void) -> isize;
    /// Drops a reference to an object. IRQL: up to DISPATCH_LEVEL.
    fn ObfDereferenceObject(Object: *mut c_void) -> isize;
    /// Allocates pool; null when there is none. 16-byte aligned, from a page on page aligned. IRQL: up to
    /// DISPATCH_LEVEL (paged pool: APC_LEVEL).
    fn ExAllocatePoolWithTag(PoolType: POOL_TYPE, NumberOfBytes: usize, Tag: u32) -> *mut c_void;
    /// Frees pool. IRQL: up to DISPATCH_LEVEL (paged pool: APC_LEVEL).
    fn ExFreePoolWithTag(P: *mut c_void, Tag: u32);
    /// Initialises a lookaside list. IRQL: up to DISPATCH_LEVEL.
    fn ExInitializeLookasideListEx(
        Lookaside: *mut LOOKASIDE_LIST_EX,
        Allocate: PALLOCATE_FUNCTION_EX,
        Free: PFREE_FUNCTION_EX,
        PoolType: POOL_TYPE,
        Flags: u32,
        Size: usize,
        Tag: u32,
        Depth: u16,
    ) -> NTSTATUS;
    /// Frees a lookaside list's blocks, and ends its use. IRQL: up to DISPATCH_LEVEL (paged: APC_LEVEL).
    fn ExDeleteLookasideListEx(Lookaside: *mut LOOKASIDE_LIST_EX);
    /// Pushes an entry on a sequenced list; the first one before, or null. IRQL: up to DISPATCH_LEVEL.
    fn ExpInterlockedPushEntrySList(ListHead: *mut SLIST_HEADER, ListEntry: *mut SLIST_ENTRY) -> *mut SLIST_ENTRY;
    /// Pops the first entry of a sequenced list, or null. IRQL: up to DISPATCH_LEVEL.
    fn ExpInterlockedPopEntrySList(ListHead: *mut SLIST_HEADER) -> *mut SLIST_ENTRY;
    /// Empties a sequenced list: the first of its entries, or null. IRQL: up to DISPATCH_LEVEL.
    fn ExpInterlockedFlushSList(ListHead: *mut SLIST_HEADER) -> *mut SLIST_ENTRY;
    /// How many entries a sequenced list has. IRQL: up to DISPATCH_LEVEL.
    fn ExQueryDepthSList(ListHead: *mut SLIST_HEADER) -> u16;
    /// Puts an entry at the front of a list; the first one before, or null. IRQL: any.
    fn ExInterlockedInsertHeadList(
        ListHead: *mut LIST_ENTRY,
        ListEntry: *mut LIST_ENTRY,
        Lock: *mut KSPIN_LOCK,
    ) -> *mut LIST_ENTRY;
    /// Puts an entry at the end of a list; the last one before, or null. IRQL: any.
    fn ExInterlockedInsertTailList(
        ListHead: *mut LIST_ENTRY,
        ListEntry: *mut LIST_ENTRY,
        Lock: *mut KSPIN_LOCK,
    ) -> *mut LIST_ENTRY;
    /// Takes the first entry of a list, or null. IRQL: any.
    fn ExInterlockedRemoveHeadList(ListHead: *mut LIST_ENTRY, Lock: *mut KSPIN_LOCK) -> *mut LIST_ENTRY;
    /// Raises IRQL to DISPATCH_LEVEL and takes the lock; returns the IRQL before. IRQL: up to DISPATCH_LEVEL.
    fn KeAcquireSpinLockRaiseToDpc(SpinLock: *mut KSPIN_LOCK) -> KIRQL;
    /// Releases the lock and goes back to the IRQL before. IRQL: DISPATCH_LEVEL.
    fn KeReleaseSpinLock(SpinLock: *mut KSPIN_LOCK, NewIrql: KIRQL);
    /// Initialises a mutex that nobody owns. IRQL: any.
    fn KeInitializeMutex(Mutex: *mut KMUTANT, Level: u32);
    /// Releases a mutex once; 0 when it is free then. IRQL: up to DISPATCH_LEVEL, in the thread that owns it.
    fn KeReleaseMutex(Mutex: *mut KMUTANT, Wait: BOOLEAN) -> i32;
    /// Initialises a semaphore. IRQL: any.
    fn KeInitializeSemaphore(Semaphore: *mut KSEMAPHORE, Count: i32, Limit: i32);
    /// Adds to a semaphore's count; the count before. IRQL: up to DISPATCH_LEVEL.
    fn KeReleaseSemaphore(
        Semaphore: *mut KSEMAPHORE,
        Increment: KPRIORITY,
        Adjustment: i32,
        Wait: BOOLEAN,
    ) -> i32;
    /// A semaphore's count. IRQL: any.
    fn KeReadStateSemaphore(Semaphore: *mut KSEMAPHORE) -> i32;
    /// Acquires a fast mutex, and raises the IRQL to APC_LEVEL. IRQL: up to APC_LEVEL.
    fn ExAcquireFastMutex(FastMutex: *mut FAST_MUTEX);
    /// Releases a fast mutex, and lowers the IRQL to what it was. IRQL: APC_LEVEL.
    fn ExReleaseFastMutex(FastMutex: *mut FAST_MUTEX);
    /// Initialises a resource that nobody owns. IRQL: up to DISPATCH_LEVEL.
    fn ExInitializeResourceLite(Resource: *mut ERESOURCE) -> NTSTATUS;
    /// Takes a resource, which nobody owns, out of the system. IRQL: up to DISPATCH_LEVEL.
    fn ExDeleteResourceLite(Resource: *mut ERESOURCE) -> NTSTATUS;
    /// Enters a critical region and acquires a resource exclusively. IRQL: up to APC_LEVEL.
    fn ExEnterCriticalRegionAndAcquireResourceExclusive(Resource: *mut ERESOURCE) -> *mut c_void;
    /// Enters a critical region and acquires a resource for shared access. IRQL: up to APC_LEVEL.
    fn ExEnterCriticalRegionAndAcquireResourceShared(Resource: *mut ERESOURCE) -> *mut c_void;
    /// Releases a resource and leaves the critical region. IRQL: up to APC_LEVEL.
    fn ExReleaseResourceAndLeaveCriticalRegion(Resource: *mut ERESOURCE);
    /// Whether this thread owns a resource exclusively. IRQL: up to DISPATCH_LEVEL.
    fn ExIsResourceAcquiredExclusiveLite(Resource: *mut ERESOURCE) -> BOOLEAN;
    /// How often this thread has acquired a resource, in either way. IRQL: up to DISPATCH_LEVEL.
    fn ExIsResourceAcquiredSharedLite(Resource: *mut ERESOURCE) -> u32;
    /// Raises the IRQL to DISPATCH_LEVEL and takes the lock, in the order of coming. IRQL: up to DISPATCH_LEVEL.
    fn KeAcquireInStackQueuedSpinLock(SpinLock: *mut KSPIN_LOCK, LockHandle: *mut KLOCK_QUEUE_HANDLE);
    /// Releases the lock and goes back to the IRQL before. IRQL: DISPATCH_LEVEL.
    fn KeReleaseInStackQueuedSpinLock(LockHandle: *mut KLOCK_QUEUE_HANDLE);
    /// Initialises an event. IRQL: any.
    fn KeInitializeEvent(Event: *mut KEVENT, Type: EVENT_TYPE, State: BOOLEAN);
    /// Sets an event; its state before. IRQL: up to DISPATCH_LEVEL, with `Wait` up to APC_LEVEL.
    fn KeSetEvent(Event: *mut KEVENT, Increment: KPRIORITY, Wait: BOOLEAN) -> i32;
    /// Clears an event. IRQL: up to DISPATCH_LEVEL.
    fn KeClearEvent(Event: *mut KEVENT);
    /// The state of an event. IRQL: up to DISPATCH_LEVEL.
    fn KeReadStateEvent(Event: *mut KEVENT) -> i32;
    /// The notification event of a name, opened or made, and a kernel handle to it; null when that fails. IRQL: PASSIVE_LEVEL.
    fn IoCreateNotificationEvent(EventName: *const UNICODE_STRING, EventHandle: *mut HANDLE) -> *mut KEVENT;
    /// As IoCreateNotificationEvent, a synchronization event. IRQL: PASSIVE_LEVEL.
    fn IoCreateSynchronizationEvent(EventName: *const UNICODE_STRING, EventHandle: *mut HANDLE) -> *mut KEVENT;
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
    /// The current IRQL. IRQL: any.
    fn KeGetCurrentIrql() -> KIRQL;
    /// Waits for one or all of several dispatcher objects. IRQL: as KeWaitForSingleObject.
    fn KeWaitForMultipleObjects(
        Count: u32,
        Object: *mut *mut c_void,
        WaitType: WAIT_TYPE,
        WaitReason: KWAIT_REASON,
        WaitMode: KPROCESSOR_MODE,
        Alertable: BOOLEAN,
        Timeout: *const LARGE_INTEGER,
        WaitBlockArray: *mut KWAIT_BLOCK,
    ) -> NTSTATUS;
    /// Enters a critical region. IRQL: up to APC_LEVEL.
    fn KeEnterCriticalRegion();
    /// Leaves a critical region. IRQL: up to DISPATCH_LEVEL.
    fn KeLeaveCriticalRegion();
    /// Enters a guarded region. IRQL: up to APC_LEVEL.
    fn KeEnterGuardedRegion();
    /// Leaves a guarded region. IRQL: up to APC_LEVEL.
    fn KeLeaveGuardedRegion();
    /// Whether normal kernel APCs are disabled. IRQL: up to DISPATCH_LEVEL.
    fn KeAreApcsDisabled() -> BOOLEAN;
    /// Whether all APCs are disabled. IRQL: up to DISPATCH_LEVEL.
    fn KeAreAllApcsDisabled() -> BOOLEAN;
    /// Calls a routine with at least so many bytes of kernel stack. IRQL: up to APC_LEVEL.
    fn KeExpandKernelStackAndCallout(
        Callout: EXPAND_STACK_CALLOUT,
        Parameter: *mut c_void,
        Size: usize,
    ) -> NTSTATUS;
    /// Bytes left of the kernel stack. IRQL: up to DISPATCH_LEVEL.
    fn IoGetRemainingStackSize() -> usize;
    /// Waits until a time, or for one. IRQL: up to APC_LEVEL.
    fn KeDelayExecutionThread(
        WaitMode: KPROCESSOR_MODE,
        Alertable: BOOLEAN,
        Interval: *const LARGE_INTEGER,
    ) -> NTSTATUS;
    /// The time since the system started, in units of 100 ns. IRQL: any.
    fn KeQueryInterruptTimePrecise(QpcTimeStamp: *mut u64) -> u64;
    /// The system time, in units of 100 ns since 1601. IRQL: any.
    fn KeQuerySystemTimePrecise(CurrentTime: *mut LARGE_INTEGER);
    /// Starts a system thread. IRQL: PASSIVE_LEVEL.
    fn PsCreateSystemThread(
        ThreadHandle: *mut HANDLE,
        DesiredAccess: u32,
        ObjectAttributes: *mut OBJECT_ATTRIBUTES,
        ProcessHandle: HANDLE,
        ClientId: *mut CLIENT_ID,
        StartRoutine: KSTART_ROUTINE,
        StartContext: *mut c_void,
    ) -> NTSTATUS;
    /// The current thread's object. IRQL: up to DISPATCH_LEVEL.
    fn KeGetCurrentThread() -> *mut KTHREAD;
    /// Takes a reference to the object that a handle stands for. IRQL: PASSIVE_LEVEL.
    fn ObReferenceObjectByHandle(
        Handle: HANDLE,
        DesiredAccess: ACCESS_MASK,
        ObjectType: *mut OBJECT_TYPE,
        AccessMode: KPROCESSOR_MODE,
        Object: *mut *mut c_void,
        HandleInformation: *mut OBJECT_HANDLE_INFORMATION,
    ) -> NTSTATUS;
    /// Opens a handle of an object. IRQL: PASSIVE_LEVEL.
    fn ObOpenObjectByPointer(
        Object: *mut c_void,
        HandleAttributes: u32,
        PassedAccessState: *mut c_void,
        DesiredAccess: ACCESS_MASK,
        ObjectType: *mut OBJECT_TYPE,
        AccessMode: KPROCESSOR_MODE,
        Handle: *mut HANDLE,
    ) -> NTSTATUS;
    /// Makes a section, or with OBJ_OPENIF opens the one of its name. IRQL: PASSIVE_LEVEL.
    fn ZwCreateSection(
        SectionHandle: *mut HANDLE,
        DesiredAccess: ACCESS_MASK,
        ObjectAttributes: *mut OBJECT_ATTRIBUTES,
        MaximumSize: *mut LARGE_INTEGER,
        SectionPageProtection: u32,
        AllocationAttributes: u32,
        FileHandle: HANDLE,
    ) -> NTSTATUS;
    /// Makes an LPC port. IRQL of this and the next ones: PASSIVE_LEVEL.
    fn ZwCreatePort(
        PortHandle: *mut HANDLE,
        ObjectAttributes: *mut OBJECT_ATTRIBUTES,
        MaxConnectionInfoLength: u32,
        MaxMessageLength: u32,
        MaxPoolUsage: u32,
    ) -> NTSTATUS;
    /// Connects to a port, with a handle of the current process.
    fn ZwConnectPort(
        PortHandle: *mut HANDLE,
        PortName: *const UNICODE_STRING,
        SecurityQos: *mut SECURITY_QUALITY_OF_SERVICE,
        ClientView: *mut PORT_VIEW,
        ServerView: *mut REMOTE_PORT_VIEW,
        MaxMessageLength: *mut u32,
        ConnectionInformation: *mut c_void,
        ConnectionInformationLength: *mut u32,
    ) -> NTSTATUS;
    /// Accepts or refuses a connection request, with a handle of the current process.
    fn ZwAcceptConnectPort(
        PortHandle: *mut HANDLE,
        PortContext: *mut c_void,
        ConnectionRequest: *mut PORT_MESSAGE,
        AcceptConnection: BOOLEAN,
        ServerView: *mut PORT_VIEW,
        ClientView: *mut REMOTE_PORT_VIEW,
    ) -> NTSTATUS;
    /// Lets an accepted client go on.
    fn ZwCompleteConnectPort(PortHandle: HANDLE) -> NTSTATUS;
    /// Sends a message that is not replied to.
    fn ZwRequestPort(PortHandle: HANDLE, RequestMessage: *mut PORT_MESSAGE) -> NTSTATUS;
    /// Sends a message and waits for its reply, or a callback.
    fn ZwRequestWaitReplyPort(
        PortHandle: HANDLE,
        RequestMessage: *mut PORT_MESSAGE,
        ReplyMessage: *mut PORT_MESSAGE,
    ) -> NTSTATUS;
    /// Replies.
    fn ZwReplyPort(PortHandle: HANDLE, ReplyMessage: *mut PORT_MESSAGE) -> NTSTATUS;
    /// Replies, if there is something to reply to, and waits for a message.
    fn ZwReplyWaitReceivePort(
        PortHandle: HANDLE,
        PortContext: *mut *mut c_void,
        ReplyMessage: *mut PORT_MESSAGE,
        ReceiveMessage: *mut PORT_MESSAGE,
    ) -> NTSTATUS;
    /// Replies to a callback, and waits on for the reply to one's own request, which comes in the reply's place.
    fn ZwReplyWaitReplyPort(PortHandle: HANDLE, ReplyMessage: *mut PORT_MESSAGE) -> NTSTATUS;
    /// Lets the thread act as the client whose request this is.
    fn ZwImpersonateClientOfPort(PortHandle: HANDLE, Message: *mut PORT_MESSAGE) -> NTSTATUS;
    /// Opens a section by name. IRQL: PASSIVE_LEVEL.
    fn ZwOpenSection(
        SectionHandle: *mut HANDLE,
        DesiredAccess: ACCESS_MASK,
        ObjectAttributes: *mut OBJECT_ATTRIBUTES,
    ) -> NTSTATUS;
    /// Tells what a section is. IRQL: PASSIVE_LEVEL.
    fn ZwQuerySection(
        SectionHandle: HANDLE,
        SectionInformationClass: i32,
        SectionInformation: *mut c_void,
        SectionInformationLength: usize,
        ReturnLength: *mut usize,
    ) -> NTSTATUS;
    /// Shows a part of a section to a process. IRQL: PASSIVE_LEVEL.
    fn ZwMapViewOfSection(
        SectionHandle: HANDLE,
        ProcessHandle: HANDLE,
        BaseAddress: *mut *mut c_void,
        ZeroBits: usize,
        CommitSize: usize,
        SectionOffset: *mut LARGE_INTEGER,
        ViewSize: *mut usize,
        InheritDisposition: SECTION_INHERIT,
        AllocationType: u32,
        Win32Protect: u32,
    ) -> NTSTATUS;
    /// Ends a view in a process. IRQL: PASSIVE_LEVEL.
    fn ZwUnmapViewOfSection(ProcessHandle: HANDLE, BaseAddress: *mut c_void) -> NTSTATUS;
    /// Shows a section, or its front, to the kernel. IRQL: up to APC_LEVEL.
    fn MmMapViewInSystemSpace(Section: *mut c_void, MappedBase: *mut *mut c_void, ViewSize: *mut usize) -> NTSTATUS;
    /// Ends a view that MmMapViewInSystemSpace began. IRQL: up to APC_LEVEL.
    fn MmUnmapViewInSystemSpace(MappedBase: *mut c_void) -> NTSTATUS;
    /// Opens a file. IRQL: PASSIVE_LEVEL.
    fn ZwCreateFile(
        FileHandle: *mut HANDLE,
        DesiredAccess: ACCESS_MASK,
        ObjectAttributes: *mut OBJECT_ATTRIBUTES,
        IoStatusBlock: *mut IO_STATUS_BLOCK,
        AllocationSize: *mut LARGE_INTEGER,
        FileAttributes: u32,
        ShareAccess: u32,
        CreateDisposition: u32,
        CreateOptions: u32,
        EaBuffer: *mut c_void,
        EaLength: u32,
    ) -> NTSTATUS;
    /// Reads from a file. IRQL: PASSIVE_LEVEL.
    fn ZwReadFile(
        FileHandle: HANDLE,
        Event: HANDLE,
        ApcRoutine: *mut c_void,
        ApcContext: *mut c_void,
        IoStatusBlock: *mut IO_STATUS_BLOCK,
        Buffer: *mut c_void,
        Length: u32,
        ByteOffset: *mut LARGE_INTEGER,
        Key: *mut u32,
    ) -> NTSTATUS;
    /// Writes to a file. IRQL: PASSIVE_LEVEL.
    fn ZwWriteFile(
        FileHandle: HANDLE,
        Event: HANDLE,
        ApcRoutine: *mut c_void,
        ApcContext: *mut c_void,
        IoStatusBlock: *mut IO_STATUS_BLOCK,
        Buffer: *mut c_void,
        Length: u32,
        ByteOffset: *mut LARGE_INTEGER,
        Key: *mut u32,
    ) -> NTSTATUS;
    /// Sends a file system control code. IRQL: PASSIVE_LEVEL.
    fn ZwFsControlFile(
        FileHandle: HANDLE,
        Event: HANDLE,
        ApcRoutine: *mut c_void,
        ApcContext: *mut c_void,
        IoStatusBlock: *mut IO_STATUS_BLOCK,
        FsControlCode: u32,
        InputBuffer: *mut c_void,
        InputBufferLength: u32,
        OutputBuffer: *mut c_void,
        OutputBufferLength: u32,
    ) -> NTSTATUS;
    /// Changes what a file is. IRQL: PASSIVE_LEVEL.
    fn ZwSetInformationFile(
        FileHandle: HANDLE,
        IoStatusBlock: *mut IO_STATUS_BLOCK,
        FileInformation: *mut c_void,
        Length: u32,
        FileInformationClass: i32,
    ) -> NTSTATUS;
    /// Makes the descriptor of a new object. IRQL: PASSIVE_LEVEL.
    fn SeAssignSecurity(
        ParentDescriptor: *mut c_void,
        ExplicitDescriptor: *mut c_void,
        NewDescriptor: *mut *mut c_void,
        IsDirectoryObject: BOOLEAN,
        SubjectContext: *mut SECURITY_SUBJECT_CONTEXT,
        GenericMapping: *mut GENERIC_MAPPING,
        PoolType: POOL_TYPE,
    ) -> NTSTATUS;
    /// Frees what SeAssignSecurity made. IRQL: PASSIVE_LEVEL.
    fn SeDeassignSecurity(SecurityDescriptor: *mut *mut c_void) -> NTSTATUS;
    /// Decides whether a subject gets access. IRQL: PASSIVE_LEVEL.
    fn SeAccessCheck(
        SecurityDescriptor: *mut c_void,
        SubjectSecurityContext: *mut SECURITY_SUBJECT_CONTEXT,
        SubjectContextLocked: BOOLEAN,
        DesiredAccess: ACCESS_MASK,
        PreviouslyGrantedAccess: ACCESS_MASK,
        Privileges: *mut *mut c_void,
        GenericMapping: *mut GENERIC_MAPPING,
        AccessMode: KPROCESSOR_MODE,
        GrantedAccess: *mut ACCESS_MASK,
        AccessStatus: *mut NTSTATUS,
    ) -> BOOLEAN;
    /// Keeps who a captured subject is. IRQL: PASSIVE_LEVEL.
    fn SeCreateClientSecurityFromSubjectContext(
        SubjectContext: *mut SECURITY_SUBJECT_CONTEXT,
        ClientSecurityQos: *mut SECURITY_QUALITY_OF_SERVICE,
        ServerIsRemote: BOOLEAN,
        ClientContext: *mut SECURITY_CLIENT_CONTEXT,
    ) -> NTSTATUS;
    /// Lets a thread act as a client. IRQL: PASSIVE_LEVEL.
    fn SeImpersonateClientEx(ClientContext: *mut SECURITY_CLIENT_CONTEXT, ServerThread: *mut KTHREAD) -> NTSTATUS;
    /// Frees what SeAccessCheck says of privileges. IRQL: PASSIVE_LEVEL.
    fn SeFreePrivileges(Privileges: *mut c_void);
    /// The identifier of the current process. IRQL: up to DISPATCH_LEVEL.
    fn PsGetCurrentProcessId() -> HANDLE;
    /// Closes a handle. IRQL: PASSIVE_LEVEL.
    fn ZwClose(Handle: HANDLE) -> NTSTATUS;
    /// Opens a registry key. IRQL: PASSIVE_LEVEL.
    fn ZwOpenKey(
        KeyHandle: *mut HANDLE,
        DesiredAccess: ACCESS_MASK,
        ObjectAttributes: *mut OBJECT_ATTRIBUTES,
    ) -> NTSTATUS;
    /// Tells a value of a registry key. IRQL: PASSIVE_LEVEL.
    fn ZwQueryValueKey(
        KeyHandle: HANDLE,
        ValueName: *mut UNICODE_STRING,
        KeyValueInformationClass: KEY_VALUE_INFORMATION_CLASS,
        KeyValueInformation: *mut c_void,
        Length: u32,
        ResultLength: *mut u32,
    ) -> NTSTATUS;
    /// Initialises a timer. IRQL: up to DISPATCH_LEVEL.
    fn KeInitializeTimerEx(Timer: *mut KTIMER, Type: TIMER_TYPE);
    /// Sets a timer; whether it was set. IRQL: up to DISPATCH_LEVEL.
    fn KeSetTimerEx(Timer: *mut KTIMER, DueTime: LARGE_INTEGER, Period: i32, Dpc: *mut KDPC) -> BOOLEAN;
    /// Stops a timer; whether it was set. IRQL: up to DISPATCH_LEVEL.
    fn KeCancelTimer(Timer: *mut KTIMER) -> BOOLEAN;
    /// Initialises a DPC. IRQL: any.
    fn KeInitializeDpc(Dpc: *mut KDPC, DeferredRoutine: KDEFERRED_ROUTINE, DeferredContext: *mut c_void);
    /// Returns when all DPCs that are queued now have run. IRQL: PASSIVE_LEVEL.
    fn KeFlushQueuedDpcs();
    /// How many bytes a work item has. IRQL: up to DISPATCH_LEVEL.
    fn IoSizeofWorkItem() -> u32;
    /// Makes a work item of a driver's or a device's. IRQL: any.
    fn IoInitializeWorkItem(IoObject: *mut c_void, IoWorkItem: *mut IO_WORKITEM);
    /// Ends the use of a work item that is not queued. IRQL: up to DISPATCH_LEVEL.
    fn IoUninitializeWorkItem(IoWorkItem: *mut IO_WORKITEM);
    /// Has a system worker thread call a routine. IRQL: up to DISPATCH_LEVEL.
    fn IoQueueWorkItem(
        IoWorkItem: *mut IO_WORKITEM,
        WorkerRoutine: IO_WORKITEM_ROUTINE,
        QueueType: WORK_QUEUE_TYPE,
        Context: *mut c_void,
    );
    /// Makes a cancel-safe queue whose insert routine may refuse. IRQL: any.
    fn IoCsqInitializeEx(
        Csq: *mut IO_CSQ,
        CsqInsertIrp: PIO_CSQ_INSERT_IRP_EX,
        CsqRemoveIrp: PIO_CSQ_REMOVE_IRP,
        CsqPeekNextIrp: PIO_CSQ_PEEK_NEXT_IRP,
        CsqAcquireLock: PIO_CSQ_ACQUIRE_LOCK,
        CsqReleaseLock: PIO_CSQ_RELEASE_LOCK,
        CsqCompleteCanceledIrp: PIO_CSQ_COMPLETE_CANCELED_IRP,
    ) -> NTSTATUS;
    /// Marks an IRP pending and puts it into a cancel-safe queue. IRQL: up to DISPATCH_LEVEL.
    fn IoCsqInsertIrpEx(
        Csq: *mut IO_CSQ,
        Irp: *mut IRP,
        Context: *mut IO_CSQ_IRP_CONTEXT,
        InsertContext: *mut c_void,
    ) -> NTSTATUS;
    /// Takes the next matching IRP out of a cancel-safe queue; null when there is none. IRQL: up to DISPATCH_LEVEL.
    fn IoCsqRemoveNextIrp(Csq: *mut IO_CSQ, PeekContext: *mut c_void) -> *mut IRP;
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
    /// The process in whose context the caller runs. IRQL: up to DISPATCH_LEVEL.
    fn IoGetCurrentProcess() -> *mut EPROCESS;
    /// Makes an MDL describe the pages of non-paged pool. IRQL: up to DISPATCH_LEVEL.
    fn MmBuildMdlForNonPagedPool(MemoryDescriptorList: *mut MDL);
    /// Allocates pages with an MDL; null without. IRQL: up to APC_LEVEL.
    fn MmAllocatePagesForMdlEx(
        LowAddress: LARGE_INTEGER,
        HighAddress: LARGE_INTEGER,
        SkipBytes: LARGE_INTEGER,
        TotalBytes: usize,
        CacheType: MEMORY_CACHING_TYPE,
        Flags: u32,
    ) -> *mut MDL;
    /// Frees pages that MmAllocatePagesForMdlEx allocated, not the MDL. IRQL: up to APC_LEVEL.
    fn MmFreePagesFromMdl(MemoryDescriptorList: *mut MDL);
    /// Locks the pages of a buffer; raises when that fails. IRQL: up to APC_LEVEL for pageable memory.
    fn MmProbeAndLockPages(MemoryDescriptorList: *mut MDL, AccessMode: KPROCESSOR_MODE, Operation: LOCK_OPERATION);
    /// Lets a range of the current process's memory neither go nor lose its access; null when it has not got that. IRQL: up to
    /// APC_LEVEL.
    fn MmSecureVirtualMemory(Address: *mut c_void, Size: usize, ProbeMode: u32) -> HANDLE;
    /// Undoes MmSecureVirtualMemory, in the same process. IRQL: up to APC_LEVEL.
    fn MmUnsecureVirtualMemory(SecureHandle: HANDLE);
    /// Unlocks the pages that an MDL locks. IRQL: up to DISPATCH_LEVEL.
    fn MmUnlockPages(MemoryDescriptorList: *mut MDL);
    /// Raises unless a range lies in user space and is aligned. IRQL: up to APC_LEVEL.
    fn ProbeForRead(Address: *const c_void, Length: usize, Alignment: u32);
    /// As ProbeForRead, and unless every page of it can be written. IRQL: up to APC_LEVEL.
    fn ProbeForWrite(Address: *const c_void, Length: usize, Alignment: u32);
    /// Keeps who a thread is. IRQL: PASSIVE_LEVEL.
    fn SeCreateClientSecurity(
        ClientThread: *mut KTHREAD,
        ClientSecurityQos: *mut SECURITY_QUALITY_OF_SERVICE,
        RemoteSession: BOOLEAN,
        ClientContext: *mut SECURITY_CLIENT_CONTEXT,
    ) -> NTSTATUS;
    /// Lets a thread act for its process; whom it acted for is kept, referenced. IRQL: PASSIVE_LEVEL.
    fn PsDisableImpersonation(Thread: *mut KTHREAD, ImpersonationState: *mut SE_IMPERSONATION_STATE) -> BOOLEAN;
    /// Ends what PsDisableImpersonation began, and drops its reference. IRQL: PASSIVE_LEVEL.
    fn PsRestoreImpersonation(Thread: *mut KTHREAD, ImpersonationState: *mut SE_IMPERSONATION_STATE);
    /// Lets the current thread act for its process. IRQL: PASSIVE_LEVEL.
    fn PsRevertToSelf();
    /// Opens a device that exists. IRQL: PASSIVE_LEVEL.
    fn ZwOpenFile(
        FileHandle: *mut HANDLE,
        DesiredAccess: ACCESS_MASK,
        ObjectAttributes: *mut OBJECT_ATTRIBUTES,
        IoStatusBlock: *mut IO_STATUS_BLOCK,
        ShareAccess: u32,
        OpenOptions: u32,
    ) -> NTSTATUS;
    /// Stops the machine. IRQL: any.
    fn KeBugCheckEx(
        BugCheckCode: u32,
        BugCheckParameter1: usize,
        BugCheckParameter2: usize,
        BugCheckParameter3: usize,
        BugCheckParameter4: usize,
    ) -> !;
}

#[cfg(windows)]
#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    /// The type of event objects.
    static ExEventObjectType: *mut OBJECT_TYPE;
}

/// The type of event objects: what the kernel's variable `ExEventObjectType` holds. IRQL: PASSIVE_LEVEL.
#[must_use]
pub fn event_object_type() -> *mut OBJECT_TYPE {
    #[cfg(windows)]
    // SAFETY: written before any driver is loaded.
    unsafe {
        ExEventObjectType
    }
    // Variables are each machine's own, of which a process may have several: there is none to link to.
    #[cfg(not(windows))]
    {
        const NAME: crate::UnicodeStr<'static> = crate::utf16!("ExEventObjectType");
        // SAFETY: at PASSIVE_LEVEL, with a valid string.
        let variable = unsafe { MmGetSystemRoutineAddress(NAME.as_raw()) }.cast::<*mut OBJECT_TYPE>();
        assert!(!variable.is_null(), "the kernel exports ExEventObjectType");
        // SAFETY: the kernel's variable, which does not change.
        unsafe { *variable }
    }
}
