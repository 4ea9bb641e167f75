//! Connecting to a port, listening at one, accepting and refusing.

use std::sync::{Arc, Weak};

use abi::NTSTATUS;

use super::channel::{Channel, End, Queue, Side};
use super::message::{ClientId, Message};
use super::port::{Port, port_object};
use super::transfer::{Caller, Received, receive_as};
use super::view::{ClientView, GivenView, Mapped, RemoteView, map};
use super::waiting::{Ended, Waiting, Wakes};
use crate::Kernel;
use crate::ke::Timeout;
use crate::ob::Object;
use crate::ps::Process;
use crate::se::{ClientContext, QualityOfService, Sid};

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The request waits for a receiver.
    Requested,
    /// A thread of this process has it.
    Received {
        by: u64,
    },
    /// A thread is accepting it.
    Accepting,
    /// It is accepted; the client waits for `NtCompleteConnectPort`.
    Accepted,
    Connected,
    Refused,
}

/// A connection, from its request to the end of both its ports.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stage: Stage,
    /// MessageId of its request.
    pub(super) request: u32,
    /// The thread that asked for it.
    pub(super) client: ClientId,
    /// It, while it waits.
    pub(super) connector: Option<Arc<Waiting>>,
    /// The server's PortContext.
    pub(super) context: u64,
    pub(super) client_open: bool,
    pub(super) server_open: bool,
    /// To the client.
    pub(super) queue: Queue,
    /// Whom its server may act as.
    pub(super) identity: Option<ClientContext>,
    process: Weak<Process>,
    given: Option<GivenView>,
    /// The server's connection information, and its view, until the connection is completed.
    answer: Option<(Box<Message>, RemoteView)>,
    /// In the client's process.
    pub(super) client_views: Vec<Mapped>,
    /// In the server's.
    pub(super) server_views: Vec<Mapped>,
}

impl Connection {
    pub(super) fn is_connected(&self) -> bool {
        self.stage == Stage::Connected && self.client_open && self.server_open
    }

    /// Nobody has answered the request.
    pub(super) fn is_requested(&self) -> bool {
        matches!(self.stage, Stage::Requested | Stage::Received { .. })
    }
}

/// What `NtConnectPort` is asked for, beside the port.
#[derive(Debug)]
pub struct Connect<'a> {
    /// What the server may do in the client's name.
    pub qos: QualityOfService,
    /// A section for the server to see.
    pub view: Option<GivenView>,
    /// For the server; what is longer than its port takes is cut off.
    pub info: &'a [u8],
    /// `NtSecureConnectPort`: who the server must be.
    pub required_server: Option<Sid>,
}

/// What it gives.
#[derive(Debug)]
pub struct Connected {
    /// The client's port, with its maker's reference, and without a handle.
    pub port: Arc<Object>,
    /// The client's view.
    pub client_view: ClientView,
    /// The server's view; of 0 bytes when it has given none.
    pub server_view: RemoteView,
    /// Bytes of the longest message, with its header.
    pub max_message: usize,
    /// The server's connection information.
    pub info: Box<Message>,
}

/// A refusal has connection information too.
pub type ConnectOutcome = Result<Connected, (NTSTATUS, Option<Box<Message>>)>;

