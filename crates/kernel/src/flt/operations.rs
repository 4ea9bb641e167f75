//! The operations that a filter wants to see, as it registered them. They are kept, and nobody calls their routines yet: filtering
//! file operations (instances on volumes, callback data, contexts, names) belongs here.

use crate::raw::{self, Outcome};

/// Most entries that are read of one array.
const MOST: u64 = 64;
const SIZE: u64 = size_of::<abi::FLT_OPERATION_REGISTRATION>() as u64;

/// The callbacks of one major function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// IRP_MJ_*.
    pub major_function: u8,
    /// FLTFL_OPERATION_REGISTRATION_*.
    pub flags: u32,
    /// Address of the routine before the operation; 0 for none.
    pub pre_operation: u64,
    /// Address of the routine after it; 0 for none.
    pub post_operation: u64,
}

/// Reads an array of FLT_OPERATION_REGISTRATION, up to its end.
///
/// # Errors
/// An access violation.
pub(super) fn read_operations(address: u64) -> Outcome<Vec<Operation>> {
    let mut operations = Vec::new();
    if address == 0 {
        return Ok(operations);
    }
    for index in 0..MOST {
        let at = address.wrapping_add(index * SIZE);
        let major_function: u8 = raw::read(at)?;
        if major_function == abi::IRP_MJ_OPERATION_END {
            break;
        }
        operations.push(Operation {
            major_function,
            flags: raw::read(at.wrapping_add(4))?,
            pre_operation: raw::read(at.wrapping_add(8))?,
            post_operation: raw::read(at.wrapping_add(16))?,
        });
    }
    Ok(operations)
}
