//! Win32's functions as requests of a Ringbridge machine, which is reached by any [`Transport`].

mod file;
mod named_pipe;
mod protection;
mod token;

use std::sync::Arc;
use std::time::Duration;

use abi::NTSTATUS;
use gate::{FileCall, IoStatus, MappedView, SharedMemory, SystemCall, UserApc};

pub(crate) use file::*;
pub use gate::{ConnectError, Handle, Transport};
pub(crate) use protection::*;
pub(crate) use token::*;

pub(crate) use named_pipe::{
    create_named_pipe, disconnect_named_pipe, flush, impersonate_named_pipe_client, named_pipe_info,
    named_pipe_process, named_pipe_state, peek_named_pipe, set_named_pipe_state, wait_named_pipe,
};

use super::{Apc, Bytes, Cancelled, EventChange, MOST_PACKETS, Notice, Packet, Start};
use crate::error::Win32Error;
use crate::path::object_path;
use crate::wait::Waited;

/// Connects to the host that listens at [`gate::default_socket_path`]; on Windows there is nothing to connect to.
///
/// # Errors
/// [`ConnectError`], each with what to do about it.
pub fn connect() -> Result<Arc<dyn Transport>, ConnectError> {
    let client = gate::Client::connect(gate::default_socket_path())?;
    Ok(Arc::new(client))
}

fn done(function: &'static str, status: NTSTATUS) -> Result<(), Win32Error> {
    if status.is_success() { Ok(()) } else { Err(Win32Error::new(function, "", status)) }
}

fn call(transport: &dyn Transport, function: &'static str, call: &SystemCall<'_>) -> Result<(), Win32Error> {
    done(function, transport.system_call(call, &mut []).status)
}

/// As NT wants it: in units of 100 ns, negative for relative times.
fn relative(timeout: Option<Duration>) -> Option<i64> {
    let units = |time: Duration| i64::try_from(time.as_nanos().div_ceil(100)).unwrap_or(i64::MAX);
    timeout.map(|time| -units(time))
}

#[inline]
fn transferred(function: &'static str, result: IoStatus) -> Result<u32, Win32Error> {
    crate::error::transferred(function, result.status, result.information)
}

pub(crate) fn close(transport: &dyn Transport, handle: Handle) -> Result<(), Win32Error> {
    done("CloseHandle", transport.close(handle))
}

pub(crate) fn duplicate(transport: &dyn Transport, handle: Handle) -> Result<Handle, Win32Error> {
    let made = transport.duplicate_handle(handle, 0, abi::DUPLICATE_SAME_ACCESS);
    made.map_err(|status| Win32Error::new("DuplicateHandle", "", status))
}

pub(crate) fn read(transport: &dyn Transport, handle: Handle, buffer: &mut [u8]) -> Result<u32, Win32Error> {
    transferred("ReadFile", transport.read(handle, buffer, None))
}

pub(crate) fn write(transport: &dyn Transport, handle: Handle, data: &[u8]) -> Result<u32, Win32Error> {
    transferred("WriteFile", transport.write(handle, data, None))
}

#[inline]
pub(crate) fn control(
    transport: &dyn Transport,
    handle: Handle,
    code: u32,
    input: &[u8],
    output: &mut [u8],
) -> Result<u32, Win32Error> {
    transferred("DeviceIoControl", transport.device_control(handle, code, input, output))
}

/// Memory that requests use while they go on.
#[derive(Debug)]
pub(crate) struct Memory(Box<dyn SharedMemory>);

impl Memory {
    pub(crate) fn new(transport: &dyn Transport, length: u32) -> Result<Self, Win32Error> {
        let allocated = transport.allocate_memory(length);
        allocated.map(Self).map_err(|status| Win32Error::new("VirtualAlloc", "", status))
    }

    pub(crate) fn address(&self) -> u64 {
        self.0.address()
    }

    pub(crate) fn len(&self) -> u32 {
        self.0.len()
    }

    pub(crate) fn read(&self, start: u32, target: &mut [u8]) {
        self.0.read(start, target);
    }

    pub(crate) fn write(&mut self, start: u32, source: &[u8]) {
        self.0.write(start, source);
    }

    pub(crate) fn load(&self, start: u32) -> u32 {
        self.0.load(start)
    }
}

