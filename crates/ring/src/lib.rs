//! A ring of messages in shared memory, from one producer to one consumer: what a driver and its application put over a buffer
//! that both have mapped. Each side brings its own way to the memory ([`Memory`]) and to wait.
//!
//! # Layout, version 1
//!
//! All numbers are little-endian. Positions count bytes from the ring's beginning of time and never wrap.
//!
//! | offset | bytes | what | written by |
//! |---|---|---|---|
//! | 0 | 8 | `RBRING01` | whoever lays it out |
//! | 8 | 8 | capacity: bytes of the ring, a power of two | the same |
//! | 64 | 8 | tail: where the producer will write next | producer |
//! | 72 | 8 | 1 while the producer waits for room | producer sets, consumer clears |
//! | 128 | 8 | head: where the consumer will read next | consumer |
//! | 136 | 8 | 1 while the consumer waits for messages | consumer sets, producer clears |
//! | 192 | capacity | the ring | producer |
//!
//! A message is its length (8 bytes) and its bytes, padded to a multiple of 8; it may go on at the ring's start.
//!
//! # Trust
//!
//! Neither side believes the other. Each keeps its own position where the other cannot reach it, and checks the other's, and the
//! length of each message, when it reads them: what cannot be is [`Error::Corrupt`], and ends that side's use. Bytes are copied out
//! before they are looked at. So a hostile side can send nonsense, or nothing, and no more.
//!
//! # Waiting
//!
//! Messages are seen when they are [published](Producer::publish); room, when it is [released](Consumer::release). Both say whether
//! the other side waits and must be woken. Who is about to wait says so by
//! [`Producer::is_full_after_all`] or [`Consumer::is_empty_after_all`], and waits only if that is true. A side that is woken without
//! need looks again. [`Producer::send`] and [`Consumer::receive`] do all of that with [`Signals`]: two events, one for each edge.
#![no_std]
#![forbid(unsafe_code)]

use core::sync::atomic::{Ordering, fence};

const MAGIC: u64 = u64::from_le_bytes(*b"RBRING01");
const CAPACITY: usize = 8;
const TAIL: usize = 64;
const PRODUCER_WAITS: usize = 72;
const HEAD: usize = 128;
const CONSUMER_WAITS: usize = 136;
const DATA: usize = 192;
/// Bytes of a message's length, and what messages are padded to.
const WORD: u64 = 8;

/// Access to the shared memory. The other side changes it at any time.
pub trait Memory {
    /// Why it cannot be reached.
    type Error;

    /// Bytes.
    fn len(&self) -> usize;

    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `target` from the bytes at `start`, which are all inside.
    ///
    /// # Errors
    /// When the memory is gone.
    fn read(&self, start: usize, target: &mut [u8]) -> Result<(), Self::Error>;

    /// Overwrites the bytes at `start`, which are all inside.
    ///
    /// # Errors
    /// When the memory is gone, or only to be read.
    fn write(&self, start: usize, source: &[u8]) -> Result<(), Self::Error>;

    /// The number at `start`, a multiple of eight, read at once. What was written before it was stored is seen after it (acquire).
    ///
    /// # Errors
    /// As for [`Self::read`].
    fn load(&self, start: usize) -> Result<u64, Self::Error>;

    /// Overwrites the number at `start`, a multiple of eight, at once, after all that was written before (release).
    ///
    /// # Errors
    /// As for [`Self::write`].
    fn store(&self, start: usize, value: u64) -> Result<(), Self::Error>;
}

/// Why a ring cannot be used any more, or a message not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The memory is gone.
    Memory(E),
    /// The memory is too small for a ring, or holds none.
    NotARing,
    /// The other side has written what cannot be.
    Corrupt,
    /// The message is longer than [`Producer::longest`].
    TooLong,
}

impl<E> From<E> for Error<E> {
    fn from(error: E) -> Self {
        Self::Memory(error)
    }
}

/// How a side tells the other one, and waits for it: two events, as a rule.
pub trait Signals {
    /// Why it cannot, or why the wait is over.
    type Error;

    /// Wakes the other side.
    ///
    /// # Errors
    /// When it cannot.
    fn tell(&self) -> Result<(), Self::Error>;

