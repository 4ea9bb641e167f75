//! Dispatcher objects and the other structures that drivers embed and the kernel works on.

use core::ffi::c_void;

use crate::*;

/// First part of every object that a thread can wait on. The headers overlay the bytes at 1 to 3 with names per object
/// type; this is the set that drivers can meet.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DISPATCHER_HEADER {
    /// Object type number, [`EventNotificationObject`] and so on.
    pub Type: u8,
    /// Also `Abandoned` and `TimerControlFlags`.
    pub Signalling: u8,
    /// Size of the object in units of four bytes; also `Hand` and `ThreadControlFlags`.
    pub Size: u8,
    /// Bit 7 says that a timer is in the timer queue; also `DebugActive` and `DpcActive`.
    pub TimerMiscFlags: u8,
    pub SignalState: i32,
    pub WaitListHead: LIST_ENTRY,
}

/// An event; notification events stay signalled, synchronization events release one waiter.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KEVENT {
    pub Header: DISPATCHER_HEADER,
}

/// A mutex that knows its owner.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KMUTANT {
    pub Header: DISPATCHER_HEADER,
    pub MutantListEntry: LIST_ENTRY,
    pub OwnerThread: *mut KTHREAD,
    pub Abandoned: BOOLEAN,
    pub ApcDisable: u8,
}

/// A counting semaphore.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSEMAPHORE {
    pub Header: DISPATCHER_HEADER,
    pub Limit: i32,
}

/// A queue of list entries for worker threads, of which `MaximumCount` run at a time.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KQUEUE {
    pub Header: DISPATCHER_HEADER,
    pub EntryListHead: LIST_ENTRY,
    pub CurrentCount: u32,
    pub MaximumCount: u32,
    pub ThreadListHead: LIST_ENTRY,
}

/// A timer; `DueTime` is in units of 100 ns, `Period` in milliseconds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KTIMER {
    pub Header: DISPATCHER_HEADER,
    pub DueTime: u64,
    pub TimerListEntry: LIST_ENTRY,
    pub Dpc: *mut KDPC,
    pub Processor: u32,
    pub Period: u32,
}

/// A deferred procedure call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KDPC {
    pub Type: u8,
    pub Importance: u8,
    pub Number: u16,
    pub DpcListEntry: LIST_ENTRY,
    pub DeferredRoutine: KDEFERRED_ROUTINE,
    pub DeferredContext: *mut c_void,
    pub SystemArgument1: *mut c_void,
    pub SystemArgument2: *mut c_void,
    pub DpcData: *mut c_void,
}

/// An asynchronous procedure call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KAPC {
    pub Type: u8,
    pub SpareByte0: u8,
    pub Size: u8,
    pub SpareByte1: u8,
    pub SpareLong0: u32,
    pub Thread: *mut KTHREAD,
    pub ApcListEntry: LIST_ENTRY,
    pub KernelRoutine: PKKERNEL_ROUTINE,
    pub RundownRoutine: PKRUNDOWN_ROUTINE,
    pub NormalRoutine: PKNORMAL_ROUTINE,
    pub NormalContext: *mut c_void,
    pub SystemArgument1: *mut c_void,
    pub SystemArgument2: *mut c_void,
    pub ApcStateIndex: i8,
    pub ApcMode: KPROCESSOR_MODE,
    pub Inserted: BOOLEAN,
}

/// One object of one thread's wait.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KWAIT_BLOCK {
    pub WaitListEntry: LIST_ENTRY,
    pub Thread: *mut KTHREAD,
    pub Object: *mut c_void,
    pub NextWaitBlock: *mut KWAIT_BLOCK,
    pub WaitKey: u16,
    pub WaitType: u8,
    pub BlockState: u8,
    pub SpareLong: i32,
}

/// A device's queue of requests and its busy flag.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KDEVICE_QUEUE {
    pub Type: i16,
    pub Size: i16,
    pub DeviceListHead: LIST_ENTRY,
    pub Lock: KSPIN_LOCK,
    pub Busy: BOOLEAN,
}

/// A request in a device queue.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KDEVICE_QUEUE_ENTRY {
    pub DeviceListEntry: LIST_ENTRY,
    pub SortKey: u32,
    pub Inserted: BOOLEAN,
}

