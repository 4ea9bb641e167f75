//! Messages: requests with replies, datagrams, callbacks.

use std::sync::Arc;

use abi::NTSTATUS;

use super::channel::{End, Exchange, Key, Receiver, State};
use super::connect::no_such_request;
use super::message::{ClientId, HEADER, Message};
use super::port::Port;
use super::request_data::RequestData;
use super::waiting::{Early, Waiting, Wakes};
use crate::Kernel;
use crate::ke::{ProcessorMode, Thread, Timeout};
use crate::ps::{EarlyAnswer, Process};

/// Who makes a call.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The calling thread.
    pub thread: &'a Thread,
    /// The process in whose context it runs.
    pub process: &'a Arc<Process>,
    /// Kernel mode for drivers: their waits outlast the end of the process, and they may send what the kernel sends.
    pub mode: ProcessorMode,
}

impl Caller<'_> {
    pub(super) fn is_kernel(&self) -> bool {
        self.mode == ProcessorMode::Kernel
    }
}

/// A message, and from whom.
#[derive(Debug)]
pub struct Received {
    /// It.
    pub message: Box<Message>,
    /// PortContext: what the server's side gave the connection that it came by; 0 for connection requests and on the client's
    /// side.
    pub context: u64,
}

/// The message type that the sender asks for, if it may; `own` for none.
fn kind_of(caller: &Caller<'_>, kind: u16, own: u16) -> Result<u16, NTSTATUS> {
    let (flag, bare) = (kind & abi::LPC_KERNELMODE_MESSAGE, kind & !abi::LPC_KERNELMODE_MESSAGE);
    match bare {
        0 => Ok(own | flag),
        _ if bare == own => Ok(own | flag),
        abi::LPC_PORT_CLOSED..=abi::LPC_ERROR_EVENT if caller.is_kernel() => Ok(kind),
        _ => Err(abi::STATUS_INVALID_PARAMETER),
    }
    .and_then(|kind| {
        if flag != 0 && !caller.is_kernel() { Err(abi::STATUS_INVALID_PARAMETER) } else { Ok(kind) }
    })
}

fn check_length(port: &Port, message: &Message) -> Result<(), NTSTATUS> {
    let length = usize::from(message.header.total_length);
    let fits = length <= port.channel.limits.message.max(HEADER);
    if fits { Ok(()) } else { Err(abi::STATUS_PORT_MESSAGE_TOO_LONG) }
}

/// Gives a message its sender's ClientId and a number of its own.
fn address(kernel: &Kernel, caller: &Caller<'_>, port: &Port, message: &mut Message, kind: u16) {
    message.header.kind = kind;
    message.header.client = ClientId::of(caller.thread);
    message.header.id = kernel.lpc.next_message();
    message.header.view_or_callback = 0;
    message.connection = port.end.connection();
}

/// `NtRequestPort`: sends a message that is not replied to; its type is LPC_DATAGRAM unless kernel code says otherwise. On a connection
/// port it goes to the port's own receivers. IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_PORT_MESSAGE_TOO_LONG`; `STATUS_INVALID_PARAMETER` for a type that is not the caller's to send;
/// `STATUS_PORT_DISCONNECTED`; `STATUS_NO_MEMORY` when too many wait already.
pub fn request(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    mut message: Box<Message>,
) -> Result<(), NTSTATUS> {
    check_length(port, &message)?;
    let kind = kind_of(caller, message.header.kind, abi::LPC_DATAGRAM)?;
    address(kernel, caller, port, &mut message, kind);
    let mut wakes = Wakes::default();
    let sent = {
        let mut state = port.channel.lock(kernel);
        state
            .check_connected(port.end)
            .and_then(|()| state.send(port.end.other_side(), &mut message, false, &mut wakes))
    };
    wakes.wake(kernel);
    message.recycle();
    sent
}

