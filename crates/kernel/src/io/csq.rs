//! Cancel-safe queues: `IoCsq…`. The driver keeps the queue and its lock, in callbacks; these routines do what must be
//! right when an IRP is removed and cancelled at the same time.

use std::mem::offset_of;

use abi::NTSTATUS;

use super::cancel::{release_cancel_spin_lock, set_cancel_routine};
use crate::ke::Thread;
use crate::raw::{self, IoStackLocation, Irp, Outcome, raw_object};
use crate::{Kernel, Unwind};

raw_object! {
    /// A cancel-safe queue.
    IoCsq: abi::IO_CSQ {
        csq_type, set_csq_type: u32 = Type;
        insert_irp, set_insert_irp: u64 = CsqInsertIrp;
        remove_irp, set_remove_irp: u64 = CsqRemoveIrp;
        peek_next_irp, set_peek_next_irp: u64 = CsqPeekNextIrp;
        acquire_lock, set_acquire_lock: u64 = CsqAcquireLock;
        release_lock, set_release_lock: u64 = CsqReleaseLock;
        complete_canceled_irp, set_complete_canceled_irp: u64 = CsqCompleteCanceledIrp;
        reserve_pointer, set_reserve_pointer: u64 = ReservePointer;
    }
}

raw_object! {
    /// What ties a queued IRP to whoever may want that very IRP back.
    IoCsqIrpContext: abi::IO_CSQ_IRP_CONTEXT {
        context_type, set_context_type: u32 = Type;
        irp, set_irp: u64 = Irp;
        csq, set_csq: u64 = Csq;
    }
}

const TYPE_CONTEXT: u32 = abi::IO_TYPE_CSQ_IRP_CONTEXT.cast_unsigned() as u32;
const TYPE_CSQ: u32 = abi::IO_TYPE_CSQ.cast_unsigned() as u32;
const TYPE_CSQ_EX: u32 = abi::IO_TYPE_CSQ_EX.cast_unsigned() as u32;
/// `DriverContext[3]`, which belongs to the queue while an IRP is in it: the IRP's context, or the queue.
const TIE: u64 = offset_of!(abi::IRP, Tail.Overlay.u) as u64 + 3 * 8;

/// The six callbacks of a queue, in the order of `IoCsqInitialize`'s arguments.
pub type CsqRoutines = [u64; 6];

/// `IoCsqInitialize`, and, with `extended`, `IoCsqInitializeEx`, whose insert routine takes a context and may refuse.
/// Any IRQL.
///
/// # Errors
/// An access violation.
pub fn csq_initialize(csq: IoCsq, routines: CsqRoutines, extended: bool) -> Outcome<()> {
    let [insert, remove, peek, acquire, release, complete] = routines;
    csq.set_csq_type(if extended { TYPE_CSQ_EX } else { TYPE_CSQ })?;
    csq.set_insert_irp(insert)?;
    csq.set_remove_irp(remove)?;
    csq.set_peek_next_irp(peek)?;
    csq.set_acquire_lock(acquire)?;
    csq.set_release_lock(release)?;
    csq.set_complete_canceled_irp(complete)?;
    csq.set_reserve_pointer(0)
}

/// A queue, and the thread that works on it.
struct Queue<'a> {
    kernel: &'a Kernel,
    thread: &'a Thread,
    csq: IoCsq,
}

impl Queue<'_> {
    fn call(&self, routine: u64, arguments: &[u64]) -> Outcome<u64> {
        self.kernel.ke.call(self.kernel, routine, arguments)
    }

    /// Takes the driver's lock; returns the IRQL that it wants back.
    fn lock(&self) -> Outcome<u8> {
        // Drivers write the IRQL, through exports too, so it must lie in driver memory.
        let irql = self.thread.scratch();
        self.call(self.csq.acquire_lock()?, &[self.csq.address(), irql])?;
        raw::read(irql)
    }

    fn unlock(&self, irql: u8) -> Outcome<()> {
        self.call(self.csq.release_lock()?, &[self.csq.address(), u64::from(irql)]).map(drop)
    }

    fn remove(&self, irp: Irp) -> Outcome<()> {
        self.call(self.csq.remove_irp()?, &[self.csq.address(), irp.address()]).map(drop)
    }

    fn peek(&self, after: u64, context: u64) -> Outcome<Irp> {
        self.call(self.csq.peek_next_irp()?, &[self.csq.address(), after, context]).map(Irp::at)
    }

    fn complete_canceled(&self, irp: Irp) -> Outcome<()> {
        self.call(self.csq.complete_canceled_irp()?, &[self.csq.address(), irp.address()]).map(drop)
    }
}

fn tie(irp: Irp) -> Outcome<u64> {
    raw::read(irp.address().wrapping_add(TIE))
}

fn set_tie(irp: Irp, value: u64) -> Outcome<()> {
    raw::write(irp.address().wrapping_add(TIE), value)
}

/// Unties an IRP that has left the queue: its context, if it has one, no longer knows it.
fn untie(irp: Irp) -> Outcome<()> {
    let tied = tie(irp)?;
    if tied != 0 && IoCsqIrpContext::at(tied).context_type()? == TYPE_CONTEXT {
        IoCsqIrpContext::at(tied).set_irp(0)?;
    }
    set_tie(irp, 0)
}

