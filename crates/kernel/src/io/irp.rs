//! IRPs that drivers make: allocating, initialising and freeing them, and what ends one that comes back to its top.
//!
//! The I/O manager's own are `packet`'s. Which are whose is kept here, by address, outside of what drivers can write;
//! their memory counts as the allocating driver's, so that unloading reports the ones it did not free. Building whole
//! requests is `build`'s.

use std::collections::HashMap;
use std::mem::offset_of;
use std::sync::{Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;

use super::packet::IRP_TAG;
use super::{mdl, packet};
use crate::ke::ApcTarget;
use crate::mm::PoolOwner;
use crate::raw::{self, DispatcherHeader, IoStackLocation, Irp, Mdl, Outcome};
use crate::trace::Event;
use crate::{Kernel, Unwind};

/// Most stack locations of an IRP: `StackCount` and `CurrentLocation` are signed bytes, and the latter goes one beyond.
const MAX_LOCATIONS: u8 = 126;
/// In `Flags`: the IRP is one of those that a master IRP waits for.
const ASSOCIATED: u32 = 0x8;
/// `AssociatedIrp.IrpCount`.
const IRP_COUNT: u64 = offset_of!(abi::IRP, AssociatedIrp) as u64;
/// Second parameter of bugcheck 0xC9: an IRP was freed that is still associated with a thread.
const FREED_WITH_THREAD: u64 = 2;

/// Whose an IRP is, and what happens when its last completion routine has let it go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The driver's: it is to keep and free it.
    Allocated,
    /// Part of a master IRP, whose count it brings down.
    Associated {
        /// The master IRP.
        master: u64,
    },
    /// A request of the building thread's: the I/O manager frees it.
    Threaded,
    /// A manager's own request: whoever sent it waits for the event, reads the answer in it and frees it
    /// ([`free_awaited`]).
    Awaited {
        /// Address of the event that is set.
        event: u64,
    },
    /// A power request that a driver asked for: its completion function is called, then the I/O manager frees it.
    Power(PowerCompletion),
}

/// `REQUEST_POWER_COMPLETE`: what is called at the end of a power request that a driver asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PowerCompletion {
    /// Address of the function; 0 for none.
    pub(super) function: u64,
    /// The device that the driver named.
    pub(super) device: u64,
    /// IRP_MN_*.
    pub(super) minor: u8,
    /// The state asked for.
    pub(super) state: i32,
    /// The driver's own.
    pub(super) context: u64,
    /// The driver's identifier.
    pub(super) driver: u32,
}

#[derive(Clone, Debug)]
struct Record {
    kind: Kind,
    /// The thread that the request belongs to, for one that is threaded.
    target: Option<ApcTarget>,
    /// Identifier of the driver that has it; 0 if unknown.
    creator: u32,
    /// Bytes of the caller's buffer that the request's result goes to.
    output_length: u32,
}

/// The IRPs that drivers have, by address.
#[derive(Debug, Default)]
pub(super) struct DriverIrps {
    live: Mutex<HashMap<u64, Record>>,
}

