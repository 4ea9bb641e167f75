//! Packets: the memory of the I/O manager's own IRPs, and who waits for them.
//!
//! Each Linux thread keeps the packets it used, each with a system buffer, so that a request allocates nothing. They are
//! used as a stack: a request made while another is dispatched stands above it. A request that goes on when its call has
//! returned takes its packet away from there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use abi::{IO_STACK_LOCATION, IRP, NTSTATUS};
use platform::{Parked, Parker};

use super::asynchronous::{self, Pended};
use super::cancel;
use crate::ke::Thread;
use crate::mm::{self, Pool, PoolOwner};
use crate::ps::{EarlyAnswer, Process, RequestKey, Which};
use crate::raw::{self, DispatcherHeader, IoStackLocation, Irp, Mdl, Outcome};
use crate::trace::Event;
use crate::{Kernel, Unwind};

/// Tag of the kernel's IRPs.
pub(super) const IRP_TAG: u32 = u32::from_le_bytes(*b"Irp ");
/// Tag of system buffers.
pub(super) const BUFFER_TAG: u32 = u32::from_le_bytes(*b"IoSB");
/// Stack locations that a packet has at least.
const LOCATIONS: u8 = 4;
/// Bytes of the system buffer that a thread keeps.
const KEPT_BUFFER: u32 = 4096;
/// Tag of the MDLs of requests.
pub(super) const MDL_TAG: u32 = u32::from_le_bytes(*b"IoMd");
/// Pages that the MDL which a thread keeps can describe: 128 KiB, wherever they begin.
const KEPT_PAGES: u64 = 33;
/// Packets that a thread keeps.
const KEPT_PACKETS: usize = 8;

const IDLE: u32 = 0;
const IN_FLIGHT: u32 = 1;
const AWAITED: u32 = 2;
const COMPLETED: u32 = 3;
const PENDED: u32 = 4;
/// Its IRP is none: the request is made without one, by fast I/O.
const FAST: u32 = 5;
/// Packets that a machine keeps for requests that will go on.
const SPARE_PACKETS: usize = 64;
/// Packets of a machine that have a buffer and an MDL of their own. Requests that go on by the thousand get what they need, no
/// more: a buffer with its guard page is two mappings for Linux, which grants a process some ten thousand.
const WHOLE_PACKETS: usize = 512;

/// How long a thread whose process ends waits for a cancelled request, in units of 100 ns: five minutes.
///
/// Confirm: that NT gives up after this long is from memory, not from a text that was looked up.
pub const CANCEL_PATIENCE: u64 = 5 * 60 * 10_000_000;

/// An IRP of the I/O manager's.
#[derive(Debug)]
pub(super) struct Packet {
    irp: Irp,
    /// A system buffer of [`KEPT_BUFFER`] bytes; 0 in a lean packet.
    buffer: u64,
    /// An MDL with room for [`KEPT_PAGES`]; 0 in a lean packet.
    mdl: u64,
    /// Bytes of the system buffer.
    room: u32,
    capacity: u8,
    state: AtomicU32,
    /// Others that look at the request while its thread waits for it: the thread goes on when they have let go.
    holders: AtomicU32,
    /// Identifier of the process whose thread waits; means something while the state is AWAITED.
    process: AtomicU32,
    parker: Parker,
    /// The way to the application while the state is AWAITED, if its answer needs nothing of the waiting thread.
    early: Mutex<Option<Early>>,
    /// What is to be done at the end of a request that goes on by itself.
    pended: Mutex<Option<(InFlight, Pended)>>,
    pool: Arc<Pool>,
}

/// The way to the application that a request is for.
#[derive(Clone, Debug)]
pub(super) struct Early {
    pub(super) answer: Arc<dyn EarlyAnswer>,
    /// The file's, signaled at the request's end.
    pub(super) event: DispatcherHeader,
}

/// Packets by the address of their IRP.
#[derive(Debug, Default)]
pub(super) struct PacketTable {
    all: RwLock<HashMap<u64, Arc<Packet>>>,
    /// Of requests that went on and have ended.
    spare: Mutex<Vec<Arc<Packet>>>,
}

/// A packet, and how its IRP looked at the beginning of the last request that began like the next one probably will.
struct Slot {
    packet: Arc<Packet>,
    heading: Heading,
    template: Vec<u8>,
}

