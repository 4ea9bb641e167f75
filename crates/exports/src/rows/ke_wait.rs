//! Waits and delays, mutexes, semaphores.

use abi::NTSTATUS;
use kernel::ke::{Kmutant, Ksemaphore, ProcessorMode, Timeout, WaitType};
use kernel::raw;

use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Waits for a dispatcher object.
    irql(DISPATCH_LEVEL) alias("KeWaitForMutexObject")
    fn KeWaitForSingleObject(
        call,
        object: u64,
        _wait_reason: i32,
        wait_mode: u8,
        alertable: u8,
        timeout: u64
    ) -> NTSTATUS {
        let mode = ProcessorMode::from_raw(wait_mode.cast_signed());
        let timeout = Timeout::read(timeout)?;
        call.kernel.ke.wait_for_single_object(call.kernel, call.thread, object, mode, alertable != 0, timeout)
    }

    /// Waits for one or all of several dispatcher objects.
    irql(DISPATCH_LEVEL)
    fn KeWaitForMultipleObjects(
        call,
        count: u32,
        objects: u64,
        wait_type: i32,
        _wait_reason: i32,
        wait_mode: u8,
        alertable: u8,
        timeout: u64,
        wait_block_array: u64
    ) -> NTSTATUS {
        const MOST: usize = abi::MAXIMUM_WAIT_OBJECTS as usize;
        let Some(kind) = WaitType::from_raw(wait_type) else { return Ok(abi::STATUS_INVALID_PARAMETER) };
        // One more than can be waited for, for the wait itself to refuse.
        let mut addresses = [0_u64; MOST + 1];
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(addresses.len());
        let mut at = objects;
        for slot in &mut addresses[..count.min(MOST)] {
            *slot = raw::read(at)?;
            at = at.wrapping_add(8);
        }
        call.kernel.ke.wait_for_multiple_objects(
            call.kernel,
            call.thread,
            &addresses[..count],
            kind,
            ProcessorMode::from_raw(wait_mode.cast_signed()),
            alertable != 0,
            Timeout::read(timeout)?,
            wait_block_array,
        )
    }

    /// Lets the thread wait for some time.
    irql(APC_LEVEL)
    fn KeDelayExecutionThread(call, wait_mode: u8, alertable: u8, interval: u64) -> NTSTATUS {
        let mode = ProcessorMode::from_raw(wait_mode.cast_signed());
        let interval = raw::read::<u64>(interval)?.cast_signed();
        call.kernel.ke.delay_execution_thread(call.kernel, call.thread, mode, alertable != 0, interval)
    }

    /// Initialises a mutex that nobody owns.
    irql(HIGH_LEVEL)
    fn KeInitializeMutex(call, mutex: u64, _level: u32) -> () {
        call.kernel.ke.initialize_mutex(Kmutant::at(mutex))
    }

    /// Releases a mutex once; returns its previous state, zero when it is now free.
    irql(DISPATCH_LEVEL)
    fn KeReleaseMutex(call, mutex: u64, _wait: u8) -> i32 {
        let old = call.kernel.ke.release_mutex(call.kernel, call.thread, Kmutant::at(mutex))?;
        call.kernel.ke.deliver_kernel_apcs(call.kernel, call.thread)?;
        Ok(old)
    }

    /// Returns a mutex's state, 1 when it is free.
    irql(DISPATCH_LEVEL)
    fn KeReadStateMutex(call, mutex: u64) -> i32 {
        call.kernel.ke.read_state_mutex(Kmutant::at(mutex))
    }

    /// Initialises a semaphore.
    irql(HIGH_LEVEL)
    fn KeInitializeSemaphore(call, semaphore: u64, count: i32, limit: i32) -> () {
        call.kernel.ke.initialize_semaphore(Ksemaphore::at(semaphore), count, limit)
    }

    /// Adds to a semaphore's count; returns the previous count.
    irql(DISPATCH_LEVEL)
    fn KeReleaseSemaphore(call, semaphore: u64, increment: i32, adjustment: i32, _wait: u8) -> i32 {
        call.kernel.ke.release_semaphore(call.kernel, Ksemaphore::at(semaphore), increment, adjustment)
    }

    /// Returns a semaphore's count.
    irql(HIGH_LEVEL)
    fn KeReadStateSemaphore(call, semaphore: u64) -> i32 {
        call.kernel.ke.read_state_semaphore(Ksemaphore::at(semaphore))
    }
}
