//! System calls on LPC ports, and how they travel. Messages are PORT_MESSAGEs with their data, as NT has them in memory; what they
//! say is the kernel's to judge.

use super::wire::{MOST_WORDS, Tail};
use super::{Memory, low, words};
use crate::security_qos::SecurityQos;
use crate::transport::Handle;

/// Bytes of a PORT_MESSAGE.
const HEADER: usize = size_of::<abi::PORT_MESSAGE>();

/// A section that one end of a connection shows the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortView {
    /// The section.
    pub section: Handle,
    /// Offset in it, in bytes.
    pub offset: u32,
    /// Bytes; 0 for all up to its end.
    pub size: u64,
}

/// A system call on a port. What is sent and what comes back are at most [`abi::PORT_MAXIMUM_MESSAGE_LENGTH`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortCall<'a> {
    /// `NtCreatePort`, `NtCreateWaitablePort`.
    Create {
        /// NT path in UTF-16; empty for none.
        name: &'a [u16],
        /// Bytes of connection information, at most.
        max_connection_info: u32,
        /// Bytes of a message with its header, at most.
        max_message: u32,
        /// Whether it can be waited for.
        waitable: bool,
    },
    /// `NtConnectPort`: writes a [`PortConnected`] to the output, behind it the server's connection information. The reply's status is
    /// that of the call's delivery; what became of it is in the output, for a refusal has information too.
    Connect {
        /// NT path in UTF-16.
        name: &'a [u16],
        /// What the server may do in the client's name.
        qos: SecurityQos,
        /// A section to show.
        view: Option<PortView>,
        /// `NtSecureConnectPort`: as many bytes of `info` come first and are the SID of the user whom the server must be; 0 for any.
        server: u8,
        /// Connection information.
        info: &'a [u8],
    },
    /// `NtListenPort`: writes the request to the output.
    Listen {
        /// The port.
        handle: Handle,
    },
    /// `NtAcceptConnectPort`: opens the server's port, and writes a [`PortViews`] to the output. No port, when it refuses.
    Accept {
        /// The request as it was received, with the connection information for the client as its data.
        message: &'a [u8],
        /// Whether to accept.
        accept: bool,
        /// PortContext; 0 for the port's handle.
        context: u64,
        /// A section to show.
        view: Option<PortView>,
    },
    /// `NtCompleteConnectPort`.
    Complete {
        /// The server's port.
        handle: Handle,
    },
    /// `NtRequestPort`.
    Request {
        /// The port.
        handle: Handle,
        /// What is sent.
        message: &'a [u8],
    },
    /// `NtRequestWaitReplyPort`: writes what comes to the output.
    RequestWaitReply {
        /// The port.
        handle: Handle,
        /// What is sent.
        message: &'a [u8],
    },
    /// `NtReplyPort`.
    Reply {
        /// The port.
        handle: Handle,
        /// The reply.
        message: &'a [u8],
    },
    /// `NtReplyWaitReplyPort`: writes what comes to the output.
    ReplyWaitReply {
        /// The port.
        handle: Handle,
        /// The reply.
        message: &'a [u8],
    },
    /// `NtImpersonateClientOfPort`.
    ImpersonateClient {
        /// The server's port.
        handle: Handle,
        /// The request.
        message: &'a [u8],
    },
    /// `NtRegisterThreadTerminatePort`.
    RegisterThreadTerminatePort {
        /// The port.
        handle: Handle,
    },
    /// `NtReadRequestData`. Information: how many bytes.
    ReadRequestData {
        /// The port.
        handle: Handle,
        /// The request.
        message: &'a [u8],
        /// Which of the entries that it gives.
        index: u32,
        /// Where to.
        buffer: Memory,
    },
    /// `NtWriteRequestData`. Information: how many bytes.
    WriteRequestData {
        /// The port.
        handle: Handle,
        /// The request.
        message: &'a [u8],
        /// Which of the entries that it gives.
        index: u32,
        /// Where from.
        buffer: Memory,
    },
    /// `NtReplyWaitReceivePortEx`: writes PortContext and the message to the output.
    ReplyWaitReceive {
        /// The port.
        handle: Handle,
        /// The reply; empty for none.
        reply: &'a [u8],
        /// As for other waits: `None` for ever.
        timeout: Option<i64>,
    },
}

