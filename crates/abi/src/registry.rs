//! Registry keys and values as the native calls exchange them.

use core::ffi::c_void;

use crate::*;

/// What a key query answers.
pub type KEY_INFORMATION_CLASS = i32;
pub const KeyBasicInformation: KEY_INFORMATION_CLASS = 0;
pub const KeyNodeInformation: KEY_INFORMATION_CLASS = 1;
pub const KeyFullInformation: KEY_INFORMATION_CLASS = 2;
pub const KeyNameInformation: KEY_INFORMATION_CLASS = 3;
pub const KeyCachedInformation: KEY_INFORMATION_CLASS = 4;
pub const KeyFlagsInformation: KEY_INFORMATION_CLASS = 5;
pub const KeyVirtualizationInformation: KEY_INFORMATION_CLASS = 6;
pub const KeyHandleTagsInformation: KEY_INFORMATION_CLASS = 7;
pub const KeyTrustInformation: KEY_INFORMATION_CLASS = 8;
pub const KeyLayerInformation: KEY_INFORMATION_CLASS = 9;
pub const MaxKeyInfoClass: KEY_INFORMATION_CLASS = 10;

/// What a value query answers.
pub type KEY_VALUE_INFORMATION_CLASS = i32;
pub const KeyValueBasicInformation: KEY_VALUE_INFORMATION_CLASS = 0;
pub const KeyValueFullInformation: KEY_VALUE_INFORMATION_CLASS = 1;
pub const KeyValuePartialInformation: KEY_VALUE_INFORMATION_CLASS = 2;
pub const KeyValueFullInformationAlign64: KEY_VALUE_INFORMATION_CLASS = 3;
pub const KeyValuePartialInformationAlign64: KEY_VALUE_INFORMATION_CLASS = 4;
pub const KeyValueLayerInformation: KEY_VALUE_INFORMATION_CLASS = 5;
pub const MaxKeyValueInfoClass: KEY_VALUE_INFORMATION_CLASS = 6;

