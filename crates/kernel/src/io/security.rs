//! Security descriptors by handle: `NtQuerySecurityObject`, `NtSetSecurityObject`.
//!
//! What was opened by its device's name alone has the device's descriptor, and the I/O manager answers for it; a file with a name is its
//! driver's to protect, by IRP_MJ_QUERY_SECURITY and IRP_MJ_SET_SECURITY. Objects of other types answer themselves.
//!
//! Source: ddi, ZwQuerySecurityObject, ZwSetSecurityObject; ifs, IRP_MJ_QUERY_SECURITY, IRP_MJ_SET_SECURITY.

use std::sync::Arc;

use abi::NTSTATUS;

use super::asynchronous::{Caller, Notice, Target};
use super::file::File;
use super::kernel_file::wait_for;
use super::operation::Operation;
use super::packet::{InFlight, Needs};
use super::request::{IoResult, Route, with_file};
use crate::Kernel;
use crate::ke::Thread;
use crate::mm::PoolOwner;
use crate::ob::{self, HandleEntry, Object};
use crate::ps::Process;
use crate::raw::{self, IoStackLocation, Irp, Outcome};
use crate::se::{self, Acl, SecurityDescriptor, Sid, Subject};

/// Tag of descriptors and status blocks of these requests.
const TAG: u32 = u32::from_le_bytes(*b"IoSd");
const OWNER_AND_GROUP: u32 = abi::OWNER_SECURITY_INFORMATION | abi::GROUP_SECURITY_INFORMATION;

/// Whose descriptor a handle's object has.
enum Protected {
    /// The object's: this one, or the device that was opened.
    Object(Arc<Object>),
    /// Its driver knows.
    File,
}

fn protected(kernel: &Kernel, object: &Arc<Object>) -> Result<Protected, NTSTATUS> {
    let Some(file) = object.body::<File>() else { return Ok(Protected::Object(object.clone())) };
    if !file.name_below_device().is_empty() {
        return Ok(Protected::File);
    }
    let device = kernel.ob.by_address(file.device.address()).ok_or(abi::STATUS_INVALID_HANDLE)?;
    Ok(Protected::Object(device))
}

/// The rights that asking for `information` needs.
fn rights_to_query(information: u32) -> u32 {
    let mut rights = 0;
    if information & (OWNER_AND_GROUP | abi::DACL_SECURITY_INFORMATION) != 0 {
        rights |= abi::READ_CONTROL;
    }
    if information & abi::SACL_SECURITY_INFORMATION != 0 {
        rights |= abi::ACCESS_SYSTEM_SECURITY;
    }
    rights
}

/// The rights that changing it needs.
fn rights_to_set(information: u32) -> u32 {
    let mut rights = 0;
    for (bits, right) in [
        (OWNER_AND_GROUP, abi::WRITE_OWNER),
        (abi::DACL_SECURITY_INFORMATION, abi::WRITE_DAC),
        (abi::SACL_SECURITY_INFORMATION, abi::ACCESS_SYSTEM_SECURITY),
    ] {
        if information & bits != 0 {
            rights |= right;
        }
    }
    rights
}

/// An object's own descriptor, or those parts of it that are asked for.
fn taken(object: &Object, information: u32) -> Vec<u8> {
    let whole = object.security().map(|whole| (*whole).clone()).unwrap_or_default();
    se::take_information(&whole, information).to_bytes().unwrap_or_default()
}

/// What a file has whose file system knows of no descriptors: everybody's, and open to everybody. (Confirm: published is that
/// such file systems protect nothing.)
fn everybodys(information: u32) -> Vec<u8> {
    let everyone = Sid::from_parts(1, &[0]);
    let mut open = SecurityDescriptor { owner: everyone, group: everyone, ..SecurityDescriptor::default() };
    open.control = abi::SE_DACL_PRESENT;
    open.dacl = None::<Acl>;
    se::take_information(&open, information).to_bytes().unwrap_or_default()
}

