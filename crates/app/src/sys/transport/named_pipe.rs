//! The functions of named pipes.

use abi::{NTSTATUS, STATUS_INVALID_PARAMETER};
use gate::{CreateFile, Handle, NamedPipe, Notice, SystemCall, Transport};

use super::{Memory, done};
use crate::error::Win32Error;
use crate::named_pipe::{HandleState, NamedPipeInfo, Peek, flags};
use crate::path::nt_path;
use crate::sys::PipeRequest;

/// Bytes of an IO_STATUS_BLOCK.
const BLOCK: u32 = 16;

/// A file system control request that ends in its call; how many bytes of `output` it has filled.
fn fs_control(
    transport: &dyn Transport,
    handle: Handle,
    code: u32,
    input: &[u8],
    output: &mut [u8],
) -> Result<(NTSTATUS, u32), NTSTATUS> {
    let lengths = [input, output].map(|bytes| u32::try_from(bytes.len()));
    let [Ok(first), Ok(second)] = lengths else { return Err(abi::STATUS_INVALID_BUFFER_SIZE) };
    let round = |length: u32| length.checked_next_multiple_of(BLOCK);
    let sizes = round(first).zip(round(second)).and_then(|(first, second)| {
        let total = first.checked_add(second)?.checked_add(BLOCK)?;
        Some((first, total))
    });
    let (output_at, total) = sizes.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?;
    let mut memory = Memory::new(transport, total).map_err(|error| error.status)?;
    memory.write(0, input);
    let place = |start: u32, length| gate::Memory { address: memory.address() + u64::from(start), length };
    let block = total - BLOCK;
    let notice = Notice { io_status_block: place(block, BLOCK).address, ..Notice::default() };
    let (input, into) = (place(0, first), place(output_at, second));
    let request = SystemCall::FsControl { handle, code, input, output: into, notice };
    let status = transport.system_call(&request, &mut []).status;
    if status.is_error() {
        return Err(status);
    }
    let mut information = [0; 8];
    memory.read(block + 8, &mut information);
    let bytes = u32::try_from(u64::from_le_bytes(information)).unwrap_or(u32::MAX).min(second);
    memory.read(output_at, &mut output[..bytes as usize]);
    Ok((status, bytes))
}

pub(crate) fn create_named_pipe(
    transport: &dyn Transport,
    name: &str,
    request: &PipeRequest,
    descriptor: &[u8],
) -> Result<Handle, Win32Error> {
    let refused = |status| Win32Error::new("CreateNamedPipe", name, status);
    let (access, share) = match request.open_mode & flags::PIPE_ACCESS_DUPLEX {
        flags::PIPE_ACCESS_INBOUND => (abi::GENERIC_READ, abi::FILE_SHARE_WRITE),
        flags::PIPE_ACCESS_OUTBOUND => (abi::GENERIC_WRITE, abi::FILE_SHARE_READ),
        flags::PIPE_ACCESS_DUPLEX => {
            (abi::GENERIC_READ | abi::GENERIC_WRITE, abi::FILE_SHARE_READ | abi::FILE_SHARE_WRITE)
        }
        _ => return Err(refused(STATUS_INVALID_PARAMETER)),
    };
    let has = |bits: u32, flag: u32, value: u32| if bits & flag != 0 { value } else { 0 };
    let overlapped = request.open_mode & flags::FILE_FLAG_OVERLAPPED != 0;
    let first_only = request.open_mode & flags::FILE_FLAG_FIRST_PIPE_INSTANCE != 0;
    let mode = request.pipe_mode;
    let unlimited = request.max_instances == flags::PIPE_UNLIMITED_INSTANCES;
    let milliseconds = if request.default_timeout == 0 { 50 } else { request.default_timeout };
    let pipe = NamedPipe {
        // FILE_WRITE_ATTRIBUTES lets a server that only reads set its mode. (Confirm: what CreateNamedPipe asks for besides.)
        desired_access: access | abi::SYNCHRONIZE | abi::FILE_READ_ATTRIBUTES | abi::FILE_WRITE_ATTRIBUTES,
        share_access: share,
        create_disposition: if first_only { abi::FILE_CREATE } else { abi::FILE_OPEN_IF },
        create_options: if overlapped { 0 } else { abi::FILE_SYNCHRONOUS_IO_NONALERT },
        pipe_type: has(mode, flags::PIPE_TYPE_MESSAGE, abi::FILE_PIPE_MESSAGE_TYPE)
            | has(mode, flags::PIPE_REJECT_REMOTE_CLIENTS, abi::FILE_PIPE_REJECT_REMOTE_CLIENTS),
        read_mode: has(mode, flags::PIPE_READMODE_MESSAGE, abi::FILE_PIPE_MESSAGE_MODE),
        completion_mode: has(mode, flags::PIPE_NOWAIT, abi::FILE_PIPE_COMPLETE_OPERATION),
        maximum_instances: if unlimited { u32::MAX } else { request.max_instances },
        inbound_quota: request.in_buffer,
        outbound_quota: request.out_buffer,
        default_timeout: -10_000 * i64::from(milliseconds),
    };
    let path = nt_path(name);
    let reply =
        transport.system_call(&SystemCall::CreateNamedPipeFile { name: &path, pipe, descriptor }, &mut []);
    if reply.status.is_success() { Ok(reply.handle) } else { Err(refused(reply.status)) }
}