/// Where views lie: the caller's own (offset in the section, size, address, the other end's address), and the other end's (size,
/// address). Zero where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortViews {
    /// Offset in the section, in bytes.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// In the caller's process.
    pub base: u64,
    /// In the other end's.
    pub remote_base: u64,
    /// Bytes of the other end's view.
    pub other_size: u64,
    /// Where it is in the caller's process.
    pub other_base: u64,
}

impl PortViews {
    /// Bytes on the wire.
    pub const SIZE: usize = 64;

    /// As it travels.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let (front, back) = bytes.split_at_mut(32);
        front.copy_from_slice(&words([self.offset, self.size, self.base, self.remote_base]));
        back.copy_from_slice(&words([self.other_size, self.other_base, 0, 0]));
        bytes
    }

    /// From what travelled.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |index: usize| u64::from_le_bytes(words[index]);
        Self {
            offset: word(0),
            size: word(1),
            base: word(2),
            remote_base: word(3),
            other_size: word(4),
            other_base: word(5),
        }
    }
}

/// What became of a connection request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortConnected {
    /// The call's status.
    pub status: abi::NTSTATUS,
    /// Bytes of a message with its header, at most.
    pub max_message: u32,
    /// Views.
    pub views: PortViews,
}

impl PortConnected {
    /// Bytes on the wire, before the connection information.
    pub const SIZE: usize = PortViews::SIZE + 8;

    /// As it travels.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&self.status.bits().to_le_bytes());
        bytes[4..8].copy_from_slice(&self.max_message.to_le_bytes());
        bytes[8..].copy_from_slice(&self.views.to_bytes());
        bytes
    }

    /// From what travelled.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let half = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        let views = std::array::from_fn(|index| bytes[8 + index]);
        Self {
            status: abi::NTSTATUS::from_bits(half(0)),
            max_message: half(4),
            views: PortViews::from_bytes(&views),
        }
    }
}

/// The longest output of a call on a port.
pub const PORT_OUTPUT: usize = PortConnected::SIZE + abi::PORT_MAXIMUM_MESSAGE_LENGTH;

const CREATE: u32 = 50;
const CONNECT: u32 = 51;
const LISTEN: u32 = 52;
const ACCEPT: u32 = 53;
const COMPLETE: u32 = 54;
const REQUEST: u32 = 55;
const REQUEST_WAIT_REPLY: u32 = 56;
const REPLY: u32 = 57;
const REPLY_WAIT_REPLY: u32 = 58;
const REPLY_WAIT_RECEIVE: u32 = 59;
const IMPERSONATE_CLIENT: u32 = 60;
const READ_REQUEST_DATA: u32 = 61;
const WRITE_REQUEST_DATA: u32 = 62;
const REGISTER_THREAD_TERMINATE_PORT: u32 = 63;
const CREATE_WAITABLE: u32 = 65;

/// The numbers of these calls.
pub(super) const NUMBERS: std::ops::RangeInclusive<u32> = CREATE..=CREATE_WAITABLE;

const DYNAMIC: u64 = 1 << 32;
const EFFECTIVE_ONLY: u64 = 1 << 33;
const HAS_VIEW: u64 = 1 << 34;
/// Where the length of a SID is.
const SERVER: u32 = 40;
/// Bytes of the longest SID.
const MOST_SID: usize = 8 + 4 * abi::SID_MAX_SUB_AUTHORITIES as usize;
const ACCEPTS: u64 = 1;
const HAS_TIME: u64 = 1;

fn view_words(view: Option<PortView>) -> (u64, [u64; 2]) {
    let has = if view.is_some() { HAS_VIEW } else { 0 };
    let nothing = PortView { section: Handle(0), offset: 0, size: 0 };
    let PortView { section, offset, size } = view.unwrap_or(nothing);
    (has, [u64::from(section.0) | u64::from(offset) << 32, size])
}

