//! A deterministic platform: real threads, of which exactly one runs at a time, in a chosen and replayable order,
//! and a clock that moves only when nothing else can.
//!
//! The thread that runs holds the baton and gives it up at schedule points alone: before `park`, before and after
//! `unpark`, at `preemption_point`, `relax`, `spawn`, and at its end. Which thread comes next is drawn from a seed
//! or taken from a list ([`Mock::with_schedule`]); what was chosen is recorded ([`Mock::schedule`]), and the same
//! list gives the same history. Code between two schedule points is not interleaved: memory orderings are loom's
//! business. All threads of a mock share one of the machine's processors.

mod baton;
mod choices;

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::clock::{UNITS_PER_SECOND, UNIX_EPOCH};
use crate::linux::check_name;
use crate::scheduler::{Parked, Parker, Platform};
use baton::Baton;
use choices::Choices;

/// System time at interrupt time zero: 2026-01-01 UTC.
const SYSTEM_TIME_AT_START: u64 = UNIX_EPOCH + 1_767_225_600 * UNITS_PER_SECOND;

/// Schedule points after which a run counts as endless, unless [`Mock::with_step_limit`] says otherwise.
const STEP_LIMIT: u64 = 10_000_000;

/// The deterministic platform. Clones are handles on the same one.
///
/// Virtual time stands still while any thread can run. When all are parked, it jumps to the earliest deadline; when
/// all that are not parked are in [`Platform::relax`], it passes by 1 µs a round, so that a loop which waits for the
/// clock ends. Clock reads work on any thread; parking only inside [`Mock::run`].
#[derive(Clone)]
pub struct Mock {
    baton: Arc<Baton>,
}

impl Mock {
    /// Draws each choice from a generator that starts with `seed`.
    pub fn new(seed: u64) -> Self {
        Self { baton: Arc::new(Baton::new(Choices::drawn(seed), STEP_LIMIT)) }
    }

    /// Takes the choices from a list, such as [`Self::schedule`] returns, each modulo the number of threads that
    /// could run. After its end always the first: the running thread goes on, and when it parks, the next in turn.
    pub fn with_schedule(schedule: Vec<usize>) -> Self {
        Self { baton: Arc::new(Baton::new(Choices::listed(schedule), STEP_LIMIT)) }
    }

    /// Also lets deadlines come while threads can run, as one more choice at each schedule point. Finds races
    /// between a time-out and what it waits for, which time that stands still never shows.
    #[must_use]
    pub fn with_early_deadlines(self) -> Self {
        self.baton.set_early_deadlines();
        self
    }

    /// Ends a run as failed after so many schedule points (ten million unless set).
    #[must_use]
    pub fn with_step_limit(self, steps: u64) -> Self {
        self.baton.set_step_limit(steps);
        self
    }

    /// Says what becomes of the threads of a run that failed ([`Stranded::Unwind`] unless set).
    #[must_use]
    pub fn with_stranded(self, stranded: Stranded) -> Self {
        self.baton.set_stranded(stranded);
        self
    }

    /// Makes `spawn` fail while this many threads live, the root included.
    #[must_use]
    pub fn with_thread_limit(self, threads: usize) -> Self {
        self.baton.set_thread_limit(threads);
        self
    }

    /// Runs `root` and every thread that it and its children spawn, until all have ended. One run at a time; time
    /// and choices go on from run to run.
    ///
    /// # Errors
    ///
    /// [`Deadlock`] when all threads that are left are parked and none has a deadline, or the step limit is reached.
    ///
    /// # Panics
    ///
    /// With the first panic of any thread, once the others are out of the way as [`Stranded`] says; if the mock is
    /// running already or a failed run has left threads in it; if Linux has no room for a thread.
    pub fn run(&self, root: impl FnOnce() + Send + 'static) -> Result<RunReport, Deadlock> {
        Baton::run(&self.baton, Box::new(root))
    }

