//! Port objects, and what their end means for those at the other end.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;

use super::channel::{Channel, End, Side, State};
use super::connect::Stage;
use super::message::{MAX_DATA, Message};
use super::termination::Registrations;
use super::waiting::Wakes;
use crate::Kernel;
use crate::mm::PoolOwner;
use crate::ob::{Object, ObjectBody, ObjectType};
use crate::ps::Process;
use crate::raw::DispatcherHeader;

/// Tag of port objects.
const TAG: u32 = u32::from_le_bytes(*b"Port");
/// Bytes of a port object; its layout is not public.
const SIZE: usize = 0x40;
const _: () = assert!(size_of::<abi::KEVENT>() <= SIZE);

/// What `NtCreatePort` says of a port's messages, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connection information, without a header.
    pub connection_info: usize,
    /// A message, with its header.
    pub message: usize,
}

/// What a machine keeps for all its ports.
#[derive(Debug, Default)]
pub struct Ports {
    next_message: AtomicU32,
    next_callback: AtomicU32,
    /// Connection requests that nobody has answered, by their MessageId.
    requested: Mutex<HashMap<u32, (Arc<Channel>, usize)>>,
    ports: AtomicUsize,
    connections: AtomicUsize,
    registrations: Mutex<Registrations>,
}

/// How many there are, for tests that look at what is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortUsage {
    /// Port objects.
    pub ports: usize,
    /// Connections, those that are asked for among them.
    pub connections: usize,
    /// Connection requests without an answer.
    pub requested: usize,
}

fn next(counter: &AtomicU32) -> u32 {
    loop {
        // 0 is no message's.
        match counter.fetch_add(1, Ordering::Relaxed).wrapping_add(1) {
            0 => {}
            id => return id,
        }
    }
}

impl Ports {
    /// How many ports and connections there are.
    #[must_use]
    pub fn usage(&self) -> PortUsage {
        PortUsage {
            ports: self.ports.load(Ordering::Acquire),
            connections: self.connections.load(Ordering::Acquire),
            requested: self.requested().len(),
        }
    }

    #[cfg(test)]
    pub(super) fn last_message(&self) -> u32 {
        self.next_message.load(Ordering::Relaxed)
    }

    pub(super) fn next_message(&self) -> u32 {
        next(&self.next_message)
    }

    pub(super) fn next_callback(&self) -> u32 {
        next(&self.next_callback)
    }

