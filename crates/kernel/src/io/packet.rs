//! Packets: the memory of the I/O manager's own IRPs, and who waits for them.
//!
//! Each Linux thread keeps the packets it used, each with a system buffer, so that a request allocates nothing. They are
//! used as a stack: a request made while another is dispatched stands above it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Arc, PoisonError, RwLock};

use abi::{IRP, NTSTATUS};
use platform::{Parked, Parker};

use super::cancel;
use crate::ke::Thread;
use crate::mm::{Pool, PoolOwner};
use crate::raw::{self, IoStackLocation, Irp, Outcome};
use crate::trace::Event;
use crate::{Kernel, Unwind};

/// Tag of the kernel's IRPs.
pub(super) const IRP_TAG: u32 = u32::from_le_bytes(*b"Irp ");
/// Tag of system buffers.
const BUFFER_TAG: u32 = u32::from_le_bytes(*b"IoSB");
/// Stack locations that a packet has at least.
const LOCATIONS: u8 = 4;
/// Bytes of the system buffer that a thread keeps.
const KEPT_BUFFER: usize = 4096;
/// Packets that a thread keeps.
const KEPT_PACKETS: usize = 8;
/// Stack locations that a zeroed start of an IRP covers at once.
const ZEROES: [u8; 1024] = [0; 1024];

const IDLE: u32 = 0;
const IN_FLIGHT: u32 = 1;
const AWAITED: u32 = 2;
const COMPLETED: u32 = 3;

/// How long a thread whose process ends waits for a cancelled request, in units of 100 ns: five minutes.
///
/// Source: kernel, Introduction to IRP cancellation: a driver that does not complete a cancelled IRP keeps its thread
/// from ending; the I/O manager gives up after a while.
pub const CANCEL_PATIENCE: u64 = 5 * 60 * 10_000_000;