/// What is the same for all requests of one thread on one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heading {
    /// Stack locations for drivers.
    pub(super) locations: u8,
    /// Whether the caller is an application (`UserMode`).
    pub(super) user_mode: bool,
    /// The calling thread's object.
    pub(super) thread: u64,
    /// The file object.
    pub(super) file: u64,
}

/// No request has this.
const NO_HEADING: Heading = Heading { locations: 0, user_mode: false, thread: 0, file: 0 };

/// What a Linux thread keeps for its requests to one machine.
struct Kept {
    table: Arc<PacketTable>,
    /// The first `in_flight` of them are, outermost first.
    packets: Vec<Slot>,
    in_flight: usize,
}

impl Drop for Kept {
    fn drop(&mut self) {
        for slot in self.packets.drain(..) {
            self.table.remove(&slot.packet);
        }
    }
}

thread_local! {
    /// Most recently used last.
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

#[inline]
fn with_kept<R>(kernel: &Kernel, body: impl FnOnce(&mut Kept) -> R) -> R {
    KEPT.with_borrow_mut(|all| {
        let table = &kernel.io.packets;
        if !all.last().is_some_and(|kept| Arc::ptr_eq(&kept.table, table)) {
            bring_to_end(all, table);
        }
        let last = all.len() - 1;
        body(&mut all[last])
    })
}

#[cold]
fn bring_to_end(all: &mut Vec<Kept>, table: &Arc<PacketTable>) {
    if let Some(index) = all.iter().position(|kept| Arc::ptr_eq(&kept.table, table)) {
        let kept = all.remove(index);
        all.push(kept);
        return;
    }
    // What is kept for machines that are gone is let go of.
    all.retain(|kept| Arc::strong_count(&kept.table) > 1);
    all.push(Kept { table: table.clone(), packets: Vec::new(), in_flight: 0 });
}

/// The IRP that the calling thread is dispatching, by address; 0 if none.
#[must_use]
pub fn current_irp() -> u64 {
    KEPT.try_with(|all| {
        let all = all.try_borrow().ok()?;
        let kept = all.last()?;
        let mut packets = kept.packets.get(..kept.in_flight)?.iter().rev().map(|slot| &slot.packet);
        let dispatched = packets.find(|packet| packet.state.load(Ordering::Relaxed) != FAST)?;
        Some(dispatched.irp.address())
    })
    .ok()
    .flatten()
    .unwrap_or(0)
}

impl PacketTable {
    pub(super) fn get(&self, irp: u64) -> Option<Arc<Packet>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(&irp).cloned()
    }

    fn add(&self, packet: &Arc<Packet>) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(packet.irp.address(), packet.clone());
    }

    fn remove(&self, packet: &Packet) {
        self.all.write().unwrap_or_else(PoisonError::into_inner).remove(&packet.irp.address());
    }

    fn has_many(&self) -> bool {
        self.all.read().unwrap_or_else(PoisonError::into_inner).len() >= WHOLE_PACKETS
    }

    /// The packets of requests of a process that can be cancelled.
    pub(super) fn of(&self, process: &Process, which: Which) -> Vec<Arc<Packet>> {
        let irps = process.requests(which);
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        irps.iter().filter_map(|irp| all.get(irp).cloned()).collect()
    }

    /// Has the threads of a process that wait for requests look at the process again.
    pub(super) fn wake_waiting(&self, kernel: &Kernel, process: &Process) {
        for packet in self.of(process, Which::All) {
            if let Some(held) = packet.hold() {
                let is_its = packet.process.load(Ordering::Relaxed) == process.id;
                held.release(kernel);
                if is_its {
                    kernel.platform.unpark(&packet.parker);
                }
            }
        }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Arc<Packet>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A packet that a request which went on has left, with room for so many stack locations.
    fn take_spare(&self, locations: u8) -> Option<Arc<Packet>> {
        self.spare().pop_if(|packet| packet.capacity >= locations)
    }

    pub(super) fn wake_all(&self, kernel: &Kernel) {
        for packet in self.all.read().unwrap_or_else(PoisonError::into_inner).values() {
            kernel.platform.unpark(&packet.parker);
        }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        let _driver_bug = self.pool.free(self.irp.address());
        if !self.is_lean() {
            let _driver_bug = self.pool.free(self.buffer);
            let _driver_bug = self.pool.free(self.mdl);
        }
    }
}

