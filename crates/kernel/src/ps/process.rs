//! Processes: a handle table, an identity, and the user space in which drivers meet their memory.

use std::any::Any;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use crate::Kernel;
use crate::ke::Thread;
use crate::mm::UserSpace;
use crate::ob::HandleTable;

/// The system process's identifier.
pub const SYSTEM_PROCESS_ID: u32 = 4;

/// Set in every handle of the system process that is used in another one, a kernel handle (`OBJ_KERNEL_HANDLE`).
pub const KERNEL_HANDLE: u64 = 0xFFFF_FFFF_8000_0000;

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
    pub(crate) serial: u64,
    terminating: AtomicBool,
    /// Linux threads that have run in it and may do so still.
    threads: Mutex<Vec<Weak<Thread>>>,
}

impl Process {
    fn new(id: u32, name: &str, user_space: UserSpace) -> Arc<Self> {
        Arc::new(Self {
            id,
            name: name.to_owned(),
            handles: HandleTable::default(),
            user_space: Arc::new(user_space),
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            terminating: AtomicBool::new(false),
            threads: Mutex::default(),
        })
    }

    pub(super) fn add_thread(&self, thread: &Arc<Thread>) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|other| other.strong_count() > 0);
        threads.push(Arc::downgrade(thread));
    }

    /// The threads that have run in it and have not ended.
    fn threads(&self) -> Vec<Arc<Thread>> {
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
    /// Processes that end now: as long as there are none, threads that wait need not look for their own.
    terminating: AtomicU32,
}

impl Processes {
    pub(crate) fn new() -> Self {
        let system = Process::new(SYSTEM_PROCESS_ID, "System", UserSpace::default());
        let all = RwLock::new(HashMap::from([(SYSTEM_PROCESS_ID, system.clone())]));
        Self { system, all, next_id: AtomicU32::new(SYSTEM_PROCESS_ID + 4), terminating: AtomicU32::new(0) }
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

    /// Makes a process that lives in this Linux process.
    #[must_use]
    pub fn create(&self, name: &str) -> Arc<Process> {
        self.add(Process::new(self.next_id(), name, UserSpace::default()))
    }

    /// Makes a process that lives in another Linux process, which shares `window` with this one. `keep` keeps it
    /// mapped, and is dropped when the process is gone and no driver has pages of it locked.
    #[must_use]
    pub fn create_in_window(
        &self,
        name: &str,
        window: Range<u64>,
        keep: Box<dyn Any + Send + Sync>,
    ) -> Arc<Process> {
        self.add(Process::new(self.next_id(), name, UserSpace::in_window(window, keep)))
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

    /// Whose table a handle is looked up in when `current` uses it, and under which value there: kernel handles are the
    /// system process's, wherever they are used.
    #[must_use]
    pub fn owner_of(&self, handle: u64, current: u32) -> Option<(Arc<Process>, u32)> {
        let (process, value) = if handle & KERNEL_HANDLE == KERNEL_HANDLE {
            (self.system.clone(), handle & !KERNEL_HANDLE)
        } else {
            (self.get(current)?, handle)
        };
        Some((process, u32::try_from(value).ok()?))
    }

    /// Says that a process ends: what its threads wait for no longer lasts. Their user-mode waits in drivers end with
    /// `STATUS_USER_APC`.
    pub(crate) fn begin_termination(&self, kernel: &Kernel, process: &Process) {
        if !process.terminating.swap(true, Ordering::SeqCst) {
            self.terminating.fetch_add(1, Ordering::SeqCst);
        }
        for thread in process.threads() {
            kernel.ke.request_termination(kernel, &thread);
        }
    }

    /// Whether the process with this identifier ends.
    #[inline]
    pub(crate) fn is_terminating(&self, id: u32) -> bool {
        self.terminating.load(Ordering::SeqCst) > 0
            && self.get(id).is_some_and(|process| process.terminating.load(Ordering::SeqCst))
    }

    /// All processes now.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Process>> {
        let mut all: Vec<_> =
            self.all.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        all.sort_by_key(|process| process.id);
        all
    }

    /// Ends a process: its handles are closed, in its context, on the calling thread. Pages of it that a driver has
    /// still locked then stop the machine: 76h (PROCESS_HAS_LOCKED_PAGES) with 0, the process's identifier, the number of
    /// pages, 0.
    ///
    /// # Errors
    /// As for [`inside`](super::inside): the machine has stopped, or there is no memory for the thread.
    pub fn terminate(&self, kernel: &Kernel, process: &Arc<Process>) -> Result<(), abi::NTSTATUS> {
        let closed = super::inside(kernel, process, |_| {
            for handle in process.handles.values() {
                // A handle that another thread has closed meanwhile is closed all the same.
                let _already_closed = process.handles.close(kernel, process, handle);
            }
        });
        let ended = self.all.write().unwrap_or_else(PoisonError::into_inner).remove(&process.id);
        if ended.is_some() && process.terminating.load(Ordering::SeqCst) {
            self.terminating.fetch_sub(1, Ordering::SeqCst);
        }
        let locked = process.user_space.locked_pages();
        if ended.is_some() && locked != 0 {
            kernel.bug_check(abi::PROCESS_HAS_LOCKED_PAGES, [0, u64::from(process.id), locked, 0]);
        }
        closed
    }
}
