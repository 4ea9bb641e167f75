//! The application's side: a connection to a host, and [`Transport`] over its slots.

mod buffer;
mod call;
mod connect;
mod extents;
mod inheritance;
pub(crate) mod life;
mod management;
pub(crate) mod threads;
mod views;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use abi::{
    METHOD_BUFFERED, NTSTATUS, STATUS_BUFFER_TOO_SMALL, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_PARAMETER, STATUS_INVALID_PARAMETER_1, STATUS_OBJECT_NAME_INVALID, STATUS_SUCCESS,
    STATUS_UNSUCCESSFUL,
};

use crate::directory;
use crate::patience::Spin;
use crate::security_qos::SecurityQos;
use crate::system_call::{MOST_BYTES, MOST_WORDS, SystemCall, SystemReply, Tail, encode};
use crate::transport::{CreateFile, DirectoryEntry, Handle, IoStatus, SharedMemory, Transport};
use crate::view::View;
use crate::window::Window;
use crate::wire::{CREATE_WORDS, HAS_FILE_OFFSET, PATH_LIMIT, Reply, Request, operation};

pub use buffer::Buffer;
pub use connect::ConnectError;
pub use inheritance::SpawnError;

use call::CopyBack;
use threads::Link;

/// How a client behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectOptions {
    /// Whether calling threads look for the answer before they sleep.
    pub spin: Spin,
    /// A user whose host is trusted, beside root's and this process's user's own.
    pub host_user: Option<u32>,
}

/// A session with a host in another process.
///
/// Each thread gets a slot, and with it a thread of the host, at its first call; both end with the thread. Threads
/// beyond the session's slots take turns on one slot that they share. A child that this process forks is no part of
/// the session: its calls answer `STATUS_DEVICE_NOT_CONNECTED`, as do all calls once the host is gone.
///
/// Data up to some KiB travels in the slot. Longer data is copied through the window's data area, unless it lies
/// there already ([`Client::allocate`]); transfers for which there is no room answer
/// `STATUS_INSUFFICIENT_RESOURCES`.
pub struct Client {
    pub(crate) link: Arc<Link>,
    watcher: Option<JoinHandle<()>>,
}

impl Client {
    /// Connects to the host that listens at `path`; see [`default_socket_path`](crate::default_socket_path). It must be
    /// root's, this process's user's, or that of the user whose number RINGBRIDGE_HOST_UID says.
    ///
    /// # Errors
    /// [`ConnectError`], each with what to do about it.
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, ConnectError> {
        let host_user = std::env::var("RINGBRIDGE_HOST_UID").ok().and_then(|uid| uid.parse().ok());
        Self::connect_with(path, ConnectOptions { host_user, ..ConnectOptions::default() })
    }

    /// As [`Self::connect`], with options.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn connect_with(path: impl AsRef<Path>, options: ConnectOptions) -> Result<Self, ConnectError> {
        let (link, watcher) = connect::connect(path.as_ref(), options, Window::at)?;
        Ok(Self { link, watcher: Some(watcher) })
    }

    /// Maps the window at another address than the host, so that both can be one process.
    #[cfg(any(test, feature = "hostile"))]
    pub(crate) fn connect_elsewhere(
        path: impl AsRef<Path>,
        options: ConnectOptions,
    ) -> Result<Self, ConnectError> {
        let elsewhere = |_, memory: &_, layout| Window::elsewhere(memory, layout);
        let (link, watcher) = connect::connect(path.as_ref(), options, elsewhere)?;
        Ok(Self { link, watcher: Some(watcher) })
    }

    /// Whether calls can still succeed: the host lives, and this is the process that connected.
    pub fn is_connected(&self) -> bool {
        self.link.life.is_alive()
    }

    /// The addresses of the data area, which the host has mapped at the same place.
    pub fn data(&self) -> std::ops::Range<u64> {
        self.link.window.data()
    }

    /// A zeroed buffer of `length` bytes in the data area: what is read or written there is not copied on its way,
    /// and a driver may follow pointers into it.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES` if the data area has no room.
    pub fn allocate(&self, length: usize) -> Result<Buffer, NTSTATUS> {
        Buffer::new(&self.link, length).ok_or(STATUS_INSUFFICIENT_RESOURCES)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let watcher = self.watcher.take();
        if self.link.life.is_of_this_process() {
            self.link.leave();
            if let Some(watcher) = watcher {
                // It does nothing that panics; and if it did, it has ended too.
                let _panicked = watcher.join();
            }
        } else {
            // The parent's thread does not exist here, and the parent's session goes on.
            std::mem::forget(watcher);
        }
    }
}