impl Packet {
    /// `lean`: without a buffer and an MDL of its own.
    fn new(kernel: &Kernel, capacity: u8, lean: bool) -> Option<Arc<Self>> {
        let size = Irp::SIZE + usize::from(capacity) * IoStackLocation::SIZE;
        let pool = &kernel.mm.pool;
        let block = pool.allocate_zeroed(size, IRP_TAG, PoolOwner::default())?;
        let (buffer, mdl) = if lean { (Some(0), Some(0)) } else { own_buffers(pool) };
        let (Some(buffer), Some(mdl)) = (buffer, mdl) else {
            for address in [Some(block.address), buffer, mdl].into_iter().flatten() {
                let _certainly_live = pool.free(address);
            }
            return None;
        };
        let irp = Irp::at(block.address);
        let packet = Arc::new(Self {
            irp,
            buffer,
            mdl,
            room: if lean { 0 } else { KEPT_BUFFER },
            capacity,
            state: AtomicU32::new(IDLE),
            holders: AtomicU32::new(0),
            process: AtomicU32::new(0),
            parker: Parker::new(),
            early: Mutex::new(None),
            pended: Mutex::new(None),
            pool: kernel.mm.pool.clone(),
        });
        kernel.io.packets.add(&packet);
        Some(packet)
    }

    /// The I/O manager's side of `IofCompleteRequest`'s end. False when the IRP was not in flight.
    ///
    /// # Errors
    /// What the end of a request that went on stopped the machine for.
    pub(super) fn complete(self: Arc<Self>, kernel: &Kernel) -> Outcome<bool> {
        // Before the thread that waits can go on, and end the IRP.
        if self.state.load(Ordering::SeqCst) == AWAITED {
            self.answer_early(kernel)?;
        }
        match self.state.swap(COMPLETED, Ordering::SeqCst) {
            IN_FLIGHT => Ok(true),
            AWAITED => {
                kernel.platform.unpark(&self.parker);
                Ok(true)
            }
            PENDED => {
                let Some((request, pended)) = self.take_pended() else { return Ok(false) };
                asynchronous::complete(kernel, self, request, pended).map(|()| true)
            }
            _ => Ok(false),
        }
    }

    /// Signals the file and tells the application what the request has come to. One with MDLs, which the thread that waits
    /// unlocks, is that thread's to tell.
    fn answer_early(&self, kernel: &Kernel) -> Outcome<()> {
        if self.irp.mdl()? != 0 {
            return Ok(());
        }
        let Some(early) = self.take_early() else { return Ok(()) };
        kernel.ke.set_event(kernel, early.event, 0)?;
        let status = NTSTATUS::from_bits(self.irp.status()?);
        early.answer.answer(status, self.irp.information()?, &[]);
        Ok(())
    }

    fn take_early(&self) -> Option<Early> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn take_pended(&self) -> Option<(InFlight, Pended)> {
        let taken = self.pended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((request, pended)) = &taken {
            pended.process().remove_request(pended.key(request.irp));
        }
        taken
    }

    /// Whether it has no buffer and no MDL of its own. A thread keeps none for its next request.
    fn is_lean(&self) -> bool {
        self.room == 0
    }

    /// Whether it is a request of this process that goes on by itself. True for the time that it is held, if it is then.
    pub(super) fn goes_on_for(&self, process: &Process) -> bool {
        let pended = self.pended.lock().unwrap_or_else(PoisonError::into_inner);
        pended.as_ref().is_some_and(|(_, pended)| pended.is_of(process))
    }

    /// Whether it is a request that a thread of this process waits for, or that goes on by itself. As for
    /// [`Self::goes_on_for`].
    pub(super) fn is_of(&self, process: &Process) -> bool {
        let awaited = self.state.load(Ordering::SeqCst) == AWAITED;
        (awaited && self.process.load(Ordering::Relaxed) == process.id) || self.goes_on_for(process)
    }

    fn is_completed(&self) -> bool {
        self.state.load(Ordering::Acquire) == COMPLETED
    }

    /// Its IRP.
    pub(super) fn irp(&self) -> Irp {
        self.irp
    }

