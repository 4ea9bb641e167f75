//! A message while it is the kernel's: out of its sender's memory, not yet in its receiver's.

use std::cell::Cell;

use abi::NTSTATUS;

use crate::ke::Thread;

/// Bytes of a PORT_MESSAGE.
pub const HEADER: usize = size_of::<abi::PORT_MESSAGE>();
/// Bytes that a message has behind its header, at most. (Confirm: x64's limit of 0x200 counts the header.)
pub const MAX_DATA: usize = abi::PORT_MAXIMUM_MESSAGE_LENGTH - HEADER;

/// CLIENT_ID: a thread, and its process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientId {
    /// Of the process.
    pub process: u64,
    /// Of the thread.
    pub thread: u64,
}

impl ClientId {
    pub(super) fn of(thread: &Thread) -> Self {
        Self { process: thread.process_id.into(), thread: thread.id.0.into() }
    }
}

/// A PORT_MESSAGE's fields. Lengths are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Behind the header.
    pub data_length: u16,
    /// With the header.
    pub total_length: u16,
    /// LPC_*.
    pub kind: u16,
    /// Where the addresses for `NtReadRequestData` stand; 0 for none.
    pub data_info_offset: u16,
    /// Who sent it; in replies, whom it is for.
    pub client: ClientId,
    /// Which message it is, or replies to.
    pub id: u32,
    /// ClientViewSize of a connection request, else CallbackId.
    pub view_or_callback: u64,
}

fn half(bytes: &[u8; HEADER], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8; HEADER], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]))
}

impl Header {
    /// From a PORT_MESSAGE.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; HEADER]) -> Self {
        Self {
            data_length: half(bytes, 0),
            total_length: half(bytes, 2),
            kind: half(bytes, 4),
            data_info_offset: half(bytes, 6),
            client: ClientId { process: word(bytes, 8), thread: word(bytes, 0x10) },
            id: u32::from_le_bytes(std::array::from_fn(|index| bytes[0x18 + index])),
            view_or_callback: word(bytes, 0x20),
        }
    }

    /// As a PORT_MESSAGE.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        for (place, half) in bytes.chunks_exact_mut(2).zip([
            self.data_length,
            self.total_length,
            self.kind,
            self.data_info_offset,
        ]) {
            place.copy_from_slice(&half.to_le_bytes());
        }
        let words = [self.client.process, self.client.thread, self.id.into(), self.view_or_callback];
        for (place, word) in bytes[8..].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Bytes that follow the header.
    ///
    /// # Errors
    /// `STATUS_PORT_MESSAGE_TOO_LONG` for more than [`MAX_DATA`]; `STATUS_INVALID_PARAMETER` for lengths that do not fit each other,
    /// and for a `data_info_offset` outside of the message.
    pub fn tail(&self) -> Result<usize, NTSTATUS> {
        let (total, data) = (usize::from(self.total_length), usize::from(self.data_length));
        let tail = total.checked_sub(HEADER).ok_or(abi::STATUS_INVALID_PARAMETER)?;
        let info = usize::from(self.data_info_offset);
        if data > tail || info != 0 && !(HEADER..total).contains(&info) {
            return Err(abi::STATUS_INVALID_PARAMETER);
        }
        if tail > MAX_DATA { Err(abi::STATUS_PORT_MESSAGE_TOO_LONG) } else { Ok(tail) }
    }

    /// CallbackId.
    #[expect(clippy::cast_possible_truncation, reason = "a ULONG in a union with a SIZE_T")]
    pub(super) fn callback(&self) -> u32 {
        self.view_or_callback as u32
    }
}

/// A message. Boxes of them are used again, by the thread that has emptied them.
#[derive(Debug)]
pub struct Message {
    /// Its header. Whoever sends it says what it likes; who receives it reads what the kernel has written.
    pub header: Header,
    /// What the server's side gave the connection as its PortContext, for messages to it.
    pub(super) context: u64,
    /// The connection that it came by.
    pub(super) connection: Option<usize>,
    data: [u8; MAX_DATA],
}

thread_local! {
    static SPARE: Cell<Option<Box<Message>>> = const { Cell::new(None) };
}

impl Message {
    /// One without data.
    #[must_use]
    pub fn empty() -> Box<Self> {
        let spare = SPARE.take();
        let mut message = spare.unwrap_or_else(|| {
            let header = Header::default();
            Box::new(Self { header, context: 0, connection: None, data: [0; MAX_DATA] })
        });
        message.header = Header::default();
        (message.context, message.connection) = (0, None);
        message
    }

    /// One with a header, and what `fill` writes behind it: as many bytes as the header says.
    ///
    /// # Errors
    /// As for [`Header::tail`].
    pub fn with<E>(
        header: Header,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Result<Box<Self>, NTSTATUS>, E> {
        let tail = match header.tail() {
            Ok(tail) => tail,
            Err(status) => return Ok(Err(status)),
        };
        let mut message = Self::empty();
        message.header = header;
        fill(&mut message.data[..tail])?;
        Ok(Ok(message))
    }

    /// From a PORT_MESSAGE and what follows it. Bytes behind the message's own count for nothing.
    ///
    /// # Errors
    /// As for [`Header::tail`]; `STATUS_INVALID_PARAMETER` when there are fewer than it says.
    pub fn from_bytes(bytes: &[u8]) -> Result<Box<Self>, NTSTATUS> {
        let (header, rest) = bytes.split_first_chunk().ok_or(abi::STATUS_INVALID_PARAMETER)?;
        Self::with(Header::from_bytes(header), |tail| {
            let source = rest.get(..tail.len()).ok_or(abi::STATUS_INVALID_PARAMETER)?;
            tail.copy_from_slice(source);
            Ok(())
        })?
    }

    /// What follows its header.
    #[must_use]
    pub fn tail(&self) -> &[u8] {
        let tail = usize::from(self.header.total_length).saturating_sub(HEADER);
        &self.data[..tail.min(MAX_DATA)]
    }

    /// Its data.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        let tail = self.tail();
        &tail[..usize::from(self.header.data_length).min(tail.len())]
    }

    /// Gives it these data, as many bytes as fit.
    pub(super) fn set_data(&mut self, data: &[u8]) {
        let length = data.len().min(MAX_DATA);
        self.data[..length].copy_from_slice(&data[..length]);
        self.header.data_length = u16::try_from(length).unwrap_or(0);
        self.header.total_length = u16::try_from(length + HEADER).unwrap_or(0);
    }

    /// Keeps its memory for the thread's next one.
    pub fn recycle(self: Box<Self>) {
        SPARE.set(Some(self));
    }
}
