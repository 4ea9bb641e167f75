//! `Kernel`: one NT, made of its rooms, and how it ends (bugcheck).

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use abi::{CONTEXT, EXCEPTION_RECORD, NTSTATUS};
use platform::Platform;
use platform::entry::{EntryOwner, Stop};
use platform::pages::PagesError;

use crate::trace::{Event, Trace};
use crate::{cm, ex, flt, io, ke, lpc, mm, ob, ps, raw};

/// What a machine is made of.
#[derive(Clone, Copy, Debug)]
pub struct Configuration {
    /// Virtual processors, at least one. One is the default: lost wake-ups show there.
    pub processors: u32,
    /// Bytes that pool may hold in all, at most 16 GiB.
    pub pool_limit: usize,
}

impl Default for Configuration {
    fn default() -> Self {
        Self { processors: 1, pool_limit: 1 << 30 }
    }
}

/// Why a machine could not be made.
#[derive(Debug)]
pub enum StartError {
    /// No room in the address map, or no memory.
    Pages(PagesError),
    /// No pool for what every machine has.
    NoMemory,
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory => formatter.write_str("the pool limit leaves no memory for the machine itself"),
            Self::Pages(error) => write!(formatter, "no system space for another machine: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<PagesError> for StartError {
    fn from(error: PagesError) -> Self {
        Self::Pages(error)
    }
}

/// An exception, as a report keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Its status code, for example STATUS_ACCESS_VIOLATION.
    pub status: NTSTATUS,
    /// The instruction's address.
    pub address: u64,
    /// Its parameters; for an access violation 0 read, 1 write or 8 execute, and the address.
    pub parameters: Vec<u64>,
}

/// A return address on a driver's stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackFrame {
    /// The instruction's address.
    pub address: u64,
    /// File name of the image that it lies in; empty outside of images.
    pub image: String,
    /// Offset from the image's first byte.
    pub offset: u64,
}

/// Walks driver stacks for reports. The loader knows how; the host brings it to the kernel.
pub trait StackWalker: Send + Sync {
    /// The frames from `context` outwards, or, without one, from the export call that the thread is in.
    fn walk(&self, context: Option<&CONTEXT>) -> Vec<StackFrame>;
}

/// A machine's end: the first bugcheck, with what was known at that moment.
#[derive(Clone)]
pub struct Bugcheck {
    /// Stop code and parameters.
    pub stop: Stop,
    /// The exception behind it, if one was.
    pub exception: Option<Exception>,
    /// The registers of the driver code that it happened in, if known.
    pub context: Option<Box<CONTEXT>>,
    /// The driver's stack, innermost frame first; empty when unknown.
    pub stack: Vec<StackFrame>,
    /// The IRP that the thread was dispatching, by address; 0 if none.
    pub irp: u64,
    /// IRQL of the thread.
    pub irql: u8,
}

/// One NT: all state of a machine.
pub struct Kernel {
    /// Threads, parking and clocks.
    pub platform: Arc<dyn Platform>,
    /// Dispatcher: waits, processors, timers.
    pub ke: ke::Dispatcher,
    /// System space and pool.
    pub mm: mm::MemoryManager,
    /// Namespace and object types.
    pub ob: ob::ObjectManager,
    /// Processes and threads.
    pub ps: ps::Processes,
    /// The registry.
    pub cm: cm::Registry,
    /// Resources.
    pub ex: ex::Resources,
    /// Who waits for the last user of something.
    pub rundowns: ex::Rundowns,
    /// Routines registered with callback objects.
    pub callbacks: ex::Callbacks,
    /// Drivers, devices, IRPs.
    pub io: io::IoManager,
    /// Ports.
    pub lpc: lpc::Ports,
    /// Filters and their communication ports.
    pub flt: flt::FilterManager,
    /// Observers.
    pub trace: Trace,
    this: Weak<Self>,
    halted: AtomicBool,
    bugcheck: OnceLock<Bugcheck>,
    stack_walker: OnceLock<Arc<dyn StackWalker>>,
    variables: OnceLock<u64>,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Kernel").field("halted", &self.halted).finish_non_exhaustive()
    }
}

/// Gives entry records their types.
pub(crate) struct Nt;

impl raw::Machine for Nt {
    type Kernel = Kernel;
    type Thread = ke::Thread;
}