/// `timeout` in milliseconds: NMPWAIT_USE_DEFAULT_WAIT, NMPWAIT_WAIT_FOREVER.
pub(crate) fn wait_named_pipe(transport: &dyn Transport, name: &str, timeout: u32) -> Result<(), Win32Error> {
    const ROOT: &str = r"\??\pipe\";
    let refused = |status| Win32Error::new("WaitNamedPipe", name, status);
    let path = nt_path(name);
    let root: Vec<u16> = ROOT.encode_utf16().collect();
    let upper = |unit: u16| u8::try_from(unit).map_or(unit, |byte| byte.to_ascii_uppercase().into());
    let is_pipe =
        path.len() > root.len() && path.iter().zip(&root).all(|(one, other)| upper(*one) == upper(*other));
    if !is_pipe {
        return Err(refused(abi::STATUS_OBJECT_PATH_SYNTAX_BAD));
    }
    let request = CreateFile {
        path: &root,
        desired_access: abi::SYNCHRONIZE | abi::FILE_READ_ATTRIBUTES,
        file_attributes: 0,
        share_access: abi::FILE_SHARE_READ | abi::FILE_SHARE_WRITE,
        create_disposition: abi::FILE_OPEN,
        create_options: abi::FILE_SYNCHRONOUS_IO_NONALERT,
        security_qos: None,
    };
    let (handle, _) = transport.create_file(&request).map_err(refused)?;
    let (time, is_specified) = match timeout {
        flags::NMPWAIT_USE_DEFAULT_WAIT => (0, 0),
        flags::NMPWAIT_WAIT_FOREVER => (i64::MIN, 1),
        milliseconds => (-10_000 * i64::from(milliseconds), 1),
    };
    let name = &path[root.len()..];
    let length = u32::try_from(name.len() * 2).unwrap_or(u32::MAX);
    let mut input = Vec::with_capacity(14 + name.len() * 2);
    input.extend(time.to_le_bytes());
    input.extend(length.to_le_bytes());
    input.extend([is_specified, 0]);
    input.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
    let waited = fs_control(transport, handle, abi::FSCTL_PIPE_WAIT, &input, &mut []);
    let _nothing_else_to_tell = transport.close(handle);
    waited.map(drop).map_err(refused)
}

pub(crate) fn disconnect_named_pipe(transport: &dyn Transport, handle: Handle) -> Result<(), Win32Error> {
    let done = fs_control(transport, handle, abi::FSCTL_PIPE_DISCONNECT, &[], &mut []);
    done.map(drop).map_err(|status| Win32Error::new("DisconnectNamedPipe", "", status))
}

