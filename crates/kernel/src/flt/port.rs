//! A filter's ports: named objects that applications connect to.

use std::any::Any;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use abi::NTSTATUS;

use super::call_out;
use super::connection::Connection;
use super::filter::{Filter, filter_at};
use crate::ob::{Object, ObjectBody, ObjectType};
use crate::raw::{self, Outcome};
use crate::se::{Ace, Acl, SecurityDescriptor, well_known};
use crate::{Kernel, Unwind};

pub(super) const GENERIC_MAPPING: [u32; 4] = [
    abi::STANDARD_RIGHTS_READ | abi::FLT_PORT_CONNECT,
    abi::STANDARD_RIGHTS_WRITE | abi::FLT_PORT_CONNECT,
    abi::STANDARD_RIGHTS_EXECUTE,
    abi::FLT_PORT_ALL_ACCESS,
];

/// What a port's filter gave with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortRoutines {
    /// The ServerPortCookie.
    pub cookie: u64,
    /// Address of the ConnectNotifyCallback.
    pub connect: u64,
    /// Address of the DisconnectNotifyCallback.
    pub disconnect: u64,
    /// Address of the MessageNotifyCallback; 0 for none.
    pub message: u64,
    /// Connections that there may be at a time.
    pub maximum: u32,
}

/// A port that a filter listens at.
#[derive(Debug)]
pub(super) struct ServerPort {
    /// Its filter's object.
    filter: Arc<Object>,
    pub(super) routines: PortRoutines,
    /// Connections that have not ended.
    count: AtomicU32,
    closed: Mutex<bool>,
}

impl ObjectBody for ServerPort {
    fn object_type(&self) -> ObjectType {
        ObjectType { name: "FilterConnectionPort", parses: false, generic_mapping: GENERIC_MAPPING }
    }