impl Kernel {
    /// A machine without drivers: the namespace's fixed directories, the system process.
    ///
    /// # Errors
    /// When there is no address space or memory for it.
    pub fn new(platform: Arc<dyn Platform>, configuration: Configuration) -> Result<Arc<Self>, StartError> {
        let memory = mm::MemoryManager::new(&*platform, configuration.pool_limit)?;
        let io = io::IoManager::new(&memory).ok_or(StartError::NoMemory)?;
        let ob = ob::ObjectManager::new().with_types(&memory).ok_or(StartError::NoMemory)?;
        let cm = cm::Registry::new();
        let registry: Vec<u16> = r"\REGISTRY".encode_utf16().collect();
        let root = cm::root_object(cm.root().clone());
        ob.insert(&registry, &root, true).map_err(|_| StartError::NoMemory)?;
        Ok(Arc::new_cyclic(|this| Self {
            this: this.clone(),
            ke: ke::Dispatcher::new(configuration.processors.max(1)),
            mm: memory,
            ob,
            ps: ps::Processes::new(),
            cm,
            ex: ex::Resources::default(),
            rundowns: ex::Rundowns::default(),
            callbacks: ex::Callbacks::default(),
            io,
            lpc: lpc::Ports::default(),
            flt: flt::FilterManager::default(),
            trace: Trace::default(),
            halted: AtomicBool::new(false),
            bugcheck: OnceLock::new(),
            stack_walker: OnceLock::new(),
            variables: OnceLock::new(),
            platform,
        }))
    }

    /// Runs `body` with the kernel and thread that the calling code is in; `None` outside of every machine.
    #[inline]
    pub fn with_current<R>(body: impl FnOnce(&Self, &ke::Thread) -> R) -> Option<R> {
        raw::with_current::<Nt, R>(body)
    }

    /// The machine, to be kept; `None` while it is being torn down.
    #[must_use]
    pub fn arc(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    /// The machine, for who must not keep it.
    pub(crate) fn weak(&self) -> Weak<Self> {
        self.this.clone()
    }

    /// Whether a bugcheck has stopped the machine.
    #[inline]
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Acquire)
    }

    /// The bugcheck that stopped the machine.
    #[must_use]
    pub fn bugcheck(&self) -> Option<&Bugcheck> {
        self.bugcheck.get()
    }

    /// Tells whoever watches that a driver had not unmapped pages from a process when that ended.
    pub(crate) fn user_mapping_left(&self, mapping: mm::UserMapping) {
        self.trace.emit(|| crate::trace::Event::UserMappingLeft { mapping });
    }

    /// Sets who walks stacks for reports. Only the first call counts.
    pub fn set_stack_walker(&self, walker: Arc<dyn StackWalker>) {
        let _already_set = self.stack_walker.set(walker);
    }

    /// Where the variables that drivers import lie; what is where is `exports`' own.
    #[must_use]
    pub fn variables(&self) -> Option<u64> {
        self.variables.get().copied()
    }

    /// Says where they lie. Only the first call counts.
    pub fn set_variables(&self, address: u64) {
        let _already_set = self.variables.set(address);
    }

    /// Stops the machine for a reason that is no exception: `KeBugCheckEx`.
    pub fn bug_check(&self, code: u32, parameters: [u64; 4]) {
        self.halt(Stop { code, parameters }, None, None);
    }

    /// Stops the machine. Only the first call's report is kept. Every thread that waits in it is woken, and every
    /// later call into it fails at once.
    fn halt(&self, stop: Stop, exception: Option<Exception>, context: Option<&CONTEXT>) {
        if self.halted.swap(true, Ordering::AcqRel) {
            return;
        }
        let stack = self.stack_walker.get().map(|walker| walker.walk(context)).unwrap_or_default();
        let bugcheck = Bugcheck {
            stop,
            exception,
            context: context.map(|context| Box::new(*context)),
            stack,
            irp: io::current_irp(),
            irql: self.ke.current_irql(),
        };
        // The swap above let one thread through.
        let _only_once = self.bugcheck.set(bugcheck);
        self.trace.emit(|| Event::Bugcheck { stop });
        self.ke.wake_all(self);
        self.io.wake_all(self);
    }
}

impl EntryOwner for Kernel {
    fn unhandled(&self, stop: Stop, record: &EXCEPTION_RECORD, context: &CONTEXT) {
        let count = usize::try_from(record.NumberParameters).unwrap_or(0);
        let exception = Exception {
            status: record.ExceptionCode,
            address: record.ExceptionAddress.addr() as u64,
            parameters: record.ExceptionInformation.iter().take(count).map(|word| *word as u64).collect(),
        };
        self.halt(stop, Some(exception), Some(context));
    }

    fn write_cr8(&self, irql: u8) -> bool {
        if irql > abi::HIGH_LEVEL {
            return false;
        }
        if irql >= self.ke.current_irql() {
            self.ke.raise_irql(self, irql);
        } else {
            self.ke.lower_irql(self, irql);
        }
        true
    }

    fn shared_user_data(&self) -> usize {
        self.mm.shared_user_data(&*self.platform)
    }

    fn keep_shared_user_data_current(&self) -> bool {
        self.ke.start_clock(self)
    }
}
