//! Objects by name: attributes and what a query answers.

use crate::*;

/// An object's full name.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OBJECT_NAME_INFORMATION {
    pub Name: UNICODE_STRING,
}

/// Attributes and granted access of a handle.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OBJECT_HANDLE_INFORMATION {
    pub HandleAttributes: u32,
    pub GrantedAccess: ACCESS_MASK,
}

pub const OBJ_INHERIT: u32 = 0x2;
pub const OBJ_PERMANENT: u32 = 0x10;
pub const OBJ_EXCLUSIVE: u32 = 0x20;
pub const OBJ_CASE_INSENSITIVE: u32 = 0x40;
pub const OBJ_OPENIF: u32 = 0x80;
pub const OBJ_OPENLINK: u32 = 0x100;
pub const OBJ_KERNEL_HANDLE: u32 = 0x200;
pub const OBJ_FORCE_ACCESS_CHECK: u32 = 0x400;
pub const OBJ_IGNORE_IMPERSONATED_DEVICEMAP: u32 = 0x800;
pub const OBJ_DONT_REPARSE: u32 = 0x1000;
pub const OBJ_VALID_ATTRIBUTES: u32 = 0x1ff2;

pub const OBJ_NAME_PATH_SEPARATOR: u16 = 0x5c;
pub const OBJECT_TYPE_CREATE: u32 = 0x1;
pub const OBJECT_TYPE_ALL_ACCESS: u32 = 0xf0001;

// Options of a duplication.
pub const DUPLICATE_CLOSE_SOURCE: u32 = 0x1;
pub const DUPLICATE_SAME_ACCESS: u32 = 0x2;
pub const DUPLICATE_SAME_ATTRIBUTES: u32 = 0x4;
