//! Requests of applications that go on when their call has returned, against the sample `delay`: the same source embedded
//! and in a process of its own.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use app::{
    AsyncDevice, Buffer, CompletionPort, CompletionRoutines, ControlCode, Device, Event, EventKind, Finished,
    NotificationModes, OpenOptions, Overlapped, Reactor, Request, Thread, Transport, Waited, wait_all,
    wait_any,
};
use ringbridge_scenarios::{DELAY, Form, application, failure, run_application, unload_when_closed};
use sample_delay::{IOCTL_SET, Way};

const PATH: &str = r"\\.\Delay";
/// As good as for ever.
const HOUR: u32 = 3_600_000;
/// Longer than anything here takes that comes at all.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

const ERROR_OPERATION_ABORTED: u32 = 995;
const ERROR_NOT_FOUND: u32 = 1168;
const ERROR_INVALID_PARAMETER: u32 = 87;

fn open(transport: &dyn Transport) -> Device<'_> {
    OpenOptions::new().access(abi::GENERIC_READ).overlapped(true).open(transport, PATH).expect("opens")
}

fn set(device: &Device<'_>, way: Way, milliseconds: u32) {
    let setting = [way as u32, milliseconds].map(u32::to_le_bytes).concat();
    device.control(ControlCode(IOCTL_SET), &setting, &mut []).expect("sets");
}

fn buffer(transport: &dyn Transport, length: u32) -> Buffer {
    Buffer::new(transport, length).expect("memory")
}

/// Runs `body` with the driver in this form: embedded, then as the test `application` in a process of its own.
fn in_both_places(form: Form, application: &str, body: fn(Arc<dyn Transport>)) {
    let machine = DELAY.machine(form);
    body(Arc::new(machine.process("embedded")));
    let folder = tempfile::tempdir().expect("a folder");
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    serve(application, server.path());
    server.stop();
    unload_when_closed(&machine, "delay");
}

fn serve(application: &str, path: &Path) {
    run_application(application, path);
}

/// Makes three tests of one body: native, `.sys`, and the part of either that plays the application.
macro_rules! everywhere {
    (fn $name:ident($transport:ident) $body:block) => {
        everywhere! {
            fn $name(shared: Arc) {
                let $transport: &dyn Transport = &*shared;
                $body
            }
        }
    };
    (fn $name:ident($transport:ident: Arc) $body:block) => {
        mod $name {
            use super::*;

            fn body($transport: Arc<dyn Transport>) $body

            #[test]
            fn application_part() {
                if let Some(client) = application() {
                    body(Arc::new(client));
                }
            }

            #[test]
            fn native() {
                in_both_places(Form::Native, concat!(stringify!($name), "::application_part"), body);
            }

            #[test]
            fn sys() {
                in_both_places(Form::Sys, concat!(stringify!($name), "::application_part"), body);
            }
        }
    };
}

everywhere! {
    fn a_read_goes_on_and_ends_with_its_event(transport) {
        let device = open(transport);
        let event = Event::new(transport, EventKind::ManualReset, true).expect("an event");
        for way in Way::ALL {
            set(&device, way, 40);
            let start = Instant::now();
            let overlapped = Overlapped::new().event(&event);
            let operation = device.read_overlapped(buffer(transport, 5000), &overlapped).expect("begins");
            assert!(!operation.has_completed() || start.elapsed() >= Duration::from_millis(40));
            assert_eq!(event.wait(PATIENCE), Ok(true), "reset at first, then signaled");
            assert!(start.elapsed() >= Duration::from_millis(40), "{way:?} answers too early");
            let finished = operation.try_finish().expect("has ended");
            assert_eq!(finished.result, Ok(5000));
            assert!(finished.buffer.to_vec(u32::MAX).iter().all(|byte| *byte == way.letter()), "{way:?}");
        }
    }
}

everywhere! {
    fn without_an_event_the_file_is_signaled(transport) {
        let device = open(transport);
        set(&device, Way::Timer, 20);
        let operation = device.read_overlapped(buffer(transport, 10), &Overlapped::new()).expect("begins");
        assert_eq!(wait_any(transport, &[&device], PATIENCE), Ok(Waited::Signaled(0)));
        let finished = operation.finish();
        assert_eq!(finished.result, Ok(10));
        assert_eq!(finished.buffer.to_vec(3), [Way::Timer.letter(); 3]);
    }
}

