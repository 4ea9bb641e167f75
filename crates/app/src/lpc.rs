//! LPC ports: NT's own calls, which Win32 has no names for. Errors are NT's statuses.
//!
//! One side creates a [`Port`] by name, receives connection requests and accepts them; the other connects. Either can be an
//! application or a driver. Messages are short; long data goes into a [`FileMapping`] that one side shows the other.
//!
//! Microsoft does not document these calls; what they do here is what the literature on the native API says.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use abi::NTSTATUS;

use crate::buffer::Buffer;
use crate::file_mapping::FileMapping;
use crate::security::SecurityQos;
use crate::security::Sid;
use crate::sys::{self, Handle, Transport};
use crate::view::View;
use crate::wait::Waitable;

/// Bytes of the longest message, with its header.
pub(crate) const LENGTH: usize = abi::PORT_MAXIMUM_MESSAGE_LENGTH;
/// Bytes of its header (PORT_MESSAGE).
const HEADER: usize = size_of::<abi::PORT_MESSAGE>();
/// Bytes of data in the longest message.
pub const MAX_DATA: usize = LENGTH - HEADER;
/// Bytes of a PORT_DATA_INFORMATION before its entries, and of an entry.
const INFO_HEAD: usize = 8;
const INFO_ENTRY: usize = 16;

/// A message: PORT_MESSAGE and its data.
#[derive(Clone)]
pub struct Message {
    bytes: [u8; LENGTH],
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Message")
            .field("kind", &self.kind())
            .field("id", &self.id())
            .field("process", &self.process_id())
            .field("data", &self.data())
            .finish_non_exhaustive()
    }
}

impl Message {
    /// One to be sent, with these data.
    ///
    /// # Panics
    /// For more than [`MAX_DATA`] bytes.
    #[must_use]
    pub fn new(data: &[u8]) -> Self {
        let mut this = Self { bytes: [0; LENGTH] };
        this.set_data(data);
        this
    }

    /// The reply to this message, with these data: what says whose reply it is stays.
    ///
    /// # Panics
    /// For more than [`MAX_DATA`] bytes.
    #[must_use]
    pub fn reply(&self, data: &[u8]) -> Self {
        let mut this = self.clone();
        this.set_data(data);
        this
    }

    /// A callback: a request to whoever waits for the reply to this message, who is to answer it by [`Port::reply_wait_reply`].
    ///
    /// # Panics
    /// For more than [`MAX_DATA`] bytes.
    #[must_use]
    pub fn callback(&self, data: &[u8]) -> Self {
        let mut this = self.reply(data);
        this.set_half(4, abi::LPC_REQUEST);
        this
    }

    /// One that gives the server buffers: a PORT_DATA_INFORMATION, and behind it the data.
    fn giving(data: &[u8], buffers: &[Buffer]) -> Self {
        let mut all = Vec::with_capacity(INFO_HEAD + buffers.len() * INFO_ENTRY + data.len());
        all.extend((buffers.len() as u64).to_le_bytes());
        for buffer in buffers {
            all.extend(buffer.address().to_le_bytes());
            all.extend(u64::from(buffer.len()).to_le_bytes());
        }
        all.extend(data);
        let mut this = Self::new(&all);
        this.set_half(6, u16::try_from(HEADER).unwrap_or(0));
        this
    }

    fn set_data(&mut self, data: &[u8]) {
        self.bytes[HEADER..HEADER + data.len()].copy_from_slice(data);
        let half = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        self.set_half(0, half(data.len()));
        self.set_half(2, half(data.len() + HEADER));
        self.set_half(6, 0);
    }

