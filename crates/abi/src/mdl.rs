//! Memory descriptor lists, pool and caching types.

use core::ffi::c_void;

use crate::*;

/// Describes a buffer by its pages, whose frame numbers follow it in memory.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MDL {
    pub Next: *mut MDL,
    pub Size: i16,
    pub MdlFlags: i16,
    pub Process: *mut EPROCESS,
    pub MappedSystemVa: *mut c_void,
    pub StartVa: *mut c_void,
    pub ByteCount: u32,
    pub ByteOffset: u32,
}

/// What locked pages will be used for.
pub type LOCK_OPERATION = i32;
pub const IoReadAccess: LOCK_OPERATION = 0;
pub const IoWriteAccess: LOCK_OPERATION = 1;
pub const IoModifyAccess: LOCK_OPERATION = 2;

/// Which pool an allocation comes from.
pub type POOL_TYPE = i32;
pub const NonPagedPool: POOL_TYPE = 0;
pub const NonPagedPoolExecute: POOL_TYPE = 0;
pub const PagedPool: POOL_TYPE = 1;
pub const NonPagedPoolMustSucceed: POOL_TYPE = 2;
pub const DontUseThisType: POOL_TYPE = 3;
pub const NonPagedPoolCacheAligned: POOL_TYPE = 4;
pub const PagedPoolCacheAligned: POOL_TYPE = 5;
pub const NonPagedPoolCacheAlignedMustS: POOL_TYPE = 6;
pub const MaxPoolType: POOL_TYPE = 7;
pub const NonPagedPoolBase: POOL_TYPE = 0;
pub const NonPagedPoolBaseMustSucceed: POOL_TYPE = 2;
pub const NonPagedPoolBaseCacheAligned: POOL_TYPE = 4;
pub const NonPagedPoolBaseCacheAlignedMustS: POOL_TYPE = 6;
pub const NonPagedPoolSession: POOL_TYPE = 32;
pub const PagedPoolSession: POOL_TYPE = 33;
pub const NonPagedPoolMustSucceedSession: POOL_TYPE = 34;
pub const DontUseThisTypeSession: POOL_TYPE = 35;
pub const NonPagedPoolCacheAlignedSession: POOL_TYPE = 36;
pub const PagedPoolCacheAlignedSession: POOL_TYPE = 37;
pub const NonPagedPoolCacheAlignedMustSSession: POOL_TYPE = 38;
pub const NonPagedPoolNx: POOL_TYPE = 512;
pub const NonPagedPoolNxCacheAligned: POOL_TYPE = 516;
pub const NonPagedPoolSessionNx: POOL_TYPE = 544;

/// How the processor caches a mapping.
pub type MEMORY_CACHING_TYPE = i32;
pub const MmNonCached: MEMORY_CACHING_TYPE = 0;
pub const MmCached: MEMORY_CACHING_TYPE = 1;
pub const MmWriteCombined: MEMORY_CACHING_TYPE = 2;
pub const MmHardwareCoherentCached: MEMORY_CACHING_TYPE = 3;
pub const MmNonCachedUnordered: MEMORY_CACHING_TYPE = 4;
pub const MmUSWCCached: MEMORY_CACHING_TYPE = 5;
pub const MmMaximumCacheType: MEMORY_CACHING_TYPE = 6;
pub const MmNotMapped: MEMORY_CACHING_TYPE = -1;

/// How hard a mapping may press for system resources.
pub type MM_PAGE_PRIORITY = i32;
pub const LowPagePriority: MM_PAGE_PRIORITY = 0;
pub const NormalPagePriority: MM_PAGE_PRIORITY = 16;
pub const HighPagePriority: MM_PAGE_PRIORITY = 32;

