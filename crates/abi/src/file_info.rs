//! File and volume information classes and the structures they carry.

use core::ffi::c_void;

use crate::*;

/// What a file query or set carries.
pub type FILE_INFORMATION_CLASS = i32;
pub const FileDirectoryInformation: FILE_INFORMATION_CLASS = 1;
pub const FileFullDirectoryInformation: FILE_INFORMATION_CLASS = 2;
pub const FileBothDirectoryInformation: FILE_INFORMATION_CLASS = 3;
pub const FileBasicInformation: FILE_INFORMATION_CLASS = 4;
pub const FileStandardInformation: FILE_INFORMATION_CLASS = 5;
pub const FileInternalInformation: FILE_INFORMATION_CLASS = 6;
pub const FileEaInformation: FILE_INFORMATION_CLASS = 7;
pub const FileAccessInformation: FILE_INFORMATION_CLASS = 8;
pub const FileNameInformation: FILE_INFORMATION_CLASS = 9;
pub const FileRenameInformation: FILE_INFORMATION_CLASS = 10;
pub const FileLinkInformation: FILE_INFORMATION_CLASS = 11;
pub const FileNamesInformation: FILE_INFORMATION_CLASS = 12;
pub const FileDispositionInformation: FILE_INFORMATION_CLASS = 13;
pub const FilePositionInformation: FILE_INFORMATION_CLASS = 14;
pub const FileFullEaInformation: FILE_INFORMATION_CLASS = 15;
pub const FileModeInformation: FILE_INFORMATION_CLASS = 16;
pub const FileAlignmentInformation: FILE_INFORMATION_CLASS = 17;
pub const FileAllInformation: FILE_INFORMATION_CLASS = 18;
pub const FileAllocationInformation: FILE_INFORMATION_CLASS = 19;
pub const FileEndOfFileInformation: FILE_INFORMATION_CLASS = 20;
pub const FileAlternateNameInformation: FILE_INFORMATION_CLASS = 21;
pub const FileStreamInformation: FILE_INFORMATION_CLASS = 22;
pub const FilePipeInformation: FILE_INFORMATION_CLASS = 23;
pub const FilePipeLocalInformation: FILE_INFORMATION_CLASS = 24;
pub const FilePipeRemoteInformation: FILE_INFORMATION_CLASS = 25;
pub const FileMailslotQueryInformation: FILE_INFORMATION_CLASS = 26;
pub const FileMailslotSetInformation: FILE_INFORMATION_CLASS = 27;
pub const FileCompressionInformation: FILE_INFORMATION_CLASS = 28;
pub const FileObjectIdInformation: FILE_INFORMATION_CLASS = 29;
pub const FileCompletionInformation: FILE_INFORMATION_CLASS = 30;
pub const FileMoveClusterInformation: FILE_INFORMATION_CLASS = 31;
pub const FileQuotaInformation: FILE_INFORMATION_CLASS = 32;
pub const FileReparsePointInformation: FILE_INFORMATION_CLASS = 33;
pub const FileNetworkOpenInformation: FILE_INFORMATION_CLASS = 34;
pub const FileAttributeTagInformation: FILE_INFORMATION_CLASS = 35;
pub const FileTrackingInformation: FILE_INFORMATION_CLASS = 36;
pub const FileIdBothDirectoryInformation: FILE_INFORMATION_CLASS = 37;
pub const FileIdFullDirectoryInformation: FILE_INFORMATION_CLASS = 38;
pub const FileValidDataLengthInformation: FILE_INFORMATION_CLASS = 39;
pub const FileShortNameInformation: FILE_INFORMATION_CLASS = 40;
pub const FileIoCompletionNotificationInformation: FILE_INFORMATION_CLASS = 41;
pub const FileIoStatusBlockRangeInformation: FILE_INFORMATION_CLASS = 42;
pub const FileIoPriorityHintInformation: FILE_INFORMATION_CLASS = 43;
pub const FileSfioReserveInformation: FILE_INFORMATION_CLASS = 44;
pub const FileSfioVolumeInformation: FILE_INFORMATION_CLASS = 45;
pub const FileHardLinkInformation: FILE_INFORMATION_CLASS = 46;
pub const FileProcessIdsUsingFileInformation: FILE_INFORMATION_CLASS = 47;
pub const FileNormalizedNameInformation: FILE_INFORMATION_CLASS = 48;
pub const FileNetworkPhysicalNameInformation: FILE_INFORMATION_CLASS = 49;
pub const FileIdGlobalTxDirectoryInformation: FILE_INFORMATION_CLASS = 50;
pub const FileIsRemoteDeviceInformation: FILE_INFORMATION_CLASS = 51;
pub const FileUnusedInformation: FILE_INFORMATION_CLASS = 52;
pub const FileNumaNodeInformation: FILE_INFORMATION_CLASS = 53;
pub const FileStandardLinkInformation: FILE_INFORMATION_CLASS = 54;
pub const FileRemoteProtocolInformation: FILE_INFORMATION_CLASS = 55;
pub const FileRenameInformationBypassAccessCheck: FILE_INFORMATION_CLASS = 56;
pub const FileLinkInformationBypassAccessCheck: FILE_INFORMATION_CLASS = 57;
pub const FileVolumeNameInformation: FILE_INFORMATION_CLASS = 58;
pub const FileIdInformation: FILE_INFORMATION_CLASS = 59;
pub const FileIdExtdDirectoryInformation: FILE_INFORMATION_CLASS = 60;
pub const FileReplaceCompletionInformation: FILE_INFORMATION_CLASS = 61;
pub const FileHardLinkFullIdInformation: FILE_INFORMATION_CLASS = 62;
pub const FileIdExtdBothDirectoryInformation: FILE_INFORMATION_CLASS = 63;
pub const FileDispositionInformationEx: FILE_INFORMATION_CLASS = 64;
pub const FileRenameInformationEx: FILE_INFORMATION_CLASS = 65;
pub const FileRenameInformationExBypassAccessCheck: FILE_INFORMATION_CLASS = 66;
pub const FileDesiredStorageClassInformation: FILE_INFORMATION_CLASS = 67;
pub const FileStatInformation: FILE_INFORMATION_CLASS = 68;
pub const FileMemoryPartitionInformation: FILE_INFORMATION_CLASS = 69;
pub const FileStatLxInformation: FILE_INFORMATION_CLASS = 70;
pub const FileCaseSensitiveInformation: FILE_INFORMATION_CLASS = 71;
pub const FileLinkInformationEx: FILE_INFORMATION_CLASS = 72;
pub const FileLinkInformationExBypassAccessCheck: FILE_INFORMATION_CLASS = 73;
pub const FileStorageReserveIdInformation: FILE_INFORMATION_CLASS = 74;
pub const FileCaseSensitiveInformationForceAccessCheck: FILE_INFORMATION_CLASS = 75;
pub const FileMaximumInformation: FILE_INFORMATION_CLASS = 76;

