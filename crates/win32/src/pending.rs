//! Requests that go on when their call has returned, and the application's memory that they are about.
//!
//! A host cannot write to an application's heap. So a request's status block and data have a *stand-in* in the session's window.
//! When its status there is no longer STATUS_PENDING it is brought home: first the data, then the count, then the status.
//! [`settle_all`] does that before a wait returns, [`settle`] for one request, and the thread of `settler` for applications that
//! call nothing. What lies in the window already (`VirtualAlloc`) needs no stand-in.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;
use gate::{FileCall, Handle, LockedRange, Memory, Notice, SharedMemory, SystemCall, Transport};

use crate::apc::{self, Routine};
use crate::memory;
use crate::pointer::Pointer;
use crate::session;
use crate::settler;
use crate::types::IO_STATUS_BLOCK;

/// Bytes of the application.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) at: Pointer<u8>,
    pub(crate) length: u32,
}

impl Span {
    pub(crate) const NONE: Self = Self { at: Pointer::NULL, length: 0 };

    fn memory(self) -> Memory {
        Memory { address: self.at.address() as u64, length: self.length }
    }

    fn is_in_place(self) -> bool {
        self.length == 0 || memory::is_in_window(self.at.address(), self.length as usize)
    }
}

/// What a request does.
#[derive(Clone, Copy)]
pub(crate) enum Action {
    Read { buffer: Span, offset: Option<u64> },
    Write { buffer: Span, offset: Option<u64> },
    Control { code: u32, input: Span, output: Span },
    FsControl { code: u32, input: Span, output: Span },
    Lock { range: LockedRange, flags: u8 },
    Unlock { range: LockedRange },
    NotifyChange { buffer: Span, filter: u32, watch_tree: bool },
}

impl Action {
    /// What it reads, what it writes.
    fn spans(&self) -> (Span, Span) {
        match *self {
            Self::Read { buffer, .. } | Self::NotifyChange { buffer, .. } => (Span::NONE, buffer),
            Self::Lock { .. } | Self::Unlock { .. } => (Span::NONE, Span::NONE),
            Self::Write { buffer, .. } => (buffer, Span::NONE),
            Self::Control { input, output, .. } | Self::FsControl { input, output, .. } => (input, output),
        }
    }

    /// Whether a driver works on the output itself, and so reads it, and writes it whatever the outcome.
    fn is_direct(&self) -> bool {
        matches!(self, Self::Control { code, .. } | Self::FsControl { code, .. } if code & 3 != abi::METHOD_BUFFERED)
    }

    fn call(&self, handle: Handle, input: Memory, output: Memory, notice: Notice) -> SystemCall<'static> {
        match *self {
            Self::Read { offset, .. } => SystemCall::Read { handle, buffer: output, offset, notice },
            Self::Write { offset, .. } => SystemCall::Write { handle, buffer: input, offset, notice },
            Self::Control { code, .. } => SystemCall::DeviceControl { handle, code, input, output, notice },
            Self::FsControl { code, .. } => SystemCall::FsControl { handle, code, input, output, notice },
            Self::Lock { range, flags } => SystemCall::File(FileCall::Lock { handle, range, flags, notice }),
            Self::Unlock { range } => {
                let io_status_block = notice.io_status_block;
                SystemCall::File(FileCall::Unlock { handle, range, io_status_block })
            }
            Self::NotifyChange { filter, watch_tree, .. } => {
                let buffer = output;
                SystemCall::File(FileCall::NotifyChangeDirectory {
                    handle,
                    buffer,
                    filter,
                    watch_tree,
                    notice,
                })
            }
        }
    }
}

/// How the end of a request is told, besides in its status block.
pub(crate) struct Told {
    /// Signaled; without one the file is.
    pub(crate) event: Option<Handle>,
    /// Run by the calling thread.
    pub(crate) routine: Option<Routine>,
    /// What the file's completion port tells; 0 for nothing.
    pub(crate) context: u64,
}

struct StandIn {
    memory: Arc<Box<dyn SharedMemory>>,
    /// Status and information.
    home: Pointer<u64>,
    output: Span,
    /// Where the output is in the stand-in.
    start: u32,
    /// It comes home whole, whatever the outcome.
    whole: bool,
}

#[derive(Default)]
struct InFlight {
    by_home: HashMap<usize, StandIn>,
    /// Stand-ins whose status block the application has used for something else meanwhile.
    orphans: Vec<Arc<Box<dyn SharedMemory>>>,
    /// Stand-ins to use again, by size: `1 << index` pages.
    free: [Vec<Box<dyn SharedMemory>>; CLASSES],
}

const PAGE: u32 = 4096;
/// Stand-ins of up to 32 pages are kept for the next request.
const CLASSES: usize = 6;
const KEPT: usize = 16;
/// Where data begins in a stand-in: behind the status block.
const FRONT: u32 = 64;

