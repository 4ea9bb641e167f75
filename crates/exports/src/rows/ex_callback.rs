//! Callback objects.

use std::sync::Arc;

use abi::NTSTATUS;
use kernel::ex::{self, Callback};
use kernel::ob::{self, Object};
use kernel::raw;

use crate::Call;
use crate::attributes::{self, Attributes};
use crate::row::rows;

/// Callback objects that every NT has. Nothing here notifies them: the system's power state and time do not change, and no
/// processors are added.
const OF_THE_SYSTEM: [&str; 3] =
    [r"\Callback\SetSystemTime", r"\Callback\PowerState", r"\Callback\ProcessorAdd"];

fn open(call: Call<'_>, path: &[u16]) -> Result<Arc<Object>, NTSTATUS> {
    let found = call.kernel.ob.find(path, false)?.object;
    if found.body::<Callback>().is_none() {
        return Err(abi::STATUS_OBJECT_TYPE_MISMATCH);
    }
    if found.try_reference() { Ok(found) } else { Err(abi::STATUS_OBJECT_NAME_NOT_FOUND) }
}

/// The object of these attributes, referenced: opened, or made.
fn open_or_make(
    call: Call<'_>,
    attributes: &Attributes,
    create: bool,
    allow_multiple: bool,
) -> Result<Arc<Object>, NTSTATUS> {
    let kernel = call.kernel;
    if attributes.name.is_none() {
        return if create {
            ex::callback_object(kernel, allow_multiple)
        } else {
            Err(abi::STATUS_UNSUCCESSFUL)
        };
    }
    let path = attributes.path(call)?;
    let opened = open(call, &path);
    let of_the_system =
        OF_THE_SYSTEM.iter().any(|name| String::from_utf16_lossy(&path).eq_ignore_ascii_case(name));
    let is_missing = matches!(opened, Err(abi::STATUS_OBJECT_NAME_NOT_FOUND));
    if !is_missing || !(create || of_the_system) {
        return opened;
    }
    let object = ex::callback_object(kernel, allow_multiple || of_the_system)?;
    let permanent = of_the_system || attributes.attributes & abi::OBJ_PERMANENT != 0;
    if let Err(status) = kernel.ob.insert(&path, &object, permanent) {
        object.dereference(kernel);
        // Another thread was first.
        return if status == abi::STATUS_OBJECT_NAME_COLLISION { open(call, &path) } else { Err(status) };
    }
    // Made by a handle that is closed at once: with it goes the name, unless that is permanent.
    if object.try_reference() {
        let handle = ob::open_handle(kernel, call.thread, &object, 0, abi::OBJ_KERNEL_HANDLE)?;
        ob::close_handle(kernel, call.thread, handle, false)?;
    }
    Ok(object)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Opens a callback object, or makes it; returns it referenced.
    irql(PASSIVE_LEVEL)
    fn ExCreateCallback(
        call,
        callback_object: u64,
        object_attributes: u64,
        create: u8,
        allow_multiple_callbacks: u8
    ) -> NTSTATUS {
        let attributes = match attributes::read(call, object_attributes)? {
            Ok(attributes) => attributes,
            Err(status) => return Ok(status),
        };
        match open_or_make(call, &attributes, create != 0, allow_multiple_callbacks != 0) {
            Ok(object) => raw::write(callback_object, object.address).map(|()| abi::STATUS_SUCCESS),
            Err(status) => Ok(status),
        }
    }

    /// Registers a routine with a callback object; NULL when that has one and allows no more.
    irql(APC_LEVEL)
    fn ExRegisterCallback(call, callback_object: u64, callback_function: u64, callback_context: u64) -> u64 {
        let (routine, context) = (callback_function, callback_context);
        Ok(call.kernel.callbacks.register(call.kernel, callback_object, routine, context))
    }

    /// Takes a registration away, and waits for its routine.
    irql(APC_LEVEL)
    fn ExUnregisterCallback(call, callback_registration: u64) -> () {
        call.kernel.callbacks.unregister(call.kernel, call.thread, callback_registration)
    }

    /// Calls the routines of a callback object, in the order of their registration.
    irql(DISPATCH_LEVEL)
    fn ExNotifyCallback(call, callback_object: u64, argument1: u64, argument2: u64) -> () {
        call.kernel.callbacks.notify(call.kernel, callback_object, [argument1, argument2])
    }
}
