//! `Mm…`

use kernel::raw;

use crate::resolve::{Resolved, resolve_function};
use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Whether reading at an address would not fault.
    irql(DISPATCH_LEVEL)
    fn MmIsAddressValid(call, address: u64) -> u8 {
        let _ = call;
        Ok(u8::from(raw::read::<u8>(address).is_ok()))
    }

    /// Returns the address of an export by name; NULL for what is not implemented. Variables are not found.
    irql(PASSIVE_LEVEL)
    fn MmGetSystemRoutineAddress(call, name: u64) -> u64 {
        let name = String::from_utf16_lossy(&call.string(name)?);
        match resolve_function(&name) {
            Some(Resolved::Function(address)) => Ok(address as u64),
            _ => Ok(0),
        }
    }
}
