//! Named pipes: `CreateNamedPipe`, `ConnectNamedPipe` and their kin. Both ends are files, which `CreateFile` opens and `ReadFile` reads.

use std::sync::atomic::{AtomicU32, Ordering};

use app::PipeWait;
use gate::{CreateFile, NamedPipe, SystemCall};

use crate::device::{count, ended};
use crate::failure::{Failure, MISSING, checked, done, fail};
use crate::fs_control::{at_once, with_bytes};
use crate::handle;
use crate::pending::{self, Action, Span, Told};
use crate::pointer::Pointer;
use crate::security::{SECURITY_ATTRIBUTES, descriptor};
use crate::session::{ask, call, session};
use crate::text::Text;
use crate::types::{BOOL, HANDLE, OVERLAPPED};

const PIPE_ACCESS_INBOUND: u32 = 1;
const PIPE_ACCESS_OUTBOUND: u32 = 2;
const PIPE_ACCESS_DUPLEX: u32 = 3;
const FILE_FLAG_FIRST_PIPE_INSTANCE: u32 = 0x0008_0000;
const FILE_FLAG_OVERLAPPED: u32 = 0x4000_0000;
const FILE_FLAG_WRITE_THROUGH: u32 = 0x8000_0000;
/// WRITE_DAC, WRITE_OWNER and ACCESS_SYSTEM_SECURITY, which may be among the open mode.
const RIGHTS: u32 = 0x010C_0000;
const PIPE_NOWAIT: u32 = 1;
const PIPE_READMODE_MESSAGE: u32 = 2;
const PIPE_TYPE_MESSAGE: u32 = 4;
const PIPE_REJECT_REMOTE_CLIENTS: u32 = 8;
const PIPE_UNLIMITED_INSTANCES: u32 = 255;
const PIPE_SERVER_END: u32 = 1;
const NMPWAIT_USE_DEFAULT_WAIT: u32 = 0;
const NMPWAIT_NOWAIT: u32 = 1;
const NMPWAIT_WAIT_FOREVER: u32 = u32::MAX;
/// Of pipes without a size.
const USUAL_SIZE: u32 = 4096;

/// What `CreateNamedPipe` is given beside a name.
#[derive(Clone, Copy)]
struct Wanted {
    attributes: Pointer<SECURITY_ATTRIBUTES>,
    open_mode: u32,
    pipe_mode: u32,
    instances: u32,
    out_size: u32,
    in_size: u32,
    milliseconds: u32,
}

fn picked(bits: u32, flag: u32, value: u32) -> u32 {
    if bits & flag != 0 { value } else { 0 }
}

impl Wanted {
    fn pipe(&self) -> Result<NamedPipe, Failure> {
        let Self { open_mode, pipe_mode: mode, instances, out_size, in_size, milliseconds, .. } = *self;
        let known = FILE_FLAG_FIRST_PIPE_INSTANCE | FILE_FLAG_OVERLAPPED | FILE_FLAG_WRITE_THROUGH | RIGHTS;
        let modes = PIPE_NOWAIT | PIPE_READMODE_MESSAGE | PIPE_TYPE_MESSAGE | PIPE_REJECT_REMOTE_CLIENTS;
        if open_mode & !(PIPE_ACCESS_DUPLEX | known) != 0
            || mode & !modes != 0
            || !(1..=PIPE_UNLIMITED_INSTANCES).contains(&instances)
        {
            return Err(MISSING);
        }
        let (access, share_access) = match open_mode & PIPE_ACCESS_DUPLEX {
            PIPE_ACCESS_INBOUND => (abi::GENERIC_READ, abi::FILE_SHARE_WRITE),
            PIPE_ACCESS_OUTBOUND => (abi::GENERIC_WRITE, abi::FILE_SHARE_READ),
            PIPE_ACCESS_DUPLEX => {
                (abi::GENERIC_READ | abi::GENERIC_WRITE, abi::FILE_SHARE_READ | abi::FILE_SHARE_WRITE)
            }
            _ => return Err(MISSING),
        };
        let waits = if open_mode & FILE_FLAG_OVERLAPPED == 0 { abi::FILE_SYNCHRONOUS_IO_NONALERT } else { 0 };
        let first = open_mode & FILE_FLAG_FIRST_PIPE_INSTANCE != 0;
        Ok(NamedPipe {
            // FILE_WRITE_ATTRIBUTES lets a server that only reads set its mode. (Confirm: what CreateNamedPipe asks for besides.)
            desired_access: access
                | open_mode & RIGHTS
                | abi::SYNCHRONIZE
                | abi::FILE_READ_ATTRIBUTES
                | abi::FILE_WRITE_ATTRIBUTES,
            share_access,
            create_disposition: if first { abi::FILE_CREATE } else { abi::FILE_OPEN_IF },
            create_options: waits | picked(open_mode, FILE_FLAG_WRITE_THROUGH, abi::FILE_WRITE_THROUGH),
            pipe_type: picked(mode, PIPE_TYPE_MESSAGE, abi::FILE_PIPE_MESSAGE_TYPE)
                | picked(mode, PIPE_REJECT_REMOTE_CLIENTS, abi::FILE_PIPE_REJECT_REMOTE_CLIENTS),
            read_mode: picked(mode, PIPE_READMODE_MESSAGE, abi::FILE_PIPE_MESSAGE_MODE),
            completion_mode: picked(mode, PIPE_NOWAIT, abi::FILE_PIPE_COMPLETE_OPERATION),
            maximum_instances: if instances == PIPE_UNLIMITED_INSTANCES { u32::MAX } else { instances },
            inbound_quota: in_size,
            outbound_quota: out_size,
            default_timeout: -10_000 * i64::from(if milliseconds == 0 { 50 } else { milliseconds }),
        })
    }