/// `NtRequestWaitReplyPort`: sends a message and waits for its reply. What comes may be a callback instead: a request (LPC_REQUEST) that
/// the other side makes in the course of this one, to be answered by [`reply_wait_reply`].
///
/// With LPC_REQUEST as its type, and ClientId, MessageId and CallbackId of a request that the caller's side has received, the message is
/// such a callback. (Confirm: that it keeps its request's MessageId and has a CallbackId of its own.) IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// As for [`request`]; `STATUS_REPLY_MESSAGE_MISMATCH`, `STATUS_INVALID_CID` for a callback to who waits for no reply;
/// `STATUS_PORT_DISCONNECTED` also when the connection ends before the reply comes; `STATUS_USER_APC` when the caller's process
/// ends.
pub fn request_wait_reply(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    message: Box<Message>,
) -> Result<Box<Message>, NTSTATUS> {
    request_wait_reply_early(kernel, caller, port, message, None)
}

/// As [`request_wait_reply`]; by `early` whoever replies hands the message to the application: its header, and what follows that.
///
/// # Errors
/// As there.
pub fn request_wait_reply_early(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    mut message: Box<Message>,
    early: Option<Arc<dyn EarlyAnswer>>,
) -> Result<Box<Message>, NTSTATUS> {
    check_length(port, &message)?;
    let early = early.map(|answer| Early { answer, with_context: false });
    let waiting = Waiting::begin_for(caller.thread, early);
    let mut wakes = Wakes::default();
    let asked = if message.header.kind & !abi::LPC_KERNELMODE_MESSAGE == abi::LPC_REQUEST {
        call_back(kernel, caller, port, &mut message, &waiting, &mut wakes)
    } else {
        ask(kernel, caller, port, &mut message, &waiting, &mut wakes)
    };
    wakes.wake(kernel);
    message.recycle();
    wait_for_reply(kernel, caller, port, waiting, asked?)
}

fn wait_for_reply(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    waiting: Arc<Waiting>,
    key: Key,
) -> Result<Box<Message>, NTSTATUS> {
    let withdraw = |waiting: &Arc<Waiting>| {
        let mut state = port.channel.lock(kernel);
        let own = state.exchanges.get(&key).and_then(|exchange| exchange.asker.as_ref());
        if own.is_some_and(|asker| Arc::ptr_eq(asker, waiting)) {
            state.withdraw_exchange(key);
        }
    };
    waiting.wait(kernel, caller.thread, caller.mode, Timeout::Never, withdraw).received()
}

fn ask(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    message: &mut Box<Message>,
    waiting: &Arc<Waiting>,
    wakes: &mut Wakes,
) -> Result<Key, NTSTATUS> {
    let kind = kind_of(caller, message.header.kind, abi::LPC_REQUEST)?;
    let data = RequestData::of(caller, message)?;
    address(kernel, caller, port, message, kind);
    let key = (message.header.id, 0);
    let replier = port.end.other_side();
    let exchange = Exchange {
        asker: Some(waiting.clone()),
        client: message.header.client,
        connection: port.end.connection(),
        replier,
        received: false,
        parent: None,
        data,
    };
    let mut state = port.channel.lock(kernel);
    state.check_connected(port.end)?;
    // Numbers come again after 2^32 messages; a request may have waited for so long.
    if state.exchanges.contains_key(&key) {
        return Err(abi::STATUS_NO_MEMORY);
    }
    state.exchanges.insert(key, exchange);
    match state.send(replier, message, false, wakes) {
        Ok(()) => Ok(key),
        Err(status) => {
            state.exchanges.remove(&key);
            Err(status)
        }
    }
}

/// Whether a reply or callback through `end` is from the side that is to reply: through its own communication port, or the connection
/// port.
pub(super) fn may_reply(exchange: &Exchange, end: End, client: ClientId) -> bool {
    let through = end == End::Connection || end.connection() == exchange.connection;
    through && exchange.replier == end.own_side() && exchange.received && exchange.client == client
}

