//! Packets: the memory of the I/O manager's own IRPs, and who waits for them.
//!
//! Each Linux thread keeps the packets it used, each with a system buffer, so that a request allocates nothing. They are
//! used as a stack: a request made while another is dispatched stands above it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Arc, PoisonError, RwLock};

use abi::{IO_STACK_LOCATION, IRP, NTSTATUS};
use platform::{Parked, Parker};

use super::cancel;
use crate::ke::Thread;
use crate::mm::{self, Pool, PoolOwner};
use crate::raw::{self, IoStackLocation, Irp, Mdl, Outcome};
use crate::trace::Event;
use crate::{Kernel, Unwind};

/// Tag of the kernel's IRPs.
pub(super) const IRP_TAG: u32 = u32::from_le_bytes(*b"Irp ");
/// Tag of system buffers.
pub(super) const BUFFER_TAG: u32 = u32::from_le_bytes(*b"IoSB");
/// Stack locations that a packet has at least.
const LOCATIONS: u8 = 4;
/// Bytes of the system buffer that a thread keeps.
const KEPT_BUFFER: usize = 4096;
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

/// How long a thread whose process ends waits for a cancelled request, in units of 100 ns: five minutes.
///
/// Confirm: that NT gives up after this long is from memory, not from a text that was looked up.
pub const CANCEL_PATIENCE: u64 = 5 * 60 * 10_000_000;

/// An IRP of the I/O manager's.
#[derive(Debug)]
pub(super) struct Packet {
    irp: Irp,
    /// A system buffer of [`KEPT_BUFFER`] bytes.
    buffer: u64,
    /// An MDL with room for [`KEPT_PAGES`].
    mdl: u64,
    capacity: u8,
    state: AtomicU32,
    /// Others that look at the request while its thread waits for it: the thread goes on when they have let go.
    holders: AtomicU32,
    /// Identifier of the process whose thread waits; means something while the state is AWAITED.
    process: AtomicU32,
    parker: Parker,
    pool: Arc<Pool>,
}

/// Packets by the address of their IRP.
#[derive(Debug, Default)]
pub(super) struct PacketTable {
    all: RwLock<HashMap<u64, Arc<Packet>>>,
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
        Some(kept.packets.get(kept.in_flight.checked_sub(1)?)?.packet.irp.address())
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

    /// All packets now.
    pub(super) fn all(&self) -> Vec<Arc<Packet>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Has the threads of a process that wait for requests look at the process again.
    pub(super) fn wake_waiting(&self, kernel: &Kernel, process: u32) {
        for packet in self.all() {
            if let Some(held) = packet.hold() {
                let is_its = packet.process.load(Ordering::Relaxed) == process;
                held.release(kernel);
                if is_its {
                    kernel.platform.unpark(&packet.parker);
                }
            }
        }
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
        let _driver_bug = self.pool.free(self.buffer);
        let _driver_bug = self.pool.free(self.mdl);
    }
}

impl Packet {
    fn new(kernel: &Kernel, capacity: u8) -> Option<Arc<Self>> {
        let size = Irp::SIZE + usize::from(capacity) * IoStackLocation::SIZE;
        let pool = &kernel.mm.pool;
        let block = pool.allocate_zeroed(size, IRP_TAG, PoolOwner::default())?;
        let buffer = pool.allocate(KEPT_BUFFER, BUFFER_TAG, PoolOwner::default(), false);
        let mdl = allocate_mdl(pool, KEPT_PAGES);
        let (Some(buffer), Some(mdl)) = (buffer, mdl) else {
            for address in [Some(block.address), buffer.map(|block| block.address), mdl].into_iter().flatten()
            {
                let _certainly_live = pool.free(address);
            }
            return None;
        };
        let irp = Irp::at(block.address);
        let packet = Arc::new(Self {
            irp,
            buffer: buffer.address,
            mdl,
            capacity,
            state: AtomicU32::new(IDLE),
            holders: AtomicU32::new(0),
            process: AtomicU32::new(0),
            parker: Parker::new(),
            pool: kernel.mm.pool.clone(),
        });
        kernel.io.packets.add(&packet);
        Some(packet)
    }