    /// Keeps the request as it is if its thread waits for it, or it goes on by itself: it may be completed meanwhile, but
    /// the thread does not go on, and the packet does not become another request's.
    pub(super) fn hold(&self) -> Option<Held<'_>> {
        // Before the look at the state, as the thread's look at this count comes after its own at the state.
        self.holders.fetch_add(1, Ordering::SeqCst);
        if matches!(self.state.load(Ordering::SeqCst), AWAITED | PENDED) {
            return Some(Held { packet: self });
        }
        self.holders.fetch_sub(1, Ordering::SeqCst);
        None
    }

    /// Blocks until the IRP is completed.
    ///
    /// # Errors
    /// `Unwind::Halt` when the machine stops meanwhile; what a cancel routine raised.
    fn wait(&self, kernel: &Kernel, thread: &Thread, early: Option<Early>) -> Outcome<Waited> {
        let may_be_told = early.is_some();
        if may_be_told {
            *self.early.lock().unwrap_or_else(PoisonError::into_inner) = early;
        }
        let waited = self.wait_awaited(kernel, thread);
        let is_told = may_be_told && self.take_early().is_none();
        Ok(match waited? {
            false => Waited::GivenUp,
            true if is_told => Waited::Told,
            true => Waited::Completed,
        })
    }

    /// False when the request was given up.
    fn wait_awaited(&self, kernel: &Kernel, thread: &Thread) -> Outcome<bool> {
        self.process.store(thread.process_id, Ordering::Relaxed);
        let _found = kernel.ps.get(thread.process_id).map(|process| Findable::new(process, self.irp));
        let awaited =
            self.state.compare_exchange(IN_FLIGHT, AWAITED, Ordering::SeqCst, Ordering::Acquire).is_ok();
        let mut deadline = None;
        while awaited && !self.is_completed() {
            if kernel.is_halted() {
                return Err(Unwind::Halt);
            }
            if deadline.is_none() && thread.process_ends() {
                deadline = Some(kernel.platform.interrupt_time().saturating_add(CANCEL_PATIENCE));
                cancel::cancel_own(kernel, thread, self.irp)?;
                continue;
            }
            let parked = kernel.platform.park(&self.parker, deadline);
            if parked == Parked::TimedOut && !self.is_completed() {
                let driver = || cancel::driver_of(kernel, self.irp);
                kernel.trace.emit(|| Event::IrpStuck { irp: self.irp.address(), driver: driver() });
                return Ok(false);
            }
        }
        // The look at the holders comes after the completion, whoever made it.
        fence(Ordering::SeqCst);
        while awaited && self.holders.load(Ordering::SeqCst) > 0 {
            kernel.platform.park(&self.parker, None);
        }
        Ok(true)
    }
}

/// A request that its thread waits for, among those of its process that can be cancelled.
struct Findable {
    process: Arc<Process>,
    key: RequestKey,
}

impl Findable {
    fn new(process: Arc<Process>, irp: Irp) -> Self {
        // A driver that scribbled over it keeps it from being found by its file.
        let file = irp.original_file_object().unwrap_or(0);
        let key = RequestKey { file, io_status_block: 0, irp: irp.address() };
        process.add_request(key);
        Self { process, key }
    }
}

impl Drop for Findable {
    fn drop(&mut self) {
        self.process.remove_request(self.key);
    }
}

/// A request that its thread waits for, and does not get back before this is released.
#[must_use]
pub(super) struct Held<'a> {
    packet: &'a Packet,
}

impl Held<'_> {
    /// The request's packet.
    pub(super) fn packet(&self) -> &Packet {
        self.packet
    }

    /// Lets the thread go on.
    pub(super) fn release(self, kernel: &Kernel) {
        if self.packet.holders.fetch_sub(1, Ordering::SeqCst) == 1 {
            kernel.platform.unpark(&self.packet.parker);
        }
    }
}

impl Slot {
    fn new(packet: Arc<Packet>) -> Self {
        Self { packet, heading: NO_HEADING, template: Vec::new() }
    }

    /// Makes the IRP as `IoInitializeIrp` does, with the heading's fields; the rest is zero.
    #[inline]
    fn start(&mut self, heading: Heading) -> Outcome<()> {
        if self.heading != heading {
            self.prepare(heading);
        }
        raw::copy_to(self.packet.irp.address(), &self.template)
    }

    #[cold]
    fn prepare(&mut self, heading: Heading) {
        write_fresh_irp(&mut self.template, self.packet.irp, heading);
        self.heading = heading;
    }
}

