//! LPC ports: `NtCreatePort`, `NtConnectPort`, `NtRequestWaitReplyPort` and their kin, which answer statuses. Win32 has no names for them,
//! and Microsoft does not document them; what they do here is what the literature on the native API says (decision 35).
//!
//! Messages are PORT_MESSAGEs with their data behind them, of at most 512 bytes (Confirm: x64's limit counts the header).

use std::ffi::c_void;

use abi::NTSTATUS;
use gate::{Memory, PORT_OUTPUT, PortCall, PortConnected, PortView, PortViews, SecurityQos, SystemCall};

use crate::lent;
use crate::native::{NO_ACCESS, bits, object_name, path, quality_of};
use crate::pointer::Pointer;
use crate::session::session;
use crate::types::{HANDLE, OBJECT_ATTRIBUTES, PORT_VIEW, REMOTE_PORT_VIEW, UNICODE_STRING};

/// Bytes of a PORT_MESSAGE, and of the longest message with it.
const HEADER: usize = size_of::<abi::PORT_MESSAGE>();
const LENGTH: usize = abi::PORT_MAXIMUM_MESSAGE_LENGTH;
const SUCCESS: NTSTATUS = abi::STATUS_SUCCESS;

/// A message that the application sends, copied once.
pub(crate) struct Sent {
    bytes: [u8; LENGTH],
    length: usize,
}

