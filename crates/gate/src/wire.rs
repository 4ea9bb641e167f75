//! What travels between application and host, bit by bit: messages on the socket, the lines of a call slot, and the
//! layout of a session's window. All integers are little-endian; places are offsets into the window, never pointers.
//!
//! What a line's fields mean is checked by whoever reads them (`session` and `client`): both sides treat the other's
//! words as hostile, read each once and then validate.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The protocol's version. Peers of different versions refuse each other.
pub(crate) const VERSION: u32 = 5;

/// Bytes of a slot, its two lines and its inline data.
pub(crate) const SLOT_SIZE: u64 = 0x2000;

/// Where the slots begin; the page before is left for words of the whole session.
pub(crate) const SLOTS_OFFSET: u64 = 0x1000;

/// Inline data beside the request line: one cache line, which travels with it.
pub(crate) const FRONT: std::ops::Range<u64> = 0x40..0x80;

/// Inline data behind the reply line.
pub(crate) const REST: std::ops::Range<u64> = 0xC0..SLOT_SIZE;

/// The most slots a session may have.
pub(crate) const SLOT_LIMIT: u32 = 4096;

/// The longest NT path, in UTF-16 units (a `UNICODE_STRING` counts bytes in 16 bits).
pub(crate) const PATH_LIMIT: usize = 32767;

/// 32-bit words before the path in the input of a create request: access, attributes, sharing, disposition, options,
/// and the security quality of service as `CreateFile`'s flags.
pub(crate) const CREATE_WORDS: usize = 6;

/// What a request asks for.
pub(crate) mod operation {
    pub(crate) const CREATE: u32 = 1;
    pub(crate) const CLOSE: u32 = 2;
    pub(crate) const READ: u32 = 3;
    pub(crate) const WRITE: u32 = 4;
    pub(crate) const DEVICE_CONTROL: u32 = 5;
    pub(crate) const QUERY_DIRECTORY: u32 = 6;
    /// The application's thread has ended: the host's ends too.
    pub(crate) const END: u32 = 7;
    /// Another handle; `code` is the access, `file_offset` the options.
    pub(crate) const DUPLICATE: u32 = 8;
    /// What `code` says; see `system_call`.
    pub(crate) const SYSTEM_CALL: u32 = 9;
    // From 32 on: what is asked of the host besides devices.
    /// The input is a driver; see `management`.
    pub(crate) const LOAD_DRIVER: u32 = 32;
    /// The input is a name.
    pub(crate) const UNLOAD_DRIVER: u32 = 33;
    pub(crate) const QUERY_DRIVERS: u32 = 34;
    /// The input is a list of handles, the answer a ticket; see `inheritance`.
    pub(crate) const OFFER_HANDLES: u32 = 35;
    /// The other way round.
    pub(crate) const TAKE_HANDLES: u32 = 36;
    /// The input is a request about devices; see `device_management`.
    pub(crate) const MANAGE_DEVICES: u32 = 80;
    /// The input is a request about services; see `service_management`.
    pub(crate) const MANAGE_SERVICES: u32 = 66;
}

/// `Request::flags`: `file_offset` counts.
pub(crate) const HAS_FILE_OFFSET: u32 = 1;
/// `Request::flags`: the slot is one on which several threads of the application take turns, so that its host thread keeps
/// nothing of a thread's.
pub(crate) const SHARED_TURN: u32 = 2;

/// One request, as copied out of its line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) operation: u32,
    pub(crate) handle: u32,
    pub(crate) code: u32,
    pub(crate) input_offset: u64,
    pub(crate) output_offset: u64,
    pub(crate) input_length: u32,
    pub(crate) output_length: u32,
    pub(crate) file_offset: u64,
    pub(crate) flags: u32,
}

/// One answer, as copied out of its line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u32,
    pub(crate) handle: u32,
    pub(crate) information: u64,
}

