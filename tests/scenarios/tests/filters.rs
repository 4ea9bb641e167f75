//! What the SDK lets a filter do besides what the sample `tap` does, and the requests that a driver makes itself: a
//! compiled-in driver that tries them out above the sample `hello`, or above below.sys.

use std::sync::atomic::Ordering;

use app::{ControlCode, Device};
use host::Machine;
use native::{ALIAS, ASK, GUARDED, IOCTL_ANSWERED_ABOVE, LATER, Seen};
use ringbridge_scenarios::{
    Form, HELLO, Watch, failure, is_pended, machine_with, open, scenario, unload_cleanly,
};
use sample_hello::{IOCTL_ECHO, IOCTL_LAST_WRITE};

const PATH: &str = r"\\.\My_Device";
const PROBE: &str = r"\\.\Probe";

/// The driver. It panics when something is not as it should be, which stops the machine.
mod native {
    use core::sync::atomic::{AtomicUsize, Ordering};

    use driver::abi::*;
    use driver::{
        Answer, Buffered, Close, Completed, Create, DeviceControl, Dispatch, Driver, DriverObject, Event,
        Filter, Filtered, FlushBuffers, GuardedRegion, PassiveLevel, PoolArc, PoolBox, Read, RemoveLock, Tag,
        Target, UnicodeStr, Write, utf16,
    };

    driver::driver_entry!(Probe);

    const TAG: Tag = Tag::new(*b"Prob");

