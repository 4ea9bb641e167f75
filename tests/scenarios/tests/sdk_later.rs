//! The driver SDK's pended requests, queues, threads, timers and work items, in a compiled-in driver that tries them out.

use abi::{STATUS_CANCELLED, STATUS_DELETE_PENDING, STATUS_DEVICE_NOT_READY};
use host::{Machine, Process};
use ringbridge_scenarios::{Watch, case_code, failure, is_pended, open, unload_cleanly};

/// The driver. Its cases panic when something is not as it should be, which stops the machine.
mod native {
    use core::sync::atomic::{AtomicU32, Ordering};
    use core::time::Duration;

    use driver::abi::{NTSTATUS, STATUS_DEVICE_NOT_READY};
    use driver::{
        Answer, CancelSafeQueue, Close, Create, DeviceControl, Direct, Dispatch, Driver, DriverObject, Event,
        PassiveLevel, Pended, PoolArc, Read, SpinLock, Tag, Thread, Timer, UnicodeStr, Woken, WorkItem,
        Write, time, utf16,
    };

    driver::driver_entry!(Later);

    const TAG: Tag = Tag::new(*b"Latr");
    const MOMENT: Duration = Duration::from_millis(1);

    pub(super) const ANSWER_ODD_READ: u32 = 0;
    pub(super) const CLOSE_QUEUE: u32 = 1;
    pub(super) const DROP_QUEUE: u32 = 2;
    pub(super) const DROP_WRITE: u32 = 3;
    pub(super) const ANSWER_WRITE: u32 = 4;
    pub(super) const THREADS: u32 = 5;
    pub(super) const TIMERS: u32 = 6;
    pub(super) const WORK: u32 = 7;

    struct Later;

    impl Driver for Later {
        type Device = LaterDevice;

        fn entry(driver: &DriverObject<Self>, _path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
            let shared = PoolArc::new(TAG, Shared::new()?)?;
            let own = shared.clone();
            let work = WorkItem::new(driver, TAG, move |level, _item| {
                own.began.set();
                own.go_on.wait(level);
                own.calls.fetch_add(1, Ordering::Relaxed);
            })?;
            let reads = SpinLock::new(Some(PoolArc::new(TAG, CancelSafeQueue::new(TAG)?)?));
            let writes = PoolArc::new(TAG, SpinLock::new(None))?;
            let context = LaterDevice { reads, number: AtomicU32::new(0), writes, shared, work };
            let device = driver.device(context).name(utf16!(r"\Device\Later"));
            device.symbolic_link(utf16!(r"\??\Later")).create()?;
            Ok(())
        }
    }

    /// Reads that wait, numbered.
    type Reads = CancelSafeQueue<Read<Direct>, u32>;

    struct LaterDevice {
        reads: SpinLock<Option<PoolArc<Reads>>>,
        number: AtomicU32,
        writes: PoolArc<SpinLock<Option<Pended<Write<Direct>>>>>,
        shared: PoolArc<Shared>,
        work: WorkItem,
    }

    struct Shared {
        began: Event,
        go_on: Event,
        calls: AtomicU32,
    }

    impl Shared {
        fn new() -> Result<Self, NTSTATUS> {
            let event = || Event::synchronization(TAG, false);
            Ok(Self { began: event()?, go_on: event()?, calls: AtomicU32::new(0) })
        }
    }

    impl LaterDevice {
        fn reads(&self) -> PoolArc<Reads> {
            self.reads.with(|reads| reads.clone()).expect("not dropped yet")
        }
    }

    impl Dispatch for LaterDevice {
        type Io = Direct;

        fn create(&self, request: Create) -> impl Answer {
            request.complete()
        }

        fn close(&self, request: Close) -> impl Answer {
            request.complete()
        }

        /// The first half here, the second by whoever answers.
        fn read(&self, mut request: Read<Direct>) -> impl Answer {
            match request.output().map(|mut output| output.write(b"first ")) {
                Ok(_) => self.reads().pend(request, self.number.fetch_add(1, Ordering::Relaxed)),
                Err(status) => request.fail(status),
            }
        }

        fn write(&self, request: Write<Direct>) -> impl Answer {
            request.pend(|request| drop(self.writes.with(|write| write.replace(request))))
        }

