//! The system calls of an application on LPC ports.

use std::sync::Arc;

use abi::NTSTATUS;
use gate::{
    EarlyCall, Handle, Memory, PortCall, PortConnected, PortView, PortViews, SecurityQos, SystemReply,
};
use kernel::ke::{ProcessorMode, Thread, Timeout};
use kernel::lpc::{
    self, Accept, Caller, ClientView, Connect, Connected, Copied, GivenView, HEADER, Limits, Message, Port,
    Received, RemoteView, ServerBuffer,
};
use kernel::ob::{self, Name, Object};
use kernel::ps::{self, EarlyAnswer};
use kernel::se::{self, Sid};

use crate::early_answer::early_answer;
use crate::process::{Process, quality};

fn status(result: Result<(), NTSTATUS>) -> SystemReply {
    SystemReply::status(result.err().unwrap_or(abi::STATUS_SUCCESS))
}

fn views(own: &ClientView, other: RemoteView) -> PortViews {
    PortViews {
        offset: own.offset,
        size: own.size,
        base: own.base,
        remote_base: own.remote_base,
        other_size: other.size,
        other_base: other.base,
    }
}

/// Writes parts to the output, one behind the other; the answer says how long they are.
fn wrote(output: &mut [u8], handle: Handle, parts: &[&[u8]]) -> SystemReply {
    let mut length = 0;
    for part in parts {
        let Some(place) = output.get_mut(length..length + part.len()) else {
            return SystemReply::status(abi::STATUS_BUFFER_TOO_SMALL);
        };
        place.copy_from_slice(part);
        length += part.len();
    }
    SystemReply { handle, information: length as u64, ..SystemReply::status(abi::STATUS_SUCCESS) }
}

/// What `NtConnectPort` is asked for, beside a name.
struct Asked<'a> {
    qos: SecurityQos,
    view: Option<PortView>,
    server: Option<Sid>,
    info: &'a [u8],
}

/// The SID that the server must have, and the connection information behind it.
fn split_server(length: u8, bytes: &[u8]) -> Result<(Option<Sid>, &[u8]), NTSTATUS> {
    let (sid, info) = bytes.split_at_checked(length.into()).ok_or(abi::STATUS_INVALID_PARAMETER)?;
    match Sid::from_bytes(sid) {
        _ if sid.is_empty() => Ok((None, info)),
        Some(server) if server.byte_length() == sid.len() => Ok((Some(server), info)),
        _ => Err(abi::STATUS_INVALID_SID),
    }
}

fn message_to(output: &mut [u8], front: &[u8], message: Result<Box<Message>, NTSTATUS>) -> SystemReply {
    match message {
        Ok(message) => {
            let header: [u8; HEADER] = message.header.to_bytes();
            let reply = wrote(output, Handle(0), &[front, &header, message.tail()]);
            message.recycle();
            reply
        }
        Err(status) => SystemReply::status(status),
    }
}

type MakePort = fn(&kernel::Kernel, &ps::Process, Limits) -> Result<Arc<Object>, NTSTATUS>;

impl Process {
    /// A call whose answer may come early.
    pub(crate) fn port_call_early(
        &self,
        call: &PortCall<'_>,
        output: &mut [u8],
        early: &EarlyCall,
    ) -> SystemReply {
        let early = match call {
            PortCall::RequestWaitReply { .. } | PortCall::ReplyWaitReceive { .. } => {
                Some(early_answer(early))
            }
            _ => None,
        };
        let called = |thread: &Thread| self.port_call(thread, call, output, early);
        ps::inside(&self.kernel, &self.process, called).unwrap_or_else(SystemReply::status)
    }