fn call_back(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    message: &mut Box<Message>,
    waiting: &Arc<Waiting>,
    wakes: &mut Wakes,
) -> Result<Key, NTSTATUS> {
    let kind = kind_of(caller, message.header.kind, abi::LPC_REQUEST)?;
    let data = RequestData::of(caller, message)?;
    let parent = (message.header.id, message.header.callback());
    let client = message.header.client;
    let callback = kernel.lpc.next_callback();
    let mut state = port.channel.lock(kernel);
    let found = state.exchanges.get_mut(&parent).filter(|exchange| may_reply(exchange, port.end, client));
    let asked = found.and_then(|exchange| Some((exchange.asker.take()?, exchange.connection)));
    let Some((asked, connection)) = asked else {
        drop(state);
        return Err(no_such_request(kernel, client));
    };
    let key = (parent.0, callback);
    message.header.kind = kind;
    message.header.client = ClientId::of(caller.thread);
    message.header.view_or_callback = callback.into();
    let replier = match (port.end, connection) {
        // The connection port calls back its client by the connection of the request.
        (End::Connection, Some(index)) => End::Server(index).other_side(),
        (end, _) => end.other_side(),
    };
    let exchange = Exchange {
        asker: Some(waiting.clone()),
        client: message.header.client,
        connection,
        replier,
        received: true,
        parent: Some(parent),
        data,
    };
    state.exchanges.insert(key, exchange);
    wakes.end(asked, abi::STATUS_SUCCESS, Some(message));
    Ok(key)
}

/// Ends the wait of who asked.
fn answer(
    state: &mut State,
    caller: &Caller<'_>,
    end: End,
    message: &mut Box<Message>,
    wakes: &mut Wakes,
) -> Option<Exchange> {
    let key = (message.header.id, message.header.callback());
    let client = message.header.client;
    let found = state.exchanges.get(&key);
    let fits = found.is_some_and(|exchange| may_reply(exchange, end, client) && exchange.asker.is_some());
    let mut exchange = if fits { state.exchanges.remove(&key)? } else { return None };
    message.header.kind = abi::LPC_REPLY;
    message.header.client = ClientId::of(caller.thread);
    if let Some(asker) = exchange.asker.take() {
        wakes.end(asker, abi::STATUS_SUCCESS, Some(message));
    }
    Some(exchange)
}

/// `NtReplyPort`: replies to the request that the message's ClientId, MessageId and CallbackId name. A message can be replied to when
/// it has been received, through the port that it came by or the connection port, once. IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_REPLY_MESSAGE_MISMATCH` for all else; `STATUS_INVALID_CID` when the client's process has ended;
/// `STATUS_PORT_MESSAGE_TOO_LONG`.
pub fn reply(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    mut message: Box<Message>,
) -> Result<(), NTSTATUS> {
    check_length(port, &message)?;
    let client = message.header.client;
    let mut wakes = Wakes::default();
    let answered = {
        let mut state = port.channel.lock(kernel);
        answer(&mut state, caller, port.end, &mut message, &mut wakes)
    };
    wakes.wake(kernel);
    message.recycle();
    answered.map(drop).ok_or_else(|| no_such_request(kernel, client))
}

/// `NtReplyWaitReplyPort`: replies to a callback and waits for the reply to the request in whose course it came, or the next callback.
/// IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// As for [`reply`], for what is no callback as well; as for [`request_wait_reply`].
pub fn reply_wait_reply(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    mut message: Box<Message>,
) -> Result<Box<Message>, NTSTATUS> {
    check_length(port, &message)?;
    let client = message.header.client;
    let waiting = Waiting::begin(caller.thread);
    let mut wakes = Wakes::default();
    let resumed = {
        let mut state = port.channel.lock(kernel);
        let key = (message.header.id, message.header.callback());
        let parent = state.exchanges.get(&key).and_then(|exchange| exchange.parent);
        let own = ClientId::of(caller.thread);
        let suspended = parent.filter(|parent| {
            let parent = state.exchanges.get(parent);
            parent.is_some_and(|parent| parent.asker.is_none() && parent.client == own)
        });
        suspended.and_then(|parent| {
            answer(&mut state, caller, port.end, &mut message, &mut wakes)?;
            state.exchanges.get_mut(&parent)?.asker = Some(waiting.clone());
            Some(parent)
        })
    };
    wakes.wake(kernel);
    message.recycle();
    let key = resumed.ok_or_else(|| no_such_request(kernel, client))?;
    wait_for_reply(kernel, caller, port, waiting, key)
}

/// `NtReplyWaitReceivePort(Ex)` without a reply: waits for a message. The ports of a server receive what is sent to any of them; a
/// client's port what its server sends. IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_TIMEOUT`; `STATUS_PORT_DISCONNECTED` when the port is closed meanwhile, and on a client's port when its server's end is closed
/// and all messages are received (Confirm: both); `STATUS_USER_APC` when the caller's process ends.
pub fn receive(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    timeout: Timeout,
) -> Result<Received, NTSTATUS> {
    receive_as(kernel, caller, port, timeout, false, None)
}

