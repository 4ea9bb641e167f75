//! LPC ports: `ZwCreatePort`, `ZwConnectPort` and their kin, messages from and to driver memory.

use std::mem::offset_of;
use std::sync::Arc;

use abi::{NTSTATUS, PORT_VIEW, REMOTE_PORT_VIEW};
use kernel::ke::{ProcessorMode, Timeout};
use kernel::lpc::{
    self, Accept, Caller, ClientView, Connect, Connected, Copied, GivenView, HEADER, Header, Limits,
    MAX_DATA, Message, Port, Received, RemoteView, ServerBuffer,
};
use kernel::ob::{self, Object, Wanted};
use kernel::ps::Process;
use kernel::se::QualityOfService;
use kernel::{Kernel, Outcome, Unwind, raw, se};

use crate::Call;
use crate::attributes::{self, Checked};
use crate::call::status_of;
use crate::row::rows;

/// What a handle may do for kernel mode, whatever it was opened for.
const EVERY_ACCESS: u32 = u32::MAX;

/// Goes on with the value, or answers with the status.
macro_rules! checked {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(status) => return Ok(status),
        }
    };
}

/// A message in driver memory.
fn message_at(address: u64) -> Checked<Box<Message>> {
    let mut header = [0; HEADER];
    raw::copy_from(&mut header, address)?;
    let tail = address.wrapping_add(HEADER as u64);
    Message::with(Header::from_bytes(&header), |bytes| raw::copy_from(bytes, tail))
}

fn write_message(address: u64, message: Box<Message>) -> Outcome<()> {
    let written = raw::copy_to(address, &message.header.to_bytes())
        .and_then(|()| raw::copy_to(address.wrapping_add(HEADER as u64), message.tail()));
    message.recycle();
    written
}

fn process(call: Call<'_>) -> Result<Arc<Process>, NTSTATUS> {
    ob::current_process(call.kernel, call.thread)
}

