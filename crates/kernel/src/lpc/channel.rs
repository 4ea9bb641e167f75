//! A connection port and all that has come of it: messages that wait for receivers, receivers that wait for messages, requests
//! whose replies are awaited, connections. One lock guards it; nothing is called out and nothing waits under it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;

use super::connect::{Connection, Stage};
use super::message::{ClientId, Message};
use super::port::Limits;
use super::request_data::RequestData;
use super::waitable::{Locked, Waitable};
use super::waiting::{Waiting, Wakes};
use crate::Kernel;
use crate::se::Token;

/// Messages that one queue holds, at most. (Confirm: NT has quotas for the memory of messages in their place.)
const MOST_MESSAGES: usize = 4096;

/// Which port of a channel: the connection port, or one end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Connection,
    Server(usize),
    Client(usize),
}

/// One of the two sides that send each other messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Whoever receives from the connection port.
    Server,
    /// The client of one connection.
    Client(usize),
}

impl End {
    /// Where a receiver on this port belongs.
    pub(super) fn own_side(self) -> Side {
        match self {
            Self::Connection | Self::Server(_) => Side::Server,
            Self::Client(index) => Side::Client(index),
        }
    }

    /// Whom messages through it are for.
    pub(super) fn other_side(self) -> Side {
        match self {
            Self::Connection | Self::Client(_) => Side::Server,
            Self::Server(index) => Side::Client(index),
        }
    }

    /// The connection that it is an end of.
    pub(super) fn connection(self) -> Option<usize> {
        match self {
            Self::Connection => None,
            Self::Server(index) | Self::Client(index) => Some(index),
        }
    }
}

/// MessageId and CallbackId: what a reply names its request by.
pub(super) type Key = (u32, u32);

/// A request whose reply is awaited.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The thread that waits; `None` while it answers a callback.
    pub(super) asker: Option<Arc<Waiting>>,
    pub(super) client: ClientId,
    pub(super) connection: Option<usize>,
    /// Who is to reply.
    pub(super) replier: Side,
    /// It can be replied to from then on.
    pub(super) received: bool,
    /// Of a callback: the request in whose course it was made.
    pub(super) parent: Option<Key>,
    /// Memory of the asker's that it gives who is to reply.
    pub(super) data: Option<Box<RequestData>>,
}

/// A thread that waits for a message.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) waiting: Arc<Waiting>,
    /// The process that it belongs to.
    pub(super) process: u64,
    /// The port that it waits on.
    pub(super) end: End,
    /// `NtListenPort`: nothing but connection requests.
    pub(super) listens: bool,
}

impl Receiver {
    fn takes(&self, message: &Message) -> bool {
        !self.listens || message.header.kind == abi::LPC_CONNECTION_REQUEST
    }
}

/// Messages, or those who wait for them.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) messages: VecDeque<Box<Message>>,
    pub(super) receivers: VecDeque<Receiver>,
}

impl Queue {
    /// The first message that the receiver takes.
    fn take(&mut self, listens: bool) -> Option<Box<Message>> {
        if !listens {
            return self.messages.pop_front();
        }
        let found = self.messages.iter().position(|other| other.header.kind == abi::LPC_CONNECTION_REQUEST);
        found.and_then(|index| self.messages.remove(index))
    }

    /// Ends the waits of those receivers that `which` says.
    pub(super) fn dismiss(&mut self, status: NTSTATUS, wakes: &mut Wakes, which: impl Fn(End) -> bool) {
        let receivers = &mut self.receivers;
        for _ in 0..receivers.len() {
            let Some(receiver) = receivers.pop_front() else { break };
            if which(receiver.end) {
                wakes.end(receiver.waiting, status, None);
            } else {
                receivers.push_back(receiver);
            }
        }
    }
}

/// What the lock guards.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The connection port has no handle any more.
    pub(super) closed: bool,
    pub(super) queue: Queue,
    /// What a waitable port is, or is about to be told.
    pub(super) signaled: bool,
    pub(super) exchanges: HashMap<Key, Exchange>,
    pub(super) connections: Vec<Option<Connection>>,
    /// Port objects of each connection's ends. They outlive their handles, and the connection.
    ports: Vec<u32>,
    /// Places of connections that are gone, with all their port objects: whoever still had a port would meet its successor there.
    free: Vec<usize>,
}

/// A connection port and what has come of it.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) limits: Limits,
    /// Of the process that made it.
    pub(super) token: Arc<Token>,
    pub(super) waitable: Waitable,
    state: Mutex<State>,
}

impl Channel {
    pub(super) fn new(limits: Limits, token: Arc<Token>) -> Self {
        Self { limits, token, waitable: Waitable::default(), state: Mutex::default() }
    }

    pub(super) fn lock<'a>(&'a self, kernel: &'a Kernel) -> Locked<'a> {
        Locked::new(self, kernel, self.lock_untold(kernel))
    }

    /// As [`Self::lock`], for who changes nothing.
    pub(super) fn lock_untold(&self, kernel: &Kernel) -> MutexGuard<'_, State> {
        kernel.platform.preemption_point();
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives a connection a place.
    pub(super) fn add(&mut self, connection: Connection) -> usize {
        let index = self.free.pop().unwrap_or(self.connections.len());
        if index == self.connections.len() {
            self.connections.push(None);
            self.ports.push(0);
        }
        self.connections[index] = Some(connection);
        index
    }

