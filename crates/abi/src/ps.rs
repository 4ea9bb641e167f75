//! Processes and threads: notifications and the numbers of information classes.

use core::ffi::c_void;

use crate::*;

/// A process begins (nonzero) or ends. PASSIVE_LEVEL.
pub type PCREATE_PROCESS_NOTIFY_ROUTINE = Option<unsafe extern "win64" fn(HANDLE, HANDLE, BOOLEAN)>;

/// A process begins, with what is known about it, or ends (null). PASSIVE_LEVEL.
pub type PCREATE_PROCESS_NOTIFY_ROUTINE_EX =
    Option<unsafe extern "win64" fn(*mut EPROCESS, HANDLE, *mut PS_CREATE_NOTIFY_INFO)>;

/// A thread begins (nonzero) or ends.
pub type PCREATE_THREAD_NOTIFY_ROUTINE = Option<unsafe extern "win64" fn(HANDLE, HANDLE, BOOLEAN)>;

/// An image is mapped. PASSIVE_LEVEL.
pub type PLOAD_IMAGE_NOTIFY_ROUTINE =
    Option<unsafe extern "win64" fn(*mut UNICODE_STRING, HANDLE, *mut IMAGE_INFO)>;

/// What is known about a beginning process; `CreationStatus` can refuse it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PS_CREATE_NOTIFY_INFO {
    pub Size: usize,
    pub Flags: u32,
    pub ParentProcessId: HANDLE,
    pub CreatingThreadId: CLIENT_ID,
    pub FileObject: *mut FILE_OBJECT,
    pub ImageFileName: *mut UNICODE_STRING,
    pub CommandLine: *mut UNICODE_STRING,
    pub CreationStatus: NTSTATUS,
}

/// A mapped image.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IMAGE_INFO {
    pub Properties: u32,
    pub ImageBase: *mut c_void,
    pub ImageSelector: u32,
    pub ImageSize: usize,
    pub ImageSectionNumber: u32,
}

/// A registered routine to run at a bugcheck.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KBUGCHECK_CALLBACK_RECORD {
    pub Entry: LIST_ENTRY,
    pub CallbackRoutine: KBUGCHECK_CALLBACK_ROUTINE,
    pub Buffer: *mut c_void,
    pub Length: u32,
    pub Component: *mut u8,
    pub Checksum: usize,
    pub State: u8,
}

/// A registered routine that adds to a crash dump.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KBUGCHECK_REASON_CALLBACK_RECORD {
    pub Entry: LIST_ENTRY,
    pub CallbackRoutine: KBUGCHECK_REASON_CALLBACK_ROUTINE,
    pub Component: *mut u8,
    pub Checksum: usize,
    pub Reason: KBUGCHECK_CALLBACK_REASON,
    pub State: u8,
}

/// Runs at a bugcheck. HIGH_LEVEL.
pub type KBUGCHECK_CALLBACK_ROUTINE = Option<unsafe extern "win64" fn(*mut c_void, u32)>;

/// Runs at a bugcheck. HIGH_LEVEL.
pub type PKBUGCHECK_CALLBACK_ROUTINE = Option<unsafe extern "win64" fn(*mut c_void, u32)>;

/// Adds to a crash dump. HIGH_LEVEL.
pub type PKBUGCHECK_REASON_CALLBACK_ROUTINE = Option<
    unsafe extern "win64" fn(
        KBUGCHECK_CALLBACK_REASON,
        *mut KBUGCHECK_REASON_CALLBACK_RECORD,
        *mut c_void,
        u32,
    ),
>;

/// Adds to a crash dump. HIGH_LEVEL.
pub type KBUGCHECK_REASON_CALLBACK_ROUTINE = Option<
    unsafe extern "win64" fn(
        KBUGCHECK_CALLBACK_REASON,
        *mut KBUGCHECK_REASON_CALLBACK_RECORD,
        *mut c_void,
        u32,
    ),
>;

