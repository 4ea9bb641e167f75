//! Callback objects: named lists of routines that drivers call for each other.
//!
//! Source: kernel, "Callback Objects"; ddi, ExCreateCallback, ExRegisterCallback, ExNotifyCallback, ExUnregisterCallback.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;

use super::event_object;
use crate::ke::{ProcessorMode, Thread, Timeout};
use crate::mm::PoolOwner;
use crate::ob::{Object, ObjectBody, ObjectType};
use crate::raw::{DispatcherHeader, Outcome};
use crate::{Kernel, Unwind};

/// Tags of callback objects and of registrations, whose memory drivers see as addresses only.
const TAG: u32 = u32::from_le_bytes(*b"Call");
const REGISTRATION_TAG: u32 = u32::from_le_bytes(*b"CbRg");
const SIZE: usize = 32;

/// A callback object's routines, in the order of registration.
#[derive(Debug)]
pub struct Callback {
    allow_multiple: bool,
    registrations: Mutex<Vec<Arc<Registration>>>,
}

#[derive(Debug)]
struct Registration {
    /// What the driver has to name it by.
    handle: u64,
    routine: u64,
    context: u64,
    /// Threads that are in the routine.
    running: AtomicU32,
    removed: AtomicBool,
}

/// By handle, each with its object, referenced.
type Registered = HashMap<u64, (Arc<Object>, Arc<Registration>)>;

/// The registrations of a machine, and who waits for routines to return.
#[derive(Debug, Default)]
pub struct Callbacks {
    registered: Mutex<Registered>,
    waiting: Mutex<Vec<(u64, DispatcherHeader)>>,
}

impl ObjectBody for Callback {
    fn object_type(&self) -> ObjectType {
        ObjectType {
            name: "Callback",
            parses: false,
            generic_mapping: [0x2_0000, 0x2_0001, 0x12_0000, 0x1F_0001],
        }
    }

    fn delete(&self, kernel: &Kernel, object: &Object) {
        // What a driver did to it is reported with its own blocks.
        let _freed_by_driver = kernel.mm.pool.free(object.address);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Callback {
    fn registrations(&self) -> MutexGuard<'_, Vec<Arc<Registration>>> {
        self.registrations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A callback object with its maker's reference.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`.
pub fn callback_object(kernel: &Kernel, allow_multiple: bool) -> Result<Arc<Object>, NTSTATUS> {
    let block = kernel.mm.pool.allocate_zeroed(SIZE, TAG, PoolOwner::default());
    let address = block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?.address;
    let object = Object::new(address, Callback { allow_multiple, registrations: Mutex::default() });
    kernel.ob.remember(&object);
    Ok(object)
}

impl Callbacks {
    fn registered(&self) -> MutexGuard<'_, Registered> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(u64, DispatcherHeader)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a routine with the callback object at `callback`; 0 when that has one and allows no more, is none, or
    /// without memory. IRQL <= APC_LEVEL.
    #[must_use]
    pub fn register(&self, kernel: &Kernel, callback: u64, routine: u64, context: u64) -> u64 {
        let Some(object) = kernel.ob.by_address(callback).filter(|object| object.try_reference()) else {
            return 0;
        };
        let made = object.body::<Callback>().and_then(|body| {
            let mut all = body.registrations();
            if !body.allow_multiple && !all.is_empty() {
                return None;
            }
            let block = kernel.mm.pool.allocate_zeroed(SIZE, REGISTRATION_TAG, PoolOwner::default())?;
            let registration = Arc::new(Registration {
                handle: block.address,
                routine,
                context,
                running: AtomicU32::new(0),
                removed: AtomicBool::new(false),
            });
            all.push(registration.clone());
            Some(registration)
        });
        let Some(registration) = made else {
            object.dereference(kernel);
            return 0;
        };
        let handle = registration.handle;
        self.registered().insert(handle, (object, registration));
        handle
    }

    /// Takes a registration away, and waits for the threads that are in its routine. IRQL <= APC_LEVEL. What is no
    /// registration is left alone.
    ///
    /// # Errors
    /// STATUS_INSUFFICIENT_RESOURCES without pool for an event; `Unwind::Halt` when the machine stops.
    pub fn unregister(&self, kernel: &Kernel, thread: &Thread, handle: u64) -> Outcome<()> {
        let event = event_object(kernel, abi::NotificationEvent, false).map_err(Unwind::status)?;
        let Some((object, registration)) = self.registered().remove(&handle) else {
            event.dereference(kernel);
            return Ok(());
        };
        if let Some(body) = object.body::<Callback>() {
            body.registrations().retain(|other| other.handle != handle);
        }
        let header = DispatcherHeader::at(event.address);
        let running = {
            let mut waiting = self.waiting();
            registration.removed.store(true, Ordering::SeqCst);
            let running = registration.running.load(Ordering::SeqCst) > 0;
            if running {
                waiting.push((handle, header));
            }
            running
        };
        if running {
            let (mode, never) = (ProcessorMode::Kernel, Timeout::Never);
            kernel.ke.wait_for_single_object(kernel, thread, event.address, mode, false, never)?;
        }
        event.dereference(kernel);
        object.dereference(kernel);
        let _freed_by_driver = kernel.mm.pool.free(handle);
        Ok(())
    }

    /// Calls the routines of the callback object at `callback`, in the order of their registration, at the caller's IRQL.
    ///
    /// # Errors
    /// How the frames of one were left; those behind it are not called then.
    pub fn notify(&self, kernel: &Kernel, callback: u64, arguments: [u64; 2]) -> Outcome<()> {
        let Some(object) = kernel.ob.by_address(callback) else { return Ok(()) };
        let Some(body) = object.body::<Callback>() else { return Ok(()) };
        let all: Vec<_> = body.registrations().clone();
        for registration in all {
            registration.running.fetch_add(1, Ordering::SeqCst);
            let words = [registration.context, arguments[0], arguments[1]];
            let called = if registration.removed.load(Ordering::SeqCst) {
                Ok(0)
            } else {
                kernel.ke.call(kernel, registration.routine, &words)
            };
            let last = registration.running.fetch_sub(1, Ordering::SeqCst) == 1;
            if last && registration.removed.load(Ordering::SeqCst) {
                self.wake(kernel, registration.handle)?;
            }
            called?;
        }
        Ok(())
    }

    #[cold]
    fn wake(&self, kernel: &Kernel, handle: u64) -> Outcome<()> {
        // Under the lock under which who waits has looked at the count, and noted that it waits.
        let mut waiting = self.waiting();
        let woken = waiting.iter().position(|(of, _)| *of == handle).map(|index| waiting.remove(index).1);
        drop(waiting);
        woken.map_or(Ok(()), |event| kernel.ke.set_event(kernel, event, 0).map(drop))
    }
}
