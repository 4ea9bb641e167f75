//! The driver SDK's contexts, mutexes, events and names, in a compiled-in driver that tries them out.

use std::cell::Cell;

use abi::{STATUS_ACCESS_DENIED, STATUS_DEVICE_NOT_CONNECTED};
use host::{Machine, Parameter};
use ringbridge_scenarios::{case_code, failure, open, unload_cleanly};

thread_local! {
    /// Contexts that were dropped: a compiled-in driver runs in the application's thread.
    static DROPPED: Cell<usize> = const { Cell::new(0) };
}

fn dropped() -> usize {
    DROPPED.take()
}

/// The driver. Its cases panic when something is not as it should be, which stops the machine.
mod native {
    use core::sync::atomic::{AtomicU8, Ordering};
    use core::time::Duration;

    use driver::abi::{
        NTSTATUS, STATUS_ACCESS_DENIED, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_TYPE_MISMATCH,
    };
    use driver::{
        Answer, Buffered, Cleanup, Close, Create, DeviceControl, Dispatch, Driver, DriverObject, Event,
        FastMutex, Mutex, Parameters, PassiveLevel, PoolArc, QueuedSpinLock, Read, Resource, Semaphore, Tag,
        Thread, Timeout, UnicodeStr, Write, utf16,
    };

    driver::driver_entry!(Sdk);

    const TAG: Tag = Tag::new(*b"Sdk ");

    pub(super) const EVENTS: u32 = 1;
    pub(super) const NAMES: u32 = 2;
    pub(super) const LOCK: u32 = 3;
    pub(super) const LOCK_TWICE: u32 = 4;
    pub(super) const HOLD: u32 = 5;
    pub(super) const TRY_WHILE_HELD: u32 = 6;
    pub(super) const SEMAPHORES: u32 = 7;
    pub(super) const LOCKS: u32 = 8;
    pub(super) const READ_WHAT_IS_CHANGED: u32 = 9;
    pub(super) const CHANGE_WHAT_IS_READ: u32 = 10;
    pub(super) const DEPTH: u32 = 11;
    pub(super) const NO_DEPTH: u32 = 12;
    pub(super) const OTHER_DEPTH: u32 = 13;

    struct Sdk;

    impl Driver for Sdk {
        type Device = SdkDevice;

        fn entry(driver: &DriverObject<Self>, path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
            let level = driver.level();
            let depth = Parameters::open(level, TAG, path)
                .and_then(|parameters| parameters.dword(level, utf16!("dEPTH")));
            let context = SdkDevice {
                depth,
                shared: PoolArc::new(TAG, Shared(17))?,
                mutex: Mutex::new(TAG, 0)?,
                is_held: Event::synchronization(TAG, false)?,
                release: Event::synchronization(TAG, false)?,
            };
            let device = driver.device(context).name(utf16!(r"\Device\Sdk"));
            device.symbolic_link(utf16!(r"\??\Sdk")).create()?;
            Ok(())
        }
    }

    struct Shared(u32);

    /// What is one open's own: its position.
    #[derive(Default)]
    struct Own {
        position: AtomicU8,
    }

    impl Drop for Own {
        fn drop(&mut self) {
            super::DROPPED.set(super::DROPPED.get() + 1);
        }
    }

    struct SdkDevice {
        /// The service's parameter.
        depth: Result<u32, NTSTATUS>,
        shared: PoolArc<Shared>,
        mutex: Mutex<u32>,
        is_held: Event,
        release: Event,
    }

    impl Dispatch for SdkDevice {
        type Io = Buffered;

        fn create(&self, mut request: Create) -> impl Answer {
            request.set_fs_context(self.shared.clone());
            if request.file_name() == utf16!(r"\replaced") {
                request.set_fs_context2(PoolArc::new(TAG, Own::default()).expect("pool"));
            }
            if request.file_name() != utf16!(r"\without") {
                request.set_fs_context2(PoolArc::new(TAG, Own::default()).expect("pool"));
            }
            if request.file_name() == utf16!(r"\fails") {
                return request.fail(STATUS_ACCESS_DENIED);
            }
            request.complete()
        }

        fn cleanup(&self, request: Cleanup) -> impl Answer {
            assert!(request.contexts().fs_context::<Shared>().is_some());
            request.complete()
        }

        fn close(&self, mut request: Close) -> impl Answer {
            assert!(request.take_fs_context::<Own>().is_none(), "the other type");
            let shared = request.take_fs_context::<Shared>().expect("still there");
            assert!(shared.is_same(&self.shared));
            assert!(request.take_fs_context::<Shared>().is_none(), "taken already");
            // FsContext2 is left to the answer.
            request.complete()
        }