/// Runs `body` with the port of a handle, as kernel code.
fn with_port<R>(
    call: Call<'_>,
    handle: u64,
    body: impl FnOnce(&Caller<'_>, &Port) -> Result<R, NTSTATUS>,
) -> Checked<R> {
    let wanted = Wanted { object_type: call.kernel.ob.type_address("Port"), ..Wanted::default() };
    let entry = match ob::reference_by_handle(call.kernel, call.thread, handle, wanted) {
        Ok(entry) => entry,
        Err(status) => return Ok(Err(status)),
    };
    with_object(call, &entry.object, body)
}

/// As [`with_port`], with a referenced object; drops the reference.
fn with_object<R>(
    call: Call<'_>,
    object: &Arc<Object>,
    body: impl FnOnce(&Caller<'_>, &Port) -> Result<R, NTSTATUS>,
) -> Checked<R> {
    let done = process(call).and_then(|process| {
        let caller = Caller { thread: call.thread, process: &process, mode: ProcessorMode::Kernel };
        let port = object.body::<Port>().ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)?;
        body(&caller, port)
    });
    object.dereference(call.kernel);
    // Whoever waited in a machine that stops has an error of its own.
    if call.kernel.is_halted() { Err(Unwind::Halt) } else { Ok(done) }
}

/// The port of a name, referenced. Kernel code is not checked.
fn named(call: Call<'_>, name: u64) -> Checked<Arc<Object>> {
    let path = call.string(name)?;
    Ok(call.kernel.ob.find(&path, false).and_then(|found| {
        if found.object.body::<Port>().is_none() || !found.rest.is_empty() {
            return Err(abi::STATUS_OBJECT_TYPE_MISMATCH);
        }
        if found.object.try_reference() { Ok(found.object) } else { Err(abi::STATUS_OBJECT_NAME_NOT_FOUND) }
    }))
}

/// A PORT_VIEW, with a reference to its section.
fn given_view(call: Call<'_>, address: u64) -> Checked<Option<GivenView>> {
    if address == 0 {
        return Ok(Ok(None));
    }
    let field = |offset: usize| address.wrapping_add(offset as u64);
    let length: u32 = raw::read(field(offset_of!(PORT_VIEW, Length)))?;
    if length as usize != size_of::<PORT_VIEW>() {
        return Ok(Err(abi::STATUS_INVALID_PARAMETER));
    }
    let handle: u64 = raw::read(field(offset_of!(PORT_VIEW, SectionHandle)))?;
    let offset: u32 = raw::read(field(offset_of!(PORT_VIEW, SectionOffset)))?;
    let size: u64 = raw::read(field(offset_of!(PORT_VIEW, ViewSize)))?;
    let wanted = Wanted { object_type: call.kernel.ob.type_address("Section"), ..Wanted::default() };
    let entry = ob::reference_by_handle(call.kernel, call.thread, handle, wanted);
    Ok(entry.map(|entry| {
        Some(GivenView { section: entry.object, granted: EVERY_ACCESS, offset: offset.into(), size })
    }))
}

fn drop_view(call: Call<'_>, view: Option<&GivenView>) {
    if let Some(view) = view {
        view.section.dereference(call.kernel);
    }
}

/// Refuses a REMOTE_PORT_VIEW of another size.
fn check_remote_view(address: u64) -> Checked<()> {
    if address == 0 {
        return Ok(Ok(()));
    }
    let length: u32 = raw::read(address.wrapping_add(offset_of!(REMOTE_PORT_VIEW, Length) as u64))?;
    let fits = length as usize == size_of::<REMOTE_PORT_VIEW>();
    Ok(if fits { Ok(()) } else { Err(abi::STATUS_INVALID_PARAMETER) })
}

#[expect(clippy::cast_possible_truncation, reason = "it came from 32 bits and was rounded down")]
fn write_view(address: u64, view: &ClientView) -> Outcome<()> {
    if address == 0 {
        return Ok(());
    }
    let field = |offset: usize| address.wrapping_add(offset as u64);
    raw::write(field(offset_of!(PORT_VIEW, SectionOffset)), view.offset as u32)?;
    raw::write(field(offset_of!(PORT_VIEW, ViewSize)), view.size)?;
    raw::write(field(offset_of!(PORT_VIEW, ViewBase)), view.base)?;
    raw::write(field(offset_of!(PORT_VIEW, ViewRemoteBase)), view.remote_base)
}

fn write_remote_view(address: u64, view: RemoteView) -> Outcome<()> {
    if address == 0 {
        return Ok(());
    }
    raw::write(address.wrapping_add(offset_of!(REMOTE_PORT_VIEW, ViewSize) as u64), view.size)?;
    raw::write(address.wrapping_add(offset_of!(REMOTE_PORT_VIEW, ViewBase) as u64), view.base)
}

/// ConnectionInformation and its length, from and to driver memory.
struct Info {
    address: u64,
    length_at: u64,
    bytes: Vec<u8>,
}

impl Info {
    fn read(address: u64, length_at: u64) -> Outcome<Self> {
        if address == 0 || length_at == 0 {
            return Ok(Self { address: 0, length_at: 0, bytes: Vec::new() });
        }
        let length: u32 = raw::read(length_at)?;
        // No port takes more.
        let mut bytes = vec![0; (length as usize).min(MAX_DATA)];
        raw::copy_from(&mut bytes, address)?;
        Ok(Self { address, length_at, bytes })
    }

    /// As much as the caller's buffer holds.
    fn write(&self, message: &Message) -> Outcome<()> {
        if self.address == 0 {
            return Ok(());
        }
        let data = message.data();
        let data = &data[..data.len().min(self.bytes.len())];
        raw::copy_to(self.address, data)?;
        raw::write(self.length_at, u32::try_from(data.len()).unwrap_or(0))
    }
}

/// Where `ZwConnectPort` finds and puts things.
struct Connecting {
    handle: u64,
    name: u64,
    qos: u64,
    client_view: u64,
    required_server: u64,
    server_view: u64,
    max_message_length: u64,
    information: u64,
    information_length: u64,
}

fn connect(call: Call<'_>, at: &Connecting) -> Outcome<NTSTATUS> {
    let qos = checked!(QualityOfService::read(at.qos)?);
    checked!(check_remote_view(at.server_view)?);
    let info = Info::read(at.information, at.information_length)?;
    let required_server = match at.required_server {
        0 => None,
        sid => Some(checked!(se::read_sid(sid)?.ok_or(abi::STATUS_INVALID_SID))),
    };
    let view = checked!(given_view(call, at.client_view)?);
    let found = match named(call, at.name) {
        Ok(Ok(found)) => found,
        other => {
            drop_view(call, view.as_ref());
            return other.map(|status| status.err().unwrap_or(abi::STATUS_SUCCESS));
        }
    };
    let request = Connect { qos, view: view.clone(), info: &info.bytes, required_server };
    let connected =
        with_object(call, &found, |caller, port| Ok(lpc::connect(call.kernel, caller, port, &request)));
    drop_view(call, view.as_ref());
    match checked!(connected?) {
        Ok(connected) => connected_to(call, at, &info, connected),
        Err((status, refusal)) => {
            if let Some(refusal) = refusal {
                info.write(&refusal)?;
                refusal.recycle();
            }
            Ok(status)
        }
    }
}

fn connected_to(call: Call<'_>, at: &Connecting, info: &Info, connected: Connected) -> Outcome<NTSTATUS> {
    let Connected { port, client_view, server_view, max_message, info: answer } = connected;
    let opened = ob::open_handle(call.kernel, call.thread, &port, abi::PORT_ALL_ACCESS, 0);
    let handle = checked!(opened);
    raw::write(at.handle, handle)?;
    write_view(at.client_view, &client_view)?;
    write_remote_view(at.server_view, server_view)?;
    if at.max_message_length != 0 {
        raw::write(at.max_message_length, u32::try_from(max_message).unwrap_or(0))?;
    }
    info.write(&answer)?;
    answer.recycle();
    Ok(abi::STATUS_SUCCESS)
}

/// Writes what was received, or answers with why nothing was.
fn received(received: Result<Received, NTSTATUS>, context_at: u64, message_at: u64) -> Outcome<NTSTATUS> {
    let Received { message, context } = checked!(received);
    if context_at != 0 {
        raw::write(context_at, context)?;
    }
    write_message(message_at, message).map(|()| abi::STATUS_SUCCESS)
}

fn answered(reply: Result<Box<Message>, NTSTATUS>, message_at: u64) -> Outcome<NTSTATUS> {
    write_message(message_at, checked!(reply)).map(|()| abi::STATUS_SUCCESS)
}

fn reply_wait_receive(
    call: Call<'_>,
    port: u64,
    context_at: u64,
    reply: u64,
    receive_at: u64,
    timeout: Timeout,
) -> Outcome<NTSTATUS> {
    let kernel = call.kernel;
    let taken = match reply {
        0 => with_port(call, port, |caller, port| lpc::receive(kernel, caller, port, timeout))?,
        reply => {
            let reply = checked!(message_at(reply)?);
            with_port(call, port, |caller, port| {
                lpc::reply_wait_receive(kernel, caller, port, reply, timeout)
            })?
        }
    };
    received(taken, context_at, receive_at)
}

/// Where `ZwReadRequestData` and `ZwWriteRequestData` find and put things.
struct RequestData {
    port: u64,
    message: u64,
    index: u32,
    buffer: ServerBuffer,
    /// For the number of bytes; may be 0.
    done_at: u64,
}

fn copy_request_data(call: Call<'_>, at: &RequestData, copied: Copied) -> Outcome<NTSTATUS> {
    let mut header = [0; HEADER];
    raw::copy_from(&mut header, at.message)?;
    let header = Header::from_bytes(&header);
    let done = with_port(call, at.port, |caller, port| {
        lpc::copy_request_data(call.kernel, caller, port, &header, at.index, at.buffer, copied)
    })?;
    let done = checked!(done);
    if at.done_at != 0 {
        raw::write(at.done_at, done)?;
    }
    Ok(abi::STATUS_SUCCESS)
}

type Make = fn(&Kernel, &Process, Limits) -> Result<Arc<Object>, NTSTATUS>;

/// `lengths` in bytes: of connection information, and of a message with its header.
fn create(
    call: Call<'_>,
    port_handle: u64,
    object_attributes: u64,
    lengths: [u32; 2],
    make: Make,
) -> Outcome<NTSTATUS> {
    let attributes = checked!(attributes::read(call, object_attributes)?);
    let [connection_info, message] = lengths.map(|length| length as usize);
    let limits = Limits { connection_info, message };
    let object = checked!(process(call).and_then(|process| make(call.kernel, &process, limits)));
    attributes::create::<Port>(call, port_handle, abi::PORT_ALL_ACCESS, &attributes, &object)
}

/// A port at an address, as `ObReferenceObjectByHandle` or `ObReferenceObjectByName` returned it, with a reference.
fn port_at(call: Call<'_>, address: u64) -> Result<Arc<Object>, NTSTATUS> {
    let object = call.kernel.ob.by_address(address).ok_or(abi::STATUS_INVALID_PARAMETER)?;
    if object.body::<Port>().is_none() {
        return Err(abi::STATUS_OBJECT_TYPE_MISMATCH);
    }
    if object.try_reference() { Ok(object) } else { Err(abi::STATUS_INVALID_PARAMETER) }
}

rows! {
    dll = "ntoskrnl.exe";

    /// Makes a port that takes connections. MaxPoolUsage is not looked at.
    irql(PASSIVE_LEVEL) alias("NtCreatePort")
    fn ZwCreatePort(
        call,
        port_handle: u64,
        object_attributes: u64,
        max_connection_info_length: u32,
        max_message_length: u32,
        _max_pool_usage: u32
    ) -> NTSTATUS {
        let lengths = [max_connection_info_length, max_message_length];
        create(call, port_handle, object_attributes, lengths, lpc::create_port)
    }

    /// As ZwCreatePort: a port that can be waited for, and is signaled while a message is in its queue.
    irql(PASSIVE_LEVEL) alias("NtCreateWaitablePort")
    fn ZwCreateWaitablePort(
        call,
        port_handle: u64,
        object_attributes: u64,
        max_connection_info_length: u32,
        max_message_length: u32,
        _max_pool_usage: u32
    ) -> NTSTATUS {
        let lengths = [max_connection_info_length, max_message_length];
        create(call, port_handle, object_attributes, lengths, lpc::create_waitable_port)
    }

    /// Connects to a port by name and waits for its listener's answer.
    irql(PASSIVE_LEVEL) alias("NtConnectPort")
    fn ZwConnectPort(
        call,
        port_handle: u64,
        port_name: u64,
        security_qos: u64,
        client_view: u64,
        server_view: u64,
        max_message_length: u64,
        connection_information: u64,
        connection_information_length: u64
    ) -> NTSTATUS {
        connect(call, &Connecting {
            handle: port_handle,
            name: port_name,
            qos: security_qos,
            client_view,
            required_server: 0,
            server_view,
            max_message_length,
            information: connection_information,
            information_length: connection_information_length,
        })
    }

    /// As ZwConnectPort, to a server of this user only.
    irql(PASSIVE_LEVEL) alias("NtSecureConnectPort")
    fn ZwSecureConnectPort(
        call,
        port_handle: u64,
        port_name: u64,
        security_qos: u64,
        client_view: u64,
        required_server_sid: u64,
        server_view: u64,
        max_message_length: u64,
        connection_information: u64,
        connection_information_length: u64
    ) -> NTSTATUS {
        connect(call, &Connecting {
            handle: port_handle,
            name: port_name,
            qos: security_qos,
            client_view,
            required_server: required_server_sid,
            server_view,
            max_message_length,
            information: connection_information,
            information_length: connection_information_length,
        })
    }

    /// Waits for a connection request.
    irql(PASSIVE_LEVEL) alias("NtListenPort")
    fn ZwListenPort(call, port_handle: u64, connection_request: u64) -> NTSTATUS {
        let taken = with_port(call, port_handle, |caller, port| lpc::listen(call.kernel, caller, port))?;
        received(taken, 0, connection_request)
    }

    /// Accepts or refuses a connection request that was received.
    irql(PASSIVE_LEVEL) alias("NtAcceptConnectPort")
    fn ZwAcceptConnectPort(
        call,
        port_handle: u64,
        port_context: u64,
        connection_request: u64,
        accept_connection: u8,
        server_view: u64,
        client_view: u64
    ) -> NTSTATUS {
        let message = checked!(message_at(connection_request)?);
        checked!(check_remote_view(client_view)?);
        let process = checked!(process(call));
        let view = checked!(given_view(call, server_view)?);
        let caller = Caller { thread: call.thread, process: &process, mode: ProcessorMode::Kernel };
        let accept = Accept { context: port_context, view: view.clone() };
        let accept = (accept_connection != 0).then_some(&accept);
        let accepted = lpc::accept(call.kernel, &caller, message, accept);
        drop_view(call, view.as_ref());
        let Some(accepted) = checked!(accepted) else { return Ok(abi::STATUS_SUCCESS) };
        let port = accepted.port;
        let handle = checked!(ob::open_handle(call.kernel, call.thread, &port, abi::PORT_ALL_ACCESS, 0));
        if port_context == 0 && let Some(port) = port.body::<Port>() {
            lpc::set_context(call.kernel, port, handle);
        }
        raw::write(port_handle, handle)?;
        write_view(server_view, &accepted.server_view)?;
        write_remote_view(client_view, accepted.client_view)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Lets the client of an accepted connection go on.
    irql(PASSIVE_LEVEL) alias("NtCompleteConnectPort")
    fn ZwCompleteConnectPort(call, port_handle: u64) -> NTSTATUS {
        let done = with_port(call, port_handle, |_, port| lpc::complete(call.kernel, port))?;
        Ok(status_of(done))
    }

    /// Sends a message that is not replied to.
    irql(PASSIVE_LEVEL) alias("NtRequestPort")
    fn ZwRequestPort(call, port_handle: u64, request_message: u64) -> NTSTATUS {
        let message = checked!(message_at(request_message)?);
        let sent =
            with_port(call, port_handle, |caller, port| lpc::request(call.kernel, caller, port, message))?;
        Ok(status_of(sent))
    }

    /// Sends a message and waits for the reply, or for a callback.
    irql(PASSIVE_LEVEL) alias("NtRequestWaitReplyPort")
    fn ZwRequestWaitReplyPort(call, port_handle: u64, request_message: u64, reply_message: u64) -> NTSTATUS {
        let message = checked!(message_at(request_message)?);
        let reply = with_port(call, port_handle, |caller, port| {
            lpc::request_wait_reply(call.kernel, caller, port, message)
        })?;
        answered(reply, reply_message)
    }

    /// Replies to a request.
    irql(PASSIVE_LEVEL) alias("NtReplyPort")
    fn ZwReplyPort(call, port_handle: u64, reply_message: u64) -> NTSTATUS {
        let message = checked!(message_at(reply_message)?);
        let sent =
            with_port(call, port_handle, |caller, port| lpc::reply(call.kernel, caller, port, message))?;
        Ok(status_of(sent))
    }

    /// Replies to a callback and waits on for the reply to one's own request.
    irql(PASSIVE_LEVEL) alias("NtReplyWaitReplyPort")
    fn ZwReplyWaitReplyPort(call, port_handle: u64, reply_message: u64) -> NTSTATUS {
        let message = checked!(message_at(reply_message)?);
        let reply = with_port(call, port_handle, |caller, port| {
            lpc::reply_wait_reply(call.kernel, caller, port, message)
        })?;
        answered(reply, reply_message)
    }

    /// Replies, if there is something to reply to, and waits for a message.
    irql(PASSIVE_LEVEL) alias("NtReplyWaitReceivePort")
    fn ZwReplyWaitReceivePort(
        call,
        port_handle: u64,
        port_context: u64,
        reply_message: u64,
        receive_message: u64
    ) -> NTSTATUS {
        reply_wait_receive(call, port_handle, port_context, reply_message, receive_message, Timeout::Never)
    }

    /// As ZwReplyWaitReceivePort, for so long.
    irql(PASSIVE_LEVEL) alias("NtReplyWaitReceivePortEx")
    fn ZwReplyWaitReceivePortEx(
        call,
        port_handle: u64,
        port_context: u64,
        reply_message: u64,
        receive_message: u64,
        timeout: u64
    ) -> NTSTATUS {
        let timeout = Timeout::read(timeout)?;
        reply_wait_receive(call, port_handle, port_context, reply_message, receive_message, timeout)
    }

    /// Lets the calling thread act as the client whose request was received.
    irql(PASSIVE_LEVEL) alias("NtImpersonateClientOfPort")
    fn ZwImpersonateClientOfPort(call, port_handle: u64, message: u64) -> NTSTATUS {
        let mut header = [0; HEADER];
        raw::copy_from(&mut header, message)?;
        let header = Header::from_bytes(&header);
        let done = with_port(call, port_handle, |caller, port| {
            lpc::impersonate_client(call.kernel, caller, port, &header)
        })?;
        Ok(status_of(done))
    }

    /// Copies what a request gives from its client's memory.
    irql(PASSIVE_LEVEL) alias("NtReadRequestData")
    fn ZwReadRequestData(
        call,
        port_handle: u64,
        message: u64,
        data_entry_index: u32,
        buffer: u64,
        buffer_size: u64,
        bytes_read: u64
    ) -> NTSTATUS {
        let buffer = ServerBuffer { address: buffer, length: buffer_size };
        let (port, index, done_at) = (port_handle, data_entry_index, bytes_read);
        copy_request_data(call, &RequestData { port, message, index, buffer, done_at }, Copied::FromClient)
    }

    /// Copies to what a request gives, in its client's memory.
    irql(PASSIVE_LEVEL) alias("NtWriteRequestData")
    fn ZwWriteRequestData(
        call,
        port_handle: u64,
        message: u64,
        data_entry_index: u32,
        buffer: u64,
        buffer_size: u64,
        bytes_written: u64
    ) -> NTSTATUS {
        let buffer = ServerBuffer { address: buffer, length: buffer_size };
        let (port, index, done_at) = (port_handle, data_entry_index, bytes_written);
        copy_request_data(call, &RequestData { port, message, index, buffer, done_at }, Copied::ToClient)
    }

    /// Says nothing of a port: its only class, PortBasicInformation, is empty (Confirm: that this is a success, and what it writes).
    irql(PASSIVE_LEVEL) alias("NtQueryInformationPort")
    fn ZwQueryInformationPort(
        call,
        port_handle: u64,
        information_class: i32,
        _information: u64,
        _length: u32,
        return_length: u64
    ) -> NTSTATUS {
        checked!(with_port(call, port_handle, |_, _| Ok(()))?);
        if information_class != 0 {
            return Ok(abi::STATUS_INVALID_INFO_CLASS);
        }
        if return_length != 0 {
            raw::write(return_length, 0_u32)?;
        }
        Ok(abi::STATUS_SUCCESS)
    }

    /// Sends a message that is not replied to, through a port's object.
    irql(PASSIVE_LEVEL)
    fn LpcRequestPort(call, port: u64, request_message: u64) -> NTSTATUS {
        let message = checked!(message_at(request_message)?);
        let object = checked!(port_at(call, port));
        let sent =
            with_object(call, &object, |caller, port| lpc::request(call.kernel, caller, port, message))?;
        Ok(status_of(sent))
    }

    /// Sends a message through a port's object and waits for the reply.
    irql(PASSIVE_LEVEL)
    fn LpcRequestWaitReplyPort(call, port: u64, request_message: u64, reply_message: u64) -> NTSTATUS {
        let message = checked!(message_at(request_message)?);
        let object = checked!(port_at(call, port));
        let reply = with_object(call, &object, |caller, port| {
            lpc::request_wait_reply(call.kernel, caller, port, message)
        })?;
        answered(reply, reply_message)
    }
}