pub(crate) fn begin(
    transport: &dyn Transport,
    handle: Handle,
    start: Start,
    notice: Notice,
) -> Result<(), Win32Error> {
    let has_context = notice.routine != 0 || !notice.without_packet;
    let notice = gate::Notice {
        io_status_block: notice.overlapped,
        event: notice.event,
        apc_routine: notice.routine,
        apc_context: if has_context { notice.overlapped } else { 0 },
    };
    let memory = |bytes: Bytes| gate::Memory { address: bytes.address, length: bytes.length };
    let request = match start {
        Start::Read { buffer, offset } => {
            SystemCall::Read { handle, buffer: memory(buffer), offset: Some(offset), notice }
        }
        Start::Write { buffer, offset } => {
            SystemCall::Write { handle, buffer: memory(buffer), offset: Some(offset), notice }
        }
        Start::Control { code, input, output } => {
            let (input, output) = (memory(input), memory(output));
            SystemCall::DeviceControl { handle, code, input, output, notice }
        }
        Start::Connect => {
            let nothing = gate::Memory { address: notice.io_status_block, length: 0 };
            let code = abi::FSCTL_PIPE_LISTEN;
            SystemCall::FsControl { handle, code, input: nothing, output: nothing, notice }
        }
        Start::Transact { input, output } => {
            let (input, output, code) = (memory(input), memory(output), abi::FSCTL_PIPE_TRANSCEIVE);
            SystemCall::FsControl { handle, code, input, output, notice }
        }
        Start::GetMessage { buffer } => {
            let (input, output) = (gate::Memory::default(), memory(buffer));
            SystemCall::DeviceControl { handle, code: abi::FILTER_PORT_GET_MESSAGE, input, output, notice }
        }
        Start::DirectoryChanges { buffer, watch_subtree: watch_tree, filter } => {
            let buffer = memory(buffer);
            SystemCall::File(FileCall::NotifyChangeDirectory { handle, buffer, filter, watch_tree, notice })
        }
        Start::Lock { offset, length, exclusive, fail_immediately } => {
            let flags = if exclusive { abi::SL_EXCLUSIVE_LOCK } else { 0 }
                | if fail_immediately { abi::SL_FAIL_IMMEDIATELY } else { 0 };
            SystemCall::File(FileCall::Lock { handle, range: range(offset, length), flags, notice })
        }
    };
    let status = transport.system_call(&request, &mut []).status;
    // A warning has ended the request in its call, with all that belongs to an end.
    if status.is_error() { Err(Win32Error::new(start.function(), "", status)) } else { Ok(()) }
}

pub(crate) fn cancel(transport: &dyn Transport, handle: Handle, which: Cancelled) -> Result<(), Win32Error> {
    match which {
        Cancelled::Own => call(transport, "CancelIo", &SystemCall::CancelIoFile { handle }),
        Cancelled::All => {
            call(transport, "CancelIoEx", &SystemCall::CancelIoFileEx { handle, io_status_block: 0 })
        }
        Cancelled::One(io_status_block) => {
            call(transport, "CancelIoEx", &SystemCall::CancelIoFileEx { handle, io_status_block })
        }
    }
}

/// Whether calls can still succeed.
pub(crate) fn is_connected(transport: &dyn Transport) -> bool {
    transport.is_connected()
}

fn event_error(function: &'static str, name: &str, status: NTSTATUS) -> Win32Error {
    let mut error = Win32Error::new(function, name, status);
    if status == abi::STATUS_OBJECT_TYPE_MISMATCH {
        // What Win32 documents for a name of another type.
        error.code = abi::ERROR_INVALID_HANDLE;
    }
    error
}

/// True besides the handle: it existed.
pub(crate) fn create_event(
    transport: &dyn Transport,
    name: Option<&str>,
    manual_reset: bool,
    initial_state: bool,
) -> Result<(Handle, bool), Win32Error> {
    let event_type = if manual_reset { abi::NotificationEvent } else { abi::SynchronizationEvent };
    let path = name.map(object_path).unwrap_or_default();
    let desired_access = abi::EVENT_ALL_ACCESS;
    let request = SystemCall::CreateEvent { name: &path, desired_access, event_type, initial_state };
    let reply = transport.system_call(&request, &mut []);
    if reply.status.is_success() {
        Ok((reply.handle, reply.information != 0))
    } else {
        Err(event_error("CreateEvent", name.unwrap_or_default(), reply.status))
    }
}

