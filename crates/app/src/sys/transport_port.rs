//! Calls on LPC ports as requests of a Ringbridge machine.

use abi::NTSTATUS;
use gate::{Memory, PORT_OUTPUT, PortCall, PortConnected, PortView, PortViews, SystemCall, SystemReply};

use super::{Bytes, Handle, Transport};
use crate::lpc::{LENGTH, Message, Part};
use crate::security::SecurityQos;

fn call(transport: &dyn Transport, call: PortCall<'_>, output: &mut [u8]) -> SystemReply {
    transport.system_call(&SystemCall::Port(call), output)
}

fn done(status: NTSTATUS) -> Result<(), NTSTATUS> {
    if status == abi::STATUS_SUCCESS { Ok(()) } else { Err(status) }
}

fn simple(transport: &dyn Transport, port: PortCall<'_>) -> Result<(), NTSTATUS> {
    done(call(transport, port, &mut []).status)
}

/// What a call has written, behind `front` bytes.
fn message(transport: &dyn Transport, port: PortCall<'_>, front: usize) -> Result<(u64, Message), NTSTATUS> {
    let mut output = [0; LENGTH + 8];
    let reply = call(transport, port, &mut output);
    done(reply.status)?;
    let length = usize::try_from(reply.information).unwrap_or(usize::MAX).min(output.len());
    let (head, rest) = output[..length].split_at_checked(front).ok_or(abi::STATUS_UNSUCCESSFUL)?;
    let context = head.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    Ok((context, Message::from_kernel(rest).ok_or(abi::STATUS_UNSUCCESSFUL)?))
}

fn view(part: Option<Part>) -> Option<PortView> {
    part.map(|Part { section, offset, size }| PortView { section, offset, size })
}

pub(crate) fn create(
    transport: &dyn Transport,
    name: &[u16],
    max_connection_info: u32,
    max_message: u32,
    waitable: bool,
) -> Result<Handle, NTSTATUS> {
    let request = PortCall::Create { name, max_connection_info, max_message, waitable };
    let reply = call(transport, request, &mut []);
    done(reply.status).map(|()| reply.handle)
}

/// What `NtConnectPort` gives.
pub(crate) struct Connected {
    pub(crate) handle: Handle,
    pub(crate) max_message: u32,
    /// Of the own view.
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) remote_base: u64,
    pub(crate) other_base: u64,
    pub(crate) other_size: u64,
    pub(crate) info: Vec<u8>,
}

/// A refusal has information too.
pub(crate) fn connect(
    transport: &dyn Transport,
    name: &[u16],
    qos: SecurityQos,
    part: Option<Part>,
    info: &[u8],
    server: &[u8],
) -> Result<Connected, (NTSTATUS, Vec<u8>)> {
    let SecurityQos { level, context_tracking, effective_only } = qos;
    let qos = gate::SecurityQos { level: level.value(), dynamic_tracking: context_tracking, effective_only };
    let mut output = [0; PORT_OUTPUT];
    let (sid, all) = (u8::try_from(server.len()).unwrap_or(u8::MAX), [server, info].concat());
    let request = PortCall::Connect { name, qos, view: view(part), server: sid, info: &all };
    let reply = call(transport, request, &mut output);
    let length = usize::try_from(reply.information).unwrap_or(usize::MAX).min(output.len());
    done(reply.status).map_err(|status| (status, Vec::new()))?;
    let Some((head, info)) = output[..length].split_first_chunk() else {
        return Err((abi::STATUS_UNSUCCESSFUL, Vec::new()));
    };
    let PortConnected { status, max_message, views } = PortConnected::from_bytes(head);
    if status != abi::STATUS_SUCCESS || reply.handle.0 == 0 {
        return Err((status, info.to_vec()));
    }
    let PortViews { size, base, remote_base, other_size, other_base, .. } = views;
    let (handle, info) = (reply.handle, info.to_vec());
    Ok(Connected { handle, max_message, base, size, remote_base, other_base, other_size, info })
}

pub(crate) fn listen(transport: &dyn Transport, port: Handle) -> Result<Message, NTSTATUS> {
    message(transport, PortCall::Listen { handle: port }, 0).map(|(_, message)| message)
}

