//! The sample `notify` (row M8, seed 002): a driver that tells its application at once, by an event of its own, by an event of the
//! application's, and by requests that wait. Every notification comes once, in order, however many there are and whoever
//! dies meanwhile.

use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use abi::{EVENT_ALL_ACCESS, EVENT_MODIFY_STATE, NTSTATUS, SYNCHRONIZE};
use app::{Buffer, ControlCode, Device, Event, EventKind, OpenOptions, Overlapped, Transport, Win32Error};
use host::{Machine, Token};
use ringbridge_scenarios::{
    Beside, NOTIFY, Watch, application, failure, is_pended, open, run_application, say_ready, scenario,
    unload_cleanly, unload_when_closed, wait_to_go_on,
};
use sample_applications::notify::{self, IOCTL_NEXT, IOCTL_START};
use sample_notify::{CAPACITY, NOTIFICATION, Way};

const PATH: &str = r"\\.\Notify";
const NOT_FOR_EVER: Option<Duration> = Some(Duration::from_secs(30));

type Listen = fn(&dyn Transport, u32, notify::Heard<'_>) -> Result<(), Win32Error>;
const WAYS: [(Way, Listen); 3] = [
    (Way::NamedEvent, notify::by_named_event),
    (Way::OwnEvent, notify::by_own_event),
    (Way::Request, notify::by_requests),
];

/// How many notifications in each way: RINGBRIDGE_NOTIFICATIONS, or as many as a quick run has time for.
fn count() -> u32 {
    std::env::var("RINGBRIDGE_NOTIFICATIONS").map_or(100_000, |count| count.parse().expect("a number"))
}

/// Expects the numbers from 0, each once.
struct Turns(u64);

impl Turns {
    fn hear(&mut self, number: u64) {
        assert_eq!(number, self.0, "lost, doubled or out of turn");
        self.0 += 1;
    }
}

fn every_way(transport: &dyn Transport, place: &str) {
    for (way, listen) in WAYS {
        let mut turns = Turns(0);
        let start = Instant::now();
        listen(transport, count(), &mut |number| turns.hear(number)).expect("listens");
        assert_eq!(turns.0, u64::from(count()), "{way:?}");
        eprintln!("{place}, {way:?}: {} notifications in {:?}", turns.0, start.elapsed());
    }
}

fn input(way: Way, count: u32, handle: Option<u64>) -> Vec<u8> {
    let mut input = [way as u32, count].map(u32::to_le_bytes).concat();
    input.extend(handle.into_iter().flat_map(u64::to_le_bytes));
    input
}

fn start(device: &Device<'_>, input: &[u8]) -> Result<u32, Win32Error> {
    device.control(IOCTL_START, input, &mut [])
}

fn open_overlapped(transport: &dyn Transport) -> Device<'_> {
    OpenOptions::new().access(abi::GENERIC_READ).overlapped(true).open(transport, PATH).expect("opens")
}

fn serve(machine: &Machine) -> (tempfile::TempDir, host::Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    (folder, server)
}

scenario! {
    fn every_notification_comes_once_and_in_order_in_each_way(form: Form) {
        let machine = NOTIFY.machine(form);
        every_way(&machine.process("application"), "embedded");
        assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
        unload_when_closed(&machine, "notify");
    }
}

#[test]
fn application_that_listens() {
    let Some(client) = application() else { return };
    every_way(&client, "another process");
}

scenario! {
    fn every_notification_comes_once_and_in_order_to_another_process(form: Form) {
        let machine = NOTIFY.machine(form);
        let (_folder, server) = serve(&machine);
        run_application("application_that_listens", server.path());
        server.stop();
        unload_cleanly(&machine, "notify");
    }
}

fn in_one_wait(transport: &dyn Transport) {
    let count = count() / 10;
    let mut turns = [Turns(0), Turns(0), Turns(0)];
    notify::by_one_wait(transport, count, &mut |way, number| turns[way].hear(number)).expect("listens");
    assert_eq!(turns.map(|turns| turns.0), [u64::from(count); 3]);
}

