//! Early answers: whoever ends what a request waits for answers it, and the application need not wait until the host's thread, which
//! waits in the kernel, has run too.
//!
//! The answer is written where the host's thread would write it, once: a lock between the two decides who does. The host's
//! thread finds its request answered when it comes back, and touches neither the slot nor the application's buffers any more.
//! It may be late: the next request waits for it in the slot.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;

use super::slot::{OUTPUT_LIMIT, copy_out};
use crate::bell::{self, Word as _};
use crate::patience::processor;
use crate::service::WindowBuffer;
use crate::transport::Handle;
use crate::window::Window;
use crate::wire::Reply;

/// Whether a slot's thread is still to come back from a call that was answered early. Until then it keeps what the call's handle stands
/// for, so whoever closes that waits: the application has seen the call's end, and may expect that the last handle is the last reference.
#[derive(Debug)]
pub(super) struct Late {
    /// The call's sequence number; [`bell::POISON`], which is none, when there is no such call.
    number: AtomicU32,
    /// Of the slot's last call that could be answered early.
    handle: AtomicU32,
    waiting: AtomicU32,
}

impl Default for Late {
    fn default() -> Self {
        Self { number: AtomicU32::new(bell::POISON), handle: AtomicU32::new(0), waiting: AtomicU32::new(0) }
    }
}

impl Late {
    fn begin(&self, number: u32) {
        self.number.store(number, Ordering::SeqCst);
    }

    /// The thread has come back, or has ended.
    pub(super) fn end(&self) {
        self.number.store(bell::POISON, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) != 0 {
            self.number.wake();
        }
    }

    /// Returns when the thread has come back from the call on this handle that it is late with now, if it is with any.
    pub(super) fn wait(&self, handle: Handle) {
        let number = self.number.load(Ordering::SeqCst);
        if number == bell::POISON || self.handle.load(Ordering::SeqCst) != handle.0 {
            return;
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while self.number.load(Ordering::SeqCst) == number {
            self.number.sleep(number);
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The request that a slot's thread serves, if somebody else may answer it.
#[derive(Debug)]
pub(super) struct EarlyAnswer {
    window: Arc<Window>,
    slot: u32,
    late: Arc<Late>,
    open: Mutex<Option<Open>>,
}

/// A request that has not been answered.
#[derive(Clone, Copy, Debug)]
struct Open {
    number: u32,
    output: WindowBuffer,
}

impl EarlyAnswer {
    pub(super) fn new(window: &Arc<Window>, slot: u32, late: &Arc<Late>) -> Arc<Self> {
        let (window, late) = (Arc::clone(window), Arc::clone(late));
        Arc::new(Self { window, slot, late, open: Mutex::default() })
    }

    /// Lets others answer the request with this sequence number, on `handle`, whose output goes to `output`, until [`Self::close`].
    pub(super) fn open(self: &Arc<Self>, number: u32, handle: Handle, output: WindowBuffer) -> EarlyCall {
        self.late.handle.store(handle.0, Ordering::SeqCst);
        *self.lock() = Some(Open { number, output });
        EarlyCall { place: Arc::clone(self), number }
    }

    /// Nobody else answers it from now on; false when somebody has.
    pub(super) fn close(&self) -> bool {
        let is_open = self.lock().take().is_some();
        if !is_open {
            self.late.end();
        }
        is_open
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        // Held while an answer is written, and never while somebody is woken.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request, to be answered before its call on the [`Service`](crate::Service) returns, by whoever ends what it waits for.
#[derive(Clone, Debug)]
pub struct EarlyCall {
    place: Arc<EarlyAnswer>,
    number: u32,
}

impl EarlyCall {
    /// Answers the request with `status`, `information` and no handle. `output`, part after part, fills the front of its output; none
    /// leaves it as it is. What the call on the service returns is not looked at then.
    ///
    /// Does nothing when the request has been answered, when its call has returned, and when the output is too short: then the
    /// call's own result is the answer. Never blocks for long; any thread of the host.
    pub fn answer(&self, status: NTSTATUS, information: u64, output: &[&[u8]]) {
        let length: usize = output.iter().map(|part| part.len()).sum();
        let lines = self.place.window.slot(self.place.slot);
        let sleeps = {
            let mut place = self.place.lock();
            let fits = |open: &mut Open| {
                open.number == self.number && length <= (open.output.length as usize).min(OUTPUT_LIMIT)
            };
            let Some(open) = place.take_if(fits) else { return };
            let mut to = open.output;
            for part in output {
                copy_out(part, to);
                // No longer than the output is in sum.
                let count = u32::try_from(part.len()).unwrap_or(to.length);
                to = WindowBuffer { address: to.address + u64::from(count), length: to.length - count };
            }
            lines.reply.write(&Reply { status: status.bits(), information, handle: 0 }, processor());
            self.place.late.begin(self.number);
            // In here: from the moment that the slot's thread finds its request answered, only that thread rings.
            bell::set(&lines.reply.bell, self.number, &lines.request.parked)
        };
        if sleeps {
            lines.reply.bell.wake();
        }
    }
}