impl Transport for Client {
    fn create_file(&self, request: &CreateFile<'_>) -> Result<(Handle, u64), NTSTATUS> {
        if request.path.len() > PATH_LIMIT {
            return Err(STATUS_OBJECT_NAME_INVALID);
        }
        let mut input = Vec::with_capacity(CREATE_WORDS * 4 + request.path.len() * 2);
        let words: [u32; CREATE_WORDS] = [
            request.desired_access,
            request.file_attributes,
            request.share_access,
            request.create_disposition,
            request.create_options,
            request.security_qos.map_or(0, SecurityQos::to_flags),
        ];
        input.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        input.extend(request.path.iter().flat_map(|unit| unit.to_le_bytes()));
        let header = Request { operation: operation::CREATE, ..Request::default() };
        let reply = self.link.call(header, &input, &mut [], CopyBack::Nothing)?;
        match NTSTATUS::from_bits(reply.status) {
            STATUS_SUCCESS if reply.handle != 0 => Ok((Handle(reply.handle), reply.information)),
            // No host of ours answers so; the caller must not take it for success.
            status if status.is_success() => Err(STATUS_UNSUCCESSFUL),
            status => Err(status),
        }
    }

    fn close(&self, handle: Handle) -> NTSTATUS {
        let header = Request { operation: operation::CLOSE, handle: handle.0, ..Request::default() };
        match self.link.call(header, &[], &mut [], CopyBack::Nothing) {
            Ok(reply) => NTSTATUS::from_bits(reply.status),
            Err(status) => status,
        }
    }

    fn duplicate_handle(&self, handle: Handle, access: u32, options: u32) -> Result<Handle, NTSTATUS> {
        let header = Request {
            operation: operation::DUPLICATE,
            handle: handle.0,
            code: access,
            file_offset: u64::from(options),
            ..Request::default()
        };
        let reply = self.link.call(header, &[], &mut [], CopyBack::Nothing)?;
        match NTSTATUS::from_bits(reply.status) {
            STATUS_SUCCESS if reply.handle != 0 => Ok(Handle(reply.handle)),
            // No host of ours answers so; the caller must not take it for success.
            status if status.is_success() => Err(STATUS_UNSUCCESSFUL),
            status => Err(status),
        }
    }

    fn read(&self, handle: Handle, buffer: &mut [u8], offset: Option<u64>) -> IoStatus {
        let header =
            at(offset, Request { operation: operation::READ, handle: handle.0, ..Request::default() });
        self.transfer(header, &[], buffer, CopyBack::Information)
    }

    fn write(&self, handle: Handle, data: &[u8], offset: Option<u64>) -> IoStatus {
        let header =
            at(offset, Request { operation: operation::WRITE, handle: handle.0, ..Request::default() });
        self.transfer(header, data, &mut [], CopyBack::Nothing)
    }

    #[inline]
    fn device_control(&self, handle: Handle, code: u32, input: &[u8], output: &mut [u8]) -> IoStatus {
        let header =
            Request { operation: operation::DEVICE_CONTROL, handle: handle.0, code, ..Request::default() };
        // The other methods let the driver read the output buffer, and write it whatever the outcome.
        let back = if code & 3 == METHOD_BUFFERED { CopyBack::Information } else { CopyBack::Everything };
        self.transfer(header, input, output, back)
    }

    fn query_directory(&self, path: &[u16]) -> Result<Vec<DirectoryEntry>, NTSTATUS> {
        const ATTEMPTS: usize = 8;
        if path.len() > PATH_LIMIT {
            return Err(STATUS_OBJECT_NAME_INVALID);
        }
        let input: Vec<u8> = path.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let mut output = vec![0; 4096];
        // Between two attempts the directory may grow, but not for ever.
        for _ in 0..ATTEMPTS {
            let header = Request { operation: operation::QUERY_DIRECTORY, ..Request::default() };
            let reply = self.link.call(header, &input, &mut output, CopyBack::Information)?;
            let length = usize::try_from(reply.information).map_err(|_| STATUS_UNSUCCESSFUL)?;
            match NTSTATUS::from_bits(reply.status) {
                STATUS_SUCCESS => {
                    let entries = output.get(..length).and_then(directory::decode);
                    return entries.ok_or(STATUS_UNSUCCESSFUL);
                }
                STATUS_BUFFER_TOO_SMALL if length as u64 > self.link.window.layout().len => {
                    return Err(STATUS_INSUFFICIENT_RESOURCES);
                }
                STATUS_BUFFER_TOO_SMALL if length > output.len() => {
                    output.resize(length.next_multiple_of(4096), 0);
                }
                status => return Err(if status.is_success() { STATUS_UNSUCCESSFUL } else { status }),
            }
        }
        Err(STATUS_INSUFFICIENT_RESOURCES)
    }