    /// Becomes hello's IOCTL_ECHO on its way down.
    pub(super) const ALIAS: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900, METHOD_BUFFERED, FILE_ANY_ACCESS);
    /// The filter answers it, as an internal control request only.
    pub(super) const IOCTL_ANSWERED_ABOVE: u32 =
        CTL_CODE(FILE_DEVICE_UNKNOWN, 0x901, METHOD_BUFFERED, FILE_ANY_ACCESS);
    /// Has the probe make requests for the device below and wait for them.
    pub(super) const ASK: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x902, METHOD_BUFFERED, FILE_ANY_ACCESS);
    /// Has it make a write and a read and not wait.
    pub(super) const LATER: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x903, METHOD_BUFFERED, FILE_ANY_ACCESS);

    /// Has it read, and wait, where no APC runs.
    pub(super) const GUARDED: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x904, METHOD_BUFFERED, FILE_ANY_ACCESS);

    /// What the filter has seen on the way up.
    #[derive(Default)]
    pub(super) struct Seen {
        pub(super) controls: AtomicUsize,
        pub(super) information: AtomicUsize,
        pub(super) flushes: AtomicUsize,
    }

    /// Kept where the test finds it: one machine a process.
    pub(super) static SEEN: Seen = Seen {
        controls: AtomicUsize::new(0),
        information: AtomicUsize::new(0),
        flushes: AtomicUsize::new(0),
    };

    struct Probe;

    impl Driver for Probe {
        type Device = Own;
        const POOL_TAG: Tag = TAG;

        fn entry(driver: &DriverObject<Self>, _path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
            driver.device(Own).name(utf16!(r"\Device\Probe")).symbolic_link(utf16!(r"\??\Probe")).create()?;
            let filter = driver.filter(Above).attach_to(utf16!(r"\Device\My_Device"))?;
            assert!(!filter.as_raw().is_null());
            Ok(())
        }
    }

    struct Above;

    impl Filter for Above {
        fn read(&self, request: Filtered<Self, Read>) -> impl Answer {
            if request.length() == 3 {
                return request.complete_with_bytes(b"own bytes");
            }
            let level = request.level();
            request.limit_length(4);
            let mut returned = request.forward_and_wait(level);
            for _ in 0..2 {
                if returned.status() == STATUS_DEVICE_BUSY {
                    returned = returned.send_again(level);
                }
            }
            if returned.status() == STATUS_DEVICE_BUSY {
                return returned.complete_with(STATUS_CANCELLED);
            }
            let bytes = returned.data().expect("buffered");
            bytes.change(|byte| byte + 1);
            returned.complete()
        }

        fn write(&self, request: Filtered<Self, Write>) -> impl Answer {
            let mut first = [0];
            match request.copy_data(0, &mut first) {
                Ok(1) if first == *b"x" => request.complete_as_written(),
                Ok(1) if first == *b"y" => {
                    request.change_data(|byte| byte.to_ascii_uppercase()).expect("buffered");
                    request.forward()
                }
                _ => request.forward(),
            }
        }

        fn device_control(&self, request: Filtered<Self, DeviceControl>) -> impl Answer {
            if request.code() == ALIAS {
                assert!(!request.set_code(sample_hello::IOCTL_ECHO | METHOD_NEITHER), "another method");
                assert!(request.set_code(sample_hello::IOCTL_ECHO));
                return request.forward();
            }
            request.forward_and_see(5, Self::control_came_back)
        }

        fn internal_device_control(&self, request: Filtered<Self, DeviceControl>) -> impl Answer {
            if request.code() == IOCTL_ANSWERED_ABOVE { request.complete() } else { request.forward() }
        }

        fn flush_buffers(&self, request: Filtered<Self, FlushBuffers>) -> impl Answer {
            SEEN.flushes.fetch_add(1, Ordering::Relaxed);
            request.forward()
        }
    }

    impl Above {
        fn control_came_back(&self, request: &Completed<Self, DeviceControl>, word: usize) {
            assert_eq!(word, 5);
            SEEN.controls.fetch_add(1, Ordering::Relaxed);
            SEEN.information.store(request.information(), Ordering::Relaxed);
            if let Ok(bytes) = request.output() {
                bytes.change(|byte| byte ^ 0x20);
            }
        }
    }

    /// The probe's own device.
    struct Own;

    impl Dispatch for Own {
        type Io = Buffered;

        fn create(&self, request: Create) -> impl Answer {
            request.complete()
        }

        fn close(&self, request: Close) -> impl Answer {
            request.complete()
        }

        fn device_control(&self, request: DeviceControl) -> impl Answer {
            match request {
                DeviceControl::Buffered(request) if request.code() == ASK => match ask(request.level()) {
                    Ok(()) => request.complete(),
                    Err(status) => request.fail(status),
                },
                DeviceControl::Buffered(request) if request.code() == LATER => match later(request.level()) {
                    Ok(()) => request.complete(),
                    Err(status) => request.fail(status),
                },
                DeviceControl::Buffered(request) if request.code() == GUARDED => {
                    let level = request.level();
                    let target = target().expect("opens");
                    let _region = GuardedRegion::enter(level);
                    let _never = target.read(level, &mut [0; 3], 0);
                    request.complete()
                }
                other => other.fail(STATUS_INVALID_DEVICE_REQUEST),
            }
        }
    }

    fn target() -> Result<Target, NTSTATUS> {
        Target::open(TAG, utf16!(r"\Device\My_Device"), FILE_READ_DATA | FILE_WRITE_DATA)
    }

    fn ask(level: PassiveLevel) -> Result<(), NTSTATUS> {
        assert_eq!(
            Target::open(TAG, utf16!(r"\Device\Nowhere"), FILE_READ_DATA).err(),
            Some(STATUS_OBJECT_NAME_NOT_FOUND)
        );
        let target = target()?;
        assert_eq!(target.write(level, b"from a driver", 0)?, 13);
        let mut answer = [0; 16];
        assert_eq!(target.control(level, sample_hello::IOCTL_LAST_WRITE, &[], &mut answer)?, 13);
        assert_eq!(&answer[..13], b"FROM\0A\0DRIVER", "the filter changes what comes back");
        assert_eq!(target.read(level, &mut answer, 0)?, 4);
        assert_eq!(&answer[..4], b"iiii");
        assert_eq!(target.internal_control(level, IOCTL_ANSWERED_ABOVE, b"in", &mut [])?, 0);
        let refused = target.internal_control(level, ALIAS, b"in", &mut []);
        assert_eq!(refused, Err(STATUS_INVALID_DEVICE_REQUEST), "hello has no internal control requests");
        assert_eq!(target.flush(level), Err(STATUS_INVALID_DEVICE_REQUEST));
        let unknown = target.control(level, METHOD_NEITHER, &[], &mut []);
        assert_eq!(
            unknown,
            Err(STATUS_INVALID_DEVICE_REQUEST),
            "hello's answer to a code that it does not know"
        );
        let lock = RemoveLock::new(TAG)?;
        let guards = [lock.acquire()?, lock.acquire()?];
        drop(guards);
        Ok(())
    }

    fn later(level: PassiveLevel) -> Result<(), NTSTATUS> {
        let target = target()?;
        let done = PoolArc::new(TAG, Event::notification(TAG, false)?)?;
        let written = done.clone();
        target.write_later(PoolBox::copy_of(TAG, b"later")?, 0, move |bytes, result| {
            assert_eq!((&*bytes, result), (&b"later"[..], Ok(5)));
            written.set();
        })?;
        done.wait(level);
        let read = done.clone();
        target.read_later(PoolBox::zeroed(TAG, 6)?, 0, move |bytes, result| {
            assert_eq!((&*bytes, result), (&b"iiii\0\0"[..], Ok(4)));
            read.clear();
        })?;
        // Waits for what is under way.
        drop(target);
        assert!(!done.is_set());
        Ok(())
    }
}