#[test]
fn application_that_waits_for_three() {
    let Some(client) = application() else { return };
    in_one_wait(&client);
}

scenario! {
    fn one_wait_serves_two_events_and_a_request(form: Form) {
        let machine = NOTIFY.machine(form);
        in_one_wait(&machine.process("application"));
        let (_folder, server) = serve(&machine);
        run_application("application_that_waits_for_three", server.path());
        server.stop();
        unload_when_closed(&machine, "notify");
    }
}

scenario! {
    fn several_applications_have_notifications_of_their_own(form: Form) {
        let machine = NOTIFY.machine(form);
        std::thread::scope(|scope| {
            for (_, listen) in WAYS.into_iter().cycle().take(6) {
                let machine = &machine;
                scope.spawn(move || {
                    let mut turns = Turns(0);
                    let process = machine.process("one of many");
                    listen(&process, 5_000, &mut |number| turns.hear(number)).expect("listens");
                    assert_eq!(turns.0, 5_000);
                });
            }
        });
        unload_when_closed(&machine, "notify");
    }
}

scenario! {
    fn a_read_is_answered_at_once_also_when_there_is_nothing(form: Form) {
        let machine = NOTIFY.machine(form);
        let watch = Watch::on(&machine);
        let process = machine.process("application");
        let device = open(&process, PATH);
        let nothing = device.read(&mut [0; NOTIFICATION]).expect_err("there is nothing");
        assert_eq!((nothing.status, nothing.code), (abi::STATUS_NO_MORE_ENTRIES, abi::ERROR_NO_MORE_ITEMS));
        assert_eq!(failure(device.read(&mut [0; NOTIFICATION - 1])), abi::STATUS_BUFFER_TOO_SMALL);
        let event = Event::new(&process, EventKind::ManualReset, false).expect("is created");
        start(&device, &input(Way::OwnEvent, 1, Some(event.handle().value()))).expect("starts");
        assert!(event.wait(NOT_FOR_EVER).expect("waits"));
        // What the event told of is there before it.
        let mut number = [1; 2 * NOTIFICATION];
        assert_eq!(device.read(&mut number), Ok(8));
        assert_eq!(number[..8], [0; 8]);
        assert_eq!(failure(device.read(&mut number)), abi::STATUS_NO_MORE_ENTRIES);
        assert!(!watch.events().iter().any(is_pended));
        device.close().expect("closes");
        unload_cleanly(&machine, "notify");
    }
}

scenario! {
    fn an_event_that_was_set_many_times_wakes_once_and_reading_to_the_end_finds_all(form: Form) {
        const COUNT: u32 = 100;
        let machine = NOTIFY.machine(form);
        let process = machine.process("application");
        let device = open(&process, PATH);
        let event = Event::new(&process, EventKind::AutoReset, false).expect("is created");
        start(&device, &input(Way::OwnEvent, COUNT, Some(event.handle().value()))).expect("starts");
        // Until all are made.
        while let Err(error) = start(&device, &input(Way::Request, 0, None)) {
            assert_eq!(error.status, abi::STATUS_DEVICE_BUSY);
        }
        assert!(event.wait(NOT_FOR_EVER).expect("waits"));
        assert!(!event.wait(Some(Duration::ZERO)).expect("waits"), "once");
        let mut turns = Turns(0);
        let mut number = [0; NOTIFICATION];
        let end = loop {
            match device.read(&mut number) {
                Ok(_) => turns.hear(u64::from_le_bytes(number)),
                Err(error) => break error,
            }
        };
        assert_eq!((turns.0, end.status), (COUNT.into(), abi::STATUS_NO_MORE_ENTRIES));
        device.close().expect("closes");
        drop(event);
        unload_cleanly(&machine, "notify");
    }
}

