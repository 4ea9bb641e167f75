//! From a driver's HANDLE to an object and back: kernel handles, pseudo handles, access checks, duplication.
//!
//! Kernel handles are the system process's, and have the upper bits of their value set: any process's context will do
//! for them, but kernel mode alone. The tables themselves are `handle`'s.

use std::sync::Arc;

use abi::NTSTATUS;

use super::handle::{HandleAttributes, HandleEntry};
use super::object::Object;
use crate::Kernel;
use crate::ke::Thread;
use crate::ps::{self, Process};

/// Bits that all kernel handles have set.
pub const KERNEL_HANDLE: u64 = 0xFFFF_FFFF_8000_0000;
const CURRENT_PROCESS: u64 = u64::MAX;
const CURRENT_THREAD: u64 = u64::MAX - 1;

/// What the object must be, and what the handle must allow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Rights, specific ones.
    pub access: u32,
    /// Address of the type object; 0 for any type.
    pub object_type: u64,
    /// Whether an application passed the handle: then rights are checked, and kernel handles are none.
    pub user_mode: bool,
}

/// The process in whose context `thread` runs.
///
/// # Errors
/// `STATUS_PROCESS_IS_TERMINATING` when it has ended.
pub fn current_process(kernel: &Kernel, thread: &Thread) -> Result<Arc<Process>, NTSTATUS> {
    kernel.ps.get(thread.process_id).ok_or(abi::STATUS_PROCESS_IS_TERMINATING)
}

/// The table that a handle belongs to, and its value there.
///
/// # Errors
/// `STATUS_INVALID_HANDLE`.
pub fn locate(
    kernel: &Kernel,
    process: &Arc<Process>,
    handle: u64,
    user_mode: bool,
) -> Result<(Arc<Process>, u32), NTSTATUS> {
    if handle & KERNEL_HANDLE == KERNEL_HANDLE {
        let value = u32::try_from(handle & !KERNEL_HANDLE).map_err(|_| abi::STATUS_INVALID_HANDLE)?;
        return if user_mode {
            Err(abi::STATUS_INVALID_HANDLE)
        } else {
            Ok((kernel.ps.system().clone(), value))
        };
    }
    let value = u32::try_from(handle).map_err(|_| abi::STATUS_INVALID_HANDLE)?;
    Ok((process.clone(), value))
}

/// `ObReferenceObjectByHandle`: the object that `handle` stands for, with a reference that the caller drops.
///
/// # Errors
/// `STATUS_INVALID_HANDLE`, `STATUS_OBJECT_TYPE_MISMATCH`, `STATUS_ACCESS_DENIED`.
///
/// Source: ddi, ObReferenceObjectByHandle.
pub fn reference_by_handle(
    kernel: &Kernel,
    thread: &Thread,
    handle: u64,
    wanted: Wanted,
) -> Result<HandleEntry, NTSTATUS> {
    let process = current_process(kernel, thread)?;
    let entry = match handle {
        CURRENT_PROCESS => pseudo(ps::process_object(kernel, &process)?, abi::PROCESS_ALL_ACCESS),
        // Threads of applications have no object of `ob`'s.
        CURRENT_THREAD => {
            let object = kernel.ob.by_address(thread.object()).ok_or(abi::STATUS_NOT_IMPLEMENTED)?;
            pseudo(object, abi::THREAD_ALL_ACCESS)
        }
        _ => {
            let (owner, value) = locate(kernel, &process, handle, wanted.user_mode)?;
            owner.handles.get(value).ok_or(abi::STATUS_INVALID_HANDLE)?
        }
    };
    check_type(kernel, &entry.object, wanted.object_type)?;
    if wanted.user_mode && wanted.access & !entry.granted != 0 {
        return Err(abi::STATUS_ACCESS_DENIED);
    }
    // Closed by another thread meanwhile, perhaps as the last.
    if entry.object.try_reference() { Ok(entry) } else { Err(abi::STATUS_INVALID_HANDLE) }
}

fn pseudo(object: Arc<Object>, granted: u32) -> HandleEntry {
    HandleEntry { object, granted, attributes: HandleAttributes::default() }
}

/// Whether an object is of the type whose type object is at `object_type`; 0 stands for any.
///
/// # Errors
/// `STATUS_OBJECT_TYPE_MISMATCH`.
pub fn check_type(kernel: &Kernel, object: &Object, object_type: u64) -> Result<(), NTSTATUS> {
    let fits = object_type == 0 || kernel.ob.type_at(object_type) == Some(object.object_type().name);
    if fits { Ok(()) } else { Err(abi::STATUS_OBJECT_TYPE_MISMATCH) }
}

/// Opens a handle for kernel code: with OBJ_KERNEL_HANDLE in the kernel's table, else in the current process's. Takes over
/// one reference from the caller, also when it fails.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES` when the table is full.
pub fn open_handle(
    kernel: &Kernel,
    thread: &Thread,
    object: &Arc<Object>,
    granted: u32,
    attributes: u32,
) -> Result<u64, NTSTATUS> {
    let opened = || {
        let kernel_handle = attributes & abi::OBJ_KERNEL_HANDLE != 0;
        let process =
            if kernel_handle { kernel.ps.system().clone() } else { current_process(kernel, thread)? };
        let own = HandleAttributes { inherit: attributes & abi::OBJ_INHERIT != 0, ..Default::default() };
        let value = process.handles.insert_with(object.clone(), granted, own)?;
        Ok(u64::from(value) | if kernel_handle { KERNEL_HANDLE } else { 0 })
    };
    let result = opened();
    if result.is_err() {
        object.dereference(kernel);
    }
    result
}

