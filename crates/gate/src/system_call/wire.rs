//! A call as words: its number in the request's `code`, its handle in `handle`, its other arguments as up to eight words,
//! which fit into the line beside the request, and behind them a name (UTF-16) or handles (32 bits each).

use abi::{NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_NOT_IMPLEMENTED, STATUS_PORT_MESSAGE_TOO_LONG};

use super::{
    CompletionPacket, Mailslot, MappedView, Memory, NamedPipe, Notice, SystemCall, file, low, port,
    synchronization,
};
use crate::transport::{Handle, IoStatus};

/// Words before the tail, at most.
pub(crate) const MOST_WORDS: usize = 8;
/// The longest tail of handles, one more than can be waited for, so that the kernel refuses it.
const MOST_HANDLES: usize = abi::MAXIMUM_WAIT_OBJECTS as usize + 1;

const READ: u32 = 1;
const WRITE: u32 = 2;
const DEVICE_CONTROL: u32 = 3;
const CANCEL_IO_FILE: u32 = 4;
const CANCEL_IO_FILE_EX: u32 = 5;
const CREATE_EVENT: u32 = 6;
const OPEN_EVENT: u32 = 7;
const SET_EVENT: u32 = 8;
const RESET_EVENT: u32 = 9;
const PULSE_EVENT: u32 = 10;
const WAIT: u32 = 11;
const DELAY: u32 = 12;
const TAKE_USER_APC: u32 = 13;
const CREATE_IO_COMPLETION: u32 = 14;
const SET_FILE_COMPLETION: u32 = 15;
const SET_COMPLETION_NOTIFICATION_MODES: u32 = 16;
const SET_IO_COMPLETION: u32 = 17;
const REMOVE_IO_COMPLETION: u32 = 18;
const CREATE_SECTION: u32 = 19;
const OPEN_SECTION: u32 = 20;
const MAP_VIEW_OF_SECTION: u32 = 21;
const UNMAP_VIEW_OF_SECTION: u32 = 22;
const FLUSH_VIRTUAL_MEMORY: u32 = 23;
const GET_CURRENT_THREAD_ID: u32 = 24;
const CANCEL_SYNCHRONOUS_IO_FILE: u32 = 25;
const FILTER_CONNECT_COMMUNICATION_PORT: u32 = 26;
const FILTER_LOAD: u32 = 27;
const FILTER_UNLOAD: u32 = 28;
const LOAD_DRIVER: u32 = 29;
const UNLOAD_DRIVER: u32 = 30;
const FS_CONTROL: u32 = 36;
const CREATE_NAMED_PIPE_FILE: u32 = 37;
const QUERY_INFORMATION_FILE: u32 = 38;
const SET_INFORMATION_FILE: u32 = 39;
const FLUSH_BUFFERS_FILE: u32 = 40;
const OPEN_THREAD_TOKEN: u32 = 70;
const OPEN_PROCESS_TOKEN: u32 = 71;
const QUERY_INFORMATION_TOKEN: u32 = 72;
const SET_THREAD_TOKEN: u32 = 73;
const DUPLICATE_TOKEN: u32 = 74;

/// The longest context of a connection.
pub(crate) const MOST_BYTES: usize = u16::MAX as usize;
const GET_DEVICE_INTERFACE: u32 = 80;
const QUERY_SECURITY_OBJECT: u32 = 81;
const SET_SECURITY_OBJECT: u32 = 82;
const CREATE_MAILSLOT_FILE: u32 = 83;
const AWAIT_REQUEST_END: u32 = 90;

const HAS_TIME: u64 = 1;
const ALERTABLE: u64 = 2;
const ALL: u64 = 4;
const HAS_OFFSET: u64 = 1 << 32;

