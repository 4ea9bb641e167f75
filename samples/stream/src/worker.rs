//! The threads that produce and consume.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use driver::abi::{
    NTSTATUS, STATUS_CANCELLED, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_PENDING,
    STATUS_SUCCESS,
};
use driver::ring::{self, Consumer, Producer};
use driver::{Event, PagedBox, PassiveLevel, PoolArc, SharedPages, Stop, Thread, Woken};

use crate::{Edges, Pattern, TAG, checksum};

/// A thread at one end of a ring. Dropping it stops the thread.
pub(crate) struct Worker {
    thread: Thread,
    state: PoolArc<State>,
}

/// What a thread has done.
struct State {
    bytes: AtomicU64,
    checksum: AtomicU64,
    status: AtomicU32,
    ended: Event,
}

type Pages = PoolArc<SharedPages>;
type Error = ring::Error<core::convert::Infallible>;

impl Worker {
    /// Produces `bytes` bytes, `message` at a time.
    pub(crate) fn producer(
        level: PassiveLevel,
        pages: Pages,
        edges: PoolArc<Edges>,
        bytes: u64,
        message: usize,
    ) -> Result<Self, NTSTATUS> {
        let mut room = PagedBox::zeroed(level, TAG, message)?;
        Self::spawn(level, move |stop, state| {
            let mut producer = Producer::new(pages).map_err(refused)?;
            let mut pattern = Pattern::new(bytes);
            let mut left = bytes;
            while left > 0 {
                let length = usize::try_from(left).map_or(message, |left| left.min(message));
                let message = &mut room.get_mut(stop.level())[..length];
                pattern.fill(message);
                while !producer.put(message).map_err(refused)? {
                    if producer.publish().map_err(refused)? {
                        edges.filled.set();
                    }
                    if producer.is_full_after_all(length).map_err(refused)? {
                        wait(stop, &edges.drained)?;
                    }
                }
                if producer.publish().map_err(refused)? {
                    edges.filled.set();
                }
                left -= length as u64;
                state.add(message);
            }
            Ok(())
        })
    }

    /// Consumes `bytes` bytes, at most `message` at a time.
    pub(crate) fn consumer(
        level: PassiveLevel,
        pages: Pages,
        edges: PoolArc<Edges>,
        bytes: u64,
        message: usize,
    ) -> Result<Self, NTSTATUS> {
        let mut room = PagedBox::zeroed(level, TAG, message)?;
        Self::spawn(level, move |stop, state| {
            let mut consumer = Consumer::new(pages).map_err(refused)?;
            let mut left = bytes;
            while left > 0 {
                let room = room.get_mut(stop.level());
                if let Some(length) = consumer.take(room).map_err(refused)? {
                    state.add(&room[..length]);
                    left = left.saturating_sub(length as u64);
                } else if consumer.is_empty_after_all().map_err(refused)? {
                    wait(stop, &edges.filled)?;
                }
                if consumer.release().map_err(refused)? {
                    edges.drained.set();
                }
            }
            Ok(())
        })
    }

    fn spawn(
        level: PassiveLevel,
        body: impl FnOnce(&Stop<'_>, &State) -> Result<(), NTSTATUS> + Send + 'static,
    ) -> Result<Self, NTSTATUS> {
        let state = State {
            bytes: AtomicU64::new(0),
            checksum: AtomicU64::new(0),
            status: AtomicU32::new(STATUS_PENDING.bits()),
            ended: Event::notification(TAG, false)?,
        };
        let state = PoolArc::new(TAG, state)?;
        let own = state.clone();
        let thread = Thread::spawn(level, TAG, move |stop| {
            let status = body(stop, &own).err().unwrap_or(STATUS_SUCCESS);
            own.status.store(status.bits(), Ordering::Release);
            own.ended.set();
        })?;
        Ok(Self { thread, state })
    }

    /// Waits for its end on behalf of the application: bytes, checksum, status.
    pub(crate) fn finish(self, level: PassiveLevel) -> Result<[u64; 3], NTSTATUS> {
        let waited = self.state.ended.wait_for_user(level);
        let state = self.state.clone();
        drop(self.thread);
        waited.map_err(|_| STATUS_CANCELLED)?;
        let status = state.status.load(Ordering::Acquire);
        let [bytes, checksum] = [&state.bytes, &state.checksum].map(|number| number.load(Ordering::Acquire));
        Ok([bytes, checksum, status.into()])
    }
}

impl State {
    fn add(&self, message: &[u8]) {
        let sum = checksum(self.checksum.load(Ordering::Relaxed), message);
        self.checksum.store(sum, Ordering::Relaxed);
        self.bytes.fetch_add(message.len() as u64, Ordering::Relaxed);
    }
}

/// Waits until the other side says that something has come, or the thread is to end.
fn wait(stop: &Stop<'_>, event: &Event) -> Result<(), NTSTATUS> {
    match stop.wait(event, None) {
        Woken::Stopped => Err(STATUS_CANCELLED),
        Woken::Set | Woken::TimedOut => Ok(()),
    }
}

/// The application has written what cannot be, or asked for messages that its ring has no room for.
fn refused(error: Error) -> NTSTATUS {
    match error {
        ring::Error::TooLong => STATUS_INSUFFICIENT_RESOURCES,
        _ => STATUS_INVALID_PARAMETER,
    }
}
