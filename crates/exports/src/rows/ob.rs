//! `Ob…` and handles.

use kernel::ps::KERNEL_HANDLE;
use kernel::raw;

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

    /// Takes a reference to the object that a handle stands for. Object types, and objects without a body that drivers
    /// can see, are not implemented.
    irql(PASSIVE_LEVEL) support(Partial)
    fn ObReferenceObjectByHandle(
        call,
        handle: u64,
        desired_access: u32,
        object_type: u64,
        access_mode: u8,
        object: u64,
        handle_information: u64
    ) -> abi::NTSTATUS {
        let is_user_mode = access_mode.cast_signed() != abi::KernelMode;
        if object_type != 0 {
            return Ok(abi::STATUS_NOT_IMPLEMENTED);
        }
        let owner = call.kernel.ps.owner_of(handle, call.thread.process_id);
        let owner = owner.filter(|_| !is_user_mode || handle & KERNEL_HANDLE != KERNEL_HANDLE);
        let Some(entry) = owner.and_then(|(process, handle)| process.handles.get(handle)) else {
            return Ok(abi::STATUS_INVALID_HANDLE);
        };
        if is_user_mode && desired_access & !entry.granted != 0 {
            return Ok(abi::STATUS_ACCESS_DENIED);
        }
        if entry.object.address == 0 {
            return Ok(abi::STATUS_NOT_IMPLEMENTED);
        }
        if handle_information != 0 {
            raw::write(handle_information, 0_u32)?;
            raw::write(handle_information.wrapping_add(4), entry.granted)?;
        }
        raw::write(object, entry.object.address)?;
        if entry.object.try_reference() { Ok(abi::STATUS_SUCCESS) } else { Ok(abi::STATUS_INVALID_HANDLE) }
    }

    /// Closes a handle of the current process, or a kernel handle.
    irql(PASSIVE_LEVEL) alias("NtClose")
    fn ZwClose(call, handle: u64) -> abi::NTSTATUS {
        let Some((process, handle)) = call.kernel.ps.owner_of(handle, call.thread.process_id) else {
            return Ok(abi::STATUS_INVALID_HANDLE);
        };
        Ok(crate::call::status_of(process.handles.close(call.kernel, &process, handle)))
    }
}
