//! Fast and guarded mutexes, which are laid out alike and not recursive.
//!
//! `Count` is the lock: 1 free, 0 held, -1 held and perhaps waited for. It is only ever exchanged; `Event` (in a guarded
//! mutex `Gate`) wakes one waiter, which tries again. Drivers initialise fast mutexes inline, and leave the padding
//! behind `Count` as it was.

use std::mem::offset_of;

use abi::FAST_MUTEX;
use kernel::ke::{ProcessorMode, Thread, Timeout};
use kernel::raw::{self, DispatcherHeader};
use kernel::{Kernel, Outcome, Unwind};

use crate::Call;
use crate::row::rows;

const OWNER: u64 = offset_of!(FAST_MUTEX, Owner) as u64;
const CONTENTION: u64 = offset_of!(FAST_MUTEX, Contention) as u64;
const EVENT: u64 = offset_of!(FAST_MUTEX, Event) as u64;
const OLD_IRQL: u64 = offset_of!(FAST_MUTEX, OldIrql) as u64;

const _: () = assert!(offset_of!(FAST_MUTEX, Count) == 0 && OWNER == 8);
const _: () = assert!(offset_of!(abi::KGUARDED_MUTEX, Owner) as u64 == OWNER);
const _: () = assert!(offset_of!(abi::KGUARDED_MUTEX, Gate) as u64 == EVENT);

const FREE: u32 = 1;
const HELD: u32 = 0;
/// -1.
const WAITED_FOR: u32 = u32::MAX;

fn exchange_count(mutex: u64, count: u32) -> Outcome<u32> {
    let [a, b, c, d, ..] = raw::exchange(mutex, u64::from(count))?.to_le_bytes();
    Ok(u32::from_le_bytes([a, b, c, d]))
}

fn initialize(kernel: &Kernel, mutex: u64) -> Outcome<()> {
    raw::write(mutex, FREE)?;
    raw::write(mutex.wrapping_add(OWNER), 0_u64)?;
    raw::write(mutex.wrapping_add(CONTENTION), 0_u32)?;
    let event = DispatcherHeader::at(mutex.wrapping_add(EVENT));
    kernel.ke.initialize_event(event, abi::SynchronizationEvent, false)
}

/// Acquires the mutex, waiting for it. One that the thread owns already: bugcheck MUTEX_ALREADY_OWNED, where NT would
/// wait for ever.
fn acquire(kernel: &Kernel, thread: &Thread, mutex: u64) -> Outcome<()> {
    kernel.platform.preemption_point();
    if exchange_count(mutex, HELD)? != FREE {
        wait(kernel, thread, mutex)?;
    }
    raw::write(mutex.wrapping_add(OWNER), thread.object())
}

#[cold]
fn wait(kernel: &Kernel, thread: &Thread, mutex: u64) -> Outcome<()> {
    if raw::read::<u64>(mutex.wrapping_add(OWNER))? == thread.object() {
        kernel.bug_check(abi::MUTEX_ALREADY_OWNED, [mutex, thread.object(), 0, 0]);
        return Err(Unwind::Halt);
    }
    raw::fetch_add(mutex.wrapping_add(CONTENTION), 1)?;
    let event = mutex.wrapping_add(EVENT);
    while exchange_count(mutex, WAITED_FOR)? != FREE {
        kernel.ke.wait_for_single_object(
            kernel,
            thread,
            event,
            ProcessorMode::Kernel,
            false,
            Timeout::Never,
        )?;
    }
    Ok(())
}

/// Acquires the mutex if it is free.
fn try_acquire(kernel: &Kernel, thread: &Thread, mutex: u64) -> Outcome<bool> {
    kernel.platform.preemption_point();
    if raw::read::<u32>(mutex)? != FREE {
        return Ok(false);
    }
    // Whoever took it meanwhile may have waiters: they must not be forgotten.
    if exchange_count(mutex, HELD)? != FREE && exchange_count(mutex, WAITED_FOR)? != FREE {
        return Ok(false);
    }
    raw::write(mutex.wrapping_add(OWNER), thread.object())?;
    Ok(true)
}

fn release(kernel: &Kernel, mutex: u64) -> Outcome<()> {
    raw::write(mutex.wrapping_add(OWNER), 0_u64)?;
    kernel.platform.preemption_point();
    if exchange_count(mutex, FREE)? != HELD {
        kernel.ke.set_event(kernel, DispatcherHeader::at(mutex.wrapping_add(EVENT)), 0)?;
    }
    Ok(())
}

/// With the IRQL at APC_LEVEL for the time that the mutex is held, if `take` takes it.
fn at_apc_level(call: Call<'_>, mutex: u64, take: impl FnOnce() -> Outcome<bool>) -> Outcome<bool> {
    let old = call.kernel.ke.kf_raise_irql(call.kernel, abi::APC_LEVEL)?;
    let taken = take().and_then(|taken| {
        if taken {
            raw::write(mutex.wrapping_add(OLD_IRQL), u32::from(old))?;
        }
        Ok(taken)
    });
    if !matches!(taken, Ok(true)) {
        call.kernel.ke.lower_irql(call.kernel, old);
    }
    taken
}

/// In a guarded region for the time that the mutex is held, if `take` takes it.
fn guarded(call: Call<'_>, take: impl FnOnce() -> Outcome<bool>) -> Outcome<bool> {
    call.thread.enter_guarded_region();
    let taken = take();
    if !matches!(taken, Ok(true)) {
        call.thread.leave_guarded_region(call.kernel);
    }
    taken
}

