//! Named pipes: a server makes instances of a name (`\\.\pipe\name`), and clients connect to them by opening it.
//!
//! Both ends are files: what a [`Device`] does, they do, overlapped I/O and a [`Reactor`](crate::Reactor)'s included.
//! ([`Reactor::adopt`](crate::Reactor::adopt) takes one that is open for overlapped I/O.)

use std::ops::Deref;
use std::time::Duration;

use crate::buffer::Buffer;
use crate::device::{Device, OpenOptions};
use crate::error::Win32Error;
use crate::overlapped::{Finished, Operation, Overlapped, Refused};
use crate::sys::{self, PipeRequest, Transport};

/// The values of Win32's headers.
pub(crate) mod flags {
    pub(crate) const PIPE_ACCESS_INBOUND: u32 = 1;
    pub(crate) const PIPE_ACCESS_OUTBOUND: u32 = 2;
    pub(crate) const PIPE_ACCESS_DUPLEX: u32 = 3;
    pub(crate) const FILE_FLAG_FIRST_PIPE_INSTANCE: u32 = 0x0008_0000;
    pub(crate) const FILE_FLAG_OVERLAPPED: u32 = 0x4000_0000;
    pub(crate) const PIPE_NOWAIT: u32 = 1;
    pub(crate) const PIPE_READMODE_MESSAGE: u32 = 2;
    pub(crate) const PIPE_TYPE_MESSAGE: u32 = 4;
    pub(crate) const PIPE_REJECT_REMOTE_CLIENTS: u32 = 8;
    pub(crate) const PIPE_UNLIMITED_INSTANCES: u32 = 255;
    pub(crate) const NMPWAIT_USE_DEFAULT_WAIT: u32 = 0;
    pub(crate) const NMPWAIT_WAIT_FOREVER: u32 = u32::MAX;
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeAccess {
    /// PIPE_ACCESS_INBOUND: from clients to the server.
    Inbound,
    /// PIPE_ACCESS_OUTBOUND: from the server to clients.
    Outbound,
    /// PIPE_ACCESS_DUPLEX.
    Duplex,
}

/// How long to wait for an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeWait {
    /// NMPWAIT_USE_DEFAULT_WAIT: as the server says.
    Default,
    /// NMPWAIT_WAIT_FOREVER.
    Forever,
    /// So long, in whole milliseconds, at least one.
    For(Duration),
}

impl PipeWait {
    fn milliseconds(self) -> u32 {
        match self {
            Self::Default => flags::NMPWAIT_USE_DEFAULT_WAIT,
            Self::Forever => flags::NMPWAIT_WAIT_FOREVER,
            Self::For(time) => u32::try_from(time.as_millis()).unwrap_or(u32::MAX).clamp(1, u32::MAX - 1),
        }
    }
}

/// `CreateNamedPipe`'s arguments. By default duplex, of bytes, waiting, any number of instances, 4096 bytes each way.
#[derive(Clone, Copy, Debug)]
pub struct NamedPipeOptions(PipeRequest);

impl Default for NamedPipeOptions {
    fn default() -> Self {
        Self(PipeRequest {
            open_mode: flags::PIPE_ACCESS_DUPLEX,
            pipe_mode: 0,
            max_instances: flags::PIPE_UNLIMITED_INSTANCES,
            out_buffer: 4096,
            in_buffer: 4096,
            default_timeout: 0,
        })
    }
}

fn with(bits: u32, flag: u32, set: bool) -> u32 {
    if set { bits | flag } else { bits & !flag }
}

