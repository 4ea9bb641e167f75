//! Locks of one process: SRW locks and condition variables, on Linux's futexes. Critical sections are pthreads' mutexes, in the header.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::failure::{Failure, done};
use crate::pointer::Pointer;
use crate::types::{BOOL, FALSE, INFINITE, TRUE};

/// An SRWLOCK, all zeroes when it is free. 8 bytes.
#[repr(C)]
#[derive(Debug)]
pub struct SRWLOCK {
    /// How many share it, or [`EXCLUSIVE`].
    state: AtomicU32,
    /// How many wait for it.
    waiters: AtomicU32,
}

const EXCLUSIVE: u32 = u32::MAX;

/// A CONDITION_VARIABLE: how often it was woken, and room. 8 bytes.
#[repr(C)]
#[derive(Debug)]
pub struct CONDITION_VARIABLE {
    wakes: AtomicU32,
    _room: u32,
}

/// CONDITION_VARIABLE_LOCKMODE_SHARED.
const SHARED: u32 = 1;

/// Waits while the word has this value, for at most so long; false when that was too short. It may return for nothing.
fn wait(word: &AtomicU32, value: u32, milliseconds: u32) -> bool {
    let time = libc::timespec {
        tv_sec: i64::from(milliseconds / 1000),
        tv_nsec: i64::from(milliseconds % 1000) * 1_000_000,
    };
    let timeout = if milliseconds == INFINITE { std::ptr::null() } else { &raw const time };
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: a word that is there, and a time or none.
    let waited = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, timeout) };
    waited == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ETIMEDOUT)
}

fn wake(word: &AtomicU32, count: i32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: a word that is there.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, count) };
}

impl SRWLOCK {
    /// `next` says what the state becomes, if it may.
    fn acquire(&self, next: impl Fn(u32) -> Option<u32>) {
        loop {
            let Err(state) = self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, &next) else {
                return;
            };
            self.waiters.fetch_add(1, Ordering::SeqCst);
            wait(&self.state, state, INFINITE);
            self.waiters.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn try_acquire(&self, next: impl Fn(u32) -> Option<u32>) -> bool {
        self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, next).is_ok()
    }

    fn release(&self, exclusive: bool) {
        let free = if exclusive {
            self.state.store(0, Ordering::SeqCst);
            true
        } else {
            self.state.fetch_sub(1, Ordering::SeqCst) == 1
        };
        if free && self.waiters.load(Ordering::SeqCst) > 0 {
            wake(&self.state, i32::MAX);
        }
    }
}

fn exclusive(state: u32) -> Option<u32> {
    (state == 0).then_some(EXCLUSIVE)
}

fn shared(state: u32) -> Option<u32> {
    (state < EXCLUSIVE - 1).then(|| state + 1)
}

fn lock<'a>(lock: Pointer<SRWLOCK>) -> &'a SRWLOCK {
    // SAFETY: the application's lock, whose memory stays while it is used; see `Pointer`.
    unsafe { &*lock.raw() }
}

fn condition<'a>(variable: Pointer<CONDITION_VARIABLE>) -> &'a CONDITION_VARIABLE {
    // SAFETY: as above.
    unsafe { &*variable.raw() }
}

/// Makes an SRW lock, as SRWLOCK_INIT does.
#[unsafe(no_mangle)]
pub extern "C" fn InitializeSRWLock(at: Pointer<SRWLOCK>) {
    lock(at).state.store(0, Ordering::Relaxed);
    lock(at).waiters.store(0, Ordering::Relaxed);
}

/// Waits until nobody has the lock, and takes it.
#[unsafe(no_mangle)]
pub extern "C" fn AcquireSRWLockExclusive(at: Pointer<SRWLOCK>) {
    lock(at).acquire(exclusive);
}

/// Gives the lock back.
#[unsafe(no_mangle)]
pub extern "C" fn ReleaseSRWLockExclusive(at: Pointer<SRWLOCK>) {
    lock(at).release(true);
}

/// Waits until nobody has the lock for itself, and shares it.
#[unsafe(no_mangle)]
pub extern "C" fn AcquireSRWLockShared(at: Pointer<SRWLOCK>) {
    lock(at).acquire(shared);
}

/// Shares the lock no longer.
#[unsafe(no_mangle)]
pub extern "C" fn ReleaseSRWLockShared(at: Pointer<SRWLOCK>) {
    lock(at).release(false);
}

/// Takes the lock if nobody has it. A BOOLEAN.
#[unsafe(no_mangle)]
pub extern "C" fn TryAcquireSRWLockExclusive(at: Pointer<SRWLOCK>) -> u8 {
    lock(at).try_acquire(exclusive).into()
}