rows! {
    dll = "ntoskrnl.exe";

    /// Initialises a fast mutex: free.
    irql(DISPATCH_LEVEL) alias("KeInitializeGuardedMutex")
    fn ExInitializeFastMutex(call, fast_mutex: u64) -> () {
        initialize(call.kernel, fast_mutex)
    }

    /// Acquires a fast mutex, and raises the IRQL to APC_LEVEL.
    irql(APC_LEVEL)
    fn ExAcquireFastMutex(call, fast_mutex: u64) -> () {
        let take = || acquire(call.kernel, call.thread, fast_mutex).map(|()| true);
        at_apc_level(call, fast_mutex, take).map(drop)
    }

    /// Acquires a fast mutex if it is free, and raises the IRQL to APC_LEVEL.
    irql(APC_LEVEL)
    fn ExTryToAcquireFastMutex(call, fast_mutex: u64) -> bool {
        at_apc_level(call, fast_mutex, || try_acquire(call.kernel, call.thread, fast_mutex))
    }

    /// Releases a fast mutex, and lowers the IRQL to what it was.
    irql(APC_LEVEL)
    fn ExReleaseFastMutex(call, fast_mutex: u64) -> () {
        let old = raw::read::<u8>(fast_mutex.wrapping_add(OLD_IRQL))?;
        release(call.kernel, fast_mutex)?;
        call.kernel.ke.ke_lower_irql(call.kernel, old)
    }

    /// Acquires a fast mutex without changing the IRQL.
    irql(APC_LEVEL) alias("KeAcquireGuardedMutexUnsafe")
    fn ExAcquireFastMutexUnsafe(call, fast_mutex: u64) -> () {
        acquire(call.kernel, call.thread, fast_mutex)
    }

    /// Releases a fast mutex without changing the IRQL.
    irql(APC_LEVEL) alias("KeReleaseGuardedMutexUnsafe")
    fn ExReleaseFastMutexUnsafe(call, fast_mutex: u64) -> () {
        release(call.kernel, fast_mutex)
    }

    /// Acquires a guarded mutex, and enters a guarded region.
    irql(APC_LEVEL)
    fn KeAcquireGuardedMutex(call, mutex: u64) -> () {
        guarded(call, || acquire(call.kernel, call.thread, mutex).map(|()| true)).map(drop)
    }

    /// Acquires a guarded mutex if it is free, and enters a guarded region.
    irql(APC_LEVEL)
    fn KeTryToAcquireGuardedMutex(call, mutex: u64) -> bool {
        guarded(call, || try_acquire(call.kernel, call.thread, mutex))
    }

    /// Releases a guarded mutex, and leaves the guarded region.
    irql(APC_LEVEL)
    fn KeReleaseGuardedMutex(call, mutex: u64) -> () {
        release(call.kernel, mutex)?;
        call.thread.leave_guarded_region(call.kernel);
        call.kernel.ke.deliver_kernel_apcs(call.kernel, call.thread)
    }
}

#[cfg(test)]
mod tests {
    use platform::entry::KernelStack;

    use super::*;
    use crate::rows::scratch::Scratch;

    fn thread(scratch: &Scratch, id: u32) -> Thread {
        let stack = KernelStack { top: 0, limit: 0, guard: 0 };
        Thread::new(&scratch.kernel, id, 4, stack, true).expect("pool")
    }

    fn mutex(scratch: &Scratch) -> u64 {
        let mutex = scratch.bytes(size_of::<FAST_MUTEX>());
        // What initialising inline leaves behind Count.
        raw::write(mutex + 4, 0xDEAD_BEEF_u32).expect("pool");
        initialize(&scratch.kernel, mutex).expect("pool");
        mutex
    }

    #[test]
    fn a_held_mutex_cannot_be_taken_and_a_released_one_can() {
        let scratch = Scratch::new();
        let (kernel, mutex) = (&*scratch.kernel, mutex(&scratch));
        let (first, second) = (thread(&scratch, 8), thread(&scratch, 12));
        acquire(kernel, &first, mutex).expect("free");
        assert_eq!(raw::read::<u64>(mutex + OWNER).expect("r"), first.object());
        assert!(!try_acquire(kernel, &second, mutex).expect("readable"));
        release(kernel, mutex).expect("held");
        assert!(try_acquire(kernel, &second, mutex).expect("readable"));
        release(kernel, mutex).expect("held");
    }

    #[test]
    fn acquiring_ones_own_mutex_stops_the_machine() {
        let scratch = Scratch::new();
        let (kernel, mutex) = (&*scratch.kernel, mutex(&scratch));
        let thread = thread(&scratch, 8);
        acquire(kernel, &thread, mutex).expect("free");
        assert!(matches!(acquire(kernel, &thread, mutex), Err(Unwind::Halt)));
        let stop = kernel.bugcheck().expect("stopped").stop;
        assert_eq!((stop.code, stop.parameters[0]), (abi::MUTEX_ALREADY_OWNED, mutex));
    }

    #[test]
    fn threads_that_contend_exclude_each_other_and_all_get_their_turn() {
        const ROUNDS: u64 = 2000;
        let scratch = Scratch::new();
        let mutex = mutex(&scratch);
        let counter = scratch.bytes(8);
        std::thread::scope(|scope| {
            for id in 1..=4 {
                let (scratch, thread) = (&scratch, thread(&scratch, id * 4));
                scope.spawn(move || {
                    let kernel = &*scratch.kernel;
                    for round in 0..ROUNDS {
                        if round % 3 == 0 {
                            while !try_acquire(kernel, &thread, mutex).expect("readable") {
                                std::thread::yield_now();
                            }
                        } else {
                            acquire(kernel, &thread, mutex).expect("running");
                        }
                        let value = raw::read::<u64>(counter).expect("r");
                        raw::write(counter, value + 1).expect("pool");
                        release(kernel, mutex).expect("held");
                    }
                });
            }
        });
        assert_eq!(raw::read::<u64>(counter).expect("r"), 4 * ROUNDS);
    }
}
