//! Who wants to be told when device interfaces come and go.
//!
//! Source: ddi, IoRegisterPlugPlayNotification, IoUnregisterPlugPlayNotification, DRIVER_NOTIFICATION_CALLBACK_ROUTINE.

use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use abi::{GUID, NTSTATUS};
use platform::scheduler::Lock;

use super::{TAG, interface, lock};
use crate::io::work_item::queue_task;
use crate::io::{Driver, dispatch};
use crate::ke::Thread;
use crate::mm::PoolOwner;
use crate::raw::{self, Outcome, UnicodeString};
use crate::{Kernel, Unwind};

/// The registrations of a machine.
#[derive(Debug, Default)]
pub(super) struct Notifications {
    all: Vec<Arc<Registration>>,
}

#[derive(Debug)]
struct Registration {
    /// What the driver has of it: an address in pool.
    entry: u64,
    driver: Arc<Driver>,
    class: interface::Class,
    callback: u64,
    context: u64,
    ended: AtomicBool,
    /// Held while the callback runs, which the registration's end waits for.
    running: Lock<()>,
}

/// `IoRegisterPlugPlayNotification` for `EventCategoryDeviceInterfaceChange`; returns the notification entry. With
/// `include_existing` the callback is also called for interfaces that are enabled now. Callbacks come later, in a system
/// worker thread at PASSIVE_LEVEL, one after the other.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` for what is no driver object, `STATUS_INSUFFICIENT_RESOURCES`.
pub fn register_notification(
    kernel: &Kernel,
    driver: u64,
    class: [u8; 16],
    (callback, context): (u64, u64),
    include_existing: bool,
) -> Result<u64, NTSTATUS> {
    let driver = kernel.io.driver_at(driver).ok_or(abi::STATUS_INVALID_PARAMETER)?;
    let block = kernel.mm.pool.allocate_zeroed(16, TAG, PoolOwner::default());
    let entry = block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?.address;
    let registration = Arc::new(Registration {
        entry,
        driver,
        class,
        callback,
        context,
        ended: AtomicBool::new(false),
        running: Lock::new(()),
    });
    lock(&kernel.io.pnp.notifications).all.push(registration.clone());
    if include_existing {
        for name in interface::enabled_of(kernel, class) {
            tell_later(kernel, &registration, &name, true);
        }
    }
    Ok(entry)
}

/// `IoUnregisterPlugPlayNotification`: the callback is not called any more when this returns. Not to be called by the
/// callback itself. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` for what is no entry. (Confirm: NT trusts the pointer.)
pub fn unregister_notification(kernel: &Kernel, entry: u64) -> Result<(), NTSTATUS> {
    let ended = {
        let mut notifications = lock(&kernel.io.pnp.notifications);
        let index = notifications.all.iter().position(|known| known.entry == entry);
        notifications.all.remove(index.ok_or(abi::STATUS_INVALID_PARAMETER)?)
    };
    end(kernel, &ended);
    Ok(())
}

fn end(kernel: &Kernel, registration: &Registration) {
    registration.ended.store(true, Ordering::SeqCst);
    drop(registration.running.lock(&*kernel.platform));
    let _certainly_live = kernel.mm.pool.free(registration.entry);
}

/// Ends the registrations of a driver that is unloaded, whose code must not be called any more.
pub(in crate::io) fn forget_driver(kernel: &Kernel, driver: u32) {
    let left: Vec<_> = {
        let mut notifications = lock(&kernel.io.pnp.notifications);
        let (own, others) = notifications.all.drain(..).partition(|known| known.driver.id == driver);
        notifications.all = others;
        own
    };
    for registration in left {
        end(kernel, &registration);
    }
}

/// Has those who asked for it told that an interface was enabled or disabled.
pub(super) fn interface_changed(kernel: &Kernel, class: interface::Class, name: &[u16], arrived: bool) {
    let all: Vec<_> = {
        let notifications = lock(&kernel.io.pnp.notifications);
        notifications.all.iter().filter(|known| known.class == class).cloned().collect()
    };
    for registration in all {
        tell_later(kernel, &registration, name, arrived);
    }
}

fn tell_later(kernel: &Kernel, registration: &Arc<Registration>, name: &[u16], arrived: bool) {
    let (own, name) = (registration.clone(), name.to_vec());
    let task = move |kernel: &Kernel, thread: &Thread| call_back(kernel, thread, &own, &name, arrived);
    // Without a thread nobody is told.
    let _no_thread = queue_task(kernel, Box::new(task));
}

fn call_back(
    kernel: &Kernel,
    thread: &Thread,
    registration: &Registration,
    name: &[u16],
    arrived: bool,
) -> Outcome<()> {
    const STRING_AT: usize = 64;
    const TEXT_AT: usize = STRING_AT + 16;
    let _running = registration.running.lock(&*kernel.platform);
    if registration.ended.load(Ordering::SeqCst) {
        return Ok(());
    }
    let bytes = name.len() * 2;
    let Some(block) = kernel.mm.pool.allocate_zeroed(TEXT_AT + bytes, TAG, PoolOwner::default()) else {
        return Ok(());
    };
    let at = |offset: usize| block.address + offset as u64;
    let event = if arrived { abi::GUID_DEVICE_INTERFACE_ARRIVAL } else { abi::GUID_DEVICE_INTERFACE_REMOVAL };
    type Notification = abi::DEVICE_INTERFACE_CHANGE_NOTIFICATION;
    raw::write(at(offset_of!(Notification, Version)), 1_u16)?;
    let size = u16::try_from(size_of::<Notification>()).unwrap_or(0);
    raw::write(at(offset_of!(Notification, Size)), size)?;
    raw::copy_to(at(offset_of!(Notification, Event)), &bytes_of(event))?;
    raw::copy_to(at(offset_of!(Notification, InterfaceClassGuid)), &registration.class)?;
    raw::write(at(offset_of!(Notification, SymbolicLinkName)), at(STRING_AT))?;
    raw::copy_wide(at(TEXT_AT), name)?;
    let length = u16::try_from(bytes).unwrap_or(u16::MAX - 1);
    UnicodeString::at(at(STRING_AT)).set(length, length, at(TEXT_AT))?;
    let arguments = [block.address, registration.context];
    let callback = registration.callback;
    let called = dispatch::as_owner(registration.driver.id, || kernel.ke.call(kernel, callback, &arguments));
    called.map_err(|_| Unwind::Halt)?;
    kernel.ke.leave_system_service(kernel, thread, callback)?;
    let _certainly_live = kernel.mm.pool.free(block.address);
    Ok(())
}

/// A GUID as it lies in memory.
fn bytes_of(guid: GUID) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&guid.Data1.to_le_bytes());
    bytes[4..6].copy_from_slice(&guid.Data2.to_le_bytes());
    bytes[6..8].copy_from_slice(&guid.Data3.to_le_bytes());
    bytes[8..].copy_from_slice(&guid.Data4);
    bytes
}
