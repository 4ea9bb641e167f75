//! `Ps…`: threads and processes.

use kernel::ps::ProcessBody;
use kernel::{Unwind, ob, ps, raw};

use crate::attributes;
use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Returns whether an application (1) or kernel code (0) called the present system service.
    irql(DISPATCH_LEVEL)
    fn ExGetPreviousMode(call) -> u8 {
        Ok(u8::from(!call.thread.is_called_by_kernel()))
    }

    /// Creates a system thread in the system process. A process handle is not implemented, nor a name.
    irql(PASSIVE_LEVEL) support(Partial)
    fn PsCreateSystemThread(
        call,
        thread_handle: u64,
        _desired_access: u32,
        object_attributes: u64,
        process_handle: u64,
        client_id: u64,
        start_routine: u64,
        start_context: u64
    ) -> abi::NTSTATUS {
        let attributes = match attributes::read(call, object_attributes)? {
            Ok(attributes) => attributes,
            Err(status) => return Ok(status),
        };
        if process_handle != 0 && process_handle != u64::MAX || attributes.name.is_some() {
            return Ok(abi::STATUS_NOT_IMPLEMENTED);
        }
        let kernel = call.machine()?;
        let in_kernel = attributes.attributes & abi::OBJ_KERNEL_HANDLE != 0;
        let owner = if in_kernel { Some(kernel.ps.system().clone()) } else { kernel.ps.get(call.thread.process_id) };
        let Some(process) = owner else { return Ok(abi::STATUS_PROCESS_IS_TERMINATING) };
        match ps::spawn_system_thread(&kernel, &process, start_routine, start_context) {
            Ok((thread, handle)) => {
                if client_id != 0 {
                    raw::write(client_id, u64::from(thread.process_id))?;
                    raw::write(client_id.wrapping_add(8), u64::from(thread.id.0))?;
                }
                let upper = if in_kernel { ob::KERNEL_HANDLE } else { 0 };
                raw::write(thread_handle, u64::from(handle) | upper)?;
                Ok(abi::STATUS_SUCCESS)
            }
            Err(status) => Ok(status),
        }
    }

    /// Ends the current system thread.
    irql(PASSIVE_LEVEL)
    fn PsTerminateSystemThread(call, exit_status: u32) -> abi::NTSTATUS {
        if call.thread.is_system {
            Err(Unwind::Exit(abi::NTSTATUS::from_bits(exit_status)))
        } else {
            Ok(abi::STATUS_INVALID_PARAMETER)
        }
    }

    /// Returns the identifier of the current process.
    irql(DISPATCH_LEVEL)
    fn PsGetCurrentProcessId(call) -> u64 {
        Ok(u64::from(call.thread.process_id))
    }

    /// Returns the identifier of the current thread.
    irql(DISPATCH_LEVEL)
    fn PsGetCurrentThreadId(call) -> u64 {
        Ok(u64::from(call.thread.id.0))
    }

    /// Returns the current thread object.
    irql(DISPATCH_LEVEL) alias("PsGetCurrentThread")
    fn KeGetCurrentThread(call) -> u64 {
        Ok(call.thread.object())
    }

    /// Returns the current process object.
    irql(DISPATCH_LEVEL) alias("PsGetCurrentProcess")
    fn IoGetCurrentProcess(call) -> u64 {
        let process = ob::current_process(call.kernel, call.thread).map_err(Unwind::status)?;
        ps::process_object(call.kernel, &process).map(|object| object.address).map_err(Unwind::status)
    }

    /// Returns the identifier of a process.
    irql(DISPATCH_LEVEL)
    fn PsGetProcessId(call, process: u64) -> u64 {
        let object = call.kernel.ob.by_address(process);
        let id = object.as_ref().and_then(|object| object.body::<ProcessBody>()).map(|body| body.id);
        id.map(u64::from).ok_or(Unwind::access_violation(0, process))
    }

    /// Returns the process with an identifier, referenced.
    irql(APC_LEVEL)
    fn PsLookupProcessByProcessId(call, process_id: u64, process: u64) -> abi::NTSTATUS {
        let found = u32::try_from(process_id).ok().and_then(|id| call.kernel.ps.get(id));
        let object = found.ok_or(abi::STATUS_INVALID_CID).and_then(|found| ps::process_object(call.kernel, &found));
        match object {
            Ok(object) if object.try_reference() => {
                raw::write(process, object.address)?;
                Ok(abi::STATUS_SUCCESS)
            }
            Ok(_) => Ok(abi::STATUS_INVALID_CID),
            Err(status) => Ok(status),
        }
    }

    /// Whether a thread is a system thread; for the current thread only.
    irql(HIGH_LEVEL) support(Partial)
    fn PsIsSystemThread(call, thread: u64) -> u8 {
        if thread == call.thread.object() {
            Ok(u8::from(call.thread.is_system))
        } else {
            Err(Unwind::status(abi::STATUS_NOT_IMPLEMENTED))
        }
    }
}