/// What a volume query or set carries.
pub type FSINFOCLASS = i32;
pub const FileFsVolumeInformation: FSINFOCLASS = 1;
pub const FileFsLabelInformation: FSINFOCLASS = 2;
pub const FileFsSizeInformation: FSINFOCLASS = 3;
pub const FileFsDeviceInformation: FSINFOCLASS = 4;
pub const FileFsAttributeInformation: FSINFOCLASS = 5;
pub const FileFsControlInformation: FSINFOCLASS = 6;
pub const FileFsFullSizeInformation: FSINFOCLASS = 7;
pub const FileFsObjectIdInformation: FSINFOCLASS = 8;
pub const FileFsDriverPathInformation: FSINFOCLASS = 9;
pub const FileFsVolumeFlagsInformation: FSINFOCLASS = 10;
pub const FileFsSectorSizeInformation: FSINFOCLASS = 11;
pub const FileFsDataCopyInformation: FSINFOCLASS = 12;
pub const FileFsMetadataSizeInformation: FSINFOCLASS = 13;
pub const FileFsFullSizeInformationEx: FSINFOCLASS = 14;
pub const FileFsMaximumInformation: FSINFOCLASS = 15;

/// How a directory change is reported.
pub type DIRECTORY_NOTIFY_INFORMATION_CLASS = i32;
pub const DirectoryNotifyInformation: DIRECTORY_NOTIFY_INFORMATION_CLASS = 1;
pub const DirectoryNotifyExtendedInformation: DIRECTORY_NOTIFY_INFORMATION_CLASS = 2;

