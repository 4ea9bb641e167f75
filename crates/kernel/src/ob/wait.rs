//! Applications' waits by handle: `NtWaitForSingleObject`, `NtWaitForMultipleObjects`.

use std::sync::Arc;

use abi::NTSTATUS;

use super::{Object, reference_own};
use crate::ke::{ProcessorMode, Thread, Timeout, WaitType};
use crate::ps::Process;
use crate::raw::Outcome;
use crate::{Kernel, Unwind};

/// Waits for the objects of handles, in user mode. Must run inside the machine, in the context of `process`. PASSIVE_LEVEL.
///
/// Returns `STATUS_WAIT_0` or `STATUS_ABANDONED_WAIT_0` (plus the index, for [`WaitType::Any`]), `STATUS_TIMEOUT`,
/// `STATUS_USER_APC` or `STATUS_ALERTED`. Errors: `STATUS_INVALID_PARAMETER_1` for no handles or more than
/// MAXIMUM_WAIT_OBJECTS (64); `STATUS_INVALID_HANDLE`; `STATUS_ACCESS_DENIED` without SYNCHRONIZE;
/// `STATUS_OBJECT_TYPE_MISMATCH` for what cannot be waited for; `STATUS_INVALID_PARAMETER_MIX` for all of several handles to
/// one object; `STATUS_MUTANT_LIMIT_EXCEEDED`; `STATUS_DEVICE_NOT_CONNECTED` when the machine stops.
///
/// Source: ddi, ZwWaitForSingleObject; Win32, WaitForMultipleObjectsEx.
pub fn wait_for_handles(
    kernel: &Kernel,
    process: &Process,
    thread: &Thread,
    handles: &[u32],
    kind: WaitType,
    alertable: bool,
    timeout: Timeout,
) -> NTSTATUS {
    const MOST: usize = abi::MAXIMUM_WAIT_OBJECTS as usize;
    if handles.is_empty() || handles.len() > MOST {
        return abi::STATUS_INVALID_PARAMETER_1;
    }
    let mut objects: [Option<Arc<Object>>; MOST] = [const { None }; MOST];
    let mut addresses = [0; MOST];
    let mut found = Ok(());
    for (index, handle) in handles.iter().enumerate() {
        match find(kernel, process, *handle) {
            Ok((object, address)) => (objects[index], addresses[index]) = (Some(object), address),
            Err(status) => {
                found = Err(status);
                break;
            }
        }
    }
    let addresses = &addresses[..handles.len()];
    let is_mixed = |(index, address): (usize, &u64)| addresses[..index].contains(address);
    if found.is_ok() && kind == WaitType::All && addresses.iter().enumerate().any(is_mixed) {
        found = Err(abi::STATUS_INVALID_PARAMETER_MIX);
    }
    let waited = found.map(|()| wait(kernel, thread, addresses, kind, alertable, timeout));
    for object in objects.iter().flatten() {
        object.dereference(kernel);
    }
    match waited {
        Ok(Ok(status)) | Err(status) => status,
        Ok(Err(Unwind::Raise(raise))) => raise.record.ExceptionCode,
        Ok(Err(_)) => abi::STATUS_DEVICE_NOT_CONNECTED,
    }
}

fn find(kernel: &Kernel, process: &Process, handle: u32) -> Result<(Arc<Object>, u64), NTSTATUS> {
    let object = reference_own(process, handle, None, abi::SYNCHRONIZE)?;
    match object.body.waits_on(&object) {
        Some(address) => Ok((object, address)),
        None => {
            object.dereference(kernel);
            Err(abi::STATUS_OBJECT_TYPE_MISMATCH)
        }
    }
}

fn wait(
    kernel: &Kernel,
    thread: &Thread,
    objects: &[u64],
    kind: WaitType,
    alertable: bool,
    timeout: Timeout,
) -> Outcome<NTSTATUS> {
    // Wait blocks are the kernel's own: what matters is that there are any.
    const SOME: u64 = 1;
    let mode = ProcessorMode::User;
    kernel.ke.wait_for_multiple_objects(kernel, thread, objects, kind, mode, alertable, timeout, SOME)
}