    fn create(&self, name: &str) -> Result<HANDLE, Failure> {
        let path = app::nt_path(name);
        let descriptor = &descriptor(self.attributes)?;
        let call = SystemCall::CreateNamedPipeFile { name: &path, pipe: self.pipe()?, descriptor };
        let reply = ask(&call, &mut [])?;
        checked(reply.status)?;
        Ok(reply.handle.into())
    }
}

fn create(name: impl Text, wanted: &Wanted) -> HANDLE {
    let made = name.text().and_then(|name| wanted.create(&name));
    made.unwrap_or_else(|failure| fail(failure, HANDLE::INVALID))
}

/// Makes an instance of a pipe, `\\.\pipe\Name`, which listens; INVALID_HANDLE_VALUE when it fails. A new pipe has the attributes'
/// security descriptor, of at most 2,048 bytes, or the default one; handles are not inherited. ERROR_ACCESS_DENIED (5) where the name
/// has a pipe of another type, direction or number of instances, one whose descriptor does not let this user make instances, or with
/// FILE_FLAG_FIRST_PIPE_INSTANCE any; ERROR_PIPE_BUSY (231) when there are as many as there may be; ERROR_INVALID_PARAMETER (87);
/// ERROR_INVALID_SECURITY_DESCR (1338). Source: Win32, CreateNamedPipe.
#[unsafe(no_mangle)]
pub extern "C" fn CreateNamedPipeW(
    name: Pointer<u16>,
    open_mode: u32,
    pipe_mode: u32,
    instances: u32,
    out_size: u32,
    in_size: u32,
    milliseconds: u32,
    attributes: Pointer<SECURITY_ATTRIBUTES>,
) -> HANDLE {
    create(name, &Wanted { attributes, open_mode, pipe_mode, instances, out_size, in_size, milliseconds })
}

/// The same, the name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn CreateNamedPipeA(
    name: Pointer<u8>,
    open_mode: u32,
    pipe_mode: u32,
    instances: u32,
    out_size: u32,
    in_size: u32,
    milliseconds: u32,
    attributes: Pointer<SECURITY_ATTRIBUTES>,
) -> HANDLE {
    create(name, &Wanted { attributes, open_mode, pipe_mode, instances, out_size, in_size, milliseconds })
}

/// Waits until a client is there, or with an OVERLAPPED begins to. ERROR_PIPE_CONNECTED (535) when one is there already,
/// ERROR_NO_DATA (232) when the last one has closed its end and is not disconnected, ERROR_PIPE_LISTENING (536) in PIPE_NOWAIT
/// when none is there. Source: Win32, ConnectNamedPipe.
#[unsafe(no_mangle)]
pub extern "C" fn ConnectNamedPipe(pipe: HANDLE, overlapped: Pointer<OVERLAPPED>) -> BOOL {
    let code = abi::FSCTL_PIPE_LISTEN;
    if overlapped.is_null() {
        return done(at_once(pipe, code, Span::NONE, Span::NONE).map(drop));
    }
    done(begin(pipe, code, Span::NONE, Span::NONE, overlapped))
}

