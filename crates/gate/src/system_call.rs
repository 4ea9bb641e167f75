//! The system calls of applications that do not move data themselves: requests that go on by themselves, events, waits,
//! completion ports. Each is one value here, and one line of words on the wire.
//!
//! Names, arguments and statuses are those of NT's `Nt…` functions; what they mean is the kernel's matter.

pub(crate) mod file;
pub(crate) mod port;
pub(crate) mod synchronization;
mod wire;

use abi::NTSTATUS;

use crate::transport::{Handle, IoStatus};

use file::FileCall;
use port::PortCall;
use synchronization::SynchronizationCall;

/// Bytes of the application that a request reads or writes while it goes on: in the session's window, where both sides and
/// drivers see them at the same address. See [`Transport::allocate_memory`](crate::Transport::allocate_memory).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Where they start.
    pub address: u64,
    /// How many they are.
    pub length: u32,
}

/// How the end of a request is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// Address of the IO_STATUS_BLOCK, 16 bytes in the window.
    pub io_status_block: u64,
    /// The event that is signaled; without one the file is.
    pub event: Option<Handle>,
    /// What the user APC calls, 0 for none: an application's own number or address.
    pub apc_routine: u64,
    /// The APC's first argument; without an APC the context of the packet at the file's completion port, none if 0.
    pub apc_context: u64,
}

/// What a completion port says of a request that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletionPacket {
    /// The key of the file.
    pub key: u64,
    /// [`Notice::apc_context`] of the request.
    pub context: u64,
    /// How it ended.
    pub result: IoStatus,
}

/// A user APC that the calling thread is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserApc {
    /// [`Notice::apc_routine`].
    pub routine: u64,
    /// For requests: [`Notice::apc_context`], the address of the status block, 0.
    pub arguments: [u64; 3],
}