scenario! {
    fn the_driver_takes_events_that_the_application_may_set_and_nothing_else(form: Form) {
        let machine = NOTIFY.machine(form);
        let process = machine.process("application");
        let device = open(&process, PATH);
        let (event, _) = Event::named(&process, r"Local\RbMine", EventKind::AutoReset, false).expect("is created");
        let weak = Event::open(&process, "RbMine", SYNCHRONIZE).expect("opens");
        let with = |handle: u64| failure(start(&device, &input(Way::OwnEvent, 1, Some(handle))));
        assert_eq!(with(weak.handle().value()), abi::STATUS_ACCESS_DENIED);
        assert_eq!(with(device.handle().value()), abi::STATUS_OBJECT_TYPE_MISMATCH);
        for nothing in [0, 0x7770, u64::MAX, 0xFFFF_FFFF_8000_0004, 1 << 40] {
            let status = with(nothing);
            // The pseudo handle of the current process is one of a process.
            let allowed = [abi::STATUS_INVALID_HANDLE, abi::STATUS_OBJECT_TYPE_MISMATCH];
            assert!(allowed.contains(&status), "{nothing:#x}: {status:?}");
        }
        for wrong in [&[][..], &[0; 7], &[3, 0, 0, 0, 1, 0, 0, 0], &[0; 9], &input(Way::OwnEvent, 1, None)] {
            assert_eq!(failure(start(&device, wrong)), abi::STATUS_INVALID_PARAMETER, "{wrong:?}");
        }
        // Closed by the application before it is set: the driver has a reference of its own.
        let last = event.handle().value();
        start(&device, &input(Way::OwnEvent, 2, Some(last))).expect("starts");
        drop(event);
        assert!(weak.wait(NOT_FOR_EVER).expect("waits"));
        device.close().expect("closes");
        drop(weak);
        unload_cleanly(&machine, "notify");
    }
}

scenario! {
    fn the_drivers_event_is_for_administrators_to_wait_for(form: Form) {
        let machine = NOTIFY.machine(form);
        let opened = |token: Token, access| -> Option<NTSTATUS> {
            let process = machine.process_as("application", token);
            let device = open(&process, PATH);
            notify::open_named(&process, &device, access).err().map(|error| error.status)
        };
        let denied = Some(abi::STATUS_ACCESS_DENIED);
        assert_eq!(opened(Token::administrator(), SYNCHRONIZE), None);
        assert_eq!(opened(Token::administrator(), EVENT_MODIFY_STATE), denied);
        assert_eq!(opened(Token::user(), SYNCHRONIZE), denied);
        assert_eq!(opened(Token::local_system(), EVENT_ALL_ACCESS), None);
        // The four opens before this had the numbers to 3.
        let user = machine.process_as("first", Token::user());
        let (event, _) = Event::named(&user, r"Global\Notify-4", EventKind::AutoReset, false).expect("is created");
        let device = open(&user, PATH);
        let same = notify::open_named(&user, &device, EVENT_ALL_ACCESS).expect("it is the user's own");
        same.set().expect("may set");
        assert!(event.wait(NOT_FOR_EVER).expect("waits"));
        start(&device, &input(Way::NamedEvent, 1, None)).expect("starts");
        assert!(event.wait(NOT_FOR_EVER).expect("waits"));
        drop((device, same, event));
        unload_when_closed(&machine, "notify");
    }
}