    /// Blocks until the other side tells this one.
    ///
    /// # Errors
    /// When that will not come.
    fn wait(&self) -> Result<(), Self::Error>;
}

/// Why a message was not sent or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed<M, S> {
    /// The ring.
    Ring(Error<M>),
    /// The signals.
    Signals(S),
}

impl<M, S> From<Error<M>> for Failed<M, S> {
    fn from(error: Error<M>) -> Self {
        Self::Ring(error)
    }
}

/// Bytes of memory for a ring of `capacity` bytes, a power of two of at least 64; `None` for others.
#[must_use]
pub const fn bytes_for(capacity: usize) -> Option<usize> {
    if capacity.is_power_of_two() && capacity >= 64 { capacity.checked_add(DATA) } else { None }
}

/// Lays out an empty ring, as large as fits into `memory`. To be done before either side uses it.
///
/// # Errors
/// `NotARing` for memory of less than [`bytes_for`]`(64)`; `Memory`.
pub fn lay_out<M: Memory>(memory: &M) -> Result<(), Error<M::Error>> {
    let room = memory.len().checked_sub(DATA).filter(|room| *room >= 64).ok_or(Error::NotARing)?;
    let capacity = 1_u64 << room.ilog2();
    for place in [TAIL, PRODUCER_WAITS, HEAD, CONSUMER_WAITS] {
        memory.store(place, 0)?;
    }
    memory.store(CAPACITY, capacity)?;
    memory.store(0, MAGIC)?;
    Ok(())
}

/// What both sides have.
struct Side<M> {
    memory: M,
    capacity: u64,
    /// How far this side has come.
    own: u64,
    /// How far the other side had come when it was last looked at.
    other: u64,
}

impl<M: Memory> Side<M> {
    fn new(memory: M, own: usize, other: usize) -> Result<Self, Error<M::Error>> {
        if memory.len() < DATA || memory.load(0)? != MAGIC {
            return Err(Error::NotARing);
        }
        let capacity = memory.load(CAPACITY)?;
        let fits =
            usize::try_from(capacity).ok().and_then(bytes_for).is_some_and(|bytes| bytes <= memory.len());
        if !fits {
            return Err(Error::NotARing);
        }
        let (own, other) = (memory.load(own)?, memory.load(other)?);
        Ok(Self { memory, capacity, own, other })
    }

    /// Where a position lies in the memory.
    #[expect(clippy::cast_possible_truncation, reason = "less than the memory's length")]
    fn place(&self, position: u64) -> usize {
        (position & (self.capacity - 1)) as usize + DATA
    }

    /// How many of `length` bytes at a position lie before the ring's end.
    fn before_end(&self, position: u64, length: usize) -> usize {
        (self.memory.len().min(self.end()) - self.place(position)).min(length)
    }

    #[expect(clippy::cast_possible_truncation, reason = "it was found to fit into the memory")]
    fn end(&self) -> usize {
        self.capacity as usize + DATA
    }

    fn write(&self, position: u64, bytes: &[u8]) -> Result<(), Error<M::Error>> {
        let (front, rest) = bytes.split_at(self.before_end(position, bytes.len()));
        self.memory.write(self.place(position), front)?;
        if !rest.is_empty() {
            self.memory.write(DATA, rest)?;
        }
        Ok(())
    }

    fn read(&self, position: u64, bytes: &mut [u8]) -> Result<(), Error<M::Error>> {
        let (front, rest) = bytes.split_at_mut(self.before_end(position, bytes.len()));
        self.memory.read(self.place(position), front)?;
        if !rest.is_empty() {
            self.memory.read(DATA, rest)?;
        }
        Ok(())
    }

    /// Says that this side has come to where it is; whether the other one waits for that.
    fn tell(&self, own: usize, waits: usize) -> Result<bool, Error<M::Error>> {
        self.memory.store(own, self.own)?;
        // Between this store and the look at who waits; the other side has the same between its mark and its last look.
        fence(Ordering::SeqCst);
        let waiting = self.memory.load(waits)? != 0;
        if waiting {
            self.memory.store(waits, 0)?;
        }
        Ok(waiting)
    }

