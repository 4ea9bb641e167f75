//! What a host does for a session: [`Transport`](crate::Transport) once more, with buffers that lie in the window.

use std::sync::Arc;

use abi::NTSTATUS;

use crate::inheritance::Inheritance;
use crate::management::Management;
use crate::server::{EarlyCall, Views};
use crate::socket::PeerCredentials;
use crate::system_call::{SystemCall, SystemReply};
use crate::transport::{CreateFile, DirectoryEntry, Handle, IoStatus};
use crate::window::Window;

/// A buffer of the application, in the session's window. The application may change it at any time.
///
/// The range has been checked to lie in the calling slot's inline data or in the window's data area. An empty buffer
/// has address 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowBuffer {
    /// Where it starts, in both processes.
    pub address: u64,
    /// Bytes.
    pub length: u32,
}

/// A session about to be served.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The application's process, user and group.
    pub credentials: PeerCredentials,
    /// Its supplementary groups when it connected, as Linux vouches for them.
    pub groups: Vec<u32>,
    /// The memory shared with it. It stays mapped until the last clone of this is dropped.
    pub window: Arc<Window>,
    /// What else it can be shown.
    pub views: Arc<Views>,
}

/// Serves one session. Each of the application's threads is served by one thread of the host, from its first request
/// to its end, so that thread-locals here are that thread's own; a request blocks nobody else.
///
/// (Applications with more threads than the session has slots share one host thread among those that came last.)
pub trait Service: Send + Sync + 'static {
    /// As [`Transport::create_file`](crate::Transport::create_file).
    ///
    /// # Errors
    /// The status of the create request.
    fn create_file(&self, request: &CreateFile<'_>) -> Result<(Handle, u64), NTSTATUS>;

    /// As [`Transport::close`](crate::Transport::close).
    fn close(&self, handle: Handle) -> NTSTATUS;

    /// As [`Transport::duplicate_handle`](crate::Transport::duplicate_handle).
    ///
    /// # Errors
    /// The status of the duplication.
    fn duplicate_handle(&self, handle: Handle, access: u32, options: u32) -> Result<Handle, NTSTATUS>;

    /// As [`Transport::read`](crate::Transport::read).
    fn read(&self, handle: Handle, buffer: WindowBuffer, offset: Option<u64>) -> IoStatus;

    /// As [`Transport::write`](crate::Transport::write).
    fn write(&self, handle: Handle, buffer: WindowBuffer, offset: Option<u64>) -> IoStatus;

    /// As [`Transport::device_control`](crate::Transport::device_control). The buffers may overlap.
    fn device_control(
        &self,
        handle: Handle,
        code: u32,
        input: WindowBuffer,
        output: WindowBuffer,
    ) -> IoStatus;

    /// As [`Self::device_control`], for control codes of METHOD_NEITHER, whose output is where the driver writes it. Whoever ends
    /// what the request waits for may answer it by `early`.
    fn device_control_early(
        &self,
        handle: Handle,
        code: u32,
        input: WindowBuffer,
        output: WindowBuffer,
        early: &EarlyCall,
    ) -> IoStatus {
        let _nobody_does = early;
        self.device_control(handle, code, input, output)
    }

    /// As [`Transport::query_directory`](crate::Transport::query_directory).
    ///
    /// # Errors
    /// The status of the query.
    fn query_directory(&self, path: &[u16]) -> Result<Vec<DirectoryEntry>, NTSTATUS>;

    /// As [`Transport::system_call`](crate::Transport::system_call). The addresses in it have not been checked.
    fn system_call(&self, call: &SystemCall<'_>, output: &mut [u8]) -> SystemReply;

    /// As [`Self::system_call`]. Whoever ends what the call waits for may answer it by `early`.
    fn system_call_early(&self, call: &SystemCall<'_>, output: &mut [u8], early: &EarlyCall) -> SystemReply {
        let _nobody_does = early;
        self.system_call(call, output)
    }

    /// What serves requests about drivers.
    ///
    /// # Errors
    /// `STATUS_PRIVILEGE_NOT_HELD` for who is no administrator; `STATUS_NOT_IMPLEMENTED` if nobody does.
    fn management(&self) -> Result<&dyn Management, NTSTATUS> {
        Err(abi::STATUS_NOT_IMPLEMENTED)
    }

    /// What passes handles to other sessions.
    ///
    /// # Errors
    /// `STATUS_NOT_IMPLEMENTED` if nothing does.
    fn inheritance(&self) -> Result<&dyn Inheritance, NTSTATUS> {
        Err(abi::STATUS_NOT_IMPLEMENTED)
    }

    /// A host thread begins to serve one of the application's threads; called on it.
    fn thread_started(&self) {}

    /// A request has been served that came from one of several threads of the application which this host thread serves:
    /// nothing of that thread's may stay with it, such as whom it acts for.
    fn turn_ended(&self) {}

    /// The application's thread or process has ended; called on its host thread, which ends next.
    fn thread_ended(&self) {}

    /// The application has died or closed the session, or the server stops. Called once, while requests may still
    /// be in progress: whoever can block for long cancels them here.
    fn session_ending(&self) {}

    /// All threads of the session have ended. Called once, last; not for sessions that were refused.
    fn session_ended(&self);
}