fn data_words(index: u32, buffer: Memory) -> [u64; 2] {
    [buffer.address, u64::from(index) | u64::from(buffer.length) << 32]
}

/// Call number, handle, words (as many as are used), tail.
pub(super) fn encode<'a>(
    call: &PortCall<'a>,
    words: &mut [u64; MOST_WORDS],
) -> (u32, Handle, usize, Tail<'a>) {
    let none = Handle(0);
    let mut fill = |values: &[u64]| {
        words[..values.len()].copy_from_slice(values);
        values.len()
    };
    match *call {
        PortCall::Create { name, max_connection_info, max_message, waitable } => {
            let count = fill(&[max_connection_info.into(), max_message.into()]);
            let number = if waitable { CREATE_WAITABLE } else { CREATE };
            (number, none, count, Tail::Name(name))
        }
        PortCall::Connect { name, qos, view, server, info } => {
            let (has_view, [section, size]) = view_words(view);
            let flags = u64::from(qos.level)
                | if qos.dynamic_tracking { DYNAMIC } else { 0 }
                | if qos.effective_only { EFFECTIVE_ONLY } else { 0 }
                | has_view
                | u64::from(server) << SERVER;
            let count = fill(&[flags, section, size, name.len() as u64]);
            (CONNECT, none, count, Tail::NameAndBytes(name, info))
        }
        PortCall::Listen { handle } => (LISTEN, handle, 0, Tail::Nothing),
        PortCall::Accept { message, accept, context, view } => {
            let (has_view, [section, size]) = view_words(view);
            let flags = has_view | if accept { ACCEPTS } else { 0 };
            (ACCEPT, none, fill(&[flags, section, size, context]), Tail::Bytes(message))
        }
        PortCall::Complete { handle } => (COMPLETE, handle, 0, Tail::Nothing),
        PortCall::Request { handle, message } => (REQUEST, handle, 0, Tail::Bytes(message)),
        PortCall::RequestWaitReply { handle, message } => {
            (REQUEST_WAIT_REPLY, handle, 0, Tail::Bytes(message))
        }
        PortCall::Reply { handle, message } => (REPLY, handle, 0, Tail::Bytes(message)),
        PortCall::ReplyWaitReply { handle, message } => (REPLY_WAIT_REPLY, handle, 0, Tail::Bytes(message)),
        PortCall::ImpersonateClient { handle, message } => {
            (IMPERSONATE_CLIENT, handle, 0, Tail::Bytes(message))
        }
        PortCall::RegisterThreadTerminatePort { handle } => {
            (REGISTER_THREAD_TERMINATE_PORT, handle, 0, Tail::Nothing)
        }
        PortCall::ReadRequestData { handle, message, index, buffer } => {
            (READ_REQUEST_DATA, handle, fill(&data_words(index, buffer)), Tail::Bytes(message))
        }
        PortCall::WriteRequestData { handle, message, index, buffer } => {
            (WRITE_REQUEST_DATA, handle, fill(&data_words(index, buffer)), Tail::Bytes(message))
        }
        PortCall::ReplyWaitReceive { handle, reply, timeout } => {
            let flags = if timeout.is_some() { HAS_TIME } else { 0 };
            let count = fill(&[flags, timeout.unwrap_or(0).cast_unsigned()]);
            (REPLY_WAIT_RECEIVE, handle, count, Tail::Bytes(reply))
        }
    }
}

/// Words that a call has.
pub(super) fn word_count(number: u32) -> usize {
    match number {
        CONNECT | ACCEPT => 4,
        CREATE | CREATE_WAITABLE | REPLY_WAIT_RECEIVE | READ_REQUEST_DATA | WRITE_REQUEST_DATA => 2,
        _ => 0,
    }
}

/// Bytes of the tail that are a name.
pub(super) fn name_bytes(number: u32, tail: &[u8], word: &dyn Fn(usize) -> u64) -> usize {
    match number {
        CREATE | CREATE_WAITABLE => tail.len(),
        CONNECT => usize::try_from(word(3)).ok().and_then(|units| units.checked_mul(2)).unwrap_or(usize::MAX),
        _ => 0,
    }
}

