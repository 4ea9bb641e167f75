//! A connection: what a filter knows as the client port, and the application by a handle.
//!
//! A message stays where its sender has it, for the sender waits: it is copied once, into the buffer of the request that gets it, by
//! whichever side comes second; so is the reply. Nothing is held while bytes are copied or somebody is called. Who waits to send has
//! an entry here with an event of its own, which is used again; who waits to receive is a pended IRP.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;

use super::call_out;
use super::filter::Filter;
use super::port::{GENERIC_MAPPING, ServerPort};
use crate::io;
use crate::ke::{ProcessorMode, Thread, Timeout};
use crate::mm::PoolOwner;
use crate::ob::{Object, ObjectBody, ObjectType};
use crate::raw::{self, DispatcherHeader, IoStackLocation, Irp, Outcome};
use crate::{Kernel, Unwind};

/// Bytes of both headers.
pub(super) const HEADER: u32 = 16;
const _: () = assert!(size_of::<abi::FILTER_MESSAGE_HEADER>() == HEADER as usize);
const _: () = assert!(size_of::<abi::FILTER_REPLY_HEADER>() == HEADER as usize);
/// Tag of the events of senders.
const EVENT_TAG: u32 = u32::from_le_bytes(*b"FMev");

/// Address and length in bytes.
type Bytes = (u64, u32);

/// What `FltSendMessage` is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Address and length of the message.
    pub data: (u64, u32),
    /// Address and room of the reply; `None` when none is wanted.
    pub reply: Option<(u64, u32)>,
    /// For delivery and reply.
    pub timeout: Timeout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Free,
    /// Nobody has got it yet.
    Queued,
    /// It is being copied to a receiver.
    Delivering,
    /// Its reply is awaited.
    Delivered,
    /// Its reply is being copied.
    Replying,
    /// The sender can go.
    Done(NTSTATUS),
}

/// A sender, and its message.
#[derive(Debug)]
struct Sender {
    phase: Phase,
    id: u64,
    data: Bytes,
    reply: Option<Bytes>,
    /// Bytes that the reply had.
    replied: u32,
    /// The sender has waited for long enough, and waits for the copy to end.
    hurries: bool,
    event: DispatcherHeader,
}

/// A pended request for a message.
#[derive(Clone, Copy, Debug)]
struct Receiver {
    irp: Irp,
    buffer: Bytes,
    /// Later ones have higher numbers. The IRP knows its own, so that cancelling one of many need not look at all.
    turn: u64,
}

/// Where an IRP has the first word of its `DriverContext`.
const TURN: u64 = std::mem::offset_of!(abi::IRP, Tail.Overlay.u) as u64;

#[derive(Debug, Default)]
struct State {
    disconnected: bool,
    /// The filter has agreed to the connection, and is yet to be told of its end.
    established: bool,
    /// The filter has not closed it.
    open: bool,
    cookie: u64,
    /// It counts for its port.
    counts: bool,
    /// Messages of the application that the filter's callback has not returned from.
    calls: u32,
    /// The filter is to be told of the end by the last of them.
    end_is_due: bool,
    next_id: u32,
    senders: Vec<Sender>,
    /// Indices of senders, oldest first.
    queue: VecDeque<usize>,
    receivers: VecDeque<Receiver>,
    /// Of the next receiver.
    next_turn: u64,
}

/// A connection of an application to a filter's port.
#[derive(Debug)]
pub(super) struct Connection {
    /// The port's object.
    port: Arc<Object>,
    /// The upper half of the identifiers of its messages.
    serial: u32,
    state: Mutex<State>,
}

impl ObjectBody for Connection {
    fn object_type(&self) -> ObjectType {
        ObjectType { name: "FilterCommunicationPort", parses: false, generic_mapping: GENERIC_MAPPING }
    }

