//! An application that keeps to no rule, for tests and for fuzzing: it writes what it likes where it likes, and rings when it
//! likes. Built with the feature `hostile` only.
//!
//! It may live in the host's own process, since it maps the window at an address of its own.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use abi::NTSTATUS;

use crate::bell;
use crate::client::{Client, ConnectError, ConnectOptions};
use crate::socket::tell;
use crate::window::slot_offset;
use crate::wire::{FRONT, Message, REST, Request, SLOT_SIZE};

/// A request line, field by field, as it will lie in the slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the wire, described there")]
pub struct RawRequest {
    pub operation: u32,
    pub handle: u32,
    pub code: u32,
    pub input_offset: u64,
    pub output_offset: u64,
    pub input_length: u32,
    pub output_length: u32,
    pub file_offset: u64,
    pub flags: u32,
}

/// A session of such an application.
#[derive(Debug)]
pub struct Hostile {
    client: Client,
    /// The last number that was rung on each slot.
    rung: Vec<u32>,
}

impl Hostile {
    /// Connects, which is the last rule that is kept.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, ConnectError> {
        let client = Self::honest(path)?;
        let rung = vec![0; client.link.window.layout().slot_count as usize];
        Ok(Self { client, rung })
    }

    /// An application in the host's own process that keeps all rules.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn honest(path: impl AsRef<Path>) -> Result<Client, ConnectError> {
        Client::connect_elsewhere(path, ConnectOptions::default())
    }

    /// Whether the host still serves it.
    pub fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    /// Slots that there are.
    pub fn slots(&self) -> u32 {
        self.client.link.window.layout().slot_count
    }

    /// Where a slot's inline data lies that travels with the request, as an offset into the window.
    pub fn front(slot: u32) -> u64 {
        slot_offset(slot) + FRONT.start
    }

    /// Where its other inline data lies.
    pub fn rest(slot: u32) -> u64 {
        slot_offset(slot) + REST.start
    }

    /// Where the data area lies.
    pub fn data(&self) -> std::ops::Range<u64> {
        let layout = self.client.link.window.layout();
        layout.data_offset..layout.len
    }

    /// Asks for a thread for a slot, whether there is one or not.
    pub fn activate(&self, slot: u32) {
        // Whether the host still listens is seen later.
        let _lost = tell(&self.client.link.socket, &Message::Activate { slot });
    }

    /// Overwrites word `word` (of 2048) of a slot.
    ///
    /// # Panics
    /// If there is no such slot or word.
    pub fn scribble(&self, slot: u32, word: u32, value: u32) {
        assert!(u64::from(word) < SLOT_SIZE / 4);
        let slot = std::ptr::from_ref(self.client.link.window.slot(slot)).cast::<AtomicU32>();
        let place = slot.wrapping_add(word as usize);
        // SAFETY: inside the slot, which is mapped and holds only atomics and bytes.
        unsafe { (*place).store(value, Ordering::Release) };
    }

    /// Puts bytes at an offset into the window, in the data area or in a slot; those that do not fit into it are left out.
    pub fn fill(&self, offset: u64, bytes: &[u8]) {
        let window = &self.client.link.window;
        let room = window.layout().len.saturating_sub(offset);
        let length = usize::try_from(room).map_or(bytes.len(), |room| bytes.len().min(room));
        if length != 0 {
            // SAFETY: inside the window's shared memory; no Rust value lives there.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), window.pointer(offset), length) };
        }
    }

    /// Writes a request and rings as an application that keeps the rules does, whatever the slot does meanwhile.
    pub fn request(&mut self, slot: u32, request: &RawRequest) {
        let RawRequest { operation, handle, code, input_offset, output_offset, .. } = *request;
        let RawRequest { input_length, output_length, file_offset, flags, .. } = *request;
        let lines = self.client.link.window.slot(slot);
        let request = Request {
            operation,
            handle,
            code,
            input_offset,
            output_offset,
            input_length,
            output_length,
            file_offset,
            flags,
        };
        lines.request.write(&request, 0);
        let rung = &mut self.rung[slot as usize];
        *rung = bell::next(*rung);
        bell::ring(&lines.request.bell, *rung, &lines.reply.parked);
    }

    /// Rings any number.
    pub fn ring(&mut self, slot: u32, number: u32) {
        let lines = self.client.link.window.slot(slot);
        self.rung[slot as usize] = number;
        bell::ring(&lines.request.bell, number, &lines.reply.parked);
        bell::Word::wake(&lines.request.bell);
    }

    /// Waits for the answer to the number that was rung last: its status, handle and information. `None` when it has not come
    /// within `limit`, or the session is over.
    pub fn answer(&self, slot: u32, limit: Duration) -> Option<(NTSTATUS, u32, u64)> {
        let lines = self.client.link.window.slot(slot);
        let start = Instant::now();
        while bell::Word::load(&lines.reply.bell) != self.rung[slot as usize] {
            if start.elapsed() > limit || !self.is_connected() {
                return None;
            }
            thread::yield_now();
        }
        let reply = lines.reply.read();
        Some((NTSTATUS::from_bits(reply.status), reply.handle, reply.information))
    }
}
