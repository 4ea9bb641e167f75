//! Waits for several dispatcher objects at once: for one of them, or for all.
//!
//! What a wait takes is taken for good, a semaphore's count or a synchronization event's state, as with the objects' own
//! waits. A mutex is owned after it, and what the wait returns gives its guard or releases it.

use core::ffi::c_void;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr;
use core::time::Duration;

use abi::{
    Executive, FALSE, KWAIT_BLOCK, KernelMode, MAXIMUM_WAIT_OBJECTS, STATUS_ABANDONED_WAIT_0,
    STATUS_ABANDONED_WAIT_63, STATUS_ALERTED, STATUS_TIMEOUT, STATUS_USER_APC, THREAD_WAIT_OBJECTS, UserMode,
    UserRequest, WAIT_TYPE, WaitAll, WaitAny,
};

use crate::nt::KeWaitForMultipleObjects;
use crate::time::relative;
use crate::wait::Waiter;
use crate::{Event, Interrupted, Mutex, MutexGuard, PassiveLevel, Semaphore, Stop, Thread, Timeout, Timer};

/// What can be waited for: [`Event`], [`Semaphore`], [`Mutex`], [`Timer`] (its setting has expired), [`Thread`] (it has
/// ended), [`Stop`] (this thread is to end).
pub trait WaitObject: sealed::Object {}

mod sealed {
    use core::ffi::c_void;

    pub trait Object {
        /// The dispatcher object, which stays one as long as `self` is borrowed.
        fn object(&self) -> *mut c_void;

        /// A wait has taken the object.
        ///
        /// # Safety
        ///
        /// It has, in this thread, and this is called once for it.
        unsafe fn taken(&self) {}

        /// What a wait has taken is not wanted.
        ///
        /// # Safety
        ///
        /// After [`taken`](Self::taken), in the same thread, and once for it.
        unsafe fn give_back(&self) {}
    }
}

macro_rules! plain_objects {
    ($($object:ty;)*) => {$(
        impl sealed::Object for $object {
            fn object(&self) -> *mut c_void {
                self.as_raw().cast()
            }
        }

        impl WaitObject for $object {}
    )*};
}

plain_objects! {
    Event;
    Semaphore;
    Timer;
    Thread;
    Stop<'_>;
}

impl<T> sealed::Object for Mutex<T> {
    fn object(&self) -> *mut c_void {
        self.as_raw().cast()
    }

    unsafe fn taken(&self) {
        // SAFETY: the caller's contract.
        unsafe { self.mark_held() };
    }

    unsafe fn give_back(&self) {
        // SAFETY: the caller's contract.
        drop(unsafe { self.guard() });
    }
}

impl<T> WaitObject for Mutex<T> {}

/// An object that a wait has taken, in this thread.
struct Claim<'a> {
    object: Option<&'a dyn WaitObject>,
    /// Neither `Send` nor `Sync`: NT knows a mutex's owner.
    owner: PhantomData<*mut ()>,
}

impl<'a> Claim<'a> {
    /// # Safety
    ///
    /// A wait has just taken the object, in this thread.
    unsafe fn new(object: &'a dyn WaitObject) -> Self {
        // SAFETY: the caller's contract.
        unsafe { object.taken() };
        Self { object: Some(object), owner: PhantomData }
    }

    /// The guard of `mutex`, if that is the object and there is none yet.
    fn guard<T>(&mut self, mutex: &'a Mutex<T>) -> Option<MutexGuard<'a, T>> {
        self.object.take_if(|object| object.object() == mutex.as_raw().cast())?;
        // SAFETY: taken in `new`, in this thread; the claim is used up.
        Some(unsafe { mutex.guard() })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            // SAFETY: taken in `new`, in this thread, which a claim does not leave.
            unsafe { object.give_back() };
        }
    }
}

/// Which object a wait for one of several has taken. Dropping it releases that, if it is a mutex whose guard was not asked for.
pub struct WaitedAny<'a> {
    index: usize,
    claim: Claim<'a>,
}

impl<'a> WaitedAny<'a> {
    /// The number of the object, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The guard of `mutex`, if that is the object; once.
    pub fn guard<T>(&mut self, mutex: &'a Mutex<T>) -> Option<MutexGuard<'a, T>> {
        self.claim.guard(mutex)
    }
}

/// All objects of a wait. Dropping it releases the mutexes among them whose guards were not asked for.
pub struct WaitedAll<'a, const N: usize> {
    claims: [Claim<'a>; N],
}

impl<'a, const N: usize> WaitedAll<'a, N> {
    /// The guard of `mutex`, if that is one of the objects; once.
    pub fn guard<T>(&mut self, mutex: &'a Mutex<T>) -> Option<MutexGuard<'a, T>> {
        self.claims.iter_mut().find_map(|claim| claim.guard(mutex))
    }
}

/// Why there is nothing to take.
enum Nothing {
    TimedOut,
    Interrupted,
}

/// Waits until one of `objects`, of which there are 1 to 64, can be taken, and takes it.
///
/// ```no_run
/// # extern crate ringbridge_driver as driver;
/// # use driver::*;
/// # fn work(level: PassiveLevel, ready: &Event, state: &Mutex<u32>) {
/// let mut waited = wait_any(level, [ready, state]);
/// if let Some(mut state) = waited.guard(state) {
///     *state += 1;
/// }
/// # }
/// ```
///
/// # Panics
///
/// When that is a mutex which this thread holds already.
///
/// Source: ddi, KeWaitForMultipleObjects.
pub fn wait_any<const N: usize>(_level: PassiveLevel, objects: [&dyn WaitObject; N]) -> WaitedAny<'_> {
    any(objects, Waiter::Driver, None).unwrap_or_else(|_| unreachable!("nothing else ends the wait"))
}

/// As [`wait_any`], or gives up after `timeout`; zero only looks.
///
/// # Errors
///
/// [`Timeout`]; nothing is taken.
pub fn wait_any_timeout<const N: usize>(
    _level: PassiveLevel,
    objects: [&dyn WaitObject; N],
    timeout: Duration,
) -> Result<WaitedAny<'_>, Timeout> {
    any(objects, Waiter::Driver, Some(timeout)).map_err(|_| Timeout)
}

