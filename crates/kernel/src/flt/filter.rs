//! Filters: registering, and the three ways in which one ends: its driver unregisters it, its service is stopped, an application
//! unloads it (`FilterUnload`).

use std::any::Any;
use std::mem::offset_of;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;

use super::connection::Connection;
use super::operations::{Operation, read_operations};
use super::{call_out, device};
use crate::Kernel;
use crate::io::{self, Driver};
use crate::ke::Thread;
use crate::ob::{Object, ObjectBody, ObjectType};
use crate::ps::{self, Process};
use crate::raw::{self, DriverObject, Outcome};

/// What a filter has told of itself (FLT_REGISTRATION).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// FLT_REGISTRATION_VERSION_*.
    pub version: u16,
    /// FLTFL_REGISTRATION_*.
    pub flags: u32,
    /// Address of the array of its contexts; not read yet.
    pub contexts: u64,
    /// The operations that it wants to see.
    pub operations: Vec<Operation>,
    /// Address of its FilterUnloadCallback; 0 for none.
    pub unload: u64,
}

impl Registration {
    /// Reads an FLT_REGISTRATION.
    ///
    /// # Errors
    /// `Ok(Err(STATUS_INVALID_PARAMETER))` for a version that is not known, or a size that is less than its version has. `Err`: an
    /// access violation.
    fn read(address: u64) -> Outcome<Result<Self, NTSTATUS>> {
        let field = |offset: usize| address.wrapping_add(offset as u64);
        let size: u16 = raw::read(field(offset_of!(abi::FLT_REGISTRATION, Size)))?;
        let version: u16 = raw::read(field(offset_of!(abi::FLT_REGISTRATION, Version)))?;
        let least = match version {
            abi::FLT_REGISTRATION_VERSION_0200 | abi::FLT_REGISTRATION_VERSION_0201 => {
                offset_of!(abi::FLT_REGISTRATION, TransactionNotificationCallback)
            }
            abi::FLT_REGISTRATION_VERSION_0202 => {
                offset_of!(abi::FLT_REGISTRATION, SectionNotificationCallback)
            }
            abi::FLT_REGISTRATION_VERSION_0203 => size_of::<abi::FLT_REGISTRATION>(),
            _ => return Ok(Err(abi::STATUS_INVALID_PARAMETER)),
        };
        if usize::from(size) < least {
            return Ok(Err(abi::STATUS_INVALID_PARAMETER));
        }
        let operations = raw::read(field(offset_of!(abi::FLT_REGISTRATION, OperationRegistration)))?;
        Ok(Ok(Self {
            version,
            flags: raw::read(field(offset_of!(abi::FLT_REGISTRATION, Flags)))?,
            contexts: raw::read(field(offset_of!(abi::FLT_REGISTRATION, ContextRegistration)))?,
            operations: read_operations(operations)?,
            unload: raw::read(field(offset_of!(abi::FLT_REGISTRATION, FilterUnloadCallback)))?,
        }))
    }
}

/// A filter. Its block begins with the word that counts who uses it (`ex`'s run-down protection).
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) address: u64,
    /// Identifier of its driver.
    pub(super) driver: u32,
    driver_object: DriverObject,
    registration: Registration,
    started: AtomicBool,
    /// Its callback has agreed to the unload that comes.
    agreed: AtomicBool,
    /// What its driver's DriverUnload was.
    driver_unload: u64,
    connections: Mutex<Vec<Arc<Object>>>,
}

impl ObjectBody for Filter {
    fn object_type(&self) -> ObjectType {
        ObjectType { name: "Filter", parses: false, generic_mapping: [0; 4] }
    }

