//! Tokens as drivers query them, the identifiers that the kernel exports, and the counts of shared opens.

use core::ffi::c_void;

use crate::*;

/// A SID by address, and what it counts for.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SID_AND_ATTRIBUTES {
    pub Sid: *mut c_void,
    pub Attributes: u32,
}

/// Groups; `GroupCount` of them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TOKEN_GROUPS {
    pub GroupCount: u32,
    pub Groups: [SID_AND_ATTRIBUTES; 1],
}

/// Privileges; `PrivilegeCount` of them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TOKEN_PRIVILEGES {
    pub PrivilegeCount: u32,
    pub Privileges: [LUID_AND_ATTRIBUTES; 1],
}

/// A token's identity and counts.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TOKEN_STATISTICS {
    pub TokenId: LUID,
    pub AuthenticationId: LUID,
    pub ExpirationTime: LARGE_INTEGER,
    pub TokenType: TOKEN_TYPE,
    pub ImpersonationLevel: SECURITY_IMPERSONATION_LEVEL,
    pub DynamicCharged: u32,
    pub DynamicAvailable: u32,
    pub GroupCount: u32,
    pub PrivilegeCount: u32,
    pub ModifiedId: LUID,
}

/// What a token is for.
pub type TOKEN_TYPE = i32;
pub const TokenPrimary: TOKEN_TYPE = 1;
pub const TokenImpersonation: TOKEN_TYPE = 2;

/// What is asked of a token.
pub type TOKEN_INFORMATION_CLASS = i32;
pub const TokenUser: TOKEN_INFORMATION_CLASS = 1;
pub const TokenGroups: TOKEN_INFORMATION_CLASS = 2;
pub const TokenPrivileges: TOKEN_INFORMATION_CLASS = 3;
pub const TokenOwner: TOKEN_INFORMATION_CLASS = 4;
pub const TokenPrimaryGroup: TOKEN_INFORMATION_CLASS = 5;
pub const TokenDefaultDacl: TOKEN_INFORMATION_CLASS = 6;
pub const TokenSource: TOKEN_INFORMATION_CLASS = 7;
pub const TokenType: TOKEN_INFORMATION_CLASS = 8;
pub const TokenImpersonationLevel: TOKEN_INFORMATION_CLASS = 9;
pub const TokenStatistics: TOKEN_INFORMATION_CLASS = 10;
pub const TokenRestrictedSids: TOKEN_INFORMATION_CLASS = 11;
pub const TokenSessionId: TOKEN_INFORMATION_CLASS = 12;
pub const TokenElevationType: TOKEN_INFORMATION_CLASS = 18;
pub const TokenElevation: TOKEN_INFORMATION_CLASS = 20;
pub const TokenHasRestrictions: TOKEN_INFORMATION_CLASS = 21;
pub const TokenIntegrityLevel: TOKEN_INFORMATION_CLASS = 25;

pub const SE_GROUP_MANDATORY: u32 = 0x1;
pub const SE_GROUP_ENABLED_BY_DEFAULT: u32 = 0x2;
pub const SE_GROUP_ENABLED: u32 = 0x4;
pub const SE_GROUP_OWNER: u32 = 0x8;
pub const SE_GROUP_USE_FOR_DENY_ONLY: u32 = 0x10;

pub const SE_PRIVILEGE_ENABLED_BY_DEFAULT: u32 = 0x1;
pub const SE_PRIVILEGE_ENABLED: u32 = 0x2;
pub const SE_PRIVILEGE_USED_FOR_ACCESS: u32 = 0x80000000;
pub const PRIVILEGE_SET_ALL_NECESSARY: u32 = 0x1;