/// A mutex that raises its owner to APC_LEVEL and is not recursive.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FAST_MUTEX {
    pub Count: i32,
    pub Owner: *mut KTHREAD,
    pub Contention: u32,
    pub Event: KEVENT,
    pub OldIrql: u32,
}

/// The wait object of a guarded mutex.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KGATE {
    pub Header: DISPATCHER_HEADER,
}

/// `s` of [`KGUARDED_MUTEX_U`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KGUARDED_MUTEX_U_S {
    pub KernelApcDisable: i16,
    pub SpecialApcDisable: i16,
}

/// `u` of [`KGUARDED_MUTEX`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union KGUARDED_MUTEX_U {
    pub s: KGUARDED_MUTEX_U_S,
    pub CombinedApcDisable: u32,
}

/// A mutex that disables all APCs of its owner.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KGUARDED_MUTEX {
    pub Count: i32,
    pub Owner: *mut KTHREAD,
    pub Contention: u32,
    pub Gate: KGATE,
    pub u: KGUARDED_MUTEX_U,
}

/// One owner of a resource and its count.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OWNER_ENTRY {
    pub OwnerThread: usize,
    pub TableSize: u32,
}

/// `u` of [`ERESOURCE`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union ERESOURCE_U {
    pub Address: *mut c_void,
    pub CreatorBackTraceIndex: usize,
}

/// A reader/writer lock.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ERESOURCE {
    pub SystemResourcesList: LIST_ENTRY,
    pub OwnerTable: *mut OWNER_ENTRY,
    pub ActiveCount: i16,
    pub Flag: u16,
    pub SharedWaiters: *mut KSEMAPHORE,
    pub ExclusiveWaiters: *mut KEVENT,
    pub OwnerEntry: OWNER_ENTRY,
    pub ActiveEntries: u32,
    pub ContentionCount: u32,
    pub NumberOfSharedWaiters: u32,
    pub NumberOfExclusiveWaiters: u32,
    pub Reserved2: *mut c_void,
    pub u: ERESOURCE_U,
    pub SpinLock: KSPIN_LOCK,
}

/// A work item of the system worker threads.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct WORK_QUEUE_ITEM {
    pub List: LIST_ENTRY,
    pub WorkerRoutine: WORKER_THREAD_ROUTINE,
    pub Parameter: *mut c_void,
}

/// A processor's place in a queued spin lock.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KSPIN_LOCK_QUEUE {
    pub Next: *mut KSPIN_LOCK_QUEUE,
    pub Lock: *mut usize,
}

/// A caller's place in an in-stack queued spin lock, and the IRQL to return to.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KLOCK_QUEUE_HANDLE {
    pub LockQueue: KSPIN_LOCK_QUEUE,
    pub OldIrql: KIRQL,
}

/// Why a thread waits.
pub type KWAIT_REASON = i32;
pub const Executive: KWAIT_REASON = 0;
pub const FreePage: KWAIT_REASON = 1;
pub const PageIn: KWAIT_REASON = 2;
pub const PoolAllocation: KWAIT_REASON = 3;
pub const DelayExecution: KWAIT_REASON = 4;
pub const Suspended: KWAIT_REASON = 5;
pub const UserRequest: KWAIT_REASON = 6;
pub const WrExecutive: KWAIT_REASON = 7;
pub const WrFreePage: KWAIT_REASON = 8;
pub const WrPageIn: KWAIT_REASON = 9;
pub const WrPoolAllocation: KWAIT_REASON = 10;
pub const WrDelayExecution: KWAIT_REASON = 11;
pub const WrSuspended: KWAIT_REASON = 12;
pub const WrUserRequest: KWAIT_REASON = 13;
pub const WrSpare0: KWAIT_REASON = 14;
pub const WrQueue: KWAIT_REASON = 15;
pub const WrLpcReceive: KWAIT_REASON = 16;
pub const WrLpcReply: KWAIT_REASON = 17;
pub const WrVirtualMemory: KWAIT_REASON = 18;
pub const WrPageOut: KWAIT_REASON = 19;
pub const WrRendezvous: KWAIT_REASON = 20;
pub const WrKeyedEvent: KWAIT_REASON = 21;
pub const WrTerminated: KWAIT_REASON = 22;
pub const WrProcessInSwap: KWAIT_REASON = 23;
pub const WrCpuRateControl: KWAIT_REASON = 24;
pub const WrCalloutStack: KWAIT_REASON = 25;
pub const WrKernel: KWAIT_REASON = 26;
pub const WrResource: KWAIT_REASON = 27;
pub const WrPushLock: KWAIT_REASON = 28;
pub const WrMutex: KWAIT_REASON = 29;
pub const WrQuantumEnd: KWAIT_REASON = 30;
pub const WrDispatchInt: KWAIT_REASON = 31;
pub const WrPreempted: KWAIT_REASON = 32;
pub const WrYieldExecution: KWAIT_REASON = 33;
pub const WrFastMutex: KWAIT_REASON = 34;
pub const WrGuardedMutex: KWAIT_REASON = 35;
pub const WrRundown: KWAIT_REASON = 36;
pub const WrAlertByThreadId: KWAIT_REASON = 37;
pub const WrDeferredPreempt: KWAIT_REASON = 38;
pub const WrPhysicalFault: KWAIT_REASON = 39;
pub const MaximumWaitReason: KWAIT_REASON = 40;