/// What follows the words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tail<'a> {
    #[default]
    Nothing,
    Name(&'a [u16]),
    Handles(&'a [Handle]),
    Bytes(&'a [u8]),
    /// The name's length is one of the words.
    NameAndBytes(&'a [u16], &'a [u8]),
}

/// Call number, handle, words (as many as are used), tail.
pub(crate) fn encode<'a>(
    call: &SystemCall<'a>,
    words: &mut [u64; MOST_WORDS],
) -> (u32, Handle, usize, Tail<'a>) {
    let none = Handle(0);
    let mut fill = |values: &[u64]| {
        words[..values.len()].copy_from_slice(values);
        values.len()
    };
    match *call {
        SystemCall::Read { handle, buffer, offset, notice } => {
            (READ, handle, fill(&transfer(buffer, offset, notice)), Tail::Nothing)
        }
        SystemCall::Write { handle, buffer, offset, notice } => {
            (WRITE, handle, fill(&transfer(buffer, offset, notice)), Tail::Nothing)
        }
        SystemCall::DeviceControl { handle, code, input, output, notice } => {
            (DEVICE_CONTROL, handle, fill(&control(code, input, output, notice)), Tail::Nothing)
        }
        SystemCall::FsControl { handle, code, input, output, notice } => {
            (FS_CONTROL, handle, fill(&control(code, input, output, notice)), Tail::Nothing)
        }
        SystemCall::CreateNamedPipeFile { name, ref pipe, descriptor } => {
            let count = fill(&pipe.words(name.len() as u64));
            (CREATE_NAMED_PIPE_FILE, none, count, Tail::NameAndBytes(name, descriptor))
        }
        SystemCall::QueryInformationFile { handle, class } => {
            (QUERY_INFORMATION_FILE, handle, fill(&[class.cast_unsigned().into()]), Tail::Nothing)
        }
        SystemCall::SetInformationFile { handle, class, data } => {
            (SET_INFORMATION_FILE, handle, fill(&[class.cast_unsigned().into()]), Tail::Bytes(data))
        }
        SystemCall::FlushBuffersFile { handle } => (FLUSH_BUFFERS_FILE, handle, 0, Tail::Nothing),
        SystemCall::CancelIoFile { handle } => (CANCEL_IO_FILE, handle, 0, Tail::Nothing),
        SystemCall::CancelIoFileEx { handle, io_status_block } => {
            (CANCEL_IO_FILE_EX, handle, fill(&[io_status_block]), Tail::Nothing)
        }
        SystemCall::GetCurrentThreadId => (GET_CURRENT_THREAD_ID, none, 0, Tail::Nothing),
        SystemCall::CancelSynchronousIoFile { thread } => {
            (CANCEL_SYNCHRONOUS_IO_FILE, none, fill(&[thread.into()]), Tail::Nothing)
        }
        SystemCall::AwaitRequestEnd { seen } => (AWAIT_REQUEST_END, none, fill(&[seen]), Tail::Nothing),
        SystemCall::CreateEvent { name, desired_access, event_type, initial_state } => {
            let values = [desired_access.into(), event_type.cast_unsigned().into(), initial_state.into()];
            (CREATE_EVENT, none, fill(&values), Tail::Name(name))
        }
        SystemCall::OpenEvent { name, desired_access } => {
            (OPEN_EVENT, none, fill(&[desired_access.into()]), Tail::Name(name))
        }
        SystemCall::SetEvent { handle } => (SET_EVENT, handle, 0, Tail::Nothing),
        SystemCall::ResetEvent { handle } => (RESET_EVENT, handle, 0, Tail::Nothing),
        SystemCall::PulseEvent { handle } => (PULSE_EVENT, handle, 0, Tail::Nothing),
        SystemCall::Wait { handles, all, alertable, timeout } => {
            let flags = if all { ALL } else { 0 };
            (WAIT, none, fill(&time(timeout, alertable, flags)), Tail::Handles(handles))
        }
        SystemCall::Delay { alertable, interval } => {
            (DELAY, none, fill(&time(Some(interval), alertable, 0)), Tail::Nothing)
        }
        SystemCall::TakeUserApc => (TAKE_USER_APC, none, 0, Tail::Nothing),
        SystemCall::CreateIoCompletion { name, desired_access, threads } => {
            let values = [desired_access.into(), threads.into()];
            (CREATE_IO_COMPLETION, none, fill(&values), Tail::Name(name))
        }
        SystemCall::SetFileCompletion { handle, port, key } => {
            (SET_FILE_COMPLETION, handle, fill(&[port.0.into(), key]), Tail::Nothing)
        }
        SystemCall::SetCompletionNotificationModes { handle, flags } => {
            (SET_COMPLETION_NOTIFICATION_MODES, handle, fill(&[flags.into()]), Tail::Nothing)
        }
        SystemCall::SetIoCompletion { handle, packet } => {
            let CompletionPacket { key, context, result: IoStatus { status, information } } = packet;
            let values = [key, context, status.bits().into(), information];
            (SET_IO_COMPLETION, handle, fill(&values), Tail::Nothing)
        }
        SystemCall::RemoveIoCompletion { handle, alertable, timeout } => {
            (REMOVE_IO_COMPLETION, handle, fill(&time(timeout, alertable, 0)), Tail::Nothing)
        }
        SystemCall::CreateSection { name, desired_access, size, protection, attributes, file } => {
            let values = [desired_access.into(), size, protection.into(), attributes.into()];
            (CREATE_SECTION, file.unwrap_or(none), fill(&values), Tail::Name(name))
        }
        SystemCall::OpenSection { name, desired_access } => {
            (OPEN_SECTION, none, fill(&[desired_access.into()]), Tail::Name(name))
        }
        SystemCall::MapViewOfSection { handle, view: MappedView { base, offset, size }, protection } => {
            (MAP_VIEW_OF_SECTION, handle, fill(&[base, offset, size, protection.into()]), Tail::Nothing)
        }
        SystemCall::UnmapViewOfSection { address } => {
            (UNMAP_VIEW_OF_SECTION, none, fill(&[address]), Tail::Nothing)
        }
        SystemCall::FlushVirtualMemory { address, length } => {
            (FLUSH_VIRTUAL_MEMORY, none, fill(&[address, length]), Tail::Nothing)
        }
        SystemCall::FilterConnectCommunicationPort { name, options, context } => {
            let values = [options.into(), name.len() as u64];
            (FILTER_CONNECT_COMMUNICATION_PORT, none, fill(&values), Tail::NameAndBytes(name, context))
        }
        SystemCall::FilterLoad { name } => (FILTER_LOAD, none, 0, Tail::Name(name)),
        SystemCall::FilterUnload { name } => (FILTER_UNLOAD, none, 0, Tail::Name(name)),
        SystemCall::LoadDriver { key } => (LOAD_DRIVER, none, 0, Tail::Name(key)),
        SystemCall::UnloadDriver { key } => (UNLOAD_DRIVER, none, 0, Tail::Name(key)),
        SystemCall::OpenThreadToken { desired_access, open_as_self } => {
            let values = [desired_access.into(), open_as_self.into()];
            (OPEN_THREAD_TOKEN, none, fill(&values), Tail::Nothing)
        }
        SystemCall::OpenProcessToken { desired_access } => {
            (OPEN_PROCESS_TOKEN, none, fill(&[desired_access.into()]), Tail::Nothing)
        }
        SystemCall::QueryInformationToken { handle, class } => {
            let values = [class.cast_unsigned().into()];
            (QUERY_INFORMATION_TOKEN, handle, fill(&values), Tail::Nothing)
        }
        SystemCall::SetThreadToken { token } => (SET_THREAD_TOKEN, token.unwrap_or(none), 0, Tail::Nothing),
        SystemCall::DuplicateToken { handle, desired_access, level, kind, effective_only } => {
            let kind = kind.cast_unsigned();
            let values = [desired_access.into(), level.into(), kind.into(), effective_only.into()];
            (DUPLICATE_TOKEN, handle, fill(&values), Tail::Nothing)
        }
        SystemCall::QuerySecurityObject { handle, information, buffer: Memory { address, length } } => {
            let values = [information.into(), address, length.into()];
            (QUERY_SECURITY_OBJECT, handle, fill(&values), Tail::Nothing)
        }
        SystemCall::SetSecurityObject { handle, information, descriptor } => {
            (SET_SECURITY_OBJECT, handle, fill(&[information.into()]), Tail::Bytes(descriptor))
        }
        SystemCall::CreateMailslotFile { name, mailslot } => {
            let Mailslot { desired_access, create_options, quota, maximum_message_size, read_timeout } =
                mailslot;
            let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
            let sizes = pair(quota, maximum_message_size);
            let values = [pair(desired_access, create_options), sizes, read_timeout.cast_unsigned()];
            (CREATE_MAILSLOT_FILE, none, fill(&values), Tail::Name(name))
        }
        SystemCall::Port(ref call) => port::encode(call, words),
        SystemCall::File(ref call) => file::encode(call, words),
        SystemCall::Synchronization(ref call) => synchronization::encode(call, words),
        SystemCall::GetDeviceInterface { class, index } => {
            let (halves, _) = class.as_chunks::<8>();
            let values = [u64::from_le_bytes(halves[0]), u64::from_le_bytes(halves[1]), index.into()];
            (GET_DEVICE_INTERFACE, none, fill(&values), Tail::Nothing)
        }
    }
}

fn notice_words(notice: Notice) -> [u64; 4] {
    let event = notice.event.map_or(0, |event| event.0);
    [notice.io_status_block, event.into(), notice.apc_routine, notice.apc_context]
}

fn control(code: u32, input: Memory, output: Memory, notice: Notice) -> [u64; 7] {
    let lengths = u64::from(input.length) | u64::from(output.length) << 32;
    let [block, event, routine, context] = notice_words(notice);
    let last = event | u64::from(code) << 32;
    [input.address, output.address, lengths, last, block, routine, context]
}

impl NamedPipe {
    /// Behind them the length of the name.
    fn words(&self, name: u64) -> [u64; 7] {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        [
            pair(self.desired_access, self.share_access),
            pair(self.create_disposition, self.create_options),
            pair(self.pipe_type, self.read_mode),
            pair(self.completion_mode, self.maximum_instances),
            pair(self.inbound_quota, self.outbound_quota),
            self.default_timeout.cast_unsigned(),
            name,
        ]
    }

    fn of_words(word: &dyn Fn(usize) -> u64) -> Self {
        let high = |index: usize| low(word(index) >> 32);
        Self {
            desired_access: low(word(0)),
            share_access: high(0),
            create_disposition: low(word(1)),
            create_options: high(1),
            pipe_type: low(word(2)),
            read_mode: high(2),
            completion_mode: low(word(3)),
            maximum_instances: high(3),
            inbound_quota: low(word(4)),
            outbound_quota: high(4),
            default_timeout: word(5).cast_signed(),
        }
    }
}

fn transfer(buffer: Memory, offset: Option<u64>, notice: Notice) -> [u64; 7] {
    let has_offset = if offset.is_some() { HAS_OFFSET } else { 0 };
    let [block, event, routine, context] = notice_words(notice);
    let length = u64::from(buffer.length) | has_offset;
    [buffer.address, length, offset.unwrap_or(0), event, block, routine, context]
}

fn time(time: Option<i64>, alertable: bool, flags: u64) -> [u64; 2] {
    let flags = flags | if time.is_some() { HAS_TIME } else { 0 } | if alertable { ALERTABLE } else { 0 };
    [flags, time.unwrap_or(0).cast_unsigned()]
}

/// Reads a call and hands it to `body`. Nothing in it has been checked yet, and nothing is taken for granted: words that are
/// missing, a tail that is too long or odd are STATUS_INVALID_PARAMETER, unknown numbers STATUS_NOT_IMPLEMENTED.
pub(crate) fn decode<R>(
    number: u32,
    handle: Handle,
    input: &[u8],
    body: impl FnOnce(&SystemCall<'_>) -> R,
) -> Result<R, NTSTATUS> {
    let count = word_count(number).ok_or(STATUS_NOT_IMPLEMENTED)?;
    let (words, tail) = input.split_at_checked(count * 8).ok_or(STATUS_INVALID_PARAMETER)?;
    let (words, _) = words.as_chunks::<8>();
    let word = |index: usize| words.get(index).map_or(0, |word| u64::from_le_bytes(*word));
    let mut name = Vec::new();
    let mut handles = [Handle(0); MOST_HANDLES];
    let mut handle_count = 0;
    let mut bytes: &[u8] = &[];
    match number {
        _ if port::NUMBERS.contains(&number) => {
            let length = port::name_bytes(number, tail, &word);
            let (front, back) = tail.split_at_checked(length).ok_or(STATUS_INVALID_PARAMETER)?;
            let (units, rest) = front.as_chunks::<2>();
            let fits = units.len() <= crate::wire::PATH_LIMIT && port::fits(number, back.len());
            if back.len() > port::most_bytes(number) {
                return Err(STATUS_PORT_MESSAGE_TOO_LONG);
            }
            if !rest.is_empty() || !fits {
                return Err(STATUS_INVALID_PARAMETER);
            }
            name.extend(units.iter().map(|unit| u16::from_le_bytes(*unit)));
            bytes = back;
        }
        FILTER_CONNECT_COMMUNICATION_PORT | CREATE_NAMED_PIPE_FILE => {
            let (length, most) = match number {
                CREATE_NAMED_PIPE_FILE => (word(6), SystemCall::MOST_DESCRIPTOR),
                _ => (word(1), MOST_BYTES),
            };
            let length = usize::try_from(length).ok().filter(|units| *units <= crate::wire::PATH_LIMIT);
            let parts = length.and_then(|units| tail.split_at_checked(units * 2));
            let (front, rest) = parts.ok_or(STATUS_INVALID_PARAMETER)?;
            if rest.len() > most {
                return Err(STATUS_INVALID_PARAMETER);
            }
            name.extend(front.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit)));
            bytes = rest;
        }
        _ if synchronization::has_name(number)
            || matches!(
                number,
                CREATE_EVENT
                    | OPEN_EVENT
                    | CREATE_IO_COMPLETION
                    | CREATE_SECTION
                    | OPEN_SECTION
                    | CREATE_MAILSLOT_FILE
                    | FILTER_LOAD
                    | FILTER_UNLOAD
                    | LOAD_DRIVER
                    | UNLOAD_DRIVER
            ) =>
        {
            let (units, rest) = tail.as_chunks::<2>();
            if !rest.is_empty() || units.len() > crate::wire::PATH_LIMIT {
                return Err(STATUS_INVALID_PARAMETER);
            }
            name.extend(units.iter().map(|unit| u16::from_le_bytes(*unit)));
        }
        WAIT => {
            let (values, rest) = tail.as_chunks::<4>();
            if !rest.is_empty() || values.len() > MOST_HANDLES {
                return Err(STATUS_INVALID_PARAMETER);
            }
            handle_count = values.len();
            for (place, value) in handles.iter_mut().zip(values) {
                *place = Handle(u32::from_le_bytes(*value));
            }
        }
        SET_INFORMATION_FILE if tail.len() <= SystemCall::MOST_INFORMATION => bytes = tail,
        _ if file::NUMBERS.contains(&number) && file::has_name(number) => {
            let (units, rest) = tail.as_chunks::<2>();
            if !rest.is_empty() || units.len() > crate::wire::PATH_LIMIT {
                return Err(STATUS_INVALID_PARAMETER);
            }
            name.extend(units.iter().map(|unit| u16::from_le_bytes(*unit)));
        }
        _ if file::NUMBERS.contains(&number) && tail.len() <= file::most_bytes(number) => bytes = tail,
        SET_SECURITY_OBJECT if tail.len() <= SystemCall::MOST_DESCRIPTOR => bytes = tail,
        _ if !tail.is_empty() => return Err(STATUS_INVALID_PARAMETER),
        _ => {}
    }
    let call = if port::NUMBERS.contains(&number) {
        port::read(number, handle, &word, &name, bytes).map(SystemCall::Port)
    } else if file::NUMBERS.contains(&number) {
        file::read(number, handle, &word, (&name, bytes)).map(SystemCall::File)
    } else if synchronization::NUMBERS.contains(&number) {
        synchronization::read(number, handle, &word, &name).map(SystemCall::Synchronization)
    } else {
        read(number, handle, &word, (&name, bytes), &handles[..handle_count])
    };
    call.map(|call| body(&call)).ok_or(STATUS_NOT_IMPLEMENTED)
}

