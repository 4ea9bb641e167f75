//! Events by handle and name, and waits by handle.

use abi::NTSTATUS;
use kernel::ex::{self, EventBody};
use kernel::ke::{ProcessorMode, Timeout};
use kernel::ob::{self, Wanted};
use kernel::raw::{self, DispatcherHeader};
use kernel::{Outcome, Unwind};

use crate::Call;
use crate::attributes::{self, Attributes};
use crate::row::rows;

/// Runs `body` with the event of a handle.
fn with_event(
    call: Call<'_>,
    handle: u64,
    body: impl FnOnce(DispatcherHeader) -> Outcome<i32>,
    previous_state: u64,
) -> Outcome<NTSTATUS> {
    let wanted = Wanted { object_type: call.kernel.ob.type_address("Event"), ..Wanted::default() };
    let entry = match ob::reference_by_handle(call.kernel, call.thread, handle, wanted) {
        Ok(entry) => entry,
        Err(status) => return Ok(status),
    };
    let old = body(DispatcherHeader::at(entry.object.address));
    entry.object.dereference(call.kernel);
    let old = old?;
    if previous_state != 0 {
        raw::write(previous_state, old.cast_unsigned())?;
    }
    Ok(abi::STATUS_SUCCESS)
}

/// IoCreateNotificationEvent and its like: opens or makes the event of this name; 0 when that fails.
fn named(call: Call<'_>, name: u64, handle: u64, event_type: i32) -> Outcome<u64> {
    let attributes = Attributes {
        name: Some(call.string(name)?),
        attributes: abi::OBJ_OPENIF | abi::OBJ_KERNEL_HANDLE | abi::OBJ_CASE_INSENSITIVE,
        ..Attributes::default()
    };
    let Ok(object) = ex::event_object(call.kernel, event_type, true) else { return Ok(0) };
    let access = abi::EVENT_ALL_ACCESS;
    let made = attributes::create::<EventBody>(call, handle, access, &attributes, &object)?;
    if !made.is_success() {
        return Ok(0);
    }
    let opened = ob::reference_by_handle(call.kernel, call.thread, raw::read(handle)?, Wanted::default());
    let Ok(entry) = opened else { return Ok(0) };
    // The handle keeps it: the pointer is good as long as that is open.
    entry.object.dereference(call.kernel);
    Ok(entry.object.address)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Makes an event, or with OBJ_OPENIF opens the one of its name.
    irql(PASSIVE_LEVEL)
    fn ZwCreateEvent(
        call,
        event_handle: u64,
        desired_access: u32,
        object_attributes: u64,
        event_type: i32,
        initial_state: u8
    ) -> NTSTATUS {
        if !matches!(event_type, abi::NotificationEvent | abi::SynchronizationEvent) {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        }
        let attributes = match attributes::read(call, object_attributes)? {
            Ok(attributes) => attributes,
            Err(status) => return Ok(status),
        };
        match ex::event_object(call.kernel, event_type, initial_state != 0) {
            Ok(object) => {
                attributes::create::<EventBody>(call, event_handle, desired_access, &attributes, &object)
            }
            Err(status) => Ok(status),
        }
    }

    /// Opens an event by name.
    irql(PASSIVE_LEVEL)
    fn ZwOpenEvent(call, event_handle: u64, desired_access: u32, object_attributes: u64) -> NTSTATUS {
        attributes::open::<EventBody>(call, event_handle, desired_access, object_attributes)
    }

    /// Signals an event; stores its previous state.
    irql(DISPATCH_LEVEL)
    fn ZwSetEvent(call, event_handle: u64, previous_state: u64) -> NTSTATUS {
        let set = |event| call.kernel.ke.set_event(call.kernel, event, i32::from(abi::EVENT_INCREMENT));
        with_event(call, event_handle, set, previous_state)
    }

    /// Makes an event not signaled; stores its previous state.
    irql(DISPATCH_LEVEL)
    fn ZwResetEvent(call, event_handle: u64, previous_state: u64) -> NTSTATUS {
        with_event(call, event_handle, |event| call.kernel.ke.reset_event(call.kernel, event), previous_state)
    }

    /// Makes an event not signaled.
    irql(DISPATCH_LEVEL)
    fn ZwClearEvent(call, event_handle: u64) -> NTSTATUS {
        with_event(call, event_handle, |event| call.kernel.ke.reset_event(call.kernel, event), 0)
    }

    /// Waits for the object of a handle.
    irql(PASSIVE_LEVEL) alias("NtWaitForSingleObject")
    fn ZwWaitForSingleObject(call, handle: u64, alertable: u8, timeout: u64) -> NTSTATUS {
        let timeout = Timeout::read(timeout)?;
        let entry = match ob::reference_by_handle(call.kernel, call.thread, handle, Wanted::default()) {
            Ok(entry) => entry,
            Err(status) => return Ok(status),
        };
        let waited = match entry.object.body.waits_on(&entry.object) {
            Some(object) => {
                let mode = ProcessorMode::Kernel;
                let alertable = alertable != 0;
                call.kernel.ke.wait_for_single_object(call.kernel, call.thread, object, mode, alertable, timeout)
            }
            None => Ok(abi::STATUS_OBJECT_TYPE_MISMATCH),
        };
        if !matches!(waited, Err(Unwind::Halt)) {
            entry.object.dereference(call.kernel);
        }
        waited
    }

    /// Makes a notification event of a name, signaled, or opens it; returns it and a kernel handle.
    irql(PASSIVE_LEVEL)
    fn IoCreateNotificationEvent(call, event_name: u64, event_handle: u64) -> u64 {
        named(call, event_name, event_handle, abi::NotificationEvent)
    }

    /// Makes a synchronization event of a name, signaled, or opens it; returns it and a kernel handle.
    irql(PASSIVE_LEVEL)
    fn IoCreateSynchronizationEvent(call, event_name: u64, event_handle: u64) -> u64 {
        named(call, event_name, event_handle, abi::SynchronizationEvent)
    }
}