/// Where a DPC enters its queue.
pub type KDPC_IMPORTANCE = i32;
pub const LowImportance: KDPC_IMPORTANCE = 0;
pub const MediumImportance: KDPC_IMPORTANCE = 1;
pub const HighImportance: KDPC_IMPORTANCE = 2;
pub const MediumHighImportance: KDPC_IMPORTANCE = 3;

/// Which worker threads run a work item.
pub type WORK_QUEUE_TYPE = i32;
pub const CriticalWorkQueue: WORK_QUEUE_TYPE = 0;
pub const DelayedWorkQueue: WORK_QUEUE_TYPE = 1;
pub const HyperCriticalWorkQueue: WORK_QUEUE_TYPE = 2;
pub const NormalWorkQueue: WORK_QUEUE_TYPE = 3;
pub const BackgroundWorkQueue: WORK_QUEUE_TYPE = 4;
pub const RealTimeWorkQueue: WORK_QUEUE_TYPE = 5;
pub const SuperCriticalWorkQueue: WORK_QUEUE_TYPE = 6;
pub const MaximumWorkQueue: WORK_QUEUE_TYPE = 7;
pub const CustomPriorityWorkQueue: WORK_QUEUE_TYPE = 32;

/// The body of a system thread. PASSIVE_LEVEL.
pub type KSTART_ROUTINE = Option<unsafe extern "win64" fn(*mut c_void)>;

/// The body of a DPC. DISPATCH_LEVEL.
pub type KDEFERRED_ROUTINE =
    Option<unsafe extern "win64" fn(*mut KDPC, *mut c_void, *mut c_void, *mut c_void)>;

/// Runs in kernel mode before an APC is delivered. APC_LEVEL.
pub type PKKERNEL_ROUTINE = Option<
    unsafe extern "win64" fn(
        *mut KAPC,
        PKNORMAL_ROUTINE,
        *mut *mut c_void,
        *mut *mut c_void,
        *mut *mut c_void,
    ),
>;

/// The body of an APC. PASSIVE_LEVEL.
pub type PKNORMAL_ROUTINE = Option<unsafe extern "win64" fn(*mut c_void, *mut c_void, *mut c_void)>;

/// Runs for an APC that its thread did not live to see.
pub type PKRUNDOWN_ROUTINE = Option<unsafe extern "win64" fn(*mut KAPC)>;

/// The body of a work item. PASSIVE_LEVEL.
pub type WORKER_THREAD_ROUTINE = Option<unsafe extern "win64" fn(*mut c_void)>;

/// An interrupt service routine. The device's IRQL.
pub type KSERVICE_ROUTINE = Option<unsafe extern "win64" fn(*mut KINTERRUPT, *mut c_void) -> BOOLEAN>;

/// Runs while the interrupt is held off. The device's IRQL.
pub type KSYNCHRONIZE_ROUTINE = Option<unsafe extern "win64" fn(*mut c_void) -> BOOLEAN>;

