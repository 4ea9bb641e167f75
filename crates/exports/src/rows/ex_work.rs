//! Work items, of `Io…` and `Ex…`, and remove locks.

use abi::NTSTATUS;
use kernel::io::{self, IoRemoveLock, IoWorkItem, WorkQueueItem};

use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Has a system worker thread call a routine.
    irql(DISPATCH_LEVEL)
    fn ExQueueWorkItem(call, work_item: u64, queue_type: i32) -> () {
        io::queue_work_item(call.kernel, WorkQueueItem::at(work_item), queue_type)
    }

    /// Allocates a work item for a device; returns NULL without memory.
    irql(DISPATCH_LEVEL)
    fn IoAllocateWorkItem(call, device_object: u64) -> u64 {
        io::allocate_work_item(call.kernel, device_object).map(IoWorkItem::address)
    }

    /// Frees a work item.
    irql(DISPATCH_LEVEL)
    fn IoFreeWorkItem(call, io_work_item: u64) -> () {
        io::free_work_item(call.kernel, IoWorkItem::at(io_work_item))
    }

    /// Returns how many bytes a work item has.
    irql(DISPATCH_LEVEL)
    fn IoSizeofWorkItem(call) -> u32 {
        let _no_state_of_the_machine = call;
        Ok(io::size_of_work_item())
    }

    /// Makes a work item in memory of the driver's.
    irql(DISPATCH_LEVEL)
    fn IoInitializeWorkItem(call, io_object: u64, io_work_item: u64) -> () {
        let _no_state_of_the_machine = call;
        io::initialize_work_item(IoWorkItem::at(io_work_item), io_object)
    }

    /// Ends the use of a work item that IoInitializeWorkItem has made.
    irql(DISPATCH_LEVEL)
    fn IoUninitializeWorkItem(call, io_work_item: u64) -> () {
        let _nothing_is_kept_for_it = (call, io_work_item);
        Ok(())
    }

    /// Has a system worker thread call a routine with the item's device.
    irql(DISPATCH_LEVEL)
    fn IoQueueWorkItem(call, io_work_item: u64, worker_routine: u64, queue_type: i32, context: u64) -> () {
        let item = IoWorkItem::at(io_work_item);
        io::queue_io_work_item(call.kernel, item, worker_routine, queue_type, context, false)
    }

    /// As IoQueueWorkItem; the routine gets the item too.
    irql(DISPATCH_LEVEL)
    fn IoQueueWorkItemEx(call, io_work_item: u64, worker_routine: u64, queue_type: i32, context: u64) -> () {
        let item = IoWorkItem::at(io_work_item);
        io::queue_io_work_item(call.kernel, item, worker_routine, queue_type, context, true)
    }

    /// Initialises a remove lock. What checked builds track is not.
    irql(PASSIVE_LEVEL)
    fn IoInitializeRemoveLockEx(
        call,
        lock: u64,
        _allocate_tag: u32,
        _max_locked_minutes: u32,
        _high_watermark: u32,
        _remlock_size: u32
    ) -> () {
        io::initialize_remove_lock(call.kernel, IoRemoveLock::at(lock))
    }

    /// Acquires a remove lock; fails when removal has begun.
    irql(DISPATCH_LEVEL)
    fn IoAcquireRemoveLockEx(
        call,
        remove_lock: u64,
        _tag: u64,
        _file: u64,
        _line: u32,
        _remlock_size: u32
    ) -> NTSTATUS {
        io::acquire_remove_lock(call.kernel, IoRemoveLock::at(remove_lock))
    }

    /// Releases a remove lock.
    irql(DISPATCH_LEVEL)
    fn IoReleaseRemoveLockEx(call, remove_lock: u64, _tag: u64, _remlock_size: u32) -> () {
        io::release_remove_lock(call.kernel, IoRemoveLock::at(remove_lock))
    }

    /// Releases a remove lock, lets nobody acquire it any more, and waits until all others have released it.
    irql(PASSIVE_LEVEL)
    fn IoReleaseRemoveLockAndWaitEx(call, remove_lock: u64, _tag: u64, _remlock_size: u32) -> () {
        io::release_remove_lock_and_wait(call.kernel, call.thread, IoRemoveLock::at(remove_lock))
    }
}