pub const SE_CREATE_TOKEN_PRIVILEGE: u32 = 0x2;
pub const SE_ASSIGNPRIMARYTOKEN_PRIVILEGE: u32 = 0x3;
pub const SE_LOCK_MEMORY_PRIVILEGE: u32 = 0x4;
pub const SE_INCREASE_QUOTA_PRIVILEGE: u32 = 0x5;
pub const SE_MACHINE_ACCOUNT_PRIVILEGE: u32 = 0x6;
pub const SE_TCB_PRIVILEGE: u32 = 0x7;
pub const SE_SECURITY_PRIVILEGE: u32 = 0x8;
pub const SE_TAKE_OWNERSHIP_PRIVILEGE: u32 = 0x9;
pub const SE_LOAD_DRIVER_PRIVILEGE: u32 = 0xa;
pub const SE_SYSTEM_PROFILE_PRIVILEGE: u32 = 0xb;
pub const SE_SYSTEMTIME_PRIVILEGE: u32 = 0xc;
pub const SE_PROF_SINGLE_PROCESS_PRIVILEGE: u32 = 0xd;
pub const SE_INC_BASE_PRIORITY_PRIVILEGE: u32 = 0xe;
pub const SE_CREATE_PAGEFILE_PRIVILEGE: u32 = 0xf;
pub const SE_CREATE_PERMANENT_PRIVILEGE: u32 = 0x10;
pub const SE_BACKUP_PRIVILEGE: u32 = 0x11;
pub const SE_RESTORE_PRIVILEGE: u32 = 0x12;
pub const SE_SHUTDOWN_PRIVILEGE: u32 = 0x13;
pub const SE_DEBUG_PRIVILEGE: u32 = 0x14;
pub const SE_AUDIT_PRIVILEGE: u32 = 0x15;
pub const SE_SYSTEM_ENVIRONMENT_PRIVILEGE: u32 = 0x16;
pub const SE_CHANGE_NOTIFY_PRIVILEGE: u32 = 0x17;
pub const SE_REMOTE_SHUTDOWN_PRIVILEGE: u32 = 0x18;
pub const SE_UNDOCK_PRIVILEGE: u32 = 0x19;
pub const SE_SYNC_AGENT_PRIVILEGE: u32 = 0x1a;
pub const SE_ENABLE_DELEGATION_PRIVILEGE: u32 = 0x1b;
pub const SE_MANAGE_VOLUME_PRIVILEGE: u32 = 0x1c;
pub const SE_IMPERSONATE_PRIVILEGE: u32 = 0x1d;
pub const SE_CREATE_GLOBAL_PRIVILEGE: u32 = 0x1e;
pub const SE_TRUSTED_CREDMAN_ACCESS_PRIVILEGE: u32 = 0x1f;
pub const SE_RELABEL_PRIVILEGE: u32 = 0x20;
pub const SE_INC_WORKING_SET_PRIVILEGE: u32 = 0x21;
pub const SE_TIME_ZONE_PRIVILEGE: u32 = 0x22;
pub const SE_CREATE_SYMBOLIC_LINK_PRIVILEGE: u32 = 0x23;

/// Privileges and well-known identifiers by name: what `SeExports` points to.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SE_EXPORTS {
    pub SeCreateTokenPrivilege: LUID,
    pub SeAssignPrimaryTokenPrivilege: LUID,
    pub SeLockMemoryPrivilege: LUID,
    pub SeIncreaseQuotaPrivilege: LUID,
    pub SeUnsolicitedInputPrivilege: LUID,
    pub SeTcbPrivilege: LUID,
    pub SeSecurityPrivilege: LUID,
    pub SeTakeOwnershipPrivilege: LUID,
    pub SeLoadDriverPrivilege: LUID,
    pub SeCreatePagefilePrivilege: LUID,
    pub SeIncreaseBasePriorityPrivilege: LUID,
    pub SeSystemProfilePrivilege: LUID,
    pub SeSystemtimePrivilege: LUID,
    pub SeProfileSingleProcessPrivilege: LUID,
    pub SeCreatePermanentPrivilege: LUID,
    pub SeBackupPrivilege: LUID,
    pub SeRestorePrivilege: LUID,
    pub SeShutdownPrivilege: LUID,
    pub SeDebugPrivilege: LUID,
    pub SeAuditPrivilege: LUID,
    pub SeSystemEnvironmentPrivilege: LUID,
    pub SeChangeNotifyPrivilege: LUID,
    pub SeRemoteShutdownPrivilege: LUID,
    pub SeNullSid: *mut c_void,
    pub SeWorldSid: *mut c_void,
    pub SeLocalSid: *mut c_void,
    pub SeCreatorOwnerSid: *mut c_void,
    pub SeCreatorGroupSid: *mut c_void,
    pub SeNtAuthoritySid: *mut c_void,
    pub SeDialupSid: *mut c_void,
    pub SeNetworkSid: *mut c_void,
    pub SeBatchSid: *mut c_void,
    pub SeInteractiveSid: *mut c_void,
    pub SeLocalSystemSid: *mut c_void,
    pub SeAliasAdminsSid: *mut c_void,
    pub SeAliasUsersSid: *mut c_void,
    pub SeAliasGuestsSid: *mut c_void,
    pub SeAliasPowerUsersSid: *mut c_void,
    pub SeAliasAccountOpsSid: *mut c_void,
    pub SeAliasSystemOpsSid: *mut c_void,
    pub SeAliasPrintOpsSid: *mut c_void,
    pub SeAliasBackupOpsSid: *mut c_void,
    pub SeAuthenticatedUsersSid: *mut c_void,
    pub SeRestrictedSid: *mut c_void,
    pub SeAnonymousLogonSid: *mut c_void,
    pub SeUndockPrivilege: LUID,
    pub SeSyncAgentPrivilege: LUID,
    pub SeEnableDelegationPrivilege: LUID,
    pub SeLocalServiceSid: *mut c_void,
    pub SeNetworkServiceSid: *mut c_void,
    pub SeManageVolumePrivilege: LUID,
    pub SeImpersonatePrivilege: LUID,
    pub SeCreateGlobalPrivilege: LUID,
    pub SeTrustedCredManAccessPrivilege: LUID,
    pub SeRelabelPrivilege: LUID,
    pub SeIncreaseWorkingSetPrivilege: LUID,
    pub SeTimeZonePrivilege: LUID,
    pub SeCreateSymbolicLinkPrivilege: LUID,
    pub SeIUserSid: *mut c_void,
    pub SeUntrustedMandatorySid: *mut c_void,
    pub SeLowMandatorySid: *mut c_void,
    pub SeMediumMandatorySid: *mut c_void,
    pub SeHighMandatorySid: *mut c_void,
    pub SeSystemMandatorySid: *mut c_void,
    pub SeOwnerRightsSid: *mut c_void,
}