impl Sent {
    /// STATUS_INVALID_PARAMETER for a TotalLength that has no room for a header, STATUS_PORT_MESSAGE_TOO_LONG for a longer message than
    /// any port takes; the rest is the kernel's to judge.
    fn read(message: Pointer<u8>) -> Result<Self, NTSTATUS> {
        let header = message.bytes(HEADER).map_err(|_| NO_ACCESS)?;
        let length = usize::from(u16::from_le_bytes([header[2], header[3]]));
        if length < HEADER {
            return Err(abi::STATUS_INVALID_PARAMETER);
        }
        if length > LENGTH {
            return Err(abi::STATUS_PORT_MESSAGE_TOO_LONG);
        }
        let mut bytes = [0; LENGTH];
        bytes[..length].copy_from_slice(message.bytes(length).map_err(|_| NO_ACCESS)?);
        // What was read first counts.
        bytes[2..4].copy_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
        Ok(Self { bytes, length })
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Where the addresses are that it gives its server, behind their number; 0 without any.
    pub(crate) fn data_info(&self) -> usize {
        u16::from_le_bytes([self.bytes[6], self.bytes[7]]).into()
    }

    /// All of it, for an address to be changed.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

/// LPC_*, of a message that has come.
fn kind(message: Pointer<u8>) -> u16 {
    message.cast::<[u16; 3]>().read().map_or(0, |[_, _, kind]| kind & 0xFF)
}

fn call(call: PortCall<'_>, output: &mut [u8]) -> Result<gate::SystemReply, NTSTATUS> {
    let reply = session()?.system_call(&SystemCall::Port(call), output);
    if reply.status.is_error() { Err(reply.status) } else { Ok(reply) }
}

fn port(handle: HANDLE) -> Result<gate::Handle, NTSTATUS> {
    handle.of_machine().map_err(|_| abi::STATUS_INVALID_HANDLE)
}

/// Writes what a call has brought, behind `front` bytes, to where the application wants its message.
fn receive(request: PortCall<'_>, front: usize, message: Pointer<u8>) -> Result<(NTSTATUS, u64), NTSTATUS> {
    // Nothing is taken from a queue that there is no place for.
    message.room(HEADER).map_err(|_| NO_ACCESS)?;
    let mut output = [0; LENGTH + 8];
    let reply = call(request, &mut output)?;
    if reply.status != SUCCESS {
        return Ok((reply.status, 0));
    }
    let length = usize::try_from(reply.information).unwrap_or(usize::MAX).min(output.len());
    let came = output[..length].get(front..).ok_or(abi::STATUS_UNSUCCESSFUL)?;
    message.room(came.len()).map_err(|_| NO_ACCESS)?.copy_from_slice(came);
    let context = output[..front].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    Ok((reply.status, context))
}

/// Makes a port that takes connections. Its name is an NT path; messages have at most `message` bytes with their header.
/// STATUS_OBJECT_NAME_COLLISION, STATUS_INVALID_PARAMETER_3 and _4 for longer messages than there are.
#[unsafe(no_mangle)]
pub extern "C" fn NtCreatePort(
    place: Pointer<HANDLE>,
    attributes: Pointer<OBJECT_ATTRIBUTES>,
    max_connection_info: u32,
    max_message: u32,
    _max_pool: u32,
) -> i32 {
    bits(create(place, attributes, [max_connection_info, max_message], false))
}

/// The same, of a port that can be waited for: it is signaled while a message is in its queue.
#[unsafe(no_mangle)]
pub extern "C" fn NtCreateWaitablePort(
    place: Pointer<HANDLE>,
    attributes: Pointer<OBJECT_ATTRIBUTES>,
    max_connection_info: u32,
    max_message: u32,
    _max_pool: u32,
) -> i32 {
    bits(create(place, attributes, [max_connection_info, max_message], true))
}

fn create(
    place: Pointer<HANDLE>,
    attributes: Pointer<OBJECT_ATTRIBUTES>,
    [max_connection_info, max_message]: [u32; 2],
    waitable: bool,
) -> Result<NTSTATUS, NTSTATUS> {
    place.write(HANDLE::NULL).map_err(|_| NO_ACCESS)?;
    let name = if attributes.is_null() { Vec::new() } else { path(attributes)? };
    let request = PortCall::Create { name: &name, max_connection_info, max_message, waitable };
    let reply = call(request, &mut [])?;
    place.write(reply.handle.into()).map_err(|_| NO_ACCESS)?;
    Ok(SUCCESS)
}

/// What a client gives and gets, besides its port.
struct Connecting {
    place: Pointer<HANDLE>,
    own: Pointer<PORT_VIEW>,
    other: Pointer<REMOTE_PORT_VIEW>,
    max_message: Pointer<u32>,
    info: Pointer<u8>,
    info_length: Pointer<u32>,
}

/// Connects to a port, and waits for its listener's answer. `qos` must be there. STATUS_OBJECT_NAME_NOT_FOUND, STATUS_PORT_CONNECTION_REFUSED
/// with the server's connection information.
#[unsafe(no_mangle)]
pub extern "C" fn NtConnectPort(
    place: Pointer<HANDLE>,
    name: Pointer<UNICODE_STRING>,
    qos: Pointer<c_void>,
    own: Pointer<PORT_VIEW>,
    other: Pointer<REMOTE_PORT_VIEW>,
    max_message: Pointer<u32>,
    info: Pointer<u8>,
    info_length: Pointer<u32>,
) -> i32 {
    let connecting = Connecting { place, own, other, max_message, info, info_length };
    bits(connect(&connecting, name, qos, Pointer::NULL))
}

/// The same, to a server whose process runs as this user only. STATUS_SERVER_SID_MISMATCH.
#[unsafe(no_mangle)]
pub extern "C" fn NtSecureConnectPort(
    place: Pointer<HANDLE>,
    name: Pointer<UNICODE_STRING>,
    qos: Pointer<c_void>,
    own: Pointer<PORT_VIEW>,
    server: Pointer<u8>,
    other: Pointer<REMOTE_PORT_VIEW>,
    max_message: Pointer<u32>,
    info: Pointer<u8>,
    info_length: Pointer<u32>,
) -> i32 {
    let connecting = Connecting { place, own, other, max_message, info, info_length };
    bits(connect(&connecting, name, qos, server))
}

fn connect(
    connecting: &Connecting,
    name: Pointer<UNICODE_STRING>,
    qos: Pointer<c_void>,
    server: Pointer<u8>,
) -> Result<NTSTATUS, NTSTATUS> {
    let &Connecting { place, own, other, max_message, info, info_length } = connecting;
    place.write(HANDLE::NULL).map_err(|_| NO_ACCESS)?;
    let name = object_name(name)?;
    let qos: SecurityQos = quality_of(qos)?.ok_or(NO_ACCESS)?;
    let server = sid(server)?;
    let room = if info_length.is_null() { 0 } else { info_length.read().map_err(|_| NO_ACCESS)? as usize };
    let given = info.bytes(room.min(LENGTH)).map_err(|_| NO_ACCESS)?;
    let all = [server, given].concat();
    let view = own_view(own)?;
    check_other(other)?;
    let sid_length = u8::try_from(server.len()).map_err(|_| abi::STATUS_INVALID_SID)?;
    let request = PortCall::Connect { name: &name, qos, view, server: sid_length, info: &all };
    let mut output = [0; PORT_OUTPUT];
    let reply = call(request, &mut output)?;
    let length = usize::try_from(reply.information).unwrap_or(usize::MAX).min(output.len());
    let (head, told) = output[..length].split_first_chunk().ok_or(abi::STATUS_UNSUCCESSFUL)?;
    let PortConnected { status, max_message: most, views } = PortConnected::from_bytes(head);
    if !info_length.is_null() {
        let told = &told[..told.len().min(room)];
        info.room(told.len()).map_err(|_| NO_ACCESS)?.copy_from_slice(told);
        info_length.write(u32::try_from(told.len()).unwrap_or(0)).map_err(|_| NO_ACCESS)?;
    }
    if status != SUCCESS || reply.handle.0 == 0 {
        return Err(status);
    }
    max_message.write_if_there(most).map_err(|_| NO_ACCESS)?;
    shown(own, other, &views)?;
    place.write(reply.handle.into()).map_err(|_| NO_ACCESS)?;
    Ok(SUCCESS)
}

/// A SID's bytes; none for NULL.
fn sid<'a>(at: Pointer<u8>) -> Result<&'a [u8], NTSTATUS> {
    if at.is_null() {
        return Ok(&[]);
    }
    let [_revision, count] = at.cast::<[u8; 2]>().read().map_err(|_| NO_ACCESS)?;
    at.bytes(8 + 4 * usize::from(count)).map_err(|_| NO_ACCESS)
}

/// STATUS_INVALID_PARAMETER for another length than the structure's.
fn own_view(at: Pointer<PORT_VIEW>) -> Result<Option<PortView>, NTSTATUS> {
    if at.is_null() {
        return Ok(None);
    }
    let PORT_VIEW { length, section, offset, size, .. } = at.read().map_err(|_| NO_ACCESS)?;
    if length as usize != size_of::<PORT_VIEW>() {
        return Err(abi::STATUS_INVALID_PARAMETER);
    }
    Ok(Some(PortView { section: port(section)?, offset, size: size as u64 }))
}

fn check_other(at: Pointer<REMOTE_PORT_VIEW>) -> Result<(), NTSTATUS> {
    if at.is_null() {
        return Ok(());
    }
    let length = at.read().map_err(|_| NO_ACCESS)?.length;
    if length as usize == size_of::<REMOTE_PORT_VIEW>() { Ok(()) } else { Err(abi::STATUS_INVALID_PARAMETER) }
}

/// Tells the application where the views are. What the host says is an address only where this process knows of a view.
fn shown(
    own: Pointer<PORT_VIEW>,
    other: Pointer<REMOTE_PORT_VIEW>,
    views: &PortViews,
) -> Result<(), NTSTATUS> {
    let &PortViews { offset, size, base, remote_base, other_size, other_base } = views;
    let known = |base: u64, size: u64| if size == 0 { Ok(()) } else { session()?.view(base, size).map(drop) };
    let word = |value: u64| usize::try_from(value).unwrap_or(0);
    if !own.is_null() {
        known(base, size)?;
        let before = own.read().map_err(|_| NO_ACCESS)?;
        let view = PORT_VIEW {
            offset: u32::try_from(offset).unwrap_or(before.offset),
            size: word(size),
            base: word(base),
            remote_base: word(remote_base),
            ..before
        };
        own.write(view).map_err(|_| NO_ACCESS)?;
    }
    if !other.is_null() {
        known(other_base, other_size)?;
        let before = other.read().map_err(|_| NO_ACCESS)?;
        let view = REMOTE_PORT_VIEW { size: word(other_size), base: word(other_base), ..before };
        other.write(view).map_err(|_| NO_ACCESS)?;
    }
    Ok(())
}

/// Waits for a connection request.
#[unsafe(no_mangle)]
pub extern "C" fn NtListenPort(handle: HANDLE, request: Pointer<u8>) -> i32 {
    bits(port(handle).and_then(|handle| Ok(receive(PortCall::Listen { handle }, 0, request)?.0)))
}

/// Accepts or refuses a connection request that this process has received; its data are information for the client, which goes on with
/// `NtCompleteConnectPort`. `context` comes with every message of the connection; NULL stands for the port's handle.
#[unsafe(no_mangle)]
pub extern "C" fn NtAcceptConnectPort(
    place: Pointer<HANDLE>,
    context: Pointer<c_void>,
    request: Pointer<u8>,
    accept: u8,
    own: Pointer<PORT_VIEW>,
    other: Pointer<REMOTE_PORT_VIEW>,
) -> i32 {
    let answer = || {
        let accept = accept != 0;
        if accept {
            place.write(HANDLE::NULL).map_err(|_| NO_ACCESS)?;
        }
        let sent = Sent::read(request)?;
        let view = if accept { own_view(own)? } else { None };
        check_other(other)?;
        let context = context.address() as u64;
        let mut output = [0; PortViews::SIZE];
        let reply = call(PortCall::Accept { message: sent.bytes(), accept, context, view }, &mut output)?;
        if accept {
            shown(own, other, &PortViews::from_bytes(&output))?;
            place.write(reply.handle.into()).map_err(|_| NO_ACCESS)?;
        }
        Ok(SUCCESS)
    };
    bits(answer())
}

/// Lets the client of an accepted connection go on.
#[unsafe(no_mangle)]
pub extern "C" fn NtCompleteConnectPort(handle: HANDLE) -> i32 {
    bits(port(handle).and_then(|handle| Ok(call(PortCall::Complete { handle }, &mut [])?.status)))
}

/// Sends a datagram. STATUS_PORT_DISCONNECTED, STATUS_PORT_MESSAGE_TOO_LONG.
#[unsafe(no_mangle)]
pub extern "C" fn NtRequestPort(handle: HANDLE, message: Pointer<u8>) -> i32 {
    let send = || {
        let (handle, sent) = (port(handle)?, Sent::read(message)?);
        Ok(call(PortCall::Request { handle, message: sent.bytes() }, &mut [])?.status)
    };
    bits(send())
}

/// Sends a request and waits for what comes: its reply, or a callback (LPC_REQUEST). Memory that it gives the server
/// (DataInfoOffset) need not be memory of `VirtualAlloc`: it has a stand-in until the reply comes.
#[unsafe(no_mangle)]
pub extern "C" fn NtRequestWaitReplyPort(handle: HANDLE, request: Pointer<u8>, reply: Pointer<u8>) -> i32 {
    let ask = || {
        let (handle, mut sent) = (port(handle)?, Sent::read(request)?);
        // What an earlier request gave it gives no more.
        lent::end(false);
        lent::lend(&mut sent)?;
        let answered = receive(PortCall::RequestWaitReply { handle, message: sent.bytes() }, 0, reply);
        settle(answered, reply)
    };
    bits(ask())
}

/// The request has its reply, unless a callback has come.
fn settle(answered: Result<(NTSTATUS, u64), NTSTATUS>, message: Pointer<u8>) -> Result<NTSTATUS, NTSTATUS> {
    match &answered {
        Ok(_) if kind(message) == abi::LPC_REQUEST => {}
        answered => lent::end(answered.is_ok()),
    }
    answered.map(|(status, _)| status)
}

/// Replies to a request. STATUS_REPLY_MESSAGE_MISMATCH when nobody waits for it.
#[unsafe(no_mangle)]
pub extern "C" fn NtReplyPort(handle: HANDLE, reply: Pointer<u8>) -> i32 {
    let send = || {
        let (handle, sent) = (port(handle)?, Sent::read(reply)?);
        Ok(call(PortCall::Reply { handle, message: sent.bytes() }, &mut [])?.status)
    };
    bits(send())
}

/// Answers a callback, and waits on for the reply to the request that it came for; what comes is written over it.
#[unsafe(no_mangle)]
pub extern "C" fn NtReplyWaitReplyPort(handle: HANDLE, reply: Pointer<u8>) -> i32 {
    let send = || {
        let (handle, sent) = (port(handle)?, Sent::read(reply)?);
        settle(receive(PortCall::ReplyWaitReply { handle, message: sent.bytes() }, 0, reply), reply)
    };
    bits(send())
}

/// Replies, if there is a reply, and waits for the next message; `context` is what its connection was accepted with.
#[unsafe(no_mangle)]
pub extern "C" fn NtReplyWaitReceivePort(
    handle: HANDLE,
    context: Pointer<usize>,
    reply: Pointer<u8>,
    message: Pointer<u8>,
) -> i32 {
    NtReplyWaitReceivePortEx(handle, context, reply, message, Pointer::NULL)
}

/// The same, waiting for at most so long, in units of 100 ns, below 0: relative to now. STATUS_TIMEOUT.
#[unsafe(no_mangle)]
pub extern "C" fn NtReplyWaitReceivePortEx(
    handle: HANDLE,
    context: Pointer<usize>,
    reply: Pointer<u8>,
    message: Pointer<u8>,
    timeout: Pointer<i64>,
) -> i32 {
    let take = || {
        let handle = port(handle)?;
        let sent = if reply.is_null() { None } else { Some(Sent::read(reply)?) };
        let timeout = if timeout.is_null() { None } else { Some(timeout.read().map_err(|_| NO_ACCESS)?) };
        context.write_if_there(0).map_err(|_| NO_ACCESS)?;
        let reply = sent.as_ref().map_or(&[][..], Sent::bytes);
        let (status, of_connection) =
            receive(PortCall::ReplyWaitReceive { handle, reply, timeout }, 8, message)?;
        let of_connection = usize::try_from(of_connection).unwrap_or(0);
        context.write_if_there(of_connection).map_err(|_| NO_ACCESS)?;
        Ok(status)
    };
    bits(take())
}

/// Copies memory that a request's client gives to `buffer`, as many bytes as both have. STATUS_REPLY_MESSAGE_MISMATCH for another message,
/// STATUS_INVALID_PARAMETER when it gives no such entry.
#[unsafe(no_mangle)]
pub extern "C" fn NtReadRequestData(
    handle: HANDLE,
    request: Pointer<u8>,
    index: u32,
    buffer: Pointer<u8>,
    size: usize,
    copied: Pointer<usize>,
) -> i32 {
    bits(copy(handle, request, size, copied, |handle, message, memory| {
        let done =
            call(PortCall::ReadRequestData { handle, message, index, buffer: memory.at(size) }, &mut [])?;
        let count = usize::try_from(done.information).unwrap_or(usize::MAX).min(size);
        memory.read(buffer.room(count).map_err(|_| NO_ACCESS)?);
        Ok(count)
    }))
}

/// Copies `buffer` to memory that a request's client gives; as [`NtReadRequestData`].
#[unsafe(no_mangle)]
pub extern "C" fn NtWriteRequestData(
    handle: HANDLE,
    request: Pointer<u8>,
    index: u32,
    buffer: Pointer<u8>,
    size: usize,
    copied: Pointer<usize>,
) -> i32 {
    bits(copy(handle, request, size, copied, |handle, message, memory| {
        memory.write(buffer.bytes(size).map_err(|_| NO_ACCESS)?);
        let buffer = memory.at(size);
        let done = call(PortCall::WriteRequestData { handle, message, index, buffer }, &mut [])?;
        Ok(usize::try_from(done.information).unwrap_or(usize::MAX).min(size))
    }))
}

/// Memory of the session, for a call.
struct InWindow(Box<dyn gate::SharedMemory>);

impl InWindow {
    fn at(&self, size: usize) -> Memory {
        Memory { address: self.0.address(), length: u32::try_from(size).unwrap_or(0) }
    }

    fn read(&self, target: &mut [u8]) {
        self.0.read(0, target);
    }

    fn write(&mut self, source: &[u8]) {
        self.0.write(0, source);
    }
}

fn copy(
    handle: HANDLE,
    request: Pointer<u8>,
    size: usize,
    copied: Pointer<usize>,
    body: impl FnOnce(gate::Handle, &[u8], &mut InWindow) -> Result<usize, NTSTATUS>,
) -> Result<NTSTATUS, NTSTATUS> {
    let handle = port(handle)?;
    copied.write_if_there(0).map_err(|_| NO_ACCESS)?;
    let sent = Sent::read(request)?;
    let length = u32::try_from(size).ok().filter(|size| *size <= u32::MAX - 4096);
    let length = length.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?.max(1).next_multiple_of(4096);
    if !session()?.is_connected() {
        return Err(abi::STATUS_DEVICE_NOT_CONNECTED);
    }
    let mut memory = InWindow(session()?.allocate_memory(length)?);
    let count = body(handle, sent.bytes(), &mut memory)?;
    copied.write_if_there(count).map_err(|_| NO_ACCESS)?;
    Ok(SUCCESS)
}

/// The calling thread acts as the client whose request this is, until `RevertToSelf`.
#[unsafe(no_mangle)]
pub extern "C" fn NtImpersonateClientOfPort(handle: HANDLE, request: Pointer<u8>) -> i32 {
    let act = || {
        let (handle, sent) = (port(handle)?, Sent::read(request)?);
        Ok(call(PortCall::ImpersonateClient { handle, message: sent.bytes() }, &mut [])?.status)
    };
    bits(act())
}

/// When the calling thread ends, or its process, the other side of the port hears of it by LPC_CLIENT_DIED.
#[unsafe(no_mangle)]
pub extern "C" fn NtRegisterThreadTerminatePort(handle: HANDLE) -> i32 {
    let register = |handle| Ok(call(PortCall::RegisterThreadTerminatePort { handle }, &mut [])?.status);
    bits(port(handle).and_then(register))
}
