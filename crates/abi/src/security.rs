//! Security contexts that a create carries, and access masks.

use core::ffi::c_void;

use crate::*;

/// `Privileges` of [`ACCESS_STATE`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union ACCESS_STATE_PRIVILEGES {
    pub InitialPrivilegeSet: INITIAL_PRIVILEGE_SET,
    pub PrivilegeSet: PRIVILEGE_SET,
}

/// Progress of an access check: what remains, what is granted, who asks.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ACCESS_STATE {
    pub OperationID: LUID,
    pub SecurityEvaluated: BOOLEAN,
    pub GenerateAudit: BOOLEAN,
    pub GenerateOnClose: BOOLEAN,
    pub PrivilegesAllocated: BOOLEAN,
    pub Flags: u32,
    pub RemainingDesiredAccess: ACCESS_MASK,
    pub PreviouslyGrantedAccess: ACCESS_MASK,
    pub OriginalDesiredAccess: ACCESS_MASK,
    pub SubjectSecurityContext: SECURITY_SUBJECT_CONTEXT,
    pub SecurityDescriptor: *mut c_void,
    pub AuxData: *mut c_void,
    pub Privileges: ACCESS_STATE_PRIVILEGES,
    pub AuditPrivileges: BOOLEAN,
    pub ObjectName: UNICODE_STRING,
    pub ObjectTypeName: UNICODE_STRING,
}

/// Who creates, and with which access.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_SECURITY_CONTEXT {
    pub SecurityQos: *mut SECURITY_QUALITY_OF_SERVICE,
    pub AccessState: *mut ACCESS_STATE,
    pub DesiredAccess: ACCESS_MASK,
    pub FullCreateOptions: u32,
}

/// The tokens of a caller.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SECURITY_SUBJECT_CONTEXT {
    pub ClientToken: *mut c_void,
    pub ImpersonationLevel: SECURITY_IMPERSONATION_LEVEL,
    pub PrimaryToken: *mut c_void,
    pub ProcessAuditId: *mut c_void,
}

/// Privileges with room for three.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct INITIAL_PRIVILEGE_SET {
    pub PrivilegeCount: u32,
    pub Control: u32,
    pub Privilege: [LUID_AND_ATTRIBUTES; 3],
}

/// Privileges; `PrivilegeCount` of them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PRIVILEGE_SET {
    pub PrivilegeCount: u32,
    pub Control: u32,
    pub Privilege: [LUID_AND_ATTRIBUTES; 1],
}

/// Locally unique identifier.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LUID {
    pub LowPart: u32,
    pub HighPart: i32,
}

/// A privilege and whether it is enabled.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LUID_AND_ATTRIBUTES {
    pub Luid: LUID,
    pub Attributes: u32,
}

/// How far a server may impersonate.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SECURITY_QUALITY_OF_SERVICE {
    pub Length: u32,
    pub ImpersonationLevel: SECURITY_IMPERSONATION_LEVEL,
    pub ContextTrackingMode: BOOLEAN,
    pub EffectiveOnly: BOOLEAN,
}

/// How far a server may impersonate, by degree.
pub type SECURITY_IMPERSONATION_LEVEL = i32;
pub const SecurityAnonymous: SECURITY_IMPERSONATION_LEVEL = 0;
pub const SecurityIdentification: SECURITY_IMPERSONATION_LEVEL = 1;
pub const SecurityImpersonation: SECURITY_IMPERSONATION_LEVEL = 2;
pub const SecurityDelegation: SECURITY_IMPERSONATION_LEVEL = 3;

/// What the generic rights mean for a type of object.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct GENERIC_MAPPING {
    pub GenericRead: ACCESS_MASK,
    pub GenericWrite: ACCESS_MASK,
    pub GenericExecute: ACCESS_MASK,
    pub GenericAll: ACCESS_MASK,
}

/// Head of an access control list. `AclSize` is in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ACL {
    pub AclRevision: u8,
    pub Sbz1: u8,
    pub AclSize: u16,
    pub AceCount: u16,
    pub Sbz2: u16,
}

/// Head of an access control entry. `AceSize` is in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ACE_HEADER {
    pub AceType: u8,
    pub AceFlags: u8,
    pub AceSize: u16,
}

/// An entry that grants: header, rights, and from `SidStart` on a SID. Entries that deny or audit look the same.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ACCESS_ALLOWED_ACE {
    pub Header: ACE_HEADER,
    pub Mask: ACCESS_MASK,
    pub SidStart: u32,
}

/// The authority that issued an identifier.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SID_IDENTIFIER_AUTHORITY {
    pub Value: [u8; 6],
}