/// How often a file is open, and for what: what `IoCheckShareAccess` and its kin count.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SHARE_ACCESS {
    pub OpenCount: u32,
    pub Readers: u32,
    pub Writers: u32,
    pub Deleters: u32,
    pub SharedRead: u32,
    pub SharedWrite: u32,
    pub SharedDelete: u32,
}

/// Who made a token.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TOKEN_SOURCE {
    pub SourceName: [i8; 8],
    pub SourceIdentifier: LUID,
}

/// Which token it was, and in which state.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TOKEN_CONTROL {
    pub TokenId: LUID,
    pub AuthenticationId: LUID,
    pub ModifiedId: LUID,
    pub TokenSource: TOKEN_SOURCE,
}

/// What a server keeps of a client, to impersonate it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SECURITY_CLIENT_CONTEXT {
    pub SecurityQos: SECURITY_QUALITY_OF_SERVICE,
    pub ClientToken: *mut c_void,
    pub DirectlyAccessClientToken: BOOLEAN,
    pub DirectAccessEffectiveOnly: BOOLEAN,
    pub ServerIsRemote: BOOLEAN,
    pub ClientTokenControl: TOKEN_CONTROL,
}

/// What a thread impersonated before that was disabled.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SE_IMPERSONATION_STATE {
    pub Token: *mut c_void,
    pub CopyOnOpen: BOOLEAN,
    pub EffectiveOnly: BOOLEAN,
    pub Level: SECURITY_IMPERSONATION_LEVEL,
}

pub const TOKEN_ASSIGN_PRIMARY: u32 = 0x1;
pub const TOKEN_DUPLICATE: u32 = 0x2;
pub const TOKEN_IMPERSONATE: u32 = 0x4;
pub const TOKEN_QUERY: u32 = 0x8;
pub const TOKEN_QUERY_SOURCE: u32 = 0x10;
pub const TOKEN_ADJUST_PRIVILEGES: u32 = 0x20;
pub const TOKEN_ADJUST_GROUPS: u32 = 0x40;
pub const TOKEN_ADJUST_DEFAULT: u32 = 0x80;

pub const SECURITY_ANONYMOUS: u32 = 0x0;
pub const SECURITY_IDENTIFICATION: u32 = 0x10000;
pub const SECURITY_IMPERSONATION: u32 = 0x20000;
pub const SECURITY_DELEGATION: u32 = 0x30000;
pub const SECURITY_CONTEXT_TRACKING: u32 = 0x40000;
pub const SECURITY_EFFECTIVE_ONLY: u32 = 0x80000;
pub const SECURITY_SQOS_PRESENT: u32 = 0x100000;