        fn device_control(&self, request: DeviceControl) -> impl Answer {
            let DeviceControl::Buffered(request) = request else { panic!("only METHOD_BUFFERED") };
            let level = request.level();
            match (request.code() >> 2 & 0xFFF) - 0x800 {
                ANSWER_ODD_READ => answer_odd_read(level, self.reads()),
                CLOSE_QUEUE => self.reads().close(STATUS_DEVICE_NOT_READY),
                DROP_QUEUE => drop(self.reads.with(Option::take)),
                DROP_WRITE => drop(self.writes.with(Option::take)),
                ANSWER_WRITE => answer_write_in_dpc(level, self.writes.clone()),
                THREADS => threads(level),
                TIMERS => timers(level),
                WORK => self.work(level),
                other => panic!("case {other}"),
            }
            request.complete()
        }
    }

    fn answer_odd_read(level: PassiveLevel, reads: PoolArc<Reads>) {
        let thread = Thread::spawn(level, TAG, move |_stop| {
            let (mut read, number) = reads.remove_next_if(|number| number % 2 == 1).expect("one waits");
            assert_eq!(number, 1);
            assert!(reads.remove_next_if(|number| number % 2 == 1).is_none(), "it is gone");
            // Put back it is the last, and keeps what was written.
            reads.insert(read, 7);
            let mut numbers = [0; 3];
            let mut count = 0;
            reads.for_each(|number| {
                numbers[count] = *number;
                count += 1;
            });
            assert_eq!((numbers, count), ([0, 2, 7], 3));
            (read, _) = reads.remove_next_if(|number| *number == 7).expect("it was put back");
            assert_eq!(read.output().expect("mapped").write(b"second"), 6);
            read.complete();
        });
        thread.expect("starts").join(level);
    }

    fn answer_write_in_dpc(level: PassiveLevel, writes: PoolArc<SpinLock<Option<Pended<Write<Direct>>>>>) {
        let done = PoolArc::new(TAG, Event::notification(TAG, false).expect("pool")).expect("pool");
        let own = done.clone();
        let timer = Timer::new(TAG, move |_timer| {
            assert!(PassiveLevel::now().is_none(), "a DPC is not at PASSIVE_LEVEL");
            let write = writes.with(Option::take).expect("one waits");
            let mut copy = [0; 5];
            assert_eq!(write.data().expect("mapped").read(0, &mut copy), 5);
            assert_eq!(&copy, b"taken");
            write.complete_partly(4);
            own.set();
        });
        let timer = timer.expect("pool");
        assert!(!timer.set(Duration::ZERO));
        done.wait(level);
    }

    fn threads(level: PassiveLevel) {
        let event = |set| Event::synchronization(TAG, set).expect("pool");
        let seen = PoolArc::new(TAG, AtomicU32::new(0)).expect("pool");
        let (own, never, set, begun) =
            (seen.clone(), event(false), event(true), PoolArc::new(TAG, event(false)));
        let begun = begun.expect("pool");
        let tell = begun.clone();
        let thread = Thread::spawn(level, TAG, move |stop| {
            assert_eq!(stop.wait(&set, None), Woken::Set);
            assert_eq!(stop.wait(&set, Some(MOMENT)), Woken::TimedOut, "the wait cleared it");
            assert!(!stop.is_requested());
            tell.set();
            assert_eq!(stop.wait(&never, None), Woken::Stopped);
            assert!(stop.is_requested());
            time::delay(stop.level(), MOMENT);
            own.store(1, Ordering::Relaxed);
        });
        let thread = thread.expect("starts");
        begun.wait(level);
        drop(thread);
        assert_eq!(seen.load(Ordering::Relaxed), 1, "dropping it waits for its end");
        let (before, system) = (time::interrupt_time(), time::system_time());
        time::delay(level, MOMENT);
        assert!(time::interrupt_time() >= before + MOMENT);
        assert!(time::system_time() > system);
    }

