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
    /// As in the client's `SlotState`.
    asleep: AtomicBool,
    /// As in the host's `SlotRecord`.
    active: AtomicBool,
    served: AtomicU32,
}

/// A question that ends the host's thread.
const END: u32 = 99;

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
            asleep: AtomicBool::new(false),
            active: AtomicBool::new(false),
            served: AtomicU32::new(0),
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

    /// As a thread of the host, to the end of the application's thread.
    fn serve_thread(&self) {
        let mut last = self.served.load(Ordering::Acquire);
        loop {
            last = self.listen(&self.request, &self.server_parked, last).expect("the session goes on");
            // SAFETY: as in `serve`.
            let question = unsafe { self.question.with(|place| *place) };
            if question == END {
                break;
            }
            // SAFETY: as in `serve`.
            unsafe { self.answer.with_mut(|place| *place = question + 1) };
            ring(&self.reply, last, &self.client_parked);
        }
        self.served.store(last, Ordering::Release);
        self.active.store(false, Ordering::Release);
        ring(&self.reply, last, &self.client_parked);
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

#[test]
fn loom_a_session_that_ends_amid_a_call_ends_on_both_sides() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let slot = Model::new();
        let server = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.serve(2))
        };
        let watcher = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.end())
        };
        assert!(matches!(slot.call(0, 10), None | Some(11)));
        server.join().unwrap();
        watcher.join().unwrap();
    });
}

/// The client's watcher rings for those alone who say that they sleep. (Loom knows sequential consistency of fences only; what
/// is one here is in the order of `life` and `asleep` themselves in `threads` and `call`.)
#[test]
fn loom_a_caller_whom_the_watcher_finds_awake_sees_the_end_itself() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let slot = Model::new();
        let watcher = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                slot.gone.store(true, Ordering::SeqCst);
                fence(Ordering::SeqCst);
                if slot.asleep.load(Ordering::SeqCst) {
                    poison(&slot.reply);
                }
            })
        };
        slot.asleep.store(true, Ordering::SeqCst);
        let answered = wait(&slot.reply, 0, &slot.client_parked, || slot.gone());
        assert!(matches!(answered, None | Some(POISON)));
        watcher.join().unwrap();
    });
}

#[test]
fn loom_a_slot_whose_thread_has_ended_is_served_from_where_it_stood() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let slot = Model::new();
        let serve = |slot: &Arc<Model>| {
            assert!(!slot.active.swap(true, Ordering::AcqRel), "its thread has said that it has ended");
            let slot = Arc::clone(slot);
            thread::spawn(move || slot.serve_thread())
        };
        let first = serve(&slot);
        assert_eq!(slot.call(0, 10), Some(11));
        // As a thread that ends, which waits for nothing.
        // SAFETY: the slot is the client's until it rings.
        unsafe { slot.question.with_mut(|place| *place = END) };
        let last = next(next(0));
        ring(&slot.request, last, &slot.server_parked);
        // As a thread that looks for a slot which nobody serves any more.
        while look(&slot.reply, last).is_some() {
            thread::yield_now();
        }
        let second = serve(&slot);
        assert_eq!(slot.call(last, 20), Some(21));
        // SAFETY: as above.
        unsafe { slot.question.with_mut(|place| *place = END) };
        ring(&slot.request, next(next(last)), &slot.server_parked);
        first.join().unwrap();
        second.join().unwrap();
    });
}
