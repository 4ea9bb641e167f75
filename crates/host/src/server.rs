//! `Server`: a machine, served to other Linux processes through the gate. Each session is a process of the machine; each
//! of its threads runs on a thread of this process, in that process's context.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

use abi::NTSTATUS;
use gate::{
    Admission, BindError, CreateFile, DirectoryEntry, EarlyCall, Handle, Inheritance, IoStatus, Listener,
    Management, Peer, ServerOptions, Service, SystemCall, SystemReply, Transport, WindowBuffer,
};
use kernel::mm::SessionWindow;
use kernel::raw::{InputBuffer, OutputBuffer};
use kernel::se::Token;
use platform::pages::PagesError;
use platform::shared_memory::SharedMemory;
use thiserror::Error;

use crate::early_answer::early_answer;
use crate::inheritance::Offers;
use crate::machine::Machine;
use crate::management::Drivers;
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

/// Who may use a machine from other Linux processes, and as whom.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServeOptions {
    /// Who may connect at all.
    pub admission: Admission,
    /// A Linux group whose members are administrators of the machine (`BUILTIN\Administrators`), as root and the user who
    /// serves are. It admits nobody by itself.
    pub administrators: Option<u32>,
    /// Whether host threads look for the next request before they sleep.
    pub spin: gate::Spin,
}

impl ServeOptions {
    /// Who an application is to the machine, by the credentials with which it connected: an administrator or a standard
    /// user.
    ///
    /// The user who serves could change the machine's memory at will, so that withholding rights in it would protect
    /// nothing.
    fn token_of(&self, peer: &Peer) -> Token {
        let is_member = |group: u32| peer.credentials.gid == group || peer.groups.contains(&group);
        if peer.credentials.is_root_or_own() || self.administrators.is_some_and(is_member) {
            Token::administrator()
        } else {
            Token::user()
        }
    }
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
    pub(crate) fn start(machine: Machine, path: &Path, options: ServeOptions) -> Result<Self, ServeError> {
        let listener = Listener::bind_for(path, options.admission)?;
        let offers = Arc::new(Offers::default());
        let gate_options = ServerOptions { spin: options.spin, ..ServerOptions::default() };
        let server = listener.serve(gate_options, move |peer| {
            let token = options.token_of(peer);
            Ok(Arc::new(Session::new(&machine, peer, token, offers.clone())) as Arc<dyn Service>)
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
pub(crate) struct Session {
    pub(crate) process: Process,
    pub(crate) offers: Arc<Offers>,
    /// What an administrator may manage.
    management: Option<Drivers>,
}

impl Session {
    fn new(machine: &Machine, peer: &Peer, token: Token, offers: Arc<Offers>) -> Self {
        let name = format!("pid {}", peer.credentials.pid);
        let window = Box::new(SharedWindow { window: peer.window.clone(), views: peer.views.clone() });
        let management = token.is_administrator().then(|| Drivers(machine.share()));
        let process = Process::in_window(machine.kernel().clone(), &name, token, window);
        Self { process, offers, management }
    }
}

/// What a session shares with its application, as the kernel uses it.
#[derive(Debug)]
struct SharedWindow {
    window: Arc<gate::Window>,
    views: Arc<gate::Views>,
}

impl SessionWindow for SharedWindow {
    fn data(&self) -> Range<u64> {
        self.window.base()..self.window.data().end
    }

    fn views(&self) -> Range<u64> {
        self.views.span()
    }

    fn map(
        &self,
        address: u64,
        memory: &SharedMemory,
        part: Range<usize>,
        writable: bool,
    ) -> Result<(), PagesError> {
        self.views.map(address, memory, part, writable)
    }

    fn unmap(&self, address: u64, length: u64) -> Result<(), PagesError> {
        self.views.unmap(address, length)
    }
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

    fn device_control_early(
        &self,
        handle: Handle,
        code: u32,
        first: WindowBuffer,
        second: WindowBuffer,
        early: &EarlyCall,
    ) -> IoStatus {
        match (input(first), output(second)) {
            (Some(first), Some(second)) => {
                let early = early_answer(early);
                self.process.control_buffers_early(handle, code, first, second, Some(&early))
            }
            _ => failed(abi::STATUS_ACCESS_VIOLATION),
        }
    }

    fn query_directory(&self, path: &[u16]) -> Result<Vec<DirectoryEntry>, NTSTATUS> {
        self.process.query_directory(path)
    }

    fn system_call(&self, call: &SystemCall<'_>, output: &mut [u8]) -> SystemReply {
        self.process.call(call, output)
    }

    fn system_call_early(&self, call: &SystemCall<'_>, output: &mut [u8], early: &EarlyCall) -> SystemReply {
        match call {
            SystemCall::Port(call) => self.process.port_call_early(call, output, early),
            _ => self.process.call(call, output),
        }
    }

    fn management(&self) -> Result<&dyn Management, NTSTATUS> {
        let management = self.management.as_ref().map(|drivers| drivers as &dyn Management);
        management.ok_or(abi::STATUS_PRIVILEGE_NOT_HELD)
    }

    fn inheritance(&self) -> Result<&dyn Inheritance, NTSTATUS> {
        Ok(self)
    }

    fn turn_ended(&self) {
        self.process.revert_to_self();
        self.process.abandon_mutants();
    }

    fn thread_ended(&self) {
        self.process.end_thread();
    }

    fn session_ending(&self) {
        self.process.begin_end();
    }

    fn session_ended(&self) {
        self.offers.withdraw(self.process.id());
        self.process.end();
    }
}