/// Bytes of the longest tail, without its name.
pub(super) fn most_bytes(number: u32) -> usize {
    abi::PORT_MAXIMUM_MESSAGE_LENGTH + if number == CONNECT { MOST_SID } else { 0 }
}

/// Whether a tail of so many bytes, without its name, can be the call's.
pub(super) fn fits(number: u32, length: usize) -> bool {
    match number {
        CONNECT => length <= most_bytes(number),
        REPLY_WAIT_RECEIVE => length == 0 || (HEADER..=abi::PORT_MAXIMUM_MESSAGE_LENGTH).contains(&length),
        ACCEPT | REQUEST | REQUEST_WAIT_REPLY | REPLY | REPLY_WAIT_REPLY | IMPERSONATE_CLIENT
        | READ_REQUEST_DATA | WRITE_REQUEST_DATA => {
            (HEADER..=abi::PORT_MAXIMUM_MESSAGE_LENGTH).contains(&length)
        }
        _ => length == 0,
    }
}

pub(super) fn read<'a>(
    number: u32,
    handle: Handle,
    word: &dyn Fn(usize) -> u64,
    name: &'a [u16],
    bytes: &'a [u8],
) -> Option<PortCall<'a>> {
    let view = || {
        let section = Handle(low(word(1)));
        (word(0) & HAS_VIEW != 0).then(|| PortView { section, offset: low(word(1) >> 32), size: word(2) })
    };
    let buffer = || Memory { address: word(0), length: low(word(1) >> 32) };
    Some(match number {
        CREATE | CREATE_WAITABLE => PortCall::Create {
            name,
            max_connection_info: low(word(0)),
            max_message: low(word(1)),
            waitable: number == CREATE_WAITABLE,
        },
        CONNECT => {
            let qos = SecurityQos {
                level: low(word(0)),
                dynamic_tracking: word(0) & DYNAMIC != 0,
                effective_only: word(0) & EFFECTIVE_ONLY != 0,
            };
            PortCall::Connect {
                name,
                qos,
                view: view(),
                server: (word(0) >> SERVER).to_le_bytes()[0],
                info: bytes,
            }
        }
        LISTEN => PortCall::Listen { handle },
        ACCEPT => PortCall::Accept {
            message: bytes,
            accept: word(0) & ACCEPTS != 0,
            context: word(3),
            view: view(),
        },
        COMPLETE => PortCall::Complete { handle },
        REQUEST => PortCall::Request { handle, message: bytes },
        REQUEST_WAIT_REPLY => PortCall::RequestWaitReply { handle, message: bytes },
        REPLY => PortCall::Reply { handle, message: bytes },
        REPLY_WAIT_REPLY => PortCall::ReplyWaitReply { handle, message: bytes },
        IMPERSONATE_CLIENT => PortCall::ImpersonateClient { handle, message: bytes },
        REGISTER_THREAD_TERMINATE_PORT => PortCall::RegisterThreadTerminatePort { handle },
        READ_REQUEST_DATA => {
            PortCall::ReadRequestData { handle, message: bytes, index: low(word(1)), buffer: buffer() }
        }
        WRITE_REQUEST_DATA => {
            PortCall::WriteRequestData { handle, message: bytes, index: low(word(1)), buffer: buffer() }
        }
        REPLY_WAIT_RECEIVE => PortCall::ReplyWaitReceive {
            handle,
            reply: bytes,
            timeout: (word(0) & HAS_TIME != 0).then(|| word(1).cast_signed()),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{SystemCall, decode, encode};
    use super::*;

    fn travelled(call: &SystemCall<'_>) -> Result<bool, abi::NTSTATUS> {
        let mut words = [0; MOST_WORDS];
        let (number, handle, count, tail) = encode(call, &mut words);
        let mut bytes: Vec<u8> = words[..count].iter().flat_map(|word| word.to_le_bytes()).collect();
        let (name, more): (&[u16], &[u8]) = match tail {
            Tail::Name(name) => (name, &[]),
            Tail::Bytes(more) => (&[], more),
            Tail::NameAndBytes(name, more) => (name, more),
            _ => (&[], &[]),
        };
        bytes.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes.extend(more);
        decode(number, handle, &bytes, |arrived| arrived == call)
    }

    #[test]
    fn every_call_on_a_port_survives_the_wire() {
        let (handle, message) = (Handle(0x44), &[7; 0x200][..]);
        let name: Vec<u16> = r"\RPC Control\P".encode_utf16().collect();
        let view = Some(PortView { section: Handle(8), offset: u32::MAX, size: u64::MAX });
        let buffer = Memory { address: u64::MAX, length: 0x8000_0001 };
        let qos = SecurityQos { level: u32::MAX, dynamic_tracking: true, effective_only: false };
        for call in [
            PortCall::Create {
                name: &name,
                max_connection_info: u32::MAX,
                max_message: 0x200,
                waitable: true,
            },
            PortCall::Create { name: &[], max_connection_info: 0, max_message: 0, waitable: false },
            PortCall::Connect { name: &name, qos, view, server: 12, info: &message[..30] },
            PortCall::Connect {
                name: &name,
                qos: SecurityQos { level: 3, dynamic_tracking: false, effective_only: true },
                view: None,
                server: 0,
                info: &[],
            },
            PortCall::Listen { handle },
            PortCall::Accept { message, accept: true, context: u64::MAX, view },
            PortCall::Accept { message: &message[..HEADER], accept: false, context: 0, view: None },
            PortCall::Complete { handle },
            PortCall::Request { handle, message },
            PortCall::RequestWaitReply { handle, message },
            PortCall::Reply { handle, message },
            PortCall::ReplyWaitReply { handle, message },
            PortCall::ImpersonateClient { handle, message },
            PortCall::RegisterThreadTerminatePort { handle },
            PortCall::ReadRequestData { handle, message, index: 3, buffer },
            PortCall::WriteRequestData { handle, message: &message[..HEADER], index: u32::MAX, buffer },
            PortCall::ReplyWaitReceive { handle, reply: &[], timeout: None },
            PortCall::ReplyWaitReceive { handle, reply: message, timeout: Some(i64::MIN) },
        ] {
            assert_eq!(travelled(&SystemCall::Port(call)), Ok(true), "{call:?}");
        }
        let views =
            PortViews { offset: 1, size: 2, base: 3, remote_base: 4, other_size: 5, other_base: u64::MAX };
        let status = abi::STATUS_PORT_CONNECTION_REFUSED;
        let connected = PortConnected { status, max_message: 0x200, views };
        assert_eq!(PortConnected::from_bytes(&connected.to_bytes()), connected);
    }

    #[test]
    fn a_torn_call_on_a_port_is_refused() {
        let refused = |number, input: &[u8]| decode(number, Handle(4), input, |_| ()).err();
        for number in NUMBERS {
            // Longer than a message, and for names an odd number of bytes.
            let length = word_count(number) * 8 + most_bytes(number) + 1;
            let too_long = abi::STATUS_PORT_MESSAGE_TOO_LONG;
            let is_named = matches!(number, CREATE | CREATE_WAITABLE);
            let expected = if is_named { abi::STATUS_INVALID_PARAMETER } else { too_long };
            assert_eq!(refused(number, &vec![0; length]), Some(expected), "{number}");
        }
        assert_eq!(refused(REQUEST, &[0; HEADER - 1]), Some(abi::STATUS_INVALID_PARAMETER), "no header");
        let mut far = [0; 40];
        far[24] = 200;
        assert_eq!(refused(CONNECT, &far), Some(abi::STATUS_INVALID_PARAMETER), "a name beyond its end");
        far[24..32].fill(0xFF);
        assert_eq!(refused(CONNECT, &far), Some(abi::STATUS_INVALID_PARAMETER), "a name beyond all ends");
    }
}
