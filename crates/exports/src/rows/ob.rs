//! `Ob…` and handles.

use std::sync::Arc;

use abi::NTSTATUS;
use kernel::io;
use kernel::ob::{self, Duplicate, HandleAttributes, Object, Wanted};
use kernel::ps::{self, ProcessBody};
use kernel::raw::{self, UnicodeString};
use kernel::se;
use kernel::{Outcome, Unwind};

use crate::Call;
use crate::attributes::{Checked, answer};
use crate::call::status_of;
use crate::row::rows;

/// What is no object any more, or never was one.
fn no_object<T>(call: Call<'_>, address: u64) -> Outcome<T> {
    call.kernel.bug_check(abi::REFERENCE_BY_POINTER, [0, address, 0, 0]);
    Err(Unwind::Halt)
}

fn reference(call: Call<'_>, address: u64) -> Outcome<i64> {
    match call.kernel.ob.by_address(address) {
        Some(object) if object.try_reference() => Ok(object.references() as i64),
        _ => no_object(call, address),
    }
}

/// Drops a reference. The end of an object runs at PASSIVE_LEVEL: above that it comes later, on a system worker thread.
fn dereference(call: Call<'_>, address: u64) -> Outcome<i64> {
    if call.kernel.ke.current_irql() > abi::PASSIVE_LEVEL {
        return dereference_later(call, address);
    }
    match call.kernel.ob.by_address(address) {
        Some(object) => Ok(object.dereference(call.kernel) as i64),
        None => no_object(call, address),
    }
}

fn dereference_later(call: Call<'_>, address: u64) -> Outcome<i64> {
    let Some(object) = call.kernel.ob.by_address(address) else { return no_object(call, address) };
    let left = object.references() as i64 - 1;
    io::dereference_later(call.kernel, &object);
    Ok(left)
}

/// The object at an address, if it is of the type.
fn typed(call: Call<'_>, address: u64, object_type: u64) -> Checked<Arc<Object>> {
    match call.kernel.ob.by_address(address) {
        Some(object) => Ok(ob::check_type(call.kernel, &object, object_type).map(|()| object)),
        None => no_object(call, address),
    }
}

fn close(call: Call<'_>, handle: u64, user_mode: bool) -> Outcome<NTSTATUS> {
    let closed = ob::close_handle(call.kernel, call.thread, handle, user_mode);
    // An invalid kernel handle stops the machine.
    if call.kernel.is_halted() { Err(Unwind::Halt) } else { Ok(status_of(closed)) }
}

/// ObReferenceObjectByHandle: writes NULL when it fails.
fn by_handle(call: Call<'_>, handle: u64, wanted: Wanted, to: u64, information: u64) -> Outcome<NTSTATUS> {
    raw::write(to, 0_u64)?;
    let entry = match ob::reference_by_handle(call.kernel, call.thread, handle, wanted) {
        Ok(entry) => entry,
        Err(status) => return Ok(status),
    };
    if entry.object.address == 0 {
        // Directories and symbolic links have no body that a driver could see.
        entry.object.dereference(call.kernel);
        return Ok(abi::STATUS_NOT_IMPLEMENTED);
    }
    if information != 0 {
        let inherit = if entry.attributes.inherit { abi::OBJ_INHERIT } else { 0 };
        raw::write(information, inherit | u32::from(entry.attributes.protect_from_close))?;
        raw::write(information.wrapping_add(4), entry.granted)?;
    }
    raw::write(to, entry.object.address)?;
    Ok(abi::STATUS_SUCCESS)
}