/// Shares the lock if nobody has it for itself. A BOOLEAN.
#[unsafe(no_mangle)]
pub extern "C" fn TryAcquireSRWLockShared(at: Pointer<SRWLOCK>) -> u8 {
    lock(at).try_acquire(shared).into()
}

/// Makes a condition variable, as CONDITION_VARIABLE_INIT does.
#[unsafe(no_mangle)]
pub extern "C" fn InitializeConditionVariable(at: Pointer<CONDITION_VARIABLE>) {
    condition(at).wakes.store(0, Ordering::Relaxed);
}

/// Wakes one of those who sleep.
#[unsafe(no_mangle)]
pub extern "C" fn WakeConditionVariable(at: Pointer<CONDITION_VARIABLE>) {
    condition(at).wakes.fetch_add(1, Ordering::Release);
    wake(&condition(at).wakes, 1);
}

/// Wakes all who sleep.
#[unsafe(no_mangle)]
pub extern "C" fn WakeAllConditionVariable(at: Pointer<CONDITION_VARIABLE>) {
    condition(at).wakes.fetch_add(1, Ordering::Release);
    wake(&condition(at).wakes, i32::MAX);
}

/// Sleeps without the lock, and has it again when it returns: FALSE and ERROR_TIMEOUT (1460) when nobody woke it in time.
fn sleep(
    variable: Pointer<CONDITION_VARIABLE>,
    milliseconds: u32,
    release: impl FnOnce(),
    acquire: impl FnOnce(),
) -> BOOL {
    let wakes = &condition(variable).wakes;
    let seen = wakes.load(Ordering::Acquire);
    release();
    let woken = wait(wakes, seen, milliseconds);
    acquire();
    done(if woken { Ok(()) } else { Err(Failure(abi::ERROR_TIMEOUT)) })
}

/// Sleeps on a condition variable, without a lock that the caller has exclusively or (CONDITION_VARIABLE_LOCKMODE_SHARED) shares. It may
/// return for nothing, as on Windows. ERROR_TIMEOUT (1460).
#[unsafe(no_mangle)]
pub extern "C" fn SleepConditionVariableSRW(
    variable: Pointer<CONDITION_VARIABLE>,
    at: Pointer<SRWLOCK>,
    milliseconds: u32,
    flags: u32,
) -> BOOL {
    let is_shared = flags & SHARED != 0;
    let acquire = || if is_shared { lock(at).acquire(shared) } else { lock(at).acquire(exclusive) };
    sleep(variable, milliseconds, || lock(at).release(!is_shared), acquire)
}

/// The same with a critical section, which is a pthreads' mutex that the caller has entered once.
#[unsafe(no_mangle)]
pub extern "C" fn SleepConditionVariableCS(
    variable: Pointer<CONDITION_VARIABLE>,
    section: Pointer<libc::pthread_mutex_t>,
    milliseconds: u32,
) -> BOOL {
    let release = || {
        // SAFETY: the application's, which has entered it.
        unsafe { libc::pthread_mutex_unlock(section.raw()) };
    };
    let acquire = || {
        // SAFETY: as above; it was left.
        unsafe { libc::pthread_mutex_lock(section.raw()) };
    };
    sleep(variable, milliseconds, release, acquire)
}

/// A place that each thread has a word in; TLS_OUT_OF_INDEXES (0xFFFFFFFF) when there are none left.
#[unsafe(no_mangle)]
pub extern "C" fn TlsAlloc() -> u32 {
    let mut key = 0;
    // SAFETY: a place for the key.
    let error = unsafe { libc::pthread_key_create(&raw mut key, None) };
    if error == 0 { key } else { crate::failure::fail(Failure(abi::ERROR_NO_SYSTEM_RESOURCES), u32::MAX) }
}

/// Gives a place back.
#[unsafe(no_mangle)]
pub extern "C" fn TlsFree(index: u32) -> BOOL {
    // SAFETY: takes any number.
    let error = unsafe { libc::pthread_key_delete(index) };
    done(if error == 0 { Ok(()) } else { Err(crate::failure::MISSING) })
}

/// The calling thread's word; NULL, and the last error 0, for what was never set.
#[unsafe(no_mangle)]
pub extern "C" fn TlsGetValue(index: u32) -> usize {
    crate::failure::set(abi::ERROR_SUCCESS);
    // SAFETY: takes any number.
    unsafe { libc::pthread_getspecific(index) }.addr()
}

/// Sets the calling thread's word. ERROR_INVALID_PARAMETER for no place.
#[unsafe(no_mangle)]
pub extern "C" fn TlsSetValue(index: u32, value: usize) -> BOOL {
    let word: *const libc::c_void = std::ptr::without_provenance(value);
    // SAFETY: takes any number, and any word.
    let error = unsafe { libc::pthread_setspecific(index, word) };
    if error == 0 { TRUE } else { crate::failure::fail(crate::failure::MISSING, FALSE) }
}