    fn timers(level: PassiveLevel) {
        let three = PoolArc::new(TAG, Event::notification(TAG, false).expect("pool")).expect("pool");
        let count = PoolArc::new(TAG, AtomicU32::new(0)).expect("pool");
        let (tell, own) = (three.clone(), count.clone());
        let timer = Timer::new(TAG, move |timer| {
            if own.fetch_add(1, Ordering::Relaxed) == 2 {
                assert!(timer.cancel(), "a periodic timer stays set");
                tell.set();
            }
        });
        let timer = timer.expect("pool");
        assert!(!timer.cancel(), "not set yet");
        assert!(!timer.set(Duration::from_secs(3600)));
        assert!(timer.set_periodic(MOMENT, MOMENT), "it was set");
        three.wait(level);
        assert!(!timer.set(Duration::from_secs(3600)));
        drop(timer);
        assert_eq!(count.load(Ordering::Relaxed), 3);
    }

    impl LaterDevice {
        fn work(&self, level: PassiveLevel) {
            let Shared { began, go_on, calls } = &*self.shared;
            assert!(self.work.queue());
            began.wait(level);
            assert!(self.work.queue(), "the first call has begun");
            while calls.load(Ordering::Relaxed) < 2 {
                go_on.set();
                time::delay(level, MOMENT);
            }
        }
    }
}

fn machine() -> Machine {
    let machine = Machine::new().expect("a machine");
    machine.load_native("later", native::DRIVER_ENTRY).expect("loads");
    machine
}

fn case(process: &Process, number: u32) {
    let device = open(process, r"\\.\Later");
    let done = device.control(case_code(number), &[], &mut []);
    assert!(done.is_ok(), "case {number}: {:?}", process);
}

#[test]
fn a_queued_direct_request_keeps_its_memory_its_output_and_its_place() {
    let machine = machine();
    let watch = Watch::on(&machine);
    let process = machine.process("application");
    std::thread::scope(|scope| {
        let mut readers = Vec::new();
        for count in 1..=3 {
            let process = &process;
            readers.push(scope.spawn(move || {
                let mut buffer = [0; 20];
                let read = open(process, r"\\.\Later").read(&mut buffer);
                (read.map_err(|error| error.status), buffer)
            }));
            watch.wait_for(count, is_pended);
        }
        case(&process, native::ANSWER_ODD_READ);
        let others = [readers.remove(0), readers.remove(1)];
        let (read, buffer) = readers.remove(0).join().expect("no panic");
        assert_eq!((read, &buffer[..12]), (Ok(12), &b"first second"[..]));
        case(&process, native::CLOSE_QUEUE);
        for reader in others {
            assert_eq!(reader.join().expect("no panic").0, Err(STATUS_DEVICE_NOT_READY));
        }
    });
    // A closed queue lets nothing in.
    assert_eq!(failure(open(&process, r"\\.\Later").read(&mut [0; 8])), STATUS_DEVICE_NOT_READY);
    unload_cleanly(&machine, "later");
}

#[test]
fn what_is_dropped_unanswered_is_completed_all_the_same() {
    let machine = machine();
    let watch = Watch::on(&machine);
    let process = machine.process("application");
    std::thread::scope(|scope| {
        let read = scope.spawn(|| failure(open(&process, r"\\.\Later").read(&mut [0; 8])));
        let write = scope.spawn(|| failure(open(&process, r"\\.\Later").write(b"dropped")));
        watch.wait_for(2, is_pended);
        case(&process, native::DROP_QUEUE);
        case(&process, native::DROP_WRITE);
        assert_eq!(read.join().expect("no panic"), STATUS_DELETE_PENDING);
        assert_eq!(write.join().expect("no panic"), STATUS_CANCELLED);
    });
    unload_cleanly(&machine, "later");
}

#[test]
fn a_dpc_reads_the_locked_memory_of_a_pended_write_and_answers_it() {
    let machine = machine();
    let watch = Watch::on(&machine);
    let process = machine.process("application");
    std::thread::scope(|scope| {
        let write = scope.spawn(|| open(&process, r"\\.\Later").write(b"taken").expect("answered"));
        watch.wait_for(1, is_pended);
        case(&process, native::ANSWER_WRITE);
        assert_eq!(write.join().expect("no panic"), 4);
    });
    unload_cleanly(&machine, "later");
}

#[test]
fn threads_timers_and_work_items_end_before_their_owners() {
    let machine = machine();
    let process = machine.process("application");
    for number in [native::THREADS, native::TIMERS, native::WORK] {
        case(&process, number);
        assert!(machine.bugcheck().is_none(), "case {number}: {:?}", machine.bugcheck());
    }
    unload_cleanly(&machine, "later");
}