pub(crate) fn peek_named_pipe(
    transport: &dyn Transport,
    handle: Handle,
    buffer: &mut [u8],
) -> Result<Peek, Win32Error> {
    const HEADER: usize = 16;
    let mut output = vec![0; HEADER + buffer.len()];
    let (_, bytes) = fs_control(transport, handle, abi::FSCTL_PIPE_PEEK, &[], &mut output)
        .map_err(|status| Win32Error::new("PeekNamedPipe", "", status))?;
    let word = |index: usize| output[index * 4..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let read = (bytes as usize).saturating_sub(HEADER).min(buffer.len());
    buffer[..read].copy_from_slice(&output[HEADER..HEADER + read]);
    let read = u32::try_from(read).unwrap_or(u32::MAX);
    Ok(Peek { read, available: word(1), left_this_message: word(3).saturating_sub(read) })
}

fn query(
    transport: &dyn Transport,
    function: &'static str,
    handle: Handle,
    class: i32,
    words: &mut [u32],
) -> Result<(), Win32Error> {
    let mut output = vec![0; words.len() * 4];
    let request = SystemCall::QueryInformationFile { handle, class };
    done(function, transport.system_call(&request, &mut output).status)?;
    for (word, bytes) in words.iter_mut().zip(output.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    Ok(())
}

pub(crate) fn named_pipe_info(
    transport: &dyn Transport,
    handle: Handle,
) -> Result<NamedPipeInfo, Win32Error> {
    let mut words = [0; 10];
    query(transport, "GetNamedPipeInfo", handle, abi::FilePipeLocalInformation, &mut words)?;
    let [pipe_type, _, maximum, _, inbound, _, outbound, _, _, end] = words;
    Ok(NamedPipeInfo {
        is_server: end == abi::FILE_PIPE_SERVER_END,
        is_message_type: pipe_type & abi::FILE_PIPE_MESSAGE_TYPE != 0,
        out_buffer: outbound,
        in_buffer: inbound,
        max_instances: if maximum == u32::MAX { flags::PIPE_UNLIMITED_INSTANCES } else { maximum },
    })
}

pub(crate) fn named_pipe_state(transport: &dyn Transport, handle: Handle) -> Result<HandleState, Win32Error> {
    let (mut mode, mut local) = ([0; 2], [0; 10]);
    query(transport, "GetNamedPipeHandleState", handle, abi::FilePipeInformation, &mut mode)?;
    query(transport, "GetNamedPipeHandleState", handle, abi::FilePipeLocalInformation, &mut local)?;
    Ok(HandleState {
        reads_messages: mode[0] == abi::FILE_PIPE_MESSAGE_MODE,
        never_waits: mode[1] == abi::FILE_PIPE_COMPLETE_OPERATION,
        instances: local[3],
    })
}

pub(crate) fn set_named_pipe_state(
    transport: &dyn Transport,
    handle: Handle,
    reads_messages: bool,
    never_waits: bool,
) -> Result<(), Win32Error> {
    let words = [u32::from(reads_messages), u32::from(never_waits)].map(u32::to_le_bytes).concat();
    let class = abi::FilePipeInformation;
    let request = SystemCall::SetInformationFile { handle, class, data: &words };
    done("SetNamedPipeHandleState", transport.system_call(&request, &mut []).status)
}

pub(crate) fn named_pipe_process(
    transport: &dyn Transport,
    handle: Handle,
    of_server: bool,
) -> Result<u32, Win32Error> {
    let (function, code, name): (_, _, &[u8]) = if of_server {
        ("GetNamedPipeServerProcessId", abi::FSCTL_PIPE_GET_PIPE_ATTRIBUTE, b"ServerProcessId\0")
    } else {
        ("GetNamedPipeClientProcessId", abi::FSCTL_PIPE_GET_CONNECTION_ATTRIBUTE, b"ClientProcessId\0")
    };
    let mut output = [0; 4];
    fs_control(transport, handle, code, name, &mut output)
        .map_err(|status| Win32Error::new(function, "", status))?;
    Ok(u32::from_le_bytes(output))
}

pub(crate) fn impersonate_named_pipe_client(
    transport: &dyn Transport,
    handle: Handle,
) -> Result<(), Win32Error> {
    let done = fs_control(transport, handle, abi::FSCTL_PIPE_IMPERSONATE, &[], &mut []);
    done.map(drop).map_err(|status| Win32Error::new("ImpersonateNamedPipeClient", "", status))
}

pub(crate) fn flush(transport: &dyn Transport, handle: Handle) -> Result<(), Win32Error> {
    super::call(transport, "FlushFileBuffers", &SystemCall::FlushBuffersFile { handle })
}