    fn set_half(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    /// What a call has returned, if it is as long as it says.
    pub(crate) fn from_kernel(bytes: &[u8]) -> Option<Self> {
        let mut this = Self { bytes: [0; LENGTH] };
        let length = bytes.len().min(LENGTH);
        this.bytes[..length].copy_from_slice(&bytes[..length]);
        let (total, data) = (usize::from(this.half(2)), usize::from(this.half(0)));
        (total >= HEADER && total <= length && data <= total - HEADER).then_some(this)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.half(2)).clamp(HEADER, LENGTH)]
    }

    fn half(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    fn word(&self, at: usize) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|index| self.bytes[at + index]))
    }

    /// LPC_REQUEST, LPC_DATAGRAM, LPC_CONNECTION_REQUEST, LPC_PORT_CLOSED, …
    #[must_use]
    pub fn kind(&self) -> u16 {
        self.half(4)
    }

    /// MessageId: a reply has its request's.
    #[must_use]
    pub fn id(&self) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|index| self.bytes[0x18 + index]))
    }

    /// The process that has sent it, as the kernel vouches for.
    #[must_use]
    pub fn process_id(&self) -> u64 {
        self.word(8)
    }

    /// The thread that has sent it.
    #[must_use]
    pub fn thread_id(&self) -> u64 {
        self.word(0x10)
    }

    /// Its data. Where its sender's buffers are, when that comes first ([`Port::request_with_buffers`]), is none of them.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        let data = &self.bytes[HEADER..][..usize::from(self.half(0)).min(MAX_DATA)];
        let count = u32::from_le_bytes(std::array::from_fn(|index| self.bytes[HEADER + index])) as usize;
        match usize::from(self.half(6)) {
            HEADER => data.get(count.saturating_mul(INFO_ENTRY).saturating_add(INFO_HEAD)..).unwrap_or(data),
            _ => data,
        }
    }
}

/// A part of a file mapping to be shown to the other end.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Which; it may be closed when the call has returned.
    pub mapping: &'a FileMapping<'a>,
    /// Bytes, a multiple of 64 KiB.
    pub offset: u32,
    /// Bytes; 0 for all up to the mapping's end.
    pub size: u64,
}

impl Shown<'_> {
    fn part(shown: Option<Shown<'_>>) -> Option<Part> {
        shown.map(|Shown { mapping, offset, size }| Part { section: mapping.handle(), offset, size })
    }
}

/// As `sys` has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) section: Handle,
    pub(crate) offset: u32,
    pub(crate) size: u64,
}

/// What a connection shows this process; it ends with the connection's port.
#[derive(Debug, Default)]
pub struct Views {
    /// What this end shows the other.
    pub own: Option<View>,
    /// Where the other end sees that, which is of use in messages.
    pub remote_address: u64,
    /// What the other end shows.
    pub other: Option<View>,
}

impl Views {
    fn new(
        transport: &dyn Transport,
        [own, own_size, remote_address, other, other_size]: [u64; 5],
    ) -> Result<Self, NTSTATUS> {
        let view = |base: u64, size: u64| match size {
            0 => Ok(None),
            size => View::new(transport, base, size).map(Some).map_err(|error| error.status),
        };
        Ok(Self { own: view(own, own_size)?, remote_address, other: view(other, other_size)? })
    }
}

/// What a client gets.
#[derive(Debug)]
pub struct Connection<'a> {
    /// Its end of the connection.
    pub port: Port<'a>,
    /// Bytes of data in a message, at most.
    pub max_data: usize,
    /// What both ends show.
    pub views: Views,
    /// The server's connection information.
    pub info: Vec<u8>,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// STATUS_PORT_CONNECTION_REFUSED, or what else is wrong.
    pub status: NTSTATUS,
    /// What the server has to say about it.
    pub info: Vec<u8>,
}

/// What a server gets.
#[derive(Debug)]
pub struct Accepted<'a> {
    /// Its end of the connection.
    pub port: Port<'a>,
    /// What both ends show.
    pub views: Views,
}

/// A message, and the connection that it came by.
#[derive(Clone, Debug)]
pub struct Received {
    /// It.
    pub message: Message,
    /// What [`Port::accept`] gave the connection; nothing for connection requests.
    pub context: u64,
}

/// A port. Dropping it closes its handle: the other end's waits end, and a server hears of its client's end by LPC_PORT_CLOSED.
pub struct Port<'a> {
    transport: &'a dyn Transport,
    handle: Handle,
}

impl fmt::Debug for Port<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Port").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// One that was made by [`Port::create_waitable`]; waits for others fail with ERROR_INVALID_HANDLE (6).
impl Waitable for Port<'_> {
    fn wait_handle(&self) -> Handle {
        self.handle
    }
}

/// As NT wants it: in units of 100 ns, negative for relative times.
fn relative(timeout: Option<Duration>) -> Option<i64> {
    timeout.map(|time| -i64::try_from(time.as_nanos().div_ceil(100)).unwrap_or(i64::MAX))
}

fn wide(name: &str) -> Vec<u16> {
    name.encode_utf16().collect()
}