impl NamedPipeOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// PIPE_ACCESS_*.
    #[must_use]
    pub fn access(mut self, access: PipeAccess) -> Self {
        let bits = match access {
            PipeAccess::Inbound => flags::PIPE_ACCESS_INBOUND,
            PipeAccess::Outbound => flags::PIPE_ACCESS_OUTBOUND,
            PipeAccess::Duplex => flags::PIPE_ACCESS_DUPLEX,
        };
        self.0.open_mode = self.0.open_mode & !flags::PIPE_ACCESS_DUPLEX | bits;
        self
    }

    /// FILE_FLAG_FIRST_PIPE_INSTANCE: fails where there is a pipe of this name.
    #[must_use]
    pub fn first_instance(mut self, first: bool) -> Self {
        self.0.open_mode = with(self.0.open_mode, flags::FILE_FLAG_FIRST_PIPE_INSTANCE, first);
        self
    }

    /// FILE_FLAG_OVERLAPPED.
    #[must_use]
    pub fn overlapped(mut self, overlapped: bool) -> Self {
        self.0.open_mode = with(self.0.open_mode, flags::FILE_FLAG_OVERLAPPED, overlapped);
        self
    }

    /// PIPE_TYPE_MESSAGE, else PIPE_TYPE_BYTE.
    #[must_use]
    pub fn messages(mut self, messages: bool) -> Self {
        self.0.pipe_mode = with(self.0.pipe_mode, flags::PIPE_TYPE_MESSAGE, messages);
        self
    }

    /// PIPE_READMODE_MESSAGE, else PIPE_READMODE_BYTE, of the server's end.
    #[must_use]
    pub fn read_messages(mut self, messages: bool) -> Self {
        self.0.pipe_mode = with(self.0.pipe_mode, flags::PIPE_READMODE_MESSAGE, messages);
        self
    }

    /// PIPE_NOWAIT, of the server's end.
    #[must_use]
    pub fn no_wait(mut self, no_wait: bool) -> Self {
        self.0.pipe_mode = with(self.0.pipe_mode, flags::PIPE_NOWAIT, no_wait);
        self
    }

    /// PIPE_REJECT_REMOTE_CLIENTS.
    #[must_use]
    pub fn reject_remote_clients(mut self, reject: bool) -> Self {
        self.0.pipe_mode = with(self.0.pipe_mode, flags::PIPE_REJECT_REMOTE_CLIENTS, reject);
        self
    }

    /// `nMaxInstances`: from 1 to 254; 255 for any number.
    #[must_use]
    pub fn max_instances(mut self, count: u32) -> Self {
        self.0.max_instances = count;
        self
    }

    /// `nOutBufferSize` and `nInBufferSize`, bytes that may be written ahead by the server and by its clients.
    #[must_use]
    pub fn buffers(mut self, out_buffer: u32, in_buffer: u32) -> Self {
        (self.0.out_buffer, self.0.in_buffer) = (out_buffer, in_buffer);
        self
    }

    /// `nDefaultTimeOut`, in whole milliseconds; 0 for 50.
    #[must_use]
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        self.0.default_timeout = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX - 1);
        self
    }

    /// `CreateNamedPipe`: an instance, with the default security descriptor, which listens.
    ///
    /// # Errors
    /// ERROR_ACCESS_DENIED (5) where the name has a pipe of another type, direction or number of instances, one whose descriptor does
    /// not let this user make instances, or with [`first_instance`](Self::first_instance) any; ERROR_PIPE_BUSY (231) when there are
    /// as many as there may be; ERROR_INVALID_PARAMETER (87).
    pub fn create<'a>(&self, transport: &'a dyn Transport, name: &str) -> Result<NamedPipe<'a>, Win32Error> {
        self.create_with(transport, name, &[])
    }

    /// The same with `lpSecurityAttributes`: a self-relative SECURITY_DESCRIPTOR of at most 2,048 bytes, which says who may open the pipe
    /// and, by FILE_CREATE_PIPE_INSTANCE (4), who may make further instances. It counts for a new pipe only; that of one which is there
    /// stays as it is. The handle is not inherited.
    ///
    /// # Errors
    /// As for [`create`](Self::create); ERROR_INVALID_SECURITY_DESCR (1338); ERROR_INVALID_OWNER (1307).
    pub fn create_secured<'a>(
        &self,
        transport: &'a dyn Transport,
        name: &str,
        descriptor: &[u8],
    ) -> Result<NamedPipe<'a>, Win32Error> {
        // Without bytes there would be none, which is not what the caller asks for.
        if descriptor.is_empty() {
            return Err(Win32Error::new("CreateNamedPipe", name, abi::STATUS_INVALID_SECURITY_DESCR));
        }
        self.create_with(transport, name, descriptor)
    }

    fn create_with<'a>(
        &self,
        transport: &'a dyn Transport,
        name: &str,
        descriptor: &[u8],
    ) -> Result<NamedPipe<'a>, Win32Error> {
        if !(1..=flags::PIPE_UNLIMITED_INSTANCES).contains(&self.0.max_instances) {
            return Err(Win32Error::new("CreateNamedPipe", name, abi::STATUS_INVALID_PARAMETER));
        }
        let handle = sys::create_named_pipe(transport, name, &self.0, descriptor)?;
        Ok(NamedPipe { device: Device::from_handle(transport, handle) })
    }
}

