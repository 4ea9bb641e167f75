//! What the rest of this room is made of: the Win32 functions that it calls, on Windows themselves, elsewhere as requests of a
//! Ringbridge machine.

#[cfg(not(windows))]
mod transport;
#[cfg(not(windows))]
mod transport_filter;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
mod windows_filter;

#[cfg(not(windows))]
#[path = "sys/transport_port.rs"]
pub(crate) mod port;
#[cfg(windows)]
#[path = "sys/windows_port.rs"]
pub(crate) mod port;

#[cfg(not(windows))]
pub(crate) use transport::*;
#[cfg(not(windows))]
pub use transport::{ConnectError, Handle, Transport, connect};
#[cfg(not(windows))]
pub(crate) use transport_filter::*;
#[cfg(not(windows))]
#[path = "sys/transport_service.rs"]
pub(crate) mod service;
#[cfg(windows)]
#[path = "sys/windows_service.rs"]
pub(crate) mod service;

#[cfg(windows)]
pub(crate) use windows::*;
#[cfg(windows)]
pub use windows::{ConnectError, Handle, Transport, Win32, connect};
#[cfg(windows)]
pub(crate) use windows_filter::{
    connect_filter_port, filter_get_message, filter_load, filter_reply_and_get_message, filter_reply_message,
    filter_send_message, filter_unload,
};

use crate::file::Disposition;

/// Bytes of an OVERLAPPED, or of what stands in its place.
pub(crate) const OVERLAPPED_SIZE: u32 = 32;

/// Which requests are cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// Those of the calling thread: `CancelIo`.
    Own,
    /// All of the process: `CancelIoEx` without an OVERLAPPED.
    All,
    /// The one with the OVERLAPPED at this address: `CancelIoEx`.
    One(u64),
}

/// What happens to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventChange {
    Set,
    Reset,
    Pulse,
}

/// Memory of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes {
    pub(crate) address: u64,
    pub(crate) length: u32,
}

/// What a request is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    Read { buffer: Bytes, offset: u64 },
    Write { buffer: Bytes, offset: u64 },
    Control { code: u32, input: Bytes, output: Bytes },
    Connect,
    Transact { input: Bytes, output: Bytes },
    GetMessage { buffer: Bytes },
    DirectoryChanges { buffer: Bytes, watch_subtree: bool, filter: u32 },
    Lock { offset: u64, length: u64, exclusive: bool, fail_immediately: bool },
}

/// What CreateFile is given beside a path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Create {
    pub(crate) access: u32,
    pub(crate) share: u32,
    pub(crate) disposition: Disposition,
    pub(crate) overlapped: bool,
    /// FILE_FLAG_BACKUP_SEMANTICS.
    pub(crate) directory: bool,
    /// FILE_FLAG_DELETE_ON_CLOSE.
    pub(crate) delete_on_close: bool,
    /// SECURITY_SQOS_PRESENT with its flags.
    pub(crate) security: u32,
}

/// What CreateNamedPipe is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PipeRequest {
    /// PIPE_ACCESS_*, FILE_FLAG_OVERLAPPED, FILE_FLAG_FIRST_PIPE_INSTANCE.
    pub(crate) open_mode: u32,
    /// PIPE_TYPE_MESSAGE, PIPE_READMODE_MESSAGE, PIPE_NOWAIT, PIPE_REJECT_REMOTE_CLIENTS.
    pub(crate) pipe_mode: u32,
    pub(crate) max_instances: u32,
    pub(crate) out_buffer: u32,
    pub(crate) in_buffer: u32,
    /// Milliseconds; 0 for 50.
    pub(crate) default_timeout: u32,
}

/// How its end is told, besides in the OVERLAPPED.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notice {
    /// Address of the OVERLAPPED: [`OVERLAPPED_SIZE`] bytes of which the first word is STATUS_PENDING.
    pub(crate) overlapped: u64,
    pub(crate) event: Option<Handle>,
    /// The calling thread gets an [`Apc`] with this number; 0 for none.
    pub(crate) routine: u64,
    /// The file's completion port is not told.
    pub(crate) without_packet: bool,
}

/// A completion routine is due in the calling thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Apc {
    /// [`Notice::routine`].
    pub(crate) routine: u64,
    /// [`Notice::overlapped`].
    pub(crate) overlapped: u64,
}

/// A packet of a completion port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    pub(crate) key: u64,
    pub(crate) overlapped: u64,
    pub(crate) status: abi::NTSTATUS,
    pub(crate) bytes: u64,
}

/// Packets that one call takes at most.
pub(crate) const MOST_PACKETS: usize = 64;

impl Start {
    /// The Win32 function that does it.
    pub(crate) fn function(&self) -> &'static str {
        match self {
            Self::Read { .. } => "ReadFile",
            Self::Write { .. } => "WriteFile",
            Self::Control { .. } => "DeviceIoControl",
            Self::Connect => "ConnectNamedPipe",
            Self::Transact { .. } => "TransactNamedPipe",
            Self::GetMessage { .. } => "FilterGetMessage",
            Self::DirectoryChanges { .. } => "ReadDirectoryChangesW",
            Self::Lock { .. } => "LockFileEx",
        }
    }
}
