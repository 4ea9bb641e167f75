//! Many applications of many threads at once, for a while: none gets an error, and the host does not grow.
//!
//! RINGBRIDGE_APPLICATIONS and RINGBRIDGE_SECONDS say how many and how long; without them it is a short run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use host::{Machine, TagUsage};
use ringbridge_scenarios::{
    APPS, AppsWitness, Beside, PATIENCE, application, apps_nothing, apps_sleep, machine_with, open,
    say_ready, wait_to_go_on, words,
};

const THREADS: usize = 4;
/// What a host may keep of its heap beyond what it has used before, in KiB.
const SLACK: u64 = 16 << 10;

#[test]
fn application_among_many() {
    let Some(client) = application() else { return };
    let (client, stop) = (&client, &AtomicBool::new(false));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let mut device = open(client, APPS);
                for round in 1_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    assert_eq!(device.control(apps_nothing(), &[], &mut [0; 8]).expect("answers"), 8);
                    if round.is_multiple_of(100) {
                        device.close().expect("closes");
                        device = open(client, APPS);
                    }
                    if thread == 0 && round.is_multiple_of(1000) {
                        device.control(apps_sleep(), &words(&[1]), &mut []).expect("wakes");
                    }
                }
            });
        }
        say_ready();
        wait_to_go_on();
        stop.store(true, Ordering::Relaxed);
    });
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |number| number.parse().expect("a number"))
}

/// Memory of this process that is in use, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is told");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

fn pool(machine: &Machine) -> Vec<(String, u32, TagUsage)> {
    let mut usage = machine.pool_usage();
    usage.retain(|(.., usage)| usage.blocks > 0);
    usage.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
    usage
}

#[test]
fn many_applications_of_many_threads_get_no_error_and_the_host_does_not_grow() {
    let (count, seconds) = (number("RINGBRIDGE_APPLICATIONS", 8), number("RINGBRIDGE_SECONDS", 1));
    let folder = tempfile::tempdir().expect("a folder");
    let machine = machine_with("apps");
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    let process = machine.process("witness");
    let witness = AppsWitness::new(&process);
    let idle = pool(&machine);
    let applications: Vec<_> =
        (0..count).map(|_| Beside::start("application_among_many", server.path())).collect();
    let length = Duration::from_secs(seconds);
    // How long they run is what is asked for; no condition is waited for.
    thread::sleep(length / 3);
    let early = resident();
    thread::sleep(length / 3 * 2);
    let late = resident();
    assert!(late <= early + SLACK, "the host grew from {early} to {late} KiB");
    for application in applications {
        application.finish();
    }
    witness.wait_until_alone();
    let start = Instant::now();
    while server.sessions() != 0 || pool(&machine) != idle {
        let (sessions, pool) = (server.sessions(), pool(&machine));
        assert!(start.elapsed() < PATIENCE, "{sessions} sessions and {pool:?} stay, not {idle:?}");
        thread::yield_now();
    }
    server.stop();
}