/// What `NtAcceptConnectPort` gives.
pub(crate) struct Accepted {
    pub(crate) handle: Handle,
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) remote_base: u64,
    pub(crate) other_base: u64,
    pub(crate) other_size: u64,
}

pub(crate) fn accept(
    transport: &dyn Transport,
    request: &Message,
    context: u64,
    part: Option<Part>,
) -> Result<Accepted, NTSTATUS> {
    let mut output = [0; PortViews::SIZE];
    let request = PortCall::Accept { message: request.bytes(), accept: true, context, view: view(part) };
    let reply = call(transport, request, &mut output);
    done(reply.status)?;
    let PortViews { size, base, remote_base, other_size, other_base, .. } = PortViews::from_bytes(&output);
    Ok(Accepted { handle: reply.handle, base, size, remote_base, other_base, other_size })
}

pub(crate) fn refuse(transport: &dyn Transport, request: &Message) -> Result<(), NTSTATUS> {
    let message = request.bytes();
    simple(transport, PortCall::Accept { message, accept: false, context: 0, view: None })
}

pub(crate) fn complete(transport: &dyn Transport, port: Handle) -> Result<(), NTSTATUS> {
    simple(transport, PortCall::Complete { handle: port })
}

pub(crate) fn request(transport: &dyn Transport, port: Handle, sent: &Message) -> Result<(), NTSTATUS> {
    simple(transport, PortCall::Request { handle: port, message: sent.bytes() })
}

pub(crate) fn request_wait_reply(
    transport: &dyn Transport,
    port: Handle,
    sent: &Message,
) -> Result<Message, NTSTATUS> {
    let request = PortCall::RequestWaitReply { handle: port, message: sent.bytes() };
    message(transport, request, 0).map(|(_, message)| message)
}

pub(crate) fn reply(transport: &dyn Transport, port: Handle, sent: &Message) -> Result<(), NTSTATUS> {
    simple(transport, PortCall::Reply { handle: port, message: sent.bytes() })
}

pub(crate) fn reply_wait_reply(
    transport: &dyn Transport,
    port: Handle,
    sent: &Message,
) -> Result<Message, NTSTATUS> {
    let request = PortCall::ReplyWaitReply { handle: port, message: sent.bytes() };
    message(transport, request, 0).map(|(_, message)| message)
}

/// PortContext, and the message. `STATUS_TIMEOUT` is an error here.
pub(crate) fn reply_wait_receive(
    transport: &dyn Transport,
    port: Handle,
    reply: Option<&Message>,
    timeout: Option<i64>,
) -> Result<(u64, Message), NTSTATUS> {
    let reply = reply.map_or(&[][..], Message::bytes);
    message(transport, PortCall::ReplyWaitReceive { handle: port, reply, timeout }, 8)
}

pub(crate) fn impersonate_client(
    transport: &dyn Transport,
    port: Handle,
    request: &Message,
) -> Result<(), NTSTATUS> {
    simple(transport, PortCall::ImpersonateClient { handle: port, message: request.bytes() })
}

fn counted(transport: &dyn Transport, port: PortCall<'_>) -> Result<u64, NTSTATUS> {
    let reply = call(transport, port, &mut []);
    done(reply.status).map(|()| reply.information)
}

pub(crate) fn read_request_data(
    transport: &dyn Transport,
    port: Handle,
    request: &Message,
    index: u32,
    Bytes { address, length }: Bytes,
) -> Result<u64, NTSTATUS> {
    let (message, buffer) = (request.bytes(), Memory { address, length });
    counted(transport, PortCall::ReadRequestData { handle: port, message, index, buffer })
}

pub(crate) fn write_request_data(
    transport: &dyn Transport,
    port: Handle,
    request: &Message,
    index: u32,
    Bytes { address, length }: Bytes,
) -> Result<u64, NTSTATUS> {
    let (message, buffer) = (request.bytes(), Memory { address, length });
    counted(transport, PortCall::WriteRequestData { handle: port, message, index, buffer })
}

pub(crate) fn register_thread_terminate_port(
    transport: &dyn Transport,
    port: Handle,
) -> Result<(), NTSTATUS> {
    simple(transport, PortCall::RegisterThreadTerminatePort { handle: port })
}