/// A system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemCall<'a> {
    /// `NtReadFile`: returns STATUS_PENDING when the request goes on.
    Read {
        /// The file.
        handle: Handle,
        /// Where the data goes.
        buffer: Memory,
        /// Offset in bytes; `None` only for synchronous files.
        offset: Option<u64>,
        /// How its end is told.
        notice: Notice,
    },
    /// `NtWriteFile`.
    Write {
        /// The file.
        handle: Handle,
        /// The data.
        buffer: Memory,
        /// Offset in bytes; `None` only for synchronous files.
        offset: Option<u64>,
        /// How its end is told.
        notice: Notice,
    },
    /// `NtDeviceIoControlFile`.
    DeviceControl {
        /// The file.
        handle: Handle,
        /// The control code.
        code: u32,
        /// The first buffer.
        input: Memory,
        /// The second buffer.
        output: Memory,
        /// How its end is told.
        notice: Notice,
    },
    /// `NtCancelIoFile`: requests of the calling thread.
    CancelIoFile {
        /// The file.
        handle: Handle,
    },
    /// `NtCancelIoFileEx`: all requests of the process, or the one with this status block.
    CancelIoFileEx {
        /// The file.
        handle: Handle,
        /// Address of the status block; 0 for all requests.
        io_status_block: u64,
    },
    /// The calling thread's identifier, as information. (On NT the thread's own block has it.)
    GetCurrentThreadId,
    /// Waits until more or fewer requests of the process that went on have ended than `seen`. Information: how many have. (On NT an
    /// application's memory is written to where it is; one that stands in for it must be told.)
    AwaitRequestEnd {
        /// How many the caller knows of; 0 at first.
        seen: u64,
    },
    /// `NtCancelSynchronousIoFile`: the request that another thread of the process waits for. NT's takes a handle.
    CancelSynchronousIoFile {
        /// The thread's identifier.
        thread: u32,
    },
    /// `NtCreateEvent`. Information 1: the name existed, and its event was opened.
    CreateEvent {
        /// NT path in UTF-16; empty for none.
        name: &'a [u16],
        /// Access mask.
        desired_access: u32,
        /// `NotificationEvent` (0), `SynchronizationEvent` (1).
        event_type: i32,
        /// Whether it starts signaled.
        initial_state: bool,
    },
    /// `NtOpenEvent`.
    OpenEvent {
        /// NT path in UTF-16.
        name: &'a [u16],
        /// Access mask.
        desired_access: u32,
    },
    /// `NtSetEvent`. Information: the state before.
    SetEvent {
        /// The event.
        handle: Handle,
    },
    /// `NtResetEvent`. Information: the state before.
    ResetEvent {
        /// The event.
        handle: Handle,
    },
    /// `NtPulseEvent`. Information: the state before.
    PulseEvent {
        /// The event.
        handle: Handle,
    },
    /// `NtWaitForMultipleObjects`; for one handle `NtWaitForSingleObject`.
    Wait {
        /// At most 64.
        handles: &'a [Handle],
        /// Whether all must be signaled at the same time.
        all: bool,
        /// Whether a user APC ends the wait.
        alertable: bool,
        /// As in `LARGE_INTEGER`, in units of 100 ns: negative relative to now. `None` waits for ever.
        timeout: Option<i64>,
    },
    /// `NtDelayExecution`.
    Delay {
        /// Whether a user APC ends it.
        alertable: bool,
        /// As in [`SystemCall::Wait`].
        interval: i64,
    },
    /// Takes the calling thread's oldest user APC: writes a [`UserApc`] to the output, 32 bytes; STATUS_NO_MORE_ENTRIES without
    /// one. On NT the kernel calls the routine itself.
    TakeUserApc,
    /// `NtCreateIoCompletion`. Information as for [`SystemCall::CreateEvent`].
    CreateIoCompletion {
        /// NT path in UTF-16; empty for none.
        name: &'a [u16],
        /// Access mask.
        desired_access: u32,
        /// Threads at a time; 0 for the number of processors.
        threads: u32,
    },
    /// `NtSetInformationFile`, FileCompletionInformation.
    SetFileCompletion {
        /// The file.
        handle: Handle,
        /// The port.
        port: Handle,
        /// What the packets of the file have as their key.
        key: u64,
    },
    /// `NtSetInformationFile`, FileIoCompletionNotificationInformation.
    SetCompletionNotificationModes {
        /// The file.
        handle: Handle,
        /// FILE_SKIP_*.
        flags: u32,
    },
    /// `NtSetIoCompletion`.
    SetIoCompletion {
        /// The port.
        handle: Handle,
        /// What to queue.
        packet: CompletionPacket,
    },
    /// `NtRemoveIoCompletionEx`: writes [`CompletionPacket`]s to the output, 32 bytes each, as many as there are and fit.
    /// Information: how many bytes. STATUS_TIMEOUT, STATUS_USER_APC: none.
    RemoveIoCompletion {
        /// The port.
        handle: Handle,
        /// Whether a user APC ends the wait.
        alertable: bool,
        /// As in [`SystemCall::Wait`].
        timeout: Option<i64>,
    },
    /// `NtCreateSection`. Information as for [`SystemCall::CreateEvent`].
    CreateSection {
        /// NT path in UTF-16; empty for none.
        name: &'a [u16],
        /// Access mask.
        desired_access: u32,
        /// Bytes; 0 for as many as the file has.
        size: u64,
        /// PAGE_*.
        protection: u32,
        /// SEC_*.
        attributes: u32,
        /// The file; `None` for pages of its own.
        file: Option<Handle>,
    },
    /// `NtOpenSection`.
    OpenSection {
        /// NT path in UTF-16.
        name: &'a [u16],
        /// Access mask.
        desired_access: u32,
    },
    /// `NtMapViewOfSection` in the calling process: writes the [`MappedView`] to the output, 32 bytes.
    MapViewOfSection {
        /// The section.
        handle: Handle,
        /// What is asked for: 0 as base for anywhere, as size for all.
        view: MappedView,
        /// PAGE_*.
        protection: u32,
    },
    /// `NtUnmapViewOfSection` in the calling process.
    UnmapViewOfSection {
        /// An address in the view.
        address: u64,
    },
    /// `NtFlushVirtualMemory` of a section's view. Information: how many bytes.
    FlushVirtualMemory {
        /// Where.
        address: u64,
        /// Bytes; 0 for all up to the view's end.
        length: u64,
    },
    /// `NtQuerySecurityObject`. Information: how many bytes were written, with STATUS_BUFFER_TOO_SMALL how many are needed.
    QuerySecurityObject {
        /// The object.
        handle: Handle,
        /// OWNER_SECURITY_INFORMATION and its like.
        information: u32,
        /// Where a self-relative SECURITY_DESCRIPTOR goes: a driver writes there itself.
        buffer: Memory,
    },
    /// `NtSetSecurityObject`.
    SetSecurityObject {
        /// The object.
        handle: Handle,
        /// OWNER_SECURITY_INFORMATION and its like.
        information: u32,
        /// A self-relative SECURITY_DESCRIPTOR, at most [`SystemCall::MOST_DESCRIPTOR`] bytes.
        descriptor: &'a [u8],
    },
    /// `NtCreateMailslotFile`. Information: what the file system says.
    CreateMailslotFile {
        /// NT path in UTF-16.
        name: &'a [u16],
        /// What it is to be.
        mailslot: Mailslot,
    },
    /// The name of a device interface that is enabled, its symbolic link in UTF-16 without a terminator, as output.
    /// Information: its bytes. STATUS_NO_MORE_ENTRIES behind the last. (On NT the Plug and Play manager's own calls, behind
    /// `CM_Get_Device_Interface_List`.)
    GetDeviceInterface {
        /// The class, a GUID as it lies in memory.
        class: [u8; 16],
        /// Which, from 0, in the order of registering.
        index: u32,
    },
    /// `FilterConnectCommunicationPort`: opens a handle to a connection.
    FilterConnectCommunicationPort {
        /// The port's NT path in UTF-16.
        name: &'a [u16],
        /// FLT_PORT_FLAG_*.
        options: u32,
        /// What the filter's callback gets; at most 65,535 bytes.
        context: &'a [u8],
    },
    /// `FilterLoad`.
    FilterLoad {
        /// The service's name in UTF-16.
        name: &'a [u16],
    },
    /// `FilterUnload`.
    FilterUnload {
        /// The service's name in UTF-16.
        name: &'a [u16],
    },
    /// `NtLoadDriver`.
    LoadDriver {
        /// The path of the service's key in UTF-16.
        key: &'a [u16],
    },
    /// `NtUnloadDriver`.
    UnloadDriver {
        /// The path of the service's key in UTF-16.
        key: &'a [u16],
    },
    /// `NtOpenThreadTokenEx` of the calling thread.
    OpenThreadToken {
        /// TOKEN_*.
        desired_access: u32,
        /// Whether access is checked for the process, not for the client.
        open_as_self: bool,
    },
    /// `NtOpenProcessTokenEx` of the calling process.
    OpenProcessToken {
        /// TOKEN_*.
        desired_access: u32,
    },
    /// `NtQueryInformationToken`: writes to the output what the class has, with addresses that count from its start. Information:
    /// how many bytes; STATUS_BUFFER_TOO_SMALL when there is no room for them.
    QueryInformationToken {
        /// The token.
        handle: Handle,
        /// TOKEN_INFORMATION_CLASS.
        class: i32,
    },
    /// `NtSetInformationThread` of the calling thread, ThreadImpersonationToken.
    SetThreadToken {
        /// The token; `None` to act for the process again.
        token: Option<Handle>,
    },
    /// `NtDuplicateToken`.
    DuplicateToken {
        /// The token.
        handle: Handle,
        /// TOKEN_*; 0 for what the handle has.
        desired_access: u32,
        /// SECURITY_IMPERSONATION_LEVEL of an impersonation token.
        level: u32,
        /// TOKEN_TYPE.
        kind: i32,
        /// Without what is disabled in the token.
        effective_only: bool,
    },
    /// A call on an LPC port.
    Port(PortCall<'a>),
    /// A call about a file or a volume beside its data.
    File(FileCall<'a>),
    /// A call on a mutant, a semaphore or a timer.
    Synchronization(SynchronizationCall<'a>),
    /// `NtFsControlFile`; as [`SystemCall::DeviceControl`].
    FsControl {
        /// The file.
        handle: Handle,
        /// The control code.
        code: u32,
        /// The first buffer.
        input: Memory,
        /// The second buffer.
        output: Memory,
        /// How its end is told.
        notice: Notice,
    },
    /// `NtCreateNamedPipeFile`. Information: FILE_CREATED, FILE_OPENED.
    CreateNamedPipeFile {
        /// NT path in UTF-16.
        name: &'a [u16],
        /// What it is to be.
        pipe: NamedPipe,
        /// A self-relative SECURITY_DESCRIPTOR for the first instance, at most [`SystemCall::MOST_DESCRIPTOR`] bytes; empty for the one
        /// that CreateNamedPipe gives where it is given none.
        descriptor: &'a [u8],
    },
    /// `NtQueryInformationFile`: writes the answer to the output. Information: how many bytes.
    QueryInformationFile {
        /// The file.
        handle: Handle,
        /// FILE_INFORMATION_CLASS.
        class: i32,
    },
    /// `NtSetInformationFile`, of what its driver or the I/O manager keeps.
    SetInformationFile {
        /// The file.
        handle: Handle,
        /// FILE_INFORMATION_CLASS.
        class: i32,
        /// The information; at most [`SystemCall::MOST_INFORMATION`] bytes.
        data: &'a [u8],
    },
    /// `NtFlushBuffersFile`.
    FlushBuffersFile {
        /// The file.
        handle: Handle,
    },
}

impl SystemCall<'_> {
    /// Bytes that [`SystemCall::SetInformationFile`] takes.
    pub const MOST_INFORMATION: usize = 1024;
    /// Bytes of the descriptor that [`SystemCall::SetSecurityObject`] and [`SystemCall::CreateNamedPipeFile`] take.
    pub const MOST_DESCRIPTOR: usize = 2048;

    /// Whether the calling thread acts for somebody behind it, which only a thread with a slot of its own can.
    pub(crate) fn impersonates(&self) -> bool {
        match self {
            Self::SetThreadToken { token } => token.is_some(),
            Self::Port(call) => matches!(call, PortCall::ImpersonateClient { .. }),
            Self::FsControl { code, .. } => *code == abi::FSCTL_PIPE_IMPERSONATE,
            _ => false,
        }
    }
}

/// What `NtCreateNamedPipeFile` is given beside a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamedPipe {
    /// Access mask.
    pub desired_access: u32,
    /// FILE_SHARE_READ and FILE_SHARE_WRITE: what clients may do.
    pub share_access: u32,
    /// FILE_OPEN_IF, FILE_CREATE for a first instance only, …
    pub create_disposition: u32,
    /// FILE_SYNCHRONOUS_IO_NONALERT, …
    pub create_options: u32,
    /// FILE_PIPE_MESSAGE_TYPE, FILE_PIPE_REJECT_REMOTE_CLIENTS.
    pub pipe_type: u32,
    /// FILE_PIPE_MESSAGE_MODE.
    pub read_mode: u32,
    /// FILE_PIPE_COMPLETE_OPERATION.
    pub completion_mode: u32,
    /// `u32::MAX` for any number.
    pub maximum_instances: u32,
    /// Bytes that clients may write ahead.
    pub inbound_quota: u32,
    /// Bytes that the server may write ahead.
    pub outbound_quota: u32,
    /// How long clients wait who do not say it, in units of 100 ns, below 0: relative to now.
    pub default_timeout: i64,
}

