//! `VirtualAlloc`: memory in the session's window, which requests use in place and drivers see at the same address.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use gate::SharedMemory;

use crate::failure::{Failure, MISSING, done, fail};
use crate::pointer::Pointer;
use crate::session::session;
use crate::types::BOOL;

static ALLOCATED: RwLock<BTreeMap<usize, Box<dyn SharedMemory>>> = RwLock::new(BTreeMap::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Whether all of it is memory of `VirtualAlloc`.
pub(crate) fn is_in_window(address: usize, length: usize) -> bool {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return false;
    }
    let allocated = ALLOCATED.read().unwrap_or_else(PoisonError::into_inner);
    let Some((start, memory)) = allocated.range(..=address).next_back() else { return false };
    address.checked_add(length).is_some_and(|end| end <= start + memory.len() as usize)
}

/// Allocates zeroed memory, on whole pages. Only all of it at once and where the system chooses: MEM_COMMIT or MEM_COMMIT |
/// MEM_RESERVE, PAGE_READWRITE; else ERROR_NOT_SUPPORTED. What has been allocated may be committed again.
#[unsafe(no_mangle)]
pub extern "C" fn VirtualAlloc(
    address: Pointer<c_void>,
    size: usize,
    kind: u32,
    protection: u32,
) -> Pointer<c_void> {
    allocate(address, size, kind, protection).unwrap_or_else(|failure| fail(failure, Pointer::NULL))
}

fn allocate(
    address: Pointer<c_void>,
    size: usize,
    kind: u32,
    protection: u32,
) -> Result<Pointer<c_void>, Failure> {
    if size == 0 || kind & (abi::MEM_COMMIT | abi::MEM_RESERVE) == 0 {
        return Err(MISSING);
    }
    if !address.is_null() && kind == abi::MEM_COMMIT && is_in_window(address.address(), size) {
        return Ok(address);
    }
    if !address.is_null() || kind & abi::MEM_COMMIT == 0 || protection != abi::PAGE_READWRITE {
        return Err(Failure(abi::ERROR_NOT_SUPPORTED));
    }
    let length = u32::try_from(size).map_err(|_| Failure(abi::ERROR_NOT_ENOUGH_MEMORY))?;
    let transport = session()?;
    if !transport.is_connected() {
        // A forked child has no window.
        return Err(abi::STATUS_DEVICE_NOT_CONNECTED.into());
    }
    let memory = transport.allocate_memory(length.checked_next_multiple_of(4096).ok_or(MISSING)?)?;
    let start = usize::try_from(memory.address()).map_err(|_| MISSING)?;
    let mut allocated = ALLOCATED.write().unwrap_or_else(PoisonError::into_inner);
    allocated.insert(start, memory);
    COUNT.store(allocated.len(), Ordering::Relaxed);
    Ok(Pointer::made(std::ptr::with_exposed_provenance_mut(start)))
}

/// Frees what `VirtualAlloc` allocated: MEM_RELEASE with its address and size 0. ERROR_INVALID_ADDRESS for any other address. No
/// request may still use it.
#[unsafe(no_mangle)]
pub extern "C" fn VirtualFree(address: Pointer<c_void>, size: usize, kind: u32) -> BOOL {
    done(free(address, size, kind))
}

fn free(address: Pointer<c_void>, size: usize, kind: u32) -> Result<(), Failure> {
    if kind != abi::MEM_RELEASE {
        return Err(Failure(abi::ERROR_NOT_SUPPORTED));
    }
    if size != 0 {
        return Err(MISSING);
    }
    let mut allocated = ALLOCATED.write().unwrap_or_else(PoisonError::into_inner);
    let memory = allocated.remove(&address.address()).ok_or(Failure(abi::ERROR_INVALID_ADDRESS))?;
    COUNT.store(allocated.len(), Ordering::Relaxed);
    drop(allocated);
    drop(memory);
    Ok(())
}
