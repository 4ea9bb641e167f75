//! Waits for several dispatcher objects, in cases that `tests/waits.rs` asks for by control code. A case panics when something
//! is not as it should be, which stops the machine.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

use core::time::Duration;

use driver::abi::{NTSTATUS, STATUS_CANCELLED, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER_3};
use driver::{
    Answer, Buffered, Close, Create, CriticalRegion, DeviceControl, Dispatch, Driver, DriverObject, Event,
    FastMutex, GuardedRegion, Interrupted, Mutex, PassiveLevel, PoolArc, QueuedSpinLock, Resource, Semaphore,
    SpinLock, Tag, Thread, Timeout, Timer, UnicodeStr, WaitObject, all_apcs_disabled, apcs_disabled,
    expand_stack, remaining_stack_size, utf16, wait_all, wait_all_for_user, wait_all_timeout, wait_any,
    wait_any_for_user, wait_any_timeout,
};

driver::driver_entry!(Waits);

const TAG: Tag = Tag::new(*b"Wait");
const MOMENT: Duration = Duration::from_millis(1);

/// Waits for one of several, with and without timeouts.
pub const ANY: u32 = 0;
/// Waits for all of several.
pub const ALL: u32 = 1;
/// What becomes of mutexes that were waited for.
pub const MUTEXES: u32 = 2;
/// Waits for as many objects as NT allows.
pub const SIXTY_FOUR: u32 = 3;
/// Waits for timers and threads.
pub const TIMERS_AND_THREADS: u32 = 4;
/// Waits that only the end of the application ends.
pub const FOR_USER: u32 = 5;
/// Waits until those of [`FOR_USER`] have been ended.
pub const INTERRUPTED: u32 = 6;
/// Stops the machine: a mutex that the thread holds.
pub const HELD: u32 = 7;
/// Regions in which APCs are held up.
pub const REGIONS: u32 = 8;
/// Counts by several threads under each kind of lock.
pub const LOCKS: u32 = 9;

struct Waits;

impl Driver for Waits {
    type Device = Case;
    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, _path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        let context = Case { never: event(false), interrupted: event(false) };
        driver
            .device(context)
            .name(utf16!(r"\Device\RbWaits"))
            .symbolic_link(utf16!(r"\??\RbWaits"))
            .create()?;
        Ok(())
    }
}

struct Case {
    never: Event,
    interrupted: Event,
}

impl Dispatch for Case {
    type Io = Buffered;

    fn create(&self, request: Create) -> impl Answer {
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let DeviceControl::Buffered(request) = request else {
            return request.fail(STATUS_INVALID_DEVICE_REQUEST);
        };
        let level = request.level();
        match (request.code() >> 2 & 0xFFF) - 0x800 {
            ANY => any(level),
            ALL => all(level),
            MUTEXES => mutexes(level),
            SIXTY_FOUR => sixty_four(level),
            TIMERS_AND_THREADS => timers_and_threads(level),
            FOR_USER => return request.fail(self.for_user(level)),
            INTERRUPTED => self.interrupted.wait(level),
            HELD => held(level),
            REGIONS => regions(level),
            LOCKS => locks(level),
            _ => return request.fail(STATUS_INVALID_DEVICE_REQUEST),
        }
        request.complete()
    }
}

fn event(set: bool) -> Event {
    Event::synchronization(TAG, set).expect("pool")
}

fn any(level: PassiveLevel) {
    let (first, second) = (event(false), Event::notification(TAG, false).expect("pool"));
    let third = Semaphore::new(TAG, 2, 2).expect("pool");
    assert_eq!(wait_any(level, [&first, &second, &third]).index(), 2);
    assert_eq!(third.count(), 1, "one is taken");
    assert_eq!(wait_any(level, [&first, &third, &second]).index(), 1);
    let none = wait_any_timeout(level, [&first, &second, &third], MOMENT).map(|waited| waited.index());
    assert_eq!(none, Err(Timeout));
    first.set();
    let now = |objects: [&dyn WaitObject; 2]| {
        wait_any_timeout(level, objects, Duration::ZERO).map(|waited| waited.index())
    };
    assert_eq!(now([&second, &first]), Ok(1));
    assert_eq!(now([&second, &first]), Err(Timeout), "taking it cleared it");
    first.set();
    assert_eq!(wait_any_for_user(level, [&second, &first]).map(|waited| waited.index()), Ok(1));
    first.set();
    third.release(1);
    assert!(wait_all_for_user(level, [&third, &first]).is_ok());
    second.set();
    assert_eq!((now([&first, &second]), now([&first, &second])), (Ok(1), Ok(1)), "a notification stays");
}

