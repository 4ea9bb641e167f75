//! Memory of a client that its request gives its server: `NtReadRequestData` and `NtWriteRequestData`.
//!
//! Where it is the kernel learns when the request is sent, from the sender's message; what the server says of it later counts for
//! nothing. It is the client's as long as that waits for the reply, and so the copying is done under the channel's lock, in parts.

use std::sync::Weak;

use abi::NTSTATUS;

use super::channel::Exchange;
use super::connect::no_such_request;
use super::message::{HEADER, Header, Message};
use super::port::Port;
use super::transfer::{Caller, may_reply};
use crate::ps::Process;
use crate::{Kernel, Unwind, raw};

/// Bytes that are copied before others of the channel have their turn.
const PART: u64 = 0x1_0000;
/// Bytes of a PORT_DATA_INFORMATION before its entries, and of an entry.
const HEAD: usize = 8;
const ENTRY: usize = 16;

/// What a request gives its server.
#[derive(Debug)]
pub(super) struct RequestData {
    /// Addresses and bytes.
    ranges: Box<[(u64, u32)]>,
    /// In whose windows they must lie; kernel code gives what it likes.
    owner: Option<Weak<Process>>,
}

impl RequestData {
    /// What a message gives: at its DataInfoOffset a number of entries (32 bits, with padding), and then each one's address and length
    /// (64 and 32 bits, with padding).
    ///
    /// # Errors
    /// `STATUS_INVALID_PARAMETER` when they are not all in the message. (Confirm: that.)
    pub(super) fn of(caller: &Caller<'_>, message: &Message) -> Result<Option<Box<Self>>, NTSTATUS> {
        let Some(start) = usize::from(message.header.data_info_offset).checked_sub(HEADER) else {
            return Ok(None);
        };
        let info = message.tail().get(start..).ok_or(abi::STATUS_INVALID_PARAMETER)?;
        let (head, entries) = info.split_at_checked(HEAD).ok_or(abi::STATUS_INVALID_PARAMETER)?;
        let half = |bytes: &[u8]| u32::from_le_bytes(std::array::from_fn(|index| bytes[index]));
        let count = usize::try_from(half(head)).unwrap_or(usize::MAX);
        let (entries, _) = entries.as_chunks::<ENTRY>();
        let entries = entries.get(..count).ok_or(abi::STATUS_INVALID_PARAMETER)?;
        let range = |entry: &[u8; ENTRY]| {
            let address = u64::from_le_bytes(std::array::from_fn(|index| entry[index]));
            (address, half(&entry[8..]))
        };
        let owner = (!caller.is_kernel()).then(|| std::sync::Arc::downgrade(caller.process));
        Ok(Some(Box::new(Self { ranges: entries.iter().map(range).collect(), owner })))
    }
}

/// Which way the data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// To the server: `NtReadRequestData`.
    FromClient,
    /// To the client: `NtWriteRequestData`.
    ToClient,
}

/// A part of the server's memory, in its process's windows unless it is kernel code's.
#[derive(Clone, Copy, Debug)]
pub struct ServerBuffer {
    /// Where it begins.
    pub address: u64,
    /// Bytes.
    pub length: u64,
}

/// `NtReadRequestData`, `NtWriteRequestData`: copies between the caller's buffer and the entry `index` of what the request gives that
/// `message` names by its ClientId, MessageId and CallbackId; as many bytes as both have. How many these were. The request must be
/// received and its reply awaited: not while it is suspended by a callback. (Confirm: that.) IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_REPLY_MESSAGE_MISMATCH`, `STATUS_INVALID_CID` for another message, or once the client waits no longer;
/// `STATUS_INVALID_PARAMETER` when it gives no such entry; `STATUS_ACCESS_VIOLATION` for memory that is not there, on either side, or
/// may not be written by whose it is; what is before that has been copied. (Confirm: these statuses.)
pub fn copy_request_data(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    message: &Header,
    index: u32,
    buffer: ServerBuffer,
    copied: Copied,
) -> Result<u64, NTSTATUS> {
    let ServerBuffer { address, length } = buffer;
    if !caller.is_kernel() {
        check(caller.process, address, length, copied == Copied::FromClient)?;
    }
    let key = (message.id, message.callback());
    let mut done = 0;
    loop {
        let state = port.channel.lock(kernel);
        let asked = state
            .exchanges
            .get(&key)
            .filter(|exchange| exchange.asker.is_some() && may_reply(exchange, port.end, message.client));
        let Some(exchange) = asked else {
            drop(state);
            return Err(no_such_request(kernel, message.client));
        };
        let (theirs, total) = entry(exchange, index, length, copied)?;
        let part = PART.min(total - done);
        let (own, theirs) = (address.wrapping_add(done), theirs.wrapping_add(done));
        let (to, from) = if copied == Copied::FromClient { (own, theirs) } else { (theirs, own) };
        let bytes = usize::try_from(part).unwrap_or(0);
        raw::copy_within(to, from, bytes).map_err(|unwind| match unwind {
            Unwind::Halt => abi::STATUS_DEVICE_NOT_CONNECTED,
            _ => abi::STATUS_ACCESS_VIOLATION,
        })?;
        done += part;
        if done == total {
            return Ok(total);
        }
    }
}

/// The client's address of an entry, and how many bytes are to be copied.
fn entry(exchange: &Exchange, index: u32, length: u64, copied: Copied) -> Result<(u64, u64), NTSTATUS> {
    let data = exchange.data.as_ref().ok_or(abi::STATUS_INVALID_PARAMETER)?;
    let range = usize::try_from(index).ok().and_then(|index| data.ranges.get(index));
    let &(address, size) = range.ok_or(abi::STATUS_INVALID_PARAMETER)?;
    let bytes = length.min(size.into());
    if let Some(owner) = &data.owner {
        let owner = owner.upgrade().ok_or(abi::STATUS_INVALID_CID)?;
        check(&owner, address, bytes, copied == Copied::ToClient)?;
    }
    Ok((address, bytes))
}

fn check(process: &Process, address: u64, length: u64, for_writing: bool) -> Result<(), NTSTATUS> {
    let space = &process.user_space;
    let is_there = space.contains(address, length) && space.has_pages(address, length, for_writing);
    if is_there { Ok(()) } else { Err(abi::STATUS_ACCESS_VIOLATION) }
}