/// The process that a handle stands for.
fn process_of(call: Call<'_>, handle: u64) -> Result<Arc<ps::Process>, NTSTATUS> {
    let wanted = Wanted { object_type: call.kernel.ob.type_address("Process"), ..Wanted::default() };
    let entry = ob::reference_by_handle(call.kernel, call.thread, handle, wanted)?;
    let process = entry.object.body::<ProcessBody>().and_then(ProcessBody::process);
    entry.object.dereference(call.kernel);
    process.ok_or(abi::STATUS_PROCESS_IS_TERMINATING)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Takes a reference to an object; returns how many there are now.
    irql(DISPATCH_LEVEL)
    fn ObfReferenceObject(call, object: u64) -> i64 {
        reference(call, object)
    }

    /// Drops a reference to an object; returns how many are left.
    irql(DISPATCH_LEVEL) alias("ObDereferenceObject")
    fn ObfDereferenceObject(call, object: u64) -> i64 {
        dereference(call, object)
    }

    /// As ObfReferenceObject; the tag is not kept.
    irql(DISPATCH_LEVEL)
    fn ObfReferenceObjectWithTag(call, object: u64, _tag: u32) -> i64 {
        reference(call, object)
    }

    /// As ObfDereferenceObject; the tag is not kept.
    irql(DISPATCH_LEVEL)
    fn ObfDereferenceObjectWithTag(call, object: u64, _tag: u32) -> i64 {
        dereference(call, object)
    }

    /// Drops a reference to an object; the last lets it end later, on a system worker thread.
    irql(DISPATCH_LEVEL)
    fn ObDereferenceObjectDeferDelete(call, object: u64) -> i64 {
        dereference_later(call, object)
    }

    /// Closes a handle of the current process, or a kernel handle.
    irql(PASSIVE_LEVEL) alias("NtClose")
    fn ZwClose(call, handle: u64) -> NTSTATUS {
        call.thread.called_by_kernel(|| close(call, handle, false))
    }

    /// Closes a handle that an application or kernel code has opened.
    irql(PASSIVE_LEVEL)
    fn ObCloseHandle(call, handle: u64, previous_mode: u8) -> NTSTATUS {
        close(call, handle, previous_mode != 0)
    }

    /// Returns the object that a handle stands for, referenced, if it is of the type and the handle allows the access.
    irql(PASSIVE_LEVEL)
    fn ObReferenceObjectByHandle(
        call,
        handle: u64,
        desired_access: u32,
        object_type: u64,
        access_mode: u8,
        object: u64,
        handle_information: u64
    ) -> NTSTATUS {
        let wanted = Wanted { access: desired_access, object_type, user_mode: access_mode != 0 };
        by_handle(call, handle, wanted, object, handle_information)
    }

    /// As ObReferenceObjectByHandle; the tag is not kept.
    irql(PASSIVE_LEVEL)
    fn ObReferenceObjectByHandleWithTag(
        call,
        handle: u64,
        desired_access: u32,
        object_type: u64,
        access_mode: u8,
        _tag: u32,
        object: u64,
        handle_information: u64
    ) -> NTSTATUS {
        let wanted = Wanted { access: desired_access, object_type, user_mode: access_mode != 0 };
        by_handle(call, handle, wanted, object, handle_information)
    }

    /// Takes a reference to an object of a type.
    irql(DISPATCH_LEVEL)
    fn ObReferenceObjectByPointer(
        call,
        object: u64,
        _desired_access: u32,
        object_type: u64,
        _access_mode: u8
    ) -> NTSTATUS {
        match typed(call, object, object_type)? {
            Ok(_) => reference(call, object).map(|_| abi::STATUS_SUCCESS),
            Err(status) => Ok(status),
        }
    }

    /// Returns the object of a name, referenced. Not documented: imported by drivers that look for another's object.
    irql(PASSIVE_LEVEL)
    fn ObReferenceObjectByName(
        call,
        name: u64,
        _attributes: u32,
        _access_state: u64,
        _desired_access: u32,
        object_type: u64,
        _access_mode: u8,
        _parse_context: u64,
        object: u64
    ) -> NTSTATUS {
        let found = match call.kernel.ob.find(&call.string(name)?, false) {
            Ok(found) => found,
            Err(status) => return Ok(status),
        };
        if !found.rest.is_empty() || found.object.address == 0 {
            return Ok(abi::STATUS_OBJECT_TYPE_MISMATCH);
        }
        if let Err(status) = ob::check_type(call.kernel, &found.object, object_type) {
            return Ok(status);
        }
        if !found.object.try_reference() {
            return Ok(abi::STATUS_OBJECT_NAME_NOT_FOUND);
        }
        raw::write(object, found.object.address)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Opens a handle to an object, with the access that the caller's token has where the access mode is UserMode. A passed
    /// access state is not implemented.
    irql(PASSIVE_LEVEL) support(Partial)
    fn ObOpenObjectByPointer(
        call,
        object: u64,
        handle_attributes: u32,
        passed_access_state: u64,
        desired_access: u32,
        object_type: u64,
        access_mode: u8,
        handle: u64
    ) -> NTSTATUS {
        let object = match typed(call, object, object_type)? {
            Ok(object) => object,
            Err(status) => return Ok(status),
        };
        if passed_access_state != 0 {
            return Ok(abi::STATUS_NOT_IMPLEMENTED);
        }
        let process = ob::current_process(call.kernel, call.thread);
        let check = |process: Arc<ps::Process>| {
            se::check_for_caller(call.kernel, &process, &object, desired_access, access_mode != 0)
        };
        let granted = match process.and_then(check) {
            Ok(granted) => granted,
            Err(status) => return Ok(status),
        };
        if !object.try_reference() {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        }
        answer(handle, ob::open_handle(call.kernel, call.thread, &object, granted, handle_attributes))
    }

    /// Tells an object's name.
    irql(PASSIVE_LEVEL)
    fn ObQueryNameString(call, object: u64, information: u64, length: u32, return_length: u64) -> NTSTATUS {
        const HEADER: usize = size_of::<abi::OBJECT_NAME_INFORMATION>();
        let object = match typed(call, object, 0)? {
            Ok(object) => object,
            Err(status) => return Ok(status),
        };
        let name = object.body.full_name(&object);
        let needed = if name.is_empty() { HEADER } else { HEADER + name.len() * 2 + 2 };
        raw::write(return_length, u32::try_from(needed).unwrap_or(u32::MAX))?;
        if (length as usize) < needed {
            return Ok(abi::STATUS_INFO_LENGTH_MISMATCH);
        }
        let string = UnicodeString::at(information);
        if name.is_empty() {
            return string.set(0, 0, 0).map(|()| abi::STATUS_SUCCESS);
        }
        let text = information.wrapping_add(HEADER as u64);
        raw::copy_wide(text, &name)?;
        raw::write(text.wrapping_add(name.len() as u64 * 2), 0_u16)?;
        let bytes = u16::try_from(name.len() * 2).unwrap_or(u16::MAX - 2);
        string.set(bytes, bytes + 2, text)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Returns an object's type object.
    irql(DISPATCH_LEVEL)
    fn ObGetObjectType(call, object: u64) -> u64 {
        let object = call.kernel.ob.by_address(object);
        Ok(object.map_or(0, |object| call.kernel.ob.type_address(object.object_type().name)))
    }

    /// Whether a handle is a kernel handle.
    irql(HIGH_LEVEL)
    fn ObIsKernelHandle(call, handle: u64) -> bool {
        let _no_state_of_the_machine = call;
        const PSEUDO: u64 = u64::MAX - 1;
        Ok(handle & ob::KERNEL_HANDLE == ob::KERNEL_HANDLE && handle < PSEUDO)
    }

    /// Sets whether a handle is inherited, and whether it can be closed.
    irql(PASSIVE_LEVEL)
    fn ObSetHandleAttributes(call, handle: u64, handle_flags: u64, previous_mode: u8) -> NTSTATUS {
        let attributes = HandleAttributes {
            inherit: raw::read::<u8>(handle_flags)? != 0,
            protect_from_close: raw::read::<u8>(handle_flags.wrapping_add(1))? != 0,
        };
        let set = ob::current_process(call.kernel, call.thread)
            .and_then(|process| ob::locate(call.kernel, &process, handle, previous_mode != 0))
            .and_then(|(owner, value)| owner.handles.set_attributes(value, attributes));
        Ok(status_of(set))
    }

    /// Lets an object's name go with its last handle.
    irql(PASSIVE_LEVEL)
    fn ObMakeTemporaryObject(call, object: u64) -> () {
        if let Some(object) = call.kernel.ob.by_address(object) {
            ob::make_temporary(call.kernel, &object);
        }
        Ok(())
    }

    /// Lets the name of a handle's object go with its last handle.
    irql(PASSIVE_LEVEL) alias("NtMakeTemporaryObject")
    fn ZwMakeTemporaryObject(call, handle: u64) -> NTSTATUS {
        match ob::reference_by_handle(call.kernel, call.thread, handle, Wanted::default()) {
            Ok(entry) => {
                ob::make_temporary(call.kernel, &entry.object);
                entry.object.dereference(call.kernel);
                Ok(abi::STATUS_SUCCESS)
            }
            Err(status) => Ok(status),
        }
    }

    /// Opens another handle to an object, in the same process or another.
    irql(PASSIVE_LEVEL)
    fn ZwDuplicateObject(
        call,
        source_process: u64,
        source_handle: u64,
        target_process: u64,
        target_handle: u64,
        desired_access: u32,
        handle_attributes: u32,
        options: u32
    ) -> NTSTATUS {
        let request = Duplicate { access: desired_access, attributes: handle_attributes, options };
        let duplicate = || {
            let source = process_of(call, source_process)?;
            let target = if target_process == 0 { None } else { Some(process_of(call, target_process)?) };
            let (owner, value) = ob::locate(call.kernel, &source, source_handle, false)?;
            ob::duplicate_object(call.kernel, &owner, value, target.as_ref(), request)
        };
        match duplicate() {
            Ok(handle) if target_handle != 0 => raw::write(target_handle, handle).map(|()| abi::STATUS_SUCCESS),
            Ok(_) => Ok(abi::STATUS_SUCCESS),
            Err(status) => Ok(status),
        }
    }
}
