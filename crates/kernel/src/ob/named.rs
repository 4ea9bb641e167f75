//! Objects that applications create and open by name, with the rights of their token, or of the client's that the calling
//! thread impersonates.

use std::sync::Arc;

use abi::NTSTATUS;

use super::{Directory, Object};
use crate::Kernel;
use crate::ps::Process;
use crate::se;

/// How an application names an object, and what it wants to do with it.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    /// NT path; empty for an object without a name.
    pub path: &'a [u16],
    /// Access mask; generic rights and MAXIMUM_ALLOWED allowed.
    pub desired_access: u32,
    /// OBJ_OPENIF: an object of this name and type is opened instead.
    pub open_if: bool,
}

/// Gives a fresh object its name, its descriptor (the default of the token that the calling thread has) and a handle of `process`. The maker's reference is
/// taken over. True besides the handle: the name existed, and its object was opened (STATUS_OBJECT_NAME_EXISTS).
///
/// # Errors
/// `STATUS_OBJECT_NAME_COLLISION`; `STATUS_OBJECT_TYPE_MISMATCH` for an existing object of another type;
/// `STATUS_ACCESS_DENIED` where the token may not create names, or not open the existing object as it wants to; what
/// [`find`](super::ObjectManager::find) says of the path; `STATUS_BAD_IMPERSONATION_LEVEL` for a client that may be looked at
/// only; `STATUS_INSUFFICIENT_RESOURCES`.
///
/// Source: ddi, ZwCreateEvent; Win32, CreateEvent ("Kernel Object Namespaces").
pub fn create_named(
    kernel: &Kernel,
    process: &Process,
    object: &Arc<Object>,
    name: Name<'_>,
) -> Result<(u32, bool), NTSTATUS> {
    let object_type = object.object_type();
    let subject = se::Subject::current(kernel, process);
    let descriptor = se::assign(None, None, false, subject.token(), &object_type.generic_mapping);
    let named = descriptor.and_then(|descriptor| {
        object.set_security(descriptor);
        if name.path.is_empty() { Ok(()) } else { insert(kernel, process, object, name.path) }
    });
    match named {
        Ok(()) => {
            let granted = object_type.map_access(name.desired_access);
            let handle = process.handles.insert(object.clone(), granted);
            if handle.is_err() {
                super::make_temporary(kernel, object);
                object.dereference(kernel);
            }
            handle.map(|handle| (handle, false))
        }
        Err(status) => {
            object.dereference(kernel);
            if status == abi::STATUS_OBJECT_NAME_COLLISION && name.open_if {
                return open_named(kernel, process, object_type.name, name).map(|handle| (handle, true));
            }
            Err(status)
        }
    }
}

fn insert(kernel: &Kernel, process: &Process, object: &Arc<Object>, path: &[u16]) -> Result<(), NTSTATUS> {
    let separator = path.iter().rposition(|unit| *unit == u16::from(b'\\'));
    let directory = &path[..separator.ok_or(abi::STATUS_OBJECT_PATH_SYNTAX_BAD)?];
    // The root itself is nobody's to put names into.
    let parent = kernel.ob.find(directory, false).map_err(|status| match status {
        abi::STATUS_OBJECT_NAME_NOT_FOUND => abi::STATUS_OBJECT_PATH_NOT_FOUND,
        other => other,
    })?;
    if parent.object.body::<Directory>().is_none() {
        return Err(abi::STATUS_OBJECT_TYPE_MISMATCH);
    }
    se::check_for_caller(kernel, process, &parent.object, abi::DIRECTORY_CREATE_OBJECT, true)?;
    kernel.ob.insert(path, object, false)
}

/// Opens a handle of `process` to the object of a type that has the name.
///
/// # Errors
/// As for [`create_named`].
pub fn open_named(
    kernel: &Kernel,
    process: &Process,
    type_name: &str,
    name: Name<'_>,
) -> Result<u32, NTSTATUS> {
    let found = kernel.ob.find(name.path, false)?;
    if found.object.object_type().name != type_name || !found.rest.is_empty() {
        return Err(abi::STATUS_OBJECT_TYPE_MISMATCH);
    }
    let granted = se::check_for_caller(kernel, process, &found.object, name.desired_access, true)?;
    if !found.object.try_reference() {
        return Err(abi::STATUS_OBJECT_NAME_NOT_FOUND);
    }
    let handle = process.handles.insert(found.object.clone(), granted);
    if handle.is_err() {
        found.object.dereference(kernel);
    }
    handle
}

/// The object of an application's handle, referenced, if it is of this type and the handle has the rights.
///
/// # Errors
/// `STATUS_INVALID_HANDLE`, `STATUS_OBJECT_TYPE_MISMATCH`, `STATUS_ACCESS_DENIED`.
pub fn reference_own(
    process: &Process,
    handle: u32,
    type_name: Option<&str>,
    access: u32,
) -> Result<Arc<Object>, NTSTATUS> {
    let entry = process.handles.get(handle).ok_or(abi::STATUS_INVALID_HANDLE)?;
    if type_name.is_some_and(|name| entry.object.object_type().name != name) {
        return Err(abi::STATUS_OBJECT_TYPE_MISMATCH);
    }
    if access & !entry.granted != 0 {
        return Err(abi::STATUS_ACCESS_DENIED);
    }
    if entry.object.try_reference() { Ok(entry.object) } else { Err(abi::STATUS_INVALID_HANDLE) }
}