/// The cache line that the application writes.
#[repr(C, align(64))]
pub(crate) struct RequestLine {
    /// The request's sequence number; see `bell`.
    pub(crate) bell: AtomicU32,
    operation: AtomicU32,
    handle: AtomicU32,
    code: AtomicU32,
    input_offset: AtomicU64,
    output_offset: AtomicU64,
    input_length: AtomicU32,
    output_length: AtomicU32,
    file_offset: AtomicU64,
    flags: AtomicU32,
    /// The processor that the writer ran on, plus one; a hint, 0 if unknown.
    pub(crate) processor: AtomicU32,
    /// The application's thread sleeps on the reply's bell.
    pub(crate) parked: AtomicU32,
    reserved: AtomicU32,
}

/// The cache line that the host writes.
#[repr(C, align(64))]
pub(crate) struct ReplyLine {
    /// The sequence number of the request that is answered; see `bell`.
    pub(crate) bell: AtomicU32,
    status: AtomicU32,
    information: AtomicU64,
    handle: AtomicU32,
    /// As in [`RequestLine`].
    pub(crate) processor: AtomicU32,
    /// The host's thread sleeps on the request's bell.
    pub(crate) parked: AtomicU32,
    reserved: [AtomicU32; 9],
}

/// The start of a slot. Inline data is reached by address, never through this.
#[repr(C)]
pub(crate) struct Slot {
    pub(crate) request: RequestLine,
    front: [AtomicU64; 8],
    pub(crate) reply: ReplyLine,
}

impl Slot {
    /// The first line of inline data that travels with a request.
    pub(crate) fn after_request(&self) -> *const u8 {
        self.front.as_ptr().cast()
    }

    /// The first line of inline data that travels with a reply.
    pub(crate) fn after_reply(&self) -> *const u8 {
        (&raw const self.reply).wrapping_add(1).cast()
    }
}

const _: () = {
    assert!(size_of::<RequestLine>() == 64 && size_of::<ReplyLine>() == 64);
    assert!(std::mem::offset_of!(Slot, front) as u64 == FRONT.start);
    assert!(size_of::<Slot>() as u64 == REST.start);
};

impl RequestLine {
    /// Fills everything but the bell.
    #[inline]
    pub(crate) fn write(&self, request: &Request, processor: u32) {
        self.operation.store(request.operation, Ordering::Relaxed);
        self.handle.store(request.handle, Ordering::Relaxed);
        self.code.store(request.code, Ordering::Relaxed);
        self.input_offset.store(request.input_offset, Ordering::Relaxed);
        self.output_offset.store(request.output_offset, Ordering::Relaxed);
        self.input_length.store(request.input_length, Ordering::Relaxed);
        self.output_length.store(request.output_length, Ordering::Relaxed);
        self.file_offset.store(request.file_offset, Ordering::Relaxed);
        self.flags.store(request.flags, Ordering::Relaxed);
        self.processor.store(processor, Ordering::Relaxed);
    }

    /// Reads every field once.
    #[inline]
    pub(crate) fn read(&self) -> Request {
        Request {
            operation: self.operation.load(Ordering::Relaxed),
            handle: self.handle.load(Ordering::Relaxed),
            code: self.code.load(Ordering::Relaxed),
            input_offset: self.input_offset.load(Ordering::Relaxed),
            output_offset: self.output_offset.load(Ordering::Relaxed),
            input_length: self.input_length.load(Ordering::Relaxed),
            output_length: self.output_length.load(Ordering::Relaxed),
            file_offset: self.file_offset.load(Ordering::Relaxed),
            flags: self.flags.load(Ordering::Relaxed),
        }
    }
}

impl ReplyLine {
    /// Fills everything but the bell.
    #[inline]
    pub(crate) fn write(&self, reply: &Reply, processor: u32) {
        self.status.store(reply.status, Ordering::Relaxed);
        self.handle.store(reply.handle, Ordering::Relaxed);
        self.information.store(reply.information, Ordering::Relaxed);
        self.processor.store(processor, Ordering::Relaxed);
    }