    fn delete(&self, kernel: &Kernel, object: &Object) {
        // What a driver did to it is reported with its own blocks.
        let _freed_by_driver = kernel.mm.pool.free(object.address);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The descriptor of `FltBuildDefaultSecurityDescriptor`: the system and administrators may what `access` says, and nobody else
/// anything.
///
/// Source: ddi, FltBuildDefaultSecurityDescriptor.
#[must_use]
pub fn port_descriptor(access: u32) -> SecurityDescriptor {
    let aces =
        vec![Ace::allow(access, well_known::LOCAL_SYSTEM), Ace::allow(access, well_known::ADMINISTRATORS)];
    SecurityDescriptor::new(well_known::ADMINISTRATORS, well_known::LOCAL_SYSTEM, Acl::new(aces))
}

/// `FltCreateCommunicationPort`: returns the port's address. `path` is its name, `descriptor` who may connect; without one that is
/// the system's default for objects. IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// `Ok(Err(status))`: `STATUS_INVALID_PARAMETER` for what is no filter, without one of the two routines, and for no connections at all
/// (Confirm: the status); `STATUS_FLT_DELETING_OBJECT` when the filter is being unregistered; `STATUS_OBJECT_NAME_COLLISION`, and what
/// [`ObjectManager::insert`](crate::ob::ObjectManager::insert) says of the name; `STATUS_INSUFFICIENT_RESOURCES`. `Err`: a driver has
/// freed the filter's memory.
///
/// Source: ddi, FltCreateCommunicationPort.
pub fn create_communication_port(
    kernel: &Kernel,
    filter: u64,
    path: &[u16],
    descriptor: Option<SecurityDescriptor>,
    routines: PortRoutines,
) -> Outcome<Result<u64, NTSTATUS>> {
    let filter = match filter_at(kernel, filter) {
        Ok(filter) => filter,
        Err(status) => return Ok(Err(status)),
    };
    let Some(body) = filter.body::<Filter>() else { return Ok(Err(abi::STATUS_INVALID_PARAMETER)) };
    if routines.connect == 0 || routines.disconnect == 0 || routines.maximum.cast_signed() <= 0 {
        return Ok(Err(abi::STATUS_INVALID_PARAMETER));
    }
    if !body.enter(kernel)? {
        return Ok(Err(abi::STATUS_FLT_DELETING_OBJECT));
    }
    let made = insert(kernel, &filter, body.driver, path, descriptor, routines);
    body.leave(kernel)?;
    Ok(made)
}

fn insert(
    kernel: &Kernel,
    filter: &Arc<Object>,
    driver: u32,
    path: &[u16],
    descriptor: Option<SecurityDescriptor>,
    routines: PortRoutines,
) -> Result<u64, NTSTATUS> {
    let address = super::allocate(kernel)?;
    let port =
        ServerPort { filter: filter.clone(), routines, count: AtomicU32::new(0), closed: Mutex::new(false) };
    let object = Object::new(address, port);
    object.creator.store(u64::from(driver), Ordering::Relaxed);
    if let Some(descriptor) = descriptor {
        object.set_security(descriptor);
    }
    if let Err(status) = kernel.ob.insert(path, &object, true) {
        object.dereference(kernel);
        return Err(status);
    }
    kernel.ob.remember(&object);
    Ok(address)
}

/// `FltCloseCommunicationPort`: nobody can connect any more; connections stay. IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// [`Unwind::Halt`] after bugcheck BAD_POOL_CALLER for what is no port, or closed already.
///
/// Source: ddi, FltCloseCommunicationPort.
pub fn close_communication_port(kernel: &Kernel, address: u64) -> Outcome<()> {
    let object = kernel.ob.by_address(address);
    let Some((object, port)) =
        object.as_ref().and_then(|object| Some((object, object.body::<ServerPort>()?)))
    else {
        kernel.bug_check(abi::BAD_POOL_CALLER, [0x7, 0, 0, address]);
        return Err(Unwind::Halt);
    };
    let closed = std::mem::replace(&mut *port.closed(), true);
    if closed {
        kernel.bug_check(abi::BAD_POOL_CALLER, [0x7, 0, 0, address]);
        return Err(Unwind::Halt);
    }
    if kernel.ob.remove_name(object) {
        object.dereference(kernel);
    }
    object.dereference(kernel);
    Ok(())
}

impl ServerPort {
    fn closed(&self) -> std::sync::MutexGuard<'_, bool> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn filter(&self) -> Option<&Filter> {
        self.filter.body::<Filter>()
    }

    /// Counts a connection that is being made.
    fn begin(&self) -> Result<(), NTSTATUS> {
        let closed = self.closed();
        if *closed {
            return Err(abi::STATUS_OBJECT_NAME_NOT_FOUND);
        }
        if self.count.load(Ordering::Relaxed) >= self.routines.maximum {
            return Err(abi::STATUS_CONNECTION_COUNT_LIMIT);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// A connection has ended, or was refused.
    pub(super) fn end(&self) {
        let _closed = self.closed();
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connects: asks the filter, in the context of who connects. `context` is where the bytes lie that come with it, in kernel memory.
/// Returns the connection's object, with the reference of the application's file.
///
/// # Errors
/// `Ok(Err(status))`: `STATUS_OBJECT_NAME_NOT_FOUND` for a port that has just been closed, `STATUS_CONNECTION_COUNT_LIMIT`,
/// `STATUS_FLT_DELETING_OBJECT`, `STATUS_INSUFFICIENT_RESOURCES`, or what the filter answers. `Err`: what its callback raised.
///
/// Source: ddi, FltCreateCommunicationPort (ConnectNotifyCallback).
pub(super) fn connect(
    kernel: &Kernel,
    object: &Arc<Object>,
    context: (u64, u32),
) -> Outcome<Result<Arc<Object>, NTSTATUS>> {
    let Some((port, filter)) = object.body::<ServerPort>().and_then(|port| Some((port, port.filter()?)))
    else {
        return Ok(Err(abi::STATUS_OBJECT_TYPE_MISMATCH));
    };
    if let Err(status) = port.begin() {
        return Ok(Err(status));
    }
    if !filter.enter(kernel)? {
        port.end();
        return Ok(Err(abi::STATUS_FLT_DELETING_OBJECT));
    }
    let connected = match Connection::make(kernel, object, filter) {
        Ok(connection) => ask(kernel, port, filter, connection, context),
        Err(status) => {
            port.end();
            Ok(Err(status))
        }
    };
    filter.leave(kernel)?;
    connected
}

fn ask(
    kernel: &Kernel,
    port: &ServerPort,
    filter: &Filter,
    object: Arc<Object>,
    (context, length): (u64, u32),
) -> Outcome<Result<Arc<Object>, NTSTATUS>> {
    let Some(connection) = object.body::<Connection>() else { return Ok(Err(abi::STATUS_INVALID_PARAMETER)) };
    let context = if length == 0 { 0 } else { context };
    let cookie = object.address;
    let arguments = [object.address, port.routines.cookie, context, length.into(), cookie];
    let answered = call_out(kernel, filter.driver, port.routines.connect, &arguments);
    match answered {
        Ok(status) if status.is_success() => {
            let cookie = raw::read(cookie)?;
            connection.establish(cookie);
            Ok(Ok(object))
        }
        refused => {
            connection.refuse(kernel, &object)?;
            refused.map(Err)
        }
    }
}