fn begin(
    pipe: HANDLE,
    code: u32,
    input: Span,
    output: Span,
    overlapped: Pointer<OVERLAPPED>,
) -> Result<(), Failure> {
    let handle = pipe.of_machine()?;
    let event = overlapped.read()?.event;
    let told = Told { event: event.event()?, routine: None, context: overlapped.context(event) };
    ended(pending::start(handle, &Action::FsControl { code, input, output }, overlapped.cast(), told))
}

/// Ends the connection of a server's end; what the client has not read is lost. ERROR_PIPE_NOT_CONNECTED (233) when it is
/// disconnected already.
#[unsafe(no_mangle)]
pub extern "C" fn DisconnectNamedPipe(pipe: HANDLE) -> BOOL {
    done(at_once(pipe, abi::FSCTL_PIPE_DISCONNECT, Span::NONE, Span::NONE).map(drop))
}

/// Waits until an instance of a pipe listens, for so many milliseconds, NMPWAIT_USE_DEFAULT_WAIT or NMPWAIT_WAIT_FOREVER.
/// ERROR_FILE_NOT_FOUND (2) when no pipe has the name, ERROR_SEM_TIMEOUT (121).
#[unsafe(no_mangle)]
pub extern "C" fn WaitNamedPipeW(name: Pointer<u16>, milliseconds: u32) -> BOOL {
    done(name.text().and_then(|name| wait(&name, milliseconds)))
}

/// The same, the name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn WaitNamedPipeA(name: Pointer<u8>, milliseconds: u32) -> BOOL {
    done(name.text().and_then(|name| wait(&name, milliseconds)))
}

fn wait(name: &str, milliseconds: u32) -> Result<(), Failure> {
    let time = std::time::Duration::from_millis(milliseconds.into());
    let wait = match milliseconds {
        NMPWAIT_USE_DEFAULT_WAIT => PipeWait::Default,
        NMPWAIT_WAIT_FOREVER => PipeWait::Forever,
        _ => PipeWait::For(time),
    };
    app::NamedPipe::wait(session()?, name, wait).map_err(|error| Failure(error.code))
}

/// Copies what there is to read into a buffer, and leaves it there: how many bytes these are, how many there are, and how many of the
/// first message are left. All of the last four may be NULL. ERROR_BROKEN_PIPE (109), ERROR_PIPE_NOT_CONNECTED (233), ERROR_BAD_PIPE (230).
#[unsafe(no_mangle)]
pub extern "C" fn PeekNamedPipe(
    pipe: HANDLE,
    buffer: Pointer<u8>,
    size: u32,
    read: Pointer<u32>,
    available: Pointer<u32>,
    left: Pointer<u32>,
) -> BOOL {
    done(peek(pipe, Span { at: buffer, length: size }, read, available, left))
}