impl DriverIrps {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Record>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `IoSizeOfIrp`.
fn size_of_irp(locations: u8) -> usize {
    Irp::SIZE + usize::from(locations) * IoStackLocation::SIZE
}

/// Allocates an IRP for the calling driver; `None` without memory, or when no IRP can have so many locations.
pub(super) fn allocate(
    kernel: &Kernel,
    locations: u8,
    kind: Kind,
    output_length: u32,
    target: Option<ApcTarget>,
) -> Outcome<Option<Irp>> {
    allocate_for(kernel, kernel.io.calling_driver().unwrap_or(0), locations, kind, output_length, target)
}

/// As [`allocate`], for a driver named; 0 for the kernel itself.
pub(super) fn allocate_for(
    kernel: &Kernel,
    creator: u32,
    locations: u8,
    kind: Kind,
    output_length: u32,
    target: Option<ApcTarget>,
) -> Outcome<Option<Irp>> {
    if locations > MAX_LOCATIONS {
        return Ok(None);
    }
    let size = size_of_irp(locations);
    let Some(block) = kernel.mm.pool.allocate(size, IRP_TAG, PoolOwner(creator), false) else {
        return Ok(None);
    };
    let irp = Irp::at(block.address);
    packet::initialize(irp, locations)?;
    kernel.io.driver_irps.lock().insert(irp.address(), Record { kind, target, creator, output_length });
    Ok(Some(irp))
}

/// `IoAllocateIrp`: an IRP of the driver's own, which it frees; null without memory. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// An access violation, when a driver has freed memory that is not its own.
///
/// Source: ddi, IoAllocateIrp.
pub fn allocate_irp(kernel: &Kernel, locations: u8) -> Outcome<Irp> {
    Ok(allocate(kernel, locations, Kind::Allocated, 0, None)?.unwrap_or(Irp::at(0)))
}

/// `IoMakeAssociatedIrp`: an IRP that is part of `master`, which is completed when the last of as many as its
/// `IrpCount` says has been; null without memory. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// An access violation in the master IRP.
///
/// Source: ddi, IoMakeAssociatedIrp.
pub fn make_associated_irp(kernel: &Kernel, master: Irp, locations: u8) -> Outcome<Irp> {
    let thread = master.thread()?;
    let kind = Kind::Associated { master: master.address() };
    let Some(irp) = allocate(kernel, locations, kind, 0, None)? else { return Ok(Irp::at(0)) };
    irp.set_flags(ASSOCIATED)?;
    irp.set_thread(thread)?;
    irp.set_system_buffer(master.address())?;
    Ok(irp)
}

/// `IoInitializeIrp`: zeroes `size` bytes that the driver has allocated and makes an IRP of them. Any IRQL.
///
/// # Errors
/// An access violation.
///
/// Source: ddi, IoInitializeIrp.
pub fn initialize_irp(irp: Irp, size: u16, locations: u8) -> Outcome<()> {
    raw::fill(irp.address(), 0, usize::from(size))?;
    irp.set_object_type(abi::IO_TYPE_IRP.cast_unsigned())?;
    irp.set_size(size)?;
    irp.set_stack_count(locations)?;
    irp.set_current_location(locations.wrapping_add(1))?;
    let list = irp.address().wrapping_add(offset_of!(abi::IRP, ThreadListEntry) as u64);
    raw::write(list, list)?;
    raw::write(list.wrapping_add(8), list)?;
    irp.set_current_stack_location(irp.address().wrapping_add(size_of_irp(locations) as u64))
}

/// `IoReuseIrp`: makes a driver's own IRP new, with `status` in its status block. Any IRQL.
///
/// # Errors
/// An access violation.
///
/// Source: ddi, IoReuseIrp.
pub fn reuse_irp(irp: Irp, status: NTSTATUS) -> Outcome<()> {
    let allocation_flags = irp.allocation_flags()?;
    initialize_irp(irp, irp.size()?, irp.stack_count()?)?;
    irp.set_allocation_flags(allocation_flags)?;
    irp.set_status(status.bits())
}

/// `IoFreeIrp`: frees an IRP that the driver has allocated. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// [`Unwind::Halt`] after a bugcheck: BAD_POOL_CALLER for what is no IRP of a driver's, 0xC9 with 2 for a request that
/// is still its thread's (`IoBuildSynchronousFsdRequest`, `IoBuildDeviceIoControlRequest`): those the I/O manager frees.
///
/// Source: ddi, IoFreeIrp; bug check 0xC9.
pub fn free_irp(kernel: &Kernel, irp: Irp) -> Outcome<()> {
    let record = {
        let mut live = kernel.io.driver_irps.lock();
        match live.get(&irp.address()).map(|record| record.kind) {
            Some(kind @ (Kind::Threaded | Kind::Awaited { .. } | Kind::Power(_))) => Some(kind),
            Some(_) => live.remove(&irp.address()).map(|record| record.kind),
            None => None,
        }
    };
    match record {
        Some(Kind::Threaded | Kind::Awaited { .. } | Kind::Power(_)) => {
            let parameters = [FREED_WITH_THREAD, irp.address(), 0, 0];
            kernel.bug_check(abi::DRIVER_VERIFIER_IOMANAGER_VIOLATION, parameters);
            Err(Unwind::Halt)
        }
        Some(_) => free_memory(kernel, irp),
        None => {
            kernel.bug_check(abi::BAD_POOL_CALLER, [0x7, 0, 0, irp.address()]);
            Err(Unwind::Halt)
        }
    }
}

/// Frees a request that its sender has waited for.
pub(super) fn free_awaited(kernel: &Kernel, irp: Irp) -> Outcome<()> {
    kernel.io.driver_irps.lock().remove(&irp.address());
    free_memory(kernel, irp)
}

fn free_memory(kernel: &Kernel, irp: Irp) -> Outcome<()> {
    match kernel.mm.pool.free(irp.address()) {
        Ok(_) => Ok(()),
        // Behind it lie its stack locations: a driver wrote below its last, or freed the block itself.
        Err(_) => {
            kernel.bug_check(abi::BAD_POOL_HEADER, [0x20, irp.address(), 0, 0]);
            Err(Unwind::Halt)
        }
    }
}

/// Frees a request that could not be built to its end, with the system buffer and the MDL that it has got already.
pub(super) fn discard(kernel: &Kernel, irp: Irp) -> Outcome<()> {
    kernel.io.driver_irps.lock().remove(&irp.address());
    if irp.flags()? & abi::IRP_DEALLOCATE_BUFFER != 0 {
        let _certainly_live = kernel.mm.pool.free(irp.system_buffer()?);
    }
    mdl::release(kernel, irp, Mdl::at(0))?;
    free_memory(kernel, irp)
}

/// The I/O manager's end of a driver-made IRP that no completion routine has kept.
///
/// # Errors
/// [`Unwind::Halt`] after bugcheck 0x44 for an IRP that nobody has made, and after bugcheck 0xA for one that its
/// driver should have kept: NT finds no thread there to complete it to.
///
/// Source: ddi, IoAllocateIrp (a driver's own IRP needs a completion routine that returns
/// STATUS_MORE_PROCESSING_REQUIRED), IoBuildSynchronousFsdRequest, IoMakeAssociatedIrp.
#[cold]
pub(super) fn complete(kernel: &Kernel, irp: Irp, boost: u8) -> Outcome<()> {
    let record = {
        let mut live = kernel.io.driver_irps.lock();
        live.remove(&irp.address())
    };
    match record {
        None => {
            kernel.bug_check(abi::MULTIPLE_IRP_COMPLETE_REQUESTS, [irp.address(), 0, 0, 0]);
            Err(Unwind::Halt)
        }
        Some(Record { kind: Kind::Associated { master }, .. }) => {
            free_memory(kernel, irp)?;
            // One less: as a longword, all ones are minus one.
            if raw::fetch_add(master.wrapping_add(IRP_COUNT), u32::MAX)? == 1 {
                super::complete_request(kernel, Irp::at(master), boost)?;
            }
            Ok(())
        }
        Some(Record { kind: Kind::Awaited { event }, .. }) => {
            kernel.ke.set_event(kernel, DispatcherHeader::at(event), i32::from(boost)).map(drop)
        }
        Some(Record { kind: Kind::Power(completion), .. }) => {
            super::power::end_request(kernel, irp, completion)?;
            free_memory(kernel, irp)
        }
        Some(Record { kind: Kind::Allocated, creator, .. }) if irp.thread()? == 0 => {
            kernel.trace.emit(|| {
                let driver = kernel.io.drivers().into_iter().find(|driver| driver.id == creator);
                let driver = driver.map(|driver| driver.name.clone()).unwrap_or_default();
                Event::IrpNotKept { irp: irp.address(), driver }
            });
            let address = offset_of!(abi::DISPATCHER_HEADER, SignalState) as u64;
            let irql = u64::from(abi::DISPATCH_LEVEL);
            kernel.bug_check(abi::IRQL_NOT_LESS_OR_EQUAL, [address, irql, 0, irp.address()]);
            Err(Unwind::Halt)
        }
        Some(Record { target: None, output_length, .. }) => end_request(kernel, irp, output_length, boost),
        Some(Record { target: Some(target), output_length, .. }) => {
            let end = move |kernel: &Kernel| end_request(kernel, irp, output_length, boost);
            kernel.ke.queue_special_apc(kernel, &target, end)
        }
    }
}

/// Hands the result of a request to whoever built it, and frees the IRP. For a threaded one this is what NT's special
/// APC of I/O completion does.
fn end_request(kernel: &Kernel, irp: Irp, output_length: u32, boost: u8) -> Outcome<()> {
    let mut status = NTSTATUS::from_bits(irp.status()?);
    let information = irp.information()?;
    let pended = irp.pending_returned()? != 0;
    let (iosb, event) = (irp.user_iosb()?, irp.user_event()?);
    if copy_output(kernel, irp, status, information, output_length).is_err() {
        status = abi::STATUS_ACCESS_VIOLATION;
    }
    mdl::release(kernel, irp, Mdl::at(0))?;
    free_memory(kernel, irp)?;
    // A request that failed without having been pended has told its sender by its return value.
    if status.is_error() && !pended {
        return Ok(());
    }
    if iosb != 0 {
        raw::write(iosb, status.bits())?;
        raw::write(iosb.wrapping_add(offset_of!(abi::IO_STATUS_BLOCK, Information) as u64), information)?;
    }
    if event != 0 {
        kernel.ke.set_event(kernel, DispatcherHeader::at(event), i32::from(boost))?;
    }
    Ok(())
}

/// Copies a buffered request's output to its sender's buffer and frees the system buffer.
fn copy_output(
    kernel: &Kernel,
    irp: Irp,
    status: NTSTATUS,
    information: u64,
    output_length: u32,
) -> Outcome<()> {
    let flags = irp.flags()?;
    let buffer = irp.system_buffer()?;
    if flags & abi::IRP_BUFFERED_IO == 0 || buffer == 0 {
        return Ok(());
    }
    let mut copied = Ok(());
    if flags & abi::IRP_INPUT_OPERATION != 0 && !status.is_error() {
        let length = usize::try_from(information.min(u64::from(output_length))).unwrap_or(0);
        copied = irp.user_buffer().and_then(|target| raw::copy_within(target, buffer, length));
    }
    if flags & abi::IRP_DEALLOCATE_BUFFER != 0 {
        // A driver that has freed or overrun it is reported where it did so, not here.
        let _driver_bug = kernel.mm.pool.free(buffer);
    }
    copied
}