/// A filter whose method, or completion routine, goes on when it has given its request away, until it is detached and
/// after that.
mod lingering {
    use core::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use driver::abi::NTSTATUS;
    use driver::{
        Answer, Buffered, Completed, Dispatch, Driver, DriverObject, Filter, Filtered, Held, HeldQueue, Read,
        Tag, UnicodeStr, Upward, Write, utf16,
    };

    driver::driver_entry!(Lingering);

    /// Kept where the test finds it: one machine a process.
    pub(super) static INSIDE: AtomicBool = AtomicBool::new(false);
    static DETACHING: AtomicBool = AtomicBool::new(false);
    /// Its context went while code of it ran.
    pub(super) static DROPPED_UNDER: AtomicBool = AtomicBool::new(false);

    const TAG: Tag = Tag::new(*b"Ling");

    struct Lingering;

    impl Driver for Lingering {
        type Device = Unused;
        const POOL_TAG: Tag = TAG;

        fn entry(driver: &DriverObject<Self>, _path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
            let above = Above { reads: HeldQueue::new(TAG)?, writes: HeldQueue::new(TAG)? };
            driver.filter(above).attach_to(utf16!(r"\Device\My_Device")).map(drop)
        }
    }

    struct Unused;

    impl Dispatch for Unused {
        type Io = Buffered;
    }

    struct Above {
        reads: HeldQueue<Self, Read>,
        writes: HeldQueue<Self, Write>,
    }

    impl Filter for Above {
        fn read(&self, request: Filtered<Self, Read>) -> impl Answer {
            request.forward_and_take(0, Self::read_came_back)
        }

        fn write(&self, request: Filtered<Self, Write>) -> impl Answer {
            request.hold(|held| linger(&self.writes, held))
        }

        fn detaching(&self) {
            self.reads.close();
            self.writes.close();
            DETACHING.store(true, Ordering::SeqCst);
        }
    }

    impl Above {
        fn read_came_back(&self, read: Completed<Self, Read>, _word: usize) -> Upward {
            read.hold(|held| linger(&self.reads, held))
        }
    }