/// Why a bugcheck callback runs.
pub type KBUGCHECK_CALLBACK_REASON = i32;
pub const KbCallbackInvalid: KBUGCHECK_CALLBACK_REASON = 0;
pub const KbCallbackReserved1: KBUGCHECK_CALLBACK_REASON = 1;
pub const KbCallbackSecondaryDumpData: KBUGCHECK_CALLBACK_REASON = 2;
pub const KbCallbackDumpIo: KBUGCHECK_CALLBACK_REASON = 3;
pub const KbCallbackAddPages: KBUGCHECK_CALLBACK_REASON = 4;
pub const KbCallbackSecondaryMultiPartDumpData: KBUGCHECK_CALLBACK_REASON = 5;
pub const KbCallbackRemovePages: KBUGCHECK_CALLBACK_REASON = 6;
pub const KbCallbackTriageDumpData: KBUGCHECK_CALLBACK_REASON = 7;

/// What a process query or set carries.
pub type PROCESSINFOCLASS = i32;
pub const ProcessBasicInformation: PROCESSINFOCLASS = 0;
pub const ProcessQuotaLimits: PROCESSINFOCLASS = 1;
pub const ProcessIoCounters: PROCESSINFOCLASS = 2;
pub const ProcessVmCounters: PROCESSINFOCLASS = 3;
pub const ProcessTimes: PROCESSINFOCLASS = 4;
pub const ProcessBasePriority: PROCESSINFOCLASS = 5;
pub const ProcessRaisePriority: PROCESSINFOCLASS = 6;
pub const ProcessDebugPort: PROCESSINFOCLASS = 7;
pub const ProcessExceptionPort: PROCESSINFOCLASS = 8;
pub const ProcessAccessToken: PROCESSINFOCLASS = 9;
pub const ProcessLdtInformation: PROCESSINFOCLASS = 10;
pub const ProcessLdtSize: PROCESSINFOCLASS = 11;
pub const ProcessDefaultHardErrorMode: PROCESSINFOCLASS = 12;
pub const ProcessIoPortHandlers: PROCESSINFOCLASS = 13;
pub const ProcessPooledUsageAndLimits: PROCESSINFOCLASS = 14;
pub const ProcessWorkingSetWatch: PROCESSINFOCLASS = 15;
pub const ProcessUserModeIOPL: PROCESSINFOCLASS = 16;
pub const ProcessEnableAlignmentFaultFixup: PROCESSINFOCLASS = 17;
pub const ProcessPriorityClass: PROCESSINFOCLASS = 18;
pub const ProcessWx86Information: PROCESSINFOCLASS = 19;
pub const ProcessHandleCount: PROCESSINFOCLASS = 20;
pub const ProcessAffinityMask: PROCESSINFOCLASS = 21;
pub const ProcessPriorityBoost: PROCESSINFOCLASS = 22;
pub const ProcessDeviceMap: PROCESSINFOCLASS = 23;
pub const ProcessSessionInformation: PROCESSINFOCLASS = 24;
pub const ProcessForegroundInformation: PROCESSINFOCLASS = 25;
pub const ProcessWow64Information: PROCESSINFOCLASS = 26;
pub const ProcessImageFileName: PROCESSINFOCLASS = 27;
pub const ProcessLUIDDeviceMapsEnabled: PROCESSINFOCLASS = 28;
pub const ProcessBreakOnTermination: PROCESSINFOCLASS = 29;
pub const ProcessDebugObjectHandle: PROCESSINFOCLASS = 30;
pub const ProcessDebugFlags: PROCESSINFOCLASS = 31;
pub const ProcessHandleTracing: PROCESSINFOCLASS = 32;
pub const ProcessIoPriority: PROCESSINFOCLASS = 33;
pub const ProcessExecuteFlags: PROCESSINFOCLASS = 34;
pub const ProcessTlsInformation: PROCESSINFOCLASS = 35;
pub const ProcessCookie: PROCESSINFOCLASS = 36;
pub const ProcessImageInformation: PROCESSINFOCLASS = 37;
pub const ProcessCycleTime: PROCESSINFOCLASS = 38;
pub const ProcessPagePriority: PROCESSINFOCLASS = 39;
pub const ProcessInstrumentationCallback: PROCESSINFOCLASS = 40;
pub const ProcessThreadStackAllocation: PROCESSINFOCLASS = 41;
pub const ProcessWorkingSetWatchEx: PROCESSINFOCLASS = 42;
pub const ProcessImageFileNameWin32: PROCESSINFOCLASS = 43;
pub const ProcessImageFileMapping: PROCESSINFOCLASS = 44;
pub const ProcessAffinityUpdateMode: PROCESSINFOCLASS = 45;
pub const ProcessMemoryAllocationMode: PROCESSINFOCLASS = 46;
pub const ProcessGroupInformation: PROCESSINFOCLASS = 47;
pub const ProcessTokenVirtualizationEnabled: PROCESSINFOCLASS = 48;
pub const ProcessConsoleHostProcess: PROCESSINFOCLASS = 49;
pub const ProcessWindowInformation: PROCESSINFOCLASS = 50;
pub const MaxProcessInfoClass: PROCESSINFOCLASS = 51;

