//! Heaps: `LocalAlloc`, `GlobalAlloc` and `HeapAlloc` are the C library's.

use std::ffi::c_void;

use crate::failure::{Failure, fail};
use crate::pointer::Pointer;
use crate::types::{BOOL, FALSE, HANDLE, TRUE};

const LMEM_ZEROINIT: u32 = 0x40;
const HEAP_ZERO_MEMORY: u32 = 0x8;
/// The one heap that there is.
const HEAP: HANDLE = HANDLE(0x1_0000);

pub(crate) fn allocate(size: usize, zeroed: bool) -> Pointer<c_void> {
    let size = size.max(1);
    let made = if zeroed {
        // SAFETY: takes any size.
        unsafe { libc::calloc(size, 1) }
    } else {
        // SAFETY: takes any size.
        unsafe { libc::malloc(size) }
    };
    if made.is_null() {
        fail(Failure(abi::ERROR_NOT_ENOUGH_MEMORY), Pointer::NULL)
    } else {
        Pointer::made(made)
    }
}

fn give_back(memory: Pointer<c_void>) {
    // SAFETY: NULL, or what a function of this file has made: the application's promise.
    unsafe { libc::free(memory.raw()) };
}

/// Allocates fixed memory.
#[unsafe(no_mangle)]
pub extern "C" fn LocalAlloc(flags: u32, size: usize) -> Pointer<c_void> {
    allocate(size, flags & LMEM_ZEROINIT != 0)
}

/// Frees it; NULL.
#[unsafe(no_mangle)]
pub extern "C" fn LocalFree(memory: Pointer<c_void>) -> Pointer<c_void> {
    give_back(memory);
    Pointer::NULL
}

/// Allocates fixed memory.
#[unsafe(no_mangle)]
pub extern "C" fn GlobalAlloc(flags: u32, size: usize) -> Pointer<c_void> {
    LocalAlloc(flags, size)
}

/// Frees it; NULL.
#[unsafe(no_mangle)]
pub extern "C" fn GlobalFree(memory: Pointer<c_void>) -> Pointer<c_void> {
    LocalFree(memory)
}

/// The process's heap; there is no other.
#[unsafe(no_mangle)]
pub extern "C" fn GetProcessHeap() -> HANDLE {
    HEAP
}

/// Allocates memory of a heap.
#[unsafe(no_mangle)]
pub extern "C" fn HeapAlloc(_heap: HANDLE, flags: u32, size: usize) -> Pointer<c_void> {
    allocate(size, flags & HEAP_ZERO_MEMORY != 0)
}

/// Frees it. ERROR_INVALID_HANDLE for a heap that there is not.
#[unsafe(no_mangle)]
pub extern "C" fn HeapFree(heap: HANDLE, _flags: u32, memory: Pointer<c_void>) -> BOOL {
    if heap != HEAP {
        return fail(Failure(abi::ERROR_INVALID_HANDLE), FALSE);
    }
    give_back(memory);
    TRUE
}