    fn linger<M: 'static>(queue: &HeldQueue<Above, M>, held: Held<Above, M>) {
        queue.push(held);
        INSIDE.store(true, Ordering::SeqCst);
        while !DETACHING.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        // Time for what must not happen.
        std::thread::sleep(Duration::from_millis(100));
        INSIDE.store(false, Ordering::SeqCst);
    }

    impl Drop for Above {
        fn drop(&mut self) {
            DROPPED_UNDER.store(INSIDE.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    }
}

fn probe(machine: &Machine) {
    machine.load_native("probe", native::DRIVER_ENTRY).expect("loads");
}

fn unload(machine: &Machine, name: &str) {
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    unload_cleanly(machine, name);
}

scenario! {
    fn a_filter_changes_what_is_asked_for_and_answers_for_the_driver_below(form: Form) {
        let machine = HELLO.machine(form);
        probe(&machine);
        let process = machine.process("application");
        let device = open(&process, PATH);
        let mut bytes = [0; 8];
        assert_eq!(device.read(&mut bytes).expect("reads"), 4, "limited on its way down");
        assert_eq!(&bytes, b"iiii\0\0\0\0", "changed after the wait");
        assert_eq!(device.read(&mut bytes[..3]).expect("reads"), 3);
        assert_eq!(&bytes[..3], b"own");
        let last = |expected: &[u8]| {
            let mut answer = [0; 16];
            let length = device.control(ControlCode(IOCTL_LAST_WRITE), &[], &mut answer).expect("controls");
            // The filter flips the letters' case in what comes back.
            let flipped: Vec<u8> = expected.iter().map(|byte| byte ^ 0x20).collect();
            assert_eq!(answer[..length as usize], flipped);
        };
        assert_eq!(device.write(b"yes").expect("writes"), 3);
        last(b"YES");
        assert_eq!(device.write(b"xyz").expect("writes"), 3);
        last(b"YES");
        let mut answer = [0; 4];
        assert_eq!(device.control(ControlCode(ALIAS), b"echo", &mut answer).expect("controls"), 4);
        assert_eq!(&answer, b"echo");
        assert_eq!(device.control(ControlCode(IOCTL_ECHO), b"echo", &mut answer).expect("controls"), 4);
        assert_eq!(&answer, b"ECHO");
        let Seen { controls, information, .. } = &native::SEEN;
        let relaxed = Ordering::Relaxed;
        assert_eq!((controls.load(relaxed), information.load(relaxed)), (3, 4));
        let above_only = device.control(ControlCode(IOCTL_ANSWERED_ABOVE), &[], &mut []);
        assert_eq!(failure(above_only), abi::STATUS_INVALID_DEVICE_REQUEST, "no internal request");
        device.close().expect("closes");
        unload(&machine, "probe");
        unload(&machine, "hello");
    }
}

#[test]
fn a_request_that_a_filter_waits_for_can_be_sent_again_and_may_be_pended_below() {
    let machine = machine_with("below");
    probe(&machine);
    let (reader, other) = (machine.process("reader"), machine.process("other"));
    let (device, control) = (open(&reader, PATH), open(&other, PATH));
    let mut bytes = [0; 4];
    for busy in 0..=2 {
        control.write(&[b'B', busy]).expect("writes");
        assert_eq!(device.read(&mut bytes).expect("reads"), 4);
        assert_eq!(&bytes, b"bcdb");
    }
    control.write(b"B\x03").expect("writes");
    assert_eq!(failure(device.read(&mut bytes)), abi::STATUS_CANCELLED, "the filter's own status");
    control.write(b"W").expect("writes");
    assert_eq!(failure(device.read(&mut bytes)), abi::STATUS_UNSUCCESSFUL, "STATUS_PENDING is no answer");
    control.write(b"P").expect("writes");
    let watch = Watch::on(&machine);
    std::thread::scope(|scope| {
        let pended = scope.spawn(|| device.read(&mut bytes).expect("reads"));
        watch.wait_for(1, is_pended);
        control.write(b"C").expect("writes");
        assert_eq!(pended.join().expect("no panic"), 4);
    });
    assert_eq!(&bytes, b"bcdb");
    drop((device, control));
    unload(&machine, "probe");
}

fn ask(form: Form, code: u32) {
    let machine = HELLO.machine(form);
    probe(&machine);
    let process = machine.process("application");
    let device = Device::open(&process, PROBE).expect("opens");
    if let Err(error) = device.control(ControlCode(code), &[], &mut []) {
        panic!("{error}: {:?}", machine.bugcheck());
    }
    device.close().expect("closes");
    unload(&machine, "probe");
    unload(&machine, "hello");
}

scenario! {
    fn a_driver_asks_another_and_waits(form: Form) {
        ask(form, ASK);
        assert_eq!(native::SEEN.flushes.load(Ordering::Relaxed), 1);
    }
}

scenario! {
    fn a_driver_asks_another_without_waiting(form: Form) {
        ask(form, LATER);
    }
}

#[test]
fn a_driver_does_not_wait_for_a_request_of_its_own_where_apcs_are_held_up() {
    let machine = HELLO.machine(Form::Native);
    probe(&machine);
    let process = machine.process("application");
    let device = open(&process, PROBE);
    device.control(ControlCode(GUARDED), &[], &mut []).expect_err("the machine stops");
    let stop = machine.bugcheck().expect("a panic").bugcheck.stop;
    assert_eq!(stop.code, driver::RUST_PANIC);
}

fn a_filter_is_detached_while(request: fn(&Device<'_>)) {
    let machine = HELLO.machine(Form::Native);
    machine.load_native("lingering", lingering::DRIVER_ENTRY).expect("loads");
    let process = machine.process("application");
    let device = open(&process, PATH);
    std::thread::scope(|scope| {
        scope.spawn(|| request(&device));
        while !lingering::INSIDE.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        unload(&machine, "lingering");
    });
    assert!(!lingering::DROPPED_UNDER.load(Ordering::SeqCst), "its context went under its code");
    device.close().expect("closes");
    unload(&machine, "hello");
}

#[test]
fn the_context_of_a_filter_stays_until_the_method_that_gave_its_request_away_has_returned() {
    a_filter_is_detached_while(|device| assert_eq!(device.write(b"held"), Ok(4)));
}

#[test]
fn the_context_of_a_filter_stays_until_the_routine_that_gave_its_request_away_has_returned() {
    a_filter_is_detached_while(|device| assert_eq!(device.read(&mut [0; 4]), Ok(4)));
}