/// How urgent a request is.
pub type IO_PRIORITY_HINT = i32;
pub const IoPriorityVeryLow: IO_PRIORITY_HINT = 0;
pub const IoPriorityLow: IO_PRIORITY_HINT = 1;
pub const IoPriorityNormal: IO_PRIORITY_HINT = 2;
pub const IoPriorityHigh: IO_PRIORITY_HINT = 3;
pub const IoPriorityCritical: IO_PRIORITY_HINT = 4;
pub const MaxIoPriorityTypes: IO_PRIORITY_HINT = 5;

/// File information, `FileBasicInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_BASIC_INFORMATION {
    pub CreationTime: LARGE_INTEGER,
    pub LastAccessTime: LARGE_INTEGER,
    pub LastWriteTime: LARGE_INTEGER,
    pub ChangeTime: LARGE_INTEGER,
    pub FileAttributes: u32,
}

/// File information, `FileStandardInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_STANDARD_INFORMATION {
    pub AllocationSize: LARGE_INTEGER,
    pub EndOfFile: LARGE_INTEGER,
    pub NumberOfLinks: u32,
    pub DeletePending: BOOLEAN,
    pub Directory: BOOLEAN,
}

/// File information, `FilePositionInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_POSITION_INFORMATION {
    pub CurrentByteOffset: LARGE_INTEGER,
}

/// File information, `FileNameInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_NAME_INFORMATION {
    pub FileNameLength: u32,
    pub FileName: [u16; 1],
}

/// File information, `FileAlignmentInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_ALIGNMENT_INFORMATION {
    pub AlignmentRequirement: u32,
}

/// File information, `FileAttributeTagInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_ATTRIBUTE_TAG_INFORMATION {
    pub FileAttributes: u32,
    pub ReparseTag: u32,
}

/// File information, `FileDispositionInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_DISPOSITION_INFORMATION {
    pub DeleteFile: BOOLEAN,
}

/// File information, `FileEndOfFileInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_END_OF_FILE_INFORMATION {
    pub EndOfFile: LARGE_INTEGER,
}

/// File information, `FileAllocationInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_ALLOCATION_INFORMATION {
    pub AllocationSize: LARGE_INTEGER,
}

/// File information, `FileValidDataLengthInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_VALID_DATA_LENGTH_INFORMATION {
    pub ValidDataLength: LARGE_INTEGER,
}

/// File information, `FileNetworkOpenInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_NETWORK_OPEN_INFORMATION {
    pub CreationTime: LARGE_INTEGER,
    pub LastAccessTime: LARGE_INTEGER,
    pub LastWriteTime: LARGE_INTEGER,
    pub ChangeTime: LARGE_INTEGER,
    pub AllocationSize: LARGE_INTEGER,
    pub EndOfFile: LARGE_INTEGER,
    pub FileAttributes: u32,
}

/// File information, `FileInternalInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_INTERNAL_INFORMATION {
    pub IndexNumber: LARGE_INTEGER,
}

/// File information, `FileEaInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_EA_INFORMATION {
    pub EaSize: u32,
}

/// File information, `FileAccessInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_ACCESS_INFORMATION {
    pub AccessFlags: ACCESS_MASK,
}

/// File information, `FileModeInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_MODE_INFORMATION {
    pub Mode: u32,
}

