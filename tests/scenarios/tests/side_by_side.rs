//! A dispatch routine that sleeps delays nobody but its caller: not the other threads of its application, and not those of
//! others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use app::Device;
use ringbridge_scenarios::{
    APPS, AppsWitness, Beside, application, apps_nothing, apps_sleep, machine_with, open, run_application,
    say_ready, wait_to_go_on, words,
};

/// What a driver for slow hardware does in its dispatch routine.
const SLEEP: u64 = 300;
/// Requests that must be answered while it sleeps.
const ANSWERS: u32 = 200;

/// Asks until `ANSWERS` answers were given while exactly one dispatch routine slept: the driver itself says so in each
/// answer.
fn asks_while_another_sleeps(device: &Device<'_>) {
    let mut answers = 0;
    while answers < ANSWERS {
        let mut sleeping = [0; 8];
        assert_eq!(device.control(apps_nothing(), &[], &mut sleeping).expect("answers"), 8);
        answers += u32::from(u64::from_le_bytes(sleeping) == 1);
    }
}

/// Sleeps in the driver, again and again, until `enough`.
fn sleeps_until(device: &Device<'_>, enough: &AtomicBool) {
    while !enough.load(Ordering::Relaxed) {
        assert_eq!(device.control(apps_sleep(), &words(&[SLEEP]), &mut []).expect("wakes"), 0);
    }
}

#[test]
fn application_with_one_thread_that_sleeps() {
    let Some(client) = application() else { return };
    let (sleeper, other) = (open(&client, APPS), open(&client, APPS));
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| sleeps_until(&sleeper, &enough));
        asks_while_another_sleeps(&other);
        enough.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_dispatch_routine_that_sleeps_delays_no_other_thread_of_its_application() {
    let folder = tempfile::tempdir().expect("a folder");
    let machine = machine_with("apps");
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    run_application("application_with_one_thread_that_sleeps", server.path());
    server.stop();
}

#[test]
fn application_that_sleeps_in_the_driver() {
    let Some(client) = application() else { return };
    let device = open(&client, APPS);
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| sleeps_until(&device, &enough));
        say_ready();
        wait_to_go_on();
        enough.store(true, Ordering::Relaxed);
    });
}

#[test]
fn application_that_only_asks() {
    let Some(client) = application() else { return };
    asks_while_another_sleeps(&open(&client, APPS));
}

#[test]
fn a_dispatch_routine_that_sleeps_delays_no_other_application() {
    let folder = tempfile::tempdir().expect("a folder");
    let machine = machine_with("apps");
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    let sleeper = Beside::start("application_that_sleeps_in_the_driver", server.path());
    run_application("application_that_only_asks", server.path());
    // An application in the host's own process is another application, too.
    let process = machine.process("embedded");
    asks_while_another_sleeps(&open(&process, APPS));
    sleeper.finish();
    AppsWitness::new(&process).wait_until_alone();
    server.stop();
}