pub(crate) fn open_event(transport: &dyn Transport, name: &str, access: u32) -> Result<Handle, Win32Error> {
    let request = SystemCall::OpenEvent { name: &object_path(name), desired_access: access };
    let reply = transport.system_call(&request, &mut []);
    if reply.status.is_success() {
        Ok(reply.handle)
    } else {
        Err(event_error("OpenEvent", name, reply.status))
    }
}

pub(crate) fn change_event(
    transport: &dyn Transport,
    handle: Handle,
    change: EventChange,
) -> Result<(), Win32Error> {
    match change {
        EventChange::Set => call(transport, "SetEvent", &SystemCall::SetEvent { handle }),
        EventChange::Reset => call(transport, "ResetEvent", &SystemCall::ResetEvent { handle }),
        EventChange::Pulse => call(transport, "PulseEvent", &SystemCall::PulseEvent { handle }),
    }
}

pub(crate) fn wait(
    transport: &dyn Transport,
    handles: &[Handle],
    all: bool,
    alertable: bool,
    timeout: Option<Duration>,
) -> Result<Waited, Win32Error> {
    let request = SystemCall::Wait { handles, all, alertable, timeout: relative(timeout) };
    outcome("WaitForMultipleObjects", transport.system_call(&request, &mut []).status)
}

/// `None` waits for ever.
pub(crate) fn sleep(
    transport: &dyn Transport,
    alertable: bool,
    time: Option<Duration>,
) -> Result<Waited, Win32Error> {
    // Longer than any machine runs.
    let interval = relative(time).unwrap_or(-i64::MAX);
    let status = transport.system_call(&SystemCall::Delay { alertable, interval }, &mut []).status;
    let waited = outcome("SleepEx", status)?;
    Ok(if waited == Waited::CompletionRoutine { waited } else { Waited::TimedOut })
}

fn outcome(function: &'static str, status: NTSTATUS) -> Result<Waited, Win32Error> {
    const MOST: u32 = abi::MAXIMUM_WAIT_OBJECTS;
    let bits = status.bits();
    let index = |first: NTSTATUS| (bits - first.bits()) as usize;
    match status {
        abi::STATUS_TIMEOUT => Ok(Waited::TimedOut),
        abi::STATUS_USER_APC => Ok(Waited::CompletionRoutine),
        _ if bits < MOST => Ok(Waited::Signaled(index(abi::STATUS_SUCCESS))),
        _ if (abi::STATUS_ABANDONED.bits()..abi::STATUS_ABANDONED.bits() + MOST).contains(&bits) => {
            Ok(Waited::Abandoned(index(abi::STATUS_ABANDONED)))
        }
        _ => Err(Win32Error::new(function, "", status)),
    }
}

/// The calling thread, for others.
#[derive(Debug)]
pub(crate) struct ThreadHandle(u32);

impl ThreadHandle {
    pub(crate) fn current(transport: &dyn Transport) -> Result<Self, Win32Error> {
        let reply = transport.system_call(&SystemCall::GetCurrentThreadId, &mut []);
        done("OpenThread", reply.status)?;
        Ok(Self(u32::try_from(reply.information).unwrap_or(0)))
    }

    pub(crate) fn cancel_synchronous_io(&self, transport: &dyn Transport) -> Result<(), Win32Error> {
        call(transport, "CancelSynchronousIo", &SystemCall::CancelSynchronousIoFile { thread: self.0 })
    }
}

/// The calling thread's oldest.
pub(crate) fn take_apc(transport: &dyn Transport) -> Option<Apc> {
    let mut room = [0; UserApc::SIZE];
    let reply = transport.system_call(&SystemCall::TakeUserApc, &mut room);
    let apc = UserApc::from_bytes(&room);
    (reply.status == abi::STATUS_SUCCESS)
        .then_some(Apc { routine: apc.routine, overlapped: apc.arguments[0] })
}

pub(crate) fn create_port(transport: &dyn Transport, threads: u32) -> Result<Handle, Win32Error> {
    let desired_access = abi::IO_COMPLETION_ALL_ACCESS;
    let request = SystemCall::CreateIoCompletion { name: &[], desired_access, threads };
    let reply = transport.system_call(&request, &mut []);
    done("CreateIoCompletionPort", reply.status).map(|()| reply.handle)
}