        fn read(&self, mut request: Read) -> impl Answer {
            let (contexts, mut output) = request.contexts_and_output();
            assert!(contexts.fs_context::<Own>().is_none(), "the other type");
            assert!(contexts.fs_context2::<Shared>().is_none(), "the other type");
            let own = contexts.fs_context2::<Own>();
            let position = own.map_or(0, |own| own.position.load(Ordering::Relaxed));
            let shared = contexts.fs_context::<Shared>().expect("set in create");
            output.write(&[u8::from(own.is_some()), shared.0.to_le_bytes()[0], position]);
            request.complete()
        }

        fn write(&self, request: Write) -> impl Answer {
            let own = request.contexts().fs_context2::<Own>().expect("an open of its own");
            let length = u8::try_from(request.data().len()).expect("short");
            own.position.fetch_add(length, Ordering::Relaxed);
            request.complete()
        }

        fn device_control(&self, request: DeviceControl) -> impl Answer {
            let DeviceControl::Buffered(request) = request else { panic!("only METHOD_BUFFERED") };
            let level = request.level();
            match (request.code() >> 2 & 0xFFF) - 0x800 {
                EVENTS => events(level),
                NAMES => names(),
                DEPTH => assert_eq!(self.depth, Ok(5)),
                NO_DEPTH => assert_eq!(self.depth, Err(STATUS_OBJECT_NAME_NOT_FOUND)),
                OTHER_DEPTH => assert_eq!(self.depth, Err(STATUS_OBJECT_TYPE_MISMATCH)),
                SEMAPHORES => semaphores(level),
                LOCKS => locks(level),
                READ_WHAT_IS_CHANGED => {
                    let resource = Resource::new(TAG, 0).expect("pool");
                    resource.write(level, |_| resource.read(level, |value| *value));
                }
                CHANGE_WHAT_IS_READ => {
                    let resource = Resource::new(TAG, 0).expect("pool");
                    resource.read(level, |_| resource.write(level, |value| *value = 1));
                }
                LOCK => *self.mutex.lock(level) += 1,
                LOCK_TWICE => {
                    let _first = self.mutex.lock(level);
                    drop(self.mutex.lock(level));
                }
                HOLD => {
                    let mut value = self.mutex.lock(level);
                    self.is_held.set();
                    self.release.wait(level);
                    *value += 1;
                }
                TRY_WHILE_HELD => {
                    self.is_held.wait(level);
                    for timeout in [Duration::ZERO, Duration::from_millis(2)] {
                        assert_eq!(self.mutex.lock_timeout(level, timeout).err(), Some(Timeout));
                    }
                    self.release.set();
                    let value = self.mutex.lock_timeout(level, Duration::MAX).expect("it is released");
                    assert_eq!(*value, 2, "what its holder left");
                }
                other => panic!("case {other}"),
            }
            request.complete()
        }
    }

    fn events(level: PassiveLevel) {
        const SHORT: Duration = Duration::from_micros(100);
        let one = Event::synchronization(TAG, false).expect("pool");
        assert_eq!(one.wait_timeout(level, Duration::ZERO), Err(Timeout));
        assert_eq!(one.wait_timeout(level, SHORT), Err(Timeout));
        assert!(!one.set());
        assert!(one.set(), "it was set");
        assert_eq!(one.wait_timeout(level, SHORT), Ok(()));
        assert!(!one.is_set(), "the wait cleared it");
        let all = Event::notification(TAG, true).expect("pool");
        all.wait(level);
        assert_eq!(all.wait_for_user(level), Ok(()));
        assert!(all.is_set(), "waits do not clear it");
        all.clear();
        assert_eq!(all.wait_timeout(level, Duration::ZERO), Err(Timeout));
        named_events(level);
    }

    fn named_events(level: PassiveLevel) {
        let name = utf16!(r"\BaseNamedObjects\SdkEvent");
        let one = Event::named_notification(level, name).expect("is made");
        assert!(one.is_set(), "as NT makes them");
        assert_eq!(one.wait_timeout(level, Duration::ZERO), Ok(()));
        assert!(one.is_set(), "waits do not clear it");
        // The same event, and of the kind that it was made as.
        let same = Event::named_synchronization(level, name).expect("is opened");
        one.clear();
        assert!(!same.set());
        assert_eq!(same.wait_timeout(level, Duration::ZERO), Ok(()));
        assert!(one.is_set());
        drop((one, same));
        // Its name went with it: this is another one.
        let other = Event::named_synchronization(level, name).expect("is made");
        assert_eq!(other.wait_timeout(level, Duration::ZERO), Ok(()));
        assert!(!other.is_set(), "the wait cleared it");
        let nowhere = Event::named_notification(level, utf16!(r"\NoDirectory\SdkEvent"));
        assert_eq!(nowhere.err(), Some(abi::STATUS_UNSUCCESSFUL));
        // An application's handle, where there is no application: a kernel handle is none of its own.
        let kernel_handle = Event::from_user_handle(level, 0xFFFF_FFFF_8000_0004);
        assert_eq!(kernel_handle.err(), Some(abi::STATUS_INVALID_HANDLE));
    }