/// Makes `bytes` what an IRP with its stack locations is after `IoInitializeIrp`, with the heading's fields; the rest is
/// zero.
fn write_fresh_irp(bytes: &mut Vec<u8>, irp: Irp, heading: Heading) {
    let size = Irp::SIZE + usize::from(heading.locations) * IoStackLocation::SIZE;
    let list = irp.address() + offset_of!(IRP, ThreadListEntry) as u64;
    bytes.clear();
    bytes.resize(size, 0);
    let mut put = |offset: usize, field: &[u8]| bytes[offset..offset + field.len()].copy_from_slice(field);
    put(offset_of!(IRP, Type), &abi::IO_TYPE_IRP.to_le_bytes());
    put(offset_of!(IRP, Size), &u16::try_from(size).unwrap_or(u16::MAX).to_le_bytes());
    put(offset_of!(IRP, ThreadListEntry), &list.to_le_bytes());
    put(offset_of!(IRP, ThreadListEntry) + 8, &list.to_le_bytes());
    put(offset_of!(IRP, RequestorMode), &[u8::from(heading.user_mode)]);
    put(offset_of!(IRP, StackCount), &[heading.locations]);
    put(offset_of!(IRP, CurrentLocation), &[heading.locations.wrapping_add(1)]);
    put(offset_of!(IRP, Tail.Overlay.Thread), &heading.thread.to_le_bytes());
    let top = irp.address().wrapping_add(size as u64);
    put(offset_of!(IRP, Tail.Overlay.CurrentStackLocation), &top.to_le_bytes());
    put(offset_of!(IRP, Tail.Overlay.OriginalFileObject), &heading.file.to_le_bytes());
    if let Some(first) = size.checked_sub(IoStackLocation::SIZE).filter(|first| *first >= Irp::SIZE) {
        put(first + offset_of!(IO_STACK_LOCATION, FileObject), &heading.file.to_le_bytes());
    }
}

/// `IoInitializeIrp`: makes an IRP with `locations` stack locations of the memory at `irp`.
///
/// # Errors
/// An access violation.
pub(super) fn initialize(irp: Irp, locations: u8) -> Outcome<()> {
    let mut bytes = Vec::new();
    write_fresh_irp(&mut bytes, irp, Heading { locations, ..NO_HEADING });
    raw::copy_to(irp.address(), &bytes)
}

/// A system buffer of [`KEPT_BUFFER`] bytes, and an MDL for [`KEPT_PAGES`].
fn own_buffers(pool: &Pool) -> (Option<u64>, Option<u64>) {
    let buffer = pool.allocate(KEPT_BUFFER as usize, BUFFER_TAG, PoolOwner::default(), false);
    (buffer.map(|block| block.address), allocate_mdl(pool, KEPT_PAGES))
}

fn allocate_mdl(pool: &Pool, pages: u64) -> Option<u64> {
    let size = usize::try_from(mm::size_of_mdl(0, pages << 12)).ok()?;
    Some(pool.allocate(size, MDL_TAG, PoolOwner::default(), false)?.address)
}

/// What a request needs besides its IRP.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Needs {
    /// Bytes of its system buffer.
    pub(super) buffer: u32,
    /// Pages that its MDL describes; 0 for none.
    pub(super) pages: u64,
}

/// A request that the calling thread has in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    /// Its IRP.
    pub(super) irp: Irp,
    /// The stack location that the first driver will see.
    pub(super) location: IoStackLocation,
    /// Its system buffer; 0 for a request of no bytes.
    pub(super) buffer: u64,
    /// Room for its MDL; NULL when it needs none.
    pub(super) mdl: Mdl,
    /// What is larger than the packet's own, and was allocated for it: [`LARGE_BUFFER`], [`LARGE_MDL`]. A whole word, as the
    /// others are: the processor is slow to read a structure as words that was just written in smaller parts.
    large: u64,
}

const LARGE_BUFFER: u64 = 1;
const LARGE_MDL: u64 = 2;