/// What `NtCreateMailslotFile` is given beside a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mailslot {
    /// Access mask.
    pub desired_access: u32,
    /// FILE_SYNCHRONOUS_IO_NONALERT, …
    pub create_options: u32,
    /// Bytes for messages; 0 for as many as the file system likes.
    pub quota: u32,
    /// Bytes of the longest message; 0 for any length.
    pub maximum_message_size: u32,
    /// How long reads wait, in units of 100 ns, not above 0: relative to now; -1 for ever.
    pub read_timeout: i64,
}

/// Where a part of a section is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MappedView {
    /// Address.
    pub base: u64,
    /// Offset in the section, in bytes.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

impl MappedView {
    /// Bytes on the wire.
    pub const SIZE: usize = 32;

    /// As it travels.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        words([self.base, self.offset, self.size, 0])
    }

    /// From what travelled.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let [base, offset, size, _] = from_words(bytes);
        Self { base, offset, size }
    }
}

/// The answer to a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemReply {
    /// The call's status. What else is there means something for success codes only.
    pub status: NTSTATUS,
    /// The handle that was opened.
    pub handle: Handle,
    /// Depends on the call.
    pub information: u64,
}

impl SystemReply {
    /// Nothing but a status.
    #[must_use]
    pub const fn status(status: NTSTATUS) -> Self {
        Self { status, handle: Handle(0), information: 0 }
    }
}

