//! What is left when one side dies: applications that are killed in the middle of everything, and hosts that are killed or
//! stopped by a bugcheck. All of them are real processes.

use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use abi::STATUS_DEVICE_NOT_CONNECTED;
use app::{Buffer, Device, Event, EventKind, OpenOptions, Overlapped, Win32Error};
use gate::Client;
use ringbridge_scenarios::{
    APPS, AppsWitness, Beside, application, application_socket, apps_nothing, apps_pend, apps_sleep,
    apps_stop, failure, machine_with, open, say_ready, unload_cleanly, wait_to_go_on, words,
};

/// Within this time every pending and later call of an application ends in an error when its host is gone.
const NOTICED: Duration = Duration::from_millis(100);
/// How often a machine that is busy with other things may keep the application's threads from running for longer than that.
/// It can only make them later, never earlier.
const ATTEMPTS: usize = 5;

// ---- applications ------------------------------------------------------------------------------------------------------

/// Files that the application below has, each with a duplicate of its handle: some with a request that waits, some that it only
/// keeps; and one for asynchronous I/O with several requests, and one whose driver sleeps.
const PENDING: u64 = 4;
const IDLE: u64 = 3;
const OVERLAPPED: u64 = 5;
const FILES: u64 = PENDING + IDLE + 2;

#[test]
fn application_that_is_killed_in_its_calls() {
    let Some(client) = application() else { return };
    let client: &'static Client = Box::leak(Box::new(client));
    for _ in 0..PENDING {
        let device = ManuallyDrop::new(open(client, APPS));
        let copy = ManuallyDrop::new(device.try_clone().expect("is duplicated"));
        thread::spawn(move || device.control(apps_pend(), &[], &mut []));
        thread::spawn(move || copy.control(apps_pend(), &[], &mut []));
    }
    for _ in 0..IDLE {
        std::mem::forget(open(client, APPS).try_clone().expect("is duplicated"));
    }
    let asynchronous = OpenOptions::new().overlapped(true).open(client, APPS).expect("opens");
    for _ in 0..OVERLAPPED {
        let nothing = || Buffer::new(client, 0).expect("room");
        let begun = asynchronous.control_overlapped(apps_pend(), nothing(), nothing(), &Overlapped::new());
        std::mem::forget(begun.expect("is pended"));
    }
    std::mem::forget(asynchronous);
    // Two threads are not in a driver: they wait for events that nobody sets.
    for kind in [EventKind::ManualReset, EventKind::AutoReset] {
        let event = Event::new(client, kind, false).expect("is created");
        thread::spawn(move || event.wait(None));
    }
    let sleeper = ManuallyDrop::new(open(client, APPS));
    thread::spawn(move || sleeper.control(apps_sleep(), &words(&[300]), &mut []));
    say_ready();
    wait_to_go_on();
}

#[test]
fn a_killed_application_has_its_requests_cancelled_and_each_file_cleaned_up_and_closed_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let machine = machine_with("apps");
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    let process = machine.process("witness");
    let witness = AppsWitness::new(&process);
    for round in 1..=3 {
        let application = Beside::start("application_that_is_killed_in_its_calls", server.path());
        // Files, not handles: duplicates stand for the same file, which one CLEANUP ends. A synchronous file is locked
        // while a request of it waits, so of each pair of requests one waits in the driver.
        let before = witness
            .wait_until("all calls", |counts| counts.pending == PENDING + OVERLAPPED && counts.sleeping == 1);
        assert_eq!(before.creates - 1, round * FILES);
        application.kill();
        let after = witness.wait_until_alone();
        assert_eq!(after.closes, round * FILES);
        // One of each pair was in the driver; the other may have come to it when the first was cancelled.
        let cancelled = after.cancelled - before.cancelled - OVERLAPPED;
        assert!((PENDING..=2 * PENDING).contains(&cancelled), "{cancelled}");
        wait_for_sessions(&server, 0);
    }
    assert_eq!(process.open_handles(), 1);
    server.stop();
}

fn wait_for_sessions(server: &host::Server, count: usize) {
    let start = Instant::now();
    while server.sessions() != count {
        assert!(start.elapsed() < ringbridge_scenarios::PATIENCE, "{} sessions stay", server.sessions());
        thread::yield_now();
    }
}

