//! The sample `notify` on the deterministic platform: its thread, its application and the ends of requests in every order that is
//! tried. A wake-up that is lost leaves the application waiting for ever, which the platform reports.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use app::{OpenOptions, Transport, Win32Error};
use host::{Configuration, Event, Machine, Observer};
use platform::mock::Stranded;
use platform::{Mock, Platform};
use ringbridge_scenarios::{Form, NOTIFY, scenario};
use sample_applications::notify;
use sample_notify::{NOTIFICATION, Way};

const SEEDS: u64 = 10;
/// Schedules of each.
const RUNS: u32 = 60;
/// Notifications of each application.
const COUNT: u32 = 12;

type Listen = fn(&dyn Transport, u32, notify::Heard<'_>) -> Result<(), Win32Error>;
const WAYS: [Listen; 4] =
    [notify::by_named_event, notify::by_own_event, notify::by_requests, by_one_request_at_a_time];

/// Between two requests notifications find nobody: each request must look for what came before it.
fn by_one_request_at_a_time(
    transport: &dyn Transport,
    count: u32,
    heard: notify::Heard<'_>,
) -> Result<(), Win32Error> {
    let device = OpenOptions::new().access(abi::GENERIC_READ).open(transport, r"\\.\Notify")?;
    let input = [Way::Request as u32, count].map(u32::to_le_bytes).concat();
    device.control(notify::IOCTL_START, &input, &mut [])?;
    for _ in 0..count {
        let mut number = [0; NOTIFICATION];
        device.control(notify::IOCTL_NEXT, &[], &mut number)?;
        heard(u64::from_le_bytes(number));
    }
    Ok(())
}

/// How the driver went.
#[derive(Default)]
struct Unloads(Mutex<(usize, usize)>);

impl Observer for Unloads {
    fn observe(&self, event: &Event) {
        let mut unloads = self.0.lock().expect("no thread failed");
        match event {
            Event::DriverUnloaded { report } if report.is_clean() => unloads.0 += 1,
            Event::DriverUnloaded { .. } => unloads.1 += 1,
            _ => {}
        }
    }
}

/// Two applications, each in a way of its own, and somebody who unloads the driver behind them.
fn start(mock: &Mock, machine: Machine, run: u32, heard: &Arc<AtomicU64>) {
    let machine = Arc::new(machine);
    let left = Arc::new(AtomicU64::new(2));
    for way in [run, run + 1 + run / 3 % 2] {
        let listen = WAYS[way as usize % WAYS.len()];
        let (machine, heard, left) = (machine.clone(), heard.clone(), left.clone());
        let listener = move || {
            let process = machine.process("listener");
            let mut next = 0;
            let mut hear = |number| {
                assert_eq!(number, next, "lost, doubled or out of turn");
                next += 1;
            };
            listen(&process, COUNT, &mut hear).expect("listens");
            heard.fetch_add(next, Ordering::Relaxed);
            if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                machine.unload("notify").expect("it is loaded");
            }
        };
        mock.spawn("listener", Box::new(listener)).expect("starts");
    }
}

/// Runs one schedule on a machine of its own, and returns it: what was chosen wherever there was a choice.
fn run_one(seed: u64, run: u32, form: Form) -> Vec<usize> {
    let mock = Mock::new(seed << 32 | u64::from(run)).with_stranded(Stranded::Leave);
    let mock = mock.with_step_limit(1_000_000);
    let (unloads, heard) = (Arc::<Unloads>::default(), Arc::<AtomicU64>::default());
    let (inner, observer, numbers) = (mock.clone(), unloads.clone(), heard.clone());
    let root = move || {
        let machine = Machine::with(Arc::new(inner.clone()), Configuration::default()).expect("a machine");
        machine.watch(observer);
        NOTIFY.load(&machine, form);
        start(&inner, machine, run, &numbers);
    };
    let report = mock.run(root).unwrap_or_else(|error| panic!("seed {seed}, run {run}: {error}"));
    assert_eq!(heard.load(Ordering::Relaxed), 2 * u64::from(COUNT), "seed {seed}, run {run}");
    assert_eq!(*unloads.0.lock().expect("no thread failed"), (1, 0), "seed {seed}, run {run}");
    report.schedule
}

scenario! {
    fn no_schedule_loses_a_notification_or_a_wake_up(form: Form) {
        let mut schedules = BTreeSet::new();
        for seed in 0..SEEDS {
            schedules.extend((0..RUNS).map(|run| run_one(seed, run, form)));
        }
        let runs = SEEDS * u64::from(RUNS);
        println!("{runs} runs in {} different schedules", schedules.len());
        assert!(schedules.len() as u64 > runs / 2, "the runs hardly differ: {}", schedules.len());
    }
}