/// Which registry operation a callback sees.
pub type REG_NOTIFY_CLASS = i32;
pub const RegNtDeleteKey: REG_NOTIFY_CLASS = 0;
pub const RegNtPreDeleteKey: REG_NOTIFY_CLASS = 0;
pub const RegNtSetValueKey: REG_NOTIFY_CLASS = 1;
pub const RegNtPreSetValueKey: REG_NOTIFY_CLASS = 1;
pub const RegNtDeleteValueKey: REG_NOTIFY_CLASS = 2;
pub const RegNtPreDeleteValueKey: REG_NOTIFY_CLASS = 2;
pub const RegNtSetInformationKey: REG_NOTIFY_CLASS = 3;
pub const RegNtPreSetInformationKey: REG_NOTIFY_CLASS = 3;
pub const RegNtRenameKey: REG_NOTIFY_CLASS = 4;
pub const RegNtPreRenameKey: REG_NOTIFY_CLASS = 4;
pub const RegNtEnumerateKey: REG_NOTIFY_CLASS = 5;
pub const RegNtPreEnumerateKey: REG_NOTIFY_CLASS = 5;
pub const RegNtEnumerateValueKey: REG_NOTIFY_CLASS = 6;
pub const RegNtPreEnumerateValueKey: REG_NOTIFY_CLASS = 6;
pub const RegNtQueryKey: REG_NOTIFY_CLASS = 7;
pub const RegNtPreQueryKey: REG_NOTIFY_CLASS = 7;
pub const RegNtQueryValueKey: REG_NOTIFY_CLASS = 8;
pub const RegNtPreQueryValueKey: REG_NOTIFY_CLASS = 8;
pub const RegNtQueryMultipleValueKey: REG_NOTIFY_CLASS = 9;
pub const RegNtPreQueryMultipleValueKey: REG_NOTIFY_CLASS = 9;
pub const RegNtPreCreateKey: REG_NOTIFY_CLASS = 10;
pub const RegNtPostCreateKey: REG_NOTIFY_CLASS = 11;
pub const RegNtPreOpenKey: REG_NOTIFY_CLASS = 12;
pub const RegNtPostOpenKey: REG_NOTIFY_CLASS = 13;
pub const RegNtKeyHandleClose: REG_NOTIFY_CLASS = 14;
pub const RegNtPreKeyHandleClose: REG_NOTIFY_CLASS = 14;
pub const RegNtPostDeleteKey: REG_NOTIFY_CLASS = 15;
pub const RegNtPostSetValueKey: REG_NOTIFY_CLASS = 16;
pub const RegNtPostDeleteValueKey: REG_NOTIFY_CLASS = 17;
pub const RegNtPostSetInformationKey: REG_NOTIFY_CLASS = 18;
pub const RegNtPostRenameKey: REG_NOTIFY_CLASS = 19;
pub const RegNtPostEnumerateKey: REG_NOTIFY_CLASS = 20;
pub const RegNtPostEnumerateValueKey: REG_NOTIFY_CLASS = 21;
pub const RegNtPostQueryKey: REG_NOTIFY_CLASS = 22;
pub const RegNtPostQueryValueKey: REG_NOTIFY_CLASS = 23;
pub const RegNtPostQueryMultipleValueKey: REG_NOTIFY_CLASS = 24;
pub const RegNtPostKeyHandleClose: REG_NOTIFY_CLASS = 25;
pub const RegNtPreCreateKeyEx: REG_NOTIFY_CLASS = 26;
pub const RegNtPostCreateKeyEx: REG_NOTIFY_CLASS = 27;
pub const RegNtPreOpenKeyEx: REG_NOTIFY_CLASS = 28;
pub const RegNtPostOpenKeyEx: REG_NOTIFY_CLASS = 29;
pub const RegNtPreFlushKey: REG_NOTIFY_CLASS = 30;
pub const RegNtPostFlushKey: REG_NOTIFY_CLASS = 31;
pub const RegNtPreLoadKey: REG_NOTIFY_CLASS = 32;
pub const RegNtPostLoadKey: REG_NOTIFY_CLASS = 33;
pub const RegNtPreUnLoadKey: REG_NOTIFY_CLASS = 34;
pub const RegNtPostUnLoadKey: REG_NOTIFY_CLASS = 35;
pub const RegNtPreQueryKeySecurity: REG_NOTIFY_CLASS = 36;
pub const RegNtPostQueryKeySecurity: REG_NOTIFY_CLASS = 37;
pub const RegNtPreSetKeySecurity: REG_NOTIFY_CLASS = 38;
pub const RegNtPostSetKeySecurity: REG_NOTIFY_CLASS = 39;
pub const RegNtCallbackObjectContextCleanup: REG_NOTIFY_CLASS = 40;
pub const RegNtPreRestoreKey: REG_NOTIFY_CLASS = 41;
pub const RegNtPostRestoreKey: REG_NOTIFY_CLASS = 42;
pub const RegNtPreSaveKey: REG_NOTIFY_CLASS = 43;
pub const RegNtPostSaveKey: REG_NOTIFY_CLASS = 44;
pub const RegNtPreReplaceKey: REG_NOTIFY_CLASS = 45;
pub const RegNtPostReplaceKey: REG_NOTIFY_CLASS = 46;
pub const RegNtPreQueryKeyName: REG_NOTIFY_CLASS = 47;
pub const RegNtPostQueryKeyName: REG_NOTIFY_CLASS = 48;
pub const MaxRegNtNotifyClass: REG_NOTIFY_CLASS = 49;

/// Answer to `KeyBasicInformation`. Lengths and offsets are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KEY_BASIC_INFORMATION {
    pub LastWriteTime: LARGE_INTEGER,
    pub TitleIndex: u32,
    pub NameLength: u32,
    pub Name: [u16; 1],
}

/// Answer to `KeyNodeInformation`. Lengths and offsets are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KEY_NODE_INFORMATION {
    pub LastWriteTime: LARGE_INTEGER,
    pub TitleIndex: u32,
    pub ClassOffset: u32,
    pub ClassLength: u32,
    pub NameLength: u32,
    pub Name: [u16; 1],
}

/// Answer to `KeyFullInformation`. Lengths and offsets are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KEY_FULL_INFORMATION {
    pub LastWriteTime: LARGE_INTEGER,
    pub TitleIndex: u32,
    pub ClassOffset: u32,
    pub ClassLength: u32,
    pub SubKeys: u32,
    pub MaxNameLen: u32,
    pub MaxClassLen: u32,
    pub Values: u32,
    pub MaxValueNameLen: u32,
    pub MaxValueDataLen: u32,
    pub Class: [u16; 1],
}

/// Answer to `KeyValueBasicInformation`. Lengths and offsets are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KEY_VALUE_BASIC_INFORMATION {
    pub TitleIndex: u32,
    pub Type: u32,
    pub NameLength: u32,
    pub Name: [u16; 1],
}

/// Answer to `KeyValueFullInformation`. Lengths and offsets are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KEY_VALUE_FULL_INFORMATION {
    pub TitleIndex: u32,
    pub Type: u32,
    pub DataOffset: u32,
    pub DataLength: u32,
    pub NameLength: u32,
    pub Name: [u16; 1],
}

/// Answer to `KeyValuePartialInformation`. Lengths and offsets are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KEY_VALUE_PARTIAL_INFORMATION {
    pub TitleIndex: u32,
    pub Type: u32,
    pub DataLength: u32,
    pub Data: [u8; 1],
}