/// `NtConnectPort`, `NtSecureConnectPort`: asks the listener of a connection port for a connection, and waits for its answer. Whether
/// the caller may has been decided. IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_PORT_HANDLE` for a communication port; `STATUS_SERVER_SID_MISMATCH`; `STATUS_PORT_CONNECTION_REFUSED` when the
/// server refuses, closes its connection port, or closes the accepted port without completing the connection; those of
/// [`ex::map_view`](crate::ex::map_view); `STATUS_BAD_IMPERSONATION_LEVEL` when the caller acts for somebody whom it may not pass on;
/// `STATUS_USER_APC` when the caller's process ends.
pub fn connect(kernel: &Kernel, caller: &Caller<'_>, port: &Port, request: &Connect<'_>) -> ConnectOutcome {
    let plain = |status| (status, None);
    let (object, waiting) = ask(kernel, caller, port, request).map_err(plain)?;
    let End::Client(index) = client_end(&object) else { return Err(plain(abi::STATUS_INVALID_PORT_HANDLE)) };
    let channel = &port.channel;
    let Ended { status, message } =
        waiting.wait(kernel, caller.thread, caller.mode, Timeout::Never, |waiting| {
            let mut state = channel.lock(kernel);
            if let Some(connection) = state.connection(index)
                && connection.connector.as_ref().is_some_and(|other| Arc::ptr_eq(other, waiting))
            {
                connection.connector = None;
            }
        });
    if status != abi::STATUS_SUCCESS {
        object.dereference(kernel);
        return Err((status, message));
    }
    let answer = {
        let mut state = channel.lock(kernel);
        state.connection(index).map(|connection| {
            let own = connection.client_views.first().filter(|_| connection.given.is_some());
            let remote = connection.server_views.first().filter(|_| connection.given.is_some());
            let client_view = own.map(|own| ClientView {
                offset: own.offset,
                size: own.size,
                base: own.base,
                remote_base: remote.map_or(0, |remote| remote.base),
            });
            // The section is needed no more, and its reference is the caller's.
            connection.given = None;
            let server_view = connection.answer.take().map(|(_, view)| view);
            (client_view.unwrap_or_default(), server_view.unwrap_or_default())
        })
    };
    let (client_view, server_view) = answer.unwrap_or_default();
    let max_message = channel.limits.message;
    let info = message.unwrap_or_else(Message::empty);
    Ok(Connected { port: object, client_view, server_view, max_message, info })
}

fn client_end(object: &Object) -> End {
    object.body::<Port>().map_or(End::Connection, |port| port.end)
}

/// Makes the client's port and sends the request.
fn ask(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    request: &Connect<'_>,
) -> Result<(Arc<Object>, Arc<Waiting>), NTSTATUS> {
    let channel = &port.channel;
    if port.end != End::Connection {
        return Err(abi::STATUS_INVALID_PORT_HANDLE);
    }
    if request.required_server.is_some_and(|sid| channel.token.user != sid) {
        return Err(abi::STATUS_SERVER_SID_MISMATCH);
    }
    let identity = ClientContext::of_thread(kernel, caller.thread, request.qos, false)?;
    let own = match &request.view {
        Some(given) => Some(map(given, caller.process)?),
        None => None,
    };
    let mut message = Message::empty();
    message.set_data(&request.info[..request.info.len().min(channel.limits.connection_info)]);
    message.header.kind = abi::LPC_CONNECTION_REQUEST;
    message.header.client = ClientId::of(caller.thread);
    message.header.id = kernel.lpc.next_message();
    message.header.view_or_callback = own.as_ref().map_or(0, |own| own.size);
    let id = message.header.id;
    let connection = Connection {
        stage: Stage::Requested,
        request: id,
        client: message.header.client,
        connector: None,
        context: 0,
        client_open: true,
        server_open: false,
        queue: Queue::default(),
        identity: Some(identity),
        process: Arc::downgrade(caller.process),
        given: request.view.clone(),
        answer: None,
        client_views: own.into_iter().collect(),
        server_views: Vec::new(),
    };
    let index = add(kernel, channel, connection)?;
    message.connection = Some(index);
    let object = port_object(kernel, channel, End::Client(index))?;
    kernel.lpc.requested().insert(id, (channel.clone(), index));
    let waiting = Waiting::begin(caller.thread);
    let mut wakes = Wakes::default();
    let sent = {
        let mut state = channel.lock(kernel);
        if state.closed {
            Err(abi::STATUS_PORT_CONNECTION_REFUSED)
        } else {
            if let Some(connection) = state.connection(index) {
                connection.connector = Some(waiting.clone());
            }
            state.send(Side::Server, &mut message, false, &mut wakes)
        }
    };
    wakes.wake(kernel);
    message.recycle();
    match sent {
        Ok(()) => Ok((object, waiting)),
        Err(status) => {
            object.dereference(kernel);
            Err(status)
        }
    }
}

/// Gives a connection its place.
fn add(kernel: &Kernel, channel: &Channel, connection: Connection) -> Result<usize, NTSTATUS> {
    let mut state = channel.lock(kernel);
    if state.closed {
        drop(state);
        // Its view is unmapped, under no lock.
        drop(connection);
        return Err(abi::STATUS_PORT_CONNECTION_REFUSED);
    }
    kernel.lpc.add_connection();
    Ok(state.add(connection))
}