    fn delete(&self, kernel: &Kernel, object: &Object) {
        if let Some(filter) = self.filter() {
            filter.connections().retain(|other| !std::ptr::eq(&raw const **other, object));
        }
        for sender in std::mem::take(&mut self.lock().senders) {
            let _certainly_live = kernel.mm.pool.free(sender.event.address());
        }
        // What a driver did to it is reported with its own blocks.
        let _freed_by_driver = kernel.mm.pool.free(object.address);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What a receiver and a message came to.
enum Claim {
    Nothing,
    Message(usize, Receiver),
    TooSmall(Receiver),
}

impl State {
    /// Takes the oldest message and the oldest receiver that is not being cancelled.
    fn claim(&mut self) -> Claim {
        while let (Some(&index), Some(&receiver)) = (self.queue.front(), self.receivers.front()) {
            self.receivers.pop_front();
            if !takes(receiver.irp) {
                continue;
            }
            if !self.fits(index, receiver.buffer) {
                return Claim::TooSmall(receiver);
            }
            self.queue.pop_front();
            self.senders[index].phase = Phase::Delivering;
            return Claim::Message(index, receiver);
        }
        Claim::Nothing
    }

    /// Lets a pended request wait for a message.
    fn receive(&mut self, irp: Irp, buffer: Bytes) -> Outcome<()> {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.receivers.push_back(Receiver { irp, buffer, turn });
        raw::write(irp.address().wrapping_add(TURN), turn)
    }

    /// Forgets a pended request, which is being cancelled.
    fn forget(&mut self, irp: Irp) {
        let turn = raw::read(irp.address().wrapping_add(TURN)).unwrap_or(u64::MAX);
        let found = self.receivers.binary_search_by_key(&turn, |receiver| receiver.turn).ok();
        // A driver may have scribbled over the IRP.
        let is_its = |index: &usize| self.receivers[*index].irp == irp;
        let any = || self.receivers.iter().position(|receiver| receiver.irp == irp);
        if let Some(index) = found.filter(is_its).or_else(any) {
            self.receivers.remove(index);
        }
    }

    fn fits(&self, index: usize, buffer: Bytes) -> bool {
        u64::from(buffer.1) >= u64::from(HEADER) + u64::from(self.senders[index].data.1)
    }

    /// Ends a sender's wait; returns the event that wakes it.
    fn finish(&mut self, index: usize, status: NTSTATUS) -> DispatcherHeader {
        let sender = &mut self.senders[index];
        sender.phase = Phase::Done(status);
        sender.event
    }

    fn release(&mut self, index: usize) {
        self.senders[index].phase = Phase::Free;
    }
}

/// Takes a pended IRP's cancel routine away, and with it the IRP; false when its canceller has it.
fn takes(irp: Irp) -> bool {
    io::set_cancel_routine(irp, 0).is_ok_and(|routine| routine != 0)
}

/// Ends a request.
pub(super) fn complete(kernel: &Kernel, irp: Irp, status: NTSTATUS, information: u64) -> Outcome<NTSTATUS> {
    irp.set_status(status.bits())?;
    irp.set_information(information)?;
    io::complete_request(kernel, irp, abi::IO_NAMED_PIPE_INCREMENT.cast_unsigned())?;
    Ok(status)
}

/// The connection at an address, as the connect callback got it, with a reference.
fn connection_at(kernel: &Kernel, address: u64) -> Option<Arc<Object>> {
    let object = kernel.ob.by_address(address)?;
    (object.body::<Connection>().is_some() && object.try_reference()).then_some(object)
}

/// `FltSendMessage`: the status, and the bytes of the reply. `port` is where the filter keeps the connection's address, which is
/// read, and read again once the connection is held: FltCloseClientPort may have come between. IRQL <= APC_LEVEL.
///
/// Returns `STATUS_SUCCESS`; `STATUS_BUFFER_OVERFLOW` when the reply was longer than its room, which it fills; `STATUS_TIMEOUT`;
/// `STATUS_PORT_DISCONNECTED`, also for a connection that the filter has closed; `STATUS_THREAD_IS_TERMINATING` when the process ends
/// that the thread works for; `STATUS_INSUFFICIENT_RESOURCES`.
///
/// # Errors
/// An access violation in the filter's buffers; [`Unwind::Halt`] when the machine stops.
///
/// Source: ddi, FltSendMessage. (Confirm: STATUS_BUFFER_OVERFLOW.)
pub fn send_message(
    kernel: &Kernel,
    thread: &Thread,
    port: u64,
    message: Message,
) -> Outcome<(NTSTATUS, u32)> {
    raw::touch(message.data.0, message.data.1.into(), false)?;
    if let Some((address, length)) = message.reply {
        raw::touch(address, length.into(), true)?;
    }
    let address = raw::read(port)?;
    kernel.platform.preemption_point();
    let Some(object) = connection_at(kernel, address) else {
        return Ok((abi::STATUS_PORT_DISCONNECTED, 0));
    };
    // Closed meanwhile, it may be another's that lies there now.
    if raw::read::<u64>(port).ok() != Some(address) {
        object.dereference(kernel);
        return Ok((abi::STATUS_PORT_DISCONNECTED, 0));
    }
    let sent = match (object.body::<Connection>(), message.reply) {
        (Some(connection), Some(reply)) if !raw::is_driver_memory(reply.0, reply.1 as usize) => {
            send_from_native(kernel, thread, connection, message, reply)
        }
        (Some(connection), _) => connection.send(kernel, thread, message),
        (None, _) => Ok((abi::STATUS_PORT_DISCONNECTED, 0)),
    };
    object.dereference(kernel);
    sent
}

/// A driver that is compiled into the process may want its reply where only its own threads can write: it goes through pool.
#[cold]
fn send_from_native(
    kernel: &Kernel,
    thread: &Thread,
    connection: &Connection,
    message: Message,
    (address, length): Bytes,
) -> Outcome<(NTSTATUS, u32)> {
    let Some(block) = kernel.mm.pool.allocate_zeroed(length as usize, EVENT_TAG, PoolOwner::default()) else {
        return Ok((abi::STATUS_INSUFFICIENT_RESOURCES, 0));
    };
    let message = Message { reply: Some((block.address, length)), ..message };
    let sent = connection.send(kernel, thread, message).and_then(|(status, replied)| {
        raw::copy_within(address, block.address, replied.min(length) as usize)?;
        Ok((status, replied))
    });
    if !matches!(sent, Err(Unwind::Halt)) {
        let _certainly_live = kernel.mm.pool.free(block.address);
    }
    sent
}

/// `FltCloseClientPort`: ends a connection, and sets the filter's pointer to it, which lies at `port`, to NULL: nothing happens when
/// it is NULL. The disconnect callback is called when the application's last handle is closed, as for every connection (Confirm).
/// IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// An access violation; [`Unwind::Halt`] after bugcheck BAD_POOL_CALLER for what is no connection.
///
/// Source: ddi, FltCloseClientPort.
pub fn close_client_port(kernel: &Kernel, port: u64) -> Outcome<()> {
    let address = raw::exchange(port, 0)?;
    if address == 0 {
        return Ok(());
    }
    let object = connection_at(kernel, address);
    let Some(connection) = object.as_ref().and_then(|object| object.body::<Connection>()) else {
        kernel.bug_check(abi::BAD_POOL_CALLER, [0x7, 0, 0, address]);
        return Err(Unwind::Halt);
    };
    let ended = connection.disconnect(kernel, abi::STATUS_PORT_DISCONNECTED);
    if let Some(object) = &object {
        if std::mem::take(&mut connection.lock().open) {
            // Not a thing that the driver has left any more.
            object.creator.store(0, Ordering::Relaxed);
            object.dereference(kernel);
        }
        object.dereference(kernel);
    }
    ended
}

impl Connection {
    /// A connection that its filter is yet to agree to, with a reference for the filter and one for the application's file.
    pub(super) fn make(
        kernel: &Kernel,
        port: &Arc<Object>,
        filter: &Filter,
    ) -> Result<Arc<Object>, NTSTATUS> {
        let address = super::allocate(kernel)?;
        let serial = kernel.flt.connections.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let state = State { open: true, counts: true, ..State::default() };
        let connection = Self { port: port.clone(), serial, state: Mutex::new(state) };
        let object = Object::new(address, connection);
        object.creator.store(u64::from(filter.driver), Ordering::Relaxed);
        let _live = object.try_reference();
        kernel.ob.remember(&object);
        filter.connections().push(object.clone());
        Ok(object)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn port(&self) -> Option<&ServerPort> {
        self.port.body::<ServerPort>()
    }

    fn filter(&self) -> Option<&Filter> {
        self.port()?.filter()
    }

    /// The filter has agreed.
    pub(super) fn establish(&self, cookie: u64) {
        let mut state = self.lock();
        state.cookie = cookie;
        state.established = true;
    }

    /// The filter has not agreed: nobody has the connection any more.
    pub(super) fn refuse(&self, kernel: &Kernel, object: &Arc<Object>) -> Outcome<()> {
        let ended = self.disconnect(kernel, abi::STATUS_PORT_DISCONNECTED);
        if std::mem::take(&mut self.lock().open) {
            object.dereference(kernel);
        }
        object.dereference(kernel);
        ended
    }

    /// Ends what waits at the connection, and what comes later: senders get STATUS_PORT_DISCONNECTED, receivers `status`.
    pub(super) fn disconnect(&self, kernel: &Kernel, status: NTSTATUS) -> Outcome<()> {
        let mut woken = Vec::new();
        let (receivers, counted) = {
            let mut state = self.lock();
            state.disconnected = true;
            state.queue.clear();
            for index in 0..state.senders.len() {
                // Who copies finds out by itself.
                if matches!(state.senders[index].phase, Phase::Queued | Phase::Delivered) {
                    woken.push(state.finish(index, abi::STATUS_PORT_DISCONNECTED));
                }
            }
            (std::mem::take(&mut state.receivers), std::mem::take(&mut state.counts))
        };
        if counted && let Some(port) = self.port() {
            port.end();
        }
        for event in woken {
            kernel.ke.set_event(kernel, event, 0)?;
        }
        for receiver in receivers.into_iter().filter(|receiver| takes(receiver.irp)) {
            complete(kernel, receiver.irp, status, 0)?;
        }
        Ok(())
    }

    /// Tells the filter of the connection's end, once, unless it is being unregistered, which does so itself.
    pub(super) fn client_closed(&self, kernel: &Kernel) -> Outcome<()> {
        let Some(filter) = self.filter() else { return Ok(()) };
        if !filter.enter(kernel)? {
            return Ok(());
        }
        let told = self.notify_disconnected(kernel);
        filter.leave(kernel)?;
        told
    }

    /// Tells the filter of the connection's end, once; while its message callback runs, the last of these does so when it has returned
    /// (Confirm: that they are not called side by side).
    pub(super) fn notify_disconnected(&self, kernel: &Kernel) -> Outcome<()> {
        let cookie = {
            let mut state = self.lock();
            let is_first = std::mem::take(&mut state.established);
            state.end_is_due |= is_first && state.calls > 0;
            (is_first && state.calls == 0).then_some(state.cookie)
        };
        match cookie {
            Some(cookie) => self.tell_end(kernel, cookie),
            None => Ok(()),
        }
    }

    /// The filter's message callback has returned.
    fn end_call(&self, kernel: &Kernel, cookie: u64) -> Outcome<()> {
        let is_due = {
            let mut state = self.lock();
            state.calls -= 1;
            state.calls == 0 && std::mem::take(&mut state.end_is_due)
        };
        if is_due { self.tell_end(kernel, cookie) } else { Ok(()) }
    }

    fn tell_end(&self, kernel: &Kernel, cookie: u64) -> Outcome<()> {
        let (Some(port), Some(filter)) = (self.port(), self.filter()) else { return Ok(()) };
        call_out(kernel, filter.driver, port.routines.disconnect, &[cookie]).map(drop)
    }

    /// `FltSendMessage`, whose buffers have been touched.
    fn send(&self, kernel: &Kernel, thread: &Thread, message: Message) -> Outcome<(NTSTATUS, u32)> {
        let index = match self.enqueue(kernel, message) {
            Ok(index) => index,
            Err(status) => return Ok((status, 0)),
        };
        self.pump(kernel, Some(index))?;
        self.wait(kernel, thread, index, message.timeout)
    }

    fn enqueue(&self, kernel: &Kernel, message: Message) -> Result<usize, NTSTATUS> {
        let mut fresh = None;
        loop {
            kernel.platform.preemption_point();
            let mut state = self.lock();
            if state.disconnected {
                drop(state);
                return Err(free_event(kernel, fresh, abi::STATUS_PORT_DISCONNECTED));
            }
            let free = state.senders.iter().position(|sender| sender.phase == Phase::Free);
            let index = match (free, fresh.take()) {
                (Some(index), unused) => {
                    let index = (index, unused);
                    state.next_id = state.next_id.wrapping_add(1);
                    let id = u64::from(self.serial) << 32 | u64::from(state.next_id);
                    let sender = &mut state.senders[index.0];
                    sender.phase = Phase::Queued;
                    sender.id = id;
                    (sender.data, sender.reply) = (message.data, message.reply);
                    (sender.replied, sender.hurries) = (0, false);
                    state.queue.push_back(index.0);
                    drop(state);
                    let _unused = free_event(kernel, index.1, abi::STATUS_SUCCESS);
                    return Ok(index.0);
                }
                (None, Some(event)) => {
                    let phase = Phase::Free;
                    let (data, reply) = (message.data, message.reply);
                    state.senders.push(Sender {
                        phase,
                        id: 0,
                        data,
                        reply,
                        replied: 0,
                        hurries: false,
                        event,
                    });
                    continue;
                }
                (None, None) => make_event(kernel),
            };
            drop(state);
            fresh = Some(index?);
        }
    }

    /// Brings messages and receivers together until there are no more of one of them. `own` is the sender that does it, who is not
    /// asleep.
    fn pump(&self, kernel: &Kernel, own: Option<usize>) -> Outcome<()> {
        loop {
            kernel.platform.preemption_point();
            let claim = self.lock().claim();
            match claim {
                Claim::Nothing => return Ok(()),
                Claim::TooSmall(receiver) => {
                    complete(kernel, receiver.irp, abi::STATUS_BUFFER_TOO_SMALL, 0)?;
                }
                Claim::Message(index, receiver) => {
                    let (status, length) = self.deliver(kernel, index, receiver.buffer, own)?;
                    complete(kernel, receiver.irp, status, length)?;
                }
            }
        }
    }

    /// Copies a message that has been claimed to who gets it; returns what the receiver's request ends with.
    fn deliver(
        &self,
        kernel: &Kernel,
        index: usize,
        buffer: Bytes,
        own: Option<usize>,
    ) -> Outcome<(NTSTATUS, u64)> {
        let (id, data, reply) = {
            let state = self.lock();
            let sender = &state.senders[index];
            (sender.id, sender.data, sender.reply)
        };
        let copied = copy_message(buffer.0, id, data, reply);
        kernel.platform.preemption_point();
        let (status, woken) = {
            let mut state = self.lock();
            let hurries = state.senders[index].hurries;
            let event = state.senders[index].event;
            if state.disconnected {
                let event = state.finish(index, abi::STATUS_PORT_DISCONNECTED);
                (abi::STATUS_PORT_DISCONNECTED, Some(event))
            } else if copied.is_err() {
                // Its memory is gone, for the sender's was touched: the message is for the next.
                state.senders[index].phase = Phase::Queued;
                state.queue.push_front(index);
                (abi::STATUS_ACCESS_VIOLATION, hurries.then_some(event))
            } else if reply.is_some() {
                state.senders[index].phase = Phase::Delivered;
                (abi::STATUS_SUCCESS, hurries.then_some(event))
            } else {
                (abi::STATUS_SUCCESS, Some(state.finish(index, abi::STATUS_SUCCESS)))
            }
        };
        if let Some(event) = woken.filter(|_| own != Some(index)) {
            kernel.ke.set_event(kernel, event, 0)?;
        }
        let length = if status.is_success() { u64::from(HEADER) + u64::from(data.1) } else { 0 };
        Ok((status, length))
    }

    /// Waits for the end of a message.
    fn wait(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        index: usize,
        timeout: Timeout,
    ) -> Outcome<(NTSTATUS, u32)> {
        let begin = kernel.platform.interrupt_time();
        let mut over = None;
        loop {
            kernel.platform.preemption_point();
            let event = {
                let mut state = self.lock();
                let sender = &mut state.senders[index];
                match (sender.phase, over) {
                    (Phase::Done(status), _) => {
                        let replied = sender.replied;
                        state.release(index);
                        return Ok((status, replied));
                    }
                    (Phase::Queued | Phase::Delivered, Some(status)) => {
                        state.queue.retain(|queued| *queued != index);
                        state.release(index);
                        return Ok((status, 0));
                    }
                    (_, Some(_)) => sender.hurries = true,
                    (_, None) => {}
                }
                sender.event.address()
            };
            // A thread whose process ends goes at once; a copy that has begun is waited for.
            let (mode, left) = match over {
                Some(_) => (ProcessorMode::Kernel, Timeout::Never),
                None => (
                    ProcessorMode::User,
                    left(timeout, kernel.platform.interrupt_time().saturating_sub(begin)),
                ),
            };
            let waited = kernel.ke.wait_for_single_object(kernel, thread, event, mode, false, left)?;
            over = over.or(match waited {
                abi::STATUS_TIMEOUT => Some(abi::STATUS_TIMEOUT),
                abi::STATUS_USER_APC | abi::STATUS_ALERTED => Some(abi::STATUS_THREAD_IS_TERMINATING),
                // Perhaps meant for who had the entry before: the state tells.
                _ => None,
            });
        }
    }

    /// `FilterGetMessage`: answers with the oldest message, or pends the request until there is one.
    ///
    /// Ends with `STATUS_INVALID_PARAMETER` for less room than the header has, `STATUS_BUFFER_TOO_SMALL` when the message does not fit,
    /// which stays the oldest (Confirm), `STATUS_ACCESS_VIOLATION`, `STATUS_PORT_DISCONNECTED`, `STATUS_CANCELLED`.
    pub(super) fn get(
        &self,
        kernel: &Kernel,
        irp: Irp,
        location: IoStackLocation,
        buffer: Bytes,
        cancel: u64,
    ) -> Outcome<NTSTATUS> {
        if buffer.1 < HEADER {
            return complete(kernel, irp, abi::STATUS_INVALID_PARAMETER, 0);
        }
        kernel.platform.preemption_point();
        let mut state = self.lock();
        if state.disconnected {
            drop(state);
            return complete(kernel, irp, abi::STATUS_PORT_DISCONNECTED, 0);
        }
        if state.receivers.is_empty()
            && let Some(&index) = state.queue.front()
        {
            if !state.fits(index, buffer) {
                drop(state);
                return complete(kernel, irp, abi::STATUS_BUFFER_TOO_SMALL, 0);
            }
            state.queue.pop_front();
            state.senders[index].phase = Phase::Delivering;
            drop(state);
            let (status, length) = self.deliver(kernel, index, buffer, None)?;
            complete(kernel, irp, status, length)?;
            if !status.is_success() {
                // Others may have begun to wait meanwhile.
                self.pump(kernel, None)?;
            }
            return Ok(status);
        }
        location.set_control(location.control()? | abi::SL_PENDING_RETURNED)?;
        io::set_cancel_routine(irp, cancel)?;
        // Cancelled before the routine was there: whoever gets the routine back ends the IRP.
        if irp.cancel()? != 0 {
            let own = takes(irp);
            drop(state);
            if own {
                complete(kernel, irp, abi::STATUS_CANCELLED, 0)?;
            }
            return Ok(abi::STATUS_PENDING);
        }
        state.receive(irp, buffer)?;
        let wanted = !state.queue.is_empty();
        drop(state);
        if wanted {
            self.pump(kernel, None)?;
        }
        Ok(abi::STATUS_PENDING)
    }

    /// A pended request is being cancelled.
    pub(super) fn forget(&self, irp: Irp) {
        self.lock().forget(irp);
    }

    /// `FilterReplyMessage`: returns what it ends with. What the reply's header has as status reaches nobody.
    ///
    /// `STATUS_INVALID_PARAMETER` for less than a header, `STATUS_FLT_NO_WAITER_FOR_REPLY` when nobody waits for the reply (any more),
    /// `STATUS_BUFFER_OVERFLOW` when it is longer than its sender has room for, who gets the front of it (Confirm),
    /// `STATUS_ACCESS_VIOLATION`, `STATUS_PORT_DISCONNECTED`.
    pub(super) fn reply(&self, kernel: &Kernel, (address, length): Bytes) -> Outcome<NTSTATUS> {
        if length < HEADER {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        }
        let Ok(id) = raw::read::<u64>(address.wrapping_add(8)) else {
            return Ok(abi::STATUS_ACCESS_VIOLATION);
        };
        let (from, length) = (address.wrapping_add(u64::from(HEADER)), length - HEADER);
        kernel.platform.preemption_point();
        let (index, (to, room)) = {
            let mut state = self.lock();
            if state.disconnected {
                return Ok(abi::STATUS_PORT_DISCONNECTED);
            }
            let awaits = |sender: &Sender| sender.id == id && sender.phase == Phase::Delivered;
            let Some(index) = state.senders.iter().position(awaits) else {
                return Ok(abi::STATUS_FLT_NO_WAITER_FOR_REPLY);
            };
            state.senders[index].phase = Phase::Replying;
            (index, state.senders[index].reply.unwrap_or_default())
        };
        let count = length.min(room);
        let copied = raw::copy_within(to, from, count as usize);
        kernel.platform.preemption_point();
        let (status, woken) = {
            let mut state = self.lock();
            if copied.is_ok() {
                let status = if length > room { abi::STATUS_BUFFER_OVERFLOW } else { abi::STATUS_SUCCESS };
                state.senders[index].replied = count;
                (status, Some(state.finish(index, status)))
            } else if state.disconnected {
                (abi::STATUS_PORT_DISCONNECTED, Some(state.finish(index, abi::STATUS_PORT_DISCONNECTED)))
            } else {
                let sender = &mut state.senders[index];
                sender.phase = Phase::Delivered;
                (abi::STATUS_ACCESS_VIOLATION, sender.hurries.then_some(sender.event))
            }
        };
        if let Some(event) = woken {
            kernel.ke.set_event(kernel, event, 0)?;
        }
        Ok(status)
    }

    /// `FilterSendMessage`: hands the application's own buffers to the filter's callback, whose matter it is to look at them with care;
    /// returns what it answers, and where `returned` lies it has written its bytes.
    ///
    /// `STATUS_INVALID_DEVICE_REQUEST` when the port has no callback (Confirm), `STATUS_PORT_DISCONNECTED`.
    ///
    /// Source: ddi, FltCreateCommunicationPort (MessageNotifyCallback).
    pub(super) fn message(
        &self,
        kernel: &Kernel,
        input: Bytes,
        output: Bytes,
        returned: u64,
    ) -> Outcome<NTSTATUS> {
        let (Some(port), Some(filter)) = (self.port(), self.filter()) else {
            return Ok(abi::STATUS_PORT_DISCONNECTED);
        };
        if port.routines.message == 0 {
            return Ok(abi::STATUS_INVALID_DEVICE_REQUEST);
        }
        if !filter.enter(kernel)? {
            return Ok(abi::STATUS_PORT_DISCONNECTED);
        }
        let cookie = {
            let mut state = self.lock();
            let open = state.established && !state.disconnected;
            state.calls += u32::from(open);
            open.then_some(state.cookie)
        };
        let answered = match cookie {
            Some(cookie) => {
                let arguments = [cookie, input.0, input.1.into(), output.0, output.1.into(), returned];
                let answered = call_out(kernel, filter.driver, port.routines.message, &arguments);
                self.end_call(kernel, cookie).and(answered)
            }
            None => Ok(abi::STATUS_PORT_DISCONNECTED),
        };
        filter.leave(kernel)?;
        answered
    }
}

/// What is left of a time when some of it has passed, in units of 100 ns.
fn left(timeout: Timeout, passed: u64) -> Timeout {
    match timeout {
        Timeout::At(time) if time < 0 => {
            Timeout::At(-time.unsigned_abs().saturating_sub(passed).try_into().unwrap_or(i64::MAX))
        }
        other => other,
    }
}

fn copy_message(to: u64, id: u64, data: Bytes, reply: Option<Bytes>) -> Outcome<()> {
    let mut header = [0; HEADER as usize];
    let reply_length = reply.map_or(0, |(_, length)| length.saturating_add(HEADER));
    header[..4].copy_from_slice(&reply_length.to_le_bytes());
    header[8..].copy_from_slice(&id.to_le_bytes());
    raw::copy_to(to, &header)?;
    raw::copy_within(to.wrapping_add(HEADER.into()), data.0, data.1 as usize)
}

fn make_event(kernel: &Kernel) -> Result<DispatcherHeader, NTSTATUS> {
    let size = size_of::<abi::KEVENT>();
    let block = kernel.mm.pool.allocate_zeroed(size, EVENT_TAG, PoolOwner::default());
    let event = DispatcherHeader::at(block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?.address);
    let made = kernel.ke.initialize_event(event, abi::SynchronizationEvent, false);
    // The memory is the kernel's own and was committed just now.
    made.map(|()| event).map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)
}

/// Lets go of an event that was not needed in the end; returns `status`.
fn free_event(kernel: &Kernel, event: Option<DispatcherHeader>, status: NTSTATUS) -> NTSTATUS {
    if let Some(event) = event {
        let _certainly_live = kernel.mm.pool.free(event.address());
    }
    status
}
