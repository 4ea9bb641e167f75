//! Processes: a handle table, an identity, and the user space in which drivers meet their memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use platform::scheduler::Lock;
use platform::{Parked, Parker};

use super::object::ProcessObject;
use super::requests::{RequestKey, Requests, Which};
use crate::Kernel;
use crate::ke::Thread;
use crate::mm::{SessionWindow, UserSpace};
use crate::ob::{HandleTable, Object};
use crate::se::Token;

/// The system process's identifier.
pub const SYSTEM_PROCESS_ID: u32 = 4;

/// Distinguishes processes of all machines, for caches of Linux threads.
static SERIAL: AtomicU64 = AtomicU64::new(1);

/// A process of a machine.
#[derive(Debug)]
pub struct Process {
    /// Its identifier: a multiple of four; the system process has 4.
    pub id: u32,
    /// What it is called, for people.
    pub name: String,
    /// Its handles.
    pub handles: HandleTable,
    /// Where drivers meet its memory.
    pub user_space: Arc<UserSpace>,
    /// Who it is: what it may open, and who owns what it creates.
    pub token: Arc<Token>,
    /// The token as drivers see it; made when first asked for.
    token_object: Mutex<Option<Arc<Object>>>,
    pub(crate) serial: u64,
    pub(super) object: ProcessObject,
    terminating: AtomicBool,
    /// Its handles are closed: what drivers see of it is made no more, as nothing would drop it.
    ended: AtomicBool,
    /// Linux threads that have run in it and may do so still.
    threads: Mutex<Vec<Weak<Thread>>>,
    /// Asynchronous requests under way.
    requests: AtomicU32,
    /// Unparked when there are no more, and the process ends.
    requests_ended: Parker,
    /// Of whoever parks there: several threads may end the process at once.
    end: Lock<()>,
    /// Asynchronous requests whose end has been told.
    ends: AtomicU64,
    /// Unparked when there is one more.
    one_more_end: Parker,
    /// Of whoever parks there.
    listener: Lock<()>,
    /// Those that can be cancelled.
    under_way: Requests,
}

impl Process {
    fn new(id: u32, name: &str, token: Token, user_space: UserSpace) -> Arc<Self> {
        Arc::new(Self {
            id,
            name: name.to_owned(),
            handles: HandleTable::default(),
            user_space: Arc::new(user_space),
            token: Arc::new(token),
            token_object: Mutex::default(),
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            object: ProcessObject::default(),
            terminating: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            threads: Mutex::default(),
            requests: AtomicU32::new(0),
            requests_ended: Parker::new(),
            end: Lock::new(()),
            ends: AtomicU64::new(0),
            one_more_end: Parker::new(),
            listener: Lock::new(()),
            under_way: Requests::default(),
        })
    }

    /// An asynchronous request begins. False when the process ends: it is not to be made.
    pub(crate) fn begin_request(&self, kernel: &Kernel) -> bool {
        self.requests.fetch_add(1, Ordering::SeqCst);
        // After the count, as whoever ends the process looks at the count after saying so.
        if !self.is_terminating() {
            return true;
        }
        self.end_request(kernel);
        false
    }

    /// An asynchronous request has ended.
    pub(crate) fn end_request(&self, kernel: &Kernel) {
        if self.requests.fetch_sub(1, Ordering::SeqCst) == 1 && self.is_terminating() {
            kernel.platform.unpark(&self.requests_ended);
        }
    }

    /// The end of an asynchronous request is told in its status block.
    pub(crate) fn tell_end(&self, kernel: &Kernel) {
        self.ends.fetch_add(1, Ordering::SeqCst);
        kernel.platform.unpark(&self.one_more_end);
    }