/// What a thread query or set carries.
pub type THREADINFOCLASS = i32;
pub const ThreadBasicInformation: THREADINFOCLASS = 0;
pub const ThreadTimes: THREADINFOCLASS = 1;
pub const ThreadPriority: THREADINFOCLASS = 2;
pub const ThreadBasePriority: THREADINFOCLASS = 3;
pub const ThreadAffinityMask: THREADINFOCLASS = 4;
pub const ThreadImpersonationToken: THREADINFOCLASS = 5;
pub const ThreadDescriptorTableEntry: THREADINFOCLASS = 6;
pub const ThreadEnableAlignmentFaultFixup: THREADINFOCLASS = 7;
pub const ThreadEventPair_Reusable: THREADINFOCLASS = 8;
pub const ThreadQuerySetWin32StartAddress: THREADINFOCLASS = 9;
pub const ThreadZeroTlsCell: THREADINFOCLASS = 10;
pub const ThreadPerformanceCount: THREADINFOCLASS = 11;
pub const ThreadAmILastThread: THREADINFOCLASS = 12;
pub const ThreadIdealProcessor: THREADINFOCLASS = 13;
pub const ThreadPriorityBoost: THREADINFOCLASS = 14;
pub const ThreadSetTlsArrayAddress: THREADINFOCLASS = 15;
pub const ThreadIsIoPending: THREADINFOCLASS = 16;
pub const ThreadHideFromDebugger: THREADINFOCLASS = 17;
pub const ThreadBreakOnTermination: THREADINFOCLASS = 18;
pub const ThreadSwitchLegacyState: THREADINFOCLASS = 19;
pub const ThreadIsTerminated: THREADINFOCLASS = 20;
pub const ThreadLastSystemCall: THREADINFOCLASS = 21;
pub const ThreadIoPriority: THREADINFOCLASS = 22;
pub const ThreadCycleTime: THREADINFOCLASS = 23;
pub const ThreadPagePriority: THREADINFOCLASS = 24;
pub const ThreadActualBasePriority: THREADINFOCLASS = 25;
pub const ThreadTebInformation: THREADINFOCLASS = 26;
pub const ThreadCSwitchMon: THREADINFOCLASS = 27;
pub const ThreadCSwitchPmu: THREADINFOCLASS = 28;
pub const ThreadWow64Context: THREADINFOCLASS = 29;
pub const ThreadGroupInformation: THREADINFOCLASS = 30;
pub const ThreadUmsInformation: THREADINFOCLASS = 31;
pub const ThreadCounterProfiling: THREADINFOCLASS = 32;
pub const ThreadIdealProcessorEx: THREADINFOCLASS = 33;
pub const MaxThreadInfoClass: THREADINFOCLASS = 34;
