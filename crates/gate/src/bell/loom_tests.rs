//! The hand-over through a slot's two bells under every interleaving.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p ringbridge-gate --lib loom`

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::{POISON, Word, look, next, poison, ring, wait};

/// A futex: sleeping compares and goes to sleep in one step, as seen by whoever wakes.
struct Futex {
    word: AtomicU32,
    queue: Mutex<()>,
    woken: Condvar,
}

impl Futex {
    fn new() -> Self {
        Self { word: AtomicU32::new(0), queue: Mutex::new(()), woken: Condvar::new() }
    }
}

impl Word for Futex {
    fn load(&self) -> u32 {
        self.word.load(Ordering::Acquire)
    }

    fn store(&self, value: u32) {
        self.word.store(value, Ordering::Release);
    }

    fn fence() {
        fence(Ordering::SeqCst);
    }

    fn sleep(&self, expected: u32) {
        let queue = self.queue.lock().unwrap();
        if self.word.load(Ordering::Acquire) == expected {
            drop(self.woken.wait(queue).unwrap());
        }
    }

    fn wake(&self) {
        drop(self.queue.lock().unwrap());
        self.woken.notify_all();
    }
}

struct Model {
    request: Futex,
    reply: Futex,
    client_parked: Futex,
    server_parked: Futex,
    question: UnsafeCell<u32>,
    answer: UnsafeCell<u32>,
    gone: AtomicBool,
}

impl Model {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            request: Futex::new(),
            reply: Futex::new(),
            client_parked: Futex::new(),
            server_parked: Futex::new(),
            question: UnsafeCell::new(0),
            answer: UnsafeCell::new(0),
            gone: AtomicBool::new(false),
        })
    }

    fn gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    fn listen(&self, word: &Futex, parked: &Futex, last: u32) -> Option<u32> {
        look(word, last).or_else(|| wait(word, last, parked, || self.gone()))
    }

    fn serve(&self, rounds: u32) {
        let mut last = 0;
        for _ in 0..rounds {
            let Some(number) = self.listen(&self.request, &self.server_parked, last) else { return };
            if number == POISON {
                return;
            }
            last = number;
            // SAFETY: the client has handed the slot over; loom fails the test if it touches it meanwhile.
            let question = unsafe { self.question.with(|place| *place) };
            // SAFETY: as above.
            unsafe { self.answer.with_mut(|place| *place = question + 1) };
            ring(&self.reply, number, &self.client_parked);
        }
    }

    fn call(&self, last: u32, question: u32) -> Option<u32> {
        // SAFETY: the slot belongs to the client until it rings.
        unsafe { self.question.with_mut(|place| *place = question) };
        ring(&self.request, next(last), &self.server_parked);
        let number = self.listen(&self.reply, &self.client_parked, last)?;
        if number != next(last) {
            return None;
        }
        // SAFETY: the server has handed the slot back.
        Some(unsafe { self.answer.with(|place| *place) })
    }

    fn end(&self) {
        self.gone.store(true, Ordering::Release);
        poison(&self.request);
        poison(&self.reply);
    }
}

#[test]
fn loom_calls_are_answered_in_order_and_no_wake_up_is_lost() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let slot = Model::new();
        let server = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.serve(2))
        };
        assert_eq!(slot.call(0, 10), Some(11));
        assert_eq!(slot.call(next(0), 20), Some(21));
        server.join().unwrap();
    });
}

#[test]
fn loom_a_waiting_caller_returns_when_the_session_ends() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let slot = Model::new();
        let watcher = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.end())
        };
        // Nobody serves; the call must end nevertheless.
        assert_eq!(slot.call(0, 10), None);
        watcher.join().unwrap();
    });
}

#[test]
fn loom_a_waiting_server_returns_when_the_session_ends() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let slot = Model::new();
        let server = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.serve(1))
        };
        slot.end();
        server.join().unwrap();
    });
}
