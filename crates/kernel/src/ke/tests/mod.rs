//! NT's rules for the dispatcher, run on the mock under many interleavings and on Linux.
//!
//! Objects lie in the machine's pool. A test builds a machine, starts threads in it, joins them, and looks.

mod dpc_watchdogs;
mod dpcs;
mod events;
mod mutants;
mod processors;
mod queues;
mod semaphores;
mod shared_spin_locks;
mod special_apcs;
mod spin_locks;
mod threads;
mod timers;
mod waits;

use std::ops::{Deref, Range};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use abi::NTSTATUS;
use platform::mock::Stranded;
use platform::{Linux, Mock, Parker, Platform};

use super::{ProcessorMode, Thread, Timeout, WaitType};
use crate::kernel::Nt;
use crate::mm::{PoolOwner, Stack};
use crate::raw::{self, DispatcherHeader, Outcome};
use crate::{Configuration, Kernel, Unwind};

/// 100 ns units in a millisecond.
pub(crate) const MILLISECOND: u64 = 10_000;

/// Interleavings tried where they matter.
pub(crate) const SEEDS: Range<u64> = 0..200;

pub(crate) struct Machine {
    kernel: Arc<Kernel>,
    threads: Arc<Running>,
}

/// Threads that have not ended.
#[derive(Default)]
struct Running {
    count: AtomicUsize,
    failed: AtomicBool,
    joiner: Parker,
}

impl Deref for Machine {
    type Target = Kernel;

    fn deref(&self) -> &Kernel {
        &self.kernel
    }
}

impl Machine {
    pub(crate) fn new(platform: Arc<dyn Platform>, processors: u32) -> Self {
        let configuration = Configuration { processors, ..Configuration::default() };
        let kernel = Kernel::new(platform, configuration).expect("a machine");
        Self { kernel, threads: Arc::default() }
    }

    /// Zeroed driver memory.
    pub(crate) fn allocate(&self, size: usize) -> u64 {
        let tag = u32::from_le_bytes(*b"Test");
        self.mm.pool.allocate_zeroed(size, tag, PoolOwner(1)).expect("pool").address
    }

    pub(crate) fn event(&self, event_type: i32, state: bool) -> DispatcherHeader {
        let event = DispatcherHeader::at(self.allocate(size_of::<abi::KEVENT>()));
        self.ke.initialize_event(event, event_type, state).expect("pool is writable");
        event
    }

    /// Starts a thread that runs `body` inside the machine.
    pub(crate) fn spawn(
        &self,
        name: &str,
        body: impl FnOnce(&Kernel, &Thread) + Send + 'static,
    ) -> Arc<Thread> {
        let stack = Stack::new(&self.mm.space).expect("a stack");
        let thread = Thread::new(self, self.ps.next_id(), 4, stack.bounds(), true).expect("a thread");
        let thread = Arc::new(thread);
        self.threads.count.fetch_add(1, Ordering::SeqCst);
        let (kernel, own, threads) = (self.kernel.clone(), thread.clone(), self.threads.clone());
        let start = move || {
            let _end = End { threads, platform: kernel.platform.clone() };
            {
                let _inside = raw::enter::<Nt>(&kernel, &own, own.object, stack.bounds()).expect("memory");
                body(&kernel, &own);
            }
            own.terminate(&kernel, abi::STATUS_SUCCESS);
            // Before whoever joins goes on.
            drop((own, stack, kernel));
        };
        self.platform.spawn(name, Box::new(start)).expect("a thread");
        thread
    }

    /// Runs `body` inside the machine, on a thread of its own, to its end; other threads run meanwhile.
    pub(crate) fn inside<R: Send + 'static>(
        &self,
        body: impl FnOnce(&Kernel, &Thread) -> R + Send + 'static,
    ) -> R {
        let result = Arc::new(Mutex::new(None));
        let own = result.clone();
        self.spawn("inside", move |kernel, thread| {
            *own.lock().expect("not poisoned") = Some(body(kernel, thread));
        });
        self.join();
        result.lock().expect("not poisoned").take().expect("the body has ended")
    }

    /// Waits until all threads have ended.
    pub(crate) fn join(&self) {
        while self.threads.count.load(Ordering::SeqCst) > 0 {
            self.platform.park(&self.threads.joiner, None);
        }
        assert!(!self.threads.failed.load(Ordering::SeqCst), "a thread of the test has panicked");
    }

    pub(crate) fn stop_code(&self) -> Option<u32> {
        self.bugcheck().map(|bugcheck| bugcheck.stop.code)
    }
}

struct End {
    threads: Arc<Running>,
    platform: Arc<dyn Platform>,
}

impl Drop for End {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.threads.failed.store(true, Ordering::SeqCst);
        }
        self.threads.count.fetch_sub(1, Ordering::SeqCst);
        self.platform.unpark(&self.threads.joiner);
    }
}