    pub(super) fn requested(&self) -> MutexGuard<'_, HashMap<u32, (Arc<Channel>, usize)>> {
        self.requested.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn registrations(&self) -> MutexGuard<'_, Registrations> {
        self.registrations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_connection(&self) {
        self.connections.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn remove_connection(&self) {
        self.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A port: one that takes connections, or one end of a connection.
#[derive(Debug)]
pub struct Port {
    pub(super) channel: Arc<Channel>,
    pub(super) end: End,
}

impl ObjectBody for Port {
    fn object_type(&self) -> ObjectType {
        let read = abi::STANDARD_RIGHTS_READ | abi::PORT_CONNECT;
        let write = abi::DELETE | abi::PORT_CONNECT;
        ObjectType { name: "Port", parses: false, generic_mapping: [read, write, 0, abi::PORT_ALL_ACCESS] }
    }

    fn close(&self, kernel: &Kernel, _process: &Process, _object: &Arc<Object>, last_in_system: bool) {
        if last_in_system {
            self.disconnect(kernel);
        }
    }

    fn delete(&self, kernel: &Kernel, object: &Object) {
        // One that never got a handle.
        self.disconnect(kernel);
        self.channel.lock(kernel).remove_port(self.end);
        kernel.lpc.ports.fetch_sub(1, Ordering::AcqRel);
        // What a driver did to it is reported with its own blocks.
        let _freed_by_driver = kernel.mm.pool.free(object.address);
    }

    fn waits_on(&self, object: &Object) -> Option<u64> {
        (self.end == End::Connection && self.channel.waitable.is_set()).then_some(object.address)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// An object for a port, with its maker's reference. It is disconnected when there is no memory for it.
pub(super) fn port_object(
    kernel: &Kernel,
    channel: &Arc<Channel>,
    end: End,
) -> Result<Arc<Object>, NTSTATUS> {
    let port = Port { channel: channel.clone(), end };
    let Some(block) = kernel.mm.pool.allocate_zeroed(SIZE, TAG, PoolOwner::default()) else {
        port.disconnect(kernel);
        return Err(abi::STATUS_INSUFFICIENT_RESOURCES);
    };
    kernel.lpc.ports.fetch_add(1, Ordering::AcqRel);
    channel.lock(kernel).add_port(end);
    let object = Object::new(block.address, port);
    kernel.ob.remember(&object);
    Ok(object)
}

/// `NtCreatePort`: a port of `process` that takes connections, without name or handle yet. IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER_3`, `STATUS_INVALID_PARAMETER_4` for limits that no message can have (Confirm: which parameter each
/// status names); `STATUS_INSUFFICIENT_RESOURCES`.
pub fn create_port(kernel: &Kernel, process: &Process, limits: Limits) -> Result<Arc<Object>, NTSTATUS> {
    if limits.connection_info > MAX_DATA {
        return Err(abi::STATUS_INVALID_PARAMETER_3);
    }
    if limits.message > abi::PORT_MAXIMUM_MESSAGE_LENGTH {
        return Err(abi::STATUS_INVALID_PARAMETER_4);
    }
    port_object(kernel, &Arc::new(Channel::new(limits, process.token.clone())), End::Connection)
}

/// `NtCreateWaitablePort`: as [`create_port`], for a port that is a dispatcher object besides. It is signaled while a message is in its
/// queue, connection requests among them; one that a receiver waits for never is. (Confirm: that, that all calls on ports work with it, that
/// the ports of its connections cannot be waited for, that its type is `Port`, and that nobody who waits goes on when it is closed.)
/// IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// As for [`create_port`].
pub fn create_waitable_port(
    kernel: &Kernel,
    process: &Process,
    limits: Limits,
) -> Result<Arc<Object>, NTSTATUS> {
    let object = create_port(kernel, process, limits)?;
    if let Some(port) = object.body::<Port>() {
        let event = DispatcherHeader::at(object.address);
        if kernel.ke.initialize_event(event, abi::NotificationEvent, false).is_err() {
            object.dereference(kernel);
            return Err(abi::STATUS_INSUFFICIENT_RESOURCES);
        }
        port.channel.waitable.set(&object);
    }
    Ok(object)
}

impl Port {
    /// The port has no handle any more: those at its other end hear of it, and those who wait on it go on. Doing so again does
    /// nothing.
    fn disconnect(&self, kernel: &Kernel) {
        match self.end {
            End::Connection => self.close_connection_port(kernel),
            End::Server(index) => self.close_server(kernel, index),
            End::Client(index) => self.close_client(kernel, index),
        }
    }

    /// Who waits to be accepted is refused; connections go on. (Confirm: with which status a client goes on whose listener closes
    /// its port, and that a thread does which receives on a port that another closes.)
    fn close_connection_port(&self, kernel: &Kernel) {
        let mut wakes = Wakes::default();
        let mut left = Vec::new();
        {
            let mut state = self.channel.lock(kernel);
            state.closed = true;
            state.break_exchanges(None, &mut wakes);
            let closed = abi::STATUS_PORT_DISCONNECTED;
            state.queue.dismiss(closed, &mut wakes, |end| end == End::Connection);
            for connection in state.connections.iter_mut().flatten() {
                if connection.is_requested()
                    && let Some(connector) = connection.connector.take()
                {
                    connection.stage = Stage::Refused;
                    left.push(connection.request);
                    wakes.end(connector, abi::STATUS_PORT_CONNECTION_REFUSED, None);
                }
            }
            let State { queue, connections, .. } = &mut *state;
            let has_server = |index: Option<usize>| {
                let connection = index.and_then(|index| connections.get(index)?.as_ref());
                connection.is_some_and(|connection| connection.server_open)
            };
            queue.messages.retain(|message| has_server(message.connection));
        }
        self.forget_requests(kernel, &left);
        wakes.wake(kernel);
    }

    fn forget_requests(&self, kernel: &Kernel, requests: &[u32]) {
        if !requests.is_empty() {
            let mut requested = kernel.lpc.requested();
            for request in requests {
                requested.remove(request);
            }
        }
    }

    /// The client's requests end, and it can make no more. What the server has sent it can still receive.
    fn close_server(&self, kernel: &Kernel, index: usize) {
        let mut wakes = Wakes::default();
        let views = {
            let mut state = self.channel.lock(kernel);
            let Some(connection) = state.connection(index).filter(|connection| connection.server_open) else {
                return;
            };
            connection.server_open = false;
            let views = std::mem::take(&mut connection.server_views);
            if let Some(connector) = connection.connector.take() {
                connection.stage = Stage::Refused;
                wakes.end(connector, abi::STATUS_PORT_CONNECTION_REFUSED, None);
            }
            let closed = abi::STATUS_PORT_DISCONNECTED;
            connection.queue.dismiss(closed, &mut wakes, |_| true);
            state.break_exchanges(Some(index), &mut wakes);
            state.queue.dismiss(closed, &mut wakes, |end| end == End::Server(index));
            state.queue.messages.retain(|message| message.connection != Some(index));
            state.remove_if_unused(kernel, index);
            views
        };
        wakes.wake(kernel);
        drop(views);
    }

    /// The server gets LPC_PORT_CLOSED with the connection's PortContext, behind what the client has sent it. (Confirm: that its
    /// ClientId is the thread that connected.)
    fn close_client(&self, kernel: &Kernel, index: usize) {
        let mut wakes = Wakes::default();
        let (views, request, identity) = {
            let mut state = self.channel.lock(kernel);
            let Some(connection) = state.connection(index).filter(|connection| connection.client_open) else {
                return;
            };
            connection.client_open = false;
            let views = std::mem::take(&mut connection.client_views);
            let identity = connection.identity.take();
            let request = connection.is_requested().then_some(connection.request);
            // Its thread has gone on, or it would not have been closed.
            connection.connector = None;
            let (client, has_server) = (connection.client, connection.server_open);
            connection.queue.dismiss(abi::STATUS_PORT_DISCONNECTED, &mut wakes, |_| true);
            connection.queue.messages.clear();
            state.break_exchanges(Some(index), &mut wakes);
            if request.is_some() {
                state.queue.messages.retain(|message| message.connection != Some(index));
            }
            if has_server {
                let mut notice = Message::empty();
                notice.set_data(&[]);
                notice.header.kind = abi::LPC_PORT_CLOSED;
                notice.header.client = client;
                notice.header.id = kernel.lpc.next_message();
                notice.connection = Some(index);
                let _no_limit = state.send(Side::Server, &mut notice, true, &mut wakes);
                notice.recycle();
            }
            state.remove_if_unused(kernel, index);
            (views, request, identity)
        };
        self.forget_requests(kernel, request.as_slice());
        wakes.wake(kernel);
        drop((views, identity));
    }
}

impl State {
    /// Forgets a connection that has no end, unless a thread is accepting it.
    pub(super) fn remove_if_unused(&mut self, kernel: &Kernel, index: usize) {
        let unused = self
            .connection(index)
            .is_some_and(|one| !one.client_open && !one.server_open && one.stage != Stage::Accepting);
        if unused {
            self.remove(index);
            kernel.lpc.remove_connection();
        }
    }
}