    /// Waits until more or fewer than `seen` ends of asynchronous requests have been told, since the process began; how many.
    /// Callers take turns. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    /// `STATUS_PROCESS_IS_TERMINATING`; `STATUS_DEVICE_NOT_CONNECTED` when the machine has stopped.
    pub fn await_request_end(&self, kernel: &Kernel, seen: u64) -> Result<u64, abi::NTSTATUS> {
        let _one_at_a_time = self.listener.lock(&*kernel.platform);
        loop {
            if kernel.is_halted() {
                return Err(abi::STATUS_DEVICE_NOT_CONNECTED);
            }
            if self.is_terminating() {
                return Err(abi::STATUS_PROCESS_IS_TERMINATING);
            }
            let told = self.ends.load(Ordering::SeqCst);
            if told != seen {
                return Ok(told);
            }
            kernel.platform.park(&self.one_more_end, None);
        }
    }

    /// A request can be cancelled from now on.
    pub(crate) fn add_request(&self, key: RequestKey) {
        self.under_way.add(key);
    }

    /// It cannot be any more.
    pub(crate) fn remove_request(&self, key: RequestKey) {
        self.under_way.remove(key);
    }

    /// The addresses of the IRPs of requests that can be cancelled.
    pub(crate) fn requests(&self, which: Which) -> Vec<u64> {
        self.under_way.irps(which)
    }

    /// Whether asynchronous requests are under way.
    pub(crate) fn has_requests(&self) -> bool {
        self.requests.load(Ordering::SeqCst) > 0
    }

    /// Waits until no asynchronous request is under way, at most `patience` (100 ns). The process ends.
    pub(crate) fn wait_for_requests(&self, kernel: &Kernel, patience: u64) {
        let deadline = kernel.platform.interrupt_time().saturating_add(patience);
        let _one_at_a_time = self.end.lock(&*kernel.platform);
        while self.has_requests() && !kernel.is_halted() {
            if kernel.platform.park(&self.requests_ended, Some(deadline)) == Parked::TimedOut {
                return;
            }
        }
    }

    /// Has whoever waits for its requests look again, on a machine that has stopped.
    pub(crate) fn wake(&self, kernel: &Kernel) {
        kernel.platform.unpark(&self.requests_ended);
        kernel.platform.unpark(&self.one_more_end);
    }

    pub(crate) fn token_object(&self) -> MutexGuard<'_, Option<Arc<Object>>> {
        self.token_object.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_thread(&self, kernel: &Kernel, thread: &Arc<Thread>) {
        {
            let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
            threads.retain(|other| other.strong_count() > 0);
            threads.push(Arc::downgrade(thread));
        }
        // After the push, as whoever ends the process looks at the threads after saying so.
        if self.is_terminating() {
            thread.set_process_ends();
            kernel.ke.request_termination(kernel, thread);
        }
    }

    /// Whether it ends, or has ended.
    pub(crate) fn is_terminating(&self) -> bool {
        self.terminating.load(Ordering::SeqCst)
    }

    /// Whether its handles are closed. Asked under the lock of the process object's or token object's place.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// The thread with this identifier that has run in it and has not ended.
    pub(crate) fn thread(&self, id: u32) -> Option<Arc<Thread>> {
        self.threads().into_iter().find(|thread| thread.id.0 == id)
    }

    /// The threads that have run in it and have not ended.
    pub(super) fn threads(&self) -> Vec<Arc<Thread>> {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether it is the system process.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.id == SYSTEM_PROCESS_ID
    }
}

/// All processes of a machine.
#[derive(Debug)]
pub struct Processes {
    system: Arc<Process>,
    all: RwLock<HashMap<u32, Arc<Process>>>,
    next_id: AtomicU32,
}

impl Processes {
    pub(crate) fn new() -> Self {
        let system = Process::new(SYSTEM_PROCESS_ID, "System", Token::local_system(), UserSpace::default());
        let all = RwLock::new(HashMap::from([(SYSTEM_PROCESS_ID, system.clone())]));
        Self { system, all, next_id: AtomicU32::new(SYSTEM_PROCESS_ID + 4) }
    }