/// Words that a call has; `None` for a number that none has.
fn word_count(number: u32) -> Option<usize> {
    Some(match number {
        READ | WRITE | DEVICE_CONTROL | FS_CONTROL | CREATE_NAMED_PIPE_FILE => 7,
        SET_IO_COMPLETION | CREATE_SECTION | MAP_VIEW_OF_SECTION | DUPLICATE_TOKEN => 4,
        CREATE_EVENT | GET_DEVICE_INTERFACE | CREATE_MAILSLOT_FILE | QUERY_SECURITY_OBJECT => 3,
        WAIT
        | DELAY
        | CREATE_IO_COMPLETION
        | SET_FILE_COMPLETION
        | REMOVE_IO_COMPLETION
        | FLUSH_VIRTUAL_MEMORY
        | FILTER_CONNECT_COMMUNICATION_PORT
        | OPEN_THREAD_TOKEN => 2,
        CANCEL_IO_FILE_EX
        | AWAIT_REQUEST_END
        | OPEN_EVENT
        | SET_COMPLETION_NOTIFICATION_MODES
        | OPEN_SECTION
        | UNMAP_VIEW_OF_SECTION
        | CANCEL_SYNCHRONOUS_IO_FILE
        | OPEN_PROCESS_TOKEN
        | QUERY_INFORMATION_TOKEN
        | QUERY_INFORMATION_FILE
        | SET_INFORMATION_FILE
        | SET_SECURITY_OBJECT => 1,
        CANCEL_IO_FILE
        | SET_EVENT
        | RESET_EVENT
        | PULSE_EVENT
        | TAKE_USER_APC
        | GET_CURRENT_THREAD_ID
        | FILTER_LOAD
        | FILTER_UNLOAD
        | LOAD_DRIVER
        | UNLOAD_DRIVER
        | SET_THREAD_TOKEN
        | FLUSH_BUFFERS_FILE => 0,
        _ if port::NUMBERS.contains(&number) => port::word_count(number),
        _ if file::NUMBERS.contains(&number) => file::word_count(number),
        _ if synchronization::NUMBERS.contains(&number) => synchronization::word_count(number),
        _ => return None,
    })
}