fn all(level: PassiveLevel) {
    let (first, second) = (event(true), event(false));
    let third = Semaphore::new(TAG, 1, 1).expect("pool");
    assert!(wait_all_timeout(level, [&first, &second, &third], MOMENT).is_err());
    assert!(first.is_set(), "as long as one is missing none is taken");
    assert_eq!(third.count(), 1);
    second.set();
    assert!(wait_all_timeout(level, [&first, &second, &third], Duration::ZERO).is_ok());
    assert_eq!((first.is_set(), second.is_set(), third.count()), (false, false, 0));
    let go = PoolArc::new(TAG, (event(true), event(false))).expect("pool");
    let own = go.clone();
    let thread = Thread::spawn(level, TAG, move |stop| {
        drop(wait_all(stop.level(), [&own.0, &own.1]));
        assert_eq!(wait_any(stop.level(), [&own.0, stop]).index(), 1);
    });
    go.1.set();
    drop(thread.expect("starts"));
}

/// Whether another thread can take the mutex now.
fn is_free(level: PassiveLevel, mutex: &PoolArc<Mutex<u32>>) -> bool {
    let (own, answer) = (mutex.clone(), PoolArc::new(TAG, event(false)).expect("pool"));
    let tell = answer.clone();
    let thread = Thread::spawn(level, TAG, move |stop| {
        if own.lock_timeout(stop.level(), Duration::ZERO).is_ok() {
            tell.set();
        }
    });
    thread.expect("starts").join(level);
    answer.is_set()
}

fn mutexes(level: PassiveLevel) {
    let mutex = || PoolArc::new(TAG, Mutex::new(TAG, 7).expect("pool")).expect("pool");
    let (first, second, never) = (mutex(), mutex(), event(false));
    let mut waited = wait_any(level, [&never, &*first]);
    assert_eq!(waited.index(), 1);
    assert!(waited.guard(&second).is_none(), "that was not waited for");
    let mut guard = waited.guard(&first).expect("it was taken");
    assert!(waited.guard(&first).is_none(), "there is one already");
    drop(waited);
    *guard += 1;
    assert!(!is_free(level, &first));
    drop(guard);
    assert!(is_free(level, &first));
    // Nobody asks for this guard.
    let waited = wait_any(level, [&*second, &never]);
    assert!(!is_free(level, &second));
    drop(waited);
    assert!(is_free(level, &second));
    // Both, of which one is wanted.
    let set = event(true);
    let mut waited = wait_all(level, [&*first, &set, &*second]);
    let guard = waited.guard(&second).expect("taken");
    assert!(!is_free(level, &first));
    drop(waited);
    assert!(is_free(level, &first));
    assert!(!is_free(level, &second));
    drop(guard);
    assert!(is_free(level, &second));
    // Nothing is owned after a wait that gave up.
    assert!(wait_all_timeout(level, [&*first, &never], MOMENT).is_err());
    assert!(is_free(level, &first));
    assert_eq!(*first.lock(level), 8);
}

fn sixty_four(level: PassiveLevel) {
    let events: [Event; 64] = core::array::from_fn(|_| event(false));
    let objects = || events.each_ref().map(|event| event as &dyn WaitObject);
    events[63].set();
    assert_eq!(wait_any(level, objects()).index(), 63);
    events[17].set();
    assert_eq!(wait_any(level, objects()).index(), 17);
    for event in &events {
        assert!(wait_all_timeout(level, objects(), Duration::ZERO).is_err());
        event.set();
    }
    drop(wait_all(level, objects()));
    assert!(events.iter().all(|event| !event.is_set()));
    // One more than the thread has wait blocks for.
    events[3].set();
    let [first, second, third, fourth, ..] = &events;
    assert_eq!(wait_any(level, [first, second, third, fourth]).index(), 3);
}

