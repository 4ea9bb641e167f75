//! Cancelling IRPs: `IoCancelIrp`, the cancel spin lock, and what cancels requests that are waited for.
//!
//! Whoever takes the cancel routine out of an IRP, by an atomic exchange, owns the IRP: driver code does that inline
//! (`IoSetCancelRoutine`), and so does this. What a cancelled IRP ends with is its driver's matter.

use std::mem::offset_of;
use std::sync::Arc;

use abi::NTSTATUS;

use super::file::File;
use super::packet::{self, Packet};
use super::{Device, csq};
use crate::ke::Thread;
use crate::ob;
use crate::ps::{self, Process, Which};
use crate::raw::{self, IoStackLocation, Irp, Outcome};
use crate::{Kernel, Unwind};

const CANCEL_ROUTINE: u64 = offset_of!(abi::IRP, CancelRoutine) as u64;

/// `IoSetCancelRoutine`: sets an IRP's cancel routine and returns the one that was set.
///
/// # Errors
/// An access violation.
pub fn set_cancel_routine(irp: Irp, routine: u64) -> Outcome<u64> {
    raw::exchange(irp.address().wrapping_add(CANCEL_ROUTINE), routine)
}

/// `IoAcquireCancelSpinLock`: returns the old IRQL. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// As for [`acquire_spin_lock_raise_to_dpc`](crate::ke::Dispatcher::acquire_spin_lock_raise_to_dpc).
pub fn acquire_cancel_spin_lock(kernel: &Kernel, thread: &Thread) -> Outcome<u8> {
    kernel.ke.acquire_spin_lock_raise_to_dpc(kernel, thread, kernel.io.cancel_spin_lock())
}

/// `IoReleaseCancelSpinLock`. DISPATCH_LEVEL.
///
/// # Errors
/// As for [`release_spin_lock`](crate::ke::Dispatcher::release_spin_lock).
pub fn release_cancel_spin_lock(kernel: &Kernel, thread: &Thread, irql: u8) -> Outcome<()> {
    kernel.ke.release_spin_lock(kernel, thread, kernel.io.cancel_spin_lock(), irql)
}

/// `IoCancelIrp`: marks the IRP cancelled and calls its cancel routine, if it has one. True if it had.
/// IRQL <= DISPATCH_LEVEL.
///
/// The routine is called at DISPATCH_LEVEL with the cancel spin lock, which it releases to `CancelIrql`.
///
/// # Errors
/// What the routine raised; [`Unwind::Halt`] after bugcheck 0x48 (CANCEL_STATE_IN_COMPLETED_IRP) for an IRP that was
/// completed with its cancel routine set.
///
/// Source: ddi, IoCancelIrp and DRIVER_CANCEL; bug check 0x48.
pub fn cancel_irp(kernel: &Kernel, thread: &Thread, irp: Irp) -> Outcome<bool> {
    let irql = acquire_cancel_spin_lock(kernel, thread)?;
    let routine = irp.set_cancel(1).and_then(|()| set_cancel_routine(irp, 0));
    let routine = match routine {
        Ok(0) => return release_cancel_spin_lock(kernel, thread, irql).map(|()| false),
        Ok(routine) => routine,
        Err(unwind) => {
            release_cancel_spin_lock(kernel, thread, irql)?;
            return Err(unwind);
        }
    };
    if irp.current_location()? > irp.stack_count()?.wrapping_add(1) {
        kernel.bug_check(abi::CANCEL_STATE_IN_COMPLETED_IRP, [irp.address(), routine, 0, 0]);
        return Err(Unwind::Halt);
    }
    irp.set_cancel_irql(irql)?;
    if routine == kernel.io.csq_cancel_routine() {
        csq::cancel(kernel, thread, irp)?;
    } else if let Some(built_in) = kernel.io.built_in(routine) {
        (built_in.cancel)(kernel, thread, irp)?;
    } else {
        let device = IoStackLocation::at(irp.current_stack_location()?).device_object()?;
        kernel.ke.call(kernel, routine, &[device, irp.address()])?;
    }
    Ok(true)
}