pub(crate) fn associate(
    transport: &dyn Transport,
    port: Handle,
    file: Handle,
    key: u64,
) -> Result<(), Win32Error> {
    call(transport, "CreateIoCompletionPort", &SystemCall::SetFileCompletion { handle: file, port, key })
}

pub(crate) fn post(
    transport: &dyn Transport,
    port: Handle,
    key: u64,
    overlapped: u64,
    bytes: u32,
) -> Result<(), Win32Error> {
    let result = IoStatus { status: abi::STATUS_SUCCESS, information: bytes.into() };
    let packet = gate::CompletionPacket { key, context: overlapped, result };
    call(transport, "PostQueuedCompletionStatus", &SystemCall::SetIoCompletion { handle: port, packet })
}

/// Waits for a packet, and takes as many as there are and `packets` has room for, at most [`MOST_PACKETS`]. 0: none came in time.
pub(crate) fn take_packets(
    transport: &dyn Transport,
    port: Handle,
    packets: &mut [Packet],
    timeout: Option<Duration>,
) -> Result<usize, Win32Error> {
    const SIZE: usize = gate::CompletionPacket::SIZE;
    let mut room = [0; MOST_PACKETS * SIZE];
    let room = &mut room[..packets.len().min(MOST_PACKETS) * SIZE];
    let timeout = relative(timeout);
    let request = SystemCall::RemoveIoCompletion { handle: port, alertable: false, timeout };
    let reply = transport.system_call(&request, room);
    match reply.status {
        abi::STATUS_SUCCESS => {
            let count = usize::try_from(reply.information).unwrap_or(usize::MAX) / SIZE;
            let told = room.as_chunks().0.iter().take(count);
            let mut taken = 0;
            for (place, bytes) in packets.iter_mut().zip(told) {
                let gate::CompletionPacket { key, context, result } =
                    gate::CompletionPacket::from_bytes(bytes);
                let IoStatus { status, information } = result;
                *place = Packet { key, overlapped: context, status, bytes: information };
                taken += 1;
            }
            Ok(taken)
        }
        abi::STATUS_TIMEOUT | abi::STATUS_USER_APC => Ok(0),
        status => {
            let mut error = Win32Error::new("GetQueuedCompletionStatus", "", status);
            if status == abi::STATUS_ABANDONED_WAIT_0 {
                error.code = abi::ERROR_ABANDONED_WAIT_0;
            }
            Err(error)
        }
    }
}

pub(crate) fn set_notification_modes(
    transport: &dyn Transport,
    handle: Handle,
    flags: u32,
) -> Result<(), Win32Error> {
    let request = SystemCall::SetCompletionNotificationModes { handle, flags };
    call(transport, "SetFileCompletionNotificationModes", &request)
}

pub(crate) fn create_file_mapping(
    transport: &dyn Transport,
    file: Option<Handle>,
    name: Option<&str>,
    size: u64,
    writable: bool,
) -> Result<(Handle, bool), Win32Error> {
    let path = name.map(object_path).unwrap_or_default();
    let request = SystemCall::CreateSection {
        name: &path,
        // What CreateFileMapping asks for.
        desired_access: abi::STANDARD_RIGHTS_REQUIRED
            | abi::SECTION_QUERY
            | abi::SECTION_MAP_READ
            | if writable { abi::SECTION_MAP_WRITE } else { 0 },
        size,
        protection: protection(writable),
        attributes: abi::SEC_COMMIT,
        file,
    };
    let reply = transport.system_call(&request, &mut []);
    if reply.status.is_error() {
        return Err(Win32Error::new("CreateFileMapping", name.unwrap_or_default(), reply.status));
    }
    Ok((reply.handle, reply.status == abi::STATUS_OBJECT_NAME_EXISTS))
}

pub(crate) fn open_file_mapping(
    transport: &dyn Transport,
    name: &str,
    writable: bool,
) -> Result<Handle, Win32Error> {
    let desired_access = abi::SECTION_MAP_READ | if writable { abi::SECTION_MAP_WRITE } else { 0 };
    let request = SystemCall::OpenSection { name: &object_path(name), desired_access };
    let reply = transport.system_call(&request, &mut []);
    if reply.status.is_success() {
        Ok(reply.handle)
    } else {
        Err(Win32Error::new("OpenFileMapping", name, reply.status))
    }
}