/// Opens, duplicates, pends, asks and closes in four threads until it is killed.
#[test]
fn application_under_load() {
    let Some(client) = application() else { return };
    let client = &client;
    let nothing = || Buffer::new(client, 0).expect("room");
    let start = Barrier::new(5);
    thread::scope(|scope| {
        for thread in 0..4 {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                for round in 0_u64.. {
                    let device = open(client, APPS);
                    let copy = device.try_clone().expect("is duplicated");
                    for _ in 0..20 {
                        device.control(apps_nothing(), &[], &mut [0; 8]).expect("answers");
                    }
                    if thread == 1 {
                        // Dropping the operation cancels it, unless this process is killed before.
                        let file = OpenOptions::new().overlapped(true).open(client, APPS).expect("opens");
                        drop(file.control_overlapped(apps_pend(), nothing(), nothing(), &Overlapped::new()));
                    }
                    if thread == 0 && round % 64 == 63 {
                        // This thread is in the driver for the rest of its life.
                        let _killed = copy.control(apps_pend(), &[], &mut []);
                    }
                    drop(device);
                    copy.control(apps_nothing(), &[], &mut [0; 8]).expect("answers");
                }
            });
        }
        start.wait();
        say_ready();
    });
}

/// How often applications are killed: RINGBRIDGE_KILLS, or a few, for a quick run.
fn kills() -> u64 {
    std::env::var("RINGBRIDGE_KILLS").map_or(20, |kills| kills.parse().expect("a number"))
}

/// Asks all the time until it is told to stop, and counts. Any error is the test's failure.
fn asks_until(device: &Device<'_>, stop: &AtomicBool, asked: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        let mut sleeping = [0; 8];
        assert_eq!(device.control(apps_nothing(), &[], &mut sleeping).expect("nobody disturbs it"), 8);
        asked.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn application_that_nobody_disturbs() {
    let Some(client) = application() else { return };
    let device = open(&client, APPS);
    let (stop, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| asks_until(&device, &stop, &asked));
        say_ready();
        wait_to_go_on();
        stop.store(true, Ordering::Relaxed);
    });
    assert!(asked.into_inner() > 0);
}

#[test]
fn applications_killed_at_any_moment_leave_nothing_and_disturb_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let machine = machine_with("apps");
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    let process = machine.process("witness");
    let witness = AppsWitness::new(&process);
    let bystander = Beside::start("application_that_nobody_disturbs", server.path());
    let threads = || std::fs::read_dir("/proc/self/task").expect("/proc is mounted").count();
    let mut steady = 0;
    let mut moment = 0x9E37_79B9_7F4A_7C15_u64;
    for round in 0..kills() {
        let application = Beside::start("application_under_load", server.path());
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Any moment of the first 10 ms: chance is what is tested here, no condition is waited for.
        thread::sleep(Duration::from_micros((moment >> 33) % 10_000));
        application.kill();
        wait_for_sessions(&server, 1);
        let counts = witness.wait_until("the dead one's files", |counts| {
            counts.closes + 2 == counts.creates && counts.pending == 0
        });
        assert_eq!((counts.cleanups, counts.wrong), (counts.closes, 0), "{counts:?}");
        if round == 2 {
            steady = threads();
        }
    }
    assert!(threads() <= steady + 4, "threads of dead applications stay: {} of {steady}", threads());
    bystander.finish();
    witness.wait_until_alone();
    server.stop();
    drop(witness);
    drop(process);
    unload_cleanly(&machine, "apps");
}

// ---- hosts -------------------------------------------------------------------------------------------------------------

/// Plays the host: the socket is its to bind.
#[test]
fn host_of_apps() {
    let Some(socket) = application_socket() else { return };
    let machine = machine_with("apps");
    let server = machine.serve(&socket).expect("serves");
    say_ready();
    wait_to_go_on();
    server.stop();
}

/// What the threads of an application do when their host goes.
#[derive(Clone, Copy, Debug)]
enum Doing {
    /// In a request that waits.
    Pending,
    /// In a dispatch routine that sleeps.
    Sleeping,
    /// One request after another.
    Asking,
    /// In a wait for an event that nobody sets.
    Waiting,
}