/// Which of a file's requests are cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// `NtCancelIoFile`: those that the calling thread made.
    OfThread,
    /// `NtCancelIoFileEx`: all of the process.
    All,
    /// `NtCancelIoFileEx`: the one with the IO_STATUS_BLOCK at this address.
    Request(u64),
}

/// `NtCancelIoFile`, `NtCancelIoFileEx`: cancels requests of the process on a file; how they end is their drivers' matter.
/// Must run inside the machine, in the context of `process`. A request whose dispatch routine has not returned yet is not among
/// them. PASSIVE_LEVEL.
///
/// Returns `STATUS_SUCCESS` (of the thread's, also when there was none), `STATUS_NOT_FOUND` when nothing was there to cancel,
/// `STATUS_INVALID_HANDLE`, `STATUS_OBJECT_TYPE_MISMATCH`, `STATUS_DEVICE_NOT_CONNECTED` when a cancel routine has stopped the
/// machine.
///
/// Source: Win32, CancelIo, CancelIoEx.
pub fn cancel_io_file(
    kernel: &Kernel,
    process: &Arc<Process>,
    thread: &Thread,
    handle: u32,
    which: Cancelled,
) -> NTSTATUS {
    let object = match ob::reference_own(process, handle, None, 0) {
        Ok(object) => object,
        Err(status) => return status,
    };
    let cancelled = object.body::<File>().map(|file| {
        let among = match which {
            Cancelled::Request(block) => Which::One(object.address, block),
            Cancelled::OfThread | Cancelled::All => Which::OfFile(object.address),
        };
        cancel_held(kernel, thread, process, among, |packet| {
            let irp = packet.irp();
            let of_file = irp.original_file_object().is_ok_and(|own| own == file.object.address());
            of_file
                && packet.is_of(process)
                && match which {
                    Cancelled::OfThread => irp.thread().is_ok_and(|own| own == thread.object()),
                    Cancelled::All => true,
                    Cancelled::Request(block) => irp.user_iosb().is_ok_and(|own| own == block),
                }
        })
    });
    object.dereference(kernel);
    match cancelled {
        None => abi::STATUS_OBJECT_TYPE_MISMATCH,
        Some(Ok(0)) if which != Cancelled::OfThread => abi::STATUS_NOT_FOUND,
        Some(Ok(_)) => abi::STATUS_SUCCESS,
        Some(Err(_)) => abi::STATUS_DEVICE_NOT_CONNECTED,
    }
}

/// `NtCancelSynchronousIoFile`: cancels the request that another thread of the process waits for, named by its identifier. Must run
/// inside the machine. A request whose dispatch routine has not returned yet is not found. PASSIVE_LEVEL.
///
/// Returns `STATUS_SUCCESS`, `STATUS_NOT_FOUND` when the thread waits for no request, or there is no such thread;
/// `STATUS_DEVICE_NOT_CONNECTED` when a cancel routine has stopped the machine.
///
/// Source: Win32, CancelSynchronousIo.
pub fn cancel_synchronous_io_file(
    kernel: &Kernel,
    process: &Arc<Process>,
    thread: &Thread,
    target: u32,
) -> NTSTATUS {
    let Some(target) = process.thread(target) else { return abi::STATUS_NOT_FOUND };
    let cancelled = cancel_held(kernel, thread, process, Which::All, |packet| {
        packet.is_of(process)
            && packet.irp().thread().is_ok_and(|own| own == target.object())
            && (!packet.goes_on_for(process) || is_synchronous(kernel, packet.irp()))
    });
    match cancelled {
        Ok(0) => abi::STATUS_NOT_FOUND,
        Ok(_) => abi::STATUS_SUCCESS,
        Err(_) => abi::STATUS_DEVICE_NOT_CONNECTED,
    }
}

