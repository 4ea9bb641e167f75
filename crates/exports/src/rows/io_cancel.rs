//! `Io…`: cancelling, and cancel-safe queues.

use abi::NTSTATUS;
use kernel::io::{self, IoCsq, IoCsqIrpContext};
use kernel::raw::{self, Irp};

use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Marks an IRP cancelled and calls its cancel routine; returns whether it had one.
    irql(DISPATCH_LEVEL)
    fn IoCancelIrp(call, irp: u64) -> bool {
        io::cancel_irp(call.kernel, call.thread, Irp::at(irp))
    }

    /// Acquires the cancel spin lock.
    irql(DISPATCH_LEVEL)
    fn IoAcquireCancelSpinLock(call, irql: u64) -> () {
        let old = io::acquire_cancel_spin_lock(call.kernel, call.thread)?;
        raw::write(irql, old)
    }

    /// Releases the cancel spin lock.
    irql(DISPATCH_LEVEL)
    fn IoReleaseCancelSpinLock(call, irql: u8) -> () {
        io::release_cancel_spin_lock(call.kernel, call.thread, irql)
    }

    /// Initialises a cancel-safe queue.
    irql(HIGH_LEVEL)
    fn IoCsqInitialize(
        call,
        csq: u64,
        insert_irp: u64,
        remove_irp: u64,
        peek_next_irp: u64,
        acquire_lock: u64,
        release_lock: u64,
        complete_canceled_irp: u64
    ) -> NTSTATUS {
        let _no_state_of_the_machine = call;
        let routines =
            [insert_irp, remove_irp, peek_next_irp, acquire_lock, release_lock, complete_canceled_irp];
        io::csq_initialize(IoCsq::at(csq), routines, false)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Initialises a cancel-safe queue whose insert routine takes a context and may refuse.
    irql(HIGH_LEVEL)
    fn IoCsqInitializeEx(
        call,
        csq: u64,
        insert_irp: u64,
        remove_irp: u64,
        peek_next_irp: u64,
        acquire_lock: u64,
        release_lock: u64,
        complete_canceled_irp: u64
    ) -> NTSTATUS {
        let _no_state_of_the_machine = call;
        let routines =
            [insert_irp, remove_irp, peek_next_irp, acquire_lock, release_lock, complete_canceled_irp];
        io::csq_initialize(IoCsq::at(csq), routines, true)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Puts an IRP into a cancel-safe queue and marks it pending.
    irql(DISPATCH_LEVEL)
    fn IoCsqInsertIrp(call, csq: u64, irp: u64, context: u64) -> () {
        let context = IoCsqIrpContext::at(context);
        io::csq_insert_irp(call.kernel, call.thread, IoCsq::at(csq), Irp::at(irp), context, 0).map(drop)
    }

    /// As IoCsqInsertIrp, with a context for the insert routine, whose status it returns.
    irql(DISPATCH_LEVEL)
    fn IoCsqInsertIrpEx(call, csq: u64, irp: u64, context: u64, insert_context: u64) -> NTSTATUS {
        let context = IoCsqIrpContext::at(context);
        io::csq_insert_irp(call.kernel, call.thread, IoCsq::at(csq), Irp::at(irp), context, insert_context)
    }

    /// Takes the IRP that was queued with a context out of its queue; NULL when it has been cancelled.
    irql(DISPATCH_LEVEL)
    fn IoCsqRemoveIrp(call, csq: u64, context: u64) -> u64 {
        let context = IoCsqIrpContext::at(context);
        io::csq_remove_irp(call.kernel, call.thread, IoCsq::at(csq), context).map(Irp::address)
    }

    /// Takes the next matching IRP out of a cancel-safe queue; NULL when there is none.
    irql(DISPATCH_LEVEL)
    fn IoCsqRemoveNextIrp(call, csq: u64, peek_context: u64) -> u64 {
        io::csq_remove_next_irp(call.kernel, call.thread, IoCsq::at(csq), peek_context).map(Irp::address)
    }
}
