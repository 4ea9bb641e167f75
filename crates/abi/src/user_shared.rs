//! The page that the kernel shares with every process, as ntddk.h of current kits lays it out.

use crate::*;

/// Where a driver reads the page.
pub const KI_USER_SHARED_DATA: u64 = 0xFFFF_F780_0000_0000;

/// A 64-bit count that a reader takes without a lock: high, low, then `High2Time` again until both highs agree.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KSYSTEM_TIME {
    pub LowPart: u32,
    pub High1Time: i32,
    pub High2Time: i32,
}

/// System-wide facts and clocks. Times are in units of 100 ns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KUSER_SHARED_DATA {
    pub TickCountLowDeprecated: u32,
    pub TickCountMultiplier: u32,
    pub InterruptTime: KSYSTEM_TIME,
    pub SystemTime: KSYSTEM_TIME,
    pub TimeZoneBias: KSYSTEM_TIME,
    pub ImageNumberLow: u16,
    pub ImageNumberHigh: u16,
    pub NtSystemRoot: [u16; 260],
    pub MaxStackTraceDepth: u32,
    pub CryptoExponent: u32,
    pub TimeZoneId: u32,
    pub LargePageMinimum: u32,
    pub AitSamplingValue: u32,
    pub AppCompatFlag: u32,
    pub RNGSeedVersion: u64,
    pub GlobalValidationRunlevel: u32,
    pub TimeZoneBiasStamp: i32,
    pub NtBuildNumber: u32,
    pub NtProductType: NT_PRODUCT_TYPE,
    pub ProductTypeIsValid: BOOLEAN,
    pub Reserved0: [BOOLEAN; 1],
    pub NativeProcessorArchitecture: u16,
    pub NtMajorVersion: u32,
    pub NtMinorVersion: u32,
    pub ProcessorFeatures: [BOOLEAN; PROCESSOR_FEATURE_MAX],
    pub Reserved1: u32,
    pub Reserved3: u32,
    pub TimeSlip: u32,
    pub AlternativeArchitecture: ALTERNATIVE_ARCHITECTURE_TYPE,
    pub BootId: u32,
    pub SystemExpirationDate: LARGE_INTEGER,
    pub SuiteMask: u32,
    pub KdDebuggerEnabled: BOOLEAN,
    pub MitigationPolicies: u8,
    pub CyclesPerYield: u16,
    pub ActiveConsoleId: u32,
    pub DismountCount: u32,
    pub ComPlusPackage: u32,
    pub LastSystemRITEventTickCount: u32,
    pub NumberOfPhysicalPages: u32,
    pub SafeBootMode: BOOLEAN,
    pub VirtualizationFlags: u8,
    pub Reserved12: [u8; 2],
    pub SharedDataFlags: u32,
    pub DataFlagsPad: [u32; 1],
    pub TestRetInstruction: u64,
    pub QpcFrequency: i64,
    pub SystemCall: u32,
    pub Reserved2: u32,
    pub SystemCallPad: [u64; 2],
    pub TickCount: KSYSTEM_TIME,
    pub TickCountPad: [u32; 1],
    pub Cookie: u32,
    pub CookiePad: [u32; 1],
    pub ConsoleSessionForegroundProcessId: i64,
    pub TimeUpdateLock: u64,
    pub BaselineSystemTimeQpc: u64,
    pub BaselineInterruptTimeQpc: u64,
    pub QpcSystemTimeIncrement: u64,
    pub QpcInterruptTimeIncrement: u64,
    pub QpcSystemTimeIncrementShift: u8,
    pub QpcInterruptTimeIncrementShift: u8,
    pub UnparkedProcessorCount: u16,
    pub EnclaveFeatureMask: [u32; 4],
    pub TelemetryCoverageRound: u32,
    pub UserModeGlobalLogger: [u16; 16],
    pub ImageFileExecutionOptions: u32,
    pub LangGenerationCount: u32,
    pub Reserved4: u64,
    pub InterruptTimeBias: u64,
    pub QpcBias: u64,
    pub ActiveProcessorCount: u32,
    pub ActiveGroupCount: u8,
    pub Reserved9: u8,
    pub QpcData: u16,
    pub TimeZoneBiasEffectiveStart: LARGE_INTEGER,
    pub TimeZoneBiasEffectiveEnd: LARGE_INTEGER,
    pub XState: XSTATE_CONFIGURATION,
}

/// Number of entries of `ProcessorFeatures`.
pub const PROCESSOR_FEATURE_MAX: usize = 64;

/// Which extended processor states are enabled, and where they are saved.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct XSTATE_CONFIGURATION {
    pub EnabledFeatures: u64,
    pub Size: u32,
    pub BitFields: u32,
    pub Features: [XSTATE_FEATURE; 64],
}

/// Place of one extended state, in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct XSTATE_FEATURE {
    pub Offset: u32,
    pub Size: u32,
}

/// Workstation, domain controller or server.
pub type NT_PRODUCT_TYPE = i32;
pub const NtProductWinNt: NT_PRODUCT_TYPE = 1;
pub const NtProductLanManNt: NT_PRODUCT_TYPE = 2;
pub const NtProductServer: NT_PRODUCT_TYPE = 3;

/// Variant of the PC architecture.
pub type ALTERNATIVE_ARCHITECTURE_TYPE = i32;
pub const StandardDesign: ALTERNATIVE_ARCHITECTURE_TYPE = 0;
pub const NEC98x86: ALTERNATIVE_ARCHITECTURE_TYPE = 1;
pub const EndAlternatives: ALTERNATIVE_ARCHITECTURE_TYPE = 2;

pub const PF_FLOATING_POINT_PRECISION_ERRATA: usize = 0x0;
pub const PF_FLOATING_POINT_EMULATED: usize = 0x1;
pub const PF_COMPARE_EXCHANGE_DOUBLE: usize = 0x2;
pub const PF_MMX_INSTRUCTIONS_AVAILABLE: usize = 0x3;
pub const PF_PPC_MOVEMEM_64BIT_OK: usize = 0x4;
pub const PF_ALPHA_BYTE_INSTRUCTIONS: usize = 0x5;
pub const PF_XMMI_INSTRUCTIONS_AVAILABLE: usize = 0x6;
pub const PF_3DNOW_INSTRUCTIONS_AVAILABLE: usize = 0x7;
pub const PF_RDTSC_INSTRUCTION_AVAILABLE: usize = 0x8;
pub const PF_PAE_ENABLED: usize = 0x9;
pub const PF_XMMI64_INSTRUCTIONS_AVAILABLE: usize = 0xa;
pub const PF_SSE_DAZ_MODE_AVAILABLE: usize = 0xb;
pub const PF_NX_ENABLED: usize = 0xc;
pub const PF_SSE3_INSTRUCTIONS_AVAILABLE: usize = 0xd;
pub const PF_COMPARE_EXCHANGE128: usize = 0xe;
pub const PF_COMPARE64_EXCHANGE128: usize = 0xf;
pub const PF_CHANNELS_ENABLED: usize = 0x10;
pub const PF_XSAVE_ENABLED: usize = 0x11;