/// `ZwClose`. An invalid or protected kernel handle stops the machine: 93h (INVALID_KERNEL_HANDLE) with the handle and 1
/// or 0. (Confirm: for other handles the status alone.)
///
/// # Errors
/// `STATUS_INVALID_HANDLE`, `STATUS_HANDLE_NOT_CLOSABLE`.
pub fn close_handle(kernel: &Kernel, thread: &Thread, handle: u64, user_mode: bool) -> Result<(), NTSTATUS> {
    if handle == CURRENT_PROCESS || handle == CURRENT_THREAD {
        return Ok(());
    }
    let process = current_process(kernel, thread)?;
    let (owner, value) = locate(kernel, &process, handle, user_mode)?;
    let closed = owner.handles.close(kernel, &owner, value);
    if let Err(status) = closed
        && handle & KERNEL_HANDLE == KERNEL_HANDLE
    {
        let invalid = u64::from(status == abi::STATUS_INVALID_HANDLE);
        kernel.bug_check(abi::INVALID_KERNEL_HANDLE, [handle, invalid, 0, 0]);
    }
    closed
}

/// What `NtDuplicateObject` is asked for, beside the handle and its owner.
#[derive(Clone, Copy, Debug, Default)]
pub struct Duplicate {
    /// Rights of the new handle, generic ones allowed; ignored with DUPLICATE_SAME_ACCESS.
    pub access: u32,
    /// OBJ_INHERIT, OBJ_KERNEL_HANDLE; without DUPLICATE_SAME_ATTRIBUTES.
    pub attributes: u32,
    /// DUPLICATE_CLOSE_SOURCE, DUPLICATE_SAME_ACCESS, DUPLICATE_SAME_ATTRIBUTES.
    pub options: u32,
}

/// `NtDuplicateObject`: another handle to the object of `source`'s handle, in `target` (or, with OBJ_KERNEL_HANDLE, the
/// kernel's table). DUPLICATE_CLOSE_SOURCE closes the source handle whatever becomes of the rest; without a target it does
/// only that, and the handle returned is 0.
///
/// # Errors
/// `STATUS_INVALID_HANDLE`; `STATUS_ACCESS_DENIED` for more rights than the source has: no type here gives them (Confirm:
/// NT gives some to who passes a new access check); `STATUS_INSUFFICIENT_RESOURCES`; `STATUS_INVALID_PARAMETER` without a
/// target and anything to do.
///
/// Source: DuplicateHandle; ddi, ZwDuplicateObject.
pub fn duplicate_object(
    kernel: &Kernel,
    source: &Arc<Process>,
    handle: u32,
    target: Option<&Arc<Process>>,
    request: Duplicate,
) -> Result<u64, NTSTATUS> {
    let entry = source.handles.get(handle).ok_or(abi::STATUS_INVALID_HANDLE)?;
    if !entry.object.try_reference() {
        return Err(abi::STATUS_INVALID_HANDLE);
    }
    let closes = request.options & abi::DUPLICATE_CLOSE_SOURCE != 0;
    let made = match target {
        Some(target) => insert_duplicate(kernel, &entry, target, request),
        None => {
            entry.object.dereference(kernel);
            if closes { Ok(0) } else { Err(abi::STATUS_INVALID_PARAMETER) }
        }
    };
    if closes {
        let _protected = source.handles.close(kernel, source, handle);
    }
    made
}

fn insert_duplicate(
    kernel: &Kernel,
    entry: &HandleEntry,
    target: &Arc<Process>,
    request: Duplicate,
) -> Result<u64, NTSTATUS> {
    let same_access = request.options & abi::DUPLICATE_SAME_ACCESS != 0;
    let mapped = entry.object.object_type().map_access(request.access);
    let granted = if same_access {
        entry.granted
    } else if request.access & abi::MAXIMUM_ALLOWED != 0 {
        mapped & entry.granted
    } else {
        mapped
    };
    let same_attributes = request.options & abi::DUPLICATE_SAME_ATTRIBUTES != 0;
    let attributes = if same_attributes {
        entry.attributes
    } else {
        HandleAttributes { inherit: request.attributes & abi::OBJ_INHERIT != 0, ..Default::default() }
    };
    let in_kernel = request.attributes & abi::OBJ_KERNEL_HANDLE != 0;
    let table = if in_kernel { kernel.ps.system() } else { target };
    let made = if granted & !entry.granted == 0 {
        table.handles.insert_with(entry.object.clone(), granted, attributes)
    } else {
        Err(abi::STATUS_ACCESS_DENIED)
    };
    if made.is_err() {
        entry.object.dereference(kernel);
    }
    Ok(u64::from(made?) | if in_kernel { KERNEL_HANDLE } else { 0 })
}

/// `ZwMakeTemporaryObject`, `ObMakeTemporaryObject`: the object's name goes with its last handle, or now if it has none.
pub fn make_temporary(kernel: &Kernel, object: &Object) {
    if object.make_temporary() && kernel.ob.remove_name(object) {
        object.dereference(kernel);
    }
}