    /// The system process.
    #[must_use]
    pub fn system(&self) -> &Arc<Process> {
        &self.system
    }

    /// A fresh identifier for a process or thread.
    pub(crate) fn next_id(&self) -> u32 {
        self.next_id.fetch_add(4, Ordering::Relaxed)
    }

    /// Makes a process that lives in this Linux process, an administrator's.
    #[must_use]
    pub fn create(&self, name: &str) -> Arc<Process> {
        self.create_as(name, Token::administrator())
    }

    /// Makes a process that lives in this Linux process.
    #[must_use]
    pub fn create_as(&self, name: &str, token: Token) -> Arc<Process> {
        self.add(Process::new(self.next_id(), name, token, UserSpace::default()))
    }

    /// Makes a process that lives in another Linux process, which shares a window with this one. `window` keeps that mapped, and
    /// is dropped when the process is gone and no driver has pages of it locked.
    #[must_use]
    pub fn create_in_window(&self, name: &str, token: Token, window: Box<dyn SessionWindow>) -> Arc<Process> {
        self.add(Process::new(self.next_id(), name, token, UserSpace::in_window(window)))
    }

    fn add(&self, process: Arc<Process>) -> Arc<Process> {
        self.all.write().unwrap_or_else(PoisonError::into_inner).insert(process.id, process.clone());
        process
    }

    /// The process with this identifier.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<Arc<Process>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Says that a process ends: what its threads wait for no longer lasts. Their user-mode waits in drivers end with
    /// `STATUS_USER_APC`.
    pub(crate) fn begin_termination(&self, kernel: &Kernel, process: &Process) {
        process.terminating.store(true, Ordering::SeqCst);
        kernel.platform.unpark(&process.one_more_end);
        for thread in process.threads() {
            thread.set_process_ends();
            kernel.ke.request_termination(kernel, &thread);
        }
    }

    /// All processes now.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Process>> {
        let mut all: Vec<_> =
            self.all.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        all.sort_by_key(|process| process.id);
        all
    }

    /// Ends a process: the mutants of its threads are abandoned, and its handles closed, in its context, on the calling thread. What drivers have still mapped for it then is
    /// unmapped, and told to whoever watches. Pages of it that a driver has
    /// still locked then stop the machine: 76h (PROCESS_HAS_LOCKED_PAGES) with 0, the process's identifier, the number of
    /// pages, 0.
    ///
    /// What drivers wait for in CLEANUP and CLOSE lasts, in user mode too: the calling thread ends the process, and is not
    /// ended itself. (Confirm: no published text says what NT's last thread does.)
    ///
    /// # Errors
    /// As for [`inside`](super::inside): the machine has stopped, or there is no memory for the thread.
    pub fn terminate(&self, kernel: &Kernel, process: &Arc<Process>) -> Result<(), abi::NTSTATUS> {
        // Those of a process that lives in this one may go on running, in others.
        for thread in process.threads() {
            kernel.ke.abandon_mutants(kernel, &thread);
        }
        let closed = super::inside(kernel, process, |thread| {
            kernel.ke.withdraw_termination(kernel, thread);
            process.handles.close_all(kernel, process);
            process.ended.store(true, Ordering::SeqCst);
            process.object.end(kernel);
        });
        process.ended.store(true, Ordering::SeqCst);
        process.revert_threads();
        let ended = self.all.write().unwrap_or_else(PoisonError::into_inner).remove(&process.id);
        let token = if ended.is_some() { process.token_object().clone() } else { None };
        if let Some(token) = token {
            token.dereference(kernel);
        }
        for mapping in kernel.mm.unmap_all_of(&process.user_space) {
            kernel.user_mapping_left(mapping);
        }
        process.user_space.unmap_all_segments();
        let locked = process.user_space.locked_pages();
        if ended.is_some() && locked != 0 {
            kernel.bug_check(abi::PROCESS_HAS_LOCKED_PAGES, [0, u64::from(process.id), locked, 0]);
        }
        closed
    }
}