/// Room for a name, in bytes; as much as the host gives.
const NAME_ROOM: usize = 1024;

pub(crate) fn device_interfaces(
    transport: &dyn Transport,
    class: &abi::GUID,
) -> Result<Vec<String>, Win32Error> {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&class.Data1.to_le_bytes());
    bytes[4..6].copy_from_slice(&class.Data2.to_le_bytes());
    bytes[6..8].copy_from_slice(&class.Data3.to_le_bytes());
    bytes[8..].copy_from_slice(&class.Data4);
    let mut paths = Vec::new();
    for index in 0..u32::MAX {
        let mut room = [0; NAME_ROOM];
        let call = SystemCall::GetDeviceInterface { class: bytes, index };
        let reply = transport.system_call(&call, &mut room);
        match reply.status {
            abi::STATUS_NO_MORE_ENTRIES => break,
            status => done("CM_Get_Device_Interface_List", status)?,
        }
        let length = usize::try_from(reply.information).unwrap_or(NAME_ROOM).min(NAME_ROOM);
        let (units, _) = room[..length].as_chunks::<2>();
        let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
        // As applications write it.
        paths.push(String::from_utf16_lossy(&units).replacen(r"\??\", r"\\?\", 1));
    }
    Ok(paths)
}

pub(crate) fn handle_value(handle: Handle) -> u64 {
    u64::from(handle.0)
}

fn protection(writable: bool) -> u32 {
    if writable { abi::PAGE_READWRITE } else { abi::PAGE_READONLY }
}

/// Address and length of the view.
pub(crate) fn map_view(
    transport: &dyn Transport,
    mapping: Handle,
    offset: u64,
    size: u64,
    writable: bool,
    base: u64,
) -> Result<(u64, u64), Win32Error> {
    let view = MappedView { base, offset, size };
    let request = SystemCall::MapViewOfSection { handle: mapping, view, protection: protection(writable) };
    let mut room = [0; MappedView::SIZE];
    let reply = transport.system_call(&request, &mut room);
    done("MapViewOfFileEx", reply.status)?;
    let view = MappedView::from_bytes(&room);
    Ok((view.base, view.size))
}

pub(crate) fn unmap_view(transport: &dyn Transport, address: u64) -> Result<(), Win32Error> {
    call(transport, "UnmapViewOfFile", &SystemCall::UnmapViewOfSection { address })
}

pub(crate) fn flush_view(transport: &dyn Transport, address: u64, length: u64) -> Result<(), Win32Error> {
    call(transport, "FlushViewOfFile", &SystemCall::FlushVirtualMemory { address, length })
}

/// Access to what is shown to the process.
#[derive(Debug)]
pub(crate) struct Shown(gate::View);

impl Shown {
    pub(crate) fn at(transport: &dyn Transport, address: u64, length: u64) -> Result<Self, Win32Error> {
        transport.view(address, length).map(Self).map_err(refused)
    }

    pub(crate) fn address(&self) -> u64 {
        self.0.address()
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }

    #[inline]
    pub(crate) fn read(&self, start: u64, target: &mut [u8]) -> Result<(), Win32Error> {
        self.0.read(start, target).map_err(refused)
    }

    #[inline]
    pub(crate) fn write(&self, start: u64, source: &[u8]) -> Result<(), Win32Error> {
        self.0.write(start, source).map_err(refused)
    }

    #[inline]
    pub(crate) fn load_u32(&self, start: u64) -> Result<u32, Win32Error> {
        self.0.load(start).map_err(refused)
    }

    #[inline]
    pub(crate) fn store_u32(&self, start: u64, value: u32) -> Result<(), Win32Error> {
        self.0.store(start, value).map_err(refused)
    }

    #[inline]
    pub(crate) fn load_u64(&self, start: u64) -> Result<u64, Win32Error> {
        self.0.load(start).map_err(refused)
    }

    #[inline]
    pub(crate) fn store_u64(&self, start: u64, value: u64) -> Result<(), Win32Error> {
        self.0.store(start, value).map_err(refused)
    }
}

#[cold]
fn refused(status: NTSTATUS) -> Win32Error {
    Win32Error::new("access to a view", "", status)
}