    fn delete(&self, kernel: &Kernel, object: &Object) {
        // What a driver did to it is reported with its own blocks.
        let _freed_by_driver = kernel.mm.pool.free(object.address);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Filter {
    pub(super) fn connections(&self) -> MutexGuard<'_, Vec<Arc<Object>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the filter registered until [`Self::leave`]; false when it is being unregistered.
    pub(super) fn enter(&self, kernel: &Kernel) -> Outcome<bool> {
        kernel.rundowns.acquire(kernel, self.address, 1)
    }

    pub(super) fn leave(&self, kernel: &Kernel) -> Outcome<()> {
        kernel.rundowns.release(kernel, self.address, 1)
    }
}

/// The filter at an address, as `FltRegisterFilter` returned it.
pub(super) fn filter_at(kernel: &Kernel, address: u64) -> Result<Arc<Object>, NTSTATUS> {
    let object = kernel.ob.by_address(address).ok_or(abi::STATUS_INVALID_PARAMETER)?;
    if object.body::<Filter>().is_some() { Ok(object) } else { Err(abi::STATUS_INVALID_PARAMETER) }
}

/// `FltRegisterFilter`: returns the filter's address. Its driver's DriverUnload becomes the filter manager's, if the filter has a
/// callback for that and does not refuse to be stopped. IRQL: PASSIVE_LEVEL.
///
/// The service key's `Instances` are not asked for, since there are no instances yet.
///
/// # Errors
/// `Ok(Err(status))`: `STATUS_INVALID_PARAMETER` for another version or size, and for what is no driver object;
/// `STATUS_INSUFFICIENT_RESOURCES`. `Err`: an access violation.
///
/// Source: ddi, FltRegisterFilter, FLT_REGISTRATION. (Confirm: a second filter of one driver is STATUS_OBJECT_NAME_COLLISION; the driver's own
/// DriverUnload runs when the callback has returned.)
pub fn register_filter(
    kernel: &Kernel,
    driver_object: u64,
    registration: u64,
) -> Outcome<Result<u64, NTSTATUS>> {
    let registration = match Registration::read(registration)? {
        Ok(registration) => registration,
        Err(status) => return Ok(Err(status)),
    };
    let Some(driver) = kernel.io.driver_at(driver_object) else {
        return Ok(Err(abi::STATUS_INVALID_PARAMETER));
    };
    let made = device::routines(kernel).and_then(|routines| Ok((routines, super::allocate(kernel)?)));
    let (routines, address) = match made {
        Ok(made) => made,
        Err(status) => return Ok(Err(status)),
    };
    let stops = registration.unload != 0
        && registration.flags & abi::FLTFL_REGISTRATION_DO_NOT_SUPPORT_SERVICE_STOP == 0;
    let object = Object::new(
        address,
        Filter {
            address,
            driver: driver.id,
            driver_object: driver.object,
            registration,
            started: AtomicBool::new(false),
            agreed: AtomicBool::new(false),
            driver_unload: driver.object.driver_unload()?,
            connections: Mutex::default(),
        },
    );
    object.creator.store(u64::from(driver.id), Ordering::Relaxed);
    {
        let mut filters = kernel.flt.filters();
        if filters.iter().any(|other| of_driver(other, driver.id)) {
            drop(filters);
            object.dereference(kernel);
            return Ok(Err(abi::STATUS_OBJECT_NAME_COLLISION));
        }
        filters.push(object.clone());
    }
    kernel.ob.remember(&object);
    if stops {
        driver.object.set_driver_unload(routines)?;
    }
    Ok(Ok(address))
}

fn of_driver(object: &Object, driver: u32) -> bool {
    object.body::<Filter>().is_some_and(|filter| filter.driver == driver)
}

fn find_by_driver(kernel: &Kernel, driver: u32) -> Option<Arc<Object>> {
    kernel.flt.filters().iter().find(|object| of_driver(object, driver)).cloned()
}

/// `FltStartFiltering`. IRQL <= APC_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` for what is no filter, or has been started.
///
/// Source: ddi, FltStartFiltering. (Confirm: the status of a second call.)
pub fn start_filtering(kernel: &Kernel, filter: u64) -> Result<(), NTSTATUS> {
    let object = filter_at(kernel, filter)?;
    let filter = object.body::<Filter>().ok_or(abi::STATUS_INVALID_PARAMETER)?;
    if filter.started.swap(true, Ordering::AcqRel) { Err(abi::STATUS_INVALID_PARAMETER) } else { Ok(()) }
}

/// `FltObjectReference` of a filter. IRQL <= APC_LEVEL.
///
/// # Errors
/// `Ok(Err(status))`: `STATUS_FLT_DELETING_OBJECT` when it is being unregistered, `STATUS_INVALID_PARAMETER` for what is no filter.
/// `Err`: a driver has freed the filter's memory.
///
/// Source: ddi, FltObjectReference.
pub fn reference_object(kernel: &Kernel, address: u64) -> Outcome<Result<(), NTSTATUS>> {
    let object = match filter_at(kernel, address) {
        Ok(object) => object,
        Err(status) => return Ok(Err(status)),
    };
    let Some(filter) = object.body::<Filter>() else { return Ok(Err(abi::STATUS_INVALID_PARAMETER)) };
    Ok(if filter.enter(kernel)? { Ok(()) } else { Err(abi::STATUS_FLT_DELETING_OBJECT) })
}

/// `FltObjectDereference` of a filter. IRQL <= APC_LEVEL.
///
/// # Errors
/// As for [`reference_object`].
pub fn dereference_object(kernel: &Kernel, address: u64) -> Outcome<()> {
    match filter_at(kernel, address).ok().as_deref().and_then(Object::body::<Filter>) {
        Some(filter) => filter.leave(kernel),
        None => Ok(()),
    }
}

/// `FltUnregisterFilter`: ends the connections of the filter's ports, tells it so, and waits until nobody uses it any more, its
/// callbacks included. Ports that it has not closed stay, and nobody can connect to them. IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// What a callback raised; [`Unwind::Halt`](crate::Unwind::Halt) when the machine stops.
///
/// Source: ddi, FltUnregisterFilter, FltCreateCommunicationPort.
pub fn unregister_filter(kernel: &Kernel, thread: &Thread, address: u64) -> Outcome<()> {
    let Some(object) = take(kernel, address) else { return Ok(()) };
    let Some(filter) = object.body::<Filter>() else { return Ok(()) };
    kernel.rundowns.close(address)?;
    end_connections(kernel, filter)?;
    kernel.rundowns.wait(kernel, thread, address)?;
    // Those whose connect callback ran meanwhile.
    end_connections(kernel, filter)?;
    let routines = device::routines(kernel).unwrap_or(0);
    if filter.driver_unload != 0 && filter.driver_object.driver_unload()? == routines {
        filter.driver_object.set_driver_unload(filter.driver_unload)?;
    }
    object.creator.store(0, Ordering::Relaxed);
    object.dereference(kernel);
    Ok(())
}

/// Takes a filter out of the list; one caller gets it.
fn take(kernel: &Kernel, address: u64) -> Option<Arc<Object>> {
    let mut filters = kernel.flt.filters();
    let index = filters.iter().position(|object| object.address == address)?;
    Some(filters.remove(index))
}

fn end_connections(kernel: &Kernel, filter: &Filter) -> Outcome<()> {
    // Referenced, for both of its ends may let go of it meanwhile, and what senders wait for goes with it.
    let connections: Vec<_> =
        filter.connections().iter().filter(|object| object.try_reference()).cloned().collect();
    let mut ended = Ok(());
    for object in connections {
        if let Some(connection) = object.body::<Connection>().filter(|_| ended.is_ok()) {
            ended = connection
                .disconnect(kernel, abi::STATUS_PORT_DISCONNECTED)
                .and_then(|()| connection.notify_disconnected(kernel));
        }
        object.dereference(kernel);
    }
    ended
}

/// What stands in the DriverUnload of a driver with a filter: the callback, which must, and then the driver's own routine.
pub(super) fn unload(kernel: &Kernel, driver: &Driver) -> Outcome<()> {
    let Some(object) = find_by_driver(kernel, driver.id) else {
        // It has unregistered before, and its driver has no routine of its own.
        return Ok(());
    };
    let Some(filter) = object.body::<Filter>() else { return Ok(()) };
    let (callback, own) = (filter.registration.unload, filter.driver_unload);
    if !filter.agreed.load(Ordering::Acquire) {
        let _not_asked =
            call_out(kernel, filter.driver, callback, &[abi::FLTFL_FILTER_UNLOAD_MANDATORY.into()])?;
    }
    if own != 0 {
        kernel.ke.call(kernel, own, &[driver.object.address()])?;
    }
    Ok(())
}

/// `FilterUnload` of an application: the filter's callback may refuse. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_PRIVILEGE_NOT_HELD` without SeLoadDriverPrivilege; `STATUS_FLT_FILTER_NOT_FOUND` when no filter has this name;
/// `STATUS_FLT_DO_NOT_DETACH` when it has no callback (Confirm), else the callback's; what [`io::unload_driver`] says.
///
/// Source: FilterUnload; ddi, PFLT_FILTER_UNLOAD_CALLBACK.
pub fn filter_unload(
    kernel: &Kernel,
    process: &Process,
    thread: &Thread,
    name: &str,
) -> Result<(), NTSTATUS> {
    io::check_load_privilege(kernel, process)?;
    unload_filter(kernel, thread, name).unwrap_or(Err(abi::STATUS_DEVICE_NOT_CONNECTED))
}

/// `FltUnloadFilter`, and [`filter_unload`] of an application that may. IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// `Ok(Err(status))`: as for [`filter_unload`], but for the privilege. `Err`: the machine has stopped.
///
/// Source: ddi, FltUnloadFilter.
pub fn unload_filter(kernel: &Kernel, thread: &Thread, name: &str) -> Outcome<Result<(), NTSTATUS>> {
    let name = name.to_owned();
    io::in_system_thread(kernel, thread, move |kernel| unload_by_name(kernel, &name))
}

fn unload_by_name(kernel: &Kernel, name: &str) -> Result<(), NTSTATUS> {
    let driver = kernel.io.driver(name).ok_or(abi::STATUS_FLT_FILTER_NOT_FOUND)?;
    let object = find_by_driver(kernel, driver.id).ok_or(abi::STATUS_FLT_FILTER_NOT_FOUND)?;
    let filter = object.body::<Filter>().ok_or(abi::STATUS_FLT_FILTER_NOT_FOUND)?;
    let callback = filter.registration.unload;
    if callback == 0 || driver.is_unloading() {
        return Err(abi::STATUS_FLT_DO_NOT_DETACH);
    }
    let system = kernel.ps.system().clone();
    let answered = ps::inside(kernel, &system, |_| call_out(kernel, filter.driver, callback, &[0]))?;
    let status = answered.map_err(|_| abi::STATUS_DEVICE_NOT_CONNECTED)?;
    if !status.is_success() {
        return Err(status);
    }
    filter.agreed.store(true, Ordering::Release);
    if driver.object.driver_unload().unwrap_or(0) == 0 {
        // It does not let its service be stopped, which this is not.
        let routines = device::routines(kernel)?;
        driver.object.set_driver_unload(routines).map_err(|_| abi::STATUS_INVALID_DEVICE_REQUEST)?;
    }
    io::unload_driver(kernel, name).map(drop)
}

/// `FltLoadFilter`, and `FilterLoad` of an application that may: loads the driver of a service in a system thread. PASSIVE_LEVEL.
///
/// # Errors
/// As for [`io::load_service`].
///
/// Source: ddi, FltLoadFilter; FilterLoad.
pub fn load_filter(kernel: &Kernel, thread: &Thread, name: &str) -> Outcome<Result<(), NTSTATUS>> {
    io::load_service(kernel, thread, name)
}

/// `FilterLoad` of an application. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_PRIVILEGE_NOT_HELD` without SeLoadDriverPrivilege; as for [`load_filter`]; `STATUS_DEVICE_NOT_CONNECTED` when the machine
/// stops.
///
/// Source: FilterLoad.
pub fn filter_load(kernel: &Kernel, process: &Process, thread: &Thread, name: &str) -> Result<(), NTSTATUS> {
    io::check_load_privilege(kernel, process)?;
    load_filter(kernel, thread, name).unwrap_or(Err(abi::STATUS_DEVICE_NOT_CONNECTED))
}