/// `IoCsqInsertIrpEx` (`IoCsqInsertIrp` is the same without an insert context): marks the IRP pending and puts it into
/// the queue; one that is cancelled already is completed as such. `context` may be 0. IRQL <= DISPATCH_LEVEL.
///
/// Returns the status of the driver's insert routine; when that refuses, the IRP is neither pending nor queued.
///
/// # Errors
/// What a callback raised; an access violation.
///
/// Source: ddi, IoCsqInsertIrpEx; kernel, Cancel-Safe IRP Queues.
pub fn csq_insert_irp(
    kernel: &Kernel,
    thread: &Thread,
    csq: IoCsq,
    irp: Irp,
    context: IoCsqIrpContext,
    insert_context: u64,
) -> Outcome<NTSTATUS> {
    let queue = Queue { kernel, thread, csq };
    if context.is_null() {
        set_tie(irp, csq.address())?;
    } else {
        context.set_context_type(TYPE_CONTEXT)?;
        context.set_irp(irp.address())?;
        context.set_csq(csq.address())?;
        set_tie(irp, context.address())?;
    }
    let irql = queue.lock()?;
    let mut status = abi::STATUS_SUCCESS;
    if csq.csq_type()? == TYPE_CSQ_EX {
        let inserted = queue.call(csq.insert_irp()?, &[csq.address(), irp.address(), insert_context])?;
        status = NTSTATUS::from_bits(super::dispatch::low_half(inserted));
        if !status.is_success() {
            untie(irp)?;
            queue.unlock(irql)?;
            return Ok(status);
        }
    } else {
        queue.call(csq.insert_irp()?, &[csq.address(), irp.address()])?;
    }
    // Nobody takes it out of the queue while the lock is held.
    let location = IoStackLocation::at(irp.current_stack_location()?);
    location.set_control(location.control()? | abi::SL_PENDING_RETURNED)?;
    set_cancel_routine(irp, kernel.io.csq_cancel_routine())?;
    kernel.platform.preemption_point();
    // Cancelled before the routine was there: whoever gets the routine back ends the IRP.
    if irp.cancel()? != 0 && set_cancel_routine(irp, 0)? != 0 {
        queue.remove(irp)?;
        untie(irp)?;
        queue.unlock(irql)?;
        queue.complete_canceled(irp)?;
    } else {
        queue.unlock(irql)?;
    }
    Ok(status)
}

/// `IoCsqRemoveNextIrp`: takes the next IRP that matches `peek_context` out of the queue; null when there is none.
/// IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// As for [`csq_insert_irp`].
///
/// Source: ddi, IoCsqRemoveNextIrp.
pub fn csq_remove_next_irp(kernel: &Kernel, thread: &Thread, csq: IoCsq, peek_context: u64) -> Outcome<Irp> {
    let queue = Queue { kernel, thread, csq };
    let irql = queue.lock()?;
    let mut irp = queue.peek(0, peek_context)?;
    // One without its cancel routine is being cancelled: its canceller waits for the lock.
    while !irp.is_null() && set_cancel_routine(irp, 0)? == 0 {
        if kernel.is_halted() {
            return Err(Unwind::Halt);
        }
        irp = queue.peek(irp.address(), peek_context)?;
    }
    if !irp.is_null() {
        queue.remove(irp)?;
        untie(irp)?;
    }
    queue.unlock(irql)?;
    Ok(irp)
}

/// `IoCsqRemoveIrp`: takes the IRP that was queued with `context` out of the queue; null when it has left it already.
/// IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// As for [`csq_insert_irp`].
///
/// Source: ddi, IoCsqRemoveIrp.
pub fn csq_remove_irp(
    kernel: &Kernel,
    thread: &Thread,
    csq: IoCsq,
    context: IoCsqIrpContext,
) -> Outcome<Irp> {
    let queue = Queue { kernel, thread, csq };
    let irql = queue.lock()?;
    let mut irp = Irp::at(context.irp()?);
    if !irp.is_null() {
        if set_cancel_routine(irp, 0)? == 0 {
            irp = Irp::at(0);
        } else {
            queue.remove(irp)?;
            untie(irp)?;
        }
    }
    queue.unlock(irql)?;
    Ok(irp)
}

/// The cancel routine of queued IRPs: entered as every cancel routine, with the cancel spin lock held.
pub(super) fn cancel(kernel: &Kernel, thread: &Thread, irp: Irp) -> Outcome<()> {
    release_cancel_spin_lock(kernel, thread, irp.cancel_irql()?)?;
    let tied = tie(irp)?;
    let csq = if IoCsqIrpContext::at(tied).context_type()? == TYPE_CONTEXT {
        IoCsqIrpContext::at(tied).csq()?
    } else {
        tied
    };
    let queue = Queue { kernel, thread, csq: IoCsq::at(csq) };
    let irql = queue.lock()?;
    queue.remove(irp)?;
    untie(irp)?;
    queue.unlock(irql)?;
    queue.complete_canceled(irp)
}