/// Puts a packet of the calling thread's in flight: its IRP as `heading` says, and what it `needs` besides. `may_go_on`: the call
/// need not wait for its end.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`.
#[inline]
pub(super) fn begin(
    kernel: &Kernel,
    heading: Heading,
    needs: Needs,
    may_go_on: bool,
) -> Result<InFlight, NTSTATUS> {
    let begun = with_kept(kernel, |kept| {
        let depth = kept.in_flight;
        if kept.packets.get(depth).is_none_or(|slot| slot.packet.capacity < heading.locations) {
            let packet = kernel.io.packets.take_spare(heading.locations);
            let new = || {
                let lean = may_go_on && kernel.io.packets.has_many();
                Packet::new(kernel, heading.locations.max(LOCATIONS), lean)
            };
            let packet = packet.or_else(new)?;
            kept.packets.insert(depth, Slot::new(packet));
        }
        let slot = &mut kept.packets[depth];
        // The kernel's own pool, unless a driver freed it.
        slot.start(heading).ok()?;
        slot.packet.state.store(IN_FLIGHT, Ordering::Relaxed);
        let begun = (slot.packet.irp, slot.packet.buffer, slot.packet.room);
        kept.in_flight += 1;
        Some(begun)
    });
    let (irp, own_buffer, room) = begun.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?;
    let last = Irp::SIZE + (usize::from(heading.locations) - 1) * IoStackLocation::SIZE;
    let location = IoStackLocation::at(irp.address() + last as u64);
    if needs.buffer > room || needs.pages != 0 {
        return begin_with_more(kernel, irp, location, needs);
    }
    let buffer = if needs.buffer == 0 { 0 } else { own_buffer };
    Ok(InFlight { irp, location, buffer, mdl: Mdl::at(0), large: 0 })
}

/// Says that the innermost request of the calling thread, which has just begun, is made without an IRP.
pub(super) fn is_fast(kernel: &Kernel) {
    with_kept(kernel, |kept| {
        if let Some(slot) = kept.in_flight.checked_sub(1).and_then(|index| kept.packets.get(index)) {
            slot.packet.state.store(FAST, Ordering::Relaxed);
        }
    });
}

/// [`begin`] for a request with an MDL, or with a buffer for which pool is taken. Apart, since the values of the others
/// are best kept in registers.
#[inline(never)]
fn begin_with_more(
    kernel: &Kernel,
    irp: Irp,
    location: IoStackLocation,
    needs: Needs,
) -> Result<InFlight, NTSTATUS> {
    let (own_buffer, own_mdl, room) = with_kept(kernel, |kept| {
        let packet = &kept.packets[kept.in_flight - 1].packet;
        (packet.buffer, packet.mdl, packet.room)
    });
    let buffer = if needs.buffer == 0 { 0 } else { own_buffer };
    let mdl = Mdl::at(if needs.pages == 0 { 0 } else { own_mdl });
    let mut request = InFlight { irp, location, buffer, mdl, large: 0 };
    let pool = &kernel.mm.pool;
    let mut enough = true;
    if needs.buffer > room {
        let block = pool.allocate(needs.buffer as usize, BUFFER_TAG, PoolOwner::default(), false);
        request.buffer = block.map_or(0, |block| block.address);
        enough = block.is_some();
        request.large |= if enough { LARGE_BUFFER } else { 0 };
    }
    if enough && needs.pages > if own_mdl == 0 { 0 } else { KEPT_PAGES } {
        let mdl = allocate_mdl(pool, needs.pages);
        request.mdl = Mdl::at(mdl.unwrap_or(0));
        enough = mdl.is_some();
        request.large |= if enough { LARGE_MDL } else { 0 };
    }
    if enough {
        return Ok(request);
    }
    let _no_driver_knows_it = end(kernel, request, true);
    Err(abi::STATUS_INSUFFICIENT_RESOURCES)
}

/// Ends the innermost request of the calling thread. A packet that drivers may still know (`reuse` false) is not used
/// again: its memory stays allocated, and known, for the machine's life.
///
/// False when the machine had to stop: a driver has overrun the system buffer or the MDL.
#[inline(always)]
#[must_use]
pub(super) fn end(kernel: &Kernel, request: InFlight, reuse: bool) -> bool {
    with_kept(kernel, |kept| {
        kept.in_flight -= 1;
        if !reuse {
            std::mem::forget(kept.packets.remove(kept.in_flight).packet);
        } else if kept.packets.len() > KEPT_PACKETS {
            let slot = kept.packets.remove(kept.in_flight);
            kept.table.remove(&slot.packet);
        }
    });
    request.large == 0 || !reuse || free_large(kernel, request)
}

/// As [`end`], of a request that could have gone on.
#[must_use]
pub(super) fn end_at_once(kernel: &Kernel, request: InFlight, reuse: bool) -> bool {
    let intact = end(kernel, request, reuse);
    with_kept(kernel, |kept| {
        if kept.packets.get(kept.in_flight).is_some_and(|slot| slot.packet.is_lean()) {
            let slot = kept.packets.remove(kept.in_flight);
            kept.table.remove(&slot.packet);
        }
    });
    intact
}