/// How hard an allocation may press for pool.
pub type EX_POOL_PRIORITY = i32;
pub const LowPoolPriority: EX_POOL_PRIORITY = 0;
pub const LowPoolPrioritySpecialPoolOverrun: EX_POOL_PRIORITY = 8;
pub const LowPoolPrioritySpecialPoolUnderrun: EX_POOL_PRIORITY = 9;
pub const NormalPoolPriority: EX_POOL_PRIORITY = 16;
pub const NormalPoolPrioritySpecialPoolOverrun: EX_POOL_PRIORITY = 24;
pub const NormalPoolPrioritySpecialPoolUnderrun: EX_POOL_PRIORITY = 25;
pub const HighPoolPriority: EX_POOL_PRIORITY = 32;
pub const HighPoolPrioritySpecialPoolOverrun: EX_POOL_PRIORITY = 40;
pub const HighPoolPrioritySpecialPoolUnderrun: EX_POOL_PRIORITY = 41;

/// Whether a child process inherits a view.
pub type SECTION_INHERIT = i32;
pub const ViewShare: SECTION_INHERIT = 1;
pub const ViewUnmap: SECTION_INHERIT = 2;

/// How much memory the system has, roughly.
pub type MM_SYSTEM_SIZE = i32;
pub const MmSmallSystem: MM_SYSTEM_SIZE = 0;
pub const MmMediumSystem: MM_SYSTEM_SIZE = 1;
pub const MmLargeSystem: MM_SYSTEM_SIZE = 2;

/// `u` of [`GENERAL_LOOKASIDE`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union GENERAL_LOOKASIDE_U {
    pub ListHead: SLIST_HEADER,
    pub SingleListHead: SINGLE_LIST_ENTRY,
}

/// `u2` of [`GENERAL_LOOKASIDE`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union GENERAL_LOOKASIDE_U2 {
    pub AllocateMisses: u32,
    pub AllocateHits: u32,
}

/// `u3` of [`GENERAL_LOOKASIDE`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union GENERAL_LOOKASIDE_U3 {
    pub FreeMisses: u32,
    pub FreeHits: u32,
}

/// `u4` of [`GENERAL_LOOKASIDE`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union GENERAL_LOOKASIDE_U4 {
    pub AllocateEx: PALLOCATE_FUNCTION_EX,
    pub Allocate: PALLOCATE_FUNCTION,
}

/// `u5` of [`GENERAL_LOOKASIDE`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union GENERAL_LOOKASIDE_U5 {
    pub FreeEx: PFREE_FUNCTION_EX,
    pub Free: PFREE_FUNCTION,
}

/// `u6` of [`GENERAL_LOOKASIDE`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union GENERAL_LOOKASIDE_U6 {
    pub LastAllocateMisses: u32,
    pub LastAllocateHits: u32,
}

/// A lookaside list's free entries, counters and routines, aligned to a cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub struct GENERAL_LOOKASIDE {
    pub u: GENERAL_LOOKASIDE_U,
    pub Depth: u16,
    pub MaximumDepth: u16,
    pub TotalAllocates: u32,
    pub u2: GENERAL_LOOKASIDE_U2,
    pub TotalFrees: u32,
    pub u3: GENERAL_LOOKASIDE_U3,
    pub Type: POOL_TYPE,
    pub Tag: u32,
    pub Size: u32,
    pub u4: GENERAL_LOOKASIDE_U4,
    pub u5: GENERAL_LOOKASIDE_U5,
    pub ListEntry: LIST_ENTRY,
    pub LastTotalAllocates: u32,
    pub u6: GENERAL_LOOKASIDE_U6,
    pub Future: [u32; 2],
}

/// A lookaside list of nonpaged entries.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub struct NPAGED_LOOKASIDE_LIST {
    pub L: GENERAL_LOOKASIDE,
}

/// A lookaside list of pageable entries.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PAGED_LOOKASIDE_LIST {
    pub L: GENERAL_LOOKASIDE,
}

/// A lookaside list with routines that receive it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LOOKASIDE_LIST_EX {
    pub L: GENERAL_LOOKASIDE_POOL,
}

/// `u` of [`GENERAL_LOOKASIDE_POOL`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union GENERAL_LOOKASIDE_POOL_U {
    pub ListHead: SLIST_HEADER,
    pub SingleListHead: SINGLE_LIST_ENTRY,
}

/// `u2` of [`GENERAL_LOOKASIDE_POOL`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union GENERAL_LOOKASIDE_POOL_U2 {
    pub AllocateMisses: u32,
    pub AllocateHits: u32,
}

