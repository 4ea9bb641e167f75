//! NTDLL's calls on LPC ports.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use abi::{NTSTATUS, OBJECT_ATTRIBUTES, PORT_MESSAGE, PORT_VIEW, REMOTE_PORT_VIEW, UNICODE_STRING};
use windows_sys::Win32::Foundation::HANDLE;

use super::{Bytes, Handle, Transport};
use crate::lpc::{LENGTH, Message, Part};
use crate::security::SecurityQos;

#[link(name = "ntdll", kind = "raw-dylib")]
unsafe extern "system" {
    fn NtCreatePort(
        port: *mut HANDLE,
        attributes: *const OBJECT_ATTRIBUTES,
        max_connection_info: u32,
        max_message: u32,
        max_pool_usage: u32,
    ) -> i32;
    fn NtCreateWaitablePort(
        port: *mut HANDLE,
        attributes: *const OBJECT_ATTRIBUTES,
        max_connection_info: u32,
        max_message: u32,
        max_pool_usage: u32,
    ) -> i32;
    fn NtSecureConnectPort(
        port: *mut HANDLE,
        name: *const UNICODE_STRING,
        qos: *const abi::SECURITY_QUALITY_OF_SERVICE,
        client_view: *mut PORT_VIEW,
        server: *const c_void,
        server_view: *mut REMOTE_PORT_VIEW,
        max_message: *mut u32,
        info: *mut c_void,
        info_length: *mut u32,
    ) -> i32;
    fn NtListenPort(port: HANDLE, request: *mut PORT_MESSAGE) -> i32;
    fn NtAcceptConnectPort(
        port: *mut HANDLE,
        context: *mut c_void,
        request: *mut PORT_MESSAGE,
        accept: u8,
        server_view: *mut PORT_VIEW,
        client_view: *mut REMOTE_PORT_VIEW,
    ) -> i32;
    fn NtCompleteConnectPort(port: HANDLE) -> i32;
    fn NtRequestPort(port: HANDLE, request: *mut PORT_MESSAGE) -> i32;
    fn NtRequestWaitReplyPort(port: HANDLE, request: *mut PORT_MESSAGE, reply: *mut PORT_MESSAGE) -> i32;
    fn NtImpersonateClientOfPort(port: HANDLE, request: *mut PORT_MESSAGE) -> i32;
    fn NtRegisterThreadTerminatePort(port: HANDLE) -> i32;
    fn NtReadRequestData(
        port: HANDLE,
        message: *mut PORT_MESSAGE,
        index: u32,
        buffer: *mut c_void,
        length: usize,
        read: *mut usize,
    ) -> i32;
    fn NtWriteRequestData(
        port: HANDLE,
        message: *mut PORT_MESSAGE,
        index: u32,
        buffer: *mut c_void,
        length: usize,
        written: *mut usize,
    ) -> i32;
    fn NtReplyPort(port: HANDLE, reply: *mut PORT_MESSAGE) -> i32;
    fn NtReplyWaitReplyPort(port: HANDLE, reply: *mut PORT_MESSAGE) -> i32;
    fn NtReplyWaitReceivePortEx(
        port: HANDLE,
        context: *mut *mut c_void,
        reply: *mut PORT_MESSAGE,
        received: *mut PORT_MESSAGE,
        timeout: *const i64,
    ) -> i32;
}

fn done(status: i32) -> Result<(), NTSTATUS> {
    if status == 0 { Ok(()) } else { Err(NTSTATUS(status)) }
}

/// A message where the kernel wants it aligned.
#[repr(C, align(8))]
struct Aligned([u8; LENGTH]);

impl Aligned {
    fn of(message: &Message) -> Self {
        let mut this = Self([0; LENGTH]);
        this.0[..message.bytes().len()].copy_from_slice(message.bytes());
        this
    }

    fn pointer(&mut self) -> *mut PORT_MESSAGE {
        self.0.as_mut_ptr().cast()
    }

    fn message(&self) -> Result<Message, NTSTATUS> {
        Message::from_kernel(&self.0).ok_or(abi::STATUS_UNSUCCESSFUL)
    }
}

fn string(name: &[u16]) -> UNICODE_STRING {
    let length = u16::try_from(name.len() * 2).unwrap_or(0xFFFE);
    UNICODE_STRING { Length: length, MaximumLength: length, Buffer: name.as_ptr().cast_mut() }
}

fn port_view(part: Option<Part>) -> Option<PORT_VIEW> {
    part.map(|Part { section, offset, size }| PORT_VIEW {
        Length: u32::try_from(size_of::<PORT_VIEW>()).unwrap_or(0),
        SectionHandle: section.raw().cast(),
        SectionOffset: offset,
        ViewSize: usize::try_from(size).unwrap_or(usize::MAX),
        ViewBase: null_mut(),
        ViewRemoteBase: null_mut(),
    })
}

