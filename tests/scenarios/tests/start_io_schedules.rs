//! StartIo on the deterministic platform: in every schedule that is tried, a request that waits for its turn, has it, is
//! cancelled or loses its file ends once, the device never has two, and nothing is left.

use std::collections::BTreeSet;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex};

use abi::{NTSTATUS, STATUS_CANCELLED, STATUS_INVALID_HANDLE, STATUS_SUCCESS};
use app::{ControlCode, Device};
use gate::Transport;
use host::{Configuration, Machine, Process};
use platform::mock::Stranded;
use platform::{Mock, Platform};
use ringbridge_scenarios::{Form, SPINDLE, open_asynchronous, scenario, unload_cleanly};
use test_spindle::{IOCTL_FINISH, IOCTL_HOLD, IOCTL_LOG};

const SEEDS: u64 = 20;
/// Schedules of each seed.
const RUNS: u32 = 50;
/// Three writes, the victim's write and its process's end, a write and the close of its file.
const ENDS: usize = 7;
const PATH: &str = r"\\.\RbSpindle";

type Ends = Arc<Mutex<Vec<(&'static str, NTSTATUS)>>>;

fn start(mock: &Mock, machine: &'static Machine, ends: &Ends) {
    let process = |name: &str| -> &'static Process { Box::leak(Box::new(machine.process(name))) };
    let open = |name: &str| Device::open(process(name), PATH).expect("opens");
    let control = open("holder");
    control.control(ControlCode(IOCTL_HOLD), &[1], &mut []).expect("holds");
    let spawn = |name: &'static str, body: Box<dyn FnOnce() -> NTSTATUS + Send>| {
        let ends = ends.clone();
        let run = move || {
            let end = body();
            ends.lock().expect("no thread failed").push((name, end));
        };
        mock.spawn(name, Box::new(run)).expect("starts");
    };
    for name in ["a", "b", "c"] {
        let device = open(name);
        let write =
            move || device.write(name.as_bytes()).map_or_else(|error| error.status, |_| STATUS_SUCCESS);
        spawn(name, Box::new(write));
    }
    let victim = process("victim");
    let device = ManuallyDrop::new(Device::open(victim, PATH).expect("opens"));
    let write = move || device.write(b"v").map_or_else(|error| error.status, |_| STATUS_SUCCESS);
    spawn("v", Box::new(write));
    let end = move || {
        victim.begin_end();
        STATUS_SUCCESS
    };
    spawn("end", Box::new(end));
    let closing = process("closing");
    let handle = open_asynchronous(closing, "RbSpindle", abi::FILE_WRITE_DATA);
    spawn("x", Box::new(move || closing.write(handle, b"x", Some(0)).status));
    spawn("close", Box::new(move || closing.close(handle)));
    for name in ["finish 1", "finish 2"] {
        let (control, ends) = (open(name), ends.clone());
        let finish = move || {
            while ends.lock().expect("no thread failed").len() < ENDS {
                // There may be no current request just now.
                let _done = control.control(ControlCode(IOCTL_FINISH), &[], &mut []);
            }
            drop(control);
            victim.end();
        };
        mock.spawn(name, Box::new(finish)).expect("starts");
    }
}

/// Each request has ended once, and was started once, or not at all when it was cancelled. Returns how many were.
fn check(machine: &'static Machine, ends: &Ends, context: &str) -> usize {
    let process = machine.process("looker");
    let mut log = [0; 64];
    let device = Device::open(&process, PATH).expect("opens");
    let count = device.control(ControlCode(IOCTL_LOG), &[], &mut log).expect("answers");
    device.close().expect("closes");
    let mut log = log[..count as usize].to_vec();
    log.sort_unstable();
    let mut ends = std::mem::take(&mut *ends.lock().expect("no thread failed"));
    ends.sort_unstable_by_key(|(name, _)| *name);
    let names: Vec<_> = ends.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["a", "b", "c", "close", "end", "v", "x"], "{context}");
    let (mut started, mut cancelled) = (Vec::new(), 0);
    for (name, status) in ends {
        match (name, status) {
            ("close" | "end", STATUS_SUCCESS) => {}
            ("a" | "b" | "c" | "v" | "x", STATUS_SUCCESS) => started.push(name.as_bytes()[0]),
            ("v" | "x", STATUS_CANCELLED) => cancelled += 1,
            // It came after the end of its process, or its handle.
            ("v" | "x", STATUS_INVALID_HANDLE) => {}
            other => panic!("{other:?}: {context}"),
        }
    }
    assert_eq!(log, started, "{context}");
    cancelled
}

fn run_seed(seed: u64, form: Form) -> (BTreeSet<Vec<usize>>, usize) {
    let mock = Mock::new(seed).with_stranded(Stranded::Leave).with_step_limit(10_000_000);
    let machine = Machine::with(Arc::new(mock.clone()), Configuration::default()).expect("a machine");
    let machine: &'static Machine = Box::leak(Box::new(machine));
    let mut schedules = BTreeSet::new();
    let cancelled = Arc::new(Mutex::new(0));
    for run in 0..RUNS {
        let ends = Ends::default();
        let context = format!("seed {seed}, run {run}");
        let before = mock.schedule().len();
        let (inner, results) = (mock.clone(), ends.clone());
        let begin = move || {
            SPINDLE.load(machine, form);
            start(&inner, machine, &results);
        };
        let report =
            mock.run(begin).unwrap_or_else(|error| panic!("{context}: {error}, {:?}", machine.bugcheck()));
        schedules.insert(report.schedule[before..].to_vec());
        let (results, about, count) = (ends.clone(), context.clone(), cancelled.clone());
        let end = move || {
            *count.lock().expect("no thread failed") += check(machine, &results, &about);
            unload_cleanly(machine, "spindle");
        };
        mock.run(end).unwrap_or_else(|error| panic!("{context}: {error}"));
    }
    let cancelled = *cancelled.lock().expect("no thread failed");
    (schedules, cancelled)
}

scenario! {
    fn in_no_schedule_is_a_request_started_twice_lost_or_completed_twice(form: Form) {
        let (mut schedules, mut cancelled) = (BTreeSet::new(), 0);
        for seed in 0..SEEDS {
            let (more, count) = run_seed(seed, form);
            schedules.extend(more);
            cancelled += count;
        }
        let runs = SEEDS * u64::from(RUNS);
        println!("{runs} runs in {} different schedules, {cancelled} requests cancelled", schedules.len());
        assert!(cancelled > 0, "no request was cancelled in its queue");
        assert!(schedules.len() as u64 > runs / 2, "the runs hardly differ: {}", schedules.len());
    }
}
