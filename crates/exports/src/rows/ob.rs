//! `Ob…` and handles.

use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Takes a reference to an object; returns how many there are now.
    irql(DISPATCH_LEVEL)
    fn ObfReferenceObject(call, object: u64) -> i64 {
        match call.kernel.ob.by_address(object) {
            Some(object) if object.try_reference() => Ok(object.references() as i64),
            _ => {
                call.kernel.bug_check(abi::REFERENCE_BY_POINTER, [0, object, 0, 0]);
                Err(kernel::Unwind::Halt)
            }
        }
    }

    /// Drops a reference to an object; returns how many are left.
    irql(DISPATCH_LEVEL) alias("ObDereferenceObject")
    fn ObfDereferenceObject(call, object: u64) -> i64 {
        match call.kernel.ob.by_address(object) {
            Some(object) => Ok(object.dereference(call.kernel) as i64),
            None => {
                call.kernel.bug_check(abi::REFERENCE_BY_POINTER, [0, object, 0, 0]);
                Err(kernel::Unwind::Halt)
            }
        }
    }

    /// Closes a handle of the current process.
    irql(PASSIVE_LEVEL) alias("NtClose")
    fn ZwClose(call, handle: u64) -> abi::NTSTATUS {
        let process = call.kernel.ps.get(call.thread.process_id);
        let handle = u32::try_from(handle).ok();
        let (Some(process), Some(handle)) = (process, handle) else {
            return Ok(abi::STATUS_INVALID_HANDLE);
        };
        Ok(crate::call::status_of(process.handles.close(call.kernel, &process, handle)))
    }
}