impl<'a> Port<'a> {
    /// `NtCreatePort`: a port that takes connections. `name` is an NT path, `\RPC Control\Name` or `\BaseNamedObjects\Name`; `max_info`
    /// and `max_data` are the bytes of connection information and of data in a message, at most [`MAX_DATA`].
    ///
    /// # Errors
    /// STATUS_OBJECT_NAME_COLLISION, STATUS_OBJECT_PATH_NOT_FOUND, STATUS_ACCESS_DENIED for the name; STATUS_INVALID_PARAMETER_3, _4
    /// for longer messages.
    pub fn create(
        transport: &'a dyn Transport,
        name: &str,
        max_info: usize,
        max_data: usize,
    ) -> Result<Self, NTSTATUS> {
        Self::create_as(transport, name, max_info, max_data, false)
    }

    /// `NtCreateWaitablePort`: as [`Self::create`], a port that can be waited for besides ([`wait_any`](crate::wait_any) and its kin): it
    /// is signaled while a message is in its queue, connection requests among them. Another thread may be faster to receive it;
    /// [`Self::receive`] without time to wait says so.
    ///
    /// # Errors
    /// As for [`Self::create`].
    pub fn create_waitable(
        transport: &'a dyn Transport,
        name: &str,
        max_info: usize,
        max_data: usize,
    ) -> Result<Self, NTSTATUS> {
        Self::create_as(transport, name, max_info, max_data, true)
    }

    fn create_as(
        transport: &'a dyn Transport,
        name: &str,
        max_info: usize,
        max_data: usize,
        waitable: bool,
    ) -> Result<Self, NTSTATUS> {
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let max_message = length(max_data.saturating_add(HEADER));
        let handle = sys::port::create(transport, &wide(name), length(max_info), max_message, waitable)?;
        Ok(Self { transport, handle })
    }