fn run_on(mock: &Mock, processors: u32, test: impl Fn(&Machine) + Send + 'static, seed: u64) {
    let platform: Arc<dyn Platform> = Arc::new(mock.clone());
    let outcome = mock.run(move || {
        let machine = Machine::new(platform, processors);
        test(&machine);
        machine.join();
    });
    if let Err(deadlock) = outcome {
        panic!("seed {seed}: {deadlock}");
    }
}

/// Runs `test` on the mock, once for each seed.
pub(crate) fn on_mock(seeds: Range<u64>, processors: u32, test: impl Fn(&Machine) + Clone + Send + 'static) {
    for seed in seeds {
        let mock = Mock::new(seed).with_stranded(Stranded::Leave).with_step_limit(200_000);
        run_on(&mock, processors, test.clone(), seed);
    }
}

/// As [`on_mock`], with deadlines that may come while threads can run.
pub(crate) fn on_hurried_mock(
    seeds: Range<u64>,
    processors: u32,
    test: impl Fn(&Machine) + Clone + Send + 'static,
) {
    for seed in seeds {
        let mock =
            Mock::new(seed).with_early_deadlines().with_stranded(Stranded::Leave).with_step_limit(200_000);
        run_on(&mock, processors, test.clone(), seed);
    }
}

pub(crate) fn on_linux(processors: u32, test: impl Fn(&Machine)) {
    let machine = Machine::new(Arc::new(Linux::new()), processors);
    test(&machine);
    machine.join();
}

/// Runs `test` under many interleavings, and on Linux.
pub(crate) fn everywhere(processors: u32, test: impl Fn(&Machine) + Clone + Send + 'static) {
    on_mock(SEEDS, processors, test.clone());
    on_linux(processors, test);
}

pub(crate) fn relative(milliseconds: u64) -> Timeout {
    Timeout::At(-(milliseconds * MILLISECOND).cast_signed())
}

pub(crate) fn wait(kernel: &Kernel, thread: &Thread, object: u64, timeout: Timeout) -> Outcome<NTSTATUS> {
    kernel.ke.wait_for_single_object(kernel, thread, object, ProcessorMode::Kernel, false, timeout)
}

pub(crate) fn wait_multiple(
    kernel: &Kernel,
    thread: &Thread,
    objects: &[u64],
    kind: WaitType,
    timeout: Timeout,
) -> Outcome<NTSTATUS> {
    let mode = ProcessorMode::Kernel;
    kernel.ke.wait_for_multiple_objects(kernel, thread, objects, kind, mode, false, timeout, 0)
}

pub(crate) fn delay(kernel: &Kernel, thread: &Thread, milliseconds: u64) -> Outcome<NTSTATUS> {
    let interval = -(milliseconds * MILLISECOND).cast_signed();
    kernel.ke.delay_execution_thread(kernel, thread, ProcessorMode::Kernel, false, interval)
}

/// The status of the exception that a service raises.
pub(crate) fn raised<T: std::fmt::Debug>(outcome: Outcome<T>) -> NTSTATUS {
    match outcome {
        Err(Unwind::Raise(raise)) => raise.record.ExceptionCode,
        other => panic!("no exception but {other:?}"),
    }
}

pub(crate) fn is_halt<T>(outcome: &Outcome<T>) -> bool {
    matches!(outcome, Err(Unwind::Halt))
}

/// Counts how often each status came up.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<Vec<NTSTATUS>>>);

impl Tally {
    pub(crate) fn add(&self, status: NTSTATUS) {
        self.0.lock().expect("not poisoned").push(status);
    }

    pub(crate) fn of(&self, status: NTSTATUS) -> usize {
        self.0.lock().expect("not poisoned").iter().filter(|found| **found == status).count()
    }
}

/// A log in driver memory, which driver code can write to: a count, then words.
#[derive(Clone, Copy)]
pub(crate) struct Log(u64);

impl Log {
    pub(crate) fn new(machine: &Machine) -> Self {
        Self(machine.allocate(2048))
    }

    pub(crate) fn at(address: u64) -> Self {
        Self(address)
    }

    pub(crate) fn address(self) -> u64 {
        self.0
    }

    pub(crate) fn push(self, word: u64) {
        let index = raw::fetch_add(self.0, 1).expect("pool is writable");
        raw::write(self.0 + 8 + u64::from(index) * 8, word).expect("pool is writable");
    }

    pub(crate) fn read(self) -> Vec<u64> {
        let count = raw::read::<u32>(self.0).expect("pool is readable");
        let word = |index| raw::read(self.0 + 8 + u64::from(index) * 8).expect("pool is readable");
        (0..count).map(word).collect()
    }
}