    /// Reads every field once.
    #[inline]
    pub(crate) fn read(&self) -> Reply {
        Reply {
            status: self.status.load(Ordering::Relaxed),
            handle: self.handle.load(Ordering::Relaxed),
            information: self.information.load(Ordering::Relaxed),
        }
    }
}

/// Where things lie in a session's shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) slot_count: u32,
    /// Where application data begins; it reaches to `len`.
    pub(crate) data_offset: u64,
    /// Bytes of shared memory.
    pub(crate) len: u64,
    /// Bytes of address space that both sides keep for the session, `len` included.
    pub(crate) span: u64,
}

impl Layout {
    /// Whether all parts lie inside each other and on page boundaries. At least a page of the address space is not memory:
    /// it stays taken in forked children.
    pub(crate) fn is_sound(&self) -> bool {
        const PAGE: u64 = platform::pages::PAGE_SIZE as u64;
        let slots_end = SLOTS_OFFSET + u64::from(self.slot_count) * SLOT_SIZE;
        (2..=SLOT_LIMIT).contains(&self.slot_count)
            && slots_end <= self.data_offset
            && self.data_offset < self.len
            && self.len < self.span
            && self.span <= platform::pages::WINDOW_STRIDE as u64
            && [self.data_offset, self.len, self.span].iter().all(|at| at.is_multiple_of(PAGE))
    }
}

/// Bytes of every message on the socket.
pub(crate) const MESSAGE_SIZE: usize = 64;

const MAGIC: u64 = u64::from_le_bytes(*b"RINGBRDG");

/// What the two sides say to each other on the socket. The first sixteen bytes (magic, version, kind) keep their
/// meaning in all versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Application: first.
    Hello,
    /// Host: a window's address and layout, with its descriptor.
    Offer { base: u64, layout: Layout },
    /// Application: the window is mapped.
    Accept,
    /// Application: something else is mapped there, propose another address.
    Occupied,
    /// Host: the session is open.
    Ready,
    /// Host: no session, and why (NT's status).
    Refused { status: u32 },
    /// Application: slot `slot` will be used from now on, by a thread of its own.
    Activate { slot: u32 },
    /// Host: map `length` bytes of the memory whose descriptor comes with this, from `offset` on, at `place` in the window;
    /// then answer.
    MapView { number: u64, place: u64, length: u64, offset: u64, writable: bool },
    /// Host: unmap `length` bytes at `place` in the window; then answer.
    UnmapView { number: u64, place: u64, length: u64 },
    /// Application: order `number` is carried out, or cannot be.
    Answer { number: u64, done: bool },
}

/// A message that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadMessage {
    /// Not this protocol, or not what may come here.
    Protocol,
    /// This protocol, but another version.
    Version(u32),
}

impl Message {
    pub(crate) fn encode(&self) -> [u8; MESSAGE_SIZE] {
        self.encode_as(VERSION)
    }

