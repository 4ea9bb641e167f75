//! The threads that produce and consume.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use driver::abi::{
    NTSTATUS, STATUS_CANCELLED, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_PENDING,
    STATUS_SUCCESS,
};
use driver::ring::{self, Consumer, Producer};
use driver::{Event, PagedBox, PassiveLevel, PoolArc, RingSignals, SharedPages, Stop, Thread};

use crate::{Edges, Pattern, TAG, checksum};

/// The longest message.
const LONGEST: u64 = 4 << 20;

/// What is to go through a ring, and how.
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    /// Bytes in all.
    bytes: u64,
    /// Of a message, at most.
    message: usize,
    /// Messages that are published, or whose room is given back, together.
    batch: u64,
    /// Whether the bytes are a pattern, and a checksum is made.
    checked: bool,
}

impl Flow {
    /// As in the control requests.
    pub(crate) fn from_numbers([bytes, message, batch, checked]: [u64; 4]) -> Option<Self> {
        let is_message = message.is_multiple_of(8) && (8..=LONGEST).contains(&message);
        let message = usize::try_from(message).ok().filter(|_| is_message)?;
        (batch > 0 && checked < 2).then_some(Self { bytes, message, batch, checked: checked == 1 })
    }
}

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
    /// Produces.
    pub(crate) fn producer(
        level: PassiveLevel,
        pages: Pages,
        edges: PoolArc<Edges>,
        flow: Flow,
    ) -> Result<Self, NTSTATUS> {
        let mut room = PagedBox::zeroed(level, TAG, flow.message)?;
        Self::spawn(level, move |stop, state| {
            let mut producer = Producer::new(pages).map_err(refused)?;
            let mut pattern = Pattern::new(flow.bytes);
            let signals = RingSignals { tells: &edges.filled, waits: &edges.drained, stop };
            let (mut left, mut unpublished) = (flow.bytes, 0);
            while left > 0 {
                let length = usize::try_from(left).map_or(flow.message, |left| left.min(flow.message));
                let message = &mut room.get_mut(stop.level())[..length];
                if flow.checked {
                    pattern.fill(message);
                }
                producer.send(message, &signals).map_err(failed)?;
                left -= length as u64;
                unpublished += 1;
                if unpublished == flow.batch || left == 0 {
                    unpublished = 0;
                    producer.flush(&signals).map_err(failed)?;
                }
                state.add(message, flow.checked);
            }
            Ok(())
        })
    }

    /// Consumes.
    pub(crate) fn consumer(
        level: PassiveLevel,
        pages: Pages,
        edges: PoolArc<Edges>,
        flow: Flow,
    ) -> Result<Self, NTSTATUS> {
        let mut room = PagedBox::zeroed(level, TAG, flow.message)?;
        Self::spawn(level, move |stop, state| {
            let mut consumer = Consumer::new(pages).map_err(refused)?;
            let signals = RingSignals { tells: &edges.drained, waits: &edges.filled, stop };
            let (mut left, mut unreleased) = (flow.bytes, 0);
            while left > 0 {
                let room = room.get_mut(stop.level());
                let length = consumer.receive(room, &signals).map_err(failed)?;
                state.add(&room[..length], flow.checked);
                left = left.saturating_sub(length as u64);
                unreleased += 1;
                if unreleased == flow.batch || left == 0 {
                    unreleased = 0;
                    consumer.give_back(&signals).map_err(failed)?;
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
    /// Only the thread itself adds.
    fn add(&self, message: &[u8], checked: bool) {
        if checked {
            let sum = checksum(self.checksum.load(Ordering::Relaxed), message);
            self.checksum.store(sum, Ordering::Relaxed);
        }
        let bytes = self.bytes.load(Ordering::Relaxed) + message.len() as u64;
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

/// The application has written what cannot be, or asked for messages that its ring has no room for.
fn refused(error: Error) -> NTSTATUS {
    match error {
        ring::Error::TooLong => STATUS_INSUFFICIENT_RESOURCES,
        _ => STATUS_INVALID_PARAMETER,
    }
}

fn failed(failed: ring::Failed<core::convert::Infallible, NTSTATUS>) -> NTSTATUS {
    match failed {
        ring::Failed::Ring(error) => refused(error),
        ring::Failed::Signals(status) => status,
    }
}