everywhere! {
    fn several_requests_of_one_thread_go_on_side_by_side(transport) {
        let device = open(transport);
        set(&device, Way::Timer, HOUR);
        let events: Vec<Event<'_>> = (0..8)
            .map(|_| Event::new(transport, EventKind::ManualReset, false).expect("an event"))
            .collect();
        let operations: Vec<_> = events
            .iter()
            .map(|event| {
                let overlapped = Overlapped::new().event(event);
                device.read_overlapped(buffer(transport, 100), &overlapped).expect("begins")
            })
            .collect();
        let all: Vec<&dyn app::Waitable> = events.iter().map(|event| event as _).collect();
        set(&device, Way::Timer, 1);
        let after_them = device.read_overlapped(buffer(transport, 100), &Overlapped::new()).expect("begins");
        assert_eq!(after_them.finish().result, Ok(100), "it does not wait for those before it");
        assert_eq!(wait_any(transport, &all, Some(Duration::ZERO)), Ok(Waited::TimedOut), "these go on");
        device.cancel_all().expect("eight go on");
        assert_eq!(wait_all(transport, &all, PATIENCE), Ok(Waited::Signaled(0)));
        for operation in operations {
            assert_eq!(operation.finish().result.expect_err("was cancelled").code, ERROR_OPERATION_ABORTED);
        }
    }
}

everywhere! {
    fn a_cancelled_read_ends_with_operation_aborted(transport) {
        let device = open(transport);
        set(&device, Way::Thread, HOUR);
        let event = Event::new(transport, EventKind::ManualReset, false).expect("an event");
        let begin = || {
            let overlapped = Overlapped::new().event(&event);
            device.read_overlapped(buffer(transport, 10), &overlapped).expect("begins")
        };
        let (one, other) = (begin(), begin());
        assert_eq!(one.wait(Some(Duration::from_millis(20))), Ok(false));
        one.cancel().expect("it goes on");
        let error = one.finish().result.expect_err("was cancelled");
        assert_eq!((error.code, error.status), (ERROR_OPERATION_ABORTED, abi::STATUS_CANCELLED));
        assert!(!other.has_completed(), "the other goes on");
        device.cancel_all().expect("one is left");
        assert_eq!(other.finish().result.expect_err("was cancelled").code, 995);
        assert_eq!(device.cancel_all().expect_err("nothing is left").code, ERROR_NOT_FOUND);
        device.cancel_own().expect("nothing to cancel is no error");
        let third = begin();
        device.cancel_own().expect("it is this thread's");
        assert_eq!(third.finish().result.expect_err("was cancelled").code, 995);
    }
}

everywhere! {
    fn an_operation_that_is_dropped_is_cancelled(transport) {
        let device = open(transport);
        set(&device, Way::WorkItem, HOUR);
        drop(device.read_overlapped(buffer(transport, 10), &Overlapped::new()).expect("begins"));
        assert_eq!(device.cancel_all().expect_err("nothing is left").code, ERROR_NOT_FOUND);
    }
}

everywhere! {
    fn a_wait_that_fails_is_no_end_of_the_request(transport) {
        let device = open(transport);
        let name = r"Global\RbScenarioModifyOnly";
        let (_owner, _) = Event::named(transport, name, EventKind::ManualReset, false).expect("creates");
        let event = Event::open(transport, name, abi::EVENT_MODIFY_STATE).expect("opens");
        set(&device, Way::Timer, 50);
        let overlapped = Overlapped::new().event(&event);
        let operation = device.read_overlapped(buffer(transport, 10), &overlapped).expect("begins");
        let error = operation.wait(PATIENCE).expect_err("the event may be set, and not waited for");
        assert_eq!(error.code, 5);
        // The buffer is the driver's until the end.
        let finished = operation.finish();
        assert_eq!(finished.result, Ok(10));
        assert_eq!(finished.buffer.to_vec(3), [Way::Timer.letter(); 3]);
    }
}

everywhere! {
    fn a_request_ends_also_when_neither_an_event_nor_the_device_is_signaled(transport) {
        let device = open(transport);
        set(&device, Way::Timer, 20);
        let modes = NotificationModes { skip_signaling_the_device: true, ..NotificationModes::default() };
        device.set_notification_modes(modes).expect("is overlapped");
        let start = Instant::now();
        let operation = device.read_overlapped(buffer(transport, 10), &Overlapped::new()).expect("begins");
        assert_eq!(operation.wait(PATIENCE), Ok(true));
        assert!(start.elapsed() < Duration::from_secs(10), "it was not told");
        assert_eq!(operation.finish().result, Ok(10));
    }
}