/// File information, `FileAllInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_ALL_INFORMATION {
    pub BasicInformation: FILE_BASIC_INFORMATION,
    pub StandardInformation: FILE_STANDARD_INFORMATION,
    pub InternalInformation: FILE_INTERNAL_INFORMATION,
    pub EaInformation: FILE_EA_INFORMATION,
    pub AccessInformation: FILE_ACCESS_INFORMATION,
    pub PositionInformation: FILE_POSITION_INFORMATION,
    pub ModeInformation: FILE_MODE_INFORMATION,
    pub AlignmentInformation: FILE_ALIGNMENT_INFORMATION,
    pub NameInformation: FILE_NAME_INFORMATION,
}

/// File information, `FileRenameInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_RENAME_INFORMATION {
    pub ReplaceIfExists: BOOLEAN,
    pub RootDirectory: HANDLE,
    pub FileNameLength: u32,
    pub FileName: [u16; 1],
}

/// File information, `FileLinkInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_LINK_INFORMATION {
    pub ReplaceIfExists: BOOLEAN,
    pub RootDirectory: HANDLE,
    pub FileNameLength: u32,
    pub FileName: [u16; 1],
}

/// File information, `FileStreamInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_STREAM_INFORMATION {
    pub NextEntryOffset: u32,
    pub StreamNameLength: u32,
    pub StreamSize: LARGE_INTEGER,
    pub StreamAllocationSize: LARGE_INTEGER,
    pub StreamName: [u16; 1],
}

/// File information, `FileCompletionInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_COMPLETION_INFORMATION {
    pub Port: HANDLE,
    pub Key: *mut c_void,
}

/// File information, `FilePipeInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_PIPE_INFORMATION {
    pub ReadMode: u32,
    pub CompletionMode: u32,
}

/// File information, `FilePipeLocalInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_PIPE_LOCAL_INFORMATION {
    pub NamedPipeType: u32,
    pub NamedPipeConfiguration: u32,
    pub MaximumInstances: u32,
    pub CurrentInstances: u32,
    pub InboundQuota: u32,
    pub ReadDataAvailable: u32,
    pub OutboundQuota: u32,
    pub WriteQuotaAvailable: u32,
    pub NamedPipeState: u32,
    pub NamedPipeEnd: u32,
}

/// File information, `FilePipeRemoteInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_PIPE_REMOTE_INFORMATION {
    pub CollectDataTime: LARGE_INTEGER,
    pub MaximumCollectionCount: u32,
}

/// File information, `FileMailslotQueryInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_MAILSLOT_QUERY_INFORMATION {
    pub MaximumMessageSize: u32,
    pub MailslotQuota: u32,
    pub NextMessageSize: u32,
    pub MessagesAvailable: u32,
    pub ReadTimeout: LARGE_INTEGER,
}

/// File information, `FileMailslotSetInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_MAILSLOT_SET_INFORMATION {
    pub ReadTimeout: *mut LARGE_INTEGER,
}

/// File information, `FileIoPriorityHintInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_IO_PRIORITY_HINT_INFORMATION {
    pub PriorityHint: IO_PRIORITY_HINT,
}

/// File information, `FileIoCompletionNotificationInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_IO_COMPLETION_NOTIFICATION_INFORMATION {
    pub Flags: u32,
}

/// File information, `FileIsRemoteDeviceInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_IS_REMOTE_DEVICE_INFORMATION {
    pub IsRemote: BOOLEAN,
}

/// File information, `FileFullEaInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_FULL_EA_INFORMATION {
    pub NextEntryOffset: u32,
    pub Flags: u8,
    pub EaNameLength: u8,
    pub EaValueLength: u16,
    pub EaName: [i8; 1],
}

/// File information, `FileGetEaInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_GET_EA_INFORMATION {
    pub NextEntryOffset: u32,
    pub EaNameLength: u8,
    pub EaName: [i8; 1],
}

/// File information, `FileGetQuotaInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_GET_QUOTA_INFORMATION {
    pub NextEntryOffset: u32,
    pub SidLength: u32,
    pub Sid: SID,
}