/// Owner, group and lists of an object, by address.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SECURITY_DESCRIPTOR {
    pub Revision: u8,
    pub Sbz1: u8,
    pub Control: u16,
    pub Owner: *mut c_void,
    pub Group: *mut c_void,
    pub Sacl: *mut ACL,
    pub Dacl: *mut ACL,
}

/// A security identifier; `SubAuthorityCount` values follow.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SID {
    pub Revision: u8,
    pub SubAuthorityCount: u8,
    pub IdentifierAuthority: SID_IDENTIFIER_AUTHORITY,
    pub SubAuthority: [u32; 1],
}

pub const FILE_LIST_DIRECTORY: u32 = 0x1;
pub const FILE_READ_DATA: u32 = 0x1;
pub const FILE_ADD_FILE: u32 = 0x2;
pub const FILE_WRITE_DATA: u32 = 0x2;
pub const FILE_ADD_SUBDIRECTORY: u32 = 0x4;
pub const FILE_APPEND_DATA: u32 = 0x4;
pub const FILE_CREATE_PIPE_INSTANCE: u32 = 0x4;
pub const FILE_READ_EA: u32 = 0x8;
pub const FILE_WRITE_EA: u32 = 0x10;
pub const FILE_EXECUTE: u32 = 0x20;
pub const FILE_TRAVERSE: u32 = 0x20;
pub const FILE_DELETE_CHILD: u32 = 0x40;
pub const FILE_READ_ATTRIBUTES: u32 = 0x80;
pub const FILE_WRITE_ATTRIBUTES: u32 = 0x100;
pub const FILE_GENERIC_READ: u32 = 0x120089;
pub const FILE_GENERIC_EXECUTE: u32 = 0x1200a0;
pub const FILE_GENERIC_WRITE: u32 = 0x120116;
pub const FILE_ALL_ACCESS: u32 = 0x1f01ff;

pub const SPECIFIC_RIGHTS_ALL: u32 = 0xffff;
pub const DELETE: u32 = 0x10000;
pub const READ_CONTROL: u32 = 0x20000;
pub const STANDARD_RIGHTS_EXECUTE: u32 = 0x20000;
pub const STANDARD_RIGHTS_READ: u32 = 0x20000;
pub const STANDARD_RIGHTS_WRITE: u32 = 0x20000;
pub const WRITE_DAC: u32 = 0x40000;
pub const WRITE_OWNER: u32 = 0x80000;
pub const STANDARD_RIGHTS_REQUIRED: u32 = 0xf0000;
pub const SYNCHRONIZE: u32 = 0x100000;
pub const STANDARD_RIGHTS_ALL: u32 = 0x1f0000;
pub const ACCESS_SYSTEM_SECURITY: u32 = 0x1000000;
pub const MAXIMUM_ALLOWED: u32 = 0x2000000;
pub const GENERIC_ALL: u32 = 0x10000000;
pub const GENERIC_EXECUTE: u32 = 0x20000000;
pub const GENERIC_WRITE: u32 = 0x40000000;
pub const GENERIC_READ: u32 = 0x80000000;

