//! The application's memory, secured while a driver that is compiled into a Linux process looks at it: there is no exception handler
//! there that would take an access violation, and `MmSecureVirtualMemory` says in advance, by its return value, what would raise one.

use abi::{HANDLE, NTSTATUS, PAGE_READONLY, PAGE_READWRITE, STATUS_ACCESS_VIOLATION};

use crate::nt::{MmSecureVirtualMemory, MmUnsecureVirtualMemory};

/// Memory of the current process that is there, with the access that was asked for, as long as this lives.
pub(crate) struct Secured(HANDLE);

/// `MmUserProbeAddress`. That variable is each machine's own, of which a process may have several: there is none to link to.
const USER_PROBE_ADDRESS: usize = 0x5000_0000_0000;

impl Secured {
    /// Secures `length` bytes, which are not none; nothing where `by_user` is false and the memory is no application's. IRQL <=
    /// APC_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_ACCESS_VIOLATION.
    pub(crate) fn new(
        address: *mut u8,
        length: usize,
        by_user: bool,
        for_writing: bool,
    ) -> Result<Option<Self>, NTSTATUS> {
        if !by_user && address.addr() >= USER_PROBE_ADDRESS {
            return Ok(None);
        }
        let mode = if for_writing { PAGE_READWRITE } else { PAGE_READONLY };
        // SAFETY: any address will do; it is looked at under the process's lock.
        let handle = unsafe { MmSecureVirtualMemory(address.cast(), length, mode) };
        if handle.is_null() { Err(STATUS_ACCESS_VIOLATION) } else { Ok(Some(Self(handle))) }
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        // SAFETY: of `MmSecureVirtualMemory`, and let go once, by the thread that made it, which has not left its process.
        unsafe { MmUnsecureVirtualMemory(self.0) };
    }
}
