//! A thread that waits for a message: what the sender fills, and how the thread is woken.
//!
//! Whoever ends the wait does so under the channel's lock, and once. A thread that has not yet gone to sleep then needs no waking.
//! Before one that sleeps is woken, the application that it waits for is given its message, if there is a way to it (`ps`, early answers).

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;

use super::message::{HEADER, Message};
use crate::Kernel;
use crate::ke::{ProcessorMode, Thread, Timeout};
use crate::ps::EarlyAnswer;
use crate::raw::{DispatcherHeader, Outcome};

const RUNS: u8 = 0;
const SLEEPS: u8 = 1;
const ENDED: u8 = 2;

/// The way to the application that a wait is for.
#[derive(Clone, Debug)]
pub(super) struct Early {
    pub(super) answer: Arc<dyn EarlyAnswer>,
    /// What its message is to have in front: the PortContext.
    pub(super) with_context: bool,
}

impl Early {
    fn deliver(&self, message: &Message) {
        let context = message.context.to_le_bytes();
        let header: [u8; HEADER] = message.header.to_bytes();
        let front: &[u8] = if self.with_context { &context } else { &[] };
        let length = front.len() + header.len() + message.tail().len();
        self.answer.answer(abi::STATUS_SUCCESS, length as u64, &[front, &header, message.tail()]);
    }
}

/// One wait of one thread.
#[derive(Debug)]
pub(super) struct Waiting {
    state: AtomicU8,
    /// The thread's event.
    event: AtomicU64,
    result: Mutex<End>,
}

#[derive(Debug)]
struct End {
    status: NTSTATUS,
    /// Empty until one is sent, to be exchanged for that.
    message: Option<Box<Message>>,
    sent: bool,
    early: Option<Early>,
}

/// How a wait has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: NTSTATUS,
    /// What was sent.
    pub(super) message: Option<Box<Message>>,
}

impl Ended {
    /// The message, where there is nothing without one.
    pub(super) fn received(self) -> Result<Box<Message>, NTSTATUS> {
        match self.message {
            Some(message) if self.status == abi::STATUS_SUCCESS => Ok(message),
            _ => Err(self.status),
        }
    }
}

thread_local! {
    static SPARE: Cell<Option<Arc<Waiting>>> = const { Cell::new(None) };
}

impl Waiting {
    /// The thread is about to wait.
    pub(super) fn begin(thread: &Thread) -> Arc<Self> {
        Self::begin_for(thread, None)
    }

    /// As [`Self::begin`]; by `early` whoever ends the wait with a message hands that to the application.
    pub(super) fn begin_for(thread: &Thread, early: Option<Early>) -> Arc<Self> {
        let event = thread.reply_event().address();
        let end = |message| End { status: abi::STATUS_PENDING, message: Some(message), sent: false, early };
        if let Some(mut spare) = SPARE.take()
            // Who woke it last may still hold it.
            && let Some(own) = Arc::get_mut(&mut spare)
        {
            *own.state.get_mut() = RUNS;
            *own.event.get_mut() = event;
            let result = own.result.get_mut().unwrap_or_else(PoisonError::into_inner);
            let message = result.message.take().unwrap_or_else(Message::empty);
            *result = end(message);
            return spare;
        }
        Arc::new(Self {
            state: AtomicU8::new(RUNS),
            event: AtomicU64::new(event),
            result: Mutex::new(end(Message::empty())),
        })
    }

