//! `Mm…`

use kernel::raw;

use crate::resolve::{Resolved, find, resolve_function};
use crate::row::rows;
use crate::{Address, data};

rows! {
    dll = "ntoskrnl.exe";

    /// Whether reading at an address would not fault.
    irql(DISPATCH_LEVEL)
    fn MmIsAddressValid(call, address: u64) -> u8 {
        let _ = call;
        Ok(u8::from(raw::read::<u8>(address).is_ok()))
    }

    /// Lets a range of the current process's memory neither go nor lose the access PAGE_READONLY or PAGE_READWRITE; NULL when it has
    /// not got that, lies inside no one allocation, or is no user memory. Memory that is freed meanwhile goes when the
    /// driver lets go (Confirm: on NT it is not freed).
    irql(APC_LEVEL)
    fn MmSecureVirtualMemory(call, address: u64, size: u64, probe_mode: u32) -> u64 {
        let for_writing = match probe_mode {
            abi::PAGE_READONLY => false,
            abi::PAGE_READWRITE => true,
            _ => return Ok(0),
        };
        let secured = call.user_space().and_then(|space| space.secure(address, size, for_writing));
        Ok(secured.unwrap_or(0))
    }

    /// Undoes MmSecureVirtualMemory, in the same process.
    irql(APC_LEVEL)
    fn MmUnsecureVirtualMemory(call, secure_handle: u64) -> () {
        if let Some(space) = call.user_space() {
            space.unsecure(secure_handle);
        }
        Ok(())
    }

    /// Returns the address of an export by name; NULL for what is not implemented. Confirm: variables too, of which the page
    /// does not speak.
    irql(PASSIVE_LEVEL)
    fn MmGetSystemRoutineAddress(call, name: u64) -> u64 {
        let name = String::from_utf16_lossy(&call.string(name)?);
        if let Some(Address::Data(index)) = find(&name).map(|row| row.address) {
            return Ok(data::address_of(call.kernel, index).unwrap_or(0));
        }
        match resolve_function(&name) {
            Some(Resolved::Function(address)) => Ok(address as u64),
            _ => Ok(0),
        }
    }
}