everywhere! {
    fn a_refused_request_gives_its_buffer_back_and_signals_nothing(transport) {
        let device = open(transport);
        let event = Event::new(transport, EventKind::ManualReset, false).expect("an event");
        let overlapped = Overlapped::new().event(&event);
        let refused = device
            .write_overlapped(Buffer::from_bytes(transport, b"data").expect("memory"), &overlapped)
            .expect_err("opened for reading");
        assert_eq!(refused.error.code, 5);
        assert_eq!(refused.buffer.to_vec(4), b"data");
        let code = ControlCode(IOCTL_SET);
        let input = Buffer::from_bytes(transport, &[9; 8]).expect("memory");
        let refused = device
            .control_overlapped(code, input, buffer(transport, 0), &overlapped)
            .expect_err("no way has this number");
        assert_eq!(refused.error.code, ERROR_INVALID_PARAMETER);
        assert_eq!(refused.input.expect("is back").to_vec(8), [9; 8]);
        assert_eq!(event.wait(Some(Duration::ZERO)), Ok(false));
        // On an asynchronous handle a read without an OVERLAPPED has no place in the file.
        assert_eq!(failure(device.read(&mut [0; 4])), abi::STATUS_INVALID_PARAMETER);
    }
}

everywhere! {
    fn a_request_that_ends_in_its_call_is_told_in_every_way(transport) {
        let device = open(transport);
        let port = CompletionPort::new(transport, 1).expect("a port");
        port.associate(&device, 77).expect("has none yet");
        assert_eq!(port.associate(&device, 78).expect_err("has one").code, ERROR_INVALID_PARAMETER);
        let event = Event::new(transport, EventKind::ManualReset, false).expect("an event");
        let setting = [0_u32, 0].map(u32::to_le_bytes).concat();
        let begin = |overlapped| {
            let input = Buffer::from_bytes(transport, &setting).expect("memory");
            let code = ControlCode(IOCTL_SET);
            device.control_overlapped(code, input, buffer(transport, 0), &overlapped).expect("succeeds")
        };
        let operation = begin(Overlapped::new().event(&event));
        assert!(operation.has_completed());
        assert_eq!(event.wait(Some(Duration::ZERO)), Ok(true));
        let packet = port.get(PATIENCE).expect("a packet").expect("in time");
        assert_eq!((packet.key, packet.overlapped, packet.result), (77, operation.id(), Ok(0)));
        // Not for a request that asks for none, nor with the mode that skips what the caller knows.
        drop(begin(Overlapped::new().without_completion_packet()));
        assert_eq!(port.get(Some(Duration::ZERO)), Ok(None));
        let modes = NotificationModes { skip_packet_on_success: true, ..NotificationModes::default() };
        device.set_notification_modes(modes).expect("is overlapped");
        drop(begin(Overlapped::new()));
        assert_eq!(port.get(Some(Duration::ZERO)), Ok(None));
        // One that goes on is told all the same.
        set(&device, Way::Timer, 1);
        let operation = device.read_overlapped(buffer(transport, 6), &Overlapped::new()).expect("begins");
        let packet = port.get(PATIENCE).expect("a packet").expect("in time");
        assert_eq!((packet.key, packet.overlapped, packet.result), (77, operation.id(), Ok(6)));
    }
}

everywhere! {
    fn a_port_tells_of_every_request_once_with_its_key(transport) {
        let port = CompletionPort::new(transport, 0).expect("a port");
        let devices: Vec<Device<'_>> = (0..3).map(|_| open(transport)).collect();
        let mut expected = Vec::new();
        let mut operations = Vec::new();
        for ((key, way), device) in (100..).zip(Way::ALL).zip(&devices) {
            port.associate(device, key).expect("has none yet");
            set(device, way, 10);
            for length in 1..=5 {
                let memory = buffer(transport, length);
                let operation = device.read_overlapped(memory, &Overlapped::new()).expect("begins");
                expected.push((key, operation.id(), Ok(length)));
                operations.push(operation);
            }
        }
        port.post(1, 2, 3).expect("posts");
        expected.push((1, 2, Ok(3)));
        let mut told = Vec::new();
        while told.len() < expected.len() {
            let packets = port.get_many(4, PATIENCE).expect("packets");
            assert!(!packets.is_empty() && packets.len() <= 4, "in time");
            told.extend(packets.into_iter().map(|packet| (packet.key, packet.overlapped, packet.result)));
        }
        assert_eq!(port.get_many(64, Some(Duration::from_millis(20))), Ok(Vec::new()));
        told.sort_by_key(|(key, id, _)| (*key, *id));
        expected.sort_by_key(|(key, id, _)| (*key, *id));
        assert_eq!(told, expected);
        assert!(operations.iter().all(app::Operation::has_completed));
    }
}