/// Runs an application of a host in another process, with threads in all sorts of calls, until `end` ends the host. Every
/// call that is in progress then, and every later one, must fail. How long the last took to do so.
fn how_late_all_calls_fail(end: impl FnOnce(Beside, &Device<'_>) -> Instant) -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("ringbridge.sock");
    let host = Beside::start("host_of_apps", &socket);
    let client = Client::connect(&socket).expect("connects");
    let kinds = [Doing::Pending, Doing::Sleeping, Doing::Asking, Doing::Waiting].repeat(2);
    let devices: Vec<_> = kinds.iter().map(|_| open(&client, APPS)).collect();
    let last = open(&client, APPS);
    let witness = AppsWitness::new(&client);
    let event = Event::new(&client, EventKind::ManualReset, false).expect("is created");
    let asked = AtomicU64::new(0);
    let (ended, failed) = thread::scope(|scope| {
        let calls: Vec<_> = kinds
            .into_iter()
            .zip(&devices)
            .map(|(doing, device)| {
                let (asked, event) = (&asked, &event);
                scope.spawn(move || {
                    let error = call_until_it_fails(doing, device, event, asked);
                    (doing, error, Instant::now())
                })
            })
            .collect();
        witness.wait_until("all calls", |counts| {
            counts.pending == 2 && counts.sleeping == 2 && asked.load(Ordering::Relaxed) > 2
        });
        let ended = end(host, &last);
        (ended, calls.into_iter().map(|call| call.join().expect("returns")).collect::<Vec<_>>())
    });
    let mut latest = Duration::ZERO;
    for (doing, error, when) in failed {
        assert_eq!(error.status, STATUS_DEVICE_NOT_CONNECTED, "{doing:?}: {error}");
        latest = latest.max(when.saturating_duration_since(ended));
    }
    for device in &devices {
        let start = Instant::now();
        assert_eq!(failure(device.control(apps_nothing(), &[], &mut [0; 8])), STATUS_DEVICE_NOT_CONNECTED);
        assert_eq!(failure(Device::open(&client, APPS).map(drop)), STATUS_DEVICE_NOT_CONNECTED);
        latest = latest.max(start.elapsed());
    }
    latest
}

/// Calls must fail soon enough in one of a few attempts.
fn all_calls_fail_soon(how_late: impl Fn() -> Duration) {
    let mut late = Vec::new();
    while late.last().is_none_or(|late| *late >= NOTICED) {
        assert!(late.len() < ATTEMPTS, "too late every time: {late:?}");
        late.push(how_late());
    }
}

fn call_until_it_fails(
    doing: Doing,
    device: &Device<'_>,
    event: &Event<'_>,
    asked: &AtomicU64,
) -> Win32Error {
    match doing {
        Doing::Pending => device.control(apps_pend(), &[], &mut []).expect_err("nobody completes it"),
        Doing::Sleeping => {
            device.control(apps_sleep(), &words(&[600_000]), &mut []).expect_err("nobody sleeps so long")
        }
        Doing::Waiting => event.wait(None).expect_err("nobody sets it"),
        Doing::Asking => loop {
            match device.control(apps_nothing(), &[], &mut [0; 8]) {
                Ok(_) => asked.fetch_add(1, Ordering::Relaxed),
                Err(error) => break error,
            };
        },
    }
}

#[test]
fn a_killed_host_fails_every_pending_and_later_call_within_100_ms() {
    all_calls_fail_soon(|| {
        how_late_all_calls_fail(|host, _| {
            host.kill();
            Instant::now()
        })
    });
}

#[test]
fn a_halted_machine_fails_every_pending_and_later_call_within_100_ms() {
    all_calls_fail_soon(|| {
        let mut kept = None;
        let late = how_late_all_calls_fail(|host, device| {
            let ended = Instant::now();
            assert_eq!(failure(device.control(apps_stop(), &[], &mut [])), STATUS_DEVICE_NOT_CONNECTED);
            // It lives on, with a machine that has stopped.
            kept = Some(host);
            ended
        });
        kept.expect("the host lived").finish();
        late
    });
}

#[test]
fn hosts_killed_at_any_moment_can_be_started_again_at_the_same_place() {
    let rounds: u64 =
        std::env::var("RINGBRIDGE_HOST_KILLS").map_or(5, |kills| kills.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("ringbridge.sock");
    for _ in 0..rounds {
        killed_once(&socket);
    }
}

fn killed_once(socket: &Path) {
    let host = Beside::start("host_of_apps", socket);
    let client = Client::connect(socket).expect("connects");
    let devices = [(); 3].map(|()| open(&client, APPS));
    let event = &Event::new(&client, EventKind::ManualReset, false).expect("is created");
    let asked = &AtomicU64::new(0);
    thread::scope(|scope| {
        let calls: Vec<_> = [Doing::Pending, Doing::Asking, Doing::Waiting]
            .into_iter()
            .zip(&devices)
            .map(|(doing, device)| scope.spawn(move || call_until_it_fails(doing, device, event, asked)))
            .collect();
        while asked.load(Ordering::Relaxed) < 10 {
            thread::yield_now();
        }
        host.kill();
        for call in calls {
            assert_eq!(call.join().expect("returns").status, STATUS_DEVICE_NOT_CONNECTED);
        }
    });
}
