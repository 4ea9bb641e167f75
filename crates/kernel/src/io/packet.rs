//! Packets: the memory of the I/O manager's own IRPs, and who waits for them.
//!
//! Each Linux thread keeps the packets it used, so that a request allocates nothing. Fields that are the same for
//! every request stand in a template, which starts each request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use abi::{IO_STACK_LOCATION, IRP, NTSTATUS};
use platform::Parker;

use crate::mm::{Pool, PoolOwner};
use crate::raw::{self, IoStackLocation, Irp, Outcome};
use crate::{Kernel, Unwind};

/// Tag of the kernel's IRPs.
const IRP_TAG: u32 = u32::from_le_bytes(*b"Irp ");
/// Tag of system buffers.
const BUFFER_TAG: u32 = u32::from_le_bytes(*b"IoSB");
/// Stack locations that a packet has at least.
const LOCATIONS: u8 = 4;
/// Bytes of the system buffer that a thread keeps.
const KEPT_BUFFER: usize = 4096;
/// Packets that a thread keeps.
const KEPT_PACKETS: usize = 8;

const IDLE: u32 = 0;
const IN_FLIGHT: u32 = 1;
const AWAITED: u32 = 2;
const COMPLETED: u32 = 3;

/// An IRP of the I/O manager's.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) irp: Irp,
    capacity: u8,
    state: AtomicU32,
    parker: Parker,
    pool: Arc<Pool>,
    template: Box<[u8]>,
}

/// Packets by the address of their IRP.
#[derive(Debug, Default)]
pub(super) struct PacketTable {
    all: RwLock<HashMap<u64, Arc<Packet>>>,
}

/// A system buffer for one request.
#[derive(Debug)]
pub(super) struct SystemBuffer {
    pool: Arc<Pool>,
    pub(super) address: u64,
    length: usize,
}

impl Drop for SystemBuffer {
    fn drop(&mut self) {
        // A driver that has freed or overrun it is reported where it did so, not here.
        let _driver_bug = self.pool.free(self.address);
    }
}