/// `NtListenPort`: waits for a connection request. Other messages stay where they are. (Confirm: NT is said to drop them.)
/// IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// As for [`receive`](super::receive()).
pub fn listen(kernel: &Kernel, caller: &Caller<'_>, port: &Port) -> Result<Received, NTSTATUS> {
    receive_as(kernel, caller, port, Timeout::Never, true, None)
}

/// What `NtAcceptConnectPort` is asked for, beside the request that it answers.
#[derive(Clone, Debug, Default)]
pub struct Accept {
    /// What receivers get with messages of the connection; see [`set_context`].
    pub context: u64,
    /// A section for the client to see.
    pub view: Option<GivenView>,
}

/// What it gives.
#[derive(Debug)]
pub struct Accepted {
    /// The server's port, with its maker's reference, and without a handle.
    pub port: Arc<Object>,
    /// The server's view.
    pub server_view: ClientView,
    /// The client's view; of 0 bytes when it has given none.
    pub client_view: RemoteView,
}

/// `NtAcceptConnectPort`: answers the connection request that `message`, which its process has received, names by its ClientId and
/// MessageId. The message's data are the connection information for the client. Without `accept` the request is refused, and there is no
/// port. The client goes on when the connection is completed, or the port closed. IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_REPLY_MESSAGE_MISMATCH` when there is no such request (any more); `STATUS_INVALID_CID` when its process has ended; those
/// of [`ex::map_view`](crate::ex::map_view), which refuse the request as well.
pub fn accept(
    kernel: &Kernel,
    caller: &Caller<'_>,
    mut message: Box<Message>,
    accept: Option<&Accept>,
) -> Result<Option<Accepted>, NTSTATUS> {
    let (id, client) = (message.header.id, message.header.client);
    let (channel, index) = claim(kernel, caller, id, client)?;
    let info = message.data().len().min(channel.limits.connection_info);
    message.header.data_length = u16::try_from(info).unwrap_or(0);
    message.header.kind = abi::LPC_REPLY;
    let accepted = accept.map(|accept| accept_claimed(kernel, caller, &channel, index, accept));
    let (outcome, answer) = match accepted {
        None => (Ok(None), None),
        Some(Ok((port, server_view, client_view, theirs))) => {
            (Ok(Some(Accepted { port, server_view, client_view })), Some(theirs))
        }
        Some(Err(status)) => (Err(status), None),
    };
    let mut wakes = Wakes::default();
    {
        let mut state = channel.lock(kernel);
        if let Some(connection) = state.connection(index) {
            match answer {
                Some(theirs) => connection.answer = Some((message, theirs)),
                None => {
                    connection.stage = Stage::Refused;
                    if let Some(connector) = connection.connector.take() {
                        let refused = abi::STATUS_PORT_CONNECTION_REFUSED;
                        wakes.end(connector, refused, Some(&mut message));
                    }
                    message.recycle();
                    state.remove_if_unused(kernel, index);
                }
            }
        }
    }
    wakes.wake(kernel);
    outcome
}

/// Takes the request for the calling thread alone to answer.
fn claim(
    kernel: &Kernel,
    caller: &Caller<'_>,
    id: u32,
    client: ClientId,
) -> Result<(Arc<Channel>, usize), NTSTATUS> {
    let found = kernel.lpc.requested().get(&id).cloned();
    let claimed = found.filter(|(channel, index)| {
        let mut state = channel.lock(kernel);
        let own = u64::from(caller.process.id);
        state.connection(*index).is_some_and(|connection| {
            let received = match connection.stage {
                Stage::Received { by } => by == own || caller.is_kernel(),
                _ => false,
            };
            let fits = received && connection.request == id && connection.client == client;
            if fits {
                connection.stage = Stage::Accepting;
            }
            fits
        })
    });
    match claimed {
        Some(claimed) => {
            kernel.lpc.requested().remove(&id);
            Ok(claimed)
        }
        None => Err(no_such_request(kernel, client)),
    }
}