/// `u3` of [`GENERAL_LOOKASIDE_POOL`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union GENERAL_LOOKASIDE_POOL_U3 {
    pub FreeMisses: u32,
    pub FreeHits: u32,
}

/// `u4` of [`GENERAL_LOOKASIDE_POOL`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union GENERAL_LOOKASIDE_POOL_U4 {
    pub AllocateEx: PALLOCATE_FUNCTION_EX,
    pub Allocate: PALLOCATE_FUNCTION,
}

/// `u5` of [`GENERAL_LOOKASIDE_POOL`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union GENERAL_LOOKASIDE_POOL_U5 {
    pub FreeEx: PFREE_FUNCTION_EX,
    pub Free: PFREE_FUNCTION,
}

/// `u6` of [`GENERAL_LOOKASIDE_POOL`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union GENERAL_LOOKASIDE_POOL_U6 {
    pub LastAllocateMisses: u32,
    pub LastAllocateHits: u32,
}

/// A lookaside list's free entries, counters and routines.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct GENERAL_LOOKASIDE_POOL {
    pub u: GENERAL_LOOKASIDE_POOL_U,
    pub Depth: u16,
    pub MaximumDepth: u16,
    pub TotalAllocates: u32,
    pub u2: GENERAL_LOOKASIDE_POOL_U2,
    pub TotalFrees: u32,
    pub u3: GENERAL_LOOKASIDE_POOL_U3,
    pub Type: POOL_TYPE,
    pub Tag: u32,
    pub Size: u32,
    pub u4: GENERAL_LOOKASIDE_POOL_U4,
    pub u5: GENERAL_LOOKASIDE_POOL_U5,
    pub ListEntry: LIST_ENTRY,
    pub LastTotalAllocates: u32,
    pub u6: GENERAL_LOOKASIDE_POOL_U6,
    pub Future: [u32; 2],
}

/// Allocates an entry of an extended lookaside list.
pub type PALLOCATE_FUNCTION_EX =
    Option<unsafe extern "win64" fn(POOL_TYPE, usize, u32, *mut LOOKASIDE_LIST_EX) -> *mut c_void>;

/// Frees an entry of an extended lookaside list.
pub type PFREE_FUNCTION_EX = Option<unsafe extern "win64" fn(*mut c_void, *mut LOOKASIDE_LIST_EX)>;

pub const MDL_MAPPED_TO_SYSTEM_VA: i16 = 0x1;
pub const MDL_PAGES_LOCKED: i16 = 0x2;
pub const MDL_SOURCE_IS_NONPAGED_POOL: i16 = 0x4;
pub const MDL_ALLOCATED_FIXED_SIZE: i16 = 0x8;
pub const MDL_PARTIAL: i16 = 0x10;
pub const MDL_PARTIAL_HAS_BEEN_MAPPED: i16 = 0x20;
pub const MDL_IO_PAGE_READ: i16 = 0x40;
pub const MDL_WRITE_OPERATION: i16 = 0x80;
pub const MDL_PARENT_MAPPED_SYSTEM_VA: i16 = 0x100;
pub const MDL_FREE_EXTRA_PTES: i16 = 0x200;
pub const MDL_DESCRIBES_AWE: i16 = 0x400;
pub const MDL_IO_SPACE: i16 = 0x800;
pub const MDL_NETWORK_HEADER: i16 = 0x1000;
pub const MDL_MAPPING_CAN_FAIL: i16 = 0x2000;
pub const MDL_INTERNAL: i16 = -0x8000;

pub const POOL_TAGGING: u32 = 0x1;
pub const POOL_QUOTA_FAIL_INSTEAD_OF_RAISE: u32 = 0x8;
pub const POOL_RAISE_IF_ALLOCATION_FAILURE: u32 = 0x10;
pub const POOL_COLD_ALLOCATION: u32 = 0x100;