    /// The choices made so far, for [`Self::with_schedule`]. Points with one possibility are not in it.
    pub fn schedule(&self) -> Vec<usize> {
        self.baton.schedule()
    }

    /// The schedule after [`Self::schedule`] in depth-first order: with `with_schedule(vec![])` first and then each
    /// next one on a fresh mock, every interleaving comes up once. `None` after the last.
    pub fn next_schedule(&self) -> Option<Vec<usize>> {
        self.baton.next_schedule()
    }
}

impl Platform for Mock {
    fn interrupt_time(&self) -> u64 {
        self.baton.now()
    }

    fn system_time(&self) -> u64 {
        SYSTEM_TIME_AT_START.saturating_add(self.baton.now())
    }

    /// Virtual time goes on when everybody waits; a thread that never ceased to would keep every run from ending.
    fn time_passes_by_itself(&self) -> bool {
        false
    }

    /// Also fails with `Other` outside of [`Mock::run`]: nothing would ever let the thread run.
    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        check_name(name)?;
        Baton::spawn(&self.baton, name, body)
    }

    fn park(&self, parker: &Parker, deadline: Option<u64>) -> Parked {
        self.baton.park(parker, deadline)
    }

    fn unpark(&self, parker: &Parker) {
        self.baton.unpark(parker);
    }

    fn preemption_point(&self) {
        self.baton.preemption_point();
    }

    fn relax(&self, _round: u32) {
        self.baton.relax();
    }
}

impl fmt::Debug for Mock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mock").field("interrupt_time", &self.interrupt_time()).finish_non_exhaustive()
    }
}

/// What becomes of the threads of a run that failed, be it by deadlock, step limit or a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranded {
    /// Each is unwound from its schedule point, one at a time, without the panic hook: destructors run, and
    /// [`Mock::run`] returns when all have ended. A destructor that parks finds its parker unparked; one that does
    /// so ten thousand times waits for what cannot come, and ends the process with a message. Code that catches
    /// panics must let this one through, or ends at its next schedule point.
    ///
    /// Frames that cannot be unwound (driver code) end the process: use [`Stranded::Leave`] with them.
    Unwind,
    /// They stay where they are for good, and [`Mock::run`] returns at once. What they own is leaked.
    Leave,
}

/// What a run that came to its end looked like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// All choices of the mock so far, as [`Mock::schedule`].
    pub schedule: Vec<usize>,
    /// Schedule points passed in this run.
    pub steps: u64,
    /// Threads that ran in it, the root included.
    pub threads: usize,
    /// Interrupt time at its end.
    pub interrupt_time: u64,
}

/// A run that could not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlock {
    /// What stopped it.
    pub cause: DeadlockCause,
    /// The threads that had not ended, in the order of their start.
    pub threads: Vec<StrandedThread>,
    /// All choices that led here, as [`Mock::schedule`].
    pub schedule: Vec<usize>,
    /// Interrupt time when it stopped.
    pub interrupt_time: u64,
}

/// Why a run could not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlockCause {
    /// Every thread was parked, and none with a deadline.
    AllParked,
    /// The step limit was reached: threads spin, or poll the clock, for ever.
    StepLimit,
}

/// A thread that a failed run left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrandedThread {
    /// Its number in the order of starts; the root has 0.
    pub number: usize,
    /// The name given to `spawn`; the root's is `root`.
    pub name: String,
    /// Whether it was parked (else it could have run).
    pub parked: bool,
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.cause {
            DeadlockCause::AllParked => "deadlock: every thread is parked without a deadline:",
            DeadlockCause::StepLimit => "the step limit was reached; not ended:",
        })?;
        for thread in &self.threads {
            let state = if thread.parked { "parked" } else { "running" };
            write!(f, " {} ({} {state})", thread.name, thread.number)?;
        }
        write!(f, "; after {} choices, at {} x 100 ns", self.schedule.len(), self.interrupt_time)
    }
}

impl std::error::Error for Deadlock {}
