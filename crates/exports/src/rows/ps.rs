//! `Ps…`: threads and processes.

use std::mem::offset_of;

use kernel::ps::{self, KERNEL_HANDLE};
use kernel::{Outcome, Unwind, raw};

use crate::row::rows;

/// The attributes of a thread that is to be created without a name; `None` when it is to have one.
fn thread_attributes(address: u64) -> Outcome<Option<u32>> {
    let field = |offset: usize| address.wrapping_add(offset as u64);
    if address == 0 {
        return Ok(Some(0));
    }
    let name: u64 = raw::read(field(offset_of!(abi::OBJECT_ATTRIBUTES, ObjectName)))?;
    let attributes: u32 = raw::read(field(offset_of!(abi::OBJECT_ATTRIBUTES, Attributes)))?;
    Ok((name == 0).then_some(attributes))
}

rows! {
    dll = "ntoskrnl.exe";

    /// Creates a system thread in the system process. A process handle, and a name for the thread, are not implemented.
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
        let attributes = thread_attributes(object_attributes)?;
        let (Some(attributes), 0 | u64::MAX) = (attributes, process_handle) else {
            return Ok(abi::STATUS_NOT_IMPLEMENTED);
        };
        let kernel = call.machine()?;
        let (process, mark) = if attributes & abi::OBJ_KERNEL_HANDLE != 0 {
            (Some(kernel.ps.system().clone()), KERNEL_HANDLE)
        } else {
            (kernel.ps.get(call.thread.process_id), 0)
        };
        let Some(process) = process else { return Ok(abi::STATUS_PROCESS_IS_TERMINATING) };
        match ps::spawn_system_thread(&kernel, &process, start_routine, start_context) {
            Ok((thread, handle)) => {
                if client_id != 0 {
                    raw::write(client_id, u64::from(thread.process_id))?;
                    raw::write(client_id.wrapping_add(8), u64::from(thread.id.0))?;
                }
                raw::write(thread_handle, u64::from(handle) | mark)?;
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