fn timers_and_threads(level: PassiveLevel) {
    let (never, timer) = (event(false), Timer::new(TAG, |_| {}).expect("pool"));
    assert!(wait_any_timeout(level, [&never, &timer], MOMENT).is_err(), "not set");
    timer.set(MOMENT);
    assert_eq!(wait_any(level, [&never, &timer]).index(), 1);
    let go = PoolArc::new(TAG, event(false)).expect("pool");
    let own = go.clone();
    let thread = Thread::spawn(level, TAG, move |stop| own.wait(stop.level())).expect("starts");
    assert!(wait_any_timeout(level, [&never, &thread], MOMENT).is_err(), "it runs");
    go.set();
    timer.set(MOMENT);
    drop(wait_all(level, [&thread, &timer]));
    thread.join(level);
}

impl Case {
    fn for_user(&self, level: PassiveLevel) -> NTSTATUS {
        let set = event(true);
        let waited = wait_all_for_user(level, [&set, &self.never]).map(drop);
        assert_eq!(waited, Err(Interrupted));
        assert!(set.is_set(), "nothing is taken");
        let waited = wait_any_for_user(level, [&self.never]).map(drop);
        assert_eq!(waited, Err(Interrupted), "the thread is still to end");
        self.interrupted.set();
        STATUS_CANCELLED
    }
}

fn held(level: PassiveLevel) {
    let (mutex, set) = (Mutex::new(TAG, ()).expect("pool"), event(true));
    let _guard = mutex.lock(level);
    drop(wait_all(level, [&mutex, &set]));
}

fn regions(level: PassiveLevel) {
    assert!(!apcs_disabled() && !all_apcs_disabled());
    let outer = CriticalRegion::enter(level);
    let inner = CriticalRegion::enter(level);
    assert!(apcs_disabled() && !all_apcs_disabled());
    drop(inner);
    assert!(apcs_disabled(), "regions nest");
    let guarded = GuardedRegion::enter(level);
    assert!(all_apcs_disabled());
    drop(guarded);
    assert!(apcs_disabled() && !all_apcs_disabled());
    drop(outer);
    let guarded = GuardedRegion::enter(level);
    assert!(apcs_disabled(), "a guarded region holds up normal kernel APCs too");
    drop(guarded);
    assert!(!apcs_disabled() && !all_apcs_disabled());

    let here = remaining_stack_size();
    assert!(here > 0 && deeper() < here, "a call takes stack");

    let moved = PoolArc::new(TAG, 7_u32).expect("memory");
    assert_eq!(expand_stack(level, 0x8000, move || *moved), Ok(7), "its result comes back");
    let dropped = expand_stack(level, 0x11801, || ());
    assert_eq!(dropped, Err(STATUS_INVALID_PARAMETER_3), "over MAXIMUM_EXPANSION_SIZE");
}

/// A number under each kind of lock.
struct Counters {
    plain: SpinLock<u32>,
    queued: QueuedSpinLock<u32>,
    fast: FastMutex<u32>,
    mutex: Mutex<u32>,
    resource: Resource<u32>,
}

fn locks(level: PassiveLevel) {
    const THREADS: u32 = 4;
    const ROUNDS: u32 = 200;
    let counters = Counters {
        plain: SpinLock::new(0),
        queued: QueuedSpinLock::new(0),
        fast: FastMutex::new(TAG, 0).expect("pool"),
        mutex: Mutex::new(TAG, 0).expect("pool"),
        resource: Resource::new(TAG, 0).expect("pool"),
    };
    let counters = PoolArc::new(TAG, counters).expect("pool");
    let threads = [(); THREADS as usize].map(|()| {
        let counters = counters.clone();
        let count = move |stop: &driver::Stop<'_>| {
            let level = stop.level();
            for _ in 0..ROUNDS {
                counters.plain.with(|count| *count += 1);
                counters.queued.with(|count| *count += 1);
                counters.fast.with(level, |count| *count += 1);
                *counters.mutex.lock(level) += 1;
                counters.resource.write(level, |count| *count += 1);
            }
        };
        Thread::spawn(level, TAG, count).expect("a thread")
    });
    for thread in threads {
        thread.join(level);
    }
    let counted = [
        counters.plain.with(|count| *count),
        counters.queued.with(|count| *count),
        counters.fast.with(level, |count| *count),
        *counters.mutex.lock(level),
        counters.resource.read(level, |count| *count),
    ];
    assert_eq!(counted, [THREADS * ROUNDS; 5]);
}

#[inline(never)]
fn deeper() -> usize {
    let used = core::hint::black_box([0_u8; 1024]);
    remaining_stack_size() - core::hint::black_box(usize::from(used[0]))
}