everywhere! {
    fn events_are_found_by_name_and_count_their_waiters(transport) {
        let name = r"Global\RbScenarioEvent";
        let (event, existed) = Event::named(transport, name, EventKind::AutoReset, true).expect("creates");
        assert!(!existed);
        let (again, existed) =
            Event::named(transport, "rbscenarioEVENT", EventKind::ManualReset, false).expect("opens");
        assert!(existed, "without regard to case; Global\\ is the same place");
        assert_eq!(again.wait(Some(Duration::ZERO)), Ok(true), "it is the one that was created");
        assert_eq!(event.wait(Some(Duration::ZERO)), Ok(false), "an auto-reset event lets one go");
        assert_eq!((again.set(), event.set(), event.reset()), (Ok(()), Ok(()), Ok(())));
        assert_eq!(again.wait(Some(Duration::ZERO)), Ok(false));
        let waiter = Event::open(transport, name, abi::SYNCHRONIZE).expect("opens");
        assert_eq!(waiter.set().expect_err("may wait only").code, 5);
        assert_eq!(Event::open(transport, r"Global\RbNone", abi::SYNCHRONIZE).expect_err("none").code, 2);
        let start = Instant::now();
        assert_eq!(waiter.wait(Some(Duration::from_millis(30))), Ok(false));
        assert!(start.elapsed() >= Duration::from_millis(30));
        drop((event, again, waiter));
        assert_eq!(Event::open(transport, name, abi::SYNCHRONIZE).expect_err("is gone").code, 2);
        let [first, second] =
            [(); 2].map(|()| Event::new(transport, EventKind::ManualReset, false).expect("an event"));
        second.set().expect("may");
        assert_eq!(wait_any(transport, &[&first, &second], PATIENCE), Ok(Waited::Signaled(1)));
        assert_eq!(wait_all(transport, &[&first, &second], Some(Duration::ZERO)), Ok(Waited::TimedOut));
        let twice = wait_all(transport, &[&second, &second], PATIENCE);
        assert_eq!(twice.expect_err("one object twice").code, ERROR_INVALID_PARAMETER);
        assert_eq!(wait_any(transport, &[], PATIENCE).expect_err("no object").code, ERROR_INVALID_PARAMETER);
    }
}

/// What one thread tells another of itself.
type Told<T> = std::sync::mpsc::Sender<T>;

everywhere! {
    fn a_thread_that_waits_for_a_read_is_let_go_by_cancel_synchronous_io(transport) {
        let device = Device::open(transport, PATH).expect("opens");
        set(&device, Way::Timer, HOUR);
        std::thread::scope(|scope| {
            let (tell, told) = std::sync::mpsc::channel();
            let reader = |tell: Told<Thread>| {
                tell.send(Thread::current(transport).expect("a thread")).expect("is awaited");
                device.read(&mut [0; 10]).expect_err("an hour is not over").code
            };
            let reading = scope.spawn(move || reader(tell));
            let thread = told.recv().expect("told");
            // It may not have come to wait yet.
            while let Err(error) = thread.cancel_synchronous_io(transport) {
                assert_eq!(error.code, ERROR_NOT_FOUND);
                std::thread::yield_now();
            }
            assert_eq!(reading.join().expect("ends"), ERROR_OPERATION_ABORTED);
            let error = thread.cancel_synchronous_io(transport).expect_err("it waits for nothing");
            assert_eq!(error.code, ERROR_NOT_FOUND);
        });
    }
}

everywhere! {
    fn cancel_synchronous_io_leaves_requests_that_go_on(transport) {
        let device = open(transport);
        set(&device, Way::Timer, HOUR);
        let operation = device.read_overlapped(buffer(transport, 10), &Overlapped::new()).expect("begins");
        let own = Thread::current(transport).expect("a thread");
        assert_eq!(own.cancel_synchronous_io(transport).expect_err("it waits for nothing").code, ERROR_NOT_FOUND);
        assert!(!operation.has_completed());
        operation.cancel().expect("goes on");
        assert_eq!(operation.finish().result.expect_err("cancelled").code, ERROR_OPERATION_ABORTED);
    }
}