fn change(object: &Object, information: u32, new: &SecurityDescriptor) -> NTSTATUS {
    let old = object.security().map(|old| (*old).clone()).unwrap_or_default();
    match se::set_information(&old, information, new, &object.object_type().generic_mapping) {
        Ok(changed) => {
            object.set_security(changed);
            abi::STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

fn succeeded(information: usize) -> IoResult {
    IoResult { status: abi::STATUS_SUCCESS, information: information as u64 }
}

/// A driver's answer to a query: a buffer that is too small is an error, with the length that is needed.
fn answer(status: NTSTATUS, information: u64) -> IoResult {
    let too_small = matches!(status, abi::STATUS_BUFFER_OVERFLOW | abi::STATUS_BUFFER_TOO_SMALL);
    let status = if too_small { abi::STATUS_BUFFER_TOO_SMALL } else { status };
    IoResult { status, information }
}

fn look_up(process: &Process, handle: u32, rights: u32) -> Result<HandleEntry, NTSTATUS> {
    let entry = process.handles.get(handle).ok_or(abi::STATUS_INVALID_HANDLE)?;
    if entry.granted & rights == rights { Ok(entry) } else { Err(abi::STATUS_ACCESS_DENIED) }
}

/// `NtQuerySecurityObject` of an application: writes a self-relative descriptor; `information` is how many bytes, with
/// STATUS_BUFFER_TOO_SMALL how many are needed. Must run inside the machine, in the context of `process`. PASSIVE_LEVEL.
///
/// Ends with `STATUS_INVALID_HANDLE`, `STATUS_ACCESS_DENIED` without READ_CONTROL (owner, group, DACL) or ACCESS_SYSTEM_SECURITY (SACL),
/// `STATUS_ACCESS_VIOLATION` for a buffer that is not the process's, `STATUS_BUFFER_TOO_SMALL`, or the driver's status for a file with a
/// name.
pub fn query_security_object(
    kernel: &Kernel,
    process: &Process,
    thread: &Thread,
    query: &SecurityQuery,
) -> IoResult {
    let SecurityQuery { handle, information, buffer, length } = *query;
    let Ok(handle) = u32::try_from(handle) else { return IoResult::failed(abi::STATUS_INVALID_HANDLE) };
    let entry = match look_up(process, handle, rights_to_query(information)) {
        Ok(entry) => entry,
        Err(status) => return IoResult::failed(status),
    };
    if !process.user_space.has_pages(buffer, u64::from(length), true) {
        return IoResult::failed(abi::STATUS_ACCESS_VIOLATION);
    }
    let bytes = match protected(kernel, &entry.object) {
        Ok(Protected::Object(object)) => taken(&object, information),
        Ok(Protected::File) => {
            let asked = with_file(kernel, process, handle, |file, _| {
                let operation =
                    Operation::security(abi::IRP_MJ_QUERY_SECURITY, information, (buffer, length));
                let fill = |irp: Irp, location: IoStackLocation, request: &InFlight| {
                    operation.fill(irp, location, request)
                };
                let route = Route::of(kernel, thread, file);
                let (result, _) = route.send_in_place(Needs::default(), &|_| Ok(()), &fill);
                answer(result.status, result.information)
            });
            if asked.status != abi::STATUS_INVALID_DEVICE_REQUEST {
                return asked;
            }
            everybodys(information)
        }
        Err(status) => return IoResult::failed(status),
    };
    if bytes.len() > length as usize {
        return IoResult { status: abi::STATUS_BUFFER_TOO_SMALL, information: bytes.len() as u64 };
    }
    match raw::copy_to(buffer, &bytes) {
        Ok(()) => succeeded(bytes.len()),
        // The application has given the pages back meanwhile.
        Err(_) => IoResult::failed(abi::STATUS_ACCESS_VIOLATION),
    }
}

/// `NtSetSecurityObject` of an application, with a self-relative descriptor; as [`query_security_object`].
///
/// Ends with `STATUS_ACCESS_DENIED` without WRITE_OWNER (owner, group), WRITE_DAC or ACCESS_SYSTEM_SECURITY,
/// `STATUS_INVALID_SECURITY_DESCR`, `STATUS_INVALID_OWNER` for one that the caller's token may not name,
/// `STATUS_INVALID_PRIMARY_GROUP`, or the driver's status for a file with a name. A driver that knows of no descriptors has the change
/// succeed without effect. (Confirm: that this is not told.)
pub fn set_security_object(
    kernel: &Kernel,
    process: &Process,
    thread: &Thread,
    handle: u32,
    information: u32,
    descriptor: &[u8],
) -> IoResult {
    let checked = look_up(process, handle, rights_to_set(information)).and_then(|entry| {
        let new = SecurityDescriptor::from_bytes(descriptor).ok_or(abi::STATUS_INVALID_SECURITY_DESCR)?;
        may_name_owner(kernel, process, information, &new)?;
        Ok((protected(kernel, &entry.object)?, new))
    });
    match checked {
        Err(status) => IoResult::failed(status),
        Ok((Protected::Object(object), new)) => {
            IoResult { status: change(&object, information, &new), information: 0 }
        }
        Ok((Protected::File, _)) => {
            let Some(block) = pool_copy(kernel, descriptor) else {
                return IoResult::failed(abi::STATUS_INSUFFICIENT_RESOURCES);
            };
            let mut released = true;
            let result = with_file(kernel, process, handle, |file, _| {
                let operation = Operation::security(abi::IRP_MJ_SET_SECURITY, information, (block, 0));
                let fill = |irp: Irp, location: IoStackLocation, request: &InFlight| {
                    operation.fill(irp, location, request)
                };
                let route = Route::of(kernel, thread, file);
                let (result, reuse) = route.send_in_place(Needs::default(), &|_| Ok(()), &fill);
                released = reuse;
                result
            });
            // One that was given up may still be looked at.
            if released {
                super::free_own(kernel, block);
            }
            IoResult { status: without_descriptors(result.status), information: 0 }
        }
    }
}

fn without_descriptors(status: NTSTATUS) -> NTSTATUS {
    if status == abi::STATUS_INVALID_DEVICE_REQUEST { abi::STATUS_SUCCESS } else { status }
}

fn pool_copy(kernel: &Kernel, bytes: &[u8]) -> Option<u64> {
    let block = kernel.mm.pool.allocate_zeroed(bytes.len().max(1), TAG, PoolOwner::default())?;
    raw::copy_to(block.address, bytes).ok()?;
    Some(block.address)
}

/// Source: Win32, SetKernelObjectSecurity; "Taking Object Ownership".
fn may_name_owner(
    kernel: &Kernel,
    process: &Process,
    information: u32,
    new: &SecurityDescriptor,
) -> Result<(), NTSTATUS> {
    if information & abi::OWNER_SECURITY_INFORMATION == 0 {
        return Ok(());
    }
    let subject = Subject::current(kernel, process);
    let owner = new.owner.ok_or(abi::STATUS_INVALID_OWNER)?;
    if subject.effective()?.may_own(&owner) { Ok(()) } else { Err(abi::STATUS_INVALID_OWNER) }
}

/// What is asked of or changed in a descriptor.
#[derive(Clone, Copy, Debug)]
pub struct SecurityQuery {
    /// The handle.
    pub handle: u64,
    /// OWNER_SECURITY_INFORMATION and its like.
    pub information: u32,
    /// Where the descriptor goes, or is.
    pub buffer: u64,
    /// Bytes there; of a change none.
    pub length: u32,
}

/// `ZwQuerySecurityObject` in kernel mode: the status, and the bytes that were written or are needed. As
/// [`query_security_object`], without the check of rights; waits for the driver's answer.
///
/// # Errors
/// An access violation in the caller's memory, or how the driver's frames were left.
pub fn query_security(kernel: &Kernel, thread: &Thread, query: &SecurityQuery) -> Outcome<(NTSTATUS, u64)> {
    let (process, object) = match find(kernel, thread, query.handle) {
        Ok(found) => found,
        Err(status) => return Ok((status, 0)),
    };
    let bytes = match protected(kernel, &object) {
        Ok(Protected::Object(object)) => taken(&object, query.information),
        Ok(Protected::File) => {
            let (status, information) = ask(kernel, &process, thread, query, abi::IRP_MJ_QUERY_SECURITY)?;
            if status != abi::STATUS_INVALID_DEVICE_REQUEST {
                let IoResult { status, information } = answer(status, information);
                return Ok((status, information));
            }
            everybodys(query.information)
        }
        Err(status) => return Ok((status, 0)),
    };
    if bytes.len() > query.length as usize {
        return Ok((abi::STATUS_BUFFER_TOO_SMALL, bytes.len() as u64));
    }
    raw::copy_to(query.buffer, &bytes)?;
    Ok((abi::STATUS_SUCCESS, bytes.len() as u64))
}

/// `ZwSetSecurityObject` in kernel mode, with the descriptor at `query.buffer`; as [`query_security`].
///
/// # Errors
/// As for [`query_security`].
pub fn set_security(kernel: &Kernel, thread: &Thread, query: &SecurityQuery) -> Outcome<NTSTATUS> {
    let (process, object) = match find(kernel, thread, query.handle) {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let new = match se::capture(query.buffer)? {
        Ok(new) => new,
        Err(status) => return Ok(status),
    };
    match protected(kernel, &object) {
        Ok(Protected::Object(object)) => Ok(change(&object, query.information, &new)),
        Ok(Protected::File) => {
            let captured = new.to_bytes().and_then(|bytes| pool_copy(kernel, &bytes));
            let Some(block) = captured else { return Ok(abi::STATUS_INSUFFICIENT_RESOURCES) };
            let query = SecurityQuery { buffer: block, ..*query };
            let asked = ask(kernel, &process, thread, &query, abi::IRP_MJ_SET_SECURITY);
            if !matches!(asked, Err(crate::Unwind::Halt)) {
                super::free_own(kernel, block);
            }
            asked.map(|(status, _)| without_descriptors(status))
        }
        Err(status) => Ok(status),
    }
}

fn find(kernel: &Kernel, thread: &Thread, handle: u64) -> Result<(Arc<Process>, Arc<Object>), NTSTATUS> {
    let process = ob::current_process(kernel, thread)?;
    let (owner, value) = ob::locate(kernel, &process, handle, false)?;
    let entry = owner.handles.get(value).ok_or(abi::STATUS_INVALID_HANDLE)?;
    Ok((process, entry.object))
}

/// Asks the file's driver, and waits for its answer.
fn ask(
    kernel: &Kernel,
    process: &Arc<Process>,
    thread: &Thread,
    query: &SecurityQuery,
    major: u8,
) -> Outcome<(NTSTATUS, u64)> {
    let size = size_of::<abi::IO_STATUS_BLOCK>();
    let block = kernel.mm.pool.allocate_zeroed(size, TAG, PoolOwner::default());
    let Some(block) = block else { return Ok((abi::STATUS_INSUFFICIENT_RESOURCES, 0)) };
    let caller = Caller { kernel, process, thread, user_mode: false };
    let notice = Notice { io_status_block: block.address, ..Notice::default() };
    let asked = wait_for(caller, Target::Handle(query.handle), notice, &[], |_, _| {
        Ok(Operation::security(major, query.information, (query.buffer, query.length)))
    });
    let information = raw::read(block.address + 8).unwrap_or(0);
    // A request that was given up may still write there.
    if !matches!(asked, Err(crate::Unwind::Halt)) {
        super::free_own(kernel, block.address);
    }
    Ok((asked?, information))
}