    /// The I/O manager's side of `IofCompleteRequest`'s end. False when the IRP was not in flight.
    pub(super) fn complete(&self, kernel: &Kernel) -> bool {
        match self.state.swap(COMPLETED, Ordering::SeqCst) {
            IN_FLIGHT => true,
            AWAITED => {
                kernel.platform.unpark(&self.parker);
                true
            }
            _ => false,
        }
    }

    fn is_completed(&self) -> bool {
        self.state.load(Ordering::Acquire) == COMPLETED
    }

    /// Its IRP.
    pub(super) fn irp(&self) -> Irp {
        self.irp
    }

    /// Keeps the request as it is if its thread waits for it: it may be completed meanwhile, but the thread does not go
    /// on, and the packet does not become another request's.
    pub(super) fn hold(&self) -> Option<Held<'_>> {
        // Before the look at the state, as the thread's look at this count comes after its own at the state.
        self.holders.fetch_add(1, Ordering::SeqCst);
        if self.state.load(Ordering::SeqCst) == AWAITED {
            return Some(Held { packet: self });
        }
        self.holders.fetch_sub(1, Ordering::SeqCst);
        None
    }

    /// Blocks until the IRP is completed. False when it was given up: its process ends, and its driver does not let go
    /// of it.
    ///
    /// # Errors
    /// `Unwind::Halt` when the machine stops meanwhile; what a cancel routine raised.
    fn wait(&self, kernel: &Kernel, thread: &Thread) -> Outcome<bool> {
        self.process.store(thread.process_id, Ordering::Relaxed);
        let awaited =
            self.state.compare_exchange(IN_FLIGHT, AWAITED, Ordering::SeqCst, Ordering::Acquire).is_ok();
        let mut deadline = None;
        while awaited && !self.is_completed() {
            if kernel.is_halted() {
                return Err(Unwind::Halt);
            }
            if deadline.is_none() && kernel.ps.is_terminating(thread.process_id) {
                deadline = Some(kernel.platform.interrupt_time().saturating_add(CANCEL_PATIENCE));
                cancel::cancel_own(kernel, thread, self.irp)?;
                continue;
            }
            let parked = kernel.platform.park(&self.parker, deadline);
            if parked == Parked::TimedOut && !self.is_completed() {
                let driver = cancel::driver_of(kernel, self.irp);
                kernel.trace.emit(|| Event::IrpStuck { irp: self.irp.address(), driver });
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
        let heading = Heading { locations: 0, user_mode: false, thread: 0, file: 0 };
        Self { packet, heading, template: Vec::new() }
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
        self.template = fresh_irp(self.packet.irp, heading);
        self.heading = heading;
    }
}

/// How an IRP with its stack locations looks after `IoInitializeIrp`, with the heading's fields; the rest is zero.
fn fresh_irp(irp: Irp, heading: Heading) -> Vec<u8> {
    let size = Irp::SIZE + usize::from(heading.locations) * IoStackLocation::SIZE;
    let list = irp.address() + offset_of!(IRP, ThreadListEntry) as u64;
    let mut bytes = vec![0; size];
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
    bytes
}

/// `IoInitializeIrp`: makes an IRP with `locations` stack locations of the memory at `irp`.
///
/// # Errors
/// An access violation.
pub(super) fn initialize(irp: Irp, locations: u8) -> Outcome<()> {
    raw::copy_to(irp.address(), &fresh_irp(irp, Heading { locations, user_mode: false, thread: 0, file: 0 }))
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
    /// Whether the buffer is larger than the packet's own, and was allocated for it.
    large: bool,
    /// The same for the MDL.
    large_mdl: bool,
}

/// Puts a packet of the calling thread's in flight: its IRP as `heading` says, and what it `needs` besides.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`.
#[inline]
pub(super) fn begin(kernel: &Kernel, heading: Heading, needs: Needs) -> Result<InFlight, NTSTATUS> {
    let begun = with_kept(kernel, |kept| {
        let depth = kept.in_flight;
        if kept.packets.get(depth).is_none_or(|slot| slot.packet.capacity < heading.locations) {
            let packet = Packet::new(kernel, heading.locations.max(LOCATIONS))?;
            kept.packets.insert(depth, Slot::new(packet));
        }
        let slot = &mut kept.packets[depth];
        // The kernel's own pool, unless a driver freed it.
        slot.start(heading).ok()?;
        slot.packet.state.store(IN_FLIGHT, Ordering::Relaxed);
        let begun = (slot.packet.irp, slot.packet.buffer);
        kept.in_flight += 1;
        Some(begun)
    });
    let (irp, own_buffer) = begun.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?;
    let last = Irp::SIZE + (usize::from(heading.locations) - 1) * IoStackLocation::SIZE;
    let location = IoStackLocation::at(irp.address() + last as u64);
    if needs.buffer as usize > KEPT_BUFFER || needs.pages != 0 {
        return begin_with_more(kernel, irp, location, needs);
    }
    let buffer = if needs.buffer == 0 { 0 } else { own_buffer };
    Ok(InFlight { irp, location, buffer, mdl: Mdl::at(0), large: false, large_mdl: false })
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
    let (own_buffer, own_mdl) = with_kept(kernel, |kept| {
        let packet = &kept.packets[kept.in_flight - 1].packet;
        (packet.buffer, packet.mdl)
    });
    let buffer = if needs.buffer == 0 { 0 } else { own_buffer };
    let mdl = Mdl::at(if needs.pages == 0 { 0 } else { own_mdl });
    let mut request = InFlight { irp, location, buffer, mdl, large: false, large_mdl: false };
    let pool = &kernel.mm.pool;
    let mut enough = true;
    if needs.buffer as usize > KEPT_BUFFER {
        let block = pool.allocate(needs.buffer as usize, BUFFER_TAG, PoolOwner::default(), false);
        request.buffer = block.map_or(0, |block| block.address);
        request.large = block.is_some();
        enough = request.large;
    }
    if enough && needs.pages > KEPT_PAGES {
        let mdl = allocate_mdl(pool, needs.pages);
        request.mdl = Mdl::at(mdl.unwrap_or(0));
        request.large_mdl = mdl.is_some();
        enough = request.large_mdl;
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
    !(request.large | request.large_mdl) || !reuse || free_large(kernel, request)
}

#[cold]
fn free_large(kernel: &Kernel, request: InFlight) -> bool {
    (!request.large || super::free_own(kernel, request.buffer))
        && (!request.large_mdl || super::free_own(kernel, request.mdl.address()))
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

/// Whether the calling thread's innermost request is completed.
#[inline]
pub(super) fn is_completed(kernel: &Kernel) -> bool {
    with_kept(kernel, |kept| {
        let innermost = kept.in_flight.checked_sub(1).and_then(|index| kept.packets.get(index));
        innermost.is_some_and(|slot| slot.packet.is_completed())
    })
}

/// Blocks until the calling thread's innermost request is completed. False when the request was given up, because its
/// process ends: a driver still knows it.
///
/// # Errors
/// `Unwind::Halt` when the machine stops meanwhile; what a cancel routine raised.
pub(super) fn wait(kernel: &Kernel, thread: &Thread) -> Outcome<bool> {
    let innermost =
        with_kept(kernel, |kept| Some(kept.packets.get(kept.in_flight.checked_sub(1)?)?.packet.clone()));
    innermost.map_or(Err(Unwind::Halt), |packet| packet.wait(kernel, thread))
}