/// One value of a query for several. `DataLength` and `DataOffset` are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KEY_VALUE_ENTRY {
    pub ValueName: *mut UNICODE_STRING,
    pub DataLength: u32,
    pub DataOffset: u32,
    pub Type: u32,
}

/// A registry callback.
pub type EX_CALLBACK_FUNCTION =
    Option<unsafe extern "win64" fn(*mut c_void, *mut c_void, *mut c_void) -> NTSTATUS>;

/// One row of a table for `RtlQueryRegistryValues`; a row of zeros ends it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RTL_QUERY_REGISTRY_TABLE {
    pub QueryRoutine: PRTL_QUERY_REGISTRY_ROUTINE,
    pub Flags: u32,
    pub Name: *mut u16,
    pub EntryContext: *mut c_void,
    pub DefaultType: u32,
    pub DefaultData: *mut c_void,
    pub DefaultLength: u32,
}

/// Receives one value of a registry query.
pub type PRTL_QUERY_REGISTRY_ROUTINE =
    Option<unsafe extern "win64" fn(*mut u16, u32, *mut c_void, u32, *mut c_void, *mut c_void) -> NTSTATUS>;

// Value types.
pub const REG_NONE: u32 = 0x0;
pub const REG_SZ: u32 = 0x1;
pub const REG_EXPAND_SZ: u32 = 0x2;
pub const REG_BINARY: u32 = 0x3;
pub const REG_DWORD: u32 = 0x4;
pub const REG_DWORD_LITTLE_ENDIAN: u32 = 0x4;
pub const REG_DWORD_BIG_ENDIAN: u32 = 0x5;
pub const REG_LINK: u32 = 0x6;
pub const REG_MULTI_SZ: u32 = 0x7;
pub const REG_RESOURCE_LIST: u32 = 0x8;
pub const REG_FULL_RESOURCE_DESCRIPTOR: u32 = 0x9;
pub const REG_RESOURCE_REQUIREMENTS_LIST: u32 = 0xa;
pub const REG_QWORD: u32 = 0xb;
pub const REG_QWORD_LITTLE_ENDIAN: u32 = 0xb;

// Options and dispositions of a created key.
pub const REG_OPTION_NON_VOLATILE: u32 = 0x0;
pub const REG_OPTION_RESERVED: u32 = 0x0;
pub const REG_CREATED_NEW_KEY: u32 = 0x1;
pub const REG_OPTION_VOLATILE: u32 = 0x1;
pub const REG_OPENED_EXISTING_KEY: u32 = 0x2;
pub const REG_OPTION_CREATE_LINK: u32 = 0x2;
pub const REG_OPTION_BACKUP_RESTORE: u32 = 0x4;
pub const REG_OPTION_OPEN_LINK: u32 = 0x8;

// `RtlQueryRegistryValues`.
pub const RTL_REGISTRY_ABSOLUTE: u32 = 0x0;
pub const RTL_QUERY_REGISTRY_SUBKEY: u32 = 0x1;
pub const RTL_REGISTRY_SERVICES: u32 = 0x1;
pub const RTL_QUERY_REGISTRY_TOPKEY: u32 = 0x2;
pub const RTL_REGISTRY_CONTROL: u32 = 0x2;
pub const RTL_REGISTRY_WINDOWS_NT: u32 = 0x3;
pub const RTL_QUERY_REGISTRY_REQUIRED: u32 = 0x4;
pub const RTL_REGISTRY_DEVICEMAP: u32 = 0x4;
pub const RTL_REGISTRY_USER: u32 = 0x5;
pub const RTL_REGISTRY_MAXIMUM: u32 = 0x6;
pub const RTL_QUERY_REGISTRY_NOVALUE: u32 = 0x8;
pub const RTL_QUERY_REGISTRY_NOEXPAND: u32 = 0x10;
pub const RTL_QUERY_REGISTRY_DIRECT: u32 = 0x20;
pub const RTL_QUERY_REGISTRY_DELETE: u32 = 0x40;
pub const RTL_QUERY_REGISTRY_TYPECHECK: u32 = 0x100;
pub const RTL_QUERY_REGISTRY_TYPECHECK_SHIFT: u32 = 24;
pub const RTL_QUERY_REGISTRY_TYPECHECK_MASK: u32 = 0xff00_0000;
pub const RTL_REGISTRY_HANDLE: u32 = 0x40000000;
pub const RTL_REGISTRY_OPTIONAL: u32 = 0x80000000;

/// Full path of a key. `NameLength` is in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KEY_NAME_INFORMATION {
    pub NameLength: u32,
    pub Name: [u16; 1],
}