/// What `PeekNamedPipe` tells, besides the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek {
    /// `lpBytesRead`.
    pub read: u32,
    /// `lpTotalBytesAvail`.
    pub available: u32,
    /// `lpBytesLeftThisMessage`; 0 for pipes of bytes.
    pub left_this_message: u32,
}

/// What `GetNamedPipeInfo` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedPipeInfo {
    /// PIPE_SERVER_END.
    pub is_server: bool,
    /// PIPE_TYPE_MESSAGE.
    pub is_message_type: bool,
    /// `lpOutBufferSize`, bytes.
    pub out_buffer: u32,
    /// `lpInBufferSize`, bytes.
    pub in_buffer: u32,
    /// `lpMaxInstances`; 255 for any number.
    pub max_instances: u32,
}

/// What `GetNamedPipeHandleState` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandleState {
    /// PIPE_READMODE_MESSAGE.
    pub reads_messages: bool,
    /// PIPE_NOWAIT.
    pub never_waits: bool,
    /// `lpCurInstances`.
    pub instances: u32,
}

/// An end of a pipe. Its [`Device`] reads and writes.
#[derive(Debug)]
pub struct NamedPipe<'a> {
    device: Device<'a>,
}

impl<'a> Deref for NamedPipe<'a> {
    type Target = Device<'a>;

    fn deref(&self) -> &Device<'a> {
        &self.device
    }
}

impl<'a> NamedPipe<'a> {
    /// The client's end, by `CreateFile` for reading and writing. It begins in byte mode.
    ///
    /// # Errors
    /// As for [`NamedPipe::open_with`].
    pub fn open(transport: &'a dyn Transport, name: &str) -> Result<Self, Win32Error> {
        Self::open_with(&OpenOptions::new(), transport, name)
    }

    /// The same with `CreateFile`'s arguments.
    ///
    /// # Errors
    /// ERROR_FILE_NOT_FOUND (2) when no pipe has the name, ERROR_PIPE_BUSY (231) when no instance listens (see
    /// [`NamedPipe::wait`]), ERROR_ACCESS_DENIED (5) for a direction that the pipe has not, or when its descriptor says so.
    pub fn open_with(
        options: &OpenOptions,
        transport: &'a dyn Transport,
        name: &str,
    ) -> Result<Self, Win32Error> {
        Ok(Self { device: options.open(transport, name)? })
    }

    /// `WaitNamedPipe`: waits until an instance listens. Another client may be faster all the same.
    ///
    /// # Errors
    /// ERROR_FILE_NOT_FOUND (2) when no pipe has the name, ERROR_SEM_TIMEOUT (121).
    pub fn wait(transport: &dyn Transport, name: &str, wait: PipeWait) -> Result<(), Win32Error> {
        sys::wait_named_pipe(transport, name, wait.milliseconds())
    }