fn remote_view() -> REMOTE_PORT_VIEW {
    let length = u32::try_from(size_of::<REMOTE_PORT_VIEW>()).unwrap_or(0);
    REMOTE_PORT_VIEW { Length: length, ViewSize: 0, ViewBase: null_mut() }
}

fn address(pointer: *mut c_void) -> u64 {
    pointer.expose_provenance() as u64
}

pub(crate) fn create(
    _transport: &dyn Transport,
    name: &[u16],
    max_connection_info: u32,
    max_message: u32,
    waitable: bool,
) -> Result<Handle, NTSTATUS> {
    let mut name_string = string(name);
    let attributes = OBJECT_ATTRIBUTES {
        Length: u32::try_from(size_of::<OBJECT_ATTRIBUTES>()).unwrap_or(0),
        RootDirectory: null_mut(),
        ObjectName: if name.is_empty() { null_mut() } else { &raw mut name_string },
        Attributes: abi::OBJ_CASE_INSENSITIVE,
        SecurityDescriptor: null_mut(),
        SecurityQualityOfService: null_mut(),
    };
    let mut port = null_mut();
    // SAFETY: the arguments are as the native API wants them and live until it returns.
    done(unsafe {
        let create = if waitable { NtCreateWaitablePort } else { NtCreatePort };
        create(&raw mut port, &raw const attributes, max_connection_info, max_message, 0)
    })?;
    Ok(Handle::of(port))
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
    _transport: &dyn Transport,
    name: &[u16],
    qos: SecurityQos,
    part: Option<Part>,
    info: &[u8],
    server: &[u8],
) -> Result<Connected, (NTSTATUS, Vec<u8>)> {
    let name = string(name);
    let qos = abi::SECURITY_QUALITY_OF_SERVICE {
        Length: u32::try_from(size_of::<abi::SECURITY_QUALITY_OF_SERVICE>()).unwrap_or(0),
        ImpersonationLevel: qos.level as i32,
        ContextTrackingMode: u8::from(qos.context_tracking),
        EffectiveOnly: u8::from(qos.effective_only),
    };
    let mut own = port_view(part);
    let mut other = remote_view();
    let (mut port, mut max_message) = (null_mut(), 0);
    let mut buffer = [0_u8; LENGTH];
    let length = info.len().min(LENGTH);
    buffer[..length].copy_from_slice(&info[..length]);
    let mut length = u32::try_from(length).unwrap_or(0);
    // A SID is aligned as its 32-bit numbers are.
    let server: Vec<u32> = server.as_chunks().0.iter().map(|bytes| u32::from_ne_bytes(*bytes)).collect();
    let sid = if server.is_empty() { null() } else { server.as_ptr().cast() };
    // SAFETY: the arguments are as the native API wants them and live until it returns; no port takes or gives more connection
    // information than the buffer has. Without a SID it is `NtConnectPort`.
    let status = unsafe {
        NtSecureConnectPort(
            &raw mut port,
            &raw const name,
            &raw const qos,
            own.as_mut().map_or(null_mut(), std::ptr::from_mut),
            sid,
            &raw mut other,
            &raw mut max_message,
            buffer.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let info = buffer[..(length as usize).min(LENGTH)].to_vec();
    if status != 0 {
        return Err((NTSTATUS(status), info));
    }
    let (base, size, remote_base) = own
        .map_or((0, 0, 0), |own| (address(own.ViewBase), own.ViewSize as u64, address(own.ViewRemoteBase)));
    let (other_base, other_size) = (address(other.ViewBase), other.ViewSize as u64);
    let handle = Handle::of(port);
    Ok(Connected { handle, max_message, base, size, remote_base, other_base, other_size, info })
}

pub(crate) fn listen(_transport: &dyn Transport, port: Handle) -> Result<Message, NTSTATUS> {
    let mut received = Aligned([0; LENGTH]);
    // SAFETY: no message is longer than the buffer.
    done(unsafe { NtListenPort(port.raw(), received.pointer()) })?;
    received.message()
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
    _transport: &dyn Transport,
    request: &Message,
    context: u64,
    part: Option<Part>,
) -> Result<Accepted, NTSTATUS> {
    let mut request = Aligned::of(request);
    let mut own = port_view(part);
    let mut other = remote_view();
    let mut port = null_mut();
    let context = std::ptr::with_exposed_provenance_mut(usize::try_from(context).unwrap_or(0));
    let own_pointer = own.as_mut().map_or(null_mut(), std::ptr::from_mut);
    // SAFETY: the arguments are as the native API wants them and live until it returns.
    done(unsafe {
        NtAcceptConnectPort(&raw mut port, context, request.pointer(), 1, own_pointer, &raw mut other)
    })?;
    let (base, size, remote_base) = own
        .map_or((0, 0, 0), |own| (address(own.ViewBase), own.ViewSize as u64, address(own.ViewRemoteBase)));
    let (other_base, other_size) = (address(other.ViewBase), other.ViewSize as u64);
    Ok(Accepted { handle: Handle::of(port), base, size, remote_base, other_base, other_size })
}

pub(crate) fn refuse(_transport: &dyn Transport, request: &Message) -> Result<(), NTSTATUS> {
    let mut request = Aligned::of(request);
    let mut port = null_mut();
    let nothing = null_mut();
    // SAFETY: as for `accept`.
    done(unsafe { NtAcceptConnectPort(&raw mut port, null_mut(), request.pointer(), 0, null_mut(), nothing) })
}

pub(crate) fn complete(_transport: &dyn Transport, port: Handle) -> Result<(), NTSTATUS> {
    // SAFETY: a handle of this room's.
    done(unsafe { NtCompleteConnectPort(port.raw()) })
}

pub(crate) fn request(_transport: &dyn Transport, port: Handle, sent: &Message) -> Result<(), NTSTATUS> {
    let mut sent = Aligned::of(sent);
    // SAFETY: the message is as long as its header says.
    done(unsafe { NtRequestPort(port.raw(), sent.pointer()) })
}

pub(crate) fn request_wait_reply(
    _transport: &dyn Transport,
    port: Handle,
    sent: &Message,
) -> Result<Message, NTSTATUS> {
    let mut sent = Aligned::of(sent);
    let mut received = Aligned([0; LENGTH]);
    // SAFETY: the message is as long as its header says; no reply is longer than the buffer.
    done(unsafe { NtRequestWaitReplyPort(port.raw(), sent.pointer(), received.pointer()) })?;
    received.message()
}

pub(crate) fn reply(_transport: &dyn Transport, port: Handle, sent: &Message) -> Result<(), NTSTATUS> {
    let mut sent = Aligned::of(sent);
    // SAFETY: the message is as long as its header says.
    done(unsafe { NtReplyPort(port.raw(), sent.pointer()) })
}

pub(crate) fn reply_wait_reply(
    _transport: &dyn Transport,
    port: Handle,
    sent: &Message,
) -> Result<Message, NTSTATUS> {
    let mut sent = Aligned::of(sent);
    // SAFETY: the message is as long as its header says; no reply is longer than the buffer.
    done(unsafe { NtReplyWaitReplyPort(port.raw(), sent.pointer()) })?;
    sent.message()
}

/// PortContext, and the message. `STATUS_TIMEOUT` is an error here.
pub(crate) fn reply_wait_receive(
    _transport: &dyn Transport,
    port: Handle,
    reply: Option<&Message>,
    timeout: Option<i64>,
) -> Result<(u64, Message), NTSTATUS> {
    let mut reply = reply.map(Aligned::of);
    let mut received = Aligned([0; LENGTH]);
    let mut context = null_mut();
    let reply = reply.as_mut().map_or(null_mut(), Aligned::pointer);
    let timeout = timeout.as_ref().map_or(null(), std::ptr::from_ref);
    // SAFETY: the reply is as long as its header says; no message is longer than the buffer.
    done(unsafe {
        NtReplyWaitReceivePortEx(port.raw(), &raw mut context, reply, received.pointer(), timeout)
    })?;
    Ok((address(context), received.message()?))
}

pub(crate) fn impersonate_client(
    _transport: &dyn Transport,
    port: Handle,
    request: &Message,
) -> Result<(), NTSTATUS> {
    let mut request = Aligned::of(request);
    // SAFETY: the message is as long as its header says.
    done(unsafe { NtImpersonateClientOfPort(port.raw(), request.pointer()) })
}

fn place(bytes: Bytes) -> (*mut c_void, usize) {
    let address = usize::try_from(bytes.address).unwrap_or(0);
    (std::ptr::with_exposed_provenance_mut(address), usize::try_from(bytes.length).unwrap_or(0))
}

pub(crate) fn read_request_data(
    _transport: &dyn Transport,
    port: Handle,
    request: &Message,
    index: u32,
    buffer: Bytes,
) -> Result<u64, NTSTATUS> {
    let mut request = Aligned::of(request);
    let ((buffer, length), mut copied) = (place(buffer), 0);
    // SAFETY: the message is as long as its header says; the buffer is a `Memory`'s, which its caller lends.
    done(unsafe {
        NtReadRequestData(port.raw(), request.pointer(), index, buffer, length, &raw mut copied)
    })?;
    Ok(copied as u64)
}

pub(crate) fn write_request_data(
    _transport: &dyn Transport,
    port: Handle,
    request: &Message,
    index: u32,
    buffer: Bytes,
) -> Result<u64, NTSTATUS> {
    let mut request = Aligned::of(request);
    let ((buffer, length), mut copied) = (place(buffer), 0);
    // SAFETY: as for `read_request_data`.
    done(unsafe {
        NtWriteRequestData(port.raw(), request.pointer(), index, buffer, length, &raw mut copied)
    })?;
    Ok(copied as u64)
}

pub(crate) fn register_thread_terminate_port(
    _transport: &dyn Transport,
    port: Handle,
) -> Result<(), NTSTATUS> {
    // SAFETY: a handle of this room's.
    done(unsafe { NtRegisterThreadTerminatePort(port.raw()) })
}