    pub(crate) fn port_call(
        &self,
        thread: &Thread,
        call: &PortCall<'_>,
        output: &mut [u8],
        early: Option<Arc<dyn EarlyAnswer>>,
    ) -> SystemReply {
        let kernel = &*self.kernel;
        match *call {
            PortCall::Create { name, max_connection_info, max_message, waitable } => {
                let make = if waitable { lpc::create_waitable_port } else { lpc::create_port };
                self.create_port(name, max_connection_info, max_message, make)
            }
            PortCall::Connect { name, qos, view, server, info } => {
                let connected = split_server(server, info).and_then(|(server, info)| {
                    let asked = Asked { qos, view, server, info };
                    self.connect_port(thread, name, &asked, output)
                });
                connected.unwrap_or_else(SystemReply::status)
            }
            PortCall::Listen { handle } => {
                let taken = self.with_port(thread, handle, |caller, port| lpc::listen(kernel, caller, port));
                message_to(output, &[], taken.map(|received| received.message))
            }
            PortCall::Accept { message, accept, context, view } => {
                let accepted = self.accept_port(thread, message, accept.then_some(context), view, output);
                accepted.unwrap_or_else(SystemReply::status)
            }
            PortCall::Complete { handle } => {
                status(self.with_port(thread, handle, |_, port| lpc::complete(kernel, port)))
            }
            PortCall::Request { handle, message } => {
                let send =
                    |caller: &Caller<'_>, port: &Port, message| lpc::request(kernel, caller, port, message);
                status(self.with_message(thread, handle, message, send))
            }
            PortCall::RequestWaitReply { handle, message } => {
                let send = |caller: &Caller<'_>, port: &Port, message| {
                    lpc::request_wait_reply_early(kernel, caller, port, message, early)
                };
                message_to(output, &[], self.with_message(thread, handle, message, send))
            }
            PortCall::Reply { handle, message } => {
                let send =
                    |caller: &Caller<'_>, port: &Port, message| lpc::reply(kernel, caller, port, message);
                status(self.with_message(thread, handle, message, send))
            }
            PortCall::ReplyWaitReply { handle, message } => {
                let send = |caller: &Caller<'_>, port: &Port, message| {
                    lpc::reply_wait_reply(kernel, caller, port, message)
                };
                message_to(output, &[], self.with_message(thread, handle, message, send))
            }
            PortCall::ImpersonateClient { handle, message } => {
                let act = |caller: &Caller<'_>, port: &Port, message: Box<Message>| {
                    let done = lpc::impersonate_client(kernel, caller, port, &message.header);
                    message.recycle();
                    done
                };
                status(self.with_message(thread, handle, message, act))
            }
            PortCall::RegisterThreadTerminatePort { handle } => {
                status(self.register_thread_terminate_port(thread, handle))
            }
            PortCall::ReadRequestData { handle, message, index, buffer } => {
                self.copy_request_data(thread, handle, message, index, buffer, Copied::FromClient)
            }
            PortCall::WriteRequestData { handle, message, index, buffer } => {
                self.copy_request_data(thread, handle, message, index, buffer, Copied::ToClient)
            }
            PortCall::ReplyWaitReceive { handle, reply, timeout } => {
                let timeout = timeout.map_or(Timeout::Never, Timeout::At);
                let taken = if reply.is_empty() {
                    let receive = |caller: &Caller<'_>, port: &Port| {
                        lpc::receive_early(kernel, caller, port, timeout, early)
                    };
                    self.with_port(thread, handle, receive)
                } else {
                    let send = |caller: &Caller<'_>, port: &Port, message| {
                        lpc::reply_wait_receive_early(kernel, caller, port, message, timeout, early)
                    };
                    self.with_message(thread, handle, reply, send)
                };
                match taken {
                    Ok(Received { message, context }) => {
                        message_to(output, &context.to_le_bytes(), Ok(message))
                    }
                    // STATUS_TIMEOUT is a success: what is not written must not be taken for an answer.
                    Err(status) => SystemReply::status(status),
                }
            }
        }
    }

    fn caller<'a>(&'a self, thread: &'a Thread) -> Caller<'a> {
        Caller { thread, process: &self.process, mode: ProcessorMode::User }
    }

    fn with_port<R>(
        &self,
        thread: &Thread,
        handle: Handle,
        body: impl FnOnce(&Caller<'_>, &Port) -> Result<R, NTSTATUS>,
    ) -> Result<R, NTSTATUS> {
        let object = ob::reference_own(&self.process, handle.0, Some("Port"), 0)?;
        let done = match object.body::<Port>() {
            Some(port) => body(&self.caller(thread), port),
            None => Err(abi::STATUS_OBJECT_TYPE_MISMATCH),
        };
        object.dereference(&self.kernel);
        done
    }

    fn with_message<R>(
        &self,
        thread: &Thread,
        handle: Handle,
        message: &[u8],
        body: impl FnOnce(&Caller<'_>, &Port, Box<Message>) -> Result<R, NTSTATUS>,
    ) -> Result<R, NTSTATUS> {
        let message = Message::from_bytes(message)?;
        self.with_port(thread, handle, |caller, port| body(caller, port, message))
    }

    fn register_thread_terminate_port(&self, thread: &Thread, handle: Handle) -> Result<(), NTSTATUS> {
        let object = ob::reference_own(&self.process, handle.0, Some("Port"), 0)?;
        let done = lpc::register_thread_terminate_port(&self.kernel, &self.caller(thread), &object);
        object.dereference(&self.kernel);
        done
    }

    fn copy_request_data(
        &self,
        thread: &Thread,
        handle: Handle,
        message: &[u8],
        index: u32,
        buffer: Memory,
        copied: Copied,
    ) -> SystemReply {
        let buffer = ServerBuffer { address: buffer.address, length: buffer.length.into() };
        let done = self.with_message(thread, handle, message, |caller, port, message| {
            let header = message.header;
            message.recycle();
            lpc::copy_request_data(&self.kernel, caller, port, &header, index, buffer, copied)
        });
        match done {
            Ok(information) => SystemReply { information, ..SystemReply::status(abi::STATUS_SUCCESS) },
            Err(status) => SystemReply::status(status),
        }
    }

    fn create_port(&self, name: &[u16], connection_info: u32, message: u32, make: MakePort) -> SystemReply {
        let limits = Limits { connection_info: connection_info as usize, message: message as usize };
        let name = Name { path: name, desired_access: abi::PORT_ALL_ACCESS, open_if: false };
        let made = make(&self.kernel, &self.process, limits)
            .and_then(|object| ob::create_named(&self.kernel, &self.process, &object, name));
        match made {
            Ok((handle, _)) => SystemReply {
                handle: Handle(handle),
                information: 0,
                ..SystemReply::status(abi::STATUS_SUCCESS)
            },
            Err(status) => SystemReply::status(status),
        }
    }

    /// The port of a name, referenced, if the process may connect to it.
    fn port_to_connect(&self, name: &[u16]) -> Result<Arc<Object>, NTSTATUS> {
        let found = self.kernel.ob.find(name, false)?;
        if found.object.body::<Port>().is_none() || !found.rest.is_empty() {
            return Err(abi::STATUS_OBJECT_TYPE_MISMATCH);
        }
        se::check_for_caller(&self.kernel, &self.process, &found.object, abi::PORT_CONNECT, true)?;
        if found.object.try_reference() { Ok(found.object) } else { Err(abi::STATUS_OBJECT_NAME_NOT_FOUND) }
    }

    /// What is to be shown, with a reference to its section.
    fn given_view(&self, view: Option<PortView>) -> Result<Option<GivenView>, NTSTATUS> {
        let Some(PortView { section, offset, size }) = view else { return Ok(None) };
        let entry = self.process.handles.get(section.0).ok_or(abi::STATUS_INVALID_HANDLE)?;
        let wanted = abi::SECTION_MAP_READ | abi::SECTION_MAP_WRITE;
        let section = ob::reference_own(&self.process, section.0, Some("Section"), wanted)?;
        Ok(Some(GivenView { section, granted: entry.granted, offset: offset.into(), size }))
    }

    fn drop_view(&self, view: Option<&GivenView>) {
        if let Some(view) = view {
            view.section.dereference(&self.kernel);
        }
    }

    fn connect_port(
        &self,
        thread: &Thread,
        name: &[u16],
        asked: &Asked<'_>,
        output: &mut [u8],
    ) -> Result<SystemReply, NTSTATUS> {
        let Asked { qos, view, server, info } = *asked;
        let qos = quality(qos)?;
        let object = self.port_to_connect(name)?;
        let view = match self.given_view(view) {
            Ok(view) => view,
            Err(status) => {
                object.dereference(&self.kernel);
                return Err(status);
            }
        };
        let request = Connect { qos, view: view.clone(), info, required_server: server };
        let connected = object
            .body::<Port>()
            .map(|port| lpc::connect(&self.kernel, &self.caller(thread), port, &request));
        object.dereference(&self.kernel);
        self.drop_view(view.as_ref());
        let (handle, head, info) = match connected.ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)? {
            Ok(Connected { port, client_view, server_view, max_message, info }) => {
                let handle = self.insert(port)?;
                let max_message = u32::try_from(max_message).unwrap_or(0);
                let views = views(&client_view, server_view);
                (handle, PortConnected { status: abi::STATUS_SUCCESS, max_message, views }, Some(info))
            }
            Err((status, info)) => {
                (Handle(0), PortConnected { status, max_message: 0, views: PortViews::default() }, info)
            }
        };
        let data = info.as_ref().map_or(&[][..], |info| info.data());
        let reply = wrote(output, handle, &[&head.to_bytes(), data]);
        if reply.status.is_error() && handle.0 != 0 {
            let _own = self.process.handles.close(&self.kernel, &self.process, handle.0);
        }
        if let Some(info) = info {
            info.recycle();
        }
        Ok(reply)
    }

    /// A handle to a port; takes its reference over.
    fn insert(&self, port: Arc<Object>) -> Result<Handle, NTSTATUS> {
        let inserted = self.process.handles.insert(port.clone(), abi::PORT_ALL_ACCESS);
        if inserted.is_err() {
            port.dereference(&self.kernel);
        }
        inserted.map(Handle)
    }

    fn accept_port(
        &self,
        thread: &Thread,
        message: &[u8],
        context: Option<u64>,
        view: Option<PortView>,
        output: &mut [u8],
    ) -> Result<SystemReply, NTSTATUS> {
        let message = Message::from_bytes(message)?;
        let view = self.given_view(view)?;
        let accept = context.map(|context| Accept { context, view: view.clone() });
        let accepted = lpc::accept(&self.kernel, &self.caller(thread), message, accept.as_ref());
        self.drop_view(view.as_ref());
        let Some(accepted) = accepted? else { return Ok(SystemReply::status(abi::STATUS_SUCCESS)) };
        let handle = self.insert(accepted.port.clone())?;
        if context == Some(0)
            && let Some(port) = accepted.port.body::<Port>()
        {
            lpc::set_context(&self.kernel, port, handle.0.into());
        }
        let views = views(&accepted.server_view, accepted.client_view);
        let reply = wrote(output, handle, &[&views.to_bytes()]);
        if reply.status.is_error() {
            let _own = self.process.handles.close(&self.kernel, &self.process, handle.0);
        }
        Ok(reply)
    }
}
