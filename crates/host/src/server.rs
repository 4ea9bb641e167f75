//! `Server`: a machine, served to other Linux processes through the gate. Each session is a process of the machine; each
//! of its threads runs on a thread of this process, in that process's context.

use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

use abi::NTSTATUS;
use gate::{
    BindError, CreateFile, DirectoryEntry, Handle, IoStatus, Listener, Peer, ServerOptions, Service,
    SystemCall, SystemReply, Transport, WindowBuffer,
};
use kernel::Kernel;
use kernel::raw::{InputBuffer, OutputBuffer};
use kernel::se::Token;
use thiserror::Error;

use crate::process::Process;

/// Why a machine cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The socket cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The server's threads cannot be started.
    #[error("cannot start to serve: {0}")]
    Start(#[from] io::Error),
}

/// A machine being served. Dropping it stops serving and ends all sessions.
pub struct Server {
    server: gate::Server,
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Server").field("path", &self.path()).finish_non_exhaustive()
    }
}

impl Server {
    pub(crate) fn start(kernel: Arc<Kernel>, path: &Path) -> Result<Self, ServeError> {
        let listener = Listener::bind(path)?;
        let server = listener.serve(ServerOptions::default(), move |peer| {
            Ok(Arc::new(Session::new(kernel.clone(), peer)) as Arc<dyn Service>)
        })?;
        Ok(Self { server })
    }

    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.server.path()
    }

    /// Sessions now.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.server.sessions()
    }

    /// Stops serving: no session is accepted any more, and those that exist end, their handles closed.
    pub fn stop(self) {
        self.server.stop();
    }
}

/// One application.
struct Session {
    process: Process,
}

impl Session {
    fn new(kernel: Arc<Kernel>, peer: &Peer) -> Self {
        let window = peer.window.base()..peer.window.data().end;
        let name = format!("pid {}", peer.credentials.pid);
        let keep = Box::new(peer.window.clone());
        Self { process: Process::in_window(kernel, &name, token_of(peer), window, keep) }
    }
}

/// Who an application is to the machine: an administrator, since the socket admits only the user who serves. Its Linux
/// credentials (`peer.credentials`) are not looked at yet.
fn token_of(_peer: &Peer) -> Token {
    Token::administrator()
}

fn failed(status: NTSTATUS) -> IoStatus {
    IoStatus { status, information: 0 }
}

fn input(buffer: WindowBuffer) -> Option<InputBuffer<'static>> {
    match buffer.length {
        0 => InputBuffer::from_slice(&[]),
        length => InputBuffer::in_window(buffer.address, length),
    }
}

fn output(buffer: WindowBuffer) -> Option<OutputBuffer<'static>> {
    match buffer.length {
        0 => OutputBuffer::from_slice(&mut []),
        length => OutputBuffer::in_window(buffer.address, length),
    }
}

impl Service for Session {
    fn create_file(&self, request: &CreateFile<'_>) -> Result<(Handle, u64), NTSTATUS> {
        self.process.create_file(request)
    }

    fn close(&self, handle: Handle) -> NTSTATUS {
        Transport::close(&self.process, handle)
    }

    fn duplicate_handle(&self, handle: Handle, access: u32, options: u32) -> Result<Handle, NTSTATUS> {
        Transport::duplicate_handle(&self.process, handle, access, options)
    }

    fn read(&self, handle: Handle, buffer: WindowBuffer, offset: Option<u64>) -> IoStatus {
        match output(buffer) {
            Some(buffer) => self.process.read_buffer(handle, buffer, offset),
            None => failed(abi::STATUS_ACCESS_VIOLATION),
        }
    }

    fn write(&self, handle: Handle, buffer: WindowBuffer, offset: Option<u64>) -> IoStatus {
        match input(buffer) {
            Some(data) => self.process.write_buffer(handle, data, offset),
            None => failed(abi::STATUS_ACCESS_VIOLATION),
        }
    }

    fn device_control(
        &self,
        handle: Handle,
        code: u32,
        first: WindowBuffer,
        second: WindowBuffer,
    ) -> IoStatus {
        match (input(first), output(second)) {
            (Some(first), Some(second)) => self.process.control_buffers(handle, code, first, second),
            _ => failed(abi::STATUS_ACCESS_VIOLATION),
        }
    }

    fn query_directory(&self, path: &[u16]) -> Result<Vec<DirectoryEntry>, NTSTATUS> {
        self.process.query_directory(path)
    }

    fn system_call(&self, call: &SystemCall<'_>, output: &mut [u8]) -> SystemReply {
        self.process.call(call, output)
    }

    fn session_ending(&self) {
        self.process.begin_end();
    }

    fn session_ended(&self) {
        self.process.end();
    }
}