#[cold]
fn free_large(kernel: &Kernel, request: InFlight) -> bool {
    (request.large & LARGE_BUFFER == 0 || super::free_own(kernel, request.buffer))
        && (request.large & LARGE_MDL == 0 || super::free_own(kernel, request.mdl.address()))
}

/// Marks `irp` completed if it is the calling thread's innermost request: `Some(false)` when it was already.
#[inline]
pub(super) fn complete_innermost(kernel: &Kernel, irp: Irp) -> Option<bool> {
    with_kept(kernel, |kept| {
        let packet = &kept.packets.get(kept.in_flight.checked_sub(1)?)?.packet;
        if packet.irp != irp {
            return None;
        }
        // The thread that would wait for it is this one: nobody has to be woken, and nobody else may complete it.
        let first = packet.state.load(Ordering::Relaxed) != COMPLETED;
        packet.state.store(COMPLETED, Ordering::Release);
        Some(first)
    })
}

/// What became of a request whose call returns while it goes on.
pub(super) enum Detached {
    /// It goes on; its packet is on its own, and its completion tells its end.
    GoesOn(Arc<Packet>),
    /// It has been completed meanwhile: the caller tells its end, and then gives the packet to [`recycle`].
    Completed(Arc<Packet>, Pended),
}

/// Takes the packet of the innermost request away from the calling thread: the request goes on, and `pended` is what is
/// to be done in the end.
pub(super) fn detach(kernel: &Kernel, request: InFlight, pended: Pended) -> Detached {
    let packet = with_kept(kernel, |kept| {
        kept.in_flight -= 1;
        let index = kept.in_flight;
        match kernel.io.packets.take_spare(LOCATIONS) {
            Some(spare) => {
                let slot = &mut kept.packets[index];
                slot.heading = NO_HEADING;
                std::mem::replace(&mut slot.packet, spare)
            }
            None => kept.packets.remove(index).packet,
        }
    });
    pended.process().add_request(pended.key(request.irp));
    *packet.pended.lock().unwrap_or_else(PoisonError::into_inner) = Some((request, pended));
    kernel.platform.preemption_point();
    if packet.state.compare_exchange(IN_FLIGHT, PENDED, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
        return Detached::GoesOn(packet);
    }
    match packet.take_pended() {
        Some((_, pended)) => Detached::Completed(packet, pended),
        // Nobody takes it while the state is another than PENDED.
        None => Detached::GoesOn(packet),
    }
}

/// Keeps the packet of a request that went on and has ended for others, unless somebody still looks at it. Frees what the
/// request had besides.
pub(super) fn recycle(kernel: &Kernel, packet: Arc<Packet>, request: InFlight) {
    if request.large != 0 {
        // What a driver did to them has stopped the machine.
        let _intact = free_large(kernel, request);
    }
    let mut spare = kernel.io.packets.spare();
    // Who looks at it from now on finds it completed, or another request's.
    if packet.holders.load(Ordering::SeqCst) == 0 && spare.len() < SPARE_PACKETS && !packet.is_lean() {
        spare.push(packet);
    } else {
        drop(spare);
        kernel.io.packets.remove(&packet);
    }
}

/// Whether the calling thread's innermost request is completed.
#[inline]
pub(super) fn is_completed(kernel: &Kernel) -> bool {
    with_kept(kernel, |kept| {
        let innermost = kept.in_flight.checked_sub(1).and_then(|index| kept.packets.get(index));
        innermost.is_some_and(|slot| slot.packet.is_completed())
    })
}

/// How a wait for a request has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// It is completed.
    Completed,
    /// It is completed, and whoever did that has signaled the file and told the application.
    Told,
    /// Its process ends, and its driver does not let go of it: a driver still knows it.
    GivenUp,
}

/// Blocks until the calling thread's innermost request is completed. By `early` whoever completes it tells the application.
///
/// # Errors
/// `Unwind::Halt` when the machine stops meanwhile; what a cancel routine raised.
pub(super) fn wait(kernel: &Kernel, thread: &Thread, early: Option<Early>) -> Outcome<Waited> {
    let innermost =
        with_kept(kernel, |kept| Some(kept.packets.get(kept.in_flight.checked_sub(1)?)?.packet.clone()));
    innermost.map_or(Err(Unwind::Halt), |packet| packet.wait(kernel, thread, early))
}