/// An entry of IRP_MJ_QUERY_QUOTA and IRP_MJ_SET_QUOTA. Lengths are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_QUOTA_INFORMATION {
    pub NextEntryOffset: u32,
    pub SidLength: u32,
    pub ChangeTime: LARGE_INTEGER,
    pub QuotaUsed: LARGE_INTEGER,
    pub QuotaThreshold: LARGE_INTEGER,
    pub QuotaLimit: LARGE_INTEGER,
    pub Sid: SID,
}

/// File information, `FileDirectoryInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_DIRECTORY_INFORMATION {
    pub NextEntryOffset: u32,
    pub FileIndex: u32,
    pub CreationTime: LARGE_INTEGER,
    pub LastAccessTime: LARGE_INTEGER,
    pub LastWriteTime: LARGE_INTEGER,
    pub ChangeTime: LARGE_INTEGER,
    pub EndOfFile: LARGE_INTEGER,
    pub AllocationSize: LARGE_INTEGER,
    pub FileAttributes: u32,
    pub FileNameLength: u32,
    pub FileName: [u16; 1],
}

/// File information, `FileFullDirInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_FULL_DIR_INFORMATION {
    pub NextEntryOffset: u32,
    pub FileIndex: u32,
    pub CreationTime: LARGE_INTEGER,
    pub LastAccessTime: LARGE_INTEGER,
    pub LastWriteTime: LARGE_INTEGER,
    pub ChangeTime: LARGE_INTEGER,
    pub EndOfFile: LARGE_INTEGER,
    pub AllocationSize: LARGE_INTEGER,
    pub FileAttributes: u32,
    pub FileNameLength: u32,
    pub EaSize: u32,
    pub FileName: [u16; 1],
}

/// File information, `FileBothDirInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_BOTH_DIR_INFORMATION {
    pub NextEntryOffset: u32,
    pub FileIndex: u32,
    pub CreationTime: LARGE_INTEGER,
    pub LastAccessTime: LARGE_INTEGER,
    pub LastWriteTime: LARGE_INTEGER,
    pub ChangeTime: LARGE_INTEGER,
    pub EndOfFile: LARGE_INTEGER,
    pub AllocationSize: LARGE_INTEGER,
    pub FileAttributes: u32,
    pub FileNameLength: u32,
    pub EaSize: u32,
    pub ShortNameLength: i8,
    pub ShortName: [u16; 12],
    pub FileName: [u16; 1],
}

/// File information, `FileIdFullDirInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_ID_FULL_DIR_INFORMATION {
    pub NextEntryOffset: u32,
    pub FileIndex: u32,
    pub CreationTime: LARGE_INTEGER,
    pub LastAccessTime: LARGE_INTEGER,
    pub LastWriteTime: LARGE_INTEGER,
    pub ChangeTime: LARGE_INTEGER,
    pub EndOfFile: LARGE_INTEGER,
    pub AllocationSize: LARGE_INTEGER,
    pub FileAttributes: u32,
    pub FileNameLength: u32,
    pub EaSize: u32,
    pub FileId: LARGE_INTEGER,
    pub FileName: [u16; 1],
}

/// File information, `FileIdBothDirInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_ID_BOTH_DIR_INFORMATION {
    pub NextEntryOffset: u32,
    pub FileIndex: u32,
    pub CreationTime: LARGE_INTEGER,
    pub LastAccessTime: LARGE_INTEGER,
    pub LastWriteTime: LARGE_INTEGER,
    pub ChangeTime: LARGE_INTEGER,
    pub EndOfFile: LARGE_INTEGER,
    pub AllocationSize: LARGE_INTEGER,
    pub FileAttributes: u32,
    pub FileNameLength: u32,
    pub EaSize: u32,
    pub ShortNameLength: i8,
    pub ShortName: [u16; 12],
    pub FileId: LARGE_INTEGER,
    pub FileName: [u16; 1],
}

/// File information, `FileNamesInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_NAMES_INFORMATION {
    pub NextEntryOffset: u32,
    pub FileIndex: u32,
    pub FileNameLength: u32,
    pub FileName: [u16; 1],
}