    fn result(&self) -> MutexGuard<'_, End> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_ended(&self) -> bool {
        self.state.load(Ordering::Acquire) == ENDED
    }

    /// Ends the wait; true when the thread is to be woken. `message` is exchanged for an empty one.
    fn end(&self, status: NTSTATUS, message: Option<&mut Box<Message>>) -> bool {
        {
            let result = &mut *self.result();
            result.status = status;
            if let (Some(message), Some(place)) = (message, &mut result.message) {
                std::mem::swap(message, place);
                result.sent = true;
            }
        }
        self.state.swap(ENDED, Ordering::AcqRel) == SLEEPS
    }

    /// Waits until somebody ends the wait. When something else does, `withdraw` takes it from where others find it, under their
    /// lock; what was sent meanwhile is received. Statuses besides those that it is ended with: `STATUS_TIMEOUT`, `STATUS_USER_APC`
    /// when the thread's process ends, `STATUS_DEVICE_NOT_CONNECTED` when the machine stops.
    pub(super) fn wait(
        self: Arc<Self>,
        kernel: &Kernel,
        thread: &Thread,
        mode: ProcessorMode,
        timeout: Timeout,
        withdraw: impl FnOnce(&Arc<Self>),
    ) -> Ended {
        let slept = self.sleep(kernel, thread, mode, timeout);
        if !matches!(slept, Ok(abi::STATUS_SUCCESS)) {
            withdraw(&self);
            if !self.has_ended() {
                return Ended { status: slept.unwrap_or(abi::STATUS_DEVICE_NOT_CONNECTED), message: None };
            }
            // Its waker has set the event, or will at once.
            if self.sleep_again(kernel, thread, ProcessorMode::Kernel, Timeout::Never).is_err() {
                return Ended { status: abi::STATUS_DEVICE_NOT_CONNECTED, message: None };
            }
        }
        let ended = {
            let mut result = self.result();
            let message = if result.sent { result.message.take() } else { None };
            result.early = None;
            Ended { status: result.status, message }
        };
        SPARE.set(Some(self));
        ended
    }

    fn sleep(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        mode: ProcessorMode,
        timeout: Timeout,
    ) -> Outcome<NTSTATUS> {
        if self.state.compare_exchange(RUNS, SLEEPS, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return Ok(abi::STATUS_SUCCESS);
        }
        self.sleep_again(kernel, thread, mode, timeout)
    }

    fn sleep_again(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        mode: ProcessorMode,
        timeout: Timeout,
    ) -> Outcome<NTSTATUS> {
        let event = self.event.load(Ordering::Relaxed);
        let mut others = false;
        let slept = loop {
            match kernel.ke.wait_for_single_object(kernel, thread, event, mode, false, timeout) {
                // A kernel APC has interrupted another wait of this thread, which the event was meant for.
                Ok(abi::STATUS_SUCCESS) if !self.has_ended() => others = true,
                slept => break slept,
            }
        };
        if others {
            let _own_memory = kernel.ke.set_event(kernel, DispatcherHeader::at(event), 0);
        }
        slept
    }

    fn wake(&self, kernel: &Kernel) {
        {
            let result = &mut *self.result();
            let sent = result.sent && result.status == abi::STATUS_SUCCESS;
            if let (true, Some(message), Some(early)) = (sent, &result.message, result.early.take()) {
                // First: the application is what everybody waits for, and the thread may not go on before.
                early.deliver(message);
            }
        }
        let event = DispatcherHeader::at(self.event.load(Ordering::Relaxed));
        let _own_memory = kernel.ke.set_event(kernel, event, 0);
    }
}

/// Threads to be woken once the channel's lock is released.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Wakes {
    first: Option<Arc<Waiting>>,
    others: Vec<Arc<Waiting>>,
}

impl Wakes {
    /// Ends a wait. `message` is exchanged for an empty one.
    pub(super) fn end(
        &mut self,
        waiting: Arc<Waiting>,
        status: NTSTATUS,
        message: Option<&mut Box<Message>>,
    ) {
        if !waiting.end(status, message) {
            return;
        }
        match self.first {
            None => self.first = Some(waiting),
            Some(_) => self.others.push(waiting),
        }
    }

    /// Lets the threads go on. Never under the channel's lock.
    pub(super) fn wake(self, kernel: &Kernel) {
        for waiting in self.first.iter().chain(&self.others) {
            waiting.wake(kernel);
        }
    }
}