    /// Marks that this side waits, if `is_stuck` says so before and after.
    fn mark(
        &mut self,
        waits: usize,
        mut is_stuck: impl FnMut(&mut Self) -> Result<bool, Error<M::Error>>,
    ) -> Result<bool, Error<M::Error>> {
        self.memory.store(waits, 1)?;
        fence(Ordering::SeqCst);
        let stuck = is_stuck(self)?;
        if !stuck {
            self.memory.store(waits, 0)?;
        }
        Ok(stuck)
    }
}

/// Bytes of a message in the ring.
const fn room_for(length: usize) -> u64 {
    WORD + (length as u64).next_multiple_of(WORD)
}

/// The side that writes messages.
pub struct Producer<M> {
    side: Side<M>,
    /// Written, and not yet published.
    written: u64,
}

impl<M: Memory> Producer<M> {
    /// The producer of the ring in `memory`. There must be no other.
    ///
    /// # Errors
    /// `NotARing`, `Corrupt`, `Memory`.
    pub fn new(memory: M) -> Result<Self, Error<M::Error>> {
        let side = Side::new(memory, TAIL, HEAD)?;
        let mut producer = Self { written: side.own, side };
        producer.room()?;
        Ok(producer)
    }

    /// Bytes of the longest message: half the ring.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "less than the memory's length")]
    pub fn longest(&self) -> usize {
        (self.side.capacity / 2 - WORD) as usize
    }

    /// Free bytes, as far as is known; looks at the consumer's position.
    fn room(&mut self) -> Result<u64, Error<M::Error>> {
        self.side.other = self.side.memory.load(HEAD)?;
        self.free().ok_or(Error::Corrupt)
    }

    fn free(&self) -> Option<u64> {
        let used = self.written.checked_sub(self.side.other)?;
        self.side.capacity.checked_sub(used)
    }

    /// Writes a message, if there is room for it. The consumer sees it when it is [published](Self::publish).
    ///
    /// # Errors
    /// `TooLong`; `Corrupt`, `Memory`.
    pub fn put(&mut self, message: &[u8]) -> Result<bool, Error<M::Error>> {
        let needed = room_for(message.len());
        if message.len() > self.longest() {
            return Err(Error::TooLong);
        }
        if self.free().is_none_or(|free| free < needed) && self.room()? < needed {
            return Ok(false);
        }
        self.side.write(self.written, &(message.len() as u64).to_le_bytes())?;
        self.side.write(self.written + WORD, message)?;
        self.written += needed;
        Ok(true)
    }

    /// Lets the consumer see what was written. True: it waits, and must be woken.
    ///
    /// # Errors
    /// `Memory`.
    pub fn publish(&mut self) -> Result<bool, Error<M::Error>> {
        if self.side.own == self.written {
            return Ok(false);
        }
        self.side.own = self.written;
        self.side.tell(TAIL, CONSUMER_WAITS)
    }

    /// Says that this side waits for room for a message of `length` bytes; false if there is room after all. What was written
    /// must have been published.
    ///
    /// # Errors
    /// `Corrupt`, `Memory`.
    pub fn is_full_after_all(&mut self, length: usize) -> Result<bool, Error<M::Error>> {
        let (needed, written) = (room_for(length), self.written);
        self.side.mark(PRODUCER_WAITS, |side| {
            side.other = side.memory.load(HEAD)?;
            let used = written.checked_sub(side.other).ok_or(Error::Corrupt)?;
            Ok(side.capacity.checked_sub(used).ok_or(Error::Corrupt)? < needed)
        })
    }

    /// Writes a message, and waits for room as long as there is none. The consumer sees it with [`Self::flush`], or when this has to
    /// wait.
    ///
    /// # Errors
    /// As for [`Self::put`]; what `signals` says.
    pub fn send<S: Signals>(
        &mut self,
        message: &[u8],
        signals: &S,
    ) -> Result<(), Failed<M::Error, S::Error>> {
        while !self.put(message)? {
            self.flush(signals)?;
            if self.is_full_after_all(message.len())? {
                signals.wait().map_err(Failed::Signals)?;
            }
        }
        Ok(())
    }

    /// Lets the consumer see what was written, and wakes it if it waits.
    ///
    /// # Errors
    /// As for [`Self::publish`]; what `signals` says.
    pub fn flush<S: Signals>(&mut self, signals: &S) -> Result<(), Failed<M::Error, S::Error>> {
        if self.publish()? {
            signals.tell().map_err(Failed::Signals)?;
        }
        Ok(())
    }