    /// A connection has no end any more.
    pub(super) fn remove(&mut self, index: usize) {
        self.connections[index] = None;
        self.free_place(index);
    }

    /// There is one more port object of this end.
    pub(super) fn add_port(&mut self, end: End) {
        if let Some(index) = end.connection() {
            self.ports[index] += 1;
        }
    }

    /// There is one less.
    pub(super) fn remove_port(&mut self, end: End) {
        if let Some(index) = end.connection() {
            self.ports[index] -= 1;
            self.free_place(index);
        }
    }

    fn free_place(&mut self, index: usize) {
        if self.connections[index].is_none() && self.ports[index] == 0 {
            self.free.push(index);
        }
    }

    pub(super) fn connection(&mut self, index: usize) -> Option<&mut Connection> {
        self.connections.get_mut(index)?.as_mut()
    }

    pub(super) fn queue(&mut self, side: Side) -> Option<&mut Queue> {
        match side {
            Side::Server => Some(&mut self.queue),
            Side::Client(index) => self.connection(index).map(|connection| &mut connection.queue),
        }
    }

    /// Whether messages can go through a port now.
    ///
    /// # Errors
    /// `STATUS_PORT_DISCONNECTED` when its other end is closed, or it itself, or the connection is not completed.
    pub(super) fn check_connected(&mut self, end: End) -> Result<(), NTSTATUS> {
        let connected = match end {
            End::Connection => !self.closed,
            End::Server(index) | End::Client(index) => {
                self.connection(index).is_some_and(|connection| connection.is_connected())
            }
        };
        if connected { Ok(()) } else { Err(abi::STATUS_PORT_DISCONNECTED) }
    }

    /// Hands a message to the first thread of a side that waits for it, else to its queue. `message` is an empty one then.
    ///
    /// # Errors
    /// `STATUS_NO_MEMORY` when the queue is full, unless the message is the kernel's own.
    pub(super) fn send(
        &mut self,
        side: Side,
        message: &mut Box<Message>,
        is_notice: bool,
        wakes: &mut Wakes,
    ) -> Result<(), NTSTATUS> {
        let context = message.connection.and_then(|index| Some(self.connection(index)?.context));
        message.context = if side == Side::Server { context.unwrap_or(0) } else { 0 };
        let queue = self.queue(side).ok_or(abi::STATUS_PORT_DISCONNECTED)?;
        let found = queue.receivers.iter().position(|receiver| receiver.takes(message));
        if let Some(receiver) = found.and_then(|index| queue.receivers.remove(index)) {
            self.received(message, receiver.process);
            wakes.end(receiver.waiting, abi::STATUS_SUCCESS, Some(message));
            return Ok(());
        }
        if queue.messages.len() >= MOST_MESSAGES && !is_notice {
            return Err(abi::STATUS_NO_MEMORY);
        }
        queue.messages.push_back(std::mem::replace(message, Message::empty()));
        Ok(())
    }

    /// A message for a receiver of `end`, if there is one.
    pub(super) fn take(&mut self, end: End, process: u64, listens: bool) -> Option<Box<Message>> {
        let message = self.queue(end.own_side())?.take(listens)?;
        self.received(&message, process);
        Some(message)
    }

    /// What can be done with a message from the moment on at which somebody has it.
    fn received(&mut self, message: &Message, process: u64) {
        match message.header.kind {
            abi::LPC_CONNECTION_REQUEST => {
                if let Some(connection) = message.connection.and_then(|index| self.connection(index)) {
                    connection.stage = Stage::Received { by: process };
                }
            }
            _ => {
                let key = (message.header.id, message.header.callback());
                if let Some(exchange) = self.exchanges.get_mut(&key) {
                    exchange.received = true;
                }
            }
        }
    }

    /// Takes a receiver back.
    pub(super) fn withdraw_receiver(&mut self, side: Side, waiting: &Arc<Waiting>) {
        if let Some(queue) = self.queue(side) {
            queue.receivers.retain(|other| !Arc::ptr_eq(&other.waiting, waiting));
        }
    }

    /// Takes a request back, from the queue as well.
    pub(super) fn withdraw_exchange(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.remove(&key) else { return };
        if exchange.received {
            return;
        }
        if let Some(queue) = self.queue(exchange.replier) {
            queue.messages.retain(|other| (other.header.id, other.header.callback()) != key);
        }
    }

    /// Ends all requests that go through a connection, or (`None`) through the connection port itself.
    pub(super) fn break_exchanges(&mut self, connection: Option<usize>, wakes: &mut Wakes) {
        let broken: Vec<Key> = self
            .exchanges
            .iter()
            .filter(|(_, exchange)| exchange.connection == connection)
            .map(|(key, _)| *key)
            .collect();
        for key in broken {
            let asker = self.exchanges.get_mut(&key).and_then(|exchange| exchange.asker.take());
            self.withdraw_exchange(key);
            if let Some(asker) = asker {
                wakes.end(asker, abi::STATUS_PORT_DISCONNECTED, None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_anew_only_when_no_port_of_its_connection_is_left() {
        let mut state = State { connections: vec![None], ports: vec![0], ..State::default() };
        state.add_port(End::Client(0));
        state.add_port(End::Server(0));
        state.remove(0);
        state.remove_port(End::Server(0));
        assert_eq!(state.free, [] as [usize; 0], "a thread may still have the client's port");
        state.remove_port(End::Client(0));
        assert_eq!(state.free, [0]);
        state.remove_port(End::Connection);
        assert_eq!(state.free, [0]);
    }
}