pub const PAGE_NOACCESS: u32 = 0x1;
pub const SECTION_QUERY: u32 = 0x1;
pub const PAGE_READONLY: u32 = 0x2;
pub const SECTION_MAP_WRITE: u32 = 0x2;
pub const PAGE_READWRITE: u32 = 0x4;
pub const SECTION_MAP_READ: u32 = 0x4;
pub const PAGE_WRITECOPY: u32 = 0x8;
pub const SECTION_MAP_EXECUTE: u32 = 0x8;
pub const PAGE_EXECUTE: u32 = 0x10;
pub const SECTION_EXTEND_SIZE: u32 = 0x10;
pub const PAGE_EXECUTE_READ: u32 = 0x20;
pub const PAGE_EXECUTE_READWRITE: u32 = 0x40;
pub const PAGE_EXECUTE_WRITECOPY: u32 = 0x80;
pub const PAGE_GUARD: u32 = 0x100;
pub const PAGE_NOCACHE: u32 = 0x200;
pub const PAGE_WRITECOMBINE: u32 = 0x400;
pub const MEM_COMMIT: u32 = 0x1000;
pub const MEM_RESERVE: u32 = 0x2000;
pub const MEM_DECOMMIT: u32 = 0x4000;
pub const MEM_RELEASE: u32 = 0x8000;
pub const MEM_FREE: u32 = 0x10000;
pub const MEM_PRIVATE: u32 = 0x20000;
pub const MEM_MAPPED: u32 = 0x40000;
pub const MEM_RESET: u32 = 0x80000;
pub const SECTION_ALL_ACCESS: u32 = 0xf001f;
pub const MEM_TOP_DOWN: u32 = 0x100000;
pub const SEC_BASED: u32 = 0x200000;
pub const SEC_RESERVE: u32 = 0x4000000;
pub const SEC_COMMIT: u32 = 0x8000000;
pub const MEM_LARGE_PAGES: u32 = 0x20000000;
pub const SEC_LARGE_PAGES: u32 = 0x80000000;

pub const PAGE_SHIFT: usize = 0xc;
pub const PAGE_SIZE: usize = 0x1000;

/// A region of pages with equal attributes, as `ZwQueryVirtualMemory` reports it. `RegionSize` is in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MEMORY_BASIC_INFORMATION {
    pub BaseAddress: *mut c_void,
    pub AllocationBase: *mut c_void,
    pub AllocationProtect: u32,
    pub PartitionId: u16,
    pub RegionSize: usize,
    pub State: u32,
    pub Protect: u32,
    pub Type: u32,
}

/// Flags of `ExAllocatePool2`, `POOL_FLAG_*`.
pub type POOL_FLAGS = u64;
pub const POOL_FLAG_USE_QUOTA: POOL_FLAGS = 0x1;
pub const POOL_FLAG_UNINITIALIZED: POOL_FLAGS = 0x2;
pub const POOL_FLAG_SESSION: POOL_FLAGS = 0x4;
pub const POOL_FLAG_CACHE_ALIGNED: POOL_FLAGS = 0x8;
pub const POOL_FLAG_RESERVED1: POOL_FLAGS = 0x10;
pub const POOL_FLAG_RAISE_ON_FAILURE: POOL_FLAGS = 0x20;
pub const POOL_FLAG_NON_PAGED: POOL_FLAGS = 0x40;
pub const POOL_FLAG_NON_PAGED_EXECUTE: POOL_FLAGS = 0x80;
pub const POOL_FLAG_PAGED: POOL_FLAGS = 0x100;
pub const POOL_FLAG_RESERVED2: POOL_FLAGS = 0x200;
pub const POOL_FLAG_RESERVED3: POOL_FLAGS = 0x400;

pub const POOL_NX_ALLOCATION: u32 = 0x200;
pub const POOL_ZERO_ALLOCATION: u32 = 0x400;

/// Refuses to execute through a mapping of an MDL, for its priority argument.
pub const MdlMappingNoExecute: u32 = 0x4000_0000;
/// Refuses to write through a mapping of an MDL, for its priority argument.
pub const MdlMappingNoWrite: u32 = 0x8000_0000;
pub const MDL_PAGE_CONTENTS_INVARIANT: i16 = 0x4000;