/// As [`receive`]; by `early` whoever sends hands the message to the application: the PortContext, the header, and what follows that.
///
/// # Errors
/// As there.
pub fn receive_early(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    timeout: Timeout,
    early: Option<Arc<dyn EarlyAnswer>>,
) -> Result<Received, NTSTATUS> {
    receive_as(kernel, caller, port, timeout, false, early)
}

pub(super) fn receive_as(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    timeout: Timeout,
    listens: bool,
    early: Option<Arc<dyn EarlyAnswer>>,
) -> Result<Received, NTSTATUS> {
    if listens && port.end != End::Connection {
        return Err(abi::STATUS_INVALID_PORT_HANDLE);
    }
    let early = early.map(|answer| Early { answer, with_context: true });
    let waiting = Waiting::begin_for(caller.thread, early);
    let begun = begin_receive(&mut port.channel.lock(kernel), caller, port.end, &waiting, listens);
    finish_receive(kernel, caller, port, waiting, begun?, timeout)
}

/// `NtReplyWaitReceivePort(Ex)`: replies as [`reply`] does, then waits as [`receive`] does, unless there was nothing to reply to.
/// IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// As for both.
pub fn reply_wait_receive(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    message: Box<Message>,
    timeout: Timeout,
) -> Result<Received, NTSTATUS> {
    reply_wait_receive_early(kernel, caller, port, message, timeout, None)
}

/// As [`reply_wait_receive`], with `early` as for [`receive_early`].
///
/// # Errors
/// As there.
pub fn reply_wait_receive_early(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    mut message: Box<Message>,
    timeout: Timeout,
    early: Option<Arc<dyn EarlyAnswer>>,
) -> Result<Received, NTSTATUS> {
    check_length(port, &message)?;
    let client = message.header.client;
    let early = early.map(|answer| Early { answer, with_context: true });
    let waiting = Waiting::begin_for(caller.thread, early);
    let mut wakes = Wakes::default();
    let begun = {
        let mut state = port.channel.lock(kernel);
        answer(&mut state, caller, port.end, &mut message, &mut wakes)
            .map(|_| begin_receive(&mut state, caller, port.end, &waiting, false))
    };
    wakes.wake(kernel);
    message.recycle();
    let begun = begun.ok_or_else(|| no_such_request(kernel, client))?;
    finish_receive(kernel, caller, port, waiting, begun?, timeout)
}

/// A message that is there, or the thread's place among those who wait for one.
fn begin_receive(
    state: &mut State,
    caller: &Caller<'_>,
    end: End,
    waiting: &Arc<Waiting>,
    listens: bool,
) -> Result<Option<Box<Message>>, NTSTATUS> {
    let process = caller.thread.process_id.into();
    if let Some(message) = state.take(end, process, listens) {
        return Ok(Some(message));
    }
    let open = match end {
        End::Connection => !state.closed,
        End::Server(index) => state.connection(index).is_some_and(|connection| connection.server_open),
        End::Client(index) => state.connection(index).is_some_and(|connection| connection.is_connected()),
    };
    if !open {
        return Err(abi::STATUS_PORT_DISCONNECTED);
    }
    let receiver = Receiver { waiting: waiting.clone(), process, end, listens };
    let queue = state.queue(end.own_side()).ok_or(abi::STATUS_PORT_DISCONNECTED)?;
    queue.receivers.push_back(receiver);
    Ok(None)
}

fn finish_receive(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    waiting: Arc<Waiting>,
    begun: Option<Box<Message>>,
    timeout: Timeout,
) -> Result<Received, NTSTATUS> {
    let message = match begun {
        Some(message) => message,
        None => {
            let withdraw = |waiting: &Arc<Waiting>| {
                port.channel.lock(kernel).withdraw_receiver(port.end.own_side(), waiting);
            };
            waiting.wait(kernel, caller.thread, caller.mode, timeout, withdraw).received()?
        }
    };
    Ok(Received { context: message.context, message })
}