    fn semaphores(level: PassiveLevel) {
        let semaphore = Semaphore::new(TAG, 1, 3).expect("pool");
        semaphore.wait(level);
        assert_eq!(semaphore.wait_timeout(level, Duration::ZERO), Err(Timeout));
        assert_eq!((semaphore.release(2), semaphore.count()), (0, 2));
        for _ in 0..2 {
            assert_eq!(semaphore.wait_timeout(level, Duration::from_millis(2)), Ok(()));
        }
        assert_eq!(semaphore.count(), 0);
    }

    /// What several threads count up, each under a lock of its kind.
    struct Counters {
        fast: FastMutex<u32>,
        queued: QueuedSpinLock<u32>,
        resource: Resource<[u32; 2]>,
    }

    fn locks(level: PassiveLevel) {
        const THREADS: u32 = 4;
        const ROUNDS: u32 = 200;
        let counters = Counters {
            fast: FastMutex::new(TAG, 0).expect("pool"),
            queued: QueuedSpinLock::new(0),
            resource: Resource::new(TAG, [0; 2]).expect("pool"),
        };
        let counters = PoolArc::new(TAG, counters).expect("pool");
        let threads = [(); THREADS as usize].map(|()| {
            let counters = counters.clone();
            let count = move |stop: &driver::Stop<'_>| {
                let level = stop.level();
                for _ in 0..ROUNDS {
                    counters.fast.with(level, |value| *value += 1);
                    counters.queued.with(|value| *value += 1);
                    counters.resource.write(level, |[one, other]| {
                        *one += 1;
                        *other += 1;
                    });
                    counters.resource.read(level, |[one, other]| {
                        assert_eq!(one, other, "nobody reads half a change");
                        counters.resource.read(level, |again| assert_eq!(again[0], *one, "reading again"));
                    });
                }
            };
            Thread::spawn(level, TAG, count).expect("a thread")
        });
        for thread in threads {
            thread.join(level);
        }
        assert_eq!(counters.fast.with(level, |value| *value), THREADS * ROUNDS);
        assert_eq!(counters.queued.with(|value| *value), THREADS * ROUNDS);
        assert_eq!(counters.resource.read(level, |value| *value), [THREADS * ROUNDS; 2]);
    }

    fn names() {
        let (lower, upper) = (utf16!(r"\größe"), utf16!(r"\GRÖSSE"));
        assert!(!lower.eq_ignore_case(&upper));
        assert!(utf16!(r"\gRÖße").eq_ignore_case(&lower));
        assert!(utf16!(r"\gRÖße") != lower);
        let mut sorted = [utf16!("b"), utf16!("C"), utf16!("A"), utf16!("aa"), utf16!("")];
        sorted.sort_by(UnicodeStr::cmp_ignore_case);
        assert_eq!(sorted, [utf16!(""), utf16!("A"), utf16!("aa"), utf16!("b"), utf16!("C")]);
        assert!(sorted[1].cmp_ignore_case(&utf16!("a")).is_eq());
    }
}

fn machine() -> Machine {
    let machine = Machine::new().expect("a machine");
    machine.load_native("sdk", native::DRIVER_ENTRY).expect("loads");
    machine
}

/// Runs a case on a machine of its own; whether the machine lived through it.
fn survives(case: u32) -> bool {
    survives_on(machine(), case)
}

fn survives_on(machine: Machine, case: u32) -> bool {
    let process = machine.process("caller");
    let device = open(&process, r"\\.\Sdk\plain");
    let answered = device.control(case_code(case), &[], &mut []);
    drop(device);
    match machine.bugcheck() {
        None => {
            answered.expect("answers");
            unload_cleanly(&machine, "sdk");
            true
        }
        Some(report) => {
            assert_eq!(report.bugcheck.stop.code, driver::RUST_PANIC, "{report}");
            false
        }
    }
}

