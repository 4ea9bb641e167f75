//! `ObOpenObjectByPointer`.

use crate::call::status_of;
use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Opens a handle to an object in the current process, for kernel-mode callers. The type is not compared, a passed
    /// access state not used.
    irql(PASSIVE_LEVEL) support(Partial)
    fn ObOpenObjectByPointer(
        call,
        object: u64,
        _handle_attributes: u32,
        passed_access_state: u64,
        desired_access: u32,
        _object_type: u64,
        access_mode: u8,
        handle: u64
    ) -> abi::NTSTATUS {
        if passed_access_state != 0 {
            return Ok(abi::STATUS_NOT_IMPLEMENTED);
        }
        let process = call.kernel.ps.get(call.thread.process_id);
        let object = call.kernel.ob.by_address(object).filter(|object| object.try_reference());
        let (Some(process), Some(object)) = (process, object) else {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        };
        let user_mode = access_mode != 0;
        let checked = kernel::se::check_object(&object, &process.token, desired_access, user_mode);
        let opened = checked.and_then(|granted| process.handles.insert(object.clone(), granted));
        match opened {
            Ok(value) => kernel::raw::write(handle, u64::from(value)).map(|()| abi::STATUS_SUCCESS),
            Err(status) => {
                object.dereference(call.kernel);
                Ok(status_of(Err(status)))
            }
        }
    }
}