impl UserApc {
    /// Bytes on the wire.
    pub const SIZE: usize = 32;

    /// As it travels.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let [first, second, third] = self.arguments;
        words([self.routine, first, second, third])
    }

    /// From what travelled.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let [routine, arguments @ ..] = from_words(bytes);
        Self { routine, arguments }
    }
}

impl CompletionPacket {
    /// Bytes on the wire.
    pub const SIZE: usize = 32;

    /// As it travels.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let status = u64::from(self.result.status.bits());
        words([self.key, self.context, status, self.result.information])
    }

    /// From what travelled.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let [key, context, status, information] = from_words(bytes);
        let status = NTSTATUS::from_bits(low(status));
        Self { key, context, result: IoStatus { status, information } }
    }
}

fn words(words: [u64; 4]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn from_words(bytes: &[u8; 32]) -> [u64; 4] {
    let (words, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|index| u64::from_le_bytes(words[index]))
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
fn low(word: u64) -> u32 {
    word as u32
}

pub(crate) use wire::{MOST_BYTES, MOST_WORDS, Tail, decode, encode};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_that_has_a_thread_act_for_another_is_known_as_one() {
        let handle = Handle(4);
        let control = |code| SystemCall::FsControl {
            handle,
            code,
            input: Memory::default(),
            output: Memory::default(),
            notice: Notice::default(),
        };
        assert!(control(abi::FSCTL_PIPE_IMPERSONATE).impersonates());
        assert!(!control(abi::FSCTL_PIPE_LISTEN).impersonates());
        assert!(SystemCall::Port(PortCall::ImpersonateClient { handle, message: &[] }).impersonates());
        assert!(!SystemCall::Port(PortCall::Listen { handle }).impersonates());
        assert!(SystemCall::SetThreadToken { token: Some(handle) }.impersonates());
        assert!(!SystemCall::SetThreadToken { token: None }.impersonates(), "it reverts");
    }
}
