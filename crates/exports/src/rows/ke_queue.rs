//! Queues for worker threads.

use abi::NTSTATUS;
use kernel::ke::{Kqueue, ProcessorMode, QueueEnd, Removed, Timeout};

use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Initialises a queue that lets so many threads run at a time; 0 for the number of processors.
    irql(DISPATCH_LEVEL)
    fn KeInitializeQueue(call, queue: u64, count: u32) -> () {
        call.kernel.ke.initialize_queue(Kqueue::at(queue), count)
    }

    /// Puts an entry at a queue's end, or hands it to a thread that waits; returns how many it had.
    irql(DISPATCH_LEVEL)
    fn KeInsertQueue(call, queue: u64, entry: u64) -> i32 {
        call.kernel.ke.insert_queue(call.kernel, Kqueue::at(queue), entry, QueueEnd::Tail)
    }

    /// As KeInsertQueue, at the front.
    irql(DISPATCH_LEVEL)
    fn KeInsertHeadQueue(call, queue: u64, entry: u64) -> i32 {
        call.kernel.ke.insert_queue(call.kernel, Kqueue::at(queue), entry, QueueEnd::Head)
    }

    /// Takes a queue's first entry, waiting for it; returns it, or a status in its place.
    irql(DISPATCH_LEVEL)
    fn KeRemoveQueue(call, queue: u64, wait_mode: u8, timeout: u64) -> u64 {
        let mode = ProcessorMode::from_raw(wait_mode.cast_signed());
        let timeout = Timeout::read(timeout)?;
        let removed =
            call.kernel.ke.remove_queue(call.kernel, call.thread, Kqueue::at(queue), mode, false, timeout)?;
        Ok(match removed {
            Removed::Entry(entry) => entry,
            Removed::Status(NTSTATUS(status)) => u64::from(status.cast_unsigned()),
        })
    }

    /// Returns how many entries a queue has.
    irql(DISPATCH_LEVEL)
    fn KeReadStateQueue(call, queue: u64) -> i32 {
        call.kernel.ke.read_state_queue(Kqueue::at(queue))
    }

    /// Ends a queue; returns its entries in a ring, or 0.
    irql(DISPATCH_LEVEL)
    fn KeRundownQueue(call, queue: u64) -> u64 {
        call.kernel.ke.rundown_queue(call.kernel, Kqueue::at(queue))
    }
}