/// An IRP of the I/O manager's.
#[derive(Debug)]
pub(super) struct Packet {
    irp: Irp,
    /// A system buffer of [`KEPT_BUFFER`] bytes.
    buffer: u64,
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

/// What a Linux thread keeps for its requests to one machine.
struct Kept {
    table: Arc<PacketTable>,
    /// The first `in_flight` of them are, outermost first.
    packets: Vec<Arc<Packet>>,
    in_flight: usize,
}

impl Drop for Kept {
    fn drop(&mut self) {
        for packet in self.packets.drain(..) {
            self.table.remove(&packet);
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
        Some(kept.packets.get(kept.in_flight.checked_sub(1)?)?.irp.address())
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
    }
}

impl Packet {
    fn new(kernel: &Kernel, capacity: u8) -> Option<Arc<Self>> {
        let size = Irp::SIZE + usize::from(capacity) * IoStackLocation::SIZE;
        let block = kernel.mm.pool.allocate_zeroed(size, IRP_TAG, PoolOwner::default())?;
        let irp = Irp::at(block.address);
        let buffer = kernel.mm.pool.allocate(KEPT_BUFFER, BUFFER_TAG, PoolOwner::default(), false);
        let Some(buffer) = buffer else {
            let _certainly_live = kernel.mm.pool.free(block.address);
            return None;
        };
        let packet = Arc::new(Self {
            irp,
            buffer: buffer.address,
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

/// Zeroes an IRP with `locations` stack locations, sets its fields as `IoInitializeIrp` does, and returns the first
/// location that a driver will see.
#[inline]
pub(super) fn initialize(irp: Irp, locations: u8) -> Outcome<IoStackLocation> {
    let size = Irp::SIZE + usize::from(locations) * IoStackLocation::SIZE;
    match ZEROES.get(..size) {
        Some(zeroes) => raw::copy_to(irp.address(), zeroes)?,
        None => raw::fill(irp.address(), 0, size)?,
    }
    irp.set_object_type(abi::IO_TYPE_IRP.cast_unsigned())?;
    irp.set_size(u16::try_from(size).unwrap_or(u16::MAX))?;
    irp.set_stack_count(locations)?;
    irp.set_current_location(locations + 1)?;
    let list = irp.address() + std::mem::offset_of!(IRP, ThreadListEntry) as u64;
    raw::write(list, list)?;
    raw::write(list + 8, list)?;
    let top = irp.address() + size as u64;
    irp.set_current_stack_location(top)?;
    Ok(IoStackLocation::at(top - IoStackLocation::SIZE as u64))
}

/// A request that the calling thread has in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    /// Its IRP.
    pub(super) irp: Irp,
    /// Its system buffer; 0 for a request of no bytes.
    pub(super) buffer: u64,
    /// Pool that was allocated for a buffer larger than the packet's own; 0 if none.
    large: u64,
}

/// Puts a packet of the calling thread's in flight: with room for `locations` stack locations, and a system buffer of
/// `length` bytes.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`.
#[inline]
pub(super) fn begin(kernel: &Kernel, locations: u8, length: u32) -> Result<InFlight, NTSTATUS> {
    let (irp, own_buffer) = with_kept(kernel, |kept| {
        let depth = kept.in_flight;
        if kept.packets.get(depth).is_none_or(|packet| packet.capacity < locations) {
            let packet = Packet::new(kernel, locations.max(LOCATIONS))?;
            kept.packets.insert(depth, packet);
        }
        kept.in_flight += 1;
        let packet = &kept.packets[depth];
        packet.state.store(IN_FLIGHT, Ordering::Relaxed);
        Some((packet.irp, packet.buffer))
    })
    .ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?;
    let length = length as usize;
    if length <= KEPT_BUFFER {
        return Ok(InFlight { irp, buffer: if length == 0 { 0 } else { own_buffer }, large: 0 });
    }
    match kernel.mm.pool.allocate(length, BUFFER_TAG, PoolOwner::default(), false) {
        Some(block) => Ok(InFlight { irp, buffer: block.address, large: block.address }),
        None => {
            end(kernel, InFlight { irp, buffer: 0, large: 0 }, true);
            Err(abi::STATUS_INSUFFICIENT_RESOURCES)
        }
    }
}

/// Ends the innermost request of the calling thread. A packet that drivers may still know (`reuse` false) is not used
/// again: its memory stays allocated, and known, for the machine's life.
#[inline]
pub(super) fn end(kernel: &Kernel, request: InFlight, reuse: bool) {
    with_kept(kernel, |kept| {
        kept.in_flight -= 1;
        if !reuse {
            std::mem::forget(kept.packets.remove(kept.in_flight));
        } else if kept.packets.len() > KEPT_PACKETS {
            let packet = kept.packets.remove(kept.in_flight);
            kept.table.remove(&packet);
        }
    });
    if request.large != 0 && reuse {
        // A driver that has freed or overrun it is reported where it did so, not here.
        let _driver_bug = kernel.mm.pool.free(request.large);
    }
}

/// Marks `irp` completed if it is the calling thread's innermost request: `Some(false)` when it was already.
#[inline]
pub(super) fn complete_innermost(kernel: &Kernel, irp: Irp) -> Option<bool> {
    with_kept(kernel, |kept| {
        let packet = kept.packets.get(kept.in_flight.checked_sub(1)?)?;
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
        innermost.is_some_and(|packet| packet.is_completed())
    })
}

/// Blocks until the calling thread's innermost request is completed. False when the request was given up, because its
/// process ends: a driver still knows it.
///
/// # Errors
/// `Unwind::Halt` when the machine stops meanwhile; what a cancel routine raised.
pub(super) fn wait(kernel: &Kernel, thread: &Thread) -> Outcome<bool> {
    let innermost = with_kept(kernel, |kept| kept.packets.get(kept.in_flight.checked_sub(1)?).cloned());
    innermost.map_or(Err(Unwind::Halt), |packet| packet.wait(kernel, thread))
}