scenario! {
    fn a_cancelled_request_takes_no_notification_with_it(form: Form) {
        const ROUNDS: u64 = 500;
        let machine = NOTIFY.machine(form);
        let process = machine.process("application");
        let device = open_overlapped(&process);
        let event = Event::new(&process, EventKind::ManualReset, false).expect("is created");
        let ask = || {
            let buffer = |length| Buffer::new(&process, length).expect("room");
            let overlapped = Overlapped::new().event(&event);
            device.control_overlapped(IOCTL_NEXT, buffer(0), buffer(8), &overlapped).expect("is pended")
        };
        let mut turns = Turns(0);
        let hear = |turns: &mut Turns, finished: app::Finished| match finished.result {
            Ok(bytes) => {
                assert_eq!(bytes, 8);
                let bytes = finished.buffer.to_vec(bytes);
                turns.hear(u64::from_le_bytes(bytes.try_into().expect("eight")));
            }
            Err(error) => assert_eq!(error.status, abi::STATUS_CANCELLED),
        };
        let mut cancelled = 0;
        for round in 1..=ROUNDS {
            let (first, second) = (ask(), ask());
            // The thread of the round before may not have said yet that it has ended.
            while let Err(error) = start(&device, &input(Way::Request, 2, None)) {
                assert_eq!(error.status, abi::STATUS_DEVICE_BUSY);
            }
            // Before notifications come, while they do, and after.
            (0..round % 8).for_each(|_| std::thread::yield_now());
            cancelled += u64::from(first.cancel().is_ok());
            hear(&mut turns, first.finish());
            hear(&mut turns, second.finish());
            // What a cancelled one would have brought.
            while turns.0 < 2 * round {
                hear(&mut turns, ask().finish());
            }
        }
        eprintln!("{cancelled} requests were cancelled in time");
        drop(device);
        unload_when_closed(&machine, "notify");
    }
}

scenario! {
    fn closing_ends_the_thread_that_waits_for_room(form: Form) {
        let machine = NOTIFY.machine(form);
        let process = machine.process("application");
        for way in [Way::NamedEvent, Way::Request] {
            let device = open(&process, PATH);
            start(&device, &input(way, u32::MAX, None)).expect("starts");
            assert_eq!(failure(start(&device, &input(way, 1, None))), abi::STATUS_DEVICE_BUSY);
            let mut first = vec![0; CAPACITY * NOTIFICATION];
            while device.read(&mut first).is_err() {
                std::thread::yield_now();
            }
            device.close().expect("closes");
        }
        unload_when_closed(&machine, "notify");
    }
}

#[test]
fn application_that_waits_in_every_way() {
    let Some(client) = application() else { return };
    let client: &'static gate::Client = Box::leak(Box::new(client));
    let (named, own, asked) = (open(client, PATH), open(client, PATH), open_overlapped(client));
    let [named, own, asked] = [named, own, asked].map(ManuallyDrop::new);
    let their = notify::open_named(client, &named, SYNCHRONIZE).expect("may wait");
    let mine = Event::new(client, EventKind::AutoReset, false).expect("is created");
    // The first notification of each comes; then this waits for more than there are, or there are more than it takes.
    start(&named, &input(Way::NamedEvent, 1, None)).expect("starts");
    start(&own, &input(Way::OwnEvent, u32::MAX, Some(mine.handle().value()))).expect("starts");
    assert!(their.wait(None).expect("waits") && mine.wait(None).expect("waits"));
    for _ in 0..3 {
        let buffer = |length| Buffer::new(client, length).expect("room");
        let begun = asked.control_overlapped(IOCTL_NEXT, buffer(0), buffer(64), &Overlapped::new());
        std::mem::forget(begun.expect("is pended"));
    }
    std::thread::spawn(move || their.wait(None));
    std::mem::forget(mine);
    say_ready();
    wait_to_go_on();
}

scenario! {
    fn a_killed_application_leaves_nothing_and_disturbs_nobody(form: Form) {
        let machine = NOTIFY.machine(form);
        let (_folder, server) = serve(&machine);
        for _ in 0..5 {
            Beside::start("application_that_waits_in_every_way", server.path()).kill();
        }
        let mut turns = Turns(0);
        notify::by_named_event(&machine.process("other"), 1_000, &mut |number| turns.hear(number)).expect("listens");
        assert_eq!(turns.0, 1_000);
        server.stop();
        assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
        unload_when_closed(&machine, "notify");
    }
}

#[test]
fn a_control_code_asks_for_reading() {
    assert_eq!(IOCTL_START, ControlCode(0x0022_6004));
}