#[test]
fn two_handles_share_the_files_context_and_keep_a_position_of_their_own() {
    let machine = machine();
    let process = machine.process("two handles");
    let devices = [(); 2].map(|()| open(&process, r"\\.\Sdk\plain"));
    devices[0].write(b"123").expect("is taken");
    devices[1].write(b"12345").expect("is taken");
    devices[0].write(b"4").expect("is taken");
    for (device, position) in devices.iter().zip([4, 5]) {
        let mut answer = [0; 3];
        assert_eq!(device.read(&mut answer), Ok(3), "{:?}", machine.bugcheck());
        assert_eq!(answer, [1, 17, position]);
    }
}

#[test]
fn a_driver_reads_its_services_parameters_by_type_and_without_regard_to_case() {
    let text = || Parameter::Text("five".to_owned());
    for (parameter, case) in [
        (Some(Parameter::Dword(5)), native::DEPTH),
        (None, native::NO_DEPTH),
        (Some(text()), native::OTHER_DEPTH),
    ] {
        let machine = Machine::new().expect("a machine");
        if let Some(parameter) = parameter {
            machine.set_parameter("sdk", "Depth", &parameter).expect("a name of a key");
        }
        machine.load_native("sdk", native::DRIVER_ENTRY).expect("loads");
        assert!(survives_on(machine, case));
    }
}

#[test]
fn a_semaphore_lets_as_many_waits_through_as_its_count_says() {
    assert!(survives(native::SEMAPHORES));
}

#[test]
fn no_count_is_lost_under_a_fast_mutex_a_queued_spin_lock_or_a_resource() {
    assert!(survives(native::LOCKS));
}

#[test]
fn a_thread_that_changes_a_resource_can_neither_read_nor_change_it_by_another_reference() {
    assert!(!survives(native::READ_WHAT_IS_CHANGED));
    assert!(!survives(native::CHANGE_WHAT_IS_READ));
}

#[test]
fn contexts_are_there_between_create_and_close_and_dropped_once() {
    let machine = machine();
    let process = machine.process("contexts");
    for (name, own, dropped_in_create) in [("plain", 1, 0), ("without", 0, 0), ("replaced", 1, 1)] {
        let device = open(&process, &format!(r"\\.\Sdk\{name}"));
        assert_eq!(dropped(), dropped_in_create, "{name}");
        let mut answer = [0; 2];
        for _ in 0..2 {
            assert_eq!(device.read(&mut answer), Ok(2), "{:?}", machine.bugcheck());
            assert_eq!(answer, [own, 17], "{name}");
        }
        assert_eq!(dropped(), 0, "{name}");
        device.close().expect("closes");
        assert_eq!(dropped(), usize::from(own), "{name}");
    }
    unload_cleanly(&machine, "sdk");
}

#[test]
fn a_create_that_fails_drops_the_contexts() {
    let machine = machine();
    let process = machine.process("failures");
    for _ in 0..3 {
        assert_eq!(failure(app::Device::open(&process, r"\\.\Sdk\fails")), STATUS_ACCESS_DENIED);
        assert_eq!(dropped(), 1);
    }
    unload_cleanly(&machine, "sdk");
}

#[test]
fn events_and_names_do_what_their_names_say() {
    let machine = machine();
    let process = machine.process("cases");
    let device = open(&process, r"\\.\Sdk");
    for case in [native::EVENTS, native::NAMES] {
        assert!(device.control(case_code(case), &[], &mut []).is_ok(), "{case}: {:?}", machine.bugcheck());
    }
    device.close().expect("closes");
    unload_cleanly(&machine, "sdk");
}

#[test]
fn who_waits_for_a_mutex_gives_up_in_time_or_gets_it() {
    let machine = machine();
    let process = machine.process("two threads");
    let device = open(&process, r"\\.\Sdk");
    device.control(case_code(native::LOCK), &[], &mut []).expect("locks and releases");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let holder = open(&process, r"\\.\Sdk");
            holder.control(case_code(native::HOLD), &[], &mut []).expect("holds until it is told");
        });
        let tried = device.control(case_code(native::TRY_WHILE_HELD), &[], &mut []);
        assert!(tried.is_ok(), "{:?}", machine.bugcheck());
    });
    device.close().expect("closes");
    unload_cleanly(&machine, "sdk");
}

#[test]
fn locking_a_mutex_twice_in_a_thread_is_a_bug_check_and_no_second_reference() {
    let machine = machine();
    let process = machine.process("twice");
    let device = open(&process, r"\\.\Sdk");
    let twice = device.control(case_code(native::LOCK_TWICE), &[], &mut []);
    assert_eq!(failure(twice), STATUS_DEVICE_NOT_CONNECTED);
    assert_eq!(machine.bugcheck().map(|report| report.bugcheck.stop.code), Some(driver::RUST_PANIC));
}