fn peek(
    pipe: HANDLE,
    buffer: Span,
    read: Pointer<u32>,
    available: Pointer<u32>,
    left: Pointer<u32>,
) -> Result<(), Failure> {
    /// Bytes of FILE_PIPE_PEEK_BUFFER before its data.
    const HEADER: usize = 16;
    /// More is asked for only when there is more.
    const USUAL: usize = 0x1_0000;
    let wanted = if buffer.at.is_null() { 0 } else { buffer.length as usize };
    let mut output = vec![0; HEADER + wanted.min(USUAL)];
    let word = |output: &[u8], index: usize| {
        output[index * 4..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    let mut told = with_bytes(pipe, abi::FSCTL_PIPE_PEEK, &[], &mut output)?;
    let there = word(&output, 1) as usize;
    if wanted > USUAL && there > USUAL {
        output = vec![0; HEADER + wanted.min(there)];
        told = with_bytes(pipe, abi::FSCTL_PIPE_PEEK, &[], &mut output)?;
    }
    let length = (count(told.information) as usize).clamp(HEADER, output.len()) - HEADER;
    buffer.at.room(length)?.copy_from_slice(&output[HEADER..HEADER + length]);
    let length = count(length as u64);
    read.write_if_there(length)?;
    available.write_if_there(word(&output, 1))?;
    left.write_if_there(word(&output, 3).saturating_sub(length))
}

/// Writes a message and reads the next; `read`, which must be there unless an OVERLAPPED is, says how many bytes. ERROR_MORE_DATA
/// (234) with the bytes that fitted, ERROR_PIPE_BUSY (231) while there is something to read, ERROR_BAD_PIPE (230) in byte mode.
#[unsafe(no_mangle)]
pub extern "C" fn TransactNamedPipe(
    pipe: HANDLE,
    input: Pointer<u8>,
    input_size: u32,
    output: Pointer<u8>,
    output_size: u32,
    read: Pointer<u32>,
    overlapped: Pointer<OVERLAPPED>,
) -> BOOL {
    let (input, output) = (Span { at: input, length: input_size }, Span { at: output, length: output_size });
    if overlapped.is_null() {
        return done(transact(pipe, input, output, read));
    }
    let begun = read
        .write_if_there(0)
        .and_then(|()| begin(pipe, abi::FSCTL_PIPE_TRANSCEIVE, input, output, overlapped))
        .and_then(|()| read.write_if_there(count(overlapped.read()?.internal_high)));
    done(begun)
}

fn transact(pipe: HANDLE, input: Span, output: Span, read: Pointer<u32>) -> Result<(), Failure> {
    if read.is_null() {
        return Err(MISSING);
    }
    read.write(0)?;
    let told = at_once(pipe, abi::FSCTL_PIPE_TRANSCEIVE, input, output)?;
    read.write(count(told.information))?;
    ended(told.status)
}

/// Connects to a pipe (after a wait, if no instance listens), writes a message, reads the next and closes. As
/// [`WaitNamedPipeW`] and [`TransactNamedPipe`]; with NMPWAIT_NOWAIT it does not wait: ERROR_PIPE_BUSY (231).
#[unsafe(no_mangle)]
pub extern "C" fn CallNamedPipeW(
    name: Pointer<u16>,
    input: Pointer<u8>,
    input_size: u32,
    output: Pointer<u8>,
    output_size: u32,
    read: Pointer<u32>,
    milliseconds: u32,
) -> BOOL {
    let (input, output) = (Span { at: input, length: input_size }, Span { at: output, length: output_size });
    done(name.text().and_then(|name| call_pipe(&name, input, output, read, milliseconds)))
}

/// The same, the name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn CallNamedPipeA(
    name: Pointer<u8>,
    input: Pointer<u8>,
    input_size: u32,
    output: Pointer<u8>,
    output_size: u32,
    read: Pointer<u32>,
    milliseconds: u32,
) -> BOOL {
    let (input, output) = (Span { at: input, length: input_size }, Span { at: output, length: output_size });
    done(name.text().and_then(|name| call_pipe(&name, input, output, read, milliseconds)))
}

fn call_pipe(
    name: &str,
    input: Span,
    output: Span,
    read: Pointer<u32>,
    milliseconds: u32,
) -> Result<(), Failure> {
    let pipe = loop {
        match open(&app::nt_path(name), abi::GENERIC_READ | abi::GENERIC_WRITE) {
            Err(Failure(abi::ERROR_PIPE_BUSY)) if milliseconds != NMPWAIT_NOWAIT => {
                wait(name, milliseconds)?;
            }
            opened => break opened?,
        }
    };
    let done = set_state(pipe, true, false).and_then(|()| transact(pipe, input, output, read));
    let _it_was_there = handle::close(pipe);
    done
}

fn open(path: &[u16], access: u32) -> Result<HANDLE, Failure> {
    let request = CreateFile {
        path,
        desired_access: access | abi::SYNCHRONIZE | abi::FILE_READ_ATTRIBUTES | abi::FILE_WRITE_ATTRIBUTES,
        create_disposition: abi::FILE_OPEN,
        create_options: abi::FILE_SYNCHRONOUS_IO_NONALERT | abi::FILE_NON_DIRECTORY_FILE,
        ..CreateFile::default()
    };
    Ok(session()?.create_file(&request)?.0.into())
}

fn query<const N: usize>(pipe: HANDLE, class: i32) -> Result<[u32; N], Failure> {
    let mut output = [[0; 4]; N];
    let handle = pipe.of_machine()?;
    let reply = ask(&SystemCall::QueryInformationFile { handle, class }, output.as_flattened_mut())?;
    checked(reply.status)?;
    Ok(output.map(u32::from_le_bytes))
}

/// PIPE_CLIENT_END or _SERVER_END, PIPE_TYPE_*, the sizes in bytes, and how many instances there may be. Any may be NULL.
#[unsafe(no_mangle)]
pub extern "C" fn GetNamedPipeInfo(
    pipe: HANDLE,
    flags: Pointer<u32>,
    out_size: Pointer<u32>,
    in_size: Pointer<u32>,
    instances: Pointer<u32>,
) -> BOOL {
    let info = || {
        let words: [u32; 10] = query(pipe, abi::FilePipeLocalInformation)?;
        let [pipe_type, _, maximum, _, inbound, _, outbound, _, _, end] = words;
        let is_server = end == abi::FILE_PIPE_SERVER_END;
        flags.write_if_there(
            if is_server { PIPE_SERVER_END } else { 0 }
                | picked(pipe_type, abi::FILE_PIPE_MESSAGE_TYPE, PIPE_TYPE_MESSAGE),
        )?;
        out_size.write_if_there(outbound)?;
        in_size.write_if_there(inbound)?;
        instances.write_if_there(if maximum == u32::MAX { PIPE_UNLIMITED_INSTANCES } else { maximum })
    };
    done(info())
}

fn state(
    pipe: HANDLE,
    state: Pointer<u32>,
    instances: Pointer<u32>,
    remote: [Pointer<u32>; 2],
    has_user: bool,
) -> Result<(), Failure> {
    // Both ends are on one machine.
    if remote.iter().any(|place| !place.is_null()) {
        return Err(MISSING);
    }
    if has_user {
        return Err(Failure(abi::ERROR_CALL_NOT_IMPLEMENTED));
    }
    let mode: [u32; 2] = query(pipe, abi::FilePipeInformation)?;
    let local: [u32; 10] = query(pipe, abi::FilePipeLocalInformation)?;
    let reads = if mode[0] == abi::FILE_PIPE_MESSAGE_MODE { PIPE_READMODE_MESSAGE } else { 0 };
    let waits = if mode[1] == abi::FILE_PIPE_COMPLETE_OPERATION { PIPE_NOWAIT } else { 0 };
    state.write_if_there(reads | waits)?;
    instances.write_if_there(local[3])
}

/// PIPE_READMODE_MESSAGE and PIPE_NOWAIT, and how many instances there are; each may be NULL. What is about ends on other machines must be
/// NULL (ERROR_INVALID_PARAMETER); the client's user is not told: ERROR_CALL_NOT_IMPLEMENTED.
#[unsafe(no_mangle)]
pub extern "C" fn GetNamedPipeHandleStateW(
    pipe: HANDLE,
    mode: Pointer<u32>,
    instances: Pointer<u32>,
    collection: Pointer<u32>,
    timeout: Pointer<u32>,
    user: Pointer<u16>,
    _user_size: u32,
) -> BOOL {
    done(state(pipe, mode, instances, [collection, timeout], !user.is_null()))
}

/// The same.
#[unsafe(no_mangle)]
pub extern "C" fn GetNamedPipeHandleStateA(
    pipe: HANDLE,
    mode: Pointer<u32>,
    instances: Pointer<u32>,
    collection: Pointer<u32>,
    timeout: Pointer<u32>,
    user: Pointer<u8>,
    _user_size: u32,
) -> BOOL {
    done(state(pipe, mode, instances, [collection, timeout], !user.is_null()))
}

/// PIPE_READMODE_MESSAGE or _BYTE, PIPE_NOWAIT or PIPE_WAIT; NULL for none of it. What is about ends on other machines must be NULL.
/// ERROR_INVALID_PARAMETER (87) for messages of a pipe of bytes, ERROR_ACCESS_DENIED (5) without FILE_WRITE_ATTRIBUTES.
#[unsafe(no_mangle)]
pub extern "C" fn SetNamedPipeHandleState(
    pipe: HANDLE,
    mode: Pointer<u32>,
    collection: Pointer<u32>,
    timeout: Pointer<u32>,
) -> BOOL {
    let set = || {
        if !collection.is_null() || !timeout.is_null() {
            return Err(MISSING);
        }
        if mode.is_null() {
            return Ok(());
        }
        let mode = mode.read()?;
        if mode & !(PIPE_READMODE_MESSAGE | PIPE_NOWAIT) != 0 {
            return Err(MISSING);
        }
        set_state(pipe, mode & PIPE_READMODE_MESSAGE != 0, mode & PIPE_NOWAIT != 0)
    };
    done(set())
}

fn set_state(pipe: HANDLE, reads_messages: bool, never_waits: bool) -> Result<(), Failure> {
    let data = [u32::from(reads_messages), u32::from(never_waits)].map(u32::to_le_bytes);
    let (handle, class) = (pipe.of_machine()?, abi::FilePipeInformation);
    call(&SystemCall::SetInformationFile { handle, class, data: data.as_flattened() })
}

fn process(pipe: HANDLE, code: u32, name: &[u8], identifier: Pointer<u32>) -> Result<(), Failure> {
    if identifier.is_null() {
        return Err(MISSING);
    }
    let mut output = [0; 4];
    with_bytes(pipe, code, name, &mut output)?;
    identifier.write(u32::from_le_bytes(output))
}

/// What the machine calls the process that opened the client's end.
#[unsafe(no_mangle)]
pub extern "C" fn GetNamedPipeClientProcessId(pipe: HANDLE, identifier: Pointer<u32>) -> BOOL {
    let code = abi::FSCTL_PIPE_GET_CONNECTION_ATTRIBUTE;
    done(process(pipe, code, b"ClientProcessId\0", identifier))
}

/// What the machine calls the process that made the server's end.
#[unsafe(no_mangle)]
pub extern "C" fn GetNamedPipeServerProcessId(pipe: HANDLE, identifier: Pointer<u32>) -> BOOL {
    done(process(pipe, abi::FSCTL_PIPE_GET_PIPE_ATTRIBUTE, b"ServerProcessId\0", identifier))
}

/// The calling thread acts as the client of a server's end, until [`RevertToSelf`]. ERROR_CANNOT_IMPERSONATE (1368) before something
/// of the client's has been read.
#[unsafe(no_mangle)]
pub extern "C" fn ImpersonateNamedPipeClient(pipe: HANDLE) -> BOOL {
    done(at_once(pipe, abi::FSCTL_PIPE_IMPERSONATE, Span::NONE, Span::NONE).map(drop))
}

/// The calling thread is itself again.
#[unsafe(no_mangle)]
pub extern "C" fn RevertToSelf() -> BOOL {
    done(call(&SystemCall::SetThreadToken { token: None }))
}

/// Makes a pipe without a name: the end that is read from, and the one that is written to. Both wait. A `size` of 0 is 4096 bytes.
/// The pipe has the attributes' security descriptor, or the default one; handles are not inherited. Source: Win32, CreatePipe.
#[unsafe(no_mangle)]
pub extern "C" fn CreatePipe(
    read: Pointer<HANDLE>,
    write: Pointer<HANDLE>,
    attributes: Pointer<SECURITY_ATTRIBUTES>,
    size: u32,
) -> BOOL {
    done(create_pipe(read, write, attributes, size))
}

fn create_pipe(
    read: Pointer<HANDLE>,
    write: Pointer<HANDLE>,
    attributes: Pointer<SECURITY_ATTRIBUTES>,
    size: u32,
) -> Result<(), Failure> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Nothing is opened whose handle nobody could learn.
    read.write(HANDLE::NULL)?;
    write.write(HANDLE::NULL)?;
    let size = if size == 0 { USUAL_SIZE } else { size };
    let wanted = Wanted {
        attributes,
        open_mode: PIPE_ACCESS_INBOUND | FILE_FLAG_FIRST_PIPE_INSTANCE,
        pipe_mode: PIPE_REJECT_REMOTE_CLIENTS,
        instances: 1,
        out_size: size,
        in_size: size,
        milliseconds: 120_000,
    };
    let make = || {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!(r"\Device\NamedPipe\Win32Pipes.{:08x}.{number:08x}", std::process::id());
        wanted.create(&name).map(|server| (server, name))
    };
    // The name may be another process's, which Linux calls the same elsewhere.
    let (server, name) = make().or_else(|_| make())?;
    let path: Vec<u16> = name.encode_utf16().collect();
    let client = open(&path, abi::GENERIC_WRITE).inspect_err(|_| {
        let _it_was_there = handle::close(server);
    })?;
    read.write(server)?;
    write.write(client)
}

/// Writes out what a file's driver keeps; of a pipe's end: waits until the other has read all. ERROR_BROKEN_PIPE (109),
/// ERROR_PIPE_NOT_CONNECTED (233).
#[unsafe(no_mangle)]
pub extern "C" fn FlushFileBuffers(file: HANDLE) -> BOOL {
    done(file.of_machine().and_then(|handle| call(&SystemCall::FlushBuffersFile { handle })))
}