    fn system_call(&self, call: &SystemCall<'_>, output: &mut [u8]) -> SystemReply {
        let mut words = [0; MOST_WORDS];
        let (number, handle, count, tail) = encode(call, &mut words);
        let mut line = [0; MOST_WORDS * 8 + abi::MAXIMUM_WAIT_OBJECTS as usize * 4];
        for (place, word) in line.chunks_exact_mut(8).zip(&words[..count]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let (front, rest) = line.split_at_mut(count * 8);
        let mut named = Vec::new();
        let mut message = [0; MOST_WORDS * 8 + abi::PORT_MAXIMUM_MESSAGE_LENGTH];
        let input: &[u8] = match tail {
            Tail::Nothing => front,
            Tail::Handles(handles) if handles.len() * 4 <= rest.len() => {
                for (place, handle) in rest.chunks_exact_mut(4).zip(handles) {
                    place.copy_from_slice(&handle.0.to_le_bytes());
                }
                &line[..count * 8 + handles.len() * 4]
            }
            Tail::Handles(_) => return SystemReply::status(STATUS_INVALID_PARAMETER_1),
            Tail::Name(name) if name.len() > PATH_LIMIT => {
                return SystemReply::status(STATUS_OBJECT_NAME_INVALID);
            }
            Tail::NameAndBytes(name, _) if name.len() > PATH_LIMIT => {
                return SystemReply::status(STATUS_OBJECT_NAME_INVALID);
            }
            Tail::NameAndBytes(_, bytes) if bytes.len() > MOST_BYTES => {
                return SystemReply::status(STATUS_INVALID_PARAMETER);
            }
            Tail::NameAndBytes(name, bytes) => {
                named.extend_from_slice(front);
                named.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
                named.extend_from_slice(bytes);
                &named
            }
            Tail::Bytes(bytes) => {
                let end = count * 8 + bytes.len();
                match message.get_mut(count * 8..end) {
                    Some(place) => {
                        place.copy_from_slice(bytes);
                        message[..count * 8].copy_from_slice(front);
                        &message[..end]
                    }
                    None => {
                        named.extend_from_slice(front);
                        named.extend_from_slice(bytes);
                        &named
                    }
                }
            }
            Tail::Name(name) => {
                named.extend_from_slice(front);
                named.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
                &named
            }
        };
        let header = Request {
            operation: operation::SYSTEM_CALL,
            handle: handle.0,
            code: number,
            ..Request::default()
        };
        match self.link.call(header, input, output, CopyBack::Information) {
            Ok(Reply { status, handle, information }) => {
                SystemReply { status: NTSTATUS::from_bits(status), handle: Handle(handle), information }
            }
            Err(status) => SystemReply::status(status),
        }
    }

    fn allocate_memory(&self, length: u32) -> Result<Box<dyn SharedMemory>, NTSTATUS> {
        self.allocate(length as usize).map(|buffer| Box::new(buffer) as Box<dyn SharedMemory>)
    }

    fn view(&self, address: u64, length: u64) -> Result<View, NTSTATUS> {
        self.link.view(address, length)
    }

    fn is_connected(&self) -> bool {
        Self::is_connected(self)
    }
}

impl Client {
    #[inline]
    fn transfer(&self, header: Request, input: &[u8], output: &mut [u8], back: CopyBack) -> IoStatus {
        match self.link.call(header, input, output, back) {
            Ok(reply) => {
                IoStatus { status: NTSTATUS::from_bits(reply.status), information: reply.information }
            }
            Err(status) => IoStatus { status, information: 0 },
        }
    }
}

/// `header` with a place in the file.
fn at(offset: Option<u64>, header: Request) -> Request {
    match offset {
        Some(file_offset) => Request { file_offset, flags: HAS_FILE_OFFSET, ..header },
        None => header,
    }
}
