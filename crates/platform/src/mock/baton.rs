//! The baton: whose turn it is, who waits for what, and the virtual clock.

use std::any::Any;
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::choices::Choices;
use super::{Deadlock, DeadlockCause, RunReport, Stranded, StrandedThread};
use crate::linux::{block, unblock};
use crate::scheduler::{Parked, Parker, word};

/// What time does in one round of `relax` when everybody relaxes: 1 µs.
const RELAX_TIME: u64 = 10;

/// How often a destructor may park while its thread is unwound out of a failed run.
const LAST_PARKS: u32 = 10_000;

type Body = Box<dyn FnOnce() + Send>;
type Payload = Box<dyn Any + Send>;

thread_local! {
    /// Which thread of which mock this is: the baton's address and the thread's number.
    static OWN: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

/// The panic that takes a stranded thread off its stack.
struct Abandoned;

pub(super) struct Baton {
    state: Mutex<State>,
    /// Told when a run is over.
    over: Condvar,
    processor: Option<CpuSet>,
}

struct State {
    threads: Vec<Thread>,
    /// The thread that runs; none between runs, or when a failed run left its threads behind.
    current: Option<usize>,
    running: bool,
    failure: Option<Failure>,
    now: u64,
    steps: u64,
    choices: Choices,
    step_limit: u64,
    thread_limit: usize,
    stranded: Stranded,
    early_deadlines: bool,
}

struct Thread {
    name: String,
    status: Status,
    /// Unparked, for real, when the baton comes.
    turn: Arc<Parker>,
    handle: Option<JoinHandle<()>>,
    last_parks: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Ready,
    /// Ready, in a round of `relax`.
    Relaxing,
    Parked {
        parker: usize,
        deadline: Option<u64>,
    },
    Ended,
}

enum Failure {
    Deadlock(Deadlock),
    Panic(Payload),
}

impl Baton {
    pub(super) fn new(choices: Choices, step_limit: u64) -> Self {
        let state = State {
            threads: Vec::new(),
            current: None,
            running: false,
            failure: None,
            now: 0,
            steps: 0,
            choices,
            step_limit,
            thread_limit: usize::MAX,
            stranded: Stranded::Unwind,
            early_deadlines: false,
        };
        Self { state: Mutex::new(state), over: Condvar::new(), processor: one_processor() }
    }

    pub(super) fn set_early_deadlines(&self) {
        self.state().early_deadlines = true;
    }

    pub(super) fn set_step_limit(&self, steps: u64) {
        self.state().step_limit = steps;
    }

    pub(super) fn set_stranded(&self, stranded: Stranded) {
        self.state().stranded = stranded;
    }

    pub(super) fn set_thread_limit(&self, threads: usize) {
        self.state().thread_limit = threads;
    }

    pub(super) fn now(&self) -> u64 {
        self.state().now
    }

    pub(super) fn schedule(&self) -> Vec<usize> {
        self.state().choices.schedule()
    }

    pub(super) fn next_schedule(&self) -> Option<Vec<usize>> {
        self.state().choices.next_schedule()
    }

    pub(super) fn run(this: &Arc<Self>, root: Body) -> Result<RunReport, Deadlock> {
        let mut state = this.state();
        assert!(!state.running, "the mock is running already");
        assert!(state.threads.is_empty(), "a failed run has left threads in this mock");
        this.start(&mut state, "root", root).expect("Linux has room for the root thread");
        state.running = true;
        state.steps = 0;
        state.current = Some(0);
        unblock(&state.threads[0].turn);
        while state.running {
            state = this.over.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let report = RunReport {
            schedule: state.choices.schedule(),
            steps: state.steps,
            threads: state.threads.len(),
            interrupt_time: state.now,
        };
        let failure = state.failure.take();
        if state.threads.iter().all(|thread| thread.status == Status::Ended) {
            let threads = std::mem::take(&mut state.threads);
            drop(state);
            for handle in threads.into_iter().filter_map(|thread| thread.handle) {
                // Panics were caught inside the thread; what is left to wait for are its thread-locals.
                let _ = handle.join();
            }
        } else {
            drop(state);
        }
        match failure {
            None => Ok(report),
            Some(Failure::Deadlock(deadlock)) => Err(deadlock),
            Some(Failure::Panic(payload)) => resume_unwind(payload),
        }
    }

    pub(super) fn spawn(this: &Arc<Self>, name: &str, body: Body) -> io::Result<()> {
        let Some(me) = this.me() else {
            return Err(io::Error::other("the mock starts threads only inside of Mock::run"));
        };
        let mut state = this.state();
        let alive = state.threads.iter().filter(|thread| thread.status != Status::Ended).count();
        if alive >= state.thread_limit {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "the mock's thread limit is reached"));
        }
        this.start(&mut state, name, body)?;
        drop(this.yield_turn(state, me));
        Ok(())
    }

    /// Makes a thread that waits for its first turn.
    fn start(self: &Arc<Self>, state: &mut State, name: &str, body: Body) -> io::Result<()> {
        let number = state.threads.len();
        let turn = Arc::new(Parker::new());
        let baton = Arc::clone(self);
        let own_turn = Arc::clone(&turn);
        let handle = thread::Builder::new().name(name.to_owned()).spawn(move || {
            if let Some(processor) = &baton.processor {
                // Only speed is lost if Linux refuses.
                let _ = sched_setaffinity(None, processor);
            }
            OWN.set(Some((Arc::as_ptr(&baton).addr(), number)));
            let result = catch_unwind(AssertUnwindSafe(|| {
                drop(baton.wait_turn(number, &own_turn));
                body();
            }));
            baton.end(number, result.err());
        })?;
        state.threads.push(Thread {
            name: name.to_owned(),
            status: Status::Ready,
            turn,
            handle: Some(handle),
            last_parks: 0,
        });
        Ok(())
    }

    pub(super) fn park(&self, parker: &Parker, deadline: Option<u64>) -> Parked {
        let Some(me) = self.me() else {
            assert!(take_unpark(parker), "park outside of Mock::run would last for ever");
            return Parked::Unparked;
        };
        // Others may run between what the caller looked at last and the park: a wake-up lost there shows.
        let mut state = self.yield_turn(self.state(), me);
        if take_unpark(parker) {
            return Parked::Unparked;
        }
        if state.failure.is_some() {
            state.last_park(me);
            return Parked::Unparked;
        }
        let deadline = deadline.filter(|&deadline| deadline != u64::MAX);
        if deadline.is_none_or(|deadline| deadline > state.now) {
            let address = (&raw const parker.word).addr();
            assert!(state.parked_on(address).is_none(), "two threads park on one parker");
            state.threads[me].status = Status::Parked { parker: address, deadline };
            state = self.yield_turn(state, me);
            // After a failure only threads that are unwound already come back here: they are to go on.
            if take_unpark(parker) || state.failure.is_some() {
                return Parked::Unparked;
            }
        }
        Parked::TimedOut
    }

    pub(super) fn unpark(&self, parker: &Parker) {
        let me = self.me();
        let mut state = self.state();
        if let Some(me) = me {
            state = self.yield_turn(state, me);
        }
        parker.word.store(word::UNPARKED, Ordering::Relaxed);
        if let Some(parked) = state.parked_on((&raw const parker.word).addr()) {
            state.threads[parked].status = Status::Ready;
        }
        if let Some(me) = me {
            drop(self.yield_turn(state, me));
        }
    }

    pub(super) fn preemption_point(&self) {
        if let Some(me) = self.me() {
            drop(self.yield_turn(self.state(), me));
        }
    }

    pub(super) fn relax(&self) {
        let Some(me) = self.me() else {
            thread::yield_now();
            return;
        };
        let mut state = self.state();
        state.threads[me].status = Status::Relaxing;
        state = self.yield_turn(state, me);
        state.threads[me].status = Status::Ready;
    }

    /// A schedule point: chooses who is next, and returns when it is this thread's turn again.
    fn yield_turn<'a>(&'a self, mut state: MutexGuard<'a, State>, me: usize) -> MutexGuard<'a, State> {
        let next = self.pass_on(&mut state, me);
        if state.current == Some(me) {
            return Self::go_on(state);
        }
        let turn = Arc::clone(&state.threads[me].turn);
        drop(state);
        // After the mutex is free, or the next thread would wake up only to wait for it.
        if let Some(next) = next {
            unblock(&next);
        }
        self.wait_turn(me, &turn)
    }

    /// Waits for this thread's turn.
    fn wait_turn(&self, me: usize, turn: &Parker) -> MutexGuard<'_, State> {
        loop {
            block(turn, None);
            let state = self.state();
            if state.current == Some(me) {
                return Self::go_on(state);
            }
        }
    }

    /// Leaves the thread's stack if the run has failed meanwhile.
    fn go_on(state: MutexGuard<'_, State>) -> MutexGuard<'_, State> {
        if state.failure.is_some() && !thread::panicking() {
            drop(state);
            resume_unwind(Box::new(Abandoned));
        }
        state
    }

    /// Gives the baton to the thread that is chosen, which may be `me`, or ends the run. What is returned is to be
    /// unblocked.
    fn pass_on(&self, state: &mut State, me: usize) -> Option<Arc<Parker>> {
        state.steps += 1;
        if state.steps >= state.step_limit && state.failure.is_none() {
            state.fail(DeadlockCause::StepLimit);
        }
        let mut next = state.choose(me);
        if next.is_none() && state.anybody_left() && state.failure.is_none() {
            state.fail(DeadlockCause::AllParked);
            next = state.choose(me);
        }
        let left_behind = state.failure.is_some() && state.stranded == Stranded::Leave;
        state.current = next.filter(|_| !left_behind);
        if state.current.is_none() {
            state.running = false;
            self.over.notify_all();
        }
        state.current.filter(|&next| next != me).map(|next| Arc::clone(&state.threads[next].turn))
    }

    fn end(&self, me: usize, panic: Option<Payload>) {
        // What its thread-locals do when they are dropped is no longer part of the run.
        OWN.set(None);
        let mut state = self.state();
        state.threads[me].status = Status::Ended;
        if let Some(payload) = panic
            && !payload.is::<Abandoned>()
            && state.failure.is_none()
        {
            state.abandon(Failure::Panic(payload));
        }
        let next = self.pass_on(&mut state, me);
        drop(state);
        if let Some(next) = next {
            unblock(&next);
        }
    }

    /// This thread's number, if it belongs to this mock.
    fn me(&self) -> Option<usize> {
        let (baton, number) = OWN.get()?;
        (baton == std::ptr::from_ref(self).addr()).then_some(number)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The thread to run next, with the clock moved as far as that takes; none if nobody ever can.
    fn choose(&mut self, me: usize) -> Option<usize> {
        loop {
            if self.all_relax() {
                let now = self.now.saturating_add(RELAX_TIME);
                self.set_time(self.earliest_deadline().map_or(now, |deadline| deadline.min(now)));
            }
            let ready = self.ready(me).count();
            let deadline = self.earliest_deadline();
            if ready == 0 {
                self.set_time(deadline?);
                continue;
            }
            if self.failure.is_some() {
                // The way out of a failed run is nobody's choice.
                return self.ready(me).next();
            }
            let early = deadline.filter(|_| self.early_deadlines);
            let taken = self.choices.choose(ready + usize::from(early.is_some()));
            match early {
                Some(deadline) if taken == ready => self.set_time(deadline),
                _ => return self.ready(me).nth(taken),
            }
        }
    }

    /// The threads that can run, the present one first, then in turn. If the present one relaxes, it gives way
    /// to the others.
    fn ready(&self, me: usize) -> impl Iterator<Item = usize> {
        let count = self.threads.len();
        let turns = (0..count).map(move |offset| (me + offset) % count);
        let gives_way = self.threads[me].status == Status::Relaxing
            && (0..count).any(|number| number != me && self.can_run(number));
        turns.filter(move |&number| self.can_run(number) && !(gives_way && number == me))
    }

    fn can_run(&self, number: usize) -> bool {
        matches!(self.threads[number].status, Status::Ready | Status::Relaxing)
    }

    /// Whether some threads relax, and nobody else can run.
    fn all_relax(&self) -> bool {
        let mut able = (0..self.threads.len()).filter(|&number| self.can_run(number)).peekable();
        able.peek().is_some() && able.all(|number| self.threads[number].status == Status::Relaxing)
    }

    fn earliest_deadline(&self) -> Option<u64> {
        self.threads
            .iter()
            .filter_map(|thread| match thread.status {
                Status::Parked { deadline, .. } => deadline,
                _ => None,
            })
            .min()
    }

    fn set_time(&mut self, now: u64) {
        self.now = self.now.max(now);
        for thread in &mut self.threads {
            if let Status::Parked { deadline: Some(deadline), .. } = thread.status
                && deadline <= self.now
            {
                thread.status = Status::Ready;
            }
        }
    }

    fn parked_on(&self, address: usize) -> Option<usize> {
        self.threads
            .iter()
            .position(|thread| matches!(thread.status, Status::Parked { parker, .. } if parker == address))
    }

    fn anybody_left(&self) -> bool {
        self.threads.iter().any(|thread| thread.status != Status::Ended)
    }

    fn fail(&mut self, cause: DeadlockCause) {
        let threads = self.threads.iter().enumerate();
        let threads = threads
            .filter(|(_, thread)| thread.status != Status::Ended)
            .map(|(number, thread)| StrandedThread {
                number,
                name: thread.name.clone(),
                parked: matches!(thread.status, Status::Parked { .. }),
            })
            .collect();
        let schedule = self.choices.schedule();
        self.abandon(Failure::Deadlock(Deadlock { cause, threads, schedule, interrupt_time: self.now }));
    }

    /// Marks the run as failed. Threads that are parked can then run, and leave their stacks when they do.
    fn abandon(&mut self, failure: Failure) {
        self.failure = Some(failure);
        if self.stranded == Stranded::Unwind {
            for thread in &mut self.threads {
                if let Status::Parked { .. } = thread.status {
                    thread.status = Status::Ready;
                }
            }
        }
    }

    /// Counts a park that cannot last: the thread is on its way out of a failed run.
    fn last_park(&mut self, me: usize) {
        let thread = &mut self.threads[me];
        thread.last_parks += 1;
        if thread.last_parks > LAST_PARKS {
            eprintln!("a destructor of thread {} waits for what cannot come after a failed run", thread.name);
            process::abort();
        }
    }
}

fn take_unpark(parker: &Parker) -> bool {
    parker.word.swap(word::EMPTY, Ordering::Relaxed) == word::UNPARKED
}

/// One of the processors that this thread may use. Handing the baton over within one processor is ten times faster
/// than between two, and different mocks take different ones.
fn one_processor() -> Option<CpuSet> {
    static MOCKS: AtomicUsize = AtomicUsize::new(0);
    let allowed = sched_getaffinity(None).ok()?;
    let turn = MOCKS.fetch_add(1, Ordering::Relaxed).wrapping_add(process::id() as usize);
    let mut processors = (0..CpuSet::MAX_CPU).filter(|&processor| allowed.is_set(processor));
    let count = usize::try_from(allowed.count()).ok()?;
    let mut one = CpuSet::new();
    one.set(processors.nth(turn.checked_rem(count)?)?);
    Some(one)
}