    pub(crate) fn encode_as(&self, version: u32) -> [u8; MESSAGE_SIZE] {
        let (kind, words): (u32, [u64; 6]) = match *self {
            Self::Hello => (1, [0; 6]),
            Self::Offer { base, layout } => {
                let Layout { slot_count, data_offset, len, span } = layout;
                (2, [base, u64::from(slot_count), data_offset, len, span, 0])
            }
            Self::Accept => (3, [0; 6]),
            Self::Occupied => (4, [0; 6]),
            Self::Ready => (5, [0; 6]),
            Self::Refused { status } => (6, [u64::from(status), 0, 0, 0, 0, 0]),
            Self::Activate { slot } => (7, [u64::from(slot), 0, 0, 0, 0, 0]),
            Self::MapView { number, place, length, offset, writable } => {
                (8, [number, place, length, offset, u64::from(writable), 0])
            }
            Self::UnmapView { number, place, length } => (9, [number, place, length, 0, 0, 0]),
            Self::Answer { number, done } => (10, [number, u64::from(done), 0, 0, 0, 0]),
        };
        let mut bytes = [0; MESSAGE_SIZE];
        bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        bytes[12..16].copy_from_slice(&kind.to_le_bytes());
        for (place, word) in bytes[16..].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; MESSAGE_SIZE]) -> Result<Self, BadMessage> {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |index: usize| u64::from_le_bytes(words[index]);
        let (halves, _) = bytes.as_chunks::<4>();
        let half = |index: usize| u32::from_le_bytes(halves[index]);
        let small = |value: u64| u32::try_from(value).map_err(|_| BadMessage::Protocol);
        let flag = |value: u64| match value {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(BadMessage::Protocol),
        };
        if word(0) != MAGIC {
            return Err(BadMessage::Protocol);
        }
        if half(2) != VERSION {
            return Err(BadMessage::Version(half(2)));
        }
        Ok(match half(3) {
            1 => Self::Hello,
            2 => {
                let slot_count = small(word(3))?;
                let layout = Layout { slot_count, data_offset: word(4), len: word(5), span: word(6) };
                Self::Offer { base: word(2), layout }
            }
            3 => Self::Accept,
            4 => Self::Occupied,
            5 => Self::Ready,
            6 => Self::Refused { status: small(word(2))? },
            7 => Self::Activate { slot: small(word(2))? },
            8 => Self::MapView {
                number: word(2),
                place: word(3),
                length: word(4),
                offset: word(5),
                writable: flag(word(6))?,
            },
            9 => Self::UnmapView { number: word(2), place: word(3), length: word(4) },
            10 => Self::Answer { number: word(2), done: flag(word(3))? },
            _ => return Err(BadMessage::Protocol),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { slot_count: 2, data_offset: 0x1_0000, len: 0x2_0000, span: 0x10_0000 };

    #[test]
    fn every_message_survives_the_wire() {
        for message in [
            Message::Hello,
            Message::Offer { base: 0x2000_0000_0000, layout: LAYOUT },
            Message::Accept,
            Message::Occupied,
            Message::Ready,
            Message::Refused { status: 0xC000_0022 },
            Message::Activate { slot: 77 },
            Message::MapView { number: 1, place: 2 << 30, length: 0x3000, offset: 0x1000, writable: true },
            Message::MapView { number: 2, place: 2 << 30, length: 0x3000, offset: 0, writable: false },
            Message::UnmapView { number: u64::MAX, place: 2 << 30, length: 0x3000 },
            Message::Answer { number: 3, done: true },
            Message::Answer { number: 4, done: false },
        ] {
            assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn other_protocols_and_versions_are_told_apart() {
        assert_eq!(Message::decode(&[0; MESSAGE_SIZE]), Err(BadMessage::Protocol));
        assert_eq!(Message::decode(&Message::Hello.encode_as(9)), Err(BadMessage::Version(9)));
        let mut unknown = Message::Hello.encode();
        unknown[12] = 200;
        assert_eq!(Message::decode(&unknown), Err(BadMessage::Protocol));
    }

    #[test]
    fn a_layout_whose_parts_overlap_is_not_sound() {
        assert!(LAYOUT.is_sound());
        assert!(!Layout { slot_count: 100, ..LAYOUT }.is_sound());
        assert!(!Layout { slot_count: u32::MAX, ..LAYOUT }.is_sound());
        assert!(!Layout { data_offset: 0x2_0000, ..LAYOUT }.is_sound());
        assert!(!Layout { len: 0x2_0001, ..LAYOUT }.is_sound());
        assert!(!Layout { span: 0x1_0000, ..LAYOUT }.is_sound());
        assert!(!Layout { span: LAYOUT.len, ..LAYOUT }.is_sound());
        assert!(!Layout { span: !0xFFF, ..LAYOUT }.is_sound());
    }
}
