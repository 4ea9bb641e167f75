//! Structures of the run-time library.

use core::ffi::c_void;

use crate::*;

/// A date and time of day by fields.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TIME_FIELDS {
    pub Year: i16,
    pub Month: i16,
    pub Day: i16,
    pub Hour: i16,
    pub Minute: i16,
    pub Second: i16,
    pub Milliseconds: i16,
    pub Weekday: i16,
}

/// A bitmap; `SizeOfBitMap` is in bits.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RTL_BITMAP {
    pub SizeOfBitMap: u32,
    pub Buffer: *mut u32,
}

/// Version of the system.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OSVERSIONINFOW {
    pub dwOSVersionInfoSize: u32,
    pub dwMajorVersion: u32,
    pub dwMinorVersion: u32,
    pub dwBuildNumber: u32,
    pub dwPlatformId: u32,
    pub szCSDVersion: [u16; 128],
}

/// Version of the system with service pack and product.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OSVERSIONINFOEXW {
    pub dwOSVersionInfoSize: u32,
    pub dwMajorVersion: u32,
    pub dwMinorVersion: u32,
    pub dwBuildNumber: u32,
    pub dwPlatformId: u32,
    pub szCSDVersion: [u16; 128],
    pub wServicePackMajor: u16,
    pub wServicePackMinor: u16,
    pub wSuiteMask: u16,
    pub wProductType: u8,
    pub wReserved: u8,
}

/// Links of a splay tree.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RTL_SPLAY_LINKS {
    pub Parent: *mut RTL_SPLAY_LINKS,
    pub LeftChild: *mut RTL_SPLAY_LINKS,
    pub RightChild: *mut RTL_SPLAY_LINKS,
}

/// Links of an AVL tree.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RTL_BALANCED_LINKS {
    pub Parent: *mut RTL_BALANCED_LINKS,
    pub LeftChild: *mut RTL_BALANCED_LINKS,
    pub RightChild: *mut RTL_BALANCED_LINKS,
    pub Balance: i8,
    pub Reserved: [u8; 3],
}

/// A table kept as a splay tree.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RTL_GENERIC_TABLE {
    pub TableRoot: *mut RTL_SPLAY_LINKS,
    pub InsertOrderList: LIST_ENTRY,
    pub OrderedPointer: *mut LIST_ENTRY,
    pub WhichOrderedElement: u32,
    pub NumberGenericTableElements: u32,
    pub CompareRoutine: PRTL_GENERIC_COMPARE_ROUTINE,
    pub AllocateRoutine: PRTL_GENERIC_ALLOCATE_ROUTINE,
    pub FreeRoutine: PRTL_GENERIC_FREE_ROUTINE,
    pub TableContext: *mut c_void,
}

/// A table kept as an AVL tree.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RTL_AVL_TABLE {
    pub BalancedRoot: RTL_BALANCED_LINKS,
    pub OrderedPointer: *mut c_void,
    pub WhichOrderedElement: u32,
    pub NumberGenericTableElements: u32,
    pub DepthOfTree: u32,
    pub RestartKey: *mut RTL_BALANCED_LINKS,
    pub DeleteCount: u32,
    pub CompareRoutine: PRTL_AVL_COMPARE_ROUTINE,
    pub AllocateRoutine: PRTL_AVL_ALLOCATE_ROUTINE,
    pub FreeRoutine: PRTL_AVL_FREE_ROUTINE,
    pub TableContext: *mut c_void,
}

/// Order of two table elements.
pub type RTL_GENERIC_COMPARE_RESULTS = i32;
pub const GenericLessThan: RTL_GENERIC_COMPARE_RESULTS = 0;
pub const GenericGreaterThan: RTL_GENERIC_COMPARE_RESULTS = 1;
pub const GenericEqual: RTL_GENERIC_COMPARE_RESULTS = 2;

/// Where a table search ended.
pub type TABLE_SEARCH_RESULT = i32;
pub const TableEmptyTree: TABLE_SEARCH_RESULT = 0;
pub const TableFoundNode: TABLE_SEARCH_RESULT = 1;
pub const TableInsertAsLeft: TABLE_SEARCH_RESULT = 2;
pub const TableInsertAsRight: TABLE_SEARCH_RESULT = 3;

/// Compares elements of a AVL table.
pub type PRTL_AVL_COMPARE_ROUTINE = Option<
    unsafe extern "win64" fn(*mut RTL_AVL_TABLE, *mut c_void, *mut c_void) -> RTL_GENERIC_COMPARE_RESULTS,
>;

/// Allocates elements of a AVL table.
pub type PRTL_AVL_ALLOCATE_ROUTINE = Option<unsafe extern "win64" fn(*mut RTL_AVL_TABLE, u32) -> *mut c_void>;

/// Frees elements of a AVL table.
pub type PRTL_AVL_FREE_ROUTINE = Option<unsafe extern "win64" fn(*mut RTL_AVL_TABLE, *mut c_void)>;

/// Compares elements of a splay table.
pub type PRTL_GENERIC_COMPARE_ROUTINE = Option<
    unsafe extern "win64" fn(*mut RTL_GENERIC_TABLE, *mut c_void, *mut c_void) -> RTL_GENERIC_COMPARE_RESULTS,
>;

/// Allocates elements of a splay table.
pub type PRTL_GENERIC_ALLOCATE_ROUTINE =
    Option<unsafe extern "win64" fn(*mut RTL_GENERIC_TABLE, u32) -> *mut c_void>;

/// Frees elements of a splay table.
pub type PRTL_GENERIC_FREE_ROUTINE = Option<unsafe extern "win64" fn(*mut RTL_GENERIC_TABLE, *mut c_void)>;

pub const DPFLTR_ERROR_LEVEL: u32 = 0x0;
pub const DPFLTR_WARNING_LEVEL: u32 = 0x1;
pub const DPFLTR_TRACE_LEVEL: u32 = 0x2;
pub const DPFLTR_INFO_LEVEL: u32 = 0x3;
pub const DPFLTR_MASK: u32 = 0x80000000;