#[test]
fn application_whose_thread_ends() {
    let Some(client) = application() else { return };
    let (device, told) = (open(&client), open(&client));
    set(&device, Way::Timer, HOUR);
    set(&told, Way::Timer, HOUR);
    let port = CompletionPort::new(&client, 1).expect("a port");
    port.associate(&told, 1).expect("a file");
    let (alone, with_port) = std::thread::scope(|scope| {
        let begin = || {
            [&device, &told].map(|device| {
                device.read_overlapped(buffer(&client, 10), &Overlapped::new()).expect("begins")
            })
        };
        let [alone, with_port] = scope.spawn(begin).join().expect("ends");
        (alone, with_port)
    });
    assert_eq!(alone.finish().result.expect_err("cancelled").code, ERROR_OPERATION_ABORTED);
    assert!(!with_port.has_completed(), "the port will tell of it");
    with_port.cancel().expect("goes on");
    assert_eq!(with_port.finish().result.expect_err("cancelled").code, ERROR_OPERATION_ABORTED);
}

#[test]
fn requests_of_a_thread_that_ends_are_cancelled_but_for_those_that_a_port_tells_of() {
    let machine = DELAY.machine(Form::Sys);
    let folder = tempfile::tempdir().expect("a folder");
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    serve("application_whose_thread_ends", server.path());
    server.stop();
    unload_when_closed(&machine, "delay");
}

fn open_async(reactor: &Reactor) -> AsyncDevice<'_> {
    reactor.open(&OpenOptions::new().access(abi::GENERIC_READ), PATH).expect("opens")
}

everywhere! {
    fn requests_are_futures(transport: Arc) {
        let reactor = Reactor::new(transport).expect("listens");
        let device = open_async(&reactor);
        let transport = reactor.transport();
        futures_lite::future::block_on(async {
            for way in Way::ALL {
                set(device.device(), way, 20);
                let start = Instant::now();
                let finished = device.read(buffer(transport, 5000), 0).await;
                assert_eq!(finished.result, Ok(5000));
                assert!(start.elapsed() >= Duration::from_millis(20));
                assert!(finished.buffer.to_vec(u32::MAX).iter().all(|byte| *byte == way.letter()));
            }
            // Refused in its call.
            let refused = device.write(buffer(transport, 1), 0).await;
            assert_eq!(refused.result.expect_err("opened for reading").code, 5);
            // Ended in its call.
            let setting = Buffer::from_bytes(transport, &[0; 8]).expect("memory");
            let done = device.control(ControlCode(IOCTL_SET), setting, buffer(transport, 0)).await;
            assert_eq!((done.result, done.input.expect("is back").len()), (Ok(0), 8));
        });
    }
}

everywhere! {
    fn a_hundred_futures_go_on_side_by_side_in_one_thread(transport: Arc) {
        let reactor = Reactor::new(transport).expect("listens");
        let device = open_async(&reactor);
        set(device.device(), Way::Timer, 100);
        let start = Instant::now();
        let mut requests: Vec<Option<Request<'_>>> =
            (1..=100).map(|length| Some(device.read(buffer(reactor.transport(), length), 0))).collect();
        let mut lengths = Vec::new();
        futures_lite::future::block_on(poll_fn(|context| {
            for slot in &mut requests {
                let Some(request) = slot else { continue };
                if let Poll::Ready(finished) = Pin::new(request).poll(context) {
                    lengths.push(finished.result.expect("reads"));
                    *slot = None;
                }
            }
            if lengths.len() == 100 { Poll::Ready(()) } else { Poll::Pending }
        }));
        lengths.sort_unstable();
        assert_eq!(lengths, (1..=100).collect::<Vec<u32>>());
        assert!(start.elapsed() < Duration::from_secs(10), "one after the other");
    }
}

everywhere! {
    fn a_future_that_is_dropped_cancels_its_request(transport: Arc) {
        let reactor = Reactor::new(transport).expect("listens");
        let device = open_async(&reactor);
        set(device.device(), Way::Timer, HOUR);
        let slow = device.read(buffer(reactor.transport(), 10), 0);
        let won = futures_lite::future::block_on(futures_lite::future::or(
            async {
                slow.await;
                "the read of an hour"
            },
            async {
                set(device.device(), Way::Thread, 1);
                device.read(buffer(reactor.transport(), 10), 0).await.result.expect("reads");
                "the read of a millisecond"
            },
        ));
        assert_eq!(won, "the read of a millisecond");
        assert_eq!(device.device().cancel_all().expect_err("nothing is left").code, ERROR_NOT_FOUND);
    }
}