fn read<'a>(
    number: u32,
    handle: Handle,
    word: &dyn Fn(usize) -> u64,
    (name, bytes): (&'a [u16], &'a [u8]),
    handles: &'a [Handle],
) -> Option<SystemCall<'a>> {
    let notice = |event: u64, first: usize| Notice {
        io_status_block: word(first),
        event: Some(Handle(low(event))).filter(|event| event.0 != 0),
        apc_routine: word(first + 1),
        apc_context: word(first + 2),
    };
    let alertable = word(0) & ALERTABLE != 0;
    let timeout = (word(0) & HAS_TIME != 0).then(|| word(1).cast_signed());
    Some(match number {
        READ | WRITE => {
            let buffer = Memory { address: word(0), length: low(word(1)) };
            let offset = (word(1) & HAS_OFFSET != 0).then(|| word(2));
            let notice = notice(word(3), 4);
            if number == READ {
                SystemCall::Read { handle, buffer, offset, notice }
            } else {
                SystemCall::Write { handle, buffer, offset, notice }
            }
        }
        DEVICE_CONTROL => SystemCall::DeviceControl {
            handle,
            code: low(word(3) >> 32),
            input: Memory { address: word(0), length: low(word(2)) },
            output: Memory { address: word(1), length: low(word(2) >> 32) },
            notice: notice(word(3), 4),
        },
        FS_CONTROL => SystemCall::FsControl {
            handle,
            code: low(word(3) >> 32),
            input: Memory { address: word(0), length: low(word(2)) },
            output: Memory { address: word(1), length: low(word(2) >> 32) },
            notice: notice(word(3), 4),
        },
        CREATE_NAMED_PIPE_FILE => {
            SystemCall::CreateNamedPipeFile { name, pipe: NamedPipe::of_words(word), descriptor: bytes }
        }
        QUERY_INFORMATION_FILE => {
            SystemCall::QueryInformationFile { handle, class: low(word(0)).cast_signed() }
        }
        SET_INFORMATION_FILE => {
            SystemCall::SetInformationFile { handle, class: low(word(0)).cast_signed(), data: bytes }
        }
        FLUSH_BUFFERS_FILE => SystemCall::FlushBuffersFile { handle },
        QUERY_SECURITY_OBJECT => SystemCall::QuerySecurityObject {
            handle,
            information: low(word(0)),
            buffer: Memory { address: word(1), length: low(word(2)) },
        },
        SET_SECURITY_OBJECT => {
            SystemCall::SetSecurityObject { handle, information: low(word(0)), descriptor: bytes }
        }
        CREATE_MAILSLOT_FILE => SystemCall::CreateMailslotFile {
            name,
            mailslot: Mailslot {
                desired_access: low(word(0)),
                create_options: low(word(0) >> 32),
                quota: low(word(1)),
                maximum_message_size: low(word(1) >> 32),
                read_timeout: word(2).cast_signed(),
            },
        },
        CANCEL_IO_FILE => SystemCall::CancelIoFile { handle },
        CANCEL_IO_FILE_EX => SystemCall::CancelIoFileEx { handle, io_status_block: word(0) },
        CREATE_EVENT => SystemCall::CreateEvent {
            name,
            desired_access: low(word(0)),
            event_type: low(word(1)).cast_signed(),
            initial_state: word(2) != 0,
        },
        OPEN_EVENT => SystemCall::OpenEvent { name, desired_access: low(word(0)) },
        SET_EVENT => SystemCall::SetEvent { handle },
        RESET_EVENT => SystemCall::ResetEvent { handle },
        PULSE_EVENT => SystemCall::PulseEvent { handle },
        WAIT => SystemCall::Wait { handles, all: word(0) & ALL != 0, alertable, timeout },
        DELAY => SystemCall::Delay { alertable, interval: word(1).cast_signed() },
        TAKE_USER_APC => SystemCall::TakeUserApc,
        CREATE_IO_COMPLETION => {
            SystemCall::CreateIoCompletion { name, desired_access: low(word(0)), threads: low(word(1)) }
        }
        SET_FILE_COMPLETION => {
            SystemCall::SetFileCompletion { handle, port: Handle(low(word(0))), key: word(1) }
        }
        SET_COMPLETION_NOTIFICATION_MODES => {
            SystemCall::SetCompletionNotificationModes { handle, flags: low(word(0)) }
        }
        SET_IO_COMPLETION => {
            let status = NTSTATUS::from_bits(low(word(2)));
            let result = IoStatus { status, information: word(3) };
            let packet = CompletionPacket { key: word(0), context: word(1), result };
            SystemCall::SetIoCompletion { handle, packet }
        }
        REMOVE_IO_COMPLETION => SystemCall::RemoveIoCompletion { handle, alertable, timeout },
        CREATE_SECTION => SystemCall::CreateSection {
            name,
            desired_access: low(word(0)),
            size: word(1),
            protection: low(word(2)),
            attributes: low(word(3)),
            file: Some(handle).filter(|file| file.0 != 0),
        },
        GET_CURRENT_THREAD_ID => SystemCall::GetCurrentThreadId,
        CANCEL_SYNCHRONOUS_IO_FILE => SystemCall::CancelSynchronousIoFile { thread: low(word(0)) },
        AWAIT_REQUEST_END => SystemCall::AwaitRequestEnd { seen: word(0) },
        OPEN_SECTION => SystemCall::OpenSection { name, desired_access: low(word(0)) },
        MAP_VIEW_OF_SECTION => {
            let view = MappedView { base: word(0), offset: word(1), size: word(2) };
            SystemCall::MapViewOfSection { handle, view, protection: low(word(3)) }
        }
        UNMAP_VIEW_OF_SECTION => SystemCall::UnmapViewOfSection { address: word(0) },
        GET_DEVICE_INTERFACE => {
            let mut class = [0; 16];
            class[..8].copy_from_slice(&word(0).to_le_bytes());
            class[8..].copy_from_slice(&word(1).to_le_bytes());
            SystemCall::GetDeviceInterface { class, index: low(word(2)) }
        }
        FLUSH_VIRTUAL_MEMORY => SystemCall::FlushVirtualMemory { address: word(0), length: word(1) },
        FILTER_CONNECT_COMMUNICATION_PORT => {
            SystemCall::FilterConnectCommunicationPort { name, options: low(word(0)), context: bytes }
        }
        FILTER_LOAD => SystemCall::FilterLoad { name },
        FILTER_UNLOAD => SystemCall::FilterUnload { name },
        LOAD_DRIVER => SystemCall::LoadDriver { key: name },
        UNLOAD_DRIVER => SystemCall::UnloadDriver { key: name },
        OPEN_THREAD_TOKEN => {
            SystemCall::OpenThreadToken { desired_access: low(word(0)), open_as_self: word(1) != 0 }
        }
        OPEN_PROCESS_TOKEN => SystemCall::OpenProcessToken { desired_access: low(word(0)) },
        QUERY_INFORMATION_TOKEN => {
            SystemCall::QueryInformationToken { handle, class: low(word(0)).cast_signed() }
        }
        SET_THREAD_TOKEN => SystemCall::SetThreadToken { token: Some(handle).filter(|token| token.0 != 0) },
        DUPLICATE_TOKEN => SystemCall::DuplicateToken {
            handle,
            desired_access: low(word(0)),
            level: low(word(1)),
            kind: low(word(2)).cast_signed(),
            effective_only: word(3) != 0,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system_call::UserApc;
    use crate::system_call::synchronization::{Synchronization, SynchronizationCall, SynchronizationKind};

    const HANDLE: Handle = Handle(0x44);
    const NOTICE: Notice = Notice {
        io_status_block: 0x2000_0000_1000,
        event: Some(Handle(0x48)),
        apc_routine: 5,
        apc_context: u64::MAX,
    };

    fn travelled(call: &SystemCall<'_>) -> Result<bool, NTSTATUS> {
        let mut words = [0; MOST_WORDS];
        let (number, handle, count, tail) = encode(call, &mut words);
        let mut bytes: Vec<u8> = words[..count].iter().flat_map(|word| word.to_le_bytes()).collect();
        match tail {
            Tail::Nothing => {}
            Tail::Name(name) => bytes.extend(name.iter().flat_map(|unit| unit.to_le_bytes())),
            Tail::Bytes(tail) => bytes.extend(tail),
            Tail::Handles(handles) => bytes.extend(handles.iter().flat_map(|handle| handle.0.to_le_bytes())),
            Tail::NameAndBytes(name, context) => {
                bytes.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
                bytes.extend_from_slice(context);
            }
        }
        decode(number, handle, &bytes, |arrived| arrived == call)
    }

    #[test]
    fn every_call_survives_the_wire() {
        let handle = HANDLE;
        let create = |object| {
            SystemCall::Synchronization(SynchronizationCall::Create {
                name: &[0x41],
                desired_access: 1,
                object,
            })
        };
        let open = |kind| {
            SystemCall::Synchronization(SynchronizationCall::Open {
                name: &[],
                desired_access: u32::MAX,
                kind,
            })
        };
        let set_timer = |due_time, period| {
            SystemCall::Synchronization(SynchronizationCall::SetTimer { handle, due_time, period })
        };
        let memory = |address, length| Memory { address, length };
        let name: Vec<u16> = r"\BaseNamedObjects\E".encode_utf16().collect();
        let result = IoStatus { status: abi::STATUS_BUFFER_OVERFLOW, information: u64::MAX };
        let packet = CompletionPacket { key: 7, context: 8, result };
        let view = MappedView { base: 1 << 45, offset: 0x1_0000, size: u64::MAX };
        assert_eq!(MappedView::from_bytes(&view.to_bytes()), view);
        let pipe = NamedPipe {
            desired_access: 1,
            share_access: 2,
            create_disposition: 3,
            create_options: 4,
            pipe_type: 5,
            read_mode: 6,
            completion_mode: 7,
            maximum_instances: u32::MAX,
            inbound_quota: 9,
            outbound_quota: 10,
            default_timeout: i64::MIN,
        };
        let (buffer, output) = (memory(0x2000_0000_2000, u32::MAX), memory(0x2000_0000_3000, 3));
        for call in [
            SystemCall::Read { handle, buffer, offset: Some(u64::MAX), notice: NOTICE },
            SystemCall::GetDeviceInterface { class: *b"0123456789abcdef", index: u32::MAX },
            SystemCall::Read { handle, buffer, offset: None, notice: Notice { event: None, ..NOTICE } },
            SystemCall::Write { handle, buffer, offset: Some(0), notice: NOTICE },
            SystemCall::DeviceControl { handle, code: u32::MAX, input: buffer, output, notice: NOTICE },
            SystemCall::CancelIoFile { handle },
            SystemCall::CancelIoFileEx { handle, io_status_block: 0x2000_0000_1000 },
            SystemCall::CreateEvent { name: &name, desired_access: 2, event_type: 1, initial_state: true },
            SystemCall::CreateEvent { name: &[], desired_access: 2, event_type: -1, initial_state: false },
            SystemCall::OpenEvent { name: &name, desired_access: u32::MAX },
            SystemCall::SetEvent { handle },
            SystemCall::ResetEvent { handle },
            SystemCall::PulseEvent { handle },
            SystemCall::Wait { handles: &[handle, Handle(8)], all: true, alertable: false, timeout: None },
            SystemCall::Wait { handles: &[handle; 64], all: false, alertable: true, timeout: Some(i64::MIN) },
            SystemCall::Delay { alertable: true, interval: -10_000 },
            SystemCall::TakeUserApc,
            SystemCall::CreateIoCompletion { name: &[], desired_access: 3, threads: 2 },
            SystemCall::SetFileCompletion { handle, port: Handle(12), key: u64::MAX },
            SystemCall::SetCompletionNotificationModes { handle, flags: 3 },
            SystemCall::SetIoCompletion { handle, packet },
            SystemCall::RemoveIoCompletion { handle, alertable: false, timeout: Some(0) },
            SystemCall::CreateSection {
                name: &name,
                desired_access: u32::MAX,
                size: u64::MAX,
                protection: 4,
                attributes: abi::SEC_COMMIT,
                file: Some(handle),
            },
            SystemCall::CreateSection {
                name: &[],
                desired_access: 1,
                size: 0,
                protection: 2,
                attributes: abi::SEC_RESERVE,
                file: None,
            },
            SystemCall::OpenSection { name: &name, desired_access: 6 },
            SystemCall::MapViewOfSection { handle, view, protection: u32::MAX },
            SystemCall::GetCurrentThreadId,
            SystemCall::AwaitRequestEnd { seen: u64::MAX },
            create(Synchronization::Mutant { initial_owner: true }),
            create(Synchronization::Semaphore { initial: -1, maximum: i32::MAX }),
            create(Synchronization::Timer { timer_type: i32::MIN }),
            open(SynchronizationKind::Mutant),
            open(SynchronizationKind::Semaphore),
            open(SynchronizationKind::Timer),
            SystemCall::Synchronization(SynchronizationCall::ReleaseMutant { handle }),
            SystemCall::Synchronization(SynchronizationCall::ReleaseSemaphore { handle, count: i32::MIN }),
            set_timer(Some(i64::MIN), 5),
            set_timer(None, -1),
            SystemCall::CancelSynchronousIoFile { thread: u32::MAX },
            SystemCall::FsControl { handle, code: u32::MAX, input: buffer, output, notice: NOTICE },
            SystemCall::CreateNamedPipeFile { name: &name, pipe, descriptor: &[] },
            SystemCall::CreateNamedPipeFile { name: &name, pipe, descriptor: b"odd" },
            SystemCall::QueryInformationFile { handle, class: -1 },
            SystemCall::SetInformationFile { handle, class: 23, data: b"odd" },
            SystemCall::SetInformationFile { handle, class: 23, data: &[] },
            SystemCall::FlushBuffersFile { handle },
            SystemCall::QuerySecurityObject {
                handle,
                information: u32::MAX,
                buffer: Memory { address: 1 << 45, length: 20 },
            },
            SystemCall::SetSecurityObject { handle, information: 4, descriptor: b"odd" },
            SystemCall::CreateMailslotFile {
                name: &name,
                mailslot: Mailslot {
                    desired_access: 1,
                    create_options: 2,
                    quota: 3,
                    maximum_message_size: u32::MAX,
                    read_timeout: -1,
                },
            },
            SystemCall::UnmapViewOfSection { address: u64::MAX },
            SystemCall::FlushVirtualMemory { address: 1 << 45, length: 5 },
            SystemCall::FilterConnectCommunicationPort { name: &name, options: 1, context: b"odd" },
            SystemCall::FilterConnectCommunicationPort { name: &name, options: u32::MAX, context: &[] },
            SystemCall::FilterLoad { name: &name },
            SystemCall::FilterUnload { name: &[] },
            SystemCall::LoadDriver { key: &name },
            SystemCall::UnloadDriver { key: &[] },
            SystemCall::OpenThreadToken { desired_access: u32::MAX, open_as_self: true },
            SystemCall::OpenProcessToken { desired_access: 8 },
            SystemCall::QueryInformationToken { handle, class: -1 },
            SystemCall::SetThreadToken { token: Some(handle) },
            SystemCall::SetThreadToken { token: None },
            SystemCall::DuplicateToken {
                handle,
                desired_access: 12,
                level: u32::MAX,
                kind: i32::MIN,
                effective_only: true,
            },
        ] {
            assert_eq!(travelled(&call), Ok(true), "{call:?}");
        }
        assert_eq!(CompletionPacket::from_bytes(&packet.to_bytes()), packet);
        let apc = UserApc { routine: 1, arguments: [2, 3, u64::MAX] };
        assert_eq!(UserApc::from_bytes(&apc.to_bytes()), apc);
    }

    #[test]
    fn what_is_torn_is_refused() {
        let refused = |number, input: &[u8]| decode(number, HANDLE, input, |_| ()).err();
        for number in
            (1..=25).chain([27, 28, 29, 30, 36, 38, 40]).chain(70..=74).chain([81, 83]).chain(90..=95)
        {
            // No call has these lengths, but for those whose tails may have any.
            assert_eq!(refused(number, &[0; 7 * 8 + 1]), Some(abi::STATUS_INVALID_PARAMETER), "{number}");
        }
        let too_much = [0; 8 + SystemCall::MOST_INFORMATION + 1];
        assert_eq!(refused(39, &too_much), Some(abi::STATUS_INVALID_PARAMETER), "more than any class has");
        let too_much = [0; 8 + SystemCall::MOST_DESCRIPTOR + 1];
        assert_eq!(refused(82, &too_much), Some(abi::STATUS_INVALID_PARAMETER), "a longer descriptor");
        assert_eq!(refused(39, &too_much[..7]), Some(abi::STATUS_INVALID_PARAMETER), "half a word");
        assert_eq!(refused(1, &[0; 55]), Some(abi::STATUS_INVALID_PARAMETER), "half a word");
        let connect = |units: u64, tail: usize| {
            let words = [0, units].map(u64::to_le_bytes).concat();
            refused(26, &[words, vec![0; tail]].concat())
        };
        assert_eq!(connect(2, 3), Some(abi::STATUS_INVALID_PARAMETER), "half a name");
        assert_eq!(connect(u64::MAX, 8), Some(abi::STATUS_INVALID_PARAMETER), "no name is so long");
        assert_eq!(connect(0, 0x1_0000), Some(abi::STATUS_INVALID_PARAMETER), "nor a context");
        let pipe = |units: u64, tail: usize| {
            let words = [0, 0, 0, 0, 0, 0, units].map(u64::to_le_bytes).concat();
            refused(37, &[words, vec![0; tail]].concat())
        };
        assert_eq!(pipe(2, 3), Some(abi::STATUS_INVALID_PARAMETER), "half a name");
        assert_eq!(pipe(u64::MAX, 8), Some(abi::STATUS_INVALID_PARAMETER), "no name is so long");
        let longer = SystemCall::MOST_DESCRIPTOR + 1;
        assert_eq!(pipe(0, longer), Some(abi::STATUS_INVALID_PARAMETER), "nor a descriptor");
        assert_eq!(refused(11, &[0; 16 + 66 * 4]), Some(abi::STATUS_INVALID_PARAMETER), "too many handles");
        for number in [0, 31, 35, 64, 75, 96, u32::MAX] {
            assert_eq!(refused(number, &[]), Some(abi::STATUS_NOT_IMPLEMENTED), "{number}");
        }
    }
}
