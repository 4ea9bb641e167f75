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
