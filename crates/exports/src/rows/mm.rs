//! `Mm…`

use kernel::raw;

use crate::resolve::{Resolved, find, resolve_function};
use crate::row::rows;
use crate::{Address, Call, data};

fn variable(call: Call<'_>, name: &str) -> u64 {
    match find(name).map(|row| row.address) {
        Some(Address::Data(index)) => data::address_in(call.kernel, index),
        _ => 0,
    }
}

rows! {
    dll = "ntoskrnl.exe";

    /// Whether reading at an address would not fault.
    irql(DISPATCH_LEVEL)
    fn MmIsAddressValid(call, address: u64) -> u8 {
        let _ = call;
        Ok(u8::from(raw::read::<u8>(address).is_ok()))
    }

    /// Returns the address of an export by name, a routine's or (Confirm: its page speaks of routines alone) a variable's; NULL for what
    /// is not implemented.
    irql(PASSIVE_LEVEL)
    fn MmGetSystemRoutineAddress(call, name: u64) -> u64 {
        let name = String::from_utf16_lossy(&call.string(name)?);
        match resolve_function(&name) {
            Some(Resolved::Function(address)) => Ok(address as u64),
            Some(Resolved::Missing(..)) => Ok(0),
            _ => Ok(variable(call, &name)),
        }
    }
}