/// Whether an IRP is a request on a file whose requests wait for their end.
fn is_synchronous(kernel: &Kernel, irp: Irp) -> bool {
    let file = irp.original_file_object().ok().and_then(|file| kernel.ob.by_address(file));
    file.is_some_and(|object| object.body::<File>().is_some_and(|file| file.synchronous))
}

/// A thread of an application ends: its requests that go on are cancelled, but for those on files that tell a completion port.
/// Must run inside the machine, on that thread. PASSIVE_LEVEL.
///
/// Source: Win32, Canceling Pending I/O Operations. (Confirm: that requests on files of a completion port go on, and since which
/// version.)
pub fn end_thread(kernel: &Kernel, process: &Arc<Process>, thread: &Thread) {
    if !process.has_requests() {
        return;
    }
    let is_its = |packet: &Packet| {
        let irp = packet.irp();
        let file = irp.original_file_object().ok().and_then(|file| kernel.ob.by_address(file));
        packet.goes_on_for(process)
            && irp.thread().is_ok_and(|own| own == thread.object())
            && !file.is_some_and(|object| {
                object.body::<File>().is_some_and(|file| file.completion.get().is_some())
            })
    };
    // A cancel routine that raises has stopped the machine.
    let _stopped = cancel_held(kernel, thread, process, Which::All, is_its);
}

/// Cancels those of a process's requests that are `wanted`; how many.
fn cancel_held(
    kernel: &Kernel,
    thread: &Thread,
    process: &Process,
    among: Which,
    wanted: impl Fn(&Packet) -> bool,
) -> Outcome<usize> {
    let mut cancelled = 0;
    for packet in kernel.io.packets.of(process, among) {
        // The request cannot end, and its packet cannot become another's, while it is held.
        let Some(held) = packet.hold() else { continue };
        let result =
            if wanted(held.packet()) { cancel_irp(kernel, thread, packet.irp()).map(|_| 1) } else { Ok(0) };
        held.release(kernel);
        cancelled += result?;
    }
    Ok(cancelled)
}

/// Says that `process` ends: requests that its threads wait for are cancelled, each by its own thread, and so are those
/// that they come to wait for; waits in drivers on behalf of user mode end. Requests that go on by themselves are cancelled
/// and waited for. A thread whose driver does not let go of a request within
/// [`CANCEL_PATIENCE`](super::packet::CANCEL_PATIENCE) goes on without it.
///
/// To be called before the process's handles are closed. PASSIVE_LEVEL.
pub fn end_process(kernel: &Kernel, process: &Arc<Process>) {
    kernel.ps.begin_termination(kernel, process);
    kernel.io.packets.wake_waiting(kernel, process);
    if process.has_requests() {
        let cancel = |thread: &Thread| {
            // A cancel routine that raises has stopped the machine.
            let _stopped =
                cancel_held(kernel, thread, process, Which::All, |packet| packet.goes_on_for(process));
        };
        // A machine that has stopped has nothing left to cancel.
        let _stopped = ps::inside(kernel, process, cancel);
        process.wait_for_requests(kernel, packet::CANCEL_PATIENCE);
    }
}

/// Cancels the request that the calling thread waits for, because its process ends.
pub(super) fn cancel_own(kernel: &Kernel, thread: &Thread, irp: Irp) -> Outcome<()> {
    cancel_irp(kernel, thread, irp).map(drop)
}

/// The name of the driver that an IRP stands at, for reports.
pub(super) fn driver_of(kernel: &Kernel, irp: Irp) -> String {
    let device =
        irp.current_stack_location().and_then(|at| IoStackLocation::at(at).device_object()).unwrap_or(0);
    let object = kernel.ob.by_address(device);
    let driver = object.as_ref().and_then(|object| object.body::<Device>()?.driver.upgrade());
    driver.map(|driver| driver.name.clone()).unwrap_or_default()
}
