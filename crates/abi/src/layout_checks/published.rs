//! Layouts that mingw's headers lack or state otherwise, against what Microsoft publishes (headers/public_only.tsv).

use crate::*;

layout! { DEVICE_OBJECT 0x150; 0x140 Reserved, }
layout! { PORT_MESSAGE 0x28; 0 DataLength, 2 TotalLength, 4 Type, 6 DataInfoOffset, 8 ClientId, 0x18 MessageId, 0x20 ClientViewSize, }
layout! { PORT_VIEW 0x30; 0 Length, 8 SectionHandle, 0x10 SectionOffset, 0x18 ViewSize, 0x20 ViewBase, 0x28 ViewRemoteBase, }
layout! { REMOTE_PORT_VIEW 0x18; 0 Length, 8 ViewSize, 0x10 ViewBase, }
layout! { FILTER_MESSAGE_HEADER 0x10; 0 ReplyLength, 8 MessageId, }
layout! { FILTER_REPLY_HEADER 0x10; 0 Status, 8 MessageId, }
layout! { KUSER_SHARED_DATA size_of::<KUSER_SHARED_DATA>();
    0x8 InterruptTime, 0x14 SystemTime, 0x20 TimeZoneBias, 0x30 NtSystemRoot, 0x244 LargePageMinimum,
    0x248 AitSamplingValue, 0x250 RNGSeedVersion, 0x25C TimeZoneBiasStamp, 0x260 NtBuildNumber, 0x264 NtProductType,
    0x26A NativeProcessorArchitecture, 0x26C NtMajorVersion, 0x270 NtMinorVersion, 0x274 ProcessorFeatures,
    0x2C4 BootId, 0x2D4 KdDebuggerEnabled, 0x2D5 MitigationPolicies, 0x2D8 ActiveConsoleId, 0x2EC SafeBootMode,
    0x2F0 SharedDataFlags, 0x2F8 TestRetInstruction, 0x300 QpcFrequency, 0x308 SystemCall, 0x320 TickCount,
    0x330 Cookie, 0x338 ConsoleSessionForegroundProcessId, 0x340 TimeUpdateLock, 0x36C EnclaveFeatureMask,
    0x380 UserModeGlobalLogger, 0x3A0 ImageFileExecutionOptions, 0x3B0 InterruptTimeBias, 0x3B8 QpcBias,
    0x3C0 ActiveProcessorCount, 0x3C6 QpcData, 0x3C8 TimeZoneBiasEffectiveStart, 0x3D8 XState,
}
layout! { KEY_NAME_INFORMATION 8; 0 NameLength, 4 Name, }
layout! { MEMORY_BASIC_INFORMATION 0x30; 0x14 PartitionId, }
layout! { FILE_FS_SECTOR_SIZE_INFORMATION 0x1c;
    0 LogicalBytesPerSector, 4 PhysicalBytesPerSectorForAtomicity, 8 PhysicalBytesPerSectorForPerformance,
    0xc FileSystemEffectivePhysicalBytesPerSectorForAtomicity, 0x10 Flags, 0x14 ByteOffsetForSectorAlignment,
    0x18 ByteOffsetForPartitionAlignment,
}