/// What a Linux thread keeps for its requests to one machine.
struct Kept {
    table: Arc<PacketTable>,
    packets: Vec<Arc<Packet>>,
    in_flight: Vec<Arc<Packet>>,
    buffer: Option<SystemBuffer>,
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

fn with_kept<R>(kernel: &Kernel, body: impl FnOnce(&mut Kept) -> R) -> R {
    KEPT.with_borrow_mut(|all| {
        let table = &kernel.io.packets;
        if !all.last().is_some_and(|kept| Arc::ptr_eq(&kept.table, table)) {
            match all.iter().position(|kept| Arc::ptr_eq(&kept.table, table)) {
                Some(index) => {
                    let kept = all.remove(index);
                    all.push(kept);
                }
                None => {
                    // What is kept for machines that are gone is let go of.
                    all.retain(|kept| Arc::strong_count(&kept.table) > 1);
                    all.push(Kept {
                        table: table.clone(),
                        packets: Vec::new(),
                        in_flight: Vec::new(),
                        buffer: None,
                    });
                }
            }
        }
        let last = all.len() - 1;
        body(&mut all[last])
    })
}

/// The IRP that the calling thread is dispatching, by address; 0 if none.
#[must_use]
pub fn current_irp() -> u64 {
    KEPT.try_with(|all| {
        let all = all.try_borrow().ok()?;
        Some(all.last()?.in_flight.last()?.irp.address())
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

    pub(super) fn wake_all(&self, kernel: &Kernel) {
        for packet in self.all.read().unwrap_or_else(PoisonError::into_inner).values() {
            kernel.platform.unpark(&packet.parker);
        }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        let _driver_bug = self.pool.free(self.irp.address());
    }
}

impl Packet {
    fn new(kernel: &Kernel, capacity: u8) -> Option<Arc<Self>> {
        let size = Irp::SIZE + usize::from(capacity) * IoStackLocation::SIZE;
        let block = kernel.mm.pool.allocate_zeroed(size, IRP_TAG, PoolOwner::default())?;
        let irp = Irp::at(block.address);
        let packet = Arc::new(Self {
            irp,
            capacity,
            state: AtomicU32::new(IDLE),
            parker: Parker::new(),
            pool: kernel.mm.pool.clone(),
            template: vec![0; size].into_boxed_slice(),
        });
        kernel.io.packets.add(&packet);
        Some(packet)
    }

    /// Starts a request with `locations` stack locations for drivers: every field as `IoInitializeIrp` leaves it.
    pub(super) fn begin(&self, locations: u8) -> Outcome<()> {
        let used = Irp::SIZE + usize::from(locations) * IoStackLocation::SIZE;
        raw::copy_to(self.irp.address(), &self.template[..used.min(self.template.len())])?;
        self.state.store(IN_FLIGHT, Ordering::Relaxed);
        initialize(self.irp, used, locations)
    }

    /// The I/O manager's side of `IofCompleteRequest`'s end. False when the IRP was not in flight.
    pub(super) fn complete(&self, kernel: &Kernel) -> bool {
        match self.state.swap(COMPLETED, Ordering::AcqRel) {
            IN_FLIGHT => true,
            AWAITED => {
                kernel.platform.unpark(&self.parker);
                true
            }
            _ => false,
        }
    }

    pub(super) fn is_completed(&self) -> bool {
        self.state.load(Ordering::Acquire) == COMPLETED
    }

    /// Blocks until the IRP is completed.
    ///
    /// # Errors
    /// `Unwind::Halt` when the machine stops meanwhile.
    pub(super) fn wait(&self, kernel: &Kernel) -> Outcome<()> {
        let awaited =
            self.state.compare_exchange(IN_FLIGHT, AWAITED, Ordering::AcqRel, Ordering::Acquire).is_ok();
        while awaited && !self.is_completed() {
            if kernel.is_halted() {
                return Err(Unwind::Halt);
            }
            kernel.platform.park(&self.parker, None);
        }
        Ok(())
    }
}

/// Sets the fields of an IRP whose memory is zero as `IoInitializeIrp` does. `size` in bytes, all locations included.
pub(super) fn initialize(irp: Irp, size: usize, locations: u8) -> Outcome<()> {
    irp.set_object_type(abi::IO_TYPE_IRP.cast_unsigned())?;
    irp.set_size(u16::try_from(size).unwrap_or(u16::MAX))?;
    irp.set_stack_count(locations)?;
    irp.set_current_location(locations + 1)?;
    let list = irp.address() + std::mem::offset_of!(IRP, ThreadListEntry) as u64;
    raw::write(list, list)?;
    raw::write(list + 8, list)?;
    let top = irp.address() + (Irp::SIZE + usize::from(locations) * size_of::<IO_STACK_LOCATION>()) as u64;
    irp.set_current_stack_location(top)
}

/// Takes a packet with room for `locations` stack locations from the calling thread's own and puts it in flight.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`.
pub(super) fn take(kernel: &Kernel, locations: u8) -> Result<Arc<Packet>, NTSTATUS> {
    let kept = with_kept(kernel, |kept| {
        let index = kept.packets.iter().rposition(|packet| packet.capacity >= locations)?;
        Some(kept.packets.swap_remove(index))
    });
    let packet = match kept {
        Some(packet) => packet,
        None => Packet::new(kernel, locations.max(LOCATIONS)).ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?,
    };
    with_kept(kernel, |kept| kept.in_flight.push(packet.clone()));
    Ok(packet)
}

/// Ends the innermost request of the calling thread. A packet that drivers may still know is not used again.
pub(super) fn give_back(kernel: &Kernel, packet: Arc<Packet>, reuse: bool) {
    with_kept(kernel, |kept| {
        kept.in_flight.pop();
        if reuse && kept.packets.len() < KEPT_PACKETS {
            packet.state.store(IDLE, Ordering::Relaxed);
            kept.packets.push(packet);
        } else if reuse {
            kept.table.remove(&packet);
        } else {
            // Its memory stays allocated, and known, for the machine's life.
            std::mem::forget(packet);
        }
    });
}

/// Whether `irp` is the calling thread's innermost request; if so, runs `body` with it.
pub(super) fn with_innermost<R>(kernel: &Kernel, irp: Irp, body: impl FnOnce(&Packet) -> R) -> Option<R> {
    with_kept(kernel, |kept| kept.in_flight.last().filter(|packet| packet.irp == irp).map(|packet| body(packet)))
}

/// A system buffer of at least `length` bytes (not zero).
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`.
pub(super) fn take_buffer(kernel: &Kernel, length: u32) -> Result<SystemBuffer, NTSTATUS> {
    let length = length as usize;
    if length <= KEPT_BUFFER
        && let Some(buffer) = with_kept(kernel, |kept| kept.buffer.take())
    {
        return Ok(buffer);
    }
    let length = length.max(KEPT_BUFFER);
    let block = kernel.mm.pool.allocate(length, BUFFER_TAG, PoolOwner::default(), false);
    let block = block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?;
    Ok(SystemBuffer { pool: kernel.mm.pool.clone(), address: block.address, length })
}

/// Ends the use of a system buffer.
pub(super) fn give_back_buffer(kernel: &Kernel, buffer: SystemBuffer) {
    with_kept(kernel, |kept| {
        if kept.buffer.is_none() && buffer.length == KEPT_BUFFER {
            kept.buffer = Some(buffer);
        }
    });
}