    /// The memory.
    pub fn memory(&self) -> &M {
        &self.side.memory
    }
}

/// The side that reads messages.
pub struct Consumer<M> {
    side: Side<M>,
    /// Read, and not yet released.
    read: u64,
}

impl<M: Memory> Consumer<M> {
    /// The consumer of the ring in `memory`. There must be no other.
    ///
    /// # Errors
    /// `NotARing`, `Corrupt`, `Memory`.
    pub fn new(memory: M) -> Result<Self, Error<M::Error>> {
        let side = Side::new(memory, HEAD, TAIL)?;
        let mut consumer = Self { read: side.own, side };
        consumer.look()?;
        Ok(consumer)
    }

    /// Bytes to be read, as far as is known; looks at the producer's position.
    fn look(&mut self) -> Result<u64, Error<M::Error>> {
        self.side.other = self.side.memory.load(TAIL)?;
        let ready = self.side.other.checked_sub(self.side.own).ok_or(Error::Corrupt)?;
        if ready > self.side.capacity || ready % WORD != 0 {
            return Err(Error::Corrupt);
        }
        self.side.other.checked_sub(self.read).ok_or(Error::Corrupt)
    }

    /// Copies the next message to the front of `room`; returns how long it is. `None` when there is none.
    ///
    /// # Errors
    /// `TooLong` when it does not fit into `room` (it stays); `Corrupt`, `Memory`.
    pub fn take(&mut self, room: &mut [u8]) -> Result<Option<usize>, Error<M::Error>> {
        let mut ready = self.side.other.wrapping_sub(self.read);
        if ready == 0 {
            ready = self.look()?;
            if ready == 0 {
                return Ok(None);
            }
        }
        let mut word = [0; 8];
        self.side.read(self.read, &mut word)?;
        let length = usize::try_from(u64::from_le_bytes(word)).map_err(|_| Error::Corrupt)?;
        if length as u64 > ready || room_for(length) > ready {
            return Err(Error::Corrupt);
        }
        let message = room.get_mut(..length).ok_or(Error::TooLong)?;
        self.side.read(self.read + WORD, message)?;
        self.read += room_for(length);
        Ok(Some(length))
    }

    /// Lets the producer have the room of what was read. True: it waits, and must be woken.
    ///
    /// # Errors
    /// `Memory`.
    pub fn release(&mut self) -> Result<bool, Error<M::Error>> {
        if self.side.own == self.read {
            return Ok(false);
        }
        self.side.own = self.read;
        self.side.tell(HEAD, PRODUCER_WAITS)
    }

    /// Says that this side waits for messages; false if there is one after all. What was read must have been released.
    ///
    /// # Errors
    /// `Corrupt`, `Memory`.
    pub fn is_empty_after_all(&mut self) -> Result<bool, Error<M::Error>> {
        let read = self.read;
        self.side.mark(CONSUMER_WAITS, |side| {
            side.other = side.memory.load(TAIL)?;
            Ok(side.other == read)
        })
    }

    /// Copies the next message to the front of `room`, and waits for one as long as there is none; returns how long it is. The producer
    /// gets the room back with [`Self::give_back`], or when this has to wait.
    ///
    /// # Errors
    /// As for [`Self::take`]; what `signals` says.
    pub fn receive<S: Signals>(
        &mut self,
        room: &mut [u8],
        signals: &S,
    ) -> Result<usize, Failed<M::Error, S::Error>> {
        loop {
            if let Some(length) = self.take(room)? {
                return Ok(length);
            }
            self.give_back(signals)?;
            if self.is_empty_after_all()? {
                signals.wait().map_err(Failed::Signals)?;
            }
        }
    }

    /// Lets the producer have the room of what was read, and wakes it if it waits.
    ///
    /// # Errors
    /// As for [`Self::release`]; what `signals` says.
    pub fn give_back<S: Signals>(&mut self, signals: &S) -> Result<(), Failed<M::Error, S::Error>> {
        if self.release()? {
            signals.tell().map_err(Failed::Signals)?;
        }
        Ok(())
    }

    /// The memory.
    pub fn memory(&self) -> &M {
        &self.side.memory
    }
}

#[cfg(test)]
extern crate std;
#[cfg(test)]
mod tests;