static IN_FLIGHT: Mutex<Option<InFlight>> = Mutex::new(None);
/// Stand-ins in flight, for those who need not lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Told when some have come home.
static CAME_HOME: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, Option<InFlight>> {
    IN_FLIGHT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InFlight {
    fn take(&mut self, transport: &dyn Transport, length: u32) -> Result<Box<dyn SharedMemory>, NTSTATUS> {
        let class = class(length);
        if let Some(memory) = class.and_then(|class| self.free[class].pop()) {
            return Ok(memory);
        }
        let length = class.map_or(length, |class| PAGE << class);
        transport.allocate_memory(length)
    }

    /// Not while somebody cancels by its address: another request that stands there then would be cancelled.
    fn give(&mut self, memory: Arc<Box<dyn SharedMemory>>) {
        if let Some(memory) = Arc::into_inner(memory)
            && let Some(class) = class(memory.len())
            && self.free[class].len() < KEPT
        {
            self.free[class].push(memory);
        }
    }

    fn bring_home(&mut self, standing: StandIn) {
        let StandIn { memory, home, output, start, whole } = standing;
        let mut words = [0; 16];
        memory.read(0, &mut words);
        let [status, information] = words.as_chunks().0 else { return };
        let (status, information) = (u64::from_le_bytes(*status), u64::from_le_bytes(*information));
        let ended = NTSTATUS::from_bits(low(status));
        let told = if whole {
            output.length as usize
        } else if ended.is_error() {
            0
        } else {
            usize::try_from(information).unwrap_or(usize::MAX).min(output.length as usize)
        };
        if let Ok(room) = output.at.room(told) {
            memory.read(start, room);
        }
        // Checked when the request began.
        let _checked = home.at(1).store(information).and_then(|()| home.store(ended.bits().into()));
        COUNT.fetch_sub(1, Ordering::Relaxed);
        self.give(memory);
    }

    fn settle(&mut self, home: usize) -> bool {
        let ended = self.by_home.get(&home).is_some_and(|standing| has_ended(&**standing.memory));
        if ended && let Some(standing) = self.by_home.remove(&home) {
            self.bring_home(standing);
        }
        ended
    }

    fn settle_all(&mut self) -> bool {
        let ended = |(home, standing): (&usize, &StandIn)| has_ended(&**standing.memory).then_some(*home);
        let mut any = false;
        while let Some(home) = self.by_home.iter().find_map(ended) {
            self.settle(home);
            any = true;
        }
        while let Some(index) = self.orphans.iter().position(|memory| has_ended(&***memory)) {
            let memory = self.orphans.swap_remove(index);
            COUNT.fetch_sub(1, Ordering::Relaxed);
            self.give(memory);
        }
        any
    }
}

fn class(length: u32) -> Option<usize> {
    let pages = length.div_ceil(PAGE).max(1).next_power_of_two();
    Some(pages.trailing_zeros() as usize).filter(|class| *class < CLASSES)
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
fn low(word: u64) -> u32 {
    word as u32
}

fn has_ended(memory: &dyn SharedMemory) -> bool {
    memory.load(0) != abi::STATUS_PENDING.bits()
}

/// Brings the request home whose status block is here, if it has ended, and wakes who else waits for it.
pub(crate) fn settle(home: usize) {
    if COUNT.load(Ordering::Relaxed) != 0
        && session::is_connected()
        && lock().get_or_insert_default().settle(home)
    {
        CAME_HOME.notify_all();
    }
}

/// Brings all requests home that have ended, and wakes who waits for them.
pub(crate) fn settle_all() {
    if COUNT.load(Ordering::Relaxed) != 0
        && session::is_connected()
        && lock().get_or_insert_default().settle_all()
    {
        CAME_HOME.notify_all();
    }
}

/// Waits until the request whose status block is here has come home. [`lose_all`] ends that, too; so the
/// thread of `settler` must run.
pub(crate) fn wait_for_home(home: Pointer<u64>) {
    let mut flights = lock();
    loop {
        let flight = flights.get_or_insert_default();
        if flight.settle(home.address()) {
            CAME_HOME.notify_all();
        }
        if !flight.by_home.contains_key(&home.address()) {
            return;
        }
        flights = CAME_HOME.wait(flights).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Whether a request with its status block here goes on with a stand-in.
pub(crate) fn has_stand_in(home: usize) -> bool {
    COUNT.load(Ordering::Relaxed) != 0 && lock().get_or_insert_default().by_home.contains_key(&home)
}

/// The host is gone: what has not ended never will, and ends now as the session has.
pub(crate) fn lose_all() {
    let mut flights = lock();
    for (_, standing) in flights.get_or_insert_default().by_home.drain() {
        let status = abi::STATUS_DEVICE_NOT_CONNECTED.bits();
        let home = standing.home;
        let _checked = home.at(1).store(0).and_then(|()| home.store(status.into()));
        COUNT.fetch_sub(1, Ordering::Relaxed);
        // Nobody writes there any more, but its window may be gone as well.
        std::mem::forget(standing.memory);
    }
    CAME_HOME.notify_all();
}

/// Hands `body` what a machine calls the request whose status block is here, which is no other request's until it returns.
pub(crate) fn with_block<R>(home: usize, body: impl FnOnce(u64) -> R) -> R {
    let held = {
        let flights = lock();
        let standing = flights.as_ref().and_then(|flight| flight.by_home.get(&home));
        standing.map(|standing| standing.memory.clone())
    };
    body(held.as_ref().map_or(home as u64, |memory| memory.address()))
}

/// Begins a request. STATUS_PENDING when it goes on.
pub(crate) fn start(file: Handle, action: &Action, block: Pointer<IO_STATUS_BLOCK>, told: Told) -> NTSTATUS {
    let transport = match session::session() {
        Ok(transport) => transport,
        Err(status) => return status,
    };
    if !transport.is_connected() {
        // A forked child may not even touch the window.
        return abi::STATUS_DEVICE_NOT_CONNECTED;
    }
    let home: Pointer<u64> = block.cast();
    // What came before with this block has ended, or is the application's mistake.
    settle(home.address());
    let pending = abi::STATUS_PENDING.bits().into();
    if home.at(1).load().and_then(|_| home.store(pending)).is_err() {
        return abi::STATUS_ACCESS_VIOLATION;
    }
    let (input, output) = action.spans();
    let in_place = memory::is_in_window(home.address(), size_of::<IO_STATUS_BLOCK>())
        && input.is_in_place()
        && output.is_in_place();
    let number = told.routine.map(|routine| apc::expect(routine, home));
    let notice = |block| Notice {
        io_status_block: block,
        event: told.event,
        apc_routine: if number.is_some() { apc::OURS } else { 0 },
        apc_context: number.unwrap_or(told.context),
    };
    let status = if in_place {
        let call = action.call(file, input.memory(), output.memory(), notice(home.address() as u64));
        transport.system_call(&call, &mut []).status
    } else {
        match stand_in(transport, action, home) {
            Ok(places) => {
                let call = action.call(file, places.input, places.output, notice(places.block));
                transport.system_call(&call, &mut []).status
            }
            Err(status) => status,
        }
    };
    if status.is_error() {
        if let Some(number) = number {
            apc::expect_no_more(number);
        }
        refuse(home, status);
    } else if status == abi::STATUS_PENDING {
        settler::needed();
    } else {
        settle(home.address());
    }
    status
}

/// Nothing has begun.
fn refuse(home: Pointer<u64>, status: NTSTATUS) {
    let mut flights = lock();
    let flight = flights.get_or_insert_default();
    if let Some(standing) = flight.by_home.remove(&home.address()) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
        flight.give(standing.memory);
    }
    let _checked = home.at(1).store(0).and_then(|()| home.store(status.bits().into()));
}

struct Places {
    block: u64,
    input: Memory,
    output: Memory,
}

/// Makes a stand-in, and copies there what the driver will read.
fn stand_in(transport: &dyn Transport, action: &Action, home: Pointer<u64>) -> Result<Places, NTSTATUS> {
    let (input, output) = action.spans();
    let whole = action.is_direct();
    let bad = abi::STATUS_ACCESS_VIOLATION;
    let source = input.at.bytes(input.length as usize).map_err(|_| bad)?;
    let before = output.at.bytes(output.length as usize).map_err(|_| bad)?;
    let too_long = abi::STATUS_INSUFFICIENT_RESOURCES;
    let input_start = aligned(FRONT, input.length).ok_or(too_long)?;
    let output_start =
        input_start.checked_add(input.length).and_then(|end| aligned(end, output.length)).ok_or(too_long)?;
    let length = output_start.checked_add(output.length).ok_or(too_long)?;
    let mut flights = lock();
    let flight = flights.get_or_insert_default();
    let mut memory = flight.take(transport, length)?;
    if !input.is_in_place() {
        memory.write(input_start, source);
    }
    if whole && !output.is_in_place() {
        memory.write(output_start, before);
    }
    let mut words = [0; 16];
    words[..4].copy_from_slice(&abi::STATUS_PENDING.bits().to_le_bytes());
    memory.write(0, &words);
    let block = memory.address();
    let place = |span: Span, start: u32| match span.is_in_place() && span.length > 0 {
        true => span.memory(),
        false => Memory { address: block + u64::from(start), length: span.length },
    };
    let places = Places { block, input: place(input, input_start), output: place(output, output_start) };
    let comes_home = if output.is_in_place() { Span::NONE } else { output };
    let memory = Arc::new(memory);
    let standing = StandIn { memory, home, output: comes_home, start: output_start, whole };
    COUNT.fetch_add(1, Ordering::Relaxed);
    if let Some(before) = flight.by_home.insert(home.address(), standing) {
        flight.orphans.push(before.memory);
    }
    Ok(places)
}

/// The first place for `length` bytes from `start` on: on a page of its own if it is that long.
fn aligned(start: u32, length: u32) -> Option<u32> {
    start.checked_next_multiple_of(if length >= PAGE { PAGE } else { FRONT })
}