    /// `NtConnectPort`: waits for the listener's answer.
    ///
    /// # Errors
    /// [`Refused`]: STATUS_OBJECT_NAME_NOT_FOUND, STATUS_ACCESS_DENIED without PORT_CONNECT, STATUS_PORT_CONNECTION_REFUSED also when
    /// the listener goes without an answer; what [`FileMapping::map`] meets.
    pub fn connect(
        transport: &'a dyn Transport,
        name: &str,
        qos: SecurityQos,
        shown: Option<Shown<'_>>,
        info: &[u8],
    ) -> Result<Connection<'a>, Refused> {
        Self::connect_to(transport, name, qos, shown, info, None)
    }

    /// `NtSecureConnectPort`: as [`Self::connect`], to a server whose process runs as this user only, so that nobody else who was first
    /// to take the name learns what is meant for it.
    ///
    /// # Errors
    /// As for [`Self::connect`]; STATUS_SERVER_SID_MISMATCH.
    pub fn secure_connect(
        transport: &'a dyn Transport,
        name: &str,
        qos: SecurityQos,
        shown: Option<Shown<'_>>,
        info: &[u8],
        server: &Sid,
    ) -> Result<Connection<'a>, Refused> {
        Self::connect_to(transport, name, qos, shown, info, Some(server))
    }

    fn connect_to(
        transport: &'a dyn Transport,
        name: &str,
        qos: SecurityQos,
        shown: Option<Shown<'_>>,
        info: &[u8],
        server: Option<&Sid>,
    ) -> Result<Connection<'a>, Refused> {
        let server = server.map_or(&[][..], Sid::as_bytes);
        let info = &info[..info.len().min(MAX_DATA)];
        let connected = sys::port::connect(transport, &wide(name), qos, Shown::part(shown), info, server)
            .map_err(|(status, info)| Refused { status, info })?;
        let port = Self { transport, handle: connected.handle };
        let places = [
            connected.base,
            connected.size,
            connected.remote_base,
            connected.other_base,
            connected.other_size,
        ];
        let views = Views::new(transport, places).map_err(|status| Refused { status, info: Vec::new() })?;
        let max_data = (connected.max_message as usize).saturating_sub(HEADER);
        Ok(Connection { port, max_data, views, info: connected.info })
    }

    /// `NtListenPort`: waits for a connection request.
    ///
    /// # Errors
    /// As for [`Self::receive`].
    pub fn listen(&self) -> Result<Message, NTSTATUS> {
        sys::port::listen(self.transport, self.handle)
    }

    /// `NtAcceptConnectPort`: accepts a connection request that this process has received. `info` is for the client; `context` comes
    /// with every message of the connection (0 stands for the new port's handle). The client goes on with [`Self::complete`].
    ///
    /// # Errors
    /// STATUS_REPLY_MESSAGE_MISMATCH or STATUS_INVALID_CID when the client waits no longer; what [`FileMapping::map`] meets.
    pub fn accept(
        transport: &'a dyn Transport,
        request: &Message,
        context: u64,
        shown: Option<Shown<'_>>,
        info: &[u8],
    ) -> Result<Accepted<'a>, NTSTATUS> {
        let answer = request.reply(&info[..info.len().min(MAX_DATA)]);
        let accepted = sys::port::accept(transport, &answer, context, Shown::part(shown))?;
        let port = Self { transport, handle: accepted.handle };
        let places =
            [accepted.base, accepted.size, accepted.remote_base, accepted.other_base, accepted.other_size];
        Ok(Accepted { port, views: Views::new(transport, places)? })
    }

    /// `NtAcceptConnectPort` without accepting.
    ///
    /// # Errors
    /// As for [`Self::accept`].
    pub fn refuse(transport: &dyn Transport, request: &Message, info: &[u8]) -> Result<(), NTSTATUS> {
        sys::port::refuse(transport, &request.reply(&info[..info.len().min(MAX_DATA)]))
    }

    /// `NtCompleteConnectPort`: lets the client of an accepted connection go on.
    ///
    /// # Errors
    /// STATUS_PORT_DISCONNECTED when it waits no longer.
    pub fn complete(&self) -> Result<(), NTSTATUS> {
        sys::port::complete(self.transport, self.handle)
    }

    /// `NtRequestPort`: sends data that nobody replies to.
    ///
    /// # Errors
    /// STATUS_PORT_DISCONNECTED; STATUS_PORT_MESSAGE_TOO_LONG for more than the port takes; STATUS_NO_MEMORY when too much waits.
    ///
    /// # Panics
    /// For more than [`MAX_DATA`] bytes.
    pub fn send(&self, data: &[u8]) -> Result<(), NTSTATUS> {
        sys::port::request(self.transport, self.handle, &Message::new(data))
    }

    /// `NtRequestWaitReplyPort`: sends a message and waits for what comes: the reply (LPC_REPLY), or a callback (LPC_REQUEST).
    ///
    /// # Errors
    /// As for [`Self::send`]; STATUS_PORT_DISCONNECTED also when the other end goes without a reply.
    pub fn request_wait_reply(&self, message: &Message) -> Result<Message, NTSTATUS> {
        sys::port::request_wait_reply(self.transport, self.handle, message)
    }

    /// `NtRequestWaitReplyPort` with buffers that the server may read and write ([`Self::read_request_data`],
    /// [`Self::write_request_data`]) until it replies. A callback in its course is answered without data.
    ///
    /// # Errors
    /// As for [`Self::request_wait_reply`].
    ///
    /// # Panics
    /// For more than [`MAX_DATA`] bytes, 8 for the buffers and 16 for each of them among them.
    pub fn request_with_buffers(&self, data: &[u8], buffers: &mut [Buffer]) -> Result<Message, NTSTATUS> {
        let mut came = self.request_wait_reply(&Message::giving(data, buffers))?;
        // They are lent until the reply comes.
        while came.kind() == abi::LPC_REQUEST {
            came = self.reply_wait_reply(&came.reply(&[]))?;
        }
        Ok(came)
    }

    /// `NtReadRequestData`: copies the client's buffer `index` into this process's, as many bytes as both have; how many these were. The
    /// request is received and not replied to yet.
    ///
    /// # Errors
    /// STATUS_REPLY_MESSAGE_MISMATCH or STATUS_INVALID_CID for another message, or when its client waits no longer;
    /// STATUS_INVALID_PARAMETER when it gives no such buffer; STATUS_ACCESS_VIOLATION when that is not there.
    pub fn read_request_data(
        &self,
        request: &Message,
        index: u32,
        buffer: &mut Buffer,
    ) -> Result<u64, NTSTATUS> {
        sys::port::read_request_data(self.transport, self.handle, request, index, buffer.bytes())
    }

    /// `NtWriteRequestData`: copies this process's buffer into the client's buffer `index`, as many bytes as both have; how many these
    /// were. The request is received and not replied to yet.
    ///
    /// # Errors
    /// As for [`Self::read_request_data`]; STATUS_ACCESS_VIOLATION also when the client itself may not write there.
    pub fn write_request_data(
        &self,
        request: &Message,
        index: u32,
        buffer: &Buffer,
    ) -> Result<u64, NTSTATUS> {
        sys::port::write_request_data(self.transport, self.handle, request, index, buffer.bytes())
    }

    /// `NtReplyPort`: sends a reply made by [`Message::reply`].
    ///
    /// # Errors
    /// STATUS_REPLY_MESSAGE_MISMATCH or STATUS_INVALID_CID when nobody waits for it.
    pub fn reply(&self, reply: &Message) -> Result<(), NTSTATUS> {
        sys::port::reply(self.transport, self.handle, reply)
    }

    /// `NtReplyWaitReplyPort`: answers a callback and waits on, as [`Self::request_wait_reply`] does.
    ///
    /// # Errors
    /// As for [`Self::reply`] and [`Self::request_wait_reply`].
    pub fn reply_wait_reply(&self, reply: &Message) -> Result<Message, NTSTATUS> {
        sys::port::reply_wait_reply(self.transport, self.handle, reply)
    }

    /// `NtReplyWaitReceivePortEx` without a reply: waits for a message; `None`: none came in time.
    ///
    /// # Errors
    /// STATUS_PORT_DISCONNECTED for a client whose server has gone.
    pub fn receive(&self, timeout: Option<Duration>) -> Result<Option<Received>, NTSTATUS> {
        self.reply_or_not(None, timeout)
    }

    /// `NtReplyWaitReceivePortEx`: replies, then waits for a message; `None`: none came in time.
    ///
    /// # Errors
    /// As for [`Self::reply`], without waiting then; as for [`Self::receive`].
    pub fn reply_wait_receive(
        &self,
        reply: &Message,
        timeout: Option<Duration>,
    ) -> Result<Option<Received>, NTSTATUS> {
        self.reply_or_not(Some(reply), timeout)
    }

    fn reply_or_not(
        &self,
        reply: Option<&Message>,
        timeout: Option<Duration>,
    ) -> Result<Option<Received>, NTSTATUS> {
        match sys::port::reply_wait_receive(self.transport, self.handle, reply, relative(timeout)) {
            Ok((context, message)) => Ok(Some(Received { message, context })),
            Err(abi::STATUS_TIMEOUT) => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// `NtRegisterThreadTerminatePort`: when the calling thread ends, or its process, the other side of this port hears of it by
    /// LPC_CLIENT_DIED, whose data are when the thread began, in units of 100 ns since 1601 (8 bytes). Of a thread of the process in which
    /// the kernel is it hears when that says so (`end_thread`), at the latest when its process ends.
    ///
    /// # Errors
    /// STATUS_INSUFFICIENT_RESOURCES for too many.
    pub fn register_thread_terminate_port(&self) -> Result<(), NTSTATUS> {
        sys::port::register_thread_terminate_port(self.transport, self.handle)
    }

    /// `NtImpersonateClientOfPort`: the calling thread acts as the client whose request this is, as far as that allows, until the
    /// result is dropped (`RevertToSelf`). Of the server's end of the connection; the request is not replied to yet.
    ///
    /// # Errors
    /// STATUS_REPLY_MESSAGE_MISMATCH or STATUS_INVALID_CID for another message; STATUS_INVALID_PORT_HANDLE for another port;
    /// STATUS_BAD_IMPERSONATION_LEVEL when the client acts for somebody whom it may not pass on.
    pub fn impersonate_client(&self, request: &Message) -> Result<Impersonation<'a>, NTSTATUS> {
        sys::port::impersonate_client(self.transport, self.handle, request)?;
        Ok(Impersonation { transport: self.transport, thread: PhantomData })
    }

    /// The handle's value.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }
}

/// The calling thread acts as a client; see [`Port::impersonate_client`].
#[must_use = "dropping it ends the impersonation"]
pub struct Impersonation<'a> {
    transport: &'a dyn Transport,
    /// It is the thread's own.
    thread: PhantomData<*const ()>,
}

impl fmt::Debug for Impersonation<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Impersonation").finish_non_exhaustive()
    }
}

impl Drop for Impersonation<'_> {
    /// # Panics
    /// When the thread stays who it is not, which on a kernel that is there does not happen.
    fn drop(&mut self) {
        let reverted = crate::revert_to_self(self.transport).map_err(|error| error.status);
        assert!(
            matches!(reverted, Ok(()) | Err(abi::STATUS_DEVICE_NOT_CONNECTED)),
            "the thread still acts as its client: {reverted:?}"
        );
    }
}

impl Drop for Port<'_> {
    fn drop(&mut self) {
        let _nobody_to_tell = sys::close(self.transport, self.handle);
    }
}