/// Why there is nothing to answer.
pub(super) fn no_such_request(kernel: &Kernel, client: ClientId) -> NTSTATUS {
    let process = u32::try_from(client.process).ok().and_then(|id| kernel.ps.get(id));
    if process.is_some() { abi::STATUS_REPLY_MESSAGE_MISMATCH } else { abi::STATUS_INVALID_CID }
}

type Ends = (Arc<Object>, ClientView, RemoteView, RemoteView);

/// Shows each side the other's section, and makes the server's port.
fn accept_claimed(
    kernel: &Kernel,
    caller: &Caller<'_>,
    channel: &Arc<Channel>,
    index: usize,
    accept: &Accept,
) -> Result<Ends, NTSTATUS> {
    let (client, given) = {
        let mut state = channel.lock(kernel);
        let connection = state.connection(index).ok_or(abi::STATUS_REPLY_MESSAGE_MISMATCH)?;
        // The connecting thread keeps the section until it has its answer.
        (connection.process.clone(), connection.given.clone())
    };
    let mut server_views = Vec::new();
    let mut client_view = RemoteView::default();
    if let Some(given) = &given {
        let mapped = map(given, caller.process)?;
        client_view = RemoteView { size: mapped.size, base: mapped.base };
        server_views.push(mapped);
    }
    let (mut server_view, mut theirs, mut remote) = (ClientView::default(), RemoteView::default(), None);
    if let Some(given) = &accept.view {
        let client = client.upgrade().ok_or(abi::STATUS_INVALID_CID)?;
        let (own, other) = (map(given, caller.process)?, map(given, &client)?);
        theirs = RemoteView { size: other.size, base: other.base };
        server_view =
            ClientView { offset: own.offset, size: own.size, base: own.base, remote_base: other.base };
        server_views.push(own);
        remote = Some(other);
    }
    // Before anybody sees it accepted: until then its end means nothing.
    let port = port_object(kernel, channel, End::Server(index))?;
    let left = {
        let mut state = channel.lock(kernel);
        match state.connection(index).filter(|connection| connection.client_open) {
            Some(connection) => {
                connection.server_views = server_views;
                connection.client_views.extend(remote);
                (connection.stage, connection.server_open) = (Stage::Accepted, true);
                connection.context = accept.context;
                None
            }
            None => Some((server_views, remote)),
        }
    };
    if let Some(views) = left {
        drop(views);
        port.dereference(kernel);
        return Err(client.upgrade().map_or(abi::STATUS_INVALID_CID, |_| abi::STATUS_REPLY_MESSAGE_MISMATCH));
    }
    Ok((port, server_view, client_view, theirs))
}

/// Sets what receivers get with messages of an accepted connection: the port's handle, if `NtAcceptConnectPort` was told nothing else.
pub fn set_context(kernel: &Kernel, port: &Port, context: u64) {
    if let End::Server(index) = port.end
        && let Some(connection) = port.channel.lock(kernel).connection(index)
    {
        connection.context = context;
    }
}

/// `NtCompleteConnectPort`: lets the client of an accepted connection go on. IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_PORT_HANDLE` for a port that is not the server's end of a connection; `STATUS_INVALID_PARAMETER` when it is
/// completed already; `STATUS_PORT_DISCONNECTED` when the client waits no longer. (Confirm: these.)
pub fn complete(kernel: &Kernel, port: &Port) -> Result<(), NTSTATUS> {
    let End::Server(index) = port.end else { return Err(abi::STATUS_INVALID_PORT_HANDLE) };
    let mut wakes = Wakes::default();
    let completed = {
        let mut state = port.channel.lock(kernel);
        let connection = state.connection(index).ok_or(abi::STATUS_PORT_DISCONNECTED)?;
        match (connection.stage, &mut connection.answer) {
            (Stage::Accepted, Some((message, _))) => match connection.connector.take() {
                Some(connector) => {
                    connection.stage = Stage::Connected;
                    wakes.end(connector, abi::STATUS_SUCCESS, Some(message));
                    Ok(())
                }
                None => Err(abi::STATUS_PORT_DISCONNECTED),
            },
            _ => Err(abi::STATUS_INVALID_PARAMETER),
        }
    };
    wakes.wake(kernel);
    completed
}