    /// `CallNamedPipe`: connects (after a wait, if no instance listens), writes a message, reads the next, and closes. Returns how many
    /// bytes of `output` are filled.
    ///
    /// # Errors
    /// Those of [`NamedPipe::open`], [`NamedPipe::wait`] and [`NamedPipe::transact`]; ERROR_MORE_DATA (234) with the bytes that fitted.
    pub fn call(
        transport: &dyn Transport,
        name: &str,
        input: &[u8],
        output: &mut [u8],
        wait: PipeWait,
    ) -> Result<u32, Win32Error> {
        let pipe = loop {
            match NamedPipe::open(transport, name) {
                Err(error) if error.code == abi::ERROR_PIPE_BUSY => Self::wait(transport, name, wait)?,
                opened => break opened?,
            }
        };
        pipe.set_state(true, false)?;
        pipe.transact(input, output)
    }

    /// The file that the end is.
    #[must_use]
    pub fn into_device(self) -> Device<'a> {
        self.device
    }

    fn nothing(&self) -> Result<Buffer, Win32Error> {
        Buffer::new(self.device.transport(), 0)
    }

    /// `ConnectNamedPipe`: waits until a client is there.
    ///
    /// # Errors
    /// ERROR_PIPE_CONNECTED (535) when one is there already, ERROR_NO_DATA (232) when the last one has closed its end and is not
    /// disconnected, ERROR_PIPE_LISTENING (536) in PIPE_NOWAIT when none is there, ERROR_INVALID_FUNCTION (1) for a client's end.
    pub fn connect(&self) -> Result<(), Win32Error> {
        match self.connect_overlapped(self.nothing()?, &Overlapped::new()) {
            Ok(operation) => operation.finish().result.map(drop),
            Err(refused) => Err(refused.error),
        }
    }

    /// `ConnectNamedPipe` with an OVERLAPPED. The buffer lends its OVERLAPPED alone: one of no bytes will do.
    ///
    /// # Errors
    /// As for [`NamedPipe::connect`]; nothing has begun then.
    pub fn connect_overlapped<'d>(
        &'d self,
        buffer: Buffer,
        overlapped: &Overlapped<'d>,
    ) -> Result<Operation<'d>, Refused> {
        self.device.connect_overlapped(buffer, overlapped)
    }

    /// `DisconnectNamedPipe`: what the client has not read is lost.
    ///
    /// # Errors
    /// ERROR_PIPE_NOT_CONNECTED (233) when it is disconnected already.
    pub fn disconnect(&self) -> Result<(), Win32Error> {
        sys::disconnect_named_pipe(self.device.transport(), self.device.handle())
    }

    /// `PeekNamedPipe`: copies what there is to read, and leaves it there.
    ///
    /// # Errors
    /// ERROR_BROKEN_PIPE (109), ERROR_PIPE_NOT_CONNECTED (233), ERROR_BAD_PIPE (230).
    pub fn peek(&self, buffer: &mut [u8]) -> Result<Peek, Win32Error> {
        sys::peek_named_pipe(self.device.transport(), self.device.handle(), buffer)
    }

    /// `TransactNamedPipe`: writes a message and reads the next; how many bytes of `output` are filled.
    ///
    /// # Errors
    /// ERROR_PIPE_BUSY (231) while there is something to read, ERROR_BAD_PIPE (230) in byte mode, ERROR_MORE_DATA (234) with
    /// the bytes that fitted.
    pub fn transact(&self, input: &[u8], output: &mut [u8]) -> Result<u32, Win32Error> {
        let transport = self.device.transport();
        let length = u32::try_from(output.len()).unwrap_or(u32::MAX);
        let (input, room) = (Buffer::from_bytes(transport, input)?, Buffer::new(transport, length)?);
        let begun = self.transact_overlapped(input, room, &Overlapped::new());
        let Finished { result, buffer, .. } = begun.map_err(|refused| refused.error)?.finish();
        let bytes = match &result {
            Ok(bytes) => *bytes,
            Err(error) => error.bytes,
        };
        buffer.read(0, &mut output[..bytes.min(length) as usize]);
        result
    }

    /// `TransactNamedPipe` with an OVERLAPPED.
    ///
    /// # Errors
    /// As for [`NamedPipe::transact`]; nothing has begun then.
    pub fn transact_overlapped<'d>(
        &'d self,
        input: Buffer,
        output: Buffer,
        overlapped: &Overlapped<'d>,
    ) -> Result<Operation<'d>, Refused> {
        self.device.transact_overlapped(input, output, overlapped)
    }

    /// `FlushFileBuffers`: waits until the other end has read all that this one has written.
    ///
    /// # Errors
    /// ERROR_BROKEN_PIPE (109) when it has closed, ERROR_PIPE_NOT_CONNECTED (233).
    pub fn flush(&self) -> Result<(), Win32Error> {
        sys::flush(self.device.transport(), self.device.handle())
    }

    /// `ImpersonateNamedPipeClient`: the calling thread acts as the client until [`revert_to_self`](crate::revert_to_self): what it opens, it opens
    /// with the client's rights.
    ///
    /// # Errors
    /// ERROR_CANNOT_IMPERSONATE (1368) before something of the client's has been read, ERROR_BAD_IMPERSONATION_LEVEL (1346),
    /// ERROR_PIPE_NOT_CONNECTED (233).
    pub fn impersonate_client(&self) -> Result<(), Win32Error> {
        sys::impersonate_named_pipe_client(self.device.transport(), self.device.handle())
    }

    /// `GetNamedPipeInfo`.
    ///
    /// # Errors
    /// ERROR_ACCESS_DENIED (5) without FILE_READ_ATTRIBUTES.
    pub fn info(&self) -> Result<NamedPipeInfo, Win32Error> {
        sys::named_pipe_info(self.device.transport(), self.device.handle())
    }

    /// `GetNamedPipeHandleState`.
    ///
    /// # Errors
    /// As for [`NamedPipe::info`].
    pub fn state(&self) -> Result<HandleState, Win32Error> {
        sys::named_pipe_state(self.device.transport(), self.device.handle())
    }

    /// `SetNamedPipeHandleState`: PIPE_READMODE_MESSAGE or _BYTE, PIPE_NOWAIT or PIPE_WAIT.
    ///
    /// # Errors
    /// ERROR_INVALID_PARAMETER (87) for messages of a pipe of bytes, ERROR_ACCESS_DENIED (5) without FILE_WRITE_ATTRIBUTES.
    pub fn set_state(&self, reads_messages: bool, never_waits: bool) -> Result<(), Win32Error> {
        let (transport, handle) = (self.device.transport(), self.device.handle());
        sys::set_named_pipe_state(transport, handle, reads_messages, never_waits)
    }

    /// `GetNamedPipeClientProcessId`.
    ///
    /// # Errors
    /// ERROR_PIPE_NOT_CONNECTED (233), ERROR_PIPE_LISTENING (536).
    pub fn client_process_id(&self) -> Result<u32, Win32Error> {
        sys::named_pipe_process(self.device.transport(), self.device.handle(), false)
    }

    /// `GetNamedPipeServerProcessId`.
    ///
    /// # Errors
    /// ERROR_INVALID_HANDLE (6).
    pub fn server_process_id(&self) -> Result<u32, Win32Error> {
        sys::named_pipe_process(self.device.transport(), self.device.handle(), true)
    }

    /// `CloseHandle`.
    ///
    /// # Errors
    /// ERROR_INVALID_HANDLE (6), or that the host is gone.
    pub fn close(self) -> Result<(), Win32Error> {
        self.device.close()
    }
}

impl crate::wait::Waitable for NamedPipe<'_> {
    fn wait_handle(&self) -> sys::Handle {
        self.device.handle()
    }
}