/// The callback of a timer with extended parameters. DISPATCH_LEVEL.
pub type EXT_CALLBACK = Option<unsafe extern "win64" fn(*mut EX_TIMER, *mut c_void)>;

/// Allocates an entry of a lookaside list.
pub type PALLOCATE_FUNCTION = Option<unsafe extern "win64" fn(POOL_TYPE, usize, u32) -> *mut c_void>;

/// Frees an entry of a lookaside list.
pub type PFREE_FUNCTION = Option<unsafe extern "win64" fn(*mut c_void)>;

/// A routine registered with a callback object.
pub type CALLBACK_FUNCTION = Option<unsafe extern "win64" fn(*mut c_void, *mut c_void, *mut c_void)>;

pub const LOW_LEVEL: u8 = 0x0;
pub const PASSIVE_LEVEL: u8 = 0x0;
pub const APC_LEVEL: u8 = 0x1;
pub const DISPATCH_LEVEL: u8 = 0x2;
pub const CMCI_LEVEL: u8 = 0x5;
pub const CLOCK_LEVEL: u8 = 0xd;
pub const DRS_LEVEL: u8 = 0xe;
pub const IPI_LEVEL: u8 = 0xe;
pub const POWER_LEVEL: u8 = 0xe;
pub const HIGH_LEVEL: u8 = 0xf;
pub const PROFILE_LEVEL: u8 = 0xf;

/// A routine that runs on an expanded kernel stack.
pub type EXPAND_STACK_CALLOUT = Option<unsafe extern "win64" fn(*mut c_void)>;

/// Numbers that [`DISPATCHER_HEADER::Type`] and the type fields of other kernel objects hold.
pub type KOBJECTS = u8;
pub const EventNotificationObject: KOBJECTS = 0;
pub const EventSynchronizationObject: KOBJECTS = 1;
pub const MutantObject: KOBJECTS = 2;
pub const ProcessObject: KOBJECTS = 3;
pub const QueueObject: KOBJECTS = 4;
pub const SemaphoreObject: KOBJECTS = 5;
pub const ThreadObject: KOBJECTS = 6;
pub const GateObject: KOBJECTS = 7;
pub const TimerNotificationObject: KOBJECTS = 8;
pub const TimerSynchronizationObject: KOBJECTS = 9;
pub const ApcObject: KOBJECTS = 18;
pub const DpcObject: KOBJECTS = 19;
pub const DeviceQueueObject: KOBJECTS = 20;
pub const EventPairObject: KOBJECTS = 21;
pub const InterruptObject: KOBJECTS = 22;
pub const ProfileObject: KOBJECTS = 23;
pub const ThreadedDpcObject: KOBJECTS = 24;

/// Whether an event stays signalled or releases one waiter.
pub type EVENT_TYPE = i32;
pub const NotificationEvent: EVENT_TYPE = 0;
pub const SynchronizationEvent: EVENT_TYPE = 1;

/// Whether a timer stays signalled or releases one waiter.
pub type TIMER_TYPE = i32;
pub const NotificationTimer: TIMER_TYPE = 0;
pub const SynchronizationTimer: TIMER_TYPE = 1;

/// Whether a wait needs all its objects or any.
pub type WAIT_TYPE = i32;
pub const WaitAll: WAIT_TYPE = 0;
pub const WaitAny: WAIT_TYPE = 1;

/// Wait blocks that a thread has of its own; more objects need a caller's array.
pub const THREAD_WAIT_OBJECTS: u32 = 3;
/// The most objects that one wait can name.
pub const MAXIMUM_WAIT_OBJECTS: u32 = 64;

/// Publicly known offsets of the processor control region, in bytes from the GS base.
pub mod gs {
    /// Linear address of the region itself.
    pub const SELF: usize = 0x18;
    /// Address of the current processor block.
    pub const CURRENT_PRCB: usize = 0x20;
    /// Current IRQL, one byte.
    pub const IRQL: usize = 0x50;
    /// The processor block embedded in the region.
    pub const PRCB: usize = 0x180;
    /// Processor number, four bytes.
    pub const PRCB_NUMBER: usize = 0x184;
    /// Address of the current thread object.
    pub const CURRENT_THREAD: usize = 0x188;
}