/// As [`wait_any`], on behalf of the application whose request this thread carries out: the end of the thread ends the
/// wait too. For at most three objects: with more, NT needs memory that stays, and the stack may be paged out in such a wait.
///
/// # Errors
///
/// [`Interrupted`]; nothing is taken.
pub fn wait_any_for_user<const N: usize>(
    _level: PassiveLevel,
    objects: [&dyn WaitObject; N],
) -> Result<WaitedAny<'_>, Interrupted> {
    const { assert!(N <= THREAD_WAIT_OBJECTS as usize, "at most three objects") };
    any(objects, Waiter::User, None).map_err(|_| Interrupted)
}

/// Waits until all of `objects`, of which there are 1 to 64, can be taken at once, and takes them: until then none is taken.
///
/// # Panics
///
/// When one of them is a mutex which this thread holds already, or is there twice.
///
/// Source: ddi, KeWaitForMultipleObjects.
pub fn wait_all<const N: usize>(_level: PassiveLevel, objects: [&dyn WaitObject; N]) -> WaitedAll<'_, N> {
    all(objects, Waiter::Driver, None).unwrap_or_else(|_| unreachable!("nothing else ends the wait"))
}

/// As [`wait_all`], or gives up after `timeout`; zero only looks.
///
/// # Errors
///
/// [`Timeout`]; nothing is taken.
pub fn wait_all_timeout<const N: usize>(
    _level: PassiveLevel,
    objects: [&dyn WaitObject; N],
    timeout: Duration,
) -> Result<WaitedAll<'_, N>, Timeout> {
    all(objects, Waiter::Driver, Some(timeout)).map_err(|_| Timeout)
}

/// As [`wait_all`], on behalf of the application; otherwise as [`wait_any_for_user`].
///
/// # Errors
///
/// [`Interrupted`]; nothing is taken.
pub fn wait_all_for_user<const N: usize>(
    _level: PassiveLevel,
    objects: [&dyn WaitObject; N],
) -> Result<WaitedAll<'_, N>, Interrupted> {
    const { assert!(N <= THREAD_WAIT_OBJECTS as usize, "at most three objects") };
    all(objects, Waiter::User, None).map_err(|_| Interrupted)
}

fn any<const N: usize>(
    objects: [&dyn WaitObject; N],
    waiter: Waiter,
    timeout: Option<Duration>,
) -> Result<WaitedAny<'_>, Nothing> {
    let index = wait(objects, WaitAny, waiter, timeout)?;
    // SAFETY: the wait took this object.
    Ok(WaitedAny { index, claim: unsafe { Claim::new(objects[index]) } })
}

fn all<const N: usize>(
    objects: [&dyn WaitObject; N],
    waiter: Waiter,
    timeout: Option<Duration>,
) -> Result<WaitedAll<'_, N>, Nothing> {
    wait(objects, WaitAll, waiter, timeout)?;
    // SAFETY: the wait took all.
    Ok(WaitedAll { claims: objects.map(|object| unsafe { Claim::new(object) }) })
}

/// Waits, and returns the number of the object that ended the wait.
fn wait<const N: usize>(
    objects: [&dyn WaitObject; N],
    wait_type: WAIT_TYPE,
    waiter: Waiter,
    timeout: Option<Duration>,
) -> Result<usize, Nothing> {
    const { assert!(N >= 1 && N <= MAXIMUM_WAIT_OBJECTS as usize, "1 to 64 objects") };
    #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
    let count = N as u32;
    let mut pointers = objects.map(sealed::Object::object);
    let mut blocks = [const { MaybeUninit::<KWAIT_BLOCK>::uninit() }; N];
    // So few are in the thread itself.
    let blocks = if count <= THREAD_WAIT_OBJECTS { ptr::null_mut() } else { blocks.as_mut_ptr().cast() };
    let (reason, mode) = match waiter {
        Waiter::Driver => (Executive, KernelMode),
        Waiter::User => (UserRequest, UserMode),
    };
    let timeout = timeout.map(relative);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let pointers: *mut *mut c_void = pointers.as_mut_ptr();
    // SAFETY: dispatcher objects that are borrowed; the wait blocks are on the stack, which stays in a KernelMode wait, and in
    // others there are none.
    let status =
        unsafe { KeWaitForMultipleObjects(count, pointers, wait_type, reason, mode, FALSE, timeout, blocks) };
    let abandoned = STATUS_ABANDONED_WAIT_0.bits()..=STATUS_ABANDONED_WAIT_63.bits();
    match status {
        STATUS_TIMEOUT => Err(Nothing::TimedOut),
        STATUS_USER_APC | STATUS_ALERTED => Err(Nothing::Interrupted),
        status if abandoned.contains(&status.bits()) => Ok((status.bits() - abandoned.start()) as usize),
        status => {
            let index = status.bits() as usize;
            assert!(index < N, "a wait for {N} objects ended with {status:?}");
            Ok(index)
        }
    }
}