pub const DIRECTORY_QUERY: u32 = 0x1;
pub const EVENT_QUERY_STATE: u32 = 0x1;
pub const KEY_QUERY_VALUE: u32 = 0x1;
pub const MUTANT_QUERY_STATE: u32 = 0x1;
pub const SEMAPHORE_QUERY_STATE: u32 = 0x1;
pub const SYMBOLIC_LINK_QUERY: u32 = 0x1;
pub const THREAD_TERMINATE: u32 = 0x1;
pub const DIRECTORY_TRAVERSE: u32 = 0x2;
pub const EVENT_MODIFY_STATE: u32 = 0x2;
pub const IO_COMPLETION_MODIFY_STATE: u32 = 0x2;
pub const KEY_SET_VALUE: u32 = 0x2;
pub const SEMAPHORE_MODIFY_STATE: u32 = 0x2;
pub const TIMER_MODIFY_STATE: u32 = 0x2;
pub const THREAD_SUSPEND_RESUME: u32 = 0x2;
pub const DIRECTORY_CREATE_OBJECT: u32 = 0x4;
pub const KEY_CREATE_SUB_KEY: u32 = 0x4;
pub const THREAD_ALERT: u32 = 0x4;
pub const DIRECTORY_CREATE_SUBDIRECTORY: u32 = 0x8;
pub const KEY_ENUMERATE_SUB_KEYS: u32 = 0x8;
pub const THREAD_GET_CONTEXT: u32 = 0x8;
pub const KEY_NOTIFY: u32 = 0x10;
pub const THREAD_SET_CONTEXT: u32 = 0x10;
pub const KEY_CREATE_LINK: u32 = 0x20;
pub const THREAD_SET_INFORMATION: u32 = 0x20;
pub const PROCESS_DUP_HANDLE: u32 = 0x40;
pub const KEY_WOW64_64KEY: u32 = 0x100;
pub const KEY_WOW64_32KEY: u32 = 0x200;
pub const KEY_WOW64_RES: u32 = 0x300;
pub const KEY_WRITE: u32 = 0x20006;
pub const KEY_EXECUTE: u32 = 0x20019;
pub const KEY_READ: u32 = 0x20019;
pub const SYMBOLIC_LINK_ALL_ACCESS: u32 = 0xf0001;
pub const DIRECTORY_ALL_ACCESS: u32 = 0xf000f;
pub const KEY_ALL_ACCESS: u32 = 0xf003f;
pub const EVENT_ALL_ACCESS: u32 = 0x1f0003;
pub const IO_COMPLETION_ALL_ACCESS: u32 = 0x1f0003;
pub const MUTANT_ALL_ACCESS: u32 = 0x1f0001;
pub const TIMER_ALL_ACCESS: u32 = 0x1f0003;
pub const SEMAPHORE_ALL_ACCESS: u32 = 0x1f0003;
pub const PROCESS_ALL_ACCESS: u32 = 0x1fffff;
pub const THREAD_ALL_ACCESS: u32 = 0x1fffff;

pub const OWNER_SECURITY_INFORMATION: u32 = 0x1;
pub const GROUP_SECURITY_INFORMATION: u32 = 0x2;
pub const DACL_SECURITY_INFORMATION: u32 = 0x4;
pub const SACL_SECURITY_INFORMATION: u32 = 0x8;
pub const LABEL_SECURITY_INFORMATION: u32 = 0x10;

pub const SE_OWNER_DEFAULTED: u16 = 0x1;
pub const SE_GROUP_DEFAULTED: u16 = 0x2;
pub const SE_DACL_PRESENT: u16 = 0x4;
pub const SE_DACL_DEFAULTED: u16 = 0x8;
pub const SE_SACL_PRESENT: u16 = 0x10;
pub const SE_SACL_DEFAULTED: u16 = 0x20;
pub const SE_DACL_UNTRUSTED: u16 = 0x40;
pub const SE_DACL_AUTO_INHERIT_REQ: u16 = 0x100;
pub const SE_SACL_AUTO_INHERIT_REQ: u16 = 0x200;
pub const SE_DACL_AUTO_INHERITED: u16 = 0x400;
pub const SE_SACL_AUTO_INHERITED: u16 = 0x800;
pub const SE_DACL_PROTECTED: u16 = 0x1000;
pub const SE_SACL_PROTECTED: u16 = 0x2000;
pub const SE_RM_CONTROL_VALID: u16 = 0x4000;
pub const SE_SELF_RELATIVE: u16 = 0x8000;

pub const SID_REVISION: u8 = 0x1;
pub const SID_MAX_SUB_AUTHORITIES: u8 = 0xf;
pub const SECURITY_DESCRIPTOR_REVISION: u8 = 0x1;
pub const ACL_REVISION: u8 = 0x2;
pub const MIN_ACL_REVISION: u8 = 0x2;
pub const MAX_ACL_REVISION: u8 = 0x4;

pub const ACCESS_ALLOWED_ACE_TYPE: u8 = 0x0;
pub const ACCESS_DENIED_ACE_TYPE: u8 = 0x1;
pub const SYSTEM_AUDIT_ACE_TYPE: u8 = 0x2;
pub const SYSTEM_ALARM_ACE_TYPE: u8 = 0x3;
pub const ACCESS_DENIED_CALLBACK_ACE_TYPE: u8 = 0xa;
pub const SYSTEM_MANDATORY_LABEL_ACE_TYPE: u8 = 0x11;
pub const OBJECT_INHERIT_ACE: u8 = 0x1;
pub const CONTAINER_INHERIT_ACE: u8 = 0x2;
pub const NO_PROPAGATE_INHERIT_ACE: u8 = 0x4;
pub const INHERIT_ONLY_ACE: u8 = 0x8;
pub const INHERITED_ACE: u8 = 0x10;
pub const SUCCESSFUL_ACCESS_ACE_FLAG: u8 = 0x40;
pub const FAILED_ACCESS_ACE_FLAG: u8 = 0x80;
