//! Processes: a handle table and an identity. Their memory is their own Linux process's, or a window's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::Kernel;
use crate::ob::HandleTable;

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
    pub(crate) serial: u64,
    terminating: AtomicBool,
}

impl Process {
    fn new(id: u32, name: &str) -> Arc<Self> {
        Arc::new(Self {
            id,
            name: name.to_owned(),
            handles: HandleTable::default(),
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            terminating: AtomicBool::new(false),
        })
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
        let system = Process::new(SYSTEM_PROCESS_ID, "System");
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

    /// Makes a process.
    #[must_use]
    pub fn create(&self, name: &str) -> Arc<Process> {
        let process = Process::new(self.next_id(), name);
        self.all.write().unwrap_or_else(PoisonError::into_inner).insert(process.id, process.clone());
        process
    }

    /// The process with this identifier.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<Arc<Process>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Says that a process ends: what its threads wait for no longer lasts.
    pub(crate) fn begin_termination(&self, process: &Process) {
        if !process.terminating.swap(true, Ordering::SeqCst) {
            self.terminating.fetch_add(1, Ordering::SeqCst);
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

    /// Ends a process: its handles are closed, in its context, on the calling thread.
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
        let removed = self.all.write().unwrap_or_else(PoisonError::into_inner).remove(&process.id);
        if removed.is_some() && process.terminating.load(Ordering::SeqCst) {
            self.terminating.fetch_sub(1, Ordering::SeqCst);
        }
        closed
    }
}