/// File information, `FileNotifyInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_NOTIFY_INFORMATION {
    pub NextEntryOffset: u32,
    pub Action: u32,
    pub FileNameLength: u32,
    pub FileName: [u16; 1],
}

/// Volume information, `FileFsDeviceInformation`. Lengths are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_FS_DEVICE_INFORMATION {
    pub DeviceType: u32,
    pub Characteristics: u32,
}

/// Volume information, `FileFsLabelInformation`. Lengths are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_FS_LABEL_INFORMATION {
    pub VolumeLabelLength: u32,
    pub VolumeLabel: [u16; 1],
}

/// Volume information, `FileFsVolumeInformation`. Lengths are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_FS_VOLUME_INFORMATION {
    pub VolumeCreationTime: LARGE_INTEGER,
    pub VolumeSerialNumber: u32,
    pub VolumeLabelLength: u32,
    pub SupportsObjects: BOOLEAN,
    pub VolumeLabel: [u16; 1],
}

/// Volume information, `FileFsSizeInformation`. Lengths are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_FS_SIZE_INFORMATION {
    pub TotalAllocationUnits: LARGE_INTEGER,
    pub AvailableAllocationUnits: LARGE_INTEGER,
    pub SectorsPerAllocationUnit: u32,
    pub BytesPerSector: u32,
}

/// Volume information, `FileFsFullSizeInformation`. Lengths are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_FS_FULL_SIZE_INFORMATION {
    pub TotalAllocationUnits: LARGE_INTEGER,
    pub CallerAvailableAllocationUnits: LARGE_INTEGER,
    pub ActualAvailableAllocationUnits: LARGE_INTEGER,
    pub SectorsPerAllocationUnit: u32,
    pub BytesPerSector: u32,
}

/// Volume information, `FileFsSectorSizeInformation`. Lengths are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_FS_SECTOR_SIZE_INFORMATION {
    pub LogicalBytesPerSector: u32,
    pub PhysicalBytesPerSectorForAtomicity: u32,
    pub PhysicalBytesPerSectorForPerformance: u32,
    pub FileSystemEffectivePhysicalBytesPerSectorForAtomicity: u32,
    pub Flags: u32,
    pub ByteOffsetForSectorAlignment: u32,
    pub ByteOffsetForPartitionAlignment: u32,
}

/// Volume information, `FileFsObjectidInformation`. Lengths are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_FS_OBJECTID_INFORMATION {
    pub ObjectId: [u8; 16],
    pub ExtendedInfo: [u8; 48],
}

/// Volume information, `FileFsAttributeInformation`. Lengths are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_FS_ATTRIBUTE_INFORMATION {
    pub FileSystemAttributes: u32,
    pub MaximumComponentNameLength: u32,
    pub FileSystemNameLength: u32,
    pub FileSystemName: [u16; 1],
}

pub const FILE_CASE_SENSITIVE_SEARCH: u32 = 0x1;
pub const FILE_CASE_PRESERVED_NAMES: u32 = 0x2;
pub const FILE_UNICODE_ON_DISK: u32 = 0x4;

/// Volume information, `FileFsControlInformation`. Lengths are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_FS_CONTROL_INFORMATION {
    pub FreeSpaceStartFiltering: LARGE_INTEGER,
    pub FreeSpaceThreshold: LARGE_INTEGER,
    pub FreeSpaceStopFiltering: LARGE_INTEGER,
    pub DefaultQuotaThreshold: LARGE_INTEGER,
    pub DefaultQuotaLimit: LARGE_INTEGER,
    pub FileSystemControlFlags: u32,
}

/// File information, `FileCompressionInformation`. Lengths are in bytes, times in units of 100 ns since 1601.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_COMPRESSION_INFORMATION {
    pub CompressedFileSize: LARGE_INTEGER,
    pub CompressionFormat: u16,
    pub CompressionUnitShift: u8,
    pub ChunkShift: u8,
    pub ClusterShift: u8,
    pub Reserved: [u8; 3],
}

/// The volume information class of an IRP.
pub type FS_INFORMATION_CLASS = FSINFOCLASS;