/// What goes with the last waker of a task: the futures in it.
struct Task {
    _futures: Mutex<Option<Request<'static>>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn the_last_waker_of_a_task_may_take_other_requests_with_it() {
    let machine = DELAY.machine(Form::Native);
    let reactor = Reactor::new(Arc::new(machine.process("application"))).expect("listens");
    // Wakers live for ever, and so does what they hold.
    let reactor: &'static Reactor = Box::leak(Box::new(reactor));
    let device: &'static AsyncDevice<'static> = Box::leak(Box::new(open_async(reactor)));
    set(device.device(), Way::Timer, HOUR);
    let read = || device.read(buffer(reactor.transport(), 1), 0);
    let (mut request, other) = (read(), read());
    let waker = Waker::from(Arc::new(Task { _futures: Mutex::new(Some(other)) }));
    assert!(Pin::new(&mut request).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert!(Pin::new(&mut request).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(request);
    assert_eq!(device.device().cancel_all().expect_err("nothing is left").code, ERROR_NOT_FOUND);
}

everywhere! {
    fn completion_routines_run_in_their_threads_alertable_waits_only(transport) {
        let told = RefCell::new(Vec::new());
        let device = open(transport);
        let (routines, others) = (CompletionRoutines::new(transport), CompletionRoutines::new(transport));
        for (way, delay) in Way::ALL.into_iter().zip([30, 1, 60]) {
            set(&device, way, delay);
            let tell = |finished: Finished| told.borrow_mut().push((finished.buffer.to_vec(1)[0], finished.result));
            routines.read(&device, buffer(transport, delay), 0, tell).expect("begins");
        }
        set(&device, Way::Timer, 1);
        others.read(&device, buffer(transport, 1), 0, |_| ()).expect("begins");
        // Not alertable: nothing runs, however long it lasts.
        let never = Event::new(transport, EventKind::ManualReset, false).expect("an event");
        assert_eq!(never.wait(Some(Duration::from_millis(100))), Ok(false));
        assert!(told.borrow().is_empty());
        let mut rounds = 0;
        while routines.waiting() > 0 {
            assert_eq!(routines.wait_any(&[&never], PATIENCE), Ok(Waited::CompletionRoutine));
            rounds += 1;
        }
        assert!((1..=3).contains(&rounds));
        let mut told = told.take();
        told.sort_by_key(|(letter, _)| *letter);
        let mut expected = Way::ALL.map(Way::letter).into_iter().zip([30, 1, 60].map(Ok)).collect::<Vec<_>>();
        expected.sort_by_key(|(letter, _)| *letter);
        assert_eq!(told, expected);
        // What belongs to others was kept for them.
        assert_eq!((others.waiting(), others.sleep(PATIENCE)), (1, Ok(Waited::CompletionRoutine)));
        assert_eq!((others.waiting(), others.sleep(Some(Duration::from_millis(5)))), (0, Ok(Waited::TimedOut)));
        let port = CompletionPort::new(transport, 1).expect("a port");
        port.associate(&device, 1).expect("has none");
        let refused = routines.read(&device, buffer(transport, 1), 0, |_| ()).expect_err("has a port");
        assert_eq!(refused.error.code, ERROR_INVALID_PARAMETER);
    }
}

everywhere! {
    fn routines_that_are_dropped_take_their_requests_with_them_and_leave_the_others_alone(transport) {
        let device = open(transport);
        let others = CompletionRoutines::new(transport);
        {
            let routines = CompletionRoutines::new(transport);
            set(&device, Way::Timer, HOUR);
            routines.read(&device, buffer(transport, 1), 0, |_| panic!("does not run")).expect("begins");
            set(&device, Way::Timer, 1);
            routines.read(&device, buffer(transport, 2), 0, |_| panic!("does not run")).expect("begins");
            others.read(&device, buffer(transport, 3), 0, |_| ()).expect("begins");
            // Until their ends are told to this thread.
            let never = Event::new(transport, EventKind::ManualReset, false).expect("an event");
            assert_eq!(never.wait(Some(Duration::from_millis(50))), Ok(false));
        }
        assert_eq!(device.cancel_all().expect_err("nothing is left").code, ERROR_NOT_FOUND);
        assert_eq!((others.waiting(), others.sleep(PATIENCE)), (1, Ok(Waited::CompletionRoutine)));
        assert_eq!((others.waiting(), others.sleep(Some(Duration::ZERO))), (0, Ok(Waited::TimedOut)));
    }
}
